/* result.c - a result owns everything it points to, in chunks freed together. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct chunk {
    struct chunk *next;
    max_align_t bytes[];
};

/* What a caller gets when there is no memory for a result; never freed, never changed. */
#define NO_MEMORY_RESULT(end)                                                                      \
    {                                                                                              \
        .error = HOLDFAST_NO_MEMORY, .outcome = (end), .code = "", .message = "out of memory",     \
        .hint = "", .node = "", .leader = "", .cursor = "", .json = { "", 0 },                     \
        .failed_op = SIZE_MAX,                                                                     \
    }
static struct holdfast_result no_memory_not_applied = NO_MEMORY_RESULT(HOLDFAST_NOT_APPLIED);
static struct holdfast_result no_memory_applied = NO_MEMORY_RESULT(HOLDFAST_APPLIED);
static struct holdfast_result no_memory_unknown = NO_MEMORY_RESULT(HOLDFAST_UNKNOWN);

static void set_blank(struct result *result)
{
    struct holdfast_result *r = &result->public;
    memset(result, 0, sizeof(*result));
    r->code = r->message = r->hint = r->node = r->leader = r->cursor = "";
    r->json.data = "";
    r->failed_op = SIZE_MAX;
}

struct result *result_new(void)
{
    struct result *result = malloc(sizeof(*result));
    if (result != NULL)
        set_blank(result);
    return result;
}

static void free_contents(struct result *result)
{
    struct chunk *chunk = result->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    buffer_free(&result->body);
}

void result_reset(struct result *result)
{
    unsigned attempts = result->public.attempts;
    free_contents(result);
    set_blank(result);
    result->public.attempts = attempts;
}

void *result_alloc(struct result *result, size_t n, size_t size)
{
    struct chunk *chunk = NULL;
    if (size == 0 || n <= (SIZE_MAX - sizeof(*chunk)) / size)
        chunk = calloc(1, sizeof(*chunk) + n * size);
    if (chunk == NULL) {
        result->failed = true;
        return NULL;
    }
    chunk->next = result->chunks;
    result->chunks = chunk;
    return chunk->bytes;
}

const char *result_copy(struct result *result, const void *data, size_t size)
{
    char *copy = result_alloc(result, size + 1, 1);
    if (copy == NULL)
        return "";
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

const char *result_text(struct result *result, const char *text)
{
    return text == NULL || text[0] == '\0' ? "" : result_copy(result, text, strlen(text));
}

void result_error(struct result *result, enum holdfast_error error, const char *format, ...)
{
    char text[HOLDFAST_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    result->public.error = error;
    result->public.message = result_text(result, text);
}

struct holdfast_result *result_no_memory(enum holdfast_outcome outcome)
{
    return outcome == HOLDFAST_UNKNOWN   ? &no_memory_unknown
           : outcome == HOLDFAST_APPLIED ? &no_memory_applied
                                         : &no_memory_not_applied;
}

struct holdfast_result *result_give(struct result *result)
{
    if (!result->failed)
        return &result->public;
    enum holdfast_outcome outcome = result->public.outcome;
    holdfast_result_free(&result->public);
    return result_no_memory(outcome);
}

void holdfast_result_free(struct holdfast_result *r)
{
    if (r == NULL || r == &no_memory_not_applied || r == &no_memory_applied ||
        r == &no_memory_unknown)
        return;
    struct result *result = (struct result *)r; /* its first member */
    free_contents(result);
    free(result);
}

const char *holdfast_error_name(enum holdfast_error error)
{
    switch (error) {
    case HOLDFAST_OK:
        return "ok";
    case HOLDFAST_BAD_ARGUMENT:
        return "bad_argument";
    case HOLDFAST_BAD_REQUEST:
        return "bad_request";
    case HOLDFAST_NOT_FOUND:
        return "key_not_found";
    case HOLDFAST_CONDITION_FAILED:
        return "condition_failed";
    case HOLDFAST_TOO_LARGE:
        return "too_large";
    case HOLDFAST_OVERLOADED:
        return "overloaded";
    case HOLDFAST_NO_LEADER:
        return "no_leader";
    case HOLDFAST_TOO_STALE:
        return "too_stale";
    case HOLDFAST_NO_SPACE:
        return "no_space";
    case HOLDFAST_SHUTTING_DOWN:
        return "shutting_down";
    case HOLDFAST_STATE_DIFFERS:
        return "state_differs";
    case HOLDFAST_TIMEOUT:
        return "timeout";
    case HOLDFAST_UNREACHABLE:
        return "unreachable";
    case HOLDFAST_BROKEN_ANSWER:
        return "broken_answer";
    case HOLDFAST_SERVER_ERROR:
        return "server_error";
    case HOLDFAST_NO_MEMORY:
        return "no_memory";
    case HOLDFAST_CONFLICT:
        return "conflict";
    }
    return "unheard_of";
}

const char *holdfast_outcome_name(enum holdfast_outcome outcome)
{
    switch (outcome) {
    case HOLDFAST_NOT_APPLIED:
        return "not_applied";
    case HOLDFAST_APPLIED:
        return "applied";
    case HOLDFAST_UNKNOWN:
        return "unknown";
    }
    return "unheard_of";
}
