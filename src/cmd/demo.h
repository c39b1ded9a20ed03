/* demo.h - a small cluster of child processes on loopback. */
#ifndef HOLDFAST_CMD_DEMO_H
#define HOLDFAST_CMD_DEMO_H

#include <holdfast/client.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { DEMO_NODES_MAX = 7, DEMO_PATH_MAX = 2048 };

struct demo_node {
    char name[16];
    uint16_t http_port, raft_port;
    char url[HOLDFAST_URL_MAX];
    char log_path[DEMO_PATH_MAX + 32];
    pid_t pid;   /* 0: not running */
    bool killed; /* its end was a signal's work, not its own */
};

struct demo {
    char dir[DEMO_PATH_MAX];
    bool dir_is_ours; /* made by this run under TMPDIR: removed at the end, if all went well */
    unsigned n_nodes;
    struct demo_node nodes[DEMO_NODES_MAX];
    int held[2 * DEMO_NODES_MAX]; /* sockets that keep ports for nodes that are down */
    unsigned n_held;
    struct holdfast *db;
};

/* Each prints to standard error what went wrong before it returns false. */

/* Makes the directory and chooses ports: those of an earlier run in it, else 8001.. and 9001.. if
 * they are all free, else free ones. `dir` NULL: a fresh directory. */
bool demo_open(struct demo *demo, const char *dir, unsigned n_nodes);
bool demo_start_node(struct demo *demo, unsigned i);
/* Waits until a node says that it leads; -1 after the deadline or if a child died. */
int demo_wait_leader(struct demo *demo, uint64_t within_ms);
/* kill -9, and waits for the end. */
void demo_kill_node(struct demo *demo, unsigned i);
/* Ctrl-C or SIGTERM waits to be taken: give up soon. */
bool demo_interrupted(void);
/* Notes children that ended by themselves, and says so. Returns how many. */
unsigned demo_reap(struct demo *demo);
/* Stops all children in order, and frees. Says what becomes of the data: kept, or removed if it
 * is a fresh directory and `fine`. */
void demo_close(struct demo *demo, bool fine);

/* What node `i` says of itself, NULL if nothing within a second; the caller frees it. */
struct holdfast_result *demo_status(struct demo *demo, unsigned i);

/* The narrated tour; true if every step went well. */
bool demo_tour(struct demo *demo);

#endif
