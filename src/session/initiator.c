/*
 * The client's half of a handshake: bootstrap (docs/protocol.md, section 4) and session (section
 * 6).
 */
#include <stdlib.h>

#include "session/internal.h"

static const struct si_span empty_body = {NULL, 0};

static bool options_ok(const sotto_session_client_options *o)
{
    if (o->size != sizeof *o || sotto_curve_name(o->curve) == NULL ||
        sotto_cipher_name(o->cipher) == NULL ||
        (o->max_message != 0 && o->max_message < SOTTO_MESSAGE_MAX_LEAST) ||
        (o->identity != NULL && o->identity->curve != o->curve))
        return false;
    if (o->purpose == SOTTO_SESSION)
        return o->server_key != NULL && o->server_key->curve == o->curve && o->psk != NULL &&
               o->gate == NULL;
    return o->purpose == SOTTO_BOOTSTRAP && o->server_key == NULL && o->psk == NULL;
}

static enum si_pattern_id choose_pattern(const sotto_session_client_options *o)
{
    if (o->purpose == SOTTO_BOOTSTRAP)
        return o->gate != NULL ? SI_XXPSK0 : SI_XX;
    return o->identity != NULL ? SI_IKPSK0 : SI_NKPSK0;
}

/* The first frame: the negotiation, and the handshake's first message over it. */
static sotto_err begin(sotto_session *s, const struct si_handshake_keys *keys)
{
    struct si_buf text = si_buf(SI_NEGOTIATION_MAX);
    /* XX has nothing to encrypt its first payload with: that one is clear, so it is empty (section
     * 2). */
    bool clear = s->negotiation.pattern == SI_XX;
    struct si_span negotiation;
    sotto_err err = si_negotiation_write(&s->negotiation, &text);

    negotiation = si_span(text.ptr, text.len);
    if (err == SOTTO_OK)
        err = si_session_begin_handshake(s, SI_INITIATOR, negotiation, keys);
    if (err == SOTTO_OK)
        err = si_session_write_handshake(s, negotiation, clear ? NULL : &empty_body);
    si_buf_free(&text);
    return err;
}

/* The keys of the pattern; a bootstrap without identity gets a key pair for this connection only
 * (section 4).  That one is not in locked memory: it is over in no time, and no more of a secret
 * than the ephemeral key beside it. */
static sotto_err begin_with_keys(sotto_session *s, const sotto_session_client_options *o)
{
    bool bootstrap = o->purpose == SOTTO_BOOTSTRAP;
    struct si_handshake_keys keys = {.psk[0] = bootstrap ? o->gate : o->psk};
    struct si_public_key rs;
    struct sotto_keypair temporary = {.curve = o->curve};
    const sotto_keypair *own = o->identity;
    sotto_err err = SOTTO_OK;

    if (bootstrap && own == NULL) {
        const struct si_dh *dh = si_curve_dh(o->curve);

        err = dh->generate(dh, &temporary.priv, &temporary.pub);
        own = &temporary;
    }
    if (own != NULL) {
        keys.s = &own->priv;
        keys.s_public = &own->pub;
    }
    if (!bootstrap) {
        memcpy(rs.bytes, o->server_key->bytes, sizeof rs.bytes);
        keys.rs = &rs;
        s->peer_key = *o->server_key;
    }
    if (err == SOTTO_OK)
        err = begin(s, &keys);
    si_wipe(&temporary, sizeof temporary);
    return err;
}

sotto_err sotto_session_client_new(const sotto_session_client_options *o, int64_t now,
                                   sotto_session **out)
{
    sotto_session *s;
    sotto_err err;

    *out = NULL;
    if (!options_ok(o))
        return SOTTO_E_USAGE;
    err = si_session_new(
        now, o->handshake_timeout_ms ? o->handshake_timeout_ms : SOTTO_HANDSHAKE_TIMEOUT_MS, &s);
    if (err != SOTTO_OK)
        return err;
    s->phase = o->purpose == SOTTO_BOOTSTRAP ? SI_EXPECT_XX_2 : SI_EXPECT_SESSION_2;
    s->max_message = o->max_message ? o->max_message : SOTTO_MESSAGE_MAX_DEFAULT;
    s->max_output = o->max_output ? o->max_output : SOTTO_OUTPUT_MAX_DEFAULT;
    s->input_padding = o->input_padding;
    s->negotiation = (struct si_negotiation){.pattern = choose_pattern(o),
                                             .curve = o->curve,
                                             .cipher = o->cipher,
                                             .max_message = s->max_message};
    memcpy(s->negotiation.epoch, o->epoch, sizeof s->negotiation.epoch);
    err = begin_with_keys(s, o);
    if (err != SOTTO_OK) {
        sotto_session_free(s);
        return err;
    }
    *out = s;
    return SOTTO_OK;
}

/* The server's first frame is an acceptance (empty negotiation) or a refusal (a text, and no Noise
 * message). */
static sotto_err check_accepted(sotto_session *s, const struct si_frame *frame)
{
    struct si_refusal refusal;
    struct si_json *json;
    sotto_err err;

    if (frame->negotiation.len == 0)
        return SOTTO_OK;
    if (frame->noise_len != 0)
        return SOTTO_E_PROTOCOL;
    if ((json = si_session_json(s)) == NULL)
        return SOTTO_E_NOMEM;
    if ((err = si_refusal_read(json, frame->negotiation, &refusal)) != SOTTO_OK)
        return err;
    si_session_keep_refusal(s, &refusal);
    return SOTTO_E_REFUSED;
}

sotto_err si_on_xx_2(sotto_session *s, const struct si_frame *frame)
{
    uint8_t plain[SI_HANDSHAKE_NOISE_MAX];
    struct si_span body;
    sotto_err err;

    if ((err = check_accepted(s, frame)) != SOTTO_OK ||
        (err = si_session_read_handshake(s, frame, true, plain, &body)) != SOTTO_OK)
        return err;
    /* The key is shown before message 3 tells the server who we are. */
    s->peer_key = (sotto_public_key){.curve = s->negotiation.curve};
    memcpy(s->peer_key.bytes, si_handshake_remote_static(s->handshake)->bytes,
           sotto_curve_key_len(s->peer_key.curve));
    s->key_event = true;
    s->phase = SI_EXPECT_VERDICT;
    return SOTTO_OK;
}

sotto_err sotto_session_accept_key(sotto_session *s)
{
    sotto_err err;

    if (s->phase != SI_EXPECT_VERDICT)
        return s->error != SOTTO_OK ? s->error : SOTTO_E_USAGE;
    s->key_event = false;
    if ((err = si_session_write_handshake(s, si_span(NULL, 0), &empty_body)) == SOTTO_OK &&
        (err = si_session_split(s)) == SOTTO_OK)
        s->phase = SI_EXPECT_DOCUMENT;
    return si_session_fail_if(s, err);
}

sotto_err si_on_document(sotto_session *s, const struct si_frame *frame)
{
    struct si_refusal refusal;
    struct si_json *json = si_session_json(s);
    struct si_span body;
    sotto_err err;

    s->bootstrap = calloc(1, sizeof *s->bootstrap);
    if (json == NULL || s->bootstrap == NULL)
        return SOTTO_E_NOMEM;
    if ((err = si_record_open(&s->rx, frame->noise, frame->noise_len, &body)) != SOTTO_OK)
        return err;
    err = si_document_read(json, body, &s->peer_key, s->bootstrap, &refusal);
    si_json_forget(json); /* the server string */
    if (err == SOTTO_E_DENIED)
        si_session_keep_refusal(s, &refusal);
    si_wipe(frame->noise, frame->noise_len);
    if (err != SOTTO_OK)
        return err;
    s->bootstrap_event = true;
    si_session_over(s);
    return SOTTO_OK;
}

sotto_err si_on_session_2(sotto_session *s, const struct si_frame *frame)
{
    uint8_t plain[SI_HANDSHAKE_NOISE_MAX];
    struct si_hello hello;
    struct si_json *json;
    struct si_span body;
    sotto_err err;

    if ((err = check_accepted(s, frame)) != SOTTO_OK ||
        (err = si_session_read_handshake(s, frame, false, plain, &body)) != SOTTO_OK)
        return err;
    if ((json = si_session_json(s)) == NULL)
        return SOTTO_E_NOMEM;
    if ((err = si_hello_read(json, body, &hello)) != SOTTO_OK ||
        (err = si_session_split(s)) != SOTTO_OK)
        return err;
    s->peer_max_message = hello.max_message;
    s->keepalive_ms = hello.keepalive_ms;
    s->first_record_due = true; /* section 6: at once, an empty one if there is nothing to say */
    si_session_opened(s);
    return SOTTO_OK;
}
