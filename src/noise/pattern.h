/*
 * noise/pattern.h: handshake patterns as data (Noise sections 7 and 18.1), and the modifiers psk
 * and fallback by rule (9.4, 10.2).
 *
 * Patterns are in canonical form: whoever sends first is the initiator (7.2).
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
    SI_PSKS_MAX = SI_TURNS_MAX + 1, /* positions: psk0 and one behind each message */
    SI_PATTERN_NAME_SIZE = 8
};

struct si_pattern {
    char name[SI_PATTERN_NAME_SIZE]; /* of the base pattern */
    bool initiator_s_known;          /* pre-message "-> s" */
    bool responder_s_known;          /* pre-message "<- s" */
    bool responder_e_known;          /* pre-message "<- e", of a fallback; in front of "s" */
    bool one_way;                    /* N, K, X: the responder never sends (7.4) */
    unsigned turns;                  /* messages; the initiator sends the first, then by turns */
    unsigned char turn[SI_TURNS_MAX][SI_TOKENS_MAX]; /* enum si_token */
    unsigned psks;                                   /* psk tokens in all */
};

/* The unmodified pattern of that exact name.  False when there is none; *OUT is zero then. */
bool si_pattern_by_name(struct si_span name, struct si_pattern *out);

/* All of them, by number: INDEX < si_pattern_count(). */
size_t si_pattern_count(void);
void si_pattern_get(size_t index, struct si_pattern *out);

/*
 * Add the modifier psk<N>: psk0 stands before the first token of the first message, pskN behind the
 * last one of message N.  E_UNSUPPORTED when the pattern has no such message, or has this psk
 * already; nothing has changed then.
 */
SOTTO_MUST_CHECK sotto_err si_pattern_add_psk(struct si_pattern *pattern, unsigned n);

/*
 * Apply the modifier fallback: the first message becomes a pre-message, and what is left begins
 * with the other party, who is the initiator from now on.
 *
 * E_UNSUPPORTED when the first message is not "e" or "e, s", when no message is left, when the
 * sender of the first message has a pre-message too ("s, e" is no pre-message in section 7.1), or
 * when it is a fallback already; nothing has changed then.
 */
SOTTO_MUST_CHECK sotto_err si_pattern_fallback(struct si_pattern *pattern);

/* The N of pskN of the token at PLACE in message TURN, which is a psk. */
static inline unsigned si_psk_position(unsigned turn, unsigned place)
{
    return turn == 0 && place == 0 ? 0 : turn + 1;
}

/* Has the pattern a psk token at position N? */
bool si_pattern_has_psk(const struct si_pattern *pattern, unsigned n);

/* Does this party bring a static key pair, does it have to know the peer's static key before? */
bool si_pattern_needs_s(const struct si_pattern *pattern, bool initiator);
bool si_pattern_needs_rs(const struct si_pattern *pattern, bool initiator);

#endif
