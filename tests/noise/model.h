/*
 * What the specification says of each protocol, written down a second time and worked out in
 * another way than the library does: which tokens a message has, how long it is, who needs which
 * keys, and who has shown what when.  Knows no key and calls no library.
 */
#ifndef NOISE_MODEL_H
#define NOISE_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "sotto/noise.h"

enum {
    PATTERNS = 38,
    FALLBACKS = 20,
    SUITES = 16,
    MESSAGES_MAX = 4,
    TOKENS_MAX = 12,
    NAME_SIZE = 96
};

/* The two sides, as indices. */
enum { INITIATOR, RESPONDER };

static inline sotto_role role_of(int side)
{
    return side == INITIATOR ? SOTTO_INITIATOR : SOTTO_RESPONDER;
}

enum token { NONE, E, S, EE, ES, SE, SS, PSK };

/* Cipher, hash and curve. */
struct suite {
    sotto_curve curve;
    sotto_cipher cipher;
    const char *hash;
};

/* Number I of 16, wrapped round. */
struct suite suite_of(unsigned i);
/* 25519, ChaChaPoly, SHA256: the fast one. */
struct suite fast_suite(void);

/* A protocol. */
struct model {
    char name[NAME_SIZE];
    char pattern[16]; /* "XX", "IXfallback" */
    struct suite suite;
    size_t dh_len, hash_len;
    unsigned messages;
    enum token tokens[MESSAGES_MAX][TOKENS_MAX]; /* the first of them by the initiator */
    bool pre_e[2], pre_s[2];                     /* pre-messages of the initiator, the responder */
    bool sends_s[2];                             /* has an s token */
    unsigned psks;                               /* bit N: a psk token at position N */
    bool one_way, fallback;
};

/* Number I of 38. */
const char *pattern_at(unsigned i);
/* Number I of the 20 whose first message can become a pre-message (Noise 10.2, 7.1). */
const char *fallback_at(unsigned i);
/* How many psk positions the pattern has: one more than messages. */
unsigned psk_positions(const char *pattern, bool fallback);

/* PATTERN is one of the 38; PSKS: bit N for pskN, in the order in which messages are sent. */
struct model model_of(const char *pattern, bool fallback, unsigned psks, struct suite suite);

/* What SIDE brings. */
bool needs_s(const struct model *m, int side);
bool needs_rs(const struct model *m, int side);
/* The message, from 0, with the token psk POSITION. */
unsigned psk_message(unsigned position);

/* Where a run of the protocol stands, seen from both sides.  Index: who sees it. */
struct walk {
    const struct model *m;
    unsigned at;      /* the message that comes next */
    bool keyed;       /* k is not empty */
    bool has_rs[2];   /* the peer's static key is known to the program */
    bool has_re[2];   /* the peer's ephemeral key */
    bool mixed_rs[2]; /* a DH with rs is part of the key */
    bool proven[2];
};

struct walk walk_begin(const struct model *m);
/* One message on. */
void walk_on(struct walk *w);
/* Ahead to the psk token of POSITION, inside the next message, as the side sees it that handles it
 * (has_rs counts what stands in this very message). */
struct walk walk_to_psk(const struct walk *w, unsigned position);
bool walk_ended(const struct walk *w);
/* Who sends the next message. */
int walk_sender(const struct walk *w);
/* Bytes of the next message without its payload; whether that payload is encrypted. */
size_t walk_overhead(const struct walk *w);
bool walk_encrypted(const struct walk *w);

/* Every protocol that there is but for suites, one call of EACH for each, with suites by turns: 38
 * patterns and 20 fallbacks with every set of psks.  SOME: only with no, each single, and all
 * psks. */
void each_protocol(bool some, void (*each)(const struct model *m));

#endif
