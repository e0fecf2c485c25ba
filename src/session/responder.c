/*
 * The server's half of a handshake (docs/protocol.md, sections 3, 4 and 6), and what all its
 * connections share.
 */
#include <stdlib.h>

#include "session/internal.h"

static const struct si_span empty_body = {NULL, 0};
static const char not_known[] = "this client's key is not known here";

/* ---- Acceptor -------------------------------------------------------------------------------- */

static bool options_ok(const sotto_acceptor_options *o)
{
    bool any = false;

    if (o->size != sizeof *o || o->client_auth > SOTTO_CLIENT_AUTH_REQUIRED ||
        (o->client_auth != SOTTO_CLIENT_AUTH_NONE && o->client_lookup == NULL) ||
        (o->max_message != 0 && o->max_message < SOTTO_MESSAGE_MAX_LEAST) ||
        o->parameters.iterations < 1 || o->parameters.salt_index >= SOTTO_SALTS_MAX ||
        o->parameters.server_string_len < 1 || o->parameters.server_string_len > SOTTO_STRING_MAX ||
        o->expires_in_s > UINT32_C(1) << 31 ||
        (o->agent != NULL && strlen(o->agent) > SOTTO_AGENT_MAX))
        return false;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        const sotto_keypair *key = o->curves[i].key;

        if (key != NULL && key->curve != (sotto_curve)(i + 1))
            return false;
        any = any || key != NULL;
    }
    return any;
}

static void copy_options(sotto_acceptor *a, const sotto_acceptor_options *o)
{
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        a->curves[i].key = o->curves[i].key;
        a->curves[i].psk = o->curves[i].psk;
        a->curves[i].gate = o->curves[i].gate;
        a->curves[i].document = si_buf(SI_RECORD_BODY_MAX);
    }
    a->gate = o->gate != 0;
    memcpy(a->epoch, o->epoch, sizeof a->epoch);
    a->hello = si_buf(SI_HANDSHAKE_NOISE_MAX);
    a->client_auth = o->client_auth;
    a->client_lookup = o->client_lookup;
    a->user = o->user;
    a->max_message = o->max_message ? o->max_message : SOTTO_MESSAGE_MAX_DEFAULT;
    a->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : SOTTO_KEEPALIVE_MS;
    a->handshake_timeout_ms =
        o->handshake_timeout_ms ? o->handshake_timeout_ms : SOTTO_HANDSHAKE_TIMEOUT_MS;
    a->max_output = o->max_output ? o->max_output : SOTTO_OUTPUT_MAX_DEFAULT;
    a->input_padding = o->input_padding;
}

/* The texts that every connection gets are made once. */
static sotto_err write_texts(sotto_acceptor *a, const sotto_acceptor_options *o)
{
    const struct si_hello hello = {a->max_message, a->keepalive_ms};
    sotto_public_key keys[SOTTO_CURVE_COUNT] = {{0}};
    sotto_err err;

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        if (a->curves[i].key != NULL)
            keys[i] = sotto_keypair_public(a->curves[i].key);
    }
    err = si_hello_write(&hello, o->agent, &a->hello);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        if (a->curves[i].key != NULL)
            err = si_document_write(&o->parameters, (sotto_curve)(i + 1), keys, a->client_auth,
                                    o->expires_in_s, &a->curves[i].document);
    }
    return err;
}

/* Strings of the options may be no UTF-8: every client would refuse such a text. */
static sotto_err check_texts(const sotto_acceptor *a)
{
    struct si_json *json;
    sotto_err err = si_json_new(&json);

    if (err != SOTTO_OK)
        return err;
    err = si_json_check(json, si_span(a->hello.ptr, a->hello.len), NULL);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        const struct si_buf *document = &a->curves[i].document;

        if (document->len > 0)
            err = si_json_check(json, si_span(document->ptr, document->len), NULL);
    }
    si_json_free(json);
    return err == SOTTO_E_JSON ? SOTTO_E_USAGE : err;
}

sotto_err sotto_acceptor_new(const sotto_acceptor_options *o, sotto_acceptor **out)
{
    sotto_acceptor *a;
    sotto_err err;

    *out = NULL;
    if (!options_ok(o))
        return SOTTO_E_USAGE;
    if ((a = calloc(1, sizeof *a)) == NULL)
        return SOTTO_E_NOMEM;
    copy_options(a, o);
    if ((err = write_texts(a, o)) != SOTTO_OK || (err = check_texts(a)) != SOTTO_OK) {
        sotto_acceptor_free(a);
        return err;
    }
    *out = a;
    return SOTTO_OK;
}

void sotto_acceptor_free(sotto_acceptor *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        si_buf_free(&a->curves[i].document);
    si_buf_free(&a->hello);
    si_wipe(a, sizeof *a);
    free(a);
}

sotto_err sotto_session_server_new(const sotto_acceptor *acceptor, int64_t now, sotto_session **out)
{
    sotto_session *s;
    sotto_err err;

    *out = NULL;
    if ((err = si_session_new(now, acceptor->handshake_timeout_ms, &s)) != SOTTO_OK)
        return err;
    s->is_server = true;
    s->phase = SI_EXPECT_NEGOTIATION;
    s->acceptor = acceptor;
    s->max_message = acceptor->max_message;
    s->keepalive_ms = acceptor->keepalive_ms;
    s->max_output = acceptor->max_output;
    s->input_padding = acceptor->input_padding;
    *out = s;
    return SOTTO_OK;
}

/* ---- Who is it? ------------------------------------------------------------------------------ */

/* The client's static key has authenticated: look it up.  What an unknown key means depends on
 * client_auth. */
static void look_up_client(sotto_session *s, const struct si_public_key *rs)
{
    const sotto_acceptor *a = s->acceptor;
    sotto_public_key key = {.curve = s->negotiation.curve};

    if (rs == NULL || a->client_auth == SOTTO_CLIENT_AUTH_NONE)
        return;
    memcpy(key.bytes, rs->bytes, sotto_curve_key_len(key.curve));
    s->client_name = a->client_lookup(a->user, &key);
    if (s->client_name != NULL)
        s->peer_key = key;
}

static bool is_denied(const sotto_session *s)
{
    return s->acceptor->client_auth == SOTTO_CLIENT_AUTH_REQUIRED && s->client_name == NULL;
}

/* ---- Negotiation ----------------------------------------------------------------------------- */

/* Refuse: the text of section 3 as negotiation data, and an empty Noise message; then end. */
static sotto_err refuse(sotto_session *s, const char *code, const char *message,
                        uint32_t retry_after_ms)
{
    struct si_buf frame = si_buf(4 + SI_NEGOTIATION_MAX);
    sotto_err err;

    if ((err = si_buf_put(&frame, "\0\0", 2)) == SOTTO_OK &&
        (err = si_refusal_write(code, message, retry_after_ms, &frame)) == SOTTO_OK &&
        (err = si_buf_put(&frame, "\0\0", 2)) == SOTTO_OK) {
        si_put_be16(frame.ptr, (uint16_t)(frame.len - 4));
        err = si_output_raw(&s->output, frame.ptr, frame.len);
    }
    si_buf_free(&frame);
    if (err == SOTTO_OK) {
        s->error = SOTTO_E_REFUSED;
        si_session_end(s);
    }
    return err;
}

sotto_err sotto_session_refuse_busy(sotto_session *s, uint32_t retry_after_ms)
{
    if (s->phase != SI_EXPECT_NEGOTIATION || retry_after_ms > UINT32_C(1) << 31)
        return SOTTO_E_USAGE;
    return si_session_fail_if(s, refuse(s, "busy", "too many connections", retry_after_ms));
}

/* The first thing that is wrong with a well-formed negotiation, in the order of section 3; NULL
 * when it is accepted. */
static const char *find_refusal(const sotto_acceptor *a, const struct si_negotiation *n)
{
    bool bootstrap = n->pattern == SI_XX || n->pattern == SI_XXPSK0;

    if (n->pattern == 0 || (bootstrap && (n->pattern == SI_XXPSK0) != a->gate))
        return "unsupported_pattern";
    if (n->curve == 0 || a->curves[n->curve - 1].key == NULL)
        return "unsupported_curve";
    if (n->cipher == 0)
        return "unsupported_cipher";
    if (!bootstrap && memcmp(n->epoch, a->epoch, sizeof a->epoch) != 0)
        return "unknown_epoch";
    if (n->pattern == SI_NKPSK0 && a->client_auth == SOTTO_CLIENT_AUTH_REQUIRED)
        return "client_key_required";
    return NULL;
}

static sotto_err accept(sotto_session *s, const struct si_frame *frame)
{
    const sotto_acceptor *a = s->acceptor;
    const sotto_keypair *key = a->curves[s->negotiation.curve - 1].key;
    bool session = si_is_session_pattern(s->negotiation.pattern);
    struct si_handshake_keys keys = {.s = &key->priv, .s_public = &key->pub};
    uint8_t plain[SI_HANDSHAKE_NOISE_MAX];
    struct si_span body, hello = {a->hello.ptr, a->hello.len};
    sotto_err err;

    if (s->negotiation.pattern != SI_XX)
        keys.psk[0] = session ? &a->curves[s->negotiation.curve - 1].psk
                              : &a->curves[s->negotiation.curve - 1].gate;
    if ((err = si_session_begin_handshake(s, SI_RESPONDER, frame->negotiation, &keys)) !=
            SOTTO_OK ||
        (err = si_session_read_handshake(s, frame, true, plain, &body)) != SOTTO_OK ||
        (err = si_session_write_handshake(s, si_span(NULL, 0), session ? &hello : &empty_body)) !=
            SOTTO_OK)
        return err;
    if (!session) {
        s->phase = SI_EXPECT_XX_3;
        return SOTTO_OK;
    }
    look_up_client(s, si_handshake_remote_static(s->handshake));
    s->peer_max_message = s->negotiation.max_message;
    s->phase = SI_EXPECT_FIRST_RECORD;
    return si_session_split(s);
}

sotto_err si_on_negotiation(sotto_session *s, const struct si_frame *frame)
{
    struct si_json *json = si_session_json(s);
    const char *refusal;
    sotto_err err;

    if (json == NULL)
        return SOTTO_E_NOMEM;
    err = si_negotiation_read(json, frame->negotiation, &s->negotiation, &refusal);
    if (err != SOTTO_OK)
        return err;
    if (refusal == NULL)
        refusal = find_refusal(s->acceptor, &s->negotiation);
    return refusal != NULL ? refuse(s, refusal, "", 0) : accept(s, frame);
}

/* ---- Bootstrap, the last step ---------------------------------------------------------------- */

sotto_err si_on_xx_3(sotto_session *s, const struct si_frame *frame)
{
    const struct si_buf *document = &s->acceptor->curves[s->negotiation.curve - 1].document;
    struct si_buf denied = si_buf(SI_RECORD_BODY_MAX);
    uint8_t plain[SI_HANDSHAKE_NOISE_MAX];
    struct si_span body;
    sotto_err err;

    if (frame->negotiation.len != 0)
        return SOTTO_E_PROTOCOL;
    if ((err = si_session_read_handshake(s, frame, true, plain, &body)) != SOTTO_OK)
        return err;
    look_up_client(s, si_handshake_remote_static(s->handshake));
    if (is_denied(s)) {
        err = si_refusal_write("denied", not_known, 0, &denied);
        document = &denied;
    }
    if (err == SOTTO_OK && (err = si_session_split(s)) == SOTTO_OK &&
        (err = si_output_reserve(&s->output, document->len)) == SOTTO_OK &&
        (err = si_output_body(&s->output, document->ptr, document->len)) == SOTTO_OK &&
        (err = si_output_seal(&s->output)) == SOTTO_OK) {
        s->error = is_denied(s) ? SOTTO_E_DENIED : SOTTO_OK;
        si_session_end(s);
    }
    si_buf_free(&denied);
    return err;
}

/* ---- Session, the last step: only now is the client known to be alive (section 6) ------------ */

sotto_err si_on_first_record(sotto_session *s, const struct si_frame *frame)
{
    struct si_span body;
    sotto_err err;

    err = si_record_open(&s->rx, frame->noise, frame->noise_len, &body);
    if (err != SOTTO_OK && err != SOTTO_E_PROTOCOL)
        return err;
    /* It decrypted, so the session is not half-open any more: what is wrong now is said aloud. */
    if (is_denied(s)) {
        s->error = SOTTO_E_DENIED;
        return si_session_put_close(s, "denied", not_known, 0);
    }
    si_session_opened(s);
    if (err != SOTTO_OK)
        return err;
    return si_session_take_body(s, body, frame->readable_end);
}
