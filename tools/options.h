/*
 * options.h: the command line of a subcommand, and its --help.
 *
 * A subcommand lists its options in an array that ends with OPTIONS_END.  Long options are "--name
 * VALUE" or "--name=VALUE", short ones "-v" or "-oVALUE"; they may stand among the operands, "--"
 * ends them, and the last one of a kind wins.  An operand that looks like a negative number is no
 * option.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

/* Read VALUE into TARGET.  False: WHY (at most SIZE bytes) says what a good value is. */
typedef bool option_reader(void *target, const char *value, char *why, size_t size);

struct option {
    const char *name;  /* without dashes; NULL ends the array */
    char letter;       /* the short form, or 0 */
    const char *value; /* what is shown for the value; NULL: there is none */
    option_reader *read;
    void *target;
    const char *help; /* one or more lines */
};

#define OPTIONS_END                                                                                \
    {                                                                                              \
        NULL, 0, NULL, NULL, NULL, NULL                                                            \
    }

/* Targets of the readers below. */
struct number {
    uint32_t value;
    uint32_t min, max;
};

struct texts {
    const char **at;
    size_t count;
};

option_reader read_flag;     /* int: 1 */
option_reader read_text;     /* const char *, not empty */
option_reader read_any_text; /* const char *, perhaps empty */
option_reader read_texts;    /* struct texts; free at with free() */
option_reader read_number;   /* struct number */
option_reader read_duration; /* struct number, in milliseconds: 250ms 5s 2m 1h */
option_reader read_size;     /* struct number, in bytes: 4096 64k 1MiB */
option_reader read_curve;    /* sotto_curve */
option_reader read_cipher;   /* sotto_cipher */

/* Go on: no exit status. */
enum { OPTIONS_GO_ON = -1 };

/*
 * Read the arguments.  The operands are moved to the front of ARGV, *COUNT says how many.  Returns
 * OPTIONS_GO_ON, or the exit status after --help or an error.
 */
int options_parse(const struct command *command, const struct option *options, int argc,
                  char **argv, int *count);

/* Read the value of the environment variable NAME, if it is set and not empty, with READ.
 * Returns as above. */
int options_environment(const struct command *command, const char *name, option_reader *read,
                        void *target);

/* How many single-character changes make B of A: for "did you mean". */
size_t edit_distance(const char *a, const char *b);

/* True when B may be what was meant by A. */
bool is_near(const char *a, const char *b);

#endif
