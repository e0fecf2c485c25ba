#include <openssl/evp.h>

#include "fixed_nonce.h"

int __real_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);

struct fixed_nonce fixed_nonce;

int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[])
{
    if (iv != NULL && fixed_nonce.nonce != NULL) {
        iv = fixed_nonce.nonce;
        fixed_nonce.used++;
    }
    return __real_EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, params);
}
