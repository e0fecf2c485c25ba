/*
 * Spare buffers (session/scratch.h): which one is taken, which ones stay, and that none hands on
 * what it held.  Linked with -Wl,--wrap=free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "session/scratch.h"

enum { MIB = 1048576, SECRET = 0xc7, SOME = 4 };

void __real_free(void *ptr);
void __wrap_free(void *ptr);

/* Blocks that are watched, and how many of them were freed; a secret byte in one fails. */
static struct {
    const uint8_t *ptr;
    size_t cap;
} watched[SI_SPARES + SI_LARGE_SPARES + 8];
static size_t watched_count, freed;

void __wrap_free(void *ptr)
{
    for (size_t i = 0; ptr != NULL && i < watched_count; i++) {
        if (watched[i].ptr != ptr)
            continue;
        assert_null(memchr(ptr, SECRET, watched[i].cap));
        watched[i].ptr = NULL;
        freed++;
    }
    __real_free(ptr);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void watch_nothing(void)
{
    watched_count = freed = 0;
}

/* A buffer of exactly CAP bytes; LEN of them are secret. */
static struct si_buf buffer_of(size_t cap, size_t len)
{
    struct si_buf b = si_buf(SIZE_MAX / 2);

    assert_int_equal(si_buf_reserve(&b, cap), SOTTO_OK);
    assert_int_equal(b.cap, cap);
    memset(b.ptr, 0, cap);
    memset(b.ptr, SECRET, len);
    b.len = len;
    assert_true(watched_count < SI_COUNT(watched));
    watched[watched_count].ptr = b.ptr;
    watched[watched_count++].cap = cap;
    return b;
}

static void give_one(struct si_scratch *scratch, size_t cap)
{
    struct si_buf b = buffer_of(cap, 16);

    si_scratch_give(scratch, &b);
    assert_null(b.ptr);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    assert_int_equal(b.max, SIZE_MAX / 2); /* usable again */
}

static size_t spares(const struct si_scratch *scratch)
{
    size_t count = scratch->small + scratch->large;

    for (size_t i = 1; i < count; i++)
        assert_true(scratch->spare[i - 1].buf.cap <= scratch->spare[i].buf.cap);
    return count;
}

static bool has(const struct si_scratch *scratch, size_t cap)
{
    for (size_t i = 0; i < spares(scratch); i++)
        if (scratch->spare[i].buf.cap == cap)
            return true;
    return false;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static const size_t caps[SOME] = {300, 5000, 70000, 3 * MIB};

/* The one that a buffer of LEN bytes, no larger than MAX, has to get; 0: none. */
static size_t expected(const bool *there, size_t len, size_t max)
{
    size_t best = 0;

    for (size_t i = 0; i < SOME; i++) {
        if (!there[i] || caps[i] > max || (caps[i] > SI_SPARE_MAX && len <= SI_SPARE_MAX))
            continue;
        if (caps[i] >= len)
            return caps[i];
        best = caps[i];
    }
    return best;
}

/* Takes and gives back, for every size that could make a difference. */
static void take_each(struct si_scratch *scratch, const bool *there)
{
    static const size_t lens[] = {0,           1,       299,         300,     301,
                                  4999,        5000,    69999,       70000,   2 * MIB,
                                  2 * MIB + 1, 3 * MIB, 3 * MIB + 1, 9 * MIB, SIZE_MAX / 4};
    static const size_t limits[] = {SIZE_MAX / 2, 70000, 69999, 299, 0};

    for (size_t i = 0; i < SI_COUNT(lens); i++) {
        for (size_t j = 0; j < SI_COUNT(limits); j++) {
            struct si_buf b = si_buf(limits[j]);
            size_t cap = expected(there, lens[i], limits[j]), before = spares(scratch);

            si_scratch_take(scratch, &b, lens[i]);
            assert_int_equal(b.cap, cap);
            assert_int_equal(b.len, 0);
            assert_int_equal(b.max, limits[j]);
            assert_int_equal(spares(scratch), before - (cap != 0));
            assert_true((b.ptr != NULL) == (cap != 0));
            assert_false(cap != 0 && has(scratch, cap));
            assert_true(is_zero(b.ptr, b.cap)); /* what the last one held is wiped */
            if (cap != 0)
                memset(b.ptr, SECRET, b.len = cap < 4096 ? cap : 4096);
            si_scratch_give(scratch, &b);
            assert_int_equal(spares(scratch), before);
        }
    }
}

/* The order in which they came, ORDER of 24, does not matter; nor which of them are there. */
static void takes_the_smallest_that_fits(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 24; order++) {
        bool there[SOME] = {false};
        size_t left[SOME] = {0, 1, 2, 3};
        struct si_scratch scratch;
        unsigned code = order;

        watch_nothing();
        assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
        take_each(&scratch, there);
        for (unsigned n = SOME; n > 0; n--) {
            size_t pick = code % n, i = left[pick];

            code /= n;
            left[pick] = left[n - 1];
            give_one(&scratch, caps[i]);
            there[i] = true;
            take_each(&scratch, there);
        }
        assert_int_equal(freed, 0);
        si_scratch_wipe(&scratch);
        assert_int_equal(freed, SOME);
    }
}

/* Of equals, the last one that was given: it is the one in the processor's cache. */
static void takes_the_last_of_equals(void **state)
{
    struct si_scratch scratch;
    const uint8_t *given[3];

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    give_one(&scratch, 70000);
    for (size_t i = 0; i < SI_COUNT(given); i++) {
        struct si_buf b = buffer_of(5000, 16);

        given[i] = b.ptr;
        si_scratch_give(&scratch, &b);
    }
    for (size_t i = SI_COUNT(given); i-- > 0;) {
        struct si_buf b = si_buf(SIZE_MAX / 2);

        si_scratch_take(&scratch, &b, 400);
        assert_ptr_equal(b.ptr, given[i]);
        si_buf_free(&b);
    }
    assert_int_equal(spares(&scratch), 1);
    si_scratch_wipe(&scratch);
}

static void takes_nothing_for_who_has_some(void **state)
{
    struct si_scratch scratch;
    struct si_buf b;

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    give_one(&scratch, 5000);
    b = buffer_of(300, 7);
    si_scratch_take(&scratch, &b, 5000);
    assert_int_equal(b.cap, 300);
    assert_int_equal(b.len, 7);
    assert_int_equal(spares(&scratch), 1);
    si_buf_free(&b);
    si_scratch_wipe(&scratch);
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static void keeps_so_many(void **state)
{
    struct si_scratch scratch;
    struct si_buf empty = si_buf(77);

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    si_scratch_give(&scratch, &empty); /* no place is lost to a buffer without memory */
    assert_int_equal(spares(&scratch), 0);
    assert_int_equal(empty.max, 77);
    for (size_t i = 0; i < SI_SPARES; i++)
        give_one(&scratch, caps[i % 3]);
    for (size_t i = 0; i < SI_LARGE_SPARES; i++)
        give_one(&scratch, 3 * MIB);
    assert_int_equal(spares(&scratch), SI_SPARES + SI_LARGE_SPARES);
    assert_int_equal(freed, 0);
    give_one(&scratch, 9000); /* one too many: wiped and freed */
    assert_int_equal(freed, 1);
    assert_false(has(&scratch, 9000));
    give_one(&scratch, 4 * MIB);
    assert_int_equal(freed, 2);
    assert_false(has(&scratch, 4 * MIB));
    assert_int_equal(spares(&scratch), SI_SPARES + SI_LARGE_SPARES);
    si_scratch_wipe(&scratch);
    assert_int_equal(freed, SI_SPARES + SI_LARGE_SPARES + 2);
    assert_int_equal(spares(&scratch), 0);
}

/* And not more bytes than SI_SPARE_BYTES, apart from the large ones; what was taken counts no
 * more. */
static void keeps_so_many_bytes(void **state)
{
    enum { FULL = SI_SPARE_BYTES / SI_SPARE_MAX };
    struct si_buf b = si_buf(SIZE_MAX / 2);
    struct si_scratch scratch;

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    for (size_t i = 0; i < FULL; i++)
        give_one(&scratch, SI_SPARE_MAX);
    assert_int_equal(freed, 0);
    give_one(&scratch, 300);
    assert_int_equal(freed, 1);
    give_one(&scratch, 3 * MIB);
    assert_int_equal(freed, 1);
    si_scratch_take(&scratch, &b, 1);
    assert_int_equal(b.cap, SI_SPARE_MAX);
    give_one(&scratch, 300);
    assert_int_equal(freed, 1);
    si_scratch_give(&scratch, &b); /* there is no room for it any more */
    assert_int_equal(freed, 2);
    assert_int_equal(spares(&scratch), FULL + 1);
    si_scratch_wipe(&scratch);
}

static void wipes_what_is_given(void **state)
{
    static const size_t lens[] = {0, 1, 16, 4999, 5000};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(lens); i++) {
        struct si_scratch scratch;
        struct si_buf b;
        const uint8_t *ptr;

        watch_nothing();
        assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
        b = buffer_of(5000, lens[i]);
        ptr = b.ptr;
        si_scratch_give(&scratch, &b);
        assert_ptr_equal(scratch.spare[0].buf.ptr, ptr);
        assert_int_equal(scratch.spare[0].buf.len, 0);
        assert_true(is_zero(ptr, 5000));
        si_scratch_wipe(&scratch);
    }
}

static void without_scratch(void **state)
{
    struct si_buf b = si_buf(SIZE_MAX / 2);

    (void)state;
    watch_nothing();
    si_scratch_take(NULL, &b, 100);
    assert_null(b.ptr);
    assert_int_equal(b.cap, 0);
    si_scratch_give(NULL, &b);
    assert_null(b.ptr);
    b = buffer_of(5000, 5000);
    si_scratch_take(NULL, &b, 9000);
    assert_int_equal(b.cap, 5000);
    si_scratch_give(NULL, &b);
    assert_int_equal(freed, 1); /* and wiped before: __wrap_free() looks */
    assert_null(b.ptr);
    assert_int_equal(b.max, SIZE_MAX / 2);
}

/* ---- Trimming -------------------------------------------------------------------------------- */

/* Somebody needs LEN bytes for a moment. */
static void use(struct si_scratch *scratch, size_t len)
{
    struct si_buf b = si_buf(SIZE_MAX / 2);

    si_scratch_take(scratch, &b, len);
    assert_true(b.cap >= len);
    si_scratch_give(scratch, &b);
}

static void large_ones_stay_while_used(void **state)
{
    struct si_scratch scratch;

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    assert_false(scratch.large);
    give_one(&scratch, 70000);
    give_one(&scratch, SI_SPARE_MAX); /* the largest that is not large */
    assert_false(scratch.large);
    give_one(&scratch, SI_SPARE_MAX + 1);
    assert_true(scratch.large);
    give_one(&scratch, 9 * MIB);

    si_scratch_trim(&scratch, false); /* they were used: one round */
    assert_int_equal(spares(&scratch), SOME);
    assert_true(scratch.large);
    use(&scratch, 8 * MIB);
    assert_true(scratch.large);
    si_scratch_trim(&scratch, false);
    assert_false(has(&scratch, SI_SPARE_MAX + 1)); /* nobody needed that one */
    assert_true(has(&scratch, 9 * MIB));
    assert_int_equal(freed, 1);
    assert_true(scratch.large);

    si_scratch_trim(&scratch, false);
    assert_false(has(&scratch, 9 * MIB));
    assert_int_equal(freed, 2);
    assert_false(scratch.large); /* nobody needs to come again */
    for (unsigned i = 0; i < 3; i++)
        si_scratch_trim(&scratch, false);
    assert_true(has(&scratch, 70000) && has(&scratch, SI_SPARE_MAX));
    assert_int_equal(freed, 2);
    si_scratch_wipe(&scratch);
    assert_int_equal(freed, 4);
}

/* A large one that is in use when the trim comes is not its business, and is a new one when it
 * comes back. */
static void lent_out_while_trimmed(void **state)
{
    struct si_scratch scratch;
    struct si_buf b = si_buf(SIZE_MAX / 2);

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    give_one(&scratch, 3 * MIB);
    si_scratch_trim(&scratch, false);
    si_scratch_take(&scratch, &b, 3 * MIB);
    si_scratch_trim(&scratch, false);
    assert_false(scratch.large);
    si_scratch_give(&scratch, &b);
    assert_true(scratch.large);
    si_scratch_trim(&scratch, false);
    assert_true(has(&scratch, 3 * MIB));
    si_scratch_trim(&scratch, false);
    assert_int_equal(spares(&scratch), 0);
    assert_false(scratch.large);
    si_scratch_wipe(&scratch);
    assert_int_equal(freed, 1);
}

static void trim_of_all(void **state)
{
    struct si_scratch scratch;

    (void)state;
    watch_nothing();
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    give_one(&scratch, 70000);
    give_one(&scratch, 3 * MIB);
    give_one(&scratch, SI_SPARE_MAX);
    give_one(&scratch, 9 * MIB);
    si_scratch_trim(&scratch, true); /* used or not */
    assert_int_equal(freed, 2);
    assert_false(scratch.large);
    assert_true(has(&scratch, 70000) && has(&scratch, SI_SPARE_MAX));
    si_scratch_wipe(&scratch);
    assert_int_equal(freed, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_smallest_that_fits),
        cmocka_unit_test(takes_the_last_of_equals),
        cmocka_unit_test(takes_nothing_for_who_has_some),
        cmocka_unit_test(keeps_so_many),
        cmocka_unit_test(keeps_so_many_bytes),
        cmocka_unit_test(wipes_what_is_given),
        cmocka_unit_test(without_scratch),
        cmocka_unit_test(large_ones_stay_while_used),
        cmocka_unit_test(lent_out_while_trimmed),
        cmocka_unit_test(trim_of_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
