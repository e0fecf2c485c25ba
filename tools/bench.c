/*
 * `sotto bench`: how fast is a server?
 */
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sotto/client.h>

#include "client.h"
#include "command.h"
#include "content.h"
#include "descriptors.h"
#include "load.h"
#include "options.h"
#include "output.h"
#include "status.h"

struct bench {
    const struct command *self;
    struct client client;
    struct number connections, in_flight, idle, threads, duration, warm_up, size;
    enum load_repeat repeat;
    int json;
    const char *endpoint;
    struct content content;
    struct load_plan plan;
    sotto_psk gate; /* secret */

    /* of the threads */
    pthread_barrier_t opened;
    int64_t begin, end; /* written by one of them between two barriers */
    atomic_bool over;   /* one cannot go on */
};

/* One thread and its part of the load. */
struct part {
    struct bench *bench;
    pthread_t thread;
    struct load_plan plan;
    struct load *load;
    struct load_result result;
    sotto_err err;
};

/* ---- Options --------------------------------------------------------------------------------- */

enum { SIZE_NOT_GIVEN = 0, SIZE_DEFAULT = 128 };

static const char *const repeat_names[] = {
    [LOAD_CALLS] = "calls", [LOAD_SESSIONS] = "sessions", [LOAD_BOOTSTRAPS] = "bootstraps"};

static bool read_repeat(void *target, const char *value, char *why, size_t size)
{
    (void)snprintf(why, size, "calls, sessions or bootstraps");
    for (size_t i = 0; i < sizeof repeat_names / sizeof repeat_names[0]; i++) {
        if (strcmp(value, repeat_names[i]) == 0) {
            *(enum load_repeat *)target = (enum load_repeat)i;
            return true;
        }
    }
    return false;
}

/* docs/protocol.md, section 7. */
static bool is_endpoint_name(const char *name)
{
    size_t len;

    if (strncmp(name, "$/", 2) == 0)
        name += 2;
    len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-");
    return name[len] == '\0' && len >= 1 && len <= 128;
}

static int check_options(const struct bench *bench, int count)
{
    if (!is_endpoint_name(bench->endpoint))
        return usage_error(bench->self,
                           "the name of an endpoint has 1 to 128 letters, digits and . _ / -");
    if (count > 2 && bench->size.value != SIZE_NOT_GIVEN)
        return usage_error(bench->self, "--size is for a run without a content of its own");
    if (bench->repeat == LOAD_BOOTSTRAPS && bench->idle.value > 0)
        return usage_error(bench->self,
                           "--repeat bootstraps has no sessions: --idle is for the others");
    if (bench->threads.value > bench->connections.value)
        return usage_error(bench->self, "more --threads than --connections: some would do nothing");
    if (bench->repeat != LOAD_CALLS && bench->in_flight.value > 1)
        return usage_error(bench->self,
                           "--in-flight is for --repeat calls: the others make one call each");
    return OPTIONS_GO_ON;
}

static int read_options(struct bench *bench, int argc, char **argv, int *count)
{
    struct option options[CLIENT_OPTION_COUNT + 10] = {0};
    const struct option own[] = {
        {"connections", 'c', "N", read_number, &bench->connections, "sessions that call [1]"},
        {"in-flight", 'n', "N", read_number, &bench->in_flight,
         "calls on each that wait for their answers [1]"},
        {"size", 0, "SIZE", read_size, &bench->size,
         "without a content: a string of that many bytes,\nquotes included [128]"},
        {"duration", 'd', "TIME", read_duration, &bench->duration, "how long to measure [5s]"},
        {"warm-up", 0, "TIME", read_duration, &bench->warm_up, "how long to call before that [1s]"},
        {"repeat", 0, "WHAT", read_repeat, &bench->repeat,
         "calls, sessions (a connection for each call) or\nbootstraps [calls]"},
        {"idle", 0, "N", read_number, &bench->idle, "sessions besides, which do nothing [0]"},
        {"threads", 0, "N", read_number, &bench->threads, "threads that share the sessions [1]"},
        {"json", 0, NULL, read_flag, &bench->json, "print the result as JSON"},
        OPTIONS_END,
    };
    int status;

    client_options(&bench->client, options);
    memcpy(options + CLIENT_OPTION_COUNT, own, sizeof own);
    status = options_parse(bench->self, options, argc, argv, count);
    bench->endpoint = status == OPTIONS_GO_ON && *count > 1 ? argv[1] : "echo";
    return status == OPTIONS_GO_ON ? check_options(bench, *count) : status;
}

/* ---- Preparing ------------------------------------------------------------------------------- */

static int failed(sotto_err err, const char *why)
{
    sotto_error error = {0};

    error_what(&error, err, "cannot prepare the load");
    error_why(&error, "%s", why);
    return report(&error);
}

/* A JSON string of SIZE bytes. */
static int make_content(struct bench *bench)
{
    size_t size = bench->size.value != SIZE_NOT_GIVEN ? bench->size.value : SIZE_DEFAULT;

    if ((bench->content.text = malloc(size + 1)) == NULL)
        return failed(SOTTO_E_NOMEM, "no memory for a content of so many bytes");
    memset(bench->content.text, 'x', size);
    bench->content.text[0] = bench->content.text[size - 1] = '"';
    bench->content.text[size] = '\0';
    bench->content.len = size;
    return STATUS_OK;
}

/* The first one that somebody listens at (localhost is often two); the first one if nobody does,
 * for its error. */
static void choose_address(struct bench *bench, const struct addrinfo *found)
{
    const struct addrinfo *chosen = NULL;

    for (const struct addrinfo *a = found; found->ai_next != NULL && a != NULL && chosen == NULL;
         a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            chosen = a;
        if (fd >= 0)
            (void)close(fd);
    }
    chosen = chosen != NULL ? chosen : found;
    memcpy(&bench->plan.addr, chosen->ai_addr, chosen->ai_addrlen);
    bench->plan.addr_len = chosen->ai_addrlen;
}

static int find_address(struct bench *bench)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    sotto_error error = {0};
    char port[8];
    int unknown;

    (void)snprintf(port, sizeof port, "%u", bench->client.address.port);
    unknown = getaddrinfo(bench->client.address.host, port, &hints, &found);
    if (unknown != 0) {
        error_what(&error, SOTTO_E_RESOLVE, "cannot find %s", bench->client.address.host);
        error_why(&error, "%s", gai_strerror(unknown));
        return report(&error);
    }
    choose_address(bench, found);
    freeaddrinfo(found);
    return STATUS_OK;
}

/* What a session or a bootstrap needs: the client does the first bootstrap and sees to trust. */
static int prepare_sessions(struct bench *bench)
{
    sotto_session_client_options *o = &bench->plan.session;
    sotto_client *client = bench->client.handle;
    sotto_error error = {0};
    uint64_t waiting = ((uint64_t)bench->content.len + 256) * bench->in_flight.value;

    if (sotto_client_bootstrap(client, NULL, &error) != SOTTO_OK ||
        sotto_client_session_options(client, o, &error) != SOTTO_OK)
        return client_report(&bench->client, &error, NULL);
    o->max_output = waiting < UINT32_MAX / 2 ? (uint32_t)waiting * 2 : UINT32_MAX;
    bench->plan.trusted = o->server_key;
    if (bench->repeat != LOAD_BOOTSTRAPS)
        return STATUS_OK;
    o->purpose = SOTTO_BOOTSTRAP;
    o->server_key = NULL;
    o->psk = NULL;
    if (bench->client.gate) {
        if (sotto_gate_derive(bench->client.secrets, o->curve, &bench->gate) != SOTTO_OK)
            return failed(SOTTO_E_CRYPTO, "the key of the gate cannot be derived");
        o->gate = &bench->gate;
    }
    return STATUS_OK;
}

static int prepare(struct bench *bench, int count, char **argv)
{
    int status;

    status = count > 2 ? content_read(argv[2], &bench->content) : make_content(bench);
    if (status == STATUS_OK &&
        (status = client_open(bench->self, &bench->client, argv[0])) == OPTIONS_GO_ON &&
        (status = find_address(bench)) == STATUS_OK)
        status = prepare_sessions(bench);
    if (status != STATUS_OK)
        return status;
    bench->plan.repeat = bench->repeat;
    bench->plan.in_flight = bench->in_flight.value;
    bench->plan.endpoint = bench->endpoint;
    bench->plan.content = bench->content.text;
    bench->plan.content_len = bench->content.len;
    bench->plan.over = &bench->over;
    return STATUS_OK;
}

/* Large messages: memory that the system takes back after each would be the most expensive part. */
static void keep_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void *run_part(void *user)
{
    struct part *part = user;
    struct bench *bench = part->bench;

    part->err = load_open(&part->plan, &part->load, &part->result.error);
    if (part->err != SOTTO_OK)
        atomic_store(&bench->over, true);
    /* All sessions are open before the first call, and all threads measure the same time. */
    if (pthread_barrier_wait(&bench->opened) == PTHREAD_BARRIER_SERIAL_THREAD) {
        bench->begin = load_now() + bench->warm_up.value * INT64_C(1000000);
        bench->end = bench->begin + bench->duration.value * INT64_C(1000000);
    }
    (void)pthread_barrier_wait(&bench->opened);
    if (part->err == SOTTO_OK && !load_run(part->load, bench->begin, bench->end, &part->result))
        part->err = part->result.error.code;
    load_free(part->load);
    return NULL;
}

/* The I-th of N equal shares of TOTAL. */
static unsigned share(unsigned total, unsigned i, unsigned n)
{
    return total / n + (i < total % n);
}

/* Start all threads, or none goes on: they wait for each other. */
static bool start_parts(struct bench *bench, struct part *parts, unsigned count)
{
    if (pthread_barrier_init(&bench->opened, NULL, count) != 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct part){.bench = bench, .plan = bench->plan};
        parts[i].plan.connections = share(bench->connections.value, i, count);
        parts[i].plan.idle = share(bench->idle.value, i, count);
    }
    for (unsigned i = 1; i < count; i++) {
        if (pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) != 0)
            exit(failed(SOTTO_E_SYSTEM, "this system has no room for so many threads"));
    }
    return true;
}

static void merge(struct load_result *all, const struct load_result *part)
{
    all->calls += part->calls;
    all->errors += part->errors;
    all->bytes_sent += part->bytes_sent;
    all->bytes_received += part->bytes_received;
    all->cpu_ns += part->cpu_ns;
    if (part->ns > all->ns)
        all->ns = part->ns;
    histogram_merge(&all->latency, &part->latency);
    if (all->error.code == SOTTO_OK) {
        all->error = part->error;
        memcpy(all->error_code, part->error_code, sizeof all->error_code);
    }
}

static sotto_err run_parts(struct bench *bench, struct load_result *all)
{
    unsigned count = bench->threads.value;
    struct part *parts = calloc(count, sizeof *parts);
    sotto_err err = SOTTO_OK;

    if (parts == NULL || !start_parts(bench, parts, count)) {
        error_what(&all->error, SOTTO_E_NOMEM, "cannot prepare the load: out of memory");
        free(parts);
        return SOTTO_E_NOMEM;
    }
    (void)run_part(&parts[0]);
    for (unsigned i = 1; i < count; i++)
        (void)pthread_join(parts[i].thread, NULL);
    for (unsigned i = 0; i < count; i++) {
        merge(all, &parts[i].result);
        if (err == SOTTO_OK && (err = parts[i].err) != SOTTO_OK)
            all->error = parts[i].result.error; /* not what another one noted */
    }
    (void)pthread_barrier_destroy(&bench->opened);
    free(parts);
    return err;
}

/* ---- Results --------------------------------------------------------------------------------- */

static double us_of(const struct load_result *r, unsigned permille)
{
    return (double)histogram_quantile(&r->latency, permille) / 1e3;
}

static void print_json(const struct bench *bench, const struct load_result *r)
{
    double seconds = (double)r->ns / 1e9;

    (void)printf("{\"repeat\":\"%s\",\"connections\":%u,\"in_flight\":%u,\"idle\":%u,"
                 "\"size\":%zu,\"seconds\":%.3f,\"calls\":%llu,\"errors\":%llu,"
                 "\"bytes_sent\":%llu,\"bytes_received\":%llu,"
                 "\"latency_us\":{\"mean\":%.2f,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,"
                 "\"p999\":%.2f,\"max\":%.2f},\"threads\":%u,\"load_cpu_seconds\":%.4f}\n",
                 repeat_names[bench->repeat], bench->connections.value, bench->in_flight.value,
                 bench->idle.value, bench->content.len, seconds, (unsigned long long)r->calls,
                 (unsigned long long)r->errors, (unsigned long long)r->bytes_sent,
                 (unsigned long long)r->bytes_received, (double)histogram_mean(&r->latency) / 1e3,
                 us_of(r, 500), us_of(r, 900), us_of(r, 990), us_of(r, 999),
                 (double)r->latency.max / 1e3, bench->threads.value, (double)r->cpu_ns / 1e9);
}

static void print_latency(const char *name, double us)
{
    if (us < 1000)
        (void)printf("  %s %.1f us", name, us);
    else
        (void)printf("  %s %.2f ms", name, us / 1e3);
}

static void print_text(const struct bench *bench, const struct load_result *r)
{
    double seconds = (double)r->ns / 1e9;
    double load = (double)r->cpu_ns / 1e9 / seconds / bench->threads.value;
    const char *what = repeat_names[bench->repeat];

    (void)printf("%-11s %llu in %.1f s, %.0f/s\n", what, (unsigned long long)r->calls, seconds,
                 (double)r->calls / seconds);
    (void)printf("errors      %llu\n", (unsigned long long)r->errors);
    (void)printf("latency    ");
    print_latency("p50", us_of(r, 500));
    print_latency("p90", us_of(r, 900));
    print_latency("p99", us_of(r, 990));
    print_latency("p99.9", us_of(r, 999));
    print_latency("max", (double)r->latency.max / 1e3);
    (void)printf("\ntraffic     %.1f MiB/s sent, %.1f MiB/s received\n",
                 (double)r->bytes_sent / seconds / 1048576,
                 (double)r->bytes_received / seconds / 1048576);
    (void)printf("this side   %.0f %% of %u processor%s%s\n", 100 * load, bench->threads.value,
                 bench->threads.value == 1 ? "" : "s",
                 load > 0.95 ? ": it may be what limits the rate, not the server" : "");
}

static int show(const struct bench *bench, const struct load_result *r)
{
    if (bench->json)
        print_json(bench, r);
    else
        print_text(bench, r);
    if (r->errors == 0)
        return STATUS_OK;
    return report_as(&r->error, status_of_call(r->error.code, r->error_code));
}

static int run_bench(struct bench *bench, int count, char **argv)
{
    struct load_result all = {0};
    int status = prepare(bench, count, argv);

    if (status != STATUS_OK)
        return status;
    raise_descriptor_limit();
    keep_memory();
    if (run_parts(bench, &all) != SOTTO_OK)
        return report(&all.error);
    if (all.calls == 0 && all.errors == 0) {
        error_what(&all.error, SOTTO_E_TIMEOUT, "nothing was answered in the time measured");
        error_why(&all.error, "the server is silent, or an answer takes longer than --duration");
        return report(&all.error);
    }
    return show(bench, &all);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct bench bench = {
        .self = self,
        .client = CLIENT_INIT,
        .connections = {1, 1, 65536},
        .in_flight = {1, 1, 65536},
        .idle = {0, 0, 65536},
        .threads = {1, 1, 256},
        .duration = {5000, 10, 3600000},
        .warm_up = {1000, 0, 3600000},
        .size = {SIZE_NOT_GIVEN, 2, UINT32_MAX},
    };
    int count, status = read_options(&bench, argc, argv, &count);

    if (status == OPTIONS_GO_ON) {
        status = run_bench(&bench, count, argv);
        explicit_bzero(&bench.gate, sizeof bench.gate);
        client_free(&bench.client);
        content_free(&bench.content);
    }
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "Measure how fast a server answers",
    .operands = {"ADDR", "[ENDPOINT]", "[JSON|@FILE|-]"},
    .details =
        "Opens sessions, keeps calls in flight on them, and says how many were answered and how\n"
        "long each took, from the write of its request to the read of its answer.  It bootstraps\n"
        "once, whatever is kept, and trusts as \"sotto call\" does.  An answer counts when it is "
        "no\n"
        "error; its content is not looked at.  How busy this side was is part of the result: "
        "where\n"
        "that is near 100 %, the server could do more.  Give both sides processors of their own\n"
        "(taskset), or they measure each other.\n",
    .examples = "  sotto bench --trust accept-new localhost:7448\n"
                "  sotto bench -c 64 -n 64 localhost:7448 echo '{\"hello\":\"there\"}'\n"
                "  sotto bench --repeat sessions -c 16 -d 10s --json localhost:7448\n",
    .run = run,
};
