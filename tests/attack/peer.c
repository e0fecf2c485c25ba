#include "peer.h"

#include <stdio.h>

static void begin(struct peer *p, sotto_curve curve, sotto_cipher cipher,
                  const struct si_handshake_keys *keys)
{
    struct si_protocol protocol;
    char name[128];
    uint8_t prologue[16 + 2 + 1024];

    (void)snprintf(name, sizeof name, "Noise_%s_%s_%s_%s", pattern_names[p->pattern],
                   sotto_curve_name(curve), sotto_cipher_name(cipher),
                   curve == SOTTO_CURVE_25519 ? "SHA256" : "SHA512");
    assert_int_equal(si_protocol_parse(&protocol, name, NULL), SOTTO_OK);
    memcpy(prologue, "NoiseSocketInit1", 16);
    si_put_be16(prologue + 16, (uint16_t)p->negotiation_len);
    memcpy(prologue + 18, p->negotiation, p->negotiation_len);
    assert_int_equal(si_handshake_new(&protocol, p->role,
                                      si_span(prologue, 18 + p->negotiation_len), keys, &p->hs,
                                      NULL),
                     SOTTO_OK);
}

void peer_client(struct peer *p, const sotto_session_client_options *options, enum pattern pattern,
                 const char *negotiation)
{
    struct si_handshake_keys keys = {0};
    struct si_public_key rs = {{0}};
    sotto_keypair *fresh = NULL;

    memset(p, 0, sizeof *p);
    p->role = SI_INITIATOR;
    p->pattern = pattern;
    if (negotiation != NULL) {
        (void)snprintf(p->negotiation, sizeof p->negotiation, "%s", negotiation);
    } else {
        int len = snprintf(p->negotiation, sizeof p->negotiation,
                           "{\"sotto\":1,\"pattern\":\"%s\",\"curve\":\"%s\",\"cipher\":\"%s\"",
                           pattern_names[pattern], sotto_curve_name(options->curve),
                           sotto_cipher_name(options->cipher));
        char epoch[2 * SOTTO_EPOCH_LEN + 1] = "";

        si_hex(epoch, options->epoch, sizeof options->epoch);
        (void)snprintf(p->negotiation + len, sizeof p->negotiation - (size_t)len,
                       is_bootstrap(pattern) ? "%.0s}" : ",\"epoch\":\"%s\"}", epoch);
    }
    p->negotiation_len = strlen(p->negotiation);
    if (pattern != NKPSK0) {
        const sotto_keypair *identity = options->identity;

        if (identity == NULL) {
            assert_int_equal(sotto_keypair_generate(options->curve, &fresh), SOTTO_OK);
            identity = fresh;
        }
        keys.s = &identity->priv;
        keys.s_public = &identity->pub;
    }
    if (!is_bootstrap(pattern)) {
        memcpy(rs.bytes, options->server_key->bytes, sizeof rs.bytes);
        keys.rs = &rs;
        keys.psk[0] = options->psk;
    } else if (pattern == XXPSK0) {
        keys.psk[0] = options->gate;
    }
    begin(p, options->curve, options->cipher, &keys);
    sotto_keypair_free(fresh);
}

void peer_server(struct peer *p, const struct world *w, enum pattern pattern, sotto_curve curve,
                 sotto_cipher cipher, struct si_span frame)
{
    struct si_handshake_keys keys = {0};

    memset(p, 0, sizeof *p);
    p->role = SI_RESPONDER;
    p->pattern = pattern;
    assert_true(handshake_frame_len(frame) != 0);
    p->negotiation_len = si_get_be16(frame.ptr);
    assert_true(p->negotiation_len < sizeof p->negotiation);
    memcpy(p->negotiation, frame.ptr + 2, p->negotiation_len);
    keys.s = &w->server[curve - 1]->priv;
    keys.s_public = &w->server[curve - 1]->pub;
    if (pattern != XX)
        keys.psk[0] = pattern == XXPSK0 ? &w->gate[curve - 1] : &w->psk[curve - 1];
    begin(p, curve, cipher, &keys);
    peer_read(p, frame);
}

void peer_free(struct peer *p)
{
    si_handshake_free(p->hs);
    p->hs = NULL;
    si_cipher_wipe(&p->tx);
    si_cipher_wipe(&p->rx);
}

static void split_if_due(struct peer *p)
{
    if (si_handshake_action(p->hs) != SOTTO_ACTION_SPLIT)
        return;
    assert_int_equal(si_handshake_split(p->hs, &p->tx, &p->rx, p->h, &p->h_len), SOTTO_OK);
    si_handshake_free(p->hs);
    p->hs = NULL;
}

void peer_handshake(struct peer *p, const void *negotiation, size_t negotiation_len,
                    struct si_span payload, struct bytes *out)
{
    uint8_t message[4096], head[2];
    size_t len = 0;

    assert_int_equal(si_handshake_write(p->hs, payload, message, sizeof message, &len), SOTTO_OK);
    si_put_be16(head, (uint16_t)negotiation_len);
    bytes_add(out, head, 2);
    bytes_add(out, negotiation, negotiation_len);
    si_put_be16(head, (uint16_t)len);
    bytes_add(out, head, 2);
    bytes_add(out, message, len);
    p->written++;
    split_if_due(p);
}

void peer_next(struct peer *p, struct bytes *out)
{
    bool first = p->role == SI_INITIATOR && p->written == 0;

    /* message 1 of XX is clear, and empty */
    peer_handshake(p, p->negotiation, first ? p->negotiation_len : 0,
                   si_span("\0", first && p->pattern == XX ? 0 : 2), out);
}

void peer_hello(struct peer *p, const char *hello, struct bytes *out)
{
    uint8_t payload[2048];
    size_t len = strlen(hello);

    assert_true(len + 2 <= sizeof payload);
    si_put_be16(payload, (uint16_t)len);
    memcpy(payload + 2, hello, len);
    peer_handshake(p, NULL, 0, si_span(payload, len + 2), out);
}

size_t handshake_frame_len(struct si_span in)
{
    size_t len;

    if (in.len < 2)
        return 0;
    len = 2 + (size_t)si_get_be16(in.ptr) + 2;
    if (in.len < len)
        return 0;
    len += si_get_be16(in.ptr + len - 2);
    return in.len < len ? 0 : len;
}

size_t transport_frame_len(struct si_span in)
{
    size_t len = in.len < 2 ? 0 : 2 + (size_t)si_get_be16(in.ptr);

    return in.len < len ? 0 : len;
}

void peer_read(struct peer *p, struct si_span frame)
{
    uint8_t payload[4096];
    size_t at = 2 + (size_t)si_get_be16(frame.ptr) + 2, len = 0;

    assert_int_equal(si_handshake_read(p->hs,
                                       si_span(frame.ptr + at, handshake_frame_len(frame) - at),
                                       payload, sizeof payload, &len),
                     SOTTO_OK);
    split_if_due(p);
}

void peer_record(struct peer *p, const void *plain, size_t len, struct bytes *out)
{
    static uint8_t frame[2 + 65535];
    size_t total = len + SI_TAG_LEN;

    assert_true(total <= 65535);
    /* section 7: at nonces that are non-zero multiples of 65536 */
    if (p->tx.n != 0 && p->tx.n % 65536 == 0)
        assert_int_equal(si_cipher_rekey(&p->tx), SOTTO_OK);
    si_put_be16(frame, (uint16_t)total);
    assert_int_equal(si_cipher_encrypt(&p->tx, si_span(NULL, 0), plain, len, frame + 2), SOTTO_OK);
    bytes_add(out, frame, 2 + total);
}

void peer_body(struct peer *p, const void *body, size_t len, size_t padding, struct bytes *out)
{
    static uint8_t plain[65535 - SI_TAG_LEN];

    assert_true(2 + len + padding <= sizeof plain);
    si_put_be16(plain, (uint16_t)len);
    if (len > 0)
        memcpy(plain + 2, body, len);
    memset(plain + 2 + len, 0x7f, padding);
    peer_record(p, plain, 2 + len + padding, out);
}

void peer_message(struct peer *p, const char *text, struct bytes *out)
{
    struct bytes body = {NULL, 0, 0};
    uint8_t head[4];

    si_put_be32(head, (uint32_t)strlen(text));
    bytes_add(&body, head, 4);
    bytes_add(&body, text, strlen(text));
    peer_body(p, body.ptr, body.len, 0, out);
    bytes_free(&body);
}

size_t peer_open(struct peer *p, struct si_span in, struct bytes *body)
{
    static uint8_t plain[65535];
    size_t total = transport_frame_len(in), len;

    if (total == 0)
        return 0;
    assert_true(total >= 2 + 2 + SI_TAG_LEN);
    if (p->rx.n != 0 && p->rx.n % 65536 == 0)
        assert_int_equal(si_cipher_rekey(&p->rx), SOTTO_OK);
    assert_int_equal(si_cipher_decrypt(&p->rx, si_span(NULL, 0), in.ptr + 2, total - 2, plain),
                     SOTTO_OK);
    len = si_get_be16(plain);
    assert_true(2 + len <= total - 2 - SI_TAG_LEN);
    /* senders write zeros */
    for (size_t i = 2 + len; i < total - 2 - SI_TAG_LEN; i++)
        assert_int_equal(plain[i], 0);
    bytes_add(body, plain + 2, len);
    return total;
}

void peer_meets_server(struct peer *p, struct end *server, const struct world *w,
                       const sotto_acceptor *acceptor, const int64_t *now, enum pattern pattern,
                       sotto_curve curve, sotto_cipher cipher)
{
    sotto_session_client_options o = world_client_options(w, pattern, curve, cipher);
    sotto_session *session = NULL;
    struct bytes b = {NULL, 0, 0};

    assert_int_equal(sotto_session_server_new(acceptor, *now, &session), SOTTO_OK);
    end_init(server, session, now);
    peer_client(p, &o, pattern, NULL);
    peer_next(p, &b);
    assert_int_equal(end_feed(server, b.ptr, b.len), b.len);
    assert_int_equal(server->err, SOTTO_OK);
    peer_read(p, si_span(server->out.ptr, server->out.len));
    if (is_bootstrap(pattern)) {
        b.len = 0;
        peer_handshake(p, NULL, 0, si_span("\0", 2), &b);
        assert_int_equal(end_feed(server, b.ptr, b.len), b.len);
    }
    assert_null(p->hs);
    assert_int_equal(server->err, SOTTO_OK);
    assert_int_equal(server->opens, 0);
    bytes_free(&b);
}

void peer_meets_client(struct peer *p, struct end *client, const struct world *w,
                       const int64_t *now, enum pattern pattern, sotto_curve curve,
                       sotto_cipher cipher, const char *hello)
{
    sotto_session_client_options o = world_client_options(w, pattern, curve, cipher);
    sotto_session *session = NULL;
    struct bytes b = {NULL, 0, 0};
    size_t first;

    assert_int_equal(sotto_session_client_new(&o, *now, &session), SOTTO_OK);
    end_init(client, session, now);
    end_work(client);
    first = client->out.len;
    peer_server(p, w, pattern, curve, cipher, si_span(client->out.ptr, first));
    if (is_bootstrap(pattern))
        peer_next(p, &b);
    else
        peer_hello(p, hello != NULL ? hello : "{}", &b);
    assert_int_equal(end_feed(client, b.ptr, b.len), b.len);
    assert_int_equal(client->err, SOTTO_OK);
    if (is_bootstrap(pattern))
        peer_read(p, si_span(client->out.ptr + first, client->out.len - first));
    else
        assert_int_equal(client->opens, 1);
    assert_null(p->hs);
    bytes_free(&b);
}
