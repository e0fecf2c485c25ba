/* base: errors in words, buffers with a limit, byte order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"
#include "sotto/version.h"

static void every_code_has_a_name_and_a_text(void **state)
{
    (void)state;
#define SOTTO_X(name, value, text)                                                                 \
    assert_string_equal(sotto_err_name(SOTTO_##name), #name);                                      \
    assert_string_equal(sotto_strerror(SOTTO_##name), text);                                       \
    assert_int_equal(SOTTO_##name, value);
    SOTTO_ERRORS(SOTTO_X)
#undef SOTTO_X
    assert_string_equal(sotto_strerror((sotto_err)9999), "unknown error");
    assert_string_equal(sotto_err_name((sotto_err)-1), "E_UNKNOWN");
    assert_string_equal(sotto_stage_name(SOTTO_STAGE_TRUST), "trust");
    assert_string_equal(sotto_stage_name((sotto_stage)99), "");
    assert_string_equal(sotto_version(), SOTTO_VERSION);
}

static void error_text_cannot_steer_a_terminal(void **state)
{
    sotto_error e;

    (void)state;
    assert_int_equal(si_error(&e, SOTTO_E_FILE, "a\x1b[2Jb\nc\x7f"), SOTTO_E_FILE);
    assert_string_equal(e.what, "a?[2Jb?c?");
    si_error_why(&e, "%s",
                 "x\xc2\x9b"
                 "31m \xc3\xa9");
    assert_string_equal(e.why, "x??31m \xc3\xa9");
    si_error_hint(&e, "try %d", 5);
    assert_string_equal(e.hint, "try 5");
    si_error_errno(&e, 2);
    assert_string_equal(e.why, "No such file or directory");
    assert_int_equal(e.sys_errno, 2);
}

static void error_text_is_cut_between_characters(void **state)
{
    sotto_error e;
    char text[300];
    size_t len;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof e.what - 3, "\xe2\x82\xac", 3); /* three bytes where two fit */
    text[sizeof text - 1] = '\0';
    (void)si_error(&e, SOTTO_E_FILE, "%s", text);
    len = strlen(e.what);
    assert_int_equal(len, sizeof e.what - 3);
    assert_int_equal(e.what[len - 1], 'a');
}

static void null_error_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(si_error(NULL, SOTTO_E_KEY, "x"), SOTTO_E_KEY);
    si_error_why(NULL, "x");
    si_error_hint(NULL, "x");
    si_error_errno(NULL, 1);
    si_error_stage(NULL, SOTTO_STAGE_PSK);
}

static void buffer_never_grows_beyond_its_maximum(void **state)
{
    struct si_buf b = si_buf(1000);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(si_buf_put(&b, "0123456789", 10), SOTTO_OK);
    assert_int_equal(si_buf_put(&b, "x", 1), SOTTO_E_TOO_LARGE);
    assert_int_equal(b.len, 1000);
    assert_true(b.cap <= 1000);
    assert_int_equal(si_buf_reserve(&b, SIZE_MAX), SOTTO_E_TOO_LARGE);
    si_buf_consume(&b, 995);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.ptr, "56789", 5);
    si_buf_consume(&b, 0);
    si_buf_free(&b);
    assert_null(b.ptr);
    assert_int_equal(b.max, 1000);
    si_buf_free(&b);
}

static void buffer_wipes_what_it_leaves(void **state)
{
    struct si_buf b = si_buf(64);
    uint8_t *ptr;

    (void)state;
    assert_int_equal(si_buf_put(&b, "secret", 6), SOTTO_OK);
    ptr = b.ptr;
    si_wipe(ptr, 6);
    assert_memory_equal(ptr, "\0\0\0\0\0\0", 6);
    si_buf_free(&b);
}

static void printf_and_json_strings(void **state)
{
    struct si_buf b = si_buf(200), small = si_buf(4);

    (void)state;
    assert_int_equal(si_buf_printf(&b, "%d,%s", 7, "x"), SOTTO_OK);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.ptr, "7,x", 3);
    b.len = 0;
    assert_int_equal(si_buf_put_json_string(&b, "a\"\\\n\x01\xc3\xa9/", 8), SOTTO_OK);
    assert_int_equal(b.len, strlen("\"a\\\"\\\\\\n\\u0001\xc3\xa9/\""));
    assert_memory_equal(b.ptr, "\"a\\\"\\\\\\n\\u0001\xc3\xa9/\"", b.len);
    assert_int_equal(si_buf_put_json_string(&small, "abc", 3), SOTTO_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
    si_buf_free(&b);
    si_buf_free(&small);
}

static void byte_order(void **state)
{
    uint8_t p[8];

    (void)state;
    si_put_be16(p, 0x1234);
    assert_memory_equal(p, "\x12\x34", 2);
    assert_int_equal(si_get_be16(p), 0x1234);
    si_put_be32(p, 0xfedcba98);
    assert_memory_equal(p, "\xfe\xdc\xba\x98", 4);
    assert_true(si_get_be32(p) == 0xfedcba98);
    si_put_be64(p, 0x0102030405060708);
    assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
    si_put_le64(p, 0x0102030405060708);
    assert_memory_equal(p, "\10\7\6\5\4\3\2\1", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_text),
        cmocka_unit_test(error_text_cannot_steer_a_terminal),
        cmocka_unit_test(error_text_is_cut_between_characters),
        cmocka_unit_test(null_error_is_allowed),
        cmocka_unit_test(buffer_never_grows_beyond_its_maximum),
        cmocka_unit_test(buffer_wipes_what_it_leaves),
        cmocka_unit_test(printf_and_json_strings),
        cmocka_unit_test(byte_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
