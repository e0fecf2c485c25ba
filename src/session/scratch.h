/*
 * session/scratch.h: what the sessions of one thread may share.
 *
 * An idle session keeps no buffers.  A runtime lends its sessions a JSON reader and a few spare
 * buffers, so that the next message needs no allocation either.  Without scratch (a foreign event
 * loop) a session allocates what it needs and frees it when it is idle again.
 */
#ifndef SI_SESSION_SCRATCH_H
#define SI_SESSION_SCRATCH_H

#include "base/buf.h"
#include "json/json.h"
#include "sotto/session.h"

enum {
    SI_SPARES = 4,
    SI_SPARE_MAX = 2 * 1048576 /* larger buffers go back to the system */
};

struct si_scratch {
    struct si_json *json;
    struct si_buf spare[SI_SPARES];
};

/* E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_scratch_init(struct si_scratch *scratch);
void si_scratch_wipe(struct si_scratch *scratch); /* after its sessions */

/* Take memory for the empty buffer B from the spares, if there is any.  SCRATCH may be NULL. */
void si_scratch_take(struct si_scratch *scratch, struct si_buf *b);

/* B is not needed now: its memory becomes a spare, or is freed.  What it holds is wiped.  SCRATCH
 * may be NULL. */
void si_scratch_give(struct si_scratch *scratch, struct si_buf *b);

/* SESSION uses SCRATCH from now on; right after it was made.  SCRATCH must outlive it. */
void si_session_lend(sotto_session *session, struct si_scratch *scratch);

#endif
