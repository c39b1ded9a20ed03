/* stream.c - answers in parts: what is large leaves as fast as its reader takes it, and no more
 * than two parts of it are in memory.
 *
 * While a stream lasts, the connection's callbacks are ours: evhttp's would take an output that
 * has run empty for the end of the answer.  They are put back before the last part. */
#include "http_internal.h"

#include <holdfast/panic.h>

#include <event2/http_struct.h>
#include <stdlib.h>

struct http_stream {
    struct http_request *request; /* its connection is NULL once that is lost */
    struct http_stream_events events;
    uint64_t left;                /* bytes that have not been handed over */
    bool asked;                   /* for a part that has not come yet */
    bufferevent_data_cb evhttp_read, evhttp_write;
};

static void on_written(struct bufferevent *bev, void *arg)
{
    struct http_stream *stream = arg;
    (void)bev;
    if (stream->asked)
        return;
    stream->asked = true;
    stream->events.more(stream->events.arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_stream *stream = arg;
    (void)bev, (void)what;
    connection_cut(stream->request->connection);
}

static void take_callbacks(struct http_stream *stream, struct connection *connection)
{
    bufferevent_event_cb event;
    void *evcon;
    bufferevent_getcb(connection->bev, &stream->evhttp_read, &stream->evhttp_write, &event, &evcon);
    ASSERT(evcon == connection->evcon);
    bufferevent_setwatermark(connection->bev, EV_WRITE, HTTP_STREAM_PART, 0);
    bufferevent_setcb(connection->bev, NULL, on_written, on_event, stream);
}

static void give_back_callbacks(struct http_stream *stream, struct connection *connection)
{
    bufferevent_setwatermark(connection->bev, EV_WRITE, 0, 0);
    bufferevent_setcb(connection->bev, stream->evhttp_read, stream->evhttp_write,
                      connection->evhttp_event, connection->evcon);
}

struct http_stream *http_reply_begin(struct http_request *request, int status,
                                     const char *content_type, const struct http_header *headers,
                                     size_t n_headers, uint64_t size,
                                     const struct http_stream_events *events)
{
    ASSERT(request->state == REQUEST_PENDING && request->method != HTTP_HEAD && size > 0);
    request->state = REQUEST_ANSWERED;
    if (reply_to_nobody(request))
        return NULL;
    struct connection *connection = request->connection;
    struct reply reply = { .status = status,
                           .content_type = content_type,
                           .headers = headers,
                           .n_headers = n_headers,
                           .body_size = (size_t)size,
                           .close = connection->head.close || connection->server->stopping,
                           .keep_alive10 = connection->head.http10 };
    struct http_stream *stream = memory_new(sizeof *stream);
    stream->request = request;
    stream->events = *events;
    stream->left = size;
    connection->stream = stream;
    connection->unwritten = SIZE_MAX;
    connection_set_phase(connection, PHASE_WRITING);
    room_hold(connection, 2 * HTTP_STREAM_PART);
    request->ev->chunked = 0;
    take_callbacks(stream, connection);
    reply_write(bufferevent_get_output(connection->bev), connection->server->date, &reply,
                slice_of(NULL, 0));
    bufferevent_enable(connection->bev, EV_WRITE);
    return stream;
}

static void unref_blob(const void *data, size_t size, void *blob)
{
    (void)data, (void)size;
    blob_unref(blob);
}

/* All of it is in the output: the rest goes the way of any answer. */
static void finish(struct http_stream *stream)
{
    struct http_request *request = stream->request;
    struct connection *connection = request->connection;
    give_back_callbacks(stream, connection);
    connection->stream = NULL;
    connection->request = NULL;
    evhttp_request_set_on_complete_cb(request->ev, connection_answered, connection);
    evhttp_send_reply_end(request->ev);
    free(request);
    free(stream);
}

bool http_stream_send(struct http_stream *stream, struct blob *bytes)
{
    struct connection *connection = stream->request->connection;
    ASSERT(stream->asked && bytes->size > 0 && bytes->size <= stream->left);
    stream->left -= bytes->size;
    stream->asked = false;
    if (connection == NULL) { /* lost, and about to be told so */
        blob_unref(bytes);
        return false;
    }
    connection->server->stats.bytes_out += bytes->size;
    if (evbuffer_add_reference(bufferevent_get_output(connection->bev), bytes->data, bytes->size,
                               unref_blob, bytes) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    if (stream->left > 0)
        return false;
    finish(stream);
    return true;
}

void stream_lost(struct http_stream *stream)
{
    stream->events.lost(stream->events.arg);
}

void http_stream_abort(struct http_stream *stream)
{
    struct http_request *request = stream->request;
    if (request->connection != NULL) {
        request->connection->stream = NULL;
        connection_cut(request->connection);
    }
    /* evhttp left its half to us; without a connection this only frees. */
    if (request->server != NULL)
        evhttp_send_reply_end(request->ev);
    free(request);
    free(stream);
}
