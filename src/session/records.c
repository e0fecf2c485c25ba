#include "session/records.h"

/* Section 7: the sender before the record whose nonce is a non-zero multiple of 65536, the receiver
 * at that nonce. */
static sotto_err rekey_if_due(struct si_cipher_state *cs)
{
    return cs->n != 0 && cs->n % SI_REKEY_INTERVAL == 0 ? si_cipher_rekey(cs) : SOTTO_OK;
}

/* ---- Output ---------------------------------------------------------------------------------- */

void si_output_init(struct si_output *out, struct si_scratch *scratch)
{
    *out = (struct si_output){.buf = si_buf(SIZE_MAX / 2), .scratch = scratch};
}

void si_output_free(struct si_output *out)
{
    si_scratch_give(out->scratch, &out->buf);
    out->sent = out->sealed = 0;
}

static size_t open_body_len(const struct si_output *out)
{
    size_t open = out->buf.len - out->sealed;

    return open == 0 ? 0 : open - SI_RECORD_HEADER;
}

static sotto_err make_room(struct si_output *out, size_t len)
{
    si_scratch_take(out->scratch, &out->buf, len);
    /* What has left makes room first, once it is half of all: so a byte moves once at most. */
    if (out->sent >= out->buf.len / 2 && len > out->buf.cap - out->buf.len && out->sent > 0) {
        si_buf_consume(&out->buf, out->sent);
        out->sealed -= out->sent;
        out->sent = 0;
    }
    return si_buf_reserve(&out->buf, len);
}

sotto_err si_output_raw(struct si_output *out, const void *data, size_t len)
{
    sotto_err err = make_room(out, len);

    if (err == SOTTO_OK)
        err = si_buf_put(&out->buf, data, len);
    if (err == SOTTO_OK)
        out->sealed = out->buf.len;
    return err;
}

sotto_err si_output_reserve(struct si_output *out, size_t len)
{
    size_t records = len / SI_RECORD_BODY_MAX + 2;
    sotto_err err;

    if (len > SIZE_MAX / 4)
        return SOTTO_E_TOO_LARGE;
    if (out->tx != NULL && out->tx->key != NULL &&
        len + records * SI_RECORD_OVERHEAD <= out->buf.cap - out->buf.len)
        return SOTTO_OK;
    /* A key that is expanded while a record is sealed could fail when it is too late. */
    if (out->tx != NULL && (err = si_cipher_prepare(out->tx)) != SOTTO_OK)
        return err;
    return make_room(out, len + records * SI_RECORD_OVERHEAD);
}

/* Begin a record behind what is sealed.  There is room. */
static sotto_err begin_record(struct si_output *out)
{
    static const uint8_t header[SI_RECORD_HEADER];

    return si_buf_put(&out->buf, header, sizeof header);
}

sotto_err si_output_seal(struct si_output *out)
{
    size_t open = out->buf.len - out->sealed, plain_len;
    uint8_t *record;
    sotto_err err;

    if (open == 0)
        return SOTTO_OK;
    if ((err = rekey_if_due(out->tx)) != SOTTO_OK ||
        (err = si_buf_reserve(&out->buf, SI_TAG_LEN)) != SOTTO_OK)
        return err;
    record = out->buf.ptr + out->sealed;
    plain_len = open - 2; /* body_len and body */
    si_put_be16(record, (uint16_t)(plain_len + SI_TAG_LEN));
    si_put_be16(record + 2, (uint16_t)(plain_len - 2));
    err = si_cipher_encrypt(out->tx, si_span(NULL, 0), record + 2, plain_len, record + 2);
    if (err != SOTTO_OK)
        return err;
    out->buf.len += SI_TAG_LEN;
    out->sealed = out->buf.len;
    return SOTTO_OK;
}

/* Seal a whole record from where its body lies: copying it first would take as long again. */
static sotto_err put_record(struct si_output *out, const uint8_t *body)
{
    uint8_t body_len[2], *record;
    const struct si_span parts[] = {{body_len, sizeof body_len}, {body, SI_RECORD_BODY_MAX}};
    sotto_err err;

    if ((err = rekey_if_due(out->tx)) != SOTTO_OK ||
        (err = si_buf_reserve(&out->buf, SI_RECORD_BODY_MAX + SI_RECORD_OVERHEAD)) != SOTTO_OK)
        return err;
    record = out->buf.ptr + out->buf.len;
    si_put_be16(record, 2 + SI_RECORD_BODY_MAX + SI_TAG_LEN);
    si_put_be16(body_len, SI_RECORD_BODY_MAX);
    err = si_cipher_encrypt_parts(out->tx, si_span(NULL, 0), parts, SI_COUNT(parts), record + 2);
    if (err != SOTTO_OK)
        return err;
    out->buf.len += SI_RECORD_BODY_MAX + SI_RECORD_OVERHEAD;
    out->sealed = out->buf.len;
    return SOTTO_OK;
}

sotto_err si_output_body(struct si_output *out, const void *data, size_t len)
{
    const uint8_t *at = data;
    sotto_err err = SOTTO_OK;

    while (len > 0 && err == SOTTO_OK) {
        size_t room, part;

        if (out->buf.len == out->sealed && len >= SI_RECORD_BODY_MAX) {
            err = put_record(out, at);
            at += SI_RECORD_BODY_MAX;
            len -= SI_RECORD_BODY_MAX;
            continue;
        }
        if (out->buf.len == out->sealed && (err = begin_record(out)) != SOTTO_OK)
            break;
        room = SI_RECORD_BODY_MAX - open_body_len(out);
        part = len < room ? len : room;
        if ((err = si_buf_put(&out->buf, at, part)) != SOTTO_OK)
            break;
        at += part;
        len -= part;
        if (part == room)
            err = si_output_seal(out);
    }
    return err;
}

/* Copy a span.  Most are short, and to call memcpy() for them takes longer than to copy them. */
static uint8_t *put_span(uint8_t *to, struct si_span span)
{
    const uint8_t *from = span.ptr;
    size_t len = span.len;

    if (len > 16) {
        memcpy(to, from, len);
    } else if (len >= 8) { /* two halves, which may overlap */
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else if (len >= 4) {
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
    } else {
        for (size_t i = 0; i < len; i++)
            to[i] = from[i];
    }
    return to + len;
}

/* The common case: a message that ends within the open record needs one look at the room in it. */
static void put_whole(struct si_output *out, const uint8_t prefix[4], const struct si_span *spans,
                      size_t count)
{
    uint8_t *at = out->buf.ptr + out->buf.len;

    if (out->buf.len == out->sealed)
        at += SI_RECORD_HEADER; /* filled in by the seal */
    memcpy(at, prefix, 4);
    at += 4;
    for (size_t i = 0; i < count; i++)
        at = put_span(at, spans[i]);
    out->buf.len = (size_t)(at - out->buf.ptr);
}

sotto_err si_output_message(struct si_output *out, const struct si_span *spans, size_t count,
                            size_t len)
{
    uint8_t prefix[4];
    sotto_err err;

    si_put_be32(prefix, (uint32_t)len);
    if (4 + len < SI_RECORD_BODY_MAX - open_body_len(out)) {
        put_whole(out, prefix, spans, count);
        return SOTTO_OK;
    }
    err = si_output_body(out, prefix, sizeof prefix);
    for (size_t i = 0; i < count && err == SOTTO_OK; i++)
        err = si_output_body(out, spans[i].ptr, spans[i].len);
    return err;
}

sotto_err si_output_empty_record(struct si_output *out)
{
    sotto_err err = si_output_seal(out);

    if (err == SOTTO_OK && (err = make_room(out, SI_RECORD_OVERHEAD)) == SOTTO_OK &&
        (err = begin_record(out)) == SOTTO_OK)
        err = si_output_seal(out);
    return err;
}

void si_output_sent(struct si_output *out, size_t len)
{
    out->sent += len;
    if (out->sent == out->buf.len) {
        out->buf.len = 0; /* only ciphertext has been there */
        si_output_free(out);
    }
}

/* ---- Input ----------------------------------------------------------------------------------- */

sotto_err si_body_read(struct si_span plaintext, struct si_span *body)
{
    *body = si_span(NULL, 0);
    if (plaintext.len < 2 || si_get_be16(plaintext.ptr) > plaintext.len - 2)
        return SOTTO_E_PROTOCOL;
    *body = si_span(plaintext.ptr + 2, si_get_be16(plaintext.ptr));
    return SOTTO_OK;
}

static sotto_err decrypt(struct si_cipher_state *rx, const uint8_t *noise, size_t len, uint8_t *out)
{
    sotto_err err = rekey_if_due(rx);

    return err == SOTTO_OK ? si_cipher_decrypt(rx, si_span(NULL, 0), noise, len, out) : err;
}

sotto_err si_record_open(struct si_cipher_state *rx, uint8_t *noise, size_t len,
                         struct si_span *body)
{
    sotto_err err = decrypt(rx, noise, len, noise);

    *body = si_span(NULL, 0);
    return err == SOTTO_OK ? si_body_read(si_span(noise, len - SI_TAG_LEN), body) : err;
}

void si_messages_add(struct si_messages *m, struct si_span body, const uint8_t *readable_end)
{
    m->body = body;
    m->readable_end = readable_end;
}

static void skip(struct si_span *span, size_t len)
{
    span->ptr += len;
    span->len -= len;
}

/* Collect the four bytes of a prefix, which may be spread over records. */
static sotto_err read_prefix(struct si_messages *m, uint32_t max)
{
    /* Usually they are all there.  Bytes that are stored one by one and then loaded as a word make
     * the processor wait. */
    if (m->prefix_len == 0 && m->body.len >= sizeof m->prefix) {
        memcpy(m->prefix, m->body.ptr, sizeof m->prefix);
        skip(&m->body, sizeof m->prefix);
        m->prefix_len = sizeof m->prefix;
    }
    while (m->prefix_len < sizeof m->prefix) {
        if (m->body.len == 0)
            return SOTTO_E_AGAIN;
        m->prefix[m->prefix_len++] = m->body.ptr[0];
        skip(&m->body, 1);
    }
    m->prefix_len = 0;
    m->want = si_get_be32(m->prefix);
    return m->want == 0 || m->want > max ? SOTTO_E_PROTOCOL : SOTTO_OK;
}

/* In front of the body stands its length: two bytes of the message lie there for a moment. */
enum { BODY_LEN_SIZE = 2 };

bool si_messages_want_all_of(const struct si_messages *m, size_t len)
{
    return m->want > 0 && m->partial.len >= BODY_LEN_SIZE && m->body.len == 0 &&
           len >= SI_TAG_LEN + BODY_LEN_SIZE &&
           len - SI_TAG_LEN - BODY_LEN_SIZE <= m->want - m->partial.len;
}

/* How large the buffer of a message may be for MORE bytes of it.  Few steps for a long one, but no
 * more memory is asked for than five times what has come, or a megabyte. */
static size_t message_room(const struct si_messages *m, size_t more)
{
    size_t most = m->partial.len < 262144 ? 1048576 : 4 * m->partial.len;
    size_t room = m->want <= most + most / 4 ? m->want : most;

    if (room < m->partial.len + more)
        room = m->partial.len + more;
    return room + SOTTO_MESSAGE_PADDING;
}

/* Make room for MORE bytes of the message that has begun: a spare, if there is one, or memory. */
static sotto_err make_message_room(struct si_messages *m, struct si_scratch *scratch, size_t more)
{
    size_t room = message_room(m, more), needed = m->partial.len + more + SOTTO_MESSAGE_PADDING;
    struct si_buf larger = si_buf(m->partial.max);

    if (needed <= m->partial.cap)
        return SOTTO_OK;
    si_scratch_take(scratch, &larger, room);
    if (larger.cap < needed) {
        si_scratch_give(scratch, &larger);
        return si_buf_reserve(&m->partial, room - m->partial.len);
    }
    if (m->partial.len > 0)
        memcpy(larger.ptr, m->partial.ptr, m->partial.len);
    larger.len = m->partial.len;
    si_scratch_give(scratch, &m->partial);
    m->partial = larger;
    return SOTTO_OK;
}

sotto_err si_messages_open(struct si_messages *m, struct si_scratch *scratch,
                           struct si_cipher_state *rx, const uint8_t *noise, size_t len,
                           size_t *body_len)
{
    size_t plain_len = len - SI_TAG_LEN;
    uint8_t kept[BODY_LEN_SIZE], *out;
    struct si_span body;
    sotto_err err = make_message_room(m, scratch, plain_len - BODY_LEN_SIZE);

    if (err != SOTTO_OK)
        return err;
    out = m->partial.ptr + m->partial.len - BODY_LEN_SIZE;
    memcpy(kept, out, sizeof kept);
    if ((err = decrypt(rx, noise, len, out)) != SOTTO_OK ||
        (err = si_body_read(si_span(out, plain_len), &body)) != SOTTO_OK)
        return err;
    memcpy(out, kept, sizeof kept);
    m->partial.len += body.len;
    *body_len = body.len;
    return SOTTO_OK;
}

/* As much of the body as belongs to the message that has begun. */
static sotto_err collect(struct si_messages *m, struct si_scratch *scratch)
{
    size_t part = m->want - m->partial.len;
    sotto_err err;

    part = part < m->body.len ? part : m->body.len;
    if (part == 0)
        return SOTTO_OK;
    if ((err = make_message_room(m, scratch, part)) != SOTTO_OK ||
        (err = si_buf_put(&m->partial, m->body.ptr, part)) != SOTTO_OK)
        return err;
    skip(&m->body, part);
    return SOTTO_OK;
}

sotto_err si_messages_next(struct si_messages *m, struct si_scratch *scratch, uint32_t max,
                           struct si_span *text)
{
    sotto_err err;

    *text = si_span(NULL, 0);
    if (m->want == 0) {
        if (m->partial.ptr != NULL)
            si_scratch_give(scratch, &m->partial); /* the message given out before */
        m->partial.max = SIZE_MAX / 2;             /* MAX is the limit */
        if ((err = read_prefix(m, max)) != SOTTO_OK)
            return err;
    }

    /* The common case: it lies within the record, and enough is readable behind it. */
    if (m->partial.len == 0 && m->want <= m->body.len &&
        (size_t)(m->readable_end - m->body.ptr) - m->want >= SOTTO_MESSAGE_PADDING) {
        *text = si_span(m->body.ptr, m->want);
        skip(&m->body, m->want);
        m->want = 0;
        return SOTTO_OK;
    }

    if ((err = collect(m, scratch)) != SOTTO_OK)
        return err;
    if (m->partial.len < m->want)
        return SOTTO_E_AGAIN;
    *text = si_span(m->partial.ptr, m->want);
    m->want = 0;
    return SOTTO_OK;
}
