/*
 * Wycheproof against the primitives (crypto/crypto.h), with every backend of the algorithm.
 *
 * A vector has passed when it has with all backends; when there is none, it has failed.
 */
#include <stdio.h>

#include "crypto/crypto.h"
#include "fixed_nonce.h"
#include "formats.h"
#include "tree.h"

struct test {
    struct tree *tree;
    const struct node *group, *node;
    const char *which; /* the algorithm's name */
    struct trouble *trouble;
};

/* Checks one vector with all backends.  NULL, or why it is not applicable. */
typedef const char *check(const struct test *test);

static struct si_span bytes(const struct test *test, const char *name)
{
    return tree_bytes(test->tree, test->node, name);
}

/* "acceptable" leaves the choice to us, and is decided by each check. */
static bool is_invalid(const struct test *test)
{
    const char *result = tree_text(test->node, "result");

    if (result == NULL)
        malformed(test->tree->file, "a result is missing");
    return strcmp(result, "invalid") == 0;
}

static bool some(const struct test *test, unsigned backends)
{
    return backends > 0 || wrong(test->trouble, "no backend has %s", test->which);
}

static void run(struct si_span text, const char *which, struct report *report, check *check_one)
{
    struct tree tree = tree_read(report->file, text);
    const struct node *group = tree_list(tree.root, "testGroups");

    for (; group != NULL; group = group->next) {
        for (const struct node *node = tree_list(group, "tests"); node != NULL; node = node->next) {
            struct trouble trouble = {""};
            struct test test = {&tree, group, node, which, &trouble};
            const char *comment = tree_text(node, "comment");
            const char *why = check_one(&test);

            if (why != NULL)
                report_not_applicable(report, why);
            else
                report_ran(report, comment == NULL ? "" : comment, &trouble);
        }
    }
    tree_free(&tree);
}

/* ---- Diffie-Hellman -------------------------------------------------------------------------- */

static bool is_zero(struct si_span span)
{
    uint8_t bits = 0;

    for (size_t i = 0; i < span.len; i++)
        bits |= span.ptr[i];
    return bits == 0;
}

/* We take the right that Noise 12.1 gives, and refuse the all-zero result. */
static void exchange(const struct test *test, const struct si_dh *dh)
{
    struct si_span shared = bytes(test, "shared");
    sotto_err want = is_zero(shared) ? SOTTO_E_DH : SOTTO_OK;
    struct si_private_key priv = {{0}};
    struct si_public_key pub = {{0}};
    struct si_shared_secret out;

    memset(&out, 0xa5, sizeof out);
    memcpy(priv.bytes, bytes(test, "private").ptr, dh->len);
    memcpy(pub.bytes, bytes(test, "public").ptr, dh->len);
    if (same_err(test->trouble, dh->backend, dh->exchange(&out, &priv, &pub), want))
        (void)same_bytes(test->trouble, dh->backend, si_span(out.bytes, dh->len), shared);
}

/* A public key of another length does not become one of our type.  False when it is such a key. */
static bool takes_length(const struct test *test, const struct si_dh *dh)
{
    struct si_span raw = bytes(test, "public");
    sotto_public_key key;
    sotto_err err = sotto_public_key_from_raw(dh->curve, raw.ptr, raw.len, &key);

    if (raw.len == dh->len)
        return same_err(test->trouble, "a raw key", err, SOTTO_OK);
    (void)same_err(test->trouble, "a raw key of another length", err, SOTTO_E_KEY);
    return false;
}

static const char *check_dh(const struct test *test)
{
    size_t count;
    const struct si_dh *const *all = si_dh_all(&count);
    unsigned backends = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->name, test->which) != 0)
            continue;
        backends++;
        if (!takes_length(test, all[i]))
            continue;
        if (bytes(test, "private").len != all[i]->len || bytes(test, "shared").len != all[i]->len)
            malformed(test->tree->file, "the length of a key");
        if (is_invalid(test))
            malformed(test->tree->file, "an invalid key of the right length");
        exchange(test, all[i]);
    }
    (void)some(test, backends);
    return NULL;
}

void run_dh(struct si_span text, const char *which, struct report *report)
{
    report->note =
        "an all-zero result must be E_DH, every other one the vector's; a public key of another "
        "length must be E_KEY";
    run(text, which, report, check_dh);
}

/* ---- Authenticated encryption ---------------------------------------------------------------- */

enum { AEAD_TEXT_MAX = 4096 };

/* The Noise nonce whose encoding is IV behind 32 zero bits. */
static uint64_t nonce_of(const struct test *test, struct si_span iv)
{
    bool little_endian = strcmp(test->which, "ChaChaPoly") == 0;
    uint64_t n = 0;

    for (size_t i = 0; i < 8; i++)
        n = n << 8 | iv.ptr[little_endian ? 11 - i : 4 + i];
    return n;
}

/* Encrypts MESSAGE; the result is SEALED if the vector is valid, and something else if not. */
static void seal(const struct test *test, const struct si_aead *aead, struct si_aead_key *key,
                 uint64_t n, struct si_span sealed)
{
    struct si_span message = bytes(test, "msg");
    uint8_t out[AEAD_TEXT_MAX];

    if (!same_err(test->trouble, "seal",
                  si_aead_seal(aead, key, n, bytes(test, "aad"), message.ptr, message.len, out),
                  SOTTO_OK))
        return;
    if (!is_invalid(test))
        (void)same_bytes(test->trouble, "sealed", si_span(out, message.len + SI_TAG_LEN), sealed);
    else if (message.len + SI_TAG_LEN == sealed.len && memcmp(out, sealed.ptr, sealed.len) == 0)
        (void)wrong(test->trouble, "sealed to what is invalid");
}

/* Decrypts SEALED, in its place if IN_PLACE. */
static void open_sealed(const struct test *test, const struct si_aead *aead,
                        struct si_aead_key *key, uint64_t n, struct si_span sealed, bool in_place)
{
    sotto_err want = is_invalid(test) ? SOTTO_E_AUTH : SOTTO_OK;
    uint8_t out[AEAD_TEXT_MAX];
    const uint8_t *in = sealed.ptr;

    memset(out, 0xa5, sizeof out);
    if (in_place)
        in = memcpy(out, sealed.ptr, sealed.len);
    if (!same_err(test->trouble, "open",
                  aead->open(key, n, bytes(test, "aad"), in, sealed.len, out), want))
        return;
    if (want == SOTTO_OK)
        (void)same_bytes(test->trouble, "opened", si_span(out, sealed.len - SI_TAG_LEN),
                         bytes(test, "msg"));
    else if (!is_zero(si_span(out, sealed.len - SI_TAG_LEN)))
        (void)wrong(test->trouble, "not wiped after a refusal");
}

static void seal_and_open(const struct test *test, const struct si_aead *aead)
{
    struct si_span ct = bytes(test, "ct"), tag = bytes(test, "tag"), iv = bytes(test, "iv");
    struct si_cipher_key key = {{0}};
    struct si_aead_key *expanded = NULL;
    uint8_t sealed[AEAD_TEXT_MAX];
    bool ours = memcmp(iv.ptr, "\0\0\0\0", 4) == 0;
    uint64_t n = ours ? nonce_of(test, iv) : 0;

    if (ct.len + tag.len > sizeof sealed || bytes(test, "msg").len != ct.len)
        malformed(test->tree->file, "the length of a text");
    memcpy(key.bytes, bytes(test, "key").ptr, sizeof key.bytes);
    if (ct.len > 0)
        memcpy(sealed, ct.ptr, ct.len);
    memcpy(sealed + ct.len, tag.ptr, tag.len);
    ct = si_span(sealed, ct.len + tag.len);
    if (same_err(test->trouble, "key", aead->key_new(&expanded, &key), SOTTO_OK)) {
        fixed_nonce.nonce = ours ? NULL : iv.ptr;
        fixed_nonce.used = 0;
        seal(test, aead, expanded, n, ct);
        open_sealed(test, aead, expanded, n, ct, false);
        open_sealed(test, aead, expanded, n, ct, true);
        fixed_nonce.nonce = NULL;
        (void)same_number(test->trouble, "uses of the vector's nonce", fixed_nonce.used,
                          ours ? 0 : 3);
    }
    aead->key_free(expanded);
}

static const char *check_aead(const struct test *test)
{
    size_t count;
    const struct si_aead *const *all = si_aead_all(&count);
    unsigned backends = 0;

    /* the lengths as they are, whatever the group claims */
    if (bytes(test, "key").len != SI_CIPHER_KEY_LEN)
        return "the key has not 256 bits (Noise 4.2)";
    if (bytes(test, "iv").len != FIXED_NONCE_LEN)
        return "the nonce has not 96 bits (Noise 12.3, 12.4)";
    if (bytes(test, "tag").len != SI_TAG_LEN)
        return "the tag has not 128 bits (Noise 4.2)";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->name, test->which) == 0) {
            backends++;
            seal_and_open(test, all[i]);
        }
    }
    (void)some(test, backends);
    return NULL;
}

void run_aead(struct si_span text, const char *which, struct report *report)
{
    report->note = "nonces that do not begin with 32 zero bits, as those of Noise do, are put in "
                   "place below the library";
    run(text, which, report, check_aead);
}

/* ---- HMAC and PBKDF2 ------------------------------------------------------------------------- */

static void mac(const struct test *test, const struct si_hash *hash)
{
    struct si_span tag = bytes(test, "tag"), message = bytes(test, "msg");
    struct si_hash_ctx *ctx = NULL;
    uint8_t out[SI_HASH_LEN_MAX];

    if (tag.len == 0 || tag.len > hash->len)
        malformed(test->tree->file, "the length of a tag");
    if (same_err(test->trouble, "context", si_hash_ctx_new(&ctx, hash), SOTTO_OK) &&
        same_err(test->trouble, "HMAC", si_hmac(ctx, bytes(test, "key"), &message, 1, out),
                 SOTTO_OK)) {
        /* a shorter tag is the beginning of the whole one */
        if (!is_invalid(test))
            (void)same_bytes(test->trouble, "tag", si_span(out, tag.len), tag);
        else if (memcmp(out, tag.ptr, tag.len) == 0)
            (void)wrong(test->trouble, "made a tag that is invalid");
    }
    si_hash_ctx_free(ctx);
}

static void derive(const struct test *test, const struct si_hash *hash)
{
    enum { DERIVED_MAX = 256 };
    struct si_span dk = bytes(test, "dk");
    uint64_t iterations = tree_number(test->node, "iterationCount");
    uint8_t out[DERIVED_MAX];

    if (dk.len > sizeof out || dk.len != tree_number(test->node, "dkLen") || is_invalid(test) ||
        iterations > 1000000)
        malformed(test->tree->file, "the length of a derived key, its iterations or its result");
    if (same_err(test->trouble, "PBKDF2",
                 si_pbkdf2(hash, bytes(test, "password"), bytes(test, "salt"), (uint32_t)iterations,
                           out, dk.len),
                 SOTTO_OK))
        (void)same_bytes(test->trouble, "derived key", si_span(out, dk.len), dk);
}

/* All hashes of the name, one after the other. */
static void with_hashes(const struct test *test,
                        void (*run_with)(const struct test *test, const struct si_hash *hash))
{
    size_t count;
    const struct si_hash *const *all = si_hash_all(&count);
    unsigned backends = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->name, test->which) == 0) {
            backends++;
            run_with(test, all[i]);
        }
    }
    (void)some(test, backends);
}

static const char *check_hmac(const struct test *test)
{
    with_hashes(test, mac);
    return NULL;
}

static const char *check_pbkdf2(const struct test *test)
{
    with_hashes(test, derive);
    return NULL;
}

void run_hmac(struct si_span text, const char *which, struct report *report)
{
    run(text, which, report, check_hmac);
}

void run_pbkdf2(struct si_span text, const char *which, struct report *report)
{
    run(text, which, report, check_pbkdf2);
}
