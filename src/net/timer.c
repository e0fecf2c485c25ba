#include <stdlib.h>

#include "net/internal.h"

/*
 * Deadlines of a connection are moved with every message, nearly always to later.  So a later time
 * is only noted: libuv's timer fires at the old one, finds that it is not due and is armed for the
 * rest.
 *
 * Invariant: armed <= at, or libuv's timer is not running and armed is INT64_MAX.
 */
struct si_timer {
    uv_timer_t uv;
    struct si_loop *loop;
    si_timer_fn *fn;
    void *user;
    int64_t at;    /* when to call fn */
    int64_t armed; /* when libuv wakes us */
};

enum { NS_PER_MS = 1000000 };

sotto_err si_timer_new(struct si_loop *loop, si_timer_fn *fn, void *user, struct si_timer **out)
{
    struct si_timer *timer = calloc(1, sizeof *timer);

    *out = NULL;
    if (timer == NULL)
        return SOTTO_E_NOMEM;
    (void)uv_timer_init(&loop->uv, &timer->uv); /* cannot fail */
    timer->uv.data = timer;
    timer->loop = loop;
    timer->fn = fn;
    timer->user = user;
    timer->at = timer->armed = INT64_MAX;
    *out = timer;
    return SOTTO_OK;
}

static void on_fire(uv_timer_t *uv);

static void arm(struct si_timer *timer)
{
    /* Rounded up, so that it is never early; AT below INT64_MAX leaves room for the rounding. */
    int64_t at_ms = timer->at <= 0 ? 0 : timer->at / NS_PER_MS + (timer->at % NS_PER_MS != 0);
    int64_t now_ms = (int64_t)uv_now(&timer->loop->uv);
    int64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;

    /* libuv 1.44 goes on until no timer is due: timers that set themselves again at once would
     * keep everything else from happening. */
    if (wait_ms == 0 && timer->loop->in_timer)
        wait_ms = 1;
    timer->armed = timer->at;
    (void)uv_timer_start(&timer->uv, on_fire, (uint64_t)wait_ms, 0);
}

static void on_fire(uv_timer_t *uv)
{
    struct si_timer *timer = uv->data;
    struct si_loop *loop = timer->loop;

    timer->armed = INT64_MAX;
    if (timer->at == INT64_MAX)
        return;
    if (timer->at > si_loop_now(loop)) {
        arm(timer);
        return;
    }
    timer->at = INT64_MAX;
    loop->in_timer = true;
    timer->fn(timer->user);
    loop->in_timer = false;
    /* In one turn libuv 1.44 would now wait for the next event as if nothing had happened. */
    if (loop->one_turn)
        uv_stop(&loop->uv);
}

void si_timer_set(struct si_timer *timer, int64_t at)
{
    timer->at = at;
    if (at < timer->armed)
        arm(timer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void si_timer_close(struct si_timer *timer)
{
    if (timer != NULL)
        uv_close((uv_handle_t *)&timer->uv, on_closed);
}
