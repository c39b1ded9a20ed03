/* bench.c - see bench.h. */
#include "bench.h"

#include <holdfast/blob.h>

#include <stdlib.h>

static void on_trace(void *arg, uint32_t what, const uint64_t v[4])
{
    struct bench *b = arg;
    b->traced[what]++;
    memcpy(b->trace_v[what], v, sizeof b->trace_v[what]);
}

void bench_init(struct bench *b, uint32_t voters, uint32_t learners)
{
    memset(b, 0, sizeof *b);
    b->now = 5000;
    b->members.n = voters + learners;
    for (uint32_t i = 0; i < b->members.n; i++)
        b->members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < voters };
    b->config = (struct raft_config){ .self = BENCH_SELF, .election_min_ms = 100,
                                      .election_max_ms = 200, .heartbeat_ms = 10,
                                      .batch_entries = 16, .window = 4, .seed = 7 };
    b->raft = memory_new(raft_size());
}

static void boot_at(struct bench *b, struct raft_boot boot, struct terms log)
{
    struct raft_run runs[64];
    uint32_t n_runs = 0;
    for (uint32_t i = 0; i < log.n; i++) {
        if (i == 0 || log.at[i] != log.at[i - 1])
            runs[n_runs++] = (struct raft_run){ boot.base_index + i + 1, log.at[i] };
    }
    boot.last_index = boot.base_index + log.n;
    boot.members = b->members;
    boot.configs = b->configs;
    boot.n_configs = b->n_configs;
    boot.runs = runs;
    boot.n_runs = n_runs;
    b->config.trace = on_trace;
    b->config.trace_arg = b;
    b->n_own = 0;
    raft_init(b->raft, &b->config, &boot, b->now);
}

void bench_boot(struct bench *b, raft_term term, raft_id vote, raft_index commit, struct terms log)
{
    boot_at(b, (struct raft_boot){ .term = term, .vote = vote, .commit = commit }, log);
}

void bench_boot_behind(struct bench *b, raft_term term, raft_index base, raft_term base_term,
                       raft_index commit, struct terms log)
{
    boot_at(b, (struct raft_boot){ .term = term, .commit = commit, .base_index = base,
                                   .base_term = base_term }, log);
}

void bench_fini(struct bench *b)
{
    free(b->raft);
}

enum raft_status bench_step(struct bench *b, struct raft_event event)
{
    event.now = b->now;
    b->status = raft_step(b->raft, &event, &b->u);
    for (uint32_t i = 0; i < b->u.n_msgs; i++) {
        if (b->u.msgs[i].to != BENCH_SELF)
            continue;
        ck_assert_uint_lt(b->n_own, BENCH_OWN_MAX);
        b->own[b->n_own++] = b->u.msgs[i];
    }
    return b->status;
}

enum raft_status bench_tick(struct bench *b, raft_msec ms_later)
{
    b->now += ms_later;
    return bench_step(b, (struct raft_event){ .type = RAFT_TICK });
}

enum raft_status bench_recv(struct bench *b, struct raft_msg msg, struct terms entries)
{
    struct raft_entry heads[64];
    for (uint32_t i = 0; i < entries.n; i++)
        heads[i] = (struct raft_entry){ entries.at[i], RAFT_DATA, NULL };
    if (b->carried != NULL && entries.n > 0)
        heads[entries.n - 1] = (struct raft_entry){ entries.at[entries.n - 1], RAFT_MEMBERS,
                                                    b->carried };
    if (msg.to == 0)
        msg.to = BENCH_SELF;
    struct raft_event event = { .type = RAFT_RECV };
    event.recv.msg = &msg;
    event.recv.entries = heads;
    return bench_step(b, event);
}

enum raft_status bench_append(struct bench *b, raft_id from, raft_term term, raft_index prev,
                              raft_term prev_term, struct terms entries, raft_index commit)
{
    struct raft_msg msg = { .type = RAFT_APPEND, .from = from, .term = term };
    msg.append.prev = prev;
    msg.append.prev_term = prev_term;
    msg.append.commit = commit;
    msg.append.n = entries.n;
    return bench_recv(b, msg, entries);
}

enum raft_status bench_accept(struct bench *b, raft_id from, raft_index match)
{
    struct raft_msg msg = { .type = RAFT_APPEND_REPLY, .from = from, .term = b->u.term };
    msg.append_reply.ok = true;
    msg.append_reply.match = match;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_refuse(struct bench *b, raft_id from, raft_index prev, raft_index conflict,
                              raft_term conflict_term)
{
    struct raft_msg msg = { .type = RAFT_APPEND_REPLY, .from = from, .term = b->u.term };
    msg.append_reply.match = prev;
    msg.append_reply.conflict = conflict;
    msg.append_reply.conflict_term = conflict_term;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_heartbeat(struct bench *b, raft_id from, raft_term term, raft_index commit,
                                 raft_term commit_term, uint64_t round)
{
    struct raft_msg msg = { .type = RAFT_HEARTBEAT, .from = from, .term = term };
    msg.heartbeat.commit = commit;
    msg.heartbeat.commit_term = commit_term;
    msg.heartbeat.round = round;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_heartbeat_reply(struct bench *b, raft_id from, uint64_t round)
{
    struct raft_msg msg = { .type = RAFT_HEARTBEAT_REPLY, .from = from, .term = b->u.term };
    msg.heartbeat_reply.round = round;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_vote(struct bench *b, raft_id from, raft_term term, raft_index last,
                            raft_term last_term)
{
    struct raft_msg msg = { .type = RAFT_VOTE, .from = from, .term = term };
    msg.vote.last = last;
    msg.vote.last_term = last_term;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_pre_vote(struct bench *b, raft_id from, raft_term term, raft_index last,
                                raft_term last_term)
{
    struct raft_msg msg = { .type = RAFT_VOTE, .from = from, .term = term };
    msg.vote.last = last;
    msg.vote.last_term = last_term;
    msg.vote.pre = true;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_grant(struct bench *b, raft_id from, raft_term term)
{
    struct raft_msg msg = { .type = RAFT_VOTE_REPLY, .from = from, .term = term };
    msg.vote_reply.granted = true;
    msg.vote_reply.pre = b->u.role == RAFT_PRECANDIDATE;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_propose(struct bench *b, uint32_t n)
{
    enum raft_kind kinds[RAFT_BATCH_MAX];
    for (uint32_t i = 0; i < n; i++)
        kinds[i] = RAFT_DATA;
    struct raft_event event = { .type = RAFT_PROPOSE };
    event.propose.kinds = kinds;
    event.propose.n = n;
    return bench_step(b, event);
}

enum raft_status bench_read(struct bench *b, uint64_t tag)
{
    struct raft_event event = { .type = RAFT_READ };
    event.read.tag = tag;
    return bench_step(b, event);
}

enum raft_status bench_transfer(struct bench *b, raft_id to)
{
    struct raft_event event = { .type = RAFT_TRANSFER };
    event.transfer.to = to;
    return bench_step(b, event);
}

enum raft_status bench_unreachable(struct bench *b, raft_id peer)
{
    struct raft_event event = { .type = RAFT_UNREACHABLE };
    event.unreachable.peer = peer;
    return bench_step(b, event);
}

enum raft_status bench_snapshot(struct bench *b, raft_id from, raft_term term, raft_index base,
                                raft_term base_term)
{
    struct raft_msg msg = { .type = RAFT_SNAPSHOT, .from = from, .term = term };
    msg.snapshot.base = base;
    msg.snapshot.base_term = base_term;
    return bench_recv(b, msg, NO_TERMS);
}

enum raft_status bench_compacted(struct bench *b, raft_index last)
{
    struct raft_event event = { .type = RAFT_COMPACTED };
    event.compacted.last = last;
    return bench_step(b, event);
}

enum raft_status bench_installed(struct bench *b, raft_index last, raft_term last_term)
{
    struct raft_event event = { .type = RAFT_INSTALLED };
    event.installed.last = last;
    event.installed.last_term = last_term;
    event.installed.members = &b->members;
    return bench_step(b, event);
}

struct raft_members bench_members(const char *text)
{
    struct raft_members members = { 0 };
    while (*text != '\0') {
        char *end;
        struct raft_member *member = &members.at[members.n++];
        member->id = strtoull(text, &end, 10);
        ck_assert_ptr_ne(end, text);
        for (text = end; *text != ' ' && *text != '\0'; text++) {
            member->voter |= *text == 'v';
            member->old_voter |= *text == 'o';
            member->leaving |= *text == 'x';
            members.joint |= *text == 'o';
        }
        text += *text == ' ';
    }
    return members;
}

enum raft_status bench_change(struct bench *b, const char *members)
{
    struct raft_members wanted = bench_members(members);
    struct raft_event event = { .type = RAFT_CHANGE };
    event.change.members = &wanted;
    return bench_step(b, event);
}

enum raft_status bench_append_members(struct bench *b, raft_id from, raft_term term,
                                      raft_index prev, raft_term prev_term, const char *members,
                                      raft_index commit)
{
    struct raft_members carried = bench_members(members);
    b->carried = &carried;
    enum raft_status status = bench_append(b, from, term, prev, prev_term, TERMS(term), commit);
    b->carried = NULL;
    return status;
}

void bench_persist(struct bench *b)
{
    while (b->n_own > 0) {
        struct raft_msg msg = b->own[0];
        b->n_own--;
        memmove(&b->own[0], &b->own[1], b->n_own * sizeof b->own[0]);
        bench_recv(b, msg, NO_TERMS);
    }
}

void bench_become_candidate(struct bench *b)
{
    bench_tick(b, 200);
    if (b->u.role == RAFT_PRECANDIDATE) {
        raft_term term = b->u.term + 1;
        for (raft_id id = 2; b->u.role == RAFT_PRECANDIDATE && id <= b->members.n; id++)
            bench_grant(b, id, term);
    }
    ck_assert_int_eq(b->u.role, RAFT_CANDIDATE);
}

void bench_become_leader(struct bench *b)
{
    bench_become_candidate(b);
    bench_persist(b);
    for (raft_id id = 2; b->u.role == RAFT_CANDIDATE && id <= b->members.n; id++)
        bench_grant(b, id, b->u.term);
    ck_assert_int_eq(b->u.role, RAFT_LEADER);
}

void bench_lead(struct bench *b, const char *members)
{
    bench_init(b, 1, 0);
    b->members = bench_members(members);
    bench_boot(b, 1, 0, 1, TERMS(1));
    bench_become_candidate(b);
    bench_persist(b);
    for (uint32_t i = 1; b->u.role == RAFT_CANDIDATE && i < b->members.n; i++)
        bench_grant(b, b->members.at[i].id, b->u.term);
    ck_assert_int_eq(b->u.role, RAFT_LEADER);
    bench_persist(b);
    for (uint32_t i = 1; i < b->members.n; i++)
        bench_accept(b, b->members.at[i].id, 2);
    ck_assert_uint_eq(b->u.commit, 2);
}

void bench_must_use(const struct bench *b, const char *members, raft_index index)
{
    struct raft_members want = bench_members(members);
    raft_index at;
    bool committed;
    const struct raft_members *now = raft_members(b->raft, &at, &committed);
    ck_assert_uint_eq(at, index);
    ck_assert(committed == (index <= b->u.commit));
    ck_assert(now->joint == want.joint);
    ck_assert_uint_eq(now->n, want.n);
    for (uint32_t i = 0; i < want.n; i++) {
        ck_assert_uint_eq(now->at[i].id, want.at[i].id);
        ck_assert(now->at[i].voter == want.at[i].voter);
        ck_assert(now->at[i].old_voter == want.at[i].old_voter);
        ck_assert(now->at[i].leaving == want.at[i].leaving);
    }
}

struct raft_progress bench_progress(const struct bench *b, raft_id id)
{
    struct raft_progress all[RAFT_MEMBERS_MAX];
    uint32_t n = raft_progress(b->raft, all);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].id == id)
            return all[i];
    }
    return (struct raft_progress){ 0 };
}

void bench_become_follower_of(struct bench *b, raft_id leader, raft_term term)
{
    bench_heartbeat(b, leader, term, 0, 0, 0);
    ck_assert_int_eq(b->u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b->u.leader, leader);
}

const struct raft_msg *bench_sent(const struct bench *b, enum raft_msg_type type, raft_id to)
{
    for (uint32_t i = 0; i < b->u.n_msgs; i++) {
        if (b->u.msgs[i].type == type && b->u.msgs[i].to == to)
            return &b->u.msgs[i];
    }
    return NULL;
}

uint32_t bench_count(const struct bench *b, enum raft_msg_type type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->u.n_msgs; i++)
        n += b->u.msgs[i].type == type;
    return n;
}

int bench_main(const char *name, const struct TTest *const *tests, uint32_t n)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    for (uint32_t i = 0; i < n; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
