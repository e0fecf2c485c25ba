/*
 * A server's life: options, endpoints, start, drain, end; and what a library must not do to its
 * host.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- Options --------------------------------------------------------------------------------- */

static void server_refused(const sotto_server_options *options, sotto_err err)
{
    sotto_server *server = (sotto_server *)1;
    sotto_error error = {0};
    sotto_err got = sotto_server_new(options, &server, &error);

    if (got != err)
        fail_msg("%s instead of %s: %s", sotto_err_name(got), sotto_err_name(err), error.why);
    assert_null(server);
    check_words(&error, err);
    assert_int_equal(sotto_server_new(options, &server, NULL), err);
    assert_null(server);
}

static void server_taken(const sotto_server_options *options)
{
    sotto_server *server = server_new(options);

    assert_string_equal(sotto_server_address(server), "");
    assert_int_equal(stats_of(server).connections, 0);
    sotto_server_free(server);
}

static void server_options_are_checked(void **state)
{
    static const char *const addresses[] = {"",     ":",  "127.0.0.1:99999", "127.0.0.1:x",
                                            "[::1", "a b"};
    const sotto_server_options good = server_options();
    sotto_known_clients *clients = known_friends();
    sotto_server_options o;
    char agent[130], address[128];

    (void)state;
    o = good;
    o.size = 0;
    server_refused(&o, SOTTO_E_USAGE);
    o.size = sizeof o + 8;
    server_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.keys[0] = o.keys[1] = NULL;
    server_refused(&o, SOTTO_E_USAGE);
    o.keys[0] = o.keys[1] = world.keys[0];
    server_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.secrets = world.client;
    server_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.workers = 257;
    server_refused(&o, SOTTO_E_USAGE);
    o = good;
    for (uint32_t n = 1; n < 1024; n += 1022) {
        o.max_message = n;
        server_refused(&o, SOTTO_E_USAGE);
    }
    o = good;
    memset(agent, 'a', sizeof agent);
    agent[129] = '\0';
    o.agent = agent;
    server_refused(&o, SOTTO_E_USAGE);
    agent[128] = '\0';
    server_taken(&o);
    o = good;
    o.client_auth = (sotto_client_auth)3;
    o.clients = clients;
    server_refused(&o, SOTTO_E_USAGE);
    for (int auth = SOTTO_CLIENT_AUTH_OPTIONAL; auth <= SOTTO_CLIENT_AUTH_REQUIRED; auth++) {
        o.client_auth = (sotto_client_auth)auth;
        o.clients = NULL;
        server_refused(&o, SOTTO_E_USAGE);
        o.clients = clients;
        server_taken(&o);
    }
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        o = good;
        o.listen = addresses[i];
        server_refused(&o, SOTTO_E_FORMAT);
    }
    o = good;
    o.listen = "sotto://127.0.0.1:0";
    server_taken(&o);
    (void)snprintf(address, sizeof address, "sotto://%s@127.0.0.1:0",
                   fingerprint_of(world.keys[0]));
    o.listen = address;
    server_refused(&o, SOTTO_E_USAGE);

    o = good;
    o.max_message = UINT32_MAX;
    o.max_output = o.max_calls = o.max_connections = o.max_unauthenticated = UINT32_MAX;
    o.call_timeout_ms = o.handshake_timeout_ms = o.keepalive_ms = UINT32_MAX;
    o.workers = 256;
    server_taken(&o);
    o = good;
    o.keys[0] = NULL;
    o.workers = 0;
    server_taken(&o);
    sotto_known_clients_free(clients);
}

/* The largest values are no special values: calls work. */
static void largest_options_work(void **state)
{
    sotto_server_options so = server_options();
    sotto_client_options co;
    sotto_server *server;
    sotto_client *client;

    (void)state;
    so.max_message = so.max_output = so.max_calls = UINT32_MAX;
    so.max_connections = so.max_unauthenticated = UINT32_MAX;
    so.call_timeout_ms = so.handshake_timeout_ms = so.keepalive_ms = UINT32_MAX;
    server = echo_server(&so);
    co = client_options(sotto_server_address(server));
    co.timeout_ms = co.handshake_timeout_ms = co.max_message = co.max_iterations = UINT32_MAX;
    client = client_new(&co);
    call_echo(client);
    call_echo(client);
    sotto_client_free(client);
    sotto_server_drain(server, UINT32_MAX);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    sotto_server_free(server);
}

static void client_refused(const sotto_client_options *options, sotto_err err)
{
    sotto_client *client = (sotto_client *)1;
    sotto_error error = {0};
    sotto_err got = sotto_client_new(options, &client, &error);

    if (got != err)
        fail_msg("%s instead of %s: %s", sotto_err_name(got), sotto_err_name(err), error.why);
    assert_null(client);
    check_words(&error, err);
    assert_int_equal(sotto_client_new(options, &client, NULL), err);
    assert_null(client);
}

static void client_options_are_checked(void **state)
{
    static const char *const addresses[] = {"",     ":",   ":1",          "h:99999", "h:x",
                                            "[::1", "a b", "sotto://x@h", "http://h"};
    static const char *const fingerprints[] = {
        "",
        "SHA256:",
        "x",
        "SHA256:AAAA",
        "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"};
    const sotto_client_options good = client_options("127.0.0.1:1");
    sotto_client_options o;

    (void)state;
    o = good;
    o.size = 0;
    client_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.address = NULL;
    client_refused(&o, SOTTO_E_USAGE);
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        o.address = addresses[i];
        client_refused(&o, SOTTO_E_FORMAT);
    }
    o.address = "127.0.0.1:0";
    client_refused(&o, SOTTO_E_USAGE);
    for (size_t i = 0; i < COUNT_OF(fingerprints); i++) {
        o = good;
        o.fingerprint = fingerprints[i];
        client_refused(&o, SOTTO_E_USAGE);
    }
    o = good;
    o.curve = (sotto_curve)3;
    client_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.cipher = (sotto_cipher)3;
    client_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.trust = (sotto_trust)3;
    client_refused(&o, SOTTO_E_USAGE);
    o.trust = SOTTO_TRUST_ASK;
    client_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.max_message = 1023;
    client_refused(&o, SOTTO_E_USAGE);
    o = good;
    o.max_iterations = 9999;
    client_refused(&o, SOTTO_E_USAGE);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        o = good;
        o.curve = curve_at(i);
        o.identity = world.friends[1 - i];
        client_refused(&o, SOTTO_E_USAGE);
    }
    o = good;
    o.curve = 0; /* the default is 25519 */
    o.identity = world.friends[1];
    client_refused(&o, SOTTO_E_USAGE);
    o.identity = world.friends[0];
    sotto_client_free(client_new(&o));
}

static void endpoints_have_rules(void **state)
{
    static const char *const bad[] = {"",    "$/x",      "$",   "a$b", "a b",
                                      "a\n", "\xc3\xbc", "a\"", "a:b"};
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    char name[130];
    sotto_client *client;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(sotto_server_endpoint(server, bad[i], echo, NULL, NULL), SOTTO_E_USAGE);
    memset(name, 'n', sizeof name);
    name[129] = '\0';
    assert_int_equal(sotto_server_endpoint(server, name, echo, NULL, NULL), SOTTO_E_USAGE);
    name[128] = '\0';
    add_endpoint(server, name, echo, NULL, NULL);
    assert_int_equal(sotto_server_endpoint(server, name, echo, NULL, NULL), SOTTO_E_EXISTS);
    assert_int_equal(sotto_server_endpoint(server, "x", NULL, NULL, NULL), SOTTO_E_USAGE);
    for (int i = 0; i < 500; i++) {
        char many[16];

        (void)snprintf(many, sizeof many, "many/%d", i);
        add_endpoint(server, many, echo, NULL, NULL);
    }
    start(server);
    assert_int_equal(sotto_server_endpoint(server, "late", echo, NULL, NULL), SOTTO_E_USAGE);
    client = client_for(server);
    call_gives(client, name, "1", "1");
    call_gives(client, "many/0", "2", "2");
    call_gives(client, "many/499", "3", "3");
    call_fails(client, "many/500", NULL, SOTTO_E_NOT_FOUND);
    call_fails(client, "late", NULL, SOTTO_E_NOT_FOUND);
    sotto_client_free(client);
    stop(server);
}

static void public_secrets_stay_at_home(void **state)
{
    static const char *const open[] = {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"};
    static const char *const home[] = {"127.0.0.1:0", "127.1.2.3:0", "[::1]:0", "localhost:0"};
    sotto_server_options o = server_options();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(open); i++) {
        o.listen = open[i];
        o.secrets = NULL;
        o.allow_default_secrets = 0;
        server_refused(&o, SOTTO_E_DEFAULT_SECRETS);
        o.allow_default_secrets = 1;
        server_taken(&o);
        o.allow_default_secrets = 0;
        o.secrets = world.server;
        server_taken(&o);
    }
    o.secrets = NULL;
    for (size_t i = 0; i < COUNT_OF(home) - 1; i++) {
        o.listen = home[i];
        server_taken(&o);
    }
}

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

/* ---- A guest in its host --------------------------------------------------------------------- */

static void signals_now(struct sigaction *actions, sigset_t *mask)
{
    for (int i = 1; i < 65; i++) {
        memset(&actions[i], 0, sizeof actions[i]);
        (void)sigaction(i, NULL, &actions[i]);
    }
    require(pthread_sigmask(SIG_SETMASK, NULL, mask) == 0);
}

/* A bit of everything: success, failures, connections that break under both sides. */
static void a_full_day(void)
{
    sotto_server *server = echo_server(NULL), *other;
    sotto_client_options o = client_options(sotto_server_address(server));
    char address[64];
    sotto_client *client = client_new(&o), *strict;
    struct taught taught;
    struct wire wire;
    int fd;

    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    call_echo(client);
    call_fails(client, "nope", NULL, SOTTO_E_NOT_FOUND);
    call_fails(client, "echo", "{", SOTTO_E_JSON);
    o.trust = SOTTO_TRUST_STRICT;
    o.known_servers = scratch_path("nothing");
    strict = client_new(&o);
    call_fails(strict, "echo", NULL, SOTTO_E_KEY_UNKNOWN);
    sotto_client_free(strict);

    /* garbage, a reset, and a client that leaves with answers under way: the server's sends hit
     * closed sockets */
    fd = connect_to(address);
    require(write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18);
    read_to_end(fd);
    require(close(fd) == 0);
    wire_bootstrap(address, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    for (int i = 0; i < 10; i++) {
        wire_open(&wire, address, &taught, NULL, 0);
        for (int j = 0; j < 50; j++)
            wire_send(&wire, "{\"endpoint\":\"echo\",\"content\":\"x\"}");
        wire_drop(&wire, i % 2 == 0);
    }
    call_echo(client);
    sotto_server_free(server);
    call_fails(client, "echo", NULL, SOTTO_E_CONNECT);
    {
        sotto_error error = {0};

        assert_int_equal(sotto_client_notify(client, "echo", NULL, 0, &error), SOTTO_E_CONNECT);
        check_words(&error, SOTTO_E_CONNECT);
    }
    other = echo_server_at(server_options(), address);
    call_echo(client);
    sotto_client_free(client);
    stop(other);
}

static void leaves_signals_alone(void **state)
{
    static struct sigaction before[65], after[65];
    sigset_t mask_before, mask_after;

    (void)state;
    signals_now(before, &mask_before);
    /* a SIGPIPE would end this program: nobody catches it */
    assert_true(before[SIGPIPE].sa_handler == SIG_DFL);
    assert_int_equal(sigismember(&mask_before, SIGPIPE), 0);
    a_full_day();
    signals_now(after, &mask_after);
    for (int i = 1; i < 65; i++) {
        assert_true(before[i].sa_handler == after[i].sa_handler);
        assert_int_equal(before[i].sa_flags, after[i].sa_flags);
        assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
    }
}

/* A signal for the program is not taken by a thread of the library: it would end us here. */
static void takes_no_signals(void **state)
{
    const struct timespec limit = {.tv_sec = WAIT_MS / 1000};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    sigset_t usr1, before;

    (void)state;
    require(sigemptyset(&usr1) == 0 && sigaddset(&usr1, SIGUSR1) == 0);
    call_echo(client);
    require(pthread_sigmask(SIG_BLOCK, &usr1, &before) == 0);
    require(kill(getpid(), SIGUSR1) == 0);
    call_echo(client);
    assert_int_equal(sigtimedwait(&usr1, NULL, &limit), SIGUSR1);
    require(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    sotto_client_free(client);
    stop(server);
}

static void prints_nothing(void **state)
{
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), file;
    struct stat st;
    char *text;

    (void)state;
    require(out >= 0 && err >= 0);
    (void)fflush(NULL);
    file = open(scratch_path("output"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    require(file >= 0 && dup2(file, STDOUT_FILENO) >= 0 && dup2(file, STDERR_FILENO) >= 0);
    /* A check that fails in there fails the test, and its text is in the file. */
    a_full_day();
    (void)fflush(NULL);
    require(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    require(fstat(file, &st) == 0);
    require(close(out) == 0 && close(err) == 0 && close(file) == 0);
    text = get_text(scratch_path("output"));
    if (st.st_size != 0)
        fail_msg("the library printed: %s", text);
    free(text);
}

/* Nothing is inherited by a program that the host starts, and the folder stays where it was. */
static void descriptors_close_on_exec(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    char before[PATH_SIZE], after[PATH_SIZE];
    mode_t mask = umask(077);

    (void)state;
    (void)umask(mask);
    require(getcwd(before, sizeof before) != NULL);
    call_echo(client);
    for (int fd = 3; fd < 256; fd++) {
        struct stat st;
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            assert_true(flags & FD_CLOEXEC);
    }
    require(getcwd(after, sizeof after) != NULL);
    assert_string_equal(before, after);
    assert_int_equal(umask(mask), mask);
    sotto_client_free(client);
    stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(server_options_are_checked),
        runtime_test(largest_options_work),
        runtime_test(client_options_are_checked),
        runtime_test(endpoints_have_rules),
        runtime_test(public_secrets_stay_at_home),
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
        runtime_test(leaves_signals_alone),
        runtime_test(takes_no_signals),
        runtime_test(prints_nothing),
        runtime_test(descriptors_close_on_exec),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
