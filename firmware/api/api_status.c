#include <stdio.h>

#include "firmware/api/api_state.h"
#include "firmware/board/board.h"
#include "firmware/listener/listener.h"
#include "pipeline/codec_json_receipt.h"

static void put(struct json_writer *w, const char *key, uint64_t value)
{
    json_key(w, key);
    json_unsigned(w, value);
}

static void put_name(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_string(w, value);
}

static void put_health(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    struct health health = board_health(api->start.board, v);
    put_name(w, "health", health_name(health.state));
    json_key(w, "reasons");
    json_array(w);
    for (uint32_t i = 0; i < health.count; i++)
        json_string(w, health.reasons[i]);
    json_array_end(w);
}

static void put_identity(const struct api *api, const struct gateway_view *v,
                         struct json_writer *w)
{
    static const char *const clocks[] = { "unset", "coarse", "synced" };
    char id[33], digest[65];
    (void)snprintf(id, sizeof id, "%016llx%016llx",
                   (unsigned long long)api->start.recovery.store_id[0],
                   (unsigned long long)api->start.recovery.store_id[1]);
    for (int i = 0; i < 32; i++)
        (void)snprintf(digest + 2 * i, 3, "%02x", api->config->digest[i]);
    put_name(w, "version", WEIR_VERSION);
    put_name(w, "gateway", api->config->gateway_name);
    put_name(w, "store_id", id);
    put_name(w, "config_digest", digest);
    put_name(w, "config_file", api->config->path);
    json_key(w, "t_ms");
    json_integer(w, v->t_ms);
    json_key(w, "uptime_ms");
    json_integer(w, v->uptime_ms);
    json_key(w, "time");
    json_time(w, v->wall_ms);
    put_name(w, "clock", clocks[v->clock]);
    put(w, "clock_steps", v->clock_steps);
}

static void put_listener(const struct listener *listener, const struct config_source *source,
                         struct json_writer *w)
{
    struct listener_counts c = listener_counts(listener);
    json_key(w, "devices");
    json_object(w);
    int64_t until_ms = listener_valid_until_ms(listener);
    json_key(w, "certificate_until");
    if (until_ms < INT64_MAX)
        json_time(w, until_ms);
    else
        json_null(w);
    put(w, "connected", c.connected);
    put(w, "connections_max", source->connections_max);
    put(w, "accepted", c.accepted);
    put(w, "refused", c.refused);
    put(w, "faults", c.faults);
    put(w, "silent", c.silent);
    put(w, "taken_over", c.taken_over);
    put(w, "bad_credentials", c.bad_credentials);
    put(w, "handshakes", c.handshakes);
    put(w, "bad_handshakes", c.bad_handshakes);
    put(w, "slowed", c.slowed);
    put(w, "messages", c.messages);
    put(w, "held_back", c.held_back);
    put(w, "sessions", c.sessions.kept);
    put(w, "exchanges", c.sessions.exchanges);
    put(w, "sessions_expired", c.sessions.expired);
    put(w, "sessions_evicted", c.sessions.evicted);
    put(w, "sessions_refused", c.sessions_refused);
    put(w, "exchanges_refused", c.exchanges_refused);
    put(w, "gone", c.sessions.gone);
    json_object_end(w);
}

static void put_connections(const struct api *api, const struct gateway_view *v,
                            struct json_writer *w)
{
    const struct config *config = api->config;
    json_key(w, "sources");
    json_array(w);
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        json_object(w);
        put_name(w, "name", source->name);
        put_name(w, "host", source->broker.host);
        put(w, "port", source->broker.port);
        json_key(w, "connected");
        json_bool(w, (v->source_connected >> i & 1) != 0);
        if (api->start.listeners[i] != NULL)
            put_listener(api->start.listeners[i], source, w);
        json_object_end(w);
    }
    json_array_end(w);
    json_key(w, "uplink");
    json_object(w);
    json_key(w, "configured");
    json_bool(w, config->uplink.given);
    json_key(w, "connected");
    json_bool(w, v->uplink_connected);
    put_name(w, "host", config->uplink.broker.host);
    put(w, "port", config->uplink.broker.port);
    json_object_end(w);
}

/* --- the ledger --- */

static void put_ledger(const struct gateway_view *v, struct json_writer *w)
{
    const struct ledger *l = &v->ledger;
    json_key(w, "ledger");
    json_object(w);
    put(w, "received", l->received);
    put(w, "retried", l->retried);
    put(w, "stored", l->stored);
    put(w, "duplicate", l->duplicate);
    json_key(w, "rejected");
    json_object(w);
    for (int reason = 1; reason < REJECT_REASON_END; reason++)
        if (l->rejected[reason] > 0)
            put(w, reject_name((enum reject_reason)reason), l->rejected[reason]);
    json_object_end(w);
    put(w, "rejected_total", ledger_rejected(l));
    json_key(w, "shed");
    json_object(w);
    for (int reason = 0; reason < SHED_REASONS; reason++)
        put(w, shed_name((enum shed_reason)reason), l->shed[reason]);
    json_object_end(w);
    put(w, "held", l->held);
    json_key(w, "removed");
    json_object(w);
    for (int removal = 0; removal < REMOVALS; removal++)
        put(w, removal_name((enum removal)removal), l->removed[removal]);
    json_object_end(w);
    put(w, "removed_total", ledger_removed(l));
    put(w, "pending", v->pending);
    put(w, "sequence_restart", l->sequence_restart);
    put(w, "late", l->late);
    put(w, "enrichment_left_out", l->enrichment_left_out);
    put(w, "results_left_out", l->results_left_out);
    put(w, "raw_left_out", l->raw_left_out);
    json_key(w, "balanced");
    json_bool(w, ledger_balances(l));
    json_object_end(w);
}

static void put_lanes(const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "lanes");
    json_object(w);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        json_key(w, receipt_lane_name(lane));
        json_object(w);
        put(w, "next", v->lanes[lane].next_sequence);
        put(w, "sent", v->sent[lane]);
        put(w, "covered", v->lanes[lane].covered);
        put(w, "rows", v->outbox_rows[lane]);
        put(w, "bytes", v->outbox_bytes[lane]);
        put(w, "age_ms", (uint64_t)v->outbox_age_ms[lane]);
        json_object_end(w);
    }
    json_object_end(w);
}

/* --- pressure --- */

static void put_left_out(const struct shed_amounts *left_out, struct json_writer *w)
{
    json_key(w, "left_out");
    json_object(w);
    put(w, "enrichment", left_out->enrichment);
    put(w, "results", left_out->results);
    put(w, "raw", left_out->raw);
    put(w, "qos0_readings", left_out->readings);
    json_object_end(w);
}

static void put_changes(const struct api *api, struct json_writer *w)
{
    struct shed_change changes[GATEWAY_SHED_CHANGES];
    uint32_t count =
        gateway_shed_changes(api->start.gateway, changes, GATEWAY_SHED_CHANGES);
    json_key(w, "changes");
    json_array(w);
    for (uint32_t i = 0; i < count; i++) {
        const struct shed_change *c = &changes[i];
        json_object(w);
        json_key(w, "time");
        json_time(w, c->wall_ms);
        put(w, "from", c->from);
        put(w, "to", c->to);
        put_name(w, "cause", c->restarted ? "restart" : shed_cause_name(c->cause));
        put(w, "lasted_ms", (uint64_t)c->lasted_ms);
        put_left_out(&c->left_out, w);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_shed(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    bool sheds = v->shed != SHED_NORMAL;
    json_key(w, "shed");
    json_object(w);
    put(w, "level", v->shed);
    put_name(w, "cause", sheds ? shed_cause_name(v->shed_cause) : "");
    put(w, "for_ms", (uint64_t)v->shed_for_ms);
    put_left_out(&v->left_out, w);
    put(w, "lag_ms", (uint64_t)v->pressure.of[SHED_LAG]);
    put(w, "commit_ms", (uint64_t)v->pressure.of[SHED_COMMIT]);
    put(w, "outbox_percent", (uint64_t)v->pressure.of[SHED_OUTBOX]);
    put(w, "outbox_age_ms", (uint64_t)v->pressure.of[SHED_OUTBOX_AGE]);
    put(w, "memory_percent", (uint64_t)v->pressure.of[SHED_MEMORY]);
    put(w, "loop_ms", (uint64_t)v->pressure.of[SHED_LOOP]);
    put_changes(api, w);
    json_object_end(w);
}

static void put_load(const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "load");
    json_object(w);
    put(w, "readings_per_second", (uint64_t)v->load);
    put(w, "capacity_per_second", (uint64_t)v->capacity);
    put(w, "gateways_wanted", v->gateways_wanted);
    json_object_end(w);
}

static void put_engine(const struct gateway_view *v, struct json_writer *w)
{
    struct engine_counts c = engine_counts(v->engine);
    json_key(w, "engine");
    json_object(w);
    put(w, "devices", c.devices);
    put(w, "series", c.series);
    put(w, "readings", c.readings);
    put(w, "late", c.late);
    put(w, "unordered", c.unordered);
    put(w, "forced_windows", c.forced_windows);
    put(w, "results", c.results);
    put(w, "revisions", c.revisions);
    put(w, "alerts_open", c.alerts_open);
    put(w, "alerts_raised", c.alerts_raised);
    put(w, "alerts_updated", c.alerts_updated);
    put(w, "alerts_cleared", c.alerts_cleared);
    put(w, "alerts_suppressed", c.alerts_suppressed);
    put(w, "sequence_restarts", c.sequence_restarts);
    put(w, "dedup_forgotten", c.dedup_forgotten);
    json_object_end(w);
}

static void put_watermark(const struct api *api, const struct gateway_view *v,
                          struct json_writer *w)
{
    const struct survey_figures *f = &api->survey.last;
    struct series_view worst = { 0 };
    if (f->active > 0)
        (void)engine_series(v->engine, f->worst, &worst); /* series do not go */
    json_key(w, "watermark");
    json_object(w);
    put(w, "heard", f->active);
    put(w, "delay_median_ms", (uint64_t)f->median_ms);
    put(w, "delay_worst_ms", (uint64_t)f->worst_ms);
    json_key(w, "worst_device");
    json_text(w, worst.device);
    json_key(w, "worst_metric");
    json_text(w, worst.metric);
    json_object_end(w);
}

static void put_store(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "store");
    json_object(w);
    put(w, "block", v->block);
    put(w, "disk_bytes", v->disk_bytes);
    put(w, "disk_bytes_max", api->config->store.disk_bytes_max);
    put(w, "wal_bytes", v->wal_bytes);
    put(w, "commits", v->commits);
    put(w, "commit_failures", v->commit_failures);
    put(w, "commit_last_us", (uint64_t)v->commit_last_us);
    put(w, "commit_max_us", (uint64_t)v->commit_max_us);
    put(w, "bytes_committed", v->bytes_committed);
    put(w, "recovered_in_ms", (uint64_t)v->recovered_in_ms);
    put(w, "recovered_blocks", v->recovered_blocks);
    put(w, "fold_ns_per_reading", v->fold_ns_per_reading);
    put(w, "set_aside", api->start.recovery.set_aside);
    json_object_end(w);
}

void api_write_status(struct api *api, struct json_writer *w)
{
    struct gateway_view view = gateway_view(api->start.gateway);
    json_object(w);
    put_health(api, &view, w);
    put_identity(api, &view, w);
    put_connections(api, &view, w);
    put_ledger(&view, w);
    put_lanes(&view, w);
    put_shed(api, &view, w);
    put_load(&view, w);
    put_engine(&view, w);
    put_watermark(api, &view, w);
    put_store(api, &view, w);
    api_write_machine(api->start.board, w);
    json_object_end(w);
}
