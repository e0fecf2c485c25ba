#include "session/scratch.h"

sotto_err si_scratch_init(struct si_scratch *scratch)
{
    memset(scratch, 0, sizeof *scratch);
    return si_json_new(&scratch->json);
}

static size_t spare_count(const struct si_scratch *scratch)
{
    return scratch->small + scratch->large;
}

void si_scratch_wipe(struct si_scratch *scratch)
{
    si_json_free(scratch->json);
    for (size_t i = 0; i < spare_count(scratch); i++)
        si_buf_free(&scratch->spare[i].buf);
    memset(scratch, 0, sizeof *scratch);
}

static bool is_large(const struct si_buf *b)
{
    return b->cap > SI_SPARE_MAX;
}

/* How many spares hold less than CAP bytes. */
static size_t smaller_than(const struct si_scratch *scratch, size_t cap)
{
    size_t from = 0, to = spare_count(scratch);

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (scratch->spare[middle].buf.cap < cap)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void count(struct si_scratch *scratch, const struct si_buf *b, bool added)
{
    size_t one = added ? 1 : (size_t)-1; /* modulo 2^64 */

    if (is_large(b)) {
        scratch->large += one;
    } else {
        scratch->small += one;
        scratch->small_bytes += one * b->cap;
    }
}

static struct si_buf take_out(struct si_scratch *scratch, size_t i)
{
    struct si_buf buf = scratch->spare[i].buf;

    memmove(&scratch->spare[i], &scratch->spare[i + 1],
            (spare_count(scratch) - i - 1) * sizeof scratch->spare[0]);
    count(scratch, &buf, false);
    return buf;
}

void si_scratch_take(struct si_scratch *scratch, struct si_buf *b, size_t len)
{
    struct si_buf spare;
    size_t behind, fit;

    if (scratch == NULL || b->ptr != NULL)
        return;
    /* Those that B may have end here. */
    behind = len > SI_SPARE_MAX ? spare_count(scratch) : scratch->small;
    while (behind > 0 && scratch->spare[behind - 1].buf.cap > b->max)
        behind--;
    if (behind == 0)
        return;
    fit = smaller_than(scratch, len);
    if (fit < behind) /* the last of those that are as large */
        behind = smaller_than(scratch, scratch->spare[fit].buf.cap + 1);
    spare = take_out(scratch, behind - 1);
    b->ptr = spare.ptr;
    b->cap = spare.cap;
}

static bool has_place(const struct si_scratch *scratch, const struct si_buf *b)
{
    if (is_large(b))
        return scratch->large < SI_LARGE_SPARES;
    return scratch->small < SI_SPARES && scratch->small_bytes + b->cap <= SI_SPARE_BYTES;
}

void si_scratch_give(struct si_scratch *scratch, struct si_buf *b)
{
    size_t i;

    if (scratch == NULL || b->ptr == NULL || !has_place(scratch, b)) {
        si_buf_free(b);
        return;
    }
    si_wipe(b->ptr, b->len);
    i = smaller_than(scratch, b->cap + 1);
    memmove(&scratch->spare[i + 1], &scratch->spare[i],
            (spare_count(scratch) - i) * sizeof scratch->spare[0]);
    scratch->spare[i] = (struct si_spare){{b->ptr, 0, b->cap, b->cap}, true};
    count(scratch, b, true);
    *b = si_buf(b->max); /* transferred */
}

void si_scratch_trim(struct si_scratch *scratch, bool all)
{
    for (size_t i = spare_count(scratch); i > scratch->small; i--) {
        struct si_spare *spare = &scratch->spare[i - 1];

        if (spare->used && !all) {
            spare->used = false;
        } else {
            struct si_buf buf = take_out(scratch, i - 1);

            si_buf_free(&buf);
        }
    }
}
