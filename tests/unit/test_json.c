/*
 * The JSON reader against lists of texts, and against a slow checker written from the grammar
 * (json_reference.h).  Everything runs once for each of simdjson's implementations that this CPU
 * can run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json/json.h"
#include "json_reference.h"
#include "sotto/json.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

/* The reader that most tests share, so that they also test its reuse. */
static struct si_json *json;

static int setup(void **state)
{
    (void)state;
    return si_json_new(&json) == SOTTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    si_json_free(json);
    json = NULL;
    return 0;
}

/* Exactly LEN bytes of their own plus ROOM, so that a sanitizer sees every byte too many. */
static uint8_t *own(const void *bytes, size_t len, size_t room)
{
    uint8_t *p = malloc(len + room + (len + room == 0));

    assert_non_null(p);
    if (len > 0)
        memcpy(p, bytes, len);
    memset(p + len, '"', room);
    return p;
}

static void assert_why(const struct si_json_error *why, size_t len)
{
    assert_non_null(why->text);
    assert_true(strlen(why->text) > 0);
    assert_true(why->offset <= len);
}

static sotto_err check(const void *text, size_t len)
{
    uint8_t *p = own(text, len, 0);
    struct si_json_error why = {SIZE_MAX, NULL};
    sotto_err err = si_json_check(json, si_span(p, len), &why);

    if (err == SOTTO_E_JSON)
        assert_why(&why, len);
    free(p);
    return err;
}

/* Read in both ways; they must agree.  Values point into *COPY, which the caller frees. */
static sotto_err read_both(const void *text, size_t len, struct si_json_member *wanted,
                           size_t count, uint8_t **copy)
{
    uint8_t *padded = own(text, len, SI_JSON_PADDING);
    uint8_t *exact = own(text, len, 0);
    struct si_json_error why = {SIZE_MAX, NULL}, why_copy = {SIZE_MAX, NULL};
    sotto_err err = si_json_read(json, si_span(padded, len), wanted, count, &why);

    if (err == SOTTO_E_JSON)
        assert_why(&why, len);
    for (size_t i = 0; err != SOTTO_OK && i < count; i++)
        assert_int_equal(wanted[i].value.type, SI_JSON_ABSENT);
    free(padded);
    assert_int_equal(si_json_read_copy(json, si_span(exact, len), wanted, count, &why_copy), err);
    if (err == SOTTO_E_JSON) {
        assert_int_equal(why.offset, why_copy.offset);
        assert_string_equal(why.text, why_copy.text);
    }
    for (size_t i = 0; err != SOTTO_OK && i < count; i++)
        assert_int_equal(wanted[i].value.type, SI_JSON_ABSENT);
    *copy = exact;
    return err;
}

static sotto_err read_all(const void *text, size_t len, struct si_json_member *wanted, size_t count)
{
    uint8_t *copy;
    sotto_err err = read_both(text, len, wanted, count, &copy);

    free(copy);
    return err;
}

/* Texts, with what is to come out. */

enum verdict {
    YES,
    NO,
    NO_ALONE /* not JSON, but a part of JSON in an array or object */
};

struct sample {
    enum verdict verdict;
    const char *text;
    size_t len;
};

#define S(verdict, text)                                                                           \
    {                                                                                              \
        verdict, text, sizeof(text) - 1                                                            \
    }

/* clang-format off */
static const struct sample samples[] = {
    /* literals */
    S(YES, "true"), S(YES, "false"), S(YES, "null"), S(NO, "nul"), S(NO, "tru"), S(NO, "fals"),
    S(NO, "n"), S(NO, "t"), S(NO, "f"), S(NO, "nulll"), S(NO, "truee"), S(NO, "falsey"),
    S(NO, "True"), S(NO, "NULL"), S(NO, "FALSE"), S(NO, "nUll"), S(NO, "null1"), S(NO, "truefalse"),
    S(NO, "true false"), S(NO, "null\"\""), S(NO, "true\\"), S(NO, "undefined"), S(NO, "NaN"),
    S(NO, "nan"), S(NO, "Infinity"), S(NO, "-Infinity"), S(NO, "inf"), S(NO, "true\v"),
    S(NO, "true\f"), S(NO, "true\0"), S(NO, "tr\0ue"), S(NO, "tr ue"), S(NO, "tr\nue"),
    /* numbers */
    S(YES, "0"), S(YES, "-0"), S(YES, "7"), S(YES, "10"), S(YES, "-1"), S(YES, "0.0"),
    S(YES, "-0.5"), S(YES, "1.5"), S(YES, "1e1"), S(YES, "1E1"), S(YES, "1e+1"), S(YES, "1e-1"),
    S(YES, "0e0"), S(YES, "0E+00"), S(YES, "1.25e007"), S(YES, "1e999999"), S(YES, "-1e-999999"),
    S(YES, "9007199254740992"), S(YES, "18446744073709551615"), S(YES, "18446744073709551616"),
    S(YES, "-9223372036854775809"),
    S(YES, "123456789012345678901234567890123456789012345678901234567890"),
    S(YES, "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000001"),
    S(YES, "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"),
    S(NO, "01"), S(NO, "00"), S(NO, "-01"), S(NO, "-00"), S(NO, "-"), S(NO, "+1"), S(NO, "+"),
    S(NO, "--1"), S(NO, "- 1"), S(NO, "1."), S(NO, ".5"), S(NO, "."), S(NO, "-.5"), S(NO, "1.e1"),
    S(NO, "1e"), S(NO, "1E"), S(NO, "1e+"), S(NO, "1e-"), S(NO, "1.5e"), S(NO, "1e1.5"),
    S(NO, "e1"), S(NO, "1e1e1"), S(NO, "1.2.3"), S(NO, "1e++1"), S(NO, "0x10"), S(NO, "0b1"),
    S(NO, "1_000"), S(NO, "1a"), S(NO, "1\"\""), S(NO, "1\"a\""), S(NO, "1\\"), S(NO, "1\0"),
    S(NO, "1\f"), S(NO, "1\v"), S(NO, "1\x1a"), S(NO, "1 2"), S(NO, "1\n2"), S(NO, "0 1"),
    S(NO, "1-"), S(NO, "1+1"), S(NO, "1\x80"), S(NO, "1\xc2\xa0"), S(NO, "\xd9\xa1"), S(NO, "1L"),
    S(NO, "1f"), S(NO, "-true"), S(NO, "1true"), S(NO, "1e1x"), S(NO, "$1"), S(NO, "1,"),
    S(NO_ALONE, "1,2"),
    /* strings */
    S(YES, "\"\""), S(YES, "\"a\""), S(YES, "\" \""), S(YES, "\"{}[],:\""), S(YES, "\"\\\"\""),
    S(YES, "\"\\\\\""), S(YES, "\"\\/\\b\\f\\n\\r\\t\""), S(YES, "\"\\u0000\""),
    S(YES, "\"\\u001f\""), S(YES, "\"\\uABCD\\uabcd\""), S(YES, "\"\\ud83d\\ude00\""),
    S(YES, "\"\x7f\""), S(YES, "\"/\""), S(YES, "\"\xc3\xa9\""), S(YES, "\"\xe2\x82\xac\""),
    S(YES, "\"\xf0\x9f\x98\x80\""), S(YES, "\"\xef\xbb\xbf\""),
    S(YES, "\"\xed\x9f\xbf\xee\x80\x80\""), S(YES, "\"\xf4\x8f\xbf\xbf\""),
    S(YES, "\"\xef\xbf\xbe\xef\xbf\xbf\""), S(YES, "\"\xc2\x80\""), S(YES, "\"\\\\\\\\\\\"\""),
    S(YES, "\"'\""), S(YES, "\"\xe2\x80\xa8\""), S(YES, "\"\\\\u12\""), S(NO, "\""), S(NO, "\"a"),
    S(NO, "a\""), S(NO, "\"\\\""), S(NO, "\"\\\\\\\""), S(NO, "\"\\x\""), S(NO, "\"\\x41\""),
    S(NO, "\"\\a\""), S(NO, "\"\\v\""), S(NO, "\"\\0\""), S(NO, "\"\\'\""), S(NO, "\"\\ \""),
    S(NO, "\"\\U0041\""), S(NO, "\"\\u\""), S(NO, "\"\\u1\""), S(NO, "\"\\u12\""),
    S(NO, "\"\\u123\""), S(NO, "\"\\u123g\""), S(NO, "\"\\u 123\""), S(NO, "\"\\u-123\""),
    S(NO, "\"\\u+123\""), S(NO, "\"\\u0x41\""), S(NO, "\"\\u12\\u1234\""), S(NO, "\"\\\n\""),
    S(NO, "\"\\N\""), S(NO, "\"\\u00:0\""), S(NO, "\"\\u00@0\""), S(NO, "\"\\u00`0\""),
    S(NO, "\"\\u00G0\""), S(NO, "\"\\\xc3\xa9\""), S(NO, "\"\n\""), S(NO, "\"\t\""),
    S(NO, "\"\0\""), S(NO, "\"\x1f\""), S(NO, "\"\x01\""), S(NO, "\"a\r\""), S(NO, "\"\x0c\""),
    S(NO, "'a'"), S(NO, "''"), S(NO, "\"a\"b"), S(NO, "\"a\" b"), S(NO, "\"a\"\"b\""),
    S(NO, "\"a\" \"b\""), S(NO, "\"a\"1"), S(NO, "\\\"a\\\""), S(NO, "\\\"a\""), S(NO, "\"a\"\\"),
    S(NO, "\"a\"\\\""), S(NO, "\\"), S(NO, "\\u0041"), S(NO, "\"a'"), S(NO, "`a`"), S(NO, "abc"),
    S(NO, "\"a\"\0"), S(NO, "\"a\\"),
    /* UTF-8 */
    S(NO, "\"\x80\""), S(NO, "\"\xbf\""), S(NO, "\"\xc0\x80\""), S(NO, "\"\xc1\xbf\""),
    S(NO, "\"\xc3\""), S(NO, "\"\xc3(\""), S(NO, "\"\xe0\x80\x80\""), S(NO, "\"\xe0\x9f\xbf\""),
    S(NO, "\"\xe2\x82\""), S(NO, "\"\xe2\""), S(NO, "\"\xe2(\xa1\""), S(NO, "\"\xed\xa0\x80\""),
    S(NO, "\"\xed\xbf\xbf\""), S(NO, "\"\xf0\x80\x80\x80\""), S(NO, "\"\xf0\x8f\xbf\xbf\""),
    S(NO, "\"\xf4\x90\x80\x80\""), S(NO, "\"\xf5\x80\x80\x80\""), S(NO, "\"\xf0\x9f\x98\""),
    S(NO, "\"\xf0\x9f\""), S(NO, "\"\xf0\""), S(NO, "\"\xf8\x88\x80\x80\x80\""), S(NO, "\"\xff\""),
    S(NO, "\"\xfe\""), S(NO, "\"\xc3\xa9\xa9\""), S(NO, "\"a\xc3"), S(NO, "\"a\xe2\x82"),
    S(NO, "\"a\xf0\x9f\x98"), S(NO, "\xc3\xa9"), S(NO, "\xff"), S(NO, "\xef\xbb\xbf"),
    S(NO, "\xef\xbb\xbf" "1"), S(NO, "\xef\xbb\xbf{}"), S(NO, "\xff\xfe" "1\0"), S(NO, "1\0\0\0"),
    S(NO, "\xc2\xa0" "1"), S(NO, "\xe2\x80\xa8" "1"), S(NO, "\xc2\x85" "1"),
    /* white space */
    S(YES, " 1"), S(YES, "1 "), S(YES, "\t\n\r 1 \r\n\t"), S(YES, " \"a\" "), S(YES, "\n[\n]\n"),
    S(NO, ""), S(NO, " "), S(NO, "\n"), S(NO, " \t\r\n"), S(NO, "\v1"), S(NO, "\f1"),
    S(NO, "1\x0b"), S(NO, "\0"), S(NO, "\0\0"), S(NO, "\x1a"), S(NO, "\x7f"), S(NO, "\x01" "1"),
    S(NO, "1\x08"),
    /* arrays */
    S(YES, "[]"), S(YES, "[ ]"), S(YES, "[1]"), S(YES, "[1,2]"), S(YES, "[[],[[]]]"),
    S(YES, "[{},[]]"), S(YES, "[ 1 , \"a\" , null ]"), S(YES, "[true,false]"),
    S(YES, "[\"\",\"\"]"), S(NO, "["), S(NO, "]"), S(NO, "[1"), S(NO, "1]"), S(NO, "[1,"),
    S(NO, "[1,]"), S(NO, "[,1]"), S(NO, "[,]"), S(NO, "[1,,2]"), S(NO, "[1 2]"), S(NO, "[1\t2]"),
    S(NO, "[\"a\" \"b\"]"), S(NO, "[1 true]"), S(NO, "[1:2]"), S(NO, "[:]"), S(NO, "[\"a\":1]"),
    S(NO, "[1}"), S(NO, "[}"), S(NO, "[[1]"), S(NO, "[1]]"), S(NO, "[][]"), S(NO, "[] []"),
    S(NO, "[]1"), S(NO, "1[]"), S(NO, "[]{}"), S(NO, "[1]x"), S(NO, "[]\0"), S(NO, "[01]"),
    S(NO, "[nul]"), S(NO, "[1.]"), S(NO, "[-]"), S(NO, "[\"\\x\"]"), S(NO, "[\f]"),
    S(NO, "[1\f,2]"), S(NO, "[1,\x1a" "2]"), S(NO, "[[],]"), S(NO, "[{},]"), S(NO, "[[][]]"),
    S(NO, "[[]1]"), S(NO, "[1[]]"), S(NO, "[\"a\"[]]"), S(NO, "[/**/]"), S(NO, "[1]//"),
    S(NO, "#\n[1]"), S(NO, "[\x0c" "1]"), S(NO, "[1;2]"), S(NO, "(1)"), S(NO, "<1>"),
    /* objects */
    S(YES, "{}"), S(YES, "{ }"), S(YES, "{\"a\":1}"), S(YES, "{\"a\":1,\"b\":2}"),
    S(YES, "{\"\":0}"), S(YES, "{ \"a\" : 1 , \"b\" : [ ] }"), S(YES, "{\"a\":{\"a\":{\"a\":{}}}}"),
    S(YES, "{\"a\\n\":1}"), S(YES, "{\"a\":{},\"b\":[]}"), S(YES, "{\"\xc3\xa9\":1}"), S(NO, "{"),
    S(NO, "}"), S(NO, "{}}"), S(NO, "{\"a\""), S(NO, "{\"a\":"), S(NO, "{\"a\":1"),
    S(NO, "{\"a\":1,"), S(NO, "{\"a\":1,}"), S(NO, "{,\"a\":1}"), S(NO, "{,}"),
    S(NO, "{\"a\":1,,\"b\":2}"), S(NO, "{\"a\" 1}"), S(NO, "{\"a\"}"), S(NO, "{\"a\":}"),
    S(NO, "{:1}"), S(NO, "{\"a\"::1}"), S(NO, "{\"a\":1:2}"), S(NO, "{\"a\":1 \"b\":2}"),
    S(NO, "{\"a\":1;\"b\":2}"), S(NO, "{\"a\",1}"), S(NO, "{\"a\"=1}"), S(NO, "{a:1}"),
    S(NO, "{'a':1}"), S(NO, "{1:1}"), S(NO, "{null:1}"), S(NO, "{[]:1}"), S(NO, "{{}:1}"),
    S(NO, "{\"a\":1]"), S(NO, "{]"), S(NO, "{\"a\":[}"), S(NO, "{\"a\":{]}"), S(NO, "{\"a\":[1}]"),
    S(NO, "{}{}"), S(NO, "{} 1"), S(NO, "{1}"), S(NO, "{\"a\":1}}"), S(NO, "{\"a\":1},"),
    S(NO, "{\"a\\x\":1}"), S(NO, "{\"a\\u12\":1}"), S(NO, "{\"a\n\":1}"), S(NO, "{\"a\xff\":1}"),
    S(NO, "{\"a\0\":1}"), S(NO, "{\"a\xc3\":1}"), S(NO, "{\"a\":01}"), S(NO, "{\"a\":tru}"),
    S(NO, "{\"a\":\"\\u00\"}"), S(NO, "{\"a\":1,\"b\"}"), S(NO, "{\"a\":1,\"b\":}"),
    S(NO, "{\"a\":1,2}"), S(NO, "{\"a\":1 /* */}"), S(NO, "{\"a\":1}\0"), S(NO, "{\"a\":b}"),
    S(NO, "{\"a\"\f:1}"), S(NO, "{\"a\"\x1a" "1}"), S(NO, "{\"a\":\x0c}"), S(NO, ","), S(NO, ":"),
    S(NO, "\"a\":1"), S(NO, ",1"), S(NO, ":1"), S(NO, "]1["), S(NO, "}{"),
};
/* clang-format on */

/* Put TEXT between BEFORE and AFTER.  The caller frees. */
static char *embed(const char *before, const struct sample *s, const char *after, size_t *len)
{
    size_t a = strlen(before), b = strlen(after);
    char *p = malloc(a + s->len + b + 1);

    assert_non_null(p);
    memcpy(p, before, a);
    memcpy(p + a, s->text, s->len);
    memcpy(p + a + s->len, after, b + 1);
    *len = a + s->len + b;
    return p;
}

static void show_and_compare(const char *text, size_t len, const char *where, sotto_err got,
                             bool expected)
{
    if ((got == SOTTO_OK) != expected || (got != SOTTO_OK && got != SOTTO_E_JSON))
        fail_msg("%s: got %s, expected %s: %.*s", where, sotto_err_name(got),
                 expected ? "OK" : "E_JSON", (int)len, text);
}

static sotto_err visit_nothing(void *user, struct si_span name, const struct si_json_value *value)
{
    (void)user;
    (void)name;
    (void)value;
    return SOTTO_OK;
}

static void test_samples(void **state)
{
    /* White space in front brings the text to every place of simdjson's blocks of 64. */
    static const char spaces[] = "                                                                "
                                 "                                                                ";

    (void)state;
    assert_true(SI_COUNT(samples) >= 150);
    for (size_t i = 0; i < SI_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        static const struct {
            const char *before, *after;
            bool wanted; /* the sample is `content` */
        } around[] = {
            {"{\"content\":", "}", true},
            {"{\"id\":7,\"content\": ", " ,\"endpoint\":\"echo\"}", true},
            {"{\"id\":7,\"who\":", ",\"content\":null}", false},
            {"{\"who\":{\"x\":[1,{\"y\":", "}]}}", false},
            {"{\"content\":[[[{\"k\":[1,\"\",", ",null]}]]]}", false},
        };
        struct json_reference r = json_reference((const uint8_t *)s->text, s->len);
        size_t len;
        char *p;

        free(r.a_points);
        assert_int_equal(r.valid, s->verdict == YES);
        show_and_compare(s->text, s->len, "alone", check(s->text, s->len), s->verdict == YES);
        for (size_t shift = 0; shift < 128; shift++) {
            p = embed(spaces + (sizeof spaces - 1 - shift), s, "", &len);
            show_and_compare(p, len, "shifted", check(p, len), s->verdict == YES);
            free(p);
        }
        if (s->verdict == NO_ALONE)
            continue;
        for (size_t j = 0; j < SI_COUNT(around); j++) {
            struct si_json_member wanted[] = {{.name = "id"}, {.name = "content", .opaque = true}};
            struct si_json_value *content = &wanted[1].value;
            uint8_t *copy;
            sotto_err err;

            p = embed(around[j].before, s, around[j].after, &len);
            show_and_compare(p, len, "embedded", check(p, len), s->verdict == YES);
            err = read_both(p, len, wanted, SI_COUNT(wanted), &copy);
            show_and_compare(p, len, "read", err, s->verdict == YES);
            if (err == SOTTO_OK && around[j].wanted) {
                /* The raw text is the sample without the white space around it. */
                size_t from = strspn(s->text, " \t\r\n"), to = s->len;

                while (to > 0 && strchr(" \t\r\n", s->text[to - 1]) != NULL)
                    to--;
                assert_ptr_equal(content->raw.ptr, copy + (size_t)(strstr(p, "\"content\":") - p) +
                                                       10 + (j == 1) + from);
                assert_int_equal(content->raw.len, to - from);
                assert_null(content->str.ptr);
            }
            err = si_json_each(json, si_span(copy, len), visit_nothing, NULL, NULL);
            show_and_compare(p, len, "each", err, s->verdict == YES);
            free(copy);
            free(p);
        }
    }
}

/* The reader and the reference must agree about everything. */

static size_t put_point(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

static sotto_err count_visits(void *user, struct si_span name, const struct si_json_value *value)
{
    (void)name;
    assert_int_not_equal(value->type, SI_JSON_ABSENT);
    assert_true(value->raw.len > 0);
    if (value->type == SI_JSON_STRING)
        assert_non_null(value->str.ptr);
    ++*(size_t *)user;
    return SOTTO_OK;
}

/* How often each outcome was seen, so that a test can tell that it tested something. */
static struct {
    size_t texts, valid, read, each;
} seen;

static void compare(const void *bytes, size_t len)
{
    uint8_t *text = own(bytes, len, 0), *copy;
    struct json_reference r = json_reference(text, len);
    struct si_json_member wanted[] = {{.name = "a"}, {.name = "b", .opaque = true}};
    const struct si_json_value *a = &wanted[0].value;
    size_t visits = 0;
    bool distinct = r.valid && !r.duplicate && !r.half_name, ok;

    seen.texts++;
    seen.valid += r.valid;
    show_and_compare(bytes, len, "check", check(text, len), r.valid);

    ok = distinct && r.object && !r.a_half;
    seen.read += ok;
    show_and_compare(bytes, len, "read", read_both(text, len, wanted, 2, &copy), ok);
    if (ok) {
        assert_int_equal(a->type != SI_JSON_ABSENT, r.has_a);
        if (r.has_a) {
            assert_ptr_equal(a->raw.ptr, copy + r.a_offset);
            assert_int_equal(a->raw.len, r.a_len);
            assert_int_equal(a->type == SI_JSON_STRING, r.a_is_string);
        }
        if (r.a_is_string) {
            size_t at = 0;

            for (size_t i = 0; i < r.a_points_count; i++) {
                uint8_t utf8[4];
                size_t n = put_point(utf8, r.a_points[i]);

                assert_true(at + n <= a->str.len);
                assert_memory_equal(a->str.ptr + at, utf8, n);
                at += n;
            }
            assert_int_equal(at, a->str.len);
        }
    }
    free(copy);

    ok = distinct && r.container && !r.half_value;
    seen.each += ok;
    show_and_compare(bytes, len, "each",
                     si_json_each(json, si_span(text, len), count_visits, &visits, NULL), ok);
    assert_int_equal(visits, ok ? r.count : 0);
    free(r.a_points);
    free(text);
}

static const char *const documents[] = {
    "{\"id\":7,\"endpoint\":\"echo\",\"content\":{\"n\":[1,2.5e-3,-0,1e400],\"s\":\"x\\u00e9\\n\"}"
    "}",
    "{\"a\":\"one \\ud83d\\ude00 \\\"two\\\" \\\\ three\",\"b\":[],\"c\":{},\"d\":null,\"e\":true}",
    " [ 1 , [ 2 , [ 3 , { \"a\" : [ ] } ] ] , \"\xe2\x82\xac\" , false , \"\" ] ",
    "\"a longer string, with \\u0041\\/ escapes and \xf0\x9f\x98\x80, across a block of sixty-four "
    "bytes and \\\\\\\\ another one: \\\" ending here\"",
    "{\"\\u0061\":1,\"b\":{\"a\":1,\"a\":2},\"c\":[[[[[[[[{\"x\":\"y\"}]]]]]]]],\"d\":"
    "123456789012345678901234567890.5E+17}",
    "{}",
    "[]",
    "null",
    "{\"a\":{\"k\":"
    "\"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\"}"
    ",\"b\":"
    "\"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"
    "\"}",
};

static void test_truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(documents); i++) {
        size_t full = strlen(documents[i]), len = full;

        while (len > 0 && documents[i][len - 1] == ' ')
            len--;
        assert_int_equal(check(documents[i], full), SOTTO_OK);
        for (size_t n = 0; n < len; n++) {
            struct si_json_member wanted[] = {{.name = "a"}};

            assert_int_equal(check(documents[i], n), SOTTO_E_JSON);
            assert_int_equal(read_all(documents[i], n, wanted, 1), SOTTO_E_JSON);
            compare(documents[i], n);
        }
    }
}

static void test_substitutions(void **state)
{
    static const char small[] =
        "{\"a\":\"x\\u00e9\xc3\xa9\",\"b\": [1.5e3,true,{\"c\":null}],\"d\":-0}";
    char text[sizeof small];

    (void)state;
    for (size_t i = 0; i < sizeof small - 1; i++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, small, sizeof small);
            text[i] = (char)byte;
            compare(text, sizeof small - 1);
        }
    }
}

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % n);
}

/* How many texts to make; the first run, of the implementation that users get, has the most. */
static uint32_t rounds = 130000;

static void test_token_soup(void **state)
{
    static const char *const tokens[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\"",
        "1",
        "-0",
        "1.5",
        "1e9",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\"a\":",
        "\"b\":",
        "\"c\":1",
        "\"\\u0061\":",
        "[]",
        "{}",
        "\"\\n\"",
        "\"\\\\",
        "\"",
        "\\",
        "\\u00",
        "\xc3\xa9",
        "\xc3",
        "\"\xe2\x82\xac\"",
        "0",
        "e",
        ".",
        "-",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\t",
    };
    char text[1024];

    (void)state;
    random_state = 0x5eed0001;
    memset(&seen, 0, sizeof seen);
    for (uint32_t i = 0; i < rounds; i++) {
        size_t len = 0, count = 1 + below(below(8) == 0 ? 60 : 12);
        bool object = below(2) == 0;

        if (object)
            len += (size_t)sprintf(text, "{\"a\":");
        while (count-- > 0) {
            const char *token = tokens[below(SI_COUNT(tokens))];

            memcpy(text + len, token, strlen(token));
            len += strlen(token);
        }
        if (object && below(4) != 0)
            text[len++] = '}';
        compare(text, len);
    }
    assert_true(seen.valid > rounds / 200);
    assert_true(seen.read > rounds / 200);
}

/* A valid text, built from the grammar. */
static size_t make_space(char *p)
{
    size_t len = 0;

    if (below(4) != 0)
        return 0;
    do
        p[len++] = " \t\r\n"[below(4)];
    while (below(3) == 0);
    return len;
}

static size_t make_string(char *p)
{
    static const char *const parts[] = {"a",        "b",
                                        "xyz",      "\\n",
                                        "\\\\",     "\\\"",
                                        "\\u0041",  "\\ud83d\\ude00",
                                        "\xc3\xa9", "\xf0\x9f\x98\x80",
                                        "{",        "]",
                                        ",",        "0123456789abcdefghij"};
    size_t len = 0;

    p[len++] = '"';
    for (uint32_t n = below(4); n > 0; n--)
        len += (size_t)sprintf(p + len, "%s", parts[below(SI_COUNT(parts))]);
    p[len++] = '"';
    return len;
}

static size_t make_value(char *p, unsigned depth)
{
    static const char *const scalars[] = {
        "0", "-1", "12.50", "1e5", "-0.1E-7", "true", "false", "null", "99999999999999999999"};
    size_t len = 0;
    uint32_t kind = below(depth >= 4 ? 2 : 4);

    if (kind == 0)
        return (size_t)sprintf(p, "%s", scalars[below(SI_COUNT(scalars))]);
    if (kind == 1)
        return make_string(p);
    p[len++] = kind == 2 ? '[' : '{';
    len += make_space(p + len);
    for (uint32_t i = 0, n = below(4); i < n; i++) {
        if (i > 0) {
            p[len++] = ',';
            len += make_space(p + len);
        }
        if (kind == 3) {
            len += make_string(p + len);
            len += make_space(p + len);
            p[len++] = ':';
            len += make_space(p + len);
        }
        len += make_value(p + len, depth + 1);
        len += make_space(p + len);
    }
    p[len++] = kind == 2 ? ']' : '}';
    return len;
}

static void test_mutations(void **state)
{
    static char text[65536];

    (void)state;
    random_state = 0x5eed0002;
    memset(&seen, 0, sizeof seen);
    for (uint32_t i = 0; i < rounds; i++) {
        static const char interesting[] =
            "{}[],:\"\\ \t\n\r\f\v\0\x1a\x1f\x7f\x80\xbf\xc3\xe2\xf0\xff"
            "01239-+.eEtfnulra'/";
        size_t len;

        if (below(2) == 0) {
            const char *document = documents[below(SI_COUNT(documents))];

            len = strlen(document);
            memcpy(text, document, len);
        } else {
            len = make_value(text, 0);
            if (below(4) == 0) {
                compare(text, len);
                continue;
            }
        }
        for (uint32_t n = 1 + below(3); n > 0 && len > 0; n--) {
            size_t at = below((uint32_t)len);
            char c = below(4) == 0 ? (char)below(256) : interesting[below(sizeof interesting - 1)];

            switch (below(4)) {
            case 0:
                text[at] = c;
                break;
            case 1:
                memmove(text + at + 1, text + at, len - at);
                text[at] = c;
                len++;
                break;
            case 2:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;
            default: /* repeat a piece */ {
                size_t piece = 1 + below(8);

                piece = piece > len - at ? len - at : piece;
                memmove(text + at + piece, text + at, len - at);
                len += piece;
                break;
            }
            }
        }
        compare(text, len);
    }
    assert_true(seen.valid > rounds / 10);
    assert_true(seen.valid < seen.texts - rounds / 10);
    assert_true(seen.each > rounds / 50);
}

/* What a reading gives. */

static void test_wanted(void **state)
{
    static const char text[] =
        " {\"id\" : 7 ,\"x\":[1,{\"id\":8}],\"endpoint\":\"a\\u0000\\n\xc3\xa9\\ud83d\\ude00\","
        "\"content\": {\"k\": \"\\ud83d\"} "
        ",\"notify\":true,\"no\":false,\"nil\":null,\"n\":-1.5,\"l\":[ ]} ";
    struct si_json_member wanted[] = {
        {.name = "id"},     {.name = "endpoint"}, {.name = "content", .opaque = true},
        {.name = "notify"}, {.name = "no"},       {.name = "nil"},
        {.name = "n"},      {.name = "l"},        {.name = "end"},
        {.name = ""},       {.name = "idx"},      {.name = "k"},
    };
    static const char endpoint[] = "a\0\n\xc3\xa9\xf0\x9f\x98\x80";
    uint8_t *copy;

    (void)state;
    assert_int_equal(read_both(text, sizeof text - 1, wanted, SI_COUNT(wanted), &copy), SOTTO_OK);
    assert_int_equal(wanted[0].value.type, SI_JSON_NUMBER);
    assert_true(wanted[0].value.is_uint);
    assert_int_equal(wanted[0].value.uint, 7);
    assert_int_equal(wanted[0].value.raw.len, 1);
    assert_int_equal(wanted[1].value.type, SI_JSON_STRING);
    assert_int_equal(wanted[1].value.str.len, sizeof endpoint - 1);
    assert_memory_equal(wanted[1].value.str.ptr, endpoint, sizeof endpoint - 1);
    assert_int_equal(wanted[2].value.type, SI_JSON_OBJECT);
    assert_int_equal(wanted[2].value.raw.len, strlen("{\"k\": \"\\ud83d\"}"));
    assert_memory_equal(wanted[2].value.raw.ptr, "{\"k\": \"\\ud83d\"}", wanted[2].value.raw.len);
    assert_int_equal(wanted[3].value.type, SI_JSON_TRUE);
    assert_int_equal(wanted[4].value.type, SI_JSON_FALSE);
    assert_int_equal(wanted[5].value.type, SI_JSON_NULL);
    assert_int_equal(wanted[6].value.type, SI_JSON_NUMBER);
    assert_false(wanted[6].value.is_uint);
    assert_memory_equal(wanted[6].value.raw.ptr, "-1.5", 4);
    assert_int_equal(wanted[7].value.type, SI_JSON_ARRAY);
    assert_int_equal(wanted[7].value.raw.len, 3);
    for (size_t i = 8; i < SI_COUNT(wanted); i++)
        assert_int_equal(wanted[i].value.type, SI_JSON_ABSENT);
    free(copy);

    /* Nothing wanted; and a wanted name that is spelled with escapes, or holds U+0000. */
    assert_int_equal(read_all(text, sizeof text - 1, NULL, 0), SOTTO_OK);
    wanted[0] = (struct si_json_member){.name = "id"};
    assert_int_equal(read_all("{\"\\u0069\\u0064\":1}", 18, wanted, 1), SOTTO_OK);
    assert_int_equal(wanted[0].value.uint, 1);
    assert_int_equal(read_all("{\"id\\u0000\":1}", 14, wanted, 1), SOTTO_OK);
    assert_int_equal(wanted[0].value.type, SI_JSON_ABSENT);
    assert_int_equal(read_all("{\"i\":1,\"idd\":1}", 15, wanted, 1), SOTTO_OK);
    assert_int_equal(wanted[0].value.type, SI_JSON_ABSENT);

    /* Nothing of an earlier value stays. */
    wanted[1] = (struct si_json_member){.name = "e"};
    memset(&wanted[0].value, 0xa5, sizeof wanted[0].value);
    memset(&wanted[1].value, 0xa5, sizeof wanted[1].value);
    assert_int_equal(read_all("{\"id\":[],\"e\":1e3}", 17, wanted, 2), SOTTO_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_null(wanted[i].value.str.ptr);
        assert_int_equal(wanted[i].value.str.len, 0);
        assert_false(wanted[i].value.is_uint);
        assert_int_equal(wanted[i].value.uint, 0);
    }

    /* Strings live in the reader: the text may go. */
    copy = own("{\"id\":\"abc\"}", 12, 0);
    assert_int_equal(si_json_read_copy(json, si_span(copy, 12), wanted, 1, NULL), SOTTO_OK);
    memset(copy, 'x', 12);
    assert_true(si_json_is(&wanted[0].value, "abc"));
    free(copy);
}

static void test_outermost_kinds(void **state)
{
    static const char *const others[] = {"[]", "1", "\"a\"", "null", "[{\"a\":1}]", " true "};
    struct si_json_member wanted[] = {{.name = "a"}};
    struct si_json_error why;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(others); i++) {
        struct si_span text = si_span_str(others[i]);

        assert_int_equal(read_all(others[i], text.len, wanted, 1), SOTTO_E_JSON);
        assert_int_equal(si_json_read_copy(json, text, wanted, 1, &why), SOTTO_E_JSON);
        assert_string_equal(why.text, "not an object");
    }
    assert_int_equal(si_json_read_copy(json, si_span_str("[1 2]"), wanted, 1, &why), SOTTO_E_JSON);
    assert_string_equal(why.text, "expected ',' or ']'");
    assert_int_equal(si_json_each(json, si_span_str(" 1"), visit_nothing, NULL, &why),
                     SOTTO_E_JSON);
    assert_string_equal(why.text, "neither an array nor an object");
    assert_int_equal(why.offset, 1);
}

static void test_duplicates(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"{\"a\":1,\"a\":1}", false},
        {"{\"a\":1,\"b\":2,\"a\":3}", false},
        {"{\"a\":1,\"\\u0061\":1}", false},
        {"{\"x\":1,\"x\":1}", false},
        {"{\"\":1,\"\":2}", false},
        {"{\"\\u00e9\":1,\"\xc3\xa9\":2}", false},
        {"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", false},
        {"{\"a\\/\":1,\"a/\":2}", false},
        {"{\"\\\\\":1,\"\\u005c\":2}", false},
        {"{\"\\u0000\":1,\"\\u0000\":2}", false},
        {"{\"a\":1,\"a\\u0000\":2}", true},
        {"{\"\":1,\"\\u0000\":2}", true},
        {"{\"a\":1,\"A\":2}", true},
        {"{\"\xc3\xa9\":1,\"e\\u0301\":2}", true}, /* no normalisation */
        {"{\"12345678\":1,\"123456789\":2,\"1234567\":3,\"12345678a\":4}", true},
        {"{\"123456789\":1,\"b\":2,\"123456789\":3}", false},
        {"{\"a\":{\"a\":1,\"a\":2}}", true}, /* the application's matter */
        {"{\"x\":{\"a\":1,\"a\":2}}", true},
        {"{\"x\":[{\"a\":1,\"a\":2}]}", true},
        {"{\"a\":1,\"x\":{\"a\":1}}", true},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        struct si_json_member wanted[] = {{.name = "a", .opaque = true}};
        struct si_json_error why;
        struct si_span text = si_span_str(cases[i].text);

        show_and_compare(cases[i].text, text.len, "duplicate",
                         read_all(cases[i].text, text.len, wanted, 1), cases[i].ok);
        show_and_compare(cases[i].text, text.len, "duplicate in each",
                         si_json_each(json, text, visit_nothing, NULL, &why), cases[i].ok);
        if (!cases[i].ok) {
            assert_string_equal(why.text, "duplicate member");
            /* At the second of the two names. */
            assert_true(why.offset > 3);
            assert_int_equal(text.ptr[why.offset], '"');
        }
        assert_int_equal(check(cases[i].text, text.len), SOTTO_OK);
    }
}

/* Around the number of members where names are sorted instead of compared one by one. */
static void test_number_of_members(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 40; count++) {
        for (size_t twin = 0; twin <= count; twin++) {
            char text[2048] = "{";
            size_t len = 1;
            struct si_json_error why;
            size_t second = 0;

            for (size_t i = 0; i < count; i++) {
                size_t number = i == count - 1 && twin < i ? twin : i;

                len += (size_t)sprintf(text + len, "%s", i > 0 ? "," : "");
                second = len;
                /* Names that differ behind the eighth byte only. */
                len +=
                    (size_t)sprintf(text + len, "\"common name %zu\":%zu", number * 7919 % 41, i);
            }
            text[len++] = '}';
            if (count > 0 && twin < count - 1) {
                assert_int_equal(si_json_read_copy(json, si_span(text, len), NULL, 0, &why),
                                 SOTTO_E_JSON);
                assert_string_equal(why.text, "duplicate member");
                assert_int_equal(why.offset, second);
            } else {
                assert_int_equal(si_json_read_copy(json, si_span(text, len), NULL, 0, &why),
                                 SOTTO_OK);
            }
        }
    }
}

static void test_many_members(void **state)
{
    enum { MEMBERS = 100000 };
    char *text = malloc(MEMBERS * 24 + 64);
    struct si_json_member wanted[] = {{.name = "m77777"}};
    size_t len = 1, visits = 0;

    (void)state;
    assert_non_null(text);
    text[0] = '{';
    for (unsigned i = 0; i < MEMBERS; i++)
        len += (size_t)sprintf(text + len, "%s\"m%u\":%u", i > 0 ? "," : "", i, i);
    text[len] = '}';
    assert_int_equal(read_all(text, len + 1, wanted, 1), SOTTO_OK);
    assert_int_equal(wanted[0].value.uint, 77777);
    assert_int_equal(si_json_each(json, si_span(text, len + 1), count_visits, &visits, NULL),
                     SOTTO_OK);
    assert_int_equal(visits, MEMBERS);
    len += (size_t)sprintf(text + len, ",\"m4\\u0032\":0}");
    assert_int_equal(read_all(text, len, wanted, 1), SOTTO_E_JSON);
    free(text);
}

static void test_half_surrogates(void **state)
{
    static const char *const halves[] = {"\\ud83d",
                                         "\\ude00\\ude00",
                                         "\\ude00",
                                         "\\ude00\\ud83d",
                                         "\\ud83dx",
                                         "\\ud83d\\n",
                                         "\\ud83d\\u0041",
                                         "\\ud83d\\ud83d",
                                         "x\\udfff",
                                         "\\udbff",
                                         "\\ud800",
                                         "\\udc00",
                                         "\\ud83d\\ud83d\\ude00",
                                         "\\ud83d\\ude00\\ude00",
                                         "\\ud83d\\\\ude00"};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(halves); i++) {
        struct si_json_member wanted[] = {{.name = "a"}, {.name = "b", .opaque = true}};
        struct si_json_error why;
        char text[256];
        int len;

        len = sprintf(text, "{\"a\":\"%s\"}", halves[i]);
        assert_int_equal(read_all(text, (size_t)len, wanted, 2), SOTTO_E_JSON);
        assert_int_equal(si_json_read_copy(json, si_span_str(text), wanted, 2, &why), SOTTO_E_JSON);
        assert_string_equal(why.text, "half a surrogate pair");
        assert_int_equal(text[why.offset], '\\');
        assert_int_equal(si_json_each(json, si_span_str(text), visit_nothing, NULL, NULL),
                         SOTTO_E_JSON);
        len = sprintf(text, "{\"%s\":1}", halves[i]);
        assert_int_equal(read_all(text, (size_t)len, wanted, 2), SOTTO_E_JSON);
        len = sprintf(text, "{\"b\":\"%s\",\"c\":\"%s\",\"a\":[\"%s\",{\"%s\":0}]}", halves[i],
                      halves[i], halves[i], halves[i]);
        assert_int_equal(read_all(text, (size_t)len, wanted, 2), SOTTO_OK);
        len = sprintf(text, "[[\"%s\"],1]", halves[i]);
        assert_int_equal(si_json_each(json, si_span_str(text), visit_nothing, NULL, NULL),
                         SOTTO_OK);
        len = sprintf(text, "[1,\"%s\"]", halves[i]);
        assert_int_equal(si_json_each(json, si_span_str(text), visit_nothing, NULL, NULL),
                         SOTTO_E_JSON);
    }
}

static void test_depth(void **state)
{
    static const struct {
        const char *open, *close;
        unsigned levels;
    } kinds[] = {{"[", "]", 1},
                 {"{\"a\":", "}", 1},
                 {"[{\"b\":", "}]", 2},
                 {"{\"a\":[", "]}", 2},
                 {" [ 1 , ", " ] ", 1}};
    static const char *const inner[] = {"[]", "{}", "[0]", "{\"a\":0}"};

    (void)state;
    for (size_t k = 0; k < SI_COUNT(kinds); k++) {
        for (size_t n = 0; n < SI_COUNT(inner); n++) {
            for (unsigned depth = 60; depth <= 70; depth++) {
                /* One level is INNER's; `content`, unknown and wanted members have one around. */
                char text[2048] = "", object[2200];
                struct si_json_member wanted[] = {{.name = "a"}, {.name = "o", .opaque = true}};
                unsigned pieces = (depth - 1) / kinds[k].levels;
                bool ok;
                int len;

                for (unsigned i = 0; i < pieces; i++)
                    strcat(text, kinds[k].open);
                strcat(text, inner[n]);
                for (unsigned i = 0; i < pieces; i++)
                    strcat(text, kinds[k].close);
                ok = pieces * kinds[k].levels + 1 <= 64;
                assert_int_equal(check(text, strlen(text)), ok ? SOTTO_OK : SOTTO_E_JSON);
                show_and_compare(text, strlen(text), "depth in each",
                                 si_json_each(json, si_span_str(text), visit_nothing, NULL, NULL),
                                 ok);
                ok = pieces * kinds[k].levels + 2 <= 64;
                for (unsigned i = 0; i < 3; i++) {
                    len = sprintf(object, "{\"%c\":%s}", "aox"[i], text);
                    show_and_compare(object, (size_t)len, "depth",
                                     read_all(object, (size_t)len, wanted, 2), ok);
                }
            }
        }
    }
    /* Far too deep, open and closed: neither stack nor time. */
    for (size_t k = 0; k < 2; k++) {
        size_t count = 1000000, open = strlen(kinds[k].open);
        char *text = malloc(count * open);
        struct si_json_error why;

        assert_non_null(text);
        for (size_t i = 0; i < count; i++)
            memcpy(text + i * open, kinds[k].open, open);
        assert_int_equal(si_json_check(json, si_span(text, count * open), &why), SOTTO_E_JSON);
        assert_int_equal(why.offset, 64 * open);
        memset(text, ']', count);
        assert_int_equal(check(text, count), SOTTO_E_JSON);
        free(text);
    }
}

static void test_unsigned_numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_uint;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"1", true, 1},
        {"10", true, 10},
        {"9007199254740991", true, 9007199254740991},
        {"9007199254740992", true, 9007199254740992},
        {"9223372036854775808", true, UINT64_C(9223372036854775808)},
        {"18446744073709551609", true, UINT64_C(18446744073709551609)},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"20000000000000000000", false, 0},
        {"99999999999999999999", false, 0},
        {"100000000000000000000", false, 0},
        {"184467440737095516150", false, 0},
        {"340282366920938463463374607431768211456", false, 0},
        {"-0", false, 0},
        {"-1", false, 0},
        {"1.0", false, 0},
        {"1e1", false, 0},
        {"1E0", false, 0},
        {"0.0", false, 0},
        {"0e0", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        for (unsigned opaque = 0; opaque < 2; opaque++) {
            struct si_json_member wanted[] = {{.name = "n", .opaque = opaque != 0}};
            char text[128];
            int len = sprintf(text, "{\"n\":%s}", cases[i].text);

            assert_int_equal(read_all(text, (size_t)len, wanted, 1), SOTTO_OK);
            assert_int_equal(wanted[0].value.type, SI_JSON_NUMBER);
            assert_int_equal(wanted[0].value.is_uint, cases[i].is_uint);
            assert_true(wanted[0].value.uint == (cases[i].is_uint ? cases[i].value : 0));
            assert_int_equal(wanted[0].value.raw.len, strlen(cases[i].text));
        }
    }
}

struct visits {
    unsigned count, stop_at;
    char seen[256];
};

static sotto_err record(void *user, struct si_span name, const struct si_json_value *value)
{
    struct visits *v = user;
    size_t at = strlen(v->seen);

    if (++v->count == v->stop_at)
        return SOTTO_E_GONE;
    (void)snprintf(v->seen + at, sizeof v->seen - at, "%.*s=%d:%.*s;", (int)name.len,
                   (const char *)name.ptr, (int)value->type,
                   (int)(value->type == SI_JSON_STRING ? value->str.len : value->raw.len),
                   (const char *)(value->type == SI_JSON_STRING ? value->str.ptr : value->raw.ptr));
    return SOTTO_OK;
}

static void test_each(void **state)
{
    static const struct {
        const char *text, *seen; /* name=type:text; */
        unsigned stop_at;
        sotto_err err;
    } cases[] = {
        {"[]", "", 0, SOTTO_OK},
        {" { } ", "", 0, SOTTO_OK},
        {"[ 1 , \"a\\u0062\" ,[2, 3 ],{\"x\" :1} ,true,false,null]",
         "=4:1;=5:ab;=6:[2, 3 ];=7:{\"x\" :1};=3:true;=2:false;=1:null;", 0, SOTTO_OK},
        {"{\"a\":1,\"\\u0062\\n\" : \"\\u0041\" , \"\":{}}", "a=4:1;b\n=5:A;=7:{};", 0, SOTTO_OK},
        {"[1,2,3,4]", "=4:1;=4:2;", 3, SOTTO_E_GONE},
        {"{\"a\":1,\"b\":2}", "", 1, SOTTO_E_GONE},
        {"[1,2,3", "", 0, SOTTO_E_JSON},
        {"[1,2,[3}]", "", 0, SOTTO_E_JSON},
        {"[1,2,\"\\ud800\"]", "", 0, SOTTO_E_JSON},
        {"[1,2] 3", "", 0, SOTTO_E_JSON},
        {"{\"a\":1,\"b\":2,\"a\":3}", "", 1, SOTTO_E_JSON},
        {"{\"a\":1,\"b\":tru}", "", 1, SOTTO_E_JSON},
        {"\"a\"", "", 0, SOTTO_E_JSON},
        {"", "", 0, SOTTO_E_JSON},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        struct visits v = {.stop_at = cases[i].stop_at};
        uint8_t *p = own(cases[i].text, strlen(cases[i].text), 0);

        assert_int_equal(si_json_each(json, si_span(p, strlen(cases[i].text)), record, &v, NULL),
                         cases[i].err);
        assert_string_equal(v.seen, cases[i].seen);
        free(p);
    }
}

/* The reader's memory. */

static void test_reuse(void **state)
{
    enum { LARGE = 300000 };
    struct si_json *own_json;
    struct si_json_member wanted[] = {{.name = "s"}};
    char *large = malloc(LARGE);

    (void)state;
    assert_non_null(large);
    assert_int_equal(si_json_new(&own_json), SOTTO_OK);
    memset(large, 'x', LARGE);
    memcpy(large, "{\"s\":\"\\n", 8);
    memcpy(large + LARGE - 2, "\"}", 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(
            si_json_read_copy(own_json, si_span_str("{\"s\":\"\\u0041\"}"), wanted, 1, NULL),
            SOTTO_OK);
        assert_true(si_json_is(&wanted[0].value, "A"));
        assert_false(si_json_is(&wanted[0].value, "AA"));
        assert_int_equal(si_json_read_copy(own_json, si_span_str("{\"s\":\"\\uD"), wanted, 1, NULL),
                         SOTTO_E_JSON);
        assert_int_equal(si_json_read_copy(own_json, si_span(large, LARGE), wanted, 1, NULL),
                         SOTTO_OK);
        assert_int_equal(wanted[0].value.str.len, LARGE - 2 - 6 - 1);
        assert_int_equal(wanted[0].value.str.ptr[0], '\n');
        assert_int_equal(si_json_read_copy(own_json, si_span(large, LARGE - 1), wanted, 1, NULL),
                         SOTTO_E_JSON);
        assert_int_equal(si_json_check(own_json, si_span_str("[\"\xff\"]"), NULL), SOTTO_E_JSON);
    }
    si_json_free(own_json);
    si_json_free(NULL);
    free(large);
}

/* After a text of some size, one of that size or less allocates nothing. */
static void test_allocates_once(void **state)
{
#if defined(__GLIBC__) && !defined(WITH_ASAN)
    static const char text[] =
        "{\"id\":7,\"endpoint\":\"ec\\u0068o\",\"a\":1,\"b\":2,\"c\":[\"\\n\"],\"d\":0}";
    struct si_json_member wanted[] = {{.name = "id"}, {.name = "endpoint"}};
    struct mallinfo2 before, after;

    assert_int_equal(si_json_read_copy(json, si_span_str(text), wanted, 2, NULL), SOTTO_OK);
    before = mallinfo2();
    for (unsigned i = 0; i < 1000; i++) {
        if (si_json_read_copy(json, si_span(text, sizeof text - 1 - (i & 1)), wanted, 2, NULL) ==
                SOTTO_E_NOMEM ||
            si_json_each(json, si_span_str(text), visit_nothing, NULL, NULL) != SOTTO_OK ||
            si_json_check(json, si_span_str(text), NULL) != SOTTO_OK)
            fail();
    }
    after = mallinfo2();
    assert_int_equal(before.uordblks + before.hblkhd, after.uordblks + after.hblkhd);
    (void)state;
#else
    (void)state;
    skip();
#endif
}

static void test_no_memory(void **state)
{
    struct si_json_error why = {0, NULL};

    (void)state;
    /* simdjson counts with 32 bits.  The length is looked at before any byte. */
#if SIZE_MAX > 0xffffffff
    assert_int_equal(si_json_check(json, si_span("{}", 0x100000000), &why), SOTTO_E_NOMEM);
    assert_int_equal(check("{}", 2), SOTTO_OK);
#endif
#if !defined(WITH_ASAN)
    {
        pid_t child;
        int status;

        (void)fflush(NULL);
        child = fork();
        if (child == 0) {
            size_t len = 64 << 20;
            char *text = malloc(len);
            struct rlimit limit = {(rlim_t)len, (rlim_t)len};
            bool ok;

            if (text == NULL)
                _exit(1);
            memset(text, ' ', len);
            memcpy(text, "{}", 2);
            if (setrlimit(RLIMIT_AS, &limit) != 0)
                _exit(2);
            ok = si_json_check(json, si_span(text, len), &why) == SOTTO_E_NOMEM &&
                 si_json_check(json, si_span(text, len), &why) == SOTTO_E_NOMEM &&
                 si_json_check(json, si_span(text, 100), &why) == SOTTO_OK;
            _exit(ok ? 0 : 3);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
#endif
}

/* Texts at the end of a page that nothing readable follows but the padding. */
static void test_reads_no_further(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const char *const tails[] = {"\"}",  "\xc3", "\xe2\x82", "\xf0\x9f\x98",
                                        "\xf0", "\\",   "\\u00",    "\""};

    (void)state;
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
    for (size_t i = 0; i < SI_COUNT(tails); i++) {
        for (size_t fill = 0; fill < 300; fill++) {
            size_t tail = strlen(tails[i]), len = 6 + fill + tail;
            struct si_json_member wanted[] = {{.name = "a"}};

            for (size_t padding = 0; padding <= SI_JSON_PADDING; padding += SI_JSON_PADDING) {
                uint8_t *text = map + page - padding - len;
                struct si_span span = si_span(text, len);
                sotto_err expected = i == 0 ? SOTTO_OK : SOTTO_E_JSON;

                memset(map, 0x80, page);
                memset(text, 'x', len);
                memcpy(text, "{\"a\":\"", 6);
                memcpy(text + len - tail, tails[i], tail);
                if (padding > 0)
                    assert_int_equal(si_json_read(json, span, wanted, 1, NULL), expected);
                assert_int_equal(si_json_read_copy(json, span, wanted, 1, NULL), expected);
                assert_int_equal(si_json_check(json, span, NULL), expected);
                assert_int_equal(si_json_each(json, span, visit_nothing, NULL, NULL), expected);
            }
        }
    }
    assert_int_equal(munmap(map, 2 * page), 0);
}

/* Where an error is. */
static void test_positions(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "line 1, column 1: the text is empty"},
        {"  ", "line 1, column 3: the text ends too early"},
        {"{\"a\":1,}", "line 1, column 8: expected the name of a member"},
        {"[1,2,]", "line 1, column 6: expected a value"},
        {"{\n  \"a\": 1\n  \"b\": 2\n}", "line 3, column 3: expected ',' or '}'"},
        {"{\"\xc3\xa9\xe2\x82\xac\":tru}", "line 1, column 7: expected a value"},
        {"{\"a\" 1}", "line 1, column 6: expected ':'"},
        {"[1\r\n,01]", "line 2, column 3: malformed number"},
        {"{\"a\":1", "line 1, column 7: the text ends too early"},
        {"[1]\n]", "line 2, column 1: there is text behind the value"},
        {"{'a':1}", "line 1, column 2: expected the name of a member"},
        {"[\"a\\x\"]", "line 1, column 4: malformed escape"},
        {"[\"abc]", "line 1, column 2: string without end"},
        {"{\"a: 1, \"b\": \"c\"}", "line 1, column 10: expected ':'"},
        {"[1 2, \"abc]", "line 1, column 4: expected ',' or ']'"},
        {"[1, \"a\nb\"]", "line 1, column 7: control character in a string"},
        {"[1 \"a\nb\"]", "line 1, column 4: expected ',' or ']'"},
        {"[1, \"abc\", \"d]", "line 1, column 12: string without end"},
        {"{\"a\\x\":\"\n\"}", "line 1, column 4: malformed escape"},
        {"1 \"abc", "line 1, column 3: there is text behind the value"},
        {"[\"a\xff\"]", "line 1, column 4: not UTF-8"},
        {"[x, \"a\xff\"]", "line 1, column 2: expected a value"},
        {"\xef\xbb\xbf{}", "line 1, column 1: byte order mark"},
        {"[NaN]", "line 1, column 2: expected a value"},
        {"[\"\xe2\x82", "line 1, column 3: not UTF-8"},
    };
    sotto_error error;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        size_t len = strlen(cases[i].text);
        uint8_t *p = own(cases[i].text, len, 0);

        assert_int_equal(sotto_json_check((const char *)p, len, &error), SOTTO_E_JSON);
        assert_int_equal(error.code, SOTTO_E_JSON);
        assert_string_equal(error.why, cases[i].why);
        assert_true(strlen(error.what) > 0);
        assert_int_equal(sotto_json_check((const char *)p, len, NULL), SOTTO_E_JSON);
        free(p);
    }
    assert_int_equal(sotto_json_check("[1]", 3, &error), SOTTO_OK);
    assert_int_equal(sotto_json_check("[1]", 3, NULL), SOTTO_OK);
    assert_int_equal(sotto_json_check(NULL, 0, &error), SOTTO_E_JSON);
}

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_substitutions),
        cmocka_unit_test(test_token_soup),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_outermost_kinds),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_number_of_members),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_half_surrogates),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_unsigned_numbers),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_allocates_once),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_reads_no_further),
        cmocka_unit_test(test_positions),
    };

    return cmocka_run_group_tests_name(name, tests, setup, teardown);
}

/* simdjson looks at its variable once in a process. */
static int run_with(const char *implementation)
{
    pid_t child;
    int status;

    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        if (setenv("SIMDJSON_FORCE_IMPLEMENTATION", implementation, 1) != 0)
            _exit(1);
        rounds /= 4;
        exit(run(implementation));
    }
    return child < 0 || waitpid(child, &status, 0) != child || status != 0;
}

int main(void)
{
    int failed = 0;

#if defined(__x86_64__)
    failed += run_with("fallback");
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        failed += run_with("westmere");
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
        __builtin_cpu_supports("bmi"))
        failed += run_with("haswell");
#endif
    return failed + run("the best implementation") != 0;
}
