/*
 * The ordered transport: counters, places, associated data, limits, forgeries, directions,
 * rekeying.
 */
#include "stranger.h"

static struct text message, plain, copy;

struct line {
    struct model m;
    sotto_transport *ends[2];
};

static void line_open(struct line *line, const char *pattern, struct suite suite)
{
    struct pair p;

    line->m = model_of(pattern, false, 0, suite);
    pair_open(&p, &line->m);
    pair_run(&p);
    pair_split(&p, line->ends);
    pair_close(&p);
}

static void line_close(struct line *line)
{
    sotto_transport_free(line->ends[0]);
    sotto_transport_free(line->ends[1]);
}

static sotto_err encrypt(sotto_transport *t, sotto_ad ad, const void *in, size_t len,
                         struct text *out)
{
    sotto_room room = sotto_room_of(out->bytes, BUFFER);
    sotto_err err = sotto_transport_encrypt(t, ad, sotto_bytes_of(in, len), &room);

    assert_true(room.ptr == out->bytes && room.cap == BUFFER);
    assert_int_equal(room.len, err == SOTTO_OK ? len + SOTTO_NOISE_TAG_LEN : 0);
    out->len = room.len;
    return err;
}

static sotto_err decrypt(sotto_transport *t, sotto_ad ad, const struct text *in, struct text *out)
{
    sotto_room room = sotto_room_of(out->bytes, BUFFER);
    sotto_err err = sotto_transport_decrypt(t, ad, text_bytes(in), &room);

    assert_true(room.ptr == out->bytes && room.cap == BUFFER);
    assert_int_equal(room.len, err == SOTTO_OK ? in->len - SOTTO_NOISE_TAG_LEN : 0);
    out->len = room.len;
    return err;
}

/* One message from FROM arrives. */
static void carry(struct line *line, int from, size_t len)
{
    static uint8_t in[BUFFER];

    fill(in, len, (unsigned)len + 1);
    assert_int_equal(encrypt(line->ends[from], sotto_no_ad(), in, len, &message), SOTTO_OK);
    assert_int_equal(decrypt(line->ends[!from], sotto_no_ad(), &message, &plain), SOTTO_OK);
    assert_int_equal(plain.len, len);
    assert_memory_equal(plain.bytes, in, len);
}

static void check_nonces(const struct line *line, int side, uint64_t sending, uint64_t receiving)
{
    assert_int_equal(sotto_transport_sending_nonce(line->ends[side]), sending);
    assert_int_equal(sotto_transport_receiving_nonce(line->ends[side]), receiving);
}

/* ---- Counters and sizes ---------------------------------------------------------------------- */

static void test_counters(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        uint64_t sent[2] = {0, 0};
        struct line line;
        unsigned seed = i;

        line_open(&line, "NN", suite_of(i));
        for (unsigned k = 0; k < 40; k++) {
            int from = (int)draw(&seed, 2);

            for (int side = 0; side < 2; side++)
                check_nonces(&line, side, sent[side], sent[!side]);
            carry(&line, from, draw(&seed, 300));
            sent[from]++;
        }
        line_close(&line);
    }
}

static void test_sizes(void **state)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000, 65518, 65519};

    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct line line;

        line_open(&line, "NN", suite_of(i));
        for (unsigned k = 0; k < sizeof lens / sizeof *lens; k++)
            for (int from = 0; from < 2; from++)
                carry(&line, from, lens[k]);
        line_close(&line);
    }
}

static void test_too_large(void **state)
{
    static const size_t lens[] = {SOTTO_NOISE_TRANSPORT_MAX + 1,
                                  SOTTO_NOISE_MESSAGE_MAX,
                                  SOTTO_NOISE_MESSAGE_MAX + 1,
                                  SIZE_MAX / 2,
                                  SIZE_MAX - 16,
                                  SIZE_MAX - 15,
                                  SIZE_MAX};
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        uint8_t *in = malloc(16);
        sotto_room room = sotto_room_of(message.bytes, BUFFER);

        assert_non_null(in);
        memset(message.bytes, CANARY, BUFFER);
        room.len = 3;
        assert_int_equal(sotto_transport_encrypt(line.ends[0], sotto_no_ad(),
                                                 sotto_bytes_of(in, lens[i]), &room),
                         SOTTO_E_TOO_LARGE);
        assert_int_equal(room.len, 0);
        assert_true(all_are(message.bytes, BUFFER, CANARY));
        if (lens[i] > SOTTO_NOISE_MESSAGE_MAX) {
            room.len = 3;
            assert_int_equal(sotto_transport_decrypt(line.ends[0], sotto_no_ad(),
                                                     sotto_bytes_of(in, lens[i]), &room),
                             SOTTO_E_AUTH);
            assert_int_equal(room.len, 0);
            assert_true(all_are(message.bytes, BUFFER, CANARY));
        }
        free(in);
    }
    for (size_t len = 0; len < SOTTO_NOISE_TAG_LEN; len++) {
        message.len = len;
        assert_int_equal(decrypt(line.ends[0], sotto_no_ad(), &message, &plain), SOTTO_E_AUTH);
    }
    check_nonces(&line, 0, 0, 0);
    carry(&line, 0, 3);
    carry(&line, 1, 3);
    line_close(&line);
}

/* ---- Places ---------------------------------------------------------------------------------- */

static void test_in_place(void **state)
{
    static const size_t lens[] = {0, 1, 16, 100, SOTTO_NOISE_TRANSPORT_MAX};

    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct line line;

        line_open(&line, "NN", suite_of(i));
        for (unsigned k = 0; k < sizeof lens / sizeof *lens; k++) {
            size_t len = lens[k];
            sotto_room room = sotto_room_of(message.bytes, len + SOTTO_NOISE_TAG_LEN);

            memset(message.bytes, CANARY, BUFFER);
            fill(message.bytes, len, 4);
            fill(copy.bytes, len, 4);
            assert_int_equal(sotto_transport_encrypt(line.ends[0], sotto_no_ad(),
                                                     sotto_bytes_of(message.bytes, len), &room),
                             SOTTO_OK);
            assert_int_equal(room.len, len + SOTTO_NOISE_TAG_LEN);
            assert_true(all_are(message.bytes + room.len, BUFFER - room.len, CANARY));
            room = sotto_room_of(message.bytes, len);
            assert_int_equal(sotto_transport_decrypt(line.ends[1], sotto_no_ad(),
                                                     sotto_bytes_of(message.bytes, len + 16),
                                                     &room),
                             SOTTO_OK);
            assert_int_equal(room.len, len);
            assert_memory_equal(message.bytes, copy.bytes, len);
            assert_true(all_are(message.bytes + len + 16, BUFFER - len - 16, CANARY));
        }
        line_close(&line);
    }
}

/* OUT_LEN bytes of output in the middle, IN_LEN bytes of input over every part of it: refused, but
 * for the very same place, and for directly before and behind. */
static void lay_over(struct line *line, bool encrypts, size_t in_len, size_t out_len)
{
    uint8_t *middle = message.bytes + 500;

    memcpy(copy.bytes, message.bytes, BUFFER);
    for (size_t at = 0; at < in_len + out_len - 1; at++) {
        uint8_t *in = middle - (in_len - 1) + at;
        sotto_room room = sotto_room_of(middle, out_len);
        sotto_err err;

        if (in == middle)
            continue;
        room.len = 1;
        err = encrypts ? sotto_transport_encrypt(line->ends[0], sotto_no_ad(),
                                                 sotto_bytes_of(in, in_len), &room)
                       : sotto_transport_decrypt(line->ends[0], sotto_no_ad(),
                                                 sotto_bytes_of(in, in_len), &room);
        assert_int_equal(err, SOTTO_E_USAGE);
        assert_int_equal(room.len, 0);
        assert_memory_equal(message.bytes, copy.bytes, BUFFER);
        check_nonces(line, 0, 0, 0);
    }
}

static void test_overlap(void **state)
{
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    fill(message.bytes, BUFFER, 11);
    lay_over(&line, true, 40, 56);
    lay_over(&line, true, 1, 17);
    lay_over(&line, false, 56, 40);
    lay_over(&line, false, 17, 1);
    line_close(&line);
}

static void test_neighbours(void **state)
{
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    for (unsigned behind = 0; behind < 2; behind++) {
        uint8_t *sealed = message.bytes + 200;
        uint8_t *in = behind ? sealed + 46 : sealed - 30;
        uint8_t *out = behind ? sealed - 30 : sealed + 46;
        sotto_room room = sotto_room_of(sealed, 46);

        memset(message.bytes, CANARY, BUFFER);
        fill(in, 30, 6);
        assert_int_equal(
            sotto_transport_encrypt(line.ends[0], sotto_no_ad(), sotto_bytes_of(in, 30), &room),
            SOTTO_OK);
        room = sotto_room_of(out, 30);
        assert_int_equal(
            sotto_transport_decrypt(line.ends[1], sotto_no_ad(), sotto_bytes_of(sealed, 46), &room),
            SOTTO_OK);
        assert_memory_equal(out, in, 30);
        assert_true(all_are(message.bytes, 170, CANARY));
        assert_true(all_are(message.bytes + 276, BUFFER - 276, CANARY));
    }
    line_close(&line);
}

static void test_small_rooms(void **state)
{
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    assert_int_equal(encrypt(line.ends[1], sotto_no_ad(), "eight888", 8, &message), SOTTO_OK);
    for (size_t cap = 0; cap < 24; cap++) {
        sotto_room room = sotto_room_of(cap == 0 ? NULL : plain.bytes, cap);

        memset(plain.bytes, CANARY, 64);
        room.len = 99;
        assert_int_equal(sotto_transport_encrypt(line.ends[0], sotto_no_ad(),
                                                 sotto_bytes_of("eight888", 8), &room),
                         SOTTO_E_BUFFER);
        assert_int_equal(room.len, 0);
        room.len = 99;
        if (cap < 8)
            assert_int_equal(
                sotto_transport_decrypt(line.ends[0], sotto_no_ad(), text_bytes(&message), &room),
                SOTTO_E_BUFFER);
        assert_true(cap >= 8 || room.len == 0);
        assert_true(all_are(plain.bytes, 64, CANARY));
    }
    check_nonces(&line, 0, 0, 0);
    carry(&line, 0, 8);
    assert_int_equal(decrypt(line.ends[0], sotto_no_ad(), &message, &plain), SOTTO_E_AUTH);
    line_close(&line);
}

static void test_null(void **state)
{
    sotto_room room = sotto_room_of(plain.bytes, BUFFER), nowhere = sotto_room_of(NULL, 100);
    sotto_bytes in, out = sotto_bytes_of("x", 1);
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    assert_int_equal(encrypt(line.ends[1], sotto_no_ad(), "x", 1, &message), SOTTO_OK);
    in = text_bytes(&message);
#define REFUSE(call) assert_int_equal(call, SOTTO_E_USAGE)
    REFUSE(sotto_transport_encrypt(line.ends[0], sotto_ad_of(NULL, 1), out, &room));
    REFUSE(sotto_transport_encrypt(line.ends[0], sotto_ad_of(NULL, SIZE_MAX), out, &room));
    REFUSE(sotto_transport_encrypt(line.ends[0], sotto_no_ad(), sotto_bytes_of(NULL, 1), &room));
    REFUSE(sotto_transport_encrypt(line.ends[0], sotto_no_ad(), out, &nowhere));
    REFUSE(sotto_transport_encrypt(line.ends[0], sotto_no_ad(), out, NULL));
    REFUSE(sotto_transport_decrypt(line.ends[0], sotto_ad_of(NULL, 1), in, &room));
    REFUSE(sotto_transport_decrypt(line.ends[0], sotto_no_ad(), sotto_bytes_of(NULL, 17), &room));
    REFUSE(sotto_transport_decrypt(line.ends[0], sotto_no_ad(), sotto_bytes_of(NULL, 1), &room));
    REFUSE(sotto_transport_decrypt(line.ends[0], sotto_no_ad(), in, &nowhere));
    REFUSE(sotto_transport_decrypt(line.ends[0], sotto_no_ad(), in, NULL));
#undef REFUSE
    check_nonces(&line, 0, 0, 0);
    assert_int_equal(decrypt(line.ends[0], sotto_no_ad(), &message, &plain), SOTTO_OK);
    sotto_transport_free(NULL);
    line_close(&line);
}

/* An empty plaintext needs no place. */
static void test_empty(void **state)
{
    sotto_room nowhere = sotto_room_of(NULL, 0);
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    assert_int_equal(encrypt(line.ends[0], sotto_ad_of(NULL, 0), NULL, 0, &message), SOTTO_OK);
    nowhere.len = 9;
    assert_int_equal(
        sotto_transport_decrypt(line.ends[1], sotto_no_ad(), text_bytes(&message), &nowhere),
        SOTTO_OK);
    assert_int_equal(nowhere.len, 0);
    line_close(&line);
}

/* ---- Associated data ------------------------------------------------------------------------- */

static void test_ad(void **state)
{
    static uint8_t ad[200000];
    static const size_t lens[] = {0, 1, 16, 1000, 65536, sizeof ad};

    (void)state;
    fill(ad, sizeof ad, 21);
    for (unsigned i = 0; i < SUITES; i++) {
        struct line line;

        line_open(&line, "NN", suite_of(i));
        for (unsigned k = 0; k < sizeof lens / sizeof *lens; k++) {
            sotto_ad given = sotto_ad_of(ad, lens[k]);

            assert_int_equal(encrypt(line.ends[0], given, "text", 4, &message), SOTTO_OK);
            assert_int_equal(decrypt(line.ends[1],
                                     sotto_ad_of(ad, k == 5 ? lens[k] - 1 : lens[k] + 1), &message,
                                     &plain),
                             SOTTO_E_AUTH);
            if (lens[k] > 0) {
                assert_int_equal(decrypt(line.ends[1], sotto_no_ad(), &message, &plain),
                                 SOTTO_E_AUTH);
                ad[lens[k] - 1] ^= 0x80;
                assert_int_equal(decrypt(line.ends[1], given, &message, &plain), SOTTO_E_AUTH);
                ad[lens[k] - 1] ^= 0x80;
            }
            assert_int_equal(decrypt(line.ends[1], given, &message, &plain), SOTTO_OK);
            assert_memory_equal(plain.bytes, "text", 4);
        }
        line_close(&line);
    }
}

/* Associated data is read while the output is written: they have to lie apart. */
static void test_ad_overlap(void **state)
{
    struct line line;

    (void)state;
    line_open(&line, "NN", fast_suite());
    fill(message.bytes, BUFFER, 12);
    memcpy(copy.bytes, message.bytes, BUFFER);
    for (size_t at = 0; at < 8 - 1 + 56; at++) {
        sotto_ad ad = sotto_ad_of(message.bytes + 500 - 7 + at, 8);
        sotto_bytes in = sotto_bytes_of(message.bytes + 1000, 40);
        sotto_room room = sotto_room_of(message.bytes + 500, 56);

        assert_int_equal(sotto_transport_encrypt(line.ends[0], ad, in, &room), SOTTO_E_USAGE);
        in.len = 72;
        assert_int_equal(sotto_transport_decrypt(line.ends[0], ad, in, &room), SOTTO_E_USAGE);
        assert_memory_equal(message.bytes, copy.bytes, BUFFER);
    }
    check_nonces(&line, 0, 0, 0);
    line_close(&line);
}

/* 2^31 bytes and more are refused before anything is touched: there are not that many here. */
static void test_ad_too_long(void **state)
{
    static const size_t lens[] = {(size_t)1 << 31, ((size_t)1 << 31) + 1, (size_t)1 << 32,
                                  ((size_t)1 << 32) + 1, SIZE_MAX};
    struct line line;

    (void)state;
    line_open(&line, "NN", suite_of(2));
    fill(message.bytes, BUFFER, 13);
    memcpy(copy.bytes, message.bytes, BUFFER);
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        /* behind input and output, so that they do not overlap */
        sotto_ad ad = sotto_ad_of(message.bytes + BUFFER - 1, lens[i]);
        sotto_bytes in = sotto_bytes_of(message.bytes, 40);
        sotto_room room = sotto_room_of(message.bytes, 100);

        assert_int_equal(sotto_transport_encrypt(line.ends[0], ad, in, &room), SOTTO_E_USAGE);
        assert_int_equal(room.len, 0);
        assert_int_equal(sotto_transport_decrypt(line.ends[0], ad, in, &room), SOTTO_E_USAGE);
        assert_int_equal(room.len, 0);
        assert_memory_equal(message.bytes, copy.bytes, BUFFER);
    }
    check_nonces(&line, 0, 0, 0);
    carry(&line, 0, 3);
    carry(&line, 1, 3);
    line_close(&line);
}

/* ---- Forgeries ------------------------------------------------------------------------------- */

/* IN is refused; what was at the output is wiped or as it was; the counter stays. */
static void refuse_forged(struct line *line, const struct text *in, uint64_t nonce)
{
    size_t len = in->len < 16 ? 0 : in->len - 16;

    memset(plain.bytes, CANARY, BUFFER);
    assert_int_equal(decrypt(line->ends[1], sotto_no_ad(), in, &plain), SOTTO_E_AUTH);
    assert_true(all_are(plain.bytes, len, 0) || all_are(plain.bytes, len, CANARY));
    assert_true(all_are(plain.bytes + len, BUFFER - len, CANARY));
    check_nonces(line, 1, 0, nonce);
}

static void test_forged(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct line line;

        line_open(&line, "NN", suite_of(i));
        for (uint64_t nonce = 0; nonce < 3; nonce++) {
            assert_int_equal(encrypt(line.ends[0], sotto_no_ad(), "genuine one", 11, &message),
                             SOTTO_OK);
            for (size_t at = 0; at < message.len; at++) {
                memcpy(copy.bytes, message.bytes, message.len);
                copy.len = message.len;
                copy.bytes[at] ^= (uint8_t)(1u << at % 8);
                refuse_forged(&line, &copy, nonce);
                copy.bytes[at] = message.bytes[at];
                copy.len = at;
                refuse_forged(&line, &copy, nonce);
            }
            copy.len = message.len + 1;
            copy.bytes[message.len] = 0;
            refuse_forged(&line, &copy, nonce);
            assert_int_equal(decrypt(line.ends[1], sotto_no_ad(), &message, &plain), SOTTO_OK);
            assert_memory_equal(plain.bytes, "genuine one", 11);
        }
        line_close(&line);
    }
}

/* In its place: the forged one is lost, and another copy of the genuine one is accepted. */
static void test_forged_in_place(void **state)
{
    struct line line;
    sotto_room room;

    (void)state;
    line_open(&line, "NN", fast_suite());
    assert_int_equal(encrypt(line.ends[0], sotto_no_ad(), "genuine", 7, &message), SOTTO_OK);
    memcpy(copy.bytes, message.bytes, message.len);
    copy.bytes[22] ^= 1;
    room = sotto_room_of(copy.bytes, BUFFER);
    assert_int_equal(
        sotto_transport_decrypt(line.ends[1], sotto_no_ad(), sotto_bytes_of(copy.bytes, 23), &room),
        SOTTO_E_AUTH);
    assert_int_equal(room.len, 0);
    assert_true(all_are(copy.bytes, 7, 0));
    assert_int_equal(decrypt(line.ends[1], sotto_no_ad(), &message, &plain), SOTTO_OK);
    line_close(&line);
}

/* Out of order, repeated, left out, sent back. */
static void test_order(void **state)
{
    static struct text messages[4];
    struct line line;

    (void)state;
    line_open(&line, "XX", suite_of(2));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(encrypt(line.ends[0], sotto_no_ad(), &i, sizeof i, &messages[i]),
                         SOTTO_OK);
    for (unsigned next = 0; next < 4; next++) {
        for (unsigned i = 0; i < 4; i++) {
            if (i != next)
                assert_int_equal(decrypt(line.ends[1], sotto_no_ad(), &messages[i], &plain),
                                 SOTTO_E_AUTH);
            assert_int_equal(decrypt(line.ends[0], sotto_no_ad(), &messages[i], &plain),
                             SOTTO_E_AUTH);
        }
        check_nonces(&line, 1, 0, next);
        check_nonces(&line, 0, 4, 0);
        assert_int_equal(decrypt(line.ends[1], sotto_no_ad(), &messages[next], &plain), SOTTO_OK);
    }
    line_close(&line);
}

/* ---- Directions and keys --------------------------------------------------------------------- */

static void test_one_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct line line;

        line_open(&line, pattern_at(i), suite_of(i));
        carry(&line, 0, 20);
        memset(copy.bytes, CANARY, 64);
        assert_int_equal(encrypt(line.ends[1], sotto_no_ad(), "back", 4, &copy), SOTTO_E_USAGE);
        assert_int_equal(decrypt(line.ends[0], sotto_no_ad(), &message, &copy), SOTTO_E_USAGE);
        assert_true(all_are(copy.bytes, 64, CANARY));
        assert_int_equal(sotto_transport_rekey_sending(line.ends[1]), SOTTO_E_USAGE);
        assert_int_equal(sotto_transport_rekey_receiving(line.ends[0]), SOTTO_E_USAGE);
        check_nonces(&line, 0, 1, 0);
        check_nonces(&line, 1, 0, 1);
        assert_int_equal(sotto_transport_rekey_sending(line.ends[0]), SOTTO_OK);
        assert_int_equal(sotto_transport_rekey_receiving(line.ends[1]), SOTTO_OK);
        carry(&line, 0, 20);
        line_close(&line);
    }
}

static void test_rekey(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++)
        for (int from = 0; from < 2; from++) {
            struct line line;

            line_open(&line, "NN", suite_of(i));
            for (uint64_t sent = 0; sent < 4; sent++) {
                carry(&line, from, 9);
                carry(&line, !from, 9);
                check_nonces(&line, from, sent * 2 + 1, sent + 1);
                /* of one side and one direction only; then the other side comes along */
                assert_int_equal(sotto_transport_rekey_sending(line.ends[from]), SOTTO_OK);
                check_nonces(&line, from, sent * 2 + 1, sent + 1);
                assert_int_equal(encrypt(line.ends[from], sotto_no_ad(), "new key", 7, &message),
                                 SOTTO_OK);
                assert_int_equal(decrypt(line.ends[!from], sotto_no_ad(), &message, &plain),
                                 SOTTO_E_AUTH);
                assert_int_equal(sotto_transport_rekey_receiving(line.ends[!from]), SOTTO_OK);
                check_nonces(&line, !from, sent + 1, sent * 2 + 1);
                assert_int_equal(decrypt(line.ends[!from], sotto_no_ad(), &message, &plain),
                                 SOTTO_OK);
            }
            line_close(&line);
        }
}

/* The bytes: keys of Split() for each direction, nonces, Rekey(), against another
 * implementation. */
static void check_against_stranger(int ours)
{
    uint8_t theirs[HASHLEN], expected[HASHLEN];
    sotto_transport *transport;
    sotto_handshake *hs = stranger_meets("XX", ours, theirs, expected);

    assert_int_equal(sotto_handshake_split(hs, &transport, NULL), SOTTO_OK);
    sotto_handshake_free(hs);
    for (uint64_t n = 0; n < 300; n++) {
        char text[16];

        snprintf(text, sizeof text, "number %7u", (unsigned)n);
        assert_int_equal(encrypt(transport, sotto_no_ad(), text, 14, &message), SOTTO_OK);
        stranger_seal(expected, n, text, 14, &copy);
        assert_memory_equal(message.bytes, copy.bytes, message.len);
        stranger_seal(theirs, n, text, 14, &message);
        assert_int_equal(decrypt(transport, sotto_no_ad(), &message, &plain), SOTTO_OK);
        if (n % 7 == 0) {
            assert_int_equal(sotto_transport_rekey_sending(transport), SOTTO_OK);
            stranger_rekey(expected);
        }
        if (n % 11 == 0) {
            assert_int_equal(sotto_transport_rekey_receiving(transport), SOTTO_OK);
            stranger_rekey(theirs);
        }
    }
    sotto_transport_free(transport);
}

static void test_against_stranger(void **state)
{
    (void)state;
    check_against_stranger(INITIATOR);
    check_against_stranger(RESPONDER);
}

/* Two directions, two keys: the same text at the same nonce is another message. */
static void test_directions_differ(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUITES; i++) {
        struct line line;

        line_open(&line, "NN", suite_of(i));
        for (unsigned n = 0; n < 3; n++) {
            assert_int_equal(encrypt(line.ends[0], sotto_no_ad(), "same text", 9, &message),
                             SOTTO_OK);
            assert_int_equal(encrypt(line.ends[1], sotto_no_ad(), "same text", 9, &copy), SOTTO_OK);
            assert_memory_not_equal(message.bytes, copy.bytes, 9);
        }
        line_close(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_small_rooms),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_ad),
        cmocka_unit_test(test_ad_overlap),
        cmocka_unit_test(test_ad_too_long),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_forged_in_place),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_one_way),
        cmocka_unit_test(test_rekey),
        cmocka_unit_test(test_against_stranger),
        cmocka_unit_test(test_directions_differ),
    };

    return cmocka_run_group_tests_name("noise: transport", tests, NULL, free_world);
}
