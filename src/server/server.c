#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "server/internal.h"
#include "sotto/version.h"

enum {
    WORKERS_MAX = 256,
    WORKERS_DEFAULT_MAX = 16,
    DEFAULT_MAX_CONNECTIONS = 4096,
    DEFAULT_MAX_UNAUTHENTICATED = 1024,
    DEFAULT_MAX_CALLS = 1024,
    DEFAULT_CALL_TIMEOUT_MS = 60000
};

static const char default_listen[] = "127.0.0.1:7448";

/* ---- Options --------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static sotto_err usage(sotto_error *error, const char *why)
{
    (void)si_error(error, SOTTO_E_USAGE, "cannot make a server");
    si_error_why(error, "%s", why);
    return SOTTO_E_USAGE;
}

static sotto_err check_options(const sotto_server_options *o, sotto_error *error)
{
    bool any = false;

    if (o->size != sizeof *o)
        return usage(error, "the options were not set up with SOTTO_SERVER_OPTIONS_INIT");
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        any = any || o->keys[i] != NULL;
        for (size_t j = 0; j < i; j++) {
            if (o->keys[i] != NULL && o->keys[j] != NULL &&
                sotto_keypair_public(o->keys[i]).curve == sotto_keypair_public(o->keys[j]).curve)
                return usage(error, "two keys on one curve");
        }
    }
    if (!any)
        return usage(error, "no key pair was given");
    if (o->workers > WORKERS_MAX)
        return usage(error, "more than 256 workers");
    if (o->max_message != 0 && o->max_message < SOTTO_MESSAGE_MAX_LEAST)
        return usage(error, "max_message is below 1024");
    if (o->agent != NULL && strlen(o->agent) > SOTTO_AGENT_MAX)
        return usage(error, "agent is longer than 128 bytes");
    if (o->client_auth > SOTTO_CLIENT_AUTH_REQUIRED)
        return usage(error, "client_auth is none of its values");
    if (o->client_auth != SOTTO_CLIENT_AUTH_NONE && o->clients == NULL)
        return usage(error, "client_auth needs known clients");
    return SOTTO_OK;
}

static unsigned default_workers(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < 1)
        return 1;
    return processors > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (unsigned)processors;
}

static void take_limits(sotto_server *server, const sotto_server_options *o)
{
    server->clients = o->clients;
    server->worker_count = o->workers != 0 ? o->workers : default_workers();
    server->limits = (struct si_limits){
        .max_connections = or_default(o->max_connections, DEFAULT_MAX_CONNECTIONS),
        .max_unauthenticated = or_default(o->max_unauthenticated, DEFAULT_MAX_UNAUTHENTICATED),
        .max_calls = or_default(o->max_calls, DEFAULT_MAX_CALLS),
        .max_output = or_default(o->max_output, SOTTO_OUTPUT_MAX_DEFAULT),
        .call_timeout_ms = or_default(o->call_timeout_ms, DEFAULT_CALL_TIMEOUT_MS),
    };
}

static sotto_err take_address(sotto_server *server, const char *listen, sotto_error *error)
{
    sotto_address address;
    size_t count;
    sotto_err err = sotto_address_parse(listen != NULL ? listen : default_listen, &address, error);

    if (err != SOTTO_OK)
        return err;
    if (address.fingerprint[0] != '\0')
        return usage(error,
                     "a fingerprint in the address to listen on: the key pair says who we are");
    return si_resolve_now(address.host, address.port, &server->listen, 1, &count, error);
}

/* Secrets that everybody knows are for trying out on one machine (protocol section 5 gives a PSK
 * its worth by them). */
static sotto_err check_secrets(const sotto_server *server, const sotto_server_options *o,
                               const sotto_secrets *secrets, sotto_error *error)
{
    char address[64];

    if (!sotto_secrets_for_server(secrets))
        return usage(error, "these are client secrets: the server string is missing");
    if (!sotto_secrets_are_public(secrets) || o->allow_default_secrets ||
        si_sockaddr_is_loopback(&server->listen))
        return SOTTO_OK;
    si_sockaddr_format(&server->listen, address, sizeof address);
    (void)si_error(error, SOTTO_E_DEFAULT_SECRETS, "refusing to listen on %s", address);
    si_error_why(error,
                 "everybody knows the built-in secrets, and %s can be reached from elsewhere",
                 address);
    si_error_hint(error,
                  "make your own: sotto secrets new DIR; sotto serve --secrets DIR/server.json");
    return SOTTO_E_DEFAULT_SECRETS;
}

/* ---- PSKs and acceptor ----------------------------------------------------------------------- */

static const char *client_lookup(void *user, const sotto_public_key *key)
{
    return sotto_known_clients_find(user, key);
}

/* Each PSK once, here (protocol section 5): never on a connection's path. */
static sotto_err derive(const sotto_secrets *secrets, const sotto_server_options *o,
                        sotto_acceptor_options *a)
{
    sotto_err err;

    if ((err = sotto_psk_parameters_new(secrets, &a->parameters)) != SOTTO_OK ||
        (err = sotto_epoch(a->parameters.server_id, a->epoch)) != SOTTO_OK)
        return err;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        sotto_acceptor_curve *curve;
        sotto_curve id;

        if (o->keys[i] == NULL)
            continue;
        id = sotto_keypair_public(o->keys[i]).curve;
        curve = &a->curves[id - 1];
        curve->key = o->keys[i];
        /* The server's own iterations are its own choice, so they are their own limits. */
        err = sotto_psk_derive(secrets, id, &a->parameters, a->parameters.iterations,
                               a->parameters.iterations, &curve->psk);
        if (err == SOTTO_OK && o->gate)
            err = sotto_gate_derive(secrets, id, &curve->gate);
    }
    return err;
}

static sotto_err make_acceptor(sotto_server *server, const sotto_server_options *o,
                               const sotto_secrets *secrets)
{
    sotto_acceptor_options a = SOTTO_ACCEPTOR_OPTIONS_INIT;
    sotto_err err;

    a.gate = o->gate;
    a.client_auth = o->client_auth;
    a.client_lookup = o->client_auth != SOTTO_CLIENT_AUTH_NONE ? client_lookup : NULL;
    a.user = (void *)(uintptr_t)o->clients; /* the look-up only reads */
    a.max_message = o->max_message;
    a.keepalive_ms = o->keepalive_ms;
    a.handshake_timeout_ms = o->handshake_timeout_ms;
    a.max_output = UINT32_MAX; /* the connection has limits of its own */
    a.input_padding = SI_STREAM_PADDING;
    a.agent = o->agent != NULL ? o->agent : "sotto/" SOTTO_VERSION;
    err = derive(secrets, o, &a);
    if (err == SOTTO_OK)
        err = sotto_acceptor_new(&a, &server->acceptor);
    si_wipe(&a, sizeof a);
    return err;
}

static sotto_err set_up(sotto_server *server, const sotto_server_options *o, sotto_error *error)
{
    sotto_secrets *builtin = NULL;
    sotto_err err;

    take_limits(server, o);
    if ((err = take_address(server, o->listen, error)) != SOTTO_OK)
        return err;
    if (o->secrets == NULL && (err = sotto_secrets_builtin(&builtin, error)) != SOTTO_OK)
        return err;
    err = check_secrets(server, o, builtin != NULL ? builtin : o->secrets, error);
    if (err == SOTTO_OK) {
        err = make_acceptor(server, o, builtin != NULL ? builtin : o->secrets);
        if (err == SOTTO_OK)
            err = si_service_new(server, &server->service);
        if (err == SOTTO_OK &&
            (server->workers = calloc(server->worker_count, sizeof *server->workers)) == NULL)
            err = SOTTO_E_NOMEM;
        if (err != SOTTO_OK)
            (void)si_error(error, err, "cannot make a server: %s", sotto_strerror(err));
    }
    sotto_secrets_free(builtin);
    return err;
}

sotto_err sotto_server_new(const sotto_server_options *options, sotto_server **out,
                           sotto_error *error)
{
    sotto_server *server;
    sotto_err err = check_options(options, error);

    *out = NULL;
    if (err != SOTTO_OK)
        return err;
    if ((server = calloc(1, sizeof *server)) == NULL)
        return si_error(error, SOTTO_E_NOMEM, "cannot make a server");
    if ((err = set_up(server, options, error)) != SOTTO_OK) {
        sotto_server_free(server);
        return err;
    }
    *out = server;
    return SOTTO_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

sotto_err sotto_server_endpoint(sotto_server *server, const char *name, sotto_handler *handler,
                                sotto_call_over *over, void *user)
{
    if (server->started || handler == NULL)
        return SOTTO_E_USAGE;
    return si_service_add(server->service, name, handler, over, user);
}

static void free_workers(sotto_server *server)
{
    for (unsigned i = 0; i < server->worker_count && server->workers != NULL; i++) {
        si_worker_free(server->workers[i]);
        server->workers[i] = NULL;
    }
}

static void drain_and_join(sotto_server *server, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        si_worker_drain(server->workers[i], 0);
    for (unsigned i = 0; i < count; i++)
        si_worker_join(server->workers[i]);
}

/* All listeners first, so that an error finds no thread running. */
static sotto_err make_workers(sotto_server *server, sotto_error *error)
{
    struct si_sockaddr addr = server->listen, bound;
    sotto_err err = SOTTO_OK;

    for (unsigned i = 0; i < server->worker_count && err == SOTTO_OK; i++) {
        err = si_worker_new(server, i, &addr, &bound, &server->workers[i], error);
        if (err == SOTTO_OK)
            addr = bound; /* the port that the kernel chose for the first one */
    }
    if (err == SOTTO_OK)
        si_sockaddr_format(&addr, server->address, sizeof server->address);
    return err;
}

sotto_err sotto_server_start(sotto_server *server, sotto_error *error)
{
    sotto_err err;

    if (server->started) {
        (void)si_error(error, SOTTO_E_USAGE, "cannot start the server");
        si_error_why(error, "it was started already");
        return SOTTO_E_USAGE;
    }
    if ((err = make_workers(server, error)) != SOTTO_OK) {
        free_workers(server);
        return err;
    }
    server->started = true;
    for (unsigned i = 0; i < server->worker_count; i++) {
        if ((err = si_worker_start(server->workers[i])) == SOTTO_OK)
            continue;
        (void)si_error(error, err, "cannot start thread %u of %u", i + 1, server->worker_count);
        si_error_errno(error, errno);
        si_error_hint(error, "allow more threads, or ask for fewer workers");
        drain_and_join(server, i);
        server->started = false;
        free_workers(server);
        server->address[0] = '\0';
        return err;
    }
    return SOTTO_OK;
}

const char *sotto_server_address(const sotto_server *server)
{
    return server->address;
}

void sotto_server_drain(sotto_server *server, uint32_t timeout_ms)
{
    for (unsigned i = 0; server->started && i < server->worker_count; i++)
        si_worker_drain(server->workers[i], timeout_ms);
}

sotto_err sotto_server_wait(sotto_server *server)
{
    if (!server->started)
        return SOTTO_E_USAGE;
    for (unsigned i = 0; !server->joined && i < server->worker_count; i++)
        si_worker_join(server->workers[i]);
    server->joined = true;
    return SOTTO_OK;
}

void sotto_server_free(sotto_server *server)
{
    if (server == NULL)
        return;
    if (server->started && !server->joined)
        drain_and_join(server, server->worker_count);
    free_workers(server);
    free(server->workers);
    si_service_free(server->service);
    sotto_acceptor_free(server->acceptor);
    free(server);
}

void sotto_server_get_stats(const sotto_server *server, sotto_server_stats *out)
{
    const struct si_counters *c = &server->counters;

    *out = (sotto_server_stats){
        .connections = atomic_load_explicit(&c->connections, memory_order_relaxed),
        .bootstraps = atomic_load_explicit(&c->bootstraps, memory_order_relaxed),
        .sessions = atomic_load_explicit(&c->sessions, memory_order_relaxed),
        .requests = atomic_load_explicit(&c->requests, memory_order_relaxed),
        .handshakes_failed = atomic_load_explicit(&c->handshakes_failed, memory_order_relaxed),
        .refused = atomic_load_explicit(&c->refused, memory_order_relaxed),
        .open = atomic_load_explicit(&c->open, memory_order_relaxed),
    };
}

/* ---- Answers --------------------------------------------------------------------------------- */

static sotto_err answer(sotto_server *server, sotto_call call, const struct si_answer *what)
{
    unsigned worker = si_call_worker(call);

    if (!server->started || worker >= server->worker_count)
        return SOTTO_E_GONE;
    return si_worker_answer(server->workers[worker], call, what);
}

sotto_err sotto_answer(sotto_server *server, sotto_call call, const char *content, size_t len)
{
    const struct si_answer what = {.kind = SI_ANSWER_FINAL, .content = si_span(content, len)};

    return answer(server, call, &what);
}

sotto_err sotto_answer_part(sotto_server *server, sotto_call call, const char *content, size_t len)
{
    const struct si_answer what = {.kind = SI_ANSWER_PART, .content = si_span(content, len)};

    return answer(server, call, &what);
}

sotto_err sotto_answer_error(sotto_server *server, sotto_call call, const char *code,
                             const char *message)
{
    const struct si_answer what = {
        .kind = SI_ANSWER_ERROR,
        .content = si_span_str(code),
        .message = message != NULL ? si_span_str(message) : si_span(NULL, 0),
    };

    return answer(server, call, &what);
}
