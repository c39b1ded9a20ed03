/* quorum.c - majorities.  A leaf: it knows nothing of members, terms or logs. */
#include "quorum.h"

#include <holdfast/panic.h>

uint32_t quorum_size(uint32_t n)
{
    return n / 2 + 1;
}

uint64_t quorum_reached(const uint64_t *values, uint32_t n)
{
    ASSERT(n >= 1 && n <= QUORUM_VALUES_MAX);
    uint64_t falling[QUORUM_VALUES_MAX];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        while (at > 0 && falling[at - 1] < values[i]) {
            falling[at] = falling[at - 1];
            at--;
        }
        falling[at] = values[i];
    }
    return falling[quorum_size(n) - 1];
}
