/*
 * sotto/sotto.h: everything.
 *
 *     error.h     codes and errors in words
 *     key.h       curves, ciphers, keys, fingerprints
 *     identity.h  key files, deployment secrets, PSK, known servers, addresses
 *     json.h      is a text strict JSON?
 *     noise.h     the Noise Protocol Framework, for protocols of one's own
 *     noisesocket.h  framing and prologues of NoiseSocket
 *     session.h   one connection without I/O, for any event loop
 *     server.h    a server with endpoints
 *     client.h    calls to a server
 *     version.h   which Sotto this is
 */
#ifndef SOTTO_SOTTO_H
#define SOTTO_SOTTO_H

#include "sotto/client.h"
#include "sotto/error.h"
#include "sotto/identity.h"
#include "sotto/json.h"
#include "sotto/key.h"
#include "sotto/noise.h"
#include "sotto/noisesocket.h"
#include "sotto/server.h"
#include "sotto/session.h"
#include "sotto/version.h"

#endif
