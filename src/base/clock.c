/* clock.c - the kernel's clocks and its random source. */
#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_us(clockid_t which)
{
    struct timespec now;
    if (clock_gettime(which, &now) != 0)
        panic(EXIT_STATUS_IO, "clock_gettime failed: %s", strerror(errno));
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

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
