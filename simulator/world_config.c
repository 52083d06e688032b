/* world_config: what the gateway of a world is told. The limits are small, so that every one of
 * them is met; what a world draws are the ways that exclude each other. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/json_arena.h"
#include "simulator/world_state.h"

enum { JSON_ARENA_BYTES = 64 * 1024, YAML_BYTES_MAX = 4096 };

static const char FORMAT[] =
    "gateway: {name: world, data_dir: /nowhere, socket: /nowhere/weir.sock}\n"
    "clock: {trust: system, wait: 3s}\n"
    "limits: {devices: 8, series: %d, payload: 4KiB, json_arena: 64KiB, readings_per_message: %d}\n"
    "sources:\n"
    "  - name: plant\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    receive_maximum: 20\n"
    "    priority: high\n"
    "    topics:\n"
    "      - template: telemetry/{device}/{metric}\n"
    "        payload: {value: /value, time: /ts, sequence: /seq, device: /device}\n"
    "  - name: annex\n"
    "    listen: mqtt://127.0.0.1:1885\n"
    "    anonymous: true\n"
    "    time: clamp\n"
    "    topics:\n"
    "      - template: metrics/{device}\n"
    "        payload: {metrics: /values, time: /ts, sequence: /seq}\n"
    "      - template: batch/{device}/{metric}\n"
    "        payload: {readings: /batch, value: /v, time: /t, sequence: /seq}\n"
    "  - name: radio\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    qos: 0\n"
    "    time: arrival\n"
    "    receive_maximum: 20\n"
    "    topics:\n"
    "      - template: radio/{device}/{metric}\n"
    "        payload: {value: /value, time: /ts, sequence: /seq, device: /device}\n"
    "window: {size: 2s, lateness: 3s, out_of_orderness: 500ms, idle: 5s, slots: 3, recent: 4,\n"
    "         reorder: %s, reorder_slots: 4}\n"
    "dedup: {ranges: %u, keep: 64}\n"
    "learning: {readings: 5, time: 0s}\n"
    "usual: {all: false}\n"
    "detectors:\n"
    "  - {name: hot, type: limit, metric: temp, high: 80, clear_after: 2s, cooldown: 0s}\n"
    "  - {name: jump, type: rate, metric: temp, per_second: 30, clear_after: 1s, cooldown: 3s}\n"
    "  - {name: quiet, type: silent, metric: temp, min_silence: 4s, intervals: 4}\n"
    "  - {name: usual, type: baseline, metric: temp, sensitivity: high, clear_after: 1s}\n"
    "  - {name: surge, type: limit, metric: \"m*\", high: 80, clear_after: 1s, cooldown: 0s}\n"
    "%s"
    "streams:\n"
    "  - {name: temps, where: \"metric == 'temp'\", key: [device], window: {size: 2s},\n"
    "     lateness: 3s, out_of_orderness: 500ms, idle: 5s, keys: 8}\n"
    "  - {name: hops, key: [device, metric], window: {type: hopping, size: 4s, slide: 1s},\n"
    "     aggregates: [count, mean, stddev, last], lateness: 2s, idle: 3s, keys: 3,\n"
    "     at_limit: evict, ttl: 6s}\n"
    "  - {name: visits, key: [device], window: {type: session, gap: 1500ms, sessions: 3},\n"
    "     aggregates: [count, last], lateness: 3s, idle: 4s, keys: 8}\n"
    "commit: {max_age: 300ms, max_readings: 96, retry_for: 2s}\n"
    "store: {disk_max: 8MiB, wal_max: 1MiB, ballast: 64KiB, alerts_share: %d, results_share: %d,\n"
    "        journal_age: %s, results_age: %s, raw_age: %s}\n"
    "alerts: {reject_rate: 30/m, lag_grows_for: 2s, shed_for: 3s}\n"
    "shed: {enrichment_lag: 900ms, optional_lag: 1200ms, sources_lag: 1600ms, qos0_lag: 2s,\n"
    "       enter: 400ms, leave: 400ms}\n"
    "inventory: {file: /nowhere/devices.csv, entries_max: 8}\n"
    "uplink:\n"
    "  url: mqtt://127.0.0.1:1884\n"
    "  receipts: %s\n"
    "  raw: %s\n"
    "  in_flight: 8\n"
    "  refusals_max: %u\n"
    "  receipt_timeout: 3s\n";

static const char MORE_DETECTORS[] =
    "  - {name: code, type: range, metric: temp, clear_after: 1s}\n"
    "  - {name: still, type: noise, metric: temp}\n"
    "  - {name: counts, type: counter, metric: temp}\n"
    "  - {name: gaps, type: missing, metric: temp}\n"
    "  - {name: twice, type: limit, metric: temp, high: 80, for_readings: 2, of_readings: 9,\n"
    "     clear_after: 1s, clear_readings: 2, latch: true}\n";

static struct world_plan draw_plan(uint64_t seed)
{
    static const uint32_t ranges[] = { 2, 8, DEDUP_RANGES_MAX };
    uint64_t chance = chance_branch(seed, 5), alarms = chance_branch(seed, 7);
    return (struct world_plan){
        .receipts = chance_below(&chance, 4) != 0,
        .raw = chance_below(&chance, 2) == 0,
        .reorder = chance_below(&chance, 3) == 0,
        .storms = chance_below(&chance, 12) == 0,
        .small_outbox = chance_below(&chance, 5) == 0,
        .short_memory = chance_below(&chance, 3) == 0,
        .ranges = ranges[chance_below(&chance, 3)],
        .refusals_max = chance_below(&chance, 2) == 0 ? 3 : 100,
        .alarms = chance_below(&alarms, 4) == 0,
    };
}

static struct config *the_config(void)
{
    static struct config *config; /* large, and one world lives at a time */
    if (config != NULL)
        return config;
    void *arena = aligned_alloc(16, JSON_ARENA_BYTES);
    config = calloc(1, sizeof *config);
    assert(config != NULL && arena != NULL);
    json_arena_start(arena, JSON_ARENA_BYTES);
    return config;
}

static void compile_mappings(struct config *config)
{
    const char *why;
    for (uint32_t s = 0; s < config->source_count; s++)
        for (uint32_t t = 0; t < config->sources[s].topic_count; t++) {
            struct json_mapping *mapping = &config->sources[s].topics[t].mapping;
            int error = mapping->compiled.done ? 0 : json_mapping_compile(mapping, &why);
            assert(error == 0);
            (void)error;
        }
}

void world_configure(struct world *w)
{
    char yaml[YAML_BYTES_MAX];
    w->plan = draw_plan(w->seed);
    const struct world_plan *p = &w->plan;
    const char *age = p->short_memory ? "1m" : "1d";
    w->config = the_config();
    int bytes = snprintf(yaml, sizeof yaml, FORMAT, p->storms ? 104 : 16, WORLD_READINGS_MAX,
                         p->reorder ? "800ms" : "0s", p->ranges,
                         p->alarms ? MORE_DETECTORS : "", p->small_outbox ? 1 : 10,
                         p->small_outbox ? 1 : 20, age, age, age,
                         p->receipts ? "true" : "false", p->raw ? "true" : "false",
                         p->refusals_max);
    assert(bytes > 0 && bytes < (int)sizeof yaml);
    int errors = config_read_text("world.yaml", yaml, (size_t)bytes, w->config, stderr);
    assert(errors == 0 && w->config->source_count == WORLD_SOURCES);
    (void)errors;
    compile_mappings(w->config);
}
