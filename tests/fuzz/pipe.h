/* pipe.h - sockets of a family that delivers at once and leaves no ports behind, for targets that
 * speak to the real HTTP server. */
#ifndef TESTS_FUZZ_PIPE_H
#define TESTS_FUZZ_PIPE_H

#include <stdbool.h>
#include <stddef.h>

/* A non-blocking connection to the last server that was made. */
int pipe_connect(void);

/* Reads what is there behind the *size bytes of `out`; false at the end of the connection. */
bool pipe_read(int fd, unsigned char *out, size_t *size, size_t room);

#endif
