/*
 * First contact: who is trusted, what is pinned, and what a bootstrap teaches.
 */
#include "wire.h"

#include <sys/stat.h>

/* ---- Policies -------------------------------------------------------------------------------- */

static void strict_refuses_strangers(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));

    (void)state;
    o.trust = SOTTO_TRUST_STRICT;
    one_call_fails(&o, SOTTO_E_KEY_UNKNOWN, 1);
    assert_int_equal(last.error.stage, SOTTO_STAGE_TRUST);
    assert_contains(last.error.why, fingerprint_of(world.keys[0]));
    assert_int_equal(access(known_servers(), F_OK), -1);
    assert_int_equal(access(sessions(), F_OK), -1);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).bootstraps, 0); /* nobody got a document */

    o.trust = SOTTO_TRUST_ACCEPT_NEW;
    one_call_takes(&o, 1);
    o.trust = SOTTO_TRUST_STRICT;
    one_call_takes(&o, 0);
    stop(server);
}

static void fingerprint_decides(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    char address[256];
    sotto_client *client = NULL;
    sotto_error error = {0};

    (void)state;
    for (int policy = SOTTO_TRUST_STRICT; policy <= SOTTO_TRUST_ACCEPT_NEW; policy += 2) {
        o.trust = (sotto_trust)policy;
        o.fingerprint = fingerprint_of(world.other_keys[0]);
        one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 1);
        assert_contains(last.error.why, fingerprint_of(world.keys[0]));
        assert_int_equal(access(known_servers(), F_OK), -1);
    }
    o.trust = SOTTO_TRUST_STRICT;
    o.fingerprint = NULL;
    (void)snprintf(address, sizeof address, "sotto://%s@%s", fingerprint_of(world.other_keys[0]),
                   sotto_server_address(server));
    o.address = address;
    one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 1);
    o.fingerprint = fingerprint_of(world.keys[0]);
    assert_int_equal(sotto_client_new(&o, &client, &error), SOTTO_E_USAGE);
    check_words(&error, SOTTO_E_USAGE);

    (void)snprintf(address, sizeof address, "sotto://%s@%s", fingerprint_of(world.keys[0]),
                   sotto_server_address(server));
    one_call_takes(&o, 1);
    o.fingerprint = NULL;
    one_call_takes(&o, 0);
    o.address = sotto_server_address(server);
    one_call_takes(&o, 0); /* pinned by now */

    /* together with a pin it must equal it too, whatever is cached */
    o.fingerprint = fingerprint_of(world.other_keys[0]);
    one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 0);
    o.fresh = 1;
    one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 0);
    stop(server);
}

struct asked {
    unsigned times;
    int answer;
    char address[TEXT_SIZE], fingerprint[SOTTO_FINGERPRINT_SIZE];
    sotto_public_key key;
};

static int ask(void *user, const char *address, const sotto_public_key *key,
               const char *fingerprint)
{
    struct asked *asked = user;

    asked->times++;
    asked->key = *key;
    (void)snprintf(asked->address, sizeof asked->address, "%s", address);
    (void)snprintf(asked->fingerprint, sizeof asked->fingerprint, "%s", fingerprint);
    return asked->answer;
}

static void asks_somebody(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    sotto_public_key key = sotto_keypair_public(world.keys[0]);
    struct asked asked = {0};
    sotto_client *client;

    (void)state;
    o.trust = SOTTO_TRUST_ASK;
    o.ask = ask;
    o.user = &asked;
    client = client_new(&o);
    for (unsigned i = 1; i <= 2; i++) {
        call_fails(client, "echo", NULL, SOTTO_E_KEY_UNKNOWN);
        assert_int_equal(asked.times, i);
    }
    assert_string_equal(asked.address, sotto_server_address(server));
    assert_string_equal(asked.fingerprint, fingerprint_of(world.keys[0]));
    assert_true(sotto_public_key_equal(&asked.key, &key));
    assert_int_equal(access(known_servers(), F_OK), -1);
    assert_int_equal(access(sessions(), F_OK), -1);

    asked.answer = 1;
    call_echo(client);
    assert_int_equal(asked.times, 3);
    sotto_client_free(client);
    asked.answer = 0;
    one_call_takes(&o, 0);
    o.fresh = 1;
    one_call_takes(&o, 1);
    o.curve = SOTTO_CURVE_448; /* pinned together with the other one */
    one_call_takes(&o, 1);
    assert_int_equal(asked.times, 3);
    /* a wrong fingerprint leaves nothing to ask */
    o.fingerprint = fingerprint_of(world.other_keys[1]);
    one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 0);
    assert_int_equal(asked.times, 3);
    stop(server);
}

static int think(void *user, const char *address, const sotto_public_key *key,
                 const char *fingerprint)
{
    int64_t until = now_ms() + 2200;

    while (now_ms() < until)
        breathe();
    return ask(user, address, key, fingerprint);
}

/* Who is asked may take longer than a call has: that time does not count. */
static void asked_at_leisure(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    struct asked asked = {.answer = 1};

    (void)state;
    o.trust = SOTTO_TRUST_ASK;
    o.ask = think;
    o.user = &asked;
    o.timeout_ms = 2000;
    o.handshake_timeout_ms = 500; /* and no connection waits meanwhile: there is a second one */
    one_call_takes(&o, 2);
    assert_int_equal(asked.times, 1);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).bootstraps, 1);
    stop(server);
}

struct swap {
    sotto_server *server;
    char address[64];
    unsigned times;
};

static int swap_servers(void *user, const char *address, const sotto_public_key *key,
                        const char *fingerprint)
{
    struct swap *swap = user;

    (void)address;
    (void)key;
    (void)fingerprint;
    swap->times++;
    sotto_server_free(swap->server);
    swap->server = server_with(world.other_keys[0], NULL, world.server, swap->address);
    return 1;
}

/* A yes is for the key that was shown, not for whoever answers next. */
static void other_key_behind_the_question(void **state)
{
    struct swap swap = {.server = echo_server(NULL)};
    sotto_client_options o;
    sotto_client *client;

    (void)state;
    (void)snprintf(swap.address, sizeof swap.address, "%s", sotto_server_address(swap.server));
    o = client_options(swap.address);
    o.trust = SOTTO_TRUST_ASK;
    o.ask = swap_servers;
    o.user = &swap;
    client = client_new(&o);
    call_fails(client, "echo", NULL, SOTTO_E_KEY_MISMATCH);
    assert_int_equal(last.error.stage, SOTTO_STAGE_TRUST);
    assert_int_equal(swap.times, 1);
    assert_did(client, 2, 0);
    assert_int_equal(access(known_servers(), F_OK), -1);
    wait_for_open(swap.server, 0);
    assert_int_equal(stats_of(swap.server).bootstraps, 0);
    sotto_client_free(client);
    stop(swap.server);
}

/* A name is another server than its number, as far as pins go. */
static void server_by_name(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    char address[64], *text;
    sotto_client *client;
    sotto_reply reply;
    sotto_error error = {0};
    sotto_err err;

    (void)state;
    one_call_takes(&o, 1);
    (void)snprintf(address, sizeof address, "LocalHost%s", strrchr(o.address, ':'));
    o.address = address;
    client = client_new(&o);
    err = sotto_client_call(client, "echo", NULL, 0, NULL, &reply, &error);
    sotto_reply_free(&reply);
    if (err == SOTTO_OK) {
        assert_did(client, 1, 1);
        text = get_text(known_servers());
        assert_contains(text, "\nlocalhost:");
        free(text);
    } else { /* a machine without that name, or where it is no IPv4 address */
        assert_true(err == SOTTO_E_RESOLVE || err == SOTTO_E_CONNECT);
        check_words(&error, err);
    }
    sotto_client_free(client);
    stop(server);
}

/* Only another curve's key is pinned: no policy goes on from there. */
static void other_curve_is_no_trust(void **state)
{
    sotto_server *server = server_with(world.keys[0], NULL, world.server, NULL);
    char address[64];
    sotto_client_options o;
    struct asked asked = {.answer = 1};

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    one_call_takes(&o, 1);
    o.curve = SOTTO_CURVE_448;
    one_call_fails(&o, SOTTO_E_REFUSED, 1);
    assert_contains(last.error.why, "unsupported_curve");
    stop(server);

    server = server_with(world.keys[1], world.keys[0], world.server, address);
    o.ask = ask;
    o.user = &asked;
    for (int policy = SOTTO_TRUST_STRICT; policy <= SOTTO_TRUST_ACCEPT_NEW; policy++) {
        o.trust = (sotto_trust)policy;
        one_call_fails(&o, SOTTO_E_KEY_UNKNOWN_CURVE, 1);
        assert_int_equal(last.error.stage, SOTTO_STAGE_TRUST);
    }
    assert_int_equal(asked.times, 0);

    /* a new bootstrap on the trusted curve names the other key, too */
    o.curve = SOTTO_CURVE_25519;
    o.trust = SOTTO_TRUST_STRICT;
    one_call_takes(&o, 1);
    o.curve = SOTTO_CURVE_448;
    one_call_takes(&o, 1);
    stop(server);
}

static void bootstrap_teaches(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    sotto_public_key keys[SOTTO_CURVE_COUNT];
    sotto_bootstrap_result r[2];
    sotto_error error = {0};
    uint8_t epoch[SOTTO_EPOCH_LEN];

    (void)state;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        keys[i] = sotto_keypair_public(world.keys[i]);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_client *client;

        o.curve = curve_at(i);
        client = client_new(&o);
        memset(&r[i], 0xff, sizeof r[i]);
        assert_int_equal(sotto_client_bootstrap(client, &r[i], &error), SOTTO_OK);
        assert_true(sotto_public_key_equal(&r[i].server_key, &keys[i]));
        assert_true(sotto_public_key_equal(&r[i].other_keys[1 - i], &keys[1 - i]));
        assert_int_equal(r[i].other_keys[i].curve, 0);
        assert_string_equal(r[i].fingerprint, fingerprint_of(world.keys[i]));
        assert_int_equal(sotto_epoch(r[i].server_id, epoch), SOTTO_OK);
        assert_memory_equal(r[i].epoch, epoch, sizeof epoch);
        assert_true(r[i].salt_index < 100);
        assert_int_equal(r[i].iterations, 10000);
        assert_string_equal(r[i].client_auth, "none");
        assert_int_equal(r[i].pinned_now != 0, i == 0);
        assert_did(client, 1, 0);
        assert_int_equal(sotto_client_bootstrap(client, NULL, NULL), SOTTO_OK);
        assert_did(client, 2, 0);
        call_echo(client);
        assert_did(client, 2, 1);
        sotto_client_free(client);
    }
    assert_memory_equal(r[0].server_id, r[1].server_id, sizeof r[0].server_id);
    o.curve = SOTTO_CURVE_448;
    one_call_takes(&o, 0);
    stop(server);
}

/* ---- Known servers --------------------------------------------------------------------------- */

static void changed_key_stops(void **state)
{
    sotto_server *server = echo_server(NULL);
    char address[64], *before, *after;
    sotto_client_options o;
    sotto_client *client;

    (void)state;
    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    o = client_options(address);
    client = client_new(&o);
    call_echo(client);
    stop(server);
    before = get_text(known_servers());

    server = server_with(world.other_keys[0], world.other_keys[1], world.server, address);
    /* the one that was connected, and new ones, with the cache and without */
    call_fails(client, "echo", NULL, SOTTO_E_KEY_MISMATCH);
    assert_did(client, 2, 1);
    assert_int_equal(last.error.stage, SOTTO_STAGE_TRUST);
    assert_contains(last.error.why, fingerprint_of(world.keys[0]));
    assert_contains(last.error.why, fingerprint_of(world.other_keys[0]));
    assert_contains(last.error.why, known_servers());
    assert_contains(last.error.hint, "sotto trust remove");
    call_fails(client, "echo", NULL, SOTTO_E_KEY_MISMATCH);
    for (int policy = SOTTO_TRUST_STRICT; policy <= SOTTO_TRUST_ACCEPT_NEW; policy += 2) {
        for (int fresh = 0; fresh <= 1; fresh++) {
            o.trust = (sotto_trust)policy;
            o.fresh = fresh;
            one_call_fails(&o, SOTTO_E_KEY_MISMATCH, 1);
        }
    }
    after = get_text(known_servers());
    assert_string_equal(before, after);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).bootstraps, 0);
    stop(server);

    /* the right one comes back */
    server = echo_server_at(server_options(), address);
    call_echo(client);
    sotto_client_free(client);
    stop(server);
    free(before);
    free(after);
}

static void damaged_store_stops(void **state)
{
    static char two_keys[TEXT_SIZE];
    static const char *const texts[] = {"garbage\n", "127.0.0.1:1 sotto-x25519 AAAA\n",
                                        "127.0.0.1:1 sotto-x25519\n", "\xff\n", two_keys};
    sotto_server *server = echo_server(NULL);
    sotto_client_options o = client_options(sotto_server_address(server));
    sotto_public_key other = sotto_keypair_public(world.other_keys[0]);
    char other_text[SOTTO_PUBLIC_KEY_TEXT_SIZE], *good, *text;

    (void)state;
    assert_int_equal(sotto_public_key_format(&other, other_text), SOTTO_OK);
    (void)snprintf(two_keys, sizeof two_keys, "%s %s\n", o.address, other_text);
    one_call_takes(&o, 1);
    good = get_text(known_servers());
    text = malloc(strlen(good) + TEXT_SIZE);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        (void)sprintf(text, "%s%s", good, texts[i]);
        put_text(known_servers(), text, 0600);
        for (int fresh = 0; fresh <= 1; fresh++) {
            o.fresh = fresh;
            one_call_fails(&o, SOTTO_E_TRUST_STORE, 0);
            assert_int_equal(last.error.stage, SOTTO_STAGE_TRUST);
            assert_contains(last.error.what, known_servers());
        }
    }
    /* a key that is none */
    (void)sprintf(text, "%s sotto-x25519 %.43s=\n", o.address,
                  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    put_text(known_servers(), text, 0600);
    one_call_fails(&o, SOTTO_E_TRUST_STORE, 0);
    put_text(known_servers(), good, 0666);
    one_call_fails(&o, SOTTO_E_TRUST_STORE, 0);
    assert_int_equal(unlink(known_servers()), 0);
    assert_int_equal(mkdir(known_servers(), 0700), 0);
    one_call_fails(&o, SOTTO_E_TRUST_STORE, 0);
    assert_int_equal(rmdir(known_servers()), 0);
    assert_int_equal(mkfifo(known_servers(), 0600), 0);
    one_call_fails(&o, SOTTO_E_TRUST_STORE, 0);
    assert_int_equal(unlink(known_servers()), 0);
    put_text(known_servers(), good, 0600);
    o.fresh = 0;
    one_call_takes(&o, 0);

    /* a store that cannot be written: nothing is pinned, so nothing goes on */
    o.known_servers = "/proc/no/known_servers";
    o.state_dir = "";
    one_call_fails(&o, SOTTO_E_TRUST_STORE, 1);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).sessions, 2);
    stop(server);
    free(good);
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(strict_refuses_strangers),
        runtime_test(fingerprint_decides),
        runtime_test(asks_somebody),
        runtime_test(asked_at_leisure),
        runtime_test(other_key_behind_the_question),
        runtime_test(server_by_name),
        runtime_test(other_curve_is_no_trust),
        runtime_test(bootstrap_teaches),
        runtime_test(changed_key_stops),
        runtime_test(damaged_store_stops),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
