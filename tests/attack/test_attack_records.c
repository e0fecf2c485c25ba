/*
 * Attacks on transport frames: by somebody on the way (altered, dropped, doubled, swapped, cut,
 * replayed records), and by a peer that has the right keys and sends what the protocol forbids.
 * Then the sizes and limits of messages, and rekeying.
 */
#include "peer.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- On the way ------------------------------------------------------------------------------ */

enum { RECORDS = 5 };

/* An open session, and RECORDS records that SIDE has sent but the other has not got. */
struct waiting {
    struct pair pair;
    struct end *from, *to;
    size_t start[RECORDS + 1]; /* of each record in from->out */
    size_t quiet;              /* what `to` had sent before */
    struct bytes log;          /* the events that they are */
    size_t event_end[RECORDS + 1];
};

static void make_waiting(struct waiting *q, unsigned side, sotto_cipher cipher)
{
    sotto_session_client_options o =
        world_client_options(&w, side == CLIENT ? IKPSK0 : NKPSK0, SOTTO_CURVE_25519, cipher);

    memset(q, 0, sizeof *q);
    pair_init(&q->pair, &o, w.plain, NULL);
    (void)pair_run(&q->pair);
    q->from = &q->pair.end[side];
    q->to = &q->pair.end[!side];
    assert_int_equal(q->from->opens + q->to->opens, 2);
    q->start[0] = q->from->out.len;
    q->quiet = q->to->out.len;
    q->to->log.len = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        char text[32];
        uint8_t head[5] = {SOTTO_EVENT_MESSAGE};
        int len = snprintf(text, sizeof text, "{\"n\":%u%.*s}", i, (int)i, "      ");

        assert_int_equal(end_send(q->from, text, (size_t)len), SOTTO_OK);
        end_work(q->from);
        q->start[i + 1] = q->from->out.len;
        si_put_be32(head + 1, (uint32_t)len);
        bytes_add(&q->log, head, sizeof head);
        bytes_add(&q->log, text, (size_t)len);
        q->event_end[i + 1] = q->log.len;
    }
}

static void feed_records(struct waiting *q, unsigned from, unsigned to)
{
    (void)end_feed(q->to, q->from->out.ptr + q->start[from], q->start[to] - q->start[from]);
}

/* What arrived is what was sent first, WHOLE messages of it, and the session is over without
 * another word. */
static void assert_prefix(struct waiting *q, unsigned whole, sotto_err err)
{
    assert_int_equal(q->to->messages, whole);
    assert_int_equal(q->to->log.len, q->event_end[whole]);
    if (whole > 0)
        assert_memory_equal(q->to->log.ptr, q->log.ptr, q->to->log.len);
    assert_int_equal(q->to->err, err);
    if (err != SOTTO_OK) {
        assert_true(q->to->over);
        assert_int_equal(q->to->out.len, q->quiet);
        assert_false(sotto_session_is_open(q->to->session));
        assert_int_equal(end_send_text(q->to, "{}"), err);
    }
    end_free(&q->pair.end[0]);
    end_free(&q->pair.end[1]);
    bytes_free(&q->log);
}

typedef void side_function(unsigned side, sotto_cipher cipher);

static void for_sides(side_function *function)
{
    for (unsigned side = 0; side < 2; side++)
        for (int cipher = 1; cipher <= 2; cipher++)
            function(side, (sotto_cipher)cipher);
}

static void reorder(unsigned side, sotto_cipher cipher)
{
    struct waiting q;

    /* the control: in order, all of them arrive */
    make_waiting(&q, side, cipher);
    feed_records(&q, 0, RECORDS);
    assert_prefix(&q, RECORDS, SOTTO_OK);
    for (unsigned i = 0; i < RECORDS; i++)
        for (unsigned j = 0; j < RECORDS; j++) {
            if (i == j)
                continue;
            /* J instead of I: dropped, swapped, replayed */
            make_waiting(&q, side, cipher);
            feed_records(&q, 0, i);
            feed_records(&q, j, j + 1);
            feed_records(&q, i, RECORDS);
            assert_prefix(&q, i, SOTTO_E_AUTH);
        }
    for (unsigned i = 0; i < RECORDS; i++) {
        /* twice */
        make_waiting(&q, side, cipher);
        feed_records(&q, 0, i + 1);
        feed_records(&q, i, RECORDS);
        assert_prefix(&q, i + 1, SOTTO_E_AUTH);
        /* all once more */
        make_waiting(&q, side, cipher);
        feed_records(&q, 0, i + 1);
        feed_records(&q, 0, RECORDS);
        assert_prefix(&q, i + 1, SOTTO_E_AUTH);
        /* something of nobody's */
        for (size_t len = 0; len < 40; len++) {
            uint8_t frame[2 + 40] = {0, (uint8_t)len};

            make_waiting(&q, side, cipher);
            feed_records(&q, 0, i);
            (void)end_feed(q.to, frame, 2 + len);
            feed_records(&q, i, RECORDS);
            assert_prefix(&q, i, SOTTO_E_AUTH);
        }
    }
}

static void reordered_records(void **state)
{
    (void)state;
    for_sides(reorder);
}

/* Which record of Q holds the byte AT. */
static unsigned record_of(const struct waiting *q, size_t at)
{
    unsigned i = 0;

    while (at >= q->start[i + 1])
        i++;
    return i;
}

static void alter(unsigned side, sotto_cipher cipher)
{
    struct waiting q;
    size_t start, end;

    make_waiting(&q, side, cipher);
    start = q.start[0];
    end = q.start[RECORDS];
    assert_prefix(&q, 0, SOTTO_OK);
    for (size_t at = start; at < end; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned whole;
            bool in_length;

            make_waiting(&q, side, cipher);
            whole = record_of(&q, at);
            in_length = at < q.start[whole] + 2;
            q.from->out.ptr[at] ^= (uint8_t)(1 << bit);
            feed_records(&q, 0, RECORDS);
            /* a longer record may wait for bytes that never come */
            end_eof(q.to);
            assert_true(q.to->err == SOTTO_E_AUTH || (in_length && q.to->err == SOTTO_E_LOST));
            assert_prefix(&q, whole, q.to->err);
        }
    for (size_t at = start; at < end; at++) {
        uint8_t extra;
        unsigned whole;

        /* cut here: lost, never a clean end */
        make_waiting(&q, side, cipher);
        whole = record_of(&q, at);
        (void)end_feed(q.to, q.from->out.ptr + start, at - start);
        end_eof(q.to);
        assert_prefix(&q, whole, SOTTO_E_LOST);
        /* a byte less; of equal bytes in a row, it is as if the last one were missing */
        make_waiting(&q, side, cipher);
        {
            size_t last = at;

            while (last + 1 < end && q.from->out.ptr[last + 1] == q.from->out.ptr[at])
                last++;
            whole = record_of(&q, last);
        }
        (void)end_feed(q.to, q.from->out.ptr + start, at - start);
        (void)end_feed(q.to, q.from->out.ptr + at + 1, end - at - 1);
        end_eof(q.to);
        assert_true(q.to->err == SOTTO_E_AUTH || q.to->err == SOTTO_E_LOST);
        assert_prefix(&q, whole, q.to->err);
        /* a byte more */
        make_waiting(&q, side, cipher);
        whole = record_of(&q, at);
        extra = (uint8_t)~q.from->out.ptr[at];
        (void)end_feed(q.to, q.from->out.ptr + start, at - start);
        (void)end_feed(q.to, &extra, 1);
        (void)end_feed(q.to, q.from->out.ptr + at, end - at);
        end_eof(q.to);
        assert_true(q.to->err == SOTTO_E_AUTH || q.to->err == SOTTO_E_LOST);
        assert_prefix(&q, whole, q.to->err);
    }
    /* the end of the stream without a close, behind a whole record */
    make_waiting(&q, side, cipher);
    feed_records(&q, 0, RECORDS);
    end_eof(q.to);
    assert_prefix(&q, RECORDS, SOTTO_E_LOST);
}

static void altered_records(void **state)
{
    (void)state;
    for_sides(alter);
}

/* ---- A peer with the right keys -------------------------------------------------------------- */

enum victim { SERVER_HALF_OPEN, SERVER_OPEN, CLIENT_OPEN, VICTIMS };

struct meeting {
    struct peer peer;
    struct end end;
    int64_t now;
    struct bytes b; /* what the peer is about to send */
    size_t quiet;
};

static void meet(struct meeting *m, enum victim victim, sotto_curve curve, sotto_cipher cipher)
{
    memset(m, 0, sizeof *m);
    m->now = ms(10);
    if (victim == CLIENT_OPEN) {
        struct bytes body = {NULL, 0, 0};
        size_t first;

        peer_meets_client(&m->peer, &m->end, &w, &m->now, NKPSK0, curve, cipher, NULL);
        /* its first record came by itself */
        first = handshake_frame_len(si_span(m->end.out.ptr, m->end.out.len));
        assert_int_equal(
            peer_open(&m->peer, si_span(m->end.out.ptr + first, m->end.out.len - first), &body),
            m->end.out.len - first);
        assert_int_equal(body.len, 0);
    } else {
        peer_meets_server(&m->peer, &m->end, &w, w.plain, &m->now, NKPSK0, curve, cipher);
    }
    if (victim == SERVER_OPEN) {
        size_t before = m->end.out.len;
        struct bytes body = {NULL, 0, 0};

        peer_body(&m->peer, NULL, 0, 0, &m->b);
        (void)end_feed(&m->end, m->b.ptr, m->b.len);
        m->b.len = 0;
        /* the keep-alive was answered */
        assert_int_equal(
            peer_open(&m->peer, si_span(m->end.out.ptr + before, m->end.out.len - before), &body),
            m->end.out.len - before);
        assert_int_equal(body.len, 0);
    }
    assert_int_equal(m->end.opens, victim != SERVER_HALF_OPEN);
    m->quiet = m->end.out.len;
}

static void part(struct meeting *m)
{
    end_free(&m->end);
    peer_free(&m->peer);
    bytes_free(&m->b);
}

static void send_to(struct meeting *m)
{
    (void)end_feed(&m->end, m->b.ptr, m->b.len);
    m->b.len = 0;
}

/* What the victim of a breach does: it says so and ends.  A half-open session is open once the
 * first record has decrypted, whatever is in it. */
static void assert_breach(struct meeting *m)
{
    struct bytes body = {NULL, 0, 0};
    static const char head[] = "{\"close\":{\"code\":\"protocol_error\"";
    size_t len;

    assert_true(m->end.err == SOTTO_E_PROTOCOL || m->end.err == SOTTO_E_TOO_LARGE);
    assert_false(sotto_session_is_open(m->end.session));
    /* answers to keep-alives may stand before it */
    for (len = 0; body.len == 0;)
        len += peer_open(&m->peer,
                         si_span(m->end.out.ptr + m->quiet + len, m->end.out.len - m->quiet - len),
                         &body);
    assert_int_equal(len, m->end.out.len - m->quiet);
    assert_true(body.len > 4 + sizeof head);
    assert_int_equal(si_get_be32(body.ptr), body.len - 4);
    assert_memory_equal(body.ptr + 4, head, sizeof head - 1);
    assert_true(m->end.shut);
    /* whatever comes now is thrown away */
    peer_message(&m->peer, "{\"endpoint\":\"late\"}", &m->b);
    send_to(m);
    assert_int_equal(m->end.out.len, m->quiet + len);
    end_eof(&m->end);
    assert_true(m->end.over);
    bytes_free(&body);
}

static void bad_plaintexts(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},         {"\0", 1},           {"\1", 1},       {"\0\1", 2},        {"\0\2a", 3},
        {"\xff\xff", 2}, {"\xff\xff\x61", 3}, {"\1\0\x61", 3}, {"\0\5\0\0\0\1", 6}};

    (void)state;
    for (int victim = 0; victim < VICTIMS; victim++)
        for (size_t i = 0; i < SI_COUNT(bad); i++) {
            struct meeting m;

            meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
            peer_record(&m.peer, bad[i].bytes, bad[i].len, &m.b);
            send_to(&m);
            assert_int_equal(m.end.messages, 0);
            assert_breach(&m);
            part(&m);
        }
    /* fewer bytes than a tag are no ciphertext: silence, as for a forged one */
    for (int victim = 0; victim < VICTIMS; victim++)
        for (uint8_t len = 0; len < 18; len++) {
            uint8_t frame[20] = {0, len};
            struct meeting m;

            meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
            (void)end_feed(&m.end, frame, 2U + len);
            assert_int_equal(m.end.err, SOTTO_E_AUTH);
            assert_int_equal(m.end.out.len, m.quiet);
            assert_true(m.end.over);
            part(&m);
        }
}

static void bad_lengths(void **state)
{
    static const uint32_t lengths[] = {0,          1048577,    1048578,   1 << 24,
                                       0x7fffffff, 0x80000000, 0xffffffff};

    (void)state;
    for (int victim = 0; victim < VICTIMS; victim++)
        for (size_t i = 0; i < SI_COUNT(lengths); i++)
            for (unsigned cut = 0; cut < 5; cut++) {
                struct meeting m;
                uint8_t prefix[4];
                size_t used;

                meet(&m, (enum victim)victim, SOTTO_CURVE_448, SOTTO_CIPHER_AESGCM);
                used = mallinfo2().uordblks;
                si_put_be32(prefix, lengths[i]);
                peer_body(&m.peer, prefix, cut, 0, &m.b);
                if (cut < 4)
                    peer_body(&m.peer, prefix + cut, 4 - cut, 3, &m.b);
                send_to(&m);
                assert_int_equal(m.end.messages, 0);
                /* seen on the prefix: nothing was made ready for the rest */
                assert_true(mallinfo2().uordblks < used + 16384);
                assert_breach(&m);
                part(&m);
            }
}

/* A breach behind good messages: they are delivered, it is not. */
static void a_breach_behind_messages(void **state)
{
    (void)state;
    for (int victim = SERVER_OPEN; victim < VICTIMS; victim++)
        for (int apart = 0; apart < 2; apart++) {
            static const char body[] = "\0\0\0\2{}\0\0\0\2[]\0\0\0\0\0\0\0\2{}";
            struct meeting m;

            meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
            if (apart) {
                for (size_t i = 0; i < sizeof body - 1; i++)
                    peer_body(&m.peer, body + i, 1, 0, &m.b);
            } else {
                peer_body(&m.peer, body, sizeof body - 1, 0, &m.b);
            }
            send_to(&m);
            assert_int_equal(m.end.messages, 2);
            assert_breach(&m);
            part(&m);
        }
    /* a forged record behind good ones in one piece: the same, but silent */
    for (int victim = SERVER_OPEN; victim < VICTIMS; victim++) {
        struct meeting m;

        meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
        peer_message(&m.peer, "{}", &m.b);
        peer_message(&m.peer, "[]", &m.b);
        peer_message(&m.peer, "{\"forged\":1}", &m.b);
        m.b.ptr[m.b.len - 1] ^= 1;
        peer_message(&m.peer, "{\"later\":1}", &m.b);
        send_to(&m);
        assert_int_equal(m.end.messages, 2);
        assert_int_equal(m.end.err, SOTTO_E_AUTH);
        assert_int_equal(m.end.out.len, m.quiet);
        assert_true(m.end.over);
        part(&m);
    }
}

/* The caller finds that a message breaks the rules of section 7. */
static void messages_that_the_caller_refuses(void **state)
{
    (void)state;
    for (int victim = SERVER_OPEN; victim < VICTIMS; victim++) {
        struct meeting m;

        meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        peer_message(&m.peer, "no json", &m.b);
        send_to(&m);
        assert_int_equal(m.end.messages, 1);
        assert_int_equal(sotto_session_broken(m.end.session), SOTTO_E_PROTOCOL);
        m.end.err = SOTTO_E_PROTOCOL;
        end_work(&m.end);
        assert_breach(&m);
        part(&m);
    }
}

static void padding_is_ignored(void **state)
{
    static const size_t padding[] = {1, 2, 15, 16, 255, 1000, 65000};

    (void)state;
    for (int victim = 0; victim < VICTIMS; victim++) {
        struct meeting m;

        meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        for (size_t i = 0; i < SI_COUNT(padding); i++) {
            peer_body(&m.peer, "\0\0\0\7{\"a\":1}", 11, padding[i], &m.b);
            send_to(&m);
            assert_int_equal(m.end.err, SOTTO_OK);
            assert_int_equal(m.end.messages, 3 * i + 1);
            /* a keep-alive, and half a message, with padding */
            peer_body(&m.peer, NULL, 0, padding[i], &m.b);
            peer_body(&m.peer, "\0\0\0\2{}\0\0", 8, padding[i], &m.b);
            peer_body(&m.peer, "\0\2[]", 4, padding[i], &m.b);
            send_to(&m);
            assert_int_equal(m.end.messages, 3 * i + 3);
        }
        /* as large as a record can be: all body, all padding */
        {
            static uint8_t body[SOTTO_RECORD_BODY_MAX];

            memset(body, ' ', sizeof body);
            si_put_be32(body, SOTTO_RECORD_BODY_MAX - 4);
            peer_body(&m.peer, body, sizeof body, 0, &m.b);
            peer_body(&m.peer, NULL, 0, SOTTO_RECORD_BODY_MAX, &m.b);
            send_to(&m);
            assert_int_equal(m.end.messages, 3 * SI_COUNT(padding) + 1);
            assert_int_equal(m.end.err, SOTTO_OK);
        }
        part(&m);
    }
}

/* Negotiation data is empty in every frame but the first. */
static void negotiation_in_later_frames(void **state)
{
    static const char *const texts[] = {" ", "{}", "x", "{\"sotto\":1}",
                                        "{\"error\":{\"code\":\"busy\"}}"};

    (void)state;
    for (int i = 0; i < PATTERNS; i++)
        for (size_t t = 0; t < SI_COUNT(texts); t++) {
            enum pattern pattern = (enum pattern)i;
            sotto_session_client_options o =
                world_client_options(&w, pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
            sotto_session *session = NULL;
            struct end end;
            struct peer peer;
            struct bytes b = {NULL, 0, 0};
            int64_t now = 0;
            size_t sent;

            /* message 2 */
            assert_int_equal(sotto_session_client_new(&o, now, &session), SOTTO_OK);
            end_init(&end, session, &now);
            end_work(&end);
            sent = end.out.len;
            peer_server(&peer, &w, pattern, o.curve, o.cipher, si_span(end.out.ptr, sent));
            peer_handshake(&peer, texts[t], strlen(texts[t]),
                           is_bootstrap(pattern) ? si_span("\0", 2) : si_span("\0\2{}", 4), &b);
            (void)end_feed(&end, b.ptr, b.len);
            assert_int_equal(end.err, SOTTO_E_PROTOCOL);
            assert_nothing_happened(&end);
            assert_int_equal(end.keys, 0);
            assert_int_equal(end.out.len, sent);
            assert_true(end.over);
            end_free(&end);
            peer_free(&peer);
            b.len = 0;
            if (!is_bootstrap(pattern)) {
                bytes_free(&b);
                continue;
            }
            /* message 3 */
            assert_int_equal(sotto_session_server_new(acceptor_for(&w, pattern), now, &session),
                             SOTTO_OK);
            end_init(&end, session, &now);
            peer_client(&peer, &o, pattern, NULL);
            peer_next(&peer, &b);
            (void)end_feed(&end, b.ptr, b.len);
            sent = end.out.len;
            peer_read(&peer, si_span(end.out.ptr, sent));
            b.len = 0;
            peer_handshake(&peer, texts[t], strlen(texts[t]), si_span("\0", 2), &b);
            (void)end_feed(&end, b.ptr, b.len);
            assert_int_equal(end.err, SOTTO_E_PROTOCOL);
            assert_nothing_happened(&end);
            assert_int_equal(end.out.len, sent);
            assert_true(end.over);
            end_free(&end);
            peer_free(&peer);
            bytes_free(&b);
        }
}

/* Payloads other than the two zero bytes, in each handshake message whose length is given. */
static void payloads_of_handshakes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } payloads[] = {{"\0\0", 2},   {"", 0},      {"\0", 1},     {"\0\1", 2},    {"\1\0", 2},
                    {"\0\0\0", 3}, {"\0\1a", 3}, {"\0\2{}", 4}, {"\xff\xff", 2}};

    (void)state;
    for (int i = 0; i < PATTERNS; i++)
        for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
            for (size_t k = 0; k < SI_COUNT(payloads); k++) {
                enum pattern pattern = (enum pattern)i;
                struct si_span payload = si_span(payloads[k].bytes, payloads[k].len);
                sotto_session_client_options o =
                    world_client_options(&w, pattern, (sotto_curve)c, SOTTO_CIPHER_AESGCM);
                bool good = k == 0;
                sotto_session *session = NULL;
                struct end end;
                struct peer peer;
                struct bytes b = {NULL, 0, 0};
                int64_t now = 0;
                size_t sent;

                /* message 1; that of XX is clear and has none */
                peer_client(&peer, &o, pattern, NULL);
                peer_handshake(&peer, peer.negotiation, peer.negotiation_len, payload, &b);
                assert_int_equal(sotto_session_server_new(acceptor_for(&w, pattern), now, &session),
                                 SOTTO_OK);
                end_init(&end, session, &now);
                (void)end_feed(&end, b.ptr, b.len);
                if (pattern == XX ? payload.len == 0 : good) {
                    assert_int_equal(end.err, SOTTO_OK);
                    assert_true(end.out.len > 0);
                } else {
                    assert_int_equal(end.err, SOTTO_E_PROTOCOL);
                    assert_int_equal(end.out.len, 0);
                    assert_true(end.over);
                }
                assert_nothing_happened(&end);
                end_free(&end);
                peer_free(&peer);
                b.len = 0;
                if (!is_bootstrap(pattern)) {
                    bytes_free(&b);
                    continue;
                }
                /* message 2 of a bootstrap */
                assert_int_equal(sotto_session_client_new(&o, now, &session), SOTTO_OK);
                end_init(&end, session, &now);
                end_work(&end);
                sent = end.out.len;
                peer_server(&peer, &w, pattern, o.curve, o.cipher, si_span(end.out.ptr, sent));
                peer_handshake(&peer, NULL, 0, payload, &b);
                (void)end_feed(&end, b.ptr, b.len);
                assert_int_equal(end.err, good ? SOTTO_OK : SOTTO_E_PROTOCOL);
                assert_int_equal(end.keys, good);
                assert_int_equal(end.out.len > sent, good);
                assert_int_equal(end.over, !good);
                end_free(&end);
                peer_free(&peer);
                /* message 3 */
                b.len = 0;
                assert_int_equal(sotto_session_server_new(acceptor_for(&w, pattern), now, &session),
                                 SOTTO_OK);
                end_init(&end, session, &now);
                peer_client(&peer, &o, pattern, NULL);
                peer_next(&peer, &b);
                (void)end_feed(&end, b.ptr, b.len);
                sent = end.out.len;
                peer_read(&peer, si_span(end.out.ptr, sent));
                b.len = 0;
                peer_handshake(&peer, NULL, 0, payload, &b);
                (void)end_feed(&end, b.ptr, b.len);
                assert_int_equal(end.err, good ? SOTTO_OK : SOTTO_E_PROTOCOL);
                assert_int_equal(end.out.len > sent, good); /* the document */
                assert_int_equal(end.over, !good);
                end_free(&end);
                peer_free(&peer);
                bytes_free(&b);
            }
}

/* Plaintexts of the server hello. */
static void hellos(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
        bool good;
    } cases[] = {
        {"\0\2{}", 4, true},
        {"\0\2{}pad", 7, true},
        {"", 0, false},
        {"\0", 1, false},
        {"\0\0", 2, false},
        {"\0\3{}", 4, false},
        {"\0\1{}", 4, false},
        {"\0\2[]", 4, false},
        {"\0\4null", 6, false},
        {"\0\1x", 3, false},
        {"\0\x14{\"max_message\":1023}", 22, false},
        {"\0\x14{\"max_message\":1024}", 22, true},
        {"\0\x12{\"keepalive_ms\":0}", 20, false},
        {"\0\x12{\"keepalive_ms\":1}", 20, true},
        {"\0\x0b{\"agent\":1}", 13, false},
        {"\xff\xff{}", 4, false},
    };

    (void)state;
    for (int i = NKPSK0; i <= IKPSK0; i++)
        for (size_t k = 0; k < SI_COUNT(cases); k++) {
            sotto_session_client_options o = world_client_options(
                &w, (enum pattern)i, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);
            sotto_session *session = NULL;
            struct end end;
            struct peer peer;
            struct bytes b = {NULL, 0, 0};
            int64_t now = 0;
            size_t sent;

            assert_int_equal(sotto_session_client_new(&o, now, &session), SOTTO_OK);
            end_init(&end, session, &now);
            end_work(&end);
            sent = end.out.len;
            peer_server(&peer, &w, (enum pattern)i, o.curve, o.cipher, si_span(end.out.ptr, sent));
            peer_handshake(&peer, NULL, 0, si_span(cases[k].payload, cases[k].len), &b);
            (void)end_feed(&end, b.ptr, b.len);
            assert_int_equal(end.opens, cases[k].good);
            assert_int_equal(end.err, cases[k].good ? SOTTO_OK : SOTTO_E_PROTOCOL);
            assert_int_equal(end.out.len > sent, cases[k].good);
            assert_int_equal(end.over, !cases[k].good);
            end_free(&end);
            peer_free(&peer);
            bytes_free(&b);
        }
}

/* ---- The bootstrap document ------------------------------------------------------------------ */

enum document {
    HONEST,
    OTHER_KEY,
    OTHER_CURVE,
    OWN_CURVE_TWICE,
    LOW_ORDER,
    CUT,
    EMPTY,
    IN_TWO,
    THEN_MORE
};

static void documents(void **state)
{
    (void)state;
    for (int c = 1; c <= SOTTO_CURVE_COUNT; c++)
        for (int what = HONEST; what <= THEN_MORE; what++) {
            struct peer peer;
            struct end client;
            struct bytes b = {NULL, 0, 0};
            int64_t now = 0;
            char text[2048], own[128], other[128], zero[128];
            const sotto_public_key *key = &w.server_key[c - 1];
            const sotto_public_key *second = &w.server_key[2 - c];
            uint8_t zeros[SOTTO_KEY_LEN_MAX] = {0};
            size_t len;

            si_base64(own, what == OTHER_KEY ? w.stranger_key[c - 1].bytes : key->bytes,
                      sotto_curve_key_len(key->curve), true);
            si_base64(other, second->bytes, sotto_curve_key_len(second->curve), true);
            si_base64(zero, zeros, sotto_curve_key_len(second->curve), true);
            len = (size_t)snprintf(
                text, sizeof text,
                "{\"server_id\":\"000102030405060708090a0b0c0d0e0f\",\"salt_index\":3,"
                "\"server_string\":\"s\",\"iterations\":10000,\"curve\":\"%s\","
                "\"public_key\":\"%s\",\"other_keys\":{\"%s\":\"%s\"},\"client_auth\":\"none\"}",
                sotto_curve_name(what == OTHER_CURVE ? second->curve : key->curve), own,
                sotto_curve_name(what == OWN_CURVE_TWICE ? key->curve : second->curve),
                what == OWN_CURVE_TWICE ? own
                : what == LOW_ORDER     ? zero
                                        : other);
            peer_meets_client(&peer, &client, &w, &now, XX, (sotto_curve)c, SOTTO_CIPHER_AESGCM,
                              NULL);
            if (what == CUT)
                len--;
            if (what == EMPTY)
                len = 0;
            if (what == IN_TWO) {
                peer_body(&peer, text, 20, 0, &b);
                peer_body(&peer, text + 20, len - 20, 0, &b);
            } else {
                peer_body(&peer, text, len, 5, &b);
            }
            if (what == THEN_MORE)
                peer_body(&peer, NULL, 0, 0, &b);
            (void)end_feed(&client, b.ptr, b.len);
            end_eof(&client);
            assert_true(client.over);
            assert_int_equal(client.keys, 1);
            assert_int_equal(client.bootstraps, what == HONEST);
            if (what == HONEST)
                assert_int_equal(client.err, SOTTO_OK);
            else if (what == LOW_ORDER)
                assert_int_equal(client.err, SOTTO_E_DH);
            else
                assert_int_equal(client.err, SOTTO_E_PROTOCOL);
            end_free(&client);
            peer_free(&peer);
            bytes_free(&b);
        }
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static void sizes(void **state)
{
    static const size_t lens[] = {1,     2,      3,      100,     1000,   65513,
                                  65514, 65515,  65516,  65517,   65518,  65519,
                                  65520, 131034, 131035, 1048575, 1048576};
    uint8_t *text = malloc(1048577);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 1048577; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    for (int victim = SERVER_OPEN; victim < VICTIMS; victim++) {
        struct meeting m;
        struct bytes body = {NULL, 0, 0};
        size_t at;

        meet(&m, (enum victim)victim, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        for (size_t i = 0; i < SI_COUNT(lens); i++) {
            /* few or many, one of them empty */
            size_t count = i % 2 == 0 ? 3 : 40;
            sotto_piece pieces[41] = {{NULL, 0}};
            unsigned records = 0;

            for (size_t k = 0; k < count; k++) {
                size_t from = lens[i] * k / count, to = lens[i] * (k + 1) / count;

                pieces[k + 1] = (sotto_piece){text + from, to - from};
            }
            assert_int_equal(sotto_session_send(m.end.session, pieces, count + 1), SOTTO_OK);
            assert_true(sotto_session_output_waiting(m.end.session) >= lens[i] + 4);
            end_work(&m.end);
            body.len = 0;
            for (at = m.quiet; at < m.end.out.len; records++)
                at += peer_open(&m.peer, si_span(m.end.out.ptr + at, m.end.out.len - at), &body);
            /* in as few records as possible */
            assert_int_equal(records,
                             (lens[i] + 4 + SOTTO_RECORD_BODY_MAX - 1) / SOTTO_RECORD_BODY_MAX);
            assert_int_equal(body.len, lens[i] + 4);
            assert_int_equal(si_get_be32(body.ptr), lens[i]);
            assert_memory_equal(body.ptr + 4, text, lens[i]);
            m.quiet = m.end.out.len;
            /* and back, in the same records */
            m.end.log.len = 0;
            for (size_t sent = 0; sent < body.len;) {
                size_t len = body.len - sent;

                if (len > SOTTO_RECORD_BODY_MAX)
                    len = SOTTO_RECORD_BODY_MAX;
                peer_body(&m.peer, body.ptr + sent, len, 0, &m.b);
                sent += len;
            }
            send_to(&m);
            assert_int_equal(m.end.messages, i + 1);
            assert_int_equal(m.end.log.len, 5 + lens[i]);
            assert_memory_equal(m.end.log.ptr + 5, text, lens[i]);
        }
        /* many wait: they leave in one record */
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(end_send(&m.end, text, 1 + i % 50), SOTTO_OK);
        end_work(&m.end);
        body.len = 0;
        assert_int_equal(
            peer_open(&m.peer, si_span(m.end.out.ptr + m.quiet, m.end.out.len - m.quiet), &body),
            m.end.out.len - m.quiet);
        m.end.messages = 0;
        peer_body(&m.peer, body.ptr, body.len, 0, &m.b);
        send_to(&m);
        assert_int_equal(m.end.messages, 1000);
        /* too large, and nothing */
        assert_int_equal(end_send(&m.end, text, 1048577), SOTTO_E_TOO_LARGE);
        assert_int_equal(end_send(&m.end, text, 0), SOTTO_E_TOO_LARGE);
        assert_int_equal(sotto_session_send(m.end.session, NULL, 0), SOTTO_E_TOO_LARGE);
        assert_int_equal(sotto_session_output_waiting(m.end.session), 0);
        assert_true(sotto_session_is_open(m.end.session));
        bytes_free(&body);
        part(&m);
    }
    free(text);
}

/* What each side takes at most, as the other was told. */
static void message_limits(void **state)
{
    static uint8_t text[5000];
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *acceptor;

    (void)state;
    memset(text, ' ', sizeof text);
    ao.max_message = 2048;
    acceptor = world_acceptor(&ao);
    for (uint32_t mine = 1024; mine <= 4096; mine += 1024)
        for (int curve = 1; curve <= SOTTO_CURVE_COUNT; curve++) {
            sotto_session_client_options o =
                world_client_options(&w, NKPSK0, (sotto_curve)curve, SOTTO_CIPHER_AESGCM);
            struct pair p;

            o.max_message = mine;
            pair_init(&p, &o, acceptor, NULL);
            (void)pair_run(&p);
            assert_int_equal(sotto_session_peer_max_message(p.end[CLIENT].session), 2048);
            assert_int_equal(sotto_session_peer_max_message(p.end[SERVER].session), mine);
            assert_int_equal(end_send(&p.end[CLIENT], text, 2049), SOTTO_E_TOO_LARGE);
            assert_int_equal(end_send(&p.end[CLIENT], text, 2048), SOTTO_OK);
            assert_int_equal(end_send(&p.end[SERVER], text, mine + 1), SOTTO_E_TOO_LARGE);
            assert_int_equal(end_send(&p.end[SERVER], text, mine), SOTTO_OK);
            (void)pair_run(&p);
            assert_int_equal(p.end[CLIENT].message_bytes, mine);
            assert_int_equal(p.end[SERVER].message_bytes, 2048);
            pair_free(&p);
        }
    sotto_acceptor_free(acceptor);
    /* a peer that does not keep to it, by one byte */
    for (uint32_t extra = 0; extra < 2; extra++) {
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        struct meeting m = {.now = 1};
        sotto_session *session = NULL;
        struct bytes b = {NULL, 0, 0}, body = {NULL, 0, 0};
        uint8_t prefix[4];
        size_t first;

        o.max_message = 1024;
        assert_int_equal(sotto_session_client_new(&o, m.now, &session), SOTTO_OK);
        end_init(&m.end, session, &m.now);
        end_work(&m.end);
        first = m.end.out.len;
        peer_server(&m.peer, &w, NKPSK0, o.curve, o.cipher, si_span(m.end.out.ptr, first));
        peer_hello(&m.peer, "{}", &b);
        (void)end_feed(&m.end, b.ptr, b.len);
        (void)peer_open(&m.peer, si_span(m.end.out.ptr + first, m.end.out.len - first), &body);
        m.quiet = m.end.out.len;
        si_put_be32(prefix, 1024 + extra);
        body.len = 0;
        bytes_add(&body, prefix, 4);
        bytes_add(&body, text, 1024 + extra);
        peer_body(&m.peer, body.ptr, body.len, 0, &m.b);
        send_to(&m);
        if (extra) {
            assert_int_equal(m.end.messages, 0);
            assert_breach(&m);
        } else {
            assert_int_equal(m.end.messages, 1);
        }
        bytes_free(&b);
        bytes_free(&body);
        part(&m);
    }
    /* the options themselves */
    {
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        sotto_session *session = NULL;

        o.max_message = 1023;
        assert_int_equal(sotto_session_client_new(&o, 0, &session), SOTTO_E_USAGE);
        assert_null(session);
        ao = world_acceptor_options(&w);
        ao.max_message = 1023;
        acceptor = NULL;
        assert_int_equal(sotto_acceptor_new(&ao, &acceptor), SOTTO_E_USAGE);
        assert_null(acceptor);
    }
}

/* A peer that does not read: what waits is bounded, and nothing of it is lost. */
static void output_limits(void **state)
{
    static uint8_t text[900];
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *acceptor;

    (void)state;
    memset(text, 'x', sizeof text);
    ao.max_output = 20000;
    acceptor = world_acceptor(&ao);
    for (unsigned side = 0; side < 2; side++) {
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        struct pair p;
        struct end *from, *to;
        unsigned sent = 0;

        o.max_output = 20000;
        pair_init(&p, &o, acceptor, NULL);
        (void)pair_run(&p);
        from = &p.end[side];
        to = &p.end[!side];
        for (unsigned round = 0; round < 3; round++) {
            sotto_err err;
            unsigned before = sent;

            from->no_output = true;
            while ((err = end_send(from, text, sizeof text)) == SOTTO_OK) {
                sent++;
                assert_true(sent - before < 100);
            }
            assert_int_equal(err, SOTTO_E_AGAIN);
            assert_true(sent > before);
            assert_true(sotto_session_output_waiting(from->session) <= 20000 + 904 + 64);
            assert_true(sotto_session_is_open(from->session));
            (void)pair_run(&p);
            assert_int_equal(to->messages, before);
            from->no_output = false;
            (void)pair_run(&p);
            assert_int_equal(to->messages, sent);
            assert_int_equal(to->message_bytes, sent * sizeof text);
        }
        pair_free(&p);
    }
    sotto_acceptor_free(acceptor);
}

/* Records that are sent in parts, and output that is asked for twice. */
static void partial_sends(void **state)
{
    struct pair p;
    sotto_session_client_options o =
        world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    struct bytes sent = {NULL, 0, 0};
    sotto_session *s;

    (void)state;
    pair_init(&p, &o, w.plain, NULL);
    (void)pair_run(&p);
    s = p.end[CLIENT].session;
    for (unsigned i = 0; i < 200; i++) {
        const uint8_t *data = NULL;
        size_t len = 0, part_len;

        assert_int_equal(end_send_text(&p.end[CLIENT], "{\"endpoint\":\"x\"}"), SOTTO_OK);
        assert_int_equal(sotto_session_output(s, &data, &len, p.now), SOTTO_OK);
        assert_true(len > 0);
        part_len = 1 + i * 31 % len;
        bytes_add(&sent, data, part_len);
        sotto_session_sent(s, part_len);
    }
    for (size_t len = 1; len > 0;) {
        const uint8_t *data = NULL;

        assert_int_equal(sotto_session_output(s, &data, &len, p.now), SOTTO_OK);
        bytes_add(&sent, data, len);
        sotto_session_sent(s, len);
    }
    assert_int_equal(sotto_session_output_waiting(s), 0);
    (void)end_feed(&p.end[SERVER], sent.ptr, sent.len);
    assert_int_equal(p.end[SERVER].messages, 200);
    assert_int_equal(p.end[SERVER].err, SOTTO_OK);
    bytes_free(&sent);
    pair_free(&p);
}

/* ---- Rekeying -------------------------------------------------------------------------------- */

/* Over two rekeyings in each direction, against a peer that has the rule from the text. */
static void rekeying(void **state)
{
    enum { MANY = 2 * 65536 + 3 };

    (void)state;
    for (int victim = SERVER_OPEN; victim < VICTIMS; victim++)
        for (int cipher = 1; cipher <= 2; cipher++) {
            struct meeting m;
            struct bytes body = {NULL, 0, 0};

            meet(&m, (enum victim)victim, SOTTO_CURVE_25519, (sotto_cipher)cipher);
            for (unsigned i = 0; i < MANY; i++) {
                m.b.len = 0;
                peer_body(&m.peer, "\0\0\0\1x", 5, 0, &m.b);
                (void)end_feed(&m.end, m.b.ptr, m.b.len);
                assert_int_equal(m.end.messages, i + 1);
                m.end.log.len = 0;
                m.end.out.len = 0;
                assert_int_equal(end_send(&m.end, "y", 1), SOTTO_OK);
                end_work(&m.end);
                body.len = 0;
                assert_int_equal(peer_open(&m.peer, si_span(m.end.out.ptr, m.end.out.len), &body),
                                 m.end.out.len);
                assert_int_equal(body.len, 5);
            }
            assert_true(m.peer.tx.n > MANY - 1 && m.peer.rx.n > MANY - 1);
            bytes_free(&body);
            part(&m);
        }
}

/* The controls of the above: a peer that rekeys at another record, or not, or starts its nonces
 * again. */
static void rekeying_elsewhere(void **state)
{
    static const struct {
        uint64_t at; /* the record before which it rekeys */
        bool restart;
        unsigned good; /* how many records arrive */
    } cases[] = {{65535, false, 65535}, {65536, false, 65540}, {65537, false, 65536},
                 {0, false, 0},         {65540, false, 65536}, {65536, true, 65536}};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        struct meeting m;
        uint8_t frame[2 + 7 + SI_TAG_LEN] = {0, 7 + SI_TAG_LEN};

        /* half-open, so that its first record is nonce 0 */
        meet(&m, SERVER_HALF_OPEN, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        for (unsigned n = 0; n < 65540 && !m.end.over; n++) {
            if (n == cases[i].at) {
                assert_int_equal(si_cipher_rekey(&m.peer.tx), SOTTO_OK);
                if (cases[i].restart)
                    m.peer.tx.n = 0;
            }
            assert_int_equal(si_cipher_encrypt(&m.peer.tx, si_span(NULL, 0),
                                               (const uint8_t *)"\0\5\0\0\0\1x", 7, frame + 2),
                             SOTTO_OK);
            (void)end_feed(&m.end, frame, sizeof frame);
            m.end.log.len = 0;
        }
        assert_int_equal(m.end.messages, cases[i].good);
        assert_int_equal(m.end.err, cases[i].good == 65540 ? SOTTO_OK : SOTTO_E_AUTH);
        part(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reordered_records),
        cmocka_unit_test(altered_records),
        cmocka_unit_test(bad_plaintexts),
        cmocka_unit_test(bad_lengths),
        cmocka_unit_test(a_breach_behind_messages),
        cmocka_unit_test(messages_that_the_caller_refuses),
        cmocka_unit_test(padding_is_ignored),
        cmocka_unit_test(negotiation_in_later_frames),
        cmocka_unit_test(payloads_of_handshakes),
        cmocka_unit_test(hellos),
        cmocka_unit_test(documents),
        cmocka_unit_test(sizes),
        cmocka_unit_test(message_limits),
        cmocka_unit_test(output_limits),
        cmocka_unit_test(partial_sends),
        cmocka_unit_test(rekeying),
        cmocka_unit_test(rekeying_elsewhere),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
