/*
 * noise/name.h: Noise protocol names (Noise section 8).
 *
 * "Noise_XXfallback+psk0_25519_AESGCM_SHA256" becomes a pattern with its modifiers applied and the
 * three algorithms.  A name is refused unless every part of it is known, valid and in its place.
 */
#ifndef SI_NOISE_NAME_H
#define SI_NOISE_NAME_H

#include "crypto/crypto.h"
#include "noise/pattern.h"

enum { SI_PROTOCOL_NAME_MAX = 255 }; /* Noise section 8 */

struct si_protocol {
    char name[SI_PROTOCOL_NAME_MAX + 1];
    struct si_pattern pattern;
    const struct si_dh *dh;
    const struct si_aead *aead;
    const struct si_hash *hash;
};

/* Parse NAME (NUL-terminated).  E_UNSUPPORTED: too long, unknown pattern, modifier or algorithm, a
 * modifier twice, out of range or out of order, anything before, between or behind.  *OUT is zero
 * then, and ERROR (may be NULL) says what is wrong. */
SOTTO_MUST_CHECK sotto_err si_protocol_parse(struct si_protocol *out, const char *name,
                                             sotto_error *error);

#endif
