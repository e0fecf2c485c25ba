/*
 * identity/file.h: whole files, read safely and written completely or not at all.
 *
 * Everything is checked on the opened descriptor, never on the path, so nothing can change between
 * check and use; no open can hang on a FIFO or a device.  Written files appear under their name
 * only when every byte has reached the disk; until then they are a temporary file (mode 0600) in
 * the same folder, which no error path leaves behind.
 *
 * Paths are NUL-terminated and used as given.  Any thread.  All functions accept NULL for the
 * error.
 */
#ifndef SI_IDENTITY_FILE_H
#define SI_IDENTITY_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "sotto/error.h"

/* Both: a regular file, owned by the effective user or by root. */
enum si_file_rule {
    /* No access for group and others.  A file of root may be 0640; below $CREDENTIALS_DIRECTORY
     * the mode is systemd's matter. */
    SI_FILE_SECRET,
    /* Not writable by group and others: who can write it decides who is trusted. */
    SI_FILE_PUBLIC
};

/* Behind a text that was read stand that many zero bytes: it can be used as a string, and by a JSON
 * reader that looks ahead. */
enum { SI_FILE_SPARE = 64 };

struct si_file {
    struct si_buf text; /* wiped when freed */
    mode_t mode;        /* permission bits */
    bool missing;       /* only of si_file_read_if_any(): there is no such file */
};

/*
 * Read the file PATH of at most MAX bytes.  The caller frees OUT->text with si_buf_free(), also
 * after an error (it is empty then).
 *
 * E_FILE: missing, a directory, unreadable.  E_PERMISSION: FIFO, device or socket; owner or mode
 * against RULE.  E_FORMAT: longer than MAX.  E_NOMEM.  E_USAGE: PATH is NULL.
 */
SOTTO_MUST_CHECK sotto_err si_file_read(const char *path, enum si_file_rule rule, size_t max,
                                        struct si_file *out, sotto_error *error);

/* The same, but a file that does not exist gives SOTTO_OK and OUT->missing.  A symbolic link to
 * nothing is E_FILE: something is meant to be there. */
SOTTO_MUST_CHECK sotto_err si_file_read_if_any(const char *path, enum si_file_rule rule, size_t max,
                                               struct si_file *out, sotto_error *error);

struct si_file_text {
    const char *path;
    struct si_span text;
    mode_t mode; /* once it is in place; the umask does not count */
};

enum { SI_FILE_SET_MAX = 2 };

/*
 * Create COUNT files (at most SI_FILE_SET_MAX), all or none.
 *
 * E_EXISTS: one of the names is taken, be it by a dangling link; no name was touched.  E_FILE:
 * cannot be written.  E_RANDOM (for the temporary name).  E_USAGE.  Nothing is left behind after
 * an error.
 */
SOTTO_MUST_CHECK sotto_err si_file_create(const struct si_file_text *files, size_t count,
                                          sotto_error *error);

/* Put a new file in the place of the one at FILE->path, or where there was none.  A symbolic
 * link is itself replaced.  Errors as above except E_EXISTS.  After an error the old file is
 * there, whole; only when the folder cannot be synchronised it may be the new one, whole. */
SOTTO_MUST_CHECK sotto_err si_file_replace(const struct si_file_text *file, sotto_error *error);

/* Make all folders that PATH, a file's, lacks, with mode 0700.  E_FILE. */
SOTTO_MUST_CHECK sotto_err si_file_make_folders(const char *path, sotto_error *error);

#endif
