/*
 * sotto/noisesocket.h: frames from every prefix and with every limit, payloads with padding, and
 * the prologue of each stage, put together here a second time.
 */
#include "support.h"

#include "sotto/noisesocket.h"

enum { FIELD = SOTTO_NOISESOCKET_FIELD_MAX, BODY = SOTTO_NOISESOCKET_BODY_MAX, ROOM = 400000 };

static uint8_t out[ROOM], expected[ROOM], field_a[ROOM], field_b[ROOM], field_c[ROOM];
static const sotto_noisesocket_limits unlimited = {FIELD, FIELD};

static int make_fields(void **state)
{
    (void)state;
    fill(field_a, sizeof field_a, 1);
    fill(field_b, sizeof field_b, 2);
    fill(field_c, sizeof field_c, 3);
    return 0;
}

/* What is expected, byte by byte. */
static size_t put(size_t at, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(expected + at, bytes, len);
    return at + len;
}

static size_t put_field(size_t at, const void *bytes, size_t len)
{
    expected[at] = (uint8_t)(len >> 8);
    expected[at + 1] = (uint8_t)len;
    return put(at + 2, bytes, len);
}

static const size_t lens[] = {0, 1, 2, 3, 255, 256, 257, 4660, 65534, 65535};
enum { LENS = sizeof lens / sizeof *lens };

static sotto_noisesocket_frame frame_of(size_t negotiation, size_t message)
{
    sotto_noisesocket_frame frame = {sotto_bytes_of(negotiation > 0 ? field_a : NULL, negotiation),
                                     sotto_bytes_of(message > 0 ? field_b : NULL, message)};

    return frame;
}

static void assert_untouched(const sotto_room *room)
{
    assert_int_equal(room->len, 0);
    assert_true(all_are(out, ROOM, CANARY));
}

/* ---- Writing frames -------------------------------------------------------------------------- */

static void write_handshake(size_t negotiation, size_t message)
{
    sotto_noisesocket_frame frame = frame_of(negotiation, message);
    size_t len = put_field(put_field(0, field_a, negotiation), field_b, message);
    sotto_room room = sotto_room_of(out, len);

    memset(out, CANARY, len + 16);
    room.len = 5;
    assert_int_equal(sotto_noisesocket_write_handshake(&frame, &room), SOTTO_OK);
    assert_int_equal(room.len, len);
    assert_int_equal(len, negotiation + message + 4);
    assert_memory_equal(out, expected, len);
    assert_true(all_are(out + len, 16, CANARY));
}

static void test_write_handshake(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LENS; i++)
        for (unsigned k = 0; k < LENS; k++)
            write_handshake(lens[i], lens[k]);
}

static void test_write_transport(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LENS; i++) {
        size_t len = put_field(0, field_b, lens[i]);
        sotto_room room = sotto_room_of(out, len);

        memset(out, CANARY, len + 16);
        room.len = 5;
        assert_int_equal(sotto_noisesocket_write_transport(
                             sotto_bytes_of(lens[i] > 0 ? field_b : NULL, lens[i]), &room),
                         SOTTO_OK);
        assert_int_equal(room.len, lens[i] + 2);
        assert_memory_equal(out, expected, len);
        assert_true(all_are(out + len, 16, CANARY));
    }
}

static void refuse_handshake(sotto_noisesocket_frame frame, size_t cap, sotto_err err)
{
    sotto_room room = sotto_room_of(cap > 0 ? out : NULL, cap);

    room.len = 7;
    assert_int_equal(sotto_noisesocket_write_handshake(&frame, &room), err);
    assert_untouched(&room);
}

static void refuse_transport(sotto_bytes message, size_t cap, sotto_err err)
{
    sotto_room room = sotto_room_of(cap > 0 ? out : NULL, cap);

    room.len = 7;
    assert_int_equal(sotto_noisesocket_write_transport(message, &room), err);
    assert_untouched(&room);
}

static void test_refuse_to_write(void **state)
{
    static const size_t large[] = {FIELD + 1, FIELD + 65536, SIZE_MAX - 3, SIZE_MAX};
    sotto_noisesocket_frame frame = frame_of(20, 30);
    sotto_room room = sotto_room_of(out, ROOM), nowhere = sotto_room_of(NULL, 100);

    (void)state;
    memset(out, CANARY, ROOM);
    for (size_t cap = 0; cap < 54; cap++)
        refuse_handshake(frame, cap, SOTTO_E_BUFFER);
    for (size_t cap = 0; cap < 32; cap++)
        refuse_transport(frame.message, cap, SOTTO_E_BUFFER);
    for (size_t cap = 0; cap < 4; cap++)
        refuse_handshake(frame_of(0, 0), cap, SOTTO_E_BUFFER);
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++) {
        refuse_handshake(frame_of(large[i], 1), ROOM, SOTTO_E_TOO_LARGE);
        refuse_handshake(frame_of(1, large[i]), ROOM, SOTTO_E_TOO_LARGE);
        refuse_transport(sotto_bytes_of(field_a, large[i]), ROOM, SOTTO_E_TOO_LARGE);
    }
    frame.negotiation = sotto_bytes_of(NULL, 1);
    refuse_handshake(frame, ROOM, SOTTO_E_USAGE);
    frame = frame_of(20, 30);
    frame.message = sotto_bytes_of(NULL, 1);
    refuse_handshake(frame, ROOM, SOTTO_E_USAGE);
    refuse_transport(sotto_bytes_of(NULL, 1), ROOM, SOTTO_E_USAGE);
    frame = frame_of(20, 30);
    assert_int_equal(sotto_noisesocket_write_handshake(NULL, &room), SOTTO_E_USAGE);
    assert_untouched(&room);
    assert_int_equal(sotto_noisesocket_write_handshake(&frame, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_write_handshake(&frame, &nowhere), SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_write_transport(frame.message, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_write_transport(frame.message, &nowhere), SOTTO_E_USAGE);
    assert_untouched(&nowhere);
}

/* ---- Reading frames -------------------------------------------------------------------------- */

/* The result of reading a stream, whose bytes lie in a block of exactly that length. */
struct found {
    sotto_err err;
    sotto_noisesocket_frame frame;
    sotto_noisesocket_progress progress;
    uint8_t *stream;
};

static struct found read_frame(bool handshake, size_t len, const sotto_noisesocket_limits *limits)
{
    struct found f;
    sotto_bytes bytes;

    memset(&f, CANARY, sizeof f);
    f.stream = malloc(len > 0 ? len : 1);
    assert_non_null(f.stream);
    memcpy(f.stream, expected, len);
    bytes = sotto_bytes_of(len > 0 ? f.stream : NULL, len);
    if (handshake) {
        f.err = sotto_noisesocket_read_handshake(bytes, limits, &f.frame, &f.progress);
    } else {
        f.err = sotto_noisesocket_read_transport(bytes, limits, &f.frame.message, &f.progress);
        f.frame.negotiation = sotto_no_bytes();
    }
    if (f.err != SOTTO_OK) {
        assert_int_equal(f.frame.negotiation.len, 0);
        assert_int_equal(f.frame.message.len, 0);
        assert_int_equal(f.progress.used, 0);
    }
    if (f.err != SOTTO_E_AGAIN)
        assert_int_equal(f.progress.needed, 0);
    return f;
}

/* More bytes are needed: at least as many as are certain to come, and no more than those with which
 * something new can be said. */
static void again(bool handshake, size_t len, const sotto_noisesocket_limits *limits,
                  size_t at_least, size_t at_most)
{
    struct found f = read_frame(handshake, len, limits);

    assert_int_equal(f.err, SOTTO_E_AGAIN);
    assert_in_range(f.progress.needed, at_least, at_most);
    assert_true(f.progress.needed > len);
    free(f.stream);
}

static void too_large(bool handshake, size_t len, const sotto_noisesocket_limits *limits)
{
    struct found f = read_frame(handshake, len, limits);

    assert_int_equal(f.err, SOTTO_E_TOO_LARGE);
    free(f.stream);
}

/* The frame is FRAME_LEN of LEN bytes; its fields lie where they should. */
static void whole(bool handshake, size_t len, size_t frame_len, size_t negotiation, size_t message,
                  const sotto_noisesocket_limits *limits)
{
    struct found f = read_frame(handshake, len, limits);
    size_t at = handshake ? 2 + negotiation + 2 : 2;

    assert_int_equal(f.err, SOTTO_OK);
    assert_int_equal(f.progress.used, frame_len);
    assert_int_equal(f.frame.negotiation.len, negotiation);
    assert_int_equal(f.frame.message.len, message);
    if (negotiation > 0)
        assert_ptr_equal(f.frame.negotiation.ptr, f.stream + 2);
    if (message > 0)
        assert_ptr_equal(f.frame.message.ptr, f.stream + at);
    free(f.stream);
}

static void read_every_prefix(size_t negotiation, size_t message)
{
    size_t len = put_field(put_field(0, field_a, negotiation), field_b, message);

    for (size_t have = 0; have < len; have++)
        if (have < 2)
            again(true, have, &unlimited, 2, 2);
        else if (have < 4 + negotiation)
            again(true, have, &unlimited, 2 + negotiation, 4 + negotiation);
        else
            again(true, have, &unlimited, len, len);
    memset(expected + len, 0xff, 20);
    for (size_t more = 0; more < 20; more++)
        whole(true, len + more, len, negotiation, message, &unlimited);
    len = put_field(0, field_b, message);
    for (size_t have = 0; have < len; have++)
        again(false, have, &unlimited, have < 2 ? 2 : len, have < 2 ? 2 : len);
    memset(expected + len, 0xff, 20);
    for (size_t more = 0; more < 20; more++)
        whole(false, len + more, len, 0, message, &unlimited);
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t negotiation = 0; negotiation < 40; negotiation += 13)
        for (size_t message = 0; message < 60; message += 19)
            read_every_prefix(negotiation, message);
    read_every_prefix(300, 700);
}

static void test_read_all_lengths(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LENS; i++) {
        for (unsigned k = 0; k < LENS; k++) {
            size_t len = put_field(put_field(0, field_a, lens[i]), field_b, lens[k]);

            whole(true, len, len, lens[i], lens[k], &unlimited);
            again(true, len - 1, &unlimited, lens[k] > 0 ? len : len - 2, len);
        }
        whole(false, put_field(0, field_b, lens[i]), lens[i] + 2, 0, lens[i], &unlimited);
    }
}

/* A length is compared as soon as it is there, and not before. */
static void test_limits(void **state)
{
    static const size_t bounds[] = {0, 1, 20, 255, 256, 65534};

    (void)state;
    for (unsigned i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        size_t bound = bounds[i], len;
        sotto_noisesocket_limits negotiation = {bound, FIELD}, message = {FIELD, bound};

        len = put_field(put_field(0, field_a, bound), field_b, 30);
        whole(true, len, len, bound, 30, &negotiation);
        put_field(put_field(0, field_a, bound + 1), field_b, 30);
        again(true, 0, &negotiation, 2, 2);
        again(true, 1, &negotiation, 2, 2);
        for (size_t have = 2; have < 40; have++)
            too_large(true, have, &negotiation);

        len = put_field(put_field(0, field_a, 30), field_b, bound);
        whole(true, len, len, 30, bound, &message);
        put_field(put_field(0, field_a, 30), field_b, bound + 1);
        again(true, 33, &message, 34, 34);
        for (size_t have = 34; have < 40; have++)
            too_large(true, have, &message);

        len = put_field(0, field_b, bound);
        whole(false, len, len, 0, bound, &message);
        put_field(0, field_b, bound + 1);
        again(false, 1, &message, 2, 2);
        for (size_t have = 2; have < 40; have++)
            too_large(false, have, &message);
        /* the other limit is not meant */
        whole(false, bound + 3, bound + 3, 0, bound + 1, &negotiation);
    }
    put_field(put_field(0, field_a, 5), field_b, 5);
    whole(true, 14, 14, 5, 5, &(sotto_noisesocket_limits){SIZE_MAX, SIZE_MAX});
}

static void test_refuse_to_read(void **state)
{
    sotto_noisesocket_progress progress;
    sotto_noisesocket_frame frame;
    sotto_bytes stream, message, wrong = sotto_bytes_of(NULL, 9);

    (void)state;
    stream = sotto_bytes_of(expected, put_field(put_field(0, field_a, 3), field_b, 4));
#define CLEAR()                                                                                    \
    (memset(&progress, CANARY, sizeof progress), memset(&frame, CANARY, sizeof frame),             \
     memset(&message, CANARY, sizeof message))
#define EMPTY(found) assert_true((found).len == 0 && progress.used == 0 && progress.needed == 0)
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_handshake(wrong, &unlimited, &frame, &progress),
                     SOTTO_E_USAGE);
    EMPTY(frame.negotiation);
    EMPTY(frame.message);
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_handshake(stream, NULL, &frame, &progress),
                     SOTTO_E_USAGE);
    EMPTY(frame.negotiation);
    EMPTY(frame.message);
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_handshake(stream, &unlimited, NULL, &progress),
                     SOTTO_E_USAGE);
    assert_true(progress.used == 0 && progress.needed == 0);
    assert_int_equal(sotto_noisesocket_read_handshake(stream, &unlimited, &frame, NULL),
                     SOTTO_E_USAGE);
    assert_int_equal(frame.message.len, 0);
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_transport(wrong, &unlimited, &message, &progress),
                     SOTTO_E_USAGE);
    EMPTY(message);
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_transport(stream, NULL, &message, &progress),
                     SOTTO_E_USAGE);
    EMPTY(message);
    CLEAR();
    assert_int_equal(sotto_noisesocket_read_transport(stream, &unlimited, NULL, &progress),
                     SOTTO_E_USAGE);
    assert_true(progress.used == 0 && progress.needed == 0);
    assert_int_equal(sotto_noisesocket_read_transport(stream, &unlimited, &message, NULL),
                     SOTTO_E_USAGE);
    assert_int_equal(message.len, 0);
#undef CLEAR
#undef EMPTY
}

static void test_answers(void **state)
{
    sotto_noisesocket_frame frame = frame_of(0, 48);

    (void)state;
    assert_int_equal(sotto_noisesocket_answer_of(&frame), SOTTO_NOISESOCKET_ACCEPT);
    frame = frame_of(1, 48);
    assert_int_equal(sotto_noisesocket_answer_of(&frame), SOTTO_NOISESOCKET_SWITCH);
    frame = frame_of(1, 0);
    assert_int_equal(sotto_noisesocket_answer_of(&frame), SOTTO_NOISESOCKET_RETRY_OR_REJECT);
    frame = frame_of(FIELD, FIELD);
    assert_int_equal(sotto_noisesocket_answer_of(&frame), SOTTO_NOISESOCKET_SWITCH);
    /* nothing at all switches nothing */
    frame = frame_of(0, 0);
    assert_int_not_equal(sotto_noisesocket_answer_of(&frame), SOTTO_NOISESOCKET_SWITCH);
}

/* ---- Payloads -------------------------------------------------------------------------------- */

static void write_payload(size_t body, size_t padded)
{
    size_t all = body > padded ? body : padded, len = put_field(0, field_a, body);
    sotto_room room = sotto_room_of(out, all + 2);
    sotto_bytes found;

    memset(expected + len, 0, all - body);
    memset(out, CANARY, all + 16);
    room.len = 5;
    assert_int_equal(sotto_noisesocket_write_payload(
                         sotto_bytes_of(body > 0 ? field_a : NULL, body), padded, &room),
                     SOTTO_OK);
    assert_int_equal(room.len, all + 2);
    assert_memory_equal(out, expected, all + 2);
    assert_true(all_are(out + all + 2, 14, CANARY));
    /* whatever stands in the padding */
    memset(out + 2 + body, 0xee, all - body);
    assert_int_equal(sotto_noisesocket_read_payload(sotto_room_bytes(&room), &found), SOTTO_OK);
    assert_int_equal(found.len, body);
    if (body > 0)
        assert_ptr_equal(found.ptr, out + 2);
}

static void test_payloads(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 16, 255, 256, 1000, BODY - 1, BODY};

    (void)state;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++)
            write_payload(sizes[i], sizes[k]);
    /* the largest fits in a transport message exactly */
    assert_int_equal(BODY + 2, SOTTO_NOISE_TRANSPORT_MAX);
}

static void refuse_payload(sotto_bytes body, size_t padded, size_t cap, sotto_err err)
{
    sotto_room room = sotto_room_of(cap > 0 ? out : NULL, cap);

    room.len = 7;
    assert_int_equal(sotto_noisesocket_write_payload(body, padded, &room), err);
    assert_untouched(&room);
}

static void test_refuse_payloads(void **state)
{
    static const size_t large[] = {BODY + 1, BODY + 2, 65535, 65536, SIZE_MAX - 1, SIZE_MAX};
    sotto_bytes body = sotto_bytes_of(field_a, 10);
    sotto_room nowhere = sotto_room_of(NULL, 100);

    (void)state;
    memset(out, CANARY, ROOM);
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++) {
        refuse_payload(sotto_bytes_of(field_a, large[i]), 0, ROOM, SOTTO_E_TOO_LARGE);
        refuse_payload(body, large[i], ROOM, SOTTO_E_TOO_LARGE);
    }
    for (size_t cap = 0; cap < 12; cap++)
        refuse_payload(body, 3, cap, SOTTO_E_BUFFER);
    for (size_t cap = 0; cap < 32; cap++)
        refuse_payload(body, 30, cap, SOTTO_E_BUFFER);
    refuse_payload(sotto_bytes_of(NULL, 1), 0, ROOM, SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_write_payload(body, 0, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_write_payload(body, 0, &nowhere), SOTTO_E_USAGE);
    assert_untouched(&nowhere);
}

static void test_broken_payloads(void **state)
{
    size_t len = put_field(0, field_a, 300);
    sotto_bytes body;

    (void)state;
    for (size_t have = 0; have < len; have++) {
        uint8_t *plain = malloc(have > 0 ? have : 1);

        assert_non_null(plain);
        memcpy(plain, expected, have);
        memset(&body, CANARY, sizeof body);
        assert_int_equal(
            sotto_noisesocket_read_payload(sotto_bytes_of(have > 0 ? plain : NULL, have), &body),
            SOTTO_E_PROTOCOL);
        assert_int_equal(body.len, 0);
        free(plain);
    }
    assert_int_equal(sotto_noisesocket_read_payload(sotto_bytes_of(expected, len), &body),
                     SOTTO_OK);
    assert_int_equal(body.len, 300);
    memset(expected, 0xff, 2);
    assert_int_equal(sotto_noisesocket_read_payload(sotto_bytes_of(expected, 65536), &body),
                     SOTTO_E_PROTOCOL);
    assert_int_equal(body.len, 0);
    memset(&body, CANARY, sizeof body);
    assert_int_equal(sotto_noisesocket_read_payload(sotto_bytes_of(NULL, 4), &body), SOTTO_E_USAGE);
    assert_int_equal(body.len, 0);
    assert_int_equal(sotto_noisesocket_read_payload(sotto_bytes_of(expected, 4), NULL),
                     SOTTO_E_USAGE);
}

/* ---- Prologues ------------------------------------------------------------------------------- */

static size_t put_prologue(int stage, const sotto_noisesocket_history *h)
{
    static const char *const names[] = {"", "NoiseSocketInit1", "NoiseSocketInit2",
                                        "NoiseSocketInit3"};
    size_t at = put(0, names[stage], 16);

    at = put_field(at, h->initial.negotiation.ptr, h->initial.negotiation.len);
    if (stage >= 2) {
        at = put_field(at, h->initial.message.ptr, h->initial.message.len);
        at = put_field(at, h->response.ptr, h->response.len);
    }
    if (stage == 3) {
        at = put_field(at, "", 0); /* the Noise message that a request to retry does not have */
        at = put_field(at, h->retry.ptr, h->retry.len);
    }
    return put(at, h->application.ptr, h->application.len);
}

static void check_prologue(int stage, const sotto_noisesocket_history *h)
{
    size_t len = put_prologue(stage, h);
    sotto_room room = sotto_room_of(out, len);

    assert_int_equal(sotto_noisesocket_prologue_len((sotto_noisesocket_stage)stage, h), len);
    memset(out, CANARY, ROOM);
    room.cap = len - 1;
    room.len = 3;
    assert_int_equal(sotto_noisesocket_prologue((sotto_noisesocket_stage)stage, h, &room),
                     SOTTO_E_BUFFER);
    assert_untouched(&room);
    room.cap = len;
    assert_int_equal(sotto_noisesocket_prologue((sotto_noisesocket_stage)stage, h, &room),
                     SOTTO_OK);
    assert_int_equal(room.len, len);
    assert_memory_equal(out, expected, len);
    assert_true(all_are(out + len, ROOM - len, CANARY));
}

static sotto_noisesocket_history history(size_t negotiation, size_t message, size_t response,
                                         size_t retry, size_t application)
{
    sotto_noisesocket_history h = {
        frame_of(negotiation, message), sotto_bytes_of(response > 0 ? field_c : NULL, response),
        sotto_bytes_of(retry > 0 ? field_c + 7 : NULL, retry),
        sotto_bytes_of(application > 0 ? field_c + 9 : NULL, application)};

    return h;
}

static void test_prologues(void **state)
{
    static const size_t few[] = {0, 1, 300, FIELD};

    (void)state;
    for (unsigned i = 0; i < 4 * 4 * 4; i++) {
        size_t negotiation = few[i % 4], retry = few[i / 4 % 4];
        size_t application = i / 16 == 3 ? 100000 : few[i / 16];
        sotto_noisesocket_history h = history(negotiation, 48, 5 + i, retry, application);

        for (int stage = 1; stage <= 3; stage++)
            check_prologue(stage, &h);
    }
    for (unsigned i = 1; i < 4; i++) {
        sotto_noisesocket_history h = history(2, few[i], few[4 - i], 3, 1);

        check_prologue(2, &h);
        check_prologue(3, &h);
    }
}

/* A stage reads what came before it: what comes later makes no difference, and may be missing. */
static void test_later_history_is_not_read(void **state)
{
    static uint8_t first[ROOM];
    const sotto_noisesocket_history full = history(10, 20, 30, 40, 3);
    sotto_noisesocket_history h = full;

    (void)state;
    for (int stage = 1; stage <= 2; stage++) {
        size_t len;

        check_prologue(stage, &full);
        len = sotto_noisesocket_prologue_len((sotto_noisesocket_stage)stage, &full);
        memcpy(first, out, len);
        h.retry = sotto_no_bytes();
        if (stage == 1)
            h.initial.message = h.response = sotto_no_bytes();
        check_prologue(stage, &h);
        assert_memory_equal(out, first, len);
        h = full;
    }
}

static void refuse_prologue(int stage, const sotto_noisesocket_history *h, sotto_err err)
{
    sotto_room room = sotto_room_of(out, ROOM);

    room.len = 7;
    assert_int_equal(sotto_noisesocket_prologue((sotto_noisesocket_stage)stage, h, &room), err);
    assert_untouched(&room);
    assert_int_equal(sotto_noisesocket_prologue_len((sotto_noisesocket_stage)stage, h), 0);
}

static void refuse_field(sotto_noisesocket_history *h, sotto_bytes *field, int first_stage)
{
    static const size_t large[] = {FIELD + 1, FIELD + 2, SIZE_MAX - 20, SIZE_MAX};
    sotto_bytes kept = *field;

    for (int stage = first_stage; stage <= 3; stage++) {
        for (unsigned i = 0; i < sizeof large / sizeof *large; i++) {
            *field = sotto_bytes_of(field_a, large[i]);
            refuse_prologue(stage, h, SOTTO_E_TOO_LARGE);
        }
        *field = sotto_bytes_of(NULL, 1);
        refuse_prologue(stage, h, SOTTO_E_USAGE);
    }
    *field = kept;
}

static void test_refuse_prologues(void **state)
{
    static const int stages[] = {0, 4, -1, 257};
    sotto_noisesocket_history h = history(1, 48, 3, 4, 5), empty;
    sotto_room room = sotto_room_of(out, ROOM), nowhere = sotto_room_of(NULL, 1000);

    (void)state;
    memset(out, CANARY, ROOM);
    for (unsigned i = 0; i < sizeof stages / sizeof *stages; i++)
        refuse_prologue(stages[i], &h, SOTTO_E_USAGE);
    for (int stage = 1; stage <= 3; stage++)
        refuse_prologue(stage, NULL, SOTTO_E_USAGE);
    refuse_field(&h, &h.initial.negotiation, 1);
    refuse_field(&h, &h.initial.message, 2);
    refuse_field(&h, &h.response, 2);
    refuse_field(&h, &h.retry, 3);
    h.application = sotto_bytes_of(NULL, 1);
    refuse_prologue(1, &h, SOTTO_E_USAGE);
    h = history(1, 48, 3, 4, 5);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_INITIAL, &h, NULL),
                     SOTTO_E_USAGE);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_INITIAL, &h, &nowhere),
                     SOTTO_E_USAGE);
    /* what a switch or a retry cannot be without */
    for (int stage = 2; stage <= 3; stage++) {
        empty = history(1, 0, 3, 4, 5);
        refuse_prologue(stage, &empty, SOTTO_E_USAGE);
        empty = history(1, 48, 0, 4, 5);
        refuse_prologue(stage, &empty, SOTTO_E_USAGE);
    }
    assert_true(all_are(out, ROOM, CANARY));
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_AFTER_RETRY, &h, &room),
                     SOTTO_OK);
}

/* Every room that is too small. */
static void test_small_prologue_rooms(void **state)
{
    sotto_noisesocket_history h = history(1, 8, 3, 4, 5);

    (void)state;
    memset(out, CANARY, ROOM);
    for (int stage = 1; stage <= 3; stage++)
        for (size_t cap = 0; cap < put_prologue(stage, &h); cap++) {
            sotto_room room = sotto_room_of(cap > 0 ? out : NULL, cap);

            room.len = 3;
            assert_int_equal(sotto_noisesocket_prologue((sotto_noisesocket_stage)stage, &h, &room),
                             SOTTO_E_BUFFER);
            assert_int_equal(room.len, 0);
            assert_true(all_are(out, 128, CANARY));
        }
}

/* What a stage does not read may be anything. */
static void test_parts_that_are_not_read(void **state)
{
    sotto_noisesocket_history history = {0};
    uint8_t bytes[64];
    sotto_room room = sotto_room_of(bytes, sizeof bytes);

    (void)state;
    history.initial.negotiation = sotto_bytes_of("a", 1);
    history.initial.message = history.response = history.retry = sotto_bytes_of(NULL, 70000);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_INITIAL, &history, &room),
                     SOTTO_OK);
    assert_int_equal(room.len, 16 + 2 + 1);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_AFTER_SWITCH, &history, &room),
                     SOTTO_E_USAGE);
    history.initial.message = history.response = sotto_bytes_of("b", 1);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_AFTER_SWITCH, &history, &room),
                     SOTTO_OK);
    assert_int_equal(room.len, 16 + 3 * (2 + 1));
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_AFTER_RETRY, &history, &room),
                     SOTTO_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_handshake),
        cmocka_unit_test(test_write_transport),
        cmocka_unit_test(test_refuse_to_write),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_read_all_lengths),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refuse_to_read),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_refuse_payloads),
        cmocka_unit_test(test_broken_payloads),
        cmocka_unit_test(test_prologues),
        cmocka_unit_test(test_later_history_is_not_read),
        cmocka_unit_test(test_refuse_prologues),
        cmocka_unit_test(test_small_prologue_rooms),
        cmocka_unit_test(test_parts_that_are_not_read),
    };

    return cmocka_run_group_tests_name("noisesocket", tests, make_fields, NULL);
}
