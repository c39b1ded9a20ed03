/* progress.h - what a leader knows of one member's log, and what is under way to it. */
#ifndef HOLDFAST_RAFT_PROGRESS_H
#define HOLDFAST_RAFT_PROGRESS_H

#include <holdfast/raft.h>

enum progress_state {
    PROGRESS_PROBE,     /* it is not known where the logs agree: one append at a time asks */
    PROGRESS_REPLICATE, /* appends follow each other without waiting, up to the window */
    PROGRESS_SNAPSHOT,  /* what it needs next is compacted: no appends until it has a snapshot, §7 */
};

struct progress {
    raft_index match; /* matchIndex: known to be durable there; never falls in a term */
    raft_index next;  /* nextIndex; always > match */
    enum progress_state state;
    bool probe_sent;  /* probe: the one append is under way */
    bool probe_empty; /* and carries no entries, so that its answer does not raise match */
    bool late;        /* replicate, set at a heartbeat: what was sent before the last one is
                         unanswered */
    bool nudged;      /* an empty append has asked, or a snapshot was offered, since the last
                         heartbeat */
    bool resent;      /* since match last rose or a heartbeat, all under way was sent again */
    raft_msec contact;       /* last reply in this term; 0: none */
    uint64_t round;          /* highest read round echoed */
    raft_index beat_match, beat_next; /* at the last heartbeat */
    uint32_t flight_head, flight_n;
    raft_index flight[RAFT_WINDOW_MAX]; /* last index of each append under way, rising */
};

void progress_init(struct progress *p, raft_index next);

/* From now on probed, from the entry after match on.  What was under way counts as lost. */
void progress_become_probe(struct progress *p);
void progress_become_replicate(struct progress *p);
void progress_become_snapshot(struct progress *p);

/* An append up to `last` has left. */
void progress_sent(struct progress *p, raft_index last);

/* Of what has left only the entries up to `last` were sent: the rest is to be sent again. */
void progress_cut(struct progress *p, raft_index last);

/* The member's log matches up to `match`; true if that is news. */
bool progress_matched(struct progress *p, raft_index match);

/* Once every heartbeat interval. */
void progress_beat(struct progress *p);

#endif
