/* cursor.h - where the next page of a list begins, as text that clients hand back unread. */
#ifndef HOLDFAST_SERVER_CURSOR_H
#define HOLDFAST_SERVER_CURSOR_H

#include "problem.h"

#include <holdfast/node.h>

#include <stdint.h>

/* version, digest of the query, last key, checksum; in base64 */
enum {
    CURSOR_BYTES_MAX = 1 + 8 + KEY_SIZE_MAX + 8,
    CURSOR_TEXT_MAX = (CURSOR_BYTES_MAX + 2) / 3 * 4,
};

/* What ties a cursor to its list: prefix, start, end and order of `query`, and the cluster.
 * How many keys a page has, and whether with values, may change from page to page. */
uint64_t cursor_digest(uint64_t cluster, const struct list_query *query);

/* Returns the characters written to `out`; no NUL. */
size_t cursor_encode(uint64_t digest, struct slice last_key, char out[CURSOR_TEXT_MAX]);

/* `key` has room for KEY_SIZE_MAX bytes; *after is set to what of it is used. */
bool cursor_decode(uint64_t digest, struct slice text, unsigned char *key, struct slice *after,
                   struct problem *problem);

#endif
