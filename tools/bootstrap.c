/*
 * `sotto bootstrap`: the first step alone.
 */
#include <stdio.h>
#include <string.h>

#include <sotto/client.h>

#include "client.h"
#include "command.h"
#include "options.h"
#include "output.h"
#include "status.h"

static void hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void print_other_keys(const sotto_bootstrap_result *result)
{
    char fingerprint[SOTTO_FINGERPRINT_SIZE];

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        if (result->other_keys[i].curve != 0 &&
            sotto_fingerprint(&result->other_keys[i], fingerprint) == SOTTO_OK)
            (void)printf("other key      %-5s  %s\n", sotto_curve_name(result->other_keys[i].curve),
                         fingerprint);
}

static void print_result(const struct client *client, const sotto_bootstrap_result *result)
{
    char server_id[2 * SOTTO_SERVER_ID_LEN + 1], epoch[2 * SOTTO_EPOCH_LEN + 1];

    hex(result->server_id, SOTTO_SERVER_ID_LEN, server_id);
    hex(result->epoch, SOTTO_EPOCH_LEN, epoch);
    (void)printf("server         %s\nkey            %-5s  %s  %s\n", client->address.text,
                 sotto_curve_name(result->server_key.curve), result->fingerprint,
                 result->pinned_now ? "pinned now" : "known");
    print_other_keys(result);
    (void)printf(
        "server id      %s\nepoch          %s\nserver string  (hidden)\nsalt index     %u\n"
        "iterations     %u\nclient auth    %s\n",
        server_id, epoch, result->salt_index, result->iterations, result->client_auth);
    if (result->expires_in_s != 0)
        (void)printf("expires in     %u s\n", result->expires_in_s);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct client client = CLIENT_INIT;
    struct option options[CLIENT_OPTION_COUNT + 1] = {0};
    sotto_bootstrap_result result;
    sotto_error error = {0};
    int count, status;

    client_options(&client, options);
    status = options_parse(self, options, argc, argv, &count);
    if (status != OPTIONS_GO_ON)
        return status;
    status = client_open(self, &client, argv[0]);
    if (status == OPTIONS_GO_ON) {
        if (sotto_client_bootstrap(client.handle, &result, &error) == SOTTO_OK) {
            print_result(&client, &result);
            status = STATUS_OK;
        } else {
            status = client_report(&client, &error, NULL);
        }
    }
    client_free(&client);
    return status;
}

const struct command command_bootstrap = {
    .name = "bootstrap",
    .summary = "Do only the first step and show what was learnt",
    .operands = {"ADDR"},
    .details =
        "Meets the server, checks its key against the known servers or --pin, derives the key of\n"
        "the session and keeps the result for the next call.  What is secret is not shown.\n",
    .examples =
        "  sotto bootstrap --trust ask gateway.example:7448\n"
        "  sotto bootstrap -v --secrets client.json --curve 448 --known-servers ./servers \\\n"
        "      --trust accept-new 192.0.2.7:7448\n",
    .run = run,
};
