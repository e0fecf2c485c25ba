#include "sotto/noisesocket.h"

#include "noise/internal.h"

_Static_assert(SOTTO_NOISESOCKET_BODY_MAX == SOTTO_NOISE_TRANSPORT_MAX - 2, "a body's length");

/* ---- Output ---------------------------------------------------------------------------------- */

/* Pieces are first counted, then written: with OUT NULL nothing is written. */
struct writer {
    uint8_t *out;
    size_t len;
};

static void put(struct writer *w, sotto_bytes bytes)
{
    if (w->out != NULL && bytes.len > 0)
        memcpy(w->out + w->len, bytes.ptr, bytes.len);
    w->len += bytes.len;
}

static void put_length(struct writer *w, size_t len)
{
    uint8_t field[2];

    si_put_be16(field, (uint16_t)len);
    put(w, sotto_bytes_of(field, sizeof field));
}

/* A length field and what it counts. */
static void put_field(struct writer *w, sotto_bytes bytes)
{
    put_length(w, bytes.len);
    put(w, bytes);
}

static bool is_ok(sotto_bytes bytes)
{
    return si_bytes_ok(bytes.ptr, bytes.len);
}

/* Room for LEN bytes that overlaps none of the COUNT inputs. */
static sotto_err check_room(const sotto_room *out, size_t len, const sotto_bytes *in, size_t count)
{
    if (out->cap < len)
        return SOTTO_E_BUFFER;
    for (size_t i = 0; i < count; i++) {
        if (si_overlap(out->ptr, len, in[i].ptr, in[i].len))
            return SOTTO_E_USAGE;
    }
    return SOTTO_OK;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* NEGOTIATION is NULL for a transport frame. */
static sotto_err write_frame(const sotto_bytes *negotiation, sotto_bytes message, sotto_room *out)
{
    const sotto_bytes in[] = {negotiation == NULL ? sotto_no_bytes() : *negotiation, message};
    struct writer w = {NULL, 0};
    size_t len;
    sotto_err err;

    if (!si_room_open(out) || !is_ok(in[0]) || !is_ok(in[1]))
        return SOTTO_E_USAGE;
    if (in[0].len > SOTTO_NOISESOCKET_FIELD_MAX || in[1].len > SOTTO_NOISESOCKET_FIELD_MAX)
        return SOTTO_E_TOO_LARGE;
    len = (negotiation != NULL ? 2 + in[0].len : 0) + 2 + in[1].len;
    if ((err = check_room(out, len, in, SI_COUNT(in))) != SOTTO_OK)
        return err;

    w.out = out->ptr;
    if (negotiation != NULL)
        put_field(&w, in[0]);
    put_field(&w, in[1]);
    out->len = w.len;
    return SOTTO_OK;
}

sotto_err sotto_noisesocket_write_handshake(const sotto_noisesocket_frame *frame, sotto_room *out)
{
    if (!si_room_open(out) || frame == NULL)
        return SOTTO_E_USAGE;
    return write_frame(&frame->negotiation, frame->message, out);
}

sotto_err sotto_noisesocket_write_transport(sotto_bytes message, sotto_room *out)
{
    return write_frame(NULL, message, out);
}

/*
 * The field at *AT of STREAM; *AT moves behind it.  E_AGAIN: *AT is how many bytes there have to be
 * before more can be said.
 */
static sotto_err take_field(sotto_bytes stream, size_t max, size_t *at, sotto_bytes *field)
{
    const uint8_t *p = stream.ptr;
    size_t begin = *at, len;

    *at = begin + 2;
    if (stream.len < *at)
        return SOTTO_E_AGAIN;
    len = si_get_be16(p + begin);
    if (len > max)
        return SOTTO_E_TOO_LARGE;
    *at += len;
    if (stream.len < *at)
        return SOTTO_E_AGAIN;
    *field = sotto_bytes_of(p + begin + 2, len);
    return SOTTO_OK;
}

/* Both fields, or with NEGOTIATION NULL the message alone, from the front of STREAM. */
static sotto_err read_frame(sotto_bytes stream, const sotto_noisesocket_limits *limits,
                            sotto_bytes *negotiation, sotto_bytes *message,
                            sotto_noisesocket_progress *progress)
{
    sotto_bytes first = sotto_no_bytes(), second = sotto_no_bytes();
    sotto_err err = SOTTO_OK;
    size_t at = 0;

    if (progress != NULL)
        memset(progress, 0, sizeof *progress);
    if (negotiation != NULL)
        *negotiation = first;
    if (message != NULL)
        *message = first;
    if (progress == NULL || message == NULL || limits == NULL || !is_ok(stream))
        return SOTTO_E_USAGE;
    if (negotiation != NULL)
        err = take_field(stream, limits->negotiation, &at, &first);
    if (err == SOTTO_E_AGAIN && stream.len >= 2)
        at += 2; /* nothing more can be said before the next length is there */
    if (err == SOTTO_OK)
        err = take_field(stream, limits->message, &at, &second);
    if (err == SOTTO_E_AGAIN)
        progress->needed = at;
    if (err != SOTTO_OK)
        return err;
    progress->used = at;
    if (negotiation != NULL)
        *negotiation = first;
    *message = second;
    return SOTTO_OK;
}

sotto_err sotto_noisesocket_read_handshake(sotto_bytes stream,
                                           const sotto_noisesocket_limits *limits,
                                           sotto_noisesocket_frame *frame,
                                           sotto_noisesocket_progress *progress)
{
    if (frame == NULL)
        return read_frame(stream, limits, NULL, NULL, progress);
    return read_frame(stream, limits, &frame->negotiation, &frame->message, progress);
}

sotto_err sotto_noisesocket_read_transport(sotto_bytes stream,
                                           const sotto_noisesocket_limits *limits,
                                           sotto_bytes *message,
                                           sotto_noisesocket_progress *progress)
{
    return read_frame(stream, limits, NULL, message, progress);
}

sotto_noisesocket_answer sotto_noisesocket_answer_of(const sotto_noisesocket_frame *frame)
{
    if (frame->negotiation.len == 0)
        return SOTTO_NOISESOCKET_ACCEPT;
    return frame->message.len == 0 ? SOTTO_NOISESOCKET_RETRY_OR_REJECT : SOTTO_NOISESOCKET_SWITCH;
}

/* ---- Encrypted payloads ---------------------------------------------------------------------- */

sotto_err sotto_noisesocket_write_payload(sotto_bytes body, size_t padded_len, sotto_room *out)
{
    size_t padding = padded_len > body.len ? padded_len - body.len : 0, len;
    struct writer w = {NULL, 0};
    sotto_err err;

    if (!si_room_open(out) || !is_ok(body))
        return SOTTO_E_USAGE;
    if (body.len > SOTTO_NOISESOCKET_BODY_MAX || padded_len > SOTTO_NOISESOCKET_BODY_MAX)
        return SOTTO_E_TOO_LARGE;
    len = 2 + body.len + padding;
    if ((err = check_room(out, len, &body, 1)) != SOTTO_OK)
        return err;

    w.out = out->ptr;
    put_field(&w, body);
    memset(w.out + w.len, 0, padding);
    out->len = len;
    return SOTTO_OK;
}

sotto_err sotto_noisesocket_read_payload(sotto_bytes plaintext, sotto_bytes *body)
{
    size_t at = 0;

    if (body == NULL)
        return SOTTO_E_USAGE;
    *body = sotto_no_bytes();
    if (!is_ok(plaintext))
        return SOTTO_E_USAGE;
    return take_field(plaintext, SOTTO_NOISESOCKET_FIELD_MAX, &at, body) == SOTTO_OK
               ? SOTTO_OK
               : SOTTO_E_PROTOCOL;
}

/* ---- Prologues ------------------------------------------------------------------------------- */

static void put_label(struct writer *w, const char *label)
{
    put(w, sotto_bytes_of(label, strlen(label)));
}

/* Each stage repeats what the ones before it have fixed, and adds what it has seen itself. */
static void put_prologue(struct writer *w, sotto_noisesocket_stage stage,
                         const sotto_noisesocket_history *history)
{
    switch (stage) {
    case SOTTO_NOISESOCKET_INITIAL:
    default:
        put_label(w, "NoiseSocketInit1");
        put_field(w, history->initial.negotiation);
        break;
    case SOTTO_NOISESOCKET_AFTER_SWITCH:
        put_label(w, "NoiseSocketInit2");
        put_field(w, history->initial.negotiation);
        put_field(w, history->initial.message);
        put_field(w, history->response);
        break;
    case SOTTO_NOISESOCKET_AFTER_RETRY:
        put_label(w, "NoiseSocketInit3");
        put_field(w, history->initial.negotiation);
        put_field(w, history->initial.message);
        put_field(w, history->response);
        put_field(w, sotto_no_bytes()); /* the response's Noise message */
        put_field(w, history->retry);
        break;
    }
    put(w, history->application);
}

enum { FIELDS_MAX = 5 };

/* The parts of the history that STAGE reads, the program's own first; how many.  0: no such stage. */
static size_t used_parts(sotto_noisesocket_stage stage, const sotto_noisesocket_history *history,
                         sotto_bytes parts[FIELDS_MAX])
{
    parts[0] = history->application;
    parts[1] = history->initial.negotiation;
    parts[2] = history->initial.message;
    parts[3] = history->response;
    parts[4] = history->retry;
    switch (stage) {
    case SOTTO_NOISESOCKET_INITIAL:
        return 2;
    case SOTTO_NOISESOCKET_AFTER_SWITCH:
        return 4;
    case SOTTO_NOISESOCKET_AFTER_RETRY:
        return 5;
    default:
        return 0;
    }
}

/* May this history be written, and is it known how? */
static sotto_err check_history(sotto_noisesocket_stage stage,
                               const sotto_noisesocket_history *history)
{
    sotto_bytes parts[FIELDS_MAX];
    size_t count = history == NULL ? 0 : used_parts(stage, history, parts);

    for (size_t i = 0; i < count; i++) {
        if (!is_ok(parts[i]))
            return SOTTO_E_USAGE;
    }
    /* What the draft never leaves empty has been forgotten, or is not known yet. */
    if (count == 0 || (count > 2 && (parts[2].len == 0 || parts[3].len == 0)))
        return SOTTO_E_USAGE;
    for (size_t i = 1; i < count; i++) {
        if (parts[i].len > SOTTO_NOISESOCKET_FIELD_MAX)
            return SOTTO_E_TOO_LARGE;
    }
    return SOTTO_OK;
}

size_t sotto_noisesocket_prologue_len(sotto_noisesocket_stage stage,
                                      const sotto_noisesocket_history *history)
{
    struct writer w = {NULL, 0};

    if (check_history(stage, history) == SOTTO_OK)
        put_prologue(&w, stage, history);
    return w.len;
}

sotto_err sotto_noisesocket_prologue(sotto_noisesocket_stage stage,
                                     const sotto_noisesocket_history *history, sotto_room *out)
{
    struct writer w = {NULL, 0};
    sotto_bytes parts[FIELDS_MAX];
    size_t len;
    sotto_err err;

    if (!si_room_open(out))
        return SOTTO_E_USAGE;
    if ((err = check_history(stage, history)) != SOTTO_OK)
        return err;
    len = sotto_noisesocket_prologue_len(stage, history);
    if ((err = check_room(out, len, parts, used_parts(stage, history, parts))) != SOTTO_OK)
        return err;

    w.out = out->ptr;
    put_prologue(&w, stage, history);
    out->len = w.len;
    return SOTTO_OK;
}
