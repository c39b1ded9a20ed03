/* values.h - what people write in flags and configuration files, read and checked.
 *
 * Each function returns false with a sentence in `why` (WHY_MAX bytes) that says what would be
 * right; what it accepts is within bounds, and nothing behind it needs to check again. */
#ifndef HOLDFAST_CMD_VALUES_H
#define HOLDFAST_CMD_VALUES_H

#include <holdfast/limits.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHY_MAX = 768 };

/* "150ms", "1s", "2m", "1h"; a number without a unit is refused, but for 0. */
bool value_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ms, char *why);

/* "150-300ms", "150ms-300ms", "1s-1500ms"; the first not above the second. */
bool value_duration_range(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *low_ms,
                          uint64_t *high_ms, char *why);

bool value_count(const char *text, uint64_t min, uint64_t max, uint64_t *count, char *why);

/* "4096", "64KiB", "512MiB", "16GiB"; KB, MB, GB mean the same. */
bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *bytes, char *why);

/* "true", "false", "yes", "no", "on", "off", "1", "0". */
bool value_flag(const char *text, bool *flag, char *why);

/* The place of `text` among `n` words. */
bool value_choice(const char *text, const char *const *words, size_t n, size_t *place, char *why);

/* A node's name: 1 to NODE_NAME_MAX of A-Z a-z 0-9 . _ - and not "." or "..". */
bool value_name(const char *text, char out[NODE_NAME_MAX + 1], char *why);

/* host:port; letters are made small, so that two spellings of a name are one address. */
bool value_address(const char *text, char out[ADDRESS_MAX + 1], char *why);

struct address_list {
    uint32_t n;
    char at[MEMBERS_MAX][ADDRESS_MAX + 1];
};

/* Addresses by commas, each once; "" is the empty list. */
bool value_addresses(const char *text, struct address_list *out, char *why);

/* Where the other nodes are to be found: "dns:NAME:PORT" (A or AAAA records), "dns-srv:NAME". */
enum discover_kind { DISCOVER_NOT, DISCOVER_DNS, DISCOVER_SRV };

struct discover_source {
    enum discover_kind kind;
    uint16_t port; /* of dns: */
    char name[256];
};

bool value_discover(const char *text, struct discover_source *out, char *why);

/* The word that was probably meant, or NULL if none is near. */
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
