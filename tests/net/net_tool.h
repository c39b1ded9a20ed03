/* net_tool.h - what the tests of sockets share: a loop with a deadline, raw clients. */
#ifndef TESTS_NET_TOOL_H
#define TESTS_NET_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

struct event_base *tool_base_new(void); /* three priorities; SIGPIPE ignored */

typedef bool tool_condition(void *arg);
/* Turns the loop until the condition holds; false at the deadline. */
bool tool_wait(struct event_base *base, tool_condition *condition, void *arg, uint64_t limit_ms);
void tool_turn(struct event_base *base, uint64_t ms); /* for so long, come what may */

int tool_connect(uint16_t port);          /* to 127.0.0.1, non-blocking */
int tool_listen(uint16_t *port);          /* a socket that nobody accepts from */
/* Sends all of it, turning the loop as long as the other side has no room; false if it hung up. */
bool tool_send(struct event_base *base, int fd, const void *data, size_t size);
bool tool_send_text(struct event_base *base, int fd, const char *text);
/* Reads into `out` (NUL-terminated) until `size` - 1 bytes, the end, or `limit_ms` without the
 * text `until` (may be NULL) in it.  Returns the bytes read; *closed tells of the end. */
size_t tool_read(struct event_base *base, int fd, char *out, size_t size, const char *until,
                 uint64_t limit_ms, bool *closed);

#endif
