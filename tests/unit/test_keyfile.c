/* Key files: what is read, from whom, and how they are written. */
#include "scratch.h"
#include "failing_calls.h"
#include "failing_malloc.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "crypto/crypto.h"
#include "sotto/identity.h"

static const sotto_curve curves[] = {SOTTO_CURVE_25519, SOTTO_CURVE_448};

static sotto_keypair *new_pair(sotto_curve curve)
{
    sotto_keypair *pair = NULL;

    assert_int_equal(sotto_keypair_generate(curve, &pair), SOTTO_OK);
    return pair;
}

/* "a_25519.key" in the scratch folder, written by us. */
static const char *saved_pair(sotto_curve curve)
{
    sotto_keypair *pair = new_pair(curve);

    assert_int_equal(sotto_keypair_save(pair, scratch_path("a"), NULL), SOTTO_OK);
    sotto_keypair_free(pair);
    return scratch_path(curve == SOTTO_CURVE_25519 ? "a_25519.key" : "a_448.key");
}

static sotto_err load_private(const char *path)
{
    sotto_keypair *pair = (sotto_keypair *)1;
    sotto_error error = {0};
    sotto_err err = sotto_keypair_load(path, &pair, &error);

    assert_true((err == SOTTO_OK) == (pair != NULL));
    assert_int_equal(error.code, err);
    if (err != SOTTO_OK) {
        assert_string_not_equal(error.what, "");
        assert_string_not_equal(error.why, "");
    }
    sotto_keypair_free(pair);
    return err;
}

static sotto_err load_public(const char *path)
{
    sotto_public_key key;
    sotto_err err = sotto_public_key_load(path, &key, NULL);

    assert_true((err == SOTTO_OK) == (key.curve != 0));
    return err;
}

static bool have(const char *command)
{
    char text[128];

    (void)snprintf(text, sizeof text, "command -v %s >/dev/null 2>&1", command);
    return system(text) == 0;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static void save_and_load(void **state)
{
    static const mode_t masks[] = {0, 022, 077, 0777};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof masks / sizeof masks[0]; i++) {
        sotto_curve curve = curves[i % 2];
        sotto_keypair *pair = new_pair(curve), *loaded = NULL;
        sotto_public_key pub = sotto_keypair_public(pair), read;
        char prefix[64], name[80];
        mode_t old = umask(masks[i / 2]);
        sotto_err err;

        (void)snprintf(prefix, sizeof prefix, "k%zu", i);
        err = sotto_keypair_save(pair, scratch_path(prefix), NULL);
        (void)umask(old);
        assert_int_equal(err, SOTTO_OK);

        (void)snprintf(name, sizeof name, "%s_%s.key", prefix, sotto_curve_name(curve));
        assert_int_equal(mode_of(scratch_path(name)), 0600);
        assert_int_equal(sotto_keypair_load(scratch_path(name), &loaded, NULL), SOTTO_OK);
        assert_memory_equal(loaded, pair, sizeof *pair);

        (void)snprintf(name, sizeof name, "%s_%s.pub", prefix, sotto_curve_name(curve));
        assert_int_equal(mode_of(scratch_path(name)), 0644);
        assert_int_equal(sotto_public_key_load(scratch_path(name), &read, NULL), SOTTO_OK);
        assert_true(sotto_public_key_equal(&read, &pub));
        sotto_keypair_free(loaded);
        sotto_keypair_free(pair);
    }
    assert_int_equal(count_files(scratch_folder), 2 * 8);
}

/* Whatever has one of the two names stops both, and is not touched. */
static void never_overwrites(void **state)
{
    static const char *const names[] = {"a_25519.key", "a_25519.pub"};
    sotto_keypair *pair = new_pair(SOTTO_CURVE_25519);

    (void)state;
    for (int i = 0; i < 2 * 3; i++) {
        const char *path = scratch_path(names[i % 2]);
        sotto_error error = {0};

        switch (i / 2) {
        case 0:
            put_text(path, "mine", 0600);
            break;
        case 1:
            assert_int_equal(symlink("nowhere", path), 0);
            break;
        default:
            assert_int_equal(mkdir(path, 0700), 0);
        }
        assert_int_equal(sotto_keypair_save(pair, scratch_path("a"), &error), SOTTO_E_EXISTS);
        assert_contains(error.what, names[i % 2]);
        assert_int_equal(count_files(scratch_folder), 1);
        if (i / 2 == 0)
            assert_file(path, "mine");
        assert_int_equal(remove(path), 0);
    }
    sotto_keypair_free(pair);
}

/* Many processes make the same pair: one wins, and what is there is the winner's, both files. */
static void one_of_many_wins(void **state)
{
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];
    int winners = 0;
    sotto_keypair *pair = NULL;
    sotto_public_key pub, read;

    (void)state;
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            sotto_err err = sotto_keypair_generate(SOTTO_CURVE_25519, &pair);

            if (err == SOTTO_OK)
                err = sotto_keypair_save(pair, scratch_path("a"), NULL);
            _exit(err == SOTTO_OK ? 0 : err == SOTTO_E_EXISTS ? 1 : 2);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        winners += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(winners, 1);
    assert_int_equal(count_files(scratch_folder), 2);
    assert_int_equal(sotto_keypair_load(scratch_path("a_25519.key"), &pair, NULL), SOTTO_OK);
    assert_int_equal(sotto_public_key_load(scratch_path("a_25519.pub"), &read, NULL), SOTTO_OK);
    pub = sotto_keypair_public(pair);
    assert_true(sotto_public_key_equal(&pub, &read));
    sotto_keypair_free(pair);
}

static void save_needs_a_place(void **state)
{
    sotto_keypair *pair = new_pair(SOTTO_CURVE_448);
    sotto_error error = {0};
    char *prefix = malloc(5001);

    (void)state;
    assert_int_equal(sotto_keypair_save(pair, scratch_path("no/such/a"), &error), SOTTO_E_FILE);
    assert_int_equal(error.sys_errno, ENOENT);
    assert_contains(error.hint, "folder");
    put_text(scratch_path("file"), "", 0600);
    assert_int_equal(sotto_keypair_save(pair, scratch_path("file/a"), NULL), SOTTO_E_FILE);
    memset(prefix, 'x', 5000);
    prefix[5000] = '\0';
    assert_int_equal(sotto_keypair_save(pair, prefix, NULL), SOTTO_E_FILE);
    prefix[300] = '\0';
    assert_int_equal(sotto_keypair_save(pair, scratch_path(prefix), NULL), SOTTO_E_FILE);
    assert_int_equal(sotto_keypair_save(NULL, "a", NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_keypair_save(pair, NULL, NULL), SOTTO_E_USAGE);
    assert_int_equal(count_files(scratch_folder), 1);
    free(prefix);
    sotto_keypair_free(pair);
}

/* A path without a folder is one in the current folder. */
static void save_here(void **state)
{
    sotto_keypair *pair = new_pair(SOTTO_CURVE_25519);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_int_equal(chdir(scratch_folder), 0);
    assert_int_equal(sotto_keypair_save(pair, "a", NULL), SOTTO_OK);
    assert_int_equal(fchdir(here), 0);
    assert_int_equal(close(here), 0);
    assert_int_equal(count_files(scratch_folder), 2);
    sotto_keypair_free(pair);
}

/* The disk is full after LIMIT bytes: nothing, or nothing but an error. */
static void disk_full(void **state)
{
    sotto_keypair *pair = new_pair(SOTTO_CURVE_25519);

    (void)state;
    for (rlim_t limit = 0; limit < 120; limit += 1 + limit / 8) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            struct rlimit rl = {limit, limit};
            sotto_error error = {0};
            sotto_err err;

            (void)signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &rl) != 0)
                _exit(3);
            err = sotto_keypair_save(pair, scratch_path("a"), &error);
            _exit(err == SOTTO_E_FILE && error.sys_errno == EFBIG && error.hint[0] != '\0' ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(count_files(scratch_folder), 0);
    }
    sotto_keypair_free(pair);
}

/* Every call fails once, with several errors: both files whole, or none and no rest. */
static void every_call_fails(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EACCES, EMFILE, EINTR};
    sotto_keypair *pair = new_pair(SOTTO_CURVE_25519);
    unsigned refused = 0;

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        long n = 0;

        for (bool failed = true; failed; n++) {
            sotto_err err;

            call_fail(n, errors[i]);
            err = sotto_keypair_save(pair, scratch_path("a"), NULL);
            failed = call_recover();
            if (err == SOTTO_OK) {
                assert_false(call_must_count);
                assert_int_equal(count_files(scratch_folder), 2);
                assert_int_equal(load_private(scratch_path("a_25519.key")), SOTTO_OK);
                assert_int_equal(load_public(scratch_path("a_25519.pub")), SOTTO_OK);
                assert_int_equal(unlink(scratch_path("a_25519.key")), 0);
                assert_int_equal(unlink(scratch_path("a_25519.pub")), 0);
            } else {
                assert_true(failed);
                assert_int_equal(err, SOTTO_E_FILE);
                refused++;
            }
            assert_int_equal(count_files(scratch_folder), 0);
        }
        assert_true(n > 15);
    }
    assert_true(refused > 60);
    sotto_keypair_free(pair);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static void modes_of_secrets(void **state)
{
    static const mode_t good[] = {0600, 0400, 0700, 0500};
    static const mode_t bad[] = {0644, 0604, 0660, 0620, 0610, 0601,
                                 0602, 0666, 0777, 0750, 0641, 0650};
    const char *path = saved_pair(SOTTO_CURVE_25519);
    sotto_keypair *pair = NULL;
    sotto_error error = {0};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(chmod(path, good[i]), 0);
        assert_int_equal(load_private(path), SOTTO_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        if (load_private(path) != SOTTO_E_PERMISSION)
            fail_msg("mode %04o is taken", bad[i]);
    }
    /* A file of root may be 0640 or 0440, anybody else's may not. */
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(load_private(path), geteuid() == 0 ? SOTTO_OK : SOTTO_E_PERMISSION);
    assert_int_equal(chmod(path, 0440), 0);
    assert_int_equal(load_private(path), geteuid() == 0 ? SOTTO_OK : SOTTO_E_PERMISSION);

    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sotto_keypair_load(path, &pair, &error), SOTTO_E_PERMISSION);
    assert_contains(error.what, path);
    assert_contains(error.why, "0644");
    assert_contains(error.hint, "chmod 600 ");
}

static void modes_of_public_files(void **state)
{
    static const mode_t good[] = {0644, 0444, 0600, 0640, 0755};
    static const mode_t bad[] = {0664, 0646, 0666, 0620, 0602};
    const char *path;

    (void)state;
    (void)saved_pair(SOTTO_CURVE_448);
    path = scratch_path("a_448.pub");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(chmod(path, good[i]), 0);
        assert_int_equal(load_public(path), SOTTO_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        assert_int_equal(load_public(path), SOTTO_E_PERMISSION);
    }
}

/* Only root can give files away. */
static void owners(void **state)
{
    enum { SOMEBODY = 12345, ANOTHER = 12346 };
    const char *path = saved_pair(SOTTO_CURVE_25519);
    pid_t pid;
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(path, SOMEBODY, SOMEBODY), 0);
    assert_int_equal(load_private(path), SOTTO_E_PERMISSION);
    assert_int_equal(chown(scratch_path("a_25519.pub"), SOMEBODY, SOMEBODY), 0);
    assert_int_equal(load_public(scratch_path("a_25519.pub")), SOTTO_E_PERMISSION);
    assert_int_equal(chmod(scratch_folder, 0755), 0);

    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sotto_keypair *pair = NULL;
        int failures = 0;

        /* root prepares, SOMEBODY reads. */
        failures += setegid(SOMEBODY) != 0 || seteuid(SOMEBODY) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_OK;
        failures += chmod(path, 0640) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_E_PERMISSION;
        failures += chmod(path, 0440) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_E_PERMISSION;
        failures += seteuid(0) != 0 || chown(path, 0, SOMEBODY) != 0 || chmod(path, 0640) != 0 ||
                    seteuid(SOMEBODY) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_OK;
        failures += seteuid(0) != 0 || chmod(path, 0660) != 0 || seteuid(SOMEBODY) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_E_PERMISSION;
        failures += seteuid(0) != 0 || chmod(path, 0600) != 0 || seteuid(SOMEBODY) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_E_FILE;
        failures += seteuid(0) != 0 || chown(path, ANOTHER, SOMEBODY) != 0 ||
                    chmod(path, 0640) != 0 || seteuid(SOMEBODY) != 0;
        failures += sotto_keypair_load(path, &pair, NULL) != SOTTO_E_PERMISSION;
        _exit(failures);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void credentials(void **state)
{
    const char *path = saved_pair(SOTTO_CURVE_25519);
    char inside[2 * SCRATCH_PATH], outside[2 * SCRATCH_PATH];
    char link_in[2 * SCRATCH_PATH], link_out[2 * SCRATCH_PATH];

    (void)state;
    assert_int_equal(mkdir(scratch_path("cred"), 0700), 0);
    assert_int_equal(mkdir(scratch_path("cred2"), 0700), 0);
    strcpy(inside, scratch_path("cred/key"));
    strcpy(outside, scratch_path("cred2/key"));
    strcpy(link_in, scratch_path("link"));
    strcpy(link_out, scratch_path("cred/link"));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(rename(path, inside), 0);
    assert_int_equal(symlink(inside, link_in), 0);

    assert_int_equal(load_private(inside), SOTTO_E_PERMISSION);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch_path("cred"), 1), 0);
    assert_int_equal(load_private(inside), SOTTO_OK);
    assert_int_equal(load_private(link_in), SOTTO_OK);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch_path("cred2/../cred/"), 1), 0);
    assert_int_equal(load_private(inside), SOTTO_OK);

    /* Where the file really lies counts, not how it was called. */
    assert_int_equal(rename(inside, outside), 0);
    assert_int_equal(symlink(outside, link_out), 0);
    assert_int_equal(load_private(outside), SOTTO_E_PERMISSION);
    assert_int_equal(load_private(link_out), SOTTO_E_PERMISSION);
    assert_int_equal(load_private(scratch_path("cred/../cred2/key")), SOTTO_E_PERMISSION);

    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "cred2", 1), 0);
    assert_int_equal(load_private(outside), SOTTO_E_PERMISSION);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_int_equal(load_private(outside), SOTTO_E_PERMISSION);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch_path("none"), 1), 0);
    assert_int_equal(load_private(outside), SOTTO_E_PERMISSION);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void types(void **state)
{
    const char *path = saved_pair(SOTTO_CURVE_25519);
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sotto_keypair *pair = NULL;
    sotto_error error = {0};
    int fd;

    (void)state;
    assert_int_equal(load_private(scratch_path("none")), SOTTO_E_FILE);
    assert_int_equal(load_private(""), SOTTO_E_FILE);
    assert_int_equal(load_private(NULL), SOTTO_E_USAGE);
    assert_int_equal(load_private(scratch_folder), SOTTO_E_FILE);
    assert_int_equal(load_private("/dev/null"), SOTTO_E_PERMISSION);

    assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_int_equal(sotto_keypair_load(scratch_path("fifo"), &pair, &error), SOTTO_E_PERMISSION);
    assert_contains(error.why, "FIFO");

    /* By a relative name: those of sockets are short. */
    assert_int_equal(chdir(scratch_folder), 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(sotto_keypair_load("socket", &pair, &error), SOTTO_E_PERMISSION);
    assert_contains(error.why, "socket");
    assert_int_equal(fchdir(here), 0);
    assert_int_equal(close(here), 0);

    /* A link leads to the file, whose own owner and mode count. */
    assert_int_equal(symlink("a_25519.key", scratch_path("link")), 0);
    assert_int_equal(load_private(scratch_path("link")), SOTTO_OK);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(load_private(scratch_path("link")), SOTTO_E_PERMISSION);
    assert_int_equal(symlink("loop", scratch_path("loop")), 0);
    assert_int_equal(load_private(scratch_path("loop")), SOTTO_E_FILE);
}

static void malformed_files(void **state)
{
    char *good = get_text(saved_pair(SOTTO_CURVE_25519));
    const char *path = scratch_path("key");
    size_t len = strlen(good);
    char text[40000];

    (void)state;
    put_text(path, "", 0600);
    assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    put_text(path, "hello\n", 0600);
    assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    (void)snprintf(text, sizeof text, "%s%s", good, good);
    put_text(path, text, 0600);
    assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    memset(text, '\n', sizeof text);
    memcpy(text, good, len);
    put_bytes(path, text, 16385, 0600);
    assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    put_bytes(path, text, sizeof text, 0600);
    assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    /* Up to where the last line is complete but for its newline. */
    for (size_t i = 0; i + 1 < len; i++) {
        put_bytes(path, good, i, 0600);
        assert_int_equal(load_private(path), SOTTO_E_FORMAT);
    }
    /* A private key is no public key, nor the other way round. */
    assert_int_equal(load_public(scratch_path("a_25519.key")), SOTTO_E_FORMAT);
    assert_int_equal(chmod(scratch_path("a_25519.pub"), 0600), 0);
    assert_int_equal(load_private(scratch_path("a_25519.pub")), SOTTO_E_FORMAT);
    free(good);
}

static void low_order_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sotto_public_key zero = {.curve = curves[i]}, read;
        char pem[SI_PEM_MAX], text[SOTTO_PUBLIC_KEY_TEXT_SIZE];
        sotto_error error = {0};

        assert_int_equal(si_pem_write_public(&zero, pem), SOTTO_OK);
        put_text(scratch_path("zero.pub"), pem, 0644);
        assert_int_equal(sotto_public_key_load(scratch_path("zero.pub"), &read, &error),
                         SOTTO_E_KEY);
        assert_contains(error.why, "low-order");
        assert_int_equal(read.curve, 0);
        assert_int_equal(sotto_public_key_format(&zero, text), SOTTO_OK);
        assert_int_equal(sotto_public_key_parse(text, strlen(text), &read), SOTTO_E_KEY);
        assert_int_equal(read.curve, 0);
    }
}

static void load_without_memory(void **state)
{
    const char *path = saved_pair(SOTTO_CURVE_25519);
    long n = 0;

    (void)state;
    for (bool failed = true; failed; n++) {
        sotto_keypair *pair = NULL;
        sotto_err err;

        malloc_fail(n, false);
        err = sotto_keypair_load(path, &pair, NULL);
        failed = malloc_recover();
        assert_int_equal(err, failed ? SOTTO_E_NOMEM : SOTTO_OK);
        assert_true((pair != NULL) == (err == SOTTO_OK));
        sotto_keypair_free(pair);
    }
    assert_true(n > 1);
}

/* ---- openssl --------------------------------------------------------------------------------- */

static int run(const char *fmt, const char *a, const char *b)
{
    char command[1024];
    int at = snprintf(command, sizeof command, "cd '%s' && ", scratch_folder);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(command + at, sizeof command - (size_t)at, fmt, a, b);
#pragma GCC diagnostic pop
    return system(command);
}

static void openssl_reads_and_writes(void **state)
{
    (void)state;
    if (!have("openssl"))
        skip();
    (void)umask(077);
    for (size_t i = 0; i < 2; i++) {
        const char *name = sotto_curve_name(curves[i]);
        sotto_keypair *pair = NULL;
        sotto_public_key pub, read;

        /* Theirs, read by us. */
        assert_int_equal(run("openssl genpkey -algorithm X%s -out t%s.key 2>/dev/null", name, name),
                         0);
        assert_int_equal(run("openssl pkey -in t%s.key -pubout -out t%s.pub", name, name), 0);
        assert_int_equal(run("cp t%s.key their.key && cp t%s.pub their.pub", name, name), 0);
        assert_int_equal(sotto_keypair_load(scratch_path("their.key"), &pair, NULL), SOTTO_OK);
        assert_int_equal(sotto_public_key_load(scratch_path("their.pub"), &read, NULL), SOTTO_OK);
        pub = sotto_keypair_public(pair);
        assert_int_equal(pub.curve, curves[i]);
        assert_true(sotto_public_key_equal(&pub, &read));

        /* Ours are the same files, byte for byte. */
        assert_int_equal(sotto_keypair_save(pair, scratch_path("ours"), NULL), SOTTO_OK);
        assert_int_equal(run("cmp t%s.key ours_%s.key", name, name), 0);
        assert_int_equal(run("cmp t%s.pub ours_%s.pub", name, name), 0);
        sotto_keypair_free(pair);
    }
}

static void openssl_other_keys(void **state)
{
    sotto_error error = {0};
    sotto_keypair *pair = NULL;

    (void)state;
    if (!have("openssl"))
        skip();
    (void)umask(077);
    assert_int_equal(run("openssl genpkey -algorithm %s -out ed.key 2>/dev/null", "ED25519", ""),
                     0);
    assert_int_equal(run("openssl pkey -in %s -pubout -out %s", "ed.key", "ed.pub"), 0);
    assert_int_equal(sotto_keypair_load(scratch_path("ed.key"), &pair, &error), SOTTO_E_KEY);
    assert_string_not_equal(error.why, "");
    assert_int_equal(load_public(scratch_path("ed.pub")), SOTTO_E_KEY);
    assert_int_equal(run("openssl genpkey -algorithm %s -aes256 -pass pass:secret -out enc.key "
                         "2>/dev/null",
                         "X25519", ""),
                     0);
    assert_int_equal(sotto_keypair_load(scratch_path("enc.key"), &pair, &error), SOTTO_E_FORMAT);
    assert_string_not_equal(error.why, "");
}

/* ---- One-line text --------------------------------------------------------------------------- */

static void text_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sotto_keypair *pair = new_pair(curves[i]);
        sotto_public_key pub = sotto_keypair_public(pair), read;
        char text[SOTTO_PUBLIC_KEY_TEXT_SIZE + 16];
        size_t len;

        assert_int_equal(sotto_public_key_format(&pub, text), SOTTO_OK);
        len = strlen(text);
        assert_int_equal(sotto_public_key_parse(text, len, &read), SOTTO_OK);
        assert_true(sotto_public_key_equal(&pub, &read));
        strcpy(text + len, " my key\n");
        assert_int_equal(sotto_public_key_parse(text, len + 8, &read), SOTTO_OK);
        assert_true(sotto_public_key_equal(&pub, &read));

        for (size_t n = 0; n < len; n++)
            assert_int_equal(sotto_public_key_parse(text, n, &read), SOTTO_E_FORMAT);
        for (size_t n = 0; n < len; n++) {
            char kept = text[n];

            text[n] = '*';
            assert_int_equal(sotto_public_key_parse(text, len, &read), SOTTO_E_FORMAT);
            assert_int_equal(read.curve, 0);
            text[n] = kept;
        }
        text[len] = 'A';
        assert_int_equal(sotto_public_key_parse(text, len + 1, &read), SOTTO_E_FORMAT);
        memmove(text + 1, text, len);
        text[0] = ' ';
        assert_int_equal(sotto_public_key_parse(text, len + 1, &read), SOTTO_E_FORMAT);
        sotto_keypair_free(pair);
    }
}

static void fingerprints(void **state)
{
    static const char good[] = "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY";
    static const char *const bad[] = {
        "",
        "SHA256:",
        "qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY",
        "sha256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY",
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaB",
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY=",
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBZ", /* unused bits not zero */
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaB-",
        "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaB ",
        " SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY",
    };
    sotto_public_key key = {.curve = SOTTO_CURVE_25519};
    char text[SOTTO_FINGERPRINT_SIZE];

    (void)state;
    assert_true(sotto_is_fingerprint(good));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(sotto_is_fingerprint(bad[i]));
    assert_false(sotto_is_fingerprint(NULL));

    /* The examples of protocol section 5. */
    for (uint8_t i = 0; i < 32; i++)
        key.bytes[i] = i;
    assert_int_equal(sotto_fingerprint(&key, text), SOTTO_OK);
    assert_string_equal(text, good);
    key.curve = SOTTO_CURVE_448;
    for (uint8_t i = 0; i < 56; i++)
        key.bytes[i] = i;
    assert_int_equal(sotto_fingerprint(&key, text), SOTTO_OK);
    assert_string_equal(text, "SHA256:HGp3l3Ye+keN95TDweqtEa8htEZdPxnPsya18UCLsKg");
    assert_true(sotto_is_fingerprint(text));
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(save_and_load),
        IN_SCRATCH(never_overwrites),
        IN_SCRATCH(one_of_many_wins),
        IN_SCRATCH(save_needs_a_place),
        IN_SCRATCH(save_here),
        IN_SCRATCH(disk_full),
        IN_SCRATCH(every_call_fails),
        IN_SCRATCH(modes_of_secrets),
        IN_SCRATCH(modes_of_public_files),
        IN_SCRATCH(owners),
        IN_SCRATCH(credentials),
        IN_SCRATCH(types),
        IN_SCRATCH(malformed_files),
        IN_SCRATCH(low_order_points),
        IN_SCRATCH(load_without_memory),
        IN_SCRATCH(openssl_reads_and_writes),
        IN_SCRATCH(openssl_other_keys),
        cmocka_unit_test(text_form),
        cmocka_unit_test(fingerprints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
