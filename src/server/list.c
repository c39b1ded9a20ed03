/* list.c - GET /kv: keys in order, a page at a time. */
#include "call.h"

#include "cursor.h"

/* The query of the request.  `key` is room for the cursor's. */
static bool read_query(const struct call *call, unsigned char *key, struct list_query *query,
                       uint64_t *digest, struct problem *problem)
{
    const struct options *options = &call->options;

    *query = (struct list_query) {
        .prefix = options->prefix,
        .start = options->start,
        .end = options->end,
        .descending = options->descending,
        .keys_only = options->keys_only,
        .count_only = options->count_only,
        .limit = options->limit,
    };
    *digest = cursor_digest(node_identity(call->server->node)->cluster, query);
    return (options->given & OPTION_CURSOR) == 0 ||
           cursor_decode(*digest, options->cursor, key, &query->after, problem);
}

struct page {
    struct json_out out;
    bool keys_only;
    struct slice last_key;
};

static void write_item(void *arg, const struct kv_item *item)
{
    struct page *page = arg;

    json_open(&page->out, '{');
    json_member_bytes(&page->out, "key", item->key);
    if (!page->keys_only)
        json_member_bytes(&page->out, "value", item->value);
    json_member_u64(&page->out, "revision", item->revision);
    json_member_u64(&page->out, "create_revision", item->create_revision);
    json_member_u64(&page->out, "version", item->version);
    json_close(&page->out, '}');
    page->last_key = item->key;
}

static void write_end(struct page *page, uint64_t digest, const struct list_result *result,
                      uint64_t revision)
{
    char cursor[CURSOR_TEXT_MAX];

    json_member_u64(&page->out, "count", result->count);
    json_member_bool(&page->out, "more", result->more);
    if (result->more && page->last_key.size > 0) {
        json_name(&page->out, "cursor");
        json_string(&page->out, slice_of(cursor, cursor_encode(digest, page->last_key, cursor)));
    }
    json_member_u64(&page->out, "revision", revision);
    json_close(&page->out, '}');
}

static void list_done(struct call *call)
{
    struct statemachine *sm = node_statemachine(call->server->node);
    unsigned char key[KEY_SIZE_MAX];
    struct list_query query;
    struct list_result result;
    struct problem problem;
    struct page page = { .keys_only = call->options.keys_only };
    uint64_t digest;

    if (call->op.err != OK) {
        call_fail_op(call);
        return;
    }
    if (!read_query(call, key, &query, &digest, &problem)) {
        call_fail(call, &problem);
        return;
    }
    enum err err = statemachine_read_begin(sm);
    if (err != OK) {
        call_fail_damaged(call, err, "the storage could not be read");
        return;
    }
    json_init(&page.out);
    json_open(&page.out, '{');
    json_name(&page.out, "kvs");
    json_open(&page.out, '[');
    err = statemachine_list(sm, &query, write_item, &page, &result);
    json_close(&page.out, ']');
    if (err == OK)
        write_end(&page, digest, &result, statemachine_revision(sm));
    statemachine_read_end(sm);
    if (err == OK) {
        call_reply_json(call, 200, &page.out);
    } else {
        json_fini(&page.out);
        call_fail_damaged(call, err, "the stored keys could not be read");
    }
}

void list_get(struct call *call)
{
    unsigned char key[KEY_SIZE_MAX];
    struct list_query query;
    struct problem problem;
    uint64_t digest;

    if (!read_query(call, key, &query, &digest, &problem))
        call_fail(call, &problem);
    else
        call_submit_read(call, list_done);
}
