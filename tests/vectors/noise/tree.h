/*
 * tree.h: a JSON text as a tree, read with the library's own reader (json/json.h).
 *
 * A file of vectors is taken for well-formed: whatever is not, ends the program with a word about
 * it.  All memory belongs to the tree and lives until tree_free().
 */
#ifndef TREE_H
#define TREE_H

#include "json/json.h"

struct node {
    const char *name; /* of a member; "" for an element */
    enum si_json_type type;
    const char *text; /* STRING: unescaped, NUL-terminated */
    uint64_t number;  /* NUMBER: not negative, no fraction; else 0 */
    struct node *first, *next;
};

struct tree {
    const char *file; /* for what it says at the end */
    struct chunk *chunks;
    struct node *root;
};

/* TEXT, an object.  FILE is its name and outlives the tree. */
struct tree tree_read(const char *file, struct si_span text);
void tree_free(struct tree *tree);

/* LEN bytes of the tree's memory, all zero. */
void *tree_take(struct tree *tree, size_t len);

/* The member NAME of an object, or NULL. */
const struct node *tree_member(const struct node *object, const char *name);

/* Of the member NAME.  A text: NULL when there is none.  Bytes from lower-case hex: without a
 * pointer when there are none, with one when they are empty.  A list's first element, or NULL. */
const char *tree_text(const struct node *object, const char *name);
struct si_span tree_bytes(struct tree *tree, const struct node *object, const char *name);
const struct node *tree_list(const struct node *object, const char *name);
uint64_t tree_number(const struct node *object, const char *name);
bool tree_true(const struct node *object, const char *name);

/* The bytes of TEXT, LEN hexadecimal digits. */
struct si_span tree_unhex(struct tree *tree, const char *text, size_t len);

/* Ends the program: FILE is not what it should be. */
_Noreturn void malformed(const char *file, const char *why);

#endif
