/* one_node.h - a real node that is its whole cluster, on memory storage, in this process. */
#ifndef TESTS_SUPPORT_ONE_NODE_H
#define TESTS_SUPPORT_ONE_NODE_H

#include "rest.h"

struct one_node;

struct one_node *one_node_new(void);
void one_node_free(struct one_node *one);
struct rest_backend one_node_backend(struct one_node *one);

struct node *one_node_node(struct one_node *one);
/* While held, nothing written becomes durable. */
void one_node_hold_disk(struct one_node *one, bool held);
/* A bit of this key's stored value turns over; false: it is not in the store. */
bool one_node_damage(struct one_node *one, const char *key);

#endif
