/* err.c - the one table of error codes. */
#include <holdfast/err.h>
#include <holdfast/panic.h>

static const struct {
    const char *name, *text;
    int http_status;
    bool retryable;
} table[ERR_COUNT] = {
    [OK] = { "ok", "all is well", 200, false },
    [ERR_BAD_REQUEST] = { "bad_request", "the request is not well-formed", 400, false },
    [ERR_KEY_NOT_FOUND] = { "key_not_found", "there is no such key", 404, false },
    [ERR_NO_ROUTE] = { "no_route", "there is nothing at this path", 404, false },
    [ERR_METHOD_NOT_ALLOWED] = { "method_not_allowed", "this path does not take this method", 405,
                                 false },
    [ERR_LENGTH_REQUIRED] = { "length_required", "the request needs a Content-Length", 411, false },
    [ERR_CONDITION_FAILED] = { "condition_failed", "the condition does not hold", 412, false },
    [ERR_TOO_LARGE] = { "too_large", "a limit is exceeded", 413, false },
    [ERR_URI_TOO_LONG] = { "uri_too_long", "the path or query is too long", 414, false },
    [ERR_UNSUPPORTED_MEDIA_TYPE] = { "unsupported_media_type",
                                     "this content type is not understood here", 415, false },
    [ERR_NO_MEMBER] = { "no_such_member", "there is no such member", 404, false },
    [ERR_MEMBER_EXISTS] = { "member_exists", "another member has this name or address", 409, false },
    [ERR_QUORUM_AT_RISK] = { "quorum_at_risk",
                             "the cluster could lose its majority by this change", 409, false },
    [ERR_CHANGE_UNDER_WAY] = { "change_under_way", "another change of the members is under way",
                               409, true },
    [ERR_OVERLOADED] = { "overloaded", "too much is waiting already", 429, true },
    [ERR_NO_LEADER] = { "no_leader", "the cluster has no leader at the moment", 503, true },
    [ERR_TOO_STALE] = { "too_stale", "this node's data is older than asked for", 503, true },
    [ERR_NO_SPACE] = { "no_space", "the storage is full", 503, true },
    [ERR_SHUTTING_DOWN] = { "shutting_down", "this node is stopping", 503, true },
    [ERR_STATE_DIFFERS] = { "state_differs", "this node's data differs from the other members'", 503,
                            true },
    [ERR_TIMEOUT] = { "timeout", "the request did not finish in time", 504, true },
    [ERR_INTERNAL] = { "internal", "the node failed to serve the request", 500, false },
    [ERR_NOT_FOUND] = { "not_found", "there is no such record", 500, false },
    [ERR_LOCKED] = { "locked", "another process holds the data directory", 500, false },
    [ERR_FOREIGN] = { "foreign", "the data directory is not this node's", 500, false },
    [ERR_CORRUPT] = { "corrupt", "stored bytes do not match their checksum", 500, false },
    [ERR_IO] = { "io", "the operating system refused", 500, false },
};

const char *err_name(enum err err)
{
    ASSERT((unsigned)err < ERR_COUNT);
    return table[err].name;
}

const char *err_text(enum err err)
{
    ASSERT((unsigned)err < ERR_COUNT);
    return table[err].text;
}

int err_http_status(enum err err)
{
    ASSERT((unsigned)err < ERR_COUNT);
    return table[err].http_status;
}

bool err_retryable(enum err err)
{
    ASSERT((unsigned)err < ERR_COUNT);
    return table[err].retryable;
}
