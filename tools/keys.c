#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

sotto_curve keys_curve(size_t index)
{
    return (sotto_curve)(index + 1);
}

static void key_path(const char *prefix, size_t index, const char *ending, char *out, size_t size)
{
    (void)snprintf(out, size, "%s_%s.%s", prefix, sotto_curve_name(keys_curve(index)), ending);
}

/* Take back what keys_make() has written. */
static void remove_files(const char *prefix, size_t index)
{
    char path[4096];

    key_path(prefix, index, "key", path, sizeof path);
    (void)unlink(path);
    key_path(prefix, index, "pub", path, sizeof path);
    (void)unlink(path);
}

static sotto_err fingerprint(struct key_files *files, size_t index, sotto_error *error)
{
    sotto_public_key key = sotto_keypair_public(files->keypair[index]);
    sotto_err err = sotto_fingerprint(&key, files->fingerprint[index]);

    if (err != SOTTO_OK)
        error_what(error, err, "no fingerprint of the key on %s", sotto_curve_name(key.curve));
    return err;
}

sotto_err keys_make(const char *prefix, sotto_curve curve, struct key_files *out,
                    sotto_error *error)
{
    sotto_err err = SOTTO_OK;
    size_t i;

    memset(out, 0, sizeof *out);
    /* All of them first, then the files: less to take back. */
    for (i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        if (curve != 0 && curve != keys_curve(i))
            continue;
        err = sotto_keypair_generate(keys_curve(i), &out->keypair[i]);
        if (err != SOTTO_OK)
            error_what(error, err, "no new key pair on %s", sotto_curve_name(keys_curve(i)));
        else
            err = fingerprint(out, i, error);
    }
    if (err != SOTTO_OK)
        return err;
    for (i = 0; i < SOTTO_CURVE_COUNT; i++) {
        if (out->keypair[i] == NULL)
            continue;
        err = sotto_keypair_save(out->keypair[i], prefix, error);
        if (err != SOTTO_OK)
            break;
    }
    if (err == SOTTO_OK)
        return SOTTO_OK;
    while (i-- > 0)
        if (out->keypair[i] != NULL)
            remove_files(prefix, i);
    return err;
}

sotto_err keys_load(const char *prefix, struct key_files *out, sotto_error *error)
{
    char path[4096];
    struct stat info;
    sotto_err err = SOTTO_OK;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT && err == SOTTO_OK; i++) {
        key_path(prefix, i, "key", path, sizeof path);
        /* Only what is certainly not there is missing; the library finds out the rest. */
        if (lstat(path, &info) != 0 && errno == ENOENT)
            continue;
        err = sotto_keypair_load(path, &out->keypair[i], error);
        if (err == SOTTO_OK && sotto_keypair_public(out->keypair[i]).curve != keys_curve(i)) {
            err = SOTTO_E_KEY;
            error_what(error, err, "cannot use the key file %s", path);
            error_why(error, "the key in it is on another curve than its name says");
        }
        if (err == SOTTO_OK)
            err = fingerprint(out, i, error);
    }
    return err;
}

bool keys_any(const struct key_files *files)
{
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        if (files->keypair[i] != NULL)
            return true;
    return false;
}

void keys_free(struct key_files *files)
{
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        sotto_keypair_free(files->keypair[i]);
    memset(files, 0, sizeof *files);
}

/* Make all folders of PATH, which is changed on the way and whole again afterwards. */
static int make_folders(char *path)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        int made;

        if (*p != '/')
            continue;
        *p = '\0';
        made = mkdir(path, 0700);
        *p = '/';
        if (made != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

sotto_err config_path(const char *name, char *out, size_t size, sotto_error *error)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int len = -1;

    /* A path that is not absolute is to be ignored, says the XDG base directory specification. */
    if (xdg != NULL && xdg[0] == '/')
        len = snprintf(out, size, "%s/sotto/%s", xdg, name);
    else if (home != NULL && home[0] == '/')
        len = snprintf(out, size, "%s/.config/sotto/%s", home, name);
    error_what(error, SOTTO_E_FILE, "no place for the file \"%s\"", name);
    if (len < 0) {
        error_why(error, "neither XDG_CONFIG_HOME nor HOME is set to an absolute path");
        return SOTTO_E_FILE;
    }
    if ((size_t)len >= size) {
        error_why(error, "the path of the home folder is too long");
        return SOTTO_E_FILE;
    }
    if (make_folders(out) != 0) {
        error->sys_errno = errno;
        error_why(error, "the folder of %s cannot be made: %s", out, strerror(errno));
        return SOTTO_E_FILE;
    }
    return SOTTO_OK;
}
