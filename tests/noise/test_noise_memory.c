/*
 * Memory runs out: the nth allocation of a single call fails, once or from then on, for every n.
 * Each call says so and leaves what its header promises, with no half state, no leak (the address
 * sanitizer looks), and nothing in OpenSSL's queue of errors.
 *
 * Linked with -Wl,--wrap and the static library, so that its allocations can be made to fail;
 * OpenSSL's come here by CRYPTO_set_mem_functions().
 */
#include "support.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "sotto/noisesocket.h"

#include "failing_malloc.h"

static struct text message, payload;

/* These call the wrapped functions. */
static void *crypto_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return len == 0 ? NULL : malloc(len);
}

static void *crypto_realloc(void *ptr, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(ptr, len);
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/* How many failures a test has seen: none would mean that it tests nothing. */
static unsigned failures;

/* ERR is what a call said.  False when no allocation failed, so that the test is at its end. */
static bool failed_as_it_should(sotto_err err, bool failed)
{
    assert_int_equal(ERR_peek_error(), 0);
    if (!failed) {
        assert_int_equal(err, SOTTO_OK);
        return false;
    }
    failures++;
    /* an allocation that a library can do without is no failure */
    if (err != SOTTO_OK && err != SOTTO_E_NOMEM && err != SOTTO_E_CRYPTO)
        fail_msg("%s", sotto_err_name(err));
    return true;
}

/* Call RUN for each allocation that might fail, until it says that none did. */
static void each_failure(bool (*run)(const struct model *m, unsigned step, long at, bool for_ever),
                         const struct model *m, unsigned step)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        bool failed = true;

        failures = 0;
        for (long at = 0; failed; at++) {
            assert_true(at < 5000);
            failed = run(m, step, at, for_ever);
        }
        assert_true(failures > 0);
    }
}

/* ---- Handshakes ------------------------------------------------------------------------------ */

static bool run_new(const struct model *m, unsigned side, long at, bool for_ever)
{
    sotto_handshake_options o;
    sotto_handshake *hs;
    sotto_action before = SOTTO_ACTION_DONE;
    sotto_error error;
    sotto_err err;
    struct pair p;
    bool failed;

    pair_prepare(&p, m);
    o = pair_options(&p, (int)side);
    hs = (sotto_handshake *)&p;
    if (o.fallback_from != NULL)
        before = sotto_handshake_action(o.fallback_from);
    malloc_fail(at, for_ever);
    err = sotto_handshake_new(&o, &hs, &error);
    failed = malloc_recover();
    failed = failed_as_it_should(err, failed);
    if (err != SOTTO_OK) {
        assert_null(hs);
        assert_int_equal(error.code, err);
        assert_true(error.what[0] != '\0');
        if (o.fallback_from != NULL)
            assert_int_equal(sotto_handshake_action(o.fallback_from), before);
        assert_int_equal(sotto_handshake_new(&o, &hs, NULL), SOTTO_OK);
    }
    /* whichever try it was: it works */
    p.hs[side] = hs;
    o = pair_options(&p, !side);
    assert_int_equal(sotto_handshake_new(&o, &p.hs[!side], NULL), SOTTO_OK);
    pair_finish_and_close(&p);
    return failed;
}

static bool run_write(const struct model *m, unsigned step, long at, bool for_ever)
{
    sotto_room room = sotto_room_of(message.bytes, BUFFER);
    struct pair p;
    sotto_err err;
    bool failed;
    size_t len;

    pair_open(&p, m);
    pair_run_to(&p, step);
    len = sotto_handshake_message_len(writer(&p), 6);
    memset(message.bytes, CANARY, 1024);
    malloc_fail(at, for_ever);
    err = sotto_handshake_write(writer(&p), sotto_bytes_of("secret", 6), &room, NULL);
    failed = malloc_recover();
    failed = failed_as_it_should(err, failed);
    if (err != SOTTO_OK) {
        assert_int_equal(room.len, 0);
        assert_true(all_are(message.bytes, len, 0));
        assert_true(all_are(message.bytes + len, 1024 - len, CANARY));
        assert_failed(writer(&p));
        pair_close(&p);
        return failed;
    }
    message.len = room.len;
    assert_int_equal(hs_read(reader(&p), &message, &payload), SOTTO_OK);
    walk_on(&p.walk);
    pair_finish_and_close(&p);
    return failed;
}

static bool run_read(const struct model *m, unsigned step, long at, bool for_ever)
{
    sotto_room room = sotto_room_of(payload.bytes, BUFFER);
    struct pair p;
    sotto_err err;
    bool failed;

    pair_open(&p, m);
    pair_run_to(&p, step);
    pair_write(&p, 6, &message);
    memset(payload.bytes, CANARY, 1024);
    malloc_fail(at, for_ever);
    err = sotto_handshake_read(reader(&p), text_bytes(&message), &room, NULL);
    failed = malloc_recover();
    failed = failed_as_it_should(err, failed);
    if (err != SOTTO_OK) {
        assert_int_equal(room.len, 0);
        assert_true(all_are(payload.bytes, 6, 0));
        assert_true(all_are(payload.bytes + 6, 1018, CANARY));
        assert_failed(reader(&p));
        pair_close(&p);
        return failed;
    }
    assert_int_equal(room.len, 6);
    walk_on(&p.walk);
    pair_finish_and_close(&p);
    return failed;
}

/* Either kind of split; the other side has a transport. */
static bool run_split(const struct model *m, unsigned datagrams, long at, bool for_ever)
{
    sotto_transport *transport = (sotto_transport *)&message;
    sotto_datagrams *ours = (sotto_datagrams *)&message;
    struct pair p;
    sotto_err err;
    bool failed;

    pair_open(&p, m);
    pair_run(&p);
    malloc_fail(at, for_ever);
    err = datagrams ? sotto_handshake_split_datagrams(p.hs[INITIATOR], &ours, NULL)
                    : sotto_handshake_split(p.hs[INITIATOR], &transport, NULL);
    failed = malloc_recover();
    failed = failed_as_it_should(err, failed);
    if (err != SOTTO_OK) {
        assert_null(datagrams ? (void *)ours : (void *)transport);
        if (sotto_handshake_action(p.hs[INITIATOR]) == SOTTO_ACTION_SPLIT) {
            assert_int_equal(sotto_handshake_hash(p.hs[INITIATOR]).len, 0);
            pair_finish_and_close(&p);
        } else {
            assert_failed(p.hs[INITIATOR]);
            pair_close(&p);
        }
        return failed;
    }
    assert_int_equal(sotto_handshake_action(p.hs[INITIATOR]), SOTTO_ACTION_DONE);
    assert_int_equal(sotto_handshake_hash(p.hs[INITIATOR]).len, m->hash_len);
    if (datagrams)
        sotto_datagrams_free(ours);
    else
        sotto_transport_free(transport);
    pair_close(&p);
    return failed;
}

/* Patterns in which everything occurs: all tokens, psks, fallback; each curve, cipher and hash. */
static unsigned some_models(struct model out[6])
{
    unsigned count = 0;

    out[count++] = model_of("XX", false, 9, suite_of(0));
    out[count++] = model_of("IK", false, 0, suite_of(7));
    out[count++] = model_of("KK", false, 2, suite_of(10));
    out[count++] = model_of("NN", false, 0, suite_of(13));
    out[count++] = model_of("X", false, 1, suite_of(6));
    out[count++] = model_of("IX", true, 2, suite_of(8));
    return count;
}

static void warm_up(const struct model *m)
{
    struct pair p;

    /* what a library makes once and keeps */
    pair_open(&p, m);
    pair_finish_and_close(&p);
}

static void test_new(void **state)
{
    struct model models[6];
    unsigned count = some_models(models);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        for (unsigned side = 0; side < 2; side++) {
            warm_up(&models[i]);
            each_failure(run_new, &models[i], side);
        }
}

static void test_messages(void **state)
{
    struct model models[6];
    unsigned count = some_models(models);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        for (unsigned step = 0; step < models[i].messages; step++) {
            warm_up(&models[i]);
            each_failure(run_write, &models[i], step);
            each_failure(run_read, &models[i], step);
        }
}

static void test_split(void **state)
{
    struct model models[6];
    unsigned count = some_models(models);

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        warm_up(&models[i]);
        each_failure(run_split, &models[i], 0);
        each_failure(run_split, &models[i], 1);
    }
}

/* ---- Transports ------------------------------------------------------------------------------ */

struct ends {
    sotto_transport *transports[2];
    sotto_datagrams *datagrams[2];
};

static void open_ends(struct ends *ends, const struct model *m)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        struct pair p;

        pair_open(&p, m);
        pair_run(&p);
        for (int side = 0; side < 2; side++)
            assert_int_equal(
                kind == 0
                    ? sotto_handshake_split(p.hs[side], &ends->transports[side], NULL)
                    : sotto_handshake_split_datagrams(p.hs[side], &ends->datagrams[side], NULL),
                SOTTO_OK);
        pair_close(&p);
    }
}

static void close_ends(struct ends *ends)
{
    for (int side = 0; side < 2; side++) {
        sotto_transport_free(ends->transports[side]);
        sotto_datagrams_free(ends->datagrams[side]);
    }
}

static sotto_err seal(struct ends *ends, bool datagrams, uint64_t *nonce)
{
    sotto_room room = sotto_room_of(message.bytes, BUFFER);
    sotto_bytes in = sotto_bytes_of("secret", 6);
    sotto_err err =
        datagrams ? sotto_datagrams_encrypt(ends->datagrams[0], sotto_no_ad(), in, &room, nonce)
                  : sotto_transport_encrypt(ends->transports[0], sotto_no_ad(), in, &room);

    message.len = room.len;
    return err;
}

static sotto_err unseal(struct ends *ends, bool datagrams, uint64_t nonce)
{
    sotto_room room = sotto_room_of(payload.bytes, BUFFER);
    sotto_err err = datagrams ? sotto_datagrams_decrypt(ends->datagrams[1], nonce, sotto_no_ad(),
                                                        text_bytes(&message), &room)
                              : sotto_transport_decrypt(ends->transports[1], sotto_no_ad(),
                                                        text_bytes(&message), &room);

    assert_int_equal(room.len, err == SOTTO_OK ? 6 : 0);
    return err;
}

static uint64_t sent(const struct ends *ends, bool datagrams)
{
    return datagrams ? sotto_datagrams_sending_nonce(ends->datagrams[0])
                     : sotto_transport_sending_nonce(ends->transports[0]);
}

/* One message whose encryption, then its decryption, meets the failure; afterwards both work, with
 * the nonce that it was. */
static bool run_message(const struct model *m, unsigned datagrams, long at, bool for_ever)
{
    struct ends ends;
    uint64_t nonce = 0;
    sotto_err err;
    bool failed[2];

    open_ends(&ends, m);
    memset(message.bytes, CANARY, 64);
    malloc_fail(at, for_ever);
    err = seal(&ends, datagrams, &nonce);
    failed[0] = malloc_recover();
    failed[0] = failed_as_it_should(err, failed[0]);
    if (err != SOTTO_OK) {
        assert_true(all_are(message.bytes, 22, 0));
        assert_true(all_are(message.bytes + 22, 42, CANARY));
        assert_int_equal(sent(&ends, datagrams), 0);
        assert_int_equal(seal(&ends, datagrams, &nonce), SOTTO_OK);
    }
    assert_int_equal(nonce, 0);
    memset(payload.bytes, CANARY, 64);
    malloc_fail(at, for_ever);
    err = unseal(&ends, datagrams, nonce);
    failed[1] = malloc_recover();
    failed[1] = failed_as_it_should(err, failed[1]);
    if (err != SOTTO_OK) {
        assert_true(all_are(payload.bytes, 6, 0) || all_are(payload.bytes, 6, CANARY));
        assert_true(all_are(payload.bytes + 6, 58, CANARY));
        if (!datagrams)
            assert_int_equal(sotto_transport_receiving_nonce(ends.transports[1]), 0);
        assert_int_equal(unseal(&ends, datagrams, nonce), SOTTO_OK);
    }
    assert_memory_equal(payload.bytes, "secret", 6);
    close_ends(&ends);
    return failed[0] || failed[1];
}

/* A Rekey() that fails changes nothing: STEP is 0 for a transport, 1 for datagrams; then 2 more for
 * the receiving direction. */
static bool run_rekey(const struct model *m, unsigned step, long at, bool for_ever)
{
    bool datagrams = step % 2 != 0, receiving = step >= 2;
    struct ends ends;
    uint64_t nonce = 0;
    sotto_err err;
    bool failed;

    open_ends(&ends, m);
    malloc_fail(at, for_ever);
    if (receiving)
        err = datagrams ? sotto_datagrams_rekey_receiving(ends.datagrams[1])
                        : sotto_transport_rekey_receiving(ends.transports[1]);
    else
        err = datagrams ? sotto_datagrams_rekey_sending(ends.datagrams[0])
                        : sotto_transport_rekey_sending(ends.transports[0]);
    failed = malloc_recover();
    failed = failed_as_it_should(err, failed);
    assert_int_equal(seal(&ends, datagrams, &nonce), SOTTO_OK);
    assert_int_equal(unseal(&ends, datagrams, nonce), err == SOTTO_OK ? SOTTO_E_AUTH : SOTTO_OK);
    close_ends(&ends);
    return failed;
}

/* Whether a message needs memory is the libraries' matter: here, none is a result as well. */
static void each_failure_or_none(bool (*run)(const struct model *m, unsigned step, long at,
                                             bool for_ever),
                                 const struct model *m, unsigned step)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        bool failed = true;

        for (long at = 0; failed; at++) {
            assert_true(at < 5000);
            failed = run(m, step, at, for_ever);
        }
    }
}

static void test_transports(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i += 2) { /* both ciphers */
        struct model m = model_of("NN", false, 0, suite_of(i));

        warm_up(&m);
        for (unsigned datagrams = 0; datagrams < 2; datagrams++)
            each_failure_or_none(run_message, &m, datagrams);
        for (unsigned step = 0; step < 4; step++)
            each_failure_or_none(run_rekey, &m, step);
    }
}

/* ---- What needs no memory -------------------------------------------------------------------- */

static void test_noisesocket_allocates_nothing(void **state)
{
    static const sotto_noisesocket_limits limits = {100, 100};
    sotto_noisesocket_frame frame = {sotto_bytes_of("ab", 2), sotto_bytes_of("cde", 3)}, found;
    sotto_noisesocket_progress progress;
    sotto_noisesocket_history h;
    sotto_room room = sotto_room_of(message.bytes, BUFFER);
    sotto_bytes body;

    (void)state;
    memset(&h, 0, sizeof h);
    malloc_fail(0, true);
    assert_int_equal(sotto_noisesocket_write_handshake(&frame, &room), SOTTO_OK);
    assert_int_equal(
        sotto_noisesocket_read_handshake(sotto_room_bytes(&room), &limits, &found, &progress),
        SOTTO_OK);
    assert_int_equal(sotto_noisesocket_write_transport(frame.message, &room), SOTTO_OK);
    assert_int_equal(
        sotto_noisesocket_read_transport(sotto_room_bytes(&room), &limits, &body, &progress),
        SOTTO_OK);
    assert_int_equal(sotto_noisesocket_write_payload(frame.message, 20, &room), SOTTO_OK);
    assert_int_equal(sotto_noisesocket_read_payload(sotto_room_bytes(&room), &body), SOTTO_OK);
    assert_int_equal(sotto_noisesocket_prologue(SOTTO_NOISESOCKET_INITIAL, &h, &room), SOTTO_OK);
    assert_false(malloc_recover());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_transports),
        cmocka_unit_test(test_noisesocket_allocates_nothing),
    };

    /* before OpenSSL's first allocation */
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) {
        fprintf(stderr, "OpenSSL has allocated already\n");
        return 1;
    }
    return cmocka_run_group_tests_name("noise: memory", tests, NULL, free_world);
}
