/*
 * What the tests of the Noise layer share: protocols by name, the two ends of a handshake with all
 * that they need, and buffers for the largest message and more.
 */
#ifndef NOISE_SUPPORT_H
#define NOISE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "noise/handshake.h"

extern const char *const dh_names[2];
extern const char *const aead_names[2];
extern const char *const hash_names[4];

/* The modified patterns of docs/protocol.md. */
extern const char *const used_patterns[6];

/* Fallbacks of every kind: with "e" and with "e, s", with a pre-message of the initiator, with psk
 * modifiers before and behind. */
extern const char *const fallback_patterns[7];

bool is_zero(const void *data, size_t len);

/* Bytes that look random, and depend on SEED alone. */
void fill(uint8_t *p, size_t len, unsigned seed);

/* The name of PATTERN with the psk modifiers of MASK, in order. */
void pattern_name(char *out, size_t size, const char *pattern, unsigned mask);

struct si_protocol protocol_of(const char *pattern, const char *dh, const char *aead,
                               const char *hash);

/* What the two ends of a handshake hold. */
struct ends {
    struct si_private_key s[2]; /* by enum si_role */
    struct si_public_key pub[2];
    sotto_psk psks[SI_PSKS_MAX]; /* by position */
    struct si_handshake_keys keys[2];
    struct si_handshake *from[2]; /* a fallback's handshakes before, by the role in the fallback */
};

/* For a fallback, a handshake of Noise_NN as far as its first message; a pair of ends is for one
 * pair of handshakes then. */
void make_ends(struct ends *ends, const struct si_protocol *p);
void free_ends(struct ends *ends);

struct si_handshake *begin(const struct si_protocol *p, enum si_role role, const struct ends *ends);

extern uint8_t message[SI_NOISE_MESSAGE_MAX + 64], payload[SI_NOISE_MESSAGE_MAX + 64],
    result[SI_NOISE_MESSAGE_MAX + 64];

/* Which message of PATTERN carries the static key of ROLE; -1: before all; turns: none. */
int static_key_turn(const struct si_pattern *pattern, unsigned role);

/* Write a message of HS with PAYLOAD_LEN bytes into `message`; SIZE_MAX: as many as it takes.  NAG:
 * after everything that must be refused. */
size_t write_message(struct si_handshake *hs, size_t payload_len, bool nag);

/* Read `message`, which has the contents of `payload`. */
void read_message(struct si_handshake *hs, size_t len, bool nag);

/* What an action does not allow is refused, and changes nothing. */
void assert_refused_out_of_turn(struct si_handshake *hs);

#endif
