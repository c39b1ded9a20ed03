/* room.c - what all connections of a server may hold together, and who yields when it is full.
 *
 * Small bodies and answers are bounded by the number of connections.  What is larger is counted
 * while it is in memory, and has one bound for all.  At that bound, and at the number of
 * connections, those on which nothing has moved for longest make room; if all move, the newcomer
 * is refused.  Connections that the handler trusts yield last and are never refused. */
#include "http_internal.h"

#include <malloc.h>

enum {
    YIELD_PART = 16,               /* of the connections, at most so many yield at once */
    TRIM_BYTES = 16 * 1024 * 1024, /* held at most, since memory was last given back */
};

static uint64_t still_ms(const struct connection *connection)
{
    return connection->server->now_ms - connection->since_ms;
}

/* Whose end would help. */
struct wanted {
    bool bytes;   /* that it holds, not the connection itself */
    bool trusted;
    const struct connection *except;
};

/* For how long it has not moved; 0: it may not end. */
static uint64_t yielding_ms(const struct connection *c, const struct wanted *wanted)
{
    if (c == wanted->except || c->on_fresh || c->on_leaving || c->phase == PHASE_HANDLING ||
        c->trusted != wanted->trusted || (wanted->bytes && c->held == 0) ||
        still_ms(c) < c->server->config.still_ms)
        return 0;
    return still_ms(c);
}

/* Ends up to n connections, of those that are still for more than half of the longest time. */
static bool yield_some(struct http_server *server, const struct wanted *wanted, uint32_t n)
{
    uint64_t longest = 0;
    struct connection *c, *next;
    TAILQ_FOREACH(c, &server->connections, entry) {
        uint64_t ms = yielding_ms(c, wanted);
        longest = ms > longest ? ms : longest;
    }
    if (longest == 0)
        return false;
    for (c = TAILQ_FIRST(&server->connections); c != NULL && n > 0; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (yielding_ms(c, wanted) <= longest / 2)
            continue;
        server->stats.connections_yielded++;
        n--;
        connection_cut(c);
    }
    return true;
}

void room_for_connections(struct http_server *server)
{
    uint32_t n = server->config.connections_max / YIELD_PART + 1;
    if (!yield_some(server, &(struct wanted){ 0 }, n))
        (void)yield_some(server, &(struct wanted){ .trusted = true }, n);
}

bool room_for_bytes(struct connection *connection, size_t bytes)
{
    struct http_server *server = connection->server;
    struct wanted wanted = { .bytes = true, .except = connection };
    while (server->held + bytes > server->config.held_max && !connection->trusted)
        if (!yield_some(server, &wanted, 1))
            return false;
    return true;
}

void room_hold(struct connection *connection, size_t bytes)
{
    struct http_server *server = connection->server;
    connection->held += bytes;
    server->held += bytes;
    server->held_most = server->held > server->held_most ? server->held : server->held_most;
    server->stats.bytes_held = server->held;
}

void room_release(struct connection *connection)
{
    connection->server->held -= connection->held;
    connection->server->stats.bytes_held = connection->server->held;
    connection->held = 0;
}

/* The C library keeps what was freed; after a burst that could be all that the bound allows. */
void room_sweep(struct http_server *server)
{
    if (server->held_most < TRIM_BYTES || server->held > server->held_most / 4)
        return;
    server->held_most = server->held;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
