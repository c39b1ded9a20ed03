/* run_scripts.c - runs the stories in tests/script/ and compares what happens with what the file
 * says.  A script is a list of commands, each followed by what it causes, indented.  With
 * HOLDFAST_REWRITE=1 the files are written anew: read the difference before you commit it.
 *
 *   cluster voters=3 learners=0 spares=0 window=4 batch=4 prevote=1 checkquorum=1 split=0
 *   log N term=T vote=V terms...      an earlier life: node N begins with this log
 *   timeout N      it is time for N's next tick         wait MS      time passes, nobody ticks
 *   propose N K    read N    transfer N TO    unreachable N PEER    stall N    recover N
 *   disk N slow|fast                  slow: writes wait for the command `write N`
 *   write N        the oldest write of N is durable; `write N all`
 *   deliver A B    all that is under way from A to B now, oldest first; `deliver all`: until
 *                  nothing is; `deliver A B newest|oldest|copy`: one of them, `copy` stays
 *   change N MEMBER...  N is asked for these members: `1v` a voter, `4` a learner
 *   compact N LAST N drops its log up to LAST
 *   install N LAST N has got a snapshot of what is committed up to LAST
 *   drop A B       `drop all`         crash N    restart N    status
 */
#include "tests/unit/raft_cluster.h"

#include <check.h>
#include <glob.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 256 * 1024, WORDS_MAX = 40 };

struct story {
    struct cluster *c;
    bool slow[CLUSTER_NODES_MAX];
    size_t used;
    char text[TEXT_MAX]; /* what the file should say */
    char *words[WORDS_MAX];
    uint32_t n_words;
};

static struct story story;
static glob_t scripts;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = TEXT_MAX - story.used;
    int n = vsnprintf(story.text + story.used, room, format, args);
    va_end(args);
    ck_assert_msg(n >= 0 && (size_t)n < room, "the script is too long");
    story.used += (size_t)n;
}

#define U(x) ((unsigned long long)(x))

/* ---- what is told of a step */

/* v: voter, o: of the old configuration, x: leaves */
static void say_members(unsigned long long id, const struct raft *raft, uint64_t index)
{
    const struct raft_members *m = raft_members(raft, NULL, NULL);
    say("    %llu uses %s", id, m->joint ? "the joint configuration" : "the configuration");
    for (uint32_t i = 0; i < m->n; i++)
        say(" %llu%s%s%s", U(m->at[i].id), m->at[i].voter ? "v" : "", m->at[i].old_voter ? "o" : "",
            m->at[i].leaving ? "x" : "");
    say(" of entry %llu\n", U(index));
}

static void on_trace(void *arg, struct cluster *c, uint32_t node, uint32_t what,
                     const uint64_t v[4])
{
    (void)arg;
    unsigned long long id = U(c->node[node]->id);
    static const char *const causes[] = { "a higher term", "no quorum", "its disk", "removed" };
    static const char *const transfer[] = { "", "begins", "tells", "gives up" };
    switch ((enum raft_trace)what) {
    case RAFT_TRACE_ROLE:
        say("    %llu becomes %s, term %llu\n", id, raft_role_name((enum raft_role)v[0]), U(v[1]));
        break;
    case RAFT_TRACE_VOTE:
        say("    %llu %s %s to %llu for term %llu\n", id, v[2] ? "grants" : "refuses",
            v[3] ? "a pre-vote" : "its vote", U(v[0]), U(v[1]));
        break;
    case RAFT_TRACE_APPEND_REFUSED:
        say("    %llu has no %llu/%llu\n", id, U(v[1]), U(v[2]));
        break;
    case RAFT_TRACE_TRUNCATE:
        say("    %llu erases %llu..%llu\n", id, U(v[0]), U(v[1]));
        break;
    case RAFT_TRACE_COMMIT:
        say("    %llu commits up to %llu\n", id, U(v[1]));
        break;
    case RAFT_TRACE_STEP_DOWN:
        say("    %llu steps down: %s\n", id, causes[v[0]]);
        break;
    case RAFT_TRACE_IGNORED:
        say("    %llu ignores %s of %llu, term %llu\n", id,
            raft_msg_type_name((enum raft_msg_type)v[0]), U(v[1]), U(v[2]));
        break;
    case RAFT_TRACE_PROBE:
        say("    %llu probes %llu from %llu on\n", id, U(v[0]), U(v[2]));
        break;
    case RAFT_TRACE_TRANSFER:
        say("    %llu transfer to %llu: %s\n", id, U(v[0]), transfer[v[1]]);
        break;
    case RAFT_TRACE_SNAPSHOT:
        say("    %llu has no append for %llu: its log begins after %llu\n", id, U(v[0]), U(v[1]));
        break;
    case RAFT_TRACE_COMPACTED:
        say("    %llu compacts its log up to %llu\n", id, U(v[1]));
        break;
    case RAFT_TRACE_INSTALLED:
        say("    %llu installs the snapshot %llu/%llu%s\n", id, U(v[0]), U(v[1]),
            v[2] ? " and keeps what is behind it" : "");
        break;
    case RAFT_TRACE_MEMBERS:
        say_members(id, c->node[node]->raft, v[0]);
        break;
    case RAFT_TRACE_TERM:
    case RAFT_TRACE_TRAIL_FORGOT:
    case RAFT_TRACES:
        break;
    }
}

static void say_message(const struct raft_msg *m)
{
    say("    %llu -> %llu %s term=%llu", U(m->from), U(m->to), raft_msg_type_name(m->type),
        U(m->term));
    switch (m->type) {
    case RAFT_VOTE:
        say(" last=%llu/%llu%s%s", U(m->vote.last), U(m->vote.last_term),
            m->vote.pre ? " pre" : "", m->vote.transfer ? " transfer" : "");
        break;
    case RAFT_VOTE_REPLY:
        say("%s %s", m->vote_reply.pre ? " pre" : "", m->vote_reply.granted ? "granted" : "refused");
        break;
    case RAFT_APPEND:
        say(" prev=%llu/%llu n=%u commit=%llu", U(m->append.prev), U(m->append.prev_term),
            m->append.n, U(m->append.commit));
        break;
    case RAFT_APPEND_REPLY:
        if (m->append_reply.ok)
            say(" ok match=%llu", U(m->append_reply.match));
        else
            say(" refused prev=%llu hint=%llu/%llu", U(m->append_reply.match),
                U(m->append_reply.conflict), U(m->append_reply.conflict_term));
        break;
    case RAFT_HEARTBEAT:
        say(" commit=%llu/%llu round=%llu", U(m->heartbeat.commit), U(m->heartbeat.commit_term),
            U(m->heartbeat.round));
        break;
    case RAFT_HEARTBEAT_REPLY:
        say(" round=%llu", U(m->heartbeat_reply.round));
        break;
    case RAFT_SNAPSHOT:
        say(" base=%llu/%llu", U(m->snapshot.base), U(m->snapshot.base_term));
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_MSG_TYPES:
        break;
    }
}

static void on_step(void *arg, struct cluster *c, uint32_t node)
{
    (void)arg;
    const struct cluster_node *n = c->node[node];
    const struct raft_update *u = &n->update;
    if (n->status == RAFT_NOT_LEADER || n->status == RAFT_BUSY || n->status == RAFT_INVALID)
        say("    %llu: %s\n", U(n->id), n->status == RAFT_NOT_LEADER ? "not leader"
                                        : n->status == RAFT_BUSY     ? "busy"
                                                                     : "invalid");
    if (u->ticket != 0)
        say("    %llu saves", U(n->id));
    if (u->what & RAFT_SAVE_VOTE)
        say(" term=%llu vote=%llu", U(u->term), U(u->vote));
    if (u->what & RAFT_SAVE_ENTRIES)
        say(" %llu..%llu%s", U(u->save.first), U(u->save.first + u->save.n - 1),
            u->what & RAFT_SAVE_NOOP      ? " (no-op)"
            : u->what & RAFT_SAVE_MEMBERS ? " (configuration)"
                                          : "");
    if (u->what & RAFT_SAVE_BASE)
        say(" base=%llu/%llu", U(u->save.base), U(u->save.base_term));
    if (u->ticket != 0)
        say(story.slow[node] ? ", write %llu\n" : "\n", U(u->ticket));
    if (u->what & RAFT_FETCH)
        say("    %llu fetches a snapshot from %llu\n", U(n->id), U(u->leader));
    for (uint32_t i = 0; i < u->n_msgs; i++) {
        const struct raft_msg *m = &u->msgs[i];
        bool waits = story.slow[node] && m->after > n->durable;
        if (m->to == m->from && !waits)
            continue;
        say_message(m);
        say(waits ? ", waits for write %llu\n" : "\n", U(m->after));
    }
    for (uint32_t i = 0; i < u->n_reads; i++)
        say(u->reads[i].ok ? "    %llu read %llu may be served at %llu\n"
                           : "    %llu read %llu fails\n",
            U(n->id), U(u->reads[i].tag), U(u->reads[i].index));
}

/* ---- commands */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    ck_assert_msg(end != text && *end == '\0', "not a number: %s", text);
    return value;
}

static const char *word(uint32_t i)
{
    ck_assert_msg(i < story.n_words, "%s: a word is missing", story.words[0]);
    return story.words[i];
}

static bool word_is(uint32_t i, const char *text)
{
    return i < story.n_words && strcmp(story.words[i], text) == 0;
}

/* key=value anywhere in the command */
static uint64_t option(const char *key, uint64_t otherwise)
{
    size_t n = strlen(key);
    for (uint32_t i = 1; i < story.n_words; i++) {
        if (strncmp(story.words[i], key, n) == 0 && story.words[i][n] == '=')
            return number(story.words[i] + n + 1);
    }
    return otherwise;
}

static uint32_t node_word(uint32_t i)
{
    return cluster_place(story.c, number(word(i)));
}

static void write_fast_disks(void)
{
    for (uint32_t i = 0; i < story.c->n; i++) {
        if (!story.slow[i] && story.c->node[i]->up)
            cluster_write_all(story.c, i);
    }
}

/* Begins a node's life with the tick that is due at once and tells the first deadline. */
static void restart(uint32_t node)
{
    cluster_restart(story.c, node, 0);
    cluster_tick(story.c, node);
}

static void command_cluster(void)
{
    struct raft_config config = { .election_min_ms = 100, .election_max_ms = 200,
                                  .heartbeat_ms = 10,
                                  .batch_entries = (uint32_t)option("batch", 4),
                                  .window = (uint32_t)option("window", 4),
                                  .pre_vote = option("prevote", 1) != 0,
                                  .check_quorum = option("checkquorum", 1) != 0, .seed = 42 };
    story.c = cluster_new((uint32_t)option("voters", 3), (uint32_t)option("learners", 0),
                          (uint32_t)option("spares", 0), &config);
    story.c->split = (uint32_t)option("split", 0);
    story.c->on_trace = on_trace;
    story.c->on_step = on_step;
    for (uint32_t i = 0; i < story.c->n; i++)
        cluster_tick(story.c, i);
}

static void command_log(void)
{
    raft_term terms[WORDS_MAX];
    uint32_t n = 0, node = node_word(1);
    for (uint32_t i = 2; i < story.n_words; i++) {
        if (strchr(story.words[i], '=') == NULL)
            terms[n++] = number(story.words[i]);
    }
    cluster_set_disk(story.c, node, option("term", n > 0 ? terms[n - 1] : 0), option("vote", 0),
                     terms, n);
    restart(node);
}

static void command_event(enum raft_event_type type, uint64_t peer, bool stalled)
{
    struct raft_event event = { .type = type, .now = story.c->now };
    if (type == RAFT_TRANSFER)
        event.transfer.to = peer;
    else if (type == RAFT_UNREACHABLE)
        event.unreachable.peer = peer;
    else
        event.disk.stalled = stalled;
    cluster_event(story.c, node_word(1), &event);
}

static void command_change(void)
{
    struct raft_members members = { 0 };
    for (uint32_t i = 2; i < story.n_words; i++) {
        char *end;
        members.at[members.n].id = strtoull(story.words[i], &end, 10);
        members.at[members.n++].voter = *end == 'v';
    }
    cluster_change(story.c, node_word(1), &members);
}

static void command_timeout(void)
{
    uint32_t node = node_word(1);
    if (story.c->node[node]->update.deadline > story.c->now)
        story.c->now = story.c->node[node]->update.deadline;
    cluster_tick(story.c, node);
}

static bool is_between(uint32_t i, uint64_t from, uint64_t to)
{
    const struct raft_msg *m = &story.c->net[i]->msg;
    return (from == 0 || m->from == from) && (to == 0 || m->to == to);
}

/* The oldest (or newest) packet between the two, or n_net. */
static uint32_t packet(uint64_t from, uint64_t to, bool newest)
{
    uint32_t found = story.c->n_net;
    for (uint32_t i = 0; i < story.c->n_net; i++) {
        if (is_between(i, from, to) && (newest || found == story.c->n_net))
            found = i;
    }
    return found;
}

static void command_deliver(void)
{
    struct cluster *c = story.c;
    if (word_is(1, "all")) {
        for (uint32_t n = 0; c->n_net > 0; n++) {
            ck_assert_msg(n < 1000, "deliver all: it never ends");
            cluster_deliver(c, 0, false);
            write_fast_disks();
        }
        return;
    }
    uint64_t from = number(word(1)), to = number(word(2));
    if (story.n_words > 3) {
        uint32_t i = packet(from, to, word_is(3, "newest"));
        ck_assert_msg(i < c->n_net, "deliver: nothing is under way");
        cluster_deliver(c, i, word_is(3, "copy"));
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->n_net; i++)
        count += is_between(i, from, to);
    ck_assert_msg(count > 0, "deliver: nothing is under way");
    for (; count > 0; count--) {
        cluster_deliver(c, packet(from, to, false), false);
        write_fast_disks();
    }
}

static void command_drop(void)
{
    uint64_t from = word_is(1, "all") ? 0 : number(word(1));
    uint64_t to = word_is(1, "all") ? 0 : number(word(2));
    for (uint32_t i; (i = packet(from, to, false)) < story.c->n_net;)
        cluster_drop(story.c, i);
}

static void command_write(void)
{
    uint32_t node = node_word(1);
    ck_assert_msg(story.c->node[node]->n_writes > 0, "write: nothing is unwritten");
    if (word_is(2, "all"))
        cluster_write_all(story.c, node);
    else
        cluster_write_one(story.c, node);
}

static void command_status(void)
{
    for (uint32_t i = 0; i < story.c->n; i++) {
        const struct cluster_node *n = story.c->node[i];
        say("    %llu %s term=%llu commit=%llu log:", U(n->id),
            n->up ? raft_role_name(n->update.role) : "down", U(n->update.term),
            U(n->update.commit));
        if (n->log.base > 0)
            say(" (%llu)", U(n->log.base));
        for (raft_index k = n->log.base + 1; k <= n->log.last; k++)
            say(" %llu", U(n->log.at[k].head.term));
        say("\n");
    }
}

static void run_command(void)
{
    if (word_is(0, "cluster")) {
        command_cluster();
        return;
    }
    ck_assert_msg(story.c != NULL, "a script begins with `cluster`");
    if (word_is(0, "log"))
        command_log();
    else if (word_is(0, "timeout"))
        command_timeout();
    else if (word_is(0, "wait"))
        story.c->now += number(word(1));
    else if (word_is(0, "propose"))
        cluster_propose(story.c, node_word(1), (uint32_t)number(word(2)));
    else if (word_is(0, "read"))
        cluster_read(story.c, node_word(1));
    else if (word_is(0, "transfer"))
        command_event(RAFT_TRANSFER, number(word(2)), false);
    else if (word_is(0, "unreachable"))
        command_event(RAFT_UNREACHABLE, number(word(2)), false);
    else if (word_is(0, "change"))
        command_change();
    else if (word_is(0, "stall") || word_is(0, "recover"))
        command_event(RAFT_DISK, 0, word_is(0, "stall"));
    else if (word_is(0, "disk"))
        story.slow[node_word(1)] = word_is(2, "slow");
    else if (word_is(0, "write"))
        command_write();
    else if (word_is(0, "deliver"))
        command_deliver();
    else if (word_is(0, "drop"))
        command_drop();
    else if (word_is(0, "crash"))
        cluster_crash(story.c, node_word(1), 0);
    else if (word_is(0, "restart"))
        restart(node_word(1));
    else if (word_is(0, "compact"))
        cluster_compact(story.c, node_word(1), number(word(2)));
    else if (word_is(0, "install"))
        cluster_install(story.c, node_word(1), number(word(2)));
    else if (word_is(0, "status"))
        command_status();
    else
        ck_abort_msg("no such command: %s", story.words[0]);
    write_fast_disks();
}

/* ---- scripts */

static void run_line(char *line)
{
    if (line[0] == ' ')
        return; /* what was expected */
    say("%s\n", line);
    if (line[0] == '#' || line[0] == '\0')
        return;
    story.n_words = 0;
    for (char *w = strtok(line, " "); w != NULL; w = strtok(NULL, " ")) {
        ck_assert_uint_lt(story.n_words, WORDS_MAX);
        story.words[story.n_words++] = w;
    }
    run_command();
}

static void say_difference(const char *path, const char *expected, const char *got)
{
    uint32_t line = 1;
    while (*expected == *got) {
        line += *got == '\n';
        expected++;
        got++;
    }
    while (expected[-1] != '\n' && got[-1] != '\n') {
        expected--;
        got--;
    }
    ck_abort_msg("%s:%u\n  expected: %.*s\n  happened: %.*s\n(HOLDFAST_REWRITE=1 writes it anew)",
                 path, line, (int)strcspn(expected, "\n"), expected, (int)strcspn(got, "\n"), got);
}

START_TEST(script_tells_what_happens)
{
    const char *path = scripts.gl_pathv[_i];
    static char expected[TEXT_MAX], lines[TEXT_MAX];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(expected, 1, sizeof expected - 1, file);
    fclose(file);
    expected[n] = '\0';
    memcpy(lines, expected, n + 1);
    memset(&story, 0, sizeof story);
    for (char *line = lines, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        run_line(line);
    }
    cluster_check_trails(story.c);
    cluster_free(story.c);
    if (getenv("HOLDFAST_REWRITE") != NULL) {
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fwrite(story.text, 1, story.used, file);
        ck_assert_int_eq(fclose(file), 0);
    } else if (strcmp(expected, story.text) != 0) {
        say_difference(path, expected, story.text);
    }
}
END_TEST

int main(void)
{
    const char *top = getenv("top_srcdir");
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s/tests/script/*.script", top == NULL ? "." : top);
    if (glob(pattern, 0, NULL, &scripts) != 0) {
        fprintf(stderr, "no scripts at %s: set top_srcdir\n", pattern);
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("raft, scripts");
    TCase *tc = tcase_create("scripts");
    tcase_add_loop_test(tc, script_tells_what_happens, 0, (int)scripts.gl_pathc);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    globfree(&scripts);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
