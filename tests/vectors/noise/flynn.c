/*
 * Vectors of flynn/noise: lines of key=value, an empty line behind each vector.
 *
 * Remote static keys are not given, since they are the peer's.  Two transport messages follow the
 * handshake: the first with the initiator's key, the second with the responder's.  In a one-way
 * pattern the responder has no such key (Noise 7.4), so there the second message is checked with
 * what Split() made for it: see split_keys.h.
 */
#include <stdio.h>

#include "crypto/crypto.h"
#include "formats.h"
#include "play.h"
#include "split_keys.h"
#include "tree.h"

enum { MESSAGES_MAX = 6 };

struct vector {
    char protocol[256];
    struct si_span psk;
    struct side side[2];
    struct si_span payload[MESSAGES_MAX], ciphertext[MESSAGES_MAX];
    unsigned messages; /* highest index + 1 */
};

/* ---- Reading --------------------------------------------------------------------------------- */

/* The line at the front of *TEXT, which is removed with its end. */
static struct si_span next_line(struct si_span *text)
{
    const uint8_t *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    struct si_span line = {text->ptr, end == NULL ? text->len : (size_t)(end - text->ptr)};
    size_t used = line.len + (end == NULL ? 0 : 1);

    *text = si_span(text->ptr + used, text->len - used);
    return line;
}

/* The value of the line "KEY=value", or NULL. */
static const char *value_of(struct si_span line, const char *key)
{
    size_t len = strlen(key);

    return line.len > len && memcmp(line.ptr, key, len) == 0 && line.ptr[len] == '='
               ? (const char *)line.ptr + len + 1
               : NULL;
}

static bool read_bytes(struct tree *tree, struct si_span line, const char *key,
                       struct si_span *value)
{
    const char *text = value_of(line, key);

    if (text == NULL)
        return false;
    *value = tree_unhex(tree, text, line.len - strlen(key) - 1);
    return true;
}

static bool read_message(struct tree *tree, struct si_span line, struct vector *v)
{
    char key[32];

    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        (void)snprintf(key, sizeof key, "msg_%u_payload", i);
        if (read_bytes(tree, line, key, &v->payload[i]))
            return true;
        (void)snprintf(key, sizeof key, "msg_%u_ciphertext", i);
        if (read_bytes(tree, line, key, &v->ciphertext[i])) {
            v->messages = i + 1;
            return true;
        }
    }
    return false;
}

static bool read_prologue(struct tree *tree, struct si_span line, struct vector *v)
{
    if (!read_bytes(tree, line, "prologue", &v->side[INITIATOR].prologue))
        return false;
    v->side[RESPONDER].prologue = v->side[INITIATOR].prologue;
    return true;
}

static void read_line(struct tree *tree, struct si_span line, struct vector *v)
{
    if (value_of(line, "handshake") != NULL)
        (void)snprintf(v->protocol, sizeof v->protocol, "%.*s", (int)line.len - 10,
                       value_of(line, "handshake"));
    else if (!read_bytes(tree, line, "gen_init_ephemeral", &v->side[INITIATOR].e) &&
             !read_bytes(tree, line, "gen_resp_ephemeral", &v->side[RESPONDER].e) &&
             !read_bytes(tree, line, "init_static", &v->side[INITIATOR].s) &&
             !read_bytes(tree, line, "resp_static", &v->side[RESPONDER].s) &&
             !read_bytes(tree, line, "preshared_key", &v->psk) && !read_prologue(tree, line, v) &&
             !read_message(tree, line, v))
        malformed(tree->file, "a line that nobody knows");
}

/* ---- Playing --------------------------------------------------------------------------------- */

static struct si_span public_of(struct tree *tree, struct si_span private_key)
{
    const struct si_dh *dh = si_curve_dh(SOTTO_CURVE_25519);
    struct si_public_key *pub = tree_take(tree, sizeof *pub);
    struct si_private_key priv = {{0}};

    if (private_key.len != dh->len)
        malformed(tree->file, "a static key is missing");
    memcpy(priv.bytes, private_key.ptr, dh->len);
    if (dh->derive_public(pub, &priv) != SOTTO_OK)
        malformed(tree->file, "a static key");
    return si_span(pub->bytes, dh->len);
}

/* Gives SIDE the keys that the pattern asks of it, and no others. */
static void fill_side(struct tree *tree, const struct vector *v, struct plan *plan, unsigned side,
                      const sotto_protocol_keys *needed)
{
    plan->side[side] = v->side[side];
    if (needed->s == 0)
        plan->side[side].s = si_span(NULL, 0);
    if (needed->rs != 0)
        plan->side[side].rs = public_of(tree, v->side[!side].s);
    if (v->psk.ptr != NULL) {
        plan->side[side].psk[0] = v->psk;
        plan->side[side].psks = 1;
    }
}

/* The message that the responder of a one-way pattern would have sent. */
static bool check_unused_key(const struct play *play, struct si_span payload,
                             struct si_span ciphertext)
{
    const struct si_aead *aead = si_cipher_aead(play->info.cipher);
    struct si_aead_key *key = NULL;
    uint8_t sealed[256];
    bool good;

    if (payload.len + SI_TAG_LEN > sizeof sealed)
        return wrong(play->trouble, "the second transport message is too long");
    good = same_number(play->trouble, "splits", split_keys.splits, 2) &&
           same_err(play->trouble, "key", aead->key_new(&key, &split_keys.responder), SOTTO_OK) &&
           same_err(play->trouble, "seal",
                    si_aead_seal(aead, key, 0, si_span(NULL, 0), payload.ptr, payload.len, sealed),
                    SOTTO_OK) &&
           same_bytes(play->trouble, "message with the key that is not used",
                      si_span(sealed, payload.len + SI_TAG_LEN), ciphertext);
    aead->key_free(key);
    return good;
}

static bool play_messages(const struct vector *v, struct play *play)
{
    unsigned last = play->info.messages + 1;

    if (!same_number(play->trouble, "messages", v->messages, last + 1))
        return false;
    for (unsigned i = 0; i < play->info.messages; i++) {
        if (!play_handshake(play, i % 2, v->payload[i], v->ciphertext[i]))
            return false;
    }
    split_keys.splits = 0;
    if (!play_split(play, si_span(NULL, 0)) ||
        !play_transport(play, INITIATOR, sotto_no_ad(), v->payload[last - 1],
                        v->ciphertext[last - 1]))
        return false;
    if (play->info.one_way != 0)
        return check_unused_key(play, v->payload[last], v->ciphertext[last]);
    return play_transport(play, RESPONDER, sotto_no_ad(), v->payload[last], v->ciphertext[last]);
}

static void run_vector(struct tree *tree, const struct vector *v, struct report *report)
{
    struct plan plan = {.protocol = v->protocol};
    struct trouble trouble = {""};
    sotto_protocol_info info;

    if (!is_ours(report, v->protocol))
        return;
    if (sotto_protocol_describe(v->protocol, &info, NULL) != SOTTO_OK)
        malformed(tree->file, "a name that is known and then not");
    fill_side(tree, v, &plan, INITIATOR, &info.initiator);
    fill_side(tree, v, &plan, RESPONDER, &info.responder);
    for (enum manner manner = ORDERED; manner < MANNERS && trouble.text[0] == '\0'; manner++) {
        struct play play;

        plan.manner = manner;
        if (play_begin(&play, &plan, &trouble))
            (void)play_messages(v, &play);
        play_end(&play);
    }
    report_ran(report, v->protocol, &trouble);
}

void run_flynn(struct si_span text, const char *which, struct report *report)
{
    struct tree tree = {.file = report->file};
    struct vector v;

    (void)which;
    memset(&v, 0, sizeof v);
    while (text.len > 0) {
        struct si_span line = next_line(&text);

        if (line.len > 0)
            read_line(&tree, line, &v);
        if ((line.len == 0 || text.len == 0) && v.protocol[0] != '\0') {
            run_vector(&tree, &v, report);
            memset(&v, 0, sizeof v);
        }
    }
    report->note = "one-way patterns: the second transport message is checked with the key that "
                   "Split() made for it";
    tree_free(&tree);
}
