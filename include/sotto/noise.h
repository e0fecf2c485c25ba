/*
 * sotto/noise.h: the Noise Protocol Framework, revision 34.
 *
 * All of it and nothing else: every protocol name that the specification allows (all one-way,
 * fundamental and deferred patterns, any valid set of psk modifiers, fallback; 25519 and 448;
 * ChaChaPoly and AESGCM; SHA256, SHA512, BLAKE2s and BLAKE2b), run as the specification says.
 * There is no I/O in it: messages are byte strings that the program carries.  A protocol of its own
 * on top of Noise needs this header alone; sotto/session.h and what stands on it is such a
 * protocol.
 *
 * "Noise 5.3" means section 5.3 of the specification.  Names are its names: s and e are the own
 * static and ephemeral key pair, rs and re the peer's public keys, h the handshake hash, n the
 * nonce.  Sizes are in bytes.
 *
 * A handshake:
 *
 *     sotto_handshake_new()
 *     for (;;)
 *         switch (sotto_handshake_action(hs)) {
 *         case SOTTO_ACTION_WRITE:  sotto_handshake_write(), and send the message
 *         case SOTTO_ACTION_READ:   receive a message, and sotto_handshake_read()
 *         case SOTTO_ACTION_SPLIT:  sotto_handshake_split() or sotto_handshake_split_datagrams()
 *         case SOTTO_ACTION_DONE:   sotto_handshake_free()
 *         case SOTTO_ACTION_FAILED: sotto_handshake_free()
 *         }
 *
 * Mistakes of the caller (out of turn, a key missing, a buffer too small) are E_USAGE, E_BUFFER or
 * E_TOO_LARGE: they are refused before anything is changed, and the handshake goes on.  Every other
 * error is final: the keys are wiped and the action is FAILED (Noise 5); any further call is
 * E_USAGE.  Functions with a parameter ERROR also say in words what was wrong; it may be NULL.
 *
 * Objects are the caller's, from _new() or _split() to _free(), and independent of each other: a
 * handshake may be freed while its transport lives.  Handles must not be NULL, except for _free().
 * A handshake is for one thread at a time.  A transport, or datagrams, may be used by one thread
 * that sends (encrypt, the sending nonce, rekey of that direction) and another one that receives.
 * Arguments are read during the call only, and copied where they are kept.
 *
 * What the library cannot do for a program, and the specification asks of it, in short
 * (docs/noise.md has the whole list):
 *
 *   - decide whether the peer's static key is acceptable (Noise 14);
 *   - put into the prologue whatever was negotiated before the handshake (Noise 6, 14);
 *   - let the receiver see which protocol a first message belongs to, by a byte in front of it for
 *     instance, where there are several (Noise 10.3);
 *   - use a static key, and a PSK, with one hash function only, and nowhere outside Noise (Noise 14);
 *   - put a length in front of each message on a stream, and say in the plaintext where the
 *     conversation ends, since whoever cuts the line can cut off the last messages (Noise 13).
 */
#ifndef SOTTO_NOISE_H
#define SOTTO_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "sotto/error.h"
#include "sotto/key.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SOTTO_NOISE_MESSAGE_MAX = 65535,  /* any Noise message (Noise 3) */
    SOTTO_NOISE_TAG_LEN = 16,         /* what encryption adds (Noise 4.2) */
    SOTTO_NOISE_TRANSPORT_MAX = 65519 /* plaintext of a transport message: 65535 - 16 */
};

/* ---- Bytes in and out ------------------------------------------------------------------------ */

/* Bytes that are only read.  PTR may be NULL when LEN is 0; else that is E_USAGE. */
typedef struct sotto_bytes {
    const void *ptr;
    size_t len;
} sotto_bytes;

/* Associated data of one transport message: authenticated and not sent (Noise 5.1), fewer than 2^31
 * bytes (else E_USAGE).  A type of its own, so that it is not taken for the message. */
typedef struct sotto_ad {
    const void *ptr;
    size_t len;
} sotto_ad;

/* Room for output.  CAP bytes at PTR may be written; PTR may be NULL when CAP is 0.  The function
 * says in LEN how many it wrote, 0 after an error; what LEN was before does not matter. */
typedef struct sotto_room {
    void *ptr;
    size_t cap;
    size_t len;
} sotto_room;

static inline sotto_bytes sotto_bytes_of(const void *ptr, size_t len)
{
    sotto_bytes bytes = {ptr, len};
    return bytes;
}

static inline sotto_bytes sotto_no_bytes(void)
{
    return sotto_bytes_of(NULL, 0);
}

static inline sotto_ad sotto_ad_of(const void *ptr, size_t len)
{
    sotto_ad ad = {ptr, len};
    return ad;
}

static inline sotto_ad sotto_no_ad(void)
{
    return sotto_ad_of(NULL, 0);
}

static inline sotto_room sotto_room_of(void *ptr, size_t cap)
{
    sotto_room room = {ptr, cap, 0};
    return room;
}

/* What a function wrote, as input for the next one. */
static inline sotto_bytes sotto_room_bytes(const sotto_room *room)
{
    return sotto_bytes_of(room->ptr, room->len);
}

/* ---- Protocols (Noise 8) --------------------------------------------------------------------- */

/* Who sends the first message.  Neither is 0 or 1, so that a forgotten field, or a boolean in its
 * place, is noticed. */
typedef enum sotto_role { SOTTO_INITIATOR = 2, SOTTO_RESPONDER = 3 } sotto_role;

enum { SOTTO_PSK_POSITIONS = 5 }; /* psk0 to psk4: no pattern has more than four messages */

/* Which static keys somebody has to bring to a handshake. */
typedef struct sotto_protocol_keys {
    int s;  /* a key pair of their own */
    int rs; /* the peer's public key, known before the handshake */
} sotto_protocol_keys;

/* What a protocol name stands for. */
typedef struct sotto_protocol_info {
    sotto_curve curve;
    sotto_cipher cipher;
    const char *hash;                       /* "SHA256", "SHA512", "BLAKE2s" or "BLAKE2b" */
    size_t hash_len;                        /* HASHLEN: 32 or 64 */
    unsigned messages;                      /* handshake messages, 1 to 4 */
    unsigned char psk[SOTTO_PSK_POSITIONS]; /* [N] is 1: there is a psk token at position N */
    int one_way;                            /* N, K, X: only the initiator sends (Noise 7.4) */
    int fallback;                           /* begins with an ephemeral key that was sent before */
    sotto_protocol_keys initiator, responder; /* who needs what */
} sotto_protocol_info;

/*
 * Is NAME the name of a protocol of revision 34, and what does it need?
 *
 * Names are compared byte by byte.  Modifiers are applied from left to right, and psk modifiers
 * side by side have to be sorted (Noise 8.1).  Positions of PSKs are those of the messages as they
 * are sent: "XXfallback+psk1" and "XXpsk2+fallback" are two protocols with the PSK in the same
 * place, position 1.
 *
 * 448 should go with a hash of 512 bits, SHA512 or BLAKE2b (Noise 13); that is not enforced.
 *
 * INFO may be NULL.  E_UNSUPPORTED: no such name; ERROR says which part of it, and why.
 * E_USAGE: NAME is NULL.  *INFO is all zero then.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_protocol_describe(const char *name,
                                                             sotto_protocol_info *info,
                                                             sotto_error *error);

/* ---- Handshakes (Noise 5.3) ------------------------------------------------------------------ */

typedef struct sotto_handshake sotto_handshake;
typedef struct sotto_transport sotto_transport;
typedef struct sotto_datagrams sotto_datagrams;

/* What a handshake wants next. */
typedef enum sotto_action {
    SOTTO_ACTION_DONE = 0, /* it has been split */
    SOTTO_ACTION_WRITE = 1,
    SOTTO_ACTION_READ = 2,
    SOTTO_ACTION_SPLIT = 3,
    SOTTO_ACTION_FAILED = 4
} sotto_action;

/* What is known when a psk token is reached and no PSK was given for it. */
typedef struct sotto_psk_request {
    unsigned position; /* N of pskN */
    /*
     * The peer's static key, or NULL when there is none so far.  Unless rs_proven is 1 it is a
     * claim, perhaps out of the very message that is being read: it may be used to look up a PSK
     * and for nothing else.
     */
    const sotto_public_key *rs;
    int rs_proven;              /* as sotto_handshake_remote_proven() */
    const sotto_public_key *re; /* the peer's ephemeral key, or NULL */
} sotto_psk_request;

/*
 * Find the PSK for REQUEST and write it to *PSK, which is wiped when it has been used, and holds
 * random bytes before.  Called within sotto_handshake_write() or _read(), on the same thread; it
 * must not use the handshake.  With any other result than SOTTO_OK the handshake fails with E_KEY.
 */
typedef sotto_err sotto_psk_lookup(void *user, const sotto_psk_request *request, sotto_psk *psk);

/*
 * Exactly the keys that the pattern has for this role are given: a surplus one is a mistake too,
 * and is refused.
 */
typedef struct sotto_handshake_options {
    size_t size;          /* SOTTO_HANDSHAKE_OPTIONS_INIT */
    const char *protocol; /* "Noise_XX_25519_ChaChaPoly_SHA256" */
    sotto_role role;
    sotto_bytes prologue;   /* the same on both sides: what was negotiated before (Noise 6, 14);
                             * it makes nothing secret [empty] */
    const sotto_keypair *s; /* the own static key pair */
    /* the peer's static public key, where the pattern has it as a pre-message.  That the peer knows
     * it too proves nothing: what both have to know goes in as a PSK (Noise 14) */
    const sotto_public_key *rs;

    /* PSKs by position: [0] for psk0, and so on.  One that is missing may come later, by
     * sotto_handshake_set_psk() or from the lookup. */
    const sotto_psk *psk[SOTTO_PSK_POSITIONS];
    sotto_psk_lookup *psk_lookup; /* may be given for any pattern [none] */
    void *psk_user;               /* for psk_lookup; lives until the last psk token */

    /*
     * With the modifier fallback: where the ephemeral key that was sent before comes from (Noise
     * 10.2).  Who sent it is the responder now, and takes it out of the handshake that it has
     * begun: one message written, and no answer read, or one that failed (Noise 10.5).  Who
     * received it is the initiator now, and takes it out of its own handshake, which has read that
     * first message, with or without success, and written nothing; or else gives fallback_re as it
     * stood in the message.
     *
     * The curve must be the same; cipher and hash need not.  Where the first message of the pattern
     * also has an "s" (IN, IX, …), the initiator gives that key as rs.  After success the handshake
     * fallback_from is FAILED and can only be freed.
     */
    sotto_handshake *fallback_from;
    const sotto_public_key *fallback_re;
} sotto_handshake_options;

#define SOTTO_HANDSHAKE_OPTIONS_INIT SOTTO_SIZED(sotto_handshake_options)

/*
 * Initialize() (Noise 5.3).  The caller frees *OUT.
 *
 * E_UNSUPPORTED: the protocol's name.  E_USAGE: no name or role; a key is missing, surplus, or of
 * another curve; rs is the own public key (in a one-way pattern that is allowed: a file may be
 * sealed for oneself); a PSK for a position that the pattern does not have; fallback without an
 * ephemeral key, or one that this handshake cannot take.  ERROR says which.
 * E_NOMEM, E_CRYPTO.  After an error *OUT is NULL and fallback_from is as it was.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_new(const sotto_handshake_options *options,
                                                         sotto_handshake **out, sotto_error *error);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_handshake_free(sotto_handshake *hs);

/* What it wants next. */
SOTTO_API sotto_action sotto_handshake_action(const sotto_handshake *hs);

/*
 * The exact length of the next message, written or read, with a payload of PAYLOAD_LEN.  0 when
 * there is no next message, or when it would be longer than SOTTO_NOISE_MESSAGE_MAX.
 */
SOTTO_API size_t sotto_handshake_message_len(const sotto_handshake *hs, size_t payload_len);

/* The largest payload of the next message; 0 when there is no next message. */
SOTTO_API size_t sotto_handshake_payload_max(const sotto_handshake *hs);

/* The length of the payload in a received MESSAGE of MESSAGE_LEN; 0 when there is none in it, or it
 * is too short or too long to be the next message. */
SOTTO_API size_t sotto_handshake_payload_len(const sotto_handshake *hs, size_t message_len);

/*
 * 1 when the payload of the next message is encrypted, else 0; to be asked before that message is
 * written or read.  In a psk handshake it is 1 from the first message on, but before the psk token
 * and the first DH the key is made of public values: nothing is secret then (Noise 9.2).
 */
SOTTO_API int sotto_handshake_next_encrypted(const sotto_handshake *hs);

/*
 * Give the PSK for POSITION (N of pskN), at any time before the message with that token.  Copied.
 * E_USAGE: the pattern has no PSK there, it has been given, or the message has gone by; nothing has
 * changed.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_set_psk(sotto_handshake *hs, unsigned position,
                                                             const sotto_psk *psk,
                                                             sotto_error *error);

/*
 * WriteMessage(): the next message with PAYLOAD goes to MESSAGE, which needs
 * sotto_handshake_message_len() bytes and does not overlap the payload.
 *
 * What a payload is worth depends on pattern and message: see the grades in Noise 7.7.  The one of
 * an initiator's first message can be replayed, so nothing should be done because of it; the one of
 * a responder's second message (XX) goes to whoever sent the first.
 *
 * E_USAGE: not our turn, a PSK is missing, an argument is NULL, the places overlap.  E_BUFFER:
 * MESSAGE is too small.  E_TOO_LARGE: more than SOTTO_NOISE_MESSAGE_MAX.  Nothing has changed then,
 * and nothing was written.
 * E_DH: the peer's public key is a low-order point (Noise 12.1).  E_KEY: the lookup had no PSK.
 * E_NONCE, E_RANDOM, E_CRYPTO, E_NOMEM.  The handshake has failed then, and MESSAGE is wiped.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_write(sotto_handshake *hs, sotto_bytes payload,
                                                           sotto_room *message, sotto_error *error);

/*
 * ReadMessage(): the payload of MESSAGE goes to PAYLOAD, which needs sotto_handshake_payload_len()
 * bytes (as many as the message are always enough) and does not overlap the message.
 *
 * E_USAGE, E_BUFFER: as above; nothing has changed.  E_BUFFER may be the peer's doing: who does not
 * want a payload of that length ends the handshake.
 * E_AUTH: forged, altered, of another handshake, made with another key, prologue or PSK, too short
 * or longer than SOTTO_NOISE_MESSAGE_MAX.  E_DH, E_KEY, E_NONCE, E_RANDOM, E_CRYPTO, E_NOMEM: as
 * above.  The handshake has failed then, and PAYLOAD is wiped.
 *
 * The peer should learn no more than that it failed (Noise 14).
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_read(sotto_handshake *hs, sotto_bytes message,
                                                          sotto_room *payload, sotto_error *error);

/*
 * The peer's static public key, or NULL: there is none, or the message that carried it has not been
 * read to its end, or the handshake has failed.  It lives as long as HS.  Whether it is acceptable
 * is for the program to decide, before it trusts the peer with anything (Noise 14).
 */
SOTTO_API const sotto_public_key *sotto_handshake_remote_static(const sotto_handshake *hs);

/*
 * 1 when somebody has shown to hold the private key to sotto_handshake_remote_static(), else 0: a
 * message was read that is encrypted with a key of which a DH with rs is part.  Before that the key
 * is a claim, which anybody can make who knows it.
 *
 * It says nothing of the time, nor of a PSK that comes later: the first message of IK shows the key
 * also when it is an old one that is sent again.  Only a message that answers one of ours is fresh.
 *
 * With some patterns the proof comes after the handshake only: it may be 0 at the split (the
 * responder of KN, KX, IN and IX, the initiator of NX1, …).  Then the first transport message that
 * decrypts is the proof, and nothing should be done for the peer before it.
 */
SOTTO_API int sotto_handshake_remote_proven(const sotto_handshake *hs);

/*
 * The handshake hash h, as long as HS lives; empty before the split.  It names this very session,
 * for channel binding (Noise 11.2).  It is not secret: no key may be made of it.
 */
SOTTO_API sotto_bytes sotto_handshake_hash(const sotto_handshake *hs);

/*
 * Split(): the keys for both directions, each in its place, as an ordered transport or for
 * datagrams.  The caller frees *OUT.  Once only; HS keeps h and the peer's key.
 *
 * E_USAGE: the handshake is not finished, or was split before.  E_CRYPTO, E_NOMEM: it has failed,
 * unless its action is still SPLIT.  *OUT is NULL then.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_split(sotto_handshake *hs,
                                                           sotto_transport **out,
                                                           sotto_error *error);
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_handshake_split_datagrams(sotto_handshake *hs,
                                                                     sotto_datagrams **out,
                                                                     sotto_error *error);

/* ---- Ordered transport (Noise 5.1, 11.3) ----------------------------------------------------- */

/*
 * For carriers that keep the order and lose nothing, TCP for instance: both sides count, and no
 * nonce is sent.  A message that does not decrypt was tampered with, or the carrier lost one: the
 * program should end the session.
 *
 * These functions, and those for datagrams, have no words for their errors: each code has one
 * meaning.
 */

/*
 * EncryptWithAd(): PLAINTEXT becomes PLAINTEXT.len + 16 bytes at MESSAGE, which is the place of the
 * plaintext itself, or does not overlap it.
 *
 * E_USAGE: a one-way pattern lets this side only receive; an argument is NULL or the places
 * overlap.  E_BUFFER.  E_TOO_LARGE: more than SOTTO_NOISE_TRANSPORT_MAX.  E_CRYPTO, E_NOMEM:
 * MESSAGE is wiped.  The counter moves on success only.
 * E_NONCE: 2^64 - 1 messages were sent, and the session has to end (Noise 5.1); or 2^56 bytes with
 * one key of AESGCM (Noise 14), and it has to end or be rekeyed.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_transport_encrypt(sotto_transport *transport,
                                                             sotto_ad ad, sotto_bytes plaintext,
                                                             sotto_room *message);

/*
 * DecryptWithAd(): MESSAGE becomes MESSAGE.len - 16 bytes at PLAINTEXT, which is the place of the
 * message itself, or does not overlap it.
 *
 * E_AUTH: forged, altered, out of order, too short or too long.  The counter has not moved, so the
 * genuine message is still accepted (from another copy, if this one was decrypted in its place).
 * E_USAGE, E_BUFFER, E_NONCE, E_CRYPTO, E_NOMEM: as above.  After an error the MESSAGE.len - 16
 * bytes at PLAINTEXT are wiped, or untouched when nothing was tried.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_transport_decrypt(sotto_transport *transport,
                                                             sotto_ad ad, sotto_bytes message,
                                                             sotto_room *plaintext);

/*
 * Rekey() of one direction (Noise 4.2, 11.3): a new key from the old one, which is wiped; the nonce
 * goes on.  When it is done is agreed by the program: both sides between the same two messages.
 * E_USAGE: a direction that a one-way pattern does not have.  E_CRYPTO, E_NOMEM: nothing has
 * changed.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_transport_rekey_sending(sotto_transport *transport);
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_transport_rekey_receiving(sotto_transport *transport);

/* The nonce of the next message: how many were encrypted or decrypted so far. */
SOTTO_API uint64_t sotto_transport_sending_nonce(const sotto_transport *transport);
SOTTO_API uint64_t sotto_transport_receiving_nonce(const sotto_transport *transport);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_transport_free(sotto_transport *transport);

/* ---- Datagrams (Noise 11.4) ------------------------------------------------------------------ */

/*
 * For carriers that lose, repeat or reorder, UDP for instance: the nonce goes with each message,
 * and the receiver remembers which it has seen.  Each is accepted at most once, in any order, as
 * long as it is not SOTTO_DATAGRAM_WINDOW or more behind the largest one so far.  What is lost is
 * not noticed: the program counts where that matters.
 */
enum { SOTTO_DATAGRAM_WINDOW = 4032 };

/*
 * As sotto_transport_encrypt(); *NONCE is the nonce that was used, which has to reach the receiver
 * with the message, as 8 bytes for instance.  It need not be secret, and is authenticated by its
 * use.  The library counts it, so that none is used twice.  NONCE must not be NULL (E_USAGE).
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_datagrams_encrypt(sotto_datagrams *datagrams,
                                                             sotto_ad ad, sotto_bytes plaintext,
                                                             sotto_room *message, uint64_t *nonce);

/*
 * As sotto_transport_decrypt(), with the NONCE that came along.  E_REPLAY: a message with that
 * nonce was accepted before, or it is too old to know.  E_NONCE: it is 2^64 - 1, which is reserved.
 * Only a genuine message is remembered, so a forgery can neither use up a nonce nor move the
 * window.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_datagrams_decrypt(sotto_datagrams *datagrams,
                                                             uint64_t nonce, sotto_ad ad,
                                                             sotto_bytes message,
                                                             sotto_room *plaintext);

/*
 * Rekey() as for a transport.  What was encrypted with the old key and arrives later no longer
 * decrypts (E_AUTH), so the program marks which key a message belongs to, or ends the session after
 * some time instead.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_datagrams_rekey_sending(sotto_datagrams *datagrams);
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_datagrams_rekey_receiving(sotto_datagrams *datagrams);

/* The nonce of the next message that is sent. */
SOTTO_API uint64_t sotto_datagrams_sending_nonce(const sotto_datagrams *datagrams);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_datagrams_free(sotto_datagrams *datagrams);

#ifdef __cplusplus
}
#endif
#endif
