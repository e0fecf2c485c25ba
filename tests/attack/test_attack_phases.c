/*
 * Every phase of a connection: which frames it takes, what ends it, and when; limits before
 * authentication, deadlines, keep-alives and the ways to close, all in virtual time.
 */
#include "peer.h"

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

static void ignore(sotto_err err)
{
    (void)err;
}

enum { EMPTY_RECORD = 2 + 2 + SI_TAG_LEN };

/* ---- Phases ---------------------------------------------------------------------------------- */

enum phase {
    CLIENT_XX_2,
    CLIENT_VERDICT,
    CLIENT_DOCUMENT,
    CLIENT_SESSION_2,
    CLIENT_OPEN,
    SERVER_NEGOTIATION,
    SERVER_XX_3,
    SERVER_FIRST_RECORD,
    SERVER_OPEN,
    PHASES
};

static const char *const phase_names[PHASES] = {
    "client, message 2 of XX", "client, verdict",      "client, document",
    "client, message 2 of NK", "client, open",         "server, negotiation",
    "server, message 3 of XX", "server, first record", "server, open"};

/* An end in a phase, with a peer that could go on. */
struct stage {
    struct peer peer;
    bool has_peer;
    struct end end;
    int64_t now, start;
    struct bytes next; /* what is due now, correctly */
    size_t quiet;
};

static void reach(struct stage *s, enum phase phase, const sotto_acceptor *acceptor,
                  uint32_t client_timeout_ms)
{
    enum pattern pattern = phase == CLIENT_SESSION_2 || phase == CLIENT_OPEN ||
                                   phase == SERVER_FIRST_RECORD || phase == SERVER_OPEN
                               ? NKPSK0
                               : XX;
    sotto_session_client_options o =
        world_client_options(&w, pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    sotto_session *session = NULL;
    struct bytes b = {NULL, 0, 0};

    memset(s, 0, sizeof *s);
    s->now = s->start = ms(500);
    s->has_peer = true;
    if (phase < SERVER_NEGOTIATION) {
        size_t first;

        o.handshake_timeout_ms = client_timeout_ms;
        assert_int_equal(sotto_session_client_new(&o, s->now, &session), SOTTO_OK);
        end_init(&s->end, session, &s->now);
        end_work(&s->end);
        s->end.withhold_verdict = phase == CLIENT_VERDICT;
        first = s->end.out.len;
        peer_server(&s->peer, &w, pattern, o.curve, o.cipher, si_span(s->end.out.ptr, first));
        if (pattern == XX)
            peer_next(&s->peer, &b);
        else
            peer_hello(&s->peer, "{\"keepalive_ms\":1000}", &b);
        if (phase == CLIENT_XX_2 || phase == CLIENT_SESSION_2) {
            s->next = b;
            b = (struct bytes){NULL, 0, 0};
        } else {
            struct bytes body = {NULL, 0, 0};

            (void)end_feed(&s->end, b.ptr, b.len);
            if (phase == CLIENT_DOCUMENT)
                peer_read(&s->peer, si_span(s->end.out.ptr + first, s->end.out.len - first));
            else if (phase == CLIENT_OPEN)
                (void)peer_open(&s->peer, si_span(s->end.out.ptr + first, s->end.out.len - first),
                                &body);
            bytes_free(&body);
        }
    } else {
        assert_int_equal(sotto_session_server_new(acceptor, s->now, &session), SOTTO_OK);
        end_init(&s->end, session, &s->now);
        peer_client(&s->peer, &o, pattern, NULL);
        peer_next(&s->peer, &b);
        if (phase == SERVER_NEGOTIATION) {
            s->next = b;
            b = (struct bytes){NULL, 0, 0};
        } else {
            (void)end_feed(&s->end, b.ptr, b.len);
            peer_read(&s->peer, si_span(s->end.out.ptr, s->end.out.len));
            b.len = 0;
            if (phase == SERVER_XX_3)
                peer_next(&s->peer, &s->next);
            else if (phase == SERVER_FIRST_RECORD)
                peer_body(&s->peer, NULL, 0, 0, &s->next);
            else
                peer_body(&s->peer, NULL, 0, 0, &b);
            if (b.len > 0) {
                size_t before = s->end.out.len;
                struct bytes body = {NULL, 0, 0};

                (void)end_feed(&s->end, b.ptr, b.len);
                assert_int_equal(s->end.out.len, before + EMPTY_RECORD);
                (void)peer_open(&s->peer, si_span(s->end.out.ptr + before, EMPTY_RECORD), &body);
                bytes_free(&body);
            }
        }
    }
    if (phase == CLIENT_OPEN || phase == SERVER_OPEN)
        peer_message(&s->peer, "{\"id\":1}", &s->next);
    bytes_free(&b);
    assert_int_equal(s->end.err, SOTTO_OK);
    assert_false(s->end.over);
    s->quiet = s->end.out.len;
}

static void leave(struct stage *s)
{
    end_free(&s->end);
    peer_free(&s->peer);
    bytes_free(&s->next);
}

/* Did it go on: an answer, an event? */
static bool progressed(const struct stage *s, enum phase phase)
{
    unsigned events = s->end.keys + s->end.bootstraps + s->end.opens + s->end.messages;
    unsigned before = phase == CLIENT_DOCUMENT || phase == CLIENT_VERDICT || phase == CLIENT_OPEN ||
                      phase == SERVER_OPEN;

    return s->end.out.len > s->quiet || events > before;
}

static void put_handshake_frame(struct bytes *b, const char *negotiation, const void *noise,
                                size_t noise_len)
{
    uint8_t head[2];

    si_put_be16(head, (uint16_t)strlen(negotiation));
    bytes_add(b, head, 2);
    bytes_add(b, negotiation, strlen(negotiation));
    si_put_be16(head, (uint16_t)noise_len);
    bytes_add(b, head, 2);
    bytes_add(b, noise, noise_len);
}

enum kind {
    KIND_DUE,             /* the control: what the phase waits for */
    KIND_REFUSAL,         /* negotiation data {"error":…}, no noise message */
    KIND_REFUSAL_NOISE,   /* the same with a noise message */
    KIND_REFUSAL_NO_CODE, /* {"error":{}} */
    KIND_NEGOTIATION,     /* a client's first frame */
    KIND_EMPTY_FRAME,     /* both lengths 0 */
    KIND_HANDSHAKE,       /* no negotiation, as many bytes as message 2 of XX has */
    KIND_RECORD,          /* a transport frame of somebody else */
    KIND_TEXT,            /* another protocol */
    KINDS
};

static void make_kind(struct bytes *b, enum kind kind, const struct stage *s)
{
    static const char refusal[] = "{\"error\":{\"code\":\"busy\"}}";
    static const char first[] =
        "{\"sotto\":1,\"pattern\":\"XX\",\"curve\":\"25519\",\"cipher\":\"AESGCM\"}";
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    uint8_t noise[200];

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 5 + 1);
    switch (kind) {
    case KIND_DUE:
        bytes_add(b, s->next.ptr, s->next.len);
        break;
    case KIND_REFUSAL:
        put_handshake_frame(b, refusal, NULL, 0);
        break;
    case KIND_REFUSAL_NOISE:
        put_handshake_frame(b, refusal, noise, 98);
        break;
    case KIND_REFUSAL_NO_CODE:
        put_handshake_frame(b, "{\"error\":{}}", NULL, 0);
        break;
    case KIND_NEGOTIATION:
        put_handshake_frame(b, first, noise, 32);
        break;
    case KIND_EMPTY_FRAME:
        put_handshake_frame(b, "", NULL, 0);
        break;
    case KIND_HANDSHAKE:
        put_handshake_frame(b, "", noise, 98);
        break;
    case KIND_RECORD:
        si_put_be16(noise, 98);
        bytes_add(b, noise, 100);
        break;
    case KIND_TEXT:
        bytes_add(b, http, sizeof http - 1);
        break;
    case KINDS:
    default:
        fail();
    }
}

/* What comes of each kind of frame in each phase. */
enum outcome { ENDS, GOES_ON, REFUSED, REFUSES };

static enum outcome expected(enum phase phase, enum kind kind)
{
    if (kind == KIND_DUE)
        return phase == CLIENT_VERDICT || phase == CLIENT_DOCUMENT ? ENDS : GOES_ON;
    if (kind == KIND_REFUSAL && (phase == CLIENT_XX_2 || phase == CLIENT_SESSION_2))
        return REFUSED;
    /* a first frame whose negotiation is none gets an answer; a good one too */
    if (phase == SERVER_NEGOTIATION) {
        if (kind == KIND_NEGOTIATION)
            return GOES_ON;
        if (kind != KIND_RECORD && kind != KIND_TEXT)
            return REFUSES;
    }
    return ENDS;
}

static void phases_and_frames(void **state)
{
    (void)state;
    for (int phase = 0; phase < PHASES; phase++)
        for (int kind = 0; kind < KINDS; kind++)
            for (unsigned step = 0; step < 2; step++) {
                struct stage s;
                struct bytes b = {NULL, 0, 0};
                enum outcome want = expected((enum phase)phase, (enum kind)kind);
                bool ok;

                reach(&s, (enum phase)phase, w.plain, 0);
                make_kind(&b, (enum kind)kind, &s);
                if (step == 0)
                    (void)end_feed(&s.end, b.ptr, b.len);
                else
                    for (size_t i = 0; i < b.len && !s.end.over; i++)
                        (void)end_feed(&s.end, b.ptr + i, 1);
                if (want == GOES_ON) {
                    ok = s.end.err == SOTTO_OK && progressed(&s, (enum phase)phase);
                } else {
                    end_eof(&s.end);
                    if (s.end.shut)
                        end_eof(&s.end);
                    ok = s.end.over && s.end.bootstraps == 0 && s.end.messages == 0;
                    if (want == REFUSED)
                        ok = ok && s.end.err == SOTTO_E_REFUSED &&
                             !progressed(&s, (enum phase)phase);
                    else if (want == REFUSES)
                        ok = ok && s.end.out.len > s.quiet && s.end.shut && s.end.opens == 0;
                    else
                        ok = ok && s.end.err != SOTTO_OK && s.end.err != SOTTO_E_REFUSED &&
                             !progressed(&s, (enum phase)phase);
                }
                if (!ok)
                    fail_msg("%s: frame of kind %d: %s, %zu bytes sent, over %d",
                             phase_names[phase], kind, sotto_err_name(s.end.err),
                             s.end.out.len - s.quiet, s.end.over);
                bytes_free(&b);
                leave(&s);
            }
}

/* The end of the stream in each phase: an error, without a word. */
static void phases_and_end_of_stream(void **state)
{
    (void)state;
    for (int phase = 0; phase < PHASES; phase++)
        for (size_t fed = 0; fed < 3; fed++) {
            struct stage s;

            reach(&s, (enum phase)phase, w.plain, 0);
            if (s.next.len > fed && fed > 0)
                (void)end_feed(&s.end, s.next.ptr, fed == 1 ? 1 : s.next.len - 1);
            end_eof(&s.end);
            assert_true(s.end.over);
            assert_int_equal(s.end.out.len, s.quiet);
            if (phase == CLIENT_XX_2 || phase == CLIENT_SESSION_2)
                assert_int_equal(s.end.err, SOTTO_E_HANDSHAKE);
            else
                assert_int_equal(s.end.err, SOTTO_E_LOST);
            /* every later call returns it */
            {
                uint8_t byte = 0;
                size_t taken = 0, len = 0;
                const uint8_t *data = NULL;
                sotto_event event;

                assert_int_equal(sotto_session_feed(s.end.session, &byte, 1, &taken, s.now),
                                 s.end.err);
                assert_int_equal(end_send_text(&s.end, "{}"), s.end.err);
                ignore(sotto_session_output(s.end.session, &data, &len, s.now));
                assert_int_equal(len, 0);
                assert_int_not_equal(sotto_session_next(s.end.session, &event), SOTTO_OK);
                assert_int_not_equal(sotto_session_accept_key(s.end.session), SOTTO_OK);
            }
            leave(&s);
        }
}

/* A verdict that is withheld: nothing more is taken, nothing is sent. */
static void verdicts(void **state)
{
    struct stage s;

    (void)state;
    reach(&s, CLIENT_VERDICT, w.plain, 0);
    assert_int_equal(s.end.keys, 1);
    assert_int_equal(sotto_session_want(s.end.session), SOTTO_WANT_VERDICT);
    assert_int_equal(end_feed(&s.end, "\0\x14", 2), 0);
    assert_int_equal(s.end.out.len, s.quiet);
    assert_int_equal(sotto_session_accept_key(s.end.session), SOTTO_OK);
    assert_int_equal(sotto_session_accept_key(s.end.session), SOTTO_E_USAGE);
    end_work(&s.end);
    assert_true(s.end.out.len > s.quiet); /* message 3 */
    leave(&s);
    for (int phase = 0; phase < PHASES; phase++) {
        if (phase == CLIENT_VERDICT)
            continue;
        reach(&s, (enum phase)phase, w.plain, 0);
        assert_int_equal(sotto_session_accept_key(s.end.session), SOTTO_E_USAGE);
        assert_int_equal(s.end.err, SOTTO_OK);
        leave(&s);
    }
}

/* ---- Lengths before authentication ----------------------------------------------------------- */

/* Feed BYTES one by one; after how many it was over, or LEN + 1. */
static size_t ends_after(struct stage *s, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        (void)end_feed(&s->end, bytes + i, 1);
        if (s->end.over)
            return i + 1;
    }
    return len + 1;
}

static void lengths_before_authentication(void **state)
{
    static const enum phase phases[] = {CLIENT_XX_2, CLIENT_SESSION_2, SERVER_NEGOTIATION,
                                        SERVER_XX_3};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(phases); i++) {
        static const uint16_t too_long[] = {1025, 1026, 2048, 0x4745, 0x7fff, 0x8000, 0xffff};
        static const uint16_t too_long_noise[] = {2049, 2050, 4096, 0x8000, 0xffff};
        uint8_t frame[2 + 1024 + 2 + 2048];

        memset(frame, ' ', sizeof frame);
        for (size_t k = 0; k < SI_COUNT(too_long); k++) {
            struct stage s;

            reach(&s, phases[i], w.plain, 0);
            si_put_be16(frame, too_long[k]);
            assert_int_equal(ends_after(&s, frame, 2), 2);
            assert_int_equal(s.end.err, SOTTO_E_PROTOCOL);
            assert_int_equal(s.end.out.len, s.quiet);
            leave(&s);
        }
        for (size_t k = 0; k < SI_COUNT(too_long_noise); k++)
            for (size_t negotiation = 0; negotiation <= 1024; negotiation += 512) {
                struct stage s;
                size_t end;

                reach(&s, phases[i], w.plain, 0);
                si_put_be16(frame, (uint16_t)negotiation);
                si_put_be16(frame + 2 + negotiation, too_long_noise[k]);
                end = ends_after(&s, frame, 2 + negotiation + 2);
                frame[2 + negotiation] = frame[3 + negotiation] = ' ';
                assert_true(end <= 2 + negotiation + 2);
                assert_int_equal(s.end.err, SOTTO_E_PROTOCOL);
                assert_int_equal(s.end.out.len, s.quiet);
                leave(&s);
            }
    }
    /* the largest first frame is read whole, and then refused */
    {
        uint8_t frame[2 + 1024 + 2 + 2048];
        struct stage s;

        memset(frame, ' ', sizeof frame);
        si_put_be16(frame, 1024);
        si_put_be16(frame + 2 + 1024, 2048);
        reach(&s, SERVER_NEGOTIATION, w.plain, 0);
        assert_int_equal(ends_after(&s, frame, sizeof frame - 1), sizeof frame);
        assert_int_equal(s.end.out.len, 0);
        (void)end_feed(&s.end, frame, 1);
        assert_true(s.end.out.len > 0);
        assert_non_null(memmem(s.end.out.ptr, s.end.out.len, "malformed", 9));
        assert_true(s.end.shut);
        leave(&s);
    }
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static void deadlines(void **state)
{
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *hasty;

    (void)state;
    ao.handshake_timeout_ms = 70;
    hasty = world_acceptor(&ao);
    for (int phase = 0; phase < PHASES; phase++) {
        if (phase == CLIENT_OPEN || phase == SERVER_OPEN)
            continue;
        for (unsigned short_one = 0; short_one < 2; short_one++)
            for (unsigned drip = 0; drip < 3; drip++) {
                int64_t limit = short_one ? ms(70) : ms(5000);
                struct stage s;

                reach(&s, (enum phase)phase, short_one ? hasty : w.plain, short_one ? 70 : 0);
                assert_int_equal(sotto_session_deadline(s.end.session), s.start + limit);
                /* whatever arrives in between: nothing, a byte now and then, all but one byte */
                for (size_t i = 0; i < 40 && drip > 0; i++) {
                    s.now = s.start + limit / 50 * (int64_t)i;
                    if (i + 1 < s.next.len && drip == 1)
                        (void)end_feed(&s.end, s.next.ptr + i, 1);
                    if (i == 0 && s.next.len > 0 && drip == 2)
                        (void)end_feed(&s.end, s.next.ptr, s.next.len - 1);
                    end_tick(&s.end);
                    assert_int_equal(s.end.err, SOTTO_OK);
                    assert_int_equal(sotto_session_deadline(s.end.session), s.start + limit);
                }
                s.now = s.start + limit - 1;
                end_tick(&s.end);
                assert_int_equal(s.end.err, SOTTO_OK);
                assert_false(s.end.over);
                s.now++;
                end_tick(&s.end);
                assert_int_equal(s.end.err, SOTTO_E_TIMEOUT);
                assert_true(s.end.over);
                assert_int_equal(s.end.out.len, s.quiet);
                leave(&s);
            }
        /* bytes that come too late do not count, though nobody looked at the clock before */
        if (phase != CLIENT_VERDICT && phase != CLIENT_DOCUMENT) {
            struct stage s;

            reach(&s, (enum phase)phase, w.plain, 0);
            s.now = s.start + ms(5000);
            (void)end_feed(&s.end, s.next.ptr, s.next.len);
            assert_int_equal(s.end.err, SOTTO_E_TIMEOUT);
            assert_true(s.end.over);
            assert_false(progressed(&s, (enum phase)phase));
            leave(&s);
            /* and one nanosecond earlier they do */
            reach(&s, (enum phase)phase, w.plain, 0);
            s.now = s.start + ms(5000) - 1;
            (void)end_feed(&s.end, s.next.ptr, s.next.len);
            assert_int_equal(s.end.err, SOTTO_OK);
            assert_true(progressed(&s, (enum phase)phase));
            leave(&s);
        }
    }
    sotto_acceptor_free(hasty);
}

/* ---- Keep-alives ----------------------------------------------------------------------------- */

static void idle_sessions_stay(void **state)
{
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *acceptor;
    struct pair p;

    (void)state;
    ao.keepalive_ms = 1000;
    acceptor = world_acceptor(&ao);
    for (unsigned talks = 0; talks < 3; talks++) {
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        size_t sent[2];
        int64_t start;

        pair_init(&p, &o, acceptor, NULL);
        (void)pair_run(&p);
        start = p.now;
        sent[CLIENT] = p.end[CLIENT].out.len;
        sent[SERVER] = p.end[SERVER].out.len;
        for (unsigned i = 1; i <= 100; i++) {
            if (talks == 0) {
                assert_true(pair_tick(&p, start + ms(1000) * i));
                assert_int_equal(p.now, start + ms(1000) * i);
                for (unsigned side = 0; side < 2; side++)
                    assert_int_equal(p.end[side].out.len, sent[side] + i * EMPTY_RECORD);
            } else {
                /* one side talks every 600 ms, the other says nothing by itself */
                p.now = start + ms(600) * i;
                assert_int_equal(end_send_text(&p.end[talks - 1], "{\"endpoint\":\"x\"}"),
                                 SOTTO_OK);
                for (unsigned side = 0; side < 2; side++)
                    end_tick(&p.end[side]);
                (void)pair_run(&p);
            }
            for (unsigned side = 0; side < 2; side++) {
                assert_int_equal(p.end[side].err, SOTTO_OK);
                assert_true(sotto_session_is_open(p.end[side].session));
            }
        }
        assert_false(pair_tick(&p, p.now + ms(100)));
        pair_free(&p);
    }
    sotto_acceptor_free(acceptor);
}

/* What S said since it was quiet: the bodies of its records. */
static unsigned said(struct stage *s, struct bytes *body)
{
    unsigned records = 0;

    body->len = 0;
    while (s->quiet < s->end.out.len) {
        size_t len = peer_open(&s->peer,
                               si_span(s->end.out.ptr + s->quiet, s->end.out.len - s->quiet), body);

        assert_true(len > 0);
        s->quiet += len;
        records++;
    }
    return records;
}

static void assert_says_idle(struct stage *s, struct bytes *body)
{
    static const char idle[] = "{\"close\":{\"code\":\"idle\"";

    (void)said(s, body);
    assert_true(body->len > 4 + sizeof idle);
    assert_memory_equal(body->ptr + 4, idle, sizeof idle - 1);
    assert_int_equal(s->end.err, SOTTO_E_LOST);
    assert_true(s->end.shut);
}

static void silent_peers_are_given_up(void **state)
{
    sotto_acceptor_options ao = world_acceptor_options(&w);
    sotto_acceptor *acceptor;
    struct bytes body = {NULL, 0, 0};
    struct stage s;

    (void)state;
    ao.keepalive_ms = 1000;
    acceptor = world_acceptor(&ao);
    /* a client that says nothing, or sends half a record byte by byte: nothing that decrypts */
    for (unsigned drip = 0; drip < 2; drip++) {
        reach(&s, SERVER_OPEN, acceptor, 0);
        for (unsigned i = 0; i < 19; i++) {
            s.now = s.start + ms(100) * i;
            if (drip && i + 1 < s.next.len)
                (void)end_feed(&s.end, s.next.ptr + i, 1);
            end_tick(&s.end);
            assert_int_equal(s.end.out.len, s.quiet);
            assert_int_equal(sotto_session_deadline(s.end.session), s.start + ms(2000));
        }
        s.now = s.start + ms(2000) - 1;
        end_tick(&s.end);
        assert_int_equal(s.end.err, SOTTO_OK);
        s.now++;
        end_tick(&s.end);
        assert_says_idle(&s, &body);
        leave(&s);
    }
    /* a server that says nothing: one keep-alive after 1000 ms, the end after 2000 */
    reach(&s, CLIENT_OPEN, NULL, 0);
    s.now = s.start + ms(1000) - 1;
    end_tick(&s.end);
    assert_int_equal(said(&s, &body), 0);
    s.now++;
    assert_int_equal(sotto_session_deadline(s.end.session), s.now);
    end_tick(&s.end);
    assert_int_equal(said(&s, &body), 1);
    assert_int_equal(body.len, 0);
    s.now = s.start + ms(2000) - 1;
    end_tick(&s.end);
    assert_int_equal(said(&s, &body), 0);
    assert_int_equal(s.end.err, SOTTO_OK);
    s.now++;
    end_tick(&s.end);
    assert_says_idle(&s, &body);
    leave(&s);
    /* the same to a client that talks all the time: it still asks whether somebody is there */
    reach(&s, CLIENT_OPEN, NULL, 0);
    {
        unsigned empty = 0;

        for (unsigned i = 1; i < 20; i++) {
            s.now = s.start + ms(100) * i;
            assert_int_equal(end_send_text(&s.end, "{\"endpoint\":\"x\"}"), SOTTO_OK);
            end_tick(&s.end);
            end_work(&s.end);
            for (unsigned records = said(&s, &body), at = 0; records > 0; records--) {
                /* a message has 4 + 16 bytes */
                if (at + 20 > body.len)
                    empty++;
                at += 20;
            }
            assert_int_equal(s.end.err, SOTTO_OK);
            assert_int_equal(empty, i >= 10);
        }
        s.now = s.start + ms(2000);
        end_tick(&s.end);
        assert_says_idle(&s, &body);
    }
    leave(&s);
    /* an answer in time starts the count again */
    reach(&s, CLIENT_OPEN, NULL, 0);
    (void)end_feed(&s.end, s.next.ptr, s.next.len);
    for (unsigned i = 0; i < 30; i++) {
        s.now += ms(1000);
        end_tick(&s.end);
        assert_int_equal(said(&s, &body), 1);
        s.now += ms(900);
        s.next.len = 0;
        peer_body(&s.peer, NULL, 0, i % 3, &s.next);
        (void)end_feed(&s.end, s.next.ptr, s.next.len);
        end_tick(&s.end);
        assert_int_equal(s.end.err, SOTTO_OK);
        /* it has sent nothing for 900 ms, and gets no credit for what it heard */
        s.now += ms(100);
        end_tick(&s.end);
        assert_int_equal(said(&s, &body), 1);
        s.next.len = 0;
        peer_body(&s.peer, NULL, 0, 0, &s.next);
        (void)end_feed(&s.end, s.next.ptr, s.next.len);
    }
    leave(&s);
    sotto_acceptor_free(acceptor);
    bytes_free(&body);
}

/* Each empty record of a client is answered by one; a client answers none. */
static void empty_records_are_answered(void **state)
{
    struct bytes body = {NULL, 0, 0};
    struct stage s;

    (void)state;
    reach(&s, SERVER_OPEN, w.plain, 0);
    (void)end_feed(&s.end, s.next.ptr, s.next.len);
    assert_int_equal(said(&s, &body), 0);
    for (unsigned count = 1; count <= 1000; count = 10 * count) {
        s.next.len = 0;
        for (unsigned i = 0; i < count; i++)
            peer_body(&s.peer, NULL, 0, i % 2, &s.next);
        (void)end_feed(&s.end, s.next.ptr, s.next.len);
        assert_int_equal(said(&s, &body), count);
        assert_int_equal(body.len, 0);
    }
    /* nobody reads the answers: they are counted as waiting, so that the caller can stop reading */
    s.end.no_output = true;
    s.next.len = 0;
    for (unsigned i = 0; i < 50000; i++)
        peer_body(&s.peer, NULL, 0, 0, &s.next);
    (void)end_feed(&s.end, s.next.ptr, s.next.len);
    assert_int_equal(s.end.err, SOTTO_OK);
    assert_int_equal(sotto_session_output_waiting(s.end.session), 50000 * EMPTY_RECORD);
    s.end.no_output = false;
    end_work(&s.end);
    assert_int_equal(said(&s, &body), 50000);
    assert_int_equal(body.len, 0);
    leave(&s);
    reach(&s, CLIENT_OPEN, NULL, 0);
    (void)end_feed(&s.end, s.next.ptr, s.next.len);
    s.next.len = 0;
    for (unsigned i = 0; i < 100; i++)
        peer_body(&s.peer, NULL, 0, 0, &s.next);
    (void)end_feed(&s.end, s.next.ptr, s.next.len);
    assert_int_equal(said(&s, &body), 0);
    assert_int_equal(s.end.err, SOTTO_OK);
    leave(&s);
    bytes_free(&body);
}

/* The extremes of keepalive_ms: no overflow. */
static void extreme_keepalives(void **state)
{
    static const uint32_t values[] = {1, 0x7fffffff, 0x80000000, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(values); i++) {
        sotto_acceptor_options ao = world_acceptor_options(&w);
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        sotto_acceptor *acceptor;
        struct pair p;

        ao.keepalive_ms = values[i];
        acceptor = world_acceptor(&ao);
        pair_init(&p, &o, acceptor, NULL);
        (void)pair_run(&p);
        assert_int_equal(sotto_session_deadline(p.end[CLIENT].session), p.now + ms(values[i]));
        assert_int_equal(sotto_session_deadline(p.end[SERVER].session), p.now + 2 * ms(values[i]));
        for (unsigned k = 0; k < 5; k++)
            assert_true(pair_tick(&p, INT64_MAX - 1));
        assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
        assert_int_equal(p.end[SERVER].err, SOTTO_OK);
        pair_free(&p);
        sotto_acceptor_free(acceptor);
    }
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void open_pair(struct pair *p)
{
    sotto_session_client_options o =
        world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY);

    pair_init(p, &o, w.plain, NULL);
    (void)pair_run(p);
    assert_int_equal(p->end[CLIENT].opens + p->end[SERVER].opens, 2);
}

static void assert_closed(struct pair *p, unsigned messages)
{
    int64_t start = p->now;

    pair_finish(p);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(p->end[i].err, SOTTO_OK);
        assert_true(p->end[i].peer_close);
        assert_true(p->end[i].shut);
        assert_true(p->end[i].over);
    }
    assert_int_equal(p->end[CLIENT].messages + p->end[SERVER].messages, messages);
    assert_true(p->now - start <= ms(1000));
    pair_free(p);
}

static void closing_in_order(void **state)
{
    struct pair p;

    (void)state;
    /* one side, the other side, both at once, with messages waiting before it; twice counts once */
    for (unsigned who = 1; who < 4; who++)
        for (unsigned waiting = 0; waiting < 3; waiting++) {
            unsigned closes = 0;

            open_pair(&p);
            for (unsigned side = 0; side < 2; side++) {
                struct end *e = &p.end[side];

                if ((who >> side & 1) == 0)
                    continue;
                for (unsigned i = 0; i < waiting; i++)
                    assert_int_equal(end_send_text(e, "{\"endpoint\":\"x\"}"), SOTTO_OK);
                assert_int_equal(sotto_session_close(e->session, "done", "bye", 0), SOTTO_OK);
                assert_int_equal(sotto_session_close(e->session, "idle", NULL, 0), SOTTO_OK);
                assert_int_equal(end_send_text(e, "{}"), SOTTO_E_USAGE);
                closes++;
            }
            /* a server that has closed discards input: what the client said meanwhile is lost with
             * it */
            if (who == 3) {
                int64_t start = p.now;

                pair_finish(&p);
                assert_true(p.end[CLIENT].over && p.end[SERVER].over);
                assert_int_equal(p.end[CLIENT].messages, waiting + 1);
                assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
                assert_int_equal(p.end[SERVER].err, SOTTO_OK);
                assert_true(p.now - start <= ms(1000));
                pair_free(&p);
                continue;
            }
            assert_int_equal(closes, 1);
            if (who == 2) {
                /* the same holds for what the client answers to the server's close */
                pair_finish(&p);
                assert_int_equal(p.end[CLIENT].messages, waiting + 1);
                assert_true(p.end[CLIENT].peer_close);
                assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
                assert_int_equal(p.end[SERVER].err, SOTTO_OK);
                assert_true(p.end[CLIENT].over && p.end[SERVER].over);
                pair_free(&p);
                continue;
            }
            assert_closed(&p, waiting + 2);
        }
    /* not open: no close */
    {
        sotto_session_client_options o =
            world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);

        pair_init(&p, &o, w.plain, NULL);
        for (unsigned side = 0; side < 2; side++) {
            assert_int_equal(sotto_session_close(p.end[side].session, "done", NULL, 0),
                             SOTTO_E_USAGE);
            assert_int_equal(end_send_text(&p.end[side], "{}"), SOTTO_E_USAGE);
        }
        (void)pair_run(&p);
        assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
        pair_free(&p);
    }
}

/* The client goes on reading after its close, for as long as the server takes. */
static void answers_after_the_close(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p);
    p.end[SERVER].no_close_back = true;
    assert_int_equal(sotto_session_close(p.end[CLIENT].session, "done", NULL, 0), SOTTO_OK);
    (void)pair_run(&p);
    assert_true(p.end[CLIENT].shut);
    assert_true(p.end[SERVER].peer_close);
    assert_true(p.end[SERVER].eof);
    assert_int_equal(p.end[SERVER].err, SOTTO_OK);
    for (unsigned i = 0; i < 100; i++) {
        p.now += ms(10000);
        end_tick(&p.end[CLIENT]);
        end_tick(&p.end[SERVER]);
        assert_int_equal(end_send_text(&p.end[SERVER], "{\"id\":1,\"more\":true}"), SOTTO_OK);
        (void)pair_run(&p);
        assert_int_equal(p.end[CLIENT].messages, i + 1);
        assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
    }
    assert_int_equal(sotto_session_close(p.end[SERVER].session, "done", NULL, 0), SOTTO_OK);
    pair_finish(&p);
    assert_true(p.end[CLIENT].peer_close);
    assert_true(p.end[CLIENT].over && p.end[SERVER].over);
    assert_int_equal(p.end[CLIENT].err, SOTTO_OK);
    assert_int_equal(p.end[SERVER].err, SOTTO_OK);
    pair_free(&p);
    /* but an end of stream without the server's close is a truncation */
    open_pair(&p);
    assert_int_equal(sotto_session_close(p.end[CLIENT].session, "done", NULL, 0), SOTTO_OK);
    end_work(&p.end[CLIENT]);
    end_eof(&p.end[CLIENT]);
    assert_int_equal(p.end[CLIENT].err, SOTTO_E_LOST);
    assert_true(p.end[CLIENT].over);
    pair_free(&p);
}

/* Messages after a close are ignored: in the same record, in the next ones, forged ones too. */
static void messages_after_a_close(void **state)
{
    (void)state;
    for (int phase = CLIENT_OPEN; phase <= SERVER_OPEN; phase += SERVER_OPEN - CLIENT_OPEN) {
        static const char body[] =
            "\0\0\0\x19{\"close\":{\"code\":\"done\"}}\0\0\0\2{}\0\0\0\0\0\1";
        struct stage s;

        reach(&s, (enum phase)phase, w.plain, 0);
        (void)end_feed(&s.end, s.next.ptr, s.next.len); /* one message before */
        s.next.len = 0;
        peer_body(&s.peer, body, sizeof body - 1, 0, &s.next);
        peer_message(&s.peer, "{\"endpoint\":\"late\"}", &s.next);
        bytes_add(&s.next, "\0\x30garbage", 9);
        (void)end_feed(&s.end, s.next.ptr, s.next.len);
        assert_int_equal(s.end.messages, 2);
        assert_int_equal(s.end.err, SOTTO_OK);
        end_eof(&s.end);
        assert_int_equal(s.end.err, SOTTO_OK);
        assert_true(s.end.over);
        leave(&s);
    }
}

/* How an end that has said its last word waits: for the end of the stream, one second, or 4 MiB. */
static void lingering(void **state)
{
    uint8_t *block = calloc(1, 65536);

    (void)state;
    assert_non_null(block);
    for (unsigned how = 0; how < 4; how++)             /* who lingers */
        for (unsigned until = 0; until < 5; until++) { /* what ends it */
            struct stage s;
            int64_t start;
            size_t sent, fed = 0;

            switch (how) {
            case 0: /* a refusal */
                reach(&s, SERVER_NEGOTIATION, w.gated, 0);
                (void)end_feed(&s.end, s.next.ptr, s.next.len);
                break;
            case 1: /* a document */
                reach(&s, SERVER_XX_3, w.plain, 0);
                (void)end_feed(&s.end, s.next.ptr, s.next.len);
                break;
            case 2: /* a server's close */
                reach(&s, SERVER_OPEN, w.plain, 0);
                assert_int_equal(sotto_session_close(s.end.session, "draining", NULL, 500),
                                 SOTTO_OK);
                end_work(&s.end);
                break;
            default: /* a close because of a breach */
                reach(&s, CLIENT_OPEN, NULL, 0);
                (void)end_feed(&s.end, s.next.ptr, s.next.len);
                s.next.len = 0;
                peer_record(&s.peer, "\0\1", 2, &s.next);
                (void)end_feed(&s.end, s.next.ptr, s.next.len);
                assert_int_equal(s.end.err, SOTTO_E_PROTOCOL);
                break;
            }
            assert_true(s.end.out.len > s.quiet);
            assert_true(s.end.shut);
            assert_false(s.end.over);
            start = s.now;
            sent = s.end.out.len;
            assert_int_equal(sotto_session_deadline(s.end.session), start + ms(1000));
            switch (until) {
            case 0: /* the end of the stream */
                end_eof(&s.end);
                break;
            case 1: /* a second */
                s.now = start + ms(1000) - 1;
                end_tick(&s.end);
                assert_false(s.end.over);
                s.now++;
                end_tick(&s.end);
                break;
            case 2: /* a second, with bytes coming all the time */
                for (unsigned i = 0; i < 100 && !s.end.over; i++) {
                    s.now = start + ms(10) * i;
                    (void)end_feed(&s.end, block, 100);
                    end_tick(&s.end);
                    assert_false(s.end.over);
                    assert_int_equal(sotto_session_deadline(s.end.session), start + ms(1000));
                }
                s.now = start + ms(1000);
                end_tick(&s.end);
                break;
            case 3: /* 4 MiB */
                while (!s.end.over) {
                    fed += end_feed(&s.end, block, 65536);
                    assert_true(fed <= 4194304 + 65536);
                }
                assert_true(fed >= 4194304 - 65536);
                break;
            default: /* all of it at once, one byte short of the end, then the end */
                for (size_t i = 0; i < 63; i++)
                    assert_int_equal(end_feed(&s.end, block, 65536), 65536);
                assert_int_equal(end_feed(&s.end, block, 65535), 65535);
                assert_false(s.end.over);
                end_eof(&s.end);
                break;
            }
            assert_true(s.end.over);
            assert_int_equal(s.end.out.len, sent);
            assert_int_equal(s.end.messages, how == 3);
            leave(&s);
        }
    free(block);
}

/* A peer that never reads the last words does not keep the connection for ever. */
static void last_words_that_nobody_reads(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct stage s;

        reach(&s,
              how == 0   ? SERVER_NEGOTIATION
              : how == 1 ? SERVER_XX_3
                         : SERVER_OPEN,
              how == 0 ? w.gated : w.plain, 0);
        s.end.no_output = true;
        if (how < 2)
            (void)end_feed(&s.end, s.next.ptr, s.next.len);
        else
            assert_int_equal(sotto_session_close(s.end.session, "done", NULL, 0), SOTTO_OK);
        end_work(&s.end);
        assert_int_equal(s.end.out.len, s.quiet);
        for (unsigned i = 0; i < 10 && !s.end.over; i++) {
            int64_t due = sotto_session_deadline(s.end.session);

            assert_true(due <= s.start + ms(10000));
            s.now = due;
            end_tick(&s.end);
        }
        assert_true(s.end.over);
        leave(&s);
    }
}

/* Any order of what a caller can do and what can happen, by chance: no crash, no hang, an end in
 * finite time. */
static void any_order(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 600; seed++) {
        uint32_t random = seed * 2654435761U;
        sotto_session_client_options o =
            world_client_options(&w, (enum pattern)(seed % PATTERNS), SOTTO_CURVE_25519,
                                 (sotto_cipher)(seed / 4 % 2 + 1));
        struct pair p;

        pair_init(&p, &o, acceptor_for(&w, (enum pattern)(seed % PATTERNS)), NULL);
        p.random = seed;
        for (unsigned i = 0; i < 60; i++) {
            unsigned side = next_random(&random) % 2;
            struct end *e = &p.end[side];

            if (e->over)
                continue;
            switch (next_random(&random) % 14) {
            case 0:
                e->no_output = !e->no_output;
                break;
            case 1:
                e->keep_open = !e->keep_open;
                break;
            case 2:
                e->withhold_verdict = !e->withhold_verdict;
                break;
            case 3:
                e->no_close_back = !e->no_close_back;
                break;
            case 4:
                if (next_random(&random) % 8 == 0)
                    ignore(sotto_session_close(e->session, "done", NULL, 0));
                break;
            case 5:
                if (next_random(&random) % 16 == 0)
                    end_eof(e);
                break;
            case 6:
                if (next_random(&random) % 16 == 0 && sotto_session_is_open(e->session)) {
                    (void)sotto_session_broken(e->session);
                    e->err = sotto_session_error(e->session);
                }
                break;
            case 7:
                p.now += ms(next_random(&random) % 700);
                end_tick(e);
                break;
            case 8:
                if (next_random(&random) % 32 == 0)
                    (void)end_feed(e, "\x12\x34\x56", 3);
                break;
            case 9:
                if (next_random(&random) % 8 == 0) {
                    sotto_session_peer_closed(e->session);
                    e->peer_close = true;
                }
                break;
            default:
                (void)end_send_text(e, "{\"endpoint\":\"x\",\"content\":\"yyyyyyyyyyyyyyyyyyyy\"}");
                (void)pair_run(&p);
                break;
            }
        }
        for (unsigned side = 0; side < 2; side++) {
            struct end *e = &p.end[side];

            e->no_output = e->keep_open = e->withhold_verdict = e->no_close_back = false;
            if (!e->over) {
                end_work(e);
                ignore(sotto_session_close(e->session, "done", NULL, 0));
            }
        }
        (void)pair_run(&p);
        for (unsigned side = 0; side < 2; side++)
            end_eof(&p.end[side]);
        pair_finish(&p);
        assert_true(p.end[CLIENT].over);
        assert_true(p.end[SERVER].over);
        pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_and_frames),
        cmocka_unit_test(phases_and_end_of_stream),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(lengths_before_authentication),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(idle_sessions_stay),
        cmocka_unit_test(silent_peers_are_given_up),
        cmocka_unit_test(empty_records_are_answered),
        cmocka_unit_test(extreme_keepalives),
        cmocka_unit_test(closing_in_order),
        cmocka_unit_test(answers_after_the_close),
        cmocka_unit_test(messages_after_a_close),
        cmocka_unit_test(lingering),
        cmocka_unit_test(last_words_that_nobody_reads),
        cmocka_unit_test(any_order),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
