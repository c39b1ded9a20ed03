/* options.h - query parameters and conditional headers, from text to values. */
#ifndef HOLDFAST_SERVER_OPTIONS_H
#define HOLDFAST_SERVER_OPTIONS_H

#include "problem.h"

#include <holdfast/http.h>
#include <holdfast/node.h>

#include <stdint.h>

/* Each parameter is a bit; a route names those that it takes. */
enum option_bit {
    OPTION_TIMEOUT = 1 << 0,
    OPTION_REDIRECT = 1 << 1,
    OPTION_CONSISTENCY = 1 << 2,
    OPTION_MAX_STALE = 1 << 3,
    OPTION_MIN_REVISION = 1 << 4,
    OPTION_IF_REVISION = 1 << 5,
    OPTION_KEY = 1 << 6,
    OPTION_RAW = 1 << 7,
    OPTION_PREFIX = 1 << 8,
    OPTION_START = 1 << 9,
    OPTION_END = 1 << 10,
    OPTION_LIMIT = 1 << 11,
    OPTION_CURSOR = 1 << 12,
    OPTION_KEYS_ONLY = 1 << 13,
    OPTION_ORDER = 1 << 14,
    OPTION_COUNT_ONLY = 1 << 15,
    OPTION_VERBOSE = 1 << 16,
    OPTION_FORCE = 1 << 17,

    OPTIONS_FORWARDED = OPTION_TIMEOUT | OPTION_REDIRECT,
    OPTIONS_READ = OPTIONS_FORWARDED | OPTION_CONSISTENCY | OPTION_MAX_STALE | OPTION_MIN_REVISION,
    OPTIONS_LIST = OPTION_PREFIX | OPTION_START | OPTION_END | OPTION_LIMIT | OPTION_CURSOR |
                   OPTION_KEYS_ONLY | OPTION_ORDER | OPTION_COUNT_ONLY,
};

struct option_defaults {
    uint32_t timeout_ms, timeout_max_ms;
    bool redirect;
};

struct options {
    uint32_t given; /* option bits */
    uint32_t timeout_ms;
    bool redirect, raw, keys_only, count_only, descending, verbose, force;
    enum consistency consistency;
    uint64_t max_stale_ms; /* UINT64_MAX: any age */
    uint64_t min_revision;
    uint64_t if_revision;
    struct slice key, prefix, start, end, cursor; /* borrowed from the request */
    uint32_t limit;
};

/* What the request's query says.  False: an unknown parameter, a value that makes no sense, or
 * two that contradict each other. */
bool options_parse(const struct http_request *request, uint32_t accepted,
                   const struct option_defaults *defaults, struct options *out,
                   struct problem *problem);

/* The condition of a write, from If-Match, If-None-Match and ?if_revision; at most one of a kind,
 * and all that are given must say the same. */
bool options_condition(const struct http_request *request, const struct options *options,
                       struct kv_op *op, struct problem *problem);

/* "500ms", "30s", "5m", "1h". */
bool options_parse_duration(struct slice text, uint64_t *ms);
/* Decimal digits only. */
bool options_parse_u64(struct slice text, uint64_t *number);

#endif
