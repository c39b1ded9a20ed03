/* address.h - from "host:port" to sockets. */
#ifndef TRANSPORT_ADDRESS_H
#define TRANSPORT_ADDRESS_H

#include <holdfast/err.h>

#include <stdint.h>

enum { ADDRESS_SOCKETS_MAX = 8 };

struct listeners {
    int fds[ADDRESS_SOCKETS_MAX]; /* bound and listening, non-blocking, close-on-exec */
    unsigned n;
    uint16_t port; /* the one bound: the kernel's choice if 0 was asked for */
};

/* Listens on every address that the host has ("localhost" is 127.0.0.1 and ::1), all on the
 * same port.  ERR_IO with a sentence in `message` (HTTP_MESSAGE_MAX bytes). */
MUST_CHECK enum err address_listen(const char *address, struct listeners *out, char *message);

#endif
