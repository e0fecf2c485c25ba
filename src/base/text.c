#include "base/text.h"

void si_text_make_harmless(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

        if (c < 0x20 || c == 0x7f)
            text[i] = '?';
        if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            text[i] = text[i + 1] = '?';
    }
}

size_t si_text_cut(const char *text, size_t len, size_t most)
{
    if (len <= most)
        return len;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

void si_text_copy(char *out, size_t size, struct si_span text)
{
    size_t len = si_text_cut((const char *)text.ptr, text.len, size - 1);

    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
    si_text_make_harmless(out, len);
}
