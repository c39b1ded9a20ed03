/* doctor_report.c - findings as lines. */
#include "doctor.h"

#include <holdfast/clock.h>

#include <inttypes.h>
#include <stdarg.h>

enum { PROGRESS_EVERY_US = 200 * 1000, FINDING_TEXT_MAX = 2048 };

const char doctor_replace[] = "replace this member by a new one with an empty --data-dir";

static const char *const names[SEVERITIES] = { "ok", "warning", "problem" };

static void clear_progress(struct report *report)
{
    if (report->shown_us != 0)
        fputs("\r\033[K", stderr);
    report->shown_us = 0;
}

void report_find(struct report *report, enum severity severity, const char *about, const char *todo,
                 const char *format, ...)
{
    char what[FINDING_TEXT_MAX];
    struct json json = { .out = report->out };
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    report->n[severity]++;
    clear_progress(report);
    if (!report->json) {
        fprintf(report->out, "%-8s %s: %s%s%s\n", names[severity], about, what,
                todo[0] != '\0' ? "; " : "", todo);
        return;
    }
    json_begin(&json, '{');
    json_words(&json, "severity", names[severity]);
    json_words(&json, "about", about);
    json_bytes(&json, "finding", slice_text(what)); /* may hold what a damaged file said */
    if (todo[0] != '\0')
        json_words(&json, "todo", todo);
    json_finish(&json, '}');
    fputc('\n', report->out);
}

void report_progress(struct report *report, const char *what, uint64_t done, uint64_t all)
{
    uint64_t now_us = report->progress ? clock_monotonic_us() : 0;
    if (!report->progress || now_us - report->shown_us < PROGRESS_EVERY_US)
        return;
    fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64 " (%" PRIu64 " %%)\033[K", what, done, all,
            all > 0 && done < all ? done * 100 / all : 100);
    report->shown_us = now_us;
}

int report_end(struct report *report)
{
    unsigned problems = report->n[FINDING_PROBLEM], warnings = report->n[FINDING_WARNING];
    clear_progress(report);
    if (!report->json && problems == 0 && warnings == 0)
        fputs("nothing is wrong\n", report->out);
    else if (!report->json)
        fprintf(report->out, "%u problem%s, %u warning%s\n", problems, problems == 1 ? "" : "s",
                warnings, warnings == 1 ? "" : "s");
    return problems > 0 ? COMMAND_NOT_FOUND : COMMAND_OK;
}
