/*
 * The session object: bytes in and out, time, events, and the ways to its end.
 *
 * How a session ends:
 *
 *     fail()              silence: before the handshake is done, or when the peer cannot be
 *                         understood.  Keys are wiped, SI_OVER.
 *     fail_with_close()   an open session tells the peer the reason, then ends.
 *     si_session_end()    everything was said: SI_ENDING sends what waits, has the sending side
 *                         shut down, discards input until the peer's end of stream, one second or
 *                         4 MiB (section 1), and is SI_OVER.
 *
 * Keys are wiped on the way into SI_ENDING and SI_OVER; what waits by then is sealed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "session/internal.h"

enum {
    /* How long the last words may wait for a peer that takes nothing, and all in all. */
    FAREWELL_MS = 5000,
    FAREWELL_MOST_MS = 60000,
    CLOSE_TEXT_MAX = SOTTO_MESSAGE_MAX_LEAST, /* every peer takes that much */
    CLOSE_CODE_MAX = 128
};

/* The session has just begun to end, and nobody has said what time it is. */
#define CLOCK_UNSET INT64_MIN

/* ---- Making and freeing ---------------------------------------------------------------------- */

sotto_err si_session_new(int64_t now, uint32_t handshake_timeout_ms, sotto_session **out)
{
    sotto_session *s = calloc(1, sizeof *s);

    *out = s;
    if (s == NULL)
        return SOTTO_E_NOMEM;
    s->now = now;
    s->handshake_deadline = now + si_ms(handshake_timeout_ms);
    s->input = si_buf(4 + SI_NEGOTIATION_MAX + 65535 + SOTTO_MESSAGE_PADDING);
    si_output_init(&s->output, NULL);
    return SOTTO_OK;
}

void si_session_lend(sotto_session *s, struct si_scratch *scratch)
{
    s->scratch = scratch;
    s->output.scratch = scratch;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static void rest_keys(sotto_session *s)
{
    if (s->ready)
        s->scratch->ready[s->ready_at] = NULL;
    s->ready = false;
    si_cipher_rest(&s->tx);
    si_cipher_rest(&s->rx);
}

/* The session is about to use its keys: it is one of those that keep them expanded, and if there
 * are too many, the one that has been so for longest is none any more. */
static void ready_keys(sotto_session *s)
{
    struct si_scratch *scratch = s->scratch;

    if (scratch == NULL || s->ready || s->output.tx == NULL)
        return;
    if (scratch->ready[scratch->next_ready] != NULL)
        rest_keys(scratch->ready[scratch->next_ready]);
    scratch->ready[scratch->next_ready] = s;
    s->ready_at = (uint16_t)scratch->next_ready;
    s->ready = true;
    scratch->next_ready = (scratch->next_ready + 1) % SI_READY_MAX;
}

static void wipe_keys(sotto_session *s)
{
    rest_keys(s);
    si_handshake_free(s->handshake);
    s->handshake = NULL;
    if (s->tx.aead != NULL)
        si_cipher_wipe(&s->tx);
    if (s->rx.aead != NULL)
        si_cipher_wipe(&s->rx);
    s->output.tx = NULL;
}

static void free_json(sotto_session *s)
{
    si_json_free(s->own_json);
    s->own_json = NULL;
}

void sotto_session_free(sotto_session *s)
{
    if (s == NULL)
        return;
    wipe_keys(s);
    free_json(s);
    si_output_free(&s->output);
    si_scratch_give(s->scratch, &s->input);
    si_scratch_give(s->scratch, &s->messages.partial);
    if (s->bootstrap != NULL)
        si_wipe(s->bootstrap, sizeof *s->bootstrap);
    free(s->bootstrap);
    free(s->refusal);
    si_wipe(s, sizeof *s);
    free(s);
}

struct si_json *si_session_json(sotto_session *s)
{
    if (s->scratch != NULL)
        return s->scratch->json;
    if (s->own_json == NULL && si_json_new(&s->own_json) != SOTTO_OK)
        return NULL;
    return s->own_json;
}

/* ---- The ways to the end --------------------------------------------------------------------- */

void si_session_over(sotto_session *s)
{
    s->phase = SI_OVER;
    wipe_keys(s);
    free_json(s);
}

/* The first error is kept. */
static sotto_err fail(sotto_session *s, sotto_err err)
{
    if (s->phase == SI_OVER)
        return s->error != SOTTO_OK ? s->error : err;
    if (s->error == SOTTO_OK)
        s->error = err;
    s->key_event = s->bootstrap_event = s->open_event = s->has_message = false;
    si_session_over(s);
    return s->error;
}

sotto_err si_session_fail_if(sotto_session *s, sotto_err err)
{
    return err == SOTTO_OK ? SOTTO_OK : fail(s, err);
}

void si_session_end(sotto_session *s)
{
    s->phase = SI_ENDING;
    s->end_deadline = CLOCK_UNSET;
    s->open_event = s->has_message = false;
    s->first_record_due = s->keepalive_due = false;
    s->echoes_due = 0;
    s->messages.body = si_span(NULL, 0);
    wipe_keys(s);
    free_json(s);
}

/*
 * The clock of SI_ENDING.  As long as something waits to be sent, each byte that the peer takes
 * gives it more time; behind that it has a second (section 1).  A peer that is not authenticated
 * gets no more than the handshake's deadline (section 2).
 */
static void set_end_deadline(sotto_session *s)
{
    if (s->end_deadline == CLOCK_UNSET)
        s->end_limit = s->was_open ? s->now + si_ms(FAREWELL_MOST_MS) : s->handshake_deadline;
    if (s->shut) {
        s->end_deadline = s->now + si_ms(SI_LINGER_MS);
        return;
    }
    s->end_deadline = s->now + si_ms(FAREWELL_MS);
    if (s->end_deadline > s->end_limit)
        s->end_deadline = s->end_limit;
}

static sotto_err put_close_text(struct si_buf *out, const char *code, const char *message,
                                uint32_t reconnect_after_ms)
{
    sotto_err err = si_buf_puts(out, "{\"close\":{\"code\":");

    if (err == SOTTO_OK)
        err = si_buf_put_json_string(out, code, strlen(code));
    if (err == SOTTO_OK && message != NULL && message[0] != '\0') {
        if ((err = si_buf_puts(out, ",\"message\":")) == SOTTO_OK)
            err = si_buf_put_json_string(out, message, strlen(message));
    }
    if (err == SOTTO_OK && reconnect_after_ms > 0 && strcmp(code, "draining") == 0)
        err = si_buf_printf(out, ",\"reconnect_after_ms\":%u", reconnect_after_ms);
    return err == SOTTO_OK ? si_buf_puts(out, "}}") : err;
}

/* One message into the open record. */
static sotto_err put_message(sotto_session *s, const struct si_span *spans, size_t count,
                             size_t len)
{
    sotto_err err = si_output_reserve(&s->output, 4 + len);

    if (err != SOTTO_OK)
        return err;
    /* An error would leave half a message in the output: it is final. */
    return si_session_fail_if(s, si_output_message(&s->output, spans, count, len));
}

/* Queue the close; the session goes on or ends as its caller wants. */
static sotto_err queue_close(sotto_session *s, const char *code, const char *message,
                             uint32_t reconnect_after_ms)
{
    struct si_buf text = si_buf(CLOSE_TEXT_MAX);
    sotto_err err = put_close_text(&text, code, message, reconnect_after_ms);

    /* The code matters more than a message that is too long for the peer. */
    if (err == SOTTO_E_TOO_LARGE) {
        text.len = 0;
        err = put_close_text(&text, code, NULL, reconnect_after_ms);
    }
    if (err == SOTTO_OK) {
        const struct si_span span = si_span(text.ptr, text.len);

        err = put_message(s, &span, 1, span.len);
    }
    if (err == SOTTO_OK)
        err = si_session_fail_if(s, si_output_seal(&s->output));
    if (err == SOTTO_OK)
        s->close_sent = true;
    si_buf_free(&text);
    return err;
}

sotto_err si_session_put_close(sotto_session *s, const char *code, const char *message,
                               uint32_t reconnect_after_ms)
{
    sotto_err err = queue_close(s, code, message, reconnect_after_ms);

    if (err != SOTTO_OK)
        return fail(s, err);
    si_session_end(s);
    return SOTTO_OK;
}

/* An open session that fails tells the peer why (section 1), unless it has said its last word
 * already. */
sotto_err si_session_fail_with_close(sotto_session *s, sotto_err err, const char *code)
{
    s->error = err;
    if (s->close_sent)
        si_session_end(s);
    else if (si_session_put_close(s, code, NULL, 0) != SOTTO_OK)
        return fail(s, err);
    return err;
}

/* ---- Handshake: what both roles do ----------------------------------------------------------- */

sotto_err si_session_begin_handshake(sotto_session *s, enum si_role role,
                                     struct si_span negotiation,
                                     const struct si_handshake_keys *keys)
{
    const sotto_noisesocket_history history = {
        .initial.negotiation = {negotiation.ptr, negotiation.len}};
    uint8_t prologue[SI_PROLOGUE_MAX];
    sotto_room room = sotto_room_of(prologue, sizeof prologue);
    struct si_protocol protocol;
    char name[SOTTO_NOISE_NAME_SIZE];
    sotto_err err;

    sotto_session_noise_name(s, name);
    if ((err = si_protocol_parse(&protocol, name, NULL)) != SOTTO_OK ||
        (err = sotto_noisesocket_prologue(SOTTO_NOISESOCKET_INITIAL, &history, &room)) != SOTTO_OK)
        return err;
    return si_handshake_new(&protocol, role, si_span(room.ptr, room.len), keys, &s->handshake,
                            NULL);
}

sotto_err si_session_write_handshake(sotto_session *s, struct si_span negotiation,
                                     const struct si_span *body)
{
    uint8_t payload[SI_HANDSHAKE_NOISE_MAX], noise[SI_HANDSHAKE_NOISE_MAX], length[2];
    size_t payload_len = 0, len;
    sotto_err err;

    if (body != NULL) {
        payload_len = SI_EMPTY_BODY + body->len;
        if (payload_len > sizeof payload)
            return SOTTO_E_TOO_LARGE;
        si_put_be16(payload, (uint16_t)body->len);
        if (body->len > 0)
            memcpy(payload + 2, body->ptr, body->len);
    }
    err =
        si_handshake_write(s->handshake, si_span(payload, payload_len), noise, sizeof noise, &len);
    if (err != SOTTO_OK)
        return err;

    si_put_be16(length, (uint16_t)negotiation.len);
    if ((err = si_output_raw(&s->output, length, sizeof length)) != SOTTO_OK ||
        (err = si_output_raw(&s->output, negotiation.ptr, negotiation.len)) != SOTTO_OK)
        return err;
    si_put_be16(length, (uint16_t)len);
    if ((err = si_output_raw(&s->output, length, sizeof length)) != SOTTO_OK)
        return err;
    return si_output_raw(&s->output, noise, len);
}

sotto_err si_session_read_handshake(sotto_session *s, const struct si_frame *frame, bool exact,
                                    uint8_t *plain, struct si_span *body)
{
    /* XX message 1 is the one clear payload: no body_len (section 2). */
    bool clear = s->negotiation.pattern == SI_XX && s->phase == SI_EXPECT_NEGOTIATION;
    size_t len = si_handshake_message_len(s->handshake, clear ? 0 : SI_EMPTY_BODY);
    sotto_err err;

    *body = si_span(NULL, 0);
    if (exact ? frame->noise_len != len : frame->noise_len < len)
        return SOTTO_E_PROTOCOL;
    err = si_handshake_read(s->handshake, si_span(frame->noise, frame->noise_len), plain,
                            SI_HANDSHAKE_NOISE_MAX, &len);
    if (err != SOTTO_OK || clear)
        return err;
    if ((err = si_body_read(si_span(plain, len), body)) != SOTTO_OK)
        return err;
    return exact && body->len != 0 ? SOTTO_E_PROTOCOL : SOTTO_OK;
}

sotto_err si_session_split(sotto_session *s)
{
    sotto_err err = si_handshake_split(s->handshake, &s->tx, &s->rx, s->h, &s->h_len);

    if (err != SOTTO_OK)
        return err;
    s->output.tx = &s->tx;
    si_handshake_free(s->handshake);
    s->handshake = NULL;
    return SOTTO_OK;
}

void si_session_opened(sotto_session *s)
{
    s->phase = SI_OPEN;
    s->was_open = s->open_event = true;
    s->last_rx = s->last_tx = s->last_keepalive = s->now;
    free_json(s);
}

void si_session_keep_refusal(sotto_session *s, const struct si_refusal *refusal)
{
    if (s->refusal == NULL && (s->refusal = malloc(sizeof *refusal)) != NULL)
        *s->refusal = *refusal;
}

/* ---- Bytes in -------------------------------------------------------------------------------- */

static void move_time(sotto_session *s, int64_t now)
{
    if (now > s->now)
        s->now = now;
    if (s->phase == SI_ENDING && s->end_deadline == CLOCK_UNSET)
        set_end_deadline(s);
}

static bool in_handshake(const sotto_session *s)
{
    return s->phase < SI_OPEN;
}

/* After the last word: input is read away, so that a reset does not destroy what we have sent
 * (section 1). */
static sotto_err discard(sotto_session *s, size_t len, size_t *taken)
{
    if (s->shut)
        s->discarded += len - *taken;
    *taken = len;
    if (s->discarded > SI_LINGER_MAX_BYTES)
        si_session_over(s);
    return SOTTO_OK;
}

/* A bootstrap connection carries nothing behind the document (section 4). */
static sotto_err refuse_more_than_document(sotto_session *s)
{
    s->bootstrap_event = false;
    si_wipe(s->bootstrap, sizeof *s->bootstrap);
    s->error = SOTTO_E_PROTOCOL;
    return s->error;
}

sotto_err sotto_session_feed(sotto_session *s, uint8_t *data, size_t len, size_t *taken,
                             int64_t now)
{
    sotto_err err = SOTTO_OK;

    *taken = 0;
    move_time(s, now);
    ready_keys(s);
    if (in_handshake(s) && s->now >= s->handshake_deadline)
        return fail(s, SOTTO_E_TIMEOUT);
    if (s->phase < SI_ENDING)
        err = si_session_feed_frames(s, data, len, taken);
    if (s->bootstrap_event && *taken < len)
        return refuse_more_than_document(s);
    if (err != SOTTO_OK || (s->phase == SI_OVER && !s->bootstrap_event)) {
        *taken = len;
        return err != SOTTO_OK ? err : s->error != SOTTO_OK ? s->error : SOTTO_E_CLOSED;
    }
    if (s->phase == SI_ENDING || s->peer_closed)
        return discard(s, len, taken);
    return SOTTO_OK;
}

sotto_err sotto_session_eof(sotto_session *s, int64_t now)
{
    move_time(s, now);
    s->peer_eof = true;
    if (s->phase == SI_ENDING && s->shut)
        si_session_over(s);
    if (s->phase >= SI_ENDING || s->peer_closed)
        return SOTTO_OK;
    if (s->phase == SI_EXPECT_XX_2 || s->phase == SI_EXPECT_SESSION_2)
        return fail(s, SOTTO_E_HANDSHAKE);
    return fail(s, SOTTO_E_LOST);
}

/* ---- Bytes out ------------------------------------------------------------------------------- */

/* Records that carry nothing: the client's first, keep-alives, and the server's answers to them. */
static sotto_err put_empty_records(sotto_session *s)
{
    sotto_err err = SOTTO_OK;

    if (s->phase != SI_OPEN || s->close_sent)
        return SOTTO_OK;
    for (; s->echoes_due > 0 && err == SOTTO_OK; s->echoes_due--)
        err = si_output_empty_record(&s->output);
    if ((s->first_record_due || s->keepalive_due) && err == SOTTO_OK)
        err = si_output_empty_record(&s->output);
    s->first_record_due = s->keepalive_due = false;
    return err;
}

sotto_err sotto_session_output(sotto_session *s, const uint8_t **data, size_t *len, int64_t now)
{
    sotto_err err;

    *data = NULL;
    *len = 0;
    move_time(s, now);
    if (s->phase == SI_OVER)
        return s->error;
    ready_keys(s);
    if ((err = si_output_seal(&s->output)) != SOTTO_OK || (err = put_empty_records(s)) != SOTTO_OK)
        return fail(s, err);
    *len = si_output_waiting(&s->output);
    if (*len > 0) {
        *data = s->output.buf.ptr + s->output.sent;
        s->last_tx = s->now;
    }
    return SOTTO_OK;
}

void sotto_session_sent(sotto_session *s, size_t len)
{
    si_output_sent(&s->output, len);
    if (s->phase == SI_ENDING && !s->shut && len > 0)
        set_end_deadline(s);
}

size_t sotto_session_output_waiting(const sotto_session *s)
{
    return si_output_waiting(&s->output) + (size_t)s->echoes_due * SI_RECORD_OVERHEAD;
}

void sotto_session_shut(sotto_session *s, int64_t now)
{
    move_time(s, now);
    s->shut = true;
    if (s->phase != SI_ENDING)
        return;
    set_end_deadline(s);
    if (s->peer_eof)
        si_session_over(s);
}

unsigned sotto_session_want(const sotto_session *s)
{
    bool empty_due = s->phase == SI_OPEN && !s->close_sent &&
                     (s->first_record_due || s->keepalive_due || s->echoes_due > 0);
    unsigned want = 0;

    if (s->phase == SI_OVER)
        return s->bootstrap_event ? SOTTO_WANT_EVENT : SOTTO_WANT_FREE;
    if (si_output_waiting(&s->output) > 0 || empty_due)
        want |= SOTTO_WANT_OUTPUT;
    else if ((s->phase == SI_ENDING || s->close_sent) && !s->shut)
        want |= SOTTO_WANT_SHUTDOWN;
    if (s->phase == SI_EXPECT_VERDICT)
        want |= SOTTO_WANT_VERDICT;
    if (s->key_event || s->open_event || s->has_message || s->messages.body.len > 0)
        want |= SOTTO_WANT_EVENT;
    else if (s->phase != SI_EXPECT_VERDICT && !s->peer_eof)
        want |= SOTTO_WANT_INPUT;
    return want;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* Section 7: the client sends a keep-alive when it has sent nothing, or decrypted nothing since its
 * last one, for keepalive_ms. */
static int64_t keepalive_at(const sotto_session *s)
{
    int64_t heard = s->last_rx > s->last_keepalive ? s->last_rx : s->last_keepalive;

    return (s->last_tx < heard ? s->last_tx : heard) + si_ms(s->keepalive_ms);
}

static int64_t idle_at(const sotto_session *s)
{
    return s->last_rx + 2 * si_ms(s->keepalive_ms);
}

int64_t sotto_session_deadline(const sotto_session *s)
{
    if (in_handshake(s))
        return s->handshake_deadline;
    if (s->phase == SI_ENDING)
        return s->end_deadline == CLOCK_UNSET ? s->now : s->end_deadline;
    if (s->phase == SI_OVER || s->peer_closed || s->close_sent)
        return SOTTO_TIME_NEVER;
    return s->is_server || idle_at(s) < keepalive_at(s) ? idle_at(s) : keepalive_at(s);
}

sotto_err sotto_session_tick(sotto_session *s, int64_t now)
{
    move_time(s, now);
    if (s->now < sotto_session_deadline(s))
        return SOTTO_OK;
    if (in_handshake(s))
        return fail(s, SOTTO_E_TIMEOUT);
    if (s->phase == SI_ENDING) {
        si_session_over(s);
        return SOTTO_OK;
    }
    if (s->phase != SI_OPEN)
        return SOTTO_OK;
    if (s->now >= idle_at(s))
        return si_session_fail_with_close(s, SOTTO_E_LOST, "idle");
    s->keepalive_due = true;
    s->last_keepalive = s->last_tx = s->now;
    return SOTTO_OK;
}

void si_session_alive(sotto_session *s)
{
    s->last_rx = s->now;
}

/* ---- Events ---------------------------------------------------------------------------------- */

static bool take_flag(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

sotto_err sotto_session_next(sotto_session *s, sotto_event *event)
{
    sotto_err err;

    memset(event, 0, sizeof *event);
    if (take_flag(&s->key_event)) {
        event->type = SOTTO_EVENT_SERVER_KEY;
        event->key = &s->peer_key;
        return SOTTO_OK;
    }
    if (take_flag(&s->open_event)) {
        event->type = SOTTO_EVENT_OPEN;
        return SOTTO_OK;
    }
    if (take_flag(&s->bootstrap_event)) {
        event->type = SOTTO_EVENT_BOOTSTRAP;
        event->bootstrap = s->bootstrap;
        return SOTTO_OK;
    }
    if (s->phase != SI_OPEN)
        return s->error != SOTTO_OK ? s->error : SOTTO_E_AGAIN;
    if ((err = si_session_advance(s)) == SOTTO_E_PROTOCOL)
        return si_session_fail_with_close(s, err, "protocol_error");
    if (err != SOTTO_OK)
        return fail(s, err);
    if (!take_flag(&s->has_message)) {
        if (s->messages.body.len == 0)
            si_session_release_input(s); /* an idle session keeps no buffers */
        return SOTTO_E_AGAIN;
    }
    event->type = SOTTO_EVENT_MESSAGE;
    event->data = s->message.ptr;
    event->len = s->message.len;
    return SOTTO_OK;
}

/* ---- Messages out ---------------------------------------------------------------------------- */

sotto_err si_session_send_spans(sotto_session *s, const struct si_span *spans, size_t count)
{
    size_t len = 0;
    sotto_err err;

    if (s->phase != SI_OPEN || s->close_sent)
        return s->error != SOTTO_OK ? s->error : SOTTO_E_USAGE;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].len > s->peer_max_message - len)
            return SOTTO_E_TOO_LARGE;
        len += spans[i].len;
    }
    if (len == 0)
        return SOTTO_E_TOO_LARGE;
    if (sotto_session_output_waiting(s) > s->max_output)
        return SOTTO_E_AGAIN;
    ready_keys(s);
    if ((err = put_message(s, spans, count, len)) == SOTTO_OK)
        s->first_record_due = false;
    return err;
}

sotto_err sotto_session_send(sotto_session *s, const sotto_piece *pieces, size_t count)
{
    struct si_span few[16], *spans = few;
    sotto_err err;

    if (count > SI_COUNT(few) && (spans = calloc(count, sizeof *spans)) == NULL)
        return SOTTO_E_NOMEM;
    few[0] = si_span(NULL, 0); /* of no pieces, too */
    for (size_t i = 0; i < count; i++)
        spans[i] = si_span(pieces[i].ptr, pieces[i].len);
    err = si_session_send_spans(s, spans, count);
    if (spans != few)
        free(spans);
    return err;
}

sotto_err sotto_session_close(sotto_session *s, const char *code, const char *message,
                              uint32_t reconnect_after_ms)
{
    sotto_err err;

    if (s->close_sent)
        return SOTTO_OK;
    if (s->phase != SI_OPEN)
        return s->error != SOTTO_OK ? s->error : SOTTO_E_USAGE;
    if (strlen(code) > CLOSE_CODE_MAX)
        return SOTTO_E_USAGE;
    if ((err = queue_close(s, code, message, reconnect_after_ms)) != SOTTO_OK)
        return fail(s, err); /* without a close nobody would ever end it */
    /* A server has answered everything by now.  A client reads on until the server's close. */
    if (s->is_server || s->peer_closed)
        si_session_end(s);
    return SOTTO_OK;
}

void sotto_session_peer_closed(sotto_session *s)
{
    s->peer_closed = true;
    s->has_message = false;
    s->messages.body = si_span(NULL, 0);
    if (s->phase == SI_OPEN && s->close_sent)
        si_session_end(s);
}

sotto_err sotto_session_broken(sotto_session *s)
{
    if (s->phase != SI_OPEN)
        return s->error != SOTTO_OK ? s->error : SOTTO_E_PROTOCOL;
    return si_session_fail_with_close(s, SOTTO_E_PROTOCOL, "protocol_error");
}

/* ---- Looking --------------------------------------------------------------------------------- */

sotto_err sotto_session_error(const sotto_session *s)
{
    return s->error;
}

const char *sotto_session_refusal_code(const sotto_session *s)
{
    return s->refusal != NULL ? s->refusal->code : "";
}

const char *sotto_session_refusal_message(const sotto_session *s)
{
    return s->refusal != NULL ? s->refusal->message : "";
}

uint32_t sotto_session_refusal_retry_ms(const sotto_session *s)
{
    return s->refusal != NULL ? s->refusal->retry_after_ms : 0;
}

sotto_purpose sotto_session_purpose(const sotto_session *s)
{
    if (s->negotiation.pattern == 0)
        return 0;
    return si_is_session_pattern(s->negotiation.pattern) ? SOTTO_SESSION : SOTTO_BOOTSTRAP;
}

int sotto_session_is_open(const sotto_session *s)
{
    return s->phase == SI_OPEN;
}

sotto_curve sotto_session_curve(const sotto_session *s)
{
    return s->negotiation.curve;
}

void sotto_session_noise_name(const sotto_session *s, char out[SOTTO_NOISE_NAME_SIZE])
{
    const struct si_negotiation *n = &s->negotiation;

    out[0] = '\0';
    if (n->pattern != 0 && n->curve != 0 && n->cipher != 0)
        (void)snprintf(out, SOTTO_NOISE_NAME_SIZE, "Noise_%s_%s_%s_%s",
                       si_pattern_id_name(n->pattern), sotto_curve_name(n->curve),
                       sotto_cipher_name(n->cipher), si_curve_hash(n->curve)->name);
}

sotto_cipher sotto_session_cipher(const sotto_session *s)
{
    return s->negotiation.cipher;
}

const sotto_public_key *sotto_session_client_key(const sotto_session *s)
{
    return s->is_server && s->was_open && s->peer_key.curve != 0 ? &s->peer_key : NULL;
}

const char *sotto_session_client_name(const sotto_session *s)
{
    return s->was_open ? s->client_name : NULL;
}

uint32_t sotto_session_peer_max_message(const sotto_session *s)
{
    return s->peer_max_message;
}

const uint8_t *sotto_session_handshake_hash(const sotto_session *s, size_t *len)
{
    *len = s->h_len;
    return s->h;
}
