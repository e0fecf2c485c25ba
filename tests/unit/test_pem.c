/*
 * Key pairs, their PEM files, fingerprints, hex and base64.
 */
#include "crypto_test.h"

#include <stdio.h>

/* ---- Fixed keys: the private key is 00 01 02 ..., the texts are of OpenSSL's command --------- */

static const struct fixed_key {
    sotto_curve curve;
    const char *private_pem, *public_pem, *public_hex;
} fixed_keys[] = {
    {SOTTO_CURVE_25519,
     "-----BEGIN PRIVATE KEY-----\n"
     "MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
     "-----END PRIVATE KEY-----\n",
     "-----BEGIN PUBLIC KEY-----\n"
     "MCowBQYDK2VuAyEAj0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=\n"
     "-----END PUBLIC KEY-----\n",
     "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"},
    {SOTTO_CURVE_448,
     "-----BEGIN PRIVATE KEY-----\n"
     "MEYCAQAwBQYDK2VvBDoEOAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
     "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3\n"
     "-----END PRIVATE KEY-----\n",
     "-----BEGIN PUBLIC KEY-----\n"
     "MEIwBQYDK2VvAzkAPG/R0Clg4NnpMwj8ZXNhQcMNsweXf4G3sQmW5R5T9XPlyGYh\n"
     "IF/0kSCdO3zXkzQoF3uk3vrhTcE=\n"
     "-----END PUBLIC KEY-----\n",
     "3c6fd1d02960e0d9e93308fc65736141c30db307977f81b7b10996e51e53f573e5c86621205ff491209d3b7cd7933"
     "4"
     "28177ba4defae14dc1"},
};

static sotto_err read_private(const char *pem, size_t len, sotto_keypair **out)
{
    const char *why = NULL;
    sotto_err err = si_pem_read_private(si_span(pem, len), out, &why);

    assert_non_null(why);
    assert_true((err == SOTTO_OK) == (why[0] == '\0'));
    assert_true((err == SOTTO_OK) == (*out != NULL));
    assert_no_openssl_errors();
    return err;
}

static sotto_err read_public(const char *pem, size_t len, sotto_public_key *out)
{
    const char *why = NULL;
    sotto_err err = si_pem_read_public(si_span(pem, len), out, &why);

    assert_non_null(why);
    assert_true((err == SOTTO_OK) == (why[0] == '\0'));
    if (err != SOTTO_OK)
        assert_zero(out, sizeof *out);
    assert_no_openssl_errors();
    return err;
}

static void refuse_private(const char *pem, sotto_err expected)
{
    sotto_keypair *keypair;

    if (read_private(pem, strlen(pem), &keypair) != expected)
        fail_msg("not refused as it should be:\n%s", pem);
}

static void refuse_public(const char *pem, sotto_err expected)
{
    sotto_public_key pub;

    if (read_public(pem, strlen(pem), &pub) != expected)
        fail_msg("not refused as it should be:\n%s", pem);
}

static void pem_of_fixed_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(fixed_keys); i++) {
        const struct fixed_key *fixed = &fixed_keys[i];
        size_t len = sotto_curve_key_len(fixed->curve);
        char pem[SI_PEM_MAX];
        sotto_public_key pub, read;
        sotto_keypair *keypair;

        assert_ok(read_private(fixed->private_pem, strlen(fixed->private_pem), &keypair));
        assert_int_equal(keypair->curve, fixed->curve);
        for (size_t j = 0; j < len; j++)
            assert_int_equal(keypair->priv.bytes[j], j);
        assert_zero(keypair->priv.bytes + len, sizeof keypair->priv.bytes - len);
        pub = sotto_keypair_public(keypair);
        assert_int_equal(pub.curve, fixed->curve);
        assert_hex(pub.bytes, len, fixed->public_hex);
        assert_zero(pub.bytes + len, sizeof pub.bytes - len);

        assert_ok(si_pem_write_private(keypair, pem));
        assert_string_equal(pem, fixed->private_pem);
        assert_ok(si_pem_write_public(&pub, pem));
        assert_string_equal(pem, fixed->public_pem);

        assert_ok(read_public(pem, strlen(pem), &read));
        assert_true(sotto_public_key_equal(&read, &pub));
        assert_memory_equal(read.bytes, pub.bytes, sizeof read.bytes);
        sotto_keypair_free(keypair);
    }
}

/* A comment in front, space behind, Windows line ends: as OpenSSL takes them. */
static void pem_tolerates_white_space(void **state)
{
    static const char *const around[][2] = {
        {"", "\n"}, {"", " \t\r\n\n"}, {"a key of mine\n\n", ""}};
    const char *pem = fixed_keys[0].private_pem;
    char text[1024], *p = text;
    sotto_keypair *keypair;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(around); i++) {
        (void)snprintf(text, sizeof text, "%s%s%s", around[i][0], pem, around[i][1]);
        assert_ok(read_private(text, strlen(text), &keypair));
        sotto_keypair_free(keypair);
    }
    for (const char *q = pem; *q != '\0'; q++) {
        if (*q == '\n')
            *p++ = '\r';
        *p++ = *q;
    }
    assert_ok(read_private(text, (size_t)(p - text), &keypair));
    sotto_keypair_free(keypair);
}

static void pem_cut_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(fixed_keys); i++) {
        const char *private_pem = fixed_keys[i].private_pem, *public_pem = fixed_keys[i].public_pem;
        sotto_keypair *keypair;
        sotto_public_key pub;

        for (size_t len = 0; len < strlen(private_pem) - 1; len++)
            assert_err(read_private(private_pem, len, &keypair), SOTTO_E_FORMAT);
        for (size_t len = 0; len < strlen(public_pem) - 1; len++)
            assert_err(read_public(public_pem, len, &pub), SOTTO_E_FORMAT);

        /* without the last line end it is whole */
        assert_ok(read_private(private_pem, strlen(private_pem) - 1, &keypair));
        sotto_keypair_free(keypair);
        assert_ok(read_public(public_pem, strlen(public_pem) - 1, &pub));
    }
}

static void pem_with_more_than_a_key(void **state)
{
    static const char *const behind[] = {
        "x",
        "\n\nx\n",
        "# comment\n",
        "-----BEGIN ",
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    };
    char text[1024];
    sotto_keypair *keypair;
    sotto_public_key pub;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(fixed_keys); i++) {
        const struct fixed_key *fixed = &fixed_keys[i];
        size_t len;

        for (size_t j = 0; j < SI_COUNT(behind); j++) {
            (void)snprintf(text, sizeof text, "%s%s", fixed->private_pem, behind[j]);
            refuse_private(text, SOTTO_E_FORMAT);
            (void)snprintf(text, sizeof text, "%s%s", fixed->public_pem, behind[j]);
            refuse_public(text, SOTTO_E_FORMAT);
        }
        (void)snprintf(text, sizeof text, "%s%s", fixed->private_pem, fixed->private_pem);
        refuse_private(text, SOTTO_E_FORMAT);
        (void)snprintf(text, sizeof text, "%s%s", fixed->public_pem, fixed->public_pem);
        refuse_public(text, SOTTO_E_FORMAT);
        (void)snprintf(text, sizeof text, "%s%s", fixed->private_pem, fixed->public_pem);
        refuse_private(text, SOTTO_E_FORMAT);
        refuse_public(text, SOTTO_E_FORMAT);

        /* A first block that is no block, in front of a good one: which one is meant? */
        (void)snprintf(text, sizeof text, "-----BEGIN PRIVATE KEY----\n%s", fixed->private_pem);
        refuse_private(text, SOTTO_E_FORMAT);

        /* a NUL byte behind it */
        len = strlen(fixed->private_pem) + 1;
        assert_err(read_private(fixed->private_pem, len, &keypair), SOTTO_E_FORMAT);
        len = strlen(fixed->public_pem) + 1;
        assert_err(read_public(fixed->public_pem, len, &pub), SOTTO_E_FORMAT);
    }
}

static void pem_with_header_lines(void **state)
{
    static const char begin[] = "-----BEGIN PRIVATE KEY-----\n";
    char text[1024];

    (void)state;
    (void)snprintf(text, sizeof text, "%sX-Header: 1\n\n%s", begin,
                   fixed_keys[0].private_pem + strlen(begin));
    refuse_private(text, SOTTO_E_FORMAT);
}

static void pem_too_long(void **state)
{
    static char text[70000];
    sotto_keypair *keypair;

    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, fixed_keys[0].private_pem, strlen(fixed_keys[0].private_pem));
    assert_err(read_private(text, sizeof text, &keypair), SOTTO_E_FORMAT);
    assert_ok(read_private(text, 65536, &keypair));
    sotto_keypair_free(keypair);
}

/* ---- Other blocks ---------------------------------------------------------------------------- */

static const char ed25519_private[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJP63f2ua5nJWe3cMeWgMjgqWQ+gi80PJtkr6x8aimVK\n"
    "-----END PRIVATE KEY-----\n";
static const char ed25519_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA5FIVTbny2fpzZTmXr+W6O79MT/bkE9pAX5GWSD+bfD0=\n"
    "-----END PUBLIC KEY-----\n";
static const char p256_private[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIOYUIAkK+xP+D8IOw4QyE0k+vKby095K1cDZdbOxm1GwoAoGCCqGSM49\n"
    "AwEHoUQDQgAEfDi9NbsYGKLut7GJjWe8ycXvl2YM9s/vh2NCgR4OkjGkvSsL+OBM\n"
    "QGlb9YdcrbP4f06Yzl72mMQLT9vbIKG4Ww==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char encrypted_pkcs8[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiUSNCW21HYOgICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJboDE5LKYhfxJ8CGP+S+nEEQE1r\n"
    "E9SjeEM0K+h9SshT5eT/DAxYzle9iDEpsV2SBoOFeaEzsbC+khe2AoxG9HnL+ZDZ\n"
    "JWxgrCQBn+uZakoPQ/E=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char encrypted_old_style[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,F6286858BD5D9244E6A95A3E9B454656\n"
    "\n"
    "U+oTPG0Q8IRMWYZV24UEGmyq5qHFFKQPPaQhzZ8ktarHhIxar9eUqKIeImPoUfzi\n"
    "TpL7o5dKIRNhQjx3Ht3M2qL55eUDxJhuD7VKCpqFflzuqfEHykGG0bhVkB4bKxTR\n"
    "7c+3Au2+PGiAvvYcIsAHojeFnKhJwfmVkruJIUXT/I4=\n"
    "-----END EC PRIVATE KEY-----\n";

static void pem_of_other_keys(void **state)
{
    (void)state;
    refuse_private(ed25519_private, SOTTO_E_KEY);
    refuse_public(ed25519_public, SOTTO_E_KEY);
    refuse_private(p256_private, SOTTO_E_KEY);
    refuse_public(fixed_keys[0].private_pem, SOTTO_E_FORMAT);
    refuse_private(fixed_keys[0].public_pem, SOTTO_E_FORMAT);
}

static void pem_encrypted(void **state)
{
    const char *why;
    sotto_keypair *keypair;

    (void)state;
    refuse_private(encrypted_pkcs8, SOTTO_E_FORMAT);
    refuse_private(encrypted_old_style, SOTTO_E_FORMAT);
    assert_err(si_pem_read_private(si_span_str(encrypted_pkcs8), &keypair, &why), SOTTO_E_FORMAT);
    assert_non_null(strstr(why, "encrypted"));
}

static void pem_damaged(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "not a key\n",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
        "-----BEGIN -----\nMAA=\n-----END -----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nX-Header: 1\n\nMAA=\n-----END PRIVATE KEY-----\n",
    };
    sotto_keypair *keypair;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(texts); i++) {
        refuse_private(texts[i], SOTTO_E_FORMAT);
        refuse_public(texts[i], SOTTO_E_FORMAT);
    }
    assert_err(read_private(NULL, 0, &keypair), SOTTO_E_FORMAT);
}

/* ---- DER within PEM -------------------------------------------------------------------------- */

static void make_pem(char *text, size_t cap, const char *label, const uint8_t *der, size_t len)
{
    size_t used = (size_t)snprintf(text, cap, "-----BEGIN %s-----\n", label);

    for (size_t done = 0; done < len; done += 48) {
        size_t n = len - done < 48 ? len - done : 48;

        assert_true(used + 100 < cap);
        si_base64(text + used, der + done, n, true);
        used += strlen(text + used);
        text[used++] = '\n';
    }
    (void)snprintf(text + used, cap - used, "-----END %s-----\n", label);
}

enum { PKCS8_HEAD = 16, SPKI_HEAD = 12 };

static const char *const pkcs8_heads[] = {"302e020100300506032b656e04220420",
                                          "3046020100300506032b656f043a0438"};
static const char *const spki_heads[] = {"302a300506032b656e032100", "3042300506032b656f033900"};

/* There is one encoding: no bit of what stands before the key can be another. */
static void der_heads_bit_by_bit(void **state)
{
    uint8_t der[PKCS8_HEAD + SOTTO_KEY_LEN_MAX];
    sotto_keypair *keypair;
    sotto_public_key pub;
    char text[512];

    (void)state;
    memset(der, 0x55, sizeof der);
    for (size_t i = 0; i < SI_COUNT(pkcs8_heads); i++) {
        size_t key_len = sotto_curve_key_len(fixed_keys[i].curve);

        assert_int_equal(from_hex(der, sizeof der, pkcs8_heads[i]), PKCS8_HEAD);
        for (size_t bit = 0; bit < 8 * PKCS8_HEAD; bit++) {
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
            make_pem(text, sizeof text, "PRIVATE KEY", der, PKCS8_HEAD + key_len);
            assert_int_not_equal(read_private(text, strlen(text), &keypair), SOTTO_OK);
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        make_pem(text, sizeof text, "PRIVATE KEY", der, PKCS8_HEAD + key_len);
        assert_ok(read_private(text, strlen(text), &keypair));
        sotto_keypair_free(keypair);

        memset(der, 0x55, sizeof der);
        assert_int_equal(from_hex(der, sizeof der, spki_heads[i]), SPKI_HEAD);
        for (size_t bit = 0; bit < 8 * SPKI_HEAD; bit++) {
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
            make_pem(text, sizeof text, "PUBLIC KEY", der, SPKI_HEAD + key_len);
            assert_int_not_equal(read_public(text, strlen(text), &pub), SOTTO_OK);
            der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        make_pem(text, sizeof text, "PUBLIC KEY", der, SPKI_HEAD + key_len);
        assert_ok(read_public(text, strlen(text), &pub));
    }
}

/* Key too short, too long, bytes behind it, parameters where there are none. */
static void der_with_wrong_lengths(void **state)
{
    static const struct {
        const char *label, *der;
        sotto_err err;
    } cases[] = {
        {"PRIVATE KEY", "300f020100300506032b656e0403040155", SOTTO_E_FORMAT},
        {"PRIVATE KEY", "300c020100300506032b656e0400", SOTTO_E_FORMAT},
        {"PRIVATE KEY",
         "302f020100300506032b656e04230421"
         "555555555555555555555555555555555555555555555555555555555555555555",
         SOTTO_E_FORMAT},
        {"PRIVATE KEY",
         "302e020100300506032b656e04220420"
         "555555555555555555555555555555555555555555555555555555555555555500",
         SOTTO_E_FORMAT},
        {"PRIVATE KEY",
         "3030020100300706032b656e050004220420"
         "5555555555555555555555555555555555555555555555555555555555555555",
         SOTTO_E_FORMAT},
        /* with an attribute, and as version 2 (RFC 5958) with its public key */
        {"PRIVATE KEY",
         "3030020100300506032b656e04220420"
         "5555555555555555555555555555555555555555555555555555555555555555a000",
         SOTTO_E_FORMAT},
        {"PRIVATE KEY",
         "3051020101300506032b656e04220420"
         "5555555555555555555555555555555555555555555555555555555555555555"
         "812100aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         SOTTO_E_FORMAT},
        {"PUBLIC KEY", "300b300506032b656e03020055", SOTTO_E_FORMAT},
        {"PUBLIC KEY",
         "302a300506032b656e032100"
         "555555555555555555555555555555555555555555555555555555555555555500",
         SOTTO_E_FORMAT},
        {"PUBLIC KEY",
         "302c300706032b656e0500032100"
         "5555555555555555555555555555555555555555555555555555555555555555",
         SOTTO_E_FORMAT},
        /* a bit string whose last 7 bits do not count */
        {"PUBLIC KEY",
         "302a300506032b656e032107"
         "5555555555555555555555555555555555555555555555555555555555555580",
         SOTTO_E_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < SI_COUNT(cases); i++) {
        uint8_t der[128];
        char text[512];
        size_t len = from_hex(der, sizeof der, cases[i].der);

        make_pem(text, sizeof text, cases[i].label, der, len);
        if (strcmp(cases[i].label, "PRIVATE KEY") == 0)
            refuse_private(text, cases[i].err);
        else
            refuse_public(text, cases[i].err);
    }
}

/* ---- Against the openssl command ------------------------------------------------------------- */

/* What COMMAND prints, NUL-terminated; INPUT on its standard input. */
static void run(char *out, size_t cap, const char *input, const char *command)
{
    char file[] = "/tmp/sotto-test-XXXXXX", line[512];
    int fd = mkstemp(file);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    size_t len;

    assert_non_null(f);
    assert_true(fputs(input, f) >= 0);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(line, sizeof line, "%s < %s 2>/dev/null", command, file);
    f = popen(line, "r");
    assert_non_null(f);
    len = fread(out, 1, cap - 1, f);
    out[len] = '\0';
    assert_int_equal(pclose(f), 0);
    assert_int_equal(remove(file), 0);
}

static void skip_without_openssl(void)
{
    if (system("openssl version >/dev/null 2>&1") != 0) {
        print_message("skipped: there is no openssl command here\n");
        skip();
    }
}

static void pem_of_the_openssl_command(void **state)
{
    static const struct {
        sotto_curve curve;
        const char *genpkey;
    } kinds[] = {
        {SOTTO_CURVE_25519, "openssl genpkey -algorithm X25519"},
        {SOTTO_CURVE_448, "openssl genpkey -algorithm X448"},
    };

    (void)state;
    skip_without_openssl();
    for (size_t i = 0; i < SI_COUNT(kinds); i++) {
        char theirs[SI_PEM_MAX], their_pub[SI_PEM_MAX], ours[SI_PEM_MAX];
        sotto_public_key pub, read;
        sotto_keypair *keypair;

        /* Theirs through us: byte for byte the same. */
        run(theirs, sizeof theirs, "", kinds[i].genpkey);
        run(their_pub, sizeof their_pub, theirs, "openssl pkey -pubout");
        assert_ok(read_private(theirs, strlen(theirs), &keypair));
        assert_ok(si_pem_write_private(keypair, ours));
        assert_string_equal(ours, theirs);
        pub = sotto_keypair_public(keypair);
        assert_ok(si_pem_write_public(&pub, ours));
        assert_string_equal(ours, their_pub);
        assert_ok(read_public(their_pub, strlen(their_pub), &read));
        assert_true(sotto_public_key_equal(&pub, &read));
        sotto_keypair_free(keypair);

        /* Ours through them. */
        assert_ok(sotto_keypair_generate(kinds[i].curve, &keypair));
        assert_ok(si_pem_write_private(keypair, ours));
        run(theirs, sizeof theirs, ours, "openssl pkey");
        assert_string_equal(theirs, ours);
        pub = sotto_keypair_public(keypair);
        run(their_pub, sizeof their_pub, ours, "openssl pkey -pubout");
        assert_ok(si_pem_write_public(&pub, ours));
        assert_string_equal(their_pub, ours);
        sotto_keypair_free(keypair);
    }
}

static void other_keys_of_the_openssl_command(void **state)
{
    static const char *const kinds[] = {
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "openssl genpkey -algorithm ED25519",
        "openssl genpkey -algorithm ED448",
    };
    char private_pem[4096], public_pem[4096];

    (void)state;
    skip_without_openssl();
    for (size_t i = 0; i < SI_COUNT(kinds); i++) {
        run(private_pem, sizeof private_pem, "", kinds[i]);
        run(public_pem, sizeof public_pem, private_pem, "openssl pkey -pubout");
        refuse_private(private_pem, SOTTO_E_KEY);
        refuse_public(public_pem, SOTTO_E_KEY);
    }
    run(private_pem, sizeof private_pem, fixed_keys[0].private_pem,
        "openssl pkey -aes256 -passout pass:secret");
    refuse_private(private_pem, SOTTO_E_FORMAT);
}

/* ---- Key pairs ------------------------------------------------------------------------------- */

static void keypairs(void **state)
{
    struct si_private_key priv;
    sotto_keypair *a = (sotto_keypair *)&priv, *b;
    sotto_public_key pub_a, pub_b;
    char pem[SI_PEM_MAX];

    (void)state;
    memset(&priv, 1, sizeof priv);
    assert_err(sotto_keypair_generate((sotto_curve)0, &a), SOTTO_E_USAGE);
    assert_null(a);
    a = (sotto_keypair *)&priv;
    assert_err(si_keypair_from_private((sotto_curve)3, &priv, &a), SOTTO_E_KEY);
    assert_null(a);
    sotto_keypair_free(NULL);

    for (size_t i = 0; i < SI_COUNT(fixed_keys); i++) {
        assert_ok(sotto_keypair_generate(fixed_keys[i].curve, &a));
        assert_ok(si_keypair_from_private(fixed_keys[i].curve, &a->priv, &b));
        pub_a = sotto_keypair_public(a);
        pub_b = sotto_keypair_public(b);
        assert_true(sotto_public_key_equal(&pub_a, &pub_b));
        sotto_keypair_free(b);

        assert_ok(sotto_keypair_generate(fixed_keys[i].curve, &b));
        pub_b = sotto_keypair_public(b);
        assert_false(sotto_public_key_equal(&pub_a, &pub_b));
        sotto_keypair_free(a);
        sotto_keypair_free(b);
    }

    pub_a.curve = (sotto_curve)3;
    assert_err(si_pem_write_public(&pub_a, pem), SOTTO_E_KEY);
    assert_string_equal(pem, "");
}

static void public_keys_are_compared_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(fixed_keys); i++) {
        size_t len = sotto_curve_key_len(fixed_keys[i].curve);
        sotto_public_key a = {fixed_keys[i].curve, {7}}, b = a;

        assert_true(sotto_public_key_equal(&a, &b));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(sotto_public_key_equal(&a, &b));
            b = a;
        }
        b.curve = fixed_keys[1 - i].curve;
        assert_false(sotto_public_key_equal(&a, &b));
        a.curve = b.curve = (sotto_curve)0;
        assert_false(sotto_public_key_equal(&a, &b));
    }
}

/* The examples of docs/protocol.md section 5. */
static void fingerprints(void **state)
{
    static const struct {
        sotto_curve curve;
        const char *text;
    } examples[] = {
        {SOTTO_CURVE_25519, "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY"},
        {SOTTO_CURVE_448, "SHA256:HGp3l3Ye+keN95TDweqtEa8htEZdPxnPsya18UCLsKg"},
    };
    char out[SOTTO_FINGERPRINT_SIZE];
    sotto_public_key key;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(examples); i++) {
        key = (sotto_public_key){.curve = examples[i].curve};
        for (size_t j = 0; j < sotto_curve_key_len(key.curve); j++)
            key.bytes[j] = (uint8_t)j;
        assert_ok(sotto_fingerprint(&key, out));
        assert_string_equal(out, examples[i].text);
        assert_int_equal(strlen(out), SOTTO_FINGERPRINT_SIZE - 1);
    }
    key.curve = (sotto_curve)0;
    assert_err(sotto_fingerprint(&key, out), SOTTO_E_KEY);
    assert_string_equal(out, "");
}

/* ---- Hex and base64 -------------------------------------------------------------------------- */

static void hex_both_ways(void **state)
{
    uint8_t all[256], back[256];
    char text[2 * sizeof all + 1], expected[3];

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    si_hex(text, all, sizeof all);
    assert_int_equal(strlen(text), 2 * sizeof all);
    for (size_t i = 0; i < sizeof all; i++) {
        (void)snprintf(expected, sizeof expected, "%02x", (unsigned)i);
        assert_memory_equal(text + 2 * i, expected, 2);
    }
    assert_ok(si_unhex(back, sizeof back, si_span_str(text)));
    assert_memory_equal(back, all, sizeof all);
    si_hex(text, NULL, 0);
    assert_string_equal(text, "");
    assert_ok(si_unhex(back, 0, si_span(NULL, 0)));
}

static void hex_is_strict(void **state)
{
    static const char good[] = "0123456789abcdef";
    uint8_t out[8], pair[2];

    (void)state;
    for (size_t len = 0; len <= strlen(good) + 2; len++) {
        if (len == strlen(good))
            continue;
        memset(out, 0xaa, sizeof out);
        assert_err(si_unhex(out, sizeof out, si_span("0123456789abcdef00", len)), SOTTO_E_FORMAT);
        assert_zero(out, sizeof out);
    }
    /* every byte that is no digit, at both places */
    for (unsigned c = 0; c < 256; c++) {
        bool digit = c != 0 && strchr(good, (int)c) != NULL;

        for (size_t at = 0; at < 2; at++) {
            memset(pair, '7', sizeof pair);
            pair[at] = (uint8_t)c;
            out[0] = 0xaa;
            assert_err(si_unhex(out, 1, si_span(pair, 2)), digit ? SOTTO_OK : SOTTO_E_FORMAT);
            if (!digit)
                assert_int_equal(out[0], 0);
        }
    }
}

static void base64_rfc4648(void **state)
{
    static const char *const texts[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const padded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                         "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(texts); i++) {
        char out[16];
        uint8_t back[8];

        assert_int_equal(si_base64_size(i), strlen(padded[i]) + 1);
        si_base64(out, (const uint8_t *)texts[i], i, true);
        assert_string_equal(out, padded[i]);
        si_base64(out, (const uint8_t *)texts[i], i, false);
        assert_int_equal(strlen(out), strcspn(padded[i], "="));
        assert_memory_equal(out, padded[i], strlen(out));
        assert_ok(si_unbase64(back, i, si_span_str(padded[i])));
        assert_memory_equal(back, texts[i], i);
        if (i > 0)
            assert_err(si_unbase64(back, i - 1, si_span_str(padded[i])), SOTTO_E_FORMAT);
        assert_err(si_unbase64(back, i + 1, si_span_str(padded[i])), SOTTO_E_FORMAT);
    }
}

static void base64_is_strict(void **state)
{
    static const struct {
        size_t len;
        const char *text;
    } wrong[] = {
        {1, "Zg"},         {1, "Zg="},    {1, "Zg=== "}, {1, "Zh=="},      {1, "Z==="},
        {1, "===="},       {2, "Zm8"},    {2, "Zm9="},   {2, "Zm8=\n"},    {2, "Zm8=="},
        {3, "Zm9v="},      {3, "Zm9v\n"}, {3, "Zm 9v"},  {3, "Z m9"},      {3, "Zm9\n"},
        {3, "Zm-v"},       {3, "Zm_v"},   {3, "Zm.v"},   {4, "Zm9v=Yg=="}, {4, "Zg==Zm9v"},
        {4, "Zm9vYg=a"},   {0, "="},      {0, "===="},   {0, " "},         {6, "Zg==Zg=="},
        {6, "Zm9v\nYmFy"},
    };
    uint8_t out[8];

    (void)state;
    for (size_t i = 0; i < SI_COUNT(wrong); i++) {
        memset(out, 0xaa, sizeof out);
        if (si_unbase64(out, wrong[i].len, si_span_str(wrong[i].text)) != SOTTO_E_FORMAT)
            fail_msg("not refused: \"%s\"", wrong[i].text);
        assert_zero(out, wrong[i].len);
    }
    assert_ok(si_unbase64(out, 0, si_span(NULL, 0)));
}

static void equal_compares_all_bytes(void **state)
{
    uint8_t a[33] = {0}, b[33] = {0};

    (void)state;
    assert_true(si_equal(a, b, sizeof a));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(si_equal(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    b[32] = 1;
    assert_true(si_equal(a, b, 32));
    assert_true(si_equal(a, b, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_of_fixed_keys),
        cmocka_unit_test(pem_tolerates_white_space),
        cmocka_unit_test(pem_cut_short),
        cmocka_unit_test(pem_with_more_than_a_key),
        cmocka_unit_test(pem_with_header_lines),
        cmocka_unit_test(pem_too_long),
        cmocka_unit_test(pem_of_other_keys),
        cmocka_unit_test(pem_encrypted),
        cmocka_unit_test(pem_damaged),
        cmocka_unit_test(der_heads_bit_by_bit),
        cmocka_unit_test(der_with_wrong_lengths),
        cmocka_unit_test(pem_of_the_openssl_command),
        cmocka_unit_test(other_keys_of_the_openssl_command),
        cmocka_unit_test(keypairs),
        cmocka_unit_test(public_keys_are_compared_whole),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(hex_both_ways),
        cmocka_unit_test(hex_is_strict),
        cmocka_unit_test(base64_rfc4648),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(equal_compares_all_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
