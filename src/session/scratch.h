/*
 * session/scratch.h: what the sessions of one thread may share.
 *
 * An idle session keeps no buffers, and its keys as they are in the protocol.  A runtime lends its
 * sessions a JSON reader, a few spare buffers and places for expanded keys, so that the next message
 * of a session that is in use needs no allocation either.  Without scratch (a foreign event
 * loop) a session allocates what it needs and frees it when it is idle again.
 */
#ifndef SI_SESSION_SCRATCH_H
#define SI_SESSION_SCRATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "json/json.h"
#include "sotto/session.h"

enum {
    /* So many sessions keep their keys expanded, which takes about 2 KiB each with AESGCM; making
     * them again costs less than 300 ns. */
    SI_READY_MAX = 128,
    /* As many buffers as may have answers waiting at the end of a turn, and so many bytes of them ... */
    SI_SPARES = 128,
    SI_SPARE_BYTES = 8 * 1048576,
    /* ... besides larger ones, at most so many, which do not stay when they are not used.  A message
     * of 16 MiB has two under way, and what finds no place goes back to the system, page by page. */
    SI_SPARE_MAX = 2 * 1048576,
    SI_LARGE_SPARES = 16
};

struct si_scratch {
    struct si_json *json;
    /* Ordered by their capacity; of equals the last one was used last. */
    struct si_spare {
        struct si_buf buf;
        bool used; /* since the last si_scratch_trim() */
    } spare[SI_SPARES + SI_LARGE_SPARES];
    size_t small, large; /* how many of both, the large ones behind */
    size_t small_bytes;
    sotto_session *ready[SI_READY_MAX]; /* with expanded keys, or NULL */
    unsigned next_ready;                /* the place that is taken next */
};

/* E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_scratch_init(struct si_scratch *scratch);
void si_scratch_wipe(struct si_scratch *scratch); /* after its sessions */

/* Take memory for the empty buffer B from the spares, if there is any: the smallest that holds LEN
 * bytes, else the largest.  Who needs at most SI_SPARE_MAX gets no larger one, and cannot keep it
 * from others.  SCRATCH may be NULL. */
void si_scratch_take(struct si_scratch *scratch, struct si_buf *b, size_t len);

/* B is not needed now: its memory becomes a spare, or is freed.  What it holds is wiped.  SCRATCH
 * may be NULL. */
void si_scratch_give(struct si_scratch *scratch, struct si_buf *b);

/* Large spares that nobody has used since the last trim go back to the system (ALL: used or not).
 * Called now and then while there are any. */
void si_scratch_trim(struct si_scratch *scratch, bool all);

/* SESSION uses SCRATCH from now on; right after it was made.  SCRATCH must outlive it. */
void si_session_lend(sotto_session *session, struct si_scratch *scratch);

/* ---- What the runtimes need besides the public header ---- */

/* sotto_session_send() of COUNT spans. */
SOTTO_MUST_CHECK sotto_err si_session_send_spans(sotto_session *session,
                                                 const struct si_span *spans, size_t count);

/* The input that was fed is about to go away, and there are still messages in it: keep them.
 * E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_session_hold(sotto_session *session);

/* We do not read from the peer, but it takes what we send: it is alive. */
void si_session_alive(sotto_session *session);

#endif
