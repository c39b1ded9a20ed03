/* handle.c - opening and closing, and the connections that wait for the next call. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum holdfast_error open_fail(struct holdfast *db, enum holdfast_error error,
                                     const char *why, char *message)
{
    if (message != NULL)
        snprintf(message, HOLDFAST_MESSAGE_MAX, "%s", why);
    if (db != NULL)
        free(db->user_agent);
    free(db);
    return error;
}

enum holdfast_error holdfast_open(const char *endpoints, const struct holdfast_options *options,
                                  struct holdfast **out, char message[HOLDFAST_MESSAGE_MAX])
{
    struct holdfast_options o = HOLDFAST_OPTIONS_INIT;
    struct buffer agent = { 0 };
    char why[HOLDFAST_MESSAGE_MAX] = "";
    *out = NULL;
    if (options != NULL)
        memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
    struct holdfast *db = calloc(1, sizeof(*db));
    if (db == NULL)
        return open_fail(db, HOLDFAST_NO_MEMORY, "out of memory", message);
    if (!nodes_init(&db->nodes, endpoints, o.only_endpoints, why))
        return open_fail(db, HOLDFAST_BAD_ARGUMENT, why, message);
    if (o.user_agent != NULL) {
        buffer_text(&agent, o.user_agent);
        buffer_text(&agent, " ");
    }
    buffer_text(&agent, "libholdfast/" PACKAGE_VERSION);
    db->user_agent = agent.data;
    if (agent.failed)
        return open_fail(db, HOLDFAST_NO_MEMORY, "out of memory", message);
    pthread_once(&curl_once, init_curl);
    pthread_mutex_init(&db->lock, NULL);
    db->timeout_ms = o.timeout_ms == 0 ? DEFAULT_TIMEOUT_MS : o.timeout_ms;
    db->answer_max = o.answer_max == 0 ? (size_t)32 << 20 : o.answer_max;
    if (getrandom(&db->random, sizeof(db->random), GRND_NONBLOCK) != sizeof(db->random))
        db->random = monotonic_ms() ^ (uint64_t)(uintptr_t)db;
    db->random |= 1;
    *out = db;
    return HOLDFAST_OK;
}

static void connection_free(struct connection *connection)
{
    if (connection != NULL)
        curl_easy_cleanup(connection->curl);
    free(connection);
}

void holdfast_close(struct holdfast *db)
{
    if (db == NULL)
        return;
    while (db->idle != NULL) {
        struct connection *connection = db->idle;
        db->idle = connection->next;
        connection_free(connection);
    }
    pthread_mutex_destroy(&db->lock);
    free(db->user_agent);
    free(db);
}

size_t holdfast_nodes(struct holdfast *db, char (*urls)[HOLDFAST_URL_MAX], size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&db->lock);
    for (uint32_t i = 0; i < HOLDFAST_NODES_MAX; i++) {
        if (db->nodes.slots[i].id == 0)
            continue;
        if (n < max)
            memcpy(urls[n], db->nodes.slots[i].url, HOLDFAST_URL_MAX);
        n++;
    }
    pthread_mutex_unlock(&db->lock);
    return n;
}

struct connection *connection_take(struct holdfast *db)
{
    pthread_mutex_lock(&db->lock);
    struct connection *connection = db->idle;
    if (connection != NULL) {
        db->idle = connection->next;
        db->n_idle--;
    }
    pthread_mutex_unlock(&db->lock);
    if (connection != NULL)
        return connection;
    connection = calloc(1, sizeof(*connection));
    if (connection != NULL)
        connection->curl = curl_easy_init();
    if (connection != NULL && connection->curl == NULL) {
        free(connection);
        return NULL;
    }
    return connection;
}

void connection_give(struct holdfast *db, struct connection *connection)
{
    pthread_mutex_lock(&db->lock);
    if (db->n_idle < CONNECTIONS_IDLE_MAX) {
        connection->next = db->idle;
        db->idle = connection;
        db->n_idle++;
        connection = NULL;
    }
    pthread_mutex_unlock(&db->lock);
    connection_free(connection);
}
