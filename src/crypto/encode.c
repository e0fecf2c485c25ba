#include <sodium.h>

#include "crypto/crypto.h"

bool si_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void si_hex(char *out, const uint8_t *data, size_t len)
{
    (void)sodium_bin2hex(out, 2 * len + 1, data, len);
}

/* All ones when C is in LOW .. LOW + COUNT - 1, else zero: below zero, the top bit is set. */
static uint32_t mask_range(uint32_t c, uint32_t low, uint32_t count)
{
    uint32_t above_low = c - low;

    return 0U - (((above_low - count) & ~above_low) >> 31);
}

/* The value of a digit, or 0x10.  No branch and no table: the hex may be of a secret. */
static uint32_t nibble(uint8_t c)
{
    uint32_t digit = mask_range(c, '0', 10), letter = mask_range(c, 'a', 6);

    return (digit & (uint32_t)(c - '0')) | (letter & (uint32_t)(c - 'a' + 10)) |
           (~(digit | letter) & 0x10);
}

sotto_err si_unhex(uint8_t *out, size_t len, struct si_span text)
{
    uint32_t bad = 0;

    if (text.len / 2 != len || text.len % 2 != 0) {
        si_wipe(out, len);
        return SOTTO_E_FORMAT;
    }
    for (size_t i = 0; i < len; i++) {
        uint32_t high = nibble(text.ptr[2 * i]), low = nibble(text.ptr[2 * i + 1]);

        bad |= (high | low) >> 4;
        out[i] = (uint8_t)(high << 4 | low);
    }
    if (bad != 0) {
        si_wipe(out, len);
        return SOTTO_E_FORMAT;
    }
    return SOTTO_OK;
}

size_t si_base64_size(size_t len)
{
    return sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
}

void si_base64(char *out, const uint8_t *data, size_t len, bool padded)
{
    int variant =
        padded ? sodium_base64_VARIANT_ORIGINAL : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;

    (void)sodium_bin2base64(out, si_base64_size(len), data, len, variant);
}

sotto_err si_unbase64(uint8_t *out, size_t len, struct si_span text)
{
    size_t got = 0;

    /* Without an end pointer libsodium wants all of TEXT to be base64; it also checks the padding
     * and the unused bits. */
    if (sodium_base642bin(out, len, (const char *)text.ptr, text.len, NULL, &got, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        got != len) {
        si_wipe(out, len);
        return SOTTO_E_FORMAT;
    }
    return SOTTO_OK;
}
