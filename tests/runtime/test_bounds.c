/*
 * What a call and a connection cost the server, in things that can be counted: allocations, system
 * calls, records, runs of PBKDF2, bytes of memory.  Times are measured elsewhere (bench/), and
 * never asserted.
 *
 * The program is linked with the layers themselves, so that what they call can be counted here:
 * recv(), send() and the choice of a cipher by -Wl,--wrap.  Only the server's one worker is
 * counted.
 */
#include "wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "crypto/crypto.h"
#include "session/records.h"
#include "session/scratch.h"

#include "counting_malloc.h"

enum {
    CONTENT_LEN = 117,
    BATCH = 64,
    ROUNDS = 20,
    CONNECTIONS = 20,
    IDLE_MAX = 1536, /* bytes of an idle session; with both keys expanded it is more */
    BUFFER = 262144
};

/* ---- What is counted ------------------------------------------------------------------------- */

static atomic_uint recvs, sends, epoll_changes, timer_changes;

ssize_t __real_recv(int fd, void *data, size_t len, int flags);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
    if (malloc_counted)
        atomic_fetch_add(&recvs, 1);
    return __real_recv(fd, data, len, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
    if (malloc_counted)
        atomic_fetch_add(&sends, 1);
    return __real_send(fd, data, len, flags);
}

/* These two are libuv's calls: a definition in the program comes before the C library's. */
#define BEFORE_LIBC __attribute__((visibility("default")))

BEFORE_LIBC int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
    if (malloc_counted)
        atomic_fetch_add(&epoll_changes, 1);
    return real(epoll, operation, fd, event);
}

BEFORE_LIBC int timerfd_settime(int fd, int flags, const struct itimerspec *value,
                                struct itimerspec *before)
{
    static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "timerfd_settime");
    if (malloc_counted)
        atomic_fetch_add(&timer_changes, 1);
    return real(fd, flags, value, before);
}

struct counts {
    uint64_t allocations;
    int64_t bytes;
    unsigned recvs, sends, epoll_changes, timer_changes;
};

/* When the worker has nothing to do: it gets a moment to finish what it did for the last answer. */
static struct counts counts_now(void)
{
    for (unsigned i = 0; i < 5; i++)
        breathe();
    return (struct counts){malloc_count, malloc_bytes, recvs, sends, epoll_changes, timer_changes};
}

/* ---- Ciphers --------------------------------------------------------------------------------- */

static const struct si_aead *chosen; /* for its name; changes while no server runs */

const struct si_aead *__real_si_aead_by_name(struct si_span name);
const struct si_aead *__wrap_si_aead_by_name(struct si_span name);

const struct si_aead *__wrap_si_aead_by_name(struct si_span name)
{
    if (chosen != NULL && strlen(chosen->name) == name.len &&
        memcmp(chosen->name, name.ptr, name.len) == 0)
        return chosen;
    return __real_si_aead_by_name(name);
}

/* ---- A server of one worker ------------------------------------------------------------------ */

struct deployment {
    sotto_server *server;
    struct taught taught;
};

static atomic_bool hold, held; /* the next call stays in its handler; it is there */

/* The first call makes the worker one that is counted. */
static void counted_echo(void *user, const sotto_request *request)
{
    malloc_counted = true;
    for (atomic_store(&held, true); atomic_load(&hold);)
        breathe();
    echo(user, request);
}

static void deploy(struct deployment *d, const struct si_aead *aead, sotto_curve curve)
{
    sotto_server_options o = server_options();

    chosen = aead;
    o.workers = 1;
    d->server = server_new(&o);
    add_endpoint(d->server, "echo", counted_echo, NULL, NULL);
    start(d->server);
    wire_bootstrap(sotto_server_address(d->server), curve, sotto_cipher_by_name(aead->name),
                   &d->taught);
}

static void undeploy(struct deployment *d)
{
    stop(d->server);
    chosen = NULL;
}

typedef void test_function(struct deployment *d, sotto_curve curve);

/* With every backend of every cipher. */
static void for_each_cipher(test_function *test, sotto_curve curve)
{
    const struct si_aead *const *aeads;
    size_t count;

    aeads = si_aead_all(&count);
    assert_true(count >= 2);
    for (size_t i = 0; i < count; i++) {
        struct deployment d;

        deploy(&d, aeads[i], curve);
        test(&d, curve);
        undeploy(&d);
    }
}

/* ---- Clients --------------------------------------------------------------------------------- */

/* A session whose records are looked at. */
struct line {
    struct wire wire;
    unsigned sent; /* requests */
};

static const char *content(void)
{
    static char text[CONTENT_LEN + 1];

    memset(text, 'x', CONTENT_LEN);
    text[0] = text[CONTENT_LEN - 1] = '"';
    return text;
}

/* COUNT requests leave in one record with one send. */
static void ask(struct line *line, unsigned count)
{
    char request[CONTENT_LEN + 64];
    const uint8_t *data;
    size_t len;

    (void)snprintf(request, sizeof request, "{\"endpoint\":\"echo\",\"content\":%s}", content());
    for (unsigned i = 0; i < count; i++)
        wire_queue(&line->wire, request);
    line->sent += count;
    assert_int_equal(sotto_session_output(line->wire.session, &data, &len, now_ns()), SOTTO_OK);
    assert_true(len > 2);
    assert_int_equal(len, 2 + (size_t)si_get_be16(data));
    assert_int_equal(send(line->wire.fd, data, len, MSG_NOSIGNAL), len);
    sotto_session_sent(line->wire.session, len);
}

/* One record comes, and nothing behind it. */
static size_t take_record(const struct line *line, uint8_t *record)
{
    struct pollfd p = {.fd = line->wire.fd, .events = POLLIN};
    size_t have = 0;

    while (have < 2 || have < 2 + (size_t)si_get_be16(record)) {
        ssize_t n;

        require(poll(&p, 1, WAIT_MS) == 1);
        n = recv(line->wire.fd, record + have, BUFFER - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_int_equal(have, 2 + (size_t)si_get_be16(record));
    return have;
}

/* The messages in the next record, and there is nothing behind it: the answers of the requests from
 * number FIRST on.  How many they are. */
static unsigned take_answers(struct line *line, unsigned first)
{
    static uint8_t record[BUFFER];
    size_t len = take_record(line, record), taken;
    char answer[CONTENT_LEN + 64];
    sotto_event event;
    unsigned count = 0;
    sotto_err err;

    assert_int_equal(sotto_session_feed(line->wire.session, record, len, &taken, now_ns()),
                     SOTTO_OK);
    assert_int_equal(taken, len);
    while ((err = sotto_session_next(line->wire.session, &event)) == SOTTO_OK) {
        int expected = snprintf(answer, sizeof answer, "{\"id\":%u,\"content\":%s}",
                                first + count++, content());

        assert_int_equal(event.type, SOTTO_EVENT_MESSAGE);
        assert_int_equal(event.len, expected);
        assert_memory_equal(event.data, answer, event.len);
    }
    assert_int_equal(err, SOTTO_E_AGAIN);
    return count;
}

static void expect(struct line *line, unsigned count)
{
    assert_int_equal(take_answers(line, line->sent - count + 1), count);
}

static void call(struct line *line, unsigned count)
{
    ask(line, count);
    expect(line, count);
}

/* The client's first record was an empty one, which is answered. */
static void line_open(struct line *line, const struct deployment *d)
{
    memset(line, 0, sizeof *line);
    wire_open(&line->wire, sotto_server_address(d->server), &d->taught, NULL, 0);
    assert_int_equal(take_answers(line, 1), 0);
}

static void line_drop(struct line *line)
{
    wire_drop(&line->wire, false);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* After a few calls, ROUNDS times COUNT of them allocate nothing, and each batch of COUNT is one
 * recv(), one send() and no other business with the kernel. */
static void cheap_batches(struct line *line, unsigned count)
{
    struct counts before, after;

    for (unsigned i = 0; i < 3; i++)
        call(line, count);
    before = counts_now();
    for (unsigned i = 0; i < ROUNDS; i++)
        call(line, count);
    after = counts_now();
    assert_int_equal(after.allocations - before.allocations, 0);
    assert_int_equal(after.bytes - before.bytes, 0);
    assert_int_equal(after.recvs - before.recvs, ROUNDS);
    assert_int_equal(after.sends - before.sends, ROUNDS);
    assert_int_equal(after.epoll_changes - before.epoll_changes, 0);
    assert_int_equal(after.timer_changes - before.timer_changes, 0);
}

static void one_connection(struct deployment *d, sotto_curve curve)
{
    struct line line;

    (void)curve;
    line_open(&line, d);
    cheap_batches(&line, 1);
    cheap_batches(&line, BATCH);
    cheap_batches(&line, 1);
    line_drop(&line);
}

static void calls_on_one_connection(void **state)
{
    (void)state;
    for_each_cipher(one_connection, SOTTO_CURVE_25519);
}

/* All of LINES ask, and are read in the same turn: the worker is held up in a call of one more while
 * they do. */
static void ask_at_once(struct line *lines, unsigned count)
{
    atomic_store(&held, false);
    atomic_store(&hold, true);
    ask(&lines[count], 1);
    while (!atomic_load(&held))
        breathe();
    for (unsigned i = 0; i < count; i++)
        ask(&lines[i], 1);
    atomic_store(&hold, false);
    expect(&lines[count], 1);
    for (unsigned i = 0; i < count; i++)
        expect(&lines[i], 1);
}

/* Many connections with a call in flight each: no batch has company.  At most as many answers wait
 * for the end of a turn as did in one before. */
static void many_connections(struct deployment *d, sotto_curve curve)
{
    struct line *lines = calloc(BATCH + 1, sizeof *lines);
    struct counts before, after;

    (void)curve;
    assert_non_null(lines);
    for (unsigned i = 0; i < BATCH + 1; i++)
        line_open(&lines[i], d);
    for (unsigned i = 0; i < 3; i++)
        ask_at_once(lines, BATCH);
    before = counts_now();
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BATCH; i++)
            ask(&lines[i], 1);
        for (unsigned i = 0; i < BATCH; i++)
            expect(&lines[i], 1);
    }
    after = counts_now();
    assert_int_equal(after.allocations - before.allocations, 0);
    assert_int_equal(after.bytes - before.bytes, 0);
    assert_int_equal(after.recvs - before.recvs, BATCH * ROUNDS);
    assert_int_equal(after.sends - before.sends, BATCH * ROUNDS);
    assert_int_equal(after.epoll_changes - before.epoll_changes, 0);
    assert_int_equal(after.timer_changes - before.timer_changes, 0);
    for (unsigned i = 0; i < BATCH + 1; i++)
        line_drop(&lines[i]);
    free(lines);
}

static void calls_on_many_connections(void **state)
{
    (void)state;
    for_each_cipher(many_connections, SOTTO_CURVE_25519);
}

/* A connection that comes and goes leaves nothing behind.  What it had is freed at the end of a
 * turn of the loop; two calls of somebody else do not fit into one. */
static void come_and_go(struct deployment *d, sotto_curve curve)
{
    struct counts before = {0}, after;
    struct line stays;

    (void)curve;
    line_open(&stays, d);
    for (unsigned i = 0; i < 2 * CONNECTIONS; i++) {
        struct line line;

        line_open(&line, d);
        call(&line, 1);
        line_drop(&line);
        wait_for_open(d->server, 1);
        call(&stays, 1);
        call(&stays, 1);
        if (i == CONNECTIONS - 1)
            before = counts_now();
    }
    after = counts_now();
    /* less than the smallest block for each */
    assert_true(after.bytes - before.bytes < CONNECTIONS * 24);
    assert_true(after.allocations > before.allocations); /* the counter is alive */
    line_drop(&stays);
}

static void sessions_leave_nothing(void **state)
{
    (void)state;
    for_each_cipher(come_and_go, SOTTO_CURVE_25519);
    for_each_cipher(come_and_go, SOTTO_CURVE_448);
}

/* ---- PBKDF2 ---------------------------------------------------------------------------------- */

/* A connection of any kind costs none (docs/protocol.md, section 5.2). */
static void no_pbkdf2_for_a_connection(void **state)
{
    struct deployment d;
    struct taught unknown;
    uint64_t runs;

    (void)state;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        deploy(&d, si_aead_by_name(si_span_str("AESGCM")), curve_at(i));
        unknown = d.taught;
        unknown.epoch[0] ^= 1;
        runs = si_pbkdf2_count();
        for (unsigned n = 0; n < 20; n++) {
            struct line line;

            line_open(&line, &d);
            call(&line, 1);
            line_drop(&line);
        }
        assert_true(si_pbkdf2_count() == runs);
        for (unsigned n = 0; n < 20; n++) {
            struct taught taught;

            wire_bootstrap(sotto_server_address(d.server), curve_at(i), SOTTO_CIPHER_AESGCM,
                           &taught);
        }
        /* each of these clients derived its PSK once */
        assert_true(si_pbkdf2_count() == runs + 20);
        wait_for_stat(d.server, bootstraps, 21);
        undeploy(&d);
    }
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* How much the expanded forms of a session's two keys take. */
static int64_t bytes_of_keys(const struct si_aead *aead)
{
    static const struct si_cipher_key key = {{0}};
    int64_t before = malloc_bytes, bytes;
    struct si_aead_key *expanded[2];

    malloc_counted = true;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(aead->key_new(&expanded[i], &key), SOTTO_OK);
    bytes = malloc_bytes - before;
    for (size_t i = 0; i < 2; i++)
        aead->key_free(expanded[i]);
    malloc_counted = false;
    return bytes;
}

enum { HALF = SI_READY_MAX, CROWD = 2 * HALF, SLACK = 64 };

/* Sessions open one after the other, and each calls once. */
static void fill(struct line *lines, size_t count, const struct deployment *d)
{
    for (size_t i = 0; i < count; i++) {
        line_open(&lines[i], d);
        call(&lines[i], 1);
    }
}

/* The first SI_READY_MAX sessions keep their expanded keys, so each takes what an idle one does and
 * the keys.  Those behind them take the keys of those before. */
static void idle_sessions(struct deployment *d, sotto_curve curve)
{
    struct line *lines = calloc(CROWD, sizeof *lines), first;
    int64_t start, half, all, keys = bytes_of_keys(chosen), each;

    (void)curve;
    assert_non_null(lines);
    line_open(&first, d);
    call(&first, 1); /* the worker is counted from here on */
    call(&first, BATCH);
    start = counts_now().bytes;
    fill(lines, HALF, d);
    half = counts_now().bytes - start;
    fill(lines + HALF, HALF, d);
    all = counts_now().bytes - start;

    each = (all - half) / HALF;
    if (each > IDLE_MAX)
        fail_msg("%s of %s: an idle session takes %lld bytes", chosen->name, chosen->backend,
                 (long long)each);
    assert_true(keys + each > IDLE_MAX); /* or the limit would say nothing about the keys */
    /* `first` is one of those that gave up their keys for the first half.  malloc() rounds a size
     * up by 16 bytes more or less, whatever it finds: so not to the byte. */
    assert_true(half >= HALF * each + (HALF - HALF / 16) * keys);
    assert_true(half <= HALF * (each + SLACK) + HALF * keys);

    /* All of them go on.  So many calls later there is no more: a leak of the smallest block in
     * every second call would be. */
    for (size_t i = 0; i < CROWD; i++)
        call(&lines[i], 1);
    for (size_t i = CROWD; i > 0; i--)
        call(&lines[i - 1], 2);
    call(&first, 1);
    for (size_t i = 0; i < CROWD; i++)
        call(&lines[i], 1);
    assert_true(counts_now().bytes - start <= all + HALF * SLACK);
    for (size_t i = 0; i < CROWD; i++)
        line_drop(&lines[i]);
    line_drop(&first);
    free(lines);
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    for_each_cipher(idle_sessions, SOTTO_CURVE_25519);
    for_each_cipher(idle_sessions, SOTTO_CURVE_448);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(calls_on_one_connection),  runtime_test(calls_on_many_connections),
        runtime_test(sessions_leave_nothing),   runtime_test(no_pbkdf2_for_a_connection),
        runtime_test(an_idle_session_is_small),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
