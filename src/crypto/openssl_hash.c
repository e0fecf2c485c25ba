#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "crypto/backend.h"
#include "crypto/openssl.h"

enum { ID_SHA256, ID_SHA512, ID_BLAKE2S, ID_BLAKE2B, ID_COUNT };

enum { BLOCK_LEN_MAX = 128 };

const struct si_hash si_openssl_sha256 = {"SHA256", "openssl", 32, 64, ID_SHA256};
const struct si_hash si_openssl_sha512 = {"SHA512", "openssl", 64, 128, ID_SHA512};
const struct si_hash si_openssl_blake2s = {"BLAKE2s", "openssl", 32, 64, ID_BLAKE2S};
const struct si_hash si_openssl_blake2b = {"BLAKE2b", "openssl", 64, 128, ID_BLAKE2B};

static EVP_MD *fetch(int id)
{
    static const char *const names[ID_COUNT] = {"SHA2-256", "SHA2-512", "BLAKE2S-256",
                                                "BLAKE2B-512"};
    static _Atomic(EVP_MD *) kept[ID_COUNT];
    EVP_MD *md = atomic_load_explicit(&kept[id], memory_order_acquire), *fresh;

    if (md != NULL)
        return md;
    fresh = EVP_MD_fetch(NULL, names[id], NULL);
    if (fresh != NULL && !atomic_compare_exchange_strong(&kept[id], &md, fresh)) {
        EVP_MD_free(fresh); /* another thread was first */
        fresh = md;
    }
    return fresh;
}

struct si_hash_ctx {
    const struct si_hash *hash;
    EVP_MD_CTX *md;
};

sotto_err si_hash_ctx_new(struct si_hash_ctx **out, const struct si_hash *hash)
{
    const EVP_MD *md = fetch(hash->id);
    struct si_hash_ctx *ctx;

    *out = NULL;
    if (md == NULL)
        return si_openssl_failed();
    if ((ctx = malloc(sizeof *ctx)) == NULL)
        return SOTTO_E_NOMEM;
    ctx->hash = hash;
    if ((ctx->md = EVP_MD_CTX_new()) == NULL) {
        si_hash_ctx_free(ctx);
        return SOTTO_E_NOMEM;
    }
    if (EVP_DigestInit_ex2(ctx->md, md, NULL) != 1) {
        si_hash_ctx_free(ctx);
        return si_openssl_failed();
    }
    *out = ctx;
    return SOTTO_OK;
}

void si_hash_ctx_free(struct si_hash_ctx *ctx)
{
    if (ctx == NULL)
        return;
    EVP_MD_CTX_free(ctx->md); /* wipes */
    free(ctx);
}

/* OUT = HASH(first | parts). */
static sotto_err digest(struct si_hash_ctx *ctx, struct si_span first, const struct si_span *parts,
                        size_t count, uint8_t *out)
{
    bool ok = EVP_DigestInit_ex2(ctx->md, NULL, NULL) == 1 &&
              EVP_DigestUpdate(ctx->md, first.ptr, first.len) == 1;

    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx->md, parts[i].ptr, parts[i].len) == 1;
    if (!ok || EVP_DigestFinal_ex(ctx->md, out, NULL) != 1) {
        si_wipe(out, ctx->hash->len);
        return si_openssl_failed();
    }
    return SOTTO_OK;
}

sotto_err si_hash_parts(struct si_hash_ctx *ctx, const struct si_span *parts, size_t count,
                        uint8_t *out)
{
    return digest(ctx, si_span(NULL, 0), parts, count, out);
}

static void xor_all(uint8_t *bytes, size_t len, uint8_t with)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] ^= with;
}

/*
 * RFC 2104, as two hashes.  No key of a handshake is used more than three times, and then this is
 * quicker than EVP_MAC with a kept context (SHA256: 221 and 361 ns).
 */
static sotto_err hmac(struct si_hash_ctx *ctx, struct si_span key, const struct si_span *parts,
                      size_t count, uint8_t *out)
{
    size_t block_len = ctx->hash->block_len;
    uint8_t pad[BLOCK_LEN_MAX] = {0}, inner[SI_HASH_LEN_MAX] = {0};
    struct si_span inner_span = si_span(inner, ctx->hash->len);
    sotto_err err = SOTTO_OK;

    if (key.len > block_len)
        err = digest(ctx, key, NULL, 0, pad);
    else if (key.len > 0)
        memcpy(pad, key.ptr, key.len);
    xor_all(pad, block_len, 0x36);
    if (err != SOTTO_OK ||
        (err = digest(ctx, si_span(pad, block_len), parts, count, inner)) != SOTTO_OK)
        goto out;
    xor_all(pad, block_len, 0x36 ^ 0x5c);
    err = digest(ctx, si_span(pad, block_len), &inner_span, 1, out);

out:
    if (err != SOTTO_OK)
        si_wipe(out, ctx->hash->len);
    si_wipe(pad, sizeof pad);
    si_wipe(inner, sizeof inner);
    return err;
}

/* The context of a finished hash still holds the result, which may be a key.  A new start wipes
 * it. */
static void forget(struct si_hash_ctx *ctx)
{
    if (EVP_DigestInit_ex2(ctx->md, NULL, NULL) != 1)
        ERR_clear_error();
}

sotto_err si_hmac(struct si_hash_ctx *ctx, struct si_span key, const struct si_span *parts,
                  size_t count, uint8_t *out)
{
    sotto_err err = hmac(ctx, key, parts, count, out);

    forget(ctx);
    return err;
}

sotto_err si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm, uint8_t *out1,
                  uint8_t *out2, uint8_t *out3)
{
    size_t len = ctx->hash->len;
    uint8_t temp_key[SI_HASH_LEN_MAX];
    uint8_t *const outs[] = {out1, out2, out3};
    size_t out_count = out3 == NULL ? 2 : 3;
    sotto_err err = hmac(ctx, si_span(ck, len), &ikm, 1, temp_key);

    /* output(i) = HMAC(temp_key, output(i - 1) | byte(i)), with nothing before the first */
    for (size_t i = 0; err == SOTTO_OK && i < out_count; i++) {
        uint8_t number = (uint8_t)(i + 1);
        struct si_span parts[] = {
            i == 0 ? si_span(NULL, 0) : si_span(outs[i - 1], len),
            si_span(&number, 1),
        };

        err = hmac(ctx, si_span(temp_key, len), parts, SI_COUNT(parts), outs[i]);
    }
    for (size_t i = 0; err != SOTTO_OK && i < out_count; i++)
        si_wipe(outs[i], len);
    si_wipe(temp_key, sizeof temp_key);
    forget(ctx);
    return err;
}

static atomic_uint_fast64_t pbkdf2_count;

sotto_err si_pbkdf2(const struct si_hash *hash, struct si_span password, struct si_span salt,
                    uint32_t iterations, uint8_t *out, size_t len)
{
    const EVP_MD *md;

    if (len > INT_MAX)
        return SOTTO_E_USAGE;
    si_wipe(out, len);
    if (len == 0 || iterations == 0 || iterations > INT_MAX || password.len > INT_MAX ||
        salt.len > INT_MAX)
        return SOTTO_E_USAGE;
    atomic_fetch_add_explicit(&pbkdf2_count, 1, memory_order_relaxed);
    if ((md = fetch(hash->id)) == NULL ||
        PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, salt.ptr, (int)salt.len,
                          (int)iterations, md, (int)len, out) != 1) {
        si_wipe(out, len);
        return si_openssl_failed();
    }
    return SOTTO_OK;
}

uint64_t si_pbkdf2_count(void)
{
    return atomic_load_explicit(&pbkdf2_count, memory_order_relaxed);
}
