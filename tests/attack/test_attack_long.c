/*
 * Messages that do not end with their record, from a peer with the right keys that cuts them into
 * records as it likes, to a server that gets the bytes in pieces of any size: whatever the cuts,
 * the messages are the same.
 */
#include "peer.h"

#include <stdlib.h>

enum { BODY_MAX = SOTTO_RECORD_BODY_MAX, MIB = 1048576, MESSAGE_MAX = 16 * MIB, MESSAGES_MAX = 8 };

static struct world w;
static sotto_acceptor *acceptors[2]; /* by: is there padding behind what is fed? */
static uint8_t *text;                /* of MESSAGE_MAX bytes */
static uint32_t random_state;

static int setup(void **state)
{
    sotto_acceptor_options o;

    (void)state;
    world_init(&w);
    o = world_acceptor_options(&w);
    o.max_message = MESSAGE_MAX;
    for (uint32_t i = 0; i < 2; i++) {
        o.input_padding = 64 * i;
        acceptors[i] = world_acceptor(&o);
    }
    text = malloc(MESSAGE_MAX);
    assert_non_null(text);
    random_state = 0x7feb352d;
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        text[i] = (uint8_t)('a' + next_random(&random_state) % 26);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sotto_acceptor_free(acceptors[0]);
    sotto_acceptor_free(acceptors[1]);
    world_free(&w);
    free(text);
    return 0;
}

/* ---- A conversation -------------------------------------------------------------------------- */

struct talk {
    struct si_scratch scratch;
    bool lend;
    struct peer peer;
    struct end server;
    int64_t now;
    struct bytes wire; /* sealed, not fed yet */
    struct bytes log;  /* what the server has to report, as in end.log */
    size_t answered;   /* bytes of the server's output that were looked at */
    unsigned empties;  /* keep-alives sent */
};

/* How the conversation is held: bits. */
enum { LEND = 1, HOLD = 2, PADDED = 4, CHACHA = 8, WAYS = 16 };

static void talk_init(struct talk *t, unsigned ways)
{
    sotto_cipher cipher = (ways & CHACHA) != 0 ? SOTTO_CIPHER_CHACHAPOLY : SOTTO_CIPHER_AESGCM;
    sotto_session_client_options o = world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, cipher);
    static const uint8_t opened[5] = {SOTTO_EVENT_OPEN};
    sotto_session *session = NULL;

    memset(t, 0, sizeof *t);
    t->now = ms(1000);
    t->lend = (ways & LEND) != 0;
    assert_int_equal(si_scratch_init(&t->scratch), SOTTO_OK);
    assert_int_equal(sotto_session_server_new(acceptors[(ways & PADDED) != 0], t->now, &session),
                     SOTTO_OK);
    if (t->lend)
        si_session_lend(session, &t->scratch);
    end_init(&t->server, session, &t->now);
    t->server.hold = (ways & HOLD) != 0;
    t->server.padding = (ways & PADDED) != 0 ? 64 : 0;
    peer_client(&t->peer, &o, NKPSK0, NULL);
    peer_next(&t->peer, &t->wire);
    assert_int_equal(end_feed(&t->server, t->wire.ptr, t->wire.len), t->wire.len);
    t->wire.len = 0;
    peer_read(&t->peer, si_span(t->server.out.ptr, t->server.out.len));
    t->answered = t->server.out.len;
    bytes_add(&t->log, opened, sizeof opened);
}

static void talk_free(struct talk *t)
{
    peer_free(&t->peer);
    end_free(&t->server);
    si_scratch_wipe(&t->scratch);
    bytes_free(&t->wire);
    bytes_free(&t->log);
}

/* Append a message of LEN bytes to the stream, and to what is expected. */
static void add_message(struct talk *t, size_t len, struct bytes *stream)
{
    uint8_t head[5] = {SOTTO_EVENT_MESSAGE};
    const uint8_t *from = text + (len < MESSAGE_MAX ? next_random(&random_state) % 1000 : 0);

    if (len > MESSAGE_MAX - 1000)
        from = text;
    si_put_be32(head + 1, (uint32_t)len);
    bytes_add(stream, head + 1, 4);
    bytes_add(stream, from, len);
    bytes_add(&t->log, head, sizeof head);
    bytes_add(&t->log, from, len);
}

/* One record with this body. */
static void add_record(struct talk *t, const uint8_t *body, size_t len, size_t padding)
{
    if (padding > BODY_MAX - len)
        padding = BODY_MAX - len;
    peer_body(&t->peer, body, len, padding, &t->wire);
    t->empties += len == 0;
}

/* What waits on the wire arrives in pieces of STEP bytes; 0: of all sizes. */
static void arrive(struct talk *t, size_t step)
{
    size_t at = 0;

    while (at < t->wire.len) {
        size_t piece = step != 0 ? step : 1 + next_random(&random_state) % 100000;

        if (piece > t->wire.len - at)
            piece = t->wire.len - at;
        assert_int_equal(end_feed(&t->server, t->wire.ptr + at, piece), piece);
        at += piece;
    }
    t->wire.len = 0;
}

/* Everything that was said was reported, byte for byte, and each keep-alive was answered. */
static void check(struct talk *t)
{
    struct bytes body = {NULL, 0, 0};
    unsigned echoes = 0;

    assert_int_equal(t->server.err, SOTTO_OK);
    assert_int_equal(t->server.log.len, t->log.len);
    assert_true(memcmp(t->server.log.ptr, t->log.ptr, t->log.len) == 0);
    while (t->answered < t->server.out.len) {
        t->answered += peer_open(
            &t->peer, si_span(t->server.out.ptr + t->answered, t->server.out.len - t->answered),
            &body);
        assert_int_equal(body.len, 0);
        echoes++;
    }
    assert_int_equal(echoes, t->empties);
    bytes_free(&body);
}

/* ---- Cuts ------------------------------------------------------------------------------------ */

/* The bytes of the next record, of which LEFT are there at the most. */
typedef size_t cut_function(size_t left);

static size_t ones(size_t left)
{
    return left < 1 ? left : 1;
}

static size_t twos_and_threes(size_t left)
{
    return left < 3 ? left : 2 + next_random(&random_state) % 2;
}

static size_t small_or_empty(size_t left)
{
    size_t len = next_random(&random_state) % 40;

    return len < left ? len : left;
}

static size_t thousands(size_t left)
{
    return left < 1000 ? left : 1000;
}

static size_t full(size_t left)
{
    return left < BODY_MAX ? left : BODY_MAX;
}

static size_t nearly_full(size_t left)
{
    size_t len = BODY_MAX - next_random(&random_state) % 4;

    return len < left ? len : left;
}

static size_t any(size_t left)
{
    size_t len = next_random(&random_state) % (BODY_MAX + 1);

    if (next_random(&random_state) % 4 == 0)
        len = next_random(&random_state) % 4;
    return len < left ? len : left;
}

/* Messages of these lengths, cut by CUT, in pieces of STEP. */
static void converse(unsigned ways, const size_t *lens, size_t count, cut_function *cut,
                     bool padding, size_t step)
{
    struct bytes stream = {NULL, 0, 0};
    struct talk t;

    talk_init(&t, ways);
    for (size_t i = 0; i < count; i++)
        add_message(&t, lens[i], &stream);
    for (size_t at = 0; at < stream.len;) {
        size_t len = cut(stream.len - at);

        add_record(&t, stream.ptr + at, len, padding ? next_random(&random_state) % 50 : 0);
        at += len;
    }
    arrive(&t, step);
    check(&t);
    bytes_free(&stream);
    talk_free(&t);
}

/* Short enough to be cut into single bytes, on the wire, too. */
static void short_ones(void **state)
{
    static const size_t lens[] = {1, 300, 2, 700, 3, 1, 64};
    static cut_function *const cuts[] = {ones, twos_and_threes, small_or_empty, thousands, full};
    static const size_t steps[] = {1, 2, 3, 17, 18, 19, 20, 21, 100, 0};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cuts); i++)
        for (size_t j = 0; j < SI_COUNT(steps); j++)
            for (unsigned padding = 0; padding < 2; padding++)
                converse((unsigned)(i * SI_COUNT(steps) + j) % WAYS, lens, SI_COUNT(lens), cuts[i],
                         padding != 0, steps[j]);
}

/* Messages that end at, before and behind the end of a full record, once and again. */
static void at_borders(void **state)
{
    static cut_function *const cuts[] = {full, nearly_full, any};
    unsigned ways = 0;

    (void)state;
    for (size_t records = 1; records <= 3; records++) {
        for (size_t off = 0; off < 8; off++) {
            size_t first = records * BODY_MAX - 4 - 4 + off; /* with its length: -4 … +3 */
            const size_t lens[] = {first, BODY_MAX - 4, 5, first, 1};

            for (size_t i = 0; i < SI_COUNT(cuts); i++)
                converse(ways++ % WAYS, lens, SI_COUNT(lens), cuts[i], off % 2 != 0,
                         i == 0 ? 65537 : 0);
        }
    }
}

/* Longer than the steps in which room is made, 1 MiB and 4 MiB; up to the limit. */
static void long_ones(void **state)
{
    static cut_function *const cuts[] = {full, nearly_full, any, thousands};
    static const size_t steps[] = {262144, 0, 65536, SIZE_MAX};
    static const size_t lens[][4] = {
        {9 * MIB, 1, 1048576 + 1, 20},
        {1048576 - 32, 4 * MIB, 1048576, 4 * MIB + 1},
        {3, MESSAGE_MAX, 17, 2 * MIB},
        {5 * MIB + 7, 6 * MIB, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(lens); i++)
        for (size_t j = 0; j < SI_COUNT(cuts); j++)
            converse((unsigned)(5 * i + 3 * j) % WAYS, lens[i], 4, cuts[j], j == 2,
                     steps[(i + j) % SI_COUNT(steps)]);
}

/* One byte a record: the receiver's key changes in the middle of a message. */
static void across_a_rekey(void **state)
{
    static const size_t lens[] = {70000, 9, 66000};

    (void)state;
    converse(LEND | PADDED, lens, SI_COUNT(lens), ones, false, 262144);
    converse(CHACHA, lens, SI_COUNT(lens), ones, false, 0);
}

/* ---- Tails ----------------------------------------------------------------------------------- */

/* A record that ends with TAIL bytes of a message of LEN bytes, its length among them, one with
 * NEXT bytes of the stream that follows, and then the rest. */
static void one_tail(size_t tail, size_t next, size_t len, unsigned ways)
{
    struct bytes stream = {NULL, 0, 0};
    size_t at, end;
    struct talk t;

    talk_init(&t, ways);
    add_message(&t, 10, &stream);
    add_message(&t, len, &stream);
    add_message(&t, 6, &stream);
    end = stream.len;
    at = 14 + (tail < 4 + len ? tail : 4 + len);
    add_record(&t, stream.ptr, at, next % 3);
    next = next < full(end - at) ? next : full(end - at);
    add_record(&t, stream.ptr + at, next, len % 5);
    at += next;
    while (at < end) {
        size_t part = full(end - at);

        add_record(&t, stream.ptr + at, part, 0);
        at += part;
    }
    arrive(&t, tail % 2 == 0 ? SIZE_MAX : 0);
    check(&t);
    bytes_free(&stream);
    talk_free(&t);
}

static void tails(void **state)
{
    static const size_t lens[] = {
        1, 2, 3, 4, 5, 17, 18, 19, 20, 99, 1000, BODY_MAX - 4, BODY_MAX + 1, 140000};
    static const size_t nexts[] = {0, 1, 2, 3, 4, 15, 16, 17, 18, 19, 100, BODY_MAX};
    unsigned ways = 0;

    (void)state;
    for (size_t tail = 0; tail <= 8; tail++) {
        for (size_t i = 0; i < SI_COUNT(lens); i++) {
            for (size_t j = 0; j < SI_COUNT(nexts); j++)
                one_tail(tail, nexts[j], lens[i], ways++ % WAYS);
            /* exactly the rest of the message, one byte less, and one of the next message */
            for (size_t off = 0; off < 3; off++)
                one_tail(tail, 4 + lens[i] - tail + off - 1, lens[i], ways++ % WAYS);
        }
    }
}

/* ---- Forgeries ------------------------------------------------------------------------------- */

enum forgery { FLIP_FIRST, FLIP_LAST, FLIP_MIDDLE, SWAP, REPEAT, SHORT, NO_BODY, LONG_BODY, KINDS };

/* What goes wrong at RECORD of a long message.  The error it has to be. */
static sotto_err forge(struct talk *t, enum forgery kind, const uint8_t *body)
{
    static uint8_t plain[2 + BODY_MAX], again[2 + 65535];
    uint8_t frame[2 + 15] = {0, 15};
    size_t before = t->wire.len, whole = 2 + 2 + BODY_MAX + SI_TAG_LEN;

    switch (kind) {
    case FLIP_FIRST:
    case FLIP_LAST:
    case FLIP_MIDDLE:
        add_record(t, body, BODY_MAX, 0);
        t->wire.ptr[kind == FLIP_FIRST  ? before + 2
                    : kind == FLIP_LAST ? before + whole - 1
                                        : before + whole / 2] ^= 1;
        return SOTTO_E_AUTH;
    case SWAP: /* the one behind it comes in its place */
        add_record(t, body, BODY_MAX, 0);
        t->wire.len = before;
        add_record(t, body, BODY_MAX, 0);
        return SOTTO_E_AUTH;
    case REPEAT: /* the one before it comes again */
        memcpy(again, t->wire.ptr + before - whole, whole);
        bytes_add(&t->wire, again, whole);
        return SOTTO_E_AUTH;
    case SHORT:
        bytes_add(&t->wire, frame, sizeof frame);
        return SOTTO_E_AUTH;
    case NO_BODY: /* the plaintext verifies and is too short for a length */
        peer_record(&t->peer, plain, 1, &t->wire);
        return SOTTO_E_PROTOCOL;
    case LONG_BODY: /* a length of more than there is */
    case KINDS:
    default:
        memset(plain, 'x', sizeof plain);
        si_put_be16(plain, 1001);
        peer_record(&t->peer, plain, 2 + 1000, &t->wire);
        return SOTTO_E_PROTOCOL;
    }
}

/* A short message is told, then one of 3 MiB whose RECORD is wrong: nothing of that one. */
static void one_forgery(enum forgery kind, size_t record, unsigned ways)
{
    struct bytes stream = {NULL, 0, 0}, body = {NULL, 0, 0};
    size_t at = 0, told;
    struct talk t;
    sotto_err err;

    talk_init(&t, ways);
    add_message(&t, 100, &stream);
    told = t.log.len;
    add_message(&t, 3 * MIB, &stream);
    for (size_t i = 0; i < record; i++) {
        add_record(&t, stream.ptr + at, BODY_MAX, 0);
        at += BODY_MAX;
    }
    err = forge(&t, kind, stream.ptr + at);
    while (at + BODY_MAX < stream.len) { /* it goes on as if nothing had happened */
        add_record(&t, stream.ptr + at, BODY_MAX, 0);
        at += BODY_MAX;
    }
    (void)end_feed(&t.server, t.wire.ptr, t.wire.len);
    assert_int_equal(t.server.err, err);
    assert_int_equal(sotto_session_error(t.server.session), err);
    assert_int_equal(t.server.messages, 1);
    assert_int_equal(t.server.log.len, told);
    assert_true(memcmp(t.server.log.ptr, t.log.ptr, told) == 0);
    if (err == SOTTO_E_AUTH) { /* not a word */
        assert_true(t.server.over);
        assert_int_equal(t.server.out.len, t.answered);
    } else {
        (void)peer_open(
            &t.peer, si_span(t.server.out.ptr + t.answered, t.server.out.len - t.answered), &body);
        assert_int_equal(body.len, 4 + 35);
        assert_memory_equal(body.ptr + 4, "{\"close\":{\"code\":\"protocol_error\"}}", 35);
    }
    bytes_free(&body);
    bytes_free(&stream);
    talk_free(&t);
}

static void forgeries(void **state)
{
    static const size_t records[] = {1, 2, 16, 17, 30, 47};
    unsigned ways = 0;

    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < SI_COUNT(records); i++)
            one_forgery((enum forgery)kind, records[i], ways++ % WAYS);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Behind a long message, the length of the next one is above the limit, or 0: refused with the last
 * of its four bytes, of which AHEAD come with the long message's end. */
static void one_limit(uint32_t len, size_t ahead, unsigned ways)
{
    struct bytes stream = {NULL, 0, 0};
    uint8_t prefix[4];
    size_t at;
    struct talk t;

    talk_init(&t, ways);
    add_message(&t, 2 * MIB, &stream);
    si_put_be32(prefix, len);
    bytes_add(&stream, prefix, ahead);
    for (at = 0; at < stream.len;) {
        size_t part = full(stream.len - at);

        add_record(&t, stream.ptr + at, part, 0);
        at += part;
    }
    if (ahead < 4) {
        arrive(&t, 0);
        for (; ahead < 3; ahead++)
            add_record(&t, prefix + ahead, 1, 0);
        arrive(&t, SIZE_MAX);
        check(&t);
        add_record(&t, prefix + 3, 1, 0);
    }
    (void)end_feed(&t.server, t.wire.ptr, t.wire.len);
    assert_int_equal(t.server.err, SOTTO_E_PROTOCOL);
    assert_int_equal(t.server.messages, 1);
    assert_int_equal(t.server.log.len, t.log.len);
    bytes_free(&stream);
    talk_free(&t);
}

static void limits(void **state)
{
    static const uint32_t lens[] = {0, MESSAGE_MAX + 1, 2 * MESSAGE_MAX, UINT32_MAX};
    unsigned ways = 0;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(lens); i++)
        for (size_t ahead = 0; ahead <= 4; ahead++)
            one_limit(lens[i], ahead, ways++ % WAYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_ones),     cmocka_unit_test(at_borders), cmocka_unit_test(long_ones),
        cmocka_unit_test(across_a_rekey), cmocka_unit_test(tails),      cmocka_unit_test(forgeries),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
