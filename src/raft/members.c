/* members.c - the configurations of §6: which one is in use, what a majority is under it, and the
 * place that each member has in the arrays of a leader or candidate.
 *
 * "a server always uses the latest configuration in its log, regardless of whether the entry is
 * committed", §6; when a conflict erases that entry it goes back to the one before.  How one is
 * changed for another is change.c. */
#include "raft_state.h"

#include "quorum.h"

static bool member_is_valid(const struct raft_members *m, uint32_t i)
{
    const struct raft_member *member = &m->at[i];
    for (uint32_t k = 0; k < i; k++) {
        if (m->at[k].id == member->id)
            return false;
    }
    if (!m->joint)
        return member->id != 0 && !member->old_voter && !member->leaving;
    return member->id != 0 && !(member->leaving && member->voter);
}

bool members_are_valid(const struct raft_members *m)
{
    uint32_t voters = 0, old_voters = 0;
    if (m->n < 1 || m->n > RAFT_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < m->n; i++) {
        if (!member_is_valid(m, i))
            return false;
        voters += m->at[i].voter;
        old_voters += m->at[i].old_voter;
    }
    return voters >= 1 && voters <= RAFT_VOTERS_MAX && (old_voters >= 1) == m->joint &&
           old_voters <= RAFT_VOTERS_MAX;
}

uint32_t members_find(const struct raft_members *m, raft_id id)
{
    uint32_t i = 0;
    while (i < m->n && m->at[i].id != id)
        i++;
    return i;
}

/* ---- majorities */

bool place_votes(const struct raft *r, uint32_t place)
{
    return place < r->members.n &&
           (r->members.at[place].voter || (r->members.joint && r->members.at[place].old_voter));
}

bool raft_alone(const struct raft *r)
{
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (i != r->self && place_votes(r, i))
            return false;
    }
    return place_votes(r, r->self);
}

bool members_leaving(const struct raft *r)
{
    if (r->n_configs < 2 || place_votes(r, r->self) || mutant("who-leaves-never-stands"))
        return false;
    const struct raft_members *before = &r->configs[r->n_configs - 2].members;
    uint32_t i = members_find(before, r->config.self);
    return i < before->n && (before->at[i].voter || before->at[i].old_voter);
}

/* "Agreement (for elections and entry commitment) requires separate majorities from both the old
 * and new configurations", §6. */
uint64_t members_reached(const struct raft *r, const uint64_t *values)
{
    uint64_t new[RAFT_MEMBERS_MAX] = { 0 }, old[RAFT_MEMBERS_MAX] = { 0 };
    uint32_t n_new = 0, n_old = 0;
    for (uint32_t i = 0; i < r->members.n; i++) {
        const struct raft_member *member = &r->members.at[i];
        if (member->voter || (mutant("learner-counts") && !member->leaving) ||
            (mutant("removed-node-votes") && member->leaving))
            new[n_new++] = values[i];
        if (r->members.joint && member->old_voter)
            old[n_old++] = values[i];
    }
    uint64_t reached = quorum_reached(new, n_new);
    if (n_old == 0 || mutant("joint-needs-new-majority-only"))
        return reached;
    uint64_t reached_old = quorum_reached(old, n_old);
    return reached_old < reached ? reached_old : reached;
}

/* ---- places */

uint32_t raft_place(const struct raft *r, raft_id id)
{
    uint32_t i = 0;
    while (i < r->n_places && r->place_id[i] != id)
        i++;
    return i;
}

static void add_place(struct raft *r, raft_id id)
{
    uint32_t place = r->n_places++;
    r->place_id[place] = id;
    r->granted[place] = false;
    r->left[place].index = 0;
    r->left[place].until = 0;
    progress_init(&r->progress[place], r->trail.last + 1);
    if (id == r->config.self)
        r->self = place;
}

static void add_members(struct raft *r)
{
    r->n_places = 0;
    for (uint32_t i = 0; i < r->members.n; i++)
        add_place(r, r->members.at[i].id);
    if (members_find(&r->members, r->config.self) == r->members.n)
        add_place(r, r->config.self);
}

/* One that has left with the configuration at `index`. */
static void add_departed(struct raft *r, raft_id id, raft_index index)
{
    if (r->n_places == PLACES_MAX)
        return;
    add_place(r, id);
    r->left[r->n_places - 1].index = index;
}

/* Everyone's place under the configuration in use.  What is known of a member stays known; a
 * newcomer is probed; who leaves while this server leads keeps a place for a while. */
static void arrange(struct raft *r)
{
    struct progress progress[PLACES_MAX];
    raft_id id[PLACES_MAX];
    bool granted[PLACES_MAX];
    struct departed left[PLACES_MAX];
    uint32_t n = r->n_places, self = r->self;
    memcpy(progress, r->progress, n * sizeof progress[0]);
    memcpy(id, r->place_id, n * sizeof id[0]);
    memcpy(granted, r->granted, n * sizeof granted[0]);
    memcpy(left, r->left, n * sizeof left[0]);

    add_members(r);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = raft_place(r, id[i]);
        if (place == r->n_places && i != self && r->role == RAFT_LEADER)
            add_departed(r, id[i], left[i].index > 0 ? left[i].index : r->members_index);
        if (place == r->n_places)
            continue;
        r->progress[place] = progress[i];
        r->granted[place] = granted[i];
        if (place >= r->members.n)
            r->left[place].until = left[i].until;
    }
}

void members_lead(struct raft *r)
{
    add_members(r);
    if (r->n_configs < 2)
        return;
    /* The change under way is another leader's: who leaves by it must hear of it all the same. */
    const struct raft_members *before = &r->configs[r->n_configs - 2].members;
    for (uint32_t i = 0; i < before->n; i++) {
        if (raft_place(r, before->at[i].id) == r->n_places)
            add_departed(r, before->at[i].id, r->members_index);
    }
}

static bool has_departed(const struct raft *r, uint32_t place)
{
    return place >= r->members.n && place != r->self;
}

static void remove_place(struct raft *r, uint32_t place)
{
    r->n_places--;
    for (uint32_t i = place; i < r->n_places; i++) {
        r->place_id[i] = r->place_id[i + 1];
        r->granted[i] = r->granted[i + 1];
        r->left[i] = r->left[i + 1];
        r->progress[i] = r->progress[i + 1];
    }
    if (r->self > place)
        r->self--;
}

/* Nothing in the paper tells a server that it was removed.  So that it need not guess, it gets the
 * log until it has had time to hear that the entry is committed; it counts for nothing. */
void members_forget_departed(struct raft *r)
{
    for (uint32_t i = r->n_places; i-- > r->members.n;) {
        struct departed *left = &r->left[i];
        if (!has_departed(r, i) || left->index > r->commit)
            continue;
        if (left->until == 0)
            left->until = r->now + DEPARTED_TIMEOUTS * r->config.election_max_ms;
        else if (r->now >= left->until)
            remove_place(r, i);
    }
}

/* ---- which one is in use */

static const struct raft_config_at *latest(const struct raft *r)
{
    return &r->configs[mutant("config-used-when-committed") ? 0 : r->n_configs - 1];
}

static void use_latest(struct raft *r)
{
    const struct raft_config_at *config = latest(r);
    r->members = config->members;
    r->members_index = config->index;
    arrange(r);
    if (r->update == NULL)
        return; /* at the beginning */
    uint32_t voters = 0;
    for (uint32_t i = 0; i < r->members.n; i++)
        voters += r->members.at[i].voter;
    r->update->what |= RAFT_NEW_MEMBERS;
    raft_emit(r, RAFT_TRACE_MEMBERS, r->members_index, r->members.n, voters, r->members.joint);
}

raft_index members_latest_index(const struct raft *r)
{
    return r->configs[r->n_configs - 1].index;
}

/* The oldest goes when there are too many.  That takes nothing back that could be needed: a leader
 * appends a configuration only when the one before it in its log is committed (change.c), so of
 * those in a log only the last can still be erased. */
static void push(struct raft *r, raft_index index, const struct raft_members *members)
{
    ASSERT(index > members_latest_index(r));
    if (r->n_configs == RAFT_CONFIGS_MAX + 1) {
        r->n_configs--;
        memmove(&r->configs[0], &r->configs[1], r->n_configs * sizeof r->configs[0]);
    }
    r->configs[r->n_configs].index = index;
    r->configs[r->n_configs].members = *members;
    r->n_configs++;
}

void members_init(struct raft *r, const struct raft_boot *boot)
{
    ASSERT(boot->members.n == 0 || members_are_valid(&boot->members));
    ASSERT(boot->n_configs == 0 || boot->configs != NULL);
    r->configs[0].index = 0;
    r->configs[0].members = boot->members;
    r->n_configs = 1;
    for (uint32_t i = 0; i < boot->n_configs; i++) {
        ASSERT(boot->configs[i].index > boot->base_index &&
               boot->configs[i].index <= boot->last_index);
        ASSERT(members_are_valid(&boot->configs[i].members));
        push(r, boot->configs[i].index, &boot->configs[i].members);
    }
    members_committed(r);
    use_latest(r);
}

void members_append(struct raft *r, raft_index index, const struct raft_members *members)
{
    push(r, index, members);
    if (latest(r)->index != r->members_index)
        use_latest(r);
}

void members_truncate(struct raft *r, raft_index first)
{
    if (mutant("config-not-rolled-back"))
        return;
    uint32_t n = r->n_configs;
    while (r->n_configs > 1 && members_latest_index(r) >= first)
        r->n_configs--;
    if (r->n_configs != n)
        use_latest(r);
}

void members_committed(struct raft *r)
{
    uint32_t gone = 0;
    while (gone + 1 < r->n_configs && r->configs[gone + 1].index <= r->commit)
        gone++;
    if (gone == 0)
        return;
    r->n_configs -= gone;
    memmove(&r->configs[0], &r->configs[gone], r->n_configs * sizeof r->configs[0]);
    if (r->update != NULL && latest(r)->index != r->members_index)
        use_latest(r);
}

void members_install(struct raft *r, raft_index last, const struct raft_members *members, bool keep)
{
    uint32_t old = 0, n = 0;
    while (old < r->n_configs && (!keep || r->configs[old].index <= last))
        old++;
    struct raft_config_at base = { .index = last, .members = *members };
    n = r->n_configs - old;
    if (old == 0) {  /* cannot be but with a full history: the oldest makes room */
        ASSERT(n > 0);
        old = 1;
        n--;
    }
    memmove(&r->configs[1], &r->configs[old], n * sizeof r->configs[0]);
    r->configs[0] = base;
    r->n_configs = n + 1;
    use_latest(r);
}

const struct raft_members *raft_members(const struct raft *r, raft_index *index, bool *committed)
{
    if (index != NULL)
        *index = r->members_index;
    if (committed != NULL)
        *committed = r->members_index <= r->commit;
    return &r->members;
}
