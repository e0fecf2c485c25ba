/*
 * Two stages.  The first is simdjson's: it checks UTF-8, finds control characters in strings and
 * strings without end, and gives the offsets of all tokens: brackets, commas, colons, opening
 * quotes, and the first byte of every run of other bytes.  The second is the walk of walk.hpp,
 * which checks the grammar of every token, wanted or not.  simdjson's own second stages do not fit:
 * On-Demand leaves unchecked what it skips, and the DOM refuses numbers beyond a double.
 */
#include "json/walk.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include <simdjson.h>

namespace
{

/* A member's name, unescaped. */
struct member_name {
    uint64_t head; /* its first eight bytes, for sorting: most names differ there */
    const uint8_t *ptr;
    uint32_t len;
    uint32_t offset;
};

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
    /* Field by field: gcc clears the whole with a string instruction, which is slow to begin. */
    value->type = type_of(raw.text.ptr[0]);
    value->raw = raw.text;
    value->str = {nullptr, 0};
    value->uint = 0;
    value->is_uint = value->type == SI_JSON_NUMBER && parse_uint(raw.text, &value->uint);
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

    /* Not as a whole: its halves have just been written, and a load of both would wait for them. */
    out->ptr = name.inner.ptr;
    out->len = name.inner.len;
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
        wanted[i].value.type = SI_JSON_ABSENT;
    if ((err = json->index(text, padded, why)) != SOTTO_OK)
        return err;
    json->copies_strings = !padded;

    walk w = json->start(text, why);
    /* Members often stand in the order of WANTED: each is looked for behind the one before. */
    size_t next = 0;
    auto member = [&](const raw_name &raw, const raw_value &value) noexcept -> sotto_err {
        struct si_span name;
        sotto_err e = json->add_name(raw, &name);

        for (size_t tried = 0; e == SOTTO_OK && tried < count; tried++) {
            const size_t i = next;

            next = next + 1 < count ? next + 1 : 0;
            if (is_wanted(wanted[i].name, name))
                return json->fill(value, wanted[i].opaque, &wanted[i].value);
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
        wanted[i].value.type = SI_JSON_ABSENT;
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
