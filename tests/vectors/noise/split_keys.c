#include "split_keys.h"

sotto_err __real_si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm,
                         uint8_t *out1, uint8_t *out2, uint8_t *out3);
sotto_err __wrap_si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm,
                         uint8_t *out1, uint8_t *out2, uint8_t *out3);

struct split_keys split_keys;

/* Only Split() asks for two outputs of no input (Noise 5.2). */
sotto_err __wrap_si_hkdf(struct si_hash_ctx *ctx, const uint8_t *ck, struct si_span ikm,
                         uint8_t *out1, uint8_t *out2, uint8_t *out3)
{
    sotto_err err = __real_si_hkdf(ctx, ck, ikm, out1, out2, out3);

    if (err == SOTTO_OK && ikm.len == 0 && out3 == NULL) {
        memcpy(split_keys.initiator.bytes, out1, SI_CIPHER_KEY_LEN);
        memcpy(split_keys.responder.bytes, out2, SI_CIPHER_KEY_LEN);
        split_keys.splits++;
    }
    return err;
}
