/* client_output.c - how the client's subcommands read arguments, print answers and fail. */
#include "client_session.h"
#include "text.h"

#include <holdfast/panic.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct holdfast_call client_call(const struct client_flags *flags)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    call.timeout_ms = flags->timeout_ms;
    call.consistency = flags->consistency;
    call.max_stale_ms = flags->max_stale_ms;
    call.min_revision = flags->min_revision;
    call.conditional = flags->conditional;
    call.if_revision = flags->if_revision;
    return call;
}

/* ---- failure */

enum command_status client_status_of(const struct holdfast_result *result)
{
    if (result->error == HOLDFAST_OK)
        return COMMAND_OK;
    if (result->outcome == HOLDFAST_UNKNOWN)
        return COMMAND_UNKNOWN;
    switch (result->error) {
    case HOLDFAST_NOT_FOUND:
    case HOLDFAST_CONDITION_FAILED:
        return COMMAND_NOT_FOUND;
    case HOLDFAST_BAD_ARGUMENT:
    case HOLDFAST_BAD_REQUEST:
    case HOLDFAST_TOO_LARGE:
        return COMMAND_USAGE;
    default:
        return COMMAND_NO_CLUSTER;
    }
}

/* The node's hints are for people with curl; here some have words of their own. */
static const char *hint_for(const struct holdfast_result *result)
{
    if (result->error == HOLDFAST_NOT_FOUND && strcmp(result->code, "key_not_found") == 0)
        return "holdfast list shows the keys that are there";
    if (result->error == HOLDFAST_CONDITION_FAILED)
        return "get it, decide anew, and write with the revision that it has then";
    if (result->outcome == HOLDFAST_UNKNOWN)
        return "the write may have been applied: get the key before you write again";
    if (result->hint[0] != '\0')
        return result->hint;
    if (result->error == HOLDFAST_UNREACHABLE)
        return "start the nodes, or name others with --endpoints or HOLDFAST_ENDPOINTS";
    if (result->error == HOLDFAST_TIMEOUT)
        return "try again, or allow more time with --timeout";
    return "";
}

/* In the shape that nodes use, for what the library itself found. */
static void print_own_error(const struct holdfast_result *result)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *error = cJSON_AddObjectToObject(json, "error");
    cJSON_AddStringToObject(error, "code", holdfast_error_name(result->error));
    cJSON_AddStringToObject(error, "message", result->message);
    cJSON_AddStringToObject(error, "hint", hint_for(result));
    cJSON_AddBoolToObject(error, "retryable", false);
    cJSON_AddStringToObject(error, "outcome", holdfast_outcome_name(result->outcome));
    char *text = cJSON_PrintUnformatted(json);
    puts(text == NULL ? "{}" : text);
    cJSON_free(text);
    cJSON_Delete(json);
}

int client_fail(struct session *session, const struct client_flags *flags,
                struct holdfast_result *result)
{
    enum command_status status = client_status_of(result);
    const char *hint = hint_for(result);
    client_note(session, result);
    if (flags->json) {
        if (result->code[0] != '\0')
            client_print_json(result);
        else
            print_own_error(result);
    }
    fflush(stdout);
    fprintf(stderr, "holdfast: %s%s%s\n", result->message, hint[0] == '\0' ? "" : "; ", hint);
    holdfast_result_free(result);
    return (int)status;
}

void client_note(struct session *session, const struct holdfast_result *result)
{
    const char *url = result->leader[0] != '\0' ? result->leader : result->node;
    const char *host = strstr(url, "://");
    if (host == NULL)
        return;
    session->at_leader = result->leader[0] != '\0';
    snprintf(session->at, sizeof session->at, "%s", host + 3);
}

/* ---- printing */

void client_print_json(const struct holdfast_result *result)
{
    struct holdfast_bytes json = result->json;
    fwrite(json.data, 1, json.size, stdout);
    if (json.size == 0 || ((const char *)json.data)[json.size - 1] != '\n')
        putchar('\n');
}

static void print_percent(const unsigned char *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] > ' ' && p[i] < 0x7f && p[i] != '%')
            putchar(p[i]);
        else
            printf("%%%02X", p[i]);
    }
}

void client_print_bytes(struct holdfast_bytes bytes, bool percent)
{
    const unsigned char *p = bytes.data;
    if (percent) {
        print_percent(p, bytes.size);
        return;
    }
    for (size_t i = 0; i < bytes.size;) {
        size_t n = text_printable(p + i, bytes.size - i);
        if (n > 0)
            fwrite(p + i, 1, n, stdout);
        else if (p[i] == '\n' || p[i] == '\t')
            fputs(p[i] == '\n' ? "\\n" : "\\t", stdout);
        else
            printf("\\x%02x", p[i]);
        i += n > 0 ? n : 1;
    }
}

/* ---- tables */

void table_add(struct table *table, const char *const *texts)
{
    ASSERT(table->columns <= TABLE_COLUMNS_MAX);
    void *cells = realloc(table->cells, (table->rows + 1) * sizeof *table->cells);
    if (cells == NULL)
        return;
    table->cells = cells;
    for (size_t i = 0; i < table->columns; i++)
        snprintf(table->cells[table->rows][i], TABLE_CELL_MAX, "%s",
                 texts[i][0] == '\0' ? "-" : texts[i]);
    table->rows++;
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = { 0 };
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->columns; i++) {
            size_t width = width_of(table->cells[row][i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->columns; i++) {
            const char *text = table->cells[row][i];
            bool last = i + 1 == table->columns;
            printf("%s%*s", text, last ? 0 : (int)(widths[i] - width_of(text) + 2), "");
        }
        putchar('\n');
    }
}

void table_free(struct table *table)
{
    free(table->cells);
    table->cells = NULL;
    table->rows = 0;
}

/* ---- arguments and input */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool client_key(char *text, bool percent, struct holdfast_bytes *key)
{
    size_t size = 0;
    if (!percent) {
        *key = holdfast_text(text);
        return true;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '%') {
            int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0) {
                usage_error("with --percent a %% in a key is followed by two hexadecimal digits; "
                            "%%25 is the percent sign itself");
                return false;
            }
            text[size++] = (char)(high << 4 | low);
            p += 2;
        } else {
            text[size++] = *p;
        }
    }
    *key = holdfast_bytes(text, size);
    return true;
}

char *client_read_all(FILE *file, const char *name, size_t max, size_t *size)
{
    size_t n = 0, capacity = 64 * 1024;
    char *data = malloc(capacity + 1);
    while (data != NULL) {
        n += fread(data + n, 1, capacity - n, file);
        if (n < capacity)
            break;
        if (n > max) {
            usage_error("%s is larger than %zu bytes", name, max);
            free(data);
            return NULL;
        }
        capacity *= 2;
        char *larger = realloc(data, capacity + 1);
        if (larger == NULL)
            free(data);
        data = larger;
    }
    if (data == NULL || ferror(file)) {
        usage_error("%s cannot be read: %s", name, strerror(data == NULL ? ENOMEM : errno));
        free(data);
        return NULL;
    }
    if (n > max) {
        usage_error("%s is larger than %zu bytes", name, max);
        free(data);
        return NULL;
    }
    data[n] = '\0';
    *size = n;
    return data;
}
