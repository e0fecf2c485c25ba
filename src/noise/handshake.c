#include "noise/handshake.h"

#include <stdlib.h>

struct si_handshake {
    struct si_protocol protocol;
    enum si_role role;
    bool failed;
    bool done;     /* split */
    unsigned turn; /* messages so far; <= pattern.turns */
    struct si_symmetric symmetric;

    struct si_private_key s, e;
    struct si_public_key s_public, e_public, rs, re;
    bool has_s, has_e, has_rs, has_re;
    bool rs_authentic; /* the whole message that carried rs has been checked */

    sotto_psk psks[SI_PSKS_MAX];
    size_t psk_next;
};

/* ---- What a pattern needs -------------------------------------------------------------------- */

static bool is_ours(const struct si_handshake *hs, unsigned turn)
{
    return (turn % 2 == 0) == (hs->role == SI_INITIATOR);
}

/* Does PARTY's static key travel in a message of the pattern? */
static bool transmits_s(const struct si_pattern *pattern, enum si_role party)
{
    for (unsigned turn = party == SI_INITIATOR ? 0 : 1; turn < pattern->turns; turn += 2) {
        if (memchr(pattern->turn[turn], SI_TOKEN_S, SI_TOKENS_MAX) != NULL)
            return true;
    }
    return false;
}

static bool knows_s(const struct si_pattern *pattern, enum si_role party)
{
    return party == SI_INITIATOR ? pattern->initiator_s_known : pattern->responder_s_known;
}

static sotto_err take_keys(struct si_handshake *hs, const struct si_handshake_keys *keys)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    enum si_role peer = hs->role == SI_INITIATOR ? SI_RESPONDER : SI_INITIATOR;
    bool needs_s = transmits_s(pattern, hs->role) || knows_s(pattern, hs->role);

    if ((keys->s == NULL) != (keys->s_public == NULL) || (keys->s != NULL) != needs_s ||
        (keys->rs != NULL) != knows_s(pattern, peer) || keys->psk_count != pattern->psks)
        return SOTTO_E_USAGE;

    if (keys->s != NULL) {
        hs->s = *keys->s;
        hs->s_public = *keys->s_public;
        hs->has_s = true;
    }
    if (keys->rs != NULL) {
        hs->rs = *keys->rs;
        hs->has_rs = hs->rs_authentic = true;
    }
    for (size_t i = 0; i < keys->psk_count; i++)
        hs->psks[i] = keys->psks[i];
    return SOTTO_OK;
}

static struct si_span public_span(const struct si_handshake *hs, const struct si_public_key *key)
{
    return si_span(key->bytes, hs->protocol.dh->len);
}

/* Pre-messages: the initiator's key first (section 5.3). */
static sotto_err mix_pre_messages(struct si_handshake *hs)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    bool initiator = hs->role == SI_INITIATOR;
    sotto_err err = SOTTO_OK;

    if (pattern->initiator_s_known)
        err = si_mix_hash(&hs->symmetric, public_span(hs, initiator ? &hs->s_public : &hs->rs));
    if (err == SOTTO_OK && pattern->responder_s_known)
        err = si_mix_hash(&hs->symmetric, public_span(hs, initiator ? &hs->rs : &hs->s_public));
    return err;
}

sotto_err si_handshake_new(const struct si_protocol *protocol, enum si_role role,
                           struct si_span prologue, const struct si_handshake_keys *keys,
                           struct si_handshake **out)
{
    struct si_handshake *hs = calloc(1, sizeof *hs);
    sotto_err err;

    *out = NULL;
    if (hs == NULL)
        return SOTTO_E_NOMEM;
    hs->protocol = *protocol;
    hs->role = role;
    if ((err = take_keys(hs, keys)) != SOTTO_OK ||
        (err = si_symmetric_init(&hs->symmetric, &hs->protocol)) != SOTTO_OK ||
        (err = si_mix_hash(&hs->symmetric, prologue)) != SOTTO_OK ||
        (err = mix_pre_messages(hs)) != SOTTO_OK) {
        si_handshake_free(hs);
        return err;
    }
    *out = hs;
    return SOTTO_OK;
}

static void wipe_keys(struct si_handshake *hs)
{
    si_symmetric_wipe(&hs->symmetric);
    si_wipe(&hs->s, sizeof hs->s);
    si_wipe(&hs->e, sizeof hs->e);
    si_wipe(hs->psks, sizeof hs->psks);
}

void si_handshake_free(struct si_handshake *hs)
{
    if (hs == NULL)
        return;
    wipe_keys(hs);
    si_wipe(hs, sizeof *hs);
    free(hs);
}

/* The only way into SI_ACTION_FAILED (section 5: a handshake that failed is deleted). */
static sotto_err fail(struct si_handshake *hs, sotto_err err)
{
    hs->failed = true;
    wipe_keys(hs);
    return err;
}

enum si_action si_handshake_action(const struct si_handshake *hs)
{
    if (hs->failed)
        return SI_ACTION_FAILED;
    if (hs->done)
        return SI_ACTION_NONE;
    if (hs->turn == hs->protocol.pattern.turns)
        return SI_ACTION_SPLIT;
    return is_ours(hs, hs->turn) ? SI_ACTION_WRITE : SI_ACTION_READ;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static bool is_dh(unsigned char token)
{
    return token == SI_TOKEN_EE || token == SI_TOKEN_ES || token == SI_TOKEN_SE ||
           token == SI_TOKEN_SS;
}

size_t si_handshake_message_len(const struct si_handshake *hs, size_t payload_len)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    const unsigned char *token;
    bool has_key = hs->symmetric.cipher.has_key;
    size_t len = payload_len;

    if (hs->failed || hs->turn >= pattern->turns)
        return 0;
    for (token = pattern->turn[hs->turn]; *token != SI_TOKEN_END; token++) {
        if (*token == SI_TOKEN_E)
            len += hs->protocol.dh->len;
        if (*token == SI_TOKEN_S)
            len += hs->protocol.dh->len + (has_key ? SI_TAG_LEN : 0);
        has_key = has_key || is_dh(*token) || *token == SI_TOKEN_PSK ||
                  (*token == SI_TOKEN_E && pattern->psks > 0);
    }
    return len + (has_key ? SI_TAG_LEN : 0);
}

/*
 * Mix in the result of one Diffie-Hellman.  The first letter of a token is the initiator's key, the
 * second the responder's, whichever of them we are (section 5.3).
 */
static sotto_err mix_dh(struct si_handshake *hs, unsigned char token)
{
    bool initiator = hs->role == SI_INITIATOR;
    bool own_s = token == SI_TOKEN_SS || token == (initiator ? SI_TOKEN_SE : SI_TOKEN_ES);
    bool peer_s = token == SI_TOKEN_SS || token == (initiator ? SI_TOKEN_ES : SI_TOKEN_SE);
    struct si_shared_secret shared;
    sotto_err err;

    if (!(own_s ? hs->has_s : hs->has_e) || !(peer_s ? hs->has_rs : hs->has_re))
        return SOTTO_E_USAGE;
    err = hs->protocol.dh->exchange(&shared, own_s ? &hs->s : &hs->e, peer_s ? &hs->rs : &hs->re);
    if (err == SOTTO_OK)
        err = si_mix_key(&hs->symmetric, si_span(shared.bytes, hs->protocol.dh->len));
    si_wipe(&shared, sizeof shared);
    return err;
}

/* e, own or remote, is hashed; in a psk handshake it is also mixed into the key (section 9.2). */
static sotto_err mix_e(struct si_handshake *hs, const struct si_public_key *e)
{
    sotto_err err = si_mix_hash(&hs->symmetric, public_span(hs, e));

    if (err == SOTTO_OK && hs->protocol.pattern.psks > 0)
        err = si_mix_key(&hs->symmetric, public_span(hs, e));
    return err;
}

static sotto_err mix_psk(struct si_handshake *hs)
{
    return si_mix_key_and_hash(&hs->symmetric, &hs->psks[hs->psk_next++]);
}

/* Write one token at *AT and move *AT behind it. */
static sotto_err write_token(struct si_handshake *hs, unsigned char token, uint8_t **at)
{
    size_t dh_len = hs->protocol.dh->len, len;
    sotto_err err;

    switch (token) {
    case SI_TOKEN_E:
        if (hs->has_e)
            return SOTTO_E_USAGE;
        if ((err = hs->protocol.dh->generate(&hs->e, &hs->e_public)) != SOTTO_OK)
            return err;
        hs->has_e = true;
        memcpy(*at, hs->e_public.bytes, dh_len);
        *at += dh_len;
        return mix_e(hs, &hs->e_public);
    case SI_TOKEN_S:
        len = dh_len + si_cipher_overhead(&hs->symmetric.cipher);
        err = si_encrypt_and_hash(&hs->symmetric, hs->s_public.bytes, dh_len, *at);
        *at += len;
        return err;
    case SI_TOKEN_PSK:
        return mix_psk(hs);
    default:
        return mix_dh(hs, token);
    }
}

/* Read one token from the front of REST. */
static sotto_err read_token(struct si_handshake *hs, unsigned char token, struct si_span *rest)
{
    size_t dh_len = hs->protocol.dh->len, len;
    sotto_err err;

    switch (token) {
    case SI_TOKEN_E:
        if (hs->has_re)
            return SOTTO_E_USAGE;
        memcpy(hs->re.bytes, rest->ptr, dh_len);
        hs->has_re = true;
        rest->ptr += dh_len;
        rest->len -= dh_len;
        return mix_e(hs, &hs->re);
    case SI_TOKEN_S:
        if (hs->has_rs)
            return SOTTO_E_USAGE;
        len = dh_len + si_cipher_overhead(&hs->symmetric.cipher);
        err = si_decrypt_and_hash(&hs->symmetric, rest->ptr, len, hs->rs.bytes);
        hs->has_rs = err == SOTTO_OK;
        rest->ptr += len;
        rest->len -= len;
        return err;
    case SI_TOKEN_PSK:
        return mix_psk(hs);
    default:
        return mix_dh(hs, token);
    }
}

/* ---- Messages -------------------------------------------------------------------------------- */

sotto_err si_handshake_write(struct si_handshake *hs, struct si_span payload, uint8_t *out,
                             size_t cap, size_t *len)
{
    const unsigned char *token;
    uint8_t *at = out;
    size_t total;
    sotto_err err = SOTTO_OK;

    *len = 0;
    if (si_handshake_action(hs) != SI_ACTION_WRITE)
        return SOTTO_E_USAGE;
    if (payload.len > SI_NOISE_MESSAGE_MAX ||
        (total = si_handshake_message_len(hs, payload.len)) > SI_NOISE_MESSAGE_MAX)
        return SOTTO_E_TOO_LARGE;
    if (total > cap)
        return SOTTO_E_BUFFER;

    for (token = hs->protocol.pattern.turn[hs->turn]; *token != SI_TOKEN_END && err == SOTTO_OK;
         token++)
        err = write_token(hs, *token, &at);
    if (err == SOTTO_OK)
        err = si_encrypt_and_hash(&hs->symmetric, payload.ptr, payload.len, at);
    if (err != SOTTO_OK) {
        si_wipe(out, total);
        return fail(hs, err);
    }
    hs->turn++;
    *len = total;
    return SOTTO_OK;
}

sotto_err si_handshake_read(struct si_handshake *hs, struct si_span message, uint8_t *out,
                            size_t cap, size_t *len)
{
    const unsigned char *token;
    struct si_span rest = message;
    size_t least, payload_len;
    sotto_err err = SOTTO_OK;

    *len = 0;
    if (si_handshake_action(hs) != SI_ACTION_READ)
        return SOTTO_E_USAGE;
    least = si_handshake_message_len(hs, 0);
    if (message.len < least || message.len > SI_NOISE_MESSAGE_MAX)
        return fail(hs, SOTTO_E_AUTH);
    payload_len = message.len - least;
    if (payload_len > cap)
        return SOTTO_E_BUFFER;

    for (token = hs->protocol.pattern.turn[hs->turn]; *token != SI_TOKEN_END && err == SOTTO_OK;
         token++)
        err = read_token(hs, *token, &rest);
    if (err == SOTTO_OK)
        err = si_decrypt_and_hash(&hs->symmetric, rest.ptr, rest.len, out);
    if (err != SOTTO_OK) {
        si_wipe(out, payload_len);
        return fail(hs, err);
    }
    hs->rs_authentic = hs->has_rs;
    hs->turn++;
    *len = payload_len;
    return SOTTO_OK;
}

sotto_err si_handshake_split(struct si_handshake *hs, struct si_cipher_state *tx,
                             struct si_cipher_state *rx, uint8_t h[SI_HASH_LEN_MAX], size_t *h_len)
{
    bool initiator = hs->role == SI_INITIATOR;
    sotto_err err;

    *h_len = 0;
    if (si_handshake_action(hs) != SI_ACTION_SPLIT)
        return SOTTO_E_USAGE;
    err = si_split(&hs->symmetric, initiator ? tx : rx, initiator ? rx : tx);
    if (err != SOTTO_OK)
        return fail(hs, err);
    *h_len = hs->symmetric.hash->len;
    memcpy(h, hs->symmetric.h, *h_len);
    wipe_keys(hs);
    hs->done = true;
    return SOTTO_OK;
}

const struct si_public_key *si_handshake_remote_static(const struct si_handshake *hs)
{
    return hs->has_rs && hs->rs_authentic && !hs->failed ? &hs->rs : NULL;
}
