/*
 * `sotto fingerprint`: the fingerprint of a public key file.
 */
#include <stdio.h>

#include <sotto/identity.h>

#include "command.h"
#include "options.h"
#include "output.h"
#include "status.h"

static int print_fingerprint(const sotto_public_key *key, const char *path)
{
    char text[SOTTO_FINGERPRINT_SIZE];
    sotto_err err = sotto_fingerprint(key, text);
    sotto_error error;

    if (err != SOTTO_OK) {
        error_what(&error, err, "no fingerprint of %s", path);
        return report(&error);
    }
    (void)printf("%s %s %s\n", text, sotto_curve_name(key->curve), path);
    return STATUS_OK;
}

static int print_line(const sotto_public_key *key, const char *path)
{
    char text[SOTTO_PUBLIC_KEY_TEXT_SIZE];
    sotto_err err = sotto_public_key_format(key, text);
    sotto_error error;

    if (err != SOTTO_OK) {
        error_what(&error, err, "cannot write the key of %s as a line", path);
        return report(&error);
    }
    (void)printf("%s\n", text);
    return STATUS_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
    int line = 0;
    const struct option options[] = {
        {"line", 0, NULL, read_flag, &line,
         "print the key itself instead, as it is written in\nfiles of known servers and clients"},
        OPTIONS_END,
    };
    sotto_public_key key;
    sotto_error error = {0};
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON)
        return status;
    if (sotto_public_key_load(argv[0], &key, &error) != SOTTO_OK)
        return report(&error);
    return line ? print_line(&key, argv[0]) : print_fingerprint(&key, argv[0]);
}

const struct command command_fingerprint = {
    .name = "fingerprint",
    .summary = "Print the fingerprint of a public key",
    .operands = {"FILE.pub"},
    .details = "Prints the fingerprint, the curve and the file.  Give the fingerprint to whoever "
               "calls this\n"
               "server: in \"--pin\", or in the address, sotto://FINGERPRINT@HOST:PORT.\n",
    .examples =
        "  sotto fingerprint ~/.config/sotto/server_25519.pub\n"
        "  echo \"$(sotto fingerprint --line gateway17_25519.pub) gateway17\" >>known_clients\n",
    .run = run,
};
