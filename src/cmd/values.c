/* values.c - reads durations, sizes, names and addresses.  Knows how they are written, not which
 * option they belong to. */
#include "values.h"

#include <holdfast/http.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { NULL, 0 }
};

static const struct unit size_units[] = {
    { "", 1 },
    { "B", 1 },
    { "KiB", 1ULL << 10 },
    { "MiB", 1ULL << 20 },
    { "GiB", 1ULL << 30 },
    { "TiB", 1ULL << 40 },
    { "KB", 1ULL << 10 },
    { "MB", 1ULL << 20 },
    { "GB", 1ULL << 30 },
    { "TB", 1ULL << 40 },
    { NULL, 0 }
};

/* Takes decimal digits off the front of *text. False: there are none, or too many. */
static bool take_number(const char **text, uint64_t *number)
{
    if (!isdigit((unsigned char)**text))
        return false;
    char *end;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

/* Multiplies *number by the unit's factor. False: no such unit, or too large a product. */
static bool apply_unit(uint64_t *number, const char *name, size_t size, const struct unit *units)
{
    for (; units->name != NULL; units++) {
        if (strlen(units->name) != size || strncasecmp(units->name, name, size) != 0)
            continue;
        if (*number > UINT64_MAX / units->factor)
            return false;
        *number *= units->factor;
        return true;
    }
    return false;
}

static void print_duration(uint64_t ms, char out[32])
{
    if (ms >= 1000 && ms % 1000 == 0)
        snprintf(out, 32, "%llus", (unsigned long long)(ms / 1000));
    else
        snprintf(out, 32, "%llums", (unsigned long long)ms);
}

static bool duration_within(const char *text, uint64_t ms, uint64_t min_ms, uint64_t max_ms,
                            char *why)
{
    if (ms >= min_ms && ms <= max_ms)
        return true;
    char low[32], high[32];
    print_duration(min_ms, low);
    print_duration(max_ms, high);
    snprintf(why, WHY_MAX, "\"%.100s\" is out of range: it must be from %s to %s", text, low, high);
    return false;
}

bool value_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ms, char *why)
{
    const char *at = text;
    if (!take_number(&at, ms) ||
        !((*ms == 0 && *at == '\0') || apply_unit(ms, at, strlen(at), duration_units))) {
        snprintf(why, WHY_MAX, "\"%.100s\" is no duration: write a whole number and a unit, such as "
                 "150ms, 5s or 2m", text);
        return false;
    }
    return duration_within(text, *ms, min_ms, max_ms, why);
}

bool value_duration_range(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *low_ms,
                          uint64_t *high_ms, char *why)
{
    const char *at = text, *unit;
    bool fine = take_number(&at, low_ms);
    unit = at;
    size_t unit_size = strcspn(at, "-");
    at += unit_size;
    fine = fine && *at++ == '-' && take_number(&at, high_ms);
    if (fine && unit_size == 0) { /* "150-300ms": one unit for both */
        unit = at;
        unit_size = strlen(at);
    }
    if (!fine || !apply_unit(low_ms, unit, unit_size, duration_units) ||
        !apply_unit(high_ms, at, strlen(at), duration_units)) {
        snprintf(why, WHY_MAX, "\"%.100s\" is no range of durations: write the least and the most, "
                 "such as 150-300ms", text);
        return false;
    }
    if (*low_ms > *high_ms) {
        snprintf(why, WHY_MAX, "\"%.100s\" ends before it begins: write the smaller duration first",
                 text);
        return false;
    }
    return duration_within(text, *low_ms, min_ms, max_ms, why) &&
           duration_within(text, *high_ms, min_ms, max_ms, why);
}

static bool number_within(const char *text, uint64_t number, uint64_t min, uint64_t max, char *why)
{
    if (number >= min && number <= max)
        return true;
    snprintf(why, WHY_MAX, "\"%.100s\" is out of range: it must be from %llu to %llu", text,
             (unsigned long long)min, (unsigned long long)max);
    return false;
}

bool value_count(const char *text, uint64_t min, uint64_t max, uint64_t *count, char *why)
{
    const char *at = text;
    if (!take_number(&at, count) || *at != '\0') {
        snprintf(why, WHY_MAX, "\"%.100s\" is no whole number: write one from %llu to %llu", text,
                 (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    return number_within(text, *count, min, max, why);
}

bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *bytes, char *why)
{
    const char *at = text;
    if (!take_number(&at, bytes) || !apply_unit(bytes, at, strlen(at), size_units)) {
        snprintf(why, WHY_MAX, "\"%.100s\" is no size: write a whole number of bytes, or with a "
                 "unit such as 64MiB or 16GiB", text);
        return false;
    }
    return number_within(text, *bytes, min, max, why);
}

bool value_flag(const char *text, bool *flag, char *why)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *flag = i % 2 == 1;
            return true;
        }
    }
    snprintf(why, WHY_MAX, "\"%.100s\" is neither true nor false", text);
    return false;
}

bool value_choice(const char *text, const char *const *words, size_t n, size_t *place, char *why)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            *place = i;
            return true;
        }
    }
    int used = snprintf(why, WHY_MAX, "\"%.100s\" is not one of", text);
    for (size_t i = 0; i < n && used > 0 && used < WHY_MAX; i++)
        used += snprintf(why + used, WHY_MAX - (size_t)used, "%s %s", i > 0 ? "," : "", words[i]);
    return false;
}

bool value_name(const char *text, char out[NODE_NAME_MAX + 1], char *why)
{
    size_t size = strlen(text);
    size_t fine = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (size == 0 || size > NODE_NAME_MAX || fine != size || strcmp(text, ".") == 0 ||
        strcmp(text, "..") == 0) {
        snprintf(why, WHY_MAX, "\"%.100s\" is no name for a node: use 1 to %d letters, digits, dots, "
                 "dashes or underscores, such as node1", text, NODE_NAME_MAX);
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

bool value_address(const char *text, char out[ADDRESS_MAX + 1], char *why)
{
    char host[256], reason[HTTP_MESSAGE_MAX];
    uint16_t port;
    size_t size = strlen(text);
    if (size > ADDRESS_MAX) {
        snprintf(why, WHY_MAX, "\"%.100s...\" is too long for an address: write host:port, such as "
                 "localhost:9001", text);
        return false;
    }
    if (!address_parse(text, false, host, &port, reason)) {
        snprintf(why, WHY_MAX, "%.500s", reason);
        return false;
    }
    for (size_t i = 0; i <= size; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    return true;
}

/* Copies the next word before a comma, without the blanks around it. */
static size_t take_word(const char **text, char *out, size_t size)
{
    const char *begin = *text + strspn(*text, " \t");
    const char *end = begin + strcspn(begin, ",");
    *text = *end == ',' ? end + 1 : end;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t used = (size_t)(end - begin) < size ? (size_t)(end - begin) : size - 1;
    memcpy(out, begin, used);
    out[used] = '\0';
    return used;
}

bool value_addresses(const char *text, struct address_list *out, char *why)
{
    out->n = 0;
    const char *at = text + strspn(text, " \t");
    while (*at != '\0') {
        char word[ADDRESS_MAX + 2];
        if (take_word(&at, word, sizeof word) == 0) {
            snprintf(why, WHY_MAX, "\"%.100s\" has an empty place between commas: write addresses "
                     "such as localhost:9002,localhost:9003", text);
            return false;
        }
        if (out->n == VOTERS_MAX) {
            snprintf(why, WHY_MAX, "a cluster has at most %d members", VOTERS_MAX);
            return false;
        }
        if (!value_address(word, out->at[out->n], why))
            return false;
        for (uint32_t i = 0; i < out->n; i++) {
            if (strcmp(out->at[i], out->at[out->n]) == 0) {
                snprintf(why, WHY_MAX, "%s is named twice: name each member once", out->at[i]);
                return false;
            }
        }
        out->n++;
    }
    return true;
}

bool value_discover(const char *text, struct discover_source *out, char *why)
{
    char host[256], reason[HTTP_MESSAGE_MAX];
    bool srv = strncmp(text, "dns-srv:", 8) == 0;
    memset(out, 0, sizeof *out);
    if (text[0] == '\0')
        return true;
    if (srv)
        snprintf(host, sizeof host, "%s", text + 8);
    size_t size = srv ? strlen(text + 8) : 1;
    if ((!srv && strncmp(text, "dns:", 4) != 0) || size == 0 || size >= sizeof host ||
        (srv && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != size)) {
        snprintf(why, WHY_MAX, "\"%.100s\" names no place to look: write dns:NAME:PORT, such as "
                 "dns:holdfast.default.svc:9001, or dns-srv:NAME, such as "
                 "dns-srv:_raft._tcp.holdfast.default.svc", text);
        return false;
    }
    if (!srv && !address_parse(text + 4, false, host, &out->port, reason)) {
        snprintf(why, WHY_MAX, "behind dns: %.500s", reason);
        return false;
    }
    out->kind = srv ? DISCOVER_SRV : DISCOVER_DNS;
    memcpy(out->name, host, sizeof out->name);
    return true;
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b; words are short. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 40 };
    size_t rows[3][WORD_MAX + 1], n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *before = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                older[j - 2] + 1 < best)
                best = older[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *nearest_word(const char *word, const char *const *words, size_t n)
{
    const char *nearest = NULL;
    size_t least = (strlen(word) + 2) / 4; /* further off is no typing error */
    for (size_t i = 0; i < n; i++) {
        size_t distance = edit_distance(word, words[i]);
        if (distance <= least && (nearest == NULL || distance < least)) {
            least = distance;
            nearest = words[i];
        }
    }
    return nearest;
}
