/*
 * What might be quicker than what Sotto does now, each next to it:
 *
 *     bench_tries [--rounds N] [NAME]...     uring zerocopy nettle ephemeral records; none: all
 *
 * A line shows the middle round, and in brackets the lowest and the highest.  The machine needs two
 * processors.
 */
#include "tries.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS_DEFAULT = 9, NAME_WIDTH = 52, COLUMN_WIDTH = 24 };

int tries_rounds = ROUNDS_DEFAULT;

static const struct
try {
    const char *name;
    void (*run)(void);
    const char *without; /* what this build lacks, when there is no RUN */
}
tries[] = {
#ifdef TRIES_HAVE_URING
    {"uring", try_uring, NULL},
#else
    {"uring", NULL, "liburing"},
#endif
    {"zerocopy", try_zerocopy, NULL},
    {"nettle", try_curves, NULL}, /* without nettle, OpenSSL's curves remain */
    {"ephemeral", try_ephemeral, NULL},
    {"records", try_records, NULL},
};

/* ---- Failing --------------------------------------------------------------------------------- */

static const char *_Atomic waited_for = "";

void tries_require(const char *what, bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "bench_tries: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* In a signal's handler: nothing but writing. */
static void give_up(int signal_number)
{
    static const char begin[] = "bench_tries: gave up waiting for ";
    const char *what = waited_for;

    (void)signal_number;
    (void)!write(STDERR_FILENO, begin, sizeof begin - 1);
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

void tries_watch(const char *what, unsigned seconds)
{
    waited_for = what;
    (void)alarm(seconds);
}

/* ---- Rounds and lines ------------------------------------------------------------------------ */

void tries_head(const char *title, const char *const *columns)
{
    printf("\n%-*s", NAME_WIDTH, title);
    for (size_t i = 0; columns[i] != NULL; i++)
        printf(" %*s", COLUMN_WIDTH, columns[i]);
    printf("\n");
}

/* Three digits are more than the spread leaves certain. */
static int decimals(double value)
{
    return value < 10 ? 2 : value < 100 ? 1 : 0;
}

static void print_column(const struct tries_samples *samples)
{
    struct tries_samples s = *samples;
    char text[64];
    double middle;
    int digits;

    qsort(s.round, (size_t)tries_rounds, sizeof s.round[0], bench_order);
    middle = s.round[tries_rounds / 2];
    digits = decimals(middle);
    (void)snprintf(text, sizeof text, "%.*f [%.*f .. %.*f]", digits, middle, digits, s.round[0],
                   digits, s.round[tries_rounds - 1]);
    printf(" %*s", COLUMN_WIDTH, text);
}

void tries_line(const char *name, const struct tries_samples *columns, size_t count)
{
    printf("  %-*s", NAME_WIDTH - 2, name);
    for (size_t i = 0; i < count; i++)
        print_column(&columns[i]);
    printf("\n");
    (void)fflush(stdout);
}

void tries_measure(const struct bench_work *works, size_t count, int64_t round_ns,
                   struct tries_samples *samples)
{
    enum { WORKS_MAX = 8 };
    int64_t steps[WORKS_MAX];

    errno = EINVAL;
    tries_require("too many works", count <= WORKS_MAX);
    tries_watch("rounds of a single thread", 120);
    for (size_t i = 0; i < count; i++)
        steps[i] = bench_steps(&works[i], round_ns);
    for (int round = 0; round < tries_rounds; round++) {
        for (size_t i = 0; i < count; i++)
            samples[i].round[round] = (double)bench_round(&works[i], steps[i]) / (double)steps[i];
    }
    tries_watch("", 0);
}

/* ---- Threads, clocks, sockets ---------------------------------------------------------------- */

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    tries_require("a clock", clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t tries_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t tries_process_cpu(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t tries_thread_cpu(pthread_t thread)
{
    clockid_t id;

    errno = pthread_getcpuclockid(thread, &id);
    tries_require("the clock of a thread", errno == 0);
    return read_clock(id);
}

static cpu_set_t only(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return set;
}

void tries_pin(int cpu)
{
    cpu_set_t set = only(cpu);

    errno = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    tries_require("a processor of its own", errno == 0);
}

void tries_start(pthread_t *thread, int cpu, void *(*run)(void *user), void *user)
{
    cpu_set_t set = only(cpu);
    pthread_attr_t attr;

    errno = pthread_attr_init(&attr);
    tries_require("a thread", errno == 0);
    errno = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    tries_require("a thread's processor", errno == 0);
    errno = pthread_create(thread, &attr, run, user);
    tries_require("a thread on a processor of its own (two are needed)", errno == 0);
    (void)pthread_attr_destroy(&attr);
}

void tries_join(pthread_t thread)
{
    errno = pthread_join(thread, NULL);
    tries_require("the end of a thread", errno == 0);
}

void tries_connect(int ends[2])
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tries_require("sockets", listener >= 0 && ends[1] >= 0);
    tries_require("listening", bind(listener, (struct sockaddr *)&addr, len) == 0 &&
                                   listen(listener, 1) == 0 &&
                                   getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
    tries_require("connecting", connect(ends[1], (struct sockaddr *)&addr, len) == 0);
    ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    tries_require("accepting", ends[0] >= 0);
    for (int i = 0; i < 2; i++)
        tries_require("TCP_NODELAY",
                      setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    (void)close(listener);
}

void tries_send_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        tries_require("send", n > 0);
        data += n;
        len -= (size_t)n;
    }
}

/* ---- A stream -------------------------------------------------------------------------------- */

enum { STREAM_WARM_UP_NS = 30000000, STREAM_NS = 150000000 };

struct stream_run {
    const struct tries_stream *stream;
    struct tries_stream_costs *costs;
    int ends[2];
    pthread_t rx;
};

static void *run_receiver(void *user)
{
    const struct stream_run *run = user;

    run->stream->receive(run->stream->user, run->ends[1]);
    return NULL;
}

static int64_t send_for(const struct stream_run *run, int64_t ns)
{
    int64_t end = tries_now() + ns, sent = 0;

    do {
        run->stream->send(run->stream->user, run->ends[0]);
        sent++;
    } while (tries_now() < end);
    return sent;
}

/* What is still on its way when the measured part begins is about what is at its end. */
static void *run_sender(void *user)
{
    const struct stream_run *run = user;
    int64_t ns, tx, rx, sent;

    (void)send_for(run, STREAM_WARM_UP_NS);
    ns = tries_now();
    tx = bench_now();
    rx = tries_thread_cpu(run->rx);
    sent = send_for(run, STREAM_NS);
    if (run->stream->finish != NULL)
        run->stream->finish(run->stream->user, run->ends[0]);
    *run->costs = (struct tries_stream_costs){
        (double)(tries_now() - ns) / (double)sent, (double)(bench_now() - tx) / (double)sent,
        (double)(tries_thread_cpu(run->rx) - rx) / (double)sent};
    tries_require("shutdown", shutdown(run->ends[0], SHUT_WR) == 0);
    return NULL;
}

void tries_run_stream(const struct tries_stream *stream, struct tries_stream_costs *costs)
{
    struct stream_run run = {.stream = stream, .costs = costs};
    pthread_t tx;

    tries_watch("the end of a stream over loopback", 20);
    tries_connect(run.ends);
    tries_start(&run.rx, TRIES_CPU_LOAD, run_receiver, &run);
    tries_start(&tx, TRIES_CPU_SERVER, run_sender, &run);
    tries_join(tx);
    tries_join(run.rx);
    (void)close(run.ends[0]);
    (void)close(run.ends[1]);
    tries_watch("", 0);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static int usage(FILE *to, int status)
{
    (void)fprintf(to, "usage: bench_tries [--rounds N] [NAME]...\nN: 1 to %d, else %d; NAME:",
                  TRIES_ROUNDS_MAX, ROUNDS_DEFAULT);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++)
        (void)fprintf(to, " %s", tries[i].name);
    (void)fprintf(to, "\n");
    return status;
}

static bool is_name(const char *name)
{
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        if (strcmp(name, tries[i].name) == 0)
            return true;
    }
    return false;
}

static bool read_rounds(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end != '\0' || n < 1 || n > TRIES_ROUNDS_MAX)
        return false;
    tries_rounds = (int)n;
    return true;
}

static void run_try(const struct try *t)
{
    if (t->run != NULL)
        t->run();
    else
        printf("\n%s: not in this build, which found no %s\n", t->name, t->without);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc > 1 && strcmp(argv[1], "--rounds") == 0) {
        if (argc < 3 || !read_rounds(argv[2]))
            return usage(stderr, 2);
        argc -= 2;
        argv += 2;
    }
    for (int i = 1; i < argc; i++) {
        if (!is_name(argv[i]))
            return usage(stderr, 2);
    }
    tries_require("a handler", signal(SIGALRM, give_up) != SIG_ERR);
    tries_pin(TRIES_CPU_SERVER);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        if (bench_wanted(argc, argv, tries[i].name))
            run_try(&tries[i]);
    }
    return 0;
}
