/*
 * The line protocol of noise_peer: see line.h.
 */
#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void line_die(const char *what)
{
    (void)fprintf(stderr, "noise_peer: %s\n", what);
    exit(2);
}

static void forget(struct line *line)
{
    while (line->owned_count > 0)
        free(line->owned[--line->owned_count]);
    line->count = 0;
}

static void *own(struct line *line, size_t len)
{
    void *memory = malloc(len);

    if (line->owned_count == LINE_WORDS_MAX || (memory == NULL && len > 0))
        line_die("no memory, or too many arguments");
    line->owned[line->owned_count++] = memory;
    return memory;
}

int line_read(struct line *line, FILE *in)
{
    ssize_t len;
    char *at;

    forget(line);
    if ((len = getline(&line->text, &line->size, in)) < 0)
        return 0;
    if (len < 2 || line->text[len - 1] != '\n')
        line_die("an empty line, or half a line");
    line->text[len - 1] = '\0';
    for (char *word = line->text; word != NULL; word = at) {
        if (line->count == LINE_WORDS_MAX)
            line_die("too many words");
        if ((at = strchr(word, ' ')) != NULL)
            *at++ = '\0';
        line->word[line->count++] = word;
    }
    return 1;
}

void line_free(struct line *line)
{
    forget(line);
    free(line->text);
}

sotto_room line_room(struct line *line, size_t len)
{
    /* A room of no bytes still has a place: NULL would be a mistake of its own. */
    void *memory = own(line, len > 0 ? len : 1);

    memset(memory, 0xa5, len > 0 ? len : 1);
    return sotto_room_of(memory, len);
}

const char *line_word(const struct line *line, size_t index)
{
    if (index >= line->count)
        line_die("a word is missing");
    return line->word[index];
}

const char *line_named(const struct line *line, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 1; i < line->count; i++) {
        if (strncmp(line->word[i], name, len) == 0 && line->word[i][len] == '=')
            return line->word[i] + len + 1;
    }
    return NULL;
}

uint64_t line_nonce(const char *text)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0')
        line_die("not a number");
    return number;
}

unsigned line_number(const char *text)
{
    uint64_t number = line_nonce(text);

    if (number > 1000000)
        line_die("too large a number");
    return (unsigned)number;
}

static unsigned digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + 10);
    line_die("not hex");
}

sotto_bytes line_bytes(struct line *line, const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes;

    if (strcmp(hex, "-") == 0)
        return sotto_no_bytes();
    if (strlen(hex) != 2 * len || len == 0)
        line_die("not whole bytes");
    bytes = own(line, len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return sotto_bytes_of(bytes, len);
}

void line_ok(void)
{
    (void)fputs("ok", stdout);
}

void line_put_word(const char *word)
{
    (void)printf(" %s", word);
}

void line_put_number(uint64_t number)
{
    (void)printf(" %llu", (unsigned long long)number);
}

void line_put_bytes(sotto_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes.ptr;

    (void)fputs(bytes.len > 0 ? " " : " -", stdout);
    for (size_t i = 0; i < bytes.len; i++) {
        (void)putc_unlocked(digits[at[i] >> 4], stdout);
        (void)putc_unlocked(digits[at[i] & 15], stdout);
    }
}

void line_end(void)
{
    (void)putc_unlocked('\n', stdout);
    if (fflush(stdout) != 0)
        line_die("the answer cannot be written");
}

void line_err(sotto_err err)
{
    (void)printf("err %s", sotto_err_name(err));
}
