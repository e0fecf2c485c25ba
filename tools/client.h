/*
 * client.h: what `sotto call` and `sotto bootstrap` have in common: their options, and how they get
 * a client.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>

#include <sotto/client.h>

#include "command.h"
#include "known.h"
#include "options.h"

struct client {
    /* From the command line and the environment. */
    sotto_curve curve;
    sotto_cipher cipher;
    const char *secrets_file;
    const char *pin;
    sotto_trust trust;
    struct known known;
    const char *state_dir;
    const char *identity_file;
    int gate, fresh, verbose;
    struct number timeout;
    struct number max_message;

    /* Made of it. */
    sotto_address address;
    sotto_secrets *secrets;
    sotto_keypair *identity;
    bool no_terminal; /* --trust ask, but nobody to ask */
    sotto_client *handle;
};

#define CLIENT_INIT                                                                                \
    {                                                                                              \
        .timeout = {0, 1, 24u * 3600000u}, .max_message = {0, 1024, UINT32_MAX},                   \
    }

/* Fill the first rows of an option table with the options that read into CLIENT. */
enum { CLIENT_OPTION_COUNT = 13 };
void client_options(struct client *client, struct option table[CLIENT_OPTION_COUNT]);

/* Make the client for the server ADDRESS, after the options were read.  Returns OPTIONS_GO_ON,
 * or the status after an error.  In both cases client_free() is due. */
int client_open(const struct command *command, struct client *client, const char *address);
void client_free(struct client *client);

/* Print the error of a call or a bootstrap and return its status.  REPLY may be NULL. */
int client_report(const struct client *client, const sotto_error *error, const sotto_reply *reply);

#endif
