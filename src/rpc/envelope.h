/*
 * rpc/envelope.h: what a message means (docs/protocol.md, section 7).
 *
 * Reading turns a JSON text into a kind and its members; it is pure, and knows nothing of ids in
 * use or of counting.  Results point into the text or the JSON reader and live until the reader's
 * next use.
 */
#ifndef SI_RPC_ENVELOPE_H
#define SI_RPC_ENVELOPE_H

#include "base/buf.h"
#include "json/json.h"

#define SI_ID_MAX ((UINT64_C(1) << 53) - 1)
#define SI_DEADLINE_MS_MAX (UINT32_C(1) << 31)

/* An endpoint's "$/" is not counted. */
enum { SI_ENDPOINT_LEN_MAX = 128, SI_CODE_LEN_MAX = 128 };

enum si_envelope_kind {
    /* from a client */
    SI_REQUEST = 1,     /* counts */
    SI_NOTIFICATION,    /* "notify":true without id, well formed */
    SI_CANCEL,          /* id is set */
    SI_INVALID_REQUEST, /* counts; answered with invalid_request for its id or ordinal */
    SI_IGNORED,         /* a faulty notification; or, from a server, none of the shapes */
    /* from a server */
    SI_ANSWER,  /* final; content */
    SI_PART,    /* content, "more":true */
    SI_FAILURE, /* final; code, message, data */
    SI_DRAINING,
    /* from both */
    SI_CLOSE /* code, message, reconnect_after_ms as far as they are well formed */
};

/* Codes and messages are the peer's words: strings of any length, perhaps with control
 * characters. */
struct si_envelope {
    enum si_envelope_kind kind;
    bool has_id;
    uint64_t id;                 /* 1 to SI_ID_MAX when has_id */
    struct si_span endpoint;     /* of REQUEST and NOTIFICATION: a well-formed name */
    struct si_span content;      /* raw JSON; "null" when the member is missing */
    uint32_t deadline_ms;        /* 0: not said */
    struct si_span code;         /* FAILURE, CLOSE */
    struct si_span message;      /* FAILURE, CLOSE; unescaped UTF-8 */
    struct si_span data;         /* FAILURE: raw JSON, or empty */
    uint32_t reconnect_after_ms; /* DRAINING, CLOSE; 0: not said */
    const char *why;             /* INVALID_REQUEST: constant text for the answer's message */
};

/*
 * Read a client's message, and a server's.  TEXT is followed by SI_JSON_PADDING readable bytes.
 *
 * E_PROTOCOL: not strict JSON, no object, a duplicate member, an invalid id; from a server, also
 * every other breach.  E_NOMEM.
 */
SOTTO_MUST_CHECK sotto_err si_envelope_read_client(struct si_json *json, struct si_span text,
                                                   struct si_envelope *out);
SOTTO_MUST_CHECK sotto_err si_envelope_read_server(struct si_json *json, struct si_span text,
                                                   struct si_envelope *out);

/* Is NAME a well-formed endpoint name?  RESERVED says whether "$/" may stand in front. */
bool si_endpoint_name_ok(struct si_span name, bool reserved);

/* Is CODE a well-formed error code: one of the protocol's, or an application's with a prefix and
 * a dot? */
bool si_error_code_ok(struct si_span code);

/* May TEXT stand in `content` or `data`?  E_JSON: it is not strict JSON, or nested more than
 * SI_JSON_DEPTH - 1 deep, since the message around it is a level of its own (section 1).
 * E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_content_check(struct si_json *json, struct si_span text);

/* Compose.  MESSAGE and DATA may be empty (left out); DATA is a JSON text.  CODE and MESSAGE are
 * UTF-8.  Appends to OUT.  E_NOMEM, E_TOO_LARGE (OUT's limit); OUT is unchanged then. */
SOTTO_MUST_CHECK sotto_err si_envelope_put_failure(struct si_buf *out, uint64_t id,
                                                   struct si_span code, struct si_span message,
                                                   struct si_span data);

#endif
