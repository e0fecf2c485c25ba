/*
 * io_uring next to epoll: a server in one thread that gives back what 64 connections send, with
 * nothing but system calls in it.
 *
 * The server's cost is what the process uses without the load's thread: so the kernel's workers
 * for a ring, which are threads of the process, are counted.  The load checks every byte.  The
 * sockets block, since a ring answers EAGAIN for others; epoll's calls say MSG_DONTWAIT.
 *
 * A server that does nothing else is never behind when the load has a processor of its own: it
 * finds few requests a turn.  One that has no time to spare finds many.  This is what the load on
 * the server's own processor makes, as it runs until all its requests are out.
 */
#include "tries.h"

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    CONNECTIONS = 64,
    MESSAGE = 117,
    IN_FLIGHT_MAX = 64,
    EPOLL_READ = 262144, /* as src/net/ */
    PIECE = 16384,       /* a buffer of a ring; above IN_FLIGHT_MAX * MESSAGE */
    PIECES = 256,        /* in a ring of buffers; a power of two */
    RING = 512,          /* a turn submits two operations a connection at most */
    WARM_UP_NS = 50000000,
    ROUND_NS = 200000000
};

_Static_assert(IN_FLIGHT_MAX *MESSAGE <= PIECE, "all that is in flight fits");
_Static_assert(2 * CONNECTIONS <= RING, "a turn fits");

struct run;

struct loop {
    const char *name;
    void (*serve)(struct run *run); /* until the load has shut all connections down */
    unsigned setup;                 /* flags of the ring */
    bool files;                     /* descriptors are registered, the ring's own, too */
    bool multishot;                 /* one receive for all messages, into a ring of buffers */
    bool fixed;                     /* registered buffers */
};

struct run {
    const struct loop *loop;
    unsigned in_flight;
    int server_fd[CONNECTIONS], load_fd[CONNECTIONS];
    _Atomic uint64_t turns; /* of the server's loop */
    uint64_t calls, turns_measured;
    int64_t ns, server_cpu;
};

/* ---- The load -------------------------------------------------------------------------------- */

struct load {
    struct run *run;
    size_t received[CONNECTIONS], asked[CONNECTIONS]; /* bytes */
    uint64_t answered;                                /* messages */
    unsigned waiting;                                 /* messages in flight */
    bool going_on;
    uint8_t requests[(IN_FLIGHT_MAX + 1) * MESSAGE]; /* the same message again and again */
};

static void ask(struct load *load, unsigned i, size_t messages)
{
    size_t len = messages * MESSAGE;

    tries_require("a request", send(load->run->load_fd[i], load->requests, len,
                                    MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
    load->asked[i] += len;
    load->waiting += (unsigned)messages;
}

static void take_answers(struct load *load, unsigned i)
{
    uint8_t bytes[IN_FLIGHT_MAX * MESSAGE];
    size_t before = load->received[i] / MESSAGE, messages;
    ssize_t n = recv(load->run->load_fd[i], bytes, sizeof bytes, MSG_DONTWAIT);

    tries_require("an answer", n > 0);
    errno = EBADMSG;
    tries_require("the answer to what was asked",
                  memcmp(bytes, load->requests + load->received[i] % MESSAGE, (size_t)n) == 0);
    load->received[i] += (size_t)n;
    messages = load->received[i] / MESSAGE - before;
    load->answered += messages;
    load->waiting -= (unsigned)messages;
    if (load->going_on && messages > 0)
        ask(load, i, messages);
}

static void load_turn(struct load *load, int epoll)
{
    struct epoll_event events[CONNECTIONS];
    int count = epoll_wait(epoll, events, CONNECTIONS, -1);

    tries_require("epoll of the load", count > 0);
    for (int i = 0; i < count; i++)
        take_answers(load, events[i].data.u32);
}

static void load_for(struct load *load, int epoll, int64_t ns)
{
    int64_t end = tries_now() + ns;

    while (tries_now() < end)
        load_turn(load, epoll);
}

/* Only the server's thread counts. */
static void count_turn(struct run *run)
{
    atomic_store_explicit(&run->turns, atomic_load_explicit(&run->turns, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static int watch_all(const int *fds)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    tries_require("epoll", epoll >= 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        tries_require("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
    }
    return epoll;
}

/* The main thread waits meanwhile, so the rest of the process is the server. */
static int64_t server_cpu(void)
{
    return tries_process_cpu() - bench_now();
}

static void *run_load(void *user)
{
    struct run *run = user;
    struct load load = {.run = run, .going_on = true};
    int epoll = watch_all(run->load_fd);

    for (size_t i = 0; i < sizeof load.requests; i++)
        load.requests[i] = (uint8_t)(i % MESSAGE);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        ask(&load, i, run->in_flight);
    load_for(&load, epoll, WARM_UP_NS);
    load.answered = 0;
    run->turns_measured = run->turns;
    run->ns = tries_now();
    run->server_cpu = server_cpu();
    load_for(&load, epoll, ROUND_NS);
    run->server_cpu = server_cpu() - run->server_cpu;
    run->ns = tries_now() - run->ns;
    run->calls = load.answered;
    run->turns_measured = run->turns - run->turns_measured;

    load.going_on = false;
    while (load.waiting > 0)
        load_turn(&load, epoll);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        tries_require("shutdown", shutdown(run->load_fd[i], SHUT_WR) == 0);
    (void)close(epoll);
    return NULL;
}

/* ---- epoll, as now --------------------------------------------------------------------------- */

/* Is the connection still open? */
static bool echo_once(int fd, uint8_t *buf)
{
    ssize_t n = recv(fd, buf, EPOLL_READ, MSG_DONTWAIT);

    tries_require("recv", n >= 0);
    if (n > 0)
        tries_require("send", send(fd, buf, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n);
    return n > 0;
}

static void serve_epoll(struct run *run)
{
    struct epoll_event events[CONNECTIONS];
    unsigned open = CONNECTIONS;
    int epoll = watch_all(run->server_fd);
    uint8_t *buf = malloc(EPOLL_READ);

    tries_require("memory", buf != NULL);
    while (open > 0) {
        int count = epoll_wait(epoll, events, CONNECTIONS, -1);

        tries_require("epoll of the server", count > 0);
        count_turn(run);
        for (int i = 0; i < count; i++) {
            int fd = run->server_fd[events[i].data.u32];

            if (!echo_once(fd, buf)) {
                tries_require("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) == 0);
                open--;
            }
        }
    }
    (void)close(epoll);
    free(buf);
}

/* ---- io_uring -------------------------------------------------------------------------------- */

/* What a completion is of: an operation, its connection, and the piece of memory it used. */
enum op { OP_RECEIVE, OP_SEND };

static uint64_t tag(enum op op, unsigned connection, unsigned piece)
{
    return (uint64_t)piece << 32 | (uint64_t)connection << 1 | (uint64_t)op;
}

struct server {
    struct run *run;
    const struct loop *loop;
    struct io_uring ring;
    struct io_uring_buf_ring *pieces; /* of multishot; piece numbers are buffer numbers */
    size_t pieces_size;
    /* else two pieces a connection by turns: one is sent from while the other waits for more */
    uint8_t *memory; /* PIECES * PIECE */
    unsigned open;
};

static uint8_t *piece_at(const struct server *s, unsigned piece)
{
    return s->memory + (size_t)piece * PIECE;
}

static void failed_uring(const char *what, int result)
{
    errno = -result;
    tries_require(what, result >= 0);
}

static struct io_uring_sqe *next_sqe(struct server *s, unsigned connection, int *fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

    errno = ENOSPC;
    tries_require("an entry of the submission queue", sqe != NULL);
    *fd = s->loop->files ? (int)connection : s->run->server_fd[connection];
    return sqe;
}

static void finish_sqe(const struct server *s, struct io_uring_sqe *sqe, uint64_t data)
{
    if (s->loop->files)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, data);
}

/* What was asked has been answered, so nothing waits in the socket yet: poll before receiving. */
static void submit_receive(struct server *s, unsigned connection, unsigned piece)
{
    int fd;
    struct io_uring_sqe *sqe = next_sqe(s, connection, &fd);

    if (s->loop->multishot) {
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    } else if (s->loop->fixed) {
        io_uring_prep_read_fixed(sqe, fd, piece_at(s, piece), PIECE, 0, 0);
    } else {
        io_uring_prep_recv(sqe, fd, piece_at(s, piece), PIECE, 0);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    }
    finish_sqe(s, sqe, tag(OP_RECEIVE, connection, piece));
}

static void submit_send(struct server *s, unsigned connection, unsigned piece, size_t len)
{
    int fd;
    struct io_uring_sqe *sqe = next_sqe(s, connection, &fd);

    if (s->loop->fixed)
        io_uring_prep_write_fixed(sqe, fd, piece_at(s, piece), (unsigned)len, 0, 0);
    else
        io_uring_prep_send(sqe, fd, piece_at(s, piece), len, MSG_NOSIGNAL | MSG_WAITALL);
    finish_sqe(s, sqe, tag(OP_SEND, connection, piece));
}

static void lend_piece(struct server *s, unsigned piece)
{
    io_uring_buf_ring_add(s->pieces, piece_at(s, piece), PIECE, (unsigned short)piece,
                          io_uring_buf_ring_mask(PIECES), 0);
    io_uring_buf_ring_advance(s->pieces, 1);
}

static void on_received(struct server *s, const struct io_uring_cqe *cqe, unsigned connection)
{
    unsigned piece = (unsigned)(cqe->user_data >> 32);

    if (cqe->res == -ENOBUFS) { /* all pieces are being sent from */
        submit_receive(s, connection, piece);
        return;
    }
    failed_uring("receiving", cqe->res);
    if (cqe->res == 0) {
        s->open--;
        return;
    }
    if (!s->loop->multishot) {
        submit_send(s, connection, piece, (size_t)cqe->res);
        submit_receive(s, connection, piece ^ 1);
        return;
    }
    submit_send(s, connection, cqe->flags >> IORING_CQE_BUFFER_SHIFT, (size_t)cqe->res);
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        submit_receive(s, connection, piece);
}

static void on_completion(struct server *s, const struct io_uring_cqe *cqe)
{
    unsigned connection = (unsigned)(cqe->user_data & UINT32_MAX) >> 1;

    if ((cqe->user_data & 1) == OP_RECEIVE) {
        on_received(s, cqe, connection);
        return;
    }
    failed_uring("sending", cqe->res);
    if (s->loop->multishot)
        lend_piece(s, (unsigned)(cqe->user_data >> 32));
}

static void serve_turns(struct server *s)
{
    while (s->open > 0) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        int result = io_uring_submit_and_wait(&s->ring, 1);

        failed_uring("submitting", result == -EINTR ? 0 : result);
        count_turn(s->run);
        io_uring_for_each_cqe(&s->ring, head, cqe)
        {
            on_completion(s, cqe);
            count++;
        }
        io_uring_cq_advance(&s->ring, count);
    }
}

static void lend_all_pieces(struct server *s)
{
    struct io_uring_buf_reg reg = {.ring_entries = PIECES};

    s->pieces_size = PIECES * sizeof(struct io_uring_buf);
    s->pieces =
        mmap(NULL, s->pieces_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tries_require("memory", s->pieces != MAP_FAILED);
    reg.ring_addr = (uint64_t)(uintptr_t)s->pieces;
    failed_uring("a ring of buffers", io_uring_register_buf_ring(&s->ring, &reg, 0));
    io_uring_buf_ring_init(s->pieces);
    for (unsigned i = 0; i < PIECES; i++)
        lend_piece(s, i);
}

static void server_init(struct server *s)
{
    size_t size = (size_t)PIECES * PIECE;

    failed_uring("a ring", io_uring_queue_init(RING, &s->ring, s->loop->setup));
    s->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tries_require("memory", s->memory != MAP_FAILED);
    if (s->loop->files) {
        failed_uring("registering files",
                     io_uring_register_files(&s->ring, s->run->server_fd, CONNECTIONS));
        failed_uring("registering the ring", io_uring_register_ring_fd(&s->ring));
    }
    if (s->loop->fixed) {
        struct iovec all = {s->memory, size};

        failed_uring("registering buffers", io_uring_register_buffers(&s->ring, &all, 1));
    }
    if (s->loop->multishot)
        lend_all_pieces(s);
}

static void serve_uring(struct run *run)
{
    struct server s = {.run = run, .loop = run->loop, .open = CONNECTIONS};

    server_init(&s);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        submit_receive(&s, i, 2 * i);
    serve_turns(&s);
    io_uring_queue_exit(&s.ring);
    (void)munmap(s.memory, (size_t)PIECES * PIECE);
    if (s.pieces != NULL)
        (void)munmap(s.pieces, s.pieces_size);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

enum {
    COOPERATIVE = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
    DEFERRED = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
};

static const struct loop loops[] = {
    {.name = "epoll, recv, send (as now)", .serve = serve_epoll},
    {.name = "io_uring, plain", .serve = serve_uring},
    {.name = "io_uring, COOP_TASKRUN, files",
     .serve = serve_uring,
     .setup = COOPERATIVE,
     .files = true},
    {.name = "io_uring, DEFER_TASKRUN, files",
     .serve = serve_uring,
     .setup = DEFERRED,
     .files = true},
    {.name = "io_uring, DEFER_TASKRUN, files, fixed buffers",
     .serve = serve_uring,
     .setup = DEFERRED,
     .files = true,
     .fixed = true},
    {.name = "io_uring, DEFER_TASKRUN, files, multishot",
     .serve = serve_uring,
     .setup = DEFERRED,
     .files = true,
     .multishot = true},
};

enum { LOOPS = sizeof loops / sizeof loops[0], COLUMNS = 4 };

static void *run_server(void *user)
{
    struct run *run = user;

    run->loop->serve(run);
    return NULL;
}

static void run_once(const struct loop *loop, unsigned in_flight, int load_cpu, struct run *run)
{
    pthread_t server, load;

    memset(run, 0, sizeof *run);
    run->loop = loop;
    run->in_flight = in_flight;
    tries_watch(loop->name, 20);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        int ends[2];

        tries_connect(ends);
        run->server_fd[i] = ends[0];
        run->load_fd[i] = ends[1];
    }
    tries_start(&server, TRIES_CPU_SERVER, run_server, run);
    tries_start(&load, load_cpu, run_load, run);
    tries_join(load);
    tries_join(server);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        (void)close(run->server_fd[i]);
        (void)close(run->load_fd[i]);
    }
    tries_watch("", 0);
}

/* May this process have such a ring?  Says why not. */
static bool permitted(const struct loop *loop)
{
    struct io_uring ring;
    int result = loop->serve == serve_uring ? io_uring_queue_init(RING, &ring, loop->setup) : 0;

    if (result < 0) {
        printf("  %s: the kernel refuses: %s\n", loop->name, strerror(-result));
        return false;
    }
    if (loop->serve == serve_uring)
        io_uring_queue_exit(&ring);
    return true;
}

static void take_figures(const struct run *run, int round, struct tries_samples *samples)
{
    samples[0].round[round] = (double)run->calls * 1e6 / (double)run->ns;
    samples[1].round[round] = (double)run->server_cpu / (double)run->calls;
    samples[2].round[round] = (double)run->server_cpu * 100 / (double)run->ns;
    samples[3].round[round] = (double)run->calls / (double)run->turns_measured;
}

static void try_in_flight(unsigned in_flight, int load_cpu, const bool *usable)
{
    static const char *const columns[] = {"1000 requests/s", "server, ns/request", "server busy, %",
                                          "requests a turn", NULL};
    static struct tries_samples samples[LOOPS][COLUMNS];
    static struct run run;
    char title[96];

    for (int round = 0; round < tries_rounds; round++) {
        for (size_t i = 0; i < LOOPS; i++) {
            if (usable[i]) {
                run_once(&loops[i], in_flight, load_cpu, &run);
                take_figures(&run, round, samples[i]);
            }
        }
    }
    (void)snprintf(title, sizeof title, "uring: %d x %u in flight, %s processor", CONNECTIONS,
                   in_flight, load_cpu == TRIES_CPU_LOAD ? "load on the other" : "both on one");
    tries_head(title, columns);
    for (size_t i = 0; i < LOOPS; i++) {
        if (usable[i])
            tries_line(loops[i].name, samples[i], COLUMNS);
    }
}

void try_uring(void)
{
    bool usable[LOOPS];
    struct utsname system;

    tries_require("uname", uname(&system) == 0);
    printf("\nuring: %d bytes a request, Linux %s, liburing " TRIES_HAVE_URING "\n", MESSAGE,
           system.release);
    for (size_t i = 0; i < LOOPS; i++)
        usable[i] = permitted(&loops[i]);
    try_in_flight(1, TRIES_CPU_LOAD, usable);
    try_in_flight(IN_FLIGHT_MAX, TRIES_CPU_LOAD, usable);
    try_in_flight(1, TRIES_CPU_SERVER, usable);
    try_in_flight(IN_FLIGHT_MAX, TRIES_CPU_SERVER, usable);
}
