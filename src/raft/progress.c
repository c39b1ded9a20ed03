/* progress.c - the bookkeeping of one member; decides nothing and sends nothing. */
#include "progress.h"

#include <holdfast/mutant.h>
#include <holdfast/panic.h>

static void flight_clear(struct progress *p)
{
    p->flight_head = p->flight_n = 0;
}

void progress_init(struct progress *p, raft_index next)
{
    p->match = 0;
    p->next = next;
    p->state = PROGRESS_PROBE;
    p->probe_sent = p->probe_empty = p->late = p->nudged = false;
    p->resent = false;
    p->contact = 0;
    p->round = 0;
    p->beat_match = 0;
    p->beat_next = next;
    flight_clear(p);
}

void progress_become_probe(struct progress *p)
{
    p->resent = true;
    p->state = PROGRESS_PROBE;
    p->probe_sent = p->probe_empty = p->late = false;
    p->next = p->match + 1;
    flight_clear(p);
}

void progress_become_replicate(struct progress *p)
{
    p->state = PROGRESS_REPLICATE;
    p->probe_sent = p->late = false;
    p->next = p->match + 1;
    p->beat_match = p->match;
    p->beat_next = p->next;
    flight_clear(p);
}

void progress_become_snapshot(struct progress *p)
{
    p->state = PROGRESS_SNAPSHOT;
    p->probe_sent = p->probe_empty = p->late = false;
    p->next = p->match + 1;
    flight_clear(p);
}

void progress_sent(struct progress *p, raft_index last)
{
    ASSERT(p->state == PROGRESS_REPLICATE && p->flight_n < RAFT_WINDOW_MAX);
    ASSERT(last >= p->next);
    p->flight[(p->flight_head + p->flight_n) % RAFT_WINDOW_MAX] = last;
    p->flight_n++;
    p->next = last + 1;
}

void progress_cut(struct progress *p, raft_index last)
{
    if (last < p->match)
        last = p->match;
    if (p->state != PROGRESS_REPLICATE || last >= p->next - 1)
        return; /* a probe does not move next; what is acknowledged need not be sent */
    bool shortened = false;
    while (p->flight_n > 0 &&
           p->flight[(p->flight_head + p->flight_n - 1) % RAFT_WINDOW_MAX] > last) {
        p->flight_n--;
        shortened = true;
    }
    p->next = last + 1;
    if (p->beat_next > p->next)
        p->beat_next = p->next;
    bool ends_there = p->flight_n > 0 &&
                      p->flight[(p->flight_head + p->flight_n - 1) % RAFT_WINDOW_MAX] == last;
    if (shortened && last > p->match && !ends_there) {
        p->flight[(p->flight_head + p->flight_n) % RAFT_WINDOW_MAX] = last;
        p->flight_n++;
    }
}

bool progress_matched(struct progress *p, raft_index match)
{
    if (match <= p->match)
        return false;
    p->match = match;
    p->resent = false;
    if (p->next <= match)
        p->next = match + 1;
    /* An acknowledgement covers everything before it, and may end inside an append that the
     * driver has split: that one stays in flight until its end is acknowledged. */
    while (p->flight_n > 0 && p->flight[p->flight_head] <= match && !mutant("window-leaks")) {
        p->flight_head = (p->flight_head + 1) % RAFT_WINDOW_MAX;
        p->flight_n--;
    }
    return true;
}

void progress_beat(struct progress *p)
{
    p->late = p->state == PROGRESS_REPLICATE && p->match == p->beat_match &&
              p->match + 1 < p->beat_next;
    p->nudged = false;
    p->resent = false; /* what is sent again may be lost again */
    p->beat_match = p->match;
    p->beat_next = p->next;
}
