/* loop.h - joins the node to libevent: its clock, its deadline, the stores' wake-ups and the end
 * of each turn.  Loop thread only, but for loop_storage_wake. */
#ifndef HOLDFAST_CMD_LOOP_H
#define HOLDFAST_CMD_LOOP_H

#include <holdfast/node.h>

struct event;
struct event_base;

/* libevent serves the lower number first. */
enum loop_priority { LOOP_PRIORITY_PEERS, LOOP_PRIORITY_CLIENTS, LOOP_PRIORITIES };

struct loop {
    struct event_base *base;
    struct node *node;     /* NULL before loop_start and after loop_stop */
    struct event *timer;   /* the node's deadline; also bounds the wait for `turn_end` */
    struct event *turn_end;
    struct event *storage; /* readable: a store has completions */
    int storage_fd;        /* an eventfd, written by the writer threads */
    bool woken;            /* the node asked for a run at the end of this turn */
    uint64_t armed_ms;     /* when the timer fires; UINT64_MAX: it is not armed */
};

/* False with errno set if the operating system refuses. */
bool loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* The host to hand to node_new; `refused` is the caller's to fill in. */
struct node_host loop_host(struct loop *loop);

/* A storage_wake_fn; any thread. */
void loop_storage_wake(void *loop);

/* From here on the node is driven. */
void loop_start(struct loop *loop, struct node *node);
/* No more calls into the node. */
void loop_stop(struct loop *loop);

/* A new event in this loop, never NULL. */
struct event *loop_event_new(struct loop *loop, int fd, short what, enum loop_priority priority,
                             void (*callback)(int fd, short what, void *arg), void *arg);
/* Arms a timer event. */
void loop_event_add_ms(struct event *event, uint64_t after_ms);

#endif
