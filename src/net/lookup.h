/*
 * net/lookup.h: getaddrinfo() on threads of our own.
 *
 * Not libuv's pool, for three reasons.  A running getaddrinfo() cannot be cancelled and may take
 * half a minute when the name server is silent: libuv's loop could not be closed before its end,
 * and libuv joins its pool when the process exits.  The pool runs two such calls at most, so two
 * silent names stop every other.  And it is shared with the host program.  Here a lookup nobody
 * waits for any more is simply left behind.
 *
 * At most SI_LOOKUP_THREADS run at a time, the rest waits its turn; a thread that finds nothing to
 * do ends.  They are detached, and no signal of the host program is handled in them.
 */
#ifndef SI_NET_LOOKUP_H
#define SI_NET_LOOKUP_H

#include "net/internal.h"

enum { SI_LOOKUP_THREADS = 16, SI_LOOKUP_MAX = 16 };

struct si_lookup_result {
    struct si_sockaddr addrs[SI_LOOKUP_MAX]; /* without duplicates, in the resolver's order */
    size_t count;
    char why[128]; /* when count is 0 */
};

struct si_lookup;

/* Look HOST up in this thread.  What is beyond SI_LOOKUP_MAX addresses is dropped. */
void si_lookup_now(const char *host, uint16_t port, struct si_lookup_result *out);

/* Look HOST (copied) up in another thread; DONE is sent when si_lookup_take() has the result.
 * E_NOMEM; E_SYSTEM: no thread could be started. */
SOTTO_MUST_CHECK sotto_err si_lookup_start(const char *host, uint16_t port, uv_async_t *done,
                                           struct si_lookup **out);

/* After DONE was sent: the result.  Frees the lookup. */
void si_lookup_take(struct si_lookup *lookup, struct si_lookup_result *out);

/* Instead: DONE is not touched any more after the return. */
void si_lookup_abandon(struct si_lookup *lookup);

#endif
