/*
 * rpc/compose.h: pieces of a message.
 *
 * Messages leave as a few spans one behind the other, so that nothing is copied before it is
 * sealed.
 */
#ifndef SI_RPC_COMPOSE_H
#define SI_RPC_COMPOSE_H

#include "base/bytes.h"

/* The span of a string literal. */
#define SI_LITERAL(text) si_span("" text, sizeof(text) - 1)

enum { SI_DECIMAL_LEN = 20 }; /* 2^64-1 has 20 digits */

/* NUMBER in decimal.  The result points into DIGITS. */
static inline struct si_span si_decimal(uint64_t number, char digits[SI_DECIMAL_LEN])
{
    size_t at = SI_DECIMAL_LEN;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return si_span(digits + at, SI_DECIMAL_LEN - at);
}

#endif
