/* routes.c - one table: method and path, and who handles them.  To add a route, add a row here and
 * the handler to call.h, and describe it in holdfast-api(7). */
#include "call.h"

#include <holdfast/panic.h>

#include <stdio.h>

enum { READ_METHODS = HTTP_GET | HTTP_HEAD };

static const struct route table[] = {
    /* keys; the most frequent first */
    { READ_METHODS, "/kv/", true, "GET /kv/{key}", CLASS_READ, OPTIONS_READ | OPTION_RAW, kv_get },
    { HTTP_PUT, "/kv/", true, "PUT /kv/{key}", CLASS_WRITE,
      OPTIONS_FORWARDED | OPTION_IF_REVISION | OPTION_RAW, kv_put },
    { HTTP_DELETE, "/kv/", true, "DELETE /kv/{key}", CLASS_WRITE,
      OPTIONS_FORWARDED | OPTION_IF_REVISION, kv_delete },
    { READ_METHODS, "/kv", false, "GET /kv", CLASS_LIST,
      OPTIONS_READ | OPTIONS_LIST | OPTION_KEY | OPTION_RAW, kv_collection_get },
    { HTTP_PUT, "/kv", false, "PUT /kv?key=", CLASS_WRITE,
      OPTIONS_FORWARDED | OPTION_IF_REVISION | OPTION_RAW | OPTION_KEY, kv_put },
    { HTTP_DELETE, "/kv", false, "DELETE /kv", CLASS_WRITE,
      OPTIONS_FORWARDED | OPTION_IF_REVISION | OPTION_KEY | OPTION_PREFIX, kv_collection_delete },
    { HTTP_POST, "/batch", false, "POST /batch", CLASS_BATCH, OPTIONS_FORWARDED, batch_post },
    /* the node and the cluster */
    { READ_METHODS, "/cluster/info", false, "GET /cluster/info", CLASS_OTHER, OPTION_TIMEOUT,
      info_cluster },
    { READ_METHODS, "/cluster/members", false, "GET /cluster/members", CLASS_OTHER, OPTION_TIMEOUT,
      members_get },
    { HTTP_POST, "/cluster/members", false, "POST /cluster/members", CLASS_OTHER,
      OPTIONS_FORWARDED, members_add },
    { HTTP_DELETE, "/cluster/members/", true, "DELETE /cluster/members/{member}", CLASS_OTHER,
      OPTIONS_FORWARDED | OPTION_FORCE, members_delete },
    { HTTP_POST, "/cluster/members/", true, "POST /cluster/members/{member}/promote|replace",
      CLASS_OTHER, OPTIONS_FORWARDED | OPTION_FORCE, members_post },
    { HTTP_POST, "/cluster/leader", false, "POST /cluster/leader", CLASS_OTHER, OPTIONS_FORWARDED,
      members_leader },
    { HTTP_GET, "/snapshot", false, "GET /snapshot", CLASS_OTHER, OPTIONS_READ, snapshot_get },
    { READ_METHODS, "/status", false, "GET /status", CLASS_OTHER, 0, info_status },
    { READ_METHODS, "/stats", false, "GET /stats", CLASS_OTHER, 0, stats_get },
    { READ_METHODS, "/health", false, "GET /health", CLASS_OTHER, OPTION_TIMEOUT, health_get },
    { READ_METHODS, "/livez", false, "GET /livez", CLASS_OTHER, OPTION_VERBOSE, health_livez },
    { READ_METHODS, "/readyz", false, "GET /readyz", CLASS_OTHER, OPTION_VERBOSE, health_readyz },
    { READ_METHODS, "/leader", false, "GET /leader", CLASS_OTHER, 0, health_leader },
    { READ_METHODS, "/version", false, "GET /version", CLASS_OTHER, 0, info_version },
    { READ_METHODS, "/", false, "GET /", CLASS_OTHER, 0, root_get },
};

enum { ROUTES = sizeof table / sizeof table[0] };
_Static_assert((int)ROUTES <= (int)ROUTES_MAX, "the counters have a row for each route");

static bool path_matches(const struct route *route, struct slice path)
{
    struct slice own = slice_text(route->path);
    return route->prefix ? slice_has_prefix(path, own) : slice_equal(path, own);
}

const struct route *route_find(enum http_method method, struct slice path)
{
    for (size_t i = 0; i < ROUTES; i++)
        if ((table[i].methods & method) != 0 && path_matches(&table[i], path))
            return &table[i];
    return NULL;
}

size_t route_count(void)
{
    return ROUTES;
}

const struct route *route_at(size_t i)
{
    ASSERT(i < ROUTES);
    return &table[i];
}

size_t route_index(const struct route *route)
{
    return route != NULL ? (size_t)(route - table) : ROUTES;
}

/* ---- no such route */

enum { NEAR_MAX = 16 }; /* longer words are not compared */

/* How many single-character changes lead from a to b. */
static unsigned distance(struct slice a, struct slice b)
{
    const char *from = a.data, *to = b.data;
    unsigned row[NEAR_MAX + 1];

    for (unsigned j = 0; j <= b.size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned best = diagonal + (from[i - 1] != to[j - 1]);
            diagonal = row[j];
            if (diagonal + 1 < best)
                best = diagonal + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.size];
}

/* The route whose path looks most like this one, or NULL. */
static const struct route *nearest(struct slice path)
{
    const struct route *near = NULL;
    unsigned least = 3; /* two slips of the finger, no more */

    for (size_t i = 0; i < ROUTES; i++) {
        struct slice own = slice_text(table[i].path), asked = path;
        if (table[i].prefix) { /* compare up to the slash behind the first word */
            const char *bytes = path.data;
            const char *slash = path.size > 1 ? memchr(bytes + 1, '/', path.size - 1) : NULL;
            if (slash == NULL)
                continue;
            asked.size = (size_t)(slash - bytes) + 1;
        }
        if (own.size < 3 || own.size > NEAR_MAX || asked.size > NEAR_MAX)
            continue;
        unsigned steps = distance(asked, own);
        if (steps < least) {
            least = steps;
            near = &table[i];
        }
    }
    return near;
}

static void refuse_path(struct call *call, struct slice path)
{
    struct problem problem;
    const struct route *near = nearest(path);

    problem_set(&problem, ERR_NO_ROUTE, "", "there is nothing at %s", problem_quote(path).text);
    if (near != NULL)
        snprintf(problem.hint, sizeof problem.hint,
                 "did you mean %s%s? GET / lists the paths that are there", near->path,
                 near->prefix ? "{key}" : "");
    call_fail(call, &problem);
}

void route_refuse(struct call *call, enum http_method method, struct slice path)
{
    static const struct {
        enum http_method method;
        const char *name;
    } names[] = { { HTTP_GET, "GET" },
                  { HTTP_HEAD, "HEAD" },
                  { HTTP_PUT, "PUT" },
                  { HTTP_POST, "POST" },
                  { HTTP_DELETE, "DELETE" } };
    uint32_t methods = 0;
    char allow[64] = "";
    struct problem problem;
    const char *used = "this method";

    for (size_t i = 0; i < ROUTES; i++)
        if (path_matches(&table[i], path))
            methods |= table[i].methods;
    if (methods == 0) {
        refuse_path(call, path);
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(allow);
        if (names[i].method == method)
            used = names[i].name;
        if (methods & names[i].method)
            snprintf(allow + length, sizeof allow - length, "%s%s", length > 0 ? ", " : "",
                     names[i].name);
    }
    problem_set(&problem, ERR_METHOD_NOT_ALLOWED, "", "%s does not take %s",
                problem_quote(path).text, used);
    snprintf(problem.hint, sizeof problem.hint, "it takes %s", allow);
    call->allow = allow;
    call_fail(call, &problem);
}

/* ---- GET / */

void root_get(struct call *call)
{
    struct json_out out;

    json_init(&out);
    json_open(&out, '{');
    json_member_text(&out, "holdfast", PACKAGE_VERSION);
    json_member_text(&out, "documentation", "man 7 holdfast-api");
    json_name(&out, "routes");
    json_open(&out, '[');
    for (size_t i = 0; i < ROUTES; i++)
        json_text(&out, table[i].shown);
    json_close(&out, ']');
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}
