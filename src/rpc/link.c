#include <stdlib.h>

#include "rpc/calls.h"

#define NS_PER_MS INT64_C(1000000)

sotto_err si_link_new(const struct si_link_options *options, struct si_link **out)
{
    struct si_link *link = calloc(1, sizeof *link);

    *out = link;
    if (link == NULL)
        return SOTTO_E_NOMEM;
    link->options = *options;
    return SOTTO_OK;
}

/* ---- The end of a call without its handler's answer ------------------------------------------ */

/* Answer CALL with CODE (NULL: nobody is there any more) and tell its handler.  `over` may
 * answer and end other calls, so everything here is done before it is called. */
static void end_call(struct si_call *call, const char *code, sotto_err reason)
{
    struct si_link *link = call->link;
    const struct si_endpoint *endpoint = call->endpoint;
    sotto_call name = call->name;
    uint64_t id = call->node.id;
    bool tell = endpoint->over != NULL && !call->told;

    si_call_release(call);
    if (code != NULL)
        (void)si_link_put_failure(link, id, si_span_str(code), NULL);
    if (tell)
        endpoint->over(endpoint->user, si_service_server(link->options.service), name, reason);
}

void si_link_free(struct si_link *link)
{
    if (link == NULL)
        return;
    if (link->err == SOTTO_OK)
        link->err = SOTTO_E_GONE; /* send() must not be called any more */
    while (link->due != NULL)
        end_call(si_call_of_due(link->due), NULL, SOTTO_E_GONE);
    free(link);
}

int64_t si_link_deadline(const struct si_link *link)
{
    return link->due == NULL || link->err != SOTTO_OK ? INT64_MAX : link->due->at;
}

/* Every round ends a call and none begins one, so this comes to an end whatever the callbacks do. */
void si_link_tick(struct si_link *link, int64_t now)
{
    int64_t deadline = si_link_deadline(link);

    while (deadline != INT64_MAX && deadline <= now) {
        end_call(si_call_of_due(link->due), "deadline_exceeded", SOTTO_E_TIMEOUT);
        deadline = si_link_deadline(link);
    }
}

/* A handler that listens is told, and may still answer; its call ends at the deadline at the
 * latest.  For others there is nothing to wait for. */
static void cancel(struct si_link *link, uint64_t id)
{
    struct si_id_node *node = si_id_find(link->ids, id);
    struct si_call *call;

    if (node == NULL)
        return;
    call = si_call_of_node(node);
    if (call->endpoint->over == NULL) {
        end_call(call, "cancelled", SOTTO_E_CANCELLED);
    } else if (!call->told) {
        call->told = true;
        call->endpoint->over(call->endpoint->user, si_service_server(link->options.service),
                             call->name, SOTTO_E_CANCELLED);
    }
}

/* ---- Requests -------------------------------------------------------------------------------- */

static bool is_name(struct si_span name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.ptr, text, name.len) == 0;
}

/* The endpoints of the protocol itself: they answer at once, also while the link drains. */
static sotto_err answer_reserved(struct si_link *link, const struct si_envelope *e, uint64_t id)
{
    struct si_span content, tail = SI_FINAL_TAIL;
    sotto_err err;

    if (is_name(e->endpoint, "$/ping")) {
        content = e->content;
    } else if (is_name(e->endpoint, "$/health")) {
        content = link->draining ? SI_LITERAL("{\"status\":\"draining\"}")
                                 : SI_LITERAL("{\"status\":\"serving\"}");
    } else if (is_name(e->endpoint, "$/endpoints")) {
        content = si_service_list(link->options.service);
        tail = SI_LITERAL("]}");
    } else {
        return si_link_put_failure(link, id, SI_LITERAL("not_found"), NULL);
    }
    if ((err = si_link_put_answer(link, id, content, tail)) == SOTTO_E_TOO_LARGE)
        err = si_link_put_failure(link, id, SI_LITERAL("too_large"), NULL);
    return err;
}

static void run_handler(struct si_link *link, const struct si_endpoint *endpoint,
                        const struct si_envelope *e, sotto_call call)
{
    sotto_request request = {
        .server = si_service_server(link->options.service),
        .call = call,
        .endpoint = endpoint->name,
        .content = (const char *)e->content.ptr,
        .content_len = e->content.len,
        .deadline_ms = e->deadline_ms,
        .notification = e->kind == SI_NOTIFICATION,
        .peer = link->options.peer,
    };

    endpoint->handler(endpoint->user, &request);
}

/* When the request that arrived at NOW has to be answered: its own deadline or the server's,
 * whichever is earlier. */
static int64_t deadline_of(const struct si_link *link, const struct si_envelope *e, int64_t now)
{
    uint32_t cap = link->options.call_timeout_ms;
    uint32_t ms = e->deadline_ms == 0 || (cap > 0 && cap < e->deadline_ms) ? cap : e->deadline_ms;
    int64_t ns = ms * NS_PER_MS;

    return ms == 0 || now > INT64_MAX - ns ? INT64_MAX : now + ns;
}

/* A call whose handler answers at once never enters the tree and the heap. */
static sotto_err start_call(struct si_link *link, const struct si_endpoint *endpoint,
                            const struct si_envelope *e, uint64_t id, int64_t now)
{
    int64_t deadline = deadline_of(link, e, now);
    struct si_call *call = NULL;
    sotto_call name;

    if (link->in_flight < link->options.max_calls)
        call = si_call_take(link, id);
    if (call == NULL)
        return si_link_put_failure(link, id, SI_LITERAL("overloaded"), NULL);
    name = call->name;
    call->endpoint = endpoint;
    call->content = e->content;
    run_handler(link, endpoint, e, name);

    if (call->name.generation == name.generation) { /* no final answer yet */
        call->content = si_span(NULL, 0);
        call->waiting = true;
        call->due.at = deadline;
        si_id_insert(&link->ids, &call->node);
        si_due_add(&link->due, &call->due);
    }
    return SOTTO_OK;
}

/* Section 7: everything that counts, and an id in use is looked at before other faults. */
static sotto_err request(struct si_link *link, const struct si_envelope *e, int64_t now)
{
    const struct si_endpoint *endpoint;
    uint64_t id;

    link->counted++;
    id = e->has_id ? e->id : link->counted;
    if (si_id_find(link->ids, id) != NULL)
        return SOTTO_E_PROTOCOL;
    if (e->kind == SI_INVALID_REQUEST)
        return si_link_put_failure(link, id, SI_LITERAL("invalid_request"), e->why);
    if (e->endpoint.ptr[0] == '$')
        return answer_reserved(link, e, id);
    if ((endpoint = si_service_find(link->options.service, e->endpoint)) == NULL)
        return si_link_put_failure(link, id, SI_LITERAL("not_found"), NULL);
    if (link->draining)
        return si_link_put_failure(link, id, SI_LITERAL("unavailable"), NULL);
    return start_call(link, endpoint, e, id, now);
}

/* Nobody waits, so nobody is told when there is no such endpoint. */
static void notification(struct si_link *link, const struct si_envelope *e)
{
    const struct si_endpoint *endpoint = si_service_find(link->options.service, e->endpoint);

    link->notified++;
    if (endpoint != NULL)
        run_handler(link, endpoint, e, si_call_none(link->options.calls));
}

sotto_err si_link_message(struct si_link *link, struct si_span text, int64_t now)
{
    struct si_envelope e;
    sotto_err err;

    if (link->err != SOTTO_OK)
        return link->err;
    if (link->closed)
        return SOTTO_E_CLOSED;
    if ((err = si_envelope_read_client(link->options.json, text, &e)) != SOTTO_OK)
        return err;
    switch (e.kind) {
    case SI_REQUEST:
    case SI_INVALID_REQUEST:
        err = request(link, &e, now);
        break;
    case SI_NOTIFICATION:
        notification(link, &e);
        break;
    case SI_CANCEL:
        cancel(link, e.id);
        break;
    case SI_CLOSE:
        link->closed = true;
        return SOTTO_E_CLOSED;
    case SI_IGNORED:
    case SI_ANSWER:
    case SI_PART:
    case SI_FAILURE:
    case SI_DRAINING:
        break;
    }
    /* Callbacks may have answered other calls of this link. */
    return link->err != SOTTO_OK ? link->err : err;
}

/* ---- The rest -------------------------------------------------------------------------------- */

size_t si_link_in_flight(const struct si_link *link)
{
    return link->in_flight;
}

uint64_t si_link_requests(const struct si_link *link)
{
    return link->counted + link->notified;
}

sotto_err si_link_drain(struct si_link *link, uint32_t reconnect_after_ms)
{
    char digits[SI_DECIMAL_LEN];
    const struct si_span pieces[] = {SI_LITERAL("{\"draining\":{\"reconnect_after_ms\":"),
                                     si_decimal(reconnect_after_ms, digits), SI_LITERAL("}}")};

    if (link->draining)
        return link->err;
    link->draining = true;
    /* Who has closed sends no requests any more. */
    return link->closed ? link->err : si_link_put(link, pieces, SI_COUNT(pieces));
}
