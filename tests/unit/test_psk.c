/* PSK, gate and epoch (protocol section 5): the published examples, and every range. */
#include "scratch.h"

#include "crypto/crypto.h"
#include "sotto/identity.h"

#define SALT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SALT_2 "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const char server_json[] =
    "{\"sotto_secrets\":1,\"role\":\"server\",\"server_string\":\"s\xc3\xa9rver\","
    "\"shared_string\":\"sh\\u20acred\",\"salts\":[\"" SALT "\",\"" SALT_2
    "\"],\"iterations\":10000}";
static const char client_json[] =
    "{\"sotto_secrets\":1,\"role\":\"client\",\"shared_string\":\"sh\xe2\x82\xacred\","
    "\"salts\":[\"" SALT "\",\"" SALT_2 "\"],\"iterations\":10000}";

static sotto_secrets *load(const char *json)
{
    const char *path = scratch_path("secrets.json");
    sotto_secrets *secrets = NULL;

    put_text(path, json, 0600);
    assert_int_equal(sotto_secrets_load(path, &secrets, NULL), SOTTO_OK);
    return secrets;
}

static sotto_psk_parameters example(void)
{
    sotto_psk_parameters p = {.salt_index = 0, .iterations = 10000, .server_string_len = 7};

    for (uint8_t i = 0; i < sizeof p.server_id; i++)
        p.server_id[i] = i;
    memcpy(p.server_string, "s\xc3\xa9rver", 7);
    return p;
}

static void assert_psk(const sotto_psk *psk, const char *hex)
{
    char found[2 * SOTTO_PSK_LEN + 1];

    si_hex(found, psk->bytes, sizeof psk->bytes);
    assert_string_equal(found, hex);
}

static void examples(void **state)
{
    sotto_secrets *client = load(client_json), *server = load(server_json);
    const sotto_secrets *both[] = {client, server};
    sotto_psk_parameters p = example();
    sotto_psk psk;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sotto_psk_derive(both[i], SOTTO_CURVE_25519, &p, 0, 0, &psk), SOTTO_OK);
        assert_psk(&psk, "a3035cef8d35e658269c317325f698e6848b1acc4e616a629b12481b3fafad96");
        assert_int_equal(sotto_psk_derive(both[i], SOTTO_CURVE_448, &p, 0, 0, &psk), SOTTO_OK);
        assert_psk(&psk, "5b24c8b9d55716707bcaa7fa56bc447da97411155bafc03cbcb79156f3cc8c68");
        assert_int_equal(sotto_gate_derive(both[i], SOTTO_CURVE_25519, &psk), SOTTO_OK);
        assert_psk(&psk, "2fd4781f461035781f5a3bba8be6b946ebd1ea8849a5980c30eee3eecaff9ecb");
        assert_int_equal(sotto_gate_derive(both[i], SOTTO_CURVE_448, &psk), SOTTO_OK);
        assert_psk(&psk, "9907aa7158d99b00ddcef960c3d782f4a167e0ae84429fb7bad5a10132f2f8a4");
    }
    sotto_secrets_free(client);
    sotto_secrets_free(server);
}

static void epoch_example(void **state)
{
    sotto_psk_parameters p = example();
    uint8_t epoch[SOTTO_EPOCH_LEN];
    char hex[2 * SOTTO_EPOCH_LEN + 1];

    (void)state;
    assert_int_equal(sotto_epoch(p.server_id, epoch), SOTTO_OK);
    si_hex(hex, epoch, sizeof epoch);
    assert_string_equal(hex, "be45cb2605bf36be");
}

/* Each part of the seed, and the salt, and the iterations, and the curve, changes the PSK. */
static void every_part_counts(void **state)
{
    sotto_secrets *secrets = load(client_json);
    sotto_psk_parameters p[6];
    sotto_psk psk[7];

    (void)state;
    for (size_t i = 0; i < 6; i++)
        p[i] = example();
    p[1].server_id[15] ^= 1;
    p[2].salt_index = 1;
    p[3].iterations = 10001;
    p[4].server_string[0] ^= 1;
    p[5].server_string_len = 6;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(sotto_psk_derive(secrets, SOTTO_CURVE_25519, &p[i], 0, 0, &psk[i]),
                         SOTTO_OK);
    assert_int_equal(sotto_psk_derive(secrets, SOTTO_CURVE_448, &p[0], 0, 0, &psk[6]), SOTTO_OK);
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&psk[i], &psk[j], sizeof psk[0]);
    }
    sotto_secrets_free(secrets);
}

/* What is out of range is refused before any work. */
static void ranges(void **state)
{
    static const struct {
        uint32_t salt_index, iterations, string_len, min, max;
        sotto_err err;
    } rows[] = {
        {0, 10000, 7, 0, 0, SOTTO_OK},
        {1, 10000, 7, 0, 0, SOTTO_OK},
        {2, 10000, 7, 0, 0, SOTTO_E_PARAMETERS},
        {UINT32_MAX, 10000, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, 0, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, 1, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, 9999, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, 1000001, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, UINT32_MAX, 7, 0, 0, SOTTO_E_PARAMETERS},
        {0, 10001, 7, 0, 10000, SOTTO_E_PARAMETERS},
        {0, 10000, 7, 0, 10000, SOTTO_OK},
        {0, 10000, 7, 10001, 0, SOTTO_E_PARAMETERS},
        {0, 10000, 7, 20000, 10000, SOTTO_E_PARAMETERS},
        {0, 100, 7, 100, 0, SOTTO_OK},
        {0, 99, 7, 100, 0, SOTTO_E_PARAMETERS},
        {0, 10000, 0, 0, 0, SOTTO_E_PARAMETERS},
        {0, 10000, 1, 0, 0, SOTTO_OK},
        {0, 10000, 1024, 0, 0, SOTTO_OK},
        {0, 10000, 1025, 0, 0, SOTTO_E_PARAMETERS},
        {0, 10000, UINT32_MAX, 0, 0, SOTTO_E_PARAMETERS},
    };
    static const sotto_psk zero;
    sotto_secrets *secrets = load(client_json);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sotto_psk_parameters p = example();
        uint64_t before = si_pbkdf2_count();
        sotto_psk psk;

        p.salt_index = rows[i].salt_index;
        p.iterations = rows[i].iterations;
        p.server_string_len = rows[i].string_len;
        memset(&psk, 0xaa, sizeof psk);
        assert_int_equal(
            sotto_psk_derive(secrets, SOTTO_CURVE_25519, &p, rows[i].min, rows[i].max, &psk),
            rows[i].err);
        assert_int_equal(si_pbkdf2_count() - before, rows[i].err == SOTTO_OK);
        if (rows[i].err != SOTTO_OK)
            assert_memory_equal(&psk, &zero, sizeof psk);
        else
            assert_memory_not_equal(&psk, &zero, sizeof psk);
    }
    sotto_secrets_free(secrets);
}

static void wrong_calls(void **state)
{
    sotto_secrets *client = load(client_json);
    sotto_psk_parameters p = example();
    uint64_t before = si_pbkdf2_count();
    sotto_psk psk;

    (void)state;
    assert_int_equal(sotto_psk_derive(client, (sotto_curve)0, &p, 0, 0, &psk), SOTTO_E_USAGE);
    assert_int_equal(sotto_psk_derive(client, (sotto_curve)3, &p, 0, 0, &psk), SOTTO_E_USAGE);
    assert_int_equal(sotto_psk_derive(NULL, SOTTO_CURVE_448, &p, 0, 0, &psk), SOTTO_E_USAGE);
    assert_int_equal(sotto_gate_derive(client, (sotto_curve)0, &psk), SOTTO_E_USAGE);
    assert_int_equal(sotto_gate_derive(NULL, SOTTO_CURVE_448, &psk), SOTTO_E_USAGE);
    assert_int_equal(si_pbkdf2_count(), before);
    sotto_secrets_free(client);
}

static void new_parameters(void **state)
{
    sotto_secrets *client = load(client_json), *server = load(server_json);
    sotto_psk_parameters p, q;
    bool seen[2] = {false, false};
    sotto_psk psk;

    (void)state;
    assert_int_equal(sotto_psk_parameters_new(client, &p), SOTTO_E_USAGE);
    assert_int_equal(p.server_string_len, 0);
    assert_int_equal(sotto_psk_parameters_new(server, &p), SOTTO_OK);
    assert_int_equal(p.iterations, 10000);
    assert_int_equal(p.server_string_len, 7);
    assert_memory_equal(p.server_string, "s\xc3\xa9rver", 7);
    assert_int_equal(sotto_psk_derive(client, SOTTO_CURVE_25519, &p, 0, 0, &psk), SOTTO_OK);
    /* 200 draws that all fall on one of two salts: less likely than a broken computer. */
    for (int i = 0; i < 200; i++) {
        assert_int_equal(sotto_psk_parameters_new(server, &q), SOTTO_OK);
        assert_memory_not_equal(p.server_id, q.server_id, sizeof p.server_id);
        assert_in_range(q.salt_index, 0, 1);
        seen[q.salt_index] = true;
    }
    assert_true(seen[0] && seen[1]);
    sotto_secrets_free(client);
    sotto_secrets_free(server);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(examples), cmocka_unit_test(epoch_example), IN_SCRATCH(every_part_counts),
        IN_SCRATCH(ranges),   IN_SCRATCH(wrong_calls),         IN_SCRATCH(new_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
