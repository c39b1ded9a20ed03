/* test_raft_input.c - what comes from the network is refused if it cannot be, changes nothing
 * then, and never ends the process; what is near the end of the numbers does not wrap. */
#include "tests/paper/bench.h"

#include <stdlib.h>
#include <string.h>

static struct bench b;

static void setup(void)
{
    bench_init(&b, 3, 1);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, 4, 0, 2, TERMS(1, 2, 4));
    bench_heartbeat(&b, 2, 4, 0, 0, 0);
}

static void must_refuse(struct raft_msg msg, struct terms entries)
{
    raft_msec deadline = b.u.deadline;
    ck_assert_int_eq(bench_recv(&b, msg, entries), RAFT_INVALID);
    ck_assert_uint_eq(b.u.what, 0);
    ck_assert_uint_eq(b.u.ticket, 0);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    ck_assert_uint_eq(b.u.n_reads, 0);
    ck_assert_uint_eq(b.u.term, 4);
    ck_assert_uint_eq(b.u.leader, 2);
    ck_assert_uint_eq(b.u.commit, 2);
    ck_assert_uint_eq(b.u.deadline, deadline);
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
}

static struct raft_msg append(raft_id from, raft_term term, raft_index prev, raft_term prev_term,
                              uint32_t n, raft_index commit)
{
    struct raft_msg msg = { .type = RAFT_APPEND, .from = from, .term = term };
    msg.append.prev = prev;
    msg.append.prev_term = prev_term;
    msg.append.n = n;
    msg.append.commit = commit;
    return msg;
}

START_TEST(strangers_are_refused)
{
    setup();
    struct raft_msg msg = append(2, 4, 3, 4, 0, 0);
    msg.from = 99; /* term 4 has another leader */
    must_refuse(msg, NO_TERMS);
    msg.from = 0;
    must_refuse(msg, NO_TERMS);
    msg.from = 2;
    msg.to = 3;
    must_refuse(msg, NO_TERMS);
    msg.to = 0;
    msg.type = RAFT_MSG_TYPES;
    must_refuse(msg, NO_TERMS);
    msg.type = (enum raft_msg_type)1000;
    must_refuse(msg, NO_TERMS);
    for (uint32_t type = 0; type < RAFT_MSG_TYPES; type++) { /* nobody else may speak as we do */
        struct raft_msg own = { .type = (enum raft_msg_type)type, .from = BENCH_SELF, .term = 4 };
        must_refuse(own, NO_TERMS);
    }
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_appends_are_refused)
{
    setup();
    must_refuse(append(2, 0, 0, 0, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, 3, 4, 2, 0), TERMS(4, 3)); /* terms fall */
    must_refuse(append(2, 4, 3, 4, 1, 0), TERMS(3));    /* below prev's */
    must_refuse(append(2, 4, 3, 4, 1, 0), TERMS(5));    /* above the leader's */
    must_refuse(append(2, 4, 3, 4, 1, 0), TERMS(0));
    must_refuse(append(2, 4, 0, 0, 1, 0), TERMS(0));
    must_refuse(append(2, 4, 3, 5, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, 3, 0, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, 0, 1, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, UINT64_MAX, 4, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, UINT64_MAX - 1, 4, 2, 0), TERMS(4, 4)); /* would wrap */
    must_refuse(append(2, 4, 3, 4, 0, UINT64_MAX), NO_TERMS);
    must_refuse(append(2, UINT64_MAX, 3, 4, 0, 0), NO_TERMS);
    must_refuse(append(2, 4, 3, 4, RAFT_BATCH_MAX + 1, 0), NO_TERMS);
    must_refuse(append(3, 4, 3, 4, 0, 0), NO_TERMS); /* a second leader in one term */
    must_refuse(append(2, 5, 2, 1, 0, 0), NO_TERMS); /* contradicts a committed entry */
    must_refuse(append(2, 5, 1, 1, 1, 0), TERMS(5));
    struct raft_entry odd = { 4, (enum raft_kind)7, NULL };
    struct raft_msg msg = append(2, 4, 3, 4, 1, 0);
    msg.to = BENCH_SELF;
    struct raft_event event = { .type = RAFT_RECV };
    event.recv.msg = &msg;
    event.recv.entries = &odd;
    ck_assert_int_eq(bench_step(&b, event), RAFT_INVALID);
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_votes_and_heartbeats_are_refused)
{
    setup();
    struct raft_msg vote = { .type = RAFT_VOTE, .from = 3, .term = 5 };
    vote.vote.last = 9;
    vote.vote.last_term = 5; /* of a term that has not begun */
    must_refuse(vote, NO_TERMS);
    vote.vote.last_term = 0;
    must_refuse(vote, NO_TERMS);
    vote.vote.last_term = 4;
    vote.vote.last = UINT64_MAX;
    must_refuse(vote, NO_TERMS);
    vote.vote.last = 9;
    vote.vote.pre = vote.vote.transfer = true;
    must_refuse(vote, NO_TERMS);
    vote.vote.pre = vote.vote.transfer = false;
    vote.term = 0;
    must_refuse(vote, NO_TERMS);
    struct raft_msg heartbeat = { .type = RAFT_HEARTBEAT, .from = 2, .term = 4 };
    heartbeat.heartbeat.commit = 3;
    must_refuse(heartbeat, NO_TERMS);
    heartbeat.heartbeat.commit_term = 5;
    must_refuse(heartbeat, NO_TERMS);
    heartbeat.heartbeat.commit_term = 4;
    heartbeat.from = 3;
    must_refuse(heartbeat, NO_TERMS);
    struct raft_msg now = { .type = RAFT_TIMEOUT_NOW, .from = 3, .term = 4 };
    must_refuse(now, NO_TERMS);
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_snapshots_are_refused)
{
    setup();
    struct raft_msg offer = { .type = RAFT_SNAPSHOT, .from = 2, .term = 4 };
    must_refuse(offer, NO_TERMS); /* of nothing */
    offer.snapshot.base_term = 2;
    must_refuse(offer, NO_TERMS);
    offer.snapshot.base = 9;
    offer.snapshot.base_term = 0;
    must_refuse(offer, NO_TERMS);
    offer.snapshot.base_term = 5; /* of a term that has not begun */
    must_refuse(offer, NO_TERMS);
    offer.snapshot.base_term = 4;
    offer.snapshot.base = UINT64_MAX;
    must_refuse(offer, NO_TERMS);
    offer.snapshot.base = 2; /* contradicts a committed entry */
    offer.snapshot.base_term = 3;
    must_refuse(offer, NO_TERMS);
    offer.snapshot.base_term = 2;
    offer.from = 3; /* a second leader in one term */
    must_refuse(offer, NO_TERMS);
    offer.from = 2;
    offer.term = 0;
    must_refuse(offer, NO_TERMS);
    offer.term = UINT64_MAX;
    must_refuse(offer, NO_TERMS);
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_answers_are_refused_by_a_leader)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_become_leader(&b); /* last is 2 */
    ck_assert_int_eq(bench_accept(&b, 2, 3), RAFT_INVALID);
    ck_assert_int_eq(bench_refuse(&b, 2, 3, 1, 1), RAFT_INVALID);
    ck_assert_int_eq(bench_refuse(&b, 2, 1, 2, 1), RAFT_INVALID);
    ck_assert_int_eq(bench_refuse(&b, 2, 1, 1, 9), RAFT_INVALID);
    ck_assert_int_eq(bench_accept(&b, 2, UINT64_MAX), RAFT_INVALID);
    ck_assert_int_eq(bench_heartbeat_reply(&b, 2, 1), RAFT_INVALID); /* no such round yet */
    ck_assert_int_eq(bench_append(&b, 2, 2, 0, 0, NO_TERMS, 0), RAFT_INVALID);
    ck_assert_int_eq(bench_accept(&b, BENCH_SELF, 3), RAFT_INVALID);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_step(&b, (struct raft_event){ .type = RAFT_UNREACHABLE, .unreachable = { 9 } });
    ck_assert_int_eq(b.status, RAFT_OK); /* may have been a member when it was sent to */
    bench_step(&b, (struct raft_event){ .type = RAFT_SENT, .sent = { .peer = 9, .last = 1 } });
    ck_assert_int_eq(b.status, RAFT_OK);
    bench_step(&b, (struct raft_event){ .type = RAFT_UNREACHABLE, .unreachable = { BENCH_SELF } });
    ck_assert_int_eq(b.status, RAFT_INVALID);
    bench_fini(&b);
}
END_TEST

/* Anything at all in a message: no assertion, no impossible state. */
START_TEST(noise_is_survived)
{
    srand(5);
    for (uint32_t round = 0; round < 300; round++) {
        bench_init(&b, 3, 1);
        b.config.pre_vote = rand() % 2 == 0;
        b.config.check_quorum = rand() % 2 == 0;
        bench_boot(&b, 4, 0, 1, TERMS(1, 2, 4));
        bench_tick(&b, 0);
        for (uint32_t i = 0; i < 400; i++) {
            struct raft_msg msg;
            unsigned char *bytes = (unsigned char *)&msg.vote;
            memset(&msg, 0, sizeof msg);
            size_t room = sizeof msg - offsetof(struct raft_msg, vote);
            for (size_t k = 0; k < room; k += 8) {
                uint64_t number = rand() % 12 == 0 ? UINT64_MAX - (uint64_t)rand() % 3
                                                   : (uint64_t)rand() % 7;
                memcpy(bytes + k, &number, room - k < 8 ? room - k : 8);
            }
            msg.type = (enum raft_msg_type)(rand() % (RAFT_MSG_TYPES + 1));
            msg.from = (raft_id)rand() % 5;
            msg.to = BENCH_SELF;
            msg.term = b.u.term + (raft_term)rand() % 4 - (b.u.term > 1);
            if (msg.type == RAFT_VOTE) { /* a bool must be one */
                msg.vote.pre = rand() % 2 == 0;
                msg.vote.transfer = rand() % 4 == 0;
            } else if (msg.type == RAFT_VOTE_REPLY) {
                msg.vote_reply.pre = rand() % 2 == 0;
                msg.vote_reply.granted = rand() % 2 == 0;
            } else if (msg.type == RAFT_APPEND_REPLY) {
                msg.append_reply.ok = rand() % 2 == 0;
            }
            struct terms entries = NO_TERMS;
            if (msg.type == RAFT_APPEND) {
                if (msg.append.n > 64 && msg.append.n <= RAFT_BATCH_MAX)
                    msg.append.n = 64;
                entries.n = msg.append.n > 64 ? 0 : msg.append.n;
                for (uint32_t k = 0; k < entries.n; k++)
                    entries.at[k] = b.u.term + (raft_term)rand() % 2;
            }
            bench_recv(&b, msg, entries);
            b.n_own = b.n_own > 40 ? 0 : b.n_own;
            if (rand() % 10 == 0)
                bench_tick(&b, (raft_msec)rand() % 60);
            if (rand() % 10 == 0)
                bench_persist(&b);
            if (rand() % 10 == 0)
                bench_propose(&b, 1);
            if (rand() % 10 == 0)
                bench_read(&b, i);
            if (rand() % 10 == 0)
                bench_compacted(&b, (raft_index)rand() % 12);
            if (rand() % 20 == 0)
                bench_installed(&b, (raft_index)rand() % 20, b.u.term - (raft_term)rand() % 2);
        }
        bench_fini(&b);
    }
}
END_TEST

START_TEST(the_last_term_is_never_passed)
{
    const uint64_t most = UINT64_MAX >> 2;
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_heartbeat(&b, 2, most, 0, 0, 0);
    ck_assert_uint_eq(b.u.term, most);
    ck_assert_int_eq(bench_heartbeat(&b, 2, most + 1, 0, 0, 0), RAFT_INVALID);
    for (uint32_t i = 0; i < 5; i++) {
        bench_tick(&b, 200);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER); /* there is no term to stand in */
    }
    bench_fini(&b);
}
END_TEST

/* More terms than the trail can tell apart: the oldest are forgotten, the newest are right. */
START_TEST(thousands_of_terms_are_survived)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 0, 0, 0, NO_TERMS);
    raft_index last = 0;
    for (raft_term term = 1; term <= RAFT_RUNS_MAX + 50; term++) {
        bench_append(&b, 2, term, last, last == 0 ? 0 : term - 1, TERMS(term, term), last);
        ck_assert(bench_sent(&b, RAFT_APPEND_REPLY, 2)->append_reply.ok);
        last += 2;
    }
    ck_assert_uint_eq(b.traced[RAFT_TRACE_TRAIL_FORGOT], 50);
    ck_assert_uint_eq(raft_first_index(b.raft), 101);
    ck_assert_uint_eq(raft_term_at(b.raft, 100), 50);
    ck_assert_uint_eq(raft_term_at(b.raft, 99), 0);
    /* an old append from before the base matches, for it is committed */
    bench_append(&b, 2, RAFT_RUNS_MAX + 50, 96, 48, TERMS(49, 49, 50, 50, 51), 0);
    ck_assert(bench_sent(&b, RAFT_APPEND_REPLY, 2)->append_reply.ok);
    ck_assert_uint_eq(bench_sent(&b, RAFT_APPEND_REPLY, 2)->append_reply.match, 101);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, 0);
    /* it can still lead; a follower that is further behind is offered a snapshot */
    bench_become_leader(&b);
    bench_refuse(&b, 3, last, 10, 5);
    ck_assert_uint_eq(bench_sent(&b, RAFT_SNAPSHOT, 3)->snapshot.base, 102);
    bench_refuse(&b, 3, 102, 10, 5);
    ck_assert_uint_eq(b.u.n_msgs, 0); /* not again and again */
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        strangers_are_refused,
        impossible_appends_are_refused,
        impossible_votes_and_heartbeats_are_refused,
        impossible_snapshots_are_refused,
        impossible_answers_are_refused_by_a_leader,
        noise_is_survived,
        the_last_term_is_never_passed,
        thousands_of_terms_are_survived,
    };
    return bench_main("raft, input", tests, sizeof tests / sizeof tests[0]);
}
