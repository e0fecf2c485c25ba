/*
 * bench/clock.h: timing a piece of work, for the programs of this folder.
 *
 * A work is a function that is called again and again.  Works that are compared run by turns, a
 * short round each, so that what disturbs the machine meanwhile disturbs all of them.  Times are
 * nanoseconds a step, of the quickest round and of the middle one.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sotto/error.h"

enum { BENCH_WORKS_MAX = 4, BENCH_ROUNDS_MAX = 128 };

struct bench_work {
    const char *name; /* of the work, for the message when it fails */
    sotto_err (*step)(void *user);
    void *user;
    void (*prepare)(void *user); /* before each round, and not timed; NULL: nothing to prepare */
    int64_t steps;               /* in a round; 0: what fills ROUND_NS */
};

struct bench_time {
    double best, median;
};

/* The time that this thread has had a processor: what others run meanwhile does not count. */
static inline int64_t bench_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int bench_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* One round of STEPS steps: how long it took. */
static inline int64_t bench_round(const struct bench_work *w, int64_t steps)
{
    int64_t began;

    if (w->prepare != NULL)
        w->prepare(w->user);
    began = bench_now();
    for (int64_t i = 0; i < steps; i++) {
        sotto_err err = w->step(w->user);

        if (err != SOTTO_OK) {
            (void)fprintf(stderr, "%s: failed: %s\n", w->name, sotto_strerror(err));
            exit(1);
        }
    }
    return bench_now() - began;
}

/* How many steps a round needs.  Looking for it warms up, too. */
static inline int64_t bench_steps(const struct bench_work *w, int64_t round_ns)
{
    int64_t steps = w->steps > 0 ? w->steps : 1;

    while (bench_round(w, steps) < round_ns && w->steps == 0 && steps < INT64_C(1) << 40)
        steps *= 2;
    return steps;
}

/* Measure COUNT works (at most BENCH_WORKS_MAX) by turns, in ROUNDS rounds (at most
 * BENCH_ROUNDS_MAX) of at least ROUND_NS each.  A work that fails ends the program. */
static inline void bench_measure(const struct bench_work *works, size_t count, int rounds,
                                 int64_t round_ns, struct bench_time *times)
{
    static double ns[BENCH_WORKS_MAX][BENCH_ROUNDS_MAX];
    int64_t steps[BENCH_WORKS_MAX];

    for (size_t i = 0; i < count; i++)
        steps[i] = bench_steps(&works[i], round_ns);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++)
            ns[i][round] = (double)bench_round(&works[i], steps[i]) / (double)steps[i];
    }
    for (size_t i = 0; i < count; i++) {
        qsort(ns[i], (size_t)rounds, sizeof ns[i][0], bench_order);
        times[i] = (struct bench_time){ns[i][0], ns[i][rounds / 2]};
    }
}

/* Is NAME wanted?  Without arguments everything is, with some what one of them is. */
static inline bool bench_wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return true;
    }
    return argc < 2;
}

#endif
