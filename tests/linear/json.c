/* json.c - histories as JSON lines, in and out; the form is described in docs/TESTING.md. */
#include "tests/linear/linear.h"

#include <holdfast/blob.h>

#include <cjson/cJSON.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 256 };

/* ---- reading */

static bool complain(char *message, const char *what)
{
    snprintf(message, MESSAGE_SIZE, "%s", what);
    return false;
}

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* False if the member is there and is no whole number. */
static bool number_of(const cJSON *object, const char *name, uint64_t otherwise, uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    *out = otherwise;
    if (item == NULL || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > 9007199254740992.0)
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool read_kind(const cJSON *object, struct linear_step *step, char *message)
{
    const char *op = text_of(object, "op");
    if (op == NULL)
        return complain(message, "no \"op\"");
    if (strcmp(op, "get") == 0)
        step->kind = LINEAR_GET;
    else if (strcmp(op, "set") == 0 || strcmp(op, "cas") == 0)
        step->kind = LINEAR_SET;
    else if (strcmp(op, "delete") == 0)
        step->kind = LINEAR_DELETE;
    else
        return complain(message, "\"op\" is none of get, set, delete, cas, batch");
    if (strcmp(op, "cas") == 0 && cJSON_GetObjectItemCaseSensitive(object, "expected") == NULL)
        return complain(message, "a cas needs \"expected\", a revision (0: the key does not exist)");
    return true;
}

static bool read_step(const cJSON *object, struct linear_step *step, char *message)
{
    *step = (struct linear_step){ .revision = LINEAR_NOT_TOLD };
    if (!read_kind(object, step, message))
        return false;
    step->key = text_of(object, "key");
    if (step->key == NULL)
        return complain(message, "no \"key\"");
    step->value = text_of(object, "value");
    if (step->kind == LINEAR_SET && step->value == NULL)
        return complain(message, "a set needs a \"value\"");
    uint64_t expected;
    if (!number_of(object, "expected", LINEAR_NOT_TOLD, &expected) ||
        !number_of(object, "revision", LINEAR_NOT_TOLD, &step->revision) ||
        !number_of(object, "version", LINEAR_NOT_TOLD, &step->version))
        return complain(message, "\"expected\", \"revision\" and \"version\" are whole numbers");
    if (expected != LINEAR_NOT_TOLD) {
        step->condition = LINEAR_IF_REVISION;
        step->expected = expected;
    } else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "if_exists"))) {
        step->condition = LINEAR_IF_EXISTS;
    }
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, "found");
    step->found_told = cJSON_IsBool(found);
    step->found = cJSON_IsTrue(found);
    return true;
}

static bool read_outcome(const cJSON *object, struct linear_op *op, char *message)
{
    static const char *const names[] = { "ok", "failed", "condition", "unknown" };
    const char *outcome = text_of(object, "outcome");
    for (int i = 0; outcome != NULL && i < 4; i++)
        if (strcmp(outcome, names[i]) == 0) {
            op->outcome = (enum linear_outcome)i;
            return true;
        }
    return complain(message, "\"outcome\" is none of ok, failed, condition, unknown");
}

static bool read_times(const cJSON *object, struct linear_op *op, char *message)
{
    uint64_t failed_step;
    if (!number_of(object, "process", 0, &op->process) ||
        !number_of(object, "call", LINEAR_NOT_TOLD, &op->call) ||
        !number_of(object, "return", LINEAR_NOT_TOLD, &op->end) ||
        !number_of(object, "failed_op", 0, &failed_step) ||
        !number_of(object, "failed_revision", LINEAR_NOT_TOLD, &op->failed_revision))
        return complain(message, "times, process and failed_* are whole numbers");
    op->failed_step = (uint32_t)failed_step;
    if (op->call == LINEAR_NOT_TOLD)
        return complain(message, "no \"call\" time");
    if (op->outcome != LINEAR_UNKNOWN && (op->end == LINEAR_NOT_TOLD || op->end < op->call))
        return complain(message, "\"return\" is missing or before \"call\"");
    if (op->outcome == LINEAR_CONDITION && failed_step >= op->n)
        return complain(message, "\"failed_op\" names no operation of the batch");
    return true;
}

static bool read_op(struct linear_history *history, const cJSON *object, char *message)
{
    struct linear_op op = { 0 };
    const char *name = text_of(object, "op");
    const cJSON *batch = cJSON_GetObjectItemCaseSensitive(object, "ops");
    bool is_batch = name != NULL && strcmp(name, "batch") == 0;
    if (is_batch && (!cJSON_IsArray(batch) || cJSON_GetArraySize(batch) == 0))
        return complain(message, "a batch needs \"ops\", an array");
    op.n = is_batch ? (uint32_t)cJSON_GetArraySize(batch) : 1;
    op.steps = memory_new_array(op.n, sizeof *op.steps);
    bool good = true;
    for (uint32_t i = 0; i < op.n && good; i++)
        good = read_step(is_batch ? cJSON_GetArrayItem(batch, (int)i) : object, &op.steps[i],
                         message);
    good = good && read_outcome(object, &op, message) && read_times(object, &op, message);
    if (good)
        linear_add(history, &op);
    free(op.steps);
    return good;
}

static bool read_line(struct linear_history *history, const char *line, char *message)
{
    cJSON *object = cJSON_Parse(line);
    bool good = cJSON_IsObject(object) ? read_op(history, object, message)
                                       : complain(message, "not a JSON object");
    cJSON_Delete(object);
    return good;
}

bool linear_read(struct linear_history *history, FILE *in, char *message)
{
    char *line = NULL;
    size_t room = 0;
    uint64_t number = 0;
    bool good = true;
    while (good && getline(&line, &room, in) > 0) {
        char why[MESSAGE_SIZE - 40] = "";
        char full[MESSAGE_SIZE] = "";
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        good = read_line(history, line, full);
        if (good)
            continue;
        snprintf(why, sizeof why, "%s", full);
        snprintf(message, MESSAGE_SIZE, "line %" PRIu64 ": %s", number, why);
    }
    free(line);
    return good;
}
