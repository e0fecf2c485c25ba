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
#include "sotto/noise.h"

enum { SI_NOISE_MESSAGE_MAX = SOTTO_NOISE_MESSAGE_MAX };

enum si_role { SI_INITIATOR, SI_RESPONDER };

struct si_handshake;

/* What a party brings to a handshake.  Everything is copied. */
struct si_handshake_keys {
    const struct si_private_key *s; /* the own static key pair, both or neither */
    const struct si_public_key *s_public;
    /* the remote static key, where the pattern has it as a pre-message */
    const struct si_public_key *rs;

    /* [n] for pskn; what is missing comes later, by si_handshake_set_psk() or from the lookup */
    const sotto_psk *psk[SI_PSKS_MAX];
    sotto_psk_lookup *psk_lookup;
    void *psk_user;

    /* Of a fallback: the handshake whose first message is now a pre-message.  It gives its
     * ephemeral key away, and has failed then.  Or, for the initiator, that ephemeral key. */
    struct si_handshake *fallback_from;
    const struct si_public_key *fallback_re;
};

/*
 * Initialize().  The caller frees *OUT.
 * E_USAGE: a key that the pattern needs is missing, or one that it does not know is given; ERROR
 * (may be NULL) says which.  E_NOMEM, E_CRYPTO.  After an error nothing has changed.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_new(const struct si_protocol *protocol, enum si_role role,
                                            struct si_span prologue,
                                            const struct si_handshake_keys *keys,
                                            struct si_handshake **out, sotto_error *error);

/* Wipe and release.  NULL is allowed. */
void si_handshake_free(struct si_handshake *hs);

sotto_action si_handshake_action(const struct si_handshake *hs);

/* What it runs, and as whom. */
const struct si_protocol *si_handshake_protocol(const struct si_handshake *hs);
enum si_role si_handshake_role(const struct si_handshake *hs);

/* Messages written or read so far. */
unsigned si_handshake_turn(const struct si_handshake *hs);

/* The length of the next message, read or written, with a payload of PAYLOAD_LEN bytes; 0 when
 * there is none. */
size_t si_handshake_message_len(const struct si_handshake *hs, size_t payload_len);

/* Will the payload of the next message be encrypted? */
bool si_handshake_payload_encrypted(const struct si_handshake *hs);

/* The PSK for position N of a message to come.  E_USAGE: the pattern has none there, it has been
 * given, or its message has gone by. */
SOTTO_MUST_CHECK sotto_err si_handshake_set_psk(struct si_handshake *hs, unsigned n,
                                                const sotto_psk *psk, sotto_error *error);

/* True, and *N, when the next message has a psk token for which neither PSK nor lookup is there. */
bool si_handshake_lacks_psk(const struct si_handshake *hs, unsigned *n);

/*
 * WriteMessage(): *LEN bytes at OUT, which has room for CAP.
 * E_USAGE: not our turn, or a PSK is missing.  E_BUFFER: CAP is too small.  E_TOO_LARGE: more than
 * 65535 bytes.  Nothing has changed then.
 * E_DH, E_RANDOM, E_CRYPTO, E_NOMEM, E_KEY (the lookup has no PSK): final; OUT is wiped.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_write(struct si_handshake *hs, struct si_span payload,
                                              uint8_t *out, size_t cap, size_t *len);

/*
 * ReadMessage(): the payload of MESSAGE, *LEN bytes at OUT, which has room for CAP and does not
 * overlap MESSAGE.
 * E_USAGE, E_BUFFER: as above (CAP must hold MESSAGE.len - si_handshake_message_len(hs, 0)).
 * E_AUTH: forged, altered, wrong PSK or too short; E_DH, E_RANDOM, E_CRYPTO, E_NOMEM, E_KEY: final;
 * OUT is wiped.
 */
SOTTO_MUST_CHECK sotto_err si_handshake_read(struct si_handshake *hs, struct si_span message,
                                             uint8_t *out, size_t cap, size_t *len);

/* Split(): TX and RX are for our sending and receiving; H gets the handshake hash (Noise 11.2),
 * *H_LEN bytes.  Once only; the handshake's keys are wiped.  E_USAGE, E_CRYPTO. */
SOTTO_MUST_CHECK sotto_err si_handshake_split(struct si_handshake *hs, struct si_cipher_state *tx,
                                              struct si_cipher_state *rx,
                                              uint8_t h[SI_HASH_LEN_MAX], size_t *h_len);

/* The remote static key, or NULL: none yet, or the message that carried it has not been read whole.
 * Stays readable after the split. */
const struct si_public_key *si_handshake_remote_static(const struct si_handshake *hs);

/* Has the peer shown that it holds the private key: was a message read that is encrypted with a key
 * of which a DH with rs is part? */
bool si_handshake_remote_proven(const struct si_handshake *hs);

#endif
