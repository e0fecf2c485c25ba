#include "net/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum lookup_state { WAITING, RUNNING, ABANDONED, FINISHED };

struct si_lookup {
    enum lookup_state state;
    struct si_lookup *next; /* while WAITING */
    uv_async_t *done;       /* not to be touched when ABANDONED */
    uint16_t port;
    struct si_lookup_result result; /* the thread's while RUNNING or ABANDONED */
    char host[];
};

/* All below and every lookup's state are guarded by the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct si_lookup *first_waiting;
static struct si_lookup **end_waiting = &first_waiting; /* where the next one is hung on */
static int threads;

/* ---- The lookup itself ---- */

/* A host file or a name server may give an address twice; a listener could not bind it twice. */
static void add(struct si_lookup_result *result, const struct si_sockaddr *addr)
{
    for (size_t i = 0; i < result->count; i++) {
        if (result->addrs[i].len == addr->len &&
            memcmp(result->addrs[i].bytes, addr->bytes, addr->len) == 0)
            return;
    }
    if (result->count < SI_LOOKUP_MAX)
        result->addrs[result->count++] = *addr;
}

static void explain(int status, int sys_errno, char *out, size_t size)
{
    if (status == EAI_NONAME || status == EAI_NODATA || status == EAI_ADDRFAMILY)
        (void)snprintf(out, size, "no such host");
    else if (status == EAI_AGAIN)
        (void)snprintf(out, size, "no answer from the name server");
    else if (status == EAI_SYSTEM && strerror_r(sys_errno, out, size) != 0)
        (void)snprintf(out, size, "error %d", sys_errno);
    else if (status != EAI_SYSTEM)
        (void)snprintf(out, size, "%s", gai_strerror(status));
}

void si_lookup_now(const char *host, uint16_t port, struct si_lookup_result *out)
{
    /* Not AI_ADDRCONFIG: it hides 127.0.0.1 on a machine that has only IPv6 outside. */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    struct si_sockaddr addr;
    char service[8];
    int status;

    memset(out, 0, sizeof *out);
    if (si_sockaddr_parse(host, port, &addr) == SOTTO_OK) {
        add(out, &addr);
        return;
    }
    (void)snprintf(service, sizeof service, "%u", port);
    hints.ai_flags = AI_NUMERICSERV;
    status = getaddrinfo(host, service, &hints, &list);
    if (status != 0) {
        explain(status, errno, out->why, sizeof out->why);
        return;
    }
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        if (si_sockaddr_from(info->ai_addr, info->ai_addrlen, &addr) == SOTTO_OK)
            add(out, &addr);
    }
    freeaddrinfo(list);
    if (out->count == 0)
        explain(EAI_NONAME, 0, out->why, sizeof out->why);
}

/* ---- The queue, with the lock held ---- */

static void append(struct si_lookup *lookup)
{
    *end_waiting = lookup;
    end_waiting = &lookup->next;
}

static void unlink_waiting(struct si_lookup *lookup)
{
    struct si_lookup **at = &first_waiting;

    while (*at != lookup)
        at = &(*at)->next;
    *at = lookup->next;
    if (end_waiting == &lookup->next)
        end_waiting = at;
}

static struct si_lookup *next_waiting(void)
{
    struct si_lookup *lookup = first_waiting;

    if (lookup != NULL) {
        unlink_waiting(lookup);
        lookup->state = RUNNING;
    }
    return lookup;
}

/* ---- Threads ---- */

static void *work(void *unused)
{
    struct si_lookup *lookup;

    (void)unused;
    (void)pthread_mutex_lock(&lock);
    while ((lookup = next_waiting()) != NULL) {
        (void)pthread_mutex_unlock(&lock);
        si_lookup_now(lookup->host, lookup->port, &lookup->result);
        (void)pthread_mutex_lock(&lock);
        if (lookup->state == ABANDONED) {
            free(lookup);
        } else {
            lookup->state = FINISHED;
            /* Within the lock: si_lookup_abandon() must not return in between. */
            (void)uv_async_send(lookup->done);
        }
    }
    threads--;
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static bool start_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    bool ok;

    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&thread, &attr, work, NULL) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return ok;
}

sotto_err si_lookup_start(const char *host, uint16_t port, uv_async_t *done, struct si_lookup **out)
{
    size_t size = strlen(host) + 1;
    struct si_lookup *lookup = calloc(1, sizeof *lookup + size);
    sotto_err err = SOTTO_OK;

    *out = NULL;
    if (lookup == NULL)
        return SOTTO_E_NOMEM;
    memcpy(lookup->host, host, size);
    lookup->port = port;
    lookup->done = done;

    (void)pthread_mutex_lock(&lock);
    append(lookup);
    if (threads < SI_LOOKUP_THREADS) {
        if (start_thread())
            threads++;
        else if (threads == 0) /* nobody would ever come to it */
            err = SOTTO_E_SYSTEM;
    }
    if (err != SOTTO_OK)
        unlink_waiting(lookup);
    (void)pthread_mutex_unlock(&lock);

    if (err != SOTTO_OK) {
        free(lookup);
        return err;
    }
    *out = lookup;
    return SOTTO_OK;
}

void si_lookup_take(struct si_lookup *lookup, struct si_lookup_result *out)
{
    /* The thread wrote the result before it sent DONE under the lock. */
    (void)pthread_mutex_lock(&lock);
    *out = lookup->result;
    (void)pthread_mutex_unlock(&lock);
    free(lookup);
}

void si_lookup_abandon(struct si_lookup *lookup)
{
    bool ours = true;

    (void)pthread_mutex_lock(&lock);
    if (lookup->state == WAITING) {
        unlink_waiting(lookup);
    } else if (lookup->state == RUNNING) {
        lookup->state = ABANDONED;
        ours = false;
    }
    (void)pthread_mutex_unlock(&lock);
    if (ours)
        free(lookup);
}
