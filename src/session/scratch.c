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
        si_buf_free(&scratch->spare[i]);
    memset(scratch, 0, sizeof *scratch);
}

void si_scratch_take(struct si_scratch *scratch, struct si_buf *b)
{
    if (scratch == NULL || b->ptr != NULL)
        return;
    for (size_t i = 0; i < SI_SPARES; i++) {
        struct si_buf *spare = &scratch->spare[i];

        if (spare->ptr != NULL && spare->cap <= b->max) {
            b->ptr = spare->ptr;
            b->cap = spare->cap;
            *spare = si_buf(SI_SPARE_MAX); /* transferred */
            return;
        }
    }
}

void si_scratch_give(struct si_scratch *scratch, struct si_buf *b)
{
    for (size_t i = 0; scratch != NULL && b->ptr != NULL && i < SI_SPARES; i++) {
        struct si_buf *spare = &scratch->spare[i];

        if (spare->ptr == NULL && b->cap <= SI_SPARE_MAX) {
            si_wipe(b->ptr, b->len);
            *spare = (struct si_buf){b->ptr, 0, b->cap, SI_SPARE_MAX};
            *b = si_buf(b->max); /* transferred */
            return;
        }
    }
    si_buf_free(b);
}
