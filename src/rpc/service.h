/*
 * rpc/service.h: the server's half of calls: endpoints, calls in flight, answers.
 *
 * A service is the table of endpoints: filled, then frozen, then shared by all workers.  A call
 * table holds the calls in flight of one worker.  A link is one connection's half: it counts
 * requests, knows which ids are in use, and hands answers to its output function.  Nothing here
 * knows a key or a socket; NOW is nanoseconds, passed in.
 *
 * A call is named by a plain value (slot and generation), so that a late or second answer finds
 * nothing and does no harm.  One thread (the worker's) uses a call table and its links.
 *
 * Callbacks (handlers, `over`) run inside si_link_message(), si_link_tick() and si_link_free().
 * They may answer any call of the table, of this link and of others, and look at a link, but do
 * nothing else here; send() does nothing here at all.
 *
 * Every call ends exactly once: by a final answer of its handler, or by itself, and then its
 * endpoint's `over` is told.  `over` comes at most once for a call: after E_CANCELLED the call
 * still waits for its answer, and its end without one (at the deadline, or with the connection) is
 * not told again.
 */
#ifndef SI_RPC_SERVICE_H
#define SI_RPC_SERVICE_H

#include "json/json.h"
#include "rpc/envelope.h"
#include "sotto/server.h"

/* ---- Endpoints ------------------------------------------------------------------------------- */

struct si_service;

/* SERVER is what handlers see in their request.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_service_new(sotto_server *server, struct si_service **out);
void si_service_free(struct si_service *service); /* NULL is allowed */

/* OVER may be NULL; NAME is copied.  E_USAGE: bad or reserved name, no handler; E_EXISTS;
 * E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_service_add(struct si_service *service, const char *name,
                                          sotto_handler *handler, sotto_call_over *over,
                                          void *user);

/* ---- Calls in flight ------------------------------------------------------------------------- */

struct si_calls;

/* WORKER (at most 65535) goes into the upper 16 bits of every slot, so that a call tells whose
 * it is.  Memory grows with the most calls that were in flight at one time.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_calls_new(unsigned worker, struct si_calls **out);
void si_calls_free(struct si_calls *calls); /* after its links; NULL is allowed */
unsigned si_call_worker(sotto_call call);   /* also of a notification's, which names no call */

/* ---- One connection -------------------------------------------------------------------------- */

/*
 * How a link sends one message: the COUNT pieces (some may be empty) one behind the other, to be
 * copied or sealed before it returns.  They may point into the message that is being handled.
 *
 * E_TOO_LARGE: more than the client takes, nothing was sent.  Any other error: the connection is
 * finished, and so is the link: it sends nothing more, has no deadline, and has to be freed soon,
 * but not in here.
 */
typedef sotto_err si_link_send(void *conn, const struct si_span *pieces, size_t count);

struct si_link_options {
    const struct si_service *service;
    struct si_calls *calls;
    struct si_json *json; /* the worker's reader, also for checking handlers' answers */
    si_link_send *send;
    void *conn;               /* for send */
    const sotto_peer *peer;   /* must outlive the link */
    uint32_t max_calls;       /* in flight; more are answered with `overloaded` */
    uint32_t call_timeout_ms; /* where there is no deadline, and a cap on deadlines; 0: none */
};

struct si_link;

/* OPTIONS are copied, what they point to is borrowed.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_link_new(const struct si_link_options *options, struct si_link **out);

/* End it: the connection is gone, nothing is sent.  Every call in flight ends and is told
 * E_GONE; an answer that a callback gives meanwhile ends its call, too, with E_GONE as its
 * result.  Never in a callback.  NULL is allowed. */
void si_link_free(struct si_link *link);

/*
 * One message of the client, followed by SI_JSON_PADDING readable bytes.  Handlers run, answers go
 * out through send().  A request counts as received at time NOW.
 *
 * SOTTO_OK; E_CLOSED: it was the client's close (later messages are not read, and give E_CLOSED
 * again; calls in flight still take their answers); E_PROTOCOL: the session has to end with
 * protocol_error; E_NOMEM: the message could not be read, the connection has to end; or what send()
 * returned, now or earlier.
 */
SOTTO_MUST_CHECK sotto_err si_link_message(struct si_link *link, struct si_span text, int64_t now);

/* When si_link_tick() is due (a deadline of a call), or INT64_MAX.  It changes with messages,
 * answers and ticks.  A tick answers what is due with deadline_exceeded and tells its handler. */
int64_t si_link_deadline(const struct si_link *link);
void si_link_tick(struct si_link *link, int64_t now);

/* Calls without a final answer, the one whose handler is running included. */
size_t si_link_in_flight(const struct si_link *link);

/* Send {"draining":…} once (never behind the client's close); later requests are answered with
 * `unavailable`, $/health says "draining", notifications still arrive.  What send() returned. */
SOTTO_MUST_CHECK sotto_err si_link_drain(struct si_link *link, uint32_t reconnect_after_ms);

/* Requests (whatever they were answered) and notifications so far. */
uint64_t si_link_requests(const struct si_link *link);

/* ---- Answers (the worker's thread) ----------------------------------------------------------- */

/*
 * See sotto_answer() and its sisters in sotto/server.h for errors and effects.  After every result
 * but E_NOMEM, and SOTTO_OK for a part, the call is over.  E_GONE also when this answer found out
 * that the connection is finished.
 *
 * E_NOMEM: nothing was sent, and the call still waits.  Who cannot tell the handler ends it with
 * the error `internal` and no message: that needs no memory.  Content may be nested 63 deep, since
 * the message around it is one level; the very content of the request, given back while the handler
 * runs, is not checked again.  An error's message that is not UTF-8 is left out (E_USAGE), one that
 * is too long for the client is left out.
 */
sotto_err si_calls_answer(struct si_calls *calls, sotto_call call, struct si_span content);
sotto_err si_calls_answer_part(struct si_calls *calls, sotto_call call, struct si_span content);
sotto_err si_calls_answer_error(struct si_calls *calls, sotto_call call, struct si_span code,
                                struct si_span message);

#endif
