/*
 * sotto/identity.h: who is who.  Key files, deployment secrets, PSK and epoch, known servers.
 *
 * Key files are PEM, as OpenSSL's tools write them.  Deployment secrets are one JSON file for the
 * server and one for its clients.  Known servers are a text file with one key a line.  Every file
 * is checked on the opened descriptor: a regular file, owned by the effective user or by root; one
 * with secrets has no access for group and others, any other is not writable for them.  A file is
 * made complete or not at all, and never overwrites another.
 *
 * Strings are NUL-terminated UTF-8; paths are used as given.  Functions with a sotto_error accept
 * NULL for it.  Objects are read-only once made and may be shared by threads; free them in one.
 */
#ifndef SOTTO_IDENTITY_H
#define SOTTO_IDENTITY_H

#include <stdio.h>

#include "sotto/error.h"
#include "sotto/key.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Key files (docs/protocol.md, section 4) ------------------------------------------------- */

/*
 * Read a private key from the PEM file PATH (PKCS#8, X25519 or X448).  The caller frees *OUT.
 *
 * E_FILE: missing, a directory, unreadable.  E_PERMISSION: not a regular file, owner or mode too
 * open.  E_FORMAT: not PEM, damaged, encrypted, more than one key, too long.  E_KEY: a key of
 * another kind.  E_NOMEM. E_USAGE: PATH is NULL. Below $CREDENTIALS_DIRECTORY (systemd) the mode
 * is not checked; a file of root may be 0640.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_keypair_load(const char *path, sotto_keypair **out,
                                                        sotto_error *error);

/*
 * Write PREFIX_<curve>.key (mode 0600) and PREFIX_<curve>.pub (mode 0644), both or neither.
 *
 * E_EXISTS: one of them is there already, nothing was touched.  E_FILE: cannot be written (no such
 * folder, disk full …), and nothing is left behind.  E_CRYPTO, E_RANDOM, E_NOMEM.  Writing beyond
 * RLIMIT_FSIZE also raises SIGXFSZ: a program that runs under such a limit ignores that signal.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_keypair_save(const sotto_keypair *keypair,
                                                        const char *prefix, sotto_error *error);

/* Read a public key from the PEM file PATH (SPKI).  Errors as above, with E_PERMISSION when
 * group or others may write: who can write it decides whom you trust.  E_KEY also for a
 * low-order point. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_public_key_load(const char *path, sotto_public_key *out,
                                                           sotto_error *error);

/* Read a public key from "sotto-x25519 BASE64" or "sotto-x448 BASE64" (LEN bytes, anything may
 * follow behind a space).  E_FORMAT, E_KEY (low-order point), E_CRYPTO, E_RANDOM, E_NOMEM; OUT
 * has no curve then. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_public_key_parse(const char *text, size_t len,
                                                            sotto_public_key *out);

/* Write that form, NUL-terminated.  E_KEY: no curve. */
enum { SOTTO_PUBLIC_KEY_TEXT_SIZE = 96 };
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_public_key_format(const sotto_public_key *key,
                                                             char out[SOTTO_PUBLIC_KEY_TEXT_SIZE]);

/* True when TEXT has the form of a fingerprint: "SHA256:" and 43 characters of canonical base64. */
SOTTO_API int sotto_is_fingerprint(const char *text);

/* ---- Deployment secrets (docs/protocol.md, section 5) ---------------------------------------- */

typedef struct sotto_secrets sotto_secrets;

/*
 * Read a secrets file.  The caller frees *OUT.
 *
 * E_FILE, E_PERMISSION as for private keys; E_FORMAT: not such a JSON document, with line and
 * reason; E_NOMEM.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_secrets_load(const char *path, sotto_secrets **out,
                                                        sotto_error *error);

/*
 * The secrets this library was built with (meson -Dsecrets=HEADER).  Without that option they are
 * the published defaults: good for trying out, known to everybody; sotto_secrets_are_public()
 * tells.  The caller frees *OUT.  E_NOMEM; E_FORMAT: the build was given a header with values out
 * of range.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_secrets_builtin(sotto_secrets **out, sotto_error *error);

/* Wipe and release.  NULL is allowed. */
SOTTO_API void sotto_secrets_free(sotto_secrets *secrets);

/* True for the published defaults (also when they were loaded from a file): the shared string
 * begins with "PUBLIC-DEFAULT-", or the built-in header says so. */
SOTTO_API int sotto_secrets_are_public(const sotto_secrets *secrets);

/* True when a server can use them: the server string is there. */
SOTTO_API int sotto_secrets_for_server(const sotto_secrets *secrets);

/* How many salts, and PBKDF2 iterations. */
SOTTO_API size_t sotto_secrets_salt_count(const sotto_secrets *secrets);
SOTTO_API uint32_t sotto_secrets_iterations(const sotto_secrets *secrets);

/*
 * Make new secrets (two 256-bit strings, 100 salts of 32 bytes) and write DIR/server.json and
 * DIR/client.json, mode 0600, both or neither.  DIR is made (0700) when it is missing.
 * ITERATIONS 0 means 10000; else 10000 to 1000000.
 *
 * E_EXISTS: one of the files is there; nothing was touched.  E_FILE, E_RANDOM, E_NOMEM, E_USAGE.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_secrets_create(const char *dir, uint32_t iterations,
                                                          sotto_error *error);

/* Write the secrets as a C header for `meson -Dsecrets=` to OUT.  E_FILE when writing fails. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_secrets_embed(const sotto_secrets *secrets, FILE *out,
                                                         sotto_error *error);

/* ---- PSK and epoch (docs/protocol.md, section 5) --------------------------------------------- */

enum {
    SOTTO_SERVER_ID_LEN = 16,
    SOTTO_EPOCH_LEN = 8,
    SOTTO_STRING_MAX = 1024, /* of server_string and shared_string, at least 1 */
    SOTTO_SALTS_MAX = 65536,
    SOTTO_ITERATIONS_DEFAULT = 10000,
    SOTTO_ITERATIONS_MAX_DEFAULT = 1000000
};

/* What a bootstrap document says about the PSK. */
typedef struct sotto_psk_parameters {
    uint8_t server_id[SOTTO_SERVER_ID_LEN];
    uint32_t salt_index;
    uint32_t iterations;
    uint32_t server_string_len;
    char server_string[SOTTO_STRING_MAX]; /* UTF-8, not terminated, may hold NUL */
} sotto_psk_parameters;

/*
 * Choose new parameters for a server: random server_id and salt_index, string and iterations of
 * SECRETS. E_USAGE: client secrets.  E_RANDOM.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_psk_parameters_new(const sotto_secrets *secrets,
                                                              sotto_psk_parameters *out);

/*
 * Derive the PSK of a curve: PBKDF2, some milliseconds for 10000 iterations.  The checks come
 * before the work.
 *
 * E_PARAMETERS: salt_index outside the salts, iterations below MIN or above MAX (0: 10000 and
 * 1000000), empty or too long string.  E_CRYPTO, E_NOMEM.  OUT is zero after an error.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_psk_derive(const sotto_secrets *secrets,
                                                      sotto_curve curve,
                                                      const sotto_psk_parameters *parameters,
                                                      uint32_t min_iterations,
                                                      uint32_t max_iterations, sotto_psk *out);

/* The gate's PSK of a curve (docs/protocol.md, section 4); PBKDF2 too.  E_CRYPTO, E_NOMEM,
 * E_USAGE. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_gate_derive(const sotto_secrets *secrets,
                                                       sotto_curve curve, sotto_psk *out);

/* The epoch of a server_id.  E_CRYPTO. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_epoch(const uint8_t server_id[SOTTO_SERVER_ID_LEN],
                                                 uint8_t out[SOTTO_EPOCH_LEN]);

/*
 * A name for SECRETS as the client sees them (shared string, salts): lower-case hex of a hash
 * under a purpose of its own, NUL-terminated; it lets a cache notice other secrets.  Not secret
 * for 256-bit strings, but do not publish it.  E_CRYPTO, E_NOMEM; OUT is the empty text then.
 */
enum { SOTTO_SECRETS_ID_SIZE = 33 };
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_secrets_id(const sotto_secrets *secrets,
                                                      char out[SOTTO_SECRETS_ID_SIZE]);

/* ---- Known servers (docs/protocol.md, section 4: the trust table) ---------------------------- */

typedef enum sotto_trust {
    SOTTO_TRUST_STRICT,     /* an unknown server is refused (default) */
    SOTTO_TRUST_ASK,        /* the caller is asked, see sotto_client_options */
    SOTTO_TRUST_ACCEPT_NEW, /* an unknown server is pinned and reported, a changed one refused */
} sotto_trust;

typedef enum sotto_verdict {
    SOTTO_VERDICT_STOP,  /* with the error that was returned */
    SOTTO_VERDICT_KNOWN, /* pinned, and equal: go on */
    SOTTO_VERDICT_PIN,   /* not pinned, but to be trusted: pin, go on */
    SOTTO_VERDICT_ASK    /* not pinned, policy `ask`, no fingerprint given: somebody decides */
} sotto_verdict;

/* The keys that are pinned for one server; curve 0 in a slot means none. */
typedef struct sotto_pins {
    sotto_public_key key[SOTTO_CURVE_COUNT]; /* [0]: 25519, [1]: 448 */
    unsigned line[SOTTO_CURVE_COUNT];        /* where in the file, from 1 */
} sotto_pins;

/* "$XDG_CONFIG_HOME/sotto/known_servers" or "$HOME/.config/sotto/known_servers" in OUT.
 * E_FILE: neither variable is set to an absolute path; E_BUFFER: longer than SIZE. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_servers_path(char *out, size_t size,
                                                              sotto_error *error);

/*
 * Read what is pinned for ADDRESS (all that sotto_address_parse() takes; its errors too) in the
 * file PATH. A missing file, or one without the address, is no error: no pins.  Anything else is:
 *
 * E_TRUST_STORE: unreadable, not a regular file, writable by others, a malformed line (with its
 * number), two different keys for ADDRESS on one curve, one that is a low-order point, longer than
 * 4 MiB, out of memory.  After any error *OUT holds no pins: stop.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_servers_lookup(const char *path,
                                                                const char *address,
                                                                sotto_pins *out,
                                                                sotto_error *error);

/*
 * The trust table: what to do with the key SHOWN by XX.  FINGERPRINT may be NULL (none
 * was given); the empty text is not one, and refused.  Decides only, writes nothing.  PATH (may be
 * NULL) and ADDRESS serve the error's text.
 *
 * Returns SOTTO_OK with KNOWN, PIN or ASK; else the verdict is STOP and the error E_KEY_MISMATCH,
 * E_KEY_UNKNOWN or E_KEY_UNKNOWN_CURVE, with the old and new fingerprint, file and line, and the
 * command that would remove the pin; E_USAGE: FINGERPRINT is not one, SHOWN has no curve; E_NOMEM,
 * E_CRYPTO.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_trust_decide(const sotto_pins *pins,
                                                        const sotto_public_key *shown,
                                                        const char *fingerprint, sotto_trust policy,
                                                        const char *path, const char *address,
                                                        sotto_verdict *verdict, sotto_error *error);

/*
 * Pin KEYS (COUNT, at most one for each curve) for ADDRESS in the file PATH, which is made if
 * missing, its folder too.  Under a lock (PATH.lock, waited for at most 5 s), the file is read
 * again; a key that is there already stays as it is.  A symbolic link stays one: the file behind
 * it is replaced.
 *
 * E_KEY_MISMATCH: another key is pinned on one of these curves; nothing is changed.
 * E_TRUST_STORE: as for the look-up, or the file cannot be written or locked: the old one is
 * still there, whole.  E_KEY: a low-order point; E_FORMAT: no address; E_USAGE.
 */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_servers_pin(const char *path, const char *address,
                                                             const sotto_public_key *keys,
                                                             size_t count, sotto_error *error);

/* Remove all lines of ADDRESS (CURVE 0) or that of one curve.  *REMOVED says how many.  Other
 * lines stay as they are, comments too.  Two different keys for ADDRESS are no error here: this
 * is how to mend that.  E_TRUST_STORE, E_FORMAT: no address. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_servers_remove(const char *path,
                                                                const char *address,
                                                                sotto_curve curve, size_t *removed,
                                                                sotto_error *error);

/* Visit every line in order, after all of them were checked.  The visitor returns SOTTO_OK to
 * go on.  E_TRUST_STORE, or what it returned. */
typedef sotto_err sotto_known_server_visitor(void *user, const char *address,
                                             const sotto_public_key *key, unsigned line);
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_servers_each(const char *path,
                                                              sotto_known_server_visitor *visit,
                                                              void *user, sotto_error *error);

/* ---- Client keys that a server knows --------------------------------------------------------- */

typedef enum sotto_client_auth {
    SOTTO_CLIENT_AUTH_NONE,     /* anonymous sessions; a client's key is not looked at */
    SOTTO_CLIENT_AUTH_OPTIONAL, /* a known key is reported to handlers, any other is anonymous */
    SOTTO_CLIENT_AUTH_REQUIRED  /* only known keys get a bootstrap document and a session */
} sotto_client_auth;

typedef struct sotto_known_clients sotto_known_clients;

/* Read a file of lines "sotto-x25519 BASE64 [name]" ('#' comments).  E_FILE, E_PERMISSION
 * (writable by others), E_FORMAT (with the line: malformed, a key twice), E_NOMEM.  An empty
 * file knows nobody. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_known_clients_load(const char *path,
                                                              sotto_known_clients **out,
                                                              sotto_error *error);
SOTTO_API void sotto_known_clients_free(sotto_known_clients *clients); /* NULL is allowed */

/* The name that belongs to KEY ("" when the line has none), or NULL: unknown.  Lives as long as
 * CLIENTS. */
SOTTO_API const char *sotto_known_clients_find(const sotto_known_clients *clients,
                                               const sotto_public_key *key);

/* ---- Addresses ------------------------------------------------------------------------------- */

enum { SOTTO_PORT_DEFAULT = 7448, SOTTO_HOST_SIZE = 256, SOTTO_ADDRESS_SIZE = 272 };

typedef struct sotto_address {
    char host[SOTTO_HOST_SIZE];               /* name, IPv4, or IPv6 without brackets; lower case */
    uint16_t port;                            /* 0 is allowed: a listener's choice by the kernel */
    char fingerprint[SOTTO_FINGERPRINT_SIZE]; /* of sotto://FINGERPRINT@host:port, else "" */
    char text[SOTTO_ADDRESS_SIZE]; /* "host:port" or "[v6]:port": the name in known_servers */
} sotto_address;

/* Parse "host", "host:port", "[v6]:port", or "sotto://[FINGERPRINT@]host[:port]".  Names become
 * lower case, IPv6 addresses canonical, so TEXT names a server in one way only.  E_FORMAT, with
 * the reason; OUT is empty then. */
SOTTO_API SOTTO_MUST_CHECK sotto_err sotto_address_parse(const char *text, sotto_address *out,
                                                         sotto_error *error);

#ifdef __cplusplus
}
#endif
#endif
