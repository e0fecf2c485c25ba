/*
 * Options of servers and clients, and the rules for endpoints.
 */
#include "wire.h"

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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(server_options_are_checked),  runtime_test(largest_options_work),
        runtime_test(client_options_are_checked),  runtime_test(endpoints_have_rules),
        runtime_test(public_secrets_stay_at_home),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
