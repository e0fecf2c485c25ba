/*
 * server/internal.h: what the files of the server share.
 *
 *     server.c   the object: options, start, drain, answers from other threads
 *     worker.c   one thread: loop, listener, admission, mailbox
 *     conn.c     one connection: stream, session and link joined
 *
 * Everything of a worker and its connections belongs to the worker's thread, except the mailbox,
 * which has a lock.  Workers share only what is constant while they run (acceptor, service,
 * options) and atomic counters.
 */
#ifndef SI_SERVER_INTERNAL_H
#define SI_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/due.h"
#include "net/net.h"
#include "rpc/service.h"
#include "session/scratch.h"
#include "sotto/server.h"
#include "sotto/session.h"

enum {
    SI_BUSY_RETRY_MS = 1000, /* told to whom `busy` is told */
    /* Beyond max_connections this many more are taken, to tell them `busy`; above that the socket
     * is closed. */
    SI_BUSY_EXTRA = 64,
    /* A client that reads nothing while its answers pile up to this many times max_output is cut
     * off. */
    SI_OUTPUT_HARD_FACTOR = 16
};

struct si_counters {
    atomic_uint_fast64_t connections, bootstraps, sessions, requests, handshakes_failed, refused;
    atomic_uint_fast64_t open, admitted, unauthenticated, last_connection;
};

/* Effective values: defaults are filled in. */
struct si_limits {
    uint32_t max_connections, max_unauthenticated, max_calls, max_output, call_timeout_ms;
};

struct si_worker;
struct si_conn;

struct sotto_server {
    struct si_service *service;
    sotto_acceptor *acceptor;
    const sotto_known_clients *clients; /* borrowed */
    struct si_limits limits;
    struct si_sockaddr listen;
    char address[64];
    struct si_worker **workers; /* of worker_count, each NULL before the start */
    unsigned worker_count;
    atomic_bool started; /* from before the first thread runs: handlers answer at once */
    bool joined;
    struct si_counters counters;
};

/* ---- worker.c -------------------------------------------------------------------------------- */

/* Make worker INDEX of SERVER and listen on ADDR; FIRST and *BOUND as for si_listener_new().  The
 * thread does not run yet. E_NOMEM, E_SYSTEM. */
SOTTO_MUST_CHECK sotto_err si_worker_new(sotto_server *server, unsigned index,
                                         const struct si_sockaddr *addr, struct si_sockaddr *bound,
                                         struct si_worker **out, sotto_error *error);
SOTTO_MUST_CHECK sotto_err si_worker_start(struct si_worker *worker);
void si_worker_join(struct si_worker *worker);

/* After the thread has ended, or never ran.  NULL is allowed. */
void si_worker_free(struct si_worker *worker);

/* Any thread: finish within TIMEOUT_MS; 0 is at once. */
void si_worker_drain(struct si_worker *worker, uint32_t timeout_ms);

/* On the worker's thread: look at CONN at time AT, not earlier and (whatever was set before) not
 * later; at once is in the next turn. */
void si_worker_set_deadline(struct si_conn *conn, int64_t at);

/* CONTENT is an error's code, with its MESSAGE. */
struct si_answer {
    enum { SI_ANSWER_FINAL, SI_ANSWER_PART, SI_ANSWER_ERROR } kind;
    struct si_span content, message;
};

/* Any thread: answer CALL.  On the worker's own thread it happens now, else a copy is handed
 * over. */
sotto_err si_worker_answer(struct si_worker *worker, sotto_call call, const struct si_answer *what);

/* ---- conn.c, on the worker's thread ---------------------------------------------------------- */

struct si_conn {
    struct si_worker *worker;
    struct si_conn *prev, *next; /* of the worker's connections */
    struct si_conn *next_dirty;  /* of those with something to send */
    bool dirty;
    struct si_stream *stream;
    /* When it has to be looked at: `deadline`, which moves with every message, nearly always to
     * later.  Its place in worker->due is left alone then: due.at <= deadline. */
    struct si_due due;
    int64_t deadline;
    sotto_session *session;
    struct si_link *link; /* from the session's opening */
    bool unauthenticated; /* counted as such */
    bool admitted;        /* not one that is only told to come again */
    bool paused;          /* reads nothing: its output waits */
    bool broken;          /* to be freed at the next chance */
    bool peer_closed;     /* the client said its last word */
    bool draining;
    struct si_buf stash; /* input that waits while it is paused */
    uint64_t requests;   /* counted so far */
    sotto_peer peer;
    char address[]; /* of the peer */
};

/* What a worker's connections use. */
struct si_worker {
    sotto_server *server;
    unsigned index;
    pthread_t thread;
    struct si_loop *loop;
    struct si_listener *listener; /* NULL once it drains */
    struct si_waker *waker;
    struct si_timer *due_timer; /* for the first in DUE */
    struct si_due *due;         /* the connections, by deadline */
    int64_t looking_until;      /* while it looks at those that are due: the time of that, else 0 */
    struct si_timer *drain_timer;
    struct si_timer *trim_timer; /* set while the scratch holds large buffers */
    bool trimming;
    struct si_scratch scratch;
    struct si_calls *calls;
    struct si_conn *conns;
    struct si_conn *dirty, **dirty_end; /* in the order in which they became so */
    unsigned dirty_count;
    struct si_turn *turn; /* at the end of which they are pumped */
    bool draining;

    pthread_mutex_t lock; /* of what follows */
    struct si_mail *mail, **mail_end;
    bool drain_asked;
    int64_t drain_at;
};

/* Take the accepted socket FD.  BUSY: only to say so.  On failure the socket is closed, and nothing
 * is left. */
void si_conn_open(struct si_worker *worker, int fd, const struct si_sockaddr *peer, bool busy);

/* Its deadline has come; may free CONN, and others. */
void si_conn_timed_out(struct si_conn *conn, int64_t now);

/* Send what waits, and do what the session wants, at time NOW (of the event: the clock is asked once
 * for each); frees CONN when it is over. */
void si_conn_pump(struct si_conn *conn, int64_t now);

/* Tell the client to make no new calls; may free CONN. */
void si_conn_drain(struct si_conn *conn);

/* Close at once, wipe, release. */
void si_conn_free(struct si_conn *conn);

/* Pump all connections that have something to send: at the end of each turn of the loop. */
void si_worker_flush(struct si_worker *worker);

#endif
