#include "noise/name.h"

#include "base/error.h"

static const char hint[] = "a name is like Noise_XXpsk3_25519_ChaChaPoly_SHA256: "
                           "pattern, 25519 or 448, ChaChaPoly or AESGCM, "
                           "SHA256, SHA512, BLAKE2s or BLAKE2b";

/* PART of the name is WRONG.  Returns E_UNSUPPORTED. */
static sotto_err refuse(sotto_error *error, const char *wrong, struct si_span part)
{
    sotto_err err = si_error(error, SOTTO_E_UNSUPPORTED, "no such Noise protocol");
    char shown[65] = "";

    /* No byte above ASCII belongs into a name, and half a character not into a text. */
    for (size_t i = 0; i < part.len && i < sizeof shown - 1; i++)
        shown[i] = part.ptr[i] < 0x80 ? (char)part.ptr[i] : '?';
    si_error_why(error, "%s: \"%s\"", wrong, shown);
    si_error_hint(error, "%s", hint);
    return err;
}

/* The text up to SEPARATOR or the end; REST moves behind it.  *MORE says whether the separator was
 * there. */
static struct si_span take_until(struct si_span *rest, char separator, bool *more)
{
    const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct si_span part = *rest;

    *more = at != NULL;
    if (at != NULL)
        part.len = (size_t)(at - rest->ptr);
    rest->ptr += part.len + (at != NULL);
    rest->len -= part.len + (at != NULL);
    return part;
}

static bool is_upper_or_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_text(struct si_span part, const char *text)
{
    return part.len == strlen(text) && memcmp(part.ptr, text, part.len) == 0;
}

/* "psk" and one decimal digit: no pattern has ten messages, so "psk00" or "psk10" is never
 * right. */
static bool parse_psk(struct si_span modifier, unsigned *n)
{
    if (modifier.len != 4 || memcmp(modifier.ptr, "psk", 3) != 0 || modifier.ptr[3] < '0' ||
        modifier.ptr[3] > '9')
        return false;
    *n = (unsigned)(modifier.ptr[3] - '0');
    return true;
}

/*
 * One modifier after the other, from left to right.  Where the order of modifiers does not matter
 * they are in alphabetical order (section 8.1): that is so for psk modifiers side by side.
 * Fallback moves the messages, so that psk before it and psk behind it are different protocols.
 */
static sotto_err apply_modifiers(struct si_span text, struct si_pattern *out, sotto_error *error)
{
    unsigned least = 0; /* the smallest N that may come next */
    bool more = true;

    while (more) {
        struct si_span modifier = take_until(&text, '+', &more);
        unsigned n;

        if (is_text(modifier, "fallback")) {
            if (si_pattern_fallback(out) != SOTTO_OK)
                return refuse(error, "this pattern has no fallback (Noise 10.2)", modifier);
            least = 0;
            continue;
        }
        if (!parse_psk(modifier, &n))
            return refuse(error, "unknown modifier", modifier);
        if (n < least)
            return refuse(error, "psk modifiers that are out of order, or twice", modifier);
        if (si_pattern_add_psk(out, n) != SOTTO_OK)
            return refuse(error, "no such message in the pattern, or a psk is there already",
                          modifier);
        least = n + 1;
    }
    return SOTTO_OK;
}

/* "XX", "XXpsk0", "XXpsk0+psk3": the pattern's letters and digits, then modifiers (Noise section
 * 8.1). */
static sotto_err parse_pattern(struct si_span text, struct si_pattern *out, sotto_error *error)
{
    size_t len = 0;

    while (len < text.len && is_upper_or_digit(text.ptr[len]))
        len++;
    if (!si_pattern_by_name(si_span(text.ptr, len), out))
        return refuse(error, "unknown pattern", text);
    if (len == text.len)
        return SOTTO_OK;
    return apply_modifiers(si_span(text.ptr + len, text.len - len), out, error);
}

static sotto_err parse(struct si_protocol *out, struct si_span name, sotto_error *error)
{
    struct si_span rest = name, part;
    sotto_err err;
    bool more;

    if (name.len > SI_PROTOCOL_NAME_MAX)
        return refuse(error, "longer than 255 bytes", name);
    part = take_until(&rest, '_', &more);
    if (!more || !is_text(part, "Noise"))
        return refuse(error, "it does not begin with Noise_", name);

    part = take_until(&rest, '_', &more);
    if ((err = parse_pattern(part, &out->pattern, error)) != SOTTO_OK)
        return err;
    if (!more)
        return refuse(error, "there is nothing behind the pattern", name);
    part = take_until(&rest, '_', &more);
    if ((out->dh = si_dh_by_name(part)) == NULL)
        return refuse(error, "unknown DH function", part);
    if (!more)
        return refuse(error, "there is nothing behind the DH function", name);
    part = take_until(&rest, '_', &more);
    if ((out->aead = si_aead_by_name(part)) == NULL)
        return refuse(error, "unknown cipher", part);
    if (!more)
        return refuse(error, "there is nothing behind the cipher", name);
    if ((out->hash = si_hash_by_name(rest)) == NULL)
        return refuse(error, "unknown hash", rest);

    memcpy(out->name, name.ptr, name.len);
    return SOTTO_OK;
}

sotto_err si_protocol_parse(struct si_protocol *out, const char *name, sotto_error *error)
{
    sotto_err err;

    memset(out, 0, sizeof *out);
    err = parse(out, si_span_str(name), error);
    if (err != SOTTO_OK)
        memset(out, 0, sizeof *out);
    return err;
}
