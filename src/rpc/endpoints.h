/*
 * rpc/endpoints.h: looking endpoints up.
 */
#ifndef SI_RPC_ENDPOINTS_H
#define SI_RPC_ENDPOINTS_H

#include "rpc/service.h"

struct si_endpoint {
    sotto_handler *handler;
    sotto_call_over *over; /* may be NULL */
    void *user;
    size_t len;
    char name[]; /* NUL-terminated */
};

sotto_server *si_service_server(const struct si_service *service);

/* The endpoint called NAME, or NULL.  Names with "$/" are not among them. */
const struct si_endpoint *si_service_find(const struct si_service *service, struct si_span name);

/* What $/endpoints answers, without the bracket at the end. */
struct si_span si_service_list(const struct si_service *service);

#endif
