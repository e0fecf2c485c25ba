#include "sotto/identity.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "identity/file.h"
#include "identity/lines.h"

enum { PEM_FILE_MAX = 16384 };

static sotto_err refuse(sotto_error *error, sotto_err err, const char *path, const char *why)
{
    si_error(error, err, "no usable key in %s", path);
    si_error_why(error, "%s", why != NULL ? why : sotto_strerror(err));
    if (err == SOTTO_E_KEY || err == SOTTO_E_FORMAT)
        si_error_hint(error, "make a key with: sotto keygen");
    return err;
}

/* ---- PEM files ------------------------------------------------------------------------------- */

sotto_err sotto_keypair_load(const char *path, sotto_keypair **out, sotto_error *error)
{
    struct si_file file = {0};
    const char *why = NULL;
    sotto_err err;

    *out = NULL;
    if ((err = si_file_read(path, SI_FILE_SECRET, PEM_FILE_MAX, &file, error)) != SOTTO_OK)
        return err;
    err = si_pem_read_private(si_span(file.text.ptr, file.text.len), out, &why);
    if (err != SOTTO_OK)
        refuse(error, err, path, why);
    si_buf_free(&file.text);
    return err;
}

sotto_err sotto_public_key_load(const char *path, sotto_public_key *out, sotto_error *error)
{
    struct si_file file = {0};
    sotto_public_key key;
    const char *why = NULL;
    sotto_err err;

    memset(out, 0, sizeof *out);
    if ((err = si_file_read(path, SI_FILE_PUBLIC, PEM_FILE_MAX, &file, error)) != SOTTO_OK)
        return err;
    err = si_pem_read_public(si_span(file.text.ptr, file.text.len), &key, &why);
    if (err == SOTTO_OK && (err = si_key_usable(&key)) == SOTTO_E_KEY)
        why = "a low-order point: every shared secret with it is zero";
    if (err == SOTTO_OK)
        *out = key;
    else
        refuse(error, err, path, why);
    si_buf_free(&file.text);
    return err;
}

static sotto_err name_file(char out[PATH_MAX], const char *prefix, sotto_curve curve,
                           const char *suffix, sotto_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s_%s.%s", prefix, sotto_curve_name(curve), suffix);

    if (len >= 0 && len < PATH_MAX)
        return SOTTO_OK;
    si_error(error, SOTTO_E_FILE, "cannot write the key pair");
    si_error_why(error, "the path is longer than %d bytes", PATH_MAX - 1);
    return SOTTO_E_FILE;
}

static sotto_err format_pair(const sotto_keypair *keypair, char private_pem[SI_PEM_MAX],
                             char public_pem[SI_PEM_MAX], sotto_error *error)
{
    sotto_public_key pub = sotto_keypair_public(keypair);
    sotto_err err;

    if ((err = si_pem_write_private(keypair, private_pem)) != SOTTO_OK ||
        (err = si_pem_write_public(&pub, public_pem)) != SOTTO_OK) {
        si_error(error, err, "cannot write the key pair as PEM");
        si_error_why(error, "%s", sotto_strerror(err));
    }
    return err;
}

sotto_err sotto_keypair_save(const sotto_keypair *keypair, const char *prefix, sotto_error *error)
{
    char private_path[PATH_MAX], public_path[PATH_MAX];
    char private_pem[SI_PEM_MAX] = "", public_pem[SI_PEM_MAX] = "";
    struct si_file_text files[] = {{.path = private_path, .mode = 0600},
                                   {.path = public_path, .mode = 0644}};
    sotto_err err;

    if (keypair == NULL || prefix == NULL)
        return si_error(error, SOTTO_E_USAGE, "no key pair or no file name was given");
    if ((err = name_file(private_path, prefix, keypair->curve, "key", error)) != SOTTO_OK ||
        (err = name_file(public_path, prefix, keypair->curve, "pub", error)) != SOTTO_OK ||
        (err = format_pair(keypair, private_pem, public_pem, error)) != SOTTO_OK)
        goto out;
    files[0].text = si_span_str(private_pem);
    files[1].text = si_span_str(public_pem);
    err = si_file_create(files, SI_COUNT(files), error);

out:
    si_wipe(private_pem, sizeof private_pem);
    return err;
}

/* ---- One-line text --------------------------------------------------------------------------- */

sotto_err sotto_public_key_parse(const char *text, size_t len, sotto_public_key *out)
{
    struct si_span rest = si_span(text, len);
    sotto_public_key key;
    const char *why;
    sotto_err err;

    memset(out, 0, sizeof *out);
    if (text == NULL || len == 0 || text[0] == ' ' || text[0] == '\t')
        return SOTTO_E_FORMAT;
    if ((err = si_line_key(&rest, &key, &why)) != SOTTO_OK ||
        (err = si_key_usable(&key)) != SOTTO_OK)
        return err;
    *out = key;
    return SOTTO_OK;
}

sotto_err sotto_public_key_format(const sotto_public_key *key, char out[SOTTO_PUBLIC_KEY_TEXT_SIZE])
{
    char base64[(SOTTO_KEY_LEN_MAX + 2) / 3 * 4 + 1];
    size_t len = sotto_curve_key_len(key->curve);

    out[0] = '\0';
    if (len == 0)
        return SOTTO_E_KEY;
    si_base64(base64, key->bytes, len, true);
    (void)snprintf(out, SOTTO_PUBLIC_KEY_TEXT_SIZE, "sotto-x%s %s", sotto_curve_name(key->curve),
                   base64);
    return SOTTO_OK;
}

int sotto_is_fingerprint(const char *text)
{
    enum { TAG = 7, BASE64 = 43 }; /* "SHA256:" and 32 bytes without padding */
    char padded[BASE64 + 2];
    uint8_t hash[32];

    if (text == NULL || strncmp(text, "SHA256:", TAG) != 0 || strlen(text) != TAG + BASE64)
        return 0;
    memcpy(padded, text + TAG, BASE64);
    memcpy(padded + BASE64, "=", 2);
    return si_unbase64(hash, sizeof hash, si_span_str(padded)) == SOTTO_OK;
}
