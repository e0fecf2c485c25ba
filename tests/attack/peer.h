/*
 * A peer made of the Noise layer alone: it has the right keys, and says what it likes.
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include "noise/handshake.h"
#include "pair.h"

struct peer {
    enum si_role role;
    enum pattern pattern;
    struct si_handshake *hs; /* NULL after the split */
    struct si_cipher_state tx, rx;
    unsigned written; /* handshake messages */
    uint8_t h[SI_HASH_LEN_MAX];
    size_t h_len;
    char negotiation[1025];
    size_t negotiation_len;
};

/* A client that opens with NEGOTIATION, or the usual text when it is NULL.  Its keys come from
 * OPTIONS. */
void peer_client(struct peer *p, const sotto_session_client_options *options, enum pattern pattern,
                 const char *negotiation);

/* A server of W's keys, to answer FRAME, a client's first one. */
void peer_server(struct peer *p, const struct world *w, enum pattern pattern, sotto_curve curve,
                 sotto_cipher cipher, struct si_span frame);
void peer_free(struct peer *p);

/* Append the next handshake frame: NEGOTIATION (may be empty), and PAYLOAD as its plaintext. */
void peer_handshake(struct peer *p, const void *negotiation, size_t negotiation_len,
                    struct si_span payload, struct bytes *out);

/* The same with the usual negotiation and an empty body. */
void peer_next(struct peer *p, struct bytes *out);

/* Message 2 of a session with this server hello. */
void peer_hello(struct peer *p, const char *hello, struct bytes *out);

/* Read a handshake frame of the other side. */
void peer_read(struct peer *p, struct si_span frame);

/* Append a transport frame whose plaintext is PLAIN, byte for byte. */
void peer_record(struct peer *p, const void *plain, size_t len, struct bytes *out);

/* A record with this body; PADDING bytes that are not zero behind it. */
void peer_body(struct peer *p, const void *body, size_t len, size_t padding, struct bytes *out);

/* A record with one message. */
void peer_message(struct peer *p, const char *text, struct bytes *out);

/* Open the transport frame at the front of IN; the body goes to BODY.  How long the frame is; 0:
 * not whole. */
size_t peer_open(struct peer *p, struct si_span in, struct bytes *body);

/* The length of the handshake frame, or transport frame, at the front of IN. */
size_t handshake_frame_len(struct si_span in);
size_t transport_frame_len(struct si_span in);

/* A scripted client that has finished its handshake with a fresh server session: the server is
 * half-open (sessions) or has sent the document (bootstrap). */
void peer_meets_server(struct peer *p, struct end *server, const struct world *w,
                       const sotto_acceptor *acceptor, const int64_t *now, enum pattern pattern,
                       sotto_curve curve, sotto_cipher cipher);

/* A scripted server that has finished its handshake with a fresh client session, which is open
 * (HELLO NULL: "{}"), or waits for its document. */
void peer_meets_client(struct peer *p, struct end *client, const struct world *w,
                       const int64_t *now, enum pattern pattern, sotto_curve curve,
                       sotto_cipher cipher, const char *hello);

#endif
