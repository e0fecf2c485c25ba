/*
 * Handshakes that must not succeed: every byte altered, every cut, everything on which both sides
 * have to agree; and what is left after a failure.
 */
#include "support.h"

static struct text message, payload, altered;

/* ---- Every byte, every length ---------------------------------------------------------------- */

/* Both sides have split all the same: nothing that one sends may reach the other one. */
static void assert_deaf(struct pair *p)
{
    sotto_transport *transports[2];

    for (int side = 0; side < 2; side++)
        assert_int_equal(sotto_handshake_split(p->hs[side], &transports[side], NULL), SOTTO_OK);
    assert_memory_not_equal(sotto_handshake_hash(p->hs[0]).ptr, sotto_handshake_hash(p->hs[1]).ptr,
                            p->m.hash_len);
    for (int from = 0; from < (p->m.one_way ? 1 : 2); from++) {
        sotto_room room = sotto_room_of(message.bytes, BUFFER);
        sotto_room out = sotto_room_of(payload.bytes, BUFFER);

        assert_int_equal(sotto_transport_encrypt(transports[from], sotto_no_ad(),
                                                 sotto_bytes_of("hear me", 7), &room),
                         SOTTO_OK);
        assert_int_equal(sotto_transport_decrypt(transports[!from], sotto_no_ad(),
                                                 sotto_room_bytes(&room), &out),
                         SOTTO_E_AUTH);
    }
    sotto_transport_free(transports[0]);
    sotto_transport_free(transports[1]);
}

/* Both sides go on with a handshake into which something wrong has come: one of them fails with
 * E_AUTH (or E_DH: the altered key was of low order) at the latest when the first message after it
 * is encrypted; or else they do not understand each other. */
static void go_on_deceived(struct pair *p)
{
    while (!walk_ended(&p->walk)) {
        bool encrypted = walk_encrypted(&p->walk);
        sotto_handshake *r = reader(p);
        sotto_err err;

        if (hs_write(writer(p), "on", 2, &message) != SOTTO_OK) {
            assert_failed(writer(p));
            return;
        }
        err = hs_read(r, &message, &payload);
        assert_int_equal(err == SOTTO_OK, !encrypted);
        if (err != SOTTO_OK) {
            assert_true(err == SOTTO_E_AUTH || err == SOTTO_E_DH);
            assert_failed(r);
            return;
        }
        walk_on(&p->walk);
    }
    assert_deaf(p);
}

/* Message AT is changed: by one bit, at BYTE; or cut to BYTE bytes; or a byte longer. */
enum change { FLIP, CUT, EXTEND };

static void change_message(const struct model *m, unsigned at, size_t byte, enum change change)
{
    bool encrypted;
    size_t overhead, len;
    struct pair p;
    sotto_err err;

    pair_open(&p, m);
    pair_run_to(&p, at);
    encrypted = walk_encrypted(&p.walk);
    overhead = walk_overhead(&p.walk);
    pair_write(&p, 3, &altered);
    if (change == FLIP)
        altered.bytes[byte] ^= (uint8_t)(1u << byte % 7);
    else
        altered.len = change == CUT ? byte : altered.len + 1;
    len = altered.len > overhead ? altered.len - overhead : 0;
    memset(payload.bytes, CANARY, BUFFER);
    err = hs_read(reader(&p), &altered, &payload);
    if (encrypted || altered.len < overhead) {
        assert_true(err == SOTTO_E_AUTH || (change == FLIP && err == SOTTO_E_DH));
        assert_failed(reader(&p));
        /* what may have been decrypted before the tag was looked at, is gone */
        assert_true(all_are(payload.bytes, len, 0));
        assert_true(all_are(payload.bytes + len, BUFFER - len, CANARY));
    } else {
        assert_int_equal(err, SOTTO_OK);
        walk_on(&p.walk);
        go_on_deceived(&p);
    }
    pair_close(&p);
}

static void change_every_byte(const struct model *m)
{
    for (unsigned at = 0; at < m->messages; at++) {
        struct walk w = walk_begin(m);
        size_t len;

        while (w.at < at)
            walk_on(&w);
        len = walk_overhead(&w) + 3;
        for (size_t byte = 0; byte < len; byte++) {
            change_message(m, at, byte, FLIP);
            change_message(m, at, byte, CUT);
        }
        change_message(m, at, 0, EXTEND);
    }
}

static void test_every_byte(void **state)
{
    static const struct {
        const char *pattern;
        bool fallback;
        unsigned psks;
    } cases[] = {{"XX", false, 0}, {"NK", false, 1}, {"IX", false, 0}, {"X1X1", false, 8},
                 {"X", false, 2},  {"NN", false, 4}, {"IX", true, 1}};

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m = model_of(cases[i].pattern, cases[i].fallback, cases[i].psks, fast_suite());

        change_every_byte(&m);
    }
}

/* And the first and last byte of each message of each protocol, with all curves and ciphers. */
static void change_ends(const struct model *m)
{
    struct walk w = walk_begin(m);

    for (unsigned at = 0; at < m->messages; at++, walk_on(&w)) {
        size_t len = walk_overhead(&w) + 3;

        change_message(m, at, 0, FLIP);
        change_message(m, at, len - 1, FLIP);
        change_message(m, at, 0, CUT);
        change_message(m, at, walk_overhead(&w) - 1, CUT);
        change_message(m, at, len - 1, CUT);
        change_message(m, at, 0, EXTEND);
    }
}

static void change_ends_of_plain(const struct model *m)
{
    if (m->psks == 0)
        change_ends(m);
}

static void test_ends_of_all(void **state)
{
    (void)state;
    each_protocol(true, change_ends_of_plain);
}

/* ---- On what both sides have to agree -------------------------------------------------------- */

static void other_prologue(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER)
        options->prologue = sotto_bytes_of("beforf", 6);
}

static void longer_prologue(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER)
        options->prologue = sotto_bytes_of("before\0", 7);
}

static void no_prologue(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER)
        options->prologue = sotto_no_bytes();
}

static void other_cipher(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER)
        options->protocol = "Noise_NN_25519_AESGCM_SHA256";
}

static void other_hash(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER)
        options->protocol = "Noise_NN_25519_ChaChaPoly_BLAKE2s";
}

static void test_disagreement(void **state)
{
    static pair_change *const changes[] = {other_prologue, longer_prologue, no_prologue,
                                           other_cipher, other_hash};
    struct model m = model_of("NN", false, 0, fast_suite());

    (void)state;
    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct pair p;

        pair_open_with(&p, &m, changes[i], NULL);
        pair_step(&p); /* nothing is encrypted yet */
        assert_int_equal(hs_write(writer(&p), NULL, 0, &message), SOTTO_OK);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
        assert_failed(reader(&p));
        pair_close(&p);
    }
}

/* The prologue counts with every protocol: the first message that is encrypted is the last one. */
static void disagree_on_prologue(const struct model *m)
{
    struct pair p;

    pair_open_with(&p, m, other_prologue, NULL);
    while (!walk_encrypted(&p.walk))
        pair_step(&p);
    pair_write(&p, 0, &message);
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
    assert_failed(reader(&p));
    pair_close(&p);
}

static void test_prologue_of_all(void **state)
{
    (void)state;
    each_protocol(true, disagree_on_prologue);
}

/* Each static key that a pre-message brings is another one than the peer's. */
static void other_rs(int side, sotto_handshake_options *options, void *user)
{
    const int *deceived = user;
    sotto_curve curve;

    if (side != *deceived || options->rs == NULL)
        return;
    curve = options->rs->curve;
    options->rs = public_key(curve, STRANGER);
}

static void disagree_on_rs(const struct model *m)
{
    for (int deceived = 0; deceived < 2; deceived++) {
        struct pair p;

        if (!m->pre_s[!deceived])
            continue;
        pair_open_with(&p, m, other_rs, &deceived);
        while (!walk_encrypted(&p.walk))
            pair_step(&p);
        pair_write(&p, 0, &message);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
        assert_failed(reader(&p));
        pair_close(&p);
    }
}

static void test_other_rs(void **state)
{
    (void)state;
    each_protocol(true, disagree_on_rs);
}

/* A message of one handshake is none of another one, though everything else is the same; nor is a
 * repeated one the next. */
static void cross(const struct model *m)
{
    struct pair a, b;

    if (m->messages < 2 || m->psks != 0)
        return;
    pair_open(&a, m);
    pair_open(&b, m);
    pair_step(&a);
    pair_step(&b);
    pair_write(&a, 0, &message);
    pair_write(&b, 0, &altered);
    assert_int_equal(hs_read(reader(&a), &altered, &payload), SOTTO_E_AUTH);
    assert_int_equal(hs_read(reader(&b), &message, &payload), SOTTO_E_AUTH);
    pair_close(&a);
    pair_close(&b);
}

static void test_crossed(void **state)
{
    (void)state;
    each_protocol(true, cross);
}

/* ---- Hash ------------------------------------------------------------------------------------ */

/* Empty before the split, for either kind of split, then the same on both sides, and another one in
 * each session. */
static void test_hash(void **state)
{
    struct model m = model_of("XX", false, 1, fast_suite());
    uint8_t hashes[2][32];

    (void)state;
    for (unsigned run = 0; run < 2; run++) {
        sotto_datagrams *datagrams[2];
        struct pair p;

        pair_open(&p, &m);
        for (; !walk_ended(&p.walk); pair_step(&p))
            for (int side = 0; side < 2; side++)
                assert_int_equal(sotto_handshake_hash(p.hs[side]).len, 0);
        for (int side = 0; side < 2; side++) {
            assert_int_equal(sotto_handshake_hash(p.hs[side]).len, 0);
            assert_int_equal(sotto_handshake_split_datagrams(p.hs[side], &datagrams[side], NULL),
                             SOTTO_OK);
            sotto_datagrams_free(datagrams[side]);
            assert_int_equal(sotto_handshake_hash(p.hs[side]).len, 32);
        }
        memcpy(hashes[run], sotto_handshake_hash(p.hs[0]).ptr, 32);
        assert_memory_equal(hashes[run], sotto_handshake_hash(p.hs[1]).ptr, 32);
        pair_close(&p);
    }
    assert_memory_not_equal(hashes[0], hashes[1], 32);
}

/* Ephemeral keys are never used again: not between handshakes, nor by the two sides. */
static void test_ephemeral_keys_are_fresh(void **state)
{
    enum { RUNS = 64 };
    static uint8_t seen[2 * RUNS][32];
    struct model m = model_of("NN", false, 0, fast_suite());

    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        struct pair p;

        pair_open(&p, &m);
        for (unsigned at = 0; at < 2; at++, walk_on(&p.walk)) {
            pair_write(&p, 0, &message);
            memcpy(seen[2 * run + at], message.bytes, 32);
            assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_OK);
            for (unsigned i = 0; i < 2 * run + at; i++)
                assert_memory_not_equal(seen[i], seen[2 * run + at], 32);
        }
        pair_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte),   cmocka_unit_test(test_ends_of_all),
        cmocka_unit_test(test_disagreement), cmocka_unit_test(test_prologue_of_all),
        cmocka_unit_test(test_other_rs),     cmocka_unit_test(test_crossed),
        cmocka_unit_test(test_hash),         cmocka_unit_test(test_ephemeral_keys_are_fresh),
    };

    return cmocka_run_group_tests_name("noise: failure", tests, NULL, free_world);
}
