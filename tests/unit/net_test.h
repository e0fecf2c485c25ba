/*
 * net_test.h: one loop for each test, and ways to run it that end.
 *
 * Every wait is bounded in turns, and a silent hang ends by alarm().  After each test the loop must
 * be free of everything and the process have the descriptors that it had before; so a test that
 * fails half-way aborts there, and CMOCKA_TEST_ABORT=1 shows where it failed.
 */
#ifndef NET_TEST_H
#define NET_TEST_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/net.h"

enum { MAX_TURNS = 200000, WATCHDOG_S = 100, MS = 1000000 };

static struct si_loop *loop;

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int fds_before;

/* libuv opens two descriptors with the first loop of a process and keeps them. */
static int warm_up(void **state)
{
    (void)state;
    if (si_loop_new(&loop) != SOTTO_OK)
        return -1;
    si_loop_free(loop);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    (void)alarm(WATCHDOG_S);
    (void)signal(SIGPIPE, SIG_DFL);
    fds_before = count_fds();
    return si_loop_new(&loop) == SOTTO_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    si_loop_free(loop);
    assert_int_equal(count_fds(), fds_before);
    return 0;
}

static void run_until(const bool *done)
{
    for (int turn = 0; !*done; turn++) {
        assert_true(turn < MAX_TURNS);
        si_loop_run_once(loop);
    }
}

static void run_until_count(const int *count, int wanted)
{
    for (int turn = 0; *count < wanted; turn++) {
        assert_true(turn < MAX_TURNS);
        si_loop_run_once(loop);
    }
}

static void set_flag(void *flag)
{
    *(bool *)flag = true;
}

/* Run for TIME: callbacks that must not come have that long.  Returns the number of turns. */
static int run_for_ms(int64_t time)
{
    struct si_timer *timer;
    bool done = false;
    int turns = 0;

    assert_int_equal(si_timer_new(loop, set_flag, &done, &timer), SOTTO_OK);
    si_timer_set(timer, si_now() + time * MS);
    while (!done) {
        si_loop_run_once(loop);
        turns++;
    }
    si_timer_close(timer);
    return turns;
}

#endif
