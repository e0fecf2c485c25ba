/*
 * sotto_handshake_new(): what each role of each protocol has to be given, that nothing else is
 * taken, and that a refusal changes nothing.
 */
#include "support.h"

/* O is refused with WORD, and nothing came of it. */
static void refuse_with(const sotto_handshake_options *o, sotto_err err, const char *word)
{
    sotto_handshake_options copy = *o;
    sotto_handshake *hs = (sotto_handshake *)&copy;
    sotto_action before = SOTTO_ACTION_DONE;
    sotto_error error;

    memset(&error, CANARY, sizeof error);
    if (o->fallback_from != NULL)
        before = sotto_handshake_action(o->fallback_from);
    assert_int_equal(sotto_handshake_new(o, &hs, &error), err);
    assert_null(hs);
    assert_says(&error, err, word);
    hs = (sotto_handshake *)&copy;
    assert_int_equal(sotto_handshake_new(o, &hs, NULL), err);
    assert_null(hs);
    assert_memory_equal(&copy, o, sizeof copy);
    if (o->fallback_from != NULL)
        assert_int_equal(sotto_handshake_action(o->fallback_from), before);
}

static void refuse(const sotto_handshake_options *o, const char *word)
{
    refuse_with(o, SOTTO_E_USAGE, word);
}

/* ---- Each option of each role of each protocol ----------------------------------------------- */

static void check_s(const struct pair *p, int side)
{
    sotto_handshake_options o = pair_options(p, side);
    sotto_curve curve = p->m.suite.curve;

    if (needs_s(&p->m, side)) {
        o.s = NULL;
        refuse(&o, "s");
        o.s = pair_key(other_curve(curve), side);
        refuse(&o, "s");
    } else {
        o.s = pair_key(curve, side);
        refuse(&o, "s");
    }
}

static void check_own_key_as_rs(const struct pair *p, int side)
{
    sotto_handshake_options o = pair_options(p, side);
    sotto_public_key own = *public_key(p->m.suite.curve, side);
    sotto_handshake *hs;

    o.rs = &own;
    if (p->m.one_way) {
        assert_int_equal(sotto_handshake_new(&o, &hs, NULL), SOTTO_OK);
        sotto_handshake_free(hs);
        return;
    }
    refuse(&o, "rs");
    /* what stands behind the key is not looked at */
    if (p->m.suite.curve == SOTTO_CURVE_25519) {
        fill(own.bytes + 32, SOTTO_KEY_LEN_MAX - 32, 1);
        refuse(&o, "rs");
    }
}

static void check_rs(const struct pair *p, int side)
{
    static const int curves[] = {0, 3, 7, -1};
    sotto_handshake_options o = pair_options(p, side);
    sotto_curve curve = p->m.suite.curve;
    sotto_public_key key = *public_key(curve, !side);

    if (!needs_rs(&p->m, side)) {
        o.rs = &key;
        refuse(&o, "rs");
        return;
    }
    o.rs = NULL;
    refuse(&o, "rs");
    o.rs = public_key(other_curve(curve), !side);
    refuse(&o, "rs");
    for (unsigned i = 0; i < sizeof curves / sizeof *curves; i++) {
        key.curve = (sotto_curve)curves[i];
        o.rs = &key;
        refuse(&o, "rs");
    }
    if (needs_s(&p->m, side))
        check_own_key_as_rs(p, side);
}

static void check_psks(const struct pair *p, int side)
{
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++) {
        sotto_handshake_options o = pair_options(p, side);

        if (p->m.psks >> n & 1)
            continue;
        o.psk[n] = psk_at(n);
        refuse(&o, "PSK");
    }
}

static void check_roles(const struct pair *p, int side)
{
    static const int roles[] = {0, 1, 4, 7, -1, 258};

    for (unsigned i = 0; i < sizeof roles / sizeof *roles; i++) {
        sotto_handshake_options o = pair_options(p, side);

        o.role = (sotto_role)roles[i];
        refuse(&o, "role");
    }
}

static void check_size(const struct pair *p, int side)
{
    static const size_t sizes[] = {0,
                                   1,
                                   sizeof(sotto_handshake_options) - 1,
                                   sizeof(sotto_handshake_options) + 1,
                                   sizeof(sotto_handshake_options) * 2,
                                   SIZE_MAX};

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sotto_handshake_options o = pair_options(p, side);

        o.size = sizes[i];
        refuse(&o, "options");
    }
}

static void check_prologue(const struct pair *p, int side)
{
    sotto_handshake_options o = pair_options(p, side);

    o.prologue = sotto_bytes_of(NULL, 1);
    refuse(&o, "prologue");
    o.prologue = sotto_bytes_of(NULL, SIZE_MAX);
    refuse(&o, "prologue");
}

static void check_name(const struct pair *p, int side)
{
    sotto_handshake_options o = pair_options(p, side);

    o.protocol = NULL;
    refuse(&o, "protocol");
    o.protocol = "Noise_XQ_25519_ChaChaPoly_SHA256";
    refuse_with(&o, SOTTO_E_UNSUPPORTED, "XQ");
}

static void check_fallback(const struct pair *p, int side)
{
    sotto_handshake_options o = pair_options(p, side);
    sotto_public_key re = p->m.fallback ? p->re : *public_key(p->m.suite.curve, STRANGER);
    sotto_public_key other = re;

    if (!p->m.fallback) {
        o.fallback_re = &re;
        refuse(&o, "fallback");
        return;
    }
    o.fallback_re = NULL;
    o.fallback_from = NULL;
    refuse(&o, "fallback");
    o.fallback_from = p->earlier;
    o.fallback_re = &re;
    refuse(&o, "fallback");
    if (side == INITIATOR) {
        o.fallback_from = NULL;
        other.curve = other_curve(re.curve);
        o.fallback_re = &other;
        refuse(&o, "fallback_re");
        other.curve = (sotto_curve)0;
        refuse(&o, "fallback_re");
    } else {
        o.fallback_from = NULL;
        refuse(&o, "fallback");
    }
}

static void check_options(const struct model *m)
{
    struct pair p;

    pair_prepare(&p, m);
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o;

        check_s(&p, side);
        check_rs(&p, side);
        check_psks(&p, side);
        check_roles(&p, side);
        check_size(&p, side);
        check_prologue(&p, side);
        check_name(&p, side);
        check_fallback(&p, side);
        /* and now as it should be, from what has met all these refusals */
        o = pair_options(&p, side);
        assert_int_equal(sotto_handshake_new(&o, &p.hs[side], NULL), SOTTO_OK);
    }
    pair_finish_and_close(&p);
}

static void test_each_option(void **state)
{
    (void)state;
    each_protocol(true, check_options);
}

/* Which PSK it was that the pattern does not have. */
static void test_surplus_psk_is_named(void **state)
{
    struct model m = model_of("NN", false, 1, fast_suite());
    struct pair p;

    (void)state;
    pair_prepare(&p, &m);
    for (unsigned n = 1; n < SOTTO_PSK_POSITIONS; n++) {
        sotto_handshake_options o = pair_options(&p, INITIATOR);
        char word[8];

        snprintf(word, sizeof word, "psk%u", n);
        o.psk[n] = psk_at(n);
        refuse(&o, word);
    }
    pair_close(&p);
}

/* ---- Beside the options ---------------------------------------------------------------------- */

static void test_null(void **state)
{
    struct model m = model_of("NN", false, 0, fast_suite());
    sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;
    sotto_handshake *hs = (sotto_handshake *)&o;

    (void)state;
    assert_int_equal(sotto_handshake_new(NULL, &hs, NULL), SOTTO_E_USAGE);
    assert_null(hs);
    o.protocol = m.name;
    o.role = SOTTO_INITIATOR;
    assert_int_equal(sotto_handshake_new(&o, NULL, NULL), SOTTO_E_USAGE);
    sotto_handshake_free(NULL);
}

/* An untouched field is the empty one. */
static void test_init_is_empty(void **state)
{
    sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;

    (void)state;
    assert_int_equal(o.size, sizeof o);
    o.size = 0;
    assert_true(all_are(&o, sizeof o, 0));
}

/* The empty prologue may be anywhere. */
static void empty_prologue(int side, sotto_handshake_options *options, void *user)
{
    options->prologue = sotto_bytes_of(side == INITIATOR ? NULL : user, 0);
}

static void test_empty_prologue(void **state)
{
    struct model m = model_of("XX", false, 0, fast_suite());
    struct pair p;

    (void)state;
    pair_open_with(&p, &m, empty_prologue, &m);
    pair_finish_and_close(&p);
}

static void long_prologue(int side, sotto_handshake_options *options, void *user)
{
    (void)side;
    options->prologue = sotto_bytes_of(user, 300000);
}

static void test_long_prologue(void **state)
{
    static uint8_t prologue[300000];
    struct model m = model_of("NN", false, 0, fast_suite());
    struct pair p;

    (void)state;
    fill(prologue, sizeof prologue, 3);
    pair_open_with(&p, &m, long_prologue, prologue);
    pair_finish_and_close(&p);
}

/* All that an option points to may be gone when sotto_handshake_new() returns. */
struct borrowed {
    char name[NAME_SIZE];
    char prologue[6];
    sotto_keypair *s;
    sotto_public_key rs, re;
    sotto_psk psk[SOTTO_PSK_POSITIONS];
};

static void borrow(const sotto_handshake_options *o, struct borrowed *b, int side,
                   sotto_handshake_options *out)
{
    uint8_t raw[SOTTO_KEY_LEN_MAX];
    sotto_curve curve = strstr(o->protocol, "_448_") ? SOTTO_CURVE_448 : SOTTO_CURVE_25519;

    *out = *o;
    snprintf(b->name, sizeof b->name, "%s", o->protocol);
    out->protocol = b->name;
    memcpy(b->prologue, o->prologue.ptr, sizeof b->prologue);
    out->prologue.ptr = b->prologue;
    if (o->s != NULL) {
        fill(raw, sizeof raw, (unsigned)curve * 10 + (unsigned)side);
        assert_int_equal(sotto_keypair_from_raw(curve, raw, sotto_curve_key_len(curve), &b->s),
                         SOTTO_OK);
        out->s = b->s;
    }
    if (o->rs != NULL) {
        b->rs = *o->rs;
        out->rs = &b->rs;
    }
    if (o->fallback_re != NULL) {
        b->re = *o->fallback_re;
        out->fallback_re = &b->re;
    }
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        if (o->psk[n] != NULL) {
            b->psk[n] = *o->psk[n];
            out->psk[n] = &b->psk[n];
        }
}

static void open_with_borrowed(const struct model *m)
{
    struct pair p;

    pair_prepare(&p, m);
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = pair_options(&p, side), lent;
        struct borrowed *b = calloc(1, sizeof *b);

        assert_non_null(b);
        borrow(&o, b, side, &lent);
        assert_int_equal(sotto_handshake_new(&lent, &p.hs[side], NULL), SOTTO_OK);
        sotto_keypair_free(b->s);
        memset(b, CANARY, sizeof *b);
        free(b);
    }
    pair_finish_and_close(&p);
}

static void test_arguments_are_copied(void **state)
{
    (void)state;
    each_protocol(true, open_with_borrowed);
}

/* Bytes behind the curve's length are not looked at, and a key is the same with and without. */
static void untidy(int side, sotto_handshake_options *options, void *user)
{
    sotto_public_key *key = user;

    (void)side;
    if (options->rs == NULL)
        return;
    *key = *options->rs;
    fill(key->bytes + 32, SOTTO_KEY_LEN_MAX - 32, 5);
    options->rs = key;
}

static void test_untidy_rs(void **state)
{
    struct model m = model_of("IK", false, 0, fast_suite());
    sotto_public_key key;
    const sotto_public_key *rs;
    struct pair p;

    (void)state;
    pair_open_with(&p, &m, untidy, &key);
    rs = sotto_handshake_remote_static(p.hs[INITIATOR]);
    assert_true(sotto_public_key_equal(rs, public_key(SOTTO_CURVE_25519, RESPONDER)));
    pair_finish_and_close(&p);
}

/* A file that is sealed for oneself: N, K and X with the same key on both sides. */
static void seal_for_oneself(int side, sotto_handshake_options *options, void *user)
{
    (void)side;
    (void)user;
    if (options->s != NULL)
        options->s = pair_key(SOTTO_CURVE_25519, RESPONDER);
    if (options->rs != NULL)
        options->rs = public_key(SOTTO_CURVE_25519, RESPONDER);
}

static void test_sealed_for_oneself(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct model m = model_of(pattern_at(i), false, 0, fast_suite());
        struct pair p;

        pair_open_with(&p, &m, seal_for_oneself, NULL);
        pair_finish_and_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_option),
        cmocka_unit_test(test_surplus_psk_is_named),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_init_is_empty),
        cmocka_unit_test(test_empty_prologue),
        cmocka_unit_test(test_long_prologue),
        cmocka_unit_test(test_arguments_are_copied),
        cmocka_unit_test(test_untidy_rs),
        cmocka_unit_test(test_sealed_for_oneself),
    };

    return cmocka_run_group_tests_name("noise: options", tests, NULL, free_world);
}
