#include <stdio.h>
#include <stdlib.h>

#include "crypto/crypto.h"
#include "tree.h"

enum { DEPTH_MAX = 8, CHUNK_LEN = 1 << 16, ALIGN = 16 };

struct chunk {
    struct chunk *next;
    size_t used, len;
    _Alignas(ALIGN) uint8_t bytes[];
};

/* A reader must not be used by those that it calls, so there is one for each depth. */
struct reading {
    struct tree *tree;
    struct si_json **readers;
    unsigned depth;
    struct node **end; /* where the next node is hung up */
};

_Noreturn void malformed(const char *file, const char *why)
{
    (void)fprintf(stderr, "noise_vectors: %s: %s\n", file, why);
    exit(EXIT_FAILURE);
}

void *tree_take(struct tree *tree, size_t len)
{
    struct chunk *chunk = tree->chunks;
    void *place;

    len = (len + ALIGN - 1) / ALIGN * ALIGN;
    if (chunk == NULL || chunk->len - chunk->used < len) {
        size_t size = len > CHUNK_LEN ? len : CHUNK_LEN;

        chunk = calloc(1, sizeof *chunk + size);
        if (chunk == NULL)
            malformed(tree->file, "out of memory");
        chunk->next = tree->chunks;
        chunk->len = size;
        tree->chunks = chunk;
    }
    place = chunk->bytes + chunk->used;
    chunk->used += len;
    return place;
}

static const char *copy(struct tree *tree, struct si_span span)
{
    char *text = tree_take(tree, span.len + 1);

    if (span.len > 0)
        memcpy(text, span.ptr, span.len);
    return text;
}

static struct node *read_children(const struct reading *above, struct si_span text);

static sotto_err add_child(void *user, struct si_span name, const struct si_json_value *value)
{
    struct reading *reading = user;
    struct node *node = tree_take(reading->tree, sizeof *node);

    node->name = copy(reading->tree, name);
    node->type = value->type;
    if (value->type == SI_JSON_STRING)
        node->text = copy(reading->tree, value->str);
    if (value->type == SI_JSON_NUMBER && value->is_uint)
        node->number = value->uint;
    if (value->type == SI_JSON_ARRAY || value->type == SI_JSON_OBJECT)
        node->first = read_children(reading, value->raw);
    *reading->end = node;
    reading->end = &node->next;
    return SOTTO_OK;
}

static struct node *read_children(const struct reading *above, struct si_span text)
{
    struct node *first = NULL;
    struct reading reading = {above->tree, above->readers, above->depth + 1, &first};
    struct si_json **reader = &reading.readers[above->depth];
    struct si_json_error why = {0, "out of memory"};

    if (reading.depth > DEPTH_MAX)
        malformed(reading.tree->file, "nested too deep");
    if ((*reader == NULL && si_json_new(reader) != SOTTO_OK) ||
        si_json_each(*reader, text, add_child, &reading, &why) != SOTTO_OK)
        malformed(reading.tree->file, why.text);
    return first;
}

struct tree tree_read(const char *file, struct si_span text)
{
    struct tree tree = {.file = file};
    struct si_json *readers[DEPTH_MAX] = {NULL};
    struct reading reading = {&tree, readers, 0, NULL};

    tree.root = tree_take(&tree, sizeof *tree.root);
    tree.root->type = SI_JSON_OBJECT;
    tree.root->first = read_children(&reading, text);
    for (size_t i = 0; i < SI_COUNT(readers); i++)
        si_json_free(readers[i]);
    return tree;
}

void tree_free(struct tree *tree)
{
    while (tree->chunks != NULL) {
        struct chunk *chunk = tree->chunks;

        tree->chunks = chunk->next;
        free(chunk);
    }
    tree->root = NULL;
}

const struct node *tree_member(const struct node *object, const char *name)
{
    const struct node *node = object->first;

    while (node != NULL && strcmp(node->name, name) != 0)
        node = node->next;
    return node;
}

const char *tree_text(const struct node *object, const char *name)
{
    const struct node *node = tree_member(object, name);

    return node == NULL ? NULL : node->text;
}

struct si_span tree_unhex(struct tree *tree, const char *text, size_t len)
{
    uint8_t *bytes = tree_take(tree, len / 2 + 1);

    if (len % 2 != 0 || si_unhex(bytes, len / 2, si_span(text, len)) != SOTTO_OK)
        malformed(tree->file, "not hexadecimal");
    return si_span(bytes, len / 2);
}

struct si_span tree_bytes(struct tree *tree, const struct node *object, const char *name)
{
    const struct node *node = tree_member(object, name);

    if (node == NULL)
        return si_span(NULL, 0);
    if (node->text == NULL)
        malformed(tree->file, "a text is missing");
    return tree_unhex(tree, node->text, strlen(node->text));
}

const struct node *tree_list(const struct node *object, const char *name)
{
    const struct node *node = tree_member(object, name);

    return node == NULL || node->type != SI_JSON_ARRAY ? NULL : node->first;
}

uint64_t tree_number(const struct node *object, const char *name)
{
    const struct node *node = tree_member(object, name);

    return node == NULL ? 0 : node->number;
}

bool tree_true(const struct node *object, const char *name)
{
    const struct node *node = tree_member(object, name);

    return node != NULL && node->type == SI_JSON_TRUE;
}
