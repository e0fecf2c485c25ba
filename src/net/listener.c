#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "net/internal.h"

enum { ACCEPTS_PER_TURN = 64, BACKLOG = 4096 }; /* the kernel caps the backlog at somaxconn */

static const int64_t REST_NS = 100 * INT64_C(1000000);

struct si_listener {
    uv_poll_t uv;
    struct si_loop *loop;
    struct si_timer *rested; /* set while accepting rests */
    si_accept_fn *accepted;
    void *user;
    int fd;
    bool closed;
};

/* ---- The socket ---- */

static bool set_option(int fd, int level, int option)
{
    int on = 1;

    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* Bound, or -1 with errno. */
static int bind_socket(const struct si_sockaddr *addr, bool share)
{
    int family = si_sockaddr_family(addr);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int kept;

    if (fd < 0)
        return -1;
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) &&
        (!share || set_option(fd, SOL_SOCKET, SO_REUSEPORT)) &&
        (family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
        bind(fd, si_sockaddr_native(addr), addr->len) == 0)
        return fd;
    kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

/* Without SO_REUSEPORT a bind fails when somebody listens there; SO_REUSEADDR lets connections
 * that linger from an earlier run not count. */
static bool is_free(const struct si_sockaddr *addr)
{
    int probe = bind_socket(addr, false);

    if (probe < 0)
        return false;
    (void)close(probe);
    return true;
}

/* A listening socket, *BOUND its address; or -1 with errno. */
static int open_socket(const struct si_sockaddr *addr, bool first, struct si_sockaddr *bound)
{
    int fd, kept;

    /* A port of the kernel's choice is nobody else's. */
    if (first && si_sockaddr_port(addr) != 0 && !is_free(addr))
        return -1;
    fd = bind_socket(addr, true);
    if (fd < 0)
        return -1;
    /* Accepted sockets inherit TCP_NODELAY: one system call less for each. */
    if (set_option(fd, IPPROTO_TCP, TCP_NODELAY) && listen(fd, BACKLOG) == 0 &&
        si_sockaddr_of(fd, false, bound))
        return fd;
    kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

static const char *hint_of(int sys_errno)
{
    switch (sys_errno) {
    case EADDRINUSE:
        return "another program listens there: stop it, or choose another port";
    case EADDRNOTAVAIL:
        return "no interface of this machine has this address";
    case EACCES:
        return "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher port";
    case EAFNOSUPPORT:
        return "this machine has no such kind of address (IPv6 may be off)";
    case EMFILE:
        return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
    default:
        return "";
    }
}

static sotto_err refuse(sotto_error *error, const struct si_sockaddr *addr, int sys_errno)
{
    sotto_err code = si_net_err(-sys_errno);
    char text[64];

    si_sockaddr_format(addr, text, sizeof text);
    (void)si_error(error, code, "cannot listen on %s", text);
    si_error_errno(error, sys_errno);
    if (sys_errno == EADDRINUSE)
        si_error_why(error, "address already in use");
    si_error_hint(error, "%s", hint_of(sys_errno));
    return code;
}

/* ---- Accepting ---- */

static void on_connections(uv_poll_t *uv, int status, int events);

static void rest(struct si_listener *listener)
{
    (void)uv_poll_stop(&listener->uv);
    si_timer_set(listener->rested, si_now() + REST_NS);
}

static void on_rested(void *user)
{
    struct si_listener *listener = user;

    (void)uv_poll_start(&listener->uv, UV_READABLE, on_connections);
}

/* Errors of the connection that was to be accepted; the next one may be fine.  accept(2) */
static bool is_of_connection(int sys_errno)
{
    switch (sys_errno) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

/* The new socket, or -1 with errno. */
static int accept_one(const struct si_listener *listener, struct si_sockaddr *peer)
{
    struct sockaddr_storage native = {0};
    socklen_t len = sizeof native;
    struct sockaddr *name = (struct sockaddr *)&native;
    int fd = accept4(listener->fd, name, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

    /* Never with TCP; the connection is handed out all the same, its peer shown as "?". */
    if (fd >= 0 && si_sockaddr_from(name, len, peer) != SOTTO_OK)
        memset(peer, 0, sizeof *peer);
    return fd;
}

static void on_connections(uv_poll_t *uv, int status, int events)
{
    struct si_listener *listener = uv->data;

    (void)events;
    if (status < 0) { /* libuv polls it no more */
        rest(listener);
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN && !listener->closed; i++) {
        struct si_sockaddr peer;
        int fd = accept_one(listener, &peer);

        if (fd >= 0) {
            listener->accepted(listener->user, fd, &peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (!is_of_connection(errno)) {
            /* Out of descriptors or memory: the connection stays in the queue and the socket
             * readable. */
            rest(listener);
            return;
        }
    }
}

/* ---- Life ---- */

/* 0 or an errno. */
static int start(struct si_listener *listener)
{
    int status;

    if (si_timer_new(listener->loop, on_rested, listener, &listener->rested) != SOTTO_OK)
        return ENOMEM;
    status = uv_poll_init(&listener->loop->uv, &listener->uv, listener->fd);
    if (status != 0) {
        si_timer_close(listener->rested);
        return -status;
    }
    listener->uv.data = listener;
    (void)uv_poll_start(&listener->uv, UV_READABLE, on_connections);
    return 0;
}

sotto_err si_listener_new(struct si_loop *loop, const struct si_sockaddr *addr, bool first,
                          si_accept_fn *accepted, void *user, struct si_sockaddr *bound,
                          struct si_listener **out, sotto_error *error)
{
    struct si_listener *listener = calloc(1, sizeof *listener);
    int sys_errno;

    *out = NULL;
    if (listener == NULL)
        return refuse(error, addr, ENOMEM);
    listener->loop = loop;
    listener->accepted = accepted;
    listener->user = user;
    listener->fd = open_socket(addr, first, bound);
    sys_errno = listener->fd < 0 ? errno : start(listener);
    if (sys_errno != 0) {
        if (listener->fd >= 0)
            (void)close(listener->fd);
        free(listener);
        return refuse(error, addr, sys_errno);
    }
    *out = listener;
    return SOTTO_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void si_listener_close(struct si_listener *listener)
{
    if (listener == NULL)
        return;
    listener->closed = true;
    si_timer_close(listener->rested);
    uv_close((uv_handle_t *)&listener->uv, on_closed);
    /* uv_close() has taken it out of epoll, so the number may be used again. */
    (void)close(listener->fd);
}
