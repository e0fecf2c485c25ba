#include "identity/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "identity/file.h"
#include "json/json.h"

enum { CACHE_FILE_MAX = 4096, PATH_SIZE = 4096 };

sotto_err si_cache_default_dir(char *out, size_t size, sotto_error *error)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len;

    if (state != NULL && state[0] == '/')
        len = snprintf(out, size, "%s/sotto/sessions", state);
    else if (home != NULL && home[0] == '/')
        len = snprintf(out, size, "%s/.local/state/sotto/sessions", home);
    else {
        (void)si_error(error, SOTTO_E_FILE, "no folder for cached bootstrap results");
        si_error_why(error, "neither XDG_STATE_HOME nor HOME is set to an absolute path");
        si_error_hint(error, "set HOME, or name a folder with --state-dir");
        return SOTTO_E_FILE;
    }
    return len > 0 && (size_t)len < size ? SOTTO_OK : SOTTO_E_BUFFER;
}

/* A name that a person can tell apart; what two addresses could share is compared inside the
 * file. */
static bool file_path(const char *dir, const char *address, sotto_curve curve,
                      const char *secrets_id, char *out, size_t size)
{
    char name[128]; /* a file's name has 255 bytes at most */
    size_t i;
    int len;

    for (i = 0; address[i] != '\0' && i < sizeof name - 1; i++) {
        char c = address[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';

        name[i] = plain ? c : '_';
    }
    name[i] = '\0';
    len = snprintf(out, size, "%s/%s-%s-%s.json", dir, name, sotto_curve_name(curve), secrets_id);
    return len > 0 && (size_t)len < size;
}

static bool parse(struct si_json *json, struct si_span text, const char *address, sotto_curve curve,
                  const char *secrets_id, struct si_cached *out)
{
    enum { VERSION, ADDRESS, SECRETS, KEY, EPOCH, PSK, COUNT };
    struct si_json_member m[COUNT] = {{.name = "sotto_session"}, {.name = "address"},
                                      {.name = "secrets"},       {.name = "server_key"},
                                      {.name = "epoch"},         {.name = "psk"}};

    return si_json_read_copy(json, text, m, COUNT, NULL) == SOTTO_OK && m[VERSION].value.is_uint &&
           m[VERSION].value.uint == 1 && si_json_is(&m[ADDRESS].value, address) &&
           si_json_is(&m[SECRETS].value, secrets_id) && m[KEY].value.type == SI_JSON_STRING &&
           m[EPOCH].value.type == SI_JSON_STRING && m[PSK].value.type == SI_JSON_STRING &&
           sotto_public_key_parse((const char *)m[KEY].value.str.ptr, m[KEY].value.str.len,
                                  &out->server_key) == SOTTO_OK &&
           out->server_key.curve == curve &&
           si_unhex(out->epoch, sizeof out->epoch, m[EPOCH].value.str) == SOTTO_OK &&
           si_unhex(out->psk.bytes, sizeof out->psk.bytes, m[PSK].value.str) == SOTTO_OK;
}

bool si_cache_load(const char *dir, const char *address, sotto_curve curve, const char *secrets_id,
                   struct si_cached *out)
{
    char path[PATH_SIZE];
    struct si_file file;
    struct si_json *json = NULL;
    bool found = false;

    memset(out, 0, sizeof *out);
    if (!file_path(dir, address, curve, secrets_id, path, sizeof path) ||
        si_file_read_if_any(path, SI_FILE_SECRET, CACHE_FILE_MAX, &file, NULL) != SOTTO_OK)
        return false;
    if (!file.missing && si_json_new(&json) == SOTTO_OK)
        found = parse(json, si_span(file.text.ptr, file.text.len), address, curve, secrets_id, out);
    if (!found)
        si_wipe(out, sizeof *out);
    si_json_free(json);
    si_buf_free(&file.text);
    return found;
}

sotto_err si_cache_save(const char *dir, const char *address, sotto_curve curve,
                        const char *secrets_id, const struct si_cached *cached, sotto_error *error)
{
    char path[PATH_SIZE], key[SOTTO_PUBLIC_KEY_TEXT_SIZE];
    char epoch[2 * SOTTO_EPOCH_LEN + 1], psk[2 * SOTTO_PSK_LEN + 1];
    struct si_buf text = si_buf(CACHE_FILE_MAX);
    sotto_err err;

    if (!file_path(dir, address, curve, secrets_id, path, sizeof path))
        return si_error(error, SOTTO_E_FILE, "the path of the cached bootstrap result is too long");
    si_hex(epoch, cached->epoch, sizeof cached->epoch);
    si_hex(psk, cached->psk.bytes, sizeof cached->psk.bytes);
    if ((err = si_file_make_folders(path, error)) == SOTTO_OK &&
        (err = sotto_public_key_format(&cached->server_key, key)) == SOTTO_OK &&
        (err = si_buf_printf(&text,
                             "{\"sotto_session\":1,\"address\":\"%s\",\"secrets\":\"%s\","
                             "\"server_key\":\"%s\",\"epoch\":\"%s\",\"psk\":\"%s\"}\n",
                             address, secrets_id, key, epoch, psk)) == SOTTO_OK) {
        const struct si_file_text file = {path, {text.ptr, text.len}, 0600};

        err = si_file_replace(&file, error);
    }
    si_buf_free(&text);
    si_wipe(psk, sizeof psk);
    return err;
}
