#include "noise/name.h"

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

/* "XX", "XXpsk0", "XXpsk0+psk3": the pattern's letters and digits, then modifiers (Noise section
 * 8). */
static sotto_err parse_pattern(struct si_span text, struct si_pattern *out)
{
    const struct si_pattern *base;
    size_t len = 0;
    unsigned previous = 0;
    bool first = true, more = true;

    while (len < text.len && is_upper_or_digit(text.ptr[len]))
        len++;
    base = si_pattern_by_name(si_span(text.ptr, len));
    if (base == NULL)
        return SOTTO_E_UNSUPPORTED;
    *out = *base;
    text.ptr += len;
    text.len -= len;
    if (text.len == 0)
        return SOTTO_OK;

    while (more) {
        unsigned n;
        sotto_err err;

        if (!parse_psk(take_until(&text, '+', &more), &n))
            return SOTTO_E_UNSUPPORTED;
        /* Modifiers whose order does not matter are in alphabetical order (section 8). */
        if (!first && n <= previous)
            return SOTTO_E_UNSUPPORTED;
        if ((err = si_pattern_add_psk(out, n)) != SOTTO_OK)
            return err;
        previous = n;
        first = false;
    }
    return SOTTO_OK;
}

sotto_err si_protocol_parse(struct si_protocol *out, const char *name)
{
    struct si_span rest = si_span_str(name), part;
    bool more;

    memset(out, 0, sizeof *out);
    if (rest.len > SI_PROTOCOL_NAME_MAX)
        return SOTTO_E_UNSUPPORTED;

    part = take_until(&rest, '_', &more);
    if (!more || part.len != 5 || memcmp(part.ptr, "Noise", 5) != 0)
        return SOTTO_E_UNSUPPORTED;

    part = take_until(&rest, '_', &more);
    if (!more || parse_pattern(part, &out->pattern) != SOTTO_OK)
        goto unsupported;
    part = take_until(&rest, '_', &more);
    if (!more || (out->dh = si_dh_by_name(part)) == NULL)
        goto unsupported;
    part = take_until(&rest, '_', &more);
    if (!more || (out->aead = si_aead_by_name(part)) == NULL)
        goto unsupported;
    part = take_until(&rest, '_', &more);
    if (more || (out->hash = si_hash_by_name(part)) == NULL)
        goto unsupported;

    memcpy(out->name, name, strlen(name) + 1);
    return SOTTO_OK;

unsupported:
    memset(out, 0, sizeof *out);
    return SOTTO_E_UNSUPPORTED;
}
