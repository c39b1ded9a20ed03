/* core_churn.c - changes of the configuration in tier 1: which one each log says is in use, what
 * clients ask for, and what must hold of them (I12). */
#include "tests/sim/core.h"

#include <inttypes.h>
#include <string.h>

/* The payload of a configuration's entry: this and its place in w->configs. */
#define CONFIG_VALUE (UINT64_C(1) << 40)

/* ---- what is in use */

const struct raft_members *core_config_of(const struct core_world *w, const struct core_entry *entry)
{
    return entry->kind == RAFT_MEMBERS ? &w->configs[entry->value - CONFIG_VALUE] : NULL;
}

/* What a log has compacted is committed, and the ghosts know it. */
static const struct core_entry *entry_at(const struct core_world *w, const struct core_log *log,
                                         raft_index index)
{
    return index < log->base ? &w->committed_at[index] : &log->at[index];
}

const struct raft_members *core_config_at(const struct core_world *w, const struct core_node *n,
                                          const struct core_log *log, raft_index index)
{
    raft_index at = log->at[index].config;
    return at == 0 ? &n->base_members : core_config_of(w, entry_at(w, log, at));
}

const struct raft_members *core_config_in(const struct core_world *w, const struct core_entry *snapshot)
{
    return snapshot->config == 0 ? &w->members : core_config_of(w, &w->committed_at[snapshot->config]);
}

const struct raft_members *core_config(const struct core_world *w, const struct core_node *n)
{
    return core_config_at(w, n, &n->log, n->log.last);
}

bool core_is_member(const struct raft_members *m, raft_id id)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->at[i].id == id)
            return true;
    return false;
}

/* Whether the nodes in `set` (bits) are a majority of the voters, of both kinds if it is joint. */
bool core_is_majority(const struct raft_members *m, uint32_t set)
{
    uint32_t voters = 0, have = 0, old_voters = 0, old_have = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        bool in = set >> core_place(m->at[i].id) & 1;
        voters += m->at[i].voter;
        have += m->at[i].voter && in;
        old_voters += m->at[i].old_voter;
        old_have += m->at[i].old_voter && in;
    }
    return have > voters / 2 && (!m->joint || old_have > old_voters / 2);
}

uint32_t core_voters(const struct raft_members *m)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < m->n; i++)
        set |= (uint32_t)m->at[i].voter << core_place(m->at[i].id);
    return set;
}

static uint32_t old_voters(const struct raft_members *m)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < m->n; i++)
        set |= (uint32_t)m->at[i].old_voter << core_place(m->at[i].id);
    return set;
}

/* ---- I12 */

/* Any majority of one has a server in common with any of the other. */
static bool majorities_overlap(const struct raft_members *a, const struct raft_members *b)
{
    if (a->joint && b->joint)
        return false;
    return (b->joint ? old_voters(b) : core_voters(b)) == core_voters(a);
}

/* A leader appends a configuration: what is its entry? */
struct core_entry core_config_entry(struct core_world *w, const struct core_node *n)
{
    const struct raft_update *u = &n->update;
    const struct raft_members *before = core_config(w, n), *after = raft_members(n->raft, NULL, NULL);
    raft_index last = n->log.at[n->log.last].config;
    MUST(last <= u->commit, "I12: %" PRIu64 " changes the configuration, but the one at %" PRIu64
         " is not committed", n->id, last);
    MUST(n->log.at[u->commit].term == u->term,
         "I12: %" PRIu64 " changes the configuration before a commit of its term", n->id);
    MUST(majorities_overlap(before, after), "I12: %" PRIu64 " leaves no common majority", n->id);
    MUST(w->n_configs < CORE_CONFIGS_MAX, "the simulator has too few configurations");
    struct core_entry entry = { .term = u->term, .kind = RAFT_MEMBERS,
                                .value = CONFIG_VALUE + w->n_configs };
    w->configs[w->n_configs++] = *after;
    w->marks[CORE_JOINT_ENTERED] += after->joint;
    w->marks[CORE_JOINT_LEFT] += before->joint;
    w->marks[CORE_FINISHED_BY_ANOTHER] += before->joint && entry_at(w, &n->log, last)->term != u->term;
    w->marks[CORE_LEARNER_CHANGES] += !before->joint && !after->joint;
    w->marks[CORE_LEADERS_LEAVE] += before->joint && !(core_voters(after) >> core_place(n->id) & 1);
    for (uint32_t i = 0; before->joint && i < before->n; i++)
        w->marks[CORE_PROMOTIONS] += before->at[i].voter && !before->at[i].old_voter;
    return entry;
}

static bool are_equal(const struct raft_members *a, const struct raft_members *b)
{
    if (a->n != b->n || a->joint != b->joint)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->at[i].id != b->at[i].id || a->at[i].voter != b->at[i].voter ||
            a->at[i].old_voter != b->at[i].old_voter || a->at[i].leaving != b->at[i].leaving)
            return false;
    return true;
}

/* "a server always uses the latest configuration in its log", §6, and no other. */
void core_check_config(const struct core_world *w, const struct core_node *n)
{
    raft_index index;
    const struct raft_members *used = raft_members(n->raft, &index, NULL);
    MUST(are_equal(used, core_config(w, n)),
         "B32: %" PRIu64 " uses the configuration of %" PRIu64 ", but its log's latest is at %" PRIu64,
         n->id, index, n->log.at[n->log.last].config);
}

/* Who is elected has a say, or loses it by a configuration that is not committed (thesis 4.2.2); and it
 * has the votes of a majority, of each of its voters. */
void core_check_election(const struct core_world *w, const struct core_node *n)
{
    const struct raft_members *m = n->config_before;
    uint32_t say = core_voters(m) | old_voters(m), votes = 0;
    raft_index at = n->log.at[n->log.last - 1].config; /* last is its no-op */
    if (at > n->update.commit) {
        const struct raft_members *before = core_config_at(w, n, &n->log, at - 1);
        say |= core_voters(before) | old_voters(before);
    }
    MUST(say >> core_place(n->id) & 1, "B10: %" PRIu64 " leads and has no say", n->id);
    for (uint32_t i = 0; i < w->n && i < CORE_NODES_MAX; i++)
        votes |= (uint32_t)(w->vote_of[n->update.term][i] == n->id) << i;
    MUST(core_is_majority(m, votes), "I1: %" PRIu64 " leads term %" PRIu64 " without a majority", n->id,
         n->update.term);
}

/* ---- the configurations in a log, for a start */

uint32_t core_boot_configs(const struct core_world *w, const struct core_node *n, raft_index commit,
                           struct raft_config_at *out)
{
    uint32_t count = 0;
    raft_index at[RAFT_CONFIGS_MAX];
    for (raft_index i = n->log.at[n->log.last].config; i > commit && count < RAFT_CONFIGS_MAX;
         i = n->log.at[i - 1].config)
        at[count++] = i;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (struct raft_config_at){ at[count - 1 - i], *core_config_of(w, &n->log.at[at[count - 1 - i]]) };
    return count;
}

/* ---- what clients ask for */

enum { NOTHING, LEARNER, VOTER };

static void set_state(struct raft_members *m, const uint8_t *state, uint32_t n)
{
    m->joint = false;
    m->n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (state[i] != NOTHING)
            m->at[m->n++] = (struct raft_member){ .id = i + 1, .voter = state[i] == VOTER };
}

/* Another configuration than `now` leads to: one member changes, or several, or one takes another's
 * place.  Few voters are asked for rarely. */
static bool draw_members(struct core_world *w, const struct raft_members *now, struct raft_members *m)
{
    struct sim_random *r = &w->random;
    uint8_t state[CORE_NODES_MAX] = { NOTHING };
    for (uint32_t i = 0; i < now->n; i++)
        if (!now->at[i].leaving)
            state[core_place(now->at[i].id)] = now->at[i].voter ? VOTER : LEARNER;
    uint32_t how = sim_below(r, 4), count = how == 0 ? sim_between(r, 2, 5) : 1;
    if (how == 1) {
        uint32_t out = sim_below(r, w->n), in = sim_below(r, w->n);
        if (state[out] == VOTER && state[in] != VOTER)
            state[out] = (uint8_t)sim_below(r, 2), state[in] = VOTER;
    } else {
        while (count-- > 0) {
            uint32_t i = sim_below(r, w->n);
            state[i] = (uint8_t)sim_below(r, 3);
        }
    }
    set_state(m, state, w->n);
    uint32_t voters = 0;
    for (uint32_t i = 0; i < m->n; i++)
        voters += m->at[i].voter;
    return voters >= 3 || (voters > 0 && sim_below(r, 6) == 0);
}

static enum raft_status change_to(struct core_world *w, uint32_t node, const struct raft_members *members)
{
    struct raft_event event = { .type = RAFT_CHANGE };
    event.change.members = members;
    enum raft_status status = core_world_step(w, node, &event, NULL);
    w->marks[CORE_CHANGES] += status == RAFT_OK;
    w->marks[CORE_CHANGES_BUSY] += status == RAFT_BUSY;
    return status;
}

enum raft_status core_change(struct core_world *w, uint32_t node)
{
    struct raft_members members;
    if (w->n_configs + 8 > CORE_CONFIGS_MAX || !draw_members(w, core_config(w, w->node[node]), &members))
        return RAFT_INVALID;
    return change_to(w, node, &members);
}

/* All is well: a change that is asked for is made. */
bool core_change_well(struct core_world *w, uint32_t leader, struct raft_members *members)
{
    const struct raft_members *now = core_config(w, w->node[leader]);
    if (!draw_members(w, now, members) || core_voters(members) == core_voters(now) ||
        __builtin_popcount(core_voters(members)) > RAFT_VOTERS_MAX)
        return false;
    MUST(change_to(w, leader, members) == RAFT_OK, "I13: a leader refuses a change");
    return true;
}
