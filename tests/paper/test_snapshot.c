/* test_snapshot.c - log compaction and snapshots, §7 and chapter 5 of the thesis: one test for each
 * rule, and for each boundary around the beginning of the log. */
#include "bench.h"

#include <stdlib.h>

static struct bench b;

#define SENT(type, to) bench_sent(&b, type, to)

static struct raft_progress progress_of(raft_id id)
{
    struct raft_progress all[RAFT_MEMBERS_MAX];
    raft_progress(b.raft, all);
    return all[id - 1];
}

/* Leads term 4; the log is 1 1 2 2 3, then its no-op 6; 2 has everything, nobody has heard of 3. */
static void lead(void)
{
    bench_init(&b, 3, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, 3, 0, 0, TERMS(1, 1, 2, 2, 3));
    bench_become_leader(&b);
    bench_persist(&b);
    bench_accept(&b, 2, 6);
    ck_assert_uint_eq(b.u.commit, 6);
}

/* Follows 2 in term 4; the log is 1 1 2 2 3 up to 5, committed up to `commit`. */
static void follow_2(raft_index commit)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 4, 3, commit, TERMS(1, 1, 2, 2, 3));
    bench_become_follower_of(&b, 2, 4);
}

/* ---- compaction */

START_TEST(only_committed_entries_are_compacted)
{
    follow_2(3);
    ck_assert_int_eq(bench_compacted(&b, 4), RAFT_INVALID);
    ck_assert_uint_eq(raft_first_index(b.raft), 1);
    ck_assert_int_eq(bench_compacted(&b, 3), RAFT_OK);
    ck_assert_uint_eq(b.u.what, 0);
    ck_assert_uint_eq(b.u.ticket, 0);
    ck_assert_uint_eq(raft_first_index(b.raft), 4);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    ck_assert_uint_eq(raft_term_at(b.raft, 2), 0);
    ck_assert_uint_eq(raft_term_at(b.raft, 3), 2); /* of base the term is kept */
    ck_assert_uint_eq(raft_term_at(b.raft, 4), 2);
    ck_assert_uint_eq(b.traced[RAFT_TRACE_COMPACTED], 1);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_COMPACTED][0], 0);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_COMPACTED][1], 3);
    ck_assert_int_eq(bench_compacted(&b, 3), RAFT_OK); /* no news */
    ck_assert_int_eq(bench_compacted(&b, 1), RAFT_OK);
    ck_assert_uint_eq(raft_first_index(b.raft), 4);
    ck_assert_uint_eq(b.traced[RAFT_TRACE_COMPACTED], 1);
    bench_fini(&b);
}
END_TEST

/* B58: "log.lastTerm of an empty log" is base's. */
START_TEST(a_wholly_compacted_log_stands_and_votes_with_its_bases_term)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 4, 0, 5, TERMS(1, 1, 2, 2, 3));
    ck_assert_int_eq(bench_compacted(&b, 5), RAFT_OK);
    bench_vote(&b, 2, 5, 5, 2);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_vote(&b, 2, 6, 4, 3);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_vote(&b, 2, 7, 5, 3);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_become_candidate(&b);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 2)->vote.last, 5);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 2)->vote.last_term, 3);
    bench_fini(&b);
}
END_TEST

/* B53: the same after a restart with nothing but a base. */
START_TEST(a_server_starts_behind_a_snapshot)
{
    bench_init(&b, 3, 0);
    bench_boot_behind(&b, 4, 10, 3, 10, NO_TERMS);
    bench_tick(&b, 0);
    ck_assert_uint_eq(b.u.commit, 10);
    ck_assert_uint_eq(raft_first_index(b.raft), 11);
    ck_assert_uint_eq(raft_last_index(b.raft), 10);
    bench_append(&b, 2, 4, 10, 3, TERMS(4), 11);
    ck_assert_uint_eq(b.u.save.first, 11);
    ck_assert_uint_eq(b.u.commit, 11);
    bench_boot_behind(&b, 4, 10, 3, 10, NO_TERMS);
    bench_become_candidate(&b);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 2)->vote.last, 10);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 2)->vote.last_term, 3);
    bench_fini(&b);
    bench_init(&b, 1, 0);
    bench_boot_behind(&b, 4, 10, 3, 11, TERMS(3, 4));
    bench_become_leader(&b); /* alone: its own disk commits */
    ck_assert_uint_eq(b.u.commit, 13);
    bench_fini(&b);
}
END_TEST

/* Of what is compacted nothing is known but that it is committed, so it matches. */
START_TEST(an_append_that_reaches_below_base_matches)
{
    follow_2(4);
    bench_compacted(&b, 4);
    bench_append(&b, 2, 4, 2, 1, TERMS(2, 2, 3, 4), 5); /* 3..6: 3 and 4 are below, 5 is here */
    ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 6);
    ck_assert_uint_eq(b.u.save.first, 6);
    ck_assert_uint_eq(b.u.save.skip, 3);
    ck_assert_uint_eq(b.u.commit, 5);
    bench_append(&b, 2, 4, 1, 1, TERMS(1), 5);
    ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 2);
    ck_assert_uint_eq(b.u.what, 0);
    bench_fini(&b);
}
END_TEST

/* B21: an entry that is not there has no term, also not the one that a bad leader claims of it. */
START_TEST(what_is_beyond_a_compacted_log_matches_nothing)
{
    follow_2(5);
    bench_compacted(&b, 5);
    bench_append(&b, 2, 4, 7, 4, TERMS(4), 8);
    ck_assert(!SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.conflict, 5);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.conflict_term, 3);
    ck_assert_uint_eq(b.u.commit, 5);
    ck_assert_int_eq(bench_append(&b, 2, 4, 7, 0, TERMS(4), 8), RAFT_INVALID);
    bench_heartbeat(&b, 2, 4, 8, 4, 0);
    ck_assert_uint_eq(b.u.commit, 5);
    bench_fini(&b);
}
END_TEST

/* ---- a leader */

/* B52: around base = 3: next 5 and 4 get appends, 3 and 2 a snapshot. */
START_TEST(next_at_or_below_base_needs_a_snapshot)
{
    for (raft_index hint = 1; hint <= 4; hint++) {
        static const raft_term term_at[] = { 0, 1, 1, 2, 2 };
        raft_index next = hint + 1;
        lead();
        bench_compacted(&b, 3);
        bench_refuse(&b, 3, 5, hint, term_at[hint]);
        ck_assert_uint_eq(progress_of(3).snapshot, next <= 3);
        ck_assert_uint_eq(bench_count(&b, RAFT_SNAPSHOT), next <= 3);
        ck_assert_uint_eq(bench_count(&b, RAFT_APPEND), next > 3);
        if (next > 3) {
            ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, next - 1);
            ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev_term, term_at[hint]);
        } else {
            ck_assert_uint_eq(SENT(RAFT_SNAPSHOT, 3)->snapshot.base, 3);
            ck_assert_uint_eq(SENT(RAFT_SNAPSHOT, 3)->snapshot.base_term, 2);
            ck_assert_uint_eq(b.trace_v[RAFT_TRACE_SNAPSHOT][0], 3);
            ck_assert_uint_eq(b.trace_v[RAFT_TRACE_SNAPSHOT][1], 3);
        }
        bench_fini(&b);
    }
}
END_TEST

/* B52, the same when it is base that moves: next is 4. */
START_TEST(compaction_past_next_needs_a_snapshot)
{
    for (raft_index base = 2; base <= 5; base++) {
        lead();
        bench_refuse(&b, 3, 5, 3, 2); /* probed from 4 on */
        bench_compacted(&b, base);
        ck_assert_uint_eq(progress_of(3).snapshot, base >= 4);
        ck_assert_uint_eq(bench_count(&b, RAFT_SNAPSHOT), base >= 4);
        ck_assert(!progress_of(2).snapshot);
        bench_heartbeat_reply(&b, 3, 0);
        ck_assert_uint_eq(bench_count(&b, RAFT_APPEND), base < 4);
        bench_fini(&b);
    }
}
END_TEST

/* At base the follower has an entry of another term: the logs part below. */
START_TEST(a_conflict_at_base_needs_a_snapshot)
{
    lead();
    bench_compacted(&b, 3);
    bench_refuse(&b, 3, 5, 4, 1); /* all of its entries up to 4 are of term 1; base is of term 2 */
    ck_assert(progress_of(3).snapshot);
    bench_fini(&b);
    lead();
    bench_compacted(&b, 3);
    bench_refuse(&b, 3, 5, 3, 3); /* its term at 3 is higher than base's: asked about base, it refuses */
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, 3);
    bench_refuse(&b, 3, 3, 2, 1);
    ck_assert(progress_of(3).snapshot);
    bench_fini(&b);
}
END_TEST

START_TEST(who_waits_for_a_snapshot_is_told_once_each_heartbeat_and_sent_no_entries)
{
    lead();
    bench_compacted(&b, 5);
    bench_refuse(&b, 3, 5, 1, 1);
    ck_assert_uint_eq(bench_count(&b, RAFT_SNAPSHOT), 1);
    bench_propose(&b, 2);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 3));
    ck_assert_ptr_null(SENT(RAFT_SNAPSHOT, 3));
    for (uint32_t beat = 0; beat < 3; beat++) {
        bench_heartbeat_reply(&b, 2, 0);
        bench_tick(&b, 10);
        ck_assert_ptr_nonnull(SENT(RAFT_HEARTBEAT, 3));
        ck_assert_ptr_null(SENT(RAFT_SNAPSHOT, 3)); /* only who lives is told */
        bench_heartbeat_reply(&b, 3, 0);
        ck_assert_uint_eq(bench_count(&b, RAFT_SNAPSHOT), 1);
        bench_heartbeat_reply(&b, 3, 0);
        ck_assert_uint_eq(bench_count(&b, RAFT_SNAPSHOT), 0);
        ck_assert_ptr_null(SENT(RAFT_APPEND, 3));
    }
    bench_fini(&b);
}
END_TEST

/* B54: whatever comes late or twice while it waits, and what comes when it is done. */
START_TEST(only_an_answer_that_reaches_base_ends_the_wait)
{
    lead();
    bench_compacted(&b, 5);
    bench_refuse(&b, 3, 5, 1, 1);
    bench_refuse(&b, 3, 5, 1, 1);
    bench_refuse(&b, 3, 4, 0, 0);
    ck_assert(progress_of(3).snapshot);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    bench_accept(&b, 3, 0);
    bench_accept(&b, 3, 4); /* an old snapshot: the leader has compacted further since */
    ck_assert(progress_of(3).snapshot);
    ck_assert_uint_eq(progress_of(3).match, 4);
    ck_assert_uint_eq(progress_of(3).next, 5);
    bench_tick(&b, 10);
    bench_heartbeat_reply(&b, 3, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_SNAPSHOT, 3)); /* so it is offered again */
    bench_accept(&b, 3, 5);
    ck_assert(!progress_of(3).snapshot && !progress_of(3).probing);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, 5);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.n, 1);
    bench_refuse(&b, 3, 5, 1, 1); /* late */
    bench_accept(&b, 3, 4);
    ck_assert(!progress_of(3).snapshot);
    ck_assert_uint_eq(progress_of(3).match, 5);
    bench_accept(&b, 3, 6);
    ck_assert_uint_eq(progress_of(3).match, 6);
    bench_fini(&b);
}
END_TEST

START_TEST(a_snapshot_that_reaches_beyond_base_is_followed_by_what_is_behind_it)
{
    lead();
    bench_propose(&b, 3); /* 7..9 */
    bench_accept(&b, 2, 9);
    bench_persist(&b);
    bench_compacted(&b, 4);
    bench_refuse(&b, 3, 5, 1, 1);
    bench_accept(&b, 3, 8);
    ck_assert(!progress_of(3).snapshot);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, 8);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.n, 1);
    bench_fini(&b);
}
END_TEST

START_TEST(an_unreachable_follower_that_waits_for_a_snapshot_goes_on_waiting)
{
    lead();
    bench_compacted(&b, 5);
    bench_refuse(&b, 3, 5, 1, 1);
    ck_assert_int_eq(bench_unreachable(&b, 3), RAFT_OK);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    ck_assert(progress_of(3).snapshot);
    bench_tick(&b, 10);
    bench_heartbeat_reply(&b, 3, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_SNAPSHOT, 3));
    bench_fini(&b);
}
END_TEST

/* Appends up to 8 are in flight, 6 is acknowledged, the log begins behind 7: if what is in flight is
 * lost, there is no append to begin anew with. */
START_TEST(what_was_in_flight_and_is_lost_may_be_compacted)
{
    for (uint32_t how = 0; how < 4; how++) {
        lead();
        bench_accept(&b, 3, 6);
        bench_propose(&b, 2);
        bench_accept(&b, 2, 8);
        bench_persist(&b);
        ck_assert_uint_eq(b.u.commit, 8);
        bench_compacted(&b, 7);
        ck_assert(!progress_of(3).snapshot); /* next is 9 */
        if (how == 0) {
            bench_unreachable(&b, 3);
            ck_assert_uint_eq(b.u.n_msgs, 0); /* not before it shows itself */
        } else if (how == 1) {
            struct raft_event sent = { .type = RAFT_SENT, .sent = { .peer = 3, .last = 6 } };
            bench_step(&b, sent);
        } else if (how == 2) {
            bench_refuse(&b, 3, 8, 6, 4);
            ck_assert_ptr_nonnull(SENT(RAFT_SNAPSHOT, 3));
        } else {
            bench_accept(&b, 3, 8); /* it came after all */
            ck_assert(!progress_of(3).snapshot);
            bench_fini(&b);
            continue;
        }
        ck_assert(progress_of(3).snapshot);
        bench_tick(&b, 10);
        bench_heartbeat_reply(&b, 3, 0);
        ck_assert_uint_eq(SENT(RAFT_SNAPSHOT, 3)->snapshot.base, 7);
        bench_accept(&b, 3, 8); /* it was only late */
        ck_assert(!progress_of(3).snapshot);
        bench_fini(&b);
    }
}
END_TEST

/* ---- a follower is offered one */

START_TEST(an_offered_snapshot_is_a_leaders_word)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 4, 0, 0, TERMS(1, 1));
    bench_become_candidate(&b); /* term 5 */
    raft_msec deadline = b.u.deadline;
    bench_snapshot(&b, 2, 4, 5, 3); /* of an older term */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.what & RAFT_FETCH, 0);
    b.now += 50;
    bench_snapshot(&b, 2, 5, 5, 3);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.leader, 2);
    ck_assert_uint_eq(b.u.vote, BENCH_SELF); /* B3 */
    ck_assert_uint_ge(b.u.deadline, b.now + 100);
    ck_assert_uint_ne(b.u.deadline, deadline);
    bench_snapshot(&b, 3, 7, 5, 3);
    ck_assert_uint_eq(b.u.term, 7);
    ck_assert_uint_eq(b.u.leader, 3);
    ck_assert(b.u.what & RAFT_SAVE_VOTE);
    bench_fini(&b);
}
END_TEST

START_TEST(who_lacks_what_is_offered_fetches_it)
{
    follow_2(3);
    bench_snapshot(&b, 2, 4, 6, 4); /* not that long */
    ck_assert_uint_eq(b.u.what, RAFT_FETCH);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    ck_assert_uint_eq(b.u.ticket, 0);
    bench_snapshot(&b, 2, 4, 6, 4); /* said again as often as it is so */
    ck_assert_uint_eq(b.u.what, RAFT_FETCH);
    bench_snapshot(&b, 2, 4, 5, 4); /* has another entry there */
    ck_assert_uint_eq(b.u.what, RAFT_FETCH);
    bench_fini(&b);
}
END_TEST

START_TEST(who_has_what_is_offered_says_how_far_it_matches)
{
    static const struct {
        raft_index base;
        raft_term base_term;
        raft_index match;
    } offer[] = { { 1, 1, 3 }, { 3, 2, 3 }, { 4, 2, 4 }, { 5, 3, 5 } };
    for (uint32_t i = 0; i < 4; i++) {
        follow_2(3);
        bench_snapshot(&b, 2, 4, offer[i].base, offer[i].base_term);
        ck_assert_uint_eq(b.u.what & RAFT_FETCH, 0);
        ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
        ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, offer[i].match);
        bench_fini(&b);
    }
    /* also of what it has compacted itself */
    follow_2(4);
    bench_compacted(&b, 4);
    bench_snapshot(&b, 2, 4, 2, 1);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 4);
    bench_fini(&b);
}
END_TEST

/* What it says it has must be durable (the ticket rule). */
START_TEST(having_what_is_offered_waits_for_the_disk)
{
    follow_2(3);
    bench_append(&b, 2, 4, 5, 3, TERMS(4), 3);
    raft_ticket ticket = b.u.ticket;
    ck_assert_uint_ne(ticket, 0);
    bench_snapshot(&b, 2, 4, 6, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 6);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->after, ticket);
    bench_fini(&b);
}
END_TEST

/* ---- installing one */

START_TEST(a_snapshot_of_what_is_not_here_replaces_the_log)
{
    follow_2(3);
    ck_assert_int_eq(bench_installed(&b, 9, 4), RAFT_OK);
    ck_assert(b.u.what & RAFT_SAVE_BASE);
    ck_assert(!(b.u.what & RAFT_COMMITTED)); /* nothing of it is to be applied */
    ck_assert_uint_ne(b.u.ticket, 0);
    ck_assert_uint_eq(b.u.save.base, 9);
    ck_assert_uint_eq(b.u.save.base_term, 4);
    ck_assert(!b.u.save.keep);
    ck_assert_uint_eq(b.u.commit, 9);
    ck_assert_uint_eq(raft_first_index(b.raft), 10);
    ck_assert_uint_eq(raft_last_index(b.raft), 9);
    ck_assert_uint_eq(raft_term_at(b.raft, 9), 4);
    const struct raft_msg *reply = SENT(RAFT_APPEND_REPLY, 2);
    ck_assert(reply->append_reply.ok);
    ck_assert_uint_eq(reply->append_reply.match, 9);
    ck_assert_uint_eq(reply->after, b.u.ticket);
    ck_assert_uint_eq(b.traced[RAFT_TRACE_INSTALLED], 1);
    bench_append(&b, 2, 4, 9, 4, TERMS(4, 4), 10);
    ck_assert_uint_eq(b.u.save.first, 10);
    ck_assert_uint_eq(b.u.commit, 10);
    ck_assert(b.u.what & RAFT_COMMITTED);
    bench_fini(&b);
}
END_TEST

/* B51, §7: "retain log entries following it"; they may have been acknowledged. */
START_TEST(the_suffix_behind_a_snapshot_that_matches_is_kept)
{
    follow_2(2);
    ck_assert_int_eq(bench_installed(&b, 4, 2), RAFT_OK);
    ck_assert(b.u.save.keep);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_INSTALLED][2], 1);
    ck_assert_uint_eq(b.u.commit, 4);
    ck_assert_uint_eq(raft_first_index(b.raft), 5);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    ck_assert_uint_eq(raft_term_at(b.raft, 5), 3);
    ck_assert_uint_eq(SENT(RAFT_APPEND_REPLY, 2)->append_reply.match, 4); /* 5 is another matter */
    bench_append(&b, 2, 4, 4, 2, TERMS(4), 4); /* it was another leader's */
    ck_assert_uint_eq(b.u.save.first, 5);
    ck_assert_uint_eq(raft_term_at(b.raft, 5), 4);
    bench_fini(&b);
    follow_2(2);
    bench_installed(&b, 5, 3); /* up to the last entry: kept, and there is nothing */
    ck_assert(b.u.save.keep);
    ck_assert_uint_eq(raft_first_index(b.raft), 6);
    bench_fini(&b);
}
END_TEST

START_TEST(the_suffix_behind_another_entry_is_dropped)
{
    follow_2(2);
    ck_assert_int_eq(bench_installed(&b, 4, 4), RAFT_OK); /* term 2 here */
    ck_assert(!b.u.save.keep);
    ck_assert_uint_eq(raft_last_index(b.raft), 4);
    ck_assert_uint_eq(raft_term_at(b.raft, 4), 4);
    ck_assert_uint_eq(raft_term_at(b.raft, 5), 0);
    bench_fini(&b);
}
END_TEST

/* B51, B54: late, or installed twice. */
START_TEST(a_snapshot_without_news_is_refused)
{
    follow_2(4);
    ck_assert_int_eq(bench_installed(&b, 3, 2), RAFT_INVALID);
    ck_assert_int_eq(bench_installed(&b, 4, 2), RAFT_INVALID);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    ck_assert_int_eq(bench_installed(&b, 5, 3), RAFT_OK);
    ck_assert_int_eq(bench_installed(&b, 5, 3), RAFT_INVALID);
    ck_assert_uint_eq(b.u.what, 0);
    ck_assert_uint_eq(b.u.commit, 5);
    bench_fini(&b);
}
END_TEST

START_TEST(a_leader_installs_nothing)
{
    lead();
    ck_assert_int_eq(bench_installed(&b, 9, 4), RAFT_INVALID);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

START_TEST(a_snapshot_of_a_term_that_has_not_come_is_refused)
{
    follow_2(2);
    ck_assert_int_eq(bench_installed(&b, 9, 5), RAFT_INVALID);
    ck_assert_int_eq(bench_installed(&b, 9, 0), RAFT_INVALID);
    ck_assert_int_eq(bench_installed(&b, UINT64_MAX, 4), RAFT_INVALID);
    ck_assert_uint_eq(b.u.term, 4);
    ck_assert_uint_eq(raft_last_index(b.raft), 5);
    bench_fini(&b);
}
END_TEST

/* B3, B4 */
START_TEST(installing_changes_neither_term_nor_vote_nor_role)
{
    follow_2(2);
    bench_installed(&b, 9, 2);
    ck_assert_uint_eq(b.u.term, 4);
    ck_assert_uint_eq(b.u.vote, 3);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_VOTE, 0);
    bench_fini(&b);
    bench_init(&b, 3, 0);
    bench_boot(&b, 4, 0, 0, TERMS(1, 1));
    bench_become_candidate(&b);
    raft_msec deadline = b.u.deadline;
    ck_assert_int_eq(bench_installed(&b, 9, 4), RAFT_OK);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.term, 5);
    ck_assert_uint_eq(b.u.vote, BENCH_SELF);
    ck_assert_uint_eq(b.u.deadline, deadline);
    ck_assert_uint_eq(b.u.n_msgs, 0); /* nobody leads this term */
    bench_persist(&b);
    bench_grant(&b, 2, 5);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(b.u.save.first, 10);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 9);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev_term, 4);
    bench_fini(&b);
}
END_TEST

/* Its own configuration was an old one: the snapshot's has no place for it. */
START_TEST(a_candidate_without_a_say_in_the_snapshots_configuration_gives_up)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 4, 0, 0, TERMS(1, 1));
    bench_become_candidate(&b);
    bench_persist(&b);
    struct raft_members others = { .n = 2, .at = { { .id = 2, .voter = true },
                                                   { .id = 3, .voter = true } } };
    struct raft_event event = { .type = RAFT_INSTALLED };
    event.installed.last = 9;
    event.installed.last_term = 4;
    event.installed.members = &others;
    ck_assert_int_eq(bench_step(&b, event), RAFT_OK);
    ck_assert(b.u.what & RAFT_NEW_MEMBERS);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.term, 5);
    ck_assert_uint_eq(b.u.vote, BENCH_SELF);
    bench_grant(&b, 2, 5);
    bench_grant(&b, 3, 5);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

/* B57: waiting for a snapshot takes nothing from a server but the entries. */
START_TEST(who_waits_for_a_snapshot_votes_stands_and_takes_appends)
{
    follow_2(2);
    bench_snapshot(&b, 2, 4, 9, 4);
    ck_assert(b.u.what & RAFT_FETCH);
    bench_append(&b, 2, 4, 5, 3, TERMS(4), 2);
    ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    bench_vote(&b, 3, 5, 6, 4);
    ck_assert(SENT(RAFT_VOTE_REPLY, 3)->vote_reply.granted);
    bench_become_leader(&b);
    ck_assert_int_eq(bench_installed(&b, 9, 4), RAFT_INVALID); /* it has come too late */
    bench_fini(&b);
}
END_TEST

/* A trail that has forgotten terms (RAFT_RUNS_MAX), too, begins behind its base. */
START_TEST(who_needs_what_the_trail_has_forgotten_gets_a_snapshot)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 0, 0, 0, NO_TERMS);
    raft_index last = 0;
    for (raft_term term = 1; term <= RAFT_RUNS_MAX + 10; term++) {
        bench_append(&b, 2, term, last, last == 0 ? 0 : term - 1, TERMS(term), 0);
        last++;
    }
    bench_become_leader(&b); /* with base 11, and nothing committed */
    ck_assert_uint_eq(raft_first_index(b.raft), 12);
    bench_refuse(&b, 3, last, 5, 5);
    ck_assert(progress_of(3).snapshot);
    ck_assert_uint_eq(b.u.n_msgs, 0); /* there can be no snapshot yet that reaches base */
    bench_persist(&b);
    bench_accept(&b, 2, last + 1);
    ck_assert_uint_eq(b.u.commit, last + 1);
    bench_heartbeat_reply(&b, 3, 0);
    ck_assert_uint_eq(SENT(RAFT_SNAPSHOT, 3)->snapshot.base, 11);
    ck_assert_uint_eq(SENT(RAFT_SNAPSHOT, 3)->snapshot.base_term, 11);
    bench_fini(&b);
}
END_TEST

/* What has been forgotten and is not committed cannot be compared, and what cannot be compared is not
 * dropped: it may have been acknowledged. */
START_TEST(a_snapshot_before_a_forgotten_base_is_refused)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 0, 0, 0, NO_TERMS);
    for (raft_term term = 1; term <= RAFT_RUNS_MAX + 10; term++)
        bench_append(&b, 2, term, term - 1, term - 1, TERMS(term), 0);
    ck_assert_int_eq(bench_installed(&b, 9, 9), RAFT_INVALID); /* base is 10 */
    ck_assert_int_eq(bench_installed(&b, 10, 10), RAFT_OK);
    ck_assert(b.u.save.keep);
    ck_assert_uint_eq(raft_last_index(b.raft), RAFT_RUNS_MAX + 10);
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        only_committed_entries_are_compacted,
        a_wholly_compacted_log_stands_and_votes_with_its_bases_term,
        a_server_starts_behind_a_snapshot,
        an_append_that_reaches_below_base_matches,
        what_is_beyond_a_compacted_log_matches_nothing,
        next_at_or_below_base_needs_a_snapshot,
        compaction_past_next_needs_a_snapshot,
        a_conflict_at_base_needs_a_snapshot,
        who_waits_for_a_snapshot_is_told_once_each_heartbeat_and_sent_no_entries,
        only_an_answer_that_reaches_base_ends_the_wait,
        a_snapshot_that_reaches_beyond_base_is_followed_by_what_is_behind_it,
        an_unreachable_follower_that_waits_for_a_snapshot_goes_on_waiting,
        what_was_in_flight_and_is_lost_may_be_compacted,
        an_offered_snapshot_is_a_leaders_word,
        who_lacks_what_is_offered_fetches_it,
        who_has_what_is_offered_says_how_far_it_matches,
        having_what_is_offered_waits_for_the_disk,
        a_snapshot_of_what_is_not_here_replaces_the_log,
        the_suffix_behind_a_snapshot_that_matches_is_kept,
        the_suffix_behind_another_entry_is_dropped,
        a_snapshot_without_news_is_refused,
        a_leader_installs_nothing,
        a_snapshot_of_a_term_that_has_not_come_is_refused,
        installing_changes_neither_term_nor_vote_nor_role,
        a_candidate_without_a_say_in_the_snapshots_configuration_gives_up,
        who_waits_for_a_snapshot_votes_stands_and_takes_appends,
        who_needs_what_the_trail_has_forgotten_gets_a_snapshot,
        a_snapshot_before_a_forgotten_base_is_refused,
    };
    return bench_main("raft, snapshots", tests, sizeof tests / sizeof tests[0]);
}
