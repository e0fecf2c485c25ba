#include "identity/lines.h"

#include <string.h>

#include "crypto/crypto.h"

bool si_lines_next(struct si_lines *lines)
{
    const uint8_t *end;

    if (lines->rest.len == 0)
        return false;
    end = memchr(lines->rest.ptr, '\n', lines->rest.len);
    lines->line =
        si_span(lines->rest.ptr, end == NULL ? lines->rest.len : (size_t)(end - lines->rest.ptr));
    lines->whole = si_span(lines->rest.ptr, lines->line.len + (end != NULL));
    lines->rest = si_span(lines->rest.ptr + lines->whole.len, lines->rest.len - lines->whole.len);
    lines->number++;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct si_span skip_blanks(struct si_span rest)
{
    while (rest.len > 0 && is_blank(rest.ptr[0]))
        rest = si_span(rest.ptr + 1, rest.len - 1);
    return rest;
}

bool si_line_is_idle(struct si_span line)
{
    line = skip_blanks(line);
    return line.len == 0 || line.ptr[0] == '#';
}

bool si_line_has_control(struct si_span line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

struct si_span si_line_word(struct si_span *rest)
{
    struct si_span from = skip_blanks(*rest);
    size_t len = 0;

    while (len < from.len && !is_blank(from.ptr[len]))
        len++;
    *rest = si_span(from.ptr + len, from.len - len);
    return si_span(from.ptr, len);
}

struct si_span si_line_trim(struct si_span rest)
{
    rest = skip_blanks(rest);
    while (rest.len > 0 && is_blank(rest.ptr[rest.len - 1]))
        rest.len--;
    return rest;
}

static sotto_curve curve_of_word(struct si_span word)
{
    static const struct {
        const char *word;
        sotto_curve curve;
    } types[] = {{"sotto-x25519", SOTTO_CURVE_25519}, {"sotto-x448", SOTTO_CURVE_448}};

    for (size_t i = 0; i < SI_COUNT(types); i++) {
        if (word.len == strlen(types[i].word) && memcmp(word.ptr, types[i].word, word.len) == 0)
            return types[i].curve;
    }
    return (sotto_curve)0;
}

sotto_err si_line_key(struct si_span *rest, sotto_public_key *out, const char **why)
{
    struct si_span type = si_line_word(rest), text = si_line_word(rest);
    sotto_public_key key = {.curve = type.len > 0 ? curve_of_word(type) : (sotto_curve)0};

    memset(out, 0, sizeof *out);
    if (type.len == 0) {
        *why = "there is no key";
        return SOTTO_E_FORMAT;
    }
    if (key.curve == 0) {
        *why = "the type of key is neither sotto-x25519 nor sotto-x448";
        return SOTTO_E_FORMAT;
    }
    if (text.len == 0 || si_unbase64(key.bytes, sotto_curve_key_len(key.curve), text) != SOTTO_OK) {
        *why = key.curve == SOTTO_CURVE_25519 ? "the key is not the base64 of 32 bytes"
                                              : "the key is not the base64 of 56 bytes";
        return SOTTO_E_FORMAT;
    }
    *out = key;
    return SOTTO_OK;
}

sotto_err si_key_usable(const sotto_public_key *key)
{
    sotto_err err = si_public_key_check(key);

    return err == SOTTO_E_DH ? SOTTO_E_KEY : err;
}
