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
    bool must_discover;               /* no directory yet: the others are to be found */
    bool stopped_early;               /* by a signal, before there was a cluster */
    bool must_join;                   /* no directory yet: a member is to be asked */
    char stored_raft_addr[ADDRESS_MAX + 1]; /* what stands in the directory */
    unsigned idle_looks;              /* how often in a row there was nothing left to do */

    /* what server_watch.c tells people */
    struct event *watch_timer;
    raft_id leader;                   /* the last one told of */
    struct {
        raft_id id;
        uint64_t ms;
    } heard[2 * MEMBERS_MAX];         /* when each peer was last heard of */
    unsigned told_percent;            /* how far the learner has come, and one; 0: not told */
    uint64_t learner_logged_ms;
    uint64_t waiting_since_ms, waiting_logged_ms;
};

/* Fills process->config from the options: ids, members, identity without incarnation.  False
 * with a sentence in `why` (WHY_MAX bytes). */
bool server_identity(struct process *process, char *why);
/* The part of it for a node that begins a cluster, alone or with --peers. */
bool server_begin(struct process *process, char *why);

/* Finds the others (--discover) until it is known whether this node begins a cluster with them: its
 * identity is filled in; or joins: must_join and options.join are set.  May take for ever.  False with a
 * sentence in `why`.  *stopped: a signal came first. */
bool server_discover(struct process *process, bool *stopped, char *why);

/* Asks the nodes of --join to take this one in, until one does: fills cluster, id (unless it is set
 * already) and members.  False with a sentence in `why`: they will not. */
bool server_join(struct process *process, char *why);
/* This data directory is that of a node that joined. */
bool server_has_joined(const struct identity *identity);
/* The node's own directory. */
void server_data_path(const struct options *options, char *out, size_t size);

/* The events to hand to transport_start: the node's own, with an eye on who was heard. */
struct network_events server_watch_events(struct process *process);
/* Begins to tell who leads, or what is waited for. */
void server_watch_start(struct process *process);

#endif
