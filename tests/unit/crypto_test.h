/*
 * Known answers as hex, and cmocka's headers in the order it wants.
 */
#ifndef CRYPTO_TEST_H
#define CRYPTO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "crypto/crypto.h"

/* The bytes of HEX, at most CAP. */
static inline size_t from_hex(uint8_t *out, size_t cap, const char *hex)
{
    size_t len = strlen(hex) / 2;

    assert_true(len <= cap && strlen(hex) % 2 == 0);
    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'}, *end;

        out[i] = (uint8_t)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    return len;
}

/* DATA is what HEX says; compared as text, so that a failure shows both. */
static inline void assert_hex(const uint8_t *data, size_t len, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * len + 1);

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * len] = '\0';
    assert_string_equal(text, hex);
    free(text);
}

static inline void assert_zero(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], 0);
}

/* What OpenSSL's queue holds after us, somebody else takes for his. */
static inline void assert_no_openssl_errors(void)
{
    assert_int_equal(ERR_peek_error(), 0);
}

#define assert_ok(call) assert_int_equal((call), SOTTO_OK)
#define assert_err(call, err) assert_int_equal((call), (err))

#endif
