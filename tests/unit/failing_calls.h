/*
 * System calls that fail on demand.  The test is linked with -Wl,--wrap for the names below; each
 * exists twice, as C libraries have their own symbols for large files.
 */
#ifndef TESTS_FAILING_CALLS_H
#define TESTS_FAILING_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Counts down; the call that finds 0 fails with call_errno.  Negative: none does. */
static long call_fail_at = -1;
static int call_errno;
static bool call_failed;
static bool call_must_count; /* what failed was a part of writing a file */

static bool call_fails(bool of_writing)
{
    if (call_fail_at < 0)
        return false;
    if (call_fail_at-- > 0)
        return false;
    call_failed = true;
    call_must_count = of_writing && call_errno != EINTR;
    errno = call_errno;
    return true;
}

static void call_fail(long at, int sys_errno)
{
    call_fail_at = at;
    call_errno = sys_errno;
    call_failed = false;
    call_must_count = false;
}

static bool call_recover(void)
{
    call_fail_at = -1;
    return call_failed;
}

/* WRAP(name, of writing?, parameters in parentheses, arguments in parentheses): fails before it does
 * anything. */
#define WRAP(name, of_writing, parameters, arguments)                                              \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return call_fails(of_writing) ? -1 : __real_##name arguments;                              \
    }

WRAP(fsync, true, (int fd), (fd))
WRAP(fchmod, true, (int fd, mode_t mode), (fd, mode))
WRAP(flock, false, (int fd, int operation), (fd, operation))
WRAP(fstat, false, (int fd, struct stat *st), (fd, st))
WRAP(fstat64, false, (int fd, struct stat *st), (fd, st))
WRAP(lstat, false, (const char *path, struct stat *st), (path, st))
WRAP(lstat64, false, (const char *path, struct stat *st), (path, st))
WRAP(fstatat, false, (int at, const char *path, struct stat *st, int flags), (at, path, st, flags))
WRAP(fstatat64, false, (int at, const char *path, struct stat *st, int flags),
     (at, path, st, flags))
WRAP(renameat, false, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(renameat2, false, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
WRAP(linkat, false, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags))

/* The mode is passed on whether it was given or not, as the C library itself does. */
#define WRAP_OPEN(name)                                                                            \
    int __real_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...)                                            \
    {                                                                                              \
        unsigned mode = 0;                                                                         \
        va_list args;                                                                              \
                                                                                                   \
        if ((flags & O_CREAT) != 0) {                                                              \
            va_start(args, flags);                                                                 \
            mode = va_arg(args, unsigned);                                                         \
            va_end(args);                                                                          \
        }                                                                                          \
        return call_fails(false) ? -1 : __real_##name(path, flags, mode);                          \
    }

#define WRAP_OPENAT(name)                                                                          \
    int __real_##name(int at, const char *path, int flags, ...);                                   \
    int __wrap_##name(int at, const char *path, int flags, ...);                                   \
    int __wrap_##name(int at, const char *path, int flags, ...)                                    \
    {                                                                                              \
        unsigned mode = 0;                                                                         \
        va_list args;                                                                              \
                                                                                                   \
        if ((flags & O_CREAT) != 0) {                                                              \
            va_start(args, flags);                                                                 \
            mode = va_arg(args, unsigned);                                                         \
            va_end(args);                                                                          \
        }                                                                                          \
        return call_fails(false) ? -1 : __real_##name(at, path, flags, mode);                      \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len)
{
    return call_fails(false) ? -1 : __real_read(fd, buf, len);
}

/* One byte is written before the disk is full. */
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    static bool short_write;

    if (short_write || call_fails(true)) {
        short_write = !short_write;
        if (!short_write)
            errno = call_errno;
        return short_write ? __real_write(fd, buf, len > 0 ? 1 : 0) : -1;
    }
    return __real_write(fd, buf, len);
}

/* A failing close() has closed all the same. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    bool written = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
    bool fails = call_fails(written);
    int result = __real_close(fd);

    if (!fails)
        return result;
    errno = call_errno;
    return -1;
}

#endif
