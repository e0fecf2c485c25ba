/*
 * keys.h: the key files of one prefix, and where the command's own files are.
 */
#ifndef KEYS_H
#define KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include <sotto/identity.h>
#include <sotto/key.h>

/* The key pairs of PREFIX_25519.key and PREFIX_448.key, by curve - 1; NULL where there is none. */
struct key_files {
    sotto_keypair *keypair[SOTTO_CURVE_COUNT];
    char fingerprint[SOTTO_CURVE_COUNT][SOTTO_FINGERPRINT_SIZE];
};

sotto_curve keys_curve(size_t index);

/* Make new key pairs, of CURVE or (0) of both, and write their files: all of them or none.
 * Errors as for sotto_keypair_save() and sotto_keypair_generate(). */
SOTTO_MUST_CHECK sotto_err keys_make(const char *prefix, sotto_curve curve, struct key_files *out,
                                     sotto_error *error);

/* Read those that are there.  A missing file is no error. */
SOTTO_MUST_CHECK sotto_err keys_load(const char *prefix, struct key_files *out, sotto_error *error);

bool keys_any(const struct key_files *files);
void keys_free(struct key_files *files);

/* "$XDG_CONFIG_HOME/sotto/NAME" or "$HOME/.config/sotto/NAME" in OUT; the folder is made (0700)
 * when it is missing. E_FILE: neither variable is an absolute path, the folder cannot be made. */
SOTTO_MUST_CHECK sotto_err config_path(const char *name, char *out, size_t size,
                                       sotto_error *error);

#endif
