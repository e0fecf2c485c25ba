#include <sodium.h>

#include "crypto/backend.h"

sotto_err si_dh_generate(const struct si_dh *dh, struct si_private_key *priv,
                         struct si_public_key *pub)
{
    sotto_err err;

    memset(priv, 0, sizeof *priv);
    memset(pub, 0, sizeof *pub);
    if ((err = si_random(priv->bytes, dh->len)) != SOTTO_OK ||
        (err = dh->derive_public(pub, priv)) != SOTTO_OK)
        si_wipe(priv, sizeof *priv);
    return err;
}

/* Static private keys live as long as the process: outside the heap, locked and kept out of core
 * dumps where the system allows it (libsodium goes on where it does not). */
static sotto_err keypair_new(sotto_curve curve, sotto_keypair **out)
{
    sotto_keypair *keypair;

    *out = NULL;
    if (!si_sodium_ready())
        return SOTTO_E_CRYPTO;
    if ((keypair = sodium_malloc(sizeof *keypair)) == NULL)
        return SOTTO_E_NOMEM;
    memset(keypair, 0, sizeof *keypair);
    keypair->curve = curve;
    *out = keypair;
    return SOTTO_OK;
}

void sotto_keypair_free(sotto_keypair *keypair)
{
    sodium_free(keypair); /* wipes */
}

sotto_err sotto_keypair_generate(sotto_curve curve, sotto_keypair **out)
{
    const struct si_dh *dh = si_curve_dh(curve);
    sotto_keypair *keypair;
    sotto_err err;

    if (out == NULL)
        return SOTTO_E_USAGE;
    *out = NULL;
    if (dh == NULL)
        return SOTTO_E_USAGE;
    if ((err = keypair_new(curve, &keypair)) != SOTTO_OK)
        return err;
    if ((err = dh->generate(dh, &keypair->priv, &keypair->pub)) != SOTTO_OK) {
        sotto_keypair_free(keypair);
        return err;
    }
    *out = keypair;
    return SOTTO_OK;
}

sotto_err sotto_keypair_from_raw(sotto_curve curve, const void *private_key, size_t len,
                                 sotto_keypair **out)
{
    struct si_private_key priv = {{0}};
    sotto_err err;

    if (out == NULL)
        return SOTTO_E_USAGE;
    *out = NULL;
    if (private_key == NULL || si_curve_dh(curve) == NULL)
        return SOTTO_E_USAGE;
    if (len != si_curve_dh(curve)->len)
        return SOTTO_E_KEY;
    memcpy(priv.bytes, private_key, len);
    err = si_keypair_from_private(curve, &priv, out);
    si_wipe(&priv, sizeof priv);
    return err;
}

sotto_err sotto_public_key_from_raw(sotto_curve curve, const void *bytes, size_t len,
                                    sotto_public_key *out)
{
    if (out == NULL)
        return SOTTO_E_USAGE;
    memset(out, 0, sizeof *out);
    if (bytes == NULL || si_curve_dh(curve) == NULL)
        return SOTTO_E_USAGE;
    if (len != si_curve_dh(curve)->len)
        return SOTTO_E_KEY;
    out->curve = curve;
    memcpy(out->bytes, bytes, len);
    return SOTTO_OK;
}

sotto_err si_keypair_from_private(sotto_curve curve, const struct si_private_key *priv,
                                  sotto_keypair **out)
{
    const struct si_dh *dh = si_curve_dh(curve);
    sotto_keypair *keypair;
    sotto_err err;

    *out = NULL;
    if (dh == NULL)
        return SOTTO_E_KEY;
    if ((err = keypair_new(curve, &keypair)) != SOTTO_OK)
        return err;
    memcpy(keypair->priv.bytes, priv->bytes, dh->len);
    if ((err = dh->derive_public(&keypair->pub, &keypair->priv)) != SOTTO_OK) {
        sotto_keypair_free(keypair);
        return err;
    }
    *out = keypair;
    return SOTTO_OK;
}

sotto_public_key sotto_keypair_public(const sotto_keypair *keypair)
{
    sotto_public_key pub = {.curve = keypair->curve};

    memcpy(pub.bytes, keypair->pub.bytes, sotto_curve_key_len(keypair->curve));
    return pub;
}

int sotto_public_key_equal(const sotto_public_key *a, const sotto_public_key *b)
{
    size_t len = a == NULL || b == NULL ? 0 : sotto_curve_key_len(a->curve);

    return len > 0 && a->curve == b->curve && si_equal(a->bytes, b->bytes, len);
}

/*
 * The zero private key becomes the number 2^254 on 25519 and 2^447 on 448 (RFC 7748 section 5).  A
 * power of two takes exactly the points whose order is a power of two to zero: the low-order ones,
 * since the cofactors of both curves and of their twists are 8 and 4.  So this one multiplication
 * stands for all keys.
 */
sotto_err si_public_key_check(const sotto_public_key *pub)
{
    static const struct si_private_key power_of_two;
    const struct si_dh *dh = si_curve_dh(pub->curve);
    struct si_public_key raw = {{0}};
    struct si_shared_secret ignored;

    if (dh == NULL)
        return SOTTO_E_KEY;
    memcpy(raw.bytes, pub->bytes, dh->len);
    return dh->exchange(&ignored, &power_of_two, &raw);
}

/* With libsodium's SHA-256: it needs no memory and cannot fail. */
sotto_err sotto_fingerprint(const sotto_public_key *key, char out[SOTTO_FINGERPRINT_SIZE])
{
    static const char prefix[] = "SHA256:";
    const char *name = key == NULL ? NULL : sotto_curve_name(key->curve);
    crypto_hash_sha256_state state;
    uint8_t hash[crypto_hash_sha256_BYTES];
    char text[4 * ((sizeof hash + 2) / 3) + 1]; /* with room for the padding */

    out[0] = '\0';
    if (name == NULL)
        return SOTTO_E_KEY;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)name, strlen(name) + 1); /* and its NUL */
    crypto_hash_sha256_update(&state, key->bytes, sotto_curve_key_len(key->curve));
    crypto_hash_sha256_final(&state, hash);
    si_base64(text, hash, sizeof hash, false);
    memcpy(out, prefix, strlen(prefix));
    memcpy(out + strlen(prefix), text, SOTTO_FINGERPRINT_SIZE - strlen(prefix));
    return SOTTO_OK;
}
