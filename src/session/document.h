/*
 * session/document.h: the bootstrap document (docs/protocol.md, section 4).
 */
#ifndef SI_SESSION_DOCUMENT_H
#define SI_SESSION_DOCUMENT_H

#include "session/negotiation.h"

/* Append the document of CURVE.  KEYS are the server's static public keys, by curve - 1, curve 0
 * for none.  E_NOMEM, E_USAGE. */
SOTTO_MUST_CHECK sotto_err si_document_write(const sotto_psk_parameters *parameters,
                                             sotto_curve curve, const sotto_public_key *keys,
                                             sotto_client_auth client_auth, uint32_t expires_in_s,
                                             struct si_buf *out);

/*
 * Read and check a document.  SERVER_KEY is the key that XX proved, on the chosen curve.
 * Everything is checked here but the ranges of salt_index and iterations, which belong to the
 * client's secrets.
 *
 * E_DENIED: an error stands in its place (*REFUSAL is filled).  E_PROTOCOL: malformed, a member
 * missing, mistyped or out of range, another curve or key than XX proved.  E_DH: a key is a
 * low-order point.  E_NOMEM, E_CRYPTO, E_RANDOM. *OUT is wiped after an error.
 */
SOTTO_MUST_CHECK sotto_err si_document_read(struct si_json *json, struct si_span text,
                                            const sotto_public_key *server_key,
                                            sotto_bootstrap *out, struct si_refusal *refusal);

#endif
