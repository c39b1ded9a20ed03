/* discover_judge.c - what a node without a data directory does with what it has found.
 *
 * A node is *waiting*, or *ready* for a set of raft addresses, or a member for ever (it has a data
 * directory then).  It says which to everybody who asks.
 *
 *   1. It becomes ready for a set S of N = --expect nodes, itself among them, when two lookups in a
 *      row have shown the same N addresses, and all answer that they wait.  Or when a member says that
 *      its cluster began with S and that this node has never come: then DNS does not matter.
 *   2. It begins a cluster with S when it is ready for S, and in a round that began after it became so
 *      each other node of S answers that it is ready for S, or a member of a cluster that began with S.
 *   3. If it wants something else than S (another set, or to join), it first stops being ready for S.
 *      Then it waits until so many of S, itself counted, say that they are neither ready for S nor
 *      members of it, that the rest is no majority of S.  Only then may it be ready for another
 *      set, or join.
 *
 * So no two clusters with a node in common come alive.  The id of a cluster is the hash of its first
 * set, nodes of different ones refuse each other, and each node makes one directory: alive is only a
 * set of which a majority has begun.  Say S and T share the node X.  By 2, X was ready for both, say
 * for S first.  By 3 it heard in between from nodes M, of which each majority of S holds one, that
 * they were not ready for S, after X had stopped.  For S to come alive one of M must begin with it
 * later; for that it must become ready again, and then ask X (2), who is not.  It is X's turn only
 * when X goes back to S, and then the same holds for T.
 *
 * A set that nobody can agree on any more (a node of it is gone for good) is left by 3 when DNS shows
 * the next one.  What this cannot tell: a process that is started anew has forgotten what it was ready
 * for.  And two names in DNS, or two views of one, without a common node are two clusters. */
#include "discover.h"

#include <holdfast/wire.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool has(const struct address_list *set, const char *address)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (strcmp(set->at[i], address) == 0)
            return true;
    return false;
}

static bool same(const struct address_list *a, const struct address_list *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!has(b, a->at[i]))
            return false;
    return true;
}

static bool same_contacts(const struct contacts *a, const struct contacts *b)
{
    if (a->n != b->n || a->total != b->total)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (strcmp(a->at[i], b->at[i]) != 0)
            return false;
    return true;
}

static bool is_self(const struct discovery *discovery, const struct answer *answer)
{
    return answer->kind == ANSWER_WAITS && answer->nonce == discovery->nonce;
}

/* Ready for this set, or a member of the cluster that began with it. */
static bool stands_by(const struct answer *answer, const struct address_list *set)
{
    raft_id ids[MEMBERS_MAX];
    if (answer->kind == ANSWER_NONE || !same(&answer->set, set) || set->n > VOTERS_MAX)
        return false;
    for (uint32_t i = 0; i < set->n; i++)
        ids[i] = id_of_address(set->at[i]);
    return answer->kind == ANSWER_WAITS || answer->cluster == cluster_id_of(ids, set->n);
}

/* The answer of the node that calls itself so; NULL: there is none. */
static const struct answer *answer_of(const struct round *round, const char *raft_addr)
{
    for (uint32_t i = 0; i < round->n; i++)
        if (round->answers[i].kind != ANSWER_NONE &&
            strcmp(round->answers[i].raft_addr, raft_addr) == 0)
            return &round->answers[i];
    return NULL;
}

static const struct answer *answer_at(const struct round *round, const char *contact)
{
    for (uint32_t i = 0; i < round->n; i++)
        if (strcmp(round->answers[i].contact, contact) == 0)
            return &round->answers[i];
    return NULL;
}

/* ---- rule 2 */

static bool all_stand_by(const struct discovery *discovery, const struct round *round, char *why)
{
    const struct address_list *set = &discovery->ready;
    for (uint32_t i = 0; i < set->n; i++) {
        if (strcmp(set->at[i], discovery->raft_addr) == 0)
            continue;
        const struct answer *answer = answer_of(round, set->at[i]);
        if (answer != NULL && stands_by(answer, set))
            continue;
        snprintf(why, WHY_MAX, "ready to begin a cluster of %u; %s %s", set->n, set->at[i],
                 answer == NULL ? "does not answer" : "is not ready for the same set of nodes yet");
        return false;
    }
    return true;
}

/* ---- rule 3 */

static bool is_free_of(const struct discovery *discovery, const struct round *round, char *why)
{
    const struct address_list *left = &discovery->left;
    uint32_t free_nodes = 0;
    for (uint32_t i = 0; i < left->n; i++) {
        const struct answer *answer = answer_of(round, left->at[i]);
        if (strcmp(left->at[i], discovery->raft_addr) == 0)
            free_nodes++;
        else if (answer != NULL && !same(&answer->set, left))
            free_nodes++;
    }
    if (left->n == 0 || left->n - free_nodes < left->n / 2 + 1)
        return true;
    snprintf(why, WHY_MAX, "this node was ready to begin a cluster with others (%.200s ...) before the "
             "lookups changed: too few of them say that they did not", left->at[0]);
    return false;
}

/* ---- rule 1 */

/* A member's cluster in which this node has a place that it never took: *out is set. */
static bool is_awaited(const struct discovery *discovery, const struct round *round,
                       struct address_list *out)
{
    out->n = 0;
    for (uint32_t i = 0; i < round->n; i++) {
        const struct answer *answer = &round->answers[i];
        if (answer->kind != ANSWER_MEMBER || !has(&answer->set, discovery->raft_addr))
            continue;
        if (!answer->vacant)
            return false;
        if (out->n == 0 && stands_by(answer, &answer->set))
            *out = answer->set;
    }
    return out->n > 0;
}

static bool any_member(const struct round *round)
{
    for (uint32_t i = 0; i < round->n; i++)
        if (round->answers[i].kind == ANSWER_MEMBER)
            return true;
    return false;
}

/* All the addresses that DNS shows answer that they wait, and are N nodes. */
static bool all_wait(const struct discovery *discovery, const struct round *round,
                     struct address_list *out, char *why)
{
    bool self = false;
    out->n = 0;
    for (uint32_t i = 0; i < round->seen.n; i++) {
        const char *contact = round->seen.at[i];
        const struct answer *answer = answer_at(round, contact);
        if (answer == NULL || answer->kind != ANSWER_WAITS) {
            snprintf(why, WHY_MAX, "%u addresses are seen, as expected; %s does not answer yet",
                     round->seen.n, contact);
            return false;
        }
        if (has(out, answer->raft_addr)) {
            snprintf(why, WHY_MAX, "two of the addresses seen lead to nodes with the raft-addr %s; each "
                     "node needs its own, which the others can reach", answer->raft_addr);
            return false;
        }
        if (!is_self(discovery, answer) && answer->expect != discovery->expect) {
            snprintf(why, WHY_MAX, "%s expects %u nodes, this one %u: start all with the same --expect",
                     answer->raft_addr, answer->expect, discovery->expect);
            return false;
        }
        self = self || is_self(discovery, answer);
        memcpy(out->at[out->n++], answer->raft_addr, sizeof out->at[0]);
    }
    if (!self)
        snprintf(why, WHY_MAX, "%u addresses are seen, but this node (raft-addr %s) is at none of them",
                 round->seen.n, discovery->raft_addr);
    qsort(out->at, out->n, sizeof out->at[0], by_text);
    return self;
}

/* The set to begin with; n = 0 and a sentence in `why`: there is none yet. */
static void wanted_set(const struct discovery *discovery, const struct round *round, bool twice,
                       struct address_list *out, char *why)
{
    uint32_t expect = discovery->expect;
    out->n = 0;
    if (expect == 0) {
        snprintf(why, WHY_MAX, "no node of a cluster is among the %u addresses seen; this node begins "
                 "none by itself: the first nodes need --expect=N", round->seen.total);
    } else if (round->seen.total > expect) {
        snprintf(why, WHY_MAX, "%u addresses are seen, more than the %u expected: with which of them a "
                 "cluster should begin cannot be told", round->seen.total, expect);
    } else if (round->seen.total < expect) {
        snprintf(why, WHY_MAX, "%u of %u expected addresses are seen", round->seen.total, expect);
    } else if (!all_wait(discovery, round, out, why)) {
        out->n = 0;
    } else if (!twice) {
        snprintf(why, WHY_MAX, "%u addresses are seen, as expected; they are looked up once more", expect);
        out->n = 0;
    }
}

/* ---- the whole */

static void remember_contacts(struct discovery *discovery, const struct round *round)
{
    struct contacts *known = &discovery->known;
    known->n = 0;
    for (uint32_t i = 0; i < round->n && known->n < CONTACTS_MAX; i++) {
        const struct answer *answer = &round->answers[i];
        /* Who is silent for a round is asked again where it was met. */
        bool silent = answer->kind == ANSWER_NONE && discovery->ready.n + discovery->left.n > 0;
        if (silent || has(&discovery->ready, answer->raft_addr) ||
            has(&discovery->left, answer->raft_addr))
            memcpy(known->at[known->n++], answer->contact, sizeof known->at[0]);
    }
}

static enum discovery_verdict decide(struct discovery *discovery, const struct round *round, bool twice, char *why)
{
    struct address_list want = { .n = 0 };
    struct address_list *ready = &discovery->ready, *left = &discovery->left;
    if (ready->n > 0 && all_stand_by(discovery, round, why))
        return DISCOVERY_BEGIN;
    bool awaited = discovery->expect > 0 && is_awaited(discovery, round, &want);
    bool joins = !awaited && any_member(round);
    if (!awaited && !joins) {
        char reason[WHY_MAX] = "";
        wanted_set(discovery, round, twice, &want, reason);
        if (want.n == 0 && ready->n == 0)
            snprintf(why, WHY_MAX, "%s", reason);
        if (want.n == 0)
            return DISCOVERY_WAIT; /* what was promised stays so */
    }
    if (ready->n > 0 && !joins && same(ready, &want))
        return DISCOVERY_WAIT;
    if (ready->n > 0) {
        *left = *ready;
        ready->n = 0;
        snprintf(why, WHY_MAX, "other nodes are seen than before");
        return DISCOVERY_WAIT;
    }
    if ((joins || !same(left, &want)) && !is_free_of(discovery, round, why))
        return DISCOVERY_WAIT;
    left->n = 0;
    if (joins)
        return DISCOVERY_JOIN;
    *ready = want;
    snprintf(why, WHY_MAX, "ready to begin a cluster of %u", ready->n);
    return DISCOVERY_WAIT;
}

enum discovery_verdict discovery_judge(struct discovery *discovery, const struct round *round, char *why)
{
    why[0] = '\0';
    bool twice = discovery->looked_before && same_contacts(&discovery->before, &round->seen);
    enum discovery_verdict verdict = decide(discovery, round, twice, why);
    discovery->before = round->seen;
    discovery->looked_before = true;
    remember_contacts(discovery, round);
    return verdict;
}
