#include "noise/handshake.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

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
    bool rs_shown;  /* it was known before, or the whole message that carried it has been read */
    bool rs_mixed;  /* a DH with rs is in the key */
    bool rs_proven; /* and the peer has encrypted with that key: it has the private key */

    sotto_psk psk[SI_PSKS_MAX]; /* by position */
    bool has_psk[SI_PSKS_MAX];
    sotto_psk_lookup *psk_lookup;
    void *psk_user;
};

static void wipe_e(struct si_handshake *hs)
{
    si_wipe(&hs->e, sizeof hs->e);
    hs->has_e = false;
}

/* All but e. */
static void wipe_keys(struct si_handshake *hs)
{
    si_symmetric_wipe(&hs->symmetric);
    si_wipe(&hs->s, sizeof hs->s);
    si_wipe(hs->psk, sizeof hs->psk);
}

void si_handshake_free(struct si_handshake *hs)
{
    if (hs == NULL)
        return;
    wipe_keys(hs); /* releases what they hold */
    si_wipe(hs, sizeof *hs);
    free(hs);
}

/*
 * The only way into SOTTO_ACTION_FAILED (section 5: a handshake that failed is deleted).  When the
 * first answer to an initiator does not decrypt, it may belong to a fallback (section 10.5), and
 * the ephemeral key is still wanted.
 */
static sotto_err fail(struct si_handshake *hs, sotto_err err)
{
    hs->failed = true;
    wipe_keys(hs);
    if (hs->role == SI_RESPONDER || hs->turn != 1)
        wipe_e(hs);
    return err;
}

/* Its ephemeral key is another handshake's now, and serves no second one (section 14). */
static void give_away(struct si_handshake *hs)
{
    (void)fail(hs, SOTTO_E_USAGE);
    wipe_e(hs);
    hs->has_re = false;
}

/* ---- What a pattern needs -------------------------------------------------------------------- */

static bool is_ours(const struct si_handshake *hs, unsigned turn)
{
    return (turn % 2 == 0) == (hs->role == SI_INITIATOR);
}

/* What is wrong with a handshake's options, and what to do. */
static sotto_err refuse(const struct si_handshake *hs, sotto_error *error, const char *why,
                        const char *hint)
{
    sotto_err err = si_error(error, SOTTO_E_USAGE, "%s as %s", hs->protocol.name,
                             hs->role == SI_INITIATOR ? "initiator" : "responder");

    si_error_why(error, "%s", why);
    si_error_hint(error, "%s", hint);
    return err;
}

static sotto_err take_static_keys(struct si_handshake *hs, const struct si_handshake_keys *keys,
                                  sotto_error *error)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    bool needs_s = si_pattern_needs_s(pattern, hs->role == SI_INITIATOR);
    bool needs_rs = si_pattern_needs_rs(pattern, hs->role == SI_INITIATOR);

    if ((keys->s == NULL) != (keys->s_public == NULL) || (needs_s && keys->s == NULL))
        return refuse(hs, error, "the own static key pair (s) is missing",
                      "set s: a key pair that was loaded, or made by sotto_keypair_generate()");
    if (!needs_s && keys->s != NULL)
        return refuse(hs, error, "this side has no static key pair (s), but one was given",
                      "leave s out, or choose a pattern in which this side has one");
    if (needs_rs && keys->rs == NULL)
        return refuse(hs, error, "the peer's static key (rs) must be known before, and is missing",
                      "set rs: the peer's public key");
    if (!needs_rs && keys->rs != NULL)
        return refuse(hs, error, "the peer's static key (rs) is not known before in this pattern",
                      "leave rs out, and compare the key with sotto_handshake_remote_static()");

    if (needs_s) {
        hs->s = *keys->s;
        hs->s_public = *keys->s_public;
        hs->has_s = true;
    }
    if (needs_rs) {
        hs->rs = *keys->rs;
        hs->has_rs = hs->rs_shown = true;
    }
    return SOTTO_OK;
}

static sotto_err take_psks(struct si_handshake *hs, const struct si_handshake_keys *keys,
                           sotto_error *error)
{
    sotto_err err;

    hs->psk_lookup = keys->psk_lookup;
    hs->psk_user = keys->psk_user;
    for (unsigned n = 0; n < SI_PSKS_MAX; n++) {
        if (keys->psk[n] != NULL &&
            (err = si_handshake_set_psk(hs, n, keys->psk[n], error)) != SOTTO_OK)
            return err;
    }
    return SOTTO_OK;
}

/*
 * The ephemeral key that was sent before a fallback.  Its sender is the responder now, and was the
 * initiator of a handshake that has written its first message, and may have failed to read the
 * answer.  The initiator was the responder then: it has read that message, with or without success,
 * and has not answered.
 */
static sotto_err take_fallback(struct si_handshake *hs, const struct si_handshake_keys *keys,
                               sotto_error *error)
{
    const struct si_handshake *from = keys->fallback_from;
    bool is_initiator = hs->role == SI_INITIATOR;

    if (!hs->protocol.pattern.responder_e_known && (from != NULL || keys->fallback_re != NULL))
        return refuse(hs, error,
                      "the pattern is no fallback, but what it falls back from was given",
                      "leave fallback_from and fallback_re out, or name a pattern with fallback");
    if (!hs->protocol.pattern.responder_e_known)
        return SOTTO_OK;
    if (from == NULL && !is_initiator)
        return refuse(hs, error, "the handshake before the fallback is missing",
                      "set fallback_from: the handshake that has written its first message");
    if ((from == NULL) == (keys->fallback_re == NULL))
        return refuse(hs, error,
                      "the ephemeral key that was received before the fallback is missing, "
                      "or given twice",
                      "set fallback_from or fallback_re, one of the two");
    if (from == NULL) {
        hs->re = *keys->fallback_re;
        hs->has_re = true;
        return SOTTO_OK;
    }

    if (from->protocol.dh->curve != hs->protocol.dh->curve)
        return refuse(hs, error, "the handshake before the fallback is on another curve",
                      "fall back to a protocol on the same curve");
    if (from->role == hs->role)
        return refuse(hs, error, "a fallback reverses the roles, and both handshakes have the same",
                      "who was the initiator is the responder now");
    if (from->done ||
        (is_initiator ? !from->has_re || from->turn > 1 : !from->has_e || from->turn != 1))
        return refuse(hs, error,
                      "the handshake before the fallback has not come as far as its first message, "
                      "or further",
                      "fall back when the first message has been written or read, and no other");
    /* What else it holds, a re out of an answer that did not decrypt, does not count any more. */
    if (is_initiator) {
        hs->re = from->re;
        hs->has_re = true;
    } else {
        hs->e = from->e;
        hs->e_public = from->e_public;
        hs->has_e = true;
    }
    return SOTTO_OK;
}

static struct si_span public_span(const struct si_handshake *hs, const struct si_public_key *key)
{
    return si_span(key->bytes, hs->protocol.dh->len);
}

/* e, own or remote, is hashed; in a psk handshake it is also mixed into the key (section 9.2). */
static sotto_err mix_e(struct si_handshake *hs, const struct si_public_key *e)
{
    sotto_err err = si_mix_hash(&hs->symmetric, public_span(hs, e));

    if (err == SOTTO_OK && hs->protocol.pattern.psks > 0)
        err = si_mix_key(&hs->symmetric, public_span(hs, e));
    return err;
}

/* Pre-messages: the initiator's key first (section 5.3), and "e" before "s" (section 7.1). */
static sotto_err mix_pre_messages(struct si_handshake *hs)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    bool initiator = hs->role == SI_INITIATOR;
    sotto_err err = SOTTO_OK;

    if (pattern->initiator_s_known)
        err = si_mix_hash(&hs->symmetric, public_span(hs, initiator ? &hs->s_public : &hs->rs));
    if (err == SOTTO_OK && pattern->responder_e_known)
        err = mix_e(hs, initiator ? &hs->re : &hs->e_public);
    if (err == SOTTO_OK && pattern->responder_s_known)
        err = si_mix_hash(&hs->symmetric, public_span(hs, initiator ? &hs->rs : &hs->s_public));
    return err;
}

sotto_err si_handshake_new(const struct si_protocol *protocol, enum si_role role,
                           struct si_span prologue, const struct si_handshake_keys *keys,
                           struct si_handshake **out, sotto_error *error)
{
    struct si_handshake *hs = calloc(1, sizeof *hs);
    sotto_err err;

    *out = NULL;
    if (hs == NULL)
        return si_error(error, SOTTO_E_NOMEM, "a Noise handshake");
    hs->protocol = *protocol;
    hs->role = role;
    if ((err = take_static_keys(hs, keys, error)) != SOTTO_OK ||
        (err = take_psks(hs, keys, error)) != SOTTO_OK ||
        (err = take_fallback(hs, keys, error)) != SOTTO_OK)
        goto out;
    if ((err = si_symmetric_init(&hs->symmetric, &hs->protocol)) != SOTTO_OK ||
        (err = si_mix_hash(&hs->symmetric, prologue)) != SOTTO_OK ||
        (err = mix_pre_messages(hs)) != SOTTO_OK) {
        (void)si_error(error, err, "%s", hs->protocol.name);
        si_error_why(error, "%s", sotto_strerror(err));
        goto out;
    }
    if (keys->fallback_from != NULL)
        give_away(keys->fallback_from);
    *out = hs;
    hs = NULL;
out:
    si_handshake_free(hs);
    return err;
}

sotto_action si_handshake_action(const struct si_handshake *hs)
{
    if (hs->failed)
        return SOTTO_ACTION_FAILED;
    if (hs->done)
        return SOTTO_ACTION_DONE;
    if (hs->turn == hs->protocol.pattern.turns)
        return SOTTO_ACTION_SPLIT;
    return is_ours(hs, hs->turn) ? SOTTO_ACTION_WRITE : SOTTO_ACTION_READ;
}

/* ---- Lengths --------------------------------------------------------------------------------- */

static bool is_dh(unsigned char token)
{
    return token == SI_TOKEN_EE || token == SI_TOKEN_ES || token == SI_TOKEN_SE ||
           token == SI_TOKEN_SS;
}

/* The length of the next message's keys; *HAS_KEY says whether its payload is encrypted. */
static size_t keys_len(const struct si_handshake *hs, bool *has_key)
{
    const struct si_pattern *pattern = &hs->protocol.pattern;
    const unsigned char *token;
    size_t len = 0;

    *has_key = hs->symmetric.cipher.has_key;
    for (token = pattern->turn[hs->turn]; *token != SI_TOKEN_END; token++) {
        if (*token == SI_TOKEN_E)
            len += hs->protocol.dh->len;
        if (*token == SI_TOKEN_S)
            len += hs->protocol.dh->len + (*has_key ? SI_TAG_LEN : 0);
        *has_key = *has_key || is_dh(*token) || *token == SI_TOKEN_PSK ||
                   (*token == SI_TOKEN_E && pattern->psks > 0);
    }
    return len;
}

static bool has_next(const struct si_handshake *hs)
{
    return !hs->failed && hs->turn < hs->protocol.pattern.turns;
}

size_t si_handshake_message_len(const struct si_handshake *hs, size_t payload_len)
{
    bool has_key;
    size_t len;

    if (!has_next(hs))
        return 0;
    len = keys_len(hs, &has_key);
    return len + payload_len + (has_key ? SI_TAG_LEN : 0);
}

bool si_handshake_payload_encrypted(const struct si_handshake *hs)
{
    bool has_key = false;

    if (has_next(hs))
        (void)keys_len(hs, &has_key);
    return has_key;
}

/* ---- PSKs ------------------------------------------------------------------------------------ */

bool si_handshake_lacks_psk(const struct si_handshake *hs, unsigned *n)
{
    const unsigned char *turn;

    if (!has_next(hs) || hs->psk_lookup != NULL)
        return false;
    turn = hs->protocol.pattern.turn[hs->turn];
    for (unsigned i = 0; turn[i] != SI_TOKEN_END; i++) {
        *n = si_psk_position(hs->turn, i);
        if (turn[i] == SI_TOKEN_PSK && !hs->has_psk[*n])
            return true;
    }
    return false;
}

sotto_err si_handshake_set_psk(struct si_handshake *hs, unsigned n, const sotto_psk *psk,
                               sotto_error *error)
{
    /* psk0 and psk1 are both in the first message */
    unsigned turn = n == 0 ? 0 : n - 1;
    char why[64] = "";

    if (!si_pattern_has_psk(&hs->protocol.pattern, n))
        (void)snprintf(why, sizeof why, "the pattern has no PSK at position %u (psk%u)", n, n);
    else if (hs->failed || hs->done || hs->turn > turn)
        (void)snprintf(why, sizeof why, "the message with psk%u has gone by", n);
    else if (hs->has_psk[n])
        (void)snprintf(why, sizeof why, "psk%u was given before", n);
    if (why[0] != '\0')
        return refuse(hs, error, why, "sotto_protocol_describe() tells the positions of the PSKs");
    hs->psk[n] = *psk;
    hs->has_psk[n] = true;
    return SOTTO_OK;
}

static sotto_err look_up_psk(struct si_handshake *hs, unsigned n)
{
    sotto_public_key rs = {.curve = hs->protocol.dh->curve}, re = {.curve = hs->protocol.dh->curve};
    sotto_psk_request request = {.position = n, .rs_proven = hs->rs_proven};
    sotto_err err;

    if (hs->has_rs) {
        memcpy(rs.bytes, hs->rs.bytes, sizeof rs.bytes);
        request.rs = &rs;
    }
    if (hs->has_re) {
        memcpy(re.bytes, hs->re.bytes, sizeof re.bytes);
        request.re = &re;
    }
    /* A lookup that forgets to write must not leave a PSK that everybody can guess. */
    if ((err = si_random(hs->psk[n].bytes, SOTTO_PSK_LEN)) != SOTTO_OK)
        return err;
    /* Its own errors might be taken for those that change nothing. */
    return hs->psk_lookup(hs->psk_user, &request, &hs->psk[n]) == SOTTO_OK ? SOTTO_OK : SOTTO_E_KEY;
}

static sotto_err mix_psk(struct si_handshake *hs, unsigned n)
{
    sotto_err err = hs->has_psk[n] ? SOTTO_OK : look_up_psk(hs, n);

    if (err == SOTTO_OK)
        err = si_mix_key_and_hash(&hs->symmetric, &hs->psk[n]);
    si_wipe(&hs->psk[n], sizeof hs->psk[n]);
    return err;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

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
    hs->rs_mixed = hs->rs_mixed || (peer_s && err == SOTTO_OK);
    return err;
}

/* Write the token at PLACE of this message at *AT and move *AT behind it. */
static sotto_err write_token(struct si_handshake *hs, unsigned place, uint8_t **at)
{
    unsigned char token = hs->protocol.pattern.turn[hs->turn][place];
    size_t dh_len = hs->protocol.dh->len, len;
    sotto_err err;

    switch (token) {
    case SI_TOKEN_E:
        if (hs->has_e)
            return SOTTO_E_USAGE;
        if ((err = hs->protocol.dh->generate(hs->protocol.dh, &hs->e, &hs->e_public)) != SOTTO_OK)
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
        return mix_psk(hs, si_psk_position(hs->turn, place));
    default:
        return mix_dh(hs, token);
    }
}

/* Read the token at PLACE of this message from the front of REST. */
static sotto_err read_token(struct si_handshake *hs, unsigned place, struct si_span *rest)
{
    unsigned char token = hs->protocol.pattern.turn[hs->turn][place];
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
        return mix_psk(hs, si_psk_position(hs->turn, place));
    default:
        return mix_dh(hs, token);
    }
}

/* ---- Messages -------------------------------------------------------------------------------- */

sotto_err si_handshake_write(struct si_handshake *hs, struct si_span payload, uint8_t *out,
                             size_t cap, size_t *len)
{
    const unsigned char *turn;
    uint8_t *at = out;
    size_t total;
    unsigned n;
    sotto_err err = SOTTO_OK;

    *len = 0;
    if (si_handshake_action(hs) != SOTTO_ACTION_WRITE || si_handshake_lacks_psk(hs, &n))
        return SOTTO_E_USAGE;
    if (payload.len > SI_NOISE_MESSAGE_MAX ||
        (total = si_handshake_message_len(hs, payload.len)) > SI_NOISE_MESSAGE_MAX)
        return SOTTO_E_TOO_LARGE;
    if (total > cap)
        return SOTTO_E_BUFFER;

    turn = hs->protocol.pattern.turn[hs->turn];
    for (unsigned i = 0; turn[i] != SI_TOKEN_END && err == SOTTO_OK; i++)
        err = write_token(hs, i, &at);
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
    const unsigned char *turn;
    struct si_span rest = message;
    size_t least, payload_len;
    unsigned n;
    sotto_err err = SOTTO_OK;

    *len = 0;
    if (si_handshake_action(hs) != SOTTO_ACTION_READ || si_handshake_lacks_psk(hs, &n))
        return SOTTO_E_USAGE;
    least = si_handshake_message_len(hs, 0);
    if (message.len < least || message.len > SI_NOISE_MESSAGE_MAX)
        return fail(hs, SOTTO_E_AUTH);
    payload_len = message.len - least;
    if (payload_len > cap)
        return SOTTO_E_BUFFER;

    turn = hs->protocol.pattern.turn[hs->turn];
    for (unsigned i = 0; turn[i] != SI_TOKEN_END && err == SOTTO_OK; i++)
        err = read_token(hs, i, &rest);
    if (err == SOTTO_OK)
        err = si_decrypt_and_hash(&hs->symmetric, rest.ptr, rest.len, out);
    if (err != SOTTO_OK) {
        si_wipe(out, payload_len);
        return fail(hs, err);
    }
    hs->rs_shown = hs->has_rs;
    hs->rs_proven = hs->rs_mixed;
    hs->turn++;
    *len = payload_len;
    return SOTTO_OK;
}

const struct si_protocol *si_handshake_protocol(const struct si_handshake *hs)
{
    return &hs->protocol;
}

enum si_role si_handshake_role(const struct si_handshake *hs)
{
    return hs->role;
}

unsigned si_handshake_turn(const struct si_handshake *hs)
{
    return hs->turn;
}

bool si_handshake_remote_proven(const struct si_handshake *hs)
{
    return hs->rs_proven && !hs->failed;
}

sotto_err si_handshake_split(struct si_handshake *hs, struct si_cipher_state *tx,
                             struct si_cipher_state *rx, uint8_t h[SI_HASH_LEN_MAX], size_t *h_len)
{
    bool initiator = hs->role == SI_INITIATOR;
    sotto_err err;

    *h_len = 0;
    if (si_handshake_action(hs) != SOTTO_ACTION_SPLIT)
        return SOTTO_E_USAGE;
    err = si_split(&hs->symmetric, initiator ? tx : rx, initiator ? rx : tx);
    if (err != SOTTO_OK)
        return fail(hs, err);
    *h_len = hs->symmetric.hash->len;
    memcpy(h, hs->symmetric.h, *h_len);
    wipe_keys(hs);
    wipe_e(hs);
    hs->done = true;
    return SOTTO_OK;
}

const struct si_public_key *si_handshake_remote_static(const struct si_handshake *hs)
{
    return hs->rs_shown && !hs->failed ? &hs->rs : NULL;
}
