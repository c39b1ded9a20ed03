/* exchange.c - the asking half: per peer and lane one connection, one exchange in flight.
 *
 * Frames queue while it is, and all leave with the next.  evhttp as a client: it has only
 * timeouts of inactivity, so each exchange has a timer of its own; a connection is never freed
 * in its own callback; after any failure a new one is built. */
#include "peer.h"

#include "http_internal.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    CONTROL_FRAMES_MAX = 256,
    CONTROL_BYTES_MAX = 1024 * 1024,
    BULK_FRAMES_MAX = 1024,
    BULK_BYTES_MAX = 16 * 1024 * 1024,
    REST_MIN_MS = 50,
    REST_MAX_MS = 1000,
    IDLE_S = 300, /* shorter than the server's, so that the asker is the one who closes */
    IO_SIZE = 1024 * 1024,
    RESPONSE_HEADERS_MAX = 8 * 1024,
};

static void on_timer(evutil_socket_t fd, short what, void *arg);

void link_init(struct link *link, struct peer *peer, enum lane lane)
{
    bool control = lane == LANE_CONTROL;
    link->peer = peer;
    link->lane = lane;
    link->rest_ms = REST_MIN_MS;
    link->timer = event_new(peer->transport->base, -1, 0, on_timer, link);
    if (link->timer == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    event_priority_set(link->timer, 0);
    frame_queue_init(&link->queue, control ? CONTROL_FRAMES_MAX : BULK_FRAMES_MAX,
                     control ? CONTROL_BYTES_MAX : BULK_BYTES_MAX);
    frame_queue_init(&link->asked, BULK_FRAMES_MAX, SIZE_MAX);
}

static void free_connection(struct evhttp_connection **connection)
{
    if (*connection == NULL)
        return;
    /* Frees the request in flight too, without a callback. */
    evhttp_connection_set_closecb(*connection, NULL, NULL);
    evhttp_connection_free(*connection);
    *connection = NULL;
}

void link_fini(struct link *link)
{
    free_connection(&link->retired);
    free_connection(&link->connection);
    event_free(link->timer);
    frame_queue_fini(&link->queue);
    frame_queue_fini(&link->asked);
}

static void arm(struct link *link, uint32_t ms)
{
    struct timeval delay = { ms / 1000, ms % 1000 * 1000 };
    event_add(link->timer, &delay);
}

/* ---- connections */

static void on_closed(struct evhttp_connection *connection, void *arg)
{
    struct link *link = arg;
    (void)connection;
    link->established = link->tuned = false;
}

/* evhttp hands a request to the socket's buffer only once it is connected. */
static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    struct link *link = arg;
    (void)out;
    if (info->n_added > 0)
        link->left = true;
}

static void connect_link(struct link *link)
{
    struct peer *peer = link->peer;
    struct event_base *base = peer->transport->base;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
    if (bev == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    bufferevent_priority_set(bev, 0);
    bufferevent_set_max_single_read(bev, IO_SIZE);
    bufferevent_set_max_single_write(bev, IO_SIZE);
    link->connection = evhttp_connection_base_bufferevent_new(base, peer->transport->dns, bev,
                                                              peer->host, peer->port);
    if (link->connection == NULL ||
        evbuffer_add_cb(bufferevent_get_output(bev), on_output, link) == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    struct timeval idle = { IDLE_S, 0 };
    evhttp_connection_set_timeout_tv(link->connection, &idle);
    evhttp_connection_set_max_headers_size(link->connection, RESPONSE_HEADERS_MAX);
    evhttp_connection_set_max_body_size(link->connection, PEER_BODY_MAX);
    evhttp_connection_set_closecb(link->connection, on_closed, link);
    link->established = link->tuned = false;
}

static int socket_of(const struct link *link)
{
    return bufferevent_getfd(evhttp_connection_get_bufferevent(link->connection));
}

/* Without it a second small write waits 40 ms for a delayed acknowledgement. */
static void tune(struct link *link)
{
    int on = 1, fd = socket_of(link);
    if (!link->tuned && fd >= 0)
        link->tuned = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
}

static bool is_connected(const struct link *link)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = socket_of(link);
    return fd >= 0 && getpeername(fd, (struct sockaddr *)&address, &size) == 0;
}

/* ---- how an exchange ends */

static void log_reachable(struct link *link, bool reachable)
{
    struct peer *peer = link->peer;
    if (peer->reachable == reachable)
        return;
    peer->reachable = reachable;
    log_info(reachable ? "peer reachable" : "peer unreachable", "peer=%016" PRIx64 " address=%s",
             peer->id, peer->address);
}

/* Tells the node of frames that certainly never left; forgets the others. */
static void give_back(struct link *link)
{
    const struct network_events *events = &link->peer->transport->events;
    struct blob *frame;
    while ((frame = frame_queue_pop(&link->asked, SIZE_MAX)) != NULL) {
        if (!link->left && events->on_unsent != NULL)
            events->on_unsent(events->arg, link->peer->id, blob_slice(frame));
        blob_unref(frame);
    }
}

static void on_failure(struct link *link)
{
    give_back(link);
    link->peer->transport->stats.exchanges_failed++;
    link->lost = true;
    link->state = LANE_RESTING;
    arm(link, link->rest_ms);
    link->rest_ms = link->rest_ms * 2 < REST_MAX_MS ? link->rest_ms * 2 : REST_MAX_MS;
    transport_wake(link->peer->transport);
}

static void on_refused(struct link *link, struct evbuffer *body)
{
    struct transport *transport = link->peer->transport;
    char why[REFUSAL_MAX];
    ev_ssize_t size = evbuffer_copyout(body, why, sizeof why - 1);
    why[size > 0 ? size : 0] = '\0';
    for (char *c = why; *c != '\0'; c++) /* it goes to a log */
        if ((unsigned char)*c < ' ')
            *c = ' ';
    transport->stats.refused_out++;
    if (log_due(&link->peer->refusal_logged_ms))
        log_warn("a peer refused this node", "peer=%016" PRIx64 " address=%s why=\"%s\"",
                 link->peer->id, link->peer->address, why);
    transport->events.on_refused(transport->events.arg, link->peer->id, why);
}

static void on_response(struct evhttp_request *response, void *arg)
{
    struct link *link = arg;
    int code = response != NULL ? evhttp_request_get_response_code(response) : 0;
    event_del(link->timer);
    link->state = LANE_FREE;
    if (code == 0) {
        link->retired = link->connection;
        link->connection = NULL;
        log_reachable(link, false);
        on_failure(link);
        return;
    }
    struct evbuffer *body = evhttp_request_get_input_buffer(response);
    link->left = true;
    give_back(link);
    link->established = true;
    log_reachable(link, true);
    if (code == 409)
        on_refused(link, body);
    if (code == 200 && body_deliver(link->peer, body)) {
        link->rest_ms = REST_MIN_MS;
        transport_wake(link->peer->transport);
    } else {
        on_failure(link);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;
    const struct transport_config *config = &link->peer->transport->config;
    (void)fd;
    (void)what;
    if (link->state == LANE_RESTING) {
        link->state = LANE_FREE;
        link_kick(link);
        return;
    }
    uint64_t passed = clock_monotonic_ms() - link->asked_ms;
    if (passed < config->exchange_timeout_ms && is_connected(link)) {
        arm(link, config->exchange_timeout_ms - (uint32_t)passed);
        return;
    }
    free_connection(&link->connection);
    log_reachable(link, false);
    on_failure(link);
}

/* ---- asking */

static struct evhttp_request *new_request(struct link *link)
{
    struct evhttp_request *request = evhttp_request_new(on_response, link);
    if (request == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    if (evhttp_add_header(headers, "Host", link->peer->address) != 0 ||
        evhttp_add_header(headers, "Content-Type", "application/octet-stream") != 0 ||
        evhttp_add_header(headers, RAFT_ADDR_HEADER, link->peer->transport->raft_addr) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    return request;
}

/* Answers alone want no answer: the other side need not park them. */
static const char *write_body(struct link *link, struct evbuffer *out)
{
    struct peer *peer = link->peer;
    if (link->lane == LANE_BULK) {
        body_write(peer, &link->queue, NULL, &link->asked, out);
        return "/raft/bulk";
    }
    bool answers_only = link->queue.n == 0;
    body_write(peer, &peer->answers, &link->queue, NULL, out);
    if (peer->answers.n == 0)
        memset(peer->n_answers_for, 0, sizeof peer->n_answers_for);
    return answers_only ? "/raft/control?answers" : "/raft/control";
}

void link_kick(struct link *link)
{
    struct peer *peer = link->peer;
    struct transport *transport = peer->transport;
    free_connection(&link->retired);
    if (!transport->started || link->state != LANE_FREE)
        return;
    if (link->queue.n == 0 && (link->lane != LANE_CONTROL || peer->answers.n == 0))
        return;
    if (link->connection == NULL)
        connect_link(link);
    link->left = false;
    struct evhttp_request *request = new_request(link);
    const char *path = write_body(link, evhttp_request_get_output_buffer(request));
    link->overflowed = false;
    link->state = LANE_ASKING;
    link->asked_ms = clock_monotonic_ms();
    transport->stats.exchanges_out++;
    arm(link, link->established ? transport->config.exchange_timeout_ms
                                : transport->config.connect_timeout_ms);
    /* What fails at once has come to on_response before this returns. */
    if (evhttp_make_request(link->connection, request, EVHTTP_REQ_POST, path) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    if (link->connection != NULL)
        tune(link);
}

void link_rested(struct link *link)
{
    if (link->state != LANE_RESTING)
        return;
    event_del(link->timer);
    link->state = LANE_FREE;
    transport_wake(link->peer->transport);
}

void link_reset(struct link *link)
{
    event_del(link->timer);
    free_connection(&link->retired);
    if (link->state == LANE_ASKING) {
        free_connection(&link->connection);
        give_back(link);
        link->lost = true;
        link->peer->transport->stats.exchanges_failed++;
    } else {
        /* Perhaps we are inside its callback. */
        link->retired = link->connection;
        link->connection = NULL;
    }
    link->state = LANE_FREE;
    link->rest_ms = REST_MIN_MS;
    transport_wake(link->peer->transport);
}
