/*
 * exec.h: endpoints that are answered by programs.
 *
 * A pool of threads runs `/bin/sh -c COMMAND` for each request: the content goes to its standard
 * input, what it prints is the answer.  Workers of the server only queue the request.  A program
 * whose answer nobody waits for any more (deadline, cancelled, connection gone, shutdown) is killed
 * with its whole process group; so is what a program leaves running behind it.
 */
#ifndef EXEC_H
#define EXEC_H

#include <stdint.h>

#include <sotto/server.h>

enum {
    EXEC_RUNNING_MAX = 16,             /* programs at a time */
    EXEC_WAITING_MAX = 128,            /* requests that wait for one to end */
    EXEC_OUTPUT_MAX = 16 * 1024 * 1024 /* bytes that a program may print */
};

struct exec_pool;

/* An endpoint and the command that answers it.  Lives as long as the pool. */
struct exec_endpoint {
    struct exec_pool *pool;
    char *name;
    char *command;
};

/* Make a pool and start its threads.  No program runs longer than TIMEOUT_MS, whatever its client
 * says.  E_NOMEM, E_SYSTEM. */
SOTTO_MUST_CHECK sotto_err exec_pool_new(uint32_t timeout_ms, struct exec_pool **out);

/* For sotto_server_endpoint(): USER is the struct exec_endpoint. */
sotto_handler exec_handle;
sotto_call_over exec_over;

/* After the server has ended: let what still runs (notifications that nobody waits for) end by
 * itself, at most until the monotonic time DEADLINE_NS. */
void exec_pool_wait(struct exec_pool *pool, int64_t deadline_ns);

/* Kill what runs, end the threads, free.  The server must have ended, and must not be freed yet.
 * NULL is allowed. */
void exec_pool_free(struct exec_pool *pool);

/* Kill everything that runs, at once, before the process ends without exec_pool_free().  NULL is
 * allowed. */
void exec_pool_kill(struct exec_pool *pool);

#endif
