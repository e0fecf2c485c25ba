/*
 * Allocations, counted: how many the threads that want it have made, and how many bytes they hold.
 * Only one file of a program may include this.
 *
 * Every allocation of the program is seen, also those of libcrypto, libuv and the C++ library:
 * malloc() and its like stand here, and the C library's do the work.  A sanitizer has an allocator
 * of its own, and tells.
 */
#ifndef TESTS_COUNTING_MALLOC_H
#define TESTS_COUNTING_MALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER_ALLOCATES
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER_ALLOCATES
#endif

/* Of this thread, from now on. */
static _Thread_local bool malloc_counted;

/* Of all threads that are counted.  BYTES: what was allocated less what was freed. */
static atomic_uint_fast64_t malloc_count;
static atomic_int_fast64_t malloc_bytes;

static void count_allocation(size_t size)
{
    if (!malloc_counted)
        return;
    atomic_fetch_add(&malloc_count, 1);
    atomic_fetch_add(&malloc_bytes, (int_fast64_t)size);
}

static void count_release(size_t size)
{
    if (malloc_counted)
        atomic_fetch_sub(&malloc_bytes, (int_fast64_t)size);
}

#ifdef SANITIZER_ALLOCATES

/* Of the sanitizers' common interface; gcc brings no header for it. */
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*released)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *ptr);

static void on_allocated(const volatile void *ptr, size_t size)
{
    (void)ptr;
    count_allocation(size);
}

static void on_released(const volatile void *ptr)
{
    if (malloc_counted && ptr != NULL)
        count_release(__sanitizer_get_allocated_size(ptr));
}

__attribute__((constructor)) static void install(void)
{
    if (__sanitizer_install_malloc_and_free_hooks(on_allocated, on_released) == 0)
        __builtin_trap();
}

#else

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/* Seen by the shared libraries, too. */
#define INSTEAD __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *ptr);

static void *counted(void *ptr)
{
    if (ptr != NULL)
        count_allocation(malloc_usable_size(ptr));
    return ptr;
}

INSTEAD void *malloc(size_t size)
{
    return counted(__libc_malloc(size));
}

INSTEAD void *calloc(size_t count, size_t size)
{
    return counted(__libc_calloc(count, size));
}

INSTEAD void *realloc(void *ptr, size_t size)
{
    size_t before = ptr != NULL ? malloc_usable_size(ptr) : 0;
    void *moved = __libc_realloc(ptr, size);

    if (moved != NULL || size == 0)
        count_release(before);
    return counted(moved);
}

INSTEAD void *memalign(size_t alignment, size_t size)
{
    return counted(__libc_memalign(alignment, size));
}

INSTEAD void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

INSTEAD int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *ptr = memalign(alignment, size);

    if (ptr == NULL)
        return ENOMEM;
    *out = ptr;
    return 0;
}

INSTEAD void free(void *ptr)
{
    if (ptr != NULL)
        count_release(malloc_usable_size(ptr));
    __libc_free(ptr);
}

#endif

#endif
