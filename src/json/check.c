#include "sotto/json.h"

#include "base/error.h"
#include "json/json.h"

/* Where an offset is, as editors count: from 1, columns in characters. */
struct position {
    size_t line, column;
};

static struct position locate(struct si_span text, size_t offset)
{
    struct position at = {1, 1};

    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            at.line++;
            at.column = 1;
        } else if ((text.ptr[i] & 0xc0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

sotto_err sotto_json_check(const char *text, size_t len, sotto_error *error)
{
    struct si_span span = si_span(text, len);
    struct si_json *json = NULL;
    struct si_json_error why;
    sotto_err err;

    if ((err = si_json_new(&json)) != SOTTO_OK ||
        (err = si_json_check(json, span, &why)) != SOTTO_OK)
        si_error(error, err, "cannot read the JSON text");
    if (err == SOTTO_E_JSON) {
        struct position at = locate(span, why.offset);

        si_error_why(error, "line %zu, column %zu: %s", at.line, at.column, why.text);
    }
    si_json_free(json);
    return err;
}
