/*
 * load.h: many sessions that call as fast as the server answers: what `sotto bench` runs.
 *
 * A load belongs to one thread.  It drives the sessions of sotto/session.h with a loop of its own
 * (epoll), since what it measures must not wait for itself: request texts are made once, answers
 * are looked at no more than it takes to know which call they are for, and everything that one read
 * answered is sent again with one write.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <sotto/session.h>

#include "histogram.h"

/* What is done again and again. */
enum load_repeat {
    LOAD_CALLS,     /* sessions stay open */
    LOAD_SESSIONS,  /* connection, session handshake, one call, close */
    LOAD_BOOTSTRAPS /* connection, bootstrap, close */
};

struct load_plan {
    enum load_repeat repeat;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    /* of every session (or bootstrap); what these point to outlives the load */
    sotto_session_client_options session;
    const sotto_public_key *trusted; /* the server's key */
    unsigned connections;            /* at a time */
    unsigned idle;                   /* sessions besides, which do nothing */
    unsigned in_flight;              /* calls on each, with LOAD_CALLS */
    const char *endpoint;
    const char *content;
    size_t content_len;
    atomic_bool *over; /* of all loads: set when one cannot go on, and then all end */
};

enum { LOAD_CODE_SIZE = 129 };

struct load_result {
    uint64_t calls, errors;
    uint64_t bytes_sent, bytes_received; /* of requests and answers, encrypted, in frames */
    struct histogram latency;
    int64_t cpu_ns;    /* of this thread */
    int64_t ns;        /* from BEGIN to the last answer that could count */
    sotto_error error; /* the first one */
    /* when it was an error answer: its code */
    char error_code[LOAD_CODE_SIZE];
};

struct load;

/* Open all sessions.  SOTTO_OK, or the error in ERROR.  In both cases load_free() is due. */
sotto_err load_open(const struct load_plan *plan, struct load **out, sotto_error *error);

/* Call until the time END (monotonic, ns); what ended since BEGIN counts.  When a busy machine
 * makes BEGIN late, END is as much later.  False: the load cannot go on, RESULT->error says why. */
bool load_run(struct load *load, int64_t begin, int64_t end, struct load_result *result);

/* NULL is allowed. */
void load_free(struct load *load);

/* The clock of the times above. */
int64_t load_now(void);

#endif
