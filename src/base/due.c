#include "base/due.h"

#include <stddef.h>

/* Two heaps become one.  Either may be NULL; neither has siblings. */
static struct si_due *merge(struct si_due *a, struct si_due *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (b->at < a->at) {
        struct si_due *swap = a;

        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

static void isolate(struct si_due *node)
{
    if (node != NULL)
        node->next = node->prev = NULL;
}

/* A node's children become one heap: pairs from the left, then all of these from the right. */
static struct si_due *merge_siblings(struct si_due *first)
{
    struct si_due *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct si_due *a = first, *b = a->next;

        first = b == NULL ? NULL : b->next;
        isolate(a);
        isolate(b);
        a = merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct si_due *pair = pairs;

        pairs = pair->next;
        isolate(pair);
        root = merge(root, pair);
    }
    return root;
}

void si_due_add(struct si_due **first, struct si_due *node)
{
    node->child = NULL;
    isolate(node);
    *first = merge(*first, node);
}

void si_due_remove(struct si_due **first, struct si_due *node)
{
    struct si_due *children = merge_siblings(node->child);

    if (node == *first) {
        *first = children;
        return;
    }
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    *first = merge(*first, children);
}
