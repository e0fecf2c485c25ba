/*
 * Handshakes at the responder: only its calls are timed, since the initiator's messages are made
 * once, before.
 *
 * The DH of the handshakes here gives the same ephemeral key each time, so that the initiator's
 * messages, made once, are right again and again.  `repeated` does all the work of the real one
 * before; `idle` does none, so what remains is the symmetric part.
 */
#include "layers.h"

#include "noise/handshake.h"

static const struct si_dh *real_dh;
static const struct si_dh *dh_in_use; /* what a protocol's name gives; NULL: the real one */
static struct si_private_key fixed_priv;
static struct si_public_key fixed_pub;

const struct si_dh *__real_si_dh_by_name(struct si_span name);
const struct si_dh *__wrap_si_dh_by_name(struct si_span name);

const struct si_dh *__wrap_si_dh_by_name(struct si_span name)
{
    return dh_in_use != NULL ? dh_in_use : __real_si_dh_by_name(name);
}

static sotto_err repeated_generate(const struct si_dh *dh, struct si_private_key *priv,
                                   struct si_public_key *pub)
{
    sotto_err err = si_dh_generate(dh, priv, pub);

    *priv = fixed_priv;
    *pub = fixed_pub;
    return err;
}

static sotto_err idle_generate(const struct si_dh *dh, struct si_private_key *priv,
                               struct si_public_key *pub)
{
    (void)dh;
    *priv = fixed_priv;
    *pub = fixed_pub;
    return SOTTO_OK;
}

static sotto_err idle_exchange(struct si_shared_secret *out, const struct si_private_key *priv,
                               const struct si_public_key *pub)
{
    (void)priv;
    (void)pub;
    memset(out, 0x5a, sizeof *out);
    return SOTTO_OK;
}

struct handshake {
    bool bootstrap; /* XX, else NKpsk0 */
    struct si_dh dh;
    sotto_curve curve;
    sotto_cipher cipher;
    struct si_protocol protocol;
    struct si_buf message[2]; /* of the initiator: as they are in Noise ... */
    struct si_buf flight[2];  /* ... and in frames */
    uint8_t input[4096];
};

/* As long as a session's: NoiseSocket's 18 bytes and the negotiation. */
static struct si_span prologue(void)
{
    static const uint8_t bytes[18 + 117];

    return si_span(bytes, sizeof bytes);
}

static struct si_handshake_keys responder_keys(const struct handshake *h)
{
    const sotto_keypair *key = world.key[h->curve - 1];

    return (struct si_handshake_keys){
        .s = &key->priv, .s_public = &key->pub, .psk[0] = h->bootstrap ? NULL : &world.psk};
}

static sotto_err read_message(struct si_handshake *hs, const struct si_buf *message)
{
    uint8_t payload[256];
    size_t len;

    return si_handshake_read(hs, si_span(message->ptr, message->len), payload, sizeof payload,
                             &len);
}

/* The payloads are as long as a session's: an empty body, and the server's hello. */
static sotto_err write_message(struct si_handshake *hs, size_t payload_len, struct si_buf *out)
{
    static const uint8_t payload[64];

    return si_handshake_write(hs, si_span(payload, payload_len), out->ptr, out->cap, &out->len);
}

static sotto_err respond(void *user)
{
    struct handshake *h = user;
    struct si_handshake_keys keys = responder_keys(h);
    uint8_t bytes[512], hash[SI_HASH_LEN_MAX];
    struct si_buf answer = {bytes, 0, sizeof bytes, sizeof bytes};
    struct si_cipher_state tx = {0}, rx = {0};
    struct si_handshake *hs;
    size_t len;
    sotto_err err = si_handshake_new(&h->protocol, SI_RESPONDER, prologue(), &keys, &hs, NULL);

    if (err == SOTTO_OK && (err = read_message(hs, &h->message[0])) == SOTTO_OK &&
        (err = write_message(hs, h->bootstrap ? 2 : 62, &answer)) == SOTTO_OK &&
        (!h->bootstrap || (err = read_message(hs, &h->message[1])) == SOTTO_OK) &&
        (err = si_handshake_split(hs, &tx, &rx, hash, &len)) == SOTTO_OK) {
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
    }
    si_handshake_free(hs);
    return err;
}

static sotto_err serve_flight(sotto_session *session, struct handshake *h, unsigned i)
{
    const uint8_t *out;
    size_t len, taken;
    sotto_err err;

    memcpy(h->input, h->flight[i].ptr, h->flight[i].len);
    if ((err = sotto_session_feed(session, h->input, h->flight[i].len, &taken, 0)) == SOTTO_OK &&
        (err = sotto_session_output(session, &out, &len, 0)) == SOTTO_OK)
        sotto_session_sent(session, len);
    return err;
}

static sotto_err serve(void *user)
{
    struct handshake *h = user;
    sotto_session *session;
    sotto_err err;

    dh_in_use = &h->dh;
    if ((err = sotto_session_server_new(world.acceptor, 0, &session)) != SOTTO_OK)
        return err;
    si_session_lend(session, &world.scratch);
    err = serve_flight(session, h, 0);
    if (err == SOTTO_OK && h->bootstrap)
        err = serve_flight(session, h, 1);
    sotto_session_free(session);
    dh_in_use = NULL;
    return err;
}

/* What the responder needs at the least: a key pair, es and ee, and se in XX. */
static sotto_err bare_dh(void *user)
{
    const struct handshake *h = user;
    struct si_private_key priv;
    struct si_public_key pub;
    struct si_shared_secret shared;
    sotto_err err = real_dh->generate(real_dh, &priv, &pub);

    for (unsigned i = 0; i < (h->bootstrap ? 3U : 2U) && err == SOTTO_OK; i++)
        err = real_dh->exchange(&shared, &priv, &fixed_pub);
    return err;
}

/* Make the initiator's messages. */
static void record_messages(struct handshake *h)
{
    struct si_handshake_keys keys = responder_keys(h), own = {0};
    const struct si_public_key *rs = keys.s_public;
    struct si_handshake *initiator, *responder;
    uint8_t bytes[512];
    struct si_buf answer = {bytes, 0, sizeof bytes, sizeof bytes};

    if (h->bootstrap)
        own = keys; /* whose key it is does not change the cost */
    else
        own = (struct si_handshake_keys){.rs = rs, .psk[0] = &world.psk};
    for (unsigned i = 0; i < 2; i++) {
        h->message[i] = si_buf(512);
        require_ok("memory", si_buf_reserve(&h->message[i], 512));
    }
    require_ok("initiator",
               si_handshake_new(&h->protocol, SI_INITIATOR, prologue(), &own, &initiator, NULL));
    require_ok("responder",
               si_handshake_new(&h->protocol, SI_RESPONDER, prologue(), &keys, &responder, NULL));
    require_ok("message 1", write_message(initiator, h->bootstrap ? 0 : 2, &h->message[0]));
    if (h->bootstrap) {
        require_ok("message 1", read_message(responder, &h->message[0]));
        require_ok("message 2", write_message(responder, 2, &answer));
        require_ok("message 2", read_message(initiator, &answer));
        require_ok("message 3", write_message(initiator, 2, &h->message[1]));
    }
    si_handshake_free(initiator);
    si_handshake_free(responder);
}

static void record_flights(struct handshake *h)
{
    sotto_session *client, *server;
    struct si_buf answer;

    dh_in_use = &h->dh;
    client = new_client(h->bootstrap, h->curve, h->cipher);
    server = new_server();
    take_flight(client, &h->flight[0]);
    (void)give_flight(server, &h->flight[0]);
    take_flight(server, &answer);
    (void)give_flight(client, &answer);
    take_flight(client, &h->flight[1]);
    sotto_session_free(client);
    sotto_session_free(server);
    si_buf_free(&answer);
    dh_in_use = NULL;
    require("room for the frames", h->flight[0].len + PADDING <= sizeof h->input &&
                                       h->flight[1].len + PADDING <= sizeof h->input);
}

static void handshake_init(struct handshake *h, bool idle)
{
    char name[64];

    h->dh = *real_dh;
    h->dh.generate = idle ? idle_generate : repeated_generate;
    if (idle)
        h->dh.exchange = idle_exchange;
    (void)snprintf(name, sizeof name, "Noise_%s_%s_%s_%s", h->bootstrap ? "XX" : "NKpsk0",
                   sotto_curve_name(h->curve), sotto_cipher_name(h->cipher),
                   si_curve_hash(h->curve)->name);
    dh_in_use = &h->dh;
    require_ok(name, si_protocol_parse(&h->protocol, name, NULL));
    record_messages(h);
    record_flights(h);
}

static void handshake_free(struct handshake *h)
{
    for (unsigned i = 0; i < 2; i++) {
        si_buf_free(&h->message[i]);
        si_buf_free(&h->flight[i]);
    }
}

static void name_level(char *name, const char *level, const struct handshake *h)
{
    (void)snprintf(name, NAME_SIZE, "handshake %s %s %s, %s", h->bootstrap ? "XX" : "NKpsk0",
                   sotto_curve_name(h->curve), sotto_cipher_name(h->cipher), level);
}

/* Two lines: all of it, and the symmetric part alone; the bound of both is the bare DH. */
static void bench_level(const char *level, sotto_err (*step)(void *user), struct handshake *whole,
                        struct handshake *symmetric)
{
    char names[2][NAME_SIZE];
    struct bench_work works[] = {{.step = step, .user = whole, .name = names[0]},
                                 {.step = step, .user = symmetric, .name = names[1]},
                                 {.step = bare_dh, .user = whole, .name = "bare DH"}};

    name_level(names[0], level, whole);
    (void)snprintf(names[1], NAME_SIZE, "%.80s, symmetric", names[0]);
    if (wanted(names[0]) || wanted(names[1]))
        compare_all(works, SI_COUNT(works));
}

static void bench_handshake(bool bootstrap, sotto_curve curve, sotto_cipher cipher)
{
    struct handshake whole = {.bootstrap = bootstrap, .curve = curve, .cipher = cipher};
    struct handshake symmetric = whole;

    handshake_init(&whole, false);
    handshake_init(&symmetric, true);
    bench_level("noise", respond, &whole, &symmetric);
    bench_level("session", serve, &whole, &symmetric);
    handshake_free(&whole);
    handshake_free(&symmetric);
}

void bench_handshakes(void)
{
    static const sotto_cipher ciphers[] = {SOTTO_CIPHER_AESGCM, SOTTO_CIPHER_CHACHAPOLY};

    for (int curve = SOTTO_CURVE_25519; curve <= SOTTO_CURVE_448; curve++) {
        real_dh = si_curve_dh((sotto_curve)curve);
        require_ok("a key pair", real_dh->generate(real_dh, &fixed_priv, &fixed_pub));
        for (size_t cipher = 0; cipher < SI_COUNT(ciphers); cipher++) {
            bench_handshake(false, (sotto_curve)curve, ciphers[cipher]);
            bench_handshake(true, (sotto_curve)curve, ciphers[cipher]);
        }
    }
}
