/*
 * rpc/idtree.h: from an id to the call that it names.
 *
 * A digital search tree: every node holds an id, and its n-th level branches on the id's n-th bit,
 * the lowest first.  Ids have 53 bits, so no choice of ids, however hostile, makes a path longer
 * than 54 nodes, and ids that count upward, as they usually do, make a balanced tree.  Nodes are
 * part of the calls: nothing here allocates, and nothing can fail.
 */
#ifndef SI_RPC_IDTREE_H
#define SI_RPC_IDTREE_H

#include <stdint.h>

struct si_id_node {
    uint64_t id;
    struct si_id_node *child[2];
};

/* The node of ID, or NULL.  ROOT is NULL when the tree is empty. */
struct si_id_node *si_id_find(struct si_id_node *root, uint64_t id);

/* Put NODE, whose id is set and not in the tree, into the tree. */
void si_id_insert(struct si_id_node **root, struct si_id_node *node);

/* Take NODE, which is in the tree, out of it. */
void si_id_remove(struct si_id_node **root, struct si_id_node *node);

#endif
