#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sotto/json.h>

#include "output.h"
#include "status.h"

/* ---- Reading --------------------------------------------------------------------------------- */

/* More than any server will take by default, and less than what fills the memory from /dev/zero. */
static const size_t content_max = (size_t)1 << 30;

static int failed(const char *name, sotto_err code, const char *why)
{
    sotto_error error;

    error_what(&error, code, "cannot read %s", name);
    error_why(&error, "%s", why);
    return report(&error);
}

/* Make room for more.  False: no memory, or too much already. */
static bool grow(struct content *content, size_t *cap)
{
    size_t more = *cap == 0 ? 65536 : *cap * 2;
    char *text = more <= 2 * content_max ? realloc(content->text, more) : NULL;

    if (text == NULL)
        return false;
    content->text = text;
    *cap = more;
    return true;
}

static int read_all(int fd, const char *name, struct content *out)
{
    size_t cap = 0;

    for (;;) {
        ssize_t got;

        if (out->len > content_max)
            return failed(name, SOTTO_E_TOO_LARGE, "more than 1 GiB");
        if (out->len == cap && !grow(out, &cap))
            return failed(name, SOTTO_E_NOMEM, sotto_strerror(SOTTO_E_NOMEM));
        got = read(fd, out->text + out->len, cap - out->len);
        if (got == 0)
            return STATUS_OK;
        if (got > 0)
            out->len += (size_t)got;
        else if (errno != EINTR)
            return failed(name, SOTTO_E_FILE, strerror(errno));
    }
}

/* A FIFO is fine here: it is how a shell passes the output of a command. */
static int read_file(const char *path, struct content *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int status;

    if (fd < 0)
        return failed(path, SOTTO_E_FILE, strerror(errno));
    status = read_all(fd, path, out);
    (void)close(fd);
    return status;
}

static int copy(const char *text, struct content *out)
{
    out->text = strdup(text);
    if (out->text == NULL)
        return failed("the content", SOTTO_E_NOMEM, sotto_strerror(SOTTO_E_NOMEM));
    out->len = strlen(text);
    return STATUS_OK;
}

int content_read(const char *source, struct content *out)
{
    const char *name = "the content on the command line";
    sotto_error error, place = {0};
    sotto_err err;
    int status;

    memset(out, 0, sizeof *out);
    if (source == NULL) {
        status = copy("null", out);
    } else if (strcmp(source, "-") == 0) {
        name = "standard input";
        status = read_all(STDIN_FILENO, name, out);
    } else if (source[0] == '@') {
        name = source + 1;
        status = read_file(name, out);
    } else {
        status = copy(source, out);
    }
    if (status != STATUS_OK)
        return status;
    err = sotto_json_check(out->text, out->len, &place);
    if (err == SOTTO_OK)
        return STATUS_OK;
    error_what(&error, err, "%s is not strict JSON", name);
    error_why(&error, "%s", place.why);
    return report(&error);
}

void content_free(struct content *content)
{
    free(content->text);
    memset(content, 0, sizeof *content);
}

/* ---- Printing -------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The bytes of TEXT, with what could steer a terminal (DEL and C1; anything below 0x20 is no
 * JSON) escaped. */
static void put_escaped(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

        if (c == 0x7f) {
            (void)fputs("\\u007f", out);
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            (void)fprintf(out, "\\u%04x", next);
            i++;
        } else {
            (void)fputc(c, out);
        }
    }
}

static void put(FILE *out, const char *text, size_t len, bool terminal)
{
    if (terminal)
        put_escaped(out, text, len);
    else
        (void)fwrite(text, 1, len, out);
}

/* The length of the token at TEXT: a string, a bracket, comma or colon, or a number or word. */
static size_t token_length(const char *text, size_t len)
{
    size_t n = 1;

    if (text[0] == '"') {
        while (n < len && text[n] != '"')
            n += text[n] == '\\' ? 2 : 1;
        return n < len ? n + 1 : len;
    }
    if (strchr("{}[],:", text[0]) != NULL)
        return 1;
    while (n < len && !is_space(text[n]) && strchr("{}[],:\"", text[n]) == NULL)
        n++;
    return n;
}

static void new_line(FILE *out, size_t depth)
{
    (void)fprintf(out, "\n%*s", (int)(2 * depth), "");
}

/* One token of a text that is laid out anew.  BEFORE is the first character of the token before
 * it. */
static void lay_out(FILE *out, char before, const char *token, size_t len, size_t *depth,
                    bool terminal)
{
    bool opened = before == '{' || before == '[';
    bool closes = token[0] == '}' || token[0] == ']';

    if (closes)
        *depth -= 1;
    /* An empty object or array stays in one piece. */
    if (opened != closes || before == ',')
        new_line(out, *depth);
    put(out, token, len, terminal);
    if (token[0] == ':')
        (void)fputc(' ', out);
    if (token[0] == '{' || token[0] == '[')
        *depth += 1;
}

static void put_tokens(FILE *out, const char *text, size_t len, bool pretty, bool terminal)
{
    size_t depth = 0;
    char before = ' ';

    for (size_t i = 0; i < len;) {
        size_t n;

        if (is_space(text[i])) {
            i++;
            continue;
        }
        n = token_length(text + i, len - i);
        if (pretty)
            lay_out(out, before, text + i, n, &depth, terminal);
        else
            put(out, text + i, n, terminal);
        before = text[i];
        i += n;
    }
}

/* A line break in strict JSON is white space between tokens: a blank does as well. */
static void put_one_line(FILE *out, const char *text, size_t len, bool terminal)
{
    size_t from = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '\n' && text[i] != '\r')
            continue;
        put(out, text + from, i - from, terminal);
        if (i < len)
            (void)fputc(' ', out);
        from = i + 1;
    }
}

void content_print(FILE *out, const char *text, size_t len, enum layout layout, bool one_line,
                   bool terminal)
{
    if (layout != LAYOUT_AS_IS) {
        put_tokens(out, text, len, layout == LAYOUT_PRETTY, terminal);
    } else if (one_line) {
        put_one_line(out, text, len, terminal);
    } else {
        put(out, text, len, terminal);
    }
    (void)fputc('\n', out);
}
