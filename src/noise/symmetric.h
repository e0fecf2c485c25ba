/*
 * noise/symmetric.h: the SymmetricState (Noise section 5.2).
 */
#ifndef SI_NOISE_SYMMETRIC_H
#define SI_NOISE_SYMMETRIC_H

#include "noise/cipher.h"
#include "noise/name.h"

struct si_symmetric {
    const struct si_hash *hash;
    struct si_hash_ctx *ctx;
    struct si_cipher_state cipher;
    uint8_t ck[SI_HASH_LEN_MAX];
    uint8_t h[SI_HASH_LEN_MAX];
};

/* InitializeSymmetric() with the protocol's name.  The caller owns the memory, and wipes it also
 * after an error.  E_NOMEM, E_CRYPTO. */
SOTTO_MUST_CHECK sotto_err si_symmetric_init(struct si_symmetric *ss,
                                             const struct si_protocol *protocol);
void si_symmetric_wipe(struct si_symmetric *ss);

/* The operations of section 5.2 under their names.  E_CRYPTO, E_NOMEM; after any error the
 * handshake is over. */
SOTTO_MUST_CHECK sotto_err si_mix_hash(struct si_symmetric *ss, struct si_span data);
SOTTO_MUST_CHECK sotto_err si_mix_key(struct si_symmetric *ss, struct si_span input_key_material);
SOTTO_MUST_CHECK sotto_err si_mix_key_and_hash(struct si_symmetric *ss, const sotto_psk *psk);

/* IN becomes LEN + si_cipher_overhead(&ss->cipher) bytes at OUT; no overlap, or the same place. */
SOTTO_MUST_CHECK sotto_err si_encrypt_and_hash(struct si_symmetric *ss, const uint8_t *in,
                                               size_t len, uint8_t *out);

/* The reverse.  E_AUTH too. */
SOTTO_MUST_CHECK sotto_err si_decrypt_and_hash(struct si_symmetric *ss, const uint8_t *in,
                                               size_t len, uint8_t *out);

/* Split(): C1 is for what the initiator sends, C2 for the responder.  Both are initialised here. */
SOTTO_MUST_CHECK sotto_err si_split(struct si_symmetric *ss, struct si_cipher_state *c1,
                                    struct si_cipher_state *c2);

#endif
