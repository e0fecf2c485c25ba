/*
 * A plain TCP echo through Sotto's own event loop: what the network and the loop cost, without
 * encryption and messages.  A call is SIZE bytes there and the same back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "net/net.h"

static const struct load_program program = {"bench_echo", LOAD_PLAIN, LOAD_PLAIN};

/* Ends the program: before the run there is nothing to clean up. */
static void must(sotto_err err, const char *what)
{
    if (err == SOTTO_OK)
        return;
    (void)fprintf(stderr, "bench_echo: %s: %s\n", what, sotto_strerror(err));
    exit(1);
}

static void *must_have(void *memory)
{
    must(memory != NULL ? SOTTO_OK : SOTTO_E_NOMEM, "cannot begin");
    return memory;
}

/* ---- Server ---------------------------------------------------------------------------------- */

struct server {
    struct si_loop *loop;
    struct si_waker *stop;
    struct peer *peers;
};

struct peer {
    struct si_stream *stream;
    struct server *server;
    struct peer *next, **link; /* *link is this one */
    uint8_t *rest;             /* what the kernel did not take; nothing is read until it does */
    size_t rest_len, rest_at;
};

static void drop(struct peer *peer)
{
    *peer->link = peer->next;
    if (peer->next != NULL)
        peer->next->link = peer->link;
    si_stream_close(peer->stream);
    free(peer->rest);
    free(peer);
}

static void keep(struct peer *peer, const uint8_t *data, size_t len)
{
    /* Allocated once, and only for a peer that needs it: no read brings more. */
    if (peer->rest == NULL && (peer->rest = malloc(SI_STREAM_READ_SIZE)) == NULL) {
        drop(peer);
        return;
    }
    memcpy(peer->rest, data, len);
    peer->rest_len = len;
    peer->rest_at = 0;
    si_stream_pause(peer->stream, true);
}

static void on_request(void *user, uint8_t *data, size_t len)
{
    struct peer *peer = user;
    size_t taken;
    int sys_errno;

    if (len == 0 || si_stream_send(peer->stream, data, len, &taken, &sys_errno) != SOTTO_OK)
        drop(peer);
    else if (taken < len)
        keep(peer, data + taken, len - taken);
}

static void on_peer_writable(void *user)
{
    struct peer *peer = user;
    size_t left = peer->rest_len - peer->rest_at, taken;
    int sys_errno;

    if (si_stream_send(peer->stream, peer->rest + peer->rest_at, left, &taken, &sys_errno) !=
        SOTTO_OK) {
        drop(peer);
        return;
    }
    peer->rest_at += taken;
    if (taken == left)
        si_stream_pause(peer->stream, false);
}

static void on_peer_failed(void *user, int sys_errno)
{
    (void)sys_errno;
    drop(user);
}

static const struct si_stream_callbacks peer_callbacks = {
    .received = on_request, .writable = on_peer_writable, .failed = on_peer_failed};

static void on_accepted(void *user, int fd, const struct si_sockaddr *addr)
{
    struct server *server = user;
    struct peer *peer = must_have(calloc(1, sizeof *peer));

    (void)addr;
    if (si_stream_open(server->loop, fd, &peer_callbacks, peer, &peer->stream) != SOTTO_OK) {
        free(peer);
        return;
    }
    peer->server = server;
    peer->next = server->peers;
    peer->link = &server->peers;
    if (peer->next != NULL)
        peer->next->link = &peer->next;
    server->peers = peer;
}

static void on_stop(void *user)
{
    struct server *server = user;

    si_loop_stop(server->loop);
}

static void wake(void *waker)
{
    si_waker_wake(waker);
}

static int serve(void)
{
    struct server server = {0};
    struct si_listener *listener;
    struct si_sockaddr addr, bound;
    sotto_error error;

    must(si_loop_new(&server.loop), "no event loop");
    must(si_waker_new(server.loop, on_stop, &server, &server.stop), "no event loop");
    load_on_stop(wake, server.stop);
    must(si_sockaddr_parse("127.0.0.1", 0, &addr), "no address");
    must(si_listener_new(server.loop, &addr, true, on_accepted, &server, &bound, &listener, &error),
         "cannot listen");
    load_listening(si_sockaddr_port(&bound), NULL);

    si_loop_run(server.loop);

    load_stopped();
    while (server.peers != NULL)
        drop(server.peers);
    si_listener_close(listener);
    si_waker_close(server.stop);
    si_loop_free(server.loop);
    return 0;
}

/* ---- Load ------------------------------------------------------------------------------------ */

enum { AT_ONCE = 262144 }; /* as many calls are sent with one write as fit into this, or one */

struct client {
    struct load load;
    struct load_options options;
    struct si_loop *loop;
    struct si_timer *timer;
    struct sockaddr_in addr;
    /* The content, again and again: calls that stand behind one another in the stream are sent
     * from here as they are. */
    uint8_t *contents;
    size_t contents_len;
    struct conn *conns;
    bool running; /* the loop is; only then can it be stopped */
};

struct conn {
    struct si_stream *stream;
    struct client *client;
    int64_t *began; /* of the calls in flight: a ring, since answers come in order */
    unsigned oldest, waiting;
    size_t to_send, at; /* how many bytes, beginning at which one of the contents */
    size_t got;         /* of the answer that is not complete yet */
    bool blocked;       /* the kernel did not take all */
};

static void end_if_over(struct client *client)
{
    if (client->running && client->load.phase == LOAD_ENDED)
        si_loop_stop(client->loop);
}

static void conn_lost(struct conn *conn, const char *what, int sys_errno)
{
    load_fail(&conn->client->load, "%s%s%s", what, sys_errno != 0 ? ": " : "",
              sys_errno != 0 ? strerror(sys_errno) : "");
    end_if_over(conn->client);
}

static void flush(struct conn *conn)
{
    const struct client *client = conn->client;

    conn->blocked = false;
    while (conn->to_send > 0 && !conn->blocked) {
        size_t left = client->contents_len - conn->at;
        size_t len = conn->to_send < left ? conn->to_send : left;
        size_t taken;
        int sys_errno;

        if (si_stream_send(conn->stream, client->contents + conn->at, len, &taken, &sys_errno) !=
            SOTTO_OK) {
            conn_lost(conn, "a connection broke", sys_errno);
            return;
        }
        conn->to_send -= taken;
        conn->at = (conn->at + taken) % client->options.size;
        conn->blocked = taken < len;
    }
}

/* More calls, which begin now. */
static void add_calls(struct conn *conn, unsigned count, int64_t now)
{
    unsigned in_flight = conn->client->options.in_flight;
    unsigned slot = (conn->oldest + conn->waiting) % in_flight;

    for (unsigned i = 0; i < count; i++) {
        conn->began[slot] = now;
        slot = slot + 1 < in_flight ? slot + 1 : 0;
    }
    conn->waiting += count;
    conn->to_send += count * conn->client->options.size;
    load_sent(&conn->client->load, count);
}

static void take_answers(struct conn *conn, unsigned count, int64_t now)
{
    struct load *load = &conn->client->load;
    unsigned in_flight = conn->client->options.in_flight;

    for (unsigned i = 0; i < count; i++) {
        load_answered(load, conn->began[conn->oldest], now);
        conn->oldest = conn->oldest + 1 < in_flight ? conn->oldest + 1 : 0;
    }
    conn->waiting -= count;
}

/* Are these the bytes that were sent?  GOT of the content came before them. */
static bool is_content(const struct client *client, size_t got, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t left = client->options.size - got;
        size_t part = len < left ? len : left;

        if (memcmp(client->contents + got, data, part) != 0)
            return false;
        data += part;
        len -= part;
        got = 0;
    }
    return true;
}

static void connect_one(struct conn *conn);

/* The call of this connection is answered: the next one takes its place. */
static void replace(struct conn *conn)
{
    si_stream_close(conn->stream);
    conn->stream = NULL;
    if (load_goes_on(&conn->client->load))
        connect_one(conn);
}

static void on_answer(void *user, uint8_t *data, size_t len)
{
    struct conn *conn = user;
    struct client *client = conn->client;
    size_t size = client->options.size, done = (conn->got + len) / size;
    int64_t now;

    if (len == 0 || done > conn->waiting) {
        conn_lost(conn, len == 0 ? "the server closed a connection" : "too much came back", 0);
        return;
    }
    /* Not in the measured part, whose cost is the echo's. */
    if (client->load.phase == LOAD_WARM_UP && !is_content(client, conn->got, data, len)) {
        conn_lost(conn, "other bytes came back than were sent", 0);
        return;
    }
    conn->got = (conn->got + len) % size;
    if (done == 0)
        return;
    now = load_now();
    take_answers(conn, (unsigned)done, now);
    if (client->options.sessions) {
        replace(conn);
    } else if (load_goes_on(&client->load)) {
        add_calls(conn, (unsigned)done, now);
        if (!conn->blocked)
            flush(conn);
    }
    end_if_over(client);
}

static void on_writable(void *user)
{
    flush(user);
}

static void on_failed(void *user, int sys_errno)
{
    conn_lost(user, "a connection broke", sys_errno);
}

static const struct si_stream_callbacks conn_callbacks = {
    .received = on_answer, .writable = on_writable, .failed = on_failed};

/* Each connection has a loopback address of its own to come from.  A closed connection blocks its
 * port for a minute, and with one address the kernel soon searches for free ones most of the
 * time. */
static bool bind_source(const struct conn *conn, int fd)
{
    const struct client *client = conn->client;
    uint32_t host = ntohl(client->addr.sin_addr.s_addr);
    struct sockaddr_in source = {.sin_family = AF_INET};
    int on = 1;

    if (host >> 24 != IN_LOOPBACKNET)
        return true;
    source.sin_addr.s_addr =
        htonl((IN_LOOPBACKNET << 24) + 0x10001 + (uint32_t)(conn - client->conns));
    /* The port is chosen when the peer is known: it need not differ from those of other peers. */
    return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           bind(fd, (const struct sockaddr *)&source, sizeof source) == 0;
}

/* A socket that connects, or -1 with errno. */
static int connect_socket(const struct conn *conn)
{
    const struct sockaddr *addr = (const struct sockaddr *)&conn->client->addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, kept;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 && bind_source(conn, fd) &&
        (connect(fd, addr, sizeof conn->client->addr) == 0 || errno == EINPROGRESS))
        return fd;
    kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

/* On the loopback it stands when connect() returns, so the first calls are sent without waiting;
 * elsewhere the kernel takes nothing until it does. */
static void connect_one(struct conn *conn)
{
    struct client *client = conn->client;
    int64_t now = load_now(); /* a session's call begins with its connection */
    int fd = connect_socket(conn);

    if (fd < 0) {
        conn_lost(conn, "cannot connect", errno);
        return;
    }
    conn->to_send = conn->at = 0;
    if (si_stream_open(client->loop, fd, &conn_callbacks, conn, &conn->stream) != SOTTO_OK) {
        conn_lost(conn, "cannot connect: out of memory or descriptors", 0);
        return;
    }
    add_calls(conn, client->options.in_flight, now);
    flush(conn);
}

static void on_timer(void *user)
{
    struct client *client = user;

    load_turn(&client->load, load_now());
    si_timer_set(client->timer, client->load.wake);
    end_if_over(client);
}

static void make_contents(struct client *client)
{
    const struct load_options *options = &client->options;
    size_t size = options->size, copies = AT_ONCE / size;
    uint8_t *one = load_content(options);

    copies = copies < options->in_flight ? copies : options->in_flight;
    copies = copies > 0 ? copies : 1;
    client->contents_len = size * copies;
    client->contents = must_have(malloc(client->contents_len));
    for (size_t i = 0; i < copies; i++)
        memcpy(client->contents + i * size, one, size);
    free(one);
}

static void open_all(struct client *client)
{
    const struct load_options *options = &client->options;

    client->conns = must_have(calloc(options->connections, sizeof *client->conns));
    for (unsigned i = 0; i < options->connections && load_goes_on(&client->load); i++) {
        struct conn *conn = &client->conns[i];

        conn->client = client;
        conn->began = must_have(calloc(options->in_flight, sizeof *conn->began));
        connect_one(conn);
    }
    if (load_goes_on(&client->load))
        load_begin(&client->load, load_now());
    si_timer_set(client->timer, client->load.wake);
}

static void close_all(struct client *client)
{
    for (unsigned i = 0; i < client->options.connections; i++) {
        si_stream_close(client->conns[i].stream);
        free(client->conns[i].began);
    }
    free(client->conns);
    free(client->contents);
    si_timer_close(client->timer);
    si_loop_free(client->loop);
}

static int load(const struct load_options *options)
{
    static struct client client; /* its histogram is large for a stack */

    client.options = *options;
    client.addr.sin_family = AF_INET;
    client.addr.sin_port = htons(options->port);
    if (inet_pton(AF_INET, options->host, &client.addr.sin_addr) != 1) {
        (void)fprintf(stderr, "bench_echo: '%s' is not an IPv4 address\n", options->host);
        return 2;
    }
    load_init(&client.load, &program, &client.options);
    must(si_loop_new(&client.loop), "no event loop");
    must(si_timer_new(client.loop, on_timer, &client, &client.timer), "no event loop");
    make_contents(&client);
    open_all(&client);
    client.running = client.load.phase != LOAD_ENDED;
    if (client.running)
        si_loop_run(client.loop);
    close_all(&client);
    return load_report(&client.load);
}

int main(int argc, char **argv)
{
    struct load_options options;
    int status = load_parse(argc, argv, &program, &options);

    if (status >= 0)
        return status;
    load_raise_limits();
    return options.serve ? serve() : load(&options);
}
