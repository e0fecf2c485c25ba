/*
 * Hashes of several parts, HMAC and HKDF, made of what a backend does.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "crypto/backend.h"

enum { BLOCK_LEN_MAX = 128, STATE_ALIGNMENT = 16 };

struct si_hash_ctx {
    const struct si_hash *hash;
    struct si_hash_state *work;
    /* HMAC's key in the two hashes: they begin every message under it. */
    struct si_hash_state *inner, *outer;
};

/* ---- Contexts -------------------------------------------------------------------------------- */

static size_t padded(size_t size)
{
    return (size + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
}

sotto_err si_hash_ctx_new(struct si_hash_ctx **out, const struct si_hash *hash)
{
    size_t head = padded(sizeof(struct si_hash_ctx)), size = padded(hash->ops->state_size);
    uint8_t *memory = calloc(1, head + 3 * size);
    struct si_hash_ctx *ctx = (struct si_hash_ctx *)memory;
    sotto_err err;

    *out = NULL;
    if (ctx == NULL)
        return SOTTO_E_NOMEM;
    ctx->hash = hash;
    ctx->work = (struct si_hash_state *)(memory + head);
    ctx->inner = (struct si_hash_state *)(memory + head + size);
    ctx->outer = (struct si_hash_state *)(memory + head + 2 * size);
    if ((err = hash->ops->open(ctx->work, hash)) != SOTTO_OK ||
        (err = hash->ops->open(ctx->inner, hash)) != SOTTO_OK ||
        (err = hash->ops->open(ctx->outer, hash)) != SOTTO_OK) {
        si_hash_ctx_free(ctx);
        return err;
    }
    *out = ctx;
    return SOTTO_OK;
}

void si_hash_ctx_free(struct si_hash_ctx *ctx)
{
    if (ctx == NULL)
        return;
    ctx->hash->ops->close(ctx->work);
    ctx->hash->ops->close(ctx->inner);
    ctx->hash->ops->close(ctx->outer);
    free(ctx);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

static sotto_err finish(struct si_hash_ctx *ctx, const struct si_span *parts, size_t count,
                        uint8_t *out)
{
    const struct si_hash_ops *ops = ctx->hash->ops;
    sotto_err err = SOTTO_OK;

    for (size_t i = 0; err == SOTTO_OK && i < count; i++)
        err = ops->update(ctx->work, parts[i].ptr, parts[i].len);
    return err == SOTTO_OK ? ops->end(ctx->work, out) : err;
}

sotto_err si_hash_parts(struct si_hash_ctx *ctx, const struct si_span *parts, size_t count,
                        uint8_t *out)
{
    sotto_err err = ctx->hash->ops->begin(ctx->work);

    if (err == SOTTO_OK)
        err = finish(ctx, parts, count, out);
    if (err != SOTTO_OK)
        si_wipe(out, ctx->hash->len);
    return err;
}

/* ---- HMAC (RFC 2104) ------------------------------------------------------------------------- */

static sotto_err begin_with_pad(struct si_hash_ctx *ctx, struct si_hash_state *state,
                                const uint8_t *key, uint8_t with)
{
    uint8_t pad[BLOCK_LEN_MAX];
    size_t block_len = ctx->hash->block_len;
    sotto_err err;

    for (size_t i = 0; i < block_len; i++)
        pad[i] = key[i] ^ with;
    if ((err = ctx->hash->ops->begin(state)) == SOTTO_OK)
        err = ctx->hash->ops->update(state, pad, block_len);
    si_wipe(pad, sizeof pad);
    return err;
}

/* The key of the messages that mac() does next. */
static sotto_err set_key(struct si_hash_ctx *ctx, struct si_span key)
{
    uint8_t block[BLOCK_LEN_MAX] = {0};
    sotto_err err = SOTTO_OK;

    if (key.len > ctx->hash->block_len)
        err = si_hash_parts(ctx, &key, 1, block);
    else if (key.len > 0)
        memcpy(block, key.ptr, key.len);
    if (err == SOTTO_OK && (err = begin_with_pad(ctx, ctx->inner, block, 0x36)) == SOTTO_OK)
        err = begin_with_pad(ctx, ctx->outer, block, 0x5c);
    si_wipe(block, sizeof block);
    return err;
}

static sotto_err mac(struct si_hash_ctx *ctx, const struct si_span *parts, size_t count,
                     uint8_t *out)
{
    const struct si_hash_ops *ops = ctx->hash->ops;
    uint8_t inner[SI_HASH_LEN_MAX] = {0};
    const struct si_span inner_span = si_span(inner, ctx->hash->len);
    sotto_err err;

    if ((err = ops->copy(ctx->work, ctx->inner)) == SOTTO_OK &&
        (err = finish(ctx, parts, count, inner)) == SOTTO_OK &&
        (err = ops->copy(ctx->work, ctx->outer)) == SOTTO_OK)
        err = finish(ctx, &inner_span, 1, out);
    if (err != SOTTO_OK)
        si_wipe(out, ctx->hash->len);
    si_wipe(inner, sizeof inner);
    return err;
}

/* Keys and results that were keys stay in the states; a new start wipes them.  One that fails has
 * left no more than a failure elsewhere leaves. */
static sotto_err forget(struct si_hash_ctx *ctx, sotto_err err)
{
    const struct si_hash_ops *ops = ctx->hash->ops;

    (void)ops->begin(ctx->work);
    (void)ops->begin(ctx->inner);
    (void)ops->begin(ctx->outer);
    return err;
}

sotto_err si_hmac(struct si_hash_ctx *ctx, struct si_span key, const struct si_span *parts,
                  size_t count, uint8_t *out)
{
    sotto_err err = set_key(ctx, key);

    if (err == SOTTO_OK)
        err = mac(ctx, parts, count, out);
    if (err != SOTTO_OK)
        si_wipe(out, ctx->hash->len);
    return forget(ctx, err);
}

/* ---- HKDF (Noise 4.3) ------------------------------------------------------------------------ */

sotto_err si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm, uint8_t *out1,
                  uint8_t *out2, uint8_t *out3)
{
    size_t len = ctx->hash->len;
    uint8_t temp_key[SI_HASH_LEN_MAX];
    uint8_t *const outs[] = {out1, out2, out3};
    size_t out_count = out3 == NULL ? 2 : 3;
    sotto_err err;

    if ((err = set_key(ctx, si_span(ck, len))) == SOTTO_OK &&
        (err = mac(ctx, &ikm, 1, temp_key)) == SOTTO_OK)
        err = set_key(ctx, si_span(temp_key, len));

    /* output(i) = HMAC(temp_key, output(i - 1) | byte(i)), with nothing before the first */
    for (size_t i = 0; err == SOTTO_OK && i < out_count; i++) {
        uint8_t number = (uint8_t)(i + 1);
        struct si_span parts[] = {
            i == 0 ? si_span(NULL, 0) : si_span(outs[i - 1], len),
            si_span(&number, 1),
        };

        err = mac(ctx, parts, SI_COUNT(parts), outs[i]);
    }
    for (size_t i = 0; err != SOTTO_OK && i < out_count; i++)
        si_wipe(outs[i], len);
    si_wipe(temp_key, sizeof temp_key);
    return forget(ctx, err);
}

/* ---- PBKDF2 ---------------------------------------------------------------------------------- */

static atomic_uint_fast64_t pbkdf2_count;

sotto_err si_pbkdf2(const struct si_hash *hash, struct si_span password, struct si_span salt,
                    uint32_t iterations, uint8_t *out, size_t len)
{
    sotto_err err;

    if (len > INT_MAX)
        return SOTTO_E_USAGE;
    si_wipe(out, len);
    if (len == 0 || iterations == 0 || iterations > INT_MAX || password.len > INT_MAX ||
        salt.len > INT_MAX)
        return SOTTO_E_USAGE;
    atomic_fetch_add_explicit(&pbkdf2_count, 1, memory_order_relaxed);
    if ((err = hash->ops->pbkdf2(hash, password, salt, iterations, out, len)) != SOTTO_OK)
        si_wipe(out, len);
    return err;
}

uint64_t si_pbkdf2_count(void)
{
    return atomic_load_explicit(&pbkdf2_count, memory_order_relaxed);
}
