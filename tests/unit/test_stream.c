/*
 * Streams and listeners over the loopback interface.  Some system calls are replaced, to count them
 * or to let them fail.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/buf.h"
#include "failing_malloc.h"
#include "net_test.h"

/* ---- Replaced system calls ---- */

static int accept_calls, accept_errno_once, send_errno_once;
static bool connect_to_self, recv_is_full;

int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
    accept_calls++;
    if (accept_errno_once != 0) {
        errno = accept_errno_once;
        accept_errno_once = 0;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, addr.__sockaddr__, len, flags);
}

/* How much the kernel lets gather is its own affair, and may be less than a whole read: with
 * recv_is_full there is always that much. */
ssize_t recv(int fd, void *data, size_t len, int flags)
{
    if (recv_is_full) {
        memset(data, 0, len);
        return (ssize_t)len;
    }
    return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (send_errno_once != 0) {
        errno = send_errno_once;
        send_errno_once = 0;
        return -1;
    }
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    if (connect_to_self && bind(fd, addr, len) != 0)
        return -1;
    return (int)syscall(SYS_connect, fd, addr.__sockaddr__, len);
}

static int set_up_calls(void **state)
{
    accept_calls = accept_errno_once = send_errno_once = 0;
    connect_to_self = recv_is_full = false;
    return set_up(state);
}

/* ---- The ends of a connection ---- */

static struct si_sockaddr address(const char *host, uint16_t port)
{
    struct si_sockaddr addr;

    assert_int_equal(si_sockaddr_parse(host, port, &addr), SOTTO_OK);
    return addr;
}

/* One end of a connection.  It asserts what every callback may rely on. */
struct end {
    struct si_stream *stream;
    bool connected, eof, failed, closed, paused;
    int connect_errno, fail_errno, writables;
    size_t received, sent, to_send, reads;
    bool echo, pattern, close_in_received, close_at_eof, close_in_writable, close_in_failed,
        close_in_connected, close_in_full, pause_in_full, lose_and_close;
    struct si_buf pending;
};

static void end_close(struct end *end)
{
    si_stream_close(end->stream);
    end->stream = NULL;
    end->closed = true;
    si_buf_free(&end->pending);
}

static uint8_t pattern_at(size_t at)
{
    return (uint8_t)(at * 131 + (at >> 8) * 17 + (at >> 16));
}

static void end_pump(struct end *end)
{
    uint8_t chunk[65536];
    size_t taken = 1;
    int sys_errno;

    while (end->sent < end->to_send && taken > 0) {
        size_t len = end->to_send - end->sent;

        len = len < sizeof chunk ? len : sizeof chunk;
        for (size_t i = 0; i < len; i++)
            chunk[i] = pattern_at(end->sent + i);
        assert_int_equal(si_stream_send(end->stream, chunk, len, &taken, &sys_errno), SOTTO_OK);
        end->sent += taken;
        if (taken < len)
            break;
    }
}

static void end_flush(struct end *end)
{
    size_t taken;
    int sys_errno;

    if (end->pending.len == 0)
        return;
    assert_int_equal(
        si_stream_send(end->stream, end->pending.ptr, end->pending.len, &taken, &sys_errno),
        SOTTO_OK);
    si_buf_consume(&end->pending, taken);
}

static void on_connected(void *user, int sys_errno)
{
    struct end *end = user;

    assert_false(end->closed || end->connected || end->connect_errno != 0);
    end->connected = sys_errno == 0;
    end->connect_errno = sys_errno;
    if (end->close_in_connected)
        end_close(end);
}

static void on_received(void *user, uint8_t *data, size_t len)
{
    struct end *end = user;
    unsigned padding = 0;

    assert_false(end->closed || end->eof || end->failed || end->paused);
    end->reads++;
    for (int i = 0; i < SI_STREAM_PADDING; i++)
        padding += data[len + (size_t)i];
    assert_true(padding < 256 * SI_STREAM_PADDING);
    for (size_t i = 0; i < len && end->pattern; i++)
        assert_int_equal(data[i], pattern_at(end->received + i));
    end->received += len;
    end->eof = len == 0;
    if (end->echo && len > 0) {
        assert_int_equal(si_buf_put(&end->pending, data, len), SOTTO_OK);
        end_flush(end);
    }
    memset(data, 0xee, len); /* it is the callback's */
    if (len > 0 ? end->close_in_received : end->close_at_eof)
        end_close(end);
    else if (len == SI_STREAM_READ_SIZE && end->close_in_full)
        end_close(end);
    else if (len == SI_STREAM_READ_SIZE && end->pause_in_full)
        si_stream_pause(end->stream, end->paused = true);
}

static void on_writable(void *user)
{
    struct end *end = user;

    assert_false(end->closed || end->failed);
    end->writables++;
    if (end->lose_and_close) {
        size_t taken;
        int sys_errno;

        send_errno_once = ENOBUFS;
        assert_int_equal(si_stream_send(end->stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                         SOTTO_E_LOST);
    }
    if (end->close_in_writable || end->lose_and_close) {
        end_close(end);
        return;
    }
    if (end->echo)
        end_flush(end);
    else
        end_pump(end);
}

static void on_failed(void *user, int sys_errno)
{
    struct end *end = user;

    assert_false(end->closed || end->failed);
    assert_true(sys_errno > 0);
    end->failed = true;
    end->fail_errno = sys_errno;
    if (end->close_in_failed)
        end_close(end);
}

static const struct si_stream_callbacks callbacks = {on_connected, on_received, on_writable,
                                                     on_failed};

/* A listener that opens an end for each connection. */
struct host {
    struct si_listener *listener;
    struct si_sockaddr addr;
    struct end ends[256];
    int count;
    bool echo, closed, close_in_accept, only_close_fd;
};

static void on_accepted(void *user, int fd, const struct si_sockaddr *peer)
{
    struct host *host = user;
    struct end *end = &host->ends[host->count];

    assert_false(host->closed);
    assert_true(host->count < (int)SI_COUNT(host->ends));
    assert_true(si_sockaddr_is_loopback(peer));
    host->count++;
    if (host->only_close_fd) {
        (void)close(fd);
    } else {
        end->echo = host->echo;
        end->pending = si_buf(1 << 24);
        assert_int_equal(si_stream_open(loop, fd, &callbacks, end, &end->stream), SOTTO_OK);
    }
    if (host->close_in_accept) {
        si_listener_close(host->listener);
        host->closed = true;
    }
}

static struct host *host_new_at(const char *ip)
{
    struct host *host = calloc(1, sizeof *host);
    struct si_sockaddr addr = address(ip, 0);

    assert_non_null(host);
    assert_int_equal(
        si_listener_new(loop, &addr, true, on_accepted, host, &host->addr, &host->listener, NULL),
        SOTTO_OK);
    return host;
}

static struct host *host_new(void)
{
    return host_new_at("127.0.0.1");
}

static void host_free(struct host *host)
{
    for (int i = 0; i < host->count; i++) {
        if (host->ends[i].stream != NULL)
            end_close(&host->ends[i]);
    }
    if (!host->closed)
        si_listener_close(host->listener);
    host->closed = true;
    for (int turn = 0; turn < 3; turn++) {
        struct si_waker *waker; /* keeps the turn from waiting */
        bool woken = false;

        assert_int_equal(si_waker_new(loop, set_flag, &woken, &waker), SOTTO_OK);
        si_waker_wake(waker);
        si_loop_run_once(loop);
        si_waker_close(waker);
    }
    free(host);
}

static void end_connect(struct end *end, const struct si_sockaddr *addr)
{
    int sys_errno = -1;

    end->pending = si_buf(1 << 24);
    assert_int_equal(si_stream_connect(loop, addr, &callbacks, end, &end->stream, &sys_errno),
                     SOTTO_OK);
    assert_int_equal(sys_errno, 0);
    assert_false(end->connected); /* never inside the function that asked */
}

/* A blocking client without the library: the peer of the tests that need a rude one. */
static int raw_connect(const struct si_sockaddr *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in v4;

    memcpy(&v4, addr->bytes, sizeof v4);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&v4, sizeof v4), 0);
    return fd;
}

static void raw_reset(int fd)
{
    struct linger linger = {1, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(close(fd), 0);
}

/* A host with one connection, whose other end is *RAW. */
static struct host *host_with_raw(int *raw)
{
    struct host *host = host_new();

    *raw = raw_connect(&host->addr);
    run_until_count(&host->count, 1);
    return host;
}

/* ---- Streams ---- */

static void echo_over(const char *ip, int connections)
{
    struct host *host = host_new_at(ip);
    struct end *ends = calloc((size_t)connections, sizeof *ends);
    int finished = 0;

    assert_non_null(ends);
    host->echo = true;
    for (int i = 0; i < connections; i++) {
        ends[i].pattern = true;
        end_connect(&ends[i], &host->addr);
    }
    for (int turn = 0; finished < connections; turn++) {
        assert_true(turn < MAX_TURNS);
        si_loop_run_once(loop);
        finished = 0;
        for (int i = 0; i < connections; i++) {
            struct end *end = &ends[i];

            assert_false(end->failed || end->connect_errno != 0);
            if (end->connected && end->to_send == 0) {
                end->to_send = (size_t)(1 + i * 317);
                end_pump(end);
            }
            finished += end->to_send > 0 && end->received == end->to_send;
        }
    }
    assert_int_equal(host->count, connections);
    for (int i = 0; i < connections; i++)
        end_close(&ends[i]);
    host_free(host);
    free(ends);
}

static void test_echo(void **state)
{
    (void)state;
    echo_over("127.0.0.1", 200);
}

static bool have_v6(void)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool usable = fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0;

    if (fd >= 0)
        (void)close(fd);
    return usable;
}

static void test_echo_v6(void **state)
{
    (void)state;
    if (!have_v6())
        skip();
    echo_over("::1", 20);
}

static void test_bulk(void **state)
{
    enum { TOTAL = 8 << 20 };
    struct host *host = host_new();
    struct end client = {.to_send = TOTAL};
    struct end *server = &host->ends[0];
    size_t reads_before = 0, pauses = 0;

    (void)state;
    end_connect(&client, &host->addr);
    run_until(&client.connected);
    run_until_count(&host->count, 1);
    server->pattern = true;
    end_pump(&client);
    for (int turn = 0; server->received < TOTAL; turn++) {
        assert_true(turn < MAX_TURNS);
        si_loop_run_once(loop);
        /* One turn belongs to nobody alone. */
        assert_true(server->reads - reads_before <= 4);
        if (turn % 3 == 0 && server->received < TOTAL) {
            size_t before = server->received;

            si_stream_pause(server->stream, true);
            (void)run_for_ms(2);
            assert_int_equal(server->received, before);
            si_stream_pause(server->stream, false);
            pauses++;
        }
        reads_before = server->reads;
    }
    assert_int_equal(client.sent, TOTAL);
    assert_true(client.writables > 0 && pauses > 0);
    assert_true(run_for_ms(30) < 10); /* nobody asks to write any more */
    si_stream_shutdown(client.stream);
    run_until(&server->eof);
    assert_int_equal(server->received, TOTAL);
    end_close(&client);
    host_free(host);
}

static void test_send_before_and_after(void **state)
{
    struct host *host = host_new();
    struct end client = {0};
    size_t taken = 7;
    int sys_errno = 7;

    (void)state;
    end_connect(&client, &host->addr);
    assert_int_equal(si_stream_send(client.stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                     SOTTO_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(sys_errno, 0);
    si_stream_shutdown(client.stream); /* nothing yet */
    run_until(&client.connected);
    run_until_count(&host->count, 1);
    send_errno_once = EINTR;
    assert_int_equal(si_stream_send(client.stream, (const uint8_t *)"ab", 2, &taken, &sys_errno),
                     SOTTO_OK);
    assert_int_equal(taken, 2);
    assert_int_equal(si_stream_send(client.stream, NULL, 0, &taken, &sys_errno), SOTTO_OK);
    assert_int_equal(taken, 0);
    si_stream_shutdown(client.stream);
    si_stream_shutdown(client.stream);
    assert_int_equal(si_stream_send(client.stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                     SOTTO_E_USAGE);
    run_until(&host->ends[0].eof);
    assert_int_equal(host->ends[0].received, 2);

    /* Half closed: the other direction lives on. */
    assert_int_equal(
        si_stream_send(host->ends[0].stream, (const uint8_t *)"cde", 3, &taken, &sys_errno),
        SOTTO_OK);
    si_stream_shutdown(host->ends[0].stream);
    run_until(&client.eof);
    assert_int_equal(client.received, 3);
    /* Over on both sides, and nobody spins on it. */
    assert_true(run_for_ms(30) < 10);
    assert_false(client.failed || host->ends[0].failed);
    end_close(&client);
    host_free(host);
}

static void test_reset(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];
    size_t taken;
    int sys_errno = 0;

    (void)state;
    raw_reset(raw);
    run_until(&end->failed);
    assert_int_equal(end->fail_errno, ECONNRESET);
    assert_false(end->eof);
    for (int i = 0; i < 3; i++) { /* SIGPIPE would end the program */
        assert_int_equal(si_stream_send(end->stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                         SOTTO_E_LOST);
        assert_int_equal(sys_errno, ECONNRESET);
        assert_int_equal(taken, 0);
    }
    assert_true(run_for_ms(30) < 10);
    host_free(host);
}

/* The send is what notices: what the peer had sent before is read still, then failed() comes. */
static void test_send_after_reset(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];
    size_t taken;
    int sys_errno = 0;

    (void)state;
    assert_int_equal(write(raw, "bye", 3), 3);
    raw_reset(raw);
    for (int i = 0; i < 3; i++)
        assert_int_equal(si_stream_send(end->stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                         SOTTO_E_LOST);
    assert_int_equal(sys_errno, ECONNRESET);
    assert_false(end->failed);
    run_until(&end->failed);
    assert_int_equal(end->fail_errno, ECONNRESET);
    assert_int_equal(end->received, 3);
    assert_false(end->eof);
    host_free(host);
}

/* The peer closes, then we send twice: the second send meets EPIPE, SIGPIPE's errno. */
static void test_send_to_closed(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];
    sotto_err err = SOTTO_OK;
    size_t taken;
    int sys_errno = 0;

    (void)state;
    assert_int_equal(close(raw), 0);
    run_until(&end->eof);
    for (int i = 0; i < 1000 && err == SOTTO_OK; i++)
        err = si_stream_send(end->stream, (const uint8_t *)"x", 1, &taken, &sys_errno);
    assert_int_equal(err, SOTTO_E_LOST);
    assert_true(sys_errno == EPIPE || sys_errno == ECONNRESET);
    assert_true(run_for_ms(30) < 10);
    host_free(host);
}

/* Any other error of send() breaks the connection too, and failed() comes even while paused. */
static void test_send_fails(void **state)
{
    for (int paused = 0; paused < 3; paused++) {
        int raw;
        struct host *host = host_with_raw(&raw);
        struct end *end = &host->ends[0];
        size_t taken;
        int sys_errno = 0;

        if (paused >= 1)
            si_stream_pause(end->stream, true);
        if (paused == 2) { /* the end of stream was noticed before */
            assert_int_equal(shutdown(raw, SHUT_WR), 0);
            (void)run_for_ms(2);
        }
        send_errno_once = ENOBUFS;
        assert_int_equal(si_stream_send(end->stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                         SOTTO_E_LOST);
        assert_int_equal(sys_errno, ENOBUFS);
        run_until(&end->failed);
        assert_int_equal(end->fail_errno, ENOBUFS);
        assert_false(end->eof);
        (void)close(raw);
        host_free(host);
    }
    (void)state;
}

static void test_paused(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];

    (void)state;
    si_stream_pause(end->stream, true);
    assert_int_equal(write(raw, "data", 4), 4);
    assert_int_equal(shutdown(raw, SHUT_WR), 0);
    assert_true(run_for_ms(30) < 10); /* the end of stream is there all the time */
    assert_int_equal(end->reads, 0);
    si_stream_pause(end->stream, false);
    run_until(&end->eof);
    assert_int_equal(end->received, 4);
    assert_true(run_for_ms(30) < 10);
    assert_int_equal(end->reads, 2);
    (void)close(raw);
    host_free(host);

    host = host_with_raw(&raw);
    end = &host->ends[0];
    si_stream_pause(end->stream, true);
    assert_int_equal(write(raw, "data", 4), 4);
    raw_reset(raw);
    run_until(&end->failed);
    assert_int_equal(end->fail_errno, ECONNRESET);
    assert_int_equal(end->reads, 0);
    host_free(host);
}

/* A port that is taken, though nobody listens. */
static int dead_port(struct si_sockaddr *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof v4;

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&v4, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&v4, &len), 0);
    *addr = address("127.0.0.1", ntohs(v4.sin_port));
    return fd;
}

static void connect_refused(const struct si_sockaddr *addr)
{
    struct end end = {.pending = si_buf(16)};
    size_t taken;
    int sys_errno = 0;
    sotto_err err = si_stream_connect(loop, addr, &callbacks, &end, &end.stream, &sys_errno);

    if (err == SOTTO_OK) {
        run_until_count(&end.connect_errno, 1);
        assert_int_equal(end.connect_errno, ECONNREFUSED);
        assert_int_equal(si_stream_send(end.stream, (const uint8_t *)"x", 1, &taken, &sys_errno),
                         SOTTO_E_LOST);
        assert_int_equal(sys_errno, ECONNREFUSED);
        assert_true(run_for_ms(30) < 10);
        assert_false(end.connected || end.failed || end.reads > 0);
        end_close(&end);
    } else {
        assert_int_equal(err, SOTTO_E_SYSTEM);
        assert_int_equal(sys_errno, ECONNREFUSED);
        assert_null(end.stream);
    }
}

static void test_connect_refused(void **state)
{
    struct si_sockaddr addr;
    int fd = dead_port(&addr);

    (void)state;
    connect_refused(&addr);
    (void)close(fd);
}

/* The same port as ours, and nobody there: the kernel would connect us to ourselves. */
static void test_connect_self(void **state)
{
    struct si_sockaddr addr;
    int fd = dead_port(&addr);

    (void)state;
    (void)close(fd);
    connect_to_self = true;
    connect_refused(&addr);
}

static void test_connect_fails_at_once(void **state)
{
    struct si_sockaddr none = {.len = 0};
    struct si_stream *stream = (struct si_stream *)&none;
    int sys_errno = 0;

    (void)state;
    assert_int_equal(si_stream_connect(loop, &none, &callbacks, NULL, &stream, &sys_errno),
                     SOTTO_E_SYSTEM);
    assert_null(stream);
    assert_true(sys_errno > 0);
    assert_int_equal(si_stream_open(loop, -1, &callbacks, NULL, &stream), SOTTO_E_SYSTEM);
    assert_null(stream);
    si_stream_close(NULL);
}

/* ---- Closing in callbacks ---- */

static void test_close_in_received(void **state)
{
    for (int at_eof = 0; at_eof < 2; at_eof++) {
        int raw;
        struct host *host = host_with_raw(&raw);

        host->ends[0].close_in_received = at_eof == 0;
        host->ends[0].close_at_eof = at_eof == 1;
        for (int i = 0; i < 3; i++)
            assert_int_equal(write(raw, "data", 4), 4);
        assert_int_equal(shutdown(raw, SHUT_WR), 0);
        run_until(&host->ends[0].closed);
        (void)run_for_ms(2);
        assert_int_equal(host->ends[0].eof, at_eof == 1);
        (void)close(raw);
        host_free(host);
    }
    (void)state;
}

/* Behind a read that filled the whole buffer stands the next one, which must not happen after a
 * close or a pause. */
static void test_stop_in_full_read(void **state)
{
    for (int pause = 0; pause < 2; pause++) {
        struct host *host = host_new();
        struct end client = {.to_send = 256 << 20};
        struct end *server = &host->ends[0];

        end_connect(&client, &host->addr);
        run_until(&client.connected);
        run_until_count(&host->count, 1);
        server->close_in_full = pause == 0;
        server->pause_in_full = pause == 1;
        recv_is_full = true;
        end_pump(&client);
        for (int turn = 0; !server->closed && !server->paused; turn++) {
            assert_true(turn < MAX_TURNS);
            si_loop_run_once(loop); /* on_received() asserts that nothing comes then */
        }
        recv_is_full = false;
        end_close(&client);
        host_free(host);
    }
    (void)state;
}

static void test_close_in_failed(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);

    (void)state;
    host->ends[0].close_in_failed = true;
    raw_reset(raw);
    run_until(&host->ends[0].closed);
    (void)run_for_ms(2);
    host_free(host);
}

static void test_close_in_writable(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];
    char sink[65536];

    (void)state;
    end->close_in_writable = true;
    end->to_send = 64 << 20; /* more than the kernel takes */
    end_pump(end);
    assert_true(end->sent < end->to_send);
    assert_int_equal(fcntl(raw, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(raw, "data", 4), 4); /* must not be read after the close */
    for (int turn = 0; !end->closed; turn++) {
        assert_true(turn < MAX_TURNS);
        while (read(raw, sink, sizeof sink) > 0)
            continue;
        (void)run_for_ms(1);
    }
    (void)close(raw);
    host_free(host);
}

/* While one event is handled: broken by a send, closed, and the peer's end is in the same event. */
static void test_close_after_loss(void **state)
{
    int raw;
    struct host *host = host_with_raw(&raw);
    struct end *end = &host->ends[0];
    char sink[65536];

    (void)state;
    end->lose_and_close = true;
    end->to_send = 64 << 20;
    end_pump(end);
    assert_true(end->sent < end->to_send);
    assert_int_equal(fcntl(raw, F_SETFL, O_NONBLOCK), 0);
    si_stream_pause(end->stream, true);
    for (size_t got = 0; got < end->sent;) { /* all of it, before the loop runs again */
        ssize_t n = read(raw, sink, sizeof sink);

        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(shutdown(raw, SHUT_WR), 0);
    run_until(&end->closed);
    (void)run_for_ms(2);
    (void)close(raw);
    host_free(host);
}

static void test_close_in_connected(void **state)
{
    struct host *host = host_new();
    struct end client = {.close_in_connected = true}, at_once = {0};

    (void)state;
    end_connect(&client, &host->addr);
    end_connect(&at_once, &host->addr);
    end_close(&at_once);
    run_until(&client.closed);
    (void)run_for_ms(2);
    assert_false(at_once.connected);
    host_free(host);
}

static void test_close_in_accepted(void **state)
{
    struct host *host = host_new();
    int raw[5];

    (void)state;
    host->close_in_accept = true;
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        raw[i] = raw_connect(&host->addr);
    run_until(&host->closed);
    (void)run_for_ms(2);
    assert_int_equal(host->count, 1);
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        (void)close(raw[i]);
    host_free(host);
    si_listener_close(NULL);
}

/* Of two streams with events in one turn, the first closes the other and opens a socket that
 * gets the descriptor's number: the old event must not reach the new stream. */
struct thief {
    struct si_stream *stream, *stolen;
    struct thief *other;
    int got, fresh[2];
};

static void steal(void *user, uint8_t *data, size_t len)
{
    struct thief *thief = user;

    (void)data;
    assert_true(len > 0);
    thief->got++;
    if (thief->other == NULL)
        return;
    si_stream_close(thief->other->stream);
    thief->other->stream = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, thief->fresh), 0);
    thief->other->other = NULL;
    thief->other->got = 0;
    assert_int_equal(si_stream_open(loop, thief->fresh[0],
                                    &(const struct si_stream_callbacks){NULL, NULL, NULL, NULL},
                                    NULL, &thief->stolen),
                     SOTTO_OK);
}

static void test_reused_descriptor(void **state)
{
    static const struct si_stream_callbacks stealing = {on_connected, steal, on_writable,
                                                        on_failed};
    struct thief a = {.other = NULL}, b = {.other = &a};
    struct thief *winner;
    int pair_a[2], pair_b[2], number;

    (void)state;
    a.other = &b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_b), 0);
    assert_int_equal(si_stream_open(loop, pair_a[0], &stealing, &a, &a.stream), SOTTO_OK);
    assert_int_equal(si_stream_open(loop, pair_b[0], &stealing, &b, &b.stream), SOTTO_OK);
    assert_int_equal(write(pair_a[1], "x", 1), 1);
    assert_int_equal(write(pair_b[1], "x", 1), 1);
    si_loop_run_once(loop);
    winner = a.got == 1 ? &a : &b;
    number = winner == &a ? pair_b[0] : pair_a[0];
    assert_int_equal(a.got + b.got, 1);
    assert_int_equal(winner->fresh[0], number); /* the number was used again */
    (void)run_for_ms(2);                        /* an event would call NULL */
    si_stream_close(winner->stolen);
    si_stream_close(winner->stream);
    (void)close(winner->fresh[1]);
    (void)close(pair_a[1]);
    (void)close(pair_b[1]);
}

/* ---- Listeners ---- */

static void test_second_listener(void **state)
{
    struct host *host = host_new();
    struct host *worker = calloc(1, sizeof *worker);
    struct si_listener *refused = NULL;
    struct si_sockaddr bound;
    sotto_error error;
    char text[64], what[128];
    int raw[32], total = 0;

    (void)state;
    assert_non_null(worker);
    assert_true(si_sockaddr_port(&host->addr) != 0);
    assert_int_equal(
        si_listener_new(loop, &host->addr, true, on_accepted, worker, &bound, &refused, &error),
        SOTTO_E_SYSTEM);
    assert_null(refused);
    si_sockaddr_format(&host->addr, text, sizeof text);
    (void)snprintf(what, sizeof what, "cannot listen on %s", text);
    assert_int_equal(error.code, SOTTO_E_SYSTEM);
    assert_int_equal(error.sys_errno, EADDRINUSE);
    assert_string_equal(error.what, what);
    assert_string_equal(error.why, "address already in use");
    assert_true(strlen(error.hint) > 0);

    assert_int_equal(si_listener_new(loop, &host->addr, false, on_accepted, worker, &worker->addr,
                                     &worker->listener, &error),
                     SOTTO_OK);
    assert_memory_equal(&worker->addr, &host->addr, sizeof host->addr);
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        raw[i] = raw_connect(&host->addr);
    for (int turn = 0; total < (int)SI_COUNT(raw); turn++) {
        assert_true(turn < MAX_TURNS);
        si_loop_run_once(loop);
        total = host->count + worker->count;
    }
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        (void)close(raw[i]);
    host_free(worker);

    /* Connections of before do not keep a new server from its port. */
    bound = host->addr;
    raw[0] = raw_connect(&host->addr);
    run_until_count(&host->count, total > 0 ? host->count + 1 : 1);
    host_free(host);
    assert_int_equal(si_listener_new(loop, &bound, true, on_accepted, NULL, &bound, &refused, NULL),
                     SOTTO_OK);
    si_listener_close(refused);
    (void)close(raw[0]);
}

/* IPv6 listens for IPv6 only, so both may have the same port. */
static void test_both_families(void **state)
{
    struct host *v6, *v4 = calloc(1, sizeof *v4);
    struct si_sockaddr addr;

    (void)state;
    assert_non_null(v4);
    if (!have_v6()) {
        free(v4);
        skip();
    }
    v6 = host_new_at("::");
    addr = address("0.0.0.0", si_sockaddr_port(&v6->addr));
    assert_int_equal(
        si_listener_new(loop, &addr, true, on_accepted, v4, &v4->addr, &v4->listener, NULL),
        SOTTO_OK);
    host_free(v4);
    host_free(v6);
}

static void test_listener_errors(void **state)
{
    struct si_sockaddr foreign = address("192.0.2.77", 0), bound; /* RFC 5737: nobody's */
    struct si_listener *listener;
    sotto_error error;

    (void)state;
    assert_int_equal(
        si_listener_new(loop, &foreign, true, on_accepted, NULL, &bound, &listener, &error),
        SOTTO_E_SYSTEM);
    assert_int_equal(error.sys_errno, EADDRNOTAVAIL);
    assert_null(listener);
}

static int int_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void check_accepted(void *user, int fd, const struct si_sockaddr *peer)
{
    assert_true(si_sockaddr_is_loopback(peer) && si_sockaddr_port(peer) != 0);
    assert_true(int_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    (void)close(fd);
    ++*(int *)user;
}

static void test_accepted_socket(void **state)
{
    struct si_sockaddr addr = address("127.0.0.1", 0), bound;
    struct si_listener *listener;
    int count = 0, raw;

    (void)state;
    assert_int_equal(
        si_listener_new(loop, &addr, true, check_accepted, &count, &bound, &listener, NULL),
        SOTTO_OK);
    raw = raw_connect(&bound);
    accept_errno_once = ECONNABORTED; /* of that connection, the next one is fine */
    si_loop_run_once(loop);
    assert_int_equal(count, 1);
    assert_true(run_for_ms(5) < 10);
    si_listener_close(listener);
    (void)close(raw);
}

static void test_accepts_per_turn(void **state)
{
    struct host *host = host_new();
    int raw[100];

    (void)state;
    host->only_close_fd = true;
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        raw[i] = raw_connect(&host->addr);
    si_loop_run_once(loop);
    assert_int_equal(host->count, 64);
    run_until_count(&host->count, (int)SI_COUNT(raw));
    for (size_t i = 0; i < SI_COUNT(raw); i++)
        (void)close(raw[i]);
    host_free(host);
}

static void test_no_memory(void **state)
{
    struct host *host = host_new();
    struct si_stream *stream = (struct si_stream *)host;
    struct si_listener *listener = (struct si_listener *)host;
    struct si_sockaddr any = address("127.0.0.1", 0), bound;
    sotto_error error;
    int pair[2], sys_errno;
    char byte;

    (void)state;
    for (int i = 0; i < 2; i++) { /* the listener, its timer */
        malloc_fail(i, false);
        assert_int_equal(
            si_listener_new(loop, &any, true, on_accepted, host, &bound, &listener, &error),
            SOTTO_E_NOMEM);
        assert_true(malloc_recover());
        assert_null(listener);
        assert_int_equal(error.code, SOTTO_E_NOMEM);
        assert_int_equal(error.sys_errno, ENOMEM);
    }
    malloc_fail(0, false);
    assert_int_equal(si_stream_connect(loop, &host->addr, &callbacks, NULL, &stream, &sys_errno),
                     SOTTO_E_NOMEM);
    assert_true(malloc_recover());
    assert_null(stream);
    assert_int_equal(sys_errno, ENOMEM);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    malloc_fail(0, false);
    assert_int_equal(si_stream_open(loop, pair[0], &callbacks, NULL, &stream), SOTTO_E_NOMEM);
    assert_true(malloc_recover());
    assert_null(stream);
    assert_int_equal(read(pair[1], &byte, 1), 0); /* the other end is closed */
    (void)close(pair[1]);
    host_free(host);
}

static int lowest_free_fd(void)
{
    int fd = dup(STDIN_FILENO);

    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}
static void test_out_of_descriptors(void **state)
{
    struct host *host = host_new();
    struct rlimit before, low;
    int raw = raw_connect(&host->addr);
    int64_t began;
    struct si_stream *stream = (struct si_stream *)host;
    int calls, count, more, sys_errno;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)lowest_free_fd();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(si_stream_connect(loop, &host->addr, &callbacks, NULL, &stream, &sys_errno),
                     SOTTO_E_SYSTEM);
    assert_int_equal(sys_errno, EMFILE);
    assert_null(stream);
    accept_calls = 0;
    began = si_now();
    assert_true(run_for_ms(250) < 50);
    calls = accept_calls;
    /* Not a limit on the machine's speed: the slower it is, the more calls are allowed. */
    assert_true(calls >= 1 && calls <= 2 + (si_now() - began) / (100 * MS));
    assert_int_equal(host->count, 0);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    more = raw_connect(&host->addr); /* valgrind takes the first one away when it refuses it */
    run_until_count(&host->count, 1);
    (void)close(raw);
    (void)close(more);
    (void)run_for_ms(1);
    count = host->count;

    /* Closed while it rests. */
    raw = raw_connect(&host->addr);
    accept_errno_once = ENOBUFS;
    calls = accept_calls;
    run_until_count(&accept_calls, calls + 1);
    assert_int_equal(host->count, count);
    host_free(host);
    (void)close(raw);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_calls, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_echo),
        STREAM_TEST(test_echo_v6),
        STREAM_TEST(test_bulk),
        STREAM_TEST(test_send_before_and_after),
        STREAM_TEST(test_reset),
        STREAM_TEST(test_send_after_reset),
        STREAM_TEST(test_send_to_closed),
        STREAM_TEST(test_send_fails),
        STREAM_TEST(test_paused),
        STREAM_TEST(test_connect_refused),
        STREAM_TEST(test_connect_self),
        STREAM_TEST(test_connect_fails_at_once),
        STREAM_TEST(test_close_in_received),
        STREAM_TEST(test_stop_in_full_read),
        STREAM_TEST(test_close_in_failed),
        STREAM_TEST(test_close_in_writable),
        STREAM_TEST(test_close_after_loss),
        STREAM_TEST(test_close_in_connected),
        STREAM_TEST(test_close_in_accepted),
        STREAM_TEST(test_reused_descriptor),
        STREAM_TEST(test_second_listener),
        STREAM_TEST(test_both_families),
        STREAM_TEST(test_listener_errors),
        STREAM_TEST(test_accepted_socket),
        STREAM_TEST(test_accepts_per_turn),
        STREAM_TEST(test_no_memory),
        STREAM_TEST(test_out_of_descriptors),
    };

    return cmocka_run_group_tests(tests, warm_up, NULL);
}
