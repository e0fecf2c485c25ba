#include "noise/cipher.h"

/* Noise 5.1: 2^64 - 1 is reserved. */
#define NONCE_RESERVED UINT64_MAX

void si_cipher_init(struct si_cipher_state *cs, const struct si_aead *aead)
{
    memset(cs, 0, sizeof *cs);
    cs->aead = aead;
}

void si_cipher_set_key(struct si_cipher_state *cs, const struct si_cipher_key *k)
{
    si_cipher_wipe(cs);
    cs->k = *k;
    cs->has_key = true;
}

void si_cipher_rest(struct si_cipher_state *cs)
{
    if (cs->key != NULL)
        cs->aead->key_free(cs->key);
    cs->key = NULL;
}

void si_cipher_wipe(struct si_cipher_state *cs)
{
    const struct si_aead *aead = cs->aead;

    si_cipher_rest(cs);
    si_wipe(cs, sizeof *cs);
    cs->aead = aead;
}

sotto_err si_cipher_prepare(struct si_cipher_state *cs)
{
    if (cs->key != NULL || !cs->has_key)
        return SOTTO_OK;
    return cs->aead->key_new(&cs->key, &cs->k);
}

/* May this key do a message of LEN bytes with the nonce N? */
static sotto_err check_limits(const struct si_cipher_state *cs, uint64_t n, size_t len)
{
    if (n == NONCE_RESERVED || len > cs->aead->max_bytes - cs->bytes)
        return SOTTO_E_NONCE;
    return SOTTO_OK;
}

/* Without a key text goes through as it is (section 5.1). */
static sotto_err copy(const uint8_t *in, size_t len, uint8_t *out)
{
    if (len > 0)
        memmove(out, in, len);
    return SOTTO_OK;
}

sotto_err si_cipher_encrypt(struct si_cipher_state *cs, struct si_span ad, const uint8_t *in,
                            size_t len, uint8_t *out)
{
    const struct si_span text = si_span(in, len);

    if (!cs->has_key)
        return copy(in, len, out);
    return si_cipher_encrypt_parts(cs, ad, &text, 1, out);
}

sotto_err si_cipher_encrypt_parts(struct si_cipher_state *cs, struct si_span ad,
                                  const struct si_span *parts, size_t count, uint8_t *out)
{
    size_t len = si_spans_len(parts, count);
    sotto_err err;

    if (!cs->has_key)
        return SOTTO_E_USAGE;
    if ((err = check_limits(cs, cs->n, len)) != SOTTO_OK ||
        (err = si_cipher_prepare(cs)) != SOTTO_OK ||
        (err = cs->aead->seal(cs->key, cs->n, ad, parts, count, out)) != SOTTO_OK)
        return err;
    cs->n++;
    cs->bytes += len;
    return SOTTO_OK;
}

sotto_err si_cipher_decrypt_at(struct si_cipher_state *cs, uint64_t n, struct si_span ad,
                               const uint8_t *in, size_t len, uint8_t *out)
{
    sotto_err err;

    if (!cs->has_key)
        return copy(in, len, out);
    if (len < SI_TAG_LEN)
        return SOTTO_E_AUTH;
    if ((err = check_limits(cs, n, len - SI_TAG_LEN)) != SOTTO_OK ||
        (err = si_cipher_prepare(cs)) != SOTTO_OK ||
        (err = cs->aead->open(cs->key, n, ad, in, len, out)) != SOTTO_OK)
        return err;
    cs->bytes += len - SI_TAG_LEN;
    return SOTTO_OK;
}

sotto_err si_cipher_decrypt(struct si_cipher_state *cs, struct si_span ad, const uint8_t *in,
                            size_t len, uint8_t *out)
{
    sotto_err err = si_cipher_decrypt_at(cs, cs->n, ad, in, len, out);

    if (err == SOTTO_OK && cs->has_key)
        cs->n++;
    return err;
}

sotto_err si_cipher_rekey(struct si_cipher_state *cs)
{
    uint8_t block[SI_CIPHER_KEY_LEN + SI_TAG_LEN] = {0};
    struct si_cipher_key fresh;
    uint64_t n = cs->n;
    sotto_err err;

    if (!cs->has_key)
        return SOTTO_E_USAGE;
    if ((err = si_cipher_prepare(cs)) != SOTTO_OK ||
        (err = si_aead_seal(cs->aead, cs->key, NONCE_RESERVED, si_span(NULL, 0), block,
                            SI_CIPHER_KEY_LEN, block)) != SOTTO_OK)
        goto out;
    memcpy(fresh.bytes, block, sizeof fresh.bytes);
    si_cipher_set_key(cs, &fresh);
    cs->n = n;
    si_wipe(&fresh, sizeof fresh);
out:
    si_wipe(block, sizeof block);
    return err;
}
