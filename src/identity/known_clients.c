#include "sotto/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "identity/file.h"
#include "identity/lines.h"

enum { CLIENTS_FILE_MAX = 64 << 20 };

struct client {
    sotto_public_key key;
    unsigned line;
    const char *name;
};

/* Sorted by key.  The names live in the file's text, where each got its NUL. */
struct sotto_known_clients {
    struct si_buf text;
    struct client *clients;
    size_t count;
};

static int compare_keys(const sotto_public_key *a, const sotto_public_key *b)
{
    return a->curve != b->curve ? (a->curve < b->curve ? -1 : 1)
                                : memcmp(a->bytes, b->bytes, sotto_curve_key_len(a->curve));
}

/* Equal keys in the order of their lines, so that the second one is reported. */
static int compare_clients(const void *a, const void *b)
{
    const struct client *x = a, *y = b;
    int order = compare_keys(&x->key, &y->key);

    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int compare_with_key(const void *key, const void *client)
{
    return compare_keys(key, &((const struct client *)client)->key);
}

static sotto_err malformed(sotto_error *error, const char *path, unsigned line, const char *why)
{
    si_error(error, SOTTO_E_FORMAT, "the known clients in %s cannot be used", path);
    si_error_why(error, "line %u: %s", line, why);
    si_error_hint(error, "write one client a line: sotto-x25519 BASE64 NAME");
    return SOTTO_E_FORMAT;
}

static sotto_err out_of_memory(sotto_error *error, const char *path)
{
    si_error(error, SOTTO_E_NOMEM, "cannot read %s", path);
    si_error_why(error, "out of memory");
    return SOTTO_E_NOMEM;
}

static size_t count_lines(struct si_span text)
{
    struct si_lines lines = si_lines(text);

    while (si_lines_next(&lines))
        ;
    return lines.number;
}

/* The byte behind a line is its newline or one of the spare bytes, so the name can be ended in
 * place.  A low-order point is not looked for: nobody can finish a handshake with one, and the
 * check would cost a Diffie-Hellman a line. */
static sotto_err add_client(sotto_known_clients *clients, const struct si_lines *at,
                            const char **why)
{
    struct client *client = &clients->clients[clients->count];
    struct si_span rest = at->line, name;
    sotto_err err;

    if ((err = si_line_key(&rest, &client->key, why)) != SOTTO_OK)
        return err;
    name = si_line_trim(rest);
    clients->text.ptr[(size_t)(name.ptr - clients->text.ptr) + name.len] = '\0';
    client->name = (const char *)name.ptr;
    client->line = at->number;
    clients->count++;
    return SOTTO_OK;
}

static sotto_err read_lines(sotto_known_clients *clients, const char *path, sotto_error *error)
{
    struct si_lines lines = si_lines(si_span(clients->text.ptr, clients->text.len));
    const char *why = "";

    while (si_lines_next(&lines)) {
        if (si_line_has_control(lines.line))
            return malformed(error, path, lines.number, "it holds a control character");
        if (!si_line_is_idle(lines.line) && add_client(clients, &lines, &why) != SOTTO_OK)
            return malformed(error, path, lines.number, why);
    }
    return SOTTO_OK;
}

static sotto_err sort_and_check(sotto_known_clients *clients, const char *path, sotto_error *error)
{
    if (clients->count == 0)
        return SOTTO_OK;
    qsort(clients->clients, clients->count, sizeof *clients->clients, compare_clients);
    for (size_t i = 1; i < clients->count; i++) {
        const struct client *a = &clients->clients[i - 1], *b = &clients->clients[i];

        if (compare_keys(&a->key, &b->key) == 0) {
            (void)malformed(error, path, b->line, "");
            si_error_why(error, "line %u: the same key as in line %u", b->line, a->line);
            return SOTTO_E_FORMAT;
        }
    }
    return SOTTO_OK;
}

sotto_err sotto_known_clients_load(const char *path, sotto_known_clients **out, sotto_error *error)
{
    struct si_file file = {0};
    sotto_known_clients *clients = NULL;
    size_t lines;
    sotto_err err;

    *out = NULL;
    if ((err = si_file_read(path, SI_FILE_PUBLIC, CLIENTS_FILE_MAX, &file, error)) != SOTTO_OK)
        return err;
    clients = calloc(1, sizeof *clients);
    if (clients == NULL) {
        si_buf_free(&file.text);
        return out_of_memory(error, path);
    }
    clients->text = file.text;
    lines = count_lines(si_span(clients->text.ptr, clients->text.len));
    clients->clients = calloc(lines + 1, sizeof *clients->clients);
    if (clients->clients == NULL) {
        err = out_of_memory(error, path);
        goto out;
    }
    if ((err = read_lines(clients, path, error)) != SOTTO_OK ||
        (err = sort_and_check(clients, path, error)) != SOTTO_OK)
        goto out;
    *out = clients;
    clients = NULL;

out:
    sotto_known_clients_free(clients);
    return err;
}

void sotto_known_clients_free(sotto_known_clients *clients)
{
    if (clients == NULL)
        return;
    free(clients->clients);
    si_buf_free(&clients->text);
    free(clients);
}

const char *sotto_known_clients_find(const sotto_known_clients *clients,
                                     const sotto_public_key *key)
{
    const struct client *client = NULL;

    if (clients->count > 0)
        client = bsearch(key, clients->clients, clients->count, sizeof *clients->clients,
                         compare_with_key);
    return client != NULL ? client->name : NULL;
}
