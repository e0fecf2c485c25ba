/*
 * Noise while memory runs out: the nth allocation of a whole handshake and its transport fails, for
 * every n.  It is E_NOMEM, nothing is left behind (the sanitizers look), and what has failed says so.
 * Linked with -Wl,--wrap for malloc, calloc and realloc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "failing_malloc.h"
#include "sotto/noise.h"

struct two {
    sotto_handshake *hs[2];
    sotto_transport *transport;
    sotto_datagrams *datagrams;
};

static const char *const names[] = {"Noise_NN_25519_AESGCM_SHA256",
                                    "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b"};
static const sotto_role roles[] = {SOTTO_INITIATOR, SOTTO_RESPONDER};
static const sotto_psk psk = {{1, 2, 3}};
static uint8_t bytes[256], plain[256];

static sotto_err open_both(struct two *t, const char *name)
{
    sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;
    sotto_err err = SOTTO_OK;

    o.protocol = name;
    if (strstr(name, "psk0") != NULL)
        o.psk[0] = &psk;
    for (int i = 0; i < 2 && err == SOTTO_OK; i++) {
        o.role = roles[i];
        err = sotto_handshake_new(&o, &t->hs[i], NULL);
        assert_int_equal(err == SOTTO_OK, t->hs[i] != NULL);
    }
    return err;
}

/* One message; whoever fails is FAILED. */
static sotto_err pass(struct two *t, int from)
{
    sotto_room message = sotto_room_of(bytes, sizeof bytes);
    sotto_room payload = sotto_room_of(plain, sizeof plain);
    sotto_err err = sotto_handshake_write(t->hs[from], sotto_no_bytes(), &message, NULL);

    if (err != SOTTO_OK) {
        assert_int_equal(sotto_handshake_action(t->hs[from]), SOTTO_ACTION_FAILED);
        return err;
    }
    err = sotto_handshake_read(t->hs[!from], sotto_room_bytes(&message), &payload, NULL);
    if (err != SOTTO_OK)
        assert_int_equal(sotto_handshake_action(t->hs[!from]), SOTTO_ACTION_FAILED);
    return err;
}

/* A split that fails leaves no transport, and the handshake failed or as it was. */
static sotto_err split_both(struct two *t)
{
    sotto_err err = sotto_handshake_split(t->hs[0], &t->transport, NULL);

    assert_int_equal(err == SOTTO_OK, t->transport != NULL);
    if (err == SOTTO_OK) {
        err = sotto_handshake_split_datagrams(t->hs[1], &t->datagrams, NULL);
        assert_int_equal(err == SOTTO_OK, t->datagrams != NULL);
    }
    return err;
}

/* A message that had no memory has not used up its nonce: it is made once more. */
static sotto_err talk(struct two *t)
{
    sotto_room message = sotto_room_of(bytes, sizeof bytes);
    sotto_room text = sotto_room_of(plain, sizeof plain);
    sotto_err err =
        sotto_transport_encrypt(t->transport, sotto_no_ad(), sotto_bytes_of("abc", 3), &message);

    if (err == SOTTO_E_NOMEM)
        err = sotto_transport_encrypt(t->transport, sotto_no_ad(), sotto_bytes_of("abc", 3),
                                      &message);
    assert_int_equal(err, SOTTO_OK);
    assert_int_equal(sotto_transport_sending_nonce(t->transport), 1);
    err =
        sotto_datagrams_decrypt(t->datagrams, 0, sotto_no_ad(), sotto_room_bytes(&message), &text);
    if (err == SOTTO_E_NOMEM)
        err = sotto_datagrams_decrypt(t->datagrams, 0, sotto_no_ad(), sotto_room_bytes(&message),
                                      &text);
    assert_int_equal(err, SOTTO_OK);
    assert_memory_equal(plain, "abc", 3);
    return err;
}

static sotto_err run(struct two *t, const char *name)
{
    sotto_err err;

    memset(t, 0, sizeof *t);
    if ((err = open_both(t, name)) != SOTTO_OK || (err = pass(t, 0)) != SOTTO_OK ||
        (err = pass(t, 1)) != SOTTO_OK || (err = split_both(t)) != SOTTO_OK)
        return err;
    return talk(t);
}

static void leave(struct two *t)
{
    for (int i = 0; i < 2; i++)
        sotto_handshake_free(t->hs[i]);
    sotto_transport_free(t->transport);
    sotto_datagrams_free(t->datagrams);
}

static void every_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct two t;
        long at = 0;
        bool failed = true;

        assert_int_equal(run(&t, names[i]), SOTTO_OK); /* what is made once is there */
        leave(&t);
        for (; failed; at++) {
            sotto_err err;

            assert_true(at < 1000);
            malloc_fail(at, false);
            err = run(&t, names[i]);
            failed = malloc_recover();
            assert_true(err == SOTTO_OK || (failed && err == SOTTO_E_NOMEM));
            leave(&t);
        }
        /* two handshakes, their insides and hash contexts, two transports at the least */
        assert_true(at > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
