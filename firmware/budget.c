#include "firmware/budget.h"

#include <assert.h>
#include <inttypes.h>

#include "firmware/api/api.h"
#include "firmware/listener/credentials.h"
#include "firmware/api/http.h"
#include "firmware/inventory_file.h"
#include "firmware/listener/listener.h"
#include "firmware/listener/sessions.h"
#include "firmware/tap/tap.h"
#include "firmware/uplink/uplink_mqtt.h"

/* Measured on amd64 with the library versions of Debian 12 (anonymous memory after hours of work).
 */
enum {
    MOSQUITTO_BYTES = 512 * 1024,      /* a source: queues of a full window, packets */
    MOSQUITTO_TLS_BYTES = 1024 * 1024, /* beside that: OpenSSL's context and buffers */
    PAHO_BYTES = 768 * 1024,           /* two threads and a TLS connection; beside it the window */
    PAHO_ROW_BYTES = 12 * 1024,        /* a row in flight: Paho's copies */
    HTTP_CONNECTIONS_BYTES = 512 * 1024, /* 16 connections and one answer copied for each; a door */
    HTTP_TLS_BYTES = 1024 * 1024,        /* GnuTLS: 34 KiB a connection, and its own */
    LOOP_BYTES = 256 * 1024              /* libuv and the stacks of its four threads */
};

static void add(struct budget *b, const char *module, uint64_t bytes, bool foreign)
{
    assert(b->count < BUDGET_LINES_MAX);
    b->lines[b->count++] = (struct budget_line){ module, bytes, foreign };
}

static void add_sources(struct budget *b, const struct config *config)
{
    struct arena taps = arena_measure(), listeners = arena_measure();
    uint32_t payload = config->json.payload_bytes;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind == SOURCE_BROKER)
            (void)tap_init(&(struct tap_config){ source, i, payload, config->data_dir }, &taps);
        else
            (void)listener_init(&(struct listener_config){ source, i, payload, 0, NULL, NULL },
                                &listeners);
    }
    if (taps.used > 0)
        add(b, "sources", taps.used, false);
    if (listeners.used == 0)
        return;
    struct arena sessions = arena_measure();
    (void)sessions_init(config, &sessions);
    add(b, "devices' connections", listeners.used, false);
    add(b, "devices' sessions", sessions.used, false);
}

static void add_adapters(struct budget *b, const struct config *config)
{
    struct arena others = arena_measure();
    add_sources(b, config);
    (void)uplink_init(config, &others);
    (void)inventory_file_init(config, &others);
    (void)credentials_init(config, &others);
    (void)http_init(config, NULL, &others);
    add(b, "uplink, inventory, credentials, HTTP", others.used, false);
    struct arena api = arena_measure();
    (void)api_init(config, &api);
    add(b, "API", api.used, false);
}

static void add_libraries(struct budget *b, const struct config *config)
{
    uint64_t sources = 0, devices = 0;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_BROKER)
            sources += config->sources[i].broker.tls
                           ? (uint64_t)MOSQUITTO_BYTES + MOSQUITTO_TLS_BYTES
                           : (uint64_t)MOSQUITTO_BYTES;
        else if (config->sources[i].broker.tls)
            devices += listener_tls_bytes(&config->sources[i]);
    add(b, "SQLite (hard limit)", config->store.sqlite_heap_bytes, true);
    if (sources > 0)
        add(b, "libmosquitto", sources, true);
    if (devices > 0)
        add(b, "mbedTLS", devices, true);
    if (config->uplink.given)
        add(b, "Paho and OpenSSL",
            PAHO_BYTES + (uint64_t)config->uplink.in_flight * PAHO_ROW_BYTES, true);
    uint64_t doors = config->http.given ? 2 : 1;
    uint64_t tls = config->http.given && config->http.at.tls ? HTTP_TLS_BYTES : 0;
    add(b, "libmicrohttpd", doors * HTTP_CONNECTIONS_BYTES + tls, true);
    add(b, "libuv", LOOP_BYTES, true);
}

struct budget budget_of(const struct config *config)
{
    struct budget b = { 0 };
    b.count = gateway_budget(config, b.lines, BUDGET_LINES_MAX);
    b.device = engine_cost(&config->engine);
    add_adapters(&b, config);
    add_libraries(&b, config);
    for (uint32_t i = 0; i < b.count; i++)
        b.total_bytes += b.lines[i].bytes;
    return b;
}

/* --- what takes most -------------------------------------------------------------------------- */

/* In its place, the most first; the least falls out where there is no more room. */
static void rank(struct config_costs *costs, const struct config_cost *cost)
{
    uint32_t at = costs->count;
    if (at == CONFIG_COSTS_MAX && cost->bytes <= costs->most[at - 1].bytes)
        return;
    at -= at == CONFIG_COSTS_MAX;
    costs->count = at + 1;
    for (; at > 0 && costs->most[at - 1].bytes < cost->bytes; at--)
        costs->most[at] = costs->most[at - 1];
    costs->most[at] = *cost;
}

static void rank_stream(struct config_costs *costs, const struct stream_plan *plan)
{
    uint32_t keys = plan->config->keys_max;
    uint64_t bytes = stream_key_bytes(plan);
    struct config_cost cost = { .bytes = (bytes + stream_copy_bytes(plan)) * keys };
    (void)snprintf(cost.what, sizeof cost.what,
                   "stream %s: %u keys of %" PRIu64 " bytes, and their copy in the checkpoint",
                   plan->config->name, keys, bytes);
    (void)snprintf(cost.lower, sizeof cost.lower, "`keys` of the stream `%s`, or its panes (a "
                   "shorter `lateness`) or aggregates", plan->config->name);
    rank(costs, &cost);
}

/* What a line of the budget can be made smaller by. */
static const char *lowered_by(uint32_t line)
{
    static const char *const by[] = {
        [BUDGET_ENGINE] = "limits.devices or limits.series",
        [BUDGET_BATCHES] = "commit.max_readings, limits.devices or limits.series",
        [BUDGET_DECODER] = "limits.json_arena, limits.payload or limits.readings_per_message",
    };
    return line < sizeof by / sizeof by[0] ? by[line] : "";
}

struct config_costs budget_most(const struct budget *b, const struct config *config)
{
    struct config_costs costs = { .total_bytes = b->total_bytes };
    uint64_t state = 0, copies = 0;
    for (uint32_t i = 0; i < config->engine.streams.count; i++) {
        const struct stream_plan *plan = &config->engine.streams.plans[i];
        state += stream_key_bytes(plan) * plan->config->keys_max;
        copies += stream_copy_bytes(plan) * plan->config->keys_max;
        rank_stream(&costs, plan);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        struct config_cost cost = { .bytes = b->lines[i].bytes };
        uint64_t of_streams = i == BUDGET_ENGINE ? state : i == BUDGET_BATCHES ? copies : 0;
        cost.bytes -= cost.bytes < of_streams ? cost.bytes : of_streams;
        (void)snprintf(cost.what, sizeof cost.what, "%s", b->lines[i].module);
        (void)snprintf(cost.lower, sizeof cost.lower, "%s", lowered_by(i));
        rank(&costs, &cost);
    }
    return costs;
}

void budget_print(const struct budget *b, FILE *out)
{
    (void)fprintf(out, "memory budget\n"); /* a report for people: a lost line is their pipe's */
    for (uint32_t i = 0; i < b->count; i++)
        (void)fprintf(out, "  %-44s %8.1f KiB%s\n", b->lines[i].module,
                      (double)b->lines[i].bytes / 1024, b->lines[i].foreign ? "  (library)" : "");
    (void)fprintf(out, "  %-44s %8.1f KiB\n", "total", (double)b->total_bytes / 1024);
    const struct engine_cost *d = &b->device;
    (void)fprintf(out,
                  "  a device with one metric: %zu bytes (statistics %zu, windows %zu, recent "
                  "readings %zu, rules %zu, duplicates %zu, an alert %zu, names, tables and timers "
                  "%zu)\n",
                  d->total, d->statistics, d->windows, d->recent, d->rules, d->duplicates, d->alert,
                  d->rest);
}
