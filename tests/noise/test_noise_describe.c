/*
 * sotto_protocol_describe(): every name that revision 34 allows and what it stands for, and that
 * nothing else is taken for one.
 */
#include "support.h"

static void check_keys(const struct model *m, int side, const sotto_protocol_keys *keys)
{
    assert_int_equal(keys->s, needs_s(m, side));
    assert_int_equal(keys->rs, needs_rs(m, side));
}

static void check_info(const struct model *m, const sotto_protocol_info *info)
{
    assert_int_equal(info->curve, m->suite.curve);
    assert_int_equal(info->cipher, m->suite.cipher);
    assert_string_equal(info->hash, m->suite.hash);
    assert_int_equal(info->hash_len, m->hash_len);
    assert_int_equal(info->messages, m->messages);
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        assert_int_equal(info->psk[n], m->psks >> n & 1);
    assert_int_equal(info->one_way, m->one_way);
    assert_int_equal(info->fallback, m->fallback);
    check_keys(m, INITIATOR, &info->initiator);
    check_keys(m, RESPONDER, &info->responder);
}

static void describe(const struct model *m)
{
    sotto_protocol_info info;
    sotto_error error;

    memset(&info, CANARY, sizeof info);
    assert_int_equal(sotto_protocol_describe(m->name, &info, &error), SOTTO_OK);
    check_info(m, &info);
    assert_int_equal(sotto_protocol_describe(m->name, NULL, NULL), SOTTO_OK);
}

static void test_every_protocol(void **state)
{
    (void)state;
    each_protocol(false, describe);
}

static void test_every_suite(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct model m = model_of("IK", false, 2, suite_of(i));

        describe(&m);
    }
}

static void refuse(const char *name)
{
    sotto_protocol_info info;
    sotto_error error;

    memset(&info, CANARY, sizeof info);
    memset(&error, CANARY, sizeof error);
    if (sotto_protocol_describe(name, &info, &error) != SOTTO_E_UNSUPPORTED)
        fail_msg("taken for a name: %s", name);
    assert_true(all_are(&info, sizeof info, 0));
    assert_int_equal(error.code, SOTTO_E_UNSUPPORTED);
    assert_true(error.what[0] != '\0' && error.why[0] != '\0');
    assert_int_equal(sotto_protocol_describe(name, NULL, NULL), SOTTO_E_UNSUPPORTED);
}

static void test_what_is_no_name(void **state)
{
    static const char *const names[] = {
        "",
        "Noise",
        "Noise_",
        "Noise_XX",
        "Noise_XX_25519",
        "Noise_XX_25519_ChaChaPoly",
        "Noise_XX_25519_ChaChaPoly_",
        "Noise_XX_25519_ChaChaPoly_SHA256_",
        "Noise_XX_25519_ChaChaPoly_SHA256_SHA256",
        "Noise_XX_25519_ChaChaPoly_SHA256 ",
        " Noise_XX_25519_ChaChaPoly_SHA256",
        "Noise_XX_25519_ChaChaPoly_SHA256\n",
        "noise_XX_25519_ChaChaPoly_SHA256",
        "NOISE_XX_25519_ChaChaPoly_SHA256",
        "NoisePSK_XX_25519_ChaChaPoly_SHA256",
        "Noise__25519_ChaChaPoly_SHA256",
        "Noise_xx_25519_ChaChaPoly_SHA256",
        "Noise_XXX_25519_ChaChaPoly_SHA256",
        "Noise_I_25519_ChaChaPoly_SHA256",
        "Noise_KI_25519_ChaChaPoly_SHA256",
        "Noise_NI_25519_ChaChaPoly_SHA256",
        "Noise_N1_25519_ChaChaPoly_SHA256",
        "Noise_N1N_25519_ChaChaPoly_SHA256",
        "Noise_NN1_25519_ChaChaPoly_SHA256",
        "Noise_XN1_25519_ChaChaPoly_SHA256",
        "Noise_XX2_25519_ChaChaPoly_SHA256",
        "Noise_XX_25519+448_ChaChaPoly_SHA256",
        "Noise_XX_2551_ChaChaPoly_SHA256",
        "Noise_XX_255190_ChaChaPoly_SHA256",
        "Noise_XX_X25519_ChaChaPoly_SHA256",
        "Noise_XX_P256_ChaChaPoly_SHA256",
        "Noise_XX_25519_chachapoly_SHA256",
        "Noise_XX_25519_XChaChaPoly_SHA256",
        "Noise_XX_25519_AES256GCM_SHA256",
        "Noise_XX_25519_AESGCM_SHA-256",
        "Noise_XX_25519_AESGCM_SHA3",
        "Noise_XX_25519_AESGCM_sha256",
        "Noise_XX_25519_AESGCM_BLAKE2",
        "Noise_XX_25519_AESGCM_BLAKE3",
        "Noise_XX+psk0_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk4_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk00_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk01_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk10_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk-1_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk256_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk4294967296_25519_ChaChaPoly_SHA256",
        "Noise_XXPSK0_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0+_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0++psk1_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0psk1_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0+psk0_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk1+psk0_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0+psk2+psk1_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0 +psk1_25519_ChaChaPoly_SHA256",
        "Noise_NNpsk3_25519_ChaChaPoly_SHA256",
        "Noise_Npsk2_25519_ChaChaPoly_SHA256",
        "Noise_X1Npsk5_25519_ChaChaPoly_SHA256",
        "Noise_XXhfs_25519_ChaChaPoly_SHA256",
        "Noise_XXnoidh_25519_ChaChaPoly_SHA256",
        "Noise_XXFallback_25519_ChaChaPoly_SHA256",
        "Noise_XX+fallback_25519_ChaChaPoly_SHA256",
        "Noise_XXfallback+fallback_25519_ChaChaPoly_SHA256",
        "Noise_XXfallback+psk3_25519_ChaChaPoly_SHA256",
        "Noise_XXfallback+psk1+psk0_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk0+fallback_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk1+fallback_25519_ChaChaPoly_SHA256",
        "Noise_XXpsk3+fallback+psk2_25519_ChaChaPoly_SHA256",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        refuse(names[i]);
}

/* The 20 can, and the other 18 cannot: their first message is more than a pre-message could be. */
static void test_fallbacks(void **state)
{
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < PATTERNS; i++) {
        char name[NAME_SIZE];
        bool can = found < FALLBACKS && strcmp(pattern_at(i), fallback_at(found)) == 0;

        snprintf(name, sizeof name, "Noise_%sfallback_448_AESGCM_BLAKE2b", pattern_at(i));
        if (can)
            assert_int_equal(sotto_protocol_describe(name, NULL, NULL), SOTTO_OK);
        else
            refuse(name);
        found += can;
    }
    assert_int_equal(found, FALLBACKS);
}

/* What stands in front of fallback is moved by it. */
static void test_psk_before_fallback(void **state)
{
    static const struct {
        const char *modifiers;
        unsigned psks;
    } cases[] = {{"psk2+fallback", 2},      {"psk3+fallback", 4},      {"psk2+psk3+fallback", 6},
                 {"psk3+fallback+psk0", 5}, {"psk3+fallback+psk1", 6}, {"psk2+fallback+psk0", 3}};

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m = model_of("XX", true, cases[i].psks, fast_suite());
        sotto_protocol_info info;
        char name[NAME_SIZE];

        snprintf(name, sizeof name, "Noise_XX%s_25519_ChaChaPoly_SHA256", cases[i].modifiers);
        assert_int_equal(sotto_protocol_describe(name, &info, NULL), SOTTO_OK);
        check_info(&m, &info);
    }
}

/* ---- Names that are nearly right ------------------------------------------------------------- */

static const char *wanted;
static bool found;

static void compare(const struct model *m)
{
    struct model same;
    sotto_protocol_info info;
    char pattern[16];

    if (found || sotto_protocol_describe(wanted, &info, NULL) != SOTTO_OK)
        return;
    snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(m->pattern, "f"), m->pattern);
    same =
        model_of(pattern, m->fallback, m->psks, (struct suite){info.curve, info.cipher, info.hash});
    found = strcmp(same.name, wanted) == 0;
}

static unsigned check_altered(const char *name)
{
    if (sotto_protocol_describe(name, NULL, NULL) != SOTTO_OK)
        return 0;
    wanted = name;
    found = false;
    each_protocol(false, compare);
    if (!found)
        fail_msg("taken for a name: %s", name);
    return 1;
}

/* One character more, less, or another one: what is still a name is one that the model has, too. */
static void test_altered_names(void **state)
{
    static const char alphabet[] = "0123456789ABCHIKNPSXabcdefghklmnopsy_+/ ";
    static const char *const names[] = {"Noise_X1Kpsk0+psk2_448_AESGCM_SHA512",
                                        "Noise_IX1fallback+psk1_25519_ChaChaPoly_BLAKE2s"};
    unsigned taken = 0;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        size_t len = strlen(names[i]);
        char altered[NAME_SIZE];

        for (size_t at = 0; at <= len; at++)
            for (const char *c = alphabet; *c != '\0'; c++) {
                snprintf(altered, sizeof altered, "%.*s%c%s", (int)at, names[i], *c, names[i] + at);
                taken += check_altered(altered);
                if (at == len || names[i][at] == *c)
                    continue;
                snprintf(altered, sizeof altered, "%s", names[i]);
                altered[at] = *c;
                taken += check_altered(altered);
            }
        for (size_t at = 0; at < len; at++) {
            snprintf(altered, sizeof altered, "%.*s%s", (int)at, names[i], names[i] + at + 1);
            taken += check_altered(altered);
        }
    }
    /* X1K: XK, NK..., psk1, psk3, BLAKE2b: some are, so the search above was not idle */
    assert_in_range(taken, 10, 40);
}

/* A name has at most 255 bytes (Noise 8), and whatever it is, it is read once. */
static void test_long_names(void **state)
{
    char name[5000];

    (void)state;
    for (size_t len = 40; len < sizeof name; len += len < 300 ? 1 : 97) {
        memset(name, 'X', len);
        memcpy(name, "Noise_XX", 8);
        memcpy(name + len - 24, "_25519_ChaChaPoly_SHA256", 24);
        name[len] = '\0';
        refuse(name);
    }
}

static void test_null(void **state)
{
    sotto_protocol_info info;
    sotto_error error;

    (void)state;
    memset(&info, CANARY, sizeof info);
    assert_int_equal(sotto_protocol_describe(NULL, &info, &error), SOTTO_E_USAGE);
    assert_int_equal(error.code, SOTTO_E_USAGE);
    assert_true(all_are(&info, sizeof info, 0));
    assert_int_equal(sotto_protocol_describe(NULL, NULL, NULL), SOTTO_E_USAGE);
}

/* ERROR names the part that is wrong. */
static void test_says_which_part(void **state)
{
    static const struct {
        const char *name, *part;
    } cases[] = {
        {"Noise_XQ_25519_ChaChaPoly_SHA256", "XQ"},
        {"Noise_XX_P256_ChaChaPoly_SHA256", "P256"},
        {"Noise_XX_25519_XSalsa_SHA256", "XSalsa"},
        {"Noise_XX_25519_ChaChaPoly_MD5", "MD5"},
        {"Noise_XXpsk7_25519_ChaChaPoly_SHA256", "psk7"},
        {"Noise_XXpsk0+hfs_25519_ChaChaPoly_SHA256", "hfs"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        sotto_error error;

        assert_int_equal(sotto_protocol_describe(cases[i].name, NULL, &error), SOTTO_E_UNSUPPORTED);
        assert_says(&error, SOTTO_E_UNSUPPORTED, cases[i].part);
    }
}

/* Both names put the PSK in the same place, and are two protocols all the same (Noise 8). */
static void rename_one(int side, sotto_handshake_options *options, void *user)
{
    if (side == INITIATOR)
        options->protocol = user;
}

static void test_two_names_are_two_protocols(void **state)
{
    static struct text message, payload;
    static char name[] = "Noise_XXpsk2+fallback_25519_ChaChaPoly_SHA256";
    struct model m = model_of("XX", true, 2, fast_suite());
    struct pair p;

    (void)state;
    assert_string_equal(m.name, "Noise_XXfallback+psk1_25519_ChaChaPoly_SHA256");
    pair_open_with(&p, &m, rename_one, name);
    pair_write(&p, 0, &message);
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_protocol),
        cmocka_unit_test(test_every_suite),
        cmocka_unit_test(test_what_is_no_name),
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_psk_before_fallback),
        cmocka_unit_test(test_altered_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_says_which_part),
        cmocka_unit_test(test_two_names_are_two_protocols),
    };

    return cmocka_run_group_tests_name("noise: names", tests, NULL, free_world);
}
