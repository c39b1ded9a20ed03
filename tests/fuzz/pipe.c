/* pipe.c - instead of the product's address.c, which the linker leaves out: servers listen on an
 * unnamed local socket, whatever address they are given. */
#include "tests/fuzz/pipe.h"

#include "src/transport/address.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_size;

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_MUST(fd >= 0);
    return fd;
}

enum err address_listen(const char *text, struct listeners *out, char *message)
{
    int fd = new_socket();
    (void)text;
    (void)message;
    FUZZ_MUST(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    address_size = sizeof address;
    FUZZ_MUST(getsockname(fd, (struct sockaddr *)&address, &address_size) == 0);
    FUZZ_MUST(listen(fd, 16) == 0);
    *out = (struct listeners){ .fds = { fd }, .n = 1, .port = 1 };
    return OK;
}

int pipe_connect(void)
{
    int fd = new_socket();
    FUZZ_MUST(connect(fd, (struct sockaddr *)&address, address_size) == 0);
    return fd;
}

bool pipe_read(int fd, unsigned char *out, size_t *size, size_t room)
{
    for (;;) {
        ssize_t n = read(fd, out + *size, room - *size);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        *size += (size_t)n;
        FUZZ_MUST(*size < room);
    }
}
