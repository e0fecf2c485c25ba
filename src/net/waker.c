#include <errno.h>
#include <stdlib.h>

#include "net/internal.h"

struct si_waker {
    uv_async_t uv;
    si_timer_fn *fn;
    void *user;
};

static void on_wake(uv_async_t *uv)
{
    struct si_waker *waker = uv->data;

    waker->fn(waker->user);
}

sotto_err si_waker_new(struct si_loop *loop, si_timer_fn *fn, void *user, struct si_waker **out)
{
    struct si_waker *waker = calloc(1, sizeof *waker);
    int status;

    *out = NULL;
    if (waker == NULL)
        return SOTTO_E_NOMEM;
    waker->uv.data = waker;
    waker->fn = fn;
    waker->user = user;
    status = uv_async_init(&loop->uv, &waker->uv, on_wake);
    if (status != 0) {
        free(waker);
        return si_net_err(status);
    }
    *out = waker;
    return SOTTO_OK;
}

void si_waker_wake(struct si_waker *waker)
{
    int kept = errno; /* of the code that a signal interrupted */

    (void)uv_async_send(&waker->uv);
    errno = kept;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void si_waker_close(struct si_waker *waker)
{
    if (waker != NULL)
        uv_close((uv_handle_t *)&waker->uv, on_closed);
}
