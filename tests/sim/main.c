/* main.c - holdfast-sim: runs clusters in virtual time, from seeds. */
#include "tests/sim/mutants.h"
#include "tests/sim/runner.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HOLDFAST_MUTANTS
const bool sim_has_mutants = true;
#else
const bool sim_has_mutants = false;
#endif

static const char usage[] =
    "usage: holdfast-sim [--tier 1|2] [--from N] [--seeds N | --minutes M] [--jobs J]\n"
    "       holdfast-sim --tier 1|2 --seed N [--trace]\n"
    "       holdfast-sim --mutants [--all] [--jobs J] [NAME...]\n"
    "Tier 1 is the Raft core alone, tier 2 the whole node with clients.  With --seed one run is\n"
    "replayed; --trace shows everything that happens in it.\n";

struct arguments {
    struct runner_options run;
    uint64_t seed;
    bool one, trace, mutants, all, help;
    const char *mutant;
};

static bool parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        { "tier", required_argument, NULL, 't' },   { "seed", required_argument, NULL, 's' },
        { "seeds", required_argument, NULL, 'n' },  { "from", required_argument, NULL, 'f' },
        { "minutes", required_argument, NULL, 'm' }, { "jobs", required_argument, NULL, 'j' },
        { "trace", no_argument, NULL, 'v' },        { "mutants", no_argument, NULL, 'M' },
        { "all", no_argument, NULL, 'a' },
        { "mutant", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        switch (c) {
        case 't': a->run.tier = number == 2 ? SIM_NODE : SIM_CORE; break;
        case 's': a->seed = number; a->one = true; break;
        case 'n': a->run.seeds = number; break;
        case 'f': a->run.from = number; break;
        case 'm': a->run.minutes = (uint32_t)number; break;
        case 'j': a->run.jobs = number < 1 ? 1 : number > 64 ? 64 : (uint32_t)number; break;
        case 'v': a->trace = true; break;
        case 'M': a->mutants = true; break;
        case 'a': a->all = true; break;
        case 'o': a->mutant = optarg; break;
        case 'h': a->help = true; break;
        default: return false;
        }
    }
    return true;
}

static int run_one(const struct arguments *a)
{
    static struct sim_result result;
    uint64_t marks[SIM_MARKS_MAX] = { 0 };
    sim_run(a->run.tier, a->seed, a->trace ? stdout : NULL, marks, &result);
    printf("tier=%d seed=%" PRIu64 " events=%" PRIu64 " %s%s\n", (int)a->run.tier, a->seed,
           result.events, result.failed ? "FAILED " : "ok", result.why);
    return result.failed ? 1 : 0;
}

/* The build with the planted bugs stands beside this one. */
static int call_mutants(char **argv)
{
    char path[4096];
    snprintf(path, sizeof path, "%s-mutants", argv[0]);
    execv(path, argv);
    perror(path);
    return 2;
}

int main(int argc, char **argv)
{
    struct arguments a = { .run = { .tier = SIM_CORE, .from = 1, .jobs = 1 } };
    if (!parse(argc, argv, &a) || a.help) {
        fputs(usage, a.help ? stdout : stderr);
        return a.help ? 0 : 2;
    }
    if ((a.mutants || a.mutant != NULL) && !sim_has_mutants)
        return call_mutants(argv);
    if (a.mutants)
        return mutants_table(a.run.jobs, a.all, argv + optind, (uint32_t)(argc - optind));
    mutant_on = a.mutant;
    if (a.one)
        return run_one(&a);
    if (a.run.seeds == 0 && a.run.minutes == 0)
        a.run.seeds = 1000;
    return runner_seeds(&a.run);
}
