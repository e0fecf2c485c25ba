/*
 * Bytes from the peer: cut into frames, each for the handler of the phase that expects it, and
 * bodies cut into messages.
 */
#include "session/internal.h"

/* ---- Messages in ----------------------------------------------------------------------------- */

sotto_err si_session_advance(sotto_session *s)
{
    sotto_err err;

    if (s->has_message || s->peer_closed)
        return SOTTO_OK;
    err = si_messages_next(&s->messages, s->scratch, s->max_message, &s->message);
    s->has_message = err == SOTTO_OK;
    return err == SOTTO_E_AGAIN ? SOTTO_OK : err;
}

/* A record with LEN bytes of body has been decrypted. */
static void note_record(sotto_session *s, size_t len)
{
    s->last_rx = s->now;
    s->echoes_due += s->is_server && len == 0;
}

sotto_err si_session_take_body(sotto_session *s, struct si_span body, const uint8_t *readable_end)
{
    note_record(s, body.len);
    if (body.len == 0)
        return SOTTO_OK;
    si_messages_add(&s->messages, body, readable_end);
    return si_session_advance(s);
}

static sotto_err on_record(sotto_session *s, const struct si_frame *frame)
{
    struct si_span body;
    sotto_err err;

    if (si_messages_want_all_of(&s->messages, frame->noise_len)) {
        err = si_messages_open(&s->messages, s->scratch, &s->rx, frame->noise, frame->noise_len,
                               &body.len);
        if (err != SOTTO_OK)
            return err;
        note_record(s, body.len);
        return si_session_advance(s);
    }
    err = si_record_open(&s->rx, frame->noise, frame->noise_len, &body);
    if (err == SOTTO_OK)
        err = si_session_take_body(s, body, frame->readable_end);
    return err;
}

static bool lies_in(const uint8_t *p, const struct si_buf *b)
{
    return b->ptr != NULL && p >= b->ptr && p < b->ptr + b->cap;
}

sotto_err si_session_hold(sotto_session *s)
{
    struct si_messages *m = &s->messages;
    bool move_message = s->has_message && !lies_in(s->message.ptr, &m->partial);
    const uint8_t *from = move_message ? s->message.ptr : m->body.ptr;
    size_t before = move_message ? (size_t)(m->body.ptr - from) : 0, len = before + m->body.len;
    sotto_err err;

    /* The session's own buffer holds it already, or there is nothing. */
    if (s->input_used || len == 0)
        return SOTTO_OK;
    si_scratch_take(s->scratch, &s->input, len + SOTTO_MESSAGE_PADDING);
    if ((err = si_buf_reserve(&s->input, len + SOTTO_MESSAGE_PADDING)) != SOTTO_OK ||
        (err = si_buf_put(&s->input, from, len)) != SOTTO_OK)
        return err;
    if (move_message)
        s->message.ptr = s->input.ptr;
    si_messages_add(m, si_span(s->input.ptr + before, m->body.len), s->input.ptr + s->input.cap);
    s->input_used = true;
    return SOTTO_OK;
}

/* ---- Frames in ------------------------------------------------------------------------------- */

/* What each phase expects.  A phase without handler takes no frame. */
static const struct {
    bool handshake_frame;
    sotto_err (*handle)(sotto_session *s, const struct si_frame *frame);
} rules[SI_PHASES] = {
    [SI_EXPECT_XX_2] = {true, si_on_xx_2},
    [SI_EXPECT_DOCUMENT] = {false, si_on_document},
    [SI_EXPECT_SESSION_2] = {true, si_on_session_2},
    [SI_EXPECT_NEGOTIATION] = {true, si_on_negotiation},
    [SI_EXPECT_XX_3] = {true, si_on_xx_3},
    [SI_EXPECT_FIRST_RECORD] = {false, si_on_first_record},
    [SI_OPEN] = {false, on_record},
};

/*
 * How long the frame at P is, as far as its first HAVE bytes tell: never more than HAVE only if it
 * is complete.  A length above the limits of section 2 is E_PROTOCOL, before the bytes behind it
 * are read.
 */
static sotto_err frame_need(bool handshake_frame, const uint8_t *p, size_t have, size_t *need)
{
    size_t negotiation_len, noise_len;

    *need = 2;
    if (have < *need)
        return SOTTO_OK;
    if (!handshake_frame) {
        *need = (size_t)2 + si_get_be16(p);
        return SOTTO_OK;
    }
    negotiation_len = si_get_be16(p);
    if (negotiation_len > SI_NEGOTIATION_MAX)
        return SOTTO_E_PROTOCOL;
    *need = 2 + negotiation_len + 2;
    if (have < *need)
        return SOTTO_OK;
    noise_len = si_get_be16(p + 2 + negotiation_len);
    if (noise_len > SI_HANDSHAKE_NOISE_MAX)
        return SOTTO_E_PROTOCOL;
    *need += noise_len;
    return SOTTO_OK;
}

static struct si_frame split_frame(bool handshake_frame, uint8_t *p, const uint8_t *readable_end)
{
    struct si_frame frame = {.readable_end = readable_end};
    size_t at = 0;

    if (handshake_frame) {
        frame.negotiation = si_span(p + 2, si_get_be16(p));
        at = 2 + frame.negotiation.len;
    }
    frame.noise_len = si_get_be16(p + at);
    frame.noise = p + at + 2;
    return frame;
}

/* One whole frame: the phase's handler, and what its error means (section 1). */
static sotto_err on_frame(sotto_session *s, uint8_t *p, const uint8_t *readable_end)
{
    struct si_frame frame = split_frame(rules[s->phase].handshake_frame, p, readable_end);
    sotto_err err = rules[s->phase].handle(s, &frame);

    if (err == SOTTO_OK)
        return SOTTO_OK;
    if (err == SOTTO_E_PROTOCOL && s->phase == SI_OPEN)
        return si_session_fail_with_close(s, err, "protocol_error");
    return si_session_fail_if(s, err);
}

/* Does an event have to be fetched, or a verdict given, before input goes on? */
static bool is_blocked(const sotto_session *s)
{
    return s->key_event || s->bootstrap_event || s->open_event || s->has_message ||
           s->messages.body.len > 0 || s->phase == SI_EXPECT_VERDICT;
}

/* Move bytes into the input buffer until the frame there has its NEED. */
static sotto_err collect(sotto_session *s, const uint8_t *data, size_t len, size_t need,
                         size_t *taken)
{
    size_t part = need - s->input.len;
    sotto_err err;

    part = part < len ? part : len;
    si_scratch_take(s->scratch, &s->input, need + SOTTO_MESSAGE_PADDING);
    if ((err = si_buf_reserve(&s->input, part + SOTTO_MESSAGE_PADDING)) != SOTTO_OK ||
        (err = si_buf_put(&s->input, data, part)) != SOTTO_OK)
        return err;
    *taken += part;
    return SOTTO_OK;
}

/* A frame whose beginning was kept from before: take what it still needs, and handle it when it is
 * whole. */
static sotto_err feed_kept(sotto_session *s, const uint8_t *data, size_t have, size_t *taken)
{
    size_t need, before = *taken;
    sotto_err err;

    for (;;) {
        err = frame_need(rules[s->phase].handshake_frame, s->input.ptr, s->input.len, &need);
        if (err != SOTTO_OK)
            return si_session_fail_if(s, err);
        if (s->input.len >= need)
            break;
        if (*taken - before == have)
            return SOTTO_OK;
        err = collect(s, data + (*taken - before), have - (*taken - before), need, taken);
        if (err != SOTTO_OK)
            return si_session_fail_if(s, err);
    }
    s->input_used = true; /* messages may point into it until they are fetched */
    return on_frame(s, s->input.ptr, s->input.ptr + s->input.cap);
}

void si_session_release_input(sotto_session *s)
{
    if (s->input_used)
        si_scratch_give(s->scratch, &s->input);
    s->input_used = false;
}

sotto_err si_session_feed_frames(sotto_session *s, uint8_t *data, size_t len, size_t *taken)
{
    sotto_err err = SOTTO_OK;

    while (err == SOTTO_OK && rules[s->phase].handle != NULL && !is_blocked(s) && !s->peer_closed) {
        uint8_t *p = data + *taken;
        size_t have = len - *taken, need;

        si_session_release_input(s);
        if (have == 0)
            break;
        if (s->input.len > 0) {
            err = feed_kept(s, p, have, taken);
            continue;
        }
        if ((err = frame_need(rules[s->phase].handshake_frame, p, have, &need)) != SOTTO_OK)
            return si_session_fail_if(s, err);
        if (have < need) {
            if ((err = collect(s, p, have, have, taken)) != SOTTO_OK)
                return si_session_fail_if(s, err);
            continue;
        }
        *taken += need;
        err = on_frame(s, p, data + len + s->input_padding);
    }
    return err;
}
