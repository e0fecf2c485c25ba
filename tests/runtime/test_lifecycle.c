/*
 * A server's life: start, drain, end.
 */
#include "wire.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- Start ----------------------------------------------------------------------------------- */

static void start_fails(sotto_server *server, sotto_err err)
{
    sotto_error error = {0};

    assert_int_equal(sotto_server_start(server, &error), err);
    check_words(&error, err);
}

static void two_servers_on_one_port(void **state)
{
    sotto_server *first = echo_server(NULL), *second;
    sotto_server_options o = server_options();
    char address[64];
    sotto_client *client;

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(first));
    o.listen = address;
    o.workers = 3;
    second = server_new(&o);
    add_endpoint(second, "echo", echo, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        sotto_error error = {0};

        assert_int_equal(sotto_server_start(second, &error), SOTTO_E_SYSTEM);
        check_words(&error, SOTTO_E_SYSTEM);
        assert_contains(error.what, address);
        assert_string_equal(sotto_server_address(second), "");
        assert_int_equal(sotto_server_wait(second), SOTTO_E_USAGE);
        sotto_server_drain(second, 0); /* it does not run: nothing happens */
    }
    client = client_for(first); /* the first one has not noticed */
    call_echo(client);
    stop(first);
    start(second);
    assert_string_equal(sotto_server_address(second), address);
    call_echo(client);
    assert_int_equal(client_stats(client).bootstraps, 2);
    sotto_client_free(client);
    start_fails(second, SOTTO_E_USAGE);
    stop(second);
}

static void address_that_is_not_ours(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server;

    (void)state;
    o.listen = "192.0.2.1:0"; /* RFC 5737: nobody's */
    server = server_new(&o);
    start_fails(server, SOTTO_E_SYSTEM);
    start_fails(server, SOTTO_E_SYSTEM);
    sotto_server_free(server);
}

static void started_once(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);

    (void)state;
    assert_int_equal(sotto_server_wait(server), SOTTO_E_USAGE);
    start(server);
    start_fails(server, SOTTO_E_USAGE);
    sotto_server_drain(server, WAIT_MS);
    sotto_server_drain(server, 0);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    sotto_server_drain(server, 0);
    start_fails(server, SOTTO_E_USAGE);
    assert_int_equal(try_connect(sotto_server_address(server)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    sotto_server_free(server);

    /* made, started, and freed without a word */
    server = server_new(&o);
    start(server);
    sotto_server_free(server);
    server = server_new(&o);
    sotto_server_free(server);
}

static void six_is_a_version_too(void **state)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sotto_server_options o = server_options();
    sotto_error error = {0};
    sotto_server *server;
    sotto_client *client;
    sotto_err err;

    (void)state;
    if (fd < 0)
        skip();
    require(close(fd) == 0);
    o.listen = "[::1]:0";
    server = server_new(&o);
    add_endpoint(server, "echo", echo, NULL, NULL);
    err = sotto_server_start(server, &error);
    if (err != SOTTO_OK) {
        assert_int_equal(err, SOTTO_E_SYSTEM);
        sotto_server_free(server);
        skip(); /* no IPv6 on this machine */
    }
    assert_true(strncmp(sotto_server_address(server), "[::1]:", 6) == 0);
    client = client_for(server);
    call_echo(client);
    sotto_client_free(client);
    stop(server);
}

/* ---- Drain ----------------------------------------------------------------------------------- */

/* Wait until nobody listens on ADDRESS any more. */
static void wait_for_refusal(const char *address)
{
    int64_t until = now_ms() + WAIT_MS;
    int fd;

    while ((fd = try_connect(address)) >= 0 && now_ms() < until) {
        require(close(fd) == 0);
        breathe();
    }
    assert_int_equal(fd, -1);
}

static void drain_finishes_what_has_begun(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *old = server_new(&o), *new;
    static struct desk desk;
    char address[64], *message;
    struct caller busy = {0};
    sotto_client *working, *resting;
    struct taught taught;
    struct wire wire;

    (void)state;
    desk_init(&desk);
    add_endpoint(old, "park", desk_handler, desk_over, &desk);
    add_endpoint(old, "echo", echo, NULL, NULL);
    start(old);
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(old));
    working = client_for(old);
    resting = client_for(old);
    call_echo(resting);
    wire_bootstrap(address, SOTTO_CURVE_448, SOTTO_CIPHER_CHACHAPOLY, &taught);
    wire_open(&wire, address, &taught, NULL, 0);
    wire_send(&wire, "{\"endpoint\":\"park\",\"content\":1}");
    desk_wait_calls(&desk, 1);
    caller_start(&busy, working, "park", "2");
    desk_wait_calls(&desk, 2);

    sotto_server_drain(old, WAIT_MS);
    message = wire_receive(&wire);
    assert_non_null(message);
    assert_contains(message, "\"draining\"");
    free(message);
    wire_send(&wire, "{\"endpoint\":\"echo\"}");
    wire_expect(&wire, "{\"id\":2,\"error\":{\"code\":\"unavailable\"}}");
    wire_send(&wire, "{\"endpoint\":\"$/health\"}");
    wire_expect(&wire, "{\"id\":3,\"content\":{\"status\":\"draining\"}}");
    wait_for_refusal(address);
    wait_for_open(old, 2); /* whoever had nothing to wait for has been told goodbye */

    /* nobody there yet, then somebody new on the same port */
    call_fails(resting, "echo", NULL, SOTTO_E_CONNECT);
    assert_int_equal(last.maybe_executed, 0);
    new = echo_server_at(server_options(), address);
    call_echo(resting);
    assert_int_equal(client_stats(resting).bootstraps, 2);
    assert_int_equal(client_stats(resting).sessions, 2);
    assert_int_equal(desk_overs(&desk), 0);

    /* the old one answers what it has, then says goodbye */
    assert_int_equal(sotto_answer(old, desk_take(&desk), "\"late\"", 6), SOTTO_OK);
    wire_expect(&wire, "{\"id\":1,\"content\":\"late\"}");
    wire_expect(&wire, "{\"close\":{\"code\":\"draining\"}}");
    assert_null(wire_receive(&wire));
    wire_drop(&wire, false);
    assert_int_equal(sotto_answer(old, desk_take(&desk), "\"late\"", 6), SOTTO_OK);
    caller_join(&busy);
    assert_int_equal(busy.err, SOTTO_OK);
    assert_string_equal(busy.reply.content, "\"late\"");
    caller_free(&busy);
    assert_int_equal(sotto_server_wait(old), SOTTO_OK);
    assert_int_equal(stats_of(old).open, 0);
    sotto_server_free(old);

    call_echo(working);
    assert_int_equal(client_stats(working).sessions, 2);
    sotto_client_free(working);
    sotto_client_free(resting);
    stop(new);
    assert_int_equal(desk_overs(&desk), 0);
    desk_free(&desk);
}

static void drain_has_an_end(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    struct caller caller = {0};
    sotto_client *client;

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    start(server);
    client = client_for(server);
    caller_start(&caller, client, "park", NULL);
    desk_wait_calls(&desk, 1);
    sotto_server_drain(server, WAIT_MS);
    sotto_server_drain(server, 50);      /* a shorter time */
    sotto_server_drain(server, WAIT_MS); /* a longer one counts for nothing */
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    caller_join(&caller);
    assert_int_equal(caller.err, SOTTO_E_LOST);
    check_words(&caller.error, SOTTO_E_LOST);
    assert_int_equal(caller.reply.maybe_executed, 1);
    assert_null(caller.reply.error_code);
    caller_free(&caller);
    assert_int_equal(desk_overs(&desk), 1);
    assert_int_equal(desk.overs[0].reason, SOTTO_E_GONE);

    /* the server has ended and is still there: late answers do nothing */
    for (int i = 0; i < 3; i++) {
        (void)sotto_answer(server, desk.calls[0], "1", 1);
        (void)sotto_answer_part(server, desk.calls[0], "1", 1);
        (void)sotto_answer_error(server, desk.calls[0], "denied", NULL);
    }
    sotto_server_free(server);
    call_fails(client, "park", NULL, SOTTO_E_CONNECT);
    assert_int_equal(last.error.stage, SOTTO_STAGE_CONNECT);
    assert_int_equal(last.error.sys_errno, ECONNREFUSED);
    sotto_client_free(client);
    desk_free(&desk);
}

static void ends_itself(void *user, const sotto_request *request)
{
    (void)user;
    sotto_server_drain(request->server, WAIT_MS);
    answer_text(request, "\"goodbye\"");
}

static void handler_may_drain(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    sotto_client *client;

    (void)state;
    add_endpoint(server, "end", ends_itself, NULL, NULL);
    start(server);
    client = client_for(server);
    call_gives(client, "end", NULL, "\"goodbye\"");
    sotto_client_free(client);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    sotto_server_free(server);
}

static void *drain_elsewhere(void *user)
{
    sotto_server_drain(user, WAIT_MS);
    return NULL;
}

/* Clients come while the server goes: each call works, or fails with a code that tells why. */
static void drain_under_load(void **state)
{
    enum { CLIENTS = 8, CALLS = 200 };
    sotto_server *server = echo_server(NULL);
    sotto_client *clients[CLIENTS];
    struct caller callers[CLIENTS];
    pthread_t thread;
    bool over = false;

    (void)state;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_for(server);
        call_echo(clients[i]);
    }
    for (unsigned round = 0; round < CALLS && !over; round++) {
        if (round == 20)
            spawn(&thread, drain_elsewhere, server);
        over = round > 20;
        memset(callers, 0, sizeof callers);
        for (size_t i = 0; i < CLIENTS; i++)
            caller_start(&callers[i], clients[i], "echo", "[1]");
        for (size_t i = 0; i < CLIENTS; i++) {
            sotto_err err;

            caller_join(&callers[i]);
            err = callers[i].err;
            over = over && err == SOTTO_E_CONNECT;
            if (err == SOTTO_OK) {
                assert_string_equal(callers[i].reply.content, "[1]");
            } else {
                assert_true(round >= 20);
                check_words(&callers[i].error, err);
                if (err != SOTTO_E_CONNECT && err != SOTTO_E_UNAVAILABLE && err != SOTTO_E_LOST &&
                    err != SOTTO_E_HANDSHAKE)
                    fail_msg("%s: %s", sotto_err_name(err), callers[i].error.why);
            }
            caller_free(&callers[i]);
        }
    }
    assert_true(over);
    join(thread);
    for (size_t i = 0; i < CLIENTS; i++)
        sotto_client_free(clients[i]);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    sotto_server_free(server);
}

static void free_at_once(void **state)
{
    enum { CLIENTS = 6 };

    (void)state;
    for (int round = 0; round < 4; round++) {
        sotto_server_options o = server_options();
        sotto_server *server = server_new(&o);
        static struct desk desk;
        struct caller callers[CLIENTS];
        sotto_client *clients[CLIENTS];

        memset(callers, 0, sizeof callers);
        desk_init(&desk);
        add_endpoint(server, "park", desk_handler, desk_over, &desk);
        start(server);
        for (size_t i = 0; i < CLIENTS; i++) {
            clients[i] = client_for(server);
            caller_start(&callers[i], clients[i], "park", NULL);
        }
        if (round > 0) /* in the first round anything may happen, wherever they are */
            desk_wait_calls(&desk, CLIENTS);
        sotto_server_free(server);
        for (size_t i = 0; i < CLIENTS; i++) {
            caller_join(&callers[i]);
            check_words(&callers[i].error, callers[i].err);
            if (round > 0) {
                assert_int_equal(callers[i].err, SOTTO_E_LOST);
                assert_int_equal(callers[i].reply.maybe_executed, 1);
            }
            caller_free(&callers[i]);
            sotto_client_free(clients[i]);
        }
        assert_int_equal(desk_overs(&desk), desk_calls(&desk));
        for (size_t i = 0; i < desk.over_count; i++)
            assert_int_equal(desk.overs[i].reason, SOTTO_E_GONE);
        desk_free(&desk);
    }
}

/* `over` answers other calls while everything ends. */
static void over_answers_others(void *user, sotto_server *server, sotto_call call, sotto_err reason)
{
    struct desk *desk = user;

    for (size_t i = 0; i < desk_calls(desk); i++)
        (void)sotto_answer(server, desk->calls[i], "\"other\"", 7);
    desk_over(desk, server, call, reason);
}

static void over_may_answer(void **state)
{
    enum { CLIENTS = 5 };
    sotto_server_options o = server_options();
    sotto_server *server;
    static struct desk desk;
    struct taught taught;
    struct wire wires[CLIENTS];

    (void)state;
    o.workers = 1;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, over_answers_others, &desk);
    start(server);
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    for (size_t i = 0; i < CLIENTS; i++) {
        wire_open(&wires[i], sotto_server_address(server), &taught, NULL, 0);
        wire_send(&wires[i], "{\"endpoint\":\"park\"}");
        desk_wait_calls(&desk, i + 1);
    }
    wire_drop(&wires[2], true);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i != 2)
            wire_expect(&wires[i], "{\"id\":1,\"content\":\"other\"}");
    }
    desk_wait_overs(&desk, 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i == 2)
            continue;
        wire_send(&wires[i], "{\"endpoint\":\"park\"}");
    }
    desk_wait_calls(&desk, 2 * CLIENTS - 1);
    sotto_server_free(server); /* each one that ends answers all the others */
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i != 2)
            wire_drop(&wires[i], false);
    }
    desk_free(&desk);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(two_servers_on_one_port),
        runtime_test(address_that_is_not_ours),
        runtime_test(started_once),
        runtime_test(six_is_a_version_too),
        runtime_test(drain_finishes_what_has_begun),
        runtime_test(drain_has_an_end),
        runtime_test(handler_may_drain),
        runtime_test(drain_under_load),
        runtime_test(free_at_once),
        runtime_test(over_may_answer),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
