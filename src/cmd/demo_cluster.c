/* demo_cluster.c - the demo's processes: ports, data directory, start, watch, stop. */
#include "demo.h"

#include <holdfast/clock.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_HTTP_PORT = 8001,
    FIRST_RAFT_PORT = 9001,
    POLL_MS = 20,
    STOP_WITHIN_MS = 10000,
};

static bool complain(const char *what, const char *which)
{
    fprintf(stderr, "holdfast: demo: %s %s: %s\n", what, which, strerror(errno));
    return false;
}

/* ---- ports */

/* A socket bound to loopback at `port` (0: any free one), or -1. */
static int bind_port(int family, uint16_t port, uint16_t *bound)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { .any.sa_family = (sa_family_t)family };
    socklen_t size;
    if (family == AF_INET) {
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.v4.sin_port = htons(port);
        size = sizeof address.v4;
    } else {
        address.v6.sin6_addr = in6addr_loopback;
        address.v6.sin6_port = htons(port);
        size = sizeof address.v6;
    }
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, size) != 0 || getsockname(fd, &address.any, &size) != 0) {
        close(fd);
        return -1;
    }
    *bound = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return fd;
}

/* Free on both loopback addresses, as far as the machine has them. */
static bool port_is_free(uint16_t port)
{
    uint16_t bound;
    int v4 = bind_port(AF_INET, port, &bound);
    if (v4 < 0)
        return false;
    close(v4);
    int v6 = bind_port(AF_INET6, port, &bound);
    if (v6 < 0)
        return errno != EADDRINUSE;
    close(v6);
    return true;
}

static bool usual_ports_are_free(const struct demo *demo)
{
    for (unsigned i = 0; i < demo->n_nodes; i++)
        if (!port_is_free((uint16_t)(FIRST_HTTP_PORT + i)) ||
            !port_is_free((uint16_t)(FIRST_RAFT_PORT + i)))
            return false;
    return true;
}

/* The kernel gives a port to nobody else while a socket is bound to it, listening or not; a node
 * that is down for a while must find its own port again. */
static bool find_ports(struct demo *demo)
{
    while (demo->n_held < 2 * demo->n_nodes) {
        struct demo_node *node = &demo->nodes[demo->n_held / 2];
        int fd = bind_port(AF_INET, 0, demo->n_held % 2 == 0 ? &node->http_port : &node->raft_port);
        if (fd < 0)
            return complain("no free port on", "127.0.0.1");
        demo->held[demo->n_held++] = fd;
    }
    return true;
}

/* A node's raft address is its identity, so a directory keeps its ports from run to run. */
static bool recall_ports(struct demo *demo, FILE *file, const char *path)
{
    unsigned n = 0, http, raft;
    while (fscanf(file, "%u %u", &http, &raft) == 2 && http < 65536 && raft < 65536 &&
           ++n <= demo->n_nodes) {
        demo->nodes[n - 1].http_port = (uint16_t)http;
        demo->nodes[n - 1].raft_port = (uint16_t)raft;
    }
    if (n == demo->n_nodes)
        return true;
    fprintf(stderr, "holdfast: demo: %s is of a cluster of another size (%u nodes, not %u): use its "
            "size or another directory\n", path, n, demo->n_nodes);
    return false;
}

static bool choose_ports(struct demo *demo)
{
    char path[DEMO_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/ports", demo->dir);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        bool fine = recall_ports(demo, file, path);
        fclose(file);
        return fine;
    }
    bool usual = usual_ports_are_free(demo);
    if (!usual && !find_ports(demo))
        return false;
    file = fopen(path, "we");
    if (file == NULL)
        return complain("cannot write", path);
    for (unsigned i = 0; i < demo->n_nodes; i++) {
        struct demo_node *node = &demo->nodes[i];
        if (usual) {
            node->http_port = (uint16_t)(FIRST_HTTP_PORT + i);
            node->raft_port = (uint16_t)(FIRST_RAFT_PORT + i);
        }
        fprintf(file, "%u %u\n", node->http_port, node->raft_port);
    }
    return fclose(file) == 0 || complain("cannot write", path);
}

/* ---- the directory */

static bool make_directory(struct demo *demo, const char *dir)
{
    if (dir != NULL) {
        snprintf(demo->dir, sizeof demo->dir, "%s", dir);
        return mkdir(demo->dir, 0777) == 0 || errno == EEXIST || complain("cannot make", demo->dir);
    }
    const char *temporary = getenv("TMPDIR");
    if (temporary == NULL || temporary[0] == '\0' || strlen(temporary) > DEMO_PATH_MAX - 64)
        temporary = "/tmp";
    snprintf(demo->dir, sizeof demo->dir, "%s/holdfast-demo-XXXXXX", temporary);
    if (mkdtemp(demo->dir) == NULL)
        return complain("cannot make a directory in", temporary);
    demo->dir_is_ours = true;
    return true;
}

bool demo_open(struct demo *demo, const char *dir, unsigned n_nodes)
{
    memset(demo, 0, sizeof *demo);
    demo->n_nodes = n_nodes;
    if (!make_directory(demo, dir) || !choose_ports(demo))
        return false;
    char endpoints[DEMO_NODES_MAX * HOLDFAST_URL_MAX] = "", message[HOLDFAST_MESSAGE_MAX];
    for (unsigned i = 0; i < n_nodes; i++) {
        struct demo_node *node = &demo->nodes[i];
        snprintf(node->name, sizeof node->name, "node%u", i + 1);
        snprintf(node->url, sizeof node->url, "http://localhost:%u", node->http_port);
        snprintf(node->log_path, sizeof node->log_path, "%s/%s.log", demo->dir, node->name);
        size_t used = strlen(endpoints);
        snprintf(endpoints + used, sizeof endpoints - used, "%s%s", i > 0 ? "," : "", node->url);
    }
    if (holdfast_open(endpoints, NULL, &demo->db, message) == HOLDFAST_OK)
        return true;
    fprintf(stderr, "holdfast: demo: %s\n", message);
    return false;
}

/* ---- processes */

/* In the child, between fork and exec. */
static _Noreturn void become_node(const struct demo_node *node, char **argv, pid_t parent)
{
    /* A group of its own: Ctrl-C is for the demo, which then stops its nodes in order.  And
     * should the demo itself be killed, its nodes go with it. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int log = open(node->log_path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    int nothing = open("/dev/null", O_RDONLY);
    if (log >= 0 && nothing >= 0 && getppid() == parent) {
        dup2(nothing, STDIN_FILENO);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv("/proc/self/exe", argv);
    }
    _exit(127);
}

bool demo_start_node(struct demo *demo, unsigned i)
{
    struct demo_node *node = &demo->nodes[i];
    char id[32], raft[64], http[64], dir[DEMO_PATH_MAX + 16], peers[DEMO_NODES_MAX * 24] = "--peers=";
    snprintf(id, sizeof id, "--id=%s", node->name);
    snprintf(raft, sizeof raft, "--raft-addr=localhost:%u", node->raft_port);
    snprintf(http, sizeof http, "--http-addr=localhost:%u", node->http_port);
    snprintf(dir, sizeof dir, "--data-dir=%s", demo->dir);
    for (unsigned j = 0; j < demo->n_nodes; j++) {
        size_t used = strlen(peers);
        if (j != i)
            snprintf(peers + used, sizeof peers - used, "%slocalhost:%u",
                     peers[used - 1] == '=' ? "" : ",", demo->nodes[j].raft_port);
    }
    char program[] = "holdfast", command[] = "server";
    char *argv[] = { program, command, id, raft, http, dir, peers, NULL };

    fflush(NULL); /* or the child would carry a copy of what is not yet written */
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return complain("cannot start", node->name);
    if (pid == 0)
        become_node(node, argv, parent);
    node->pid = pid;
    return true;
}

void demo_kill_node(struct demo *demo, unsigned i)
{
    struct demo_node *node = &demo->nodes[i];
    if (node->pid == 0)
        return;
    kill(node->pid, SIGKILL);
    waitpid(node->pid, NULL, 0);
    node->pid = 0;
}

static void show_end_of_log(const struct demo_node *node)
{
    FILE *file = fopen(node->log_path, "re");
    if (file == NULL)
        return;
    enum { LINES = 5, LINE = 400 };
    char last[LINES][LINE];
    unsigned n = 0;
    while (fgets(last[n % LINES], LINE, file) != NULL)
        n++;
    for (unsigned i = n > LINES ? n - LINES : 0; i < n; i++)
        fprintf(stderr, "    %s", last[i % LINES]);
    fclose(file);
}

unsigned demo_reap(struct demo *demo)
{
    unsigned ended = 0;
    for (unsigned i = 0; i < demo->n_nodes; i++) {
        struct demo_node *node = &demo->nodes[i];
        int status;
        if (node->pid == 0 || waitpid(node->pid, &status, WNOHANG) != node->pid)
            continue;
        node->pid = 0;
        node->killed = WIFSIGNALED(status);
        ended++;
        if (WIFSIGNALED(status))
            fprintf(stderr, "%s was ended by signal %d; the end of %s:\n", node->name,
                    WTERMSIG(status), node->log_path);
        else
            fprintf(stderr, "%s ended with status %d; the end of %s:\n", node->name,
                    WEXITSTATUS(status), node->log_path);
        show_end_of_log(node);
    }
    return ended;
}

struct holdfast_result *demo_status(struct demo *demo, unsigned i)
{
    if (demo->nodes[i].pid == 0)
        return NULL;
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    call.timeout_ms = 1000;
    call.node = demo->nodes[i].url;
    struct holdfast_result *result = holdfast_status(demo->db, &call);
    if (result->error == HOLDFAST_OK && result->status != NULL)
        return result;
    holdfast_result_free(result);
    return NULL;
}

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

bool demo_interrupted(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

int demo_wait_leader(struct demo *demo, uint64_t within_ms)
{
    uint64_t deadline = clock_monotonic_ms() + within_ms;
    while (clock_monotonic_ms() < deadline) {
        if (demo_reap(demo) > 0 || demo_interrupted())
            return -1;
        for (unsigned i = 0; i < demo->n_nodes; i++) {
            struct holdfast_result *said = demo_status(demo, i);
            bool leads = said != NULL && strcmp(said->status->state, "leader") == 0;
            holdfast_result_free(said);
            if (leads)
                return (int)i;
        }
        sleep_ms(POLL_MS);
    }
    fprintf(stderr, "holdfast: demo: no leader within %llu ms\n", (unsigned long long)within_ms);
    return -1;
}

/* ---- the end */

static void stop_all(struct demo *demo)
{
    for (unsigned i = 0; i < demo->n_nodes; i++)
        if (demo->nodes[i].pid != 0)
            kill(demo->nodes[i].pid, SIGTERM);
    uint64_t deadline = clock_monotonic_ms() + STOP_WITHIN_MS;
    for (unsigned i = 0; i < demo->n_nodes; i++) {
        struct demo_node *node = &demo->nodes[i];
        while (node->pid != 0 && clock_monotonic_ms() < deadline) {
            if (waitpid(node->pid, NULL, WNOHANG) == node->pid)
                node->pid = 0;
            else
                sleep_ms(POLL_MS);
        }
        demo_kill_node(demo, i);
    }
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

void demo_close(struct demo *demo, bool fine)
{
    stop_all(demo);
    holdfast_close(demo->db);
    while (demo->n_held > 0)
        close(demo->held[--demo->n_held]);
    if (demo->dir[0] == '\0')
        return;
    if (!demo->dir_is_ours || !fine)
        printf("The data is kept in %s\n", demo->dir);
    else if (nftw(demo->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0)
        printf("The data in %s is removed; with --dir DIR it would be kept.\n", demo->dir);
    else
        complain("cannot remove all of", demo->dir);
}
