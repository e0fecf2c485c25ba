#include "sotto/identity.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
    NAME_MAX_LEN = 253, /* RFC 1035, as text */
    LABEL_MAX_LEN = 63,
    ZONE_MAX_LEN = 15 /* of an interface name */
};

static const char scheme[] = "sotto://";

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* ASCII only, whatever the locale says. */
static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
    }
}

static size_t find(struct si_span text, char c)
{
    const uint8_t *at = text.len > 0 ? memchr(text.ptr, c, text.len) : NULL;

    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

/* One label of a name; NULL when it is right, else what is wrong. */
static const char *check_label(struct si_span label)
{
    if (label.len == 0)
        return "an empty part between two dots";
    if (label.len > LABEL_MAX_LEN)
        return "a part of the host name is longer than 63 characters";
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return "a part of the host name begins or ends with a hyphen";
    for (size_t i = 0; i < label.len; i++) {
        if (label.ptr[i] >= 0x80)
            return "not ASCII; write an international name in its xn-- form";
        if (!is_name_char(label.ptr[i]))
            return label.ptr[i] == '/' ? "a path or a slash does not belong to an address"
                                       : "a character that no host name has";
    }
    return NULL;
}

/* A name or an IPv4 address.  What ends in a number is no name (resolvers read "127.1" and "1"
 * as IPv4 addresses), so it has to be four decimal numbers. */
static const char *parse_name(struct si_span text, sotto_address *out)
{
    struct si_span rest = text, label = {0};
    struct in_addr v4;
    size_t digits = 0;

    if (text.len == 0)
        return "the host is missing";
    if (text.len > NAME_MAX_LEN)
        return "the host name is longer than 253 characters";
    for (;;) {
        size_t dot = find(rest, '.');
        const char *why;

        label = si_span(rest.ptr, dot);
        if ((why = check_label(label)) != NULL)
            return why;
        if (dot + 1 >= rest.len) /* the end, or the dot that closes a full name */
            break;
        rest = si_span(rest.ptr + dot + 1, rest.len - dot - 1);
    }
    memcpy(out->host, text.ptr, text.len);
    out->host[text.len] = '\0';
    lower(out->host);
    while (digits < label.len && is_digit(label.ptr[digits]))
        digits++;
    if (digits == label.len && inet_pton(AF_INET, out->host, &v4) != 1)
        return "neither a host name nor an IPv4 address of four decimal numbers";
    return NULL;
}

/* What stood in brackets: brought into its one canonical form, or one server would have several
 * names. */
static const char *parse_v6(struct si_span text, sotto_address *out)
{
    char address[INET6_ADDRSTRLEN] = "";
    struct in6_addr v6;
    size_t len = find(text, '%'), used;

    if (len >= sizeof address)
        return "no IPv6 address stands in the brackets";
    memcpy(address, text.ptr, len);
    if (memchr(address, '\0', len) != NULL || inet_pton(AF_INET6, address, &v6) != 1 ||
        inet_ntop(AF_INET6, &v6, out->host, sizeof out->host) == NULL)
        return "no IPv6 address stands in the brackets";
    if (len == text.len)
        return NULL;

    /* "%eth0": the interface of a link-local address. */
    text = si_span(text.ptr + len, text.len - len);
    if (text.len < 2 || text.len > 1 + ZONE_MAX_LEN)
        return "no interface name stands behind the %";
    for (size_t i = 1; i < text.len; i++) {
        if (!is_name_char(text.ptr[i]) && text.ptr[i] != '.')
            return "no interface name stands behind the %";
    }
    used = strlen(out->host);
    memcpy(out->host + used, text.ptr, text.len);
    out->host[used + text.len] = '\0';
    return NULL;
}

static const char *parse_port(struct si_span text, sotto_address *out)
{
    uint32_t port = 0;

    if (text.len == 0)
        return "the port is missing behind the colon";
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '/')
            return "a path or a slash does not belong to an address";
        if (text.ptr[i] == ':')
            return "more than one colon; an IPv6 address stands in brackets: [::1]:7448";
        if (!is_digit(text.ptr[i]))
            return "the port is not a number";
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
        if (port > UINT16_MAX || (i > 0 && text.ptr[0] == '0'))
            return "the port is not a number from 0 to 65535 without leading zeros";
    }
    out->port = (uint16_t)port;
    return NULL;
}

/* "FINGERPRINT@", of the URI form. */
static const char *parse_fingerprint(struct si_span *text, bool uri, sotto_address *out)
{
    size_t len = find(*text, '@');

    if (len == text->len)
        return NULL;
    if (!uri)
        return "a fingerprint before an @ needs sotto:// in front";
    if (len >= sizeof out->fingerprint)
        return "what stands before the @ is not a fingerprint (SHA256: and 43 characters)";
    memcpy(out->fingerprint, text->ptr, len);
    out->fingerprint[len] = '\0';
    if (!sotto_is_fingerprint(out->fingerprint))
        return "what stands before the @ is not a fingerprint (SHA256: and 43 characters)";
    *text = si_span(text->ptr + len + 1, text->len - len - 1);
    return NULL;
}

static const char *parse_host_port(struct si_span text, sotto_address *out)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    size_t end = find(text, v6 ? ']' : ':');
    struct si_span host = v6 ? si_span(text.ptr + 1, end - 1) : si_span(text.ptr, end);
    struct si_span rest;
    const char *why;

    if (v6 && end == text.len)
        return "the bracket is not closed";
    rest = si_span(text.ptr + end + v6, text.len - end - v6);
    if (rest.len > 0 && rest.ptr[0] != ':')
        return rest.ptr[0] == '/' ? "a path or a slash does not belong to an address"
                                  : "something other than a port follows the bracket";
    /* The port first: "::1" should be told about its colons, not about an empty host. */
    out->port = SOTTO_PORT_DEFAULT;
    if (rest.len > 0 && (why = parse_port(si_span(rest.ptr + 1, rest.len - 1), out)) != NULL)
        return why;
    if ((why = v6 ? parse_v6(host, out) : parse_name(host, out)) != NULL)
        return why;
    (void)snprintf(out->text, sizeof out->text, v6 ? "[%s]:%u" : "%s:%u", out->host, out->port);
    return NULL;
}

static const char *parse(const char *text, sotto_address *out)
{
    size_t scheme_len = sizeof scheme - 1;
    bool uri = strncasecmp(text, scheme, scheme_len) == 0;
    struct si_span rest = uri ? si_span_str(text + scheme_len) : si_span_str(text);
    const char *why = NULL;

    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] <= ' ' || rest.ptr[i] == 0x7f)
            return "a space or control character";
    }
    if ((why = parse_fingerprint(&rest, uri, out)) != NULL)
        return why;
    return parse_host_port(rest, out);
}

sotto_err sotto_address_parse(const char *text, sotto_address *out, sotto_error *error)
{
    sotto_address address = {0};
    const char *why;

    if (out == NULL || text == NULL)
        return si_error(error, SOTTO_E_USAGE, "no address was given");
    memset(out, 0, sizeof *out);
    if ((why = parse(text, &address)) != NULL) {
        si_error(error, SOTTO_E_FORMAT, "not an address: %s", text);
        si_error_why(error, "%s", why);
        si_error_hint(error,
                      "write it as host, host:port, [v6]:port or sotto://FINGERPRINT@host:port");
        return SOTTO_E_FORMAT;
    }
    *out = address;
    return SOTTO_OK;
}
