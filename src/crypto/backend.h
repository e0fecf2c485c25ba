/*
 * crypto/backend.h: the algorithm objects of all backends, for choose.c.
 *
 * A new backend is one more file that fills such objects, and one more line in the table of
 * choose.c.
 */
#ifndef SI_CRYPTO_BACKEND_H
#define SI_CRYPTO_BACKEND_H

#include <stdbool.h>

#include "crypto/crypto.h"

#ifdef SI_HAVE_DECAF
extern const struct si_dh si_decaf_x25519;
extern const struct si_dh si_decaf_x448;
#endif
extern const struct si_dh si_sodium_x25519;
extern const struct si_dh si_openssl_x448;

#ifdef SI_HAVE_IPSEC_MB
extern const struct si_aead si_ipsecmb_aesgcm;
#endif
extern const struct si_aead si_openssl_aesgcm;
extern const struct si_aead si_openssl_chachapoly;

extern const struct si_hash si_openssl_sha256;
extern const struct si_hash si_openssl_sha512;
extern const struct si_hash si_openssl_blake2s;
extern const struct si_hash si_openssl_blake2b;

/* A hash under way.  What it is made of is its backend's. */
struct si_hash_state;

/* What crypto/hash.c makes hashes, HMAC and HKDF of.  Errors: E_CRYPTO, E_NOMEM. */
struct si_hash_ops {
    size_t state_size;

    /* Fill the zeroed memory of a state; close() it in any case, which wipes all that was in it. */
    sotto_err (*open)(struct si_hash_state *state, const struct si_hash *hash);
    void (*close)(struct si_hash_state *state);

    sotto_err (*begin)(struct si_hash_state *state);
    sotto_err (*update)(struct si_hash_state *state, const uint8_t *data, size_t len);
    sotto_err (*end)(struct si_hash_state *state, uint8_t *out);
    sotto_err (*copy)(struct si_hash_state *to, const struct si_hash_state *from);

    /* si_pbkdf2(), with numbers that are in order. */
    sotto_err (*pbkdf2)(const struct si_hash *hash, struct si_span password, struct si_span salt,
                        uint32_t iterations, uint8_t *out, size_t len);
};

/* exchange() of si_sodium_x25519. */
sotto_err si_sodium_exchange(struct si_shared_secret *out, const struct si_private_key *priv,
                             const struct si_public_key *pub);

/* Initialise libsodium, once; false when it cannot be. */
bool si_sodium_ready(void);

#endif
