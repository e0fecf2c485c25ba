/*
 * json/json.h: reading strict JSON.
 *
 * The rules are those of docs/protocol.md, section 1: UTF-8 without byte order mark, RFC 8259 and
 * nothing else, nested at most SI_JSON_DEPTH deep (the outermost value counts as 1).  The whole
 * text is always checked, also what nobody asked for, before a result is given out.  A number is
 * checked as grammar only: content may hold any RFC 8259 number, of any size.
 *
 * A reader belongs to one thread and keeps its memory between uses, so reading does not allocate
 * once it has seen a text of that size.  Results live until the reader's next use, and as long as
 * the text, into which they point where they can.  Only the strings of si_json_read_copy() and
 * si_json_each() do without the text.
 */
#ifndef SI_JSON_JSON_H
#define SI_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "sotto/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SI_JSON_DEPTH = 64,
    SI_JSON_PADDING = 32 /* bytes behind a text that must be readable (any content) */
};

struct si_json;

enum si_json_type {
    SI_JSON_ABSENT, /* no such member */
    SI_JSON_NULL,
    SI_JSON_FALSE,
    SI_JSON_TRUE,
    SI_JSON_NUMBER,
    SI_JSON_STRING,
    SI_JSON_ARRAY,
    SI_JSON_OBJECT
};

struct si_json_value {
    enum si_json_type type;
    struct si_span raw; /* the value's own text, without surrounding white space */
    /* STRING of a wanted member: unescaped UTF-8, no NUL added; may hold U+0000.  Else empty. */
    struct si_span str;
    /* NUMBER without sign, fraction, exponent and leading zero that fits 64 bits; else 0 */
    bool is_uint;
    uint64_t uint;
};

/* A member that the caller wants; `value` is filled in, of one that is not there only the type. */
struct si_json_member {
    const char *name;
    /* The value is the application's (content, data): only its grammar and depth are checked, and
     * `str` is not filled. */
    bool opaque;
    struct si_json_value value;
};

/* Why a text was refused. */
struct si_json_error {
    size_t offset;    /* byte in the text at or shortly before which it is wrong */
    const char *text; /* constant, lower case, no full stop: "duplicate member" */
};

/* E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_json_new(struct si_json **out);
void si_json_free(struct si_json *json); /* NULL is allowed; wipes */

/* Wipe what the reader keeps of the texts it has read: some hold secrets. */
void si_json_forget(struct si_json *json);

/*
 * Read an object.  TEXT must be followed by SI_JSON_PADDING readable bytes (si_json_read_copy()
 * needs none).  WANTED[i].value is filled for each name; members that nobody wants are checked as
 * opaque values and ignored.
 *
 * E_JSON: not strict JSON; not an object; a duplicate member, wanted or not (names are compared
 * after unescaping); half a surrogate pair in a name or in the string value of a wanted member that
 * is not opaque.  E_NOMEM.  WHY (may be NULL) then says where; all values are ABSENT.
 */
SOTTO_MUST_CHECK sotto_err si_json_read(struct si_json *json, struct si_span text,
                                        struct si_json_member *wanted, size_t count,
                                        struct si_json_error *why);

/* The same for a TEXT without readable bytes behind it: it is copied into the reader first. */
SOTTO_MUST_CHECK sotto_err si_json_read_copy(struct si_json *json, struct si_span text,
                                             struct si_json_member *wanted, size_t count,
                                             struct si_json_error *why);

/*
 * Visit the elements of an array or the members of an object, in order; NAME is empty for elements.
 * Everything is checked before the first visit, as in si_json_read() (duplicate members too);
 * string values are unescaped.  The visitor returns SOTTO_OK to go on; another code ends the walk
 * and is returned.  It must not use JSON; NAME and VALUE->str live until it returns.  TEXT needs no
 * readable bytes behind it.
 * E_JSON also when TEXT is neither array nor object.
 */
typedef sotto_err si_json_visitor(void *user, struct si_span name,
                                  const struct si_json_value *value);
SOTTO_MUST_CHECK sotto_err si_json_each(struct si_json *json, struct si_span text,
                                        si_json_visitor *visit, void *user,
                                        struct si_json_error *why);

/* Is TEXT one strict JSON value of any type?  No readable bytes behind it needed.  E_JSON,
 * E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_json_check(struct si_json *json, struct si_span text,
                                         struct si_json_error *why);

/* True for a STRING whose text is S. */
static inline bool si_json_is(const struct si_json_value *value, const char *s)
{
    return value->type == SI_JSON_STRING && value->str.len == strlen(s) &&
           memcmp(value->str.ptr, s, value->str.len) == 0;
}

#ifdef __cplusplus
}
#endif
#endif
