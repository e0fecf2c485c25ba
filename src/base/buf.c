#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

sotto_err si_buf_reserve(struct si_buf *b, size_t more)
{
    size_t cap;
    uint8_t *ptr;

    if (more <= b->cap - b->len)
        return SOTTO_OK;
    if (more > b->max - b->len)
        return SOTTO_E_TOO_LARGE;

    /* len + more <= max, so neither sum nor doubling can wrap below. */
    cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < b->len + more)
        cap = b->len + more;
    if (cap < FIRST_CAPACITY && b->max >= FIRST_CAPACITY)
        cap = FIRST_CAPACITY;
    ptr = malloc(cap);
    if (ptr == NULL)
        return SOTTO_E_NOMEM;
    if (b->len > 0)
        memcpy(ptr, b->ptr, b->len);
    si_wipe(b->ptr, b->len);
    free(b->ptr);
    b->ptr = ptr;
    b->cap = cap;
    return SOTTO_OK;
}

sotto_err si_buf_put(struct si_buf *b, const void *data, size_t len)
{
    sotto_err err = si_buf_reserve(b, len);

    if (err != SOTTO_OK)
        return err;
    if (len > 0)
        memcpy(b->ptr + b->len, data, len);
    b->len += len;
    return SOTTO_OK;
}

sotto_err si_buf_puts(struct si_buf *b, const char *text)
{
    return si_buf_put(b, text, strlen(text));
}

sotto_err si_buf_printf(struct si_buf *b, const char *fmt, ...)
{
    va_list args;
    int len;
    sotto_err err;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return SOTTO_E_USAGE;
    err = si_buf_reserve(b, (size_t)len + 1); /* vsnprintf writes a NUL behind */
    if (err != SOTTO_OK)
        return err;
    va_start(args, fmt);
    (void)vsnprintf((char *)b->ptr + b->len, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
    return SOTTO_OK;
}

/* The length of the escape of C, or 0 when it stands for itself; ESCAPE holds at least 7 bytes. */
static size_t escape_char(unsigned char c, char *escape)
{
    static const char short_forms[] = "b\bf\fn\nr\rt\t\"\"\\\\";

    for (size_t i = 0; i + 1 < sizeof short_forms; i += 2) {
        if ((unsigned char)short_forms[i + 1] == c) {
            escape[0] = '\\';
            escape[1] = short_forms[i];
            return 2;
        }
    }
    return c < 0x20 ? (size_t)snprintf(escape, 7, "\\u%04x", c) : 0;
}

sotto_err si_buf_put_json_string(struct si_buf *b, const char *text, size_t len)
{
    size_t start = 0, before = b->len;
    sotto_err err = si_buf_put(b, "\"", 1);

    for (size_t i = 0; i < len && err == SOTTO_OK; i++) {
        char escape[7];
        size_t n = escape_char((unsigned char)text[i], escape);

        if (n == 0)
            continue;
        if ((err = si_buf_put(b, text + start, i - start)) == SOTTO_OK)
            err = si_buf_put(b, escape, n);
        start = i + 1;
    }
    if (err == SOTTO_OK && (err = si_buf_put(b, text + start, len - start)) == SOTTO_OK)
        err = si_buf_put(b, "\"", 1);
    if (err != SOTTO_OK)
        b->len = before;
    return err;
}

void si_buf_consume(struct si_buf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    si_wipe(b->ptr + b->len, n); /* nobody would wipe what lies beyond len */
}

void si_buf_free(struct si_buf *b)
{
    if (b->ptr != NULL) {
        si_wipe(b->ptr, b->len);
        free(b->ptr);
    }
    *b = si_buf(b->max);
}
