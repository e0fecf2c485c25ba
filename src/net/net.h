/*
 * net/net.h: the event loop, and what a runtime does with it.
 *
 * A thin layer over libuv: loop, timer, wake-up from another thread, listener, stream, resolver.
 * It knows no protocol.
 *
 * Everything of one loop belongs to the thread that runs it, except si_waker_wake().  Callbacks
 * come from si_loop_run() only, never from the function that asked.  Closing is safe anywhere,
 * inside the object's own callback too: no callback comes after the close function has returned,
 * and the memory is freed by the loop when libuv lets go of it.
 *
 * Streams use recv() and send() with MSG_NOSIGNAL themselves, on libuv's poll handles: a library
 * must not raise SIGPIPE in its host.
 *
 * Times are nanoseconds of the monotonic clock.
 */
#ifndef SI_NET_NET_H
#define SI_NET_NET_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

struct si_loop;
struct si_timer;
struct si_turn;
struct si_waker;
struct si_listener;
struct si_stream;
struct si_resolve;

/* ---- Loop ---- */

/* E_NOMEM, E_SYSTEM. */
SOTTO_MUST_CHECK sotto_err si_loop_new(struct si_loop **out);

/* Everything of the loop must have been closed (asserted); runs it until libuv has let go of all
 * of it, which never waits, and wipes the read buffer.  Not in a callback.  NULL is allowed. */
void si_loop_free(struct si_loop *loop);

/* Wait for events and handle them once; or until si_loop_stop() (callable in callbacks).  Both
 * return at once when nothing of the loop could ever come: no set timer, no waker, no running
 * lookup, nothing to poll. */
void si_loop_run_once(struct si_loop *loop);
void si_loop_run(struct si_loop *loop);
void si_loop_stop(struct si_loop *loop);

/* The monotonic clock, asked anew. */
int64_t si_now(void);

/* The same, as of the beginning of this turn of the loop: cheap.  In whole milliseconds rounded
 * down, so it is never ahead of si_now(). */
int64_t si_loop_now(const struct si_loop *loop);

/* ---- Timer ---- */

typedef void si_timer_fn(void *user);

/* A timer that is not set yet.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_timer_new(struct si_loop *loop, si_timer_fn *fn, void *user,
                                        struct si_timer **out);

/* Fire once at AT, not before; INT64_MAX: never.  Replaces the time set before.  Setting a time
 * that is not earlier costs nothing (the loop wakes at the old one and goes on waiting, without
 * the callback).  In the callback si_loop_now() >= AT.  A time that has passed fires in the next
 * turn; set in the callback of a timer, a millisecond later, so that timers alone never hold the
 * loop. */
void si_timer_set(struct si_timer *timer, int64_t at);
void si_timer_close(struct si_timer *timer); /* NULL is allowed */

/* ---- The end of a turn ---- */

/* FN is called at the end of every turn of the loop, when the events of all streams that were ready
 * have been told: so that what they brought about can leave together.  Timers come before that.
 * It keeps no loop from ending.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_turn_new(struct si_loop *loop, si_timer_fn *fn, void *user,
                                       struct si_turn **out);
void si_turn_close(struct si_turn *turn); /* NULL is allowed */

/* ---- Wake-up from another thread ---- */

SOTTO_MUST_CHECK sotto_err si_waker_new(struct si_loop *loop, si_timer_fn *fn, void *user,
                                        struct si_waker **out);

/* Any thread, also a signal handler (errno is kept); several may come as one.  What the waking
 * thread wrote before is to be shared by a lock or an atomic: a wake-up that came with another
 * one carries no order of its own. */
void si_waker_wake(struct si_waker *waker);

/* Nobody may wake it during this or after it.  NULL is allowed. */
void si_waker_close(struct si_waker *waker);

/* ---- Addresses ---- */

/* A socket address without its headers: room for IPv4 and IPv6.  One address has one form: IPv4
 * written as IPv6 (::ffff:1.2.3.4) is IPv4. */
struct si_sockaddr {
    _Alignas(8) unsigned char bytes[32];
    unsigned len;
};

/* Numeric host ("127.0.0.1", "::1", "fe80::1%eth0") and port, no resolver.  E_FORMAT, OUT is
 * unchanged then. */
SOTTO_MUST_CHECK sotto_err si_sockaddr_parse(const char *host, uint16_t port,
                                             struct si_sockaddr *out);

/* "127.0.0.1:7448" or "[::1]:7448"; "?" when LEN is 0.  OUT has at least 64 bytes. */
void si_sockaddr_format(const struct si_sockaddr *addr, char *out, size_t size);
uint16_t si_sockaddr_port(const struct si_sockaddr *addr);
bool si_sockaddr_is_loopback(const struct si_sockaddr *addr);

/*
 * Resolve HOST (copied) in another thread.  DONE gets the addresses in the resolver's order, at
 * most 16 and none twice (borrowed for the callback; WHY is NULL), or COUNT 0 and a text.  A
 * numeric host needs no thread, but DONE comes in the next turn as always.  At most 16 lookups of a
 * process run at a time, the others wait.  There is no limit in time but the resolver's own (half a
 * minute with a silent name server): set a timer, and close.  E_NOMEM, E_SYSTEM.
 */
typedef void si_resolve_fn(void *user, const struct si_sockaddr *addrs, size_t count,
                           const char *why);
SOTTO_MUST_CHECK sotto_err si_resolve_start(struct si_loop *loop, const char *host, uint16_t port,
                                            si_resolve_fn *done, void *user,
                                            struct si_resolve **out);

/* Before, in or after DONE, once; NULL is allowed.  Never waits, and neither si_loop_free() nor
 * the end of the process waits for the lookup: its thread is left behind with memory of its own. */
void si_resolve_close(struct si_resolve *resolve);

/* The same, blocking, for a listener's address.  At most MAX addresses.  E_RESOLVE with text. */
SOTTO_MUST_CHECK sotto_err si_resolve_now(const char *host, uint16_t port,
                                          struct si_sockaddr *addrs, size_t max, size_t *count,
                                          sotto_error *error);

/* ---- Listener ---- */

/* A connection was accepted: FD is a non-blocking, close-on-exec socket with TCP_NODELAY, the
 * callback's to own.  PEER is borrowed for the callback. */
typedef void si_accept_fn(void *user, int fd, const struct si_sockaddr *peer);

/*
 * Bind and listen with SO_REUSEPORT, so that several workers can share ADDR.  FIRST: nobody else
 * may be listening there (checked without SO_REUSEPORT first, since with it a second server would
 * silently share the port); port 0 lets the kernel choose.  *BOUND gets the address in use.  When
 * descriptors or memory run out, it stops accepting for 100 ms, then tries again; it never spins.
 * At most 64 connections are accepted in one turn.  IPv6 listens for IPv6 only.
 *
 * The check and the bind are two steps: two servers of the same user that start in the same instant
 * may both pass (of another user, the kernel refuses the second one).
 *
 * E_SYSTEM with the reason; E_NOMEM.
 */
SOTTO_MUST_CHECK sotto_err si_listener_new(struct si_loop *loop, const struct si_sockaddr *addr,
                                           bool first, si_accept_fn *accepted, void *user,
                                           struct si_sockaddr *bound, struct si_listener **out,
                                           sotto_error *error);

/* Closes the socket at once; connections that the kernel holds for it and nobody accepted are
 * reset.  NULL is allowed. */
void si_listener_close(struct si_listener *listener);

/* ---- Stream ---- */

/* One table for many streams; it must outlive them. */
struct si_stream_callbacks {
    /* The connection stands (after si_stream_connect()), or ERRNO says why not; the stream is
     * then only to be closed. */
    void (*connected)(void *user, int sys_errno);

    /* LEN bytes at DATA, the caller's to change during the callback; SI_STREAM_PADDING bytes
     * behind them are readable.  LEN 0: the peer's end of stream, once and last; sending may go
     * on. */
    void (*received)(void *user, uint8_t *data, size_t len);

    /* Bytes can be sent again after si_stream_send() took less than all. */
    void (*writable)(void *user);

    /* The connection broke (ERRNO); only to be closed.  Nothing comes after it. */
    void (*failed)(void *user, int sys_errno);
};

enum { SI_STREAM_PADDING = 64, SI_STREAM_READ_SIZE = 262144 };

/* Take over the connected socket FD (of a listener).  Reading is on.  E_NOMEM, E_SYSTEM: FD is
 * closed then. */
SOTTO_MUST_CHECK sotto_err si_stream_open(struct si_loop *loop, int fd,
                                          const struct si_stream_callbacks *callbacks, void *user,
                                          struct si_stream **out);

/* Connect to ADDR (TCP, TCP_NODELAY); `connected` tells.  The kernel alone limits the time.
 * E_NOMEM, E_SYSTEM (ERRNO in *SYS_ERRNO): it failed at once, no stream and no callback. */
SOTTO_MUST_CHECK sotto_err si_stream_connect(struct si_loop *loop, const struct si_sockaddr *addr,
                                             const struct si_stream_callbacks *callbacks,
                                             void *user, struct si_stream **out, int *sys_errno);

/* Send now what the kernel takes: *TAKEN bytes, perhaps 0; `writable` tells when more can be
 * sent.  While connecting it takes nothing, and `connected` tells.  E_LOST: the connection is
 * broken (errno in *SYS_ERRNO).  Close the stream, or keep it to read what the peer had sent
 * before: `failed` stands behind that (unless the end of stream was told).
 * E_USAGE: after si_stream_shutdown(). */
SOTTO_MUST_CHECK sotto_err si_stream_send(struct si_stream *stream, const uint8_t *data, size_t len,
                                          size_t *taken, int *sys_errno);

/* Stop and go on reading: a paused stream takes nothing from the kernel, so the peer is slowed
 * down.  In `received` it is the last one of this turn.  A connection that breaks while paused
 * is told by `failed`, and what was not read is lost; the peer's end of stream is told after
 * reading goes on. */
void si_stream_pause(struct si_stream *stream, bool paused);

/* Shut down the sending side.  Everything taken by send() before arrives first; `writable` comes
 * no more.  Does nothing while connecting. */
void si_stream_shutdown(struct si_stream *stream);

/* Close at once.  NULL is allowed. */
void si_stream_close(struct si_stream *stream);

#endif
