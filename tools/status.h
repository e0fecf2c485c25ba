/*
 * status.h: the exit statuses of the command, all of them, and who gets which.
 *
 * They are listed in every --help and in sotto(1), and never change their meaning.
 */
#ifndef STATUS_H
#define STATUS_H

#include <stdio.h>

#include <sotto/error.h>

enum status {
    STATUS_OK = 0,
    STATUS_UNEXPECTED = 1,
    STATUS_USAGE = 2,
    STATUS_CALL = 3,
    STATUS_DEADLINE = 4,
    STATUS_UNREACHABLE = 5,
    STATUS_TRUST = 6,
    STATUS_HANDSHAKE = 7,
    STATUS_DENIED = 8,
    STATUS_NOT_FOUND = 9,
    STATUS_PROTOCOL = 10,
    STATUS_UNAVAILABLE = 11,
    STATUS_LOCAL = 12,
    STATUS_INTERRUPTED = 130
};

/* The status for an error of the library. */
int status_of(sotto_err err);

/* The same for a failed call whose answer had the error CODE of the server, or NULL. */
int status_of_call(sotto_err err, const char *code);

/* The table, a line each, for --help. */
void status_print(FILE *out);

#endif
