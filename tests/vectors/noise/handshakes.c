/*
 * Handshakes in JSON: cacophony.txt and its followers, and the own noise.json.
 *
 * In the published files transport messages follow the handshake's in one list, the sides take
 * turns (in one-way patterns the initiator sends them all), and no associated data is used.
 * noise.json has them in a list of their own, with nonces, rekeys and associated data.
 */
#include <stdio.h>

#include "formats.h"
#include "play.h"
#include "tree.h"

enum { NAME_SIZE = 256 };

/* What is played of one vector. */
struct vector {
    struct tree *tree;
    const struct node *node;
    struct plan plan;
    const struct node *messages; /* from the first one of the plan's protocol on */
    /* of a fallback: what came before */
    struct plan first;
    char first_name[NAME_SIZE];
    struct si_span first_payload, first_ciphertext;
    bool first_readable;
};

bool is_ours(struct report *report, const char *protocol)
{
    sotto_error error = {.why = ""};
    sotto_err err = sotto_protocol_describe(protocol, NULL, &error);
    char why[REASON_SIZE];

    if (err == SOTTO_OK)
        return true;
    (void)snprintf(why, sizeof why, "sotto_protocol_describe() says %s, \"%.200s\"",
                   sotto_err_name(err), error.why);
    report_not_applicable(report, why);
    return false;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static struct si_span member(struct vector *v, const struct node *node, const char *prefix,
                             const char *name)
{
    char whole[64];

    (void)snprintf(whole, sizeof whole, "%s%s", prefix, name);
    return tree_bytes(v->tree, node, whole);
}

/* The members of NODE that begin with PREFIX. */
static void read_side(struct vector *v, const struct node *node, const char *prefix,
                      struct side *side)
{
    char list[64];

    side->prologue = member(v, node, prefix, "_prologue");
    side->s = member(v, node, prefix, "_static");
    side->e = member(v, node, prefix, "_ephemeral");
    side->rs = member(v, node, prefix, "_remote_static");
    (void)snprintf(list, sizeof list, "%s_psks", prefix);
    side->psks = 0;
    for (const struct node *psk = tree_list(node, list); psk != NULL; psk = psk->next) {
        if (side->psks == SOTTO_PSK_POSITIONS || psk->text == NULL)
            malformed(v->tree->file, "PSKs");
        side->psk[side->psks++] = tree_unhex(v->tree, psk->text, strlen(psk->text));
    }
}

/* noise.json: what was sent before a fallback stands in a member of its own. */
static void read_first(struct vector *v, const struct node *first)
{
    v->first.protocol = tree_text(first, "protocol_name");
    read_side(v, first, "init", &v->first.side[INITIATOR]);
    read_side(v, first, "resp", &v->first.side[RESPONDER]);
    v->first_payload = tree_bytes(v->tree, first, "payload");
    v->first_ciphertext = tree_bytes(v->tree, first, "ciphertext");
    v->first_readable = tree_true(first, "readable");
    if (v->first.protocol == NULL)
        malformed(v->tree->file, "a name is missing");
}

/*
 * Noise-C: the sides are called after the first message, which stands in the list with the others,
 * and which the responder cannot read.  The fallback's initiator is the side that did not send it.
 */
static void read_turned_round(struct vector *v)
{
    const char *parts[4];
    static const char *const names[4] = {"pattern", "dh", "cipher", "hash"};

    for (unsigned i = 0; i < 4; i++) {
        if ((parts[i] = tree_text(v->node, names[i])) == NULL)
            malformed(v->tree->file, "a part of the first name is missing");
    }
    (void)snprintf(v->first_name, sizeof v->first_name, "Noise_%s_%s_%s_%s", parts[0], parts[1],
                   parts[2], parts[3]);
    v->first.protocol = v->first_name;
    v->first.side[INITIATOR] = v->plan.side[INITIATOR];
    v->first.side[RESPONDER] = v->plan.side[RESPONDER];
    v->plan.side[INITIATOR] = v->first.side[RESPONDER];
    v->plan.side[RESPONDER] = v->first.side[INITIATOR];
    v->plan.side[RESPONDER].rs = si_span(NULL, 0); /* XX sends it */
    v->first_readable = false;
    if (v->messages == NULL)
        malformed(v->tree->file, "no messages");
    v->first_payload = tree_bytes(v->tree, v->messages, "payload");
    v->first_ciphertext = tree_bytes(v->tree, v->messages, "ciphertext");
    v->messages = v->messages->next;
}

static void read_vector(struct vector *v)
{
    const struct node *first = tree_member(v->node, "first");

    v->messages = tree_list(v->node, "messages");
    read_side(v, v->node, "init", &v->plan.side[INITIATOR]);
    read_side(v, v->node, "resp", &v->plan.side[RESPONDER]);
    if (first != NULL)
        read_first(v, first);
    else if (tree_true(v->node, "fallback"))
        read_turned_round(v);
}

/* ---- Playing --------------------------------------------------------------------------------- */

/* The first message of the protocol that a fallback falls back from. */
static bool play_first(struct vector *v, struct play *first, struct trouble *trouble)
{
    if (!play_begin(first, &v->first, trouble))
        return false;
    return v->first_readable
               ? play_handshake(first, INITIATOR, v->first_payload, v->first_ciphertext)
               : play_refused(first, INITIATOR, v->first_payload, v->first_ciphertext);
}

/* Plays the handshake; *NEXT becomes the message behind it. */
static bool play_messages(struct vector *v, struct play *play, const struct node **next)
{
    const struct node *message = v->messages;

    for (unsigned i = 0; i < play->info.messages; i++, message = message->next) {
        if (message == NULL)
            return wrong(play->trouble, "%u messages of %u", i, play->info.messages);
        if (!play_handshake(play, i % 2, tree_bytes(v->tree, message, "payload"),
                            tree_bytes(v->tree, message, "ciphertext")))
            return false;
    }
    *next = message;
    return play_split(play, tree_bytes(v->tree, v->node, "handshake_hash"));
}

/* Transport messages of the published files. */
static bool play_turns(struct vector *v, struct play *play, const struct node *message)
{
    for (unsigned i = play->info.messages; message != NULL; i++, message = message->next) {
        if (!play_transport(play, play->info.one_way != 0 ? INITIATOR : i % 2, sotto_no_ad(),
                            tree_bytes(v->tree, message, "payload"),
                            tree_bytes(v->tree, message, "ciphertext")))
            return false;
    }
    return true;
}

/* A transport message of noise.json, after the messages and rekeys that it does not show. */
static bool play_shown(struct vector *v, struct play *play, const struct node *message,
                       uint64_t rekeys[2])
{
    enum { HIDDEN_MAX = 100000, REKEYS_MAX = 1000 };
    const char *who = tree_text(message, "from");
    unsigned from = who != NULL && strcmp(who, "responder") == 0 ? RESPONDER : INITIATOR;
    uint64_t nonce = tree_number(message, "nonce"), rekeyed = tree_number(message, "rekeys");
    struct si_span ad = tree_bytes(v->tree, message, "ad");

    if (nonce < play->sent[from] || nonce - play->sent[from] > HIDDEN_MAX ||
        rekeyed < rekeys[from] || rekeyed - rekeys[from] > REKEYS_MAX)
        malformed(v->tree->file, "transport messages out of order");
    while (play->sent[from] < nonce) {
        if (!play_unwritten(play, from))
            return false;
    }
    for (; rekeys[from] < rekeyed; rekeys[from]++) {
        if (!play_rekey(play, from))
            return false;
    }
    return play_transport(play, from, sotto_ad_of(ad.ptr, ad.len),
                          tree_bytes(v->tree, message, "payload"),
                          tree_bytes(v->tree, message, "ciphertext"));
}

static bool play_transports(struct vector *v, struct play *play, const struct node *behind)
{
    const struct node *message = tree_list(v->node, "transport");
    uint64_t rekeys[2] = {0, 0};

    if (tree_member(v->node, "transport") == NULL)
        return play_turns(v, play, behind);
    if (behind != NULL)
        return wrong(play->trouble, "more messages than the handshake has");
    for (; message != NULL; message = message->next) {
        if (!play_shown(v, play, message, rekeys))
            return false;
    }
    return true;
}

/* RE_AS_READ: the fallback's initiator gets the ephemeral key as it stood in the message. */
static bool play_vector(struct vector *v, enum manner manner, bool re_as_read,
                        struct trouble *trouble)
{
    struct play first = {.trouble = trouble}, play = {.trouble = trouble};
    const struct node *behind = NULL;
    bool good = true;

    v->plan.manner = manner;
    v->first.manner = manner;
    if (v->first.protocol != NULL) {
        good = play_first(v, &first, trouble);
        v->plan.first = &first;
        v->plan.re_as_read = si_span(NULL, 0);
        if (good && re_as_read)
            v->plan.re_as_read =
                si_span(v->first_ciphertext.ptr, sotto_curve_key_len(first.info.curve));
    }
    good = good && play_begin(&play, &v->plan, trouble) && play_messages(v, &play, &behind) &&
           play_transports(v, &play, behind);
    play_end(&play);
    play_end(&first);
    return good;
}

static void run_vector(struct tree *tree, const struct node *node, struct report *report)
{
    struct vector v = {.tree = tree, .node = node};
    struct trouble trouble = {""};
    bool good = true;

    v.plan.protocol = tree_text(node, "protocol_name");
    if (v.plan.protocol == NULL)
        v.plan.protocol = tree_text(node, "name"); /* Noise-C */
    if (v.plan.protocol == NULL)
        malformed(report->file, "a name is missing");
    if (!is_ours(report, v.plan.protocol))
        return;
    read_vector(&v);
    for (enum manner manner = ORDERED; good && manner < MANNERS; manner++) {
        good = play_vector(&v, manner, false, &trouble) &&
               (v.first.protocol == NULL || play_vector(&v, manner, true, &trouble));
    }
    report_ran(report, v.plan.protocol, &trouble);
}

void run_handshakes(struct si_span text, const char *which, struct report *report)
{
    struct tree tree = tree_read(report->file, text);

    for (const struct node *node = tree_list(tree.root, which); node != NULL; node = node->next)
        run_vector(&tree, node, report);
    tree_free(&tree);
}
