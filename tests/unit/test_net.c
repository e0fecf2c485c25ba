/*
 * Addresses, loop, timers, wake-ups, resolver.  getaddrinfo() is replaced: no test needs a name
 * server.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "failing_malloc.h"
#include "net_test.h"

/* ---- Addresses ---- */

static void test_sockaddr(void **state)
{
    static const struct {
        const char *host, *text; /* text NULL: refused */
        bool loopback;
    } table[] = {
        {"127.0.0.1", "127.0.0.1:7448", true},
        {"127.255.0.9", "127.255.0.9:7448", true},
        {"128.0.0.1", "128.0.0.1:7448", false},
        {"0.0.0.0", "0.0.0.0:7448", false},
        {"::1", "[::1]:7448", true},
        {"0:0:0:0:0:0:0:1", "[::1]:7448", true},
        {"::", "[::]:7448", false},
        {"2001:DB8::0:1", "[2001:db8::1]:7448", false},
        {"::ffff:127.0.0.1", "127.0.0.1:7448", true},
        {"::ffff:192.0.2.1", "192.0.2.1:7448", false},
        {"fe80::1%1", "[fe80::1%1]:7448", false},
        {"fe80::1%lo", "[fe80::1%1]:7448", false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:7448", false},
        {"", NULL, false},
        {"localhost", NULL, false},
        {"127.1", NULL, false},
        {"0x7f000001", NULL, false},
        {"127.0.0.1 ", NULL, false},
        {"127.0.0.1:80", NULL, false},
        {"256.0.0.1", NULL, false},
        {"[::1]", NULL, false},
        {"::1%", NULL, false},
        {"::1%0", NULL, false},
        {"::1%4294967296", NULL, false},
        {"::1%1x", NULL, false},
        {"%1", NULL, false},
        {"1:2:3:4:5:6:7:8:9", NULL, false},
        {"00000000000000000000000000000000000000000000000000000001::", NULL, false},
    };
    struct si_sockaddr none = {.len = 0};
    char text[64];

    (void)state;
    for (size_t i = 0; i < SI_COUNT(table); i++) {
        struct si_sockaddr addr = {.len = 77};

        if (table[i].text == NULL) {
            assert_int_equal(si_sockaddr_parse(table[i].host, 7448, &addr), SOTTO_E_FORMAT);
            assert_int_equal(addr.len, 77);
            continue;
        }
        assert_int_equal(si_sockaddr_parse(table[i].host, 7448, &addr), SOTTO_OK);
        si_sockaddr_format(&addr, text, sizeof text);
        assert_string_equal(text, table[i].text);
        assert_int_equal(si_sockaddr_is_loopback(&addr), table[i].loopback);
        assert_int_equal(si_sockaddr_port(&addr), 7448);
    }
    si_sockaddr_format(&none, text, sizeof text);
    assert_string_equal(text, "?");
    assert_false(si_sockaddr_is_loopback(&none));
    assert_int_equal(si_sockaddr_port(&none), 0);
}

/* ---- Loop, timers, wakers ---- */

struct tick {
    struct si_timer *timer;
    int64_t at;
    int *order;
    int rank, calls;
    bool again_at_once, close;
};

static void on_tick(void *user)
{
    struct tick *tick = user;

    tick->calls++;
    assert_true(si_loop_now(loop) >= tick->at);
    assert_true(si_now() >= tick->at);
    if (tick->order != NULL)
        tick->rank = ++*tick->order;
    if (tick->again_at_once)
        si_timer_set(tick->timer, 0);
    if (tick->close)
        si_timer_close(tick->timer);
}

static void tick_set(struct tick *tick, int64_t at)
{
    if (tick->timer == NULL)
        assert_int_equal(si_timer_new(loop, on_tick, tick, &tick->timer), SOTTO_OK);
    tick->at = at;
    si_timer_set(tick->timer, at);
}

static void test_timer_order(void **state)
{
    struct tick late = {0}, early = {0}, passed = {0}, never = {0}, far = {0}, moved = {0};
    int order = 0;
    int64_t now = si_now();

    (void)state;
    late.order = early.order = passed.order = moved.order = &order;
    tick_set(&late, now + 30 * MS + 1);
    tick_set(&early, now + 10 * MS + 999999);
    tick_set(&moved, now + 500 * MS);
    tick_set(&moved, now + 20 * MS); /* earlier than before */
    tick_set(&passed, -5);
    tick_set(&never, INT64_MAX);
    tick_set(&far, INT64_MAX - 1);
    assert_int_equal(passed.calls, 0);
    run_until_count(&late.calls, 1);
    assert_int_equal(passed.rank, 1);
    assert_int_equal(early.rank, 2);
    assert_int_equal(moved.rank, 3);
    assert_int_equal(late.rank, 4);
    (void)run_for_ms(5);
    assert_int_equal(early.calls + passed.calls + moved.calls + late.calls, 4);
    assert_int_equal(never.calls + far.calls, 0);
    si_timer_close(late.timer);
    si_timer_close(early.timer);
    si_timer_close(moved.timer);
    si_timer_close(passed.timer);
    si_timer_close(never.timer);
    si_timer_close(far.timer);
    si_timer_close(NULL);
}

static void test_timer_lazy(void **state)
{
    struct tick tick = {0}, off = {0}, closing = {.close = true}, closed = {0};
    int64_t now = si_now();

    (void)state;
    tick_set(&off, now + 5 * MS);
    tick_set(&off, INT64_MAX);
    tick_set(&closed, now);
    si_timer_close(closed.timer);
    tick_set(&closing, now);
    tick_set(&tick, now + 5 * MS);
    for (int i = 1; i <= 10000; i++) /* on_tick() asserts that it is never early */
        tick_set(&tick, now + 20 * MS + i);
    run_until_count(&tick.calls, 1);
    assert_int_equal(off.calls + closed.calls, 0);
    tick_set(&off, si_now());
    run_until_count(&off.calls, 1);
    assert_int_equal(closing.calls, 1);
    si_timer_close(tick.timer);
    si_timer_close(off.timer);
}

/* A timer that sets itself again in its callback must leave the rest its turn. */
static void test_timer_starves_nobody(void **state)
{
    struct tick greedy = {.again_at_once = true};
    struct si_waker *other;
    bool woken = false;

    (void)state;
    assert_int_equal(si_waker_new(loop, set_flag, &woken, &other), SOTTO_OK);
    tick_set(&greedy, 0);
    si_waker_wake(other);
    run_until(&woken);
    run_until_count(&greedy.calls, 3);
    si_timer_close(greedy.timer);
    si_waker_close(other);
}

/* The turn in which a timer fires ends, though nothing else ever comes. */
static void test_turn_ends_after_timer(void **state)
{
    struct si_waker *other;
    struct tick tick = {0};
    bool woken = false;

    (void)state;
    assert_int_equal(si_waker_new(loop, set_flag, &woken, &other), SOTTO_OK);
    tick_set(&tick, 0);
    run_until_count(&tick.calls, 1);
    assert_false(woken);
    si_timer_close(tick.timer);
    si_waker_close(other);
}

static void stop_loop(void *user)
{
    ++*(int *)user;
    si_loop_stop(loop);
}

static void test_run_and_stop(void **state)
{
    struct si_waker *other;
    struct si_timer *timer;
    bool woken = false;
    int stops = 0;

    (void)state;
    assert_int_equal(si_waker_new(loop, set_flag, &woken, &other), SOTTO_OK);
    assert_int_equal(si_timer_new(loop, stop_loop, &stops, &timer), SOTTO_OK);
    for (int i = 1; i <= 3; i++) {
        si_timer_set(timer, si_loop_now(loop) + 1);
        si_loop_run(loop);
        assert_int_equal(stops, i);
    }
    si_timer_set(timer, si_now());
    si_timer_set(timer, INT64_MAX);
    si_waker_close(other);
    si_loop_run(loop); /* nothing can come any more: returns */
    assert_int_equal(stops, 3);
    si_timer_close(timer);
    si_loop_free(NULL);
}

static struct si_waker *waker;
static atomic_int produced;
static int wakes, seen;
static bool close_in_wake;

static void on_wake(void *user)
{
    (void)user;
    assert_non_null(waker);
    wakes++;
    seen = atomic_load(&produced);
    if (close_in_wake) {
        si_waker_close(waker);
        waker = NULL;
    }
}

static void *produce(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        (void)atomic_fetch_add(&produced, 1);
        si_waker_wake(waker);
    }
    return NULL;
}

static void test_waker_thread(void **state)
{
    pthread_t threads[4];

    (void)state;
    atomic_store(&produced, 0);
    wakes = seen = 0;
    assert_int_equal(si_waker_new(loop, on_wake, NULL, &waker), SOTTO_OK);
    for (size_t i = 0; i < SI_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, NULL), 0);
    run_until_count(&seen, 4000);
    for (size_t i = 0; i < SI_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(wakes >= 1 && wakes <= 4000);
    si_waker_close(waker);
    si_waker_close(NULL);
}

static void handle_signal(int number)
{
    (void)number;
    si_waker_wake(waker);
}

static void test_waker_signal(void **state)
{
    (void)state;
    wakes = 0;
    assert_int_equal(si_waker_new(loop, on_wake, NULL, &waker), SOTTO_OK);
    (void)signal(SIGUSR1, handle_signal);
    for (int i = 1; i <= 3; i++) {
        errno = 1234;
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(errno, 1234);
        assert_int_equal(wakes, i - 1);
        run_until_count(&wakes, i);
    }
    (void)signal(SIGUSR1, SIG_DFL);

    close_in_wake = true; /* the second wake-up must not come */
    si_waker_wake(waker);
    si_waker_wake(waker);
    run_until_count(&wakes, 4);
    (void)run_for_ms(2);
    close_in_wake = false;
    assert_int_equal(wakes, 4);

    assert_int_equal(si_waker_new(loop, on_wake, NULL, &waker), SOTTO_OK);
    si_waker_wake(waker);
    si_waker_close(waker); /* a wake-up on its way is forgotten */
    (void)run_for_ms(2);
    assert_int_equal(wakes, 4);
}

/* ---- Resolver ---- */

/* Names below .blocked wait until the test lets them go; "twice" has two addresses, one of them
 * twice. */
static sem_t lookup_began, lookup_may_end;
static atomic_int lookups_ended;

static struct addrinfo *new_info(const char *host, const char *port, struct addrinfo *next)
{
    struct addrinfo *info = calloc(1, sizeof *info);
    struct sockaddr_in *v4 = calloc(1, sizeof *v4);
    struct si_sockaddr addr;

    assert_int_equal(si_sockaddr_parse(host, (uint16_t)atoi(port), &addr), SOTTO_OK);
    memcpy(v4, addr.bytes, sizeof *v4);
    *info = (struct addrinfo){.ai_family = AF_INET,
                              .ai_addrlen = sizeof *v4,
                              .ai_addr = (struct sockaddr *)v4,
                              .ai_next = next};
    return info;
}

int getaddrinfo(const char *restrict host, const char *restrict port,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    (void)hints;
    if (strstr(host, ".blocked") != NULL) {
        (void)sem_post(&lookup_began);
        (void)sem_wait(&lookup_may_end);
        (void)atomic_fetch_add(&lookups_ended, 1);
        return EAI_AGAIN;
    }
    if (strcmp(host, "twice") == 0) {
        *out = new_info("127.0.0.2", port, NULL);
        *out = new_info("127.0.0.1", port, *out);
        *out = new_info("127.0.0.2", port, *out);
        return 0;
    }
    if (strcmp(host, "localhost") == 0) {
        *out = new_info("127.0.0.1", port, NULL);
        return 0;
    }
    return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;

        free(info->ai_addr);
        free(info);
        info = next;
    }
}

struct answer {
    struct si_resolve *resolve;
    int calls;
    size_t count;
    struct si_sockaddr first;
    bool close, closed;
};

static void on_answer(void *user, const struct si_sockaddr *addrs, size_t count, const char *why)
{
    struct answer *answer = user;

    assert_false(answer->closed);
    answer->calls++;
    answer->count = count;
    if (answer->close) {
        si_resolve_close(answer->resolve);
        answer->closed = true;
    }
    assert_true((count == 0) == (why != NULL)); /* after the close too, while in the callback */
    assert_true(why == NULL || strlen(why) > 0);
    if (count > 0)
        answer->first = addrs[0];
}

static void ask(struct answer *answer, const char *host)
{
    assert_int_equal(si_resolve_start(loop, host, 7448, on_answer, answer, &answer->resolve),
                     SOTTO_OK);
    assert_int_equal(answer->calls, 0);
}

static void test_resolve(void **state)
{
    static const struct {
        const char *host;
        size_t count;
        const char *first;
    } table[] = {
        {"127.0.0.1", 1, "127.0.0.1:7448"}, {"::1", 1, "[::1]:7448"},
        {"localhost", 1, "127.0.0.1:7448"}, {"twice", 2, "127.0.0.2:7448"},
        {"no.such.host.invalid", 0, NULL},  {"", 0, NULL},
    };
    char text[64], host[64];

    (void)state;
    for (size_t i = 0; i < 2 * SI_COUNT(table); i++) {
        size_t row = i / 2;
        struct answer answer = {.close = i % 2 == 1};

        (void)snprintf(host, sizeof host, "%s", table[row].host);
        ask(&answer, host);
        memset(host, '?', sizeof host); /* it was copied */
        run_until_count(&answer.calls, 1);
        assert_int_equal(answer.count, table[row].count);
        if (answer.count > 0) {
            si_sockaddr_format(&answer.first, text, sizeof text);
            assert_string_equal(text, table[row].first);
        }
        if (!answer.closed)
            si_resolve_close(answer.resolve);
    }
    si_resolve_close(NULL);
}

static void test_resolve_closed_early(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "no.such.host.invalid"};

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        struct answer answer = {0};

        ask(&answer, hosts[i % SI_COUNT(hosts)]);
        si_resolve_close(answer.resolve);
        answer.closed = true;
        if (i % 10 == 0)
            (void)run_for_ms(1);
        assert_int_equal(answer.calls, 0);
    }
}

/* Lookups that hang hold nobody up: not their close, not the loop's end; and they are bounded. */
static void test_resolve_hanging(void **state)
{
    enum { THREADS = 16, ALL = THREADS + 3 };
    struct answer hanging[ALL] = {{0}}, last = {0};

    (void)state;
    atomic_store(&lookups_ended, 0);
    assert_int_equal(sem_init(&lookup_began, 0, 0), 0);
    assert_int_equal(sem_init(&lookup_may_end, 0, 0), 0);
    for (int i = 0; i < ALL; i++)
        ask(&hanging[i], "very.blocked");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(sem_wait(&lookup_began), 0);
    assert_int_equal(sem_trywait(&lookup_began), -1); /* the rest waits its turn */
    ask(&last, "localhost");
    /* Out of the middle, the end and the beginning of the queue, then the ones that run. */
    si_resolve_close(hanging[THREADS + 1].resolve);
    si_resolve_close(last.resolve);
    si_resolve_close(hanging[THREADS + 2].resolve);
    for (int i = THREADS; i >= 0; i--)
        si_resolve_close(hanging[i].resolve);
    for (int i = 0; i < ALL; i++)
        hanging[i].closed = true;
    si_loop_free(loop);
    assert_int_equal(si_loop_new(&loop), SOTTO_OK);
    last = (struct answer){0};
    ask(&last, "localhost"); /* every thread hangs: it waits */
    (void)run_for_ms(5);
    assert_int_equal(last.calls, 0);
    for (int i = 0; i < THREADS; i++)
        (void)sem_post(&lookup_may_end);
    run_until_count(&last.calls, 1);
    assert_int_equal(last.count, 1);
    si_resolve_close(last.resolve);
    for (int turn = 0; atomic_load(&lookups_ended) < THREADS; turn++) {
        assert_true(turn < MAX_TURNS);
        (void)run_for_ms(1);
    }
}

static void test_resolve_now(void **state)
{
    struct si_sockaddr addrs[2];
    sotto_error error;
    size_t count = 9;
    char text[64];

    (void)state;
    assert_int_equal(si_resolve_now("twice", 80, addrs, 2, &count, &error), SOTTO_OK);
    assert_int_equal(count, 2);
    si_sockaddr_format(&addrs[1], text, sizeof text);
    assert_string_equal(text, "127.0.0.1:80");
    assert_int_equal(si_resolve_now("twice", 80, addrs, 1, &count, NULL), SOTTO_OK);
    assert_int_equal(count, 1);
    assert_int_equal(si_resolve_now("::1", 80, addrs, 2, &count, NULL), SOTTO_OK);
    assert_int_equal(count, 1);
    assert_int_equal(si_resolve_now("no.such.host.invalid", 80, addrs, 2, &count, &error),
                     SOTTO_E_RESOLVE);
    assert_int_equal(count, 0);
    assert_int_equal(error.stage, SOTTO_STAGE_RESOLVE);
    assert_string_equal(error.what, "cannot resolve no.such.host.invalid");
    assert_string_equal(error.why, "no such host");
}

static void test_no_memory(void **state)
{
    struct si_loop *another = loop;
    struct si_timer *timer = (struct si_timer *)loop;
    struct si_waker *other = (struct si_waker *)loop;
    struct answer answer = {0};

    (void)state;
    for (int i = 0; i < 2; i++) { /* the loop, its buffer */
        malloc_fail(i, false);
        assert_int_equal(si_loop_new(&another), SOTTO_E_NOMEM);
        assert_true(malloc_recover());
        assert_null(another);
    }
    malloc_fail(0, false);
    assert_int_equal(si_timer_new(loop, on_tick, NULL, &timer), SOTTO_E_NOMEM);
    assert_true(malloc_recover());
    assert_null(timer);
    malloc_fail(0, false);
    assert_int_equal(si_waker_new(loop, on_wake, NULL, &other), SOTTO_E_NOMEM);
    assert_true(malloc_recover());
    assert_null(other);
    for (int i = 0; i < 2; i++) { /* the request, its lookup */
        malloc_fail(i, false);
        assert_int_equal(
            si_resolve_start(loop, "localhost", 1, on_answer, &answer, &answer.resolve),
            SOTTO_E_NOMEM);
        assert_true(malloc_recover());
        assert_null(answer.resolve);
    }
    (void)run_for_ms(2);
    assert_int_equal(answer.calls, 0);
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(test_sockaddr),
        NET_TEST(test_timer_order),
        NET_TEST(test_timer_lazy),
        NET_TEST(test_timer_starves_nobody),
        NET_TEST(test_turn_ends_after_timer),
        NET_TEST(test_run_and_stop),
        NET_TEST(test_waker_thread),
        NET_TEST(test_waker_signal),
        NET_TEST(test_resolve),
        NET_TEST(test_resolve_closed_early),
        NET_TEST(test_resolve_hanging),
        NET_TEST(test_resolve_now),
        NET_TEST(test_no_memory),
    };

    return cmocka_run_group_tests(tests, warm_up, NULL);
}
