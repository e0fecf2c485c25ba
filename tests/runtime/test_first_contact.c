/*
 * What stands before a call: trust, known servers, cached bootstraps, epochs, secrets.
 */
#include "wire.h"

#include <sys/stat.h>

static const char *known_servers(void)
{
    return scratch_path(".config/sotto/known_servers");
}

static const char *sessions(void)
{
    return scratch_path(".local/state/sotto/sessions");
}

/* What a client has done so far. */
static void assert_did(const sotto_client *client, uint64_t bootstraps, uint64_t sessions_made)
{
    assert_int_equal(client_stats(client).bootstraps, bootstraps);
    assert_int_equal(client_stats(client).sessions, sessions_made);
}

/* A new client that calls once: so many bootstraps, one session. */
static void one_call_takes(const sotto_client_options *options, uint64_t bootstraps)
{
    sotto_client *client = client_new(options);

    call_echo(client);
    assert_did(client, bootstraps, 1);
    sotto_client_free(client);
}

/* A new client that calls once, in vain. */
static void one_call_fails(const sotto_client_options *options, sotto_err err, uint64_t bootstraps)
{
    sotto_client *client = client_new(options);

    call_fails(client, "echo", "1", err);
    assert_did(client, bootstraps, 0);
    assert_int_equal(last.maybe_executed, 0);
    /* it stays usable: the same once more */
    call_fails(client, "echo", "1", err);
    sotto_client_free(client);
}

/* The server's other curve: a server with one key only. */
static sotto_server *server_with(const sotto_keypair *a, const sotto_keypair *b,
                                 const sotto_secrets *secrets, const char *listen)
{
    sotto_server_options o = server_options();

    o.keys[0] = a;
    o.keys[1] = b;
    o.secrets = secrets;
    if (listen != NULL)
        o.listen = listen;
    return echo_server(&o);
}

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
