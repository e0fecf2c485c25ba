/*
 * formats.h: one function for each format that vectors come in.
 *
 * TEXT is the whole file.  WHICH says what in it is meant, or with what to run it: see the table in
 * main.c.  Every vector is entered into REPORT; a file that is malformed ends the program.
 */
#ifndef FORMATS_H
#define FORMATS_H

#include "report.h"

typedef void format(struct si_span text, const char *which, struct report *report);

/* Handshakes in the JSON form that cacophony began: a list named WHICH.  noise.json extends it. */
format run_handshakes;

/* Handshakes as lines of key=value.  WHICH does not count. */
format run_flynn;

/* Connections of NoiseSocket: a list named WHICH. */
format run_noisesocket;

/* Public keys that give no shared secret, and some that do: lists named WHICH. */
format run_low_order, run_not_low_order;

/* Wycheproof.  WHICH is the name of the algorithm in a Noise protocol name. */
format run_dh, run_aead, run_hmac, run_pbkdf2;

/* Is PROTOCOL one of revision 34?  If not, it is entered as not applicable, with the reason. */
bool is_ours(struct report *report, const char *protocol);

#endif
