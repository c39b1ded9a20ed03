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
};

static const struct planted planted[] = {
    { "vote-not-saved", SIM_CORE, 2000, "the fsync of the vote is skipped (B1)" },
    { "acknowledge-before-fsync", SIM_CORE, 2000, "a follower acknowledges before its disk has it (B15)" },
    { "own-match-before-fsync", SIM_CORE, 2000, "a leader counts itself before its disk has it (B15)" },
    { "count-old-terms", SIM_CORE, 20000, "replicas of an older term's entry are counted (B14)" },
    { "read-without-own-commit", SIM_CORE, 5000, "a read before a commit of the own term (B38)" },
    { "read-without-round", SIM_CORE, 2000, "a read without asking a majority (B40)" },
    { "read-round-reused", SIM_CORE, 5000, "an echo from before the read came is counted (B39, B40)" },
    { "learner-counts", SIM_CORE, 5000, "a learner counts for the commit index (B27)" },
    { "late-refusal-counts", SIM_CORE, 5000, "a late refusal moves next back (B18)" },
    { "stale-acknowledgement", SIM_CORE, 60000, "match is taken from an earlier term's answer (B17)" },
    { "vote-cleared", SIM_CORE, 5000, "the vote is cleared when stepping down in a term (B3)" },
    { "suffix-not-erased", SIM_CORE, 5000, "a conflicting suffix is not erased" },
    { "erase-on-old-append", SIM_CORE, 5000, "an old append that matches erases what follows (B19)" },
    { "commit-beyond-new", SIM_CORE, 5000, "commit is not capped at the last new entry (B22)" },
    { "vote-for-short-log", SIM_CORE, 5000, "the candidate's log is not compared" },
    { "pre-vote-counts", SIM_CORE, 5000, "a granted pre-vote counts as a vote (B6)" },
    { "window-leaks", SIM_CORE, 2000, "an append in flight is never taken off the window (B26)" },
    { "heartbeat-tells-nothing", SIM_CORE, 2000, "a commit told in a lost append is not told again (B25)" },
    { "pre-vote-refusal-silent", SIM_CORE, 5000, "a refused pre-vote does not tell the term (B7)" },
};

static const char *const waiting[] = {
    "accept a second membership change (B29, B30): no membership changes yet",
    "let a removed node vote (B10): no membership changes yet",
    "lose the deduplication table in a snapshot (B47): neither exists yet",
    "next index off by one at the snapshot (B52): no snapshots yet",
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

static bool is_wanted(const struct planted *p, char **names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], p->name) == 0)
            return true;
    return n == 0;
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

int mutants_table(uint32_t jobs, char **names, uint32_t n)
{
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
