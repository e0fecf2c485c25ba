#include "json_reference.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

struct points {
    uint32_t *at;
    size_t count;
    bool half; /* half a surrogate pair is among them */
};

struct state {
    const uint8_t *text;
    size_t len, pos;
    struct json_reference *result;
};

static bool value(struct state *s, int depth, bool outermost);

static int peek(const struct state *s)
{
    return s->pos < s->len ? s->text[s->pos] : -1;
}

static bool take(struct state *s, int c)
{
    if (peek(s) != c)
        return false;
    s->pos++;
    return true;
}

static void space(struct state *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->pos++;
}

static bool utf8(struct state *s, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int first = peek(s), length;

    if (first < 0)
        return false;
    if (first < 0x80) {
        length = 1;
        *point = (uint32_t)first;
    } else if ((first & 0xe0) == 0xc0) {
        length = 2;
        *point = first & 0x1f;
    } else if ((first & 0xf0) == 0xe0) {
        length = 3;
        *point = first & 0x0f;
    } else if ((first & 0xf8) == 0xf0) {
        length = 4;
        *point = first & 0x07;
    } else {
        return false;
    }
    s->pos++;
    for (int i = 1; i < length; i++) {
        int next = peek(s);

        if (next < 0 || (next & 0xc0) != 0x80)
            return false;
        *point = *point << 6 | (uint32_t)(next & 0x3f);
        s->pos++;
    }
    return *point >= least[length] && *point <= 0x10ffff && (*point < 0xd800 || *point > 0xdfff);
}

static bool hex(struct state *s, uint32_t *unit)
{
    static const char digits[] = "0123456789abcdefABCDEF";

    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(s);
        const char *found = c > 0 ? strchr(digits, c) : NULL;

        if (found == NULL)
            return false;
        *unit = *unit * 16 + (uint32_t)(found - digits < 16 ? found - digits : found - digits - 6);
        s->pos++;
    }
    return true;
}

static bool string(struct state *s, struct points *out)
{
    bool high = false; /* the last point is the first half of a pair, from an escape */

    out->at = malloc((s->len + 1) * sizeof *out->at);
    out->count = 0;
    out->half = false;
    if (out->at == NULL)
        abort();
    if (!take(s, '"'))
        return false;
    while (!take(s, '"')) {
        uint32_t point;
        bool is_high = false;

        if (take(s, '\\')) {
            static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
            int c = peek(s);

            if (take(s, 'u')) {
                if (!hex(s, &point))
                    return false;
                is_high = point >= 0xd800 && point <= 0xdbff;
                if (point >= 0xdc00 && point <= 0xdfff) {
                    if (high) {
                        point =
                            0x10000 + (out->at[out->count - 1] - 0xd800) * 0x400 + (point - 0xdc00);
                        out->count--;
                        high = false;
                    } else {
                        out->half = true;
                    }
                }
            } else {
                if (c <= 0 || strchr(names, c) == NULL)
                    return false;
                point = (uint32_t)meant[strchr(names, c) - names];
                s->pos++;
            }
        } else {
            if (!utf8(s, &point) || point < 0x20)
                return false;
        }
        if (high)
            out->half = true;
        high = is_high;
        out->at[out->count++] = point;
    }
    if (high)
        out->half = true;
    return true;
}

static bool digits(struct state *s)
{
    size_t first = s->pos;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->pos++;
    return s->pos > first;
}

static bool number(struct state *s)
{
    (void)take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        if (!digits(s))
            return false;
    }
    return true;
}

static bool word(struct state *s, const char *text)
{
    for (; *text != '\0'; text++) {
        if (!take(s, *text))
            return false;
    }
    return true;
}

/* The value at the position is a member or element of the outermost one. */
static bool member_value(struct state *s, bool is_a)
{
    struct json_reference *r = s->result;
    size_t first = s->pos;
    struct points points;
    bool ok;

    r->count++;
    if (peek(s) != '"') {
        ok = value(s, 2, false);
    } else {
        ok = string(s, &points);
        if (ok && points.half)
            r->half_value = true;
        if (is_a) {
            free(r->a_points);
            r->a_is_string = true;
            r->a_half = points.half;
            r->a_points = points.at;
            r->a_points_count = points.count;
        } else {
            free(points.at);
        }
    }
    if (is_a) {
        r->has_a = true;
        r->a_offset = first;
        r->a_len = s->pos - first;
    }
    return ok;
}

static bool array(struct state *s, int depth, bool outermost)
{
    if (depth > DEPTH || !take(s, '['))
        return false;
    space(s);
    if (take(s, ']'))
        return true;
    do {
        space(s);
        if (!(outermost ? member_value(s, false) : value(s, depth + 1, false)))
            return false;
        space(s);
    } while (take(s, ','));
    return take(s, ']');
}

static bool object(struct state *s, int depth, bool outermost)
{
    struct points *names = NULL;
    size_t count = 0;
    bool ok = false;

    if (depth > DEPTH || !take(s, '{'))
        return false;
    space(s);
    if (take(s, '}'))
        return true;
    do {
        bool is_a;

        names = realloc(names, (count + 1) * sizeof *names);
        if (names == NULL)
            abort();
        space(s);
        if (!string(s, &names[count++]))
            goto out;
        is_a = outermost && names[count - 1].count == 1 && names[count - 1].at[0] == 'a';
        space(s);
        if (!take(s, ':'))
            goto out;
        space(s);
        if (!(outermost ? member_value(s, is_a) : value(s, depth + 1, false)))
            goto out;
        space(s);
    } while (take(s, ','));
    ok = take(s, '}');
    for (size_t i = 0; outermost && i < count; i++) {
        if (names[i].half)
            s->result->half_name = true;
        for (size_t j = 0; j < i; j++) {
            if (names[i].count == names[j].count &&
                memcmp(names[i].at, names[j].at, names[i].count * sizeof *names[i].at) == 0)
                s->result->duplicate = true;
        }
    }

out:
    for (size_t i = 0; i < count; i++)
        free(names[i].at);
    free(names);
    return ok;
}

static bool value(struct state *s, int depth, bool outermost)
{
    struct points points;
    bool ok;

    switch (peek(s)) {
    case '{':
        return object(s, depth, outermost);
    case '[':
        return array(s, depth, outermost);
    case '"':
        ok = string(s, &points);
        free(points.at);
        return ok;
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

struct json_reference json_reference(const uint8_t *text, size_t len)
{
    struct json_reference result = {0};
    struct state s = {text, len, 0, &result};

    space(&s);
    result.object = peek(&s) == '{';
    result.container = result.object || peek(&s) == '[';
    result.valid = value(&s, 1, true);
    space(&s);
    result.valid = result.valid && s.pos == len;
    return result;
}
