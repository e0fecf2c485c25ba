#include "support.h"

#include <ctype.h>

/* ---- Keys and bytes -------------------------------------------------------------------------- */

static struct {
    sotto_keypair *pair[PEOPLE];
    sotto_public_key public[PEOPLE];
} keys[SOTTO_CURVE_COUNT];

static sotto_psk psks[SOTTO_PSK_POSITIONS];

void fill(void *out, size_t len, unsigned seed)
{
    uint8_t *bytes = out;
    uint32_t x = seed * 2654435761u + 12345;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(x >> 24);
    }
}

unsigned draw(unsigned *seed, unsigned limit)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % limit;
}

bool all_are(const void *bytes, size_t len, uint8_t value)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        if (p[i] != value)
            return false;
    return true;
}

const sotto_keypair *pair_key(sotto_curve curve, int who)
{
    uint8_t raw[SOTTO_KEY_LEN_MAX];
    sotto_keypair **pair = &keys[curve - 1].pair[who];

    if (*pair == NULL) {
        fill(raw, sizeof raw, (unsigned)curve * 10 + (unsigned)who);
        assert_int_equal(sotto_keypair_from_raw(curve, raw, sotto_curve_key_len(curve), pair),
                         SOTTO_OK);
        keys[curve - 1].public[who] = sotto_keypair_public(*pair);
    }
    return *pair;
}

const sotto_public_key *public_key(sotto_curve curve, int who)
{
    pair_key(curve, who);
    return &keys[curve - 1].public[who];
}

sotto_curve other_curve(sotto_curve curve)
{
    return curve == SOTTO_CURVE_25519 ? SOTTO_CURVE_448 : SOTTO_CURVE_25519;
}

sotto_public_key low_order(sotto_curve curve)
{
    static const uint8_t zero[SOTTO_KEY_LEN_MAX];
    sotto_public_key key;

    assert_int_equal(sotto_public_key_from_raw(curve, zero, sotto_curve_key_len(curve), &key),
                     SOTTO_OK);
    return key;
}

const sotto_psk *psk_at(unsigned position)
{
    fill(psks[position].bytes, SOTTO_PSK_LEN, 700 + position);
    return &psks[position];
}

int free_world(void **state)
{
    (void)state;
    for (unsigned curve = 0; curve < SOTTO_CURVE_COUNT; curve++)
        for (unsigned who = 0; who < PEOPLE; who++) {
            sotto_keypair_free(keys[curve].pair[who]);
            keys[curve].pair[who] = NULL;
        }
    return 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        bool begins = at == text || !isalnum((unsigned char)at[-1]);
        bool ends = !isalnum((unsigned char)at[len]);

        if (begins && ends)
            return true;
    }
    return false;
}

bool error_says(const sotto_error *error, sotto_err code, const char *word)
{
    bool said = has_word(error->what, word) || has_word(error->why, word);

    if (error->code != code || !said || error->what[0] == '\0' || error->why[0] == '\0')
        print_error("wanted %s and \"%s\": %s \"%s\", \"%s\"\n", sotto_err_name(code), word,
                    sotto_err_name(error->code), error->what, error->why);
    return error->code == code && said && error->what[0] != '\0' && error->why[0] != '\0';
}

/* ---- Two sides ------------------------------------------------------------------------------- */

sotto_handshake_options pair_options(const struct pair *p, int side)
{
    sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;
    const struct model *m = &p->m;

    o.protocol = m->name;
    o.role = role_of(side);
    o.prologue = sotto_bytes_of("before", 6);
    if (needs_s(m, side))
        o.s = pair_key(m->suite.curve, side);
    if (needs_rs(m, side))
        o.rs = public_key(m->suite.curve, !side);
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        if (m->psks >> n & 1)
            o.psk[n] = psk_at(n);
    if (m->fallback && side == RESPONDER)
        o.fallback_from = p->earlier;
    if (m->fallback && side == INITIATOR)
        o.fallback_re = &p->re;
    return o;
}

void pair_prepare(struct pair *p, const struct model *m)
{
    static struct text message;
    struct model plain = model_of("NN", false, 0, m->suite);
    sotto_handshake_options o = SOTTO_HANDSHAKE_OPTIONS_INIT;

    memset(p, 0, sizeof *p);
    p->m = *m;
    p->walk = walk_begin(&p->m);
    if (!m->fallback)
        return;
    o.protocol = plain.name;
    o.role = SOTTO_INITIATOR;
    assert_int_equal(sotto_handshake_new(&o, &p->earlier, NULL), SOTTO_OK);
    assert_int_equal(hs_write(p->earlier, NULL, 0, &message), SOTTO_OK);
    assert_int_equal(message.len, m->dh_len);
    assert_int_equal(sotto_public_key_from_raw(m->suite.curve, message.bytes, message.len, &p->re),
                     SOTTO_OK);
}

void pair_open_with(struct pair *p, const struct model *m, pair_change *change, void *user)
{
    pair_prepare(p, m);
    for (int side = 0; side < 2; side++) {
        sotto_handshake_options o = pair_options(p, side);
        sotto_error error;
        sotto_err err;

        if (change != NULL)
            change(side, &o, user);
        err = sotto_handshake_new(&o, &p->hs[side], &error);
        if (err != SOTTO_OK)
            fail_msg("%s, side %d: %s: %s", m->name, side, error.what, error.why);
        assert_int_equal(sotto_handshake_action(p->hs[side]),
                         side == INITIATOR ? SOTTO_ACTION_WRITE : SOTTO_ACTION_READ);
    }
}

void pair_open(struct pair *p, const struct model *m)
{
    pair_open_with(p, m, NULL, NULL);
}

static void drop_psks(int side, sotto_handshake_options *options, void *user)
{
    (void)side;
    (void)user;
    memset(options->psk, 0, sizeof options->psk);
}

void pair_open_without_psks(struct pair *p, const struct model *m)
{
    pair_open_with(p, m, drop_psks, NULL);
}

void pair_close(struct pair *p)
{
    sotto_handshake_free(p->hs[INITIATOR]);
    sotto_handshake_free(p->hs[RESPONDER]);
    sotto_handshake_free(p->earlier);
    memset(p, 0, sizeof *p);
}

sotto_handshake *writer(const struct pair *p)
{
    return p->hs[walk_sender(&p->walk)];
}

sotto_handshake *reader(const struct pair *p)
{
    return p->hs[!walk_sender(&p->walk)];
}

/* ---- Steps ----------------------------------------------------------------------------------- */

sotto_err hs_write(sotto_handshake *hs, const void *payload, size_t len, struct text *message)
{
    sotto_room room = sotto_room_of(message->bytes, sizeof message->bytes);
    sotto_err err = sotto_handshake_write(hs, sotto_bytes_of(payload, len), &room, NULL);

    assert_true(room.ptr == message->bytes && room.cap == sizeof message->bytes);
    assert_true(err == SOTTO_OK || room.len == 0);
    message->len = room.len;
    return err;
}

sotto_err hs_read(sotto_handshake *hs, const struct text *message, struct text *payload)
{
    sotto_room room = sotto_room_of(payload->bytes, sizeof payload->bytes);
    sotto_err err = sotto_handshake_read(hs, text_bytes(message), &room, NULL);

    assert_true(room.ptr == payload->bytes && room.cap == sizeof payload->bytes);
    assert_true(err == SOTTO_OK || room.len == 0);
    payload->len = room.len;
    return err;
}

static void check_before_step(const struct pair *p, size_t payload_len)
{
    size_t overhead = walk_overhead(&p->walk);

    for (int side = 0; side < 2; side++) {
        const sotto_handshake *hs = p->hs[side];

        assert_int_equal(sotto_handshake_action(hs),
                         side == walk_sender(&p->walk) ? SOTTO_ACTION_WRITE : SOTTO_ACTION_READ);
        assert_int_equal(sotto_handshake_message_len(hs, payload_len), overhead + payload_len);
        assert_int_equal(sotto_handshake_payload_len(hs, overhead + payload_len), payload_len);
        assert_int_equal(sotto_handshake_next_encrypted(hs), walk_encrypted(&p->walk));
    }
}

void pair_write(struct pair *p, size_t payload_len, struct text *message)
{
    static uint8_t payload[BUFFER];

    check_before_step(p, payload_len);
    fill(payload, payload_len, p->walk.at);
    assert_int_equal(hs_write(writer(p), payload, payload_len, message), SOTTO_OK);
    assert_int_equal(message->len, walk_overhead(&p->walk) + payload_len);
}

void pair_step_with(struct pair *p, size_t payload_len)
{
    static struct text message, payload;
    static uint8_t expected[BUFFER];

    pair_write(p, payload_len, &message);
    assert_int_equal(hs_read(reader(p), &message, &payload), SOTTO_OK);
    fill(expected, payload_len, p->walk.at);
    assert_int_equal(payload.len, payload_len);
    assert_memory_equal(payload.bytes, expected, payload_len);
    walk_on(&p->walk);
}

void pair_step(struct pair *p)
{
    pair_step_with(p, 7 + p->walk.at);
}

void pair_run_to(struct pair *p, unsigned message)
{
    while (p->walk.at < message)
        pair_step(p);
}

void pair_run(struct pair *p)
{
    pair_run_to(p, p->m.messages);
}

void pair_split(struct pair *p, sotto_transport *transports[2])
{
    assert_true(walk_ended(&p->walk));
    for (int side = 0; side < 2; side++) {
        assert_int_equal(sotto_handshake_action(p->hs[side]), SOTTO_ACTION_SPLIT);
        assert_int_equal(sotto_handshake_hash(p->hs[side]).len, 0);
        assert_int_equal(sotto_handshake_split(p->hs[side], &transports[side], NULL), SOTTO_OK);
        assert_int_equal(sotto_handshake_action(p->hs[side]), SOTTO_ACTION_DONE);
        assert_int_equal(sotto_handshake_hash(p->hs[side]).len, p->m.hash_len);
    }
    assert_memory_equal(sotto_handshake_hash(p->hs[0]).ptr, sotto_handshake_hash(p->hs[1]).ptr,
                        p->m.hash_len);
}

void pair_talks(const struct model *m, sotto_transport *transports[2])
{
    for (int from = 0; from < (m->one_way ? 1 : 2); from++) {
        uint8_t message[64], plain[64];
        sotto_room room = sotto_room_of(message, sizeof message);
        sotto_room out = sotto_room_of(plain, sizeof plain);

        assert_int_equal(sotto_transport_encrypt(transports[from], sotto_no_ad(),
                                                 sotto_bytes_of("hear me", 7), &room),
                         SOTTO_OK);
        assert_int_equal(room.len, 7 + SOTTO_NOISE_TAG_LEN);
        assert_int_equal(sotto_transport_decrypt(transports[!from], sotto_no_ad(),
                                                 sotto_room_bytes(&room), &out),
                         SOTTO_OK);
        assert_int_equal(out.len, 7);
        assert_memory_equal(plain, "hear me", 7);
    }
}

void pair_finish_and_close(struct pair *p)
{
    sotto_transport *transports[2];

    pair_run(p);
    pair_split(p, transports);
    pair_talks(&p->m, transports);
    sotto_transport_free(transports[0]);
    sotto_transport_free(transports[1]);
    pair_close(p);
}

/* ---- Failure --------------------------------------------------------------------------------- */

void assert_failed(sotto_handshake *hs)
{
    static struct text in, out;
    sotto_transport *transport = (sotto_transport *)&in;
    sotto_datagrams *datagrams = (sotto_datagrams *)&in;

    in.len = 200;
    assert_int_equal(sotto_handshake_action(hs), SOTTO_ACTION_FAILED);
    assert_int_equal(hs_write(hs, "x", 1, &out), SOTTO_E_USAGE);
    assert_int_equal(hs_read(hs, &in, &out), SOTTO_E_USAGE);
    for (unsigned n = 0; n < SOTTO_PSK_POSITIONS; n++)
        assert_int_equal(sotto_handshake_set_psk(hs, n, psk_at(n), NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_split(hs, &transport, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_handshake_split_datagrams(hs, &datagrams, NULL), SOTTO_E_USAGE);
    assert_null(transport);
    assert_null(datagrams);
    assert_null(sotto_handshake_remote_static(hs));
    assert_int_equal(sotto_handshake_remote_proven(hs), 0);
    assert_int_equal(sotto_handshake_hash(hs).len, 0);
    assert_int_equal(sotto_handshake_message_len(hs, 0), 0);
    assert_int_equal(sotto_handshake_payload_max(hs), 0);
    assert_int_equal(sotto_handshake_payload_len(hs, 200), 0);
    assert_int_equal(sotto_handshake_next_encrypted(hs), 0);
    assert_int_equal(sotto_handshake_action(hs), SOTTO_ACTION_FAILED);
}
