/* server_main.c - `holdfast server`: puts a node together from its modules, runs it until a
 * signal, and takes it apart in the reverse order. */
#include "commands.h"
#include "server_process.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PEER_CONNECT_TIMEOUT_MS = 500,
    PEER_EXCHANGE_TIMEOUT_MS = 5000, /* a full bulk body on a slow line */
    PEER_PARK_MS = 20, /* what waits behind an exchange that gets no answer waits so long */
    STOP_LOOK_MS = 10,
    IDLE_LOOKS = 3,      /* at the first, the last answers may still be on their way out */
    REMOVED_STOP_MS = 1000,
    STOP_GRACE_MS = 500, /* beyond the node's own time: to send the last answers */
};

static int refuse_start(const char *sentence)
{
    return usage_error("%s", sentence);
}

/* ---- signals */

static void on_stop_timer(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct process *process = arg;
    bool idle = node_stopped(process->node) && server_idle(process->server);
    process->idle_looks = idle ? process->idle_looks + 1 : 0;
    if (process->idle_looks == IDLE_LOOKS || clock_monotonic_ms() >= process->stop_deadline_ms)
        event_base_loopbreak(process->loop.base);
    else
        loop_event_add_ms(process->stop_timer, STOP_LOOK_MS);
}

static void begin_stop(struct process *process, uint64_t timeout_ms)
{
    process->stop_deadline_ms = clock_monotonic_ms() + timeout_ms + STOP_GRACE_MS;
    server_stop(process->server);
    node_stop(process->node, (uint32_t)timeout_ms);
    loop_event_add_ms(process->stop_timer, STOP_LOOK_MS);
}

static void on_stop_signal(int number, short what, void *arg)
{
    (void)what;
    struct process *process = arg;
    if (process->stop_deadline_ms != 0) {
        log_warn("stopped at once by a second signal", "");
        _exit(EXIT_STATUS_OK); /* what was acknowledged is durable; the rest is as in a crash */
    }
    uint64_t timeout_ms = process->options.stop_timeout_ms;
    log_info("stopping", "signal=%s at_most_ms=%" PRIu64, number == SIGINT ? "INT" : "TERM",
             timeout_ms);
    begin_stop(process, timeout_ms);
}

/* The log level is what can be changed in a running node. */
static void on_reload_signal(int number, short what, void *arg)
{
    (void)number, (void)what;
    struct process *process = arg;
    if (process->options.config[0] == '\0') {
        log_warn("there is no configuration file to reload", "");
        return;
    }
    struct options *fresh = memory_new(sizeof *fresh);
    char why[WHY_MAX];
    *fresh = process->options;
    if (options_load_file(process->options.config, fresh, why)) {
        log_set_level((enum log_level)fresh->log_level);
        log_info("reloaded the log level", "file=%s", process->options.config);
    } else {
        log_error("the configuration file was not reloaded", "why=\"%s\"", why);
    }
    free(fresh);
}

static void watch_signals(struct process *process)
{
    struct event_base *base = process->loop.base;
    process->sigterm = evsignal_new(base, SIGTERM, on_stop_signal, process);
    process->sigint = evsignal_new(base, SIGINT, on_stop_signal, process);
    process->sighup = evsignal_new(base, SIGHUP, on_reload_signal, process);
    struct event *all[] = { process->sigterm, process->sigint, process->sighup };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] == NULL || event_priority_set(all[i], LOOP_PRIORITY_PEERS) != 0 ||
            event_add(all[i], NULL) != 0)
            panic(EXIT_STATUS_IO, "signals could not be watched");
    process->stop_timer = loop_event_new(&process->loop, -1, 0, LOOP_PRIORITY_PEERS, on_stop_timer,
                                         process);
}

/* ---- opening, bottom up */

static void reject_probe(void *arg, struct http_request *request)
{
    (void)arg;
    http_reply(request, 503, "text/plain", NULL, 0, slice_text(""));
}

static size_t no_error_body(void *arg, int status, const char *code, const char *message, char *out,
                            size_t size)
{
    (void)arg, (void)status, (void)code, (void)message, (void)out, (void)size;
    return 0;
}

/* Both addresses are tried before the data directory is touched: a mistyped address must not
 * leave a directory behind that carries it. */
static bool try_address(struct process *process, const char *flag, const char *address)
{
    struct http_config config = {
        .address = address, .headers_max = 1024, .body_max = 1, .connections_max = 1,
        .held_max = 1,
        .headers_timeout_ms = 1000, .body_timeout_ms = 1000, .idle_timeout_ms = 1000,
        .write_timeout_ms = 1000,
    };
    char message[HTTP_MESSAGE_MAX];
    struct http_server *probe;
    if (http_server_new(process->loop.base, &config, reject_probe, no_error_body, NULL, &probe,
                        message) != OK) {
        usage_error("%s: %s", flag, message);
        return false;
    }
    http_server_free(probe);
    return true;
}

static bool make_folder(const char *path)
{
    char part[OPTION_PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *c = part + 1; *c != '\0'; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return false;
        *c = '/';
    }
    return mkdir(part, 0777) == 0 || errno == EEXIST;
}

static int open_memory(struct process *process, const struct storage_options *options)
{
    struct identity *identity = &process->config.identity;
    random_bytes(identity->incarnation, sizeof identity->incarnation);
    process->disk = memory_disk_new(identity);
    process->log = log_memory_open(process->disk, options);
    process->state = state_memory_open(process->disk, options);
    process->snapshots = snapshot_memory_open(process->disk, options);
    log_warn("storage=memory: nothing survives the end of this process, and a restarted node is "
             "refused by its cluster", "");
    return EXIT_STATUS_OK;
}

static int open_lmdb(struct process *process, struct storage_options *options)
{
    const struct options *asked = &process->options;
    char path[OPTION_PATH_MAX + NODE_NAME_MAX + 2], message[STORAGE_MESSAGE_MAX];
    if (!make_folder(asked->data_dir))
        return usage_error("the data directory %s cannot be made: %s", asked->data_dir,
                           strerror(errno));
    server_data_path(asked, path, sizeof path);

    options->log_map_bytes = asked->log_map_bytes;
    options->state_map_bytes = asked->state_map_bytes;
    enum err err = data_directory_open(path, &process->config.identity, &process->directory,
                                       message);
    if (err == OK)
        err = log_lmdb_open(process->directory, options, &process->log, message);
    if (err == OK)
        err = state_lmdb_open(process->directory, options, &process->state, message);
    if (err == OK)
        err = snapshot_lmdb_open(process->directory, process->state, options, &process->snapshots,
                                 message);
    if (err == OK)
        return EXIT_STATUS_OK;
    refuse_start(message);
    return err == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_USAGE;
}

static int open_stores(struct process *process)
{
    struct storage_options options = { .wake = loop_storage_wake, .wake_arg = &process->loop };
    if (process->options.storage == STORAGE_MEMORY)
        return open_memory(process, &options);
    return open_lmdb(process, &options);
}

/* Who was removed stays away; who has moved remembers where to. */
static int check_membership(struct process *process)
{
    struct log_store *log = process->log;
    struct identity *identity = &process->config.identity;
    char text[META_TEXT_MAX];
    if (log->ops->meta_get(log, "removed", text) == OK) {
        fprintf(stderr, "holdfast: this node was removed from its cluster: %s; to become a member again "
                "it needs an empty data directory, and --join\n", text);
        return EXIT_STATUS_REFUSED;
    }
    if (strcmp(process->stored_raft_addr, process->options.raft_addr) != 0) {
        struct log_job *job = log_job_new(0, 1);
        snprintf(job->meta[0].key, META_KEY_MAX, "raft_addr");
        snprintf(job->meta[0].text, META_TEXT_MAX, "%s", process->options.raft_addr);
        log->ops->submit(log, job);
        log_info("the raft address has changed", "from=%s to=%s", process->stored_raft_addr,
                 process->options.raft_addr);
        memcpy(identity->raft_addr, process->options.raft_addr, sizeof identity->raft_addr);
    }
    return EXIT_STATUS_OK;
}

/* Clients may have what the node itself and its peers do not need. */
static bool share_descriptors(struct process *process)
{
    uint64_t limit = descriptors_limit();
    uint32_t wanted = (uint32_t)process->options.connections_max;
    struct descriptors *share = &process->descriptors;
    /* Members may be added later: room for as many as there may be, if the limit allows. */
    uint32_t known = process->config.n_members > 0 ? process->config.n_members - 1 : 0;
    uint32_t others = VOTERS_MAX - 1 > known ? VOTERS_MAX - 1 : known;
    while (others > known && !descriptors_share(limit, others, wanted, share))
        others--;
    if (!descriptors_share(limit, others, wanted, share)) {
        usage_error("this process may have %" PRIu64 " file descriptors, but the node needs %" PRIu64
                    " and more for more clients: raise the limit, as with ulimit -n 4096",
                    limit, share->needed);
        return false;
    }
    if (share->clients < wanted)
        log_warn("fewer client connections than max-connections: the limit on file descriptors is "
                 "too low", "connections=%u max_connections=%u descriptors=%" PRIu64,
                 share->clients, wanted, limit);
    return true;
}

static bool open_transport(struct process *process)
{
    const struct identity *identity = &process->config.identity;
    struct transport_config config = {
        .cluster = identity->cluster, .self = identity->id,
        .connect_timeout_ms = PEER_CONNECT_TIMEOUT_MS,
        .exchange_timeout_ms = PEER_EXCHANGE_TIMEOUT_MS,
        .connections_max = process->descriptors.from_peers,
        .park_ms = PEER_PARK_MS,
    };
    memcpy(config.incarnation, identity->incarnation, sizeof config.incarnation);
    char message[HTTP_MESSAGE_MAX];
    if (transport_new(process->loop.base, &config, identity->raft_addr, &process->transport,
                      message) == OK)
        return true;
    refuse_start(message);
    return false;
}

static void refused(void *arg, const char *why)
{
    (void)arg;
    panic(EXIT_STATUS_REFUSED, "the cluster refuses this node: %s", why);
}

/* It is served out in order, as after a signal. */
static void removed(void *arg, const char *why)
{
    struct process *process = (struct process *)(void *)((char *)arg - offsetof(struct process, loop));
    log_warn("this node is no member of the cluster any more and stops",
             "why=\"%s\" advice=\"its data directory can be deleted; to come back it needs an empty "
             "one, and --join\"", why);
    if (process->stop_deadline_ms == 0)
        begin_stop(process, REMOVED_STOP_MS);
}

static void damaged(void *arg, enum err err)
{
    (void)arg;
    panic(err == ERR_IO ? EXIT_STATUS_IO : EXIT_STATUS_CORRUPT,
          "the state cannot be read: %s; this node stops, its data is left as it is; replace this "
          "member by a new one with an empty --data-dir",
          err_text(err));
}

static int open_node(struct process *process)
{
    char message[STORAGE_MESSAGE_MAX];
    struct node_host host = loop_host(&process->loop);
    host.refused = refused;
    host.removed = removed;
    host.damaged = damaged;
    enum err err = node_new(&process->config, &host, process->log, process->state,
                            process->snapshots, transport_network(process->transport), &process->node,
                            message);
    char why[WHY_MAX];
    /* It died after it was let in and before it had written down who the others are. */
    if (err == ERR_NOT_FOUND && process->options.join.n > 0) {
        if (!server_join(process, why))
            return refuse_start(why);
        err = node_new(&process->config, &host, process->log, process->state, process->snapshots,
                       transport_network(process->transport), &process->node, message);
    }
    if (err == OK)
        return EXIT_STATUS_OK;
    refuse_start(message);
    return err == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_USAGE;
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

static void network_statistics(void *arg, struct network_stats *out)
{
    struct process *process = arg;
    transport_stats(process->transport, out);
}

static bool open_server(struct process *process)
{
    const struct options *options = &process->options;
    struct server_config config = {
        .http_addr = options->http_addr,
        .redirect = options->redirect,
        .default_timeout_ms = (uint32_t)options->timeout_ms,
        .max_timeout_ms = (uint32_t)options->timeout_max_ms,
        .connections_max = process->descriptors.clients,
        .now_ms = now_ms,
        .now_us = now_us,
        .network_stats = network_statistics,
        .arg = process,
        .lmdb_version = storage_version(),
        .storage = options->storage == STORAGE_MEMORY ? "memory" : "lmdb",
    };
    char message[HTTP_MESSAGE_MAX];
    if (server_new(process->loop.base, &config, process->node, &process->server, message) == OK) {
        transport_set_handler(process->transport, server_handle, process->server);
        return true;
    }
    refuse_start(message);
    return false;
}

static int find_cluster(struct process *process)
{
    char why[WHY_MAX];
    if (process->must_discover && !server_discover(process, &process->stopped_early, why))
        return refuse_start(why);
    if (!process->stopped_early && process->must_join && !server_join(process, why))
        return refuse_start(why);
    return EXIT_STATUS_OK;
}

static int open_all(struct process *process)
{
    if (!share_descriptors(process))
        return EXIT_STATUS_USAGE;
    if (!loop_init(&process->loop))
        return usage_error("the event loop cannot be made: %s", strerror(errno));
    if (!try_address(process, "--raft-addr", process->options.raft_addr) ||
        !try_address(process, "--http-addr", process->options.http_addr))
        return EXIT_STATUS_USAGE;
    int status = find_cluster(process);
    if (status == EXIT_STATUS_OK && !process->stopped_early)
        status = open_stores(process);
    if (process->stopped_early)
        return status;
    if (status == EXIT_STATUS_OK)
        status = check_membership(process);
    if (status != EXIT_STATUS_OK)
        return status;
    if (!open_transport(process))
        return EXIT_STATUS_USAGE;
    status = open_node(process);
    if (status == EXIT_STATUS_OK && !open_server(process))
        status = EXIT_STATUS_USAGE;
    return status;
}

/* ---- running and closing, top down; also what was opened only in part */

static void run(struct process *process)
{
    const struct identity *identity = &process->config.identity;
    log_info("clients are served", "http=http://%s redirect=%s", process->options.http_addr,
             process->options.redirect ? "yes" : "no");
    log_info("peers are met", "raft=%s cluster=%016" PRIx64 " members=%s", identity->raft_addr,
             identity->cluster, identity->members);
    if (strncmp(process->options.http_addr, "0.0.0.0:", 8) == 0 ||
        strncmp(process->options.http_addr, "[::]:", 5) == 0)
        log_warn("the http address names no machine, so nobody can be redirected here", "http=%s",
                 process->options.http_addr);
    watch_signals(process);
    struct network_events events = server_watch_events(process);
    transport_start(process->transport, &events);
    loop_start(&process->loop, process->node);
    server_watch_start(process);
    if (event_base_dispatch(process->loop.base) < 0)
        panic(EXIT_STATUS_IO, "the event loop failed");
}

static void free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

static void close_all(struct process *process)
{
    loop_stop(&process->loop);
    if (process->snapshots != NULL) /* before the state that it copies from */
        process->snapshots->ops->close(process->snapshots);
    if (process->log != NULL) /* the stores first: a batch under way points into the node */
        process->log->ops->close(process->log);
    if (process->state != NULL)
        process->state->ops->close(process->state);
    if (process->node != NULL)
        node_free(process->node);
    if (process->server != NULL)
        server_free(process->server);
    if (process->transport != NULL)
        transport_set_handler(process->transport, NULL, NULL);
    if (process->transport != NULL)
        transport_free(process->transport);
    if (process->disk != NULL)
        memory_disk_free(process->disk);
    if (process->directory != NULL)
        data_directory_close(process->directory);
    free_event(process->sigterm);
    free_event(process->sigint);
    free_event(process->sighup);
    free_event(process->stop_timer);
    free_event(process->watch_timer);
    loop_fini(&process->loop);
}

static void print_help(void)
{
    puts("usage: holdfast server [FLAGS]\n\n"
         "Runs a node until SIGTERM or SIGINT.  Without a flag: a cluster of one node.\n\nflags:");
    options_print_help(stdout);
    puts("\nEach flag may also stand in the file of --config, or in the environment as\n"
         "HOLDFAST_ID, HOLDFAST_RAFT_ADDR and so on.  See holdfast-server(8).");
}

int server_command(int argc, char **argv)
{
    struct process *process = memory_new(sizeof *process);
    char why[WHY_MAX];
    bool help;
    int status = EXIT_STATUS_USAGE;
    if (!options_load(argc, argv, &process->options, &help, why)) {
        refuse_start(why);
    } else if (help) {
        print_help();
        status = EXIT_STATUS_OK;
    } else if (!server_identity(process, why)) {
        refuse_start(why);
    } else {
        log_setup((enum log_level)process->options.log_level,
                  (enum log_format)process->options.log_format, process->options.id);
        status = open_all(process);
        if (status == EXIT_STATUS_OK && !process->stopped_early)
            run(process);
        close_all(process);
        if (status == EXIT_STATUS_OK)
            log_info("stopped", "");
    }
    free(process);
    return status;
}
