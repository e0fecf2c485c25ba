/*
 * Whose turn it is: every function in every state of every protocol, and the lengths that are told
 * before a message against those that it has.
 */
#include "support.h"

static struct text message, payload;

/* ---- What is not this side's turn ------------------------------------------------------------ */

static void refuse_write(sotto_handshake *hs)
{
    sotto_room room = sotto_room_of(message.bytes, BUFFER);
    sotto_error error;

    memset(&error, CANARY, sizeof error);
    memset(message.bytes, CANARY, 512);
    room.len = 77;
    assert_int_equal(sotto_handshake_write(hs, sotto_bytes_of("x", 1), &room, &error),
                     SOTTO_E_USAGE);
    assert_int_equal(error.code, SOTTO_E_USAGE);
    assert_true(error.what[0] != '\0' && error.why[0] != '\0');
    assert_int_equal(room.len, 0);
    assert_true(all_are(message.bytes, 512, CANARY));
}

static void refuse_read(sotto_handshake *hs)
{
    static const uint8_t in[300];
    sotto_room room = sotto_room_of(payload.bytes, BUFFER);
    sotto_error error;

    memset(&error, CANARY, sizeof error);
    memset(payload.bytes, CANARY, 512);
    room.len = 77;
    assert_int_equal(sotto_handshake_read(hs, sotto_bytes_of(in, sizeof in), &room, &error),
                     SOTTO_E_USAGE);
    assert_int_equal(error.code, SOTTO_E_USAGE);
    assert_true(error.what[0] != '\0' && error.why[0] != '\0');
    assert_int_equal(room.len, 0);
    assert_true(all_are(payload.bytes, 512, CANARY));
}

static void refuse_split(sotto_handshake *hs)
{
    sotto_transport *transport = (sotto_transport *)&message;
    sotto_datagrams *datagrams = (sotto_datagrams *)&message;
    sotto_error error;

    memset(&error, CANARY, sizeof error);
    assert_int_equal(sotto_handshake_split(hs, &transport, &error), SOTTO_E_USAGE);
    assert_null(transport);
    assert_int_equal(error.code, SOTTO_E_USAGE);
    assert_true(error.what[0] != '\0' && error.why[0] != '\0');
    memset(&error, CANARY, sizeof error);
    assert_int_equal(sotto_handshake_split_datagrams(hs, &datagrams, &error), SOTTO_E_USAGE);
    assert_null(datagrams);
    assert_int_equal(error.code, SOTTO_E_USAGE);
    transport = (sotto_transport *)&message;
    datagrams = (sotto_datagrams *)&message;
    assert_int_equal(sotto_handshake_split(hs, &transport, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_split_datagrams(hs, &datagrams, NULL), SOTTO_E_USAGE);
    assert_null(transport);
    assert_null(datagrams);
}

/* There is no next message: nothing is said about one. */
static void no_next_message(const sotto_handshake *hs)
{
    static const size_t lens[] = {0, 1, 16, 32, 48, 96, 100, 65535, 65536, SIZE_MAX};

    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        assert_int_equal(sotto_handshake_message_len(hs, lens[i]), 0);
        assert_int_equal(sotto_handshake_payload_len(hs, lens[i]), 0);
    }
    assert_int_equal(sotto_handshake_payload_max(hs), 0);
    assert_int_equal(sotto_handshake_next_encrypted(hs), 0);
}

/* Everything but ACTION, which stays what it is. */
static void refuse_all_but(sotto_handshake *hs, sotto_action action)
{
    assert_int_equal(sotto_handshake_action(hs), action);
    if (action != SOTTO_ACTION_WRITE)
        refuse_write(hs);
    if (action != SOTTO_ACTION_READ)
        refuse_read(hs);
    if (action != SOTTO_ACTION_SPLIT) {
        refuse_split(hs);
    } else {
        assert_int_equal(sotto_handshake_split(hs, NULL, NULL), SOTTO_E_USAGE);
        assert_int_equal(sotto_handshake_split_datagrams(hs, NULL, NULL), SOTTO_E_USAGE);
    }
    if (action == SOTTO_ACTION_SPLIT || action == SOTTO_ACTION_DONE)
        no_next_message(hs);
    if (action != SOTTO_ACTION_DONE)
        assert_int_equal(sotto_handshake_hash(hs).len, 0);
    assert_int_equal(sotto_handshake_action(hs), action);
}

static void refuse_in_both(const struct pair *p)
{
    if (walk_ended(&p->walk)) {
        refuse_all_but(p->hs[INITIATOR], SOTTO_ACTION_SPLIT);
        refuse_all_but(p->hs[RESPONDER], SOTTO_ACTION_SPLIT);
    } else {
        refuse_all_but(writer(p), SOTTO_ACTION_WRITE);
        refuse_all_but(reader(p), SOTTO_ACTION_READ);
    }
}

/* One side orders its messages, the other one does not: the keys are the same. */
static void send_across(const struct model *m, sotto_transport *initiator,
                        sotto_datagrams *responder)
{
    sotto_room room = sotto_room_of(message.bytes, BUFFER), out = sotto_room_of(payload.bytes, 8);
    uint64_t nonce;

    assert_int_equal(
        sotto_transport_encrypt(initiator, sotto_no_ad(), sotto_bytes_of("to", 2), &room),
        SOTTO_OK);
    assert_int_equal(
        sotto_datagrams_decrypt(responder, 0, sotto_no_ad(), sotto_room_bytes(&room), &out),
        SOTTO_OK);
    assert_memory_equal(payload.bytes, "to", 2);
    if (m->one_way)
        return;
    assert_int_equal(
        sotto_datagrams_encrypt(responder, sotto_no_ad(), sotto_bytes_of("fro", 3), &room, &nonce),
        SOTTO_OK);
    assert_int_equal(nonce, 0);
    assert_int_equal(
        sotto_transport_decrypt(initiator, sotto_no_ad(), sotto_room_bytes(&room), &out), SOTTO_OK);
    assert_memory_equal(payload.bytes, "fro", 3);
}

static void out_of_turn(const struct model *m)
{
    sotto_transport *transport;
    sotto_datagrams *datagrams;
    const sotto_public_key *rs;
    sotto_public_key copy;
    struct pair p;

    pair_open(&p, m);
    refuse_in_both(&p);
    while (!walk_ended(&p.walk)) {
        pair_step(&p);
        refuse_in_both(&p);
    }
    rs = sotto_handshake_remote_static(p.hs[INITIATOR]);
    if (rs != NULL)
        copy = *rs;
    assert_int_equal(sotto_handshake_split(p.hs[INITIATOR], &transport, NULL), SOTTO_OK);
    assert_int_equal(sotto_handshake_split_datagrams(p.hs[RESPONDER], &datagrams, NULL), SOTTO_OK);
    for (int side = 0; side < 2; side++) {
        refuse_all_but(p.hs[side], SOTTO_ACTION_DONE);
        assert_int_equal(sotto_handshake_hash(p.hs[side]).len, m->hash_len);
        assert_int_equal(sotto_handshake_remote_proven(p.hs[side]), p.walk.proven[side]);
    }
    /* the peer's key is still there */
    if (rs != NULL)
        assert_true(sotto_public_key_equal(sotto_handshake_remote_static(p.hs[INITIATOR]), &copy));
    pair_close(&p);
    send_across(m, transport, datagrams);
    sotto_transport_free(transport);
    sotto_datagrams_free(datagrams);
}

static void test_out_of_turn(void **state)
{
    (void)state;
    each_protocol(false, out_of_turn);
}

/* ---- Lengths that are told ------------------------------------------------------------------- */

static void check_lengths(const sotto_handshake *hs, size_t overhead)
{
    size_t max = SOTTO_NOISE_MESSAGE_MAX - overhead;

    assert_int_equal(sotto_handshake_payload_max(hs), max);
    assert_int_equal(sotto_handshake_message_len(hs, 0), overhead);
    assert_int_equal(sotto_handshake_message_len(hs, max), SOTTO_NOISE_MESSAGE_MAX);
    assert_int_equal(sotto_handshake_message_len(hs, max + 1), 0);
    assert_int_equal(sotto_handshake_message_len(hs, 65536), 0);
    assert_int_equal(sotto_handshake_message_len(hs, (size_t)1 << 32), 0);
    /* sums that wrap round */
    for (size_t back = 0; back <= 2 * overhead; back++)
        assert_int_equal(sotto_handshake_message_len(hs, SIZE_MAX - back), 0);
    for (size_t len = 0; len <= 2 * overhead; len++)
        assert_int_equal(sotto_handshake_payload_len(hs, len), len > overhead ? len - overhead : 0);
    assert_int_equal(sotto_handshake_payload_len(hs, SOTTO_NOISE_MESSAGE_MAX), max);
    assert_int_equal(sotto_handshake_payload_len(hs, SOTTO_NOISE_MESSAGE_MAX + 1), 0);
    assert_int_equal(sotto_handshake_payload_len(hs, SIZE_MAX), 0);
}

static void tell_lengths(const struct model *m)
{
    struct pair p;

    pair_open(&p, m);
    while (!walk_ended(&p.walk)) {
        check_lengths(writer(&p), walk_overhead(&p.walk));
        check_lengths(reader(&p), walk_overhead(&p.walk));
        pair_step(&p);
    }
    pair_close(&p);
}

static void test_lengths(void **state)
{
    (void)state;
    each_protocol(false, tell_lengths);
}

/* Payloads as long as they may be, and one byte more. */
static void refuse_too_large(const struct pair *p)
{
    static const size_t more[] = {1, 2, 16, 17, 65536, SIZE_MAX / 2};
    size_t max = SOTTO_NOISE_MESSAGE_MAX - walk_overhead(&p->walk);
    sotto_error error;
    char word[16];

    snprintf(word, sizeof word, "%zu", max);
    for (unsigned i = 0; i < sizeof more / sizeof *more; i++) {
        sotto_room room = sotto_room_of(message.bytes, BUFFER);

        memset(message.bytes, CANARY, 512);
        assert_int_equal(sotto_handshake_write(writer(p),
                                               sotto_bytes_of(payload.bytes, max + more[i]), &room,
                                               &error),
                         SOTTO_E_TOO_LARGE);
        assert_says(&error, SOTTO_E_TOO_LARGE, word);
        assert_int_equal(room.len, 0);
        assert_true(all_are(message.bytes, 512, CANARY));
    }
    assert_int_equal(sotto_handshake_action(writer(p)), SOTTO_ACTION_WRITE);
}

static void carry_the_largest(const struct model *m)
{
    struct pair p;

    if (m->psks != 0 && m->psks != (1u << (m->messages + 1)) - 1)
        return;
    pair_open(&p, m);
    while (!walk_ended(&p.walk)) {
        refuse_too_large(&p);
        pair_step_with(&p, SOTTO_NOISE_MESSAGE_MAX - walk_overhead(&p.walk));
    }
    pair_finish_and_close(&p);
}

static void test_largest(void **state)
{
    (void)state;
    each_protocol(true, carry_the_largest);
}

static void carry_nothing(const struct model *m)
{
    struct pair p;

    pair_open(&p, m);
    while (!walk_ended(&p.walk))
        pair_step_with(&p, 0);
    pair_finish_and_close(&p);
}

static void test_empty(void **state)
{
    (void)state;
    each_protocol(true, carry_nothing);
}

/* ---- After a failure ------------------------------------------------------------------------- */

/* Each message of each protocol, with an empty payload, loses its last byte: a key or a tag is
 * cut. */
static void fail_at(const struct model *m, unsigned at)
{
    sotto_room room = sotto_room_of(payload.bytes, BUFFER);
    sotto_error error;
    struct pair p;

    pair_open(&p, m);
    pair_run_to(&p, at);
    pair_write(&p, 0, &message);
    message.len--;
    assert_int_equal(sotto_handshake_read(reader(&p), text_bytes(&message), &room, &error),
                     SOTTO_E_AUTH);
    assert_int_equal(error.code, SOTTO_E_AUTH);
    assert_true(error.what[0] != '\0' && error.why[0] != '\0');
    assert_failed(reader(&p));
    /* the message as it was comes too late */
    message.len++;
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_E_USAGE);
    assert_failed(reader(&p));
    pair_close(&p);
}

static void fail_everywhere(const struct model *m)
{
    for (unsigned at = 0; at < m->messages; at++)
        fail_at(m, at);
}

static void test_failed(void **state)
{
    (void)state;
    each_protocol(true, fail_everywhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_turn), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_largest),     cmocka_unit_test(test_empty),
        cmocka_unit_test(test_failed),
    };

    return cmocka_run_group_tests_name("noise: turns", tests, NULL, free_world);
}
