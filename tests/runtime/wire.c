#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum { BLOCK = 65536, PADDING = 64 };

/* ---- The loop of sotto/session.h ------------------------------------------------------------- */

static void keep_message(struct wire *w, const sotto_event *event)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : 2 * w->cap;
        w->messages = realloc(w->messages, w->cap * sizeof w->messages[0]);
        require(w->messages != NULL);
    }
    w->messages[w->count] = strndup((const char *)event->data, event->len);
    require(w->messages[w->count] != NULL);
    w->count++;
}

static void fetch_events(struct wire *w)
{
    sotto_event event;
    sotto_err err;

    while ((err = sotto_session_next(w->session, &event)) == SOTTO_OK) {
        switch (event.type) {
        case SOTTO_EVENT_SERVER_KEY:
            require(sotto_session_accept_key(w->session) == SOTTO_OK);
            break;
        case SOTTO_EVENT_BOOTSTRAP:
            w->bootstrap = *event.bootstrap;
            w->documented = true;
            break;
        case SOTTO_EVENT_OPEN:
            w->opened = true;
            break;
        case SOTTO_EVENT_MESSAGE:
            keep_message(w, &event);
            break;
        }
    }
    if (err != SOTTO_E_AGAIN && w->err == SOTTO_OK)
        w->err = err;
}

static void take(struct wire *w, uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t taken;
        sotto_err err = sotto_session_feed(w->session, data, len, &taken, now_ns());

        if (err != SOTTO_OK && w->err == SOTTO_OK)
            w->err = err;
        fetch_events(w);
        if (err != SOTTO_OK)
            return;
        data += taken;
        len -= taken;
    }
}

bool wire_flush(struct wire *w)
{
    const uint8_t *data;
    size_t len;

    while (sotto_session_want(w->session) & SOTTO_WANT_OUTPUT) {
        ssize_t n;

        if (sotto_session_output(w->session, &data, &len, now_ns()) != SOTTO_OK)
            return true;
        n = send(w->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0) {
            w->ended = true;
            return true;
        }
        sotto_session_sent(w->session, (size_t)n);
    }
    if (sotto_session_want(w->session) & SOTTO_WANT_SHUTDOWN) {
        (void)shutdown(w->fd, SHUT_WR);
        sotto_session_shut(w->session, now_ns());
    }
    return true;
}

/* Send what waits, and wait for something to read or to have been sent. */
static void step(struct wire *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    uint8_t block[BLOCK + PADDING];
    ssize_t n;

    if (!wire_flush(w))
        p.events |= POLLOUT;
    if (w->ended || (sotto_session_want(w->session) & SOTTO_WANT_FREE))
        return;
    require(poll(&p, 1, WAIT_MS) == 1);
    if ((p.revents & ~POLLOUT) == 0)
        return;
    n = recv(w->fd, block, BLOCK, MSG_DONTWAIT);
    if (n > 0) {
        take(w, block, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        sotto_err err = sotto_session_eof(w->session, now_ns());

        w->ended = true;
        if (err != SOTTO_OK && w->err == SOTTO_OK)
            w->err = err;
    }
    (void)wire_flush(w);
}

static bool is_over(const struct wire *w)
{
    return w->ended || (sotto_session_want(w->session) & SOTTO_WANT_FREE);
}

void wire_drop(struct wire *w, bool reset)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (reset)
        require(setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
    require(close(w->fd) == 0);
    sotto_session_free(w->session);
    for (size_t i = w->first; i < w->count; i++)
        free(w->messages[i]);
    free(w->messages);
    memset(w, 0, sizeof *w);
}

/* ---- Client ---------------------------------------------------------------------------------- */

static void begin(struct wire *w, const char *address, const sotto_session_client_options *options)
{
    memset(w, 0, sizeof *w);
    w->fd = connect_to(address);
    require(sotto_session_client_new(options, now_ns(), &w->session) == SOTTO_OK);
}

void wire_bootstrap(const char *address, sotto_curve curve, sotto_cipher cipher, struct taught *out)
{
    sotto_session_client_options o = SOTTO_SESSION_CLIENT_OPTIONS_INIT;
    struct wire w;

    o.purpose = SOTTO_BOOTSTRAP;
    o.curve = curve;
    o.cipher = cipher;
    o.handshake_timeout_ms = WAIT_MS;
    begin(&w, address, &o);
    while (!w.documented && !is_over(&w))
        step(&w);
    require(w.documented);
    out->curve = curve;
    out->cipher = cipher;
    out->server_key = w.bootstrap.server_key;
    out->client_auth = w.bootstrap.client_auth;
    out->parameters = w.bootstrap.parameters;
    require(sotto_psk_derive(world.client, curve, &w.bootstrap.parameters, 0, 0, &out->psk) ==
            SOTTO_OK);
    require(sotto_epoch(w.bootstrap.parameters.server_id, out->epoch) == SOTTO_OK);
    wire_drop(&w, false);
}

void wire_open(struct wire *w, const char *address, const struct taught *taught,
               const sotto_keypair *identity, uint32_t max_message)
{
    sotto_session_client_options o = SOTTO_SESSION_CLIENT_OPTIONS_INIT;

    o.purpose = SOTTO_SESSION;
    o.curve = taught->curve;
    o.cipher = taught->cipher;
    o.server_key = &taught->server_key;
    o.psk = &taught->psk;
    memcpy(o.epoch, taught->epoch, sizeof o.epoch);
    o.identity = identity;
    o.max_message = max_message;
    o.handshake_timeout_ms = WAIT_MS;
    o.max_output = UINT32_MAX;
    begin(w, address, &o);
    while (!w->opened && !is_over(w))
        step(w);
    require(w->opened);
    require(wire_flush(w));
}

/* ---- Server ---------------------------------------------------------------------------------- */

sotto_acceptor *acceptor_new(sotto_psk_parameters *parameters, uint32_t keepalive_ms)
{
    sotto_acceptor_options o = SOTTO_ACCEPTOR_OPTIONS_INIT;
    sotto_acceptor *acceptor;

    if (parameters->server_string_len == 0)
        require(sotto_psk_parameters_new(world.server, parameters) == SOTTO_OK);
    o.parameters = *parameters;
    require(sotto_epoch(parameters->server_id, o.epoch) == SOTTO_OK);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        o.curves[i].key = world.keys[i];
        require(sotto_psk_derive(world.server, curve_at(i), parameters, 0, 0, &o.curves[i].psk) ==
                SOTTO_OK);
    }
    o.keepalive_ms = keepalive_ms;
    o.handshake_timeout_ms = WAIT_MS;
    require(sotto_acceptor_new(&o, &acceptor) == SOTTO_OK);
    return acceptor;
}

void wire_serve(struct wire *w, int fd, const sotto_acceptor *acceptor)
{
    memset(w, 0, sizeof *w);
    w->fd = fd;
    require(sotto_session_server_new(acceptor, now_ns(), &w->session) == SOTTO_OK);
}

void wire_serve_until_open(struct wire *w)
{
    while (!w->opened && !is_over(w))
        step(w);
    require(w->opened);
}

void wire_serve_until_end(struct wire *w)
{
    while (!is_over(w))
        step(w);
}

/* ---- Messages -------------------------------------------------------------------------------- */

void wire_queue(struct wire *w, const char *text)
{
    const sotto_piece piece = {text, strlen(text)};

    require(sotto_session_send(w->session, &piece, 1) == SOTTO_OK);
}

void wire_send(struct wire *w, const char *text)
{
    wire_queue(w, text);
    while (!wire_flush(w))
        step(w);
}

char *wire_receive(struct wire *w)
{
    while (w->first == w->count && !is_over(w))
        step(w);
    return w->first < w->count ? w->messages[w->first++] : NULL;
}

void wire_expect(struct wire *w, const char *text)
{
    char *message = wire_receive(w);

    assert_non_null(message);
    assert_string_equal(message, text);
    free(message);
}
