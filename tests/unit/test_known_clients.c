/* The file of clients that a server knows. */
#include "scratch.h"
#include "failing_malloc.h"

#include "crypto/crypto.h"
#include "sotto/identity.h"

static const char *const path_name = "known_clients";

static sotto_public_key new_key(sotto_curve curve)
{
    sotto_keypair *pair = NULL;
    sotto_public_key key;

    assert_int_equal(sotto_keypair_generate(curve, &pair), SOTTO_OK);
    key = sotto_keypair_public(pair);
    sotto_keypair_free(pair);
    return key;
}

static const char *text_of(const sotto_public_key *key)
{
    static char texts[4][SOTTO_PUBLIC_KEY_TEXT_SIZE];
    static unsigned next;
    char *text = texts[next++ % 4];

    assert_int_equal(sotto_public_key_format(key, text), SOTTO_OK);
    return text;
}

static sotto_known_clients *load(const char *text)
{
    sotto_known_clients *clients = NULL;
    sotto_error error = {0};

    put_text(scratch_path(path_name), text, 0644);
    if (sotto_known_clients_load(scratch_path(path_name), &clients, &error) != SOTTO_OK)
        fail_msg("%s: %s", error.what, error.why);
    return clients;
}

static void finds_names(void **state)
{
    sotto_public_key a = new_key(SOTTO_CURVE_25519), b = new_key(SOTTO_CURVE_448),
                     c = new_key(SOTTO_CURVE_25519), d = new_key(SOTTO_CURVE_448);
    sotto_known_clients *clients;
    char text[1024];

    (void)state;
    (void)snprintf(text, sizeof text,
                   "# clients\n\n%s  pump 7, hall \xc3\xbc \t\n \t%s\n  # more\n%s\tlast",
                   text_of(&a), text_of(&b), text_of(&c));
    clients = load(text);
    assert_string_equal(sotto_known_clients_find(clients, &a), "pump 7, hall \xc3\xbc");
    assert_string_equal(sotto_known_clients_find(clients, &b), "");
    assert_string_equal(sotto_known_clients_find(clients, &c), "last");
    assert_null(sotto_known_clients_find(clients, &d));
    a.bytes[3] ^= 1;
    assert_null(sotto_known_clients_find(clients, &a));
    a.bytes[3] ^= 1;
    a.curve = SOTTO_CURVE_448;
    assert_null(sotto_known_clients_find(clients, &a));
    sotto_known_clients_free(clients);
}

static void empty_knows_nobody(void **state)
{
    static const char *const texts[] = {"", "\n", "# nobody\n", "#", " \t"};
    sotto_public_key key = new_key(SOTTO_CURVE_25519);

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        sotto_known_clients *clients = load(texts[i]);

        assert_null(sotto_known_clients_find(clients, &key));
        sotto_known_clients_free(clients);
    }
    sotto_known_clients_free(NULL);
}

static void finds_each_of_many(void **state)
{
    enum { COUNT = 300 };
    static sotto_public_key keys[COUNT];
    size_t size = COUNT * (SOTTO_PUBLIC_KEY_TEXT_SIZE + 16), len = 0;
    char *text = malloc(size), name[16];
    sotto_known_clients *clients;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < COUNT; i++) {
        /* Any bytes will do for a name in a list. */
        keys[i].curve = SOTTO_CURVE_25519;
        assert_int_equal(si_random(keys[i].bytes, 32), SOTTO_OK);
        len += (size_t)snprintf(text + len, size - len, "%s c%d\n", text_of(&keys[i]), i);
    }
    clients = load(text);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "c%d", i);
        assert_string_equal(sotto_known_clients_find(clients, &keys[i]), name);
    }
    sotto_known_clients_free(clients);
    free(text);
}

static void refuse(const char *text, size_t len, const char *why)
{
    sotto_known_clients *clients = (sotto_known_clients *)1;
    sotto_error error = {0};

    put_bytes(scratch_path(path_name), text, len, 0600);
    if (sotto_known_clients_load(scratch_path(path_name), &clients, &error) != SOTTO_E_FORMAT)
        fail_msg("taken: %s", text);
    assert_null(clients);
    assert_contains(error.why, why);
    assert_contains(error.what, scratch_folder);
}

static void refuses_malformed_lines(void **state)
{
    sotto_public_key a = new_key(SOTTO_CURVE_25519), b = new_key(SOTTO_CURVE_448);
    const char *good = text_of(&a), *other = text_of(&b);
    char text[1024];
    int len;

#define REFUSE(why, ...)                                                                           \
    do {                                                                                           \
        len = snprintf(text, sizeof text, __VA_ARGS__);                                            \
        refuse(text, (size_t)len, why);                                                            \
    } while (0)

    (void)state;
    REFUSE("line 1: the type", "ssh-ed25519 %s\n", good + 13);
    REFUSE("line 2: the type", "%s\npump\n", good);
    REFUSE("line 1: the key is not", "sotto-x25519\n");
    REFUSE("line 1: the key is not", "sotto-x25519 \n");
    REFUSE("line 1: the key is not", "sotto-x25519 AAAA\n");
    REFUSE("line 1: the key is not", "%.*s\n", (int)strlen(good) - 1, good);
    REFUSE("line 1: the key is not", "%s=\n", good);
    REFUSE("line 1: the key is not", "sotto-x448 %s\n", good + 13);
    REFUSE("line 1: the key is not", "sotto-x25519 %s\n", other + 11);
    REFUSE("line 3: it holds a control", "#\n\n%s\r\n", good);
    REFUSE("line 1: it holds a control", "%s a\x1b[31mb\n", good);
    REFUSE("line 1: it holds a control", "# \x07\n");
    REFUSE("line 3: the same key as in line 1", "%s a\n%s\n%s b\n", good, other, good);
    REFUSE("line 1: the type", "SOTTO-X25519 %s\n", good + 13);
    (void)snprintf(text, sizeof text, "%s a_b\n", good);
    text[strlen(text) - 3] = '\0';
    refuse(text, strlen(good) + 5, "line 1: it holds a control");
#undef REFUSE
}

static void refuses_files(void **state)
{
    sotto_known_clients *clients = NULL;
    const char *path = scratch_path(path_name);

    (void)state;
    assert_int_equal(sotto_known_clients_load(path, &clients, NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_known_clients_load(NULL, &clients, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_clients_load(scratch_folder, &clients, NULL), SOTTO_E_FILE);
    put_text(path, "", 0664);
    assert_int_equal(sotto_known_clients_load(path, &clients, NULL), SOTTO_E_PERMISSION);
    put_text(path, "", 0602);
    assert_int_equal(sotto_known_clients_load(path, &clients, NULL), SOTTO_E_PERMISSION);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sotto_known_clients_load(path, &clients, NULL), SOTTO_E_PERMISSION);
    assert_null(clients);
}

static void survives_lack_of_memory(void **state)
{
    sotto_public_key key = new_key(SOTTO_CURVE_25519);
    const char *path = scratch_path(path_name);
    char text[256];
    long n = 0;

    (void)state;
    (void)snprintf(text, sizeof text, "%s pump\n", text_of(&key));
    put_text(path, text, 0600);
    for (bool failed = true; failed; n++) {
        sotto_known_clients *clients = NULL;
        sotto_err err;

        malloc_fail(n, false);
        err = sotto_known_clients_load(path, &clients, NULL);
        failed = malloc_recover();
        assert_int_equal(err, failed ? SOTTO_E_NOMEM : SOTTO_OK);
        assert_true((clients != NULL) == (err == SOTTO_OK));
        sotto_known_clients_free(clients);
    }
    assert_true(n > 2);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(finds_names),        IN_SCRATCH(empty_knows_nobody),
        IN_SCRATCH(finds_each_of_many), IN_SCRATCH(refuses_malformed_lines),
        IN_SCRATCH(refuses_files),      IN_SCRATCH(survives_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
