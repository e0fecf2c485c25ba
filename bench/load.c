#include "load.h"

#include <ctype.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    CONNECTIONS_MAX = 10000,
    IN_FLIGHT_MAX = 65536,
    NS_PER_US = 1000,
    NS_PER_MS = 1000000,
    HOUR_MS = 3600 * 1000
};

static const int64_t NS_PER_S = INT64_C(1000000000);
static const int64_t SILENCE_NS = 5 * INT64_C(1000000000); /* longer than any call takes */
static const int64_t LOOK_NS = INT64_C(1000000000);        /* how often silence is looked for */

/* ---- Command line ---------------------------------------------------------------------------- */

/* The values of getopt_long(); those from CONNECTIONS on belong to every load. */
enum {
    OPTION_PLAIN = 1,
    OPTION_SERVER_KEY,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_HELP,
    OPTION_CONNECTIONS,
    OPTION_IN_FLIGHT,
    OPTION_SIZE,
    OPTION_DURATION,
    OPTION_WARM_UP,
    OPTION_REPEAT
};

static const struct option long_options[] = {
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"server-key", required_argument, NULL, OPTION_SERVER_KEY},
    {"cert", required_argument, NULL, OPTION_CERT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"help", no_argument, NULL, OPTION_HELP},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {NULL, 0, NULL, 0},
};

static void show_own(unsigned takes)
{
    printf("%s%s%s%s", (takes & LOAD_PLAIN) != 0 ? " [--plain]" : "",
           (takes & LOAD_SERVER_KEY) != 0 ? " [--server-key KEY]" : "",
           (takes & LOAD_CERT) != 0 ? " [--cert FILE]" : "",
           (takes & LOAD_KEY) != 0 ? " [--key FILE]" : "");
}

static void show_help(const struct load_program *program)
{
    printf("usage: %s serve", program->name);
    show_own(program->serve_takes);
    printf("\n       %s load", program->name);
    show_own(program->load_takes);
    puts(" [--connections N] [--in-flight N] [--size BYTES]\n"
         "           [--duration TIME] [--warm-up TIME] [--repeat calls|sessions] HOST:PORT\n"
         "TIME is like 3s or 500ms.");
}

static int wrong(const struct load_program *program, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int wrong(const struct load_program *program, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fprintf(stderr, "%s: ", program->name);
    (void)vfprintf(stderr, fmt, args);
    (void)fprintf(stderr, "; see %s --help\n", program->name);
    va_end(args);
    return 2;
}

/* The whole number at the front of TEXT, at most MAX; *END is behind it. */
static bool read_number(const char *text, uint64_t max, uint64_t *out, const char **end)
{
    uint64_t n = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++) {
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > max)
            return false;
    }
    *out = n;
    *end = text;
    return true;
}

static bool read_count(const char *text, uint64_t max, uint64_t *out)
{
    const char *end;

    return read_number(text, max, out, &end) && *end == '\0' && *out > 0;
}

static bool read_time(const char *text, int64_t *out)
{
    const char *unit;
    uint64_t n;

    if (!read_number(text, HOUR_MS, &n, &unit))
        return false;
    if (strcmp(unit, "ms") == 0)
        *out = (int64_t)n * NS_PER_MS;
    else if (strcmp(unit, "s") == 0 && n <= HOUR_MS / 1000)
        *out = (int64_t)n * NS_PER_S;
    else
        return false;
    return true;
}

static bool read_repeat(const char *text, bool *sessions)
{
    *sessions = strcmp(text, "sessions") == 0;
    return *sessions || strcmp(text, "calls") == 0;
}

static bool read_address(const char *text, struct load_options *out)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof out->host ||
        !read_count(colon + 1, UINT16_MAX, &port))
        return false;
    (void)snprintf(out->host, sizeof out->host, "%.*s", (int)(colon - text), text);
    out->port = (uint16_t)port;
    return true;
}

/* May the option stand in this command line? */
static bool is_taken(const struct load_program *program, bool serve, int option)
{
    unsigned takes = serve ? program->serve_takes : program->load_takes;

    switch (option) {
    case OPTION_PLAIN:
        return (takes & LOAD_PLAIN) != 0;
    case OPTION_SERVER_KEY:
        return (takes & LOAD_SERVER_KEY) != 0;
    case OPTION_CERT:
        return (takes & LOAD_CERT) != 0;
    case OPTION_KEY:
        return (takes & LOAD_KEY) != 0;
    default:
        return !serve;
    }
}

/* False: not a value that the option can have. */
static bool read_option(struct load_options *out, int option, const char *value)
{
    uint64_t n = 0;
    bool ok = true;

    switch (option) {
    case OPTION_PLAIN:
        out->plain = true;
        break;
    case OPTION_SERVER_KEY:
        out->server_key = value;
        break;
    case OPTION_CERT:
        out->cert = value;
        break;
    case OPTION_KEY:
        out->key = value;
        break;
    case OPTION_CONNECTIONS:
        ok = read_count(value, CONNECTIONS_MAX, &n);
        out->connections = (unsigned)n;
        break;
    case OPTION_IN_FLIGHT:
        ok = read_count(value, IN_FLIGHT_MAX, &n);
        out->in_flight = (unsigned)n;
        break;
    case OPTION_SIZE:
        ok = read_count(value, LOAD_SIZE_MAX, &n);
        out->size = (size_t)n;
        break;
    case OPTION_DURATION:
        ok = read_time(value, &out->duration) && out->duration > 0;
        break;
    case OPTION_WARM_UP:
        ok = read_time(value, &out->warm_up);
        break;
    default:
        ok = read_repeat(value, &out->sessions);
        break;
    }
    return ok;
}

static int read_options(int argc, char **argv, const struct load_program *program,
                        struct load_options *out)
{
    int option, which = 0;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &which)) != -1) {
        if (option == '?')
            return wrong(program, "%s: no such option, or its value is wrong", argv[optind - 1]);
        if (option == OPTION_HELP) {
            show_help(program);
            return 0;
        }
        if (!is_taken(program, out->serve, option))
            return wrong(program, "%s takes no --%s", out->serve ? "serve" : "load",
                         long_options[which].name);
        if (!read_option(out, option, optarg))
            return wrong(program, "--%s cannot be '%s'", long_options[which].name, optarg);
    }
    return -1;
}

int load_parse(int argc, char **argv, const struct load_program *program, struct load_options *out)
{
    const char *command = argc > 1 ? argv[1] : "";
    int status;

    *out = (struct load_options){.connections = 1,
                                 .in_flight = 1,
                                 .size = 117,
                                 .duration = 3 * NS_PER_S,
                                 .warm_up = NS_PER_S};
    out->serve = strcmp(command, "serve") == 0;
    if (strcmp(command, "--help") == 0) {
        show_help(program);
        return 0;
    }
    if (!out->serve && strcmp(command, "load") != 0)
        return wrong(program, "the first argument is serve or load");

    status = read_options(argc - 1, argv + 1, program, out);
    if (status >= 0)
        return status;
    argc -= 1 + optind;
    argv += 1 + optind;
    if (out->serve && argc > 0)
        return wrong(program, "serve takes no '%s'", argv[0]);
    if (!out->serve && (argc != 1 || !read_address(argv[0], out)))
        return wrong(program, "load takes one HOST:PORT");
    if (out->sessions)
        out->in_flight = 1;
    return -1;
}

uint8_t *load_content(const struct load_options *options)
{
    uint8_t *content = malloc(options->size);
    uint32_t state = 1;

    if (content == NULL) {
        perror("the content");
        exit(1);
    }
    for (size_t i = 0; i < options->size; i++) {
        state = state * 1664525 + 1013904223;
        content[i] = (uint8_t)('a' + (state >> 24) % 26);
    }
    return content;
}

void load_raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* ---- A run ----------------------------------------------------------------------------------- */

int64_t load_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* User and system time of all threads. */
static int64_t cpu_now(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_S +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * NS_PER_US;
}

void load_init(struct load *load, const struct load_program *program,
               const struct load_options *options)
{
    memset(load, 0, sizeof *load);
    load->program = program->name;
    load->options = options;
    load->last = load_now();
    load->next = INT64_MAX;
    load->wake = load->last + LOOK_NS;
}

static void plan_wake(struct load *load, int64_t now)
{
    load->wake = load->next - now < LOOK_NS ? load->next : now + LOOK_NS;
}

void load_begin(struct load *load, int64_t now)
{
    load->phase = LOAD_WARM_UP;
    load->last = now;
    load->next = now + load->options->warm_up;
    plan_wake(load, now);
}

static void next_phase(struct load *load, int64_t now)
{
    if (load->phase == LOAD_WARM_UP) {
        load->phase = LOAD_MEASURED;
        load->began = now;
        load->cpu = cpu_now();
        load->next = now + load->options->duration;
    } else {
        load->phase = load->in_flight == 0 ? LOAD_ENDED : LOAD_DRAINING;
        load->took = now - load->began;
        load->cpu = cpu_now() - load->cpu;
        load->next = INT64_MAX;
    }
}

void load_turn(struct load *load, int64_t now)
{
    if (now < load->wake || load->phase == LOAD_ENDED)
        return;
    if (now - load->last > SILENCE_NS)
        load_fail(load, "%s for %d seconds",
                  load->phase == LOAD_OPENING ? "the connections are not open, nothing happened"
                                              : "no answer came",
                  (int)(SILENCE_NS / NS_PER_S));
    else if (now >= load->next)
        next_phase(load, now);
    plan_wake(load, now);
}

void load_fail(struct load *load, const char *fmt, ...)
{
    va_list args;

    if (load->errors == 0) {
        va_start(args, fmt);
        (void)fprintf(stderr, "%s: ", load->program);
        (void)vfprintf(stderr, fmt, args);
        (void)fprintf(stderr, "\n");
        va_end(args);
    }
    load->errors++;
    if (load->phase == LOAD_MEASURED)
        next_phase(load, load_now());
    load->phase = LOAD_ENDED;
}

static double us_of(uint64_t ns)
{
    return (double)ns / NS_PER_US;
}

int load_report(const struct load *load)
{
    const struct load_options *options = load->options;
    const struct histogram *latency = &load->latency;

    /* A run that failed before it measured anything has no figures. */
    if (load->took > 0)
        printf("{\"repeat\":\"%s\",\"connections\":%u,\"in_flight\":%u,\"size\":%zu,"
               "\"seconds\":%.6f,\"calls\":%llu,\"errors\":%llu,"
               "\"latency_us\":{\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,"
               "\"max\":%.3f},\"load_cpu_seconds\":%.6f}\n",
               options->sessions ? "sessions" : "calls", options->connections, options->in_flight,
               options->size, (double)load->took / (double)NS_PER_S,
               (unsigned long long)load->calls, (unsigned long long)load->errors,
               us_of(histogram_mean(latency)), us_of(histogram_quantile(latency, 500)),
               us_of(histogram_quantile(latency, 900)), us_of(histogram_quantile(latency, 990)),
               us_of(latency->max), (double)load->cpu / (double)NS_PER_S);
    return load->errors == 0 ? 0 : 1;
}

/* ---- A server -------------------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    sigset_t signals;
    void (*stop)(void *user);
    void *user;
} stopper;

static void *wait_for_stop(void *unused)
{
    int number;

    (void)unused;
    (void)sigwait(&stopper.signals, &number);
    stopper.stop(stopper.user);
    return NULL;
}

void load_on_stop(void (*stop)(void *user), void *user)
{
    int error;

    stopper.stop = stop;
    stopper.user = user;
    (void)sigemptyset(&stopper.signals);
    (void)sigaddset(&stopper.signals, SIGTERM);
    (void)sigaddset(&stopper.signals, SIGINT);
    error = pthread_sigmask(SIG_BLOCK, &stopper.signals, NULL);
    if (error == 0)
        error = pthread_create(&stopper.thread, NULL, wait_for_stop, NULL);
    if (error != 0) {
        (void)fprintf(stderr, "cannot wait for signals: %s\n", strerror(error));
        exit(1);
    }
}

void load_stopped(void)
{
    (void)pthread_join(stopper.thread, NULL);
}

void load_listening(uint16_t port, const char *key)
{
    printf("listening 127.0.0.1:%u%s%s\n", port, key != NULL ? " " : "", key != NULL ? key : "");
    (void)fflush(stdout);
}
