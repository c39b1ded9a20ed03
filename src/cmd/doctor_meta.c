/* doctor_meta.c - the rows of both environments: do they belong together, and do they tell of
 * something that happened to this node; the room that is left; who reads. */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- identity */

/* "" if it is absent. */
static void get_text(struct look *look, const char *key, char out[META_TEXT_MAX])
{
    out[0] = '\0';
    if (look_begin(look) != OK)
        return;
    if (!look_row(look, key, out, META_TEXT_MAX))
        out[0] = '\0';
    look_end(look);
}

static void check_pair(struct patient *patient, const char *key, bool may_be_absent)
{
    char log[META_TEXT_MAX], state[META_TEXT_MAX];
    get_text(patient->log, key, log);
    get_text(patient->state, key, state);
    if ((may_be_absent && state[0] == '\0') || (log[0] != '\0' && strcmp(log, state) == 0))
        return;
    report_find(patient->report, FINDING_PROBLEM, "identity",
                "put back the log and state that belong together",
                "log and state are of different %ss: %.64s and %.64s",
                key, log[0] != '\0' ? log : "none", state[0] != '\0' ? state : "none");
}

static void check_identity(struct patient *patient)
{
    char name[META_TEXT_MAX], id[META_TEXT_MAX], cluster[META_TEXT_MAX];
    unsigned problems = patient->report->n[FINDING_PROBLEM];
    if (patient->log == NULL)
        return;
    if (patient->state != NULL) {
        check_pair(patient, "incarnation", false);
        check_pair(patient, "cluster", true);
    }
    get_text(patient->log, "name", name);
    get_text(patient->log, "node_id", id);
    get_text(patient->log, "cluster", cluster);
    if (name[0] == '\0' || strlen(id) != 16 || strlen(cluster) != 16)
        report_find(patient->report, FINDING_PROBLEM, "identity", doctor_replace,
                    "the log does not say whose it is");
    else if (patient->report->n[FINDING_PROBLEM] == problems)
        report_find(patient->report, FINDING_OK, "identity", "", "node %s, id %s, cluster %s", name,
                    id, cluster);
}

/* ---- what happened to it */

static void check_marks(struct patient *patient)
{
    char text[META_TEXT_MAX];
    if (patient->log != NULL) {
        get_text(patient->log, "removed", text);
        if (text[0] != '\0')
            report_find(patient->report, FINDING_PROBLEM, "membership",
                        "delete this directory; to come back, join with an empty one",
                        "this node was removed from the cluster: %s", text);
        get_text(patient->log, "lost", text);
        if (text[0] != '\0')
            report_find(patient->report, FINDING_PROBLEM, "log",
                        "replace the member by one with a new address and an empty --data-dir",
                        "this node has lost what it acknowledged: %s", text);
    }
    if (patient->state == NULL)
        return;
    get_text(patient->state, "doubt", text);
    if (strncmp(text, "differs", 7) == 0)
        report_find(patient->report, FINDING_PROBLEM, "state", doctor_replace,
                    "the other members hold other data (%s): a majority agrees in it", text);
    else if (text[0] != '\0')
        report_find(patient->report, FINDING_PROBLEM, "state",
                    "start all members, so that a majority can tell; if there are only two, decide "
                    "which one is right and replace the other",
                    "the members hold different data and none has a majority (%s)", text);
}

/* ---- room */

static void check_room(struct patient *patient, struct look *look, const char *name,
                       const char *flag)
{
    struct look_stats stats;
    char used[TEXT_SIZE_MAX], map[TEXT_SIZE_MAX], todo[128];
    if (look == NULL || look_begin(look) != OK)
        return;
    enum err err = look_stats(look, &stats);
    look_end(look);
    if (err != OK || stats.map_bytes == 0)
        return;
    uint64_t percent = stats.used_bytes / (stats.map_bytes / 100 + 1);
    text_size(stats.used_bytes, used);
    text_size(stats.map_bytes, map);
    snprintf(todo, sizeof todo, "delete keys, or start the node with a larger %s", flag);
    if (percent >= 90)
        report_find(patient->report, FINDING_PROBLEM, name, todo,
                    "%s of the map's %s are in use: writes are refused", used, map);
    else if (percent >= 75)
        report_find(patient->report, FINDING_WARNING, name, todo,
                    "%s of the map's %s are in use: above 90 %% writes are refused", used, map);
}

/* ---- readers */

enum { PLACES_MAX = 128, LOOK_AGAIN_MS = 300 };

struct places {
    size_t n;
    struct place {
        long pid;
        uint64_t transaction;
        bool reads;
    } at[PLACES_MAX];
};

static void note_reader(void *arg, long pid, bool reads, uint64_t transaction)
{
    struct places *places = arg;
    if (places->n < PLACES_MAX && pid != (long)getpid())
        places->at[places->n++] = (struct place){ pid, transaction, reads };
}

static bool still_there(const struct places *places, const struct place *place)
{
    for (size_t i = 0; i < places->n; i++)
        if (places->at[i].pid == place->pid && places->at[i].reads &&
            places->at[i].transaction == place->transaction)
            return true;
    return false;
}

static uint64_t last_transaction(struct look *look)
{
    struct look_stats stats = { 0 };
    if (look_begin(look) != OK)
        return 0;
    enum err err = look_stats(look, &stats);
    look_end(look);
    return err == OK ? stats.transaction : 0;
}

static void check_readers(struct patient *patient, struct look *look, const char *name)
{
    struct places before = { 0 }, after = { 0 };
    bool suspect = false;
    if (look == NULL)
        return;
    look_readers(look, note_reader, &before);
    uint64_t last = last_transaction(look);
    for (size_t i = 0; i < before.n; i++) {
        const struct place *place = &before.at[i];
        if (kill((pid_t)place->pid, 0) != 0 && errno == ESRCH)
            report_find(patient->report, FINDING_OK, name, "",
                        "process %ld is gone and still noted as a reader; the next start of the node "
                        "clears that", place->pid);
        else
            suspect = suspect || (place->reads && place->transaction < last);
    }
    if (!suspect)
        return;
    poll(NULL, 0, LOOK_AGAIN_MS);
    look_readers(look, note_reader, &after);
    for (size_t i = 0; i < before.n; i++)
        if (before.at[i].reads && before.at[i].transaction < last && still_there(&after, &before.at[i]))
            report_find(patient->report, FINDING_WARNING, name, "end that process if it hangs",
                        "process %ld has been reading since transaction %" PRIu64 " of %" PRIu64
                        ": the file grows meanwhile", before.at[i].pid, before.at[i].transaction,
                        last);
}

void doctor_check_meta(struct patient *patient)
{
    check_identity(patient);
    check_marks(patient);
    check_room(patient, patient->log, "log", "--log-map-size");
    check_room(patient, patient->state, "state", "--state-map-size");
    check_readers(patient, patient->log, "log");
    check_readers(patient, patient->state, "state");
}
