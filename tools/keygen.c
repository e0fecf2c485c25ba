/*
 * `sotto keygen`: key pairs of a server or a client.
 */
#include <stdio.h>

#include <sotto/identity.h>

#include "command.h"
#include "keys.h"
#include "options.h"
#include "output.h"
#include "status.h"

static int run(const struct command *self, int argc, char **argv)
{
    const char *prefix = "sotto";
    sotto_curve curve = 0;
    const struct option options[] = {
        {"curve", 0, "25519|448", read_curve, &curve, "only this one [both]"},
        {"output", 'o', "PREFIX", read_text, &prefix, "how the names of the files begin [sotto]"},
        OPTIONS_END,
    };
    struct key_files files = {0};
    sotto_error error = {0};
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON)
        return status;
    if (keys_make(prefix, curve, &files, &error) != SOTTO_OK) {
        status = report(&error);
    } else {
        status = STATUS_OK;
        for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
            if (files.keypair[i] != NULL)
                (void)printf("%s_%s.key  private, keep it\n%s_%s.pub  %s\n", prefix,
                             sotto_curve_name(keys_curve(i)), prefix,
                             sotto_curve_name(keys_curve(i)), files.fingerprint[i]);
    }
    keys_free(&files);
    return status;
}

const struct command command_keygen = {
    .name = "keygen",
    .summary = "Make key pairs",
    .details =
        "Writes PREFIX_25519.key and PREFIX_448.key (mode 0600), the public halves beside them as\n"
        ".pub, and prints the fingerprints.  The files are PEM, as \"openssl pkey\" reads them.\n"
        "Nothing is overwritten.\n",
    .examples = "  sotto keygen -o ~/.config/sotto/server\n"
                "  sotto keygen --curve 25519 -o gateway17\n",
    .run = run,
};
