/*
 * Deadlines: the heap of base/due.h against a plain array, under random changes and in the orders
 * that make such heaps slow or deep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/due.h"

enum { NODES = 300, CHANGES = 200000 };

/* The heap, and what has to be in it. */
struct board {
    struct si_due *first;
    struct si_due nodes[NODES];
    bool in[NODES];
    size_t count;
};

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void put(struct board *b, size_t i, int64_t at)
{
    assert_false(b->in[i]);
    memset(&b->nodes[i], 0xa5, sizeof b->nodes[i]); /* only `at` has to be set */
    b->nodes[i].at = at;
    si_due_add(&b->first, &b->nodes[i]);
    b->in[i] = true;
    b->count++;
}

static void take(struct board *b, size_t i)
{
    assert_true(b->in[i]);
    si_due_remove(&b->first, &b->nodes[i]);
    /* it belongs to its owner again */
    memset(&b->nodes[i], 0x5a, sizeof b->nodes[i]);
    b->in[i] = false;
    b->count--;
}

static size_t index_of(const struct board *b, const struct si_due *node)
{
    assert_true(node >= b->nodes && node < b->nodes + NODES);
    return (size_t)(node - b->nodes);
}

/* The first one is one of those that are there, and nobody's deadline comes before. */
static void check_first(const struct board *b)
{
    if (b->count == 0) {
        assert_null(b->first);
        return;
    }
    assert_non_null(b->first);
    assert_true(b->in[index_of(b, b->first)]);
    for (size_t i = 0; i < NODES; i++)
        assert_true(!b->in[i] || b->first->at <= b->nodes[i].at);
}

/* All of them can be reached, once, and each is later than what it hangs on. */
static void check_all(const struct board *b)
{
    static const struct si_due *open[NODES];
    bool seen[NODES] = {false};
    size_t depth = 0, count = 0;

    if (b->first != NULL) {
        assert_null(b->first->next);
        open[depth++] = b->first;
    }
    while (depth > 0) {
        const struct si_due *node = open[--depth], *before = node;

        assert_true(b->in[index_of(b, node)]);
        assert_false(seen[index_of(b, node)]);
        seen[index_of(b, node)] = true;
        count++;
        for (const struct si_due *child = node->child; child != NULL; child = child->next) {
            assert_ptr_equal(child->prev, before);
            assert_true(child->at >= node->at);
            assert_true(depth < NODES);
            open[depth++] = child;
            before = child;
        }
    }
    assert_int_equal(count, b->count);
}

static void drain(struct board *b)
{
    int64_t last = INT64_MIN;

    while (b->count > 0) {
        check_first(b);
        assert_true(b->first->at >= last);
        last = b->first->at;
        take(b, index_of(b, b->first));
    }
    assert_null(b->first);
}

/* Few different times, so that many are equal; sometimes the ends of the scale. */
static int64_t some_time(void)
{
    switch (next_random() % 16) {
    case 0:
        return INT64_MAX;
    case 1:
        return INT64_MIN;
    case 2:
        return 0;
    default:
        return (int64_t)(next_random() % 1000) - 100;
    }
}

static void random_changes(void **state)
{
    static struct board b;

    (void)state;
    random_state = 0x2545f491;
    for (unsigned n = 0; n < CHANGES; n++) {
        size_t i = next_random() % NODES;
        /* tides: it fills up, and it empties */
        bool ebb = n / 20000 % 2 != 0;

        if (!b.in[i] && (!ebb || next_random() % 4 == 0)) {
            put(&b, i, some_time());
        } else if (b.in[i] && next_random() % 2 != 0) {
            take(&b, i); /* a move, as the worker does it */
            put(&b, i, some_time());
        } else if (b.count > 0 && (ebb || next_random() % 4 == 0)) {
            take(&b, next_random() % 2 != 0 || !b.in[i] ? index_of(&b, b.first) : i);
        }
        if (n % 16 == 0)
            check_first(&b);
        if (n % 512 == 0)
            check_all(&b);
    }
    check_all(&b);
    drain(&b);
}

/* Adding in order makes one node with all the others below it, or one long line. */
static void orders(void **state)
{
    static struct board b;

    (void)state;
    for (unsigned order = 0; order < 3; order++) {
        for (unsigned removal = 0; removal < 3; removal++) {
            for (size_t i = 0; i < NODES; i++)
                put(&b, i, order == 0 ? (int64_t)i : order == 1 ? -(int64_t)i : 7);
            check_first(&b);
            check_all(&b);
            /* from the middle outwards, every third one, or none before all go in order */
            for (size_t i = 0; i < NODES && removal == 0; i++) {
                take(&b, i % 2 == 0 ? NODES / 2 + i / 2 : NODES / 2 - 1 - i / 2);
                check_first(&b);
                check_all(&b);
            }
            for (size_t i = 0; i < NODES && removal == 1; i += 3) {
                take(&b, i);
                check_first(&b);
                check_all(&b);
            }
            drain(&b);
        }
    }
}

/* Everybody's deadline moves to later again and again, the first one's each time: nobody is
 * forgotten. */
static void everybody_has_a_turn(void **state)
{
    static struct board b;
    unsigned turns[NODES] = {0};

    (void)state;
    for (size_t i = 0; i < NODES; i++)
        put(&b, i, (int64_t)i);
    for (unsigned n = 0; n < 10 * NODES; n++) {
        size_t i = index_of(&b, b.first);
        int64_t at = b.nodes[i].at;

        assert_int_equal(at, n);
        turns[i]++;
        take(&b, i);
        put(&b, i, at + NODES);
    }
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(turns[i], 10);
    drain(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes),
        cmocka_unit_test(orders),
        cmocka_unit_test(everybody_has_a_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
