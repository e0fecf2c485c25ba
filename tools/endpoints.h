/*
 * endpoints.h: the endpoints that every `sotto serve` has.
 */
#ifndef ENDPOINTS_H
#define ENDPOINTS_H

#include <sotto/server.h>

sotto_handler endpoint_echo; /* answers its content */
sotto_handler endpoint_time; /* answers {"unix_ms":…,"utc":"2026-01-02T03:04:05.678Z"} */

#endif
