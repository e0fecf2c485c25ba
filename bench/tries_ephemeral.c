/*
 * A pool of ephemeral key pairs: what NKpsk0 on 25519 costs its responder when the key pair is made
 * within the handshake, and when it was made before and lies in a pool.
 *
 * The initiator's only message was made once; the responder's key pair has no part in it, so it is
 * right for every handshake.
 */
#include "tries.h"

#include "noise/handshake.h"

enum { POOL = 256, PAYLOAD = 62, ROUND_NS = 1000000 };

static struct pair {
    struct si_private_key priv;
    struct si_public_key pub;
} pool[POOL];
static size_t pooled;

static const struct si_dh *real_dh;
static struct si_dh pool_dh; /* takes from the pool */
static sotto_keypair *server;
static sotto_psk psk;
static uint8_t request[512];
static size_t request_len;

static sotto_err take_pair(const struct si_dh *dh, struct si_private_key *priv,
                           struct si_public_key *pub)
{
    (void)dh;
    if (pooled == 0)
        return SOTTO_E_AGAIN;
    pooled--;
    *priv = pool[pooled].priv;
    *pub = pool[pooled].pub;
    si_wipe(&pool[pooled], sizeof pool[pooled]);
    return SOTTO_OK;
}

static sotto_err put_pair(void *user)
{
    struct pair *pair = &pool[pooled++];

    (void)user;
    return real_dh->generate(real_dh, &pair->priv, &pair->pub);
}

static void empty_pool(void *user)
{
    (void)user;
    pooled = 0;
}

static void fill_pool(void *user)
{
    while (pooled < POOL)
        tries_require_ok("a key pair", put_pair(user));
}

/* ---- Handshakes ------------------------------------------------------------------------------ */

struct responder {
    struct si_protocol protocol;
    bool from_pool;
    struct si_handshake *hs[POOL]; /* answered, and not freed where that is not timed */
    size_t count;
};

static sotto_err answer(const struct responder *r, struct si_handshake **hs, uint8_t *out,
                        size_t cap, size_t *len)
{
    static const uint8_t payload[PAYLOAD], prologue[18 + 117]; /* as long as a session's */
    struct si_handshake_keys keys = {.s = &server->priv, .s_public = &server->pub, .psk[0] = &psk};
    uint8_t body[64];
    size_t body_len;
    sotto_err err = si_handshake_new(&r->protocol, SI_RESPONDER, si_span(prologue, sizeof prologue),
                                     &keys, hs, NULL);

    if (err == SOTTO_OK && (err = si_handshake_read(*hs, si_span(request, request_len), body,
                                                    sizeof body, &body_len)) == SOTTO_OK)
        err = si_handshake_write(*hs, si_span(payload, sizeof payload), out, cap, len);
    return err;
}

static sotto_err step_answer(void *user)
{
    struct responder *r = user;
    uint8_t out[512];
    size_t len;

    return answer(r, &r->hs[r->count++], out, sizeof out, &len);
}

static sotto_err step_whole(void *user)
{
    struct responder *r = user;
    struct si_cipher_state tx = {0}, rx = {0};
    struct si_handshake *hs = NULL;
    uint8_t out[512], hash[SI_HASH_LEN_MAX];
    size_t len;
    sotto_err err = answer(r, &hs, out, sizeof out, &len);

    if (err == SOTTO_OK)
        err = si_handshake_split(hs, &tx, &rx, hash, &len);
    si_cipher_wipe(&tx);
    si_cipher_wipe(&rx);
    si_handshake_free(hs);
    return err;
}

/* Before a round: free what the last one left, and have keys. */
static void renew(void *user)
{
    struct responder *r = user;

    while (r->count > 0)
        si_handshake_free(r->hs[--r->count]);
    if (r->from_pool)
        fill_pool(NULL);
}

static void responder_init(struct responder *r, bool from_pool)
{
    *r = (struct responder){.from_pool = from_pool};
    tries_require_ok("a protocol",
                     si_protocol_parse(&r->protocol, "Noise_NKpsk0_25519_AESGCM_SHA256", NULL));
    if (from_pool)
        r->protocol.dh = &pool_dh;
}

/* Make the request, and see that the initiator takes the answer of R. */
static void check_answer(const struct responder *r)
{
    static const uint8_t payload[2], prologue[18 + 117];
    struct si_protocol protocol = r->protocol;
    struct si_handshake_keys keys = {.rs = &server->pub, .psk[0] = &psk};
    struct si_handshake *initiator, *hs = NULL;
    uint8_t out[512], body[PAYLOAD];
    size_t len, body_len;

    protocol.dh = real_dh;
    tries_require_ok("an initiator",
                     si_handshake_new(&protocol, SI_INITIATOR, si_span(prologue, sizeof prologue),
                                      &keys, &initiator, NULL));
    tries_require_ok("a request", si_handshake_write(initiator, si_span(payload, sizeof payload),
                                                     request, sizeof request, &request_len));
    fill_pool(NULL);
    tries_require_ok("an answer", answer(r, &hs, out, sizeof out, &len));
    tries_require_ok("an answer that the initiator takes",
                     si_handshake_read(initiator, si_span(out, len), body, sizeof body, &body_len));
    si_handshake_free(initiator);
    si_handshake_free(hs);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static sotto_err step_random(void *user)
{
    uint8_t bytes[32];

    (void)user;
    return si_random(bytes, sizeof bytes);
}

static void print_lines(struct tries_samples *s)
{
    static const char *const columns[] = {"to the answer, us", "the whole, us", NULL};
    static struct tries_samples sum;

    for (int round = 0; round < tries_rounds; round++) {
        for (size_t i = 0; i < 6; i++)
            s[i].round[round] /= 1000;
        sum.round[round] = s[3].round[round] + s[4].round[round];
    }
    tries_head("ephemeral: NKpsk0, 25519, AESGCM, at the responder", columns);
    tries_line("key pair made in the handshake (as now)", &s[0], 2);
    tries_line("key pair from a pool", &s[2], 2);
    tries_head("  one key pair", (const char *const[]){"us", NULL});
    tries_line("to fill the pool with it", &s[4], 1);
    tries_line("  of that, its random bytes", &s[5], 1);
    tries_head("  CPU of one handshake", (const char *const[]){"us", NULL});
    tries_line("as now", &s[1], 1);
    tries_line("from a pool, filling it included", &sum, 1);
}

void try_ephemeral(void)
{
    static struct responder inline_pair, pool_pair;
    static struct tries_samples samples[6];
    const struct bench_work works[] = {
        {"answer", step_answer, &inline_pair, renew, POOL},
        {"whole", step_whole, &inline_pair, renew, POOL},
        {"answer from a pool", step_answer, &pool_pair, renew, POOL},
        {"whole from a pool", step_whole, &pool_pair, renew, POOL},
        {"a key pair for the pool", put_pair, NULL, empty_pool, POOL},
        {"random bytes", step_random, NULL, NULL, 0},
    };

    real_dh = si_curve_dh(SOTTO_CURVE_25519);
    pool_dh = *real_dh;
    pool_dh.generate = take_pair;
    memset(psk.bytes, 0x51, sizeof psk.bytes);
    tries_require_ok("a key pair", sotto_keypair_generate(SOTTO_CURVE_25519, &server));
    responder_init(&inline_pair, false);
    responder_init(&pool_pair, true);
    check_answer(&inline_pair);
    check_answer(&pool_pair);
    tries_measure(works, sizeof works / sizeof works[0], ROUND_NS, samples);
    print_lines(samples);
    renew(&inline_pair);
    renew(&pool_pair);
    si_wipe(pool, sizeof pool);
    sotto_keypair_free(server);
}
