/*
 * json/chars.hpp: digits, UTF-8 and the escapes of strings.  A part of json.cpp.
 */
#ifndef SI_JSON_CHARS_HPP
#define SI_JSON_CHARS_HPP

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* C++ only: the function si_span() and its struct */
#endif
#include "json/json.h"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace
{

bool is_space(uint8_t c) noexcept
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(uint8_t c) noexcept
{
    return c >= '0' && c <= '9';
}

/* Are these eight bytes digits?  Then their upper halves are 3, also after 6 was added. */
bool are_digits(const uint8_t *p) noexcept
{
    const uint64_t upper = 0xf0f0f0f0f0f0f0f0;
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return ((v & upper) | ((v + 0x0606060606060606) & upper) >> 4) == 0x3333333333333333;
}

/* The value of a hexadecimal digit, or -1. */
int hex_digit(uint8_t c) noexcept
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the UTF-8 sequence at P, or 0 if it is none that RFC 3629 allows. */
size_t utf8_len(const uint8_t *p, size_t avail) noexcept
{
    uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0; /* overlong */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (p[0] == 0xf0)
        low = 0x90; /* overlong */
    else if (p[0] == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (avail < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

uint8_t *put_utf8(uint8_t *out, uint32_t c) noexcept
{
    if (c < 0x80) {
        *out++ = static_cast<uint8_t>(c);
        return out;
    }
    if (c < 0x800) {
        *out++ = static_cast<uint8_t>(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = static_cast<uint8_t>(0xe0 | c >> 12);
        } else {
            *out++ = static_cast<uint8_t>(0xf0 | c >> 18);
            *out++ = static_cast<uint8_t>(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = static_cast<uint8_t>(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = static_cast<uint8_t>(0x80 | (c & 0x3f));
    return out;
}

bool fail_at(si_json_error *why, size_t offset, const char *reason) noexcept
{
    *why = {offset, reason};
    return false;
}

/* Four hexadecimal digits; what follows the string stops it. */
bool hex4(struct si_span text, size_t offset, uint32_t *out) noexcept
{
    uint32_t unit = 0;

    for (size_t i = 0; i < 4; i++) {
        int digit = offset + i < text.len ? hex_digit(text.ptr[offset + i]) : -1;

        if (digit < 0)
            return false;
        unit = unit << 4 | static_cast<uint32_t>(digit);
    }
    *out = unit;
    return true;
}

/* Write the unescaped INNER (a part of TEXT whose escapes were checked) to *OUT, at most INNER.len
 * bytes, and move *OUT behind it. */
__attribute__((noinline)) bool unescape(struct si_span span, struct si_span inner, uint8_t **out,
                                        si_json_error *why) noexcept
{
    const uint8_t *const text = span.ptr;
    const size_t stop = static_cast<size_t>(inner.ptr - text) + inner.len;
    size_t from = stop - inner.len;
    uint8_t *to = *out;

    for (;;) {
        const void *found = memchr(text + from, '\\', stop - from);
        const size_t escape = found != nullptr
                                  ? static_cast<size_t>(static_cast<const uint8_t *>(found) - text)
                                  : stop;
        uint32_t unit, low;

        memcpy(to, text + from, escape - from);
        to += escape - from;
        if (escape == stop)
            break;
        from = escape + 2;
        switch (text[escape + 1]) {
        case 'b':
            *to++ = '\b';
            break;
        case 'f':
            *to++ = '\f';
            break;
        case 'n':
            *to++ = '\n';
            break;
        case 'r':
            *to++ = '\r';
            break;
        case 't':
            *to++ = '\t';
            break;
        case 'u':
            from = escape + 6;
            if (!hex4(span, escape + 2, &unit))
                return fail_at(why, escape, "malformed escape");
            if (unit >= 0xd800 && unit <= 0xdfff) {
                if (unit >= 0xdc00 || stop - from < 6 || text[from] != '\\' ||
                    text[from + 1] != 'u' || !hex4(span, from + 2, &low) || low < 0xdc00 ||
                    low > 0xdfff)
                    return fail_at(why, escape, "half a surrogate pair");
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                from += 6;
            }
            to = put_utf8(to, unit);
            break;
        default: /* " \ / */
            *to++ = text[escape + 1];
            break;
        }
    }
    *out = to;
    return true;
}

} /* namespace */

#endif
