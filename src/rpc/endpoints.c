#include "rpc/endpoints.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

/* A hash table with open addressing.  Invariants: capacity is a power of two, 2 * count <=
 * capacity. */
struct si_service {
    sotto_server *server;
    struct si_endpoint **slots;
    size_t capacity;
    size_t count;
    struct si_buf list; /* "[" and the elements of what $/endpoints answers */
};

/* FNV-1a.  The server chooses the names in the table, so a client cannot make them collide. */
static size_t hash(struct si_span name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.ptr[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

/* Where NAME stands, or would. */
static struct si_endpoint **place(struct si_endpoint **slots, size_t capacity, struct si_span name)
{
    size_t i = hash(name) & (capacity - 1);

    while (slots[i] != NULL &&
           (slots[i]->len != name.len || memcmp(slots[i]->name, name.ptr, name.len) != 0))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

sotto_err si_service_new(sotto_server *server, struct si_service **out)
{
    struct si_service *service = calloc(1, sizeof *service);

    *out = NULL;
    if (service == NULL)
        return SOTTO_E_NOMEM;
    service->server = server;
    service->list = si_buf(SIZE_MAX);
    if (si_buf_puts(&service->list, "[") != SOTTO_OK) {
        free(service);
        return SOTTO_E_NOMEM;
    }
    *out = service;
    return SOTTO_OK;
}

void si_service_free(struct si_service *service)
{
    if (service == NULL)
        return;
    for (size_t i = 0; i < service->capacity; i++)
        free(service->slots[i]);
    free(service->slots);
    si_buf_free(&service->list);
    free(service);
}

static sotto_err grow(struct si_service *service)
{
    size_t capacity = service->capacity == 0 ? FIRST_CAPACITY : 2 * service->capacity;
    struct si_endpoint **slots;

    if (2 * (service->count + 1) <= service->capacity)
        return SOTTO_OK;
    slots = calloc(capacity, sizeof(struct si_endpoint *));
    if (slots == NULL)
        return SOTTO_E_NOMEM;
    for (size_t i = 0; i < service->capacity; i++) {
        struct si_endpoint *endpoint = service->slots[i];

        if (endpoint != NULL)
            *place(slots, capacity, si_span(endpoint->name, endpoint->len)) = endpoint;
    }
    free(service->slots);
    service->slots = slots;
    service->capacity = capacity;
    return SOTTO_OK;
}

sotto_err si_service_add(struct si_service *service, const char *name, sotto_handler *handler,
                         sotto_call_over *over, void *user)
{
    struct si_span span = si_span_str(name);
    struct si_endpoint *endpoint;
    sotto_err err;

    if (handler == NULL || !si_endpoint_name_ok(span, false))
        return SOTTO_E_USAGE;
    if (si_service_find(service, span) != NULL)
        return SOTTO_E_EXISTS;
    if ((err = grow(service)) != SOTTO_OK)
        return err;
    endpoint = malloc(sizeof *endpoint + span.len + 1);
    if (endpoint == NULL)
        return SOTTO_E_NOMEM;
    /* A name needs no escapes. */
    err = si_buf_printf(&service->list, "%s{\"name\":\"%s\"}", service->count > 0 ? "," : "", name);
    if (err != SOTTO_OK) {
        free(endpoint);
        return err;
    }
    endpoint->handler = handler;
    endpoint->over = over;
    endpoint->user = user;
    endpoint->len = span.len;
    memcpy(endpoint->name, name, span.len + 1);
    *place(service->slots, service->capacity, span) = endpoint;
    service->count++;
    return SOTTO_OK;
}

sotto_server *si_service_server(const struct si_service *service)
{
    return service->server;
}

const struct si_endpoint *si_service_find(const struct si_service *service, struct si_span name)
{
    return service->capacity == 0 ? NULL : *place(service->slots, service->capacity, name);
}

struct si_span si_service_list(const struct si_service *service)
{
    return si_span(service->list.ptr, service->list.len);
}
