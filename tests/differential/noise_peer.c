/*
 * noise_peer: the library as one side of a handshake, over standard input and output.
 *
 * The driver (differential.py) writes a request a line and reads an answer a line; line.h has their
 * form.  Only the public header sotto/noise.h is used, and nothing is decided here: the driver says
 * what is done and knows what has to come out.  Requests, with what follows "ok" in the answer:
 *
 *     forget                           (nothing; all is as it was at the start)
 *     describe NAME-IN-HEX             curve cipher hash hashlen messages psks one-way fallback,
 *                                      then who needs what: s and rs of initiator and responder
 *     static CURVE PRIVATE-KEY         the public half; it is the own static key from now on
 *     new protocol=NAME role=ROLE [prologue=HEX] [s=1] [rs=HEX] [pskN=HEX] [lookupN=HEX]
 *         [re=HEX] [from=1]
 *     set_psk N HEX
 *     state PAYLOAD-LEN                action, message_len, payload_max, next_encrypted
 *     write PAYLOAD, read MESSAGE      the message, the payload
 *     remote                           the peer's static key or "-", and whether it is proven
 *     hash                             the handshake hash
 *     split ordered|datagrams
 *     encrypt PLACE AD PLAINTEXT       the message, and the nonce of a datagram
 *     decrypt PLACE AD MESSAGE [NONCE] the plaintext; PLACE is "apart", or "same" for output in the
 *                                      place of the input
 *     rekey sending|receiving
 *     nonces                           of both directions; of datagrams the sending one
 */
#include <stdlib.h>
#include <string.h>

#include "line.h"

struct peer {
    sotto_keypair *s;
    sotto_handshake *hs;
    sotto_transport *transport;
    sotto_datagrams *datagrams;
    char *lookup_hex[SOTTO_PSK_POSITIONS]; /* copies, for the handshake's psk_lookup */
};

static void forget_lookups(struct peer *peer)
{
    for (size_t n = 0; n < SOTTO_PSK_POSITIONS; n++) {
        free(peer->lookup_hex[n]);
        peer->lookup_hex[n] = NULL;
    }
}

static void end_transport(struct peer *peer)
{
    sotto_transport_free(peer->transport);
    sotto_datagrams_free(peer->datagrams);
    peer->transport = NULL;
    peer->datagrams = NULL;
}

static void forget(struct peer *peer)
{
    forget_lookups(peer);
    end_transport(peer);
    sotto_handshake_free(peer->hs);
    sotto_keypair_free(peer->s);
    *peer = (struct peer){0};
}

/* An error has to say the same in its code, and has to say something in words. */
static int has_words(sotto_err err, const sotto_error *error)
{
    return err == SOTTO_OK || (error->code == err && error->what[0] != '\0');
}

static void answer_err(sotto_err err, const sotto_error *error)
{
    line_err(err);
    if (!has_words(err, error))
        line_put_word("without words");
}

/* What was written to ROOM, or the error; after an error nothing may have been written. */
static void answer_room(sotto_err err, const sotto_error *error, const sotto_room *room)
{
    if (err == SOTTO_OK) {
        if (room->len > room->cap)
            line_die("more was written than there is room for");
        line_ok();
        line_put_bytes(sotto_room_bytes(room));
        return;
    }
    if (error != NULL)
        answer_err(err, error);
    else
        line_err(err);
    if (room->len != 0)
        line_put_word("with output");
}

static sotto_psk psk_of(struct line *line, const char *hex)
{
    sotto_bytes bytes = line_bytes(line, hex);
    sotto_psk psk;

    if (bytes.len != SOTTO_PSK_LEN)
        line_die("not a PSK");
    memcpy(psk.bytes, bytes.ptr, SOTTO_PSK_LEN);
    return psk;
}

static sotto_public_key key_of(struct line *line, const char *hex)
{
    sotto_bytes bytes = line_bytes(line, hex);
    sotto_public_key key = {0};

    if (bytes.len == sotto_curve_key_len(SOTTO_CURVE_25519))
        key.curve = SOTTO_CURVE_25519;
    else if (bytes.len == sotto_curve_key_len(SOTTO_CURVE_448))
        key.curve = SOTTO_CURVE_448;
    else
        line_die("not a public key");
    memcpy(key.bytes, bytes.ptr, bytes.len);
    return key;
}

static void put_key(const sotto_public_key *key)
{
    if (key == NULL)
        line_put_word("-");
    else
        line_put_bytes(sotto_bytes_of(key->bytes, sotto_curve_key_len(key->curve)));
}

/* ---- Protocols and keys ---------------------------------------------------------------------- */

static void put_psks(const sotto_protocol_info *info)
{
    char text[SOTTO_PSK_POSITIONS + 1];
    size_t len = 0;

    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++) {
        if (info->psk[n])
            text[len++] = (char)('0' + n);
    }
    text[len] = '\0';
    line_put_word(len > 0 ? text : "-");
}

static void do_describe(struct peer *peer, struct line *line)
{
    sotto_bytes bytes = line_bytes(line, line_word(line, 1));
    char *name = line_room(line, bytes.len + 1).ptr;
    sotto_protocol_info info;
    sotto_error error = {0};
    sotto_err err;

    (void)peer;
    if (bytes.len > 0)
        memcpy(name, bytes.ptr, bytes.len);
    name[bytes.len] = '\0';
    if ((err = sotto_protocol_describe(name, &info, &error)) != SOTTO_OK) {
        answer_err(err, &error);
        return;
    }
    line_ok();
    line_put_word(sotto_curve_name(info.curve));
    line_put_word(sotto_cipher_name(info.cipher));
    line_put_word(info.hash);
    line_put_number(info.hash_len);
    line_put_number(info.messages);
    put_psks(&info);
    line_put_number(info.one_way != 0);
    line_put_number(info.fallback != 0);
    line_put_number(info.initiator.s != 0);
    line_put_number(info.initiator.rs != 0);
    line_put_number(info.responder.s != 0);
    line_put_number(info.responder.rs != 0);
}

static void do_static(struct peer *peer, struct line *line)
{
    sotto_bytes private_key = line_bytes(line, line_word(line, 2));
    sotto_public_key key;
    sotto_err err;

    sotto_keypair_free(peer->s);
    err = sotto_keypair_from_raw(sotto_curve_by_name(line_word(line, 1)), private_key.ptr,
                                 private_key.len, &peer->s);
    if (err != SOTTO_OK) {
        line_err(err);
        return;
    }
    key = sotto_keypair_public(peer->s);
    line_ok();
    put_key(&key);
}

/* ---- Handshakes ------------------------------------------------------------------------------ */

/* Gives the PSKs that came as lookupN; E_KEY for any other position. */
static sotto_err look_up(void *user, const sotto_psk_request *request, sotto_psk *psk)
{
    const struct peer *peer = user;
    struct line scratch = {0};
    const char *hex;

    if (request->position >= SOTTO_PSK_POSITIONS)
        line_die("a PSK is asked for a position that no pattern has");
    if ((hex = peer->lookup_hex[request->position]) == NULL)
        return SOTTO_E_KEY;
    *psk = psk_of(&scratch, hex);
    line_free(&scratch);
    return SOTTO_OK;
}

/* The PSKs of the request, into OPTIONS (at PSKS) and into PEER for the lookup. */
static void take_psks(struct peer *peer, struct line *line, sotto_handshake_options *options,
                      sotto_psk psks[SOTTO_PSK_POSITIONS])
{
    forget_lookups(peer);
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++) {
        char given[] = {'p', 's', 'k', (char)('0' + n), '\0'};
        char asked[] = {'l', 'o', 'o', 'k', 'u', 'p', (char)('0' + n), '\0'};
        const char *hex;

        if ((hex = line_named(line, given)) != NULL) {
            psks[n] = psk_of(line, hex);
            options->psk[n] = &psks[n];
        }
        if ((hex = line_named(line, asked)) != NULL) {
            peer->lookup_hex[n] = strdup(hex);
            options->psk_lookup = look_up;
            options->psk_user = peer;
        }
    }
}

static sotto_role role_of(const char *word)
{
    if (word != NULL && strcmp(word, "initiator") == 0)
        return SOTTO_INITIATOR;
    if (word != NULL && strcmp(word, "responder") == 0)
        return SOTTO_RESPONDER;
    line_die("no role");
}

/* On success the new handshake takes the place of the one before, which may have given its
 * ephemeral key (from=1). */
static void do_new(struct peer *peer, struct line *line)
{
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    const char *rs = line_named(line, "rs"), *re = line_named(line, "re");
    sotto_psk psks[SOTTO_PSK_POSITIONS];
    sotto_public_key rs_key, re_key;
    sotto_handshake *hs;
    sotto_error error = {0};
    sotto_err err;

    options.protocol = line_named(line, "protocol");
    options.role = role_of(line_named(line, "role"));
    if (line_named(line, "prologue") != NULL)
        options.prologue = line_bytes(line, line_named(line, "prologue"));
    if (line_named(line, "s") != NULL)
        options.s = peer->s;
    if (rs != NULL) {
        rs_key = key_of(line, rs);
        options.rs = &rs_key;
    }
    if (re != NULL) {
        re_key = key_of(line, re);
        options.fallback_re = &re_key;
    }
    if (line_named(line, "from") != NULL)
        options.fallback_from = peer->hs;
    take_psks(peer, line, &options, psks);

    err = sotto_handshake_new(&options, &hs, &error);
    if ((err == SOTTO_OK) != (hs != NULL))
        line_die("a handshake after an error, or none after success");
    if (err != SOTTO_OK) {
        answer_err(err, &error);
        return;
    }
    if (options.fallback_from != NULL && sotto_handshake_action(peer->hs) != SOTTO_ACTION_FAILED)
        line_die("a handshake that gave its ephemeral key can still be used");
    end_transport(peer);
    sotto_handshake_free(peer->hs);
    peer->hs = hs;
    line_ok();
}

static void do_set_psk(struct peer *peer, struct line *line)
{
    sotto_psk psk = psk_of(line, line_word(line, 2));
    sotto_error error = {0};
    sotto_err err =
        sotto_handshake_set_psk(peer->hs, line_number(line_word(line, 1)), &psk, &error);

    if (err == SOTTO_OK)
        line_ok();
    else
        answer_err(err, &error);
}

static const char *action_name(sotto_action action)
{
    switch (action) {
    case SOTTO_ACTION_DONE:
        return "none";
    case SOTTO_ACTION_WRITE:
        return "write";
    case SOTTO_ACTION_READ:
        return "read";
    case SOTTO_ACTION_SPLIT:
        return "split";
    case SOTTO_ACTION_FAILED:
        return "failed";
    }
    line_die("an action that there is not");
}

static void do_state(struct peer *peer, struct line *line)
{
    size_t len = sotto_handshake_message_len(peer->hs, line_number(line_word(line, 1)));

    line_ok();
    line_put_word(action_name(sotto_handshake_action(peer->hs)));
    line_put_number(len);
    line_put_number(sotto_handshake_payload_max(peer->hs));
    line_put_number(sotto_handshake_next_encrypted(peer->hs) != 0);
}

/* Exactly the room that the header asks for; for a message that is too long as much as the payload,
 * and its error must not be that of a place too small. */
static void do_write(struct peer *peer, struct line *line)
{
    sotto_bytes payload = line_bytes(line, line_word(line, 1));
    size_t len = sotto_handshake_message_len(peer->hs, payload.len);
    sotto_room room = line_room(line, len > 0 ? len : payload.len + 1024);
    sotto_error error = {0};
    sotto_err err = sotto_handshake_write(peer->hs, payload, &room, &error);

    answer_room(err, &error, &room);
}

static void do_read(struct peer *peer, struct line *line)
{
    sotto_bytes message = line_bytes(line, line_word(line, 1));
    sotto_room room = line_room(line, sotto_handshake_payload_len(peer->hs, message.len));
    sotto_error error = {0};
    sotto_err err = sotto_handshake_read(peer->hs, message, &room, &error);

    answer_room(err, &error, &room);
}

static void do_remote(struct peer *peer, struct line *line)
{
    (void)line;
    line_ok();
    put_key(sotto_handshake_remote_static(peer->hs));
    line_put_number(sotto_handshake_remote_proven(peer->hs) != 0);
}

static void do_hash(struct peer *peer, struct line *line)
{
    (void)line;
    line_ok();
    line_put_bytes(sotto_handshake_hash(peer->hs));
}

static void do_split(struct peer *peer, struct line *line)
{
    int ordered = strcmp(line_word(line, 1), "ordered") == 0;
    sotto_transport *transport = NULL;
    sotto_datagrams *datagrams = NULL;
    sotto_error error = {0};
    sotto_err err;

    if (ordered)
        err = sotto_handshake_split(peer->hs, &transport, &error);
    else
        err = sotto_handshake_split_datagrams(peer->hs, &datagrams, &error);
    if ((err == SOTTO_OK) != (transport != NULL || datagrams != NULL))
        line_die("keys after an error, or none after success");
    if (err != SOTTO_OK) {
        answer_err(err, &error);
        return;
    }
    end_transport(peer);
    peer->transport = transport;
    peer->datagrams = datagrams;
    line_ok();
}

/* ---- Transport ------------------------------------------------------------------------------- */

static sotto_ad ad_of(struct line *line, size_t index)
{
    sotto_bytes bytes = line_bytes(line, line_word(line, index));

    return sotto_ad_of(bytes.ptr, bytes.len);
}

/* Room for LEN bytes of output, apart from the input or in its place: *INPUT is moved there. */
static sotto_room place_for(struct line *line, size_t len, sotto_bytes *input)
{
    int same = strcmp(line_word(line, 1), "same") == 0;
    sotto_room room = line_room(line, same && input->len > len ? input->len : len);

    if (same) {
        if (input->len > 0)
            memcpy(room.ptr, input->ptr, input->len);
        *input = sotto_bytes_of(room.ptr, input->len);
        room.cap = len;
    }
    return room;
}

static void do_encrypt(struct peer *peer, struct line *line)
{
    sotto_ad ad = ad_of(line, 2);
    sotto_bytes plaintext = line_bytes(line, line_word(line, 3));
    sotto_room room = place_for(line, plaintext.len + SOTTO_NOISE_TAG_LEN, &plaintext);
    uint64_t nonce = 0;
    sotto_err err;

    if (peer->datagrams != NULL)
        err = sotto_datagrams_encrypt(peer->datagrams, ad, plaintext, &room, &nonce);
    else
        err = sotto_transport_encrypt(peer->transport, ad, plaintext, &room);
    answer_room(err, NULL, &room);
    if (err == SOTTO_OK && peer->datagrams != NULL)
        line_put_number(nonce);
}

static void do_decrypt(struct peer *peer, struct line *line)
{
    sotto_ad ad = ad_of(line, 2);
    sotto_bytes message = line_bytes(line, line_word(line, 3));
    size_t len = message.len > SOTTO_NOISE_TAG_LEN ? message.len - SOTTO_NOISE_TAG_LEN : 0;
    sotto_room room = place_for(line, len, &message);
    sotto_err err;

    if (peer->datagrams != NULL)
        err = sotto_datagrams_decrypt(peer->datagrams, line_nonce(line_word(line, 4)), ad, message,
                                      &room);
    else
        err = sotto_transport_decrypt(peer->transport, ad, message, &room);
    answer_room(err, NULL, &room);
}

static void do_rekey(struct peer *peer, struct line *line)
{
    int sending = strcmp(line_word(line, 1), "sending") == 0;
    sotto_err err;

    if (peer->datagrams != NULL)
        err = sending ? sotto_datagrams_rekey_sending(peer->datagrams)
                      : sotto_datagrams_rekey_receiving(peer->datagrams);
    else
        err = sending ? sotto_transport_rekey_sending(peer->transport)
                      : sotto_transport_rekey_receiving(peer->transport);
    if (err == SOTTO_OK)
        line_ok();
    else
        line_err(err);
}

static void do_nonces(struct peer *peer, struct line *line)
{
    (void)line;
    line_ok();
    if (peer->datagrams != NULL) {
        line_put_number(sotto_datagrams_sending_nonce(peer->datagrams));
        return;
    }
    line_put_number(sotto_transport_sending_nonce(peer->transport));
    line_put_number(sotto_transport_receiving_nonce(peer->transport));
}

static void do_forget(struct peer *peer, struct line *line)
{
    (void)line;
    forget(peer);
    line_ok();
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* What a request works on, so that the driver cannot make the program call with NULL. */
enum needs { NOTHING, A_HANDSHAKE, A_TRANSPORT };

static const struct request {
    const char *name;
    enum needs needs;
    void (*run)(struct peer *peer, struct line *line);
} requests[] = {
    /* at any time */
    {"forget", NOTHING, do_forget},
    {"describe", NOTHING, do_describe},
    {"static", NOTHING, do_static},
    {"new", NOTHING, do_new},
    /* of a handshake */
    {"set_psk", A_HANDSHAKE, do_set_psk},
    {"state", A_HANDSHAKE, do_state},
    {"write", A_HANDSHAKE, do_write},
    {"read", A_HANDSHAKE, do_read},
    {"remote", A_HANDSHAKE, do_remote},
    {"hash", A_HANDSHAKE, do_hash},
    {"split", A_HANDSHAKE, do_split},
    /* of what it was split into */
    {"encrypt", A_TRANSPORT, do_encrypt},
    {"decrypt", A_TRANSPORT, do_decrypt},
    {"rekey", A_TRANSPORT, do_rekey},
    {"nonces", A_TRANSPORT, do_nonces},
};

static void answer(struct peer *peer, struct line *line)
{
    const char *name = line_word(line, 0);
    size_t i = 0;

    while (i < sizeof requests / sizeof requests[0] && strcmp(requests[i].name, name) != 0)
        i++;
    if (i == sizeof requests / sizeof requests[0])
        line_die("no such request");
    if (requests[i].needs == A_HANDSHAKE && peer->hs == NULL)
        line_die("there is no handshake");
    if (requests[i].needs == A_TRANSPORT && peer->transport == NULL && peer->datagrams == NULL)
        line_die("there is no transport");
    requests[i].run(peer, line);
    line_end();
}

int main(void)
{
    struct peer peer = {0};
    struct line line = {0};

    while (line_read(&line, stdin))
        answer(&peer, &line);
    forget(&peer);
    line_free(&line);
    return 0;
}
