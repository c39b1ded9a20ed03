/* role.c - the four roles and every change between them; nothing else changes term or role. */
#include "raft_state.h"

/* splitmix64 (Steele, Lea, Flood 2014): any seed gives a good sequence. */
static uint64_t random_next(struct raft *r)
{
    r->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = r->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* "Election timeouts are chosen randomly from a fixed interval", §5.2: anew for each wait. */
void election_timer_reset(struct raft *r)
{
    const struct raft_config *c = &r->config;
    raft_msec spread = c->election_max_ms - c->election_min_ms + 1;
    r->election_deadline = r->now + c->election_min_ms + random_next(r) % spread;
}

uint32_t granted_count(const struct raft *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->members.n; i++)
        count += place_votes(r, i) && r->granted[i];
    return count;
}

bool granted_by_majority(const struct raft *r)
{
    uint64_t granted[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < r->members.n; i++)
        granted[i] = r->granted[i];
    return members_reached(r, granted) > 0;
}

static void set_role(struct raft *r, enum raft_role role, raft_id leader)
{
    bool changed = r->role != role;
    r->role = role;
    r->leader = leader;
    if (changed)
        raft_emit(r, RAFT_TRACE_ROLE, role, r->term, r->trail.last, granted_count(r));
}

static void set_term(struct raft *r, raft_term term)
{
    ASSERT(term > r->term);
    raft_emit(r, RAFT_TRACE_TERM, r->term, term, r->cause, 0);
    r->term = term;
    r->vote = 0; /* a vote belongs to its term; within a term it is never taken back */
}

/* To follower, in this term or a higher one.  The election timer runs on: only a leader's word
 * or a vote that was granted puts it back (Figure 2, Rules for Servers, Followers), or a
 * candidate with a short log could keep everyone else from standing. */
void become_follower(struct raft *r, raft_term term, raft_id leader)
{
    bool led = r->role == RAFT_LEADER;
    if (led && term > r->term)
        raft_emit(r, RAFT_TRACE_STEP_DOWN, RAFT_STEP_DOWN_TERM, term, 0, 0);
    if (term > r->term)
        set_term(r, term);
    else if (mutant("vote-cleared") && r->role == RAFT_CANDIDATE)
        r->vote = 0;
    memset(r->granted, 0, sizeof r->granted);
    set_role(r, RAFT_FOLLOWER, leader);
    if (led) {
        read_fail_all(r);
        transfer_end(r);
        election_timer_reset(r); /* a leader has none */
    }
}

/* Thesis 9.6.  Forgets the leader: a server that finds its leader dead must not, by having heard
 * of it lately, refuse others that found the same (etcd #8334). */
void become_precandidate(struct raft *r)
{
    memset(r->granted, 0, sizeof r->granted);
    r->granted[r->self] = true; /* nothing that a crash could undo depends on it */
    set_role(r, RAFT_PRECANDIDATE, 0);
    election_timer_reset(r);
}

/* Figure 2, Rules for Servers, Candidates: "Increment currentTerm, vote for self, reset election
 * timer".  The own vote counts like any other's, once it is durable: it comes back as a message
 * to itself. */
void become_candidate(struct raft *r)
{
    set_term(r, r->term + 1);
    r->vote = r->config.self;
    memset(r->granted, 0, sizeof r->granted);
    set_role(r, RAFT_CANDIDATE, 0);
    election_timer_reset(r);
    struct raft_msg *msg = raft_message(r, RAFT_VOTE_REPLY, r->config.self);
    msg->vote_reply.granted = true;
}

/* Figure 2, State, "Volatile state on leaders: (Reinitialized after election)". */
void become_leader(struct raft *r)
{
    ASSERT(r->role == RAFT_CANDIDATE && r->n_reads == 0 && r->transfer_to == 0);
    set_role(r, RAFT_LEADER, r->config.self);
    r->quorum_since = r->now;
    members_lead(r);
    append_noop(r);
    r->heartbeat_deadline = r->now + r->config.heartbeat_ms; /* the no-op is the first */
}
