/* doctor_log.c - the log: every record's checksum, no hole, no term that falls. */
#include "doctor.h"

#include <holdfast/clock.h>

#include <inttypes.h>
#include <stdlib.h>

enum { VIEW_US = 50 * 1000, DAMAGE_SHOWN_MAX = 10 };

struct log_check {
    struct patient *patient;
    struct kv_op *ops;
    raft_index next;   /* to be looked at */
    raft_index first_seen, last_seen;
    raft_term term;    /* of the entry before, in this view; 0: not known */
    raft_index before; /* that entry, in this view; 0: none */
    uint64_t began_us, looked_at, all, damaged;
    raft_term term_max; /* as `meta` says */
    bool paused;
};

static const char whole_log_todo[] =
    "do not start it: replace this member by a new one with an empty --data-dir";

static void find_damage(struct log_check *check, raft_index index, const char *what)
{
    if (++check->damaged <= DAMAGE_SHOWN_MAX)
        report_find(check->patient->report, FINDING_PROBLEM, "log", whole_log_todo,
                    "entry %" PRIu64 " %s", index, what);
}

static void check_payload(struct log_check *check, const struct look_entry *entry)
{
    struct command command;
    struct configuration configuration;
    const struct record *record = &entry->record;
    if (record->kind == RAFT_DATA && command_decode(record->payload, check->ops, &command) != OK)
        report_find(check->patient->report, FINDING_WARNING, "log", "",
                    "entry %" PRIu64 " holds no command that this version knows; it changes nothing",
                    entry->index);
    if (record->kind == RAFT_MEMBERS && configuration_decode(record->payload, &configuration) != OK)
        find_damage(check, entry->index, "is to hold the members and does not");
}

/* Within one view entries follow each other; between two the node may have trimmed the head, or
 * have replaced the tail. */
static void check_order(struct log_check *check, const struct look_entry *entry)
{
    char what[128];
    if (check->before != 0 && entry->index != check->before + 1) {
        snprintf(what, sizeof what, "is missing%s; %" PRIu64 " comes next",
                 entry->index > check->before + 2 ? ", and others" : "", entry->index);
        find_damage(check, check->before + 1, what);
    }
    if (entry->err != OK)
        return;
    if (entry->record.term < check->term)
        find_damage(check, entry->index, "is of a lower term than the entry before it");
    if (check->term_max > 0 && entry->record.term > check->term_max)
        find_damage(check, entry->index, "is of a higher term than the node has ever been in");
}

static bool on_entry(void *arg, const struct look_entry *entry)
{
    struct log_check *check = arg;
    bool seen_already = entry->index < check->next; /* for the order alone */
    if (check->first_seen == 0)
        check->first_seen = entry->index;
    check_order(check, entry);
    check->before = entry->index;
    if (entry->err == OK)
        check->term = entry->record.term;
    if (seen_already)
        return true;
    if (entry->err != OK)
        find_damage(check, entry->index, "does not match its checksum");
    else
        check_payload(check, entry);
    check->next = entry->index + 1;
    check->last_seen = entry->index;
    check->looked_at++;
    report_progress(check->patient->report, "log", check->looked_at, check->all);
    check->paused = check->looked_at % 256 == 0 &&
                    clock_monotonic_us() - check->began_us > VIEW_US;
    return !check->paused;
}

/* One view, from the entry before the next one on. */
static enum err look_on(struct log_check *check)
{
    struct look *look = check->patient->log;
    uint64_t base = 0, base_term = 0, count;
    raft_index first, last;
    enum err err = look_begin(look);
    if (err != OK)
        return err;
    look_number(look, "base_index", &base);
    look_number(look, "base_term", &base_term);
    if (!look_number(look, "term", &check->term_max))
        check->term_max = 0;
    err = look_bounds(look, &first, &last, &count);
    check->all = count > check->looked_at ? count : check->looked_at;
    check->began_us = clock_monotonic_us();
    check->paused = false;
    if (check->next <= base + 1) { /* at the beginning, or that has moved on */
        check->next = base + 1;
        check->before = base;
        check->term = base_term;
        if (base == 0 && first > 1)
            find_damage(check, 1, "is missing, or more: the log has lost its head");
    } else {
        check->before = 0;
        check->term = 0;
    }
    raft_index from = check->before == 0 && check->next > 1 ? check->next - 1 : check->next;
    if (err == OK)
        err = look_entries(look, from, on_entry, check);
    look_end(look);
    return err;
}

static void tell(struct log_check *check)
{
    struct patient *patient = check->patient;
    raft_index last = check->next > 0 ? check->next - 1 : 0;
    if (check->damaged > DAMAGE_SHOWN_MAX)
        report_find(patient->report, FINDING_PROBLEM, "log", "", "%" PRIu64 " more are damaged",
                    check->damaged - DAMAGE_SHOWN_MAX);
    if (patient->applied_known && patient->applied > last)
        report_find(patient->report, FINDING_PROBLEM, "log", doctor_replace,
                    "ends at entry %" PRIu64 ", but the state has come to %" PRIu64
                    ": the log has lost its tail", last, patient->applied);
    if (check->damaged > 0)
        return;
    if (check->looked_at == 0)
        report_find(patient->report, FINDING_OK, "log", "", "holds no entries behind %" PRIu64,
                    patient->base);
    else
        report_find(patient->report, FINDING_OK, "log", "",
                    "%" PRIu64 " entries, %" PRIu64 " to %" PRIu64 ", all match their checksums",
                    check->looked_at, check->first_seen, last);
}

void doctor_check_log(struct patient *patient)
{
    struct log_check check = { .patient = patient, .paused = true };
    enum err err = OK;
    if (patient->log == NULL)
        return;
    doctor_guard(patient, LOOK_LOG);
    check.ops = memory_new_array(BATCH_OPS_MAX, sizeof *check.ops);
    while (err == OK && check.paused)
        err = look_on(&check);
    if (err != OK)
        report_find(patient->report, FINDING_PROBLEM, "log", whole_log_todo,
                    "cannot be read behind entry %" PRIu64 ": %s", check.last_seen, err_text(err));
    else
        tell(&check);
    free(check.ops);
}
