/* real_members.c - members come and go in a run: of its nodes only the first few begin the cluster, the
 * others are told what it began with, as by the answer to their wish to join, and wait to be added. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

void real_members_options(struct real_world *w)
{
    struct real_options *o = &w->options;
    o->first = o->n;
    if (o->lease_hunt || sim_below(&w->random, 3) != 0)
        return;
    o->n = sim_between(&w->random, 4, SIM_NODES_MAX);
    o->first = sim_between(&w->random, 1, 4);
    o->churn = 1000 * sim_between(&w->random, 10, 200);
}

/* The members as the leader has them; NULL: nobody leads. */
static const struct configuration *leaders(const struct real_world *w)
{
    int leader = real_leader(w);
    return leader >= 0 ? configs_current(w->node[leader].node) : NULL;
}

/* ---- a change, asked of anybody */

struct wish {
    struct op op;
    struct member_change change;
    struct real_world *world;
};

static void wish_done(struct op *op)
{
    struct wish *wish = op->user;
    uint64_t *marks = wish->world->marks;
    if (op->err == OK)
        marks[wish->change.type == MEMBER_LEAD ? (uint32_t)REAL_LEADS
                                               : REAL_ADDS + (uint32_t)wish->change.type - MEMBER_ADD]++;
    marks[REAL_CHANGES_UNDER_WAY] += op->err == ERR_CHANGE_UNDER_WAY;
    marks[REAL_CHANGES_AT_RISK] += op->err == ERR_QUORUM_AT_RISK;
    free(wish);
}

/* A node that is a member, or is none, if one is found soon; members of now as the leader has them. */
static uint32_t draw_node(struct real_world *w, const struct configuration *now, bool member)
{
    uint32_t i = 0;
    for (uint32_t tries = 0; tries < 8; tries++) {
        i = sim_below(&w->random, w->options.n);
        if (now == NULL || (configuration_place(now, w->peers[i].id) >= 0) == member)
            break;
    }
    return i;
}

/* Mostly what makes sense: who is a member is not added, who is none is not removed. */
static void draw_change(struct real_world *w, struct member_change *change)
{
    static const enum member_change_type types[] = { MEMBER_ADD, MEMBER_ADD, MEMBER_ADD, MEMBER_REMOVE,
                                                     MEMBER_REPLACE, MEMBER_REPLACE, MEMBER_PROMOTE,
                                                     MEMBER_LEAD };
    struct sim_random *r = &w->random;
    const struct configuration *now = sim_below(r, 8) == 0 ? NULL : leaders(w);
    change->type = types[sim_below(r, sizeof types / sizeof types[0])];
    uint32_t i = draw_node(w, now, change->type != MEMBER_ADD), k = draw_node(w, now, false);
    change->id = w->peers[i].id;
    uint32_t newcomer = change->type == MEMBER_REPLACE ? k : i;
    change->newcomer = change->type == MEMBER_REPLACE ? w->peers[k].id : 0;
    change->stay_learner = change->type == MEMBER_ADD && sim_below(r, 6) == 0;
    snprintf(change->raft_addr, sizeof change->raft_addr, "%s", w->peers[newcomer].raft_addr);
}

void real_members_begin(struct real_world *w)
{
    if (w->options.churn > 0)
        sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 2 * w->options.churn), REAL_CHANGE, 0, 0, 0);
}

void real_members_change(struct real_world *w)
{
    int leader = real_leader(w);
    uint32_t at = leader >= 0 && sim_below(&w->random, 2) == 0 ? (uint32_t)leader
                                                               : sim_below(&w->random, w->options.n);
    real_members_begin(w);
    if (!real_is_up(w, at) || w->node[at].paused)
        return;
    struct wish *wish = memory_new(sizeof *wish);
    wish->world = w;
    draw_change(w, &wish->change);
    wish->op = (struct op){ .type = OP_CHANGE, .change = &wish->change, .done = wish_done, .user = wish,
                            .deadline_ms = real_local_ms(&w->node[at]) +
                                           sim_between(&w->random, 50, 3000) };
    TRACE("%10" PRIu64 "  n%u is asked for change %d of %016" PRIx64 " by %016" PRIx64, w->now_us, at + 1,
          (int)wish->change.type, wish->change.id, wish->change.newcomer);
    node_submit(w->node[at].node, &wish->op);
    real_turn(w, at);
}

/* ---- who counts */

bool real_is_member(const struct real_world *w, uint32_t i)
{
    const struct configuration *now = leaders(w);
    if (w->options.churn == 0)
        return true;
    return now != NULL && configuration_place(now, w->peers[i].id) >= 0;
}

/* A change under way comes to its end when all is well. */
bool real_members_settled(const struct real_world *w)
{
    const struct configuration *now = leaders(w);
    return w->options.churn == 0 || (now != NULL && !now->members.joint);
}

static bool majority(const struct real_world *w, const struct raft_members *members, bool old,
                     const bool *has)
{
    uint32_t voters = 0, copies = 0;
    for (uint32_t k = 0; k < members->n; k++) {
        if (!(old ? members->at[k].old_voter : members->at[k].voter))
            continue;
        voters++;
        copies += has[real_place(w, members->at[k].id)];
    }
    return copies > voters / 2 || (old && voters == 0);
}

/* By one of the configurations that the node has in its log: the one in which the entry was committed
 * may have been left in the same turn. */
bool real_has_majority(const struct real_world *w, const struct node *node, const bool *has)
{
    for (uint32_t i = 0; i < node->n_configs; i++) {
        const struct raft_members *members = &node->configs[i].configuration.members;
        if (majority(w, members, false, has) && majority(w, members, true, has))
            return true;
    }
    return false;
}
