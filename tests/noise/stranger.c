#include "stranger.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

/* ---- Primitives ------------------------------------------------------------------------------ */

void x25519_public(const uint8_t private_key[DHLEN], uint8_t out[DHLEN])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, DHLEN);
    size_t len = DHLEN;

    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, out, &len), 1);
    EVP_PKEY_free(key);
}

/* With a point of low order OpenSSL computes nothing, and everybody knows the result: zeros. */
static void x25519(const uint8_t private_key[DHLEN], const uint8_t public_key[DHLEN],
                   uint8_t out[DHLEN])
{
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, DHLEN);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, DHLEN);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t len = DHLEN;

    assert_true(own != NULL && peer != NULL && ctx != NULL);
    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
    if (EVP_PKEY_derive(ctx, out, &len) != 1)
        memset(out, 0, DHLEN);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(own);
}

static void hmac(const uint8_t key[HASHLEN], const void *data, size_t len, uint8_t out[HASHLEN])
{
    assert_non_null(HMAC(EVP_sha256(), key, HASHLEN, data, len, out, NULL));
}

/* Noise 4.3. */
static void hkdf(const uint8_t ck[HASHLEN], const void *input, size_t len, unsigned outputs,
                 uint8_t out[3][HASHLEN])
{
    uint8_t temp[HASHLEN], block[HASHLEN + 1];

    hmac(ck, input, len, temp);
    for (uint8_t i = 0; i < outputs; i++) {
        if (i > 0)
            memcpy(block, out[i - 1], HASHLEN);
        block[i > 0 ? HASHLEN : 0] = (uint8_t)(i + 1);
        hmac(temp, block, i > 0 ? HASHLEN + 1 : 1, out[i]);
    }
}

static void nonce_bytes(uint64_t n, uint8_t out[12])
{
    memset(out, 0, 12);
    for (unsigned i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(n >> 8 * i);
}

static bool aead(bool seal, const uint8_t k[HASHLEN], uint64_t n, const uint8_t *ad, size_t ad_len,
                 const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t iv[12], none[1];
    int got, ok;

    nonce_bytes(n, iv);
    assert_non_null(ctx);
    assert_int_equal(EVP_CipherInit_ex2(ctx, EVP_chacha20_poly1305(), k, iv, seal, NULL), 1);
    if (!seal)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag), 1);
    if (ad_len > 0)
        assert_int_equal(EVP_CipherUpdate(ctx, NULL, &got, ad, (int)ad_len), 1);
    if (len > 0)
        assert_int_equal(EVP_CipherUpdate(ctx, out, &got, in, (int)len), 1);
    ok = EVP_CipherFinal_ex(ctx, none, &got);
    if (seal)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
    EVP_CIPHER_CTX_free(ctx);
    return ok == 1;
}

/* ---- Symmetric state (Noise 5.2) ------------------------------------------------------------- */

static void mix_hash(struct stranger *st, const void *data, size_t len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    assert_non_null(md);
    assert_int_equal(EVP_DigestInit_ex2(md, EVP_sha256(), NULL), 1);
    assert_int_equal(EVP_DigestUpdate(md, st->h, HASHLEN), 1);
    assert_int_equal(EVP_DigestUpdate(md, data, len), 1);
    assert_int_equal(EVP_DigestFinal_ex(md, st->h, NULL), 1);
    EVP_MD_CTX_free(md);
}

static void mix_key(struct stranger *st, const void *input, size_t len)
{
    uint8_t out[3][HASHLEN];

    hkdf(st->ck, input, len, 2, out);
    memcpy(st->ck, out[0], HASHLEN);
    memcpy(st->k, out[1], HASHLEN);
    st->keyed = true;
    st->n = 0;
}

static void mix_key_and_hash(struct stranger *st, const sotto_psk *psk)
{
    uint8_t out[3][HASHLEN];

    hkdf(st->ck, psk->bytes, SOTTO_PSK_LEN, 3, out);
    memcpy(st->ck, out[0], HASHLEN);
    mix_hash(st, out[1], HASHLEN);
    memcpy(st->k, out[2], HASHLEN);
    st->keyed = true;
    st->n = 0;
}

static void append_encrypted(struct stranger *st, const void *plain, size_t len,
                             struct text *message)
{
    uint8_t *out = message->bytes + message->len;

    if (st->keyed) {
        aead(true, st->k, st->n++, st->h, HASHLEN, plain, len, out, out + len);
        len += 16;
    } else if (len > 0) {
        memcpy(out, plain, len);
    }
    mix_hash(st, out, len);
    message->len += len;
}

/* LEN: of the plaintext. */
static bool take_encrypted(struct stranger *st, const uint8_t *in, size_t len, uint8_t *plain)
{
    bool ok = true;
    uint8_t tag[16];

    if (st->keyed) {
        memcpy(tag, in + len, 16);
        ok = aead(false, st->k, st->n++, st->h, HASHLEN, in, len, plain, tag);
        len += 16;
    } else {
        memcpy(plain, in, len);
    }
    mix_hash(st, in, len);
    return ok;
}

/* ---- Handshake state (Noise 5.3) ------------------------------------------------------------- */

struct stranger_keys stranger_honest_keys(int side)
{
    struct stranger_keys keys;
    uint8_t raw[SOTTO_KEY_LEN_MAX];

    memset(&keys, 0, sizeof keys);
    fill(raw, sizeof raw, SOTTO_CURVE_25519 * 10 + (unsigned)side);
    memcpy(keys.s_private, raw, DHLEN);
    x25519_public(keys.s_private, keys.s_public);
    memcpy(keys.rs, public_key(SOTTO_CURVE_25519, !side)->bytes, DHLEN);
    fill(keys.e_private, DHLEN, 4711 + (unsigned)side);
    x25519_public(keys.e_private, keys.e_public);
    return keys;
}

static void mix_e(struct stranger *st, const uint8_t *e)
{
    mix_hash(st, e, DHLEN);
    if (st->m.psks != 0)
        mix_key(st, e, DHLEN); /* Noise 9.2 */
}

void stranger_begin(struct stranger *st, const struct model *m, int side,
                    const struct stranger_keys *keys)
{
    size_t len = strlen(m->name);

    memset(st, 0, sizeof *st);
    st->m = *m;
    st->side = side;
    st->keys = *keys;
    if (len <= HASHLEN)
        memcpy(st->h, m->name, len);
    else
        SHA256((const uint8_t *)m->name, len, st->h);
    memcpy(st->ck, st->h, HASHLEN);
    mix_hash(st, "before", 6);
    for (int of = 0; of < 2; of++) {
        if (m->pre_e[of])
            mix_e(st, of == side ? keys->e_public : keys->re);
        if (m->pre_s[of])
            mix_hash(st, of == side ? keys->s_public : keys->rs, DHLEN);
    }
}

/* A DH between a key of the initiator and one of the responder. */
static void mix_dh(struct stranger *st, bool initiator_s, bool responder_s)
{
    bool own_s = st->side == INITIATOR ? initiator_s : responder_s;
    bool peer_s = st->side == INITIATOR ? responder_s : initiator_s;
    uint8_t out[DHLEN];

    x25519(own_s ? st->keys.s_private : st->keys.e_private, peer_s ? st->keys.rs : st->keys.re,
           out);
    mix_key(st, out, DHLEN);
}

/* The tokens that are the same for both. */
static void mix_token(struct stranger *st, enum token token, unsigned *position)
{
    if (token == EE || token == ES || token == SE || token == SS)
        mix_dh(st, token == SE || token == SS, token == ES || token == SS);
    if (token == PSK) {
        while ((st->m.psks >> *position & 1) == 0)
            ++*position;
        mix_key_and_hash(st, psk_at((*position)++));
    }
}

static unsigned first_position(const struct stranger *st)
{
    return st->at == 0 ? 0 : st->at + 1;
}

void stranger_write(struct stranger *st, const void *payload, size_t len, struct text *message)
{
    unsigned position = first_position(st);

    message->len = 0;
    for (const enum token *token = st->m.tokens[st->at]; *token != NONE; token++) {
        if (*token == E) {
            memcpy(message->bytes + message->len, st->keys.e_public, DHLEN);
            message->len += DHLEN;
            mix_e(st, st->keys.e_public);
        } else if (*token == S) {
            append_encrypted(st, st->keys.s_public, DHLEN, message);
        } else {
            mix_token(st, *token, &position);
        }
    }
    append_encrypted(st, payload, len, message);
    st->at++;
}

bool stranger_read(struct stranger *st, const struct text *message, struct text *payload)
{
    unsigned position = first_position(st);
    const uint8_t *at = message->bytes;
    size_t left;

    for (const enum token *token = st->m.tokens[st->at]; *token != NONE; token++) {
        if (*token == E) {
            memcpy(st->keys.re, at, DHLEN);
            at += DHLEN;
            mix_e(st, st->keys.re);
        } else if (*token == S) {
            size_t len = DHLEN + (st->keyed ? 16 : 0);

            if (!take_encrypted(st, at, DHLEN, st->keys.rs))
                return false;
            at += len;
        } else {
            mix_token(st, *token, &position);
        }
    }
    st->at++;
    left = message->len - (size_t)(at - message->bytes);
    payload->len = left - (st->keyed ? 16 : 0);
    return take_encrypted(st, at, payload->len, payload->bytes);
}

bool stranger_ended(const struct stranger *st)
{
    return st->at == st->m.messages;
}

void stranger_split(const struct stranger *st, uint8_t sends[HASHLEN], uint8_t receives[HASHLEN])
{
    uint8_t out[3][HASHLEN];

    hkdf(st->ck, "", 0, 2, out);
    memcpy(sends, out[st->side == INITIATOR ? 0 : 1], HASHLEN);
    memcpy(receives, out[st->side == INITIATOR ? 1 : 0], HASHLEN);
}

void stranger_seal(const uint8_t k[HASHLEN], uint64_t nonce, const void *plain, size_t len,
                   struct text *message)
{
    aead(true, k, nonce, NULL, 0, plain, len, message->bytes, message->bytes + len);
    message->len = len + 16;
}

bool stranger_open(const uint8_t k[HASHLEN], uint64_t nonce, const struct text *message,
                   struct text *plain)
{
    uint8_t tag[16];

    if (message->len < 16)
        return false;
    plain->len = message->len - 16;
    memcpy(tag, message->bytes + plain->len, 16);
    return aead(false, k, nonce, NULL, 0, message->bytes, plain->len, plain->bytes, tag);
}

void stranger_rekey(uint8_t k[HASHLEN])
{
    static const uint8_t zeros[HASHLEN];
    uint8_t out[HASHLEN], tag[16];

    aead(true, k, UINT64_MAX, NULL, 0, zeros, HASHLEN, out, tag);
    memcpy(k, out, HASHLEN);
}

sotto_handshake *stranger_meets(const char *pattern, int ours, uint8_t sends[HASHLEN],
                                uint8_t receives[HASHLEN])
{
    static struct text message, payload;
    struct model m = model_of(pattern, false, 0, fast_suite());
    struct stranger_keys keys = stranger_honest_keys(!ours);
    sotto_handshake_options o;
    struct stranger st;
    struct pair p;

    pair_prepare(&p, &m);
    o = pair_options(&p, ours);
    assert_int_equal(sotto_handshake_new(&o, &p.hs[ours], NULL), SOTTO_OK);
    stranger_begin(&st, &m, !ours, &keys);
    for (; !walk_ended(&p.walk); walk_on(&p.walk))
        if (walk_sender(&p.walk) == ours) {
            assert_int_equal(hs_write(p.hs[ours], NULL, 0, &message), SOTTO_OK);
            assert_true(stranger_read(&st, &message, &payload));
        } else {
            stranger_write(&st, NULL, 0, &message);
            assert_int_equal(hs_read(p.hs[ours], &message, &payload), SOTTO_OK);
        }
    stranger_split(&st, sends, receives);
    return p.hs[ours];
}
