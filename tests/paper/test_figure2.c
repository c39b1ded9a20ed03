/* test_figure2.c - one test for each sentence of Figure 2 of the paper ("A condensed summary of
 * the Raft consensus algorithm").  The sentence stands above its test. */
#include "bench.h"

#include <stdlib.h>

static struct bench b;

static void setup(raft_term term, raft_id vote, raft_index commit, struct terms log)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, term, vote, commit, log);
}

#define SENT(type, to) bench_sent(&b, type, to)

/* ---- State: persistent state on all servers
 * "(Updated on stable storage before responding to RPCs)" */
START_TEST(state_is_stored_before_a_reply_leaves)
{
    setup(1, 0, 0, TERMS(1));
    bench_vote(&b, 2, 2, 1, 1);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_VOTE, RAFT_SAVE_VOTE);
    ck_assert_uint_ne(b.u.ticket, 0);
    ck_assert_uint_eq(SENT(RAFT_VOTE_REPLY, 2)->after, b.u.ticket); /* B1 */
    raft_ticket vote_ticket = b.u.ticket;

    bench_append(&b, 2, 2, 1, 1, TERMS(2), 0);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, RAFT_SAVE_ENTRIES);
    ck_assert_uint_eq(b.u.ticket, vote_ticket + 1);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->after, b.u.ticket); /* B15 */
    raft_ticket entries_ticket = b.u.ticket;

    /* also if this very append had nothing new: what it confirms may still be unwritten */
    bench_append(&b, 2, 2, 1, 1, TERMS(2), 0);
    ck_assert_uint_eq(b.u.ticket, 0);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->after, entries_ticket);

    /* a heartbeat's reply claims a term, nothing of the log */
    bench_heartbeat(&b, 2, 2, 0, 0, 0);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT_REPLY, 2)->after, vote_ticket);
    bench_fini(&b);
}
END_TEST

/* "currentTerm: latest term server has seen (initialized to 0 on first boot, increases
 * monotonically)" */
START_TEST(the_term_begins_at_0_and_only_rises)
{
    setup(0, 0, 0, NO_TERMS);
    bench_tick(&b, 0);
    ck_assert_uint_eq(b.u.term, 0);
    bench_heartbeat(&b, 2, 4, 0, 0, 0);
    ck_assert_uint_eq(b.u.term, 4);
    bench_heartbeat(&b, 3, 3, 0, 0, 0);
    ck_assert_uint_eq(b.u.term, 4);
    ck_assert_uint_eq(b.u.leader, 2);
    bench_vote(&b, 3, 2, 0, 0);
    ck_assert_uint_eq(b.u.term, 4);
    bench_fini(&b);
}
END_TEST

/* "votedFor: candidateId that received vote in current term (or null if none)" */
START_TEST(the_vote_belongs_to_its_term)
{
    setup(1, 0, 0, TERMS(1));
    bench_vote(&b, 2, 2, 1, 1);
    ck_assert_uint_eq(b.u.vote, 2);
    bench_append(&b, 2, 2, 1, 1, NO_TERMS, 0); /* same term: kept, B3 */
    ck_assert_uint_eq(b.u.vote, 2);
    bench_append(&b, 3, 3, 1, 1, NO_TERMS, 0); /* a new term: none yet */
    ck_assert_uint_eq(b.u.vote, 0);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_VOTE, RAFT_SAVE_VOTE);
    bench_fini(&b);
}
END_TEST

/* the same, for a candidate that gives way to the leader of its term */
START_TEST(a_candidate_that_steps_back_keeps_its_vote)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_candidate(&b);
    raft_term term = b.u.term;
    bench_append(&b, 2, term, 1, 1, TERMS(2), 0);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.vote, BENCH_SELF); /* B3 */
    bench_vote(&b, 3, term, 9, 1);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 3)->vote_reply.granted);
    bench_fini(&b);
}
END_TEST

/* "log[]: ... each entry contains command for state machine, and term when entry was received by
 * leader (first index is 1)" */
START_TEST(the_log_begins_at_1_and_remembers_terms)
{
    setup(0, 0, 0, NO_TERMS);
    ck_assert_uint_eq(raft_first_index(b.raft), 1);
    ck_assert_uint_eq(raft_last_index(b.raft), 0);
    bench_append(&b, 2, 5, 0, 0, TERMS(3, 3, 5), 0);
    ck_assert_uint_eq(b.u.save.first, 1);
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
    ck_assert_uint_eq(raft_term_at(b.raft, 1), 3);
    ck_assert_uint_eq(raft_term_at(b.raft, 2), 3);
    ck_assert_uint_eq(raft_term_at(b.raft, 3), 5);
    ck_assert_uint_eq(raft_term_at(b.raft, 4), 0);
    bench_fini(&b);
}
END_TEST

/* "commitIndex: index of highest log entry known to be committed (initialized to 0, increases
 * monotonically)" */
START_TEST(the_commit_index_only_rises)
{
    setup(1, 0, 0, TERMS(1, 1, 1));
    bench_tick(&b, 0);
    ck_assert_uint_eq(b.u.commit, 0);
    bench_append(&b, 2, 1, 3, 1, NO_TERMS, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_uint_eq(b.u.what & RAFT_COMMITTED, RAFT_COMMITTED);
    bench_append(&b, 2, 1, 3, 1, NO_TERMS, 1); /* late: B22 */
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_uint_eq(b.u.what & RAFT_COMMITTED, 0);
    bench_heartbeat(&b, 2, 1, 2, 1, 0);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_fini(&b);
}
END_TEST

/* "nextIndex[]: for each server, index of the next log entry to send to that server (initialized
 * to leader last log index + 1)" and "matchIndex[]: ... (initialized to 0, increases
 * monotonically)", both "(Reinitialized after election)" */
START_TEST(a_new_leader_knows_nothing_of_its_followers)
{
    setup(1, 0, 0, TERMS(1, 1, 1));
    bench_become_leader(&b);
    for (raft_id id = 2; id <= 3; id++) {
        const struct raft_msg *msg = SENT(RAFT_APPEND, id);
        ck_assert_ptr_nonnull(msg);
        ck_assert_uint_eq(msg->append.prev, 3); /* next = last before the no-op + 1 */
        ck_assert_uint_eq(msg->append.prev_term, 1);
    }
    struct raft_progress progress[RAFT_MEMBERS_MAX];
    ck_assert_uint_eq(raft_progress(b.raft, progress), 3);
    ck_assert_uint_eq(progress[1].match, 0);
    ck_assert_uint_eq(progress[1].next, 4);
    bench_accept(&b, 2, 4);
    raft_progress(b.raft, progress);
    ck_assert_uint_eq(progress[1].match, 4);
    bench_accept(&b, 2, 3); /* late */
    raft_progress(b.raft, progress);
    ck_assert_uint_eq(progress[1].match, 4);

    bench_heartbeat(&b, 2, 3, 0, 0, 0);
    bench_become_leader(&b);
    raft_progress(b.raft, progress);
    ck_assert_uint_eq(progress[1].match, 0);
    ck_assert_uint_eq(progress[1].next, 5);
    bench_fini(&b);
}
END_TEST

/* ---- AppendEntries RPC, Receiver implementation
 * 1. "Reply false if term < currentTerm" */
START_TEST(append_1_refuses_an_old_term)
{
    setup(3, 0, 0, TERMS(1, 2));
    ck_assert_int_eq(bench_append(&b, 2, 2, 2, 2, TERMS(2), 2), RAFT_OK);
    const struct raft_msg *reply = SENT(RAFT_APPEND_REPLY, 2);
    ck_assert(!reply->append_reply.ok);
    ck_assert_uint_eq(reply->term, 3); /* "term: currentTerm, for leader to update itself" */
    ck_assert_uint_eq(raft_last_index(b.raft), 2);
    ck_assert_uint_eq(b.u.commit, 0);
    ck_assert_uint_eq(b.u.leader, 0);
    bench_fini(&b);
}
END_TEST

/* 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches
 * prevLogTerm" */
START_TEST(append_2_refuses_what_does_not_fit)
{
    setup(3, 0, 0, TERMS(1, 1, 2));
    bench_append(&b, 2, 3, 5, 3, TERMS(3), 5); /* no entry 5 */
    const struct raft_msg *reply = SENT(RAFT_APPEND_REPLY, 2);
    ck_assert(!reply->append_reply.ok);
    ck_assert_uint_eq(reply->append_reply.match, 5);
    ck_assert_uint_eq(reply->append_reply.conflict, 3);
    ck_assert_uint_eq(reply->append_reply.conflict_term, 2);

    bench_append(&b, 2, 3, 3, 1, TERMS(3), 5); /* entry 3 has term 2 */
    reply = SENT(RAFT_APPEND_REPLY, 2);
    ck_assert(!reply->append_reply.ok);
    ck_assert_uint_eq(reply->append_reply.conflict, 2); /* the last that may agree */
    ck_assert_uint_eq(reply->append_reply.conflict_term, 1);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, 0);
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
    ck_assert_uint_eq(b.u.commit, 0);
    bench_fini(&b);
}
END_TEST

/* 3. "If an existing entry conflicts with a new one (same index but different terms), delete the
 * existing entry and all that follow it" */
START_TEST(append_3_erases_a_conflict_and_all_after_it)
{
    setup(3, 0, 0, TERMS(1, 1, 2, 2, 2));
    bench_append(&b, 2, 3, 1, 1, TERMS(1, 3), 0);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, RAFT_SAVE_ENTRIES);
    ck_assert_uint_eq(b.u.save.first, 3);
    ck_assert_uint_eq(b.u.save.skip, 1); /* entry 2 is the same */
    ck_assert_uint_eq(b.u.save.n, 1);
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
    ck_assert_uint_eq(raft_term_at(b.raft, 3), 3);
    ck_assert_uint_eq(b.traced[RAFT_TRACE_TRUNCATE], 1);
    bench_fini(&b);
}
END_TEST

/* the same, the other way round: without a conflict nothing is erased */
START_TEST(append_3_erases_nothing_that_matches)
{
    setup(2, 0, 0, TERMS(1, 1, 2, 2, 2));
    bench_append(&b, 2, 2, 1, 1, TERMS(1, 2), 0); /* old or repeated, B19 */
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, 0);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 3);
    bench_append(&b, 2, 2, 0, 0, NO_TERMS, 0);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 0);
    bench_fini(&b);
}
END_TEST

/* and below the commit index nothing is ever erased: who asks for it is no leader */
START_TEST(append_3_never_reaches_below_the_commit_index)
{
    setup(2, 0, 4, TERMS(1, 1, 2, 2, 2));
    ck_assert_int_eq(bench_append(&b, 2, 3, 2, 1, TERMS(3), 0), RAFT_INVALID);
    ck_assert_int_eq(bench_append(&b, 2, 3, 3, 1, TERMS(3), 0), RAFT_INVALID);
    ck_assert_uint_eq(b.u.term, 2);
    /* B20: prev below the commit index, entries on both sides of it */
    ck_assert_int_eq(bench_append(&b, 2, 3, 2, 1, TERMS(2, 2, 3), 0), RAFT_OK);
    ck_assert_uint_eq(b.u.save.first, 5);
    ck_assert_uint_eq(b.u.save.skip, 2);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 5);
    ck_assert_uint_eq(b.u.commit, 4);
    bench_fini(&b);
}
END_TEST

/* 4. "Append any new entries not already in the log" */
START_TEST(append_4_adds_only_what_is_new)
{
    setup(2, 0, 0, TERMS(1, 1));
    bench_append(&b, 2, 2, 1, 1, TERMS(1, 2, 2), 0);
    ck_assert_uint_eq(b.u.save.first, 3);
    ck_assert_uint_eq(b.u.save.skip, 1);
    ck_assert_uint_eq(b.u.save.n, 2);
    ck_assert_uint_eq(b.traced[RAFT_TRACE_TRUNCATE], 0);
    const struct raft_msg *reply = SENT(RAFT_APPEND_REPLY, 2);
    ck_assert(reply->append_reply.ok);
    ck_assert_uint_eq(reply->append_reply.match, 4);
    bench_fini(&b);
}
END_TEST

/* 5. "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new
 * entry)" */
START_TEST(append_5_commits_up_to_the_last_new_entry)
{
    setup(2, 0, 0, TERMS(1, 1, 1, 1));
    bench_append(&b, 2, 2, 1, 1, TERMS(1), 4); /* 3 and 4 may be another leader's, B22 */
    ck_assert_uint_eq(b.u.commit, 2);
    bench_append(&b, 2, 2, 2, 1, TERMS(1, 2), 3);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_fini(&b);
}
END_TEST

/* ---- RequestVote RPC, Receiver implementation
 * 1. "Reply false if term < currentTerm" */
START_TEST(vote_1_refuses_an_old_term)
{
    setup(3, 0, 0, TERMS(1));
    bench_vote(&b, 2, 2, 9, 1);
    const struct raft_msg *reply = SENT(RAFT_VOTE_REPLY, 2);
    ck_assert(!reply->vote_reply.granted);
    ck_assert_uint_eq(reply->term, 3); /* "term: currentTerm, for candidate to update itself" */
    ck_assert_uint_eq(b.u.vote, 0);
    bench_fini(&b);
}
END_TEST

/* 2. "If votedFor is null or candidateId, and candidate's log is at least as up-to-date as
 * receiver's log, grant vote" */
START_TEST(vote_2_is_given_to_one_candidate)
{
    setup(1, 0, 0, TERMS(1));
    bench_vote(&b, 2, 2, 1, 1);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    ck_assert_uint_eq(SENT(RAFT_VOTE_REPLY, 2)->term, 2);
    bench_vote(&b, 3, 2, 7, 1);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 3)->vote_reply.granted); /* I2 */
    bench_vote(&b, 2, 2, 1, 1); /* the reply was lost, it asks again */
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_fini(&b);

    /* a vote from before a restart binds as well */
    setup(2, 3, 0, TERMS(1));
    bench_vote(&b, 2, 2, 7, 1);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_fini(&b);
}
END_TEST

/* the same; §5.4.1: "If the logs have last entries with different terms, then the log with the
 * later term is more up-to-date. If the logs end with the same term, then whichever log is longer
 * is more up-to-date." */
START_TEST(vote_2_wants_a_log_as_good_as_the_own)
{
    const struct {
        raft_index last;
        raft_term last_term;
        bool granted;
    } cases[] = { { 3, 2, true }, { 4, 2, true }, { 2, 2, false }, { 9, 1, false },
                  { 1, 3, true }, { 0, 0, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup(3, 0, 0, TERMS(1, 2, 2));
        bench_vote(&b, 2, 4, cases[i].last, cases[i].last_term);
        ck_assert_int_eq(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted, cases[i].granted);
        ck_assert_uint_eq(b.u.vote, cases[i].granted ? 2 : 0);
        ck_assert_uint_eq(b.u.term, 4);
        bench_fini(&b);
    }
}
END_TEST

/* ---- Rules for Servers, All Servers
 * "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied]" (the driver
 * applies; the core tells it up to where, each entry once) */
START_TEST(all_servers_apply_what_is_committed)
{
    setup(1, 0, 1, TERMS(1, 1, 1));
    bench_append(&b, 2, 1, 3, 1, NO_TERMS, 2);
    ck_assert_uint_eq(b.u.what & RAFT_COMMITTED, RAFT_COMMITTED);
    ck_assert_uint_eq(b.u.commit, 2);
    bench_append(&b, 2, 1, 3, 1, NO_TERMS, 2);
    ck_assert_uint_eq(b.u.what & RAFT_COMMITTED, 0);
    bench_fini(&b);
}
END_TEST

/* "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
 * follower" */
START_TEST(all_servers_follow_a_higher_term)
{
    for (uint32_t what = 0; what < 5; what++) {
        setup(1, 0, 0, TERMS(1));
        bench_become_leader(&b);
        struct raft_msg msg = { .from = 2, .term = 9 };
        const enum raft_msg_type types[] = { RAFT_VOTE, RAFT_VOTE_REPLY, RAFT_APPEND,
                                             RAFT_APPEND_REPLY, RAFT_HEARTBEAT_REPLY };
        msg.type = types[what];
        ck_assert_int_eq(bench_recv(&b, msg, NO_TERMS), RAFT_OK);
        ck_assert_uint_eq(b.u.term, 9);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        ck_assert_uint_eq(b.u.vote, 0);
        ck_assert_uint_eq(b.u.what & (RAFT_SAVE_VOTE | RAFT_NEW_ROLE),
                          RAFT_SAVE_VOTE | RAFT_NEW_ROLE);
        bench_fini(&b);
    }
}
END_TEST

/* ---- Followers
 * "Respond to RPCs from candidates and leaders" */
START_TEST(followers_respond)
{
    setup(1, 0, 0, TERMS(1));
    bench_vote(&b, 2, 1, 0, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_VOTE_REPLY, 2));
    bench_append(&b, 3, 1, 1, 1, NO_TERMS, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_APPEND_REPLY, 3));
    bench_heartbeat(&b, 3, 1, 0, 0, 17);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT_REPLY, 3)->heartbeat_reply.round, 17);
    ck_assert_uint_eq(b.u.n_msgs, 1);
    bench_fini(&b);
}
END_TEST

/* "If election timeout elapses without receiving AppendEntries RPC from current leader ...:
 * convert to candidate" */
START_TEST(followers_stand_when_the_leader_is_silent)
{
    setup(1, 0, 0, TERMS(1));
    for (uint32_t i = 0; i < 10; i++) { /* each word of the leader puts the timer back */
        bench_tick(&b, 99);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        if (i % 2 == 0)
            bench_append(&b, 2, 1, 1, 1, NO_TERMS, 0);
        else
            bench_heartbeat(&b, 2, 1, 0, 0, 0);
        ck_assert_uint_ge(b.u.deadline, b.now + 100);
        ck_assert_uint_le(b.u.deadline, b.now + 200);
    }
    bench_tick(&b, b.u.deadline - b.now - 1);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_tick(&b, 1);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.leader, 0);
    bench_fini(&b);
}
END_TEST

/* "... or granting vote to candidate" */
START_TEST(followers_give_time_to_whom_they_vote_for)
{
    setup(1, 0, 0, TERMS(1));
    bench_tick(&b, 99);
    bench_vote(&b, 2, 2, 1, 1);
    ck_assert_uint_ge(b.u.deadline, b.now + 100);
    raft_msec deadline = b.u.deadline;
    bench_tick(&b, 50);
    bench_vote(&b, 3, 3, 0, 0); /* a vote refused puts nothing back */
    ck_assert(!SENT(RAFT_VOTE_REPLY, 3)->vote_reply.granted);
    ck_assert_uint_eq(b.u.deadline, deadline);
    bench_fini(&b);
}
END_TEST

/* ---- Candidates (§5.2)
 * "On conversion to candidate, start election: Increment currentTerm, vote for self, reset
 * election timer, send RequestVote RPCs to all other servers" */
START_TEST(candidates_start_an_election)
{
    setup(4, 3, 0, TERMS(1, 4));
    bench_become_candidate(&b);
    ck_assert_uint_eq(b.u.term, 5);
    ck_assert_uint_eq(b.u.vote, BENCH_SELF);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_VOTE, RAFT_SAVE_VOTE);
    ck_assert_uint_ge(b.u.deadline, b.now + 100);
    for (raft_id id = 2; id <= 3; id++) {
        const struct raft_msg *msg = SENT(RAFT_VOTE, id);
        ck_assert_ptr_nonnull(msg);
        ck_assert_uint_eq(msg->term, 5);
        ck_assert_uint_eq(msg->vote.last, 2);
        ck_assert_uint_eq(msg->vote.last_term, 4);
        ck_assert(!msg->vote.pre);
        ck_assert_uint_eq(msg->after, b.u.ticket); /* B5: and so after every entry before it */
    }
    ck_assert_uint_eq(bench_count(&b, RAFT_VOTE), 2);
    bench_fini(&b);
}
END_TEST

/* "If votes received from majority of servers: become leader" */
START_TEST(candidates_win_with_a_majority)
{
    bench_init(&b, 5, 1);
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_become_candidate(&b);
    bench_grant(&b, 2, 2);
    bench_grant(&b, 2, 2); /* counted once */
    bench_grant(&b, 6, 2); /* a learner has no vote */
    bench_grant(&b, 3, 1); /* an earlier term's, B6 */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_persist(&b); /* its own */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_grant(&b, 3, 2);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(b.u.leader, BENCH_SELF);
    bench_fini(&b);
}
END_TEST

/* the same; its own vote counts only when it is durable (B1) */
START_TEST(candidates_wait_for_their_own_vote)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_candidate(&b);
    ck_assert_uint_eq(b.own[0].after, b.u.ticket);
    bench_grant(&b, 2, 2);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_persist(&b);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

/* "If AppendEntries RPC received from new leader: convert to follower" */
START_TEST(candidates_give_way_to_a_leader)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_candidate(&b);
    bench_append(&b, 3, 2, 1, 1, NO_TERMS, 0);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.leader, 3);
    ck_assert_uint_eq(b.u.term, 2);
    bench_persist(&b); /* the own vote comes late and makes no leader */
    bench_grant(&b, 2, 2);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

/* "If election timeout elapses: start new election" */
START_TEST(candidates_start_again)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_candidate(&b);
    bench_persist(&b);
    bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.term, 3);
    ck_assert_uint_eq(bench_count(&b, RAFT_VOTE), 2);
    bench_grant(&b, 2, 2); /* for the old one */
    bench_persist(&b);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_fini(&b);
}
END_TEST

/* ---- Leaders
 * "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server"; §8: "a
 * leader ... commit[s] a blank no-op entry into the log at the start of its term" */
START_TEST(leaders_begin_with_a_noop)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    ck_assert_uint_eq(b.u.what & (RAFT_SAVE_ENTRIES | RAFT_SAVE_NOOP),
                      RAFT_SAVE_ENTRIES | RAFT_SAVE_NOOP);
    ck_assert_uint_eq(b.u.save.first, 2);
    ck_assert_uint_eq(b.u.save.n, 1);
    ck_assert_uint_eq(raft_term_at(b.raft, 2), 2);
    for (raft_id id = 2; id <= 3; id++) {
        ck_assert_uint_eq(SENT(RAFT_APPEND, id)->append.n, 1);
        ck_assert_uint_lt(SENT(RAFT_APPEND, id)->after, b.u.ticket); /* leaves at once */
    }
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, BENCH_SELF)->after, b.u.ticket);
    bench_fini(&b);
}
END_TEST

/* "repeat during idle periods to prevent election timeouts" */
START_TEST(leaders_repeat_heartbeats)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(b.u.deadline, b.now + 10);
        bench_tick(&b, 9);
        ck_assert_uint_eq(bench_count(&b, RAFT_HEARTBEAT), 0);
        bench_tick(&b, 1);
        ck_assert_uint_eq(bench_count(&b, RAFT_HEARTBEAT), 2);
    }
    bench_fini(&b);
}
END_TEST

/* "If command received from client: append entry to local log, respond after entry applied to
 * state machine" */
START_TEST(leaders_append_what_clients_propose)
{
    setup(1, 0, 0, TERMS(1));
    ck_assert_int_eq(bench_propose(&b, 1), RAFT_NOT_LEADER);
    ck_assert_uint_eq(raft_last_index(b.raft), 1);
    bench_become_leader(&b);
    ck_assert_int_eq(bench_propose(&b, 3), RAFT_OK);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_ENTRIES, RAFT_SAVE_ENTRIES);
    ck_assert_uint_eq(b.u.save.first, 3);
    ck_assert_uint_eq(b.u.save.n, 3);
    ck_assert_uint_eq(raft_term_at(b.raft, 5), 2);
    ck_assert_uint_eq(b.u.commit, 0);
    bench_fini(&b);
}
END_TEST

/* "If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries starting
 * at nextIndex" */
START_TEST(leaders_send_from_next_on)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    bench_accept(&b, 2, 2);
    bench_propose(&b, 3);
    const struct raft_msg *msg = SENT(RAFT_APPEND, 2);
    ck_assert_uint_eq(msg->append.prev, 2);
    ck_assert_uint_eq(msg->append.prev_term, 2);
    ck_assert_uint_eq(msg->append.n, 3);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 3)); /* its probe is under way */
    bench_propose(&b, 1); /* pipelined: without waiting for an answer */
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 5);
    bench_fini(&b);
}
END_TEST

/* "If successful: update nextIndex and matchIndex for follower" */
START_TEST(leaders_note_success)
{
    setup(1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    bench_accept(&b, 2, 2);
    struct raft_progress progress[RAFT_MEMBERS_MAX];
    raft_progress(b.raft, progress);
    ck_assert_uint_eq(progress[1].match, 2);
    ck_assert_uint_eq(progress[1].next, 3);
    ck_assert(!progress[1].probing);
    bench_fini(&b);
}
END_TEST

/* "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry" */
START_TEST(leaders_go_back_and_retry)
{
    setup(4, 0, 0, TERMS(1, 1, 4, 4));
    bench_become_leader(&b); /* term 5, entry 5 */
    bench_refuse(&b, 2, 4, 2, 1);
    const struct raft_msg *msg = SENT(RAFT_APPEND, 2);
    ck_assert_ptr_nonnull(msg);
    ck_assert_uint_eq(msg->append.prev, 2);
    ck_assert_uint_eq(msg->append.prev_term, 1);
    ck_assert_uint_eq(msg->append.n, 3);
    bench_fini(&b);
}
END_TEST

/* "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term
 * == currentTerm: set commitIndex = N" */
START_TEST(leaders_commit_what_a_majority_holds)
{
    bench_init(&b, 5, 1);
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    bench_accept(&b, 2, 2);
    bench_accept(&b, 3, 2);
    bench_accept(&b, 6, 2); /* a learner does not count */
    ck_assert_uint_eq(b.u.commit, 0);
    bench_persist(&b); /* nor does the leader before its own disk has it (B15) */
    ck_assert_uint_eq(b.u.commit, 2);
    bench_fini(&b);
}
END_TEST

/* the same, "log[N].term == currentTerm": Figure 8, B14 */
START_TEST(leaders_count_only_entries_of_their_term)
{
    bench_init(&b, 5, 0);
    bench_boot(&b, 3, 0, 0, TERMS(1, 2)); /* S1 in (c): entry 2 is of term 2 */
    bench_become_leader(&b);              /* term 4; its own entry is 3 */
    bench_persist(&b);
    bench_accept(&b, 2, 2);
    bench_accept(&b, 3, 2);
    ck_assert_uint_eq(b.u.commit, 0); /* on a majority, and still not committed */
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 0);
    bench_accept(&b, 3, 3);
    ck_assert_uint_eq(b.u.commit, 3); /* (e): and with it all before it */
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        state_is_stored_before_a_reply_leaves,
        the_term_begins_at_0_and_only_rises,
        the_vote_belongs_to_its_term,
        a_candidate_that_steps_back_keeps_its_vote,
        the_log_begins_at_1_and_remembers_terms,
        the_commit_index_only_rises,
        a_new_leader_knows_nothing_of_its_followers,
        append_1_refuses_an_old_term,
        append_2_refuses_what_does_not_fit,
        append_3_erases_a_conflict_and_all_after_it,
        append_3_erases_nothing_that_matches,
        append_3_never_reaches_below_the_commit_index,
        append_4_adds_only_what_is_new,
        append_5_commits_up_to_the_last_new_entry,
        vote_1_refuses_an_old_term,
        vote_2_is_given_to_one_candidate,
        vote_2_wants_a_log_as_good_as_the_own,
        all_servers_apply_what_is_committed,
        all_servers_follow_a_higher_term,
        followers_respond,
        followers_stand_when_the_leader_is_silent,
        followers_give_time_to_whom_they_vote_for,
        candidates_start_an_election,
        candidates_win_with_a_majority,
        candidates_wait_for_their_own_vote,
        candidates_give_way_to_a_leader,
        candidates_start_again,
        leaders_begin_with_a_noop,
        leaders_repeat_heartbeats,
        leaders_append_what_clients_propose,
        leaders_send_from_next_on,
        leaders_note_success,
        leaders_go_back_and_retry,
        leaders_commit_what_a_majority_holds,
        leaders_count_only_entries_of_their_term,
    };
    return bench_main("raft, figure 2", tests, sizeof tests / sizeof tests[0]);
}
