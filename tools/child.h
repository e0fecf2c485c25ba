/*
 * child.h: a program that runs with pipes on its standard input and output, in a process group of
 * its own.
 *
 * One thread owns a child; child_kill() may come from another one as long as the owner has not
 * begun child_reap() (the caller's lock sees to that), since the process group's number is its own
 * only until then.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The monotonic clock, which deadlines are measured with. */
int64_t monotonic_ns(void);

struct child {
    pid_t pid;
    int input;  /* the write end of its standard input, non-blocking; -1: closed */
    int output; /* the read end of its standard output, non-blocking; -1: closed */
    int watch;  /* a process descriptor that is readable when it has ended; -1: none to be had */
};

/* Run `/bin/sh -c COMMAND` with the environment ENV: default signals, no descriptor beyond 0 to
 * 2, its standard error is ours.  Returns 0 or an errno. */
int child_start(struct child *child, const char *command, char *const env[]);

/* Why child_exchange() came back. */
enum child_end {
    CHILD_ENDED,    /* by itself, or killed by another thread */
    CHILD_LATE,     /* killed at the deadline */
    CHILD_TOO_MUCH, /* killed since it printed more than the limit */
    CHILD_NO_MEMORY /* killed since its output could not be kept */
};

struct child_output {
    char *text;
    size_t len, cap;
    size_t max;
};

/* Feed LEN bytes of INPUT and collect the output until the child has ended, at the latest until
 * the monotonic time DEADLINE_NS.  A child that does not read its input is no error. */
enum child_end child_exchange(struct child *child, const char *input, size_t len,
                              struct child_output *output, int64_t deadline_ns);

/* Kill the whole process group. */
void child_kill(const struct child *child);

/* After child_exchange(): kill what is left of the group, collect the status as wait() gives it,
 * close everything. */
int child_reap(struct child *child);

#endif
