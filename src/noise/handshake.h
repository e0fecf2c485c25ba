/*
 * noise/handshake.h: the HandshakeState (Noise section 5.3).
 *
 * A handshake says what it wants next and refuses everything else.  A mistake of the caller (out of
 * turn, a buffer too small, a missing key) is E_USAGE or E_BUFFER and changes nothing.  Any other
 * error is final: keys are wiped, and only si_handshake_free() is left.  The remote static key can
 * be read once the message that carried it has authenticated.
 */
#ifndef SI_NOISE_HANDSHAKE_H
#define SI_NOISE_HANDSHAKE_H

#include "noise/name.h"
#include "noise/symmetric.h"

enum { SI_NOISE_MESSAGE_MAX = 65535 }; /* Noise section 3 */

enum si_role { SI_INITIATOR, SI_RESPONDER };

enum si_action {
    SI_ACTION_WRITE,
    SI_ACTION_READ,
    SI_ACTION_SPLIT,
    SI_ACTION_NONE,
    SI_ACTION_FAILED
};

struct si_handshake;

/* Everything is copied. */
struct si_handshake_keys {
    const struct si_private_key *s; /* the own static key pair, both or neither */
    const struct si_public_key *s_public;
    /* the remote static key, where the pattern has it as a pre-message */
    const struct si_public_key *rs;
    const sotto_psk *psks; /* as many as the pattern has psk tokens, in their order */
    size_t psk_count;
};

/*
 * Initialize().  The caller frees *OUT.
 * E_USAGE: a key or PSK that the pattern needs is missing, or one that it does not know is given (a
 * PSK too many, an rs that the handshake will transmit).  E_NOMEM, E_CRYPTO.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_new(const struct si_protocol *protocol, enum si_role role,
                                            struct si_span prologue,
                                            const struct si_handshake_keys *keys,
                                            struct si_handshake **out);

/* Wipe and release.  NULL is allowed. */
void si_handshake_free(struct si_handshake *hs);

enum si_action si_handshake_action(const struct si_handshake *hs);

/* The length of the next message, read or written, with a payload of PAYLOAD_LEN bytes; 0 when
 * there is none. */
size_t si_handshake_message_len(const struct si_handshake *hs, size_t payload_len);

/*
 * WriteMessage(): *LEN bytes at OUT, which has room for CAP.
 * E_USAGE: not our turn.  E_BUFFER: CAP is too small.  E_TOO_LARGE: more than 65535 bytes.  Nothing
 * has changed then.
 * E_DH, E_RANDOM, E_CRYPTO, E_NOMEM: final; OUT is wiped.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_write(struct si_handshake *hs, struct si_span payload,
                                              uint8_t *out, size_t cap, size_t *len);

/*
 * ReadMessage(): the payload of MESSAGE, *LEN bytes at OUT, which has room for CAP and does not
 * overlap MESSAGE.
 * E_USAGE, E_BUFFER: as above (CAP must hold MESSAGE.len - si_handshake_message_len(hs, 0)).
 * E_AUTH: forged, altered, wrong PSK or too short; E_DH, E_CRYPTO, E_NOMEM: final; OUT is wiped.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_read(struct si_handshake *hs, struct si_span message,
                                             uint8_t *out, size_t cap, size_t *len);

/* Split(): TX and RX are for our sending and receiving; H gets the handshake hash (Noise 11.2),
 * *H_LEN bytes.  Once only; the handshake's keys are wiped.  E_USAGE, E_CRYPTO. */
SOTTO_MUST_CHECK sotto_err si_handshake_split(struct si_handshake *hs, struct si_cipher_state *tx,
                                              struct si_cipher_state *rx,
                                              uint8_t h[SI_HASH_LEN_MAX], size_t *h_len);

/* The remote static key, or NULL: none yet, or the message that carried it has not authenticated.
 * Stays readable after the split. */
const struct si_public_key *si_handshake_remote_static(const struct si_handshake *hs);

#endif
