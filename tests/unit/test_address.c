/* Addresses: what is taken, what it becomes, what is refused and why. */
#include "scratch.h"

#include "sotto/identity.h"

#define FINGERPRINT "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY"
#define FINGERPRINT_ODD "SHA256:++++////++++////++++////++++////++++////+8A"
#define LABEL_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static void takes(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *fingerprint, *name;
    } rows[] = {
        {"gw", "gw", 7448, "", "gw:7448"},
        {"gw.example:1", "gw.example", 1, "", "gw.example:1"},
        {"GW.Example:65535", "gw.example", 65535, "", "gw.example:65535"},
        {"gw.example.", "gw.example.", 7448, "", "gw.example.:7448"},
        {"a_b-c.4you", "a_b-c.4you", 7448, "", "a_b-c.4you:7448"},
        {"localhost:0", "localhost", 0, "", "localhost:0"},
        {"127.0.0.1", "127.0.0.1", 7448, "", "127.0.0.1:7448"},
        {"[::1]", "::1", 7448, "", "[::1]:7448"},
        {"[::1]:9", "::1", 9, "", "[::1]:9"},
        {"[0:0::0:1]:9", "::1", 9, "", "[::1]:9"},
        {"[2001:DB8::A]:9", "2001:db8::a", 9, "", "[2001:db8::a]:9"},
        {"[fe80::1%eth0.7]:9", "fe80::1%eth0.7", 9, "", "[fe80::1%eth0.7]:9"},
        {"sotto://gw", "gw", 7448, "", "gw:7448"},
        {"SOTTO://GW:8", "gw", 8, "", "gw:8"},
        {"sotto://[::1]:8", "::1", 8, "", "[::1]:8"},
        {"sotto://" FINGERPRINT "@gw:8", "gw", 8, FINGERPRINT, "gw:8"},
        {"sotto://" FINGERPRINT_ODD "@[::1]", "::1", 7448, FINGERPRINT_ODD, "[::1]:7448"},
        {LABEL_63 ".example", LABEL_63 ".example", 7448, "", LABEL_63 ".example:7448"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sotto_address address;
        sotto_error error = {0};

        if (sotto_address_parse(rows[i].text, &address, &error) != SOTTO_OK)
            fail_msg("%s: %s", rows[i].text, error.why);
        assert_string_equal(address.host, rows[i].host);
        assert_int_equal(address.port, rows[i].port);
        assert_string_equal(address.fingerprint, rows[i].fingerprint);
        assert_string_equal(address.text, rows[i].name);

        /* The name is its own canonical form. */
        assert_int_equal(sotto_address_parse(rows[i].name, &address, NULL), SOTTO_OK);
        assert_string_equal(address.text, rows[i].name);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "host is missing"},
        {":7448", "host is missing"},
        {"sotto://", "host is missing"},
        {"sotto://:1", "host is missing"},
        {"gw:", "port is missing"},
        {"gw:x", "port is not a number"},
        {"gw:-1", "port is not a number"},
        {"gw:+1", "port is not a number"},
        {"gw:65536", "0 to 65535"},
        {"gw:99999999999999999999", "0 to 65535"},
        {"gw:00", "leading zeros"},
        {"gw:07448", "leading zeros"},
        {"gw: 1", "space"},
        {" gw", "space"},
        {"gw ", "space"},
        {"g w", "space"},
        {"gw\n", "control"},
        {"g\tw", "control"},
        {"g\x7fw", "control"},
        {"g\x01w", "control"},
        {"::1", "brackets"},
        {"fe80::1:7448", "brackets"},
        {"a:1:2", "brackets"},
        {"[::1", "not closed"},
        {"[", "not closed"},
        {"[]", "no IPv6 address"},
        {"[]:1", "no IPv6 address"},
        {"[gw]:1", "no IPv6 address"},
        {"[127.0.0.1]", "no IPv6 address"},
        {"[::1]1", "follows the bracket"},
        {"[::1]]", "follows the bracket"},
        {"[::1]/", "slash"},
        {"[::1]:", "port is missing"},
        {"[fe80::1%]", "interface"},
        {"[fe80::1%a/b]", "interface"},
        {"[fe80::1%abcdefghijklmnop]", "interface"},
        {"gw/", "slash"},
        {"gw/path", "slash"},
        {"gw:1/", "slash"},
        {"gw:1/path", "slash"},
        {"/gw", "slash"},
        {"http://gw", "slash"},
        {"sotto:/gw", "slash"},
        {"sotto://gw/", "slash"},
        {"sotto://gw:1/path", "slash"},
        {"sotto://gw?x", "character"},
        {"sotto://gw#x", "character"},
        {"user@gw", "sotto://"},
        {FINGERPRINT "@gw", "sotto://"},
        {"sotto://user@gw", "not a fingerprint"},
        {"sotto://@gw", "not a fingerprint"},
        {"sotto://SHA256:@gw", "not a fingerprint"},
        {"sotto://" FINGERPRINT "A@gw", "not a fingerprint"},
        {"sotto://" FINGERPRINT "@" FINGERPRINT "@gw", "port is not a number"},
        {"sotto://" FINGERPRINT "@", "host is missing"},
        {"a..b", "empty part"},
        {".a", "empty part"},
        {".", "empty part"},
        {"a..", "empty part"},
        {"-a", "hyphen"},
        {"a-.b", "hyphen"},
        {"a%b", "character"},
        {"a*b", "character"},
        {"*", "character"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--"},
        {LABEL_63 "x", "63"},
        {LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".x", "253"},
        {"1", "IPv4"},
        {"127.1", "IPv4"},
        {"256.0.0.1", "IPv4"},
        {"1.2.3.4.5", "IPv4"},
        {"01.2.3.4", "IPv4"},
        {"1.2.3.4.", "IPv4"},
        {"a.1", "IPv4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sotto_address address;
        sotto_error error = {0};

        memset(&address, 'x', sizeof address);
        if (sotto_address_parse(rows[i].text, &address, &error) != SOTTO_E_FORMAT)
            fail_msg("taken: %s as %s", rows[i].text, address.text);
        assert_int_equal(error.code, SOTTO_E_FORMAT);
        if (strstr(error.why, rows[i].why) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].text, error.why, rows[i].why);
        assert_contains(error.hint, "host:port");
        assert_string_equal(address.host, "");
        assert_string_equal(address.text, "");
    }
}

static void refuses_nothing(void **state)
{
    sotto_address address;

    (void)state;
    assert_int_equal(sotto_address_parse(NULL, &address, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_address_parse("gw", NULL, NULL), SOTTO_E_USAGE);
}

/* Every text of up to three of these bytes: either refused, or its name parses to itself. */
static void names_are_canonical(void **state)
{
    static const char bytes[] = "aZ09.:-_[]%@/\xc3 \x01";
    size_t n = sizeof bytes - 1;

    (void)state;
    for (size_t i = 0; i < n * n * n; i++) {
        char text[4] = {bytes[i % n], bytes[i / n % n], bytes[i / n / n], '\0'};
        sotto_address once, twice;

        if (sotto_address_parse(text, &once, NULL) != SOTTO_OK)
            continue;
        assert_int_equal(sotto_address_parse(once.text, &twice, NULL), SOTTO_OK);
        assert_string_equal(once.text, twice.text);
        assert_string_equal(once.host, twice.host);
        assert_int_equal(once.port, twice.port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_nothing),
        cmocka_unit_test(names_are_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
