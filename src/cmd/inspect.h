/* inspect.h - `holdfast inspect`: what stands in a data directory, decoded for people and programs. */
#ifndef HOLDFAST_CMD_INSPECT_H
#define HOLDFAST_CMD_INSPECT_H

#include "text.h"
#include "tool.h"

#include <holdfast/look.h>

struct inspect {
    char path[OPTION_PATH_MAX]; /* of the node's directory */
    bool json;
    uint64_t from, to, limit; /* UINT64_MAX: no bound */
    struct slice prefix;
    enum state_table table;
    uint64_t damaged; /* what was found so */
};

/* Each returns an exit status, and says what is wrong. */
int inspect_log(struct inspect *inspect);
int inspect_state(struct inspect *inspect);
int inspect_meta(struct inspect *inspect);

/* Opens; if that fails says so, and *status is the exit status. */
struct look *inspect_open(const struct inspect *inspect, enum look_env which, int *status);
/* A view of it failed: says so. */
int inspect_failed(const struct inspect *inspect, const char *what, enum err err);

/* One line for one entry, with its newline; `ops` has BATCH_OPS_MAX places. */
void inspect_write_entry(FILE *out, bool json, const struct look_entry *entry, struct kv_op *ops);
void inspect_write_item(FILE *out, bool json, const struct look_item *item);

/* What is printed is gathered while the environment is looked at, and written when it is not: who
 * reads our output may be slow, and pages would be pinned. */
struct inspect_page {
    char *text;
    size_t size;
    FILE *out;
};
enum { INSPECT_PAGE_BYTES = 256 * 1024 };
void inspect_page_begin(struct inspect_page *page);
bool inspect_page_full(struct inspect_page *page);
void inspect_page_write(struct inspect_page *page); /* to standard output; frees it */

#endif
