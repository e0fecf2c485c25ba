#include "rpc/calls.h"

#include <stdlib.h>

enum {
    CHUNK = 32,        /* slots that are allocated together */
    WORKER_SHIFT = 48, /* of the worker's number in a call's name */
    SCRATCH_KEPT = 4096
};

struct si_calls {
    uint64_t worker; /* shifted */
    struct si_call **chunks;
    size_t chunk_count, chunk_cap;
    struct si_call *free;
    struct si_buf scratch; /* for errors with a handler's words in them */
};

/* ---- Slots ----------------------------------------------------------------------------------- */

sotto_err si_calls_new(unsigned worker, struct si_calls **out)
{
    struct si_calls *calls = calloc(1, sizeof *calls);

    *out = calls;
    if (calls == NULL)
        return SOTTO_E_NOMEM;
    calls->worker = (uint64_t)worker << WORKER_SHIFT;
    calls->scratch = si_buf(SIZE_MAX);
    return SOTTO_OK;
}

void si_calls_free(struct si_calls *calls)
{
    if (calls == NULL)
        return;
    for (size_t i = 0; i < calls->chunk_count; i++)
        free(calls->chunks[i]);
    free(calls->chunks);
    si_buf_free(&calls->scratch);
    free(calls);
}

unsigned si_call_worker(sotto_call call)
{
    return (unsigned)(call.slot >> WORKER_SHIFT);
}

sotto_call si_call_none(const struct si_calls *calls)
{
    return (sotto_call){.slot = calls->worker, .generation = 0};
}

/* Add a chunk of free slots.  Slots do not move, since calls are in trees and heaps. */
static bool add_chunk(struct si_calls *calls)
{
    struct si_call *chunk;

    if (calls->chunk_count == calls->chunk_cap) {
        size_t cap = calls->chunk_cap == 0 ? 8 : 2 * calls->chunk_cap;
        struct si_call **grown = realloc(calls->chunks, cap * sizeof(struct si_call *));

        if (grown == NULL)
            return false;
        calls->chunks = grown;
        calls->chunk_cap = cap;
    }
    chunk = calloc(CHUNK, sizeof *chunk);
    if (chunk == NULL)
        return false;
    /* The first slot comes out first.  Generation 0 is nobody's, see si_call_none(). */
    for (size_t i = CHUNK; i-- > 0;) {
        chunk[i].name.slot = calls->worker | (calls->chunk_count * CHUNK + i);
        chunk[i].name.generation = 1;
        chunk[i].next_free = calls->free;
        calls->free = &chunk[i];
    }
    calls->chunks[calls->chunk_count++] = chunk;
    return true;
}

struct si_call *si_call_take(struct si_link *link, uint64_t id)
{
    struct si_calls *calls = link->options.calls;
    struct si_call *call;

    if (calls->free == NULL && !add_chunk(calls))
        return NULL;
    call = calls->free;
    calls->free = call->next_free;
    call->node.id = id;
    call->link = link;
    call->waiting = call->told = false;
    link->in_flight++;
    return call;
}

void si_call_release(struct si_call *call)
{
    struct si_link *link = call->link;
    struct si_calls *calls = link->options.calls;

    if (call->waiting) {
        si_id_remove(&link->ids, &call->node);
        si_due_remove(&link->due, &call->due);
    }
    link->in_flight--;
    call->link = NULL;
    call->content = si_span(NULL, 0);
    call->name.generation++;
    call->next_free = calls->free;
    calls->free = call;
}

/* The call that NAME names, or NULL when it is over. */
static struct si_call *find(struct si_calls *calls, sotto_call name)
{
    uint64_t index = name.slot ^ calls->worker; /* too large when the worker is another one */
    struct si_call *call;

    if (index / CHUNK >= calls->chunk_count)
        return NULL;
    call = &calls->chunks[index / CHUNK][index % CHUNK];
    return call->link != NULL && call->name.generation == name.generation ? call : NULL;
}

/* ---- Messages to the client ------------------------------------------------------------------ */

sotto_err si_link_put(struct si_link *link, const struct si_span *pieces, size_t count)
{
    sotto_err err;

    if (link->err != SOTTO_OK)
        return link->err;
    err = link->options.send(link->options.conn, pieces, count);
    if (err != SOTTO_OK && err != SOTTO_E_TOO_LARGE)
        link->err = err;
    return err;
}

sotto_err si_link_put_answer(struct si_link *link, uint64_t id, struct si_span content,
                             struct si_span tail)
{
    char digits[SI_DECIMAL_LEN];
    const struct si_span pieces[] = {SI_LITERAL("{\"id\":"), si_decimal(id, digits),
                                     SI_LITERAL(",\"content\":"), content, tail};

    return si_link_put(link, pieces, SI_COUNT(pieces));
}

/* At most 6 + 16 + 18 + 128 + 13 + 64 + 3 bytes: less than the smallest max_message, 1024.  So
 * it is never too large, and if the runtime thinks otherwise, the connection ends rather than
 * that a request stays without an answer. */
sotto_err si_link_put_failure(struct si_link *link, uint64_t id, struct si_span code,
                              const char *message)
{
    char digits[SI_DECIMAL_LEN];
    const struct si_span none = si_span(NULL, 0);
    const struct si_span pieces[] = {SI_LITERAL("{\"id\":"),
                                     si_decimal(id, digits),
                                     SI_LITERAL(",\"error\":{\"code\":\""),
                                     code,
                                     message == NULL ? none : SI_LITERAL("\",\"message\":\""),
                                     message == NULL ? none : si_span_str(message),
                                     SI_LITERAL("\"}}")};
    sotto_err err = si_link_put(link, pieces, SI_COUNT(pieces));

    if (err == SOTTO_E_TOO_LARGE)
        link->err = err;
    return err;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* A handler's bug must not break the peer's session.  The request's own content has been
 * checked, and while the handler runs it is still there. */
static sotto_err check_content(const struct si_call *call, struct si_span content)
{
    if (content.ptr == call->content.ptr && content.len == call->content.len && content.len > 0)
        return SOTTO_OK;
    return si_content_check(call->link->options.json, content);
}

static sotto_err answer(struct si_calls *calls, sotto_call name, struct si_span content, bool more)
{
    struct si_call *call = find(calls, name);
    struct si_link *link;
    uint64_t id;
    sotto_err err;

    if (call == NULL)
        return SOTTO_E_GONE;
    link = call->link;
    id = call->node.id;
    if ((err = check_content(call, content)) == SOTTO_E_NOMEM)
        return err;
    if (err == SOTTO_OK)
        err = si_link_put_answer(link, id, content, more ? SI_PART_TAIL : SI_FINAL_TAIL);
    if (more && err == SOTTO_OK)
        return err;

    si_call_release(call);
    if (err == SOTTO_E_JSON)
        (void)si_link_put_failure(link, id, SI_LITERAL("internal"), NULL);
    else if (err == SOTTO_E_TOO_LARGE && link->err == SOTTO_OK)
        (void)si_link_put_failure(link, id, SI_LITERAL("too_large"),
                                  "the answer is more than the client takes");
    return link->err == SOTTO_OK ? err : SOTTO_E_GONE;
}

sotto_err si_calls_answer(struct si_calls *calls, sotto_call call, struct si_span content)
{
    return answer(calls, call, content, false);
}

sotto_err si_calls_answer_part(struct si_calls *calls, sotto_call call, struct si_span content)
{
    return answer(calls, call, content, true);
}

/* Compose an error with a message in calls->scratch.  E_USAGE: the message is not UTF-8.
 * E_NOMEM. */
static sotto_err compose_failure(struct si_calls *calls, struct si_call *call, struct si_span code,
                                 struct si_span message)
{
    sotto_err err;

    calls->scratch.len = 0;
    if ((err = si_envelope_put_failure(&calls->scratch, call->node.id, code, message,
                                       si_span(NULL, 0))) != SOTTO_OK)
        return err;
    err = si_json_check(call->link->options.json, si_span(calls->scratch.ptr, calls->scratch.len),
                        NULL);
    return err == SOTTO_E_JSON ? SOTTO_E_USAGE : err;
}

sotto_err si_calls_answer_error(struct si_calls *calls, sotto_call name, struct si_span code,
                                struct si_span message)
{
    struct si_call *call = find(calls, name);
    struct si_link *link;
    struct si_span whole;
    uint64_t id;
    bool brief = message.len == 0;
    sotto_err err = SOTTO_OK;

    if (call == NULL)
        return SOTTO_E_GONE;
    if (!si_error_code_ok(code)) {
        err = SOTTO_E_USAGE;
        code = SI_LITERAL("internal");
        brief = true;
    }
    if (!brief && (err = compose_failure(calls, call, code, message)) != SOTTO_OK) {
        if (err != SOTTO_E_USAGE)
            return err;
        brief = true;
    }
    link = call->link;
    id = call->node.id;
    si_call_release(call);

    whole = si_span(calls->scratch.ptr, calls->scratch.len);
    /* A message that is too long for the client is not worth the code. */
    if (!brief && si_link_put(link, &whole, 1) == SOTTO_E_TOO_LARGE)
        brief = true;
    if (brief)
        (void)si_link_put_failure(link, id, code, NULL);
    if (calls->scratch.cap > SCRATCH_KEPT)
        si_buf_free(&calls->scratch);
    return link->err == SOTTO_OK ? err : SOTTO_E_GONE;
}
