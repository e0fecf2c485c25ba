#include "noise_support.h"

const char *const dh_names[] = {"25519", "448"};
const char *const aead_names[] = {"ChaChaPoly", "AESGCM"};
const char *const hash_names[] = {"SHA256", "SHA512", "BLAKE2s", "BLAKE2b"};
const char *const used_patterns[] = {"XX", "XXpsk0", "NK", "NKpsk0", "IK", "IKpsk0"};
const char *const fallback_patterns[] = {
    "NNfallback",           "XXfallback",      "IXfallback",           "NK1fallback",
    "XXfallback+psk0+psk2", "XXpsk2+fallback", "IX1psk3+fallback+psk0"};

uint8_t message[SI_NOISE_MESSAGE_MAX + 64], payload[SI_NOISE_MESSAGE_MAX + 64],
    result[SI_NOISE_MESSAGE_MAX + 64];

bool is_zero(const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0 && p[len - 1] == 0)
        len--;
    return len == 0;
}

void fill(uint8_t *p, size_t len, unsigned seed)
{
    uint32_t x = 0x9e3779b9U * (seed + 1);

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525U + 1013904223U;
        p[i] = (uint8_t)(x >> 24);
    }
}

void pattern_name(char *out, size_t size, const char *pattern, unsigned mask)
{
    int len = snprintf(out, size, "%s", pattern);
    const char *joint = "";

    for (unsigned n = 0; n < 8; n++) {
        if ((mask >> n & 1) == 0)
            continue;
        len += snprintf(out + len, size - (size_t)len, "%spsk%u", joint, n);
        joint = "+";
    }
}

struct si_protocol protocol_of(const char *pattern, const char *dh, const char *aead,
                               const char *hash)
{
    struct si_protocol p;
    char name[SI_PROTOCOL_NAME_MAX + 1];

    (void)snprintf(name, sizeof name, "Noise_%s_%s_%s_%s", pattern, dh, aead, hash);
    assert_int_equal(si_protocol_parse(&p, name, NULL), SOTTO_OK);
    assert_string_equal(p.name, name);
    assert_string_equal(p.dh->name, dh);
    assert_string_equal(p.aead->name, aead);
    assert_string_equal(p.hash->name, hash);
    return p;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static const char prologue_text[] = "prologue";

/* A handshake on the same curve as far as its first message: the responder of the fallback wrote
 * it, the initiator read it. */
static void make_first_contact(struct ends *ends, const struct si_protocol *p)
{
    struct si_protocol first = protocol_of("NN", p->dh->name, "ChaChaPoly", "BLAKE2s");
    struct si_handshake_keys none = {0};
    size_t len;

    first.dh = p->dh;
    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(si_handshake_new(&first, (enum si_role) !role, si_span(NULL, 0), &none,
                                          &ends->from[role], NULL),
                         SOTTO_OK);
    assert_int_equal(si_handshake_write(ends->from[SI_RESPONDER], si_span(NULL, 0), message,
                                        sizeof message, &len),
                     SOTTO_OK);
    assert_int_equal(si_handshake_read(ends->from[SI_INITIATOR], si_span(message, len), result,
                                       sizeof result, &len),
                     SOTTO_OK);
}

void make_ends(struct ends *ends, const struct si_protocol *p)
{
    const struct si_pattern *pattern = &p->pattern;

    memset(ends, 0, sizeof *ends);
    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(p->dh->generate(p->dh, &ends->s[role], &ends->pub[role]), SOTTO_OK);
    if (pattern->responder_e_known)
        make_first_contact(ends, p);
    for (unsigned n = 0; n < SI_PSKS_MAX; n++)
        memset(ends->psks[n].bytes, (int)(0x11 * (n + 1)), SOTTO_PSK_LEN);
    for (unsigned role = 0; role < 2; role++) {
        struct si_handshake_keys *k = &ends->keys[role];

        if (static_key_turn(pattern, role) < (int)pattern->turns) {
            k->s = &ends->s[role];
            k->s_public = &ends->pub[role];
        }
        if (static_key_turn(pattern, !role) < 0)
            k->rs = &ends->pub[!role];
        for (unsigned n = 0; n < SI_PSKS_MAX; n++)
            k->psk[n] = si_pattern_has_psk(pattern, n) ? &ends->psks[n] : NULL;
        k->fallback_from = ends->from[role];
    }
}

void free_ends(struct ends *ends)
{
    for (unsigned role = 0; role < 2; role++) {
        si_handshake_free(ends->from[role]);
        ends->from[role] = NULL;
    }
}

struct si_handshake *begin(const struct si_protocol *p, enum si_role role, const struct ends *ends)
{
    struct si_handshake *hs = NULL;

    assert_int_equal(si_handshake_new(p, role, si_span(prologue_text, sizeof prologue_text - 1),
                                      &ends->keys[role], &hs, NULL),
                     SOTTO_OK);
    assert_non_null(hs);
    return hs;
}

/* ---- Messages -------------------------------------------------------------------------------- */

int static_key_turn(const struct si_pattern *pattern, unsigned role)
{
    if (role == SI_INITIATOR ? pattern->initiator_s_known : pattern->responder_s_known)
        return -1;
    for (unsigned t = role; t < pattern->turns; t += 2)
        for (unsigned i = 0; pattern->turn[t][i] != SI_TOKEN_END; i++)
            if (pattern->turn[t][i] == SI_TOKEN_S)
                return (int)t;
    return (int)pattern->turns;
}

void assert_refused_out_of_turn(struct si_handshake *hs)
{
    sotto_action action = si_handshake_action(hs);
    struct si_cipher_state tx, rx;
    uint8_t h[SI_HASH_LEN_MAX];
    size_t len = 0;

    if (action != SOTTO_ACTION_WRITE)
        assert_int_equal(si_handshake_write(hs, si_span(NULL, 0), message, sizeof message, &len),
                         SOTTO_E_USAGE);
    if (action != SOTTO_ACTION_READ)
        assert_int_equal(si_handshake_read(hs, si_span(payload, 200), result, sizeof result, &len),
                         SOTTO_E_USAGE);
    if (action != SOTTO_ACTION_SPLIT)
        assert_int_equal(si_handshake_split(hs, &tx, &rx, h, &len), SOTTO_E_USAGE);
    if (action != SOTTO_ACTION_WRITE && action != SOTTO_ACTION_READ)
        assert_int_equal(si_handshake_message_len(hs, 0), 0);
    assert_int_equal(si_handshake_action(hs), action);
}

size_t write_message(struct si_handshake *hs, size_t payload_len, bool nag)
{
    size_t most = SI_NOISE_MESSAGE_MAX - si_handshake_message_len(hs, 0), want, len = 0;

    if (payload_len == SIZE_MAX)
        payload_len = most;
    want = si_handshake_message_len(hs, payload_len);
    assert_int_equal(want, si_handshake_message_len(hs, 0) + payload_len);
    fill(payload, payload_len, (unsigned)payload_len);
    if (nag) {
        assert_refused_out_of_turn(hs);
        fill(payload, payload_len, (unsigned)payload_len);
        assert_int_equal(
            si_handshake_write(hs, si_span(payload, most + 1), message, sizeof message, &len),
            SOTTO_E_TOO_LARGE);
        for (size_t cap = 0; cap < want; cap += cap + 7 < want ? 7 : want - cap)
            assert_int_equal(
                si_handshake_write(hs, si_span(payload, payload_len), message, cap, &len),
                SOTTO_E_BUFFER);
        assert_int_equal(
            si_handshake_write(hs, si_span(payload, payload_len), message, want - 1, &len),
            SOTTO_E_BUFFER);
    }
    assert_int_equal(si_handshake_write(hs, si_span(payload, payload_len), message, want, &len),
                     SOTTO_OK);
    assert_int_equal(len, want);
    return len;
}

void read_message(struct si_handshake *hs, size_t len, bool nag)
{
    size_t expected = len - si_handshake_message_len(hs, 0), got = 0;

    if (nag) {
        assert_refused_out_of_turn(hs);
        if (expected > 0) {
            assert_int_equal(si_handshake_read(hs, si_span(message, len), result, 0, &got),
                             SOTTO_E_BUFFER);
            assert_int_equal(
                si_handshake_read(hs, si_span(message, len), result, expected - 1, &got),
                SOTTO_E_BUFFER);
        }
    }
    assert_int_equal(si_handshake_read(hs, si_span(message, len), result, expected, &got),
                     SOTTO_OK);
    assert_int_equal(got, expected);
    assert_memory_equal(result, payload, expected);
}
