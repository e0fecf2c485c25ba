/*
 * Messages on a stream, for the examples: a byte that says what it is, two bytes of length in
 * big-endian, then the message (Noise 10.3, 13).
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include <sotto/noise.h>

static inline int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static inline int read_all(int fd, void *data, size_t len)
{
    uint8_t *p = data;

    while (len > 0) {
        ssize_t n = read(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* MESSAGE is a Noise message, so it has at most 65535 bytes.  -1: the line is broken. */
static inline int send_frame(int fd, char type, const sotto_room *message)
{
    uint8_t head[3] = {(uint8_t)type, (uint8_t)(message->len >> 8), (uint8_t)message->len};

    return write_all(fd, head, sizeof head) == 0 ? write_all(fd, message->ptr, message->len) : -1;
}

/* MESSAGE has room for 65535 bytes.  -1: the line is broken, or a frame was cut off. */
static inline int receive_frame(int fd, char *type, sotto_room *message)
{
    uint8_t head[3];

    if (read_all(fd, head, sizeof head) != 0)
        return -1;
    *type = (char)head[0];
    message->len = (size_t)head[1] << 8 | head[2];
    return message->len <= message->cap ? read_all(fd, message->ptr, message->len) : -1;
}

#endif
