/* test_replication.c - what Figure 2 leaves open about bringing a log to a follower: hints (§5.3), the
 * window, what was lost, what comes late, and how little is sent again. */
#include "bench.h"

#include <stdlib.h>

static struct bench b;

static void setup(uint32_t voters, raft_term term, raft_index commit, struct terms log)
{
    bench_init(&b, voters, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, term, 0, commit, log);
}

#define SENT(type, to) bench_sent(&b, type, to)

static struct raft_progress progress_of(raft_id id)
{
    struct raft_progress all[RAFT_MEMBERS_MAX];
    raft_progress(b.raft, all);
    return all[id - 1];
}

static void lead_and_commit(uint32_t voters)
{
    setup(voters, 1, 0, TERMS(1));
    bench_become_leader(&b);
    bench_persist(&b);
    bench_accept(&b, 2, 2);
    if (voters == 5)
        bench_accept(&b, 3, 2);
    ck_assert_uint_eq(b.u.commit, 2);
}

/* §5.3: "the follower can include the term of the conflicting entry and the first index it stores
 * for that term"; one append for each conflicting term, not for each entry */
START_TEST(hints_skip_whole_terms)
{
    setup(3, 7, 0, TERMS(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)); /* Figure 7, leader */
    bench_become_leader(&b);
    /* Figure 7 (f): 1 1 1 2 2 2 3 3 3 3 3; at prev 10 (term 6) it has term 3 */
    bench_refuse(&b, 2, 10, 10, 3);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 3);
    /* Figure 7 (b): 1 1 1 4 */
    bench_refuse(&b, 3, 10, 4, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, 4);
    bench_fini(&b);
}
END_TEST

/* B18 */
START_TEST(late_refusals_do_nothing)
{
    lead_and_commit(3);
    bench_propose(&b, 4); /* 3..6 in flight */
    bench_accept(&b, 2, 4);
    bench_refuse(&b, 2, 2, 0, 0); /* from before: next would be at match or below */
    bench_refuse(&b, 2, 4, 1, 1);
    ck_assert_uint_eq(progress_of(2).match, 4);
    ck_assert_uint_eq(progress_of(2).next, 7);
    ck_assert(!progress_of(2).probing);
    bench_refuse(&b, 2, 5, 4, 2); /* a real one: something was lost */
    ck_assert(progress_of(2).probing);
    ck_assert_uint_eq(progress_of(2).next, 5);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.n, 2);
    bench_refuse(&b, 2, 5, 4, 2); /* repeated: another place is asked about now */
    ck_assert_uint_eq(progress_of(2).next, 5);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    bench_fini(&b);
}
END_TEST

START_TEST(the_window_bounds_what_is_in_flight)
{
    bench_init(&b, 3, 0);
    b.config.window = 2;
    b.config.batch_entries = 2;
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    bench_accept(&b, 2, 2);
    bench_propose(&b, 5);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.n, 2); /* 3 4 */
    bench_propose(&b, 1);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 4); /* 5 6 */
    bench_propose(&b, 1);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2)); /* full */
    bench_accept(&b, 2, 3); /* inside an append that the driver has split */
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2));
    bench_accept(&b, 2, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 6); /* 7 8 */
    bench_accept(&b, 2, 9 - 1); /* one answer for two */
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 8);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.n, 1);
    bench_fini(&b);
}
END_TEST

/* B26: what was lost is found by the next heartbeats, without sending whole windows again */
START_TEST(a_lost_append_is_found)
{
    lead_and_commit(3);
    bench_propose(&b, 3);
    bench_tick(&b, 10);
    bench_heartbeat_reply(&b, 2, 0);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2)); /* it may just be slow */
    bench_tick(&b, 10);
    bench_heartbeat_reply(&b, 2, 0);
    const struct raft_msg *msg = SENT(RAFT_APPEND, 2);
    ck_assert_ptr_nonnull(msg);
    ck_assert_uint_eq(msg->append.prev, 5); /* does it have all? */
    ck_assert_uint_eq(msg->append.n, 0);
    bench_heartbeat_reply(&b, 2, 0);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2)); /* once in a heartbeat interval */
    bench_refuse(&b, 2, 5, 2, 2);
    msg = SENT(RAFT_APPEND, 2);
    ck_assert_uint_eq(msg->append.prev, 2);
    ck_assert_uint_eq(msg->append.n, 3);
    bench_accept(&b, 2, 5);
    ck_assert(!progress_of(2).probing);
    bench_fini(&b);
}
END_TEST

START_TEST(an_unreachable_peer_is_asked_when_it_shows_itself)
{
    lead_and_commit(3);
    bench_propose(&b, 2);
    bench_step(&b, (struct raft_event){ .type = RAFT_UNREACHABLE, .unreachable = { 2 } });
    ck_assert_uint_eq(b.u.n_msgs, 0); /* not at once, or two failures would chase each other */
    ck_assert(progress_of(2).probing);
    bench_propose(&b, 1);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2));
    bench_tick(&b, 10);
    ck_assert_ptr_null(SENT(RAFT_APPEND, 2));
    bench_heartbeat_reply(&b, 2, 0);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 2);
    bench_accept(&b, 2, 2);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 2);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.n, 3);
    bench_fini(&b);
}
END_TEST

START_TEST(an_append_cut_short_goes_on_where_it_ended)
{
    lead_and_commit(3);
    bench_propose(&b, 6); /* 3..8 */
    bench_step(&b, (struct raft_event){ .type = RAFT_SENT, .sent = { .peer = 2, .last = 4 } });
    ck_assert_uint_eq(b.u.n_msgs, 0);
    ck_assert_uint_eq(progress_of(2).next, 5);
    bench_accept(&b, 2, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 4);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.n, 4);
    bench_step(&b, (struct raft_event){ .type = RAFT_SENT, .sent = { .peer = 2, .last = 1 } });
    ck_assert_uint_eq(progress_of(2).next, 5); /* what is acknowledged is not sent again */
    bench_fini(&b);
}
END_TEST

/* B25 */
START_TEST(a_heartbeat_tells_the_commit_index)
{
    setup(3, 2, 0, TERMS(1, 2, 2));
    bench_heartbeat(&b, 2, 3, 2, 1, 0); /* the own entry 2 is another one */
    ck_assert_uint_eq(b.u.commit, 0);
    bench_heartbeat(&b, 2, 3, 4, 3, 0); /* an entry that has not come */
    ck_assert_uint_eq(b.u.commit, 0);
    bench_heartbeat(&b, 2, 3, 2, 2, 0);
    ck_assert_uint_eq(b.u.commit, 2);
    bench_fini(&b);
    lead_and_commit(3);
    bench_tick(&b, 10);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT, 3)->heartbeat.commit, 2);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT, 3)->heartbeat.commit_term, 2);
    bench_fini(&b);
}
END_TEST

/* B16: a leader's late word to itself, from before its log was overwritten, counts for nothing */
START_TEST(a_late_word_to_itself_is_dropped)
{
    setup(3, 1, 0, TERMS(1));
    bench_become_leader(&b); /* term 2, entry 2 */
    bench_propose(&b, 2);    /* 3 and 4, never durable before it loses its place */
    bench_append(&b, 3, 3, 1, 1, TERMS(3, 3, 3), 0);
    bench_append(&b, 3, 3, 4, 3, TERMS(3), 0);
    b.now += 200;
    bench_tick(&b, 0);
    bench_grant(&b, 2, 4); /* a pre-vote; candidate of term 4 */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    uint32_t late = 0; /* everything that it ever told itself comes now */
    for (uint32_t i = 0; i < b.n_own; i++)
        late += b.own[i].type == RAFT_APPEND_REPLY && b.own[i].term == 2;
    ck_assert_uint_eq(late, 2);
    struct raft_msg stale = b.own[1];
    ck_assert_uint_eq(stale.append_reply.match, 4);
    bench_grant(&b, 2, 4);
    bench_persist(&b);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(progress_of(1).match, 6); /* by its own word of this term */
    bench_fini(&b);

    setup(3, 1, 0, TERMS(1, 1, 1, 1));
    bench_become_leader(&b); /* term 2, entry 5 */
    bench_recv(&b, (struct raft_msg){ .type = RAFT_APPEND_REPLY, .from = 1, .term = 1,
                                      .append_reply = { .ok = true, .match = 4 } }, NO_TERMS);
    ck_assert_uint_eq(progress_of(1).match, 0);
    bench_fini(&b);
}
END_TEST

/* Several appends in flight come late and are each refused: what was lost is sent again once, and
 * once more only after an answer that is news.  Else late answers would feed on each other. */
START_TEST(late_refusals_do_not_multiply)
{
    bench_init(&b, 3, 0);
    b.config.batch_entries = 1;
    b.config.window = 8;
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_become_leader(&b);
    bench_accept(&b, 2, 2);
    for (uint32_t i = 0; i < 6; i++)
        bench_propose(&b, 1); /* 3..8, of which 3 is lost */
    uint32_t sent = 0;
    for (raft_index prev = 3; prev <= 7; prev++) {
        bench_refuse(&b, 2, prev, 2, 2);
        sent += bench_count(&b, RAFT_APPEND);
    }
    ck_assert_uint_eq(sent, 1);
    bench_accept(&b, 2, 2); /* an old answer does not stand for the probe's */
    ck_assert(progress_of(2).probing);
    bench_accept(&b, 2, 3);
    ck_assert(!progress_of(2).probing);
    raft_index next = SENT(RAFT_APPEND, 2)->append.prev;
    ck_assert_uint_eq(next, 3);
    for (uint32_t copies = 0; copies < 3; copies++) {
        bench_refuse(&b, 2, 4, 2, 2); /* made before entry 3 was acknowledged */
        ck_assert(!progress_of(2).probing);
        ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, ++next); /* no place twice */
    }
    bench_refuse(&b, 2, 5, 3, 2);
    ck_assert(progress_of(2).probing);
    bench_tick(&b, 10);
    bench_heartbeat_reply(&b, 2, 0); /* the probe is lost: asked anew, without entries */
    bench_accept(&b, 2, 3);
    ck_assert(!progress_of(2).probing);
    bench_refuse(&b, 2, 4, 3, 2); /* another loss, after the heartbeat */
    ck_assert(progress_of(2).probing);
    bench_fini(&b);
}
END_TEST

/* A refusal names the last that came, though it is not durable there yet: no need to send it again. */
START_TEST(what_came_is_not_sent_again)
{
    lead_and_commit(3);
    for (uint32_t i = 0; i < 4; i++)
        bench_propose(&b, 2); /* 3..10 */
    bench_refuse(&b, 2, 8, 6, 2); /* 7 and 8 were lost; 3..6 are being written */
    ck_assert_uint_eq(SENT(RAFT_APPEND, 2)->append.prev, 6);
    bench_accept(&b, 2, 4); /* not yet what the probe has asked */
    ck_assert(progress_of(2).probing);
    ck_assert_uint_eq(progress_of(2).match, 4);
    bench_accept(&b, 2, 10);
    ck_assert(!progress_of(2).probing);
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        hints_skip_whole_terms,
        late_refusals_do_nothing,
        the_window_bounds_what_is_in_flight,
        a_lost_append_is_found,
        an_unreachable_peer_is_asked_when_it_shows_itself,
        an_append_cut_short_goes_on_where_it_ended,
        a_heartbeat_tells_the_commit_index,
        a_late_word_to_itself_is_dropped,
        late_refusals_do_not_multiply,
        what_came_is_not_sent_again,
    };
    return bench_main("raft, replication", tests, sizeof tests / sizeof tests[0]);
}
