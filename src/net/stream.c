#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/internal.h"

/* A peer that sends faster than we read gets at most 4 * 256 KiB of a turn, then the others have
 * theirs. */
enum { READS_PER_TURN = 4 };

struct si_stream {
    uv_poll_t uv;
    struct si_loop *loop;
    const struct si_stream_callbacks *callbacks;
    void *user;
    int fd;
    int armed;      /* the events that libuv polls for */
    int lost_errno; /* why nothing can be sent any more; reading may still go on to the end */
    bool in_event;  /* in on_event(), which arms at its end */
    bool connecting;
    bool paused;
    bool peer_gone;  /* noticed while paused: asking for UV_DISCONNECT again would spin */
    bool ended;      /* the peer's end of stream was told */
    bool broken;     /* `failed` was told, or `connected` with an error */
    bool shut;       /* our side is shut down */
    bool want_write; /* a send took less than all */
    bool closed;
};

/* ---- What to poll for ---- */

static int wanted_events(const struct si_stream *s)
{
    int events = 0;

    if (s->broken)
        return 0;
    if (s->connecting)
        return UV_WRITABLE;
    if (!s->ended && !s->paused)
        events |= UV_READABLE;
    /* A paused stream does not look at its data, but a peer that goes away is noticed. */
    if (!s->ended && s->paused && (!s->peer_gone || s->lost_errno != 0))
        events |= UV_DISCONNECT;
    if (s->want_write)
        events |= UV_WRITABLE;
    return events;
}

static void on_event(uv_poll_t *uv, int status, int events);

/* uv_poll_start() costs two system calls: only for a change, and once for all changes of one
 * event. */
static void arm(struct si_stream *s)
{
    int events = wanted_events(s);

    if (s->closed || s->in_event || events == s->armed)
        return;
    s->armed = events;
    if (events == 0)
        (void)uv_poll_stop(&s->uv);
    else
        (void)uv_poll_start(&s->uv, events, on_event); /* fails only for a foreign descriptor */
}

/* ---- Events ---- */

static int pending_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* Of a connection that the poll calls broken: never 0, or the same event would come for ever. */
static int broken_error(int fd)
{
    int error = pending_error(fd);

    return error != 0 ? error : EIO;
}

static void fail(struct si_stream *s, int sys_errno)
{
    /* A send that failed before took the reason from the socket. */
    if (s->lost_errno == 0)
        s->lost_errno = sys_errno;
    s->broken = true;
    s->callbacks->failed(s->user, s->lost_errno);
}

static void end(struct si_stream *s)
{
    if (s->lost_errno != 0) {
        fail(s, s->lost_errno);
        return;
    }
    s->ended = true;
    s->callbacks->received(s->user, s->loop->read_buf, 0);
}

static ssize_t read_some(const struct si_stream *s)
{
    ssize_t n;

    do
        n = recv(s->fd, s->loop->read_buf, SI_STREAM_READ_SIZE, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

/* POLL_ERROR: the poll says that the connection is broken, so there is an end to be found behind
 * the data. */
static void read_turn(struct si_stream *s, bool poll_error)
{
    for (int i = 0; i < READS_PER_TURN && !s->closed && !s->paused; i++) {
        ssize_t n = read_some(s);

        if (n > 0) {
            s->callbacks->received(s->user, s->loop->read_buf, (size_t)n);
            /* The kernel has no more, and if it does, it tells: that saves asking. */
            if (n < SI_STREAM_READ_SIZE)
                return;
        } else if (n == 0) {
            end(s);
            return;
        } else if (errno != EAGAIN) {
            fail(s, errno);
            return;
        } else {
            if (poll_error)
                fail(s, broken_error(s->fd));
            return;
        }
    }
}

/* The kernel may connect a socket to itself, when nobody listens and the port it chose for us is
 * the one we asked for; the port is then blocked for its server. */
static bool is_self(int fd)
{
    struct si_sockaddr own, peer;

    return si_sockaddr_of(fd, false, &own) && si_sockaddr_of(fd, true, &peer) &&
           own.len == peer.len && memcmp(own.bytes, peer.bytes, own.len) == 0;
}

static void finish_connect(struct si_stream *s)
{
    int error = pending_error(s->fd);

    if (error == 0 && is_self(s->fd))
        error = ECONNREFUSED;
    s->connecting = false;
    s->broken = error != 0;
    s->lost_errno = error;
    s->callbacks->connected(s->user, error);
}

static void handle_event(struct si_stream *s, int status, int events)
{
    bool poll_error = status < 0;

    if (s->connecting) {
        finish_connect(s);
        return;
    }
    if (poll_error && (s->paused || s->ended)) {
        fail(s, broken_error(s->fd));
        return;
    }
    /* Sending first: what the callback has waiting relieves it before more comes in. */
    if ((events & UV_WRITABLE) != 0 && s->want_write) {
        s->want_write = false;
        s->callbacks->writable(s->user);
    }
    if (s->closed)
        return;
    if ((events & UV_DISCONNECT) != 0 && s->paused) {
        s->peer_gone = true;
        if (s->lost_errno != 0)
            fail(s, s->lost_errno);
    } else if ((events & UV_READABLE) != 0 || poll_error) {
        read_turn(s, poll_error);
    }
}

static void on_event(uv_poll_t *uv, int status, int events)
{
    struct si_stream *s = uv->data;

    if (status < 0) /* libuv has stopped polling */
        s->armed = 0;
    s->in_event = true;
    handle_event(s, status, events);
    s->in_event = false;
    arm(s); /* not when closed; the memory lives until on_closed() */
}

/* ---- Life ---- */

/* Owns FD then; or NULL with *SYS_ERRNO, and FD is closed. */
static struct si_stream *stream_new(struct si_loop *loop, int fd,
                                    const struct si_stream_callbacks *callbacks, void *user,
                                    int *sys_errno)
{
    struct si_stream *s = calloc(1, sizeof *s);
    int status = s == NULL ? UV_ENOMEM : uv_poll_init(&loop->uv, &s->uv, fd);

    *sys_errno = -status; /* libuv's codes are errno's, negative */
    if (status != 0) {
        (void)close(fd);
        free(s);
        return NULL;
    }
    s->uv.data = s;
    s->loop = loop;
    s->callbacks = callbacks;
    s->user = user;
    s->fd = fd;
    return s;
}

sotto_err si_stream_open(struct si_loop *loop, int fd, const struct si_stream_callbacks *callbacks,
                         void *user, struct si_stream **out)
{
    int sys_errno;
    struct si_stream *s = stream_new(loop, fd, callbacks, user, &sys_errno);

    *out = s;
    if (s == NULL)
        return si_net_err(-sys_errno);
    arm(s);
    return SOTTO_OK;
}

/* A socket that connects, or -1 with errno. */
static int connect_socket(const struct si_sockaddr *addr)
{
    int fd = socket(si_sockaddr_family(addr), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int kept;

    if (fd < 0)
        return -1;
    /* Interrupted, it goes on in the background like any other. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        (connect(fd, si_sockaddr_native(addr), addr->len) == 0 || errno == EINPROGRESS ||
         errno == EINTR))
        return fd;
    kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

sotto_err si_stream_connect(struct si_loop *loop, const struct si_sockaddr *addr,
                            const struct si_stream_callbacks *callbacks, void *user,
                            struct si_stream **out, int *sys_errno)
{
    int fd = connect_socket(addr);
    struct si_stream *s;

    *out = NULL;
    if (fd < 0) {
        *sys_errno = errno;
        return si_net_err(-errno);
    }
    s = stream_new(loop, fd, callbacks, user, sys_errno);
    if (s == NULL)
        return si_net_err(-*sys_errno);
    s->connecting = true;
    arm(s);
    *out = s;
    return SOTTO_OK;
}

/* ---- Sending ---- */

/* What the peer sent before may still be read; behind it stands failed(). */
static sotto_err lose(struct si_stream *s, int *sys_errno)
{
    if (s->lost_errno == 0) {
        s->lost_errno = errno;
        s->want_write = false;
        /* So that there is an end behind the data, whatever the error was. */
        (void)shutdown(s->fd, SHUT_RDWR);
        arm(s);
    }
    *sys_errno = s->lost_errno;
    return SOTTO_E_LOST;
}

sotto_err si_stream_send(struct si_stream *s, const uint8_t *data, size_t len, size_t *taken,
                         int *sys_errno)
{
    ssize_t n;

    *taken = 0;
    *sys_errno = s->lost_errno;
    if (s->lost_errno != 0)
        return SOTTO_E_LOST;
    if (s->shut)
        return SOTTO_E_USAGE;
    if (s->connecting || len == 0)
        return SOTTO_OK;

    do
        n = send(s->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        return lose(s, sys_errno);
    *taken = n < 0 ? 0 : (size_t)n;
    if (*taken < len) {
        s->want_write = true;
        arm(s);
    }
    return SOTTO_OK;
}

void si_stream_pause(struct si_stream *s, bool paused)
{
    s->paused = paused;
    arm(s);
}

void si_stream_shutdown(struct si_stream *s)
{
    if (s->connecting || s->shut)
        return;
    s->shut = true;
    s->want_write = false;
    (void)shutdown(s->fd, SHUT_WR); /* ENOTCONN when it is broken already */
    arm(s);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void si_stream_close(struct si_stream *s)
{
    if (s == NULL)
        return;
    s->closed = true;
    uv_close((uv_handle_t *)&s->uv, on_closed);
    /* uv_close() has taken it out of epoll, so the number may be used again. */
    (void)close(s->fd);
}
