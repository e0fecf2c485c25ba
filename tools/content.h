/*
 * content.h: JSON texts that come from the user, and how they are shown.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A JSON text that was read.  Free with content_free(). */
struct content {
    char *text;
    size_t len;
};

/*
 * Read what SOURCE names: "@FILE", "-" (standard input), or the text itself; NULL: null.  Returns 0
 * when it is one JSON value, else the exit status after the error, which says where it is wrong.
 */
int content_read(const char *source, struct content *out);
void content_free(struct content *content);

/* How a text is printed: unchanged, without white space, or indented.  Numbers and strings stay
 * as they are, byte for byte, in all of them. */
enum layout { LAYOUT_AS_IS, LAYOUT_COMPACT, LAYOUT_PRETTY };

/*
 * Print the strict JSON text of LEN bytes and a newline.  ONE_LINE: as it is, but without line
 * breaks.  For a TERMINAL, control characters inside strings are written as \u escapes.  Errors are
 * left in OUT.
 */
void content_print(FILE *out, const char *text, size_t len, enum layout layout, bool one_line,
                   bool terminal);

#endif
