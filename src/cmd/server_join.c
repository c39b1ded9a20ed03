/* server_join.c - becoming a member of a cluster that is there already: any of its nodes is asked, on
 * its raft port, and what it answers is who this node is from then on.
 *
 * Asking again does no harm.  A node that dies between the answer and its first start asks anew, with
 * a new id, from the same raft address, and so takes the place that was kept for it. */
#include "server_process.h"

#include <holdfast/client.h>
#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { ASK_TIMEOUT_MS = 5000, AGAIN_MS = 500, TELL_AGAIN_MS = 10 * 1000, UNKNOWN_MAX = 20 };

static const char JOINED[] = "joined "; /* begins the members row of a node that joined */

bool server_has_joined(const struct identity *identity)
{
    return strncmp(identity->members, JOINED, strlen(JOINED)) == 0;
}

/* ---- what is asked */

static char *ask_body(const struct process *process)
{
    const struct options *options = &process->options;
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, process->config.identity.id);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "id", id);
    cJSON_AddStringToObject(json, "name", options->id);
    cJSON_AddStringToObject(json, "raft_addr", options->raft_addr);
    cJSON_AddStringToObject(json, "http_addr", options->http_addr);
    if (options->learner)
        cJSON_AddBoolToObject(json, "learner", true);
    if (options->replace[0] != '\0')
        cJSON_AddStringToObject(json, "replace", options->replace);
    char *body = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return body;
}

/* ---- what is answered */

static bool read_id(const cJSON *object, const char *name, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 &&
           sscanf(text, "%" SCNx64, out) == 1 && *out != 0;
}

static bool read_member(const cJSON *json, struct node_peer *out)
{
    const char *raft_addr = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "raft_addr"));
    const char *role = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "role"));
    if (!read_id(json, "id", &out->id) || raft_addr == NULL || role == NULL ||
        !address_valid(slice_text(raft_addr)))
        return false;
    snprintf(out->raft_addr, sizeof out->raft_addr, "%s", raft_addr);
    out->learner = strcmp(role, "learner") == 0;
    return true;
}

static bool read_answer(struct process *process, struct holdfast_bytes text)
{
    struct node_config *config = &process->config;
    cJSON *json = cJSON_ParseWithLength(text.data, text.size);
    const cJSON *member;
    bool good = read_id(json, "cluster_id", &config->identity.cluster);
    config->n_members = 0;
    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(json, "first_members"))
        good = good && config->n_members < MEMBERS_MAX &&
               read_member(member, &config->members[config->n_members++]);
    /* For people: what it joined.  Cut where it gets too long. */
    char *out = config->identity.members;
    size_t used = (size_t)snprintf(out, META_TEXT_MAX, "%s", JOINED), first = used;
    struct node_peer peer;
    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(json, "members")) {
        good = good && read_member(member, &peer);
        if (good && used + strlen(peer.raft_addr) + 2 < META_TEXT_MAX)
            used += (size_t)snprintf(out + used, META_TEXT_MAX - used, "%s%s",
                                     used > first ? "," : "", peer.raft_addr);
    }
    cJSON_Delete(json);
    return good && config->n_members > 0;
}

/* ---- asking until there is an answer */

/* What will not become right by itself.  A node that is a little behind does not know yet the member
 * that is to be replaced: it gets some time. */
static bool is_final(const struct holdfast_result *result, unsigned *unknown)
{
    static const char *const codes[] = { "bad_request", "member_exists", "too_large",
                                         "unsupported_media_type", "method_not_allowed" };
    if (strcmp(result->code, "no_such_member") == 0)
        return ++*unknown > UNKNOWN_MAX;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(result->code, codes[i]) == 0)
            return true;
    return false;
}

static void tell(const struct holdfast_result *result, const char *asked, uint64_t *told_ms)
{
    uint64_t now = clock_monotonic_ms();
    if (*told_ms != 0 && now - *told_ms < TELL_AGAIN_MS)
        return;
    *told_ms = now;
    log_warn("waiting to be let into the cluster",
             "asked=%s why=\"%s\" check=\"are these raft addresses, does a node listen there, has "
             "the cluster a leader\"",
             asked, result->message);
}

static struct holdfast *open_members(const struct options *options, char *asked, size_t size, char *why)
{
    struct holdfast_options settings = HOLDFAST_OPTIONS_INIT;
    struct holdfast *db = NULL;
    size_t used = 0;
    settings.timeout_ms = ASK_TIMEOUT_MS;
    settings.only_endpoints = true;
    settings.user_agent = "holdfast-join";
    asked[0] = '\0';
    for (uint32_t i = 0; i < options->join.n; i++)
        if (strcmp(options->join.at[i], options->raft_addr) != 0 &&
            used + ADDRESS_MAX + sizeof ",http://" < size)
            used += (size_t)snprintf(asked + used, size - used, "%shttp://%s", used > 0 ? "," : "",
                                     options->join.at[i]);
    if (used == 0)
        snprintf(why, WHY_MAX, "--join names no node but this one: name another member's raft address");
    else if (holdfast_open(asked, &settings, &db, asked) != HOLDFAST_OK)
        snprintf(why, WHY_MAX, "--join: %.600s", asked);
    return db;
}

bool server_join(struct process *process, char *why)
{
    char asked[HOLDFAST_ENDPOINTS_MAX * (ADDRESS_MAX + 16)];
    struct holdfast *db = open_members(&process->options, asked, sizeof asked, why);
    uint64_t told_ms = 0;
    unsigned unknown = 0;
    bool good = false;
    if (db == NULL)
        return false;
    if (process->config.identity.id == 0)
        random_bytes(&process->config.identity.id, sizeof process->config.identity.id);
    char *body = ask_body(process);
    for (;;) {
        struct holdfast_result *result =
            holdfast_request(db, "POST", "/cluster/members", holdfast_text(body), NULL);
        bool answered = result->error == HOLDFAST_OK;
        good = answered && read_answer(process, result->json);
        bool end = answered || is_final(result, &unknown);
        if (answered && !good)
            snprintf(why, WHY_MAX, "the answer of %.200s is not that of a Holdfast node", result->node);
        else if (end && !good)
            snprintf(why, WHY_MAX, "the cluster does not take this node: %.300s%s%.200s",
                     result->message, result->hint[0] != '\0' ? "; " : "", result->hint);
        else if (!end)
            tell(result, asked, &told_ms);
        holdfast_result_free(result);
        if (end)
            break;
        struct timespec pause = { 0, AGAIN_MS * 1000000L };
        nanosleep(&pause, NULL);
    }
    cJSON_free(body);
    holdfast_close(db);
    if (good)
        log_info("let into the cluster", "id=%016" PRIx64 " cluster=%016" PRIx64 " members=%u",
                 process->config.identity.id, process->config.identity.cluster,
                 process->config.n_members);
    return good;
}
