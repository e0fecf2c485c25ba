/*
 * A server against too much: calls, connections, strangers, garbage, clients that do not read.
 */
#include "wire.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- Too much -------------------------------------------------------------------------------- */

/* One part, and never more. */
static void one_part(void *user, const sotto_request *request)
{
    require(sotto_answer_part(request->server, request->call, "1", 1) == SOTTO_OK);
    desk_handler(user, request);
}

static int enough(void *user, const char *content, size_t len)
{
    (void)user;
    (void)content;
    (void)len;
    return 1;
}

static void too_many_calls(void **state)
{
    enum { MOST = 3 };
    const sotto_call_options stop_at_once = {.part = enough};
    sotto_server_options o = server_options();
    sotto_server *server;
    static struct desk desk;
    sotto_client *client, *other;

    (void)state;
    o.max_calls = MOST;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", one_part, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    other = client_for(server);
    /* calls that the client gave up and the handler did not: they are still in flight */
    for (size_t i = 0; i < MOST; i++) {
        sotto_reply reply;
        sotto_error error = {0};

        call_echo(client);
        assert_int_equal(sotto_client_call(client, "park", NULL, 0, &stop_at_once, &reply, &error),
                         SOTTO_E_CANCELLED);
        sotto_reply_free(&reply);
    }
    for (int i = 0; i < 3; i++) {
        call_fails(client, "echo", NULL, SOTTO_E_UNAVAILABLE);
        assert_string_equal(last.code, "overloaded");
        assert_int_equal(last.maybe_executed, 0);
        call_gives(client, "$/ping", "1", "1");
        call_echo(other); /* the limit is one connection's */
    }
    desk_wait_overs(&desk, MOST);
    assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);
    call_gives(client, "$/ping", "1",
               "1"); /* behind it in the same worker's queue, or before it … */
    {
        int64_t until = now_ms() + WAIT_MS;
        sotto_err err = SOTTO_E_UNAVAILABLE;

        while (err == SOTTO_E_UNAVAILABLE && now_ms() < until) { /* … so until it was taken */
            sotto_reply reply;

            err = sotto_client_call(client, "echo", NULL, 0, NULL, &reply, NULL);
            sotto_reply_free(&reply);
        }
        assert_int_equal(err, SOTTO_OK);
    }
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    sotto_client_free(other);
    sotto_server_free(server);
    desk_free(&desk);
}

/* ---- Too many connections -------------------------------------------------------------------- */

static void too_many_connections(void **state)
{
    sotto_server_options so = server_options();
    sotto_client_options o;
    sotto_server *server;
    sotto_client *first, *hasty, *patient;
    struct caller waiting = {0};
    uint64_t refused;

    (void)state;
    so.max_connections = 1;
    server = echo_server(&so);
    o = client_options(sotto_server_address(server));
    first = client_new(&o);
    assert_int_equal(sotto_client_bootstrap(first, NULL, NULL), SOTTO_OK);
    wait_for_open(server, 0);
    call_echo(first);
    assert_int_equal(stats_of(server).open, 1);

    /* one that has less time than the server asks it to wait */
    o.timeout_ms = 900; /* the server says 1000 */
    hasty = client_new(&o);
    call_fails(hasty, "echo", NULL, SOTTO_E_UNAVAILABLE);
    assert_contains(last.error.why, "busy");
    assert_int_equal(last.maybe_executed, 0);
    o.fresh = 1;
    sotto_client_free(hasty);
    hasty = client_new(&o);
    call_fails(hasty, "echo", NULL, SOTTO_E_UNAVAILABLE);
    assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
    call_echo(first); /* who is in is not disturbed */

    /* one that waits until there is room */
    o.timeout_ms = WAIT_MS;
    o.fresh = 0;
    patient = client_new(&o);
    refused = stats_of(server).refused;
    caller_start(&waiting, patient, "echo", "[1]");
    wait_for_stat(server, refused, refused + 1);
    sotto_client_free(first);
    caller_join(&waiting);
    assert_int_equal(waiting.err, SOTTO_OK);
    assert_string_equal(waiting.reply.content, "[1]");
    assert_int_equal(client_stats(patient).bootstraps, 0);
    caller_free(&waiting);
    sotto_client_free(hasty);
    sotto_client_free(patient);
    stop(server);
}

/* Whoever was refused lingers for a moment, and takes nobody's place meanwhile. */
static void refused_ones_take_no_place(void **state)
{
    enum { REFUSED = 5 };
    static struct desk desk;
    sotto_server_options so = server_options();
    sotto_server *server;
    struct taught taught;
    struct wire first, second;
    int fds[REFUSED];

    (void)state;
    so.max_connections = 1;
    so.workers = 1;
    server = server_new(&so);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    wait_for_open(server, 0);
    wire_open(&first, sotto_server_address(server), &taught, NULL, 0);
    wire_send(&first, "{\"id\":1,\"endpoint\":\"park\"}");
    desk_wait_calls(&desk, 1);
    for (size_t i = 0; i < REFUSED; i++)
        fds[i] = connect_to(sotto_server_address(server));
    wait_for_stat(server, connections, 2 + REFUSED);
    /* The worker tells this while it lets go of the connection; what it accepts next comes after. */
    wire_drop(&first, false);
    desk_wait_overs(&desk, 1);

    wire_open(&second, sotto_server_address(server), &taught, NULL, 0);
    wire_send(&second, "{\"id\":7,\"endpoint\":\"echo\",\"content\":[1]}");
    wire_expect(&second, "{\"id\":7,\"content\":[1]}");
    for (size_t i = 0; i < REFUSED; i++)
        require(close(fds[i]) == 0);
    wait_for_open(server, 1);
    assert_int_equal(stats_of(server).refused, REFUSED);
    wire_drop(&second, false);
    stop(server);
    desk_free(&desk);
}

static void too_many_strangers(void **state)
{
    enum { MOST = 4 };
    sotto_server_options so = server_options();
    sotto_client_options o;
    sotto_server *server;
    sotto_client *connected, *client;
    int fds[MOST];

    (void)state;
    so.max_unauthenticated = MOST;
    so.handshake_timeout_ms = WAIT_MS;
    server = echo_server(&so);
    connected = client_for(server);
    call_echo(connected);
    wait_for_open(server, 1);
    for (size_t i = 0; i < MOST; i++)
        fds[i] = connect_to(sotto_server_address(server));
    wait_for_open(server, 1 + MOST);
    o = client_options(sotto_server_address(server));
    o.timeout_ms = 900; /* the server says 1000 */
    client = client_new(&o);
    call_fails(client, "echo", NULL, SOTTO_E_UNAVAILABLE);
    assert_contains(last.error.why, "busy");
    call_echo(connected);

    /* one leaves, one may come */
    require(close(fds[0]) == 0);
    wait_for_stat(server, handshakes_failed, 1);
    sotto_client_free(client);
    o.timeout_ms = WAIT_MS;
    client = client_new(&o);
    call_echo(client);
    for (size_t i = 1; i < MOST; i++)
        require(close(fds[i]) == 0);
    wait_for_stat(server, handshakes_failed, MOST);
    sotto_client_free(client);
    sotto_client_free(connected);
    wait_for_open(server, 0);
    stop(server);
}

/* Far beyond the limit nobody is told anything: sockets are closed, and the server lives on. */
static void flood(void **state)
{
    enum { FLOOD = 200 };
    sotto_server_options so = server_options();
    sotto_server *server;
    sotto_client *client;
    int fds[FLOOD];

    (void)state;
    so.max_connections = 8;
    server = echo_server(&so);
    client = client_for(server);
    call_echo(client);
    for (size_t i = 0; i < FLOOD; i++)
        fds[i] = connect_to(sotto_server_address(server));
    call_echo(client);
    assert_true(stats_of(server).open <= 8 + 64 + 2 * so.workers);
    for (size_t i = 0; i < FLOOD; i++)
        require(close(fds[i]) == 0);
    wait_for_open(server, 1);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

/* ---- Slow and malicious clients -------------------------------------------------------------- */

static void slow_handshakes_end(void **state)
{
    enum { SLOW = 40 };
    sotto_server_options so = server_options();
    sotto_server *server;
    sotto_client *client;
    int fds[SLOW];

    (void)state;
    so.handshake_timeout_ms = 1500;
    server = echo_server(&so);
    client = client_for(server);
    call_echo(client);
    for (size_t i = 0; i < SLOW; i++) {
        fds[i] = connect_to(sotto_server_address(server));
        if (i % 2 == 0)
            require(write(fds[i], "\0", 1) == 1);
    }
    for (int i = 0; i < 20; i++) {
        sotto_client_options o = client_options(sotto_server_address(server));
        sotto_client *honest;

        o.fresh = i % 4 == 0;
        honest = client_new(&o);
        call_echo(honest);
        sotto_client_free(honest);
        call_echo(client);
    }
    for (size_t i = 0; i < SLOW; i++) {
        read_to_end(fds[i]); /* it is the server that ends it */
        require(close(fds[i]) == 0);
    }
    wait_for_stat(server, handshakes_failed, SLOW);
    assert_int_equal(stats_of(server).handshakes_failed, SLOW);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

static void garbage_ends_one_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        {"\xff\xff\xff\xff\xff\xff\xff\xff", 8},
        {"\0\0\0\0", 4},
        {"\0\2{}\0\0", 6},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        {"\0\5hello\0\0", 9},
        {"\4\1", 2},
    };
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);

    (void)state;
    call_echo(client);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        int fd = connect_to(sotto_server_address(server));

        require(send(fd, table[i].bytes, table[i].len, MSG_NOSIGNAL) == (ssize_t)table[i].len);
        require(shutdown(fd, SHUT_WR) == 0);
        read_to_end(fd);
        require(close(fd) == 0);
        call_echo(client);
    }
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).handshakes_failed + stats_of(server).refused,
                     COUNT_OF(table));
    stop(server);
}

/* A message that breaks the rules: the peer is told, and only this session ends. */
static void broken_messages_end_one_session(void **state)
{
    static const char *const texts[] = {"[]",
                                        "{",
                                        "{\"id\":0,\"endpoint\":\"echo\"}",
                                        "{\"id\":\"x\",\"endpoint\":\"echo\"}",
                                        "{\"endpoint\":\"echo\",\"endpoint\":\"echo\"}",
                                        "\xff"};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    struct taught taught;

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    call_echo(client);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct wire wire;

        wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
        wire_send(&wire, "{\"endpoint\":\"echo\",\"content\":1}");
        wire_expect(&wire, "{\"id\":1,\"content\":1}");
        wire_send(&wire, texts[i]);
        wire_expect(&wire, "{\"close\":{\"code\":\"protocol_error\"}}");
        assert_null(wire_receive(&wire));
        wire_drop(&wire, false);
        call_echo(client);
    }
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

enum { BIG = 65536, SLOW_REQUESTS = 3000 };

static void answer_big(void *user, const sotto_request *request)
{
    require(request->content_len > 0);
    (void)sotto_answer(request->server, request->call, user, BIG);
}

static sotto_server *big_server(char **text, uint32_t max_output)
{
    sotto_server_options o = server_options();
    sotto_server *server;

    *text = malloc(BIG);
    assert_non_null(*text);
    memset(*text, 'b', BIG);
    (*text)[0] = (*text)[BIG - 1] = '"';
    o.workers = 1;
    o.max_output = max_output;
    server = server_new(&o);
    add_endpoint(server, "big", answer_big, NULL, *text);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    return server;
}

/* Send COUNT requests, a record each, as far as the kernel takes them; nothing is read. */
static unsigned send_and_never_read(struct wire *wire, unsigned count)
{
    unsigned sent = 0;

    while (sent < count) {
        wire_queue(wire, "{\"endpoint\":\"big\",\"content\":1}");
        sent++;
        if (!wire_flush(wire))
            break;
    }
    return sent;
}

enum { WORK = 50 };

/* The server's only worker has had its turn many times. */
static void let_the_worker_work(sotto_client *client)
{
    for (int i = 0; i < WORK; i++)
        call_echo(client);
}

/* Let it work until it handles nothing but CLIENT's calls; how many requests were handled then. */
static uint64_t requests_at_rest(const sotto_server *server, sotto_client *client)
{
    int64_t until = now_ms() + WAIT_MS;
    uint64_t before, after = stats_of(server).requests;

    do {
        before = after;
        let_the_worker_work(client);
        after = stats_of(server).requests;
        assert_true(now_ms() < until);
    } while (after - before > WORK + 1);
    return after;
}

/* Answers that nobody reads: the server stops reading requests, and goes on when they are read. */
static void slow_reader_is_paused(void **state)
{
    enum { MAX_OUTPUT = 131072, SOCKET_BUFFERS = 32 << 20 };
    char *text;
    sotto_server *server = big_server(&text, MAX_OUTPUT);
    sotto_client *client = client_for(server);
    struct taught taught;
    struct wire wire;
    uint64_t handled;
    unsigned sent;

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY,
                   &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
    let_the_worker_work(client);
    sent = send_and_never_read(&wire, SLOW_REQUESTS);
    handled = requests_at_rest(server, client) - client_stats(client).calls;
    /* 200 MB were asked for; what the sockets hold and one max_output is answered, no more */
    assert_true(handled < (SOCKET_BUFFERS + 4 * MAX_OUTPUT) / BIG);
    assert_true(handled < sent);

    for (unsigned i = 0; i < sent; i++) { /* all of them, in the end */
        char *message = wire_receive(&wire);

        assert_non_null(message);
        free(message);
    }
    wire_send(&wire, "{\"endpoint\":\"echo\",\"content\":7}");
    {
        char expected[64];

        (void)snprintf(expected, sizeof expected, "{\"id\":%u,\"content\":7}", sent + 1);
        wire_expect(&wire, expected);
    }
    wire_drop(&wire, false);
    sotto_client_free(client);
    wait_for_open(server, 0);
    stop(server);
    free(text);
}

/* … and when it goes away instead, its place is free. */
static void paused_reader_goes_away(void **state)
{
    char *text;
    sotto_server *server = big_server(&text, 131072);
    sotto_client *client = client_for(server);
    struct taught taught;

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    for (int i = 0; i < 2; i++) {
        struct wire wire;

        wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
        let_the_worker_work(client);
        (void)send_and_never_read(&wire, SLOW_REQUESTS);
        let_the_worker_work(client);
        wire_drop(&wire, i == 1);
        wait_for_open(server, 1);
    }
    call_echo(client);
    sotto_client_free(client);
    stop(server);
    free(text);
}

/* A thousand requests in one record, for 64 MB: that they have arrived does not mean that they are
 * answered, until the answers before them are read. */
static void greedy_reader_is_paused(void **state)
{
    enum { REQUESTS = 1000, MAX_OUTPUT = 131072, SOCKET_BUFFERS = 32 << 20 };
    char *text;
    sotto_server *server = big_server(&text, MAX_OUTPUT);
    sotto_client *client = client_for(server);
    struct taught taught;
    struct wire wire;
    uint64_t handled;

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
    call_echo(client);
    wait_for_open(server, 2);
    for (int i = 0; i < REQUESTS; i++)
        wire_queue(&wire, "{\"endpoint\":\"big\",\"content\":1}");
    require(wire_flush(&wire));
    handled = requests_at_rest(server, client) - client_stats(client).calls;
    assert_true(handled < (SOCKET_BUFFERS + 4 * MAX_OUTPUT) / BIG);
    for (int i = 0; i < REQUESTS; i++) {
        char *message = wire_receive(&wire);

        assert_non_null(message);
        free(message);
    }
    wire_drop(&wire, false);
    call_echo(client);
    sotto_client_free(client);
    wait_for_open(server, 0);
    stop(server);
    free(text);
}

/* Answers to calls that were in flight cannot be held back: beyond sixteen times max_output the
 * client is cut off. */
static void answers_that_pile_up_end_the_connection(void **state)
{
    enum { CALLS = 1000, MAX_OUTPUT = 131072 };
    sotto_server_options o = server_options();
    sotto_server *server;
    static struct desk desk;
    char *text = malloc(BIG);
    sotto_client *client;
    struct taught taught;
    struct wire wire;

    (void)state;
    assert_non_null(text);
    memset(text, 'b', BIG);
    text[0] = text[BIG - 1] = '"';
    o.workers = 1;
    o.max_output = MAX_OUTPUT;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
    client = client_for(server);
    call_echo(client);
    wait_for_open(server, 2);
    for (int i = 0; i < CALLS; i++)
        wire_queue(&wire, "{\"endpoint\":\"park\"}");
    require(wire_flush(&wire));
    desk_wait_calls(&desk, CALLS);
    /* One is never answered, and is told so.  Whether others are, depends on who is quicker. */
    for (int i = 0; i < CALLS - 1; i++)
        assert_int_equal(sotto_answer(server, desk_take(&desk), text, BIG), SOTTO_OK);
    wait_for_open(server, 1);
    desk_wait_overs(&desk, 1);
    assert_int_equal(desk.overs[0].reason, SOTTO_E_GONE);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    wire_drop(&wire, false);
    sotto_client_free(client);
    stop(server);
    desk_free(&desk);
    free(text);
}

/* A drain does not wait for ever for a client that reads nothing. */
static void drain_with_a_slow_reader(void **state)
{
    char *text;
    sotto_server *server = big_server(&text, 131072);
    sotto_client *client = client_for(server);
    struct taught taught;
    struct wire wire;

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
    let_the_worker_work(client);
    (void)send_and_never_read(&wire, SLOW_REQUESTS);
    let_the_worker_work(client);
    sotto_client_free(client);
    sotto_server_drain(server, 300);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    assert_int_equal(stats_of(server).open, 0);
    sotto_server_free(server);
    wire_drop(&wire, false);
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(too_many_calls),
        runtime_test(too_many_connections),
        runtime_test(refused_ones_take_no_place),
        runtime_test(too_many_strangers),
        runtime_test(flood),
        runtime_test(slow_handshakes_end),
        runtime_test(garbage_ends_one_connection),
        runtime_test(broken_messages_end_one_session),
        runtime_test(slow_reader_is_paused),
        runtime_test(paused_reader_goes_away),
        runtime_test(greedy_reader_is_paused),
        runtime_test(answers_that_pile_up_end_the_connection),
        runtime_test(drain_with_a_slow_reader),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
