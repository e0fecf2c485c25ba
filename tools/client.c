#include "client.h"

#include <stdio.h>
#include <string.h>

#include "content.h"
#include "output.h"
#include "status.h"
#include "terminal.h"

/* ---- Options --------------------------------------------------------------------------------- */

static bool read_trust(void *target, const char *value, char *why, size_t size)
{
    static const char *const names[] = {
        [SOTTO_TRUST_STRICT] = "strict",
        [SOTTO_TRUST_ASK] = "ask",
        [SOTTO_TRUST_ACCEPT_NEW] = "accept-new",
    };

    (void)snprintf(why, size, "strict, ask or accept-new");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *(sotto_trust *)target = (sotto_trust)i;
            return true;
        }
    }
    return false;
}

static bool read_pin(void *target, const char *value, char *why, size_t size)
{
    (void)snprintf(why, size, "a fingerprint (SHA256: and 43 characters)");
    *(const char **)target = value;
    return sotto_is_fingerprint(value);
}

void client_options(struct client *client, struct option table[CLIENT_OPTION_COUNT])
{
    const struct option rows[CLIENT_OPTION_COUNT] = {
        {"curve", 0, "25519|448", read_curve, &client->curve, "the curve [25519]"},
        {"cipher", 0, "NAME", read_cipher, &client->cipher, "AESGCM or ChaChaPoly [AESGCM]"},
        {"secrets", 0, "FILE", read_text, &client->secrets_file,
         "the deployment's secrets, client.json\n[$SOTTO_SECRETS, else the built-in ones]"},
        {"pin", 0, "FINGERPRINT", read_pin, &client->pin, "the fingerprint of the server's key"},
        {"trust", 0, "POLICY", read_trust, &client->trust,
         "what to do with an unknown server: strict\n"
         "(refuse it), ask (on the terminal), accept-new\n"
         "(trust it and remember its key) [strict]"},
        {"known-servers", 0, "FILE", read_text, &client->known.option,
         "the file of known servers [$SOTTO_KNOWN_SERVERS,\nelse ~/.config/sotto/known_servers]"},
        {"state-dir", 0, "DIR", read_any_text, &client->state_dir,
         "where bootstrap results are kept; \"\": nowhere\n[~/.local/state/sotto/sessions]"},
        {"identity", 0, "KEYFILE", read_text, &client->identity_file,
         "the client's own private key; it also chooses\nthe curve [anonymous]"},
        {"gate", 0, NULL, read_flag, &client->gate, "the server has a gate"},
        {"timeout", 0, "TIME", read_duration, &client->timeout,
         "for everything together, as 250ms, 5s, 2m\n[$SOTTO_TIMEOUT, else 30s]"},
        {"max-message", 0, "SIZE", read_size, &client->max_message,
         "the largest answer that is taken [1MiB]"},
        {"fresh", 0, NULL, read_flag, &client->fresh, "bootstrap again, whatever is kept"},
        {"verbose", 'v', NULL, read_flag, &client->verbose,
         "show each stage and its time on standard error"},
    };

    memcpy(table, rows, sizeof rows);
}

/* ---- Making the client ----------------------------------------------------------------------- */

static int load_secrets(struct client *client)
{
    sotto_error error = {0};
    sotto_err err;

    err = client->secrets_file != NULL
              ? sotto_secrets_load(client->secrets_file, &client->secrets, &error)
              : sotto_secrets_builtin(&client->secrets, &error);
    if (err != SOTTO_OK)
        return report(&error);
    if (sotto_secrets_are_public(client->secrets))
        note("warning: these are the built-in secrets, which everybody knows; make your own with "
             "\"sotto secrets new\"");
    return OPTIONS_GO_ON;
}

static int load_identity(const struct command *command, struct client *client)
{
    sotto_error error = {0};
    sotto_curve curve;

    if (client->identity_file == NULL)
        return OPTIONS_GO_ON;
    if (sotto_keypair_load(client->identity_file, &client->identity, &error) != SOTTO_OK)
        return report(&error);
    curve = sotto_keypair_public(client->identity).curve;
    if (client->curve != 0 && client->curve != curve)
        return usage_error(command, "--curve %s does not go with the key in %s, which is on %s",
                           sotto_curve_name(client->curve), client->identity_file,
                           sotto_curve_name(curve));
    client->curve = curve;
    return OPTIONS_GO_ON;
}

static int ask(void *user, const char *address, const sotto_public_key *key,
               const char *fingerprint)
{
    (void)user;
    return terminal_trust(address, sotto_curve_name(key->curve), fingerprint);
}

static void trace(void *user, sotto_stage stage, const char *text, int64_t elapsed_us)
{
    char time[32];

    (void)user;
    format_us(elapsed_us, time);
    (void)fprintf(stderr, "  %-9s %10s  %s\n", sotto_stage_name(stage), time, text);
}

static void fill_options(struct client *client, sotto_client_options *options)
{
    options->address = client->address.text;
    options->curve = client->curve;
    options->cipher = client->cipher;
    options->secrets = client->secrets;
    options->identity = client->identity;
    options->gate = client->gate;
    options->fingerprint = client->pin;
    options->trust = client->trust;
    options->ask = ask;
    options->known_servers = client->known.path;
    options->state_dir = client->state_dir;
    options->fresh = client->fresh;
    options->timeout_ms = client->timeout.value;
    options->max_message = client->max_message.value;
    options->trace = client->verbose ? trace : NULL;
    options->user = client;
}

/* The pin of the option and the one in the address are one. */
static int join_pins(const struct command *command, struct client *client)
{
    if (client->address.fingerprint[0] == '\0')
        return OPTIONS_GO_ON;
    if (client->pin != NULL && strcmp(client->pin, client->address.fingerprint) != 0)
        return usage_error(command, "--pin and the fingerprint in the address differ");
    client->pin = client->address.fingerprint;
    return OPTIONS_GO_ON;
}

static int read_environment(const struct command *command, struct client *client)
{
    int status = OPTIONS_GO_ON;

    if (client->secrets_file == NULL)
        status = options_environment(command, "SOTTO_SECRETS", read_text, &client->secrets_file);
    if (status == OPTIONS_GO_ON && client->timeout.value == 0)
        status = options_environment(command, "SOTTO_TIMEOUT", read_duration, &client->timeout);
    return status;
}

int client_open(const struct command *command, struct client *client, const char *address)
{
    sotto_client_options options = SOTTO_CLIENT_OPTIONS_INIT;
    sotto_error error = {0};
    int status;

    if ((status = known_address(command, address, &client->address)) != OPTIONS_GO_ON ||
        (status = join_pins(command, client)) != OPTIONS_GO_ON ||
        (status = read_environment(command, client)) != OPTIONS_GO_ON ||
        (status = known_find(command, &client->known)) != OPTIONS_GO_ON ||
        (status = load_identity(command, client)) != OPTIONS_GO_ON ||
        (status = load_secrets(client)) != OPTIONS_GO_ON)
        return status;
    if (client->trust == SOTTO_TRUST_ASK && !terminal_is_there()) {
        client->trust = SOTTO_TRUST_STRICT;
        client->no_terminal = true;
    }
    fill_options(client, &options);
    if (sotto_client_new(&options, &client->handle, &error) != SOTTO_OK)
        return report(&error);
    return OPTIONS_GO_ON;
}

void client_free(struct client *client)
{
    sotto_client_free(client->handle);
    sotto_keypair_free(client->identity);
    sotto_secrets_free(client->secrets);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void append(char *out, size_t size, const char *text, size_t len)
{
    size_t used = strlen(out);

    (void)snprintf(out + used, size - used, "%.*s", (int)len, text);
}

/* Append TEXT as one word of the shell. */
static void append_word(char *out, size_t size, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789/._-+=:@%,";

    if (text[strspn(text, plain)] == '\0') {
        append(out, size, text, strlen(text));
        return;
    }
    append(out, size, "'", 1);
    for (size_t n; *text != '\0'; text += n) {
        n = strcspn(text, "'");
        append(out, size, text, n);
        if (text[n] == '\'') {
            append(out, size, "'\\''", 4);
            n++;
        }
    }
    append(out, size, "'", 1);
}

/* The command in a hint has to work as it stands, so it names the file if that is not the
 * default. */
static void name_known_servers(const struct client *client, sotto_error *error)
{
    char words[sizeof error->hint] = " --known-servers ";
    const char *file = client->known.option;

    if (file == NULL || strstr(error->hint, "sotto trust remove ") == NULL)
        return;
    append_word(words, sizeof words, file);
    /* Half a path would be worse than none. */
    if (strlen(file) >= sizeof words / 2 || strlen(error->hint) + strlen(words) >= sizeof words)
        (void)snprintf(words, sizeof words, " --known-servers FILE");
    append(error->hint, sizeof error->hint, words, strlen(words));
}

int client_report(const struct client *client, const sotto_error *error, const sotto_reply *reply)
{
    sotto_error shown = *error;

    name_known_servers(client, &shown);
    if (client->no_terminal && error->code == SOTTO_E_KEY_UNKNOWN)
        note("there is no terminal to ask on, so --trust ask refuses like strict");
    if (reply != NULL && reply->error_data != NULL) {
        (void)fprintf(stderr, "sotto: data with the error: ");
        content_print(stderr, reply->error_data, strlen(reply->error_data), LAYOUT_COMPACT, true,
                      true);
    }
    return report_as(&shown, status_of_call(error->code, reply != NULL ? reply->error_code : NULL));
}
