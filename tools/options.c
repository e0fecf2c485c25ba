#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sotto/key.h>

#include "output.h"
#include "status.h"

/* ---- Values ---------------------------------------------------------------------------------- */

bool read_flag(void *target, const char *value, char *why, size_t size)
{
    (void)value;
    (void)why;
    (void)size;
    *(int *)target = 1;
    return true;
}

bool read_any_text(void *target, const char *value, char *why, size_t size)
{
    (void)why;
    (void)size;
    *(const char **)target = value;
    return true;
}

bool read_text(void *target, const char *value, char *why, size_t size)
{
    (void)snprintf(why, size, "a value that is not empty");
    *(const char **)target = value;
    return value[0] != '\0';
}

bool read_texts(void *target, const char *value, char *why, size_t size)
{
    struct texts *texts = target;
    const char **more = realloc(texts->at, (texts->count + 1) * sizeof *more);

    (void)snprintf(why, size, "more memory");
    if (more == NULL)
        return false;
    texts->at = more;
    texts->at[texts->count++] = value;
    return true;
}

/* The digits at the front of TEXT as a number.  False: none, or more than fits. */
static bool leading_number(const char *text, uint64_t *out, const char **rest)
{
    uint64_t value = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *out = value;
    *rest = p;
    return p > text;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool read_units(struct number *number, const char *value, const struct unit *units,
                       size_t count)
{
    uint64_t amount;
    const char *rest;

    if (!leading_number(value, &amount, &rest))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rest, units[i].name) != 0)
            continue;
        if (amount > UINT32_MAX / units[i].factor || amount * units[i].factor > number->max ||
            amount * units[i].factor < number->min)
            return false;
        number->value = (uint32_t)(amount * units[i].factor);
        return true;
    }
    return false;
}

bool read_number(void *target, const char *value, char *why, size_t size)
{
    static const struct unit units[] = {{"", 1}};
    struct number *number = target;

    (void)snprintf(why, size, "a number from %u to %u", number->min, number->max);
    return read_units(number, value, units, 1);
}

bool read_duration(void *target, const char *value, char *why, size_t size)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    struct number *number = target;

    (void)snprintf(why, size, "a time like 250ms, 5s, 2m or 1h, from %u ms to %u h", number->min,
                   number->max / 3600000);
    return read_units(number, value, units, sizeof units / sizeof units[0]);
}

bool read_size(void *target, const char *value, char *why, size_t size)
{
    static const struct unit units[] = {{"", 1},          {"k", 1024},       {"K", 1024},
                                        {"KiB", 1024},    {"M", 1048576},    {"MiB", 1048576},
                                        {"G", 1u << 30u}, {"GiB", 1u << 30u}};
    struct number *number = target;

    (void)snprintf(why, size, "a size like 4096, 64k or 1MiB, from %u to %u bytes", number->min,
                   number->max);
    return read_units(number, value, units, sizeof units / sizeof units[0]);
}

bool read_curve(void *target, const char *value, char *why, size_t size)
{
    (void)snprintf(why, size, "25519 or 448");
    *(sotto_curve *)target = sotto_curve_by_name(value);
    return *(sotto_curve *)target != 0;
}

bool read_cipher(void *target, const char *value, char *why, size_t size)
{
    (void)snprintf(why, size, "AESGCM or ChaChaPoly");
    *(sotto_cipher *)target = sotto_cipher_by_name(value);
    return *(sotto_cipher *)target != 0;
}

/* ---- Names that are nearly right ------------------------------------------------------------- */

size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t row[LONGEST + 1];
    size_t alen = strlen(a), blen = strlen(b);

    if (alen > LONGEST || blen > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= blen; j++)
        row[j] = j;
    for (size_t i = 1; i <= alen; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= blen; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[blen];
}

bool is_near(const char *a, const char *b)
{
    size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

    return edit_distance(a, b) <= (shorter > 4 ? 2u : 1u) ||
           (strlen(a) >= 3 && strncmp(a, b, strlen(a)) == 0);
}

static const struct option *nearest(const struct option *options, const char *name)
{
    const struct option *best = NULL;

    for (; options->name != NULL; options++)
        if (is_near(name, options->name) &&
            (best == NULL || edit_distance(name, options->name) < edit_distance(name, best->name)))
            best = options;
    return best;
}

/* ---- Help ------------------------------------------------------------------------------------ */

/* "-v, --verbose" and, a column further, the lines of the text. */
static void print_option(const struct option *option)
{
    enum { COLUMN = 32 };
    char left[96];
    const char *line = option->help;

    (void)snprintf(left, sizeof left, "  %s%.1s%s--%s%s%s", option->letter != 0 ? "-" : "    ",
                   option->letter != 0 ? &option->letter : "", option->letter != 0 ? ", " : "",
                   option->name, option->value != NULL ? " " : "",
                   option->value != NULL ? option->value : "");
    if (strlen(left) + 2 > COLUMN)
        (void)printf("%s\n%*s", left, COLUMN, "");
    else
        (void)printf("%-*s", COLUMN, left);
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        (void)printf("%.*s\n%*s", (int)(end - line), line, COLUMN, "");
    (void)printf("%s\n", line);
}

static void print_help(const struct command *command, const struct option *options)
{
    static const struct option help = {"help", 0, NULL, NULL, NULL, "show this"};

    (void)printf("Usage: sotto %s", command->name);
    if (options->name != NULL)
        (void)printf(" [OPTION]...");
    for (size_t i = 0; i < OPERANDS_MAX && command->operands[i] != NULL; i++)
        (void)printf(" %s", command->operands[i]);
    (void)printf("\n\n%s.\n", command->summary);
    if (command->details != NULL)
        (void)printf("\n%s", command->details);
    (void)printf("\nOptions:\n");
    for (; options->name != NULL; options++)
        print_option(options);
    print_option(&help);
    (void)printf("\nExamples:\n%s\nExit status:\n", command->examples);
    status_print(stdout);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

struct parser {
    const struct command *command;
    const struct option *options;
    int argc;
    char **argv;
    int next;  /* the argument that comes next */
    int count; /* operands so far */
};

/* Give OPTION its value: ATTACHED behind its name, or the next argument. */
static int take(struct parser *parser, const struct option *option, const char *shown,
                const char *attached)
{
    const char *value = attached;
    char why[160];

    if (option->value == NULL && attached != NULL)
        return usage_error(parser->command, "%s takes no value", shown);
    if (option->value != NULL && value == NULL) {
        if (parser->next >= parser->argc)
            return usage_error(parser->command, "%s needs a value: %s", shown, option->value);
        value = parser->argv[parser->next++];
    }
    if (!option->read(option->target, value, why, sizeof why))
        return usage_error(parser->command, "%s takes %s, not \"%s\"", shown, why, value);
    return OPTIONS_GO_ON;
}

static int long_option(struct parser *parser, const char *argument)
{
    const char *equals = strchr(argument, '=');
    size_t len = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    const struct option *near;
    char name[64];

    (void)snprintf(name, sizeof name, "%.*s", (int)len, argument);
    for (const struct option *o = parser->options; o->name != NULL; o++)
        if (strcmp(o->name, name + 2) == 0)
            return take(parser, o, name, equals != NULL ? equals + 1 : NULL);
    if (strcmp(argument, "--help") == 0) {
        print_help(parser->command, parser->options);
        return STATUS_OK;
    }
    near = nearest(parser->options, name + 2);
    if (near != NULL)
        return usage_error(parser->command, "there is no option %s; did you mean --%s?", name,
                           near->name);
    return usage_error(parser->command, "there is no option %s", name);
}

/* "-v", "-vx", "-oVALUE", "-o VALUE". */
static int short_options(struct parser *parser, const char *argument)
{
    for (const char *p = argument + 1; *p != '\0'; p++) {
        const struct option *o = parser->options;
        const char shown[] = {'-', *p, '\0'};
        int status;

        while (o->name != NULL && o->letter != *p)
            o++;
        if (o->name == NULL && *p == 'h') {
            print_help(parser->command, parser->options);
            return STATUS_OK;
        }
        if (o->name == NULL)
            return usage_error(parser->command, "there is no option %s", shown);
        status = take(parser, o, shown, o->value != NULL && p[1] != '\0' ? p + 1 : NULL);
        if (status != OPTIONS_GO_ON || o->value != NULL)
            return status;
    }
    return OPTIONS_GO_ON;
}

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0' && !(argument[1] >= '0' && argument[1] <= '9');
}

static int check_operands(const struct parser *parser)
{
    const char *const *names = parser->command->operands;
    int max = 0;

    while (max < OPERANDS_MAX && names[max] != NULL) {
        if (max >= parser->count && names[max][0] != '[')
            return usage_error(parser->command, "%s is missing", names[max]);
        max++;
    }
    if (parser->count > max)
        return usage_error(parser->command, "\"%s\" is one argument too many", parser->argv[max]);
    return OPTIONS_GO_ON;
}

int options_parse(const struct command *command, const struct option *options, int argc,
                  char **argv, int *count)
{
    struct parser parser = {command, options, argc, argv, 0, 0};
    bool ended = false;

    while (parser.next < argc) {
        char *argument = argv[parser.next++];
        int status = OPTIONS_GO_ON;

        if (ended || !is_option(argument))
            argv[parser.count++] = argument;
        else if (strcmp(argument, "--") == 0)
            ended = true;
        else if (argument[1] == '-')
            status = long_option(&parser, argument);
        else
            status = short_options(&parser, argument);
        if (status != OPTIONS_GO_ON)
            return status;
    }
    *count = parser.count;
    return check_operands(&parser);
}

int options_environment(const struct command *command, const char *name, option_reader *read,
                        void *target)
{
    const char *value = getenv(name);
    char why[160];

    if (value == NULL || value[0] == '\0' || read(target, value, why, sizeof why))
        return OPTIONS_GO_ON;
    return usage_error(command, "the variable %s takes %s, not \"%s\"", name, why, value);
}
