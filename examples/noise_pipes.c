/*
 * Noise Pipes (Noise 10.4): Alice shakes hands with XX, remembers Bob's key, comes back with IK and
 * data in the first message; Bob gets a new key, cannot read her IK any more, and switches to
 * XXfallback.  A byte in front of each message says which protocol it belongs to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "frames.h"

#define SUITE "25519_AESGCM_SHA256"

enum { FULL = 'x', ZERO_RTT = 'i', SWITCH = 'f' };

static uint8_t buffer[SOTTO_NOISE_MESSAGE_MAX], plain[SOTTO_NOISE_MESSAGE_MAX];
static const char *who;

static void check(int good, const sotto_error *error)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s: %s\n", who, error->what, error->why);
    exit(1);
}

static sotto_handshake *begin(const char *pattern, sotto_role role, const sotto_keypair *s,
                              const sotto_public_key *rs, sotto_handshake *fallback_from)
{
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    sotto_handshake *hs;
    sotto_error error = {0};
    char name[64];

    (void)snprintf(name, sizeof name, "Noise_%s_" SUITE, pattern);
    options.protocol = name;
    options.role = role;
    options.s = s;
    options.rs = rs;
    options.fallback_from = fallback_from;
    check(sotto_handshake_new(&options, &hs, &error) == SOTTO_OK, &error);
    return hs;
}

static void write_message(sotto_handshake *hs, int fd, char type, const char *text)
{
    sotto_room message = sotto_room_of(buffer, sizeof buffer);
    sotto_error error = {0};

    check(sotto_handshake_write(hs, sotto_bytes_of(text, strlen(text)), &message, &error) ==
                  SOTTO_OK &&
              send_frame(fd, type, &message) == 0,
          &error);
}

/* Reads MESSAGE and shows its payload. */
static sotto_err read_message(sotto_handshake *hs, const sotto_room *message, sotto_error *error)
{
    sotto_room payload = sotto_room_of(plain, sizeof plain);
    sotto_err err = sotto_handshake_read(hs, sotto_room_bytes(message), &payload, error);

    if (err == SOTTO_OK && payload.len > 0)
        printf("%s reads \"%.*s\"\n", who, (int)payload.len, (const char *)payload.ptr);
    fflush(stdout);
    return err;
}

static char receive(int fd, sotto_room *message)
{
    sotto_error error = {.what = "the line", .why = "it is broken"};
    char type = 0;

    *message = sotto_room_of(buffer, sizeof buffer);
    check(receive_frame(fd, &type, message) == 0, &error);
    return type;
}

static void finish(sotto_handshake *hs, const char *pattern)
{
    sotto_transport *transport;
    sotto_error error = {0};

    check(sotto_handshake_split(hs, &transport, &error) == SOTTO_OK, &error);
    printf("%s has finished %s\n", who, pattern);
    fflush(stdout);
    sotto_transport_free(transport); /* the conversation: see noise_xx.c */
}

/* Messages by turns until the handshake is at its end. */
static void run(sotto_handshake *hs, int fd, char type)
{
    sotto_room message;
    sotto_error error = {0};

    for (;;) {
        switch (sotto_handshake_action(hs)) {
        case SOTTO_ACTION_WRITE:
            write_message(hs, fd, type, "");
            break;
        case SOTTO_ACTION_READ:
            check(receive(fd, &message) == type && read_message(hs, &message, &error) == SOTTO_OK,
                  &error);
            break;
        case SOTTO_ACTION_SPLIT:
        case SOTTO_ACTION_DONE:
        case SOTTO_ACTION_FAILED:
        default:
            return;
        }
    }
}

/* A key that she has seen before is in *BOBS; curve 0: none. */
static void alice(int fd, const sotto_keypair *s, sotto_public_key *bobs)
{
    sotto_handshake *hs, *first;
    sotto_room message;
    sotto_error error = {0};
    const char *pattern = bobs->curve == 0 ? "XX" : "IK";

    if (bobs->curve == 0) {
        hs = begin("XX", SOTTO_INITIATOR, s, NULL, NULL);
        run(hs, fd, FULL);
    } else {
        hs = begin("IK", SOTTO_INITIATOR, s, bobs, NULL);
        write_message(hs, fd, ZERO_RTT, "early data");
        if (receive(fd, &message) == SWITCH) {
            pattern = "XXfallback";
            first = hs;
            hs = begin("XXfallback", SOTTO_RESPONDER, s, NULL, first);
            sotto_handshake_free(first);
        }
        check(read_message(hs, &message, &error) == SOTTO_OK, &error);
        run(hs, fd, SWITCH);
    }
    /* A real program asks here whether it accepts a key that has changed. */
    *bobs = *sotto_handshake_remote_static(hs);
    finish(hs, pattern);
    sotto_handshake_free(hs);
}

static void bob(int fd, const sotto_keypair *s)
{
    sotto_room message;
    sotto_error error = {0};
    int full = receive(fd, &message) == FULL;
    sotto_handshake *hs = begin(full ? "XX" : "IK", SOTTO_RESPONDER, s, NULL, NULL), *first;
    sotto_err err = read_message(hs, &message, &error);

    if (err == SOTTO_OK) {
        run(hs, fd, full ? FULL : ZERO_RTT);
        finish(hs, full ? "XX" : "IK");
    } else {
        /* Her key for us is out of date.  Her ephemeral key is good all the same. */
        check(err == SOTTO_E_AUTH && !full, &error);
        first = hs;
        hs = begin("XXfallback", SOTTO_INITIATOR, s, NULL, first);
        sotto_handshake_free(first);
        run(hs, fd, SWITCH);
        finish(hs, "XXfallback");
    }
    sotto_handshake_free(hs);
}

static sotto_keypair *new_key(void)
{
    sotto_error error = {.what = "a key", .why = "it cannot be made"};
    sotto_keypair *s = NULL;

    check(sotto_keypair_generate(SOTTO_CURVE_25519, &s) == SOTTO_OK, &error);
    return s;
}

int main(void)
{
    enum { CONVERSATIONS = 3 };
    sotto_public_key bobs = {0};
    sotto_keypair *s;
    int ends[2], status = 0;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || (child = fork()) < 0) {
        perror("noise_pipes");
        return 1;
    }
    who = child == 0 ? "Bob" : "Alice";
    close(ends[child != 0]);
    s = new_key();
    for (int i = 0; i < CONVERSATIONS; i++) {
        if (child == 0 && i == 2) { /* a new key, which Alice does not know of */
            sotto_keypair_free(s);
            s = new_key();
        }
        if (child == 0)
            bob(ends[1], s);
        else
            alice(ends[0], s, &bobs);
    }
    sotto_keypair_free(s);
    if (child == 0)
        return 0;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
