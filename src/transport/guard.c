/* guard.c - the strict reading of a request's head.
 *
 * evhttp's parser takes bare line feeds, folded headers, NULs that cut a value, "+5" as a
 * length, repeated lengths, absolute URIs and requests without Host: each a way to make two
 * programs see two different requests in the same bytes.  Here all of them end. */
#include "guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum {
    CONTENT_LENGTH_DIGITS_MAX = 15,
    METHOD_SIZE_MIN = 3, /* evhttp refuses a line shorter than "GET / HTTP/1.1" by its own means */
};

void refusal_set(struct refusal *refusal, int status, const char *code, const char *format, ...)
{
    va_list arguments;
    refusal->status = status;
    refusal->code = code;
    va_start(arguments, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
}

static bool bad(struct refusal *refusal, const char *sentence)
{
    refusal_set(refusal, 400, "bad_request", "%s", sentence);
    return false;
}

/* ---- where the head ends */

static bool is_token_character(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static enum scan too_long(const unsigned char *data, size_t size, size_t headers_max,
                          struct refusal *refusal)
{
    const unsigned char *line_end = memchr(data, '\n', size);
    size_t line = line_end != NULL ? (size_t)(line_end - data) : size;
    if (line > TARGET_SIZE_MAX)
        refusal_set(refusal, 414, "uri_too_long", "the path and query may have %d bytes",
                    TARGET_SIZE_MAX);
    else
        refusal_set(refusal, 431, "headers_too_large",
                    "the request line and headers may have %zu bytes", headers_max);
    return SCAN_REFUSED;
}

enum scan head_scan(const unsigned char *data, size_t size, size_t seen, size_t headers_max,
                    size_t *end, struct refusal *refusal)
{
    if (size == 0)
        return SCAN_MORE;
    if (!is_token_character(data[0])) {
        bad(refusal, "this is no HTTP request; this port speaks plain HTTP/1.1");
        return SCAN_REFUSED;
    }
    const unsigned char *stop = data + size;
    for (const unsigned char *at = data + seen; at < stop; at++) {
        const unsigned char *line_feed = memchr(at, '\n', (size_t)(stop - at));
        const unsigned char *line_stop = line_feed != NULL ? line_feed : stop;
        if (memchr(at, '\0', (size_t)(line_stop - at)) != NULL) {
            bad(refusal, "there is a NUL byte in the headers");
            return SCAN_REFUSED;
        }
        if (line_feed == NULL)
            break;
        if (line_feed == data || line_feed[-1] != '\r') {
            bad(refusal, "a line of the headers ends without a carriage return");
            return SCAN_REFUSED;
        }
        size_t here = (size_t)(line_feed - data) + 1;
        if (here > headers_max)
            return too_long(data, size, headers_max, refusal);
        if (here >= 4 && line_feed[-2] == '\n') {
            *end = here;
            return SCAN_END;
        }
        at = line_feed;
    }
    return size > headers_max ? too_long(data, size, headers_max, refusal) : SCAN_MORE;
}

/* ---- the request line */

static bool is_token(struct slice text)
{
    const unsigned char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (!is_token_character(at[i]))
            return false;
    return text.size > 0;
}

static bool is_text(struct slice text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool is_word(struct slice text, const char *word) /* without regard to case */
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static void judge_method(struct slice name, struct head *head)
{
    static const struct {
        const char *name;
        enum http_method method;
        bool body_unread;
    } methods[] = {
        { "GET", HTTP_GET, false },       { "PUT", HTTP_PUT, false },
        { "POST", HTTP_POST, false },     { "DELETE", HTTP_DELETE, false },
        { "HEAD", HTTP_HEAD, true },      { "OPTIONS", HTTP_OTHER, false },
        { "CONNECT", HTTP_OTHER, false }, { "PATCH", HTTP_OTHER, false },
    };
    head->method = HTTP_OTHER;
    head->body_unread = true; /* TRACE and what evhttp does not know */
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (is_text(name, methods[i].name)) {
            head->method = methods[i].method;
            head->body_unread = methods[i].body_unread;
        }
    }
}

static bool judge_target(struct slice target, struct refusal *refusal)
{
    const unsigned char *at = target.data;
    if (target.size == 0 || at[0] != '/')
        return bad(refusal, "the target must be a path that begins with '/', as in /kv/hello");
    if (target.size > 1 && at[1] == '/')
        return bad(refusal, "the path begins with two slashes");
    if (target.size > TARGET_SIZE_MAX) {
        refusal_set(refusal, 414, "uri_too_long", "the path and query may have %d bytes",
                    TARGET_SIZE_MAX);
        return false;
    }
    for (size_t i = 0; i < target.size; i++)
        if (at[i] < 0x21 || at[i] == 0x7f || at[i] == '#')
            return bad(refusal, "the path or query holds a byte that must be percent-encoded");
    return true;
}

static bool judge_request_line(struct slice line, struct head *head, struct refusal *refusal)
{
    const char *begin = line.data, *stop = begin + line.size;
    const char *first = memchr(begin, ' ', line.size);
    if (first == NULL)
        return bad(refusal, "the request line must be 'METHOD /path HTTP/1.1'");
    const char *second = memchr(first + 1, ' ', (size_t)(stop - first - 1));
    if (second == NULL)
        return bad(refusal, "the request line must be 'METHOD /path HTTP/1.1'");
    struct slice method = slice_of(begin, (size_t)(first - begin));
    struct slice version = slice_of(second + 1, (size_t)(stop - second - 1));
    head->target = slice_of(first + 1, (size_t)(second - first - 1));
    if (!is_token(method) || method.size < METHOD_SIZE_MIN)
        return bad(refusal, "the method is not a word of three letters or more");
    judge_method(method, head);
    head->http10 = is_text(version, "HTTP/1.0");
    if (!head->http10 && !is_text(version, "HTTP/1.1")) {
        if (version.size == 8 && memcmp(version.data, "HTTP/", 5) == 0)
            refusal_set(refusal, 505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
        else
            bad(refusal, "the request line must be 'METHOD /path HTTP/1.1'");
        return false;
    }
    return judge_target(head->target, refusal);
}

/* ---- headers */

struct seen {
    bool host, length, coding, expect, connection, keep_alive;
};

static struct slice trim(struct slice text)
{
    const char *at = text.data;
    while (text.size > 0 && (at[0] == ' ' || at[0] == '\t')) {
        at++;
        text.size--;
    }
    while (text.size > 0 && (at[text.size - 1] == ' ' || at[text.size - 1] == '\t'))
        text.size--;
    text.data = at;
    return text;
}

static bool judge_length(struct slice value, struct seen *seen, struct head *head,
                         struct refusal *refusal)
{
    const char *at = value.data;
    if (seen->length)
        return bad(refusal, "Content-Length is given twice");
    seen->length = true;
    if (value.size == 0 || value.size > CONTENT_LENGTH_DIGITS_MAX)
        return bad(refusal, "Content-Length is not a number of bytes");
    head->content_length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (at[i] < '0' || at[i] > '9')
            return bad(refusal, "Content-Length is not a number of bytes");
        head->content_length = head->content_length * 10 + (uint64_t)(at[i] - '0');
    }
    head->has_body = head->has_body || head->content_length > 0;
    return true;
}

static bool judge_coding(struct slice value, struct seen *seen, struct head *head,
                         struct refusal *refusal)
{
    if (seen->coding)
        return bad(refusal, "Transfer-Encoding is given twice");
    seen->coding = true;
    if (!is_word(value, "chunked"))
        return bad(refusal, "the only Transfer-Encoding understood is chunked");
    if (head->http10)
        return bad(refusal, "HTTP/1.0 has no Transfer-Encoding");
    head->chunked = head->has_body = true;
    return true;
}

static bool judge_host(struct slice value, struct seen *seen, struct refusal *refusal)
{
    const unsigned char *at = value.data;
    if (seen->host)
        return bad(refusal, "Host is given twice");
    seen->host = true;
    for (size_t i = 0; i < value.size; i++)
        if (at[i] <= ' ' || at[i] >= 0x7f || strchr(",/?#@\\\"<>", at[i]) != NULL)
            return bad(refusal, "Host is not a name and port");
    return true;
}

static bool judge_expect(struct slice value, struct seen *seen, struct refusal *refusal)
{
    if (seen->expect)
        return bad(refusal, "Expect is given twice");
    seen->expect = true;
    if (is_word(value, "100-continue"))
        return true;
    refusal_set(refusal, 417, "expectation_failed",
                "the only expectation understood is 100-continue");
    return false;
}

/* A list of words; evhttp reads only a header that is the one word. */
static void judge_connection(struct slice value, struct seen *seen, struct head *head)
{
    const char *at = value.data, *stop = at + value.size;
    while (at < stop) {
        const char *comma = memchr(at, ',', (size_t)(stop - at));
        const char *end = comma != NULL ? comma : stop;
        struct slice word = trim(slice_of(at, (size_t)(end - at)));
        head->close = head->close || is_word(word, "close");
        /* Only where evhttp sees it as well: at the very start of the first such header. */
        if (is_word(word, "keep-alive") && at == value.data && !seen->connection)
            seen->keep_alive = true;
        at = end + 1;
    }
    seen->connection = true;
}

static bool judge_header(struct slice line, struct seen *seen, struct head *head,
                         struct refusal *refusal)
{
    const char *begin = line.data;
    const char *colon = memchr(begin, ':', line.size);
    if (begin[0] == ' ' || begin[0] == '\t')
        return bad(refusal, "a header is folded over two lines");
    if (colon == NULL)
        return bad(refusal, "a header has no colon");
    struct slice name = slice_of(begin, (size_t)(colon - begin));
    struct slice value = trim(slice_of(colon + 1, line.size - name.size - 1));
    const unsigned char *at = value.data;
    if (!is_token(name))
        return bad(refusal, "the name of a header is not a word");
    for (size_t i = 0; i < value.size; i++)
        if ((at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f)
            return bad(refusal, "a header holds a control character");
    switch (name.size) {
    case 4:
        return !is_word(name, "Host") || judge_host(value, seen, refusal);
    case 6:
        return !is_word(name, "Expect") || judge_expect(value, seen, refusal);
    case 10:
        if (is_word(name, "Connection"))
            judge_connection(value, seen, head);
        return true;
    case 14:
        return !is_word(name, "Content-Length") || judge_length(value, seen, head, refusal);
    case 17:
        return !is_word(name, "Transfer-Encoding") || judge_coding(value, seen, head, refusal);
    default:
        return true;
    }
}

/* ---- the whole */

static bool judge_whole(const struct seen *seen, size_t body_max, struct head *head,
                        struct refusal *refusal)
{
    if (!seen->host && !head->http10)
        return bad(refusal, "the Host header is missing");
    if (seen->length && seen->coding)
        return bad(refusal, "Content-Length and Transfer-Encoding exclude each other");
    if ((head->method == HTTP_PUT || head->method == HTTP_POST) && !seen->length && !seen->coding) {
        refusal_set(refusal, 411, "length_required", "PUT and POST need a Content-Length");
        return false;
    }
    if (head->content_length > body_max) {
        refusal_set(refusal, 413, "too_large", "the body may have %zu bytes", body_max);
        return false;
    }
    head->close = head->close || (head->http10 && !seen->keep_alive);
    return true;
}

bool head_parse(const unsigned char *data, size_t size, size_t body_max, struct head *head,
                struct refusal *refusal)
{
    struct seen seen = { 0 };
    const unsigned char *at = data, *stop = data + size - 2; /* the empty line */
    memset(head, 0, sizeof *head);
    while (at < stop) {
        const unsigned char *line_feed = memchr(at, '\n', (size_t)(stop - at));
        struct slice line = slice_of(at, (size_t)(line_feed - at) - 1);
        bool fine = at == data ? judge_request_line(line, head, refusal)
                               : judge_header(line, &seen, head, refusal);
        if (!fine)
            return false;
        at = line_feed + 1;
    }
    return judge_whole(&seen, body_max, head, refusal);
}
