/*
 * bench/tries.h: what the files of bench_tries share.
 *
 *     tries.c             the names, rounds and lines, threads on their processors, sockets
 *     tries_uring.c       io_uring next to epoll
 *     tries_zerocopy.c    MSG_ZEROCOPY next to a plain send
 *     tries_curves.c      X25519 and X448 of other libraries
 *     tries_ephemeral.c   ephemeral key pairs made before they are needed
 *     tries_records.c     records of several lengths
 *
 * What is compared runs by turns, a round each, and a line shows the middle round and the spread of
 * all.  Whatever goes wrong ends the program: a figure of something that failed is none.  All waits
 * are guarded by tries_watch().  There are no processes and no files to be left behind: a signal
 * ends everything.
 */
#ifndef BENCH_TRIES_H
#define BENCH_TRIES_H

#include <pthread.h>

#include "clock.h"

enum {
    MIB = 1048576,
    TRIES_ROUNDS_MAX = 99,
    /* What is measured runs on the one, what keeps it busy on the other. */
    TRIES_CPU_SERVER = 0,
    TRIES_CPU_LOAD = 1
};

/* ---- Rounds and lines ---- */

extern int tries_rounds; /* at most TRIES_ROUNDS_MAX */

/* One figure of each round. */
struct tries_samples {
    double round[TRIES_ROUNDS_MAX];
};

/* A headline and the names of its columns, NULL behind the last. */
void tries_head(const char *title, const char *const *columns);

/* A line with as many COLUMNS as the headline has. */
void tries_line(const char *name, const struct tries_samples *columns, size_t count);

/* All rounds of COUNT works by turns: nanoseconds of this thread a step, one entry of SAMPLES for
 * each work. */
void tries_measure(const struct bench_work *works, size_t count, int64_t round_ns,
                   struct tries_samples *samples);

/* ---- Failing ---- */

/* Ends the program with WHAT and errno. */
void tries_require(const char *what, bool ok);

static inline void tries_require_ok(const char *what, sotto_err err)
{
    if (err != SOTTO_OK) {
        (void)fprintf(stderr, "bench_tries: %s: %s\n", what, sotto_strerror(err));
        exit(1);
    }
}

/* End the program when the next SECONDS pass without another call; 0: no more.  WHAT, a constant,
 * is what was waited for. */
void tries_watch(const char *what, unsigned seconds);

/* ---- Threads, clocks, sockets ---- */

int64_t tries_now(void); /* of the monotonic clock */

void tries_pin(int cpu); /* this thread */

/* A thread that runs on CPU only. */
void tries_start(pthread_t *thread, int cpu, void *(*run)(void *user), void *user);
void tries_join(pthread_t thread);

/* The time that a thread, or the whole process with its kernel workers, has had a processor. */
int64_t tries_thread_cpu(pthread_t thread);
int64_t tries_process_cpu(void);

/* Two ends of a TCP connection over loopback, without Nagle's algorithm. */
void tries_connect(int ends[2]);

/*
 * A one-way stream: a thread on the one processor sends messages for a while, one on the other
 * takes them.
 */
struct tries_stream {
    void (*send)(void *user, int fd);    /* one message of MIB bytes */
    void (*finish)(void *user, int fd);  /* at the end of the measured part; NULL: nothing to do */
    void (*receive)(void *user, int fd); /* until the end of the stream */
    void *user;
};

struct tries_stream_costs {
    double ns, tx_cpu_ns, rx_cpu_ns; /* for one message */
};

void tries_run_stream(const struct tries_stream *stream, struct tries_stream_costs *costs);

/* Blocks until the kernel has taken all of it. */
void tries_send_all(int fd, const uint8_t *data, size_t len);

/* ---- The tries ---- */

void try_uring(void);
void try_zerocopy(void);
void try_curves(void);
void try_ephemeral(void);
void try_records(void);

#endif
