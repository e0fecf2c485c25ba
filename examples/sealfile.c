/*
 * Seal a file for somebody, with the one-way pattern X (Noise 7.4): only the recipient can open it,
 * and learns who sealed it, as long as nobody has stolen the keys.  Keys are files of `sotto
 * keygen`.
 *
 *     sealfile seal IN OUT SENDER.key RECIPIENT.pub
 *     sealfile open IN OUT RECIPIENT.key SENDER.pub
 *
 * A sealed file is a line that names the format, which is also the prologue, then Noise messages
 * with two bytes of length in front: the handshake, and the contents in parts.  The first byte of a
 * part says whether it is the last one, so that a file that was cut off is noticed (Noise 13).  OUT
 * appears when all of it is right, and not before.
 *
 * Whoever steals the recipient's key later can open all of it, and can make files that seem to come
 * from anybody; and an old file can be handed out again (Noise 7.7).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sotto/identity.h>
#include <sotto/noise.h>

static const char format[] = "sotto sealed file 1\n";

enum { MORE = 0, LAST = 1, PART_MAX = SOTTO_NOISE_TRANSPORT_MAX - 1 };

struct job {
    FILE *in, *out;
    const char *in_path, *out_path;
    char part_path[4096]; /* where OUT is written until it is whole */
};

static uint8_t plain[SOTTO_NOISE_TRANSPORT_MAX], sealed[SOTTO_NOISE_MESSAGE_MAX];

/* Says what is wrong; 1 is the exit status. */
static int failed(const char *what, const char *why)
{
    fprintf(stderr, "sealfile: %s: %s\n", what, why);
    return 1;
}

static int failed_with(const sotto_error *error)
{
    failed(error->what, error->why);
    if (error->hint[0] != '\0')
        fprintf(stderr, "  try: %s\n", error->hint);
    return 1;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int open_files(struct job *job, const char *in, const char *out)
{
    int fd;

    job->in_path = in;
    job->out_path = out;
    if (access(out, F_OK) == 0)
        return failed(out, "is there already");
    if (snprintf(job->part_path, sizeof job->part_path, "%s.part", out) >=
        (int)sizeof job->part_path) {
        job->part_path[0] = '\0';
        return failed(out, "the name is too long");
    }
    if ((job->in = fopen(in, "rb")) == NULL)
        return failed(in, strerror(errno));
    if ((fd = open(job->part_path, O_WRONLY | O_CREAT | O_EXCL, 0600)) < 0) {
        int status = failed(job->part_path, strerror(errno));

        job->part_path[0] = '\0'; /* it is not ours to remove */
        return status;
    }
    if ((job->out = fdopen(fd, "wb")) == NULL) {
        close(fd);
        return failed(job->part_path, strerror(errno));
    }
    return 0;
}

/* STATUS 0: OUT gets its name, else nothing is left of it. */
static int close_files(struct job *job, int status)
{
    if (job->in != NULL)
        fclose(job->in);
    if (job->out != NULL) {
        int good = fflush(job->out) == 0 && fsync(fileno(job->out)) == 0;

        if ((fclose(job->out) != 0 || !good) && status == 0)
            status = failed(job->part_path, strerror(errno));
        if (status == 0 && link(job->part_path, job->out_path) != 0)
            status = failed(job->out_path, strerror(errno));
    }
    if (job->part_path[0] != '\0')
        unlink(job->part_path);
    return status;
}

static int write_message(struct job *job, const sotto_room *message)
{
    uint8_t length[2] = {(uint8_t)(message->len >> 8), (uint8_t)message->len};

    if (fwrite(length, 1, sizeof length, job->out) != sizeof length ||
        fwrite(message->ptr, 1, message->len, job->out) != message->len)
        return failed(job->part_path, strerror(errno));
    return 0;
}

static int read_message(struct job *job, sotto_room *message)
{
    uint8_t length[2];

    if (fread(length, 1, sizeof length, job->in) != sizeof length)
        return failed(job->in_path, "it was cut off");
    message->len = (size_t)length[0] << 8 | length[1];
    if (message->len > message->cap ||
        fread(message->ptr, 1, message->len, job->in) != message->len)
        return failed(job->in_path, "it was cut off");
    return 0;
}

/* ---- Sealing and opening --------------------------------------------------------------------- */

static int seal_contents(struct job *job, sotto_transport *transport)
{
    sotto_room message = sotto_room_of(sealed, sizeof sealed);

    do {
        size_t len = fread(plain + 1, 1, PART_MAX, job->in);

        if (ferror(job->in))
            return failed(job->in_path, strerror(errno));
        plain[0] = len < PART_MAX ? LAST : MORE;
        if (sotto_transport_encrypt(transport, sotto_no_ad(), sotto_bytes_of(plain, 1 + len),
                                    &message) != SOTTO_OK)
            return failed(job->in_path, "it cannot be encrypted");
        if (write_message(job, &message) != 0)
            return 1;
    } while (plain[0] == MORE);
    return 0;
}

static int open_contents(struct job *job, sotto_transport *transport)
{
    do {
        sotto_room message = sotto_room_of(sealed, sizeof sealed);
        sotto_room part = sotto_room_of(plain, sizeof plain);

        if (read_message(job, &message) != 0)
            return 1;
        if (sotto_transport_decrypt(transport, sotto_no_ad(), sotto_room_bytes(&message), &part) !=
                SOTTO_OK ||
            part.len == 0 || plain[0] > LAST)
            return failed(job->in_path, "it was altered");
        if (fwrite(plain + 1, 1, part.len - 1, job->out) != part.len - 1)
            return failed(job->part_path, strerror(errno));
    } while (plain[0] == MORE);
    return getc(job->in) == EOF ? 0 : failed(job->in_path, "there is something behind its end");
}

static int seal(struct job *job, sotto_handshake *hs)
{
    sotto_room message = sotto_room_of(sealed, sizeof sealed);
    sotto_transport *transport = NULL;
    sotto_error error = {0};
    int status;

    if (sotto_handshake_write(hs, sotto_no_bytes(), &message, &error) != SOTTO_OK ||
        sotto_handshake_split(hs, &transport, &error) != SOTTO_OK)
        return failed_with(&error);
    status = fputs(format, job->out) < 0 ? failed(job->part_path, strerror(errno))
                                         : write_message(job, &message);
    if (status == 0)
        status = seal_contents(job, transport);
    sotto_transport_free(transport);
    return status;
}

static int unseal(struct job *job, sotto_handshake *hs, const sotto_public_key *sender)
{
    sotto_room message = sotto_room_of(sealed, sizeof sealed);
    sotto_room payload = sotto_room_of(plain, sizeof plain);
    sotto_transport *transport = NULL;
    sotto_error error = {0};
    char line[sizeof format];
    int status;

    if (fgets(line, sizeof line, job->in) == NULL || strcmp(line, format) != 0)
        return failed(job->in_path, "not a sealed file of this kind");
    if (read_message(job, &message) != 0)
        return 1;
    if (sotto_handshake_read(hs, sotto_room_bytes(&message), &payload, &error) != SOTTO_OK)
        return failed(job->in_path, "sealed for another key, or altered");
    if (!sotto_public_key_equal(sotto_handshake_remote_static(hs), sender))
        return failed(job->in_path, "sealed by somebody else");
    if (sotto_handshake_split(hs, &transport, &error) != SOTTO_OK)
        return failed_with(&error);
    status = open_contents(job, transport);
    sotto_transport_free(transport);
    return status;
}

/* One hash for a key of each curve, and of 512 bits with 448 (Noise 13, 14). */
static const char *protocol_of(sotto_curve curve)
{
    return curve == SOTTO_CURVE_448 ? "Noise_X_448_ChaChaPoly_SHA512"
                                    : "Noise_X_25519_ChaChaPoly_SHA256";
}

int main(int argc, char **argv)
{
    int sealing = argc == 6 && strcmp(argv[1], "seal") == 0;
    sotto_handshake_options options = SOTTO_HANDSHAKE_OPTIONS_INIT;
    struct job job = {0};
    sotto_keypair *own = NULL;
    sotto_public_key other;
    sotto_handshake *hs = NULL;
    sotto_error error = {0};
    int status;

    if (!sealing && (argc != 6 || strcmp(argv[1], "open") != 0)) {
        fprintf(stderr, "usage: sealfile seal IN OUT SENDER.key RECIPIENT.pub\n"
                        "       sealfile open IN OUT RECIPIENT.key SENDER.pub\n");
        return 2;
    }
    if (sotto_keypair_load(argv[4], &own, &error) != SOTTO_OK ||
        sotto_public_key_load(argv[5], &other, &error) != SOTTO_OK) {
        sotto_keypair_free(own);
        return failed_with(&error);
    }
    options.protocol = protocol_of(other.curve);
    options.role = sealing ? SOTTO_INITIATOR : SOTTO_RESPONDER;
    options.prologue = sotto_bytes_of(format, sizeof format - 1);
    options.s = own;
    options.rs = sealing ? &other : NULL;
    if (sotto_handshake_new(&options, &hs, &error) != SOTTO_OK) {
        status = failed_with(&error);
    } else {
        status = open_files(&job, argv[2], argv[3]);
        if (status == 0)
            status = sealing ? seal(&job, hs) : unseal(&job, hs, &other);
        status = close_files(&job, status);
    }
    sotto_handshake_free(hs);
    sotto_keypair_free(own);
    return status;
}
