/*
 * Datagrams: which nonces are accepted, in any order, against a set that remembers all of them; and
 * all that an ordered transport is tested for.
 */
#include "stranger.h"

enum { WINDOW = SOTTO_DATAGRAM_WINDOW };

static struct text message, plain, copy;

/* The library at one end, keys of the same session at the other one: a sender that may use any
 * nonce. */
struct link {
    sotto_datagrams *ours;
    uint8_t theirs[HASHLEN]; /* what the other end sends with */
    uint8_t expected[HASHLEN];
};

static void link_open(struct link *link)
{
    sotto_handshake *hs = stranger_meets("NN", RESPONDER, link->theirs, link->expected);

    assert_int_equal(sotto_handshake_split_datagrams(hs, &link->ours, NULL), SOTTO_OK);
    sotto_handshake_free(hs);
}

static void link_close(struct link *link)
{
    sotto_datagrams_free(link->ours);
}

static sotto_err decrypt(sotto_datagrams *d, uint64_t nonce, const struct text *in,
                         struct text *out)
{
    sotto_room room = sotto_room_of(out->bytes, BUFFER);
    sotto_err err;

    room.len = 1234;
    err = sotto_datagrams_decrypt(d, nonce, sotto_no_ad(), text_bytes(in), &room);
    assert_int_equal(room.len, err == SOTTO_OK ? in->len - SOTTO_NOISE_TAG_LEN : 0);
    out->len = room.len;
    return err;
}

/* A genuine datagram with NONCE comes. */
static sotto_err comes(struct link *link, uint64_t nonce)
{
    sotto_err err;

    stranger_seal(link->theirs, nonce, &nonce, sizeof nonce, &message);
    memset(plain.bytes, CANARY, 32);
    err = decrypt(link->ours, nonce, &message, &plain);
    if (err == SOTTO_OK)
        assert_memory_equal(plain.bytes, &nonce, sizeof nonce);
    else
        assert_true(all_are(plain.bytes, 8, 0) || all_are(plain.bytes, 32, CANARY));
    assert_true(all_are(plain.bytes + 8, 24, CANARY));
    return err;
}

/* A forged one. */
static void forged(struct link *link, uint64_t nonce, sotto_err wanted)
{
    stranger_seal(link->expected, nonce, &nonce, sizeof nonce, &message); /* the wrong key */
    memset(plain.bytes, CANARY, 32);
    assert_int_equal(decrypt(link->ours, nonce, &message, &plain), wanted);
    assert_true(all_are(plain.bytes, 8, 0) || all_are(plain.bytes, 32, CANARY));
}

/* ---- The window ------------------------------------------------------------------------------ */

static void test_in_order_and_again(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    for (uint64_t n = 0; n < 10000; n++) {
        assert_int_equal(comes(&link, n), SOTTO_OK);
        if (n % 97 == 0)
            for (uint64_t back = 0; back <= n && back < 5000; back += 61)
                assert_int_equal(comes(&link, n - back), SOTTO_E_REPLAY);
    }
    link_close(&link);
}

static void test_backwards(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    for (uint64_t n = WINDOW + 500; n-- > 0;)
        assert_int_equal(comes(&link, n), n >= 500 ? SOTTO_OK : SOTTO_E_REPLAY);
    for (uint64_t n = 0; n < WINDOW + 500; n++)
        assert_int_equal(comes(&link, n), SOTTO_E_REPLAY);
    link_close(&link);
}

/* The edge, wherever the largest one stands: WINDOW - 1 behind is accepted, WINDOW behind is
 * not. */
static void test_edge(void **state)
{
    static const uint64_t largest[] = {WINDOW - 1,
                                       WINDOW,
                                       WINDOW + 1,
                                       4095,
                                       4096,
                                       4097,
                                       8191,
                                       8192,
                                       100000,
                                       (1ull << 32) - 1,
                                       1ull << 32,
                                       (1ull << 32) + 7,
                                       (1ull << 63) + 1,
                                       UINT64_MAX - 1};

    (void)state;
    for (unsigned i = 0; i < sizeof largest / sizeof *largest; i++) {
        struct link link;
        uint64_t top = largest[i];

        link_open(&link);
        assert_int_equal(comes(&link, top), SOTTO_OK);
        if (top >= WINDOW) {
            assert_int_equal(comes(&link, top - WINDOW), SOTTO_E_REPLAY);
            assert_int_equal(comes(&link, 0), SOTTO_E_REPLAY);
        }
        assert_int_equal(comes(&link, top - (WINDOW - 1)), SOTTO_OK);
        assert_int_equal(comes(&link, top - (WINDOW - 1)), SOTTO_E_REPLAY);
        assert_int_equal(comes(&link, top - (WINDOW - 2)), SOTTO_OK);
        assert_int_equal(comes(&link, top), SOTTO_E_REPLAY);
        link_close(&link);
    }
}

/* Nonces that differ by multiples of whatever the window is stored in are not mixed up; what was
 * left behind by a leap is forgotten, not taken for new. */
static void test_leaps(void **state)
{
    static const uint64_t leaps[] = {
        1,          2,    31,   32,   33,        63,   64,       65,         WINDOW - 1, WINDOW,
        WINDOW + 1, 4095, 4096, 4097, 4096 + 64, 8192, 1u << 20, 1ull << 32, 1ull << 62};

    (void)state;
    for (unsigned i = 0; i < sizeof leaps / sizeof *leaps; i++) {
        struct link link;
        uint64_t top = 5000;

        link_open(&link);
        for (uint64_t n = top - 70; n <= top; n++)
            assert_int_equal(comes(&link, n), SOTTO_OK);
        for (unsigned k = 0; k < 3; k++) {
            uint64_t before = top;

            top += leaps[i];
            assert_int_equal(comes(&link, top), SOTTO_OK);
            /* everything between, down to the edge, is new, and everything else is not */
            for (uint64_t back = 1; back < WINDOW + 70; back += back < 140 ? 1 : 53) {
                uint64_t n = top - back;
                bool fresh = back < WINDOW && n > before;
                sotto_err err = comes(&link, n);

                if (n > before || back >= WINDOW || (k == 0 && n >= 5000 - 70))
                    assert_int_equal(err, fresh ? SOTTO_OK : SOTTO_E_REPLAY);
            }
        }
        link_close(&link);
    }
}

/* A forged message is E_AUTH however far ahead, uses no nonce up and moves nothing. */
static void test_forged_ahead(void **state)
{
    static const uint64_t far[] = {0, 1, 50, 51, 52, 4000, 5000, 1ull << 40, UINT64_MAX - 1};
    struct link link;

    (void)state;
    link_open(&link);
    assert_int_equal(comes(&link, 50), SOTTO_OK);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < sizeof far / sizeof *far; i++)
            if (far[i] != 50)
                forged(&link, far[i], SOTTO_E_AUTH);
    for (uint64_t n = 0; n < 50; n++)
        assert_int_equal(comes(&link, n), SOTTO_OK);
    for (uint64_t n = 51; n < 60; n++)
        assert_int_equal(comes(&link, n), SOTTO_OK);
    for (unsigned i = 0; i < sizeof far / sizeof *far; i++)
        if (far[i] > 60)
            assert_int_equal(comes(&link, far[i]), SOTTO_OK);
    link_close(&link);
}

static void test_reserved_nonce(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    assert_int_equal(comes(&link, UINT64_MAX), SOTTO_E_NONCE);
    forged(&link, UINT64_MAX, SOTTO_E_NONCE);
    assert_int_equal(comes(&link, 0), SOTTO_OK);
    assert_int_equal(comes(&link, UINT64_MAX - 1), SOTTO_OK);
    assert_int_equal(comes(&link, UINT64_MAX), SOTTO_E_NONCE);
    assert_int_equal(comes(&link, UINT64_MAX - 1), SOTTO_E_REPLAY);
    assert_int_equal(comes(&link, UINT64_MAX - WINDOW), SOTTO_OK);
    assert_int_equal(comes(&link, UINT64_MAX - WINDOW - 1), SOTTO_E_REPLAY);
    link_close(&link);
}

/* A message under another nonce than its own. */
static void test_nonce_is_authenticated(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    stranger_seal(link.theirs, 7, "seven", 5, &message);
    for (uint64_t n = 0; n < 70; n++)
        if (n != 7)
            assert_int_equal(decrypt(link.ours, n, &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(decrypt(link.ours, 7ull << 56, &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(decrypt(link.ours, 7 + (1ull << 32), &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(decrypt(link.ours, 7, &message, &plain), SOTTO_OK);
    link_close(&link);
}

/* ---- Against a set that forgets nothing ------------------------------------------------------ */

enum { SPAN = 1 << 16 };

struct reference {
    uint8_t seen[SPAN]; /* by nonce - base */
    uint64_t base, largest;
    bool any;
};

static sotto_err expect(struct reference *r, uint64_t nonce)
{
    uint64_t at = nonce - r->base;

    if (r->any && nonce <= r->largest && r->largest - nonce >= WINDOW)
        return SOTTO_E_REPLAY;
    if (r->seen[at])
        return SOTTO_E_REPLAY;
    r->seen[at] = 1;
    if (!r->any || nonce > r->largest)
        r->largest = nonce;
    r->any = true;
    return SOTTO_OK;
}

static uint64_t choose(const struct reference *r, unsigned *seed)
{
    uint64_t top = r->largest - r->base, at;
    unsigned kind = draw(seed, 100);

    if (kind < 40)
        at = top + draw(seed, 3);
    else if (kind < 70)
        at = top - draw(seed, 200) % (top + 1);
    else if (kind < 85)
        at = top - draw(seed, WINDOW + 100) % (top + 1);
    else if (kind < 92)
        at = top >= WINDOW + 2 ? top - WINDOW + 2 - draw(seed, 5) : top;
    else if (kind < 99)
        at = top + draw(seed, 130);
    else
        at = top + draw(seed, 6000);
    return r->base + (at < SPAN ? at : SPAN - 1);
}

static void run_schedule(uint64_t base, unsigned seed)
{
    static struct reference r;
    unsigned accepted = 0, refused = 0;
    struct link link;

    memset(&r, 0, sizeof r);
    r.base = r.largest = base;
    link_open(&link);
    for (unsigned i = 0; i < 8000; i++) {
        uint64_t nonce = choose(&r, &seed);
        bool forge = draw(&seed, 8) == 0;
        sotto_err err;

        if (forge) {
            stranger_seal(link.expected, nonce + draw(&seed, 5000), "", 0, &message);
            err = decrypt(link.ours, nonce, &message, &plain);
            assert_true(err == SOTTO_E_AUTH || err == SOTTO_E_REPLAY);
            continue;
        }
        err = comes(&link, nonce);
        assert_int_equal(err, expect(&r, nonce));
        if (err == SOTTO_OK)
            accepted++;
        else
            refused++;
    }
    assert_true(accepted > 1000 && refused > 1000);
    link_close(&link);
}

static void test_schedules(void **state)
{
    (void)state;
    run_schedule(0, 1);
    run_schedule(0, 2);
    run_schedule((1ull << 32) - 4000, 3);
    run_schedule(1ull << 50, 4);
    run_schedule((1ull << 63) - 2000, 5);
    run_schedule(UINT64_MAX - SPAN, 6);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static sotto_err encrypt(sotto_datagrams *d, sotto_ad ad, const void *in, size_t len,
                         struct text *out, uint64_t *nonce)
{
    sotto_room room = sotto_room_of(out->bytes, BUFFER);
    sotto_err err = sotto_datagrams_encrypt(d, ad, sotto_bytes_of(in, len), &room, nonce);

    assert_int_equal(room.len, err == SOTTO_OK ? len + SOTTO_NOISE_TAG_LEN : 0);
    out->len = room.len;
    return err;
}

static void test_sending(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    for (uint64_t n = 0; n < 300; n++) {
        uint64_t nonce = 99;

        assert_int_equal(sotto_datagrams_sending_nonce(link.ours), n);
        assert_int_equal(encrypt(link.ours, sotto_no_ad(), "x", 1, &copy, &nonce), SOTTO_OK);
        assert_int_equal(nonce, n);
        stranger_seal(link.expected, n, "x", 1, &message);
        assert_memory_equal(copy.bytes, message.bytes, message.len);
        if (n % 50 == 49) {
            assert_int_equal(sotto_datagrams_rekey_sending(link.ours), SOTTO_OK);
            stranger_rekey(link.expected);
        }
    }
    link_close(&link);
}

/* What is received has nothing to do with what is sent. */
static void test_directions(void **state)
{
    struct link link;
    uint64_t nonce;

    (void)state;
    link_open(&link);
    assert_int_equal(comes(&link, 77), SOTTO_OK);
    assert_int_equal(sotto_datagrams_sending_nonce(link.ours), 0);
    assert_int_equal(encrypt(link.ours, sotto_no_ad(), "back", 4, &copy, &nonce), SOTTO_OK);
    assert_int_equal(nonce, 0);
    /* the own message, sent back, at any nonce */
    assert_int_equal(decrypt(link.ours, 0, &copy, &plain), SOTTO_E_AUTH);
    assert_int_equal(comes(&link, 0), SOTTO_OK);
    link_close(&link);
}

static void test_rekey(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    assert_int_equal(comes(&link, 0), SOTTO_OK);
    assert_int_equal(comes(&link, 2), SOTTO_OK);
    stranger_seal(link.theirs, 1, "late", 4, &copy);
    stranger_rekey(link.theirs);
    stranger_seal(link.theirs, 3, "early", 5, &message);
    assert_int_equal(decrypt(link.ours, 3, &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(sotto_datagrams_rekey_receiving(link.ours), SOTTO_OK);
    assert_int_equal(decrypt(link.ours, 3, &message, &plain), SOTTO_OK);
    /* under the old key, and later: no longer */
    assert_int_equal(decrypt(link.ours, 1, &copy, &plain), SOTTO_E_AUTH);
    /* what was accepted with the old key is remembered, under the new one too */
    assert_int_equal(comes(&link, 0), SOTTO_E_REPLAY);
    assert_int_equal(comes(&link, 2), SOTTO_E_REPLAY);
    assert_int_equal(comes(&link, 1), SOTTO_OK);
    assert_int_equal(sotto_datagrams_sending_nonce(link.ours), 0);
    link_close(&link);
}

static void test_one_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct model m = model_of(pattern_at(i), false, 0, suite_of(i));
        sotto_datagrams *ends[2];
        struct pair p;
        uint64_t nonce = 5;

        pair_open(&p, &m);
        pair_run(&p);
        for (int side = 0; side < 2; side++)
            assert_int_equal(sotto_handshake_split_datagrams(p.hs[side], &ends[side], NULL),
                             SOTTO_OK);
        pair_close(&p);
        memset(copy.bytes, CANARY, 64);
        assert_int_equal(encrypt(ends[1], sotto_no_ad(), "back", 4, &copy, &nonce), SOTTO_E_USAGE);
        assert_true(all_are(copy.bytes, 64, CANARY));
        assert_int_equal(encrypt(ends[0], sotto_no_ad(), "there", 5, &message, &nonce), SOTTO_OK);
        assert_int_equal(decrypt(ends[0], nonce, &message, &copy), SOTTO_E_USAGE);
        assert_true(all_are(copy.bytes, 64, CANARY));
        assert_int_equal(decrypt(ends[1], nonce, &message, &plain), SOTTO_OK);
        assert_int_equal(sotto_datagrams_rekey_sending(ends[1]), SOTTO_E_USAGE);
        assert_int_equal(sotto_datagrams_rekey_receiving(ends[0]), SOTTO_E_USAGE);
        assert_int_equal(sotto_datagrams_sending_nonce(ends[1]), 0);
        for (int side = 0; side < 2; side++)
            sotto_datagrams_free(ends[side]);
    }
}

/* ---- Places and limits ----------------------------------------------------------------------- */

static void test_null(void **state)
{
    sotto_room room = sotto_room_of(plain.bytes, BUFFER), nowhere = sotto_room_of(NULL, 100);
    sotto_bytes in, out = sotto_bytes_of("x", 1);
    struct link link;
    uint64_t nonce = 31;

    (void)state;
    link_open(&link);
    stranger_seal(link.theirs, 0, "x", 1, &message);
    in = text_bytes(&message);
#define REFUSE(call) assert_int_equal(call, SOTTO_E_USAGE)
    REFUSE(sotto_datagrams_encrypt(link.ours, sotto_no_ad(), out, &room, NULL));
    assert_int_equal(room.len, 0);
    REFUSE(sotto_datagrams_encrypt(link.ours, sotto_ad_of(NULL, 1), out, &room, &nonce));
    REFUSE(
        sotto_datagrams_encrypt(link.ours, sotto_no_ad(), sotto_bytes_of(NULL, 1), &room, &nonce));
    REFUSE(sotto_datagrams_encrypt(link.ours, sotto_no_ad(), out, &nowhere, &nonce));
    REFUSE(sotto_datagrams_encrypt(link.ours, sotto_no_ad(), out, NULL, &nonce));
    REFUSE(sotto_datagrams_decrypt(link.ours, 0, sotto_ad_of(NULL, 1), in, &room));
    REFUSE(sotto_datagrams_decrypt(link.ours, 0, sotto_no_ad(), sotto_bytes_of(NULL, 17), &room));
    REFUSE(sotto_datagrams_decrypt(link.ours, 0, sotto_no_ad(), in, &nowhere));
    REFUSE(sotto_datagrams_decrypt(link.ours, 0, sotto_no_ad(), in, NULL));
#undef REFUSE
    assert_int_equal(sotto_datagrams_sending_nonce(link.ours), 0);
    assert_int_equal(decrypt(link.ours, 0, &message, &plain), SOTTO_OK);
    sotto_datagrams_free(NULL);
    link_close(&link);
}

/* Neither a small room nor a place that overlaps uses a nonce up. */
static void test_places(void **state)
{
    struct link link;
    uint64_t nonce = 31;

    (void)state;
    link_open(&link);
    stranger_seal(link.theirs, 5, "twelve bytes", 12, &message);
    for (size_t cap = 0; cap < 28; cap++) {
        sotto_room room = sotto_room_of(plain.bytes, cap);

        memset(plain.bytes, CANARY, 64);
        assert_int_equal(sotto_datagrams_encrypt(link.ours, sotto_no_ad(),
                                                 sotto_bytes_of("twelve bytes", 12), &room, &nonce),
                         SOTTO_E_BUFFER);
        if (cap < 12)
            assert_int_equal(
                sotto_datagrams_decrypt(link.ours, 5, sotto_no_ad(), text_bytes(&message), &room),
                SOTTO_E_BUFFER);
        assert_true(all_are(plain.bytes, 64, CANARY));
    }
    memcpy(copy.bytes + 100, message.bytes, message.len);
    for (size_t at = 100 - 11; at < 100 + 28; at++) {
        sotto_room room = sotto_room_of(copy.bytes + at, 12),
                   out = sotto_room_of(copy.bytes + 100, 28);

        if (at == 100)
            continue;
        assert_int_equal(sotto_datagrams_decrypt(link.ours, 5, sotto_no_ad(),
                                                 sotto_bytes_of(copy.bytes + 100, 28), &room),
                         SOTTO_E_USAGE);
        assert_int_equal(sotto_datagrams_encrypt(link.ours, sotto_no_ad(),
                                                 sotto_bytes_of(copy.bytes + at, 12), &out, &nonce),
                         SOTTO_E_USAGE);
        assert_memory_equal(copy.bytes + 100, message.bytes, message.len);
    }
    assert_int_equal(sotto_datagrams_sending_nonce(link.ours), 0);
    assert_int_equal(decrypt(link.ours, 5, &message, &plain), SOTTO_OK);
    link_close(&link);
}

/* In place, empty, as large as may be, too large, with associated data. */
static void test_sizes(void **state)
{
    static const size_t lens[] = {0, 1, 1200, SOTTO_NOISE_TRANSPORT_MAX};
    struct link link;
    uint64_t nonce;

    (void)state;
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t len = lens[i];
        sotto_room room = sotto_room_of(message.bytes, len + 16);

        link_open(&link);
        fill(message.bytes, len, 2);
        memcpy(copy.bytes, message.bytes, len);
        assert_int_equal(sotto_datagrams_encrypt(link.ours, sotto_no_ad(),
                                                 sotto_bytes_of(message.bytes, len), &room, &nonce),
                         SOTTO_OK);
        message.len = room.len;
        assert_true(stranger_open(link.expected, nonce, &message, &plain));
        assert_memory_equal(plain.bytes, copy.bytes, len);
        stranger_seal(link.theirs, 9, copy.bytes, len, &message);
        room = sotto_room_of(message.bytes, len);
        assert_int_equal(
            sotto_datagrams_decrypt(link.ours, 9, sotto_no_ad(), text_bytes(&message), &room),
            SOTTO_OK);
        assert_memory_equal(message.bytes, copy.bytes, len);
        link_close(&link);
    }
    link_open(&link);
    assert_int_equal(encrypt(link.ours, sotto_no_ad(), copy.bytes, SOTTO_NOISE_TRANSPORT_MAX + 1,
                             &message, &nonce),
                     SOTTO_E_TOO_LARGE);
    message.len = SOTTO_NOISE_MESSAGE_MAX + 1;
    assert_int_equal(decrypt(link.ours, 1, &message, &plain), SOTTO_E_AUTH);
    for (message.len = 0; message.len < 16; message.len++)
        assert_int_equal(decrypt(link.ours, 1, &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(comes(&link, 1), SOTTO_OK);
    link_close(&link);
}

static void test_ad(void **state)
{
    struct model m = model_of("NN", false, 0, suite_of(3));
    sotto_datagrams *ends[2];
    sotto_room room = sotto_room_of(plain.bytes, BUFFER);
    struct pair p;
    uint64_t nonce;

    (void)state;
    pair_open(&p, &m);
    pair_run(&p);
    for (int side = 0; side < 2; side++)
        assert_int_equal(sotto_handshake_split_datagrams(p.hs[side], &ends[side], NULL), SOTTO_OK);
    pair_close(&p);
    assert_int_equal(encrypt(ends[0], sotto_ad_of("head", 4), "body", 4, &message, &nonce),
                     SOTTO_OK);
    assert_int_equal(sotto_datagrams_decrypt(ends[1], nonce, sotto_ad_of("heat", 4),
                                             text_bytes(&message), &room),
                     SOTTO_E_AUTH);
    assert_int_equal(decrypt(ends[1], nonce, &message, &plain), SOTTO_E_AUTH);
    assert_int_equal(sotto_datagrams_decrypt(ends[1], nonce, sotto_ad_of("head", 4),
                                             text_bytes(&message), &room),
                     SOTTO_OK);
    for (int side = 0; side < 2; side++)
        sotto_datagrams_free(ends[side]);
}

/* Every bit of a datagram. */
static void test_forged(void **state)
{
    struct link link;

    (void)state;
    link_open(&link);
    stranger_seal(link.theirs, 3, "genuine", 7, &message);
    for (size_t bit = 0; bit < message.len * 8; bit++) {
        copy = message;
        copy.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memset(plain.bytes, CANARY, 32);
        assert_int_equal(decrypt(link.ours, 3, &copy, &plain), SOTTO_E_AUTH);
        assert_true(all_are(plain.bytes, 7, 0) || all_are(plain.bytes, 7, CANARY));
        assert_true(all_are(plain.bytes + 7, 25, CANARY));
    }
    assert_int_equal(decrypt(link.ours, 3, &message, &plain), SOTTO_OK);
    assert_int_equal(decrypt(link.ours, 3, &message, &plain), SOTTO_E_REPLAY);
    link_close(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order_and_again),
        cmocka_unit_test(test_backwards),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_leaps),
        cmocka_unit_test(test_forged_ahead),
        cmocka_unit_test(test_reserved_nonce),
        cmocka_unit_test(test_nonce_is_authenticated),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_sending),
        cmocka_unit_test(test_directions),
        cmocka_unit_test(test_rekey),
        cmocka_unit_test(test_one_way),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_ad),
        cmocka_unit_test(test_forged),
    };

    return cmocka_run_group_tests_name("noise: datagrams", tests, NULL, free_world);
}
