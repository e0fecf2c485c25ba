/*
 * Calls: all kinds of sessions, answers at every time and of every kind, who calls, notifications,
 * size limits, many at once.
 */
#include "wire.h"

/* ---- Ten lines ------------------------------------------------------------------------------- */

/* The programs of the README: nothing but what has no default is set. */
static void ten_lines_each(void **state)
{
    sotto_server_options so = SOTTO_SERVER_OPTIONS_INIT;
    sotto_client_options co = SOTTO_CLIENT_OPTIONS_INIT;
    sotto_server *server = NULL;
    sotto_client *client = NULL;
    sotto_reply reply = {0};
    sotto_error error = {0};

    (void)state;
    so.listen = "127.0.0.1:0";
    so.keys[0] = world.keys[0];
    assert_int_equal(sotto_server_new(&so, &server, &error), SOTTO_OK);
    assert_int_equal(sotto_server_endpoint(server, "hello", echo, NULL, NULL), SOTTO_OK);
    assert_string_equal(sotto_server_address(server), "");
    assert_int_equal(sotto_server_start(server, &error), SOTTO_OK);

    co.address = sotto_server_address(server);
    co.trust = SOTTO_TRUST_ACCEPT_NEW;
    assert_int_equal(sotto_client_new(&co, &client, &error), SOTTO_OK);
    assert_int_equal(sotto_client_call(client, "hello", "\"hello\"", 7, NULL, &reply, &error),
                     SOTTO_OK);
    assert_string_equal(reply.content, "\"hello\"");
    sotto_reply_free(&reply);
    assert_null(reply.content);
    sotto_reply_free(&reply);
    sotto_reply_free(NULL);
    sotto_client_free(client);
    sotto_client_free(NULL);
    sotto_server_free(server);
    sotto_server_free(NULL);
}

/* ---- Who calls ------------------------------------------------------------------------------- */

/* Answers with what it is told about its caller. */
static void whoami(void *user, const sotto_request *request)
{
    const sotto_peer *peer = request->peer;
    char key[SOTTO_PUBLIC_KEY_TEXT_SIZE] = "-", text[TEXT_SIZE];

    (void)user;
    require(strncmp(peer->address, "127.0.0.1:", 10) == 0 && atoi(peer->address + 10) > 0);
    require(peer->connection > 0);
    require(strcmp(request->endpoint, "whoami") == 0);
    if (peer->key != NULL)
        require(sotto_public_key_format(peer->key, key) == SOTTO_OK);
    (void)snprintf(text, sizeof text, "\"%s %s %s %s\"", sotto_curve_name(peer->curve),
                   sotto_cipher_name(peer->cipher), key, peer->name);
    answer_text(request, text);
}

/* What `whoami` says of the key pair WHO (NULL: nobody in particular). */
static const char *described(sotto_curve curve, sotto_cipher cipher, const sotto_keypair *who)
{
    static char text[TEXT_SIZE];
    char key_text[SOTTO_PUBLIC_KEY_TEXT_SIZE] = "-", name[32] = "";

    if (who != NULL) {
        sotto_public_key key = sotto_keypair_public(who);

        assert_int_equal(sotto_public_key_format(&key, key_text), SOTTO_OK);
        (void)snprintf(name, sizeof name, "friend-%s", sotto_curve_name(curve));
    }
    (void)snprintf(text, sizeof text, "\"%s %s %s %s\"", sotto_curve_name(curve),
                   sotto_cipher_name(cipher), key_text, name);
    return text;
}

static sotto_server *whoami_server(const sotto_server_options *options)
{
    sotto_server *server = server_new(options);

    add_endpoint(server, "whoami", whoami, NULL, NULL);
    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    return server;
}

struct story {
    char protocols[TEXT_SIZE]; /* what bootstrap and session were */
    unsigned stages[SOTTO_STAGE_CALL + 1];
};

static void tell(void *user, sotto_stage stage, const char *text, int64_t elapsed_us)
{
    struct story *story = user;
    size_t len = strlen(story->protocols);

    assert_true(stage <= SOTTO_STAGE_CALL);
    assert_true(elapsed_us >= 0);
    assert_true(text[0] != '\0');
    story->stages[stage]++;
    if (strncmp(text, "Noise_", 6) == 0)
        (void)snprintf(story->protocols + len, sizeof story->protocols - len, "%.*s ",
                       (int)strcspn(text, ","), text);
}

static void one_combination(const sotto_server *server, size_t curve, size_t cipher, bool gate,
                            bool identity)
{
    sotto_client_options o = client_options(sotto_server_address(server));
    const char *curve_name = sotto_curve_name(curve_at(curve));
    const char *cipher_name = sotto_cipher_name(cipher_at(cipher));
    const char *hash = curve == 0 ? "SHA256" : "SHA512";
    struct story story = {0};
    char expected[TEXT_SIZE], dir[32];
    sotto_client *client;

    (void)snprintf(dir, sizeof dir, "state-%zu%zu%d%d", curve, cipher, gate, identity);
    o.state_dir = scratch_path(dir);
    o.curve = curve_at(curve);
    o.cipher = cipher_at(cipher);
    o.gate = gate;
    o.identity = identity ? world.friends[curve] : NULL;
    o.trace = tell;
    o.user = &story;
    client = client_new(&o);
    call_gives(client, "whoami", NULL,
               described(curve_at(curve), cipher_at(cipher), identity ? o.identity : NULL));
    call_echo(client);
    (void)snprintf(expected, sizeof expected, "Noise_%s_%s_%s_%s Noise_%s_%s_%s_%s ",
                   gate ? "XXpsk0" : "XX", curve_name, cipher_name, hash,
                   identity ? "IKpsk0" : "NKpsk0", curve_name, cipher_name, hash);
    assert_string_equal(story.protocols, expected);
    for (int stage = SOTTO_STAGE_RESOLVE; stage <= SOTTO_STAGE_CALL; stage++)
        assert_true(story.stages[stage] > 0);
    assert_int_equal(client_stats(client).bootstraps, 1);
    assert_int_equal(client_stats(client).sessions, 1);
    assert_int_equal(client_stats(client).calls, 2);
    sotto_client_free(client);
}

static void every_combination(void **state)
{
    sotto_known_clients *clients = known_friends();

    (void)state;
    for (int gate = 0; gate <= 1; gate++) {
        sotto_server_options o = server_options();
        sotto_server *server;

        o.gate = gate;
        o.client_auth = SOTTO_CLIENT_AUTH_OPTIONAL;
        o.clients = clients;
        server = whoami_server(&o);
        for (size_t i = 0; i < 8; i++)
            one_combination(server, i & 1, i >> 1 & 1, gate != 0, (i >> 2 & 1) != 0);
        wait_for_stat(server, bootstraps, 8);
        assert_int_equal(stats_of(server).bootstraps, 8);
        assert_int_equal(stats_of(server).sessions, 8);
        assert_int_equal(stats_of(server).connections, 16);
        assert_int_equal(stats_of(server).refused, 0);
        assert_int_equal(stats_of(server).handshakes_failed, 0);
        stop(server);
        /* the next server has another port and the same key: known_servers names both */
    }
    sotto_known_clients_free(clients);
}

static void gate_on_one_side_only(void **state)
{
    (void)state;
    for (int gate = 0; gate <= 1; gate++) {
        sotto_server_options so = server_options();
        sotto_client_options co;
        sotto_server *server;
        sotto_client *client;

        so.gate = gate;
        server = echo_server(&so);
        co = client_options(sotto_server_address(server));
        co.gate = !gate;
        client = client_new(&co);
        call_fails(client, "echo", NULL, SOTTO_E_REFUSED);
        assert_contains(last.error.why, "unsupported_pattern");
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        assert_int_equal(client_stats(client).sessions, 0);
        sotto_client_free(client);
        wait_for_stat(server, refused, 1);
        stop(server);
    }
}

static sotto_client *client_as(const sotto_server *server, size_t curve,
                               const sotto_keypair *identity, const char *state_dir)
{
    sotto_client_options o = client_options(sotto_server_address(server));

    o.curve = curve_at(curve);
    o.identity = identity;
    o.state_dir = state_dir;
    return client_new(&o);
}

static void knows_who_calls(void **state)
{
    sotto_known_clients *clients = known_friends();

    (void)state;
    for (int auth = SOTTO_CLIENT_AUTH_NONE; auth <= SOTTO_CLIENT_AUTH_OPTIONAL; auth++) {
        sotto_server_options o = server_options();
        sotto_server *server;

        o.client_auth = (sotto_client_auth)auth;
        o.clients = clients;
        server = whoami_server(&o);
        for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
            const sotto_keypair *identities[] = {NULL, world.friends[i], world.strangers[i]};

            for (size_t j = 0; j < COUNT_OF(identities); j++) {
                sotto_client *client = client_as(server, i, identities[j], "");
                bool known = auth == SOTTO_CLIENT_AUTH_OPTIONAL && j == 1;

                call_gives(
                    client, "whoami", NULL,
                    described(curve_at(i), SOTTO_CIPHER_AESGCM, known ? identities[j] : NULL));
                sotto_client_free(client);
            }
        }
        stop(server);
    }
    sotto_known_clients_free(clients);
}

static void serves_known_clients_only(void **state)
{
    sotto_known_clients *clients = known_friends();
    sotto_server_options o = server_options();
    sotto_server *server;

    (void)state;
    o.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    o.clients = clients;
    server = whoami_server(&o);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        const char *cache = scratch_path("cache");
        sotto_client *client;

        /* who is not known gets no document … */
        client = client_as(server, i, NULL, cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        assert_contains(last.error.hint, "--identity");
        sotto_client_free(client);
        client = client_as(server, i, world.strangers[i], cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_BOOTSTRAP);
        sotto_client_free(client);

        client = client_as(server, i, world.friends[i], cache);
        call_gives(client, "whoami", NULL,
                   described(curve_at(i), SOTTO_CIPHER_AESGCM, world.friends[i]));
        sotto_client_free(client);

        /* … and, knowing all secrets, still no session */
        client = client_as(server, i, NULL, cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.error.stage, SOTTO_STAGE_SESSION);
        assert_int_equal(client_stats(client).bootstraps, 0);
        sotto_client_free(client);
        client = client_as(server, i, world.strangers[i], cache);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(client_stats(client).bootstraps, 0);
        call_fails(client, "whoami", NULL, SOTTO_E_DENIED);
        assert_int_equal(last.maybe_executed, 0);
        sotto_client_free(client);
    }
    wait_for_open(server, 0);
    assert_int_equal(stats_of(server).requests, 2);
    stop(server);
    sotto_known_clients_free(clients);
}

/* Two connections, two numbers; one connection, one number. */
static void connections_have_numbers(void **state)
{
    sotto_server_options o = server_options();
    sotto_server *server = server_new(&o);
    static struct desk desk;
    sotto_client *a, *b;
    uint64_t numbers[3];
    char addresses[3][TEXT_SIZE];

    (void)state;
    desk_init(&desk);
    add_endpoint(server, "note", desk_handler, NULL, &desk);
    start(server);
    a = client_for(server);
    b = client_for(server);
    for (size_t i = 0; i < 3; i++) {
        sotto_error error = {0};

        assert_int_equal(sotto_client_notify(i == 1 ? b : a, "note", NULL, 0, &error), SOTTO_OK);
        desk_wait_calls(&desk, i + 1);
        numbers[i] = desk.peer.connection;
        (void)snprintf(addresses[i], TEXT_SIZE, "%s", desk.peer_address);
    }
    assert_true(numbers[0] != numbers[1]);
    assert_true(numbers[0] == numbers[2]);
    assert_string_not_equal(addresses[0], addresses[1]);
    assert_string_equal(addresses[0], addresses[2]);
    sotto_client_free(a);
    sotto_client_free(b);
    stop(server);
    desk_free(&desk);
}

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

struct loop {
    sotto_client *client;
    const char *endpoint, *content, *answer;
    unsigned count, right, wrong;
};

static void *call_in_a_loop(void *user)
{
    struct loop *loop = user;

    for (unsigned i = 0; i < loop->count; i++) {
        sotto_reply reply;
        sotto_error error = {0};
        sotto_err err = sotto_client_call(loop->client, loop->endpoint, loop->content,
                                          strlen(loop->content), NULL, &reply, &error);

        if (err == SOTTO_OK && strcmp(reply.content, loop->answer) == 0)
            loop->right++;
        else
            loop->wrong++;
        sotto_reply_free(&reply);
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

static char *nested(size_t depth)
{
    static char text[256];

    require(2 * depth < sizeof text);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    return text;
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
        runtime_test(ten_lines_each),
        runtime_test(every_combination),
        runtime_test(gate_on_one_side_only),
        runtime_test(knows_who_calls),
        runtime_test(serves_known_clients_only),
        runtime_test(connections_have_numbers),
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
