/*
 * session/records.h: transport frames, both directions (docs/protocol.md, sections 2 and 7).
 *
 * Sending: messages are appended to an open record at the end of the output buffer; a record that
 * is full, or that is wanted for sending, is sealed in place.  So everything that waits leaves in
 * as few records as possible, and is copied once; of a long message, what fills a record by itself
 * is not even copied.
 *
 * Receiving: a record is decrypted in place, and messages are cut out of the stream of bodies
 * without copying where a message lies within one record.  Of a longer message, every record but
 * the first and the last is decrypted to where it belongs.
 */
#ifndef SI_SESSION_RECORDS_H
#define SI_SESSION_RECORDS_H

#include "noise/cipher.h"
#include "session/scratch.h"

enum {
    /* u16 noise_len | u16 body_len | body | tag: noise_len <= 65535, so body <= 65535 - 2 - 16 */
    SI_RECORD_BODY_MAX = 65535 - 2 - SI_TAG_LEN,
    SI_RECORD_HEADER = 4,
    SI_RECORD_OVERHEAD = SI_RECORD_HEADER + SI_TAG_LEN,
    SI_REKEY_INTERVAL = 65536 /* section 7 */
};
_Static_assert((int)SI_RECORD_BODY_MAX == (int)SOTTO_RECORD_BODY_MAX, "protocol section 2");

/* ---- Output ---------------------------------------------------------------------------------- */

/*
 * ptr[0..sent) has left, [sent..sealed) waits to be sent, [sealed..buf.len) is the open record: 4
 * bytes for its header, then the body so far.  sent <= sealed <= buf.len.
 */
struct si_output {
    struct si_buf buf;
    size_t sent;
    size_t sealed;
    struct si_cipher_state *tx; /* NULL before the handshake is done */
    struct si_scratch *scratch;
};

void si_output_init(struct si_output *out, struct si_scratch *scratch);
void si_output_free(struct si_output *out);

/* Append handshake bytes.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_output_raw(struct si_output *out, const void *data, size_t len);

/* Make room for LEN more body bytes, in as many records as they need.  E_NOMEM, E_TOO_LARGE:
 * nothing has changed. */
SOTTO_MUST_CHECK sotto_err si_output_reserve(struct si_output *out, size_t len);

/* Append body bytes for which there is room.  E_NONCE, E_CRYPTO, E_NOMEM (sealing a full record):
 * the session is over. */
SOTTO_MUST_CHECK sotto_err si_output_body(struct si_output *out, const void *data, size_t len);

/* Append the message of SPANS, LEN bytes together, behind its length.  There is room for 4 + LEN.
 * Errors as above. */
SOTTO_MUST_CHECK sotto_err si_output_message(struct si_output *out, const struct si_span *spans,
                                             size_t count, size_t len);

/* Seal the open record, if there is one.  Errors as above. */
SOTTO_MUST_CHECK sotto_err si_output_seal(struct si_output *out);

/* Seal what is open, then one empty record: a keep-alive. */
SOTTO_MUST_CHECK sotto_err si_output_empty_record(struct si_output *out);

/* LEN bytes from the front have been sent. */
void si_output_sent(struct si_output *out, size_t len);

static inline size_t si_output_waiting(const struct si_output *out)
{
    return out->buf.len - out->sent;
}

/* ---- Input ----------------------------------------------------------------------------------- */

/* Decrypt the LEN bytes at NOISE (a noise_message of a transport frame) in place and find the body.
 * E_AUTH: too short, or does not verify.  E_PROTOCOL: the plaintext is malformed.  E_NONCE,
 * E_CRYPTO, E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_record_open(struct si_cipher_state *rx, uint8_t *noise, size_t len,
                                          struct si_span *body);

/* u16 body_len | body | padding (section 2).  E_PROTOCOL. */
SOTTO_MUST_CHECK sotto_err si_body_read(struct si_span plaintext, struct si_span *body);

/* The message stream of section 7. */
struct si_messages {
    struct si_span body;         /* of the current record, not yet cut into messages */
    const uint8_t *readable_end; /* how far one may read behind the body */
    struct si_buf partial;       /* a message that did not end with its record */
    uint32_t want;               /* its length, once its prefix is complete; else 0 */
    uint8_t prefix[4];
    unsigned prefix_len;
};

/* The body of the next record; the one before has been used up. */
void si_messages_add(struct si_messages *m, struct si_span body, const uint8_t *readable_end);

/* Is a record of LEN bytes, whatever its body, a part of the message that has begun? */
bool si_messages_want_all_of(const struct si_messages *m, size_t len);

/* Such a record: decrypt the LEN bytes at NOISE, its body to where it belongs, behind what has come
 * of the message.  *BODY_LEN says how long it was.  Errors of si_record_open(). */
SOTTO_MUST_CHECK sotto_err si_messages_open(struct si_messages *m, struct si_scratch *scratch,
                                            struct si_cipher_state *rx, const uint8_t *noise,
                                            size_t len, size_t *body_len);

/*
 * The next message: in *TEXT, borrowed until the next call, with SOTTO_MESSAGE_PADDING readable
 * bytes behind it.
 * E_AGAIN: more records are needed.  E_PROTOCOL: a length of 0, or above MAX: seen on the prefix,
 * before anything is buffered.
 * E_NOMEM.
 */
SOTTO_MUST_CHECK sotto_err si_messages_next(struct si_messages *m, struct si_scratch *scratch,
                                            uint32_t max, struct si_span *text);

#endif
