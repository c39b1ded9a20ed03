/* fuzz_peers.c - one Raft core among peers that say anything at all.
 *
 * Nobody can promise that such a cluster is consistent, but the core itself must stay sane: no
 * assertion fails, what it calls invalid changes nothing, term and commit index never fall, it
 * votes once a term, what it asks to be stored fits to its log, and its messages are such that
 * a peer's decoder takes them. */
#include "tests/fuzz/fuzz.h"

#include "src/raft/raft_state.h"
#include "src/wire/frame.h"

enum { SELF = 1, PEERS = 3, ENTRIES_MAX = 8, LOG_MAX = 4096 };

struct server {
    struct raft *raft;
    struct raft_update update;
    raft_msec now;
    raft_ticket ticket;
    raft_index last;
    raft_term terms[LOG_MAX + 1]; /* of the log that was stored */
};

static struct server s;

/* ---- what must hold */

static void check_message(const struct raft_msg *msg)
{
    unsigned char body[FRAME_OVERHEAD_MAX];
    struct frame frame = { .type = FRAME_RAFT }, out;
    static struct frame_scratch scratch;
    FUZZ_MUST(msg->from == SELF && msg->to != 0); /* strangers are answered, too */
    FUZZ_MUST(msg->after <= s.ticket);
    if (msg->to == SELF)
        return;
    frame.raft.msg = *msg;
    frame.raft.msg.after = 0;
    if (msg->type == RAFT_APPEND) {
        FUZZ_MUST(msg->append.n <= RAFT_BATCH_MAX && msg->append.prev + msg->append.n <= s.last);
        FUZZ_MUST(msg->append.prev == 0 || s.terms[msg->append.prev] == msg->append.prev_term);
        frame.raft.msg.append.n = 0;
    }
    size_t size = frame_raft_checked_size(msg->type);
    struct writer writer = writer_of(body, sizeof body);
    frame_raft_write(&writer, &frame);
    struct reader reader = reader_of(slice_of(body, size));
    FUZZ_MUST(frame_raft_read(&reader, &scratch, &out));
}

static void check_save(const struct raft_update *u, const struct raft_event *event)
{
    if (!(u->what & RAFT_SAVE_ENTRIES))
        return;
    FUZZ_MUST(u->save.first >= 1 && u->save.first <= s.last + 1);
    FUZZ_MUST(u->save.first > u->commit || s.last < u->save.first || u->what & RAFT_COMMITTED);
    for (uint32_t i = 0; i < u->save.n && u->save.first + i <= LOG_MAX; i++) {
        raft_term term = u->term;
        if (event->type == RAFT_RECV && !(u->what & RAFT_SAVE_NOOP))
            term = event->recv.entries[u->save.skip + i].term;
        FUZZ_MUST(term >= s.terms[u->save.first + i - 1]);
        s.terms[u->save.first + i] = term;
    }
    s.last = u->save.first + u->save.n - 1;
}

static void check_update(const struct raft_event *event, enum raft_status status,
                         const struct raft_update *before)
{
    const struct raft_update *u = &s.update;
    FUZZ_MUST(u->term >= before->term && u->commit >= before->commit);
    FUZZ_MUST(u->term > before->term || before->vote == 0 || u->vote == before->vote);
    FUZZ_MUST(u->n_msgs <= RAFT_OUTBOX_MAX && u->n_reads <= RAFT_READS_MAX);
    if (status != RAFT_OK)
        FUZZ_MUST(u->what == 0 && u->ticket == 0 && u->n_msgs == 0 && u->n_reads == 0 &&
                  u->term == before->term && u->commit == before->commit);
    FUZZ_MUST((u->ticket != 0) == ((u->what & (RAFT_SAVE_VOTE | RAFT_SAVE_ENTRIES)) != 0));
    FUZZ_MUST(u->ticket == 0 || u->ticket > s.ticket);
    s.ticket = u->ticket != 0 ? u->ticket : s.ticket;
    FUZZ_MUST(u->term == before->term || u->what & RAFT_SAVE_VOTE);
    check_save(u, event);
    FUZZ_MUST(raft_last_index(s.raft) == s.last && u->commit <= s.last);
    FUZZ_MUST(s.last == 0 || raft_term_at(s.raft, s.last) == s.terms[s.last]);
    for (uint32_t i = 0; i < u->n_msgs; i++)
        check_message(&u->msgs[i]);
}

static void step(struct raft_event *event)
{
    struct raft_update before = s.update;
    event->now = s.now;
    enum raft_status status = raft_step(s.raft, event, &s.update);
    check_update(event, status, &before);
    for (uint32_t i = 0; i < s.update.n_msgs; i++) {
        struct raft_msg msg = s.update.msgs[i];
        if (msg.to != SELF || msg.after == 0)
            continue;
        struct raft_event word = { .type = RAFT_RECV }; /* its disk is quick */
        word.recv.msg = &msg;
        step(&word);
        return;
    }
}

/* ---- what peers say: mostly near the truth */

static uint64_t near(struct fuzz_input *in, uint64_t truth)
{
    uint8_t how = fuzz_u8(in);
    if (how < 240)
        return truth + (uint64_t)(how % 8) - 3;
    return how < 252 ? how % 4 : fuzz_number(in, 8);
}

static void fill_message(struct fuzz_input *in, struct raft_msg *msg)
{
    uint8_t flags = fuzz_u8(in);
    switch (msg->type) {
    case RAFT_VOTE:
        msg->vote.last = near(in, s.last);
        msg->vote.last_term = near(in, s.terms[s.last]);
        msg->vote.pre = flags & 1;
        msg->vote.transfer = flags & 2;
        return;
    case RAFT_VOTE_REPLY:
        msg->vote_reply.pre = flags & 1;
        msg->vote_reply.granted = flags & 2;
        return;
    case RAFT_APPEND:
        msg->append.prev = near(in, s.last);
        msg->append.prev_term = near(in, msg->append.prev <= s.last ? s.terms[msg->append.prev] : 1);
        msg->append.commit = near(in, s.last);
        msg->append.n = flags % (ENTRIES_MAX + 1);
        return;
    case RAFT_APPEND_REPLY:
        msg->append_reply.ok = flags & 1;
        msg->append_reply.match = near(in, s.last);
        msg->append_reply.conflict = near(in, s.last);
        msg->append_reply.conflict_term = near(in, s.update.term);
        return;
    case RAFT_HEARTBEAT:
        msg->heartbeat.commit = near(in, s.last);
        msg->heartbeat.commit_term = near(in, s.terms[s.last]);
        msg->heartbeat.round = near(in, flags);
        return;
    case RAFT_HEARTBEAT_REPLY:
        msg->heartbeat_reply.round = near(in, flags % 16);
        return;
    case RAFT_SNAPSHOT:
        msg->snapshot.base = near(in, s.last);
        msg->snapshot.base_term = near(in, s.terms[s.last]);
        return;
    case RAFT_TIMEOUT_NOW:
    case RAFT_MSG_TYPES:
        return;
    }
}

static void receive(struct fuzz_input *in)
{
    struct raft_msg msg = { .type = (enum raft_msg_type)fuzz_below(in, RAFT_MSG_TYPES) };
    struct raft_entry entries[ENTRIES_MAX];
    struct raft_event event = { .type = RAFT_RECV };
    msg.from = fuzz_below(in, 16) == 0 ? fuzz_below(in, 6) : 2 + fuzz_below(in, 2);
    msg.to = SELF;
    msg.term = near(in, s.update.term);
    fill_message(in, &msg);
    if (msg.type == RAFT_APPEND) {
        raft_term term = msg.append.prev_term;
        for (uint32_t i = 0; i < msg.append.n; i++) {
            uint8_t how = fuzz_u8(in);
            term = how < 200 ? term : how < 240 ? msg.term : near(in, term);
            entries[i].term = term;
            entries[i].kind = how % 2 ? RAFT_DATA : RAFT_NOOP;
            entries[i].members = NULL;
        }
    }
    event.recv.msg = &msg;
    event.recv.entries = entries;
    step(&event);
}

static void happen(struct fuzz_input *in)
{
    static const enum raft_kind kinds[ENTRIES_MAX] = { RAFT_DATA, RAFT_DATA };
    uint8_t what = fuzz_u8(in) % 16;
    struct raft_event event = { .type = RAFT_TICK };
    s.now += fuzz_u8(in) % 64;
    switch (what) {
    case 0:
        s.now = s.update.deadline > s.now ? s.update.deadline : s.now;
        break;
    case 1:
        event.type = RAFT_PROPOSE;
        event.propose.kinds = kinds;
        event.propose.n = 1 + fuzz_below(in, 2);
        break;
    case 2:
        event.type = RAFT_READ;
        break;
    case 3:
        event.type = RAFT_TRANSFER;
        event.transfer.to = fuzz_below(in, 6);
        break;
    case 4:
        event.type = RAFT_UNREACHABLE;
        event.unreachable.peer = fuzz_below(in, 6);
        break;
    case 5:
        event.type = RAFT_SENT;
        event.sent.peer = fuzz_below(in, 6);
        event.sent.last = near(in, s.last);
        break;
    case 6:
        event.type = RAFT_DISK;
        event.disk.stalled = fuzz_u8(in) & 1;
        break;
    default:
        receive(in);
        return;
    }
    step(&event);
}

static void boot(struct fuzz_input *in)
{
    struct raft_config config = { .self = SELF, .election_min_ms = 100, .election_max_ms = 200,
                                  .heartbeat_ms = 20, .batch_entries = 4, .window = 3 };
    struct raft_boot boot = { .members = { .n = PEERS } };
    uint8_t shape = fuzz_u8(in);
    config.pre_vote = shape & 1;
    config.check_quorum = shape & 2;
    for (uint32_t i = 0; i < PEERS; i++)
        boot.members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < 2 || !(shape & 4) };
    if (s.raft == NULL)
        s.raft = malloc(raft_size());
    FUZZ_MUST(s.raft != NULL);
    s.now = 1000;
    s.ticket = 0;
    s.last = 0;
    s.terms[0] = 0;
    memset(&s.update, 0, sizeof s.update);
    raft_init(s.raft, &config, &boot, s.now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    boot(&in);
    while (in.left > 0 && s.last + ENTRIES_MAX < LOG_MAX)
        happen(&in);
    return 0;
}
