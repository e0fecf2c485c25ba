/*
 * histogram.h: how long many things took, in little memory.
 *
 * A time in nanoseconds falls into one of 64 steps between two powers of two, so that what is read
 * back is at most 1.6 % off, whatever the time; memory does not grow with the number of times.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_POWERS = 42 /* up to 2^48 ns, three days */ };

/* Zero is an empty one. */
struct histogram {
    uint64_t count;
    uint64_t sum; /* ns */
    uint64_t max; /* ns, exactly */
    uint64_t steps[HISTOGRAM_POWERS + 1][HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *h, int64_t ns);

/* Add all of FROM. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The time that PERMILLE thousandths of all did not exceed, in ns; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *h, unsigned permille);

/* In ns; 0 when there are none. */
uint64_t histogram_mean(const struct histogram *h);

#endif
