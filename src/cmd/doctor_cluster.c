/* doctor_cluster.c - asks a cluster's nodes what they say of themselves and of each other. */
#include "doctor.h"

#include <holdfast/clock.h>

#include <cjson/cJSON.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_MAX = 3, LOOK_AGAIN_MS = 700 };

/* ---- answers */

static void copy_text(const cJSON *json, const char *name, char *out, size_t size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static uint64_t number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    bool good = cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e18;
    return good ? (uint64_t)item->valuedouble : UINT64_MAX;
}

static void join_alarms(const cJSON *list, char *out, size_t size)
{
    const cJSON *item;
    out[0] = '\0';
    cJSON_ArrayForEach(item, list) {
        size_t used = strlen(out);
        if (cJSON_IsString(item))
            snprintf(out + used, size - used, "%s%s", used > 0 ? "," : "", item->valuestring);
    }
}

bool doctor_read_status(struct holdfast_bytes bytes, uint64_t before_ms, uint64_t after_ms,
                        struct seen_node *out)
{
    cJSON *json = cJSON_ParseWithLength(bytes.data, bytes.size);
    copy_text(json, "id", out->id, sizeof out->id);
    copy_text(json, "name", out->name, sizeof out->name);
    copy_text(json, "cluster_id", out->cluster, sizeof out->cluster);
    copy_text(json, "state", out->state, sizeof out->state);
    copy_text(json, "leader", out->leader, sizeof out->leader);
    copy_text(json, "digest", out->digest, sizeof out->digest);
    copy_text(json, "version", out->version, sizeof out->version);
    join_alarms(cJSON_GetObjectItemCaseSensitive(json, "alarms"), out->alarms, sizeof out->alarms);
    out->term = number(json, "term");
    out->commit = number(json, "commit_index");
    out->applied = number(json, "applied_index");
    out->stopping = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "stopping"));
    out->fetching = cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, "snapshot_fetch"));
    uint64_t time_ms = number(json, "time_ms");
    out->clock_known = time_ms != UINT64_MAX;
    if (out->clock_known) {
        out->clock_ms = (int64_t)(time_ms - (before_ms + (after_ms - before_ms) / 2));
        out->clock_off_ms = (int64_t)((after_ms - before_ms) / 2 + 1);
    }
    out->answers = out->id[0] != '\0';
    cJSON_Delete(json);
    return out->answers;
}

void doctor_read_info(struct holdfast_bytes bytes, struct seen_cluster *out)
{
    cJSON *json = cJSON_ParseWithLength(bytes.data, bytes.size);
    const cJSON *item;
    out->n_members = 0;
    out->from_leader = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "from_leader"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "members")) {
        if (out->n_members == MEMBERS_MAX)
            break;
        struct seen_member *member = &out->members[out->n_members++];
        *member = (struct seen_member){ 0 };
        copy_text(item, "id", member->id, sizeof member->id);
        copy_text(item, "name", member->name, sizeof member->name);
        copy_text(item, "role", member->role, sizeof member->role);
        copy_text(item, "http_addr", member->http_addr, sizeof member->http_addr);
        copy_text(item, "raft_addr", member->raft_addr, sizeof member->raft_addr);
        member->match = number(item, "match_index");
        member->lag = number(item, "lag");
        member->silence_ms = number(item, "last_contact_ms");
    }
    cJSON_Delete(json);
}

/* ---- asking */

struct asking {
    struct holdfast *db;
    uint32_t timeout_ms;
};

static bool seen_already(const struct seen_cluster *cluster, const char *id)
{
    for (uint32_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].answers && strcmp(cluster->nodes[i].id, id) == 0)
            return true;
    return false;
}

static void ask_node(struct asking *asking, const char *url, struct seen_cluster *out)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    struct seen_node node = { .answers = false };
    snprintf(node.url, sizeof node.url, "%s", url);
    call.node = url;
    call.timeout_ms = asking->timeout_ms;
    uint64_t before_ms = clock_wall_ms();
    struct holdfast_result *result = holdfast_status(asking->db, &call);
    if (result->error != HOLDFAST_OK)
        snprintf(node.why, sizeof node.why, "%s", result->message);
    else if (!doctor_read_status(result->json, before_ms, clock_wall_ms(), &node))
        snprintf(node.why, sizeof node.why, "the answer is not a Holdfast node's");
    holdfast_result_free(result);
    /* A node may have two names: localhost and 127.0.0.1. */
    if (!node.answers || !seen_already(out, node.id))
        out->nodes[out->n_nodes++] = node;
}

/* From whoever answers; the leader's own view comes with it if there is a leader. */
static void ask_members(struct asking *asking, struct seen_cluster *out)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    call.timeout_ms = asking->timeout_ms;
    struct holdfast_result *result = holdfast_info(asking->db, &call);
    if (result->error == HOLDFAST_OK)
        doctor_read_info(result->json, out);
    holdfast_result_free(result);
}

static void look(struct asking *asking, struct seen_cluster *out)
{
    char (*urls)[HOLDFAST_URL_MAX] = memory_new_array(HOLDFAST_NODES_MAX, HOLDFAST_URL_MAX);
    memset(out, 0, sizeof *out);
    ask_members(asking, out);
    size_t n = holdfast_nodes(asking->db, urls, HOLDFAST_NODES_MAX);
    for (size_t i = 0; i < n && i < HOLDFAST_NODES_MAX; i++)
        ask_node(asking, urls[i], out);
    free(urls);
}

/* One leader, whom all that answer follow: else it may be an election, and is worth a second look. */
static bool settled(const struct seen_cluster *cluster)
{
    unsigned leaders = 0;
    const struct seen_node *first = NULL;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (!node->answers)
            continue;
        leaders += strcmp(node->state, "leader") == 0;
        if (first == NULL)
            first = node;
        if (node->term != first->term || strcmp(node->leader, first->leader) != 0)
            return false;
    }
    return leaders == 1 && cluster->from_leader;
}

static bool any_behind(const struct seen_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n_members; i++)
        if (cluster->members[i].lag != UINT64_MAX && cluster->members[i].lag > 0)
            return true;
    return false;
}

/* Who is behind, is heard of, and has not come closer since. */
static void find_stuck(struct asking *asking, struct seen_cluster *cluster)
{
    struct seen_cluster *later = memory_new(sizeof *later);
    poll(NULL, 0, LOOK_AGAIN_MS);
    ask_members(asking, later);
    for (uint32_t i = 0; later->from_leader && i < cluster->n_members; i++) {
        struct seen_member *member = &cluster->members[i];
        for (uint32_t j = 0; j < later->n_members; j++)
            if (strcmp(later->members[j].id, member->id) == 0 && member->lag != UINT64_MAX &&
                member->lag > 0 && later->members[j].lag > 0)
                member->stuck = later->members[j].match == member->match;
    }
    free(later);
}

static bool any_answer(const struct seen_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].answers)
            return true;
    return false;
}

int doctor_online(struct report *report, const char *endpoints, uint32_t timeout_ms)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char why[HOLDFAST_MESSAGE_MAX];
    struct asking asking = { .timeout_ms = timeout_ms };
    options.user_agent = "holdfast";
    if (holdfast_open(endpoints, &options, &asking.db, why) != HOLDFAST_OK)
        return usage_error("%s", why);
    struct seen_cluster *cluster = memory_new(sizeof *cluster);
    look(&asking, cluster);
    bool any = any_answer(cluster);
    for (int looks = 1; any && !settled(cluster) && looks < LOOKS_MAX; looks++) {
        poll(NULL, 0, LOOK_AGAIN_MS);
        look(&asking, cluster);
    }
    if (any && any_behind(cluster))
        find_stuck(&asking, cluster);
    if (any)
        doctor_judge(report, cluster);
    else
        report_find(report, FINDING_PROBLEM, "cluster",
                    "start the nodes, or name others with --endpoints or HOLDFAST_ENDPOINTS",
                    "no node answers at %s", endpoints);
    holdfast_close(asking.db);
    free(cluster);
    int status = report_end(report);
    return any ? status : COMMAND_NO_CLUSTER;
}
