/*
 * identity/lines.h: text files with one entry a line, and the key on such a line.
 *
 * Lines end with '\n'; the last one may lack it.  Blanks are spaces and tabs.  A line is empty, a
 * comment (first character that is not blank: '#'), or an entry of words with blanks between them.
 * Spans point into the text; nothing is allocated.
 */
#ifndef SI_IDENTITY_LINES_H
#define SI_IDENTITY_LINES_H

#include <stdbool.h>

#include "base/bytes.h"
#include "sotto/error.h"
#include "sotto/key.h"

struct si_lines {
    struct si_span rest;  /* what was not visited yet */
    struct si_span line;  /* the current one, without its '\n' */
    struct si_span whole; /* the current one, with its '\n' if it has one */
    unsigned number;      /* of the current line, from 1 */
};

static inline struct si_lines si_lines(struct si_span text)
{
    return (struct si_lines){.rest = text};
}

/* Go to the next line; false at the end. */
bool si_lines_next(struct si_lines *lines);

/* True for an empty line and a comment. */
bool si_line_is_idle(struct si_span line);

/* True when LINE holds a control character other than a tab: a NUL, a carriage return … */
bool si_line_has_control(struct si_span line);

/* Skip blanks, take the word that follows from REST.  Empty at the end of the line. */
struct si_span si_line_word(struct si_span *rest);

/* What is left of the line, without the blanks around it. */
struct si_span si_line_trim(struct si_span rest);

/*
 * Take the two words of a key, "sotto-x25519 BASE64", from REST.  A low-order point is not looked
 * for.  E_FORMAT: and WHY is a constant text.
 */
SOTTO_MUST_CHECK sotto_err si_line_key(struct si_span *rest, sotto_public_key *out,
                                       const char **why);

/* E_KEY for a low-order point; E_CRYPTO, E_RANDOM, E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_key_usable(const sotto_public_key *key);

#endif
