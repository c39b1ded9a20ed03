/* value.c - a value's checksum covers its table and key too, so that a value found under
 * another key, or in another table, is as wrong as a changed one. */
#include "value.h"

#include <holdfast/panic.h>

size_t value_overhead(enum state_table table)
{
    return table == TABLE_META ? 0 : VALUE_CHECKSUM_SIZE;
}

static uint64_t value_checksum(enum state_table table, struct slice key, struct slice content)
{
    return checksum(checksum((uint64_t)table, key), content);
}

void value_store(enum state_table table, struct slice key, struct slice content,
                 unsigned char *out)
{
    if (content.size > 0)
        memcpy(out, content.data, content.size);
    if (table == TABLE_META)
        return;
    uint64_t sum = value_checksum(table, key, content);
    for (unsigned i = 0; i < VALUE_CHECKSUM_SIZE; i++)
        out[content.size + i] = (unsigned char)(sum >> (8 * i));
}

enum err value_load_sum(enum state_table table, struct slice key, struct slice stored,
                        struct slice *content, uint64_t *sum)
{
    *sum = 0;
    if (table == TABLE_META) {
        *content = stored;
        return OK;
    }
    if (stored.size < VALUE_CHECKSUM_SIZE)
        return ERR_CORRUPT;
    struct slice bytes = slice_of(stored.data, stored.size - VALUE_CHECKSUM_SIZE);
    const unsigned char *tail = (const unsigned char *)stored.data + bytes.size;
    for (unsigned i = 0; i < VALUE_CHECKSUM_SIZE; i++)
        *sum |= (uint64_t)tail[i] << (8 * i);
    if (*sum != value_checksum(table, key, bytes))
        return ERR_CORRUPT;
    *content = bytes;
    return OK;
}

enum err value_load(enum state_table table, struct slice key, struct slice stored,
                    struct slice *content)
{
    uint64_t sum;
    return value_load_sum(table, key, stored, content, &sum);
}

void value_check_job(const struct state_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        const struct state_change *change = &job->changes[i];
        ASSERT((unsigned)change->table < STATE_TABLES);
        ASSERT(change->key.size >= 1 && change->key.size <= KEY_SIZE_MAX);
        if (i > 0 && change[-1].table == change->table)
            ASSERT(slice_compare(change[-1].key, change->key) < 0);
        else
            ASSERT(i == 0 || change[-1].table < change->table);
    }
}
