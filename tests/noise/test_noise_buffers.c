/*
 * The places where messages and payloads lie during a handshake: too small, missing, one over the
 * other, of impossible length.
 */
#include "support.h"

enum { PAYLOAD = 21, SPACE = 1024 };

static uint8_t space[SPACE], before[SPACE];

/* CALL is refused with ERR: the room's len is 0, nothing in `space` has changed, and the handshake
 * waits for the same. */
static void check_refused(const sotto_handshake *hs, sotto_action action, sotto_err err,
                          sotto_err wanted, const sotto_room *room)
{
    assert_int_equal(err, wanted);
    assert_int_equal(room->len, 0);
    assert_memory_equal(space, before, SPACE);
    assert_int_equal(sotto_handshake_action(hs), action);
}

static void refuse_write(sotto_handshake *hs, sotto_bytes in, sotto_room room, sotto_err wanted)
{
    sotto_error error;
    sotto_err err;

    fill(space, SPACE, 1);
    memcpy(before, space, SPACE);
    room.len = SIZE_MAX;
    err = sotto_handshake_write(hs, in, &room, &error);
    check_refused(hs, SOTTO_ACTION_WRITE, err, wanted, &room);
    assert_int_equal(error.code, wanted);
    room.len = 1;
    err = sotto_handshake_write(hs, in, &room, NULL);
    check_refused(hs, SOTTO_ACTION_WRITE, err, wanted, &room);
}

static void refuse_read(sotto_handshake *hs, sotto_bytes in, sotto_room room, sotto_err wanted)
{
    sotto_error error;
    sotto_err err;

    memcpy(before, space, SPACE);
    room.len = SIZE_MAX;
    err = sotto_handshake_read(hs, in, &room, &error);
    check_refused(hs, SOTTO_ACTION_READ, err, wanted, &room);
    assert_int_equal(error.code, wanted);
    room.len = 1;
    err = sotto_handshake_read(hs, in, &room, NULL);
    check_refused(hs, SOTTO_ACTION_READ, err, wanted, &room);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_to_small_rooms(sotto_handshake *hs, size_t len)
{
    static const uint8_t in[PAYLOAD];
    sotto_room room = sotto_room_of(space, len - 1);
    char word[16];
    sotto_error error;

    for (size_t cap = 0; cap < len; cap++)
        refuse_write(hs, sotto_bytes_of(in, PAYLOAD), sotto_room_of(space, cap), SOTTO_E_BUFFER);
    refuse_write(hs, sotto_bytes_of(in, PAYLOAD), sotto_room_of(NULL, 0), SOTTO_E_BUFFER);
    /* both lengths are named */
    assert_int_equal(sotto_handshake_write(hs, sotto_bytes_of(in, PAYLOAD), &room, &error),
                     SOTTO_E_BUFFER);
    snprintf(word, sizeof word, "%zu", len);
    assert_says(&error, SOTTO_E_BUFFER, word);
    snprintf(word, sizeof word, "%zu", len - 1);
    assert_says(&error, SOTTO_E_BUFFER, word);
}

static void write_without_places(sotto_handshake *hs, size_t len)
{
    static const uint8_t in[PAYLOAD];

    refuse_write(hs, sotto_bytes_of(NULL, PAYLOAD), sotto_room_of(space, SPACE), SOTTO_E_USAGE);
    refuse_write(hs, sotto_bytes_of(NULL, 1), sotto_room_of(space, SPACE), SOTTO_E_USAGE);
    refuse_write(hs, sotto_bytes_of(in, PAYLOAD), sotto_room_of(NULL, len), SOTTO_E_USAGE);
    refuse_write(hs, sotto_bytes_of(in, PAYLOAD), sotto_room_of(NULL, SPACE), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_write(hs, sotto_bytes_of(in, PAYLOAD), NULL, NULL),
                     SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_action(hs), SOTTO_ACTION_WRITE);
}

/* The message goes to the middle of `space`; the payload lies over every part of it. */
static void write_overlapping(sotto_handshake *hs, size_t len)
{
    uint8_t *middle = space + SPACE / 2 - 128;

    for (size_t at = 0; at < PAYLOAD - 1 + len; at++)
        refuse_write(hs, sotto_bytes_of(middle - (PAYLOAD - 1) + at, PAYLOAD),
                     sotto_room_of(middle, len), SOTTO_E_USAGE);
    /* one byte of payload: at both ends */
    len -= PAYLOAD - 1;
    refuse_write(hs, sotto_bytes_of(middle, 1), sotto_room_of(middle, len), SOTTO_E_USAGE);
    refuse_write(hs, sotto_bytes_of(middle + len - 1, 1), sotto_room_of(middle, len),
                 SOTTO_E_USAGE);
}

static void write_too_much(sotto_handshake *hs)
{
    static const size_t lens[] = {SOTTO_NOISE_MESSAGE_MAX + 1, SIZE_MAX / 2, SIZE_MAX - 4096,
                                  SIZE_MAX};
    static uint8_t in[1];

    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++)
        refuse_write(hs, sotto_bytes_of(in, lens[i]), sotto_room_of(space, SPACE),
                     SOTTO_E_TOO_LARGE);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void read_to_small_rooms(sotto_handshake *hs, size_t len)
{
    static uint8_t in[SPACE];
    sotto_error error;
    sotto_room room = sotto_room_of(space, PAYLOAD - 1);
    char word[16];

    for (size_t cap = 0; cap < PAYLOAD; cap++)
        refuse_read(hs, sotto_bytes_of(in, len), sotto_room_of(space, cap), SOTTO_E_BUFFER);
    refuse_read(hs, sotto_bytes_of(in, len), sotto_room_of(NULL, 0), SOTTO_E_BUFFER);
    assert_int_equal(sotto_handshake_read(hs, sotto_bytes_of(in, len), &room, &error),
                     SOTTO_E_BUFFER);
    snprintf(word, sizeof word, "%d", PAYLOAD);
    assert_says(&error, SOTTO_E_BUFFER, word);
    snprintf(word, sizeof word, "%d", PAYLOAD - 1);
    assert_says(&error, SOTTO_E_BUFFER, word);
}

static void read_without_places(sotto_handshake *hs, size_t len)
{
    static uint8_t in[SPACE];

    refuse_read(hs, sotto_bytes_of(NULL, len), sotto_room_of(space, SPACE), SOTTO_E_USAGE);
    refuse_read(hs, sotto_bytes_of(NULL, 1), sotto_room_of(space, SPACE), SOTTO_E_USAGE);
    refuse_read(hs, sotto_bytes_of(in, len), sotto_room_of(NULL, PAYLOAD), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_read(hs, sotto_bytes_of(in, len), NULL, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_action(hs), SOTTO_ACTION_READ);
}

static void read_overlapping(sotto_handshake *hs, size_t len)
{
    uint8_t *middle = space + SPACE / 2 - 128;

    for (size_t at = 0; at < PAYLOAD - 1 + len; at++)
        refuse_read(hs, sotto_bytes_of(middle, len),
                    sotto_room_of(middle - (PAYLOAD - 1) + at, PAYLOAD), SOTTO_E_USAGE);
}

/* ---- All of it, and the run goes on ---------------------------------------------------------- */

/* Exactly as large as has to be, with the payload directly before or behind the message. */
static void write_next_to(const struct pair *p, size_t len, bool behind)
{
    uint8_t *out = space + 200;
    uint8_t *in = behind ? out + len : out - PAYLOAD;
    sotto_room room = sotto_room_of(out, len);

    memset(space, CANARY, SPACE);
    fill(in, PAYLOAD, 9);
    room.len = SIZE_MAX;
    assert_int_equal(sotto_handshake_write(writer(p), sotto_bytes_of(in, PAYLOAD), &room, NULL),
                     SOTTO_OK);
    assert_int_equal(room.len, len);
    fill(before, PAYLOAD, 9);
    assert_memory_equal(in, before, PAYLOAD);
    assert_true(all_are(space, 200 - PAYLOAD, CANARY));
    assert_true(all_are(out + len + PAYLOAD, SPACE - 200 - len - PAYLOAD, CANARY));
    assert_true(all_are(behind ? out - PAYLOAD : out + len, PAYLOAD, CANARY));
}

static void read_next_to(const struct pair *p, size_t len, bool behind)
{
    uint8_t *in = space + 200;
    uint8_t *out = behind ? in + len : in - PAYLOAD;
    sotto_room room = sotto_room_of(out, PAYLOAD);

    memcpy(before, space, SPACE);
    room.len = SIZE_MAX;
    assert_int_equal(sotto_handshake_read(reader(p), sotto_bytes_of(in, len), &room, NULL),
                     SOTTO_OK);
    assert_int_equal(room.len, PAYLOAD);
    fill(before + (out - space), PAYLOAD, 9);
    assert_memory_equal(space, before, SPACE);
}

static void use_places(const struct model *m)
{
    struct pair p;
    bool behind = false;

    pair_open(&p, m);
    for (; !walk_ended(&p.walk); walk_on(&p.walk), behind = !behind) {
        size_t len = walk_overhead(&p.walk) + PAYLOAD;

        write_to_small_rooms(writer(&p), len);
        write_without_places(writer(&p), len);
        write_overlapping(writer(&p), len);
        write_too_much(writer(&p));
        write_next_to(&p, len, behind);
        memcpy(before, space, SPACE);
        read_to_small_rooms(reader(&p), len);
        read_without_places(reader(&p), len);
        read_overlapping(reader(&p), len);
        read_next_to(&p, len, !behind);
    }
    pair_finish_and_close(&p);
}

static void test_places(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PATTERNS; i++) {
        struct model m = model_of(pattern_at(i), false, i % 3, suite_of(i));

        use_places(&m);
    }
    for (unsigned i = 0; i < FALLBACKS; i++) {
        struct model m = model_of(fallback_at(i), true, i % 3, suite_of(i));

        use_places(&m);
    }
}

/* An empty payload needs no place, and one that is nowhere overlaps nothing. */
static void test_empty_places(void **state)
{
    struct model m = model_of("XX", false, 1, fast_suite());
    struct pair p;

    (void)state;
    pair_open(&p, &m);
    for (unsigned turn = 0; !walk_ended(&p.walk); walk_on(&p.walk), turn++) {
        size_t len = walk_overhead(&p.walk);
        sotto_room room = sotto_room_of(space, SPACE);
        sotto_room nowhere = turn == 0 ? sotto_room_of(NULL, 0) : sotto_room_of(space + turn, 0);
        sotto_bytes nothing = turn == 0 ? sotto_no_bytes() : sotto_bytes_of(space + turn, 0);

        nowhere.len = 5;
        assert_int_equal(sotto_handshake_write(writer(&p), nothing, &room, NULL), SOTTO_OK);
        assert_int_equal(room.len, len);
        assert_int_equal(sotto_handshake_read(reader(&p), sotto_room_bytes(&room), &nowhere, NULL),
                         SOTTO_OK);
        assert_int_equal(nowhere.len, 0);
    }
    pair_finish_and_close(&p);
}

/* "As many as the message are always enough." */
static void test_room_as_large_as_message(void **state)
{
    struct model m = model_of("IX", false, 2, suite_of(3));
    uint8_t in[PAYLOAD] = {1, 2, 3}, out[SPACE];
    struct pair p;

    (void)state;
    pair_open(&p, &m);
    for (; !walk_ended(&p.walk); walk_on(&p.walk)) {
        sotto_room room = sotto_room_of(space, SPACE), payload;

        assert_int_equal(
            sotto_handshake_write(writer(&p), sotto_bytes_of(in, PAYLOAD), &room, NULL), SOTTO_OK);
        payload = sotto_room_of(out, room.len);
        memset(out, CANARY, sizeof out);
        assert_int_equal(sotto_handshake_read(reader(&p), sotto_room_bytes(&room), &payload, NULL),
                         SOTTO_OK);
        assert_int_equal(payload.len, PAYLOAD);
        assert_memory_equal(out, in, PAYLOAD);
        assert_true(all_are(out + PAYLOAD, sizeof out - PAYLOAD, CANARY));
    }
    pair_finish_and_close(&p);
}

/* A message longer than any: refused for good, and no byte behind it is looked at. */
static void test_read_too_long(void **state)
{
    static const size_t lens[] = {SOTTO_NOISE_MESSAGE_MAX + 1,
                                  SOTTO_NOISE_MESSAGE_MAX + 17,
                                  1 << 20,
                                  SIZE_MAX / 2,
                                  SIZE_MAX - 64,
                                  SIZE_MAX};
    static struct text message, payload;
    const char *const names[] = {"NN", "IK", "NNpsk0"};

    (void)state;
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
            struct model m = model_of(k == 1 ? "IK" : "NN", false, k == 2, fast_suite());
            uint8_t *end = malloc(SOTTO_NOISE_MESSAGE_MAX + 1);
            sotto_room room = sotto_room_of(payload.bytes, BUFFER);
            struct pair p;

            assert_non_null(end);
            assert_non_null(strstr(m.name, names[k]));
            pair_open(&p, &m);
            pair_write(&p, 3, &message);
            memcpy(end, message.bytes, message.len);
            assert_int_equal(
                sotto_handshake_read(reader(&p), sotto_bytes_of(end, lens[i]), &room, NULL),
                SOTTO_E_AUTH);
            assert_int_equal(room.len, 0);
            assert_failed(reader(&p));
            free(end);
            pair_close(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_empty_places),
        cmocka_unit_test(test_room_as_large_as_message),
        cmocka_unit_test(test_read_too_long),
    };

    return cmocka_run_group_tests_name("noise: buffers", tests, NULL, free_world);
}
