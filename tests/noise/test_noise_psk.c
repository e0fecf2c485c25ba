/*
 * PSKs: given with the options, later, or found by the lookup; too early, too late, twice, never.
 */
#include "support.h"

static struct text message, payload, untouched;

/* ---- sotto_handshake_set_psk() --------------------------------------------------------------- */

static void refuse_psk(sotto_handshake *hs, unsigned position, const sotto_psk *psk,
                       const char *word)
{
    sotto_action before = sotto_handshake_action(hs);
    sotto_error error;

    assert_int_equal(sotto_handshake_set_psk(hs, position, psk, &error), SOTTO_E_USAGE);
    assert_says(&error, SOTTO_E_USAGE, word);
    assert_int_equal(sotto_handshake_set_psk(hs, position, psk, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_action(hs), before);
}

static void refuse_surplus_psks(const struct pair *p, sotto_handshake *hs)
{
    static const unsigned beyond[] = {5, 6, 8, 31, 32, 64, 255, 256, UINT32_MAX};

    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        if ((p->m.psks >> n & 1) == 0)
            refuse_psk(hs, n, psk_at(n), "position");
    for (unsigned i = 0; i < sizeof beyond / sizeof *beyond; i++)
        refuse_psk(hs, beyond[i], psk_at(0), "position");
}

/* What the next message needs is given, in order; each one twice, and before it NULL. */
static void give(const struct pair *p, sotto_handshake *hs)
{
    for (unsigned n = 0; n <= p->m.messages; n++) {
        sotto_psk copy;

        if ((p->m.psks >> n & 1) == 0 || psk_message(n) != p->walk.at)
            continue;
        refuse_psk(hs, n, NULL, "NULL");
        copy = *psk_at(n);
        assert_int_equal(sotto_handshake_set_psk(hs, n, &copy, NULL), SOTTO_OK);
        memset(&copy, 0, sizeof copy); /* the handshake has its own */
        refuse_psk(hs, n, psk_at(n), "before");
        refuse_psk(hs, n, NULL, "NULL");
    }
}

static unsigned first_missing(const struct pair *p)
{
    for (unsigned n = 0; n <= p->m.messages; n++)
        if ((p->m.psks >> n & 1) && psk_message(n) == p->walk.at)
            return n;
    return SOTTO_PSK_POSITIONS;
}

static void write_without(const struct pair *p)
{
    sotto_room room = sotto_room_of(message.bytes, sizeof message.bytes);
    sotto_error error;
    char word[8];

    snprintf(word, sizeof word, "psk%u", first_missing(p));
    message = untouched;
    assert_int_equal(sotto_handshake_write(writer(p), sotto_bytes_of("x", 1), &room, &error),
                     SOTTO_E_USAGE);
    assert_says(&error, SOTTO_E_USAGE, word);
    assert_int_equal(room.len, 0);
    assert_memory_equal(message.bytes, untouched.bytes, BUFFER);
    assert_int_equal(sotto_handshake_action(writer(p)), SOTTO_ACTION_WRITE);
}

static void read_without(const struct pair *p)
{
    sotto_room room = sotto_room_of(payload.bytes, sizeof payload.bytes);
    sotto_error error;
    char word[8];

    snprintf(word, sizeof word, "psk%u", first_missing(p));
    payload = untouched;
    assert_int_equal(sotto_handshake_read(reader(p), text_bytes(&message), &room, &error),
                     SOTTO_E_USAGE);
    assert_says(&error, SOTTO_E_USAGE, word);
    assert_int_equal(room.len, 0);
    assert_memory_equal(payload.bytes, untouched.bytes, BUFFER);
    assert_int_equal(sotto_handshake_action(reader(p)), SOTTO_ACTION_READ);
}

/* The last moment: in front of each message the psk is missing, then it is given, then it goes
 * on. */
static void give_late(const struct model *m)
{
    struct pair p;

    if (m->psks == 0)
        return;
    pair_open_without_psks(&p, m);
    while (!walk_ended(&p.walk)) {
        sotto_handshake *w = writer(&p), *r = reader(&p);
        bool any = first_missing(&p) < SOTTO_PSK_POSITIONS;

        refuse_surplus_psks(&p, w);
        refuse_surplus_psks(&p, r);
        if (any)
            write_without(&p);
        give(&p, w);
        pair_write(&p, 3, &message);
        if (any)
            read_without(&p);
        give(&p, r);
        assert_int_equal(hs_read(r, &message, &payload), SOTTO_OK);
        walk_on(&p.walk);
        /* what has gone by, is gone */
        for (unsigned n = 0; n <= m->messages; n++)
            if ((m->psks >> n & 1) && psk_message(n) < p.walk.at) {
                refuse_psk(w, n, psk_at(n), "by");
                refuse_psk(r, n, psk_at(n), "by");
            }
    }
    pair_finish_and_close(&p);
}

static void test_given_late(void **state)
{
    (void)state;
    memset(&untouched, CANARY, sizeof untouched);
    each_protocol(false, give_late);
}

/* All at once before the first message, the last one first. */
static void give_early(const struct model *m)
{
    struct pair p;

    if (m->psks == 0)
        return;
    pair_open_without_psks(&p, m);
    for (int side = 0; side < 2; side++)
        for (unsigned n = SOTTO_PSK_POSITIONS; n-- > 0;)
            if (m->psks >> n & 1)
                assert_int_equal(sotto_handshake_set_psk(p.hs[side], n, psk_at(n), NULL), SOTTO_OK);
    pair_finish_and_close(&p);
}

static void test_given_early(void **state)
{
    (void)state;
    each_protocol(true, give_early);
}

/* One that came with the options has been given. */
static void give_again(const struct model *m)
{
    struct pair p;

    pair_open(&p, m);
    for (int side = 0; side < 2; side++)
        for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
            refuse_psk(p.hs[side], n, psk_at(n), m->psks >> n & 1 ? "before" : "position");
    pair_run(&p);
    for (int side = 0; side < 2; side++)
        for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
            assert_int_equal(sotto_handshake_set_psk(p.hs[side], n, psk_at(n), NULL),
                             SOTTO_E_USAGE);
    pair_finish_and_close(&p);
}

static void test_given_twice(void **state)
{
    (void)state;
    each_protocol(true, give_again);
}

static void test_set_after_split(void **state)
{
    struct model m = model_of("NN", false, 7, fast_suite());
    sotto_transport *transports[2];
    struct pair p;

    (void)state;
    pair_open(&p, &m);
    pair_run(&p);
    pair_split(&p, transports);
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        refuse_psk(p.hs[n % 2], n, psk_at(n), n < 3 ? "by" : "position");
    sotto_transport_free(transports[0]);
    sotto_transport_free(transports[1]);
    pair_close(&p);
}

/* ---- The lookup ------------------------------------------------------------------------------ */

enum { ASKED_MAX = 8 };

/* What a lookup was asked; what it should answer. */
struct desk {
    unsigned asked;
    struct request {
        unsigned position;
        bool has_rs, has_re;
        int rs_proven;
        sotto_public_key rs, re;
        sotto_psk before; /* what stood in *PSK */
    } requests[ASKED_MAX];
    bool forgets, zero;
    sotto_err answer;
};

static sotto_err look(void *user, const sotto_psk_request *request, sotto_psk *psk)
{
    struct desk *desk = user;
    struct request *r = &desk->requests[desk->asked++ % ASKED_MAX];

    memset(r, 0, sizeof *r);
    r->position = request->position;
    r->has_rs = request->rs != NULL;
    r->has_re = request->re != NULL;
    r->rs_proven = request->rs_proven;
    if (request->rs != NULL)
        r->rs = *request->rs;
    if (request->re != NULL)
        r->re = *request->re;
    r->before = *psk;
    if (desk->zero)
        memset(psk, 0, sizeof *psk);
    else if (!desk->forgets)
        *psk = *psk_at(request->position);
    return desk->answer;
}

static void ask_desk(int side, sotto_handshake_options *options, void *user)
{
    struct desk *desks = user;

    memset(options->psk, 0, sizeof options->psk);
    options->psk_lookup = look;
    options->psk_user = &desks[side];
}

static void check_request(const struct pair *p, int side, const struct request *r,
                          const sotto_public_key *re)
{
    struct walk at = walk_to_psk(&p->walk, r->position);

    assert_int_equal(r->has_rs, at.has_rs[side]);
    if (r->has_rs)
        assert_true(sotto_public_key_equal(&r->rs, public_key(p->m.suite.curve, !side)));
    assert_int_equal(r->rs_proven, p->walk.proven[side]);
    assert_int_equal(r->has_re, at.has_re[side]);
    if (r->has_re)
        assert_true(sotto_public_key_equal(&r->re, re));
    assert_false(all_are(&r->before, sizeof r->before, 0));
}

/* The desk of SIDE was asked for each psk of this message, in order, once, since it stood at
 * FROM. */
static void check_asked(const struct pair *p, int side, const struct desk *desk, unsigned from,
                        const sotto_public_key *re)
{
    for (unsigned n = 0; n <= p->m.messages; n++) {
        if ((p->m.psks >> n & 1) == 0 || psk_message(n) != p->walk.at)
            continue;
        assert_true(from < desk->asked);
        assert_int_equal(desk->requests[from].position, n);
        check_request(p, side, &desk->requests[from++], re);
    }
    assert_int_equal(from, desk->asked);
}

/* Refusals ask nobody. */
static void refuse_without_asking(const struct pair *p, const struct desk *desks)
{
    unsigned asked = desks[0].asked + desks[1].asked;
    size_t len = walk_overhead(&p->walk) + 3;
    sotto_room room = sotto_room_of(message.bytes, len - 1);

    assert_int_equal(sotto_handshake_write(writer(p), sotto_bytes_of("abc", 3), &room, NULL),
                     SOTTO_E_BUFFER);
    room.cap = len;
    assert_int_equal(
        sotto_handshake_write(writer(p), sotto_bytes_of(message.bytes, 3), &room, NULL),
        SOTTO_E_USAGE);
    assert_int_equal(hs_write(writer(p), payload.bytes, 65536, &message), SOTTO_E_TOO_LARGE);
    assert_int_equal(hs_write(reader(p), "abc", 3, &message), SOTTO_E_USAGE);
    room = sotto_room_of(payload.bytes, 2);
    message.len = len;
    assert_int_equal(sotto_handshake_read(reader(p), text_bytes(&message), &room, NULL),
                     SOTTO_E_BUFFER);
    assert_int_equal(desks[0].asked + desks[1].asked, asked);
}

static void look_up(const struct model *m)
{
    struct desk desks[2];
    sotto_public_key re[2]; /* of the peer, by side */
    struct pair p;

    memset(desks, 0, sizeof desks);
    memset(re, 0, sizeof re);
    pair_open_with(&p, m, ask_desk, desks);
    re[INITIATOR] = p.re;
    while (!walk_ended(&p.walk)) {
        int w = walk_sender(&p.walk);
        unsigned before[2] = {desks[0].asked, desks[1].asked};

        refuse_without_asking(&p, desks);
        pair_write(&p, 3, &message);
        if (p.walk.at < 2 && !(m->fallback && w == RESPONDER))
            assert_int_equal(
                sotto_public_key_from_raw(m->suite.curve, message.bytes, m->dh_len, &re[!w]),
                SOTTO_OK);
        check_asked(&p, w, &desks[w], before[w], &re[w]);
        assert_int_equal(desks[!w].asked, before[!w]);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_OK);
        check_asked(&p, !w, &desks[!w], before[!w], &re[!w]);
        walk_on(&p.walk);
    }
    pair_finish_and_close(&p);
}

/* For patterns without psk, too: there it is never asked. */
static void test_lookup(void **state)
{
    (void)state;
    each_protocol(false, look_up);
}

/* Where a PSK was given, by option or later, nobody is asked; only for the others. */
static void ask_for_psk2(int side, sotto_handshake_options *options, void *user)
{
    struct desk *desks = user;

    options->psk_lookup = look;
    options->psk_user = &desks[side];
    options->psk[1] = options->psk[2] = NULL;
}

static void test_lookup_beside_given(void **state)
{
    struct model m = model_of("XX", false, 15, fast_suite());
    struct desk desks[2];
    struct pair p;

    (void)state;
    memset(desks, 0, sizeof desks);
    pair_open_with(&p, &m, ask_for_psk2, desks);
    for (int side = 0; side < 2; side++)
        assert_int_equal(sotto_handshake_set_psk(p.hs[side], 1, psk_at(1), NULL), SOTTO_OK);
    pair_run(&p);
    for (int side = 0; side < 2; side++) {
        assert_int_equal(desks[side].asked, 1);
        assert_int_equal(desks[side].requests[0].position, 2);
    }
    pair_finish_and_close(&p);
}

/* In message MESSAGE the desk of SIDE has no PSK: that side fails, with E_KEY whatever it answers,
 * and is not asked again for what comes behind in the same message. */
static void fail_lookup(unsigned at, bool writes, sotto_err answer)
{
    struct model m = model_of("XX", false, 15, fast_suite());
    struct desk desks[2];
    sotto_handshake *failing;
    sotto_error error;
    struct pair p;
    int side;

    memset(desks, 0, sizeof desks);
    pair_open_with(&p, &m, ask_desk, desks);
    pair_run_to(&p, at);
    side = writes ? walk_sender(&p.walk) : !walk_sender(&p.walk);
    failing = p.hs[side];
    if (!writes)
        pair_write(&p, 9, &message);
    desks[side].answer = answer;
    desks[side].asked = 0;
    if (writes) {
        size_t len = sotto_handshake_message_len(failing, 9);
        sotto_room room = sotto_room_of(message.bytes, sizeof message.bytes);

        message = untouched;
        assert_int_equal(
            sotto_handshake_write(failing, sotto_bytes_of("ninebytes", 9), &room, &error),
            SOTTO_E_KEY);
        assert_int_equal(room.len, 0);
        assert_true(all_are(message.bytes, len, 0));
        assert_true(all_are(message.bytes + len, BUFFER - len, CANARY));
    } else {
        sotto_room room = sotto_room_of(payload.bytes, sizeof payload.bytes);

        payload = untouched;
        assert_int_equal(sotto_handshake_read(failing, text_bytes(&message), &room, &error),
                         SOTTO_E_KEY);
        assert_int_equal(room.len, 0);
        assert_true(all_are(payload.bytes, 9, 0));
        assert_true(all_are(payload.bytes + 9, BUFFER - 9, CANARY));
    }
    assert_int_equal(error.code, SOTTO_E_KEY);
    assert_int_equal(desks[side].asked, 1);
    assert_failed(failing);
    assert_int_equal(desks[side].asked, 1);
    pair_close(&p);
}

static void test_lookup_fails(void **state)
{
    static const sotto_err answers[] = {SOTTO_E_KEY,    SOTTO_E_NOT_FOUND, SOTTO_E_AGAIN,
                                        SOTTO_E_USAGE,  SOTTO_E_BUFFER,    SOTTO_E_NOMEM,
                                        (sotto_err)999, (sotto_err)-1};

    (void)state;
    memset(&untouched, CANARY, sizeof untouched);
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++)
        for (unsigned at = 0; at < 3; at++) {
            fail_lookup(at, true, answers[i]);
            fail_lookup(at, false, answers[i]);
        }
}

/* A lookup that says OK and writes nothing: what stood there are random bytes, which nobody else
 * has.  Never zeros, or the last PSK. */
static void forget(unsigned psks, unsigned at, int side)
{
    struct model m = model_of("NN", false, psks, fast_suite());
    struct desk desks[2];
    struct pair p;

    memset(desks, 0, sizeof desks);
    desks[side].forgets = true;
    pair_open_with(&p, &m, ask_desk, desks);
    pair_run_to(&p, at);
    pair_write(&p, 0, &message);
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
    assert_failed(reader(&p));
    pair_close(&p);
}

static void test_lookup_forgets(void **state)
{
    struct desk desks[2];
    struct model m = model_of("NN", false, 7, fast_suite());
    const struct request *r = desks[0].requests;
    struct pair p;

    (void)state;
    for (int side = 0; side < 2; side++) {
        forget(1, 0, side);
        forget(2, 0, side);
        forget(4, 1, side);
        forget(7, 0, side);
    }
    memset(desks, 0, sizeof desks);
    pair_open_with(&p, &m, ask_desk, desks);
    pair_run(&p);
    assert_int_equal(desks[0].asked, 3);
    assert_memory_not_equal(&r[0].before, &r[1].before, SOTTO_PSK_LEN);
    assert_memory_not_equal(&r[1].before, &r[2].before, SOTTO_PSK_LEN);
    for (unsigned i = 1; i < 3; i++)
        assert_memory_not_equal(&r[i].before, psk_at(i - 1), SOTTO_PSK_LEN);
    pair_close(&p);
}

/* A PSK of zeros is one like any other: both sides have to have it. */
static void zero_desk(int side, sotto_handshake_options *options, void *user)
{
    static const sotto_psk zero;

    if (side == INITIATOR)
        ask_desk(side, options, user);
    else
        options->psk[0] = &zero;
}

static void test_psk_of_zeros(void **state)
{
    struct model m = model_of("NN", false, 1, fast_suite());
    struct desk desks[2];
    struct pair p;

    (void)state;
    memset(desks, 0, sizeof desks);
    desks[INITIATOR].zero = true;
    pair_open_with(&p, &m, zero_desk, desks);
    pair_finish_and_close(&p);
    desks[RESPONDER].zero = true;
    desks[INITIATOR].zero = false;
    pair_open_with(&p, &m, ask_desk, desks);
    pair_write(&p, 0, &message);
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
    pair_close(&p);
}

/* ---- Another PSK ----------------------------------------------------------------------------- */

static void other_psk(int side, sotto_handshake_options *options, void *user)
{
    static sotto_psk other;
    const unsigned *position = user;

    if (side == RESPONDER) {
        other = *psk_at(*position);
        other.bytes[SOTTO_PSK_LEN - 1] ^= 1;
        options->psk[*position] = &other;
    }
}

/* One bit of one PSK: the message with its token is the last one. */
static void differ(const struct model *m)
{
    for (unsigned n = 0; n <= m->messages; n++) {
        struct pair p;

        if ((m->psks >> n & 1) == 0)
            continue;
        pair_open_with(&p, m, other_psk, &n);
        pair_run_to(&p, psk_message(n));
        pair_write(&p, 0, &message);
        assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_AUTH);
        assert_failed(reader(&p));
        pair_close(&p);
    }
}

static void test_other_psk(void **state)
{
    (void)state;
    each_protocol(true, differ);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given_late),   cmocka_unit_test(test_given_early),
        cmocka_unit_test(test_given_twice),  cmocka_unit_test(test_set_after_split),
        cmocka_unit_test(test_lookup),       cmocka_unit_test(test_lookup_beside_given),
        cmocka_unit_test(test_lookup_fails), cmocka_unit_test(test_lookup_forgets),
        cmocka_unit_test(test_psk_of_zeros), cmocka_unit_test(test_other_psk),
    };

    return cmocka_run_group_tests_name("noise: psk", tests, NULL, free_world);
}
