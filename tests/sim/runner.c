/* runner.c - runs many seeds in forked workers, adds up what they saw, prints it. */
#include "tests/sim/runner.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64, MARKS_MATTER_FROM = 1000 };

/* Shared by the workers, each of which writes only its own place. */
struct worker {
    uint64_t seeds, events;
    uint64_t marks[SIM_MARKS_MAX];
    uint64_t failed_seed;
    bool failed;
    char why[SIM_WHY_MAX];
};

struct board {
    atomic_bool stop;
    struct worker worker[JOBS_MAX];
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void work(const struct runner_options *options, struct board *board, uint32_t job,
                 uint64_t end_ms)
{
    static struct sim_result result;
    struct worker *mine = &board->worker[job];
    for (uint64_t i = job; options->seeds == 0 || i < options->seeds; i += options->jobs) {
        if (atomic_load(&board->stop) || (end_ms != 0 && clock_ms() >= end_ms))
            return;
        sim_run(options->tier, options->from + i, NULL, mine->marks, &result);
        mine->seeds++;
        mine->events += result.events;
        if (!result.failed)
            continue;
        mine->failed = true;
        mine->failed_seed = options->from + i;
        memcpy(mine->why, result.why, sizeof mine->why);
        atomic_store(&board->stop, true);
        return;
    }
}

static bool run_workers(const struct runner_options *options, struct board *board, uint64_t end_ms)
{
    bool good = true;
    pid_t child[JOBS_MAX];
    if (options->jobs == 1) {
        work(options, board, 0, end_ms);
        return true;
    }
    for (uint32_t job = 0; job < options->jobs; job++) {
        child[job] = fork();
        if (child[job] == 0) {
            work(options, board, job, end_ms);
            _exit(0);
        }
        good = good && child[job] > 0;
    }
    for (uint32_t job = 0; job < options->jobs; job++) {
        int status = 0;
        if (child[job] > 0 && waitpid(child[job], &status, 0) == child[job] && status != 0) {
            printf("worker %u ended with status %d after %" PRIu64 " seeds\n", job, status,
                   board->worker[job].seeds);
            good = false;
        }
    }
    return good;
}

static bool print_marks(const struct runner_options *options, const uint64_t *marks, uint64_t seeds)
{
    const char *const *names = options->tier == SIM_CORE ? sim_core_marks : sim_real_marks;
    bool good = true;
    printf("marks:");
    for (int i = 0; names[i] != NULL; i++) {
        bool may_be_0 = names[i][0] == '~';
        printf(" %s=%" PRIu64, names[i] + may_be_0, marks[i]);
        if (marks[i] == 0 && !may_be_0 && seeds >= MARKS_MATTER_FROM)
            good = false;
    }
    printf("\n");
    for (int i = 0; names[i] != NULL && !good; i++)
        if (marks[i] == 0 && names[i][0] != '~')
            printf("MARK %s stayed 0: this run proves nothing about it\n", names[i]);
    return good;
}

int runner_seeds(const struct runner_options *options)
{
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    uint64_t begin = clock_ms();
    bool good = run_workers(options, board,
                            options->minutes != 0 ? begin + 60000 * (uint64_t)options->minutes : 0);
    uint64_t took = clock_ms() - begin + 1, seeds = 0, events = 0, marks[SIM_MARKS_MAX] = { 0 };
    for (uint32_t job = 0; job < options->jobs; job++) {
        const struct worker *worker = &board->worker[job];
        seeds += worker->seeds;
        events += worker->events;
        for (int i = 0; i < SIM_MARKS_MAX; i++)
            marks[i] += worker->marks[i];
        if (!worker->failed)
            continue;
        good = false;
        printf("FAILED tier=%d seed=%" PRIu64 ": %s\n"
               "replay: holdfast-sim --tier %d --seed %" PRIu64 " --trace\n",
               (int)options->tier, worker->failed_seed, worker->why, (int)options->tier,
               worker->failed_seed);
    }
    if (!print_marks(options, marks, seeds))
        good = false;
    printf("tier=%d from=%" PRIu64 " seeds=%" PRIu64 " events=%" PRIu64 " events_per_seed=%" PRIu64
           " seconds=%" PRIu64 ".%03" PRIu64 " seeds_per_second=%" PRIu64 " jobs=%u %s\n",
           (int)options->tier, options->from, seeds, events, seeds > 0 ? events / seeds : 0, took / 1000,
           took % 1000, seeds * 1000 / took, options->jobs, good ? "ok" : "FAILED");
    munmap(board, sizeof *board);
    return good ? 0 : 1;
}
