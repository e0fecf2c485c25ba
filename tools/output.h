/*
 * output.h: how the command says what went wrong.
 *
 * Three lines at most: what failed, why, and what to do; the error's name and the exit status stand
 * at the end of the last one.  Results go to standard output, everything else to standard error.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include <sotto/error.h>

#include "command.h"

/* Fill an error of the command's own.  The WHY and the HINT are added after it. */
__attribute__((format(printf, 3, 4))) void error_what(sotto_error *error, sotto_err code,
                                                      const char *format, ...);
__attribute__((format(printf, 2, 3))) void error_why(sotto_error *error, const char *format, ...);
__attribute__((format(printf, 2, 3))) void error_hint(sotto_error *error, const char *format, ...);

/* Print ERROR and return STATUS, or (report) the status that belongs to its code. */
int report_as(const sotto_error *error, int status);
int report(const sotto_error *error);

/* A wrong command line: print it and return the status.  COMMAND may be NULL: the usage of all
 * of them is pointed at. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct command *command,
                                                      const char *format, ...);

/* One line on standard error: "sotto: …". */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);

/* Flush standard output.  Returns STATUS, or, when something could not be written, prints that
 * and returns STATUS_UNEXPECTED. */
int finish_output(int status);

/* A time in microseconds for people, "0.42 ms": OUT has at least 32 bytes. */
void format_us(int64_t us, char *out);

#endif
