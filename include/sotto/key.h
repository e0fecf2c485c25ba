/*
 * sotto/key.h: curves, ciphers, public keys, key pairs, pre-shared keys.
 *
 * A static key belongs to one curve.  In Sotto's own protocol the hash goes with the curve
 * (docs/protocol.md, section 3): 25519 with SHA256, 448 with SHA512.  With sotto/noise.h a program
 * chooses, but one static key, and one PSK, must see one hash function only, and must not be used
 * outside Noise (Noise 14).  Private keys live in an opaque sotto_keypair, which is
 * wiped when freed; public keys and pre-shared keys are plain structs of different types, so that
 * one cannot be passed for the other.
 *
 * Sizes are in bytes.  Objects may be shared between threads as long as nobody frees them.
 */
#ifndef SOTTO_KEY_H
#define SOTTO_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "sotto/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values start at 1, so that a forgotten field is noticed. */
typedef enum sotto_curve { SOTTO_CURVE_25519 = 1, SOTTO_CURVE_448 = 2 } sotto_curve;
typedef enum sotto_cipher { SOTTO_CIPHER_AESGCM = 1, SOTTO_CIPHER_CHACHAPOLY = 2 } sotto_cipher;

enum {
    SOTTO_CURVE_COUNT = 2,
    SOTTO_KEY_LEN_MAX = 56,     /* raw keys: 32 on 25519, 56 on 448 */
    SOTTO_PSK_LEN = 32,         /* Noise section 9.1 */
    SOTTO_FINGERPRINT_SIZE = 51 /* "SHA256:" + 43 characters + NUL */
};

/* A raw public key.  Bytes beyond the curve's length are zero, and not looked at. */
typedef struct sotto_public_key {
    sotto_curve curve;
    uint8_t bytes[SOTTO_KEY_LEN_MAX];
} sotto_public_key;

/* A pre-shared key of Noise: secret.  256 random bits, or derived from as many: never a password, a
 * public key or a hash of either (Noise 14).  Whoever holds a copy wipes it. */
typedef struct sotto_psk {
    uint8_t bytes[SOTTO_PSK_LEN];
} sotto_psk;

/* A private key with its public key. */
typedef struct sotto_keypair sotto_keypair;

/* "25519" or "448"; NULL for a number that is no curve.  Lives for ever. */
SOTTO_API const char *sotto_curve_name(sotto_curve curve);

/* The curve of that name, or 0. */
SOTTO_API sotto_curve sotto_curve_by_name(const char *name);

/* Length of a raw key: 32 or 56; 0 for a number that is no curve. */
SOTTO_API size_t sotto_curve_key_len(sotto_curve curve);

/* "AESGCM" or "ChaChaPoly"; NULL for a number that is no cipher.  Lives for ever. */
SOTTO_API const char *sotto_cipher_name(sotto_cipher cipher);

/* The cipher of that name, or 0. */
SOTTO_API sotto_cipher sotto_cipher_by_name(const char *name);

/* True when A and B are the same key on the same curve.  False when one of them is NULL or has no
 * curve. */
SOTTO_API int sotto_public_key_equal(const sotto_public_key *a, const sotto_public_key *b);

/*
 * Write the fingerprint of KEY as a NUL-terminated text: "SHA256:" and the unpadded base64 of
 * SHA-256 over the curve's name, a zero byte and the raw key (docs/protocol.md, section 4).
 *
 * E_KEY: no curve, or KEY is NULL.  E_CRYPTO: the hash failed.  After an error OUT is the empty
 * text.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_fingerprint(const sotto_public_key *key,
                                                       char out[SOTTO_FINGERPRINT_SIZE]);

/*
 * Make a new key pair on CURVE, of the system's random bytes.  The caller frees it.
 *
 * E_USAGE: no curve, a NULL pointer.  E_NOMEM, E_RANDOM, E_CRYPTO.  *OUT is NULL after an error.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_keypair_generate(sotto_curve curve, sotto_keypair **out);

/*
 * The key pair of a raw private key: LEN bytes at PRIVATE_KEY, 32 on 25519, 56 on 448 (RFC 7748;
 * "clamping" is done at each use).  Copied; the caller wipes its own.  The caller frees *OUT.
 *
 * E_USAGE: no curve, a NULL pointer.  E_KEY: another length.  E_NOMEM, E_CRYPTO.  *OUT is NULL
 * after an error.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_keypair_from_raw(sotto_curve curve,
                                                            const void *private_key, size_t len,
                                                            sotto_keypair **out);

/*
 * A raw public key of LEN bytes, as it comes from a peer or a file.  Low-order points are taken: a
 * handshake with one ends in E_DH.
 *
 * E_USAGE: no curve, a NULL pointer.  E_KEY: another length.  *OUT is zero after an error.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_public_key_from_raw(sotto_curve curve, const void *bytes,
                                                               size_t len, sotto_public_key *out);

/* The public half, as a copy. */
SOTTO_API sotto_public_key sotto_keypair_public(const sotto_keypair *keypair);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_keypair_free(sotto_keypair *keypair);

#ifdef __cplusplus
}
#endif
#endif
