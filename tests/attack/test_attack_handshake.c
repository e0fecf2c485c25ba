/*
 * Attacks on handshakes: every byte altered, dropped, inserted, every truncation; wrong keys;
 * replayed, spliced and reflected frames.  Whatever is done, neither end opens, no document
 * arrives, and the server says nothing but a refusal where it was the negotiation that was damaged.
 */
#include "peer.h"

#include <stdio.h>

static struct world w;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(&w);
    return 0;
}

/* A client speaks as soon as it may. */
static void speak(struct end *end, const sotto_event *event, void *user)
{
    (void)user;
    if (event->type == SOTTO_EVENT_OPEN)
        assert_int_equal(end_send_text(end, "{\"endpoint\":\"echo\",\"content\":1}"), SOTTO_OK);
}

static void start(struct pair *p, enum pattern pattern, sotto_curve curve, sotto_cipher cipher)
{
    sotto_session_client_options o = world_client_options(&w, pattern, curve, cipher);

    pair_init(p, &o, acceptor_for(&w, pattern), NULL);
    if (!is_bootstrap(pattern))
        p->end[CLIENT].hook = speak;
}

/* An untampered connection, in its frames.  Up to GUARDED, nothing opens if it is damaged: that is
 * the document, and the client's first record. */
struct recording {
    struct bytes stream[2];
    size_t handshake[2]; /* how much of it is handshake frames */
    size_t first[2];     /* end of the first frame */
    size_t guarded[2];
    size_t negotiation; /* the end of the negotiation data in the client's stream */
};

static void record(struct recording *r, enum pattern pattern, sotto_curve curve,
                   sotto_cipher cipher)
{
    struct pair p;

    memset(r, 0, sizeof *r);
    start(&p, pattern, curve, cipher);
    (void)pair_run(&p);
    /* the control of all that follows */
    if (is_bootstrap(pattern)) {
        assert_int_equal(p.end[CLIENT].bootstraps, 1);
        assert_int_equal(p.end[CLIENT].keys, 1);
        assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
        assert_int_equal(p.end[SERVER].opens, 0);
        assert_true(p.end[CLIENT].over);
        assert_true(p.end[SERVER].over);
    } else {
        size_t len[2];
        const uint8_t *h[2];

        assert_int_equal(p.end[CLIENT].opens, 1);
        assert_int_equal(p.end[SERVER].opens, 1);
        assert_int_equal(p.end[SERVER].messages, 1);
        for (unsigned i = 0; i < 2; i++)
            h[i] = sotto_session_handshake_hash(p.end[i].session, &len[i]);
        assert_int_equal(len[0], curve == SOTTO_CURVE_25519 ? 32 : 64);
        assert_int_equal(len[1], len[0]);
        assert_memory_equal(h[0], h[1], len[0]);
        assert_int_equal(sotto_session_client_key(p.end[SERVER].session) != NULL,
                         pattern == IKPSK0);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct si_span in = si_span(p.end[i].out.ptr, p.end[i].out.len);

        bytes_add(&r->stream[i], in.ptr, in.len);
        r->first[i] = r->handshake[i] = handshake_frame_len(in);
        if (i == CLIENT && is_bootstrap(pattern))
            r->handshake[i] +=
                handshake_frame_len(si_span(in.ptr + r->first[i], in.len - r->first[i]));
        r->guarded[i] = r->handshake[i];
        if (is_bootstrap(pattern) == (i == SERVER)) {
            size_t len =
                transport_frame_len(si_span(in.ptr + r->handshake[i], in.len - r->handshake[i]));

            assert_true(len > 0);
            r->guarded[i] += len;
        }
        if (is_bootstrap(pattern))
            assert_int_equal(r->guarded[i], in.len);
    }
    r->negotiation = 2 + (size_t)si_get_be16(r->stream[CLIENT].ptr);
    pair_free(&p);
}

static void recording_free(struct recording *r)
{
    bytes_free(&r->stream[0]);
    bytes_free(&r->stream[1]);
}

static bool is_refusal(const struct bytes *out)
{
    struct si_span in = si_span(out->ptr, out->len);
    static const char head[] = "{\"error\":{\"code\":\"";

    return out->len > sizeof head + 4 && handshake_frame_len(in) == out->len &&
           si_get_be16(in.ptr) == out->len - 4 && si_get_be16(in.ptr + out->len - 2) == 0 &&
           memcmp(in.ptr + 2, head, sizeof head - 1) == 0;
}

/* What is being tried, for the message of a failure. */
static char attempt[128];

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s: not %s", attempt, #condition);                                           \
    } while (0)

/* Run P, which is tampered with, to its end, and look at what came of it.  R: the same without. */
static void assert_foiled(struct pair *p, const struct recording *r, enum pattern pattern)
{
    const struct tamper *t = &p->tamper;
    struct end *client = &p->end[CLIENT], *server = &p->end[SERVER];
    bool first_record = !is_bootstrap(pattern) && t->side == CLIENT && t->offset >= r->handshake[0];

    pair_finish(p);
    /* a case that changed nothing has shown nothing */
    CHECK(t->done);
    CHECK((t->what != TAMPER_FLIP && t->what != TAMPER_INSERT) || t->value != 0);
    assert_nothing_happened(server);
    CHECK(client->bootstraps == 0);
    CHECK(client->messages == 0);
    CHECK(first_record || client->opens == 0);
    CHECK(client->err != SOTTO_OK);
    CHECK(client->over);
    CHECK(server->over);
    if (server->out.len == 0) {
        /* silence, and an end */
        CHECK(server->err != SOTTO_OK);
    } else if (is_refusal(&server->out)) {
        CHECK(t->side == CLIENT && t->offset < r->negotiation);
        CHECK(client->err == SOTTO_E_REFUSED);
        CHECK(sotto_session_refusal_code(client->session)[0] != '\0');
    } else {
        /* message 2 and nothing behind it: where message 1 is clear, or was not what was damaged */
        size_t frame = handshake_frame_len(si_span(server->out.ptr, server->out.len));

        CHECK(si_get_be16(server->out.ptr) == 0);
        CHECK(frame == r->first[SERVER]);
        CHECK(t->side == SERVER || server->out.len == frame);
        CHECK(server->err != SOTTO_OK || server->out.len > frame);
        CHECK(t->side == SERVER || t->offset >= r->first[CLIENT] || pattern == XX);
    }
    /* the client did not go on after what it could not verify, and showed no identity */
    if (t->side == SERVER ? t->offset < r->first[SERVER] : t->offset < r->first[CLIENT])
        CHECK(client->out.len == r->first[CLIENT]);
}

static void attack(const struct recording *r, enum pattern pattern, sotto_curve curve,
                   sotto_cipher cipher, struct tamper tamper)
{
    struct pair p;

    (void)snprintf(attempt, sizeof attempt, "%s %s %s: tampering %d, stream %u, byte %zu, %02x",
                   pattern_names[pattern], sotto_curve_name(curve), sotto_cipher_name(cipher),
                   (int)tamper.what, tamper.side, tamper.offset, (unsigned)tamper.value);
    start(&p, pattern, curve, cipher);
    p.tamper = tamper;
    assert_foiled(&p, r, pattern);
    pair_free(&p);
}

typedef void case_function(const struct recording *r, enum pattern pattern, sotto_curve curve,
                           sotto_cipher cipher);

static void for_all(case_function *function)
{
    for (int pattern = 0; pattern < PATTERNS; pattern++)
        for (int curve = 1; curve <= SOTTO_CURVE_COUNT; curve++)
            for (int cipher = 1; cipher <= 2; cipher++) {
                struct recording r;

                record(&r, (enum pattern)pattern, (sotto_curve)curve, (sotto_cipher)cipher);
                function(&r, (enum pattern)pattern, (sotto_curve)curve, (sotto_cipher)cipher);
                recording_free(&r);
            }
}

static void flip_all(const struct recording *r, enum pattern pattern, sotto_curve curve,
                     sotto_cipher cipher)
{
    for (unsigned side = 0; side < 2; side++)
        for (size_t at = 0; at < r->guarded[side]; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                struct tamper t = {TAMPER_FLIP, side, at, (uint8_t)(1 << bit), false};

                /* a Diffie-Hellman on 448 takes six times as long: one bit of each byte there */
                if (curve == SOTTO_CURVE_448 && bit != (at + (unsigned)cipher) % 8)
                    continue;
                /* the document is one ciphertext: one bit of each byte there */
                if (at >= r->handshake[side] + 4 && bit != at % 8)
                    continue;
                attack(r, pattern, curve, cipher, t);
            }
}

static void flips(void **state)
{
    (void)state;
    for_all(flip_all);
}

static void cut_all(const struct recording *r, enum pattern pattern, sotto_curve curve,
                    sotto_cipher cipher)
{
    for (unsigned side = 0; side < 2; side++)
        for (size_t at = 0; at < r->guarded[side]; at++) {
            struct tamper t = {TAMPER_CUT, side, at, 0, false};

            if (curve == SOTTO_CURVE_448 && at % 3 != (unsigned)cipher && at > 4)
                continue;
            attack(r, pattern, curve, cipher, t);
        }
}

static void truncations(void **state)
{
    (void)state;
    for_all(cut_all);
}

static void shift_all(const struct recording *r, enum pattern pattern, sotto_curve curve,
                      sotto_cipher cipher)
{
    for (unsigned side = 0; side < 2; side++)
        for (size_t at = 0; at < r->guarded[side]; at++) {
            struct tamper t = {TAMPER_DROP, side, at, 0, false};

            if (curve == SOTTO_CURVE_448 && at % 3 != (unsigned)cipher && at > 4)
                continue;
            attack(r, pattern, curve, cipher, t);
            /* never the byte that follows: that one would be appended, not inserted */
            t.what = TAMPER_INSERT;
            t.value = 0xff;
            attack(r, pattern, curve, cipher, t);
        }
}

static void drops_and_insertions(void **state)
{
    (void)state;
    for_all(shift_all);
}

/* The control: a connection that nobody touched opens, and so does one that was touched without
 * effect; assert_foiled() refuses both. */
static void untouched_connections_open(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        struct pair p;

        start(&p, (enum pattern)pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        p.tamper = (struct tamper){TAMPER_FLIP, CLIENT, 1 << 20, 1, false}; /* never reached */
        (void)pair_run(&p);
        assert_false(p.tamper.done);
        assert_int_equal(p.end[CLIENT].opens + p.end[CLIENT].bootstraps, 1);
        assert_int_equal(p.end[SERVER].opens, is_bootstrap((enum pattern)pattern) ? 0 : 1);
        pair_free(&p);
        start(&p, (enum pattern)pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        p.tamper = (struct tamper){TAMPER_FLIP, CLIENT, 20, 0, false}; /* no bit */
        (void)pair_run(&p);
        assert_true(p.tamper.done);
        assert_int_equal(p.end[CLIENT].opens + p.end[CLIENT].bootstraps, 1);
        pair_free(&p);
    }
}

/* ---- Wrong keys ------------------------------------------------------------------------------ */

/* The server is silent; the client is told nothing.  AFTER: how many handshake messages the server
 * sent. */
static void assert_silence(struct pair *p, unsigned after)
{
    pair_finish(p);
    assert_nothing_happened(&p->end[SERVER]);
    assert_nothing_happened(&p->end[CLIENT]);
    assert_int_not_equal(p->end[SERVER].err, SOTTO_OK);
    assert_int_not_equal(p->end[CLIENT].err, SOTTO_OK);
    assert_true(p->end[SERVER].over);
    assert_true(p->end[CLIENT].over);
    if (after == 0)
        assert_int_equal(p->end[SERVER].out.len, 0);
    else
        assert_int_equal(
            handshake_frame_len(si_span(p->end[SERVER].out.ptr, p->end[SERVER].out.len)),
            p->end[SERVER].out.len);
    pair_free(p);
}

static void wrong_keys(void **state)
{
    (void)state;
    for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
        for (int cipher = 1; cipher <= 2; cipher++)
            for (int i = XXPSK0; i < PATTERNS; i++) {
                enum pattern pattern = (enum pattern)i;
                sotto_curve curve = (sotto_curve)c;
                sotto_session_client_options o =
                    world_client_options(&w, pattern, curve, (sotto_cipher)cipher);
                sotto_psk psk = pattern == XXPSK0 ? w.gate[c - 1] : w.psk[c - 1];
                struct pair p;

                /* one bit of the PSK */
                psk.bytes[31] ^= 0x80;
                if (pattern == XXPSK0)
                    o.gate = &psk;
                else
                    o.psk = &psk;
                pair_init(&p, &o, acceptor_for(&w, pattern), NULL);
                assert_silence(&p, 0);
                /* the PSK of the other purpose, of the other curve */
                psk = pattern == XXPSK0 ? w.psk[c - 1] : w.gate[c - 1];
                pair_init(&p, &o, acceptor_for(&w, pattern), NULL);
                assert_silence(&p, 0);
                psk = pattern == XXPSK0 ? w.gate[2 - c] : w.psk[2 - c];
                pair_init(&p, &o, acceptor_for(&w, pattern), NULL);
                assert_silence(&p, 0);
                if (pattern == XXPSK0)
                    continue;
                /* another server's key, the client's own */
                o = world_client_options(&w, pattern, curve, (sotto_cipher)cipher);
                o.server_key = &w.stranger_key[c - 1];
                pair_init(&p, &o, acceptor_for(&w, pattern), NULL);
                assert_silence(&p, 0);
                o.server_key = &w.client_key[c - 1];
                pair_init(&p, &o, acceptor_for(&w, pattern), NULL);
                assert_silence(&p, 0);
            }
}

static void assert_refused(struct pair *p, const char *code)
{
    pair_finish(p);
    assert_nothing_happened(&p->end[SERVER]);
    assert_nothing_happened(&p->end[CLIENT]);
    assert_int_equal(p->end[CLIENT].err, SOTTO_E_REFUSED);
    assert_string_equal(sotto_session_refusal_code(p->end[CLIENT].session), code);
    assert_true(is_refusal(&p->end[SERVER].out));
    assert_true(p->end[SERVER].shut);
    assert_true(p->end[SERVER].over);
    assert_true(p->end[CLIENT].over);
    pair_free(p);
}

static void refusals(void **state)
{
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_session_client_options o;
    sotto_acceptor *only_448, *known_only;
    struct pair p;

    (void)state;
    ao.curves[0].key = NULL;
    only_448 = world_acceptor(&ao);
    ao = world_acceptor_options(&w);
    ao.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    known_only = world_acceptor(&ao);
    for (int i = NKPSK0; i <= IKPSK0; i++)
        for (unsigned bit = 0; bit < 8 * SOTTO_EPOCH_LEN; bit++) {
            o = world_client_options(&w, (enum pattern)i, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
            o.epoch[bit / 8] ^= (uint8_t)(1 << bit % 8);
            pair_init(&p, &o, w.plain, NULL);
            assert_refused(&p, "unknown_epoch");
        }
    o = world_client_options(&w, XX, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    pair_init(&p, &o, w.gated, NULL);
    assert_refused(&p, "unsupported_pattern");
    o = world_client_options(&w, XXPSK0, SOTTO_CURVE_448, SOTTO_CIPHER_CHACHAPOLY);
    pair_init(&p, &o, w.plain, NULL);
    assert_refused(&p, "unsupported_pattern");
    for (int i = 0; i < PATTERNS; i++) {
        o = world_client_options(&w, (enum pattern)i, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        pair_init(&p, &o, only_448, NULL);
        assert_refused(&p, i == XXPSK0 ? "unsupported_pattern" : "unsupported_curve");
    }
    o = world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    pair_init(&p, &o, known_only, NULL);
    assert_refused(&p, "client_key_required");
    /* busy, with a hint and without */
    for (uint32_t retry = 0; retry < 5000; retry += 2500) {
        o = world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        pair_init(&p, &o, w.plain, NULL);
        assert_int_equal(sotto_session_refuse_busy(p.end[SERVER].session, retry), SOTTO_OK);
        (void)pair_run(&p);
        assert_int_equal(sotto_session_refusal_retry_ms(p.end[CLIENT].session), retry);
        assert_refused(&p, "busy");
    }
    /* too late for that after message 2 */
    o = world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    pair_init(&p, &o, w.plain, NULL);
    end_work(&p.end[CLIENT]);
    (void)end_feed(&p.end[SERVER], p.end[CLIENT].out.ptr, p.end[CLIENT].out.len);
    assert_int_equal(sotto_session_refuse_busy(p.end[SERVER].session, 1), SOTTO_E_USAGE);
    pair_free(&p);
    sotto_acceptor_free(only_448);
    sotto_acceptor_free(known_only);
}

/* A client that is not known where known keys are required: no document, and a session that ends
 * with `denied`. */
static void unknown_clients(void **state)
{
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *known_only;

    (void)state;
    ao.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    known_only = world_acceptor(&ao);
    for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
        for (int known = 0; known < 2; known++) {
            sotto_session_client_options o =
                world_client_options(&w, XX, (sotto_curve)c, SOTTO_CIPHER_AESGCM);
            struct pair p;

            o.identity = known ? w.client[c - 1] : w.stranger[c - 1];
            pair_init(&p, &o, known_only, NULL);
            pair_finish(&p);
            assert_int_equal(p.end[CLIENT].bootstraps, known);
            assert_int_equal(p.end[CLIENT].err, known ? SOTTO_OK : SOTTO_E_DENIED);
            if (!known)
                assert_string_equal(sotto_session_refusal_code(p.end[CLIENT].session), "denied");
            assert_true(p.end[CLIENT].over);
            pair_free(&p);

            o = world_client_options(&w, IKPSK0, (sotto_curve)c, SOTTO_CIPHER_AESGCM);
            o.identity = known ? w.client[c - 1] : w.stranger[c - 1];
            pair_init(&p, &o, known_only, NULL);
            p.end[CLIENT].hook = speak;
            (void)pair_run(&p);
            assert_int_equal(p.end[CLIENT].opens, 1);
            assert_int_equal(p.end[SERVER].opens, known);
            assert_int_equal(p.end[SERVER].messages, known);
            if (known) {
                assert_string_equal(sotto_session_client_name(p.end[SERVER].session), "friend");
            } else {
                /* it is told by a message of the session, after its first frame */
                assert_int_equal(p.end[CLIENT].messages, 1);
                assert_true(p.end[CLIENT].peer_close);
                assert_null(sotto_session_client_key(p.end[SERVER].session));
                assert_null(sotto_session_client_name(p.end[SERVER].session));
            }
            pair_free(&p);
        }
    sotto_acceptor_free(known_only);
    /* optional: served, and anonymous */
    {
        sotto_session_client_options o =
            world_client_options(&w, IKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        struct pair p;

        o.identity = w.stranger[0];
        pair_init(&p, &o, w.plain, NULL);
        p.end[CLIENT].hook = speak;
        (void)pair_run(&p);
        assert_int_equal(p.end[SERVER].messages, 1);
        assert_null(sotto_session_client_name(p.end[SERVER].session));
        assert_null(sotto_session_client_key(p.end[SERVER].session));
        pair_free(&p);
    }
}

/* The negotiation counts byte for byte as it was sent, not for what it means. */
static void wrong_prologue(void **state)
{
    (void)state;
    for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
        for (int i = 0; i < PATTERNS; i++)
            for (int honest = 0; honest < 2; honest++) {
                enum pattern pattern = (enum pattern)i;
                sotto_session_client_options o =
                    world_client_options(&w, pattern, (sotto_curve)c, SOTTO_CIPHER_CHACHAPOLY);
                struct peer peer;
                struct end server;
                struct bytes b = {NULL, 0, 0};
                int64_t now = ms(5);
                sotto_session *session = NULL;
                char text[1100];

                peer_client(&peer, &o, pattern, NULL);
                (void)snprintf(text, sizeof text, "%s%s", peer.negotiation, honest ? "" : " ");
                assert_int_equal(sotto_session_server_new(acceptor_for(&w, pattern), now, &session),
                                 SOTTO_OK);
                end_init(&server, session, &now);
                peer_handshake(&peer, text, strlen(text), si_span("\0", pattern == XX ? 0 : 2), &b);
                (void)end_feed(&server, b.ptr, b.len);
                if (honest || pattern == XX) {
                    /* message 1 of XX is clear: the mistake shows in message 2 */
                    struct si_span frame = si_span(server.out.ptr, server.out.len);
                    uint8_t payload[4096];
                    size_t len = 0;

                    assert_int_equal(server.err, SOTTO_OK);
                    assert_int_equal(handshake_frame_len(frame), server.out.len);
                    assert_int_equal(si_handshake_read(peer.hs,
                                                       si_span(frame.ptr + 4, frame.len - 4),
                                                       payload, sizeof payload, &len),
                                     honest ? SOTTO_OK : SOTTO_E_AUTH);
                } else {
                    assert_int_equal(server.err, SOTTO_E_AUTH);
                    assert_int_equal(server.out.len, 0);
                    assert_true(server.over);
                }
                end_free(&server);
                peer_free(&peer);
                bytes_free(&b);
            }
}

/* ---- Replay, splices, reflections ------------------------------------------------------------ */

/* A fresh server that is fed BYTES. */
static void feed_server(struct end *server, const sotto_acceptor *acceptor, const int64_t *now,
                        const void *bytes, size_t len)
{
    sotto_session *session = NULL;

    assert_int_equal(sotto_session_server_new(acceptor, *now, &session), SOTTO_OK);
    end_init(server, session, now);
    (void)end_feed(server, bytes, len);
}

static void replay_one(const struct recording *r, enum pattern pattern, sotto_curve curve,
                       sotto_cipher cipher)
{
    unsigned repeats = curve == SOTTO_CURVE_25519 && cipher == SOTTO_CIPHER_AESGCM ? 300 : 3;

    /* message 1 alone: an answer, and nothing else until the deadline */
    for (unsigned i = 0; i < repeats; i++) {
        struct end server;
        int64_t now = ms(77);
        size_t len;

        feed_server(&server, acceptor_for(&w, pattern), &now, r->stream[CLIENT].ptr,
                    r->first[CLIENT]);
        assert_int_equal(server.err, SOTTO_OK);
        assert_int_equal(handshake_frame_len(si_span(server.out.ptr, server.out.len)),
                         server.out.len);
        assert_nothing_happened(&server);
        assert_int_equal(sotto_session_deadline(server.session), now + ms(5000));
        assert_int_equal(end_send_text(&server, "{}"), SOTTO_E_USAGE);
        assert_int_equal(sotto_session_close(server.session, "done", NULL, 0), SOTTO_E_USAGE);
        len = server.out.len;
        now += ms(4999);
        end_tick(&server);
        assert_int_equal(server.err, SOTTO_OK);
        now += ms(1);
        end_tick(&server);
        assert_int_equal(server.err, SOTTO_E_TIMEOUT);
        assert_int_equal(server.out.len, len);
        assert_true(server.over);
        assert_nothing_happened(&server);
        end_free(&server);
    }
    /* all that the client sent: its later frames belong to another handshake */
    {
        struct end server;
        int64_t now = ms(77);

        feed_server(&server, acceptor_for(&w, pattern), &now, r->stream[CLIENT].ptr,
                    r->stream[CLIENT].len);
        assert_int_equal(server.err, SOTTO_E_AUTH);
        assert_int_equal(handshake_frame_len(si_span(server.out.ptr, server.out.len)),
                         server.out.len);
        assert_nothing_happened(&server);
        assert_true(server.over);
        end_free(&server);
    }
    /* all that the server sent, to a new client of the same keys */
    {
        struct pair p;

        start(&p, pattern, curve, cipher);
        p.end[CLIENT].hook = NULL;
        (void)end_feed(&p.end[CLIENT], r->stream[SERVER].ptr, r->stream[SERVER].len);
        assert_nothing_happened(&p.end[CLIENT]);
        assert_int_equal(p.end[CLIENT].keys, 0);
        assert_int_equal(p.end[CLIENT].err, SOTTO_E_AUTH);
        assert_int_equal(p.end[CLIENT].out.len, r->first[CLIENT]);
        pair_free(&p);
    }
}

static void replays(void **state)
{
    (void)state;
    for_all(replay_one);
}

enum { COMBINATIONS = PATTERNS * SOTTO_CURVE_COUNT * 2 };

/* Every frame of a connection into every other connection, where a frame of its kind is due. */
static void splices(void **state)
{
    struct recording r[COMBINATIONS];
    size_t n = 0;

    (void)state;
    for (int pattern = 0; pattern < PATTERNS; pattern++)
        for (int curve = 1; curve <= SOTTO_CURVE_COUNT; curve++)
            for (int cipher = 1; cipher <= 2; cipher++)
                record(&r[n++], (enum pattern)pattern, (sotto_curve)curve, (sotto_cipher)cipher);
    for (size_t victim = 0; victim < COMBINATIONS; victim++) {
        enum pattern pattern = (enum pattern)(victim / 4);
        sotto_curve curve = (sotto_curve)(victim / 2 % 2 + 1);
        sotto_cipher cipher = (sotto_cipher)(victim % 2 + 1);

        for (size_t from = 0; from < COMBINATIONS; from++) {
            struct pair p;
            struct end *client = &p.end[CLIENT], *server = &p.end[SERVER];
            const struct bytes *c = &r[from].stream[CLIENT], *s = &r[from].stream[SERVER];
            size_t sent;

            /* the server's stream, where message 2 is due */
            start(&p, pattern, curve, cipher);
            end_work(client);
            sent = client->out.len;
            (void)end_feed(client, s->ptr, s->len);
            end_eof(client);
            assert_nothing_happened(client);
            assert_int_equal(client->keys, 0);
            assert_int_not_equal(client->err, SOTTO_OK);
            assert_int_equal(client->out.len, sent);
            pair_free(&p);

            /* what follows message 1, where that is due: after this connection's own message 1 */
            start(&p, pattern, curve, cipher);
            end_work(client);
            (void)end_feed(server, client->out.ptr, client->out.len);
            sent = server->out.len;
            assert_true(sent > 0);
            (void)end_feed(server, c->ptr + r[from].first[CLIENT], c->len - r[from].first[CLIENT]);
            end_eof(server);
            assert_nothing_happened(server);
            assert_int_not_equal(server->err, SOTTO_OK);
            assert_int_equal(server->out.len, sent);
            /* and the handshake's own client gets nothing out of it either */
            pair_break(&p);
            assert_nothing_happened(client);
            pair_free(&p);

            /* the document or the records of another connection, where this one's are due */
            start(&p, pattern, curve, cipher);
            end_work(client);
            (void)end_feed(server, client->out.ptr, client->out.len);
            (void)end_feed(client, server->out.ptr, server->out.len);
            assert_int_equal(client->opens + client->keys, 1);
            if (s->len > r[from].handshake[SERVER])
                (void)end_feed(client, s->ptr + r[from].handshake[SERVER],
                               s->len - r[from].handshake[SERVER]);
            end_eof(client);
            assert_int_equal(client->bootstraps, 0);
            assert_int_equal(client->messages, 0);
            assert_int_not_equal(client->err, SOTTO_OK);
            pair_free(&p);

            /* a second message 1 */
            start(&p, pattern, curve, cipher);
            end_work(client);
            (void)end_feed(server, client->out.ptr, client->out.len);
            sent = server->out.len;
            (void)end_feed(server, c->ptr, r[from].first[CLIENT]);
            end_eof(server);
            assert_nothing_happened(server);
            assert_int_equal(server->out.len, sent);
            pair_free(&p);
        }
    }
    for (size_t i = 0; i < COMBINATIONS; i++)
        recording_free(&r[i]);
}

static void reflect_one(const struct recording *r, enum pattern pattern, sotto_curve curve,
                        sotto_cipher cipher)
{
    struct pair p;
    struct end *client = &p.end[CLIENT], *server = &p.end[SERVER];
    size_t at;

    (void)r;
    /* a client's first frame, back to it */
    start(&p, pattern, curve, cipher);
    end_work(client);
    (void)end_feed(client, client->out.ptr, client->out.len);
    end_eof(client);
    assert_nothing_happened(client);
    assert_int_not_equal(client->err, SOTTO_OK);
    pair_free(&p);
    /* a server's message 2, back to it */
    start(&p, pattern, curve, cipher);
    end_work(client);
    (void)end_feed(server, client->out.ptr, client->out.len);
    at = server->out.len;
    (void)end_feed(server, server->out.ptr, at);
    end_eof(server);
    assert_nothing_happened(server);
    assert_int_not_equal(server->err, SOTTO_OK);
    assert_int_equal(server->out.len, at);
    /* what the client sends after message 2, back to it */
    at = client->out.len;
    (void)end_feed(client, server->out.ptr, server->out.len);
    assert_true(client->out.len > at);
    (void)end_feed(client, client->out.ptr + at, client->out.len - at);
    end_eof(client);
    assert_int_equal(client->bootstraps, 0);
    assert_int_equal(client->messages, 0);
    assert_int_not_equal(client->err, SOTTO_OK);
    pair_free(&p);
    if (is_bootstrap(pattern))
        return;
    /* records of both directions, back to their senders */
    for (unsigned side = 0; side < 2; side++) {
        struct bytes copy = {NULL, 0, 0};

        start(&p, pattern, curve, cipher);
        (void)pair_run(&p);
        at = p.end[side].out.len;
        assert_int_equal(end_send_text(&p.end[side], "{\"a\":1}"), SOTTO_OK);
        end_work(&p.end[side]);
        bytes_add(&copy, p.end[side].out.ptr + at, p.end[side].out.len - at);
        p.end[side].messages = 0;
        (void)end_feed(&p.end[side], copy.ptr, copy.len);
        assert_int_equal(p.end[side].messages, 0);
        assert_int_equal(p.end[side].err, SOTTO_E_AUTH);
        assert_true(p.end[side].over);
        bytes_free(&copy);
        pair_free(&p);
    }
}

static void reflections(void **state)
{
    (void)state;
    for_all(reflect_one);
}

/* A bootstrap connection carries one document and nothing else. */
static void second_use(void **state)
{
    (void)state;
    for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
        for (int what = 0; what < 4; what++)
            for (int together = 0; together < 2; together++) {
                sotto_session_client_options so =
                    world_client_options(&w, NKPSK0, (sotto_curve)c, SOTTO_CIPHER_AESGCM);
                sotto_session_client_options bo =
                    world_client_options(&w, XX, (sotto_curve)c, SOTTO_CIPHER_AESGCM);
                struct peer peer, other;
                struct end server;
                struct bytes b = {NULL, 0, 0}, more = {NULL, 0, 0};
                int64_t now = ms(1);
                size_t document;

                peer_client(&peer, &bo, XX, NULL);
                peer_next(&peer, &b);
                feed_server(&server, w.plain, &now, b.ptr, b.len);
                peer_read(&peer, si_span(server.out.ptr, server.out.len));
                document = server.out.len;
                b.len = 0;
                peer_handshake(&peer, NULL, 0, si_span("\0", 2), &b);
                switch (what) {
                case 0: /* a record */
                    peer_message(&peer, "{\"endpoint\":\"echo\"}", &more);
                    break;
                case 1: /* another bootstrap */
                    peer_client(&other, &bo, XX, NULL);
                    peer_next(&other, &more);
                    peer_free(&other);
                    break;
                case 2: /* a session */
                    peer_client(&other, &so, NKPSK0, NULL);
                    peer_next(&other, &more);
                    peer_free(&other);
                    break;
                default: /* message 3 once more */
                    bytes_add(&more, b.ptr, b.len);
                    break;
                }
                if (together)
                    bytes_add(&b, more.ptr, more.len);
                (void)end_feed(&server, b.ptr, b.len);
                if (!together)
                    (void)end_feed(&server, more.ptr, more.len);
                assert_nothing_happened(&server);
                /* not a byte beyond the one document, if it came at all */
                if (server.out.len > document) {
                    struct bytes body = {NULL, 0, 0};

                    assert_int_equal(
                        peer_open(&peer,
                                  si_span(server.out.ptr + document, server.out.len - document),
                                  &body),
                        server.out.len - document);
                    assert_true(server.shut);
                    bytes_free(&body);
                } else {
                    assert_true(together);
                    assert_int_not_equal(server.err, SOTTO_OK);
                }
                now += ms(10000);
                end_tick(&server);
                assert_true(server.over);
                end_free(&server);
                peer_free(&peer);
                bytes_free(&b);
                bytes_free(&more);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_connections_open),
        cmocka_unit_test(flips),
        cmocka_unit_test(truncations),
        cmocka_unit_test(drops_and_insertions),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(refusals),
        cmocka_unit_test(unknown_clients),
        cmocka_unit_test(wrong_prologue),
        cmocka_unit_test(replays),
        cmocka_unit_test(splices),
        cmocka_unit_test(reflections),
        cmocka_unit_test(second_use),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
