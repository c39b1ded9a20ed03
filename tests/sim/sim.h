/* sim.h - what both tiers of the simulator share: random numbers, the event heap, the trace,
 * the marks, and the end of a run that found something.
 *
 * A run follows from its seed alone: no clock, no pointer, no hash order and no floating point
 * takes part in a decision, so the same seed gives the same trace in every build. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <holdfast/panic.h>

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SIM_NODES_MAX = 7, SIM_WHY_MAX = 4096 };

/* ---- one run of one seed */

struct sim_result {
    bool failed;
    uint64_t events;
    char why[SIM_WHY_MAX]; /* failed: which invariant, and how */
};

enum sim_tier { SIM_CORE = 1, SIM_NODE = 2 };

/* `trace` may be NULL.  Adds to `marks` (SIM_MARKS_MAX places). */
void sim_run(enum sim_tier tier, uint64_t seed, FILE *trace, uint64_t *marks,
             struct sim_result *result);
void core_run(uint64_t seed, uint64_t *marks);
void real_run(uint64_t seed, uint64_t *marks);

/* An invariant is broken: the run ends here, with this sentence. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define MUST(condition, ...)       \
    do {                           \
        if (!(condition))          \
            sim_fail(__VA_ARGS__); \
    } while (0)

/* Where a panic() of the code under test ends up; NULL: it fails the run. */
struct sim_catch {
    jmp_buf jump;
    int status; /* the exit status that the process would have had */
    char sentence[512];
};
void sim_catch_set(struct sim_catch *handler);

/* ---- the trace: one line for each thing that happens, if somebody reads it */

extern FILE *sim_trace_file;
extern uint32_t sim_speaker; /* the node whose code runs, from 1, for what it logs */
void sim_trace_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define TRACE(...)                       \
    do {                                 \
        if (sim_trace_file != NULL)      \
            sim_trace_line(__VA_ARGS__); \
    } while (0)
void sim_count_event(void);

/* ---- random numbers: splitmix64 (Steele, Lea, Flood 2014) */

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_draw(struct sim_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t sim_below(struct sim_random *random, uint32_t n)
{
    return n == 0 ? 0 : (uint32_t)((sim_draw(random) >> 32) * n >> 32);
}

static inline uint32_t sim_between(struct sim_random *random, uint32_t low, uint32_t high)
{
    return low + sim_below(random, high - low + 1);
}

static inline bool sim_chance(struct sim_random *random, uint32_t per_mille)
{
    return per_mille > 0 && sim_below(random, 1000) < per_mille;
}

/* A swarm option: off, a little, or up to `most`; so that every seed is extreme in something. */
static inline uint32_t sim_swarm(struct sim_random *random, uint32_t most)
{
    switch (sim_below(random, 3)) {
    case 0:
        return 0;
    case 1:
        return sim_below(random, most / 10 + 2);
    default:
        return sim_below(random, most + 1);
    }
}

/* ---- a clock that runs at a rate of its own */

struct sim_clock {
    uint64_t real_us, local_us; /* they corresponded so when the rate was last set */
    uint32_t rate;              /* per mille of the true rate */
};

static inline uint64_t sim_local_us(const struct sim_clock *clock, uint64_t now_us)
{
    return clock->local_us + (now_us - clock->real_us) * clock->rate / 1000;
}

static inline uint64_t sim_local_ms(const struct sim_clock *clock, uint64_t now_us)
{
    return sim_local_us(clock, now_us) / 1000;
}

/* The first moment at which the clock shows `local_ms` or more. */
static inline uint64_t sim_real_us(const struct sim_clock *clock, uint64_t local_ms)
{
    if (local_ms >= UINT64_MAX / 1000000)
        return UINT64_MAX;
    if (local_ms * 1000 <= clock->local_us)
        return clock->real_us;
    return clock->real_us + ((local_ms * 1000 - clock->local_us) * 1000 + clock->rate - 1) / clock->rate;
}

static inline void sim_clock_set(struct sim_clock *clock, uint64_t now_us, uint32_t rate)
{
    clock->local_us = sim_local_us(clock, now_us);
    clock->real_us = now_us;
    clock->rate = rate;
}

/* ---- the heap of what will happen; what falls on one moment happens in order of adding */

struct sim_event {
    uint64_t at_us, order;
    uint32_t kind, a, b, c;
};

struct sim_heap {
    struct sim_event *events;
    uint32_t n, room;
    uint64_t order;
};

void sim_heap_clear(struct sim_heap *heap);
void sim_heap_add(struct sim_heap *heap, uint64_t at_us, uint32_t kind, uint32_t a, uint32_t b,
                  uint32_t c);
bool sim_heap_next(struct sim_heap *heap, struct sim_event *out);

/* ---- marks: what a long run must have seen */

enum { SIM_MARKS_MAX = 96 };
extern const char *const sim_core_marks[], *const sim_real_marks[]; /* end with NULL */

/* ---- mutants: planted bugs, in the build that has them */

extern const char *mutant_on; /* NULL: none */
extern const bool sim_has_mutants;

#endif
