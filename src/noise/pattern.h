/*
 * noise/pattern.h: handshake patterns as data (Noise section 7), and psk modifiers by rule (9.4).
 */
#ifndef SI_NOISE_PATTERN_H
#define SI_NOISE_PATTERN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "sotto/error.h"

/* SI_TOKEN_END is 0, so a short turn ends itself. */
enum si_token {
    SI_TOKEN_END,
    SI_TOKEN_E,
    SI_TOKEN_S,
    SI_TOKEN_EE,
    SI_TOKEN_ES,
    SI_TOKEN_SE,
    SI_TOKEN_SS,
    SI_TOKEN_PSK
};

enum {
    SI_TURNS_MAX = 4,
    /* e, s and the four DHs once each, a psk before and one behind, and the end */
    SI_TOKENS_MAX = 9,
    SI_PSKS_MAX = SI_TURNS_MAX + 1,
    SI_PATTERN_NAME_SIZE = 8
};

struct si_pattern {
    char name[SI_PATTERN_NAME_SIZE];
    bool initiator_s_known; /* pre-message "-> s" */
    bool responder_s_known; /* pre-message "<- s" */
    unsigned turns;         /* messages; the initiator sends the first, then by turns */
    unsigned char turn[SI_TURNS_MAX][SI_TOKENS_MAX]; /* enum si_token */
    unsigned psks;                                   /* psk tokens in all */
};

/* The unmodified pattern of that exact name, or NULL. */
const struct si_pattern *si_pattern_by_name(struct si_span name);

/* All of them. */
const struct si_pattern *si_pattern_all(size_t *count);

/*
 * Add the modifier psk<N>: psk0 stands before the first token of the first message, pskN behind the
 * last one of message N.  E_UNSUPPORTED when the pattern has no such message, or has this psk
 * already.
 */
SOTTO_MUST_CHECK sotto_err si_pattern_add_psk(struct si_pattern *pattern, unsigned n);

#endif
