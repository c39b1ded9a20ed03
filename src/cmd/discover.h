/* discover.h - finding the other nodes by a name, and agreeing on the set that begins a cluster.
 *
 * What a node does is decided by one function without I/O, discovery_judge, once a round.  In a round
 * the name is looked up and all the addresses found are asked (GET /raft/whois on the raft port) who
 * listens there.  The rules, and why no two clusters can come of them, stand in discover_judge.c. */
#ifndef HOLDFAST_CMD_DISCOVER_H
#define HOLDFAST_CMD_DISCOVER_H

#include "values.h"

enum { CONTACTS_MAX = 32 };

/* Where somebody may listen: IP:port, sorted, each once. */
struct contacts {
    uint32_t n;
    uint32_t total; /* found; more than n only where that is CONTACTS_MAX */
    char at[CONTACTS_MAX][ADDRESS_MAX + 1];
};

/* Asks DNS; may take seconds.  `server` is IP:port, or "" for those of resolv.conf.  A name that is
 * not there, or not yet, is found at no address.  False with a sentence in `why` (WHY_MAX bytes): DNS
 * could not be asked. */
bool discover_look_up(const struct discover_source *source, const char *server, struct contacts *out,
                      char *why);

enum answer_kind {
    ANSWER_NONE,   /* silence, or nothing that a Holdfast node says */
    ANSWER_WAITS,  /* a node that belongs to no cluster yet; also this node itself */
    ANSWER_MEMBER, /* a node with a data directory */
};

struct answer {
    enum answer_kind kind;
    char contact[ADDRESS_MAX + 1];   /* who was asked */
    char raft_addr[ADDRESS_MAX + 1]; /* what it calls itself */
    uint64_t nonce;                  /* who waits: drawn when its process began */
    uint64_t cluster;                /* a member's */
    uint32_t expect;                 /* who waits: its --expect, or 0 */
    struct address_list set;         /* who waits: what it is ready for; a member: what its cluster began with */
    bool vacant;                     /* a member: this node's place is kept, it never came */
};

enum { ANSWERS_MAX = 2 * CONTACTS_MAX };

/* One round.  All answers were asked for after the judgement of the round before. */
struct round {
    struct contacts seen;
    uint32_t n;
    struct answer answers[ANSWERS_MAX];
};

/* What a node that waits remembers from round to round. */
struct discovery {
    const char *raft_addr;
    uint64_t nonce;
    uint32_t expect;            /* 0: joins only */
    struct address_list ready;  /* promised to everybody who asks; n = 0: nothing */
    struct address_list left;   /* promised before, and perhaps counted on still */
    struct contacts before;     /* of the last round */
    bool looked_before;
    struct contacts known;      /* where the nodes of `ready` and `left` were met */
};

enum discovery_verdict {
    DISCOVERY_WAIT,  /* for what `why` says */
    DISCOVERY_BEGIN, /* with discovery->ready as the first members */
    DISCOVERY_JOIN,  /* whoever answers as a member */
};

/* `why` has WHY_MAX bytes, and is always set. */
enum discovery_verdict discovery_judge(struct discovery *discovery, const struct round *round, char *why);

#endif
