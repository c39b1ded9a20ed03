/* members.c - the members of the cluster: who they are, and changes of them.  Any node takes any of
 * these requests; the node below hands it to the leader.  A node that joins sends POST /cluster/members
 * too, to the raft port of any member. */
#include "call.h"

#include "json_in.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- who is meant */

static bool parse_id(struct slice text, raft_id *out)
{
    char digits[17];
    if (text.size != 16)
        return false;
    memcpy(digits, text.data, 16);
    digits[16] = '\0';
    int used = 0;
    return strspn(digits, "0123456789abcdef") == 16 &&
           sscanf(digits, "%" SCNx64 "%n", out, &used) == 1 && used == 16 && *out != 0;
}

/* By name, by id, or by raft address; an id may be that of somebody who has left. */
static bool find_member(const struct node *node, struct slice text, raft_id *out,
                        struct problem *problem)
{
    struct node_member members[MEMBERS_MAX];
    uint32_t n = node_members(node, members);
    for (uint32_t i = 0; i < n; i++) {
        if (slice_equal(text, slice_text(members[i].name)) ||
            slice_equal(text, slice_text(members[i].raft_addr))) {
            *out = members[i].id;
            return true;
        }
    }
    if (parse_id(text, out))
        return true;
    return problem_set(problem, ERR_NO_MEMBER, "GET /cluster/members lists them",
                       "there is no member %s", problem_quote(text).text);
}

/* /cluster/members/{id}[/action]: the part between, and whether the action follows. */
static bool path_member(struct call *call, const char *action, raft_id *out)
{
    struct problem problem;
    struct slice path = http_request_path(call->http);
    size_t skip = strlen(call->route->path);
    struct slice name = slice_of((const char *)path.data + skip, path.size - skip);
    size_t tail = strlen(action);
    if (tail > 0) {
        const char *bytes = name.data;
        if (name.size <= tail || memcmp(bytes + name.size - tail, action, tail) != 0) {
            problem_set(&problem, ERR_NO_ROUTE, "POST /cluster/members/{id}/promote or /replace",
                        "there is nothing at %s", problem_quote(path).text);
            call_fail(call, &problem);
            return false;
        }
        name.size -= tail;
    }
    if (find_member(call->server->node, name, out, &problem))
        return true;
    call_fail(call, &problem);
    return false;
}

/* ---- what is there */

static const char *role_of(const struct node_member *member, raft_id leader)
{
    return member->leaving        ? "leaving"
           : member->id == leader ? "leader"
           : member->voter        ? "voter"
                                  : "learner";
}

static void write_text(struct json_out *out, const char *name, const char *text)
{
    if (text[0] != '\0')
        json_member_text(out, name, text);
    else
        json_member_null(out, name);
}

static const struct info_member *told_of(const struct frame *info, raft_id id)
{
    for (uint32_t i = 0; info != NULL && i < info->info_reply.n; i++)
        if (info->info_reply.members[i].id == id)
            return &info->info_reply.members[i];
    return NULL;
}

static void write_member(struct json_out *out, const struct node_member *member, raft_id leader,
                         const struct frame *info)
{
    const struct info_member *told = told_of(info, member->id);
    json_open(out, '{');
    json_member_id(out, "id", member->id);
    write_text(out, "name", member->name);
    json_member_text(out, "role", role_of(member, leader));
    json_member_text(out, "raft_addr", member->raft_addr);
    write_text(out, "http_addr", member->http_addr);
    json_member_bool(out, "stays_learner", member->stays);
    if (member->replaces != 0)
        json_member_id(out, "replaces", member->replaces);
    else
        json_member_null(out, "replaces");
    if (told != NULL) {
        raft_index last = info->info_reply.last;
        json_member_u64(out, "lag", last > told->match ? last - told->match : 0);
    } else {
        json_member_null(out, "lag");
    }
    if (told != NULL && told->silence_ms != UINT64_MAX)
        json_member_u64(out, "last_contact_ms", told->silence_ms);
    else
        json_member_null(out, "last_contact_ms");
    json_close(out, '}');
}

static void listed(struct call *call)
{
    const struct frame *info = call->op.err == OK ? call->op.info : NULL;
    struct node_member members[MEMBERS_MAX];
    struct node_status status;
    struct json_out out;
    bool changing = false;

    node_status(call->server->node, &status);
    uint32_t n = node_members(call->server->node, members);
    for (uint32_t i = 0; i < n; i++)
        changing = changing || members[i].leaving || members[i].replaces != 0;
    json_init(&out);
    json_open(&out, '{');
    json_member_id(&out, "cluster_id", node_identity(call->server->node)->cluster);
    json_member_bool(&out, "from_leader", info != NULL);
    json_member_bool(&out, "change_under_way", changing);
    json_name(&out, "members");
    json_open(&out, '[');
    for (uint32_t i = 0; i < n; i++)
        write_member(&out, &members[i], status.leader, info);
    json_close(&out, ']');
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

void members_get(struct call *call)
{
    uint32_t timeout_ms = call->options.timeout_ms;
    call_submit_info(call, timeout_ms < HEALTH_TIMEOUT_MS ? timeout_ms : HEALTH_TIMEOUT_MS, listed);
}

/* ---- changes */

static void fail_change(struct call *call)
{
    struct problem problem;
    struct failure failure = { .problem = &problem, .outcome = call->op.outcome };
    const char *hint = call->op.err == ERR_CHANGE_UNDER_WAY ? "try again when it is done"
                       : call->op.err == ERR_QUORUM_AT_RISK && call->op.why != NULL &&
                               strstr(call->op.why, "not reached") != NULL
                           ? "start the members that are missing; force it (?force, --force) only if "
                             "they are lost for good"
                           : "";
    problem_set(&problem, call->op.err, hint, "%s",
                call->op.why != NULL ? call->op.why : err_text(call->op.err));
    call_fail_with(call, &failure);
}

static void write_configuration(struct json_out *out, const char *name,
                                const struct configuration *configuration)
{
    const struct raft_members *members = &configuration->members;
    json_name(out, name);
    json_open(out, '[');
    for (uint32_t i = 0; i < members->n; i++) {
        if (members->at[i].leaving)
            continue;
        json_open(out, '{');
        json_member_id(out, "id", members->at[i].id);
        json_member_text(out, "role", members->at[i].voter ? "voter" : "learner");
        json_member_text(out, "raft_addr", configuration->raft_addr[i]);
        json_close(out, '}');
    }
    json_close(out, ']');
}

/* What a node that joins needs to know: the cluster, who is in it, and what it began with, since it
 * may get the log from the first entry. */
static void changed(struct call *call)
{
    if (call->op.err != OK) {
        fail_change(call);
        return;
    }
    static struct configuration first;
    const struct configuration *now = call->op.configuration;
    struct json_out out;
    if (!node_first_members(call->server->node, &first))
        first = *now;
    json_init(&out);
    json_open(&out, '{');
    json_member_id(&out, "cluster_id", node_identity(call->server->node)->cluster);
    json_member_id(&out, "id", call->change.type == MEMBER_REPLACE ? call->change.newcomer
                                                                   : call->change.id);
    write_configuration(&out, "members", now);
    write_configuration(&out, "first_members", &first);
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

enum { BODY_ID, BODY_NAME, BODY_RAFT_ADDR, BODY_HTTP_ADDR, BODY_LEARNER, BODY_REPLACE, BODY_FORCE,
       BODY_TO, BODY_MEMBERS };
static const struct json_member_spec body_specs[BODY_MEMBERS] = {
    [BODY_ID] = { "id", JSON_STRING },
    [BODY_NAME] = { "name", JSON_STRING },
    [BODY_RAFT_ADDR] = { "raft_addr", JSON_STRING },
    [BODY_HTTP_ADDR] = { "http_addr", JSON_STRING },
    [BODY_LEARNER] = { "learner", JSON_BOOL },
    [BODY_REPLACE] = { "replace", JSON_STRING },
    [BODY_FORCE] = { "force", JSON_BOOL },
    [BODY_TO] = { "to", JSON_STRING },
};

/* An empty body is as good as {}. */
static bool read_body(struct call *call, struct cJSON **tree, struct json_value *values,
                      struct problem *problem)
{
    struct slice body = http_request_body(call->http);
    *tree = NULL;
    memset(values, 0, BODY_MEMBERS * sizeof *values);
    if (body.size == 0)
        return true;
    *tree = json_parse(body, problem);
    return *tree != NULL &&
           json_read_object(*tree, body_specs, BODY_MEMBERS, "", values, problem);
}

static bool read_address(const struct json_value *value, struct member_change *change,
                         struct problem *problem)
{
    if (!value->present)
        return problem_set(problem, ERR_BAD_REQUEST, "", "member \"raft_addr\" is missing");
    if (!address_valid(value->text))
        return problem_set(problem, ERR_BAD_REQUEST, "host:port, as in db4.example.net:9001",
                           "%s is no raft address", problem_quote(value->text).text);
    memcpy(change->raft_addr, value->text.data, value->text.size);
    return true;
}

/* A name belongs to one member.  One that comes again from its own address is the leader's case. */
static bool name_is_free(const struct node *node, struct slice name, const struct member_change *change,
                         struct problem *problem)
{
    struct node_member members[MEMBERS_MAX];
    uint32_t n = node_members(node, members);
    for (uint32_t i = 0; i < n; i++) {
        if (!slice_equal(name, slice_text(members[i].name)) || members[i].id == change->id ||
            members[i].id == change->newcomer ||
            (!members[i].voter && strcmp(members[i].raft_addr, change->raft_addr) == 0))
            continue;
        return problem_set(problem, ERR_MEMBER_EXISTS,
                           "choose another name, or replace that member: --replace=NAME",
                           "the name %s is that of the member %016" PRIx64 " at %.100s",
                           problem_quote(name).text, members[i].id, members[i].raft_addr);
    }
    return true;
}

static bool read_add(const struct node *node, const struct json_value *values,
                     struct member_change *change, struct problem *problem)
{
    raft_id id = 0;
    if (!read_address(&values[BODY_RAFT_ADDR], change, problem))
        return false;
    if (values[BODY_ID].present && !parse_id(values[BODY_ID].text, &id))
        return problem_set(problem, ERR_BAD_REQUEST, "leave it out, and one is drawn",
                           "an id is 16 hexadecimal digits");
    change->type = values[BODY_REPLACE].present ? MEMBER_REPLACE : MEMBER_ADD;
    change->stay_learner = values[BODY_LEARNER].count != 0;
    if (change->type == MEMBER_ADD)
        change->id = id;
    else
        change->newcomer = id;
    if (change->type == MEMBER_REPLACE &&
        !find_member(node, values[BODY_REPLACE].text, &change->id, problem))
        return false;
    return !values[BODY_NAME].present || name_is_free(node, values[BODY_NAME].text, change, problem);
}

void members_add(struct call *call)
{
    struct json_value values[BODY_MEMBERS];
    struct problem problem;
    struct cJSON *tree;
    bool good = read_body(call, &tree, values, &problem) &&
                read_add(call->server->node, values, &call->change, &problem);
    json_free(tree);
    if (good)
        call_submit_change(call, changed);
    else
        call_fail(call, &problem);
}

void members_delete(struct call *call)
{
    if (!path_member(call, "", &call->change.id))
        return;
    call->change.type = MEMBER_REMOVE;
    call->change.force = call->options.force;
    call_submit_change(call, changed);
}

static bool read_replace(const struct node *node, const struct json_value *values,
                         struct member_change *change, struct problem *problem)
{
    change->type = MEMBER_REPLACE;
    change->force = change->force || values[BODY_FORCE].count != 0;
    if (values[BODY_RAFT_ADDR].present)
        return read_address(&values[BODY_RAFT_ADDR], change, problem);
    if (!values[BODY_TO].present)
        return problem_set(problem, ERR_BAD_REQUEST,
                           "{\"to\": a member} or {\"raft_addr\": where a new one will start}",
                           "the body does not say by whom");
    return find_member(node, values[BODY_TO].text, &change->newcomer, problem);
}

/* POST /cluster/members/{id}/promote and /replace. */
void members_post(struct call *call)
{
    struct json_value values[BODY_MEMBERS];
    struct problem problem;
    struct cJSON *tree;
    struct slice path = http_request_path(call->http);
    static const char promote[] = "/promote";
    bool is_promote = path.size > sizeof promote &&
                      memcmp((const char *)path.data + path.size - (sizeof promote - 1), promote,
                             sizeof promote - 1) == 0;
    if (!path_member(call, is_promote ? promote : "/replace", &call->change.id))
        return;
    call->change.force = call->options.force;
    call->change.type = MEMBER_PROMOTE;
    bool good = is_promote;
    tree = NULL;
    if (!is_promote)
        good = read_body(call, &tree, values, &problem) &&
               read_replace(call->server->node, values, &call->change, &problem);
    json_free(tree);
    if (good)
        call_submit_change(call, changed);
    else
        call_fail(call, &problem);
}

/* ---- the leader */

static void handed_over(struct call *call)
{
    if (call->op.err != OK) {
        fail_change(call);
        return;
    }
    struct node_status status;
    struct json_out out;
    node_status(call->server->node, &status);
    json_init(&out);
    json_open(&out, '{');
    if (status.leader != 0)
        json_member_id(&out, "leader", status.leader);
    else
        json_member_null(&out, "leader");
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

void members_leader(struct call *call)
{
    struct json_value values[BODY_MEMBERS];
    struct problem problem;
    struct cJSON *tree;
    raft_id to = 0;
    bool good = read_body(call, &tree, values, &problem);
    if (good && values[BODY_TO].present)
        good = find_member(call->server->node, values[BODY_TO].text, &to, &problem);
    json_free(tree);
    if (good)
        call_submit_transfer(call, to, handed_over);
    else
        call_fail(call, &problem);
}
