#include "noise/pattern.h"

/* The tokens as the specification writes them. */
enum {
    E = SI_TOKEN_E,
    S = SI_TOKEN_S,
    EE = SI_TOKEN_EE,
    ES = SI_TOKEN_ES,
    SE = SI_TOKEN_SE,
    SS = SI_TOKEN_SS
};

/* Whose static key the other side knows before. */
enum known { NOBODY = 0, INITIATOR = 1, RESPONDER = 2, BOTH = 3 };

struct row {
    const char *name;
    enum known known;
    unsigned char turn[SI_TURNS_MAX][SI_TOKENS_MAX];
};

/* A line a pattern: the initiator's messages are the first and third, the responder's the
 * others. */
static const struct row rows[] = {
    /* One-way (7.4) */
    {"N", RESPONDER, {{E, ES}}},
    {"K", BOTH, {{E, ES, SS}}},
    {"X", RESPONDER, {{E, ES, S, SS}}},

    /* Fundamental (7.5) */
    {"NN", NOBODY, {{E}, {E, EE}}},
    {"NK", RESPONDER, {{E, ES}, {E, EE}}},
    {"NX", NOBODY, {{E}, {E, EE, S, ES}}},
    {"XN", NOBODY, {{E}, {E, EE}, {S, SE}}},
    {"XK", RESPONDER, {{E, ES}, {E, EE}, {S, SE}}},
    {"XX", NOBODY, {{E}, {E, EE, S, ES}, {S, SE}}},
    {"KN", INITIATOR, {{E}, {E, EE, SE}}},
    {"KK", BOTH, {{E, ES, SS}, {E, EE, SE}}},
    {"KX", INITIATOR, {{E}, {E, EE, SE, S, ES}}},
    {"IN", NOBODY, {{E, S}, {E, EE, SE}}},
    {"IK", RESPONDER, {{E, ES, S, SS}, {E, EE, SE}}},
    {"IX", NOBODY, {{E, S}, {E, EE, SE, S, ES}}},

    /* Deferred (18.1) */
    {"NK1", RESPONDER, {{E}, {E, EE, ES}}},
    {"NX1", NOBODY, {{E}, {E, EE, S}, {ES}}},
    {"X1N", NOBODY, {{E}, {E, EE}, {S}, {SE}}},
    {"X1K", RESPONDER, {{E, ES}, {E, EE}, {S}, {SE}}},
    {"XK1", RESPONDER, {{E}, {E, EE, ES}, {S, SE}}},
    {"X1K1", RESPONDER, {{E}, {E, EE, ES}, {S}, {SE}}},
    {"X1X", NOBODY, {{E}, {E, EE, S, ES}, {S}, {SE}}},
    {"XX1", NOBODY, {{E}, {E, EE, S}, {ES, S, SE}}},
    {"X1X1", NOBODY, {{E}, {E, EE, S}, {ES, S}, {SE}}},
    {"K1N", INITIATOR, {{E}, {E, EE}, {SE}}},
    {"K1K", BOTH, {{E, ES}, {E, EE}, {SE}}},
    {"KK1", BOTH, {{E}, {E, EE, SE, ES}}},
    {"K1K1", BOTH, {{E}, {E, EE, ES}, {SE}}},
    {"K1X", INITIATOR, {{E}, {E, EE, S, ES}, {SE}}},
    {"KX1", INITIATOR, {{E}, {E, EE, SE, S}, {ES}}},
    {"K1X1", INITIATOR, {{E}, {E, EE, S}, {SE, ES}}},
    {"I1N", NOBODY, {{E, S}, {E, EE}, {SE}}},
    {"I1K", RESPONDER, {{E, ES, S}, {E, EE}, {SE}}},
    {"IK1", RESPONDER, {{E, S}, {E, EE, SE, ES}}},
    {"I1K1", RESPONDER, {{E, S}, {E, EE, ES}, {SE}}},
    {"I1X", NOBODY, {{E, S}, {E, EE, S, ES}, {SE}}},
    {"IX1", NOBODY, {{E, S}, {E, EE, SE, S}, {ES}}},
    {"I1X1", NOBODY, {{E, S}, {E, EE, S}, {SE, ES}}},
};

size_t si_pattern_count(void)
{
    return SI_COUNT(rows);
}

void si_pattern_get(size_t index, struct si_pattern *out)
{
    const struct row *row = &rows[index];

    memset(out, 0, sizeof *out);
    memcpy(out->name, row->name, strlen(row->name));
    out->initiator_s_known = (row->known & INITIATOR) != 0;
    out->responder_s_known = (row->known & RESPONDER) != 0;
    out->one_way = strlen(row->name) == 1;
    memcpy(out->turn, row->turn, sizeof out->turn);
    while (out->turns < SI_TURNS_MAX && out->turn[out->turns][0] != SI_TOKEN_END)
        out->turns++;
}

bool si_pattern_by_name(struct si_span name, struct si_pattern *out)
{
    for (size_t i = 0; i < SI_COUNT(rows); i++) {
        if (strlen(rows[i].name) == name.len && memcmp(rows[i].name, name.ptr, name.len) == 0) {
            si_pattern_get(i, out);
            return true;
        }
    }
    memset(out, 0, sizeof *out);
    return false;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

bool si_pattern_needs_rs(const struct si_pattern *pattern, bool initiator)
{
    return initiator ? pattern->responder_s_known : pattern->initiator_s_known;
}

bool si_pattern_needs_s(const struct si_pattern *pattern, bool initiator)
{
    /* It is known to the peer, or it travels in a message. */
    if (si_pattern_needs_rs(pattern, !initiator))
        return true;
    for (unsigned turn = initiator ? 0 : 1; turn < pattern->turns; turn += 2) {
        if (memchr(pattern->turn[turn], SI_TOKEN_S, SI_TOKENS_MAX) != NULL)
            return true;
    }
    return false;
}

/* ---- Modifiers ------------------------------------------------------------------------------- */

static size_t token_count(const unsigned char turn[SI_TOKENS_MAX])
{
    size_t n = 0;

    while (n < SI_TOKENS_MAX && turn[n] != SI_TOKEN_END)
        n++;
    return n;
}

bool si_pattern_has_psk(const struct si_pattern *pattern, unsigned n)
{
    const unsigned char *turn;

    if (n > pattern->turns)
        return false;
    if (n == 0)
        return pattern->turn[0][0] == SI_TOKEN_PSK;
    turn = pattern->turn[n - 1];
    return turn[token_count(turn) - 1] == SI_TOKEN_PSK;
}

sotto_err si_pattern_add_psk(struct si_pattern *pattern, unsigned n)
{
    unsigned char *turn;
    size_t count;

    if (n > pattern->turns || si_pattern_has_psk(pattern, n))
        return SOTTO_E_UNSUPPORTED;
    turn = pattern->turn[n == 0 ? 0 : n - 1];
    count = token_count(turn);
    /* The last place stays SI_TOKEN_END. */
    if (count + 1 >= SI_TOKENS_MAX)
        return SOTTO_E_UNSUPPORTED;

    if (n == 0)
        memmove(turn + 1, turn, count);
    turn[n == 0 ? 0 : count] = SI_TOKEN_PSK;
    pattern->psks++;
    return SOTTO_OK;
}

/* The token as it is called when the parties change roles (7.2). */
static unsigned char reversed(unsigned char token)
{
    return token == SI_TOKEN_ES ? SI_TOKEN_SE : token == SI_TOKEN_SE ? SI_TOKEN_ES : token;
}

sotto_err si_pattern_fallback(struct si_pattern *pattern)
{
    const unsigned char *first = pattern->turn[0];
    bool only_e = first[0] == SI_TOKEN_E && first[1] == SI_TOKEN_END;
    bool e_and_s = first[0] == SI_TOKEN_E && first[1] == SI_TOKEN_S && first[2] == SI_TOKEN_END;
    struct si_pattern out = *pattern;

    if ((!only_e && !e_and_s) || pattern->turns < 2 || pattern->initiator_s_known ||
        pattern->responder_e_known)
        return SOTTO_E_UNSUPPORTED;

    out.initiator_s_known = pattern->responder_s_known;
    out.responder_s_known = e_and_s;
    out.responder_e_known = true;
    out.turns = pattern->turns - 1;
    memset(out.turn, SI_TOKEN_END, sizeof out.turn);
    for (unsigned turn = 0; turn < out.turns; turn++)
        for (unsigned i = 0; i < SI_TOKENS_MAX; i++)
            out.turn[turn][i] = reversed(pattern->turn[turn + 1][i]);
    *pattern = out;
    return SOTTO_OK;
}
