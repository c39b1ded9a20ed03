/* clock.c - the kernel's clocks. */
#include <holdfast/clock.h>

#include <time.h>

static uint64_t read_us(clockid_t which)
{
    struct timespec now = { 0 };
    clock_gettime(which, &now); /* cannot fail: these clocks are always there */
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
