/*
 * What the primitives cost: every backend of every algorithm, several rounds, the quickest and the
 * middle one in nanoseconds.  `make bench` builds and runs it; with arguments it measures only the
 * algorithms of these names: `bench_crypto 25519 SHA256`.
 */
#include "clock.h"

#include "crypto/crypto.h"

enum { ROUNDS = 9, ROUND_NS = 20000000, TEXT_MAX = 65519 };

static uint8_t text[TEXT_MAX + SI_TAG_LEN], copy[TEXT_MAX + SI_TAG_LEN];

struct work {
    const struct si_dh *dh;
    const struct si_aead *aead;
    struct si_aead_key *key;
    struct si_hash_ctx *hash;
    size_t len;
    struct si_private_key priv;
    struct si_public_key pub;
};

static size_t lines; /* printed so far */

static void measure(const char *name, const char *backend, const char *what,
                    sotto_err (*step)(void *user), struct work *w)
{
    const struct bench_work work = {.name = what, .step = step, .user = w};
    struct bench_time t;

    bench_measure(&work, 1, ROUNDS, ROUND_NS, &t);
    printf("%-11s %-9s %-20s %10.1f %10.1f", name, backend, what, t.best, t.median);
    if (w->len >= 1024)
        printf(" %8.2f GB/s", (double)w->len / t.best);
    printf("\n");
    lines++;
}

/* ---- Diffie-Hellman -------------------------------------------------------------------------- */

static sotto_err generate(void *user)
{
    struct work *w = user;

    return w->dh->generate(w->dh, &w->priv, &w->pub);
}

static sotto_err exchange(void *user)
{
    struct work *w = user;
    struct si_shared_secret shared;

    return w->dh->exchange(&shared, &w->priv, &w->pub);
}

static void bench_dhs(int argc, char **argv)
{
    size_t count;
    const struct si_dh *const *all = si_dh_all(&count);

    for (size_t i = 0; i < count; i++) {
        struct work w = {.dh = all[i]};

        if (!bench_wanted(argc, argv, all[i]->name))
            continue;
        measure(all[i]->name, all[i]->backend, "key pair", generate, &w);
        measure(all[i]->name, all[i]->backend, "exchange", exchange, &w);
    }
}

/* ---- Authenticated encryption ---------------------------------------------------------------- */

static sotto_err expand(void *user)
{
    struct work *w = user;
    static const struct si_cipher_key k = {{1}};
    struct si_aead_key *key;
    sotto_err err = w->aead->key_new(&key, &k);

    w->aead->key_free(key);
    return err;
}

static sotto_err seal(void *user)
{
    struct work *w = user;

    return si_aead_seal(w->aead, w->key, 1, si_span(NULL, 0), text, w->len, text);
}

static sotto_err open_sealed(void *user)
{
    struct work *w = user;

    return w->aead->open(w->key, 1, si_span(NULL, 0), text, w->len + SI_TAG_LEN, copy);
}

static void bench_aead(const struct si_aead *aead)
{
    static const size_t sizes[] = {16, 64, 117, 256, 1024, 4096, 16384, TEXT_MAX};
    static const struct si_cipher_key k = {{1}};
    struct work w = {.aead = aead};

    measure(aead->name, aead->backend, "key, made and freed", expand, &w);
    if (aead->key_new(&w.key, &k) != SOTTO_OK)
        exit(1);
    for (size_t i = 0; i < SI_COUNT(sizes); i++) {
        char what[32];

        w.len = sizes[i];
        (void)snprintf(what, sizeof what, "seal %zu", w.len);
        measure(aead->name, aead->backend, what, seal, &w);
        (void)snprintf(what, sizeof what, "open %zu", w.len);
        measure(aead->name, aead->backend, what, open_sealed, &w);
    }
    aead->key_free(w.key);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

static sotto_err hash_once(void *user)
{
    struct work *w = user;
    const struct si_span part = {text, w->len};
    uint8_t out[SI_HASH_LEN_MAX];

    return si_hash_parts(w->hash, &part, 1, out);
}

static sotto_err hkdf(void *user)
{
    struct work *w = user;
    uint8_t ck[SI_HASH_LEN_MAX] = {0}, out[SI_HASH_LEN_MAX];

    return si_hkdf(w->hash, ck, si_span(text, w->len), ck, out, NULL);
}

static void bench_hashes(int argc, char **argv)
{
    size_t count;
    const struct si_hash *const *all = si_hash_all(&count);

    for (size_t i = 0; i < count; i++) {
        struct work w = {.len = 96};

        if (!bench_wanted(argc, argv, all[i]->name))
            continue;
        if (si_hash_ctx_new(&w.hash, all[i]) != SOTTO_OK)
            exit(1);
        measure(all[i]->name, all[i]->backend, "hash 96", hash_once, &w);
        w.len = 32;
        measure(all[i]->name, all[i]->backend, "HKDF 32, two outputs", hkdf, &w);
        si_hash_ctx_free(w.hash);
    }
}

int main(int argc, char **argv)
{
    size_t count;
    const struct si_aead *const *aeads = si_aead_all(&count);

    printf("%-11s %-9s %-20s %10s %10s\n", "algorithm", "backend", "work", "best ns", "median ns");
    bench_dhs(argc, argv);
    for (size_t i = 0; i < count; i++) {
        if (bench_wanted(argc, argv, aeads[i]->name))
            bench_aead(aeads[i]);
    }
    bench_hashes(argc, argv);
    if (lines == 0)
        (void)fprintf(stderr, "bench_crypto: there is no such algorithm\n");
    return lines > 0 ? 0 : 2;
}
