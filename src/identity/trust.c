#include "sotto/identity.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/crypto.h"

/* What is known when the table is read. */
struct question {
    const sotto_pins *pins;
    const char *path, *address;
    char shown[SOTTO_FINGERPRINT_SIZE];
    sotto_curve curve;
    sotto_error *error;
};

/* "host:port" as a word for the shell: brackets would be a pattern. */
static const char *quote(const char *address)
{
    return address[0] == '[' ? "'" : "";
}

static sotto_err changed(const struct question *q, const char *pinned, unsigned line)
{
    si_error(q->error, SOTTO_E_KEY_MISMATCH, "the key of %s is not the one that is pinned",
             q->address);
    si_error_why(
        q->error,
        "pinned is %s, shown is %s (%s); either somebody stands between you and the server, "
        "or the server has a new key; see line %u of %s",
        pinned, q->shown, sotto_curve_name(q->curve), line, q->path);
    si_error_hint(q->error,
                  "ask the server's operator for the fingerprint; if the new key is right, forget "
                  "the old one: "
                  "sotto trust remove %s%s%s",
                  quote(q->address), q->address, quote(q->address));
    return SOTTO_E_KEY_MISMATCH;
}

static sotto_err not_the_given(const struct question *q, const char *given)
{
    si_error(q->error, SOTTO_E_KEY_MISMATCH, "the key of %s is not the one that was given",
             q->address);
    si_error_why(
        q->error,
        "given was %s, shown is %s (%s); either somebody stands between you and the server, "
        "or the fingerprint is that of another key",
        given, q->shown, sotto_curve_name(q->curve));
    si_error_hint(q->error, "ask the server's operator for the fingerprint of its %s key",
                  sotto_curve_name(q->curve));
    return SOTTO_E_KEY_MISMATCH;
}

static sotto_err unknown(const struct question *q)
{
    si_error(q->error, SOTTO_E_KEY_UNKNOWN, "the key of %s is not known", q->address);
    si_error_why(q->error, "shown is %s (%s), and nothing is pinned in %s", q->shown,
                 sotto_curve_name(q->curve), q->path);
    si_error_hint(
        q->error,
        "compare with the server's operator, then add: --pin %s (or trust whoever answers "
        "first: --trust accept-new)",
        q->shown);
    return SOTTO_E_KEY_UNKNOWN;
}

static sotto_err unknown_curve(const struct question *q, size_t other)
{
    const char *pinned = sotto_curve_name(q->pins->key[other].curve);

    si_error(q->error, SOTTO_E_KEY_UNKNOWN_CURVE, "no %s key of %s is known",
             sotto_curve_name(q->curve), q->address);
    si_error_why(q->error, "shown is %s (%s), and only a %s key is pinned, in line %u of %s",
                 q->shown, sotto_curve_name(q->curve), pinned, q->pins->line[other], q->path);
    si_error_hint(
        q->error,
        "connect with the curve %s; or compare with the server's operator and begin anew: "
        "sotto trust remove %s%s%s",
        pinned, quote(q->address), q->address, quote(q->address));
    return SOTTO_E_KEY_UNKNOWN_CURVE;
}

/* This curve's key is pinned. */
static sotto_err decide_pinned(const struct question *q, size_t slot, const sotto_public_key *shown,
                               const char *given, sotto_verdict *verdict)
{
    char pinned[SOTTO_FINGERPRINT_SIZE];
    sotto_err err;

    if (!sotto_public_key_equal(&q->pins->key[slot], shown)) {
        /* The answer is the same when the old fingerprint cannot be computed; its text is
         * poorer. */
        if ((err = sotto_fingerprint(&q->pins->key[slot], pinned)) != SOTTO_OK)
            (void)snprintf(pinned, sizeof pinned, "another key");
        return changed(q, pinned, q->pins->line[slot]);
    }
    if (given != NULL && strcmp(given, q->shown) != 0)
        return not_the_given(q, given);
    *verdict = SOTTO_VERDICT_KNOWN;
    return SOTTO_OK;
}

static sotto_err decide_unpinned(const struct question *q, const char *given, sotto_trust policy,
                                 sotto_verdict *verdict)
{
    if (given != NULL) {
        if (strcmp(given, q->shown) != 0)
            return not_the_given(q, given);
        *verdict = SOTTO_VERDICT_PIN;
        return SOTTO_OK;
    }
    switch (policy) {
    case SOTTO_TRUST_STRICT:
        return unknown(q);
    case SOTTO_TRUST_ASK:
        *verdict = SOTTO_VERDICT_ASK;
        return SOTTO_OK;
    case SOTTO_TRUST_ACCEPT_NEW:
        *verdict = SOTTO_VERDICT_PIN;
        return SOTTO_OK;
    }
    return unknown(q); /* no policy at all is the strict one */
}

static sotto_err decide(const struct question *q, const sotto_public_key *shown, const char *given,
                        sotto_trust policy, sotto_verdict *verdict)
{
    size_t slot = shown->curve == SOTTO_CURVE_25519 ? 0 : 1;

    if (q->pins->key[slot].curve != 0)
        return decide_pinned(q, slot, shown, given, verdict);
    if (q->pins->key[1 - slot].curve != 0)
        return unknown_curve(q, 1 - slot);
    return decide_unpinned(q, given, policy, verdict);
}

static sotto_err no_question(sotto_error *error, const char *why)
{
    si_error(error, SOTTO_E_USAGE, "cannot decide about a server's key");
    si_error_why(error, "%s", why);
    return SOTTO_E_USAGE;
}

sotto_err sotto_trust_decide(const sotto_pins *pins, const sotto_public_key *shown,
                             const char *fingerprint, sotto_trust policy, const char *path,
                             const char *address, sotto_verdict *verdict, sotto_error *error)
{
    struct question q = {pins, path != NULL ? path : "known_servers", address, "", 0, error};
    sotto_verdict answer = SOTTO_VERDICT_STOP;
    sotto_err err;

    *verdict = SOTTO_VERDICT_STOP;
    if (pins == NULL || shown == NULL || address == NULL || sotto_curve_key_len(shown->curve) == 0)
        return no_question(error, "there is no key, no address, or no pins");
    if (fingerprint != NULL && !sotto_is_fingerprint(fingerprint))
        return no_question(error,
                           "what was given as a fingerprint is none (SHA256: and 43 characters)");
    q.curve = shown->curve;
    if ((err = sotto_fingerprint(shown, q.shown)) != SOTTO_OK) {
        si_error(error, err, "cannot compute the fingerprint of the key of %s", address);
        si_error_why(error, "%s", sotto_strerror(err));
        return err;
    }
    if ((err = decide(&q, shown, fingerprint, policy, &answer)) != SOTTO_OK) {
        si_error_stage(error, SOTTO_STAGE_TRUST);
        return err;
    }
    *verdict = answer;
    return SOTTO_OK;
}
