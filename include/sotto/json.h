/*
 * sotto/json.h: is a text strict JSON?
 *
 * The rules are those of docs/protocol.md, section 1, for the content of a call, where half a
 * surrogate pair is not looked for.  Up to 64 levels; a call has room for 63, since its message is
 * one.  Any thread; nothing is kept.
 */
#ifndef SOTTO_JSON_H
#define SOTTO_JSON_H

#include <stddef.h>

#include "sotto/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Check that the LEN bytes at TEXT are one JSON value.  E_JSON, and ERROR (may be NULL) then says
 * line, column and reason; E_NOMEM.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_json_check(const char *text, size_t len,
                                                      sotto_error *error);

#ifdef __cplusplus
}
#endif
#endif
