/*
 * `sotto secrets new` and `sotto secrets embed`: deployment secrets.
 */
#include <stdio.h>

#include <sotto/identity.h>

#include "command.h"
#include "options.h"
#include "output.h"
#include "status.h"

static int run_new(const struct command *self, int argc, char **argv)
{
    struct number iterations = {0, SOTTO_ITERATIONS_DEFAULT, SOTTO_ITERATIONS_MAX_DEFAULT};
    const struct option options[] = {
        {"iterations", 0, "N", read_number, &iterations,
         "rounds of PBKDF2, 10000 to 1000000 [10000]"},
        OPTIONS_END,
    };
    sotto_error error = {0};
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON)
        return status;
    if (sotto_secrets_create(argv[0], iterations.value, &error) != SOTTO_OK)
        return report(&error);
    (void)printf("%s/server.json  for the server: sotto serve --secrets %s/server.json\n"
                 "%s/client.json  for its clients: sotto call --secrets %s/client.json\n",
                 argv[0], argv[0], argv[0], argv[0]);
    return STATUS_OK;
}

const struct command command_secrets_new = {
    .name = "secrets new",
    .summary = "Make the secrets of a deployment",
    .operands = {"DIR"},
    .details =
        "Writes DIR/server.json for the server and DIR/client.json for its clients, both with\n"
        "mode 0600, and makes the folder DIR if it is missing.  The strings in them have 256\n"
        "random bits.  Nothing is overwritten.\n",
    .examples = "  sotto secrets new ~/fleet\n"
                "  sotto secrets new --iterations 100000 /etc/sotto/secrets\n",
    .run = run_new,
};

static int run_embed(const struct command *self, int argc, char **argv)
{
    const struct option options[] = {OPTIONS_END};
    sotto_secrets *secrets = NULL;
    sotto_error error = {0};
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON)
        return status;
    if (sotto_secrets_load(argv[0], &secrets, &error) != SOTTO_OK)
        return report(&error);
    status = STATUS_OK;
    if (sotto_secrets_embed(secrets, stdout, &error) != SOTTO_OK) {
        (void)snprintf(error.what, sizeof error.what, "cannot write to standard output");
        status = report_as(&error, STATUS_UNEXPECTED);
    }
    sotto_secrets_free(secrets);
    return status;
}

const struct command command_secrets_embed = {
    .name = "secrets embed",
    .summary = "Print a secrets file as a C header",
    .operands = {"FILE"},
    .details = "The header goes to standard output; a build of the library takes it in with\n"
               "\"meson setup -Dsecrets=HEADER\".  It is as secret as the file.\n",
    .examples =
        "  (umask 077; sotto secrets embed ~/fleet/client.json >fleet.h)\n"
        "  sotto secrets embed client.json >fleet.h && meson setup -Dsecrets=fleet.h build\n",
    .run = run_embed,
};
