#include <stdio.h>
#include <stdlib.h>

#include "client/internal.h"

enum { LINGER_MS = 1000 }; /* protocol section 1 */

/* ---- Events ---------------------------------------------------------------------------------- */

/* Send what waits and shut down, as the session wants.  E_LOST: the connection is broken. */
static sotto_err flush(struct si_wire *wire)
{
    unsigned want;

    while ((want = sotto_session_want(wire->session)) & (SOTTO_WANT_OUTPUT | SOTTO_WANT_SHUTDOWN)) {
        const uint8_t *data;
        size_t len, taken;
        sotto_err err;

        if (!(want & SOTTO_WANT_OUTPUT)) {
            si_stream_shutdown(wire->stream);
            sotto_session_shut(wire->session, si_now());
            continue;
        }
        err = sotto_session_output(wire->session, &data, &len, si_now());
        if (err == SOTTO_OK)
            err = si_stream_send(wire->stream, data, len, &taken, &wire->sys_errno);
        if (err != SOTTO_OK)
            return err;
        sotto_session_sent(wire->session, taken);
        if (taken < len)
            return SOTTO_OK; /* `writable` comes */
    }
    return SOTTO_OK;
}

/* Nothing more will come of this connection.  The session may still have a last word to say. */
static void finish(struct si_wire *wire, sotto_err err)
{
    if (wire->over)
        return;
    wire->over = true;
    wire->err = err;
    if (wire->session != NULL && !wire->broken)
        wire->broken = flush(wire) != SOTTO_OK;
    if (wire->pending != NULL)
        si_pending_fail_all(wire->pending, err);
}

static sotto_err send_message(void *user, const struct si_span *pieces, size_t count)
{
    struct si_wire *wire = user;
    sotto_err err = si_session_send_spans(wire->session, pieces, count);

    if (err != SOTTO_E_AGAIN)
        return err;
    /* The server takes nothing any more: the next call looks for a better session. */
    wire->draining = true;
    return SOTTO_E_UNAVAILABLE;
}

/* The server has said its last word: calls without answer may have run (protocol section 7). */
static void on_close(struct si_wire *wire)
{
    wire->closed = true;
    sotto_session_peer_closed(wire->session);
    if (sotto_session_close(wire->session, "done", NULL, 0) != SOTTO_OK)
        finish(wire, SOTTO_E_LOST);
    si_pending_fail_all(wire->pending, strcmp(si_pending_close_code(wire->pending), "denied") == 0
                                           ? SOTTO_E_DENIED
                                           : SOTTO_E_UNAVAILABLE);
}

static void on_message(struct si_wire *wire, const sotto_event *event)
{
    sotto_err err = si_pending_message(wire->pending, si_span(event->data, event->len));

    if (err == SOTTO_E_CLOSED)
        on_close(wire);
    else if (err == SOTTO_E_UNAVAILABLE)
        wire->draining = true;
    else if (err == SOTTO_E_PROTOCOL)
        finish(wire, sotto_session_broken(wire->session));
    else if (err != SOTTO_OK)
        finish(wire, err);
}

static void on_event(struct si_wire *wire, const sotto_event *event)
{
    switch (event->type) {
    case SOTTO_EVENT_SERVER_KEY:
        wire->server_key = *event->key;
        wire->key_shown = true;
        break;
    case SOTTO_EVENT_BOOTSTRAP:
        wire->bootstrap = *event->bootstrap;
        wire->documented = true;
        break;
    case SOTTO_EVENT_OPEN:
        if (si_pending_new(wire->client->scratch.json, send_message, wire, &wire->pending) !=
            SOTTO_OK)
            finish(wire, SOTTO_E_NOMEM);
        wire->opened = true;
        break;
    case SOTTO_EVENT_MESSAGE:
        on_message(wire, event);
        break;
    }
}

static void take_events(struct si_wire *wire)
{
    sotto_event event;
    sotto_err err = SOTTO_OK;

    while (!wire->over && (err = sotto_session_next(wire->session, &event)) == SOTTO_OK)
        on_event(wire, &event);
    if (!wire->over && err != SOTTO_E_AGAIN)
        finish(wire, err);
}

static void on_connected(void *user, int sys_errno)
{
    struct si_wire *wire = user;

    wire->sys_errno = sys_errno;
    wire->connected = sys_errno == 0;
    if (sys_errno != 0)
        finish(wire, SOTTO_E_CONNECT);
}

static sotto_err feed(struct si_wire *wire, uint8_t *data, size_t len)
{
    sotto_err err = SOTTO_OK;

    while (len > 0 && err == SOTTO_OK) {
        size_t taken;

        err = sotto_session_feed(wire->session, data, len, &taken, si_now());
        if (!wire->over && err == SOTTO_OK)
            take_events(wire);
        if (taken == 0 && err == SOTTO_OK)
            err = SOTTO_E_PROTOCOL; /* a server has nothing to say while its key is looked at */
        data += taken;
        len -= taken;
    }
    return err;
}

static void on_received(void *user, uint8_t *data, size_t len)
{
    struct si_wire *wire = user;
    sotto_err err;

    if (wire->session == NULL)
        return;
    err = len == 0 ? sotto_session_eof(wire->session, si_now()) : feed(wire, data, len);
    if (err != SOTTO_OK)
        finish(wire, err);
    si_wire_pump(wire);
}

static void on_writable(void *user)
{
    si_wire_pump(user);
}

static void on_failed(void *user, int sys_errno)
{
    struct si_wire *wire = user;
    bool handshake = wire->session != NULL && !wire->opened && !wire->key_shown;

    wire->sys_errno = sys_errno;
    wire->broken = true;
    /* A server that does not like a first message closes; with input unread, that is a reset. */
    finish(wire, handshake ? SOTTO_E_HANDSHAKE : SOTTO_E_LOST);
}

static const struct si_stream_callbacks callbacks = {on_connected, on_received, on_writable,
                                                     on_failed};

void si_wire_pump(struct si_wire *wire)
{
    sotto_err err;

    if (wire->session == NULL || wire->broken)
        return;
    err = flush(wire);
    if (err == SOTTO_E_LOST)
        return; /* what the server sent before may say why; `failed` comes behind it */
    if (err != SOTTO_OK)
        finish(wire, err);
    if (sotto_session_want(wire->session) & SOTTO_WANT_FREE)
        finish(wire, wire->documented ? SOTTO_OK : SOTTO_E_CLOSED);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void tick(struct si_wire *wire)
{
    sotto_err err;

    if (wire->session == NULL)
        return;
    err = sotto_session_tick(wire->session, si_now());
    if (err != SOTTO_OK)
        finish(wire, err);
    si_wire_pump(wire);
}

sotto_err si_wire_step(struct si_wire *wire, int64_t deadline)
{
    sotto_client *client = wire->client;
    int64_t at = deadline;

    if (si_now() >= deadline)
        return SOTTO_E_TIMEOUT;
    if (wire->session != NULL && sotto_session_deadline(wire->session) < at)
        at = sotto_session_deadline(wire->session);
    si_timer_set(client->timer, at);
    si_loop_run_once(client->loop);
    tick(wire);
    return SOTTO_OK;
}

sotto_err si_wire_wait(struct si_wire *wire, const bool *flag, int64_t deadline)
{
    sotto_err err = SOTTO_OK;

    while (!*flag && !wire->over && err == SOTTO_OK)
        err = si_wire_step(wire, deadline);
    if (*flag || err != SOTTO_OK)
        return *flag ? SOTTO_OK : err;
    return wire->err != SOTTO_OK ? wire->err : SOTTO_E_CLOSED;
}

void si_wire_poll(struct si_wire *wire)
{
    si_timer_set(wire->client->timer, 0); /* passed long ago: a later one is rounded up to 1 ms */
    si_loop_run_once(wire->client->loop);
    tick(wire);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

struct lookup {
    sotto_client *client;
    bool done;
    char why[128];
};

static void on_resolved(void *user, const struct si_sockaddr *addrs, size_t count, const char *why)
{
    struct lookup *lookup = user;

    lookup->done = true;
    (void)snprintf(lookup->why, sizeof lookup->why, "%s", why != NULL ? why : "");
    for (size_t i = 0; i < count && i < SI_ADDRESSES_MAX; i++)
        lookup->client->addrs[i] = addrs[i];
    lookup->client->addr_count = count < SI_ADDRESSES_MAX ? count : SI_ADDRESSES_MAX;
}

static sotto_err resolve(sotto_client *client, int64_t deadline, sotto_error *error)
{
    struct lookup lookup = {.client = client};
    struct si_resolve *resolve;
    sotto_err err;

    if (client->addr_count > 0)
        return SOTTO_OK;
    err = si_resolve_start(client->loop, client->address.host, client->address.port, on_resolved,
                           &lookup, &resolve);
    if (err != SOTTO_OK)
        return si_error(error, err, "cannot look up %s", client->address.host);
    while (!lookup.done && si_now() < deadline) {
        si_timer_set(client->timer, deadline);
        si_loop_run_once(client->loop);
    }
    si_resolve_close(resolve);
    if (client->addr_count > 0) {
        si_client_trace(client, SOTTO_STAGE_RESOLVE, "%s: %zu address%s", client->address.host,
                        client->addr_count, client->addr_count == 1 ? "" : "es");
        return SOTTO_OK;
    }
    err = lookup.done ? SOTTO_E_RESOLVE : SOTTO_E_TIMEOUT;
    (void)si_error(error, err, "cannot find %s", client->address.host);
    si_error_why(error, "%s", lookup.done ? lookup.why : "the name server does not answer");
    si_error_hint(error, "check the host name, or give the address in numbers");
    si_error_stage(error, SOTTO_STAGE_RESOLVE);
    return err;
}

static sotto_err connect_to(struct si_wire *wire, const struct si_sockaddr *addr, int64_t deadline)
{
    sotto_err err;

    wire->over = false;
    wire->err = SOTTO_OK;
    err = si_stream_connect(wire->client->loop, addr, &callbacks, wire, &wire->stream,
                            &wire->sys_errno);
    if (err == SOTTO_E_SYSTEM)
        return SOTTO_E_CONNECT;
    if (err == SOTTO_OK)
        err = si_wire_wait(wire, &wire->connected, deadline);
    if (err != SOTTO_OK) {
        si_stream_close(wire->stream);
        wire->stream = NULL;
    }
    return err;
}

static sotto_err connect_any(struct si_wire *wire, int64_t deadline, sotto_error *error)
{
    sotto_client *client = wire->client;
    char text[64];
    sotto_err err = resolve(client, deadline, error);

    if (err != SOTTO_OK)
        return err;
    err = SOTTO_E_CONNECT;
    for (size_t i = 0; i < client->addr_count; i++) {
        /* An address that does not answer at all costs its share of the time, not all of it. */
        int64_t now = si_now(), share = (deadline - now) / (int64_t)(client->addr_count - i);

        si_sockaddr_format(&client->addrs[i], text, sizeof text);
        err = connect_to(wire, &client->addrs[i], now + share);
        if (err != SOTTO_E_CONNECT && err != SOTTO_E_TIMEOUT)
            break;
    }
    if (err == SOTTO_OK) {
        si_client_trace(client, SOTTO_STAGE_CONNECT, "%s", text);
        return SOTTO_OK;
    }
    client->addr_count = 0; /* look it up again next time: it may have moved */
    (void)si_error(error, err, "cannot reach %s", client->address.text);
    if (err == SOTTO_E_CONNECT)
        si_error_errno(error, wire->sys_errno);
    else
        si_error_why(error, "%s", sotto_strerror(err));
    if (err == SOTTO_E_CONNECT || err == SOTTO_E_TIMEOUT)
        si_error_hint(error, "is the server running, and is this its address and port?");
    si_error_stage(error, SOTTO_STAGE_CONNECT);
    return err;
}

sotto_err si_wire_open(sotto_client *client, const sotto_session_client_options *options,
                       int64_t deadline, struct si_wire **out, sotto_error *error)
{
    struct si_wire *wire = calloc(1, sizeof *wire);
    sotto_err err;

    *out = NULL;
    if (wire == NULL)
        return si_error(error, SOTTO_E_NOMEM, "cannot connect");
    wire->client = client;
    if ((err = connect_any(wire, deadline, error)) == SOTTO_OK) {
        err = sotto_session_client_new(options, si_now(), &wire->session);
        if (err != SOTTO_OK)
            (void)si_error(error, err, "cannot begin a handshake: %s", sotto_strerror(err));
    }
    if (err != SOTTO_OK) {
        si_wire_close(wire, 0);
        return err;
    }
    si_session_lend(wire->session, &client->scratch);
    si_wire_pump(wire);
    *out = wire;
    return SOTTO_OK;
}

/* The session has said its last word: until the server has heard it (section 1), or UNTIL. */
static void linger(struct si_wire *wire, int64_t until)
{
    sotto_err err = SOTTO_OK;

    while (err == SOTTO_OK && !wire->broken &&
           !(sotto_session_want(wire->session) & SOTTO_WANT_FREE))
        err = si_wire_step(wire, until);
}

void si_wire_close(struct si_wire *wire, int64_t deadline)
{
    int64_t most = si_now() + (int64_t)LINGER_MS * 1000000;

    if (wire == NULL)
        return;
    if (wire->session != NULL && !wire->broken && wire->opened) {
        if (!wire->over && sotto_session_close(wire->session, "done", NULL, 0) == SOTTO_OK)
            si_wire_pump(wire);
        linger(wire, deadline < most ? deadline : most);
    }
    si_stream_close(wire->stream);
    sotto_session_free(wire->session);
    si_pending_free(wire->pending);
    si_wipe(wire, sizeof *wire);
    free(wire);
}
