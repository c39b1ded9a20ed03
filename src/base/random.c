/* random.c - the kernel's random source. */
#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, uint64_t size)
{
    unsigned char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size > 256 ? 256 : size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            panic(EXIT_STATUS_IO, "no random bytes: %s", strerror(errno));
        at += got;
        size -= (uint64_t)got;
    }
}
