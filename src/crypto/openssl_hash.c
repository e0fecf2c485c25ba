/*
 * SHA-2 by OpenSSL's functions for it, where it has them, and the other hashes by its digests in
 * general.  Those allocate for each hash, and take 133 ns for 96 bytes of SHA-256 where these take
 * 84 (bench_crypto).  The functions are deprecated since 3.0, and still there in 4.0.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <stdatomic.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "crypto/backend.h"
#include "crypto/openssl.h"

/* ---- Digests in general ---------------------------------------------------------------------- */

struct digest_state {
    EVP_MD_CTX *md; /* NULL: not open */
};

static EVP_MD_CTX *md_of(const struct si_hash_state *state)
{
    return ((const struct digest_state *)state)->md;
}

static EVP_MD *fetch(const struct si_hash *hash)
{
    static const struct {
        const char *noise, *openssl;
    } names[] = {{"SHA256", "SHA2-256"},
                 {"SHA512", "SHA2-512"},
                 {"BLAKE2s", "BLAKE2S-256"},
                 {"BLAKE2b", "BLAKE2B-512"}};
    static _Atomic(EVP_MD *) kept[SI_COUNT(names)];
    size_t i = 0;
    EVP_MD *md, *fresh;

    while (strcmp(names[i].noise, hash->name) != 0)
        i++;
    if ((md = atomic_load_explicit(&kept[i], memory_order_acquire)) != NULL)
        return md;
    fresh = EVP_MD_fetch(NULL, names[i].openssl, NULL);
    if (fresh != NULL && !atomic_compare_exchange_strong(&kept[i], &md, fresh)) {
        EVP_MD_free(fresh); /* another thread was first */
        fresh = md;
    }
    return fresh;
}

static sotto_err digest_open(struct si_hash_state *state, const struct si_hash *hash)
{
    struct digest_state *s = (struct digest_state *)state;
    const EVP_MD *md = fetch(hash);

    if (md == NULL)
        return si_openssl_failed();
    if ((s->md = EVP_MD_CTX_new()) == NULL)
        return SOTTO_E_NOMEM;
    return EVP_DigestInit_ex2(s->md, md, NULL) == 1 ? SOTTO_OK : si_openssl_failed();
}

static void digest_close(struct si_hash_state *state)
{
    EVP_MD_CTX_free(md_of(state)); /* wipes */
}

static sotto_err digest_begin(struct si_hash_state *state)
{
    return EVP_DigestInit_ex2(md_of(state), NULL, NULL) == 1 ? SOTTO_OK : si_openssl_failed();
}

static sotto_err digest_update(struct si_hash_state *state, const uint8_t *data, size_t len)
{
    return EVP_DigestUpdate(md_of(state), data, len) == 1 ? SOTTO_OK : si_openssl_failed();
}

static sotto_err digest_end(struct si_hash_state *state, uint8_t *out)
{
    return EVP_DigestFinal_ex(md_of(state), out, NULL) == 1 ? SOTTO_OK : si_openssl_failed();
}

static sotto_err digest_copy(struct si_hash_state *to, const struct si_hash_state *from)
{
    return EVP_MD_CTX_copy_ex(md_of(to), md_of(from)) == 1 ? SOTTO_OK : si_openssl_failed();
}

static sotto_err pbkdf2(const struct si_hash *hash, struct si_span password, struct si_span salt,
                        uint32_t iterations, uint8_t *out, size_t len)
{
    const EVP_MD *md = fetch(hash);

    if (md == NULL || PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, salt.ptr,
                                        (int)salt.len, (int)iterations, md, (int)len, out) != 1)
        return si_openssl_failed();
    return SOTTO_OK;
}

static const struct si_hash_ops digest_ops = {
    .state_size = sizeof(struct digest_state),
    .open = digest_open,
    .close = digest_close,
    .begin = digest_begin,
    .update = digest_update,
    .end = digest_end,
    .copy = digest_copy,
    .pbkdf2 = pbkdf2,
};

/* ---- SHA-2 ----------------------------------------------------------------------------------- */

#ifdef OPENSSL_NO_DEPRECATED_3_0
#define sha256_ops digest_ops
#define sha512_ops digest_ops
#else

/* The functions of NAME on its CONTEXT.  They fail for no reason but a state that never began, and
 * NAME_Init() clears all of it. */
#define SHA2_OPS(name, NAME, CONTEXT)                                                              \
    static sotto_err name##_begin(struct si_hash_state *state)                                     \
    {                                                                                              \
        return NAME##_Init((CONTEXT *)state) == 1 ? SOTTO_OK : SOTTO_E_CRYPTO;                     \
    }                                                                                              \
    static sotto_err name##_open(struct si_hash_state *state, const struct si_hash *hash)          \
    {                                                                                              \
        (void)hash;                                                                                \
        return name##_begin(state);                                                                \
    }                                                                                              \
    static void name##_close(struct si_hash_state *state)                                          \
    {                                                                                              \
        si_wipe(state, sizeof(CONTEXT));                                                           \
    }                                                                                              \
    static sotto_err name##_update(struct si_hash_state *state, const uint8_t *data, size_t len)   \
    {                                                                                              \
        return NAME##_Update((CONTEXT *)state, data, len) == 1 ? SOTTO_OK : SOTTO_E_CRYPTO;        \
    }                                                                                              \
    static sotto_err name##_end(struct si_hash_state *state, uint8_t *out)                         \
    {                                                                                              \
        return NAME##_Final(out, (CONTEXT *)state) == 1 ? SOTTO_OK : SOTTO_E_CRYPTO;               \
    }                                                                                              \
    static sotto_err name##_copy(struct si_hash_state *to, const struct si_hash_state *from)       \
    {                                                                                              \
        memcpy(to, from, sizeof(CONTEXT));                                                         \
        return SOTTO_OK;                                                                           \
    }                                                                                              \
    static const struct si_hash_ops name##_ops = {                                                 \
        .state_size = sizeof(CONTEXT),                                                             \
        .open = name##_open,                                                                       \
        .close = name##_close,                                                                     \
        .begin = name##_begin,                                                                     \
        .update = name##_update,                                                                   \
        .end = name##_end,                                                                         \
        .copy = name##_copy,                                                                       \
        .pbkdf2 = pbkdf2,                                                                          \
    }

SHA2_OPS(sha256, SHA256, SHA256_CTX);
SHA2_OPS(sha512, SHA512, SHA512_CTX);
#endif

const struct si_hash si_openssl_sha256 = {"SHA256", "openssl", 32, 64, &sha256_ops};
const struct si_hash si_openssl_sha512 = {"SHA512", "openssl", 64, 128, &sha512_ops};
const struct si_hash si_openssl_blake2s = {"BLAKE2s", "openssl", 32, 64, &digest_ops};
const struct si_hash si_openssl_blake2b = {"BLAKE2b", "openssl", 64, 128, &digest_ops};
