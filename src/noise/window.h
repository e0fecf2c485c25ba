/*
 * noise/window.h: which nonces have been accepted (Noise section 11.4).
 *
 * A bit for each of the latest nonces, in a ring of words.  The word of the largest nonce is shared
 * with none of the window, so SI_WINDOW = (words - 1) * 64.
 */
#ifndef SI_NOISE_WINDOW_H
#define SI_NOISE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { SI_WINDOW_WORDS = 64, SI_WINDOW = (SI_WINDOW_WORDS - 1) * 64 };

/* All zero: nothing has been accepted. */
struct si_window {
    uint64_t top; /* the largest accepted; 0 at first, without its bit */
    uint64_t bits[SI_WINDOW_WORDS];
};

static inline uint64_t *si_window_word(struct si_window *w, uint64_t n)
{
    return &w->bits[n / 64 % SI_WINDOW_WORDS];
}

/* May N be accepted: it was not before, and is not too old to know? */
static inline bool si_window_is_new(const struct si_window *w, uint64_t n)
{
    if (n > w->top)
        return true;
    return w->top - n < SI_WINDOW && (w->bits[n / 64 % SI_WINDOW_WORDS] >> n % 64 & 1) == 0;
}

/* Accept N, which is new. */
static inline void si_window_accept(struct si_window *w, uint64_t n)
{
    /* words that come into the window; more than all of them are all of them */
    uint64_t words = n > w->top ? n / 64 - w->top / 64 : 0;

    for (uint64_t i = 0; i < words && i < SI_WINDOW_WORDS; i++)
        *si_window_word(w, n - i * 64) = 0;
    if (n > w->top)
        w->top = n;
    *si_window_word(w, n) |= UINT64_C(1) << n % 64;
}

#endif
