/*
 * The command `sotto`: finds the subcommand and runs it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sotto/version.h>

#include "command.h"
#include "options.h"
#include "output.h"
#include "status.h"

static const struct command *const commands[] = {
    &command_secrets_new, &command_secrets_embed, &command_keygen,    &command_fingerprint,
    &command_serve,       &command_call,          &command_bootstrap, &command_trust_list,
    &command_trust_add,   &command_trust_remove,  &command_bench,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* True when NAME begins with the word FIRST, and has another behind it. */
static bool in_group(const char *name, const char *first)
{
    size_t len = strlen(first);

    return strncmp(name, first, len) == 0 && name[len] == ' ';
}

/* All commands, or those of a group. */
static void print_commands(const char *group)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (group == NULL || in_group(commands[i]->name, group))
            (void)printf("  %-16s %s\n", commands[i]->name, commands[i]->summary);
}

static int help(const char *group)
{
    (void)printf("Usage: sotto %s [OPTION]... [ARGUMENT]...\n\n",
                 group != NULL ? group : "COMMAND");
    if (group == NULL)
        (void)printf("Encrypted JSON calls between programs, over the Noise Protocol Framework.\n\n"
                     "Commands:\n");
    print_commands(group);
    (void)printf("\n\"sotto COMMAND --help\" tells more about each%s.\n",
                 group == NULL ? "; \"sotto --version\" prints the version" : "");
    if (group == NULL) {
        (void)printf("\nExamples:\n"
                     "  sotto serve\n"
                     "  sotto call --trust accept-new localhost:7448 echo '{\"hello\":\"there\"}'\n"
                     "\nExit status:\n");
        status_print(stdout);
    }
    return STATUS_OK;
}

static int version(void)
{
    (void)printf("sotto %s\n", SOTTO_VERSION);
    if (strcmp(sotto_version(), SOTTO_VERSION) != 0)
        (void)printf("libsotto %s\n", sotto_version());
    return STATUS_OK;
}

/* No command is called NAME ("call", or "trust ad" with its group): say so. */
static int unknown(const char *name)
{
    const char *best = NULL;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *candidate = commands[i]->name;

        if (is_near(name, candidate) &&
            (best == NULL || edit_distance(name, candidate) < edit_distance(name, best)))
            best = candidate;
    }
    if (best != NULL)
        return usage_error(NULL, "there is no command \"%s\"; did you mean \"%s\"?", name, best);
    return usage_error(NULL, "there is no command \"%s\"", name);
}

/* The second word of a group's command: "secrets" and what follows. */
static int run_group(const char *group, int argc, char **argv)
{
    char name[64];

    if (argc < 1)
        return usage_error(NULL, "\"%s\" needs one more word: see \"sotto %s --help\"", group,
                           group);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return help(group);
    (void)snprintf(name, sizeof name, "%s %s", group, argv[0]);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    return unknown(name);
}

static int run(int argc, char **argv)
{
    if (argc < 1)
        return usage_error(NULL, "which command?");
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
        (strcmp(argv[0], "help") == 0 && argc == 1))
        return help(NULL);
    if (strcmp(argv[0], "--version") == 0)
        return version();
    if (argv[0][0] == '-')
        return usage_error(NULL, "there is no option %s before a command", argv[0]);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, argv[0]) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
        if (in_group(commands[i]->name, argv[0]))
            return run_group(argv[0], argc - 1, argv + 1);
    }
    return unknown(argv[0]);
}

/* Without this, the first file or socket that is opened would become standard output when the
 * caller had closed that.  Opened the wrong way round, so that using it still fails. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    /* A reader that has gone and a file that may not grow are errors of write(), and reported as
     * such: nothing is left half done. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    /* Whoever started us may have ignored this one: then nobody could wait for a child. */
    (void)signal(SIGCHLD, SIG_DFL);
    return finish_output(run(argc - 1, argv + 1));
}
