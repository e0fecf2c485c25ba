/*
 * libdecaf makes public keys from tables for the base point, on both curves, and has the quicker
 * X448 (docs/architecture.md, section 4).  Its X25519 for two parties is slower than libsodium's.
 */
#include <decaf.h>

#include "crypto/backend.h"

static sotto_err derive_25519(struct si_public_key *pub, const struct si_private_key *priv)
{
    memset(pub, 0, sizeof *pub);
    decaf_x25519_derive_public_key(pub->bytes, priv->bytes);
    return SOTTO_OK;
}

static sotto_err derive_448(struct si_public_key *pub, const struct si_private_key *priv)
{
    memset(pub, 0, sizeof *pub);
    decaf_x448_derive_public_key(pub->bytes, priv->bytes);
    return SOTTO_OK;
}

static sotto_err exchange_448(struct si_shared_secret *out, const struct si_private_key *priv,
                              const struct si_public_key *pub)
{
    memset(out, 0, sizeof *out);
    /* Its only failure is the all-zero result. */
    if (decaf_x448(out->bytes, pub->bytes, priv->bytes) != DECAF_SUCCESS) {
        si_wipe(out, sizeof *out);
        return SOTTO_E_DH;
    }
    return SOTTO_OK;
}

const struct si_dh si_decaf_x25519 = {
    .name = "25519",
    .backend = "decaf+sodium",
    .curve = SOTTO_CURVE_25519,
    .len = DECAF_X25519_PUBLIC_BYTES,
    .generate = si_dh_generate,
    .derive_public = derive_25519,
    .exchange = si_sodium_exchange,
};

const struct si_dh si_decaf_x448 = {
    .name = "448",
    .backend = "decaf",
    .curve = SOTTO_CURVE_448,
    .len = DECAF_X448_PUBLIC_BYTES,
    .generate = si_dh_generate,
    .derive_public = derive_448,
    .exchange = exchange_448,
};
