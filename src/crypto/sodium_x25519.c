#include <stdatomic.h>

#include <sodium.h>

#include "crypto/backend.h"

enum { X25519_LEN = crypto_scalarmult_curve25519_BYTES };

bool si_sodium_ready(void)
{
    /* sodium_init() may be called by several threads, and again, but takes a lock each time. */
    static atomic_bool ready;

    if (atomic_load_explicit(&ready, memory_order_acquire))
        return true;
    if (sodium_init() < 0)
        return false;
    atomic_store_explicit(&ready, true, memory_order_release);
    return true;
}

static sotto_err derive_public(struct si_public_key *pub, const struct si_private_key *priv)
{
    memset(pub, 0, sizeof *pub);
    if (!si_sodium_ready() || crypto_scalarmult_curve25519_base(pub->bytes, priv->bytes) != 0)
        return SOTTO_E_CRYPTO;
    return SOTTO_OK;
}

sotto_err si_sodium_exchange(struct si_shared_secret *out, const struct si_private_key *priv,
                             const struct si_public_key *pub)
{
    memset(out, 0, sizeof *out);
    if (!si_sodium_ready())
        return SOTTO_E_CRYPTO;

    /* Its only failure is the all-zero result; it knows the low-order points and may stop early. */
    if (crypto_scalarmult_curve25519(out->bytes, priv->bytes, pub->bytes) != 0) {
        si_wipe(out, sizeof *out);
        return SOTTO_E_DH;
    }
    return SOTTO_OK;
}

const struct si_dh si_sodium_x25519 = {
    .name = "25519",
    .backend = "sodium",
    .curve = SOTTO_CURVE_25519,
    .len = X25519_LEN,
    .generate = si_dh_generate,
    .derive_public = derive_public,
    .exchange = si_sodium_exchange,
};
