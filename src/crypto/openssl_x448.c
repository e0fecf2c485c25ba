#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypto/backend.h"
#include "crypto/openssl.h"

enum { X448_LEN = 56 };

/* u = 5, RFC 7748 section 4.2 */
static const struct si_public_key base_point = {{5}};

static OSSL_PARAM octets(const char *name, const uint8_t *bytes)
{
    /* OpenSSL's parameters are not const, but those of an import are only read. */
    return OSSL_PARAM_construct_octet_string(name, (void *)bytes, X448_LEN);
}

/*
 * Import a private key.  OpenSSL wants the public half too and computes it when it is missing,
 * which costs as much as the exchange itself (147 of 282 us).  The exchange does not look at it, so
 * it gets the base point.
 */
static EVP_PKEY *import_private(const struct si_private_key *priv)
{
    OSSL_PARAM params[] = {
        octets(OSSL_PKEY_PARAM_PRIV_KEY, priv->bytes),
        octets(OSSL_PKEY_PARAM_PUB_KEY, base_point.bytes),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X448", NULL);
    EVP_PKEY *key = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool all_zero(const uint8_t *bytes)
{
    uint8_t bits = 0;

    for (size_t i = 0; i < X448_LEN; i++)
        bits |= bytes[i];
    return bits == 0;
}

/* X448(priv, pub), RFC 7748 section 5.  After an error OUT is zero. */
static sotto_err multiply(uint8_t out[X448_LEN], const struct si_private_key *priv,
                          const struct si_public_key *pub)
{
    EVP_PKEY *ours = import_private(priv);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X448", NULL, pub->bytes, X448_LEN);
    EVP_PKEY_CTX *ctx = NULL;
    size_t len = X448_LEN;
    sotto_err err = SOTTO_OK;

    /* Only a low-order point gives zero; every other failure leaves these. */
    memset(out, 0xff, X448_LEN);
    if (ours == NULL || theirs == NULL ||
        (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL)) == NULL ||
        EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
        EVP_PKEY_derive(ctx, out, &len) != 1 || len != X448_LEN)
        err = si_openssl_failed();
    if (all_zero(out))
        err = SOTTO_E_DH;
    if (err != SOTTO_OK)
        si_wipe(out, X448_LEN);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
    return err;
}

static sotto_err exchange(struct si_shared_secret *out, const struct si_private_key *priv,
                          const struct si_public_key *pub)
{
    return multiply(out->bytes, priv, pub);
}

/* OpenSSL computes the public half of a private key that comes without one, with tables for the base
 * point: 185 us, and multiply() with the base point takes 228. */
static sotto_err derive_public(struct si_public_key *pub, const struct si_private_key *priv)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X448", NULL, priv->bytes, X448_LEN);
    size_t len = X448_LEN;
    sotto_err err = SOTTO_OK;

    memset(pub, 0, sizeof *pub);
    if (key == NULL || EVP_PKEY_get_raw_public_key(key, pub->bytes, &len) != 1 || len != X448_LEN) {
        err = si_openssl_failed();
        si_wipe(pub, sizeof *pub);
    }
    EVP_PKEY_free(key);
    return err;
}

const struct si_dh si_openssl_x448 = {
    .name = "448",
    .backend = "openssl",
    .curve = SOTTO_CURVE_448,
    .len = X448_LEN,
    .generate = si_dh_generate,
    .derive_public = derive_public,
    .exchange = exchange,
};
