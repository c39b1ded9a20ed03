/* value.h - the checksum behind each stored value, and what every batch must keep to. */
#ifndef HOLDFAST_STORAGE_VALUE_H
#define HOLDFAST_STORAGE_VALUE_H

#include <holdfast/storage.h>

enum { VALUE_CHECKSUM_SIZE = 8 };

/* Bytes that follow the content: 0 in `meta`, which is for people to read. */
size_t value_overhead(enum state_table table);

/* Writes content and checksum to `out`: content.size + value_overhead(table) bytes. */
void value_store(enum state_table table, struct slice key, struct slice content,
                 unsigned char *out);

/* The content of stored bytes. ERR_CORRUPT if table, key and content are not what was stored. */
MUST_CHECK enum err value_load(enum state_table table, struct slice key, struct slice stored,
                               struct slice *content);

/* The same, and the checksum itself (0 for `meta`). */
MUST_CHECK enum err value_load_sum(enum state_table table, struct slice key, struct slice stored,
                                   struct slice *content, uint64_t *sum);

/* Asserts that the changes are sorted by table and key, without repetition, with keys of
 * 1 .. KEY_SIZE_MAX bytes. */
void value_check_job(const struct state_job *job);

#endif
