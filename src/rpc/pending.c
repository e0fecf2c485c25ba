#include "rpc/pending.h"

#include <stdlib.h>

#include "base/text.h"
#include "rpc/compose.h"
#include "rpc/idtree.h"

enum { CLOSE_CODE_SIZE = 64, CLOSE_MESSAGE_SIZE = 512, STRINGS_KEPT = 4096 };

struct waiting {
    struct si_id_node node;      /* in ids */
    struct waiting *next, *prev; /* in the order of the calls; free ones are chained by next */
    si_pending_done *done;
    void *user;
};

struct si_pending {
    struct si_json *json;
    si_pending_send *send;
    void *conn;
    uint64_t last_id;
    struct si_id_node *ids;
    struct waiting *first, *last;
    struct waiting *free; /* used again, so that a call does not allocate */
    size_t in_flight;
    struct si_buf strings; /* a failure's code and message, while its callback runs */
    sotto_err over;        /* why no call can begin any more, or SOTTO_OK */
    bool closed;           /* the server's close was read */
    uint32_t reconnect_after_ms;
    char close_code[CLOSE_CODE_SIZE];
    char close_message[CLOSE_MESSAGE_SIZE];
};

sotto_err si_pending_new(struct si_json *json, si_pending_send *send, void *conn,
                         struct si_pending **out)
{
    struct si_pending *pending = calloc(1, sizeof *pending);

    *out = pending;
    if (pending == NULL)
        return SOTTO_E_NOMEM;
    pending->json = json;
    pending->send = send;
    pending->conn = conn;
    pending->strings = si_buf(SIZE_MAX);
    return SOTTO_OK;
}

static void free_chain(struct waiting *w)
{
    while (w != NULL) {
        struct waiting *next = w->next;

        free(w);
        w = next;
    }
}

void si_pending_free(struct si_pending *pending)
{
    if (pending == NULL)
        return;
    free_chain(pending->first);
    free_chain(pending->free);
    si_buf_free(&pending->strings);
    free(pending);
}

/* ---- The calls that wait --------------------------------------------------------------------- */

static struct waiting *find(const struct si_pending *pending, uint64_t id)
{
    struct si_id_node *node = si_id_find(pending->ids, id);

    return node == NULL ? NULL : (struct waiting *)((char *)node - offsetof(struct waiting, node));
}

static struct waiting *take(struct si_pending *pending)
{
    struct waiting *w = pending->free;

    if (w != NULL)
        pending->free = w->next;
    else
        w = malloc(sizeof *w);
    return w;
}

static void give_back(struct si_pending *pending, struct waiting *w)
{
    w->next = pending->free;
    pending->free = w;
}

static void add(struct si_pending *pending, struct waiting *w)
{
    si_id_insert(&pending->ids, &w->node);
    w->next = NULL;
    w->prev = pending->last;
    if (pending->last != NULL)
        pending->last->next = w;
    else
        pending->first = w;
    pending->last = w;
    pending->in_flight++;
}

static void take_out(struct si_pending *pending, struct waiting *w)
{
    si_id_remove(&pending->ids, &w->node);
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        pending->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        pending->last = w->prev;
    pending->in_flight--;
    give_back(pending, w);
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* ID 0: a notification.  A well-formed name needs no escapes. */
static sotto_err send_request(struct si_pending *pending, uint64_t id, struct si_span endpoint,
                              struct si_span content, uint32_t deadline_ms)
{
    char id_digits[SI_DECIMAL_LEN], deadline_digits[SI_DECIMAL_LEN];
    const struct si_span none = si_span(NULL, 0);
    const struct si_span pieces[] = {
        id == 0 ? SI_LITERAL("{\"notify\":true") : SI_LITERAL("{\"id\":"),
        id == 0 ? none : si_decimal(id, id_digits),
        SI_LITERAL(",\"endpoint\":\""),
        endpoint,
        SI_LITERAL("\",\"content\":"),
        content,
        deadline_ms == 0 ? none : SI_LITERAL(",\"deadline_ms\":"),
        deadline_ms == 0 ? none : si_decimal(deadline_ms, deadline_digits),
        SI_LITERAL("}"),
    };

    return pending->send(pending->conn, pieces, SI_COUNT(pieces));
}

static sotto_err check_request(struct si_pending *pending, struct si_span endpoint,
                               struct si_span content)
{
    if (pending->over != SOTTO_OK)
        return pending->over;
    if (!si_endpoint_name_ok(endpoint, true))
        return SOTTO_E_USAGE;
    return si_content_check(pending->json, content);
}

sotto_err si_pending_call(struct si_pending *pending, struct si_span endpoint,
                          struct si_span content, uint32_t deadline_ms, si_pending_done *done,
                          void *user, uint64_t *id)
{
    struct waiting *w;
    sotto_err err;

    if ((err = check_request(pending, endpoint, content)) != SOTTO_OK)
        return err;
    if ((w = take(pending)) == NULL)
        return SOTTO_E_NOMEM;
    if (deadline_ms > SI_DEADLINE_MS_MAX)
        deadline_ms = SI_DEADLINE_MS_MAX;
    w->node.id = ++pending->last_id;
    w->done = done;
    w->user = user;
    err = send_request(pending, w->node.id, endpoint, content, deadline_ms);
    if (err != SOTTO_OK) {
        give_back(pending, w);
        return err;
    }
    *id = w->node.id;
    add(pending, w);
    return SOTTO_OK;
}

sotto_err si_pending_notify(struct si_pending *pending, struct si_span endpoint,
                            struct si_span content)
{
    sotto_err err = check_request(pending, endpoint, content);

    return err != SOTTO_OK ? err : send_request(pending, 0, endpoint, content, 0);
}

void si_pending_cancel(struct si_pending *pending, uint64_t id)
{
    struct waiting *w = find(pending, id);
    char digits[SI_DECIMAL_LEN];
    const struct si_span pieces[] = {SI_LITERAL("{\"id\":"), si_decimal(id, digits),
                                     SI_LITERAL(",\"cancel\":true}")};

    if (w == NULL)
        return;
    take_out(pending, w);
    /* The call is over here, whether the server gets to know or not. */
    if (pending->over == SOTTO_OK)
        (void)pending->send(pending->conn, pieces, SI_COUNT(pieces));
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* A callback may use the reader, by making a call for instance: keep the strings where the
 * reader does not overwrite them. */
static sotto_err keep_strings(struct si_pending *pending, struct si_envelope *e)
{
    struct si_buf *b = &pending->strings;
    sotto_err err;

    b->len = 0;
    if ((err = si_buf_put(b, e->code.ptr, e->code.len)) != SOTTO_OK ||
        (err = si_buf_put(b, e->message.ptr, e->message.len)) != SOTTO_OK)
        return err;
    e->code = si_span(b->ptr, e->code.len);
    e->message = si_span(b->ptr + e->code.len, e->message.len);
    return SOTTO_OK;
}

static sotto_err answered(struct si_pending *pending, struct si_envelope *e)
{
    struct waiting *w = find(pending, e->id);
    si_pending_done *done;
    void *user;
    sotto_err err;

    if (w == NULL)
        return SOTTO_OK; /* section 7: answers to ids not in use are ignored */
    if (e->kind == SI_FAILURE && (err = keep_strings(pending, e)) != SOTTO_OK)
        return err;
    done = w->done;
    user = w->user;
    /* The callback may make calls and cancel any: nothing of W is touched behind it. */
    if (e->kind != SI_PART)
        take_out(pending, w);
    done(user, e, SOTTO_OK);
    if (pending->strings.cap > STRINGS_KEPT)
        si_buf_free(&pending->strings);
    return SOTTO_OK;
}

static sotto_err closed(struct si_pending *pending, const struct si_envelope *e)
{
    pending->closed = true;
    pending->over = SOTTO_E_CLOSED;
    pending->reconnect_after_ms = e->reconnect_after_ms;
    si_text_copy(pending->close_code, sizeof pending->close_code, e->code);
    si_text_copy(pending->close_message, sizeof pending->close_message, e->message);
    return SOTTO_E_CLOSED;
}

sotto_err si_pending_message(struct si_pending *pending, struct si_span text)
{
    struct si_envelope e;
    sotto_err err;

    if (pending->closed)
        return SOTTO_E_CLOSED;
    if ((err = si_envelope_read_server(pending->json, text, &e)) != SOTTO_OK)
        return err;
    switch (e.kind) {
    case SI_ANSWER:
    case SI_PART:
    case SI_FAILURE:
        return answered(pending, &e);
    case SI_CLOSE:
        return closed(pending, &e);
    case SI_DRAINING:
        pending->reconnect_after_ms = e.reconnect_after_ms;
        return SOTTO_E_UNAVAILABLE;
    case SI_IGNORED:
    case SI_REQUEST:
    case SI_NOTIFICATION:
    case SI_CANCEL:
    case SI_INVALID_REQUEST:
        break;
    }
    return SOTTO_OK;
}

void si_pending_fail_all(struct si_pending *pending, sotto_err err)
{
    /* No callback can make a new call, so this comes to an end. */
    pending->over = err;
    while (pending->first != NULL) {
        si_pending_done *done = pending->first->done;
        void *user = pending->first->user;

        take_out(pending, pending->first);
        done(user, NULL, err);
    }
}

const char *si_pending_close_code(const struct si_pending *pending)
{
    return pending->close_code;
}

const char *si_pending_close_message(const struct si_pending *pending)
{
    return pending->close_message;
}

uint32_t si_pending_reconnect_after_ms(const struct si_pending *pending)
{
    return pending->reconnect_after_ms;
}

size_t si_pending_in_flight(const struct si_pending *pending)
{
    return pending->in_flight;
}
