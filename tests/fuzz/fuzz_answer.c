/* fuzz_answer.c - what a hostile server may answer to the client library, and the addresses that it
 * may name.  The first byte of an input chooses the kind of answer that was expected. */
#include "src/client/internal.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>

static uint64_t sum; /* so that no look is optimized away */

/* Every byte that the result promises is there, and every text ends. */
static void look_at(struct holdfast_bytes bytes)
{
    const unsigned char *at = bytes.data;
    FUZZ_MUST(bytes.size == 0 || at != NULL);
    for (size_t i = 0; i < bytes.size; i++)
        sum += at[i];
}

static void look_at_text(const char *text)
{
    FUZZ_MUST(text != NULL);
    sum += strlen(text);
}

static void look_at_result(const struct holdfast_result *r)
{
    look_at_text(r->code);
    look_at_text(r->message);
    look_at_text(r->hint);
    look_at_text(r->node);
    look_at_text(r->leader);
    look_at_text(r->cursor);
    look_at(r->json);
    FUZZ_MUST(r->outcome <= HOLDFAST_UNKNOWN);
    for (size_t i = 0; i < r->n_kvs; i++) {
        look_at(r->kvs[i].key);
        look_at(r->kvs[i].value);
    }
    for (size_t i = 0; i < r->n_ops; i++) {
        FUZZ_MUST(op_type_names[r->ops[i].type] != NULL || r->error != HOLDFAST_OK);
        look_at(r->ops[i].kv.key);
        look_at(r->ops[i].kv.value);
    }
    for (size_t i = 0; i < r->n_members; i++) {
        look_at_text(r->members[i].id);
        look_at_text(r->members[i].name);
        look_at_text(r->members[i].role);
        look_at_text(r->members[i].raft_addr);
        look_at_text(r->members[i].http_addr);
    }
    if (r->status != NULL) {
        look_at_text(r->status->id);
        look_at_text(r->status->name);
        look_at_text(r->status->state);
        look_at_text(r->status->leader);
        look_at_text(r->status->leader_name);
        look_at_text(r->status->version);
    }
}

static void fuzz_answer(enum answer_kind kind, struct slice body)
{
    struct result *result = result_new();
    FUZZ_MUST(result != NULL);
    result->public.json = holdfast_bytes(result_copy(result, body.data, body.size), body.size);
    result->public.http_status = 200;
    result->public.outcome = HOLDFAST_APPLIED;
    answer_fill(result, kind);
    look_at_result(&result->public);
    bool is_write = kind == ANSWER_PUT || kind == ANSWER_DELETE || kind == ANSWER_BATCH;
    if (result->public.error != HOLDFAST_OK)
        FUZZ_MUST(result->public.outcome == (is_write ? HOLDFAST_UNKNOWN : HOLDFAST_NOT_APPLIED));
    else if (kind == ANSWER_GET)
        FUZZ_MUST(result->public.n_kvs == 1 && result->public.kvs->value.data != NULL);
    holdfast_result_free(&result->public);
}

static void fuzz_error(struct slice body)
{
    struct result *result = result_new();
    char *text = malloc(body.size + 1);
    bool retryable;
    FUZZ_MUST(result != NULL && text != NULL);
    if (body.size > 0)
        memcpy(text, body.data, body.size);
    text[body.size] = '\0';
    struct buffer buffer = { text, body.size, body.size + 1, false };
    struct cJSON *json = answer_parse(&buffer);
    if (json != NULL && answer_error(result, json, &retryable))
        FUZZ_MUST(result->public.error != HOLDFAST_OK);
    look_at_result(&result->public);
    cJSON_Delete(json);
    free(text);
    holdfast_result_free(&result->public);
}

/* What is canonical stays as it is when it is read again. */
static void fuzz_url(struct slice text)
{
    char url[HOLDFAST_URL_MAX], again[HOLDFAST_URL_MAX], why[HOLDFAST_MESSAGE_MAX];
    struct nodes nodes;
    if (url_parse(text.data, text.size, "", url, why)) {
        FUZZ_MUST(strlen(url) < HOLDFAST_URL_MAX);
        FUZZ_MUST(url_parse(url, strlen(url), "", again, why));
        FUZZ_MUST(strcmp(url, again) == 0);
    }
    char *endpoints = malloc(text.size + 1);
    FUZZ_MUST(endpoints != NULL);
    memcpy(endpoints, text.data, text.size);
    endpoints[text.size] = '\0';
    if (nodes_init(&nodes, endpoints, false, why)) {
        FUZZ_MUST(nodes.n_endpoints >= 1 && nodes.n_endpoints <= HOLDFAST_NODES_MAX);
        if (nodes_accept(&nodes, nodes.slots[0].url, endpoints, url))
            nodes_learn(&nodes, url);
        FUZZ_MUST(nodes_count(&nodes) <= HOLDFAST_NODES_MAX);
    }
    free(endpoints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { KINDS = ANSWER_INFO + 1 };
    if (size == 0)
        return 0;
    struct slice body = slice_of(data + 1, size - 1);
    unsigned choice = data[0] % (KINDS + 2);
    if (choice < KINDS)
        fuzz_answer((enum answer_kind)choice, body);
    else if (choice == KINDS)
        fuzz_error(body);
    else
        fuzz_url(body);
    return 0;
}
