#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "report.h"

/* ---- One vector ------------------------------------------------------------------------------ */

bool wrong(struct trouble *trouble, const char *format, ...)
{
    va_list arguments;

    if (trouble->text[0] != '\0')
        return false;
    va_start(arguments, format);
    (void)vsnprintf(trouble->text, sizeof trouble->text, format, arguments);
    va_end(arguments);
    return false;
}

bool same_bytes(struct trouble *trouble, const char *what, struct si_span is, struct si_span want)
{
    size_t at = 0, shorter = is.len < want.len ? is.len : want.len;

    while (at < shorter && is.ptr[at] == want.ptr[at])
        at++;
    if (at == is.len && at == want.len)
        return true;
    return wrong(trouble, "%s: %zu bytes, should be %zu, and differ from byte %zu on", what, is.len,
                 want.len, at);
}

bool same_err(struct trouble *trouble, const char *what, sotto_err is, sotto_err want)
{
    return is == want ||
           wrong(trouble, "%s: %s, should be %s", what, sotto_err_name(is), sotto_err_name(want));
}

bool same_number(struct trouble *trouble, const char *what, uint64_t is, uint64_t want)
{
    return is == want || wrong(trouble, "%s: %" PRIu64 ", should be %" PRIu64, what, is, want);
}

/* ---- One file -------------------------------------------------------------------------------- */

void report_ran(struct report *report, const char *label, const struct trouble *trouble)
{
    enum { SHOWN_MAX = 10 }; /* of a file; the rest is counted only */

    report->vectors++;
    if (trouble->text[0] == '\0') {
        report->passed++;
        return;
    }
    report->failed++;
    if (report->failed <= SHOWN_MAX)
        (void)fprintf(stderr, "%s, vector %u, %s: %s\n", report->file, report->vectors, label,
                      trouble->text);
}

void report_not_applicable(struct report *report, const char *why)
{
    size_t i = 0;

    report->vectors++;
    report->not_applicable++;
    while (i < REASONS_MAX - 1 && report->reasons[i].count > 0 &&
           strcmp(report->reasons[i].text, why) != 0)
        i++;
    if (i == REASONS_MAX - 1)
        why = "other reasons";
    (void)snprintf(report->reasons[i].text, REASON_SIZE, "%s", why);
    report->reasons[i].count++;
}

void report_print_head(void)
{
    printf("%-40s %8s %8s %8s %8s %15s\n", "file", "vectors", "ran", "passed", "failed",
           "not applicable");
}

void report_print(const struct report *report)
{
    printf("%-40s %8u %8u %8u %8u %15u\n", report->file, report->vectors,
           report->passed + report->failed, report->passed, report->failed, report->not_applicable);
    for (size_t i = 0; i < REASONS_MAX && report->reasons[i].count > 0; i++)
        printf("    %u not applicable: %s\n", report->reasons[i].count, report->reasons[i].text);
    if (report->note != NULL)
        printf("    %s\n", report->note);
}
