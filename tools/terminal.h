/*
 * terminal.h: questions to the person at the terminal, whatever the standard streams are.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>

/* True when there is a terminal to ask on. */
bool terminal_is_there(void);

/* Show the key of an unknown server and ask whether to trust it.  Without a clear answer: false. */
bool terminal_trust(const char *address, const char *curve, const char *fingerprint);

#endif
