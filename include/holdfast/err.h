/* err.h - expected trouble: one code, one name, one sentence, one HTTP status.
 *
 * What only a bug can cause is an ASSERT, what the machine broke is a panic (panic.h);
 * all the rest is an `enum err`, returned and handled. */
#ifndef HOLDFAST_ERR_H
#define HOLDFAST_ERR_H

#include <stdbool.h>

enum err {
    OK = 0,
    /* a request was wrong */
    ERR_BAD_REQUEST,
    ERR_KEY_NOT_FOUND,
    ERR_NO_ROUTE,
    ERR_METHOD_NOT_ALLOWED,
    ERR_LENGTH_REQUIRED,
    ERR_CONDITION_FAILED,
    ERR_TOO_LARGE,
    ERR_URI_TOO_LONG,
    ERR_UNSUPPORTED_MEDIA_TYPE,
    /* a change of the members was wrong, or came at a wrong time */
    ERR_NO_MEMBER,
    ERR_MEMBER_EXISTS,
    ERR_QUORUM_AT_RISK,
    ERR_CHANGE_UNDER_WAY,
    /* the cluster could not serve it */
    ERR_OVERLOADED,
    ERR_NO_LEADER,
    ERR_TOO_STALE,
    ERR_NO_SPACE,
    ERR_SHUTTING_DOWN,
    ERR_STATE_DIFFERS,
    ERR_TIMEOUT,
    ERR_INTERNAL,
    /* storage and start-up; these never travel over HTTP */
    ERR_NOT_FOUND,   /* no such record, file or directory */
    ERR_LOCKED,      /* another process holds the data directory */
    ERR_FOREIGN,     /* the directory is another node's, another cluster's or not ours at all */
    ERR_CORRUPT,     /* a checksum or a format does not match */
    ERR_IO,          /* the operating system refused */
    ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The stable code string, as in the REST API: "key_not_found".  Never NULL. */
const char *err_name(enum err err);

/* One sentence for people, without a full stop.  Never NULL. */
const char *err_text(enum err err);

/* The HTTP status that carries it; 500 for codes that never travel. */
int err_http_status(enum err err);

/* True if the same request may succeed a little later. */
bool err_retryable(enum err err);

#endif
