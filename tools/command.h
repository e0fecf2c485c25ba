/*
 * command.h: what a subcommand is, and which there are.
 *
 * Each subcommand has a file of its own with its description and its function.  main.c finds it by
 * one word or two ("call", "secrets new") and passes the arguments behind the name.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdio.h>

enum { OPERANDS_MAX = 4 };

struct command {
    const char *name;                   /* "call", "secrets new" */
    const char *summary;                /* one line, without a full stop */
    const char *operands[OPERANDS_MAX]; /* "ADDR"; "[JSON]" may be missing; NULL: no more */
    const char *details;                /* paragraphs for --help, or NULL */
    const char *examples;               /* lines for --help */

    /* Returns the exit status.  Errors are printed by then. */
    int (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command command_bench;
extern const struct command command_bootstrap;
extern const struct command command_call;
extern const struct command command_fingerprint;
extern const struct command command_keygen;
extern const struct command command_secrets_embed;
extern const struct command command_secrets_new;
extern const struct command command_serve;
extern const struct command command_trust_add;
extern const struct command command_trust_list;
extern const struct command command_trust_remove;

#endif
