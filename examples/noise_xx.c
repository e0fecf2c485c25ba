/*
 * Two programs that talk Noise_XX over a socket pair: each makes a key pair, they shake hands, one
 * asks, the other answers.  Nothing of Sotto but sotto/noise.h is used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "frames.h"

static uint8_t buffer[SOTTO_NOISE_MESSAGE_MAX], plain[SOTTO_NOISE_MESSAGE_MAX];

static void fail(const char *who, sotto_err err, const sotto_error *error)
{
    fprintf(stderr, "%s: %s: %s %s %s\n", who, sotto_strerror(err), error->what, error->why,
            error->hint);
    exit(1);
}

/* What is next of the handshake, until nothing is. */
static sotto_err shake_hands(sotto_handshake *hs, int fd, sotto_error *error)
{
    sotto_room message = sotto_room_of(buffer, sizeof buffer);
    sotto_room payload = sotto_room_of(plain, sizeof plain);
    sotto_err err = SOTTO_OK;
    char type;

    while (err == SOTTO_OK) {
        switch (sotto_handshake_action(hs)) {
        case SOTTO_ACTION_WRITE:
            err = sotto_handshake_write(hs, sotto_no_bytes(), &message, error);
            if (err == SOTTO_OK && send_frame(fd, 'h', &message) != 0)
                err = SOTTO_E_LOST;
            break;
        case SOTTO_ACTION_READ:
            if (receive_frame(fd, &type, &message) != 0)
                return SOTTO_E_LOST;
            err = sotto_handshake_read(hs, sotto_room_bytes(&message), &payload, error);
            break;
        case SOTTO_ACTION_SPLIT:
        case SOTTO_ACTION_DONE:
        case SOTTO_ACTION_FAILED:
        default:
            return SOTTO_OK;
        }
    }
    return err;
}

static void say(sotto_transport *transport, int fd, const char *text)
{
    sotto_room message = sotto_room_of(buffer, sizeof buffer);
    sotto_err err = sotto_transport_encrypt(transport, sotto_no_ad(),
                                            sotto_bytes_of(text, strlen(text)), &message);

    if (err != SOTTO_OK || send_frame(fd, 't', &message) != 0)
        exit(1);
}

static void hear(sotto_transport *transport, int fd, const char *who)
{
    sotto_room message = sotto_room_of(buffer, sizeof buffer);
    char type;

    /* It is decrypted in its place. */
    if (receive_frame(fd, &type, &message) != 0 ||
        sotto_transport_decrypt(transport, sotto_no_ad(), sotto_room_bytes(&message), &message) !=
            SOTTO_OK)
        exit(1);
    printf("%s hears \"%.*s\"\n", who, (int)message.len, (const char *)message.ptr);
    fflush(stdout);
}

/* The whole life of one of the two. */
static void live(const char *who, sotto_role role, int fd)
{
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    char fingerprint[SOTTO_FINGERPRINT_SIZE];
    sotto_keypair *s = NULL;
    sotto_handshake *hs = NULL;
    sotto_transport *transport = NULL;
    sotto_error error = {0};
    sotto_err err;

    options.protocol = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
    options.role = role;
    options.prologue = sotto_bytes_of("example 1", 9);
    if ((err = sotto_keypair_generate(SOTTO_CURVE_25519, &s)) == SOTTO_OK) {
        options.s = s;
        if ((err = sotto_handshake_new(&options, &hs, &error)) == SOTTO_OK &&
            (err = shake_hands(hs, fd, &error)) == SOTTO_OK)
            err = sotto_handshake_split(hs, &transport, &error);
    }
    if (err != SOTTO_OK)
        fail(who, err, &error);

    /* Here a real program asks: is this a key that I know?  See sotto_known_servers_*(). */
    if (sotto_fingerprint(sotto_handshake_remote_static(hs), fingerprint) != SOTTO_OK)
        exit(1);
    printf("%s talks to %s\n", who, fingerprint);
    sotto_handshake_free(hs);

    if (role == SOTTO_INITIATOR) {
        say(transport, fd, "is anybody listening?");
        hear(transport, fd, who);
    } else {
        hear(transport, fd, who);
        say(transport, fd, "only you");
    }
    sotto_transport_free(transport);
    sotto_keypair_free(s);
}

int main(void)
{
    int ends[2], status = 0;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || (child = fork()) < 0) {
        perror("noise_xx");
        return 1;
    }
    if (child == 0) {
        close(ends[0]);
        live("Bob", SOTTO_RESPONDER, ends[1]);
        return 0;
    }
    close(ends[1]);
    live("Alice", SOTTO_INITIATOR, ends[0]);
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
