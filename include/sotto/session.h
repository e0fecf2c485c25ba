/*
 * sotto/session.h: one connection, without any I/O.
 *
 * A sotto_session turns bytes from the peer into events and messages, and messages into bytes for
 * the peer: frames, negotiation, bootstrap, handshake, records, rekey, keep-alive, close, and every
 * limit of docs/protocol.md, sections 2 to 7 up to the message.  It reads no socket, no clock and
 * no file: the caller moves the bytes and says what time it is.  sotto/server.h and sotto/client.h
 * drive this very object; so can any event loop.
 *
 * Times are nanoseconds from any fixed start, never going backwards.  Sizes are in bytes.  One
 * thread at a time may use a session; sessions share nothing but their acceptor, which is
 * read-only.
 *
 * The loop of a caller:
 *
 *     want = sotto_session_want(s);
 *     WANT_EVENT      sotto_session_next() until it returns E_AGAIN
 *     WANT_VERDICT    the server's key is there: sotto_session_accept_key(), or give up and free
 *     WANT_OUTPUT     sotto_session_output(), send, sotto_session_sent()
 *     WANT_SHUTDOWN   shut down the sending side, sotto_session_shut()
 *     WANT_INPUT      receive, sotto_session_feed() or sotto_session_eof()
 *     WANT_FREE       close the connection, sotto_session_free()
 *
 * and sotto_session_tick() at the time of sotto_session_deadline().
 *
 * Failure is final: the first error is kept (sotto_session_error()) and the keys are wiped.  There
 * may still be output to send (a refusal, a close): go on with the loop until WANT_FREE.
 */
#ifndef SOTTO_SESSION_H
#define SOTTO_SESSION_H

#include "sotto/error.h"
#include "sotto/identity.h"
#include "sotto/key.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sotto_session sotto_session;
typedef struct sotto_acceptor sotto_acceptor;

#define SOTTO_TIME_NEVER INT64_MAX

enum {
    SOTTO_MESSAGE_MAX_DEFAULT = 1048576,
    SOTTO_MESSAGE_MAX_LEAST = 1024,
    SOTTO_HANDSHAKE_TIMEOUT_MS = 5000,
    SOTTO_KEEPALIVE_MS = 30000,
    SOTTO_OUTPUT_MAX_DEFAULT = 4194304,
    SOTTO_AGENT_MAX = 128,
    SOTTO_RECORD_BODY_MAX = 65517 /* docs/protocol.md, section 2 */
};

/* What a session waits for; bits.  WANT_FREE comes alone. */
typedef enum sotto_want {
    SOTTO_WANT_INPUT = 1,
    SOTTO_WANT_OUTPUT = 2,
    SOTTO_WANT_VERDICT = 4,
    SOTTO_WANT_EVENT = 8,
    SOTTO_WANT_SHUTDOWN = 16,
    SOTTO_WANT_FREE = 32
} sotto_want;

/* ---- Making one ------------------------------------------------------------------------------ */

typedef enum sotto_purpose { SOTTO_BOOTSTRAP = 1, SOTTO_SESSION = 2 } sotto_purpose;

/* Zero means the default in brackets.  Pointers are read during the call only. */
typedef struct sotto_session_client_options {
    size_t size; /* SOTTO_SESSION_CLIENT_OPTIONS_INIT */
    sotto_purpose purpose;
    sotto_curve curve;
    sotto_cipher cipher;
    const sotto_keypair *identity;      /* on this curve [none] */
    const sotto_psk *gate;              /* bootstrap: XXpsk0 with this PSK [XX] */
    const sotto_public_key *server_key; /* session: the trusted key */
    const sotto_psk *psk;               /* session */
    uint8_t epoch[SOTTO_EPOCH_LEN];     /* session */
    uint32_t max_message;               /* largest message taken [1048576] */
    uint32_t handshake_timeout_ms;      /* from sotto_session_client_new() [5000] */
    uint32_t max_output;                /* bytes waiting before E_AGAIN [4194304] */
    /* bytes that are readable behind all input that is fed [0] */
    uint32_t input_padding;
} sotto_session_client_options;

#define SOTTO_SESSION_CLIENT_OPTIONS_INIT SOTTO_SIZED(sotto_session_client_options)

/* A client's end, at time NOW (the connection is established).  E_USAGE: an option is missing or
 * out of range; E_DH: the server's key is a low-order point; E_NOMEM, E_CRYPTO, E_RANDOM.  Output
 * waits at once. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_client_new(
    const sotto_session_client_options *options, int64_t now, sotto_session **out);

/* What a server has on one curve. */
typedef struct sotto_acceptor_curve {
    const sotto_keypair *key; /* borrowed as long as the acceptor; NULL: this curve is not served */
    sotto_psk psk;
    sotto_psk gate; /* with `gate` only */
} sotto_acceptor_curve;

/* The name of a known client's key, or NULL.  Called on the session's thread; the name lives as
 * long as the acceptor. */
typedef const char *sotto_client_lookup(void *user, const sotto_public_key *key);

typedef struct sotto_acceptor_options {
    size_t size;                                    /* SOTTO_ACCEPTOR_OPTIONS_INIT */
    sotto_acceptor_curve curves[SOTTO_CURVE_COUNT]; /* [0]: 25519, [1]: 448 */
    int gate;                                       /* XXpsk0 only, instead of XX */
    sotto_psk_parameters parameters;                /* for the bootstrap document */
    uint8_t epoch[SOTTO_EPOCH_LEN];                 /* of parameters.server_id: sotto_epoch() */
    uint32_t expires_in_s;                          /* [not said] */
    sotto_client_auth client_auth;                  /* [NONE] */
    sotto_client_lookup *client_lookup;             /* for OPTIONAL and REQUIRED */
    void *user;                                     /* for client_lookup */
    uint32_t max_message;                           /* [1048576] */
    uint32_t keepalive_ms;                          /* [30000] */
    uint32_t handshake_timeout_ms;                  /* [5000] */
    uint32_t max_output;                            /* [4194304] */
    uint32_t input_padding;                         /* [0] */
    const char *agent;                              /* at most 128 bytes, copied [none] */
} sotto_acceptor_options;

#define SOTTO_ACCEPTOR_OPTIONS_INIT SOTTO_SIZED(sotto_acceptor_options)

/* What all connections of a server have in common: made once, read-only, shared by threads.
 * E_USAGE, E_NOMEM, E_CRYPTO. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_acceptor_new(const sotto_acceptor_options *options,
                                                        sotto_acceptor **out);
/* after its sessions; wipes; NULL allowed */
SOTTO_API void sotto_acceptor_free(sotto_acceptor *acceptor);

/* A server's end, at time NOW (the connection is accepted).  Whether it becomes a bootstrap or a
 * session is the client's first frame to say.  ACCEPTOR must outlive it.  E_NOMEM. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_server_new(const sotto_acceptor *acceptor,
                                                              int64_t now, sotto_session **out);

/* Server, before it has answered: refuse with `busy` and end.  RETRY_AFTER_MS is a hint for the
 * client, 0 for none. E_USAGE: too late; E_NOMEM. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_refuse_busy(sotto_session *session,
                                                               uint32_t retry_after_ms);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_session_free(sotto_session *session);

/* ---- Moving bytes and time ------------------------------------------------------------------- */

/* Bits of sotto_want, as of now. */
SOTTO_API unsigned sotto_session_want(const sotto_session *session);

/*
 * Give LEN bytes from the peer, at time NOW.  DATA is decrypted in place, so its contents are lost.
 * *TAKEN says how many were used: fewer than LEN when an event has to be fetched, or a verdict
 * given, before the rest may be offered again.  DATA must stay as it is until the events of this
 * call are fetched: messages point into it.
 *
 * E_PROTOCOL (a message above the limit, too: seen on its length), E_AUTH, E_DH, E_TIMEOUT,
 * E_NOMEM, E_NONCE, E_CRYPTO; on a client also E_REFUSED, E_DENIED: the session has failed; *TAKEN
 * means nothing then, and sotto_session_want() says what is left to do.  E_CLOSED: it had ended
 * before. A server that refuses or denies takes its input as usual; sotto_session_error() tells.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_feed(sotto_session *session, uint8_t *data,
                                                        size_t len, size_t *taken, int64_t now);

/* The peer's end of stream; fetch the events first.  SOTTO_OK when it was due; E_LOST (E_HANDSHAKE
 * for a client whose handshake was not answered): the session has failed. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_eof(sotto_session *session, int64_t now);

/* Bytes to send: *LEN at *DATA, 0 when there are none.  What was queued is sealed now, at time NOW.
 * They live until the next call that takes the session.  E_NONCE, E_CRYPTO. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_output(sotto_session *session,
                                                          const uint8_t **data, size_t *len,
                                                          int64_t now);

/* LEN of these bytes have been sent. */
SOTTO_API void sotto_session_sent(sotto_session *session, size_t len);

/* How many bytes wait to be sent, sealed or not, answers to keep-alives included.  A caller that
 * does not get rid of them must stop feeding, or the session's output grows with the input. */
SOTTO_API size_t sotto_session_output_waiting(const sotto_session *session);

/* The sending side of the connection has been shut down, at time NOW. */
SOTTO_API void sotto_session_shut(sotto_session *session, int64_t now);

/* When sotto_session_tick() is due, or SOTTO_TIME_NEVER. */
SOTTO_API int64_t sotto_session_deadline(const sotto_session *session);

/* Time has passed.  E_TIMEOUT: the handshake took too long; E_LOST: the peer is silent (a close was
 * queued). */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_tick(sotto_session *session, int64_t now);

/* ---- Events ---------------------------------------------------------------------------------- */

typedef enum sotto_event_type {
    /* client's bootstrap: XX showed the server's key; a verdict is due */
    SOTTO_EVENT_SERVER_KEY = 1,
    SOTTO_EVENT_BOOTSTRAP, /* client: the checked bootstrap document; the connection is done */
    /* messages may flow; on a server, the client has proved to be alive */
    SOTTO_EVENT_OPEN,
    SOTTO_EVENT_MESSAGE /* one message */
} sotto_event_type;

/* A checked bootstrap document (docs/protocol.md, section 4). */
typedef struct sotto_bootstrap {
    /* salt_index and iterations are checked by sotto_psk_derive() */
    sotto_psk_parameters parameters;
    sotto_public_key server_key;                    /* the key that XX proved */
    sotto_public_key other_keys[SOTTO_CURVE_COUNT]; /* by curve - 1; curve 0 in a slot means none */
    uint32_t expires_in_s;                          /* 0: not said */
    sotto_client_auth client_auth;
} sotto_bootstrap;

typedef struct sotto_event {
    sotto_event_type type;
    const uint8_t *data; /* MESSAGE: its text; not yet checked to be JSON */
    size_t len;
    const sotto_public_key *key;      /* SERVER_KEY */
    const sotto_bootstrap *bootstrap; /* BOOTSTRAP; lives as long as the session, and is secret */
} sotto_event;

/* Fetch the next event, or E_AGAIN.  A message's text is borrowed until the next
 * sotto_session_next(), sotto_session_feed() or sotto_session_free(): so it may be sent back
 * meanwhile. Behind it SOTTO_MESSAGE_PADDING more bytes are readable.  Errors as for feed. */
enum { SOTTO_MESSAGE_PADDING = 32 };
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_next(sotto_session *session, sotto_event *event);

/* The caller trusts the server's key: finish the bootstrap.  E_USAGE when no verdict is due. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_accept_key(sotto_session *session);

/* ---- Messages -------------------------------------------------------------------------------- */

/* A piece of a message. */
typedef struct sotto_piece {
    const void *ptr;
    size_t len;
} sotto_piece;

/*
 * Queue one message: the COUNT pieces one behind the other, copied.  It leaves with the next
 * output, in one record with whatever else is waiting.
 *
 * E_TOO_LARGE: empty, or more than the peer takes; E_AGAIN: too much is waiting already; E_USAGE:
 * the session is not open, or a close was queued; E_NOMEM.  Nothing is queued then, and the session
 * goes on.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_send(sotto_session *session,
                                                        const sotto_piece *pieces, size_t count);

/*
 * Queue a close, the last message, with CODE (at most 128 bytes) and a MESSAGE (NULL: none; left
 * out when the whole would be longer than 1024 bytes); RECONNECT_AFTER_MS goes with code
 * "draining".  A client reads on until sotto_session_peer_closed().  E_USAGE: not open.  E_NOMEM,
 * E_NONCE, E_CRYPTO: the session has failed.  A second close is ignored.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_session_close(sotto_session *session, const char *code,
                                                         const char *message,
                                                         uint32_t reconnect_after_ms);

/* The peer's close was among the messages: what follows is ignored, and its end of stream is due.
 * We still owe ours: a server sotto_session_close() when all calls are answered, a client at once.
 * Until then sotto_session_want() may be 0. */
SOTTO_API void sotto_session_peer_closed(sotto_session *session);

/* A message broke the rules of docs/protocol.md, section 7: tell the peer, and end.  Returns
 * E_PROTOCOL. */
SOTTO_API sotto_err sotto_session_broken(sotto_session *session);

/* ---- Looking --------------------------------------------------------------------------------- */

/* The first error, or SOTTO_OK. */
SOTTO_API sotto_err sotto_session_error(const sotto_session *session);

/* E_REFUSED, E_DENIED: the code and the text (made harmless) that the peer gave; "" else.
 * retry_after_ms: 0 when not said. */
SOTTO_API const char *sotto_session_refusal_code(const sotto_session *session);
SOTTO_API const char *sotto_session_refusal_message(const sotto_session *session);
SOTTO_API uint32_t sotto_session_refusal_retry_ms(const sotto_session *session);

/* What the connection is: 0 as long as a server does not know. */
SOTTO_API sotto_purpose sotto_session_purpose(const sotto_session *session);

/* True from SOTTO_EVENT_OPEN (server: the first frame decrypted; bootstrap: never) until the
 * end. */
SOTTO_API int sotto_session_is_open(const sotto_session *session);

/* Of the negotiation; 0 before it. */
SOTTO_API sotto_curve sotto_session_curve(const sotto_session *session);
SOTTO_API sotto_cipher sotto_session_cipher(const sotto_session *session);

/* "Noise_NKpsk0_25519_AESGCM_SHA256", NUL-terminated; "" before the negotiation. */
enum { SOTTO_NOISE_NAME_SIZE = 64 };
SOTTO_API void sotto_session_noise_name(const sotto_session *session,
                                        char out[SOTTO_NOISE_NAME_SIZE]);

/* Server: the client's identity key and name, once the session is open and the key is known; else
 * NULL. */
SOTTO_API const sotto_public_key *sotto_session_client_key(const sotto_session *session);
SOTTO_API const char *sotto_session_client_name(const sotto_session *session);

/* The largest message that the peer takes. */
SOTTO_API uint32_t sotto_session_peer_max_message(const sotto_session *session);

/* The handshake hash (Noise 11.2) once the handshake is finished: 32 or 64 bytes for channel
 * binding, not secret; *LEN is 0 before. */
SOTTO_API const uint8_t *sotto_session_handshake_hash(const sotto_session *session, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
