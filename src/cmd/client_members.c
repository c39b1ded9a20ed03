/* client_members.c - holdfast member and holdfast leader: who belongs to the cluster, who leads it. */
#include "client_session.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

static const char *number_of(const cJSON *object, const char *name, const char *unit, char out[32])
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    snprintf(out, 32, "%.0f%s", cJSON_IsNumber(item) ? item->valuedouble : 0, unit);
    return cJSON_IsNumber(item) ? out : "";
}

static void add_member(struct table *table, const cJSON *member)
{
    char lag[32], contact[32], role[80];
    const char *replaces = text_of(member, "replaces");
    snprintf(role, sizeof role, "%.20s%s%.20s%s", text_of(member, "role"),
             replaces[0] != '\0' ? ", replaces " : "", replaces,
             cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(member, "stays_learner")) ? ", stays"
                                                                                    : "");
    const char *row[] = { text_of(member, "name"),
                          text_of(member, "id"),
                          role,
                          text_of(member, "raft_addr"),
                          text_of(member, "http_addr"),
                          number_of(member, "lag", "", lag),
                          number_of(member, "last_contact_ms", "ms", contact) };
    table_add(table, row);
}

static void print_members(const struct holdfast_result *result)
{
    static const char *const heading[] = { "NAME", "ID", "ROLE", "RAFT", "HTTP", "LAG",
                                           "LAST CONTACT" };
    struct table table = { .columns = sizeof heading / sizeof heading[0] };
    cJSON *json = cJSON_ParseWithLength(result->json.data, result->json.size);
    const cJSON *member;
    table_add(&table, heading);
    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(json, "members"))
        add_member(&table, member);
    table_print(&table);
    table_free(&table);
    cJSON_Delete(json);
}

static int list(struct session *session, const struct client_flags *flags)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_result *result = holdfast_document(session->db, "/cluster/members", &call);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json)
        client_print_json(result);
    else
        print_members(result);
    holdfast_result_free(result);
    return COMMAND_OK;
}

/* Sends it; `done` is said if it succeeds. */
static int request(struct session *session, const struct client_flags *flags, const char *method,
                   const char *path, const char *json, const char *done)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_result *result = holdfast_request(
        session->db, method, path, holdfast_bytes(json, json != NULL ? strlen(json) : 0), &call);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json)
        client_print_json(result);
    else
        puts(done);
    holdfast_result_free(result);
    return COMMAND_OK;
}

/* {"name": "value"} and perhaps {"learner": true} with it; malloced. */
static char *body_of(const char *name, const char *value, bool learner)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, name, value);
    if (learner)
        cJSON_AddBoolToObject(json, "learner", true);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

static void path_of(char *out, size_t size, const char *member, const char *rest, bool force)
{
    size_t used = (size_t)snprintf(out, size, "/cluster/members/");
    for (const unsigned char *c = (const unsigned char *)member; *c != '\0' && used + 4 < size; c++)
        used += (size_t)snprintf(out + used, size - used, "%%%02X", *c);
    snprintf(out + used, size - used, "%s%s", rest, force ? "?force" : "");
}

static bool is_address(const char *text)
{
    return strchr(text, ':') != NULL;
}

static int add(struct session *session, const struct client_flags *flags, const char *raft_addr)
{
    char done[600];
    char *body = body_of("raft_addr", raft_addr, flags->learner);
    snprintf(done, sizeof done,
             "A member is expected at %s; start it within ten minutes, with an empty --data-dir:\n"
             "  holdfast server --id=NAME --raft-addr=%s --http-addr=HOST:PORT --join=ANY_MEMBER",
             raft_addr, raft_addr);
    int status = request(session, flags, "POST", "/cluster/members", body, done);
    free(body);
    return status;
}

static int replace(struct session *session, const struct client_flags *flags, const char *old,
                   const char *new)
{
    char path[1024], done[700];
    path_of(path, sizeof path, old, "/replace", flags->force);
    char *body = body_of(is_address(new) ? "raft_addr" : "to", new, false);
    if (is_address(new))
        snprintf(done, sizeof done,
                 "%s leaves when the member at %s has caught up; start that with an empty --data-dir:\n"
                 "  holdfast server --id=NAME --raft-addr=%s --http-addr=HOST:PORT --join=ANY_MEMBER",
                 old, new, new);
    else
        snprintf(done, sizeof done, "%s has taken the place of %s", new, old);
    int status = request(session, flags, "POST", path, body, done);
    free(body);
    return status;
}

static int about(struct session *session, const struct client_flags *flags, const char *member,
                 bool promote)
{
    char path[1024], done[300];
    path_of(path, sizeof path, member, promote ? "/promote" : "", flags->force);
    snprintf(done, sizeof done, promote ? "%.200s is a voter" : "%.200s is removed", member);
    return request(session, flags, promote ? "POST" : "DELETE", path, NULL, done);
}

int client_member(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    const char *what = argc > 0 ? argv[0] : "list";
    if (strcmp(what, "list") == 0 && argc <= 1)
        return list(session, flags);
    if (strcmp(what, "add") == 0 && argc == 2)
        return add(session, flags, argv[1]);
    if (strcmp(what, "remove") == 0 && argc == 2)
        return about(session, flags, argv[1], false);
    if (strcmp(what, "promote") == 0 && argc == 2)
        return about(session, flags, argv[1], true);
    if (strcmp(what, "replace") == 0 && argc == 3)
        return replace(session, flags, argv[1], argv[2]);
    return usage_error("member takes: list | add HOST:RAFTPORT | remove MEMBER | promote MEMBER | "
                       "replace MEMBER BY, where BY is a member or the HOST:RAFTPORT of a new one");
}

int client_leader(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    if (strcmp(argv[0], "transfer") != 0)
        return usage_error("leader takes: transfer [MEMBER]");
    char *body = argc == 2 ? body_of("to", argv[1], false) : NULL;
    int status = request(session, flags, "POST", "/cluster/leader", body,
                         argc == 2 ? "the leadership was handed over to it"
                                   : "the leadership was handed over");
    free(body);
    return status;
}
