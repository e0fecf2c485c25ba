/*
 * MSG_ZEROCOPY next to a plain send, over loopback.
 *
 * The kernel borrows the sender's memory then, and says in the socket's error queue when it has
 * given it back, and whether it had to copy after all.
 */
#include "tries.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <linux/errqueue.h>

enum { BUFFERS = 4, READ_SIZE = 262144, COPY_NS = 10000000 };

/* Each send that takes something has a number; the numbers come back in order. */
struct sender {
    uint8_t *buffers; /* BUFFERS of MIB bytes, by turns */
    uint8_t *read_buf;
    bool zerocopy, enabled;
    unsigned next; /* the buffer */
    uint32_t borrowed, returned, copied;
    uint32_t borrowed_by[BUFFERS]; /* the number of sends when the buffer had left */
};

/* ---- Completions ----------------------------------------------------------------------------- */

static void read_notice(struct sender *s, struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    struct sock_extended_err notice;

    errno = EBADMSG;
    tries_require("a notice", header != NULL && header->cmsg_level == SOL_IP &&
                                  header->cmsg_type == IP_RECVERR);
    memcpy(&notice, CMSG_DATA(header), sizeof notice);
    tries_require("a notice of zero-copy sends, in order",
                  notice.ee_errno == 0 && notice.ee_origin == SO_EE_ORIGIN_ZEROCOPY &&
                      notice.ee_info == s->returned);
    s->returned = notice.ee_data + 1;
    if ((notice.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0)
        s->copied += notice.ee_data - notice.ee_info + 1;
}

/* All notices that are there. */
static void reap(struct sender *s, int fd)
{
    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};

        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            tries_require("the error queue", errno == EAGAIN);
            return;
        }
        read_notice(s, &message);
    }
}

static void reap_until(struct sender *s, int fd, uint32_t number)
{
    reap(s, fd);
    while ((int32_t)(number - s->returned) > 0) {
        struct pollfd p = {.fd = fd}; /* POLLERR comes unasked */

        tries_require("a notice within five seconds", poll(&p, 1, 5000) == 1);
        reap(s, fd);
    }
}

/* ---- The stream ------------------------------------------------------------------------------ */

static void enable(struct sender *s, int fd)
{
    int on = 1;

    if (s->zerocopy && !s->enabled)
        tries_require("SO_ZEROCOPY", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0);
    s->enabled = true;
}

static void send_zerocopy(struct sender *s, int fd, const uint8_t *data)
{
    for (size_t sent = 0; sent < MIB;) {
        ssize_t n = send(fd, data + sent, MIB - sent, MSG_NOSIGNAL | MSG_ZEROCOPY);

        if (n < 0 && errno == ENOBUFS && s->borrowed != s->returned) {
            reap_until(s, fd, s->returned + 1); /* too many notices are out */
            continue;
        }
        tries_require("send with MSG_ZEROCOPY", n > 0);
        s->borrowed++;
        sent += (size_t)n;
    }
}

static void send_message(void *user, int fd)
{
    struct sender *s = user;
    const uint8_t *data = s->buffers + (size_t)s->next * MIB;

    enable(s, fd);
    if (s->zerocopy) {
        reap_until(s, fd, s->borrowed_by[s->next]);
        send_zerocopy(s, fd, data);
    } else {
        tries_send_all(fd, data, MIB);
    }
    s->borrowed_by[s->next] = s->borrowed;
    s->next = (s->next + 1) % BUFFERS;
}

static void finish(void *user, int fd)
{
    struct sender *s = user;

    if (s->zerocopy)
        reap_until(s, fd, s->borrowed);
}

static void receive(void *user, int fd)
{
    const struct sender *s = user;
    ssize_t n;

    while ((n = recv(fd, s->read_buf, READ_SIZE, 0)) > 0)
        ;
    tries_require("recv", n == 0);
}

struct copy {
    uint8_t *to;
    const uint8_t *from;
};

static sotto_err step_copy(void *user)
{
    const struct copy *c = user;

    memcpy(c->to, c->from, MIB);
    return SOTTO_OK;
}

/* The least that the kernel's copy costs: its pages are not as warm as these. */
static void measure_copy(uint8_t *buffers)
{
    static struct tries_samples s;
    struct copy copy = {buffers, buffers + MIB};
    const struct bench_work work = {.name = "copying", .step = step_copy, .user = &copy};

    tries_measure(&work, 1, COPY_NS, &s);
    for (int round = 0; round < tries_rounds; round++)
        s.round[round] /= 1000;
    tries_head("  to copy 1 MiB in warm memory", (const char *const[]){"us", NULL});
    tries_line("memcpy()", &s, 1);
}

void try_zerocopy(void)
{
    static const char *const names[] = {"send (as now)", "send with MSG_ZEROCOPY"};
    static const char *const columns[] = {"MiB/s", "sender, us/MiB", "receiver, us/MiB", NULL};
    static struct tries_samples samples[2][3];
    uint8_t *buffers = calloc(BUFFERS, MIB), *read_buf = malloc(READ_SIZE);
    uint64_t sends = 0, copied = 0;

    tries_require("memory", buffers != NULL && read_buf != NULL);
    memset(buffers, 0x5a, (size_t)BUFFERS * MIB);
    for (int round = 0; round < tries_rounds; round++) {
        for (size_t i = 0; i < 2; i++) {
            struct sender s = {.buffers = buffers, .read_buf = read_buf, .zerocopy = i == 1};
            struct tries_stream stream = {send_message, finish, receive, &s};
            struct tries_stream_costs costs;

            tries_run_stream(&stream, &costs);
            samples[i][0].round[round] = 1e9 / costs.ns;
            samples[i][1].round[round] = costs.tx_cpu_ns / 1000;
            samples[i][2].round[round] = costs.rx_cpu_ns / 1000;
            sends += s.returned;
            copied += s.copied;
        }
    }
    tries_head("zerocopy: messages of 1 MiB", columns);
    for (size_t i = 0; i < 2; i++)
        tries_line(names[i], samples[i], 3);
    printf("  of %llu zero-copy sends, the kernel copied %llu after all\n",
           (unsigned long long)sends, (unsigned long long)copied);
    measure_copy(buffers);
    free(buffers);
    free(read_buf);
}
