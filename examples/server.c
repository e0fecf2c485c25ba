/* A server in ten lines: PREFIX_25519.key of `sotto keygen -o PREFIX` is its key. */
#include <stdio.h>

#include <sotto/sotto.h>

static void hello(void *user, const sotto_request *request)
{
    (void)user;
    /* Any JSON.  What the client sent is request->content. */
    sotto_answer(request->server, request->call, "\"hello\"", 7);
}

int main(int argc, char **argv)
{
    sotto_server_options options = SOTTO_SERVER_OPTIONS_INIT;
    sotto_keypair *key = NULL;
    sotto_server *server = NULL;
    sotto_error error = {0};
    sotto_err err = sotto_keypair_load(argc > 1 ? argv[1] : "sotto_25519.key", &key, &error);

    options.keys[0] = key;
    options.listen = argc > 2 ? argv[2] : "127.0.0.1:7448";
    if (err == SOTTO_OK && (err = sotto_server_new(&options, &server, &error)) == SOTTO_OK &&
        (err = sotto_server_endpoint(server, "hello", hello, NULL, NULL)) == SOTTO_OK &&
        (err = sotto_server_start(server, &error)) == SOTTO_OK) {
        printf("%s\n", sotto_server_address(server));
        fflush(stdout);
        err = sotto_server_wait(server); /* until another thread calls sotto_server_drain() */
    }
    if (err != SOTTO_OK)
        fprintf(stderr, "%s: %s %s\n", sotto_strerror(err), error.what, error.why);
    sotto_server_free(server);
    sotto_keypair_free(key);
    return err != SOTTO_OK;
}
