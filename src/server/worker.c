/*
 * One worker: a thread with its loop, its listener (SO_REUSEPORT spreads the connections), its
 * connections, and a mailbox for what other threads want.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/internal.h"

/* An answer from another thread, whose content and message lie in TEXT, one behind the other. */
struct si_mail {
    struct si_mail *next;
    sotto_call call;
    struct si_answer answer;
    uint8_t text[];
};

/* Large buffers that nobody has used for so long go back to the system. */
static const int64_t TRIM_NS = INT64_C(1000000000);

/* The worker whose thread this is. */
static _Thread_local struct si_worker *current;

/* ---- Answers --------------------------------------------------------------------------------- */

static sotto_err answer_now(struct si_worker *worker, sotto_call call, const struct si_answer *what)
{
    switch (what->kind) {
    case SI_ANSWER_FINAL:
        return si_calls_answer(worker->calls, call, what->content);
    case SI_ANSWER_PART:
        return si_calls_answer_part(worker->calls, call, what->content);
    case SI_ANSWER_ERROR:
        return si_calls_answer_error(worker->calls, call, what->content, what->message);
    }
    return SOTTO_E_USAGE;
}

static void free_mail(struct si_mail *mail)
{
    si_wipe(mail->text, mail->answer.content.len + mail->answer.message.len);
    free(mail);
}

/* A copy of FROM at TO. */
static struct si_span copy(uint8_t *to, struct si_span from)
{
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
    return si_span(to, from.len);
}

static sotto_err post(struct si_worker *worker, sotto_call call, const struct si_answer *what)
{
    struct si_mail *mail = malloc(sizeof *mail + what->content.len + what->message.len);

    if (mail == NULL)
        return SOTTO_E_NOMEM;
    mail->next = NULL;
    mail->call = call;
    mail->answer.kind = what->kind;
    mail->answer.content = copy(mail->text, what->content);
    mail->answer.message = copy(mail->text + what->content.len, what->message);

    pthread_mutex_lock(&worker->lock);
    *worker->mail_end = mail;
    worker->mail_end = &mail->next;
    pthread_mutex_unlock(&worker->lock);
    si_waker_wake(worker->waker);
    return SOTTO_OK;
}

sotto_err si_worker_answer(struct si_worker *worker, sotto_call call, const struct si_answer *what)
{
    return worker == current ? answer_now(worker, call, what) : post(worker, call, what);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static struct si_conn *conn_of_due(struct si_due *due)
{
    return (struct si_conn *)((char *)due - offsetof(struct si_conn, due));
}

static void move_due(struct si_conn *conn, int64_t at)
{
    struct si_worker *worker = conn->worker;

    si_due_remove(&worker->due, &conn->due);
    conn->due.at = at;
    si_due_add(&worker->due, &conn->due);
}

void si_worker_set_deadline(struct si_conn *conn, int64_t at)
{
    struct si_worker *worker = conn->worker;

    /* Nobody's turn comes twice in one look. */
    conn->deadline = at > worker->looking_until ? at : worker->looking_until + 1;
    if (conn->deadline >= conn->due.at)
        return;
    move_due(conn, conn->deadline);
    si_timer_set(worker->due_timer, worker->due->at);
}

/* Look at all whose time has come. */
static void look(void *user)
{
    struct si_worker *worker = user;
    int64_t now = si_now();

    worker->looking_until = now;
    while (worker->due != NULL && worker->due->at <= now) {
        struct si_conn *conn = conn_of_due(worker->due);

        if (conn->deadline > now)
            move_due(conn, conn->deadline);
        else
            si_conn_timed_out(conn, now); /* frees it, or sets a new one behind NOW */
    }
    worker->looking_until = 0;
    if (worker->due != NULL)
        si_timer_set(worker->due_timer, worker->due->at);
}

/* ---- Drain ----------------------------------------------------------------------------------- */

static void close_all(struct si_worker *worker)
{
    while (worker->conns != NULL)
        si_conn_free(worker->conns);
}

static void drain_timed_out(void *user)
{
    struct si_worker *worker = user;

    close_all(worker);
    si_loop_stop(worker->loop);
}

static void stop_if_done(struct si_worker *worker)
{
    if (worker->draining && worker->conns == NULL)
        si_loop_stop(worker->loop);
}

static void drain(struct si_worker *worker, int64_t at)
{
    struct si_conn *conn, *next;

    si_timer_set(worker->drain_timer, at);
    if (worker->draining)
        return;
    worker->draining = true;
    si_listener_close(worker->listener);
    worker->listener = NULL;
    /* Pumping frees no other connection: those that callbacks made dirty are flushed behind the
     * loop. */
    for (conn = worker->conns; conn != NULL; conn = next) {
        next = conn->next;
        si_conn_drain(conn);
    }
}

void si_worker_drain(struct si_worker *worker, uint32_t timeout_ms)
{
    int64_t at = si_now() + (int64_t)timeout_ms * 1000000;

    pthread_mutex_lock(&worker->lock);
    if (!worker->drain_asked || at < worker->drain_at)
        worker->drain_at = at;
    worker->drain_asked = true;
    pthread_mutex_unlock(&worker->lock);
    si_waker_wake(worker->waker);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void on_mail(void *user)
{
    const struct si_answer internal = {.kind = SI_ANSWER_ERROR, .content = si_span_str("internal")};
    struct si_worker *worker = user;
    struct si_mail *mail;
    bool drain_asked;
    int64_t drain_at;

    pthread_mutex_lock(&worker->lock);
    mail = worker->mail;
    worker->mail = NULL;
    worker->mail_end = &worker->mail;
    drain_asked = worker->drain_asked;
    drain_at = worker->drain_at;
    pthread_mutex_unlock(&worker->lock);

    while (mail != NULL) {
        struct si_mail *next = mail->next;

        /* Nobody is left to be told of a failure; this answer needs no memory. */
        if (answer_now(worker, mail->call, &mail->answer) == SOTTO_E_NOMEM)
            (void)answer_now(worker, mail->call, &internal);
        free_mail(mail);
        mail = next;
    }
    if (drain_asked)
        drain(worker, drain_at);
    si_worker_flush(worker);
}

static void set_trim_timer(struct si_worker *worker)
{
    worker->trimming = worker->scratch.large > 0;
    si_timer_set(worker->trim_timer, worker->trimming ? si_now() + TRIM_NS : INT64_MAX);
}

static void trim(void *user)
{
    struct si_worker *worker = user;

    si_scratch_trim(&worker->scratch, false);
    set_trim_timer(worker);
}

void si_worker_flush(struct si_worker *worker)
{
    int64_t now = worker->dirty != NULL ? si_now() : 0;

    while (worker->dirty != NULL)
        si_conn_pump(worker->dirty, now); /* takes it off the list */
    if (worker->scratch.large > 0 && !worker->trimming)
        set_trim_timer(worker);
    stop_if_done(worker);
}

static void end_turn(void *user)
{
    si_worker_flush(user);
}

static void accepted(void *user, int fd, const struct si_sockaddr *peer)
{
    struct si_worker *worker = user;
    const struct si_limits *limits = &worker->server->limits;
    struct si_counters *c = &worker->server->counters;
    uint64_t open = atomic_load_explicit(&c->open, memory_order_relaxed);
    uint64_t admitted = atomic_load_explicit(&c->admitted, memory_order_relaxed);
    uint64_t unauthenticated = atomic_load_explicit(&c->unauthenticated, memory_order_relaxed);

    if (open >= (uint64_t)limits->max_connections + SI_BUSY_EXTRA) {
        (void)close(fd);
        return;
    }
    si_conn_open(worker, fd, peer,
                 admitted >= limits->max_connections ||
                     unauthenticated >= limits->max_unauthenticated);
}

static void *run(void *user)
{
    struct si_worker *worker = user;

    current = worker;
    si_loop_run(worker->loop);
    close_all(worker);
    return NULL;
}

sotto_err si_worker_start(struct si_worker *worker)
{
    sigset_t all, before;
    int failed;

    /* Signals are the host's: none is delivered to a thread of ours. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return failed == 0 ? SOTTO_OK : SOTTO_E_SYSTEM;
}

void si_worker_join(struct si_worker *worker)
{
    pthread_join(worker->thread, NULL);
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

sotto_err si_worker_new(sotto_server *server, unsigned index, const struct si_sockaddr *addr,
                        struct si_sockaddr *bound, struct si_worker **out, sotto_error *error)
{
    struct si_worker *worker = calloc(1, sizeof *worker);
    sotto_err err = SOTTO_E_NOMEM;

    *out = NULL;
    if (worker == NULL)
        return si_error(error, SOTTO_E_NOMEM, "cannot start the server: out of memory");
    worker->server = server;
    worker->index = index;
    worker->mail_end = &worker->mail;
    worker->dirty_end = &worker->dirty;
    pthread_mutex_init(&worker->lock, NULL);
    if ((err = si_scratch_init(&worker->scratch)) != SOTTO_OK ||
        (err = si_calls_new(index, &worker->calls)) != SOTTO_OK ||
        (err = si_loop_new(&worker->loop)) != SOTTO_OK ||
        (err = si_waker_new(worker->loop, on_mail, worker, &worker->waker)) != SOTTO_OK ||
        (err = si_turn_new(worker->loop, end_turn, worker, &worker->turn)) != SOTTO_OK ||
        (err = si_timer_new(worker->loop, look, worker, &worker->due_timer)) != SOTTO_OK ||
        (err = si_timer_new(worker->loop, drain_timed_out, worker, &worker->drain_timer)) !=
            SOTTO_OK ||
        (err = si_timer_new(worker->loop, trim, worker, &worker->trim_timer)) != SOTTO_OK) {
        (void)si_error(error, err, "cannot start the server: %s", sotto_strerror(err));
        if (err == SOTTO_E_SYSTEM)
            si_error_hint(error, "are there file descriptors left? see: ulimit -n");
        si_worker_free(worker);
        return err;
    }
    err = si_listener_new(worker->loop, addr, index == 0, accepted, worker, bound,
                          &worker->listener, error);
    if (err != SOTTO_OK) {
        si_worker_free(worker);
        return err;
    }
    *out = worker;
    return SOTTO_OK;
}

void si_worker_free(struct si_worker *worker)
{
    if (worker == NULL)
        return;
    si_listener_close(worker->listener);
    si_turn_close(worker->turn);
    si_timer_close(worker->due_timer);
    si_timer_close(worker->drain_timer);
    si_timer_close(worker->trim_timer);
    si_waker_close(worker->waker);
    si_loop_free(worker->loop);
    si_calls_free(worker->calls);
    si_scratch_wipe(&worker->scratch);
    while (worker->mail != NULL) {
        struct si_mail *next = worker->mail->next;

        free_mail(worker->mail);
        worker->mail = next;
    }
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
