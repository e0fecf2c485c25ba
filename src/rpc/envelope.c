#include "rpc/envelope.h"

#include "rpc/compose.h"

/* ---- Names and codes ------------------------------------------------------------------------- */

/* What names of endpoints are made of. */
static const bool in_name[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['.'] = true,
    ['_'] = true,         ['/'] = true,         ['-'] = true,
};

bool si_endpoint_name_ok(struct si_span name, bool reserved)
{
    if (reserved && name.len >= 2 && name.ptr[0] == '$' && name.ptr[1] == '/')
        name = si_span(name.ptr + 2, name.len - 2);
    if (name.len == 0 || name.len > SI_ENDPOINT_LEN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!in_name[name.ptr[i]])
            return false;
    }
    return true;
}

/* A prefix, a dot, and something behind it, of the characters that sotto/server.h names. */
static bool is_application_code(struct si_span code)
{
    bool dot = false;

    if (code.len == 0 || code.len > SI_CODE_LEN_MAX || code.ptr[0] == '.' ||
        code.ptr[code.len - 1] == '.')
        return false;
    for (size_t i = 0; i < code.len; i++) {
        uint8_t c = code.ptr[i];

        dot = dot || c == '.';
        if (!in_name[c] || c == '/' || (c >= 'A' && c <= 'Z'))
            return false;
    }
    return dot;
}

bool si_error_code_ok(struct si_span code)
{
    static const char *const codes[] = {
        "invalid_request",   "invalid_content", "not_found",  "denied",      "too_large",
        "deadline_exceeded", "cancelled",       "overloaded", "unavailable", "internal"};

    for (size_t i = 0; i < SI_COUNT(codes); i++) {
        if (strlen(codes[i]) == code.len && memcmp(codes[i], code.ptr, code.len) == 0)
            return true;
    }
    return is_application_code(code);
}

/*
 * Content stands inside an object, so it may be nested one level less than a text alone.  TEXT is
 * strict JSON: outside of strings brackets are brackets, and 64 open ones need 64 closing ones.
 */
static bool fits_inside(struct si_span text)
{
    size_t depth = 0;
    bool in_string = false;

    if (text.len < 2 * SI_JSON_DEPTH)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if ((c | 0x20) == '{') { /* '[' or '{' */
            if (++depth >= SI_JSON_DEPTH)
                return false;
        } else if ((c | 0x20) == '}') {
            depth--;
        }
    }
    return true;
}

sotto_err si_content_check(struct si_json *json, struct si_span text)
{
    sotto_err err = si_json_check(json, text, NULL);

    if (err == SOTTO_OK && !fits_inside(text))
        err = SOTTO_E_JSON;
    return err;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Nothing is known of the message.  Field by field, and each span from constants: gcc clears the
 * whole with a string instruction, which is slow to begin, and copies a span that it has just
 * written with a load that waits for both halves. */
static void clear(struct si_envelope *out)
{
    out->kind = SI_IGNORED;
    out->has_id = false;
    out->id = 0;
    out->endpoint = si_span(NULL, 0);
    out->content = si_span(NULL, 0);
    out->deadline_ms = 0;
    out->code = si_span(NULL, 0);
    out->message = si_span(NULL, 0);
    out->data = si_span(NULL, 0);
    out->reconnect_after_ms = 0;
    out->why = NULL;
}

/* On the wire bad JSON is a protocol error (section 1). */
static sotto_err read_object(struct si_json *json, struct si_span text,
                             struct si_json_member *wanted, size_t count)
{
    sotto_err err = si_json_read(json, text, wanted, count, NULL);

    return err == SOTTO_E_JSON ? SOTTO_E_PROTOCOL : err;
}

static bool is_absent(const struct si_json_member *member)
{
    return member->value.type == SI_JSON_ABSENT;
}

static bool is_true(const struct si_json_member *member)
{
    return member->value.type == SI_JSON_TRUE;
}

/* True, false or not there. */
static bool is_flag(const struct si_json_member *member)
{
    return is_absent(member) || is_true(member) || member->value.type == SI_JSON_FALSE;
}

static bool is_string(const struct si_json_member *member)
{
    return member->value.type == SI_JSON_STRING;
}

static bool is_uint_between(const struct si_json_member *member, uint64_t low, uint64_t high)
{
    const struct si_json_value *value = &member->value;

    return value->type == SI_JSON_NUMBER && value->is_uint && value->uint >= low &&
           value->uint <= high;
}

static sotto_err take_id(const struct si_json_member *member, struct si_envelope *out)
{
    if (is_absent(member))
        return SOTTO_OK;
    if (!is_uint_between(member, 1, SI_ID_MAX))
        return SOTTO_E_PROTOCOL;
    out->has_id = true;
    out->id = member->value.uint;
    return SOTTO_OK;
}

static struct si_span content_of(const struct si_json_member *member)
{
    return is_absent(member) ? SI_LITERAL("null") : member->value.raw;
}

/* A hint: what is no usable number counts as not said, and the largest is good for the larger
 * ones. */
static uint32_t hint_of(const struct si_json_member *member)
{
    if (!is_uint_between(member, 0, UINT64_MAX))
        return 0;
    return member->value.uint > UINT32_MAX ? UINT32_MAX : (uint32_t)member->value.uint;
}

/*
 * "An object with `close` is a close", whatever the value; but what is an object is one that the
 * protocol defines. RAW lies inside the message, so there are readable bytes behind it.
 */
static sotto_err read_close(struct si_json *json, const struct si_json_value *close,
                            struct si_envelope *out)
{
    enum { CODE, MESSAGE, RECONNECT };
    struct si_json_member m[] = {
        [CODE] = {.name = "code"},
        [MESSAGE] = {.name = "message"},
        [RECONNECT] = {.name = "reconnect_after_ms"},
    };
    sotto_err err;

    out->kind = SI_CLOSE;
    if (close->type != SI_JSON_OBJECT)
        return SOTTO_OK;
    if ((err = read_object(json, close->raw, m, SI_COUNT(m))) != SOTTO_OK)
        return err;
    out->code = m[CODE].value.str;
    out->message = m[MESSAGE].value.str;
    out->reconnect_after_ms = hint_of(&m[RECONNECT]);
    return SOTTO_OK;
}

/* The reader fills in the values; to clear them, 56 bytes for each name, takes as long as to read a
 * member. */
static void name_members(struct si_json_member *m, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        m[i].name = names[i];
        m[i].opaque = false;
    }
}

/* What a client's messages are made of. */
enum { C_ID, C_ENDPOINT, C_CONTENT, C_DEADLINE, C_NOTIFY, C_CANCEL, C_CLOSE, C_COUNT };

/* What is wrong with a request or a notification, or NULL. */
static const char *request_fault(const struct si_json_member *m, bool has_id)
{
    if (is_absent(&m[C_ENDPOINT]))
        return "no endpoint";
    if (!is_string(&m[C_ENDPOINT]) || !si_endpoint_name_ok(m[C_ENDPOINT].value.str, true))
        return "bad endpoint name";
    if (!is_absent(&m[C_CANCEL]))
        return "cancel with endpoint";
    if (!is_absent(&m[C_DEADLINE]) && !is_uint_between(&m[C_DEADLINE], 1, SI_DEADLINE_MS_MAX))
        return "deadline_ms must be an integer from 1 to 2147483648";
    if (!is_flag(&m[C_NOTIFY]))
        return "notify must be true or false";
    if (is_true(&m[C_NOTIFY]) && has_id)
        return "notify with id";
    return NULL;
}

/* The order of the tests is section 7's. */
sotto_err si_envelope_read_client(struct si_json *json, struct si_span text,
                                  struct si_envelope *out)
{
    static const char *const names[C_COUNT] = {
        [C_ENDPOINT] = "endpoint",    [C_CONTENT] = "content", [C_ID] = "id",
        [C_DEADLINE] = "deadline_ms", [C_NOTIFY] = "notify",   [C_CANCEL] = "cancel",
        [C_CLOSE] = "close",
    };
    struct si_json_member m[C_COUNT];
    bool notification;
    sotto_err err;

    clear(out);
    name_members(m, names, C_COUNT);
    m[C_CONTENT].opaque = true;
    if ((err = read_object(json, text, m, C_COUNT)) != SOTTO_OK ||
        (err = take_id(&m[C_ID], out)) != SOTTO_OK)
        return err;
    if (!is_absent(&m[C_CLOSE]))
        return read_close(json, &m[C_CLOSE].value, out);

    notification = is_true(&m[C_NOTIFY]) && !out->has_id;
    if (out->has_id && is_true(&m[C_CANCEL]) && is_absent(&m[C_ENDPOINT])) {
        out->kind = SI_CANCEL;
        return SOTTO_OK;
    }
    if ((out->why = request_fault(m, out->has_id)) != NULL) {
        out->kind = notification ? SI_IGNORED : SI_INVALID_REQUEST;
        return SOTTO_OK;
    }
    out->kind = notification ? SI_NOTIFICATION : SI_REQUEST;
    out->endpoint = m[C_ENDPOINT].value.str;
    out->content = content_of(&m[C_CONTENT]);
    out->deadline_ms = is_absent(&m[C_DEADLINE]) ? 0 : (uint32_t)m[C_DEADLINE].value.uint;
    return SOTTO_OK;
}

/* What a server's messages are made of. */
enum { S_ID, S_CONTENT, S_MORE, S_ERROR, S_DRAINING, S_CLOSE, S_COUNT };

static sotto_err read_draining(struct si_json *json, const struct si_json_value *draining,
                               struct si_envelope *out)
{
    struct si_json_member hint = {.name = "reconnect_after_ms"};
    sotto_err err;

    if (draining->type != SI_JSON_OBJECT)
        return SOTTO_E_PROTOCOL;
    if ((err = read_object(json, draining->raw, &hint, 1)) != SOTTO_OK)
        return err;
    if (!is_absent(&hint) && !is_uint_between(&hint, 0, UINT64_MAX))
        return SOTTO_E_PROTOCOL;
    out->kind = SI_DRAINING;
    out->reconnect_after_ms = hint_of(&hint);
    return SOTTO_OK;
}

/* A code that this version does not know is an error like any other. */
static sotto_err read_failure(struct si_json *json, const struct si_json_value *error,
                              struct si_envelope *out)
{
    enum { CODE, MESSAGE, DATA };
    struct si_json_member m[] = {
        [CODE] = {.name = "code"},
        [MESSAGE] = {.name = "message"},
        [DATA] = {.name = "data", .opaque = true},
    };
    sotto_err err;

    if (error->type != SI_JSON_OBJECT)
        return SOTTO_E_PROTOCOL;
    if ((err = read_object(json, error->raw, m, SI_COUNT(m))) != SOTTO_OK)
        return err;
    if (!is_string(&m[CODE]) || (!is_absent(&m[MESSAGE]) && !is_string(&m[MESSAGE])))
        return SOTTO_E_PROTOCOL;
    out->kind = SI_FAILURE;
    out->code = m[CODE].value.str;
    out->message = m[MESSAGE].value.str;
    out->data = m[DATA].value.raw;
    return SOTTO_OK;
}

static sotto_err read_answer(struct si_json *json, const struct si_json_member *m,
                             struct si_envelope *out)
{
    if (!is_absent(&m[S_DRAINING]) || !is_flag(&m[S_MORE]))
        return SOTTO_E_PROTOCOL;
    if (!is_absent(&m[S_ERROR])) {
        if (!is_absent(&m[S_CONTENT]) || is_true(&m[S_MORE]))
            return SOTTO_E_PROTOCOL;
        return read_failure(json, &m[S_ERROR].value, out);
    }
    out->kind = is_true(&m[S_MORE]) ? SI_PART : SI_ANSWER;
    out->content = content_of(&m[S_CONTENT]);
    return SOTTO_OK;
}

sotto_err si_envelope_read_server(struct si_json *json, struct si_span text,
                                  struct si_envelope *out)
{
    static const char *const names[S_COUNT] = {
        [S_ID] = "id",       [S_CONTENT] = "content",   [S_MORE] = "more",
        [S_ERROR] = "error", [S_DRAINING] = "draining", [S_CLOSE] = "close",
    };
    struct si_json_member m[S_COUNT];
    sotto_err err;

    clear(out);
    name_members(m, names, S_COUNT);
    m[S_CONTENT].opaque = true;
    if ((err = read_object(json, text, m, S_COUNT)) != SOTTO_OK ||
        (err = take_id(&m[S_ID], out)) != SOTTO_OK)
        return err;
    if (!is_absent(&m[S_CLOSE]))
        return read_close(json, &m[S_CLOSE].value, out);
    if (out->has_id)
        return read_answer(json, m, out);
    if (!is_absent(&m[S_DRAINING]))
        return read_draining(json, &m[S_DRAINING].value, out);
    return SOTTO_OK;
}

/* ---- Composing ------------------------------------------------------------------------------- */

sotto_err si_envelope_put_failure(struct si_buf *out, uint64_t id, struct si_span code,
                                  struct si_span message, struct si_span data)
{
    char digits[SI_DECIMAL_LEN];
    struct si_span number = si_decimal(id, digits);
    size_t before = out->len;
    sotto_err err;

    if ((err = si_buf_puts(out, "{\"id\":")) != SOTTO_OK ||
        (err = si_buf_put(out, number.ptr, number.len)) != SOTTO_OK ||
        (err = si_buf_puts(out, ",\"error\":{\"code\":")) != SOTTO_OK ||
        (err = si_buf_put_json_string(out, (const char *)code.ptr, code.len)) != SOTTO_OK)
        goto out;
    if (message.len > 0 &&
        ((err = si_buf_puts(out, ",\"message\":")) != SOTTO_OK ||
         (err = si_buf_put_json_string(out, (const char *)message.ptr, message.len)) != SOTTO_OK))
        goto out;
    if (data.len > 0 && ((err = si_buf_puts(out, ",\"data\":")) != SOTTO_OK ||
                         (err = si_buf_put(out, data.ptr, data.len)) != SOTTO_OK))
        goto out;
    err = si_buf_puts(out, "}}");
out:
    if (err != SOTTO_OK)
        out->len = before;
    return err;
}
