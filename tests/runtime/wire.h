/*
 * One connection in the test's own hands: a public sotto_session over a blocking socket, on either
 * side.  It does what the test says and nothing by itself: it may keep silent, never read, or go
 * away in the middle.
 */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include "support.h"

/* What a bootstrap taught a client. */
struct taught {
    sotto_curve curve;
    sotto_cipher cipher;
    sotto_public_key server_key;
    sotto_psk psk;
    uint8_t epoch[SOTTO_EPOCH_LEN];
    sotto_client_auth client_auth;
    sotto_psk_parameters parameters;
};

struct wire {
    int fd;
    sotto_session *session;
    char **messages; /* that came and were not read yet */
    size_t first, count, cap;
    bool opened, documented, ended; /* ended: the peer's end of stream, or a reset */
    sotto_err err;                  /* the session's, or SOTTO_OK */
    sotto_bootstrap bootstrap;
};

/* Bootstrap at ADDRESS with the world's client secrets. */
void wire_bootstrap(const char *address, sotto_curve curve, sotto_cipher cipher,
                    struct taught *out);

/* A client's session, open.  MAX_MESSAGE 0: the default. */
void wire_open(struct wire *wire, const char *address, const struct taught *taught,
               const sotto_keypair *identity, uint32_t max_message);

/* The server's side of the connected socket FD. */
void wire_serve(struct wire *wire, int fd, const sotto_acceptor *acceptor);
void wire_serve_until_open(struct wire *wire); /* a session's handshake */
void wire_serve_until_end(struct wire *wire);  /* a bootstrap, or a refusal: to the very end */

/* An acceptor with the world's keys and secrets; *PARAMETERS are made when their server_string_len
 * is 0. */
sotto_acceptor *acceptor_new(sotto_psk_parameters *parameters, uint32_t keepalive_ms);

/* Send a message, all of it. */
void wire_send(struct wire *wire, const char *text);

/* Queue a message; it leaves with the next flush. */
void wire_queue(struct wire *wire, const char *text);

/* Send what waits as far as the kernel takes it without waiting; true: all of it. */
bool wire_flush(struct wire *wire);

/* The next message, to be freed; NULL at the end of the connection.  Fails after WAIT_MS. */
char *wire_receive(struct wire *wire);

/* The next message must be TEXT. */
void wire_expect(struct wire *wire, const char *text);

/* Just close the socket; RESET: with a TCP reset. */
void wire_drop(struct wire *wire, bool reset);

#endif
