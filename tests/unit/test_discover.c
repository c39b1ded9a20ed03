/* test_discover.c - who may begin a cluster, and with whom: single rounds, and thousands of stories with
 * lookups that change, answers that are late or lost, and nodes that see different sets. */
#include "src/cmd/discover.h"

#include <holdfast/wire.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- single rounds; node i listens at n<i>:1 and calls itself so */

static struct discovery discovery;
static struct round round_now;
static char why[WHY_MAX];

static void name_of(unsigned node, char *out)
{
    snprintf(out, ADDRESS_MAX + 1, "n%u:1", node);
}

static void fill(struct address_list *out, const char *nodes)
{
    out->n = 0;
    for (; *nodes != '\0'; nodes++)
        name_of((unsigned)(*nodes - '0'), out->at[out->n++]);
}

static void begin_story(uint32_t expect)
{
    memset(&discovery, 0, sizeof discovery);
    discovery = (struct discovery){ .raft_addr = "n1:1", .nonce = 101, .expect = expect };
}

static void see(const char *nodes)
{
    memset(&round_now, 0, sizeof round_now);
    for (; *nodes != '\0'; nodes++)
        name_of((unsigned)(*nodes - '0'), round_now.seen.at[round_now.seen.n++]);
    round_now.seen.total = round_now.seen.n;
}

static struct answer *hear(unsigned node)
{
    struct answer *answer = &round_now.answers[round_now.n++];
    *answer = (struct answer){ .kind = ANSWER_WAITS, .nonce = 100 + node, .expect = discovery.expect };
    name_of(node, answer->contact);
    name_of(node, answer->raft_addr);
    if (node == 1)
        answer->set = discovery.ready;
    return answer;
}

static struct answer *hear_member(unsigned node, const char *first)
{
    raft_id ids[MEMBERS_MAX];
    struct answer *answer = hear(node);
    answer->kind = ANSWER_MEMBER;
    fill(&answer->set, first);
    for (uint32_t i = 0; i < answer->set.n; i++)
        ids[i] = id_of_address(answer->set.at[i]);
    answer->cluster = cluster_id_of(ids, answer->set.n);
    return answer;
}

static enum discovery_verdict judge(void)
{
    return discovery_judge(&discovery, &round_now, why);
}

#define ck_waits(sentence)                                              \
    do {                                                                \
        ck_assert_int_eq(judge(), DISCOVERY_WAIT);                      \
        ck_assert_msg(strstr(why, sentence) != NULL, "it says: %s", why); \
    } while (0)

static void see_all_wait(const char *nodes, const char *ready)
{
    see(nodes);
    for (; *nodes != '\0'; nodes++) {
        struct answer *answer = hear((unsigned)(*nodes - '0'));
        if (*nodes != '1')
            fill(&answer->set, ready);
    }
}

START_TEST(two_lookups_and_the_word_of_all_begin_a_cluster)
{
    begin_story(3);
    see_all_wait("123", "");
    ck_waits("once more");
    see_all_wait("123", "123"); /* others may be ahead */
    ck_waits("ready to begin");
    ck_assert_uint_eq(discovery.ready.n, 3);
    see_all_wait("123", "");
    ck_waits("not ready for the same set");
    see_all_wait("123", "123");
    round_now.n = 2;
    ck_waits("n3:1 does not answer");
    see_all_wait("123", "123");
    ck_assert_int_eq(judge(), DISCOVERY_BEGIN);
}
END_TEST

START_TEST(a_lookup_that_changes_counts_anew)
{
    begin_story(2);
    see_all_wait("12", "");
    ck_waits("once more");
    see_all_wait("13", "");
    ck_waits("once more");
    see_all_wait("12", "");
    ck_waits("once more");
    see_all_wait("12", "");
    ck_waits("ready to begin");
}
END_TEST

START_TEST(what_is_waited_for_is_said)
{
    begin_story(3);
    see_all_wait("1", "");
    ck_waits("1 of 3 expected");
    see_all_wait("1234", "");
    ck_waits("more than the 3 expected");
    see_all_wait("123", "");
    round_now.answers[2].kind = ANSWER_NONE;
    ck_waits("n3:1 does not answer");
    see_all_wait("234", "");
    ck_waits("is at none of them");
    see_all_wait("123", "");
    round_now.answers[1].expect = 5;
    ck_waits("n2:1 expects 5");
    see_all_wait("123", "");
    memcpy(round_now.answers[1].raft_addr, "n3:1", 5);
    ck_waits("two of the addresses");
}
END_TEST

START_TEST(without_a_number_a_node_only_joins)
{
    begin_story(0);
    for (int i = 0; i < 5; i++) {
        see_all_wait("1", "");
        ck_waits("--expect=N");
    }
    see("12");
    hear(1);
    hear_member(2, "2");
    ck_assert_int_eq(judge(), DISCOVERY_JOIN);
}
END_TEST

START_TEST(one_is_a_cluster_only_when_it_is_asked_for)
{
    begin_story(1);
    see_all_wait("1", "");
    ck_waits("once more");
    see_all_wait("1", "");
    ck_waits("ready to begin");
    see_all_wait("1", "");
    ck_assert_int_eq(judge(), DISCOVERY_BEGIN);
}
END_TEST

START_TEST(a_cluster_that_is_there_is_joined)
{
    begin_story(3);
    see("123");
    hear(1);
    hear(2);
    hear_member(3, "345");
    ck_assert_int_eq(judge(), DISCOVERY_JOIN);
}
END_TEST

START_TEST(a_first_member_that_comes_late_begins_with_the_others)
{
    begin_story(3);
    see("1234"); /* what DNS shows does not matter */
    hear(1);
    hear_member(2, "123")->vacant = true;
    hear_member(3, "123")->vacant = true;
    hear(4);
    ck_waits("ready to begin");
    see("1234");
    hear(1);
    hear_member(2, "123")->vacant = true;
    hear_member(3, "123")->vacant = true;
    ck_assert_int_eq(judge(), DISCOVERY_BEGIN);
}
END_TEST

START_TEST(who_was_a_member_already_does_not_begin_again)
{
    begin_story(3);
    see("123");
    hear(1);
    hear_member(2, "123")->vacant = true; /* a little behind */
    hear_member(3, "123");
    ck_assert_int_eq(judge(), DISCOVERY_JOIN); /* which the cluster refuses: the place is taken */
}
END_TEST

START_TEST(a_promise_is_left_only_with_the_word_of_enough_others)
{
    begin_story(3);
    see_all_wait("123", "");
    judge();
    see_all_wait("123", "");
    judge();
    ck_assert_uint_eq(discovery.ready.n, 3);
    see_all_wait("124", "");
    judge();
    see_all_wait("124", "");
    ck_waits("other nodes are seen than before");
    ck_assert_uint_eq(discovery.ready.n, 0);
    see_all_wait("124", "123"); /* 2 may count on it still */
    ck_waits("too few of them");
    ck_assert_uint_eq(discovery.ready.n, 0);
    see_all_wait("124", "");
    ck_waits("ready to begin");
    ck_assert_str_eq(discovery.ready.at[2], "n4:1");
}
END_TEST

/* ---- stories */

enum { NODES = 6, STEPS = 800, STORIES = 20000 };

struct player {
    struct discovery discovery;
    char raft_addr[ADDRESS_MAX + 1];
    struct round round;
    uint32_t next;        /* the answer that it asks for next */
    bool begun, joined;
    struct address_list first;
    char view[8];
};

static struct player players[NODES];
static uint64_t chance;
static unsigned begun_stories, promises_left;

static unsigned draw(unsigned below)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance >> 33) % below;
}

static void draw_view(struct player *player)
{
    static const char *const views[] = { "012", "234", "023", "124", "012", "234", "0123", "01" };
    strcpy(player->view, views[draw(sizeof views / sizeof views[0])]);
}

static void add_ask(struct round *round, const char *contact)
{
    for (uint32_t i = 0; i < round->n; i++)
        if (strcmp(round->answers[i].contact, contact) == 0)
            return;
    memcpy(round->answers[round->n++].contact, contact, ADDRESS_MAX + 1);
}

static void begin_round(struct player *player)
{
    struct round *round = &player->round;
    memset(round, 0, sizeof *round);
    for (const char *node = player->view; *node != '\0'; node++)
        name_of((unsigned)(*node - '0'), round->seen.at[round->seen.n++]);
    round->seen.total = round->seen.n;
    for (uint32_t i = 0; i < round->seen.n; i++)
        add_ask(round, round->seen.at[i]);
    for (uint32_t i = 0; i < player->discovery.known.n; i++)
        add_ask(round, player->discovery.known.at[i]);
    player->next = 0;
}

static void get_answer(const struct player *asker, struct answer *answer)
{
    const struct player *player = &players[answer->contact[1] - '0'];
    memcpy(answer->raft_addr, player->raft_addr, sizeof answer->raft_addr);
    if (player != asker && draw(12) == 0)
        return; /* lost */
    answer->kind = player->begun || player->joined ? ANSWER_MEMBER : ANSWER_WAITS;
    answer->nonce = player->discovery.nonce;
    answer->expect = 3;
    answer->set = answer->kind == ANSWER_MEMBER ? player->first : player->discovery.ready;
    answer->vacant = answer->kind == ANSWER_MEMBER;
    if (answer->kind == ANSWER_MEMBER) {
        raft_id ids[MEMBERS_MAX];
        for (uint32_t i = 0; i < player->first.n; i++)
            ids[i] = id_of_address(player->first.at[i]);
        answer->cluster = cluster_id_of(ids, player->first.n);
    }
}

static void step(struct player *player)
{
    if (player->begun || player->joined)
        return;
    if (player->next < player->round.n) {
        get_answer(player, &player->round.answers[player->next++]);
        return;
    }
    switch (discovery_judge(&player->discovery, &player->round, why)) {
    case DISCOVERY_BEGIN:
        player->begun = true;
        player->first = player->discovery.ready;
        break;
    case DISCOVERY_JOIN:
        for (uint32_t i = 0; i < player->round.n && !player->joined; i++) {
            const struct answer *answer = &player->round.answers[i];
            player->joined = answer->kind == ANSWER_MEMBER;
            player->first = answer->set;
        }
        break;
    case DISCOVERY_WAIT:
        promises_left += player->discovery.left.n > 0;
        break;
    }
    begin_round(player);
}

static bool in_set(const struct address_list *set, const char *address)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (strcmp(set->at[i], address) == 0)
            return true;
    return false;
}

static bool equal_sets(const struct address_list *a, const struct address_list *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (!in_set(b, a->at[i]))
            return false;
    return a->n == b->n;
}

static bool alive(const struct address_list *set)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NODES; i++)
        n += players[i].begun && equal_sets(&players[i].first, set);
    return n > set->n / 2;
}

static void check_story(unsigned story)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (!players[i].begun || !alive(&players[i].first))
            continue;
        begun_stories += i == 2;
        ck_assert_msg(in_set(&players[i].first, players[i].raft_addr), "story %u: not its own set", story);
        for (unsigned j = 0; j < i; j++) {
            if (!players[j].begun || equal_sets(&players[i].first, &players[j].first))
                continue;
            bool common = false;
            for (unsigned k = 0; k < NODES; k++)
                common = common || (in_set(&players[i].first, players[k].raft_addr) &&
                                    in_set(&players[j].first, players[k].raft_addr));
            ck_assert_msg(!common || !alive(&players[j].first),
                          "story %u: nodes %u and %u live in two clusters that share a node", story, i, j);
        }
    }
}

/* Mostly views are shared. */
static void change_views(void)
{
    unsigned from = draw(NODES);
    draw_view(&players[from]);
    for (unsigned i = 0; i < NODES; i++)
        if (draw(4) != 0)
            memmove(players[i].view, players[from].view, sizeof players[i].view);
}

static void show_all(const char *view)
{
    for (unsigned i = 0; i < NODES; i++)
        strcpy(players[i].view, view);
}

START_TEST(no_two_clusters_with_a_node_in_common_come_alive)
{
    begun_stories = promises_left = 0;
    for (unsigned story = 1; story <= STORIES; story++) {
        unsigned stalled = 0;
        chance = story * 7919;
        memset(players, 0, sizeof players);
        for (unsigned i = 0; i < NODES; i++) {
            struct player *player = &players[i];
            name_of(i, player->raft_addr);
            player->discovery = (struct discovery){ .raft_addr = player->raft_addr, .nonce = 100 + i,
                                                    .expect = 3 };
        }
        show_all("012");
        for (unsigned i = 0; i < NODES; i++)
            begin_round(&players[i]);
        /* Quiet until `storm`; then some nodes stand still while the others see other sets. */
        unsigned restless = 20 + draw(400), storm = 20 + draw(150), calm = storm + 50 + draw(300);
        bool hard = draw(2) == 0;
        for (unsigned i = 0; i < STEPS; i++) {
            if (i == storm) /* 0 and 1 may have all the answers for 012, and 2 turns to 3 and 4 */
                stalled = hard ? 3 : draw(1U << NODES);
            if (i == calm)
                stalled = 0;
            if (i == storm && hard)
                show_all("234");
            else if (i == storm || (!hard && draw(restless) == 0))
                change_views();
            unsigned moves = draw(NODES);
            if ((stalled >> moves & 1) == 0)
                step(&players[moves]);
        }
        check_story(story);
    }
    ck_assert_uint_gt(begun_stories, STORIES / 10); /* else nothing was shown */
    ck_assert_uint_gt(promises_left, STORIES / 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("discover");
    TCase *rounds = tcase_create("rounds"), *stories = tcase_create("stories");
    tcase_add_test(rounds, two_lookups_and_the_word_of_all_begin_a_cluster);
    tcase_add_test(rounds, a_lookup_that_changes_counts_anew);
    tcase_add_test(rounds, what_is_waited_for_is_said);
    tcase_add_test(rounds, without_a_number_a_node_only_joins);
    tcase_add_test(rounds, one_is_a_cluster_only_when_it_is_asked_for);
    tcase_add_test(rounds, a_cluster_that_is_there_is_joined);
    tcase_add_test(rounds, a_first_member_that_comes_late_begins_with_the_others);
    tcase_add_test(rounds, who_was_a_member_already_does_not_begin_again);
    tcase_add_test(rounds, a_promise_is_left_only_with_the_word_of_enough_others);
    tcase_add_test(stories, no_two_clusters_with_a_node_in_common_come_alive);
    tcase_set_timeout(stories, 120);
    suite_add_tcase(suite, rounds);
    suite_add_tcase(suite, stories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
