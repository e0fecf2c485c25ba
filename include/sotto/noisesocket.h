/*
 * sotto/noisesocket.h: framing and prologues of NoiseSocket.
 *
 * NoiseSocket (the public draft, revision 2 of 2018-05-01) puts length fields around Noise messages
 * and negotiation data in front of the handshake's, so that a stream of bytes can carry them and
 * the responder can accept, switch to another protocol, ask for a retry, or reject.  These are
 * helpers beside sotto/noise.h: they neither read nor write a socket, keep no state, and leave open
 * what negotiation data says, as the draft does.
 *
 * A handshake frame is     u16 length | negotiation data | u16 length | Noise message
 * a transport frame is     u16 length | Noise message
 * an encrypted payload is  u16 length | body | padding
 *
 * with lengths in big-endian.  Sizes are in bytes; nothing is allocated or kept, and any thread may
 * call.
 */
#ifndef SOTTO_NOISESOCKET_H
#define SOTTO_NOISESOCKET_H

#include "sotto/noise.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SOTTO_NOISESOCKET_FIELD_MAX = 65535, /* negotiation data, Noise message */
    /* a body in a transport frame: 65535 - 16 of the tag - 2 of its length */
    SOTTO_NOISESOCKET_BODY_MAX = 65517
};

/* ---- Frames ---------------------------------------------------------------------------------- */

/* A handshake frame. */
typedef struct sotto_noisesocket_frame {
    sotto_bytes negotiation; /* negotiation data, often empty */
    sotto_bytes message;     /* the Noise message */
} sotto_noisesocket_frame;

/* How long the fields may be that a reader is willing to wait for.  What is not authenticated
 * should be short; 65535 allows everything. */
typedef struct sotto_noisesocket_limits {
    size_t negotiation;
    size_t message;
} sotto_noisesocket_limits;

/* How far reading has come. */
typedef struct sotto_noisesocket_progress {
    size_t used;   /* SOTTO_OK: the length of the frame, to be taken from the stream; else 0 */
    size_t needed; /* E_AGAIN: the least length of the stream before asking again; else 0 */
} sotto_noisesocket_progress;

/*
 * Write a frame to OUT, which must not overlap its fields and needs 4 bytes more than both, or 2
 * more than the message.  E_TOO_LARGE: a field is longer than SOTTO_NOISESOCKET_FIELD_MAX.
 * E_BUFFER: OUT is too small.  E_USAGE: an argument is NULL.  OUT is untouched then, its len 0.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err
sotto_noisesocket_write_handshake(const sotto_noisesocket_frame *frame, sotto_room *out);
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_noisesocket_write_transport(sotto_bytes message,
                                                                       sotto_room *out);

/*
 * The frame at the front of STREAM, the bytes that have arrived and are not used yet.  What is
 * found points into STREAM.  Lengths are compared with LIMITS as soon as their field is there.
 *
 * E_AGAIN: more bytes are needed.  E_TOO_LARGE: a length above its limit.  E_USAGE: an argument is
 * NULL.  What is found is empty then.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_noisesocket_read_handshake(
    sotto_bytes stream, const sotto_noisesocket_limits *limits, sotto_noisesocket_frame *frame,
    sotto_noisesocket_progress *progress);
SOTTO_API SOTTO_MUST_CHECK sotto_err
sotto_noisesocket_read_transport(sotto_bytes stream, const sotto_noisesocket_limits *limits,
                                 sotto_bytes *message, sotto_noisesocket_progress *progress);

/* What a responder's first frame means.  RETRY and REJECT look alike: the negotiation data says
 * which it is.  A frame with both fields empty is an ACCEPT whose message does not decrypt. */
typedef enum sotto_noisesocket_answer {
    SOTTO_NOISESOCKET_ACCEPT = 1,         /* no negotiation data: the handshake goes on */
    SOTTO_NOISESOCKET_SWITCH = 2,         /* both: the first message of another protocol */
    SOTTO_NOISESOCKET_RETRY_OR_REJECT = 3 /* no Noise message */
} sotto_noisesocket_answer;

/* What the first frame of a responder says. */
SOTTO_API sotto_noisesocket_answer
sotto_noisesocket_answer_of(const sotto_noisesocket_frame *frame);

/* ---- Encrypted payloads ---------------------------------------------------------------------- */

/*
 * Every transport message, and every handshake payload for which sotto_handshake_next_encrypted()
 * was 1, has this form.  A clear payload is the body itself.
 *
 * Write BODY, padded with zeros to at least PADDED_LEN (less than the body's length: no padding), 2
 * bytes of length in front.  OUT must not overlap the body.  E_TOO_LARGE: the body or PADDED_LEN is
 * more than SOTTO_NOISESOCKET_BODY_MAX.  E_BUFFER, E_USAGE: as above.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_noisesocket_write_payload(sotto_bytes body,
                                                                     size_t padded_len,
                                                                     sotto_room *out);

/* The body in PLAINTEXT, which it points into; the padding is ignored.  E_PROTOCOL: shorter than
 * its length field says, or than that field itself; *BODY is empty then. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_noisesocket_read_payload(sotto_bytes plaintext,
                                                                    sotto_bytes *body);

/* ---- Prologues ------------------------------------------------------------------------------- */

/* Which handshake a prologue is for. */
typedef enum sotto_noisesocket_stage {
    SOTTO_NOISESOCKET_INITIAL = 1,      /* the one that the first frame begins */
    SOTTO_NOISESOCKET_AFTER_SWITCH = 2, /* the one that the responder has switched to */
    SOTTO_NOISESOCKET_AFTER_RETRY = 3   /* the one that the responder has asked for */
} sotto_noisesocket_stage;

/* What went over the wire in clear so far; a stage reads what came before it. */
typedef struct sotto_noisesocket_history {
    sotto_noisesocket_frame initial; /* the first frame; of INITIAL only its negotiation data */
    sotto_bytes response;            /* negotiation data of the responder's first frame */
    sotto_bytes retry;               /* negotiation data of the initiator's second frame */
    sotto_bytes application;         /* a prologue of the program's, behind everything [empty] */
} sotto_noisesocket_history;

/*
 * The prologue of STAGE: what both sides have seen before the handshake, so that nobody can have
 * altered it (Noise 14, rollback).  OUT must not overlap the history.
 *
 * E_BUFFER: less room than sotto_noisesocket_prologue_len().  E_TOO_LARGE: a field of more than
 * SOTTO_NOISESOCKET_FIELD_MAX (the application's may be longer).  E_USAGE: no such stage; after a
 * switch or retry, no initial message or no response; an argument is NULL.  OUT is untouched then,
 * its len 0.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_noisesocket_prologue(
    sotto_noisesocket_stage stage, const sotto_noisesocket_history *history, sotto_room *out);

/* Its length; 0 for what would be E_USAGE or E_TOO_LARGE. */
SOTTO_API size_t sotto_noisesocket_prologue_len(sotto_noisesocket_stage stage,
                                                const sotto_noisesocket_history *history);

#ifdef __cplusplus
}
#endif
#endif
