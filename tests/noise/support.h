/*
 * What the tests of sotto/noise.h share: keys, the two sides of a handshake for any protocol, and
 * the steps of a run.  Public headers only.
 *
 * Each function checks on the way what must always hold, and ends the test where it does not.
 */
#ifndef NOISE_SUPPORT_H
#define NOISE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

enum { BUFFER = SOTTO_NOISE_MESSAGE_MAX + 1024, CANARY = 0xa5 };

/* Whose keys: the two sides, and somebody who is neither. */
enum { STRANGER = 2, PEOPLE = 3 };

/* Made-up key pairs, the same in each run; freed by free_world(). */
const sotto_keypair *pair_key(sotto_curve curve, int who);
const sotto_public_key *public_key(sotto_curve curve, int who);
sotto_curve other_curve(sotto_curve curve);
/* The point 0, of low order on both curves. */
sotto_public_key low_order(sotto_curve curve);
/* A made-up PSK. */
const sotto_psk *psk_at(unsigned position);
/* For cmocka's group teardown. */
int free_world(void **state);

/* Bytes that look random, the same for the same SEED. */
void fill(void *out, size_t len, unsigned seed);
/* A number below LIMIT from a sequence that *SEED goes through. */
unsigned draw(unsigned *seed, unsigned limit);
bool all_are(const void *bytes, size_t len, uint8_t value);

/* ERROR has CODE, and one of its texts has WORD in it, as a word of its own. */
bool error_says(const sotto_error *error, sotto_err code, const char *word);
#define assert_says(error, code, word) assert_true(error_says(error, code, word))

/* A message, or a payload.  Static ones only: they are large. */
struct text {
    uint8_t bytes[BUFFER];
    size_t len;
};
static inline sotto_bytes text_bytes(const struct text *text)
{
    return sotto_bytes_of(text->bytes, text->len);
}

/* A handshake, seen from both sides. */
struct pair {
    struct model m;
    struct walk walk;
    sotto_handshake *hs[2];
    sotto_handshake *earlier; /* in fallbacks: the responder's, taken and spent; or NULL */
    sotto_public_key re;      /* in fallbacks: what the responder has sent before */
};

/* Whoever wants to change options before a side is made; see pair_open_with(). */
typedef void pair_change(int side, sotto_handshake_options *options, void *user);

/* Exactly what SIDE needs, all psks included.  In fallbacks: `re` for the initiator and, for the
 * responder, `earlier`, both have to be there (pair_prepare()). */
sotto_handshake_options pair_options(const struct pair *p, int side);
/* P before its handshakes are made; in fallbacks, with the first message of the one before. */
void pair_prepare(struct pair *p, const struct model *m);
void pair_open(struct pair *p, const struct model *m);
void pair_open_with(struct pair *p, const struct model *m, pair_change *change, void *user);
/* Without any PSK. */
void pair_open_without_psks(struct pair *p, const struct model *m);
void pair_close(struct pair *p);

/* The side that writes, and the one that reads, the next message. */
sotto_handshake *writer(const struct pair *p);
sotto_handshake *reader(const struct pair *p);

/* One message, with a payload that is made of its number, or of LEN bytes. */
void pair_step(struct pair *p);
void pair_step_with(struct pair *p, size_t payload_len);
/* Steps until MESSAGE is next, from 0; or to the end. */
void pair_run_to(struct pair *p, unsigned message);
void pair_run(struct pair *p);

/* The writer's half of a step: the message, into MESSAGE. */
void pair_write(struct pair *p, size_t payload_len, struct text *message);

/* The plain calls, with the whole of a text as room. */
sotto_err hs_write(sotto_handshake *hs, const void *payload, size_t len, struct text *message);
sotto_err hs_read(sotto_handshake *hs, const struct text *message, struct text *payload);

/* Both sides are at an end that fits: split them, and see whether what one sends reaches the
 * other. */
void pair_split(struct pair *p, sotto_transport *transports[2]);
void pair_talks(const struct model *m, sotto_transport *transports[2]);
/* All of it at once. */
void pair_finish_and_close(struct pair *p);

/* HS has failed: nothing is to be had from it any more. */
void assert_failed(sotto_handshake *hs);

#endif
