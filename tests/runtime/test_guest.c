/*
 * What a library must not do to its host: signals, output, descriptors.
 */
#include "wire.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- A guest in its host --------------------------------------------------------------------- */

static void signals_now(struct sigaction *actions, sigset_t *mask)
{
    for (int i = 1; i < 65; i++) {
        memset(&actions[i], 0, sizeof actions[i]);
        (void)sigaction(i, NULL, &actions[i]);
    }
    require(pthread_sigmask(SIG_SETMASK, NULL, mask) == 0);
}

/* A bit of everything: success, failures, connections that break under both sides. */
static void a_full_day(void)
{
    sotto_server *server = echo_server(NULL), *other;
    sotto_client_options o = client_options(sotto_server_address(server));
    char address[64];
    sotto_client *client = client_new(&o), *strict;
    struct taught taught;
    struct wire wire;
    int fd;

    (void)snprintf(address, sizeof address, "%s", sotto_server_address(server));
    call_echo(client);
    call_fails(client, "nope", NULL, SOTTO_E_NOT_FOUND);
    call_fails(client, "echo", "{", SOTTO_E_JSON);
    o.trust = SOTTO_TRUST_STRICT;
    o.known_servers = scratch_path("nothing");
    strict = client_new(&o);
    call_fails(strict, "echo", NULL, SOTTO_E_KEY_UNKNOWN);
    sotto_client_free(strict);

    /* garbage, a reset, and a client that leaves with answers under way: the server's sends hit
     * closed sockets */
    fd = connect_to(address);
    require(write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18);
    read_to_end(fd);
    require(close(fd) == 0);
    wire_bootstrap(address, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM, &taught);
    for (int i = 0; i < 10; i++) {
        wire_open(&wire, address, &taught, NULL, 0);
        for (int j = 0; j < 50; j++)
            wire_send(&wire, "{\"endpoint\":\"echo\",\"content\":\"x\"}");
        wire_drop(&wire, i % 2 == 0);
    }
    call_echo(client);
    sotto_server_free(server);
    call_fails(client, "echo", NULL, SOTTO_E_CONNECT);
    {
        sotto_error error = {0};

        assert_int_equal(sotto_client_notify(client, "echo", NULL, 0, &error), SOTTO_E_CONNECT);
        check_words(&error, SOTTO_E_CONNECT);
    }
    other = echo_server_at(server_options(), address);
    call_echo(client);
    sotto_client_free(client);
    stop(other);
}

static void leaves_signals_alone(void **state)
{
    static struct sigaction before[65], after[65];
    sigset_t mask_before, mask_after;

    (void)state;
    signals_now(before, &mask_before);
    /* a SIGPIPE would end this program: nobody catches it */
    assert_true(before[SIGPIPE].sa_handler == SIG_DFL);
    assert_int_equal(sigismember(&mask_before, SIGPIPE), 0);
    a_full_day();
    signals_now(after, &mask_after);
    for (int i = 1; i < 65; i++) {
        assert_true(before[i].sa_handler == after[i].sa_handler);
        assert_int_equal(before[i].sa_flags, after[i].sa_flags);
        assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
    }
}

/* A signal for the program is not taken by a thread of the library: it would end us here. */
static void takes_no_signals(void **state)
{
    const struct timespec limit = {.tv_sec = WAIT_MS / 1000};
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    sigset_t usr1, before;

    (void)state;
    require(sigemptyset(&usr1) == 0 && sigaddset(&usr1, SIGUSR1) == 0);
    call_echo(client);
    require(pthread_sigmask(SIG_BLOCK, &usr1, &before) == 0);
    require(kill(getpid(), SIGUSR1) == 0);
    call_echo(client);
    assert_int_equal(sigtimedwait(&usr1, NULL, &limit), SIGUSR1);
    require(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    sotto_client_free(client);
    stop(server);
}

static void prints_nothing(void **state)
{
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), file;
    struct stat st;
    char *text;

    (void)state;
    require(out >= 0 && err >= 0);
    (void)fflush(NULL);
    file = open(scratch_path("output"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    require(file >= 0 && dup2(file, STDOUT_FILENO) >= 0 && dup2(file, STDERR_FILENO) >= 0);
    /* A check that fails in there fails the test, and its text is in the file. */
    a_full_day();
    (void)fflush(NULL);
    require(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    require(fstat(file, &st) == 0);
    require(close(out) == 0 && close(err) == 0 && close(file) == 0);
    text = get_text(scratch_path("output"));
    if (st.st_size != 0)
        fail_msg("the library printed: %s", text);
    free(text);
}

/* Nothing is inherited by a program that the host starts, and the folder stays where it was. */
static void descriptors_close_on_exec(void **state)
{
    sotto_server *server = echo_server(NULL);
    sotto_client *client = client_for(server);
    char before[PATH_SIZE], after[PATH_SIZE];
    mode_t mask = umask(077);

    (void)state;
    (void)umask(mask);
    require(getcwd(before, sizeof before) != NULL);
    call_echo(client);
    for (int fd = 3; fd < 256; fd++) {
        struct stat st;
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            assert_true(flags & FD_CLOEXEC);
    }
    require(getcwd(after, sizeof after) != NULL);
    assert_string_equal(before, after);
    assert_int_equal(umask(mask), mask);
    sotto_client_free(client);
    stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        runtime_test(leaves_signals_alone),
        runtime_test(takes_no_signals),
        runtime_test(prints_nothing),
        runtime_test(descriptors_close_on_exec),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
