/* doctor.h - `holdfast doctor`: looks at a data directory, or at a cluster, and says in words what
 * is wrong and what to do. */
#ifndef HOLDFAST_CMD_DOCTOR_H
#define HOLDFAST_CMD_DOCTOR_H

#include "text.h"
#include "tool.h"

#include <holdfast/client.h>
#include <holdfast/look.h>

/* ---- doctor_report.c: what is found */

enum severity { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM, SEVERITIES };

struct report {
    FILE *out;
    bool json;
    bool progress;           /* on a terminal: how far a long walk has come */
    unsigned n[SEVERITIES];
    uint64_t shown_us;       /* when the progress was last shown; 0: it is not on the screen */
};

/* One line.  `todo`: what to do, "" if nothing. */
void report_find(struct report *report, enum severity severity, const char *about, const char *todo,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
void report_progress(struct report *report, const char *what, uint64_t done, uint64_t all);
/* In words how it ended; returns the exit status. */
int report_end(struct report *report);

/* ---- offline */

struct patient {
    struct report *report;
    char path[OPTION_PATH_MAX];
    struct look_directory directory;
    struct look *log, *state; /* NULL: cannot be read */
    uint64_t base, base_term; /* before the state was looked at */
    uint64_t applied;         /* of the state */
    bool applied_known;
    uint64_t install;         /* 0: no snapshot was ever to be installed */
};

int doctor_offline(struct report *report, const char *path);
void doctor_check_meta(struct patient *patient);  /* identities, marks, space, readers */
void doctor_check_log(struct patient *patient);
void doctor_check_state(struct patient *patient);

/* If that environment's file cannot be read at all, it is said so (tool_guard). */
void doctor_guard(const struct patient *patient, enum look_env which);

extern const char doctor_replace[]; /* what to do about a node whose data is damaged */

/* ---- online: what is seen of a cluster, and what follows from it */

struct seen_node {
    char url[HOLDFAST_URL_MAX];
    bool answers;
    char why[HOLDFAST_MESSAGE_MAX]; /* it does not */
    char id[20], name[NODE_NAME_MAX + 1], cluster[20], state[16], leader[20], digest[20], version[32],
        alarms[128];
    uint64_t term, commit, applied;
    bool stopping, fetching;
    bool clock_known;
    int64_t clock_ms;    /* ahead of ours, */
    int64_t clock_off_ms; /* give or take so much */
};

struct seen_member { /* as the leader sees it */
    char id[20], name[NODE_NAME_MAX + 1], role[16], http_addr[ADDRESS_MAX + 1],
        raft_addr[ADDRESS_MAX + 1];
    uint64_t match, lag, silence_ms; /* UINT64_MAX: not known */
    bool stuck;                      /* did not come closer between two looks */
};

struct seen_cluster {
    uint32_t n_nodes, n_members;
    struct seen_node nodes[HOLDFAST_NODES_MAX];
    struct seen_member members[MEMBERS_MAX];
    bool from_leader; /* the leader's view was had */
};

int doctor_online(struct report *report, const char *endpoints, uint32_t timeout_ms);
/* Reads what /status answers; false: that is no status. */
bool doctor_read_status(struct holdfast_bytes json, uint64_t before_ms, uint64_t after_ms,
                        struct seen_node *out);
/* Reads what /cluster/info answers. */
void doctor_read_info(struct holdfast_bytes json, struct seen_cluster *out);
void doctor_judge(struct report *report, const struct seen_cluster *cluster);

#endif
