/*
 * line.h: the plain line protocol of noise_peer.
 *
 * A request is a line of words with one space between them; the answer is a line "ok …" or
 * "err E_NAME".  Bytes are lower-case hex, no bytes at all are "-".  What is not a request ends the
 * program: it is a fault of the driver, and no result of the library.
 *
 * Bytes are decoded into memory of exactly their length, so that AddressSanitizer sees a library
 * that reads beyond them.
 */
#ifndef LINE_H
#define LINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <sotto/noise.h>

enum { LINE_WORDS_MAX = 24 };

struct line {
    char *text;
    size_t size;
    char *word[LINE_WORDS_MAX];
    size_t count;
    void *owned[LINE_WORDS_MAX]; /* what was decoded or made, until the next line */
    size_t owned_count;
};

/* Say what is wrong and end the program. */
_Noreturn void line_die(const char *what);

/* The next request; 0 at the end of the input. */
int line_read(struct line *line, FILE *in);
void line_free(struct line *line);

/* Memory for an answer, LEN bytes with a pattern in them. */
sotto_room line_room(struct line *line, size_t len);

/* Arguments.  line_named() is the VALUE of the word "NAME=VALUE", or NULL. */
const char *line_word(const struct line *line, size_t index);
const char *line_named(const struct line *line, const char *name);
unsigned line_number(const char *text);
uint64_t line_nonce(const char *text);
sotto_bytes line_bytes(struct line *line, const char *hex);

/* Answers. */
void line_ok(void);
void line_put_word(const char *word);
void line_put_number(uint64_t number);
void line_put_bytes(sotto_bytes bytes);
void line_end(void);
void line_err(sotto_err err);

#endif
