/*
 * However the bytes of a connection are cut into pieces on their way, the events are the same: byte
 * by byte, at every point in two, in random pieces; with readable bytes behind the input and
 * without, with lent buffers and without.  All ephemeral keys are one and the same here (the
 * program is linked with -Wl,--wrap for the functions that choose a DH), so a stream that was
 * recorded once is right for every new session.
 */
#include "peer.h"

#include <stdio.h>

#include "fixed_dh.h"

static const uint8_t everybodys_key[SI_DH_LEN_MAX] = {0x42, 0x42, 0x42, 0x42, 0x42};

/* ---- Streams --------------------------------------------------------------------------------- */

static struct world w;
static struct si_scratch scratch;
static bool hold; /* the input is gone before the messages in it are fetched */

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    fixed_ephemeral = si_span(everybodys_key, sizeof everybodys_key);
    return si_scratch_init(&scratch) == SOTTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    si_scratch_wipe(&scratch);
    world_free(&w);
    return 0;
}

/* A message of LEN bytes, of its own kind. */
static void put_message(struct bytes *stream, size_t len, unsigned seed)
{
    uint8_t head[4], text[2048];

    assert_true(len <= sizeof text);
    si_put_be32(head, (uint32_t)len);
    bytes_add(stream, head, sizeof head);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)('a' + (i + seed) % 26);
    bytes_add(stream, text, len);
}

/*
 * What a peer with a taste for odd records says: messages of many sizes, cut into records
 * everywhere, also inside their prefixes; several in one; empty records in between; padding.  It
 * ends with a close.  How many messages that is.
 */
static unsigned odd_records(struct peer *p, struct bytes *out)
{
    static const size_t sizes[] = {1, 2, 3, 30, 31, 32, 33, 100, 1, 1, 1, 64, 7};
    static const size_t cuts[] = {1, 1, 1, 1, 1, 0, 5, 2, 3, 40, 1, 0, 0, 90, 4, 4, 4, 11, 3, 200};
    static const char close_text[] = "{\"close\":{\"code\":\"done\"}}";
    struct bytes s = {NULL, 0, 0};
    uint8_t head[4];
    size_t at = 0;

    for (size_t i = 0; i < SI_COUNT(sizes); i++)
        put_message(&s, sizes[i], (unsigned)i);
    si_put_be32(head, sizeof close_text - 1);
    bytes_add(&s, head, sizeof head);
    bytes_add(&s, close_text, sizeof close_text - 1);
    peer_body(p, NULL, 0, 0, out);
    for (size_t i = 0; at < s.len; i = (i + 1) % SI_COUNT(cuts)) {
        size_t len = cuts[i] < s.len - at ? cuts[i] : s.len - at;

        peer_body(p, s.ptr + at, len, i % 4 == 3 ? 9 : 0, out);
        at += len;
    }
    bytes_free(&s);
    return (unsigned)SI_COUNT(sizes) + 1;
}

struct stream {
    enum pattern pattern;
    sotto_curve curve;
    sotto_cipher cipher;
    bool to_server;
    struct bytes bytes;
    struct bytes log; /* the events it makes */
    unsigned messages;
};

static void open_end(struct end *e, const struct stream *s, const int64_t *now, size_t padding,
                     bool lend)
{
    sotto_session *session = NULL;

    if (s->to_server) {
        sotto_acceptor_options o = world_acceptor_options(&w);
        sotto_acceptor *acceptor;

        o.gate = s->pattern == XXPSK0;
        o.input_padding = (uint32_t)padding;
        acceptor = world_acceptor(&o);
        assert_int_equal(sotto_session_server_new(acceptor, *now, &session), SOTTO_OK);
        end_init(e, session, now);
        e->user = acceptor;
    } else {
        sotto_session_client_options o = world_client_options(&w, s->pattern, s->curve, s->cipher);

        o.input_padding = (uint32_t)padding;
        assert_int_equal(sotto_session_client_new(&o, *now, &session), SOTTO_OK);
        end_init(e, session, now);
    }
    if (lend)
        si_session_lend(session, &scratch);
    e->padding = padding;
    e->hold = hold;
}

static void close_end(struct end *e)
{
    sotto_acceptor *acceptor = e->user;

    end_free(e);
    sotto_acceptor_free(acceptor);
}

/* Feed the stream in pieces that NEXT decides on, and compare what comes of it. */
typedef size_t next_piece(void *user, size_t at);

static void run_stream(struct stream *s, next_piece *next, void *user, size_t padding, bool lend)
{
    struct end e;
    int64_t now = ms(3);
    size_t at = 0;

    open_end(&e, s, &now, padding, lend);
    end_work(&e);
    while (at < s->bytes.len && !e.over) {
        size_t len = next != NULL ? next(user, at) : s->bytes.len;

        if (len > s->bytes.len - at)
            len = s->bytes.len - at;
        at += end_feed(&e, s->bytes.ptr + at, len);
    }
    assert_int_equal(e.err, SOTTO_OK);
    end_eof(&e);
    assert_int_equal(e.err, SOTTO_OK);
    assert_true(e.over);
    assert_int_equal(e.messages, s->messages);
    assert_int_equal(e.opens, is_bootstrap(s->pattern) ? 0 : 1);
    if (s->log.ptr == NULL)
        bytes_add(&s->log, e.log.len > 0 ? e.log.ptr : (const uint8_t *)"",
                  e.log.len + (e.log.len == 0));
    assert_int_equal(s->log.len - (e.log.len == 0), e.log.len);
    if (e.log.len > 0)
        assert_memory_equal(s->log.ptr, e.log.ptr, e.log.len);
    close_end(&e);
}

static void make_stream(struct stream *s)
{
    sotto_session_client_options o = world_client_options(&w, s->pattern, s->curve, s->cipher);
    struct peer peer, other;
    struct end e;
    int64_t now = ms(3);

    open_end(&e, s, &now, 0, false);
    end_work(&e);
    if (s->to_server) {
        peer_client(&peer, &o, s->pattern, NULL);
        peer_next(&peer, &s->bytes);
        (void)end_feed(&e, s->bytes.ptr, s->bytes.len);
        peer_read(&peer, si_span(e.out.ptr, e.out.len));
        if (is_bootstrap(s->pattern))
            peer_next(&peer, &s->bytes);
        else
            s->messages = odd_records(&peer, &s->bytes);
    } else {
        size_t first = e.out.len;

        peer_server(&peer, &w, s->pattern, s->curve, s->cipher, si_span(e.out.ptr, first));
        if (is_bootstrap(s->pattern)) {
            /* the document of our own server, under this handshake's keys */
            struct stream to_server = *s;
            struct end server;
            struct bytes b = {NULL, 0, 0}, document = {NULL, 0, 0};
            size_t message_2;

            to_server.to_server = true;
            open_end(&server, &to_server, &now, 0, false);
            peer_client(&other, &o, s->pattern, NULL);
            peer_next(&other, &b);
            (void)end_feed(&server, b.ptr, b.len);
            message_2 = server.out.len;
            peer_read(&other, si_span(server.out.ptr, message_2));
            b.len = 0;
            peer_next(&other, &b);
            (void)end_feed(&server, b.ptr, b.len);
            assert_true(peer_open(&other,
                                  si_span(server.out.ptr + message_2, server.out.len - message_2),
                                  &document) > 0);
            close_end(&server);
            peer_free(&other);
            peer_next(&peer, &s->bytes);
            (void)end_feed(&e, s->bytes.ptr, s->bytes.len);
            peer_read(&peer, si_span(e.out.ptr + first, e.out.len - first));
            peer_body(&peer, document.ptr, document.len, 21, &s->bytes);
            bytes_free(&b);
            bytes_free(&document);
        } else {
            peer_hello(&peer, "{\"keepalive_ms\":5000}", &s->bytes);
            s->messages = odd_records(&peer, &s->bytes);
        }
    }
    peer_free(&peer);
    close_end(&e);
    run_stream(s, NULL, NULL, 0, false);
}

static void stream_free(struct stream *s)
{
    bytes_free(&s->bytes);
    bytes_free(&s->log);
}

static size_t steps_of(void *user, size_t at)
{
    (void)at;
    return *(const size_t *)user;
}

/* At *USER in two. */
static size_t in_two(void *user, size_t at)
{
    size_t point = *(const size_t *)user;

    return at < point ? point - at : SIZE_MAX;
}

static size_t random_steps(void *user, size_t at)
{
    uint32_t r = next_random(user);

    (void)at;
    return 1 + (r % 5 == 0 ? r / 8 % 200 : r / 8 % 7);
}

typedef void stream_function(struct stream *s, size_t padding, bool lend);

static void for_all(stream_function *function)
{
    for (int pattern = 0; pattern < PATTERNS; pattern++)
        for (int curve = 1; curve <= SOTTO_CURVE_COUNT; curve++)
            for (unsigned to_server = 0; to_server < 2; to_server++) {
                struct stream s = {.pattern = (enum pattern)pattern,
                                   .curve = (sotto_curve)curve,
                                   .cipher = (pattern + curve) % 2 == 0 ? SOTTO_CIPHER_AESGCM
                                                                        : SOTTO_CIPHER_CHACHAPOLY,
                                   .to_server = to_server != 0};

                make_stream(&s);
                for (size_t padding = 0; padding < 128; padding += 64)
                    for (unsigned lend = 0; lend < 2; lend++) {
                        /* so that each of the four comes with and without, in one or the other
                         * pattern */
                        hold = (padding / 64 + lend + (unsigned)pattern + to_server) % 2 != 0;
                        function(&s, padding, lend != 0);
                        hold = false;
                    }
                stream_free(&s);
            }
}

static void split_steps(struct stream *s, size_t padding, bool lend)
{
    static const size_t steps[] = {1, 2, 3, 5, 16, 18, 19, 64, 100, 333};

    for (size_t i = 0; i < SI_COUNT(steps); i++) {
        size_t step = steps[i];

        run_stream(s, steps_of, &step, padding, lend);
    }
}

static void same_size_pieces(void **state)
{
    (void)state;
    for_all(split_steps);
}

static void split_in_two(struct stream *s, size_t padding, bool lend)
{
    /* a Diffie-Hellman on 448 takes six times as long: every seventh point there */
    size_t every = s->curve == SOTTO_CURVE_448 ? 7 : 1;

    for (size_t point = 1; point < s->bytes.len; point += every)
        run_stream(s, in_two, &point, padding, lend);
}

static void two_pieces(void **state)
{
    (void)state;
    for_all(split_in_two);
}

static void split_randomly(struct stream *s, size_t padding, bool lend)
{
    for (uint32_t seed = 1; seed <= (s->curve == SOTTO_CURVE_448 ? 10U : 40U); seed++) {
        uint32_t random = seed * 2654435761U + (uint32_t)padding;

        run_stream(s, random_steps, &random, padding, lend);
    }
}

static void random_pieces(void **state)
{
    (void)state;
    for_all(split_randomly);
}

/* The control: a stream with one byte changed does not make the same events. */
static void a_changed_stream_is_noticed(void **state)
{
    struct stream s = {.pattern = NKPSK0,
                       .curve = SOTTO_CURVE_25519,
                       .cipher = SOTTO_CIPHER_AESGCM,
                       .to_server = true};
    struct end e;
    int64_t now = ms(3);

    (void)state;
    make_stream(&s);
    s.bytes.ptr[s.bytes.len - 1] ^= 1;
    open_end(&e, &s, &now, 0, false);
    (void)end_feed(&e, s.bytes.ptr, s.bytes.len);
    assert_int_equal(e.err, SOTTO_E_AUTH);
    assert_true(e.log.len < s.log.len);
    assert_memory_equal(e.log.ptr, s.log.ptr, e.log.len);
    close_end(&e);
    stream_free(&s);
}

/* ---- Two sessions in conversation ------------------------------------------------------------ */

struct talk {
    unsigned sent, echoed;
    uint8_t *text;
};

static const size_t talk_sizes[] = {1, 70000, 5, 65513, 65514, 12, 200000, 1, 1024, 65517, 3};

static void say(struct end *client, struct talk *talk)
{
    size_t len = talk_sizes[talk->sent];

    talk->text[0] = (uint8_t)('A' + talk->sent);
    assert_int_equal(end_send(client, talk->text, len), SOTTO_OK);
    talk->sent++;
}

static void client_talks(struct end *end, const sotto_event *event, void *user)
{
    struct talk *talk = user;

    if (event->type == SOTTO_EVENT_MESSAGE && !end->peer_close) {
        assert_int_equal(event->len, talk_sizes[talk->echoed]);
        assert_int_equal(event->data[0], 'A' + talk->echoed);
        assert_memory_equal(event->data + 1, talk->text + 1, event->len - 1);
        talk->echoed++;
    } else if (event->type != SOTTO_EVENT_OPEN) {
        return;
    }
    /* two at once, then one for each answer */
    if (event->type == SOTTO_EVENT_OPEN)
        say(end, talk);
    if (talk->sent < SI_COUNT(talk_sizes))
        say(end, talk);
    else if (talk->echoed == SI_COUNT(talk_sizes))
        assert_int_equal(sotto_session_close(end->session, "done", NULL, 0), SOTTO_OK);
}

static void server_echoes(struct end *end, const sotto_event *event, void *user)
{
    (void)user;
    if (event->type == SOTTO_EVENT_MESSAGE && !end->peer_close)
        assert_int_equal(end_send(end, event->data, event->len), SOTTO_OK);
}

static void conversations(void **state)
{
    static uint8_t text[200000];
    struct si_scratch lent[2];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(' ' + i % 90);
    assert_int_equal(si_scratch_init(&lent[0]), SOTTO_OK);
    assert_int_equal(si_scratch_init(&lent[1]), SOTTO_OK);
    for (unsigned run = 0; run < 24; run++) {
        enum pattern pattern = run % 2 == 0 ? NKPSK0 : IKPSK0;
        sotto_session_client_options o = world_client_options(
            &w, pattern, (sotto_curve)(run / 2 % 2 + 1), (sotto_cipher)(run / 4 % 2 + 1));
        struct talk talk = {0, 0, text};
        struct pair p;

        if (run % 3 == 1)
            o.input_padding = 64;
        pair_init(&p, &o, w.plain, run % 5 < 3 ? lent : NULL);
        p.end[CLIENT].hook = client_talks;
        p.end[CLIENT].user = &talk;
        p.end[SERVER].hook = server_echoes;
        p.end[CLIENT].hold = run % 7 > 3;
        p.end[SERVER].hold = run % 7 > 2;
        if (run >= 20)
            p.step = run - 19; /* 1 to 4 bytes */
        else if (run >= 4)
            p.random = run;
        (void)pair_run(&p);
        assert_int_equal(talk.echoed, SI_COUNT(talk_sizes));
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(p.end[i].err, SOTTO_OK);
            assert_true(p.end[i].peer_close);
            assert_true(p.end[i].shut);
            assert_true(p.end[i].over);
            assert_int_equal(p.end[i].opens, 1);
            assert_int_equal(p.end[i].messages, SI_COUNT(talk_sizes) + 1);
        }
        pair_free(&p);
    }
    si_scratch_wipe(&lent[0]);
    si_scratch_wipe(&lent[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_stream_is_noticed),
        cmocka_unit_test(same_size_pieces),
        cmocka_unit_test(two_pieces),
        cmocka_unit_test(random_pieces),
        cmocka_unit_test(conversations),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
