/*
 * noise_vectors: the Noise layer and the primitives below it against vectors.
 *
 *     noise_vectors OWN_FILE [FOLDER]
 *
 * OWN_FILE is noise.json; FOLDER holds the published files of the table below, every one.  Prints a
 * line for each and a sum; exit status 1 when a vector failed, a file is missing or malformed, or a
 * number is not the one that stands here.  Those numbers are the control of the runner itself: a
 * name that is refused by mistake, or a part of a file that is not read, changes them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "formats.h"
#include "tree.h"

struct source {
    const char *file; /* in the folder; NULL: the own file */
    format *run;
    const char *which;
    unsigned vectors, not_applicable; /* as they should be */
};

static const struct source own[] = {
    {NULL, run_handshakes, "handshakes", 402, 0},
    {NULL, run_noisesocket, "noisesocket", 24, 0},
    {NULL, run_noisesocket, "noisesocket_fallback", 4, 0},
    {NULL, run_low_order, "low_order", 19, 0},
    {NULL, run_not_low_order, "not_low_order", 11, 0},
};

static const struct source published[] = {
    {"cacophony.txt", run_handshakes, "vectors", 944, 0},
    {"snow.txt", run_handshakes, "vectors", 408, 0},
    /* P256 and XChaChaPoly: no part of revision 34 */
    {"snow-extended.txt", run_handshakes, "vectors", 204, 204},
    {"noise.net-snow-multipsk.txt", run_handshakes, "vectors", 104, 0},
    {"noise-c-rev32-basic.txt", run_handshakes, "vectors", 240, 0},
    {"noise-c-rev32-fallback.txt", run_handshakes, "vectors", 16, 0},
    {"flynn-vectors.txt", run_flynn, "", 1920, 0},
    {"noisesocket-rev2.json", run_noisesocket, "vectors", 1440, 0},
    {"wycheproof/x25519_test.json", run_dh, "25519", 518, 0},
    {"wycheproof/x448_test.json", run_dh, "448", 510, 0},
    {"wycheproof/chacha20_poly1305_test.json", run_aead, "ChaChaPoly", 325, 9},
    {"wycheproof/aes_gcm_test.json", run_aead, "AESGCM", 316, 250},
    {"wycheproof/hmac_sha256_test.json", run_hmac, "SHA256", 174, 0},
    {"wycheproof/hmac_sha512_test.json", run_hmac, "SHA512", 174, 0},
    {"wycheproof/pbkdf2_hmacsha256_test.json", run_pbkdf2, "SHA256", 60, 0},
    {"wycheproof/pbkdf2_hmacsha512_test.json", run_pbkdf2, "SHA512", 58, 0},
};

/* The whole file; *LEN is its length. */
static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    char *text;
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0)
        malformed(path, "cannot be read, or is empty");
    rewind(file);
    text = malloc((size_t)size);
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size)
        malformed(path, "cannot be read");
    (void)fclose(file);
    *len = (size_t)size;
    return text;
}

/* Runs one line of the table; adds to SUM. */
static bool run_source(const struct source *source, const char *path, const char *label,
                       struct report *sum)
{
    struct report report = {.file = label};
    size_t len;
    char *text = read_file(path, &len);
    bool good;

    source->run(si_span(text, len), source->which, &report);
    free(text);
    report_print(&report);
    good = report.failed == 0 && report.vectors == source->vectors &&
           report.not_applicable == source->not_applicable;
    if (report.vectors != source->vectors || report.not_applicable != source->not_applicable)
        printf("    WRONG COUNT: should be %u vectors, %u of them not applicable\n",
               source->vectors, source->not_applicable);
    (void)fflush(stdout);
    sum->vectors += report.vectors;
    sum->passed += report.passed;
    sum->failed += report.failed;
    sum->not_applicable += report.not_applicable;
    return good;
}

static bool run_own(const char *path, struct report *sum)
{
    bool good = true;

    for (size_t i = 0; i < SI_COUNT(own); i++) {
        char label[64];

        (void)snprintf(label, sizeof label, "noise.json, %s", own[i].which);
        good = run_source(&own[i], path, label, sum) && good;
    }
    return good;
}

static bool run_published(const char *folder, struct report *sum)
{
    bool good = true;

    for (size_t i = 0; i < SI_COUNT(published); i++) {
        char path[4096];

        (void)snprintf(path, sizeof path, "%s/%s", folder, published[i].file);
        good = run_source(&published[i], path, published[i].file, sum) && good;
    }
    return good;
}

int main(int argc, char **argv)
{
    struct report sum = {.file = "all"};
    bool good;

    if (argc < 2 || argc > 3) {
        (void)fputs("usage: noise_vectors OWN_FILE [FOLDER]\n", stderr);
        return 2;
    }
    report_print_head();
    good = run_own(argv[1], &sum);
    if (argc == 3)
        good = run_published(argv[2], &sum) && good;
    report_print(&sum);
    if (sum.passed == 0)
        good = false;
    puts(good ? "all vectors as they should be" : "NOT as it should be");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
