#include "identity/secrets.h"

#include "base/error.h"

/* The published defaults, or the header that the build names: what `sotto secrets embed` writes. */
#include SI_SECRETS_HEADER

#if !defined(SOTTO_BUILTIN_PUBLIC) || !defined(SOTTO_BUILTIN_SHARED_STRING) ||                     \
    !defined(SOTTO_BUILTIN_ITERATIONS)
#error "-Dsecrets= does not name a header made by `sotto secrets embed`"
#endif

/* Literals may hold zero bytes, so their length is that of the array. */
static const char shared_string[] = SOTTO_BUILTIN_SHARED_STRING;
#ifdef SOTTO_BUILTIN_SERVER_STRING
static const char server_string[] = SOTTO_BUILTIN_SERVER_STRING;
#endif

static const char *fill(sotto_secrets *secrets)
{
    const char *why;

    secrets->is_public = SOTTO_BUILTIN_PUBLIC;
    secrets->iterations = SOTTO_BUILTIN_ITERATIONS;
#ifdef SOTTO_BUILTIN_SERVER_STRING
    if ((why = si_secrets_set_string(&secrets->server_string,
                                     si_span(server_string, sizeof server_string - 1))) != NULL)
        return why;
#endif
    if ((why = si_secrets_set_string(&secrets->shared_string,
                                     si_span(shared_string, sizeof shared_string - 1))) != NULL ||
        (why = si_secrets_check_iterations(SOTTO_BUILTIN_ITERATIONS)) != NULL ||
        (why = si_secrets_check_count(secrets->salt_count)) != NULL)
        return why;
    for (size_t i = 0; i < secrets->salt_count; i++) {
        if ((why = si_secrets_set_salt(&secrets->salts[i], si_span_str(sotto_builtin_salts[i]))) !=
            NULL)
            return why;
    }
    return NULL;
}

sotto_err sotto_secrets_builtin(sotto_secrets **out, sotto_error *error)
{
    sotto_secrets *secrets = si_secrets_new(SI_COUNT(sotto_builtin_salts));
    const char *why;

    *out = NULL;
    if (secrets == NULL) {
        si_error(error, SOTTO_E_NOMEM, "cannot use the built-in secrets");
        si_error_why(error, "out of memory");
        return SOTTO_E_NOMEM;
    }
    if ((why = fill(secrets)) != NULL) {
        sotto_secrets_free(secrets);
        si_error(error, SOTTO_E_FORMAT, "cannot use the built-in secrets");
        si_error_why(error, "in the header this library was built with, %s", why);
        si_error_hint(error, "make that header with `sotto secrets embed` and build again");
        return SOTTO_E_FORMAT;
    }
    *out = secrets;
    return SOTTO_OK;
}
