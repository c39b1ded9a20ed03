/* code.c - the table of error numbers.  A number, once given, keeps its meaning. */
#include "code.h"

#include <stddef.h>

static const struct {
    enum err err;
    uint8_t code;
} codes[] = {
    { OK, 0 },
    { ERR_BAD_REQUEST, 1 },
    { ERR_KEY_NOT_FOUND, 2 },
    { ERR_NO_ROUTE, 3 },
    { ERR_METHOD_NOT_ALLOWED, 4 },
    { ERR_LENGTH_REQUIRED, 5 },
    { ERR_CONDITION_FAILED, 6 },
    { ERR_TOO_LARGE, 7 },
    { ERR_URI_TOO_LONG, 8 },
    { ERR_UNSUPPORTED_MEDIA_TYPE, 9 },
    { ERR_OVERLOADED, 10 },
    { ERR_NO_LEADER, 11 },
    { ERR_TOO_STALE, 12 },
    { ERR_NO_SPACE, 13 },
    { ERR_SHUTTING_DOWN, 14 },
    { ERR_TIMEOUT, 15 },
    { ERR_INTERNAL, 16 },
    { ERR_STATE_DIFFERS, 17 },
    { ERR_NO_MEMBER, 18 },
    { ERR_MEMBER_EXISTS, 19 },
    { ERR_QUORUM_AT_RISK, 20 },
    { ERR_CHANGE_UNDER_WAY, 21 },
};

enum { CODES = sizeof codes / sizeof codes[0], CODE_INTERNAL = 16 };

uint8_t code_of_err(enum err err)
{
    for (size_t i = 0; i < CODES; i++)
        if (codes[i].err == err)
            return codes[i].code;
    return CODE_INTERNAL;
}

bool code_to_err(uint8_t code, enum err *out)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].code == code) {
            *out = codes[i].err;
            return true;
        }
    }
    return false;
}
