/* server_process.h - one node's process: everything that server_main puts together. */
#ifndef HOLDFAST_CMD_SERVER_PROCESS_H
#define HOLDFAST_CMD_SERVER_PROCESS_H

#include "descriptors.h"
#include "loop.h"
#include "options.h"

#include <holdfast/server.h>

struct process {
    struct options options;
    struct node_config config;
    struct descriptors descriptors;
    struct loop loop;

    struct data_directory *directory; /* NULL with --storage=memory */
    struct memory_disk *disk;         /* NULL with --storage=lmdb */
    struct log_store *log;
    struct state_store *state;
    struct snapshot_store *snapshots;
    struct transport *transport;
    struct network_events events;     /* the node's own */
    struct node *node;
    struct server *server;

    struct event *sigterm, *sigint, *sighup;
    struct event *stop_timer;         /* polls for the end of an orderly stop */
    uint64_t stop_deadline_ms;        /* 0: not stopping */
    unsigned idle_looks;              /* how often in a row there was nothing left to do */

    /* what server_watch.c tells people */
    struct event *watch_timer;
    raft_id leader;                   /* the last one told of */
    uint64_t heard_ms[MEMBERS_MAX];   /* by place in config.members; 0: never */
    uint64_t waiting_since_ms, waiting_logged_ms;
};

/* Fills process->config from the options: ids, members, identity without incarnation.  False
 * with a sentence in `why` (WHY_MAX bytes). */
bool server_identity(struct process *process, char *why);

/* The events to hand to transport_start: the node's own, with an eye on who was heard. */
struct network_events server_watch_events(struct process *process);
/* Begins to tell who leads, or what is waited for. */
void server_watch_start(struct process *process);

#endif
