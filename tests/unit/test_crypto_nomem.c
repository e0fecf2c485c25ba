/*
 * OpenSSL runs out of memory at its first, second, third ... allocation.  Every function then says
 * so, leaves neither a half-made result nor an entry in OpenSSL's error queue, and works at the
 * next call.
 */
#include "crypto_test.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* The allocation that fails, counted from 1; 0: none.  Then all do, until disarm(). */
static unsigned long fails_at, allocations;

static bool fails(void)
{
    return fails_at != 0 && ++allocations >= fails_at;
}

static void *counted_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return len == 0 || fails() ? NULL : malloc(len);
}

static void *counted_realloc(void *ptr, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : realloc(ptr, len);
}

static void counted_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/*
 * Call DO with the first, second ... allocation failing until it gets through without one.  DO
 * checks its outputs itself.  Returns how often it failed.
 */
static unsigned long with_failures(sotto_err (*do_it)(const void *arg), const void *arg)
{
    for (unsigned long n = 1;; n++) {
        sotto_err err;
        bool failed;

        assert_true(n < 10000);
        fails_at = n;
        allocations = 0;
        err = do_it(arg);
        failed = allocations >= n;
        fails_at = 0;
        assert_no_openssl_errors();
        if (!failed) {
            assert_ok(err);
            return n - 1;
        }
        /* An allocation that it can do without is no failure. */
        if (err != SOTTO_OK && err != SOTTO_E_NOMEM && err != SOTTO_E_CRYPTO)
            fail_msg("allocation %lu: %s", n, sotto_err_name(err));
        assert_ok(do_it(arg));
    }
}

static sotto_err make_dh(const void *arg)
{
    const struct si_dh *dh = arg;
    struct si_private_key priv = {{0}};
    struct si_public_key pub, low = {{0}};
    struct si_shared_secret shared;
    sotto_err err;

    memset(&pub, 0xaa, sizeof pub);
    memset(&shared, 0xaa, sizeof shared);
    if ((err = dh->generate(dh, &priv, &pub)) != SOTTO_OK) {
        assert_zero(priv.bytes, dh->len);
        assert_zero(pub.bytes, dh->len);
        return err;
    }
    if ((err = dh->exchange(&shared, &priv, &pub)) != SOTTO_OK) {
        assert_zero(shared.bytes, dh->len);
        return err;
    }
    err = dh->exchange(&shared, &priv, &low);
    assert_zero(shared.bytes, dh->len);
    return err == SOTTO_E_DH ? SOTTO_OK : err;
}

static sotto_err make_aead(const void *arg)
{
    const struct si_aead *aead = arg;
    const struct si_cipher_key raw = {{5}};
    struct si_aead_key *key = (struct si_aead_key *)&key;
    uint8_t text[4 + SI_TAG_LEN] = "text";
    sotto_err err;

    if ((err = aead->key_new(&key, &raw)) != SOTTO_OK) {
        assert_null(key);
        return err;
    }
    if ((err = si_aead_seal(aead, key, 1, si_span(NULL, 0), text, 4, text)) != SOTTO_OK)
        assert_zero(text, sizeof text);
    else if ((err = aead->open(key, 1, si_span(NULL, 0), text, sizeof text, text)) != SOTTO_OK)
        assert_zero(text, 4);
    aead->key_free(key);
    return err;
}

static sotto_err make_hash(const void *arg)
{
    const struct si_hash *hash = arg;
    struct si_hash_ctx *ctx = (struct si_hash_ctx *)&ctx;
    uint8_t ck[SI_HASH_LEN_MAX] = {6}, k[SI_HASH_LEN_MAX] = {7};
    sotto_err err;

    if ((err = si_hash_ctx_new(&ctx, hash)) != SOTTO_OK) {
        assert_null(ctx);
        return err;
    }
    if ((err = si_hkdf(ctx, ck, si_span(k, 7), ck, k, NULL)) != SOTTO_OK) {
        assert_zero(ck, hash->len);
        assert_zero(k, hash->len);
    }
    si_hash_ctx_free(ctx);
    return err;
}

static sotto_err make_pbkdf2(const void *arg)
{
    uint8_t out[32] = {8};
    sotto_err err = si_pbkdf2(arg, si_span("a", 1), si_span("b", 1), 2, out, sizeof out);

    if (err != SOTTO_OK)
        assert_zero(out, sizeof out);
    return err;
}

static sotto_err read_pem(const void *arg)
{
    sotto_keypair *keypair = (sotto_keypair *)&keypair;
    const char *why = NULL;
    sotto_err err = si_pem_read_private(si_span_str(arg), &keypair, &why);

    assert_non_null(why);
    assert_true((err == SOTTO_OK) == (keypair != NULL));
    sotto_keypair_free(keypair);

    /* OpenSSL does not always say that memory was what it lacked. */
    return err == SOTTO_E_FORMAT ? SOTTO_E_CRYPTO : err;
}

/* The fetched objects are made under failure too: this has to be the first test. */
static void algorithms_without_memory(void **state)
{
    size_t count, dh_count;
    const struct si_dh *const *dhs = si_dh_all(&dh_count);
    const struct si_aead *const *aeads = si_aead_all(&count);
    const struct si_hash *const *hashes;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        /* What does not allocate through OpenSSL is tests/attack/test_attack_memory.c's. */
        size_t failures = with_failures(make_aead, aeads[i]);

        assert_int_equal(failures > 0, strcmp(aeads[i]->backend, "openssl") == 0);
    }
    for (size_t i = 0; i < dh_count; i++)
        (void)with_failures(make_dh, dhs[i]);
    hashes = si_hash_all(&count);
    for (size_t i = 0; i < count; i++) {
        unsigned long failures = with_failures(make_hash, hashes[i]);

        /* The states of SHA-2 need no memory of OpenSSL's, where it has functions for them. */
        assert_true(failures > 0 || strncmp(hashes[i]->name, "SHA", 3) == 0);
        assert_true(with_failures(make_pbkdf2, hashes[i]) > 0);
    }
}

static void pem_without_memory(void **state)
{
    (void)state;
    assert_true(with_failures(read_pem,
                              "-----BEGIN PRIVATE KEY-----\n"
                              "MEYCAQAwBQYDK2VvBDoEOAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
                              "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3\n"
                              "-----END PRIVATE KEY-----\n") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_without_memory),
        cmocka_unit_test(pem_without_memory),
    };

    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
        return 1;
    /* OpenSSL's own start, the loading of its provider, does not survive it. */
    EVP_MD_free(EVP_MD_fetch(NULL, "SHA1", NULL));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
