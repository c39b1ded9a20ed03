/* doctor_state.c - the state: every value's checksum; keys and digest counted anew and compared
 * with what was written beside them. */
#include "doctor.h"

#include <holdfast/clock.h>
#include <holdfast/statemachine.h>

#include <inttypes.h>
#include <stdlib.h>

enum { RUNNING_US_MAX = 10 * 1000 * 1000, DAMAGE_SHOWN_MAX = 10, KEY_SHOWN_MAX = 128 };

struct state_check {
    struct patient *patient;
    uint64_t began_us;
    uint64_t keys, sum, damaged, all;
    unsigned char last[KEY_SIZE_MAX]; /* of the keys that were looked at */
    size_t last_size;
    bool cut; /* the time was up */
};

static void find_damage(struct state_check *check, const struct look_item *item)
{
    char *key = NULL;
    size_t size;
    if (++check->damaged > DAMAGE_SHOWN_MAX)
        return;
    FILE *text = open_memstream(&key, &size);
    if (text == NULL)
        return;
    text_quote(text, item->key, KEY_SHOWN_MAX);
    fclose(text);
    report_find(check->patient->report, FINDING_PROBLEM, "state", doctor_replace,
                "the %s %s does not match its checksum",
                item->table == TABLE_KV ? "value of key" : "announcement of member", key);
    free(key);
}

static bool on_item(void *arg, const struct look_item *item)
{
    struct state_check *check = arg;
    struct kv_item kv;
    bool sound = item->err == OK;
    if (sound && item->table == TABLE_KV)
        sound = statemachine_decode_item(item->key, item->content, &kv) == OK;
    if (!sound)
        find_damage(check, item);
    check->sum += item->sum;
    if (item->table != TABLE_KV)
        return true;
    check->keys++;
    if (item->key.size <= sizeof check->last) {
        memcpy(check->last, item->key.data, item->key.size);
        check->last_size = item->key.size;
    }
    report_progress(check->patient->report, "state", check->keys, check->all);
    check->cut = check->patient->directory.running && check->keys % 1024 == 0 &&
                 clock_monotonic_us() - check->began_us > RUNNING_US_MAX;
    return !check->cut;
}

/* Counts and digest belong to the view that was walked. */
static void compare(struct state_check *check)
{
    struct report *report = check->patient->report;
    struct look *look = check->patient->state;
    uint64_t keys = 0, revision = 1, digest = 0;
    bool has_digest = look_id(look, "digest", &digest);
    look_number(look, "keys", &keys);
    look_number(look, "revision", &revision);
    uint64_t found = look_digest(check->sum, revision, check->keys);
    if (keys != check->keys)
        report_find(report, FINDING_PROBLEM, "state", doctor_replace,
                    "holds %" PRIu64 " keys, but it was written that there are %" PRIu64,
                    check->keys, keys);
    else if (has_digest && found != digest && check->damaged == 0)
        report_find(report, FINDING_PROBLEM, "state", doctor_replace,
                    "the digest of all that is there is %016" PRIx64 ", but %016" PRIx64
                    " was written: something has changed or is gone",
                    found, digest);
    else if (check->damaged == 0)
        report_find(report, FINDING_OK, "state", "",
                    "%" PRIu64 " keys at entry %" PRIu64
                    ", all match their checksums; %s %016" PRIx64, keys, check->patient->applied,
                    has_digest ? "the digest is as written:" : "no digest is written; it would be",
                    found);
}

/* A running node must not be kept from its pages: the rest in views of its own, and without the
 * digest, which would mix states. */
static enum err walk_rest(struct state_check *check)
{
    struct look *look = check->patient->state;
    enum err err = OK;
    report_find(check->patient->report, FINDING_OK, "state", "",
                "the digest was not compared: that would take too long beside a running node");
    while (err == OK && check->cut) {
        unsigned char from[KEY_SIZE_MAX];
        size_t size = check->last_size;
        memcpy(from, check->last, size);
        look_end(look);
        err = look_begin(look);
        check->cut = false;
        check->began_us = clock_monotonic_us();
        if (err == OK)
            err = look_items(look, TABLE_KV, slice_of(from, size), true, on_item, check);
    }
    return err;
}

static enum err walk(struct state_check *check)
{
    struct look *look = check->patient->state;
    struct look_stats stats;
    enum err err = look_stats(look, &stats);
    check->all = err == OK ? stats.entries[TABLE_KV] : 0;
    check->began_us = clock_monotonic_us();
    if (err == OK)
        err = look_items(look, TABLE_MEMBERS, slice_of(NULL, 0), false, on_item, check);
    if (err == OK)
        err = look_items(look, TABLE_KV, slice_of(NULL, 0), false, on_item, check);
    if (err == OK && check->cut)
        return walk_rest(check);
    look_number(look, "applied_index", &check->patient->applied);
    if (err == OK)
        compare(check);
    return err;
}

void doctor_check_state(struct patient *patient)
{
    struct state_check check = { .patient = patient };
    uint64_t applied = patient->applied; /* as it was when the log's base was read */
    if (patient->state == NULL)
        return;
    doctor_guard(patient, LOOK_STATE);
    enum err err = look_begin(patient->state);
    if (err == OK)
        err = walk(&check);
    look_end(patient->state);
    if (patient->applied < applied)
        patient->applied = applied;
    if (err != OK)
        report_find(patient->report, FINDING_PROBLEM, "state", doctor_replace,
                    "cannot be read behind its first %" PRIu64 " keys: %s", check.keys,
                    err_text(err));
    else if (check.damaged > DAMAGE_SHOWN_MAX)
        report_find(patient->report, FINDING_PROBLEM, "state", "", "%" PRIu64 " more are damaged",
                    check.damaged - DAMAGE_SHOWN_MAX);
}
