/* batch_in.h - the body of POST /batch, from JSON to operations. */
#ifndef HOLDFAST_SERVER_BATCH_IN_H
#define HOLDFAST_SERVER_BATCH_IN_H

#include "problem.h"

#include <holdfast/wire.h>

struct cJSON;

/* Reads into `ops`, an array of BATCH_OPS_MAX places; their bytes are borrowed from the tree, which
 * is to be read once.  What is accepted is within limits.h. */
bool batch_read(const struct cJSON *tree, struct kv_op *ops, uint32_t *n, struct problem *problem);

/* How an operation of this type is called, and which member names its key. */
const char *batch_type_name(enum kv_op_type type);
const char *batch_key_member(enum kv_op_type type);

#endif
