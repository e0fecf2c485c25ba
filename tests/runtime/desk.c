/* Calls that wait at a desk: see support.h. */
#include "support.h"

#include <time.h>

void desk_init(struct desk *desk)
{
    memset(desk, 0, sizeof *desk);
    require(pthread_mutex_init(&desk->lock, NULL) == 0);
    require(pthread_cond_init(&desk->changed, NULL) == 0);
}

void desk_free(struct desk *desk)
{
    require(pthread_cond_destroy(&desk->changed) == 0);
    require(pthread_mutex_destroy(&desk->lock) == 0);
}

static void lock(struct desk *desk)
{
    require(pthread_mutex_lock(&desk->lock) == 0);
}

static void unlock(struct desk *desk)
{
    require(pthread_cond_broadcast(&desk->changed) == 0);
    require(pthread_mutex_unlock(&desk->lock) == 0);
}

static void note_peer(struct desk *desk, const sotto_peer *peer)
{
    desk->peer = *peer;
    (void)snprintf(desk->peer_address, sizeof desk->peer_address, "%s", peer->address);
    (void)snprintf(desk->peer_name, sizeof desk->peer_name, "%s", peer->name);
    desk->peer.address = desk->peer_address;
    desk->peer.name = desk->peer_name;
    if (peer->key != NULL) {
        desk->peer_key = *peer->key;
        desk->peer.key = &desk->peer_key;
    }
}

void desk_handler(void *user, const sotto_request *request)
{
    struct desk *desk = user;
    size_t len = request->content_len;

    lock(desk);
    if (desk->server == NULL) /* whoever answers may read it without the lock */
        desk->server = request->server;
    require(desk->server == request->server);
    desk->calls[desk->count % DESK_SIZE] = request->call;
    desk->count++;
    desk->request = *request;
    (void)snprintf(desk->endpoint, sizeof desk->endpoint, "%s", request->endpoint);
    (void)snprintf(desk->content, sizeof desk->content, "%.*s",
                   (int)(len < TEXT_SIZE ? len : TEXT_SIZE - 1), request->content);
    desk->request.endpoint = desk->endpoint;
    desk->request.content = desk->content;
    desk->request.peer = &desk->peer;
    note_peer(desk, request->peer);
    unlock(desk);
}

void desk_over(void *user, sotto_server *server, sotto_call call, sotto_err reason)
{
    struct desk *desk = user;

    lock(desk);
    require(desk->server == NULL || desk->server == server);
    require(desk->over_count < DESK_SIZE);
    desk->overs[desk->over_count].call = call;
    desk->overs[desk->over_count].reason = reason;
    desk->over_count++;
    unlock(desk);
}

/* With the lock held; false: the time is over. */
static bool wait_changed(struct desk *desk, const struct timespec *until)
{
    return pthread_cond_timedwait(&desk->changed, &desk->lock, until) == 0;
}

static struct timespec wait_limit(void)
{
    struct timespec until;

    require(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += WAIT_MS / 1000;
    return until;
}

bool desk_take_or_closed(struct desk *desk, sotto_call *call)
{
    struct timespec until = wait_limit();
    bool found;

    lock(desk);
    while (desk->count == desk->taken && !desk->closed)
        require(wait_changed(desk, &until));
    found = desk->count > desk->taken;
    if (found) {
        require(desk->count - desk->taken <= DESK_SIZE);
        *call = desk->calls[desk->taken++ % DESK_SIZE];
    }
    unlock(desk);
    return found;
}

sotto_call desk_take(struct desk *desk)
{
    sotto_call call = {0};

    require(desk_take_or_closed(desk, &call));
    return call;
}

void desk_close(struct desk *desk)
{
    lock(desk);
    desk->closed = true;
    unlock(desk);
}

void desk_wait_calls(struct desk *desk, size_t n)
{
    struct timespec until = wait_limit();

    lock(desk);
    while (desk->count < n)
        require(wait_changed(desk, &until));
    unlock(desk);
}

void desk_wait_overs(struct desk *desk, size_t n)
{
    struct timespec until = wait_limit();

    lock(desk);
    while (desk->over_count < n)
        require(wait_changed(desk, &until));
    unlock(desk);
}

size_t desk_overs(struct desk *desk)
{
    size_t n;

    lock(desk);
    n = desk->over_count;
    unlock(desk);
    return n;
}

size_t desk_calls(struct desk *desk)
{
    size_t n;

    lock(desk);
    n = desk->count;
    unlock(desk);
    return n;
}
