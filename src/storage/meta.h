/* meta.h - what stands in the log's `meta`, as text that people can read. */
#ifndef HOLDFAST_STORAGE_META_H
#define HOLDFAST_STORAGE_META_H

#include <holdfast/storage.h>

/* The first word tells our files from others', the number tells layouts apart. */
#define LOG_FORMAT "holdfast-log 1"
#define STATE_FORMAT "holdfast-state 1"

/* Why the cluster's id is not that of its first configuration; absent: it is. */
#define META_ORIGIN "origin"

enum { IDENTITY_ROWS = 7, VOTE_ROWS = 2, BASE_ROWS = 2, INCARNATION_TEXT = 2 * INCARNATION_SIZE + 1 };

void meta_put_text(struct meta_put *row, const char *key, const char *text);

/* format, cluster, node_id, name, raft_addr, members, incarnation. */
void meta_of_identity(const struct identity *identity, struct meta_put rows[IDENTITY_ROWS]);
/* cluster: 16 hexadecimal digits. */
void meta_of_cluster(uint64_t cluster, struct meta_put *row);
/* term (decimal), vote (16 hexadecimal digits; all 0: nobody). */
void meta_of_vote(raft_term term, raft_id vote, struct meta_put rows[VOTE_ROWS]);

/* base_index, base_term: decimal. */
void meta_of_base(raft_index base, raft_term base_term, struct meta_put rows[BASE_ROWS]);

void meta_incarnation_text(const unsigned char in[INCARNATION_SIZE], char out[INCARNATION_TEXT]);

/* False: the text is not what the functions above write. */
bool meta_parse_incarnation(const char *text, unsigned char out[INCARNATION_SIZE]);
bool meta_parse_decimal(const char *text, uint64_t *out);
bool meta_parse_id(const char *text, uint64_t *out);

#endif
