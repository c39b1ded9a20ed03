/* json_check.c - looks a body over before cJSON parses it.
 *
 * cJSON alone takes control characters in strings, numbers like "01", any byte up to 32 as
 * white space, a byte order mark, invalid UTF-8, a thousand levels of nesting, and cuts a
 * string at an escaped NUL.  This pass lets none of that through, allocates nothing, and says
 * at which byte the trouble is. */
#include "json_check.h"

#include <stdint.h>
#include <unistr.h>

struct scan {
    const unsigned char *at, *end, *begin;
    unsigned depth, values;
    struct problem *problem;
};

static bool not_json(struct scan *s, const char *what)
{
    return problem_set(s->problem, ERR_BAD_REQUEST, "", "the body is not JSON: %s at byte %zu",
                       what, (size_t)(s->at - s->begin));
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool next_is(const struct scan *s, unsigned char c)
{
    return s->at < s->end && *s->at == c;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return not_json(s, "an unknown word");
    s->at += length;
    return true;
}

static bool scan_digits(struct scan *s)
{
    const unsigned char *first = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > first || not_json(s, "a digit is missing");
}

static bool scan_number(struct scan *s)
{
    if (next_is(s, '-'))
        s->at++;
    if (next_is(s, '0')) {
        s->at++;
        if (s->at < s->end && *s->at >= '0' && *s->at <= '9')
            return not_json(s, "a number with a leading zero");
    } else if (!scan_digits(s)) {
        return false;
    }
    if (next_is(s, '.')) {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        s->at++;
        if (next_is(s, '+') || next_is(s, '-'))
            s->at++;
        return scan_digits(s);
    }
    return true;
}

/* Four hexadecimal digits; -1 if they are not there. */
static int32_t hex4(struct scan *s)
{
    int32_t value = 0;
    if (s->end - s->at < 4)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        unsigned char c = s->at[i];
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    s->at += 4;
    return value;
}

/* Behind "\u". */
static bool scan_unicode_escape(struct scan *s)
{
    int32_t unit = hex4(s);
    if (unit < 0)
        return not_json(s, "a \\u escape without four hexadecimal digits");
    if (unit == 0)
        return problem_set(
            s->problem, ERR_BAD_REQUEST,
            "send what holds NUL bytes in base64, as the member with _b64 at the end "
            "of its name (\"value_b64\" for \"value\")",
            "a JSON string here cannot hold NUL (\\u0000 at byte %zu)",
            (size_t)(s->at - s->begin) - 6);
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return not_json(s, "half of a surrogate pair");
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return not_json(s, "half of a surrogate pair");
        s->at += 2;
        unit = hex4(s);
        if (unit < 0xdc00 || unit > 0xdfff)
            return not_json(s, "half of a surrogate pair");
    }
    return true;
}

static bool scan_string(struct scan *s)
{
    s->at++; /* the quote */
    while (s->at < s->end) {
        unsigned char c = *s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20)
            return not_json(s, "a control character inside a string");
        s->at++;
        if (c != '\\')
            continue;
        if (s->at == s->end)
            break;
        c = *s->at;
        if (c == 'u') {
            s->at++;
            if (!scan_unicode_escape(s))
                return false;
        } else if (c != 0 && strchr("\"\\/bfnrt", c) != NULL) {
            s->at++;
        } else {
            return not_json(s, "an unknown escape");
        }
    }
    return not_json(s, "a string without end");
}

static bool scan_value(struct scan *s);

static bool scan_items(struct scan *s, bool object)
{
    unsigned char close = object ? '}' : ']';

    if (++s->depth > JSON_DEPTH_MAX)
        return problem_set(s->problem, ERR_BAD_REQUEST, "",
                           "the body is nested deeper than %d levels", JSON_DEPTH_MAX);
    s->at++; /* the bracket */
    skip_space(s);
    if (next_is(s, close)) {
        s->at++;
        s->depth--;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (object) {
            if (!next_is(s, '"'))
                return not_json(s, "a member's name in double quotes is missing");
            if (!scan_string(s))
                return false;
            skip_space(s);
            if (!next_is(s, ':'))
                return not_json(s, "a colon is missing");
            s->at++;
        }
        if (!scan_value(s))
            return false;
        skip_space(s);
        if (next_is(s, close))
            break;
        if (!next_is(s, ','))
            return not_json(s, object ? "a comma or } is missing" : "a comma or ] is missing");
        s->at++;
    }
    s->at++;
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s)
{
    skip_space(s);
    if (++s->values > JSON_VALUES_MAX)
        return problem_set(s->problem, ERR_TOO_LARGE, "", "the body holds more than %d JSON values",
                           JSON_VALUES_MAX);
    if (s->at == s->end)
        return not_json(s, "a value is missing");
    switch (*s->at) {
    case '{':
        return scan_items(s, true);
    case '[':
        return scan_items(s, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
            return scan_number(s);
        return not_json(s, "an unexpected character");
    }
}

bool json_check(struct slice body, struct problem *problem)
{
    struct scan scan = { .at = body.data, .begin = body.data, .problem = problem };
    struct scan *s = &scan;

    if (body.size == 0)
        return problem_set(problem, ERR_BAD_REQUEST, "", "the body is empty; it must be JSON");
    s->end = s->begin + body.size;
    const unsigned char *invalid = u8_check(s->begin, body.size);
    if (invalid != NULL)
        return problem_set(problem, ERR_BAD_REQUEST,
                           "send bytes that are not text in base64 as \"value_b64\", or raw with "
                           "Content-Type: application/octet-stream",
                           "the body is not valid UTF-8 at byte %zu", (size_t)(invalid - s->begin));
    if (!scan_value(s))
        return false;
    skip_space(s);
    if (s->at < s->end)
        return not_json(s, "something behind the end of the value");
    return true;
}
