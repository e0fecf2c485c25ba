/*
 * Memory that runs out: the nth allocation of a whole connection fails, once or from then on, for
 * every n.  There is never a crash or a leak (the sanitizers look), every connection ends, and
 * nobody is accepted who would not be with memory enough.  Linked with -Wl,--wrap for malloc,
 * calloc and realloc.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "failing_malloc.h"

static struct world w;
static sotto_acceptor *known_only;

static int setup(void **state)
{
    sotto_acceptor_options o;

    (void)state;
    harness_realloc = __real_realloc;
    world_init(&w);
    o = world_acceptor_options(&w);
    o.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    known_only = world_acceptor(&o);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sotto_acceptor_free(known_only);
    world_free(&w);
    return 0;
}

/* What is talked about: a few messages, one of which needs more than one record, and a close. */
static uint8_t large[70000];

static void send_again(struct end *end, const void *text, size_t len)
{
    sotto_err err = end_send(end, text, len);

    /* nothing is queued then, and the session goes on */
    if (err == SOTTO_E_NOMEM)
        err = end_send(end, text, len);
    if (err == SOTTO_E_NOMEM)
        assert_true(malloc_fail_for_ever);
    else
        assert_int_equal(err, SOTTO_OK);
}

static void client_talks(struct end *end, const sotto_event *event, void *user)
{
    (void)user;
    if (event->type == SOTTO_EVENT_OPEN) {
        send_again(end, "{\"endpoint\":\"a\"}", 16);
        send_again(end, large, sizeof large);
    } else if (event->type == SOTTO_EVENT_MESSAGE && end->messages == 2 && !end->peer_close) {
        end_close(end);
    }
}

static void server_echoes(struct end *end, const sotto_event *event, void *user)
{
    (void)user;
    if (event->type == SOTTO_EVENT_MESSAGE && !end->peer_close)
        send_again(end, event->data, event->len);
}

/* A connection under one failure.  True when the failure came. */
static bool run(struct pair *p, const sotto_session_client_options *o,
                const sotto_acceptor *acceptor, long at, bool for_ever)
{
    sotto_session *client = NULL, *server = NULL;
    sotto_err err;

    memset(p, 0, sizeof *p);
    p->now = ms(1);
    malloc_fail(at, for_ever);
    err = sotto_session_client_new(o, p->now, &client);
    if (err == SOTTO_OK)
        err = sotto_session_server_new(acceptor, p->now, &server);
    if (err != SOTTO_OK) {
        assert_true(malloc_recover());
        assert_int_equal(err, SOTTO_E_NOMEM);
        assert_null(server);
        sotto_session_free(client);
        return true;
    }
    end_init(&p->end[CLIENT], client, &p->now);
    end_init(&p->end[SERVER], server, &p->now);
    p->end[CLIENT].hook = client_talks;
    p->end[SERVER].hook = server_echoes;
    pair_finish(p);
    assert_true(p->end[CLIENT].over);
    assert_true(p->end[SERVER].over);
    return malloc_recover();
}

static bool whole(const struct pair *p, enum pattern pattern)
{
    const struct end *client = &p->end[CLIENT], *server = &p->end[SERVER];

    if (is_bootstrap(pattern))
        return client->bootstraps == 1 && client->err == SOTTO_OK;
    return client->opens == 1 && server->opens == 1 && client->messages == 3 &&
           server->messages == 3 && client->err == SOTTO_OK && server->err == SOTTO_OK;
}

/* Whatever arrived is true. */
static void assert_true_so_far(const struct pair *p)
{
    const struct end *client = &p->end[CLIENT], *server = &p->end[SERVER];
    static const size_t lens[] = {16, sizeof large};

    if (server->opens == 1)
        assert_int_equal(client->opens, 1);
    assert_true(client->messages <= server->messages + 1);
    for (unsigned side = 0; side < 2; side++) {
        const struct bytes *log = &p->end[side].log;
        size_t at = 0, n = 0;

        while (at < log->len) {
            size_t len = si_get_be32(log->ptr + at + 1);
            const uint8_t *text = log->ptr + at + 5;

            if (log->ptr[at] == SOTTO_EVENT_MESSAGE && memcmp(text, "{\"close\"", 8) != 0) {
                assert_true(n < SI_COUNT(lens));
                /* without memory for one, the next may be the first */
                if (n == 0 && len == lens[1])
                    n = 1;
                assert_int_equal(len, lens[n]);
                if (n == 1)
                    assert_memory_equal(text, large, len);
                n++;
            }
            at += 5 + len;
        }
    }
}

static void leave(struct pair *p)
{
    if (p->end[CLIENT].session != NULL)
        pair_free(p);
}

static void connections(void **state)
{
    (void)state;
    memset(large, 'l', sizeof large);
    for (int i = 0; i < PATTERNS; i++)
        for (int curve = 1; curve <= SOTTO_CURVE_COUNT; curve++)
            for (int for_ever = 0; for_ever < 2; for_ever++) {
                enum pattern pattern = (enum pattern)i;
                sotto_session_client_options o =
                    world_client_options(&w, pattern, (sotto_curve)curve, SOTTO_CIPHER_CHACHAPOLY);
                long at = 0;

                for (;; at++) {
                    struct pair p;
                    bool failed = run(&p, &o, acceptor_for(&w, pattern), at, for_ever != 0);

                    if (p.end[CLIENT].session != NULL) {
                        assert_true_so_far(&p);
                        /* it may do without, but then it does all of it; the control: without a
                         * failure it does */
                        if (!failed)
                            assert_true(whole(&p, pattern));
                    }
                    leave(&p);
                    if (!failed)
                        break;
                }
                /* a connection allocates, and not without end */
                assert_true(at > 3 && at < 2000);
            }
}

/* Nobody is let in for want of memory. */
static void wrong_keys(void **state)
{
    (void)state;
    for (int i = 0; i < PATTERNS; i++)
        for (int wrong = 0; wrong < 3; wrong++)
            for (int for_ever = 0; for_ever < 2; for_ever++) {
                enum pattern pattern = (enum pattern)i;
                sotto_session_client_options o =
                    world_client_options(&w, pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
                const sotto_acceptor *acceptor = acceptor_for(&w, pattern);
                sotto_psk psk = {{1, 2, 3}};

                if (wrong == 0) { /* the PSK */
                    if (pattern == XX)
                        continue;
                    if (pattern == XXPSK0)
                        o.gate = &psk;
                    else
                        o.psk = &psk;
                } else if (wrong == 1) { /* the server's key */
                    if (is_bootstrap(pattern))
                        continue;
                    o.server_key = &w.stranger_key[0];
                } else { /* the client's key */
                    if (pattern != XX && pattern != IKPSK0)
                        continue;
                    o.identity = w.stranger[0];
                    acceptor = known_only;
                }
                for (long at = 0;; at++) {
                    struct pair p;
                    bool failed = run(&p, &o, acceptor, at, for_ever != 0);

                    if (p.end[CLIENT].session != NULL) {
                        assert_nothing_happened(&p.end[SERVER]);
                        assert_int_equal(p.end[CLIENT].bootstraps, 0);
                        if (wrong < 2)
                            assert_nothing_happened(&p.end[CLIENT]);
                    }
                    leave(&p);
                    if (!failed)
                        break;
                    assert_true(at < 2000);
                }
            }
}

/* A document that shows another key than XX did, and one with a low-order key, are never taken for
 * good. */
static void documents(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 3; what++)
        for (int for_ever = 0; for_ever < 2; for_ever++)
            for (long at = 0;; at++) {
                struct peer peer;
                struct end client;
                struct bytes b = {NULL, 0, 0};
                int64_t now = ms(1);
                char text[1024], own[64], other[128];
                uint8_t zeros[56] = {0};
                bool failed;
                int len;

                peer_meets_client(&peer, &client, &w, &now, XX, SOTTO_CURVE_25519,
                                  SOTTO_CIPHER_AESGCM, NULL);
                si_base64(own, what == 1 ? w.stranger_key[0].bytes : w.server_key[0].bytes, 32,
                          true);
                si_base64(other, what == 2 ? zeros : w.server_key[1].bytes, 56, true);
                len = snprintf(text, sizeof text,
                               "{\"server_id\":\"000102030405060708090a0b0c0d0e0f\","
                               "\"salt_index\":3,\"server_string\":\"s\",\"iterations\":10000,"
                               "\"curve\":\"25519\",\"public_key\":\"%s\","
                               "\"other_keys\":{\"448\":\"%s\"},\"client_auth\":\"none\"}",
                               own, other);
                peer_body(&peer, text, (size_t)len, 0, &b);
                malloc_fail(at, for_ever != 0);
                (void)end_feed(&client, b.ptr, b.len);
                end_eof(&client);
                failed = malloc_recover();
                assert_true(client.over);
                assert_true(client.bootstraps == 0 || what == 0);
                if (!failed)
                    assert_int_equal(client.bootstraps, what == 0);
                end_free(&client);
                peer_free(&peer);
                bytes_free(&b);
                if (!failed)
                    break;
                assert_true(at < 2000);
            }
}

static void acceptors(void **state)
{
    (void)state;
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (long at = 0;; at++) {
            sotto_acceptor_options o = world_acceptor_options(&w);
            sotto_acceptor *acceptor = NULL;
            sotto_err err;
            bool failed;

            malloc_fail(at, for_ever != 0);
            err = sotto_acceptor_new(&o, &acceptor);
            failed = malloc_recover();
            if (failed) {
                assert_int_equal(err, SOTTO_E_NOMEM);
                assert_null(acceptor);
            } else {
                assert_int_equal(err, SOTTO_OK);
                sotto_acceptor_free(acceptor);
                assert_true(at > 0);
                break;
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(documents),
        cmocka_unit_test(acceptors),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
