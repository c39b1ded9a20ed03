/* test_transport.c - peer links over real sockets: several nodes in one process, on one loop. */
#include "net_tool.h"

#include <holdfast/clock.h>
#include <holdfast/http.h>
#include <holdfast/log.h>
#include <holdfast/transport.h>

#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NODES = 4, PARK_MS = 400, WAIT_MS = 10000 };

/* Test frames are texts behind their size.  '?' asks: the answer is the same text with '!',
 * `delay` turns of a timer later. */
struct node {
    raft_id id;
    uint16_t port;
    struct transport *transport;
    uint32_t frames, answers;
    uint64_t bytes;
    char last[64], first[64];
    uint32_t unreachable[LANES], refused, unsent;
    char why[REFUSAL_MAX];
    enum verdict verdict;
    bool late;             /* answer from a timer, not from on_body */
    raft_id asker;
    char question[64];
    struct event *timer;
};

static struct event_base *base;
static struct node nodes[NODES];

static struct blob *frame_of(const char *text, size_t size)
{
    uint32_t length = (uint32_t)size;
    struct blob *blob = blob_new(4 + size);
    memset(blob->data, ' ', blob->size);
    memcpy(blob->data, &length, 4);
    memcpy(blob->data + 4, text, strlen(text));
    return blob;
}

static void say(struct node *from, struct node *to, enum lane lane, bool answer, const char *text)
{
    struct network *network = transport_network(from->transport);
    network->ops->send(network, to->id, lane, answer, frame_of(text, strlen(text)));
}

static void answer_question(struct node *node)
{
    node->question[0] = '!';
    struct network *network = transport_network(node->transport);
    network->ops->send(network, node->asker, LANE_BULK, true,
                       frame_of(node->question, strlen(node->question)));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    answer_question(arg);
}

static void on_text(struct node *node, raft_id from, const char *text, size_t size)
{
    size_t n = size < 63 ? size : 63;
    memcpy(node->last, text, n);
    node->last[n] = '\0';
    if (node->frames++ == 0)
        memcpy(node->first, node->last, sizeof node->first);
    node->bytes += size;
    node->answers += text[0] == '!';
    if (text[0] != '?')
        return;
    memcpy(node->question, node->last, sizeof node->question);
    node->asker = from;
    struct timeval soon = { 0, 3000 };
    if (node->late)
        event_add(node->timer, &soon);
    else
        answer_question(node);
}

static enum verdict on_body(void *arg, const struct envelope *envelope, struct blob *body,
                            struct slice frames, char *why)
{
    struct node *node = arg;
    const unsigned char *at = frames.data;
    ck_assert_ptr_eq(frames.data, body->data + ENVELOPE_SIZE);
    if (node->verdict != VERDICT_ACCEPTED) {
        snprintf(why, REFUSAL_MAX, "this node takes nothing");
        return node->verdict;
    }
    for (uint32_t i = 0; i < envelope->n_frames; i++) {
        uint32_t size;
        memcpy(&size, at, 4);
        on_text(node, envelope->from, (const char *)at + 4, size);
        at += 4 + size;
    }
    ck_assert_ptr_eq(at, (const unsigned char *)frames.data + frames.size);
    return VERDICT_ACCEPTED;
}

static void on_unreachable(void *arg, raft_id peer, enum lane lane)
{
    struct node *node = arg;
    (void)peer;
    node->unreachable[lane]++;
}

static void on_unsent(void *arg, raft_id peer, struct slice frame)
{
    struct node *node = arg;
    (void)peer;
    node->unsent++;
    const char *bytes = frame.data;
    snprintf(node->last, sizeof node->last, "%.*s", (int)frame.size - 4, bytes + 4);
}

static void on_refused(void *arg, raft_id peer, const char *why)
{
    struct node *node = arg;
    (void)peer;
    node->refused++;
    snprintf(node->why, sizeof node->why, "%s", why);
}

static void node_open(struct node *node, uint16_t port)
{
    struct transport_config config = { .cluster = 7,
                                       .self = node->id,
                                       .connect_timeout_ms = 300,
                                       .exchange_timeout_ms = 1500,
                                       .park_ms = PARK_MS };
    char address[64], message[HTTP_MESSAGE_MAX];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    ck_assert_msg(transport_new(base, &config, address, &node->transport, message) == OK, "%s",
                  message);
    node->port = transport_port(node->transport);
    if (node->timer == NULL)
        node->timer = event_new(base, -1, 0, on_timer, node);
}

static void node_start(struct node *node)
{
    struct network_events events = { on_body, on_unreachable, on_unsent, on_refused, node };
    transport_start(node->transport, &events);
}

static void introduce_at(struct node *node, struct node *peer, const char *host, uint16_t port)
{
    char address[64];
    snprintf(address, sizeof address, "%s:%u", host, port);
    struct network *network = transport_network(node->transport);
    network->ops->set_peer(network, peer->id, address);
}

static void setup(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
    base = tool_base_new();
    memset(nodes, 0, sizeof nodes);
    for (int i = 0; i < NODES; i++) {
        nodes[i].id = (raft_id)(100 + i);
        node_open(&nodes[i], 0);
    }
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < NODES; k++)
            if (i != k)
                introduce_at(&nodes[i], &nodes[k], "127.0.0.1", nodes[k].port);
    for (int i = 0; i < NODES; i++)
        node_start(&nodes[i]);
}

static void teardown(void)
{
    for (int i = 0; i < NODES; i++) {
        transport_free(nodes[i].transport);
        if (nodes[i].timer != NULL)
            event_free(nodes[i].timer);
    }
    event_base_free(base);
}

static struct network_stats stats_of(const struct node *node)
{
    struct network_stats stats;
    transport_stats(node->transport, &stats);
    return stats;
}

/* ---- conditions */

struct count {
    const uint32_t *what;
    uint32_t at_least;
};

static bool counted(void *arg)
{
    const struct count *count = arg;
    return *count->what >= count->at_least;
}

static void wait_count(const uint32_t *what, uint32_t at_least, const char *name)
{
    struct count count = { what, at_least };
    ck_assert_msg(tool_wait(base, counted, &count, WAIT_MS), "%s stayed at %u, not %u", name, *what,
                  at_least);
}
#define WAIT(what, at_least) wait_count(&(what), (at_least), #what)

/* ---- tests */

START_TEST(frames_travel_both_ways)
{
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "a to b");
    say(&nodes[1], &nodes[0], LANE_BULK, false, "b to a");
    WAIT(nodes[1].frames, 1);
    WAIT(nodes[0].frames, 1);
    ck_assert_str_eq(nodes[1].last, "a to b");
    ck_assert_str_eq(nodes[0].last, "b to a");
}
END_TEST

START_TEST(frames_of_one_turn_leave_in_one_exchange)
{
    char text[32];
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "frame %d", i);
        say(&nodes[0], &nodes[1], LANE_BULK, false, text);
    }
    WAIT(nodes[1].frames, 100);
    ck_assert_str_eq(nodes[1].first, "frame 0");
    ck_assert_str_eq(nodes[1].last, "frame 99");
    ck_assert_uint_eq(stats_of(&nodes[0]).exchanges_out, 1);
    ck_assert_uint_eq(stats_of(&nodes[1]).exchanges_in, 1);
    ck_assert_uint_eq(stats_of(&nodes[1]).frames_in, 100);
}
END_TEST

START_TEST(an_answer_rides_in_the_response_at_once_or_later)
{
    for (int i = 0; i < 20; i++) {
        nodes[1].late = i % 2 == 1;
        say(&nodes[0], &nodes[1], LANE_BULK, false, "?question");
        WAIT(nodes[0].answers, (uint32_t)i + 1);
    }
    ck_assert_str_eq(nodes[0].last, "!question");
    ck_assert_uint_eq(stats_of(&nodes[0]).exchanges_out, 20);
    ck_assert_uint_eq(stats_of(&nodes[1]).exchanges_out, 0);
}
END_TEST

START_TEST(a_request_without_an_answer_is_released_after_a_while)
{
    uint64_t start = clock_monotonic_ms();
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "first");
    WAIT(nodes[1].frames, 1);
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "second");
    WAIT(nodes[1].frames, 2);
    ck_assert_uint_ge(clock_monotonic_ms() - start, PARK_MS);
    ck_assert_uint_eq(stats_of(&nodes[0]).exchanges_failed, 0);
    ck_assert_uint_eq(nodes[0].unreachable[LANE_CONTROL], 0);
}
END_TEST

START_TEST(lanes_do_not_wait_for_each_other)
{
    say(&nodes[0], &nodes[1], LANE_BULK, false, "parked");
    WAIT(nodes[1].frames, 1);
    uint64_t start = clock_monotonic_ms();
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "urgent");
    WAIT(nodes[1].frames, 2);
    ck_assert_uint_lt(clock_monotonic_ms() - start, PARK_MS / 2);
}
END_TEST

START_TEST(an_answer_without_a_request_open_is_its_own_exchange_and_is_not_parked)
{
    uint64_t start = clock_monotonic_ms();
    for (uint32_t i = 1; i <= 10; i++) {
        say(&nodes[0], &nodes[1], LANE_CONTROL, true, "!unasked");
        WAIT(nodes[1].answers, i);
    }
    ck_assert_uint_lt(clock_monotonic_ms() - start, PARK_MS);
    ck_assert_uint_eq(stats_of(&nodes[0]).exchanges_out, 10);
}
END_TEST

START_TEST(two_answers_that_leave_together_release_two_requests)
{
    say(&nodes[0], &nodes[1], LANE_BULK, false, "append");
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "heartbeat");
    WAIT(nodes[1].frames, 2);
    uint64_t start = clock_monotonic_ms();
    say(&nodes[1], &nodes[0], LANE_CONTROL, true, "!append");
    say(&nodes[1], &nodes[0], LANE_CONTROL, true, "!heartbeat");
    WAIT(nodes[0].answers, 2);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "more");
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "more");
    WAIT(nodes[1].frames, 4);
    ck_assert_uint_lt(clock_monotonic_ms() - start, PARK_MS / 2);
}
END_TEST

START_TEST(an_answer_releases_the_lane_that_it_answers)
{
    say(&nodes[0], &nodes[1], LANE_BULK, false, "append");
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "read index");
    WAIT(nodes[1].frames, 2);
    uint64_t start = clock_monotonic_ms();
    say(&nodes[1], &nodes[0], LANE_BULK, true, "!append");
    WAIT(nodes[0].answers, 1);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "next append");
    WAIT(nodes[1].frames, 3);
    ck_assert_str_eq(nodes[1].last, "next append");
    ck_assert_uint_lt(clock_monotonic_ms() - start, PARK_MS / 2);
}
END_TEST

START_TEST(a_full_queue_drops_its_oldest_and_says_so_once)
{
    char text[32];
    uint16_t port = nodes[1].port;
    transport_free(nodes[1].transport);
    nodes[1].transport = NULL;
    say(&nodes[0], &nodes[1], LANE_BULK, false, "lost with its exchange");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    for (int i = 0; i < 1500; i++) {
        snprintf(text, sizeof text, "frame %d", i);
        say(&nodes[0], &nodes[1], LANE_BULK, false, text);
    }
    uint32_t before = nodes[0].unreachable[LANE_BULK];
    ck_assert_uint_eq(stats_of(&nodes[0]).frames_dropped, 1500 - 1024);
    tool_turn(base, 20);
    ck_assert_uint_eq(nodes[0].unreachable[LANE_BULK], before + 1);
    /* What is kept is the newest; an exchange that fails loses what it carries. */
    node_open(&nodes[1], port);
    introduce_at(&nodes[1], &nodes[0], "127.0.0.1", nodes[0].port);
    node_start(&nodes[1]);
    WAIT(nodes[1].frames, 1);
    ck_assert_str_eq(nodes[1].last, "frame 1499");
}
END_TEST

START_TEST(a_queue_is_bounded_by_bytes_too)
{
    struct network *network = transport_network(nodes[0].transport);
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", 1); /* nobody there */
    for (int i = 0; i < 40; i++)
        network->ops->send(network, nodes[1].id, LANE_BULK, false, frame_of("x", 1024 * 1024));
    uint64_t dropped = stats_of(&nodes[0]).frames_dropped;
    ck_assert_msg(dropped >= 24 && dropped <= 25, "%llu", (unsigned long long)dropped);
}
END_TEST

START_TEST(a_refusal_reaches_the_refused_with_its_sentence)
{
    nodes[1].verdict = VERDICT_REFUSED;
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "hello");
    WAIT(nodes[0].refused, 1);
    ck_assert_str_eq(nodes[0].why, "this node takes nothing");
    ck_assert_uint_ge(stats_of(&nodes[0]).refused_out, 1);
    ck_assert_uint_ge(stats_of(&nodes[1]).refused_in, 1);
}
END_TEST

START_TEST(a_node_that_says_later_is_asked_again)
{
    nodes[1].verdict = VERDICT_LATER;
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "too early");
    WAIT(nodes[0].unreachable[LANE_CONTROL], 1);
    ck_assert_uint_eq(nodes[0].refused, 0);
    nodes[1].verdict = VERDICT_ACCEPTED;
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "now");
    WAIT(nodes[1].frames, 1);
}
END_TEST

START_TEST(a_peer_that_restarts_is_found_again)
{
    for (uint32_t round = 0; round < 5; round++) {
        uint16_t port = nodes[1].port;
        nodes[1].frames = 0;
        say(&nodes[0], &nodes[1], LANE_BULK, false, "before");
        say(&nodes[0], &nodes[1], LANE_CONTROL, false, "before");
        WAIT(nodes[1].frames, 2);
        transport_free(nodes[1].transport);
        uint32_t lost = nodes[0].unreachable[LANE_BULK];
        say(&nodes[0], &nodes[1], LANE_BULK, false, "into the void");
        WAIT(nodes[0].unreachable[LANE_BULK], lost + 1);
        node_open(&nodes[1], port);
        introduce_at(&nodes[1], &nodes[0], "127.0.0.1", nodes[0].port);
        node_start(&nodes[1]);
        nodes[1].frames = 0;
        say(&nodes[0], &nodes[1], LANE_BULK, false, "after");
        WAIT(nodes[1].frames, 1);
        ck_assert_str_eq(nodes[1].last, "after");
    }
}
END_TEST

START_TEST(who_is_heard_from_is_tried_at_once)
{
    uint16_t port = nodes[1].port;
    transport_free(nodes[1].transport);
    nodes[1].transport = NULL;
    for (uint32_t i = 1; i <= 6; i++) { /* until the rest is long: 50, 100 ... 1000 ms */
        say(&nodes[0], &nodes[1], LANE_CONTROL, false, "anyone?");
        WAIT(nodes[0].unreachable[LANE_CONTROL], i);
    }
    node_open(&nodes[1], port);
    introduce_at(&nodes[1], &nodes[0], "127.0.0.1", nodes[0].port);
    node_start(&nodes[1]);
    say(&nodes[0], &nodes[1], LANE_CONTROL, false, "waiting");
    uint64_t start = clock_monotonic_ms();
    say(&nodes[1], &nodes[0], LANE_CONTROL, false, "here I am");
    WAIT(nodes[1].frames, 1);
    ck_assert_uint_lt(clock_monotonic_ms() - start, 500);
}
END_TEST

START_TEST(B28_dead_peers_do_not_disturb_the_others)
{
    uint16_t silent;
    int fd = tool_listen(&silent); /* accepts in the kernel, never answers */
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", 1);
    introduce_at(&nodes[0], &nodes[2], "127.0.0.1", silent);
    uint64_t start = clock_monotonic_ms();
    for (uint32_t i = 1; i <= 50; i++) {
        say(&nodes[0], &nodes[1], LANE_BULK, false, "dead");
        say(&nodes[0], &nodes[2], LANE_BULK, false, "silent");
        say(&nodes[0], &nodes[3], LANE_BULK, false, "?alive");
        WAIT(nodes[0].answers, i);
    }
    ck_assert_uint_lt(clock_monotonic_ms() - start, 1000);
    ck_assert_uint_ge(nodes[0].unreachable[LANE_BULK], 1);
    close(fd);
}
END_TEST

/* What certainly never left may be sent to another; of the rest nobody knows. */
START_TEST(frames_that_never_left_are_given_back)
{
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", 1); /* nobody listens */
    say(&nodes[0], &nodes[1], LANE_BULK, false, "one");
    say(&nodes[0], &nodes[1], LANE_BULK, false, "two");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    ck_assert_uint_eq(nodes[0].unsent, 2);
    ck_assert_str_eq(nodes[0].last, "two");

    uint16_t silent;
    int fd = tool_listen(&silent); /* takes the bytes, never answers */
    introduce_at(&nodes[0], &nodes[2], "127.0.0.1", silent);
    say(&nodes[0], &nodes[2], LANE_BULK, false, "three");
    WAIT(nodes[0].unreachable[LANE_BULK], 2);
    ck_assert_uint_eq(nodes[0].unsent, 2);
    close(fd);

    say(&nodes[0], &nodes[3], LANE_BULK, false, "?four"); /* arrives and is answered */
    WAIT(nodes[0].answers, 1);
    uint16_t port = nodes[3].port;
    transport_free(nodes[3].transport);
    nodes[3].transport = NULL;
    tool_turn(base, 50); /* the end of the kept connection is seen */
    say(&nodes[0], &nodes[3], LANE_BULK, false, "five");
    WAIT(nodes[0].unreachable[LANE_BULK], 3);
    ck_assert_uint_eq(nodes[0].unsent, 3);
    ck_assert_str_eq(nodes[0].last, "five");
    node_open(&nodes[3], port);
}
END_TEST

START_TEST(a_silent_peer_is_given_up_after_the_deadline)
{
    uint16_t silent;
    int fd = tool_listen(&silent);
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", silent);
    uint64_t start = clock_monotonic_ms();
    say(&nodes[0], &nodes[1], LANE_BULK, false, "anyone?");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    uint64_t passed = clock_monotonic_ms() - start;
    ck_assert_msg(passed >= 1400 && passed < 4000, "%llu ms", (unsigned long long)passed);
    ck_assert_uint_eq(stats_of(&nodes[0]).exchanges_failed, 1);
    close(fd);
}
END_TEST

START_TEST(another_node_at_the_address_is_not_taken_for_the_peer)
{
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", nodes[2].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?who are you");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    ck_assert_uint_eq(nodes[0].answers, 0);
    ck_assert_uint_eq(stats_of(&nodes[0]).refused_in, 1);
}
END_TEST

START_TEST(a_peer_may_move)
{
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", 1);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "nobody there");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", nodes[1].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "there");
    WAIT(nodes[1].frames, 1);
}
END_TEST

START_TEST(names_of_the_hosts_file_are_understood)
{
    introduce_at(&nodes[0], &nodes[1], "localhost", nodes[1].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?by name");
    WAIT(nodes[0].answers, 1);
}
END_TEST

START_TEST(a_name_that_nobody_knows_is_an_unreachable_peer)
{
    introduce_at(&nodes[0], &nodes[1], "no-such-host.invalid", nodes[1].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "by name");
    WAIT(nodes[0].unreachable[LANE_BULK], 1);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "again");
    WAIT(nodes[0].unreachable[LANE_BULK], 2);
    introduce_at(&nodes[0], &nodes[1], "127.0.0.1", nodes[1].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?by address");
    WAIT(nodes[0].answers, 1);
}
END_TEST

START_TEST(large_frames_arrive_whole_in_bodies_within_the_limit)
{
    struct network *network = transport_network(nodes[0].transport);
    for (int i = 0; i < 12; i++)
        network->ops->send(network, nodes[1].id, LANE_BULK, false, frame_of("big", 1024 * 1024));
    say(&nodes[0], &nodes[1], LANE_BULK, false, "last");
    WAIT(nodes[1].frames, 13);
    ck_assert_str_eq(nodes[1].last, "last");
    ck_assert_uint_eq(nodes[1].bytes, 12 * 1024 * 1024 + 4);
    ck_assert_uint_eq(stats_of(&nodes[1]).exchanges_in, 2);
}
END_TEST

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median_round_us(size_t size, bool pairs)
{
    enum { ROUNDS = 41 };
    uint64_t times[ROUNDS];
    struct network *network = transport_network(nodes[0].transport);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t answers = nodes[0].answers;
        uint64_t start = clock_monotonic_us();
        if (pairs) /* a frame that is lent and a small one that is copied: two writes */
            network->ops->send(network, nodes[1].id, LANE_BULK, false, frame_of("x", size));
        network->ops->send(network, nodes[1].id, LANE_BULK, false, frame_of("?", pairs ? 1 : size));
        WAIT(nodes[0].answers, answers + 1);
        times[i] = clock_monotonic_us() - start;
    }
    qsort(times, ROUNDS, sizeof times[0], by_value);
    return times[ROUNDS / 2];
}

/* What a delayed acknowledgement costs would stand out: 40 ms against a fraction of one. */
START_TEST(no_exchange_waits_for_a_delayed_acknowledgement)
{
    uint64_t small = median_round_us(20, false);
    uint64_t medium = median_round_us(20 * 1000, true);
    uint64_t large = median_round_us(100 * 1000, true);
    ck_assert_msg(medium < 30 * small + 1000 && large < 60 * small + 1000,
                  "median rounds: %llu, %llu, %llu us", (unsigned long long)small,
                  (unsigned long long)medium, (unsigned long long)large);
}
END_TEST

static void ask(const char *text, char *out, size_t size)
{
    int fd = tool_connect(nodes[0].port);
    ck_assert(tool_send_text(base, fd, text));
    tool_read(base, fd, out, size, "}}", 3000, NULL);
    close(fd);
}

START_TEST(strangers_are_told_what_this_port_is_for)
{
    char got[2048];
    ask("GET /kv/a HTTP/1.1\r\nHost: a\r\n\r\n", got, sizeof got);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 404 "));
    ck_assert_ptr_nonnull(strstr(got, "this port is for the nodes"));
    ask("GET /raft/bulk HTTP/1.1\r\nHost: a\r\n\r\n", got, sizeof got);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 405 "));
    ck_assert_ptr_nonnull(strstr(got, "Allow: POST\r\n"));
    ask("POST /raft/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", got, sizeof got);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 415 "));
    ask("POST /raft/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n", got, sizeof got);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 413 "));
    int fd = tool_connect(nodes[0].port);
    ck_assert(tool_send_text(base, fd,
                             "POST /raft/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                             "Content-Type: application/octet-stream\r\n\r\njunk"));
    tool_read(base, fd, got, sizeof got, "envelope", 3000, NULL);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 409 "));
    ck_assert_ptr_nonnull(strstr(got, "too short for an envelope"));
    close(fd);
    ck_assert_uint_eq(nodes[0].frames, 0);
}
END_TEST

/* What node 0 would say to node 1, as somebody overheard it. */
static int overheard_by(const char *text, struct node *from, struct node *to, char *got, size_t size)
{
    unsigned char body[ENVELOPE_SIZE + 64];
    char head[256];
    struct envelope envelope = { .cluster = 7, .from = from->id, .to = to->id, .n_frames = 1 };
    uint32_t length = (uint32_t)strlen(text);
    envelope_encode(&envelope, body);
    memcpy(body + ENVELOPE_SIZE, &length, 4);
    memcpy(body + ENVELOPE_SIZE + 4, text, length);
    size_t body_size = ENVELOPE_SIZE + 4 + length;
    int n = snprintf(head, sizeof head,
                     "POST /raft/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n"
                     "Content-Type: application/octet-stream\r\n\r\n", body_size);
    int fd = tool_connect(to->port);
    ck_assert(tool_send(base, fd, head, (size_t)n));
    ck_assert(tool_send(base, fd, body, body_size));
    tool_read(base, fd, got, size, "HOLDFAST", 3000, NULL);
    return fd;
}

START_TEST(answers_do_not_go_to_whoever_repeats_what_he_overheard)
{
    char got[2048];
    int fds[10];
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?first");
    WAIT(nodes[0].answers, 1);
    nodes[1].late = true; /* time enough for another to wait for the answer */
    for (uint32_t i = 0; i < 10; i++) {
        say(&nodes[0], &nodes[1], LANE_BULK, false, "?question");
        WAIT(nodes[1].frames, 2 * i + 2);
        fds[i] = overheard_by("overheard", &nodes[0], &nodes[1], got, sizeof got);
        ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 200 "));
        ck_assert_ptr_nonnull(strstr(got, "Content-Length: 64\r\n"));
        WAIT(nodes[0].answers, i + 2);
    }
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    ck_assert_str_eq(nodes[0].last, "!question");
    /* When he is gone answers ride again. */
    tool_turn(base, 1100);
    uint64_t before = stats_of(&nodes[1]).exchanges_out;
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?last");
    WAIT(nodes[0].answers, 12);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?last");
    WAIT(nodes[0].answers, 13);
    ck_assert_uint_le(stats_of(&nodes[1]).exchanges_out, before + 1);
}
END_TEST

START_TEST(a_peer_gets_in_though_strangers_have_taken_every_place)
{
    enum { CROWD = 300 };
    static int fds[CROWD];
    for (int i = 0; i < CROWD; i++)
        fds[i] = tool_connect(nodes[1].port);
    say(&nodes[0], &nodes[1], LANE_BULK, false, "?through the crowd");
    WAIT(nodes[0].answers, 1);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
}
END_TEST

START_TEST(an_address_that_is_taken_is_told_early)
{
    struct transport_config config = { .cluster = 7, .self = 1, .connect_timeout_ms = 1,
                                       .exchange_timeout_ms = 1, .park_ms = 1 };
    char address[64], message[HTTP_MESSAGE_MAX] = "";
    struct transport *transport;
    snprintf(address, sizeof address, "127.0.0.1:%u", nodes[0].port);
    ck_assert_int_eq(transport_new(base, &config, address, &transport, message), ERR_IO);
    ck_assert_ptr_nonnull(strstr(message, "is taken"));
    ck_assert_int_eq(transport_new(base, &config, "nonsense", &transport, message), ERR_IO);
    ck_assert_ptr_nonnull(strstr(message, "host:port"));
}
END_TEST

START_TEST(before_the_start_nothing_is_delivered_and_nothing_is_lost)
{
    struct node early = { .id = 200 };
    node_open(&early, 0);
    introduce_at(&nodes[0], &early, "127.0.0.1", early.port);
    introduce_at(&early, &nodes[0], "127.0.0.1", nodes[0].port);
    say(&nodes[0], &early, LANE_BULK, false, "early bird");
    say(&early, &nodes[0], LANE_BULK, false, "queued");
    tool_turn(base, 100);
    ck_assert_uint_eq(early.frames + nodes[0].frames, 0);
    node_start(&early);
    WAIT(early.frames, 1);
    WAIT(nodes[0].frames, 1);
    transport_free(early.transport);
    event_free(early.timer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport");
    TCase *tcase = tcase_create("links");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, frames_travel_both_ways);
    tcase_add_test(tcase, frames_of_one_turn_leave_in_one_exchange);
    tcase_add_test(tcase, an_answer_rides_in_the_response_at_once_or_later);
    tcase_add_test(tcase, a_request_without_an_answer_is_released_after_a_while);
    tcase_add_test(tcase, lanes_do_not_wait_for_each_other);
    tcase_add_test(tcase, an_answer_without_a_request_open_is_its_own_exchange_and_is_not_parked);
    tcase_add_test(tcase, two_answers_that_leave_together_release_two_requests);
    tcase_add_test(tcase, an_answer_releases_the_lane_that_it_answers);
    tcase_add_test(tcase, a_full_queue_drops_its_oldest_and_says_so_once);
    tcase_add_test(tcase, a_queue_is_bounded_by_bytes_too);
    tcase_add_test(tcase, a_refusal_reaches_the_refused_with_its_sentence);
    tcase_add_test(tcase, a_node_that_says_later_is_asked_again);
    tcase_add_test(tcase, a_peer_that_restarts_is_found_again);
    tcase_add_test(tcase, who_is_heard_from_is_tried_at_once);
    tcase_add_test(tcase, B28_dead_peers_do_not_disturb_the_others);
    tcase_add_test(tcase, frames_that_never_left_are_given_back);
    tcase_add_test(tcase, a_silent_peer_is_given_up_after_the_deadline);
    tcase_add_test(tcase, another_node_at_the_address_is_not_taken_for_the_peer);
    tcase_add_test(tcase, a_peer_may_move);
    tcase_add_test(tcase, names_of_the_hosts_file_are_understood);
    tcase_add_test(tcase, a_name_that_nobody_knows_is_an_unreachable_peer);
    tcase_add_test(tcase, large_frames_arrive_whole_in_bodies_within_the_limit);
    tcase_add_test(tcase, no_exchange_waits_for_a_delayed_acknowledgement);
    tcase_add_test(tcase, strangers_are_told_what_this_port_is_for);
    tcase_add_test(tcase, answers_do_not_go_to_whoever_repeats_what_he_overheard);
    tcase_add_test(tcase, a_peer_gets_in_though_strangers_have_taken_every_place);
    tcase_add_test(tcase, an_address_that_is_taken_is_told_early);
    tcase_add_test(tcase, before_the_start_nothing_is_delivered_and_nothing_is_lost);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
