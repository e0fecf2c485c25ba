#include "session/scratch.h"

sotto_err si_scratch_init(struct si_scratch *scratch)
{
    memset(scratch, 0, sizeof *scratch);
    return si_json_new(&scratch->json);
}

void si_scratch_wipe(struct si_scratch *scratch)
{
    si_json_free(scratch->json);
    for (size_t i = 0; i < SI_SPARES; i++)
        si_buf_free(&scratch->spare[i].buf);
    memset(scratch, 0, sizeof *scratch);
}

/* Does a buffer of LEN bytes rather want the spare A than B? */
static bool is_better(const struct si_buf *a, const struct si_buf *b, size_t len)
{
    if (a->cap >= len && b->cap >= len)
        return a->cap < b->cap;
    return a->cap > b->cap;
}

void si_scratch_take(struct si_scratch *scratch, struct si_buf *b, size_t len)
{
    struct si_spare *best = NULL;

    if (scratch == NULL || b->ptr != NULL)
        return;
    for (size_t i = 0; i < SI_SPARES; i++) {
        struct si_spare *spare = &scratch->spare[i];

        if (spare->buf.ptr != NULL && spare->buf.cap <= b->max &&
            (spare->buf.cap <= SI_SPARE_MAX || len > SI_SPARE_MAX) &&
            (best == NULL || is_better(&spare->buf, &best->buf, len)))
            best = spare;
    }
    if (best == NULL)
        return;
    b->ptr = best->buf.ptr;
    b->cap = best->buf.cap;
    best->buf = si_buf(0); /* transferred */
}

void si_scratch_give(struct si_scratch *scratch, struct si_buf *b)
{
    for (size_t i = 0; scratch != NULL && b->ptr != NULL && i < SI_SPARES; i++) {
        struct si_spare *spare = &scratch->spare[i];

        if (spare->buf.ptr == NULL) {
            si_wipe(b->ptr, b->len);
            spare->buf = (struct si_buf){b->ptr, 0, b->cap, b->cap};
            spare->used = true;
            scratch->large = scratch->large || b->cap > SI_SPARE_MAX;
            *b = si_buf(b->max); /* transferred */
            return;
        }
    }
    si_buf_free(b);
}

void si_scratch_trim(struct si_scratch *scratch, bool all)
{
    scratch->large = false;
    for (size_t i = 0; i < SI_SPARES; i++) {
        struct si_spare *spare = &scratch->spare[i];

        if (spare->buf.cap <= SI_SPARE_MAX)
            continue;
        if (spare->used && !all) {
            spare->used = false;
            scratch->large = true;
        } else {
            si_buf_free(&spare->buf);
        }
    }
}
