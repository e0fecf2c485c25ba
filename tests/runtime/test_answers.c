/*
 * Answers: at once, later, from elsewhere, never, twice, too late; malformed, in parts, errors.
 */
#include "wire.h"

/* ---- Answers: when --------------------------------------------------------------------------- */

static void answers_at_once(void **state)
{
    static const char *const texts[] = {"null",
                                        "true",
                                        "-1.5e3",
                                        "\"\"",
                                        "\"\\u0000\\ud83d\\ude00 \xc3\xbc\"",
                                        "[]",
                                        "{}",
                                        "[1 , {\"a\" : null}]",
                                        "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        call_gives(client, "echo", texts[i], texts[i]);
    call_gives(client, "echo", NULL, "null");
    assert_int_equal(client_stats(client).sessions, 1);
    wait_for_stat(server, requests, COUNT_OF(texts) + 1);
    assert_int_equal(stats_of(server).requests, COUNT_OF(texts) + 1);
    sotto_client_free(client);
    stop(server);
}

/* Answers the call that waits at the desk, then its own. */
static void release(void *user, const sotto_request *request)
{
    struct desk *desk = user;
    sotto_call call = desk_take(desk);

    require(sotto_answer(request->server, call, "\"released\"", 10) == SOTTO_OK);
    require(sotto_answer(request->server, call, "\"again\"", 7) == SOTTO_E_GONE);
    answer_text(request, "\"done\"");
}

/* WORKERS 1: on the same thread.  More: perhaps on the thread of another. */
static void answered_by_another_handler(unsigned workers, unsigned rounds)
{
    sotto_server_options o = server_options();
    static struct desk desk;
    sotto_server *server;

    o.workers = workers;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    add_endpoint(server, "release", workers == 1 ? release : echo, NULL, &desk);
    start(server);
    for (unsigned i = 0; i < rounds; i++) {
        sotto_client *a = client_for(server), *b = client_for(server);
        struct caller parked = {0};

        caller_start(&parked, a, "park", "{\"x\":1}");
        desk_wait_calls(&desk, i + 1);
        assert_string_equal(desk.content, "{\"x\":1}");
        assert_string_equal(desk.endpoint, "park");
        assert_int_equal(desk.request.notification, 0);
        assert_true(desk.request.deadline_ms > 0 && desk.request.deadline_ms <= WAIT_MS);
        if (workers == 1) {
            call_gives(b, "release", NULL, "\"done\"");
        } else {
            call_gives(b, "release", "1", "1");
            assert_int_equal(sotto_answer(server, desk_take(&desk), "\"released\"", 10), SOTTO_OK);
        }
        caller_join(&parked);
        assert_int_equal(parked.err, SOTTO_OK);
        assert_string_equal(parked.reply.content, "\"released\"");
        caller_free(&parked);
        sotto_client_free(a);
        sotto_client_free(b);
    }
    assert_int_equal(desk_overs(&desk), 0);
    stop(server);
    desk_free(&desk);
}

static void answers_later_on_the_same_thread(void **state)
{
    (void)state;
    answered_by_another_handler(1, 5);
}

static void answers_later_from_outside(void **state)
{
    (void)state;
    answered_by_another_handler(3, 5);
}

static void *answer_what_comes(void *user)
{
    struct desk *desk = user;
    sotto_call call;

    while (desk_take_or_closed(desk, &call)) {
        require(sotto_answer_part(desk->server, call, "\"part\"", 6) == SOTTO_OK);
        require(sotto_answer(desk->server, call, "\"whole\"", 7) == SOTTO_OK);
        /* a second answer is harmless, whoever gives it */
        require(sotto_answer(desk->server, call, "\"more\"", 6) == SOTTO_OK);
    }
    return NULL;
}

static void answers_later_from_many_threads(void **state)
{
    enum { CLIENTS = 12, THREADS = 4, CALLS = 40 };
    sotto_server_options o = server_options();
    static struct desk desk;
    pthread_t answering[THREADS], calling[CLIENTS];
    struct loop loops[CLIENTS];
    sotto_server *server;

    (void)state;
    o.workers = 3;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    start(server);
    desk.server = server;
    for (size_t i = 0; i < THREADS; i++)
        spawn(&answering[i], answer_what_comes, &desk);
    for (size_t i = 0; i < CLIENTS; i++) {
        loops[i] = (struct loop){client_for(server), "park", "[1]", "\"whole\"", CALLS, 0, 0};
        spawn(&calling[i], call_in_a_loop, &loops[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        join(calling[i]);
        assert_int_equal(loops[i].right, CALLS);
        assert_int_equal(loops[i].wrong, 0);
        assert_int_equal(client_stats(loops[i].client).sessions, 1);
        sotto_client_free(loops[i].client);
    }
    desk_close(&desk);
    for (size_t i = 0; i < THREADS; i++)
        join(answering[i]);
    assert_int_equal(desk_overs(&desk), 0);
    stop(server);
    desk_free(&desk);
}

static void never_answers(void **state)
{
    sotto_server_options o = server_options();
    static struct desk desk;
    sotto_server *server;
    sotto_client *client;

    (void)state;
    o.call_timeout_ms = 50;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "never", desk_handler, desk_over, &desk);
    add_endpoint(server, "silent", desk_handler, NULL, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);

    call_fails(client, "never", NULL, SOTTO_E_TIMEOUT);
    assert_string_equal(last.code, "deadline_exceeded");
    assert_int_equal(last.maybe_executed, 1);
    desk_wait_overs(&desk, 1);
    assert_int_equal(desk.overs[0].reason, SOTTO_E_TIMEOUT);
    assert_memory_equal(&desk.overs[0].call, &desk.calls[0], sizeof(sotto_call));
    assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);

    call_fails(client, "silent", NULL, SOTTO_E_TIMEOUT);
    assert_string_equal(last.code, "deadline_exceeded");
    call_echo(client); /* the late answer is nobody's */
    assert_int_equal(desk_overs(&desk), 1);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
    assert_int_equal(desk_overs(&desk), 1);
    desk_free(&desk);
}

/* The client gives up first, or the server does at the deadline that it was told: about the same
 * time. */
static void client_gives_up(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    sotto_call_options call = {.timeout_ms = 80};
    sotto_client *client;
    sotto_reply reply;
    sotto_error error = {0};

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "never", desk_handler, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    call_echo(client);
    assert_int_equal(sotto_client_call(client, "never", NULL, 0, &call, &reply, &error),
                     SOTTO_E_TIMEOUT);
    check_words(&error, SOTTO_E_TIMEOUT);
    assert_int_equal(error.stage, SOTTO_STAGE_CALL);
    assert_int_equal(reply.maybe_executed, 1);
    sotto_reply_free(&reply);
    desk_wait_overs(&desk, 1);
    assert_true(desk.request.deadline_ms > 0 && desk.request.deadline_ms <= 80);
    assert_true(desk.overs[0].reason == SOTTO_E_TIMEOUT ||
                desk.overs[0].reason == SOTTO_E_CANCELLED);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
    assert_int_equal(desk_overs(&desk), 1);
    desk_free(&desk);
}

static void twice(void *user, const sotto_request *request)
{
    sotto_server *server = request->server;
    sotto_call call = request->call;

    (void)user;
    require(sotto_answer(server, call, "1", 1) == SOTTO_OK);
    require(sotto_answer(server, call, "2", 1) == SOTTO_E_GONE);
    require(sotto_answer_part(server, call, "3", 1) == SOTTO_E_GONE);
    require(sotto_answer_error(server, call, "denied", "4") == SOTTO_E_GONE);
    require(sotto_answer(server, call, "{", 1) == SOTTO_E_GONE);
}

static void error_twice(void *user, const sotto_request *request)
{
    (void)user;
    require(sotto_answer_error(request->server, request->call, "internal", NULL) == SOTTO_OK);
    require(sotto_answer(request->server, request->call, "2", 1) == SOTTO_E_GONE);
}

static void answers_twice(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    sotto_client *client;

    (void)state;
    add_endpoint(server, "twice", twice, NULL, NULL);
    add_endpoint(server, "error-twice", error_twice, NULL, NULL);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    for (int i = 0; i < 3; i++) {
        call_gives(client, "twice", NULL, "1");
        call_echo(client);
        call_fails(client, "error-twice", NULL, SOTTO_E_CALL);
        assert_string_equal(last.code, "internal");
    }
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

/* Answers the oldest call of the desk, on its own thread: its client is gone. */
static void answer_the_dead(void *user, const sotto_request *request)
{
    struct desk *desk = user;
    sotto_call call = desk_take(desk);

    require(sotto_answer_part(request->server, call, "1", 1) == SOTTO_E_GONE);
    require(sotto_answer(request->server, call, "1", 1) == SOTTO_E_GONE);
    require(sotto_answer_error(request->server, call, "denied", NULL) == SOTTO_E_GONE);
    answer_text(request, "\"dead\"");
}

static void answers_after_the_client_is_gone(void **state)
{
    sotto_server_options o = server_options();
    static struct desk desk;
    struct taught taught;
    sotto_server *server;
    sotto_client *client;

    (void)state;
    o.workers = 1;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    add_endpoint(server, "silent", desk_handler, NULL, &desk);
    add_endpoint(server, "answer", answer_the_dead, NULL, &desk);
    start(server);
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    client = client_for(server);
    for (size_t i = 0; i < 4; i++) {
        bool reset = (i & 1) != 0;
        struct wire wire;

        wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
        wire_send(&wire, "{\"endpoint\":\"park\"}");
        wire_send(&wire, "{\"endpoint\":\"silent\"}");
        desk_wait_calls(&desk, 4 * i + 2);
        if (i >=
            2) /* a polite goodbye changes nothing: the answers are awaited, then nobody is there */
            wire_send(&wire, "{\"close\":{\"code\":\"done\"}}");
        wire_drop(&wire, reset);
        if (i < 2) {
            desk_wait_overs(&desk, i + 1);
            assert_int_equal(desk.overs[i].reason, SOTTO_E_GONE);
            call_gives(client, "answer", NULL, "\"dead\"");
            call_gives(client, "answer", NULL, "\"dead\"");
        } else {
            assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);
            assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);
        }
        /* and two that are answered from outside, by somebody who does not know */
        wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
        wire_send(&wire, "{\"endpoint\":\"silent\"}");
        wire_send(&wire, "{\"endpoint\":\"silent\"}");
        desk_wait_calls(&desk, 4 * i + 4);
        wire_drop(&wire, reset);
        assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);
        assert_int_equal(sotto_answer_error(server, desk_take(&desk), "denied", NULL), SOTTO_OK);
    }
    wait_for_open(server, 1);
    sotto_client_free(client);
    stop(server);
    desk_free(&desk);
}

struct leaver {
    const char *address;
    const struct taught *taught;
    unsigned seed;
};

/* Comes, asks, and leaves at some point: before the answer, behind it, or in the middle. */
static void *come_and_go(void *user)
{
    struct leaver *leaver = user;

    for (int round = 0; round < 25; round++) {
        struct wire wire;
        int asked = rand_r(&leaver->seed) % 4, heard = rand_r(&leaver->seed) % 4;

        wire_open(&wire, leaver->address, leaver->taught, NULL, 0);
        for (int i = 0; i < asked; i++)
            wire_send(&wire, "{\"endpoint\":\"park\"}");
        for (int i = 0; i < heard && i < asked; i++)
            free(wire_receive(&wire));
        if (rand_r(&leaver->seed) % 2 == 0)
            wire_send(&wire, "{\"close\":{\"code\":\"done\"}}");
        wire_drop(&wire, rand_r(&leaver->seed) % 2 == 0);
    }
    return NULL;
}

static void answers_race_with_goodbyes(void **state)
{
    enum { LEAVERS = 6, THREADS = 3 };
    sotto_server_options o = server_options();
    static struct desk desk;
    pthread_t answering[THREADS], leaving[LEAVERS];
    struct leaver leavers[LEAVERS];
    struct taught taught;
    sotto_server *server;
    sotto_client *client;

    (void)state;
    server = server_new(&o);
    desk_init(&desk);
    add_endpoint(server, "park", desk_handler, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    desk.server = server;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    for (size_t i = 0; i < THREADS; i++)
        spawn(&answering[i], answer_what_comes, &desk);
    for (size_t i = 0; i < LEAVERS; i++) {
        leavers[i] = (struct leaver){sotto_server_address(server), &taught, (unsigned)i};
        spawn(&leaving[i], come_and_go, &leavers[i]);
    }
    for (size_t i = 0; i < LEAVERS; i++)
        join(leaving[i]);
    wait_for_open(server, 0);
    desk_close(&desk);
    for (size_t i = 0; i < THREADS; i++)
        join(answering[i]);
    for (size_t i = 0; i < desk.over_count; i++)
        assert_int_equal(desk.overs[i].reason, SOTTO_E_GONE);
    client = client_for(server);
    call_echo(client);
    sotto_client_free(client);
    stop(server);
    desk_free(&desk);
}

/* Requests as another implementation may write them. */
static void ids_deadlines_and_cancels(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    struct taught taught;
    struct wire wire;

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "listens", desk_handler, desk_over, &desk);
    add_endpoint(server, "deaf", desk_handler, NULL, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);

    wire_send(&wire, "{\"endpoint\":\"echo\",\"id\":9007199254740991,\"future\":[]}");
    wire_expect(&wire, "{\"id\":9007199254740991,\"content\":null}");
    wire_send(&wire, "{\"id\":7,\"endpoint\":\"listens\",\"deadline_ms\":40}");
    wire_expect(&wire, "{\"id\":7,\"error\":{\"code\":\"deadline_exceeded\"}}");
    desk_wait_overs(&desk, 1);
    assert_int_equal(desk.overs[0].reason, SOTTO_E_TIMEOUT);
    assert_int_equal(desk.request.deadline_ms, 40);

    wire_send(&wire, "{\"id\":8,\"endpoint\":\"deaf\"}");
    wire_send(&wire, "{\"id\":8,\"cancel\":true}");
    wire_expect(&wire, "{\"id\":8,\"error\":{\"code\":\"cancelled\"}}");
    assert_int_equal(desk.request.deadline_ms, 0);
    wire_send(&wire, "{\"id\":8,\"cancel\":true}");
    wire_send(&wire, "{\"id\":9,\"endpoint\":\"listens\"}");
    wire_send(&wire, "{\"id\":9,\"cancel\":true}");
    wire_send(&wire, "{\"id\":9,\"cancel\":true}");
    desk_wait_overs(&desk, 2);
    assert_int_equal(desk.overs[1].reason, SOTTO_E_CANCELLED);
    assert_int_equal(sotto_answer(server, desk.calls[2], "\"still welcome\"", 15), SOTTO_OK);
    wire_expect(&wire, "{\"id\":9,\"content\":\"still welcome\"}");

    /* answers in any order, and the ids are free again */
    wire_send(&wire, "{\"id\":7,\"endpoint\":\"listens\"}");
    wire_send(&wire, "{\"id\":8,\"endpoint\":\"listens\"}");
    desk_wait_calls(&desk, 5);
    assert_int_equal(sotto_answer(server, desk.calls[4], "8", 1), SOTTO_OK);
    wire_expect(&wire, "{\"id\":8,\"content\":8}");
    wire_send(&wire, "{\"id\":7,\"endpoint\":\"echo\"}");
    wire_expect(&wire, "{\"close\":{\"code\":\"protocol_error\"}}");
    assert_null(wire_receive(&wire));
    desk_wait_overs(&desk, 3);
    assert_int_equal(desk.overs[2].reason, SOTTO_E_GONE);
    wire_drop(&wire, false);
    stop(server);
    assert_int_equal(desk_overs(&desk), 3);
    desk_free(&desk);
}

/* ---- Answers: what --------------------------------------------------------------------------- */

struct text {
    const char *text;
    sotto_err err;
};

/* Answers with texts that are no JSON; the library has to notice. */
static void answer_as_told(void *user, const sotto_request *request)
{
    const struct text *t = user;

    require(sotto_answer(request->server, request->call, t->text, strlen(t->text)) == t->err);
}

static void part_as_told(void *user, const sotto_request *request)
{
    const struct text *t = user;
    sotto_err err = sotto_answer_part(request->server, request->call, t->text, strlen(t->text));

    require(err == t->err);
    require(sotto_answer(request->server, request->call, "0", 1) ==
            (err == SOTTO_OK ? SOTTO_OK : SOTTO_E_GONE));
}

static void malformed_answers(void **state)
{
    static const char *const bad[] = {
        "",    "{",   "{\"a\":1,}", "tru", "01", "\"\n\"",   "\xff", "1 2",
        "[1}", "NaN", "{\"a\" 1}",  "1}",  "],", "\"\xc3\"", "'a'",  " "};
    static struct desk desk;
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    struct text told = {"", SOTTO_OK};
    sotto_client *client;

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "told", answer_as_told, NULL, &told);
    add_endpoint(server, "part", part_as_told, NULL, &told);
    add_endpoint(server, "park", desk_handler, NULL, &desk);
    start(server);
    client = client_for(server);
    call_gives(client, "$/ping", NULL, "null");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct caller caller = {0};

        told = (struct text){bad[i], SOTTO_E_JSON};
        call_fails(client, "told", NULL, SOTTO_E_CALL);
        assert_string_equal(last.code, "internal");
        call_fails(client, "part", NULL, SOTTO_E_CALL);
        assert_string_equal(last.code, "internal");
        /* from another thread nobody is told but the client */
        caller_start(&caller, client, "park", "1");
        assert_int_equal(sotto_answer(server, desk_take(&desk), bad[i], strlen(bad[i])), SOTTO_OK);
        caller_join(&caller);
        assert_int_equal(caller.err, SOTTO_E_CALL);
        assert_string_equal(caller.reply.error_code, "internal");
        caller_free(&caller);
    }
    told = (struct text){nested(64), SOTTO_E_JSON};
    call_fails(client, "told", NULL, SOTTO_E_CALL);
    told = (struct text){nested(63), SOTTO_OK};
    call_gives(client, "told", NULL, told.text);
    call_gives(client, "part", NULL, "0");
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
    desk_free(&desk);
}

/* Numbers 0 … N - 1 as parts, then "end"; N is the content. */
static void count_up(void *user, const sotto_request *request)
{
    int n = atoi(request->content);
    char text[16];

    (void)user;
    for (int i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        require(sotto_answer_part(request->server, request->call, text, strlen(text)) == SOTTO_OK);
    }
    answer_text(request, "\"end\"");
}

struct parts {
    int count, stop_at; /* 0: never */
    bool in_order;
};

static int take_part(void *user, const char *content, size_t len)
{
    struct parts *parts = user;
    char text[16];

    (void)snprintf(text, sizeof text, "%d", parts->count);
    parts->in_order = parts->in_order && len == strlen(text) && memcmp(content, text, len) == 0;
    parts->count++;
    return parts->count == parts->stop_at;
}

static void answers_in_parts(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static const char *const counts[] = {"0", "1", "2", "1000"};
    sotto_client *client;

    (void)state;
    add_endpoint(server, "count", count_up, NULL, NULL);
    start(server);
    client = client_for(server);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct parts parts = {.in_order = true};
        sotto_call_options call = {.part = take_part, .user = &parts};
        sotto_reply reply;
        sotto_error error = {0};

        assert_int_equal(
            sotto_client_call(client, "count", counts[i], strlen(counts[i]), &call, &reply, &error),
            SOTTO_OK);
        assert_string_equal(reply.content, "\"end\"");
        assert_int_equal(parts.count, atoi(counts[i]));
        assert_true(parts.in_order);
        sotto_reply_free(&reply);
        call_gives(client, "count", counts[i], "\"end\""); /* nobody wants the parts */
    }
    sotto_client_free(client);
    stop(server);
}

/* One part at once, and the rest is up to the desk. */
static void first_part(void *user, const sotto_request *request)
{
    require(sotto_answer_part(request->server, request->call, "0", 1) == SOTTO_OK);
    desk_handler(user, request);
}

static void client_stops_the_parts(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    sotto_client *client;

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "count", count_up, NULL, NULL);
    add_endpoint(server, "listens", first_part, desk_over, &desk);
    add_endpoint(server, "deaf", first_part, NULL, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    for (int i = 0; i < 3; i++) {
        static const char *const endpoints[] = {"count", "deaf", "listens"};
        struct parts parts = {.in_order = true, .stop_at = i == 0 ? 3 : 1};
        sotto_call_options call = {.part = take_part, .user = &parts};
        sotto_reply reply;
        sotto_error error = {0};

        assert_int_equal(sotto_client_call(client, endpoints[i], "1000", 4, &call, &reply, &error),
                         SOTTO_E_CANCELLED);
        check_words(&error, SOTTO_E_CANCELLED);
        assert_null(reply.content);
        assert_int_equal(parts.count, parts.stop_at);
        sotto_reply_free(&reply);
        call_echo(client);
    }
    /* the one that listens was told, and its answer is still welcome, though nobody waits */
    desk_wait_overs(&desk, 1);
    assert_int_equal(desk.overs[0].reason, SOTTO_E_CANCELLED);
    assert_memory_equal(&desk.overs[0].call, &desk.calls[1], sizeof(sotto_call));
    assert_int_equal(sotto_answer(server, desk.calls[1], "1", 1), SOTTO_OK);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
    assert_int_equal(desk_overs(&desk), 1);
    desk_free(&desk);
}

struct error_answer {
    const char *code, *message; /* as the handler gives them */
    sotto_err answered;         /* what the handler gets */
    sotto_err err;              /* what the client gets */
    const char *got_code, *got_message;
};

static void fail_as_told(void *user, const sotto_request *request)
{
    const struct error_answer *const *told = user;

    require(sotto_answer_error(request->server, request->call, (*told)->code, (*told)->message) ==
            (*told)->answered);
}

static void error_answers(void **state)
{
    static char long_code[130], long_message[2001];
    static const struct error_answer table[] = {
        {"invalid_request", NULL, SOTTO_OK, SOTTO_E_CALL, "invalid_request", NULL},
        {"invalid_content", "no x", SOTTO_OK, SOTTO_E_CALL, "invalid_content", "no x"},
        {"not_found", "x", SOTTO_OK, SOTTO_E_NOT_FOUND, "not_found", "x"},
        {"denied", "x", SOTTO_OK, SOTTO_E_DENIED, "denied", "x"},
        {"too_large", NULL, SOTTO_OK, SOTTO_E_TOO_LARGE, "too_large", NULL},
        {"deadline_exceeded", NULL, SOTTO_OK, SOTTO_E_TIMEOUT, "deadline_exceeded", NULL},
        {"cancelled", NULL, SOTTO_OK, SOTTO_E_CANCELLED, "cancelled", NULL},
        {"overloaded", NULL, SOTTO_OK, SOTTO_E_UNAVAILABLE, "overloaded", NULL},
        {"unavailable", NULL, SOTTO_OK, SOTTO_E_UNAVAILABLE, "unavailable", NULL},
        {"internal", NULL, SOTTO_OK, SOTTO_E_CALL, "internal", NULL},
        {"billing.no_credit", "\xc3\xbc \"quoted\" \\", SOTTO_OK, SOTTO_E_CALL, "billing.no_credit",
         "\xc3\xbc \"quoted\" \\"},
        {"a.b-c_9", "", SOTTO_OK, SOTTO_E_CALL, "a.b-c_9", NULL},
        {"app.terminal",
         "a\x1b[31m\nb\x7f\xc2\x9b"
         "c",
         SOTTO_OK, SOTTO_E_CALL, "app.terminal", "a?[31m?b???c"},
        {"app.long", long_message, SOTTO_OK, SOTTO_E_CALL, "app.long", long_message},
        {"app.text", "\xff", SOTTO_E_USAGE, SOTTO_E_CALL, "app.text", NULL},
        {"", "x", SOTTO_E_USAGE, SOTTO_E_CALL, "internal", NULL},
        {"No.Capitals", "x", SOTTO_E_USAGE, SOTTO_E_CALL, "internal", NULL},
        {"with space.x", "x", SOTTO_E_USAGE, SOTTO_E_CALL, "internal", NULL},
        {"quo\"te.x", "x", SOTTO_E_USAGE, SOTTO_E_CALL, "internal", NULL},
        {long_code, "x", SOTTO_E_USAGE, SOTTO_E_CALL, "internal", NULL},
    };
    const struct error_answer *told = NULL;
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    sotto_client *client;

    (void)state;
    memset(long_code, 'a', 129);
    long_code[1] = '.';
    memset(long_message, 'm', sizeof long_message - 1);
    add_endpoint(server, "told", fail_as_told, NULL, &told);
    start(server);
    client = client_for(server);
    call_gives(client, "$/ping", "7", "7");
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        sotto_reply reply;
        sotto_error error = {0};

        told = &table[i];
        assert_int_equal(sotto_client_call(client, "told", NULL, 0, NULL, &reply, &error),
                         table[i].err);
        check_words(&error, table[i].err);
        assert_int_equal(error.stage, SOTTO_STAGE_CALL);
        assert_null(reply.content);
        assert_string_equal(reply.error_code, table[i].got_code);
        if (table[i].got_message == NULL)
            assert_null(reply.error_message);
        else
            assert_string_equal(reply.error_message, table[i].got_message);
        /* whose handler had begun, or whose answer did not fit */
        assert_int_equal(reply.maybe_executed, table[i].err == SOTTO_E_TIMEOUT ||
                                                   table[i].err == SOTTO_E_CANCELLED ||
                                                   table[i].err == SOTTO_E_TOO_LARGE);
        assert_contains(error.why, table[i].got_code);
        sotto_reply_free(&reply);
    }
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

/* A scripted server's error answer may carry data; the handlers of ours have none. */
static void error_data(void **state)
{
    sotto_psk_parameters parameters = {0};
    sotto_acceptor *acceptor = acceptor_new(&parameters, 0);
    char address[64];
    int listener = listen_on_loopback(address);
    sotto_client_options o = client_options(address);
    struct caller caller = {0};
    sotto_client *client = client_new(&o);
    struct wire wire;
    char *request;

    (void)state;
    caller_start(&caller, client, "x", "1");
    wire_serve(&wire, accept_from(listener), acceptor);
    wire_serve_until_end(&wire);
    wire_drop(&wire, false);
    wire_serve(&wire, accept_from(listener), acceptor);
    request = wire_receive(&wire);
    assert_non_null(request);
    assert_contains(request, "\"endpoint\":\"x\"");
    assert_contains(request, "\"content\":1");
    free(request);
    wire_send(&wire, "{\"id\":999,\"content\":\"of nobody\"}");
    wire_send(&wire, "{\"future\":\"unknown\"}");
    wire_send(&wire,
              "{\"id\":1,\"error\":{\"code\":\"a.b\",\"message\":\"m\",\"data\":{\"x\":[1]}}}");
    caller_join(&caller);
    assert_int_equal(caller.err, SOTTO_E_CALL);
    assert_string_equal(caller.reply.error_code, "a.b");
    assert_string_equal(caller.reply.error_message, "m");
    assert_string_equal(caller.reply.error_data, "{\"x\":[1]}");
    caller_free(&caller);
    sotto_client_free(client);
    wire_drop(&wire, false);
    require(close(listener) == 0);
    sotto_acceptor_free(acceptor);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(answers_at_once),
        runtime_test(answers_later_on_the_same_thread),
        runtime_test(answers_later_from_outside),
        runtime_test(answers_later_from_many_threads),
        runtime_test(never_answers),
        runtime_test(client_gives_up),
        runtime_test(answers_twice),
        runtime_test(answers_after_the_client_is_gone),
        runtime_test(answers_race_with_goodbyes),
        runtime_test(ids_deadlines_and_cancels),
        runtime_test(malformed_answers),
        runtime_test(answers_in_parts),
        runtime_test(client_stops_the_parts),
        runtime_test(error_answers),
        runtime_test(error_data),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
