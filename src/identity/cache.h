/*
 * identity/cache.h: bootstrap results that outlive the process.
 *
 * One file for each server, curve and set of secrets, mode 0600 in a folder of mode 0700: it holds
 * a PSK.  A cache decides nothing: whether the key in it is trusted is asked of the known servers
 * each time, and a result that the server no longer accepts is replaced.  So a file that is
 * missing, malformed or too open counts as no result.
 */
#ifndef SI_IDENTITY_CACHE_H
#define SI_IDENTITY_CACHE_H

#include <stdbool.h>

#include "sotto/identity.h"

struct si_cached {
    sotto_public_key server_key;
    uint8_t epoch[SOTTO_EPOCH_LEN];
    sotto_psk psk;
};

/* "$XDG_STATE_HOME/sotto/sessions" or "$HOME/.local/state/sotto/sessions".  E_FILE, E_BUFFER. */
SOTTO_MUST_CHECK sotto_err si_cache_default_dir(char *out, size_t size, sotto_error *error);

/* What is stored in DIR for ADDRESS, CURVE and the secrets of that id; false: nothing usable.  *OUT
 * is wiped then. */
bool si_cache_load(const char *dir, const char *address, sotto_curve curve, const char *secrets_id,
                   struct si_cached *out);

/* Store it; an older result is replaced.  E_FILE, E_NOMEM, E_RANDOM: the older one may still be
 * there. */
SOTTO_MUST_CHECK sotto_err si_cache_save(const char *dir, const char *address, sotto_curve curve,
                                         const char *secrets_id, const struct si_cached *cached,
                                         sotto_error *error);

#endif
