#include <openssl/bio.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/backend.h"
#include "crypto/openssl.h"

static const char private_label[] = "PRIVATE KEY", public_label[] = "PUBLIC KEY";

/* ---- Writing --------------------------------------------------------------------------------- */

/* The DER of both kinds is a constant head and the raw key (RFC 8410 sections 4 and 7). */
enum { PKCS8_HEAD_LEN = 16, SPKI_HEAD_LEN = 12, DER_MAX = PKCS8_HEAD_LEN + SI_DH_LEN_MAX };

static const struct der_head {
    sotto_curve curve;
    int nid;
    uint8_t pkcs8[PKCS8_HEAD_LEN];
    uint8_t spki[SPKI_HEAD_LEN];
} heads[SOTTO_CURVE_COUNT] = {
    {SOTTO_CURVE_25519,
     NID_X25519,
     {0x30, 0x2e, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20},
     {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0}},
    {SOTTO_CURVE_448,
     NID_X448,
     {0x30, 0x46, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x04, 0x3a, 0x04, 0x38},
     {0x30, 0x42, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x03, 0x39, 0}},
};

static const struct der_head *head_of(sotto_curve curve)
{
    for (size_t i = 0; i < SI_COUNT(heads); i++) {
        if (heads[i].curve == curve)
            return &heads[i];
    }
    return NULL;
}

static char *put(char *p, const char *text)
{
    size_t len = strlen(text);

    memcpy(p, text, len + 1);
    return p + len;
}

/* The longest is an X448 private key, 72 bytes: 28 + 65 + 33 + 26 characters and the NUL. */
static void write_pem(char buf[SI_PEM_MAX], const char *label, const uint8_t *der, size_t len)
{
    enum { LINE_LEN = 48 }; /* bytes: 64 characters */
    char *p = buf;

    p = put(put(put(p, "-----BEGIN "), label), "-----\n");
    for (size_t done = 0; done < len; done += LINE_LEN) {
        si_base64(p, der + done, len - done < LINE_LEN ? len - done : LINE_LEN, true);
        p = put(p + strlen(p), "\n");
    }
    put(put(put(p, "-----END "), label), "-----\n");
}

sotto_err si_pem_write_private(const sotto_keypair *keypair, char buf[SI_PEM_MAX])
{
    const struct der_head *head = head_of(keypair->curve);
    size_t key_len = sotto_curve_key_len(keypair->curve);
    uint8_t der[DER_MAX];

    buf[0] = '\0';
    if (head == NULL)
        return SOTTO_E_KEY;
    memcpy(der, head->pkcs8, PKCS8_HEAD_LEN);
    memcpy(der + PKCS8_HEAD_LEN, keypair->priv.bytes, key_len);
    write_pem(buf, private_label, der, PKCS8_HEAD_LEN + key_len);
    si_wipe(der, sizeof der);
    return SOTTO_OK;
}

sotto_err si_pem_write_public(const sotto_public_key *pub, char buf[SI_PEM_MAX])
{
    const struct der_head *head = head_of(pub->curve);
    size_t key_len = sotto_curve_key_len(pub->curve);
    uint8_t der[DER_MAX];

    buf[0] = '\0';
    if (head == NULL)
        return SOTTO_E_KEY;
    memcpy(der, head->spki, SPKI_HEAD_LEN);
    memcpy(der + SPKI_HEAD_LEN, pub->bytes, key_len);
    write_pem(buf, public_label, der, SPKI_HEAD_LEN + key_len);
    return SOTTO_OK;
}

/* ---- Reading: the block ---------------------------------------------------------------------- */

enum { PEM_TEXT_MAX = 65536 };

static const char other_kind[] = "a key of another kind, not X25519 or X448";

static sotto_err refuse(sotto_err err, const char **why, const char *reason)
{
    *why = reason;
    return err;
}

/* OpenSSL could not read it: short of memory, or it is WHAT. */
static sotto_err unreadable(const char **why, const char *what)
{
    if (si_openssl_failed() == SOTTO_E_NOMEM)
        return refuse(SOTTO_E_NOMEM, why, "out of memory");
    return refuse(SOTTO_E_FORMAT, why, what);
}

static size_t count_blocks(struct si_span pem)
{
    static const char begin[] = "-----BEGIN ";
    size_t len = sizeof begin - 1, count = 0;

    for (size_t i = 0; i + len <= pem.len; i++)
        count += memcmp(pem.ptr + i, begin, len) == 0;
    return count;
}

/* PEM_read_bio_ex() only takes the text apart, so nobody is asked for a password. */
struct block {
    char *label;
    char *headers;
    uint8_t *der;
    long len;
};

static void block_free(struct block *block)
{
    OPENSSL_secure_free(block->label);
    OPENSSL_secure_free(block->headers);
    if (block->len > 0)
        OPENSSL_secure_clear_free(block->der, (size_t)block->len);
    else
        OPENSSL_secure_free(block->der);
}

static sotto_err check_label(const struct block *block, const char *label, const char **why)
{
    static const char *const others[] = {"RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY",
                                         "OPENSSH PRIVATE KEY", "RSA PUBLIC KEY"};

    if (strcmp(block->label, "ENCRYPTED PRIVATE KEY") == 0 ||
        strstr(block->headers, "ENCRYPTED") != NULL)
        return refuse(SOTTO_E_FORMAT, why, "the key is encrypted with a password");
    if (block->headers[0] != '\0')
        return refuse(SOTTO_E_FORMAT, why, "unexpected header lines in the PEM block");
    if (strcmp(block->label, label) == 0)
        return SOTTO_OK;
    if (strcmp(block->label, private_label) == 0)
        return refuse(SOTTO_E_FORMAT, why, "a private key where a public key is expected");
    if (strcmp(block->label, public_label) == 0)
        return refuse(SOTTO_E_FORMAT, why, "a public key where a private key is expected");
    for (size_t i = 0; i < SI_COUNT(others); i++) {
        if (strcmp(block->label, others[i]) == 0)
            return refuse(SOTTO_E_KEY, why, other_kind);
    }
    return refuse(SOTTO_E_FORMAT, why, "a PEM block that is no key");
}

static bool only_space_left(BIO *bio)
{
    char c;

    while (BIO_read(bio, &c, 1) == 1) {
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return false;
    }
    return true;
}

static sotto_err read_block(struct block *block, struct si_span pem, const char *label,
                            const char **why)
{
    /* SECURE is for the wiping of the line buffer. */
    unsigned flags = PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE;
    size_t count;
    sotto_err err;
    BIO *bio;

    if (pem.len > PEM_TEXT_MAX)
        return refuse(SOTTO_E_FORMAT, why, "too long for a key");
    count = count_blocks(pem);
    if (count == 0)
        return refuse(SOTTO_E_FORMAT, why, "no PEM block in it");
    if (count > 1)
        return refuse(SOTTO_E_FORMAT, why, "more than one PEM block");
    if ((bio = BIO_new_mem_buf(pem.ptr, (int)pem.len)) == NULL)
        return unreadable(why, "out of memory");
    if (PEM_read_bio_ex(bio, &block->label, &block->headers, &block->der, &block->len, flags) != 1)
        err = unreadable(why, "the PEM block is damaged");
    else if ((err = check_label(block, label, why)) == SOTTO_OK && !only_space_left(bio))
        err = refuse(SOTTO_E_FORMAT, why, "text after the PEM block");
    BIO_free(bio);
    return err;
}

/* ---- Reading: the key in it ------------------------------------------------------------------ */

/* The key in BLOCK, whose DER is a head and the raw key.  NULL: it is something else. */
static const uint8_t *find_key(const struct block *block, bool is_private,
                               const struct der_head **head)
{
    size_t head_len = is_private ? PKCS8_HEAD_LEN : SPKI_HEAD_LEN;

    for (size_t i = 0; i < SI_COUNT(heads); i++) {
        const uint8_t *expected = is_private ? heads[i].pkcs8 : heads[i].spki;

        if ((size_t)block->len == head_len + sotto_curve_key_len(heads[i].curve) &&
            memcmp(block->der, expected, head_len) == 0) {
            *head = &heads[i];
            return block->der + head_len;
        }
    }
    return NULL;
}

/* Why is it none of ours?  A whole key with another algorithm is E_KEY. */
static sotto_err refuse_algorithm(const X509_ALGOR *algorithm, const char **why)
{
    int nid = OBJ_obj2nid(algorithm->algorithm);

    for (size_t i = 0; i < SI_COUNT(heads); i++) {
        if (heads[i].nid == nid)
            return refuse(SOTTO_E_FORMAT, why, "the key is not in the form that openssl writes");
    }
    return refuse(SOTTO_E_KEY, why, other_kind);
}

static sotto_err refuse_private(const struct block *block, const char **why)
{
    const uint8_t *p = block->der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, block->len);
    const X509_ALGOR *algorithm;
    sotto_err err;

    if (info == NULL || PKCS8_pkey_get0(NULL, NULL, NULL, &algorithm, info) != 1)
        err = unreadable(why, "the PEM block holds no PKCS#8 key");
    else
        err = refuse_algorithm(algorithm, why);
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return err;
}

static sotto_err refuse_public(const struct block *block, const char **why)
{
    const uint8_t *p = block->der;
    X509_PUBKEY *info = d2i_X509_PUBKEY(NULL, &p, block->len);
    X509_ALGOR *algorithm;
    sotto_err err;

    if (info == NULL || X509_PUBKEY_get0_param(NULL, NULL, NULL, &algorithm, info) != 1)
        err = unreadable(why, "the PEM block holds no public key");
    else
        err = refuse_algorithm(algorithm, why);
    X509_PUBKEY_free(info);
    return err;
}

static sotto_err parse_private(const struct block *block, sotto_keypair **out, const char **why)
{
    const struct der_head *head;
    const uint8_t *key = find_key(block, true, &head);
    struct si_private_key priv = {{0}};
    sotto_err err;

    if (key == NULL)
        return refuse_private(block, why);
    memcpy(priv.bytes, key, sotto_curve_key_len(head->curve));
    if ((err = si_keypair_from_private(head->curve, &priv, out)) != SOTTO_OK)
        *why = sotto_strerror(err);
    si_wipe(&priv, sizeof priv);
    return err;
}

static sotto_err parse_public(const struct block *block, sotto_public_key *out, const char **why)
{
    const struct der_head *head;
    const uint8_t *key = find_key(block, false, &head);

    if (key == NULL)
        return refuse_public(block, why);
    out->curve = head->curve;
    memcpy(out->bytes, key, sotto_curve_key_len(head->curve));
    return SOTTO_OK;
}

sotto_err si_pem_read_private(struct si_span pem, sotto_keypair **out, const char **why)
{
    struct block block = {NULL, NULL, NULL, 0};
    sotto_err err;

    *out = NULL;
    *why = "";
    if ((err = read_block(&block, pem, private_label, why)) == SOTTO_OK)
        err = parse_private(&block, out, why);
    block_free(&block);
    ERR_clear_error(); /* also a success may have left some */
    return err;
}

sotto_err si_pem_read_public(struct si_span pem, sotto_public_key *out, const char **why)
{
    struct block block = {NULL, NULL, NULL, 0};
    sotto_err err;

    memset(out, 0, sizeof *out);
    *why = "";
    if ((err = read_block(&block, pem, public_label, why)) == SOTTO_OK)
        err = parse_public(&block, out, why);
    block_free(&block);
    ERR_clear_error(); /* also a success may have left some */
    return err;
}
