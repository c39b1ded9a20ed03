/* sim.c - one run of one seed, and how it ends. */
#include "tests/sim/sim.h"

#include <holdfast/blob.h>
#include <holdfast/log.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

FILE *sim_trace_file;
uint32_t sim_speaker;
const char *mutant_on;

static jmp_buf end_of_run;
static struct sim_result *running;
static struct sim_catch *catching;

void sim_run(enum sim_tier tier, uint64_t seed, FILE *trace, uint64_t *marks,
             struct sim_result *result)
{
    memset(result, 0, sizeof *result);
    running = result;
    catching = NULL;
    sim_trace_file = trace;
    if (setjmp(end_of_run) == 0) {
        if (tier == SIM_CORE)
            core_run(seed, marks);
        else
            real_run(seed, marks);
    }
    if (result->failed)
        TRACE("FAILED %s", result->why);
    running = NULL;
    sim_trace_file = NULL;
}

_Noreturn void sim_fail(const char *format, ...)
{
    va_list args;
    if (running == NULL)
        abort();
    running->failed = true;
    va_start(args, format);
    vsnprintf(running->why, sizeof running->why, format, args);
    va_end(args);
    longjmp(end_of_run, 1);
}

void sim_count_event(void)
{
    running->events++;
}

void sim_trace_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(sim_trace_file, format, args);
    va_end(args);
    fputc('\n', sim_trace_file);
}

/* ---- instead of base's panic.c, which the linker leaves out */

void sim_catch_set(struct sim_catch *handler)
{
    catching = handler;
}

_Noreturn void assert_failed(const char *file, int line, const char *what)
{
    if (running == NULL) {
        fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
        abort();
    }
    const char *name = strrchr(file, '/');
    sim_fail("assertion failed: %s:%d: %s", name != NULL ? name + 1 : file, line, what);
}

_Noreturn void panic(enum exit_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char sentence[512];
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (catching == NULL)
        sim_fail("panic, exit %d: %s", (int)status, sentence);
    struct sim_catch *handler = catching;
    catching = NULL;
    handler->status = (int)status;
    memcpy(handler->sentence, sentence, sizeof sentence);
    longjmp(handler->jump, 1);
}

/* Instead of base's log.c: what a node says goes into the trace. */
void log_write(enum log_level level, const char *sentence, const char *pairs, ...)
{
    if (sim_trace_file == NULL || level > LOG_LEVEL_INFO)
        return;
    va_list args;
    fprintf(sim_trace_file, "            n%u says: %s ", sim_speaker, sentence);
    va_start(args, pairs);
    vfprintf(sim_trace_file, pairs, args);
    va_end(args);
    fputc('\n', sim_trace_file);
}

enum log_level log_get_level(void)
{
    return LOG_LEVEL_INFO;
}

/* ---- the heap */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

void sim_heap_clear(struct sim_heap *heap)
{
    heap->n = 0;
    heap->order = 0;
}

void sim_heap_add(struct sim_heap *heap, uint64_t at_us, uint32_t kind, uint32_t a, uint32_t b,
                  uint32_t c)
{
    if (heap->n == heap->room) {
        heap->room = heap->room == 0 ? 256 : 2 * heap->room;
        heap->events = memory_grow(heap->events, heap->room, sizeof *heap->events);
    }
    struct sim_event event = { at_us, heap->order++, kind, a, b, c };
    uint32_t i = heap->n++;
    while (i > 0 && before(&event, &heap->events[(i - 1) / 2])) {
        heap->events[i] = heap->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->events[i] = event;
}

bool sim_heap_next(struct sim_heap *heap, struct sim_event *out)
{
    if (heap->n == 0)
        return false;
    *out = heap->events[0];
    struct sim_event last = heap->events[--heap->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n && before(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!before(&heap->events[child], &last))
            break;
        heap->events[i] = heap->events[child];
        i = child;
    }
    heap->events[i] = last;
    return true;
}
