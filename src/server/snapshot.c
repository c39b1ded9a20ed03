/* snapshot.c - GET /snapshot: a copy of the whole state, for backups.
 *
 * First a read as any other: so what was acknowledged before the request is applied here, or as
 * ?consistency= says.  Then the node copies its state to a file, and the file leaves in parts, as
 * fast as the client takes it.  One at a time. */
#include "call.h"

#include <holdfast/log.h>

#include <inttypes.h>
#include <stdio.h>

enum { NUMBER_TEXT = 24, SNAPSHOT_HEADERS = 7 };

static void refuse_second(struct call *call)
{
    struct problem problem;
    problem_set(&problem, ERR_OVERLOADED, "try again later, or ask another node",
                "another snapshot is being taken from this node; it gives one at a time");
    call_fail(call, &problem);
}

/* ---- the body */

static void forget(struct server *server, bool drop)
{
    struct backup *backup = &server->backup;
    if (drop)
        node_copy_drop(server->node, &backup->copy);
    backup->stream = NULL;
    backup->active = false;
}

static void on_more(void *arg)
{
    struct server *server = arg;
    struct backup *backup = &server->backup;
    uint64_t left = backup->copy.info.size - backup->offset;
    node_copy_read(server->node, &backup->copy, backup->offset,
                   left < HTTP_STREAM_PART ? (size_t)left : HTTP_STREAM_PART);
}

static void on_lost(void *arg)
{
    struct server *server = arg;
    log_info("a snapshot was not taken to its end", "index=%" PRIu64 " bytes=%" PRIu64 " of=%" PRIu64,
             server->backup.copy.info.index, server->backup.offset, server->backup.copy.info.size);
    http_stream_abort(server->backup.stream);
    forget(server, true);
}

static void on_part(struct node_copy *copy, enum err err, struct blob *bytes)
{
    struct server *server = copy->user;
    struct backup *backup = &server->backup;
    if (err != OK) {
        if (err != ERR_SHUTTING_DOWN)
            log_warn("a snapshot cannot be read", "err=%s", err_name(err));
        http_stream_abort(backup->stream);
        forget(server, err != ERR_SHUTTING_DOWN);
        return;
    }
    backup->offset += bytes->size;
    if (!http_stream_send(backup->stream, bytes))
        return;
    log_info("gave a snapshot to a client", "index=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64,
             copy->info.index, copy->info.size,
             server->config.now_ms(server->config.arg) - backup->began_ms);
    forget(server, true);
}

void snapshot_cut(struct server *server)
{
    if (server->backup.stream == NULL)
        return;
    http_stream_abort(server->backup.stream);
    forget(server, true);
}

/* ---- the head */

static void begin(struct call *call)
{
    struct server *server = call->server;
    struct backup *backup = &server->backup;
    const struct snapshot_info *info = &backup->copy.info;
    const struct http_stream_events events = { on_more, on_lost, server };
    char index[NUMBER_TEXT], term[NUMBER_TEXT], revision[NUMBER_TEXT], keys[NUMBER_TEXT];
    char digest[NUMBER_TEXT], checksum[NUMBER_TEXT], name[96];

    snprintf(index, sizeof index, "%" PRIu64, info->index);
    snprintf(term, sizeof term, "%" PRIu64, info->term);
    snprintf(revision, sizeof revision, "%" PRIu64, info->revision);
    snprintf(keys, sizeof keys, "%" PRIu64, info->keys);
    snprintf(digest, sizeof digest, "%016" PRIx64, info->digest);
    snprintf(checksum, sizeof checksum, "%016" PRIx64, info->checksum);
    snprintf(name, sizeof name, "attachment; filename=\"holdfast-%" PRIu64 ".mdb\"", info->revision);
    const struct http_header headers[SNAPSHOT_HEADERS] = {
        { "Holdfast-Snapshot-Index", index },       { "Holdfast-Snapshot-Term", term },
        { "Holdfast-Snapshot-Revision", revision }, { "Holdfast-Snapshot-Keys", keys },
        { "Holdfast-Snapshot-Digest", digest },     { "Holdfast-Snapshot-Checksum", checksum },
        { "Content-Disposition", name },
    };
    backup->stream = call_reply_stream(call, "application/octet-stream", headers, SNAPSHOT_HEADERS,
                                       info->size, &events);
    if (backup->stream == NULL)
        forget(server, true);
}

static void on_copied(struct call *call)
{
    struct server *server = call->server;
    enum err err = call->op.err;
    if (err == OK && http_reply_has_room(call->http, (size_t)2 * HTTP_STREAM_PART)) {
        begin(call);
        return;
    }
    forget(server, err == OK);
    if (err == OK)
        call_fail_err(call, ERR_OVERLOADED, "large bodies and answers take all the memory that they may");
    else if (err == ERR_OVERLOADED)
        refuse_second(call);
    else if (err == ERR_NO_SPACE)
        call_fail_err(call, ERR_NO_SPACE, "the disk of this node has no room for a copy of the state");
    else
        call_fail_op(call);
}

static void on_readable(struct call *call)
{
    struct server *server = call->server;
    struct backup *backup = &server->backup;
    if (call->op.err != OK) {
        call_fail_op(call);
    } else if (backup->active) {
        refuse_second(call);
    } else {
        *backup = (struct backup){ .active = true, .copy = { .part = on_part, .user = server },
                                   .began_ms = server->config.now_ms(server->config.arg) };
        call_submit_copy(call, &backup->copy, on_copied);
    }
}

void snapshot_get(struct call *call)
{
    if (call->server->backup.active)
        refuse_second(call);
    else
        call_submit_read(call, on_readable);
}
