/* change.c - from one configuration to another: joint consensus, §6 and thesis 4.3.
 *
 * A leader that is asked for other voters appends "C_old,new", the joint configuration; once that
 * is committed it appends C_new.  Each next step begins only when the one before is committed, so
 * any leader can take it: whatever configuration is the latest of a log tells what comes next. */
#include "raft_state.h"

/* ---- what the steps lead to */

/* C_new, read off the joint configuration. */
static void leave_joint(const struct raft_members *joint, struct raft_members *new)
{
    memset(new, 0, sizeof *new);
    for (uint32_t i = 0; i < joint->n; i++) {
        if (joint->at[i].leaving)
            continue;
        new->at[new->n++] = (struct raft_member){ .id = joint->at[i].id,
                                                  .voter = joint->at[i].voter };
    }
}

static bool voters_differ(const struct raft_members *a, const struct raft_members *b)
{
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t k = members_find(b, a->at[i].id);
        if (a->at[i].voter && (k == b->n || !b->at[k].voter))
            return true;
    }
    return false;
}

static bool members_differ(const struct raft_members *a, const struct raft_members *b)
{
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t k = members_find(b, a->at[i].id);
        if (k == b->n || a->at[i].voter != b->at[k].voter)
            return true;
    }
    return a->n != b->n;
}

/* C_old,new: everyone of both, the old ones first.  False if that is too many. */
static bool enter_joint(const struct raft_members *old, const struct raft_members *new,
                        struct raft_members *joint)
{
    memset(joint, 0, sizeof *joint);
    joint->joint = true;
    for (uint32_t i = 0; i < old->n; i++) {
        uint32_t k = members_find(new, old->at[i].id);
        joint->at[joint->n++] = (struct raft_member){ .id = old->at[i].id,
                                                      .voter = k < new->n && new->at[k].voter,
                                                      .old_voter = old->at[i].voter,
                                                      .leaving = k == new->n };
    }
    for (uint32_t k = 0; k < new->n; k++) {
        if (members_find(old, new->at[k].id) < old->n)
            continue;
        if (joint->n == RAFT_MEMBERS_MAX)
            return false;
        joint->at[joint->n++] = (struct raft_member){ .id = new->at[k].id,
                                                      .voter = new->at[k].voter };
    }
    return true;
}

/* ---- the steps */

static void append_members(struct raft *r, const struct raft_members *members)
{
    raft_index index = r->trail.last + 1;
    raft_save_entries(r, index, 0, 1);
    r->update->what |= RAFT_SAVE_MEMBERS;
    members_append(r, index, members);
    raft_trail_append(r, r->term, 1);
    r->quorum_since = r->now; /* who is new has had no time to answer */
    replicate_own(r);
    replicate_to_all(r);
}

/* One change at a time: two that overlap may have majorities that do not.  And none before this
 * term has committed an entry: until then a change of an earlier leader may be under way elsewhere
 * and unknown here (Ongaro, raft-dev, 2015; B29). */
static bool is_busy(const struct raft *r)
{
    bool under_way = members_latest_index(r) > r->commit || r->members.joint;
    bool own_commit = trail_term(&r->trail, r->commit) == r->term;
    return (under_way && !mutant("second-change-accepted")) ||
           (!own_commit && !mutant("change-before-own-commit")) ||
           r->trail.last + 1 > RAFT_NUMBER_MAX;
}

enum raft_status on_change(struct raft *r, const struct raft_members *wanted)
{
    ASSERT(wanted != NULL);
    if (r->role != RAFT_LEADER || r->transfer_to != 0)
        return RAFT_NOT_LEADER;
    if (wanted->joint || !members_are_valid(wanted))
        return RAFT_INVALID;
    if (is_busy(r))
        return RAFT_BUSY;
    struct raft_members next;
    if (!members_differ(&r->members, wanted) || !enter_joint(&r->members, wanted, &next))
        return RAFT_INVALID;
    /* The same voters have the same majorities; learners come and go with one entry. */
    if (!voters_differ(&r->members, wanted) && !voters_differ(wanted, &r->members)) {
        struct raft_members joint = next;
        leave_joint(&joint, &next);
    }
    append_members(r, &next);
    return RAFT_OK;
}

/* "the leader steps down (returns to follower state) once it has committed the C_new log entry",
 * §6.  It says so to everyone, and does not let them wait for an election timeout (thesis 3.10). */
static void step_down_removed(struct raft *r)
{
    heartbeat_all(r);
    uint32_t heir = transfer_most_advanced(r);
    if (r->transfer_to == 0 && heir < r->members.n) {
        raft_message(r, RAFT_TIMEOUT_NOW, r->members.at[heir].id);
        raft_emit(r, RAFT_TRACE_TRANSFER, r->members.at[heir].id, 2, 0, 0);
    }
    raft_emit(r, RAFT_TRACE_STEP_DOWN, RAFT_STEP_DOWN_REMOVED, r->term, 0, 0);
    become_follower(r, r->term, 0);
}

/* Something of this term was committed.  "Once C_old,new has been committed ... it is now safe for
 * the leader to create a log entry describing C_new", §6: whoever leads then, whoever began it. */
void change_advance(struct raft *r)
{
    if (members_latest_index(r) > r->commit)
        return;
    if (r->members.joint) {
        if (r->trail.last + 1 > RAFT_NUMBER_MAX)
            return;
        struct raft_members new;
        leave_joint(&r->members, &new);
        append_members(r, &new);
    } else if (!place_votes(r, r->self) && !mutant("removed-leader-stays")) {
        step_down_removed(r);
    }
}
