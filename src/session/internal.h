/*
 * session/internal.h: what the files of the session share.
 *
 *     session.c     the object: bytes in and out, time, events, the way into every end
 *     input.c       bytes from the peer: frames and messages
 *     initiator.c   the client's steps of a handshake
 *     responder.c   the server's steps, and the acceptor
 *     records.c     transport frames and the message stream
 *     negotiation.c, document.c   JSON texts
 *
 * A session is in one phase, and a phase expects one kind of frame (the table in session.c); what
 * the table does not allow ends the session.
 */
#ifndef SI_SESSION_INTERNAL_H
#define SI_SESSION_INTERNAL_H

#include "noise/handshake.h"
#include "session/document.h"
#include "session/negotiation.h"
#include "session/records.h"
#include "sotto/noisesocket.h"

enum si_phase {
    /* client */
    SI_EXPECT_XX_2,
    SI_EXPECT_VERDICT, /* of the caller, on the server's key */
    SI_EXPECT_DOCUMENT,
    SI_EXPECT_SESSION_2,
    /* server */
    SI_EXPECT_NEGOTIATION,
    SI_EXPECT_XX_3,
    SI_EXPECT_FIRST_RECORD, /* half-open */
    /* both */
    SI_OPEN,
    SI_ENDING, /* what waits is sent, then the sending side shut down, input is discarded */
    SI_OVER,
    SI_PHASES
};

enum {
    /* "NoiseSocketInit1" | u16 | negotiation (section 2) */
    SI_PROLOGUE_MAX = 16 + 2 + SI_NEGOTIATION_MAX,
    SI_LINGER_MS = 1000,               /* section 1: discard at most 1 s … */
    SI_LINGER_MAX_BYTES = 4 * 1048576, /* … and 4 MiB */
    SI_EMPTY_BODY = 2                  /* plaintext of an empty body: u16 0 */
};

struct sotto_acceptor {
    struct {
        const sotto_keypair *key; /* NULL: the curve is not served */
        sotto_psk psk;
        sotto_psk gate;
        struct si_buf document; /* secret: holds the server string */
    } curves[SOTTO_CURVE_COUNT];
    bool gate;
    uint8_t epoch[SOTTO_EPOCH_LEN];
    struct si_buf hello;
    sotto_client_auth client_auth;
    sotto_client_lookup *client_lookup;
    void *user;
    uint32_t max_message, keepalive_ms, handshake_timeout_ms, max_output, input_padding;
};

struct sotto_session {
    enum si_phase phase;
    bool is_server;
    sotto_err error; /* the first one */
    struct si_negotiation negotiation;
    const sotto_acceptor *acceptor; /* server */
    struct si_handshake *handshake; /* until it is split */
    struct si_json *own_json;       /* without scratch, while a handshake needs it */
    struct si_scratch *scratch;     /* lent, or NULL */
    struct si_cipher_state tx, rx;
    bool ready; /* in scratch->ready[ready_at] */
    uint16_t ready_at;
    struct si_output output;
    struct si_buf input; /* a frame that has not arrived as a whole */
    bool input_used;     /* it arrived, was handled, and its messages may still point there */
    struct si_messages messages;
    struct si_span message; /* extracted, not fetched yet */
    bool has_message;

    /* events that wait, besides messages */
    bool key_event, bootstrap_event, open_event;

    /* SI_OPEN and after */
    bool was_open;
    /* client: its first record, or a keep-alive, leaves with the next output */
    bool first_record_due; /* client: something has to leave at once, be it an empty record */
    bool keepalive_due;    /* client: an empty record has to leave */
    uint32_t echoes_due;   /* server: keep-alives to answer */
    bool close_sent, peer_closed; /* a close was queued, was received */
    bool shut, peer_eof;          /* the sending side is shut down, the peer's too */
    size_t discarded;             /* bytes, after the end */

    /* times, in ns */
    int64_t now; /* the latest that we were told */
    int64_t handshake_deadline;
    int64_t end_deadline, end_limit;
    int64_t last_tx, last_rx, last_keepalive;

    uint32_t max_message, peer_max_message, keepalive_ms, max_output, input_padding;
    /* client: the server's, trusted (session) or shown (bootstrap); server: the client's, curve 0
     * when there is none */
    sotto_public_key peer_key;
    const char *client_name; /* server: of a known key, else NULL */
    uint8_t h[SI_HASH_LEN_MAX];
    size_t h_len;
    sotto_bootstrap *bootstrap; /* client, secret */
    struct si_refusal *refusal; /* what the peer said */
};

/* One frame, split into its fields; NOISE may be decrypted in place. */
struct si_frame {
    struct si_span negotiation;
    uint8_t *noise;
    size_t noise_len;
    const uint8_t *readable_end;
};

/* Handlers of initiator.c and responder.c: one for each phase that expects a frame.  An error ends
 * the session without a word. */
sotto_err si_on_xx_2(sotto_session *s, const struct si_frame *frame);
sotto_err si_on_document(sotto_session *s, const struct si_frame *frame);
sotto_err si_on_session_2(sotto_session *s, const struct si_frame *frame);
sotto_err si_on_negotiation(sotto_session *s, const struct si_frame *frame);
sotto_err si_on_xx_3(sotto_session *s, const struct si_frame *frame);
sotto_err si_on_first_record(sotto_session *s, const struct si_frame *frame);

/* ---- session.c, for the two ------------------------------------------------------------------ */

/* A session without role yet.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_session_new(int64_t now, uint32_t handshake_timeout_ms,
                                          sotto_session **out);

/* The JSON reader, or NULL when there is no memory. */
struct si_json *si_session_json(sotto_session *s);

/* Begin the handshake that S->negotiation names, over the prologue of NEGOTIATION.  E_NOMEM,
 * E_CRYPTO, E_USAGE. */
SOTTO_MUST_CHECK sotto_err si_session_begin_handshake(sotto_session *s, enum si_role role,
                                                      struct si_span negotiation,
                                                      const struct si_handshake_keys *keys);

/* Write the next handshake message with BODY as its payload (none: the payload is clear and empty)
 * and queue it in a frame behind NEGOTIATION. */
SOTTO_MUST_CHECK sotto_err si_session_write_handshake(sotto_session *s, struct si_span negotiation,
                                                      const struct si_span *body);

/* Read the frame's handshake message.  Its length must be that of an empty body when EXACT.  *BODY
 * points into PLAIN, which has SI_HANDSHAKE_NOISE_MAX bytes. */
SOTTO_MUST_CHECK sotto_err si_session_read_handshake(sotto_session *s, const struct si_frame *frame,
                                                     bool exact, uint8_t *plain,
                                                     struct si_span *body);

/* The handshake is finished: split, and forget it. */
SOTTO_MUST_CHECK sotto_err si_session_split(sotto_session *s);

/* The session is open, as of now: an event. */
void si_session_opened(sotto_session *s);

/* No more phases: keys wiped.  Events that wait may still be fetched. */
void si_session_over(sotto_session *s);

/* An open session that fails tells the peer why (section 1).  Returns ERR. */
sotto_err si_session_fail_with_close(sotto_session *s, sotto_err err, const char *code);

/* Nothing more to say than what is queued: send it, shut down, linger. */
void si_session_end(sotto_session *s);

/* Queue a close and end. */
SOTTO_MUST_CHECK sotto_err si_session_put_close(sotto_session *s, const char *code,
                                                const char *message, uint32_t reconnect_after_ms);

/* Everything in BODY is for the message stream; an empty one is a keep-alive (section 7). */
SOTTO_MUST_CHECK sotto_err si_session_take_body(sotto_session *s, struct si_span body,
                                                const uint8_t *readable_end);

/* Unless ERR is SOTTO_OK, the session has failed with it: no word to the peer, keys wiped.  Returns
 * ERR. */
sotto_err si_session_fail_if(sotto_session *s, sotto_err err);

/* Remember what the peer refused with.  Takes the copy; E_NOMEM becomes silence. */
void si_session_keep_refusal(sotto_session *s, const struct si_refusal *refusal);

/* ---- input.c ---- */

/* Handle the frames in DATA, until an event waits.  Errors have ended the session. */
SOTTO_MUST_CHECK sotto_err si_session_feed_frames(sotto_session *s, uint8_t *data, size_t len,
                                                  size_t *taken);

/* Cut the next message out of the record that is there, if it holds a whole one. */
SOTTO_MUST_CHECK sotto_err si_session_advance(sotto_session *s);

/* The kept frame is used up, and so are the messages in it. */
void si_session_release_input(sotto_session *s);

static inline int64_t si_ms(uint32_t ms)
{
    return (int64_t)ms * 1000000;
}

#endif
