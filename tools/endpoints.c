#include "endpoints.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void endpoint_echo(void *user, const sotto_request *request)
{
    (void)user;
    if (!request->notification)
        (void)sotto_answer(request->server, request->call, request->content, request->content_len);
}

void endpoint_time(void *user, const sotto_request *request)
{
    char text[128], day[32];
    struct timespec now;
    struct tm utc;
    int len;

    (void)user;
    if (request->notification)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) == NULL ||
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        (void)sotto_answer_error(request->server, request->call, "internal", "no time");
        return;
    }
    len =
        snprintf(text, sizeof text, "{\"unix_ms\":%lld,\"utc\":\"%s.%03ldZ\"}",
                 (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, day, now.tv_nsec / 1000000);
    (void)sotto_answer(request->server, request->call, text, (size_t)len);
}
