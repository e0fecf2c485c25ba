/*
 * identity/secrets.h: deployment secrets, from the inside.
 */
#ifndef SI_IDENTITY_SECRETS_H
#define SI_IDENTITY_SECRETS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "sotto/identity.h"

enum { SI_SALT_MIN = 16, SI_SALT_MAX = 64 };

struct si_salt {
    uint8_t len;
    uint8_t bytes[SI_SALT_MAX];
};

struct si_string {
    uint16_t len; /* 0: there is none */
    uint8_t bytes[SOTTO_STRING_MAX];
};

/* Invariant once made: shared_string.len >= 1, 1 <= salt_count <= SOTTO_SALTS_MAX, iterations in
 * 10000 .. 1000000. */
struct sotto_secrets {
    bool is_public; /* the build says so; see also sotto_secrets_are_public() */
    struct si_string server_string;
    struct si_string shared_string;
    uint32_t iterations;
    size_t salt_count;
    struct si_salt *salts;
};

/* The strings of secrets that everybody knows begin so, in whatever file they stand. */
#define SI_PUBLIC_PREFIX "PUBLIC-DEFAULT-"

/* Secrets with room for SALT_COUNT salts, all else zero.  NULL: out of memory. */
sotto_secrets *si_secrets_new(size_t salt_count);

/* Copy a string of 1 to 1024 bytes.  NULL, or a constant text that says what is wrong with it. */
const char *si_secrets_set_string(struct si_string *out, struct si_span text);

/* Decode a salt of 16 to 64 bytes in lower-case hex.  As above. */
const char *si_secrets_set_salt(struct si_salt *out, struct si_span hex);

/* NULL, or what is wrong with a number of salts, of iterations. */
const char *si_secrets_check_count(size_t salt_count);
const char *si_secrets_check_iterations(uint64_t iterations);

#endif
