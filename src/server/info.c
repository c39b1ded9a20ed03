/* info.c - what this node and its cluster are: /status, /cluster/info, /version. */
#include "call.h"

#include <event2/event.h>
#include <stdio.h>

const char *info_state_name(enum raft_role role)
{
    switch (role) {
    case RAFT_LEADER:
        return "leader";
    case RAFT_PRECANDIDATE: /* a candidate to people: it looks for a leader */
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_FOLLOWER:
        break;
    }
    return "follower";
}

static const struct node_member *find_member(const struct node_member *members, uint32_t n,
                                             raft_id id)
{
    for (uint32_t i = 0; i < n; i++)
        if (members[i].id == id)
            return &members[i];
    return NULL;
}

/* Text that may not be known yet. */
static void member_or_null(struct json_out *out, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_member_text(out, name, text);
    else
        json_member_null(out, name);
}

static void write_leader(struct json_out *out, const struct node_status *status,
                         const struct node_member *members, uint32_t n)
{
    const struct node_member *leader = find_member(members, n, status->leader);
    char url[ADDRESS_MAX + sizeof "http://"] = "";

    if (status->leader != 0)
        json_member_id(out, "leader", status->leader);
    else
        json_member_null(out, "leader");
    member_or_null(out, "leader_name", leader != NULL ? leader->name : NULL);
    if (status->leader != 0 && status->leader_http[0] != '\0') {
        memcpy(url, "http://", 7);
        memcpy(url + 7, status->leader_http, strlen(status->leader_http) + 1);
    }
    member_or_null(out, "leader_url", url);
}

/* ---- /status */

static void write_alarms(struct json_out *out, const struct node_status *status)
{
    json_name(out, "alarms");
    json_open(out, '[');
    if (status->disk_stalled)
        json_text(out, "disk_stalled");
    if (status->no_space)
        json_text(out, "no_space");
    if (status->at_quota)
        json_text(out, "quota");
    if (status->doubt == DOUBT_DIFFERS)
        json_text(out, "state_differs");
    if (status->doubt == DOUBT_UNDECIDED)
        json_text(out, "state_undecided");
    json_close(out, ']');
}

/* How far it is with the state that it gets whole from the leader. */
static void write_fetch(struct json_out *out, const struct node_status *status)
{
    if (!status->fetching) {
        json_member_null(out, "snapshot_fetch");
        return;
    }
    char say[64] = "asking for a snapshot";
    uint64_t percent = status->fetch_size > 0 ? status->fetch_bytes * 100 / status->fetch_size : 0;
    if (status->fetch_size > 0)
        snprintf(say, sizeof say, "fetching a snapshot: %u %%", (unsigned)percent);
    json_name(out, "snapshot_fetch");
    json_open(out, '{');
    json_member_text(out, "text", say);
    json_member_u64(out, "percent", percent);
    json_member_u64(out, "bytes", status->fetch_bytes);
    json_member_u64(out, "size", status->fetch_size);
    json_close(out, '}');
}

void info_status(struct call *call)
{
    struct server *server = call->server;
    const struct identity *identity = node_identity(server->node);
    struct node_member members[MEMBERS_MAX];
    struct node_status status;
    struct json_out out;

    node_status(server->node, &status);
    uint32_t n = node_members(server->node, members);
    json_init(&out);
    json_open(&out, '{');
    json_member_id(&out, "id", status.id);
    json_member_text(&out, "name", identity->name);
    json_member_id(&out, "cluster_id", identity->cluster);
    json_member_text(&out, "state", info_state_name(status.role));
    json_member_u64(&out, "term", status.term);
    write_leader(&out, &status, members, n);
    json_member_u64(&out, "commit_index", status.commit);
    json_member_u64(&out, "applied_index", status.applied);
    json_member_u64(&out, "durable_index", status.durable);
    json_member_u64(&out, "log_first_index", status.first);
    json_member_u64(&out, "log_last_index", status.last);
    json_member_u64(&out, "revision", status.revision);
    json_member_u64(&out, "keys", status.keys);
    json_member_id(&out, "digest", status.digest);
    if (status.leader == 0 || status.leader_silence_ms == UINT64_MAX)
        json_member_null(&out, "leader_silence_ms");
    else
        json_member_u64(&out, "leader_silence_ms", status.leader_silence_ms);
    json_member_text(&out, "storage", server->config.storage);
    json_member_text(&out, "version", PACKAGE_VERSION);
    json_member_u64(&out, "uptime_ms",
                    server->config.now_ms(server->config.arg) - server->started_ms);
    json_member_u64(&out, "time_ms", status.wall_ms);
    json_member_bool(&out, "stopping", status.stopping);
    write_fetch(&out, &status);
    write_alarms(&out, &status);
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

/* ---- /cluster/info */

/* What the leader said of this member, or NULL. */
static const struct info_member *told_of(const struct frame *info, raft_id id)
{
    if (info == NULL)
        return NULL;
    for (uint32_t i = 0; i < info->info_reply.n; i++)
        if (info->info_reply.members[i].id == id)
            return &info->info_reply.members[i];
    return NULL;
}

static void write_progress(struct json_out *out, const struct frame *info,
                           const struct info_member *told)
{
    if (told == NULL) {
        json_member_null(out, "match_index");
        json_member_null(out, "lag");
        json_member_null(out, "last_contact_ms");
        return;
    }
    raft_index last = info->info_reply.last;
    json_member_u64(out, "match_index", told->match);
    json_member_u64(out, "lag", last > told->match ? last - told->match : 0);
    if (told->silence_ms == UINT64_MAX)
        json_member_null(out, "last_contact_ms");
    else
        json_member_u64(out, "last_contact_ms", told->silence_ms);
}

static void write_member(struct json_out *out, const struct node_member *member,
                         const struct node_status *status, const struct frame *info)
{
    const struct info_member *told = told_of(info, member->id);
    bool voter = told != NULL ? told->voter : member->voter;

    json_open(out, '{');
    json_member_id(out, "id", member->id);
    member_or_null(out, "name", member->name);
    json_member_text(out, "raft_addr", member->raft_addr);
    member_or_null(out, "http_addr", member->http_addr);
    json_member_text(out, "role",
                     member->id == status->leader ? "leader"
                     : voter                      ? "voter"
                                                  : "learner");
    write_progress(out, info, told);
    json_member_bool(out, "self", member->id == status->id);
    json_close(out, '}');
}

/* With the leader's word if there was one, else with what this node knows alone. */
static void cluster_done(struct call *call)
{
    struct node *node = call->server->node;
    const struct frame *info = call->op.err == OK ? call->op.info : NULL;
    struct node_member members[MEMBERS_MAX];
    struct node_status status;
    struct json_out out;

    node_status(node, &status);
    uint32_t n = node_members(node, members);
    json_init(&out);
    json_open(&out, '{');
    json_member_id(&out, "cluster_id", node_identity(node)->cluster);
    write_leader(&out, &status, members, n);
    json_member_u64(&out, "term", status.term);
    if (info != NULL) {
        json_member_u64(&out, "commit_index", info->info_reply.commit);
        json_member_u64(&out, "log_last_index", info->info_reply.last);
    } else {
        json_member_u64(&out, "commit_index", status.commit);
        json_member_null(&out, "log_last_index");
    }
    json_member_u64(&out, "revision", status.revision);
    json_member_bool(&out, "from_leader", info != NULL);
    json_name(&out, "members");
    json_open(&out, '[');
    for (uint32_t i = 0; i < n; i++)
        write_member(&out, &members[i], &status, info);
    json_close(&out, ']');
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

void info_cluster(struct call *call)
{
    uint32_t timeout_ms = call->options.timeout_ms;
    call_submit_info(call, timeout_ms < HEALTH_TIMEOUT_MS ? timeout_ms : HEALTH_TIMEOUT_MS,
                     cluster_done);
}

/* ---- /version */

void info_version(struct call *call)
{
    struct json_out out;

    json_init(&out);
    json_open(&out, '{');
    json_member_text(&out, "holdfast", PACKAGE_VERSION);
    json_member_u64(&out, "api", 1);
    member_or_null(&out, "lmdb", call->server->config.lmdb_version);
    json_member_text(&out, "libevent", event_get_version());
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}
