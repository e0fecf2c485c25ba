/*
 * net/internal.h: what the files of this layer share.
 */
#ifndef SI_NET_INTERNAL_H
#define SI_NET_INTERNAL_H

#include <netdb.h>
#include <sys/socket.h>
#include <uv.h>

#include "net/net.h"

struct si_loop {
    uv_loop_t uv;
    /* SI_STREAM_READ_SIZE + SI_STREAM_PADDING bytes, for whichever stream reads */
    uint8_t *read_buf;
    bool one_turn; /* inside si_loop_run_once() */
    bool in_timer; /* inside the callback of a timer */
};

/* Of a result of uv_*_init() or a negative errno: E_NOMEM, or E_SYSTEM for all else. */
sotto_err si_net_err(int uv_status);

/* From the kernel's or the resolver's form to the one form of an address: IPv4 within IPv6
 * becomes IPv4. E_FORMAT: neither IPv4 nor IPv6. */
SOTTO_MUST_CHECK sotto_err si_sockaddr_from(const struct sockaddr *native, socklen_t len,
                                            struct si_sockaddr *out);

/* For bind() and connect(), and the family for socket(). */
const struct sockaddr *si_sockaddr_native(const struct si_sockaddr *addr);
int si_sockaddr_family(const struct si_sockaddr *addr);

/* The socket's own address, or the peer's.  False with errno. */
bool si_sockaddr_of(int fd, bool peer, struct si_sockaddr *out);

#endif
