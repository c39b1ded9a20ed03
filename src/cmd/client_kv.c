/* client_kv.c - get, put, delete, list. */
#include "client_session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int client_get(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_bytes key;
    (void)argc;
    if (!client_key(argv[0], flags->percent, &key))
        return COMMAND_USAGE;
    struct holdfast_result *result = holdfast_get(session->db, key, &call);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json) {
        client_print_json(result);
    } else {
        fwrite(result->kvs[0].value.data, 1, result->kvs[0].value.size, stdout);
        if (!flags->raw)
            putchar('\n');
    }
    holdfast_result_free(result);
    return COMMAND_OK;
}

int client_put(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_bytes key, value;
    char *input = NULL;
    (void)argc;
    if (!client_key(argv[0], flags->percent, &key))
        return COMMAND_USAGE;
    value = holdfast_text(argv[1]);
    if (strcmp(argv[1], "-") == 0) {
        if (session->in_shell)
            return usage_error("in the shell a value cannot come from standard input; quote it");
        input = client_read_all(stdin, "standard input", HOLDFAST_VALUE_MAX, &value.size);
        if (input == NULL)
            return COMMAND_USAGE;
        value.data = input;
    }
    struct holdfast_result *result = holdfast_put(session->db, key, value, &call);
    free(input);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json)
        client_print_json(result);
    else
        printf("%s, revision %" PRIu64 "\n", result->created ? "created" : "updated",
               result->revision);
    holdfast_result_free(result);
    return COMMAND_OK;
}

int client_delete(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_bytes key;
    if ((argc == 1) == flags->has_prefix)
        return usage_error("delete takes a key, or --prefix=PREFIX for all keys that begin so");
    if (flags->has_prefix && flags->conditional)
        return usage_error("--if-revision is for a single key, not for --prefix");
    if (!client_key(flags->has_prefix ? flags->prefix : argv[0], flags->percent, &key))
        return COMMAND_USAGE;
    if (flags->has_prefix && key.size == 0)
        return usage_error("an empty prefix would delete every key; name one of at least a byte");
    struct holdfast_result *result = flags->has_prefix
                                         ? holdfast_delete_prefix(session->db, key, &call)
                                         : holdfast_delete(session->db, key, &call);
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json)
        client_print_json(result);
    else
        printf("deleted %" PRIu64 ", revision %" PRIu64 "\n", result->deleted, result->revision);
    holdfast_result_free(result);
    return COMMAND_OK;
}

/* ---- list */

static bool make_range(const struct client_flags *flags, int argc, char **argv,
                       struct holdfast_range *range)
{
    if (argc == 1 && flags->has_prefix) {
        usage_error("the prefix is given twice");
        return false;
    }
    char *prefix = argc == 1 ? argv[0] : flags->prefix;
    range->keys_only = flags->keys_only;
    range->count_only = flags->count;
    range->descending = flags->reverse;
    return (prefix == NULL || client_key(prefix, flags->percent, &range->prefix)) &&
           (flags->start == NULL || client_key(flags->start, flags->percent, &range->start)) &&
           (flags->end == NULL || client_key(flags->end, flags->percent, &range->end));
}

static void print_page(const struct client_flags *flags, const struct holdfast_result *page)
{
    if (flags->json) {
        client_print_json(page);
        return;
    }
    if (flags->count)
        printf("%" PRIu64 "\n", page->count);
    for (size_t i = 0; i < page->n_kvs; i++) {
        client_print_bytes(page->kvs[i].key, flags->percent);
        if (!flags->keys_only) {
            putchar('\t');
            client_print_bytes(page->kvs[i].value, false);
        }
        putchar('\n');
    }
}

int client_list(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct holdfast_call call = client_call(flags);
    struct holdfast_range range = HOLDFAST_RANGE_INIT;
    struct holdfast_result *page = NULL;
    uint32_t left = flags->limit;
    bool more = true;
    if (!make_range(flags, argc, argv, &range))
        return COMMAND_USAGE;
    while (more) {
        range.limit = flags->limit == 0 || left > 1000 ? 0 : left;
        struct holdfast_result *next = holdfast_list(session->db, &range, &call);
        holdfast_result_free(page); /* until here its cursor was needed */
        page = next;
        if (page->error != HOLDFAST_OK)
            return client_fail(session, flags, page);
        print_page(flags, page);
        left -= page->n_kvs < left ? (uint32_t)page->n_kvs : left;
        range.cursor = page->cursor;
        more = page->more && !flags->count && (flags->limit == 0 || left > 0) && !ferror(stdout);
    }
    client_note(session, page);
    holdfast_result_free(page);
    return COMMAND_OK;
}
