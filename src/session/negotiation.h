/*
 * session/negotiation.h: the JSON texts of a handshake (docs/protocol.md, sections 3 and 6):
 * negotiation, refusal, server hello.
 */
#ifndef SI_SESSION_NEGOTIATION_H
#define SI_SESSION_NEGOTIATION_H

#include "base/buf.h"
#include "json/json.h"
#include "sotto/session.h"

enum {
    SI_NEGOTIATION_MAX = 1024,    /* section 2, before authentication */
    SI_HANDSHAKE_NOISE_MAX = 2048 /* section 2 */
};

enum si_pattern_id { SI_XX = 1, SI_XXPSK0, SI_NKPSK0, SI_IKPSK0 };

static inline bool si_is_session_pattern(enum si_pattern_id id)
{
    return id == SI_NKPSK0 || id == SI_IKPSK0;
}

/* As it stands in a negotiation and in a Noise name. */
const char *si_pattern_id_name(enum si_pattern_id id);

struct si_negotiation {
    enum si_pattern_id pattern;     /* 0: unknown */
    sotto_curve curve;              /* 0: unknown */
    sotto_cipher cipher;            /* 0: unknown */
    uint8_t epoch[SOTTO_EPOCH_LEN]; /* session patterns */
    uint32_t max_message;           /* session patterns */
};

/* Append the text.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_negotiation_write(const struct si_negotiation *n, struct si_buf *out);

/*
 * Read a client's negotiation.  *REFUSAL is NULL, or the code of section 3 of the first thing that
 * is wrong with the text itself: "malformed" or "unsupported_version"; unknown names become 0 for
 * the caller to refuse.  E_NOMEM.
 */
SOTTO_MUST_CHECK sotto_err si_negotiation_read(struct si_json *json, struct si_span text,
                                               struct si_negotiation *out, const char **refusal);

/* A refusal, or the error of a bootstrap document.  Code and message are cut to fit, control
 * characters become '?'. */
struct si_refusal {
    char code[64];
    char message[256];
    uint32_t retry_after_ms; /* 0: not said */
};

/* Append {"error":{…}}.  MESSAGE may be empty.  E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_refusal_write(const char *code, const char *message,
                                            uint32_t retry_after_ms, struct si_buf *out);

/* Read the object `error` of such a text.  E_PROTOCOL: malformed; E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_refusal_read_error(struct si_json *json, struct si_span error,
                                                 struct si_refusal *out);

/* Read the whole text.  E_PROTOCOL, E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_refusal_read(struct si_json *json, struct si_span text,
                                           struct si_refusal *out);

/* Section 6.  E_NOMEM. */
struct si_hello {
    uint32_t max_message;
    uint32_t keepalive_ms;
};
SOTTO_MUST_CHECK sotto_err si_hello_write(const struct si_hello *hello, const char *agent,
                                          struct si_buf *out);

/* Missing members get their defaults.  E_PROTOCOL, E_NOMEM. */
SOTTO_MUST_CHECK sotto_err si_hello_read(struct si_json *json, struct si_span text,
                                         struct si_hello *out);

/* An E_JSON of the reader is a breach of the protocol here. */
static inline sotto_err si_protocol_error(sotto_err err)
{
    return err == SOTTO_E_JSON ? SOTTO_E_PROTOCOL : err;
}

#endif
