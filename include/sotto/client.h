/*
 * sotto/client.h: calls to a server, ten lines for the first.
 *
 * A sotto_client finds the server, bootstraps, checks its key, derives the PSK, opens the session
 * and keeps it for the next call.  Bootstrap results are cached in a file, so that the next start
 * goes straight to the session; a session that ended is opened again by the next call.  A call that
 * may have run is never sent twice.
 *
 * Threads: one thread at a time may use a client; two clients share nothing but files.  Every
 * function that waits has a time limit.  Times are in milliseconds, sizes in bytes.  No signals, no
 * output, no global state.  The clock on the wall is never asked.
 */
#ifndef SOTTO_CLIENT_H
#define SOTTO_CLIENT_H

#include "sotto/error.h"
#include "sotto/identity.h"
#include "sotto/key.h"
#include "sotto/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sotto_client sotto_client;

/* Something happened on the way to an answer, for a trace.  TEXT is one line without secrets and
 * lives during the callback; ELAPSED_US is the time since the previous event. */
typedef void sotto_client_trace(void *user, sotto_stage stage, const char *text,
                                int64_t elapsed_us);

/* Policy `ask`: nonzero to trust KEY for ADDRESS from now on.  No connection is
 * being set up meanwhile, so it may take its time. */
typedef int sotto_client_ask(void *user, const char *address, const sotto_public_key *key,
                             const char *fingerprint);

/* Set SIZE with SOTTO_CLIENT_OPTIONS_INIT; 0 or NULL means the default in brackets.  Everything is
 * copied or read during sotto_client_new(), except what is borrowed.  The callbacks must not use
 * the client. */
typedef struct sotto_client_options {
    size_t size;
    const char *address;          /* "host:port" or "sotto://FINGERPRINT@host:port" */
    sotto_curve curve;            /* [25519] */
    sotto_cipher cipher;          /* [AESGCM] */
    const sotto_secrets *secrets; /* borrowed until the client is freed [built-in ones] */
    /* on the same curve; borrowed until the client is freed [anonymous] */
    const sotto_keypair *identity;
    int gate; /* bootstrap with XXpsk0 */
    /* the server's, if known; must agree with the one in the address */
    const char *fingerprint;
    sotto_trust trust;         /* what to do with an unknown server [STRICT] */
    sotto_client_ask *ask;     /* for SOTTO_TRUST_ASK */
    const char *known_servers; /* file [sotto_known_servers_path()] */
    /* folder of cached bootstrap results, "" for no cache [$XDG_STATE_HOME/sotto/sessions or
     * $HOME/.local/state/sotto/sessions] */
    const char *state_dir;
    int fresh;                     /* ignore a cached result, and replace it */
    uint32_t timeout_ms;           /* for a call with everything before it [30000] */
    uint32_t handshake_timeout_ms; /* for one connection's handshake [5000] */
    uint32_t max_message;          /* largest message taken, 1024 to 2^32-1 [1048576] */
    uint32_t max_iterations;       /* most PBKDF2 iterations that a server may ask for [1000000] */
    sotto_client_trace *trace;
    void *user; /* for ask and trace */
} sotto_client_options;

#define SOTTO_CLIENT_OPTIONS_INIT SOTTO_SIZED(sotto_client_options)

/* Make a client; nothing is sent yet.  E_USAGE: an option is missing or out of range, fingerprints
 * differ, the identity is on another curve.  E_FORMAT: the address.  E_NOMEM, E_FILE (no home
 * folder). */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_client_new(const sotto_client_options *options,
                                                      sotto_client **out, sotto_error *error);

/* Say goodbye, wipe and release.  Does not wait for the server, except after a notification: at
 * most a second, so that it arrives.  NULL is allowed. */
SOTTO_API void sotto_client_free(sotto_client *client);

/* Answer of a call.  Free with sotto_reply_free(). */
typedef struct sotto_reply {
    char *content; /* JSON text, NUL-terminated, or NULL when the call failed */
    size_t content_len;
    /* E_CALL, E_DENIED, E_NOT_FOUND, E_UNAVAILABLE …: the server's code, else NULL */
    char *error_code;
    char *error_message; /* its text, made harmless for a terminal, or NULL */
    char *error_data;    /* JSON text, or NULL */
    /* The call failed, and the server may have run it all the same: the connection or the time
     * ended behind the request, or its answer was too large.  Do not send it again without
     * thinking. */
    int maybe_executed;
} sotto_reply;

SOTTO_API void sotto_reply_free(sotto_reply *reply);

/* One part of an answer in several: JSON text, borrowed.  Nonzero ends the call with
 * E_CANCELLED.  It must not use the client. */
typedef int sotto_client_part(void *user, const char *content, size_t len);

/* For one call; zero is right for all of it. */
typedef struct sotto_call_options {
    uint32_t timeout_ms;     /* [the client's] */
    sotto_client_part *part; /* else parts before the last are dropped */
    void *user;              /* for part */
} sotto_call_options;

/*
 * Call ENDPOINT with the LEN bytes of JSON text at CONTENT (NULL: null) and wait for the answer.
 * OPTIONS and ERROR may be NULL.
 *
 * SOTTO_OK: REPLY->content.  E_JSON: CONTENT is not strict JSON.  E_USAGE: bad endpoint name.
 * E_RESOLVE, E_CONNECT, E_LOST, E_TIMEOUT.  E_KEY_UNKNOWN, E_KEY_UNKNOWN_CURVE, E_KEY_MISMATCH,
 * E_TRUST_STORE: the trust table stopped it.
 * E_REFUSED, E_HANDSHAKE, E_PARAMETERS, E_AUTH, E_DH, E_PROTOCOL: bootstrap or session failed.
 * E_TOO_LARGE: not sent, more than the server takes; or answered, and more than we take (see
 * maybe_executed).  E_NOT_FOUND, E_DENIED, E_UNAVAILABLE, E_CANCELLED, E_CALL: the server's error
 * answer.  E_UNAVAILABLE also when the server is busy or takes nothing any more.  E_NOMEM,
 * E_SYSTEM, E_CRYPTO, E_RANDOM.  The client stays usable after every error.
 *
 * The time limit holds for everything, with one exception: another process that holds the lock of
 * known_servers is waited for up to 5 s when a key has to be pinned.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_client_call(sotto_client *client, const char *endpoint,
                                                       const char *content, size_t len,
                                                       const sotto_call_options *options,
                                                       sotto_reply *reply, sotto_error *error);

/* Send a notification: no answer, and no word on whether it arrived.  Errors as above. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_client_notify(sotto_client *client, const char *endpoint,
                                                         const char *content, size_t len,
                                                         sotto_error *error);

/* What a bootstrap taught: for showing.  The server string is not in it. */
typedef struct sotto_bootstrap_result {
    sotto_public_key server_key;
    sotto_public_key other_keys[SOTTO_CURVE_COUNT]; /* by curve - 1; curve 0 in a slot means none */
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    uint8_t server_id[SOTTO_SERVER_ID_LEN];
    uint8_t epoch[SOTTO_EPOCH_LEN];
    uint32_t salt_index;
    uint32_t iterations;
    uint32_t expires_in_s;   /* 0: not said */
    const char *client_auth; /* "none", "optional", "required": lives for ever */
    int pinned_now;          /* the key was not known before and is pinned now */
} sotto_bootstrap_result;

/* Only the first step: bootstrap, check the key, pin it, derive the PSK and cache the result.
 * RESULT may be NULL. Errors as for a call. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_client_bootstrap(sotto_client *client,
                                                            sotto_bootstrap_result *result,
                                                            sotto_error *error);

/*
 * For a program that drives its sessions itself, with sotto/session.h and a loop of its own: have a
 * bootstrap result that may be used (from memory, from the cache, else by a bootstrap now) and fill
 * OPTIONS for sotto_session_client_new(), any number of sessions.  What OPTIONS points to is
 * borrowed from CLIENT, until the next function that takes it other than const.  A session that the
 * server refuses with `unknown_epoch` wants sotto_client_bootstrap() and new options.  Errors as
 * for a call.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_client_session_options(
    sotto_client *client, sotto_session_client_options *options, sotto_error *error);

/* Counters, for tests and traces. */
typedef struct sotto_client_stats {
    uint64_t bootstraps; /* bootstrap connections made */
    uint64_t sessions;   /* session handshakes finished */
    uint64_t calls;
} sotto_client_stats;
SOTTO_API void sotto_client_get_stats(const sotto_client *client, sotto_client_stats *out);

#ifdef __cplusplus
}
#endif
#endif
