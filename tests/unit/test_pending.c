/* The client's half of calls: docs/protocol.md, section 7. */
#include "rpc/pending.h"
#include "rpc_support.h"

enum { EVENTS_MAX = 4096 };

struct event {
    void *user;
    int kind; /* 0: no envelope */
    uint64_t id;
    sotto_err err;
    char content[64], code[64], message[64], data[64];
};

static struct {
    struct si_json *json;
    struct si_pending *pending;
    struct wire wire;
    struct event events[EVENTS_MAX];
    size_t count, looked;
    void (*on_done)(const struct si_envelope *envelope, sotto_err err);
} w;

static void copy(char *to, size_t size, struct si_span span)
{
    size_t len = span.len < size ? span.len : size - 1;

    if (len > 0)
        memcpy(to, span.ptr, len);
    to[len] = '\0';
}

static void done(void *user, const struct si_envelope *e, sotto_err err)
{
    struct event *event = &w.events[w.count++];

    assert_true(w.count < EVENTS_MAX);
    *event = (struct event){.user = user, .err = err};
    if (w.on_done != NULL)
        w.on_done(e, err);
    /* Read behind the callback's calls: the envelope still has to be there. */
    if (e != NULL) {
        event->kind = (int)e->kind;
        event->id = e->id;
        copy(event->content, sizeof event->content, e->content);
        copy(event->code, sizeof event->code, e->code);
        copy(event->message, sizeof event->message, e->message);
        copy(event->data, sizeof event->data, e->data);
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    return si_json_new(&w.json) == SOTTO_OK &&
                   si_pending_new(w.json, wire_send, &w.wire, &w.pending) == SOTTO_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    si_pending_free(w.pending);
    si_json_free(w.json);
    wire_free(&w.wire);
    return 0;
}

#define assert_ok(call) assert_int_equal(call, SOTTO_OK)
#define assert_err(call, err) assert_int_equal(call, SOTTO_##err)
#define sent(text) assert_sent(&w.wire, text)

static sotto_err call_with(const char *endpoint, const char *content, uint32_t deadline_ms,
                           uint64_t *id)
{
    size_t before = w.count;
    sotto_err err = si_pending_call(w.pending, si_span_str(endpoint), si_span_str(content),
                                    deadline_ms, done, id, id);

    assert_int_equal(w.count, before); /* no callback inside */
    return err;
}

static uint64_t call(void)
{
    static uint64_t ids[100000];
    static size_t n;
    uint64_t *id = &ids[n++ % SI_COUNT(ids)];

    assert_ok(call_with("echo", "1", 0, id));
    return *id;
}

static sotto_err hear(const char *message)
{
    struct si_span text = padded_str(message);
    sotto_err err = si_pending_message(w.pending, text);

    padded_free(text);
    return err;
}

static const struct event *next_event(void)
{
    static const struct event none;

    return w.looked < w.count ? &w.events[w.looked++] : &none;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void test_requests(void **state)
{
    uint64_t id = 99;

    (void)state;
    assert_ok(call_with("echo", "{\"a\": 1}", 0, &id));
    assert_int_equal(id, 1);
    sent("{\"id\":1,\"endpoint\":\"echo\",\"content\":{\"a\": 1}}");
    assert_ok(call_with("$/ping", "null", 2000, &id));
    assert_int_equal(id, 2);
    sent("{\"id\":2,\"endpoint\":\"$/ping\",\"content\":null,\"deadline_ms\":2000}");
    assert_ok(call_with("a.b/c_d-E", "[]", UINT32_MAX, &id));
    sent("{\"id\":3,\"endpoint\":\"a.b/c_d-E\",\"content\":[],\"deadline_ms\":2147483648}");
    assert_ok(si_pending_notify(w.pending, si_span_str("log"), si_span_str("\"x\"")));
    sent("{\"notify\":true,\"endpoint\":\"log\",\"content\":\"x\"}");
    assert_int_equal(si_pending_in_flight(w.pending), 3);
    assert_int_equal(w.count, 0);
}

static void test_bad_requests(void **state)
{
    uint64_t id = 99;

    (void)state;
    assert_err(call_with("", "1", 0, &id), E_USAGE);
    assert_err(call_with("a b", "1", 0, &id), E_USAGE);
    assert_err(call_with("$/", "1", 0, &id), E_USAGE);
    assert_err(call_with("e", "", 0, &id), E_JSON);
    assert_err(call_with("e", "1}", 0, &id), E_JSON);
    assert_err(call_with("e", "1,\"id\":2", 0, &id), E_JSON);
    assert_err(call_with("e", nested(64), 0, &id), E_JSON);
    assert_err(si_pending_notify(w.pending, si_span_str(""), si_span_str("1")), E_USAGE);
    assert_err(si_pending_notify(w.pending, si_span_str("e"), si_span_str("x")), E_JSON);
    sent(NULL);
    w.wire.max_message = 60;
    assert_err(call_with("e", "\"this is more than the server takes, so says send\"", 0, &id),
               E_TOO_LARGE);
    assert_int_equal(id, 99);
    assert_int_equal(si_pending_in_flight(w.pending), 0);
    w.wire.max_message = 0;
    assert_ok(call_with("e", nested(63), 0, &id));
    w.wire.broken = SOTTO_E_LOST;
    assert_err(call_with("e", "1", 0, &id), E_LOST);
    assert_err(si_pending_notify(w.pending, si_span_str("e"), si_span_str("1")), E_LOST);
    assert_int_equal(si_pending_in_flight(w.pending), 1);
    assert_int_equal(w.count, 0);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void test_answers(void **state)
{
    const struct event *e;

    (void)state;
    for (int i = 0; i < 4; i++)
        call();
    assert_ok(hear("{\"id\":3,\"content\":[3]}"));
    e = next_event();
    assert_int_equal(e->kind, SI_ANSWER);
    assert_int_equal(*(uint64_t *)e->user, 3);
    assert_string_equal(e->content, "[3]");
    assert_ok(hear("{\"id\":1,\"content\":\"a\",\"more\":true}"));
    assert_ok(hear("{\"id\":1,\"content\":\"b\",\"more\":true}"));
    assert_ok(
        hear("{\"id\":2,\"error\":{\"code\":\"a.b\",\"message\":\"\\u00e9\\\"\",\"data\":{}}}"));
    assert_ok(hear("{\"id\":1,\"content\":\"c\",\"more\":false}"));
    e = next_event();
    assert_int_equal(e->kind, SI_PART);
    assert_string_equal(e->content, "\"a\"");
    assert_string_equal(next_event()->content, "\"b\"");
    e = next_event();
    assert_int_equal(e->kind, SI_FAILURE);
    assert_int_equal(*(uint64_t *)e->user, 2);
    assert_string_equal(e->code, "a.b");
    assert_string_equal(e->message, "\xc3\xa9\"");
    assert_string_equal(e->data, "{}");
    e = next_event();
    assert_int_equal(e->kind, SI_ANSWER);
    assert_int_equal(*(uint64_t *)e->user, 1);
    assert_int_equal(si_pending_in_flight(w.pending), 1);
    /* What is over, or never was, is ignored. */
    assert_ok(hear("{\"id\":1,\"content\":1}"));
    assert_ok(hear("{\"id\":1,\"content\":1,\"more\":true}"));
    assert_ok(hear("{\"id\":2,\"error\":{\"code\":\"internal\"}}"));
    assert_ok(hear("{\"id\":5}"));
    assert_ok(hear("{\"id\":9007199254740991}"));
    assert_ok(hear("{\"hello\":1}"));
    assert_ok(hear("{}"));
    assert_int_equal(w.looked, w.count);
    assert_int_equal(si_pending_in_flight(w.pending), 1);
    /* Everything else is not. */
    assert_err(hear("{\"id\":4,\"error\":5}"), E_PROTOCOL);
    assert_err(hear("{\"id\":4,\"more\":5}"), E_PROTOCOL);
    assert_err(hear("{\"id\":\"4\"}"), E_PROTOCOL);
    assert_err(hear("[]"), E_PROTOCOL);
    assert_int_equal(w.looked, w.count);
    assert_ok(hear("{\"id\":4}"));
    assert_string_equal(next_event()->content, "null");
}

static void test_cancel(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        call();
    w.wire.taken = w.wire.count;
    si_pending_cancel(w.pending, 2);
    sent("{\"id\":2,\"cancel\":true}");
    si_pending_cancel(w.pending, 2);
    si_pending_cancel(w.pending, 0);
    si_pending_cancel(w.pending, 77);
    sent(NULL);
    assert_int_equal(si_pending_in_flight(w.pending), 2);
    assert_ok(hear("{\"id\":2,\"error\":{\"code\":\"cancelled\"}}"));
    assert_ok(hear("{\"id\":1}"));
    assert_int_equal(*(uint64_t *)next_event()->user, 1);
    assert_int_equal(next_event()->kind, 0);
    /* Also when nothing can be sent. */
    w.wire.broken = SOTTO_E_LOST;
    si_pending_cancel(w.pending, 3);
    assert_int_equal(si_pending_in_flight(w.pending), 0);
    assert_int_equal(w.count, 1);
}

/* ---- Callbacks that go on -------------------------------------------------------------------- */

static void call_again(const struct si_envelope *e, sotto_err err)
{
    (void)e;
    (void)err;
    if (w.count < 50)
        call();
    assert_ok(si_pending_notify(w.pending, si_span_str("log"), si_span_str("\"overwrites\"")));
}

static void test_call_in_callback(void **state)
{
    (void)state;
    w.on_done = call_again;
    call();
    for (int id = 1; id <= 50; id++) {
        char text[128];
        const struct event *e;

        snprintf(text, sizeof text,
                 "{\"id\":%d,\"error\":{\"code\":\"c\\u006fde.%d\",\"message\":\"m\\u0065ss\"}}",
                 id, id);
        assert_ok(hear(text));
        e = next_event();
        snprintf(text, sizeof text, "code.%d", id);
        assert_string_equal(e->code, text);
        assert_string_equal(e->message, "mess");
    }
    assert_int_equal(w.count, 50);
    assert_int_equal(si_pending_in_flight(w.pending), 0);
}

static void cancel_all(const struct si_envelope *e, sotto_err err)
{
    (void)e;
    (void)err;
    for (uint64_t id = 1; id <= 20; id++)
        si_pending_cancel(w.pending, id);
}

static void test_cancel_in_callback(void **state)
{
    static const char *const messages[] = {"{\"id\":7}", "{\"id\":7,\"more\":true}",
                                           "{\"id\":7,\"error\":{\"code\":\"x\"}}"};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(messages); i++) {
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        for (int n = 0; n < 20; n++)
            call();
        w.on_done = cancel_all;
        assert_ok(hear(messages[i]));
        assert_int_equal(w.count, 1);
        assert_int_equal(si_pending_in_flight(w.pending), 0);
        assert_int_equal(w.wire.count, 20 + (i == 1 ? 20 : 19));
        assert_ok(hear(messages[i]));
        assert_int_equal(w.count, 1);
    }
}

static void meddle_in_fail(const struct si_envelope *e, sotto_err err)
{
    uint64_t id;

    assert_null(e);
    assert_err(call_with("echo", "1", 0, &id), E_LOST);
    assert_err(si_pending_notify(w.pending, si_span_str("e"), si_span_str("1")), E_LOST);
    assert_int_equal(err, SOTTO_E_LOST);
    si_pending_cancel(w.pending, *(uint64_t *)w.events[w.count - 1].user + 1);
}

static void test_fail_all(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        call();
    assert_ok(hear("{\"id\":4}"));
    w.wire.taken = w.wire.count;
    si_pending_fail_all(w.pending, SOTTO_E_LOST);
    assert_int_equal(w.count, 20);
    for (uint64_t id = 1; id <= 20; id++) { /* in order; the fourth was answered first */
        const struct event *e = next_event();

        assert_int_equal(*(uint64_t *)e->user, id == 1 ? 4 : id <= 4 ? id - 1 : id);
        assert_int_equal(e->err, id == 1 ? SOTTO_OK : SOTTO_E_LOST);
    }
    si_pending_fail_all(w.pending, SOTTO_E_LOST);
    assert_int_equal(w.count, 20);
    sent(NULL);
    /* Callbacks that call and cancel. */
    assert_int_equal(teardown(state), 0);
    assert_int_equal(setup(state), 0);
    for (int i = 0; i < 20; i++)
        call();
    w.on_done = meddle_in_fail;
    w.wire.taken = w.wire.count;
    si_pending_fail_all(w.pending, SOTTO_E_LOST);
    assert_int_equal(w.count, 10); /* each cancelled the next one */
    assert_int_equal(si_pending_in_flight(w.pending), 0);
    sent(NULL);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void test_draining(void **state)
{
    (void)state;
    call();
    assert_err(hear("{\"draining\":{\"reconnect_after_ms\":500}}"), E_UNAVAILABLE);
    assert_int_equal(si_pending_reconnect_after_ms(w.pending), 500);
    assert_err(hear("{\"draining\":{}}"), E_UNAVAILABLE);
    assert_int_equal(si_pending_reconnect_after_ms(w.pending), 0);
    assert_err(hear("{\"draining\":5}"), E_PROTOCOL);
    assert_ok(hear("{\"id\":1}"));
    assert_int_equal(w.count, 1);
}

static void test_close(void **state)
{
    uint64_t id;

    (void)state;
    assert_string_equal(si_pending_close_code(w.pending), "");
    assert_string_equal(si_pending_close_message(w.pending), "");
    call();
    assert_err(hear("{\"close\":{\"code\":\"draining\",\"reconnect_after_ms\":7,\"message\":"
                    "\"a\\u001b[2J\\u007f\\u009b\\u00e9\\n\\u0000b\"}}"),
               E_CLOSED);
    assert_string_equal(si_pending_close_code(w.pending), "draining");
    assert_string_equal(si_pending_close_message(w.pending), "a?[2J???\xc3\xa9??b");
    assert_int_equal(si_pending_reconnect_after_ms(w.pending), 7);
    assert_int_equal(w.count, 0);
    assert_int_equal(si_pending_in_flight(w.pending), 1);
    /* Messages behind it are ignored, whatever they are. */
    assert_err(hear("{\"id\":1}"), E_CLOSED);
    assert_err(hear("nonsense"), E_CLOSED);
    assert_err(hear("{\"close\":{\"code\":\"other\"}}"), E_CLOSED);
    assert_string_equal(si_pending_close_code(w.pending), "draining");
    assert_int_equal(w.count, 0);
    w.wire.taken = w.wire.count;
    assert_err(call_with("echo", "1", 0, &id), E_CLOSED);
    sent(NULL);
    si_pending_fail_all(w.pending, SOTTO_E_UNAVAILABLE);
    assert_int_equal(w.count, 1);
    assert_int_equal(next_event()->err, SOTTO_E_UNAVAILABLE);
    assert_err(call_with("echo", "1", 0, &id), E_UNAVAILABLE);
}

static void test_odd_closes(void **state)
{
    static const struct {
        const char *text;
        sotto_err err;
        const char *code, *message;
    } cases[] = {
        {"{\"close\":null}", SOTTO_E_CLOSED, "", ""},
        {"{\"close\":{\"code\":5,\"message\":\"m\"}}", SOTTO_E_CLOSED, "", "m"},
        {"{\"close\":{\"code\":\"tired\",\"message\":[]}}", SOTTO_E_CLOSED, "tired", ""},
        {"{\"id\":1,\"close\":{\"code\":\"denied\"}}", SOTTO_E_CLOSED, "denied", ""},
        {"{\"close\":{\"code\":\"a\",\"code\":\"b\"}}", SOTTO_E_PROTOCOL, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        assert_int_equal(hear(cases[i].text), cases[i].err);
        assert_string_equal(si_pending_close_code(w.pending), cases[i].code);
        assert_string_equal(si_pending_close_message(w.pending), cases[i].message);
    }
}

/* Long texts are cut, and never inside a character. */
static void test_long_close(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        char text[3000];
        size_t at = (size_t)sprintf(text, "{\"close\":{\"code\":\"%.*s", (int)lead, "xxxx");
        const char *message;

        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        for (int i = 0; i < 200; i++)
            at += (size_t)sprintf(text + at, "\xe2\x82\xac");
        at += (size_t)sprintf(text + at, "\",\"message\":\"%.*s", (int)lead, "xxxx");
        for (int i = 0; i < 300; i++)
            at += (size_t)sprintf(text + at, "\xf0\x9d\x84\x9e");
        sprintf(text + at, "\"}}");
        assert_err(hear(text), E_CLOSED);
        assert_int_equal(strlen(si_pending_close_code(w.pending)), lead + (63 - lead) / 3 * 3);
        message = si_pending_close_message(w.pending);
        assert_int_equal(strlen(message), lead + (511 - lead) / 4 * 4);
        assert_memory_equal(message + strlen(message) - 4, "\xf0\x9d\x84\x9e", 4);
    }
}

/* ---- Many, and memory ------------------------------------------------------------------------ */

static void test_many(void **state)
{
    (void)state;
    w.wire.quiet = true;
    for (int i = 0; i < 2000; i++)
        call();
    /* A server that answers so that the rest is hard to tell apart. */
    for (int id = 1; id <= 2000; id++) {
        char text[64];

        if (id % 64 == 0)
            continue;
        snprintf(text, sizeof text, "{\"id\":%d}", id);
        assert_ok(hear(text));
        assert_ok(hear(text));
    }
    assert_int_equal(w.count, 2000 - 31);
    assert_int_equal(si_pending_in_flight(w.pending), 31);
    si_pending_fail_all(w.pending, SOTTO_E_LOST);
    assert_int_equal(w.count, 2000);
    si_pending_free(NULL);
}

static void test_no_allocations(void **state)
{
    size_t before = 0;

    (void)state;
    w.wire.quiet = true;
    for (int i = 1; i <= 1000; i++) {
        char text[100];

        if (i == 10)
            before = memory.count;
        w.count = 0;
        call();
        snprintf(text, sizeof text,
                 i % 2 ? "{\"id\":%d,\"content\":[1,2]}"
                       : "{\"id\":%d,\"error\":{\"code\":\"internal\",\"message\":\"x\"}}",
                 i);
        assert_ok(hear(text));
        assert_int_equal(w.count, 1);
    }
    assert_int_equal(memory.count, before);
}

static bool life_without_memory(size_t n, bool all)
{
    struct si_json *json = NULL;
    struct si_pending *pending = NULL;
    size_t begun = 0, before;
    uint64_t id;
    bool failed;

    w.count = 0;
    memory_fail(n, all);
    if (si_json_new(&json) != SOTTO_OK ||
        si_pending_new(json, wire_send, &w.wire, &pending) != SOTTO_OK)
        goto out;
    for (int i = 0; i < 5; i++) {
        sotto_err err =
            si_pending_call(pending, si_span_str("e"), si_span_str("[1]"), 0, done, &id, &id);

        assert_true(err == SOTTO_OK || err == SOTTO_E_NOMEM);
        begun += err == SOTTO_OK;
        assert_int_equal(si_pending_in_flight(pending), begun);
    }
    for (unsigned i = 0; i < 6; i++) {
        static char filler[9000];
        char text[9000];
        struct si_span span;
        sotto_err err;

        memset(filler, 'm', sizeof filler);
        snprintf(text, sizeof text, "{\"id\":%u,\"error\":{\"code\":\"x\",\"message\":\"%.*s\"}}",
                 i, i * 1500, filler);
        span = padded_str(i == 0 ? "{\"draining\":{}}" : text);
        before = w.count;
        err = si_pending_message(pending, span);
        assert_true(err == (i == 0 ? SOTTO_E_UNAVAILABLE : SOTTO_OK) || err == SOTTO_E_NOMEM);
        assert_true(err != SOTTO_E_NOMEM || w.count == before);
        padded_free(span);
    }
    si_pending_fail_all(pending, SOTTO_E_NOMEM);
    assert_int_equal(w.count, begun); /* each exactly once */
out:
    failed = memory_heal();
    si_pending_free(pending);
    si_json_free(json);
    wire_free(&w.wire);
    return failed;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (int all = 0; all <= 1; all++) {
        for (size_t n = 0;; n++) {
            long live = memory.live;
            bool failed = life_without_memory(n, all);

            assert_int_equal(memory.live, live);
            if (!failed)
                break;
            assert_true(n < 200);
        }
    }
}

/* ---- The project's vectors ------------------------------------------------------------------- */

static void check_vector(const struct vector *v, void *user)
{
    static const char *const kinds[] = {
        [SI_ANSWER] = "answer", [SI_PART] = "part", [SI_FAILURE] = "error"};
    struct si_span text = padded(v->data, v->len);
    uint64_t id = 0;
    const char *got;
    sotto_err err;

    (void)teardown(user);
    assert_int_equal(setup(user), 0);
    assert_int_equal(v->in_use_count, 1);
    /* Ids are given out in order; test_envelope.c has those that are never reached. */
    while (id < v->in_use[0] && v->in_use[0] < 1000)
        id = call();
    for (uint64_t i = 1; i < id; i++)
        si_pending_cancel(w.pending, i);
    err = si_pending_message(w.pending, text);
    got = err == SOTTO_E_CLOSED        ? "close"
          : err == SOTTO_E_UNAVAILABLE ? "draining"
          : err == SOTTO_E_PROTOCOL    ? "protocol_error"
          : err != SOTTO_OK            ? "?"
          : w.count == 0               ? "ignored"
                                       : kinds[w.events[0].kind];
    if (v->in_use[0] < 1000 && strcmp(got, v->expect) != 0 && strcmp(got, v->also) != 0) {
        print_error("%s: %.*s: %s instead of %s\n", v->why, (int)v->len, (const char *)v->data, got,
                    v->expect);
        fail();
    }
    assert_int_equal(si_pending_in_flight(w.pending),
                     id != 0 && (w.count == 0 || w.events[0].kind == SI_PART));
    padded_free(text);
}

static void test_vectors(void **state)
{
    (void)state;
    assert_true(for_each_vector(VECTORS, "server_to_client", check_vector, state) >= 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests),       TEST(test_bad_requests),     TEST(test_answers),
        TEST(test_cancel),         TEST(test_call_in_callback), TEST(test_cancel_in_callback),
        TEST(test_fail_all),       TEST(test_draining),         TEST(test_close),
        TEST(test_odd_closes),     TEST(test_long_close),       TEST(test_many),
        TEST(test_no_allocations), TEST(test_out_of_memory),    TEST(test_vectors),
    };

    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
