/* stats.c - /stats: what this node has counted since it started.  Times are in microseconds. */
#include "call.h"

#include <stdio.h>

static void write_histogram(struct json_out *out, const char *name, const struct histogram *h)
{
    json_name(out, name);
    json_open(out, '{');
    json_member_u64(out, "count", h->count);
    json_member_u64(out, "total", h->total);
    json_member_u64(out, "mean", h->count > 0 ? h->total / h->count : 0);
    json_member_u64(out, "p50", histogram_quantile(h, 500));
    json_member_u64(out, "p90", histogram_quantile(h, 900));
    json_member_u64(out, "p99", histogram_quantile(h, 990));
    json_member_u64(out, "max", h->max);
    json_close(out, '}');
}

static void write_requests(struct json_out *out, const struct server *server)
{
    uint64_t total = 0;

    json_name(out, "requests");
    json_open(out, '{');
    json_member_u64(out, "open", server->n_calls);
    json_name(out, "by_route");
    json_open(out, '{');
    for (size_t i = 0; i <= route_count(); i++) {
        const struct route_counts *counts = &server->counts[i];
        bool opened = false;
        for (size_t slot = 0; slot < STATUS_SLOTS; slot++) {
            char status[16] = "other";
            if (counts->by_status[slot] == 0)
                continue;
            if (!opened) {
                json_name(out, i < route_count() ? route_at(i)->shown : "none");
                json_open(out, '{');
                opened = true;
            }
            if (slot < STATUS_SLOTS - 1)
                snprintf(status, sizeof status, "%d", reply_statuses[slot]);
            json_member_u64(out, status, counts->by_status[slot]);
            total += counts->by_status[slot];
        }
        if (opened)
            json_close(out, '}');
    }
    json_close(out, '}');
    json_member_u64(out, "answered", total);
    json_close(out, '}');
}

static void write_latency(struct json_out *out, const struct server *server)
{
    static const char *const names[ROUTE_CLASSES] = {
        [CLASS_READ] = "read",   [CLASS_WRITE] = "write", [CLASS_LIST] = "list",
        [CLASS_BATCH] = "batch", [CLASS_OTHER] = "other",
    };
    json_name(out, "latency_us");
    json_open(out, '{');
    for (size_t i = 0; i < ROUTE_CLASSES; i++)
        write_histogram(out, names[i], &server->latency[i]);
    json_close(out, '}');
}

static void write_messages(struct json_out *out, const char *name, const uint64_t *counts)
{
    json_name(out, name);
    json_open(out, '{');
    for (int type = 0; type < RAFT_MSG_TYPES; type++) {
        char word[32];
        size_t i = 0;
        const char *from = raft_msg_type_name((enum raft_msg_type)type);
        for (; from[i] != '\0' && i < sizeof word - 1; i++)
            word[i] = from[i] == '-' ? '_' : from[i]; /* as all names in JSON */
        word[i] = '\0';
        json_member_u64(out, word, counts[type]);
    }
    json_close(out, '}');
}

static void write_raft(struct json_out *out, const struct node_stats *stats)
{
    json_name(out, "raft");
    json_open(out, '{');
    json_member_u64(out, "elections_started", stats->elections_started);
    json_member_u64(out, "terms_led", stats->terms_led);
    json_member_u64(out, "step_downs", stats->step_downs);
    json_member_u64(out, "leader_changes", stats->leader_changes);
    write_messages(out, "messages_in", stats->msgs_in);
    write_messages(out, "messages_out", stats->msgs_out);
    json_member_u64(out, "proposals", stats->proposals);
    json_member_u64(out, "proposal_batches", stats->proposal_batches);
    json_member_u64(out, "reads", stats->reads);
    json_member_u64(out, "read_rounds", stats->read_rounds);
    json_member_u64(out, "forwarded_out", stats->forwarded_out);
    json_member_u64(out, "forwarded_in", stats->forwarded_in);
    json_member_u64(out, "applied_entries", stats->applied_entries);
    json_member_u64(out, "digests_agreed", stats->digests_agreed);
    json_member_u64(out, "proposals_waiting", stats->proposals_waiting);
    json_member_u64(out, "proposals_waiting_bytes", stats->proposals_waiting_bytes);
    json_member_u64(out, "reads_waiting", stats->reads_waiting);
    json_close(out, '}');
}

static void write_commits(struct json_out *out, uint64_t commits, uint64_t total_us,
                          uint64_t max_us)
{
    json_member_u64(out, "commits", commits);
    json_member_u64(out, "commit_us_mean", commits > 0 ? total_us / commits : 0);
    json_member_u64(out, "commit_us_max", max_us);
    json_member_u64(out, "commit_us_total", total_us);
}

static void write_storage(struct json_out *out, const struct node_stats *stats, uint64_t quota)
{
    json_name(out, "log");
    json_open(out, '{');
    write_commits(out, stats->log.commits, stats->log.commit_us_total, stats->log.commit_us_max);
    json_member_u64(out, "entries_written", stats->log.entries_written);
    json_member_u64(out, "bytes_written", stats->log.bytes_written);
    json_member_u64(out, "used_bytes", stats->log.used_bytes);
    json_member_u64(out, "map_bytes", stats->log.map_bytes);
    json_close(out, '}');
    json_name(out, "state");
    json_open(out, '{');
    write_commits(out, stats->state.commits, stats->state.commit_us_total,
                  stats->state.commit_us_max);
    json_member_u64(out, "changes_written", stats->state.changes_written);
    json_member_u64(out, "used_bytes", stats->state.used_bytes);
    json_member_u64(out, "map_bytes", stats->state.map_bytes);
    if (quota > 0)
        json_member_u64(out, "quota_bytes", quota);
    else
        json_member_null(out, "quota_bytes");
    json_member_u64(out, "pending_bytes", stats->pending_bytes);
    json_member_u64(out, "flushes", stats->flushes);
    json_close(out, '}');
}

static void write_snapshots(struct json_out *out, const struct node_stats *stats)
{
    json_name(out, "snapshots");
    json_open(out, '{');
    json_member_u64(out, "copies", stats->snapshot_copies);
    json_member_u64(out, "sent", stats->snapshots_sent);
    json_member_u64(out, "parts_out", stats->snapshot_parts_out);
    json_member_u64(out, "bytes_out", stats->snapshot_bytes_out);
    json_member_u64(out, "installed", stats->snapshots_installed);
    json_member_u64(out, "resumed", stats->snapshots_resumed);
    json_member_u64(out, "damaged", stats->snapshots_damaged);
    json_member_u64(out, "parts_in", stats->snapshot_parts_in);
    json_member_u64(out, "parts_repeated", stats->snapshot_parts_repeated);
    json_member_u64(out, "bytes_in", stats->snapshot_bytes_in);
    json_member_u64(out, "install_ms_total", stats->snapshot_ms);
    json_member_u64(out, "log_compactions", stats->compactions);
    json_member_u64(out, "backups", stats->backups);
    json_member_u64(out, "backup_bytes_out", stats->backup_bytes);
    json_close(out, '}');
}

static void write_connections(struct json_out *out, const struct server *server)
{
    struct http_stats http;
    http_server_stats(server->http, &http);
    json_name(out, "connections");
    json_open(out, '{');
    json_member_u64(out, "open", http.connections_open);
    json_member_u64(out, "total", http.connections_total);
    json_member_u64(out, "refused", http.connections_refused);
    json_member_u64(out, "yielded", http.connections_yielded);
    json_member_u64(out, "limit", server->config.connections_max);
    json_member_u64(out, "bytes_held", http.bytes_held);
    json_member_u64(out, "bytes_held_limit", HTTP_HELD_MAX);
    json_member_u64(out, "requests", http.requests);
    json_member_u64(out, "guard_rejections", http.guard_rejections);
    json_member_u64(out, "timeouts", http.timeouts);
    json_member_u64(out, "bytes_in", http.bytes_in);
    json_member_u64(out, "bytes_out", http.bytes_out);
    json_close(out, '}');
}

static void write_network(struct json_out *out, const struct server *server)
{
    struct network_stats network;
    json_name(out, "network");
    if (server->config.network_stats == NULL) {
        json_null(out);
        return;
    }
    server->config.network_stats(server->config.arg, &network);
    json_open(out, '{');
    json_member_u64(out, "exchanges_out", network.exchanges_out);
    json_member_u64(out, "exchanges_in", network.exchanges_in);
    json_member_u64(out, "exchanges_failed", network.exchanges_failed);
    json_member_u64(out, "frames_out", network.frames_out);
    json_member_u64(out, "frames_in", network.frames_in);
    json_member_u64(out, "frames_dropped", network.frames_dropped);
    json_member_u64(out, "bytes_out", network.bytes_out);
    json_member_u64(out, "bytes_in", network.bytes_in);
    json_member_u64(out, "refused_in", network.refused_in);
    json_member_u64(out, "refused_out", network.refused_out);
    json_close(out, '}');
}

void stats_get(struct call *call)
{
    struct server *server = call->server;
    struct node_status status;
    struct node_stats stats;
    struct json_out out;

    node_status(server->node, &status);
    node_stats(server->node, &stats);
    json_init(&out);
    json_open(&out, '{');
    json_member_u64(&out, "uptime_ms",
                    server->config.now_ms(server->config.arg) - server->started_ms);
    write_requests(&out, server);
    write_latency(&out, server);
    write_raft(&out, &stats);
    write_storage(&out, &stats, status.quota);
    write_snapshots(&out, &stats);
    write_connections(&out, server);
    write_network(&out, server);
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}
