/*
 * Protocol names and patterns of the Noise layer (sections 7, 8, 9, 10.2 and 18.1).
 */
#include "noise_support.h"

/* ---- Names (section 8) ----------------------------------------------------------------------- */

static struct si_pattern pattern_at(size_t index)
{
    struct si_pattern p;

    si_pattern_get(index, &p);
    return p;
}

/* PSKs are where the modifiers put them (section 9.4), and the rest is as it was. */
static void assert_modified(const struct si_pattern *p, const struct si_pattern *base,
                            unsigned mask)
{
    unsigned psks = 0;

    assert_int_equal(p->turns, base->turns);
    assert_int_equal(p->initiator_s_known, base->initiator_s_known);
    assert_int_equal(p->responder_s_known, base->responder_s_known);
    for (unsigned turn = 0; turn < base->turns; turn++) {
        unsigned at = 0;

        if (turn == 0 && (mask & 1) != 0) {
            assert_int_equal(p->turn[0][at++], SI_TOKEN_PSK);
            psks++;
        }
        for (unsigned i = 0; base->turn[turn][i] != SI_TOKEN_END; i++)
            assert_int_equal(p->turn[turn][at++], base->turn[turn][i]);
        if ((mask >> (turn + 1) & 1) != 0) {
            assert_int_equal(p->turn[turn][at++], SI_TOKEN_PSK);
            psks++;
        }
        assert_int_equal(p->turn[turn][at], SI_TOKEN_END);
    }
    assert_int_equal(p->psks, psks);
}

static void assert_known(const char *pattern)
{
    for (size_t d = 0; d < SI_COUNT(dh_names); d++)
        for (size_t a = 0; a < SI_COUNT(aead_names); a++)
            for (size_t h = 0; h < SI_COUNT(hash_names); h++)
                (void)protocol_of(pattern, dh_names[d], aead_names[a], hash_names[h]);
}

static void good_names(void **state)
{
    size_t names = 0;

    (void)state;
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern base = pattern_at(i);

        for (unsigned mask = 0; mask < 2U << base.turns; mask++) {
            char name[64];
            struct si_protocol p;

            pattern_name(name, sizeof name, base.name, mask);
            assert_known(name);
            p = protocol_of(name, "448", "AESGCM", "BLAKE2b");
            assert_modified(&p.pattern, &base, mask);
            names++;
        }
    }
    /* One-way patterns have one message, so 2^2 sets of psk modifiers; twelve patterns have two
     * messages, 18 three and five four. */
    assert_int_equal(names, 3 * 4 + 12 * 8 + 18 * 16 + 5 * 32);
}

/* Which names of NAME with the modifier fallback, in front of it and behind it psk modifiers, are
 * there: those whose first message is left as it is. */
static size_t check_fallback_names(const struct si_pattern *base, bool has_fallback)
{
    size_t found = 0;

    for (unsigned before = 0; before < 2U << base->turns; before++)
        for (unsigned behind = 0; behind < 2U << base->turns; behind++) {
            char front[64], name[128], back[64] = "";
            struct si_protocol p;
            sotto_err err;
            unsigned moved = before >> 1; /* pskN is psk(N-1) of what is left */
            bool good = has_fallback && (before & 3) == 0 && (moved & behind) == 0 &&
                        behind < 1U << base->turns;

            pattern_name(front, sizeof front, base->name, before);
            if (behind != 0)
                pattern_name(back, sizeof back, "+", behind);
            (void)snprintf(name, sizeof name, "Noise_%s%sfallback%s_448_AESGCM_SHA512", front,
                           before == 0 ? "" : "+", back);
            err = si_protocol_parse(&p, name, NULL);
            if ((err == SOTTO_OK) != good)
                fail_msg("%s: %s", name, sotto_err_name(err));
            for (unsigned n = 0; good && n < SI_PSKS_MAX; n++)
                assert_int_equal(si_pattern_has_psk(&p.pattern, n), (moved | behind) >> n & 1);
            found += good;
        }
    return found;
}

static void names_with_fallback(void **state)
{
    static const char *const with[] = {"NN",  "NX",  "XN",   "XX",   "IN",  "IX",  "NK1",
                                       "NX1", "X1N", "XK1",  "X1K1", "X1X", "XX1", "X1X1",
                                       "I1N", "IK1", "I1K1", "I1X",  "IX1", "I1X1"};
    size_t patterns = 0, names = 0;

    (void)state;
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern base = pattern_at(i);
        bool has_fallback = false;

        for (size_t k = 0; k < SI_COUNT(with); k++)
            has_fallback = has_fallback || strcmp(with[k], base.name) == 0;
        patterns += has_fallback;
        names += check_fallback_names(&base, has_fallback);
    }
    assert_int_equal(patterns, SI_COUNT(with));
    assert_true(names > 200);
    assert_known("XXfallback");
    assert_known("XXfallback+psk0+psk1+psk2");
    assert_known("XXpsk2+psk3+fallback+psk0");
}

static void bad_names(void **state)
{
    static const char *const names[] = {
        "",
        "N",
        "Noise",
        "Noise_",
        "Noise_XX",
        "Noise_XX_",
        "Noise_XX_25519",
        "Noise_XX_25519_",
        "Noise_XX_25519_AESGCM",
        "Noise_XX_25519_AESGCM_",
        "Noise_XX_25519_AESGCM_SHA256_",
        "Noise_XX_25519_AESGCM_SHA256_x",
        "Noise_XX_25519_AESGCM_SHA256 ",
        "Noise_XX_25519_AESGCM_SHA256\n",
        "Noise_XX_25519_AESGCM_SHA2560",
        "Noise_XX_25519_AESGCM_SHA256_SHA256",
        " Noise_XX_25519_AESGCM_SHA256",
        "_Noise_XX_25519_AESGCM_SHA256",
        "noise_XX_25519_AESGCM_SHA256",
        "NOISE_XX_25519_AESGCM_SHA256",
        "Noise-XX-25519-AESGCM-SHA256",
        "NoiseXX_25519_AESGCM_SHA256",
        "NoisePSK_XX_25519_AESGCM_SHA256",
        "NoisePSK_NK_25519_AESGCM_SHA256",
        "Noise_xx_25519_AESGCM_SHA256",
        "Noise_Xx_25519_AESGCM_SHA256",
        "Noise_X_25519_AESGCM_SHA256_",
        "Noise_XXX_25519_AESGCM_SHA256",
        "Noise_ZZ_25519_AESGCM_SHA256",
        "Noise_QQ_25519_AESGCM_SHA256",
        "Noise__25519_AESGCM_SHA256",
        "Noise_XX__AESGCM_SHA256",
        "Noise_XX_25519__SHA256",
        "Noise_XX_25519_AESGCM__SHA256",
        "Noise_XX__25519_AESGCM_SHA256",
        "Noise__XX_25519_AESGCM_SHA256",
        "Noise_XX_255190_AESGCM_SHA256",
        "Noise_XX_2551_AESGCM_SHA256",
        "Noise_XX_025519_AESGCM_SHA256",
        "Noise_XX_X25519_AESGCM_SHA256",
        "Noise_XX_4480_AESGCM_SHA256",
        "Noise_XX_44_AESGCM_SHA256",
        "Noise_XX_25519+448_AESGCM_SHA256",
        "Noise_XX_secp256k1_AESGCM_SHA256",
        "Noise_XX_25519_aesgcm_SHA256",
        "Noise_XX_25519_AES256GCM_SHA256",
        "Noise_XX_25519_AESGCM256_SHA256",
        "Noise_XX_25519_AES_SHA256",
        "Noise_XX_25519_ChaCha_SHA256",
        "Noise_XX_25519_Chachapoly_SHA256",
        "Noise_XX_25519_XChaChaPoly_SHA256",
        "Noise_XX_25519_AESGCM_sha256",
        "Noise_XX_25519_AESGCM_SHA-256",
        "Noise_XX_25519_AESGCM_SHA1",
        "Noise_XX_25519_AESGCM_SHA25",
        "Noise_XX_25519_AESGCM_BLAKE2",
        "Noise_XX_25519_AESGCM_BLAKE2S",
        "Noise_XX_25519_AESGCM_Blake2b",
        "Noise_XX_25519_AESGCM_SHA3/256",
        "Noise_XX_SHA256_25519_AESGCM",
        "Noise_25519_XX_AESGCM_SHA256",
        "Noise_XX_AESGCM_25519_SHA256",
        "Noise_XXpsk_25519_AESGCM_SHA256",
        "Noise_XXpsk4_25519_AESGCM_SHA256",
        "Noise_XXpsk5_25519_AESGCM_SHA256",
        "Noise_XXpsk9_25519_AESGCM_SHA256",
        "Noise_XXpsk10_25519_AESGCM_SHA256",
        "Noise_XXpsk256_25519_AESGCM_SHA256",
        "Noise_XXpsk4294967296_25519_AESGCM_SHA256",
        "Noise_XXpsk18446744073709551616_25519_AESGCM_SHA256",
        "Noise_XXpsk-0_25519_AESGCM_SHA256",
        "Noise_XXpsk+0_25519_AESGCM_SHA256",
        "Noise_XXpsk00_25519_AESGCM_SHA256",
        "Noise_XXpsk01_25519_AESGCM_SHA256",
        "Noise_XXpsk0x_25519_AESGCM_SHA256",
        "Noise_XXpsk 0_25519_AESGCM_SHA256",
        "Noise_XXpsk0 _25519_AESGCM_SHA256",
        "Noise_XXPSK0_25519_AESGCM_SHA256",
        "Noise_XXPsk0_25519_AESGCM_SHA256",
        "Noise_XX+psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk0+_25519_AESGCM_SHA256",
        "Noise_XXpsk0+3_25519_AESGCM_SHA256",
        "Noise_XXpsk0psk3_25519_AESGCM_SHA256",
        "Noise_XXpsk0,psk3_25519_AESGCM_SHA256",
        "Noise_XXpsk0++psk3_25519_AESGCM_SHA256",
        "Noise_XXpsk0+psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk3+psk3_25519_AESGCM_SHA256",
        "Noise_XXpsk3+psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk0+psk3+psk1_25519_AESGCM_SHA256",
        "Noise_XXpsk0+psk1+psk2+psk3+psk4_25519_AESGCM_SHA256",
        "Noise_XXpsk0+psk3+_25519_AESGCM_SHA256",
        "Noise_psk0XX_25519_AESGCM_SHA256",
        "Noise_psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk0+fallback_25519_AESGCM_SHA256",
        "Noise_XXpsk1+fallback_25519_AESGCM_SHA256",
        "Noise_XX+fallback_25519_AESGCM_SHA256",
        "Noise_XXFallback_25519_AESGCM_SHA256",
        "Noise_XXfallback+fallback_25519_AESGCM_SHA256",
        "Noise_XXfallbackfallback_25519_AESGCM_SHA256",
        "Noise_XXfallbackpsk0_25519_AESGCM_SHA256",
        "Noise_XXfallback0_25519_AESGCM_SHA256",
        "Noise_XXfallback+_25519_AESGCM_SHA256",
        "Noise_XXfallback+psk3_25519_AESGCM_SHA256",
        "Noise_XXfallback+psk1+psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk2+fallback+psk1_25519_AESGCM_SHA256",
        "Noise_XXfall_25519_AESGCM_SHA256",
        "Noise_IKfallback_25519_AESGCM_SHA256",
        "Noise_KNfallback_25519_AESGCM_SHA256",
        "Noise_Nfallback_25519_AESGCM_SHA256",
        "Noise_fallback_25519_AESGCM_SHA256",
        "Noise_Npsk2_25519_AESGCM_SHA256",
        "Noise_X1K1psk5_25519_AESGCM_SHA256",
        "Noise_N1_25519_AESGCM_SHA256",
        "Noise_1NN_25519_AESGCM_SHA256",
        "Noise_NN1_25519_AESGCM_SHA256",
        "Noise_N1K_25519_AESGCM_SHA256",
        "Noise_X2X_25519_AESGCM_SHA256",
        "Noise_KXS_25519_AESGCM_SHA256",
        "Noise_XXhfs_25519_AESGCM_SHA256",
        "Noise_XXnoidh_25519_AESGCM_SHA256",
        "Noise_NKpsk3_25519_AESGCM_SHA256",
        "Noise_NKpsk0+psk3_25519_AESGCM_SHA256",
        "Noise_IKpsk3_448_ChaChaPoly_SHA512",
        "Noise_IKpsk2+psk1_448_ChaChaPoly_SHA512",
        "Noise_NKpsk0_25519_AESGCM_SHA256\t",
        "Noise_XX_25519_AESGCM_SHA256/",
    };
    char name[SI_PROTOCOL_NAME_MAX + 64] = "Noise_XX_25519_AESGCM_SHA256";
    struct si_protocol p;

    (void)state;
    assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_OK); /* the control */
    assert_true(SI_COUNT(names) >= 60);
    for (size_t i = 0; i < SI_COUNT(names); i++) {
        memset(&p, 0xa5, sizeof p);
        if (si_protocol_parse(&p, names[i], NULL) != SOTTO_E_UNSUPPORTED)
            fail_msg("taken: \"%s\"", names[i]);
        assert_true(is_zero(&p, sizeof p));
    }
    /* every proper beginning, and every character changed or doubled */
    for (size_t i = 0; i < strlen("Noise_XXpsk0+psk3_25519_AESGCM_SHA256"); i++) {
        static const char good[] = "Noise_XXpsk0+psk3_25519_AESGCM_SHA256";

        memcpy(name, good, sizeof good);
        name[i] = '\0';
        assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_E_UNSUPPORTED);
        memcpy(name, good, sizeof good);
        name[i] = '~';
        assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_E_UNSUPPORTED);
        memcpy(name, good, i + 1);
        memcpy(name + i + 1, good + i, sizeof good - i);
        assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_E_UNSUPPORTED);
    }
    /* 255 bytes are the most (section 8); no known name is so long, so all of these are refused */
    for (size_t len = 200; len < sizeof name; len++) {
        memset(name, '0', len);
        memcpy(name, "Noise_XXpsk0", 12);
        name[len] = '\0';
        assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_E_UNSUPPORTED);
        assert_true(is_zero(&p, sizeof p));
    }
}

/* What is shown of a refusal. */
static void refusals_say_why(void **state)
{
    static const struct {
        const char *name, *why;
    } refused[] = {
        {"noise", "it does not begin with Noise_: \"noise\""},
        {"Noise_QX_25519_AESGCM_SHA256", "unknown pattern: \"QX\""},
        {"Noise_XX", "there is nothing behind the pattern: \"Noise_XX\""},
        {"Noise_XXhfs_25519_AESGCM_SHA256", "unknown modifier: \"hfs\""},
        {"Noise_XXpsk4_25519_AESGCM_SHA256",
         "no such message in the pattern, or a psk is there already: \"psk4\""},
        {"Noise_XXpsk1+psk0_25519_AESGCM_SHA256",
         "psk modifiers that are out of order, or twice: \"psk0\""},
        {"Noise_NKfallback_25519_AESGCM_SHA256",
         "this pattern has no fallback (Noise 10.2): \"fallback\""},
        {"Noise_XX_P256_AESGCM_SHA256", "unknown DH function: \"P256\""},
        {"Noise_XX_25519", "there is nothing behind the DH function: \"Noise_XX_25519\""},
        {"Noise_XX_25519_XChaChaPoly_SHA256", "unknown cipher: \"XChaChaPoly\""},
        {"Noise_XX_25519_AESGCM", "there is nothing behind the cipher: \"Noise_XX_25519_AESGCM\""},
        {"Noise_XX_25519_AESGCM_BLAKE3", "unknown hash: \"BLAKE3\""},
        {"Noise_XX_25519_AESGCM_SHA256_", "unknown hash: \"SHA256_\""},
        {"Noise_XX_25519_AESGCM_SHA\x1b[2J", "unknown hash: \"SHA?[2J\""},
        {"Noise_XX_25519_AESGCM_\xff\xc3", "unknown hash: \"??\""},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(refused); i++) {
        struct si_protocol p;
        sotto_error error;

        assert_int_equal(si_protocol_parse(&p, refused[i].name, &error), SOTTO_E_UNSUPPORTED);
        assert_int_equal(error.code, SOTTO_E_UNSUPPORTED);
        assert_string_equal(error.why, refused[i].why);
        assert_true(strlen(error.what) > 0 && strlen(error.hint) > 0);
    }
}

/* ---- Patterns (sections 7.3, 7.5, 9.3) ------------------------------------------------------- */

/*
 * A checker of its own: NULL when PATTERN is valid, else the rule that it breaks. e[i], s[i]: the
 * public key of side i is known to the other side; dh[][]: done, by initiator's and responder's
 * key.
 */
static const char *broken_rule(const struct si_pattern *p)
{
    enum { E, S };
    bool sent[2][2] = {{false, p->initiator_s_known}, {p->responder_e_known, p->responder_s_known}};
    bool dh[2][2] = {{false}}; /* [of the initiator][of the responder] */
    bool psk = false;

    if (p->turns < 1 || p->turns > SI_TURNS_MAX)
        return "turns";
    for (unsigned turn = 0; turn < p->turns; turn++) {
        unsigned me = turn % 2;

        for (unsigned i = 0;; i++) {
            unsigned a, b, token;

            if (i >= SI_TOKENS_MAX)
                return "no end";
            token = p->turn[turn][i];
            if (token == SI_TOKEN_S || token == SI_TOKEN_END) {
                /* rule 4: after a DH of the own static key with a remote key, nothing is encrypted
                 * unless the own ephemeral key met that remote key too */
                for (unsigned remote = 0; remote < 2; remote++) {
                    bool with_s = me == 0 ? dh[S][remote] : dh[remote][S];
                    bool with_e = me == 0 ? dh[E][remote] : dh[remote][E];

                    if (with_s && !with_e)
                        return "rule 4";
                }
                if (psk && !sent[me][E])
                    return "psk without e";
            }
            if (token == SI_TOKEN_END)
                break;
            switch ((enum si_token)token) {
            case SI_TOKEN_E:
            case SI_TOKEN_S:
                a = token == SI_TOKEN_E ? E : S;
                if (sent[me][a])
                    return "rule 2: sent twice";
                sent[me][a] = true;
                break;
            case SI_TOKEN_EE:
            case SI_TOKEN_ES:
            case SI_TOKEN_SE:
            case SI_TOKEN_SS:
                a = token == SI_TOKEN_SE || token == SI_TOKEN_SS ? S : E;
                b = token == SI_TOKEN_ES || token == SI_TOKEN_SS ? S : E;
                if (!sent[0][a] || !sent[1][b])
                    return "rule 1: a key is missing";
                if (dh[a][b])
                    return "rule 3: DH twice";
                dh[a][b] = true;
                break;
            case SI_TOKEN_PSK:
                psk = true;
                break;
            case SI_TOKEN_END:
            default:
                return "unknown token";
            }
        }
    }
    return NULL;
}

static void assert_valid(const struct si_pattern *p)
{
    const char *broken = broken_rule(p);

    if (broken != NULL)
        fail_msg("%s: %s", p->name, broken);
}

/* BASE with every set of psk modifiers is valid, and takes no other one. */
static void assert_valid_with_psks(const struct si_pattern *base)
{
    for (unsigned mask = 0; mask < 2U << base->turns; mask++) {
        struct si_pattern p = *base;

        for (unsigned n = 0; n <= base->turns; n++)
            if ((mask >> n & 1) != 0)
                assert_int_equal(si_pattern_add_psk(&p, n), SOTTO_OK);
        assert_valid(&p);
        assert_modified(&p, base, mask);
        for (unsigned n = 0; n < 300; n++) {
            struct si_pattern before = p;

            assert_int_equal(si_pattern_has_psk(&p, n), n < 8 && (mask >> n & 1) != 0);
            if (n <= base->turns && (mask >> n & 1) == 0)
                continue;
            assert_int_equal(si_pattern_add_psk(&p, n), SOTTO_E_UNSUPPORTED);
            assert_memory_equal(&p, &before, sizeof p);
        }
    }
}

/* Every pattern, with every set of psk modifiers, and what fallback makes of it. */
static void patterns_are_valid(void **state)
{
    size_t fallbacks = 0;
    struct si_pattern p;

    (void)state;
    assert_int_equal(si_pattern_count(), 3 + 12 + 23);
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern base = pattern_at(i), found;

        assert_int_equal(base.psks, 0);
        assert_true(si_pattern_by_name(si_span_str(base.name), &found));
        assert_memory_equal(&found, &base, sizeof base);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(base.name, pattern_at(j).name);
        assert_int_equal(base.one_way, i < 3);
        assert_valid_with_psks(&base);
        if (si_pattern_fallback(&base) == SOTTO_OK) {
            fallbacks++;
            assert_valid_with_psks(&base);
        }
    }
    assert_int_equal(fallbacks, 20);
    assert_false(si_pattern_by_name(si_span("XX", 1), &p) && strcmp(p.name, "X") != 0);
    assert_false(si_pattern_by_name(si_span("XXX", 3), &p));
    assert_false(si_pattern_by_name(si_span("XX", 3), &p));
    assert_false(si_pattern_by_name(si_span("xx", 2), &p));
    assert_false(si_pattern_by_name(si_span(NULL, 0), &p));
    assert_true(is_zero(&p, sizeof p));
    /* the name is compared by its length, not by a terminator */
    assert_true(si_pattern_by_name(si_span("XXpsk0", 2), &p));
    assert_string_equal(p.name, "XX");
}

/* PATTERN as the specification writes it, in canonical form: pre-messages, then a message each. */
static void as_text(const struct si_pattern *p, char *out, size_t size)
{
    static const char *const tokens[] = {"?", "e", "s", "ee", "es", "se", "ss", "psk"};
    int len = snprintf(out, size, "%s%s%s%s", p->initiator_s_known ? "> s; " : "",
                       p->responder_e_known || p->responder_s_known ? "< " : "",
                       p->responder_e_known ? p->responder_s_known ? "e, s; " : "e; " : "",
                       p->responder_s_known && !p->responder_e_known ? "s; " : "");

    for (unsigned turn = 0; turn < p->turns; turn++) {
        len += snprintf(out + len, size - (size_t)len, turn == 0 ? "..." : ";");
        for (unsigned i = 0; p->turn[turn][i] != SI_TOKEN_END; i++)
            len += snprintf(out + len, size - (size_t)len, i == 0 ? " %s" : ", %s",
                            tokens[p->turn[turn][i]]);
    }
}

struct published {
    const char *name, *text;
};

static void assert_as_published(const struct published *published, size_t count, bool fallback)
{
    for (size_t i = 0; i < count; i++) {
        char text[128];
        struct si_pattern p;

        assert_true(si_pattern_by_name(si_span_str(published[i].name), &p));
        if (fallback)
            assert_int_equal(si_pattern_fallback(&p), SOTTO_OK);
        as_text(&p, text, sizeof text);
        assert_string_equal(text, published[i].text);
    }
}

/* Sections 7.4, 7.5 and 18.1. */
static void patterns_as_published(void **state)
{
    static const struct published published[] = {
        {"N", "< s; ... e, es"},
        {"K", "> s; < s; ... e, es, ss"},
        {"X", "< s; ... e, es, s, ss"},
        {"NN", "... e; e, ee"},
        {"NK", "< s; ... e, es; e, ee"},
        {"NX", "... e; e, ee, s, es"},
        {"XN", "... e; e, ee; s, se"},
        {"XK", "< s; ... e, es; e, ee; s, se"},
        {"XX", "... e; e, ee, s, es; s, se"},
        {"KN", "> s; ... e; e, ee, se"},
        {"KK", "> s; < s; ... e, es, ss; e, ee, se"},
        {"KX", "> s; ... e; e, ee, se, s, es"},
        {"IN", "... e, s; e, ee, se"},
        {"IK", "< s; ... e, es, s, ss; e, ee, se"},
        {"IX", "... e, s; e, ee, se, s, es"},
        {"NK1", "< s; ... e; e, ee, es"},
        {"NX1", "... e; e, ee, s; es"},
        {"X1N", "... e; e, ee; s; se"},
        {"X1K", "< s; ... e, es; e, ee; s; se"},
        {"XK1", "< s; ... e; e, ee, es; s, se"},
        {"X1K1", "< s; ... e; e, ee, es; s; se"},
        {"X1X", "... e; e, ee, s, es; s; se"},
        {"XX1", "... e; e, ee, s; es, s, se"},
        {"X1X1", "... e; e, ee, s; es, s; se"},
        {"K1N", "> s; ... e; e, ee; se"},
        {"K1K", "> s; < s; ... e, es; e, ee; se"},
        {"KK1", "> s; < s; ... e; e, ee, se, es"},
        {"K1K1", "> s; < s; ... e; e, ee, es; se"},
        {"K1X", "> s; ... e; e, ee, s, es; se"},
        {"KX1", "> s; ... e; e, ee, se, s; es"},
        {"K1X1", "> s; ... e; e, ee, s; se, es"},
        {"I1N", "... e, s; e, ee; se"},
        {"I1K", "< s; ... e, es, s; e, ee; se"},
        {"IK1", "< s; ... e, s; e, ee, se, es"},
        {"I1K1", "< s; ... e, s; e, ee, es; se"},
        {"I1X", "... e, s; e, ee, s, es; se"},
        {"IX1", "... e, s; e, ee, se, s; es"},
        {"I1X1", "... e, s; e, ee, s; se, es"},
    };

    (void)state;
    assert_int_equal(SI_COUNT(published), si_pattern_count());
    assert_as_published(published, SI_COUNT(published), false);
}

/* Section 10.2, from Bob-initiated to canonical form by section 7.2. */
static void fallbacks_as_published(void **state)
{
    static const struct published published[] = {
        {"XX", "< e; ... e, ee, s, se; s, es"},    {"NN", "< e; ... e, ee"},
        {"IX", "< e, s; ... e, ee, es, s, se"},    {"NK1", "> s; < e; ... e, ee, se"},
        {"IK1", "> s; < e, s; ... e, ee, es, se"}, {"X1X1", "< e; ... e, ee, s; se, s; es"},
    };

    (void)state;
    assert_as_published(published, SI_COUNT(published), true);
}

static void patterns_without_fallback(void **state)
{
    (void)state;
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern p = pattern_at(i), before;

        for (int times = 0; times < 2; times++) {
            before = p;
            if (si_pattern_fallback(&p) != SOTTO_OK)
                assert_memory_equal(&p, &before, sizeof p);
            else
                assert_int_equal(times, 0); /* a fallback has none */
        }
    }
}

/* The control of the checker: each rule is noticed. */
static void broken_patterns_are_noticed(void **state)
{
    static const struct si_pattern broken[] = {
        {.turns = 1, .turn = {{SI_TOKEN_EE}}},
        {.turns = 1, .turn = {{SI_TOKEN_E, SI_TOKEN_ES}}},
        {.turns = 2, .turn = {{SI_TOKEN_E}, {SI_TOKEN_EE}}},
        {.turns = 1, .turn = {{SI_TOKEN_E, SI_TOKEN_E}}},
        {.turns = 3, .turn = {{SI_TOKEN_E}, {SI_TOKEN_E}, {SI_TOKEN_E}}},
        {.turns = 1, .turn = {{SI_TOKEN_S}}, .initiator_s_known = true},
        {.turns = 2, .turn = {{SI_TOKEN_E}, {SI_TOKEN_E, SI_TOKEN_EE, SI_TOKEN_EE}}},
        {.turns = 1, .responder_s_known = true, .turn = {{SI_TOKEN_S, SI_TOKEN_SS}}},
        {.turns = 2, .turn = {{SI_TOKEN_E}, {SI_TOKEN_S, SI_TOKEN_ES, SI_TOKEN_E}}},
        {.turns = 1, .turn = {{SI_TOKEN_PSK, SI_TOKEN_S}}},
        {.turns = 1, .responder_e_known = true, .turn = {{SI_TOKEN_EE}}},
        {.turns = 2, .responder_e_known = true, .turn = {{SI_TOKEN_E}, {SI_TOKEN_E}}},
        {.turns = 0},
        {.turns = 1, .turn = {{SI_TOKEN_PSK + 1}}},
    };
    struct si_pattern p = {.turns = 1};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(broken); i++)
        if (broken_rule(&broken[i]) == NULL)
            fail_msg("broken pattern %zu passed", i);
    memset(p.turn, SI_TOKEN_PSK, sizeof p.turn);
    assert_non_null(broken_rule(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),
        cmocka_unit_test(names_with_fallback),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(patterns_are_valid),
        cmocka_unit_test(patterns_as_published),
        cmocka_unit_test(fallbacks_as_published),
        cmocka_unit_test(patterns_without_fallback),
        cmocka_unit_test(broken_patterns_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
