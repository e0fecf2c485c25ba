/*
 * base/error.h: filling a sotto_error.
 *
 * Every function takes a NULL error and then does nothing.  Arguments may be text of a peer or of a
 * file: control characters (C0, DEL, C1) are shown as '?', so that a terminal is never steered.
 */
#ifndef SI_BASE_ERROR_H
#define SI_BASE_ERROR_H

#include "sotto/error.h"

/* Begin a new error: everything is cleared, code and `what` are set.  Returns code, so that a
 * function can end with `return si_error(e, …)`. */
sotto_err si_error(sotto_error *e, sotto_err code, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

/* Add the cause, and what to do. */
void si_error_why(sotto_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void si_error_hint(sotto_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Add errno's text as the cause, and keep the number. */
void si_error_errno(sotto_error *e, int sys_errno);

void si_error_stage(sotto_error *e, sotto_stage stage);

#endif
