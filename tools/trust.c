/*
 * `sotto trust list`, `add` and `remove`: the file of known servers.
 */
#include <stdio.h>
#include <string.h>

#include <sotto/identity.h>

#include "command.h"
#include "known.h"
#include "options.h"
#include "output.h"
#include "status.h"

static const char known_servers_help[] =
    "the file of known servers\n[$SOTTO_KNOWN_SERVERS, ~/.config/sotto/known_servers]";

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    const char *only; /* an address, or NULL */
    size_t shown;
};

static sotto_err show(void *user, const char *address, const sotto_public_key *key, unsigned line)
{
    struct listing *listing = user;
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    sotto_err err;

    if (listing->only != NULL && strcmp(listing->only, address) != 0)
        return SOTTO_OK;
    err = sotto_fingerprint(key, fingerprint);
    if (err != SOTTO_OK)
        return err;
    listing->shown++;
    (void)printf("%s  %-5s  %s  line %u\n", address, sotto_curve_name(key->curve), fingerprint,
                 line);
    return SOTTO_OK;
}

static int run_list(const struct command *self, int argc, char **argv)
{
    struct known known = {0};
    const struct option options[] = {
        {"known-servers", 0, "FILE", read_text, &known.option, known_servers_help},
        OPTIONS_END,
    };
    struct listing listing = {0};
    sotto_error error = {0};
    sotto_address address;
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON || (status = known_find(self, &known)) != OPTIONS_GO_ON)
        return status;
    if (count > 0) {
        if ((status = known_address(self, argv[0], &address)) != OPTIONS_GO_ON)
            return status;
        listing.only = address.text;
    }
    if (sotto_known_servers_each(known.path, show, &listing, &error) != SOTTO_OK)
        return report(&error);
    if (listing.only != NULL && listing.shown == 0)
        return known_nothing(&known, listing.only, 0);
    return STATUS_OK;
}

const struct command command_trust_list = {
    .name = "trust list",
    .summary = "Show the servers whose keys are trusted",
    .operands = {"[ADDR]"},
    .details =
        "Prints address, curve, fingerprint and line of each key, or only those of ADDR; the exit\n"
        "status is 1 when there is none for it.\n",
    .examples = "  sotto trust list\n"
                "  sotto trust list gateway.example:7448\n",
    .run = run_list,
};

/* ---- add ------------------------------------------------------------------------------------- */

/* The key that the arguments behind the address name: a file, or the text form in one argument
 * or two. */
static int read_key(const struct command *self, int count, char **argv, sotto_public_key *key)
{
    char text[SOTTO_PUBLIC_KEY_TEXT_SIZE + 64];
    sotto_error error = {0};

    if (strncmp(argv[1], "sotto-x", 7) != 0) {
        if (count > 2)
            return usage_error(self, "\"%s\" is one argument too many", argv[2]);
        return sotto_public_key_load(argv[1], key, &error) == SOTTO_OK ? OPTIONS_GO_ON
                                                                       : report(&error);
    }
    (void)snprintf(text, sizeof text, "%s%s%s", argv[1], count > 2 ? " " : "",
                   count > 2 ? argv[2] : "");
    if (sotto_public_key_parse(text, strlen(text), key) != SOTTO_OK)
        return usage_error(self,
                           "\"%s\" is no public key: it is \"sotto-x25519 BASE64\" or "
                           "\"sotto-x448 BASE64\"",
                           text);
    return OPTIONS_GO_ON;
}

/* An address with a fingerprint in it has to agree with the key. */
static int check_fingerprint(const sotto_address *address, const char *fingerprint)
{
    sotto_error error;

    if (address->fingerprint[0] == '\0' || strcmp(address->fingerprint, fingerprint) == 0)
        return OPTIONS_GO_ON;
    error_what(&error, SOTTO_E_KEY_MISMATCH, "this is not the key in the address of %s",
               address->text);
    error_why(&error, "the address says %s, the key is %s", address->fingerprint, fingerprint);
    return report(&error);
}

static int pin(const struct known *known, const sotto_address *address, const sotto_public_key *key)
{
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    sotto_error error = {0};
    sotto_pins pins;
    int status;

    if (sotto_fingerprint(key, fingerprint) != SOTTO_OK) {
        error_what(&error, SOTTO_E_KEY, "this key has no fingerprint");
        return report(&error);
    }
    if ((status = check_fingerprint(address, fingerprint)) != OPTIONS_GO_ON)
        return status;
    if (sotto_known_servers_lookup(known->path, address->text, &pins, &error) != SOTTO_OK ||
        sotto_known_servers_pin(known->path, address->text, key, 1, &error) != SOTTO_OK)
        return report(&error);
    (void)printf("%s  %-5s  %s  %s\n", address->text, sotto_curve_name(key->curve), fingerprint,
                 pins.key[key->curve - 1].curve != 0 ? "was there already" : "added");
    return STATUS_OK;
}

static int run_add(const struct command *self, int argc, char **argv)
{
    struct known known = {0};
    const struct option options[] = {
        {"known-servers", 0, "FILE", read_text, &known.option, known_servers_help},
        OPTIONS_END,
    };
    sotto_public_key key;
    sotto_address address;
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON || (status = known_find(self, &known)) != OPTIONS_GO_ON ||
        (status = known_address(self, argv[0], &address)) != OPTIONS_GO_ON ||
        (status = read_key(self, count, argv, &key)) != OPTIONS_GO_ON)
        return status;
    return pin(&known, &address, &key);
}

const struct command command_trust_add = {
    .name = "trust add",
    .summary = "Trust a server's key",
    .operands = {"ADDR", "KEY", "[BASE64]"},
    .details = "KEY is a public key file, or the text \"sotto-x25519 BASE64\" or \"sotto-x448 "
               "BASE64\".  A key\n"
               "that is pinned already is never replaced: remove it first.\n",
    .examples = "  sotto trust add gateway.example:7448 gateway_25519.pub\n"
                "  sotto trust add gateway.example:7448 \\\n"
                "      'sotto-x25519 hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo='\n",
    .run = run_add,
};

/* ---- remove ---------------------------------------------------------------------------------- */

static int run_remove(const struct command *self, int argc, char **argv)
{
    struct known known = {0};
    sotto_curve curve = 0;
    const struct option options[] = {
        {"curve", 0, "25519|448", read_curve, &curve, "only the key on this curve [all]"},
        {"known-servers", 0, "FILE", read_text, &known.option, known_servers_help},
        OPTIONS_END,
    };
    sotto_error error = {0};
    sotto_address address;
    size_t removed = 0;
    int count, status = options_parse(self, options, argc, argv, &count);

    if (status != OPTIONS_GO_ON || (status = known_find(self, &known)) != OPTIONS_GO_ON ||
        (status = known_address(self, argv[0], &address)) != OPTIONS_GO_ON)
        return status;
    if (sotto_known_servers_remove(known.path, address.text, curve, &removed, &error) != SOTTO_OK)
        return report(&error);
    if (removed == 0)
        return known_nothing(&known, address.text, curve);
    (void)printf("removed %zu %s of %s from %s\n", removed, removed == 1 ? "key" : "keys",
                 address.text, known.path);
    return STATUS_OK;
}

const struct command command_trust_remove = {
    .name = "trust remove",
    .summary = "Trust a server's keys no longer",
    .operands = {"ADDR"},
    .details = "Removes the lines of ADDR from the file of known servers and says how many there "
               "were; the\n"
               "exit status is 1 when there was none.\n",
    .examples = "  sotto trust remove gateway.example:7448\n"
                "  sotto trust remove --curve 448 gateway.example:7448\n",
    .run = run_remove,
};
