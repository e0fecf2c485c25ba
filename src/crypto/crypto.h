/*
 * crypto/crypto.h: the primitives of Noise behind one small interface.
 *
 * An algorithm is a constant object: its name as it stands in a Noise protocol name, its sizes and
 * limits, and its functions.  One file per backend fills such objects (openssl_*.c, sodium_*.c,
 * decaf.c); si_dh_by_name() and its sisters choose the best one that this build and this processor
 * have.
 * Nothing outside src/crypto/ knows which library does the work.
 *
 * Private key, public key, shared secret, cipher key and PSK are different struct types, so that a
 * swapped argument does not compile.  Algorithm objects are shared by all threads; contexts belong
 * to one thread at a time.
 */
#ifndef SI_CRYPTO_CRYPTO_H
#define SI_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "sotto/error.h"
#include "sotto/key.h"

enum {
    SI_DH_LEN_MAX = 56,     /* Noise 12.2 */
    SI_HASH_LEN_MAX = 64,   /* SHA512, BLAKE2b */
    SI_CIPHER_KEY_LEN = 32, /* Noise 4.2 */
    SI_TAG_LEN = 16         /* Noise 4.2 */
};

struct si_private_key {
    uint8_t bytes[SI_DH_LEN_MAX];
};

struct si_public_key {
    uint8_t bytes[SI_DH_LEN_MAX];
};

struct si_shared_secret {
    uint8_t bytes[SI_DH_LEN_MAX];
};

struct si_cipher_key {
    uint8_t bytes[SI_CIPHER_KEY_LEN];
};

/* ---- Diffie-Hellman (Noise 4.1, 12.1, 12.2) ------------------------------------------------- */

struct si_dh {
    const char *name;    /* "25519", "448" */
    const char *backend; /* "decaf", "decaf+sodium", "sodium", "openssl" */
    sotto_curve curve;
    size_t len; /* DHLEN: of private key, public key and result */

    /* A fresh key pair of the system's random bytes: si_dh_generate(), which tests replace.
     * E_RANDOM, E_CRYPTO, E_NOMEM; both are zero then.  Bytes of PUB beyond LEN are zero. */
    sotto_err (*generate)(const struct si_dh *dh, struct si_private_key *priv,
                          struct si_public_key *pub);

    /* The public key of PRIV; bytes beyond LEN are zero.  E_CRYPTO, E_NOMEM; PUB is zero then. */
    sotto_err (*derive_public)(struct si_public_key *pub, const struct si_private_key *priv);

    /* DH().  E_DH when the result is all zero (a low-order public key); E_CRYPTO, E_NOMEM.  After
     * an error OUT is zero. */
    sotto_err (*exchange)(struct si_shared_secret *out, const struct si_private_key *priv,
                          const struct si_public_key *pub);
};

/* What generate() of every backend is. */
sotto_err si_dh_generate(const struct si_dh *dh, struct si_private_key *priv,
                         struct si_public_key *pub);

/* ---- Authenticated encryption (Noise 4.2, 12.3, 12.4) ---------------------------------------- */

/* One key, expanded for use; it serves both directions.  For one thread at a time. */
struct si_aead_key;

struct si_aead {
    const char *name;    /* "ChaChaPoly", "AESGCM" */
    const char *backend; /* "ipsec-mb", "openssl" */

    /* Has this processor what it takes?  NULL: every one has.  The answer never changes. */
    bool (*works)(void);

    /* How much plaintext one key may encrypt: 2^56 bytes for AESGCM (Noise 14), else UINT64_MAX. */
    uint64_t max_bytes;

    /* Expand KEY.  E_NOMEM, E_CRYPTO; *OUT is NULL then.  Free with key_free, which wipes. */
    sotto_err (*key_new)(struct si_aead_key **out, const struct si_cipher_key *key);
    void (*key_free)(struct si_aead_key *key); /* NULL is allowed */

    /* Encrypt the COUNT parts of a text, one behind the other, to OUT, and write the tag behind
     * them: 16 bytes more.  OUT is where the only part lies, or overlaps none.  N is the Noise
     * nonce.  AD and parts may be empty.  E_USAGE: AD or all parts together above INT_MAX, nothing
     * was touched.  E_CRYPTO, E_NOMEM: OUT is zero, so that plaintext is never sent for
     * ciphertext. */
    sotto_err (*seal)(struct si_aead_key *key, uint64_t n, struct si_span ad,
                      const struct si_span *parts, size_t count, uint8_t *out);

    /* Check and decrypt LEN bytes at IN, of which the last 16 are the tag, to OUT: LEN - 16
     * bytes.  OUT is IN or does not overlap it.  E_AUTH when LEN < 16 or the tag is wrong,
     * E_CRYPTO, E_NOMEM: the LEN - 16 bytes at OUT are zero then.  E_USAGE as above. */
    sotto_err (*open)(struct si_aead_key *key, uint64_t n, struct si_span ad, const uint8_t *in,
                      size_t len, uint8_t *out);
};

/* seal() of a text in one part. */
static inline sotto_err si_aead_seal(const struct si_aead *aead, struct si_aead_key *key,
                                     uint64_t n, struct si_span ad, const uint8_t *in, size_t len,
                                     uint8_t *out)
{
    const struct si_span text = si_span(in, len);

    return aead->seal(key, n, ad, &text, 1, out);
}

/* ---- Hashes, HMAC, HKDF (Noise 4.3) ---------------------------------------------------------- */

struct si_hash {
    const char *name;    /* "SHA256", "SHA512", "BLAKE2s", "BLAKE2b" */
    const char *backend; /* "openssl" */
    size_t len;          /* HASHLEN */
    size_t block_len;    /* BLOCKLEN */
    const struct si_hash_ops *ops;
};

/* A working context for one hash algorithm, reused for many computations. */
struct si_hash_ctx;

/* E_NOMEM, E_CRYPTO; *OUT is NULL then. */
SOTTO_MUST_CHECK sotto_err si_hash_ctx_new(struct si_hash_ctx **out, const struct si_hash *hash);
void si_hash_ctx_free(struct si_hash_ctx *ctx); /* wipes; NULL is allowed */

/* OUT = HASH(parts[0] | parts[1] | …), HASHLEN bytes.  OUT may be one of the parts.  E_CRYPTO,
 * E_NOMEM; OUT is zero then. */
SOTTO_MUST_CHECK sotto_err si_hash_parts(struct si_hash_ctx *ctx, const struct si_span *parts,
                                         size_t count, uint8_t *out);

/* HMAC-HASH over the parts, HASHLEN bytes.  KEY of any length, 0 included.  OUT may be the key
 * or one of the parts.  E_CRYPTO, E_NOMEM; OUT is zero then. */
SOTTO_MUST_CHECK sotto_err si_hmac(struct si_hash_ctx *ctx, struct si_span key,
                                   const struct si_span *parts, size_t count, uint8_t *out);

/* HKDF of Noise 4.3: 2 or 3 outputs (OUT3 may be NULL), HASHLEN bytes each.  CK is HASHLEN
 * bytes, IKM of any length, 0 included; an output may be CK or IKM.  E_CRYPTO, E_NOMEM; the
 * outputs are zero then. */
SOTTO_MUST_CHECK sotto_err si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm,
                                   uint8_t *out1, uint8_t *out2, uint8_t *out3);

/* PBKDF2-HMAC-HASH with an output of LEN bytes.  Slow on purpose: never call it on a
 * connection's path.  E_USAGE: LEN or ITERATIONS is 0, or one of the numbers is above INT_MAX.
 * E_CRYPTO, E_NOMEM.  OUT is zero after an error (untouched when LEN itself is above INT_MAX). */
SOTTO_MUST_CHECK sotto_err si_pbkdf2(const struct si_hash *hash, struct si_span password,
                                     struct si_span salt, uint32_t iterations, uint8_t *out,
                                     size_t len);

/* How often si_pbkdf2() ran in this process: a test asserts that connections do not add to it. */
uint64_t si_pbkdf2_count(void);

/* ---- Choosing -------------------------------------------------------------------------------- */

/* NULL when there is no such algorithm.  NAME is compared exactly. */
const struct si_dh *si_dh_by_name(struct si_span name);
const struct si_aead *si_aead_by_name(struct si_span name);
const struct si_hash *si_hash_by_name(struct si_span name);

/* Of protocol section 3: DH and hash go with the curve. */
const struct si_dh *si_curve_dh(sotto_curve curve);
const struct si_hash *si_curve_hash(sotto_curve curve);
const struct si_aead *si_cipher_aead(sotto_cipher cipher);

/* All backends of all algorithms, for the tests, which run every one under the same vectors. */
const struct si_dh *const *si_dh_all(size_t *count);
const struct si_aead *const *si_aead_all(size_t *count);
const struct si_hash *const *si_hash_all(size_t *count);

/* ---- Keys ------------------------------------------------------------------------------------ */

/* What the public opaque type is. */
struct sotto_keypair {
    sotto_curve curve;
    struct si_private_key priv;
    struct si_public_key pub;
};

/* A key pair from a raw private key.  E_NOMEM, E_CRYPTO, E_KEY (curve); *OUT is NULL then. */
SOTTO_MUST_CHECK sotto_err si_keypair_from_private(sotto_curve curve,
                                                   const struct si_private_key *priv,
                                                   sotto_keypair **out);

/* E_DH when PUB is a low-order point, one whose Diffie-Hellman with any private key is all zero.
 * Costs one Diffie-Hellman.  E_KEY (curve), E_CRYPTO, E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_public_key_check(const sotto_public_key *pub);

/* ---- PEM (identity reads and writes the files, OpenSSL knows the format) --------------------- */

/* Private key as PKCS#8 PEM text into BUF (at least SI_PEM_MAX bytes), NUL-terminated; public
 * key as SPKI PEM.  What `openssl genpkey` and `openssl pkey -pubout` write.  E_KEY (curve): BUF
 * is empty then. */
enum { SI_PEM_MAX = 1024 };
SOTTO_MUST_CHECK sotto_err si_pem_write_private(const sotto_keypair *keypair, char buf[SI_PEM_MAX]);
SOTTO_MUST_CHECK sotto_err si_pem_write_public(const sotto_public_key *pub, char buf[SI_PEM_MAX]);

/* Read them: one unencrypted block, the key in the one form that OpenSSL writes; text in front
 * and white space behind are allowed.  Nobody is ever asked for a password.  E_FORMAT: no such
 * PEM block, damaged, encrypted, a second block or text behind, above 64 KiB; E_KEY: a key of
 * another kind (RSA, Ed25519 …); E_NOMEM, E_CRYPTO.  WHY then points to a constant text that
 * says which (the empty text on success), and OUT is NULL or zero.  A low-order public key is
 * read: si_public_key_check() is the caller's. */
SOTTO_MUST_CHECK sotto_err si_pem_read_private(struct si_span pem, sotto_keypair **out,
                                               const char **why);
SOTTO_MUST_CHECK sotto_err si_pem_read_public(struct si_span pem, sotto_public_key *out,
                                              const char **why);

/* ---- Random, compare, text ------------------------------------------------------------------- */

/* LEN bytes of the system's generator.  E_RANDOM; OUT is zero then. */
SOTTO_MUST_CHECK sotto_err si_random(void *out, size_t len);

/* A number below BOUND (> 0), without bias; 0 when there are no random bytes, so it is for
 * choices that need not be secret (which salt, how long to wait). */
uint32_t si_random_below(uint32_t bound);

/* Constant time. */
bool si_equal(const void *a, const void *b, size_t len);

/* Lower-case hex of LEN bytes, NUL-terminated: 2 LEN + 1 bytes at OUT. */
void si_hex(char *out, const uint8_t *data, size_t len);

/* Strict: exactly LEN bytes of lower-case hex in TEXT, else E_FORMAT and OUT is zero. */
SOTTO_MUST_CHECK sotto_err si_unhex(uint8_t *out, size_t len, struct si_span text);

/* Base64 (RFC 4648 section 4) of LEN bytes with or without padding, NUL-terminated; OUT has
 * si_base64_size(len) bytes. */
size_t si_base64_size(size_t len);
void si_base64(char *out, const uint8_t *data, size_t len, bool padded);

/* Strict: exactly LEN bytes, with padding, canonical (unused bits zero); else E_FORMAT and OUT
 * is zero. */
SOTTO_MUST_CHECK sotto_err si_unbase64(uint8_t *out, size_t len, struct si_span text);

#endif
