/* loop.c - the node on libevent.
 *
 * A turn of the loop is: wait, then serve what became active, the highest priority first.  Peer
 * sockets, the stores' eventfd and the timers have priority 0, client sockets 1, so that a burst
 * of clients cannot hold up heartbeats.
 *
 * What one turn brings the node is handled together at its end, by node_run: this is what
 * gathers many writes into one entry batch and many reads into one round.  The end of a turn is
 * an event of the clients' priority: activated by the first handler that calls wake, it stands
 * in the queue behind all client sockets that this turn found ready, and what becomes ready
 * later is found only by the next turn's poll; so it runs after them, and it does run: the queue
 * in front of it is finite.
 *
 * Priority 0 could hold it up: as long as every poll finds a peer socket ready, libevent never
 * comes to priority 1.  Therefore a wake also arms the priority-0 timer for a millisecond ahead;
 * peers can delay the end of a turn by no more than that.  Nor can they hold up clients for
 * long: a peer sends only what its window allows until it is answered, and the answers leave in
 * node_run. */
#include "loop.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TURN_END_WITHIN_MS = 1 };

void loop_event_add_ms(struct event *event, uint64_t after_ms)
{
    struct timeval after = { .tv_sec = (time_t)(after_ms / 1000),
                             .tv_usec = (suseconds_t)(after_ms % 1000) * 1000 };
    if (event_add(event, &after) != 0)
        panic(EXIT_STATUS_IO, "a timer could not be armed");
}

struct event *loop_event_new(struct loop *loop, int fd, short what, enum loop_priority priority,
                             void (*callback)(int fd, short what, void *arg), void *arg)
{
    struct event *event = event_new(loop->base, fd, what, callback, arg);
    if (event == NULL || event_priority_set(event, (int)priority) != 0)
        panic(EXIT_STATUS_IO, "out of memory for an event");
    return event;
}

/* The timer is lazy: when the deadline moves away it stays, fires early, and is armed anew;
 * most deadlines move away long before they come. */
static void arm(struct loop *loop)
{
    uint64_t now = clock_monotonic_ms(), deadline = node_deadline(loop->node);
    if (loop->woken && deadline > now + TURN_END_WITHIN_MS)
        deadline = now + TURN_END_WITHIN_MS;
    if (deadline >= loop->armed_ms)
        return;
    loop->armed_ms = deadline;
    loop_event_add_ms(loop->timer, deadline > now ? deadline - now : 0);
}

static void run(struct loop *loop)
{
    loop->woken = false;
    node_run(loop->node);
    arm(loop);
}

static void on_turn_end(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct loop *loop = arg;
    if (loop->node != NULL && loop->woken) /* the timer may have been faster */
        run(loop);
}

static void on_timer(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct loop *loop = arg;
    loop->armed_ms = UINT64_MAX;
    if (loop->node == NULL)
        return;
    if (loop->woken || clock_monotonic_ms() >= node_deadline(loop->node))
        run(loop);
    else
        arm(loop);
}

static void on_storage(int fd, short what, void *arg)
{
    (void)what;
    struct loop *loop = arg;
    eventfd_t count;
    if (eventfd_read(fd, &count) != 0 && errno != EAGAIN)
        panic(EXIT_STATUS_IO, "the eventfd of the stores failed: %s", strerror(errno));
    if (loop->node == NULL)
        return;
    node_on_storage(loop->node);
    arm(loop);
}

static void wake(void *arg)
{
    struct loop *loop = arg;
    if (loop->woken)
        return;
    loop->woken = true;
    if (loop->node == NULL)
        return; /* loop_start will run it */
    event_active(loop->turn_end, EV_TIMEOUT, 0);
    arm(loop);
}

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return clock_monotonic_ms();
}

static uint64_t now_us(void *arg)
{
    (void)arg;
    return clock_monotonic_us();
}

static uint64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_wall_ms();
}

bool loop_init(struct loop *loop)
{
    memset(loop, 0, sizeof *loop);
    loop->armed_ms = UINT64_MAX;
    loop->storage_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->storage_fd < 0)
        return false;
    loop->base = event_base_new();
    if (loop->base == NULL || event_base_priority_init(loop->base, LOOP_PRIORITIES) != 0)
        return false;
    loop->timer = loop_event_new(loop, -1, 0, LOOP_PRIORITY_PEERS, on_timer, loop);
    loop->turn_end = loop_event_new(loop, -1, 0, LOOP_PRIORITY_CLIENTS, on_turn_end, loop);
    loop->storage = loop_event_new(loop, loop->storage_fd, EV_READ | EV_PERSIST,
                                   LOOP_PRIORITY_PEERS, on_storage, loop);
    return event_add(loop->storage, NULL) == 0;
}

void loop_fini(struct loop *loop)
{
    struct event *events[] = { loop->storage, loop->turn_end, loop->timer };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i] != NULL) /* loop_init may have stopped half-way */
            event_free(events[i]);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->storage_fd >= 0)
        close(loop->storage_fd);
}

struct node_host loop_host(struct loop *loop)
{
    return (struct node_host){
        .now_ms = now_ms, .now_us = now_us, .wall_ms = wall_ms, .wake = wake, .arg = loop,
    };
}

void loop_storage_wake(void *arg)
{
    struct loop *loop = arg;
    /* EAGAIN would mean that 2^64 - 2 wake-ups wait already. */
    if (eventfd_write(loop->storage_fd, 1) != 0 && errno != EAGAIN)
        panic(EXIT_STATUS_IO, "the eventfd of the stores failed: %s", strerror(errno));
}

void loop_start(struct loop *loop, struct node *node)
{
    loop->node = node;
    node_on_storage(node);
    run(loop);
}

void loop_stop(struct loop *loop)
{
    loop->node = NULL;
}
