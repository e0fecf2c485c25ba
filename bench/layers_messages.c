/*
 * Records, envelopes, and messages through everything that a server has behind its stream.
 */
#include "layers.h"

#include "rpc/compose.h"
#include "rpc/service.h"

/* ---- A record -------------------------------------------------------------------------------- */

enum { PLAIN_LEN = 2 + SI_RECORD_BODY_MAX, SEALED_LEN = PLAIN_LEN + SI_TAG_LEN, COPIES = 16 };

static const struct si_cipher_key bare_key = {{1}};

/* One full record: through the session's objects, and by the bare cipher. */
struct record {
    const struct si_aead *aead;
    struct si_aead_key *key;
    struct si_cipher_state tx, rx;
    struct si_output output;
    uint8_t body[SI_RECORD_BODY_MAX];
    uint8_t sealed[SEALED_LEN];
    uint8_t copies[COPIES][SEALED_LEN]; /* to be opened in place, each once a round */
    size_t next;
};

static sotto_err seal_record(void *user)
{
    struct record *r = user;
    sotto_err err;

    if ((err = si_output_reserve(&r->output, sizeof r->body)) == SOTTO_OK &&
        (err = si_output_body(&r->output, r->body, sizeof r->body)) == SOTTO_OK &&
        (err = si_output_seal(&r->output)) == SOTTO_OK)
        si_output_sent(&r->output, si_output_waiting(&r->output));
    return err;
}

static sotto_err seal_bare(void *user)
{
    struct record *r = user;

    return si_aead_seal(r->aead, r->key, 1, si_span(NULL, 0), r->sealed, PLAIN_LEN, r->sealed);
}

static void renew_copies(void *user)
{
    struct record *r = user;

    memset(r->sealed, 0, PLAIN_LEN);
    si_put_be16(r->sealed, SI_RECORD_BODY_MAX);
    require_ok("a record", seal_bare(r));
    for (size_t i = 0; i < COPIES; i++)
        memcpy(r->copies[i], r->sealed, SEALED_LEN);
    r->next = 0;
}

static sotto_err open_record(void *user)
{
    struct record *r = user;
    struct si_span body;

    r->rx.n = 1; /* all copies are the same record */
    return si_record_open(&r->rx, r->copies[r->next++], SEALED_LEN, &body);
}

static sotto_err open_bare(void *user)
{
    struct record *r = user;
    uint8_t *copy = r->copies[r->next++];

    return r->aead->open(r->key, 1, si_span(NULL, 0), copy, SEALED_LEN, copy);
}

static void bench_record(const struct si_aead *aead)
{
    static struct record r;
    char name[64];

    r = (struct record){.aead = aead};
    require_ok("a key", aead->key_new(&r.key, &bare_key));
    si_cipher_init(&r.tx, aead);
    si_cipher_set_key(&r.tx, &bare_key);
    si_cipher_init(&r.rx, aead);
    si_cipher_set_key(&r.rx, &bare_key);
    si_output_init(&r.output, &world.scratch);
    r.output.tx = &r.tx;

    (void)snprintf(name, sizeof name, "records %s, seal 64 KiB", aead->name);
    compare((struct bench_work){.name = name, .step = seal_record, .user = &r},
            (struct bench_work){.step = seal_bare, .user = &r}, 1, PLAIN_LEN);
    (void)snprintf(name, sizeof name, "records %s, open 64 KiB", aead->name);
    compare((struct bench_work){name, open_record, &r, renew_copies, COPIES},
            (struct bench_work){NULL, open_bare, &r, renew_copies, COPIES}, 1, PLAIN_LEN);
    si_output_free(&r.output);
    si_cipher_wipe(&r.tx);
    si_cipher_wipe(&r.rx);
    aead->key_free(r.key);
}

/* ---- Messages -------------------------------------------------------------------------------- */

enum { CHUNK = SI_STREAM_READ_SIZE };

/* Of what stands in a request and not in its answer. */
enum { ENDPOINT_LEN = sizeof "\"endpoint\":\"echo\"," - 1 };

/* LEN bytes of JSON: one string, or an object with as many members as fit. */
static void put_content(char *to, size_t len, bool object)
{
    static const char letters[] = "the quick brown fox jumps over the lazy dog, ";
    size_t at = 0;

    if (object) {
        to[at++] = '{';
        for (unsigned i = 0; at + 32 < len; i++)
            at += (size_t)snprintf(to + at, 32, "\"k%05u\":%08u,", i % 100000, 10000000 + i);
        memcpy(to + at, "\"p\":", 4);
        at += 4;
    }
    to[at++] = '"';
    for (size_t i = 0; at < len - (object ? 2 : 1); i++)
        to[at++] = letters[i % (sizeof letters - 1)];
    to[at++] = '"';
    if (object)
        to[at++] = '}';
    require("content of that length", at == len);
}

/* A request with readable bytes behind it. */
static struct si_span new_request(uint64_t id, size_t content_len, bool object)
{
    char *text = calloc(1, content_len + 64 + SI_JSON_PADDING);
    size_t len;

    require("memory", text != NULL);
    len = (size_t)sprintf(
        text, "{\"id\":%llu,\"endpoint\":\"echo\",\"content\":", (unsigned long long)id);
    put_content(text + len, content_len, object);
    len += content_len;
    text[len++] = '}';
    return si_span(text, len);
}

static void free_request(struct si_span request)
{
    free((void *)(uintptr_t)request.ptr);
}

/*
 * A server's connection as server/conn.c drives it, without the stream: the client's records are
 * replayed again and again, under the nonces they were made with.  Its bound handles records of the
 * same lengths with the bare cipher.
 */
struct path {
    struct si_span *requests;
    size_t count, content_len;
    sotto_session *client, *session;
    struct si_service *service;
    struct si_calls *calls;
    struct si_link *link, *mute; /* the answers of the second one go nowhere */
    struct si_buf wire;
    uint64_t nonce; /* of the first record on the wire */
    int64_t now;    /* asked once for each input, as the server does */
    uint8_t *input;

    const struct si_aead *aead;
    struct si_aead_key *key;
    uint8_t *bare_wire, *plain, *out;
};

static void echo(void *user, const sotto_request *request)
{
    struct path *p = user;

    require_ok("an answer", si_calls_answer(p->calls, request->call,
                                            si_span(request->content, request->content_len)));
}

static sotto_err send_answer(void *user, const struct si_span *pieces, size_t count)
{
    struct path *p = user;

    return si_session_send_spans(p->session, pieces, count);
}

static sotto_err send_nowhere(void *user, const struct si_span *pieces, size_t count)
{
    (void)user;
    (void)pieces;
    (void)count;
    return SOTTO_OK;
}

typedef sotto_err on_message(struct path *p, struct si_span text);

static sotto_err answer_message(struct path *p, struct si_span text)
{
    return si_link_message(p->link, text, p->now);
}

/* Check a message and send it back under its id: what a program without calls would do. */
static sotto_err return_message(struct path *p, struct si_span text)
{
    struct si_envelope e;
    char digits[SI_DECIMAL_LEN];
    sotto_err err = si_envelope_read_client(world.scratch.json, text, &e);

    if (err != SOTTO_OK)
        return err;

    const struct si_span pieces[] = {SI_LITERAL("{\"id\":"), si_decimal(e.id, digits),
                                     SI_LITERAL(",\"content\":"), e.content, SI_LITERAL("}")};

    return si_session_send_spans(p->session, pieces, SI_COUNT(pieces));
}

static sotto_err drop_message(struct path *p, struct si_span text)
{
    (void)p;
    (void)text;
    return SOTTO_OK;
}

static sotto_err take_in(struct path *p, size_t len, on_message *handle)
{
    uint8_t *data = p->input;
    sotto_event event;
    size_t taken;
    sotto_err err;

    for (;;) {
        while (sotto_session_next(p->session, &event) == SOTTO_OK) {
            if (event.type == SOTTO_EVENT_MESSAGE &&
                (err = handle(p, si_span(event.data, event.len))) != SOTTO_OK)
                return err;
        }
        if (len == 0)
            return SOTTO_OK;
        if ((err = sotto_session_feed(p->session, data, len, &taken, p->now)) != SOTTO_OK)
            return err;
        data += taken;
        len -= taken;
    }
}

static sotto_err feed_wire(struct path *p, on_message *handle)
{
    sotto_err err = SOTTO_OK;

    p->session->rx.n = p->nonce;
    for (size_t at = 0; at < p->wire.len && err == SOTTO_OK; at += CHUNK) {
        size_t part = p->wire.len - at < CHUNK ? p->wire.len - at : CHUNK;

        memcpy(p->input, p->wire.ptr + at, part);
        p->now = si_now();
        err = take_in(p, part, handle);
    }
    return err;
}

static sotto_err flush(struct path *p)
{
    const uint8_t *data;
    size_t len;
    sotto_err err = sotto_session_output(p->session, &data, &len, p->now);

    sotto_session_sent(p->session, len);
    return err == SOTTO_OK && len == 0 ? SOTTO_E_AGAIN : err;
}

/* The works: all, and its parts. */

static sotto_err whole_path(void *user)
{
    struct path *p = user;
    sotto_err err = feed_wire(p, answer_message);

    return err == SOTTO_OK ? flush(p) : err;
}

static sotto_err messages_only(void *user)
{
    struct path *p = user;
    sotto_err err = feed_wire(p, return_message);

    return err == SOTTO_OK ? flush(p) : err;
}

static sotto_err cut_only(void *user)
{
    return feed_wire(user, drop_message);
}

static sotto_err envelopes_only(void *user)
{
    struct path *p = user;
    struct si_envelope e;
    sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < p->count && err == SOTTO_OK; i++)
        err = si_envelope_read_client(world.scratch.json, p->requests[i], &e);
    return err;
}

static sotto_err link_only(void *user)
{
    struct path *p = user;
    sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < p->count && err == SOTTO_OK; i++)
        err = si_link_message(p->mute, p->requests[i], 0);
    return err;
}

static sotto_err send_only(void *user)
{
    struct path *p = user;
    sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < p->count && err == SOTTO_OK; i++) {
        struct si_span text = p->requests[i];
        struct si_span content = si_span(text.ptr + text.len - 1 - p->content_len, p->content_len);
        char digits[SI_DECIMAL_LEN];
        const struct si_span pieces[] = {SI_LITERAL("{\"id\":"), si_decimal(i + 1, digits),
                                         SI_LITERAL(",\"content\":"), content, SI_LITERAL("}")};

        err = si_session_send_spans(p->session, pieces, SI_COUNT(pieces));
    }
    return err == SOTTO_OK ? flush(p) : err;
}

/* The bounds. */

static sotto_err bare_open(void *user)
{
    struct path *p = user;
    uint8_t *plain = p->plain;
    uint64_t n = 0;
    sotto_err err = SOTTO_OK;

    for (size_t at = 0; at < p->wire.len && err == SOTTO_OK; n++) {
        size_t len = si_get_be16(p->wire.ptr + at);

        memcpy(p->input, p->bare_wire + at + 2, len);
        err = p->aead->open(p->key, n, si_span(NULL, 0), p->input, len, plain);
        plain += len - SI_TAG_LEN;
        at += 2 + len;
    }
    return err;
}

static sotto_err bare_json(void *user)
{
    struct path *p = user;
    struct si_json_member m[] = {{.name = "id"}, {.name = "endpoint"}, {.name = "content"}};
    sotto_err err = SOTTO_OK;

    m[2].opaque = true;
    for (size_t i = 0; i < p->count && err == SOTTO_OK; i++)
        err = si_json_read(world.scratch.json, p->requests[i], m, SI_COUNT(m), NULL);
    return err;
}

static sotto_err bare_seal(void *user)
{
    struct path *p = user;
    size_t len = 0;
    sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < p->count; i++) {
        size_t part = p->requests[i].len - ENDPOINT_LEN; /* an answer names no endpoint */

        memcpy(p->out + len, p->requests[i].ptr, part);
        len += part;
    }
    /* Each tag falls on the next piece, which is as good as before. */
    for (size_t at = 0; at < len && err == SOTTO_OK; at += PLAIN_LEN) {
        size_t part = len - at < PLAIN_LEN ? len - at : PLAIN_LEN;

        err = si_aead_seal(p->aead, p->key, 1, si_span(NULL, 0), p->out + at, part, p->out + at);
    }
    return err;
}

static sotto_err bare_path(void *user)
{
    sotto_err err;

    if ((err = bare_open(user)) != SOTTO_OK || (err = bare_json(user)) != SOTTO_OK)
        return err;
    return bare_seal(user);
}

/* Open a session, and have the client ask. */
static void record_requests(struct path *p, sotto_cipher cipher)
{
    struct si_buf flight;

    p->client = new_client(false, SOTTO_CURVE_25519, cipher);
    p->session = new_server();
    for (unsigned i = 0; i < 3; i++) { /* two messages, and the client's first record */
        sotto_session *from = i % 2 == 0 ? p->client : p->session;

        take_flight(from, &flight);
        (void)give_flight(i % 2 == 0 ? p->session : p->client, &flight);
        si_buf_free(&flight);
    }
    require("an open session", sotto_session_is_open(p->session));
    for (size_t i = 0; i < p->count; i++)
        require_ok("a request", si_session_send_spans(p->client, &p->requests[i], 1));
    take_flight(p->client, &p->wire);
    p->nonce = p->session->rx.n;
}

static void new_links(struct path *p)
{
    static const sotto_peer peer = {.address = "127.0.0.1:1", .name = ""};
    struct si_link_options o = {.json = world.scratch.json,
                                .send = send_answer,
                                .conn = p,
                                .peer = &peer,
                                .max_calls = 1024,
                                .call_timeout_ms = 60000};

    require_ok("a service", si_service_new(NULL, &p->service));
    require_ok("an endpoint", si_service_add(p->service, "echo", echo, NULL, p));
    require_ok("calls", si_calls_new(0, &p->calls));
    o.service = p->service;
    o.calls = p->calls;
    require_ok("a link", si_link_new(&o, &p->link));
    o.send = send_nowhere;
    require_ok("a link", si_link_new(&o, &p->mute));
}

/* The bound's memory, and records as long as those on the wire. */
static void seal_bare_wire(struct path *p)
{
    uint64_t n = 0;

    p->plain = calloc(1, p->wire.len + PADDING);
    p->out = calloc(1, p->wire.len + PADDING);
    p->bare_wire = calloc(1, p->wire.len + PADDING);
    p->input = calloc(1, CHUNK + PADDING);
    require("memory",
            p->plain != NULL && p->out != NULL && p->bare_wire != NULL && p->input != NULL);
    require_ok("a key", p->aead->key_new(&p->key, &bare_key));
    for (size_t at = 0; at < p->wire.len; n++) {
        size_t len = si_get_be16(p->wire.ptr + at);

        require_ok("a record", si_aead_seal(p->aead, p->key, n, si_span(NULL, 0), p->plain,
                                            len - SI_TAG_LEN, p->bare_wire + at + 2));
        at += 2 + len;
    }
}

/* Does the client get an answer to each request? */
static void try_path(struct path *p)
{
    struct si_buf answers;

    require_ok("answers", feed_wire(p, answer_message));
    take_flight(p->session, &answers);
    require("all answers", give_flight(p->client, &answers) == p->count);
    si_buf_free(&answers);
}

static void path_init(struct path *p, sotto_cipher cipher, size_t count, size_t content_len,
                      bool object)
{
    *p = (struct path){.count = count, .content_len = content_len};
    p->aead = si_cipher_aead(cipher);
    p->requests = calloc(count, sizeof *p->requests);
    require("memory", p->requests != NULL);
    for (size_t i = 0; i < count; i++)
        p->requests[i] = new_request(i + 1, content_len, object);
    record_requests(p, cipher);
    new_links(p);
    seal_bare_wire(p);
    try_path(p);
}

static void path_free(struct path *p)
{
    si_link_free(p->link);
    si_link_free(p->mute);
    si_calls_free(p->calls);
    si_service_free(p->service);
    sotto_session_free(p->client);
    sotto_session_free(p->session);
    for (size_t i = 0; i < p->count; i++)
        free_request(p->requests[i]);
    free(p->requests);
    si_buf_free(&p->wire);
    p->aead->key_free(p->key);
    free(p->bare_wire);
    free(p->plain);
    free(p->out);
    free(p->input);
}

/* The path and its parts. */
static const struct path_line {
    const char *name;
    sotto_err (*step)(void *user), (*bound)(void *user);
} path_lines[] = {
    {"whole path", whole_path, bare_path},
    {"without calls", messages_only, bare_path},
    {"open and cut", cut_only, bare_open},
    {"read", envelopes_only, bare_json},
    {"read and echo, dropped", link_only, envelopes_only},
    {"send and seal", send_only, bare_seal},
};

/* COUNT messages with contents of CONTENT_LEN bytes; the lines' names begin with GROUP. */
static void bench_path(const char *group, sotto_cipher cipher, size_t count, size_t content_len,
                       bool object)
{
    char names[SI_COUNT(path_lines)][NAME_SIZE];
    bool any = false;
    struct path p;

    for (size_t i = 0; i < SI_COUNT(path_lines); i++) {
        (void)snprintf(names[i], NAME_SIZE, "%s %s, %s", group, sotto_cipher_name(cipher),
                       path_lines[i].name);
        any = any || wanted(names[i]);
    }
    if (!any)
        return;
    path_init(&p, cipher, count, content_len, object);
    for (size_t i = 0; i < SI_COUNT(path_lines); i++)
        compare((struct bench_work){.name = names[i], .step = path_lines[i].step, .user = &p},
                (struct bench_work){.step = path_lines[i].bound, .user = &p}, (double)count,
                content_len < MIB ? 0 : (double)content_len);
    path_free(&p);
}

void bench_records(void)
{
    bench_record(si_cipher_aead(SOTTO_CIPHER_AESGCM));
    bench_record(si_cipher_aead(SOTTO_CIPHER_CHACHAPOLY));
    bench_path("records of 64 messages", SOTTO_CIPHER_AESGCM, 64, 117, true);
    bench_path("records of 64 messages", SOTTO_CIPHER_CHACHAPOLY, 64, 117, true);
    bench_path("records of 1 message", SOTTO_CIPHER_AESGCM, 1, 117, true);
}

void bench_large(void)
{
    bench_path("large 1 MiB", SOTTO_CIPHER_AESGCM, 1, MIB, false);
    bench_path("large 1 MiB", SOTTO_CIPHER_CHACHAPOLY, 1, MIB, false);
    bench_path("large 16 MiB", SOTTO_CIPHER_AESGCM, 1, 16 * MIB, false);
}

/* ---- Envelopes ------------------------------------------------------------------------------- */

struct envelope {
    struct si_span request;
    struct si_span refused; /* the same with a comma in front */
};

static sotto_err read_envelope(void *user)
{
    const struct envelope *e = user;
    struct si_envelope out;

    return si_envelope_read_client(world.scratch.json, e->request, &out);
}

/* The bound is simdjson's first stage: it does all of its work, and then the comma in front is the
 * first thing that the walk over the tokens sees, and the last. */
static sotto_err first_stage(void *user)
{
    const struct envelope *e = user;

    return si_json_read(world.scratch.json, e->refused, NULL, 0, NULL) == SOTTO_E_JSON
               ? SOTTO_OK
               : SOTTO_E_JSON;
}

static void bench_envelope(size_t content_len, bool object)
{
    struct envelope e = {.request = new_request(1, content_len, object)};
    uint8_t *refused = calloc(1, e.request.len + 1 + SI_JSON_PADDING);
    char name[64];

    require("memory", refused != NULL);
    refused[0] = ',';
    memcpy(refused + 1, e.request.ptr, e.request.len);
    e.refused = si_span(refused, e.request.len + 1);
    (void)snprintf(name, sizeof name, "envelope %zu bytes, %s", content_len,
                   object ? "object" : "string");
    compare((struct bench_work){.name = name, .step = read_envelope, .user = &e},
            (struct bench_work){.step = first_stage, .user = &e}, 1, (double)e.request.len);
    free_request(e.request);
    free(refused);
}

void bench_envelopes(void)
{
    static const size_t lens[] = {117, 1024, 65536, MIB};

    for (size_t i = 0; i < SI_COUNT(lens); i++) {
        bench_envelope(lens[i], false);
        bench_envelope(lens[i], true);
    }
}
