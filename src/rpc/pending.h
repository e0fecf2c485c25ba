/*
 * rpc/pending.h: the client's half of calls: requests sent, answers awaited.
 *
 * Sans-I/O like the rest of rpc: requests go out through a send function, the server's messages
 * come in, and every call ends exactly once through its callback, never inside the function that
 * began it.  One thread.
 *
 * Callbacks run inside si_pending_message() and si_pending_fail_all().  They may make calls, send
 * notifications and cancel any call, also their own, but do nothing else here.
 */
#ifndef SI_RPC_PENDING_H
#define SI_RPC_PENDING_H

#include "json/json.h"
#include "rpc/envelope.h"

struct si_pending;

/* As si_link_send in rpc/service.h, towards the server. */
typedef sotto_err si_pending_send(void *conn, const struct si_span *pieces, size_t count);

/* Something arrived for a call: ENVELOPE is an ANSWER, PART or FAILURE, borrowed until the
 * callback returns; or NULL, and ERR says why the call is over (what si_pending_fail_all() was
 * given).  After anything but a PART the call is over. */
typedef void si_pending_done(void *user, const struct si_envelope *envelope, sotto_err err);

/* JSON and CONN are borrowed until si_pending_free().  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_pending_new(struct si_json *json, si_pending_send *send, void *conn,
                                          struct si_pending **out);

/* Calls in flight are forgotten without a callback: fail them first.  NULL is allowed. */
void si_pending_free(struct si_pending *pending);

/*
 * Send a request with a fresh id.  CONTENT is JSON text ("null" for none); DEADLINE_MS 0: none,
 * above 2^31: 2^31.  *ID names the call; ids count from 1.
 *
 * E_USAGE: bad endpoint name; E_JSON: CONTENT is not what si_content_check() allows (it is checked
 * here, with the reader); E_NOMEM; E_CLOSED after the server's close; after si_pending_fail_all()
 * what that was given; or what send() returned.  No callback comes then.
 */
SOTTO_MUST_CHECK sotto_err si_pending_call(struct si_pending *pending, struct si_span endpoint,
                                           struct si_span content, uint32_t deadline_ms,
                                           si_pending_done *done, void *user, uint64_t *id);

/* Send a notification.  Errors as above. */
SOTTO_MUST_CHECK sotto_err si_pending_notify(struct si_pending *pending, struct si_span endpoint,
                                             struct si_span content);

/* The answer is no longer wanted: its callback will not come any more, the server is told.  An
 * unknown id is ignored. */
void si_pending_cancel(struct si_pending *pending, uint64_t id);

/*
 * One message of the server, followed by SI_JSON_PADDING readable bytes.
 *
 * SOTTO_OK; E_CLOSED: it was a close, whose code and message the functions below give (later
 * messages are not read, and give E_CLOSED again; calls in flight wait for si_pending_fail_all());
 * E_UNAVAILABLE: it was `draining` (send no new calls, go on reading); E_PROTOCOL: end the session;
 * E_NOMEM: the same, without an answer's callback.
 */
SOTTO_MUST_CHECK sotto_err si_pending_message(struct si_pending *pending, struct si_span text);

/* Of the server's close: NUL-terminated, cut to 63 and 511 bytes, without control characters; ""
 * for what it did not say, or not as a string.  They live as long as PENDING. */
const char *si_pending_close_code(const struct si_pending *pending);
const char *si_pending_close_message(const struct si_pending *pending);

/* Of the last `draining` or close: a hint; 0: not said. */
uint32_t si_pending_reconnect_after_ms(const struct si_pending *pending);

/* The connection is over: end every call with ERR, in the order in which they were made.  No
 * call can begin from now on. */
void si_pending_fail_all(struct si_pending *pending, sotto_err err);

size_t si_pending_in_flight(const struct si_pending *pending);

#endif
