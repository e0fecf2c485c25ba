#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

enum {
    READ_SIZE = 262144,
    READS_PER_TURN = 4,
    EVENTS_PER_TURN = 256,
    OPENING_AT_ONCE = 64, /* below what a server takes of connections without handshake */
    ERRORS_MAX = 100,     /* of connections that came to nothing, before one has succeeded */
    TICK_MS = 1000,       /* how often the sessions' deadlines are looked at */
    OPEN_TIMEOUT_S = 60
};

/* One connection, used again for the next when it is over. */
struct conn {
    struct load *load;
    sotto_session *session; /* NULL while connecting, and between two connections */
    int fd;                 /* -1: none */
    uint32_t polled;        /* the events that epoll waits for */
    bool idle;              /* one of those that do nothing */
    bool open;              /* the session is */
    bool wants_write;       /* the kernel did not take all */
    bool counted;           /* what this connection was for has happened */
    int64_t *began;         /* of the calls in flight, by slot; or of the connection */
};

struct load {
    struct load_plan plan;
    struct conn *conns;
    unsigned conn_count; /* idle ones included */
    unsigned opened;
    int epoll;
    char **heads; /* by slot: the request up to its content */
    size_t *head_lens;
    int64_t *began; /* the conns' own */
    uint8_t *input; /* READ_SIZE bytes and padding */
    int64_t ticked;
    bool running; /* answered calls are followed by new ones */
    bool failed;
    bool fruit;         /* a connection has done what it was for, in the warm-up or later */
    unsigned fruitless; /* connections that came to nothing */
    int64_t counts_from;
    struct load_result *result; /* while it runs */
    sotto_error error;          /* the first one */
    char error_code[LOAD_CODE_SIZE];
};

int64_t load_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t cpu_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* The first error is kept. */
static void note_error(struct load *load, sotto_err err, const char *what, const char *why)
{
    if (load->error.code != SOTTO_OK)
        return;
    error_what(&load->error, err, "%s", what);
    error_why(&load->error, "%s", why);
}

/* The load cannot go on: this is the error that counts, whatever was noted before. */
static void fail_load(struct load *load, sotto_err err, const char *what, const char *why)
{
    load->error.code = SOTTO_OK;
    load->error_code[0] = '\0';
    note_error(load, err, what, why);
    load->failed = true;
}

static void reopen(struct conn *conn);

/* The connection has come to nothing.  Where sessions are to stay open, that is the end. */
static void conn_failed(struct conn *conn, sotto_err err, const char *why)
{
    struct load *load = conn->load;

    if (load->result == NULL || load->plan.repeat == LOAD_CALLS || conn->idle ||
        (++load->fruitless >= ERRORS_MAX && !load->fruit)) {
        fail_load(load, err, "a connection was lost", why);
        return;
    }
    note_error(load, err, "a connection was lost", why);
    load->result->errors++;
    reopen(conn);
}

static void session_failed(struct conn *conn, sotto_err err)
{
    const char *code = sotto_session_refusal_code(conn->session);

    if (strcmp(code, "busy") == 0)
        err = SOTTO_E_UNAVAILABLE; /* as sotto call has it */
    conn_failed(conn, err, code[0] != '\0' ? code : sotto_strerror(err));
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static bool counts(const struct load *load, int64_t now)
{
    return load->result != NULL && now >= load->counts_from;
}

static void finish_one(struct conn *conn, int64_t began, int64_t now)
{
    struct load *load = conn->load;

    load->fruit = true;
    if (!counts(load, now))
        return;
    load->result->calls++;
    histogram_add(&load->result->latency, now - began);
}

/* False: the connection is another one now, or none. */
static bool send_call(struct conn *conn, unsigned slot, int64_t now)
{
    const struct load *load = conn->load;
    const sotto_piece pieces[] = {{load->heads[slot], load->head_lens[slot]},
                                  {load->plan.content, load->plan.content_len},
                                  {"}", 1}};
    sotto_err err = sotto_session_send(conn->session, pieces, 3);

    conn->began[slot] = now;
    if (err == SOTTO_OK)
        return true;
    conn_failed(conn, err,
                err == SOTTO_E_TOO_LARGE ? "the server takes no request as large"
                                         : sotto_strerror(err));
    return false;
}

/* The number behind {"id": at the front of an answer, as servers write it; 0: none. */
static unsigned answer_id(const uint8_t *text, size_t len, size_t *end)
{
    static const char front[] = "{\"id\":";
    size_t at = sizeof front - 1;
    unsigned id = 0;

    if (len < at || memcmp(text, front, at) != 0)
        return 0;
    for (; at < len && at < 16 && text[at] >= '0' && text[at] <= '9'; at++)
        id = id * 10 + (unsigned)(text[at] - '0');
    *end = at;
    return id;
}

static bool begins(const uint8_t *text, size_t len, const char *with)
{
    return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static bool ends(const uint8_t *text, size_t len, const char *with)
{
    return len >= strlen(with) && memcmp(text + len - strlen(with), with, strlen(with)) == 0;
}

/* The code in an error answer, as servers write it; "" when it is not found. */
static void failure_code(const uint8_t *text, size_t len, char *code, size_t size)
{
    static const char front[] = "\"code\":\"";
    const uint8_t *found = memmem(text, len, front, sizeof front - 1);
    size_t n = 0;

    for (found = found != NULL ? found + sizeof front - 1 : text + len;
         found + n < text + len && found[n] > ' ' && found[n] != '"' && n + 1 < size; n++)
        code[n] = (char)found[n];
    code[n] = '\0';
}

/* An error answer is counted, and the load goes on. */
static void take_failure(struct load *load, const uint8_t *text, size_t len, int64_t now)
{
    if (load->error.code == SOTTO_OK)
        failure_code(text, len, load->error_code, sizeof load->error_code);
    note_error(load, SOTTO_E_CALL, "a call was answered with an error", load->error_code);
    if (counts(load, now))
        load->result->errors++;
}

static void on_answer(struct conn *conn, const uint8_t *text, size_t len, int64_t now)
{
    struct load *load = conn->load;
    size_t end = 0;
    unsigned id = answer_id(text, len, &end);

    if (id == 0 || id > load->plan.in_flight) {
        if (begins(text, len, "{\"close\":"))
            sotto_session_peer_closed(conn->session);
        if (!conn->counted)
            conn_failed(conn, SOTTO_E_UNAVAILABLE, "the server ended the session");
        return;
    }
    if (ends(text, len, ",\"more\":true}"))
        return;
    if (begins(text + end, len - end, ",\"error\":"))
        take_failure(load, text, len, now);
    else
        finish_one(conn, conn->began[id - 1], now);
    conn->counted = load->plan.repeat == LOAD_SESSIONS;
    if (load->running && load->plan.repeat == LOAD_CALLS)
        (void)send_call(conn, id - 1, now);
}

/* ---- Events of a session --------------------------------------------------------------------- */

static void begin_calls(struct conn *conn, int64_t now)
{
    if (conn->idle)
        return;
    for (unsigned slot = 0; slot < conn->load->plan.in_flight; slot++)
        if (!send_call(conn, slot, now))
            return;
}

static void on_open(struct conn *conn)
{
    struct load *load = conn->load;
    int64_t began = conn->began[0];

    conn->open = true;
    load->opened++;
    if (load->plan.repeat != LOAD_SESSIONS || conn->idle)
        return;
    /* A call and the last word in one record; what counts is the time since the connection. */
    if (send_call(conn, 0, began) &&
        sotto_session_close(conn->session, "done", NULL, 0) != SOTTO_OK)
        session_failed(conn, sotto_session_error(conn->session));
}

/* The key of a bootstrap has to be the one that was trusted before. */
static void on_key(struct conn *conn, const sotto_public_key *key)
{
    sotto_err err = SOTTO_E_KEY_MISMATCH;

    if (sotto_public_key_equal(key, conn->load->plan.trusted))
        err = sotto_session_accept_key(conn->session);
    if (err != SOTTO_OK)
        conn_failed(conn, err, sotto_strerror(err));
}

static void on_event(struct conn *conn, const sotto_event *event, int64_t now)
{
    switch (event->type) {
    case SOTTO_EVENT_SERVER_KEY:
        on_key(conn, event->key);
        break;
    case SOTTO_EVENT_BOOTSTRAP:
        finish_one(conn, conn->began[0], now);
        conn->counted = true;
        break;
    case SOTTO_EVENT_OPEN:
        on_open(conn);
        break;
    case SOTTO_EVENT_MESSAGE:
        on_answer(conn, event->data, event->len, now);
        break;
    }
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void poll_for(struct conn *conn, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = conn};

    if (events == conn->polled)
        return;
    (void)epoll_ctl(conn->load->epoll, conn->polled == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, conn->fd,
                    &e);
    conn->polled = events;
}

/* One send.  False: nothing more can be sent now. */
static bool send_some(struct conn *conn)
{
    const uint8_t *data;
    size_t len;
    ssize_t n;

    if (sotto_session_output(conn->session, &data, &len, load_now()) != SOTTO_OK) {
        session_failed(conn, sotto_session_error(conn->session));
        return false;
    }
    n = len > 0 ? send(conn->fd, data, len, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        /* What the server said before it closed is still to be read. */
        return false;
    }
    n = n < 0 ? 0 : n;
    sotto_session_sent(conn->session, (size_t)n);
    if (conn->load->result != NULL)
        conn->load->result->bytes_sent += (uint64_t)n;
    conn->wants_write = (size_t)n < len;
    return !conn->wants_write;
}

/* Send what waits and do what the session wants. */
static void flush(struct conn *conn)
{
    unsigned want;

    while (conn->session != NULL && !conn->load->failed &&
           ((want = sotto_session_want(conn->session)) &
            (SOTTO_WANT_OUTPUT | SOTTO_WANT_SHUTDOWN)) != 0) {
        if ((want & SOTTO_WANT_OUTPUT) == 0) {
            (void)shutdown(conn->fd, SHUT_WR);
            sotto_session_shut(conn->session, load_now());
        } else if (!send_some(conn)) {
            break;
        }
    }
    if (conn->session != NULL && conn->fd >= 0)
        poll_for(conn, EPOLLIN | (conn->wants_write ? EPOLLOUT : 0u));
}

static void on_end(struct conn *conn)
{
    if (conn->counted)
        reopen(conn);
    else if (sotto_session_eof(conn->session, load_now()) != SOTTO_OK)
        session_failed(conn, sotto_session_error(conn->session));
    else
        conn_failed(conn, SOTTO_E_LOST, "the server closed the connection");
}

/* Everything in DATA.  False: the connection is another one now, or none. */
static bool take(struct conn *conn, uint8_t *data, size_t len, int64_t now)
{
    sotto_session *session = conn->session;
    sotto_event event;
    sotto_err err = SOTTO_OK;

    while (len > 0 && err == SOTTO_OK) {
        size_t taken;

        err = sotto_session_feed(session, data, len, &taken, now);
        data += taken;
        len -= taken;
        while (err == SOTTO_OK && sotto_session_next(session, &event) == SOTTO_OK) {
            on_event(conn, &event, now);
            if (conn->session != session || conn->load->failed)
                return false;
        }
        if (err == SOTTO_OK && taken == 0)
            err = SOTTO_E_PROTOCOL;
    }
    if (err == SOTTO_OK)
        err = sotto_session_error(session);
    if (err != SOTTO_OK && !conn->counted) {
        session_failed(conn, err);
        return false;
    }
    return true;
}

static void on_readable(struct conn *conn)
{
    for (int i = 0; i < READS_PER_TURN && conn->session != NULL && !conn->load->failed; i++) {
        ssize_t n = recv(conn->fd, conn->load->input, READ_SIZE, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0 && !conn->counted) {
            conn_failed(conn, SOTTO_E_LOST, strerror(errno));
            return;
        }
        if (n <= 0) {
            on_end(conn);
            return;
        }
        if (conn->load->result != NULL)
            conn->load->result->bytes_received += (uint64_t)n;
        if (!take(conn, conn->load->input, (size_t)n, load_now()))
            return;
        flush(conn);
        if (n < READ_SIZE)
            return;
    }
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void close_conn(struct conn *conn)
{
    sotto_session_free(conn->session);
    conn->session = NULL;
    if (conn->fd >= 0)
        (void)close(conn->fd);
    conn->fd = -1;
    conn->polled = 0;
    conn->load->opened -= conn->open;
    conn->open = conn->wants_write = conn->counted = false;
}

static void connect_conn(struct conn *conn)
{
    struct load *load = conn->load;
    const struct sockaddr *addr = (const struct sockaddr *)&load->plan.addr;
    int on = 1;

    conn->began[0] = load_now();
    conn->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (conn->fd < 0 || setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        (connect(conn->fd, addr, load->plan.addr_len) != 0 && errno != EINPROGRESS)) {
        fail_load(load, SOTTO_E_CONNECT, "cannot open a connection", strerror(errno));
        return;
    }
    poll_for(conn, EPOLLOUT);
}

static void reopen(struct conn *conn)
{
    close_conn(conn);
    if (conn->load->running)
        connect_conn(conn);
}

static void on_connected(struct conn *conn)
{
    struct load *load = conn->load;
    int error = 0;
    socklen_t len = sizeof error;
    sotto_err err;

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        fail_load(load, SOTTO_E_CONNECT, "cannot open a connection", strerror(error));
        return;
    }
    err = sotto_session_client_new(&load->plan.session, load_now(), &conn->session);
    if (err != SOTTO_OK) {
        fail_load(load, err, "cannot begin a handshake", sotto_strerror(err));
        return;
    }
    flush(conn);
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* Keep-alives, and servers that have fallen silent. */
static void tick(struct load *load, int64_t now)
{
    load->ticked = now;
    for (unsigned i = 0; i < load->conn_count && !load->failed; i++) {
        struct conn *conn = &load->conns[i];

        if (conn->session == NULL || now < sotto_session_deadline(conn->session))
            continue;
        if (sotto_session_tick(conn->session, now) != SOTTO_OK)
            session_failed(conn, sotto_session_error(conn->session));
        else
            flush(conn);
    }
}

static void turn(struct load *load)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(load->epoll, events, EVENTS_PER_TURN, TICK_MS / 10);

    for (int i = 0; i < count && !load->failed; i++) {
        struct conn *conn = events[i].data.ptr;

        if (conn->fd < 0)
            continue;
        if (conn->session == NULL) {
            on_connected(conn);
            continue;
        }
        if ((events[i].events & EPOLLOUT) != 0 && conn->wants_write)
            flush(conn);
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            on_readable(conn);
    }
}

static void loop_until(struct load *load, int64_t end)
{
    for (int64_t now = load_now(); now < end && !load->failed && !atomic_load(load->plan.over);
         now = load_now()) {
        turn(load);
        if (now - load->ticked > TICK_MS * INT64_C(1000000))
            tick(load, now);
    }
}

bool load_run(struct load *load, int64_t begin, int64_t end, struct load_result *result)
{
    int64_t cpu, began;

    memset(result, 0, sizeof *result);
    load->result = result;
    load->counts_from = INT64_MAX;
    load->running = true;
    for (unsigned i = load->plan.idle; i < load->conn_count && !load->failed; i++) {
        struct conn *conn = &load->conns[i];

        if (load->plan.repeat == LOAD_CALLS)
            begin_calls(conn, load_now());
        else
            connect_conn(conn);
        if (!load->failed)
            flush(conn);
    }
    loop_until(load, begin);
    result->bytes_sent = result->bytes_received = result->errors = 0;
    began = load->counts_from = load_now(); /* a turn may have taken longer */
    cpu = cpu_now();
    loop_until(load, began + (end - begin));
    result->cpu_ns = cpu_now() - cpu;
    result->ns = load_now() - began;
    if (load->failed)
        atomic_store(load->plan.over, true);
    load->running = false;
    load->result = NULL;
    result->error = load->error;
    memcpy(result->error_code, load->error_code, sizeof result->error_code);
    return !load->failed;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* {"id":1,"endpoint":"echo","content": */
static bool make_heads(struct load *load)
{
    unsigned count = load->plan.in_flight;
    size_t size = strlen(load->plan.endpoint) + 64;

    load->heads = calloc(count, sizeof *load->heads);
    load->head_lens = calloc(count, sizeof *load->head_lens);
    for (unsigned slot = 0; load->heads != NULL && load->head_lens != NULL && slot < count;
         slot++) {
        if ((load->heads[slot] = malloc(size)) == NULL)
            return false;
        load->head_lens[slot] = (size_t)snprintf(
            load->heads[slot], size, "{\"id\":%u,\"endpoint\":\"%s\",\"content\":", slot + 1,
            load->plan.endpoint);
    }
    return load->heads != NULL && load->head_lens != NULL;
}

static bool make_conns(struct load *load)
{
    const struct load_plan *plan = &load->plan;

    load->conn_count = plan->idle + plan->connections;
    load->conns = calloc(load->conn_count, sizeof *load->conns);
    load->began = calloc((size_t)load->conn_count * plan->in_flight, sizeof *load->began);
    load->input = calloc(1, READ_SIZE + SOTTO_MESSAGE_PADDING);
    if (load->conns == NULL || load->began == NULL || load->input == NULL) {
        load->conn_count = 0; /* none to be closed */
        return false;
    }
    for (unsigned i = 0; i < load->conn_count; i++)
        load->conns[i] = (struct conn){.load = load,
                                       .fd = -1,
                                       .idle = i < plan->idle,
                                       .began = load->began + (size_t)i * plan->in_flight};
    return true;
}

/* Bring up the first WANTED connections, a few at a time. */
static sotto_err open_all(struct load *load, unsigned wanted)
{
    int64_t until = load_now() + OPEN_TIMEOUT_S * INT64_C(1000000000);
    unsigned begun = 0;

    while (load->opened < wanted && !load->failed) {
        for (; begun < wanted && begun - load->opened < OPENING_AT_ONCE && !load->failed; begun++)
            connect_conn(&load->conns[begun]);
        turn(load);
        tick(load, load_now());
        if (load_now() > until && !load->failed) {
            note_error(load, SOTTO_E_TIMEOUT, "the sessions cannot be opened",
                       "the server takes too long");
            load->failed = true;
        }
    }
    return load->failed ? load->error.code : SOTTO_OK;
}

sotto_err load_open(const struct load_plan *plan, struct load **out, sotto_error *error)
{
    struct load *load = calloc(1, sizeof *load);
    sotto_err err;

    *out = load;
    if (load != NULL) {
        load->plan = *plan;
        load->plan.session.input_padding = SOTTO_MESSAGE_PADDING;
        load->epoll = epoll_create1(EPOLL_CLOEXEC);
        load->ticked = load_now();
    }
    if (load == NULL || !make_heads(load) || !make_conns(load)) {
        error_what(error, SOTTO_E_NOMEM, "cannot prepare the load: out of memory");
        return SOTTO_E_NOMEM;
    }
    if (load->epoll < 0) {
        error_what(error, SOTTO_E_SYSTEM, "cannot prepare the load");
        error_why(error, "%s", strerror(errno));
        return SOTTO_E_SYSTEM;
    }
    err = open_all(load, plan->idle + (plan->repeat == LOAD_CALLS ? plan->connections : 0));
    if (err != SOTTO_OK)
        *error = load->error;
    return err;
}

void load_free(struct load *load)
{
    if (load == NULL)
        return;
    load->running = false;
    for (unsigned i = 0; load->conns != NULL && i < load->conn_count; i++) {
        struct conn *conn = &load->conns[i];

        if (conn->open && !load->failed &&
            sotto_session_close(conn->session, "done", NULL, 0) == SOTTO_OK)
            flush(conn);
        close_conn(conn);
    }
    for (unsigned slot = 0; load->heads != NULL && slot < load->plan.in_flight; slot++)
        free(load->heads[slot]);
    free(load->heads);
    free(load->head_lens);
    free(load->conns);
    free(load->began);
    free(load->input);
    if (load->epoll >= 0)
        (void)close(load->epoll);
    free(load);
}
