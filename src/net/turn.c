#include <stdlib.h>

#include "net/internal.h"

struct si_turn {
    uv_check_t uv;
    si_timer_fn *fn;
    void *user;
};

static void on_check(uv_check_t *uv)
{
    struct si_turn *turn = uv->data;

    turn->fn(turn->user);
}

sotto_err si_turn_new(struct si_loop *loop, si_timer_fn *fn, void *user, struct si_turn **out)
{
    struct si_turn *turn = calloc(1, sizeof *turn);

    *out = NULL;
    if (turn == NULL)
        return SOTTO_E_NOMEM;
    turn->uv.data = turn;
    turn->fn = fn;
    turn->user = user;
    (void)uv_check_init(&loop->uv, &turn->uv); /* neither can fail */
    (void)uv_check_start(&turn->uv, on_check);
    uv_unref((uv_handle_t *)&turn->uv); /* nothing to wait for */
    *out = turn;
    return SOTTO_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void si_turn_close(struct si_turn *turn)
{
    if (turn != NULL)
        uv_close((uv_handle_t *)&turn->uv, on_closed);
}
