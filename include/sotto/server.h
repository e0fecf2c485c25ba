/*
 * sotto/server.h: a server with endpoints.
 *
 * A sotto_server listens on one address with N worker threads, gives every client its bootstrap and
 * its session, and calls C functions for the endpoints.  It is a library: it touches no signals,
 * prints nothing, never exits, and keeps no global state.
 *
 * Threads: make, configure, start and free a server in one thread.  Handlers run on the worker
 * threads, several at once; calls of one connection start in order on one thread.  A handler must
 * not block: whoever needs time returns and answers later, from any thread.  sotto_answer*(),
 * sotto_server_drain() and the queries may be called from any thread.  Times are in milliseconds,
 * sizes in bytes.
 */
#ifndef SOTTO_SERVER_H
#define SOTTO_SERVER_H

#include "sotto/error.h"
#include "sotto/identity.h"
#include "sotto/key.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sotto_server sotto_server;

/* Who calls.  Borrowed: lives as long as the handler's call. */
typedef struct sotto_peer {
    const char *address; /* "127.0.0.1:50312" */
    sotto_curve curve;   /* of the session */
    sotto_cipher cipher;
    /* identity key that the handshake proved and the server knows, or NULL */
    const sotto_public_key *key;
    const char *name;    /* its name in the file of known clients, or "" */
    uint64_t connection; /* number of the connection, unique in this server */
} sotto_peer;

/* A call that waits for its answer: a plain value, to be copied freely.  It stays harmless as
 * long as the server lives: answering twice, too late, or after the client is gone does nothing. */
typedef struct sotto_call {
    uint64_t slot;
    uint64_t generation;
} sotto_call;

/* What a handler gets.  Pointers live until the handler returns; copy what is needed longer. */
typedef struct sotto_request {
    sotto_server *server;
    sotto_call call;
    const char *endpoint; /* NUL-terminated */
    /* strict JSON text of any type, not NUL-terminated; "null" when there was none */
    const char *content;
    size_t content_len;
    uint32_t deadline_ms; /* how long the client waits, from now; 0: not said */
    int notification;     /* nobody waits for an answer */
    const sotto_peer *peer;
} sotto_request;

/* Handle one request: answer now, or keep request->call and answer later. */
typedef void sotto_handler(void *user, const sotto_request *request);

/*
 * The call is over without the handler's answer; told at most once for a call.  REASON is E_TIMEOUT
 * (its deadline passed and was answered so), E_GONE (the connection ended) or E_CANCELLED (the
 * client asked): then an answer is still welcome.  An endpoint without this function answers a
 * cancel with `cancelled` at once.  On the worker's thread; answering other calls is allowed here.
 */
typedef void sotto_call_over(void *user, sotto_server *server, sotto_call call, sotto_err reason);

/* Set SIZE with SOTTO_SERVER_OPTIONS_INIT; 0 or NULL means the default in brackets. */
typedef struct sotto_server_options {
    size_t size;
    /* "host:port"; port 0: the kernel chooses [127.0.0.1:7448] */
    const char *listen;
    /* at most one for each curve, at least one; borrowed until the server is freed */
    const sotto_keypair *keys[SOTTO_CURVE_COUNT];
    const sotto_secrets *secrets;  /* with a server string; read at creation [built-in ones] */
    int allow_default_secrets;     /* listen on more than loopback with public secrets */
    int gate;                      /* XXpsk0 bootstraps only */
    sotto_client_auth client_auth; /* [NONE] */
    /* for OPTIONAL and REQUIRED; borrowed until the server is freed */
    const sotto_known_clients *clients;
    unsigned workers;              /* threads, 1 to 256 [one a processor, at most 16] */
    uint32_t handshake_timeout_ms; /* [5000] */
    uint32_t keepalive_ms;         /* told to clients [30000] */
    uint32_t max_message;          /* largest message taken, 1024 to 2^32-1 [1048576] */
    uint32_t max_connections;      /* of the whole server [4096] */
    uint32_t max_unauthenticated;  /* of these, before their handshake is done [1024] */
    uint32_t max_calls;            /* in flight for one connection [1024] */
    /* bytes waiting for one slow client before its requests wait, too; answers to calls in flight
     * go on piling up to 16 times of it, then the connection ends [4194304] */
    uint32_t max_output;
    uint32_t call_timeout_ms; /* an unanswered call ends with deadline_exceeded [60000] */
    const char *agent;        /* told to clients, at most 128 bytes ["sotto/VERSION"] */
} sotto_server_options;

#define SOTTO_SERVER_OPTIONS_INIT SOTTO_SIZED(sotto_server_options)

/*
 * Make a server.  Chooses server_id and salt_index and derives the PSKs (some milliseconds a
 * curve); nothing listens yet.  The caller frees *OUT.
 *
 * E_USAGE: no key, two on one curve, secrets without server string, an option out of range.
 * E_DEFAULT_SECRETS: public secrets and an address that is not loopback, without
 * allow_default_secrets.
 * E_FORMAT: listen is no address.  E_RESOLVE, E_NOMEM, E_RANDOM, E_CRYPTO.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_server_new(const sotto_server_options *options,
                                                      sotto_server **out, sotto_error *error);

/*
 * Register an endpoint; before sotto_server_start() only.  NAME: 1 to 128 bytes of A-Z a-z 0-9 . _
 * / -, copied.  OVER may be NULL.
 *
 * E_USAGE: a bad name (such as one that begins with "$/"), or the server runs.  E_EXISTS.  E_NOMEM.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_server_endpoint(sotto_server *server, const char *name,
                                                           sotto_handler *handler,
                                                           sotto_call_over *over, void *user);

/* Bind, listen and start the workers.  E_SYSTEM: the address is in use or not ours (ERROR says
 * which), no threads; E_NOMEM; E_USAGE: started already.  The server can be freed, or started
 * again, after an error. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_server_start(sotto_server *server, sotto_error *error);

/* Where it listens, "127.0.0.1:41234", with the port that the kernel chose.  "" before the
 * start. */
SOTTO_API const char *sotto_server_address(const sotto_server *server);

/*
 * Finish: listen no more, tell clients, answer the calls in flight, end sessions; at the latest
 * after TIMEOUT_MS everything is closed.  Returns at once; sotto_server_wait() waits for the end.
 * A second call with a shorter time is allowed.  Any thread.
 */
SOTTO_API void sotto_server_drain(sotto_server *server, uint32_t timeout_ms);

/* Wait until the server has ended after a drain; one thread, once.  E_USAGE when it was not
 * started. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_server_wait(sotto_server *server);

/* End everything at once, wait for the workers, wipe and release.  NULL is allowed.  Never from a
 * handler; nobody may answer, drain or query meanwhile or later. */
SOTTO_API void sotto_server_free(sotto_server *server);

/* What happened so far. */
typedef struct sotto_server_stats {
    uint64_t connections;       /* accepted */
    uint64_t bootstraps;        /* documents sent */
    uint64_t sessions;          /* sessions established */
    uint64_t requests;          /* requests and notifications */
    uint64_t handshakes_failed; /* connections that ended before they were authenticated */
    uint64_t refused;           /* refusals sent in the negotiation, `busy` included */
    uint64_t open;              /* connections now */
} sotto_server_stats;
SOTTO_API void sotto_server_get_stats(const sotto_server *server, sotto_server_stats *out);

/* ---- Answers --------------------------------------------------------------------------------- */

/*
 * Answer CALL with the LEN bytes of JSON text at CONTENT, copied.  In the handler, or later from
 * any thread.
 *
 * E_JSON: not strict JSON, or nested deeper than 63; the client gets `internal`.  E_TOO_LARGE: more
 * than the client takes; it gets `too_large`.  E_GONE: answered before, or the client is gone.
 * E_NOMEM: nothing was sent.  From another thread the answer is only handed over: SOTTO_OK then
 * says nothing of these, only E_NOMEM is told.
 */
SOTTO_API sotto_err sotto_answer(sotto_server *server, sotto_call call, const char *content,
                                 size_t len);

/* One part of an answer in several; sotto_answer() sends the last one. */
SOTTO_API sotto_err sotto_answer_part(sotto_server *server, sotto_call call, const char *content,
                                      size_t len);

/*
 * Answer with an error.  CODE is one of docs/protocol.md section 7, or your own with a prefix and a
 * dot ("billing.no_credit"), 1 to 128 bytes of a-z 0-9 _ . and '-'; MESSAGE is UTF-8 text or NULL.
 * E_USAGE: bad code, the client gets `internal`; or MESSAGE is not UTF-8, and is left out.
 */
SOTTO_API sotto_err sotto_answer_error(sotto_server *server, sotto_call call, const char *code,
                                       const char *message);

#ifdef __cplusplus
}
#endif
#endif
