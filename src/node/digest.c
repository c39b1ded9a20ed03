/* digest.c - do all nodes hold the same?
 *
 * The leader asks all, itself included, for the digest of the state after one entry: the last of
 * its log, which nobody can have passed by far.  Each answers once it has applied that entry.
 * What a majority of the voters answers is agreed, and told to those who answered otherwise, or
 * not at all; each compares for itself.  Who differs from what is agreed serves no client and
 * does not lead, until the member is replaced, also after a restart, and has no vote here any more;
 * in Raft it has.  Where no digest has a majority though a majority has answered, nobody who
 * answered serves: the leader goes on asking, so that a member who comes back can decide it.  The
 * Raft core knows nothing of all this. */
#include "node_private.h"

#include <inttypes.h>

/* ---- what this node's state was */

static bool digest_at(const struct node *node, raft_index index, uint64_t *out)
{
    const struct digests *d = &node->digests;
    const struct digest_mark *mark = &d->newest[index % DIGESTS_NEWEST];
    for (uint32_t i = 0; i < DIGESTS_ASKED && mark->index != index; i++)
        if (d->asked[i].index == index)
            mark = &d->asked[i];
    *out = mark->digest;
    return index > 0 && mark->index == index;
}

/* So that it is still known when the answer to all answers comes. */
static void keep(struct node *node, raft_index index, uint64_t digest)
{
    struct digests *d = &node->digests;
    d->asked[d->n_asked++ % DIGESTS_ASKED] = (struct digest_mark){ index, digest };
}

/* ---- doubt */

static void say_doubt(const struct node *node, enum state_doubt doubt, raft_index index)
{
    if (doubt == DOUBT_DIFFERS)
        log_error("the data of this node differs from what a majority of the members agrees in; it "
                  "serves no client until it is replaced: remove this member and add a new one with "
                  "an empty data directory",
                  "index=%" PRIu64 " digest=%016" PRIx64 " agreed_index=%" PRIu64
                  " agreed=%016" PRIx64, statemachine_applied(node->sm),
                  statemachine_digest(node->sm), index, node->digests.agreed.digest);
    else if (doubt == DOUBT_UNDECIDED)
        log_error("the members hold different data and no majority agrees; none that is concerned "
                  "serves clients until one does: start the members that are down, or restore a "
                  "backup",
                  "index=%" PRIu64, index);
    else
        log_info("a majority of the members agrees in the data of this node; it serves again",
                 "index=%" PRIu64, index);
}

static void set_doubt(struct node *node, enum state_doubt doubt, raft_index index)
{
    if (statemachine_doubt(node->sm) == doubt || statemachine_doubt(node->sm) == DOUBT_DIFFERS)
        return;
    say_doubt(node, doubt, index);
    statemachine_set_doubt(node->sm, doubt, index);
    node->digests.news = true;
    node_wake(node);
}

bool digest_doubted(const struct node *node)
{
    return statemachine_doubt(node->sm) != DOUBT_NONE;
}

/* Compares with what is agreed, if this node knows its own. */
static void judge(struct node *node)
{
    const struct digest_mark *agreed = &node->digests.agreed;
    uint64_t own;
    if (!digest_at(node, agreed->index, &own))
        return;
    if (own != agreed->digest) {
        set_doubt(node, DOUBT_DIFFERS, agreed->index);
        return;
    }
    node->stats.digests_agreed++;
    if (agreed->index >= statemachine_doubt_index(node->sm))
        set_doubt(node, DOUBT_NONE, agreed->index);
}

/* ---- the leader asks */

static void ask(struct node *node, const struct peer *peer)
{
    const struct digests *d = &node->digests;
    struct frame frame = { .type = FRAME_DIGEST, .request = d->round };
    frame.digest.term = node->term;
    frame.digest.index = d->index;
    frame.digest.agreed_index = d->agreed.index;
    frame.digest.agreed = d->agreed.digest;
    frame.digest.undecided = d->undecided;
    outbox_frame(node, peer->id, LANE_CONTROL, false, &frame);
}

static bool votes(const struct peer *peer)
{
    return peer->digest_answered && peer->digest_answer == DIGEST_KNOWN;
}

static bool agrees(const struct node *node, const struct peer *peer)
{
    const struct digests *d = &node->digests;
    return d->decided && votes(peer) && peer->digest == d->agreed.digest;
}

static bool knows_to_be_odd(const struct peer *peer)
{
    return peer->digest_answered && peer->digest_answer == DIGEST_ODD;
}

/* Those who have not answered, those who differ, and once more all when there is an end. */
static void ask_all(struct node *node)
{
    for (uint32_t i = 0; i < node->n_peers; i++) {
        struct peer *peer = &node->peers[i];
        bool ended = node->digests.decided || node->digests.undecided;
        if ((agrees(node, peer) && peer->digest_told) || knows_to_be_odd(peer))
            continue;
        peer->digest_told = ended;
        ask(node, peer);
    }
}

static void begin_round(struct node *node, uint64_t now_ms)
{
    struct digests *d = &node->digests;
    uint64_t own;
    d->round = ++node->next_request;
    d->round_term = node->term;
    d->round_ms = now_ms;
    d->index = raft_last_index(node->raft);
    d->decided = d->undecided = d->missed = false;
    for (uint32_t i = 0; i < node->n_peers; i++)
        node->peers[i].digest_answered = node->peers[i].digest_told = false;
    if (digest_at(node, d->index, &own))
        keep(node, d->index, own);
}

/* ---- the answers */

struct count {
    uint64_t votes[RAFT_MEMBERS_MAX];
    uint32_t n, voters, best;
    uint64_t digest; /* of the best */
};

static void count_vote(struct count *count, uint64_t digest)
{
    uint32_t same = 1;
    for (uint32_t i = 0; i < count->n; i++)
        same += count->votes[i] == digest;
    count->votes[count->n++] = digest;
    if (same > count->best) {
        count->best = same;
        count->digest = digest;
    }
}

static bool own_vote(const struct node *node, uint64_t *own)
{
    return statemachine_doubt(node->sm) != DOUBT_DIFFERS &&
           digest_at(node, node->digests.index, own);
}

static void count_votes(struct node *node, struct count *count)
{
    struct raft_progress members[RAFT_MEMBERS_MAX];
    uint32_t n = raft_progress(node->raft, members);
    *count = (struct count){ 0 };
    for (uint32_t i = 0; i < n; i++) {
        const struct peer *peer = node_peer(node, members[i].id);
        uint64_t own;
        if (!members[i].voter)
            continue;
        count->voters++;
        if (members[i].id == node->config.identity.id && own_vote(node, &own))
            count_vote(count, own);
        else if (peer != NULL && votes(peer))
            count_vote(count, peer->digest);
    }
}

static void log_odd(struct peer *peer, raft_index index)
{
    if (!peer->digest_logged)
        log_error("the data of a member differs from what a majority agrees in; it serves no client "
                  "until it is replaced",
                  "member=%s index=%" PRIu64, peer->raft_addr, index);
    peer->digest_logged = true;
}

static void tell_odd_ones(struct node *node)
{
    for (uint32_t i = 0; i < node->n_peers; i++) {
        struct peer *peer = &node->peers[i];
        if (!votes(peer) || agrees(node, peer))
            continue;
        log_odd(peer, node->digests.index);
        if (!peer->digest_told) /* again only with the next turn */
            ask(node, peer);
        peer->digest_told = true;
    }
}

/* Waits for all before it gives up on a majority: the odd one may have answered first. */
static void decide(struct node *node)
{
    struct digests *d = &node->digests;
    struct count count;
    count_votes(node, &count);
    if (2 * count.best > count.voters) {
        d->agreed = (struct digest_mark){ d->index, count.digest };
        d->undecided = false;
        if (!d->decided)
            judge(node);
        d->decided = true;
        tell_odd_ones(node);
        return;
    }
    bool late = node_now(node) >= d->round_ms + node->config.election_max_ms;
    if (d->undecided || 2 * count.n <= count.voters || (count.n < count.voters && !late))
        return;
    d->undecided = true;
    uint64_t own;
    if (digest_at(node, d->index, &own))
        set_doubt(node, DOUBT_UNDECIDED, d->index);
    ask_all(node);
}

void digest_on_reply(struct node *node, raft_id from, const struct frame *frame)
{
    struct digests *d = &node->digests;
    struct peer *peer = node_peer(node, from);
    if (node->role != RAFT_LEADER || d->round_term != node->term || frame->request != d->round)
        return;
    peer->digest_answered = true;
    peer->digest_answer = frame->digest_reply.answer;
    peer->digest = frame->digest_reply.digest;
    d->missed = d->missed || !votes(peer);
    if (knows_to_be_odd(peer))
        log_odd(peer, d->index);
    decide(node);
}

/* ---- the others */

static void answer(struct node *node, raft_id to, uint64_t request, raft_index index)
{
    struct frame frame = { .type = FRAME_DIGEST_REPLY, .request = request };
    uint64_t own;
    if (statemachine_doubt(node->sm) == DOUBT_DIFFERS) {
        frame.digest_reply.answer = DIGEST_ODD;
    } else if (digest_at(node, index, &own)) {
        frame.digest_reply.answer = DIGEST_KNOWN;
        frame.digest_reply.digest = own;
        keep(node, index, own);
    }
    outbox_frame(node, to, LANE_CONTROL, true, &frame);
}

void digest_on_question(struct node *node, raft_id from, const struct frame *frame)
{
    struct digests *d = &node->digests;
    if (from != node->leader || frame->digest.term != node->term)
        return;
    if (d->round_term == node->term && frame->request < d->round)
        return; /* the network has delayed it */
    d->round_term = node->term;
    d->round = frame->request;
    /* What is agreed of an entry that lies ahead waits here until that is applied. */
    if (frame->digest.agreed_index > 0 && d->agreed.index <= statemachine_applied(node->sm)) {
        d->agreed = (struct digest_mark){ frame->digest.agreed_index, frame->digest.agreed };
        judge(node);
    }
    uint64_t own;
    if (frame->digest.undecided && digest_at(node, frame->digest.index, &own))
        set_doubt(node, DOUBT_UNDECIDED, frame->digest.index);
    d->wanted_by = 0;
    if (frame->digest.index <= statemachine_applied(node->sm)) {
        answer(node, from, frame->request, frame->digest.index);
        return;
    }
    d->wanted_by = from;
    d->index = frame->digest.index;
}

void digest_applied(struct node *node)
{
    struct digests *d = &node->digests;
    raft_index index = statemachine_applied(node->sm);
    d->newest[index % DIGESTS_NEWEST] =
        (struct digest_mark){ index, statemachine_digest(node->sm) };
    if (index == d->agreed.index)
        judge(node);
    if (index != d->index)
        return;
    keep(node, index, statemachine_digest(node->sm));
    if (node->role == RAFT_LEADER)
        d->news = true;
    else if (d->wanted_by != 0)
        answer(node, d->wanted_by, d->round, index);
    d->wanted_by = 0;
}

/* ---- turns */

uint64_t digest_deadline(const struct node *node)
{
    bool leads = node->role == RAFT_LEADER && node->n_peers > 0;
    return leads ? node->digests.due_ms : UINT64_MAX;
}

static bool wants_a_round(const struct node *node, uint64_t now_ms)
{
    const struct digests *d = &node->digests;
    return d->round_term != node->term ||
           now_ms >= d->round_ms + DIGEST_REPEAT * (uint64_t)node->config.election_min_ms ||
           ((d->decided || d->missed) && d->index < raft_last_index(node->raft));
}

void digest_pump(struct node *node, uint64_t now_ms)
{
    struct digests *d = &node->digests;
    bool news = d->news;
    d->news = false;
    if (news && digest_doubted(node)) {
        node->lease_until_ms = 0;
        reads_refuse_all(node, ERR_STATE_DIFFERS);
        writes_refuse_all(node, ERR_STATE_DIFFERS);
    }
    if (node->role != RAFT_LEADER || node->n_peers == 0)
        return;
    if (news && d->round_term == node->term)
        decide(node);
    if (now_ms < d->due_ms)
        return;
    d->due_ms = now_ms + node->config.election_min_ms;
    if (wants_a_round(node, now_ms))
        begin_round(node, now_ms);
    decide(node);
    ask_all(node);
}

void digest_init(struct node *node)
{
    struct digests *d = &node->digests;
    raft_index index = statemachine_applied(node->sm);
    memset(d->newest, 0, sizeof d->newest);
    memset(d->asked, 0, sizeof d->asked);
    d->newest[index % DIGESTS_NEWEST] =
        (struct digest_mark){ index, statemachine_digest(node->sm) };
    if (digest_doubted(node))
        log_error("the data of this node was found to differ from the other members'; it serves no "
                  "client",
                  "index=%" PRIu64 " since=%" PRIu64, index, statemachine_doubt_index(node->sm));
}
