/*
 * Requests and notifications: names, contents, sizes, and many of them.
 */
#include "wire.h"

/* ---- Requests -------------------------------------------------------------------------------- */

static void bad_requests(void **state)
{
    static const char *const names[] = {"", "a b", "\xc3\xbc", "a\"b", "$", "a$b", "$$/x", "a\n"};
    static const char *const contents[] = {"", "{", "[1,]", "\xff", "1 1"};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    char name[130], *deep = nested(63);

    (void)state;
    /* content is looked at before anything is sent */
    for (size_t i = 0; i < COUNT_OF(contents); i++)
        call_fails(client, "echo", contents[i], SOTTO_E_JSON);
    assert_int_equal(stats_of(server).connections, 0);
    call_gives(client, "echo", deep, deep);
    call_fails(client, "echo", nested(64), SOTTO_E_JSON);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        call_fails(client, names[i], "1", SOTTO_E_USAGE);
    memset(name, 'n', sizeof name);
    name[129] = '\0';
    call_fails(client, name, "1", SOTTO_E_USAGE);
    name[128] = '\0';
    call_fails(client, name, "1", SOTTO_E_NOT_FOUND);
    assert_string_equal(last.code, "not_found");
    assert_contains(last.error.hint, "$/endpoints");
    call_fails(client, "ech", "1", SOTTO_E_NOT_FOUND);
    call_fails(client, "Echo", "1", SOTTO_E_NOT_FOUND);
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        sotto_error error = {0};

        assert_int_equal(
            sotto_client_notify(client, "echo", contents[i], strlen(contents[i]), &error),
            SOTTO_E_JSON);
        check_words(&error, SOTTO_E_JSON);
        assert_int_equal(sotto_client_notify(client, names[i], "1", 1, &error), SOTTO_E_USAGE);
        check_words(&error, SOTTO_E_USAGE);
    }
    /* an error in words is not everybody's wish */
    {
        sotto_reply reply;

        assert_int_equal(sotto_client_call(client, "nope", NULL, 0, NULL, &reply, NULL),
                         SOTTO_E_NOT_FOUND);
        sotto_reply_free(&reply);
        assert_int_equal(sotto_client_notify(client, "", NULL, 0, NULL), SOTTO_E_USAGE);
    }
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).requests, 1 + 3 + 1 + 1);
    stop(server);
}

static void reserved_endpoints(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    sotto_client *client;

    (void)state;
    add_endpoint(server, "a/b.c_d-9", echo, NULL, NULL);
    add_endpoint(server, "Z", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    call_gives(client, "$/ping", "{\"p\":[1, 2]}", "{\"p\":[1, 2]}");
    call_gives(client, "$/ping", NULL, "null");
    call_gives(client, "$/health", "[1]", "{\"status\":\"serving\"}");
    call_gives(client, "$/endpoints", NULL, "[{\"name\":\"a/b.c_d-9\"},{\"name\":\"Z\"}]");
    call_fails(client, "$/other", NULL, SOTTO_E_NOT_FOUND);
    sotto_client_free(client);
    stop(server);
}

/* ---- Notifications --------------------------------------------------------------------------- */

static void answer_a_notification(void *user, const sotto_request *request)
{
    require(request->notification);
    require(sotto_answer(request->server, request->call, "1", 1) == SOTTO_E_GONE);
    require(sotto_answer_part(request->server, request->call, "1", 1) == SOTTO_E_GONE);
    require(sotto_answer_error(request->server, request->call, "denied", NULL) == SOTTO_E_GONE);
    desk_handler(user, request);
}

static void notifications(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    sotto_client *client;
    sotto_error error = {0};

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "log", answer_a_notification, desk_over, &desk);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    client = client_for(server);
    for (size_t i = 1; i <= 20; i++) {
        assert_int_equal(sotto_client_notify(client, "log", "{\"n\":1}", 7, &error), SOTTO_OK);
        assert_int_equal(sotto_client_notify(client, "nobody", NULL, 0, &error), SOTTO_OK);
        call_echo(client);
        /* calls of one connection start in order */
        assert_int_equal(desk_calls(&desk), i);
        assert_string_equal(desk.content, "{\"n\":1}");
        assert_int_equal(desk.request.notification, 1);
    }
    /* a name that belongs to no call: harmless from outside, too */
    assert_int_equal(sotto_answer(server, desk_take(&desk), "1", 1), SOTTO_OK);
    call_echo(client);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
    assert_int_equal(desk_overs(&desk), 0);
    desk_free(&desk);
}

static void last_notification_arrives(void **state)
{
    enum { ROUNDS = 60 };
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    char *content = malloc(100001);

    (void)state;
    assert_non_null(content);
    memset(content, 'x', 100000);
    content[0] = content[99999] = '"';
    content[100000] = '\0';
    desk_init(&desk);
    add_endpoint(server, "log", desk_handler, NULL, &desk);
    start(server);
    for (size_t i = 1; i <= ROUNDS; i++) {
        sotto_client *client = client_for(server);
        sotto_error error = {0};
        size_t len = i % 2 == 0 ? 100000 : 0;

        assert_int_equal(sotto_client_notify(client, "log", len > 0 ? content : NULL, len, &error),
                         SOTTO_OK);
        sotto_client_free(client);
        assert_int_equal(desk_calls(&desk), i); /* its goodbye was answered, so it was read */
    }
    stop(server);
    free(content);
    desk_free(&desk);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

/* A JSON string of LEN bytes; to be freed. */
static char *long_text(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    text[0] = text[len - 1] = '"';
    text[len] = '\0';
    return text;
}

static void echo_of_size(sotto_client *client, size_t len)
{
    char *text = long_text(len);

    call_gives(client, "echo", text, text);
    free(text);
}

static void too_large_to_send(sotto_client *client, size_t len)
{
    char *text = long_text(len);

    call_fails(client, "echo", text, SOTTO_E_TOO_LARGE);
    assert_false(last.has_code);
    assert_int_equal(last.maybe_executed, 0);
    free(text);
}

static void large_messages(void **state)
{
    enum { MIB = 1048576, ENVELOPE = 100 };
    static const size_t sizes[] = {2,     1000,  65400,  65430,  65517,
                                   65536, 70000, 131000, 262144, MIB - ENVELOPE};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        echo_of_size(client, sizes[i]);
    too_large_to_send(client, MIB + 1);
    assert_contains(last.error.why, "1048576");
    too_large_to_send(client, MIB - 1);
    echo_of_size(client, MIB - ENVELOPE);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);
}

static void other_size_limits(void **state)
{
    enum { LARGE = 6000000 };
    sotto_server_options so = server_options();
    sotto_client_options co;
    sotto_server *server;
    sotto_client *client;

    (void)state;
    so.max_message = 8 << 20;
    server = echo_server(&so);
    co = client_options(sotto_server_address(server));
    co.max_message = 8 << 20;
    client = client_new(&co);
    echo_of_size(client, LARGE);
    too_large_to_send(client, (8 << 20) + 1);
    sotto_client_free(client);

    /* the server takes it, and the answer is too large for the client */
    co.max_message = 1024;
    client = client_new(&co);
    echo_of_size(client, 900);
    for (size_t len = 1024; len <= LARGE; len += LARGE - 1024) {
        char *text = long_text(len);

        call_fails(client, "echo", text, SOTTO_E_TOO_LARGE);
        assert_string_equal(last.code, "too_large");
        free(text);
    }
    echo_of_size(client, 900);
    assert_int_equal(client_stats(client).sessions, 1);
    sotto_client_free(client);
    stop(server);

    /* the smallest server */
    so.max_message = 1024;
    server = echo_server(&so);
    co = client_options(sotto_server_address(server));
    client = client_new(&co);
    echo_of_size(client, 900);
    too_large_to_send(client, 1024);
    echo_of_size(client, 900);
    sotto_client_free(client);
    stop(server);
}

/* What the handler is told when its answer is more than the client takes. */
static void oversized_answer(void *user, const sotto_request *request)
{
    const char *text = user;
    bool part = request->content[0] == '1';
    sotto_err err = part ? sotto_answer_part(request->server, request->call, text, strlen(text))
                         : sotto_answer(request->server, request->call, text, strlen(text));

    require(err == SOTTO_E_TOO_LARGE);
    require(sotto_answer(request->server, request->call, "1", 1) == SOTTO_E_GONE);
}

static void answers_too_large(void **state)
{
    char *text = long_text(5000);
    sotto_server_options so = server_options();
    sotto_client_options co;
    sotto_server *server = server_new(&so);
    sotto_client *client;

    (void)state;
    add_endpoint(server, "large", oversized_answer, NULL, text);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    co = client_options(sotto_server_address(server));
    co.max_message = 2000;
    client = client_new(&co);
    call_fails(client, "large", "0", SOTTO_E_TOO_LARGE);
    assert_string_equal(last.code, "too_large");
    assert_int_equal(last.maybe_executed, 1);
    call_fails(client, "large", "1", SOTTO_E_TOO_LARGE);
    assert_string_equal(last.code, "too_large");
    call_echo(client);
    sotto_client_free(client);
    stop(server);
    free(text);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void many_calls_on_one_client(void **state)
{
    enum { CALLS = 2000 };
    sotto_server *server = echo_server(NULL);
    struct loop loop = {client_for(server), "echo", "[1,2,3]", "[1,2,3]", CALLS, 0, 0};

    (void)state;
    (void)call_in_a_loop(&loop);
    assert_int_equal(loop.right, CALLS);
    assert_int_equal(client_stats(loop.client).calls, CALLS);
    assert_int_equal(client_stats(loop.client).sessions, 1);
    sotto_client_free(loop.client);
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).requests, CALLS);
    stop(server);
}

/* More records than one sending key may seal, in both directions (docs/protocol.md, section 7). */
static void more_records_than_a_key_lasts(void **state)
{
    enum { RECORDS = 65536 + 200 };
    sotto_server *server = echo_server(NULL);
    struct taught taught;
    struct wire wire;
    char expected[64];

    (void)state;
    wire_bootstrap(sotto_server_address(server), SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY,
                   &taught);
    wire_open(&wire, sotto_server_address(server), &taught, NULL, 0);
    for (unsigned i = 1; i <= RECORDS; i++) {
        wire_send(&wire, "{\"endpoint\":\"echo\",\"content\":1}");
        (void)snprintf(expected, sizeof expected, "{\"id\":%u,\"content\":1}", i);
        wire_expect(&wire, expected);
    }
    wire_drop(&wire, false);
    stop(server);
}

static void hundreds_of_clients(void **state)
{
    enum { CLIENTS = 200, CALLS = 5 };
    static struct loop loops[CLIENTS];
    static pthread_t threads[CLIENTS];
    sotto_server *server = echo_server(NULL);
    sotto_client *first = client_for(server);

    (void)state;
    call_echo(first); /* pins and caches for all of them */
    for (size_t i = 0; i < CLIENTS; i++) {
        loops[i] =
            (struct loop){client_for(server), "echo", "{\"x\":[]}", "{\"x\":[]}", CALLS, 0, 0};
        spawn(&threads[i], call_in_a_loop, &loops[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        join(threads[i]);
        assert_int_equal(loops[i].right, CALLS);
        assert_int_equal(client_stats(loops[i].client).bootstraps, 0);
    }
    wait_for_stat(server, requests, CLIENTS * CALLS + 1);
    assert_int_equal(stats_of(server).requests, CLIENTS * CALLS + 1);
    wait_for_open(server, CLIENTS + 1); /* the first one's bootstrap is over */
    for (size_t i = 0; i < CLIENTS; i++)
        sotto_client_free(loops[i].client);
    sotto_client_free(first);
    wait_for_open(server, 0);
    stop(server);
}

/* Nothing is pinned, nothing is cached, and all come at the same time, on the same files. */
static void first_start_of_many(void **state)
{
    enum { CLIENTS = 16 };
    struct loop loops[CLIENTS];
    pthread_t threads[CLIENTS];
    sotto_server *server = echo_server(NULL);
    sotto_client *next;

    (void)state;
    for (size_t i = 0; i < CLIENTS; i++) {
        sotto_client_options o = client_options(sotto_server_address(server));

        o.curve = curve_at(i % 2);
        loops[i] = (struct loop){client_new(&o), "echo", "1", "1", 3, 0, 0};
        spawn(&threads[i], call_in_a_loop, &loops[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        join(threads[i]);
        assert_int_equal(loops[i].right, 3);
        sotto_client_free(loops[i].client);
    }
    next = client_for(server);
    call_echo(next);
    assert_int_equal(client_stats(next).bootstraps, 0);
    sotto_client_free(next);
    stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(bad_requests),
        runtime_test(reserved_endpoints),
        runtime_test(notifications),
        runtime_test(last_notification_arrives),
        runtime_test(large_messages),
        runtime_test(other_size_limits),
        runtime_test(answers_too_large),
        runtime_test(many_calls_on_one_client),
        runtime_test(more_records_than_a_key_lasts),
        runtime_test(hundreds_of_clients),
        runtime_test(first_start_of_many),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
