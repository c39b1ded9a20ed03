/* client_batch.c - several operations at once: from arguments, from lines, or as JSON. */
#include "client_session.h"
#include "values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_INPUT_MAX = 1536 * 1024 };

struct batch {
    struct holdfast_op ops[BATCH_OPS_MAX];
    size_t n;
    bool percent;
};

/* Reads one operation from the front of `words`; returns how many of them it took, 0 if it is
 * wrong, which was said. */
static int add_op(struct batch *batch, int n, char **words)
{
    static const struct {
        const char *name;
        enum holdfast_op_type type;
        int words;
    } kinds[] = {
        { "set", HOLDFAST_OP_SET, 3 },
        { "put", HOLDFAST_OP_SET, 3 },
        { "get", HOLDFAST_OP_GET, 2 },
        { "delete", HOLDFAST_OP_DELETE, 2 },
        { "delete-prefix", HOLDFAST_OP_DELETE_PREFIX, 2 },
    };
    struct holdfast_op *op = &batch->ops[batch->n];
    if (batch->n == BATCH_OPS_MAX) {
        usage_error("a batch has at most %d operations", BATCH_OPS_MAX);
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, words[0]) != 0)
            continue;
        if (n < kinds[i].words) {
            usage_error("%s in a batch takes %s", words[0],
                        kinds[i].words == 3 ? "a key and a value" : "a key");
            return 0;
        }
        memset(op, 0, sizeof *op);
        op->type = kinds[i].type;
        if (!client_key(words[1], batch->percent, &op->key))
            return 0;
        if (op->type == HOLDFAST_OP_SET)
            op->value = holdfast_text(words[2]);
        batch->n++;
        return kinds[i].words;
    }
    usage_error("a batch has no operation \"%.100s\": it is set, get, delete or delete-prefix",
                words[0]);
    return 0;
}

static bool add_line(struct batch *batch, char *line)
{
    char *words[4], why[WHY_MAX];
    int n = words_split(line, words, 4, why);
    if (n < 0) {
        usage_error("%s", why);
        return false;
    }
    if (n == 0)
        return true;
    size_t before = batch->n;
    int taken = add_op(batch, n, words);
    if (taken > 0 && taken < n) {
        usage_error("an operation to a line: \"%.100s\" is one word too many", words[taken]);
        batch->n = before;
    }
    return taken == n;
}

static bool add_lines(struct batch *batch, char *text)
{
    for (char *line = text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (!add_line(batch, line))
            return false;
        line = next;
    }
    return true;
}

/* In the shell: lines until "end".  Keeps them in *text, to which the operations point. */
static bool ask_lines(struct session *session, struct batch *batch, char ***texts, size_t *n_texts)
{
    if (session->interactive)
        puts("an operation a line: set KEY VALUE, get KEY, delete KEY; then end, or cancel");
    for (;;) {
        char *line = session->next_line(session, "batch> ");
        if (line == NULL || strcmp(line, "cancel") == 0) {
            free(line);
            usage_error("the batch is dropped; nothing was sent");
            return false;
        }
        if (strcmp(line, "end") == 0) {
            free(line);
            return true;
        }
        char **longer = realloc(*texts, (*n_texts + 1) * sizeof **texts);
        if (longer == NULL) {
            free(line);
            return false;
        }
        *texts = longer;
        longer[(*n_texts)++] = line;
        /* In front of a terminal a slip costs a line, not the batch. */
        if (!add_line(batch, line) && !session->interactive)
            return false;
    }
}

/* ---- the answer */

static void print_op(const struct holdfast_op_result *op, bool percent)
{
    static const char *const names[] = { "set", "get", "delete", "delete-prefix" };
    printf("%s ", names[op->type]);
    client_print_bytes(op->kv.key, percent);
    switch (op->type) {
    case HOLDFAST_OP_SET:
        puts(op->created ? ": created" : ": updated");
        break;
    case HOLDFAST_OP_GET:
        fputs(op->ok ? ": " : ": not found\n", stdout);
        if (op->ok) {
            client_print_bytes(op->kv.value, false);
            putchar('\n');
        }
        break;
    case HOLDFAST_OP_DELETE:
        puts(op->ok ? ": deleted" : ": not found");
        break;
    case HOLDFAST_OP_DELETE_PREFIX:
        printf(": deleted %" PRIu64 "\n", op->deleted);
        break;
    }
}

static int print_result(struct session *session, const struct client_flags *flags,
                        struct holdfast_result *result)
{
    if (result->error != HOLDFAST_OK)
        return client_fail(session, flags, result);
    client_note(session, result);
    if (flags->json) {
        client_print_json(result);
    } else {
        for (size_t i = 0; i < result->n_ops; i++)
            print_op(&result->ops[i], flags->percent);
        printf("revision %" PRIu64 "\n", result->revision);
    }
    holdfast_result_free(result);
    return COMMAND_OK;
}

static int send_ops(struct session *session, const struct client_flags *flags,
                    const struct batch *batch)
{
    struct holdfast_call call = client_call(flags);
    if (batch->n == 0)
        return usage_error("the batch is empty; write it like: holdfast batch set a 1 get b");
    return print_result(session, flags, holdfast_batch(session->db, batch->ops, batch->n, &call));
}

/* From a file or standard input: JSON when it begins with {, else lines. */
static int run_text(struct session *session, const struct client_flags *flags, struct batch *batch,
                    FILE *file, const char *name)
{
    struct holdfast_call call = client_call(flags);
    size_t size = 0;
    int status = COMMAND_USAGE;
    char *text = client_read_all(file, name, BATCH_INPUT_MAX, &size);
    if (text == NULL)
        return COMMAND_USAGE;
    if (text[strspn(text, " \t\r\n")] == '{')
        status = print_result(session, flags,
                              holdfast_batch_json(session->db, holdfast_bytes(text, size), &call));
    else if (strlen(text) != size)
        status =
            usage_error("%s holds a NUL byte; send such values as JSON with \"value_b64\"", name);
    else if (add_lines(batch, text))
        status = send_ops(session, flags, batch);
    free(text);
    return status;
}

static int run_file(struct session *session, const struct client_flags *flags, struct batch *batch)
{
    FILE *file = fopen(flags->file, "re");
    if (file == NULL)
        return usage_error("%s cannot be opened: %s", flags->file, strerror(errno));
    int status = run_text(session, flags, batch, file, flags->file);
    fclose(file);
    return status;
}

static int run_batch(struct session *session, const struct client_flags *flags, struct batch *batch,
                     int argc, char **argv)
{
    bool from_input = argc == 0 || (argc == 1 && strcmp(argv[0], "-") == 0);
    if (flags->file != NULL)
        return argc > 0 ? usage_error("--file and operations as arguments cannot be combined")
                        : run_file(session, flags, batch);
    if (from_input && !session->in_shell)
        return run_text(session, flags, batch, stdin, "standard input");
    if (from_input) {
        char **texts = NULL;
        size_t n_texts = 0;
        int status = ask_lines(session, batch, &texts, &n_texts) ? send_ops(session, flags, batch)
                                                                 : COMMAND_USAGE;
        for (size_t i = 0; i < n_texts; i++)
            free(texts[i]);
        free(texts);
        return status;
    }
    for (int i = 0, taken; i < argc; i += taken) {
        taken = add_op(batch, argc - i, argv + i);
        if (taken == 0)
            return COMMAND_USAGE;
    }
    return send_ops(session, flags, batch);
}

int client_batch(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return usage_error("out of memory");
    batch->percent = flags->percent;
    int status = run_batch(session, flags, batch, argc, argv);
    free(batch);
    return status;
}
