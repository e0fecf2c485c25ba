/*
 * sotto/error.h: what can go wrong, and how it is said.
 *
 * Every function that can fail returns a sotto_err.  The codes never change their meaning and are
 * never reused.  Functions that a person waits for (files, connections, calls) also fill a
 * sotto_error, which says in words what failed, why, and what to do about it.
 *
 * Nothing here allocates.  A sotto_error is plain memory of the caller's; one thread at a time.
 */
#ifndef SOTTO_ERROR_H
#define SOTTO_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SOTTO_API __attribute__((visibility("default")))
#define SOTTO_MUST_CHECK __attribute__((warn_unused_result))
#else
#define SOTTO_API
#define SOTTO_MUST_CHECK
#endif

/* A struct of options that are all zero but its size; see the _INIT of each. */
#ifdef __cplusplus
extern "C++" {
template <typename T> inline T sotto_sized()
{
    T options = {};

    options.size = sizeof options;
    return options;
}
}
#define SOTTO_SIZED(type) sotto_sized<type>()
#else
#define SOTTO_SIZED(type)                                                                          \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif

/*
 * X(name, value, text).  The tens tell whose matter it is: 1.. the caller's, 10.. this machine's,
 * 30.. the cryptography's, 40.. the peer's, 60.. trust, 70.. the call's.
 */
#define SOTTO_ERRORS(X)                                                                            \
    X(OK, 0, "success")                                                                            \
    X(E_USAGE, 1, "called with wrong arguments or out of turn")                                    \
    X(E_UNSUPPORTED, 2, "unknown or unsupported algorithm, pattern or name")                       \
    X(E_BUFFER, 3, "the output buffer is too small")                                               \
    X(E_AGAIN, 4, "not now, try again later")                                                      \
    X(E_GONE, 5, "the call was answered already, or its client is gone")                           \
    X(E_NOMEM, 10, "out of memory")                                                                \
    X(E_SYSTEM, 11, "the operating system reports an error")                                       \
    X(E_RANDOM, 12, "no random bytes from the operating system")                                   \
    X(E_FILE, 13, "a file cannot be read or written")                                              \
    X(E_FORMAT, 14, "a file or text is malformed")                                                 \
    X(E_PERMISSION, 15, "a file with secrets has the wrong owner, mode or type")                   \
    X(E_EXISTS, 16, "the file exists already")                                                     \
    X(E_JSON, 17, "not strict JSON")                                                               \
    X(E_AUTH, 30, "forged, altered or made with another key")                                      \
    X(E_DH, 31, "a Diffie-Hellman result is all zero")                                             \
    X(E_KEY, 32, "not a usable key")                                                               \
    X(E_NONCE, 33, "the key has been used as often as it may be")                                  \
    X(E_CRYPTO, 34, "the cryptographic library failed")                                            \
    X(E_REPLAY, 35, "received before, or too old to know")                                         \
    X(E_RESOLVE, 40, "the host name cannot be resolved")                                           \
    X(E_CONNECT, 41, "the server cannot be reached")                                               \
    X(E_LOST, 42, "the connection ended without a close")                                          \
    X(E_CLOSED, 43, "the connection is closed")                                                    \
    X(E_TIMEOUT, 44, "the deadline passed")                                                        \
    X(E_PROTOCOL, 45, "the peer broke the protocol")                                               \
    X(E_REFUSED, 46, "the server refused the negotiation")                                         \
    X(E_HANDSHAKE, 47, "the server ended the handshake without a word")                            \
    X(E_PARAMETERS, 48, "the server offers parameters that are out of range")                      \
    X(E_KEY_UNKNOWN, 60, "the server's key is not known")                                          \
    X(E_KEY_MISMATCH, 61, "the server's key is not the one that is trusted")                       \
    X(E_KEY_UNKNOWN_CURVE, 62, "no key of the server is known on this curve")                      \
    X(E_TRUST_STORE, 63, "the file of known servers cannot be used")                               \
    X(E_DEFAULT_SECRETS, 64, "the built-in secrets are public and not allowed here")               \
    X(E_CALL, 70, "the endpoint answered with an error")                                           \
    X(E_DENIED, 71, "the server does not serve this client")                                       \
    X(E_NOT_FOUND, 72, "no such endpoint")                                                         \
    X(E_TOO_LARGE, 73, "the message is larger than the receiver takes")                            \
    X(E_UNAVAILABLE, 74, "the server takes no calls now")                                          \
    X(E_CANCELLED, 75, "the call was cancelled")

typedef enum sotto_err {
#define SOTTO_X(name, value, text) SOTTO_##name = value,
    SOTTO_ERRORS(SOTTO_X)
#undef SOTTO_X
} sotto_err;

/* How far a connection had come. */
typedef enum sotto_stage {
    SOTTO_STAGE_NONE,      /* before or beside any connection: files, arguments */
    SOTTO_STAGE_RESOLVE,   /* host name to addresses */
    SOTTO_STAGE_CONNECT,   /* TCP */
    SOTTO_STAGE_BOOTSTRAP, /* XX and the bootstrap document */
    SOTTO_STAGE_TRUST,     /* is this the right server? */
    SOTTO_STAGE_PSK,       /* PBKDF2 */
    SOTTO_STAGE_SESSION,   /* NKpsk0 or IKpsk0 */
    SOTTO_STAGE_CALL       /* the call itself */
} sotto_stage;

/*
 * An error in words.  `what` names the thing that failed, `why` the cause with file, line, key or
 * limit, `hint` what to do; each is one line of UTF-8 without control characters (text from a peer
 * or a file is made harmless), and may be empty.  No secret ever stands in them.
 */
typedef struct sotto_error {
    sotto_err code;
    sotto_stage stage;
    int sys_errno; /* of the failed system call, or 0 */
    char what[256];
    char why[512];
    char hint[384];
} sotto_error;

/* The text of a code; "unknown error" for a number that is none.  Never NULL, lives for ever. */
SOTTO_API const char *sotto_strerror(sotto_err code);

/* The name of a code without its prefix, "E_TIMEOUT" or "OK".  Never NULL, lives for ever. */
SOTTO_API const char *sotto_err_name(sotto_err code);

/* The name of a stage in one lower-case word, "" for SOTTO_STAGE_NONE.  Never NULL. */
SOTTO_API const char *sotto_stage_name(sotto_stage stage);

#ifdef __cplusplus
}
#endif
#endif
