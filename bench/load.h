/*
 * load.h: what the load generators of the peers share: command line, phases of a run, output.
 *
 * Each program is a server and its load:
 *
 *     PROGRAM serve [OPTIONS]             prints "listening HOST:PORT", serves until SIGTERM
 *     PROGRAM load [OPTIONS] HOST:PORT    prints one JSON object
 *
 * A run opens its connections, warms up, measures, and then waits for the calls that are still in
 * flight: a server that fell silent shows there at the latest.  What counts is what was answered in
 * the measured part.  Everything belongs to one thread.  Times are nanoseconds of the monotonic
 * clock.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "tools/histogram.h"

/* ---- Command line ---- */

/* Options that not every program has, in a set. */
enum { LOAD_PLAIN = 1, LOAD_SERVER_KEY = 2, LOAD_CERT = 4, LOAD_KEY = 8 };

struct load_program {
    const char *name;
    unsigned serve_takes, load_takes; /* sets of the above */
};

struct load_options {
    bool serve;
    bool plain;
    bool sessions; /* every call is a new connection; in_flight is 1 then */
    unsigned connections, in_flight;
    size_t size; /* bytes of the content */
    int64_t duration, warm_up;
    char host[64];
    uint16_t port;
    const char *server_key, *cert, *key; /* NULL: not given */
};

enum { LOAD_SIZE_MAX = 64 * 1024 * 1024 };

/* -1: go on.  Else end with this status: wrong arguments were explained (2), or help given (0). */
int load_parse(int argc, char **argv, const struct load_program *program, struct load_options *out);

/* OPTIONS->size bytes (allocated) in which no two neighbourhoods are alike, so that a shift shows.
 * Ends the program when memory is out. */
uint8_t *load_content(const struct load_options *options);

/* A server or a load opens many descriptors: as many as the system allows. */
void load_raise_limits(void);

/* ---- A run ---- */

enum load_phase { LOAD_OPENING, LOAD_WARM_UP, LOAD_MEASURED, LOAD_DRAINING, LOAD_ENDED };

struct load {
    const char *program;
    const struct load_options *options;
    enum load_phase phase;
    int64_t wake; /* when load_turn() has something to do again */
    int64_t next; /* the end of the phase */
    int64_t last; /* the last answer, or the last step of opening */
    uint64_t in_flight, calls, errors;
    int64_t began, took; /* the measured part */
    int64_t cpu;         /* used by this process; a reading while it lasts */
    struct histogram latency;
};

int64_t load_now(void);

/* OPTIONS and PROGRAM outlive LOAD.  The connections are to be opened now. */
void load_init(struct load *load, const struct load_program *program,
               const struct load_options *options);

/* All connections stand: the warm-up begins. */
void load_begin(struct load *load, int64_t now);

/* Whether an answered call is to be followed by a new one. */
static inline bool load_goes_on(const struct load *load)
{
    return load->phase < LOAD_DRAINING;
}

static inline void load_sent(struct load *load, uint64_t calls)
{
    load->in_flight += calls;
}

/* One call, sent at the time BEGAN, was answered. */
static inline void load_answered(struct load *load, int64_t began, int64_t now)
{
    load->last = now;
    load->in_flight--;
    if (load->phase == LOAD_MEASURED) {
        load->calls++;
        histogram_add(&load->latency, now - began);
    } else if (load->phase == LOAD_DRAINING && load->in_flight == 0) {
        load->phase = LOAD_ENDED;
    }
}

/* To be called at load->wake at the latest; before that it does nothing.  Goes on to the next phase
 * when it is time, and fails a run whose server has fallen silent. */
void load_turn(struct load *load, int64_t now);

/* Say what went wrong, and end the run.  Only the first call says something. */
void load_fail(struct load *load, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print what was measured.  The exit status: 0, or 1 when the run has failed. */
int load_report(const struct load *load);

/* ---- A server ---- */

/* Call STOP(USER) in a thread of its own when SIGTERM or SIGINT comes.  Before any other thread is
 * started, since they are to inherit the signals' mask.  Ends the program when it cannot. */
void load_on_stop(void (*stop)(void *user), void *user);

/* STOP has come, and has returned. */
void load_stopped(void);

/* The line that says where; KEY may be NULL. */
void load_listening(uint16_t port, const char *key);

#ifdef __cplusplus
}
#endif

#endif
