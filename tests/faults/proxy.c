/* proxy.c - holdfast-proxy: stands between the nodes of a test and cuts them off from each other.
 *
 * Each ordered pair of nodes has a port of its own here, which leads to the second one's Raft
 * port.  Commands come on standard input, one a line; each is answered by one line:
 *
 *     link FROM TO PORT    a new way from node FROM to node TO at PORT; answers with its port
 *     cut FROM TO          bytes from FROM to TO, on any way, are held back
 *     heal FROM TO         they flow again
 *     drop FROM TO         connections that FROM made to TO are reset
 *     count                answers with the bytes carried since the start
 *     record DIRECTORY     from now on what who connects says is also written there, each connection
 *                          to a file of its own, at most 4 MiB of it
 *
 * What is held back is not lost: as with TCP over a cut wire, it arrives after the healing, if
 * the connection still stands.  The end of standard input ends the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORD_MAX = 4 * 1024 * 1024 };
enum { NODES_MAX = 16, LINKS_MAX = NODES_MAX * NODES_MAX, PAIRS_MAX = 1024, BUFFER = 32768 };

struct link {
    unsigned from, to;
    uint16_t target;
    int listener;
};

/* One direction of a connection. */
struct pipe {
    unsigned from, to;
    int in, out;
    bool ended, passed_end; /* `in` has ended; `out` was told */
    FILE *record;           /* or NULL */
    size_t recorded;
    size_t begin, end;
    unsigned char bytes[BUFFER];
};

struct pair {
    unsigned from, to; /* who connected to whom */
    struct pipe pipes[2];
};

static struct link links[LINKS_MAX];
static unsigned n_links;
static struct pair *pairs[PAIRS_MAX];
static unsigned n_pairs;
static bool cut[NODES_MAX][NODES_MAX];
static uint64_t carried;
static char record_in[1024]; /* "": nothing is recorded */
static unsigned n_records;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in local(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static uint16_t link_open(unsigned from, unsigned to, uint16_t target)
{
    struct sockaddr_in address = local(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || n_links == LINKS_MAX || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        listen(fd, 64) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("link");
    links[n_links++] = (struct link){ from, to, target, fd };
    return ntohs(address.sin_port);
}

/* ---- connections */

static void pair_close(unsigned at)
{
    static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    struct pair *pair = pairs[at];
    for (int i = 0; i < 2; i++) {
        if (pair->pipes[i].record != NULL)
            fclose(pair->pipes[i].record);
        setsockopt(pair->pipes[i].in, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(pair->pipes[i].in);
    }
    free(pair);
    pairs[at] = pairs[--n_pairs];
}

static FILE *record_new(unsigned from, unsigned to)
{
    char path[sizeof record_in + 64];
    if (record_in[0] == '\0')
        return NULL;
    snprintf(path, sizeof path, "%s/%u-%u-%u", record_in, from, to, n_records++);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        die(path);
    setbuf(file, NULL);
    return file;
}

static void record(struct pipe *pipe)
{
    size_t n = pipe->end - pipe->begin;
    if (pipe->record == NULL || n > RECORD_MAX - pipe->recorded)
        return;
    fwrite(pipe->bytes + pipe->begin, 1, n, pipe->record);
    pipe->recorded += n;
}

static void link_accept(const struct link *link)
{
    struct sockaddr_in address = local(link->target);
    int in = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK);
    if (in < 0)
        return;
    int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (out < 0)
        die("socket");
    bool failed = connect(out, (struct sockaddr *)&address, sizeof address) != 0 &&
                  errno != EINPROGRESS;
    if (failed || n_pairs == PAIRS_MAX) {
        close(in);
        close(out);
        return;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        die("memory");
    pair->from = pair->pipes[0].from = pair->pipes[1].to = link->from;
    pair->to = pair->pipes[0].to = pair->pipes[1].from = link->to;
    pair->pipes[0].record = record_new(link->from, link->to);
    pair->pipes[0].in = pair->pipes[1].out = in;
    pair->pipes[0].out = pair->pipes[1].in = out;
    pairs[n_pairs++] = pair;
}

static bool is_cut(const struct pipe *pipe)
{
    return cut[pipe->from][pipe->to];
}

static short wants_in(const struct pipe *pipe)
{
    return !pipe->ended && !is_cut(pipe) && pipe->begin == pipe->end ? POLLIN : 0;
}

static short wants_out(const struct pipe *pipe)
{
    return pipe->begin < pipe->end && !is_cut(pipe) ? POLLOUT : 0;
}

static bool trouble(ssize_t got)
{
    return got < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN;
}

/* Moves what can be moved.  False: the connection broke. */
static bool pipe_move(struct pipe *pipe)
{
    if (is_cut(pipe))
        return true;
    if (wants_in(pipe)) {
        ssize_t got = read(pipe->in, pipe->bytes, BUFFER);
        if (trouble(got))
            return false;
        pipe->begin = 0;
        pipe->end = got > 0 ? (size_t)got : 0;
        pipe->ended = got == 0;
        record(pipe);
    }
    if (pipe->begin < pipe->end) {
        ssize_t put = write(pipe->out, pipe->bytes + pipe->begin, pipe->end - pipe->begin);
        if (trouble(put))
            return false;
        if (put > 0) {
            pipe->begin += (size_t)put;
            carried += (uint64_t)put;
        }
    }
    if (pipe->ended && pipe->begin == pipe->end && !pipe->passed_end) {
        pipe->passed_end = true;
        shutdown(pipe->out, SHUT_WR);
    }
    return true;
}

static bool pair_move(struct pair *pair)
{
    return pipe_move(&pair->pipes[0]) && pipe_move(&pair->pipes[1]) &&
           !(pair->pipes[0].passed_end && pair->pipes[1].passed_end);
}

/* ---- commands */

static void drop(unsigned from, unsigned to)
{
    for (unsigned i = n_pairs; i-- > 0;)
        if (pairs[i]->from == from && pairs[i]->to == to)
            pair_close(i);
}

static void obey(const char *line)
{
    unsigned from = 0, to = 0, port = 0;
    char word[16] = "";
    int n = sscanf(line, "%15s %u %u %u", word, &from, &to, &port);
    if (n == 1 && strcmp(word, "record") == 0) {
        snprintf(record_in, sizeof record_in, "%s", line + strlen("record "));
        puts("ok");
        fflush(stdout);
        return;
    }
    bool good = n >= 1 && from < NODES_MAX && to < NODES_MAX;
    if (good && n == 4 && strcmp(word, "link") == 0) {
        printf("%u\n", (unsigned)link_open(from, to, (uint16_t)port));
    } else if (n == 1 && strcmp(word, "count") == 0) {
        printf("%" PRIu64 "\n", carried);
    } else if (good && n == 3 && (strcmp(word, "cut") == 0 || strcmp(word, "heal") == 0)) {
        cut[from][to] = word[0] == 'c';
        puts("ok");
    } else if (good && n == 3 && strcmp(word, "drop") == 0) {
        drop(from, to);
        puts("ok");
    } else {
        puts("what?");
    }
    fflush(stdout);
}

/* False: the input has ended. */
static bool read_commands(void)
{
    static char buffer[4096];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - 1 - used);
    if (got <= 0)
        return false;
    used += (size_t)got;
    buffer[used] = '\0';
    char *line = buffer;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        obey(line);
    }
    used = strlen(line);
    memmove(buffer, line, used + 1);
    return true;
}

/* ---- the loop */

/* The other side of a pair may go away while one direction is cut: POLLHUP cannot be masked,
 * so a side of which nothing is wanted is left out. */
static unsigned gather(struct pollfd *fds)
{
    unsigned n = 0;
    fds[n++] = (struct pollfd){ STDIN_FILENO, POLLIN, 0 };
    for (unsigned i = 0; i < n_links; i++)
        fds[n++] = (struct pollfd){ links[i].listener, POLLIN, 0 };
    for (unsigned i = 0; i < n_pairs; i++)
        for (int k = 0; k < 2; k++) {
            const struct pipe *mine = &pairs[i]->pipes[k], *other = &pairs[i]->pipes[1 - k];
            short events = (short)(wants_in(mine) | wants_out(other));
            fds[n++] = (struct pollfd){ events != 0 ? mine->in : -1, events, 0 };
        }
    return n;
}

int main(void)
{
    static struct pollfd fds[1 + LINKS_MAX + 2 * PAIRS_MAX];
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        unsigned n = gather(fds), of_links = n_links, of_pairs = n_pairs;
        if (poll(fds, n, -1) < 0 && errno != EINTR)
            die("poll");
        for (unsigned i = of_pairs; i-- > 0;) {
            const struct pollfd *pair = &fds[1 + of_links + 2 * i];
            if ((pair[0].revents | pair[1].revents) != 0 && !pair_move(pairs[i]))
                pair_close(i);
        }
        for (unsigned i = 0; i < of_links; i++)
            if (fds[1 + i].revents != 0)
                link_accept(&links[i]);
        if (fds[0].revents != 0 && !read_commands())
            return 0;
    }
}
