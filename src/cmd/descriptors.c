/* descriptors.c - shares the file descriptors out at the start, so that clients, however many,
 * cannot take those that the node needs to reach its peers and its disk. */
#include "descriptors.h"

#include <sys/resource.h>

enum {
    LANES_OUT = 2,   /* to each peer */
    LANES_IN = 4,    /* from each: as many, and as many again while old ones are not yet gone */
    PLENTY = 16,     /* a share of the limit: strangers never need more of it */
};

bool descriptors_share(uint64_t limit, uint32_t n_peers, uint32_t clients_wanted,
                       struct descriptors *out)
{
    uint64_t in = LANES_IN * (uint64_t)n_peers + DESCRIPTORS_STRANGERS;
    uint64_t kept = DESCRIPTORS_OWN + LANES_OUT * (uint64_t)n_peers + in;
    out->needed = kept + DESCRIPTORS_CLIENTS_MIN;
    if (limit < out->needed)
        return false;
    uint64_t more = (limit - out->needed) / PLENTY;
    if (in + more > DESCRIPTORS_PEERS_MAX)
        more = in < DESCRIPTORS_PEERS_MAX ? DESCRIPTORS_PEERS_MAX - in : 0;
    uint64_t left = limit - kept - more;
    out->from_peers = (uint32_t)(in + more);
    out->clients = left < clients_wanted ? (uint32_t)left : clients_wanted;
    return true;
}

uint64_t descriptors_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return UINT64_MAX / 2; /* the kernel will tell */
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { limit.rlim_max, limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX / 2 : limit.rlim_cur;
}
