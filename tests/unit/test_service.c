/* The server's half of calls: docs/protocol.md, section 7, and the promises of sotto/server.h. */
#include "rpc/calls.h"
#include "rpc/service.h"
#include "rpc_support.h"

#define MS INT64_C(1000000)
#define SERVER ((sotto_server *)(uintptr_t)0x5e71)

enum { WORKER = 513, KEPT_MAX = 2048, OVER_MAX = 2048 };

/* ---- A server in small ----------------------------------------------------------------------- */

struct over {
    sotto_call call;
    sotto_err reason;
};

static struct {
    struct si_json *json;
    struct si_service *service;
    struct si_calls *calls;
    struct si_link *link;
    struct wire wire;
    sotto_peer peer;
    uint32_t max_calls, call_timeout_ms;

    sotto_call kept[KEPT_MAX]; /* what the endpoints "late" and "listen" were asked */
    size_t kept_count;
    struct over overs[OVER_MAX];
    size_t over_count;
    void (*on_request)(const sotto_request *request); /* what the endpoint "do" does */
    void (*on_over)(sotto_call call, sotto_err reason);
    size_t handled; /* calls of any handler */
} w;

static void echo(void *user, const sotto_request *request)
{
    (void)user;
    w.handled++;
    (void)si_calls_answer(w.calls, request->call, si_span(request->content, request->content_len));
}

/* It never answers by itself. */
static void late(void *user, const sotto_request *request)
{
    (void)user;
    w.handled++;
    assert_true(w.kept_count < KEPT_MAX);
    w.kept[w.kept_count++] = request->call;
}

static void act(void *user, const sotto_request *request)
{
    (void)user;
    w.handled++;
    w.on_request(request);
}

static void over(void *user, sotto_server *server, sotto_call call, sotto_err reason)
{
    assert_ptr_equal(user, &w.overs);
    assert_ptr_equal(server, SERVER);
    assert_true(w.over_count < OVER_MAX);
    w.overs[w.over_count++] = (struct over){call, reason};
    if (w.on_over != NULL)
        w.on_over(call, reason);
}

static struct si_link *link_new(struct wire *wire)
{
    const struct si_link_options options = {
        .service = w.service,
        .calls = w.calls,
        .json = w.json,
        .send = wire_send,
        .conn = wire,
        .peer = &w.peer,
        .max_calls = w.max_calls,
        .call_timeout_ms = w.call_timeout_ms,
    };
    struct si_link *link;

    assert_int_equal(si_link_new(&options, &link), SOTTO_OK);
    return link;
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.max_calls = 1024;
    w.call_timeout_ms = 60000;
    w.peer.address = "127.0.0.1:1";
    w.peer.name = "";
    if (si_json_new(&w.json) != SOTTO_OK || si_service_new(SERVER, &w.service) != SOTTO_OK ||
        si_calls_new(WORKER, &w.calls) != SOTTO_OK ||
        si_service_add(w.service, "echo", echo, NULL, NULL) != SOTTO_OK ||
        si_service_add(w.service, "late", late, NULL, NULL) != SOTTO_OK ||
        si_service_add(w.service, "listen", late, over, &w.overs) != SOTTO_OK ||
        si_service_add(w.service, "do", act, over, &w.overs) != SOTTO_OK)
        return -1;
    w.link = link_new(&w.wire);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    si_link_free(w.link);
    si_calls_free(w.calls);
    si_service_free(w.service);
    si_json_free(w.json);
    wire_free(&w.wire);
    return 0;
}

/* Another link, with other options. */
static void relink(uint32_t max_calls, uint32_t call_timeout_ms)
{
    si_link_free(w.link);
    w.max_calls = max_calls;
    w.call_timeout_ms = call_timeout_ms;
    w.link = link_new(&w.wire);
}

static sotto_err say_at(struct si_link *link, const char *message, int64_t now)
{
    struct si_span text = padded_str(message);
    sotto_err err = si_link_message(link, text, now);

    padded_free(text);
    return err;
}

static sotto_err say(const char *message)
{
    return say_at(w.link, message, 0);
}

/* The messages of most tests. */
static sotto_err request(uint64_t id, const char *endpoint)
{
    char message[256];

    snprintf(message, sizeof message, "{\"id\":%llu,\"endpoint\":\"%s\"}", (unsigned long long)id,
             endpoint);
    return say(message);
}

static sotto_err cancel(uint64_t id)
{
    char message[64];

    snprintf(message, sizeof message, "{\"id\":%llu,\"cancel\":true}", (unsigned long long)id);
    return say(message);
}

static sotto_err answer(sotto_call call, const char *content)
{
    return si_calls_answer(w.calls, call, si_span_str(content));
}

static sotto_err part(sotto_call call, const char *content)
{
    return si_calls_answer_part(w.calls, call, si_span_str(content));
}

static sotto_err answer_error(sotto_call call, const char *code, const char *message)
{
    return si_calls_answer_error(w.calls, call, si_span_str(code),
                                 message == NULL ? si_span(NULL, 0) : si_span_str(message));
}

#define assert_ok(call) assert_int_equal(call, SOTTO_OK)
#define assert_err(call, err) assert_int_equal(call, SOTTO_##err)
#define sent(text) assert_sent(&w.wire, text)

static bool is_call(sotto_call a, sotto_call b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

#define assert_over(i, call_, reason_)                                                             \
    do {                                                                                           \
        assert_true((i) < w.over_count);                                                           \
        assert_true(is_call(w.overs[i].call, call_));                                              \
        assert_int_equal(w.overs[i].reason, SOTTO_##reason_);                                      \
    } while (0)

/* ---- Requests and ids ------------------------------------------------------------------------ */

static void test_ids(void **state)
{
    (void)state;
    assert_ok(say("{\"endpoint\":\"echo\",\"content\":\"a\"}"));
    sent("{\"id\":1,\"content\":\"a\"}");
    assert_ok(say("{\"id\":77,\"endpoint\":\"echo\",\"content\": { } }"));
    sent("{\"id\":77,\"content\":{ }}");
    assert_ok(say("{\"endpoint\":\"echo\"}")); /* given ids count, too */
    sent("{\"id\":3,\"content\":null}");
    assert_ok(say("{\"endpoint\":5}")); /* and invalid requests */
    sent("{\"id\":4,\"error\":{\"code\":\"invalid_request\",\"message\":\"bad endpoint name\"}}");
    assert_ok(say("{\"id\":9007199254740991,\"endpoint\":\"echo\",\"cancel\":true}"));
    sent("{\"id\":9007199254740991,\"error\":{\"code\":\"invalid_request\",\"message\":\"cancel "
         "with endpoint\"}}");
    /* These do not. */
    assert_ok(say("{\"endpoint\":\"echo\",\"notify\":true}"));
    assert_ok(say("{\"endpoint\":5,\"notify\":true}"));
    assert_ok(say("{\"id\":9,\"cancel\":true}"));
    sent(NULL);
    assert_ok(say("{\"endpoint\":\"nothing\"}"));
    sent("{\"id\":6,\"error\":{\"code\":\"not_found\"}}");
    assert_ok(say("{\"endpoint\":\"echo\"}"));
    sent("{\"id\":7,\"content\":null}");
    /* The close does not either, but nothing follows it. */
    assert_int_equal(si_link_requests(w.link), 8);
    assert_int_equal(si_link_in_flight(w.link), 0);
    assert_err(say("{\"close\":{\"code\":\"done\"}}"), E_CLOSED);
    assert_err(say("{\"endpoint\":\"echo\"}"), E_CLOSED);
    assert_err(say("nonsense"), E_CLOSED);
    sent(NULL);
    assert_int_equal(si_link_requests(w.link), 8);
}

static void test_id_in_use(void **state)
{
    (void)state;
    assert_ok(request(7, "late"));
    assert_ok(request(8, "late"));
    assert_int_equal(si_link_in_flight(w.link), 2);
    assert_err(request(7, "echo"), E_PROTOCOL);
    assert_err(request(7, "$/ping"), E_PROTOCOL);
    assert_err(request(8, "nothing"), E_PROTOCOL);
    assert_err(say("{\"id\":8}"), E_PROTOCOL); /* before other faults */
    sent(NULL);
    /* Six were counted: the ordinals 7 and 8 collide with ids that were given. */
    assert_err(say("{\"endpoint\":\"echo\"}"), E_PROTOCOL);
    assert_err(say("{\"endpoint\":5}"), E_PROTOCOL);
    assert_ok(say("{\"endpoint\":\"echo\"}"));
    sent("{\"id\":9,\"content\":null}");
    /* After the final answer the id is free. */
    assert_ok(part(w.kept[0], "0"));
    assert_err(request(7, "echo"), E_PROTOCOL);
    assert_ok(answer(w.kept[0], "1"));
    assert_ok(request(7, "echo"));
    sent("{\"id\":7,\"content\":0,\"more\":true}");
    sent("{\"id\":7,\"content\":1}");
    sent("{\"id\":7,\"content\":null}");
    /* The id of an ordinal is in use, too. */
    assert_ok(say("{\"endpoint\":\"late\"}"));
    assert_err(request(12, "echo"), E_PROTOCOL);
}

static void test_protocol_errors(void **state)
{
    (void)state;
    assert_err(say(""), E_PROTOCOL);
    assert_err(say("[]"), E_PROTOCOL);
    assert_err(say("{\"id\":0,\"endpoint\":\"echo\"}"), E_PROTOCOL);
    assert_err(say("{\"endpoint\":\"echo\",\"endpoint\":\"echo\"}"), E_PROTOCOL);
    sent(NULL);
    assert_int_equal(w.handled, 0);
    assert_int_equal(si_link_requests(w.link), 0);
}

static void see_request(const sotto_request *r)
{
    assert_ptr_equal(r->server, SERVER);
    assert_ptr_equal(r->peer, &w.peer);
    assert_string_equal(r->endpoint, "do");
    assert_int_equal(r->content_len, 5);
    assert_memory_equal(r->content, "[ 1 ]", 5);
    assert_int_equal(r->deadline_ms, 2147483648u);
    assert_int_equal(r->notification, 0);
    assert_int_equal(si_call_worker(r->call), WORKER);
    assert_int_equal(si_link_in_flight(w.link), 1);
    assert_ok(answer(r->call, "true"));
    assert_int_equal(si_link_in_flight(w.link), 0);
}

static void see_notification(const sotto_request *r)
{
    assert_string_equal(r->endpoint, "do");
    assert_int_equal(r->notification, 1);
    assert_int_equal(r->content_len, 4);
    assert_memory_equal(r->content, "null", 4);
    assert_int_equal(r->deadline_ms, 0);
    /* Nobody waits, and another worker is not asked. */
    assert_int_equal(si_call_worker(r->call), WORKER);
    assert_err(answer(r->call, "1"), E_GONE);
    assert_err(part(r->call, "1"), E_GONE);
    assert_err(answer_error(r->call, "internal", NULL), E_GONE);
}

static void test_what_handlers_see(void **state)
{
    (void)state;
    w.on_request = see_request;
    assert_ok(say("{\"endpoint\":\"\\u0064o\",\"content\": [ 1 ] ,\"deadline_ms\":2147483648}"));
    sent("{\"id\":1,\"content\":true}");
    w.on_request = see_notification;
    assert_ok(say("{\"endpoint\":\"do\",\"notify\":true}"));
    assert_ok(say("{\"endpoint\":\"nothing\",\"notify\":true}"));
    assert_ok(say("{\"endpoint\":\"$/ping\",\"notify\":true}"));
    sent(NULL);
    assert_int_equal(w.handled, 2);
    assert_int_equal(si_link_requests(w.link), 4);
    assert_int_equal(w.over_count, 0);
}

/* The echo's content is handed on where it lies. */
static void test_no_copy(void **state)
{
    struct si_span text = padded_str("{\"endpoint\":\"echo\",\"content\":[1,2,3]}");

    (void)state;
    assert_ok(si_link_message(w.link, text, 0));
    assert_ptr_equal(w.wire.content, text.ptr + 29);
    sent("{\"id\":1,\"content\":[1,2,3]}");
    padded_free(text);
}

/* ---- Endpoints ------------------------------------------------------------------------------- */

static void test_reserved(void **state)
{
    char message[300];

    (void)state;
    assert_ok(say("{\"endpoint\":\"$/ping\",\"content\":{\"a\":[]}}"));
    sent("{\"id\":1,\"content\":{\"a\":[]}}");
    assert_ok(say("{\"endpoint\":\"$/ping\"}"));
    sent("{\"id\":2,\"content\":null}");
    assert_ok(say("{\"endpoint\":\"$/health\"}"));
    sent("{\"id\":3,\"content\":{\"status\":\"serving\"}}");
    assert_ok(say("{\"endpoint\":\"$/endpoints\"}"));
    sent("{\"id\":4,\"content\":[{\"name\":\"echo\"},{\"name\":\"late\"},{\"name\":\"listen\"},"
         "{\"name\":\"do\"}]}");
    for (size_t i = 0; i < 4; i++) {
        static const char *const names[] = {"$/pin", "$/pings", "$/Ping", "$/echo"};

        assert_ok(request(100 + i, names[i]));
        snprintf(message, sizeof message, "{\"id\":%zu,\"error\":{\"code\":\"not_found\"}}",
                 100 + i);
        sent(message);
    }
    /* They take no slot, and do not fit a client that takes too little. */
    relink(0, 0);
    assert_ok(say("{\"endpoint\":\"$/ping\",\"content\":1}"));
    sent("{\"id\":1,\"content\":1}");
    w.wire.max_message = 70;
    assert_ok(say("{\"endpoint\":\"$/endpoints\"}"));
    sent("{\"id\":2,\"error\":{\"code\":\"too_large\"}}");
    assert_int_equal(w.handled, 0);
}

static void test_no_endpoints(void **state)
{
    struct si_service *empty;
    const struct si_service *full = w.service;

    (void)state;
    assert_ok(si_service_new(SERVER, &empty));
    w.link->options.service = empty;
    assert_ok(say("{\"endpoint\":\"$/endpoints\"}"));
    sent("{\"id\":1,\"content\":[]}");
    assert_ok(say("{\"endpoint\":\"echo\"}"));
    sent("{\"id\":2,\"error\":{\"code\":\"not_found\"}}");
    w.link->options.service = full;
    si_service_free(empty);
    si_service_free(NULL);
    si_calls_free(NULL);
    si_link_free(NULL);
}

static void test_many_endpoints(void **state)
{
    char name[200];

    (void)state;
    assert_err(si_service_add(w.service, "echo", echo, NULL, NULL), E_EXISTS);
    assert_err(si_service_add(w.service, "", echo, NULL, NULL), E_USAGE);
    assert_err(si_service_add(w.service, "$/ping", echo, NULL, NULL), E_USAGE);
    assert_err(si_service_add(w.service, "$/mine", echo, NULL, NULL), E_USAGE);
    assert_err(si_service_add(w.service, "a b", echo, NULL, NULL), E_USAGE);
    assert_err(si_service_add(w.service, "x", NULL, NULL, NULL), E_USAGE);
    memset(name, 'n', sizeof name);
    name[129] = '\0';
    assert_err(si_service_add(w.service, name, echo, NULL, NULL), E_USAGE);
    name[128] = '\0';
    assert_ok(si_service_add(w.service, name, echo, NULL, NULL));
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "e%d", i);
        assert_ok(si_service_add(w.service, name, echo, NULL, NULL));
        strcpy(name, "overwritten");
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "e%d", i);
        assert_err(si_service_add(w.service, name, echo, NULL, NULL), E_EXISTS);
        assert_ok(request(1, name));
        sent("{\"id\":1,\"content\":null}");
    }
    for (int i = 2000; i < 4000; i++) {
        snprintf(name, sizeof name, "e%d", i);
        assert_null(si_service_find(w.service, si_span_str(name)));
    }
    assert_null(si_service_find(w.service, si_span_str("ech")));
    assert_null(si_service_find(w.service, si_span_str("echo2")));
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        assert_ok(request(id, "late"));
    sent(NULL);
    assert_ok(answer(w.kept[2], "3"));
    assert_ok(part(w.kept[0], "\"a\""));
    assert_ok(answer_error(w.kept[1], "billing.no_credit", "no \"credit\"\n"));
    assert_ok(part(w.kept[0], "\"b\""));
    assert_ok(answer(w.kept[0], "\"c\""));
    sent("{\"id\":3,\"content\":3}");
    sent("{\"id\":1,\"content\":\"a\",\"more\":true}");
    sent("{\"id\":2,\"error\":{\"code\":\"billing.no_credit\",\"message\":\"no "
         "\\\"credit\\\"\\n\"}}");
    sent("{\"id\":1,\"content\":\"b\",\"more\":true}");
    sent("{\"id\":1,\"content\":\"c\"}");
    assert_int_equal(si_link_in_flight(w.link), 0);
    assert_int_equal(si_link_deadline(w.link), INT64_MAX);
}

static void answer_twice(const sotto_request *r)
{
    assert_ok(part(r->call, "0"));
    assert_ok(answer(r->call, "1"));
    assert_err(answer(r->call, "2"), E_GONE);
    assert_err(part(r->call, "3"), E_GONE);
    assert_err(answer_error(r->call, "internal", "4"), E_GONE);
    w.kept[0] = r->call;
}

static void test_twice(void **state)
{
    sotto_call old;

    (void)state;
    w.on_request = answer_twice;
    assert_ok(request(5, "do"));
    sent("{\"id\":5,\"content\":0,\"more\":true}");
    sent("{\"id\":5,\"content\":1}");
    assert_err(answer(w.kept[0], "5"), E_GONE);
    /* The slot is used again: neither the old name nor the next one must reach the new call. */
    old = w.kept[0];
    assert_ok(request(5, "late"));
    assert_ok(request(6, "late"));
    assert_int_equal(w.kept[0].slot, old.slot);
    assert_err(answer(old, "6"), E_GONE);
    old.generation += 2;
    assert_err(answer(old, "7"), E_GONE);
    sent(NULL);
    assert_int_equal(si_link_in_flight(w.link), 2);
    assert_int_equal(w.over_count, 0);
}

/* A slot serves many calls; only the name of the present one counts. */
static void test_generations(void **state)
{
    sotto_call first;

    (void)state;
    assert_ok(request(1, "late"));
    first = w.kept[0];
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(w.kept[w.kept_count - 1].slot, first.slot);
        assert_ok(answer(w.kept[w.kept_count - 1], "0"));
        assert_ok(request(1, "late"));
    }
    for (size_t i = 0; i + 1 < w.kept_count; i++) {
        assert_err(answer(w.kept[i], "1"), E_GONE);
        assert_err(part(w.kept[i], "1"), E_GONE);
        assert_err(answer_error(w.kept[i], "internal", NULL), E_GONE);
    }
    assert_int_equal(w.wire.count, 1000);
    assert_int_equal(si_link_in_flight(w.link), 1);
}

static void test_made_up_names(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    assert_ok(request(1, "late"));
    for (int i = 0; i < 100000; i++) {
        sotto_call call = w.kept[0];

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (i % 3 != 0)
            call.slot = i % 3 == 1 ? x : call.slot ^ (UINT64_C(1) << (x % 64));
        else
            call.generation = x;
        if (!is_call(call, w.kept[0]))
            assert_err(answer(call, "1"), E_GONE);
    }
    assert_err(answer((sotto_call){0, 0}, "1"), E_GONE);
    assert_err(answer((sotto_call){UINT64_MAX, UINT64_MAX}, "1"), E_GONE);
    /* A call of another worker. */
    assert_err(answer((sotto_call){w.kept[0].slot ^ UINT64_C(1) << 48, w.kept[0].generation}, "1"),
               E_GONE);
    sent(NULL);
    assert_ok(answer(w.kept[0], "1"));
}

static void test_malformed_answers(void **state)
{
    static const char *const bad[] = {"",     " ",        "nul",    "1,\"id\":2", "1}{", "\"",
                                      "[1,]", "\"\xff\"", "\"\n\"", "{\"a\"}",    "01"};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(bad); i++) {
        w.kept_count = 0;
        assert_ok(request(1, "listen"));
        assert_int_equal(i % 2 ? answer(w.kept[0], bad[i]) : part(w.kept[0], bad[i]), SOTTO_E_JSON);
        sent("{\"id\":1,\"error\":{\"code\":\"internal\"}}");
        assert_err(answer(w.kept[0], "1"), E_GONE);
    }
    assert_int_equal(w.over_count, 0); /* it answered */
    w.kept_count = 0;
    assert_ok(request(1, "late"));
    assert_err(si_calls_answer(w.calls, w.kept[0], si_span(NULL, 0)), E_JSON);
    sent("{\"id\":1,\"error\":{\"code\":\"internal\"}}");
}

static void test_answer_depth(void **state)
{
    char want[300];

    (void)state;
    assert_ok(request(1, "late"));
    assert_ok(answer(w.kept[0], nested(63)));
    snprintf(want, sizeof want, "{\"id\":1,\"content\":%s}", nested(63));
    sent(want);
    assert_ok(request(1, "late"));
    assert_err(answer(w.kept[1], nested(64)), E_JSON);
    sent("{\"id\":1,\"error\":{\"code\":\"internal\"}}");
    /* What came in goes out again. */
    snprintf(want, sizeof want, "{\"id\":1,\"endpoint\":\"echo\",\"content\":%s}", nested(63));
    assert_ok(say(want));
    snprintf(want, sizeof want, "{\"id\":1,\"content\":%s}", nested(63));
    sent(want);
}

/* Only the very content is not checked: not a part of it, not the same place when the handler is
 * through. */
static void answer_inside_content(const sotto_request *r)
{
    assert_err(si_calls_answer(w.calls, r->call, si_span(r->content, r->content_len - 1)), E_JSON);
}

static const char *remembered;
static void remember_content(const sotto_request *r)
{
    remembered = r->content;
    w.kept[w.kept_count++] = r->call;
}

static void test_unchecked_content(void **state)
{
    struct si_span text = padded_str("{\"endpoint\":\"do\",\"content\":[1,2]}");

    (void)state;
    w.on_request = answer_inside_content;
    assert_ok(si_link_message(w.link, text, 0));
    sent("{\"id\":1,\"error\":{\"code\":\"internal\"}}");
    w.on_request = remember_content;
    assert_ok(si_link_message(w.link, text, 0));
    memset((uint8_t *)(uintptr_t)text.ptr, 'x', text.len);
    assert_err(si_calls_answer(w.calls, w.kept[0], si_span(remembered, 5)), E_JSON);
    sent("{\"id\":2,\"error\":{\"code\":\"internal\"}}");
    padded_free(text);
}

static void test_too_large(void **state)
{
    static const char too_large[] = "{\"id\":1,\"error\":{\"code\":\"too_large\",\"message\":\"the "
                                    "answer is more than the client takes\"}}";
    char big[3000];

    (void)state;
    memset(big, ' ', sizeof big);
    big[0] = big[sizeof big - 2] = '"';
    big[sizeof big - 1] = '\0';
    w.wire.max_message = 1024;
    assert_ok(request(1, "listen"));
    assert_err(answer(w.kept[0], big), E_TOO_LARGE);
    sent(too_large);
    assert_ok(request(1, "listen"));
    assert_ok(part(w.kept[1], "0"));
    sent("{\"id\":1,\"content\":0,\"more\":true}");
    assert_err(part(w.kept[1], big), E_TOO_LARGE);
    sent(too_large);
    assert_err(answer(w.kept[1], "1"), E_GONE);
    /* The code matters more than the message. */
    assert_ok(request(1, "listen"));
    assert_ok(answer_error(w.kept[2], "a.b", big));
    sent("{\"id\":1,\"error\":{\"code\":\"a.b\"}}");
    /* Exactly as much as fits. */
    assert_ok(request(1, "listen"));
    big[1024 - 20] = '"';
    big[1024 - 19] = '\0';
    assert_int_equal(strlen("{\"id\":1,\"content\":}"), 19);
    assert_ok(answer(w.kept[3], big));
    assert_int_equal(strlen(wire_take(&w.wire)), 1024);
    /* Given back unchecked, and the ping. */
    {
        char message[3100];

        snprintf(message, sizeof message, "{\"id\":22,\"endpoint\":\"echo\",\"content\":%s}", big);
        assert_ok(say(message));
        sent("{\"id\":22,\"error\":{\"code\":\"too_large\",\"message\":\"the answer is more than "
             "the client takes\"}}");
        snprintf(message, sizeof message, "{\"id\":22,\"endpoint\":\"$/ping\",\"content\":%s}",
                 big);
        assert_ok(say(message));
        sent("{\"id\":22,\"error\":{\"code\":\"too_large\"}}");
    }
    assert_int_equal(w.over_count, 0);
    assert_int_equal(si_link_in_flight(w.link), 0);
}

static void test_error_answers(void **state)
{
    static const struct {
        const char *code, *message;
        sotto_err err;
        const char *want;
    } cases[] = {
        {"internal", NULL, SOTTO_OK, "{\"id\":1,\"error\":{\"code\":\"internal\"}}"},
        {"denied", "", SOTTO_OK, "{\"id\":1,\"error\":{\"code\":\"denied\"}}"},
        {"denied", "\xe2\x82\xac", SOTTO_OK,
         "{\"id\":1,\"error\":{\"code\":\"denied\",\"message\":\"\xe2\x82\xac\"}}"},
        {"a.b", "\x01", SOTTO_OK,
         "{\"id\":1,\"error\":{\"code\":\"a.b\",\"message\":\"\\u0001\"}}"},
        {"tired", "x", SOTTO_E_USAGE, "{\"id\":1,\"error\":{\"code\":\"internal\"}}"},
        {"", NULL, SOTTO_E_USAGE, "{\"id\":1,\"error\":{\"code\":\"internal\"}}"},
        {"a.\"}", "x", SOTTO_E_USAGE, "{\"id\":1,\"error\":{\"code\":\"internal\"}}"},
        {"a.b", "\xff", SOTTO_E_USAGE, "{\"id\":1,\"error\":{\"code\":\"a.b\"}}"},
        {"a.b", "\xed\xa0\x80", SOTTO_E_USAGE, "{\"id\":1,\"error\":{\"code\":\"a.b\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        w.kept_count = 0;
        assert_ok(request(1, "listen"));
        assert_int_equal(answer_error(w.kept[0], cases[i].code, cases[i].message), cases[i].err);
        sent(cases[i].want);
        assert_err(answer(w.kept[0], "1"), E_GONE);
    }
    assert_int_equal(w.over_count, 0);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static void test_deadlines(void **state)
{
    (void)state;
    relink(10, 5000);
    assert_int_equal(si_link_deadline(w.link), INT64_MAX);
    assert_ok(say_at(w.link, "{\"endpoint\":\"listen\"}", 1000 * MS));
    assert_int_equal(si_link_deadline(w.link), 6000 * MS);
    /* Its own, if it is earlier than the server's. */
    assert_ok(say_at(w.link, "{\"endpoint\":\"listen\",\"deadline_ms\":9000}", 900 * MS));
    assert_int_equal(si_link_deadline(w.link), 5900 * MS);
    assert_ok(say_at(w.link, "{\"endpoint\":\"late\",\"deadline_ms\":1}", 1000 * MS));
    assert_int_equal(si_link_deadline(w.link), 1001 * MS);
    assert_ok(say_at(w.link, "{\"endpoint\":\"listen\",\"deadline_ms\":4999}", 1000 * MS));
    assert_int_equal(si_link_deadline(w.link), 1001 * MS);
    si_link_tick(w.link, 1001 * MS - 1);
    sent(NULL);
    si_link_tick(w.link, 1001 * MS);
    sent("{\"id\":3,\"error\":{\"code\":\"deadline_exceeded\"}}");
    assert_int_equal(w.over_count, 0);
    si_link_tick(w.link, 5999 * MS);
    sent("{\"id\":2,\"error\":{\"code\":\"deadline_exceeded\"}}");
    sent("{\"id\":4,\"error\":{\"code\":\"deadline_exceeded\"}}");
    sent(NULL);
    assert_over(0, w.kept[1], E_TIMEOUT);
    assert_over(1, w.kept[3], E_TIMEOUT);
    assert_int_equal(si_link_deadline(w.link), 6000 * MS);
    /* Answered in time, or too late. */
    assert_ok(answer(w.kept[0], "1"));
    sent("{\"id\":1,\"content\":1}");
    assert_err(answer(w.kept[1], "1"), E_GONE);
    assert_int_equal(si_link_deadline(w.link), INT64_MAX);
    si_link_tick(w.link, INT64_MAX);
    sent(NULL);
    assert_int_equal(w.over_count, 2);
    assert_int_equal(si_link_in_flight(w.link), 0);
}

static void test_no_deadline(void **state)
{
    (void)state;
    relink(10, 0);
    assert_ok(say_at(w.link, "{\"endpoint\":\"listen\"}", 5));
    assert_ok(
        say_at(w.link, "{\"endpoint\":\"listen\",\"deadline_ms\":2147483648}", INT64_MAX - 1));
    assert_int_equal(si_link_deadline(w.link), INT64_MAX);
    si_link_tick(w.link, INT64_MAX);
    sent(NULL);
    assert_ok(say_at(w.link, "{\"endpoint\":\"listen\",\"deadline_ms\":2147483648}", -5));
    assert_int_equal(si_link_deadline(w.link), 2147483648 * MS - 5);
    si_link_tick(w.link, INT64_MAX);
    sent("{\"id\":3,\"error\":{\"code\":\"deadline_exceeded\"}}");
    assert_int_equal(si_link_in_flight(w.link), 2);
    assert_int_equal(w.over_count, 1);
}

/* ---- Cancels --------------------------------------------------------------------------------- */

static void test_cancel(void **state)
{
    (void)state;
    assert_ok(request(1, "late"));
    assert_ok(request(2, "listen"));
    assert_ok(cancel(9)); /* unknown */
    assert_ok(say("{\"endpoint\":\"echo\"}"));
    sent("{\"id\":3,\"content\":null}");
    assert_ok(cancel(3)); /* answered before */
    sent(NULL);
    /* Nobody listens: answered at once. */
    assert_ok(cancel(1));
    sent("{\"id\":1,\"error\":{\"code\":\"cancelled\"}}");
    assert_err(answer(w.kept[0], "1"), E_GONE);
    assert_ok(cancel(1));
    sent(NULL);
    /* Somebody listens, once, and may still answer: the only answer. */
    assert_ok(cancel(2));
    assert_over(0, w.kept[1], E_CANCELLED);
    sent(NULL);
    assert_ok(cancel(2));
    assert_int_equal(w.over_count, 1);
    assert_int_equal(si_link_in_flight(w.link), 1);
    assert_err(request(2, "echo"), E_PROTOCOL);
    assert_ok(part(w.kept[1], "0"));
    assert_ok(answer(w.kept[1], "1"));
    sent("{\"id\":2,\"content\":0,\"more\":true}");
    sent("{\"id\":2,\"content\":1}");
    assert_int_equal(w.over_count, 1);
    assert_int_equal(si_link_in_flight(w.link), 0);
}

static void test_cancel_then_deadline(void **state)
{
    (void)state;
    assert_ok(say_at(w.link, "{\"id\":2,\"endpoint\":\"listen\",\"deadline_ms\":5}", 0));
    assert_ok(request(3, "listen"));
    assert_ok(cancel(2));
    assert_ok(cancel(3));
    si_link_tick(w.link, 5 * MS);
    sent("{\"id\":2,\"error\":{\"code\":\"deadline_exceeded\"}}");
    si_link_free(w.link);
    w.link = NULL;
    assert_int_equal(w.over_count, 2); /* each was told once */
    assert_over(0, w.kept[0], E_CANCELLED);
    assert_over(1, w.kept[1], E_CANCELLED);
    sent(NULL);
}

static void answer_when_over(sotto_call call, sotto_err reason)
{
    assert_int_equal(answer_error(call, "cancelled", NULL),
                     reason == SOTTO_E_CANCELLED ? SOTTO_OK : SOTTO_E_GONE);
}

static void test_answer_inside_over(void **state)
{
    (void)state;
    w.on_over = answer_when_over;
    for (uint64_t id = 1; id <= 3; id++)
        assert_ok(request(id, "listen"));
    assert_ok(cancel(2));
    sent("{\"id\":2,\"error\":{\"code\":\"cancelled\"}}");
    assert_int_equal(w.over_count, 1);
    si_link_tick(w.link, 60000 * MS);
    sent("{\"id\":1,\"error\":{\"code\":\"deadline_exceeded\"}}");
    sent("{\"id\":3,\"error\":{\"code\":\"deadline_exceeded\"}}");
    sent(NULL);
    assert_int_equal(w.over_count, 3);
    assert_ok(request(4, "listen"));
    si_link_free(w.link);
    w.link = NULL;
    assert_over(3, w.kept[3], E_GONE);
    sent(NULL);
}

/* ---- Callbacks that touch other calls -------------------------------------------------------- */

static void answer_all_others(sotto_call call, sotto_err reason)
{
    (void)reason;
    for (size_t i = 0; i < w.kept_count; i++) {
        if (!is_call(w.kept[i], call))
            (void)answer(w.kept[i], "1");
    }
}

static void answer_when_over_gone(sotto_call call, sotto_err reason)
{
    (void)reason;
    assert_err(answer(call, "1"), E_GONE);
}

static void test_over_answers_others(void **state)
{
    (void)state;
    w.on_over = answer_all_others;
    /* In a tick: one is told, and answers the others before they are. */
    for (uint64_t id = 1; id <= 20; id++)
        assert_ok(request(id, "listen"));
    si_link_tick(w.link, 60000 * MS);
    assert_int_equal(w.over_count, 1);
    assert_int_equal(w.wire.count, 20);
    assert_int_equal(si_link_in_flight(w.link), 0);
    /* In a cancel. */
    w.kept_count = w.over_count = 0;
    for (uint64_t id = 1; id <= 20; id++)
        assert_ok(request(id, "listen"));
    assert_ok(cancel(13));
    assert_int_equal(w.wire.count, 39);
    assert_int_equal(si_link_in_flight(w.link), 1);
    /* When the link ends: whoever answered is not told. */
    for (uint64_t id = 21; id <= 40; id++)
        assert_ok(request(id, "listen"));
    w.over_count = 0;
    si_link_free(w.link);
    w.link = NULL;
    assert_true(w.over_count <= 1);
    assert_int_equal(w.wire.count, 39);
    for (size_t i = 0; i < w.kept_count; i++)
        assert_err(answer(w.kept[i], "1"), E_GONE);
}

static void answer_kept(const sotto_request *r)
{
    for (size_t i = 0; i < w.kept_count; i++)
        assert_ok(answer(w.kept[i], "\"kept\""));
    w.kept_count = 0;
    assert_ok(si_calls_answer(w.calls, r->call, si_span(r->content, r->content_len)));
}

/* A handler answers calls of its own link and of another one, with the reader that read its
 * request. */
static void test_answer_inside_handler(void **state)
{
    struct wire wire = {0};
    struct si_link *other = link_new(&wire);

    (void)state;
    assert_ok(request(1, "late"));
    assert_ok(say_at(other, "{\"id\":1,\"endpoint\":\"late\"}", 0));
    w.on_request = answer_kept;
    assert_ok(say("{\"id\":2,\"endpoint\":\"do\",\"content\":\"mine\"}"));
    sent("{\"id\":1,\"content\":\"kept\"}");
    sent("{\"id\":2,\"content\":\"mine\"}");
    assert_sent(&wire, "{\"id\":1,\"content\":\"kept\"}");
    /* The other one is broken: that is its own matter. */
    assert_ok(say_at(other, "{\"id\":3,\"endpoint\":\"listen\"}", 0));
    assert_ok(say_at(other, "{\"id\":4,\"endpoint\":\"listen\"}", 0));
    wire.broken = SOTTO_E_LOST;
    assert_err(answer(w.kept[0], "1"), E_GONE);
    w.kept_count = 0;
    assert_ok(say("{\"id\":2,\"endpoint\":\"do\",\"content\":\"mine\"}"));
    sent("{\"id\":2,\"content\":\"mine\"}");
    assert_err(say_at(other, "{\"endpoint\":\"echo\"}", 0), E_LOST);
    assert_int_equal(w.over_count, 0);
    si_link_free(other);
    assert_int_equal(w.over_count, 1);
    assert_int_equal(w.overs[0].reason, SOTTO_E_GONE);
    wire_free(&wire);
}

/* ---- Links that end -------------------------------------------------------------------------- */

static void test_gone(void **state)
{
    (void)state;
    assert_ok(request(1, "listen"));
    assert_ok(request(2, "late"));
    assert_ok(request(3, "listen"));
    si_link_free(w.link);
    w.link = link_new(&w.wire);
    assert_int_equal(w.over_count, 2);
    assert_int_equal(w.overs[0].reason, SOTTO_E_GONE);
    assert_int_equal(w.overs[1].reason, SOTTO_E_GONE);
    for (size_t i = 0; i < 3; i++) {
        assert_err(answer(w.kept[i], "1"), E_GONE);
        assert_err(part(w.kept[i], "1"), E_GONE);
        assert_err(answer_error(w.kept[i], "internal", "x"), E_GONE);
    }
    sent(NULL);
    /* The slots serve the next link. */
    assert_ok(request(1, "late"));
    for (size_t i = 0; i < 3; i++)
        assert_err(answer(w.kept[i], "1"), E_GONE);
    assert_int_equal(si_link_in_flight(w.link), 1);
}

static void test_broken_send(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 4; id++)
        assert_ok(say_at(w.link,
                         id == 1 ? "{\"endpoint\":\"listen\",\"deadline_ms\":1}"
                                 : "{\"endpoint\":\"listen\",\"deadline_ms\":2}",
                         0));
    /* The second message of a tick fails: its call is over, the others wait for the end of the
     * link. */
    w.wire.fail_in = 2;
    si_link_tick(w.link, 100 * MS);
    sent("{\"id\":1,\"error\":{\"code\":\"deadline_exceeded\"}}");
    sent(NULL);
    assert_int_equal(w.over_count, 2);
    assert_int_equal(si_link_in_flight(w.link), 2);
    assert_int_equal(si_link_deadline(w.link), INT64_MAX);
    si_link_tick(w.link, 1000 * MS);
    assert_int_equal(w.over_count, 2);
    /* The error stays, and nothing is handled or sent any more. */
    w.wire.broken = SOTTO_OK;
    assert_err(say("{\"endpoint\":\"echo\"}"), E_LOST);
    assert_err(say("{\"close\":{}}"), E_LOST);
    assert_err(si_link_drain(w.link, 1), E_LOST);
    assert_err(cancel(3), E_LOST);
    assert_int_equal(w.handled, 4);
    si_link_free(w.link);
    w.link = NULL;
    assert_int_equal(w.over_count, 4);
    sent(NULL);
}

/* The very message during which sending fails says so, whoever was sending. */
static void test_broken_reported(void **state)
{
    static const char *const messages[] = {
        "{\"endpoint\":\"echo\"}",    "{\"endpoint\":\"nothing\"}",   "{\"endpoint\":5}",
        "{\"endpoint\":\"$/ping\"}",  "{\"endpoint\":\"$/nothing\"}", "{\"id\":1,\"cancel\":true}",
        "{\"id\":2,\"cancel\":true}",
    };

    (void)state;
    w.on_over = answer_when_over_gone;
    for (size_t i = 0; i < SI_COUNT(messages); i++) {
        relink(10, 1);
        w.wire.broken = SOTTO_OK;
        assert_ok(request(1, "late"));
        assert_ok(request(2, "listen"));
        w.wire.broken = SOTTO_E_LOST;
        assert_err(say(messages[i]), E_LOST);
    }
    sent(NULL);
}

static void answer_and_go_on(const sotto_request *r)
{
    w.kept[w.kept_count++] = r->call;
    (void)part(r->call, "1");
    (void)part(r->call, "2");
    (void)answer(r->call, "3");
    (void)answer_error(r->call, "internal", "4");
}

/* Sending fails at any message, whatever is being done: reported, and nobody is told twice. */
static void test_broken_anywhere(void **state)
{
    (void)state;
    w.on_request = answer_and_go_on;
    for (size_t n = 1; n < 12; n++) {
        sotto_err err = SOTTO_OK;
        size_t told;

        relink(10, 1);
        wire_free(&w.wire);
        w.kept_count = w.over_count = 0;
        w.wire.fail_in = n;
        for (int i = 0; i < 2 && err == SOTTO_OK; i++) {
            if ((err = say("{\"id\":1,\"endpoint\":\"listen\"}")) == SOTTO_OK &&
                (err = say("{\"id\":2,\"endpoint\":\"do\"}")) == SOTTO_OK &&
                (err = say("{\"endpoint\":5}")) == SOTTO_OK &&
                (err = say("{\"endpoint\":\"$/ping\"}")) == SOTTO_OK &&
                (err = si_link_drain(w.link, 0)) == SOTTO_OK)
                err = say("{\"id\":1,\"cancel\":true}");
            si_link_tick(w.link, MS);
        }
        if (w.wire.broken != SOTTO_OK)
            assert_err(say("{}"), E_LOST);
        told = w.over_count;
        si_link_free(w.link);
        w.link = NULL;
        assert_true(w.over_count <= told + 2);
        for (size_t i = 0; i < w.over_count; i++) {
            for (size_t j = 0; j < i; j++)
                assert_false(is_call(w.overs[i].call, w.overs[j].call));
        }
    }
}

static void test_no_room_for_an_error(void **state)
{
    (void)state;
    w.wire.max_message = 10; /* no client may say so, but it must not hang */
    assert_err(say("{\"endpoint\":\"nothing\"}"), E_TOO_LARGE);
    assert_err(say("{\"endpoint\":\"echo\"}"), E_TOO_LARGE);
}

static void test_drain(void **state)
{
    (void)state;
    assert_ok(request(1, "late"));
    assert_ok(si_link_drain(w.link, 500));
    sent("{\"draining\":{\"reconnect_after_ms\":500}}");
    assert_ok(si_link_drain(w.link, 600));
    sent(NULL);
    assert_ok(request(2, "echo"));
    sent("{\"id\":2,\"error\":{\"code\":\"unavailable\"}}");
    assert_err(request(1, "echo"), E_PROTOCOL);
    assert_ok(request(3, "$/health"));
    sent("{\"id\":3,\"content\":{\"status\":\"draining\"}}");
    assert_ok(say("{\"endpoint\":\"echo\",\"notify\":true}"));
    assert_int_equal(w.handled, 2);
    assert_ok(answer(w.kept[0], "1"));
    sent("{\"id\":1,\"content\":1}");
    assert_int_equal(si_link_in_flight(w.link), 0);
    /* The client's close first: it is not told any more. */
    relink(10, 0);
    assert_err(say("{\"close\":{}}"), E_CLOSED);
    assert_ok(si_link_drain(w.link, 1));
    sent(NULL);
}

/* Section 7: a server that receives a close answers the requests it has. */
static void test_answers_after_close(void **state)
{
    (void)state;
    assert_ok(request(1, "late"));
    assert_ok(request(2, "listen"));
    assert_ok(request(3, "late"));
    assert_err(say("{\"close\":{\"code\":\"done\"}}"), E_CLOSED);
    assert_err(cancel(1), E_CLOSED);
    assert_int_equal(si_link_in_flight(w.link), 3);
    assert_ok(part(w.kept[0], "0"));
    assert_ok(answer(w.kept[0], "1"));
    assert_ok(answer_error(w.kept[2], "denied", NULL));
    sent("{\"id\":1,\"content\":0,\"more\":true}");
    sent("{\"id\":1,\"content\":1}");
    sent("{\"id\":3,\"error\":{\"code\":\"denied\"}}");
    si_link_tick(w.link, 60000 * MS);
    sent("{\"id\":2,\"error\":{\"code\":\"deadline_exceeded\"}}");
    assert_int_equal(si_link_in_flight(w.link), 0);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void test_overload(void **state)
{
    (void)state;
    relink(3, 1000);
    for (uint64_t id = 1; id <= 3; id++)
        assert_ok(request(id, "late"));
    assert_ok(request(4, "late"));
    sent("{\"id\":4,\"error\":{\"code\":\"overloaded\"}}");
    assert_ok(request(5, "echo"));
    sent("{\"id\":5,\"error\":{\"code\":\"overloaded\"}}");
    assert_ok(request(6, "nothing"));
    sent("{\"id\":6,\"error\":{\"code\":\"not_found\"}}");
    assert_ok(say("{\"endpoint\":\"echo\",\"notify\":true}"));
    assert_int_equal(w.handled, 4);
    assert_err(request(3, "late"), E_PROTOCOL);
    assert_ok(answer(w.kept[1], "1"));
    sent("{\"id\":2,\"content\":1}");
    assert_ok(request(4, "late"));
    sent(NULL);
    assert_int_equal(si_link_in_flight(w.link), 3);
}

static size_t depth_of(const struct si_id_node *node)
{
    size_t a, b;

    if (node == NULL)
        return 0;
    a = depth_of(node->child[0]);
    b = depth_of(node->child[1]);
    return 1 + (a > b ? a : b);
}

/* 1024 calls at a time, whose ids were chosen to be hard to tell apart. */
static void test_hostile_ids(void **state)
{
    (void)state;
    w.wire.quiet = true;
    for (int shape = 0; shape < 5; shape++) {
        uint64_t ids[1024];

        w.kept_count = 0;
        for (uint64_t i = 0; i < 1024; i++) {
            static const unsigned shift[] = {0, 43, 10, 32, 20};

            ids[i] = (i + 1) << shift[shape];
            if (shape == 1)
                ids[i] = (i << 43) | 1;
            assert_ok(request(ids[i], i % 2 ? "late" : "listen"));
        }
        assert_int_equal(si_link_in_flight(w.link), 1024);
        assert_true(depth_of(w.link->ids) <= (shape == 0 ? 12 : 54));
        w.wire.count = 0;
        assert_ok(request(SI_ID_MAX, "late")); /* one too many */
        assert_int_equal(w.wire.count, 1);
        for (size_t i = 0; i < 1024; i++)
            assert_err(request(ids[i], "echo"), E_PROTOCOL);
        for (size_t i = 0; i < 1024; i += 3)
            assert_ok(answer(w.kept[i * 7 % 1024], "1"));
        for (size_t i = 0; i < 1024; i++)
            assert_ok(cancel(ids[i]));
        si_link_tick(w.link, 60000 * MS);
        assert_int_equal(si_link_in_flight(w.link), 0);
        assert_null(w.link->ids);
        assert_null(w.link->due);
        assert_int_equal(w.wire.count, 1 + 1024);
        w.over_count = 0;
    }
}

/* The tree and the heap against a plain list. */
static void test_tree_and_heap(void **state)
{
    enum { N = 300 };
    static struct si_call nodes[N];
    struct si_id_node *ids = NULL;
    struct si_due *due = NULL;
    bool in[N] = {false};
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int round = 0; round < 60000; round++) {
        size_t i;

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        i = x % N;
        if (!in[i]) {
            nodes[i].node.id = round % 3 == 0 ? i + 1 : (i + 1) << 40 | (round % 3 == 1);
            nodes[i].due.at = (int64_t)(x >> 20 & 63);
            if (si_id_find(ids, nodes[i].node.id) != NULL)
                continue;
            si_id_insert(&ids, &nodes[i].node);
            si_due_add(&due, &nodes[i].due);
        } else {
            if (x >> 50 & 1)
                i = (size_t)(si_call_of_due(due) - nodes);
            si_id_remove(&ids, &nodes[i].node);
            si_due_remove(&due, &nodes[i].due);
        }
        in[i] = !in[i];
        {
            int64_t first = INT64_MAX;

            for (size_t j = 0; j < N; j++) {
                assert_true(!in[j] || si_id_find(ids, nodes[j].node.id) == &nodes[j].node);
                if (in[j] && nodes[j].due.at < first)
                    first = nodes[j].due.at;
            }
            assert_int_equal(due == NULL ? INT64_MAX : due->at, first);
        }
        assert_null(si_id_find(ids, UINT64_C(1) << 52));
    }
}

/* ---- Everything at once ---------------------------------------------------------------------- */

/* What becomes of one call: exactly one final answer on the wire, or the end of its link; and
 * its handler either answered or was told, and never told twice. */
enum { LINKS = 4, STRESS_IDS = 40 };

static struct {
    struct si_link *link[LINKS];
    struct wire wire[LINKS];
    bool waiting[LINKS][STRESS_IDS]; /* asked, no final answer yet */
    uint64_t x;
} stress;

static uint64_t roll(uint64_t n)
{
    stress.x ^= stress.x << 13;
    stress.x ^= stress.x >> 7;
    stress.x ^= stress.x << 17;
    return stress.x % n;
}

static void read_wire(size_t l)
{
    const char *text;

    while ((text = wire_take(&stress.wire[l])) != NULL) {
        unsigned id = 0;

        assert_int_equal(sscanf(text, "{\"id\":%u,", &id), 1);
        assert_true(id < STRESS_IDS);
        assert_true(stress.waiting[l][id]);
        if (strstr(text, "\"more\":true") == NULL)
            stress.waiting[l][id] = false;
    }
}

/* Answer anything, rightly or wrongly. */
static void meddle(void)
{
    sotto_call call;

    if (w.kept_count == 0)
        return;
    call = w.kept[roll(w.kept_count)];
    switch (roll(6)) {
    case 0:
        (void)part(call, "[]");
        break;
    case 1:
        (void)answer(call, "nonsense");
        break;
    case 2:
        (void)answer_error(call, "a.b", "message");
        break;
    case 3:
        (void)answer_error(call, "bad code", "message");
        break;
    default:
        (void)answer(call, "{}");
        break;
    }
}

static void meddle_when_over(sotto_call call, sotto_err reason)
{
    (void)call;
    (void)reason;
    for (size_t i = roll(3); i > 0; i--)
        meddle();
}

static void meddle_in_handler(const sotto_request *r)
{
    w.kept[w.kept_count++ % 500] = r->call;
    if (w.kept_count >= 500)
        w.kept_count = 0;
    for (size_t i = roll(4); i > 0; i--)
        meddle();
}

static void stress_step(size_t l, int64_t now)
{
    unsigned id = (unsigned)roll(STRESS_IDS - 1) + 1;
    char text[128];

    switch (roll(8)) {
    case 0:
    case 1:
    case 2:
        if (stress.waiting[l][id])
            break;
        snprintf(text, sizeof text, "{\"id\":%u,\"endpoint\":\"%s\",\"deadline_ms\":%u}", id,
                 roll(3) == 0 ? "echo" : "do", (unsigned)roll(50) + 1);
        stress.waiting[l][id] = true;
        assert_ok(say_at(stress.link[l], text, now));
        break;
    case 3:
        snprintf(text, sizeof text, "{\"id\":%u,\"cancel\":true}", id);
        assert_ok(say_at(stress.link[l], text, now));
        break;
    case 4:
        si_link_tick(stress.link[l], now);
        assert_true(si_link_deadline(stress.link[l]) > now);
        break;
    case 5:
        if (roll(40) == 0) {
            si_link_free(stress.link[l]);
            wire_free(&stress.wire[l]);
            memset(stress.waiting[l], 0, sizeof stress.waiting[l]);
            stress.link[l] = link_new(&stress.wire[l]);
        }
        break;
    default:
        meddle();
        break;
    }
}

static void test_stress(void **state)
{
    (void)state;
    stress.x = 42;
    w.max_calls = 30;
    w.on_request = meddle_in_handler;
    w.on_over = meddle_when_over;
    for (size_t l = 0; l < LINKS; l++)
        stress.link[l] = link_new(&stress.wire[l]);
    for (int64_t step = 0; step < 40000; step++) {
        stress_step(roll(LINKS), step * MS);
        for (size_t l = 0; l < LINKS; l++) {
            size_t waiting = 0;

            read_wire(l);
            for (size_t id = 0; id < STRESS_IDS; id++)
                waiting += stress.waiting[l][id];
            assert_int_equal(si_link_in_flight(stress.link[l]), waiting);
        }
        for (size_t i = 0; i < w.over_count; i++) {
            for (size_t j = 0; j < i; j++)
                assert_false(is_call(w.overs[i].call, w.overs[j].call));
        }
        if (w.over_count > 30)
            w.over_count = 0;
    }
    w.on_over = NULL;
    for (size_t l = 0; l < LINKS; l++) {
        w.over_count = 0;
        si_link_free(stress.link[l]);
        wire_free(&stress.wire[l]);
    }
    memset(&stress, 0, sizeof stress);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void answer_with_words(const sotto_request *r)
{
    assert_ok(answer_error(r->call, "billing.no_credit", "not \"enough\""));
}

static void answer_something(const sotto_request *r)
{
    assert_ok(answer(r->call, "{\"something\":[1,2,3]}"));
}

static void test_no_allocations(void **state)
{
    static const char *const messages[] = {
        "{\"endpoint\":\"echo\",\"content\":{\"a\":[1,2,3]}}",
        "{\"id\":7,\"endpoint\":\"do\",\"deadline_ms\":100}",
        "{\"endpoint\":\"$/ping\",\"content\":1}",
        "{\"endpoint\":\"$/endpoints\"}",
        "{\"endpoint\":\"nothing\"}",
        "{\"endpoint\":5}",
        "{\"endpoint\":\"echo\",\"notify\":true}",
        "{\"id\":9,\"cancel\":true}",
        "{\"id\":8,\"endpoint\":\"late\"}", /* and its answer */
    };
    struct si_span texts[SI_COUNT(messages)];
    size_t before;

    (void)state;
    w.wire.quiet = true;
    for (size_t i = 0; i < SI_COUNT(messages); i++)
        texts[i] = padded_str(messages[i]);
    for (int round = 0; round < 200; round++) {
        if (round == 2) {
            before = memory.count;
            w.wire.count = 0;
        }
        for (size_t i = 0; i < SI_COUNT(messages); i++) {
            w.on_request = round % 2 ? answer_something : answer_with_words;
            w.kept_count = 0;
            assert_ok(si_link_message(w.link, texts[i], 0));
        }
        assert_ok(answer(w.kept[0], "[]"));
    }
    assert_int_equal(memory.count, before);
    assert_int_equal(w.wire.count, 198 * 7);
    for (size_t i = 0; i < SI_COUNT(messages); i++)
        padded_free(texts[i]);
}

/* Idle links are small. */
static void test_idle_link(void **state)
{
    size_t before = memory.count;
    struct si_link *link = link_new(&w.wire);

    (void)state;
    assert_int_equal(memory.count, before + 1);
    assert_true(sizeof *link <= 192);
    si_link_free(link);
}

/* One whole life, with memory that ends at the Nth allocation.  Returns whether it ended. */
static bool life_without_memory(size_t n, bool all)
{
    static char big[20000];
    struct si_link_options options = {.send = wire_send,
                                      .conn = &w.wire,
                                      .peer = &w.peer,
                                      .max_calls = 100,
                                      .call_timeout_ms = 9};
    struct si_json *json = NULL;
    struct si_service *service = NULL;
    struct si_link *link = NULL;
    struct si_calls *test_calls = w.calls;
    size_t answers = 0;
    bool failed;

    memset(big, ' ', sizeof big);
    memcpy(big, "{\"id\":50,\"endpoint\":\"late\"}", 27);
    big[sizeof big - 1] = '\0';
    w.calls = NULL;
    w.kept_count = w.over_count = 0;
    memory_fail(n, all);
    if (si_json_new(&json) != SOTTO_OK || si_service_new(SERVER, &service) != SOTTO_OK ||
        si_calls_new(WORKER, &w.calls) != SOTTO_OK ||
        si_service_add(service, "late", late, NULL, NULL) != SOTTO_OK ||
        si_service_add(service, "listen", late, over, &w.overs) != SOTTO_OK)
        goto out;
    options.service = service;
    options.calls = w.calls;
    options.json = json;
    if (si_link_new(&options, &link) != SOTTO_OK)
        goto out;
    for (uint64_t id = 1; id <= 40; id++) { /* more than one chunk */
        char text[64];

        snprintf(text, sizeof text, "{\"id\":%d,\"endpoint\":\"%s\"}", (int)id,
                 id % 2 ? "late" : "listen");
        if (say_at(link, text, 0) != SOTTO_OK)
            goto out;
    }
    if (say_at(link, big, 0) != SOTTO_OK)
        goto out;
    for (size_t i = 0; i < w.kept_count; i++) {
        sotto_err err = i % 3 ? answer(w.kept[i], "[1]") : answer_error(w.kept[i], "a.b", "words");

        assert_true(err == SOTTO_OK || err == SOTTO_E_NOMEM);
        if (err == SOTTO_E_NOMEM && i % 2) /* it still waits: this needs no memory */
            assert_ok(answer_error(w.kept[i], "internal", NULL));
    }
    si_link_tick(link, 9 * MS);
    assert_int_equal(si_link_in_flight(link), 0);
    while (wire_take(&w.wire) != NULL)
        answers++;
    assert_int_equal(answers, 41); /* each request has one, `overloaded` maybe */
out:
    failed = memory_heal();
    si_link_free(link);
    si_calls_free(w.calls);
    si_service_free(service);
    si_json_free(json);
    wire_free(&w.wire);
    w.calls = test_calls;
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

static void test_endpoints_without_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char name[32];
        sotto_err err;

        snprintf(name, sizeof name, "n%d", i);
        for (size_t n = 0;; n++) {
            memory_fail(n, false);
            err = si_service_add(w.service, name, echo, NULL, NULL);
            if (!memory_heal())
                break;
            assert_int_equal(err, SOTTO_E_NOMEM);
            assert_null(si_service_find(w.service, si_span_str(name)));
        }
        assert_int_equal(err, SOTTO_OK);
    }
    assert_ok(say("{\"endpoint\":\"$/endpoints\"}"));
    assert_non_null(
        strstr(wire_take(&w.wire), "{\"name\":\"do\"},{\"name\":\"n0\"},{\"name\":\"n1\"}"));
}

/* ---- The project's vectors ------------------------------------------------------------------- */

static const char *outcome(const struct vector *v, struct si_span text, uint64_t *id)
{
    const char *answered;
    unsigned long long number = 0;
    uint64_t counted = w.link->counted;
    size_t in_flight = si_link_in_flight(w.link);
    sotto_err err = si_link_message(w.link, text, 0);

    (void)v;
    if (err != SOTTO_OK)
        return err == SOTTO_E_CLOSED ? "close" : err == SOTTO_E_PROTOCOL ? "protocol_error" : "?";
    answered = wire_take(&w.wire);
    if (answered != NULL)
        assert_int_equal(sscanf(answered, "{\"id\":%llu,", &number), 1);
    *id = number;
    if (w.link->counted == counted) {
        if (answered != NULL)
            return strstr(answered, "\"cancelled\"") != NULL ? "cancel" : "?";
        return si_link_in_flight(w.link) == in_flight ? "nothing" : "?";
    }
    if (answered == NULL)
        return "?";
    return strstr(answered, "{\"code\":\"invalid_request\"") != NULL ? "invalid_request"
                                                                     : "request";
}

static void check_vector(const struct vector *v, void *user)
{
    struct si_span text = padded(v->data, v->len);
    uint64_t id = 0;
    const char *got;
    bool ok;

    relink(*(uint32_t *)user, 0);
    for (size_t i = 0; i < v->in_use_count; i++)
        assert_ok(request(v->in_use[i], "late"));
    w.kept_count = 0;
    w.link->counted = v->count;
    got = outcome(v, text, &id);
    ok = strcmp(got, v->expect) == 0 || strcmp(got, v->also) == 0;
    if (strcmp(got, "nothing") == 0) /* a cancel of an unknown id leaves no trace either */
        ok = strcmp(v->expect, "notification") == 0 ||
             (strcmp(v->expect, "cancel") == 0 && v->id != v->in_use[0]);
    if (ok && v->id != 0 && id != 0)
        ok = id == v->id;
    if (!ok) {
        print_error("%s: %.*s: %s of %llu instead of %s\n", v->why, (int)v->len,
                    (const char *)v->data, got, (unsigned long long)id, v->expect);
        fail();
    }
    sent(NULL);
    wire_free(&w.wire);
    padded_free(text);
}

static void test_vectors(void **state)
{
    uint32_t max_calls = 100;

    (void)state;
    assert_true(for_each_vector(VECTORS, "client_to_server", check_vector, &max_calls) >= 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ids),
        TEST(test_id_in_use),
        TEST(test_protocol_errors),
        TEST(test_what_handlers_see),
        TEST(test_no_copy),
        TEST(test_reserved),
        TEST(test_no_endpoints),
        TEST(test_many_endpoints),
        TEST(test_any_order),
        TEST(test_twice),
        TEST(test_generations),
        TEST(test_made_up_names),
        TEST(test_malformed_answers),
        TEST(test_answer_depth),
        TEST(test_unchecked_content),
        TEST(test_too_large),
        TEST(test_error_answers),
        TEST(test_deadlines),
        TEST(test_no_deadline),
        TEST(test_cancel),
        TEST(test_cancel_then_deadline),
        TEST(test_answer_inside_over),
        TEST(test_over_answers_others),
        TEST(test_answer_inside_handler),
        TEST(test_gone),
        TEST(test_broken_send),
        TEST(test_broken_reported),
        TEST(test_broken_anywhere),
        TEST(test_no_room_for_an_error),
        TEST(test_drain),
        TEST(test_answers_after_close),
        TEST(test_overload),
        TEST(test_hostile_ids),
        TEST(test_tree_and_heap),
        TEST(test_stress),
        TEST(test_no_allocations),
        TEST(test_idle_link),
        TEST(test_out_of_memory),
        TEST(test_endpoints_without_memory),
        TEST(test_vectors),
    };

    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
