/*
 * stopper.h: how a server comes to its end: SIGTERM or SIGINT finishes the calls in flight, a
 * second one ends at once.
 *
 * The signals are blocked in all threads, and one thread takes them from the kernel, so nothing
 * ever runs in a signal handler.
 */
#ifndef STOPPER_H
#define STOPPER_H

#include <stdint.h>

#include <sotto/server.h>

struct exec_pool;
struct stopper;

/* Block the signals: before any thread is made, so that all of them inherit that. */
void stopper_block_signals(void);

/* Start to listen for them.  SERVER and POOL (may be NULL) are borrowed until stopper_free().
 * E_NOMEM, E_SYSTEM. */
SOTTO_MUST_CHECK sotto_err stopper_new(sotto_server *server, struct exec_pool *pool,
                                       uint32_t drain_ms, struct stopper **out);

/* When everything has to be over, in monotonic time; 0: no signal has come yet. */
int64_t stopper_deadline_ns(struct stopper *stopper);

/* Stop to listen.  NULL is allowed. */
void stopper_free(struct stopper *stopper);

#endif
