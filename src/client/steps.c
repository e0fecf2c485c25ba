/*
 * What stands before a call: bootstrap, trust, PSK, session (docs/protocol.md, sections 4 to 6).
 */
#include "client/internal.h"

enum {
    BUSY_WAIT_MS = 200,     /* at least, be the server's hint smaller or none … */
    BUSY_WAIT_MAX_MS = 5000 /* … and at most, whatever it says */
};

static int64_t ms(uint32_t n)
{
    return (int64_t)n * 1000000;
}

static sotto_session_client_options wire_options(const sotto_client *client, sotto_purpose purpose)
{
    sotto_session_client_options o = SOTTO_SESSION_CLIENT_OPTIONS_INIT;

    o.purpose = purpose;
    o.curve = client->curve;
    o.cipher = client->cipher;
    o.identity = client->identity;
    o.max_message = client->max_message;
    o.handshake_timeout_ms = client->handshake_timeout_ms;
    o.input_padding = SI_STREAM_PADDING;
    return o;
}

/* ---- Trust ----------------------------------------------------------------------------------- */

static sotto_err decide(const sotto_client *client, const sotto_public_key *shown,
                        sotto_verdict *verdict, sotto_error *error)
{
    sotto_pins pins;
    sotto_err err;

    *verdict = SOTTO_VERDICT_STOP;
    err = sotto_known_servers_lookup(client->known_servers, client->address.text, &pins, error);
    if (err == SOTTO_OK)
        err = sotto_trust_decide(&pins, shown, client->fingerprint[0] ? client->fingerprint : NULL,
                                 client->trust, client->known_servers, client->address.text,
                                 verdict, error);
    si_error_stage(error, SOTTO_STAGE_TRUST);
    /* Somebody was asked about a key, and said yes: to this one, or to another? */
    if (err == SOTTO_OK && *verdict == SOTTO_VERDICT_ASK && client->accepted.curve != 0 &&
        sotto_public_key_equal(&client->accepted, shown))
        *verdict = SOTTO_VERDICT_PIN;
    return err;
}

/* Policy `ask`: somebody looks at the fingerprint, without a connection and without our clock
 * running. */
static sotto_err ask(sotto_client *client, const sotto_public_key *key, int64_t *deadline,
                     sotto_error *error)
{
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    int64_t began = si_now();
    sotto_err err = sotto_fingerprint(key, fingerprint);
    int yes;

    if (err != SOTTO_OK)
        return si_error(error, err, "cannot show the server's fingerprint");
    yes = client->ask(client->user, client->address.text, key, fingerprint);
    *deadline += si_now() - began;
    if (yes) {
        client->accepted = *key;
        return SOTTO_OK;
    }
    (void)si_error(error, SOTTO_E_KEY_UNKNOWN, "the key of %s was not accepted",
                   client->address.text);
    si_error_why(error, "fingerprint %s (%s)", fingerprint, sotto_curve_name(key->curve));
    si_error_hint(error, "compare it with what the server prints when it starts");
    si_error_stage(error, SOTTO_STAGE_TRUST);
    return SOTTO_E_KEY_UNKNOWN;
}

/* All keys of a trusted document, at once (section 4).  What is pinned already stays, and the file
 * is not touched when nothing is new: it may be one that only root can write. */
static sotto_err pin(const sotto_client *client, const sotto_bootstrap *b, sotto_error *error)
{
    sotto_public_key keys[1 + SOTTO_CURVE_COUNT];
    sotto_pins pins;
    size_t count = 0, known = 0;
    sotto_err err;

    keys[count++] = b->server_key;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        if (b->other_keys[i].curve != 0)
            keys[count++] = b->other_keys[i];
    }
    err = sotto_known_servers_lookup(client->known_servers, client->address.text, &pins, error);
    for (size_t i = 0; i < count && err == SOTTO_OK; i++)
        known += sotto_public_key_equal(&keys[i], &pins.key[keys[i].curve - 1]) != 0;
    if (err == SOTTO_OK && known < count)
        err = sotto_known_servers_pin(client->known_servers, client->address.text, keys, count,
                                      error);
    si_error_stage(error, SOTTO_STAGE_TRUST);
    return err;
}

/* ---- PSK ------------------------------------------------------------------------------------- */

static sotto_err derive(sotto_client *client, const sotto_bootstrap *b, sotto_error *error)
{
    struct si_cached *r = &client->result;
    sotto_err err;

    client->has_result = false;
    r->server_key = b->server_key;
    err = sotto_psk_derive(client->secrets, client->curve, &b->parameters, 0,
                           client->max_iterations, &r->psk);
    if (err == SOTTO_OK)
        err = sotto_epoch(b->parameters.server_id, r->epoch);
    if (err == SOTTO_OK) {
        client->has_result = true;
        client->result_expires =
            b->expires_in_s > 0 ? si_now() + (int64_t)b->expires_in_s * 1000000000 : INT64_MAX;
        si_client_trace(client, SOTTO_STAGE_PSK, "derived with %u iterations of PBKDF2, salt %u",
                        b->parameters.iterations, b->parameters.salt_index);
        return SOTTO_OK;
    }
    (void)si_error(error, err, "cannot derive the key of a session with %s", client->address.text);
    if (err == SOTTO_E_PARAMETERS)
        si_error_why(error,
                     "the server says salt %u and %u iterations; here are %zu salts, "
                     "and 10000 to %u iterations are allowed",
                     b->parameters.salt_index, b->parameters.iterations,
                     sotto_secrets_salt_count(client->secrets), client->max_iterations);
    else
        si_error_why(error, "%s", sotto_strerror(err));
    if (err == SOTTO_E_PARAMETERS)
        si_error_hint(error,
                      "give both sides secrets that were made together: sotto secrets new DIR");
    si_error_stage(error, SOTTO_STAGE_PSK);
    return err;
}

/* A cache that cannot be written costs a bootstrap next time, nothing else. */
static void remember(sotto_client *client)
{
    if (client->state_dir[0] == '\0')
        return;
    if (si_cache_save(client->state_dir, client->address.text, client->curve, client->secrets_id,
                      &client->result, NULL) != SOTTO_OK)
        si_client_trace(client, SOTTO_STAGE_PSK, "the result cannot be cached in %s",
                        client->state_dir);
}

/* ---- Bootstrap ------------------------------------------------------------------------------- */

static void trace_bootstrap(sotto_client *client, const struct si_wire *wire)
{
    char name[SOTTO_NOISE_NAME_SIZE], fingerprint[SOTTO_FINGERPRINT_SIZE];

    sotto_session_noise_name(wire->session, name);
    if (sotto_fingerprint(&wire->server_key, fingerprint) == SOTTO_OK)
        si_client_trace(client, SOTTO_STAGE_BOOTSTRAP, "%s, server %s", name, fingerprint);
}

/* One connection: the document, from a server whose key may be used.  The wire is closed. */
static sotto_err fetch(sotto_client *client, int64_t deadline, sotto_bootstrap *out,
                       sotto_verdict *verdict, sotto_error *error)
{
    sotto_session_client_options o = wire_options(client, SOTTO_BOOTSTRAP);
    struct si_wire *wire;
    sotto_psk gate;
    sotto_err err;

    if (client->gate) {
        if ((err = sotto_gate_derive(client->secrets, client->curve, &gate)) != SOTTO_OK)
            return si_error(error, err, "cannot derive the key of the gate");
        o.gate = &gate;
    }
    err = si_wire_open(client, &o, deadline, &wire, error);
    si_wipe(&gate, sizeof gate);
    if (err != SOTTO_OK)
        return err;
    client->stats.bootstraps++;
    if ((err = si_wire_wait(wire, &wire->key_shown, deadline)) != SOTTO_OK) {
        err = si_client_explain(client, wire, SOTTO_STAGE_BOOTSTRAP, err, error);
    } else if (wire->over) {
        err = si_client_explain(client, wire, SOTTO_STAGE_BOOTSTRAP, wire->err, error);
    } else if ((err = decide(client, &wire->server_key, verdict, error)) == SOTTO_OK &&
               *verdict == SOTTO_VERDICT_ASK) {
        out->server_key = wire->server_key; /* the connection does not wait for a person */
    } else if (err == SOTTO_OK) {
        /* Only now does the server see our identity. */
        err = sotto_session_accept_key(wire->session);
        si_wire_pump(wire);
        if (err == SOTTO_OK)
            err = si_wire_wait(wire, &wire->documented, deadline);
        if (err != SOTTO_OK)
            err = si_client_explain(client, wire, SOTTO_STAGE_BOOTSTRAP, err, error);
    }
    if (err == SOTTO_OK && wire->documented) {
        *out = wire->bootstrap;
        trace_bootstrap(client, wire);
    }
    si_wire_close(wire, 0);
    return err;
}

static void fill_result(const sotto_client *client, const sotto_bootstrap *b, bool pinned_now,
                        sotto_bootstrap_result *out)
{
    static const char *const names[] = {"none", "optional", "required"};

    *out = (sotto_bootstrap_result){.server_key = b->server_key,
                                    .salt_index = b->parameters.salt_index,
                                    .iterations = b->parameters.iterations,
                                    .expires_in_s = b->expires_in_s,
                                    .client_auth = names[b->client_auth],
                                    .pinned_now = pinned_now};
    memcpy(out->other_keys, b->other_keys, sizeof out->other_keys);
    memcpy(out->server_id, b->parameters.server_id, sizeof out->server_id);
    memcpy(out->epoch, client->result.epoch, sizeof out->epoch);
    if (sotto_fingerprint(&b->server_key, out->fingerprint) != SOTTO_OK)
        out->fingerprint[0] = '\0';
}

/* Sleep on the loop, since a busy server said so; false: the deadline comes first. */
static bool wait_ms(sotto_client *client, uint32_t n, int64_t deadline)
{
    uint32_t hint = n < BUSY_WAIT_MS ? BUSY_WAIT_MS : n < BUSY_WAIT_MAX_MS ? n : BUSY_WAIT_MAX_MS;
    /* Clients that were told the same do not all come back in the same instant. */
    uint32_t jitter = (uint32_t)(si_now() / 1000 % (hint / 2));
    int64_t until = si_now() + ms(hint + jitter);

    if (until >= deadline)
        return false;
    while (si_now() < until) {
        si_timer_set(client->timer, until);
        si_loop_run_once(client->loop);
    }
    return true;
}

static sotto_err fetch_patiently(sotto_client *client, int64_t deadline, sotto_bootstrap *b,
                                 sotto_verdict *verdict, sotto_error *error)
{
    sotto_err err;

    for (;;) {
        err = fetch(client, deadline, b, verdict, error);
        if (err != SOTTO_E_UNAVAILABLE || !wait_ms(client, client->retry_after_ms, deadline))
            return err;
    }
}

static sotto_err other_key(const sotto_client *client, sotto_error *error)
{
    (void)si_error(error, SOTTO_E_KEY_MISMATCH, "the key of %s is another one now",
                   client->address.text);
    si_error_why(error, "it changed between the question and the answer");
    si_error_hint(error, "ask the server's operator: somebody may stand between you and it");
    si_error_stage(error, SOTTO_STAGE_TRUST);
    return SOTTO_E_KEY_MISMATCH;
}

sotto_err si_client_bootstrap(sotto_client *client, int64_t *deadline,
                              sotto_bootstrap_result *result, sotto_error *error)
{
    sotto_bootstrap b;
    sotto_verdict verdict;
    sotto_err err;

    memset(&b, 0, sizeof b);
    err = fetch_patiently(client, *deadline, &b, &verdict, error);
    if (err == SOTTO_OK && verdict == SOTTO_VERDICT_ASK) {
        err = ask(client, &b.server_key, deadline, error);
        if (err == SOTTO_OK)
            err = fetch_patiently(client, *deadline, &b, &verdict, error);
        if (err == SOTTO_OK && verdict == SOTTO_VERDICT_ASK)
            err = other_key(client, error);
    }
    if (err != SOTTO_OK)
        goto out;
    if ((err = derive(client, &b, error)) != SOTTO_OK)
        goto out;
    if ((err = pin(client, &b, error)) != SOTTO_OK) {
        client->has_result = false;
        goto out;
    }
    si_client_trace(client, SOTTO_STAGE_TRUST, "%s in %s",
                    verdict == SOTTO_VERDICT_KNOWN ? "the key is pinned" : "the key is pinned now",
                    client->known_servers);
    remember(client);
    client->fresh = false;
    if (result != NULL)
        fill_result(client, &b, verdict != SOTTO_VERDICT_KNOWN, result);
out:
    si_wipe(&b, sizeof b);
    return err;
}

/* ---- Session --------------------------------------------------------------------------------- */

/* A result from memory or from the cache, if its key is the pinned one: then no bootstrap is
 * needed.  An error is one of the trust table. */
static sotto_err find_result(sotto_client *client, bool *found, sotto_error *error)
{
    const char *fingerprint = client->fingerprint[0] ? client->fingerprint : NULL;
    const sotto_public_key *pinned;
    sotto_verdict verdict;
    sotto_pins pins;
    sotto_err err;

    *found = false;
    err = sotto_known_servers_lookup(client->known_servers, client->address.text, &pins, error);
    si_error_stage(error, SOTTO_STAGE_TRUST);
    if (err != SOTTO_OK)
        return err;
    pinned = &pins.key[client->curve - 1];
    if (pinned->curve == 0)
        return SOTTO_OK; /* the bootstrap will ask the trust table */
    err = sotto_trust_decide(&pins, pinned, fingerprint, client->trust, client->known_servers,
                             client->address.text, &verdict, error);
    si_error_stage(error, SOTTO_STAGE_TRUST);
    if (err != SOTTO_OK || client->fresh)
        return err;

    if (!client->has_result && client->state_dir[0] != '\0') {
        client->has_result = si_cache_load(client->state_dir, client->address.text, client->curve,
                                           client->secrets_id, &client->result);
        client->result_expires = INT64_MAX;
    }
    *found = client->has_result && si_now() < client->result_expires &&
             sotto_public_key_equal(&client->result.server_key, pinned);
    return SOTTO_OK;
}

sotto_err si_client_result(sotto_client *client, int64_t *deadline, bool *bootstrapped,
                           sotto_error *error)
{
    bool found;
    sotto_err err = find_result(client, &found, error);

    if (err != SOTTO_OK)
        return err;
    if (found) {
        if (!*bootstrapped)
            si_client_trace(client, SOTTO_STAGE_PSK, "from an earlier bootstrap");
        return SOTTO_OK;
    }
    *bootstrapped = true;
    return si_client_bootstrap(client, deadline, NULL, error);
}

sotto_session_client_options si_client_session_options(const sotto_client *client)
{
    sotto_session_client_options o = wire_options(client, SOTTO_SESSION);

    o.server_key = &client->result.server_key;
    o.psk = &client->result.psk;
    memcpy(o.epoch, client->result.epoch, sizeof o.epoch);
    return o;
}

static sotto_err open_session(sotto_client *client, int64_t deadline, sotto_error *error)
{
    sotto_session_client_options o = si_client_session_options(client);
    char name[SOTTO_NOISE_NAME_SIZE];
    struct si_wire *wire;
    sotto_err err;

    if ((err = si_wire_open(client, &o, deadline, &wire, error)) != SOTTO_OK)
        return err;
    if ((err = si_wire_wait(wire, &wire->opened, deadline)) != SOTTO_OK ||
        (err = wire->over ? wire->err : SOTTO_OK) != SOTTO_OK) {
        err = si_client_explain(client, wire, SOTTO_STAGE_SESSION, err, error);
        si_wire_close(wire, 0);
        return err;
    }
    client->wire = wire;
    client->stats.sessions++;
    sotto_session_noise_name(wire->session, name);
    si_client_trace(client, SOTTO_STAGE_SESSION, "%s", name);
    return SOTTO_OK;
}

/* Is the session of the last call still good for another one? */
static bool is_usable(struct si_wire *wire)
{
    if (wire == NULL)
        return false;
    si_wire_poll(wire);
    return !wire->over && !wire->closed && !wire->draining && sotto_session_is_open(wire->session);
}

sotto_err si_client_session(sotto_client *client, int64_t *deadline, sotto_error *error)
{
    bool bootstrapped = false;
    sotto_err err;

    if (is_usable(client->wire))
        return SOTTO_OK;
    si_wire_close(client->wire, 0);
    client->wire = NULL;

    for (;;) {
        if ((err = si_client_result(client, deadline, &bootstrapped, error)) != SOTTO_OK)
            return err;
        err = open_session(client, *deadline, error);
        if (err == SOTTO_E_UNAVAILABLE && wait_ms(client, client->retry_after_ms, *deadline))
            continue;
        /* The one refusal that a new bootstrap mends, once, and under the same pin (section 3). */
        if (err != SOTTO_E_REFUSED || !client->epoch_refused || bootstrapped)
            return err;
        si_client_trace(client, SOTTO_STAGE_SESSION, "the server has a new epoch: bootstrap again");
        client->has_result = false;
        client->fresh = true;
    }
}
