/* query.h - the parameters of a URL's query. */
#ifndef TRANSPORT_QUERY_H
#define TRANSPORT_QUERY_H

#include <holdfast/blob.h>

enum { QUERY_PARAMETERS_MAX = 32 };

struct query_parameter {
    const char *name; /* decoded, NUL-terminated; holds no NUL itself */
    struct slice value;
};

struct query {
    unsigned n;
    struct query_parameter parameters[QUERY_PARAMETERS_MAX];
};

/* Decodes "a=1&flag&b=%00" into `query`; the bytes go to `space`, which has room for
 * text.size + 1.  Returns NULL, or a sentence that says what is wrong. */
const char *query_parse(struct slice text, struct query *query, unsigned char *space);
const struct query_parameter *query_find(const struct query *query, const char *name);

#endif
