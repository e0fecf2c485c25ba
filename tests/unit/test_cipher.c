/*
 * Cipher states (Noise section 5.1), rekeying (11.3), and the window of received nonces (11.4).
 */
#include "noise/window.h"
#include "noise_support.h"

/* ---- Cipher states (section 5.1) ------------------------------------------------------------- */

static struct si_cipher_state keyed(const struct si_aead *aead, uint8_t byte)
{
    struct si_cipher_state cs;
    struct si_cipher_key k;

    memset(k.bytes, byte, sizeof k.bytes);
    si_cipher_init(&cs, aead);
    si_cipher_set_key(&cs, &k);
    return cs;
}

static void cipher_without_key(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state cs;
        uint8_t out[4] = {0};

        si_cipher_init(&cs, all[i]);
        assert_int_equal(si_cipher_overhead(&cs), 0);
        assert_int_equal(si_cipher_encrypt(&cs, si_span("x", 1), (const uint8_t *)"abcd", 4, out),
                         SOTTO_OK);
        assert_memory_equal(out, "abcd", 4);
        assert_int_equal(si_cipher_decrypt(&cs, si_span("y", 1), (const uint8_t *)"efgh", 4, out),
                         SOTTO_OK);
        assert_memory_equal(out, "efgh", 4);
        assert_int_equal(cs.n, 0);
        assert_int_equal(si_cipher_rekey(&cs), SOTTO_E_USAGE);
        si_cipher_wipe(&cs);
        cs = keyed(all[i], 1);
        assert_int_equal(si_cipher_overhead(&cs), SI_TAG_LEN);
        si_cipher_wipe(&cs);
        assert_false(cs.has_key);
        assert_int_equal(si_cipher_overhead(&cs), 0);
        assert_true(is_zero(&cs.k, sizeof cs.k));
    }
}

static void cipher_nonces(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state tx = keyed(all[i], 3), rx = keyed(all[i], 3);
        struct si_cipher_key k = {{9}};
        uint8_t sealed[4 + SI_TAG_LEN], out[4 + SI_TAG_LEN];

        tx.n = rx.n = UINT64_MAX - 2;
        for (int last = 0; last < 2; last++) {
            assert_int_equal(
                si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed),
                SOTTO_OK);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                             SOTTO_OK);
            assert_memory_equal(out, "abcd", 4);
        }
        /* 2^64 - 1 belongs to REKEY */
        for (int again = 0; again < 3; again++) {
            assert_int_equal(tx.n, UINT64_MAX);
            assert_int_equal(rx.n, UINT64_MAX);
            assert_int_equal(
                si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed),
                SOTTO_E_NONCE);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                             SOTTO_E_NONCE);
        }
        /* a rekey does not help: the chain of keys has come to its end (section 14) */
        assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
        assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
        assert_int_equal(tx.n, UINT64_MAX);
        assert_int_equal(
            si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed),
            SOTTO_E_NONCE);
        assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                         SOTTO_E_NONCE);
        /* a new key begins at 0 */
        si_cipher_set_key(&tx, &k);
        assert_int_equal(tx.n, 0);
        assert_int_equal(
            si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, sealed), SOTTO_OK);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
    }
}

static void cipher_volume(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_aead small = *all[i];
        struct si_cipher_state cs;
        uint8_t out[128 + SI_TAG_LEN];

        /* Noise section 14: at most 2^56 bytes under one key of AESGCM */
        if (strcmp(all[i]->name, "AESGCM") == 0)
            assert_int_equal(all[i]->max_bytes, (uint64_t)1 << 56);
        cs = keyed(all[i], 7);
        cs.bytes = all[i]->max_bytes - 10;
        fill(payload, 128, 1);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 11, out), SOTTO_E_NONCE);
        assert_int_equal(cs.n, 0);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 10, out), SOTTO_OK);
        assert_int_equal(cs.n, 1);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 1, out), SOTTO_E_NONCE);
        assert_int_equal(si_cipher_rekey(&cs), SOTTO_OK); /* the new key has its own volume */
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 100, out), SOTTO_OK);
        si_cipher_wipe(&cs);

        small.max_bytes = 100;
        cs = keyed(&small, 7);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 101, out),
                         SOTTO_E_NONCE);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 60, out), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 41, out), SOTTO_E_NONCE);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 40, out), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&cs, si_span(NULL, 0), payload, 1, out), SOTTO_E_NONCE);
        assert_int_equal(cs.n, 2);
        si_cipher_wipe(&cs);
    }
}

/* A failed decryption changes nothing, whatever was wrong, and shows no plaintext. */
static void cipher_forgeries(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t len = 0; len < 40; len += 13) {
            struct si_cipher_state tx = keyed(all[i], 5), rx = keyed(all[i], 5);
            struct si_cipher_state other = keyed(all[i], 6);
            uint8_t sealed[64], copy[65], out[64];
            size_t total = len + SI_TAG_LEN;

            tx.n = rx.n = other.n = 77;
            fill(payload, len, 3);
            assert_int_equal(si_cipher_encrypt(&tx, si_span("ad", 2), payload, len, sealed),
                             SOTTO_OK);
            for (size_t bit = 0; bit < 8 * total; bit++) {
                memcpy(copy, sealed, total);
                copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), copy, total, out),
                                 SOTTO_E_AUTH);
                assert_true(len < 4 || memcmp(out, payload, len) != 0);
                assert_int_equal(rx.n, 77);
            }
            for (size_t cut = 0; cut < total; cut++)
                assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, cut, out),
                                 SOTTO_E_AUTH);
            memcpy(copy, sealed, total);
            copy[total] = 0;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), copy, total + 1, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("aD", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 1), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, total, out),
                             SOTTO_E_AUTH);
            assert_int_equal(si_cipher_decrypt(&other, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 76;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 78;
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, out),
                             SOTTO_E_AUTH);
            rx.n = 77;
            /* in place, and after all that */
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, total, sealed),
                             SOTTO_OK);
            assert_memory_equal(sealed, payload, len);
            assert_int_equal(rx.n, 78);
            si_cipher_wipe(&tx);
            si_cipher_wipe(&rx);
            si_cipher_wipe(&other);
        }
}

/* The same bytes as the primitive makes, and REKEY of sections 4.2 and 11.3. */
static void cipher_rekey(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state tx = keyed(all[i], 5), rx = keyed(all[i], 5), old = keyed(all[i], 5);
        struct si_cipher_key k;
        uint8_t zeros[32] = {0}, sealed[32 + SI_TAG_LEN], expected[32 + SI_TAG_LEN],
                out[32 + SI_TAG_LEN];

        memset(k.bytes, 5, sizeof k.bytes);
        for (uint64_t n = 0; n < 6; n++) {
            struct si_aead_key *key = NULL;

            assert_int_equal(all[i]->key_new(&key, &k), SOTTO_OK);
            assert_int_equal(si_aead_seal(all[i], key, n, si_span("ad", 2), zeros, 32, expected),
                             SOTTO_OK);
            assert_int_equal(tx.n, n);
            assert_int_equal(si_cipher_encrypt(&tx, si_span("ad", 2), zeros, 32, sealed), SOTTO_OK);
            assert_memory_equal(sealed, expected, sizeof sealed);
            assert_int_equal(si_cipher_decrypt(&rx, si_span("ad", 2), sealed, sizeof sealed, out),
                             SOTTO_OK);
            if (n == 3) {
                /* the next key: ENCRYPT(k, 2^64 - 1, "", zeros) without its tag */
                assert_int_equal(
                    si_aead_seal(all[i], key, UINT64_MAX, si_span(NULL, 0), zeros, 32, expected),
                    SOTTO_OK);
                memcpy(k.bytes, expected, sizeof k.bytes);
                assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
                assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
                assert_int_equal(tx.n, 4);
                assert_int_equal(rx.n, 4);
            }
            if (n > 3) {
                old.n = n;
                assert_int_equal(
                    si_cipher_decrypt(&old, si_span("ad", 2), sealed, sizeof sealed, out),
                    SOTTO_E_AUTH);
            }
            all[i]->key_free(key);
        }
        /* before the first use of a key, and twice in a row */
        si_cipher_set_key(&tx, &k);
        si_cipher_set_key(&rx, &k);
        assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
        assert_int_equal(si_cipher_rekey(&tx), SOTTO_OK);
        assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
        assert_int_equal(si_cipher_encrypt(&tx, si_span(NULL, 0), zeros, 32, sealed), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                         SOTTO_E_AUTH);
        assert_int_equal(si_cipher_rekey(&rx), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx, si_span(NULL, 0), sealed, sizeof sealed, out),
                         SOTTO_OK);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
        si_cipher_wipe(&old);
    }
}

/* Nonces in any order, where the counter stands still (Noise 11.4). */
static void cipher_in_any_order(void **state)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_cipher_state tx = keyed(all[i], 3), rx = keyed(all[i], 3);
        uint8_t sealed[8][4 + SI_TAG_LEN], out[4];

        for (unsigned n = 0; n < 8; n++) {
            fill(payload, 4, n);
            assert_int_equal(si_cipher_encrypt(&tx, si_span(NULL, 0), payload, 4, sealed[n]),
                             SOTTO_OK);
        }
        for (unsigned k = 0; k < 16; k++) {
            unsigned n = k * 5 % 8;

            fill(payload, 4, n);
            assert_int_equal(si_cipher_decrypt_at(&rx, (n + 1) % 8, si_span(NULL, 0), sealed[n],
                                                  sizeof sealed[n], out),
                             SOTTO_E_AUTH);
            assert_int_equal(
                si_cipher_decrypt_at(&rx, n, si_span(NULL, 0), sealed[n], sizeof sealed[n], out),
                SOTTO_OK);
            assert_memory_equal(out, payload, 4);
            assert_int_equal(rx.n, 0);
        }
        assert_int_equal(rx.bytes, 16 * 4); /* every genuine one counts, no forgery */
        assert_int_equal(si_cipher_decrypt_at(&rx, UINT64_MAX, si_span(NULL, 0), sealed[0],
                                              sizeof sealed[0], out),
                         SOTTO_E_NONCE);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
    }
}

/* ---- The window (section 11.4) --------------------------------------------------------------- */

enum { NONCES = 60000 };

/* Random nonces around a moving front, against a set that forgets nothing. */
static void window_against_a_set(void **state)
{
    struct si_window w;
    uint32_t x = 12345;
    bool *accepted = calloc(NONCES, sizeof *accepted);
    uint64_t top = 0;

    (void)state;
    assert_non_null(accepted);
    memset(&w, 0, sizeof w);
    for (unsigned step = 0; step < 400000; step++) {
        uint64_t spread, n;
        bool expected;

        x = x * 1664525U + 1013904223U;
        spread = (x >> 8 & 7) == 0 ? 9000 : (x >> 8 & 7) < 4 ? 70 : 4200;
        n = step / 8 + (x >> 12) % spread;
        expected = n > top || (top - n < SI_WINDOW && !accepted[n]);
        assert_true(n < NONCES);
        if (si_window_is_new(&w, n) != expected)
            fail_msg("step %u: nonce %llu, largest %llu", step, (unsigned long long)n,
                     (unsigned long long)top);
        if (!expected)
            continue;
        si_window_accept(&w, n);
        accepted[n] = true;
        top = n > top ? n : top;
        assert_false(si_window_is_new(&w, n));
    }
    free(accepted);
}

static void window_at_the_ends(void **state)
{
    struct si_window w;

    (void)state;
    assert_true(SI_WINDOW >= 2048);
    memset(&w, 0, sizeof w);
    /* the first nonce is 0, and it need not come first */
    assert_true(si_window_is_new(&w, 0));
    si_window_accept(&w, SI_WINDOW - 1);
    assert_true(si_window_is_new(&w, 0));
    si_window_accept(&w, 0);
    assert_false(si_window_is_new(&w, 0));
    assert_true(si_window_is_new(&w, 1));
    /* one more, and 0 is out of it, 1 still in */
    si_window_accept(&w, SI_WINDOW);
    assert_false(si_window_is_new(&w, 0));
    assert_true(si_window_is_new(&w, 1));
    si_window_accept(&w, 1);
    assert_false(si_window_is_new(&w, 1));
    /* a leap over more than the window forgets the old bits, and remembers none of the others */
    si_window_accept(&w, UINT64_MAX - 1);
    assert_false(si_window_is_new(&w, UINT64_MAX - 1));
    for (uint64_t back = 1; back < SI_WINDOW; back++)
        assert_true(si_window_is_new(&w, UINT64_MAX - 1 - back));
    assert_false(si_window_is_new(&w, UINT64_MAX - 1 - SI_WINDOW));
    assert_false(si_window_is_new(&w, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cipher_without_key),   cmocka_unit_test(cipher_nonces),
        cmocka_unit_test(cipher_volume),        cmocka_unit_test(cipher_forgeries),
        cmocka_unit_test(cipher_rekey),         cmocka_unit_test(cipher_in_any_order),
        cmocka_unit_test(window_against_a_set), cmocka_unit_test(window_at_the_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
