#include <pthread.h>
#include <stdlib.h>

#include <intel-ipsec-mb.h>

#include "crypto/backend.h"

enum { NONCE_LEN = 12, ALIGNMENT = 64 };

/* Vectors of four blocks make it several times as quick as OpenSSL 3.0 (docs/architecture.md,
 * section 4).  Without them it has not been measured, and OpenSSL does the work. */
#define FEATURES (IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ)

/* The expanded key; the library only reads it afterwards. */
struct expanded {
    struct gcm_key_data data;
    void *allocation; /* DATA lies in it, where it is aligned */
};

/* The table of functions for this processor: made once, whichever thread is first, read-only then,
 * and kept for good.  NULL when the processor has not what it takes, or there was no memory. */
static IMB_MGR *table;

static void make_table(void)
{
    IMB_MGR *fresh = alloc_mb_mgr(0);

    if (fresh == NULL)
        return;
    init_mb_mgr_auto(fresh, NULL);
    if (imb_get_errno(fresh) == 0 && (fresh->features & FEATURES) == FEATURES)
        table = fresh;
    else
        free_mb_mgr(fresh);
}

static IMB_MGR *functions(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, make_table);
    return table;
}

static bool works(void)
{
    return functions() != NULL;
}

static sotto_err key_new(struct si_aead_key **out, const struct si_cipher_key *key)
{
    IMB_MGR *mgr = functions();
    struct expanded *expanded;
    void *allocation;

    *out = NULL;
    if (mgr == NULL)
        return SOTTO_E_CRYPTO;
    if ((allocation = malloc(sizeof *expanded + ALIGNMENT)) == NULL)
        return SOTTO_E_NOMEM;
    expanded = (struct expanded *)(((uintptr_t)allocation + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    expanded->allocation = allocation;
    IMB_AES256_GCM_PRE(mgr, key->bytes, &expanded->data);
    *out = (struct si_aead_key *)expanded;
    return SOTTO_OK;
}

static void key_free(struct si_aead_key *key)
{
    struct expanded *expanded = (struct expanded *)key;

    if (expanded == NULL)
        return;
    si_wipe(&expanded->data, sizeof expanded->data);
    free(expanded->allocation);
}

/* 32 zero bits, then the nonce in big-endian (Noise 12.4). */
static void put_nonce(uint8_t nonce[NONCE_LEN], uint64_t n)
{
    memset(nonce, 0, 4);
    si_put_be64(nonce + 4, n);
}

static sotto_err seal(struct si_aead_key *key, uint64_t n, struct si_span ad,
                      const struct si_span *parts, size_t count, uint8_t *out)
{
    const struct gcm_key_data *data = &((const struct expanded *)key)->data;
    size_t len = si_spans_len(parts, count);
    struct gcm_context_data context;
    uint8_t nonce[NONCE_LEN];

    if (len > INT32_MAX || ad.len > INT32_MAX)
        return SOTTO_E_USAGE;
    put_nonce(nonce, n);
    if (count == 1) {
        IMB_AES256_GCM_ENC(functions(), data, &context, out, parts[0].ptr, len, nonce, ad.ptr,
                           ad.len, out + len, SI_TAG_LEN);
    } else {
        IMB_AES256_GCM_INIT(functions(), data, &context, nonce, ad.ptr, ad.len);
        for (size_t i = 0; i < count; i++) {
            IMB_AES256_GCM_ENC_UPDATE(functions(), data, &context, out, parts[i].ptr, parts[i].len);
            out += parts[i].len;
        }
        IMB_AES256_GCM_ENC_FINALIZE(functions(), data, &context, out, SI_TAG_LEN);
    }
    si_wipe(&context, sizeof context);
    return SOTTO_OK;
}

/* The library decrypts and makes the tag; whether it is the right one is for us to say. */
static sotto_err open(struct si_aead_key *key, uint64_t n, struct si_span ad, const uint8_t *in,
                      size_t len, uint8_t *out)
{
    const struct expanded *expanded = (const struct expanded *)key;
    struct gcm_context_data context;
    uint8_t nonce[NONCE_LEN], tag[SI_TAG_LEN];
    bool genuine;

    if (len < SI_TAG_LEN)
        return SOTTO_E_AUTH;
    len -= SI_TAG_LEN;
    if (len > INT32_MAX || ad.len > INT32_MAX)
        return SOTTO_E_USAGE;
    put_nonce(nonce, n);
    IMB_AES256_GCM_DEC(functions(), &expanded->data, &context, out, in, len, nonce, ad.ptr, ad.len,
                       tag, sizeof tag);
    genuine = si_equal(tag, in + len, sizeof tag);
    if (!genuine)
        si_wipe(out, len);
    si_wipe(&context, sizeof context);
    si_wipe(tag, sizeof tag);
    return genuine ? SOTTO_OK : SOTTO_E_AUTH;
}

const struct si_aead si_ipsecmb_aesgcm = {
    .name = "AESGCM",
    .backend = "ipsec-mb",
    .works = works,
    .max_bytes = UINT64_C(1) << 56, /* Noise 14 */
    .key_new = key_new,
    .key_free = key_free,
    .seal = seal,
    .open = open,
};
