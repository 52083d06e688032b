#include <stdio.h>

#include "firmware/api/api_state.h"
#include "firmware/board/board.h"
#include "firmware/listener/listener.h"
#include "pipeline/codec/codec_json_receipt.h"

static void put_health(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    struct health health = board_health(api->start.board, v);
    json_put_string(w, "health", health_name(health.state));
    json_key(w, "reasons");
    json_array(w);
    for (uint32_t i = 0; i < health.count; i++)
        json_string(w, health.reasons[i]);
    json_array_end(w);
}

static void put_identity(const struct api *api, const struct gateway_view *v,
                         struct json_writer *w)
{
    char id[33], digest[65];
    (void)snprintf(id, sizeof id, "%016llx%016llx",
                   (unsigned long long)api->start.recovery.store_id[0],
                   (unsigned long long)api->start.recovery.store_id[1]);
    for (int i = 0; i < 32; i++)
        (void)snprintf(digest + 2 * i, 3, "%02x", gateway_config(api->start.gateway)->digest[i]);
    json_put_string(w, "version", WEIR_VERSION);
    json_put_string(w, "gateway", api->config->gateway_name);
    json_put_string(w, "store_id", id);
    json_put_string(w, "config_digest", digest);
    json_put_string(w, "config_file", api->config->path);
    json_put_integer(w, "t_ms", v->t_ms);
    json_put_integer(w, "uptime_ms", v->uptime_ms);
    json_put_time(w, "time", v->wall_ms);
    json_put_string(w, "clock", clock_state_name(v->clock));
    json_put_unsigned(w, "clock_steps", v->clock_steps);
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
    json_put_unsigned(w, "connected", c.connected);
    json_put_unsigned(w, "connections_max", source->connections_max);
    json_put_unsigned(w, "accepted", c.accepted);
    json_put_unsigned(w, "refused", c.refused);
    json_put_unsigned(w, "faults", c.faults);
    json_put_unsigned(w, "silent", c.silent);
    json_put_unsigned(w, "taken_over", c.taken_over);
    json_put_unsigned(w, "bad_credentials", c.bad_credentials);
    json_put_unsigned(w, "handshakes", c.handshakes);
    json_put_unsigned(w, "bad_handshakes", c.bad_handshakes);
    json_put_unsigned(w, "slowed", c.slowed);
    json_put_unsigned(w, "messages", c.messages);
    json_put_unsigned(w, "held_back", c.held_back);
    json_put_unsigned(w, "sessions", c.sessions.kept);
    json_put_unsigned(w, "exchanges", c.sessions.exchanges);
    json_put_unsigned(w, "sessions_expired", c.sessions.expired);
    json_put_unsigned(w, "sessions_evicted", c.sessions.evicted);
    json_put_unsigned(w, "sessions_refused", c.sessions_refused);
    json_put_unsigned(w, "exchanges_refused", c.exchanges_refused);
    json_put_unsigned(w, "gone", c.sessions.gone);
    json_put_unsigned(w, "commands", c.commands);
    json_put_unsigned(w, "commands_acknowledged", c.commands_acknowledged);
    json_object_end(w);
}

static void put_connections(const struct api *api, const struct gateway_view *v,
                            struct json_writer *w)
{
    const struct config *config = api_in_force(api);
    json_key(w, "sources");
    json_array(w);
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        json_object(w);
        json_put_string(w, "name", source->name);
        json_put_string(w, "host", source->broker.host);
        json_put_unsigned(w, "port", source->broker.port);
        json_put_bool(w, "connected", (v->source_connected >> i & 1) != 0);
        if (api->start.listeners[i] != NULL)
            put_listener(api->start.listeners[i], source, w);
        json_object_end(w);
    }
    json_array_end(w);
    json_key(w, "uplink");
    json_object(w);
    json_put_bool(w, "configured", config->uplink.given);
    json_put_bool(w, "connected", v->uplink_connected);
    json_put_string(w, "host", config->uplink.broker.host);
    json_put_unsigned(w, "port", config->uplink.broker.port);
    json_object_end(w);
}

/* --- the ledger --- */

static void put_ledger(const struct gateway_view *v, struct json_writer *w)
{
    const struct ledger *l = &v->ledger;
    json_key(w, "ledger");
    json_object(w);
    json_put_unsigned(w, "received", l->received);
    json_put_unsigned(w, "retried", l->retried);
    json_put_unsigned(w, "stored", l->stored);
    json_put_unsigned(w, "duplicate", l->duplicate);
    json_key(w, "rejected");
    json_object(w);
    for (int reason = REJECT_NONE; reason < REJECT_REASON_END; reason++) /* none: a newer Weir's */
        if (l->rejected[reason] > 0)
            json_put_unsigned(w, reject_name((enum reject_reason)reason), l->rejected[reason]);
    json_object_end(w);
    json_put_unsigned(w, "rejected_total", ledger_rejected(l));
    json_key(w, "shed");
    json_object(w);
    for (int reason = 0; reason < SHED_REASONS; reason++)
        json_put_unsigned(w, shed_name((enum shed_reason)reason), l->shed[reason]);
    json_object_end(w);
    json_put_unsigned(w, "held", l->held);
    json_key(w, "removed");
    json_object(w);
    for (int removal = 0; removal < REMOVALS; removal++)
        json_put_unsigned(w, removal_name((enum removal)removal), l->removed[removal]);
    json_object_end(w);
    json_put_unsigned(w, "removed_total", ledger_removed(l));
    json_put_unsigned(w, "pending", v->pending);
    json_put_unsigned(w, "sequence_restart", l->sequence_restart);
    json_put_unsigned(w, "late", l->late);
    json_put_unsigned(w, "enrichment_left_out", l->enrichment_left_out);
    json_put_unsigned(w, "results_left_out", l->results_left_out);
    json_put_unsigned(w, "raw_left_out", l->raw_left_out);
    json_put_unsigned(w, "corrections", l->corrections);
    json_put_unsigned(w, "corrections_left_out", l->corrections_left_out);
    json_put_bool(w, "balanced", ledger_balances(l));
    json_object_end(w);
}

static void put_lanes(const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "lanes");
    json_object(w);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        json_key(w, receipt_lane_name(lane));
        json_object(w);
        json_put_unsigned(w, "next", v->lanes[lane].next_sequence);
        json_put_unsigned(w, "sent", v->sent[lane]);
        json_put_unsigned(w, "covered", v->lanes[lane].covered);
        json_put_unsigned(w, "rows", v->outbox_rows[lane]);
        json_put_unsigned(w, "bytes", v->outbox_bytes[lane]);
        json_put_unsigned(w, "age_ms", (uint64_t)v->outbox_age_ms[lane]);
        json_object_end(w);
    }
    json_object_end(w);
}

/* --- pressure --- */

static void put_left_out(const struct shed_amounts *left_out, struct json_writer *w)
{
    json_key(w, "left_out");
    json_object(w);
    json_put_unsigned(w, "enrichment", left_out->enrichment);
    json_put_unsigned(w, "results", left_out->results);
    json_put_unsigned(w, "raw", left_out->raw);
    json_put_unsigned(w, "qos0_readings", left_out->readings);
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
        json_put_time(w, "time", c->wall_ms);
        json_put_unsigned(w, "from", c->from);
        json_put_unsigned(w, "to", c->to);
        json_put_string(w, "cause", c->restarted ? "restart" : shed_cause_name(c->cause));
        json_put_unsigned(w, "lasted_ms", (uint64_t)c->lasted_ms);
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
    json_put_unsigned(w, "level", v->shed);
    json_put_string(w, "cause", sheds ? shed_cause_name(v->shed_cause) : "");
    json_put_unsigned(w, "for_ms", (uint64_t)v->shed_for_ms);
    put_left_out(&v->left_out, w);
    json_put_unsigned(w, "lag_ms", (uint64_t)v->pressure.of[SHED_LAG]);
    json_put_unsigned(w, "commit_ms", (uint64_t)v->pressure.of[SHED_COMMIT]);
    json_put_unsigned(w, "outbox_percent", (uint64_t)v->pressure.of[SHED_OUTBOX]);
    json_put_unsigned(w, "outbox_age_ms", (uint64_t)v->pressure.of[SHED_OUTBOX_AGE]);
    json_put_unsigned(w, "memory_percent", (uint64_t)v->pressure.of[SHED_MEMORY]);
    json_put_unsigned(w, "loop_ms", (uint64_t)v->pressure.of[SHED_LOOP]);
    put_changes(api, w);
    json_object_end(w);
}

static void put_load(const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "load");
    json_object(w);
    json_put_unsigned(w, "readings_per_second", (uint64_t)v->load);
    json_put_unsigned(w, "peak_per_second", (uint64_t)v->load_peak);
    json_put_unsigned(w, "capacity_per_second", (uint64_t)v->capacity);
    json_put_unsigned(w, "gateways_wanted", v->gateways_wanted);
    json_object_end(w);
}

static void put_engine(const struct gateway_view *v, struct json_writer *w)
{
    struct engine_counts c = engine_counts(v->engine);
    json_key(w, "engine");
    json_object(w);
    json_put_unsigned(w, "devices", c.devices);
    json_put_unsigned(w, "series", c.series);
    json_put_unsigned(w, "readings", c.readings);
    json_put_unsigned(w, "late", c.late);
    json_put_unsigned(w, "unordered", c.unordered);
    json_put_unsigned(w, "forced_windows", c.forced_windows);
    json_put_unsigned(w, "results", c.results);
    json_put_unsigned(w, "revisions", c.revisions);
    json_put_unsigned(w, "alerts_open", c.alerts_open);
    json_put_unsigned(w, "alerts_raised", c.alerts_raised);
    json_put_unsigned(w, "alerts_updated", c.alerts_updated);
    json_put_unsigned(w, "alerts_cleared", c.alerts_cleared);
    json_put_unsigned(w, "alerts_suppressed", c.alerts_suppressed);
    json_put_unsigned(w, "alerts_learning", c.alerts_learning);
    json_put_unsigned(w, "alerts_maintained", c.alerts_maintained);
    json_put_unsigned(w, "alerts_notified", c.alerts_notified);
    json_put_unsigned(w, "storms", c.storms);
    json_put_bool(w, "storm", c.storm);
    json_put_unsigned(w, "sequence_restarts", c.sequence_restarts);
    json_put_unsigned(w, "dedup_forgotten", c.dedup_forgotten);
    json_object_end(w);
}

static void put_maintenance(const struct gateway_view *v, struct json_writer *w)
{
    const struct maintenance *list;
    uint32_t count = engine_maintenance(v->engine, &list);
    int64_t until_ms = 0;
    for (uint32_t i = 0; i < count; i++)
        until_ms = list[i].until_ms > until_ms ? list[i].until_ms : until_ms;
    json_key(w, "maintenance");
    json_object(w);
    json_put_unsigned(w, "count", count);
    json_put_unsigned(w, "devices", engine_devices_maintained(v->engine));
    json_key(w, "until"); /* of the last one */
    if (count > 0)
        json_time(w, until_ms);
    else
        json_null(w);
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
    json_put_unsigned(w, "heard", f->active);
    json_put_unsigned(w, "delay_median_ms", (uint64_t)f->median_ms);
    json_put_unsigned(w, "delay_worst_ms", (uint64_t)f->worst_ms);
    json_put_text(w, "worst_device", worst.device);
    json_put_text(w, "worst_metric", worst.metric);
    json_object_end(w);
}

static void put_store(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "store");
    json_object(w);
    json_put_unsigned(w, "block", v->block);
    json_put_unsigned(w, "disk_bytes", v->disk_bytes);
    json_put_unsigned(w, "disk_bytes_max", api->config->store.disk_bytes_max);
    json_put_unsigned(w, "wal_bytes", v->wal_bytes);
    json_put_unsigned(w, "kept_results", v->table_rows);
    json_put_unsigned(w, "commits", v->commits);
    json_put_unsigned(w, "commit_failures", v->commit_failures);
    json_put_unsigned(w, "commit_last_us", (uint64_t)v->commit_last_us);
    json_put_unsigned(w, "commit_max_us", (uint64_t)v->commit_max_us);
    int64_t p99_us = histogram_at(v->commit_times, 99);
    json_put_unsigned(w, "commit_p99_us", /* or less */
                      (uint64_t)(p99_us < v->commit_max_us ? p99_us : v->commit_max_us));
    json_put_unsigned(w, "bytes_committed", v->bytes_committed);
    json_put_unsigned(w, "recovered_in_ms", (uint64_t)v->recovered_in_ms);
    json_put_unsigned(w, "recovered_blocks", v->recovered_blocks);
    json_put_unsigned(w, "fold_ns_per_reading", v->fold_ns_per_reading);
    json_put_unsigned(w, "set_aside", api->start.recovery.set_aside);
    json_object_end(w);
}

static void put_scrapes(const struct api *api, const struct gateway_view *v, struct json_writer *w)
{
    json_key(w, "metrics");
    json_object(w);
    json_put_unsigned(w, "scrapes", api->scrapes);
    json_key(w, "last_age_ms");
    if (api->scrapes > 0)
        json_unsigned(w, (uint64_t)(v->t_ms - api->scraped_ms));
    else
        json_null(w);
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
    put_maintenance(&view, w);
    put_watermark(api, &view, w);
    put_store(api, &view, w);
    put_scrapes(api, &view, w);
    api_write_machine(api->start.board, w);
    json_object_end(w);
}
