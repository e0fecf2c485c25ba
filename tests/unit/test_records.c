/*
 * Records and messages (session/records.h) from the inside: what is written is read back and
 * compared with the plainest way to say it, and memory is counted.  Whole sessions meet records of
 * every kind in tests/attack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "session/records.h"

#include "counting_malloc.h"

enum { BODY_MAX = SI_RECORD_BODY_MAX, MIB = 1048576, STREAM_MAX = 4 * MIB, PIECES_MAX = 16 };

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* ---- What is written, and what it should be -------------------------------------------------- */

struct writer {
    struct si_scratch scratch;
    struct si_cipher_state tx, rx;
    struct si_output out;
    uint8_t *said;  /* the stream of messages, as section 7 describes it */
    uint8_t *heard; /* what the records carried */
    size_t said_len, heard_len;
    size_t sealed_len; /* of `said`, when records were last sealed before they were full */
    unsigned records, empty_records;
};

static const struct si_cipher_key key = {{"a key that is known to everybody"}};

static void writer_init(struct writer *w, const struct si_aead *aead, bool lend)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(si_scratch_init(&w->scratch), SOTTO_OK);
    si_cipher_init(&w->tx, aead);
    si_cipher_init(&w->rx, aead);
    si_cipher_set_key(&w->tx, &key);
    si_cipher_set_key(&w->rx, &key);
    si_output_init(&w->out, lend ? &w->scratch : NULL);
    w->out.tx = &w->tx;
    w->said = malloc(STREAM_MAX);
    w->heard = malloc(STREAM_MAX);
    assert_true(w->said != NULL && w->heard != NULL);
}

static void writer_free(struct writer *w)
{
    si_output_free(&w->out);
    si_cipher_wipe(&w->tx);
    si_cipher_wipe(&w->rx);
    si_scratch_wipe(&w->scratch);
    free(w->said);
    free(w->heard);
}

static void check_places(const struct si_output *out)
{
    assert_true(out->sent <= out->sealed);
    assert_true(out->sealed <= out->buf.len);
    assert_true(out->buf.len <= out->buf.cap);
}

static void say(struct writer *w, const struct si_span *pieces, size_t count)
{
    const uint8_t *before;
    size_t len = 0;

    assert_true(w->said_len + 4 <= STREAM_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(w->said_len + 4 + len + pieces[i].len <= STREAM_MAX);
        if (pieces[i].len > 0)
            memcpy(w->said + w->said_len + 4 + len, pieces[i].ptr, pieces[i].len);
        len += pieces[i].len;
    }
    si_put_be32(w->said + w->said_len, (uint32_t)len);
    w->said_len += 4 + len;
    assert_int_equal(si_output_reserve(&w->out, 4 + len), SOTTO_OK);
    before = w->out.buf.ptr;
    assert_int_equal(si_output_message(&w->out, pieces, count, len), SOTTO_OK);
    assert_ptr_equal(w->out.buf.ptr,
                     before); /* the reserve was enough, or memory could be lacking */
    check_places(&w->out);
}

/* The record at FRAME, of a stream that goes on. */
static void hear(struct writer *w, const uint8_t *frame, size_t len)
{
    static uint8_t plain[65535];
    size_t body_len, left = w->sealed_len - w->heard_len;

    assert_int_equal(len, 2 + (size_t)si_get_be16(frame));
    if (w->rx.n != 0 && w->rx.n % SI_REKEY_INTERVAL == 0)
        assert_int_equal(si_cipher_rekey(&w->rx), SOTTO_OK);
    assert_int_equal(si_cipher_decrypt(&w->rx, si_span(NULL, 0), frame + 2, len - 2, plain),
                     SOTTO_OK);
    body_len = si_get_be16(plain);
    assert_int_equal(2 + body_len, len - 2 - SI_TAG_LEN); /* no padding */
    assert_true(w->heard_len + body_len <= w->said_len);
    memcpy(w->heard + w->heard_len, plain + 2, body_len);
    w->heard_len += body_len;
    w->records++;
    w->empty_records += body_len == 0;
    /* A record that is not full is the last one of what was sealed together. */
    if (body_len > 0 && body_len < BODY_MAX)
        assert_int_equal(body_len, left);
}

/* The first LEN bytes that wait leave: whole records are heard, so LEN ends with one. */
static void send_records(struct writer *w, size_t count)
{
    for (size_t i = 0; i < count && w->out.sent < w->out.sealed; i++) {
        const uint8_t *frame = w->out.buf.ptr + w->out.sent;
        size_t len = 2 + (size_t)si_get_be16(frame);

        assert_true(len <= w->out.sealed - w->out.sent);
        hear(w, frame, len);
        si_output_sent(&w->out, len);
        check_places(&w->out);
    }
}

static void seal(struct writer *w)
{
    assert_int_equal(si_output_seal(&w->out), SOTTO_OK);
    check_places(&w->out);
    assert_int_equal(w->out.sealed, w->out.buf.len);
    w->sealed_len = w->said_len;
}

static void check_heard(const struct writer *w)
{
    assert_int_equal(w->heard_len, w->said_len);
    assert_memory_equal(w->heard, w->said, w->said_len);
    assert_int_equal(si_output_waiting(&w->out), 0);
}

/* ---- Messages out ---------------------------------------------------------------------------- */

static uint8_t text[STREAM_MAX];

static void fill_text(void)
{
    random_state = 0x1b873593;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)next_random();
}

enum { CUTTINGS = 6 };

/* LEN bytes of the text in pieces, in one of the ways; ROOM is how much the open record takes. */
static size_t cut(unsigned cutting, size_t len, size_t room, struct si_span pieces[PIECES_MAX])
{
    size_t at = 0, count = 0, border = room > 4 && room - 4 < len ? room - 4 : len;

    switch (cutting) {
    case 0:
        break;
    case 1: /* empty ones in front and behind */
        pieces[count++] = (struct si_span){NULL, 0};
        pieces[count++] = (struct si_span){text, len};
        pieces[count++] = (struct si_span){NULL, 0};
        return count;
    case 2: /* at the border, with nothing between the two */
        pieces[count++] = (struct si_span){text, border};
        pieces[count++] = (struct si_span){text + border, 0};
        at = border;
        break;
    case 3: /* one in front of the border, and behind it */
        at = border > 0 ? border - 1 : 0;
        pieces[count++] = (struct si_span){text, at};
        pieces[count++] = (struct si_span){text + at, len - at > 1};
        at += len - at > 1;
        break;
    case 4: /* many of one byte */
        while (count < PIECES_MAX - 2 && at < len) {
            pieces[count++] = (struct si_span){text + at, 1};
            at++;
        }
        break;
    default: /* like an envelope: short, long, short */
        at = len < 30 ? len : 30;
        pieces[count++] = (struct si_span){text, at};
        if (len - at > 2) {
            pieces[count++] = (struct si_span){text + at, len - at - 2};
            at = len - 2;
        }
    }
    pieces[count++] = (struct si_span){text + at, len - at};
    return count;
}

/* FILL bytes in the open record, then a message that ends OFF bytes behind the end of the
 * (RECORDS + 1)th, then a short one. */
static void one_border(const struct si_aead *aead, size_t fill, size_t records, long off,
                       unsigned cutting)
{
    size_t room = BODY_MAX - fill;
    long end = (long)(room + records * BODY_MAX) + off - 4; /* the length of such a message */
    struct si_span pieces[PIECES_MAX], before = {text, fill - 4}, behind = {text, 3};
    struct writer w;
    size_t total;

    if (end < 1)
        return;
    writer_init(&w, aead, cutting % 2 == 0);
    if (fill > 0)
        say(&w, &before, 1);
    say(&w, pieces, cut(cutting, (size_t)end, room, pieces));
    if (cutting < 3)
        say(&w, &behind, 1);
    total = w.said_len;
    seal(&w);
    send_records(&w, SIZE_MAX);
    check_heard(&w);
    assert_int_equal(w.records, (total + BODY_MAX - 1) / BODY_MAX);
    assert_int_equal(w.empty_records, 0);
    writer_free(&w);
}

static void borders(void **state)
{
    /* of the open record: none, the shortest message, and up to where not even a length fits */
    static const size_t fills[] = {
        0, 5, 1000, BODY_MAX - 6, BODY_MAX - 5, BODY_MAX - 4, BODY_MAX - 3, BODY_MAX - 1};
    const struct si_aead *const *aeads;
    size_t count;

    (void)state;
    fill_text();
    aeads = si_aead_all(&count);
    for (size_t a = 0; a < count; a++)
        for (size_t i = 0; i < SI_COUNT(fills); i++)
            for (size_t records = 0; records < 3; records++)
                for (long off = -3; off <= 5; off++)
                    for (unsigned cutting = 0; cutting < (a == 0 ? CUTTINGS : 1); cutting++)
                        one_border(aeads[a], fills[i], records, off, cutting);
}

static size_t random_len(void)
{
    switch (next_random() % 8) {
    case 0:
        return 1 + next_random() % 100000;
    case 1:
        return BODY_MAX - 10 + next_random() % 20;
    case 2:
        return 1;
    default:
        return 1 + next_random() % 400;
    }
}

/* Messages, seals, keep-alives and sends in any order, over many buffers' lives. */
static void in_any_order(void **state)
{
    const struct si_aead *const *aeads;
    struct si_span pieces[PIECES_MAX];
    size_t count;

    (void)state;
    fill_text();
    aeads = si_aead_all(&count);
    for (unsigned run = 0; run < 40; run++) {
        unsigned keepalives = 0;
        struct writer w;

        random_state = 77 + run;
        writer_init(&w, aeads[run % count], run % 2 == 0);
        while (w.said_len < STREAM_MAX - 200000) {
            size_t open = w.out.buf.len - w.out.sealed;
            size_t room = BODY_MAX - (open == 0 ? 0 : open - SI_RECORD_HEADER);
            uint32_t dice = next_random() % 64;

            if (dice < 4) {
                seal(&w);
            } else if (dice < 6) {
                assert_int_equal(si_output_empty_record(&w.out), SOTTO_OK);
                w.sealed_len = w.said_len;
                keepalives++;
            } else if (dice < 12) {
                seal(&w); /* of what is heard, the last one may be short */
                send_records(&w, run % 4 == 0 ? SIZE_MAX : 1 + next_random() % 4);
            } else {
                /* once something is sealed, hear() must not take it for the end */
                if (w.out.buf.len == w.out.sealed && w.sealed_len > w.heard_len)
                    send_records(&w, SIZE_MAX);
                say(&w, pieces, cut(next_random() % CUTTINGS, random_len(), room, pieces));
            }
        }
        seal(&w);
        send_records(&w, SIZE_MAX);
        check_heard(&w);
        assert_int_equal(w.empty_records, keepalives);
        writer_free(&w);
    }
}

/* ---- Messages in: how much memory ------------------------------------------------------------ */

struct reader {
    struct si_cipher_state tx, rx;
    struct si_messages messages;
    struct si_scratch *scratch;
};

static void reader_init(struct reader *r, struct si_scratch *scratch)
{
    const struct si_aead *aead = si_aead_by_name(si_span_str("ChaChaPoly"));

    memset(r, 0, sizeof *r);
    r->scratch = scratch;
    si_cipher_init(&r->tx, aead);
    si_cipher_init(&r->rx, aead);
    si_cipher_set_key(&r->tx, &key);
    si_cipher_set_key(&r->rx, &key);
    assert_int_equal(si_cipher_prepare(&r->tx), SOTTO_OK);
    assert_int_equal(si_cipher_prepare(&r->rx), SOTTO_OK);
}

static void reader_free(struct reader *r)
{
    si_scratch_give(r->scratch, &r->messages.partial);
    si_cipher_wipe(&r->tx);
    si_cipher_wipe(&r->rx);
}

/* A record with this body arrives, as in a session.  E_AGAIN, or a message. */
static sotto_err arrive(struct reader *r, const uint8_t *body, size_t len, uint32_t max,
                        struct si_span *message)
{
    static uint8_t noise[65535];
    struct si_span got;
    size_t body_len;

    si_put_be16(noise, (uint16_t)len);
    memcpy(noise + 2, body, len);
    assert_int_equal(si_cipher_encrypt(&r->tx, si_span(NULL, 0), noise, 2 + len, noise), SOTTO_OK);
    len += 2 + SI_TAG_LEN;
    if (si_messages_want_all_of(&r->messages, len)) {
        assert_int_equal(si_messages_open(&r->messages, r->scratch, &r->rx, noise, len, &body_len),
                         SOTTO_OK);
    } else {
        assert_int_equal(si_record_open(&r->rx, noise, len, &got), SOTTO_OK);
        si_messages_add(&r->messages, got, noise + sizeof noise);
    }
    return si_messages_next(&r->messages, r->scratch, max, message);
}

static void start_counting(void)
{
    malloc_count = 0;
    malloc_bytes = 0;
    malloc_counted = true;
}

/* What has been allocated and not been freed since. */
static size_t held(void)
{
    assert_true(malloc_bytes >= 0);
    return (size_t)malloc_bytes;
}

/* Sixteen megabytes are announced, and ten bytes come. */
static void much_is_announced(void **state)
{
    uint8_t body[4 + 10] = {0x01, 0, 0, 0, '"'};
    struct si_span message;
    struct reader r;

    (void)state;
    reader_init(&r, NULL);
    start_counting();
    assert_int_equal(arrive(&r, body, sizeof body, 16 * MIB, &message), SOTTO_E_AGAIN);
    malloc_counted = false;
    assert_true(held() <= MIB + 4096);
    reader_free(&r);
}

/* Of a message of sixteen megabytes in records of BODY bytes, there is never more memory than five
 * times what has come, or a megabyte; it is asked for a few times only, and not twice at the end. */
static void grows_with_what_comes(void **state)
{
    static const size_t bodies[] = {1000, 60000, BODY_MAX};

    (void)state;
    fill_text();
    for (size_t i = 0; i < SI_COUNT(bodies); i++) {
        uint8_t *stream = malloc(4 + 16 * MIB);
        struct si_span message = {NULL, 0};
        sotto_err err = SOTTO_E_AGAIN;
        struct reader r;

        assert_non_null(stream);
        si_put_be32(stream, 16 * MIB);
        for (size_t n = 0; n < 16; n++)
            memcpy(stream + 4 + n * MIB, text + n, MIB);
        reader_init(&r, NULL);
        start_counting();
        for (size_t at = 0; at < 4 + 16 * MIB; at += bodies[i]) {
            size_t left = 4 + 16 * MIB - at, len = left < bodies[i] ? left : bodies[i];
            size_t most = 5 * (at + len) > MIB ? 5 * (at + len) : MIB;

            assert_int_equal(err, SOTTO_E_AGAIN);
            err = arrive(&r, stream + at, len, 16 * MIB, &message);
            assert_true(held() <= most + BODY_MAX + 8192);
        }
        malloc_counted = false;
        assert_true(malloc_count <= 3);
        assert_int_equal(err, SOTTO_OK);
        assert_int_equal(message.len, 16 * MIB);
        assert_memory_equal(message.ptr, stream + 4, 16 * MIB);
        reader_free(&r);
        free(stream);
    }
}

/* The large buffer of a message that is over is a spare.  Others that announce as much and send ten
 * bytes do not get it, and the next large message does. */
static void large_spares_are_for_large_messages(void **state)
{
    static uint8_t stream[4 + 16 * MIB];
    uint8_t begun[4 + 10] = {0x01, 0, 0, 0, '"'};
    struct si_scratch scratch;
    struct si_span message;
    struct reader readers[3], *large = &readers[2];

    (void)state;
    assert_int_equal(si_scratch_init(&scratch), SOTTO_OK);
    si_put_be32(stream, 16 * MIB);
    reader_init(large, &scratch);
    for (int round = 0; round < 3; round++) {
        sotto_err err = SOTTO_E_AGAIN;

        start_counting();
        for (size_t at = 0; at < sizeof stream && err == SOTTO_E_AGAIN; at += BODY_MAX)
            err = arrive(large, stream + at,
                         sizeof stream - at < BODY_MAX ? sizeof stream - at : BODY_MAX, 16 * MIB,
                         &message);
        assert_int_equal(err, SOTTO_OK);
        malloc_counted = false;
        /* The one for the beginning is with those who sent no more. */
        assert_int_equal(malloc_count, round == 0 ? 3 : 1);
        assert_int_equal(si_messages_next(&large->messages, &scratch, 16 * MIB, &message),
                         SOTTO_E_AGAIN); /* fetched */
        if (round < 2) {
            reader_init(&readers[round], &scratch);
            assert_int_equal(arrive(&readers[round], begun, sizeof begun, 16 * MIB, &message),
                             SOTTO_E_AGAIN);
            assert_true(readers[round].messages.partial.cap <= 2 * MIB);
        }
    }
    for (size_t i = 0; i < SI_COUNT(readers); i++)
        reader_free(&readers[i]);
    si_scratch_wipe(&scratch);
}

/* A length above the limit, or 0, is refused on its prefix: nothing is allocated. */
static void refused_on_the_prefix(void **state)
{
    static const uint32_t lens[] = {0, 1025, 65536, 0x01000000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(lens); i++) {
        for (size_t first = 0; first < 4; first++) {
            uint8_t body[4 + 100] = {0};
            struct si_span message;
            struct reader r;

            si_put_be32(body, lens[i]);
            reader_init(&r, NULL);
            start_counting();
            if (first > 0)
                assert_int_equal(arrive(&r, body, first, 1024, &message), SOTTO_E_AGAIN);
            assert_int_equal(arrive(&r, body + first, sizeof body - first, 1024, &message),
                             SOTTO_E_PROTOCOL);
            malloc_counted = false;
            assert_int_equal(malloc_count, 0);
            assert_null(message.ptr);
            reader_free(&r);
        }
    }
}

/* The counters count: or all of the above would hold for nothing. */
static void counting_counts(void **state)
{
    void *volatile ptr;

    (void)state;
    start_counting();
    ptr = malloc(1000);
    assert_int_equal(malloc_count, 1);
    assert_true(held() >= 1000 && held() < 1100);
    ptr = realloc(ptr, 5000);
    assert_int_equal(malloc_count, 2);
    assert_true(held() >= 5000 && held() < 5100);
    free(ptr);
    assert_int_equal(held(), 0);
    ptr = calloc(10, 10);
    assert_int_equal(malloc_count, 3);
    free(ptr);
    malloc_counted = false;
    ptr = malloc(1000);
    free(ptr);
    assert_int_equal(malloc_count, 3);
    assert_int_equal(held(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders),
        cmocka_unit_test(in_any_order),
        cmocka_unit_test(counting_counts),
        cmocka_unit_test(much_is_announced),
        cmocka_unit_test(grows_with_what_comes),
        cmocka_unit_test(large_spares_are_for_large_messages),
        cmocka_unit_test(refused_on_the_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
