/*
 * Two sessions joined in memory, in virtual time, with somebody in between who tampers.
 *
 * An `end` is a session with the loop of a caller around it: it fetches events, gives the verdict,
 * sends and shuts down, and notes what it saw.  A `pair` moves the bytes of two ends, one flight
 * after the other, until nothing moves any more.  Whatever goes wrong in here (a call that the
 * header forbids, a loop without end) fails the test.  Input is fed in blocks of exactly its
 * length, and what a message's text promises to be readable is read, so a sanitizer sees every byte
 * too many.
 */
#ifndef TESTS_PAIR_H
#define TESTS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "crypto/crypto.h"
#include "session/scratch.h"
#include "sotto/session.h"

/* ---- A deployment ---------------------------------------------------------------------------- */

enum pattern { XX, XXPSK0, NKPSK0, IKPSK0, PATTERNS };

extern const char *const pattern_names[PATTERNS];

static inline bool is_bootstrap(enum pattern pattern)
{
    return pattern <= XXPSK0;
}

/* Keys and PSKs for one server and its clients; by curve - 1. */
struct world {
    sotto_keypair *server[SOTTO_CURVE_COUNT], *client[SOTTO_CURVE_COUNT],
        *stranger[SOTTO_CURVE_COUNT];
    sotto_public_key server_key[SOTTO_CURVE_COUNT], client_key[SOTTO_CURVE_COUNT],
        stranger_key[SOTTO_CURVE_COUNT];
    sotto_psk psk[SOTTO_CURVE_COUNT], gate[SOTTO_CURVE_COUNT];
    uint8_t epoch[SOTTO_EPOCH_LEN];
    sotto_psk_parameters parameters;
    sotto_acceptor *plain, *gated; /* the first knows `client` by the name "friend", optionally */
};

void world_init(struct world *w);
void world_free(struct world *w);

/* The options of `plain`, for a test that wants others. */
sotto_acceptor_options world_acceptor_options(const struct world *w);
sotto_acceptor *world_acceptor(const sotto_acceptor_options *options);

/* Of a client that has every key right. */
sotto_session_client_options world_client_options(const struct world *w, enum pattern pattern,
                                                  sotto_curve curve, sotto_cipher cipher);

/* The acceptor that takes PATTERN. */
static inline const sotto_acceptor *acceptor_for(const struct world *w, enum pattern pattern)
{
    return pattern == XXPSK0 ? w->gated : w->plain;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* A growing block.  It does not shrink and is not wiped. */
struct bytes {
    uint8_t *ptr;
    size_t len, cap;
};

void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_free(struct bytes *b);

/* What the harness allocates with; a test that makes malloc() fail puts the true one here. */
extern void *(*harness_realloc)(void *ptr, size_t size);

/* 32 bits from a state, for seeded choices. */
uint32_t next_random(uint32_t *state);

/* ---- One end --------------------------------------------------------------------------------- */

struct end;
typedef void event_hook(struct end *end, const sotto_event *event, void *user);

struct end {
    sotto_session *session;
    const int64_t *now;
    size_t padding;        /* readable bytes behind what is fed */
    bool withhold_verdict; /* the server's key gets no answer */
    bool no_output;        /* waiting output is not fetched: a peer that does not read */
    bool keep_open;        /* a wanted shutdown is not carried out */
    bool no_close_back;    /* the peer's close is not answered with one */
    bool hold;             /* input goes away before the events in it are fetched */
    event_hook *hook;      /* may send and close */
    void *user;

    struct bytes out; /* all it has sent */
    struct bytes log; /* all events: type, u32 length, text */
    sotto_err err;    /* the first error that a call returned */
    bool shut;        /* it has shut down its sending side */
    bool eof;         /* it was told of the peer's end of stream */
    bool over;        /* it wants to be freed */
    unsigned keys, bootstraps, opens, messages;
    size_t message_bytes;
    bool peer_close; /* a close was among the messages, and the session was told */
};

/* An end around SESSION, which it frees. */
void end_init(struct end *e, sotto_session *session, const int64_t *now);
void end_free(struct end *e);

/* Do what the session wants until it wants input, or nothing. */
void end_work(struct end *e);

/* Feed LEN bytes, and do what follows.  How many were taken: all, unless a verdict is withheld or
 * it is over. */
size_t end_feed(struct end *e, const void *data, size_t len);
void end_eof(struct end *e);

/* To the end's own deadline, at the end's time. */
void end_tick(struct end *e);

/* Queue a text; it leaves with the next end_work(). */
sotto_err end_send(struct end *e, const void *text, size_t len);
sotto_err end_send_text(struct end *e, const char *text);

/* Queue a close; without memory for it, the caller gives up and frees the session. */
void end_close(struct end *e);

/* Nothing ever opened, arrived or came of it. */
void assert_nothing_happened(const struct end *e);

/* ---- Two ------------------------------------------------------------------------------------- */

enum tampering { TAMPER_NOTHING, TAMPER_FLIP, TAMPER_DROP, TAMPER_INSERT, TAMPER_CUT };

/* One change to the stream of one side, CLIENT or SERVER.  VALUE is what the byte at OFFSET is
 * XORed with: for FLIP the byte itself, for INSERT a copy in front of it.  CUT: the end of the
 * stream comes instead of it. */
struct tamper {
    enum tampering what;
    unsigned side;
    size_t offset;
    uint8_t value;
    bool done;
};

enum { CLIENT, SERVER };

struct pair {
    struct end end[2];
    size_t moved[2];   /* of end[i].out, to the other */
    bool eof_moved[2]; /* of end[i].shut */
    int64_t now;
    struct tamper tamper;
    size_t step;     /* bytes fed at a time; 0: whatever is there */
    uint32_t random; /* not 0: random steps from here */
};

/* Both ends, not yet moving.  LEND may hold a scratch for each side, or be NULL. */
void pair_init(struct pair *p, const sotto_session_client_options *client,
               const sotto_acceptor *acceptor, struct si_scratch *lend);
void pair_free(struct pair *p);

/* Move bytes until nothing moves.  True when something did. */
bool pair_run(struct pair *p);

/* Let time pass to the next deadline, and run; false when there is none before LIMIT. */
bool pair_tick(struct pair *p, int64_t limit);

/* Run, and then let time pass until both are over or nothing has a deadline for an hour. */
void pair_finish(struct pair *p);

/* The connection breaks: each end that still listens is told. */
void pair_break(struct pair *p);

static inline int64_t ms(int64_t n)
{
    return n * 1000000;
}

#endif
