#include "exec.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sotto/json.h>

#include "child.h"
#include "output.h"

/* One request, from the handler to the answer. */
struct job {
    struct job *next;
    const struct exec_endpoint *endpoint;
    sotto_server *server;
    sotto_call call;
    bool notification;
    int64_t deadline_ns;
    sotto_err over;      /* why nobody waits any more, else SOTTO_OK */
    struct child *child; /* while it runs */
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    char *client_name;
    size_t content_len;
    char content[];
};

/* The lock guards the lists, and `over` and `child` of the jobs in them. */
struct exec_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job waits, or the end has come */
    pthread_cond_t idle; /* nothing waits or runs */
    struct job *waiting, **waiting_end;
    struct job *running;
    size_t waiting_count, running_count;
    bool ending;
    uint32_t timeout_ms;
    size_t thread_count;
    pthread_t threads[EXEC_RUNNING_MAX];
};

/* ---- Jobs ------------------------------------------------------------------------------------ */

static void job_free(struct job *job)
{
    if (job == NULL)
        return;
    free(job->client_name);
    free(job);
}

static struct job *job_new(const struct exec_endpoint *endpoint, const sotto_request *request)
{
    struct job *job = calloc(1, sizeof *job + request->content_len);
    uint32_t limit_ms = endpoint->pool->timeout_ms;

    if (job == NULL)
        return NULL;
    job->endpoint = endpoint;
    job->server = request->server;
    job->call = request->call;
    job->notification = request->notification;
    if (request->deadline_ms != 0 && request->deadline_ms < limit_ms)
        limit_ms = request->deadline_ms;
    job->deadline_ns = monotonic_ns() + (int64_t)limit_ms * 1000000;
    job->content_len = request->content_len;
    memcpy(job->content, request->content, request->content_len);
    job->client_name = strdup(request->peer->name != NULL ? request->peer->name : "");
    if (job->client_name == NULL ||
        (request->peer->key != NULL &&
         sotto_fingerprint(request->peer->key, job->fingerprint) != SOTTO_OK)) {
        job_free(job);
        return NULL;
    }
    return job;
}

/* ---- The environment of a program ------------------------------------------------------------ */

enum { OWN_VARIABLES = 4 };
static const char *const own_variables[OWN_VARIABLES] = {"SOTTO_ENDPOINT", "SOTTO_CLIENT",
                                                         "SOTTO_CLIENT_NAME", "SOTTO_DEADLINE_MS"};

static bool is_own_variable(const char *entry)
{
    for (size_t i = 0; i < OWN_VARIABLES; i++) {
        size_t len = strlen(own_variables[i]);

        if (strncmp(entry, own_variables[i], len) == 0 && entry[len] == '=')
            return true;
    }
    return false;
}

static void environment_free(char **env)
{
    for (size_t i = 0; env != NULL && i < OWN_VARIABLES; i++)
        free(env[i]);
    free(env);
}

/* Our own environment behind the variables of JOB. */
static char **environment_new(const struct job *job)
{
    char left[24];
    const char *values[OWN_VARIABLES] = {job->endpoint->name, job->fingerprint, job->client_name,
                                         left};
    int64_t left_ms = (job->deadline_ns - monotonic_ns()) / 1000000;
    size_t count = 0, used = OWN_VARIABLES;
    char **env;

    (void)snprintf(left, sizeof left, "%lld", left_ms > 0 ? (long long)left_ms : 0);
    while (environ[count] != NULL)
        count++;
    env = calloc(count + OWN_VARIABLES + 1, sizeof *env);
    if (env == NULL)
        return NULL;
    for (size_t i = 0; i < OWN_VARIABLES; i++) {
        if (asprintf(&env[i], "%s=%s", own_variables[i], values[i]) < 0) {
            env[i] = NULL;
            environment_free(env);
            return NULL;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!is_own_variable(environ[i]))
            env[used++] = environ[i];
    return env;
}

/* ---- Running one ----------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void fail(const struct job *job, const char *code,
                                                       const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!job->notification)
        (void)sotto_answer_error(job->server, job->call, code, text);
}

/* What the operator has to know, since the client is only told `internal`. */
static void fail_here(const struct job *job, const char *code, const char *why, const char *detail)
{
    note("endpoint %s: %s%s%s", job->endpoint->name, why, detail[0] != '\0' ? ": " : "", detail);
    fail(job, code, "%s", why);
}

static void answer_output(const struct job *job, const struct child_output *output)
{
    sotto_error error = {0};

    const char *text = output->text != NULL ? output->text : "";

    if (job->notification)
        return;
    if (sotto_json_check(text, output->len, &error) == SOTTO_OK)
        (void)sotto_answer(job->server, job->call, text, output->len);
    else
        fail_here(job, "internal", "the program did not print one JSON value", error.why);
}

static void answer_status(const struct job *job, int status)
{
    char text[64];

    if (WIFSIGNALED(status))
        (void)snprintf(text, sizeof text, "killed by signal %d", WTERMSIG(status));
    else
        (void)snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
    if (job->notification)
        note("endpoint %s: %s", job->endpoint->name, text);
    fail(job, "exec.failed", "%s", text);
}

static void answer(const struct job *job, sotto_err over, enum child_end end, int status,
                   const struct child_output *output)
{
    if (over == SOTTO_E_CANCELLED)
        fail(job, "cancelled", "the program was killed");
    else if (over != SOTTO_OK)
        return; /* nobody is there any more */
    else if (end == CHILD_LATE)
        fail(job, "deadline_exceeded", "the program was killed");
    else if (end == CHILD_TOO_MUCH)
        fail_here(job, "internal", "the program printed more than 16 MiB", "");
    else if (end == CHILD_NO_MEMORY)
        fail_here(job, "internal", "no memory for what the program prints", "");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        answer_status(job, status);
    else
        answer_output(job, output);
}

static void run_job(struct exec_pool *pool, struct job *job)
{
    struct child_output output = {.max = EXEC_OUTPUT_MAX};
    struct child child;
    enum child_end end;
    char **env = environment_new(job);
    sotto_err over;
    int status, err;

    err = env != NULL ? child_start(&child, job->endpoint->command, env) : ENOMEM;
    environment_free(env);
    if (err != 0) {
        fail_here(job, "overloaded", "the program could not be started", strerror(err));
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    job->child = &child;
    if (job->over != SOTTO_OK)
        child_kill(&child); /* came between the queue and here */
    (void)pthread_mutex_unlock(&pool->lock);

    end = child_exchange(&child, job->content, job->content_len, &output, job->deadline_ns);

    (void)pthread_mutex_lock(&pool->lock);
    status = child_reap(&child);
    job->child = NULL;
    over = job->over;
    (void)pthread_mutex_unlock(&pool->lock);
    answer(job, over, end, status, &output);
    free(output.text);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* Move the first waiting job to those that run.  NULL: there is none.  Under the lock. */
static struct job *next_job(struct exec_pool *pool)
{
    struct job *job = pool->waiting;

    if (job == NULL)
        return NULL;
    pool->waiting = job->next;
    if (pool->waiting == NULL)
        pool->waiting_end = &pool->waiting;
    pool->waiting_count--;
    job->next = pool->running;
    pool->running = job;
    pool->running_count++;
    return job;
}

/* Under the lock. */
static void forget_running(struct exec_pool *pool, const struct job *job)
{
    struct job **at = &pool->running;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    pool->running_count--;
    if (pool->running_count == 0 && pool->waiting_count == 0)
        (void)pthread_cond_broadcast(&pool->idle);
}

static void *run_jobs(void *user)
{
    struct exec_pool *pool = user;
    struct job *job;

    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while ((job = next_job(pool)) == NULL && !pool->ending)
            (void)pthread_cond_wait(&pool->work, &pool->lock);
        if (job == NULL)
            break;
        (void)pthread_mutex_unlock(&pool->lock);
        run_job(pool, job);
        (void)pthread_mutex_lock(&pool->lock);
        forget_running(pool, job);
        job_free(job);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

sotto_err exec_pool_new(uint32_t timeout_ms, struct exec_pool **out)
{
    struct exec_pool *pool = calloc(1, sizeof *pool);
    pthread_condattr_t attributes;

    *out = NULL;
    if (pool == NULL)
        return SOTTO_E_NOMEM;
    pool->waiting_end = &pool->waiting;
    pool->timeout_ms = timeout_ms;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->idle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    while (pool->thread_count < EXEC_RUNNING_MAX) {
        if (pthread_create(&pool->threads[pool->thread_count], NULL, run_jobs, pool) != 0) {
            exec_pool_free(pool);
            return SOTTO_E_SYSTEM;
        }
        pool->thread_count++;
    }
    *out = pool;
    return SOTTO_OK;
}

/* ---- What the server's workers call ---------------------------------------------------------- */

void exec_handle(void *user, const sotto_request *request)
{
    const struct exec_endpoint *endpoint = user;
    struct exec_pool *pool = endpoint->pool;
    struct job *job = job_new(endpoint, request);
    bool taken = false;

    if (job != NULL) {
        (void)pthread_mutex_lock(&pool->lock);
        if (pool->waiting_count < EXEC_WAITING_MAX && !pool->ending) {
            *pool->waiting_end = job;
            pool->waiting_end = &job->next;
            pool->waiting_count++;
            taken = true;
            (void)pthread_cond_signal(&pool->work);
        }
        (void)pthread_mutex_unlock(&pool->lock);
    }
    if (taken)
        return;
    job_free(job);
    if (!request->notification)
        (void)sotto_answer_error(request->server, request->call, "overloaded",
                                 "too many programs are running");
}

static bool same_call(const struct job *job, sotto_call call)
{
    return job->call.slot == call.slot && job->call.generation == call.generation &&
           !job->notification;
}

/* Take the waiting job of CALL out of the queue.  Under the lock. */
static struct job *remove_waiting(struct exec_pool *pool, sotto_call call)
{
    for (struct job **at = &pool->waiting; *at != NULL; at = &(*at)->next) {
        struct job *job = *at;

        if (!same_call(job, call))
            continue;
        *at = job->next;
        if (*at == NULL)
            pool->waiting_end = at;
        pool->waiting_count--;
        return job;
    }
    return NULL;
}

void exec_over(void *user, sotto_server *server, sotto_call call, sotto_err reason)
{
    const struct exec_endpoint *endpoint = user;
    struct exec_pool *pool = endpoint->pool;
    struct job *job;

    (void)pthread_mutex_lock(&pool->lock);
    job = remove_waiting(pool, call);
    for (struct job *j = pool->running; j != NULL; j = j->next) {
        if (!same_call(j, call))
            continue;
        j->over = reason;
        if (j->child != NULL)
            child_kill(j->child);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (job != NULL && reason == SOTTO_E_CANCELLED)
        (void)sotto_answer_error(server, call, "cancelled", "the program was not started");
    job_free(job);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Under the lock. */
static void drop_all(struct exec_pool *pool)
{
    struct job *job;

    while ((job = pool->waiting) != NULL) {
        pool->waiting = job->next;
        job_free(job);
    }
    pool->waiting_end = &pool->waiting;
    pool->waiting_count = 0;
    for (job = pool->running; job != NULL; job = job->next) {
        job->over = SOTTO_E_GONE;
        if (job->child != NULL)
            child_kill(job->child);
    }
}

void exec_pool_kill(struct exec_pool *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    drop_all(pool);
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
}

void exec_pool_wait(struct exec_pool *pool, int64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                      .tv_nsec = (long)(deadline_ns % 1000000000)};
    int err = 0;

    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    while (err == 0 && pool->running_count + pool->waiting_count > 0)
        err = pthread_cond_timedwait(&pool->idle, &pool->lock, &deadline);
    (void)pthread_mutex_unlock(&pool->lock);
}

void exec_pool_free(struct exec_pool *pool)
{
    if (pool == NULL)
        return;
    exec_pool_kill(pool);
    for (size_t i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->idle);
    free(pool);
}
