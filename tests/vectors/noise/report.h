/*
 * report.h: what became of the vectors of a file, and what was wrong with one of them.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "sotto/error.h"

/* ---- One vector ------------------------------------------------------------------------------ */

/* The first thing that was wrong; empty: nothing so far. */
struct trouble {
    char text[512];
};

/* Note what is wrong, unless something was before.  Always false, to be returned. */
bool wrong(struct trouble *trouble, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is it as it should be?  WHAT names it in the trouble that is noted if not. */
bool same_bytes(struct trouble *trouble, const char *what, struct si_span is, struct si_span want);
bool same_err(struct trouble *trouble, const char *what, sotto_err is, sotto_err want);
bool same_number(struct trouble *trouble, const char *what, uint64_t is, uint64_t want);

/* ---- One file -------------------------------------------------------------------------------- */

enum { REASONS_MAX = 8, REASON_SIZE = 256 };

/* vectors == passed + failed + not_applicable */
struct report {
    const char *file;
    unsigned vectors, passed, failed, not_applicable;
    struct {
        char text[REASON_SIZE];
        unsigned count;
    } reasons[REASONS_MAX]; /* why not applicable; the last one takes what finds no place */
    const char *note;       /* how something was checked, or NULL */
};

/* A vector, named LABEL, has run: it passed if there was no trouble. */
void report_ran(struct report *report, const char *label, const struct trouble *trouble);

/* A vector that asks for something else than we claim to be. */
void report_not_applicable(struct report *report, const char *why);

/* One line of the table, and below it what there is to say. */
void report_print_head(void);
void report_print(const struct report *report);

#endif
