/*
 * split_keys.h: the two keys that the last Split() made (Noise 5.2).
 *
 * A program that has split_keys.c and is linked with -Wl,--wrap=si_hkdf sees them here.  A one-way
 * pattern has no use for the responder's, and the library gives it to nobody.
 */
#ifndef SPLIT_KEYS_H
#define SPLIT_KEYS_H

#include "crypto/crypto.h"

struct split_keys {
    struct si_cipher_key initiator, responder;
    unsigned splits; /* so far; whoever looks sets it to 0 before */
};

extern struct split_keys split_keys;

#endif
