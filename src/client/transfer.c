/* transfer.c - one HTTP exchange with one node, and the truth about how far it came.
 *
 * libcurl by itself repeats a request, also a write, when a connection that it had kept breaks
 * before the answer.  For a store that is forbidden: the first copy may have been applied.  So
 * the callback that curl makes before each sending lets the first through and no other, and
 * "nothing left this machine" is said only if the callback was never made. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct sending {
    struct exchange *exchange;
    CURL *curl;
    const struct holdfast_sink *sink;
    bool sink_begun;
    size_t answer_max;
    unsigned times; /* requests that curl began to send */
    bool too_big;
};

static int on_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct sending *sending = arg;
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    return sending->times++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* Only a 200 is for the sink; an error is read as any other. */
static bool is_for_sink(const struct sending *sending)
{
    long status = 0;
    if (sending->sink == NULL)
        return false;
    curl_easy_getinfo(sending->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200;
}

static size_t give_sink(struct sending *sending, const char *data, size_t size)
{
    const struct holdfast_sink *sink = sending->sink;
    struct exchange *exchange = sending->exchange;
    if (!sending->sink_begun && !sink->begin(sink->arg, &exchange->snapshot))
        exchange->sink_ended = true;
    sending->sink_begun = true;
    if (!exchange->sink_ended && !sink->data(sink->arg, data, size))
        exchange->sink_ended = true;
    return exchange->sink_ended ? 0 : size;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct sending *sending = arg;
    struct buffer *body = &sending->exchange->body;
    size_t bytes = size * n;
    if (is_for_sink(sending))
        return give_sink(sending, data, bytes);
    if (bytes > sending->answer_max || body->size > sending->answer_max - bytes) {
        sending->too_big = true;
        return 0;
    }
    buffer_add(body, data, bytes);
    return body->failed ? 0 : bytes;
}

/* The value of header `name` as text if `line` is that header, else false. */
static bool header_value(const char *line, size_t size, const char *name, char *out,
                         size_t out_size)
{
    size_t n = strlen(name);
    if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    const char *p = line + n + 1, *end = line + size;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    if ((size_t)(end - p) >= out_size)
        return false;
    memcpy(out, p, (size_t)(end - p));
    out[end - p] = '\0';
    return true;
}

static void take_snapshot_header(struct holdfast_snapshot *out, const char *line, size_t size)
{
    const struct {
        const char *name;
        uint64_t *value;
        int base;
    } headers[] = {
        { "Content-Length", &out->size, 10 },
        { "Holdfast-Snapshot-Checksum", &out->checksum, 16 },
        { "Holdfast-Snapshot-Index", &out->index, 10 },
        { "Holdfast-Snapshot-Term", &out->term, 10 },
        { "Holdfast-Snapshot-Revision", &out->revision, 10 },
        { "Holdfast-Snapshot-Keys", &out->keys, 10 },
        { "Holdfast-Snapshot-Digest", &out->digest, 16 },
    };
    char text[64];
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (header_value(line, size, headers[i].name, text, sizeof(text)))
            *headers[i].value = strtoull(text, NULL, headers[i].base);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct exchange *exchange = ((struct sending *)arg)->exchange;
    char text[2048];
    size_t bytes = size * n;
    take_snapshot_header(&exchange->snapshot, line, bytes);
    if (header_value(line, bytes, "Holdfast-Leader", text, sizeof(exchange->leader))) {
        snprintf(exchange->leader, sizeof(exchange->leader), "%s", text);
    } else if (header_value(line, bytes, "Holdfast-Revision", text, sizeof(text))) {
        exchange->revision = strtoull(text, NULL, 10);
    } else if (header_value(line, bytes, "Retry-After", text, sizeof(text))) {
        unsigned long seconds = strtoul(text, NULL, 10);
        exchange->retry_after_ms = seconds > 3600 ? 3600 * 1000u : (uint32_t)seconds * 1000u;
    } else if (header_value(line, bytes, "Location", text, sizeof(text))) {
        /* Who to ask is all that a redirect may change, never what is asked. */
        char *authority = strstr(text, "://");
        size_t length = authority == NULL ? 0 : strcspn(authority + 3, "/?#") + 3;
        if (authority != NULL)
            authority[length] = '\0';
        if (authority != NULL && strlen(text) < sizeof(exchange->location))
            snprintf(exchange->location, sizeof(exchange->location), "%.*s", HOLDFAST_URL_MAX - 1,
                     text);
    }
    return bytes;
}

static struct curl_slist *make_headers(const struct request *request)
{
    char type[128];
    snprintf(type, sizeof(type), "Content-Type: %s",
             request->content_type == NULL ? "" : request->content_type);
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    struct curl_slist *longer = list == NULL ? NULL : curl_slist_append(list, type);
    if (longer != NULL)
        longer = curl_slist_append(list, "Expect:");
    if (longer == NULL) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static void set_protocols(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* False if curl could not copy the URL. */
static bool set_options(CURL *curl, const struct request *request, const char *url,
                        struct curl_slist *headers, struct sending *sending)
{
    curl_easy_reset(curl); /* keeps the open connections */
    set_protocols(curl);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a key may be ".." */
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_MAX_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, sending->exchange->error);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sending);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, sending);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, sending);
    if (request->has_body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                         request->body.size == 0 ? "" : request->body.data);
    }
    return curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK;
}

static enum exchange_end judge(CURLcode code, const struct sending *sending)
{
    if (code == CURLE_OK)
        return EXCHANGE_ANSWERED;
    if (sending->too_big)
        return EXCHANGE_TOO_BIG;
    if (sending->times > 0)
        return EXCHANGE_LOST;
    return code == CURLE_OUT_OF_MEMORY ? EXCHANGE_NO_MEMORY : EXCHANGE_NOT_SENT;
}

void exchange_run(struct connection *connection, const char *user_agent,
                  const struct request *request, const char *node, uint32_t timeout_ms,
                  uint32_t connect_ms, size_t answer_max, struct exchange *out)
{
    struct sending sending = { .exchange = out, .curl = connection->curl, .sink = request->sink,
                               .answer_max = answer_max };
    struct curl_slist *headers = make_headers(request);
    struct buffer url = { 0 };
    CURL *curl = connection->curl;

    memset(out, 0, sizeof(*out));
    out->end = EXCHANGE_NO_MEMORY;
    out->snapshot.node = node;
    buffer_format(&url, "%s", node);
    buffer_text(&url, request->target);
    /* The node gives up a little before us, so that its word on the outcome still arrives. */
    uint32_t node_ms = timeout_ms - timeout_ms / 10;
    if (request->takes_timeout)
        buffer_format(&url, "%ctimeout=%ums", strchr(request->target, '?') == NULL ? '?' : '&',
                      node_ms < NODE_TIMEOUT_MAX_MS ? node_ms : NODE_TIMEOUT_MAX_MS);
    if (headers != NULL && !url.failed && set_options(curl, request, url.data, headers, &sending)) {
        curl_easy_setopt(curl, CURLOPT_USERAGENT, user_agent);
        if (request->sink == NULL) {
            curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        } else {
            curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
            curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_MAX_S);
        }
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
        CURLcode code = curl_easy_perform(curl);
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        out->status = (int)status;
        out->end =
            out->body.failed && sending.times == 0 ? EXCHANGE_NO_MEMORY : judge(code, &sending);
        out->timed_out = code == CURLE_OPERATION_TIMEDOUT;
        if (out->error[0] == '\0')
            snprintf(out->error, sizeof(out->error), "%s", curl_easy_strerror(code));
        /* Nothing of this call may be looked at by a later one. */
        curl_easy_reset(curl);
    }
    curl_slist_free_all(headers);
    buffer_free(&url);
}

void exchange_fini(struct exchange *exchange)
{
    buffer_free(&exchange->body);
}
