/*
 * noise/cipher.h: the CipherState (Noise section 5.1).
 *
 * One key and its counter.  A failed decryption changes nothing; the last nonce, 2^64 - 1, belongs
 * to REKEY and is never used for a message; a key that has encrypted as much as its algorithm
 * allows is refused.
 */
#ifndef SI_NOISE_CIPHER_H
#define SI_NOISE_CIPHER_H

#include "crypto/crypto.h"

struct si_cipher_state {
    const struct si_aead *aead;
    /* expanded at its first use: most keys of a handshake are never used */
    struct si_aead_key *key;
    struct si_cipher_key k;
    bool has_key;
    uint64_t n;
    uint64_t bytes; /* plaintext under this key so far; <= aead->max_bytes */
};

/* A state without a key: encrypting copies.  The caller owns the memory. */
void si_cipher_init(struct si_cipher_state *cs, const struct si_aead *aead);

/* InitializeKey(): n becomes 0.  K is copied. */
void si_cipher_set_key(struct si_cipher_state *cs, const struct si_cipher_key *k);

/* Expand the key now, so that the next message needs no memory.  E_NOMEM, E_CRYPTO: it is as it
 * was.  Without a key there is nothing to do. */
SOTTO_MUST_CHECK sotto_err si_cipher_prepare(struct si_cipher_state *cs);

/* Release the expanded key; the next use makes it again.  For states that may rest for long. */
void si_cipher_rest(struct si_cipher_state *cs);

/* Wipe and release what it holds; it is then without a key. */
void si_cipher_wipe(struct si_cipher_state *cs);

/* How many bytes encryption adds: 16 with a key, 0 without. */
static inline size_t si_cipher_overhead(const struct si_cipher_state *cs)
{
    return cs->has_key ? SI_TAG_LEN : 0;
}

/*
 * EncryptWithAd(): LEN bytes at IN become LEN + overhead bytes at OUT (IN itself, or no overlap).
 * E_NONCE: the counter or the key is used up.  E_CRYPTO, E_NOMEM.  The counter moves on success
 * only.
 */
SOTTO_MUST_CHECK sotto_err si_cipher_encrypt(struct si_cipher_state *cs, struct si_span ad,
                                             const uint8_t *in, size_t len, uint8_t *out);

/* The same for a text in COUNT parts, which OUT does not overlap.  E_USAGE: there is no key. */
SOTTO_MUST_CHECK sotto_err si_cipher_encrypt_parts(struct si_cipher_state *cs, struct si_span ad,
                                                   const struct si_span *parts, size_t count,
                                                   uint8_t *out);

/*
 * DecryptWithAd(): LEN bytes at IN become LEN - overhead bytes at OUT (IN itself, or no overlap).
 * E_AUTH: too short, forged or altered; nothing has changed.  E_NONCE, E_CRYPTO, E_NOMEM.
 */
SOTTO_MUST_CHECK sotto_err si_cipher_decrypt(struct si_cipher_state *cs, struct si_span ad,
                                             const uint8_t *in, size_t len, uint8_t *out);

/* The same with the nonce N, for messages that come in any order (Noise 11.4): the counter stands
 * still.  E_NONCE also for N = 2^64 - 1.  The caller sees to it that none is accepted twice. */
SOTTO_MUST_CHECK sotto_err si_cipher_decrypt_at(struct si_cipher_state *cs, uint64_t n,
                                                struct si_span ad, const uint8_t *in, size_t len,
                                                uint8_t *out);

/* Rekey() (Noise 11.3): a new key from the old one; the counter goes on.  E_USAGE without a key;
 * E_CRYPTO, E_NOMEM: the old key is still there. */
SOTTO_MUST_CHECK sotto_err si_cipher_rekey(struct si_cipher_state *cs);

#endif
