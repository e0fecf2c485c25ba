/*
 * json_reference.h: a slow JSON checker to compare the fast one with.
 *
 * Recursive descent, straight from the grammar of RFC 8259 and the rules of docs/protocol.md,
 * section 1.
 */
#ifndef JSON_REFERENCE_H
#define JSON_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_reference {
    bool valid;     /* one JSON value in UTF-8, nested at most 64 deep */
    bool container; /* an array or object */
    bool object;
    /* Of the outermost object: */
    bool duplicate;  /* two names are the same after unescaping */
    bool half_name;  /* half a surrogate pair in a name */
    bool half_value; /* half a surrogate pair in a string that is a member or element itself */
    size_t count;    /* members or elements */
    /* Of the member `a`: its text, and if it is a string, the unescaped code points. */
    bool has_a;
    size_t a_offset, a_len;
    bool a_is_string;
    bool a_half;
    uint32_t *a_points;
    size_t a_points_count;
};

/* The caller frees a_points. */
struct json_reference json_reference(const uint8_t *text, size_t len);

#endif
