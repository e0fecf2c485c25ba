/*
 * A peer of our own: Noise with 25519, ChaChaPoly and SHA256, straight from the specification and
 * OpenSSL's primitives, sharing no code with the library.  It can do what sotto/noise.h does not
 * let anybody do: claim a public key without its private key, send a point of its choice as
 * ephemeral key, choose nonces.
 */
#ifndef NOISE_STRANGER_H
#define NOISE_STRANGER_H

#include "support.h"

enum { DHLEN = 32, HASHLEN = 32 };

/* What it brings.  The public key that it shows need not belong to the private one. */
struct stranger_keys {
    uint8_t s_private[DHLEN], s_public[DHLEN], rs[DHLEN];
    uint8_t e_private[DHLEN], e_public[DHLEN];
    uint8_t re[DHLEN]; /* in fallbacks, for the initiator: known before */
};

struct stranger {
    struct model m; /* fast_suite() */
    int side;
    struct stranger_keys keys;
    uint8_t ck[HASHLEN], h[HASHLEN], k[HASHLEN];
    bool keyed;
    uint64_t n;
    unsigned at;
};

/* The public key of PRIVATE_KEY. */
void x25519_public(const uint8_t private_key[DHLEN], uint8_t out[DHLEN]);

/* The keys of SIDE as pair_options() has them, with a made-up ephemeral key. */
struct stranger_keys stranger_honest_keys(int side);

/* PROLOGUE and PSKs as in pair_options(). */
void stranger_begin(struct stranger *st, const struct model *m, int side,
                    const struct stranger_keys *keys);
void stranger_write(struct stranger *st, const void *payload, size_t len, struct text *message);
/* False when it does not decrypt. */
bool stranger_read(struct stranger *st, const struct text *message, struct text *payload);
bool stranger_ended(const struct stranger *st);

/* The keys for sending and receiving. */
void stranger_split(const struct stranger *st, uint8_t sends[HASHLEN], uint8_t receives[HASHLEN]);
/* Rekey() (Noise 4.2). */
void stranger_rekey(uint8_t k[HASHLEN]);
/* A transport message under K. */
void stranger_seal(const uint8_t k[HASHLEN], uint64_t nonce, const void *plain, size_t len,
                   struct text *message);
/* False when it does not decrypt. */
bool stranger_open(const uint8_t k[HASHLEN], uint64_t nonce, const struct text *message,
                   struct text *plain);

/* A handshake of PATTERN between the library (OURS) and the stranger, to its end. */
sotto_handshake *stranger_meets(const char *pattern, int ours, uint8_t sends[HASHLEN],
                                uint8_t receives[HASHLEN]);

#endif
