/* What a message means: docs/protocol.md, section 7. */
#include "rpc/envelope.h"
#include "rpc_support.h"

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

/* ---- Tables ---------------------------------------------------------------------------------- */

enum { BROKEN = 0 }; /* no kind: a protocol error */

struct read_case {
    const char *text;
    int kind;
    uint64_t id;         /* 0: none */
    const char *content; /* NULL: not looked at */
    uint32_t ms;         /* deadline or reconnect */
    const char *code, *message, *data;
};

#define CASE(kind_, id_, text_)                                                                    \
    {                                                                                              \
        .text = text_, .kind = kind_, .id = id_                                                    \
    }
#define WRONG(text_)                                                                               \
    {                                                                                              \
        .text = text_, .kind = BROKEN                                                              \
    }
#define CONTENT(kind_, id_, text_, content_)                                                       \
    {                                                                                              \
        .text = text_, .kind = kind_, .id = id_, .content = content_                               \
    }
#define TIME(kind_, text_, ms_)                                                                    \
    {                                                                                              \
        .text = text_, .kind = kind_, .ms = ms_                                                    \
    }
#define CLOSE(id_, text_, ms_, code_, message_)                                                    \
    {                                                                                              \
        .text = text_, .kind = SI_CLOSE, .id = id_, .ms = ms_, .code = code_, .message = message_  \
    }
#define FAILURE(text_, code_, message_, data_)                                                     \
    {                                                                                              \
        .text = text_, .kind = SI_FAILURE, .id = 7, .code = code_, .message = message_,            \
        .data = data_                                                                              \
    }

static const char name128[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                              "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDE.";

static const struct read_case client_cases[] = {
    /* requests */
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\"}", "null"),
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\",\"content\":null}", "null"),
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\",\"content\": [1, 2] }", "[1, 2]"),
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\",\"content\":{\"a\":1,\"a\":2}}",
            "{\"a\":1,\"a\":2}"),
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\",\"content\":\"\\ud800\"}", "\"\\ud800\""),
    CONTENT(SI_REQUEST, 0, "{\"endpoint\":\"echo\",\"content\":1e999}", "1e999"),
    CONTENT(SI_REQUEST, 0, "{\"content\":{\"id\":0,\"close\":1},\"endpoint\":\"echo\"}",
            "{\"id\":0,\"close\":1}"),
    {.text = "{\"id\":7,\"endpoint\":\"echo\",\"content\":\"x\",\"deadline_ms\":2000}",
     .kind = SI_REQUEST,
     .id = 7,
     .content = "\"x\"",
     .ms = 2000},
    CASE(SI_REQUEST, 1, "{\"id\":1,\"endpoint\":\"e\"}"),
    CASE(SI_REQUEST, SI_ID_MAX, "{\"id\":9007199254740991,\"endpoint\":\"e\"}"),
    TIME(SI_REQUEST, "{\"endpoint\":\"e\",\"deadline_ms\":1}", 1),
    TIME(SI_REQUEST, "{\"endpoint\":\"e\",\"deadline_ms\":2147483648}", 2147483648u),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"e\",\"notify\":false}"),
    CASE(SI_REQUEST, 7, "{\"id\":7,\"endpoint\":\"e\",\"notify\":false}"),
    CASE(SI_REQUEST, 0, "{\"\\u0065ndpoint\":\"\\u0065cho\"}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"A.z_0/-9\"}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"$/ping\"}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"$/what.ever\"}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"e\",\"more\":5,\"error\":6,\"draining\":7,\"data\":8}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"e\",\"x\":{\"a\":1,\"a\":1},\"y\":\"\\udc00\"}"),
    CASE(SI_REQUEST, 0, "{\"endpoint\":\"e\",\"ID\":0,\"Close\":1,\"NOTIFY\":2}"),
    CASE(SI_REQUEST, 0, " \t\r\n{ \"endpoint\" : \"e\" } \n"),

    /* notifications */
    CONTENT(SI_NOTIFICATION, 0, "{\"endpoint\":\"log\",\"content\":1,\"notify\":true}", "1"),
    CONTENT(SI_NOTIFICATION, 0, "{\"notify\":true,\"endpoint\":\"log\"}", "null"),
    TIME(SI_NOTIFICATION, "{\"notify\":true,\"endpoint\":\"log\",\"deadline_ms\":5}", 5),
    CASE(SI_NOTIFICATION, 0, "{\"notify\":true,\"endpoint\":\"$/ping\"}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true,\"endpoint\":5}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true,\"endpoint\":\"\"}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true,\"cancel\":true}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true,\"endpoint\":\"log\",\"cancel\":true}"),
    CASE(SI_IGNORED, 0, "{\"notify\":true,\"endpoint\":\"log\",\"deadline_ms\":0}"),

    /* cancels */
    CASE(SI_CANCEL, 7, "{\"id\":7,\"cancel\":true}"),
    CASE(SI_CANCEL, SI_ID_MAX, "{\"cancel\":true,\"id\":9007199254740991}"),
    CASE(SI_CANCEL, 7, "{\"id\":7,\"cancel\":true,\"notify\":true}"),
    CASE(SI_CANCEL, 7, "{\"id\":7,\"cancel\":true,\"content\":1,\"deadline_ms\":\"x\"}"),

    /* closes */
    CLOSE(0, "{\"close\":{\"code\":\"done\"}}", 0, "done", ""),
    CLOSE(0, "{\"close\":{\"code\":\"done\",\"message\":\"b\\u0079e\"}}", 0, "done", "bye"),
    CLOSE(0, "{\"close\":{\"code\":\"draining\",\"reconnect_after_ms\":500}}", 500, "draining", ""),
    CLOSE(0, "{\"close\":{\"reconnect_after_ms\":99999999999}}", UINT32_MAX, "", ""),
    CLOSE(0, "{\"close\":{\"reconnect_after_ms\":-1,\"message\":5}}", 0, "", ""),
    CLOSE(0, "{\"close\":{\"code\":5}}", 0, "", ""),
    CLOSE(0, "{\"close\":{\"code\":\"x\",\"y\":{\"a\":1,\"a\":2}}}", 0, "x", ""),
    CLOSE(0, "{\"close\":{}}", 0, "", ""),
    CLOSE(0, "{\"close\":null}", 0, "", ""),
    CLOSE(0, "{\"close\":false}", 0, "", ""),
    CLOSE(0, "{\"close\":\"done\"}", 0, "", ""),
    CLOSE(0, "{\"close\":[{\"code\":\"done\"}]}", 0, "", ""),
    CLOSE(7, "{\"id\":7,\"close\":{\"code\":\"done\"}}", 0, "done", ""),
    CLOSE(0, "{\"endpoint\":5,\"notify\":true,\"close\":{}}", 0, "", ""),
    CLOSE(7, "{\"id\":7,\"cancel\":true,\"close\":{}}", 0, "", ""),
    CLOSE(0, "{\"close\":{},\"deadline_ms\":\"x\",\"notify\":0}", 0, "", ""),

    /* requests with other faults: they count, and are answered */
    CASE(SI_INVALID_REQUEST, 0, "{}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"content\":1}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"content\":1}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"draining\":{\"reconnect_after_ms\":1}}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":null}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":5}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":true}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":[\"e\"]}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":{\"e\":1}}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"\"}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"endpoint\":\"\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"a b\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"a:b\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"\xc3\xa9\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"echo\\u0000\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"$\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"$/\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"$ping\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"$/$/x\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"x$/\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":0}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":2147483649}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":18446744073709551617}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":-1}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":1.0}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":1e3}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":\"5\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"deadline_ms\":null}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"endpoint\":\"e\",\"cancel\":true}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"cancel\":true}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"cancel\":false}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"endpoint\":null,\"cancel\":true}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"cancel\":true}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"cancel\":false}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"cancel\":1}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"cancel\":\"true\"}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"cancel\":null}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"endpoint\":\"e\",\"notify\":true}"),
    CASE(SI_INVALID_REQUEST, 7, "{\"id\":7,\"notify\":true}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"notify\":1}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"notify\":null}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"notify\":\"true\"}"),
    CASE(SI_INVALID_REQUEST, 0, "{\"endpoint\":\"e\",\"notify\":[true]}"),

    /* protocol errors */
    WRONG(""),
    WRONG(" "),
    WRONG("null"),
    WRONG("[]"),
    WRONG("\"e\""),
    WRONG("[{\"endpoint\":\"e\"}]"),
    WRONG("{\"endpoint\":\"e\""),
    WRONG("{\"endpoint\":\"e\",}"),
    WRONG("{\"endpoint\":\"e\"}x"),
    WRONG("{\"endpoint\":\"e\"}{}"),
    WRONG("\xef\xbb\xbf{\"endpoint\":\"e\"}"),
    WRONG("{\"endpoint\":\"\xff\"}"),
    WRONG("{\"endpoint\":\"\\ud800\"}"),
    WRONG("{\"endpoint\":\"e\",\"\\udc00\":1}"),
    WRONG("{\"endpoint\":\"e\",\"content\":01}"),
    WRONG("{\"endpoint\":\"e\",\"content\":}"),
    WRONG("{\"endpoint\":\"e\",\"endpoint\":\"e\"}"),
    WRONG("{\"endpoint\":\"e\",\"content\":1,\"c\\u006fntent\":1}"),
    WRONG("{\"endpoint\":\"e\",\"x\":1,\"x\":1}"),
    WRONG("{\"id\":7,\"id\":7,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":0,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":9007199254740992,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":18446744073709551617,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":-1,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":-0,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":1.0,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":1e0,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":\"7\",\"endpoint\":\"e\"}"),
    WRONG("{\"id\":null,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":true,\"endpoint\":\"e\"}"),
    WRONG("{\"id\":[7],\"endpoint\":\"e\"}"),
    WRONG("{\"id\":{},\"endpoint\":\"e\"}"),
    WRONG("{\"id\":0,\"close\":{}}"),
    WRONG("{\"id\":0,\"cancel\":true}"),
    WRONG("{\"id\":\"x\",\"endpoint\":\"e\",\"notify\":true}"),
    WRONG("{\"close\":{},\"close\":{}}"),
    WRONG("{\"close\":{\"code\":\"a\",\"code\":\"a\"}}"),
    WRONG("{\"close\":{\"x\":1,\"x\":1}}"),
    WRONG("{\"close\":{\"code\":\"\\ud800\"}}"),
    WRONG("{\"close\":\"\\ud800\"}"),
    WRONG("{\"notify\":true,\"x\":1,\"x\":2}"),
};

static const struct read_case server_cases[] = {
    CONTENT(SI_ANSWER, 7, "{\"id\":7,\"content\":{\"a\":1}}", "{\"a\":1}"),
    CONTENT(SI_ANSWER, 1, "{\"content\":\"x\",\"id\":1}", "\"x\""),
    CONTENT(SI_ANSWER, SI_ID_MAX, "{\"id\":9007199254740991,\"content\":0}", "0"),
    CONTENT(SI_ANSWER, 7, "{\"id\":7}", "null"),
    CONTENT(SI_ANSWER, 7, "{\"id\":7,\"more\":false}", "null"),
    CONTENT(SI_ANSWER, 7, "{\"id\":7,\"content\":\"\\ud800\"}", "\"\\ud800\""),
    CONTENT(
        SI_ANSWER, 7,
        "{\"id\":7,\"content\":1,\"endpoint\":5,\"notify\":5,\"cancel\":5,\"deadline_ms\":\"\"}",
        "1"),
    CONTENT(SI_ANSWER, 7, "{\"id\":7,\"content\":[],\"x\":{\"a\":1,\"a\":1}}", "[]"),
    CONTENT(SI_PART, 7, "{\"id\":7,\"content\":1,\"more\":true}", "1"),
    CONTENT(SI_PART, 7, "{\"id\":7,\"more\":true}", "null"),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"not_found\",\"message\":\"n\\u006f\"}}", "not_found",
            "no", ""),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"b.c\",\"data\":{\"a\":1,\"a\":2}}}", "b.c", "",
            "{\"a\":1,\"a\":2}"),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"tired\",\"data\":null}}", "tired", "", "null"),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"x\",\"data\":\"\\ud800\"}}", "x", "", "\"\\ud800\""),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"\",\"z\":1}}", "", "", ""),
    FAILURE("{\"id\":7,\"error\":{\"code\":\"internal\"},\"more\":false}", "internal", "", ""),
    TIME(SI_DRAINING, "{\"draining\":{\"reconnect_after_ms\":500}}", 500),
    TIME(SI_DRAINING, "{\"draining\":{\"reconnect_after_ms\":0}}", 0),
    TIME(SI_DRAINING, "{\"draining\":{\"reconnect_after_ms\":4294967296}}", UINT32_MAX),
    TIME(SI_DRAINING, "{\"draining\":{}}", 0),
    TIME(SI_DRAINING, "{\"draining\":{\"x\":1},\"content\":5}", 0),
    CLOSE(0, "{\"close\":{\"code\":\"idle\"}}", 0, "idle", ""),
    CLOSE(0, "{\"close\":{\"code\":\"draining\",\"message\":\"m\",\"reconnect_after_ms\":9}}", 9,
          "draining", "m"),
    CLOSE(0, "{\"close\":null}", 0, "", ""),
    CLOSE(0, "{\"close\":{\"code\":[]}}", 0, "", ""),
    CLOSE(7, "{\"id\":7,\"close\":{\"code\":\"done\"}}", 0, "done", ""),
    CLOSE(0, "{\"close\":{},\"draining\":5,\"error\":6}", 0, "", ""),
    CASE(SI_IGNORED, 0, "{}"),
    CASE(SI_IGNORED, 0, "{\"hello\":1}"),
    CASE(SI_IGNORED, 0, "{\"content\":1,\"more\":7}"),
    CASE(SI_IGNORED, 0, "{\"error\":{\"code\":\"internal\"}}"),
    CASE(SI_IGNORED, 0, "{\"endpoint\":\"e\",\"content\":1}"),

    WRONG(""),
    WRONG("null"),
    WRONG("[]"),
    WRONG("{\"id\":7"),
    WRONG("{\"id\":7}}"),
    WRONG("{\"id\":7,\"id\":7}"),
    WRONG("{\"x\":1,\"x\":1}"),
    WRONG("{\"id\":0}"),
    WRONG("{\"id\":9007199254740992}"),
    WRONG("{\"id\":\"7\"}"),
    WRONG("{\"id\":null}"),
    WRONG("{\"id\":7.0}"),
    WRONG("{\"id\":0,\"close\":{}}"),
    WRONG("{\"id\":7,\"content\":tru}"),
    WRONG("{\"id\":7,\"content\":1,\"more\":1}"),
    WRONG("{\"id\":7,\"content\":1,\"more\":null}"),
    WRONG("{\"id\":7,\"content\":1,\"more\":\"true\"}"),
    WRONG("{\"id\":7,\"error\":null}"),
    WRONG("{\"id\":7,\"error\":\"internal\"}"),
    WRONG("{\"id\":7,\"error\":[]}"),
    WRONG("{\"id\":7,\"error\":{}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":5}}"),
    WRONG("{\"id\":7,\"error\":{\"message\":\"x\"}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":\"x\",\"message\":null}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":\"x\",\"code\":\"x\"}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":\"\\ud800\"}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":\"x\",\"data\":1,\"data\":1}}"),
    WRONG("{\"id\":7,\"content\":1,\"error\":{\"code\":\"x\"}}"),
    WRONG("{\"id\":7,\"error\":{\"code\":\"x\"},\"more\":true}"),
    WRONG("{\"id\":7,\"draining\":{}}"),
    WRONG("{\"draining\":null}"),
    WRONG("{\"draining\":true}"),
    WRONG("{\"draining\":[]}"),
    WRONG("{\"draining\":{\"reconnect_after_ms\":\"5\"}}"),
    WRONG("{\"draining\":{\"reconnect_after_ms\":1.5}}"),
    WRONG("{\"draining\":{\"reconnect_after_ms\":-1}}"),
    WRONG("{\"draining\":{\"reconnect_after_ms\":1,\"reconnect_after_ms\":1}}"),
    WRONG("{\"draining\":{},\"draining\":{}}"),
    WRONG("{\"close\":{\"code\":\"done\",\"code\":\"done\"}}"),
};

static bool same(struct si_span span, const char *text)
{
    return span.len == strlen(text) && (span.len == 0 || memcmp(span.ptr, text, span.len) == 0);
}

/* What a kind does not have is empty. */
static bool has_no_more(const struct si_envelope *e)
{
    bool asks = e->kind == SI_REQUEST || e->kind == SI_NOTIFICATION;
    bool ends = e->kind == SI_FAILURE || e->kind == SI_CLOSE;

    return (asks || (e->endpoint.len == 0 && e->deadline_ms == 0)) &&
           (asks || e->kind == SI_ANSWER || e->kind == SI_PART || e->content.len == 0) &&
           (ends || (e->code.len == 0 && e->message.len == 0)) &&
           (e->kind == SI_FAILURE || e->data.len == 0) &&
           (e->kind == SI_CLOSE || e->kind == SI_DRAINING || e->reconnect_after_ms == 0) &&
           (e->kind == SI_INVALID_REQUEST || e->kind == SI_IGNORED || e->why == NULL);
}

typedef sotto_err reader(struct si_json *json, struct si_span text, struct si_envelope *out);

static void check_cases(const struct read_case *cases, size_t count, reader *read)
{
    for (size_t i = 0; i < count; i++) {
        const struct read_case *c = &cases[i];
        struct si_span text = padded_str(c->text);
        struct si_envelope e;
        sotto_err err;
        bool ok;

        memset(&e, 0xa5, sizeof e); /* nothing of what was there before stays */
        err = read(json, text, &e);
        ok = err == (c->kind == BROKEN ? SOTTO_E_PROTOCOL : SOTTO_OK);

        if (ok && c->kind != BROKEN)
            ok = (int)e.kind == c->kind && e.has_id == (c->id != 0) && e.id == c->id &&
                 c->ms == (e.kind == SI_REQUEST || e.kind == SI_NOTIFICATION
                               ? e.deadline_ms
                               : e.reconnect_after_ms) &&
                 (e.kind != SI_INVALID_REQUEST || e.why != NULL) &&
                 (c->content == NULL || same(e.content, c->content)) &&
                 (c->code == NULL || same(e.code, c->code)) &&
                 (c->message == NULL || same(e.message, c->message)) &&
                 (c->data == NULL || same(e.data, c->data)) && has_no_more(&e);
        if (!ok) {
            print_error("%s: %s, kind %d\n", c->text, sotto_err_name(err), (int)e.kind);
            fail();
        }
        padded_free(text);
    }
}

static void test_client(void **state)
{
    (void)state;
    assert_true(SI_COUNT(client_cases) >= 100);
    check_cases(client_cases, SI_COUNT(client_cases), si_envelope_read_client);
}

static void test_server(void **state)
{
    (void)state;
    assert_true(SI_COUNT(server_cases) >= 50);
    check_cases(server_cases, SI_COUNT(server_cases), si_envelope_read_server);
}

/* Every prefix of every text that is right is wrong: nothing may depend on the bytes behind it. */
static void test_truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(client_cases) + SI_COUNT(server_cases); i++) {
        const struct read_case *c = i < SI_COUNT(client_cases)
                                        ? &client_cases[i]
                                        : &server_cases[i - SI_COUNT(client_cases)];
        size_t len = strlen(c->text);

        while (len > 0 && c->text[len - 1] != '}')
            len--;
        if (c->kind == BROKEN)
            continue;
        for (size_t n = 0; n < len; n++) {
            struct si_span text = padded(c->text, n);
            struct si_envelope e;

            assert_int_equal(si_envelope_read_client(json, text, &e), SOTTO_E_PROTOCOL);
            assert_int_equal(si_envelope_read_server(json, text, &e), SOTTO_E_PROTOCOL);
            padded_free(text);
        }
    }
}

/* Every byte of every text replaced: nothing but these two results, and no byte behind the text
 * counts. */
static void test_replaced_bytes(void **state)
{
    static const char bytes[] = "\"\\{}[]:,0e-u \xc3\xff";

    (void)state;
    for (size_t i = 0; i < SI_COUNT(client_cases) + SI_COUNT(server_cases); i++) {
        const struct read_case *c = i < SI_COUNT(client_cases)
                                        ? &client_cases[i]
                                        : &server_cases[i - SI_COUNT(client_cases)];

        for (size_t n = 0; n < strlen(c->text) * sizeof bytes; n++) {
            struct si_span text = padded_str(c->text);
            struct si_envelope e;
            sotto_err err;

            ((uint8_t *)(uintptr_t)text.ptr)[n / sizeof bytes] = (uint8_t)bytes[n % sizeof bytes];
            err = si_envelope_read_client(json, text, &e);
            assert_true(err == SOTTO_OK || err == SOTTO_E_PROTOCOL);
            if (err == SOTTO_OK) {
                assert_true(e.kind <= SI_IGNORED || e.kind == SI_CLOSE);
                assert_true(e.kind != SI_CANCEL || e.has_id);
                assert_true(e.kind != SI_REQUEST || si_endpoint_name_ok(e.endpoint, true));
                assert_true(e.kind != SI_REQUEST || si_content_check(json, e.content) == SOTTO_OK);
            }
            err = si_envelope_read_server(json, text, &e);
            assert_true(err == SOTTO_OK || err == SOTTO_E_PROTOCOL);
            assert_true(err != SOTTO_OK || e.kind >= SI_IGNORED);
            padded_free(text);
        }
    }
}

/* Escapes in a name or an endpoint: the result is the unescaped one. */
static void test_endpoint_span(void **state)
{
    struct si_span text = padded_str("{\"endpoint\":\"\\u0065ch\\u006f\",\"id\":3}");
    struct si_envelope e;

    (void)state;
    assert_int_equal(si_envelope_read_client(json, text, &e), SOTTO_OK);
    assert_true(same(e.endpoint, "echo"));
    padded_free(text);
}

static void test_depth(void **state)
{
    (void)state;
    for (unsigned depth = 60; depth < 68; depth++) {
        char message[512];
        struct si_span text;
        struct si_envelope e;
        sotto_err want = depth <= 63 ? SOTTO_OK : SOTTO_E_PROTOCOL;

        snprintf(message, sizeof message, "{\"id\":1,\"endpoint\":\"e\",\"content\":%s}",
                 nested(depth));
        text = padded_str(message);
        assert_int_equal(si_envelope_read_client(json, text, &e), want);
        assert_int_equal(si_envelope_read_server(json, text, &e), want);
        padded_free(text);
        assert_int_equal(si_content_check(json, si_span_str(nested(depth))),
                         depth <= 63 ? SOTTO_OK : SOTTO_E_JSON);
    }
}

/* More than 64 brackets that are none, and quotes that do not end the string. */
#define BRACKETS "[{[{[{[{[{[{[{[{[{[{"
static const char brackets[] = "[\"\\\"" BRACKETS BRACKETS BRACKETS BRACKETS "\",\"\\\\\",{},"
                               "\"" BRACKETS BRACKETS BRACKETS BRACKETS "\"]";

/* What may be content: checked against putting it into an answer and reading that. */
static void test_content_check(void **state)
{
    static const char *const texts[] = {
        "",    " ",      "null",        " null ",   "nul", "1",
        "01",  "\"a\"",  "\"\\ud800\"", "[1,]",     "{}",  "{\"a\":1,\"a\":2}",
        "1 2", "\xff",   "\"\xff\"",    "\"\x01\"", "1}",  "1,\"id\":2",
        "\"",  brackets,
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(texts) + 4; i++) {
        char content[1024], message[1200];
        struct si_span text;
        struct si_envelope e;
        sotto_err err;

        /* 62 to 65 deep, with brackets and quotes in the names. */
        if (i >= SI_COUNT(texts)) {
            size_t depth = 62 + i - SI_COUNT(texts), at = 0;

            for (size_t n = 1; n < depth; n++)
                at += (size_t)sprintf(content + at, n % 2 ? "{\"}\\\"]\":" : "[");
            at += (size_t)sprintf(content + at, "[]");
            for (size_t n = depth - 1; n > 0; n--)
                content[at++] = n % 2 ? '}' : ']';
            content[at] = '\0';
        } else {
            snprintf(content, sizeof content, "%s", texts[i]);
        }
        snprintf(message, sizeof message, "{\"id\":1,\"content\":%s}", content);
        text = padded_str(message);
        err = si_envelope_read_server(json, text, &e);
        /* " " leaves no value, and "1,\"id\":2" and "1}" are caught by the check alone or by
         * both. */
        assert_int_equal(si_content_check(json, si_span_str(content)),
                         err == SOTTO_OK ? SOTTO_OK : SOTTO_E_JSON);
        padded_free(text);
    }
    assert_int_equal(si_content_check(json, si_span_str("1,\"x\":2")), SOTTO_E_JSON);
    assert_int_equal(si_content_check(json, si_span(NULL, 0)), SOTTO_E_JSON);
}

/* ---- Names and codes ------------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const char *const good[] = {"a", "Z", "0",   ".",         "_",
                                       "/", "-", "...", "a/b.c_d-e", name128};
    static const char *const bad[] = {"",    " ", "a b", "a:b", "$", "$a", "a$/", "\xc3\xa9",
                                      "a\n", "*", "@",   "[",   "`", "{",  ",",   "+"};
    char text[140];

    (void)state;
    assert_int_equal(strlen(name128), SI_ENDPOINT_LEN_MAX);
    for (size_t i = 0; i < SI_COUNT(good); i++) {
        snprintf(text, sizeof text, "$/%s", good[i]);
        assert_true(si_endpoint_name_ok(si_span_str(good[i]), false));
        assert_true(si_endpoint_name_ok(si_span_str(good[i]), true));
        assert_true(si_endpoint_name_ok(si_span_str(text), true));
        assert_false(si_endpoint_name_ok(si_span_str(text), false));
    }
    for (size_t i = 0; i < SI_COUNT(bad); i++) {
        snprintf(text, sizeof text, "$/%s", bad[i]);
        assert_false(si_endpoint_name_ok(si_span_str(bad[i]), false));
        assert_false(si_endpoint_name_ok(si_span_str(bad[i]), true));
        assert_false(si_endpoint_name_ok(si_span_str(text), true));
    }
    snprintf(text, sizeof text, "%sx", name128);
    assert_false(si_endpoint_name_ok(si_span_str(text), true));
    snprintf(text, sizeof text, "$/%sx", name128);
    assert_false(si_endpoint_name_ok(si_span_str(text), true));
    assert_false(si_endpoint_name_ok(si_span("a\0", 2), true));
    assert_false(si_endpoint_name_ok(si_span(NULL, 0), true));
    /* Every byte, alone. */
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c;
        bool ok = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789._/-",
                                   (int)c) != NULL;

        assert_int_equal(si_endpoint_name_ok(si_span(&byte, 1), true), ok);
    }
}

static void test_codes(void **state)
{
    static const char *const good[] = {
        "invalid_request", "invalid_content", "not_found",         "denied",
        "too_large",       "cancelled",       "deadline_exceeded", "internal",
        "overloaded",      "unavailable",     "billing.no_credit", "a.b",
        "a-1.b_2.c"};
    static const char *const bad[] = {"",           "tired", "Internal", "internal ", ".a",
                                      "a.",         ".",     "a.B",      "a .b",      "a\".b",
                                      "a.\xc3\xa9", "done",  "idle",     "a/b.c"};
    char text[140];

    (void)state;
    for (size_t i = 0; i < SI_COUNT(good); i++)
        assert_true(si_error_code_ok(si_span_str(good[i])));
    for (size_t i = 0; i < SI_COUNT(bad); i++)
        assert_false(si_error_code_ok(si_span_str(bad[i])));
    memset(text, 'a', sizeof text);
    text[1] = '.';
    assert_true(si_error_code_ok(si_span(text, SI_CODE_LEN_MAX)));
    assert_false(si_error_code_ok(si_span(text, SI_CODE_LEN_MAX + 1)));
    assert_false(si_error_code_ok(si_span(NULL, 0)));
}

/* ---- Composing ------------------------------------------------------------------------------- */

static void test_put_failure(void **state)
{
    static const char first[] = "{\"id\":9007199254740991,\"error\":{\"code\":\"a.b\"}}";
    static const char second[] = "{\"id\":1,\"error\":{\"code\":\"denied\",\"message\":\"\\\"\\n\","
                                 "\"data\":[1]}}";
    struct si_span none = si_span(NULL, 0), code = si_span_str("denied");
    struct si_span message = si_span_str("\"\n"), data = si_span_str("[1]");
    struct si_buf b = si_buf(1000);

    (void)state;
    assert_int_equal(si_envelope_put_failure(&b, SI_ID_MAX, si_span_str("a.b"), none, none),
                     SOTTO_OK);
    assert_int_equal(b.len, strlen(first));
    assert_memory_equal(b.ptr, first, b.len);
    assert_int_equal(si_envelope_put_failure(&b, 1, code, message, data), SOTTO_OK);
    assert_int_equal(b.len, strlen(first) + strlen(second));
    assert_memory_equal(b.ptr + strlen(first), second, strlen(second));
    si_buf_free(&b);
    /* Without room for it, whatever is missing, nothing changes. */
    for (size_t room = 0; room <= strlen(second); room++) {
        bool fits = room == strlen(second);

        b = si_buf(1 + room);
        assert_int_equal(si_buf_puts(&b, "x"), SOTTO_OK);
        assert_int_equal(si_envelope_put_failure(&b, 1, code, message, data),
                         fits ? SOTTO_OK : SOTTO_E_TOO_LARGE);
        assert_int_equal(b.len, fits ? 1 + room : 1);
        si_buf_free(&b);
    }
}

static void test_out_of_memory(void **state)
{
    char *text = malloc(100001);
    struct si_span big;
    struct si_envelope e;
    sotto_err err;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', 100000);
    memcpy(text, "{\"id\":1,\"close\":{\"code\":\"x\"}}", 29);
    big = padded(text, 100000);
    free(text);
    for (size_t n = 0;; n++) {
        memory_fail(n, false);
        err = si_envelope_read_client(json, big, &e);
        if (!memory_heal())
            break;
        assert_int_equal(err, SOTTO_E_NOMEM);
        assert_true(n < 100);
    }
    assert_int_equal(err, SOTTO_OK);
    assert_int_equal(e.kind, SI_CLOSE);
    padded_free(big);
}

/* ---- The project's vectors ------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [SI_REQUEST] = "request",   [SI_NOTIFICATION] = "notification",
    [SI_CANCEL] = "cancel",     [SI_INVALID_REQUEST] = "invalid_request",
    [SI_IGNORED] = "ignored",   [SI_ANSWER] = "answer",
    [SI_PART] = "part",         [SI_FAILURE] = "error",
    [SI_DRAINING] = "draining", [SI_CLOSE] = "close",
};

/* Reading alone knows no ids in use: test_service.c and test_pending.c do. */
static void check_vector(const struct vector *v, void *user)
{
    bool client = user != NULL;
    struct si_span text = padded(v->data, v->len);
    struct si_envelope e;
    sotto_err err =
        client ? si_envelope_read_client(json, text, &e) : si_envelope_read_server(json, text, &e);
    const char *got = err == SOTTO_OK ? kind_names[e.kind] : "protocol_error";
    bool ok = strcmp(got, v->expect) == 0 || strcmp(got, v->also) == 0;

    if (client && strcmp(got, "ignored") == 0)
        ok = strcmp(v->expect, "notification") == 0;
    /* An id in use, or not, is another matter. */
    if (!ok && client && v->in_use_count > 0)
        ok = strcmp(v->expect, "protocol_error") == 0;
    if (!ok && !client && strcmp(v->expect, "ignored") == 0)
        ok = e.has_id && e.id != v->in_use[0];
    if (ok && err == SOTTO_OK && v->content != NULL)
        ok = e.content.len == v->content_len &&
             memcmp(e.content.ptr, v->content, v->content_len) == 0;
    if (ok && err == SOTTO_OK && e.has_id && v->id != 0)
        ok = e.id == v->id;
    if (!ok) {
        print_error("%s: %.*s: %s instead of %s\n", v->why, (int)v->len, (const char *)v->data, got,
                    v->expect);
        fail();
    }
    padded_free(text);
}

static void test_vectors(void **state)
{
    (void)state;
    assert_true(for_each_vector(VECTORS, "client_to_server", check_vector, json) >= 100);
    assert_true(for_each_vector(VECTORS, "server_to_client", check_vector, NULL) >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client),        cmocka_unit_test(test_server),
        cmocka_unit_test(test_truncations),   cmocka_unit_test(test_replaced_bytes),
        cmocka_unit_test(test_endpoint_span), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_content_check), cmocka_unit_test(test_names),
        cmocka_unit_test(test_codes),         cmocka_unit_test(test_put_failure),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_vectors),
    };

    return cmocka_run_group_tests_name("envelope", tests, setup, teardown);
}
