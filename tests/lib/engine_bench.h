/* engine_bench: an engine on a bench: a small configuration with short spans, a clock that is moved by
 * hand, timers fired when they are due, and a list of what was told. */
#ifndef TESTS_LIB_ENGINE_BENCH_H
#define TESTS_LIB_ENGINE_BENCH_H

#include <string.h>

#include "pipeline/engine/engine.h"
#include "tests/lib/check.h"

/* Wall time when t is 0. */
#define BENCH_EPOCH_MS INT64_C(1790000000000)

enum { BENCH_TOLD_MAX = 4096, BENCH_RULES_MAX = 16 };

struct told {
    enum { TOLD_ALERT, TOLD_RESULT, TOLD_LATE } what;
    char device[READING_NAME_BYTES_MAX + 1];
    struct alert alert;           /* ALERT */
    enum alert_transition transition;
    enum severity severity;
    char id[ALERT_ID_BYTES + 1];
    char rule[DETECTOR_NAME_BYTES_MAX + 1];
    bool notify, maintained;
    char incident[ALERT_ID_BYTES + 1];
    uint32_t recent_count;
    int64_t start_ms;             /* RESULT */
    uint32_t revision;
    struct aggregate aggregate;
    int64_t event_time_ms;        /* ALERT, LATE */
};

struct bench {
    struct engine_source source;
    struct detector_config rules[BENCH_RULES_MAX];
    struct engine_config config;
    struct engine *engine;
    void *memory;
    size_t memory_bytes;
    int64_t t_ms;
    struct engine_out out;
    struct told *told;
    uint32_t told_count;
};

static inline struct told *bench_told(struct bench *b)
{
    assert_in_range(b->told_count, 0, BENCH_TOLD_MAX - 1);
    struct told *told = &b->told[b->told_count++];
    memset(told, 0, sizeof *told);
    return told;
}

static inline void bench_on_alert(void *ctx, const struct alert_event *event)
{
    struct told *told = bench_told(ctx);
    told->what = TOLD_ALERT;
    memcpy(told->device, event->device.at, event->device.bytes);
    told->alert = *event->alert;
    told->transition = event->transition;
    told->severity = event->severity;
    memcpy(told->id, event->id, sizeof told->id);
    strcpy(told->rule, event->rule->name);
    told->recent_count = event->recent_count;
    told->notify = event->notify;
    told->maintained = event->maintained;
    memcpy(told->incident, event->incident, sizeof told->incident);
    told->event_time_ms = event->event_time_ms;
}

static inline void bench_on_result(void *ctx, const struct window_result *result)
{
    struct told *told = bench_told(ctx);
    told->what = TOLD_RESULT;
    memcpy(told->device, result->device.at, result->device.bytes);
    told->start_ms = result->start_ms;
    told->revision = result->revision;
    told->aggregate = result->aggregate;
}

static inline void bench_on_late(void *ctx, const struct record *record)
{
    struct told *told = bench_told(ctx);
    told->what = TOLD_LATE;
    memcpy(told->device, record->reading.device.at, record->reading.device.bytes);
    told->event_time_ms = record->event_time_ms;
}

/* A fresh engine of the present configuration. */
static inline void bench_start(struct bench *b)
{
    struct arena arena = arena_measure();
    assert_null(engine_init(&b->config, &arena));
    free(b->memory);
    b->memory_bytes = arena.used;
    b->memory = aligned_alloc(ARENA_ALIGN, arena.used);
    assert_non_null(b->memory);
    memset(b->memory, 0, arena.used);
    arena = arena_over(b->memory, b->memory_bytes);
    b->engine = engine_init(&b->config, &arena);
    assert_non_null(b->engine);
}

static inline void bench_rule(struct bench *b, enum detector_kind kind, const char *name)
{
    assert_in_range(b->config.rule_count, 0, BENCH_RULES_MAX - 1);
    struct detector_config *rule = &b->rules[b->config.rule_count++];
    *rule = detector_defaults(kind);
    strcpy(rule->name, name);
    rule->for_ms = 0;
    rule->clear_after_ms = 0;
    rule->cooldown_ms = 0;
    rule->escalate_after_ms = 0;
    rule->escalate_score = 0;
    rule->chatter = false;
    rule->keep_ms = 0;
}

static inline void bench_apply(struct bench *b, struct record record)
{
    while (engine_deadline(b->engine, b->t_ms) <= b->t_ms)
        engine_fire(b->engine, &b->out);
    record.t_ms = b->t_ms;
    engine_apply(b->engine, &record, &b->out);
}

static inline void bench_clock(struct bench *b, enum clock_state clock)
{
    bench_apply(b, (struct record){ .kind = RECORD_CLOCK,
                                    .clock = { BENCH_EPOCH_MS, clock, 1 } });
}

/* Let t pass, timers and all. */
static inline void bench_wait(struct bench *b, int64_t span_ms)
{
    b->t_ms += span_ms;
    bench_apply(b, (struct record){ .kind = RECORD_SHED });
}

static inline void bench_on_stream(void *ctx, const struct stream_result *result)
{
    (void)ctx, (void)result;
}

static inline void bench_init_configured(struct bench *b)
{
    if (b->config.sources == NULL)
        b->config.sources = &b->source;
    b->config.rules = b->rules;
    b->out = (struct engine_out){ .ctx = b, .alert = bench_on_alert, .result = bench_on_result,
                                  .late = bench_on_late, .stream = bench_on_stream };
    b->told = calloc(BENCH_TOLD_MAX, sizeof *b->told);
    bench_start(b);
    bench_clock(b, CLOCK_SYNCED);
}

static inline void bench_configure(struct bench *b, uint32_t devices_max, uint32_t series_max)
{
    memset(b, 0, sizeof *b);
    b->config = (struct engine_config){
        .devices_max = devices_max,
        .series_max = series_max,
        .rules_per_series = 6,
        .recent = 16,
        .window = { .size_ms = 10000, .lateness_ms = 15000, .slots = 4 },
        .out_of_orderness_ms = 2000,
        .idle_ms = 60000,
        .max_skew_ms = 300000,
        .dedup = { .ranges = 8, .keep = 16 },
        .source_count = 1,
        .store = { 11, 22 },
    };
    b->source.name = text_of("plant");
}

static inline void bench_init(struct bench *b, uint32_t devices_max, uint32_t series_max)
{
    bench_configure(b, devices_max, series_max);
    bench_init_configured(b);
}

static inline void bench_end(struct bench *b)
{
    free(b->memory);
    free(b->told);
}

static inline struct reading bench_reading(const char *device, const char *metric, double value,
                                           int64_t device_time_ms)
{
    return (struct reading){
        .device = text_of(device),
        .metric = text_of(metric),
        .value = { .type = VALUE_NUMBER, .number = value },
        .has_device_time = true,
        .device_time_ms = device_time_ms,
    };
}

/* Fire what is due, admit, and apply what came of it. */
static inline struct admission bench_take(struct bench *b, const struct reading *reading)
{
    while (engine_deadline(b->engine, b->t_ms) <= b->t_ms)
        engine_fire(b->engine, &b->out);
    struct admission a;
    engine_admit(b->engine, b->t_ms, reading, 1, &a);
    if (a.verdict != ADMIT_DUPLICATE)
        engine_apply(b->engine, &a.record, &b->out);
    return a;
}

static inline struct admission bench_give(struct bench *b, const char *device, const char *metric,
                                          double value, int64_t device_time_ms)
{
    struct reading reading = bench_reading(device, metric, value, device_time_ms);
    return bench_take(b, &reading);
}

/* A reading made now, after t has moved on by the span. */
static inline void bench_next(struct bench *b, int64_t span_ms, const char *device, double value)
{
    b->t_ms += span_ms;
    struct admission a = bench_give(b, device, "temperature", value, BENCH_EPOCH_MS + b->t_ms);
    assert_int_equal(a.verdict, ADMIT_STORE);
}

static inline uint32_t bench_count(const struct bench *b, enum alert_transition transition)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->told_count; i++)
        count += b->told[i].what == TOLD_ALERT && b->told[i].transition == transition;
    return count;
}

#endif
