/* A call in ten lines: the address of a server that runs `sotto serve` is the only argument. */
#include <stdio.h>

#include <sotto/sotto.h>

int main(int argc, char **argv)
{
    sotto_client_options options = SOTTO_CLIENT_OPTIONS_INIT;
    sotto_client *client = NULL;
    sotto_reply reply = {0};
    sotto_error error = {0};

    options.address = argc > 1 ? argv[1] : "127.0.0.1:7448";
    options.trust = SOTTO_TRUST_ACCEPT_NEW; /* better: options.fingerprint = "SHA256:…" */
    if (sotto_client_new(&options, &client, &error) == SOTTO_OK &&
        sotto_client_call(client, "echo", "\"hello\"", 7, NULL, &reply, &error) == SOTTO_OK)
        printf("%s\n", reply.content);
    else
        fprintf(stderr, "%s: %s\n", error.what, error.why);
    sotto_reply_free(&reply);
    sotto_client_free(client);
    return error.code != SOTTO_OK;
}
