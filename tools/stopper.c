#include "stopper.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "exec.h"
#include "status.h"

/* What stopper_free() wakes its own thread with. */
enum { WAKE = SIGUSR1 };

struct stopper {
    sotto_server *server;
    struct exec_pool *pool;
    uint32_t drain_ms;
    pthread_t thread;
    _Atomic int64_t deadline_ns;
    atomic_bool done;
};

static void choose_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, WAKE);
}

void stopper_block_signals(void)
{
    sigset_t signals;

    choose_signals(&signals);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void stop(struct stopper *stopper)
{
    if (atomic_load(&stopper->deadline_ns) != 0) {
        exec_pool_kill(stopper->pool);
        _exit(STATUS_INTERRUPTED);
    }
    atomic_store(&stopper->deadline_ns, monotonic_ns() + (int64_t)stopper->drain_ms * 1000000);
    sotto_server_drain(stopper->server, stopper->drain_ms);
}

static void *listen_for_signals(void *user)
{
    struct stopper *stopper = user;
    sigset_t signals;

    choose_signals(&signals);
    for (;;) {
        int signal_number = 0;

        if (sigwait(&signals, &signal_number) != 0)
            continue;
        if (signal_number != WAKE)
            stop(stopper);
        else if (atomic_load(&stopper->done))
            return NULL;
    }
}

sotto_err stopper_new(sotto_server *server, struct exec_pool *pool, uint32_t drain_ms,
                      struct stopper **out)
{
    struct stopper *stopper = calloc(1, sizeof *stopper);

    *out = NULL;
    if (stopper == NULL)
        return SOTTO_E_NOMEM;
    stopper->server = server;
    stopper->pool = pool;
    stopper->drain_ms = drain_ms;
    if (pthread_create(&stopper->thread, NULL, listen_for_signals, stopper) != 0) {
        free(stopper);
        return SOTTO_E_SYSTEM;
    }
    *out = stopper;
    return SOTTO_OK;
}

int64_t stopper_deadline_ns(struct stopper *stopper)
{
    return atomic_load(&stopper->deadline_ns);
}

void stopper_free(struct stopper *stopper)
{
    if (stopper == NULL)
        return;
    atomic_store(&stopper->done, true);
    (void)pthread_kill(stopper->thread, WAKE);
    (void)pthread_join(stopper->thread, NULL);
    free(stopper);
}
