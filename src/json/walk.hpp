/*
 * json/walk.hpp: the grammar, checked token by token.  A part of json.cpp.
 *
 * What the walk takes from the first stage, and tests/unit/test_json.c checks for every
 * implementation that the CPU can run: between a string or bracket and the next token there is only
 * white space, and every opening quote has its closing one.  A run may hold anything (`1"`,
 * `nul\`), so its end is looked at.  Outside strings, UTF-8 need not have been checked.
 */
#ifndef SI_JSON_WALK_HPP
#define SI_JSON_WALK_HPP

#include "json/chars.hpp"

namespace
{

const char no_end[] = "string without end";

/* A value as it stands in the text.  ESCAPED: it is a string with escapes. */
struct raw_value {
    struct si_span text;
    bool escaped;
};

/* A name as it stands in the text. */
struct raw_name {
    size_t offset;        /* of the opening quote */
    struct si_span inner; /* without the quotes */
    bool escaped;
};

/* The walk over the tokens of one text.  Functions return false after the first error. */
class walk
{
  public:
    /* FIRST up to BEHIND are the tokens' offsets, and *BEHIND is the text's length. */
    walk(struct si_span span, const uint32_t *first, const uint32_t *behind,
         si_json_error *error) noexcept
        : text(span.ptr), len(span.len), token(first), end(behind), why(error)
    {
        backslash = next_backslash(0);
    }

    uint8_t peek() const noexcept
    {
        return token < end ? text[*token] : 0;
    }

    bool fail(size_t offset, const char *reason) noexcept
    {
        return fail_at(why, offset, reason);
    }

    bool value(unsigned depth) noexcept;
    bool at_end() noexcept;

    /* The text is one array or object: visit what is in it, in order.  VISIT(name, value) returns a
     * sotto_err. */
    template <typename Visit> sotto_err outermost(Visit visit) noexcept;

  private:
    const uint8_t *const text;
    const size_t len;
    const uint32_t *token; /* the next one */
    const uint32_t *const end;
    si_json_error *const why;
    size_t last = 0;  /* the end of the value, name or bracket that was read last */
    size_t backslash; /* the first one at or behind the next token, or len */
    bool escaped = false;

    size_t next_backslash(size_t from) const noexcept
    {
        const void *p = from < len ? memchr(text + from, '\\', len - from) : nullptr;

        return p != nullptr ? static_cast<size_t>(static_cast<const uint8_t *>(p) - text) : len;
    }

    bool unexpected(const char *reason) noexcept
    {
        return fail(*token, token < end ? reason : "the text ends too early");
    }

    bool check(unsigned depth) noexcept;
    bool string() noexcept;
    bool escapes(size_t close) noexcept;
    bool number() noexcept;
    bool literal(const char *word, size_t word_len) noexcept;
    bool run_ends(size_t offset, const char *reason) noexcept;
    bool scalar() noexcept;
    bool name_and_colon() noexcept;
};

/* Check the value at the token; DEPTH containers are around it.  Everything is inlined around a copy,
 * whose members live in registers: large objects take two thirds of the time. */
__attribute__((flatten)) bool walk::value(unsigned depth) noexcept
{
    walk copy(*this);
    const bool ok = copy.check(depth);

    token = copy.token;
    last = copy.last;
    backslash = copy.backslash;
    escaped = copy.escaped;
    return ok;
}

/* Not recursive: the containers that it opens itself are bits of a word. */
bool walk::check(unsigned depth) noexcept
{
    static_assert(SI_JSON_DEPTH <= 64, "one bit for each container");
    const unsigned outside = depth;
    uint64_t objects = 0; /* 1 for an object, 0 for an array; the innermost is the lowest bit */

    do {
        uint8_t c = peek();

        if (c == '{' || c == '[') {
            if (depth == SI_JSON_DEPTH)
                return fail(*token, "nested more than 64 deep");
            depth++;
            objects = objects << 1 | (c == '{');
            token++;
            if (peek() != c + 2) { /* '{' + 2 is '}', and '[' + 2 is ']' */
                if (c == '{' && !name_and_colon())
                    return false;
                continue;
            }
        } else if (!scalar()) {
            return false;
        }
        while (depth > outside) {
            bool object = objects & 1;

            c = peek();
            if (c == ',') {
                token++;
                if (object && !name_and_colon())
                    return false;
                break;
            }
            if (c != (object ? '}' : ']'))
                return unexpected(object ? "expected ',' or '}'" : "expected ',' or ']'");
            last = *token++ + size_t{1};
            depth--;
            objects >>= 1;
        }
    } while (depth > outside);
    return true;
}

bool walk::scalar() noexcept
{
    switch (peek()) {
    case '"':
        return string();
    case 't':
        return literal("true", 4);
    case 'f':
        return literal("false", 5);
    case 'n':
        return literal("null", 4);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return number();
    default:
        return unexpected("expected a value");
    }
}

/* The closing quote is the last byte before the next token that is not white space. */
bool walk::string() noexcept
{
    const size_t open = *token++;
    size_t close = *token;

    do
        close--;
    while (close > open && text[close] != '"');
    if (close == open)
        return fail(open, no_end);
    last = close + 1;
    escaped = backslash < close;
    return !escaped || escapes(close);
}

/* Check the escapes from `backslash` to CLOSE.  The closing quote stops one that is too short. */
bool walk::escapes(size_t close) noexcept
{
    while (backslash < close) {
        uint32_t unit;
        size_t escape_len = 2;

        switch (text[backslash + 1]) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            break;
        case 'u':
            if (!hex4(si_span(text, len), backslash + 2, &unit))
                return fail(backslash, "malformed escape");
            escape_len = 6;
            break;
        default:
            return fail(backslash, "malformed escape");
        }
        backslash = next_backslash(backslash + escape_len);
    }
    return true;
}

bool walk::number() noexcept
{
    static const char reason[] = "malformed number";
    const size_t limit = token[1];
    size_t p = *token;
    auto digits = [&]() noexcept {
        const size_t first = p;

        while (p + 8 <= limit && are_digits(text + p))
            p += 8;
        while (p < limit && is_digit(text[p]))
            p++;
        return p > first;
    };

    if (text[p] == '-')
        p++;
    if (p < limit && text[p] == '0')
        p++;
    else if (!digits())
        return fail(p, reason);
    if (p < limit && text[p] == '.') {
        p++;
        if (!digits())
            return fail(p, reason);
    }
    if (p < limit && (text[p] | 0x20) == 'e') {
        p++;
        if (p < limit && (text[p] == '+' || text[p] == '-'))
            p++;
        if (!digits())
            return fail(p, reason);
    }
    return run_ends(p, reason);
}

bool walk::literal(const char *word, size_t word_len) noexcept
{
    const size_t first = *token;

    if (token[1] - first < word_len || memcmp(text + first, word, word_len) != 0)
        return fail(first, "expected a value");
    return run_ends(first + word_len, "expected a value");
}

/* A number or literal ends at OFFSET: the run of bytes must end there too. */
bool walk::run_ends(size_t offset, const char *reason) noexcept
{
    if (offset < token[1] && !is_space(text[offset]))
        return fail(offset, reason);
    last = offset;
    token++;
    return true;
}

bool walk::name_and_colon() noexcept
{
    if (peek() != '"')
        return unexpected("expected the name of a member");
    if (!string())
        return false;
    if (peek() != ':')
        return unexpected("expected ':'");
    token++;
    return true;
}

bool walk::at_end() noexcept
{
    return token == end || fail(*token, "there is text behind the value");
}

template <typename Visit> sotto_err walk::outermost(Visit visit) noexcept
{
    const bool object = peek() == '{';
    const uint8_t close = object ? '}' : ']';

    token++;
    if (peek() == close) {
        token++;
        return at_end() ? SOTTO_OK : SOTTO_E_JSON;
    }
    for (;;) {
        raw_name name = {*token, si_span(text, 0), false};
        size_t first;
        sotto_err err;

        if (object) {
            if (!name_and_colon())
                return SOTTO_E_JSON;
            /* `last` is the end of the name with its quotes. */
            name.inner = si_span(text + name.offset + 1, last - name.offset - 2);
            name.escaped = escaped;
        }
        first = *token;
        if (!check(1))
            return SOTTO_E_JSON;
        if ((err = visit(name, raw_value{si_span(text + first, last - first), escaped})) !=
            SOTTO_OK)
            return err;
        if (peek() == close) {
            token++;
            return at_end() ? SOTTO_OK : SOTTO_E_JSON;
        }
        if (peek() != ',') {
            (void)unexpected(object ? "expected ',' or '}'" : "expected ',' or ']'");
            return SOTTO_E_JSON;
        }
        token++;
    }
}

} /* namespace */

#endif
