#include "noise/symmetric.h"

sotto_err si_symmetric_init(struct si_symmetric *ss, const struct si_protocol *protocol)
{
    struct si_span name = si_span_str(protocol->name);
    sotto_err err = SOTTO_OK;

    memset(ss, 0, sizeof *ss);
    ss->hash = protocol->hash;
    si_cipher_init(&ss->cipher, protocol->aead);
    if ((err = si_hash_ctx_new(&ss->ctx, ss->hash)) != SOTTO_OK)
        return err;

    /* A name that fits is padded with zeros, a longer one is hashed. */
    if (name.len <= ss->hash->len)
        memcpy(ss->h, name.ptr, name.len);
    else
        err = si_hash_parts(ss->ctx, &name, 1, ss->h);
    memcpy(ss->ck, ss->h, sizeof ss->ck);
    return err;
}

void si_symmetric_wipe(struct si_symmetric *ss)
{
    si_hash_ctx_free(ss->ctx);
    si_cipher_wipe(&ss->cipher);
    si_wipe(ss, sizeof *ss);
}

sotto_err si_mix_hash(struct si_symmetric *ss, struct si_span data)
{
    const struct si_span parts[] = {{ss->h, ss->hash->len}, data};

    return si_hash_parts(ss->ctx, parts, SI_COUNT(parts), ss->h);
}

/* A hash output of 64 bytes is cut to 32 for a cipher key. */
static void set_key(struct si_cipher_state *cs, const uint8_t *output)
{
    struct si_cipher_key k;

    memcpy(k.bytes, output, sizeof k.bytes);
    si_cipher_set_key(cs, &k);
    si_wipe(&k, sizeof k);
}

sotto_err si_mix_key(struct si_symmetric *ss, struct si_span input_key_material)
{
    uint8_t temp_k[SI_HASH_LEN_MAX];
    sotto_err err = si_hkdf(ss->ctx, ss->ck, input_key_material, ss->ck, temp_k, NULL);

    if (err == SOTTO_OK)
        set_key(&ss->cipher, temp_k);
    si_wipe(temp_k, sizeof temp_k);
    return err;
}

sotto_err si_mix_key_and_hash(struct si_symmetric *ss, const sotto_psk *psk)
{
    uint8_t temp_h[SI_HASH_LEN_MAX], temp_k[SI_HASH_LEN_MAX];
    sotto_err err;

    err = si_hkdf(ss->ctx, ss->ck, si_span(psk->bytes, sizeof psk->bytes), ss->ck, temp_h, temp_k);
    if (err == SOTTO_OK && (err = si_mix_hash(ss, si_span(temp_h, ss->hash->len))) == SOTTO_OK)
        set_key(&ss->cipher, temp_k);
    si_wipe(temp_h, sizeof temp_h);
    si_wipe(temp_k, sizeof temp_k);
    return err;
}

sotto_err si_encrypt_and_hash(struct si_symmetric *ss, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t out_len = len + si_cipher_overhead(&ss->cipher);
    sotto_err err = si_cipher_encrypt(&ss->cipher, si_span(ss->h, ss->hash->len), in, len, out);

    return err == SOTTO_OK ? si_mix_hash(ss, si_span(out, out_len)) : err;
}

sotto_err si_decrypt_and_hash(struct si_symmetric *ss, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t h[SI_HASH_LEN_MAX];
    const struct si_span parts[] = {{ss->h, ss->hash->len}, {in, len}};
    sotto_err err;

    /* The new h is over the ciphertext, which decrypting in place destroys: so it is computed
     * first, and becomes h only when the text has proved genuine. */
    err = si_hash_parts(ss->ctx, parts, SI_COUNT(parts), h);
    if (err == SOTTO_OK)
        err = si_cipher_decrypt(&ss->cipher, si_span(ss->h, ss->hash->len), in, len, out);
    if (err == SOTTO_OK)
        memcpy(ss->h, h, ss->hash->len);
    return err;
}

sotto_err si_split(struct si_symmetric *ss, struct si_cipher_state *c1, struct si_cipher_state *c2)
{
    uint8_t temp_k1[SI_HASH_LEN_MAX], temp_k2[SI_HASH_LEN_MAX];
    sotto_err err;

    si_cipher_init(c1, ss->cipher.aead);
    si_cipher_init(c2, ss->cipher.aead);
    err = si_hkdf(ss->ctx, ss->ck, si_span(NULL, 0), temp_k1, temp_k2, NULL);
    if (err == SOTTO_OK) {
        set_key(c1, temp_k1);
        set_key(c2, temp_k2);
    }
    si_wipe(temp_k1, sizeof temp_k1);
    si_wipe(temp_k2, sizeof temp_k2);
    return err;
}
