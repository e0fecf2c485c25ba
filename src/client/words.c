/*
 * What the client says: the trace of its steps, and errors in words.
 */
#include <stdarg.h>
#include <stdio.h>

#include "client/internal.h"

void si_client_trace(sotto_client *client, sotto_stage stage, const char *fmt, ...)
{
    int64_t now = si_now();
    char text[512];
    va_list args;

    if (client->trace == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    client->trace(client->user, stage, text, (now - client->traced_at) / 1000);
    client->traced_at = si_now();
}

/* What a refusal means for the caller. */
static sotto_err refusal_err(const char *code)
{
    if (strcmp(code, "busy") == 0)
        return SOTTO_E_UNAVAILABLE;
    if (strcmp(code, "client_key_required") == 0)
        return SOTTO_E_DENIED;
    return SOTTO_E_REFUSED;
}

static const char *refusal_hint(const char *code)
{
    static const char *const hints[][2] = {
        {"unsupported_pattern",
         "the server is gated and this client is not, or the reverse: --gate"},
        {"unsupported_curve", "the server has no key on this curve: try the other --curve"},
        {"unsupported_cipher", "try the other --cipher"},
        {"unsupported_version", "one of the two speaks a newer protocol: upgrade the other"},
        {"unknown_epoch", "the server was restarted: try again"},
        {"client_key_required",
         "give this client an identity that the server knows: --identity KEY"},
        {"busy", "try again later"},
    };

    for (size_t i = 0; i < SI_COUNT(hints); i++) {
        if (strcmp(hints[i][0], code) == 0)
            return hints[i][1];
    }
    return "is this a Sotto server?";
}

static void explain_refusal(const struct si_wire *wire, sotto_error *error)
{
    const char *code = sotto_session_refusal_code(wire->session);
    const char *message = sotto_session_refusal_message(wire->session);

    si_error_why(error, "it refused with `%s`%s%s", code, message[0] ? ": " : "", message);
    si_error_hint(error, "%s", refusal_hint(code));
}

static void explain_handshake(sotto_stage stage, bool gate, sotto_error *error)
{
    if (stage == SOTTO_STAGE_SESSION) {
        si_error_why(error,
                     "it closed the connection without a word: its secrets or its key differ, "
                     "or it is stopping or overloaded");
        si_error_hint(error,
                      "give both sides the secrets made together (--secrets), or start anew: "
                      "--fresh");
    } else {
        si_error_why(error,
                     "it closed the connection without a word%s; or it is stopping or "
                     "overloaded",
                     gate ? ": its gate needs the same secrets" : "");
        si_error_hint(error, "is this a Sotto server, and are these its clients' secrets?");
    }
}

sotto_err si_client_explain(const sotto_client *client, const struct si_wire *wire,
                            sotto_stage stage, sotto_err err, sotto_error *error)
{
    sotto_client *c = wire->client;
    bool refused = err == SOTTO_E_REFUSED;
    const char *code = refused ? sotto_session_refusal_code(wire->session) : "";

    c->epoch_refused = strcmp(code, "unknown_epoch") == 0;
    c->retry_after_ms = sotto_session_refusal_retry_ms(wire->session);
    if (refused)
        err = refusal_err(code);
    (void)si_error(error, err,
                   stage == SOTTO_STAGE_SESSION ? "cannot start a session with %s"
                                                : "cannot bootstrap with %s",
                   client->address.text);
    if (refused) {
        explain_refusal(wire, error);
    } else if (err == SOTTO_E_HANDSHAKE) {
        explain_handshake(stage, client->gate, error);
    } else if (err == SOTTO_E_DENIED) {
        si_error_why(error, "it serves only clients whose key it knows%s",
                     client->identity == NULL ? ", and this one has none" : "");
        si_error_hint(error,
                      "give an identity that is in the server's --clients file: --identity KEY");
    } else {
        si_error_why(error, "%s", sotto_strerror(err));
        if (err == SOTTO_E_AUTH)
            si_error_hint(error,
                          "the bytes were changed on the way, or the secrets differ: --fresh");
    }
    si_error_stage(error, stage);
    return err;
}

sotto_err si_client_explain_call(const sotto_client *c, const char *endpoint, size_t len,
                                 const sotto_reply *reply, sotto_err err, sotto_error *error)
{
    (void)si_error(error, err, "the call of %s at %s failed", endpoint, c->address.text);
    if (reply != NULL && reply->error_code != NULL) {
        si_error_why(error, "the server answered `%s`%s%s", reply->error_code,
                     reply->error_message != NULL ? ": " : "",
                     reply->error_message != NULL ? reply->error_message : "");
        if (err == SOTTO_E_NOT_FOUND)
            si_error_hint(error, "list what it has: call the endpoint $/endpoints");
    } else if (err == SOTTO_E_TOO_LARGE) {
        si_error_why(error, "the message would have about %zu bytes, and the server takes %u", len,
                     sotto_session_peer_max_message(c->wire->session));
        si_error_hint(error, "send less, or raise the server's max_message");
    } else if (err == SOTTO_E_USAGE) {
        si_error_why(error, "an endpoint's name has 1 to 128 bytes of A-Z a-z 0-9 . _ / -");
    } else if (err == SOTTO_E_JSON) {
        si_error_why(error, "the content is nested too deep: 63 levels are left for it");
    } else if (err == SOTTO_E_DENIED) {
        si_error_why(error, "the server serves only clients whose key it knows");
        si_error_hint(error, "have the server's --clients file list this client's public key");
    } else {
        si_error_why(error, "%s%s", sotto_strerror(err),
                     reply != NULL && reply->maybe_executed ? "; the server may have run it" : "");
    }
    si_error_stage(error, SOTTO_STAGE_CALL);
    return err;
}
