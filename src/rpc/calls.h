/*
 * rpc/calls.h: the slots of the calls in flight, shared by calls.c and link.c.
 *
 * A call takes a slot when its handler is about to run and gives it back with its final answer; the
 * slot's generation changes then, so that a copy of its name that somebody kept names nothing any
 * more.  Slots never move and are used again; there are never more of them than calls were in
 * flight at one time.
 */
#ifndef SI_RPC_CALLS_H
#define SI_RPC_CALLS_H

#include "rpc/compose.h"
#include "base/due.h"
#include "rpc/endpoints.h"
#include "rpc/idtree.h"

struct si_call {
    struct si_id_node node; /* its id; in link->ids while it waits */
    struct si_due due;      /* in link->due while it waits */
    struct si_link *link;   /* NULL: the slot is free */
    const struct si_endpoint *endpoint;
    struct si_span content; /* of the request while the handler runs, else empty */
    sotto_call name;        /* what handlers know it by */
    bool waiting;           /* the handler has returned without a final answer */
    bool told;              /* `over` was called: it comes at most once */
    struct si_call *next_free;
};

struct si_link {
    struct si_link_options options;
    struct si_id_node *ids; /* the calls that wait, by id ... */
    struct si_due *due;     /* ... and by deadline */
    uint64_t counted;       /* requests: the ordinal of the last one */
    uint64_t notified;      /* notifications */
    size_t in_flight;       /* slots that name this link */
    sotto_err err;          /* the first failure of send(): nothing is sent any more */
    bool closed;            /* the client's close was read */
    bool draining;
};

static inline struct si_call *si_call_of_node(struct si_id_node *node)
{
    return (struct si_call *)((char *)node - offsetof(struct si_call, node));
}

static inline struct si_call *si_call_of_due(struct si_due *due)
{
    return (struct si_call *)((char *)due - offsetof(struct si_call, due));
}

/* A slot for LINK's request ID, or NULL: out of memory. */
struct si_call *si_call_take(struct si_link *link, uint64_t id);

/* It is over: whatever names it names nothing from now on. */
void si_call_release(struct si_call *call);

/* The name of no call, which still tells the worker. */
sotto_call si_call_none(const struct si_calls *calls);

/* Send one message; does nothing once send() has failed.  E_TOO_LARGE: nothing was sent, and the
 * link goes on.  Every other error is kept in link->err. */
sotto_err si_link_put(struct si_link *link, const struct si_span *pieces, size_t count);

/* Send an answer.  TAIL is SI_FINAL_TAIL or SI_PART_TAIL, perhaps behind an end of the content. */
sotto_err si_link_put_answer(struct si_link *link, uint64_t id, struct si_span content,
                             struct si_span tail);
#define SI_FINAL_TAIL SI_LITERAL("}")
#define SI_PART_TAIL SI_LITERAL(",\"more\":true}")

/* Send an error, without needing memory.  CODE and MESSAGE (NULL: none) need no escapes. */
sotto_err si_link_put_failure(struct si_link *link, uint64_t id, struct si_span code,
                              const char *message);

#endif
