#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/internal.h"
#include "sotto/json.h"

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    GOODBYE_MS = 1000 /* a notification's last chance to arrive */
};

static int64_t deadline_in(uint32_t ms)
{
    return si_now() + (int64_t)ms * 1000000;
}

/* ---- Options --------------------------------------------------------------------------------- */

static sotto_err usage(sotto_error *error, const char *why)
{
    (void)si_error(error, SOTTO_E_USAGE, "cannot make a client");
    si_error_why(error, "%s", why);
    return SOTTO_E_USAGE;
}

static sotto_err check_options(const sotto_client_options *o, sotto_error *error)
{
    if (o->size != sizeof *o)
        return usage(error, "the options were not set up with SOTTO_CLIENT_OPTIONS_INIT");
    if (o->address == NULL)
        return usage(error, "no address was given");
    if ((o->curve != 0 && sotto_curve_name(o->curve) == NULL) ||
        (o->cipher != 0 && sotto_cipher_name(o->cipher) == NULL))
        return usage(error, "curve or cipher is none of its values");
    if (o->trust > SOTTO_TRUST_ACCEPT_NEW)
        return usage(error, "trust is none of its values");
    if (o->trust == SOTTO_TRUST_ASK && o->ask == NULL)
        return usage(error, "trust `ask` needs somebody to ask");
    if (o->max_message != 0 && o->max_message < SOTTO_MESSAGE_MAX_LEAST)
        return usage(error, "max_message is below 1024");
    if (o->max_iterations != 0 && o->max_iterations < SOTTO_ITERATIONS_DEFAULT)
        return usage(error, "max_iterations is below 10000, the least that a client takes");
    if (o->fingerprint != NULL && !sotto_is_fingerprint(o->fingerprint))
        return usage(error, "the fingerprint is not \"SHA256:\" and 43 characters of base64");
    return SOTTO_OK;
}

static sotto_err take_fingerprint(sotto_client *c, const sotto_client_options *o,
                                  sotto_error *error)
{
    const char *given = o->fingerprint != NULL ? o->fingerprint : "";
    const char *in_address = c->address.fingerprint;

    if (given[0] && in_address[0] && strcmp(given, in_address) != 0)
        return usage(error, "the fingerprint in the address and the other one differ");
    (void)snprintf(c->fingerprint, sizeof c->fingerprint, "%s", given[0] ? given : in_address);
    return SOTTO_OK;
}

static sotto_err take_path(const char *given, sotto_err (*fallback)(char *, size_t, sotto_error *),
                           char out[SI_CLIENT_PATH_SIZE], sotto_error *error)
{
    if (given == NULL) {
        sotto_err err = fallback(out, SI_CLIENT_PATH_SIZE, error);

        if (err != SOTTO_E_BUFFER)
            return err;
        (void)si_error(error, SOTTO_E_FILE, "the path of a folder of ours is too long");
        si_error_hint(error, "set HOME, XDG_CONFIG_HOME and XDG_STATE_HOME to shorter paths");
        return SOTTO_E_FILE;
    }
    if (strlen(given) >= SI_CLIENT_PATH_SIZE)
        return usage(error, "a path is too long");
    memcpy(out, given, strlen(given) + 1);
    return SOTTO_OK;
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static sotto_err take_options(sotto_client *c, const sotto_client_options *o, sotto_error *error)
{
    sotto_err err;

    c->curve = o->curve != 0 ? o->curve : SOTTO_CURVE_25519;
    c->cipher = o->cipher != 0 ? o->cipher : SOTTO_CIPHER_AESGCM;
    c->secrets = o->secrets;
    c->identity = o->identity;
    c->gate = o->gate != 0;
    c->fresh = o->fresh != 0;
    c->trust = o->trust;
    c->ask = o->ask;
    c->trace = o->trace;
    c->user = o->user;
    c->timeout_ms = or_default(o->timeout_ms, DEFAULT_TIMEOUT_MS);
    c->handshake_timeout_ms = or_default(o->handshake_timeout_ms, SOTTO_HANDSHAKE_TIMEOUT_MS);
    c->max_message = or_default(o->max_message, SOTTO_MESSAGE_MAX_DEFAULT);
    c->max_iterations = or_default(o->max_iterations, SOTTO_ITERATIONS_MAX_DEFAULT);
    if (o->identity != NULL && sotto_keypair_public(o->identity).curve != c->curve)
        return usage(error, "the identity key is on another curve");
    if ((err = sotto_address_parse(o->address, &c->address, error)) != SOTTO_OK ||
        (err = take_fingerprint(c, o, error)) != SOTTO_OK ||
        (err = take_path(o->known_servers, sotto_known_servers_path, c->known_servers, error)) !=
            SOTTO_OK ||
        (err = take_path(o->state_dir, si_cache_default_dir, c->state_dir, error)) != SOTTO_OK)
        return err;
    if (c->address.port == 0)
        return usage(error, "port 0 cannot be called");
    if (c->secrets == NULL) {
        if ((err = sotto_secrets_builtin(&c->own_secrets, error)) != SOTTO_OK)
            return err;
        c->secrets = c->own_secrets;
    }
    return SOTTO_OK;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

static void on_timer(void *user)
{
    (void)user; /* whoever runs the loop looks at the clock */
}

sotto_err sotto_client_new(const sotto_client_options *options, sotto_client **out,
                           sotto_error *error)
{
    sotto_client *c;
    sotto_err err = check_options(options, error);

    *out = NULL;
    if (err != SOTTO_OK)
        return err;
    if ((c = calloc(1, sizeof *c)) == NULL)
        return si_error(error, SOTTO_E_NOMEM, "cannot make a client");
    if ((err = take_options(c, options, error)) != SOTTO_OK) {
        sotto_client_free(c);
        return err;
    }
    if ((err = sotto_secrets_id(c->secrets, c->secrets_id)) != SOTTO_OK ||
        (err = si_scratch_init(&c->scratch)) != SOTTO_OK ||
        (err = si_loop_new(&c->loop)) != SOTTO_OK ||
        (err = si_timer_new(c->loop, on_timer, NULL, &c->timer)) != SOTTO_OK) {
        sotto_client_free(c);
        (void)si_error(error, err, "cannot make a client: %s", sotto_strerror(err));
        if (err == SOTTO_E_SYSTEM)
            si_error_hint(error, "are there file descriptors left? see: ulimit -n");
        return err;
    }
    *out = c;
    return SOTTO_OK;
}

void sotto_client_free(sotto_client *c)
{
    if (c == NULL)
        return;
    si_wire_close(c->wire, c->wire != NULL && c->wire->notified ? deadline_in(GOODBYE_MS) : 0);
    si_timer_close(c->timer);
    si_loop_free(c->loop);
    si_scratch_wipe(&c->scratch);
    sotto_secrets_free(c->own_secrets);
    si_wipe(c, sizeof *c);
    free(c);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* One call in flight. */
struct waiting {
    sotto_reply *reply;
    const sotto_call_options *options;
    bool done;
    bool stopped; /* by the caller's part function */
    sotto_err err;
};

/* A copy with a NUL behind it; HARMLESS: control characters become '?'.  NULL: out of memory. */
static char *copy_text(struct si_span text, bool harmless)
{
    char *copy = malloc(text.len + 1);

    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (harmless)
        si_text_make_harmless(copy, text.len);
    return copy;
}

/* The code of an error answer, as an error of ours. */
static sotto_err failure_err(struct si_span code)
{
    static const struct {
        const char *code;
        sotto_err err;
    } known[] = {
        {"not_found", SOTTO_E_NOT_FOUND},       {"denied", SOTTO_E_DENIED},
        {"deadline_exceeded", SOTTO_E_TIMEOUT}, {"cancelled", SOTTO_E_CANCELLED},
        {"unavailable", SOTTO_E_UNAVAILABLE},   {"overloaded", SOTTO_E_UNAVAILABLE},
        {"too_large", SOTTO_E_TOO_LARGE},
    };

    for (size_t i = 0; i < SI_COUNT(known); i++) {
        if (strlen(known[i].code) == code.len && memcmp(known[i].code, code.ptr, code.len) == 0)
            return known[i].err;
    }
    return SOTTO_E_CALL;
}

static sotto_err take_answer(sotto_reply *reply, const struct si_envelope *e)
{
    reply->content = copy_text(e->content, false);
    reply->content_len = e->content.len;
    return reply->content != NULL ? SOTTO_OK : SOTTO_E_NOMEM;
}

static sotto_err take_failure(sotto_reply *reply, const struct si_envelope *e)
{
    reply->error_code = copy_text(e->code, true);
    if (e->message.len > 0)
        reply->error_message = copy_text(e->message, true);
    if (e->data.len > 0)
        reply->error_data = copy_text(e->data, false);
    return failure_err(e->code);
}

static void on_done(void *user, const struct si_envelope *e, sotto_err err)
{
    struct waiting *w = user;

    if (w->stopped)
        return; /* more of the same batch; the caller has had enough */
    if (e != NULL && e->kind == SI_PART) {
        if (w->options != NULL && w->options->part != NULL)
            w->stopped = w->options->part(w->options->user, (const char *)e->content.ptr,
                                          e->content.len) != 0;
        w->done = w->stopped;
        w->err = w->stopped ? SOTTO_E_CANCELLED : SOTTO_OK;
        return;
    }
    w->done = true;
    w->err = e == NULL              ? err
             : e->kind == SI_ANSWER ? take_answer(w->reply, e)
                                    : take_failure(w->reply, e);
}

static sotto_err check_content(const char *content, size_t len, sotto_error *error)
{
    sotto_err err = sotto_json_check(content, len, error);

    if (err != SOTTO_OK)
        si_error_hint(
            error,
            "content is one JSON value, such as {\"x\":1}, [1,2], \"text\", 5, true or null");
    return err;
}

/* Milliseconds left for the server, at least 1. */
static uint32_t time_left_ms(int64_t deadline)
{
    int64_t left = (deadline - si_now()) / 1000000;

    return left < 1 ? 1 : (uint32_t)left;
}

/* May the server have run a call that ended with ERR?  Its own word counts, where it is clear. */
static bool may_have_run(const struct waiting *w, sotto_err err)
{
    if (err == SOTTO_OK || w->stopped)
        return false;
    if (w->reply->error_code != NULL) /* its handler had begun, or its answer was too large */
        return err == SOTTO_E_TIMEOUT || err == SOTTO_E_CANCELLED || err == SOTTO_E_TOO_LARGE;
    return err != SOTTO_E_DENIED;
}

/* Send the request and wait for its end. */
static sotto_err exchange(sotto_client *c, struct si_span endpoint, struct si_span content,
                          int64_t deadline, struct waiting *w)
{
    struct si_wire *wire = c->wire;
    uint64_t id;
    sotto_err err;

    err =
        si_pending_call(wire->pending, endpoint, content, time_left_ms(deadline), on_done, w, &id);
    if (err != SOTTO_OK)
        return err;
    c->stats.calls++;
    si_wire_pump(wire);
    err = si_wire_wait(wire, &w->done, deadline);
    if (w->done)
        err = w->err;
    w->reply->maybe_executed = may_have_run(w, err);
    if (w->done && (err == SOTTO_OK || w->reply->error_code != NULL))
        wire->notified = false; /* what went before it has arrived */
    /* Nobody calls back into W, which ends here. */
    if (!w->done || w->stopped) {
        si_pending_cancel(wire->pending, id);
        si_wire_pump(wire);
    }
    return err;
}

/* What can be wrong before anything is sent, and then the session. */
static sotto_err prepare(sotto_client *c, const char *endpoint, struct si_span content,
                         int64_t *deadline, sotto_error *error)
{
    sotto_err err;

    c->traced_at = si_now();
    if (!si_endpoint_name_ok(si_span_str(endpoint), true))
        return si_client_explain_call(c, endpoint, content.len, NULL, SOTTO_E_USAGE, error);
    err = check_content((const char *)content.ptr, content.len, error);
    return err == SOTTO_OK ? si_client_session(c, deadline, error) : err;
}

/* A session that ended with a breach has told the server so: let it hear, within the call's
 * time. */
static void drop_if_over(sotto_client *c, int64_t deadline)
{
    if (!c->wire->over)
        return;
    si_wire_close(c->wire, c->wire->err == SOTTO_E_PROTOCOL ? deadline : 0);
    c->wire = NULL;
}

sotto_err sotto_client_call(sotto_client *c, const char *endpoint, const char *content, size_t len,
                            const sotto_call_options *options, sotto_reply *reply,
                            sotto_error *error)
{
    struct si_span text = content != NULL ? si_span(content, len) : si_span_str("null");
    struct waiting w = {.reply = reply, .options = options};
    int64_t deadline;
    sotto_err err;

    memset(reply, 0, sizeof *reply);
    deadline = deadline_in(options != NULL && options->timeout_ms != 0 ? options->timeout_ms
                                                                       : c->timeout_ms);
    if ((err = prepare(c, endpoint, text, &deadline, error)) != SOTTO_OK)
        return err;
    err = exchange(c, si_span_str(endpoint), text, deadline, &w);
    if (c->scratch.large > 0)
        si_scratch_trim(&c->scratch, true); /* the next call may be far away */
    if (err != SOTTO_OK) {
        err = si_client_explain_call(c, endpoint, text.len, reply, err, error);
        drop_if_over(c, deadline);
        return err;
    }
    si_client_trace(c, SOTTO_STAGE_CALL, "%s answered with %zu bytes", endpoint,
                    reply->content_len);
    return SOTTO_OK;
}

sotto_err sotto_client_notify(sotto_client *c, const char *endpoint, const char *content,
                              size_t len, sotto_error *error)
{
    struct si_span text = content != NULL ? si_span(content, len) : si_span_str("null");
    int64_t deadline = deadline_in(c->timeout_ms);
    sotto_err err;

    if ((err = prepare(c, endpoint, text, &deadline, error)) != SOTTO_OK)
        return err;
    err = si_pending_notify(c->wire->pending, si_span_str(endpoint), text);
    if (err != SOTTO_OK)
        return si_client_explain_call(c, endpoint, text.len, NULL, err, error);
    c->wire->notified = true;
    si_wire_pump(c->wire);
    while (err == SOTTO_OK && !c->wire->over && sotto_session_output_waiting(c->wire->session) > 0)
        err = si_wire_step(c->wire, deadline);
    if (err == SOTTO_OK && c->wire->over)
        err = c->wire->err;
    return err == SOTTO_OK ? SOTTO_OK
                           : si_client_explain_call(c, endpoint, text.len, NULL, err, error);
}

void sotto_reply_free(sotto_reply *reply)
{
    if (reply == NULL)
        return;
    free(reply->content);
    free(reply->error_code);
    free(reply->error_message);
    free(reply->error_data);
    memset(reply, 0, sizeof *reply);
}

sotto_err sotto_client_bootstrap(sotto_client *c, sotto_bootstrap_result *result,
                                 sotto_error *error)
{
    int64_t deadline = deadline_in(c->timeout_ms);

    c->traced_at = si_now();
    return si_client_bootstrap(c, &deadline, result, error);
}

sotto_err sotto_client_session_options(sotto_client *c, sotto_session_client_options *options,
                                       sotto_error *error)
{
    int64_t deadline = deadline_in(c->timeout_ms);
    bool bootstrapped = false;
    sotto_err err;

    c->traced_at = si_now();
    err = si_client_result(c, &deadline, &bootstrapped, error);
    if (err != SOTTO_OK)
        return err;
    *options = si_client_session_options(c);
    options->input_padding = 0; /* it is not our loop that reads */
    return SOTTO_OK;
}

void sotto_client_get_stats(const sotto_client *c, sotto_client_stats *out)
{
    *out = c->stats;
}
