/* doctor_directory.c - a data directory: what is in it, and what the two environments say. */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- layout */

static void check_leftovers(struct patient *patient)
{
    struct report *report = patient->report;
    const struct look_directory *found = &patient->directory;
    const struct snapshot_info *info = &found->incoming_info;
    if (found->running)
        report_find(report, FINDING_OK, "directory", "", "a node runs here, process %ld",
                    found->holder);
    else
        report_find(report, FINDING_OK, "directory", "", "no node runs here");
    if (found->incoming && !found->incoming_known)
        report_find(report, FINDING_WARNING, "directory",
                    "the node begins it anew",
                    "what came in of a snapshot cannot be told (snapshot.incoming/info)");
    else if (found->incoming)
        report_find(report, FINDING_OK, "directory", "",
                    "a snapshot at entry %" PRIu64 " %s", info->index,
                    found->incoming_verified ? "has come in and is verified"
                                             : "has come in in part; the node will go on with it");
    if (!found->running && (found->creating || found->old_state || found->copies))
        report_find(report, FINDING_OK, "directory", "", "a stop in the middle of something left%s%s%s",
                    found->creating ? " creating/" : "", found->old_state ? " state.old/" : "",
                    found->copies ? " snapshot/" : "");
    if (found->other[0] != '\0')
        report_find(report, FINDING_OK, "directory", "",
                    "%s is not Holdfast's, and does no harm", found->other);
}

static void check_layout(struct patient *patient)
{
    struct report *report = patient->report;
    const struct look_directory *found = &patient->directory;
    bool swapping = found->old_state && found->incoming;
    check_leftovers(patient);
    if (!found->log)
        report_find(report, FINDING_PROBLEM, "directory", doctor_replace,
                    "log/data.mdb is missing: the node's votes and entries are gone");
    if (!found->state && swapping)
        report_find(report, FINDING_WARNING, "directory", "start the node",
                    "the installation of a snapshot was cut short; the next start finishes it");
    else if (!found->state)
        report_find(report, FINDING_PROBLEM, "directory", doctor_replace,
                    "state/data.mdb is missing");
}

static void check_disk(struct patient *patient)
{
    const struct look_directory *found = &patient->directory;
    const uint64_t least = (uint64_t)64 << 20, little = (uint64_t)1 << 30;
    char room[TEXT_SIZE_MAX], all[TEXT_SIZE_MAX];
    if (found->disk_bytes == 0)
        return;
    text_size(found->disk_free_bytes, room);
    text_size(found->disk_bytes, all);
    if (found->disk_free_bytes < least)
        report_find(patient->report, FINDING_PROBLEM, "disk", "free some space on it",
                    "%s of %s are free: writes are refused, or will be soon", room, all);
    else if (found->disk_free_bytes < little)
        report_find(patient->report, FINDING_WARNING, "disk", "free some space on it",
                    "only %s of %s are free", room, all);
    else
        report_find(patient->report, FINDING_OK, "disk", "", "%s of %s are free", room, all);
}

/* ---- the environments */

void doctor_guard(const struct patient *patient, enum look_env which)
{
    struct report said = { .json = patient->report->json };
    const char *name = which == LOOK_LOG ? "log" : "state";
    char *line = NULL;
    size_t size;
    said.out = open_memstream(&line, &size);
    if (said.out == NULL)
        abort();
    report_find(&said, FINDING_PROBLEM, name, doctor_replace,
                "a page of %.200s/%s cannot be read: the file is damaged or cut off", patient->path,
                name);
    fclose(said.out);
    tool_guard(line);
    free(line);
}

static struct look *open_one(struct patient *patient, enum look_env which)
{
    char message[STORAGE_MESSAGE_MAX];
    struct look *look;
    if (which == LOOK_LOG ? !patient->directory.log : !patient->directory.state)
        return NULL;
    doctor_guard(patient, which);
    if (look_open(patient->path, which, &look, message) == OK)
        return look;
    report_find(patient->report, FINDING_PROBLEM, which == LOOK_LOG ? "log" : "state", "", "%s",
                message);
    return NULL;
}

static bool begin(struct patient *patient, struct look *look, const char *name)
{
    if (look == NULL)
        return false;
    enum err err = look_begin(look);
    if (err != OK)
        report_find(patient->report, FINDING_PROBLEM, name, "", "cannot be read: %s", err_text(err));
    return err == OK;
}

static void read_log_rows(struct patient *patient)
{
    char install[META_TEXT_MAX];
    if (!begin(patient, patient->log, "log"))
        return;
    look_number(patient->log, "base_index", &patient->base);
    look_number(patient->log, "base_term", &patient->base_term);
    if (look_row(patient->log, "install", install, sizeof install))
        patient->install = strtoull(install, NULL, 10);
    look_end(patient->log);
}

static void read_state_rows(struct patient *patient)
{
    if (!begin(patient, patient->state, "state"))
        return;
    patient->applied_known = true;
    look_number(patient->state, "applied_index", &patient->applied); /* absent: 0 */
    look_end(patient->state);
}

static void check_install(struct patient *patient)
{
    const struct look_directory *found = &patient->directory;
    bool here = found->incoming_known && found->incoming_verified &&
                found->incoming_info.index == patient->install;
    if (patient->install == 0 ||
        (patient->applied_known && patient->applied >= patient->install))
        return;
    if (here)
        report_find(patient->report, FINDING_OK, "state", "",
                    "the snapshot at entry %" PRIu64 " waits to be installed; %s finishes it",
                    patient->install, found->running ? "the node" : "the next start");
    else if (!found->running)
        report_find(patient->report, FINDING_PROBLEM, "state", doctor_replace,
                    "the log goes on behind a snapshot at entry %" PRIu64
                    " that is not in snapshot.incoming", patient->install);
    patient->applied = patient->install;
}

/* The base was read first, so on a running node it can only be older than what was applied. */
static void check_meeting(struct patient *patient)
{
    if (patient->log != NULL && patient->applied_known && patient->base > patient->applied)
        report_find(patient->report, FINDING_PROBLEM, "log",
                    "put back the log and state that belong together, or replace this member by a "
                    "new one with an empty --data-dir",
                    "begins behind entry %" PRIu64 ", but the state has come to %" PRIu64
                    " only: entries are missing between them",
                    patient->base, patient->applied);
}

int doctor_offline(struct report *report, const char *path)
{
    char message[STORAGE_MESSAGE_MAX];
    struct patient patient = { .report = report };
    snprintf(patient.path, sizeof patient.path, "%s", path);
    enum err err = look_directory(path, &patient.directory, message);
    if (err != OK)
        return usage_error("%s", message);
    check_layout(&patient);
    check_disk(&patient);
    patient.log = open_one(&patient, LOOK_LOG);
    read_log_rows(&patient);
    patient.state = open_one(&patient, LOOK_STATE);
    read_state_rows(&patient);
    check_install(&patient);
    check_meeting(&patient);
    doctor_check_meta(&patient);
    doctor_check_state(&patient);
    doctor_check_log(&patient);
    look_close(patient.log);
    look_close(patient.state);
    tool_guard(NULL);
    return report_end(report);
}
