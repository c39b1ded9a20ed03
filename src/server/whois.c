/* whois.c - GET /raft/whois, on the raft port: a node without a data directory that looks for others
 * (--discover) learns that this one belongs to a cluster, what that began with, and which of its
 * members never came. */
#include "call.h"

#include <stdlib.h>

void whois_get(struct server *server, struct http_request *request)
{
    struct configuration *first = memory_new(sizeof *first);
    struct node_member members[MEMBERS_MAX];
    const struct identity *identity = node_identity(server->node);
    uint32_t n = node_members(server->node, members);
    struct json_out out;

    json_init(&out);
    json_open(&out, '{');
    json_member_id(&out, "cluster_id", identity->cluster);
    json_member_text(&out, "raft_addr", identity->raft_addr);
    json_name(&out, "first_members");
    json_open(&out, '[');
    bool known = node_first_members(server->node, first);
    for (uint32_t i = 0; known && i < first->members.n; i++)
        json_text(&out, first->raft_addr[i]);
    json_close(&out, ']');
    json_name(&out, "vacant");
    json_open(&out, '[');
    for (uint32_t i = 0; i < n; i++)
        if (members[i].name[0] == '\0' && members[i].id != identity->id)
            json_text(&out, members[i].raft_addr);
    json_close(&out, ']');
    json_close(&out, '}');
    json_end(&out);
    http_reply(request, 200, "application/json", NULL, 0, json_slice(&out));
    json_fini(&out);
    free(first);
}
