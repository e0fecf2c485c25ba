#include <assert.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/internal.h"

enum { DESCRIPTORS_NEEDED = 8 };

sotto_err si_net_err(int uv_status)
{
    if (uv_status == 0)
        return SOTTO_OK;
    return uv_status == UV_ENOMEM ? SOTTO_E_NOMEM : SOTTO_E_SYSTEM;
}

/* libuv's first loop in a process aborts when it finds no descriptors for itself; so look before.
 * Another thread may take them in between. */
static bool descriptors_left(void)
{
    int fds[DESCRIPTORS_NEEDED];
    int count = 0;

    while (count < DESCRIPTORS_NEEDED && (fds[count] = eventfd(0, EFD_CLOEXEC)) >= 0)
        count++;
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
    return count == DESCRIPTORS_NEEDED;
}

sotto_err si_loop_new(struct si_loop **out)
{
    struct si_loop *loop = calloc(1, sizeof *loop);
    sotto_err err = SOTTO_E_NOMEM;

    *out = NULL;
    if (loop == NULL)
        return SOTTO_E_NOMEM;
    if (!descriptors_left()) {
        free(loop);
        return SOTTO_E_SYSTEM;
    }
    /* Zeroed: the padding behind a read is looked at, though never used. */
    loop->read_buf = calloc(1, SI_STREAM_READ_SIZE + SI_STREAM_PADDING);
    if (loop->read_buf == NULL)
        goto fail;
    err = si_net_err(uv_loop_init(&loop->uv));
    if (err != SOTTO_OK)
        goto fail;
    *out = loop;
    return SOTTO_OK;

fail:
    free(loop->read_buf);
    free(loop);
    return err;
}

static void count_open(uv_handle_t *handle, void *count)
{
    if (!uv_is_closing(handle))
        ++*(int *)count;
}

void si_loop_free(struct si_loop *loop)
{
    int open = 0;
    int err;

    if (loop == NULL)
        return;
    uv_walk(&loop->uv, count_open, &open);
    assert(open == 0 && "close everything of a loop before the loop");
    if (open > 0)
        return; /* without assertions: a leak is better than waiting for ever */

    /* Only closing handles are left, so it never waits.  A stop that came too late ends one run. */
    while (uv_loop_alive(&loop->uv))
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    err = uv_loop_close(&loop->uv);
    assert(err == 0);
    (void)err;
    /* Messages were decrypted in place. */
    si_wipe(loop->read_buf, SI_STREAM_READ_SIZE + SI_STREAM_PADDING);
    free(loop->read_buf);
    free(loop);
}

void si_loop_run_once(struct si_loop *loop)
{
    loop->one_turn = true;
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
    loop->one_turn = false;
}

void si_loop_run(struct si_loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void si_loop_stop(struct si_loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t si_now(void)
{
    return (int64_t)uv_hrtime();
}

int64_t si_loop_now(const struct si_loop *loop)
{
    return (int64_t)uv_now(&loop->uv) * 1000000;
}
