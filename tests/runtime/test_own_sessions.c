/*
 * sotto_client_session_options(): a client does what stands before a session, and the program
 * drives the sessions itself.
 */
#include "wire.h"

/* ---- A session of our own -------------------------------------------------------------------- */

static sotto_session_client_options options_of(sotto_client *client)
{
    sotto_session_client_options o;
    sotto_error error = {0};

    memset(&o, 0xa5, sizeof o); /* all of it is filled in */
    if (sotto_client_session_options(client, &o, &error) != SOTTO_OK)
        fail_msg("no options: %s: %s", error.what, error.why);
    assert_int_equal(o.size, sizeof o);
    assert_int_equal(o.purpose, SOTTO_SESSION);
    assert_int_equal(o.input_padding, 0); /* nobody promised any */
    assert_null(o.gate);
    return o;
}

static void refused_options(sotto_client *client, sotto_err err, sotto_stage stage)
{
    sotto_session_client_options o;
    sotto_error error = {0};

    assert_int_equal(sotto_client_session_options(client, &o, &error), err);
    check_words(&error, err);
    assert_int_equal(error.stage, stage);
}

static void begin(struct wire *w, const char *address, const sotto_session_client_options *o)
{
    memset(w, 0, sizeof *w);
    w->fd = connect_to(address);
    assert_int_equal(sotto_session_client_new(o, now_ns(), &w->session), SOTTO_OK);
}

/* A session with them, and one call. */
static void talk(const char *address, const sotto_session_client_options *o)
{
    struct wire w;

    begin(&w, address, o);
    wire_serve_until_open(&w); /* drives either side */
    wire_send(&w, "{\"endpoint\":\"echo\",\"content\":[\"own\",1]}");
    wire_expect(&w, "{\"id\":1,\"content\":[\"own\",1]}");
    assert_int_equal(sotto_session_curve(w.session), o->curve);
    assert_int_equal(sotto_session_cipher(w.session), o->cipher);
    wire_drop(&w, false);
}

/* The server has another epoch by now. */
static void talk_is_refused(const char *address, const sotto_session_client_options *o)
{
    struct wire w;

    begin(&w, address, o);
    wire_serve_until_end(&w);
    assert_false(w.opened);
    assert_int_equal(sotto_session_error(w.session), SOTTO_E_REFUSED);
    assert_string_equal(sotto_session_refusal_code(w.session), "unknown_epoch");
    wire_drop(&w, false);
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Bootstraps once, on every curve with every cipher, and then goes by memory; any number of
 * sessions. */
static void from_a_bootstrap(void **state)
{
    sotto_server *server = echo_server(NULL);

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        sotto_client_options o = client_options(sotto_server_address(server));
        sotto_session_client_options first, second;
        sotto_client *client;

        o.curve = curve_at(i & 1);
        o.cipher = cipher_at(i >> 1);
        o.max_message = 5000;
        o.state_dir = "";
        client = client_new(&o);
        assert_did(client, 0, 0);
        first = options_of(client);
        assert_did(client, 1, 0);
        assert_int_equal(first.curve, o.curve);
        assert_int_equal(first.cipher, o.cipher);
        assert_int_equal(first.max_message, 5000);
        assert_null(first.identity);
        for (unsigned n = 0; n < 3; n++)
            talk(sotto_server_address(server), &first);
        second = options_of(client);
        assert_did(client, 1, 0);
        assert_memory_equal(second.epoch, first.epoch, sizeof first.epoch);
        assert_true(sotto_public_key_equal(second.server_key, first.server_key));
        assert_memory_equal(second.psk, first.psk, sizeof *first.psk);
        talk(sotto_server_address(server), &second);
        call_echo(client); /* its own session, with the same result */
        assert_did(client, 1, 1);
        talk(sotto_server_address(server), &second);
        sotto_client_free(client);
    }
    stop(server);
}

static void from_the_cache(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    sotto_session_client_options options;
    sotto_client *client;

    (void)state;
    client = client_new(&o);
    options = options_of(client);
    assert_did(client, 1, 0);
    sotto_client_free(client);
    assert_int_equal(count_files(sessions()), 1); /* left for others */
    one_call_takes(&o, 0);

    client = client_new(&o);
    options = options_of(client);
    assert_did(client, 0, 0);
    talk(o.address, &options);
    sotto_client_free(client);

    o.fresh = 1; /* does not look there, once */
    client = client_new(&o);
    options = options_of(client);
    assert_did(client, 1, 0);
    options = options_of(client);
    assert_did(client, 1, 0);
    talk(o.address, &options);
    sotto_client_free(client);

    o.fresh = 0;
    o.state_dir = "";
    client = client_new(&o);
    options = options_of(client);
    assert_did(client, 1, 0);
    talk(o.address, &options);
    sotto_client_free(client);
    stop(server);
}

static void who_am_i(void *user, const sotto_request *request)
{
    char text[TEXT_SIZE];

    (void)user;
    (void)snprintf(text, sizeof text, "\"%s\"", request->peer->name);
    answer_text(request, text);
}

static void with_an_identity(void **state)
{
    sotto_known_clients *clients = known_friends();
    sotto_server_options so = server_options();
    sotto_server *server;

    (void)state;
    so.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    so.clients = clients;
    so.gate = 1;
    server = server_new(&so);
    add_endpoint(server, "echo", who_am_i, NULL, NULL);
    start(server);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_client_options o = client_options(sotto_server_address(server));
        sotto_session_client_options options;
        char expected[TEXT_SIZE];
        sotto_client *client;
        struct wire w;

        o.curve = curve_at(i);
        o.gate = 1;
        o.identity = world.friends[i];
        client = client_new(&o);
        options = options_of(client);
        assert_ptr_equal(options.identity, world.friends[i]);
        begin(&w, o.address, &options);
        wire_serve_until_open(&w);
        wire_send(&w, "{\"endpoint\":\"echo\"}");
        (void)snprintf(expected, sizeof expected, "{\"id\":1,\"content\":\"friend-%s\"}",
                       sotto_curve_name(curve_at(i)));
        wire_expect(&w, expected);
        wire_drop(&w, false);
        sotto_client_free(client);

        o.identity = world.strangers[i]; /* no document, so no options */
        o.state_dir = "";
        client = client_new(&o);
        refused_options(client, SOTTO_E_DENIED, SOTTO_STAGE_BOOTSTRAP);
        sotto_client_free(client);
    }
    stop(server);
    sotto_known_clients_free(clients);
}

/* ---- Trust ----------------------------------------------------------------------------------- */

static void only_from_who_is_trusted(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    sotto_session_client_options options;
    sotto_client *client;

    (void)state;
    o.trust = SOTTO_TRUST_STRICT;
    client = client_new(&o);
    for (unsigned i = 1; i <= 2; i++) {
        refused_options(client, SOTTO_E_KEY_UNKNOWN, SOTTO_STAGE_TRUST);
        assert_did(client, i, 0);
    }
    sotto_client_free(client);
    assert_int_equal(access(known_servers(), F_OK), -1);
    assert_int_equal(access(sessions(), F_OK), -1);

    o.fingerprint = fingerprint_of(world.other_keys[0]);
    client = client_new(&o);
    refused_options(client, SOTTO_E_KEY_MISMATCH, SOTTO_STAGE_TRUST);
    sotto_client_free(client);

    o.fingerprint = fingerprint_of(world.keys[0]);
    client = client_new(&o);
    options = options_of(client);
    talk(o.address, &options);
    sotto_client_free(client);

    /* A result in memory or in the cache is no trust: what is pinned is asked each time. */
    o.fingerprint = NULL;
    client = client_new(&o);
    options = options_of(client);
    assert_did(client, 0, 0);
    assert_int_equal(unlink(known_servers()), 0);
    refused_options(client, SOTTO_E_KEY_UNKNOWN, SOTTO_STAGE_TRUST);
    assert_did(client, 1, 0);
    sotto_client_free(client);
    stop(server);
}

static void no_server(void **state)
{
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    sotto_client *client = client_new(&o);

    (void)state;
    require(close(listener) == 0);
    refused_options(client, SOTTO_E_CONNECT, SOTTO_STAGE_CONNECT);
    sotto_client_free(client);
}

/* ---- Epochs ---------------------------------------------------------------------------------- */

/* A server that was restarted has another epoch: the session is refused, one bootstrap mends it. */
static void after_a_restart(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_session_client_options options;
    sotto_bootstrap_result result;
    uint8_t before[SOTTO_EPOCH_LEN];
    sotto_client_options o;
    sotto_error error = {0};
    sotto_client *client;
    char address[64];

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    client = client_new(&o);
    options = options_of(client);
    talk(address, &options);
    for (uint64_t i = 1; i <= 2; i++) {
        memcpy(before, options.epoch, sizeof before);
        stop(server);
        server = echo_server_at(server_options(), address);
        talk_is_refused(address, &options);
        options = options_of(client); /* the client cannot know */
        assert_memory_equal(options.epoch, before, sizeof before);
        talk_is_refused(address, &options);
        assert_did(client, i, 0);

        assert_int_equal(sotto_client_bootstrap(client, &result, &error), SOTTO_OK);
        assert_int_equal(result.pinned_now, 0);
        assert_did(client, 1 + i, 0);
        options = options_of(client);
        assert_did(client, 1 + i, 0);
        assert_memory_not_equal(options.epoch, before, sizeof before);
        assert_memory_equal(options.epoch, result.epoch, sizeof result.epoch);
        talk(address, &options);
    }
    wait_for_stat(server, refused, 2);
    assert_int_equal(stats_of(server).refused, 2);
    sotto_client_free(client);
    one_call_takes(&o, 0); /* the cache has the new one */
    stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(from_a_bootstrap), runtime_test(from_the_cache),
        runtime_test(with_an_identity), runtime_test(only_from_who_is_trusted),
        runtime_test(no_server),        runtime_test(after_a_restart),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
