/* holdfast-example.c - a tour of libholdfast: put, get, a compare-and-set loop, a batch, a list.
 *
 *     cc holdfast-example.c $(pkg-config --cflags --libs libholdfast) -o holdfast-example
 *     ./holdfast-example http://localhost:8001,8002,8003
 *
 * It leaves nothing behind in the store. */
#include <holdfast/client.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints what went wrong and whether the write may have happened; frees the result. */
static int fail(const char *what, struct holdfast_result *r)
{
    fprintf(stderr, "%s: %s (%s)\n", what, r->message, holdfast_outcome_name(r->outcome));
    holdfast_result_free(r);
    return EXIT_FAILURE;
}

/* Adds one to a counter, whoever else does so at the same time: the write takes place only if
 * the key is still at the revision that was read. */
static int count_up(struct holdfast *db, struct holdfast_bytes key)
{
    for (;;) {
        struct holdfast_call call = HOLDFAST_CALL_INIT;
        char text[32];
        long n = 0;

        struct holdfast_result *r = holdfast_get(db, key, NULL);
        if (r->error == HOLDFAST_OK) {
            n = strtol(r->kvs[0].value.data, NULL, 10);
            call.if_revision = r->kvs[0].revision;
        } else if (r->error != HOLDFAST_NOT_FOUND) { /* then if_revision stays 0: must not exist */
            return fail("get", r);
        }
        holdfast_result_free(r);

        call.conditional = true;
        snprintf(text, sizeof text, "%ld", n + 1);
        r = holdfast_put(db, key, holdfast_text(text), &call);
        if (r->error == HOLDFAST_OK) {
            printf("counter is %s at revision %" PRIu64 "\n", text, r->revision);
            holdfast_result_free(r);
            return EXIT_SUCCESS;
        }
        if (r->error != HOLDFAST_CONDITION_FAILED)
            return fail("put", r);
        holdfast_result_free(r); /* somebody was faster: read again */
    }
}

static int move_and_look(struct holdfast *db)
{
    /* All or nothing; the get sees the set before it. */
    const struct holdfast_op ops[] = {
        { .type = HOLDFAST_OP_SET,
          .key = holdfast_text("example/b"),
          .value = holdfast_text("moved") },
        { .type = HOLDFAST_OP_DELETE, .key = holdfast_text("example/a") },
        { .type = HOLDFAST_OP_GET, .key = holdfast_text("example/b") },
    };
    struct holdfast_result *r = holdfast_batch(db, ops, sizeof ops / sizeof ops[0], NULL);
    if (r->error != HOLDFAST_OK)
        return fail("batch", r);
    printf("example/b is \"%s\"\n", (const char *)r->ops[2].kv.value.data);
    holdfast_result_free(r);
    return EXIT_SUCCESS;
}

static int list_all(struct holdfast *db)
{
    struct holdfast_range range = HOLDFAST_RANGE_INIT;
    struct holdfast_result *page = NULL;
    bool more = true;

    range.prefix = holdfast_text("example/");
    range.limit = 2; /* a small page, to show the cursor */
    while (more) {
        struct holdfast_result *next = holdfast_list(db, &range, NULL);
        holdfast_result_free(page); /* its cursor was needed until here */
        page = next;
        if (page->error != HOLDFAST_OK)
            return fail("list", page);
        for (size_t i = 0; i < page->n_kvs; i++)
            printf("%s = %s\n", (const char *)page->kvs[i].key.data,
                   (const char *)page->kvs[i].value.data);
        range.cursor = page->cursor;
        more = page->more;
    }
    holdfast_result_free(page);
    return EXIT_SUCCESS;
}

static int tour(struct holdfast *db)
{
    struct holdfast_result *r =
        holdfast_put(db, holdfast_text("example/a"), holdfast_text("hello"), NULL);
    if (r->error != HOLDFAST_OK)
        return fail("put", r);
    holdfast_result_free(r);

    for (int i = 0; i < 3; i++) {
        if (count_up(db, holdfast_text("example/counter")) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    if (move_and_look(db) != EXIT_SUCCESS || list_all(db) != EXIT_SUCCESS)
        return EXIT_FAILURE;

    r = holdfast_delete_prefix(db, holdfast_text("example/"), NULL);
    if (r->error != HOLDFAST_OK)
        return fail("delete", r);
    printf("deleted %" PRIu64 " keys\n", r->deleted);
    holdfast_result_free(r);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    char why[HOLDFAST_MESSAGE_MAX];
    struct holdfast *db;

    if (holdfast_open(argc > 1 ? argv[1] : "http://localhost:8001,8002,8003", NULL, &db, why) !=
        HOLDFAST_OK) {
        fprintf(stderr, "%s\n", why);
        return EXIT_FAILURE;
    }
    int status = tour(db);
    holdfast_close(db);
    return status;
}
