/* query.c - takes a query apart.  libevent's own parser refuses "?flag" and cuts values at NUL. */
#include "query.h"

#include "percent.h"

static const char *parse_one(struct slice text, struct query *query, unsigned char **space)
{
    const char *begin = text.data;
    const char *equals = memchr(begin, '=', text.size);
    size_t name_size = equals != NULL ? (size_t)(equals - begin) : text.size;
    struct slice value = equals != NULL ? slice_of(equals + 1, text.size - name_size - 1)
                                        : slice_of(NULL, 0);
    if (name_size == 0)
        return "a query parameter has no name";
    if (query->n == QUERY_PARAMETERS_MAX)
        return "the query has more than 32 parameters";

    struct query_parameter *parameter = &query->parameters[query->n];
    size_t size;
    unsigned char *name = *space;
    if (!percent_decode(slice_of(begin, name_size), true, name, &size))
        return "a percent sign in the query must be followed by two hex digits";
    if (memchr(name, '\0', size) != NULL)
        return "the name of a query parameter holds a NUL byte";
    name[size] = '\0';
    parameter->name = (const char *)name;
    /* The terminator takes the place of the '=' or '&' that followed. */
    *space += size + 1;
    if (!percent_decode(value, true, *space, &size))
        return "a percent sign in the query must be followed by two hex digits";
    parameter->value = slice_of(*space, size);
    *space += size;
    if (query_find(query, parameter->name) != NULL)
        return "a query parameter is given twice";
    query->n++;
    return NULL;
}

const char *query_parse(struct slice text, struct query *query, unsigned char *space)
{
    const char *at = text.data;
    size_t left = text.size;
    query->n = 0;
    while (left > 0) {
        const char *ampersand = memchr(at, '&', left);
        size_t size = ampersand != NULL ? (size_t)(ampersand - at) : left;
        size_t step = ampersand != NULL ? size + 1 : size;
        if (size > 0) { /* "a=1&&b=2" and a trailing '&' do no harm */
            const char *why = parse_one(slice_of(at, size), query, &space);
            if (why != NULL)
                return why;
        }
        at += step;
        left -= step;
    }
    return NULL;
}

const struct query_parameter *query_find(const struct query *query, const char *name)
{
    for (unsigned i = 0; i < query->n; i++)
        if (strcmp(query->parameters[i].name, name) == 0)
            return &query->parameters[i];
    return NULL;
}
