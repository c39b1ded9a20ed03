/* doctor_judge.c - what follows from what was seen of a cluster.  Asks nobody. */
#include "doctor.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEARD_MS = 3000,      /* who was silent for longer is not heard */
    CLOCKS_APART_MS = 1000,
    LAG_MAX = 10 * 1000,  /* entries */
};

static const char *called(const struct seen_node *node)
{
    return node->name[0] != '\0' ? node->name : node->url;
}

static const char *member_called(const struct seen_member *member)
{
    return member->name[0] != '\0' ? member->name : member->raft_addr;
}

static const struct seen_node *node_of(const struct seen_cluster *cluster, const char *id)
{
    for (uint32_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].answers && strcmp(cluster->nodes[i].id, id) == 0)
            return &cluster->nodes[i];
    return NULL;
}

static bool votes(const struct seen_member *member)
{
    return strcmp(member->role, "learner") != 0;
}

/* By the leader, or else by us. */
static bool is_heard(const struct seen_cluster *cluster, const struct seen_member *member)
{
    if (!cluster->from_leader)
        return node_of(cluster, member->id) != NULL;
    return strcmp(member->role, "leader") == 0 ||
           (member->silence_ms != UINT64_MAX && member->silence_ms <= HEARD_MS);
}

/* ---- who is there */

static void judge_member(struct report *report, const struct seen_cluster *cluster,
                         const struct seen_member *member)
{
    const struct seen_node *node = node_of(cluster, member->id);
    bool heard = is_heard(cluster, member);
    const char *name = member_called(member);
    const char *at = member->http_addr[0] != '\0' ? member->http_addr : member->raft_addr;
    if (!heard && !votes(member))
        report_find(report, FINDING_WARNING, name,
                    "start it, or take it out again with holdfast member remove",
                    "is a learner that %s",
                    cluster->from_leader ? "the leader does not hear" : "does not answer");
    else if (node == NULL && !heard)
        report_find(report, FINDING_PROBLEM, name,
                    "start it again with its own flags; if it is lost for good, replace it by a new "
                    "member",
                    "does not answer at %s%s", at,
                    cluster->from_leader ? ", and the leader does not hear it" : "");
    else if (node == NULL)
        report_find(report, FINDING_WARNING, name,
                    "look at its HTTP address and at what lies between",
                    "the leader hears it, but from here it does not answer at %s", at);
    else if (!heard)
        report_find(report, FINDING_PROBLEM, name,
                    "look at the network between the nodes, and at its log",
                    "answers here, but the leader does not hear it at %s", member->raft_addr);
}

static bool is_at(const struct seen_node *node, const struct seen_member *member)
{
    const char *host = strstr(node->url, "://");
    if (node->answers)
        return strcmp(node->id, member->id) == 0;
    return host != NULL && strcmp(host + 3, member->http_addr) == 0;
}

static void judge_strangers(struct report *report, const struct seen_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        bool member = false;
        for (uint32_t j = 0; j < cluster->n_members; j++)
            member = member || is_at(node, &cluster->members[j]);
        if (member || cluster->n_members == 0)
            continue;
        if (node->answers)
            report_find(report, FINDING_WARNING, called(node),
                        "stop it, or add it with holdfast member add",
                        "is no member of the cluster that the others are in");
        else
            report_find(report, FINDING_OK, node->url, "", "nobody is there, and no member should be");
    }
}

static void judge_clusters(struct report *report, const struct seen_cluster *cluster)
{
    const struct seen_node *first = NULL;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (!node->answers)
            continue;
        if (first == NULL)
            first = node;
        if (strcmp(node->cluster, first->cluster) != 0)
            report_find(report, FINDING_PROBLEM, called(node),
                        "name the nodes of one cluster; if they were to be one, start all with the "
                        "same set of raft addresses",
                        "is in cluster %s, but %s is in %s", node->cluster, called(first),
                        first->cluster);
    }
}

/* ---- who leads */

static void judge_leader(struct report *report, const struct seen_cluster *cluster)
{
    const struct seen_node *leader = NULL;
    uint64_t term = 0;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (node->answers && node->term > term)
            term = node->term;
        if (node->answers && strcmp(node->state, "leader") == 0 &&
            (leader == NULL || node->term > leader->term))
            leader = node;
    }
    if (leader == NULL && !cluster->from_leader) {
        report_find(report, FINDING_PROBLEM, "leader",
                    "start so many voters that a majority runs, and see that they reach each other",
                    "there is none: nothing can be written, nor read but stale");
        return;
    }
    if (leader != NULL)
        report_find(report, FINDING_OK, "leader", "", "%s leads in term %" PRIu64, called(leader),
                    leader->term);
    for (uint32_t i = 0; leader != NULL && i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (!node->answers || node == leader)
            continue;
        if (strcmp(node->state, "leader") == 0)
            report_find(report, FINDING_PROBLEM, called(node),
                        "look at the network between the nodes",
                        "believes to lead too, in term %" PRIu64 ": it is cut off from the others",
                        node->term);
        else if (node->term != leader->term || strcmp(node->leader, leader->id) != 0)
            report_find(report, FINDING_WARNING, called(node),
                        "ask again; if it stays so, look at the network between the nodes",
                        "is in term %" PRIu64 " and follows %s", node->term,
                        node->leader[0] != '\0' ? "another leader" : "nobody");
    }
}

static void judge_quorum(struct report *report, const struct seen_cluster *cluster)
{
    unsigned voters = 0, heard = 0;
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        const struct seen_member *member = &cluster->members[i];
        voters += votes(member);
        heard += votes(member) && is_heard(cluster, member);
    }
    unsigned majority = voters / 2 + 1;
    if (voters == 0)
        return;
    if (heard < majority)
        report_find(report, FINDING_PROBLEM, "quorum", "start more of them",
                    "%u of %u voters are there, %u are needed: the cluster stands still", heard,
                    voters, majority);
    else if (voters == 1)
        report_find(report, FINDING_WARNING, "quorum", "add two members",
                    "there is one voter: if it fails, the cluster stands still, and its disk is the "
                    "only one that holds the data");
    else if (heard == majority)
        report_find(report, FINDING_WARNING, "quorum",
                    heard < voters ? "bring the missing ones back soon" : "add a member",
                    "%u of %u voters are there: one more failure stops the cluster", heard, voters);
    else
        report_find(report, FINDING_OK, "quorum", "", "%u of %u voters are there: %u may fail", heard,
                    voters, heard - majority);
    if (voters > 1 && voters % 2 == 0)
        report_find(report, FINDING_WARNING, "quorum", "add or remove one",
                    "the number of voters, %u, is even: one more than %u that makes no failure more "
                    "bearable", voters, voters - 1);
}

/* ---- how they are */

static void judge_alarms(struct report *report, const struct seen_node *node)
{
    static const struct {
        const char *alarm, *what, *todo;
    } known[] = {
        { "disk_stalled", "its disk does not answer in time", "look at the disk" },
        { "no_space", "its storage is full: writes are refused",
          "delete keys, free space on the disk, or start it with larger maps" },
        { "quota", "its data is at the quota: writes are refused, deletes go on",
          "delete keys, or start the nodes with a larger --quota" },
        { "state_differs", "its data differs from what a majority holds: it serves nobody",
          doctor_replace },
        { "state_undecided", "the members hold different data and none has a majority",
          "start all members, so that a majority can tell" },
    };
    char alarms[sizeof node->alarms], *save, *alarm;
    memcpy(alarms, node->alarms, sizeof alarms);
    for (alarm = strtok_r(alarms, ",", &save); alarm != NULL; alarm = strtok_r(NULL, ",", &save)) {
        const char *what = "see holdfast-api(7)", *todo = "";
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (strcmp(alarm, known[i].alarm) == 0) {
                what = known[i].what;
                todo = known[i].todo;
            }
        report_find(report, FINDING_PROBLEM, called(node), todo, "alarm %s: %s", alarm, what);
    }
    if (node->stopping)
        report_find(report, FINDING_WARNING, called(node), "", "is stopping");
}

static void judge_lag(struct report *report, const struct seen_cluster *cluster,
                      const struct seen_member *member)
{
    const struct seen_node *node = node_of(cluster, member->id);
    const char *name = member_called(member);
    if (!is_heard(cluster, member) || member->lag == UINT64_MAX)
        return;
    if (node != NULL && node->fetching)
        report_find(report, FINDING_WARNING, name, "",
                    "is so far behind that it gets the whole state from the leader");
    else if (member->stuck)
        report_find(report, FINDING_PROBLEM, name, "look at its log and its disk",
                    "%s %" PRIu64 " entries behind, and does not come closer",
                    votes(member) ? "is" : "is a learner", member->lag);
    else if (member->lag > LAG_MAX)
        report_find(report, FINDING_WARNING, name, "look at its disk and the network if it stays so",
                    "is %" PRIu64 " entries behind the leader", member->lag);
}

static void judge_digests(struct report *report, const struct seen_cluster *cluster)
{
    unsigned equal = 0;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct seen_node *a = &cluster->nodes[j], *b = &cluster->nodes[i];
            if (!a->answers || !b->answers || a->applied != b->applied || a->digest[0] == '\0' ||
                b->digest[0] == '\0' || strcmp(a->cluster, b->cluster) != 0)
                continue;
            equal++;
            if (strcmp(a->digest, b->digest) != 0)
                report_find(report, FINDING_PROBLEM, called(b),
                            "see which of them raises an alarm, and replace that one",
                            "holds other data than %s after entry %" PRIu64, called(a), a->applied);
        }
    }
    if (equal > 0 && report->n[FINDING_PROBLEM] == 0)
        report_find(report, FINDING_OK, "data", "",
                    "nodes that have applied as much tell the same digest");
}

static void judge_clocks(struct report *report, const struct seen_cluster *cluster)
{
    const struct seen_node *slow = NULL, *fast = NULL;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (!node->answers || !node->clock_known)
            continue;
        if (slow == NULL || node->clock_ms < slow->clock_ms)
            slow = node;
        if (fast == NULL || node->clock_ms > fast->clock_ms)
            fast = node;
    }
    if (slow == NULL || slow == fast)
        return;
    int64_t apart = fast->clock_ms - slow->clock_ms;
    if (apart - fast->clock_off_ms - slow->clock_off_ms > CLOCKS_APART_MS)
        report_find(report, FINDING_WARNING, "clocks", "let all nodes keep time (NTP)",
                    "that of %s is %.1f s ahead of that of %s: time stamps in logs mislead",
                    called(fast), (double)apart / 1000, called(slow));
}

static void judge_versions(struct report *report, const struct seen_cluster *cluster)
{
    const struct seen_node *first = NULL;
    for (uint32_t i = 0; i < cluster->n_nodes; i++) {
        const struct seen_node *node = &cluster->nodes[i];
        if (!node->answers)
            continue;
        if (first == NULL)
            first = node;
        if (strcmp(node->version, first->version) != 0)
            report_find(report, FINDING_WARNING, called(node), "finish the upgrade",
                        "runs version %s, %s runs %s", node->version, called(first), first->version);
    }
}

void doctor_judge(struct report *report, const struct seen_cluster *cluster)
{
    judge_leader(report, cluster);
    for (uint32_t i = 0; i < cluster->n_members; i++)
        judge_member(report, cluster, &cluster->members[i]);
    judge_strangers(report, cluster);
    judge_clusters(report, cluster);
    judge_quorum(report, cluster);
    for (uint32_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].answers)
            judge_alarms(report, &cluster->nodes[i]);
    for (uint32_t i = 0; i < cluster->n_members; i++)
        judge_lag(report, cluster, &cluster->members[i]);
    judge_digests(report, cluster);
    judge_clocks(report, cluster);
    judge_versions(report, cluster);
}
