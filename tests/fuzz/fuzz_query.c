/* fuzz_query.c - a request's target and the two headers that carry conditions, from text to values;
 * and keys, percent-encoded and back.
 *
 * The first line of an input is the target, the second If-Match, the third If-None-Match. */
#include "src/client/internal.h"
#include "src/server/base64.h"
#include "src/server/cursor.h"
#include "src/server/options.h"
#include "src/transport/percent.h"
#include "src/transport/query.h"
#include "tests/fuzz/fuzz.h"

/* ---- a request that is only these */

struct http_request {
    struct slice target;
    struct query query;
    const char *if_match, *if_none_match;
};

struct slice http_request_target(const struct http_request *request)
{
    return request->target;
}

bool http_request_query(const struct http_request *request, const char *name, struct slice *value)
{
    const struct query_parameter *parameter = query_find(&request->query, name);
    if (parameter == NULL)
        return false;
    *value = parameter->value;
    return true;
}

const char *http_request_unknown_query(const struct http_request *request, const char *const *known)
{
    for (unsigned i = 0; i < request->query.n; i++) {
        const char *const *at = known;
        while (*at != NULL && strcmp(*at, request->query.parameters[i].name) != 0)
            at++;
        if (*at == NULL)
            return request->query.parameters[i].name;
    }
    return NULL;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return strcmp(name, "If-Match") == 0 ? request->if_match : request->if_none_match;
}

/* ---- what must hold */

static void check_key(struct slice key)
{
    unsigned char *space;
    struct buffer text = { NULL, 0, 0, false };
    for (int keep_slash = 0; keep_slash < 2; keep_slash++) {
        size_t size;
        text.size = 0;
        buffer_percent(&text, holdfast_bytes(key.data, key.size), keep_slash != 0);
        space = fuzz_copy(slice_of(text.data, text.size));
        FUZZ_MUST(percent_decode(slice_of(text.data, text.size), keep_slash != 0, space, &size));
        FUZZ_MUST(slice_equal(slice_of(space, size), key));
        free(space);
    }
    buffer_free(&text);
}

static void check_base64(struct slice text)
{
    static const enum base64_kind kinds[] = { BASE64_STANDARD, BASE64_URL };
    for (int i = 0; i < 2; i++) {
        unsigned char *bytes = malloc(BASE64_DECODED_MAX(text.size) + 1);
        size_t size;
        FUZZ_MUST(bytes != NULL);
        if (base64_decode(kinds[i], text, bytes, &size)) {
            char *again = malloc(BASE64_ENCODED_SIZE(size) + 1);
            FUZZ_MUST(again != NULL && size <= BASE64_DECODED_MAX(text.size));
            size_t length = base64_encode(kinds[i], slice_of(bytes, size), again);
            FUZZ_MUST(slice_equal(slice_of(again, length), text));
            free(again);
        }
        free(bytes);
    }
}

static void check_cursor(struct slice text)
{
    unsigned char key[KEY_SIZE_MAX];
    char again[CURSOR_TEXT_MAX];
    struct slice after;
    struct problem problem;
    uint64_t digest = 42;
    if (!cursor_decode(digest, text, key, &after, &problem)) {
        FUZZ_MUST(problem.err != OK && problem.message[0] != '\0');
        return;
    }
    FUZZ_MUST(after.size >= 1 && after.size <= KEY_SIZE_MAX);
    size_t size = cursor_encode(digest, after, again);
    FUZZ_MUST(slice_equal(slice_of(again, size), text));
}

static void check_options(const struct http_request *request)
{
    static const struct option_defaults defaults = { 5000, 60000, false };
    static const uint32_t accepted[] = {
        OPTIONS_READ | OPTION_RAW,
        OPTIONS_FORWARDED | OPTION_IF_REVISION | OPTION_RAW | OPTION_KEY,
        OPTIONS_READ | OPTIONS_LIST | OPTION_KEY | OPTION_RAW,
        (1 << 17) - 1,
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct options options;
        struct problem problem = { .err = OK };
        if (!options_parse(request, accepted[i], &defaults, &options, &problem)) {
            FUZZ_MUST(problem.err != OK && problem.message[0] != '\0');
            continue;
        }
        FUZZ_MUST((options.given & ~accepted[i]) == 0);
        FUZZ_MUST(options.timeout_ms >= 1 && options.timeout_ms <= defaults.timeout_max_ms);
        FUZZ_MUST(options.limit >= 1 && options.limit <= PAGE_KEYS_MAX);
        FUZZ_MUST(options.key.size <= KEY_SIZE_MAX && options.prefix.size <= KEY_SIZE_MAX);
        struct kv_op op = { .type = KV_SET };
        if (!options_condition(request, &options, &op, &problem))
            FUZZ_MUST(problem.err != OK);
        else
            FUZZ_MUST(op.condition == CONDITION_REVISION || op.revision == 0);
    }
}

static void check_target(struct http_request *request)
{
    struct slice target = request->target;
    const char *mark = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
    size_t path_size = mark != NULL ? (size_t)(mark - (const char *)target.data) : target.size, size;
    unsigned char *path = malloc(path_size + 1), *space = malloc(target.size + 1);
    FUZZ_MUST(path != NULL && space != NULL);
    if (percent_decode(slice_of(target.data, path_size), false, path, &size)) {
        FUZZ_MUST(size <= path_size);
        check_key(slice_of(path, size));
    }
    if (mark != NULL && query_parse(slice_of(mark + 1, target.size - path_size - 1), &request->query,
                                    space) == NULL) {
        FUZZ_MUST(request->query.n <= QUERY_PARAMETERS_MAX);
        for (unsigned i = 0; i < request->query.n; i++) {
            const struct query_parameter *parameter = &request->query.parameters[i];
            FUZZ_MUST(parameter->name[0] != '\0');
            FUZZ_MUST(query_find(&request->query, parameter->name) == parameter);
        }
        check_options(request);
    }
    free(path);
    free(space);
}

static char *take_line(struct fuzz_input *in)
{
    const uint8_t *end = in->left > 0 ? memchr(in->at, '\n', in->left) : NULL;
    struct slice line = fuzz_bytes(in, end != NULL ? (size_t)(end - in->at) : in->left);
    fuzz_u8(in);
    char *text = malloc(line.size + 1);
    FUZZ_MUST(text != NULL);
    if (line.size > 0)
        memcpy(text, line.data, line.size);
    text[line.size] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request request;
    struct fuzz_input in = { data, size };
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    request.query.n = 0;
    request.target = fuzz_bytes(&in, end != NULL ? (size_t)(end - data) : size);
    fuzz_u8(&in);
    char *if_match = take_line(&in), *if_none_match = take_line(&in);
    request.if_match = if_match[0] != '\0' ? if_match : NULL;
    request.if_none_match = if_none_match[0] != '\0' ? if_none_match : NULL;
    check_key(slice_of(data, size));
    check_base64(request.target);
    check_cursor(request.target);
    check_target(&request);
    free(if_match);
    free(if_none_match);
    return 0;
}
