/*
 * Keys that rest: of many sessions with one scratch, SI_READY_MAX keep their keys expanded, and all
 * go on as if every one did.  Sessions are looked at from the inside here.
 */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>

#include "session/internal.h"

enum { PAIRS = 2 * SI_READY_MAX + 9 };

static struct world w;

/* Many clients of one server: all server's ends share a scratch, all clients' ends the other. */
struct crowd {
    struct si_scratch scratch[2];
    struct pair *pairs;
    unsigned answers[PAIRS];
};

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(&w);
    return 0;
}

/* ---- A crowd --------------------------------------------------------------------------------- */

static void echo(struct end *end, const sotto_event *event, void *user)
{
    (void)user;
    if (event->type == SOTTO_EVENT_MESSAGE && !end->peer_close)
        assert_int_equal(end_send(end, event->data, event->len), SOTTO_OK);
}

/* The table and the sessions say the same, and no other session has an expanded key. */
static void check_side(struct crowd *c, unsigned side)
{
    const struct si_scratch *scratch = &c->scratch[side];
    size_t listed = 0, ready = 0;

    for (size_t i = 0; i < SI_READY_MAX; i++) {
        const sotto_session *s = scratch->ready[i];

        listed += s != NULL;
        assert_true(s == NULL || (s->ready && s->ready_at == i));
    }
    for (size_t i = 0; i < PAIRS; i++) {
        const sotto_session *s = c->pairs[i].end[side].session;

        if (s == NULL)
            continue;
        ready += s->ready;
        if (!s->ready)
            assert_true(s->tx.key == NULL && s->rx.key == NULL);
    }
    assert_int_equal(listed, ready);
}

static size_t ready_count(const struct crowd *c, unsigned side)
{
    size_t count = 0;

    for (size_t i = 0; i < SI_READY_MAX; i++)
        count += c->scratch[side].ready[i] != NULL;
    return count;
}

static void check_crowd(struct crowd *c)
{
    check_side(c, CLIENT);
    check_side(c, SERVER);
}

static void join_crowd(struct crowd *c, size_t i, sotto_curve curve, sotto_cipher cipher)
{
    sotto_session_client_options o = world_client_options(&w, NKPSK0, curve, cipher);
    struct pair *p = &c->pairs[i];

    pair_init(p, &o, w.plain, c->scratch);
    p->end[SERVER].hook = echo;
    (void)pair_run(p);
    assert_int_equal(p->end[SERVER].opens, 1);
    c->answers[i] = 0;
}

static void crowd_init(struct crowd *c, sotto_curve curve, sotto_cipher cipher)
{
    memset(c, 0, sizeof *c);
    c->pairs = calloc(PAIRS, sizeof *c->pairs);
    assert_non_null(c->pairs);
    for (unsigned side = 0; side < 2; side++)
        assert_int_equal(si_scratch_init(&c->scratch[side]), SOTTO_OK);
    for (size_t i = 0; i < PAIRS; i++) {
        join_crowd(c, i, curve, cipher);
        assert_int_equal(ready_count(c, SERVER), i + 1 < SI_READY_MAX ? i + 1 : SI_READY_MAX);
    }
    check_crowd(c);
}

static void crowd_free(struct crowd *c)
{
    for (size_t i = 0; i < PAIRS; i++) {
        if (c->pairs[i].end[CLIENT].session != NULL)
            pair_free(&c->pairs[i]);
        memset(&c->pairs[i], 0, sizeof c->pairs[i]);
        check_crowd(c);
    }
    for (unsigned side = 0; side < 2; side++) {
        assert_int_equal(ready_count(c, side), 0);
        si_scratch_wipe(&c->scratch[side]);
    }
    free(c->pairs);
}

/* One call of client I: its message comes back. */
static void call(struct crowd *c, size_t i)
{
    struct end *client = &c->pairs[i].end[CLIENT];
    char message[64];
    int len = snprintf(message, sizeof message, "{\"from\":%zu,\"number\":%u}", i, c->answers[i]++);

    client->log.len = 0;
    client->out.len = c->pairs[i].moved[CLIENT] = 0;
    c->pairs[i].end[SERVER].out.len = c->pairs[i].moved[SERVER] = 0;
    assert_int_equal(end_send(client, message, (size_t)len), SOTTO_OK);
    (void)pair_run(&c->pairs[i]);
    assert_int_equal(client->err, SOTTO_OK);
    assert_int_equal(client->messages, c->answers[i]);
    assert_int_equal(client->log.len, 5 + (size_t)len);
    assert_memory_equal(client->log.ptr + 5, message, (size_t)len);
    assert_true(c->pairs[i].end[SERVER].session->ready);
    assert_true(client->session->ready);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void all_answer(sotto_curve curve, sotto_cipher cipher)
{
    uint32_t random = 0x85ebca6b;
    struct crowd c;

    crowd_init(&c, curve, cipher);
    for (size_t i = 0; i < PAIRS; i++)
        call(&c, i);
    check_crowd(&c);
    /* the latest ones, and no more */
    assert_int_equal(ready_count(&c, SERVER), SI_READY_MAX);
    for (size_t i = 0; i < PAIRS; i++)
        assert_true(c.pairs[i].end[SERVER].session->ready == (i >= PAIRS - SI_READY_MAX));
    for (size_t i = PAIRS; i > 0; i--)
        call(&c, i - 1);
    check_crowd(&c);
    for (unsigned n = 0; n < 4 * PAIRS; n++)
        call(&c, next_random(&random) % PAIRS);
    check_crowd(&c);
    crowd_free(&c);
}

static void every_one_answers(void **state)
{
    (void)state;
    all_answer(SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    all_answer(SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
    all_answer(SOTTO_CURVE_448, SOTTO_CIPHER_AESGCM);
}

/* Who goes on calling keeps the very same expanded keys. */
static void keys_in_use_stay(void **state)
{
    const struct si_aead_key *rx, *tx;
    const sotto_session *s;
    struct crowd c;

    (void)state;
    crowd_init(&c, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    call(&c, 3);
    s = c.pairs[3].end[SERVER].session;
    rx = s->rx.key;
    tx = s->tx.key;
    assert_true(rx != NULL && tx != NULL);
    for (size_t n = 0; n < 3 * SI_READY_MAX; n++) {
        call(&c, 3);
        call(&c, PAIRS - 1 - n % 100); /* they have places already */
        assert_ptr_equal(s->rx.key, rx);
        assert_ptr_equal(s->tx.key, tx);
    }
    check_crowd(&c);
    crowd_free(&c);
}

/* Keys that rest are those of before, also when they were replaced in between: at record 65536 of
 * each direction (section 7). */
static void across_a_rekey(void **state)
{
    struct crowd c;

    (void)state;
    for (int i = 0; i < 2; i++) {
        crowd_init(&c, SOTTO_CURVE_25519, i == 0 ? SOTTO_CIPHER_AESGCM : SOTTO_CIPHER_CHACHAPOLY);
        for (size_t n = 0; n < PAIRS; n++) {
            sotto_session *client = c.pairs[n].end[CLIENT].session;
            sotto_session *server = c.pairs[n].end[SERVER].session;

            /* 0 to 3 more records before the change; the two directions at different times */
            client->tx.n = server->rx.n = 65536 - n % 4;
            server->tx.n = client->rx.n = 65536 - n / 4 % 4;
        }
        for (unsigned round = 0; round < 6; round++) {
            for (size_t n = 0; n < PAIRS; n++)
                call(&c, n);
            check_crowd(&c);
        }
        for (size_t n = 0; n < PAIRS; n++)
            assert_true(c.pairs[n].end[SERVER].session->rx.n > 65536 &&
                        c.pairs[n].end[SERVER].session->tx.n > 65536);
        crowd_free(&c);
    }
}

/* Sessions end in every way and new ones take their places. */
static void places_are_given_back(void **state)
{
    uint32_t random = 0xc2b2ae35;
    struct crowd c;

    (void)state;
    crowd_init(&c, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
    for (unsigned n = 0; n < 600; n++) {
        size_t i = next_random(&random) % PAIRS;
        struct pair *p = &c.pairs[i];

        call(&c, next_random(&random) % PAIRS);
        switch (n % 4) {
        case 0: /* just freed, ready or not */
            break;
        case 1: /* closed: both sides let go of their keys */
            end_close(&p->end[CLIENT]);
            (void)pair_run(p);
            assert_false(p->end[SERVER].session->ready || p->end[CLIENT].session->ready);
            break;
        case 2: /* a forgery */
            (void)end_feed(&p->end[SERVER], "\0\x14 01234567890123456789", 22);
            assert_int_equal(p->end[SERVER].err, SOTTO_E_AUTH);
            assert_false(p->end[SERVER].session->ready);
            break;
        default: /* cut off */
            pair_break(p);
            assert_false(p->end[SERVER].session->ready || p->end[CLIENT].session->ready);
        }
        pair_free(p);
        check_crowd(&c);
        join_crowd(&c, i, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
        call(&c, i);
        check_crowd(&c);
    }
    crowd_free(&c);
}

/* A close, a keep-alive and a message that is sent first wake a session, too. */
static void whatever_wakes_it(void **state)
{
    struct crowd c;

    (void)state;
    crowd_init(&c, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    for (size_t i = 0; i < 30; i++) { /* these have been quiet for longest */
        struct pair *p = &c.pairs[i];

        assert_false(p->end[SERVER].session->ready || p->end[CLIENT].session->ready);
        p->now += ms(SOTTO_KEEPALIVE_MS);
        switch (i % 3) {
        case 0:
            end_tick(&p->end[CLIENT]); /* and the server answers it */
            (void)pair_run(p);
            assert_true(p->end[SERVER].session->ready);
            break;
        case 1:
            assert_int_equal(end_send_text(&p->end[SERVER], "{\"id\":9}"), SOTTO_OK);
            (void)pair_run(p);
            assert_int_equal(p->end[CLIENT].messages, 1);
            break;
        default:
            end_close(&p->end[CLIENT]);
            (void)pair_run(p);
            assert_true(p->end[SERVER].peer_close && p->end[CLIENT].peer_close);
        }
        assert_int_equal(p->end[CLIENT].err, SOTTO_OK);
        assert_int_equal(p->end[SERVER].err, SOTTO_OK);
        check_crowd(&c);
    }
    crowd_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_one_answers), cmocka_unit_test(keys_in_use_stay),
        cmocka_unit_test(across_a_rekey),    cmocka_unit_test(places_are_given_back),
        cmocka_unit_test(whatever_wakes_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
