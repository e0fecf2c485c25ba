/*
 * One thread that sends and one that receives, on the same transport and the same datagrams, in
 * both directions at once, with rekeying.  For the thread sanitizer, too.
 */
#include "support.h"

#include <pthread.h>

enum { MESSAGES = 4000, QUEUE = 32, LARGEST = 200, REKEY_EVERY = 250 };

/* A bounded queue between a sender and its receiver. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned put, taken;
    bool broken; /* one of the two gave up */
    struct item {
        uint8_t bytes[LARGEST + SOTTO_NOISE_TAG_LEN];
        size_t len;
        uint64_t nonce;
    } items[QUEUE];
};

static void queue_init(struct queue *q)
{
    memset(q, 0, sizeof *q);
    assert_int_equal(pthread_mutex_init(&q->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&q->changed, NULL), 0);
}

static void queue_destroy(struct queue *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
}

static bool queue_put(struct queue *q, const struct item *item)
{
    bool ok;

    pthread_mutex_lock(&q->lock);
    while (!q->broken && q->put - q->taken == QUEUE)
        pthread_cond_wait(&q->changed, &q->lock);
    ok = !q->broken;
    if (ok)
        q->items[q->put++ % QUEUE] = *item;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return ok;
}

static bool queue_take(struct queue *q, struct item *item)
{
    bool ok;

    pthread_mutex_lock(&q->lock);
    while (!q->broken && q->put == q->taken)
        pthread_cond_wait(&q->changed, &q->lock);
    ok = !q->broken;
    if (ok)
        *item = q->items[q->taken++ % QUEUE];
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return ok;
}

static void queue_break(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->broken = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

/* What a thread has: one of the two kinds of an end, and a queue.  cmocka's assertions belong to
 * the main thread, so threads only count. */
struct worker {
    sotto_transport *transport;
    sotto_datagrams *datagrams;
    struct queue *queue;
    unsigned done;
};

static size_t text_of(unsigned number, uint8_t out[LARGEST])
{
    size_t len = number % (LARGEST + 1);

    fill(out, len, number);
    return len;
}

static sotto_err seal(struct worker *w, sotto_bytes in, struct item *item)
{
    sotto_room room = sotto_room_of(item->bytes, sizeof item->bytes);
    sotto_err err;

    if (w->transport != NULL) {
        item->nonce = sotto_transport_sending_nonce(w->transport);
        err = sotto_transport_encrypt(w->transport, sotto_no_ad(), in, &room);
    } else {
        err = sotto_datagrams_encrypt(w->datagrams, sotto_no_ad(), in, &room, &item->nonce);
    }
    item->len = room.len;
    return err;
}

static sotto_err rekey_sending(struct worker *w)
{
    return w->transport != NULL ? sotto_transport_rekey_sending(w->transport)
                                : sotto_datagrams_rekey_sending(w->datagrams);
}

static sotto_err rekey_receiving(struct worker *w)
{
    return w->transport != NULL ? sotto_transport_rekey_receiving(w->transport)
                                : sotto_datagrams_rekey_receiving(w->datagrams);
}

static void *sends(void *user)
{
    struct worker *w = user;
    uint8_t text[LARGEST];
    struct item item;

    for (unsigned i = 0; i < MESSAGES; i++) {
        size_t len = text_of(i, text);

        if (seal(w, sotto_bytes_of(text, len), &item) != SOTTO_OK || item.nonce != i ||
            !queue_put(w->queue, &item))
            break;
        if (i % REKEY_EVERY == REKEY_EVERY - 1 && rekey_sending(w) != SOTTO_OK)
            break;
        w->done++;
    }
    if (w->done < MESSAGES)
        queue_break(w->queue);
    return NULL;
}

static bool arrives(struct worker *w, const struct item *item, unsigned number)
{
    uint8_t text[LARGEST], expected[LARGEST];
    sotto_room room = sotto_room_of(text, sizeof text);
    sotto_bytes in = sotto_bytes_of(item->bytes, item->len);
    size_t len = text_of(number, expected);
    sotto_err err;

    if (w->transport != NULL)
        err = sotto_transport_decrypt(w->transport, sotto_no_ad(), in, &room);
    else
        err = sotto_datagrams_decrypt(w->datagrams, item->nonce, sotto_no_ad(), in, &room);
    return err == SOTTO_OK && room.len == len && memcmp(text, expected, len) == 0;
}

static void *receives(void *user)
{
    struct worker *w = user;
    struct item item;

    for (unsigned i = 0; i < MESSAGES; i++) {
        if (!queue_take(w->queue, &item) || !arrives(w, &item, i))
            break;
        if (i % REKEY_EVERY == REKEY_EVERY - 1 && rekey_receiving(w) != SOTTO_OK)
            break;
        w->done++;
    }
    if (w->done < MESSAGES)
        queue_break(w->queue);
    return NULL;
}

/* Four threads: each end has a sender and a receiver. */
static void run(const struct worker ends[2])
{
    static struct queue queues[2]; /* by the end that sends */
    struct worker workers[4];
    pthread_t threads[4];

    for (int side = 0; side < 2; side++)
        queue_init(&queues[side]);
    for (int i = 0; i < 4; i++) {
        int side = i / 2;

        workers[i] = ends[side];
        workers[i].queue = &queues[i % 2 == 0 ? side : !side];
        assert_int_equal(
            pthread_create(&threads[i], NULL, i % 2 == 0 ? sends : receives, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(workers[i].done, MESSAGES);
    for (int side = 0; side < 2; side++)
        queue_destroy(&queues[side]);
}

static void open_pair(struct pair *p, unsigned suite)
{
    struct model m = model_of("NN", false, 0, suite_of(suite));

    pair_open(p, &m);
    pair_run(p);
}

static void test_transport(void **state)
{
    (void)state;
    for (unsigned suite = 0; suite < 4; suite += 2) { /* both ciphers */
        struct worker ends[2];
        struct pair p;

        memset(ends, 0, sizeof ends);
        open_pair(&p, suite);
        for (int side = 0; side < 2; side++)
            assert_int_equal(sotto_handshake_split(p.hs[side], &ends[side].transport, NULL),
                             SOTTO_OK);
        pair_close(&p);
        run(ends);
        for (int side = 0; side < 2; side++) {
            assert_int_equal(sotto_transport_sending_nonce(ends[side].transport), MESSAGES);
            assert_int_equal(sotto_transport_receiving_nonce(ends[side].transport), MESSAGES);
            sotto_transport_free(ends[side].transport);
        }
    }
}

static void test_datagrams(void **state)
{
    (void)state;
    for (unsigned suite = 0; suite < 4; suite += 2) {
        struct worker ends[2];
        struct pair p;

        memset(ends, 0, sizeof ends);
        open_pair(&p, suite);
        for (int side = 0; side < 2; side++)
            assert_int_equal(
                sotto_handshake_split_datagrams(p.hs[side], &ends[side].datagrams, NULL), SOTTO_OK);
        pair_close(&p);
        run(ends);
        for (int side = 0; side < 2; side++) {
            assert_int_equal(sotto_datagrams_sending_nonce(ends[side].datagrams), MESSAGES);
            sotto_datagrams_free(ends[side].datagrams);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transport),
        cmocka_unit_test(test_datagrams),
    };

    return cmocka_run_group_tests_name("noise: threads", tests, NULL, free_world);
}
