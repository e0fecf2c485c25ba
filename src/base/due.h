/*
 * base/due.h: whose deadline comes first.
 *
 * A pairing heap: adding costs O(1), removing O(log n) amortised, whatever the order of the
 * deadlines. Its nodes are parts of what waits: nothing here allocates, and nothing can fail.
 */
#ifndef SI_BASE_DUE_H
#define SI_BASE_DUE_H

#include <stdint.h>

struct si_due {
    int64_t at; /* nanoseconds; INT64_MAX: never */
    struct si_due *child, *next;
    struct si_due *prev; /* the left sibling, or the parent of a first child */
};

/* Add NODE, whose `at` is set.  *FIRST, NULL when the heap is empty, is the node with the
 * smallest `at`. */
void si_due_add(struct si_due **first, struct si_due *node);

/* Take NODE, which is in the heap, out of it. */
void si_due_remove(struct si_due **first, struct si_due *node);

#endif
