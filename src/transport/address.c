/* address.c - parses, resolves and binds addresses.
 *
 * Resolving may block (a name that only DNS knows): it happens at start-up, never while
 * serving. */
#include "address.h"

#include <holdfast/http.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, PORT_TRIES = 16 };

static bool refuse(char *why, const char *address, const char *what)
{
    snprintf(why, HTTP_MESSAGE_MAX, "'%.*s' %s", 270, address, what);
    return false;
}

static bool parse_port(const char *text, bool zero, uint16_t *port)
{
    unsigned long value = 0;
    size_t digits = strlen(text);
    if (digits == 0 || digits > 5)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    if (value > 65535 || (value == 0 && !zero))
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool host_is_plain(const char *host, size_t size, bool bracketed)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)host[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool other = bracketed ? c == ':' || c == '.' || c == '%' : c == '.' || c == '-' || c == '_';
        if (!letter && !other)
            return false;
    }
    return size > 0;
}

bool address_parse(const char *address, bool port_zero, char host[256], uint16_t *port, char *why)
{
    static const char right[] = "is no address; write host:port, as in localhost:8001, "
                                "127.0.0.1:8001 or [::1]:8001";
    bool bracketed = address[0] == '[';
    const char *begin = bracketed ? address + 1 : address;
    const char *end = bracketed ? strchr(begin, ']') : strrchr(begin, ':');
    if (end == NULL)
        return refuse(why, address, right);
    size_t size = (size_t)(end - begin);
    const char *colon = bracketed ? end + 1 : end;
    if (*colon != ':' || size >= 256 || !host_is_plain(begin, size, bracketed))
        return refuse(why, address, right);
    if (!parse_port(colon + 1, port_zero, port))
        return refuse(why, address,
                      port_zero ? "needs a port from 0 to 65535" : "needs a port from 1 to 65535");
    memcpy(host, begin, size);
    host[size] = '\0';
    return true;
}

static struct addrinfo *resolve(const char *host, char *message)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error == 0)
        return found;
    snprintf(message, HTTP_MESSAGE_MAX, "the host '%s' cannot be resolved: %s", host,
             error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    return NULL;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        panic(EXIT_STATUS_IO, "getsockname failed: %s", strerror(errno));
    return ntohs(address.ss_family == AF_INET
                     ? ((struct sockaddr_in *)(void *)&address)->sin_port
                     : ((struct sockaddr_in6 *)(void *)&address)->sin6_port);
}

/* The socket, or -1 with errno. */
static int listen_on(const struct addrinfo *info, uint16_t port)
{
    struct sockaddr_storage address;
    int on = 1;
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    set_port(&address, port);
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* With its own IPv4 socket beside it, an IPv6 socket must not claim the port for both. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(fd, (struct sockaddr *)&address, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void close_all(struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->n; i++)
        close(listeners->fds[i]);
    listeners->n = 0;
}

/* 0 or an errno.  An address that this machine does not have (often ::1) is passed over as
 * long as another one works. */
static int listen_on_all(const struct addrinfo *infos, uint16_t port, struct listeners *out)
{
    int error = EADDRNOTAVAIL;
    out->n = 0;
    out->port = port;
    for (const struct addrinfo *i = infos; i != NULL && out->n < ADDRESS_SOCKETS_MAX; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        int fd = listen_on(i, out->port);
        if (fd >= 0) {
            out->fds[out->n++] = fd;
            out->port = bound_port(fd);
            continue;
        }
        error = errno;
        if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT) {
            close_all(out);
            return error;
        }
    }
    return out->n > 0 ? 0 : error;
}

enum err address_listen(const char *address, struct listeners *out, char *message)
{
    char host[256];
    uint16_t port;
    if (!address_parse(address, true, host, &port, message))
        return ERR_IO;
    struct addrinfo *infos = resolve(host, message);
    if (infos == NULL)
        return ERR_IO;
    int error = listen_on_all(infos, port, out);
    /* The kernel's choice for the first address may be taken on the second: ask again. */
    for (int i = 0; i < PORT_TRIES && port == 0 && error == EADDRINUSE; i++)
        error = listen_on_all(infos, port, out);
    freeaddrinfo(infos);
    if (error == 0)
        return OK;
    if (error == EADDRINUSE)
        snprintf(message, HTTP_MESSAGE_MAX, "the address %s is taken by another process", address);
    else
        snprintf(message, HTTP_MESSAGE_MAX, "cannot listen on %s: %s", address, strerror(error));
    return ERR_IO;
}
