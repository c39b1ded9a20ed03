/* real_check.c - the invariants of tier 2, after every turn of a node, on every frame that leaves,
 * and on every write that reaches a disk.  Only what can have changed is looked at. */
#include "tests/sim/real.h"

#include <inttypes.h>

/* ---- entries */

struct look {
    uint64_t hash;
    raft_index wanted;
    raft_term term;
    bool found;
};

static bool look_at(void *arg, raft_index index, struct slice bytes)
{
    struct look *look = arg;
    struct record record;
    MUST(index == look->wanted, "the log delivers another entry");
    MUST(record_decode(index, bytes, &record) == OK, "I15: a damaged entry %" PRIu64 " is used", index);
    look->hash = checksum(1, bytes);
    look->term = record.term;
    look->found = true;
    return false;
}

static bool is_safe(struct real_world *w, const struct node *node, raft_index index)
{
    uint32_t copies = 0;
    bool has[SIM_NODES_MAX];
    for (uint32_t i = 0; i < w->options.n; i++) {
        const struct blob *bytes = memory_log_at(&w->node[i].disk->log, index);
        has[i] = index <= w->node[i].disk->log.base ||
                 (bytes != NULL && checksum(1, blob_slice(bytes)) == w->entry[index].hash);
        copies += has[i];
    }
    return w->options.churn > 0 ? real_has_majority(w, node, has) : copies > w->options.n / 2;
}

static bool log_may_be_damaged(const struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++)
        if (w->node[i].sick)
            return true;
    return false;
}

/* I5, I6: what is committed is the same everywhere, and on the disks of a majority. */
void real_check_commit(struct real_world *w, struct real_node *m)
{
    struct node *node = m->node;
    MUST(node->commit >= m->commit, "I6: the commit index of n%u went back", m->self + 1);
    for (raft_index i = m->commit + 1; i <= node->commit; i++) {
        MUST(i < REAL_LOG_MAX, "the simulator's log is full");
        if (i < raft_first_index(node->raft)) {
            MUST(i <= w->committed, "n%u has dropped entry %" PRIu64 ", which nobody committed", m->self + 1, i);
            continue;
        }
        bool in_memory = i >= node->tail.first;
        if (!in_memory && m->sick && i <= w->committed)
            continue; /* reading it could meet the damage */
        struct look look = { .wanted = i };
        node_read_entries(node, i, look_at, &look);
        MUST(look.found, "n%u has committed entry %" PRIu64 " and does not have it", m->self + 1, i);
        if (i <= w->committed) {
            MUST(look.hash == w->entry[i].hash, "I5: n%u commits another entry %" PRIu64, m->self + 1, i);
            continue;
        }
        w->entry[i].hash = look.hash;
        w->entry[i].term = look.term;
        w->entry[i].committed_in = node->term;
        w->committed = i;
        w->marks[REAL_COMMITS]++;
        MUST(is_safe(w, node, i) || log_may_be_damaged(w),
             "I6: n%u commits entry %" PRIu64 ", which no majority has on disk", m->self + 1, i);
    }
    m->commit = node->commit;
}

static void mix(void *arg, const struct kv_item *item)
{
    uint64_t *sum = arg;
    uint64_t numbers[3] = { item->revision, item->create_revision, item->version };
    *sum = checksum(*sum, item->key);
    *sum = checksum(*sum, item->value);
    *sum = checksum(*sum, slice_of(numbers, sizeof numbers));
}

uint64_t real_digest(struct statemachine *sm)
{
    struct list_query query = { .limit = PAGE_KEYS_MAX };
    struct list_result result;
    struct member_info members[MEMBERS_MAX];
    uint64_t sum = statemachine_revision(sm);
    if (statemachine_read_begin(sm) != OK)
        return 0;
    enum err err = statemachine_list(sm, &query, mix, &sum, &result);
    statemachine_read_end(sm);
    uint32_t n = statemachine_members(sm, members);
    for (uint32_t i = 0; i < n; i++)
        sum = checksum(sum ^ members[i].id, members[i].http_addr);
    return err != OK ? 0 : sum != 0 ? sum : 1;
}

/* The digest that the nodes compare: it is that of the items that are there, and the same on all. */
static void check_digest(struct real_world *w, struct real_node *m)
{
    struct statemachine *sm = m->node->sm;
    raft_index applied = statemachine_applied(sm);
    uint64_t digest = statemachine_digest(sm), walked;
    MUST(w->told[applied] == 0 || w->told[applied] == digest,
         "I5: n%u tells another digest than others after entry %" PRIu64, m->self + 1, applied);
    w->told[applied] = digest;
    if (statemachine_walk_digest(sm, &walked) == OK)
        MUST(walked == digest, "I5: n%u keeps a digest that is not its state's", m->self + 1);
    else
        MUST(m->sick, "the state of n%u cannot be read", m->self + 1);
}

/* I5: the same entries make the same state. */
static void check_state(struct real_world *w, struct real_node *m)
{
    struct statemachine *sm = m->node->sm;
    raft_index applied = statemachine_applied(sm);
    MUST(applied >= m->applied, "I6: the applied index of n%u went back", m->self + 1);
    MUST(applied <= m->node->commit, "I6: n%u applies what is not committed", m->self + 1);
    MUST(statemachine_durable(sm) <= m->disk->log.last,
         "n%u has a state on disk that is newer than its log", m->self + 1);
    MUST(statemachine_doubt(sm) == DOUBT_NONE, "I5: n%u finds that its state differs", m->self + 1);
    if (applied == m->applied)
        return;
    m->applied = applied;
    if (mutant("applied-differently"))
        return; /* what the nodes find for themselves */
    check_digest(w, m);
    uint64_t digest = real_digest(sm);
    MUST(digest != 0 || m->sick, "the state of n%u cannot be read", m->self + 1);
    if (digest == 0)
        return;
    MUST(w->digest[applied] == 0 || w->digest[applied] == digest,
         "I5: n%u has another state than others after entry %" PRIu64, m->self + 1, applied);
    w->digest[applied] = digest;
}

/* I1, I4. */
static void check_role(struct real_world *w, struct real_node *m)
{
    struct node *node = m->node;
    if (node->role == m->role && node->term == m->role_term)
        return;
    m->role = node->role;
    m->role_term = node->term;
    MUST(node->term < REAL_TERMS_MAX, "the simulator has too few terms");
    if (node->role != RAFT_LEADER)
        return;
    raft_id *leader = &w->leader_of[node->term];
    MUST(*leader == 0 || *leader == m->identity.id, "I1: term %" PRIu64 " has two leaders, n%u the second",
         node->term, m->self + 1);
    w->marks[REAL_LEADERS] += *leader == 0;
    *leader = m->identity.id;
    raft_index must = w->committed;
    while (must > 0 && w->entry[must].committed_in >= node->term)
        must--;
    MUST(must == 0 || raft_term_at(node->raft, must) == w->entry[must].term,
         "I4: leader n%u of term %" PRIu64 " lacks the committed entry %" PRIu64, m->self + 1, node->term,
         must);
}

void real_check_turn(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    check_role(w, m);
    real_check_commit(w, m);
    check_state(w, m);
}

/* I16: what a node begins with is no less than what it had durably. */
void real_check_start(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    m->commit = m->applied = 0;
    m->role = RAFT_FOLLOWER;
    m->role_term = 0;
    MUST(m->node->term == m->disk_term, "I16: n%u starts in term %" PRIu64 ", not %" PRIu64, i + 1,
         m->node->term, m->disk_term);
    raft_index applied = statemachine_applied(m->node->sm);
    w->marks[REAL_REPLAYS] += applied > 0 && applied < m->disk->log.last;
    MUST(applied <= w->committed, "n%u starts with a state that nobody committed", i + 1);
}

/* I2, I16 for what is on disk, over all lives. */
void real_check_stored(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    (void)w;
    MUST(m->disk->term >= m->disk_term, "I16: n%u stores a lower term", i + 1);
    MUST(m->disk->term > m->disk_term || m->disk_vote == 0 || m->disk->vote == m->disk_vote,
         "I2: n%u stores another vote in term %" PRIu64, i + 1, m->disk_term);
    m->disk_term = m->disk->term;
    m->disk_vote = m->disk->vote;
    real_check_base(w, i);
}

/* ---- I17: nothing leaves that promises what the disk does not hold */

static void check_vote(struct real_world *w, struct real_node *m, const struct raft_msg *msg)
{
    MUST(msg->term < REAL_TERMS_MAX, "the simulator has too few terms");
    raft_id *vote = &w->vote_of[msg->term][m->self];
    MUST(*vote == 0 || *vote == msg->to, "I2: n%u votes for two in term %" PRIu64, m->self + 1, msg->term);
    *vote = msg->to;
    MUST(m->disk->term > msg->term || (m->disk->term == msg->term && m->disk->vote == msg->to),
         "I17: the vote of n%u in term %" PRIu64 " leaves before it is on disk", m->self + 1, msg->term);
}

static void check_acknowledgement(struct real_node *m, const struct raft_msg *msg)
{
    raft_index match = msg->append_reply.match;
    if (!msg->append_reply.ok || match == 0 || m->disk->term != msg->term)
        return;
    const struct blob *stored = memory_log_at(&m->disk->log, match);
    struct slice wanted;
    if (match <= m->disk->log.base)
        return;
    MUST(stored != NULL, "I17: n%u acknowledges entry %" PRIu64 " before it is on disk", m->self + 1, match);
    if (tail_get(&m->node->tail, match, &wanted))
        MUST(m->sick || slice_equal(wanted, blob_slice(stored)),
             "I17: n%u acknowledges entry %" PRIu64 ", another one is on disk", m->self + 1, match);
}

static void check_message(struct real_world *w, struct real_node *m, const struct raft_msg *msg)
{
    bool pre = (msg->type == RAFT_VOTE && msg->vote.pre) ||
               (msg->type == RAFT_VOTE_REPLY && msg->vote_reply.pre);
    if (pre)
        return;
    MUST(msg->term <= m->disk->term, "I17: a %s of n%u leaves before its term is on disk",
         raft_msg_type_name(msg->type), m->self + 1);
    if (msg->type == RAFT_VOTE_REPLY && msg->vote_reply.granted)
        check_vote(w, m, msg);
    if (msg->type == RAFT_VOTE) /* it votes for itself */
        MUST(m->disk->term > msg->term || m->disk->vote == msg->from,
             "I17: n%u stands before its vote is on disk", m->self + 1);
    if (msg->type == RAFT_APPEND_REPLY)
        check_acknowledgement(m, msg);
}

static void trace_frame(const struct real_world *w, uint32_t from, uint32_t to, const struct frame *frame)
{
    static const char *const names[] = { [FRAME_FORWARD] = "forward", [FRAME_FORWARD_REPLY] = "forward-reply",
                                         [FRAME_READ_INDEX] = "read-index",
                                         [FRAME_READ_INDEX_REPLY] = "read-index-reply",
                                         [FRAME_INFO] = "info", [FRAME_INFO_REPLY] = "info-reply",
                                         [FRAME_DIGEST] = "digest",
                                         [FRAME_DIGEST_REPLY] = "digest-reply",
                                         [FRAME_ACKNOWLEDGED] = "acknowledged",
                                         [FRAME_SNAPSHOT_OPEN] = "snapshot-open",
                                         [FRAME_SNAPSHOT_OPEN_REPLY] = "snapshot-open-reply",
                                         [FRAME_SNAPSHOT_READ] = "snapshot-read",
                                         [FRAME_SNAPSHOT_PART] = "snapshot-part",
                                         [FRAME_CHANGE] = "change", [FRAME_CHANGE_REPLY] = "change-reply" };
    const struct raft_msg *msg = &frame->raft.msg;
    (void)w;
    if (frame->type != FRAME_RAFT)
        TRACE("            n%u -> n%u %s request=%" PRIu64, from + 1, to + 1, names[frame->type],
              frame->request);
    else if (msg->type == RAFT_APPEND)
        TRACE("            n%u -> n%u append term=%" PRIu64 " prev=%" PRIu64 " n=%u commit=%" PRIu64, from + 1,
              to + 1, msg->term, msg->append.prev, msg->append.n, msg->append.commit);
    else if (msg->type == RAFT_APPEND_REPLY)
        TRACE("            n%u -> n%u append-reply term=%" PRIu64 " ok=%d match=%" PRIu64, from + 1, to + 1,
              msg->term, msg->append_reply.ok, msg->append_reply.match);
    else
        TRACE("            n%u -> n%u %s term=%" PRIu64, from + 1, to + 1, raft_msg_type_name(msg->type),
              msg->term);
}

void real_check_frame(struct real_world *w, uint32_t from, uint32_t to, const struct blob *frame)
{
    static struct frame_scratch scratch;
    struct frame decoded;
    struct slice rest = blob_slice(frame);
    MUST(frame_decode(&rest, &scratch, &decoded) == OK && rest.size == 0, "I15: n%u sends a damaged frame",
         from + 1);
    if (sim_trace_file != NULL)
        trace_frame(w, from, to, &decoded);
    if (decoded.type == FRAME_RAFT && w->node[from].node != NULL)
        check_message(w, &w->node[from], &decoded.raft.msg);
}

/* ---- clients */

void real_acked(struct real_world *w, raft_index index, uint64_t revision)
{
    if (revision > w->acked_revision)
        w->acked_revision = revision;
    MUST(index <= w->committed, "I7: entry %" PRIu64 " is acknowledged before it is committed", index);
    if (index > w->acked_index)
        w->acked_index = index;
}

/* I8, I11, directly: whoever asks after a write was acknowledged, sees it. */
void real_check_read(struct real_world *w, const struct real_op *op)
{
    struct statemachine *sm = w->node[op->node].node->sm;
    raft_index applied = statemachine_applied(sm);
    if (op->kind == REAL_GET_STALE) {
        w->marks[REAL_READS_STALE]++;
        MUST(op->op.staleness_ms <= op->op.max_stale_ms, "a read is staler than it may be");
        return;
    }
    w->marks[op->kind == REAL_GET_LEASE ? REAL_READS_LEASE : REAL_READS_LINEARIZABLE]++;
    MUST(applied >= op->floor_index,
         "I8: n%u serves a %s read at entry %" PRIu64 " though %" PRIu64 " was acknowledged before",
         op->node + 1, op->kind == REAL_GET_LEASE ? "lease" : "linearizable", applied, op->floor_index);
    MUST(statemachine_revision(sm) >= op->floor_revision,
         "I11: n%u serves revision %" PRIu64 " after %" PRIu64, op->node + 1, statemachine_revision(sm),
         op->floor_revision);
}

/* I13: in the end all that are well hold the same. */
void real_check_converged(struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++) {
        struct real_node *m = &w->node[i];
        if (m->node == NULL || m->sick || !real_is_member(w, i))
            continue;
        MUST(m->applied == w->committed, "I13: n%u has applied %" PRIu64 " of %" PRIu64, i + 1, m->applied,
             w->committed);
    }
}
