/*
 * What the tests of rpc share: texts with readable bytes behind them, an allocator that fails and
 * counts, a recorder for what is sent, and the cases of tests/vectors/protocol.json.
 */
#ifndef RPC_SUPPORT_H
#define RPC_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/json.h"

/* ---- Memory: for programs linked with --wrap=malloc,calloc,realloc,free ---------------------- */

struct watched_memory {
    size_t count;   /* allocations so far */
    size_t fail_at; /* this one fails (counted from 1); 0: none */
    bool fail_all;  /* and all behind it */
    long live;      /* blocks that are not freed yet */
};
extern struct watched_memory memory;

/* The allocation after N more fails; ALL: every one from then on. */
void memory_fail(size_t n, bool all);
/* No failures any more.  Returns whether one happened. */
bool memory_heal(void);

/* ---- Texts ----------------------------------------------------------------------------------- */

/* A copy of the LEN bytes at TEXT with SI_JSON_PADDING hostile bytes behind it, and not one more.
 * The harness's own memory: neither watched nor failing. */
struct si_span padded(const void *text, size_t len);
struct si_span padded_str(const char *text);
void padded_free(struct si_span text); /* overwrites it first */

/* DEPTH arrays, one in the other.  Static memory, overwritten by the next call. */
const char *nested(unsigned depth);

/* ---- What was sent --------------------------------------------------------------------------- */

struct wire {
    char **messages; /* NUL-terminated */
    size_t count, taken;
    size_t max_message;  /* more is E_TOO_LARGE; 0: no limit */
    sotto_err broken;    /* what send gives instead of sending */
    size_t fail_in;      /* it breaks with E_LOST after so many more messages; 0: never */
    bool quiet;          /* only count */
    const void *content; /* where the third piece of the last message was */
};
sotto_err wire_send(void *conn, const struct si_span *pieces, size_t count);
/* The oldest message that was not taken, or NULL. */
const char *wire_take(struct wire *wire);
void wire_free(struct wire *wire);

/* The next message is TEXT; NULL: there is none. */
#define assert_sent(wire, text) assert_sent_at(wire, text, __FILE__, __LINE__)
void assert_sent_at(struct wire *wire, const char *text, const char *file, int line);

/* ---- Vectors --------------------------------------------------------------------------------- */

enum { VECTOR_IN_USE_MAX = 8 };

struct vector {
    char why[160];
    char expect[32];
    char also[32]; /* one more outcome that is right, or "" */
    uint64_t count;
    uint64_t in_use[VECTOR_IN_USE_MAX];
    size_t in_use_count;
    uint64_t id;   /* 0: none */
    char *content; /* NULL: not said */
    size_t content_len;
    uint8_t *data;
    size_t len;
};

/* Call TEST for every case of negative.LIST in FILE.  Returns how many there were. */
size_t for_each_vector(const char *file, const char *list,
                       void (*test)(const struct vector *vector, void *user), void *user);

#endif
