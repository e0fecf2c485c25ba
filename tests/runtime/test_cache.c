/*
 * Later contacts: cached bootstrap results, epochs, secrets.
 */
#include "wire.h"

#include <sys/stat.h>

/* ---- Cached results -------------------------------------------------------------------------- */

static void second_client_needs_no_bootstrap(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    const char *file;

    (void)state;
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    file = only_file_in(sessions());
    assert_int_equal(mode_of(file), 0600);
    assert_int_equal(mode_of(sessions()), 0700);
    assert_int_equal(mode_of(known_servers()), 0600);

    o.cipher = SOTTO_CIPHER_CHACHAPOLY; /* a result is good for every cipher … */
    one_call_takes(&o, 0);
    o.curve = SOTTO_CURVE_448; /* … and for its own curve only */
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    o.curve = SOTTO_CURVE_25519;
    one_call_takes(&o, 0);

    o.fresh = 1;
    one_call_takes(&o, 1);
    o.fresh = 0;
    one_call_takes(&o, 0);
    o.state_dir = "";
    one_call_takes(&o, 1);
    one_call_takes(&o, 1);
    o.state_dir = scratch_path("elsewhere/deep");
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    stop(server);
}

/* `fresh` ignores what is there, and what it learns replaces it. */
static void fresh_replaces(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    char *before, *after;
    sotto_client *client;

    (void)state;
    one_call_takes(&o, 1);
    before = get_text(only_file_in(sessions()));
    put_text(only_file_in(sessions()), "{}", 0600);
    o.fresh = 1;
    client = client_new(&o);
    call_echo(client);
    call_echo(client);
    assert_did(client, 1, 1); /* once, not for each call */
    sotto_client_free(client);
    after = get_text(only_file_in(sessions()));
    assert_string_equal(before, after);
    stop(server);
    free(before);
    free(after);
}

static void folders_of_the_environment(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    char *path = malloc(6001);
    sotto_client *client = NULL;
    sotto_error error = {0};

    (void)state;
    assert_non_null(path);
    assert_int_equal(setenv("XDG_CONFIG_HOME", scratch_path("c"), 1), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", scratch_path("s"), 1), 0);
    one_call_takes(&o, 1);
    assert_int_equal(access(scratch_path("c/sotto/known_servers"), F_OK), 0);
    assert_int_equal(count_files(scratch_path("s/sotto/sessions")), 1);
    assert_int_equal(access(scratch_path(".config"), F_OK), -1);
    assert_int_equal(access(scratch_path(".local"), F_OK), -1);

    memset(path, 'p', 6000);
    path[0] = '/';
    path[6000] = '\0';
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "XDG_CONFIG_HOME" : "XDG_STATE_HOME";
        sotto_err err;

        assert_int_equal(setenv(name, path, 1), 0);
        memset(&error, 0, sizeof error);
        err = sotto_client_new(&o, &client, &error);
        assert_int_not_equal(err, SOTTO_OK);
        assert_null(client);
        check_words(&error, err);
        assert_int_equal(unsetenv(name), 0);
    }
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(sotto_client_new(&o, &client, &error), SOTTO_E_FILE);
    check_words(&error, SOTTO_E_FILE);
    o.known_servers = scratch_path("c/sotto/known_servers");
    assert_int_equal(sotto_client_new(&o, &client, &error), SOTTO_E_FILE);
    check_words(&error, SOTTO_E_FILE);
    o.state_dir = scratch_path("s/sotto/sessions");
    one_call_takes(&o, 0);
    o.known_servers = path;
    assert_int_equal(sotto_client_new(&o, &client, &error), SOTTO_E_USAGE);
    check_words(&error, SOTTO_E_USAGE);
    stop(server);
    free(path);
}

/* Replace the first FROM in the file by TO, of the same length. */
static void patch(const char *path, const char *from, const char *to)
{
    char *text = get_text(path), *at = strstr(text, from);

    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    put_text(path, text, 0600);
    free(text);
}

/* Change one hex digit of a member's value. */
static void change_digit(const char *path, const char *member)
{
    char *text = get_text(path), *at = strstr(text, member);

    assert_non_null(at);
    at += strlen(member) + 3; /* `":"` */
    *at = *at == '0' ? '1' : '0';
    put_text(path, text, 0600);
    free(text);
}

static void damaged_cache_is_replaced(void **state)
{
    static const char *const texts[] = {"", "{", "null", "{}", "{\"sotto_session\":1}", "\xff"};
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    char path[2 * PATH_SIZE], *good;
    sotto_public_key other = sotto_keypair_public(world.other_keys[0]);
    sotto_public_key own = sotto_keypair_public(world.keys[0]);
    char other_text[SOTTO_PUBLIC_KEY_TEXT_SIZE], own_text[SOTTO_PUBLIC_KEY_TEXT_SIZE];

    (void)state;
    one_call_takes(&o, 1);
    (void)snprintf(path, sizeof path, "%s", only_file_in(sessions()));
    good = get_text(path);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        put_text(path, texts[i], 0600);
        one_call_takes(&o, 1);
        one_call_takes(&o, 0);
    }
    for (size_t len = 0; len + 2 < strlen(good); len += 7) {
        char *text = strndup(good, len);

        put_text(path, text, 0600);
        free(text);
        if (len % 21 == 0) /* a bootstrap is not free */
            one_call_takes(&o, 1);
    }
    one_call_takes(&o, 1);
    put_text(path, good, 0644); /* others may have read or written it */
    one_call_takes(&o, 1);
    assert_int_equal(mode_of(path), 0600);
    patch(path, "\"sotto_session\":1", "\"sotto_session\":2");
    one_call_takes(&o, 1);

    /* of another server, another address, other secrets, another key */
    patch(path, "127.0.0.1", "127.0.0.2");
    one_call_takes(&o, 1);
    change_digit(path, "secrets");
    one_call_takes(&o, 1);
    assert_int_equal(sotto_public_key_format(&other, other_text), SOTTO_OK);
    assert_int_equal(sotto_public_key_format(&own, own_text), SOTTO_OK);
    patch(path, own_text, other_text);
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    /* of an epoch that is over */
    change_digit(path, "epoch");
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);

    /* something else stands there: no cache, and no harm */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    one_call_takes(&o, 1);
    one_call_takes(&o, 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    assert_int_equal(count_files(sessions()), 1);
    o.state_dir = "/proc/no/sessions";
    one_call_takes(&o, 1);
    stop(server);
    free(good);
}

/* With a wrong PSK in the cache the server keeps silent: nothing is tried again behind the
 * caller's back. */
static void wrong_psk_is_told(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));

    (void)state;
    one_call_takes(&o, 1);
    change_digit(only_file_in(sessions()), "psk");
    one_call_fails(&o, SOTTO_E_HANDSHAKE, 0);
    assert_int_equal(last.error.stage, SOTTO_STAGE_SESSION);
    assert_contains(last.error.hint, "--fresh");
    o.fresh = 1;
    one_call_takes(&o, 1);
    o.fresh = 0;
    one_call_takes(&o, 0);
    stop(server);
}

static void cache_is_no_trust(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));

    (void)state;
    one_call_takes(&o, 1);
    assert_int_equal(unlink(known_servers()), 0);
    o.trust = SOTTO_TRUST_STRICT;
    one_call_fails(&o, SOTTO_E_KEY_UNKNOWN, 1);
    o.trust = SOTTO_TRUST_ACCEPT_NEW;
    one_call_takes(&o, 1);

    /* another key is pinned: neither the cache nor the server counts */
    {
        sotto_public_key other = sotto_keypair_public(world.other_keys[0]);

        assert_int_equal(unlink(known_servers()), 0);
        assert_int_equal(sotto_known_servers_pin(known_servers(), o.address, &other, 1, NULL),
                         SOTTO_OK);
        one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 1);
    }
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).sessions, 2);
    stop(server);
}

/* The pin is looked at for every connection, not only for the first. */
static void pin_removed_meanwhile(void **state)
{
    sotto_server *server = echo_server(NULL);
    char address[64];
    sotto_client_options o;
    sotto_client *client;

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    client = client_new(&o);
    call_echo(client);
    sotto_client_free(client);
    o.trust = SOTTO_TRUST_STRICT;
    client = client_new(&o);
    call_echo(client);
    stop(server);
    server = echo_server_at(server_options(), address);
    assert_int_equal(unlink(known_servers()), 0);
    call_fails(client, "echo", NULL, SOTTO_E_KEY_UNKNOWN);
    assert_did(client, 1, 1);
    sotto_client_free(client);
    stop(server);
}

/* ---- Epochs ---------------------------------------------------------------------------------- */

static void restarted_server_costs_one_bootstrap(void **state)
{
    sotto_server *server = echo_server(NULL);
    char address[64];
    sotto_client_options o;
    sotto_client *connected, *late;

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    connected = client_new(&o);
    call_echo(connected);
    assert_did(connected, 1, 1);
    o.trust = SOTTO_TRUST_STRICT;
    late = client_new(&o);
    for (uint64_t i = 1; i <= 3; i++) {
        stop(server);
        server = echo_server_at(server_options(), address);
        /* one with the session of before … */
        call_echo(connected);
        assert_did(connected, 1 + i, 1 + i);
        call_echo(connected);
        assert_did(connected, 1 + i, 1 + i);
        assert_int_equal(stats_of(server).refused > 0, 1);
        /* … and one with what the first one has left in the cache by now */
        if (i == 1) {
            call_echo(late);
            assert_did(late, 0, 1);
        }
    }
    call_echo(late); /* its own memory is two epochs old */
    assert_did(late, 1, 2);
    sotto_client_free(connected);
    sotto_client_free(late);
    one_call_takes(&o, 0);
    stop(server);
}

/* The server says `unknown_epoch` whatever the client does: two acceptors that disagree. */
static void epoch_is_never_right(void **state)
{
    sotto_psk_parameters one = {0}, two = {0};
    sotto_acceptor *a = acceptor_new(&one, 0), *b = acceptor_new(&two, 0);
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    sotto_client *client = client_new(&o);
    struct caller caller = {0};
    struct wire wire;
    bool bootstrap[] = {true, false, false, true, false};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bootstrap); i++) {
        /* first call: bootstrap, refused.  Second: refused, one new bootstrap, refused. */
        if (i == 0 || i == 2)
            caller_start(&caller, client, "echo", NULL);
        wire_serve(&wire, accept_from(listener), bootstrap[i] ? a : b);
        wire_serve_until_end(&wire);
        if (!bootstrap[i])
            assert_int_equal(sotto_session_error(wire.session), SOTTO_E_REFUSED);
        wire_drop(&wire, false);
        if (i == 1 || i == 4) {
            caller_join(&caller);
            check_words(&caller.error, SOTTO_E_REFUSED);
            assert_int_equal(caller.err, SOTTO_E_REFUSED);
            assert_contains(caller.error.why, "unknown_epoch");
            assert_did(client, i == 1 ? 1 : 2, 0);
            caller_free(&caller);
        }
    }
    sotto_client_free(client);
    require(close(listener) == 0);
    sotto_acceptor_free(a);
    sotto_acceptor_free(b);
}

/* ---- Secrets --------------------------------------------------------------------------------- */

static void secrets_of_another_deployment(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));

    (void)state;
    o.secrets = world.other_client;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        o.curve = curve_at(i);
        one_call_fails(&o, SOTTO_E_HANDSHAKE, 1);
        assert_int_equal(last.error.stage, SOTTO_STAGE_SESSION);
        assert_contains(last.error.why, "secrets");
    }
    o.secrets = NULL; /* the built-in ones */
    one_call_fails(&o, SOTTO_E_HANDSHAKE, 1);
    o.secrets = world.server; /* a server may call, too */
    one_call_takes(&o, 1);
    stop(server);
}

static void gate_keeps_strangers_out(void **state)
{
    sotto_server_options so = server_options();
    sotto_client_options o;
    sotto_server *server;

    (void)state;
    so.gate = 1;
    server = echo_server(&so);
    o = client_options(sotto_server_address(server));
    o.gate = 1;
    o.secrets = world.other_client;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        o.curve = curve_at(i);
        one_call_fails(&o, SOTTO_E_HANDSHAKE, 1);
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
    }
    wait_for_stat(server, handshakes_failed, 4);
    assert_int_equal(stats_of(server).bootstraps, 0);
    o.secrets = world.client;
    one_call_takes(&o, 1);
    stop(server);
}

/* One cache for two deployments: each has its own result. */
static void cache_of_two_deployments(void **state)
{
    sotto_server *server = echo_server(NULL);
    char address[64], first[2 * PATH_SIZE], *text;
    sotto_client_options o;

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    one_call_takes(&o, 1);
    (void)snprintf(first, sizeof first, "%s", only_file_in(sessions()));
    text = get_text(first);
    assert_int_equal(unlink(first), 0);
    stop(server);

    server = server_with(world.keys[0], world.keys[1], world.other_server, address);
    o.secrets = world.other_client;
    one_call_takes(&o, 1);
    assert_string_not_equal(only_file_in(sessions()), first);
    put_text(only_file_in(sessions()), text, 0600); /* under a wrong name it is nothing */
    one_call_takes(&o, 1);
    one_call_takes(&o, 0);
    put_text(first, text, 0600);
    one_call_takes(&o, 0);
    assert_int_equal(count_files(sessions()), 2);
    stop(server);
    free(text);
}

static void iterations_have_a_limit(void **state)
{
    sotto_server_options so = server_options();
    sotto_secrets *server_secrets = NULL, *client_secrets = NULL;
    sotto_client_options o;
    sotto_server *server;

    (void)state;
    assert_int_equal(sotto_secrets_create(scratch_path("more"), 20000, NULL), SOTTO_OK);
    assert_int_equal(sotto_secrets_load(scratch_path("more/server.json"), &server_secrets, NULL),
                     SOTTO_OK);
    assert_int_equal(sotto_secrets_load(scratch_path("more/client.json"), &client_secrets, NULL),
                     SOTTO_OK);
    so.secrets = server_secrets;
    server = echo_server(&so);
    o = client_options(sotto_server_address(server));
    o.secrets = client_secrets;
    o.max_iterations = 19999;
    one_call_fails(&o, SOTTO_E_PARAMETERS, 1);
    assert_contains(last.error.why, "20000");
    assert_int_equal(access(known_servers(), F_OK), -1);
    o.max_iterations = 20000;
    one_call_takes(&o, 1);
    stop(server);
    sotto_secrets_free(server_secrets);
    sotto_secrets_free(client_secrets);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(second_client_needs_no_bootstrap),
        runtime_test(fresh_replaces),
        runtime_test(folders_of_the_environment),
        runtime_test(damaged_cache_is_replaced),
        runtime_test(wrong_psk_is_told),
        runtime_test(cache_is_no_trust),
        runtime_test(pin_removed_meanwhile),
        runtime_test(restarted_server_costs_one_bootstrap),
        runtime_test(epoch_is_never_right),
        runtime_test(secrets_of_another_deployment),
        runtime_test(gate_keeps_strangers_out),
        runtime_test(cache_of_two_deployments),
        runtime_test(iterations_have_a_limit),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
