/*
 * `sotto serve`: a server with a few endpoints of its own and programs for the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sotto/server.h>
#include <sotto/version.h>

#include "command.h"
#include "descriptors.h"
#include "endpoints.h"
#include "exec.h"
#include "keys.h"
#include "known.h"
#include "options.h"
#include "output.h"
#include "status.h"
#include "stopper.h"

struct serve {
    const struct command *command;

    /* From the command line and the environment. */
    const char *listen;
    const char *keys_prefix;
    const char *secrets_file;
    const char *clients_file;
    sotto_client_auth client_auth;
    int gate, insecure, verbose;
    struct texts execs;
    struct number workers, call_timeout, drain, max_message, max_connections;

    /* Made of it. */
    sotto_secrets *secrets;
    struct key_files keys;
    sotto_known_clients *clients;
    struct exec_pool *pool;
    struct exec_endpoint *programs; /* as many as execs */
    sotto_server *server;
    bool running;
    struct stopper *stopper;
};

/* ---- Options --------------------------------------------------------------------------------- */

/* Not given: SOTTO_CLIENT_AUTH_NONE without a file of clients, REQUIRED with one. */
enum { NOT_GIVEN = -1 };

static bool read_client_auth(void *target, const char *value, char *why, size_t size)
{
    static const char *const names[] = {
        [SOTTO_CLIENT_AUTH_NONE] = "none",
        [SOTTO_CLIENT_AUTH_OPTIONAL] = "optional",
        [SOTTO_CLIENT_AUTH_REQUIRED] = "required",
    };

    (void)snprintf(why, size, "none, optional or required");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *(int *)target = (int)i;
            return true;
        }
    }
    return false;
}

static int choose_client_auth(struct serve *serve, int given)
{
    if (serve->clients_file == NULL && given != NOT_GIVEN && given != SOTTO_CLIENT_AUTH_NONE)
        return usage_error(serve->command, "--client-auth needs the known clients: --clients FILE");
    if (serve->clients_file != NULL && given == SOTTO_CLIENT_AUTH_NONE)
        return usage_error(serve->command, "with --client-auth none, nobody looks at --clients");
    serve->client_auth = given != NOT_GIVEN            ? (sotto_client_auth)given
                         : serve->clients_file != NULL ? SOTTO_CLIENT_AUTH_REQUIRED
                                                       : SOTTO_CLIENT_AUTH_NONE;
    return OPTIONS_GO_ON;
}

static int check_execs(const struct serve *serve)
{
    for (size_t i = 0; i < serve->execs.count; i++) {
        const char *equals = strchr(serve->execs.at[i], '=');

        if (equals == NULL || equals == serve->execs.at[i] || equals[1] == '\0')
            return usage_error(serve->command, "--exec takes NAME=COMMAND, not \"%s\"",
                               serve->execs.at[i]);
    }
    return OPTIONS_GO_ON;
}

static int read_options(struct serve *serve, int argc, char **argv)
{
    int client_auth = NOT_GIVEN;
    sotto_address address;
    const struct option options[] = {
        {"listen", 0, "HOST:PORT", read_text, &serve->listen,
         "where to listen; port 0: the kernel chooses\n[127.0.0.1:7448]"},
        {"keys", 0, "PREFIX", read_text, &serve->keys_prefix,
         "PREFIX_25519.key, PREFIX_448.key or both\n[~/.config/sotto/server]"},
        {"secrets", 0, "FILE", read_text, &serve->secrets_file,
         "the deployment's secrets, server.json\n[$SOTTO_SECRETS, else the built-in ones]"},
        {"gate", 0, NULL, read_flag, &serve->gate,
         "nobody without the secrets can even begin;\nclients need --gate too"},
        {"clients", 0, "FILE", read_text, &serve->clients_file,
         "the known clients: lines \"sotto-x25519 BASE64 NAME\""},
        {"client-auth", 0, "HOW", read_client_auth, &client_auth,
         "none, optional (known clients are reported to\n"
         "programs) or required (nobody else is served)\n"
         "[none; with --clients: required]"},
        {"exec", 0, "NAME=COMMAND", read_texts, &serve->execs,
         "answer the endpoint NAME with a program (again\nfor more)"},
        {"workers", 0, "N", read_number, &serve->workers, "threads [one a processor, at most 16]"},
        {"max-message", 0, "SIZE", read_size, &serve->max_message,
         "the largest message that is taken [1MiB]"},
        {"max-connections", 0, "N", read_number, &serve->max_connections,
         "more are told that the server is busy [4096]"},
        {"call-timeout", 0, "TIME", read_duration, &serve->call_timeout,
         "how long a call may take, whatever its client\nsays [60s]"},
        {"drain-timeout", 0, "TIME", read_duration, &serve->drain,
         "how long calls may take to end after a signal [10s]"},
        {"insecure-default-secrets", 0, NULL, read_flag, &serve->insecure,
         "listen on more than loopback with the built-in\nsecrets, which are public"},
        {"verbose", 'v', NULL, read_flag, &serve->verbose, "print counters at the end"},
        OPTIONS_END,
    };
    int count, status = options_parse(serve->command, options, argc, argv, &count);

    if (status == OPTIONS_GO_ON)
        status = choose_client_auth(serve, client_auth);
    if (status == OPTIONS_GO_ON)
        status = check_execs(serve);
    if (status == OPTIONS_GO_ON && serve->listen != NULL)
        status = known_address(serve->command, serve->listen, &address);
    if (status == OPTIONS_GO_ON && serve->secrets_file == NULL)
        status =
            options_environment(serve->command, "SOTTO_SECRETS", read_text, &serve->secrets_file);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int load_secrets(struct serve *serve)
{
    sotto_error error = {0};
    sotto_err err;

    err = serve->secrets_file != NULL
              ? sotto_secrets_load(serve->secrets_file, &serve->secrets, &error)
              : sotto_secrets_builtin(&serve->secrets, &error);
    if (err != SOTTO_OK)
        return report(&error);
    if (!sotto_secrets_for_server(serve->secrets)) {
        error_what(&error, SOTTO_E_FORMAT, "a server cannot use %s",
                   serve->secrets_file != NULL ? serve->secrets_file : "the built-in secrets");
        error_why(&error, "these are secrets for clients: there is no server_string in them");
        error_hint(&error, "the server.json that \"sotto secrets new\" has made with it");
        return report(&error);
    }
    if (sotto_secrets_are_public(serve->secrets))
        note("warning: these are the built-in secrets, which everybody knows: they keep nobody "
             "out.  For anything but trying out, make your own with \"sotto secrets new\" and give "
             "them with --secrets");
    return OPTIONS_GO_ON;
}

static int make_keys(struct serve *serve, const char *prefix)
{
    sotto_error error = {0};

    if (keys_make(prefix, 0, &serve->keys, &error) != SOTTO_OK)
        return report(&error);
    note("there were no keys yet; made %s_25519.key and %s_448.key", prefix, prefix);
    return OPTIONS_GO_ON;
}

static int load_keys(struct serve *serve)
{
    char path[4096];
    const char *prefix = serve->keys_prefix;
    sotto_error error = {0};

    if (prefix == NULL) {
        if (config_path("server", path, sizeof path, &error) != SOTTO_OK)
            return report(&error);
        prefix = path;
    }
    if (keys_load(prefix, &serve->keys, &error) != SOTTO_OK)
        return report(&error);
    return keys_any(&serve->keys) ? OPTIONS_GO_ON : make_keys(serve, prefix);
}

static int load_clients(struct serve *serve)
{
    sotto_error error = {0};

    if (serve->clients_file != NULL &&
        sotto_known_clients_load(serve->clients_file, &serve->clients, &error) != SOTTO_OK)
        return report(&error);
    return OPTIONS_GO_ON;
}

/* ---- The server ------------------------------------------------------------------------------ */

static int make_server(struct serve *serve)
{
    sotto_server_options options = SOTTO_SERVER_OPTIONS_INIT;
    sotto_error error = {0};

    options.listen = serve->listen;
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        options.keys[i] = serve->keys.keypair[i];
    options.secrets = serve->secrets;
    options.allow_default_secrets = serve->insecure;
    options.gate = serve->gate;
    options.client_auth = serve->client_auth;
    options.clients = serve->clients;
    options.workers = serve->workers.value;
    options.max_message = serve->max_message.value;
    options.max_connections = serve->max_connections.value;
    options.call_timeout_ms = serve->call_timeout.value;
    if (sotto_server_new(&options, &serve->server, &error) == SOTTO_OK)
        return OPTIONS_GO_ON;
    if (error.code == SOTTO_E_DEFAULT_SECRETS)
        error_hint(&error, "make your own: sotto secrets new DIR; then --secrets DIR/server.json "
                           "(or, if everybody may call: --insecure-default-secrets)");
    return report(&error);
}

static int add_endpoint(struct serve *serve, const char *name, sotto_handler *handler,
                        sotto_call_over *over, void *user)
{
    sotto_err err = sotto_server_endpoint(serve->server, name, handler, over, user);
    sotto_error error;

    if (err == SOTTO_OK)
        return OPTIONS_GO_ON;
    if (err == SOTTO_E_EXISTS)
        return usage_error(serve->command, "--exec: there is an endpoint \"%s\" already", name);
    if (err == SOTTO_E_USAGE)
        return usage_error(
            serve->command,
            "--exec: \"%s\" is no name for an endpoint: 1 to 128 of A-Z a-z 0-9 . _ / -", name);
    error_what(&error, err, "cannot add the endpoint %s", name);
    return report(&error);
}

/* "NAME=COMMAND" in its two halves. */
static int add_program(struct serve *serve, struct exec_endpoint *program, const char *text)
{
    const char *equals = strchr(text, '='); /* check_execs() has seen it */
    sotto_error error;

    program->pool = serve->pool;
    program->name = strndup(text, (size_t)(equals - text));
    program->command = strdup(equals + 1);
    if (program->name == NULL || program->command == NULL) {
        error_what(&error, SOTTO_E_NOMEM, "cannot add the endpoint %s", text);
        return report(&error);
    }
    return add_endpoint(serve, program->name, exec_handle, exec_over, program);
}

static int add_endpoints(struct serve *serve)
{
    sotto_error error = {0};
    int status;

    if ((status = add_endpoint(serve, "echo", endpoint_echo, NULL, NULL)) != OPTIONS_GO_ON ||
        (status = add_endpoint(serve, "time", endpoint_time, NULL, NULL)) != OPTIONS_GO_ON ||
        serve->execs.count == 0)
        return status;
    serve->programs = calloc(serve->execs.count, sizeof *serve->programs);
    error.code = serve->programs != NULL ? exec_pool_new(serve->call_timeout.value, &serve->pool)
                                         : SOTTO_E_NOMEM;
    if (error.code != SOTTO_OK) {
        error_what(&error, error.code, "cannot start the threads for programs");
        return report(&error);
    }
    for (size_t i = 0; i < serve->execs.count && status == OPTIONS_GO_ON; i++)
        status = add_program(serve, &serve->programs[i], serve->execs.at[i]);
    return status;
}

static int start(struct serve *serve)
{
    sotto_error error = {0};
    sotto_err err;

    raise_descriptor_limit();
    if (sotto_server_start(serve->server, &error) != SOTTO_OK)
        return report(&error);
    serve->running = true;
    err = stopper_new(serve->server, serve->pool, serve->drain.value, &serve->stopper);
    if (err != SOTTO_OK) {
        error_what(&error, err, "cannot listen for signals");
        return report(&error);
    }
    return OPTIONS_GO_ON;
}

/* Other programs read this: see sotto-serve(1). */
static int print_ready(const struct serve *serve)
{
    (void)printf("sotto %s ready\n  address      %s\n", SOTTO_VERSION,
                 sotto_server_address(serve->server));
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        if (serve->keys.keypair[i] != NULL)
            (void)printf("  fingerprint  %-5s  %s\n", sotto_curve_name(keys_curve(i)),
                         serve->keys.fingerprint[i]);
    (void)printf("  endpoints    echo time");
    for (size_t i = 0; i < serve->execs.count; i++)
        (void)printf(" %s", serve->programs[i].name);
    (void)printf("\n");
    return finish_output(STATUS_OK) == STATUS_OK ? OPTIONS_GO_ON : STATUS_UNEXPECTED;
}

static void print_counters(const struct serve *serve)
{
    sotto_server_stats stats;

    sotto_server_get_stats(serve->server, &stats);
    note("%llu connections, %llu bootstraps, %llu sessions, %llu requests, %llu refused, "
         "%llu failed handshakes",
         (unsigned long long)stats.connections, (unsigned long long)stats.bootstraps,
         (unsigned long long)stats.sessions, (unsigned long long)stats.requests,
         (unsigned long long)stats.refused, (unsigned long long)stats.handshakes_failed);
}

/* From the ready line to the end. */
static int serve_until_stopped(struct serve *serve)
{
    sotto_error error;
    sotto_err err = sotto_server_wait(serve->server);

    if (err != SOTTO_OK) {
        error_what(&error, err, "the server has ended by itself");
        return report(&error);
    }
    serve->running = false;
    exec_pool_wait(serve->pool, stopper_deadline_ns(serve->stopper));
    if (serve->verbose)
        print_counters(serve);
    return STATUS_OK;
}

static void release(struct serve *serve)
{
    stopper_free(serve->stopper);
    /* The workers use the pool, and its threads the server: end, free, free. */
    if (serve->running) {
        sotto_server_drain(serve->server, 0);
        if (sotto_server_wait(serve->server) != SOTTO_OK)
            note("the server did not end as it should");
    }
    exec_pool_free(serve->pool);
    sotto_server_free(serve->server);
    for (size_t i = 0; serve->programs != NULL && i < serve->execs.count; i++) {
        free(serve->programs[i].name);
        free(serve->programs[i].command);
    }
    free(serve->programs);
    free(serve->execs.at);
    sotto_known_clients_free(serve->clients);
    keys_free(&serve->keys);
    sotto_secrets_free(serve->secrets);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct serve serve = {
        .command = self,
        .workers = {0, 1, 256},
        .call_timeout = {60000, 1, 24u * 3600000u},
        .drain = {10000, 0, 24u * 3600000u},
        .max_message = {0, 1024, UINT32_MAX},
        .max_connections = {0, 1, 1000000},
    };
    int status = read_options(&serve, argc, argv);

    if (status == OPTIONS_GO_ON && (status = load_secrets(&serve)) == OPTIONS_GO_ON &&
        (status = load_clients(&serve)) == OPTIONS_GO_ON &&
        (status = load_keys(&serve)) == OPTIONS_GO_ON &&
        (status = make_server(&serve)) == OPTIONS_GO_ON) {
        stopper_block_signals();
        if ((status = add_endpoints(&serve)) == OPTIONS_GO_ON &&
            (status = start(&serve)) == OPTIONS_GO_ON &&
            (status = print_ready(&serve)) == OPTIONS_GO_ON)
            status = serve_until_stopped(&serve);
    }
    release(&serve);
    return status;
}

const struct command command_serve = {
    .name = "serve",
    .summary = "Answer calls",
    .details = "Prints address, fingerprints and endpoints when it is ready.  Endpoints: echo "
               "answers its\n"
               "content, time the time, and those of --exec what a program prints: \"/bin/sh -c "
               "COMMAND\" gets\n"
               "the content on standard input and SOTTO_ENDPOINT, SOTTO_CLIENT (the client's "
               "fingerprint or\n"
               "nothing), SOTTO_CLIENT_NAME and SOTTO_DEADLINE_MS in its environment, and prints "
               "one JSON value.\n"
               "An exit status other than 0 is the error exec.failed.  It is killed when nobody "
               "waits for its\n"
               "answer any more.\n"
               "\n"
               "SIGTERM and SIGINT let the calls in flight end; a second signal ends at once.  The "
               "first start\n"
               "without keys makes them.\n",
    .examples = "  sotto serve\n"
                "  sotto serve --listen 0.0.0.0:7448 --secrets /etc/sotto/server.json \\\n"
                "      --exec 'disk/free=df -P / | awk \"NR==2 {print \\$4}\"'\n",
    .run = run,
};
