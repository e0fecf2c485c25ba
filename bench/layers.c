/*
 * What each layer costs, next to the least that its work can cost: the libraries' own functions on
 * the same bytes, and the copying that cannot be avoided.  A line is a work and its bound, in
 * nanoseconds (quickest and middle round), their ratio, and how often the work allocates memory.
 *
 *     bench_layers [PART]...     the lines with PART in their names: records, large, XX, 448 ...
 *
 * Everything is in one thread and in memory, apart from the kernel's socket pair of `loop`.
 */
#include "layers.h"

enum { ROUNDS = 61, ROUND_NS = 2000000 };

static char **parts; /* of the names of lines that are wanted; NULL behind the last */
static size_t lines; /* printed so far */

void require(const char *what, bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "cannot set up: %s\n", what);
        exit(1);
    }
}

/* ---- Allocations ----------------------------------------------------------------------------- */

static size_t allocations;

/* The C library's own functions, under the names that it has for whoever replaces malloc().  The
 * replacements are visible to other libraries, so what those allocate is counted, too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

/* Of one step, when everything is warm. */
static size_t allocations_of(const struct bench_work *work)
{
    size_t before;

    (void)bench_round(work, 1);
    if (work->prepare != NULL)
        work->prepare(work->user);
    before = allocations;
    require_ok(work->name, work->step(work->user));
    return allocations - before;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

bool wanted(const char *name)
{
    for (char **part = parts; *part != NULL; part++) {
        if (strstr(name, *part) != NULL)
            return true;
    }
    return parts[0] == NULL;
}

static void print_line(const struct bench_work *work, struct bench_time t, struct bench_time bound,
                       double per, double bytes)
{
    printf("%-54s %11.1f %11.1f %11.1f %11.1f %7.3f %7.2f", work->name, t.best / per,
           t.median / per, bound.best / per, bound.median / per, t.median / bound.median,
           (double)allocations_of(work) / per);
    if (bytes > 0)
        printf(" %7.2f GB/s", bytes / t.median);
    printf("\n");
    (void)fflush(stdout);
    lines++;
}

void compare(struct bench_work work, struct bench_work bound, double per, double bytes)
{
    struct bench_work works[] = {work, bound};
    struct bench_time t[2];

    if (!wanted(work.name))
        return;
    works[1].name = "the bound";
    bench_measure(works, 2, ROUNDS, ROUND_NS, t);
    print_line(&work, t[0], t[1], per, bytes);
}

void compare_all(const struct bench_work *works, size_t count)
{
    struct bench_time t[BENCH_WORKS_MAX];

    bench_measure(works, count, ROUNDS, ROUND_NS, t);
    for (size_t i = 0; i + 1 < count; i++)
        print_line(&works[i], t[i], t[count - 1], 1, 0);
}

/* ---- A server and its clients ---------------------------------------------------------------- */

struct world world;

static void world_init(void)
{
    sotto_acceptor_options o = SOTTO_ACCEPTOR_OPTIONS_INIT;

    memset(world.psk.bytes, 0x51, sizeof world.psk.bytes);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        require_ok("a key pair", sotto_keypair_generate((sotto_curve)(i + 1), &world.key[i]));
        o.curves[i].key = world.key[i];
        o.curves[i].psk = world.psk;
    }
    o.parameters.iterations = SOTTO_ITERATIONS_DEFAULT;
    o.parameters.server_string_len = 43;
    memset(o.parameters.server_string, 's', o.parameters.server_string_len);
    o.max_message = 32 * MIB;
    o.input_padding = PADDING;
    o.agent = "bench";
    require_ok("an acceptor", sotto_acceptor_new(&o, &world.acceptor));
    require_ok("scratch", si_scratch_init(&world.scratch));
}

static void world_free(void)
{
    sotto_acceptor_free(world.acceptor);
    si_scratch_wipe(&world.scratch);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        sotto_keypair_free(world.key[i]);
}

sotto_session *new_client(bool bootstrap, sotto_curve curve, sotto_cipher cipher)
{
    sotto_session_client_options o = SOTTO_SESSION_CLIENT_OPTIONS_INIT;
    sotto_public_key key = sotto_keypair_public(world.key[curve - 1]);
    sotto_session *client;

    o.purpose = bootstrap ? SOTTO_BOOTSTRAP : SOTTO_SESSION;
    o.curve = curve;
    o.cipher = cipher;
    o.max_message = 32 * MIB;
    if (!bootstrap) {
        o.server_key = &key;
        o.psk = &world.psk;
    }
    require_ok("a client", sotto_session_client_new(&o, 0, &client));
    return client;
}

sotto_session *new_server(void)
{
    sotto_session *server;

    require_ok("a server", sotto_session_server_new(world.acceptor, 0, &server));
    si_session_lend(server, &world.scratch);
    return server;
}

void take_flight(sotto_session *session, struct si_buf *out)
{
    const uint8_t *data;
    size_t len;

    *out = si_buf(SIZE_MAX / 2);
    require_ok("output", sotto_session_output(session, &data, &len, 0));
    require_ok("memory", si_buf_put(out, data, len));
    sotto_session_sent(session, len);
}

size_t give_flight(sotto_session *session, const struct si_buf *flight)
{
    uint8_t *copy = calloc(1, flight->len + PADDING);
    size_t at = 0, messages = 0, taken;
    sotto_event event;

    require("memory", copy != NULL);
    memcpy(copy, flight->ptr, flight->len);
    while (at < flight->len) {
        require_ok("input", sotto_session_feed(session, copy + at, flight->len - at, &taken, 0));
        at += taken;
        while (sotto_session_next(session, &event) == SOTTO_OK) {
            if (event.type == SOTTO_EVENT_SERVER_KEY)
                require_ok("the verdict", sotto_session_accept_key(session));
            messages += event.type == SOTTO_EVENT_MESSAGE;
        }
    }
    free(copy);
    return messages;
}

int main(int argc, char **argv)
{
    (void)argc;
    parts = argv + 1;
    world_init();
    printf("%-54s %11s %11s %11s %11s %7s %7s\n", "nanoseconds", "best", "median", "bound best",
           "median", "ratio", "allocs");
    bench_handshakes();
    bench_records();
    bench_envelopes();
    bench_loop();
    bench_large();
    world_free();
    if (lines == 0)
        (void)fprintf(stderr, "bench_layers: no line has that in its name\n");
    return lines > 0 ? 0 : 2;
}
