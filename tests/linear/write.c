/* write.c - a history as JSON lines. */
#include "tests/linear/history.h"

#include <inttypes.h>

static void put_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_number(const char *name, uint64_t value, FILE *out)
{
    if (value != LINEAR_NOT_TOLD)
        fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

static void put_step(const struct linear_history *history, const struct step *step, FILE *out)
{
    static const char *const kinds[] = { "get", "set", "delete" };
    fprintf(out, "\"op\":\"%s\",\"key\":", kinds[step->kind]);
    put_text(history->keys.text[step->key], out);
    if (step->value != ABSENT) {
        fprintf(out, ",\"value\":");
        put_text(history_value(history, step->value), out);
    }
    if (step->condition == LINEAR_IF_REVISION)
        put_number("expected", step->expected, out);
    if (step->condition == LINEAR_IF_EXISTS)
        fprintf(out, ",\"if_exists\":true");
    if (step->found_told)
        fprintf(out, ",\"found\":%s", step->found ? "true" : "false");
    put_number("revision", step->revision, out);
    put_number("version", step->version, out);
}

void linear_write(const struct linear_history *history, FILE *out)
{
    static const char *const outcomes[] = { "ok", "failed", "condition", "unknown" };
    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *op = &history->ops[i];
        fprintf(out, "{\"process\":%" PRIu64 ",", op->process);
        if (op->n == 1) {
            put_step(history, &op->steps[0], out);
        } else {
            fprintf(out, "\"op\":\"batch\",\"ops\":[");
            for (uint32_t k = 0; k < op->n; k++) {
                fputs(k > 0 ? ",{" : "{", out);
                put_step(history, &op->steps[k], out);
                fputc('}', out);
            }
            fputc(']', out);
        }
        fprintf(out, ",\"call\":%" PRIu64, op->call);
        if (op->outcome != LINEAR_UNKNOWN)
            put_number("return", op->end, out);
        fprintf(out, ",\"outcome\":\"%s\"", outcomes[op->outcome]);
        if (op->outcome == LINEAR_CONDITION) {
            put_number("failed_op", op->failed_step, out);
            put_number("failed_revision", op->failed_revision, out);
        }
        fputs("}\n", out);
    }
}
