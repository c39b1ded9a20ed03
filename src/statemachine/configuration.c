/* configuration.c - who the members are, as of the applied index; and who were.
 *
 * Kept as text in three rows of TABLE_META, so that a snapshot carries it and people can read it:
 *
 *     configuration   42 simple
 *                     0123456789abcdef voter localhost:9001
 *                     89abcdef01234567 learner,replaces=0123456789abcdef localhost:9004
 *     first           the same, as it was at the birth of the cluster
 *     removed         76543210fedcba98 ...
 *
 * The first line tells the entry that it came from, and whether it is joint. */
#include "statemachine_private.h"

#include <inttypes.h>
#include <stdio.h>

static const char ROW[] = "configuration", ROW_FIRST[] = "first", ROW_REMOVED[] = "removed";

enum { REMOVED_TEXT_MAX = REMOVED_MAX * 17 + 1 };

/* ---- to text */

static int write_member(const struct configuration *configuration, uint32_t i, char *out, size_t room)
{
    const struct raft_member *member = &configuration->members.at[i];
    char replaces[32] = "";
    if (configuration->replaces[i] != 0)
        snprintf(replaces, sizeof replaces, ",replaces=%016" PRIx64, configuration->replaces[i]);
    return snprintf(out, room, "%016" PRIx64 " %s%s%s%s %s\n", member->id,
                    member->leaving ? "leaving"
                    : member->voter ? "voter"
                                    : "learner",
                    member->old_voter ? ",old" : "", configuration->stays[i] ? ",stays" : "",
                    replaces, configuration->raft_addr[i]);
}

static void put_row(struct statemachine *sm, const char *row, raft_index index,
                    const struct configuration *configuration)
{
    static char text[CONFIGURATION_TEXT_MAX];
    const struct raft_members *members = &configuration->members;
    int size = snprintf(text, sizeof text, "%" PRIu64 " %s\n", index,
                        members->joint ? "joint" : "simple");
    for (uint32_t i = 0; i < members->n; i++)
        size += write_member(configuration, i, text + size, sizeof text - (size_t)size);
    ASSERT(size > 0 && (size_t)size < sizeof text);
    memcpy(pending_put(&sm->open, TABLE_META, slice_text(row), (size_t)size), text, (size_t)size);
}

static void put_configuration(struct statemachine *sm)
{
    put_row(sm, ROW, sm->configuration_index, &sm->configuration);
}

static void put_removed(struct statemachine *sm)
{
    char text[REMOVED_TEXT_MAX];
    int size = 0;
    for (uint32_t i = 0; i < sm->n_removed; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%016" PRIx64,
                         i > 0 ? " " : "", sm->removed[i]);
    memcpy(pending_put(&sm->open, TABLE_META, slice_text(ROW_REMOVED), (size_t)size), text,
           (size_t)size);
}

/* ---- from text */

/* The bytes up to `end`, which is skipped; false if it is not there. */
static bool take(const char **at, const char *stop, char end, char *out, size_t room)
{
    const char *found = memchr(*at, end, (size_t)(stop - *at));
    if (found == NULL || (size_t)(found - *at) >= room)
        return false;
    memcpy(out, *at, (size_t)(found - *at));
    out[found - *at] = '\0';
    *at = found + 1;
    return true;
}

static bool parse_id(const char *text, raft_id *out)
{
    int used = 0;
    return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 &&
           sscanf(text, "%" SCNx64 "%n", out, &used) == 1 && used == 16;
}

static bool parse_roles(char *text, struct configuration *out, uint32_t i)
{
    struct raft_member *member = &out->members.at[i];
    char *save, *word = strtok_r(text, ",", &save);
    if (word == NULL)
        return false;
    member->voter = strcmp(word, "voter") == 0;
    member->leaving = strcmp(word, "leaving") == 0;
    if (!member->voter && !member->leaving && strcmp(word, "learner") != 0)
        return false;
    while ((word = strtok_r(NULL, ",", &save)) != NULL) {
        if (strcmp(word, "old") == 0)
            member->old_voter = true;
        else if (strcmp(word, "stays") == 0)
            out->stays[i] = true;
        else if (strncmp(word, "replaces=", 9) != 0 || !parse_id(word + 9, &out->replaces[i]))
            return false;
    }
    return true;
}

static bool parse_configuration(struct slice text, raft_index *index, struct configuration *out)
{
    const char *at = text.data, *stop = at + text.size;
    char number[24], kind[8], id[20], roles[64];
    memset(out, 0, sizeof *out);
    if (text.size == 0 || !take(&at, stop, ' ', number, sizeof number) ||
        !take(&at, stop, '\n', kind, sizeof kind) || sscanf(number, "%" SCNu64, index) != 1)
        return false;
    out->members.joint = strcmp(kind, "joint") == 0;
    if (!out->members.joint && strcmp(kind, "simple") != 0)
        return false;
    for (uint32_t i = 0; at < stop; i++) {
        if (i == MEMBERS_MAX || !take(&at, stop, ' ', id, sizeof id) ||
            !parse_id(id, &out->members.at[i].id) || !take(&at, stop, ' ', roles, sizeof roles) ||
            !parse_roles(roles, out, i) ||
            !take(&at, stop, '\n', out->raft_addr[i], sizeof out->raft_addr[i]))
            return false;
        out->members.n = i + 1;
    }
    return configuration_valid(out);
}

static bool parse_removed(struct statemachine *sm, struct slice text)
{
    const char *at = text.data;
    char id[17];
    if ((text.size + 1) % 17 != 0 || (text.size + 1) / 17 > REMOVED_MAX)
        return false;
    for (size_t i = 0; i < text.size; i += 17) {
        memcpy(id, at + i, 16);
        id[16] = '\0';
        if (!parse_id(id, &sm->removed[sm->n_removed++]))
            return false;
    }
    return true;
}

enum err configuration_load(struct statemachine *sm)
{
    const struct state_store_ops *ops = sm->store->ops;
    struct slice text;
    enum err err = ops->get(sm->store, TABLE_META, slice_text(ROW), &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err == OK && !parse_configuration(text, &sm->configuration_index, &sm->configuration))
        err = ERR_CORRUPT;
    if (err != OK)
        return err;
    sm->configured = true;
    raft_index index;
    err = ops->get(sm->store, TABLE_META, slice_text(ROW_FIRST), &text);
    sm->first_known = err == OK && parse_configuration(text, &index, &sm->first);
    if (err != ERR_NOT_FOUND && !sm->first_known)
        return err == OK ? ERR_CORRUPT : err;
    err = ops->get(sm->store, TABLE_META, slice_text(ROW_REMOVED), &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    return err == OK && !parse_removed(sm, text) ? ERR_CORRUPT : err;
}

/* ---- changes */

static void remember_removed(struct statemachine *sm, raft_id id)
{
    if (sm->n_removed == REMOVED_MAX)
        memmove(sm->removed, sm->removed + 1, --sm->n_removed * sizeof sm->removed[0]);
    sm->removed[sm->n_removed++] = id;
}

/* Those of `before` who are no members any more. */
static void drop_departed(struct statemachine *sm, const struct configuration *before)
{
    bool any = false;
    for (uint32_t i = 0; i < before->members.n; i++) {
        raft_id id = before->members.at[i].id;
        if (configuration_place(&sm->configuration, id) >= 0)
            continue;
        members_forget(sm, id);
        remember_removed(sm, id);
        any = true;
    }
    if (any)
        put_removed(sm);
}

enum err configuration_apply(struct statemachine *sm, raft_index index, struct slice payload)
{
    struct configuration before = sm->configuration;
    if (configuration_decode(payload, &sm->configuration) != OK) {
        sm->configuration = before;
        return ERR_BAD_REQUEST;
    }
    sm->configuration_index = index;
    if (sm->configured && !sm->configuration.members.joint)
        drop_departed(sm, &before);
    sm->configured = true;
    put_configuration(sm);
    return OK;
}

void configuration_move(struct statemachine *sm, raft_id id, struct slice raft_addr)
{
    int i = sm->configured ? configuration_place(&sm->configuration, id) : -1;
    if (i < 0 || slice_equal(slice_text(sm->configuration.raft_addr[i]), raft_addr))
        return;
    memcpy(sm->configuration.raft_addr[i], raft_addr.data, raft_addr.size);
    sm->configuration.raft_addr[i][raft_addr.size] = '\0';
    put_configuration(sm);
}

void statemachine_bootstrap(struct statemachine *sm, const struct configuration *configuration)
{
    ASSERT(!sm->configured && configuration_valid(configuration));
    sm->configuration = sm->first = *configuration;
    sm->configured = sm->bootstrapped = sm->first_known = true;
    /* A restored state still tells of the members that it was taken from. */
    for (uint32_t i = sm->n_members; i-- > 0;)
        if (configuration_place(configuration, sm->members[i].id) < 0)
            members_forget(sm, sm->members[i].id);
    put_configuration(sm);
    put_row(sm, ROW_FIRST, 0, configuration);
}

/* ---- looking */

bool statemachine_configuration(const struct statemachine *sm, struct configuration *out,
                                raft_index *index)
{
    if (!sm->configured)
        return false;
    *out = sm->configuration;
    *index = sm->configuration_index;
    return true;
}

bool statemachine_first_configuration(const struct statemachine *sm, struct configuration *out)
{
    if (sm->first_known)
        *out = sm->first;
    return sm->first_known;
}

bool statemachine_was_removed(const struct statemachine *sm, raft_id id)
{
    for (uint32_t i = 0; i < sm->n_removed; i++)
        if (sm->removed[i] == id)
            return true;
    return false;
}
