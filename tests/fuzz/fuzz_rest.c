/* fuzz_rest.c - bytes of a connection, into the whole REST server over a real node that is its own
 * cluster, on memory stores and a clock of its own.
 *
 * Every answer is HTTP with one-line headers; JSON is JSON to the letter, errors have their members;
 * when the client is gone nothing waits any more, and the node holds what its log says. */
#include "src/server/json_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pipe.h"

#include <holdfast/log.h>
#include <holdfast/server.h>

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWERS_MAX = 4 * 1024 * 1024, TURNS_MAX = 20000, QUIET_TURNS = 4, ELECTION_TURNS = 1000 };

static const char own_address[] = "node1.example:9001";

static struct event_base *base;
static struct node *node;
static struct memory_disk *disk;
static struct log_store *log_store;
static struct state_store *state_store;
static struct network network;
static struct server *server;
static uint64_t now;
static bool woken, stored;
static unsigned char answers[ANSWERS_MAX + 1];
static size_t n_answers;

/* ---- the node's runner */

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return now;
}

static uint64_t now_us(void *arg)
{
    (void)arg;
    return now * 1000;
}

static void wake(void *arg)
{
    (void)arg;
    woken = true;
}

static void storage_wake(void *arg)
{
    (void)arg;
    stored = true;
}

static void refused(void *arg, const char *why)
{
    (void)arg;
    fprintf(stderr, "refused: %s\n", why);
    abort();
}

static void send_nothing(struct network *net, raft_id to, enum lane lane, bool answer,
                         struct blob *frame)
{
    (void)net, (void)to, (void)lane, (void)answer;
    blob_unref(frame);
}

static void set_no_peer(struct network *net, raft_id id, const char *address)
{
    (void)net, (void)id, (void)address;
}

static void forget_no_peer(struct network *net, raft_id id)
{
    (void)net, (void)id;
}

static void start_node(void)
{
    static const struct network_ops ops = { send_nothing, set_no_peer, forget_no_peer };
    struct node_host host = { .now_ms = now_ms, .now_us = now_us, .wall_ms = now_ms, .wake = wake,
                              .refused = refused };
    struct storage_options storage = { .wake = storage_wake };
    struct node_config config = { .http_addr = "node1.example:8001",
                                  .n_members = 1,
                                  .election_min_ms = 20,
                                  .election_max_ms = 40,
                                  .heartbeat_ms = 5,
                                  .batch_entries = 100,
                                  .flush_ms = 20,
                                  .pending_bytes_max = 64 * 1024 * 1024,
                                  .seed = 1,
                                  .pre_vote = true,
                                  .check_quorum = true };
    char message[STORAGE_MESSAGE_MAX];
    network.ops = &ops;
    snprintf(config.identity.name, sizeof config.identity.name, "node1");
    snprintf(config.identity.raft_addr, sizeof config.identity.raft_addr, "%s", own_address);
    config.identity.id = id_of_address(own_address);
    config.identity.cluster = cluster_id_of(&config.identity.id, 1);
    config.members[0].id = config.identity.id;
    snprintf(config.members[0].raft_addr, sizeof config.members[0].raft_addr, "%s", own_address);
    disk = memory_disk_new(&config.identity);
    log_store = log_memory_open(disk, &storage);
    state_store = state_memory_open(disk, &storage);
    FUZZ_MUST(node_new(&config, &host, log_store, state_store, NULL, &network, &node, message) ==
              OK);
}

static void turn_node(void)
{
    now++;
    for (int i = 0; i < 100 && (stored || woken || now >= node_deadline(node)); i++) {
        if (stored) {
            stored = false;
            node_on_storage(node);
        } else {
            woken = false;
            node_run(node);
        }
    }
}

static void turn(void)
{
    turn_node();
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void start(void)
{
    struct server_config config = { .http_addr = "",
                                    .default_timeout_ms = 500,
                                    .max_timeout_ms = 1000,
                                    .connections_max = 8,
                                    .now_ms = now_ms,
                                    .now_us = now_us,
                                    .storage = "memory" };
    char message[HTTP_MESSAGE_MAX];
    struct node_status status;
    if (base == NULL) {
        signal(SIGPIPE, SIG_IGN);
        log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz");
        base = event_base_new();
        FUZZ_MUST(base != NULL && event_base_priority_init(base, 3) == 0);
    }
    now = 1000;
    woken = stored = true;
    start_node();
    FUZZ_MUST(server_new(base, &config, node, &server, message) == OK);
    for (int i = 0;; i++) {
        FUZZ_MUST(i < ELECTION_TURNS);
        turn_node();
        node_status(node, &status);
        if (status.role == RAFT_LEADER && status.applied == status.last && status.last >= 2)
            return; /* it leads, and its announcement is applied */
    }
}

static void stop(void)
{
    server_free(server);
    log_store->ops->close(log_store);
    state_store->ops->close(state_store);
    node_free(node);
    memory_disk_free(disk);
}

/* ---- the client */

/* False: the server has ended the connection. */
static bool settle(int fd)
{
    bool open = true;
    for (int quiet = 0, turns = 0; quiet < QUIET_TURNS; quiet++) {
        size_t before = n_answers;
        FUZZ_MUST(turns++ < TURNS_MAX);
        turn();
        open = pipe_read(fd, answers, &n_answers, ANSWERS_MAX) && open;
        if (n_answers != before || !server_idle(server))
            quiet = -1;
    }
    return open;
}

static void check_header_lines(const char *head)
{
    const char *line = strstr(head, "\r\n");
    while (line != NULL) {
        line += 2;
        const char *end = strstr(line, "\r\n"), *colon = strchr(line, ':');
        size_t size = end != NULL ? (size_t)(end - line) : strlen(line);
        FUZZ_MUST(colon != NULL && colon < line + size && colon[1] == ' ');
        for (size_t i = 0; i < size; i++)
            FUZZ_MUST((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
        line = end;
    }
}

static void check_json(int status, struct slice body)
{
    struct problem problem;
    FUZZ_MUST(json_check(body, &problem));
    cJSON *json = cJSON_ParseWithLength(body.data, body.size);
    FUZZ_MUST(cJSON_IsObject(json));
    const cJSON *error = cJSON_GetObjectItem(json, "error");
    if (status >= 400 && status != 503) { /* a probe that fails is no error */
        FUZZ_MUST(cJSON_IsString(cJSON_GetObjectItem(error, "code")));
        FUZZ_MUST(cJSON_IsString(cJSON_GetObjectItem(error, "message")));
        FUZZ_MUST(cJSON_IsString(cJSON_GetObjectItem(error, "outcome")));
        FUZZ_MUST(cJSON_IsBool(cJSON_GetObjectItem(error, "retryable")));
    }
    cJSON_Delete(json);
}

static bool begins_answer(const char *at, const char *stop)
{
    return at == stop || (stop - at > 9 && memcmp(at, "HTTP/1.1 ", 9) == 0);
}

static void take_apart(void)
{
    char *at = (char *)answers, *stop = at + n_answers;
    *stop = '\0';
    while (at < stop) {
        FUZZ_MUST(begins_answer(at, stop));
        char *end = strstr(at, "\r\n\r\n"), *head = at;
        FUZZ_MUST(end != NULL);
        *end = '\0';
        at = end + 4;
        int status = atoi(head + 9);
        FUZZ_MUST(status == 100 || status == 200 || (status >= 400 && status < 600));
        check_header_lines(head);
        const char *length = strstr(head, "\r\nContent-Length: ");
        size_t size = length != NULL ? strtoul(length + 18, NULL, 10) : 0;
        if (size == 0 || ((size_t)(stop - at) < size || !begins_answer(at + size, stop))) {
            FUZZ_MUST(begins_answer(at, stop)); /* to a HEAD */
            continue;
        }
        if (strstr(head, "\r\nContent-Type: application/json") != NULL)
            check_json(status, slice_of(at, size));
        at += size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct node_status status;
    uint64_t digest;
    start();
    int fd = pipe_connect();
    n_answers = 0;
    if (size > 0)
        FUZZ_MUST(write(fd, data, size) == (ssize_t)size);
    settle(fd);
    (void)shutdown(fd, SHUT_WR);
    FUZZ_MUST(!settle(fd));
    close(fd);
    turn();
    FUZZ_MUST(server_idle(server));
    node_status(node, &status);
    FUZZ_MUST(status.role == RAFT_LEADER && status.applied == status.last);
    FUZZ_MUST(statemachine_walk_digest(node_statemachine(node), &digest) == OK);
    FUZZ_MUST(digest == status.digest);
    take_apart();
    stop();
    return 0;
}
