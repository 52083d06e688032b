/* Goal: every processor sends the same bytes upstream: windows, statistics and alerts of all detectors, not only verdicts.
 * Method: an engine with a rule of each kind over seeded series, and over every real series that stands beside the
 * repository; each alert is rendered and each window packed as it would be sent, and all these bytes are hashed. The digests are
 * printed, and a build for another processor is compared with this machine's (tests/cross/digest_test.sh); here a second run must
 * give the first one's.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c pipeline/codec/envelope.c pipeline/codec/envelope_alert.c pipeline/codec/json_writer.c pipeline/timestamp.c pipeline/codec/codec_results.c pipeline/codec/codec_results_rows.c pipeline/packing.c pipeline/inventory.c
 * Libs: -lcjson */
#include <string.h>

#include "pipeline/codec/codec_results.h"
#include "pipeline/codec/envelope.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/noise.h"
#include "tests/lib/series_files.h"

enum {
    WINDOW_MS = 600000,
    RESULTS_MAX = 256,
    RESULTS_BYTES = 32 * 1024,
    SEEDED_SERIES = 12,
    SEEDED_READINGS = 3000
};

struct run {
    struct bench bench;
    struct results_builder *results;
    void *results_memory;
    struct hash_state hash;
    uint64_t readings, windows, alerts;
    int64_t offset_ms; /* wall time when t is 0 */
};

/* --- what is sent is hashed --- */

static void flush_results(struct run *run)
{
    uint8_t bytes[RESULTS_BYTES];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    struct results_header header = { .store_id = { 1, 2 }, .sequence = run->windows };
    results_finish(run->results, &header, &w);
    assert_false(w.failed);
    hash_add(&run->hash, bytes, w.used);
    results_builder_reset(run->results);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct run *run = ctx;
    run->windows++;
    if (results_add_window(run->results, result) == 0)
        return;
    flush_results(run);
    assert_int_equal(results_add_window(run->results, result), 0);
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct run *run = ctx;
    char json[ENVELOPE_ALERT_BYTES_MAX];
    const struct envelope envelope = { .gateway = text_of("digest"),
                                       .store_id = { 1, 2 },
                                       .config_digest = text_of("0"),
                                       .version = text_of("0"),
                                       .offset_ms = run->offset_ms,
                                       .clock = CLOCK_SYNCED };
    struct text said =
        envelope_alert(&envelope, ++run->alerts, event, NULL, true, json, sizeof json);
    assert_true(said.bytes > 0);
    hash_add(&run->hash, said.at, said.bytes);
}

static void on_late(void *ctx, const struct record *record)
{
    struct run *run = ctx;
    hash_add(&run->hash, &record->event_time_ms, sizeof record->event_time_ms);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct run *run = ctx;
    hash_add(&run->hash, &result->start_ms, sizeof result->start_ms);
    hash_add(&run->hash, &result->revision, sizeof result->revision);
    for (uint32_t i = 0; i < result->count; i++)
        hash_add(&run->hash, &result->values[i].value.number, sizeof(double));
}

static void add_stream(struct bench *b)
{
    static struct stream_config config = {
        .name = "all", .where = "value != 7", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 5000,
        .lateness_ms = 60000, .idle_ms = 600000, .window = STREAM_HOPPING, .size_ms = 60000, .slide_ms = 5000,
        .keys_max = 8, .key_bytes = 64, .ttl_ms = 3600000, .aggregate_count = 9,
        .aggregates = { { "sum" }, { "mean" }, { "stddev" }, { "rate" }, { "range" }, { "delta" }, { "variance" },
                        { "sum(log(abs(value) + 1) / 3) as logs" }, { "mean(sqrt(abs(value * 1.1))) as roots" } },
    };
    static struct stream_plan plan;
    static struct stream_fields fields;
    struct stream_fault fault;
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plan, &config, &fields, &fault), 0);
    b->config.streams = (struct stream_set){ 1, &plan };
}

/* --- a series through the engine --- */

static void add_rule(struct bench *b, enum detector_kind kind)
{
    bench_rule(b, kind, detector_ops(kind)->name);
    struct detector_config *rule = &b->rules[b->config.rule_count - 1];
    rule->has_low = rule->has_high = true;
    rule->low = 0;
    rule->high = 100;
    rule->hysteresis = 2;
    rule->per_second_max = 0.05;
    rule->clear_after_ms = 3600000;
    rule->cooldown_ms = 3600000;
}

static void run_init(struct run *run)
{
    memset(run, 0, sizeof *run);
    struct bench *b = &run->bench;
    bench_configure(b, 2, 2);
    b->config.rules_per_series = DETECTOR_KINDS;
    for (int kind = 0; kind < DETECTOR_KINDS; kind++)
        add_rule(b, (enum detector_kind)kind);
    b->config.window.size_ms = WINDOW_MS;
    b->config.idle_ms = 6 * WINDOW_MS;
    b->config.learning_readings = 50;
    add_stream(b);
    b->config.sources = &b->source;
    b->config.rules = b->rules;
    b->out = (struct engine_out){ .ctx = run, .alert = on_alert, .result = on_result, .late = on_late, .stream = on_stream };
    struct arena arena = arena_measure();
    (void)results_builder_init(RESULTS_WINDOWS, RESULTS_MAX, RESULTS_BYTES, &arena);
    run->results_memory = calloc(1, arena.used);
    arena = arena_over(run->results_memory, arena.used);
    run->results = results_builder_init(RESULTS_WINDOWS, RESULTS_MAX, RESULTS_BYTES, &arena);
    hash_begin(&run->hash, (struct hash_key){ 1, 2 }, 1);
}

static void run_begin_series(struct run *run, int64_t first_event_ms)
{
    struct bench *b = &run->bench;
    b->t_ms = 0;
    bench_start(b);
    run->offset_ms = first_event_ms;
    bench_apply(b, (struct record){ .kind = RECORD_CLOCK,
                                    .clock = { first_event_ms, CLOCK_SYNCED, 1 } });
}

/* A reading arrives when it is made. */
static void run_reading(struct run *run, const char *device, const struct sample *sample)
{
    struct bench *b = &run->bench;
    b->t_ms = sample->event_time_ms - run->offset_ms;
    (void)bench_give(b, device, "value", sample->value, sample->event_time_ms);
    run->readings++;
}

static struct hash128 run_end(struct run *run)
{
    flush_results(run);
    struct hash128 digest = hash_end128(&run->hash);
    free(run->results_memory);
    bench_end(&run->bench);
    return digest;
}

static void print_digest(const char *what, const struct run *run, struct hash128 digest)
{
    printf("# digest %s %016" PRIx64 "%016" PRIx64 " of %" PRIu64 " readings, %" PRIu64
           " windows, %" PRIu64 " alerts\n",
           what, digest.high, digest.low, run->readings, run->windows, run->alerts);
    assert_true(run->windows > 100);
    assert_true(run->alerts > 20);
}

/* --- seeded --- */

static double seeded_value(uint32_t kind, uint32_t at, double last, uint64_t *chance)
{
    double noise = rnd_normal(chance);
    switch (kind % 6) {
    case 0: return 50 + noise;
    case 1: return last + noise;
    case 2: return at % 400 < 100 ? last : 50 + noise;
    case 3: return 50 + noise + (at / 300 % 2 == 0 ? 0 : 8);
    case 4: return rnd(chance) % 100 == 0 ? 50 + 30 * noise : 50 + noise;
    default: return noise * (rnd(chance) % 50 == 0 ? 1e139 : 1e-30);
    }
}

static struct hash128 seeded_digest(struct run *run)
{
    run_init(run);
    uint64_t chance = 1;
    for (uint32_t i = 0; i < SEEDED_SERIES; i++) {
        struct sample sample = { 1600000000000, 50 };
        run_begin_series(run, sample.event_time_ms);
        for (uint32_t at = 0; at < SEEDED_READINGS; at++) {
            bool gap = rnd(&chance) % 500 == 0;
            sample.event_time_ms += gap ? 86400000 : 100 + (int64_t)(rnd(&chance) % 30000);
            sample.value = seeded_value(i, at, sample.value, &chance);
            run_reading(run, "seeded", &sample);
        }
    }
    return run_end(run);
}

static void seeded_series_give_the_same_bytes(void **state)
{
    (void)state;
    struct run run;
    struct hash128 first = seeded_digest(&run), second = seeded_digest(&run);
    print_digest("engine-seeded", &run, first);
    assert_true(first.low == second.low && first.high == second.high);
}

/* --- real --- */

static void run_file(void *ctx, const char *path, const char *name)
{
    struct run *run = ctx;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int64_t last_ms = 0;
    struct sample sample;
    bool begun = false;
    while (series_next(file, &last_ms, &sample)) {
        if (!begun)
            run_begin_series(run, sample.event_time_ms);
        begun = true;
        run_reading(run, name, &sample);
    }
    fclose(file);
}

static void real_series_give_the_same_bytes(void **state)
{
    (void)state;
    char folder[SERIES_PATH_BYTES];
    struct run run;
    series_folder(folder);
    run_init(&run);
    series_each(folder, SERIES_DEPTH_MAX, run_file, &run);
    bool absent = run.readings == 0;
    struct hash128 digest = run_end(&run);
    if (absent)
        skip();
    print_digest("engine-real", &run, digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeded_series_give_the_same_bytes),
        cmocka_unit_test(real_series_give_the_same_bytes),
    };
    return cmocka_run_group_tests_name("digest_engine", tests, NULL, NULL);
}
