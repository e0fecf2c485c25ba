/*
 * One connection: bytes from the stream into the session, messages from the session into the link,
 * answers from the link into the session, bytes from the session into the stream.
 *
 * Who frees: only si_conn_free(), called at the end of an event by whoever handled it, or at the end
 * of the turn.  A link's send function and a session's errors just mark the connection, so that
 * nothing is freed below a caller that still uses it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "server/internal.h"

/* A client that reads as fast as we answer could keep its worker for itself: so many rounds of
 * output and input a turn. */
enum { ROUNDS_MAX = 4 };

/* Answers leave at the end of the turn, when all connections that were ready have been read: their
 * clients are then woken together, and not one by one to sleep again.  But so many bytes keep their
 * client busy while the others are read, and so many clients would only wait for each other. */
enum { SEND_AT_ONCE = 65536, SEND_TOGETHER = 64 };

static struct si_counters *counters(const struct si_conn *conn)
{
    return &conn->worker->server->counters;
}

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* A session remembers its own failure, and sotto_session_want() says what is left to do. */
static void leave_to_session(sotto_err err)
{
    (void)err;
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void mark_dirty(struct si_conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = NULL;
    *conn->worker->dirty_end = conn;
    conn->worker->dirty_end = &conn->next_dirty;
    conn->worker->dirty_count++;
}

static void unmark_dirty(struct si_conn *conn)
{
    struct si_conn **at = &conn->worker->dirty;

    if (!conn->dirty)
        return;
    while (*at != conn) /* nearly always the first */
        at = &(*at)->next_dirty;
    *at = conn->next_dirty;
    if (*at == NULL)
        conn->worker->dirty_end = at;
    conn->worker->dirty_count--;
    conn->dirty = false;
}

/* The link sends a message. */
static sotto_err send_message(void *user, const struct si_span *pieces, size_t piece_count)
{
    struct si_conn *conn = user;
    uint64_t hard = (uint64_t)conn->worker->server->limits.max_output * SI_OUTPUT_HARD_FACTOR;
    sotto_err err;

    if (!sotto_session_is_open(conn->session))
        return SOTTO_E_GONE; /* it is ending; what is queued still leaves */
    err = sotto_session_output_waiting(conn->session) > hard
              ? SOTTO_E_LOST
              : si_session_send_spans(conn->session, pieces, piece_count);
    if (err != SOTTO_OK && err != SOTTO_E_TOO_LARGE)
        conn->broken = true;
    mark_dirty(conn);
    return err;
}

/* Hand the session's bytes to the kernel, as many as it takes.  False: the connection is broken. */
static bool send_output(struct si_conn *conn, int64_t now)
{
    const uint8_t *data;
    size_t len, taken;
    int sys_errno;

    if (sotto_session_output(conn->session, &data, &len, now) != SOTTO_OK)
        return false;
    if (len > 0 && si_stream_send(conn->stream, data, len, &taken, &sys_errno) != SOTTO_OK)
        return false;
    if (len > 0)
        sotto_session_sent(conn->session, taken);
    if (len > 0 && taken > 0 && conn->paused)
        si_session_alive(conn->session);
    return true;
}

/* ---- In -------------------------------------------------------------------------------------- */

static sotto_err open_link(struct si_conn *conn)
{
    struct si_worker *worker = conn->worker;
    const struct si_link_options options = {
        .service = worker->server->service,
        .calls = worker->calls,
        .json = worker->scratch.json,
        .send = send_message,
        .conn = conn,
        .peer = &conn->peer,
        .max_calls = worker->server->limits.max_calls,
        .call_timeout_ms = worker->server->limits.call_timeout_ms,
    };
    const char *name = sotto_session_client_name(conn->session);

    conn->unauthenticated = false;
    atomic_fetch_sub_explicit(&counters(conn)->unauthenticated, 1, memory_order_relaxed);
    count(&counters(conn)->sessions, 1);
    conn->peer.curve = sotto_session_curve(conn->session);
    conn->peer.cipher = sotto_session_cipher(conn->session);
    conn->peer.key = sotto_session_client_key(conn->session);
    conn->peer.name = name != NULL ? name : "";
    if (si_link_new(&options, &conn->link) != SOTTO_OK)
        return SOTTO_E_NOMEM;
    conn->draining = worker->draining;
    return conn->draining ? si_link_drain(conn->link, 0) : SOTTO_OK;
}

static sotto_err on_message(struct si_conn *conn, const sotto_event *event, int64_t now)
{
    sotto_err err = si_link_message(conn->link, si_span(event->data, event->len), now);

    switch ((int)err) {
    case SOTTO_OK:
        return SOTTO_OK;
    case SOTTO_E_CLOSED:
        conn->peer_closed = true;
        sotto_session_peer_closed(conn->session);
        return SOTTO_OK;
    case SOTTO_E_PROTOCOL:
        (void)sotto_session_broken(conn->session);
        return SOTTO_OK;
    default:
        return err;
    }
}

static bool output_is_full(const struct si_conn *conn)
{
    return sotto_session_output_waiting(conn->session) > conn->worker->server->limits.max_output;
}

/* Fetch and handle what the session has, until the output is full.  An error: the connection
 * cannot go on at all. */
static sotto_err handle_events(struct si_conn *conn, int64_t now)
{
    sotto_event event;
    sotto_err err = SOTTO_OK;

    while (err == SOTTO_OK && !conn->broken && !output_is_full(conn) &&
           sotto_session_next(conn->session, &event) == SOTTO_OK) {
        if (event.type == SOTTO_EVENT_OPEN)
            err = open_link(conn);
        else if (event.type == SOTTO_EVENT_MESSAGE)
            err = on_message(conn, &event, now);
    }
    return err;
}

/* Read no more; what has arrived is handled when the output has drained: the messages that the
 * session has, then DATA. */
static sotto_err pause_with(struct si_conn *conn, const uint8_t *data, size_t len)
{
    sotto_err err = si_session_hold(conn->session);

    conn->paused = true;
    si_stream_pause(conn->stream, true);
    if (err == SOTTO_OK && len > 0 &&
        (err = si_buf_reserve(&conn->stash, len + SI_STREAM_PADDING)) == SOTTO_OK)
        err = si_buf_put(&conn->stash, data, len);
    return err;
}

/* Handle what the session has and then DATA, until the output is full. */
static sotto_err take_in(struct si_conn *conn, uint8_t *data, size_t len, int64_t now)
{
    sotto_err err;

    while ((err = handle_events(conn, now)) == SOTTO_OK && !conn->broken) {
        size_t taken;

        if (output_is_full(conn))
            return pause_with(conn, data, len);
        /* A session that fails says by sotto_session_want() what is left to do. */
        if (len == 0 || sotto_session_feed(conn->session, data, len, &taken, now) != SOTTO_OK)
            return SOTTO_OK;
        data += taken;
        len -= taken;
    }
    return err;
}

static sotto_err resume(struct si_conn *conn, int64_t now)
{
    struct si_buf stash = conn->stash;
    sotto_err err;

    conn->paused = false;
    si_stream_pause(conn->stream, false);
    conn->stash = si_buf(stash.max); /* taking it in may fill it again */
    err = take_in(conn, stash.ptr, stash.len, now);
    si_buf_free(&stash);
    return err;
}

static void received(void *user, uint8_t *data, size_t len)
{
    struct si_conn *conn = user;
    struct si_worker *worker = conn->worker;
    int64_t now = si_now();
    sotto_err err = SOTTO_OK;

    if (len == 0)
        leave_to_session(sotto_session_eof(conn->session, now));
    else
        err = take_in(conn, data, len, now);
    conn->broken = conn->broken || err != SOTTO_OK;
    if (sotto_session_output_waiting(conn->session) > SEND_AT_ONCE)
        si_conn_pump(conn, now);
    else
        mark_dirty(conn);
    if (worker->dirty_count >= SEND_TOGETHER)
        si_worker_flush(worker);
}

static void writable(void *user)
{
    struct si_conn *conn = user;
    struct si_worker *worker = conn->worker;

    si_conn_pump(conn, si_now());
    si_worker_flush(worker);
}

static void failed(void *user, int sys_errno)
{
    struct si_conn *conn = user;
    struct si_worker *worker = conn->worker;

    (void)sys_errno; /* the peer is gone, whatever the reason */
    si_conn_free(conn);
    si_worker_flush(worker); /* `over` may have answered other calls */
}

void si_conn_timed_out(struct si_conn *conn, int64_t now)
{
    struct si_worker *worker = conn->worker;

    leave_to_session(sotto_session_tick(conn->session, now));
    if (conn->link != NULL)
        si_link_tick(conn->link, now);
    si_conn_pump(conn, now);
    si_worker_flush(worker);
}

/* ---- What next? ------------------------------------------------------------------------------ */

/* Everything is answered, and no more may come: the last word (protocol section 7). */
static void close_if_done(struct si_conn *conn)
{
    if (conn->link == NULL || !sotto_session_is_open(conn->session) || conn->paused ||
        si_link_in_flight(conn->link) > 0)
        return;
    if (conn->peer_closed || conn->draining)
        leave_to_session(
            sotto_session_close(conn->session, conn->draining ? "draining" : "done", NULL, 0));
}

/* AGAIN: it could go on at once, but the others come first. */
static void set_deadline(struct si_conn *conn, bool again)
{
    int64_t at = sotto_session_deadline(conn->session);

    if (conn->link != NULL && si_link_deadline(conn->link) < at)
        at = si_link_deadline(conn->link);
    si_worker_set_deadline(conn, again ? 0 : at);
}

static void count_requests(struct si_conn *conn)
{
    uint64_t now = conn->link != NULL ? si_link_requests(conn->link) : 0;

    count(&counters(conn)->requests, now - conn->requests);
    conn->requests = now;
}

/* One round of the session's wishes.  False: the connection is over. */
static bool obey(struct si_conn *conn, int64_t now, bool *again)
{
    unsigned want;

    *again = false;
    close_if_done(conn);
    want = sotto_session_want(conn->session);
    if (want & SOTTO_WANT_FREE)
        return false;
    if ((want & SOTTO_WANT_OUTPUT) && !send_output(conn, now))
        return false;
    if (want & SOTTO_WANT_SHUTDOWN) {
        si_stream_shutdown(conn->stream);
        sotto_session_shut(conn->session, now);
        *again = true;
    }
    /* Sent: there may be a wish behind it.  Not all sent: `writable` comes. */
    if (want & SOTTO_WANT_OUTPUT)
        *again = !(sotto_session_want(conn->session) & SOTTO_WANT_OUTPUT);
    if (conn->paused && !output_is_full(conn)) {
        if (resume(conn, now) != SOTTO_OK)
            return false;
        *again = true;
    }
    return !conn->broken;
}

void si_conn_pump(struct si_conn *conn, int64_t now)
{
    bool again = !conn->broken;

    unmark_dirty(conn);
    for (unsigned round = 0; again && round < ROUNDS_MAX; round++) {
        if (!obey(conn, now, &again)) {
            si_conn_free(conn);
            return;
        }
    }
    if (conn->broken) {
        si_conn_free(conn);
        return;
    }
    count_requests(conn);
    unmark_dirty(conn);
    set_deadline(conn, again);
}

void si_conn_drain(struct si_conn *conn)
{
    conn->draining = true;
    /* A connection that is not open yet has its deadline, and is told when it opens. */
    if (conn->link != NULL && sotto_session_is_open(conn->session) &&
        si_link_drain(conn->link, 0) != SOTTO_OK)
        conn->broken = true;
    si_conn_pump(conn, si_now());
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

static const struct si_stream_callbacks callbacks = {
    .received = received, .writable = writable, .failed = failed};

static void link_into_worker(struct si_conn *conn)
{
    struct si_worker *worker = conn->worker;

    conn->next = worker->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    worker->conns = conn;
}

static void unlink_from_worker(struct si_conn *conn)
{
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        conn->worker->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
}

void si_conn_open(struct si_worker *worker, int fd, const struct si_sockaddr *peer, bool busy)
{
    char address[64];
    struct si_conn *conn;
    int64_t now = si_now();
    sotto_err err;

    si_sockaddr_format(peer, address, sizeof address);
    if ((conn = calloc(1, sizeof *conn + strlen(address) + 1)) == NULL) {
        (void)close(fd);
        return;
    }
    memcpy(conn->address, address, strlen(address) + 1);
    conn->worker = worker;
    conn->stash = si_buf(SI_STREAM_READ_SIZE + SI_STREAM_PADDING);
    conn->peer.address = conn->address;
    conn->peer.connection =
        atomic_fetch_add_explicit(&counters(conn)->last_connection, 1, memory_order_relaxed) + 1;
    conn->unauthenticated = conn->admitted = !busy;
    count(&counters(conn)->open, 1);
    count(&counters(conn)->connections, 1);
    count(&counters(conn)->admitted, !busy);
    count(&counters(conn)->unauthenticated, !busy);
    conn->due.at = conn->deadline = INT64_MAX;
    si_due_add(&worker->due, &conn->due);
    link_into_worker(conn);

    err = si_stream_open(worker->loop, fd, &callbacks, conn, &conn->stream); /* fd: transferred */
    if (err == SOTTO_OK)
        err = sotto_session_server_new(worker->server->acceptor, now, &conn->session);
    if (err == SOTTO_OK) {
        si_session_lend(conn->session, &worker->scratch);
        if (busy)
            err = sotto_session_refuse_busy(conn->session, SI_BUSY_RETRY_MS);
    }
    if (err != SOTTO_OK) {
        si_conn_free(conn);
        return;
    }
    si_conn_pump(conn, now);
}

/* How it went, for the counters. */
static void count_outcome(const struct si_conn *conn)
{
    size_t h_len = 0;

    if (conn->session != NULL)
        (void)sotto_session_handshake_hash(conn->session, &h_len);
    if (conn->session != NULL && sotto_session_error(conn->session) == SOTTO_E_REFUSED)
        count(&counters(conn)->refused, 1);
    else if (conn->unauthenticated && h_len > 0 &&
             sotto_session_purpose(conn->session) == SOTTO_BOOTSTRAP &&
             sotto_session_error(conn->session) == SOTTO_OK)
        count(&counters(conn)->bootstraps, 1);
    else if (conn->unauthenticated)
        count(&counters(conn)->handshakes_failed, 1);
}

void si_conn_free(struct si_conn *conn)
{
    count_outcome(conn);
    count_requests(conn);
    si_stream_close(conn->stream);
    si_due_remove(&conn->worker->due, &conn->due);
    si_link_free(conn->link); /* before the session: callbacks may look at the peer */
    unmark_dirty(conn);
    unlink_from_worker(conn);
    sotto_session_free(conn->session);
    si_buf_free(&conn->stash);
    if (conn->unauthenticated)
        atomic_fetch_sub_explicit(&counters(conn)->unauthenticated, 1, memory_order_relaxed);
    if (conn->admitted)
        atomic_fetch_sub_explicit(&counters(conn)->admitted, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&counters(conn)->open, 1, memory_order_relaxed);
    free(conn);
}
