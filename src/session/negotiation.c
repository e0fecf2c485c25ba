#include "session/negotiation.h"

#include "base/text.h"
#include "crypto/crypto.h"

static const char *const pattern_names[] = {
    [SI_XX] = "XX", [SI_XXPSK0] = "XXpsk0", [SI_NKPSK0] = "NKpsk0", [SI_IKPSK0] = "IKpsk0"};

const char *si_pattern_id_name(enum si_pattern_id id)
{
    return pattern_names[id];
}

sotto_err si_negotiation_write(const struct si_negotiation *n, struct si_buf *out)
{
    char epoch[2 * SOTTO_EPOCH_LEN + 1];
    sotto_err err;

    err = si_buf_printf(out, "{\"sotto\":1,\"pattern\":\"%s\",\"curve\":\"%s\",\"cipher\":\"%s\"",
                        si_pattern_id_name(n->pattern), sotto_curve_name(n->curve),
                        sotto_cipher_name(n->cipher));
    if (err == SOTTO_OK && si_is_session_pattern(n->pattern)) {
        si_hex(epoch, n->epoch, sizeof n->epoch);
        err = si_buf_printf(out, ",\"epoch\":\"%s\",\"max_message\":%u", epoch, n->max_message);
    }
    return err == SOTTO_OK ? si_buf_puts(out, "}") : err;
}

/* An unsigned integer of any size, as section 1 wants it written. */
static bool is_integer(const struct si_json_value *value)
{
    struct si_span raw = value->raw;

    if (value->type != SI_JSON_NUMBER || (raw.ptr[0] == '0' && raw.len > 1))
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool in_range(const struct si_json_value *value, uint64_t least, uint64_t most)
{
    return value->is_uint && value->uint >= least && value->uint <= most;
}

/* A name from the peer as a NUL-terminated text; "" when it is too long to be any name of ours. */
static void copy_name(const struct si_json_value *value, char *out, size_t size)
{
    bool fits = value->str.len < size && memchr(value->str.ptr, 0, value->str.len) == NULL;

    if (fits)
        memcpy(out, value->str.ptr, value->str.len);
    out[fits ? value->str.len : 0] = '\0';
}

static enum si_pattern_id pattern_by_name(const struct si_json_value *value)
{
    for (enum si_pattern_id id = SI_XX; id <= SI_IKPSK0; id++) {
        if (si_json_is(value, pattern_names[id]))
            return id;
    }
    return 0;
}

sotto_err si_negotiation_read(struct si_json *json, struct si_span text, struct si_negotiation *out,
                              const char **refusal)
{
    enum { SOTTO, PATTERN, CURVE, CIPHER, EPOCH, MAX_MESSAGE, COUNT };
    struct si_json_member m[COUNT] = {{.name = "sotto"}, {.name = "pattern"},
                                      {.name = "curve"}, {.name = "cipher"},
                                      {.name = "epoch"}, {.name = "max_message"}};
    char name[16];
    sotto_err err = si_json_read_copy(json, text, m, COUNT, NULL);

    memset(out, 0, sizeof *out);
    *refusal = NULL;
    if (err != SOTTO_OK && err != SOTTO_E_JSON)
        return err;

    *refusal = "malformed";
    if (err == SOTTO_E_JSON || !is_integer(&m[SOTTO].value))
        return SOTTO_OK;
    if (!in_range(&m[SOTTO].value, 1, 1)) {
        *refusal = "unsupported_version";
        return SOTTO_OK;
    }
    if (m[PATTERN].value.type != SI_JSON_STRING || m[CURVE].value.type != SI_JSON_STRING ||
        m[CIPHER].value.type != SI_JSON_STRING)
        return SOTTO_OK;

    out->pattern = pattern_by_name(&m[PATTERN].value);
    copy_name(&m[CURVE].value, name, sizeof name);
    out->curve = sotto_curve_by_name(name);
    copy_name(&m[CIPHER].value, name, sizeof name);
    out->cipher = sotto_cipher_by_name(name);

    if (si_is_session_pattern(out->pattern)) {
        const struct si_json_value *max_message = &m[MAX_MESSAGE].value;

        if (m[EPOCH].value.type != SI_JSON_STRING ||
            si_unhex(out->epoch, sizeof out->epoch, m[EPOCH].value.str) != SOTTO_OK)
            return SOTTO_OK;
        if (max_message->type != SI_JSON_ABSENT &&
            !in_range(max_message, SOTTO_MESSAGE_MAX_LEAST, UINT32_MAX))
            return SOTTO_OK;
        out->max_message = max_message->type == SI_JSON_ABSENT ? SOTTO_MESSAGE_MAX_DEFAULT
                                                               : (uint32_t)max_message->uint;
    }
    *refusal = NULL;
    return SOTTO_OK;
}

sotto_err si_refusal_write(const char *code, const char *message, uint32_t retry_after_ms,
                           struct si_buf *out)
{
    sotto_err err = si_buf_printf(out, "{\"error\":{\"code\":\"%s\"", code);

    if (err == SOTTO_OK && message[0] != '\0') {
        if ((err = si_buf_puts(out, ",\"message\":")) == SOTTO_OK)
            err = si_buf_put_json_string(out, message, strlen(message));
    }
    if (err == SOTTO_OK && retry_after_ms > 0)
        err = si_buf_printf(out, ",\"retry_after_ms\":%u", retry_after_ms);
    return err == SOTTO_OK ? si_buf_puts(out, "}}") : err;
}

sotto_err si_refusal_read_error(struct si_json *json, struct si_span error, struct si_refusal *out)
{
    struct si_json_member m[] = {{.name = "code"}, {.name = "message"}, {.name = "retry_after_ms"}};
    sotto_err err = si_protocol_error(si_json_read_copy(json, error, m, SI_COUNT(m), NULL));

    memset(out, 0, sizeof *out);
    if (err != SOTTO_OK)
        return err;
    if (m[0].value.type != SI_JSON_STRING ||
        (m[1].value.type != SI_JSON_STRING && m[1].value.type != SI_JSON_ABSENT) ||
        (m[2].value.type != SI_JSON_ABSENT && !in_range(&m[2].value, 1, UINT32_C(1) << 31)))
        return SOTTO_E_PROTOCOL;
    si_text_copy(out->code, sizeof out->code, m[0].value.str);
    if (m[1].value.type == SI_JSON_STRING)
        si_text_copy(out->message, sizeof out->message, m[1].value.str);
    out->retry_after_ms = (uint32_t)m[2].value.uint;
    return SOTTO_OK;
}

sotto_err si_refusal_read(struct si_json *json, struct si_span text, struct si_refusal *out)
{
    struct si_json_member m[] = {{.name = "error", .opaque = true}};
    sotto_err err = si_protocol_error(si_json_read_copy(json, text, m, SI_COUNT(m), NULL));

    memset(out, 0, sizeof *out);
    if (err != SOTTO_OK)
        return err;
    if (m[0].value.type != SI_JSON_OBJECT)
        return SOTTO_E_PROTOCOL;
    return si_refusal_read_error(json, m[0].value.raw, out);
}

sotto_err si_hello_write(const struct si_hello *hello, const char *agent, struct si_buf *out)
{
    sotto_err err = si_buf_printf(out, "{\"max_message\":%u,\"keepalive_ms\":%u",
                                  hello->max_message, hello->keepalive_ms);

    if (err == SOTTO_OK && agent != NULL && agent[0] != '\0') {
        if ((err = si_buf_puts(out, ",\"agent\":")) == SOTTO_OK)
            err = si_buf_put_json_string(out, agent, strlen(agent));
    }
    return err == SOTTO_OK ? si_buf_puts(out, "}") : err;
}

sotto_err si_hello_read(struct si_json *json, struct si_span text, struct si_hello *out)
{
    struct si_json_member m[] = {
        {.name = "max_message"}, {.name = "keepalive_ms"}, {.name = "agent"}};
    const struct si_json_value *max = &m[0].value, *keepalive = &m[1].value, *agent = &m[2].value;
    sotto_err err = si_protocol_error(si_json_read_copy(json, text, m, SI_COUNT(m), NULL));

    *out = (struct si_hello){SOTTO_MESSAGE_MAX_DEFAULT, SOTTO_KEEPALIVE_MS};
    if (err != SOTTO_OK)
        return err;
    if ((max->type != SI_JSON_ABSENT && !in_range(max, SOTTO_MESSAGE_MAX_LEAST, UINT32_MAX)) ||
        (keepalive->type != SI_JSON_ABSENT && !in_range(keepalive, 1, UINT32_MAX)) ||
        (agent->type != SI_JSON_ABSENT &&
         (agent->type != SI_JSON_STRING || agent->str.len > SOTTO_AGENT_MAX)))
        return SOTTO_E_PROTOCOL;
    if (max->type != SI_JSON_ABSENT)
        out->max_message = (uint32_t)max->uint;
    if (keepalive->type != SI_JSON_ABSENT)
        out->keepalive_ms = (uint32_t)keepalive->uint;
    return SOTTO_OK;
}
