#include <stdlib.h>

#include "net/lookup.h"

struct si_resolve {
    uv_async_t uv; /* sent when the result is there */
    si_resolve_fn *done;
    void *user;
    struct si_lookup *lookup; /* while it runs; NULL for a numeric host */
    struct si_lookup_result result;
};

static void on_result(uv_async_t *uv)
{
    struct si_resolve *resolve = uv->data;
    const struct si_lookup_result *result = &resolve->result;

    if (resolve->lookup != NULL)
        si_lookup_take(resolve->lookup, &resolve->result);
    resolve->lookup = NULL;
    resolve->done(resolve->user, result->addrs, result->count,
                  result->count == 0 ? result->why : NULL);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

sotto_err si_resolve_start(struct si_loop *loop, const char *host, uint16_t port,
                           si_resolve_fn *done, void *user, struct si_resolve **out)
{
    struct si_resolve *resolve = calloc(1, sizeof *resolve);
    sotto_err err;
    int status;

    *out = NULL;
    if (resolve == NULL)
        return SOTTO_E_NOMEM;
    resolve->uv.data = resolve;
    resolve->done = done;
    resolve->user = user;
    status = uv_async_init(&loop->uv, &resolve->uv, on_result);
    if (status != 0) {
        free(resolve);
        return si_net_err(status);
    }

    if (si_sockaddr_parse(host, port, &resolve->result.addrs[0]) == SOTTO_OK) {
        resolve->result.count = 1;
        (void)uv_async_send(&resolve->uv);
    } else {
        err = si_lookup_start(host, port, &resolve->uv, &resolve->lookup);
        if (err != SOTTO_OK) {
            si_resolve_close(resolve);
            return err;
        }
    }
    *out = resolve;
    return SOTTO_OK;
}

void si_resolve_close(struct si_resolve *resolve)
{
    if (resolve == NULL)
        return;
    if (resolve->lookup != NULL)
        si_lookup_abandon(resolve->lookup);
    uv_close((uv_handle_t *)&resolve->uv, on_closed);
}

sotto_err si_resolve_now(const char *host, uint16_t port, struct si_sockaddr *addrs, size_t max,
                         size_t *count, sotto_error *error)
{
    struct si_lookup_result result;

    si_lookup_now(host, port, &result);
    *count = result.count < max ? result.count : max;
    if (*count == 0) {
        (void)si_error(error, SOTTO_E_RESOLVE, "cannot resolve %s", host);
        si_error_why(error, "%s", result.why);
        si_error_hint(error, "check the spelling, or give a numeric address");
        si_error_stage(error, SOTTO_STAGE_RESOLVE);
        return SOTTO_E_RESOLVE;
    }
    memcpy(addrs, result.addrs, *count * sizeof addrs[0]);
    return SOTTO_OK;
}
