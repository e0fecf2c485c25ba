/*
 * play.h: two parties that run a vector through sotto/noise.h.
 *
 * Each message is written by one side and compared, then read by the other side and its payload
 * compared.  What is not as it should be is noted as trouble, and the step returns false.  A play
 * is begun, gets its messages, is split, gets its transport messages, and is ended, whatever became
 * of it.
 */
#ifndef PLAY_H
#define PLAY_H

#include "report.h"
#include "sotto/noise.h"

/* Index of a side. */
enum { INITIATOR, RESPONDER };

/*
 * How the parts of the interface that do the same are shared out over two runs of each vector.
 * The second run takes PSKs late (set_psk and lookup), works in place, and numbers its messages.
 */
enum manner { ORDERED, DATAGRAMS, MANNERS };

/* What a side brings along, as raw bytes; without a pointer: nothing. */
struct side {
    struct si_span prologue;
    struct si_span s, e; /* private keys */
    struct si_span rs;   /* public key */
    struct si_span psk[SOTTO_PSK_POSITIONS];
    unsigned psks; /* in the order of the tokens */
};

struct play;

struct plan {
    const char *protocol;
    struct side side[2];
    enum manner manner;
    struct play *first;        /* fallback: the play whose first message was sent before */
    struct si_span re_as_read; /* fallback: the initiator gets the key in this form instead */
};

struct play {
    struct trouble *trouble;
    struct plan plan;
    sotto_protocol_info info;
    sotto_handshake *hs[2];
    sotto_public_key s[2]; /* the sides' static keys; curve 0: none */
    sotto_transport *transport[2];
    sotto_datagrams *datagrams[2];
    uint64_t sent[2];
};

static inline sotto_bytes bytes_of(struct si_span span)
{
    return sotto_bytes_of(span.ptr, span.len);
}

static inline struct si_span span_of(const sotto_room *room)
{
    return si_span(room->ptr, room->len);
}

bool play_begin(struct play *play, const struct plan *plan, struct trouble *trouble);
void play_end(struct play *play);

/* Handshake: FROM writes with PAYLOAD; TO reads.  The rooms may have any size. */
bool play_write(struct play *play, unsigned from, struct si_span payload, sotto_room *message);
bool play_read(struct play *play, unsigned to, struct si_span message, sotto_room *payload);

/* Both, and compared with CIPHERTEXT and PAYLOAD. */
bool play_handshake(struct play *play, unsigned from, struct si_span payload,
                    struct si_span ciphertext);

/* FROM writes; the other side must refuse the message. */
bool play_refused(struct play *play, unsigned from, struct si_span payload,
                  struct si_span ciphertext);

/* Both sides split, and have the handshake hash HASH (no pointer: any, but the same one). */
bool play_split(struct play *play, struct si_span hash);

/* A transport message in both directions of the interface, compared. */
bool play_transport(struct play *play, unsigned from, sotto_ad ad, struct si_span payload,
                    struct si_span ciphertext);

/* The same for a message that nobody wrote down. */
bool play_unwritten(struct play *play, unsigned from);

/* Both sides change the key with which FROM sends. */
bool play_rekey(struct play *play, unsigned from);

#endif
