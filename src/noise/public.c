#include <stdlib.h>

#include "base/error.h"
#include "noise/internal.h"

_Static_assert((int)SOTTO_PSK_POSITIONS == (int)SI_PSKS_MAX, "sotto/noise.h");

/* ---- Protocols ------------------------------------------------------------------------------- */

static sotto_protocol_keys keys_of(const struct si_pattern *pattern, bool initiator)
{
    sotto_protocol_keys keys = {si_pattern_needs_s(pattern, initiator),
                                si_pattern_needs_rs(pattern, initiator)};

    return keys;
}

sotto_err sotto_protocol_describe(const char *name, sotto_protocol_info *info, sotto_error *error)
{
    struct si_protocol protocol;
    const struct si_pattern *pattern = &protocol.pattern;
    sotto_protocol_info none;
    sotto_err err;

    if (info == NULL)
        info = &none;
    memset(info, 0, sizeof *info);
    if (name == NULL)
        return si_error(error, SOTTO_E_USAGE, "a Noise protocol without a name");
    if ((err = si_protocol_parse(&protocol, name, error)) != SOTTO_OK)
        return err;

    info->curve = protocol.dh->curve;
    info->cipher = sotto_cipher_by_name(protocol.aead->name);
    info->hash = protocol.hash->name;
    info->hash_len = protocol.hash->len;
    info->messages = pattern->turns;
    for (unsigned n = 0; n < SI_PSKS_MAX; n++)
        info->psk[n] = si_pattern_has_psk(pattern, n);
    info->one_way = pattern->one_way;
    info->fallback = pattern->responder_e_known;
    info->initiator = keys_of(pattern, true);
    info->responder = keys_of(pattern, false);
    return SOTTO_OK;
}

/* ---- Making one ------------------------------------------------------------------------------ */

static sotto_err usage(sotto_error *error, const char *what, const char *why)
{
    sotto_err err = si_error(error, SOTTO_E_USAGE, "%s", what);

    si_error_why(error, "%s", why);
    return err;
}

/* The key NAME is not on the curve that it has to be on. */
static sotto_err wrong_curve(const struct si_protocol *protocol, sotto_curve curve,
                             const char *name, sotto_error *error)
{
    const char *found = sotto_curve_name(curve);
    sotto_err err = si_error(error, SOTTO_E_USAGE, "%s", protocol->name);

    if (found == NULL)
        si_error_why(error, "the key %s has no curve", name);
    else
        si_error_why(error, "the key %s is on curve %s", name, found);
    si_error_hint(error, "give a key on curve %s, or change the protocol", protocol->dh->name);
    return err;
}

/* KEY is on the protocol's curve, or missing; *OUT is RAW, its raw form, or NULL. */
static sotto_err take_public(const struct si_protocol *protocol, const sotto_public_key *key,
                             const char *name, struct si_public_key *raw,
                             const struct si_public_key **out, sotto_error *error)
{
    *out = NULL;
    if (key == NULL)
        return SOTTO_OK;
    if (key->curve != protocol->dh->curve)
        return wrong_curve(protocol, key->curve, name, error);
    memset(raw, 0, sizeof *raw);
    memcpy(raw->bytes, key->bytes, protocol->dh->len);
    *out = raw;
    return SOTTO_OK;
}

/*
 * A file may be sealed for oneself.  In a conversation the own key in the peer's place is a mix-up
 * or a reflection.
 */
static bool is_own_key(const struct si_protocol *protocol, const struct si_handshake_keys *keys)
{
    return keys->rs != NULL && keys->s_public != NULL && !protocol->pattern.one_way &&
           memcmp(keys->rs->bytes, keys->s_public->bytes, protocol->dh->len) == 0;
}

static sotto_err check_options(const sotto_handshake_options *options, sotto_error *error)
{
    static const char what[] = "a Noise handshake's options";

    if (options == NULL || options->size != sizeof *options)
        return usage(error, what, "they do not begin with SOTTO_HANDSHAKE_OPTIONS_INIT");
    if (options->protocol == NULL)
        return usage(error, what, "the protocol is missing");
    if (options->role != SOTTO_INITIATOR && options->role != SOTTO_RESPONDER)
        return usage(error, what, "the role is neither SOTTO_INITIATOR nor SOTTO_RESPONDER");
    if (!si_bytes_ok(options->prologue.ptr, options->prologue.len))
        return usage(error, what, "the prologue is NULL, but its length is not 0");
    return SOTTO_OK;
}

static sotto_err begin(const sotto_handshake_options *options, struct si_handshake **out,
                       sotto_error *error)
{
    struct si_handshake_keys keys = {.psk_lookup = options->psk_lookup,
                                     .psk_user = options->psk_user};
    struct si_protocol protocol;
    struct si_public_key rs, re;
    sotto_err err;

    if ((err = si_protocol_parse(&protocol, options->protocol, error)) != SOTTO_OK ||
        (err = take_public(&protocol, options->rs, "rs", &rs, &keys.rs, error)) != SOTTO_OK ||
        (err = take_public(&protocol, options->fallback_re, "fallback_re", &re, &keys.fallback_re,
                           error)) != SOTTO_OK)
        return err;
    if (options->s != NULL) {
        if (options->s->curve != protocol.dh->curve)
            return wrong_curve(&protocol, options->s->curve, "s", error);
        keys.s = &options->s->priv;
        keys.s_public = &options->s->pub;
    }
    if (is_own_key(&protocol, &keys))
        return usage(error, protocol.name, "the peer's static key (rs) is the own public key");
    for (unsigned n = 0; n < SI_PSKS_MAX; n++)
        keys.psk[n] = options->psk[n];
    if (options->fallback_from != NULL)
        keys.fallback_from = options->fallback_from->inner;
    return si_handshake_new(
        &protocol, options->role == SOTTO_INITIATOR ? SI_INITIATOR : SI_RESPONDER,
        si_span(options->prologue.ptr, options->prologue.len), &keys, out, error);
}

/* The peer's static key, once it may be shown. */
static void keep_remote_static(sotto_handshake *hs)
{
    const struct si_public_key *rs = si_handshake_remote_static(hs->inner);

    if (rs == NULL || hs->rs.curve != 0)
        return;
    memcpy(hs->rs.bytes, rs->bytes, sizeof hs->rs.bytes);
    hs->rs.curve = si_handshake_protocol(hs->inner)->dh->curve;
}

sotto_err sotto_handshake_new(const sotto_handshake_options *options, sotto_handshake **out,
                              sotto_error *error)
{
    sotto_handshake *hs;
    sotto_err err;

    if (out == NULL)
        return usage(error, "a Noise handshake", "there is no place for the result");
    *out = NULL;
    if ((err = check_options(options, error)) != SOTTO_OK)
        return err;
    if ((hs = calloc(1, sizeof *hs)) == NULL)
        return si_error(error, SOTTO_E_NOMEM, "a Noise handshake");
    if ((err = begin(options, &hs->inner, error)) != SOTTO_OK) {
        sotto_handshake_free(hs);
        return err;
    }
    keep_remote_static(hs);
    *out = hs;
    return SOTTO_OK;
}

void sotto_handshake_free(sotto_handshake *hs)
{
    if (hs == NULL)
        return;
    si_handshake_free(hs->inner);
    si_wipe(hs, sizeof *hs);
    free(hs);
}

/* ---- What is next ---------------------------------------------------------------------------- */

sotto_action sotto_handshake_action(const sotto_handshake *hs)
{
    return si_handshake_action(hs->inner);
}

size_t sotto_handshake_payload_max(const sotto_handshake *hs)
{
    size_t least = si_handshake_message_len(hs->inner, 0);

    return least == 0 ? 0 : SOTTO_NOISE_MESSAGE_MAX - least;
}

size_t sotto_handshake_message_len(const sotto_handshake *hs, size_t payload_len)
{
    if (payload_len > sotto_handshake_payload_max(hs))
        return 0;
    return si_handshake_message_len(hs->inner, payload_len);
}

size_t sotto_handshake_payload_len(const sotto_handshake *hs, size_t message_len)
{
    size_t least = si_handshake_message_len(hs->inner, 0);

    return least == 0 || message_len < least || message_len > SOTTO_NOISE_MESSAGE_MAX
               ? 0
               : message_len - least;
}

int sotto_handshake_next_encrypted(const sotto_handshake *hs)
{
    return si_handshake_payload_encrypted(hs->inner);
}

sotto_err sotto_handshake_set_psk(sotto_handshake *hs, unsigned position, const sotto_psk *psk,
                                  sotto_error *error)
{
    if (psk == NULL)
        return usage(error, si_handshake_protocol(hs->inner)->name, "the PSK is NULL");
    return si_handshake_set_psk(hs->inner, position, psk, error);
}

/* ---- Messages, and what is said of errors ---------------------------------------------------- */

static const char *turn_text(const sotto_handshake *hs)
{
    switch (sotto_handshake_action(hs)) {
    case SOTTO_ACTION_WRITE:
        return "this side has to write a message now";
    case SOTTO_ACTION_READ:
        return "a message of the peer has to be read now";
    case SOTTO_ACTION_SPLIT:
        return "all messages are through: it has to be split now";
    case SOTTO_ACTION_DONE:
        return "it has been split, and is over";
    case SOTTO_ACTION_FAILED:
    default:
        return "it has failed, and can only be freed";
    }
}

static sotto_err out_of_turn(const sotto_handshake *hs, sotto_error *error)
{
    sotto_err err = usage(error, si_handshake_protocol(hs->inner)->name, turn_text(hs));

    si_error_hint(error, "sotto_handshake_action() tells what is next");
    return err;
}

static const char *failure_text(sotto_err err)
{
    switch ((int)err) {
    case SOTTO_E_AUTH:
        return "it was altered or cut, or the two sides do not agree in protocol, keys, prologue "
               "and PSK";
    case SOTTO_E_KEY:
        return "the lookup found no PSK";
    case SOTTO_E_DH:
        return "a public key of the peer is a low-order point (Noise 12.1)";
    default:
        return sotto_strerror(err);
    }
}

/* Something is wrong with the message that is next: begin the error. */
static sotto_err message_error(const sotto_handshake *hs, sotto_error *error, sotto_err err)
{
    return si_error(error, err, "message %u of %s", si_handshake_turn(hs->inner) + 1,
                    si_handshake_protocol(hs->inner)->name);
}

/* What both directions have in common, before anything is changed. */
static sotto_err check_message(const sotto_handshake *hs, sotto_action action, sotto_bytes in,
                               sotto_room *out, sotto_error *error)
{
    const char *name = si_handshake_protocol(hs->inner)->name;
    unsigned n;
    sotto_err err;

    if (!si_room_open(out) || !si_bytes_ok(in.ptr, in.len))
        return usage(error, name, "a pointer is NULL");
    if (sotto_handshake_action(hs) != action)
        return out_of_turn(hs, error);
    if (si_handshake_lacks_psk(hs->inner, &n)) {
        err = message_error(hs, error, SOTTO_E_USAGE);
        si_error_why(error, "psk%u has not been given", n);
        si_error_hint(error, "sotto_handshake_set_psk(), or a lookup in the options");
        return err;
    }
    return SOTTO_OK;
}

/* Is there room for LEN bytes of output, away from the input? */
static sotto_err check_room(const sotto_handshake *hs, sotto_bytes in, const sotto_room *out,
                            size_t len, sotto_error *error)
{
    sotto_err err;

    if (len > out->cap) {
        err = message_error(hs, error, SOTTO_E_BUFFER);
        si_error_why(error, "the output has %zu bytes, the room is for %zu", len, out->cap);
        si_error_hint(error,
                      "sotto_handshake_message_len() and _payload_len() tell what is needed");
        return err;
    }
    if (si_overlap(in.ptr, in.len, out->ptr, len))
        return usage(error, si_handshake_protocol(hs->inner)->name, "input and output overlap");
    return SOTTO_OK;
}

/* The message failed, and the handshake with it. */
static sotto_err failed(const sotto_handshake *hs, sotto_err err, sotto_error *error)
{
    (void)message_error(hs, error, err);
    si_error_why(error, "%s", failure_text(err));
    return err;
}

sotto_err sotto_handshake_write(sotto_handshake *hs, sotto_bytes payload, sotto_room *message,
                                sotto_error *error)
{
    size_t needed;
    sotto_err err;

    if ((err = check_message(hs, SOTTO_ACTION_WRITE, payload, message, error)) != SOTTO_OK)
        return err;
    if ((needed = sotto_handshake_message_len(hs, payload.len)) == 0) {
        err = message_error(hs, error, SOTTO_E_TOO_LARGE);
        si_error_why(error, "the payload has %zu bytes; here at most %zu fit in a Noise message",
                     payload.len, sotto_handshake_payload_max(hs));
        return err;
    }
    if ((err = check_room(hs, payload, message, needed, error)) != SOTTO_OK)
        return err;
    err = si_handshake_write(hs->inner, si_span(payload.ptr, payload.len), message->ptr,
                             message->cap, &message->len);
    return err == SOTTO_OK ? SOTTO_OK : failed(hs, err, error);
}

sotto_err sotto_handshake_read(sotto_handshake *hs, sotto_bytes message, sotto_room *payload,
                               sotto_error *error)
{
    sotto_err err;

    if ((err = check_message(hs, SOTTO_ACTION_READ, message, payload, error)) != SOTTO_OK)
        return err;
    /* One that is too short or too long has no payload: it fails below. */
    if ((err = check_room(hs, message, payload, sotto_handshake_payload_len(hs, message.len),
                          error)) != SOTTO_OK)
        return err;
    err = si_handshake_read(hs->inner, si_span(message.ptr, message.len), payload->ptr,
                            payload->cap, &payload->len);
    if (err != SOTTO_OK)
        return failed(hs, err, error);
    keep_remote_static(hs);
    return SOTTO_OK;
}

const sotto_public_key *sotto_handshake_remote_static(const sotto_handshake *hs)
{
    return hs->rs.curve != 0 && sotto_handshake_action(hs) != SOTTO_ACTION_FAILED ? &hs->rs : NULL;
}

int sotto_handshake_remote_proven(const sotto_handshake *hs)
{
    return si_handshake_remote_proven(hs->inner);
}

sotto_bytes sotto_handshake_hash(const sotto_handshake *hs)
{
    return sotto_bytes_of(hs->h, hs->h_len);
}

/* ---- Split ----------------------------------------------------------------------------------- */

/* The keys for both directions; the one that a one-way pattern does not have is wiped (Noise
 * 7.4). */
static sotto_err split(sotto_handshake *hs, struct si_directions *by, sotto_error *error)
{
    const struct si_protocol *protocol = si_handshake_protocol(hs->inner);
    sotto_err err;

    if (sotto_handshake_action(hs) != SOTTO_ACTION_SPLIT)
        return out_of_turn(hs, error);
    err = si_handshake_split(hs->inner, &by->tx, &by->rx, hs->h, &hs->h_len);
    if (err != SOTTO_OK) {
        (void)si_error(error, err, "the split of %s", protocol->name);
        si_error_why(error, "%s", sotto_strerror(err));
        return err;
    }
    if (protocol->pattern.one_way)
        si_cipher_wipe(si_handshake_role(hs->inner) == SI_INITIATOR ? &by->rx : &by->tx);
    return SOTTO_OK;
}

sotto_err sotto_handshake_split(sotto_handshake *hs, sotto_transport **out, sotto_error *error)
{
    sotto_transport *transport;
    sotto_err err;

    if (out == NULL)
        return usage(error, "a Noise transport", "there is no place for the result");
    *out = NULL;
    transport = calloc(1, sizeof *transport);
    if (transport == NULL)
        return si_error(error, SOTTO_E_NOMEM, "a Noise transport");
    if ((err = split(hs, &transport->by, error)) == SOTTO_OK)
        *out = transport;
    else
        sotto_transport_free(transport);
    return err;
}

sotto_err sotto_handshake_split_datagrams(sotto_handshake *hs, sotto_datagrams **out,
                                          sotto_error *error)
{
    sotto_datagrams *datagrams;
    sotto_err err;

    if (out == NULL)
        return usage(error, "a Noise transport for datagrams", "there is no place for the result");
    *out = NULL;
    datagrams = calloc(1, sizeof *datagrams);
    if (datagrams == NULL)
        return si_error(error, SOTTO_E_NOMEM, "a Noise transport for datagrams");
    if ((err = split(hs, &datagrams->by, error)) == SOTTO_OK)
        *out = datagrams;
    else
        sotto_datagrams_free(datagrams);
    return err;
}
