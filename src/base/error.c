#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

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

static void put(char *field, size_t cap, const char *fmt, va_list args)
{
    char text[1024];
    int len = vsnprintf(text, sizeof text, fmt, args);

    if (len < 0)
        len = 0;
    si_text_copy(field, cap,
                 si_span(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1));
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
