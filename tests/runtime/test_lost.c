/*
 * A client against the worst: idle sessions, servers that vanish, go mute or never were any.
 */
#include "wire.h"

#include <sys/socket.h>

/* ---- Keep-alive ------------------------------------------------------------------------------ */

static void idle_session_is_opened_again(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server;
    sotto_client *client;

    (void)state;
    o.keepalive_ms = 300; /* silent for 600 ms: closed */
    server = echo_server(&o);
    client = client_for(server);
    for (uint64_t i = 1; i <= 3; i++) {
        sotto_error error = {0};

        if (i < 3)
            call_echo(client);
        else
            assert_int_equal(sotto_client_notify(client, "echo", NULL, 0, &error), SOTTO_OK);
        assert_int_equal(client_stats(client).sessions, i);
        assert_int_equal(client_stats(client).bootstraps, 1);
        wait_for_open(server, 0);
    }
    sotto_client_free(client);
    stop(server);
}

struct later {
    struct desk desk;
    pthread_t thread;
};

/* Answers after five times the keep-alive interval: what has to be waited for here is time
 * itself. */
static void *answer_later(void *user)
{
    struct later *later = user;
    sotto_call call = desk_take(&later->desk);
    int64_t until = now_ms() + 1500;

    while (now_ms() < until)
        breathe();
    require(sotto_answer(later->desk.server, call, "\"late\"", 6) == SOTTO_OK);
    return NULL;
}

static void waiting_client_stays_alive(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server;
    static struct later later;
    sotto_client *client;

    (void)state;
    o.keepalive_ms = 300;
    server = server_new(&o);
    desk_init(&later.desk);
    add_endpoint(server, "park", desk_handler, desk_over, &later.desk);
    start(server);
    client = client_for(server);
    spawn(&later.thread, answer_later, &later);
    call_gives(client, "park", NULL, "\"late\"");
    join(later.thread);
    assert_int_equal(client_stats(client).sessions, 1);
    assert_int_equal(desk_overs(&later.desk), 0);
    sotto_client_free(client);
    stop(server);
    desk_free(&later.desk);
}

/* ---- Servers that vanish --------------------------------------------------------------------- */

enum ending { FIN, RESET, SILENCE, GARBAGE, CLOSE, PROTOCOL_ERROR, ENDINGS };

static const sotto_err expected[ENDINGS] = {
    [FIN] = SOTTO_E_LOST,     [RESET] = SOTTO_E_LOST,        [SILENCE] = SOTTO_E_LOST,
    [GARBAGE] = SOTTO_E_AUTH, [CLOSE] = SOTTO_E_UNAVAILABLE, [PROTOCOL_ERROR] = SOTTO_E_PROTOCOL};

static void end_as_told(struct wire *wire, enum ending ending)
{
    static const char garbage[] = "\0\x20"
                                  "0123456789abcdef0123456789abcdef";
    char block[64];

    switch (ending) {
    case GARBAGE:
        require(send(wire->fd, garbage, 34, MSG_NOSIGNAL) == 34);
        break;
    case CLOSE:
        wire_send(wire, "{\"close\":{\"code\":\"draining\"}}");
        break;
    case PROTOCOL_ERROR:
        wire_send(wire, "[1]");
        break;
    case SILENCE:
        /* wait for the client to go */
        while (recv(wire->fd, block, sizeof block, 0) > 0)
            continue;
        break;
    case FIN:
    case RESET:
    case ENDINGS:
        break;
    }
    wire_drop(wire, ending == RESET);
}

static void server_vanishes_in_mid_call(void **state)
{
    sotto_psk_parameters parameters = {0};
    sotto_acceptor *acceptor = acceptor_new(&parameters, 500);
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    sotto_client *client = client_new(&o);

    (void)state;
    for (int ending = 0; ending < ENDINGS; ending++) {
        struct caller caller = {0};
        struct wire wire;
        char *request;

        caller_start(&caller, client, "x", NULL);
        if (ending == 0) {
            wire_serve(&wire, accept_from(listener), acceptor);
            wire_serve_until_end(&wire);
            wire_drop(&wire, false);
        }
        wire_serve(&wire, accept_from(listener), acceptor);
        wire_serve_until_open(&wire);
        request = wire_receive(&wire);
        assert_non_null(request);
        free(request);
        end_as_told(&wire, (enum ending)ending);
        caller_join(&caller);
        if (caller.err != expected[ending])
            fail_msg("ending %d: %s (%s)", ending, sotto_err_name(caller.err), caller.error.why);
        check_words(&caller.error, expected[ending]);
        assert_int_equal(caller.error.stage, SOTTO_STAGE_CALL);
        assert_int_equal(caller.reply.maybe_executed, 1);
        assert_null(caller.reply.content);
        caller_free(&caller);
        assert_int_equal(client_stats(client).bootstraps, 1);
        assert_int_equal(client_stats(client).sessions, (uint64_t)ending + 1);
    }
    sotto_client_free(client);
    require(close(listener) == 0);
    sotto_acceptor_free(acceptor);
}

/* Nobody sends a call twice: what came is counted on the server's side. */
static void lost_call_is_not_repeated(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    char address[64];
    sotto_client *client;
    struct caller caller = {0};

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    start(server);
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    client = client_for(server);
    caller_start(&caller, client, "park", "1");
    desk_wait_calls(&desk, 1);
    sotto_server_free(server);
    caller_join(&caller);
    assert_int_equal(caller.err, SOTTO_E_LOST);
    assert_int_equal(caller.reply.maybe_executed, 1);
    assert_int_equal(desk_calls(&desk), 1);
    caller_free(&caller);
    server = echo_server_at(server_options(), address);
    call_echo(client);
    wait_for_stat(server, requests, 1);
    assert_int_equal(stats_of(server).requests, 1);
    sotto_client_free(client);
    stop(server);
    desk_free(&desk);
}

/* A connection that the server ended and then reset: the next bytes into it would raise SIGPIPE. */
static void goodbye_to_a_dead_server(void **state)
{
    sotto_psk_parameters parameters = {0};
    sotto_acceptor *acceptor = acceptor_new(&parameters, 0);
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);

    (void)state;
    for (int i = 0; i < 2; i++) {
        sotto_client *client = client_new(&o);
        struct caller caller = {0};
        struct wire wire;

        caller_start(&caller, client, "x", NULL);
        if (i == 0) {
            wire_serve(&wire, accept_from(listener), acceptor);
            wire_serve_until_end(&wire);
            wire_drop(&wire, false);
        }
        wire_serve(&wire, accept_from(listener), acceptor);
        free(wire_receive(&wire));
        wire_send(&wire, "{\"id\":1,\"content\":null}");
        caller_join(&caller);
        assert_int_equal(caller.err, SOTTO_OK);
        caller_free(&caller);
        require(shutdown(wire.fd, SHUT_WR) == 0);
        wire_drop(&wire, true);
        if (i == 1) {
            require(close(listener) == 0);
            call_fails(client, "x", NULL, SOTTO_E_CONNECT);
        }
        sotto_client_free(client);
    }
    sotto_acceptor_free(acceptor);
}

/* A server that opens a session and reads nothing more: every function comes back, with an error in
 * the end, and what waits in memory has a limit. */
static void deaf_server(void **state)
{
    enum { LEN = 1000000, MOST = 100 };
    sotto_psk_parameters parameters = {0};
    sotto_acceptor *acceptor = acceptor_new(&parameters, 0);
    char address[64], *text = malloc(LEN);
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    sotto_client *client;
    sotto_error error = {0};
    sotto_err err = SOTTO_OK;
    struct caller caller = {0};
    struct wire wire;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', LEN);
    text[0] = text[LEN - 1] = '"';
    o.timeout_ms = 400;
    client = client_new(&o);
    /* the first call has time: the handshakes are ours */
    caller.options.timeout_ms = WAIT_MS;
    caller_start(&caller, client, "x", NULL);
    wire_serve(&wire, accept_from(listener), acceptor);
    wire_serve_until_end(&wire);
    wire_drop(&wire, false);
    wire_serve(&wire, accept_from(listener), acceptor);
    free(wire_receive(&wire));
    wire_send(&wire, "{\"id\":1,\"content\":null}");
    caller_join(&caller);
    if (caller.err != SOTTO_OK)
        fail_msg("%s: %s", sotto_err_name(caller.err), caller.error.why);
    caller_free(&caller);

    for (int i = 0; i < MOST && err == SOTTO_OK; i++)
        err = sotto_client_notify(client, "log", text, LEN, &error);
    assert_int_equal(err, SOTTO_E_TIMEOUT); /* the sockets hold no more */
    check_words(&error, SOTTO_E_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        call_fails(client, "x", NULL, SOTTO_E_TIMEOUT);
        assert_int_equal(last.maybe_executed, 1);
    }
    sotto_client_free(client);
    wire_drop(&wire, false);
    require(close(listener) == 0);
    sotto_acceptor_free(acceptor);
    free(text);
}

/* What is no Sotto server, before a session stands. */
static void no_such_server(void **state)
{
    enum { NOBODY, MUTE, CLOSES, RESETS, WEB, KINDS };
    static const sotto_err errors[KINDS] = {[NOBODY] = SOTTO_E_CONNECT,
                                            [MUTE] = SOTTO_E_TIMEOUT,
                                            [CLOSES] = SOTTO_E_HANDSHAKE,
                                            [RESETS] = SOTTO_E_HANDSHAKE,
                                            [WEB] = SOTTO_E_PROTOCOL};
    static const char page[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    (void)state;
    for (int kind = NOBODY; kind < KINDS; kind++) {
        const struct linger none = {.l_onoff = 1, .l_linger = 0};
        char address[64];
        int listener = listen_on_loopback(address);
        sotto_client_options o = client_options(address);
        struct caller caller = {0};
        sotto_client *client;
        int fd = -1;

        o.handshake_timeout_ms = kind == MUTE ? 150 : WAIT_MS;
        client = client_new(&o);
        if (kind == NOBODY)
            require(close(listener) == 0);
        caller_start(&caller, client, "x", NULL);
        if (kind >= MUTE)
            fd = accept_from(listener);
        if (kind == RESETS)
            require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
        if (kind == WEB)
            require(send(fd, page, sizeof page - 1, MSG_NOSIGNAL) == sizeof page - 1);
        if (kind == CLOSES || kind == RESETS) {
            /* behind the client's first frame, which is one piece; before it a reset is no
             * handshake's end but a failed connect */
            char frame[2048];

            require(recv(fd, frame, sizeof frame, 0) > 0);
            require(close(fd) == 0);
        }
        caller_join(&caller);
        if (caller.err != errors[kind])
            fail_msg("kind %d: %s: %s", kind, sotto_err_name(caller.err), caller.error.why);
        check_words(&caller.error, errors[kind]);
        assert_contains(caller.error.what, address);
        assert_int_equal(caller.error.stage,
                         kind == NOBODY ? SOTTO_STAGE_CONNECT : SOTTO_STAGE_BOOTSTRAP);
        assert_int_equal(caller.reply.maybe_executed, 0);
        caller_free(&caller);
        sotto_client_free(client);
        if (kind == MUTE || kind == WEB)
            require(close(fd) == 0);
        if (kind != NOBODY)
            require(close(listener) == 0);
    }
}

/* The call's own time limit counts from the very beginning. */
static void time_limit_covers_everything(void **state)
{
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    const sotto_call_options call = {.timeout_ms = 100};
    sotto_client *client = client_new(&o);
    sotto_reply reply;
    sotto_error error = {0};

    (void)state;
    assert_int_equal(sotto_client_call(client, "x", NULL, 0, &call, &reply, &error),
                     SOTTO_E_TIMEOUT);
    check_words(&error, SOTTO_E_TIMEOUT);
    assert_int_equal(reply.maybe_executed, 0);
    sotto_reply_free(&reply);
    sotto_client_free(client);
    require(close(listener) == 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(idle_session_is_opened_again),
        runtime_test(waiting_client_stays_alive),
        runtime_test(server_vanishes_in_mid_call),
        runtime_test(lost_call_is_not_repeated),
        runtime_test(goodbye_to_a_dead_server),
        runtime_test(deaf_server),
        runtime_test(no_such_server),
        runtime_test(time_limit_covers_everything),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
