#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "status.h"

/* What comes from the command line or from a file must not steer the terminal: control
 * characters, C1 in UTF-8 included, become '?'. */
static void make_harmless(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
        else if (*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
}

static void put(char *field, size_t size, const char *format, va_list args)
{
    (void)vsnprintf(field, size, format, args);
    make_harmless(field);
}

void error_what(sotto_error *error, sotto_err code, const char *format, ...)
{
    va_list args;

    memset(error, 0, sizeof *error);
    error->code = code;
    va_start(args, format);
    put(error->what, sizeof error->what, format, args);
    va_end(args);
}

void error_why(sotto_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(error->why, sizeof error->why, format, args);
    va_end(args);
}

void error_hint(sotto_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(error->hint, sizeof error->hint, format, args);
    va_end(args);
}

int report_as(const sotto_error *error, int status)
{
    const char *what = error->what[0] != '\0' ? error->what : sotto_strerror(error->code);

    /* Standard output first, so that the lines of both stand in the order in which they
     * happened. */
    (void)fflush(stdout);
    (void)fprintf(stderr, "sotto: %s", what);
    if (error->why[0] != '\0')
        (void)fprintf(stderr, "\n  %s", error->why);
    if (error->hint[0] != '\0')
        (void)fprintf(stderr, "\n  try: %s", error->hint);
    (void)fprintf(stderr, "  [%s, exit %d]\n", sotto_err_name(error->code), status);
    return status;
}

int report(const sotto_error *error)
{
    return report_as(error, status_of(error->code));
}

int usage_error(const struct command *command, const char *format, ...)
{
    sotto_error error;
    char why[sizeof error.why];
    va_list args;

    va_start(args, format);
    put(why, sizeof why, format, args);
    va_end(args);
    error_what(&error, SOTTO_E_USAGE, "wrong usage%s%s", command == NULL ? "" : " of sotto ",
               command == NULL ? "" : command->name);
    error_why(&error, "%s", why);
    error_hint(&error, "sotto %s%s--help", command == NULL ? "" : command->name,
               command == NULL ? "" : " ");
    return report(&error);
}

void note(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    put(text, sizeof text, format, args);
    va_end(args);
    /* One call, so that lines of several threads do not mix. */
    (void)fprintf(stderr, "sotto: %s\n", text);
}

int finish_output(int status)
{
    sotto_error error;

    errno = 0;
    /* ferror() as well: an earlier write may have failed with the buffer empty now. */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    error_what(&error, SOTTO_E_FILE, "cannot write to standard output");
    error_why(&error, "%s", errno != 0 ? strerror(errno) : "an earlier write failed");
    /* Said once: main() looks again. */
    clearerr(stdout);
    return status == STATUS_OK ? report_as(&error, STATUS_UNEXPECTED) : status;
}

void format_us(int64_t us, char *out)
{
    if (us < 1000000)
        (void)snprintf(out, 32, "%.2f ms", (double)us / 1e3);
    else
        (void)snprintf(out, 32, "%.2f s", (double)us / 1e6);
}
