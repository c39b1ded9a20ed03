/* client_cluster.c - status, info; stats and health of the shell. */
#include "client_session.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

enum { NODE_TIMEOUT_MS = 1500 }; /* what one silent node may cost */

static const char *number(char out[24], uint64_t value)
{
    snprintf(out, 24, "%" PRIu64, value);
    return value == UINT64_MAX ? "-" : out;
}

static const char *duration(char out[24], uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (ms == UINT64_MAX)
        return "-";
    if (ms < 10000)
        snprintf(out, 24, "%" PRIu64 "ms", ms);
    else if (s < 600)
        snprintf(out, 24, "%" PRIu64 "s", s);
    else if (s < 86400)
        snprintf(out, 24, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, 24, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return out;
}

static struct holdfast_call short_call(const struct client_flags *flags)
{
    struct holdfast_call call = client_call(flags);
    if (call.timeout_ms == 0 || call.timeout_ms > NODE_TIMEOUT_MS)
        call.timeout_ms = NODE_TIMEOUT_MS;
    return call;
}

/* ---- status: one line for each node */

struct census {
    struct table table;
    char ids[HOLDFAST_NODES_MAX][32]; /* of those that answered */
    size_t n_ids;
    unsigned answered;
};

/* A node may have two names: localhost and 127.0.0.1. */
static bool seen(const struct census *census, const char *id)
{
    for (size_t i = 0; i < census->n_ids; i++) {
        if (strcmp(census->ids[i], id) == 0)
            return true;
    }
    return false;
}

/* A node that gets the whole state from the leader says how far that is. */
static const char *state_of(const struct holdfast_result *result, char out[24])
{
    cJSON *json = cJSON_ParseWithLength(result->json.data, result->json.size);
    const cJSON *fetch = cJSON_GetObjectItemCaseSensitive(json, "snapshot_fetch");
    const cJSON *percent = cJSON_GetObjectItemCaseSensitive(fetch, "percent");
    bool fetches = cJSON_IsNumber(percent);
    if (fetches)
        snprintf(out, 24, "fetching %.0f%%", percent->valuedouble);
    cJSON_Delete(json);
    return fetches ? out : result->status->state;
}

static void add_status(struct census *census, const char *url, const struct holdfast_result *result)
{
    const struct holdfast_status *s = result->status;
    char state[24];
    char term[24], commit[24], applied[24], revision[24], keys[24], uptime[24];
    const char *row[] = { s->name,
                          strstr(url, "://") + 3,
                          state_of(result, state),
                          s->leader_name[0] != '\0' ? s->leader_name : s->leader,
                          number(term, s->term),
                          number(commit, s->commit_index),
                          number(applied, s->applied_index),
                          number(revision, s->revision),
                          number(keys, s->keys),
                          s->digest,
                          duration(uptime, s->uptime_ms),
                          s->version,
                          s->alarms[0] != '\0' ? s->alarms : "-" };
    table_add(&census->table, row);
}

static void ask_node(struct session *session, const struct client_flags *flags, const char *url,
                     struct census *census)
{
    struct holdfast_call call = short_call(flags);
    call.node = url;
    struct holdfast_result *result = holdfast_status(session->db, &call);
    if (result->error != HOLDFAST_OK) {
        static const char *const nothing[] = { "", "", "", "", "", "", "", "", "", "", "", "", "" };
        const char *row[sizeof nothing / sizeof nothing[0]];
        memcpy(row, nothing, sizeof row);
        row[1] = strstr(url, "://") + 3;
        row[2] = "unreachable";
        table_add(&census->table, row);
        if (flags->json)
            fprintf(stderr, "holdfast: %s\n", result->message);
    } else if (!seen(census, result->status->id)) {
        snprintf(census->ids[census->n_ids++], sizeof census->ids[0], "%s", result->status->id);
        census->answered++;
        client_note(session, result);
        add_status(census, url, result);
        if (flags->json)
            client_print_json(result);
    }
    holdfast_result_free(result);
}

int client_status(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    static const char *const heading[] = { "NODE", "ENDPOINT", "STATE",   "LEADER",
                                           "TERM", "COMMIT",   "APPLIED", "REVISION",
                                           "KEYS", "DIGEST",   "UP",      "VERSION",
                                           "ALARMS" };
    struct census census = { .table.columns = sizeof heading / sizeof heading[0] };
    char urls[HOLDFAST_NODES_MAX][HOLDFAST_URL_MAX];
    struct holdfast_call call = short_call(flags);
    (void)argc, (void)argv;
    /* Asked for what it teaches the library: the members that are no endpoints. */
    holdfast_result_free(holdfast_info(session->db, &call));
    size_t n = holdfast_nodes(session->db, urls, HOLDFAST_NODES_MAX);
    table_add(&census.table, heading);
    for (size_t i = 0; i < n && i < HOLDFAST_NODES_MAX; i++)
        ask_node(session, flags, urls[i], &census);
    if (!flags->json)
        table_print(&census.table);
    table_free(&census.table);
    if (census.answered > 0)
        return COMMAND_OK;
    fflush(stdout);
    fprintf(stderr, "holdfast: no node answered; start the nodes, or name others with --endpoints "
                    "or HOLDFAST_ENDPOINTS\n");
    return COMMAND_NO_CLUSTER;
}

/* ---- info: the cluster, and one line for each member */

static void print_info(const struct holdfast_result *result)
{
    static const char *const heading[] = { "NAME", "ID",    "ROLE", "HTTP",
                                           "RAFT", "MATCH", "LAG",  "LAST CONTACT" };
    struct table table = { .columns = sizeof heading / sizeof heading[0] };
    cJSON *json = cJSON_ParseWithLength(result->json.data, result->json.size);
    static const char *const shown[][2] = {
        { "cluster_id", "cluster" }, { "leader_name", "leader" },  { "leader_url", "leader at" },
        { "term", "term" },          { "commit_index", "commit" }, { "revision", "revision" },
    };
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, shown[i][0]);
        if (cJSON_IsString(item))
            printf("%-10s %s\n", shown[i][1], item->valuestring);
        else if (cJSON_IsNumber(item))
            printf("%-10s %.0f\n", shown[i][1], item->valuedouble);
    }
    cJSON_Delete(json);
    putchar('\n');
    table_add(&table, heading);
    for (size_t i = 0; i < result->n_members; i++) {
        const struct holdfast_member *m = &result->members[i];
        char match[24], lag[24], contact[24];
        const char *row[] = { m->name,
                              m->id,
                              m->role,
                              m->http_addr,
                              m->raft_addr,
                              number(match, m->match_index),
                              number(lag, m->lag),
                              duration(contact, m->last_contact_ms) };
        table_add(&table, row);
    }
    table_print(&table);
    table_free(&table);
}

int client_info(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct holdfast_call call = client_call(flags);
    (void)argc, (void)argv;
    struct holdfast_result *result = holdfast_info(session->db, &call);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json)
        client_print_json(result);
    else
        print_info(result);
    holdfast_result_free(result);
    return COMMAND_OK;
}

/* ---- documents */

/* Indented for people, as it came for programs. */
static int print_document(struct session *session, const struct client_flags *flags,
                          const char *path)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_result *result = holdfast_document(session->db, path, &call);
    if (result->http_status == 0 || result->code[0] != '\0')
        return client_fail(session, flags, result);
    int status = result->error == HOLDFAST_OK ? COMMAND_OK : COMMAND_NO_CLUSTER;
    cJSON *json = flags->json ? NULL : cJSON_ParseWithLength(result->json.data, result->json.size);
    char *text = json == NULL ? NULL : cJSON_Print(json);
    if (text != NULL)
        puts(text);
    else
        client_print_json(result);
    client_note(session, result);
    cJSON_free(text);
    cJSON_Delete(json);
    holdfast_result_free(result);
    return status;
}

int client_stats(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    (void)argc, (void)argv;
    return print_document(session, flags, "/stats");
}

int client_health(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    (void)argc, (void)argv;
    return print_document(session, flags, "/health");
}
