/*
 * crypto/openssl.h: what the OpenSSL backends share.
 *
 * Fetched algorithms (EVP_MD, EVP_CIPHER) are kept in atomic pointers: read without a lock, and a
 * fetch that failed, for want of memory say, is tried again at the next use.  They are never freed.
 */
#ifndef SI_CRYPTO_OPENSSL_H
#define SI_CRYPTO_OPENSSL_H

#include <openssl/err.h>

#include "sotto/error.h"

/*
 * An OpenSSL call failed: E_NOMEM when it says so, else E_CRYPTO.  The thread's error queue is
 * emptied: what we would leave in it turns up as somebody else's failure later.
 */
static inline sotto_err si_openssl_failed(void)
{
    int reason = ERR_GET_REASON(ERR_peek_last_error());

    ERR_clear_error();
    return reason == ERR_R_MALLOC_FAILURE ? SOTTO_E_NOMEM : SOTTO_E_CRYPTO;
}

#endif
