#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sotto_strerror(sotto_err code)
{
    switch (code) {
#define SOTTO_X(name, value, text)                                                                 \
    case SOTTO_##name:                                                                             \
        return text;
        SOTTO_ERRORS(SOTTO_X)
#undef SOTTO_X
    }
    return "unknown error";
}

const char *sotto_err_name(sotto_err code)
{
    switch (code) {
#define SOTTO_X(name, value, text)                                                                 \
    case SOTTO_##name:                                                                             \
        return #name;
        SOTTO_ERRORS(SOTTO_X)
#undef SOTTO_X
    }
    return "E_UNKNOWN";
}

const char *sotto_stage_name(sotto_stage stage)
{
    static const char *const names[] = {"",      "resolve", "connect", "bootstrap",
                                        "trust", "psk",     "session", "call"};

    return (size_t)stage < sizeof names / sizeof names[0] ? names[stage] : "";
}

/* Control characters, C1 in UTF-8 (C2 80..9F) included, become '?'; a cut-off sequence at the end
 * of a full buffer is dropped, so the text stays UTF-8 if it was. */
static void make_harmless(char *text)
{
    size_t len = strlen(text), tail = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c == 0x7f)
            text[i] = '?';
        if (c == 0xc2 && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] < 0xa0)
            text[i] = text[i + 1] = '?';
    }
    while (tail < 3 && tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (len > tail) {
        unsigned char lead = (unsigned char)text[len - 1 - tail];
        size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

        if (want > tail)
            text[len - 1 - tail] = '\0';
    }
}

static void put(char *field, size_t cap, const char *fmt, va_list args)
{
    (void)vsnprintf(field, cap, fmt, args);
    make_harmless(field);
}

sotto_err si_error(sotto_error *e, sotto_err code, const char *what, ...)
{
    va_list args;

    if (e == NULL)
        return code;
    memset(e, 0, sizeof *e);
    e->code = code;
    va_start(args, what);
    put(e->what, sizeof e->what, what, args);
    va_end(args);
    return code;
}

void si_error_why(sotto_error *e, const char *fmt, ...)
{
    va_list args;

    if (e == NULL)
        return;
    va_start(args, fmt);
    put(e->why, sizeof e->why, fmt, args);
    va_end(args);
}

void si_error_hint(sotto_error *e, const char *fmt, ...)
{
    va_list args;

    if (e == NULL)
        return;
    va_start(args, fmt);
    put(e->hint, sizeof e->hint, fmt, args);
    va_end(args);
}

void si_error_errno(sotto_error *e, int sys_errno)
{
    char text[128];

    if (e == NULL)
        return;
    e->sys_errno = sys_errno;
    si_error_why(e, "%s", strerror_r(sys_errno, text, sizeof text)); /* the GNU one */
}

void si_error_stage(sotto_error *e, sotto_stage stage)
{
    if (e != NULL)
        e->stage = stage;
}
