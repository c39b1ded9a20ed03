/* descriptors.h - who gets how many of the file descriptors that the process may have. */
#ifndef HOLDFAST_CMD_DESCRIPTORS_H
#define HOLDFAST_CMD_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DESCRIPTORS_OWN = 28,       /* files, the event loop, listeners, name lookups; and to spare */
    DESCRIPTORS_CLIENTS_MIN = 8,
    DESCRIPTORS_STRANGERS = 8,  /* on the port for the nodes, beside those of the peers */
    DESCRIPTORS_PEERS_MAX = 256,
};

struct descriptors {
    uint64_t needed;      /* without so many the node does not start */
    uint32_t clients;     /* connections of clients at a time */
    uint32_t from_peers;  /* connections to the port for the nodes */
};

/* Shares out `limit`.  False if it is less than what is needed. */
bool descriptors_share(uint64_t limit, uint32_t n_peers, uint32_t clients_wanted,
                       struct descriptors *out);

/* Raises the limit as far as it goes, and returns it. */
uint64_t descriptors_limit(void);

#endif
