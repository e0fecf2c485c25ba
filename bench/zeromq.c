/*
 * ZeroMQ with CURVE, tuned as its documentation recommends: a ROUTER that sends back what came, and
 * DEALERs, one per connection.  One I/O thread on each side, no high water marks; messages are
 * passed on as they are, without copying.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#include "load.h"

static const struct load_program program = {"bench_zeromq", LOAD_PLAIN,
                                            LOAD_PLAIN | LOAD_SERVER_KEY};

enum { KEY_TEXT = 41 /* Z85, with its end */ };

/* Ends the program: before the run there is nothing to clean up. */
static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_zeromq: %s: %s\n", what, zmq_strerror(errno));
    exit(1);
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_common(void *socket)
{
    return set_int(socket, ZMQ_LINGER, 0) && set_int(socket, ZMQ_SNDHWM, 0) &&
           set_int(socket, ZMQ_RCVHWM, 0);
}

/* One I/O thread is ZeroMQ's default. */
static void *new_context(unsigned sockets)
{
    void *context = zmq_ctx_new();

    must(context != NULL && zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)sockets) == 0, "no context");
    return context;
}

/* ---- Server ---------------------------------------------------------------------------------- */

/* A whole message of a ROUTER: who sent it, and what.  False: not for us to answer. */
static bool echo_one(void *router, zmq_msg_t *who, zmq_msg_t *what)
{
    return zmq_msg_recv(who, router, 0) >= 0 && zmq_msg_recv(what, router, 0) >= 0 &&
           zmq_msg_send(who, router, ZMQ_SNDMORE) >= 0 && zmq_msg_send(what, router, 0) >= 0;
}

/* A client that is gone is no error of a ROUTER's; what ends this is the context's end. */
static int echo_all(void *router)
{
    zmq_msg_t who, what;
    int error;

    (void)zmq_msg_init(&who);
    (void)zmq_msg_init(&what);
    do
        error = echo_one(router, &who, &what) ? 0 : errno;
    while (error == 0 || error == EINTR);
    (void)zmq_msg_close(&who);
    (void)zmq_msg_close(&what);
    return error;
}

static void stop(void *context)
{
    (void)zmq_ctx_shutdown(context);
}

static bool set_curve_server(void *socket, char *public_key)
{
    char secret_key[KEY_TEXT];

    return zmq_curve_keypair(public_key, secret_key) == 0 && set_int(socket, ZMQ_CURVE_SERVER, 1) &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_key, KEY_TEXT) == 0;
}

static uint16_t bound_port(void *socket)
{
    char endpoint[128];
    size_t size = sizeof endpoint;

    must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0, "no port");
    return (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

static int serve(const struct load_options *options)
{
    void *context = new_context(16), *router = zmq_socket(context, ZMQ_ROUTER);
    char public_key[KEY_TEXT];
    int error;

    load_on_stop(stop, context);
    must(router != NULL && set_common(router), "no socket");
    must(options->plain || set_curve_server(router, public_key), "no CURVE");
    must(zmq_bind(router, "tcp://127.0.0.1:*") == 0, "cannot listen");
    load_listening(bound_port(router), options->plain ? NULL : public_key);

    error = echo_all(router);
    if (error != ETERM) {
        (void)fprintf(stderr, "bench_zeromq: %s\n", zmq_strerror(error));
        return 1;
    }
    load_stopped();
    (void)zmq_close(router);
    (void)zmq_ctx_term(context);
    return 0;
}

/* ---- Load ------------------------------------------------------------------------------------ */

enum { EVENTS_PER_TURN = 256, OPEN_MS = 5000, NS_PER_MS = 1000000 };

struct client {
    struct load load;
    struct load_options options;
    void *context;
    int epoll;
    char endpoint[96];
    char public_key[KEY_TEXT], secret_key[KEY_TEXT];
    uint8_t *content;
    struct conn *conns;
};

struct conn {
    struct client *client;
    void *socket;
    int fd;         /* readable when the socket has something to tell; ZeroMQ's to close */
    int64_t *began; /* of the calls in flight: a ring, since answers come in order */
    unsigned oldest;
};

static void fail(struct client *client, const char *what)
{
    /* Of a send, that is the only thing it waits for. */
    const char *why = errno == EAGAIN ? "no connection, or the wrong key" : zmq_strerror(errno);

    load_fail(&client->load, "%s: %s", what, why);
}

static bool set_curve(const struct client *client, void *socket)
{
    return client->options.plain ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, client->options.server_key, KEY_TEXT) ==
                0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, client->public_key, KEY_TEXT) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, client->secret_key, KEY_TEXT) == 0);
}

static bool watch(struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    size_t size = sizeof conn->fd;

    return zmq_getsockopt(conn->socket, ZMQ_FD, &conn->fd, &size) == 0 &&
           epoll_ctl(conn->client->epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

/* A session's call may be queued until the connection stands; otherwise sending waits for it. */
static bool connect_one(struct conn *conn)
{
    const struct client *client = conn->client;

    conn->socket = zmq_socket(client->context, ZMQ_DEALER);
    return conn->socket != NULL && set_common(conn->socket) &&
           set_int(conn->socket, ZMQ_IMMEDIATE, client->options.sessions ? 0 : 1) &&
           set_int(conn->socket, ZMQ_SNDTIMEO, OPEN_MS) && set_curve(client, conn->socket) &&
           zmq_connect(conn->socket, client->endpoint) == 0 && watch(conn);
}

static void close_one(struct conn *conn)
{
    if (conn->socket == NULL)
        return;
    (void)epoll_ctl(conn->client->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
    (void)zmq_close(conn->socket);
    conn->socket = NULL;
}

/* The first calls of a connection. */
static void begin_calls(struct conn *conn, int64_t now)
{
    struct client *client = conn->client;

    for (unsigned i = 0; i < client->options.in_flight; i++) {
        conn->began[i] = now;
        if (zmq_send(conn->socket, client->content, client->options.size, 0) < 0) {
            fail(client, "cannot send a call");
            return;
        }
        load_sent(&client->load, 1);
    }
}

/* A session: its time begins with the connection. */
static void open_session(struct conn *conn)
{
    int64_t now = load_now();

    if (connect_one(conn))
        begin_calls(conn, now);
    else
        fail(conn->client, "cannot connect");
}

static bool is_content(const struct client *client, zmq_msg_t *message)
{
    return zmq_msg_size(message) == client->options.size &&
           (client->load.phase != LOAD_WARM_UP || /* the measured part is for the echo alone */
            memcmp(zmq_msg_data(message), client->content, client->options.size) == 0);
}

/* The memory of an answer is sent again as the next call: nothing is copied. */
static void next_call(struct conn *conn, zmq_msg_t *message, int64_t now)
{
    struct client *client = conn->client;
    unsigned newest = conn->oldest;

    conn->oldest = conn->oldest + 1 < client->options.in_flight ? conn->oldest + 1 : 0;
    if (!load_goes_on(&client->load))
        return;
    if (client->options.sessions) {
        close_one(conn);
        open_session(conn);
        return;
    }
    conn->began[newest] = now; /* the ring is full again */
    if (zmq_msg_send(message, conn->socket, 0) < 0)
        fail(client, "cannot send a call");
    else
        load_sent(&client->load, 1);
}

/* False: the socket has nothing more to give. */
static bool take_one(struct conn *conn, zmq_msg_t *message)
{
    struct client *client = conn->client;
    int64_t now;

    if (zmq_msg_recv(message, conn->socket, ZMQ_DONTWAIT) < 0) {
        if (errno == EINTR)
            return true;
        if (errno != EAGAIN)
            fail(client, "cannot receive");
        return false;
    }
    if (!is_content(client, message)) {
        load_fail(&client->load, "other bytes came back than were sent");
        return false;
    }
    now = load_now();
    load_answered(&client->load, conn->began[conn->oldest], now);
    next_call(conn, message, now);
    return client->load.phase != LOAD_ENDED;
}

/* Always until nothing is left, and with a receive at the end: the descriptor is silent about what
 * came while the socket was in use. */
static void take_all(struct conn *conn)
{
    zmq_msg_t message;

    (void)zmq_msg_init(&message);
    while (take_one(conn, &message))
        continue;
    (void)zmq_msg_close(&message);
}

static void turn(struct client *client)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int64_t wait = client->load.wake - load_now();
    int timeout = wait > 0 ? (int)(wait / NS_PER_MS + 1) : 0;
    int count = epoll_wait(client->epoll, events, EVENTS_PER_TURN, timeout);

    for (int i = 0; i < count && client->load.phase != LOAD_ENDED; i++)
        take_all(events[i].data.ptr);
    load_turn(&client->load, load_now());
}

static void open_all(struct client *client)
{
    const struct load_options *options = &client->options;

    for (unsigned i = 0; i < options->connections; i++) {
        struct conn *conn = &client->conns[i];

        conn->client = client;
        conn->began = calloc(options->in_flight, sizeof *conn->began);
        must(conn->began != NULL, "cannot begin");
        if (!connect_one(conn)) {
            fail(client, "cannot connect");
            return;
        }
    }
    for (unsigned i = 0; i < options->connections && client->load.phase != LOAD_ENDED; i++)
        begin_calls(&client->conns[i], load_now());
    if (client->load.phase == LOAD_ENDED)
        return;
    load_begin(&client->load, load_now());
    for (unsigned i = 0; i < options->connections && client->load.phase != LOAD_ENDED; i++)
        take_all(&client->conns[i]);
}

static void close_all(struct client *client)
{
    for (unsigned i = 0; i < client->options.connections; i++) {
        close_one(&client->conns[i]);
        free(client->conns[i].began);
    }
    (void)zmq_ctx_term(client->context);
    (void)close(client->epoll);
    free(client->conns);
    free(client->content);
}

static bool has_key(const struct load_options *options)
{
    uint8_t key[32];

    return options->plain ||
           (options->server_key != NULL && strlen(options->server_key) == KEY_TEXT - 1 &&
            zmq_z85_decode(key, options->server_key) != NULL);
}

static int load(const struct load_options *options)
{
    static struct client client; /* its histogram is large for a stack */

    if (!has_key(options)) {
        (void)fprintf(stderr, "bench_zeromq: load takes --server-key KEY as the server prints it, "
                              "or --plain\n");
        return 2;
    }
    client.options = *options;
    load_init(&client.load, &program, &client.options);
    (void)snprintf(client.endpoint, sizeof client.endpoint, "tcp://%s:%u", options->host,
                   options->port);
    /* A closed socket is there until ZeroMQ's own thread has taken it away. */
    client.context = new_context(options->connections * 2 + 1024);
    client.epoll = epoll_create1(EPOLL_CLOEXEC);
    client.conns = calloc(options->connections, sizeof *client.conns);
    client.content = load_content(options);
    must(client.epoll >= 0 && client.conns != NULL, "cannot begin");
    must(options->plain || zmq_curve_keypair(client.public_key, client.secret_key) == 0,
         "no CURVE");
    open_all(&client);
    while (client.load.phase != LOAD_ENDED)
        turn(&client);
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
    return options.serve ? serve(&options) : load(&options);
}
