#include <stdio.h>

#include "crypto/crypto.h"
#include "../../attack/fixed_dh.h"
#include "play.h"

/* One message or payload each; a play is over before the next one begins. */
static uint8_t written[SOTTO_NOISE_MESSAGE_MAX], received[SOTTO_NOISE_MESSAGE_MAX];

static const char *name_of(unsigned side)
{
    return side == INITIATOR ? "initiator" : "responder";
}

/* The side's ephemeral key is the next that is made; without one, making one fails. */
static void fix_ephemeral(const struct side *side)
{
    static const uint8_t too_short[1];

    fixed_ephemeral = side->e.len > 0 ? side->e : si_span(too_short, sizeof too_short);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static bool take_public(struct play *play, struct si_span raw, sotto_public_key *key)
{
    size_t len = sotto_curve_key_len(play->info.curve);

    memset(key, 0, sizeof *key);
    if (raw.len != len)
        return wrong(play->trouble, "a public key of %zu bytes", raw.len);
    key->curve = play->info.curve;
    memcpy(key->bytes, raw.ptr, len);
    return true;
}

static bool take_private(struct play *play, struct si_span raw, sotto_keypair **pair)
{
    struct si_private_key priv = {{0}};

    if (raw.len != sotto_curve_key_len(play->info.curve))
        return wrong(play->trouble, "a private key of %zu bytes", raw.len);
    memcpy(priv.bytes, raw.ptr, raw.len);
    return same_err(play->trouble, "key pair",
                    si_keypair_from_private(play->info.curve, &priv, pair), SOTTO_OK);
}

/* The PSK at a position: vectors number them in the order of the tokens. */
static bool psk_at(const struct play *play, unsigned side, unsigned position, sotto_psk *psk)
{
    const struct side *keys = &play->plan.side[side];
    unsigned index = 0;

    if (position >= SOTTO_PSK_POSITIONS || play->info.psk[position] == 0)
        return false;
    for (unsigned i = 0; i < position; i++)
        index += play->info.psk[i];
    if (index >= keys->psks || keys->psk[index].len != sizeof *psk)
        return false;
    memcpy(psk, keys->psk[index].ptr, sizeof *psk);
    return true;
}

static sotto_err look_up_psk(void *user, const sotto_psk_request *request, sotto_psk *psk)
{
    const struct play *play = user;

    return psk_at(play, RESPONDER, request->position, psk) ? SOTTO_OK : SOTTO_E_KEY;
}

static unsigned psks_of(const sotto_protocol_info *info)
{
    unsigned psks = 0;

    for (unsigned i = 0; i < SOTTO_PSK_POSITIONS; i++)
        psks += info->psk[i];
    return psks;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

/* Where the ephemeral key of a fallback comes from: see sotto_handshake_options. */
static bool fallback_options(struct play *play, unsigned side, sotto_handshake_options *options,
                             sotto_public_key *re)
{
    struct play *first = play->plan.first;

    if (first == NULL)
        return true;
    if (side == INITIATOR && play->plan.re_as_read.ptr != NULL) {
        options->fallback_re = re;
        return take_public(play, play->plan.re_as_read, re);
    }
    options->fallback_from = first->hs[!side];
    return true;
}

static bool give_psks_late(struct play *play, unsigned side)
{
    for (unsigned i = 0; i < SOTTO_PSK_POSITIONS; i++) {
        sotto_psk psk;

        if (psk_at(play, side, i, &psk) &&
            !same_err(play->trouble, "set_psk",
                      sotto_handshake_set_psk(play->hs[side], i, &psk, NULL), SOTTO_OK))
            return false;
    }
    return true;
}

/* The options of SIDE with its keys, which they point to. */
struct filled {
    sotto_handshake_options options;
    sotto_public_key rs, re;
    sotto_psk psk[SOTTO_PSK_POSITIONS];
    sotto_keypair *s;
};

static bool fill(struct play *play, unsigned side, struct filled *filled)
{
    const struct side *keys = &play->plan.side[side];
    sotto_handshake_options *options = &filled->options;

    options->size = sizeof *options;
    options->protocol = play->plan.protocol;
    options->role = side == INITIATOR ? SOTTO_INITIATOR : SOTTO_RESPONDER;
    options->prologue = bytes_of(keys->prologue);
    if (keys->s.ptr != NULL) {
        if (!take_private(play, keys->s, &filled->s))
            return false;
        options->s = filled->s;
        play->s[side] = sotto_keypair_public(filled->s);
    }
    if (keys->rs.ptr != NULL) {
        if (!take_public(play, keys->rs, &filled->rs))
            return false;
        options->rs = &filled->rs;
    }
    for (unsigned i = 0; i < SOTTO_PSK_POSITIONS && play->plan.manner == ORDERED; i++) {
        if (psk_at(play, side, i, &filled->psk[i]))
            options->psk[i] = &filled->psk[i];
    }
    if (play->plan.manner == DATAGRAMS && side == RESPONDER && keys->psks > 0) {
        options->psk_lookup = look_up_psk;
        options->psk_user = play;
    }
    return fallback_options(play, side, options, &filled->re);
}

static bool open_side(struct play *play, unsigned side)
{
    struct filled filled;
    sotto_error error = {.why = ""};
    sotto_err err;
    bool good;

    memset(&filled, 0, sizeof filled);
    if (play->plan.side[side].psks != psks_of(&play->info))
        return wrong(play->trouble, "%u PSKs for %u tokens", play->plan.side[side].psks,
                     psks_of(&play->info));
    fix_ephemeral(&play->plan.side[side]);
    good = fill(play, side, &filled);
    if (good) {
        err = sotto_handshake_new(&filled.options, &play->hs[side], &error);
        good = err == SOTTO_OK || wrong(play->trouble, "new handshake, %s: %s, %s", name_of(side),
                                        sotto_err_name(err), error.why);
    }
    sotto_keypair_free(filled.s);
    if (good && filled.options.fallback_from != NULL)
        good =
            same_number(play->trouble, "action of the first handshake",
                        sotto_handshake_action(filled.options.fallback_from), SOTTO_ACTION_FAILED);
    if (good && play->plan.manner == DATAGRAMS && side == INITIATOR)
        good = give_psks_late(play, side);
    return good;
}

bool play_begin(struct play *play, const struct plan *plan, struct trouble *trouble)
{
    sotto_error error;

    memset(play, 0, sizeof *play);
    play->trouble = trouble;
    play->plan = *plan;
    if (sotto_protocol_describe(plan->protocol, &play->info, &error) != SOTTO_OK)
        return wrong(trouble, "%s: %s", plan->protocol, error.why);
    if ((play->info.fallback != 0) != (plan->first != NULL))
        return wrong(trouble, "a fallback needs a handshake before it, others have none");
    return open_side(play, INITIATOR) && open_side(play, RESPONDER);
}

void play_end(struct play *play)
{
    for (unsigned side = 0; side < 2; side++) {
        sotto_handshake_free(play->hs[side]);
        sotto_transport_free(play->transport[side]);
        sotto_datagrams_free(play->datagrams[side]);
        play->hs[side] = NULL;
        play->transport[side] = NULL;
        play->datagrams[side] = NULL;
    }
    fixed_ephemeral = si_span(NULL, 0); /* it pointed into the vector */
}

/* ---- Handshake ------------------------------------------------------------------------------- */

static bool same_action(struct play *play, unsigned side, sotto_action want)
{
    return same_number(play->trouble,
                       side == INITIATOR ? "initiator's action" : "responder's action",
                       sotto_handshake_action(play->hs[side]), want);
}

/* The call of a sotto_handshake_ function, with the words of its error. */
static bool no_error(struct play *play, const char *what, unsigned side, sotto_err err,
                     const sotto_error *error)
{
    return err == SOTTO_OK || wrong(play->trouble, "%s, %s: %s, %s", what, name_of(side),
                                    sotto_err_name(err), error->why);
}

bool play_write(struct play *play, unsigned from, struct si_span payload, sotto_room *message)
{
    sotto_handshake *hs = play->hs[from];
    size_t len = sotto_handshake_message_len(hs, payload.len);
    sotto_error error = {.why = ""};
    sotto_room small;

    if (!same_action(play, from, SOTTO_ACTION_WRITE))
        return false;
    if (len == 0 || len > message->cap || payload.len > sotto_handshake_payload_max(hs))
        return wrong(play->trouble, "a message of %zu bytes", len);
    fix_ephemeral(&play->plan.side[from]);
    /* a refusal that changes nothing */
    small = sotto_room_of(message->ptr, len - 1);
    return same_err(play->trouble, "write into too small a room",
                    sotto_handshake_write(hs, bytes_of(payload), &small, NULL), SOTTO_E_BUFFER) &&
           same_action(play, from, SOTTO_ACTION_WRITE) &&
           no_error(play, "write", from,
                    sotto_handshake_write(hs, bytes_of(payload), message, &error), &error) &&
           same_number(play->trouble, "length written", message->len, len);
}

/* A room that is too small for the payload, of LEN bytes, is refused, and nothing has changed. */
static bool needs_room(struct play *play, unsigned to, struct si_span message, void *place,
                       size_t len)
{
    sotto_room small = sotto_room_of(place, len - 1);

    return len == 0 ||
           (same_err(play->trouble, "read into too small a room",
                     sotto_handshake_read(play->hs[to], bytes_of(message), &small, NULL),
                     SOTTO_E_BUFFER) &&
            same_action(play, to, SOTTO_ACTION_READ));
}

bool play_read(struct play *play, unsigned to, struct si_span message, sotto_room *payload)
{
    sotto_handshake *hs = play->hs[to];
    size_t len = sotto_handshake_payload_len(hs, message.len);
    sotto_error error = {.why = ""};

    if (!same_action(play, to, SOTTO_ACTION_READ) ||
        !same_number(play->trouble, "length of the message for the payload that is in it",
                     sotto_handshake_message_len(hs, len), message.len))
        return false;
    fix_ephemeral(&play->plan.side[to]);
    return needs_room(play, to, message, payload->ptr, len) &&
           no_error(play, "read", to, sotto_handshake_read(hs, bytes_of(message), payload, &error),
                    &error) &&
           same_number(play->trouble, "length read", payload->len, len);
}

bool play_handshake(struct play *play, unsigned from, struct si_span payload,
                    struct si_span ciphertext)
{
    sotto_room message = sotto_room_of(written, sizeof written);
    sotto_room result = sotto_room_of(received, sizeof received);

    return play_write(play, from, payload, &message) &&
           same_bytes(play->trouble, "handshake message", span_of(&message), ciphertext) &&
           play_read(play, !from, span_of(&message), &result) &&
           same_bytes(play->trouble, "handshake payload", span_of(&result), payload);
}

bool play_refused(struct play *play, unsigned from, struct si_span payload,
                  struct si_span ciphertext)
{
    sotto_room message = sotto_room_of(written, sizeof written);
    sotto_room result = sotto_room_of(received, sizeof received);

    return play_write(play, from, payload, &message) &&
           same_bytes(play->trouble, "refused message", span_of(&message), ciphertext) &&
           same_err(
               play->trouble, "read of what must be refused",
               sotto_handshake_read(play->hs[!from], sotto_room_bytes(&message), &result, NULL),
               SOTTO_E_AUTH) &&
           same_number(play->trouble, "length of a refused payload", result.len, 0) &&
           same_action(play, !from, SOTTO_ACTION_FAILED);
}

/* Does SIDE know the other side's static key, if that has one? */
static bool knows_peer(struct play *play, unsigned side)
{
    const sotto_public_key *rs = sotto_handshake_remote_static(play->hs[side]);
    const sotto_public_key *want = &play->s[!side];

    if (want->curve == 0)
        return rs == NULL || wrong(play->trouble, "a static key of a peer that has none");
    return (rs != NULL && sotto_public_key_equal(rs, want)) ||
           wrong(play->trouble, "the %s has the wrong static key of its peer", name_of(side));
}

static bool split_side(struct play *play, unsigned side)
{
    sotto_handshake *hs = play->hs[side];
    sotto_error error = {.why = ""};
    sotto_err err;

    /* Noise 5.2: not given out before */
    if (!same_action(play, side, SOTTO_ACTION_SPLIT) ||
        !same_number(play->trouble, "length of an early hash", sotto_handshake_hash(hs).len, 0))
        return false;
    if (play->plan.manner == DATAGRAMS)
        err = sotto_handshake_split_datagrams(hs, &play->datagrams[side], &error);
    else
        err = sotto_handshake_split(hs, &play->transport[side], &error);
    return no_error(play, "split", side, err, &error) &&
           same_action(play, side, SOTTO_ACTION_DONE) && knows_peer(play, side);
}

bool play_split(struct play *play, struct si_span hash)
{
    sotto_bytes h[2];

    if (!split_side(play, INITIATOR) || !split_side(play, RESPONDER))
        return false;
    for (unsigned side = 0; side < 2; side++)
        h[side] = sotto_handshake_hash(play->hs[side]);
    return same_number(play->trouble, "length of the handshake hash", h[INITIATOR].len,
                       play->info.hash_len) &&
           same_bytes(play->trouble, "handshake hashes",
                      si_span(h[RESPONDER].ptr, h[RESPONDER].len),
                      si_span(h[INITIATOR].ptr, h[INITIATOR].len)) &&
           (hash.ptr == NULL || same_bytes(play->trouble, "handshake hash",
                                           si_span(h[INITIATOR].ptr, h[INITIATOR].len), hash));
}

/* ---- Transport ------------------------------------------------------------------------------- */

/* Encrypts PAYLOAD into MESSAGE, where it stands already if that is the manner. */
static sotto_err encrypt(struct play *play, unsigned from, sotto_ad ad, struct si_span payload,
                         sotto_room *message, uint64_t *nonce)
{
    *nonce = play->sent[from];
    if (play->plan.manner != DATAGRAMS)
        return sotto_transport_encrypt(play->transport[from], ad, bytes_of(payload), message);
    if (payload.len > 0)
        memcpy(message->ptr, payload.ptr, payload.len);
    return sotto_datagrams_encrypt(play->datagrams[from], ad,
                                   sotto_bytes_of(message->ptr, payload.len), message, nonce);
}

static sotto_err decrypt(struct play *play, unsigned to, sotto_ad ad, sotto_bytes message,
                         sotto_room *payload)
{
    if (play->plan.manner != DATAGRAMS)
        return sotto_transport_decrypt(play->transport[to], ad, message, payload);
    memcpy(payload->ptr, message.ptr, message.len);
    return sotto_datagrams_decrypt(play->datagrams[to], play->sent[!to], ad,
                                   sotto_bytes_of(payload->ptr, message.len), payload);
}

static uint64_t sending_nonce(const struct play *play, unsigned from)
{
    return play->plan.manner == DATAGRAMS ? sotto_datagrams_sending_nonce(play->datagrams[from])
                                          : sotto_transport_sending_nonce(play->transport[from]);
}

/* Noise 7.4: the responder of a one-way pattern never sends. */
static bool only_initiator_sends(struct play *play)
{
    sotto_room message = sotto_room_of(written, sizeof written);
    uint64_t nonce;

    return play->info.one_way == 0 ||
           same_err(play->trouble, "the responder of a one-way pattern sends",
                    encrypt(play, RESPONDER, sotto_no_ad(), si_span(NULL, 0), &message, &nonce),
                    SOTTO_E_USAGE);
}

static bool encrypted(struct play *play, unsigned from, sotto_ad ad, struct si_span payload,
                      sotto_room *message)
{
    uint64_t nonce;

    return only_initiator_sends(play) &&
           same_number(play->trouble, "nonce before", sending_nonce(play, from),
                       play->sent[from]) &&
           same_err(play->trouble, "encrypt", encrypt(play, from, ad, payload, message, &nonce),
                    SOTTO_OK) &&
           same_number(play->trouble, "nonce", nonce, play->sent[from]) &&
           same_number(play->trouble, "nonce behind", sending_nonce(play, from),
                       play->sent[from] + 1);
}

static bool decrypted(struct play *play, unsigned to, sotto_ad ad, sotto_bytes message,
                      struct si_span payload)
{
    sotto_room result = sotto_room_of(received, sizeof received);

    if (!same_err(play->trouble, "decrypt", decrypt(play, to, ad, message, &result), SOTTO_OK) ||
        !same_bytes(play->trouble, "transport payload", span_of(&result), payload))
        return false;
    play->sent[!to]++;
    return play->plan.manner == DATAGRAMS ||
           same_number(play->trouble, "receiving nonce",
                       sotto_transport_receiving_nonce(play->transport[to]), play->sent[!to]);
}

bool play_transport(struct play *play, unsigned from, sotto_ad ad, struct si_span payload,
                    struct si_span ciphertext)
{
    sotto_room message = sotto_room_of(written, sizeof written);

    return encrypted(play, from, ad, payload, &message) &&
           same_bytes(play->trouble, "transport message", span_of(&message), ciphertext) &&
           decrypted(play, !from, ad, sotto_room_bytes(&message), payload);
}

bool play_unwritten(struct play *play, unsigned from)
{
    sotto_room message = sotto_room_of(written, sizeof written);

    return encrypted(play, from, sotto_no_ad(), si_span(NULL, 0), &message) &&
           decrypted(play, !from, sotto_no_ad(), sotto_room_bytes(&message), si_span(NULL, 0));
}

bool play_rekey(struct play *play, unsigned from)
{
    sotto_err sender, receiver;

    if (play->plan.manner == DATAGRAMS) {
        sender = sotto_datagrams_rekey_sending(play->datagrams[from]);
        receiver = sotto_datagrams_rekey_receiving(play->datagrams[!from]);
    } else {
        sender = sotto_transport_rekey_sending(play->transport[from]);
        receiver = sotto_transport_rekey_receiving(play->transport[!from]);
    }
    return same_err(play->trouble, "rekey of the sender", sender, SOTTO_OK) &&
           same_err(play->trouble, "rekey of the receiver", receiver, SOTTO_OK);
}
