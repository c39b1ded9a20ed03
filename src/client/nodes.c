/* nodes.c - the nodes that a handle knows, and who of them is said to lead.
 *
 * Endpoints are the caller's and stay.  Other URLs come from answers: a name in an answer is
 * a claim, so nodes_accept decides which of them may be sent anything. */
#include "internal.h"

#include <stdio.h>

struct url {
    bool https;
    bool bracketed; /* an IPv6 address */
    char host[256];
    unsigned port;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c, bool bracketed)
{
    if (is_digit(c) || (c >= 'a' && c <= 'f') || c == '.')
        return true;
    return bracketed ? c == ':' : (c >= 'g' && c <= 'z') || c == '-' || c == '_';
}

static bool url_fail(char *why, const char *text, size_t size, const char *what)
{
    int shown = size > 100 ? 100 : (int)size;
    snprintf(why, HOLDFAST_MESSAGE_MAX, "endpoint \"%.*s\" %s, write it like http://localhost:8001",
             shown, text, what);
    return false;
}

/* "host", "[v6]" into url->host, lower case; returns where it ends, NULL if it is none. */
static const char *parse_host(const char *p, const char *end, struct url *url)
{
    size_t n = 0;
    url->bracketed = p < end && *p == '[';
    p += url->bracketed;
    for (; p < end; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        if (!is_host_char(c, url->bracketed))
            break;
        if (n + 1 >= sizeof(url->host))
            return NULL;
        url->host[n++] = c;
    }
    url->host[n] = '\0';
    if (url->bracketed && (p == end || *p++ != ']'))
        return NULL;
    return n == 0 ? NULL : p;
}

static bool parse_port(const char *p, const char *end, unsigned *port)
{
    unsigned value = 0;
    if (p == end || end - p > 5)
        return false;
    for (; p < end; p++) {
        if (!is_digit(*p))
            return false;
        value = value * 10 + (unsigned)(*p - '0');
    }
    *port = value;
    return value >= 1 && value <= 65535;
}

static bool url_read(const char *text, size_t size, struct url *url, char *why)
{
    const char *p = text, *end = text + size;
    if (size >= 7 && strncmp(p, "http://", 7) == 0) {
        url->https = false;
        p += 7;
    } else if (size >= 8 && strncmp(p, "https://", 8) == 0) {
        url->https = true;
        p += 8;
    } else if (memmem(p, size, "://", 3) != NULL) {
        return url_fail(why, text, size, "is neither http nor https");
    }
    if (p < end && end[-1] == '/')
        end--;
    bool port_alone = p == text && p < end;
    for (const char *q = p; q < end; q++)
        port_alone = port_alone && (is_digit(*q) || (q == p && *q == ':'));
    if (port_alone) {
        if (!parse_port(p + (*p == ':'), end, &url->port))
            return url_fail(why, text, size, "is no port from 1 to 65535");
        return true;
    }
    if (memchr(p, '@', (size_t)(end - p)) != NULL)
        return url_fail(why, text, size, "holds a user name");
    p = parse_host(p, end, url);
    if (p == NULL)
        return url_fail(why, text, size, "has no valid host");
    url->port = DEFAULT_PORT;
    if (p < end && *p == ':') {
        if (!parse_port(p + 1, end, &url->port))
            return url_fail(why, text, size, "has no port from 1 to 65535");
    } else if (p < end) {
        return url_fail(why, text, size, *p == '/' ? "holds a path" : "has no valid host");
    }
    return true;
}

bool url_parse(const char *text, size_t size, const char *before, char out[HOLDFAST_URL_MAX],
               char why[HOLDFAST_MESSAGE_MAX])
{
    struct url url = { .host = "localhost", .port = DEFAULT_PORT };
    if (before[0] != '\0' && !url_read(before, strlen(before), &url, why))
        return false;
    if (!url_read(text, size, &url, why))
        return false;
    snprintf(out, HOLDFAST_URL_MAX, "http%s://%s%s%s:%u", url.https ? "s" : "",
             url.bracketed ? "[" : "", url.host, url.bracketed ? "]" : "", url.port);
    return true;
}

static bool host_is(const char *url, const char *prefix)
{
    const char *host = strstr(url, "://") + 3;
    return strncmp(host, prefix, strlen(prefix)) == 0;
}

/* Addresses that mean "this machine" to whoever reads them. */
static bool url_is_loopback(const char *url)
{
    return host_is(url, "localhost:") || host_is(url, "127.") || host_is(url, "[::1]") ||
           host_is(url, "0.0.0.0:") || host_is(url, "[::]");
}

static struct known_node *find_node(struct nodes *nodes, const char *url)
{
    for (uint32_t i = 0; i < HOLDFAST_NODES_MAX; i++) {
        if (nodes->slots[i].id != 0 && strcmp(nodes->slots[i].url, url) == 0)
            return &nodes->slots[i];
    }
    return NULL;
}

bool nodes_init(struct nodes *nodes, const char *endpoints, bool only_endpoints,
                char why[HOLDFAST_MESSAGE_MAX])
{
    static const char separators[] = ", \t\r\n";
    char before[HOLDFAST_URL_MAX] = "";
    memset(nodes, 0, sizeof(*nodes));
    nodes->next_id = 1;
    nodes->only_endpoints = only_endpoints;
    for (const char *p = endpoints; *p != '\0';) {
        p += strspn(p, separators);
        size_t size = strcspn(p, separators);
        if (size == 0)
            break;
        char url[HOLDFAST_URL_MAX];
        if (!url_parse(p, size, before, url, why))
            return false;
        memcpy(before, url, sizeof(before));
        p += size;
        if (find_node(nodes, url) != NULL)
            continue;
        if (nodes->n_endpoints == HOLDFAST_ENDPOINTS_MAX) {
            snprintf(why, HOLDFAST_MESSAGE_MAX, "more than %d endpoints; some of the nodes suffice",
                     HOLDFAST_ENDPOINTS_MAX);
            return false;
        }
        struct known_node *node = &nodes->slots[nodes->n_endpoints++];
        node->id = nodes->next_id++;
        memcpy(node->url, url, sizeof(node->url));
    }
    if (nodes->n_endpoints == 0) {
        snprintf(why, HOLDFAST_MESSAGE_MAX,
                 "no endpoint given, name the nodes like http://localhost:8001,8002,8003");
        return false;
    }
    nodes->preferred = nodes->slots[0].id;
    return true;
}

bool nodes_accept(const struct nodes *nodes, const char *from, const char *text,
                  char out[HOLDFAST_URL_MAX])
{
    char why[HOLDFAST_MESSAGE_MAX];
    if (text[0] == '\0' || strstr(text, "://") == NULL ||
        !url_parse(text, strlen(text), "", out, why))
        return false;
    if (find_node((struct nodes *)nodes, out) != NULL)
        return true;
    if (nodes->only_endpoints)
        return false;
    /* From TLS never to plain text; and "localhost", said by a distant node, means itself,
     * while here it would be whatever listens on this machine. */
    bool downgrade = strncmp(from, "https:", 6) == 0 && strncmp(out, "https:", 6) != 0;
    bool elsewhere = url_is_loopback(out) && !url_is_loopback(from);
    return !downgrade && !elsewhere;
}

void nodes_learn(struct nodes *nodes, const char *url)
{
    if (find_node(nodes, url) != NULL)
        return;
    /* A free slot, else the one learned longest ago: members come and go over the years. */
    struct known_node *slot = NULL;
    for (uint32_t i = nodes->n_endpoints; i < HOLDFAST_NODES_MAX; i++) {
        if (slot == NULL || nodes->slots[i].id < slot->id)
            slot = &nodes->slots[i];
    }
    memset(slot, 0, sizeof(*slot));
    slot->id = nodes->next_id++;
    snprintf(slot->url, sizeof(slot->url), "%s", url);
}

void nodes_set_leader(struct nodes *nodes, const char *url)
{
    memset(nodes->leader, 0, sizeof(nodes->leader));
    snprintf(nodes->leader, sizeof(nodes->leader), "%s", url);
    if (url[0] != '\0')
        nodes_learn(nodes, url);
}

void nodes_on_answer(struct nodes *nodes, const char *url)
{
    struct known_node *node = find_node(nodes, url);
    if (node != NULL) {
        node->down_until_ms = 0;
        nodes->preferred = node->id;
    }
}

void nodes_on_failure(struct nodes *nodes, const char *url, uint64_t now_ms)
{
    struct known_node *node = find_node(nodes, url);
    if (node != NULL)
        node->down_until_ms = now_ms + DOWN_MS;
    if (strcmp(nodes->leader, url) == 0)
        nodes_set_leader(nodes, "");
}

bool round_has(const struct round *round, const char *url)
{
    for (uint32_t i = 0; i < round->n_asked; i++) {
        if (strcmp(round->asked[i], url) == 0)
            return true;
    }
    return false;
}

void round_add(struct round *round, const char *url)
{
    if (round->n_asked < sizeof(round->asked) / sizeof(round->asked[0]) && !round_has(round, url))
        snprintf(round->asked[round->n_asked++], HOLDFAST_URL_MAX, "%s", url);
}

bool nodes_pick(const struct nodes *nodes, const struct round *round, bool leader_first,
                uint64_t now_ms, char out[HOLDFAST_URL_MAX])
{
    if (leader_first && nodes->leader[0] != '\0' && !round_has(round, nodes->leader)) {
        memcpy(out, nodes->leader, HOLDFAST_URL_MAX);
        return true;
    }
    /* Best first: what answered last, then in order; what was down a moment ago comes last. */
    const struct known_node *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < HOLDFAST_NODES_MAX; i++) {
        const struct known_node *node = &nodes->slots[i];
        if (node->id == 0 || round_has(round, node->url))
            continue;
        int rank = (node->down_until_ms <= now_ms ? 2 : 0) + (node->id == nodes->preferred);
        if (best == NULL || rank > best_rank) {
            best = node;
            best_rank = rank;
        }
    }
    if (best == NULL)
        return false;
    memcpy(out, best->url, HOLDFAST_URL_MAX);
    return true;
}

uint32_t nodes_count(const struct nodes *nodes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < HOLDFAST_NODES_MAX; i++)
        n += nodes->slots[i].id != 0;
    return n;
}
