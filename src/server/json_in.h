/* json_in.h - reads JSON bodies: known members of the right type, each once, nothing else. */
#ifndef HOLDFAST_SERVER_JSON_IN_H
#define HOLDFAST_SERVER_JSON_IN_H

#include "problem.h"

#include <stdint.h>

struct cJSON;

enum json_type { JSON_STRING, JSON_BASE64, JSON_COUNT, JSON_BOOL, JSON_ARRAY };

/* One member that an object may have. */
struct json_member_spec {
    const char *name;
    enum json_type type;
};

enum { JSON_MEMBERS_MAX = 16 };

struct json_value {
    bool present;
    struct slice text;         /* STRING, and BASE64 decoded; lives as long as the tree */
    uint64_t count;            /* COUNT: a whole number, not negative, below 2^53; BOOL: 0 or 1 */
    const struct cJSON *first; /* ARRAY: its first element or NULL */
};

/* Parses a whole body, whose outermost value must be an object.  NULL: `problem` says why. */
struct cJSON *json_parse(struct slice body, struct problem *problem);
void json_free(struct cJSON *tree);

/* Reads the members of `object` into `values`, in the order of the specs.  An unknown or
 * repeated member or a wrong type is a problem; an absent one is not.  `where` begins the
 * message ("operation 3: ", or "").  Reads each object once: base64 is decoded in place. */
bool json_read_object(const struct cJSON *object, const struct json_member_spec *specs, size_t n,
                      const char *where, struct json_value *values, struct problem *problem);

/* Array elements, one after the other; NULL at the end. */
const struct cJSON *json_next(const struct cJSON *element);

/* The body of a PUT: {"value": text} or {"value_b64": base64}.  `*value` is borrowed from the
 * body or from `*tree`, which the caller frees (it may be NULL) when it is done with it. */
bool json_read_value(struct slice body, struct cJSON **tree, struct slice *value,
                     struct problem *problem);

/* The same by the general parser alone, for the tests. */
bool json_read_value_slowly(struct slice body, struct cJSON **tree, struct slice *value,
                            struct problem *problem);

/* True if the first byte that is not white space is '{'. */
bool json_looks_like_object(struct slice body);

#endif
