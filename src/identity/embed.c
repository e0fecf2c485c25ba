#include "identity/secrets.h"

#include <errno.h>

#include "base/error.h"
#include "crypto/crypto.h"

static const char public_comment[] =
    "/*\n"
    " * The default secrets of Sotto.  They are PUBLIC: everybody has them, so they keep nobody "
    "out.\n"
    " * They are for trying things out.  `sotto secrets new` makes secrets of your own.\n"
    " *\n"
    " * Made by `sotto secrets embed`.\n"
    " */\n";

static const char private_comment[] = "/*\n"
                                      " * Deployment secrets for `meson setup -Dsecrets=<this "
                                      "file>`, made by `sotto secrets embed`.\n"
                                      " *\n"
                                      " * SECRET, and so is every program built with it: whoever "
                                      "can read the program can read them.\n"
                                      " */\n";

/* As a C string literal on one line.  Three octal digits always end the escape; no '?', so no
 * trigraphs either. */
static void put_literal(FILE *out, const struct si_string *string)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < string->len; i++) {
        uint8_t c = string->bytes[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '?')
            (void)fprintf(out, "\\%03o", c);
        else
            (void)fputc(c, out);
    }
    (void)fputs("\"\n", out);
}

static void put_header(FILE *out, const sotto_secrets *secrets)
{
    char hex[2 * SI_SALT_MAX + 1];
    bool is_public = sotto_secrets_are_public(secrets);

    (void)fputs(is_public ? public_comment : private_comment, out);
    (void)fputs("#ifndef SOTTO_BUILTIN_SECRETS_H\n#define SOTTO_BUILTIN_SECRETS_H\n\n", out);
    (void)fprintf(out, "#define SOTTO_BUILTIN_PUBLIC %d\n", is_public);
    if (secrets->server_string.len > 0) {
        (void)fputs("#define SOTTO_BUILTIN_SERVER_STRING ", out);
        put_literal(out, &secrets->server_string);
    } else {
        (void)fputs("/* For clients only: there is no SOTTO_BUILTIN_SERVER_STRING. */\n", out);
    }
    (void)fputs("#define SOTTO_BUILTIN_SHARED_STRING ", out);
    put_literal(out, &secrets->shared_string);
    (void)fprintf(out, "#define SOTTO_BUILTIN_ITERATIONS %u\n\n", secrets->iterations);
    (void)fputs("static const char *const sotto_builtin_salts[] = {\n", out);
    for (size_t i = 0; i < secrets->salt_count; i++) {
        si_hex(hex, secrets->salts[i].bytes, secrets->salts[i].len);
        (void)fprintf(out, "    \"%s\",\n", hex);
    }
    (void)fputs("};\n\n#endif\n", out);
    si_wipe(hex, sizeof hex);
}

sotto_err sotto_secrets_embed(const sotto_secrets *secrets, FILE *out, sotto_error *error)
{
    if (secrets == NULL || out == NULL)
        return si_error(error, SOTTO_E_USAGE, "no secrets or no file was given");
    errno = 0;
    put_header(out, secrets);
    /* Every write above may have failed; the stream remembers. */
    if (fflush(out) != 0 || ferror(out)) {
        int saved = errno;

        si_error(error, SOTTO_E_FILE, "cannot write the header with the secrets");
        si_error_errno(error, saved != 0 ? saved : EIO);
        si_error_hint(error, "remove what was written, make room, and try again");
        return SOTTO_E_FILE;
    }
    return SOTTO_OK;
}
