#include "rpc/idtree.h"

#include <stddef.h>

struct si_id_node *si_id_find(struct si_id_node *root, uint64_t id)
{
    uint64_t bits = id;

    while (root != NULL && root->id != id) {
        root = root->child[bits & 1];
        bits >>= 1;
    }
    return root;
}

void si_id_insert(struct si_id_node **root, struct si_id_node *node)
{
    uint64_t bits = node->id;

    while (*root != NULL) {
        root = &(*root)->child[bits & 1];
        bits >>= 1;
    }
    node->child[0] = node->child[1] = NULL;
    *root = node;
}

/* Every node below NODE has the bits that lead to NODE, so any leaf below may take its place. */
void si_id_remove(struct si_id_node **root, struct si_id_node *node)
{
    struct si_id_node **place = root, **below, *leaf;
    uint64_t bits = node->id;

    while (*place != node) {
        place = &(*place)->child[bits & 1];
        bits >>= 1;
    }
    below = place;
    while ((*below)->child[0] != NULL || (*below)->child[1] != NULL)
        below = &(*below)->child[(*below)->child[0] == NULL];
    leaf = *below;
    *below = NULL;
    if (leaf == node)
        return;
    leaf->child[0] = node->child[0];
    leaf->child[1] = node->child[1];
    *place = leaf;
}
