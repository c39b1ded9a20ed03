/* meta.c - numbers and identities as text, and back. */
#include "meta.h"

#include <holdfast/panic.h>

#include <inttypes.h>
#include <stdio.h>

void meta_put_text(struct meta_put *row, const char *key, const char *text)
{
    ASSERT(strlen(key) < META_KEY_MAX && strlen(text) < META_TEXT_MAX);
    memset(row, 0, sizeof *row);
    memcpy(row->key, key, strlen(key));
    memcpy(row->text, text, strlen(text));
}

static void put_id(struct meta_put *row, const char *key, uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, id);
    meta_put_text(row, key, text);
}

void meta_incarnation_text(const unsigned char in[INCARNATION_SIZE], char out[INCARNATION_TEXT])
{
    for (size_t i = 0; i < INCARNATION_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", in[i]);
}

void meta_of_cluster(uint64_t cluster, struct meta_put *row)
{
    put_id(row, "cluster", cluster);
}

void meta_of_identity(const struct identity *identity, struct meta_put rows[IDENTITY_ROWS])
{
    char incarnation[INCARNATION_TEXT];
    meta_incarnation_text(identity->incarnation, incarnation);
    meta_put_text(&rows[0], "format", LOG_FORMAT);
    meta_of_cluster(identity->cluster, &rows[1]);
    put_id(&rows[2], "node_id", identity->id);
    meta_put_text(&rows[3], "name", identity->name);
    meta_put_text(&rows[4], "raft_addr", identity->raft_addr);
    meta_put_text(&rows[5], "members", identity->members);
    meta_put_text(&rows[6], "incarnation", incarnation);
}

static void put_decimal(struct meta_put *row, const char *key, uint64_t number)
{
    char text[21];
    snprintf(text, sizeof text, "%" PRIu64, number);
    meta_put_text(row, key, text);
}

void meta_of_vote(raft_term term, raft_id vote, struct meta_put rows[VOTE_ROWS])
{
    put_decimal(&rows[0], "term", term);
    put_id(&rows[1], "vote", vote);
}

void meta_of_base(raft_index base, raft_term base_term, struct meta_put rows[BASE_ROWS])
{
    put_decimal(&rows[0], "base_index", base);
    put_decimal(&rows[1], "base_term", base_term);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool meta_parse_incarnation(const char *text, unsigned char out[INCARNATION_SIZE])
{
    if (strlen(text) != INCARNATION_TEXT - 1)
        return false;
    for (size_t i = 0; i < INCARNATION_SIZE; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

bool meta_parse_decimal(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool meta_parse_id(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (strlen(text) != 16)
        return false;
    for (; *text != '\0'; text++) {
        int digit = digit_value(*text);
        if (digit < 0)
            return false;
        value = value * 16 + (uint64_t)digit;
    }
    *out = value;
    return true;
}
