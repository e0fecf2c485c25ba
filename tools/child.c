#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often to look whether a child has ended, where there is no process descriptor. */
enum { LOOK_EVERY_MS = 20 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int64_t monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Start ----------------------------------------------------------------------------------- */

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int err;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if ((err = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                        POSIX_SPAWN_SETSIGDEF)) != 0 ||
        (err = posix_spawnattr_setpgroup(attributes, 0)) != 0 ||
        (err = posix_spawnattr_setsigmask(attributes, &none)) != 0)
        return err;
    return posix_spawnattr_setsigdefault(attributes, &all);
}

static int spawn(struct child *child, int input, int output, const char *command, char *const env[])
{
    char shell[] = "/bin/sh", name[] = "sh", flag[] = "-c";
    char *const argv[] = {name, flag, (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int err;

    if ((err = posix_spawn_file_actions_init(&actions)) != 0)
        return err;
    if ((err = posix_spawnattr_init(&attributes)) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return err;
    }
    /* main() keeps 0 to 2 in use, so neither pipe end is one of them. */
    if ((err = set_attributes(&attributes)) == 0 &&
        (err = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)) == 0 &&
        (err = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)) == 0 &&
        (err = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)) == 0)
        err = posix_spawn(&child->pid, shell, &actions, &attributes, argv, env);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err;
}

static int no_wait(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? errno : 0;
}

int child_start(struct child *child, const char *command, char *const env[])
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err = 0;

    child->pid = 0;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        err = errno;
    /* Only our ends: the program's own behave as programs expect. */
    if (err == 0 && (err = no_wait(in[1])) == 0 && (err = no_wait(out[0])) == 0)
        err = spawn(child, in[0], out[1], command, env);
    close_fd(&in[0]);
    close_fd(&out[1]);
    if (err != 0) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        return err;
    }
    child->input = in[1];
    child->output = out[0];
    /* Of the system call itself: the C library has it only since 2.36. */
    child->watch = (int)syscall(SYS_pidfd_open, child->pid, 0);
    return 0;
}

/* ---- Exchange -------------------------------------------------------------------------------- */

static void feed(struct child *child, const char *input, size_t len, size_t *fed)
{
    while (child->input >= 0) {
        ssize_t put = *fed < len ? write(child->input, input + *fed, len - *fed) : 0;

        if (put > 0)
            *fed += (size_t)put;
        else if (*fed == len || (errno != EAGAIN && errno != EINTR))
            close_fd(&child->input); /* done, or it does not want it (EPIPE) */
        else if (errno == EAGAIN)
            return;
    }
}

static bool make_room(struct child_output *output)
{
    size_t cap = output->cap == 0 ? 16384 : output->cap * 2;
    char *text;

    if (output->len < output->cap)
        return true;
    text = realloc(output->text, cap);
    if (text == NULL)
        return false;
    output->text = text;
    output->cap = cap;
    return true;
}

/* Take what is there.  CHILD_ENDED: nothing wrong. */
static enum child_end collect(struct child *child, struct child_output *output)
{
    while (child->output >= 0) {
        ssize_t got;

        if (!make_room(output))
            return CHILD_NO_MEMORY;
        got = read(child->output, output->text + output->len, output->cap - output->len);
        if (got > 0)
            output->len += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            return CHILD_ENDED;
        else if (got == 0 || errno != EINTR)
            close_fd(&child->output);
        if (output->len > output->max)
            return CHILD_TOO_MUCH;
    }
    return CHILD_ENDED;
}

/* Has it ended?  It is not reaped here, so that its process group keeps its number. */
static bool has_ended(const struct child *child)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child->pid;
}

/* Wait until something can be done. */
static void wait_for_child(const struct child *child, int64_t deadline_ns)
{
    struct pollfd fds[] = {
        {child->input, POLLOUT, 0},
        {child->output, POLLIN, 0},
        {child->watch, POLLIN, 0},
    };
    int64_t longest_ms = child->watch < 0 ? LOOK_EVERY_MS : 3600000;
    int64_t left_ms = (deadline_ns - monotonic_ns()) / 1000000 + 1;

    if (left_ms > longest_ms)
        left_ms = longest_ms;
    (void)poll(fds, sizeof fds / sizeof fds[0], left_ms < 0 ? 0 : (int)left_ms);
}

enum child_end child_exchange(struct child *child, const char *input, size_t len,
                              struct child_output *output, int64_t deadline_ns)
{
    enum child_end end = CHILD_ENDED;
    size_t fed = 0;
    bool ended;

    do {
        wait_for_child(child, deadline_ns);
        feed(child, input, len, &fed);
        /* Asked before the last look at the output: what it printed before its end is in the
         * pipe by now. */
        ended = has_ended(child);
        if (end == CHILD_ENDED)
            end = collect(child, output);
        if (end == CHILD_ENDED && !ended && monotonic_ns() >= deadline_ns)
            end = CHILD_LATE;
        if (end != CHILD_ENDED) {
            child_kill(child);
            close_fd(&child->output);
            close_fd(&child->input);
            deadline_ns = INT64_MAX; /* nothing is left to wait for but its end */
        }
    } while (!ended);
    return end;
}

/* ---- End ------------------------------------------------------------------------------------- */

void child_kill(const struct child *child)
{
    (void)kill(-child->pid, SIGKILL);
}

int child_reap(struct child *child)
{
    int status = 0;

    child_kill(child);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close_fd(&child->input);
    close_fd(&child->output);
    close_fd(&child->watch);
    return status;
}
