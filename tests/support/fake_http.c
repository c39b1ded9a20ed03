/* fake_http.c - a thread for each connection, blocking, and as simple as can be. */
#include "tests/support/fake_http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS_MAX = 64, REQUESTS_MAX = 512, CONNECTIONS_MAX = 256 };

struct fake {
    pthread_mutex_t lock;
    pthread_t acceptor;
    int listener;
    char url[64];
    bool stopped;
    struct fake_step steps[STEPS_MAX];
    unsigned n_steps, next_step;
    struct fake_request requests[REQUESTS_MAX];
    unsigned n_requests, n_info;
    char *info;
    struct {
        int fd;
        pthread_t thread;
        struct fake *fake;
    } connections[CONNECTIONS_MAX];
    unsigned n_connections;
};

static void die(const char *what)
{
    perror(what);
    abort();
}

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Reads one request; false at the end of the connection. */
static bool read_request(int fd, struct fake_request *request)
{
    char head[8192];
    size_t size = 0;
    memset(request, 0, sizeof(*request));
    /* Byte by byte: nothing of what follows the headers is taken with them. */
    while (size < 4 || memcmp(head + size - 4, "\r\n\r\n", 4) != 0) {
        if (size == sizeof(head) - 1 || recv(fd, head + size, 1, 0) != 1)
            return false;
        size++;
    }
    head[size] = '\0';
    if (sscanf(head, "%15s %4095s", request->method, request->target) != 2)
        return false;
    snprintf(request->headers, sizeof(request->headers), "%.4000s", strstr(head, "\r\n") + 2);
    for (char *line = request->headers; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            request->body_size = strtoul(line + 15, NULL, 10);
    }
    for (size_t i = 0; i < request->body_size;) {
        char chunk[65536];
        size_t most =
            request->body_size - i < sizeof(chunk) ? request->body_size - i : sizeof(chunk);
        ssize_t n = recv(fd, chunk, most, 0);
        if (n <= 0)
            return false;
        for (size_t j = 0; j < (size_t)n && i + j < sizeof(request->body) - 1; j++)
            request->body[i + j] = chunk[j];
        i += (size_t)n;
    }
    return true;
}

static bool answer(int fd, const struct fake_step *step)
{
    char head[2048];
    size_t size = step->body == NULL ? step->filler : strlen(step->body);
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
        step->status, step->headers == NULL ? "" : step->headers,
        size + (step->kind == FAKE_CUT ? 10 : 0));
    if (n < 0 || !send_all(fd, head, (size_t)n))
        return false;
    if (step->body != NULL)
        return send_all(fd, step->body, size) && step->kind != FAKE_CUT;
    char filler[4096];
    memset(filler, 'x', sizeof(filler));
    for (size_t sent = 0; sent < size; sent += sizeof(filler)) {
        if (!send_all(fd, filler, size - sent < sizeof(filler) ? size - sent : sizeof(filler)))
            return false;
    }
    return step->kind != FAKE_CUT;
}

/* The step for this request, which is remembered. */
static struct fake_step take_step(struct fake *fake, const struct fake_request *request)
{
    struct fake_step step = { .kind = FAKE_ANSWER, .status = 500, .body = "no step for this" };
    pthread_mutex_lock(&fake->lock);
    if (strncmp(request->target, "/cluster/info", 13) == 0) {
        fake->n_info++;
        step.status = fake->info == NULL ? 404 : 200;
        step.body = fake->info == NULL ? "{}" : fake->info;
    } else {
        if (fake->n_requests == REQUESTS_MAX)
            die("too many requests");
        fake->requests[fake->n_requests++] = *request;
        if (fake->next_step < fake->n_steps) {
            step = fake->steps[fake->next_step];
            fake->next_step += !step.forever;
        }
    }
    pthread_mutex_unlock(&fake->lock);
    return step;
}

struct connection_arg {
    struct fake *fake;
    int fd;
};

static void *connection_main(void *pointer)
{
    struct connection_arg arg = *(struct connection_arg *)pointer;
    struct fake_request request;
    free(pointer);
    for (bool open = true; open && read_request(arg.fd, &request);) {
        struct fake_step step = take_step(arg.fake, &request);
        char rest;
        switch (step.kind) {
        case FAKE_ANSWER:
        case FAKE_CUT:
            open = answer(arg.fd, &step);
            break;
        case FAKE_CLOSE:
            open = false;
            break;
        case FAKE_SILENT:
            while (recv(arg.fd, &rest, 1, 0) > 0)
                continue;
            open = false;
            break;
        }
    }
    shutdown(arg.fd, SHUT_RDWR); /* fake_free closes it */
    return NULL;
}

static void *acceptor_main(void *arg)
{
    struct fake *fake = arg;
    for (;;) {
        int fd = accept(fake->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct connection_arg *c = malloc(sizeof(*c));
        pthread_mutex_lock(&fake->lock);
        if (c == NULL || fake->n_connections == CONNECTIONS_MAX || fake->stopped) {
            pthread_mutex_unlock(&fake->lock);
            free(c);
            close(fd);
            continue;
        }
        unsigned i = fake->n_connections++;
        *c = (struct connection_arg) { fake, fd };
        fake->connections[i].fd = fd;
        if (pthread_create(&fake->connections[i].thread, NULL, connection_main, c) != 0)
            die("pthread_create");
        pthread_mutex_unlock(&fake->lock);
    }
}

static int bind_any(char url[64])
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("bind");
    snprintf(url, 64, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

int refusing_port(char url[64])
{
    return bind_any(url); /* bound, not listening */
}

struct fake *fake_start(void)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    if (fake == NULL)
        die("calloc");
    fake->listener = bind_any(fake->url);
    pthread_mutex_init(&fake->lock, NULL);
    if (listen(fake->listener, 64) != 0 ||
        pthread_create(&fake->acceptor, NULL, acceptor_main, fake) != 0)
        die("listen");
    return fake;
}

const char *fake_url(const struct fake *fake)
{
    return fake->url;
}

void fake_add(struct fake *fake, struct fake_step step)
{
    pthread_mutex_lock(&fake->lock);
    if (fake->n_steps == STEPS_MAX)
        die("too many steps");
    fake->steps[fake->n_steps++] = step;
    pthread_mutex_unlock(&fake->lock);
}

void fake_answer(struct fake *fake, int status, const char *headers, const char *body)
{
    fake_add(fake, (struct fake_step) {
                       .kind = FAKE_ANSWER, .status = status, .headers = headers, .body = body });
}

void fake_set_info(struct fake *fake, const char *json)
{
    pthread_mutex_lock(&fake->lock);
    free(fake->info);
    fake->info = strdup(json);
    pthread_mutex_unlock(&fake->lock);
}

static unsigned read_locked(struct fake *fake, const unsigned *value)
{
    pthread_mutex_lock(&fake->lock);
    unsigned n = *value;
    pthread_mutex_unlock(&fake->lock);
    return n;
}

unsigned fake_count(struct fake *fake)
{
    return read_locked(fake, &fake->n_requests);
}

unsigned fake_info_count(struct fake *fake)
{
    return read_locked(fake, &fake->n_info);
}

unsigned fake_connections(struct fake *fake)
{
    return read_locked(fake, &fake->n_connections);
}

struct fake_request fake_request(struct fake *fake, unsigned i)
{
    pthread_mutex_lock(&fake->lock);
    if (i >= fake->n_requests) {
        fprintf(stderr, "request %u was looked for, only %u were made\n", i, fake->n_requests);
        abort();
    }
    struct fake_request request = fake->requests[i];
    pthread_mutex_unlock(&fake->lock);
    return request;
}

void fake_stop(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    bool before = fake->stopped;
    fake->stopped = true;
    pthread_mutex_unlock(&fake->lock);
    if (before)
        return;
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->acceptor, NULL);
    /* The listener stays bound, so that nobody else gets the port; it refuses from now on. */
    for (unsigned i = 0; i < fake->n_connections; i++)
        shutdown(fake->connections[i].fd, SHUT_RDWR);
    for (unsigned i = 0; i < fake->n_connections; i++) {
        pthread_join(fake->connections[i].thread, NULL);
        close(fake->connections[i].fd);
    }
}

void fake_free(struct fake *fake)
{
    if (fake == NULL)
        return;
    fake_stop(fake);
    close(fake->listener);
    pthread_mutex_destroy(&fake->lock);
    free(fake->info);
    free(fake);
}
