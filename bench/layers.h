/*
 * bench/layers.h: what the files of bench_layers share.
 *
 *     layers.c             the lines, the allocator that counts, a server and its clients in memory
 *     layers_handshake.c   handshakes, at the responder
 *     layers_messages.c    records, envelopes, and messages through the whole server
 *     layers_loop.c        wake-ups, and the clock
 *
 * Whatever goes wrong while something is set up ends the program.
 */
#ifndef BENCH_LAYERS_H
#define BENCH_LAYERS_H

#include "clock.h"

#include "net/net.h"
#include "session/internal.h"

enum { MIB = 1048576, PADDING = SI_STREAM_PADDING, NAME_SIZE = 96 };

void require(const char *what, bool ok);

static inline void require_ok(const char *what, sotto_err err)
{
    require(what, err == SOTTO_OK);
}

/* ---- Lines ---- */

/* Has the line NAME been asked for? */
bool wanted(const char *name);

/* Measure WORK and BOUND by turns and print a line, if it is wanted.  A step does its work PER
 * times, over BYTES bytes in all (0: no matter). */
void compare(struct bench_work work, struct bench_work bound, double per, double bytes);

/* Lines for works[0] up to works[count - 2], which all have works[count - 1] as their bound. */
void compare_all(const struct bench_work *works, size_t count);

/* ---- A server and its clients ---- */

struct world {
    sotto_keypair *key[SOTTO_CURVE_COUNT];
    sotto_psk psk;
    sotto_acceptor *acceptor;
    struct si_scratch scratch;
};
extern struct world world;

sotto_session *new_client(bool bootstrap, sotto_curve curve, sotto_cipher cipher);
sotto_session *new_server(void);

/* What SESSION has to send becomes OUT, for the caller to free. */
void take_flight(sotto_session *session, struct si_buf *out);

/* Feed a copy of FLIGHT; a verdict is given, messages are counted and dropped. */
size_t give_flight(sotto_session *session, const struct si_buf *flight);

/* ---- The groups of lines ---- */

void bench_handshakes(void);
void bench_records(void);
void bench_envelopes(void);
void bench_large(void);
void bench_loop(void);

#endif
