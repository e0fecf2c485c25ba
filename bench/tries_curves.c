/*
 * X25519 and X448 of nettle and OpenSSL next to those in use.
 *
 * Before anything is timed, each library goes through the 1000 iterations of RFC 7748, section 5.2,
 * beside ours: equal at each step, and the published number at the end.
 */
#include "tries.h"

#include <errno.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#ifdef TRIES_HAVE_NETTLE
#include <nettle/curve25519.h>
#include <nettle/curve448.h>
#endif

#include "crypto/crypto.h"

enum { ITERATIONS = 1000, ROUND_NS = 20000000, LIBRARIES_MAX = 3 };

struct library {
    const char *name;
    sotto_err (*public_of)(sotto_curve curve, uint8_t *pub, const uint8_t *priv);
    sotto_err (*multiply)(sotto_curve curve, uint8_t *out, const uint8_t *priv, const uint8_t *pub);
};

/* ---- The libraries --------------------------------------------------------------------------- */

static sotto_err own_public(sotto_curve curve, uint8_t *pub, const uint8_t *priv)
{
    const struct si_dh *dh = si_curve_dh(curve);
    struct si_private_key k = {{0}};
    struct si_public_key p;
    sotto_err err;

    memcpy(k.bytes, priv, dh->len);
    err = dh->derive_public(&p, &k);
    memcpy(pub, p.bytes, dh->len);
    return err;
}

static sotto_err own_multiply(sotto_curve curve, uint8_t *out, const uint8_t *priv,
                              const uint8_t *pub)
{
    const struct si_dh *dh = si_curve_dh(curve);
    struct si_private_key k = {{0}};
    struct si_public_key p = {{0}};
    struct si_shared_secret shared;
    sotto_err err;

    memcpy(k.bytes, priv, dh->len);
    memcpy(p.bytes, pub, dh->len);
    err = dh->exchange(&shared, &k, &p);
    memcpy(out, shared.bytes, dh->len);
    return err;
}

static const char *evp_name(sotto_curve curve)
{
    return curve == SOTTO_CURVE_25519 ? "X25519" : "X448";
}

/* OpenSSL computes the public half of a private key that comes alone. */
static sotto_err evp_public(sotto_curve curve, uint8_t *pub, const uint8_t *priv)
{
    size_t len = sotto_curve_key_len(curve), got = len;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, evp_name(curve), NULL, priv, len);
    bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, pub, &got) == 1 && got == len;

    EVP_PKEY_free(key);
    return ok ? SOTTO_OK : SOTTO_E_CRYPTO;
}

/* With some public half beside it, the private key is taken as it is: the quicker way. */
static EVP_PKEY *evp_private(sotto_curve curve, const uint8_t *priv, const uint8_t *some)
{
    size_t len = sotto_curve_key_len(curve);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t)priv, len),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)some, len),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, evp_name(curve), NULL);
    EVP_PKEY *key = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static sotto_err evp_multiply(sotto_curve curve, uint8_t *out, const uint8_t *priv,
                              const uint8_t *pub)
{
    size_t len = sotto_curve_key_len(curve), got = len;
    EVP_PKEY *ours = evp_private(curve, priv, pub);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, evp_name(curve), NULL, pub, len);
    EVP_PKEY_CTX *ctx = ours == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
    bool ok = ctx != NULL && theirs != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, theirs) == 1 && EVP_PKEY_derive(ctx, out, &got) == 1 &&
              got == len;

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
    return ok ? SOTTO_OK : SOTTO_E_CRYPTO;
}

#ifdef TRIES_HAVE_NETTLE
static sotto_err nettle_public(sotto_curve curve, uint8_t *pub, const uint8_t *priv)
{
    if (curve == SOTTO_CURVE_25519)
        curve25519_mul_g(pub, priv);
    else
        curve448_mul_g(pub, priv);
    return SOTTO_OK;
}

static sotto_err nettle_multiply(sotto_curve curve, uint8_t *out, const uint8_t *priv,
                                 const uint8_t *pub)
{
    if (curve == SOTTO_CURVE_25519)
        curve25519_mul(out, priv, pub);
    else
        curve448_mul(out, priv, pub);
    return SOTTO_OK;
}
#endif

static const struct library libraries[] = {
    {"as now", own_public, own_multiply},
    {"OpenSSL's EVP", evp_public, evp_multiply},
#ifdef TRIES_HAVE_NETTLE
    {"nettle", nettle_public, nettle_multiply},
#endif
};

enum { LIBRARIES = sizeof libraries / sizeof libraries[0] };
_Static_assert(LIBRARIES <= (int)LIBRARIES_MAX, "all of them fit");

/* ---- Equality -------------------------------------------------------------------------------- */

/* RFC 7748, section 5.2: after 1000 iterations. */
static const char *const published[SOTTO_CURVE_COUNT] = {
    "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
    "aa3b4749d55b9daf1e5b00288826c467274ce3ebbdd5c17b975e09d4af6c67cf"
    "10d087202db88286e2b79fceea3ec353ef54faa26e219f38",
};

static void same(const char *what, const uint8_t *a, const uint8_t *b, size_t len)
{
    errno = EBADMSG;
    tries_require(what, memcmp(a, b, len) == 0);
}

/* k, u = multiply(k, u), k; and on the way the public key of each k. */
static void compare_with_own(const struct library *library, sotto_curve curve)
{
    size_t len = sotto_curve_key_len(curve);
    uint8_t k[SI_DH_LEN_MAX] = {curve == SOTTO_CURVE_25519 ? 9 : 5}, u[SI_DH_LEN_MAX];
    uint8_t own[SI_DH_LEN_MAX], other[SI_DH_LEN_MAX], end[SI_DH_LEN_MAX];

    memcpy(u, k, sizeof u);
    for (int i = 0; i < ITERATIONS; i++) {
        tries_require_ok("our public key", own_public(curve, own, k));
        tries_require_ok(library->name, library->public_of(curve, other, k));
        same("public keys are equal", own, other, len);
        tries_require_ok("our multiplication", own_multiply(curve, own, k, u));
        tries_require_ok(library->name, library->multiply(curve, other, k, u));
        same("products are equal", own, other, len);
        memcpy(u, k, sizeof u);
        memcpy(k, own, len);
    }
    tries_require_ok("RFC 7748", si_unhex(end, len, si_span_str(published[curve - 1])));
    same("the number of RFC 7748", k, end, len);
}

/* ---- Time ------------------------------------------------------------------------------------ */

struct work {
    const struct library *library;
    sotto_curve curve;
    uint8_t priv[SI_DH_LEN_MAX], pub[SI_DH_LEN_MAX];
};

static sotto_err step_public(void *user)
{
    struct work *w = user;

    w->priv[7]++;
    return w->library->public_of(w->curve, w->pub, w->priv);
}

static sotto_err step_multiply(void *user)
{
    struct work *w = user;
    uint8_t out[SI_DH_LEN_MAX];

    w->priv[7]++;
    return w->library->multiply(w->curve, out, w->priv, w->pub);
}

static sotto_err step_random(void *user)
{
    struct work *w = user;

    return si_random(w->priv, sotto_curve_key_len(w->curve));
}

static void try_curve(sotto_curve curve)
{
    static const char *const columns[] = {"key pair, us", "exchange, us", NULL};
    static struct tries_samples samples[2 * LIBRARIES];
    struct work works[LIBRARIES];
    struct bench_work steps[2 * LIBRARIES];
    char title[64];

    for (size_t i = 0; i < LIBRARIES; i++) {
        compare_with_own(&libraries[i], curve);
        works[i] = (struct work){.library = &libraries[i], .curve = curve};
        tries_require_ok("random bytes", step_random(&works[i]));
        steps[2 * i] = (struct bench_work){libraries[i].name, step_public, &works[i], NULL, 0};
        steps[2 * i + 1] =
            (struct bench_work){libraries[i].name, step_multiply, &works[i], NULL, 0};
    }
    tries_measure(steps, 2 * (size_t)LIBRARIES, ROUND_NS, samples);
    (void)snprintf(title, sizeof title, "nettle: %s (without its random bytes)", evp_name(curve));
    tries_head(title, columns);
    for (size_t i = 0; i < 2 * (size_t)LIBRARIES; i++) {
        for (int round = 0; round < tries_rounds; round++)
            samples[i].round[round] /= 1000;
    }
    for (size_t i = 0; i < LIBRARIES; i++)
        tries_line(libraries[i].name, &samples[2 * i], 2);
}

void try_curves(void)
{
#ifndef TRIES_HAVE_NETTLE
    printf("\nnettle: not in this build, which found no hogweed\n");
#endif
    try_curve(SOTTO_CURVE_25519);
    try_curve(SOTTO_CURVE_448);
}
