/*
 * The Noise layer against the specification (revision 34): names, patterns, handshakes over every
 * algorithm and backend, cipher states, low-order points, and published vectors where a folder with
 * them is named by $SOTTO_VECTORS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "json/json.h"
#include "noise/handshake.h"

/* ---- Names (section 8) ----------------------------------------------------------------------- */

static const char *const dh_names[] = {"25519", "448"};
static const char *const aead_names[] = {"ChaChaPoly", "AESGCM"};
static const char *const hash_names[] = {"SHA256", "SHA512", "BLAKE2s", "BLAKE2b"};

static bool is_zero(const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0 && p[len - 1] == 0)
        len--;
    return len == 0;
}

/* The name of PATTERN with the psk modifiers of MASK, in order. */
static void pattern_name(char *out, size_t size, const char *pattern, unsigned mask)
{
    int len = snprintf(out, size, "%s", pattern);
    const char *joint = "";

    for (unsigned n = 0; n < 8; n++) {
        if ((mask >> n & 1) == 0)
            continue;
        len += snprintf(out + len, size - (size_t)len, "%spsk%u", joint, n);
        joint = "+";
    }
}

static struct si_protocol protocol_of(const char *pattern, const char *dh, const char *aead,
                                      const char *hash)
{
    struct si_protocol p;
    char name[SI_PROTOCOL_NAME_MAX + 1];

    (void)snprintf(name, sizeof name, "Noise_%s_%s_%s_%s", pattern, dh, aead, hash);
    assert_int_equal(si_protocol_parse(&p, name), SOTTO_OK);
    assert_string_equal(p.name, name);
    assert_string_equal(p.dh->name, dh);
    assert_string_equal(p.aead->name, aead);
    assert_string_equal(p.hash->name, hash);
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

static void good_names(void **state)
{
    size_t count, names = 0;
    const struct si_pattern *all = si_pattern_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (unsigned mask = 0; mask < 2U << all[i].turns; mask++) {
            char name[64];

            pattern_name(name, sizeof name, all[i].name, mask);
            for (size_t d = 0; d < SI_COUNT(dh_names); d++)
                for (size_t a = 0; a < SI_COUNT(aead_names); a++)
                    for (size_t h = 0; h < SI_COUNT(hash_names); h++) {
                        struct si_protocol p =
                            protocol_of(name, dh_names[d], aead_names[a], hash_names[h]);

                        assert_modified(&p.pattern, &all[i], mask);
                        names++;
                    }
        }
    /* XX: 2^4 sets of modifiers, NK and IK: 2^3 each, times 2 x 2 x 4 */
    assert_true(names >= (16 + 8 + 8) * 16);
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
        "Noise_XXfallback_25519_AESGCM_SHA256",
        "Noise_XXfallback+psk0_25519_AESGCM_SHA256",
        "Noise_XXpsk0+fallback_25519_AESGCM_SHA256",
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
    assert_int_equal(si_protocol_parse(&p, name), SOTTO_OK); /* the control */
    assert_true(SI_COUNT(names) >= 60);
    for (size_t i = 0; i < SI_COUNT(names); i++) {
        memset(&p, 0xa5, sizeof p);
        if (si_protocol_parse(&p, names[i]) != SOTTO_E_UNSUPPORTED)
            fail_msg("taken: \"%s\"", names[i]);
        assert_true(is_zero(&p, sizeof p));
    }
    /* every proper beginning, and every character changed or doubled */
    for (size_t i = 0; i < strlen("Noise_XXpsk0+psk3_25519_AESGCM_SHA256"); i++) {
        static const char good[] = "Noise_XXpsk0+psk3_25519_AESGCM_SHA256";

        memcpy(name, good, sizeof good);
        name[i] = '\0';
        assert_int_equal(si_protocol_parse(&p, name), SOTTO_E_UNSUPPORTED);
        memcpy(name, good, sizeof good);
        name[i] = '~';
        assert_int_equal(si_protocol_parse(&p, name), SOTTO_E_UNSUPPORTED);
        memcpy(name, good, i + 1);
        memcpy(name + i + 1, good + i, sizeof good - i);
        assert_int_equal(si_protocol_parse(&p, name), SOTTO_E_UNSUPPORTED);
    }
    /* 255 bytes are the most (section 8); no known name is so long, so all of these are refused */
    for (size_t len = 200; len < sizeof name; len++) {
        memset(name, '0', len);
        memcpy(name, "Noise_XXpsk0", 12);
        name[len] = '\0';
        assert_int_equal(si_protocol_parse(&p, name), SOTTO_E_UNSUPPORTED);
        assert_true(is_zero(&p, sizeof p));
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
    bool sent[2][2] = {{false, p->initiator_s_known}, {false, p->responder_s_known}};
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

static void patterns_are_valid(void **state)
{
    size_t count;
    const struct si_pattern *all = si_pattern_all(&count);

    (void)state;
    assert_true(count >= 3);
    for (size_t i = 0; i < count; i++) {
        const char *broken = broken_rule(&all[i]);

        if (broken != NULL)
            fail_msg("%s: %s", all[i].name, broken);
        assert_int_equal(all[i].psks, 0);
        assert_ptr_equal(si_pattern_by_name(si_span_str(all[i].name)), &all[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(all[i].name, all[j].name);
        for (unsigned mask = 0; mask < 2U << all[i].turns; mask++) {
            struct si_pattern p = all[i];

            for (unsigned n = 0; n <= all[i].turns; n++)
                if ((mask >> n & 1) != 0)
                    assert_int_equal(si_pattern_add_psk(&p, n), SOTTO_OK);
            broken = broken_rule(&p);
            if (broken != NULL)
                fail_msg("%s with psks %x: %s", p.name, mask, broken);
            assert_modified(&p, &all[i], mask);
            for (unsigned n = 0; n < 300; n++) {
                struct si_pattern before = p;

                if (n <= all[i].turns && (mask >> n & 1) == 0)
                    continue;
                assert_int_equal(si_pattern_add_psk(&p, n), SOTTO_E_UNSUPPORTED);
                assert_memory_equal(&p, &before, sizeof p);
            }
        }
    }
    assert_null(si_pattern_by_name(si_span("XX", 1)));
    assert_null(si_pattern_by_name(si_span("XXX", 3)));
    assert_null(si_pattern_by_name(si_span("XX", 3)));
    assert_null(si_pattern_by_name(si_span("xx", 2)));
    assert_null(si_pattern_by_name(si_span(NULL, 0)));
    /* the name is compared by its length, not by a terminator */
    assert_ptr_equal(si_pattern_by_name(si_span("XXpsk0", 2)),
                     si_pattern_by_name(si_span("XX", 2)));
    assert_non_null(si_pattern_by_name(si_span("XXpsk0", 2)));
}

/* The tables of section 7.5, for the three that the protocol uses. */
static void patterns_as_published(void **state)
{
    static const struct si_pattern published[] = {
        {.name = "XX",
         .turns = 3,
         .turn = {{SI_TOKEN_E},
                  {SI_TOKEN_E, SI_TOKEN_EE, SI_TOKEN_S, SI_TOKEN_ES},
                  {SI_TOKEN_S, SI_TOKEN_SE}}},
        {.name = "NK",
         .responder_s_known = true,
         .turns = 2,
         .turn = {{SI_TOKEN_E, SI_TOKEN_ES}, {SI_TOKEN_E, SI_TOKEN_EE}}},
        {.name = "IK",
         .responder_s_known = true,
         .turns = 2,
         .turn = {{SI_TOKEN_E, SI_TOKEN_ES, SI_TOKEN_S, SI_TOKEN_SS},
                  {SI_TOKEN_E, SI_TOKEN_EE, SI_TOKEN_SE}}},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(published); i++) {
        const struct si_pattern *p = si_pattern_by_name(si_span_str(published[i].name));

        assert_non_null(p);
        assert_int_equal(p->initiator_s_known, published[i].initiator_s_known);
        assert_int_equal(p->responder_s_known, published[i].responder_s_known);
        assert_int_equal(p->turns, published[i].turns);
        for (unsigned t = 0; t < p->turns; t++)
            for (unsigned k = 0; k < SI_TOKENS_MAX && p->turn[t][k] != SI_TOKEN_END; k++)
                assert_int_equal(p->turn[t][k], published[i].turn[t][k]);
        assert_null(broken_rule(&published[i]));
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

/* ---- Handshakes ------------------------------------------------------------------------------ */

static const char prologue_text[] = "prologue";

/* What the two ends of a handshake hold. */
struct ends {
    struct si_private_key s[2]; /* by enum si_role */
    struct si_public_key pub[2];
    sotto_psk psks[SI_PSKS_MAX];
    struct si_handshake_keys keys[2];
};

static void make_ends(struct ends *ends, const struct si_protocol *p)
{
    const struct si_pattern *pattern = &p->pattern;

    memset(ends, 0, sizeof *ends);
    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(p->dh->generate(&ends->s[role], &ends->pub[role]), SOTTO_OK);
    for (unsigned i = 0; i < pattern->psks; i++)
        memset(ends->psks[i].bytes, (int)(0x11 * (i + 1)), SOTTO_PSK_LEN);
    for (unsigned role = 0; role < 2; role++) {
        struct si_handshake_keys *k = &ends->keys[role];
        bool known = role == SI_INITIATOR ? pattern->initiator_s_known : pattern->responder_s_known;
        bool other = role == SI_INITIATOR ? pattern->responder_s_known : pattern->initiator_s_known;
        bool sends_s = false;

        for (unsigned t = role; t < pattern->turns; t += 2)
            for (unsigned i = 0; pattern->turn[t][i] != SI_TOKEN_END; i++)
                sends_s = sends_s || pattern->turn[t][i] == SI_TOKEN_S;
        if (known || sends_s) {
            k->s = &ends->s[role];
            k->s_public = &ends->pub[role];
        }
        if (other)
            k->rs = &ends->pub[!role];
        k->psks = pattern->psks > 0 ? ends->psks : NULL;
        k->psk_count = pattern->psks;
    }
}

static struct si_handshake *begin(const struct si_protocol *p, enum si_role role,
                                  const struct ends *ends)
{
    struct si_handshake *hs = NULL;

    assert_int_equal(si_handshake_new(p, role, si_span(prologue_text, sizeof prologue_text - 1),
                                      &ends->keys[role], &hs),
                     SOTTO_OK);
    assert_non_null(hs);
    return hs;
}

/* Buffers that hold the largest message and more. */
static uint8_t message[SI_NOISE_MESSAGE_MAX + 64], payload[SI_NOISE_MESSAGE_MAX + 64],
    result[SI_NOISE_MESSAGE_MAX + 64];

static void fill(uint8_t *p, size_t len, unsigned seed)
{
    uint32_t x = 0x9e3779b9U * (seed + 1);

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525U + 1013904223U;
        p[i] = (uint8_t)(x >> 24);
    }
}

static void assert_refused_out_of_turn(struct si_handshake *hs)
{
    enum si_action action = si_handshake_action(hs);
    struct si_cipher_state tx, rx;
    uint8_t h[SI_HASH_LEN_MAX];
    size_t len = 0;

    if (action != SI_ACTION_WRITE)
        assert_int_equal(si_handshake_write(hs, si_span(NULL, 0), message, sizeof message, &len),
                         SOTTO_E_USAGE);
    if (action != SI_ACTION_READ)
        assert_int_equal(si_handshake_read(hs, si_span(payload, 200), result, sizeof result, &len),
                         SOTTO_E_USAGE);
    if (action != SI_ACTION_SPLIT)
        assert_int_equal(si_handshake_split(hs, &tx, &rx, h, &len), SOTTO_E_USAGE);
    if (action != SI_ACTION_WRITE && action != SI_ACTION_READ)
        assert_int_equal(si_handshake_message_len(hs, 0), 0);
    assert_int_equal(si_handshake_action(hs), action);
}

/* Whether HS knows the other side's static key exactly when it should: RS or nobody's. */
static void assert_remote(const struct si_handshake *hs, const struct si_public_key *rs, size_t len)
{
    const struct si_public_key *found = si_handshake_remote_static(hs);

    if (rs == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_memory_equal(found->bytes, rs->bytes, len);
    }
}

/* Which message of PATTERN carries the static key of ROLE; -1: before all; turns: none. */
static int static_key_turn(const struct si_pattern *pattern, unsigned role)
{
    if (role == SI_INITIATOR ? pattern->initiator_s_known : pattern->responder_s_known)
        return -1;
    for (unsigned t = role; t < pattern->turns; t += 2)
        for (unsigned i = 0; pattern->turn[t][i] != SI_TOKEN_END; i++)
            if (pattern->turn[t][i] == SI_TOKEN_S)
                return (int)t;
    return (int)pattern->turns;
}

/* Write a message of HS with PAYLOAD_LEN bytes into `message`, after everything that must be
 * refused.  SIZE_MAX: as many as it takes. */
static size_t write_message(struct si_handshake *hs, size_t payload_len, bool nag)
{
    size_t most = SI_NOISE_MESSAGE_MAX - si_handshake_message_len(hs, 0), want, len = 0;

    if (payload_len == SIZE_MAX)
        payload_len = most;
    want = si_handshake_message_len(hs, payload_len);
    assert_int_equal(want, si_handshake_message_len(hs, 0) + payload_len);
    fill(payload, payload_len, (unsigned)payload_len);
    if (nag) {
        assert_refused_out_of_turn(hs);
        fill(payload, payload_len, (unsigned)payload_len);
        assert_int_equal(
            si_handshake_write(hs, si_span(payload, most + 1), message, sizeof message, &len),
            SOTTO_E_TOO_LARGE);
        for (size_t cap = 0; cap < want; cap += cap + 7 < want ? 7 : want - cap)
            assert_int_equal(
                si_handshake_write(hs, si_span(payload, payload_len), message, cap, &len),
                SOTTO_E_BUFFER);
        assert_int_equal(
            si_handshake_write(hs, si_span(payload, payload_len), message, want - 1, &len),
            SOTTO_E_BUFFER);
    }
    assert_int_equal(si_handshake_write(hs, si_span(payload, payload_len), message, want, &len),
                     SOTTO_OK);
    assert_int_equal(len, want);
    return len;
}

static void read_message(struct si_handshake *hs, size_t len, bool nag)
{
    size_t expected = len - si_handshake_message_len(hs, 0), got = 0;

    if (nag) {
        assert_refused_out_of_turn(hs);
        if (expected > 0) {
            assert_int_equal(si_handshake_read(hs, si_span(message, len), result, 0, &got),
                             SOTTO_E_BUFFER);
            assert_int_equal(
                si_handshake_read(hs, si_span(message, len), result, expected - 1, &got),
                SOTTO_E_BUFFER);
        }
    }
    assert_int_equal(si_handshake_read(hs, si_span(message, len), result, expected, &got),
                     SOTTO_OK);
    assert_int_equal(got, expected);
    assert_memory_equal(result, payload, expected);
}

static void assert_transport(struct si_cipher_state *tx, struct si_cipher_state *rx)
{
    uint8_t plain[64], sealed[64 + SI_TAG_LEN], opened[64];

    for (size_t len = 0; len <= sizeof plain; len += 16) {
        uint64_t n = tx->n;

        fill(plain, len, 5);
        assert_int_equal(si_cipher_encrypt(tx, si_span("ad", 2), plain, len, sealed), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(rx, si_span("ad", 2), sealed, len + SI_TAG_LEN, opened),
                         SOTTO_OK);
        assert_memory_equal(opened, plain, len);
        assert_int_equal(tx->n, n + 1);
        assert_int_equal(rx->n, n + 1);
    }
}

/* One handshake to its end; NAG: with every mistake a caller can make in between. */
static void complete(const struct si_protocol *p, size_t payload_len, bool nag)
{
    struct ends ends;
    struct si_handshake *hs[2];
    struct si_cipher_state tx[2], rx[2];
    uint8_t h[2][SI_HASH_LEN_MAX], first[2][32 + SI_TAG_LEN] = {{0}};
    size_t h_len[2];

    make_ends(&ends, p);
    for (unsigned role = 0; role < 2; role++)
        hs[role] = begin(p, (enum si_role)role, &ends);
    for (unsigned turn = 0; turn < p->pattern.turns; turn++) {
        unsigned me = turn % 2;

        assert_int_equal(si_handshake_action(hs[me]), SI_ACTION_WRITE);
        assert_int_equal(si_handshake_action(hs[!me]), SI_ACTION_READ);
        assert_int_equal(si_handshake_message_len(hs[me], 9), si_handshake_message_len(hs[!me], 9));
        for (unsigned role = 0; role < 2; role++)
            if (static_key_turn(&p->pattern, !role) >= (int)turn)
                assert_remote(hs[role], NULL, 0);
        read_message(hs[!me], write_message(hs[me], payload_len, nag), nag);
    }
    for (unsigned role = 0; role < 2; role++) {
        bool known = static_key_turn(&p->pattern, !role) < (int)p->pattern.turns;

        assert_int_equal(si_handshake_action(hs[role]), SI_ACTION_SPLIT);
        assert_remote(hs[role], known ? &ends.pub[!role] : NULL, p->dh->len);
        if (nag)
            assert_refused_out_of_turn(hs[role]);
        memset(h[role], 0, sizeof h[role]);
        assert_int_equal(si_handshake_split(hs[role], &tx[role], &rx[role], h[role], &h_len[role]),
                         SOTTO_OK);
        assert_int_equal(si_handshake_action(hs[role]), SI_ACTION_NONE);
        assert_refused_out_of_turn(hs[role]);
        assert_remote(hs[role], known ? &ends.pub[!role] : NULL, p->dh->len);
        assert_int_equal(h_len[role], p->hash->len);
        assert_false(is_zero(h[role], h_len[role]));
    }
    assert_memory_equal(h[0], h[1], sizeof h[0]);
    /* the two directions have keys of their own */
    for (unsigned role = 0; role < 2; role++) {
        assert_int_equal(tx[role].n, 0);
        assert_int_equal(rx[role].n, 0);
    }
    for (unsigned role = 0; role < 2; role++) {
        uint8_t zeros[32] = {0};

        assert_int_equal(
            si_cipher_encrypt(&tx[role], si_span(NULL, 0), zeros, sizeof zeros, first[role]),
            SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx[!role], si_span(NULL, 0), first[role],
                                           sizeof first[role], first[role]),
                         SOTTO_OK);
        assert_true(is_zero(first[role], sizeof zeros));
        assert_int_equal(
            si_cipher_encrypt(&tx[role], si_span(NULL, 0), zeros, sizeof zeros, first[role]),
            SOTTO_OK);
        assert_int_equal(
            si_cipher_decrypt(&rx[role], si_span(NULL, 0), first[role], sizeof first[role], result),
            SOTTO_E_AUTH);
        assert_int_equal(si_cipher_decrypt(&rx[!role], si_span(NULL, 0), first[role],
                                           sizeof first[role], result),
                         SOTTO_OK);
    }
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    assert_transport(&tx[0], &rx[1]);
    assert_transport(&tx[1], &rx[0]);
    for (unsigned role = 0; role < 2; role++) {
        si_cipher_wipe(&tx[role]);
        si_cipher_wipe(&rx[role]);
        si_handshake_free(hs[role]);
    }
}

static const char *const used_patterns[] = {"XX", "XXpsk0", "NK", "NKpsk0", "IK", "IKpsk0"};

static void every_algorithm(void **state)
{
    static const size_t sizes[] = {0, 1, 100, SIZE_MAX};
    size_t dhs, aeads, hashes;
    const struct si_dh *const *dh = si_dh_all(&dhs);
    const struct si_aead *const *aead = si_aead_all(&aeads);
    const struct si_hash *const *hash = si_hash_all(&hashes);

    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < dhs; d++)
            for (size_t a = 0; a < aeads; a++)
                for (size_t h = 0; h < hashes; h++)
                    for (size_t s = 0; s < SI_COUNT(sizes); s++) {
                        struct si_protocol p = protocol_of(used_patterns[i], dh[d]->name,
                                                           aead[a]->name, hash[h]->name);

                        p.dh = dh[d];
                        p.aead = aead[a];
                        p.hash = hash[h];
                        complete(&p, sizes[s], sizes[s] != SIZE_MAX && h == 0);
                    }
}

static void every_modifier(void **state)
{
    size_t count;
    const struct si_pattern *all = si_pattern_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (unsigned mask = 0; mask < 2U << all[i].turns; mask++) {
            char name[64];
            struct si_protocol p;

            pattern_name(name, sizeof name, all[i].name, mask);
            p = protocol_of(name, "25519", "ChaChaPoly", "BLAKE2s");
            complete(&p, 17, true);
        }
}

/* Exactly 65535 bytes with the largest payload, in each message. */
static void largest_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++) {
        struct si_protocol p = protocol_of(used_patterns[i], "25519", "AESGCM", "SHA256");
        struct ends ends;
        struct si_handshake *hs[2];

        make_ends(&ends, &p);
        hs[0] = begin(&p, SI_INITIATOR, &ends);
        hs[1] = begin(&p, SI_RESPONDER, &ends);
        for (unsigned turn = 0; turn < p.pattern.turns; turn++) {
            size_t len = write_message(hs[turn % 2], SIZE_MAX, true);

            assert_int_equal(len, SI_NOISE_MESSAGE_MAX);
            read_message(hs[turn % 2 == 0], len, true);
        }
        si_handshake_free(hs[0]);
        si_handshake_free(hs[1]);
    }
    /* one byte more than a Noise message may have is none */
    {
        struct si_protocol p = protocol_of("XX", "25519", "AESGCM", "SHA256");
        struct ends ends;
        struct si_handshake *hs;
        size_t len;

        make_ends(&ends, &p);
        hs = begin(&p, SI_RESPONDER, &ends);
        assert_int_not_equal(si_handshake_read(hs, si_span(message, SI_NOISE_MESSAGE_MAX + 1),
                                               result, sizeof result, &len),
                             SOTTO_OK);
        si_handshake_free(hs);
    }
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static void assert_no_handshake(const struct si_protocol *p, enum si_role role,
                                const struct si_handshake_keys *keys)
{
    struct si_handshake *hs = NULL;

    assert_int_equal(si_handshake_new(p, role, si_span(NULL, 0), keys, &hs), SOTTO_E_USAGE);
    assert_null(hs);
}

static void missing_and_surplus_keys(void **state)
{
    size_t count;
    const struct si_pattern *all = si_pattern_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (unsigned mask = 0; mask < 4; mask++)
            for (unsigned role = 0; role < 2; role++) {
                char name[64];
                struct si_protocol p;
                struct ends ends;
                struct si_handshake_keys k;

                pattern_name(name, sizeof name, all[i].name, mask);
                p = protocol_of(name, "25519", "AESGCM", "SHA256");
                make_ends(&ends, &p);
                si_handshake_free(begin(&p, (enum si_role)role, &ends)); /* the control */
                k = ends.keys[role];
                if (k.s != NULL) {
                    k.s = NULL;
                    k.s_public = NULL;
                } else {
                    k.s = &ends.s[role];
                    k.s_public = &ends.pub[role];
                }
                if (ends.keys[role].s != NULL)
                    assert_no_handshake(&p, (enum si_role)role, &k);
                k = ends.keys[role];
                k.s = &ends.s[role];
                k.s_public = NULL;
                assert_no_handshake(&p, (enum si_role)role, &k);
                k = ends.keys[role];
                k.s = NULL;
                k.s_public = &ends.pub[role];
                assert_no_handshake(&p, (enum si_role)role, &k);
                k = ends.keys[role];
                k.rs = k.rs != NULL ? NULL : &ends.pub[!role];
                assert_no_handshake(&p, (enum si_role)role, &k);
                for (size_t psks = 0; psks <= SI_PSKS_MAX; psks++) {
                    if (psks == ends.keys[role].psk_count)
                        continue;
                    k = ends.keys[role];
                    k.psks = ends.psks;
                    k.psk_count = psks;
                    assert_no_handshake(&p, (enum si_role)role, &k);
                }
            }
}

/* Runs a handshake with what the two hold, until somebody refuses.  Returns the error, and who, by
 * role. */
static sotto_err run_until_error(const struct si_protocol *p,
                                 const struct si_handshake_keys keys[2], struct si_span prologue[2],
                                 unsigned *who)
{
    struct si_handshake *hs[2];
    sotto_err err = SOTTO_OK;

    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(
            si_handshake_new(p, (enum si_role)role, prologue[role], &keys[role], &hs[role]),
            SOTTO_OK);
    *who = 2;
    for (unsigned turn = 0; turn < p->pattern.turns && err == SOTTO_OK; turn++) {
        unsigned me = turn % 2;
        size_t len = 0, got = 0;

        memset(message, 0xa5, 256);
        *who = me;
        err = si_handshake_write(hs[me], si_span("abc", 3), message, sizeof message, &len);
        if (err != SOTTO_OK) {
            assert_true(is_zero(message, si_handshake_message_len(hs[me], 3)));
            break;
        }
        *who = !me;
        memset(result, 0xa5, 3);
        err = si_handshake_read(hs[!me], si_span(message, len), result, sizeof result, &got);
        if (err != SOTTO_OK) {
            assert_true(is_zero(result, 3));
            /* the message that carried a static key did not authenticate */
            if (static_key_turn(&p->pattern, me) >= (int)turn)
                assert_null(si_handshake_remote_static(hs[!me]));
        }
    }
    if (err != SOTTO_OK) {
        size_t len = 0;
        struct si_cipher_state tx, rx;
        uint8_t h[SI_HASH_LEN_MAX];
        struct si_handshake *failed = hs[*who];

        assert_int_equal(si_handshake_action(failed), SI_ACTION_FAILED);
        assert_int_equal(si_handshake_message_len(failed, 0), 0);
        assert_int_not_equal(
            si_handshake_write(failed, si_span(NULL, 0), message, sizeof message, &len), SOTTO_OK);
        assert_int_not_equal(
            si_handshake_read(failed, si_span(message, 200), result, sizeof result, &len),
            SOTTO_OK);
        assert_int_not_equal(si_handshake_split(failed, &tx, &rx, h, &len), SOTTO_OK);
        assert_int_equal(si_handshake_action(failed), SI_ACTION_FAILED);
    }
    si_handshake_free(hs[0]);
    si_handshake_free(hs[1]);
    return err;
}

static void wrong_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < SI_COUNT(dh_names); d++) {
            struct si_protocol p = protocol_of(used_patterns[i], dh_names[d], "AESGCM", "SHA512");
            struct ends ends, others;
            struct si_handshake_keys keys[2];
            struct si_span prologue[2] = {si_span("p", 1), si_span("p", 1)};
            unsigned who;

            make_ends(&ends, &p);
            make_ends(&others, &p);
            memcpy(keys, ends.keys, sizeof keys);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
            prologue[1] = si_span("q", 1);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = si_span("p\0", 2);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = si_span(NULL, 0);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = prologue[0];
            for (unsigned bit = 0; keys[0].psk_count > 0 && bit < 8 * SOTTO_PSK_LEN; bit += 37) {
                sotto_psk psk = ends.psks[0];

                psk.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                keys[0].psks = &psk;
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                assert_int_equal(who, SI_RESPONDER); /* psk0: message 1 already */
                keys[0].psks = ends.psks;
            }
            if (keys[0].rs != NULL) {
                keys[0].rs = &others.pub[1];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                assert_int_equal(who, SI_RESPONDER);
                keys[0].rs = keys[0].s_public != NULL ? keys[0].s_public : &others.pub[0];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[0].rs = ends.keys[0].rs;
            }
            for (unsigned role = 0; role < 2; role++) {
                if (keys[role].s == NULL)
                    continue;
                keys[role].s_public = &others.pub[role]; /* a public key of somebody else */
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[role].s_public = ends.keys[role].s_public;
                keys[role].s = &others.s[role];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[role].s = ends.keys[role].s;
            }
        }
}

/* PSKs count in their order. */
static void swapped_psks(void **state)
{
    struct si_protocol p = protocol_of("XXpsk0+psk3", "25519", "ChaChaPoly", "BLAKE2b");
    struct ends ends;
    struct si_handshake_keys keys[2];
    struct si_span prologue[2] = {si_span(NULL, 0), si_span(NULL, 0)};
    sotto_psk swapped[2];
    unsigned who;

    (void)state;
    make_ends(&ends, &p);
    memcpy(keys, ends.keys, sizeof keys);
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
    swapped[0] = ends.psks[1];
    swapped[1] = ends.psks[0];
    keys[1].psks = swapped;
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
    assert_int_equal(who, SI_RESPONDER);
    swapped[0] = ends.psks[0];
    swapped[1] = ends.psks[1];
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
    swapped[1].bytes[31] ^= 1;
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
    assert_int_equal(who, SI_RESPONDER); /* psk3: in message 3 */
}

/* Every byte of every message, one bit each; and every shorter length, and one byte more. */
static void altered_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++) {
        struct si_protocol p = protocol_of(used_patterns[i], "25519", "AESGCM", "SHA256");
        struct ends ends;

        make_ends(&ends, &p);
        for (unsigned victim = 0; victim < p.pattern.turns; victim++)
            for (size_t at = 0, end = 1; at < 2 * end + 1; at++) {
                struct si_handshake *hs[2] = {begin(&p, SI_INITIATOR, &ends),
                                              begin(&p, SI_RESPONDER, &ends)};
                sotto_err err = SOTTO_OK;
                bool clear = false;

                for (unsigned turn = 0; turn < p.pattern.turns && err == SOTTO_OK; turn++) {
                    struct si_handshake *to = hs[turn % 2 == 0];
                    size_t len = write_message(hs[turn % 2], 4, false), got = 99;

                    if (turn == victim) {
                        end = len;
                        clear = si_handshake_message_len(to, 0) == p.dh->len;
                        if (at < len)
                            message[at] ^= (uint8_t)(1 << at % 8);
                        else if (at < 2 * len)
                            len = at - len;
                        else
                            message[len++] = 0;
                    }
                    memset(result, 0xa5, 8);
                    err = si_handshake_read(to, si_span(message, len), result, sizeof result, &got);
                    if (err == SOTTO_OK)
                        continue;
                    assert_true(err == SOTTO_E_AUTH || err == SOTTO_E_DH);
                    assert_int_equal(si_handshake_action(to), SI_ACTION_FAILED);
                    for (size_t k = 0; k < 4; k++)
                        assert_true(result[k] == 0 || result[k] == 0xa5);
                    if (static_key_turn(&p.pattern, turn % 2) >= (int)turn)
                        assert_null(si_handshake_remote_static(to));
                }
                /* a clear message 1 may lose or win payload, but never unnoticed by the hash */
                if (err == SOTTO_OK)
                    fail_msg("%s message %u, change %zu%s was not noticed", used_patterns[i],
                             victim + 1, at, clear ? " (clear)" : "");
                si_handshake_free(hs[0]);
                si_handshake_free(hs[1]);
            }
    }
}

/* ---- Low-order points ------------------------------------------------------------------------ */

/* All public keys of X25519 and X448 whose Diffie-Hellman with any private key is all zero. */
static const char *const low_25519[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
};
static const char *const low_448[] = {
    "0000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000",
    "fefffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "00000000000000000000000000000000000000000000000000000000ffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
};

/* A DH whose fresh key pairs are what `fixed` says: the private key real, the public key a lie if
 * there is one. */
static const struct si_dh *fixed_dh;
static const struct si_private_key *fixed_private; /* NULL: a fresh one */
static const struct si_public_key *fixed_lie;      /* NULL: the true one */

static sotto_err fixed_generate(struct si_private_key *priv, struct si_public_key *pub)
{
    sotto_err err = SOTTO_OK;

    memset(pub, 0, sizeof *pub);
    if (fixed_private != NULL) {
        *priv = *fixed_private;
        err = fixed_dh->derive_public(pub, priv);
    } else {
        err = fixed_dh->generate(priv, pub);
    }
    if (fixed_lie != NULL)
        *pub = *fixed_lie;
    return err;
}

/* Which DH of the side that is lied to meets the liar's key first: it must fail there. */
static void low_order_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < SI_COUNT(dh_names); d++) {
            struct si_protocol honest =
                protocol_of(used_patterns[i], dh_names[d], "AESGCM", d == 0 ? "SHA256" : "SHA512");
            const char *const *points = d == 0 ? low_25519 : low_448;
            size_t count = d == 0 ? SI_COUNT(low_25519) : SI_COUNT(low_448);
            struct si_dh liars_dh = *honest.dh;
            struct ends ends;

            liars_dh.generate = fixed_generate;
            fixed_dh = honest.dh;
            fixed_private = NULL;
            make_ends(&ends, &honest);
            for (size_t k = 0; k < count; k++) {
                struct si_public_key point = {{0}};
                struct si_span prologue[2] = {si_span(NULL, 0), si_span(NULL, 0)};

                assert_int_equal(si_unhex(point.bytes, honest.dh->len, si_span_str(points[k])),
                                 SOTTO_OK);
                for (unsigned liar = 0; liar < 2; liar++) {
                    struct si_handshake_keys keys[2];
                    struct si_protocol p = honest;
                    unsigned who = 2;

                    memcpy(keys, ends.keys, sizeof keys);
                    /* its ephemeral key: both ends use the lying DH, the honest one with nothing to
                     * lie about, since the handshake of the other role is begun and driven in this
                     * order only */
                    {
                        struct si_protocol lying = honest;
                        struct si_handshake *hs[2];
                        sotto_err err = SOTTO_OK;

                        lying.dh = &liars_dh;
                        for (unsigned role = 0; role < 2; role++)
                            assert_int_equal(si_handshake_new(role == liar ? &lying : &honest,
                                                              (enum si_role)role, prologue[role],
                                                              &keys[role], &hs[role]),
                                             SOTTO_OK);
                        fixed_lie = &point;
                        for (unsigned t = 0; t < p.pattern.turns && err == SOTTO_OK; t++) {
                            size_t len = 0, got = 0;

                            who = t % 2;
                            err = si_handshake_write(hs[who], si_span(NULL, 0), message,
                                                     sizeof message, &len);
                            if (err != SOTTO_OK)
                                break;
                            who = !who;
                            err = si_handshake_read(hs[who], si_span(message, len), result,
                                                    sizeof result, &got);
                        }
                        fixed_lie = NULL;
                        assert_int_equal(err, SOTTO_E_DH);
                        assert_int_equal(who, !liar);
                        assert_int_equal(si_handshake_action(hs[who]), SI_ACTION_FAILED);
                        si_handshake_free(hs[0]);
                        si_handshake_free(hs[1]);
                    }
                    /* its static key */
                    if (keys[liar].s == NULL)
                        continue;
                    keys[liar].s_public = &point;
                    if (keys[!liar].rs != NULL)
                        keys[!liar].rs = &point;
                    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_DH);
                    assert_int_equal(who, !liar);
                }
            }
            fixed_dh = NULL;
        }
}

/* ---- Cipher states (section 5.1) ------------------------------------------------------------- */

static struct si_cipher_state keyed(const struct si_aead *aead, uint8_t byte)
{
    struct si_cipher_state cs;
    struct si_cipher_key k;

    memset(k.bytes, byte, sizeof k.bytes);
    si_cipher_init(&cs, aead);
    si_cipher_set_key(&cs, &k);
    return cs;
}

static void cipher_without_key(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state cs;
        uint8_t out[4] = {0};

        si_cipher_init(&cs, all[i]);
        assert_int_equal(si_cipher_overhead(&cs), 0);
        assert_int_equal(si_cipher_encrypt(&cs, si_span("x", 1), (const uint8_t *)"abcd", 4, out),
                         SOTTO_OK);
        assert_memory_equal(out, "abcd", 4);
        assert_int_equal(si_cipher_decrypt(&cs, si_span("y", 1), (const uint8_t *)"efgh", 4, out),
                         SOTTO_OK);
        assert_memory_equal(out, "efgh", 4);
        assert_int_equal(cs.n, 0);
        assert_int_equal(si_cipher_rekey(&cs), SOTTO_E_USAGE);
        si_cipher_wipe(&cs);
        cs = keyed(all[i], 1);
        assert_int_equal(si_cipher_overhead(&cs), SI_TAG_LEN);
        si_cipher_wipe(&cs);
        assert_false(cs.has_key);
        assert_int_equal(si_cipher_overhead(&cs), 0);
        assert_true(is_zero(&cs.k, sizeof cs.k));
    }
}

static void cipher_nonces(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state tx = keyed(all[i], 3), rx = keyed(all[i], 3);
        struct si_cipher_key k = {{9}};
        uint8_t sealed[4 + SI_TAG_LEN], out[4 + SI_TAG_LEN];

        tx.n = rx.n = UINT64_MAX - 2;
        for (int last = 0; last < 2; last++) {
            assert_int_equal(
                si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed),
                SOTTO_OK);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                             SOTTO_OK);
            assert_memory_equal(out, "abcd", 4);
        }
        /* 2^64 - 1 belongs to REKEY */
        for (int again = 0; again < 3; again++) {
            assert_int_equal(tx.n, UINT64_MAX);
            assert_int_equal(rx.n, UINT64_MAX);
            assert_int_equal(
                si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed),
                SOTTO_E_NONCE);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                             SOTTO_E_NONCE);
        }
        /* a new key begins at 0 */
        si_cipher_set_key(&tx, &k);
        assert_int_equal(tx.n, 0);
        assert_int_equal(
            si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed), SOTTO_OK);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
    }
}

static void cipher_volume(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_aead small = *all[i];
        struct si_cipher_state cs;
        uint8_t out[128 + SI_TAG_LEN];

        /* Noise section 14: at most 2^56 bytes under one key of AESGCM */
        if (strcmp(all[i]->name, "AESGCM") == 0)
            assert_int_equal(all[i]->max_bytes, (uint64_t)1 << 56);
        cs = keyed(all[i], 7);
        cs.bytes = all[i]->max_bytes - 10;
        fill(payload, 128, 1);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 11, out), SOTTO_E_NONCE);
        assert_int_equal(cs.n, 0);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 10, out), SOTTO_OK);
        assert_int_equal(cs.n, 1);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 1, out), SOTTO_E_NONCE);
        assert_int_equal(si_cipher_rekey(&cs), SOTTO_OK); /* the new key has its own volume */
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 100, out), SOTTO_OK);
        si_cipher_wipe(&cs);

        small.max_bytes = 100;
        cs = keyed(&small, 7);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 101, out),
                         SOTTO_E_NONCE);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 60, out), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 41, out), SOTTO_E_NONCE);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 40, out), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 1, out), SOTTO_E_NONCE);
        assert_int_equal(cs.n, 2);
        si_cipher_wipe(&cs);
    }
}

/* A failed decryption changes nothing, whatever was wrong, and shows no plaintext. */
static void cipher_forgeries(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t len = 0; len < 40; len += 13) {
            struct si_cipher_state tx = keyed(all[i], 5), rx = keyed(all[i], 5);
            struct si_cipher_state other = keyed(all[i], 6);
            uint8_t sealed[64], copy[65], out[64];
            size_t total = len + SI_TAG_LEN;

            tx.n = rx.n = other.n = 77;
            fill(payload, len, 3);
            assert_int_equal(si_cipher_encrypt(&tx, si_span("ad", 2), payload, len, sealed),
                             SOTTO_OK);
            for (size_t bit = 0; bit < 8 * total; bit++) {
                memcpy(copy, sealed, total);
                copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), copy, total, out),
                                 SOTTO_E_AUTH);
                assert_true(len < 4 || memcmp(out, payload, len) != 0);
                assert_int_equal(rx.n, 77);
            }
            for (size_t cut = 0; cut < total; cut++)
                assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, cut, out),
                                 SOTTO_E_AUTH);
            memcpy(copy, sealed, total);
            copy[total] = 0;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), copy, total + 1, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("aD", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 1), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&other, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 76;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 78;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 77;
            /* in place, and after all that */
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, sealed),
                             SOTTO_OK);
            assert_memory_equal(sealed, payload, len);
            assert_int_equal(rx.n, 78);
            si_cipher_wipe(&tx);
            si_cipher_wipe(&rx);
            si_cipher_wipe(&other);
        }
}

/* The same bytes as the primitive makes, and REKEY of sections 4.2 and 11.3. */
static void cipher_rekey(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state tx = keyed(all[i], 5), rx = keyed(all[i], 5), old = keyed(all[i], 5);
        struct si_cipher_key k;
        uint8_t zeros[32] = {0}, sealed[32 + SI_TAG_LEN], expected[32 + SI_TAG_LEN],
                out[32 + SI_TAG_LEN];

        memset(k.bytes, 5, sizeof k.bytes);
        for (uint64_t n = 0; n < 6; n++) {
            struct si_aead_key *key = NULL;

            assert_int_equal(all[i]->key_new(&key, &k), SOTTO_OK);
            assert_int_equal(all[i]->seal(key, n, si_span("ad", 2), zeros, 32, expected), SOTTO_OK);
            assert_int_equal(tx.n, n);
            assert_int_equal(si_cipher_encrypt(&tx, si_span("ad", 2), zeros, 32, sealed), SOTTO_OK);
            assert_memory_equal(sealed, expected, sizeof sealed);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, sizeof sealed, out),
                             SOTTO_OK);
            if (n == 3) {
                /* the next key: ENCRYPT(k, 2^64 - 1, "", zeros) without its tag */
                assert_int_equal(
                    all[i]->seal(key, UINT64_MAX, si_span(NULL, 0), zeros, 32, expected), SOTTO_OK);
                memcpy(k.bytes, expected, sizeof k.bytes);
                assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
                assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
                assert_int_equal(tx.n, 4);
                assert_int_equal(rx.n, 4);
            }
            if (n > 3) {
                old.n = n;
                assert_int_equal(
                    si_cipher_decrypt(&old, si_span("ad", 2), sealed, sizeof sealed, out),
                    SOTTO_E_AUTH);
            }
            all[i]->key_free(key);
        }
        /* before the first use of a key, and twice in a row */
        si_cipher_set_key(&tx, &k);
        si_cipher_set_key(&rx, &k);
        assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
        assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
        assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&tx, si_span(NULL, 0), zeros, 32, sealed), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                         SOTTO_E_AUTH);
        assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                         SOTTO_OK);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
        si_cipher_wipe(&old);
    }
}

/* ---- Published vectors ----------------------------------------------------------------------- */

struct vector_count {
    unsigned run, skipped;
    unsigned by_dh[2], by_aead[2], by_hash[4];
    struct si_json *outer, *inner;
};

static size_t hex_of(const struct si_json_value *value, uint8_t *out, size_t max)
{
    size_t len = value->str.len / 2;

    if (value->type == SI_JSON_ABSENT)
        return 0;
    assert_int_equal(value->type, SI_JSON_STRING);
    assert_true(len <= max);
    assert_int_equal(si_unhex(out, len, value->str), SOTTO_OK);
    return len;
}

struct vector_messages {
    struct si_handshake *hs[2];
    struct si_cipher_state tx[2], rx[2];
    const struct si_private_key *e[2];
    const uint8_t *hash;
    unsigned turns, index;
    struct si_json *json;
};

static sotto_err run_message(void *user, struct si_span name, const struct si_json_value *value)
{
    struct vector_messages *v = user;
    struct si_json_member m[] = {{.name = "payload"}, {.name = "ciphertext"}};
    static uint8_t plain[1024], expected[2048];
    unsigned me = v->index % 2;
    size_t plain_len, expected_len, len = 0;

    (void)name;
    assert_int_equal(si_json_read_copy(v->json, value->raw, m, SI_COUNT(m), NULL), SOTTO_OK);
    plain_len = hex_of(&m[0].value, plain, sizeof plain);
    expected_len = hex_of(&m[1].value, expected, sizeof expected);
    if (v->index < v->turns) {
        fixed_private = v->e[me];
        assert_int_equal(
            si_handshake_write(v->hs[me], si_span(plain, plain_len), message, sizeof message, &len),
            SOTTO_OK);
        assert_int_equal(len, expected_len);
        assert_memory_equal(message, expected, len);
        assert_int_equal(
            si_handshake_read(v->hs[!me], si_span(message, len), result, sizeof result, &len),
            SOTTO_OK);
        assert_int_equal(len, plain_len);
        assert_memory_equal(result, plain, len);
    } else {
        if (v->index == v->turns)
            for (unsigned role = 0; role < 2; role++) {
                uint8_t h[SI_HASH_LEN_MAX];
                size_t h_len;

                assert_int_equal(
                    si_handshake_split(v->hs[role], &v->tx[role], &v->rx[role], h, &h_len),
                    SOTTO_OK);
                assert_memory_equal(h, v->hash, h_len);
            }
        assert_int_equal(expected_len, plain_len + SI_TAG_LEN);
        assert_int_equal(si_cipher_encrypt(&v->tx[me], si_span(NULL, 0), plain, plain_len, message),
                         SOTTO_OK);
        assert_memory_equal(message, expected, expected_len);
        assert_int_equal(
            si_cipher_decrypt(&v->rx[!me], si_span(NULL, 0), message, expected_len, result),
            SOTTO_OK);
        assert_memory_equal(result, plain, plain_len);
    }
    v->index++;
    return SOTTO_OK;
}

/* The PSKs of a vector: the same array stands on both sides. */
struct psk_list {
    sotto_psk psks[SI_PSKS_MAX];
    size_t count;
};

static sotto_err take_psk(void *user, struct si_span name, const struct si_json_value *value)
{
    struct psk_list *list = user;

    (void)name;
    assert_true(list->count < SI_PSKS_MAX);
    assert_int_equal(hex_of(value, list->psks[list->count++].bytes, SOTTO_PSK_LEN), SOTTO_PSK_LEN);
    return SOTTO_OK;
}

static unsigned index_of(const char *const *names, size_t count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail();
    return 0;
}

static sotto_err run_vector(void *user, struct si_span member, const struct si_json_value *value)
{
    enum {
        NAME,
        I_PROLOGUE,
        R_PROLOGUE,
        I_E,
        R_E,
        I_S,
        R_S,
        I_RS,
        R_RS,
        I_PSKS,
        R_PSKS,
        HASH,
        ALL
    };
    struct si_json_member m[ALL + 1] = {
        {.name = "protocol_name"},  {.name = "init_prologue"},      {.name = "resp_prologue"},
        {.name = "init_ephemeral"}, {.name = "resp_ephemeral"},     {.name = "init_static"},
        {.name = "resp_static"},    {.name = "init_remote_static"}, {.name = "resp_remote_static"},
        {.name = "init_psks"},      {.name = "resp_psks"},          {.name = "handshake_hash"},
        {.name = "messages"},
    };
    struct vector_count *count = user;
    struct vector_messages v = {.json = NULL};
    char name[SI_PROTOCOL_NAME_MAX + 1];
    struct si_protocol p;
    struct si_dh dh;
    struct si_private_key e[2], s[2];
    struct si_public_key pub[2], rs[2];
    uint8_t prologue[2][256], hash[SI_HASH_LEN_MAX];
    size_t prologue_len[2];
    struct psk_list psks[2];
    static char text[65536];

    (void)member;
    /* the visited text belongs to the outer reader: read with another one, from a copy */
    assert_true(value->raw.len < sizeof text);
    memcpy(text, value->raw.ptr, value->raw.len);
    assert_int_equal(
        si_json_read_copy(count->inner, si_span(text, value->raw.len), m, SI_COUNT(m), NULL),
        SOTTO_OK);
    assert_true(m[NAME].value.str.len < sizeof name);
    memcpy(name, m[NAME].value.str.ptr, m[NAME].value.str.len);
    name[m[NAME].value.str.len] = '\0';
    if (si_protocol_parse(&p, name) != SOTTO_OK) {
        /* only a pattern may be unknown: NN, or a psk modifier on it */
        const char *pattern = name + strlen("Noise_");

        if (si_pattern_by_name(si_span(pattern, strspn(pattern, "XNKI1"))) != NULL)
            fail_msg("refused: %s", name);
        count->skipped++;
        return SOTTO_OK;
    }
    memset(psks, 0, sizeof psks);
    hex_of(&m[HASH].value, hash, sizeof hash);
    for (unsigned role = 0; role < 2; role++) {
        struct si_handshake_keys keys = {0};

        memset(&e[role], 0, sizeof e[role]);
        memset(&s[role], 0, sizeof s[role]);
        memset(&rs[role], 0, sizeof rs[role]);
        memset(&pub[role], 0, sizeof pub[role]);
        prologue_len[role] = hex_of(&m[I_PROLOGUE + role].value, prologue[role], 256);
        assert_int_equal(hex_of(&m[I_E + role].value, e[role].bytes, SI_DH_LEN_MAX), p.dh->len);
        if (hex_of(&m[I_S + role].value, s[role].bytes, SI_DH_LEN_MAX) != 0) {
            assert_int_equal(p.dh->derive_public(&pub[role], &s[role]), SOTTO_OK);
            keys.s = &s[role];
            keys.s_public = &pub[role];
        }
        if (hex_of(&m[I_RS + role].value, rs[role].bytes, SI_DH_LEN_MAX) != 0)
            keys.rs = &rs[role];
        if (m[I_PSKS + role].value.type == SI_JSON_ARRAY)
            assert_int_equal(
                si_json_each(count->outer, m[I_PSKS + role].value.raw, take_psk, &psks[role], NULL),
                SOTTO_OK);
        keys.psks = psks[role].count > 0 ? psks[role].psks : NULL;
        keys.psk_count = psks[role].count;
        fixed_dh = p.dh;
        dh = *p.dh;
        dh.generate = fixed_generate;
        {
            struct si_protocol with_fixed = p;

            with_fixed.dh = &dh;
            assert_int_equal(si_handshake_new(&with_fixed, (enum si_role)role,
                                              si_span(prologue[role], prologue_len[role]), &keys,
                                              &v.hs[role]),
                             SOTTO_OK);
        }
        v.e[role] = &e[role];
    }
    v.hash = hash;
    v.turns = p.pattern.turns;
    assert_int_equal(si_json_new(&v.json), SOTTO_OK);
    assert_int_equal(si_json_each(count->outer, m[ALL].value.raw, run_message, &v, NULL), SOTTO_OK);
    assert_true(v.index > v.turns);
    for (unsigned role = 0; role < 2; role++) {
        si_handshake_free(v.hs[role]);
        si_cipher_wipe(&v.tx[role]);
        si_cipher_wipe(&v.rx[role]);
    }
    si_json_free(v.json);
    fixed_private = NULL;
    count->run++;
    count->by_dh[index_of(dh_names, 2, p.dh->name)]++;
    count->by_aead[index_of(aead_names, 2, p.aead->name)]++;
    count->by_hash[index_of(hash_names, 4, p.hash->name)]++;
    return SOTTO_OK;
}

static char *whole_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    char *text;
    long size;

    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    text = malloc((size_t)size);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    assert_int_equal(fclose(file), 0);
    *len = (size_t)size;
    return text;
}

static void published_vectors(void **state)
{
    const char *folder = getenv("SOTTO_VECTORS");
    struct vector_count count = {0};
    struct si_json_member vectors = {.name = "vectors"};
    struct si_json *json, *walk;
    char path[4096];
    char *text;
    size_t len = 0;

    (void)state;
    if (folder == NULL || folder[0] == '\0') {
        print_message("SOTTO_VECTORS names no folder with cacophony.txt: not run\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/cacophony.txt", folder);
    text = whole_file(path, &len);
    if (text == NULL)
        fail_msg("%s cannot be read", path);
    assert_int_equal(si_json_new(&json), SOTTO_OK);
    assert_int_equal(si_json_new(&walk), SOTTO_OK);
    assert_int_equal(si_json_new(&count.outer), SOTTO_OK);
    assert_int_equal(si_json_new(&count.inner), SOTTO_OK);
    assert_int_equal(si_json_read_copy(json, si_span(text, len), &vectors, 1, NULL), SOTTO_OK);
    assert_int_equal(vectors.value.type, SI_JSON_ARRAY);
    assert_int_equal(si_json_each(walk, vectors.value.raw, run_vector, &count, NULL), SOTTO_OK);
    print_message("%u vectors run, %u of other patterns skipped\n", count.run, count.skipped);
    print_message("25519 %u, 448 %u; ChaChaPoly %u, AESGCM %u; SHA256 %u, SHA512 %u, BLAKE2s %u, "
                  "BLAKE2b %u\n",
                  count.by_dh[0], count.by_dh[1], count.by_aead[0], count.by_aead[1],
                  count.by_hash[0], count.by_hash[1], count.by_hash[2], count.by_hash[3]);
    assert_true(count.run >= 128);
    si_json_free(json);
    si_json_free(walk);
    si_json_free(count.outer);
    si_json_free(count.inner);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(patterns_are_valid),
        cmocka_unit_test(patterns_as_published),
        cmocka_unit_test(broken_patterns_are_noticed),
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(every_modifier),
        cmocka_unit_test(largest_messages),
        cmocka_unit_test(missing_and_surplus_keys),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(swapped_psks),
        cmocka_unit_test(altered_messages),
        cmocka_unit_test(low_order_points),
        cmocka_unit_test(cipher_without_key),
        cmocka_unit_test(cipher_nonces),
        cmocka_unit_test(cipher_volume),
        cmocka_unit_test(cipher_forgeries),
        cmocka_unit_test(cipher_rekey),
        cmocka_unit_test(published_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
