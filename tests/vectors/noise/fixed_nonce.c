#include <openssl/evp.h>

#include "fixed_nonce.h"

int __real_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);

struct fixed_nonce fixed_nonce;

/* The vector's nonce in place of IV, if there is one. */
static const void *nonce_for(const void *iv)
{
    if (iv == NULL || fixed_nonce.nonce == NULL)
        return iv;
    fixed_nonce.used++;
    return fixed_nonce.nonce;
}

int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[])
{
    return __real_EVP_CipherInit_ex2(ctx, cipher, key, nonce_for(iv), enc, params);
}

#ifdef SI_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>

void __real_init_mb_mgr_auto(IMB_MGR *mgr, IMB_ARCH *arch);
void __wrap_init_mb_mgr_auto(IMB_MGR *mgr, IMB_ARCH *arch);

static aes_gcm_enc_dec_t encrypt, decrypt;

static void encrypt_with(const struct gcm_key_data *key, struct gcm_context_data *context,
                         uint8_t *out, const uint8_t *in, uint64_t len, const uint8_t *iv,
                         const uint8_t *ad, uint64_t ad_len, uint8_t *tag, uint64_t tag_len)
{
    encrypt(key, context, out, in, len, nonce_for(iv), ad, ad_len, tag, tag_len);
}

static void decrypt_with(const struct gcm_key_data *key, struct gcm_context_data *context,
                         uint8_t *out, const uint8_t *in, uint64_t len, const uint8_t *iv,
                         const uint8_t *ad, uint64_t ad_len, uint8_t *tag, uint64_t tag_len)
{
    decrypt(key, context, out, in, len, nonce_for(iv), ad, ad_len, tag, tag_len);
}

/* Its functions are in a table, which is filled here. */
void __wrap_init_mb_mgr_auto(IMB_MGR *mgr, IMB_ARCH *arch)
{
    __real_init_mb_mgr_auto(mgr, arch);
    encrypt = mgr->gcm256_enc;
    decrypt = mgr->gcm256_dec;
    mgr->gcm256_enc = encrypt_with;
    mgr->gcm256_dec = decrypt_with;
}
#endif
