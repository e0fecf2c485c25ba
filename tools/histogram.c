#include "histogram.h"

/* Values below STEPS have a step of their own in row 0; row r > 0 holds STEPS steps of 2^(r-1). */
static unsigned row_of(uint64_t ns)
{
    unsigned row = 0;

    if (ns >= HISTOGRAM_STEPS)
        row = 58 - (unsigned)__builtin_clzll(ns); /* 64 is the first of row 1 */
    return row < HISTOGRAM_POWERS ? row : HISTOGRAM_POWERS;
}

void histogram_add(struct histogram *h, int64_t time)
{
    uint64_t ns = time > 0 ? (uint64_t)time : 0;
    unsigned row = row_of(ns);
    uint64_t step = row == 0 ? ns : (ns >> (row - 1)) - HISTOGRAM_STEPS;

    h->steps[row][step < HISTOGRAM_STEPS ? step : HISTOGRAM_STEPS - 1]++;
    h->count++;
    h->sum += ns;
    if (ns > h->max)
        h->max = ns;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    for (unsigned row = 0; row <= HISTOGRAM_POWERS; row++)
        for (unsigned step = 0; step < HISTOGRAM_STEPS; step++)
            h->steps[row][step] += from->steps[row][step];
    h->count += from->count;
    h->sum += from->sum;
    if (from->max > h->max)
        h->max = from->max;
}

/* The middle of a step. */
static uint64_t value_of(unsigned row, unsigned step)
{
    if (row == 0)
        return step;
    return ((uint64_t)HISTOGRAM_STEPS + step) * (UINT64_C(1) << (row - 1)) +
           (UINT64_C(1) << (row - 1)) / 2;
}

uint64_t histogram_quantile(const struct histogram *h, unsigned permille)
{
    uint64_t rank = h->count / 1000 * permille + h->count % 1000 * permille / 1000, seen = 0;

    for (unsigned row = 0; row <= HISTOGRAM_POWERS; row++) {
        for (unsigned step = 0; step < HISTOGRAM_STEPS; step++) {
            seen += h->steps[row][step];
            if (seen > rank) {
                uint64_t value = value_of(row, step);

                return value < h->max ? value : h->max;
            }
        }
    }
    return h->max;
}

uint64_t histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : h->sum / h->count;
}
