/*
 * `sotto call`: one call, its answer on standard output.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sotto/client.h>

#include "client.h"
#include "command.h"
#include "content.h"
#include "options.h"
#include "output.h"
#include "status.h"

struct call {
    struct client client;
    int notify, compact, pretty;
    enum layout layout;
    bool terminal;  /* standard output is one */
    bool streaming; /* a part has come */
    bool broken;    /* standard output does not take it */
};

static int show_part(void *user, const char *content, size_t len)
{
    struct call *call = user;

    call->streaming = true;
    content_print(stdout, content, len, call->layout, true, call->terminal);
    /* A part is there to be seen now, not with the last one. */
    call->broken = fflush(stdout) != 0 || ferror(stdout) != 0;
    return call->broken;
}

static int notify(struct call *call, const char *endpoint, const struct content *content)
{
    sotto_error error = {0};

    if (sotto_client_notify(call->client.handle, endpoint, content->text, content->len, &error) !=
        SOTTO_OK)
        return client_report(&call->client, &error, NULL);
    return STATUS_OK;
}

static int request(struct call *call, const char *endpoint, const struct content *content)
{
    const sotto_call_options options = {.part = show_part, .user = call};
    sotto_error error = {0};
    sotto_reply reply = {0};
    int status = STATUS_OK;

    if (sotto_client_call(call->client.handle, endpoint, content->text, content->len, &options,
                          &reply, &error) == SOTTO_OK)
        content_print(stdout, reply.content, reply.content_len, call->layout, call->streaming,
                      call->terminal);
    else if (!call->broken)
        status = client_report(&call->client, &error, &reply);
    sotto_reply_free(&reply);
    /* What is wrong with standard output is finish_output()'s to say. */
    return status;
}

static int run_call(const struct command *self, struct call *call, int count, char **argv)
{
    struct content content = {0};
    int status = content_read(count > 2 ? argv[2] : NULL, &content);

    if (status == STATUS_OK)
        status = client_open(self, &call->client, argv[0]);
    if (status == OPTIONS_GO_ON)
        status = call->notify ? notify(call, argv[1], &content) : request(call, argv[1], &content);
    client_free(&call->client);
    content_free(&content);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct call call = {.client = CLIENT_INIT};
    struct option options[CLIENT_OPTION_COUNT + 4] = {0};
    const struct option own[] = {
        {"notify", 0, NULL, read_flag, &call.notify, "send a notification: there is no answer"},
        {"compact", 0, NULL, read_flag, &call.compact, "print the answer without white space"},
        {"pretty", 0, NULL, read_flag, &call.pretty, "print the answer indented"},
        OPTIONS_END,
    };
    int count, status;

    client_options(&call.client, options);
    memcpy(options + CLIENT_OPTION_COUNT, own, sizeof own);
    status = options_parse(self, options, argc, argv, &count);
    if (status != OPTIONS_GO_ON)
        return status;
    if (call.compact && call.pretty)
        return usage_error(self, "--compact and --pretty exclude each other");
    call.layout = call.compact ? LAYOUT_COMPACT : call.pretty ? LAYOUT_PRETTY : LAYOUT_AS_IS;
    call.terminal = isatty(STDOUT_FILENO);
    return run_call(self, &call, count, argv);
}

const struct command command_call = {
    .name = "call",
    .summary = "Call an endpoint and print its answer",
    .operands = {"ADDR", "ENDPOINT", "[JSON|@FILE|-]"},
    .details =
        "ADDR is HOST:PORT, or sotto://FINGERPRINT@HOST:PORT.  The content is JSON: as an "
        "argument,\n"
        "from a file, or (-) from standard input; without one it is null.  The answer is printed "
        "as\n"
        "it came, the parts of an answer in several one a line.\n"
        "\n"
        "The first call to a server bootstraps: it learns the server's key, which has to be known\n"
        "(\"sotto trust add\") or given (--pin), and what the key of the session is made of.  The\n"
        "result is kept, so that the next call goes straight to the session.\n",
    .examples =
        "  sotto call --trust accept-new localhost:7448 echo '{\"hello\":\"there\"}'\n"
        "  sotto call --secrets client.json --pin "
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY \\\n"
        "      gateway.example:7448 devices/summary @devices.json\n"
        "  date -u '+{\"at\":\"%FT%TZ\"}' | sotto call --timeout 2s gateway.example log -\n",
    .run = run,
};
