#include "session/document.h"

#include "crypto/crypto.h"

static const char *const client_auth_names[] = {[SOTTO_CLIENT_AUTH_NONE] = "none",
                                                [SOTTO_CLIENT_AUTH_OPTIONAL] = "optional",
                                                [SOTTO_CLIENT_AUTH_REQUIRED] = "required"};

enum { BASE64_KEY_SIZE = 80 }; /* 56 bytes make 76 characters and a NUL */

static sotto_err put_key(struct si_buf *out, const sotto_public_key *key)
{
    char text[BASE64_KEY_SIZE];

    si_base64(text, key->bytes, sotto_curve_key_len(key->curve), true);
    return si_buf_printf(out, "\"%s\"", text);
}

static sotto_err put_other_keys(struct si_buf *out, sotto_curve curve, const sotto_public_key *keys)
{
    sotto_err err = si_buf_puts(out, ",\"other_keys\":{");
    const char *comma = "";

    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        if (keys[i].curve == 0 || keys[i].curve == curve)
            continue;
        err = si_buf_printf(out, "%s\"%s\":", comma, sotto_curve_name(keys[i].curve));
        if (err == SOTTO_OK)
            err = put_key(out, &keys[i]);
        comma = ",";
    }
    return err == SOTTO_OK ? si_buf_puts(out, "}") : err;
}

sotto_err si_document_write(const sotto_psk_parameters *parameters, sotto_curve curve,
                            const sotto_public_key *keys, sotto_client_auth client_auth,
                            uint32_t expires_in_s, struct si_buf *out)
{
    char id[2 * SOTTO_SERVER_ID_LEN + 1];
    sotto_err err;

    si_hex(id, parameters->server_id, sizeof parameters->server_id);
    err = si_buf_printf(out, "{\"server_id\":\"%s\",\"salt_index\":%u,\"server_string\":", id,
                        parameters->salt_index);
    if (err == SOTTO_OK)
        err = si_buf_put_json_string(out, parameters->server_string, parameters->server_string_len);
    if (err == SOTTO_OK)
        err = si_buf_printf(out, ",\"iterations\":%u,\"curve\":\"%s\",\"public_key\":",
                            parameters->iterations, sotto_curve_name(curve));
    if (err == SOTTO_OK)
        err = put_key(out, &keys[curve - 1]);
    if (err == SOTTO_OK)
        err = put_other_keys(out, curve, keys);
    if (err == SOTTO_OK)
        err = si_buf_printf(out, ",\"client_auth\":\"%s\"", client_auth_names[client_auth]);
    if (err == SOTTO_OK && expires_in_s > 0)
        err = si_buf_printf(out, ",\"expires_in\":%u", expires_in_s);
    if (err == SOTTO_OK)
        err = si_buf_puts(out, "}");
    si_wipe(id, sizeof id); /* a part of the seed */
    return err;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static sotto_err read_key(const struct si_json_value *value, sotto_curve curve,
                          sotto_public_key *out)
{
    memset(out, 0, sizeof *out);
    if (value->type != SI_JSON_STRING ||
        si_unbase64(out->bytes, sotto_curve_key_len(curve), value->str) != SOTTO_OK)
        return SOTTO_E_PROTOCOL;
    out->curve = curve;
    return SOTTO_OK;
}

/* A number too large for 32 bits is as much out of every client's range as the largest that
 * fits. */
static sotto_err read_u32(const struct si_json_value *value, uint32_t *out)
{
    if (!value->is_uint)
        return SOTTO_E_PROTOCOL;
    *out = value->uint > UINT32_MAX ? UINT32_MAX : (uint32_t)value->uint;
    return SOTTO_OK;
}

static sotto_err read_parameters(const struct si_json_value *id, const struct si_json_value *salt,
                                 const struct si_json_value *string,
                                 const struct si_json_value *iterations, sotto_psk_parameters *out)
{
    if (id->type != SI_JSON_STRING ||
        si_unhex(out->server_id, sizeof out->server_id, id->str) != SOTTO_OK ||
        string->type != SI_JSON_STRING || string->str.len < 1 ||
        string->str.len > SOTTO_STRING_MAX || read_u32(salt, &out->salt_index) != SOTTO_OK ||
        read_u32(iterations, &out->iterations) != SOTTO_OK)
        return SOTTO_E_PROTOCOL;
    out->server_string_len = (uint32_t)string->str.len;
    memcpy(out->server_string, string->str.ptr, string->str.len);
    return SOTTO_OK;
}

static sotto_err read_client_auth(const struct si_json_value *value, sotto_client_auth *out)
{
    for (size_t i = 0; i < SI_COUNT(client_auth_names); i++) {
        if (si_json_is(value, client_auth_names[i])) {
            *out = (sotto_client_auth)i;
            return SOTTO_OK;
        }
    }
    return SOTTO_E_PROTOCOL;
}

/* One member of other_keys: an unknown curve is ignored, the own one is an error. */
static sotto_err visit_other_key(void *user, struct si_span name, const struct si_json_value *value)
{
    sotto_bootstrap *out = user;

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_curve curve = (sotto_curve)(i + 1);
        const char *known = sotto_curve_name(curve);

        if (name.len != strlen(known) || memcmp(name.ptr, known, name.len) != 0)
            continue;
        if (curve == out->server_key.curve)
            return SOTTO_E_PROTOCOL;
        return read_key(value, curve, &out->other_keys[i]);
    }
    return SOTTO_OK;
}

static sotto_err read_members(struct si_json *json, struct si_span text,
                              const sotto_public_key *server_key, sotto_bootstrap *out,
                              struct si_refusal *refusal)
{
    enum { ERROR, ID, SALT, STRING, ITERATIONS, CURVE, KEY, OTHERS, AUTH, EXPIRES, COUNT };
    struct si_json_member m[COUNT] = {[ERROR] = {.name = "error", .opaque = true},
                                      [ID] = {.name = "server_id"},
                                      [SALT] = {.name = "salt_index"},
                                      [STRING] = {.name = "server_string"},
                                      [ITERATIONS] = {.name = "iterations"},
                                      [CURVE] = {.name = "curve"},
                                      [KEY] = {.name = "public_key"},
                                      [OTHERS] = {.name = "other_keys"},
                                      [AUTH] = {.name = "client_auth"},
                                      [EXPIRES] = {.name = "expires_in"}};
    const struct si_json_value *expires = &m[EXPIRES].value;
    sotto_err err = si_protocol_error(si_json_read_copy(json, text, m, COUNT, NULL));

    if (err != SOTTO_OK)
        return err;
    if (m[ERROR].value.type != SI_JSON_ABSENT) {
        if (m[ERROR].value.type != SI_JSON_OBJECT)
            return SOTTO_E_PROTOCOL;
        err = si_refusal_read_error(json, m[ERROR].value.raw, refusal);
        return err == SOTTO_OK ? SOTTO_E_DENIED : err;
    }

    if (!si_json_is(&m[CURVE].value, sotto_curve_name(server_key->curve)) ||
        m[OTHERS].value.type != SI_JSON_OBJECT ||
        (expires->type != SI_JSON_ABSENT &&
         (!expires->is_uint || expires->uint < 1 || expires->uint > UINT32_C(1) << 31)))
        return SOTTO_E_PROTOCOL;
    out->expires_in_s = (uint32_t)expires->uint;
    if ((err = read_parameters(&m[ID].value, &m[SALT].value, &m[STRING].value, &m[ITERATIONS].value,
                               &out->parameters)) != SOTTO_OK ||
        (err = read_key(&m[KEY].value, server_key->curve, &out->server_key)) != SOTTO_OK ||
        (err = read_client_auth(&m[AUTH].value, &out->client_auth)) != SOTTO_OK)
        return err;
    /* The last use of m: the next reading replaces the strings. */
    return si_protocol_error(si_json_each(json, m[OTHERS].value.raw, visit_other_key, out, NULL));
}

sotto_err si_document_read(struct si_json *json, struct si_span text,
                           const sotto_public_key *server_key, sotto_bootstrap *out,
                           struct si_refusal *refusal)
{
    sotto_err err;

    memset(out, 0, sizeof *out);
    memset(refusal, 0, sizeof *refusal);
    err = read_members(json, text, server_key, out, refusal);
    /* Without this check a server could hand out somebody else's key, and have the client talk to
     * him. */
    if (err == SOTTO_OK && !sotto_public_key_equal(&out->server_key, server_key))
        err = SOTTO_E_PROTOCOL;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        if (out->other_keys[i].curve != 0)
            err = si_public_key_check(&out->other_keys[i]);
    }
    if (err != SOTTO_OK)
        si_wipe(out, sizeof *out);
    return err;
}
