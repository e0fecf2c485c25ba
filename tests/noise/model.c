#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Noise 7.4, 7.5 and appendix: pre-messages of the initiator and the responder, and the
 * messages. */
static const struct pattern {
    const char *name, *pre[2], *messages;
} patterns[PATTERNS] = {
    {"N", {"", "s"}, "e es"},
    {"K", {"s", "s"}, "e es ss"},
    {"X", {"", "s"}, "e es s ss"},
    {"NN", {"", ""}, "e/e ee"},
    {"NK", {"", "s"}, "e es/e ee"},
    {"NX", {"", ""}, "e/e ee s es"},
    {"XN", {"", ""}, "e/e ee/s se"},
    {"XK", {"", "s"}, "e es/e ee/s se"},
    {"XX", {"", ""}, "e/e ee s es/s se"},
    {"KN", {"s", ""}, "e/e ee se"},
    {"KK", {"s", "s"}, "e es ss/e ee se"},
    {"KX", {"s", ""}, "e/e ee se s es"},
    {"IN", {"", ""}, "e s/e ee se"},
    {"IK", {"", "s"}, "e es s ss/e ee se"},
    {"IX", {"", ""}, "e s/e ee se s es"},
    {"NK1", {"", "s"}, "e/e ee es"},
    {"NX1", {"", ""}, "e/e ee s/es"},
    {"X1N", {"", ""}, "e/e ee/s/se"},
    {"X1K", {"", "s"}, "e es/e ee/s/se"},
    {"XK1", {"", "s"}, "e/e ee es/s se"},
    {"X1K1", {"", "s"}, "e/e ee es/s/se"},
    {"X1X", {"", ""}, "e/e ee s es/s/se"},
    {"XX1", {"", ""}, "e/e ee s/es s se"},
    {"X1X1", {"", ""}, "e/e ee s/es s/se"},
    {"K1N", {"s", ""}, "e/e ee/se"},
    {"K1K", {"s", "s"}, "e es/e ee/se"},
    {"KK1", {"s", "s"}, "e/e ee se es"},
    {"K1K1", {"s", "s"}, "e/e ee es/se"},
    {"K1X", {"s", ""}, "e/e ee s es/se"},
    {"KX1", {"s", ""}, "e/e ee se s/es"},
    {"K1X1", {"s", ""}, "e/e ee s/se es"},
    {"I1N", {"", ""}, "e s/e ee/se"},
    {"I1K", {"", "s"}, "e es s/e ee/se"},
    {"IK1", {"", "s"}, "e s/e ee se es"},
    {"I1K1", {"", "s"}, "e s/e ee es/se"},
    {"I1X", {"", ""}, "e s/e ee s es/se"},
    {"IX1", {"", ""}, "e s/e ee se s/es"},
    {"I1X1", {"", ""}, "e s/e ee s/se es"},
};

struct suite suite_of(unsigned i)
{
    static const char *const hashes[4] = {"SHA256", "BLAKE2b", "SHA512", "BLAKE2s"};
    struct suite suite;

    i %= SUITES;
    suite.curve = i % 2 == 0 ? SOTTO_CURVE_25519 : SOTTO_CURVE_448;
    suite.cipher = i / 2 % 2 == 0 ? SOTTO_CIPHER_CHACHAPOLY : SOTTO_CIPHER_AESGCM;
    suite.hash = hashes[i / 4];
    return suite;
}

struct suite fast_suite(void)
{
    struct suite suite = {SOTTO_CURVE_25519, SOTTO_CIPHER_CHACHAPOLY, "SHA256"};

    return suite;
}

const char *pattern_at(unsigned i)
{
    return patterns[i].name;
}

static const struct pattern *find(const char *name)
{
    for (unsigned i = 0; i < PATTERNS; i++)
        if (strcmp(patterns[i].name, name) == 0)
            return &patterns[i];
    fprintf(stderr, "no pattern %s\n", name);
    abort();
}

/* A pre-message is "e", "s" or "e, s" (Noise 7.1): "s" and then "e", as it would come of the K
 * patterns, is none of them.  One-way patterns have a DH in their first message, and no other. */
static bool can_fall_back(const struct pattern *p)
{
    bool plain = strncmp(p->messages, "e/", 2) == 0 || strncmp(p->messages, "e s/", 4) == 0;

    return plain && p->pre[INITIATOR][0] == '\0';
}

const char *fallback_at(unsigned i)
{
    for (unsigned k = 0; k < PATTERNS; k++)
        if (can_fall_back(&patterns[k]) && i-- == 0)
            return patterns[k].name;
    fprintf(stderr, "fewer fallbacks than there should be\n");
    abort();
}

static unsigned count_messages(const struct pattern *p)
{
    unsigned count = 1;

    for (const char *c = p->messages; *c != '\0'; c++)
        count += *c == '/';
    return count;
}

unsigned psk_positions(const char *pattern, bool fallback)
{
    return count_messages(find(pattern)) + (fallback ? 0 : 1);
}

/* TEXT ends at a space, a slash or its end. */
static enum token token_of(const char *text, size_t len, bool turned)
{
    static const char *const names[] = {"", "e", "s", "ee", "es", "se", "ss"};
    enum token token = NONE;

    for (unsigned i = 1; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            token = (enum token)i;
    if (token == NONE)
        abort();
    /* the initiator is the other one now, and its key comes first */
    if (turned && (token == ES || token == SE))
        token = token == ES ? SE : ES;
    return token;
}

static void parse(struct model *m, const struct pattern *p, bool fallback)
{
    const char *text = p->messages;
    unsigned skipped = fallback ? 1 : 0;

    for (unsigned message = 0, at = 0; *text != '\0';) {
        size_t len = strcspn(text, " /");
        enum token token = token_of(text, len, fallback);

        if (message >= skipped)
            m->tokens[message - skipped][at++] = token;
        else
            *(token == E ? &m->pre_e[RESPONDER] : &m->pre_s[RESPONDER]) = true;
        text += len;
        if (*text == '/') {
            message++;
            at = 0;
        }
        text += *text != '\0';
    }
    m->messages = count_messages(p) - skipped;
}

static void add_psks(struct model *m)
{
    for (unsigned n = 0; n <= m->messages; n++) {
        enum token *tokens = m->tokens[psk_message(n)];
        unsigned len = 0;

        if ((m->psks >> n & 1) == 0)
            continue;
        while (tokens[len] != NONE)
            len++;
        if (n == 0)
            memmove(tokens + 1, tokens, len * sizeof *tokens);
        tokens[n == 0 ? 0 : len] = PSK;
    }
}

static void name_it(struct model *m)
{
    char modifiers[40] = "";

    for (unsigned n = 0; n <= m->messages; n++) {
        size_t len = strlen(modifiers);

        if (m->psks >> n & 1)
            snprintf(modifiers + len, sizeof modifiers - len, "%spsk%u",
                     len > 0 || m->fallback ? "+" : "", n);
    }
    snprintf(m->name, sizeof m->name, "Noise_%s%s_%s_%s_%s", m->pattern, modifiers,
             m->suite.curve == SOTTO_CURVE_25519 ? "25519" : "448",
             m->suite.cipher == SOTTO_CIPHER_AESGCM ? "AESGCM" : "ChaChaPoly", m->suite.hash);
}

struct model model_of(const char *pattern, bool fallback, unsigned psks, struct suite suite)
{
    const struct pattern *p = find(pattern);
    struct model m;

    memset(&m, 0, sizeof m);
    snprintf(m.pattern, sizeof m.pattern, "%s%s", pattern, fallback ? "fallback" : "");
    m.suite = suite;
    m.dh_len = suite.curve == SOTTO_CURVE_25519 ? 32 : 56;
    m.hash_len = strcmp(suite.hash, "SHA512") == 0 || strcmp(suite.hash, "BLAKE2b") == 0 ? 64 : 32;
    m.fallback = fallback;
    m.one_way = count_messages(p) == 1;
    for (int side = 0; side < 2; side++)
        m.pre_s[fallback ? !side : side] = p->pre[side][0] == 's';
    parse(&m, p, fallback);
    for (unsigned i = 0; i < m.messages; i++)
        for (unsigned k = 0; m.tokens[i][k] != NONE; k++)
            m.sends_s[i % 2] = m.sends_s[i % 2] || m.tokens[i][k] == S;
    m.psks = psks;
    add_psks(&m);
    name_it(&m);
    return m;
}

bool needs_s(const struct model *m, int side)
{
    return m->pre_s[side] || m->sends_s[side];
}

bool needs_rs(const struct model *m, int side)
{
    return m->pre_s[!side];
}

unsigned psk_message(unsigned position)
{
    return position == 0 ? 0 : position - 1;
}

/* ---- Walking through ------------------------------------------------------------------------- */

struct walk walk_begin(const struct model *m)
{
    struct walk w;

    memset(&w, 0, sizeof w);
    w.m = m;
    for (int side = 0; side < 2; side++) {
        w.has_rs[side] = m->pre_s[!side];
        w.has_re[side] = m->pre_e[!side];
        w.keyed = w.keyed || (m->pre_e[side] && m->psks != 0); /* Noise 9.2 */
    }
    return w;
}

static void take(struct walk *w, enum token token)
{
    int reader = !walk_sender(w);

    switch (token) {
    case E:
        w->has_re[reader] = true;
        w->keyed = w->keyed || w->m->psks != 0;
        break;
    case S:
        w->has_rs[reader] = true;
        break;
    case ES: /* e of the initiator, s of the responder: the initiator's rs */
        w->mixed_rs[INITIATOR] = true;
        w->keyed = true;
        break;
    case SE:
        w->mixed_rs[RESPONDER] = true;
        w->keyed = true;
        break;
    case SS:
        w->mixed_rs[INITIATOR] = w->mixed_rs[RESPONDER] = true;
        w->keyed = true;
        break;
    case EE:
    case PSK:
        w->keyed = true;
        break;
    case NONE:
        break;
    }
}

void walk_on(struct walk *w)
{
    int reader = !walk_sender(w);

    for (const enum token *token = w->m->tokens[w->at]; *token != NONE; token++)
        take(w, *token);
    /* the payload's tag is always there once there is a key */
    w->proven[reader] = w->proven[reader] || w->mixed_rs[reader];
    w->at++;
}

struct walk walk_to_psk(const struct walk *w, unsigned position)
{
    struct walk ahead = *w;
    const enum token *tokens = w->m->tokens[w->at];
    unsigned seen = 0, wanted = w->at == 0 && position == 1 ? w->m->psks & 1 : 0;

    for (; *tokens != NONE; tokens++) {
        if (*tokens == PSK && seen++ == wanted)
            return ahead;
        take(&ahead, *tokens);
    }
    abort();
}

bool walk_ended(const struct walk *w)
{
    return w->at == w->m->messages;
}

int walk_sender(const struct walk *w)
{
    return w->at % 2 == 0 ? INITIATOR : RESPONDER;
}

size_t walk_overhead(const struct walk *w)
{
    struct walk ahead = *w;
    size_t len = 0;

    for (const enum token *token = w->m->tokens[w->at]; *token != NONE; token++) {
        if (*token == E)
            len += w->m->dh_len;
        if (*token == S)
            len += w->m->dh_len + (ahead.keyed ? 16 : 0);
        take(&ahead, *token);
    }
    return len + (ahead.keyed ? 16 : 0);
}

bool walk_encrypted(const struct walk *w)
{
    struct walk ahead = *w;

    walk_on(&ahead);
    return ahead.keyed;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void each_psk_set(const char *pattern, bool fallback, bool some, unsigned *count,
                         void (*each)(const struct model *m))
{
    unsigned all = (1u << psk_positions(pattern, fallback)) - 1;

    for (unsigned psks = 0; psks <= all; psks++) {
        bool single = (psks & (psks - 1)) == 0;
        struct model m;

        if (some && !single && psks != all)
            continue;
        m = model_of(pattern, fallback, psks, suite_of((*count)++));
        each(&m);
    }
    /* the numbers of sets are powers of two, as is that of suites: keep them from going together */
    (*count)++;
}

void each_protocol(bool some, void (*each)(const struct model *m))
{
    unsigned count = 0;

    for (unsigned i = 0; i < PATTERNS; i++)
        each_psk_set(pattern_at(i), false, some, &count, each);
    for (unsigned i = 0; i < FALLBACKS; i++)
        each_psk_set(fallback_at(i), true, some, &count, each);
}
