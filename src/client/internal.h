/*
 * client/internal.h: what the files of the client share.
 *
 *     client.c    the object, calls
 *     words.c     trace and errors
 *     steps.c     what stands before a call: bootstrap, trust, PSK, session
 *     wire.c      one connection: stream and session joined, driven until something has happened
 *
 * A client runs its own loop only inside its functions; between calls nothing runs.
 */
#ifndef SI_CLIENT_INTERNAL_H
#define SI_CLIENT_INTERNAL_H

#include <stdbool.h>

#include "base/error.h"
#include "identity/cache.h"
#include "net/net.h"
#include "rpc/pending.h"
#include "session/scratch.h"
#include "sotto/client.h"
#include "sotto/session.h"

enum { SI_ADDRESSES_MAX = 16, SI_CLIENT_PATH_SIZE = 4096 };

/* One connection to the server.  Its fields say what has happened so far; si_wire_wait() runs the
 * loop until one of them changes. */
struct si_wire {
    struct sotto_client *client;
    struct si_stream *stream;
    sotto_session *session;     /* from the connection on */
    struct si_pending *pending; /* from the session's opening on */
    bool connected;
    bool key_shown;  /* bootstrap: a verdict on `server_key` is due */
    bool documented; /* bootstrap: `bootstrap` is there */
    bool opened;
    bool draining; /* no new calls, please */
    bool notified; /* a notification left, and no answer has come since */
    bool closed;   /* the server's close has come */
    bool over;     /* nothing more will happen; ERR says why */
    bool broken;   /* the connection itself: nothing can be sent or received */
    sotto_err err;
    int sys_errno;
    sotto_public_key server_key;
    sotto_bootstrap bootstrap; /* secret */
};

struct sotto_client {
    /* options, with defaults filled in */
    sotto_address address;
    sotto_curve curve;
    sotto_cipher cipher;
    const sotto_secrets *secrets;
    sotto_secrets *own_secrets; /* the built-in ones, when none were given */
    const sotto_keypair *identity;
    bool gate, fresh;
    char fingerprint[SOTTO_FINGERPRINT_SIZE]; /* "" for none */
    sotto_trust trust;
    sotto_client_ask *ask;
    char known_servers[SI_CLIENT_PATH_SIZE];
    char state_dir[SI_CLIENT_PATH_SIZE]; /* "" for no cache */
    char secrets_id[SOTTO_SECRETS_ID_SIZE];
    uint32_t timeout_ms, handshake_timeout_ms, max_message, max_iterations;
    sotto_client_trace *trace;
    void *user;

    struct si_loop *loop;
    struct si_timer *timer; /* wakes the loop at the nearest deadline */
    struct si_scratch scratch;
    struct si_wire *wire; /* the open session, or NULL */
    int64_t traced_at;
    sotto_client_stats stats;

    struct si_sockaddr addrs[SI_ADDRESSES_MAX];
    size_t addr_count;

    /* the last bootstrap's result, from memory or from the cache; secret */
    struct si_cached result;
    bool has_result;
    int64_t result_expires; /* INT64_MAX: not said */

    sotto_public_key accepted; /* by whoever was asked; curve 0: nobody was */

    /* of the last refusal */
    bool epoch_refused;
    uint32_t retry_after_ms;
};

/* ---- wire.c ---------------------------------------------------------------------------------- */

/* Connect to the server's addresses in turn and begin a handshake with OPTIONS.  DEADLINE as
 * everywhere here: monotonic, ns. E_RESOLVE, E_CONNECT, E_TIMEOUT, E_NOMEM, and what
 * sotto_session_client_new() returns; ERROR says which. */
SOTTO_MUST_CHECK sotto_err si_wire_open(sotto_client *client,
                                        const sotto_session_client_options *options,
                                        int64_t deadline, struct si_wire **out, sotto_error *error);

/* One turn of the loop, at most until DEADLINE.  E_TIMEOUT when that has passed already. */
SOTTO_MUST_CHECK sotto_err si_wire_step(struct si_wire *wire, int64_t deadline);

/* Run the loop until *FLAG is true.  E_TIMEOUT: DEADLINE passed; else the wire is over, and this is
 * why. */
SOTTO_MUST_CHECK sotto_err si_wire_wait(struct si_wire *wire, const bool *flag, int64_t deadline);

/* Take in what has arrived meanwhile, without waiting. */
void si_wire_poll(struct si_wire *wire);

/* Send what waits, and do what the session wants. */
void si_wire_pump(struct si_wire *wire);

/* End it.  An open session says goodbye.  With a DEADLINE in the future, wait until then, at most a
 * second, for the server to hear the last word. */
void si_wire_close(struct si_wire *wire, int64_t deadline);

/* ---- steps.c --------------------------------------------------------------------------------- */

/* Bootstrap, decide on the key, derive the PSK, pin, cache.  RESULT may be NULL. */
SOTTO_MUST_CHECK sotto_err si_client_bootstrap(sotto_client *client, int64_t *deadline,
                                               sotto_bootstrap_result *result, sotto_error *error);

/* Have a result in client->result that may be used; a bootstrap makes one, if need be. */
SOTTO_MUST_CHECK sotto_err si_client_result(sotto_client *client, int64_t *deadline,
                                            bool *bootstrapped, sotto_error *error);

/* Options for a session that follow from the result. */
sotto_session_client_options si_client_session_options(const sotto_client *client);

/* Have an open session in client->wire, by whatever steps it takes. */
SOTTO_MUST_CHECK sotto_err si_client_session(sotto_client *client, int64_t *deadline,
                                             sotto_error *error);

/* ---- words.c -------------------------------------------------------------------------------- */

/* Tell the trace, if there is one: TEXT names what is finished now. */
void si_client_trace(sotto_client *client, sotto_stage stage, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Fill ERROR for a connection that ended with ERR at STAGE.  Returns the code that the caller gets,
 * which is not always ERR: a refusal may mean `denied` or `unavailable`. */
sotto_err si_client_explain(const sotto_client *client, const struct si_wire *wire,
                            sotto_stage stage, sotto_err err, sotto_error *error);

/* The same for a call of ENDPOINT with LEN bytes of content; REPLY may be NULL. */
sotto_err si_client_explain_call(const sotto_client *client, const char *endpoint, size_t len,
                                 const sotto_reply *reply, sotto_err err, sotto_error *error);

#endif
