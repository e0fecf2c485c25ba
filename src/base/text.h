/*
 * base/text.h: text from elsewhere that a person will see.
 */
#ifndef SI_BASE_TEXT_H
#define SI_BASE_TEXT_H

#include "base/bytes.h"

/* Control characters (C0, DEL, and C1, which is C2 80 to C2 9F in UTF-8) in the LEN bytes at TEXT
 * become '?', so that a terminal is never steered. */
void si_text_make_harmless(char *text, size_t len);

/* The largest length up to MOST at which the UTF-8 text may be cut: not inside a character. */
size_t si_text_cut(const char *text, size_t len, size_t most);

/* Copy TEXT, cut to fit SIZE with a NUL behind it, and make it harmless. */
void si_text_copy(char *out, size_t size, struct si_span text);

#endif
