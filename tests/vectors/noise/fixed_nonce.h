/*
 * fixed_nonce.h: whole nonces of 96 bits for the AEADs of OpenSSL and ipsec-mb.
 *
 * Noise has nonces of 64 bits with 32 zero bits in front (Noise 12.3, 12.4), and so has struct
 * si_aead.  A program that has fixed_nonce.c and is linked with -Wl,--wrap=EVP_CipherInit_ex2 and
 * -Wl,--wrap=init_mb_mgr_auto can have any other nonce in its place: key, associated data, texts
 * and tag go the library's own way.
 */
#ifndef FIXED_NONCE_H
#define FIXED_NONCE_H

#include <stdint.h>

enum { FIXED_NONCE_LEN = 12 };

struct fixed_nonce {
    const uint8_t *nonce; /* FIXED_NONCE_LEN bytes; NULL: the library's own */
    unsigned used;        /* how often it was put in place; whoever looks sets it to 0 before */
};

extern struct fixed_nonce fixed_nonce;

#endif
