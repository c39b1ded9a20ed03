/* json_check.h - is this JSON, to the letter of RFC 8259, and is it something we can hold? */
#ifndef HOLDFAST_SERVER_JSON_CHECK_H
#define HOLDFAST_SERVER_JSON_CHECK_H

#include "problem.h"

enum {
    JSON_DEPTH_MAX = 16,
    JSON_VALUES_MAX = 16 * 1024, /* a full batch needs half of it */
};

/* Exactly one value, valid UTF-8, no escaped NUL (the parser behind cannot hold it), within
 * the two bounds above; only white space around it. */
bool json_check(struct slice body, struct problem *problem);

#endif
