#include "firmware/budget.h"

#include <assert.h>

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
