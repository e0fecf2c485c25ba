#include "pair.h"

#include <stdio.h>
#include <stdlib.h>

const char *const pattern_names[PATTERNS] = {"XX", "XXpsk0", "NKpsk0", "IKpsk0"};

void *(*harness_realloc)(void *ptr, size_t size) = realloc;

/* ---- A deployment ---------------------------------------------------------------------------- */

static const char *look_up(void *user, const sotto_public_key *key)
{
    const struct world *w = user;

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        if (sotto_public_key_equal(key, &w->client_key[i]))
            return "friend";
    return NULL;
}

sotto_acceptor_options world_acceptor_options(const struct world *w)
{
    sotto_acceptor_options o = SOTTO_ACCEPTOR_OPTIONS_INIT;

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        o.curves[i].key = w->server[i];
        o.curves[i].psk = w->psk[i];
        o.curves[i].gate = w->gate[i];
    }
    o.parameters = w->parameters;
    memcpy(o.epoch, w->epoch, sizeof o.epoch);
    o.client_auth = SOTTO_CLIENT_AUTH_OPTIONAL;
    o.client_lookup = look_up;
    o.user = (void *)(uintptr_t)w;
    o.agent = "attack";
    o.expires_in_s = 3600;
    return o;
}

sotto_acceptor *world_acceptor(const sotto_acceptor_options *options)
{
    sotto_acceptor *acceptor = NULL;

    assert_int_equal(sotto_acceptor_new(options, &acceptor), SOTTO_OK);
    assert_non_null(acceptor);
    return acceptor;
}

void world_init(struct world *w)
{
    sotto_acceptor_options o;

    memset(w, 0, sizeof *w);
    for (int i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_curve curve = (sotto_curve)(i + 1);

        assert_int_equal(sotto_keypair_generate(curve, &w->server[i]), SOTTO_OK);
        assert_int_equal(sotto_keypair_generate(curve, &w->client[i]), SOTTO_OK);
        assert_int_equal(sotto_keypair_generate(curve, &w->stranger[i]), SOTTO_OK);
        w->server_key[i] = sotto_keypair_public(w->server[i]);
        w->client_key[i] = sotto_keypair_public(w->client[i]);
        w->stranger_key[i] = sotto_keypair_public(w->stranger[i]);
        memset(w->psk[i].bytes, 0x51 + i, SOTTO_PSK_LEN);
        memset(w->gate[i].bytes, 0x61 + i, SOTTO_PSK_LEN);
    }
    memcpy(w->epoch, "\x01\x23\x45\x67\x89\xab\xcd\xef", sizeof w->epoch);
    for (uint8_t i = 0; i < SOTTO_SERVER_ID_LEN; i++)
        w->parameters.server_id[i] = (uint8_t)(0xf0 + i);
    w->parameters.salt_index = 7;
    w->parameters.iterations = 10000;
    w->parameters.server_string_len = 13;
    memcpy(w->parameters.server_string, "server string", 13);
    o = world_acceptor_options(w);
    w->plain = world_acceptor(&o);
    o.gate = 1;
    w->gated = world_acceptor(&o);
}

void world_free(struct world *w)
{
    sotto_acceptor_free(w->plain);
    sotto_acceptor_free(w->gated);
    for (int i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_keypair_free(w->server[i]);
        sotto_keypair_free(w->client[i]);
        sotto_keypair_free(w->stranger[i]);
    }
}

sotto_session_client_options world_client_options(const struct world *w, enum pattern pattern,
                                                  sotto_curve curve, sotto_cipher cipher)
{
    sotto_session_client_options o = SOTTO_SESSION_CLIENT_OPTIONS_INIT;

    o.purpose = is_bootstrap(pattern) ? SOTTO_BOOTSTRAP : SOTTO_SESSION;
    o.curve = curve;
    o.cipher = cipher;
    if (pattern == XXPSK0)
        o.gate = &w->gate[curve - 1];
    if (pattern == IKPSK0)
        o.identity = w->client[curve - 1];
    if (!is_bootstrap(pattern)) {
        o.server_key = &w->server_key[curve - 1];
        o.psk = &w->psk[curve - 1];
        memcpy(o.epoch, w->epoch, sizeof o.epoch);
    }
    return o;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

void bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (b->cap - b->len < len) {
        b->cap = 2 * b->cap + len + 256;
        b->ptr = harness_realloc(b->ptr, b->cap);
        assert_non_null(b->ptr);
    }
    memcpy(b->ptr + b->len, data, len);
    b->len += len;
}

void bytes_free(struct bytes *b)
{
    free(b->ptr);
    *b = (struct bytes){NULL, 0, 0};
}

uint32_t next_random(uint32_t *state)
{
    /* xorshift32 */
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* ---- One end --------------------------------------------------------------------------------- */

void end_init(struct end *e, sotto_session *session, const int64_t *now)
{
    memset(e, 0, sizeof *e);
    assert_non_null(session);
    e->session = session;
    e->now = now;
}

void end_free(struct end *e)
{
    sotto_session_free(e->session);
    e->session = NULL;
    bytes_free(&e->out);
    bytes_free(&e->log);
}

static void note(struct end *e, sotto_err err)
{
    if (err == SOTTO_OK || err == SOTTO_E_AGAIN)
        return;
    /* the first error is kept, and every later call returns it */
    if (e->err == SOTTO_OK)
        e->err = err;
    assert_int_equal(err, e->err);
    assert_int_equal(sotto_session_error(e->session), e->err);
    assert_false(sotto_session_is_open(e->session));
}

static void log_event(struct end *e, const sotto_event *event)
{
    uint8_t head[5];

    head[0] = (uint8_t)event->type;
    si_put_be32(head + 1, (uint32_t)event->len);
    bytes_add(&e->log, head, sizeof head);
    bytes_add(&e->log, event->data, event->len);
}

static void take_event(struct end *e, const sotto_event *event)
{
    static volatile unsigned sink;
    unsigned sum = 0;

    log_event(e, event);
    switch (event->type) {
    case SOTTO_EVENT_SERVER_KEY:
        assert_non_null(event->key);
        e->keys++;
        break;
    case SOTTO_EVENT_BOOTSTRAP:
        assert_non_null(event->bootstrap);
        e->bootstraps++;
        break;
    case SOTTO_EVENT_OPEN:
        /* what broke the session may have come right behind */
        if (sotto_session_error(e->session) == SOTTO_OK)
            assert_true(sotto_session_is_open(e->session));
        e->opens++;
        break;
    case SOTTO_EVENT_MESSAGE:
        assert_int_equal(e->opens, 1);
        assert_true(event->len > 0);
        /* promised to be readable */
        for (size_t i = 0; i < event->len + SOTTO_MESSAGE_PADDING; i++)
            sum += event->data[i];
        sink = sum;
        e->messages++;
        e->message_bytes += event->len;
        if (event->len > 9 && memcmp(event->data, "{\"close\":", 9) == 0) {
            sotto_session_peer_closed(e->session);
            e->peer_close = true;
        }
        break;
    default:
        fail_msg("event %d", (int)event->type);
    }
    (void)sink;
    if (e->hook != NULL)
        e->hook(e, event, e->user);
    if (e->peer_close && !e->no_close_back)
        end_close(e);
}

static void fetch_events(struct end *e)
{
    for (unsigned fetched = 0;; fetched++) {
        sotto_event event;
        sotto_err err;

        memset(&event, 0xa5, sizeof event);
        err = sotto_session_next(e->session, &event);
        if (err == SOTTO_E_AGAIN) {
            assert_true(fetched > 0); /* it said that there is one */
            return;
        }
        note(e, err);
        if (err != SOTTO_OK)
            return;
        assert_true(fetched < 10000000);
        take_event(e, &event);
    }
}

static void fetch_output(struct end *e)
{
    const uint8_t *data = NULL;
    size_t len = 0, waiting = sotto_session_output_waiting(e->session);
    sotto_err err = sotto_session_output(e->session, &data, &len, *e->now);

    note(e, err);
    if (err != SOTTO_OK && len == 0)
        return;
    assert_true(len > 0); /* it said that there is some */
    assert_true(waiting <= len);
    bytes_add(&e->out, data, len);
    sotto_session_sent(e->session, len);
    assert_int_equal(sotto_session_output_waiting(e->session), 0);
}

void end_work(struct end *e)
{
    for (unsigned round = 0;; round++) {
        unsigned want = sotto_session_want(e->session);

        if (round > 1000000)
            fail_msg("wants %x for ever", want);
        if ((want & SOTTO_WANT_FREE) != 0) {
            assert_int_equal(want, SOTTO_WANT_FREE);
            e->over = true;
            return;
        }
        if ((want & SOTTO_WANT_EVENT) != 0) {
            fetch_events(e);
        } else if ((want & SOTTO_WANT_VERDICT) != 0 && !e->withhold_verdict) {
            note(e, sotto_session_accept_key(e->session));
        } else if ((want & SOTTO_WANT_OUTPUT) != 0 && !e->no_output) {
            assert_false(e->shut);
            fetch_output(e);
        } else if ((want & SOTTO_WANT_SHUTDOWN) != 0 && !e->keep_open && !e->no_output) {
            assert_int_equal(sotto_session_output_waiting(e->session), 0);
            assert_false(e->shut);
            e->shut = true;
            sotto_session_shut(e->session, *e->now);
        } else {
            /* nothing to be done here: it must wait for bytes, or for time, or for us */
            if (want == 0 && !e->withhold_verdict && !e->no_output && !e->keep_open &&
                !e->peer_close)
                assert_true(sotto_session_deadline(e->session) != SOTTO_TIME_NEVER);
            return;
        }
    }
}

/* LEN bytes in a block of exactly that length, but for the padding. */
static uint8_t *block_of(const struct end *e, const uint8_t *data, size_t len)
{
    uint8_t *block = harness_realloc(NULL, len + e->padding);

    assert_non_null(block);
    memcpy(block, data, len);
    memset(block + len, '"', e->padding);
    return block;
}

size_t end_feed(struct end *e, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint8_t *block = NULL;
    size_t at = 0, first = 0;

    end_work(e);
    while (at < len && !e->over) {
        size_t taken = SIZE_MAX;
        sotto_err err;

        if (block == NULL) {
            block = block_of(e, bytes + at, len - at);
            first = at;
        }
        err = sotto_session_feed(e->session, block + (at - first), len - at, &taken, *e->now);
        note(e, err);
        assert_true(taken <= len - at);
        at += taken;
        if (e->hold) {
            if (err == SOTTO_OK)
                note(e, si_session_hold(e->session));
            free(block);
            block = NULL;
        }
        end_work(e);
        if (taken == 0 && (e->withhold_verdict || err != SOTTO_OK))
            break;
        if (taken == 0 && !e->over)
            fail_msg("nothing was taken, and nothing was wanted");
    }
    free(block);
    return at;
}

void end_eof(struct end *e)
{
    end_work(e);
    if (e->eof || e->over)
        return;
    e->eof = true;
    note(e, sotto_session_eof(e->session, *e->now));
    end_work(e);
}

void end_tick(struct end *e)
{
    end_work(e);
    if (e->over)
        return;
    note(e, sotto_session_tick(e->session, *e->now));
    end_work(e);
}

sotto_err end_send(struct end *e, const void *text, size_t len)
{
    sotto_piece piece = {text, len};

    return sotto_session_send(e->session, &piece, 1);
}

sotto_err end_send_text(struct end *e, const char *text)
{
    return end_send(e, text, strlen(text));
}

void end_close(struct end *e)
{
    sotto_err err = sotto_session_close(e->session, "done", NULL, 0);

    /* nothing was queued then, and the session goes on */
    if (err == SOTTO_E_NOMEM && sotto_session_error(e->session) == SOTTO_OK)
        err = sotto_session_close(e->session, "done", NULL, 0);
    if (err == SOTTO_E_NOMEM && sotto_session_error(e->session) == SOTTO_OK) {
        e->err = err;
        e->over = true;
        return;
    }
    note(e, err);
}

void assert_nothing_happened(const struct end *e)
{
    assert_int_equal(e->bootstraps, 0);
    assert_int_equal(e->opens, 0);
    assert_int_equal(e->messages, 0);
    assert_false(sotto_session_is_open(e->session));
    assert_null(sotto_session_client_key(e->session));
    assert_null(sotto_session_client_name(e->session));
}

/* ---- Two ------------------------------------------------------------------------------------- */

void pair_init(struct pair *p, const sotto_session_client_options *client,
               const sotto_acceptor *acceptor, struct si_scratch *lend)
{
    sotto_session *session = NULL;

    memset(p, 0, sizeof *p);
    p->now = ms(1000000);
    assert_int_equal(sotto_session_client_new(client, p->now, &session), SOTTO_OK);
    end_init(&p->end[CLIENT], session, &p->now);
    p->end[CLIENT].padding = client->input_padding;
    if (lend != NULL)
        si_session_lend(session, &lend[CLIENT]);
    session = NULL;
    assert_int_equal(sotto_session_server_new(acceptor, p->now, &session), SOTTO_OK);
    end_init(&p->end[SERVER], session, &p->now);
    if (lend != NULL)
        si_session_lend(session, &lend[SERVER]);
}

void pair_free(struct pair *p)
{
    end_free(&p->end[CLIENT]);
    end_free(&p->end[SERVER]);
}

/* The bytes of the stream of SIDE from FROM to TO as they arrive, and whether the end of stream
 * follows. */
static bool deliver(struct pair *p, unsigned side, size_t from, size_t to, struct bytes *b)
{
    struct tamper *t = &p->tamper;
    const uint8_t *out = p->end[side].out.ptr;

    if (t->what == TAMPER_CUT && t->side == side && to > t->offset) {
        t->done = true;
        if (from < t->offset)
            bytes_add(b, out + from, t->offset - from);
        return true;
    }
    if (t->what == TAMPER_NOTHING || t->side != side || t->offset < from || t->offset >= to) {
        bytes_add(b, out + from, to - from);
        return false;
    }
    t->done = true;
    bytes_add(b, out + from, t->offset - from);
    if (t->what != TAMPER_DROP) {
        uint8_t changed = out[t->offset] ^ t->value;

        bytes_add(b, &changed, 1);
    }
    if (t->what == TAMPER_INSERT)
        bytes_add(b, out + t->offset, 1);
    bytes_add(b, out + t->offset + 1, to - t->offset - 1);
    return false;
}

/* Move what SIDE has sent.  True when something moved. */
static bool move(struct pair *p, unsigned side)
{
    struct end *from = &p->end[side], *to = &p->end[!side];
    size_t end = from->out.len;
    struct bytes b = {NULL, 0, 0};
    bool cut, moved = false;

    if (p->moved[side] < end && !to->over) {
        size_t at = 0;

        cut = deliver(p, side, p->moved[side], end, &b);
        while (at < b.len && !to->over) {
            size_t step = p->step, taken;

            if (p->random != 0)
                step = 1 + next_random(&p->random) % 97;
            if (step == 0 || step > b.len - at)
                step = b.len - at;
            taken = end_feed(to, b.ptr + at, step);
            if (taken == 0)
                break;
            moved = true;
            at += taken;
        }
        /* what a withheld verdict left comes again later, untampered */
        p->moved[side] = at < b.len && !to->over ? end - (b.len - at) : end;
        if (cut) {
            p->moved[side] = SIZE_MAX;
            p->eof_moved[side] = true;
            end_eof(to);
            moved = true;
        }
        bytes_free(&b);
    }
    if (from->shut && p->moved[side] >= from->out.len && !p->eof_moved[side]) {
        p->eof_moved[side] = true;
        if (!to->over) {
            end_eof(to);
            moved = true;
        }
    }
    /* one that is over closes, and the other one sees that */
    if (from->over && !p->eof_moved[side] && p->moved[side] >= from->out.len) {
        p->eof_moved[side] = true;
        if (!to->over) {
            end_eof(to);
            moved = true;
        }
    }
    return moved;
}

bool pair_run(struct pair *p)
{
    bool any = false;

    for (unsigned round = 0;; round++) {
        bool moved;

        assert_true(round < 1000000);
        end_work(&p->end[CLIENT]);
        end_work(&p->end[SERVER]);
        moved = move(p, CLIENT);
        moved = move(p, SERVER) || moved;
        if (!moved)
            return any;
        any = true;
    }
}

bool pair_tick(struct pair *p, int64_t limit)
{
    int64_t due = SOTTO_TIME_NEVER;

    for (unsigned i = 0; i < 2; i++)
        if (!p->end[i].over) {
            int64_t d = sotto_session_deadline(p->end[i].session);

            if (d < due)
                due = d;
        }
    if (due == SOTTO_TIME_NEVER || due > limit)
        return false;
    if (due > p->now)
        p->now = due;
    for (unsigned i = 0; i < 2; i++)
        if (!p->end[i].over && sotto_session_deadline(p->end[i].session) <= p->now)
            end_tick(&p->end[i]);
    (void)pair_run(p);
    return true;
}

void pair_finish(struct pair *p)
{
    int64_t limit = p->now + ms(3600000);

    (void)pair_run(p);
    for (unsigned i = 0; (!p->end[CLIENT].over || !p->end[SERVER].over) && pair_tick(p, limit); i++)
        assert_true(i < 100000);
}

void pair_break(struct pair *p)
{
    p->eof_moved[CLIENT] = p->eof_moved[SERVER] = true;
    p->moved[CLIENT] = p->moved[SERVER] = SIZE_MAX;
    end_eof(&p->end[CLIENT]);
    end_eof(&p->end[SERVER]);
}
