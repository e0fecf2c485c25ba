/*
 * The histogram of `sotto bench` (tools/histogram.h): what is read back against sorted samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "histogram.h"

enum { SAMPLES = 20000 };

static const int64_t LIMIT = INT64_C(1) << 48; /* above it nothing is promised but the maximum */

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- Quantiles ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static bool is_near(uint64_t value, int64_t sample)
{
    uint64_t s = (uint64_t)sample, off = value > s ? value - s : s - value;

    return off * 1000 <= s * 16; /* 1.6 % */
}

/* Sorts the COUNT samples, and compares. */
static void check_quantiles(int64_t *samples, size_t count)
{
    static const unsigned permilles[] = {0, 1, 10, 250, 500, 501, 750, 900, 990, 999, 1000};
    static struct histogram h;
    uint64_t sum = 0;

    memset(&h, 0, sizeof h);
    for (size_t i = 0; i < count; i++) {
        histogram_add(&h, samples[i]);
        sum += (uint64_t)samples[i];
    }
    qsort(samples, count, sizeof samples[0], compare);
    assert_true(h.count == count && h.sum == sum);
    assert_true(h.max == (uint64_t)samples[count - 1]);
    assert_true(histogram_mean(&h) == sum / count);
    for (size_t i = 0; i < sizeof permilles / sizeof permilles[0]; i++) {
        uint64_t value = histogram_quantile(&h, permilles[i]);
        /* the last of those that do not exceed it, or the first behind them */
        size_t above = count * permilles[i] / 1000, rest = count * permilles[i] % 1000;
        size_t last = above > 0 && rest == 0 ? above - 1 : above;

        above = above < count ? above : count - 1;
        if (!is_near(value, samples[last]) && !is_near(value, samples[above]))
            fail_msg("%u thousandths of %zu: %llu, not %lld", permilles[i], count,
                     (unsigned long long)value, (long long)samples[above]);
        assert_true(value <= h.max);
    }
}

/* A sample of each size, so that every row is used. */
static int64_t some_time(unsigned bits)
{
    return (int64_t)(next_random() & ((UINT64_C(1) << bits) - 1));
}

static void quantiles(void **state)
{
    static int64_t samples[SAMPLES];
    static const size_t counts[] = {1, 2, 3, 10, 999, 1000, 1001, SAMPLES};

    (void)state;
    random_state = 0x9e3779b97f4a7c15;
    for (unsigned bits = 1; bits <= 48; bits++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            for (size_t n = 0; n < counts[i]; n++)
                samples[n] = some_time(bits);
            check_quantiles(samples, counts[i]);
        }
    }
    /* all sizes together */
    for (size_t n = 0; n < SAMPLES; n++)
        samples[n] = some_time(1 + (unsigned)(next_random() % 48));
    check_quantiles(samples, SAMPLES);
}

/* ---- Borders --------------------------------------------------------------------------------- */

/* What one time alone is read back as. */
static uint64_t read_back(int64_t time)
{
    static struct histogram h;

    memset(&h, 0, sizeof h);
    histogram_add(&h, time);
    assert_true(h.count == 1);
    assert_true(h.max == (time > 0 ? (uint64_t)time : 0));
    assert_true(histogram_mean(&h) == h.max);
    assert_true(histogram_quantile(&h, 1000) == h.max);
    return histogram_quantile(&h, 500);
}

static void borders(void **state)
{
    (void)state;
    for (int64_t time = 0; time < 128; time++)
        assert_true(read_back(time) == (uint64_t)time); /* each has a step of its own */
    for (unsigned power = 7; power < 48; power++) {
        int64_t time = INT64_C(1) << power;

        assert_true(is_near(read_back(time - 1), time - 1));
        assert_true(is_near(read_back(time), time));
        assert_true(is_near(read_back(time + 1), time + 1));
    }
    assert_true(is_near(read_back(LIMIT - 1), LIMIT - 1));
    assert_true(read_back(-1) == 0);
    assert_true(read_back(INT64_MIN) == 0);
}

/* Two times a step apart are told apart, whatever else is there: a fault in a row's place would
 * throw them together. */
static void neighbours(void **state)
{
    static struct histogram h;

    (void)state;
    for (unsigned power = 6; power < 48; power++) {
        int64_t low = (INT64_C(1) << power) - 1, high = (INT64_C(1) << power) + 1;

        memset(&h, 0, sizeof h);
        for (unsigned i = 0; i < 10; i++)
            histogram_add(&h, i < 5 ? low : high);
        histogram_add(&h, 2 * high); /* so that the maximum corrects nothing */
        assert_true(histogram_quantile(&h, 100) < histogram_quantile(&h, 700));
        assert_true(is_near(histogram_quantile(&h, 100), low));
        assert_true(is_near(histogram_quantile(&h, 700), high));
    }
}

/* Nothing is lost beyond the end of the scale, and what lies below is not disturbed. */
static void beyond(void **state)
{
    static const int64_t times[] = {INT64_C(1) << 48, (INT64_C(1) << 48) + 1, INT64_C(1) << 50,
                                    INT64_C(1) << 62, INT64_MAX};
    static struct histogram h;

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        memset(&h, 0, sizeof h);
        for (unsigned n = 0; n < 9; n++)
            histogram_add(&h, 1000);
        histogram_add(&h, times[i]);
        assert_true(h.count == 10 && h.max == (uint64_t)times[i]);
        assert_true(is_near(histogram_quantile(&h, 500), 1000));
        assert_true(histogram_quantile(&h, 950) >= (uint64_t)LIMIT / 64 * 63);
        assert_true(histogram_quantile(&h, 950) <= h.max);
        assert_true(histogram_quantile(&h, 1000) == h.max);
    }
}

static void empty(void **state)
{
    static struct histogram h, other;

    (void)state;
    memset(&h, 0, sizeof h);
    memset(&other, 0, sizeof other);
    assert_true(histogram_quantile(&h, 0) == 0);
    assert_true(histogram_quantile(&h, 500) == 0);
    assert_true(histogram_quantile(&h, 1000) == 0);
    assert_true(histogram_mean(&h) == 0);
    histogram_merge(&h, &other);
    assert_true(h.count == 0 && h.max == 0);
}

/* ---- Merging --------------------------------------------------------------------------------- */

static void merged_is_all_in_one(void **state)
{
    static struct histogram all, parts[3], sum;

    (void)state;
    memset(&all, 0, sizeof all);
    memset(&sum, 0, sizeof sum);
    memset(parts, 0, sizeof parts);
    random_state = 0xda3e39cb94b95bdb;
    for (unsigned i = 0; i < SAMPLES; i++) {
        int64_t time = some_time(1 + (unsigned)(next_random() % 50));

        histogram_add(&all, time);
        histogram_add(&parts[next_random() % 3], time);
    }
    for (unsigned i = 0; i < 3; i++)
        histogram_merge(&sum, &parts[i]);
    assert_memory_equal(&sum, &all, sizeof sum);
    /* a smaller maximum does not replace a larger one */
    memset(&parts[0], 0, sizeof parts[0]);
    histogram_add(&parts[0], 5);
    histogram_merge(&sum, &parts[0]);
    assert_true(sum.max == all.max && sum.count == all.count + 1 && sum.sum == all.sum + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles),  cmocka_unit_test(borders),
        cmocka_unit_test(neighbours), cmocka_unit_test(beyond),
        cmocka_unit_test(empty),      cmocka_unit_test(merged_is_all_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
