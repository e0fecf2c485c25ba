/*
 * Wake-ups of the loop, and the clock.
 */
#include "layers.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Packets wait in the socket, so that each wake-up finds one: epoll, a read, a write.  The peer
 * sends them, and takes the answers, where it is not timed.
 */
enum { PACKETS = 32, PACKET_LEN = 117 };

struct wakeups {
    int peer, fd, epoll;
    struct si_loop *loop;
    struct si_stream *stream;
    uint8_t *buf;
    size_t answered;
};

static void send_packets(void *user)
{
    struct wakeups *w = user;
    uint8_t packet[PACKET_LEN] = {0};

    while (recv(w->peer, packet, sizeof packet, MSG_DONTWAIT) > 0)
        ;
    for (unsigned i = 0; i < PACKETS; i++)
        require("packets", send(w->peer, packet, sizeof packet, MSG_DONTWAIT) == PACKET_LEN);
}

static void received(void *user, uint8_t *data, size_t len)
{
    struct wakeups *w = user;
    size_t taken;
    int sys_errno;

    require_ok("an answer", si_stream_send(w->stream, data, len, &taken, &sys_errno));
    w->answered += taken;
}

static void unexpected(void *user)
{
    (void)user;
    require("a socket that takes all", false);
}

static void failed(void *user, int sys_errno)
{
    (void)user;
    require(strerror(sys_errno), false);
}

static sotto_err wake_loop(void *user)
{
    struct wakeups *w = user;

    w->answered = 0;
    si_loop_run_once(w->loop);
    return w->answered == PACKET_LEN ? SOTTO_OK : SOTTO_E_LOST;
}

static sotto_err wake_bare(void *user)
{
    const struct wakeups *w = user;
    struct epoll_event event;
    ssize_t len;

    if (epoll_wait(w->epoll, &event, 1, -1) != 1 ||
        (len = recv(w->fd, w->buf, SI_STREAM_READ_SIZE, 0)) != PACKET_LEN ||
        send(w->fd, w->buf, (size_t)len, MSG_NOSIGNAL) != len)
        return SOTTO_E_SYSTEM;
    return SOTTO_OK;
}

static void new_pair(int *peer, int *fd)
{
    int fds[2];

    require("a socket pair",
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *peer = fds[0];
    *fd = fds[1];
}

static void bench_wakeups(void)
{
    static const struct si_stream_callbacks callbacks = {
        .received = received, .writable = unexpected, .failed = failed};
    struct wakeups loop = {0}, bare = {0};
    struct epoll_event event = {.events = EPOLLIN};

    new_pair(&loop.peer, &loop.fd);
    require_ok("a loop", si_loop_new(&loop.loop));
    require_ok("a stream", si_stream_open(loop.loop, loop.fd, &callbacks, &loop, &loop.stream));
    new_pair(&bare.peer, &bare.fd);
    bare.buf = malloc(SI_STREAM_READ_SIZE);
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    require("epoll", bare.buf != NULL && bare.epoll >= 0 &&
                         epoll_ctl(bare.epoll, EPOLL_CTL_ADD, bare.fd, &event) == 0);

    compare(
        (struct bench_work){"loop wake-up, read, write", wake_loop, &loop, send_packets, PACKETS},
        (struct bench_work){NULL, wake_bare, &bare, send_packets, PACKETS}, 1, 0);

    si_stream_close(loop.stream);
    si_loop_free(loop.loop);
    (void)close(loop.peer);
    (void)close(bare.peer);
    (void)close(bare.fd);
    (void)close(bare.epoll);
    free(bare.buf);
}

static sotto_err ask_si_now(void *user)
{
    (void)user;
    return si_now() > 0 ? SOTTO_OK : SOTTO_E_SYSTEM;
}

static sotto_err ask_c_library(void *user)
{
    struct timespec t;

    (void)user;
    return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? SOTTO_OK : SOTTO_E_SYSTEM;
}

void bench_loop(void)
{
    bench_wakeups();
    compare((struct bench_work){.name = "loop si_now", .step = ask_si_now},
            (struct bench_work){.step = ask_c_library}, 1, 0);
}
