/*
 * Is this the right server?  The trust table of protocol section 4 cell by cell, and the file of
 * known servers under everything that can go wrong with it.  What must never happen: a key goes
 * through that nobody trusts, or a file that cannot be read counts as one without pins.
 */
#include "scratch.h"
#include "failing_calls.h"
#include "failing_malloc.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "crypto/crypto.h"
#include "sotto/identity.h"

#define ADDRESS "gw.example:7448"
#define OTHER "other.example:7448"

/* Two keys a curve: [slot][which]. */
static sotto_public_key keys[2][2];
static char fingerprints[2][2][SOTTO_FINGERPRINT_SIZE];
static char texts[2][2][SOTTO_PUBLIC_KEY_TEXT_SIZE];

static int make_keys(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        for (int i = 0; i < 2; i++) {
            sotto_keypair *pair = NULL;

            if (sotto_keypair_generate(slot == 0 ? SOTTO_CURVE_25519 : SOTTO_CURVE_448, &pair) !=
                SOTTO_OK)
                return -1;
            keys[slot][i] = sotto_keypair_public(pair);
            sotto_keypair_free(pair);
            if (sotto_fingerprint(&keys[slot][i], fingerprints[slot][i]) != SOTTO_OK ||
                sotto_public_key_format(&keys[slot][i], texts[slot][i]) != SOTTO_OK)
                return -1;
        }
    }
    return 0;
}

/* ---- The table ------------------------------------------------------------------------------- */

enum pinned {
    NOTHING,
    SAME,
    DIFFERENT,
    ONLY_OTHER_CURVE,
    SAME_AND_OTHER,
    DIFFERENT_AND_OTHER,
    PINNED_COUNT
};
enum given { NONE, EQUAL, ANOTHER, OF_OTHER_CURVE, GIVEN_COUNT };

/* What a cell does, the three policies strict, ask, accept-new in this order. */
enum action { GO, PIN, MISMATCH, UNKNOWN_CURVE, BY_POLICY };

static const enum action table[PINNED_COUNT][GIVEN_COUNT] = {
    [NOTHING] = {BY_POLICY, PIN, MISMATCH, MISMATCH},
    [SAME] = {GO, GO, MISMATCH, MISMATCH},
    [DIFFERENT] = {MISMATCH, MISMATCH, MISMATCH, MISMATCH},
    [ONLY_OTHER_CURVE] = {UNKNOWN_CURVE, UNKNOWN_CURVE, UNKNOWN_CURVE, UNKNOWN_CURVE},
    [SAME_AND_OTHER] = {GO, GO, MISMATCH, MISMATCH},
    [DIFFERENT_AND_OTHER] = {MISMATCH, MISMATCH, MISMATCH, MISMATCH},
};

/* keys[slot][0] is shown. */
static sotto_pins pins_of(enum pinned pinned, int slot)
{
    sotto_pins pins = {0};
    bool same = pinned == SAME || pinned == SAME_AND_OTHER;

    if (pinned != NOTHING && pinned != ONLY_OTHER_CURVE) {
        pins.key[slot] = keys[slot][same ? 0 : 1];
        pins.line[slot] = 12;
    }
    if (pinned == ONLY_OTHER_CURVE || pinned == SAME_AND_OTHER || pinned == DIFFERENT_AND_OTHER) {
        pins.key[1 - slot] = keys[1 - slot][0];
        pins.line[1 - slot] = 34;
    }
    return pins;
}

static const char *given_of(enum given given, int slot)
{
    static const char *none;
    const char *const texts_of[] = {none, fingerprints[slot][0], fingerprints[slot][1],
                                    fingerprints[1 - slot][0]};

    return texts_of[given];
}

/* No text offers to go on, and none is missing. */
static void check_text(const sotto_error *error)
{
    static const char *const offers[] = {"continue", "anyway", "ignore", "--force", "insecure"};
    const char *const fields[] = {error->what, error->why, error->hint};

    for (size_t i = 0; i < 3; i++) {
        assert_string_not_equal(fields[i], "");
        for (size_t k = 0; k < sizeof offers / sizeof offers[0]; k++)
            assert_null(strstr(fields[i], offers[k]));
    }
    assert_contains(error->what, ADDRESS);
    assert_int_equal(error->stage, SOTTO_STAGE_TRUST);
}

static void check_stop(const sotto_error *error, sotto_err err, enum pinned pinned,
                       enum given given, int slot)
{
    assert_int_equal(error->code, err);
    check_text(error);
    assert_contains(error->why, fingerprints[slot][0]);
    if (err == SOTTO_E_KEY_UNKNOWN) {
        char pin[80];

        (void)snprintf(pin, sizeof pin, "--pin %s", fingerprints[slot][0]);
        assert_contains(error->hint, pin);
        assert_contains(error->hint, "--trust accept-new");
    } else if (err == SOTTO_E_KEY_UNKNOWN_CURVE) {
        assert_contains(error->why, "line 34 of /some/known_servers");
        assert_contains(error->hint, "sotto trust remove " ADDRESS);
    } else if (pinned == DIFFERENT || pinned == DIFFERENT_AND_OTHER) {
        assert_contains(error->why, fingerprints[slot][1]);
        assert_contains(error->why, "line 12 of /some/known_servers");
        assert_contains(error->why, "somebody");
        assert_contains(error->why, "new key");
        assert_contains(error->hint, "sotto trust remove " ADDRESS);
    } else {
        assert_contains(error->why, given_of(given, slot));
    }
}

static void decide_cell(int slot, enum pinned pinned, enum given given, int policy)
{
    static const sotto_err policy_err[] = {SOTTO_E_KEY_UNKNOWN, SOTTO_OK, SOTTO_OK,
                                           SOTTO_E_KEY_UNKNOWN};
    static const sotto_verdict policy_verdict[] = {SOTTO_VERDICT_STOP, SOTTO_VERDICT_ASK,
                                                   SOTTO_VERDICT_PIN, SOTTO_VERDICT_STOP};
    sotto_pins pins = pins_of(pinned, slot), before = pins;
    sotto_verdict verdict = SOTTO_VERDICT_KNOWN, want_verdict = SOTTO_VERDICT_STOP;
    sotto_err err, want = SOTTO_OK;
    sotto_error error = {0};

    switch (table[pinned][given]) {
    case GO:
        want_verdict = SOTTO_VERDICT_KNOWN;
        break;
    case PIN:
        want_verdict = SOTTO_VERDICT_PIN;
        break;
    case MISMATCH:
        want = SOTTO_E_KEY_MISMATCH;
        break;
    case UNKNOWN_CURVE:
        want = SOTTO_E_KEY_UNKNOWN_CURVE;
        break;
    case BY_POLICY:
        want = policy_err[policy];
        want_verdict = policy_verdict[policy];
    }
    err = sotto_trust_decide(&pins, &keys[slot][0], given_of(given, slot), (sotto_trust)policy,
                             "/some/known_servers", ADDRESS, &verdict, &error);
    if (err != want || verdict != want_verdict)
        fail_msg("curve %d, pins %d, given %d, policy %d: error %d, verdict %d", slot, pinned,
                 given, policy, err, verdict);
    if (err != SOTTO_OK)
        check_stop(&error, err, pinned, given, slot);
    assert_memory_equal(&pins, &before, sizeof pins);

    /* Without an error to fill in it is the same. */
    verdict = SOTTO_VERDICT_KNOWN;
    assert_int_equal(sotto_trust_decide(&pins, &keys[slot][0], given_of(given, slot),
                                        (sotto_trust)policy, NULL, ADDRESS, &verdict, NULL),
                     want);
    assert_int_equal(verdict, want_verdict);
}

static void every_cell(void **state)
{
    int cells = 0;

    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        for (int pinned = 0; pinned < PINNED_COUNT; pinned++) {
            for (int given = 0; given < GIVEN_COUNT; given++) {
                /* 3 is no policy: as strict as the strict one. */
                for (int policy = 0; policy <= 3; policy++, cells++)
                    decide_cell(slot, (enum pinned)pinned, (enum given)given, policy);
            }
        }
    }
    assert_int_equal(cells, 2 * 6 * 4 * 4);
}

/* One bit decides. */
static void every_bit_of_the_key_counts(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        sotto_pins pins = pins_of(SAME, slot);

        for (size_t bit = 0; bit < 8 * sotto_curve_key_len(keys[slot][0].curve); bit++) {
            sotto_public_key shown = keys[slot][0];
            sotto_verdict verdict;

            shown.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(sotto_trust_decide(&pins, &shown, NULL, SOTTO_TRUST_ACCEPT_NEW, NULL,
                                                ADDRESS, &verdict, NULL),
                             SOTTO_E_KEY_MISMATCH);
            assert_int_equal(verdict, SOTTO_VERDICT_STOP);
        }
    }
}

static void malformed_questions(void **state)
{
    static const char *const no_fingerprints[] = {"", "SHA256:", "x"};
    sotto_pins none = {0};
    sotto_public_key no_curve = keys[0][0];
    sotto_verdict verdict;

    (void)state;
#define STOPS(...)                                                                                 \
    verdict = SOTTO_VERDICT_KNOWN;                                                                 \
    assert_int_equal(sotto_trust_decide(__VA_ARGS__, &verdict, NULL), SOTTO_E_USAGE);              \
    assert_int_equal(verdict, SOTTO_VERDICT_STOP)

    no_curve.curve = (sotto_curve)0;
    STOPS(NULL, &keys[0][0], NULL, SOTTO_TRUST_ACCEPT_NEW, NULL, ADDRESS);
    STOPS(&none, NULL, NULL, SOTTO_TRUST_ACCEPT_NEW, NULL, ADDRESS);
    STOPS(&none, &no_curve, NULL, SOTTO_TRUST_ACCEPT_NEW, NULL, ADDRESS);
    STOPS(&none, &keys[0][0], NULL, SOTTO_TRUST_ACCEPT_NEW, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        STOPS(&none, &keys[0][0], no_fingerprints[i], SOTTO_TRUST_ACCEPT_NEW, NULL, ADDRESS);
    }
#undef STOPS
}

/* The command is one for the shell. */
static void quotes_brackets(void **state)
{
    sotto_pins pins = pins_of(DIFFERENT, 0);
    sotto_verdict verdict;
    sotto_error error;

    (void)state;
    assert_int_equal(sotto_trust_decide(&pins, &keys[0][0], NULL, SOTTO_TRUST_STRICT, NULL,
                                        "[::1]:7448", &verdict, &error),
                     SOTTO_E_KEY_MISMATCH);
    assert_contains(error.hint, "sotto trust remove '[::1]:7448'");
}

/* ---- The file: reading ----------------------------------------------------------------------- */

static const char *store(void)
{
    return scratch_path("known_servers");
}

/* What is pinned for ADDRESS; slots as they should be: -1 none, else which key. */
static void assert_pins(const char *address, int first, int second)
{
    sotto_pins pins;
    sotto_error error = {0};
    const int want[] = {first, second};

    if (sotto_known_servers_lookup(store(), address, &pins, &error) != SOTTO_OK)
        fail_msg("%s: %s", error.what, error.why);
    for (int slot = 0; slot < 2; slot++) {
        if (want[slot] < 0) {
            assert_int_equal(pins.key[slot].curve, 0);
            assert_int_equal(pins.line[slot], 0);
        } else {
            assert_true(sotto_public_key_equal(&pins.key[slot], &keys[slot][want[slot]]));
            assert_true(pins.line[slot] > 0);
        }
    }
}

static void assert_no_pins(const sotto_pins *pins)
{
    static const sotto_pins none;

    assert_memory_equal(pins, &none, sizeof none);
}

/* The store cannot be used, by anybody, and stays as it is. */
static void assert_unusable(const char *path, const char *why)
{
    sotto_pins pins;
    sotto_error error = {0};

    memset(&pins, 0xaa, sizeof pins);
    if (sotto_known_servers_lookup(path, ADDRESS, &pins, &error) != SOTTO_E_TRUST_STORE)
        fail_msg("taken: %s", path);
    assert_no_pins(&pins);
    assert_int_equal(error.code, SOTTO_E_TRUST_STORE);
    assert_contains(error.what, path);
    if (strstr(error.why, why) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", error.why, why);
    assert_int_equal(sotto_known_servers_lookup(path, ADDRESS, &pins, NULL), SOTTO_E_TRUST_STORE);
}

static void assert_unchangeable(const char *path)
{
    size_t removed = 1;
    sotto_error error = {0};

    assert_int_equal(sotto_known_servers_pin(path, ADDRESS, &keys[0][0], 1, &error),
                     SOTTO_E_TRUST_STORE);
    assert_int_equal(error.code, SOTTO_E_TRUST_STORE);
    assert_int_equal(sotto_known_servers_remove(path, OTHER, (sotto_curve)0, &removed, NULL),
                     SOTTO_E_TRUST_STORE);
    assert_int_equal(removed, 0);
}

static void no_file_no_pins(void **state)
{
    size_t removed = 1;

    (void)state;
    assert_pins(ADDRESS, -1, -1);
    assert_int_equal(sotto_known_servers_remove(store(), ADDRESS, (sotto_curve)0, &removed, NULL),
                     SOTTO_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(count_files(scratch_folder), 0);
    put_text(store(), "", 0600);
    assert_pins(ADDRESS, -1, -1);
}

static void finds_pins(void **state)
{
    char text[1024];
    sotto_pins pins;

    (void)state;
    (void)snprintf(text, sizeof text,
                   "# comment\n\n%s %s\n" OTHER
                   "\t%s  a comment \xc3\xa9 \n  # another\n \t %s %s\n"
                   "[::1]:7448 %s\n%s %s twice\n%s %s",
                   ADDRESS, texts[1][0], texts[0][1], ADDRESS, texts[0][0], texts[0][1], ADDRESS,
                   texts[0][0], OTHER, texts[1][1]);
    put_text(store(), text, 0644);
    assert_pins(ADDRESS, 0, 0);
    assert_pins(OTHER, 1, 1);
    assert_pins("[::1]:7448", 1, -1);
    assert_pins("gw.example:7449", -1, -1);
    assert_pins("w.example:7448", -1, -1);

    /* Whatever the caller calls it, it is that server. */
    assert_pins("GW.example", 0, 0);
    assert_pins("sotto://gw.example", 0, 0);
    assert_pins("[0::1]", 1, -1);
    assert_int_equal(sotto_known_servers_lookup(store(), ADDRESS, &pins, NULL), SOTTO_OK);
    assert_int_equal(pins.line[0], 6);
    assert_int_equal(pins.line[1], 3);

    memset(&pins, 0xaa, sizeof pins);
    assert_int_equal(sotto_known_servers_lookup(store(), "gw example", &pins, NULL),
                     SOTTO_E_FORMAT);
    assert_no_pins(&pins);
    memset(&pins, 0xaa, sizeof pins);
    assert_int_equal(sotto_known_servers_lookup(store(), NULL, &pins, NULL), SOTTO_E_USAGE);
    assert_no_pins(&pins);
}

/* One wrong line, before or behind good ones, for whatever address. */
static void refuses_malformed_lines(void **state)
{
    char zero[2][SOTTO_PUBLIC_KEY_TEXT_SIZE];
    struct {
        char line[512];
        const char *why;
    } rows[40];
    size_t count = 0;

    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        sotto_public_key key = {.curve = keys[slot][0].curve};

        assert_int_equal(sotto_public_key_format(&key, zero[slot]), SOTTO_OK);
    }
#define ROW(reason, ...)                                                                           \
    do {                                                                                           \
        (void)snprintf(rows[count].line, sizeof rows[count].line, __VA_ARGS__);                    \
        rows[count++].why = reason;                                                                \
    } while (0)
    ROW("no key", "%s", OTHER);
    ROW("no key", "%s \t", OTHER);
    ROW("type of key", "%s %s", OTHER, texts[0][0] + 13);
    ROW("type of key", "%s x25519 %s", OTHER, texts[0][0] + 13);
    ROW("type of key", "%s Sotto-x25519 %s", OTHER, texts[0][0] + 13);
    ROW("type of key", "%s sotto-x25519x %s", OTHER, texts[0][0] + 13);
    ROW("type of key", "%s comment %s", OTHER, texts[0][0]);
    ROW("base64 of 32", "%s sotto-x25519", OTHER);
    ROW("base64 of 32", "%s sotto-x25519 ", OTHER);
    ROW("base64 of 32", "%s %.*s", OTHER, (int)strlen(texts[0][0]) - 1, texts[0][0]);
    ROW("base64 of 32", "%s %s=", OTHER, texts[0][0]);
    ROW("base64 of 32", "%s %sx", OTHER, texts[0][0]);
    ROW("base64 of 32", "%s %s,", OTHER, texts[0][0]);
    ROW("base64 of 32", "%s %s#comment", OTHER, texts[0][0]);
    ROW("base64 of 32", "%s sotto-x25519 %s", OTHER, texts[1][0] + 11);
    ROW("base64 of 56", "%s sotto-x448 %s", OTHER, texts[0][0] + 13);
    ROW("base64 of 32", "%s sotto-x25519 *%s", OTHER, texts[0][0] + 14);
    ROW("base64 of 32", "%s sotto-x25519 -%s", OTHER, texts[0][0] + 14);
    ROW("written as sotto-x25519:7448", "%s", texts[0][0]);
    ROW("not begin with an address", "host/ %s", texts[0][0]);
    ROW("not begin with an address", "host:70000 %s", texts[0][0]);
    ROW("not begin with an address", "::1 %s", texts[0][0]);
    ROW("not begin with an address", "a,b %s", texts[0][0]);
    ROW("not begin with an address", "@revoked %s %s", OTHER, texts[0][0]);
    ROW("written as other.example:7448", "other.example %s", texts[0][0]);
    ROW("written as other.example:7448", "Other.example:7448 %s", texts[0][0]);
    ROW("written as [::1]:7448", "[::0:1]:7448 %s", texts[0][0]);
    ROW("written as other.example:7448", "sotto://other.example:7448 %s", texts[0][0]);
    ROW("too long", "%0400d %s", 1, texts[0][0]);
    ROW("control character", "%s %s\r", OTHER, texts[0][0]);
    ROW("control character", "%s %s a\x1b[0mb", OTHER, texts[0][0]);
    ROW("control character", "# \x7f");
    ROW("control character", "\x0b");
    ROW("control character", "\xef\xbb\xbf\x01");
    ROW("not begin with an address", "\xef\xbb\xbf" OTHER " %s", texts[0][0]);
#undef ROW
    for (size_t i = 0; i < count; i++) {
        for (int place = 0; place < 3; place++) {
            char text[2048], why[128];

            (void)snprintf(text, sizeof text, "%s%s%s%.511s%s%s%s%s", place == 0 ? "" : ADDRESS " ",
                           place == 0 ? "" : texts[0][0], place == 0 ? "" : "\n", rows[i].line,
                           place == 2 ? "" : "\n", place == 2 ? "" : ADDRESS " ",
                           place == 2 ? "" : texts[0][0], place == 2 ? "" : "\n");
            put_text(store(), text, 0600);
            (void)snprintf(why, sizeof why, "line %d: ", place == 0 ? 1 : 2);
            assert_unusable(store(), why);
            assert_unusable(store(), rows[i].why);
            assert_unchangeable(store());
            assert_file(store(), text);
        }
    }

    /* A zero byte, which ends no line. */
    {
        static const char text[] = OTHER "\0";

        put_bytes(store(), text, sizeof text, 0600);
        assert_unusable(store(), "control character");
    }
    /* Low-order points count where they are looked up or listed. */
    for (int slot = 0; slot < 2; slot++) {
        char text[512];

        (void)snprintf(text, sizeof text, "%s %s\n", ADDRESS, zero[slot]);
        put_text(store(), text, 0600);
        assert_unusable(store(), "line 1: a low-order point");
        assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[1 - slot][0], 1, NULL),
                         SOTTO_E_TRUST_STORE);
        assert_file(store(), text);
    }
}

static void refuses_two_keys(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        char text[1024];
        size_t removed = 0;

        (void)snprintf(text, sizeof text, "%s %s\n%s %s\n%s %s\n", ADDRESS, texts[slot][0], OTHER,
                       texts[slot][0], ADDRESS, texts[slot][1]);
        put_text(store(), text, 0600);
        assert_unusable(store(), "lines 1 and 3");
        assert_pins(OTHER, slot == 0 ? 0 : -1, slot == 1 ? 0 : -1);
        assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[slot][0], 1, NULL),
                         SOTTO_E_TRUST_STORE);
        assert_file(store(), text);

        /* Removing is the way out. */
        assert_int_equal(
            sotto_known_servers_remove(store(), ADDRESS, (sotto_curve)0, &removed, NULL), SOTTO_OK);
        assert_int_equal(removed, 2);
        assert_pins(ADDRESS, -1, -1);
    }
}

static void refuses_files(void **state)
{
    char *large = malloc((4 << 20) + 1);

    (void)state;
    assert_unusable(scratch_folder, "a directory");
    assert_unusable("/dev/null", "a device");
    assert_unusable("", "");

    assert_int_equal(mkfifo(store(), 0600), 0);
    assert_unusable(store(), "a FIFO");
    assert_unchangeable(store());
    assert_int_equal(unlink(store()), 0);

    /* A link to nothing: the file is meant to be somewhere. */
    assert_int_equal(symlink("nowhere", store()), 0);
    assert_unusable(store(), "");
    assert_unchangeable(store());
    assert_int_equal(unlink(store()), 0);

    put_text(scratch_path("file"), "", 0600);
    assert_unusable(scratch_path("file/known_servers"), "");

    for (mode_t mode = 0600; mode <= 0666; mode++) {
        if ((mode & 022) == 0)
            continue;
        put_text(store(), "", mode);
        assert_unusable(store(), "write access");
    }
    assert_unchangeable(store());

    memset(large, '\n', (4 << 20) + 1);
    put_bytes(store(), large, 4 << 20, 0600);
    assert_pins(ADDRESS, -1, -1);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, NULL),
                     SOTTO_E_TRUST_STORE);
    assert_pins(ADDRESS, -1, -1);
    put_bytes(store(), large, (4 << 20) + 1, 0600);
    assert_unusable(store(), "longer than");
    assert_unchangeable(store());
    free(large);
}

static void unreadable(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    put_text(store(), "", 0600);
    if (geteuid() != 0) {
        assert_int_equal(chmod(store(), 0), 0);
        assert_unusable(store(), "");
        return;
    }
    /* root reads everything, so somebody else tries. */
    assert_int_equal(chmod(scratch_folder, 0755), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sotto_pins pins;
        int failures = setegid(12345) != 0 || seteuid(12345) != 0;

        failures +=
            sotto_known_servers_lookup(store(), ADDRESS, &pins, NULL) != SOTTO_E_TRUST_STORE;
        failures +=
            sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, NULL) != SOTTO_E_TRUST_STORE;
        failures += sotto_known_servers_pin(scratch_path("new/known_servers"), ADDRESS, &keys[0][0],
                                            1, NULL) != SOTTO_E_TRUST_STORE;
        _exit(failures);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- The file: writing ----------------------------------------------------------------------- */

static void pins(void **state)
{
    const sotto_public_key both[] = {keys[1][0], keys[0][0]};
    char text[1024], path[600];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/a/b/known_servers", scratch_folder);
    assert_int_equal(sotto_known_servers_pin(path, "GW.example", both, 2, NULL), SOTTO_OK);
    assert_int_equal(mode_of(scratch_path("a")), 0700);
    assert_int_equal(mode_of(scratch_path("a/b")), 0700);
    assert_int_equal(mode_of(path), 0600);
    (void)snprintf(text, sizeof text, "%s %s\n%s %s\n", ADDRESS, texts[1][0], ADDRESS, texts[0][0]);
    assert_file(path, text);
    assert_int_equal(count_files(scratch_path("a/b")), 2); /* and the lock */

    /* Again: nothing to do. */
    assert_int_equal(sotto_known_servers_pin(path, ADDRESS, both, 2, NULL), SOTTO_OK);
    assert_file(path, text);
}

/* Other lines stay byte for byte, a last line without its end too; so does who may read the
 * file. */
static void pins_behind_what_is_there(void **state)
{
    char text[1024], more[2048];

    (void)state;
    (void)snprintf(text, sizeof text, "# a\n\n \t\n%s  %s\tcomment  \n#end", OTHER, texts[0][1]);
    put_text(store(), text, 0640);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[1][0], 1, NULL), SOTTO_OK);
    (void)snprintf(more, sizeof more, "%s\n%s %s\n", text, ADDRESS, texts[1][0]);
    assert_file(store(), more);
    assert_int_equal(mode_of(store()), 0640);

    /* The other curve's key joins it. */
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, NULL), SOTTO_OK);
    assert_pins(ADDRESS, 0, 0);
    assert_pins(OTHER, 1, -1);
}

static void never_overwrites_a_pin(void **state)
{
    const sotto_public_key mixed[] = {keys[0][0], keys[1][1]}, turned[] = {keys[1][1], keys[0][0]};
    char text[1024];
    sotto_error error = {0};

    (void)state;
    (void)snprintf(text, sizeof text, "%s %s\n%s %s\n", ADDRESS, texts[1][0], OTHER, texts[0][1]);
    put_text(store(), text, 0600);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[1][1], 1, &error),
                     SOTTO_E_KEY_MISMATCH);
    assert_int_equal(error.code, SOTTO_E_KEY_MISMATCH);
    assert_contains(error.why, "line 1 of ");
    assert_contains(error.hint, "sotto trust remove " ADDRESS);
    assert_file(store(), text);
    /* Not half of it either. */
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, mixed, 2, NULL),
                     SOTTO_E_KEY_MISMATCH);
    assert_file(store(), text);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, turned, 2, NULL),
                     SOTTO_E_KEY_MISMATCH);
    assert_file(store(), text);
}

static void pin_refuses(void **state)
{
    const sotto_public_key same[] = {keys[0][0], keys[0][1]}, zero = {.curve = SOTTO_CURVE_25519};
    sotto_public_key none = keys[0][0];

    (void)state;
    none.curve = (sotto_curve)0;
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, same, 2, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, same, 0, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, same, 3, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, NULL, 1, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin(NULL, ADDRESS, same, 1, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin("", ADDRESS, same, 1, NULL), SOTTO_E_USAGE);
    assert_int_equal(sotto_known_servers_pin(store(), "a b", same, 1, NULL), SOTTO_E_FORMAT);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &zero, 1, NULL), SOTTO_E_KEY);
    assert_int_not_equal(sotto_known_servers_pin(store(), ADDRESS, &none, 1, NULL), SOTTO_OK);
    assert_int_equal(count_files(scratch_folder), 0);
}

static void removes(void **state)
{
    char text[2048], rest[2048];
    size_t removed;

    (void)state;
    (void)snprintf(text, sizeof text, "#1\n%s %s a\n\n%s %s\n%s %s b\n %s\t%s\n#%s %s\n%s %s",
                   ADDRESS, texts[0][0], OTHER, texts[0][0], ADDRESS, texts[1][0], ADDRESS,
                   texts[0][0], ADDRESS, texts[0][0], ADDRESS, texts[0][0]);
    put_text(store(), text, 0600);
    assert_int_equal(
        sotto_known_servers_remove(store(), "gw.example:1", (sotto_curve)0, &removed, NULL),
        SOTTO_OK);
    assert_int_equal(removed, 0);
    assert_file(store(), text);

    assert_int_equal(sotto_known_servers_remove(store(), ADDRESS, SOTTO_CURVE_448, &removed, NULL),
                     SOTTO_OK);
    assert_int_equal(removed, 1);
    assert_pins(ADDRESS, 0, -1);

    assert_int_equal(
        sotto_known_servers_remove(store(), "GW.EXAMPLE", (sotto_curve)0, &removed, NULL),
        SOTTO_OK);
    assert_int_equal(removed, 3);
    (void)snprintf(rest, sizeof rest, "#1\n\n%s %s\n#%s %s\n", OTHER, texts[0][0], ADDRESS,
                   texts[0][0]);
    assert_file(store(), rest);
    assert_int_equal(sotto_known_servers_remove(store(), "a b", (sotto_curve)0, &removed, NULL),
                     SOTTO_E_FORMAT);
    assert_int_equal(sotto_known_servers_remove(NULL, ADDRESS, (sotto_curve)0, &removed, NULL),
                     SOTTO_E_USAGE);
}

/* The link stays a link, the file behind it is the one that changes. */
static void follows_links(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(scratch_path("real"), 0700), 0);
    put_text(scratch_path("real/servers"), "# mine\n", 0600);
    assert_int_equal(symlink("real/servers", store()), 0);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, NULL), SOTTO_OK);
    assert_int_equal(lstat(store(), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_pins(ADDRESS, 0, -1);
    assert_int_equal(count_files(scratch_path("real")), 2); /* the lock is there */
}

struct seen {
    unsigned count;
    unsigned lines[8];
    sotto_err answer;
};

static sotto_err see(void *user, const char *address, const sotto_public_key *key, unsigned line)
{
    struct seen *seen = user;

    assert_true(key->curve != 0);
    assert_contains(address, ":7448");
    seen->lines[seen->count++] = line;
    return seen->answer;
}

static void lists(void **state)
{
    sotto_public_key zero = {.curve = SOTTO_CURVE_448};
    char text[2048], zero_text[SOTTO_PUBLIC_KEY_TEXT_SIZE];
    struct seen seen = {0};

    (void)state;
    assert_int_equal(sotto_known_servers_each(store(), see, &seen, NULL), SOTTO_OK);
    assert_int_equal(seen.count, 0);
    (void)snprintf(text, sizeof text, "\n%s %s\n#\n%s %s", ADDRESS, texts[0][0], OTHER,
                   texts[1][0]);
    put_text(store(), text, 0600);
    assert_int_equal(sotto_known_servers_each(store(), see, &seen, NULL), SOTTO_OK);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.lines[0], 2);
    assert_int_equal(seen.lines[1], 4);

    seen = (struct seen){.answer = SOTTO_E_CANCELLED};
    assert_int_equal(sotto_known_servers_each(store(), see, &seen, NULL), SOTTO_E_CANCELLED);
    assert_int_equal(seen.count, 1);

    /* Nobody sees a part of a file that is wrong. */
    assert_int_equal(sotto_public_key_format(&zero, zero_text), SOTTO_OK);
    (void)snprintf(text, sizeof text, "%s %s\n%s %s\n", ADDRESS, texts[0][0], OTHER, zero_text);
    put_text(store(), text, 0600);
    seen = (struct seen){0};
    assert_int_equal(sotto_known_servers_each(store(), see, &seen, NULL), SOTTO_E_TRUST_STORE);
    put_text(store(), ADDRESS "\n", 0600);
    assert_int_equal(sotto_known_servers_each(store(), see, &seen, NULL), SOTTO_E_TRUST_STORE);
    assert_int_equal(sotto_known_servers_each(scratch_folder, see, &seen, NULL),
                     SOTTO_E_TRUST_STORE);
    assert_int_equal(sotto_known_servers_each(NULL, see, &seen, NULL), SOTTO_E_TRUST_STORE);
    assert_int_equal(sotto_known_servers_each(store(), NULL, &seen, NULL), SOTTO_E_USAGE);
    assert_int_equal(seen.count, 0);
}

static void places(void **state)
{
    char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *old_config = config != NULL ? strdup(config) : NULL,
         *old_home = home ? strdup(home) : NULL;
    char path[64];

    (void)state;
    (void)setenv("XDG_CONFIG_HOME", "/c", 1);
    (void)setenv("HOME", "/h", 1);
    assert_int_equal(sotto_known_servers_path(path, sizeof path, NULL), SOTTO_OK);
    assert_string_equal(path, "/c/sotto/known_servers");
    assert_int_equal(sotto_known_servers_path(path, strlen("/c/sotto/known_servers"), NULL),
                     SOTTO_E_BUFFER);
    assert_string_equal(path, "");
    (void)setenv("XDG_CONFIG_HOME", "c", 1);
    assert_int_equal(sotto_known_servers_path(path, sizeof path, NULL), SOTTO_OK);
    assert_string_equal(path, "/h/.config/sotto/known_servers");
    (void)unsetenv("XDG_CONFIG_HOME");
    assert_int_equal(sotto_known_servers_path(path, sizeof path, NULL), SOTTO_OK);
    assert_string_equal(path, "/h/.config/sotto/known_servers");
    (void)setenv("HOME", "h", 1);
    assert_int_equal(sotto_known_servers_path(path, sizeof path, NULL), SOTTO_E_FILE);
    (void)unsetenv("HOME");
    assert_int_equal(sotto_known_servers_path(path, sizeof path, NULL), SOTTO_E_FILE);
    assert_string_equal(path, "");
    if (old_config != NULL)
        (void)setenv("XDG_CONFIG_HOME", old_config, 1);
    if (old_home != NULL)
        (void)setenv("HOME", old_home, 1);
    free(old_config);
    free(old_home);
}

/* ---- Adversity ------------------------------------------------------------------------------- */

static void disk_full(void **state)
{
    char text[1024];

    (void)state;
    (void)snprintf(text, sizeof text, "# a\n%s %s\n", OTHER, texts[0][0]);
    put_text(store(), text, 0600);
    /* Once before, so that the lock file is counted. */
    assert_int_equal(sotto_known_servers_pin(store(), OTHER, &keys[0][0], 1, NULL), SOTTO_OK);
    for (rlim_t limit = 0; limit < strlen(text) + 60; limit += 7) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            struct rlimit rl = {limit, limit};
            sotto_error error = {0};
            sotto_err err;
            size_t removed;

            (void)signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &rl) != 0)
                _exit(3);
            err = sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, &error);
            if (err != SOTTO_E_TRUST_STORE || error.sys_errno != EFBIG)
                _exit(1);
            /* What stays is 4 bytes. */
            err = sotto_known_servers_remove(store(), OTHER, (sotto_curve)0, &removed, NULL);
            _exit(limit >= 4 || (err == SOTTO_E_TRUST_STORE && removed == 0) ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(count_files(scratch_folder), 2);
        if (limit >= 4) {
            assert_file(store(), "# a\n");
            put_text(store(), text, 0600);
        }
        assert_file(store(), text);
    }
}

/* The file holds the key of ADDRESS.  Whatever runs out of memory, and whatever call fails: the
 * wrong key is never KNOWN and never PIN, the right one never PIN, the policy being the most
 * generous. */
static void ask_the_store(bool injected, sotto_err err, const sotto_pins *pins,
                          const sotto_public_key *shown, bool right)
{
    sotto_verdict verdict = SOTTO_VERDICT_KNOWN;

    if (err != SOTTO_OK) {
        assert_true(injected);
        assert_int_equal(err, SOTTO_E_TRUST_STORE);
        assert_no_pins(pins);
        return;
    }
    assert_int_equal(pins->key[0].curve, SOTTO_CURVE_25519);
    assert_int_equal(sotto_trust_decide(pins, shown, NULL, SOTTO_TRUST_ACCEPT_NEW, store(), ADDRESS,
                                        &verdict, NULL),
                     right ? SOTTO_OK : SOTTO_E_KEY_MISMATCH);
    assert_int_equal(verdict, right ? SOTTO_VERDICT_KNOWN : SOTTO_VERDICT_STOP);
}

static void fill_store(char *text, size_t size)
{
    (void)snprintf(text, size, "%s %s\n%s %s\n", OTHER, texts[0][1], ADDRESS, texts[0][0]);
    put_text(store(), text, 0600);
}

static void lookup_without_memory(void **state)
{
    char text[1024];
    unsigned failures = 0;

    (void)state;
    fill_store(text, sizeof text);
    for (int job = 0; job < 4; job++) {
        bool right = job % 2 == 0, for_ever = job / 2 == 0, failed = true;

        for (long n = 0; failed; n++) {
            sotto_pins pins;
            sotto_error error = {0};
            sotto_err err;

            memset(&pins, 0xaa, sizeof pins);
            malloc_fail(n, for_ever);
            err = sotto_known_servers_lookup(store(), ADDRESS, &pins, &error);
            failed = malloc_recover();
            assert_int_equal(err, failed ? SOTTO_E_TRUST_STORE : SOTTO_OK);
            assert_int_equal(error.code, err);
            ask_the_store(failed, err, &pins, &keys[0][right ? 0 : 1], right);
            failures += failed;
        }
    }
    assert_true(failures > 4);
    assert_file(store(), text);
}

static void decide_without_memory(void **state)
{
    sotto_pins same = pins_of(SAME, 0), different = pins_of(DIFFERENT, 0), none = {0};

    (void)state;
    for (int job = 0; job < 4; job++) {
        const sotto_pins *pins = job == 0 ? &same : job == 1 ? &different : &none;
        const char *given = job == 3 ? fingerprints[0][1] : NULL;
        sotto_trust policy = job == 2 ? SOTTO_TRUST_STRICT : SOTTO_TRUST_ACCEPT_NEW;
        bool failed = true;

        for (long n = 0; failed; n++) {
            sotto_verdict verdict = SOTTO_VERDICT_KNOWN;
            sotto_err err;

            malloc_fail(n, n % 2 == 0);
            err = sotto_trust_decide(pins, &keys[0][0], given, policy, store(), ADDRESS, &verdict,
                                     NULL);
            failed = malloc_recover();
            if (job == 0 && err == SOTTO_OK)
                assert_int_equal(verdict, SOTTO_VERDICT_KNOWN);
            else
                assert_int_equal(verdict, SOTTO_VERDICT_STOP);
            assert_true(failed || err == (job == 0   ? SOTTO_OK
                                          : job == 2 ? SOTTO_E_KEY_UNKNOWN
                                                     : SOTTO_E_KEY_MISMATCH));
            assert_true(job == 0 || err != SOTTO_OK);
        }
    }
}

static void change_without_memory(void **state)
{
    char text[1024], more[2048];

    (void)state;
    fill_store(text, sizeof text);
    (void)snprintf(more, sizeof more, "%s%s %s\n", text, ADDRESS, texts[1][0]);
    for (int job = 0; job < 3; job++) {
        bool failed = true;

        for (long n = 0; failed; n++) {
            size_t removed = 1;
            sotto_err err;

            malloc_fail(n, n % 2 == 0);
            if (job == 0)
                err = sotto_known_servers_pin(store(), ADDRESS, &keys[0][1], 1, NULL);
            else if (job == 1)
                err = sotto_known_servers_pin(store(), ADDRESS, &keys[1][0], 1, NULL);
            else
                err = sotto_known_servers_remove(store(), ADDRESS, SOTTO_CURVE_448, &removed, NULL);
            failed = malloc_recover();
            if (job == 0)
                assert_true(err == SOTTO_E_KEY_MISMATCH || failed);
            if (job == 0 || (job == 1 && err != SOTTO_OK) || (job == 2 && err == SOTTO_OK))
                assert_file(store(), text);
            else
                assert_file(store(), more);
            assert_true(job == 0 ? err != SOTTO_OK : failed || err == SOTTO_OK);
            assert_int_equal(count_files(scratch_folder), 2);
        }
    }
}

static void lookup_when_calls_fail(void **state)
{
    static const int errors[] = {EIO, EACCES, ENOMEM, EMFILE, EINTR, ELOOP, ESTALE};
    char text[1024];
    unsigned failures = 0;

    (void)state;
    fill_store(text, sizeof text);
    for (size_t i = 0; i < 2 * sizeof errors / sizeof errors[0]; i++) {
        bool right = i % 2 == 0, failed = true;

        for (long n = 0; failed; n++) {
            sotto_pins pins;
            sotto_err err;

            memset(&pins, 0xaa, sizeof pins);
            call_fail(n, errors[i / 2]);
            err = sotto_known_servers_lookup(store(), ADDRESS, &pins, NULL);
            failed = call_recover();
            ask_the_store(failed, err, &pins, &keys[0][right ? 0 : 1], right);
            failures += err != SOTTO_OK;
        }
    }
    assert_true(failures > 20);
    assert_file(store(), text);
}

/* Every failing call of a pin: the old file or the new one, and no rest. */
static void pin_when_calls_fail(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EACCES, EMFILE, EINTR};
    char text[1024], more[2048];
    unsigned refused = 0;

    (void)state;
    fill_store(text, sizeof text);
    (void)snprintf(more, sizeof more, "%s%s %s\n", text, ADDRESS, texts[1][0]);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        bool failed = true;

        for (long n = 0; failed; n++) {
            sotto_err err;
            char *found;

            call_fail(n, errors[i]);
            err = sotto_known_servers_pin(store(), ADDRESS, &keys[1][0], 1, NULL);
            failed = call_recover();
            assert_true(err == SOTTO_OK || (failed && err == SOTTO_E_TRUST_STORE));
            assert_true(err != SOTTO_OK || !call_must_count);
            found = get_text(store());
            assert_non_null(found);
            assert_true(strcmp(found, more) == 0 || (err != SOTTO_OK && strcmp(found, text) == 0));
            free(found);
            refused += err != SOTTO_OK;
            put_text(store(), text, 0600);
            /* The lock file is not there yet when its own open failed. */
            assert_in_range(count_files(scratch_folder), 1, 2);
        }
    }
    assert_true(refused > 40);
}

static int wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Many processes pin at once: none of the pins is lost.  A wait for the lock that was too long
 * for a slow machine is tried again: it is an error that was told. */
static void concurrent_pins(void **state)
{
    enum { PROCESSES = 6, EACH = 6 };
    pid_t pids[PROCESSES];
    char address[64];

    (void)state;
    put_text(store(), "# the first line\n", 0600);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] != 0)
            continue;
        for (int i = 0; i < EACH; i++) {
            sotto_err err;

            (void)snprintf(address, sizeof address, "host-%d-%d:7448", p, i);
            do {
                err = sotto_known_servers_pin(store(), address, &keys[i % 2][p % 2], 1, NULL);
            } while (err == SOTTO_E_TRUST_STORE);
            if (err != SOTTO_OK)
                _exit(1);
        }
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++)
        assert_int_equal(wait_for(pids[p]), 0);
    for (int p = 0; p < PROCESSES; p++) {
        for (int i = 0; i < EACH; i++) {
            (void)snprintf(address, sizeof address, "host-%d-%d:7448", p, i);
            assert_pins(address, i % 2 == 0 ? p % 2 : -1, i % 2 == 1 ? p % 2 : -1);
        }
    }
    assert_int_equal(count_files(scratch_folder), 2);
}

/* Two keys race for one server: one is pinned, the other refused. */
static void racing_keys(void **state)
{
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    int pinned[2] = {0, 0};

    (void)state;
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] == 0) {
            sotto_err err;

            do {
                err = sotto_known_servers_pin(store(), ADDRESS, &keys[0][p % 2], 1, NULL);
            } while (err == SOTTO_E_TRUST_STORE);
            _exit(err == SOTTO_OK ? 0 : err == SOTTO_E_KEY_MISMATCH ? 1 : 2);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int answer = wait_for(pids[p]);

        assert_in_range(answer, 0, 1);
        pinned[p % 2] += answer == 0;
    }
    assert_true((pinned[0] == PROCESSES / 2 && pinned[1] == 0) ||
                (pinned[0] == 0 && pinned[1] == PROCESSES / 2));
    assert_pins(ADDRESS, pinned[0] > 0 ? 0 : 1, -1);
}

/* Who does not get the lock says so, after some seconds, and changes nothing. */
static void lock_is_held(void **state)
{
    sotto_error error = {0};
    int fd;

    (void)state;
    put_text(store(), "# a\n", 0600);
    fd = open(scratch_path("known_servers.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, &error),
                     SOTTO_E_TRUST_STORE);
    assert_contains(error.why, "lock");
    assert_file(store(), "# a\n");
    /* Reading needs no lock. */
    assert_pins(ADDRESS, -1, -1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(sotto_known_servers_pin(store(), ADDRESS, &keys[0][0], 1, &error), SOTTO_OK);

    assert_int_equal(unlink(scratch_path("known_servers.lock")), 0);
    assert_int_equal(mkfifo(scratch_path("known_servers.lock"), 0600), 0);
    assert_int_equal(sotto_known_servers_pin(store(), OTHER, &keys[0][0], 1, NULL),
                     SOTTO_E_TRUST_STORE);
    assert_int_equal(unlink(scratch_path("known_servers.lock")), 0);
    assert_int_equal(symlink("known_servers", scratch_path("known_servers.lock")), 0);
    assert_int_equal(sotto_known_servers_pin(store(), OTHER, &keys[0][0], 1, NULL),
                     SOTTO_E_TRUST_STORE);
    assert_pins(OTHER, -1, -1);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(every_bit_of_the_key_counts),
        cmocka_unit_test(malformed_questions),
        cmocka_unit_test(quotes_brackets),
        IN_SCRATCH(no_file_no_pins),
        IN_SCRATCH(finds_pins),
        IN_SCRATCH(refuses_malformed_lines),
        IN_SCRATCH(refuses_two_keys),
        IN_SCRATCH(refuses_files),
        IN_SCRATCH(unreadable),
        IN_SCRATCH(pins),
        IN_SCRATCH(pins_behind_what_is_there),
        IN_SCRATCH(never_overwrites_a_pin),
        IN_SCRATCH(pin_refuses),
        IN_SCRATCH(removes),
        IN_SCRATCH(follows_links),
        IN_SCRATCH(lists),
        cmocka_unit_test(places),
        IN_SCRATCH(disk_full),
        IN_SCRATCH(lookup_without_memory),
        cmocka_unit_test(decide_without_memory),
        IN_SCRATCH(change_without_memory),
        IN_SCRATCH(lookup_when_calls_fail),
        IN_SCRATCH(pin_when_calls_fail),
        IN_SCRATCH(concurrent_pins),
        IN_SCRATCH(racing_keys),
        IN_SCRATCH(lock_is_held),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
