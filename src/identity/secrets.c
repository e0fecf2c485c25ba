#include "identity/secrets.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "crypto/crypto.h"
#include "identity/file.h"
#include "json/json.h"

enum {
    FORMAT_VERSION = 1,
    SALTS_NEW = 100,
    SALT_LEN_NEW = 32,
    STRING_LEN_NEW = 32, /* random bytes; base64 makes 44 characters of them */
    /* 65536 salts of 64 bytes are 128 hex digits, quotes, comma, newline and some indentation each:
     * 9.4 MiB.  Two strings are small beside that. */
    SECRETS_FILE_MAX = 16 << 20
};

/* ---- The object ------------------------------------------------------------------------------ */

sotto_secrets *si_secrets_new(size_t salt_count)
{
    sotto_secrets *secrets = calloc(1, sizeof *secrets);

    if (secrets == NULL)
        return NULL;
    secrets->salts = calloc(salt_count, sizeof *secrets->salts);
    if (secrets->salts == NULL) {
        free(secrets);
        return NULL;
    }
    secrets->salt_count = salt_count;
    return secrets;
}

void sotto_secrets_free(sotto_secrets *secrets)
{
    if (secrets == NULL)
        return;
    si_wipe(secrets->salts, secrets->salt_count * sizeof *secrets->salts);
    free(secrets->salts);
    si_wipe(secrets, sizeof *secrets);
    free(secrets);
}

int sotto_secrets_are_public(const sotto_secrets *secrets)
{
    const struct si_string *shared = &secrets->shared_string;
    size_t len = sizeof SI_PUBLIC_PREFIX - 1;

    return secrets->is_public ||
           (shared->len >= len && memcmp(shared->bytes, SI_PUBLIC_PREFIX, len) == 0);
}

int sotto_secrets_for_server(const sotto_secrets *secrets)
{
    return secrets->server_string.len > 0;
}

size_t sotto_secrets_salt_count(const sotto_secrets *secrets)
{
    return secrets->salt_count;
}

uint32_t sotto_secrets_iterations(const sotto_secrets *secrets)
{
    return secrets->iterations;
}

const char *si_secrets_set_string(struct si_string *out, struct si_span text)
{
    if (text.len == 0 || text.len > sizeof out->bytes)
        return "a string is not 1 to 1024 bytes long";
    memcpy(out->bytes, text.ptr, text.len);
    out->len = (uint16_t)text.len;
    return NULL;
}

const char *si_secrets_set_salt(struct si_salt *out, struct si_span hex)
{
    size_t len = hex.len / 2;

    if (hex.len % 2 != 0 || len < SI_SALT_MIN || len > SI_SALT_MAX)
        return "a salt is not 16 to 64 bytes long (32 to 128 hex digits)";
    if (si_unhex(out->bytes, len, hex) != SOTTO_OK)
        return "a salt is not lower-case hex";
    out->len = (uint8_t)len;
    return NULL;
}

const char *si_secrets_check_count(size_t salt_count)
{
    return salt_count >= 1 && salt_count <= SOTTO_SALTS_MAX ? NULL
                                                            : "there are not 1 to 65536 salts";
}

const char *si_secrets_check_iterations(uint64_t iterations)
{
    return iterations >= SOTTO_ITERATIONS_DEFAULT && iterations <= SOTTO_ITERATIONS_MAX_DEFAULT
               ? NULL
               : "iterations is not 10000 to 1000000";
}

/* SHA-256 over a purpose of its own and everything that the client's file holds, each part with its
 * length, so that no two secrets give the same input. */
static sotto_err put_id_input(struct si_buf *input, const sotto_secrets *secrets)
{
    const struct si_string *shared = &secrets->shared_string;
    uint8_t len[4];
    sotto_err err;

    si_put_be16(len, shared->len);
    if ((err = si_buf_puts(input, "sotto secrets id")) != SOTTO_OK ||
        (err = si_buf_put(input, len, 2)) != SOTTO_OK ||
        (err = si_buf_put(input, shared->bytes, shared->len)) != SOTTO_OK)
        return err;
    for (size_t i = 0; i < secrets->salt_count; i++) {
        const struct si_salt *salt = &secrets->salts[i];

        if ((err = si_buf_put(input, &salt->len, 1)) != SOTTO_OK ||
            (err = si_buf_put(input, salt->bytes, salt->len)) != SOTTO_OK)
            return err;
    }
    return SOTTO_OK;
}

sotto_err sotto_secrets_id(const sotto_secrets *secrets, char out[SOTTO_SECRETS_ID_SIZE])
{
    const struct si_hash *sha256 = si_hash_by_name(si_span_str("SHA256"));
    struct si_buf input = si_buf(SECRETS_FILE_MAX);
    struct si_hash_ctx *ctx = NULL;
    struct si_span part;
    uint8_t hash[SI_HASH_LEN_MAX];
    sotto_err err;

    out[0] = '\0';
    if (sha256 == NULL)
        return SOTTO_E_CRYPTO;
    if ((err = put_id_input(&input, secrets)) != SOTTO_OK ||
        (err = si_hash_ctx_new(&ctx, sha256)) != SOTTO_OK)
        goto out;
    part = si_span(input.ptr, input.len);
    if ((err = si_hash_parts(ctx, &part, 1, hash)) != SOTTO_OK)
        goto out;
    si_hex(out, hash, (SOTTO_SECRETS_ID_SIZE - 1) / 2);

out:
    si_hash_ctx_free(ctx);
    si_buf_free(&input);
    return err;
}

/* ---- Reading a file -------------------------------------------------------------------------- */

enum { VERSION, ROLE, SERVER_STRING, SHARED_STRING, SALTS, ITERATIONS, MEMBER_COUNT };

struct loading {
    const char *path;
    struct si_span text;
    struct si_json *json;
    sotto_secrets *secrets;
    size_t salts_seen;
    sotto_error *error;
};

/* The line of a place in the text, from 1; 0 when AT does not point there. */
static unsigned line_of(const struct loading *l, const uint8_t *at)
{
    unsigned line = 1;

    if (at == NULL || (uintptr_t)at < (uintptr_t)l->text.ptr ||
        (uintptr_t)at > (uintptr_t)l->text.ptr + l->text.len)
        return 0;
    for (const uint8_t *p = l->text.ptr; p < at; p++)
        line += *p == '\n';
    return line;
}

static sotto_err malformed(const struct loading *l, const uint8_t *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static sotto_err malformed(const struct loading *l, const uint8_t *at, const char *fmt, ...)
{
    unsigned line = line_of(l, at);
    char reason[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    si_error(l->error, SOTTO_E_FORMAT, "the secrets in %s cannot be used", l->path);
    if (line > 0)
        si_error_why(l->error, "line %u: %s", line, reason);
    else
        si_error_why(l->error, "%s", reason);
    si_error_hint(l->error, "mend the file, or make new secrets with: sotto secrets new");
    return SOTTO_E_FORMAT;
}

static sotto_err out_of_memory(const struct loading *l)
{
    si_error(l->error, SOTTO_E_NOMEM, "cannot read %s", l->path);
    si_error_why(l->error, "out of memory");
    return SOTTO_E_NOMEM;
}

/* What the JSON reader says, in our words. */
static sotto_err json_failed(const struct loading *l, sotto_err err,
                             const struct si_json_error *why)
{
    if (err == SOTTO_E_NOMEM)
        return out_of_memory(l);
    return malformed(l, why->offset <= l->text.len ? l->text.ptr + why->offset : NULL, "%s",
                     why->text != NULL ? why->text : "not strict JSON");
}

static sotto_err check_type(const struct loading *l, const struct si_json_member *member,
                            enum si_json_type type, const char *type_name)
{
    if (member->value.type == SI_JSON_ABSENT)
        return malformed(l, NULL, "there is no member \"%s\"", member->name);
    if (member->value.type != type)
        return malformed(l, member->value.raw.ptr, "\"%s\" is not %s", member->name, type_name);
    return SOTTO_OK;
}

static sotto_err load_version(const struct loading *l, const struct si_json_member *member)
{
    sotto_err err = check_type(l, member, SI_JSON_NUMBER, "a number");

    if (err != SOTTO_OK)
        return err;
    if (!member->value.is_uint || member->value.uint != FORMAT_VERSION)
        return malformed(l, member->value.raw.ptr, "\"%s\" is not %d: made by another version?",
                         member->name, FORMAT_VERSION);
    return SOTTO_OK;
}

static sotto_err load_string(const struct loading *l, const struct si_json_member *member,
                             struct si_string *out)
{
    sotto_err err = check_type(l, member, SI_JSON_STRING, "a string");

    if (err != SOTTO_OK)
        return err;
    if (si_secrets_set_string(out, member->value.str) != NULL)
        return malformed(l, member->value.raw.ptr, "\"%s\" is not 1 to %d bytes long", member->name,
                         SOTTO_STRING_MAX);
    return SOTTO_OK;
}

/* A client's file that holds the server's string has travelled where it must not: refused, so that
 * somebody looks. */
static sotto_err load_roles(const struct loading *l, const struct si_json_member *members)
{
    const struct si_json_member *role = &members[ROLE], *string = &members[SERVER_STRING];
    sotto_err err = check_type(l, role, SI_JSON_STRING, "a string");

    if (err != SOTTO_OK)
        return err;
    if (si_json_is(&role->value, "server"))
        return load_string(l, string, &l->secrets->server_string);
    if (!si_json_is(&role->value, "client"))
        return malformed(l, role->value.raw.ptr, "\"role\" is neither \"server\" nor \"client\"");
    if (string->value.type != SI_JSON_ABSENT)
        return malformed(l, string->value.raw.ptr,
                         "a client's file holds \"server_string\", which only the server may have");
    return SOTTO_OK;
}

static sotto_err load_iterations(const struct loading *l, const struct si_json_member *member)
{
    sotto_err err = check_type(l, member, SI_JSON_NUMBER, "a number");
    const char *why;

    if (err != SOTTO_OK)
        return err;
    why = si_secrets_check_iterations(member->value.is_uint ? member->value.uint : 0);
    if (why != NULL)
        return malformed(l, member->value.raw.ptr, "%s", why);
    l->secrets->iterations = (uint32_t)member->value.uint;
    return SOTTO_OK;
}

static sotto_err count_salt(void *user, struct si_span name, const struct si_json_value *value)
{
    size_t *count = user;

    (void)name;
    (void)value;
    ++*count;
    return SOTTO_OK;
}

static sotto_err load_salt(void *user, struct si_span name, const struct si_json_value *value)
{
    struct loading *l = user;
    size_t i = l->salts_seen;
    const char *why = "a salt is not a string";

    (void)name;
    if (value->type == SI_JSON_STRING)
        why = si_secrets_set_salt(&l->secrets->salts[i], value->str);
    if (why != NULL)
        return malformed(l, value->raw.ptr, "%s (\"salts\", element %zu, counted from 0)", why, i);
    l->salts_seen++;
    return SOTTO_OK;
}

/* RAW is the array's own text, within the file's. */
static sotto_err load_salts(struct loading *l, struct si_span raw)
{
    struct si_json_error why = {0};
    sotto_err err = si_json_each(l->json, raw, load_salt, l, &why);

    if (err == SOTTO_E_JSON || err == SOTTO_E_NOMEM) {
        why.offset += (size_t)(raw.ptr - l->text.ptr);
        return json_failed(l, err, &why);
    }
    return err;
}

static sotto_err make_room(struct loading *l, struct si_span raw)
{
    size_t count = 0;
    struct si_json_error why = {0};
    const char *wrong;
    sotto_err err = si_json_each(l->json, raw, count_salt, &count, &why);

    if (err != SOTTO_OK) {
        why.offset += (size_t)(raw.ptr - l->text.ptr);
        return json_failed(l, err, &why);
    }
    if ((wrong = si_secrets_check_count(count)) != NULL)
        return malformed(l, raw.ptr, "%s", wrong);
    l->secrets->salts = calloc(count, sizeof *l->secrets->salts);
    if (l->secrets->salts == NULL)
        return out_of_memory(l);
    l->secrets->salt_count = count;
    return SOTTO_OK;
}

static sotto_err load_document(struct loading *l)
{
    struct si_json_member members[MEMBER_COUNT] = {
        [VERSION] = {.name = "sotto_secrets"},
        [ROLE] = {.name = "role"},
        [SERVER_STRING] = {.name = "server_string"},
        [SHARED_STRING] = {.name = "shared_string"},
        [SALTS] = {.name = "salts"},
        [ITERATIONS] = {.name = "iterations"},
    };
    struct si_json_error why = {0};
    sotto_err err = si_json_read(l->json, l->text, members, MEMBER_COUNT, &why);

    if (err != SOTTO_OK)
        return json_failed(l, err, &why);
    /* The salts last: their walk uses the reader again, which ends the life of the strings. */
    if ((err = load_version(l, &members[VERSION])) != SOTTO_OK ||
        (err = load_roles(l, members)) != SOTTO_OK ||
        (err = load_string(l, &members[SHARED_STRING], &l->secrets->shared_string)) != SOTTO_OK ||
        (err = load_iterations(l, &members[ITERATIONS])) != SOTTO_OK ||
        (err = check_type(l, &members[SALTS], SI_JSON_ARRAY, "an array")) != SOTTO_OK ||
        (err = make_room(l, members[SALTS].value.raw)) != SOTTO_OK)
        return err;
    return load_salts(l, members[SALTS].value.raw);
}

sotto_err sotto_secrets_load(const char *path, sotto_secrets **out, sotto_error *error)
{
    struct loading l = {.path = path, .error = error};
    struct si_file file = {0};
    sotto_err err;

    *out = NULL;
    if ((err = si_file_read(path, SI_FILE_SECRET, SECRETS_FILE_MAX, &file, error)) != SOTTO_OK)
        return err;
    l.text = si_span(file.text.ptr, file.text.len);
    l.secrets = calloc(1, sizeof *l.secrets);
    if (l.secrets == NULL || si_json_new(&l.json) != SOTTO_OK) {
        err = out_of_memory(&l);
        goto out;
    }
    if ((err = load_document(&l)) != SOTTO_OK)
        goto out;
    *out = l.secrets;
    l.secrets = NULL;

out:
    sotto_secrets_free(l.secrets);
    si_json_free(l.json);
    si_buf_free(&file.text);
    return err;
}

/* ---- Making new ones ------------------------------------------------------------------------- */

static sotto_err random_string(struct si_string *out)
{
    uint8_t random[STRING_LEN_NEW];
    char text[(STRING_LEN_NEW + 2) / 3 * 4 + 1];
    sotto_err err = si_random(random, sizeof random);

    if (err == SOTTO_OK) {
        si_base64(text, random, sizeof random, true);
        (void)si_secrets_set_string(out, si_span_str(text));
    }
    si_wipe(random, sizeof random);
    si_wipe(text, sizeof text);
    return err;
}

static sotto_err generate(sotto_secrets **out, uint32_t iterations)
{
    sotto_secrets *secrets = si_secrets_new(SALTS_NEW);
    sotto_err err;

    if (secrets == NULL)
        return SOTTO_E_NOMEM;
    secrets->iterations = iterations;
    if ((err = random_string(&secrets->server_string)) != SOTTO_OK ||
        (err = random_string(&secrets->shared_string)) != SOTTO_OK)
        goto out;
    for (size_t i = 0; i < SALTS_NEW; i++) {
        secrets->salts[i].len = SALT_LEN_NEW;
        if ((err = si_random(secrets->salts[i].bytes, SALT_LEN_NEW)) != SOTTO_OK)
            goto out;
    }
    *out = secrets;
    secrets = NULL;

out:
    sotto_secrets_free(secrets);
    return err;
}

static sotto_err put_string_member(struct si_buf *b, const char *name,
                                   const struct si_string *string)
{
    sotto_err err;

    if ((err = si_buf_printf(b, "  \"%s\": ", name)) != SOTTO_OK ||
        (err = si_buf_put_json_string(b, (const char *)string->bytes, string->len)) != SOTTO_OK)
        return err;
    return si_buf_puts(b, ",\n");
}

static sotto_err put_salts(struct si_buf *b, const sotto_secrets *secrets)
{
    char hex[2 * SI_SALT_MAX + 1];
    sotto_err err = si_buf_puts(b, "  \"salts\": [\n");

    for (size_t i = 0; i < secrets->salt_count && err == SOTTO_OK; i++) {
        si_hex(hex, secrets->salts[i].bytes, secrets->salts[i].len);
        err = si_buf_printf(b, "    \"%s\"%s\n", hex, i + 1 < secrets->salt_count ? "," : "");
    }
    si_wipe(hex, sizeof hex);
    return err == SOTTO_OK ? si_buf_puts(b, "  ],\n") : err;
}

/* Fixed order, one salt a line: two files can be compared by eye and by diff. */
static sotto_err put_document(struct si_buf *b, const sotto_secrets *secrets, bool server)
{
    sotto_err err;

    if ((err = si_buf_printf(b, "{\n  \"sotto_secrets\": %d,\n  \"role\": \"%s\",\n",
                             FORMAT_VERSION, server ? "server" : "client")) != SOTTO_OK ||
        (server &&
         (err = put_string_member(b, "server_string", &secrets->server_string)) != SOTTO_OK) ||
        (err = put_string_member(b, "shared_string", &secrets->shared_string)) != SOTTO_OK ||
        (err = put_salts(b, secrets)) != SOTTO_OK)
        return err;
    return si_buf_printf(b, "  \"iterations\": %u\n}\n", secrets->iterations);
}

static sotto_err make_folder(const char *dir, bool *made, sotto_error *error)
{
    int failed = strlen(dir) < PATH_MAX - sizeof "/server.json" ? 0 : ENAMETOOLONG;

    *made = failed == 0 && mkdir(dir, 0700) == 0;
    if (failed == 0 && !*made && errno != EEXIST)
        failed = errno;
    if (failed == 0)
        return SOTTO_OK;
    si_error(error, SOTTO_E_FILE, "cannot make the folder %s", dir);
    si_error_errno(error, failed);
    si_error_hint(error, "choose a folder in one that exists and that you may write to");
    return SOTTO_E_FILE;
}

static sotto_err write_both(const char *dir, const struct si_buf *server,
                            const struct si_buf *client, sotto_error *error)
{
    char server_path[PATH_MAX], client_path[PATH_MAX];
    const struct si_file_text files[] = {
        {server_path, si_span(server->ptr, server->len), 0600},
        {client_path, si_span(client->ptr, client->len), 0600},
    };
    bool made;
    sotto_err err;

    if ((err = make_folder(dir, &made, error)) != SOTTO_OK)
        return err;
    (void)snprintf(server_path, sizeof server_path, "%s/server.json", dir);
    (void)snprintf(client_path, sizeof client_path, "%s/client.json", dir);
    if ((err = si_file_create(files, SI_COUNT(files), error)) != SOTTO_OK && made)
        (void)rmdir(dir);
    return err;
}

sotto_err sotto_secrets_create(const char *dir, uint32_t iterations, sotto_error *error)
{
    struct si_buf server = si_buf(SECRETS_FILE_MAX), client = si_buf(SECRETS_FILE_MAX);
    uint32_t rounds = iterations != 0 ? iterations : SOTTO_ITERATIONS_DEFAULT;
    const char *why = si_secrets_check_iterations(rounds);
    sotto_secrets *secrets = NULL;
    sotto_err err;

    if (dir == NULL || dir[0] == '\0' || why != NULL) {
        si_error(error, SOTTO_E_USAGE, "cannot make new secrets");
        si_error_why(error, "%s", why != NULL ? why : "no folder was named");
        return SOTTO_E_USAGE;
    }
    if ((err = generate(&secrets, rounds)) != SOTTO_OK ||
        (err = put_document(&server, secrets, true)) != SOTTO_OK ||
        (err = put_document(&client, secrets, false)) != SOTTO_OK) {
        si_error(error, err, "cannot make new secrets");
        si_error_why(error, "%s", sotto_strerror(err));
        goto out;
    }
    err = write_both(dir, &server, &client, error);

out:
    sotto_secrets_free(secrets);
    si_buf_free(&server);
    si_buf_free(&client);
    return err;
}
