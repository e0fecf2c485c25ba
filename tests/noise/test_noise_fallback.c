/*
 * Fallback (Noise 10.2 to 10.5): the ephemeral key out of a handshake before, with every way in
 * which that one may have ended, and every handshake out of which none can be taken.
 */
#include "support.h"

static struct text message, payload;

/* The handshake before, as Alice begins it (side INITIATOR) and Bob tries to read it. */
static struct model ik(struct suite suite)
{
    return model_of("IK", false, 0, suite);
}

static void wrong_rs(int side, sotto_handshake_options *options, void *user)
{
    if (side == *(const int *)user)
        options->rs = public_key(options->rs->curve, STRANGER);
}

/* What has to be refused for `o`, with all that it was. */
static void refuse(const sotto_handshake_options *o, const char *word)
{
    sotto_action before = sotto_handshake_action(o->fallback_from);
    size_t len = sotto_handshake_message_len(o->fallback_from, 3);
    bool has_rs = sotto_handshake_remote_static(o->fallback_from) != NULL;
    sotto_handshake *hs = o->fallback_from;
    sotto_error error;

    assert_int_equal(sotto_handshake_new(o, &hs, &error), SOTTO_E_USAGE);
    assert_null(hs);
    assert_says(&error, SOTTO_E_USAGE, word);
    assert_int_equal(sotto_handshake_new(o, &hs, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_action(o->fallback_from), before);
    assert_int_equal(sotto_handshake_message_len(o->fallback_from, 3), len);
    assert_int_equal(sotto_handshake_remote_static(o->fallback_from) != NULL, has_rs);
}

/* Everything that FROM can be asked for, by either role and with another curve. */
static void refuse_both_roles(const struct model *m, sotto_handshake *from)
{
    struct pair p;

    memset(&p, 0, sizeof p);
    p.m = *m;
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = pair_options(&p, side);

        o.fallback_from = from;
        o.fallback_re = NULL;
        refuse(&o, "fallback");
    }
}

/* ---- What should work ------------------------------------------------------------------------ */

enum ending {
    READ,         /* Bob has read the first message */
    UNREADABLE,   /* he could not: it was made for another key of his */
    BAD_ANSWER,   /* Alice, too, has failed, with what he answered (Noise 10.5) */
    FROM_MESSAGE, /* he has no handshake at all, and takes the key out of the message */
    ENDINGS
};

/* The handshake before, of which the two of FROM are the sides. */
static void end_first(struct pair *from, const struct model *first, enum ending ending)
{
    int deceived = INITIATOR;
    bool unreadable = ending != READ;

    pair_open_with(from, first, unreadable ? wrong_rs : NULL, &deceived);
    pair_write(from, 5, &message);
    assert_int_equal(
        sotto_public_key_from_raw(first->suite.curve, message.bytes, first->dh_len, &from->re),
        SOTTO_OK);
    if (ending != FROM_MESSAGE)
        assert_int_equal(hs_read(from->hs[RESPONDER], &message, &payload),
                         unreadable ? SOTTO_E_AUTH : SOTTO_OK);
    if (ending == BAD_ANSWER) {
        struct text *bad = &message;

        fill(bad->bytes, 100, 8);
        bad->len = 100;
        assert_int_equal(hs_read(from->hs[INITIATOR], bad, &payload), SOTTO_E_AUTH);
        assert_failed(from->hs[INITIATOR]);
    }
}

/* From FROM to the handshakes of M.  Bob is the initiator now. */
static void fall_back(struct pair *p, const struct model *m, struct pair *from, enum ending ending)
{
    memset(p, 0, sizeof *p);
    p->m = *m;
    p->walk = walk_begin(&p->m);
    p->re = from->re;
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = pair_options(p, side);

        o.fallback_from = from->hs[!side];
        o.fallback_re = NULL;
        if (side == INITIATOR && ending == FROM_MESSAGE) {
            o.fallback_from = NULL;
            o.fallback_re = &from->re;
        }
        assert_int_equal(sotto_handshake_new(&o, &p->hs[side], NULL), SOTTO_OK);
        if (o.fallback_from != NULL)
            assert_failed(o.fallback_from);
    }
}

static void play(const struct model *m)
{
    static unsigned count;
    enum ending ending = (enum ending)(count++ % ENDINGS);
    struct suite other = suite_of(count * 5);
    struct pair from, p;
    struct model first;

    /* cipher and hash need not be the same */
    if (!m->fallback)
        return;
    other.curve = m->suite.curve;
    first = ik(other);
    end_first(&from, &first, ending);
    fall_back(&p, m, &from, ending);
    /* what it came from may go at any time */
    if (count % 2 == 0)
        pair_close(&from);
    pair_finish_and_close(&p);
    if (count % 2 != 0)
        pair_close(&from);
}

/* All 20, with all psks; the endings by turns. */
static void test_all(void **state)
{
    (void)state;
    each_protocol(false, play);
}

/* And each ending with each of the 20. */
static void test_each_ending(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FALLBACKS; i++)
        for (int ending = 0; ending < ENDINGS; ending++) {
            struct model m = model_of(fallback_at(i), true, i % 2, fast_suite());
            struct model first = ik(fast_suite());
            struct pair from, p;

            end_first(&from, &first, (enum ending)ending);
            fall_back(&p, &m, &from, (enum ending)ending);
            pair_close(&from);
            pair_finish_and_close(&p);
        }
}

/* Bob may have been told too much in the handshake before: all of its messages' kinds.  Every
 * pattern whose first message is there can be left that way, one-way patterns too. */
static void leave(const struct model *first)
{
    struct model m = model_of("XX", true, 0, first->suite);
    struct pair from, p;

    if (first->fallback)
        return;
    pair_open(&from, first);
    pair_write(&from, 4, &message);
    assert_int_equal(
        sotto_public_key_from_raw(first->suite.curve, message.bytes, first->dh_len, &from.re),
        SOTTO_OK);
    assert_int_equal(hs_read(from.hs[RESPONDER], &message, &payload), SOTTO_OK);
    fall_back(&p, &m, &from, READ);
    pair_close(&from);
    pair_finish_and_close(&p);
}

static void test_left_patterns(void **state)
{
    (void)state;
    each_protocol(true, leave);
}

/* Alice's key is really the one that went before: with another one they do not meet. */
static void test_other_ephemeral_key(void **state)
{
    struct model m = model_of("XX", true, 0, fast_suite()), first = ik(fast_suite());

    (void)state;
    for (int deceived = 0; deceived < 2; deceived++) {
        struct pair from, other, p;

        end_first(&from, &first, READ);
        end_first(&other, &first, READ);
        if (deceived == INITIATOR) {
            sotto_handshake *swap = from.hs[INITIATOR];

            from.hs[INITIATOR] = other.hs[INITIATOR];
            other.hs[INITIATOR] = swap;
        } else {
            from.re = other.re;
        }
        fall_back(&p, &m, &from, deceived == INITIATOR ? READ : FROM_MESSAGE);
        pair_write(&p, 0, &message);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
        pair_close(&from);
        pair_close(&other);
        pair_close(&p);
    }
}

/* The initiator of IXfallback has had rs in the first message: a claim until it is proven. */
static void test_rs_stays_a_claim(void **state)
{
    struct model m = model_of("IX", true, 0, fast_suite());
    struct pair p;

    (void)state;
    pair_open(&p, &m);
    assert_non_null(sotto_handshake_remote_static(p.hs[INITIATOR]));
    assert_int_equal(sotto_handshake_remote_proven(p.hs[INITIATOR]), 0);
    pair_finish_and_close(&p);
}

/* A point of low order as fallback_re is taken, and ends in E_DH. */
static void test_low_order_re(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FALLBACKS; i++) {
        struct model m = model_of(fallback_at(i), true, 0, suite_of(i));
        sotto_public_key zero = low_order(m.suite.curve);
        sotto_handshake_options o;
        struct pair p;

        pair_prepare(&p, &m);
        o = pair_options(&p, INITIATOR);
        o.fallback_re = &zero;
        assert_int_equal(sotto_handshake_new(&o, &p.hs[INITIATOR], NULL), SOTTO_OK);
        assert_int_equal(hs_write(p.hs[INITIATOR], NULL, 0, &message), SOTTO_E_DH);
        assert_failed(p.hs[INITIATOR]);
        pair_close(&p);
    }
}

/* ---- What cannot work ------------------------------------------------------------------------ */

/* Of two curves. */
static void test_other_curve(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct suite other = suite_of(i);
        struct model first = ik(suite_of(i)), m;
        struct pair from, p;

        other.curve = other_curve(other.curve);
        m = model_of("XX", true, 0, other);
        end_first(&from, &first, READ);
        memset(&p, 0, sizeof p);
        p.m = m;
        for (int side = 0; side < 2; side++) {
            sotto_handshake_options o = pair_options(&p, side);

            o.fallback_from = from.hs[!side];
            o.fallback_re = NULL;
            refuse(&o, "curve");
        }
        /* they are as they were, and can still be left for a handshake on their own curve */
        m = model_of("XX", true, 0, suite_of(i));
        fall_back(&p, &m, &from, READ);
        pair_close(&from);
        pair_finish_and_close(&p);
    }
}

/* The roles have to change. */
static void test_same_role(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("XX", true, 0, fast_suite());
    struct pair from, p;

    (void)state;
    end_first(&from, &first, READ);
    memset(&p, 0, sizeof p);
    p.m = m;
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = pair_options(&p, side);

        o.fallback_from = from.hs[side];
        o.fallback_re = NULL;
        refuse(&o, "roles");
    }
    /* and they can still go on as they had begun */
    walk_on(&from.walk);
    pair_finish_and_close(&from);
}

/* In every state of an XX, but the two from which it can begin. */
static void test_too_early_or_too_late(void **state)
{
    struct model first = model_of("X1X1", false, 0, fast_suite());
    struct model m = model_of("XX", true, 0, fast_suite());
    sotto_transport *transports[2];
    struct pair from;

    (void)state;
    pair_open(&from, &first);
    refuse_both_roles(&m, from.hs[INITIATOR]);
    refuse_both_roles(&m, from.hs[RESPONDER]);
    pair_step(&from);
    while (!walk_ended(&from.walk)) {
        pair_write(&from, 0, &message);
        if (walk_sender(&from.walk) == RESPONDER)
            refuse_both_roles(&m, from.hs[RESPONDER]);
        assert_int_equal(hs_read(reader(&from), &message, &payload), SOTTO_OK);
        walk_on(&from.walk);
        refuse_both_roles(&m, from.hs[INITIATOR]);
        refuse_both_roles(&m, from.hs[RESPONDER]);
    }
    pair_split(&from, transports);
    for (int side = 0; side < 2; side++) {
        refuse_both_roles(&m, from.hs[side]);
        sotto_transport_free(transports[side]);
    }
    pair_close(&from);
}

/* The single message of a one-way pattern is a first one, until the split ends the handshake. */
static void test_one_way_after_split(void **state)
{
    struct model first = model_of("X", false, 0, fast_suite());
    struct model m = model_of("XX", true, 0, fast_suite());
    sotto_transport *transports[2];
    struct pair from;

    (void)state;
    pair_open(&from, &first);
    pair_run(&from);
    pair_split(&from, transports);
    for (int side = 0; side < 2; side++) {
        refuse_both_roles(&m, from.hs[side]);
        sotto_transport_free(transports[side]);
    }
    pair_close(&from);
}

/* Failed later than with the first answer: the ephemeral key has been used with somebody. */
static void fail_late(unsigned at)
{
    struct model first = model_of("X1X1", false, 0, fast_suite());
    struct model m = model_of("XX", true, 0, fast_suite());
    struct pair from;
    int failing;

    pair_open(&from, &first);
    pair_run_to(&from, at);
    failing = !walk_sender(&from.walk);
    pair_write(&from, 0, &message);
    message.bytes[message.len - 1] ^= 1;
    assert_int_equal(hs_read(from.hs[failing], &message, &payload), SOTTO_E_AUTH);
    refuse_both_roles(&m, from.hs[failing]);
    pair_close(&from);
}

static void test_failed_too_late(void **state)
{
    (void)state;
    fail_late(2);
    fail_late(3);
}

/* A first message that never was: writing it failed, so nobody has the key. */
static void zero_rs(int side, sotto_handshake_options *options, void *user)
{
    if (side == INITIATOR)
        options->rs = user;
}

static void test_first_message_failed(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("XX", true, 0, fast_suite());
    sotto_public_key zero = low_order(SOTTO_CURVE_25519);
    struct pair from;

    (void)state;
    pair_open_with(&from, &first, zero_rs, &zero);
    assert_int_equal(hs_write(from.hs[INITIATOR], NULL, 0, &message), SOTTO_E_DH);
    refuse_both_roles(&m, from.hs[INITIATOR]);
    pair_close(&from);
}

/* A first message in which there was no whole key. */
static void test_no_key_in_first_message(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("XX", true, 0, fast_suite());

    (void)state;
    for (size_t len = 0; len < 32; len += 31) {
        struct pair from;

        pair_open(&from, &first);
        pair_write(&from, 0, &message);
        message.len = len;
        assert_int_equal(hs_read(from.hs[RESPONDER], &message, &payload), SOTTO_E_AUTH);
        refuse_both_roles(&m, from.hs[RESPONDER]);
        pair_close(&from);
    }
}

/* Writing the answer failed: the first message was read, and nothing has been written. */
static sotto_err no_psk(void *user, const sotto_psk_request *request, sotto_psk *psk)
{
    (void)user;
    (void)request;
    (void)psk;
    return SOTTO_E_NOT_FOUND;
}

static void lookup_of_responder(int side, sotto_handshake_options *options, void *user)
{
    (void)user;
    if (side == RESPONDER) {
        options->psk[2] = NULL;
        options->psk_lookup = no_psk;
    }
}

static void test_answer_failed(void **state)
{
    struct model first = model_of("NN", false, 4, fast_suite());
    struct model m = model_of("XX", true, 0, fast_suite());
    struct pair from, p;

    (void)state;
    pair_open_with(&from, &first, lookup_of_responder, NULL);
    pair_write(&from, 0, &message);
    assert_int_equal(sotto_public_key_from_raw(SOTTO_CURVE_25519, message.bytes, 32, &from.re),
                     SOTTO_OK);
    assert_int_equal(hs_read(from.hs[RESPONDER], &message, &payload), SOTTO_OK);
    assert_int_equal(hs_write(from.hs[RESPONDER], NULL, 0, &message), SOTTO_E_KEY);
    fall_back(&p, &m, &from, READ);
    pair_close(&from);
    pair_finish_and_close(&p);
}

/* Once only. */
static void test_twice(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("XX", true, 0, fast_suite());

    (void)state;
    for (int ending = READ; ending <= BAD_ANSWER; ending++) {
        struct pair from, p;

        end_first(&from, &first, (enum ending)ending);
        fall_back(&p, &m, &from, (enum ending)ending);
        refuse_both_roles(&m, from.hs[INITIATOR]);
        refuse_both_roles(&m, from.hs[RESPONDER]);
        assert_failed(from.hs[INITIATOR]);
        assert_failed(from.hs[RESPONDER]);
        pair_finish_and_close(&p);
        refuse_both_roles(&m, from.hs[INITIATOR]);
        pair_close(&from);
    }
}

/* A refusal for another reason spends nothing. */
static void test_refusal_spends_nothing(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("XX", true, 0, fast_suite());

    (void)state;
    for (int ending = READ; ending <= BAD_ANSWER; ending++) {
        struct pair from, p;

        end_first(&from, &first, (enum ending)ending);
        memset(&p, 0, sizeof p);
        p.m = m;
        for (int side = 0; side < 2; side++) {
            sotto_handshake_options o = pair_options(&p, side);

            o.fallback_from = from.hs[!side];
            o.fallback_re = NULL;
            o.s = NULL;
            refuse(&o, "s");
            o.s = pair_key(SOTTO_CURVE_25519, side);
            o.psk[4] = psk_at(4);
            refuse(&o, "PSK");
            o.psk[4] = NULL;
            o.prologue = sotto_bytes_of(NULL, 1);
            refuse(&o, "prologue");
        }
        fall_back(&p, &m, &from, (enum ending)ending);
        pair_close(&from);
        pair_finish_and_close(&p);
    }
}

/* A fallback may be left for another one, from its own first message on.  That its ephemeral key of
 * before is there from the beginning, does not count as a message. */
static void test_out_of_a_fallback(void **state)
{
    struct model m = model_of("XX", true, 0, fast_suite()),
                 again = model_of("NN", true, 1, m.suite);
    struct pair from, p;

    (void)state;
    pair_open(&from, &m);
    refuse_both_roles(&again, from.hs[INITIATOR]);
    refuse_both_roles(&again, from.hs[RESPONDER]);
    pair_write(&from, 0, &message);
    assert_int_equal(sotto_public_key_from_raw(m.suite.curve, message.bytes, m.dh_len, &from.re),
                     SOTTO_OK);
    refuse_both_roles(&again, from.hs[RESPONDER]);
    fall_back(&p, &again, &from, FROM_MESSAGE);
    pair_close(&from);
    pair_finish_and_close(&p);

    /* and out of the handshake that has read that message, but not answered */
    end_first(&from, &m, READ);
    fall_back(&p, &again, &from, READ);
    pair_close(&from);
    pair_finish_and_close(&p);
}

/* Without the modifier. */
static void test_no_fallback(void **state)
{
    struct model first = ik(fast_suite()), m = model_of("NN", false, 0, fast_suite());
    struct pair from;

    (void)state;
    end_first(&from, &first, READ);
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;

        o.protocol = m.name;
        o.role = role_of(side);
        o.fallback_from = from.hs[!side];
        refuse(&o, "fallback");
    }
    walk_on(&from.walk);
    pair_finish_and_close(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_each_ending),
        cmocka_unit_test(test_left_patterns),
        cmocka_unit_test(test_other_ephemeral_key),
        cmocka_unit_test(test_rs_stays_a_claim),
        cmocka_unit_test(test_low_order_re),
        cmocka_unit_test(test_other_curve),
        cmocka_unit_test(test_same_role),
        cmocka_unit_test(test_too_early_or_too_late),
        cmocka_unit_test(test_one_way_after_split),
        cmocka_unit_test(test_failed_too_late),
        cmocka_unit_test(test_first_message_failed),
        cmocka_unit_test(test_no_key_in_first_message),
        cmocka_unit_test(test_answer_failed),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_refusal_spends_nothing),
        cmocka_unit_test(test_out_of_a_fallback),
        cmocka_unit_test(test_no_fallback),
    };

    return cmocka_run_group_tests_name("noise: fallback", tests, NULL, free_world);
}
