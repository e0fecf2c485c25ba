/*
 * Calls over all kinds of sessions, and what a handler learns about who calls.
 */
#include "wire.h"

/* ---- Ten lines ------------------------------------------------------------------------------- */

/* The programs of the README: nothing but what has no default is set. */
static void ten_lines_each(void **state)
{
    sotto_server_options so = SOTTO_SERVER_OPTIONS_INIT;
    sotto_client_options co = SOTTO_CLIENT_OPTIONS_INIT;
    sotto_server *server = NULL;
    sotto_client *client = NULL;
    sotto_reply reply = {0};
    sotto_error error = {0};

    (void)state;
    so.listen = "127.0.0.1:0";
    so.keys[0] = world.keys[0];
    assert_int_equal(sotto_server_new(&so, &server, &error), SOTTO_OK);
    assert_int_equal(sotto_server_endpoint(server, "hello", echo, NULL, NULL), SOTTO_OK);
    assert_string_equal(sotto_server_address(server), "");
    assert_int_equal(sotto_server_start(server, &error), SOTTO_OK);

    co.address = sotto_server_address(server);
    co.trust = SOTTO_TRUST_ACCEPT_NEW;
    assert_int_equal(sotto_client_new(&co, &client, &error), SOTTO_OK);
    assert_int_equal(sotto_client_call(client, "hello", "\"hello\"", 7, NULL, &reply, &error),
                     SOTTO_OK);
    assert_string_equal(reply.content, "\"hello\"");
    sotto_reply_free(&reply);
    assert_null(reply.content);
    sotto_reply_free(&reply);
    sotto_reply_free(NULL);
    sotto_client_free(client);
    sotto_client_free(NULL);
    sotto_server_free(server);
    sotto_server_free(NULL);
}

/* ---- Who calls ------------------------------------------------------------------------------- */

/* Answers with what it is told about its caller. */
static void whoami(void *user, const sotto_request *request)
{
    const sotto_peer *peer = request->peer;
    char key[SOTTO_PUBLIC_KEY_TEXT_SIZE] = "-", text[TEXT_SIZE];

    (void)user;
    require(strncmp(peer->address, "127.0.0.1:", 10) == 0 && atoi(peer->address + 10) > 0);
    require(peer->connection > 0);
    require(strcmp(request->endpoint, "whoami") == 0);
    if (peer->key != NULL)
        require(sotto_public_key_format(peer->key, key) == SOTTO_OK);
    (void)snprintf(text, sizeof text, "\"%s %s %s %s\"", sotto_curve_name(peer->curve),
                   sotto_cipher_name(peer->cipher), key, peer->name);
    answer_text(request, text);
}

/* What `whoami` says of the key pair WHO (NULL: nobody in particular). */
static const char *described(sotto_curve curve, sotto_cipher cipher, const sotto_keypair *who)
{
    static char text[TEXT_SIZE];
    char key_text[SOTTO_PUBLIC_KEY_TEXT_SIZE] = "-", name[32] = "";

    if (who != NULL) {
        sotto_public_key key = sotto_keypair_public(who);

        assert_int_equal(sotto_public_key_format(&key, key_text), SOTTO_OK);
        (void)snprintf(name, sizeof name, "friend-%s", sotto_curve_name(curve));
    }
    (void)snprintf(text, sizeof text, "\"%s %s %s %s\"", sotto_curve_name(curve),
                   sotto_cipher_name(cipher), key_text, name);
    return text;
}

static sotto_server *whoami_server(const sotto_server_options *options)
{
    sotto_server *server = server_new(options);

    add_endpoint(server, "whoami", whoami, NULL, NULL);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    return server;
}

struct story {
    char protocols[TEXT_SIZE]; /* what bootstrap and session were */
    unsigned stages[SOTTO_STAGE_CALL + 1];
};

static void tell(void *user, sotto_stage stage, const char *text, int64_t elapsed_us)
{
    struct story *story = user;
    size_t len = strlen(story->protocols);

    assert_true(stage <= SOTTO_STAGE_CALL);
    assert_true(elapsed_us >= 0);
    assert_true(text[0] != '\0');
    story->stages[stage]++;
    if (strncmp(text, "Noise_", 6) == 0)
        (void)snprintf(story->protocols + len, sizeof story->protocols - len, "%.*s ",
                       (int)strcspn(text, ","), text);
}

static void one_combination(const sotto_server *server, size_t curve, size_t cipher, bool gate,
                            bool identity)
{
    sotto_client_options o = client_options(sotto_server_address(server));
    const char *curve_name = sotto_curve_name(curve_at(curve));
    const char *cipher_name = sotto_cipher_name(cipher_at(cipher));
    const char *hash = curve == 0 ? "SHA256" : "SHA512";
    struct story story = {0};
    char expected[TEXT_SIZE], dir[32];
    sotto_client *client;

    (void)snprintf(dir, sizeof dir, "state-%zu%zu%d%d", curve, cipher, gate, identity);
    o.state_dir = scratch_path(dir);
    o.curve = curve_at(curve);
    o.cipher = cipher_at(cipher);
    o.gate = gate;
    o.identity = identity ? world.friends[curve] : NULL;
    o.trace = tell;
    o.user = &story;
    client = client_new(&o);
    call_gives(client, "whoami", NULL,
               described(curve_at(curve), cipher_at(cipher), identity ? o.identity : NULL));
    call_echo(client);
    (void)snprintf(expected, sizeof expected, "Noise_%s_%s_%s_%s Noise_%s_%s_%s_%s ",
                   gate ? "XXpsk0" : "XX", curve_name, cipher_name, hash,
                   identity ? "IKpsk0" : "NKpsk0", curve_name, cipher_name, hash);
    assert_string_equal(story.protocols, expected);
    for (int stage = SOTTO_STAGE_RESOLVE; stage <= SOTTO_STAGE_CALL; stage++)
        assert_true(story.stages[stage] > 0);
    assert_int_equal(client_stats(client).bootstraps, 1);
    assert_int_equal(client_stats(client).sessions, 1);
    assert_int_equal(client_stats(client).calls, 2);
    sotto_client_free(client);
}

static void every_combination(void **state)
{
    sotto_known_clients *clients = known_friends();

    (void)state;
    for (int gate = 0; gate <= 1; gate++) {
        sotto_server_options o = server_options();
        sotto_server *server;

        o.gate = gate;
        o.client_auth = SOTTO_CLIENT_AUTH_OPTIONAL;
        o.clients = clients;
        server = whoami_server(&o);
        for (size_t i = 0; i < 8; i++)
            one_combination(server, i & 1, i >> 1 & 1, gate != 0, (i >> 2 & 1) != 0);
        wait_for_stat(server, bootstraps, 8);
        assert_int_equal(stats_of(server).bootstraps, 8);
        assert_int_equal(stats_of(server).sessions, 8);
        assert_int_equal(stats_of(server).connections, 16);
        assert_int_equal(stats_of(server).refused, 0);
        assert_int_equal(stats_of(server).handshakes_failed, 0);
        stop(server);
        /* the next server has another port and the same key: known_servers names both */
    }
    sotto_known_clients_free(clients);
}

static void gate_on_one_side_only(void **state)
{
    (void)state;
    for (int gate = 0; gate <= 1; gate++) {
        sotto_server_options so = server_options();
        sotto_client_options co;
        sotto_server *server;
        sotto_client *client;

        so.gate = gate;
        server = echo_server(&so);
        co = client_options(sotto_server_address(server));
        co.gate = !gate;
        client = client_new(&co);
        call_fails(client, "echo", NULL, SOTTO_E_REFUSED);
        assert_contains(last.error.why, "unsupported_pattern");
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        assert_int_equal(client_stats(client).sessions, 0);
        sotto_client_free(client);
        wait_for_stat(server, refused, 1);
        stop(server);
    }
}

static sotto_client *client_as(const sotto_server *server, size_t curve,
                               const sotto_keypair *identity, const char *state_dir)
{
    sotto_client_options o = client_options(sotto_server_address(server));

    o.curve = curve_at(curve);
    o.identity = identity;
    o.state_dir = state_dir;
    return client_new(&o);
}

static void knows_who_calls(void **state)
{
    sotto_known_clients *clients = known_friends();

    (void)state;
    for (int auth = SOTTO_CLIENT_AUTH_NONE; auth <= SOTTO_CLIENT_AUTH_OPTIONAL; auth++) {
        sotto_server_options o = server_options();
        sotto_server *server;

        o.client_auth = (sotto_client_auth)auth;
        o.clients = clients;
        server = whoami_server(&o);
        for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
            const sotto_keypair *identities[] = {NULL, world.friends[i], world.strangers[i]};

            for (size_t j = 0; j < COUNT_OF(identities); j++) {
                sotto_client *client = client_as(server, i, identities[j], "");
                bool known = auth == SOTTO_CLIENT_AUTH_OPTIONAL && j == 1;

                call_gives(
                    client, "whoami", NULL,
                    described(curve_at(i), SOTTO_CIPHER_AESGCM, known ? identities[j] : NULL));
                sotto_client_free(client);
            }
        }
        stop(server);
    }
    sotto_known_clients_free(clients);
}

static void serves_known_clients_only(void **state)
{
    sotto_known_clients *clients = known_friends();
    sotto_server_options o = server_options();
    sotto_server *server;

    (void)state;
    o.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    o.clients = clients;
    server = whoami_server(&o);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        const char *cache = scratch_path("cache");
        sotto_client *client;

        /* who is not known gets no document … */
        client = client_as(server, i, NULL, cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        assert_contains(last.error.hint, "--identity");
        sotto_client_free(client);
        client = client_as(server, i, world.strangers[i], cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        sotto_client_free(client);

        client = client_as(server, i, world.friends[i], cache);
        call_gives(client, "whoami", NULL,
                   described(curve_at(i), SOTTO_CIPHER_AESGCM, world.friends[i]));
        sotto_client_free(client);

        /* … and, knowing all secrets, still no session */
        client = client_as(server, i, NULL, cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_SESSION);
        assert_int_equal(client_stats(client).bootstraps, 0);
        sotto_client_free(client);
        client = client_as(server, i, world.strangers[i], cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(client_stats(client).bootstraps, 0);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.maybe_executed, 0);
        sotto_client_free(client);
    }
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).requests, 2);
    stop(server);
    sotto_known_clients_free(clients);
}

/* Two connections, two numbers; one connection, one number. */
static void connections_have_numbers(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    sotto_client *a, *b;
    uint64_t numbers[3];
    char addresses[3][TEXT_SIZE];

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "note", desk_handler, NULL, &desk);
    start(server);
    a = client_for(server);
    b = client_for(server);
    for (size_t i = 0; i < 3; i++) {
        sotto_error error = {0};

        assert_int_equal(sotto_client_notify(i == 1 ? b : a, "note", NULL, 0, &error), SOTTO_OK);
        desk_wait_calls(&desk, i + 1);
        numbers[i] = desk.peer.connection;
        (void)snprintf(addresses[i], TEXT_SIZE, "%s", desk.peer_address);
    }
    assert_true(numbers[0] != numbers[1]);
    assert_true(numbers[0] == numbers[2]);
    assert_string_not_equal(addresses[0], addresses[1]);
    assert_string_equal(addresses[0], addresses[2]);
    sotto_client_free(a);
    sotto_client_free(b);
    stop(server);
    desk_free(&desk);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(ten_lines_each),
        runtime_test(every_combination),
        runtime_test(gate_on_one_side_only),
        runtime_test(knows_who_calls),
        runtime_test(serves_known_clients_only),
        runtime_test(connections_have_numbers),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
