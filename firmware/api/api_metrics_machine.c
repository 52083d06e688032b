/* What /metrics says of the store, the connections and the machine. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "firmware/api/api_state.h"
#include "firmware/board/board.h"
#include "firmware/api/http.h"
#include "firmware/listener/listener.h"
#include "pipeline/codec/codec_json_receipt.h"

#define WITH(name, value) (const struct prometheus_label[2]){ { name, value } }
#define WITH_BOTH(a, b, c, d) (const struct prometheus_label[2]){ { a, b }, { c, d } }

enum { DESTINATION_BYTES = CONFIG_PATH_BYTES_MAX + 16 };

static void put_store(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    prometheus_counter(p, "weir_commits_total", "Commits since the start.", v->commits);
    prometheus_counter(p, "weir_commit_failures_total", "Commits that failed; each is tried again.",
                       v->commit_failures);
    prometheus_histogram(p, "weir_commit_duration_seconds",
                         "How long commits took that succeeded, disk included.", v->commit_times);
    prometheus_counter(p, "weir_committed_bytes_total",
                       "Journal and outbox handed to the store since the start.",
                       v->bytes_committed);
    prometheus_gauge(p, "weir_store_bytes", "File, write-ahead log and ballast.",
                     (double)v->disk_bytes);
    prometheus_gauge(p, "weir_store_limit_bytes", "What those may take: store.disk_max.",
                     (double)api->config->store.disk_bytes_max);
    prometheus_gauge(p, "weir_store_wal_bytes", "Write-ahead log.", (double)v->wal_bytes);
    prometheus_gauge(p, "weir_kept_results", "Results of streams that may be asked for.",
                     (double)v->table_rows);
    prometheus_gauge(p, "weir_kept_results_bytes", "What they take.", (double)v->table_bytes);
    prometheus_gauge(p, "weir_stores_set_aside", "Damaged stores beside this one.",
                     (double)api->start.recovery.set_aside);
    prometheus_gauge(p, "weir_recovery_duration_seconds", "What the last start took to rebuild.",
                     (double)v->recovered_in_ms / 1000);
}

/* --- connections --- */

static void put_lanes(const struct gateway_view *v, struct prometheus *p)
{
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_outbox_rows", "Rows that wait, by lane.");
    for (uint32_t lane = 0; lane < LANES; lane++)
        prometheus_count(p, WITH("lane", receipt_lane_name(lane)), v->outbox_rows[lane]);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_outbox_bytes", "Bytes that wait, by lane.");
    for (uint32_t lane = 0; lane < LANES; lane++)
        prometheus_count(p, WITH("lane", receipt_lane_name(lane)), v->outbox_bytes[lane]);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_outbox_oldest_age_seconds",
                      "Age of the oldest row that waits, by lane, in time that the gateway ran.");
    for (uint32_t lane = 0; lane < LANES; lane++)
        prometheus_value(p, WITH("lane", receipt_lane_name(lane)),
                         (double)v->outbox_age_ms[lane] / 1000);
}

static void put_uplink(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    const struct config_broker *to = &api->config->uplink.broker;
    char destination[DESTINATION_BYTES];
    if (!api->config->uplink.given)
        return;
    (void)snprintf(destination, sizeof destination, "%s:%u", to->host, to->port); /* it fits */
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_uplink_connected", "1 while connected.");
    prometheus_count(p, WITH("destination", destination), v->uplink_connected);
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_uplink_sent_bytes_total",
                      "Payloads sent, what went again included; since the start.");
    for (uint32_t lane = 0; lane < LANES; lane++)
        prometheus_count(
            p, WITH_BOTH("destination", destination, "lane", receipt_lane_name(lane)),
            v->uplink_bytes[lane]);
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_uplink_sent_rows_total",
                      "Rows sent, what went again included; since the start.");
    for (uint32_t lane = 0; lane < LANES; lane++)
        prometheus_count(
            p, WITH_BOTH("destination", destination, "lane", receipt_lane_name(lane)),
            v->uplink_rows[lane]);
}

#define COUNT(field) offsetof(struct listener_counts, field)

static const struct listener_figure { /* a counter with a sample for each source that listens */
    const char *name, *help;
    size_t offset; /* of a uint64_t */
} listener_figures[] = {
    { "weir_device_accepted_total", "TCP connections accepted.", COUNT(accepted) },
    { "weir_device_refused_total", "Connections refused, for whatever reason.", COUNT(refused) },
    { "weir_device_auth_failures_total", "Of them those with a wrong name or password.",
      COUNT(bad_credentials) },
    { "weir_device_slowed_total",
      "Connections ended unheard, since their address had failed too often.", COUNT(slowed) },
    { "weir_device_handshakes_total", "Handshakes of TLS that succeeded.", COUNT(handshakes) },
    { "weir_device_handshake_failures_total", "Handshakes of TLS that failed.",
      COUNT(bad_handshakes) },
    { "weir_device_faults_total", "Connections ended because the device broke a rule of MQTT.",
      COUNT(faults) },
    { "weir_device_silent_total",
      "Connections ended because nothing was heard, or read, in time.", COUNT(silent) },
    { "weir_device_taken_over_total", "Connections ended by the same client's next.",
      COUNT(taken_over) },
    { "weir_device_exchanges_refused_total",
      "Messages of QoS 2 refused because limits.exchanges were in use.",
      COUNT(exchanges_refused) },
    { "weir_device_messages_total", "Messages taken.", COUNT(messages) },
};

static void put_sessions(const struct api *api, const struct sessions_counts *c,
                         struct prometheus *p)
{
    prometheus_gauge(p, "weir_sessions", "Sessions of devices that outlive their connection.",
                     c->kept);
    prometheus_gauge(p, "weir_sessions_limit", "How many may be kept: limits.sessions.",
                     api->config->sessions_max);
    prometheus_gauge(p, "weir_exchanges", "Exchanges of QoS 2 that are not over.", c->exchanges);
    prometheus_gauge(p, "weir_exchanges_limit", "How many there may be: limits.exchanges.",
                     api->config->exchanges_max);
    prometheus_counter(p, "weir_sessions_expired_total", "Sessions whose time was over.",
                       c->expired);
    prometheus_counter(p, "weir_sessions_evicted_total", "Sessions that gave way to others.",
                       c->evicted);
}

static void put_listeners(const struct api *api, struct prometheus *p)
{
    struct listener_counts counts[CONFIG_SOURCES_MAX];
    const struct config_source *sources[CONFIG_SOURCES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < api->config->source_count; i++)
        if (api->start.listeners[i] != NULL) {
            sources[n] = &api->config->sources[i];
            counts[n++] = listener_counts(api->start.listeners[i]);
        }
    if (n == 0)
        return;
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_device_connections",
                      "Devices connected, by source.");
    for (uint32_t i = 0; i < n; i++)
        prometheus_count(p, WITH("source", sources[i]->name), counts[i].connected);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_device_connections_limit", "Devices that may be.");
    for (uint32_t i = 0; i < n; i++)
        prometheus_count(p, WITH("source", sources[i]->name), sources[i]->connections_max);
    for (size_t f = 0; f < sizeof listener_figures / sizeof listener_figures[0]; f++) {
        const struct listener_figure *figure = &listener_figures[f];
        prometheus_family(p, PROMETHEUS_COUNTER, figure->name, figure->help);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&counts[i] + figure->offset, sizeof value);
            prometheus_count(p, WITH("source", sources[i]->name), value);
        }
    }
    put_sessions(api, &counts[0].sessions, p); /* all listeners share them */
}

static void put_sources(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_source_connected",
                      "1 while its broker is connected, or devices are served.");
    for (uint32_t i = 0; i < api->config->source_count; i++)
        prometheus_count(p, WITH("source", api->config->sources[i].name),
                         v->source_connected >> i & 1);
    put_listeners(api, p);
}

static void put_http(const struct api *api, struct prometheus *p)
{
    struct http_counts c = http_counts(api->start.http);
    prometheus_counter(p, "weir_http_requests_total", "Requests over HTTP, those refused included.",
                       c.requests);
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_http_refused_total",
                      "Requests refused, by why: no token that we know, or not allowed.");
    prometheus_count(p, WITH("why", "unauthorized"), c.unauthorized);
    prometheus_count(p, WITH("why", "forbidden"), c.forbidden);
    prometheus_count(p, WITH("why", "slow"), c.slow);
}

/* --- the machine --- */

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void put_process(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    struct rusage usage = { 0 };
    (void)getrusage(RUSAGE_SELF, &usage); /* fails for no process that asks for itself */
    prometheus_family(p, PROMETHEUS_COUNTER, "process_cpu_seconds_total",
                      "Processor time of all threads.");
    prometheus_value(p, NULL, seconds(usage.ru_utime) + seconds(usage.ru_stime));
    prometheus_counter(p, "weir_disk_written_bytes_total",
                       "What this process had written to disks, journals of the file system apart.",
                       (uint64_t)usage.ru_oublock * 512);
    prometheus_gauge(p, "process_start_time_seconds", "When the process began, as Unix time.",
                     (double)((v->wall_ms - v->uptime_ms) / 1000));
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_memory_budget_bytes",
                      "What each module may take; set aside at start, or a library's ceiling.");
    for (uint32_t i = 0; i < api->budget.count; i++)
        prometheus_count(p, WITH("module", api->budget.lines[i].module),
                         api->budget.lines[i].bytes);
}

static void put_memory(const struct hal *hal, struct prometheus *p)
{
    struct hal_memory m;
    if (hal->memory(hal->ctx, &m) != 0)
        return;
    prometheus_gauge(p, "process_resident_memory_bytes", "Memory of the process.",
                     (double)m.rss_bytes);
    prometheus_gauge(p, "weir_memory_anonymous_bytes", "Of it what no file backs.",
                     (double)m.anonymous_bytes);
    prometheus_gauge(p, "weir_memory_peak_bytes", "The most it ever was.", (double)m.peak_bytes);
    prometheus_gauge(p, "weir_machine_memory_bytes", "Memory of the machine.",
                     (double)m.total_bytes);
    prometheus_gauge(p, "weir_machine_memory_available_bytes", "Of it what is free to use.",
                     (double)m.available_bytes);
}

static void put_hardware(const struct board *b, struct prometheus *p)
{
    int32_t milli_celsius;
    struct hal_storage storage;
    struct hal_time now = b->hal.time(b->hal.ctx);
    if (b->hal.temperature(b->hal.ctx, &milli_celsius) == 0)
        prometheus_gauge(p, "weir_machine_temperature_celsius", "Of the board's thermal zone.",
                         milli_celsius / 1000.0);
    if (b->judgement.proved)
        prometheus_gauge(p, "weir_progress_age_seconds",
                         "Since the last commit that counts as progress for the watchdog.",
                         (double)(now.mono_ms - b->judgement.progress_ms) / 1000);
    prometheus_counter(p, "weir_watchdog_feeds_total", "Times the machine's watchdog was fed.",
                       b->feeds);
    if (b->hal.storage(b->hal.ctx, &storage) != 0)
        return;
    prometheus_counter(p, "weir_flash_written_bytes_total",
                       "Written to the board's storage since the machine started.",
                       storage.sectors_written * 512);
    double years = board_flash_years(&b->config->board, &storage, now.mono_ms);
    if (years > 0)
        prometheus_gauge(p, "weir_flash_years",
                         "What is left of the storage's life if all that is written to it goes on "
                         "as since the machine started.",
                         years);
    if (storage.life_used_percent >= 0)
        prometheus_gauge(p, "weir_flash_life_used_ratio",
                         "Of its life, as the medium says, in steps of a tenth.",
                         storage.life_used_percent / 100.0);
}

static void put_clock(const struct gateway_view *v, struct prometheus *p)
{
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_clock_state", "1 for the state that holds.");
    for (enum clock_state state = CLOCK_UNSET; state <= CLOCK_SYNCED; state++)
        prometheus_count(p, WITH("state", clock_state_name(state)), v->clock == state);
    prometheus_counter(p, "weir_clock_steps_total", "Times the wall clock jumped, since the start.",
                       v->clock_steps);
}

void api_write_machine_metrics(const struct api *api, const struct gateway_view *view,
                               struct prometheus *p)
{
    put_store(api, view, p);
    put_lanes(view, p);
    put_uplink(api, view, p);
    put_sources(api, view, p);
    put_http(api, p);
    put_clock(view, p);
    put_process(api, view, p);
    put_memory(&api->start.board->hal, p);
    put_hardware(api->start.board, p);
}
