#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/internal.h"

static_assert(sizeof(struct sockaddr_in6) <= sizeof(((struct si_sockaddr *)0)->bytes),
              "an IPv6 address has room");
static_assert(_Alignof(struct sockaddr_in6) <= 8, "an IPv6 address is aligned");

static struct si_sockaddr from_v4(const struct sockaddr_in *v4)
{
    struct si_sockaddr addr = {.len = sizeof *v4};

    memcpy(addr.bytes, v4, sizeof *v4);
    return addr;
}

static struct si_sockaddr from_v6(const struct sockaddr_in6 *v6)
{
    struct si_sockaddr addr = {.len = sizeof *v6};

    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};

        memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
        return from_v4(&v4);
    }
    memcpy(addr.bytes, v6, sizeof *v6);
    return addr;
}

sotto_err si_sockaddr_from(const struct sockaddr *native, socklen_t len, struct si_sockaddr *out)
{
    if (len >= sizeof(struct sockaddr_in) && native->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, native, sizeof v4);
        *out = from_v4(&v4);
        return SOTTO_OK;
    }
    if (len >= sizeof(struct sockaddr_in6) && native->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, native, sizeof v6);
        *out = from_v6(&v6);
        return SOTTO_OK;
    }
    return SOTTO_E_FORMAT;
}

const struct sockaddr *si_sockaddr_native(const struct si_sockaddr *addr)
{
    return (const struct sockaddr *)(const void *)addr->bytes;
}

int si_sockaddr_family(const struct si_sockaddr *addr)
{
    sa_family_t family;

    memcpy(&family, addr->bytes + offsetof(struct sockaddr, sa_family), sizeof family);
    return addr->len == 0 ? AF_UNSPEC : family;
}

bool si_sockaddr_of(int fd, bool peer, struct si_sockaddr *out)
{
    struct sockaddr_storage native = {0};
    socklen_t len = sizeof native;
    struct sockaddr *name = (struct sockaddr *)&native;

    if ((peer ? getpeername(fd, name, &len) : getsockname(fd, name, &len)) != 0)
        return false;
    return si_sockaddr_from(name, len, out) == SOTTO_OK;
}

/* The zone behind '%': an interface's name, or its number. */
static bool parse_zone(const char *text, uint32_t *zone)
{
    char *end;
    unsigned long number;

    *zone = if_nametoindex(text);
    if (*zone != 0)
        return true;
    if (text[0] < '0' || text[0] > '9')
        return false;
    number = strtoul(text, &end, 10);
    *zone = (uint32_t)number;
    return *end == '\0' && number > 0 && number <= UINT32_MAX;
}

static bool parse_v6(const char *host, struct sockaddr_in6 *v6)
{
    const char *percent = strchr(host, '%');
    size_t len = percent == NULL ? strlen(host) : (size_t)(percent - host);
    char text[INET6_ADDRSTRLEN];

    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return false;
    return percent == NULL || parse_zone(percent + 1, &v6->sin6_scope_id);
}

sotto_err si_sockaddr_parse(const char *host, uint16_t port, struct si_sockaddr *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        *out = from_v4(&v4);
    else if (parse_v6(host, &v6))
        *out = from_v6(&v6);
    else
        return SOTTO_E_FORMAT;
    return SOTTO_OK;
}

static void format_v6(const struct sockaddr_in6 *v6, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN], zone[16] = "";

    (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    if (v6->sin6_scope_id != 0)
        (void)snprintf(zone, sizeof zone, "%%%u", v6->sin6_scope_id);
    (void)snprintf(out, size, "[%s%s]:%u", text, zone, ntohs(v6->sin6_port));
}

/* Worst case 8 groups of 4 with 7 colons, "%4294967295", brackets, ":65535", NUL: 39 + 11 + 2 +
 * 6 + 1 = 59. */
void si_sockaddr_format(const struct si_sockaddr *addr, char *out, size_t size)
{
    int family = si_sockaddr_family(addr);

    if (family == AF_INET) {
        struct sockaddr_in v4;
        char text[INET_ADDRSTRLEN];

        memcpy(&v4, addr->bytes, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        (void)snprintf(out, size, "%s:%u", text, ntohs(v4.sin_port));
    } else if (family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, addr->bytes, sizeof v6);
        format_v6(&v6, out, size);
    } else {
        (void)snprintf(out, size, "?");
    }
}

uint16_t si_sockaddr_port(const struct si_sockaddr *addr)
{
    /* sin_port and sin6_port stand at the same place. */
    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "one place for the port");
    return addr->len == 0 ? 0 : si_get_be16(addr->bytes + offsetof(struct sockaddr_in, sin_port));
}

bool si_sockaddr_is_loopback(const struct si_sockaddr *addr)
{
    int family = si_sockaddr_family(addr);

    if (family == AF_INET)
        return addr->bytes[offsetof(struct sockaddr_in, sin_addr)] == 127; /* 127.0.0.0/8 */
    if (family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, addr->bytes, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return false;
}
