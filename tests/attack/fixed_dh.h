/*
 * fixed_dh.h: ephemeral keys that a test chooses.
 *
 * A program that has fixed_dh.c and is linked with -Wl,--wrap=si_dh_by_name,--wrap=si_curve_dh gets DH
 * objects whose generate() gives this private key.  The product has no such door.
 */
#ifndef FIXED_DH_H
#define FIXED_DH_H

#include "crypto/crypto.h"

/* A private key, at least as long as the curve's; empty: a fresh one each time. */
extern struct si_span fixed_ephemeral;

#endif
