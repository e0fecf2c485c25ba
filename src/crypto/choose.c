#include "crypto/backend.h"

/* For each name the first one counts: the best that this build and this processor have. */
static const struct si_dh *const dhs[] = {
#ifdef SI_HAVE_DECAF
    &si_decaf_x25519, &si_decaf_x448,
#endif
    &si_sodium_x25519, &si_openssl_x448};
static const struct si_aead *const aeads[] = {
#ifdef SI_HAVE_IPSEC_MB
    &si_ipsecmb_aesgcm,
#endif
    &si_openssl_aesgcm, &si_openssl_chachapoly};
static const struct si_hash *const hashes[] = {&si_openssl_sha256, &si_openssl_sha512,
                                               &si_openssl_blake2s, &si_openssl_blake2b};

static bool is(struct si_span name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.ptr, text, name.len) == 0;
}

const struct si_dh *si_dh_by_name(struct si_span name)
{
    for (size_t i = 0; i < SI_COUNT(dhs); i++) {
        if (is(name, dhs[i]->name))
            return dhs[i];
    }
    return NULL;
}

static bool works(const struct si_aead *aead)
{
    return aead->works == NULL || aead->works();
}

const struct si_aead *si_aead_by_name(struct si_span name)
{
    for (size_t i = 0; i < SI_COUNT(aeads); i++) {
        if (is(name, aeads[i]->name) && works(aeads[i]))
            return aeads[i];
    }
    return NULL;
}

const struct si_hash *si_hash_by_name(struct si_span name)
{
    for (size_t i = 0; i < SI_COUNT(hashes); i++) {
        if (is(name, hashes[i]->name))
            return hashes[i];
    }
    return NULL;
}

const struct si_dh *const *si_dh_all(size_t *count)
{
    *count = SI_COUNT(dhs);
    return dhs;
}

const struct si_aead *const *si_aead_all(size_t *count)
{
    /* The processor decides about the first one at the most: the others are one behind the
     * other. */
    size_t skipped = works(aeads[0]) ? 0 : 1;

    *count = SI_COUNT(aeads) - skipped;
    return aeads + skipped;
}

const struct si_hash *const *si_hash_all(size_t *count)
{
    *count = SI_COUNT(hashes);
    return hashes;
}

/* ---- Curves and ciphers of protocol section 3 ------------------------------------------------ */

struct curve_row {
    sotto_curve curve;
    const char *name;
    const char *hash;
    size_t key_len;
};

static const struct curve_row curve_rows[SOTTO_CURVE_COUNT] = {
    {SOTTO_CURVE_25519, "25519", "SHA256", 32},
    {SOTTO_CURVE_448, "448", "SHA512", 56},
};

static const struct curve_row *row_of(sotto_curve curve)
{
    for (size_t i = 0; i < SI_COUNT(curve_rows); i++) {
        if (curve_rows[i].curve == curve)
            return &curve_rows[i];
    }
    return NULL;
}

const char *sotto_curve_name(sotto_curve curve)
{
    const struct curve_row *row = row_of(curve);

    return row == NULL ? NULL : row->name;
}

sotto_curve sotto_curve_by_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < SI_COUNT(curve_rows); i++) {
        if (strcmp(name, curve_rows[i].name) == 0)
            return curve_rows[i].curve;
    }
    return (sotto_curve)0;
}

size_t sotto_curve_key_len(sotto_curve curve)
{
    const struct curve_row *row = row_of(curve);

    return row == NULL ? 0 : row->key_len;
}

const struct si_dh *si_curve_dh(sotto_curve curve)
{
    const struct curve_row *row = row_of(curve);

    return row == NULL ? NULL : si_dh_by_name(si_span_str(row->name));
}

const struct si_hash *si_curve_hash(sotto_curve curve)
{
    const struct curve_row *row = row_of(curve);

    return row == NULL ? NULL : si_hash_by_name(si_span_str(row->hash));
}

static const struct {
    sotto_cipher cipher;
    const char *name;
} cipher_rows[] = {
    {SOTTO_CIPHER_AESGCM, "AESGCM"},
    {SOTTO_CIPHER_CHACHAPOLY, "ChaChaPoly"},
};

const char *sotto_cipher_name(sotto_cipher cipher)
{
    for (size_t i = 0; i < SI_COUNT(cipher_rows); i++) {
        if (cipher_rows[i].cipher == cipher)
            return cipher_rows[i].name;
    }
    return NULL;
}

sotto_cipher sotto_cipher_by_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < SI_COUNT(cipher_rows); i++) {
        if (strcmp(name, cipher_rows[i].name) == 0)
            return cipher_rows[i].cipher;
    }
    return (sotto_cipher)0;
}

const struct si_aead *si_cipher_aead(sotto_cipher cipher)
{
    const char *name = sotto_cipher_name(cipher);

    return name == NULL ? NULL : si_aead_by_name(si_span_str(name));
}
