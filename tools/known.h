/*
 * known.h: which file of known servers, and which server.
 */
#ifndef KNOWN_H
#define KNOWN_H

#include <sotto/identity.h>

#include "command.h"

struct known {
    const char *option; /* --known-servers, or NULL */
    const char *path;   /* what it comes to */
    char buffer[4096];
};

/* Choose the file: the option, $SOTTO_KNOWN_SERVERS, the default.  OPTIONS_GO_ON, or the status
 * after an error. */
int known_find(const struct command *command, struct known *known);

/* Read an address of the command line.  OPTIONS_GO_ON, or the status after an error. */
int known_address(const struct command *command, const char *text, sotto_address *out);

/* Say that no key (on CURVE, unless 0) is there for ADDRESS, and return the status for that. */
int known_nothing(const struct known *known, const char *address, sotto_curve curve);

#endif
