#include "status.h"

#include <stddef.h>
#include <string.h>

static const struct {
    int status;
    const char *text;
} meanings[] = {
    {STATUS_OK, "success"},
    {STATUS_UNEXPECTED, "unexpected failure"},
    {STATUS_USAGE, "wrong usage"},
    {STATUS_CALL, "the endpoint answered with an error of its own"},
    {STATUS_DEADLINE, "the deadline passed"},
    {STATUS_UNREACHABLE, "the server cannot be reached, or the connection was lost"},
    {STATUS_TRUST, "the server's key is unknown or changed, or the known servers are unusable"},
    {STATUS_HANDSHAKE, "the handshake failed or was refused"},
    {STATUS_DENIED, "denied: the server does not serve this client"},
    {STATUS_NOT_FOUND, "no such endpoint"},
    {STATUS_PROTOCOL, "the peer broke the protocol, or a message is too large"},
    {STATUS_UNAVAILABLE, "unavailable: draining, busy or overloaded; try again later"},
    {STATUS_LOCAL, "bad local file or JSON input"},
    {STATUS_INTERRUPTED, "interrupted"},
};

/* No default: the compiler asks for a decision when the library gets a new code. */
int status_of(sotto_err err)
{
    switch (err) {
    case SOTTO_OK:
        return STATUS_OK;
    case SOTTO_E_USAGE:
        return STATUS_USAGE;
    case SOTTO_E_FILE:
    case SOTTO_E_FORMAT:
    case SOTTO_E_PERMISSION:
    case SOTTO_E_EXISTS:
    case SOTTO_E_JSON:
    case SOTTO_E_KEY:
    case SOTTO_E_DEFAULT_SECRETS:
        return STATUS_LOCAL;
    case SOTTO_E_TIMEOUT:
        return STATUS_DEADLINE;
    case SOTTO_E_RESOLVE:
    case SOTTO_E_CONNECT:
    case SOTTO_E_LOST:
    case SOTTO_E_CLOSED:
        return STATUS_UNREACHABLE;
    case SOTTO_E_KEY_UNKNOWN:
    case SOTTO_E_KEY_MISMATCH:
    case SOTTO_E_KEY_UNKNOWN_CURVE:
    case SOTTO_E_TRUST_STORE:
        return STATUS_TRUST;
    case SOTTO_E_AUTH:
    case SOTTO_E_DH:
    case SOTTO_E_REFUSED:
    case SOTTO_E_HANDSHAKE:
    case SOTTO_E_PARAMETERS:
        return STATUS_HANDSHAKE;
    case SOTTO_E_DENIED:
        return STATUS_DENIED;
    case SOTTO_E_NOT_FOUND:
        return STATUS_NOT_FOUND;
    case SOTTO_E_PROTOCOL:
    case SOTTO_E_TOO_LARGE:
        return STATUS_PROTOCOL;
    case SOTTO_E_UNAVAILABLE:
        return STATUS_UNAVAILABLE;
    case SOTTO_E_CALL:
    case SOTTO_E_CANCELLED:
        return STATUS_CALL;
    case SOTTO_E_UNSUPPORTED:
    case SOTTO_E_BUFFER:
    case SOTTO_E_AGAIN:
    case SOTTO_E_GONE:
    case SOTTO_E_NOMEM:
    case SOTTO_E_SYSTEM:
    case SOTTO_E_RANDOM:
    case SOTTO_E_NONCE:
    case SOTTO_E_CRYPTO:
    case SOTTO_E_REPLAY:
        return STATUS_UNEXPECTED;
    }
    return STATUS_UNEXPECTED;
}

int status_of_call(sotto_err err, const char *code)
{
    /* docs/protocol.md, section 7; every other code is the application's, or as good as. */
    static const struct {
        const char *code;
        int status;
    } codes[] = {
        {"deadline_exceeded", STATUS_DEADLINE}, {"denied", STATUS_DENIED},
        {"not_found", STATUS_NOT_FOUND},        {"invalid_request", STATUS_PROTOCOL},
        {"too_large", STATUS_PROTOCOL},         {"overloaded", STATUS_UNAVAILABLE},
        {"unavailable", STATUS_UNAVAILABLE},
    };

    for (size_t i = 0; code != NULL && i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(code, codes[i].code) == 0)
            return codes[i].status;
    return status_of(err);
}

void status_print(FILE *out)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        (void)fprintf(out, "  %3d  %s\n", meanings[i].status, meanings[i].text);
}
