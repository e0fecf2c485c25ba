/*
 * Public keys of noise.json whose Diffie-Hellman result is all zero with any private key, and a few
 * good ones.  Noise 12.1 leaves it open whether that is an error; here it is one everywhere.
 *
 * Each goes through every backend, and through the interface in both places where a public key of
 * the peer's comes in: from the program, and from a message.
 */
#include "crypto/crypto.h"
#include "formats.h"
#include "sotto/noise.h"
#include "tree.h"

struct key {
    sotto_public_key key;
    sotto_err want; /* of a Diffie-Hellman with it */
    struct trouble *trouble;
};

static bool exchange(const struct key *k, const struct si_dh *dh)
{
    static const uint8_t fills[] = {0x00, 0x55, 0xff}; /* any private key will do */
    struct si_public_key pub;

    memcpy(pub.bytes, k->key.bytes, sizeof pub.bytes);
    for (size_t i = 0; i < SI_COUNT(fills); i++) {
        static const struct si_shared_secret none;
        struct si_private_key priv;
        struct si_shared_secret out;

        memset(&priv, fills[i], sizeof priv);
        memset(&out, 0xa5, sizeof out);
        if (!same_err(k->trouble, dh->backend, dh->exchange(&out, &priv, &pub), k->want) ||
            !same_number(k->trouble, "is the result all zero", memcmp(&out, &none, sizeof out) == 0,
                         k->want != SOTTO_OK))
            return false;
    }
    return true;
}

static bool every_backend(const struct key *k)
{
    size_t count;
    const struct si_dh *const *all = si_dh_all(&count);
    unsigned backends = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->name, sotto_curve_name(k->key.curve)) != 0)
            continue;
        backends++;
        if (!exchange(k, all[i]))
            return false;
    }
    return (backends > 0 || wrong(k->trouble, "no backend has the curve")) &&
           same_err(k->trouble, "check of a public key", si_public_key_check(&k->key), k->want);
}

/* Writes the next message: the DH is in it. */
static bool write_message(const struct key *k, sotto_handshake *hs)
{
    uint8_t bytes[256];
    sotto_room message = sotto_room_of(bytes, sizeof bytes);

    return same_err(k->trouble, "write",
                    sotto_handshake_write(hs, sotto_no_bytes(), &message, NULL), k->want) &&
           same_number(k->trouble, "is the handshake over",
                       sotto_handshake_action(hs) == SOTTO_ACTION_FAILED, k->want != SOTTO_OK);
}

/* NK: the initiator knows the responder's static key, and uses it at once (es). */
static bool from_the_program(const struct key *k)
{
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    sotto_handshake *hs = NULL;
    bool good;

    options.protocol = k->key.curve == SOTTO_CURVE_25519 ? "Noise_NK_25519_ChaChaPoly_BLAKE2s"
                                                         : "Noise_NK_448_ChaChaPoly_BLAKE2b";
    options.role = SOTTO_INITIATOR;
    options.rs = &k->key;
    good = same_err(k->trouble, "new", sotto_handshake_new(&options, &hs, NULL), SOTTO_OK) &&
           write_message(k, hs);
    sotto_handshake_free(hs);
    return good;
}

/* NN: the first message is the initiator's ephemeral key, the responder's answer needs it (ee). */
static bool from_a_message(const struct key *k)
{
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    sotto_bytes message = sotto_bytes_of(k->key.bytes, sotto_curve_key_len(k->key.curve));
    sotto_room payload = sotto_room_of(NULL, 0);
    sotto_handshake *hs = NULL;
    bool good;

    options.protocol = k->key.curve == SOTTO_CURVE_25519 ? "Noise_NN_25519_AESGCM_SHA256"
                                                         : "Noise_NN_448_AESGCM_SHA512";
    options.role = SOTTO_RESPONDER;
    good =
        same_err(k->trouble, "new", sotto_handshake_new(&options, &hs, NULL), SOTTO_OK) &&
        same_err(k->trouble, "read", sotto_handshake_read(hs, message, &payload, NULL), SOTTO_OK) &&
        write_message(k, hs);
    sotto_handshake_free(hs);
    return good;
}

static void run_key(struct tree *tree, const struct node *node, struct report *report,
                    sotto_err want)
{
    const char *dh = tree_text(node, "dh"), *why = tree_text(node, "why");
    struct si_span raw = tree_bytes(tree, node, "public");
    struct trouble trouble = {""};
    struct key k = {.want = want, .trouble = &trouble};

    k.key.curve = dh == NULL ? (sotto_curve)0 : sotto_curve_by_name(dh);
    if (raw.len == 0 || raw.len != sotto_curve_key_len(k.key.curve))
        malformed(tree->file, "a curve or a public key");
    memcpy(k.key.bytes, raw.ptr, raw.len);
    /* the good ones are the control: nothing but the key differs */
    if (every_backend(&k) && from_the_program(&k))
        (void)from_a_message(&k);
    report_ran(report, why == NULL ? "" : why, &trouble);
}

static void run_keys(struct si_span text, const char *which, struct report *report, sotto_err want)
{
    struct tree tree = tree_read(report->file, text);

    for (const struct node *node = tree_list(tree.root, which); node != NULL; node = node->next)
        run_key(&tree, node, report, want);
    tree_free(&tree);
}

void run_low_order(struct si_span text, const char *which, struct report *report)
{
    run_keys(text, which, report, SOTTO_E_DH);
}

void run_not_low_order(struct si_span text, const char *which, struct report *report)
{
    run_keys(text, which, report, SOTTO_OK);
}
