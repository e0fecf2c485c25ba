/*
 * Records of several lengths: what a message of 1 MiB costs when it is sealed and opened in pieces
 * of 4, 16 (TLS) and 64 KiB (Noise's limit, and ours), and when these pass through loopback.  256
 * KiB is longer than a Noise message may be: it shows what the limit costs.
 */
#include "tries.h"

#include <errno.h>
#include <sys/socket.h>

#include "crypto/crypto.h"

enum {
    NOISE_MAX = 65535,
    PLAIN_MAX = NOISE_MAX - SI_TAG_LEN,
    BEYOND = 262144,
    HEADER = 2,
    SHORTEST = 4096,
    RECORDS_MAX = MIB / SHORTEST,
    WIRE_MAX = MIB + RECORDS_MAX * (HEADER + SI_TAG_LEN),
    READ_SIZE = 262144,
    ROUND_NS = 10000000
};

static const size_t lengths[] = {SHORTEST, 16384, PLAIN_MAX, BEYOND};

enum { LENGTHS = sizeof lengths / sizeof lengths[0], CIPHERS = 2 };

static const struct si_cipher_key cipher_key = {{1}};

struct message {
    const struct si_aead *aead; /* NULL: records that are not encrypted */
    struct si_aead_key *tx, *rx;
    size_t record; /* plaintext of a record */
    bool at_once;  /* one send for all records, else one for each */
    uint64_t n;    /* the next record that the receiver opens; the sender's nonces are the same */
    uint64_t sealed;
    uint8_t *plain, *wire, *opened;
    size_t wire_len;
};

static size_t tag_len(const struct message *m)
{
    return m->aead == NULL ? 0 : SI_TAG_LEN;
}

static size_t part_at(const struct message *m, size_t at)
{
    return MIB - at < m->record ? MIB - at : m->record;
}

/* ---- Sealing and opening --------------------------------------------------------------------- */

/* As in a session, the text is encrypted from where it lies to the output, behind a header. */
static sotto_err seal_one(struct message *m, uint8_t *wire, size_t at, size_t part)
{
    si_put_be16(wire, (uint16_t)(part + tag_len(m)));
    if (m->aead != NULL)
        return si_aead_seal(m->aead, m->tx, m->sealed++, si_span(NULL, 0), m->plain + at, part,
                            wire + HEADER);
    memcpy(wire + HEADER, m->plain + at, part);
    return SOTTO_OK;
}

static sotto_err seal_message(void *user)
{
    struct message *m = user;
    sotto_err err = SOTTO_OK;

    m->wire_len = 0;
    for (size_t at = 0; at < MIB && err == SOTTO_OK; at += m->record) {
        size_t part = part_at(m, at);

        err = seal_one(m, m->wire + m->wire_len, at, part);
        m->wire_len += HEADER + part + tag_len(m);
    }
    return err;
}

/* With one set of nonces again and again, so that one wire can be opened many times. */
static sotto_err seal_first(void *user)
{
    struct message *m = user;

    m->sealed = 0;
    return seal_message(m);
}

static sotto_err open_message(void *user)
{
    struct message *m = user;
    const uint8_t *wire = m->wire;
    uint64_t n = 0;
    sotto_err err = SOTTO_OK;

    for (size_t at = 0; at < MIB && err == SOTTO_OK; at += m->record) {
        size_t len = part_at(m, at) + SI_TAG_LEN;

        err = m->aead->open(m->rx, n++, si_span(NULL, 0), wire + HEADER, len, m->opened + at);
        wire += HEADER + len;
    }
    return err;
}

static void message_init(struct message *m, const struct si_aead *aead, size_t record, bool at_once)
{
    *m = (struct message){.aead = aead, .record = record, .at_once = at_once};
    m->plain = malloc(MIB);
    m->wire = calloc(1, WIRE_MAX);
    m->opened = calloc(1, MIB);
    tries_require("memory", m->plain != NULL && m->wire != NULL && m->opened != NULL);
    for (size_t i = 0; i < MIB; i++)
        m->plain[i] = (uint8_t)(i ^ i >> 8);
    if (aead != NULL) {
        tries_require_ok("a key", aead->key_new(&m->tx, &cipher_key));
        tries_require_ok("a key", aead->key_new(&m->rx, &cipher_key));
    }
}

static void message_free(struct message *m)
{
    if (m->aead != NULL) {
        m->aead->key_free(m->tx);
        m->aead->key_free(m->rx);
    }
    free(m->plain);
    free(m->wire);
    free(m->opened);
}

static void name_line(char *name, size_t size, const struct message *m)
{
    (void)snprintf(name, size, "%s, %zu KiB%s", m->aead == NULL ? "no cipher" : m->aead->name,
                   (m->record + 1023) / 1024, m->record > NOISE_MAX ? " (beyond Noise)" : "");
}

static void try_cipher(const struct si_aead *aead)
{
    static struct tries_samples samples[2 * LENGTHS];
    struct message m[LENGTHS];
    struct bench_work works[2 * LENGTHS];
    char name[64];

    for (size_t i = 0; i < LENGTHS; i++) {
        message_init(&m[i], aead, lengths[i], true);
        tries_require_ok("sealing", seal_first(&m[i]));
        tries_require_ok("opening", open_message(&m[i]));
        errno = EBADMSG;
        tries_require("what was sealed", memcmp(m[i].plain, m[i].opened, MIB) == 0);
        works[2 * i] = (struct bench_work){"sealing", seal_first, &m[i], NULL, 0};
        works[2 * i + 1] = (struct bench_work){"opening", open_message, &m[i], NULL, 0};
    }
    tries_measure(works, 2 * (size_t)LENGTHS, ROUND_NS, samples);
    for (size_t i = 0; i < LENGTHS; i++) {
        for (int round = 0; round < tries_rounds; round++) {
            samples[2 * i].round[round] /= 1000;
            samples[2 * i + 1].round[round] /= 1000;
        }
        name_line(name, sizeof name, &m[i]);
        tries_line(name, &samples[2 * i], 2);
        message_free(&m[i]);
    }
}

/* ---- Through loopback ------------------------------------------------------------------------ */

static void send_message(void *user, int fd)
{
    struct message *m = user;
    sotto_err err = SOTTO_OK;

    if (m->at_once) {
        tries_require_ok("sealing", seal_message(m));
        tries_send_all(fd, m->wire, m->wire_len);
        return;
    }
    for (size_t at = 0; at < MIB && err == SOTTO_OK; at += m->record) {
        size_t part = part_at(m, at);

        if ((err = seal_one(m, m->wire, at, part)) == SOTTO_OK)
            tries_send_all(fd, m->wire, HEADER + part + tag_len(m));
    }
    tries_require_ok("sealing", err);
}

/* Open the records in LEN bytes at DATA where they lie; how many bytes are left of one that has not
 * come as a whole? */
static size_t open_records(struct message *m, uint8_t *data, size_t len)
{
    while (len >= HEADER) {
        size_t record = si_get_be16(data);

        if (len < HEADER + record)
            break;
        if (m->aead != NULL)
            tries_require_ok("opening", m->aead->open(m->rx, m->n++, si_span(NULL, 0),
                                                      data + HEADER, record, data + HEADER));
        data += HEADER + record;
        len -= HEADER + record;
    }
    return len;
}

static void receive(void *user, int fd)
{
    struct message *m = user;
    uint8_t *buf = malloc(HEADER + NOISE_MAX + READ_SIZE);
    size_t kept = 0;

    tries_require("memory", buf != NULL);
    for (;;) {
        ssize_t n = recv(fd, buf + kept, READ_SIZE, 0);
        size_t len;

        tries_require("recv", n >= 0);
        if (n == 0)
            break;
        len = kept + (size_t)n;
        kept = open_records(m, buf, len);
        memmove(buf, buf + len - kept, kept);
    }
    errno = EBADMSG;
    tries_require("whole records", kept == 0 && (m->aead == NULL || m->n == m->sealed));
    free(buf);
}

struct configuration {
    const struct si_aead *aead;
    size_t record;
    bool at_once;
    struct tries_samples samples[3]; /* MiB/s, the two costs */
};

enum { CONFIGURATIONS_MAX = (CIPHERS + 1) * LENGTHS * 2 };

static void run_configuration(struct configuration *c, int round)
{
    struct message m;
    struct tries_stream stream = {send_message, NULL, receive, &m};
    struct tries_stream_costs costs;

    message_init(&m, c->aead, c->record, c->at_once);
    tries_run_stream(&stream, &costs);
    c->samples[0].round[round] = 1e9 / costs.ns;
    c->samples[1].round[round] = costs.tx_cpu_ns / 1000;
    c->samples[2].round[round] = costs.rx_cpu_ns / 1000;
    message_free(&m);
}

static size_t list_configurations(struct configuration *all)
{
    const struct si_aead *const ciphers[] = {NULL, si_cipher_aead(SOTTO_CIPHER_AESGCM),
                                             si_cipher_aead(SOTTO_CIPHER_CHACHAPOLY)};
    size_t count = 0;

    for (size_t c = 0; c < SI_COUNT(ciphers); c++) {
        for (size_t i = 0; i < LENGTHS && lengths[i] <= PLAIN_MAX; i++) {
            for (int at_once = 0; at_once < 2; at_once++)
                all[count++] = (struct configuration){
                    .aead = ciphers[c], .record = lengths[i], .at_once = at_once == 1};
        }
    }
    return count;
}

static void try_loopback(void)
{
    static const char *const columns[] = {"MiB/s", "sender, us/MiB", "receiver, us/MiB", NULL};
    static struct configuration all[CONFIGURATIONS_MAX];
    size_t count = list_configurations(all);

    for (int round = 0; round < tries_rounds; round++) {
        for (size_t i = 0; i < count; i++)
            run_configuration(&all[i], round);
    }
    tries_head("records: 1 MiB sealed, over loopback, and opened", columns);
    for (size_t i = 0; i < count; i++) {
        const struct message m = {.aead = all[i].aead, .record = all[i].record};
        char name[64], line[96];

        name_line(name, sizeof name, &m);
        (void)snprintf(line, sizeof line, "%s, %s", name,
                       all[i].at_once ? "one send for all" : "a send for each");
        tries_line(line, all[i].samples, 3);
    }
}

void try_records(void)
{
    static const char *const columns[] = {"sealing, us/MiB", "opening, us/MiB", NULL};

    tries_head("records: 1 MiB in records of", columns);
    try_cipher(si_cipher_aead(SOTTO_CIPHER_AESGCM));
    try_cipher(si_cipher_aead(SOTTO_CIPHER_CHACHAPOLY));
    try_loopback();
}
