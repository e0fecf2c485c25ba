/* Deployment secrets: the file's format to the letter, making, building in. */
#include "scratch.h"
#include "failing_calls.h"
#include "failing_malloc.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "crypto/crypto.h"
#include "identity/secrets.h"
#include "identity/default_secrets.h"

#define SALT "000102030405060708090a0b0c0d0e0f"
#define V "\"sotto_secrets\":1,"
#define SERVER V "\"role\":\"server\",\"server_string\":\"s\","
#define CLIENT V "\"role\":\"client\","
#define SHARED "\"shared_string\":\"x\","
#define SALTS "\"salts\":[\"" SALT "\"],"
#define ITERATIONS "\"iterations\":10000"

static sotto_secrets *load(const char *json)
{
    sotto_secrets *secrets = NULL;
    sotto_error error = {0};

    put_text(scratch_path("s.json"), json, 0600);
    if (sotto_secrets_load(scratch_path("s.json"), &secrets, &error) != SOTTO_OK)
        fail_msg("%s: %s", json, error.why);
    return secrets;
}

static void refuse_bytes(const char *json, size_t len, const char *why)
{
    sotto_secrets *secrets = (sotto_secrets *)1;
    sotto_error error = {0};

    put_bytes(scratch_path("s.json"), json, len, 0600);
    if (sotto_secrets_load(scratch_path("s.json"), &secrets, &error) != SOTTO_E_FORMAT)
        fail_msg("taken: %s", json);
    assert_null(secrets);
    assert_int_equal(error.code, SOTTO_E_FORMAT);
    if (strstr(error.why, why) == NULL)
        fail_msg("%s\n\"%s\" lacks \"%s\"", json, error.why, why);
    assert_contains(error.what, scratch_folder);
    assert_string_not_equal(error.hint, "");
}

static void refuse(const char *json, const char *why)
{
    refuse_bytes(json, strlen(json), why);
}

/* ---- The format ------------------------------------------------------------------------------ */

static void takes(void **state)
{
    sotto_secrets *s = load("{" SERVER SHARED SALTS ITERATIONS "}");

    (void)state;
    assert_true(sotto_secrets_for_server(s));
    assert_false(sotto_secrets_are_public(s));
    assert_int_equal(sotto_secrets_salt_count(s), 1);
    assert_int_equal(sotto_secrets_iterations(s), 10000);
    assert_int_equal(s->server_string.len, 1);
    assert_memory_equal(s->shared_string.bytes, "x", 1);
    assert_int_equal(s->salts[0].len, 16);
    assert_int_equal(s->salts[0].bytes[15], 15);
    sotto_secrets_free(s);

    s = load("{" CLIENT SHARED SALTS ITERATIONS "}");
    assert_false(sotto_secrets_for_server(s));
    sotto_secrets_free(s);

    /* Any order, white space, unknown members, escapes, a zero byte. */
    s = load(" {\n\t\"later\":{\"salts\":[1e999]},\"iterations\":1000000 , \"salts\":[\"" SALT SALT
                 SALT SALT "\",\n\"" SALT
             "\"], \"shared_string\":\"a\\u0000\\ud83d\\ude00\",\"role\":\"client\",\"sotto_"
             "secrets\":1,\"\":null}\n");
    assert_int_equal(s->shared_string.len, 6);
    assert_memory_equal(s->shared_string.bytes, "a\0\xf0\x9f\x98\x80", 6);
    assert_int_equal(s->salts[0].len, 64);
    assert_int_equal(s->salt_count, 2);
    assert_int_equal(s->iterations, 1000000);
    sotto_secrets_free(s);
    sotto_secrets_free(NULL);
}

static void refuses(void **state)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"", ""},
        {"[]", ""},
        {"{}", "no member \"sotto_secrets\""},
        {"{" SERVER SHARED SALTS ITERATIONS, ""},
        {"{" SERVER SHARED SALTS ITERATIONS "}x", ""},
        {"{" SERVER SHARED SALTS ITERATIONS ",}", ""},
        {"\xef\xbb\xbf{" SERVER SHARED SALTS ITERATIONS "}", ""},
        {"{\n" SERVER SHARED "\n" SALTS ITERATIONS ",\n" SHARED "\"a\":1}", "line 4: duplicate"},
        {"{\"sotto_secrets\":2,\"role\":\"client\"," SHARED SALTS ITERATIONS "}",
         "line 1: \"sotto_secrets\" is not 1"},
        {"{\"sotto_secrets\":\"1\",\"role\":\"client\"," SHARED SALTS ITERATIONS "}",
         "not a number"},
        {"{\"sotto_secrets\":1.0,\"role\":\"client\"," SHARED SALTS ITERATIONS "}", "is not 1"},
        {"{\"sotto_secrets\":-1,\"role\":\"client\"," SHARED SALTS ITERATIONS "}", "is not 1"},
        {"{\"role\":\"client\"," SHARED SALTS ITERATIONS "}", "no member \"sotto_secrets\""},
        {"{" V SHARED SALTS ITERATIONS "}", "no member \"role\""},
        {"{" V "\"role\":1," SHARED SALTS ITERATIONS "}", "\"role\" is not a string"},
        {"{" V "\"role\":\"Server\"," SHARED SALTS ITERATIONS "}", "neither"},
        {"{" V "\"role\":\"\"," SHARED SALTS ITERATIONS "}", "neither"},
        {"{" V "\"role\":\"server\"," SHARED SALTS ITERATIONS "}", "no member \"server_string\""},
        {"{" V "\"role\":\"server\",\"server_string\":null," SHARED SALTS ITERATIONS "}",
         "not a string"},
        {"{" V "\"role\":\"server\",\"server_string\":\"\"," SHARED SALTS ITERATIONS "}",
         "1 to 1024"},
        {"{" CLIENT "\n\"server_string\":\"s\"," SHARED SALTS ITERATIONS "}",
         "line 2: a client's file"},
        {"{" CLIENT "\"server_string\":null," SHARED SALTS ITERATIONS "}", "a client's file"},
        {"{" CLIENT SALTS ITERATIONS "}", "no member \"shared_string\""},
        {"{" CLIENT "\"shared_string\":\"\"," SALTS ITERATIONS "}", "1 to 1024"},
        {"{" CLIENT "\"shared_string\":[\"x\"]," SALTS ITERATIONS "}", "not a string"},
        {"{" CLIENT "\"shared_string\":\"\\ud800\"," SALTS ITERATIONS "}", ""},
        {"{" CLIENT "\"shared_string\":\"\xff\"," SALTS ITERATIONS "}", ""},
        {"{" CLIENT SHARED ITERATIONS "}", "no member \"salts\""},
        {"{" CLIENT SHARED "\"salts\":{}," ITERATIONS "}", "not an array"},
        {"{" CLIENT SHARED "\"salts\":\"" SALT "\"," ITERATIONS "}", "not an array"},
        {"{" CLIENT SHARED "\"salts\":[]," ITERATIONS "}", "1 to 65536"},
        {"{" CLIENT SHARED "\"salts\":[\"" SALT "\",1]," ITERATIONS "}", "element 1"},
        {"{" CLIENT SHARED "\"salts\":[null]," ITERATIONS "}", "a salt is not a string"},
        {"{" CLIENT SHARED "\"salts\":[[\"" SALT "\"]]," ITERATIONS "}", "a salt is not a string"},
        {"{" CLIENT SHARED "\"salts\":[\"\"]," ITERATIONS "}", "16 to 64"},
        {"{" CLIENT SHARED "\"salts\":[\"000102030405060708090a0b0c0d0e\"]," ITERATIONS "}",
         "16 to 64"},
        {"{" CLIENT SHARED "\"salts\":[\"" SALT "0\"]," ITERATIONS "}", "16 to 64"},
        {"{" CLIENT SHARED "\"salts\":[\"" SALT SALT SALT SALT "00\"]," ITERATIONS "}", "16 to 64"},
        {"{" CLIENT SHARED "\"salts\":[\"000102030405060708090A0B0C0D0E0F\"]," ITERATIONS "}",
         "lower-case hex"},
        {"{" CLIENT SHARED "\"salts\":[\"000102030405060708090a0b0c0d0e0g\"]," ITERATIONS "}",
         "lower-case hex"},
        {"{" CLIENT SHARED "\"salts\":[\"000102030405060708090a0b0c0d0e \"]," ITERATIONS "}", ""},
        {"{" CLIENT SHARED SALTS "\"a\":1}", "no member \"iterations\""},
        {"{" CLIENT SHARED SALTS "\"iterations\":9999}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":1000001}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":4294977296}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":18446744073709561616}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":1e4}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":10000.0}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":-10000}", "10000 to 1000000"},
        {"{" CLIENT SHARED SALTS "\"iterations\":\"10000\"}", "not a number"},
        {"{" CLIENT SHARED SALTS "\"iterations\":010000}", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse(rows[i].json, rows[i].why);
    refuse_bytes("{" CLIENT SHARED SALTS ITERATIONS "}\0",
                 sizeof("{" CLIENT SHARED SALTS ITERATIONS "}"), "");
}

/* The line of an error is where the text is wrong. */
static void tells_lines(void **state)
{
    (void)state;
    refuse("{\n  " CLIENT "\n  " SHARED "\n" SALTS "\n \"iterations\": 1\n}\n", "line 5:");
    refuse("{\n  " CLIENT "\n  \"shared_string\":\n 7,\n" SALTS ITERATIONS "\n}\n", "line 4:");
    refuse("{\n\n\n?", "line 4:");
}

/* Every cut of a good file is refused. */
static void refuses_truncated(void **state)
{
    static const char json[] = "{" SERVER SHARED SALTS ITERATIONS "}";

    (void)state;
    for (size_t len = 0; len + 1 < sizeof json; len++)
        refuse_bytes(json, len, "");
}

static char *many(size_t salts, size_t string)
{
    size_t size = 200 + string + salts * 40, at;
    char *json = malloc(size);

    assert_non_null(json);
    at = (size_t)snprintf(json, size, "{" CLIENT ITERATIONS ",\"shared_string\":\"");
    memset(json + at, 'y', string);
    at += string;
    at += (size_t)snprintf(json + at, size - at, "\",\"salts\":[");
    for (size_t i = 0; i < salts; i++)
        at += (size_t)snprintf(json + at, size - at, "%s\"%032zx\"", i > 0 ? "," : "", i);
    (void)snprintf(json + at, size - at, "]}");
    return json;
}

static void limits(void **state)
{
    sotto_secrets *s;
    char *json = many(65536, 1024);

    (void)state;
    s = load(json);
    assert_int_equal(s->salt_count, 65536);
    assert_int_equal(s->shared_string.len, 1024);
    assert_int_equal(s->salts[65535].bytes[15], 0xff);
    sotto_secrets_free(s);
    free(json);
    json = many(65537, 1);
    refuse(json, "1 to 65536");
    free(json);
    json = many(1, 1025);
    refuse(json, "1 to 1024");
    free(json);
}

static void checks_the_file(void **state)
{
    const char *path = scratch_path("s.json");
    sotto_secrets *s = NULL;
    sotto_error error = {0};

    (void)state;
    put_text(path, "{" SERVER SHARED SALTS ITERATIONS "}", 0644);
    assert_int_equal(sotto_secrets_load(path, &s, &error), SOTTO_E_PERMISSION);
    assert_contains(error.hint, "chmod 600");
    assert_int_equal(sotto_secrets_load(scratch_path("none"), &s, NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_secrets_load(scratch_folder, &s, NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_secrets_load(NULL, &s, NULL), SOTTO_E_USAGE);
    assert_null(s);
}

/* ---- Identity -------------------------------------------------------------------------------- */

static void ids(void **state)
{
    static const char *const same[] = {
        "{" SERVER SHARED SALTS ITERATIONS "}",
        "{" CLIENT SHARED SALTS ITERATIONS "}",
        "{" CLIENT SHARED SALTS "\"iterations\":20000}",
    };
    static const char *const other[] = {
        "{" CLIENT "\"shared_string\":\"y\"," SALTS ITERATIONS "}",
        "{" CLIENT SHARED "\"salts\":[\"" SALT "\",\"" SALT "\"]," ITERATIONS "}",
        "{" CLIENT SHARED "\"salts\":[\"" SALT "00\"]," ITERATIONS "}",
        "{" CLIENT SHARED "\"salts\":[\"010102030405060708090a0b0c0d0e0f\"]," ITERATIONS "}",
    };
    char first[SOTTO_SECRETS_ID_SIZE], id[SOTTO_SECRETS_ID_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        sotto_secrets *s = load(same[i]);

        assert_int_equal(sotto_secrets_id(s, id), SOTTO_OK);
        assert_int_equal(strlen(id), 32);
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
        if (i == 0)
            memcpy(first, id, sizeof id);
        assert_string_equal(id, first);
        sotto_secrets_free(s);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        sotto_secrets *s = load(other[i]);

        assert_int_equal(sotto_secrets_id(s, id), SOTTO_OK);
        assert_string_not_equal(id, first);
        sotto_secrets_free(s);
    }
}

/* ---- Making ---------------------------------------------------------------------------------- */

static void creates(void **state)
{
    const char *dir = scratch_path("new");
    sotto_secrets *server = NULL, *client = NULL, *again = NULL;
    char a[SOTTO_SECRETS_ID_SIZE], b[SOTTO_SECRETS_ID_SIZE];
    char *text;
    unsigned lines = 0;
    mode_t old = umask(0);

    (void)state;
    assert_int_equal(sotto_secrets_create(dir, 0, NULL), SOTTO_OK);
    (void)umask(old);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(scratch_path("new/server.json")), 0600);
    assert_int_equal(mode_of(scratch_path("new/client.json")), 0600);
    assert_int_equal(count_files(dir), 2);
    assert_int_equal(sotto_secrets_load(scratch_path("new/server.json"), &server, NULL), SOTTO_OK);
    assert_int_equal(sotto_secrets_load(scratch_path("new/client.json"), &client, NULL), SOTTO_OK);
    assert_true(sotto_secrets_for_server(server));
    assert_false(sotto_secrets_for_server(client));
    assert_false(sotto_secrets_are_public(server));
    assert_int_equal(server->salt_count, 100);
    assert_int_equal(server->iterations, 10000);
    assert_int_equal(server->salts[99].len, 32);
    assert_int_equal(server->server_string.len, 44);
    assert_int_equal(server->shared_string.len, 44);
    assert_memory_not_equal(&server->server_string, &server->shared_string, 46);
    assert_memory_not_equal(&server->salts[0], &server->salts[1], 33);
    assert_int_equal(sotto_secrets_id(server, a), SOTTO_OK);
    assert_int_equal(sotto_secrets_id(client, b), SOTTO_OK);
    assert_string_equal(a, b);

    /* One salt a line. */
    text = get_text(scratch_path("new/server.json"));
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 100 + 9);
    free(text);

    assert_int_equal(mkdir(scratch_path("there"), 0755), 0);
    assert_int_equal(sotto_secrets_create(scratch_path("there"), 54321, NULL), SOTTO_OK);
    assert_int_equal(sotto_secrets_load(scratch_path("there/client.json"), &again, NULL), SOTTO_OK);
    assert_int_equal(again->iterations, 54321);
    assert_memory_not_equal(&again->shared_string, &client->shared_string, 46);
    sotto_secrets_free(server);
    sotto_secrets_free(client);
    sotto_secrets_free(again);
}

static void create_never_overwrites(void **state)
{
    static const char *const names[] = {"server.json", "client.json"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sotto_error error = {0};

        put_text(scratch_path(names[i]), "mine", 0600);
        assert_int_equal(sotto_secrets_create(scratch_folder, 0, &error), SOTTO_E_EXISTS);
        assert_contains(error.what, names[i]);
        assert_file(scratch_path(names[i]), "mine");
        assert_int_equal(count_files(scratch_folder), 1);
        assert_int_equal(unlink(scratch_path(names[i])), 0);
    }
}

static void create_refuses(void **state)
{
    char *dir = malloc(5001);

    (void)state;
    memset(dir, 'x', 5000);
    dir[5000] = '\0';
    assert_int_equal(sotto_secrets_create(scratch_path("a/b"), 0, NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_secrets_create(dir, 0, NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_secrets_create("", 0, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_secrets_create(NULL, 0, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_secrets_create(scratch_folder, 9999, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_secrets_create(scratch_folder, 1000001, NULL), SOTTO_E_USAGE);
    put_text(scratch_path("file"), "", 0600);
    assert_int_equal(sotto_secrets_create(scratch_path("file"), 0, NULL), SOTTO_E_FILE);
    assert_int_equal(count_files(scratch_folder), 1);
    free(dir);
}

/* The limit falls on every kind of place: before the first file, in it, in neither (but then in
 * none). */
static void create_on_a_full_disk(void **state)
{
    (void)state;
    for (rlim_t limit = 0; limit < 7000; limit += 500) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            struct rlimit rl = {limit, limit};

            (void)signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &rl) != 0)
                _exit(3);
            _exit(sotto_secrets_create(scratch_path("new"), 0, NULL) == SOTTO_E_FILE ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(count_files(scratch_folder), 0);
    }
}

static void create_when_calls_fail(void **state)
{
    long n = 0;

    (void)state;
    for (bool failed = true; failed; n++) {
        sotto_err err;

        call_fail(n, ENOSPC);
        err = sotto_secrets_create(scratch_path("new"), 0, NULL);
        failed = call_recover();
        assert_true(err != SOTTO_OK || !call_must_count);
        if (err == SOTTO_OK) {
            assert_int_equal(count_files(scratch_path("new")), 2);
            scratch_remove_tree(scratch_path("new"));
        }
        assert_true(failed || err == SOTTO_OK);
        assert_int_equal(count_files(scratch_folder), 0);
    }
    assert_true(n > 15);
}

/* ---- Without memory -------------------------------------------------------------------------- */

static void without_memory(void **state)
{
    char path[2 * SCRATCH_PATH];
    unsigned failures[4] = {0};

    (void)state;
    strcpy(path, scratch_path("s.json"));
    put_text(path, "{" SERVER SHARED SALTS ITERATIONS "}", 0600);
    for (int job = 0; job < 4; job++) {
        long n = 0;

        for (bool failed = true; failed; n++) {
            sotto_secrets *s = NULL;
            char id[SOTTO_SECRETS_ID_SIZE];
            sotto_err err = SOTTO_OK;

            if (job == 3)
                assert_int_equal(sotto_secrets_load(path, &s, NULL), SOTTO_OK);
            malloc_fail(n, n % 2 == 0);
            if (job == 0)
                err = sotto_secrets_load(path, &s, NULL);
            else if (job == 1)
                err = sotto_secrets_builtin(&s, NULL);
            else if (job == 2)
                err = sotto_secrets_create(scratch_path("new"), 0, NULL);
            else
                err = sotto_secrets_id(s, id);
            failed = malloc_recover();
            assert_int_equal(err, failed ? SOTTO_E_NOMEM : SOTTO_OK);
            if (job < 2)
                assert_true((s != NULL) == (err == SOTTO_OK));
            if (job == 3 && err != SOTTO_OK)
                assert_string_equal(id, "");
            if (job == 2 && err != SOTTO_OK)
                assert_int_equal(count_files(scratch_folder), 1);
            sotto_secrets_free(s);
            failures[job] += failed;
        }
        assert_true(failures[job] > 0);
    }
}

/* ---- Built in -------------------------------------------------------------------------------- */

/* What this test was compiled with are the published defaults, whatever the library was built
 * with. */
static void published_are_public_in_a_file(void **state)
{
    size_t count = sizeof sotto_builtin_salts / sizeof sotto_builtin_salts[0], at;
    char *json = malloc(20000);
    sotto_secrets *s;

    (void)state;
    assert_int_equal(SOTTO_BUILTIN_PUBLIC, 1);
    assert_int_equal(count, 100);
    at = (size_t)snprintf(json, 20000,
                          "{" CLIENT "\"shared_string\":\"%s\",\"iterations\":%d,\"salts\":[",
                          SOTTO_BUILTIN_SHARED_STRING, SOTTO_BUILTIN_ITERATIONS);
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(json + at, 20000 - at, "%s\"%s\"", i > 0 ? "," : "",
                               sotto_builtin_salts[i]);
    (void)snprintf(json + at, 20000 - at, "]}");
    s = load(json);
    assert_true(sotto_secrets_are_public(s));
    sotto_secrets_free(s);
    free(json);

    s = load("{" CLIENT "\"shared_string\":\"PUBLIC-DEFAULT\"," SALTS ITERATIONS "}");
    assert_false(sotto_secrets_are_public(s));
    sotto_secrets_free(s);
}

static void builtin(void **state)
{
    sotto_secrets *s = NULL;

    (void)state;
    assert_int_equal(sotto_secrets_builtin(&s, NULL), SOTTO_OK);
    assert_in_range(s->salt_count, 1, 65536);
    if (sotto_secrets_are_public(s)) {
        assert_true(sotto_secrets_for_server(s));
        assert_int_equal(s->salt_count, 100);
        assert_int_equal(s->iterations, 10000);
        assert_memory_equal(s->server_string.bytes, SOTTO_BUILTIN_SERVER_STRING,
                            sizeof SOTTO_BUILTIN_SERVER_STRING - 1);
        assert_memory_equal(s->shared_string.bytes, SOTTO_BUILTIN_SHARED_STRING,
                            sizeof SOTTO_BUILTIN_SHARED_STRING - 1);
    }
    sotto_secrets_free(s);
}

static char *embed(const sotto_secrets *secrets, const char *path)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    assert_int_equal(sotto_secrets_embed(secrets, out, NULL), SOTTO_OK);
    assert_int_equal(fclose(out), 0);
    return get_text(path);
}

/* A header is read back by the compiler: strings with everything that C could mistake, and a
 * zero. */
static void embedded_header_compiles(void **state)
{
    static const char program[] =
        "#include <stdio.h>\n"
        "#include \"secrets.h\"\n"
        "#include \"secrets.h\"\n"
        "static void hex(const char *s, size_t n)\n"
        "{\n"
        "    for (size_t i = 0; i < n; i++)\n"
        "        printf(\"%02x\", (unsigned char)s[i]);\n"
        "    puts(\"\");\n"
        "}\n"
        "int main(void)\n"
        "{\n"
        "#ifdef SOTTO_BUILTIN_SERVER_STRING\n"
        "    hex(SOTTO_BUILTIN_SERVER_STRING, sizeof SOTTO_BUILTIN_SERVER_STRING - 1);\n"
        "#endif\n"
        "    hex(SOTTO_BUILTIN_SHARED_STRING, sizeof SOTTO_BUILTIN_SHARED_STRING - 1);\n"
        "    printf(\"%d %d\\n\", SOTTO_BUILTIN_PUBLIC, SOTTO_BUILTIN_ITERATIONS);\n"
        "    for (size_t i = 0; i < sizeof sotto_builtin_salts / sizeof *sotto_builtin_salts; "
        "i++)\n"
        "        puts(sotto_builtin_salts[i]);\n"
        "    return 0;\n"
        "}\n";
    static const struct {
        const char *json, *output;
    } rows[] = {
        {"{" V "\"role\":\"server\",\"server_string\":\"\\u0000\\\"\\\\\\n7?\?/\\u001f9\","
         "\"shared_string\":\"*/ %s \xc3\xa9 \\u007f'\"," SALTS "\"iterations\":20000}",
         "00225c0a373f3f2f1f39\n2a2f20257320c3a9207f27\n0 20000\n" SALT "\n"},
        {"{" CLIENT SHARED "\"salts\":[\"" SALT "\",\"" SALT SALT "\"]," ITERATIONS "}",
         "78\n0 10000\n" SALT "\n" SALT SALT "\n"},
        {"{" CLIENT "\"shared_string\":\"PUBLIC-DEFAULT-x\"," SALTS ITERATIONS "}",
         "5055424c49432d44454641554c542d78\n1 10000\n" SALT "\n"},
    };
    char command[1024];

    (void)state;
    if (system("command -v cc >/dev/null 2>&1") != 0)
        skip();
    put_text(scratch_path("main.c"), program, 0600);
    (void)snprintf(command, sizeof command,
                   "cd '%s' && cc -std=c11 -pedantic-errors -Wall -Wextra -Werror -trigraphs -o "
                   "main main.c && ./main "
                   ">out",
                   scratch_folder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sotto_secrets *s = load(rows[i].json);

        free(embed(s, scratch_path("secrets.h")));
        assert_int_equal(system(command), 0);
        assert_file(scratch_path("out"), rows[i].output);
        sotto_secrets_free(s);
    }
}

/* The defaults embed to the header they come from, comment and all. */
static void embeds_the_defaults(void **state)
{
    sotto_secrets *s = NULL;
    char *text, line[256];

    (void)state;
    assert_int_equal(sotto_secrets_builtin(&s, NULL), SOTTO_OK);
    if (!sotto_secrets_are_public(s)) {
        sotto_secrets_free(s);
        skip();
    }
    text = embed(s, scratch_path("secrets.h"));
    assert_contains(text, "PUBLIC: everybody has them");
    assert_contains(text, "#define SOTTO_BUILTIN_PUBLIC 1\n");
    (void)snprintf(line, sizeof line, "#define SOTTO_BUILTIN_SHARED_STRING \"%s\"\n",
                   SOTTO_BUILTIN_SHARED_STRING);
    assert_contains(text, line);
    for (size_t i = 0; i < sizeof sotto_builtin_salts / sizeof sotto_builtin_salts[0]; i++)
        assert_contains(text, sotto_builtin_salts[i]);
    free(text);
    sotto_secrets_free(s);
}

static void embed_tells_failures(void **state)
{
    sotto_secrets *s = load("{" CLIENT SHARED SALTS ITERATIONS "}");
    sotto_error error = {0};
    FILE *out = fopen(scratch_path("s.json"), "re"); /* not for writing */

    (void)state;
    assert_int_equal(sotto_secrets_embed(s, out, &error), SOTTO_E_FILE);
    assert_string_not_equal(error.why, "");
    assert_int_equal(fclose(out), 0);
    assert_int_equal(sotto_secrets_embed(NULL, stdout, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_secrets_embed(s, NULL, NULL), SOTTO_E_USAGE);
    sotto_secrets_free(s);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(takes),
        IN_SCRATCH(refuses),
        IN_SCRATCH(tells_lines),
        IN_SCRATCH(refuses_truncated),
        IN_SCRATCH(limits),
        IN_SCRATCH(checks_the_file),
        IN_SCRATCH(ids),
        IN_SCRATCH(creates),
        IN_SCRATCH(create_never_overwrites),
        IN_SCRATCH(create_refuses),
        IN_SCRATCH(create_on_a_full_disk),
        IN_SCRATCH(create_when_calls_fail),
        IN_SCRATCH(without_memory),
        IN_SCRATCH(published_are_public_in_a_file),
        IN_SCRATCH(builtin),
        IN_SCRATCH(embedded_header_compiles),
        IN_SCRATCH(embeds_the_defaults),
        IN_SCRATCH(embed_tells_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
