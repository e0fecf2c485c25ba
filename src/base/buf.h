/*
 * base/buf.h: owned bytes with a limit.
 *
 * A buffer has its hard maximum from birth and never grows beyond it.  What leaves a buffer (freed,
 * moved on growth) is wiped, so that it may hold secrets.
 */
#ifndef SI_BASE_BUF_H
#define SI_BASE_BUF_H

#include "base/bytes.h"
#include "sotto/error.h"

/* Invariant: len <= cap <= max. */
struct si_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max;
};

/* An empty buffer that allocates nothing yet.  MAX in bytes. */
static inline struct si_buf si_buf(size_t max)
{
    return (struct si_buf){NULL, 0, 0, max};
}

/* Make room for MORE bytes behind len.  E_TOO_LARGE beyond max, E_NOMEM; unchanged after both. */
SOTTO_MUST_CHECK sotto_err si_buf_reserve(struct si_buf *b, size_t more);

/* Append.  Errors as above. */
SOTTO_MUST_CHECK sotto_err si_buf_put(struct si_buf *b, const void *data, size_t len);
SOTTO_MUST_CHECK sotto_err si_buf_puts(struct si_buf *b, const char *text);
SOTTO_MUST_CHECK sotto_err si_buf_printf(struct si_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Append TEXT as a JSON string with its quotes.  TEXT is UTF-8; only what RFC 8259 requires is
 * escaped. */
SOTTO_MUST_CHECK sotto_err si_buf_put_json_string(struct si_buf *b, const char *text, size_t len);

/* Remove the first N bytes (N <= len). */
void si_buf_consume(struct si_buf *b, size_t n);

/* Wipe and release; the buffer is empty and usable again. */
void si_buf_free(struct si_buf *b);

#endif
