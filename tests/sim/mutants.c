/* mutants.c - proves the simulator: each planted bug is switched on and has to be found.
 *
 * The list names what each bug is, in which tier it is looked for, and within how many seeds it
 * must be found.  At the end stand those that wait for a feature which does not exist yet. */
#include "tests/sim/mutants.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct planted {
    const char *name;
    enum sim_tier tier;
    uint32_t budget; /* seeds */
    const char *what;
    bool slow; /* only with --all, or by name */
};

static const struct planted planted[] = {
    { "vote-not-saved", SIM_CORE, 2000, "the fsync of the vote is skipped (B1)", false },
    { "acknowledge-before-fsync", SIM_CORE, 2000, "a follower acknowledges before its disk has it (B15)", false },
    { "own-match-before-fsync", SIM_CORE, 2000, "a leader counts itself before its disk has it (B15)", false },
    { "count-old-terms", SIM_CORE, 20000, "replicas of an older term's entry are counted (B14)", false },
    { "read-without-own-commit", SIM_CORE, 5000, "a read before a commit of the own term (B38)", false },
    { "read-without-round", SIM_CORE, 20000, "a read without asking a majority (B40)", false },
    { "read-round-reused", SIM_CORE, 5000, "an echo from before the read came is counted (B39, B40)", false },
    { "learner-counts", SIM_CORE, 5000, "a learner counts for the commit index (B27)", false },
    { "late-refusal-counts", SIM_CORE, 5000, "a late refusal moves next back (B18)", false },
    { "stale-acknowledgement", SIM_CORE, 200000, "match is taken from an earlier term's answer (B17)", false },
    { "vote-cleared", SIM_CORE, 5000, "the vote is cleared when stepping down in a term (B3)", false },
    { "suffix-not-erased", SIM_CORE, 5000, "a conflicting suffix is not erased", false },
    { "erase-on-old-append", SIM_CORE, 5000, "an old append that matches erases what follows (B19)", false },
    { "commit-beyond-new", SIM_CORE, 5000, "commit is not capped at the last new entry (B22)", false },
    { "vote-for-short-log", SIM_CORE, 5000, "the candidate's log is not compared", false },
    { "pre-vote-counts", SIM_CORE, 5000, "a granted pre-vote counts as a vote (B6)", false },
    { "window-leaks", SIM_CORE, 2000, "an append in flight is never taken off the window (B26)", false },
    { "heartbeat-tells-nothing", SIM_CORE, 2000, "a commit told in a lost append is not told again (B25)", false },
    { "pre-vote-refusal-silent", SIM_CORE, 5000, "a refused pre-vote does not tell the term (B7)", false },
    { "snapshot-next-off-by-one", SIM_CORE, 5000, "next at base gets neither entry nor snapshot (B52)", false },
    { "snapshot-offered-once", SIM_CORE, 2000, "a lost offer of a snapshot is not repeated (B54)", false },
    { "old-snapshot-installed", SIM_CORE, 2000, "a snapshot older than the log replaces it (B51)", false },
    { "conflicting-suffix-kept", SIM_CORE, 5000, "what is behind another entry survives a snapshot", false },
    { "snapshot-vote-cleared", SIM_CORE, 2000, "a snapshot clears the vote (B3)", false },
    { "compacted-prev-matches", SIM_CORE, 5000, "an entry without a term matches a compacted log (B21)", false },
    { "second-change-accepted", SIM_CORE, 5000, "a change while another is under way (B30)", false },
    { "change-before-own-commit", SIM_CORE, 5000, "a change before a commit of the own term (B29)", false },
    { "config-used-when-committed", SIM_CORE, 5000, "a configuration is used only once committed", false },
    { "config-not-rolled-back", SIM_CORE, 5000, "an erased configuration stays in use (B32)", false },
    { "joint-needs-new-majority-only", SIM_CORE, 5000, "a joint configuration's old voters are not asked", false },
    { "removed-node-votes", SIM_CORE, 5000, "who leaves counts among the new voters (B34)", false },
    { "removed-node-campaigns", SIM_CORE, 5000, "learners and removed servers stand (B10, B12)", false },
    { "who-leaves-never-stands", SIM_CORE, 5000, "who alone holds the entry that removes it does not stand", false },
    { "removed-leader-stays", SIM_CORE, 5000, "a leader goes on though its removal is committed (B36)", false },
    { "reply-before-ticket", SIM_NODE, 500, "a reply is released before its ticket (B1, B15)", false },
    { "applied-without-effects", SIM_NODE, 500, "the applied index is stored apart from its effects (B44)", false },
    { "departed-in-digest", SIM_NODE, 5000, "who has left is forgotten, and not by the digest", false },
    { "state-ahead-of-log", SIM_NODE, 3000, "the state is flushed before the log has its entries (B44)", false },
    { "truncate-at-damage", SIM_NODE, 3000, "the log is truncated at a checksum error (I15)", false },
    { "lease-without-margin", SIM_NODE, 20000, "a lease read without a margin for drift (B41)", false },
    { "disloyal", SIM_NODE, 3000, "a vote although a leader with a lease is alive (B41)", false },
    { "disloyal-after-restart", SIM_NODE, 60000, "a restart forgets that a leader is alive (B41)", true },
    { "read-before-applied", SIM_NODE, 500, "a read is served before its index is applied (B39)", false },
    { "any-read-answer", SIM_NODE, 5000, "an answer to an earlier question serves a read (B40)", false },
    { "read-storm", SIM_NODE, 3000, "a leader that cannot be reached is asked again at once", false },
    { "forward-twice", SIM_NODE, 500, "a repeated forwarded write is applied twice (B47, I9)", false },
    { "forward-to-a-later-life", SIM_NODE, 60000, "a write meant for an earlier life is taken (B47, I9)", true },
    { "forward-again", SIM_NODE, 1000, "a forwarded write is retried at the next leader (B47)", false },
    { "failed-though-proposed", SIM_NODE, 1000, "a write is called failed that commits later (B48)", false },
    { "answers-a-stranger", SIM_NODE, 3000, "a write is answered by another one's entry (B48)", false },
    { "applied-differently", SIM_NODE, 500, "one node applies some entries otherwise than the others (I5)", false },
    { "compact-beyond-durable", SIM_NODE, 500, "entries are dropped that the state on disk lacks (B45)", false },
    { "install-before-row-durable", SIM_NODE, 5000, "the state is swapped before the log knows (B53)", false },
    { "snapshot-loses-revision", SIM_NODE, 2000, "a snapshot does not carry the revision (B47)", false },
    { "jumped-write-tried-again", SIM_NODE, 60000, "a write whose fate lies in a snapshot is tried again (B48)", true },
    { "wiped-disk-accepted", SIM_NODE, 3000, "a node comes back on an empty disk and votes (B37)", false },
};

static const char *const waiting[] = {
    "lose the deduplication table in a snapshot (B47): there is none yet",
    "lose a watch event at a compaction: no watches yet",
};

struct found {
    bool found;
    uint64_t seeds;
    char why[160];
};

enum { PLANTED = sizeof planted / sizeof planted[0] };

static void hunt(const struct planted *p, struct found *found)
{
    static struct sim_result result;
    static uint64_t marks[SIM_MARKS_MAX];
    mutant_on = p->name;
    for (uint64_t seed = 1; seed <= p->budget; seed++) {
        found->seeds = seed;
        sim_run(p->tier, seed, NULL, marks, &result);
        if (!result.failed)
            continue;
        found->found = true;
        snprintf(found->why, sizeof found->why, "%.150s", result.why);
        found->why[strcspn(found->why, "\n")] = '\0';
        return;
    }
}

static bool all;

static bool is_wanted(const struct planted *p, char **names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], p->name) == 0)
            return true;
    return n == 0 && (all || !p->slow);
}

/* A process for each: what a failed run leaves behind ends with it. */
static void hunt_all(uint32_t jobs, char **names, uint32_t n, struct found *found)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < PLANTED; i++) {
        if (!is_wanted(&planted[i], names, n))
            continue;
        if (running == jobs && wait(NULL) > 0)
            running--;
        pid_t child = fork();
        if (child == 0) {
            hunt(&planted[i], &found[i]);
            _exit(0);
        }
        running += child > 0;
    }
    while (running > 0 && wait(NULL) > 0)
        running--;
}

int mutants_table(uint32_t jobs, bool slow_too, char **names, uint32_t n)
{
    all = slow_too;
    struct found *found = mmap(NULL, PLANTED * sizeof *found, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return 1;
    fflush(stdout);
    hunt_all(jobs, names, n, found);
    uint32_t missed = 0, tried = 0;
    for (uint32_t i = 0; i < PLANTED; i++) {
        const struct planted *p = &planted[i];
        if (!is_wanted(p, names, n))
            continue;
        tried++;
        missed += !found[i].found;
        printf("%-26s tier %d  %s %6" PRIu64 " seeds  %s\n%28s%s\n", p->name, (int)p->tier,
               found[i].found ? "found after" : "NOT FOUND in", found[i].seeds, p->what, "",
               found[i].why);
    }
    for (size_t i = 0; n == 0 && i < sizeof waiting / sizeof waiting[0]; i++)
        printf("waiting: %s\n", waiting[i]);
    printf("mutants=%u found=%u missed=%u %s\n", tried, tried - missed, missed,
           missed == 0 && tried > 0 ? "ok" : "FAILED");
    munmap(found, PLANTED * sizeof *found);
    return missed == 0 && tried > 0 ? 0 : 1;
}
