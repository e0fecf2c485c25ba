/*
 * Allocations that fail on demand.  The test is linked with -Wl,--wrap for malloc, calloc and
 * realloc, so only this program's own objects and the static libraries meet the failures.
 */
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Counts down; the allocation that finds 0 fails.  Negative: none does. */
static long malloc_fail_at = -1;
static bool malloc_fail_for_ever;
static bool malloc_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static bool malloc_fails(void)
{
    if (malloc_fail_at < 0)
        return false;
    if (malloc_fail_at > 0) {
        malloc_fail_at--;
        return false;
    }
    if (!malloc_fail_for_ever)
        malloc_fail_at = -1;
    malloc_failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return malloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return malloc_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return malloc_fails() ? NULL : __real_realloc(ptr, size);
}

static void malloc_fail(long at, bool for_ever)
{
    malloc_fail_at = at;
    malloc_fail_for_ever = for_ever;
    malloc_failed = false;
}

/* Stop failing.  True when something did fail since malloc_fail(). */
static bool malloc_recover(void)
{
    malloc_fail_at = -1;
    return malloc_failed;
}

#endif
