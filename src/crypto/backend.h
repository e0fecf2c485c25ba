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

/* Initialise libsodium, once; false when it cannot be. */
bool si_sodium_ready(void);

#endif
