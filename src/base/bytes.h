/*
 * base/bytes.h: spans of bytes, byte order, wiping.
 */
#ifndef SI_BASE_BYTES_H
#define SI_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Borrowed bytes that are only read.  A NULL pointer goes with len 0 only. */
struct si_span {
    const uint8_t *ptr;
    size_t len;
};

static inline struct si_span si_span(const void *ptr, size_t len)
{
    return (struct si_span){(const uint8_t *)ptr, len};
}

static inline struct si_span si_span_str(const char *text)
{
    return (struct si_span){(const uint8_t *)text, strlen(text)};
}

/* How long all are together. */
static inline size_t si_spans_len(const struct si_span *spans, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += spans[i].len;
    return len;
}

static inline uint16_t si_get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t si_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void si_put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void si_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void si_put_be64(uint8_t *p, uint64_t v)
{
    si_put_be32(p, (uint32_t)(v >> 32));
    si_put_be32(p + 4, (uint32_t)v);
}

static inline void si_put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Have the two places a byte in common? */
static inline int si_overlap(const void *a, size_t a_len, const void *b, size_t b_len)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;

    return a_len > 0 && b_len > 0 && (x < y ? y - x < a_len : x - y < b_len);
}

/* Overwrite secrets in a way that no compiler removes. */
static inline void si_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}

#endif
