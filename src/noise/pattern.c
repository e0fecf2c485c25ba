#include "noise/pattern.h"

/* Noise 7.5. */
static const struct si_pattern patterns[] = {
    {
        .name = "NK",
        .responder_s_known = true, /* <- s  */
        .turns = 2,
        .turn =
            {
                {SI_TOKEN_E, SI_TOKEN_ES}, /* -> e, es */
                {SI_TOKEN_E, SI_TOKEN_EE}, /* <- e, ee */
            },
    },
    {
        .name = "XX",
        .turns = 3,
        .turn =
            {
                {SI_TOKEN_E},                                       /* -> e            */
                {SI_TOKEN_E, SI_TOKEN_EE, SI_TOKEN_S, SI_TOKEN_ES}, /* <- e, ee, s, es */
                {SI_TOKEN_S, SI_TOKEN_SE},                          /* -> s, se        */
            },
    },
    {
        .name = "IK",
        .responder_s_known = true, /* <- s */
        .turns = 2,
        .turn =
            {
                {SI_TOKEN_E, SI_TOKEN_ES, SI_TOKEN_S, SI_TOKEN_SS}, /* -> e, es, s, ss */
                {SI_TOKEN_E, SI_TOKEN_EE, SI_TOKEN_SE},             /* <- e, ee, se    */
            },
    },
};

const struct si_pattern *si_pattern_all(size_t *count)
{
    *count = SI_COUNT(patterns);
    return patterns;
}

const struct si_pattern *si_pattern_by_name(struct si_span name)
{
    for (size_t i = 0; i < SI_COUNT(patterns); i++) {
        if (strlen(patterns[i].name) == name.len &&
            memcmp(patterns[i].name, name.ptr, name.len) == 0)
            return &patterns[i];
    }
    return NULL;
}

static size_t token_count(const unsigned char turn[SI_TOKENS_MAX])
{
    size_t n = 0;

    while (n < SI_TOKENS_MAX && turn[n] != SI_TOKEN_END)
        n++;
    return n;
}

sotto_err si_pattern_add_psk(struct si_pattern *pattern, unsigned n)
{
    unsigned char *turn;
    size_t count;

    if (n > pattern->turns)
        return SOTTO_E_UNSUPPORTED;
    turn = pattern->turn[n == 0 ? 0 : n - 1];
    count = token_count(turn);
    /* The last place stays SI_TOKEN_END. */
    if (count + 1 >= SI_TOKENS_MAX)
        return SOTTO_E_UNSUPPORTED;

    if (n == 0) {
        if (turn[0] == SI_TOKEN_PSK)
            return SOTTO_E_UNSUPPORTED;
        memmove(turn + 1, turn, count);
        turn[0] = SI_TOKEN_PSK;
    } else {
        if (count > 0 && turn[count - 1] == SI_TOKEN_PSK)
            return SOTTO_E_UNSUPPORTED;
        turn[count] = SI_TOKEN_PSK;
    }
    pattern->psks++;
    return SOTTO_OK;
}
