/*
 * Two stages.  The first is simdjson's: it checks UTF-8, finds control characters in strings and
 * strings without end, and gives the offsets of all tokens: brackets, commas, colons, opening
 * quotes, and the first byte of every run of other bytes.  The second is the walk below, which
 * checks the grammar of every token, wanted or not.  simdjson's own second stages do not fit:
 * On-Demand leaves unchecked what it skips, and the DOM refuses numbers beyond a double.
 *
 * What the walk takes from the first stage, and tests/unit/test_json.c checks for every
 * implementation that the CPU can run: between a string or bracket and the next token there is only
 * white space, and every opening quote has its closing one.  A run may hold anything (`1"`,
 * `nul\`), so its end is looked at.  Outside strings, UTF-8 need not have been checked.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* C++ only: the function si_span() and its struct */
#endif
#include "json/json.h"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include <simdjson.h>

namespace
{

const char no_end[] = "string without end";

/* A member's name, unescaped. */
struct member_name {
    uint64_t head; /* its first eight bytes, for sorting: most names differ there */
    const uint8_t *ptr;
    uint32_t len;
    uint32_t offset;
};

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

bool same_name(const member_name &a, const member_name &b) noexcept
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Any order will do that puts equal names side by side, the first in the text before the others. */
bool name_before(const member_name &a, const member_name &b) noexcept
{
    int order;

    if (a.head != b.head)
        return a.head < b.head;
    if (a.len != b.len)
        return a.len < b.len;
    order = memcmp(a.ptr, b.ptr, a.len);
    return order != 0 ? order < 0 : a.offset < b.offset;
}

bool is_wanted(const char *wanted, struct si_span name) noexcept
{
    for (size_t i = 0; i < name.len; i++) {
        if (wanted[i] == '\0' || static_cast<uint8_t>(wanted[i]) != name.ptr[i])
            return false;
    }
    return wanted[name.len] == '\0';
}

si_json_type type_of(uint8_t first) noexcept
{
    switch (first) {
    case '{':
        return SI_JSON_OBJECT;
    case '[':
        return SI_JSON_ARRAY;
    case '"':
        return SI_JSON_STRING;
    case 't':
        return SI_JSON_TRUE;
    case 'f':
        return SI_JSON_FALSE;
    case 'n':
        return SI_JSON_NULL;
    default:
        return SI_JSON_NUMBER;
    }
}

/* RAW is a number; is it digits only and fits 64 bits? */
bool parse_uint(struct si_span raw, uint64_t *out) noexcept
{
    uint64_t sum = 0;

    for (size_t i = 0; i < raw.len; i++) {
        const uint64_t digit = static_cast<uint64_t>(raw.ptr[i]) - '0';

        if (!is_digit(raw.ptr[i]) || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *out = sum;
    return true;
}

} /* namespace */

struct si_json {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
    /* parser->capacity() + SIMDJSON_PADDING bytes: the copy of a text for the first stage, then the
     * unescaped strings, which together are shorter than the text. */
    uint8_t *scratch = nullptr;
    uint8_t *put = nullptr;       /* where the next string goes */
    size_t scratch_dirty = 0;     /* no bytes were written from here on */
    bool copies_strings = true;   /* also those without escapes: the text may go before them */
    struct si_span text = {};     /* that is being read, until the next one */
    si_json_error *why = nullptr; /* where its fault is to be told */
    member_name *names = nullptr; /* of the object that is being read */
    size_t name_count = 0;
    size_t name_cap = 0;

    ~si_json() noexcept
    {
        si_wipe(scratch, scratch_dirty);
        free(scratch);
        free(names);
    }

    sotto_err grow(size_t len) noexcept;
    sotto_err index(struct si_span text, bool padded, si_json_error *why) noexcept;
    sotto_err explain(struct si_span text, si_json_error *why) noexcept;
    sotto_err string(struct si_span inner, struct si_span *out) noexcept;
    sotto_err fill(const raw_value &raw, bool opaque, si_json_value *value) noexcept;
    sotto_err more_names() noexcept;
    sotto_err add_name(const raw_name &name, struct si_span *out) noexcept;
    sotto_err distinct() noexcept;

    walk start(struct si_span the_text, si_json_error *the_why) noexcept
    {
        const uint32_t *first = parser->structural_indexes.get();

        text = the_text;
        why = the_why;
        put = scratch;
        name_count = 0;
        return walk(text, first, first + parser->n_structural_indexes, why);
    }
};

/* Have room for a text of LEN bytes.  Powers of two, so that slowly growing texts cost little. */
sotto_err si_json::grow(size_t len) noexcept
{
    size_t cap = 4096;
    uint8_t *bytes;

    /* The offsets take four bytes for each of up to 2 LEN. */
    if (len > simdjson::SIMDJSON_MAXSIZE_BYTES || len > SIZE_MAX / 16)
        return SOTTO_E_NOMEM;
    while (cap < len)
        cap *= 2;
    cap = std::min(cap, simdjson::SIMDJSON_MAXSIZE_BYTES);
    bytes = static_cast<uint8_t *>(malloc(cap + simdjson::SIMDJSON_PADDING));
    if (bytes == nullptr)
        return SOTTO_E_NOMEM;
    if (parser->set_capacity(cap) != simdjson::SUCCESS) {
        free(bytes); /* the parser's capacity is 0 now: the next text comes here again */
        return SOTTO_E_NOMEM;
    }
    si_wipe(scratch, scratch_dirty);
    free(scratch);
    scratch = bytes;
    scratch_dirty = 0;
    return SOTTO_OK;
}

/* The first stage. */
sotto_err si_json::index(struct si_span text, bool padded, si_json_error *why) noexcept
{
    static const uint8_t byte_order_mark[] = {0xef, 0xbb, 0xbf};
    const uint8_t *bytes = text.ptr;
    sotto_err err;

    if (text.len == 0) {
        *why = {0, "the text is empty"};
        return SOTTO_E_JSON;
    }
    if (text.len >= sizeof byte_order_mark &&
        memcmp(text.ptr, byte_order_mark, sizeof byte_order_mark) == 0) {
        *why = {0, "byte order mark"};
        return SOTTO_E_JSON;
    }
    if (text.len > parser->capacity() && (err = grow(text.len)) != SOTTO_OK) {
        *why = {0, "out of memory"};
        return err;
    }
    if (!padded) {
        memcpy(scratch, text.ptr, text.len);
        memset(scratch + text.len, ' ', simdjson::SIMDJSON_PADDING);
        scratch_dirty = std::max(scratch_dirty, text.len);
        bytes = scratch;
    }
    /* Stage 1 reads no byte behind the text where it works in blocks, and at most three where it
     * works byte by byte: SI_JSON_PADDING is enough. */
    if (parser->stage1(bytes, text.len, simdjson::stage1_mode::regular) != simdjson::SUCCESS)
        return explain(text, why);
    parser->structural_indexes[parser->n_structural_indexes] = static_cast<uint32_t>(text.len);
    return SOTTO_OK;
}

/*
 * The first stage refuses TEXT and does not say where.  Index it slowly up to the first thing that
 * the first stage looks for; an error of grammar before that is the first error.
 */
sotto_err si_json::explain(struct si_span text, si_json_error *why) noexcept
{
    const uint8_t *const p = text.ptr;
    uint32_t *const first = parser->structural_indexes.get();
    uint32_t *end = first;
    si_json_error wrong = {text.len, nullptr};
    si_json_error grammar = {text.len, "not strict JSON"};
    bool in_run = false, in_string = false;
    size_t i = 0, cut;

    while (i < text.len && wrong.text == nullptr) {
        const size_t len = utf8_len(p + i, text.len - i);

        if (len == 0) {
            wrong = {i, "not UTF-8"};
        } else if (in_string) {
            if (p[i] < 0x20)
                wrong = {i, "control character in a string"};
            in_string = p[i] != '"';
            i += p[i] == '\\' && i + 1 < text.len && p[i + 1] < 0x80 ? 2 : len;
        } else {
            const bool single = memchr("{}[]:,\"", p[i], 7) != nullptr;

            if (single || (!in_run && !is_space(p[i])))
                *end++ = static_cast<uint32_t>(i);
            in_run = !single && !is_space(p[i]);
            in_string = p[i] == '"';
            i += len;
        }
    }
    if (in_string && wrong.text == nullptr)
        wrong = {*(end - 1), no_end};
    /* Of a string with something wrong in it, the walk sees the opening quote. */
    cut = in_string ? *(end - 1) + size_t{1} : wrong.offset;
    *end = static_cast<uint32_t>(cut);
    {
        walk w(si_span(p, cut), first, end, &grammar);

        (void)(w.value(0) && w.at_end());
    }
    *why =
        wrong.text == nullptr || (grammar.offset < cut && grammar.text != no_end) ? grammar : wrong;
    return SOTTO_E_JSON;
}

/* INNER, without its quotes, unescaped. */
__attribute__((noinline)) sotto_err si_json::string(struct si_span inner,
                                                    struct si_span *out) noexcept
{
    uint8_t *const first = put;

    scratch_dirty = std::max(scratch_dirty, static_cast<size_t>(put - scratch) + inner.len);
    if (!unescape(text, inner, &put, why))
        return SOTTO_E_JSON;
    *out = {first, static_cast<size_t>(put - first)};
    return SOTTO_OK;
}

sotto_err si_json::fill(const raw_value &raw, bool opaque, si_json_value *value) noexcept
{
    *value = {};
    value->type = type_of(raw.text.ptr[0]);
    value->raw = raw.text;
    if (value->type == SI_JSON_NUMBER)
        value->is_uint = parse_uint(raw.text, &value->uint);
    if (value->type == SI_JSON_STRING && !opaque) {
        value->str = si_span(raw.text.ptr + 1, raw.text.len - 2);
        if (copies_strings || raw.escaped)
            return string(value->str, &value->str);
    }
    return SOTTO_OK;
}

/* Room for more names. */
__attribute__((noinline)) sotto_err si_json::more_names() noexcept
{
    const size_t cap = name_cap == 0 ? 16 : 2 * name_cap;
    void *grown = realloc(names, cap * sizeof *names);

    if (grown == nullptr) {
        (void)fail_at(why, 0, "out of memory");
        return SOTTO_E_NOMEM;
    }
    names = static_cast<member_name *>(grown);
    name_cap = cap;
    return SOTTO_OK;
}

/* Note NAME for distinct(), and give it out unescaped. */
sotto_err si_json::add_name(const raw_name &name, struct si_span *out) noexcept
{
    sotto_err err;

    *out = name.inner;
    if ((name.escaped && (err = string(name.inner, out)) != SOTTO_OK) ||
        (name_count == name_cap && (err = more_names()) != SOTTO_OK))
        return err;
    names[name_count++] = {0, out->ptr, static_cast<uint32_t>(out->len),
                           static_cast<uint32_t>(name.offset)};
    return SOTTO_OK;
}

/* Few names are compared with each other, many are sorted: n log n whatever a peer sends. */
__attribute__((noinline)) sotto_err si_json::distinct() noexcept
{
    enum { FEW = 16 };
    size_t offset = SIZE_MAX; /* of the first name that was there before */

    if (name_count <= FEW) {
        for (size_t i = 1; i < name_count; i++) {
            for (size_t j = 0; j < i; j++) {
                if (same_name(names[i], names[j]))
                    offset = std::min<size_t>(offset, names[i].offset);
            }
        }
    } else {
        for (size_t i = 0; i < name_count; i++)
            memcpy(&names[i].head, names[i].ptr,
                   std::min<size_t>(names[i].len, sizeof names[i].head));
        std::sort(names, names + name_count, name_before);
        for (size_t i = 1; i < name_count; i++) {
            if (same_name(names[i], names[i - 1]))
                offset = std::min<size_t>(offset, names[i].offset);
        }
    }
    if (offset == SIZE_MAX)
        return SOTTO_OK;
    (void)fail_at(why, offset, "duplicate member");
    return SOTTO_E_JSON;
}

/* Everything is inlined, as in walk::value(). */
__attribute__((flatten)) static sotto_err read_object(struct si_json *json, struct si_span text,
                                                      bool padded, si_json_member *wanted,
                                                      size_t count, si_json_error *why)
{
    si_json_error unused;
    sotto_err err;

    if (why == nullptr)
        why = &unused;
    for (size_t i = 0; i < count; i++)
        wanted[i].value = {};
    if ((err = json->index(text, padded, why)) != SOTTO_OK)
        return err;
    json->copies_strings = !padded;

    walk w = json->start(text, why);
    auto member = [&](const raw_name &raw, const raw_value &value) noexcept -> sotto_err {
        struct si_span name;
        sotto_err e = json->add_name(raw, &name);

        for (size_t i = 0; e == SOTTO_OK && i < count; i++) {
            if (is_wanted(wanted[i].name, name)) {
                e = json->fill(value, wanted[i].opaque, &wanted[i].value);
                break;
            }
        }
        return e;
    };

    if (w.peek() != '{') {
        /* Say what is wrong with the text first, if anything is. */
        if (w.value(0) && w.at_end())
            *why = {static_cast<size_t>(json->parser->structural_indexes[0]), "not an object"};
        return SOTTO_E_JSON;
    }
    if ((err = w.outermost(member)) == SOTTO_OK)
        err = json->distinct();
    for (size_t i = 0; err != SOTTO_OK && i < count; i++)
        wanted[i].value = {};
    return err;
}

sotto_err si_json_new(struct si_json **out)
{
    struct si_json *json = new (std::nothrow) si_json;

    *out = nullptr;
    if (json == nullptr)
        return SOTTO_E_NOMEM;
    /* The depth is for simdjson's own second stage, which is not used. */
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(
            0, 1, json->parser) != simdjson::SUCCESS) {
        delete json;
        return SOTTO_E_NOMEM;
    }
    *out = json;
    return SOTTO_OK;
}

void si_json_free(struct si_json *json)
{
    delete json;
}

void si_json_forget(struct si_json *json)
{
    si_wipe(json->scratch, json->scratch_dirty);
    json->scratch_dirty = 0;
}

sotto_err si_json_read(struct si_json *json, struct si_span text, struct si_json_member *wanted,
                       size_t count, struct si_json_error *why)
{
    return read_object(json, text, true, wanted, count, why);
}

sotto_err si_json_read_copy(struct si_json *json, struct si_span text,
                            struct si_json_member *wanted, size_t count, struct si_json_error *why)
{
    return read_object(json, text, false, wanted, count, why);
}

sotto_err si_json_each(struct si_json *json, struct si_span text, si_json_visitor *visit,
                       void *user, struct si_json_error *why)
{
    si_json_error unused;
    si_json_value value;
    sotto_err err;

    if (why == nullptr)
        why = &unused;
    if ((err = json->index(text, false, why)) != SOTTO_OK)
        return err;
    json->copies_strings = true;

    walk checking = json->start(text, why);
    const bool object = checking.peek() == '{';

    if (!object && checking.peek() != '[') {
        if (checking.value(0) && checking.at_end())
            *why = {static_cast<size_t>(json->parser->structural_indexes[0]),
                    "neither an array nor an object"};
        return SOTTO_E_JSON;
    }
    auto check = [&](const raw_name &raw, const raw_value &raw_of_value) noexcept -> sotto_err {
        struct si_span name;
        sotto_err e = object ? json->add_name(raw, &name) : SOTTO_OK;

        return e != SOTTO_OK ? e : json->fill(raw_of_value, false, &value);
    };
    if ((err = checking.outermost(check)) != SOTTO_OK || (err = json->distinct()) != SOTTO_OK)
        return err;

    walk visiting = json->start(text, why);
    auto show = [&](const raw_name &raw, const raw_value &raw_of_value) noexcept -> sotto_err {
        struct si_span name = raw.inner;
        sotto_err e;

        if ((raw.escaped && (e = json->string(raw.inner, &name)) != SOTTO_OK) ||
            (e = json->fill(raw_of_value, false, &value)) != SOTTO_OK)
            return e;
        return visit(user, name, &value);
    };
    return visiting.outermost(show);
}

sotto_err si_json_check(struct si_json *json, struct si_span text, struct si_json_error *why)
{
    si_json_error unused;
    sotto_err err;

    if (why == nullptr)
        why = &unused;
    if ((err = json->index(text, false, why)) != SOTTO_OK)
        return err;

    walk w = json->start(text, why);

    return w.value(0) && w.at_end() ? SOTTO_OK : SOTTO_E_JSON;
}
