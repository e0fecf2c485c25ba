/*
 * Who the peer is: its static key, and whether it has shown that it holds the private key, at each
 * step of every protocol; then a stranger who knows a victim's public key and nothing more.
 */
#include "stranger.h"

static struct text message, payload;

/* ---- Honest sides ---------------------------------------------------------------------------- */

static void check_side(const struct walk *w, int side, const sotto_handshake *hs)
{
    const sotto_public_key *rs = sotto_handshake_remote_static(hs);

    assert_int_equal(rs != NULL, w->has_rs[side]);
    if (rs != NULL) {
        assert_int_equal(rs->curve, w->m->suite.curve);
        assert_true(sotto_public_key_equal(rs, public_key(w->m->suite.curve, !side)));
        /* bytes beyond the curve's length are zero */
        assert_true(all_are(rs->bytes + w->m->dh_len, SOTTO_KEY_LEN_MAX - w->m->dh_len, 0));
    }
    assert_int_equal(sotto_handshake_remote_proven(hs), w->proven[side]);
}

static void check_both(const struct pair *p)
{
    check_side(&p->walk, INITIATOR, p->hs[INITIATOR]);
    check_side(&p->walk, RESPONDER, p->hs[RESPONDER]);
}

static unsigned unproven_at_split;

static void follow(const struct model *m)
{
    sotto_transport *transports[2];
    struct pair p;

    pair_open(&p, m);
    while (!walk_ended(&p.walk)) {
        check_both(&p);
        pair_write(&p, 2, &message);
        /* a message that was written says nothing about the peer */
        check_both(&p);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_OK);
        walk_on(&p.walk);
    }
    check_both(&p);
    pair_split(&p, transports);
    check_both(&p);
    for (int side = 0; side < 2; side++) {
        unproven_at_split += p.walk.has_rs[side] && !p.walk.proven[side];
        sotto_transport_free(transports[side]);
    }
    check_both(&p);
    pair_close(&p);
}

static void test_each_step(void **state)
{
    (void)state;
    unproven_at_split = 0;
    each_protocol(false, follow);
    assert_true(unproven_at_split > 100);
}

/* What the header names, said once more without the model. */
static void test_what_the_header_names(void **state)
{
    static const struct {
        const char *pattern;
        int proven[2];
    } cases[] = {
        {"IN", {0, 0}},  {"IX", {1, 0}},  {"KN", {0, 0}},  {"KX", {1, 0}},   {"NX1", {0, 0}},
        {"K1K", {1, 1}}, {"XX", {1, 1}},  {"X1X", {1, 0}}, {"IK", {1, 1}},   {"NK", {1, 0}},
        {"X", {0, 1}},   {"KX1", {0, 1}}, {"X1N", {0, 0}}, {"X1X1", {1, 0}},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m = model_of(cases[i].pattern, false, 0, fast_suite());
        struct pair p;

        pair_open(&p, &m);
        pair_run(&p);
        for (int side = 0; side < 2; side++)
            if (sotto_handshake_remote_proven(p.hs[side]) != cases[i].proven[side])
                fail_msg("%s, side %d", cases[i].pattern, side);
        pair_close(&p);
    }
}

/* A message that breaks off behind the peer's key shows nobody that key. */
static void cut_behind_s(const struct model *m)
{
    struct pair p;

    pair_open(&p, m);
    while (!walk_ended(&p.walk)) {
        int r = !walk_sender(&p.walk);
        bool had = p.walk.has_rs[r];
        struct walk next = p.walk;

        walk_on(&next);
        pair_write(&p, 5, &message);
        if (!had && next.has_rs[r] && next.keyed) {
            message.bytes[message.len - 1] ^= 1; /* the payload's tag */
            assert_int_equal(hs_read(p.hs[r], &message, &payload), SOTTO_E_AUTH);
            assert_null(sotto_handshake_remote_static(p.hs[r]));
            assert_int_equal(sotto_handshake_remote_proven(p.hs[r]), 0);
            break;
        }
        assert_int_equal(hs_read(p.hs[r], &message, &payload), SOTTO_OK);
        walk_on(&p.walk);
    }
    pair_close(&p);
}

static void test_failed_message_shows_nobody(void **state)
{
    (void)state;
    each_protocol(true, cut_behind_s);
}

/* ---- Against a peer of our own --------------------------------------------------------------- */

/* The library plays one side, the stranger the other one. */
struct duel {
    struct pair p; /* of its handshakes only the one of `ours` is there */
    struct stranger st;
    int ours;
};

static void duel_begin(struct duel *d, const struct model *m, int ours,
                       const struct stranger_keys *keys)
{
    struct stranger_keys theirs = *keys;
    sotto_handshake_options o;

    memset(d, 0, sizeof *d);
    d->ours = ours;
    pair_prepare(&d->p, m);
    if (m->fallback && ours == RESPONDER)
        memcpy(theirs.re, d->p.re.bytes, DHLEN);
    if (m->fallback && ours == INITIATOR)
        memcpy(d->p.re.bytes, keys->e_public, DHLEN);
    stranger_begin(&d->st, m, !ours, &theirs);
    o = pair_options(&d->p, ours);
    assert_int_equal(sotto_handshake_new(&o, &d->p.hs[ours], NULL), SOTTO_OK);
}

/* One message; what the library made of it.  A message of ours that the stranger cannot read is
 * SOTTO_OK all the same. */
static sotto_err duel_step(struct duel *d, bool *read)
{
    sotto_handshake *hs = d->p.hs[d->ours];
    sotto_err err;

    if (walk_sender(&d->p.walk) == d->ours) {
        err = hs_write(hs, "ours", 4, &message);
        *read = err == SOTTO_OK && stranger_read(&d->st, &message, &payload);
        if (*read) {
            assert_int_equal(payload.len, 4);
            assert_memory_equal(payload.bytes, "ours", 4);
        }
    } else {
        stranger_write(&d->st, "theirs", 6, &message);
        err = hs_read(hs, &message, &payload);
        *read = err == SOTTO_OK;
        if (*read) {
            assert_int_equal(payload.len, 6);
            assert_memory_equal(payload.bytes, "theirs", 6);
        }
    }
    walk_on(&d->p.walk);
    return err;
}

/* The control of all that follows, and a check against a second implementation: with the right keys
 * the stranger is no stranger. */
static void agree(const struct model *m)
{
    for (int ours = 0; ours < 2; ours++) {
        struct stranger_keys keys = stranger_honest_keys(!ours);
        uint8_t sends[HASHLEN], receives[HASHLEN];
        sotto_transport *transport;
        sotto_room room = sotto_room_of(payload.bytes, BUFFER);
        sotto_bytes h;
        struct duel d;
        bool read;

        duel_begin(&d, m, ours, &keys);
        while (!walk_ended(&d.p.walk)) {
            assert_int_equal(duel_step(&d, &read), SOTTO_OK);
            assert_true(read);
            check_side(&d.p.walk, ours, d.p.hs[ours]);
        }
        assert_int_equal(sotto_handshake_split(d.p.hs[ours], &transport, NULL), SOTTO_OK);
        h = sotto_handshake_hash(d.p.hs[ours]);
        assert_int_equal(h.len, HASHLEN);
        assert_memory_equal(h.ptr, d.st.h, HASHLEN);
        stranger_split(&d.st, sends, receives);
        if (!m->one_way || ours == RESPONDER) {
            stranger_seal(sends, 0, "friend", 6, &message);
            assert_int_equal(
                sotto_transport_decrypt(transport, sotto_no_ad(), text_bytes(&message), &room),
                SOTTO_OK);
        }
        if (!m->one_way || ours == INITIATOR) {
            room = sotto_room_of(message.bytes, BUFFER);
            assert_int_equal(sotto_transport_encrypt(transport, sotto_no_ad(),
                                                     sotto_bytes_of("friend", 6), &room),
                             SOTTO_OK);
            message.len = room.len;
            assert_true(stranger_open(receives, 0, &message, &payload));
        }
        sotto_transport_free(transport);
        pair_close(&d.p);
    }
}

static void fast(const struct model *m, void (*each)(const struct model *m))
{
    char pattern[16];
    struct model same;

    snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(m->pattern, "f"), m->pattern);
    same = model_of(pattern, m->fallback, m->psks, fast_suite());
    each(&same);
}

static void agree_fast(const struct model *m)
{
    fast(m, agree);
}

static void test_second_implementation(void **state)
{
    (void)state;
    each_protocol(false, agree_fast);
}

/* ---- The attack ------------------------------------------------------------------------------ */

static unsigned claims, completed, deceived;

/* The stranger shows the public key of the side that it plays, without its private key.  Its own
 * private key stands in; what it sends is right in every other respect. */
static void impersonate(const struct model *m, int ours)
{
    struct stranger_keys keys = stranger_honest_keys(!ours);
    sotto_room room = sotto_room_of(payload.bytes, BUFFER);
    uint8_t sends[HASHLEN], receives[HASHLEN];
    sotto_err err = SOTTO_OK;
    sotto_transport *transport;
    struct duel d;
    bool read;

    fill(keys.s_private, DHLEN, 31337);
    duel_begin(&d, m, ours, &keys);
    while (err == SOTTO_OK && !walk_ended(&d.p.walk)) {
        err = duel_step(&d, &read);
        assert_int_equal(sotto_handshake_remote_proven(d.p.hs[ours]), 0);
        if (err == SOTTO_OK)
            deceived += sotto_handshake_remote_static(d.p.hs[ours]) != NULL;
    }
    claims++;
    if (err != SOTTO_OK) {
        assert_int_equal(err, SOTTO_E_AUTH);
        assert_failed(d.p.hs[ours]);
        pair_close(&d.p);
        return;
    }
    /* the keys are split, and the peer was never proven: no transport message of the stranger's is
     * taken, under any of the keys that it can compute */
    completed++;
    assert_int_equal(sotto_handshake_split(d.p.hs[ours], &transport, NULL), SOTTO_OK);
    assert_int_equal(sotto_handshake_remote_proven(d.p.hs[ours]), 0);
    stranger_split(&d.st, sends, receives);
    stranger_seal(sends, 0, "it is me", 8, &message);
    err = sotto_transport_decrypt(transport, sotto_no_ad(), text_bytes(&message), &room);
    assert_int_equal(err, m->one_way && ours == INITIATOR ? SOTTO_E_USAGE : SOTTO_E_AUTH);
    assert_int_equal(sotto_handshake_remote_proven(d.p.hs[ours]), 0);
    sotto_transport_free(transport);
    pair_close(&d.p);
}

static void impersonate_either(const struct model *m)
{
    if (m->pre_s[RESPONDER] || m->sends_s[RESPONDER])
        impersonate(m, INITIATOR);
    if (m->pre_s[INITIATOR] || m->sends_s[INITIATOR])
        impersonate(m, RESPONDER);
}

static void impersonate_fast(const struct model *m)
{
    fast(m, impersonate_either);
}

static void test_stranger_is_never_proven(void **state)
{
    (void)state;
    claims = completed = deceived = 0;
    each_protocol(true, impersonate_fast);
    /* many handshakes end well for who has only a public key, and show that key */
    assert_true(claims > 200 && completed > 50 && deceived > 50);
}

/* The same with what is at hand for anybody on the line: in IN, IX and the like the key goes in
 * clear.  Somebody else's is put in its place. */
static void replace_claim(const char *pattern)
{
    struct model m = model_of(pattern, false, 0, fast_suite());
    const sotto_public_key *victim = public_key(SOTTO_CURVE_25519, STRANGER);
    struct pair p;

    pair_open(&p, &m);
    pair_write(&p, 4, &message);
    assert_memory_equal(message.bytes + DHLEN, public_key(SOTTO_CURVE_25519, INITIATOR)->bytes,
                        DHLEN);
    memcpy(message.bytes + DHLEN, victim->bytes, DHLEN);
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_OK);
    assert_true(sotto_public_key_equal(sotto_handshake_remote_static(p.hs[RESPONDER]), victim));
    assert_int_equal(sotto_handshake_remote_proven(p.hs[RESPONDER]), 0);
    /* and who the message was taken from notices, too */
    assert_int_equal(hs_write(p.hs[RESPONDER], NULL, 0, &message), SOTTO_OK);
    assert_int_equal(sotto_handshake_remote_proven(p.hs[RESPONDER]), 0);
    assert_int_equal(hs_read(p.hs[INITIATOR], &message, &payload), SOTTO_E_AUTH);
    assert_failed(p.hs[INITIATOR]);
    pair_close(&p);
}

static void test_claim_in_clear(void **state)
{
    static const char *const patterns[] = {"IN", "IX", "I1N", "IK1", "I1K1", "I1X", "IX1", "I1X1"};

    (void)state;
    for (unsigned i = 0; i < sizeof patterns / sizeof *patterns; i++)
        replace_claim(patterns[i]);
}

/* ---- Points of low order --------------------------------------------------------------------- */

static unsigned refused_points;

/* The stranger's ephemeral key, or its static one, is the point 0: every DH with it is zero, and
 * everybody could compute it.  The library says E_DH at the first one, reading or writing. */
static void send_zero(const struct model *m, int ours, bool ephemeral)
{
    struct stranger_keys keys = stranger_honest_keys(!ours);
    sotto_handshake_options o;
    sotto_err err = SOTTO_OK;
    struct duel d;
    bool read;

    memset(ephemeral ? keys.e_public : keys.s_public, 0, DHLEN);
    duel_begin(&d, m, ours, &keys);
    if (!ephemeral && m->pre_s[!ours]) {
        sotto_public_key zero = low_order(SOTTO_CURVE_25519);

        sotto_handshake_free(d.p.hs[ours]);
        if (m->fallback && ours == RESPONDER) { /* the one before is spent */
            d.p.hs[ours] = NULL;
            pair_close(&d.p);
            return;
        }
        o = pair_options(&d.p, ours);
        o.rs = &zero;
        assert_int_equal(sotto_handshake_new(&o, &d.p.hs[ours], NULL), SOTTO_OK);
    }
    while (err == SOTTO_OK && !walk_ended(&d.p.walk)) {
        err = duel_step(&d, &read);
        assert_int_equal(sotto_handshake_remote_proven(d.p.hs[ours]), 0);
    }
    /* every pattern has a DH with each key */
    assert_int_equal(err, SOTTO_E_DH);
    refused_points++;
    assert_failed(d.p.hs[ours]);
    pair_close(&d.p);
}

static void send_zeros(const struct model *m)
{
    for (int ours = 0; ours < 2; ours++) {
        if (m->one_way && ours == INITIATOR)
            continue; /* nothing is read */
        send_zero(m, ours, true);
        if (m->pre_s[!ours] || m->sends_s[!ours])
            send_zero(m, ours, false);
    }
}

static void send_zeros_fast(const struct model *m)
{
    fast(m, send_zeros);
}

static void test_low_order(void **state)
{
    (void)state;
    refused_points = 0;
    each_protocol(true, send_zeros_fast);
    assert_true(refused_points > 400);
}

/* E_DH while writing: the message is wiped.  While reading: the payload. */
static void zero_rs(int side, sotto_handshake_options *options, void *user)
{
    if (side == INITIATOR)
        options->rs = user;
}

static void test_low_order_is_wiped(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct model nk = model_of("NK", false, 0, suite_of(i));
        struct model nn = model_of("NN", false, 0, suite_of(i));
        sotto_public_key zero = low_order(nk.suite.curve);
        sotto_error error;
        sotto_room room;
        struct pair p;
        size_t len;

        pair_open_with(&p, &nk, zero_rs, &zero);
        memset(message.bytes, CANARY, BUFFER);
        len = sotto_handshake_message_len(p.hs[INITIATOR], 6);
        room = sotto_room_of(message.bytes, BUFFER);
        assert_int_equal(
            sotto_handshake_write(p.hs[INITIATOR], sotto_bytes_of("secret", 6), &room, &error),
            SOTTO_E_DH);
        assert_int_equal(error.code, SOTTO_E_DH);
        assert_int_equal(room.len, 0);
        assert_true(all_are(message.bytes, len, 0));
        assert_true(all_are(message.bytes + len, BUFFER - len, CANARY));
        assert_failed(p.hs[INITIATOR]);
        pair_close(&p);

        pair_open(&p, &nn);
        pair_step(&p);
        pair_write(&p, 6, &message);
        memset(message.bytes, 0, nn.dh_len);
        memset(payload.bytes, CANARY, BUFFER);
        room = sotto_room_of(payload.bytes, BUFFER);
        assert_int_equal(sotto_handshake_read(p.hs[INITIATOR], text_bytes(&message), &room, &error),
                         SOTTO_E_DH);
        assert_int_equal(error.code, SOTTO_E_DH);
        assert_true(all_are(payload.bytes, 6, 0));
        assert_true(all_are(payload.bytes + 6, BUFFER - 6, CANARY));
        assert_failed(p.hs[INITIATOR]);
        pair_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step),
        cmocka_unit_test(test_what_the_header_names),
        cmocka_unit_test(test_failed_message_shows_nobody),
        cmocka_unit_test(test_second_implementation),
        cmocka_unit_test(test_stranger_is_never_proven),
        cmocka_unit_test(test_claim_in_clear),
        cmocka_unit_test(test_low_order),
        cmocka_unit_test(test_low_order_is_wiped),
    };

    return cmocka_run_group_tests_name("noise: remote", tests, NULL, free_world);
}
