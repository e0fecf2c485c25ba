/*
 * noise/internal.h: what the public interface of this layer (sotto/noise.h) is made of.
 */
#ifndef SI_NOISE_INTERNAL_H
#define SI_NOISE_INTERNAL_H

#include "noise/handshake.h"
#include "noise/window.h"
#include "sotto/noise.h"

struct sotto_handshake {
    struct si_handshake *inner;
    sotto_public_key rs; /* once it may be shown */
    uint8_t h[SI_HASH_LEN_MAX];
    size_t h_len; /* 0 before the split */
};

/* Both kinds of transport.  A direction that a one-way pattern does not have is without a key. */
struct si_directions {
    struct si_cipher_state tx, rx;
};

struct sotto_transport {
    struct si_directions by;
};

struct sotto_datagrams {
    struct si_directions by;
    struct si_window received;
};

/* Bytes that can be read. */
static inline bool si_bytes_ok(const void *ptr, size_t len)
{
    return ptr != NULL || len == 0;
}

/* Nothing has been written yet; false when nothing can be. */
static inline bool si_room_open(sotto_room *room)
{
    if (room == NULL)
        return false;
    room->len = 0;
    return si_bytes_ok(room->ptr, room->cap);
}

#endif
