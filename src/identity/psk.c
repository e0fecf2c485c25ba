#include "sotto/identity.h"

#include <string.h>

#include "crypto/crypto.h"
#include "identity/secrets.h"

static const char gate_label[] = "sotto gate";

enum {
    GATE_ITERATIONS = 10000, /* protocol section 4: always */
    SEED_MAX = SOTTO_SERVER_ID_LEN + 2 * (2 + SOTTO_STRING_MAX),
    GATE_PASSWORD_MAX = sizeof gate_label - 1 + 2 + SOTTO_STRING_MAX
};

static size_t put(uint8_t *out, const void *data, size_t len)
{
    memcpy(out, data, len);
    return len;
}

/* u16 length | bytes */
static size_t put_string(uint8_t *out, const void *data, size_t len)
{
    si_put_be16(out, (uint16_t)len);
    return 2 + put(out + 2, data, len);
}

sotto_err sotto_psk_parameters_new(const sotto_secrets *secrets, sotto_psk_parameters *out)
{
    sotto_err err;

    memset(out, 0, sizeof *out);
    if (secrets == NULL || secrets->server_string.len == 0)
        return SOTTO_E_USAGE;
    if ((err = si_random(out->server_id, sizeof out->server_id)) != SOTTO_OK)
        return err;
    out->salt_index = si_random_below((uint32_t)secrets->salt_count);
    out->iterations = secrets->iterations;
    out->server_string_len = secrets->server_string.len;
    memcpy(out->server_string, secrets->server_string.bytes, secrets->server_string.len);
    return SOTTO_OK;
}

static sotto_err check_parameters(const sotto_secrets *secrets, const sotto_psk_parameters *p,
                                  uint32_t min_iterations, uint32_t max_iterations)
{
    uint32_t min = min_iterations != 0 ? min_iterations : SOTTO_ITERATIONS_DEFAULT;
    uint32_t max = max_iterations != 0 ? max_iterations : SOTTO_ITERATIONS_MAX_DEFAULT;

    if (p->salt_index >= secrets->salt_count || p->iterations < min || p->iterations > max ||
        p->server_string_len == 0 || p->server_string_len > SOTTO_STRING_MAX)
        return SOTTO_E_PARAMETERS;
    return SOTTO_OK;
}

static sotto_err stretch(const struct si_hash *hash, struct si_span password,
                         const struct si_salt *salt, uint32_t iterations, sotto_psk *out)
{
    sotto_err err = si_pbkdf2(hash, password, si_span(salt->bytes, salt->len), iterations,
                              out->bytes, sizeof out->bytes);

    if (err != SOTTO_OK)
        si_wipe(out, sizeof *out);
    return err;
}

sotto_err sotto_psk_derive(const sotto_secrets *secrets, sotto_curve curve,
                           const sotto_psk_parameters *parameters, uint32_t min_iterations,
                           uint32_t max_iterations, sotto_psk *out)
{
    const struct si_hash *hash = si_curve_hash(curve);
    const sotto_psk_parameters *p = parameters;
    uint8_t seed[SEED_MAX];
    size_t len = 0;
    sotto_err err;

    memset(out, 0, sizeof *out);
    if (secrets == NULL || p == NULL || hash == NULL)
        return SOTTO_E_USAGE;
    if ((err = check_parameters(secrets, p, min_iterations, max_iterations)) != SOTTO_OK)
        return err;
    len += put(seed + len, p->server_id, sizeof p->server_id);
    len += put_string(seed + len, p->server_string, p->server_string_len);
    len += put_string(seed + len, secrets->shared_string.bytes, secrets->shared_string.len);
    err = stretch(hash, si_span(seed, len), &secrets->salts[p->salt_index], p->iterations, out);
    si_wipe(seed, sizeof seed);
    return err;
}

sotto_err sotto_gate_derive(const sotto_secrets *secrets, sotto_curve curve, sotto_psk *out)
{
    const struct si_hash *hash = si_curve_hash(curve);
    uint8_t password[GATE_PASSWORD_MAX];
    size_t len = 0;
    sotto_err err;

    memset(out, 0, sizeof *out);
    if (secrets == NULL || hash == NULL)
        return SOTTO_E_USAGE;
    len += put(password + len, gate_label, sizeof gate_label - 1);
    len += put_string(password + len, secrets->shared_string.bytes, secrets->shared_string.len);
    err = stretch(hash, si_span(password, len), &secrets->salts[0], GATE_ITERATIONS, out);
    si_wipe(password, sizeof password);
    return err;
}

sotto_err sotto_epoch(const uint8_t server_id[SOTTO_SERVER_ID_LEN], uint8_t out[SOTTO_EPOCH_LEN])
{
    const struct si_hash *sha256 = si_hash_by_name(si_span_str("SHA256"));
    struct si_span id = si_span(server_id, SOTTO_SERVER_ID_LEN);
    struct si_hash_ctx *ctx = NULL;
    uint8_t hash[SI_HASH_LEN_MAX];
    sotto_err err;

    memset(out, 0, SOTTO_EPOCH_LEN);
    if (sha256 == NULL)
        return SOTTO_E_CRYPTO;
    if ((err = si_hash_ctx_new(&ctx, sha256)) != SOTTO_OK ||
        (err = si_hash_parts(ctx, &id, 1, hash)) != SOTTO_OK)
        goto out;
    memcpy(out, hash, SOTTO_EPOCH_LEN);

out:
    si_hash_ctx_free(ctx);
    return err;
}
