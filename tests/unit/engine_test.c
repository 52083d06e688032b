/* Goal: the engine decides, remembers and tells as its header says. Method: a small fleet with short
 * spans, one case for each promise; engine_fold_test.c checks that the state is a fold.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/noise.h"

static void stores_a_reading(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    struct admission a = bench_give(&b, "pump", "temperature", 20.0, BENCH_EPOCH_MS);
    assert_int_equal(a.verdict, ADMIT_STORE);
    assert_int_equal(a.record.time_source, TIME_DEVICE);
    assert_int_equal(engine_counts(b.engine).readings, 1);
    struct series_view view;
    assert_true(engine_series(b.engine, 0, &view));
    assert_true(text_equal(view.metric, text_of("temperature")));
    assert_false(engine_series(b.engine, 1, &view));
    bench_end(&b);
}

/* With the defaults of the configuration (config_schema.c) and the four rules that it has when none
 * are given. Four runs less would fit it into a kibibyte, and would forget a repeat after three gaps. */
static void a_device_with_one_metric_is_bounded(void **state)
{
    static const enum detector_kind usual[] = { DETECTOR_BASELINE, DETECTOR_STUCK, DETECTOR_SILENT, DETECTOR_MISSING,
                                                DETECTOR_RANGE, DETECTOR_NOISE, DETECTOR_COUNTER };
    (void)state;
    struct bench b;
    bench_configure(&b, 1000, 1000);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        bench_rule(&b, usual[i], detector_ops(usual[i])->name);
    b.config.rules_per_series = b.config.rule_count;
    b.config.window.slots = 3;
    b.config.recent = 4;
    b.config.dedup = (struct dedup_config){ .ranges = 8, .keep = 24 };
    b.config.sources = &b.source;
    b.config.rules = b.rules;
    struct engine_cost cost = engine_cost(&b.config);
    printf("# bytes: %zu, of it statistics %zu, windows %zu, recent %zu, rules %zu, duplicates %zu, "
           "alert %zu, rest %zu\n", cost.total, cost.statistics, cost.windows, cost.recent, cost.rules,
           cost.duplicates, cost.alert, cost.rest);
    assert_in_range(cost.total, 512, 1600);
    assert_in_range(cost.rules, 256, 560);
    assert_in_range(cost.rest, 64, 256); /* nothing was counted twice */
    struct arena arena = arena_measure();
    engine_init(&b.config, &arena);
    assert_in_range(arena.used, 1000 * cost.total, 1000 * cost.total + 64 * 1024);
}

static const struct told *only(const struct bench *b, uint32_t what)
{
    const struct told *found = NULL;
    for (uint32_t i = 0; i < b->told_count; i++)
        if ((uint32_t)b->told[i].what == what) {
            assert_null(found);
            found = &b->told[i];
        }
    assert_non_null(found);
    return found;
}

static void windows_fire_revise_and_close(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    int64_t start_ms = BENCH_EPOCH_MS;
    b.t_ms = 40000;
    bench_give(&b, "pump", "temperature", 1, start_ms + 1000);
    bench_give(&b, "pump", "temperature", 2, start_ms + 12000);
    const struct told *result = only(&b, TOLD_RESULT);
    assert_int_equal(result->start_ms, start_ms);
    assert_int_equal(result->revision, 0);
    assert_true(result->aggregate.count == 1 && result->aggregate.mean == 1);
    b.told_count = 0;
    bench_give(&b, "pump", "temperature", 3, start_ms + 2000);
    result = only(&b, TOLD_RESULT);
    assert_int_equal(result->revision, 1);
    assert_true(result->aggregate.count == 2 && result->aggregate.mean == 2);
    b.told_count = 0;
    bench_give(&b, "pump", "temperature", 4, start_ms + 28000); /* watermark 26 s: 0..10 s is closed */
    b.told_count = 0;
    struct admission a = bench_give(&b, "pump", "temperature", 5, start_ms + 3000);
    assert_int_equal(a.verdict, ADMIT_STORE);
    assert_int_equal(only(&b, TOLD_LATE)->event_time_ms, start_ms + 3000);
    struct engine_counts counts = engine_counts(b.engine);
    assert_true(counts.late == 1 && counts.results == 2 && counts.revisions == 1);
    assert_true(counts.unordered == 2);
    bench_end(&b);
}

static void idleness_closes_and_spares_the_backlog(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    bench_next(&b, 1000, "pump", 1);
    bench_wait(&b, 59999);
    assert_int_equal(b.told_count, 0);
    bench_wait(&b, 1);
    assert_int_equal(only(&b, TOLD_RESULT)->start_ms, BENCH_EPOCH_MS);
    struct series_view view;
    engine_series(b.engine, 0, &view);
    assert_int_equal(view.watermark_ms, BENCH_EPOCH_MS + 10000);
    assert_int_equal(engine_deadline(b.engine, INT64_MAX), INT64_MAX);
    b.t_ms += 3600000;
    for (int64_t i = 0; i < 10; i++) /* what it measured meanwhile comes now, and is on time */
        bench_give(&b, "pump", "temperature", 2, BENCH_EPOCH_MS + 11000 + i * 1000);
    assert_int_equal(engine_counts(b.engine).late, 0);
    bench_end(&b);
}

static void skew_is_bounded(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    bench_next(&b, 1000, "pump", 1);
    struct series_view before, after;
    engine_series(b.engine, 0, &before);
    int64_t wall_ms = BENCH_EPOCH_MS + b.t_ms;
    static const struct { int64_t ahead_ms; enum admission_verdict want; } table[] = {
        { 300000, ADMIT_STORE }, { 300001, ADMIT_REJECT },
    };
    struct reading reading = bench_reading("fan", "speed", 1, 0);
    for (size_t i = 0; i < 2; i++) {
        struct admission a;
        reading.device_time_ms = wall_ms + table[i].ahead_ms;
        engine_admit(b.engine, b.t_ms, &reading, 1, &a);
        assert_int_equal(a.verdict, table[i].want);
        assert_int_equal(a.reason, table[i].want == ADMIT_REJECT ? REJECT_TIME_FUTURE : REJECT_NONE);
    }
    /* Ahead, but within the bound: no further than the gateway's own clock. */
    bench_give(&b, "pump", "temperature", 2, wall_ms + 300000);
    engine_series(b.engine, 0, &after);
    assert_int_equal(after.watermark_ms, wall_ms - 2000);
    assert_true(after.watermark_ms >= before.watermark_ms);
    /* A clock that isn't trusted judges nobody. */
    bench_clock(&b, CLOCK_COARSE);
    assert_int_equal(bench_give(&b, "fan", "speed", 1, wall_ms + 400000).verdict, ADMIT_STORE);
    assert_int_equal(bench_give(&b, "fan", "speed", 1, 946684799999).reason, REJECT_TIME_RANGE);
    assert_int_equal(bench_give(&b, "fan", "speed", 1, 7258118400000).reason, REJECT_TIME_RANGE);
    bench_end(&b);
}

static void event_time_follows_the_policy(void **state)
{
    (void)state;
    static const struct {
        enum time_policy policy;
        int64_t ahead_ms;
        enum time_source source;
        int64_t event_ahead_ms;
    } table[] = {
        { TIME_POLICY_DEVICE, -5000, TIME_DEVICE, -5000 },
        { TIME_POLICY_DEVICE, 5000, TIME_DEVICE, 5000 },
        { TIME_POLICY_ARRIVAL, -5000, TIME_ARRIVAL, 0 },
        { TIME_POLICY_CLAMP, -5000, TIME_DEVICE, -5000 },
        { TIME_POLICY_CLAMP, 300000, TIME_DEVICE, 300000 },
        { TIME_POLICY_CLAMP, 300001, TIME_CLAMPED, 300000 },
        { TIME_POLICY_CLAMP, 500000, TIME_CLAMPED, 300000 },
    };
    struct bench b;
    bench_init(&b, 4, 4);
    bench_wait(&b, 777);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        b.source.time_policy = table[i].policy;
        struct reading reading = bench_reading("fan", "speed", 1, 0);
        reading.device_time_ms = BENCH_EPOCH_MS + b.t_ms + table[i].ahead_ms;
        struct admission a;
        engine_admit(b.engine, b.t_ms, &reading, 1, &a);
        assert_int_equal(a.verdict, ADMIT_STORE);
        assert_int_equal(a.record.time_source, table[i].source);
        assert_int_equal(a.record.event_time_ms, BENCH_EPOCH_MS + b.t_ms + table[i].event_ahead_ms);
    }
    bench_end(&b);
}

static void a_wrong_clock_is_told(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(b.told_count, 0);
        bench_wait(&b, 1000);
        bench_give(&b, "fan", "speed", 1, BENCH_EPOCH_MS + b.t_ms + 900000);
    }
    const struct told *alert = only(&b, TOLD_ALERT);
    assert_string_equal(alert->rule, "device_clock");
    assert_string_equal(alert->device, "fan");
    assert_int_equal(alert->transition, ALERT_RAISE);
    struct device_view view;
    assert_true(engine_device(b.engine, 0, &view) && view.alerts_open == 1 && view.series == 0);
    bench_give(&b, "fan", "speed", 1, BENCH_EPOCH_MS + b.t_ms);
    assert_int_equal(b.told[b.told_count - 1].transition, ALERT_CLEAR);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    bench_end(&b);
}

static void three_within_an_hour_or_none(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    for (int i = 0; i < 6; i++) {
        bench_wait(&b, 1800001);
        bench_give(&b, "fan", "speed", 1, BENCH_EPOCH_MS + b.t_ms + 900000);
    }
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    bench_end(&b);
}

static void give_rejects(struct bench *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        bench_apply(b, (struct record){ .kind = RECORD_REJECT, .reason = REJECT_JSON_SYNTAX });
}

/* The limit is passed, not met; it clears at half, looked at each ten seconds, without a reading. */
static void too_many_rejects_are_told(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.rejects_per_minute_max = 10;
    bench_init_configured(&b);
    bench_wait(&b, 5000);
    give_rejects(&b, 4);
    bench_wait(&b, 20000); /* t is 25 s */
    give_rejects(&b, 6);
    assert_int_equal(b.told_count, 0);
    give_rejects(&b, 1);
    const struct told *alert = only(&b, TOLD_ALERT);
    assert_string_equal(alert->device, "$gateway");
    assert_string_equal(alert->rule, "reject_rate");
    assert_true(alert->transition == ALERT_RAISE && alert->alert.peak.observed == 11);
    struct alert_view view;
    uint64_t cursor = 0;
    assert_true(engine_alert(b.engine, &cursor, &view));
    assert_string_equal(view.id, alert->id);
    assert_false(engine_alert(b.engine, &cursor, &view));
    assert_false(engine_alert(b.engine, &cursor, &view));
    bench_wait(&b, 35000); /* 60 s: the first four are gone, seven are left */
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 0);
    bench_wait(&b, 19999);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 0);
    bench_wait(&b, 1); /* 80 s: none is left */
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    assert_int_equal(engine_deadline(b.engine, INT64_MAX), INT64_MAX);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    bench_wait(&b, 3600000);
    give_rejects(&b, 10);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    assert_int_equal(bench_give(&b, "$gateway", "speed", 1, BENCH_EPOCH_MS + b.t_ms).reason,
                     REJECT_NAME_INVALID);
    bench_end(&b);
}

static void repeats_are_known(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    struct reading reading = bench_reading("pump", "temperature", 1, BENCH_EPOCH_MS);
    reading.has_sequence = true;
    reading.sequence = 41;
    assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
    assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_DUPLICATE);
    reading.device_time_ms += 3600000;
    b.t_ms += 3600000;
    struct admission a = bench_take(&b, &reading);
    assert_int_equal(a.verdict, ADMIT_STORE);
    assert_true(a.sequence_restart);
    assert_int_equal(engine_counts(b.engine).sequence_restarts, 1);
    assert_int_equal(engine_counts(b.engine).readings, 2);
    bench_end(&b);
}

/* Counters of their own for each metric: number and time are known from another metric, and yet new. */
static void metrics_may_count_for_themselves(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    static const char *const metrics[] = { "temperature", "humidity", "pressure" };
    for (uint64_t sequence = 5; sequence < 8; sequence++) {
        b.t_ms += 1000;
        for (int m = 0; m < 3; m++) {
            struct reading reading = bench_reading("pump", metrics[m], 1, 0);
            reading.device_time_ms = BENCH_EPOCH_MS + (int64_t)sequence * 1000;
            reading.has_sequence = true;
            reading.sequence = sequence;
            assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
            assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_DUPLICATE);
        }
    }
    assert_int_equal(engine_counts(b.engine).readings, 9);
    assert_int_equal(engine_counts(b.engine).sequence_restarts, 0);
    bench_end(&b);
}

/* A device that was started again sends a message of four readings, each with a time of its own. */
static void a_restart_is_counted_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    for (int boot = 0; boot < 3; boot++) {
        struct reading readings[4];
        struct admission out[4];
        uint32_t told = 0;
        b.t_ms += 100000;
        for (uint32_t i = 0; i < 4; i++) {
            readings[i] = bench_reading("pump", "temperature", 1, 0);
            readings[i].device_time_ms = BENCH_EPOCH_MS + b.t_ms - 4000 + 1000 * (int64_t)i;
            readings[i].has_sequence = true;
            readings[i].sequence = 1;
            readings[i].index = i;
        }
        bench_wait(&b, 0);
        engine_admit(b.engine, b.t_ms, readings, 4, out);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(out[i].verdict, ADMIT_STORE);
            told += out[i].sequence_restart;
            engine_apply(b.engine, &out[i].record, &b.out);
        }
        assert_int_equal(told, boot > 0);
        assert_int_equal(engine_counts(b.engine).sequence_restarts, boot);
    }
    bench_end(&b);
}

/* Of one message: two readings of one new device and one of another, where there is room for one. */
static void limits_count_the_message_itself(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 3);
    bench_give(&b, "pump", "temperature", 1, BENCH_EPOCH_MS);
    const struct reading readings[] = {
        bench_reading("fan", "speed", 1, BENCH_EPOCH_MS),
        bench_reading("oven", "speed", 1, BENCH_EPOCH_MS),
        bench_reading("fan", "speed", 1, BENCH_EPOCH_MS + 1),
        bench_reading("fan", "current", 1, BENCH_EPOCH_MS),
        bench_reading("pump", "current", 1, BENCH_EPOCH_MS),
        bench_reading("pump", "temperature", 1, BENCH_EPOCH_MS + 1),
    };
    static const enum reject_reason want[] = { REJECT_NONE, REJECT_DEVICE_LIMIT, REJECT_NONE,
                                               REJECT_NONE, REJECT_SERIES_LIMIT, REJECT_NONE };
    struct admission out[6];
    engine_admit(b.engine, b.t_ms, readings, 6, out);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(out[i].reason, want[i]);
        assert_int_equal(out[i].verdict, want[i] == REJECT_NONE ? ADMIT_STORE : ADMIT_REJECT);
        engine_apply(b.engine, &out[i].record, &b.out);
    }
    struct engine_counts counts = engine_counts(b.engine);
    assert_true(counts.devices == 2 && counts.series == 3 && counts.readings == 5);
    bench_end(&b);
}

static void long_names_fill_the_room_for_names_first(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1000, 1000);
    char device[65], metric[65];
    uint32_t stored = 0;
    struct admission a = { 0 };
    for (int i = 0; i < 1000 && a.verdict == ADMIT_STORE; i++) {
        snprintf(device, sizeof device, "%064d", i);
        snprintf(metric, sizeof metric, "m%063d", i);
        a = bench_give(&b, device, metric, 1, BENCH_EPOCH_MS);
        stored += a.verdict == ADMIT_STORE;
    }
    assert_in_range(a.reason, REJECT_DEVICE_LIMIT, REJECT_SERIES_LIMIT);
    assert_in_range(stored, 300, 340);
    bench_end(&b);
}

static void what_can_not_be_used_is_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    struct reading reading = bench_reading("", "speed", 1, BENCH_EPOCH_MS);
    assert_int_equal(bench_take(&b, &reading).reason, REJECT_NAME_INVALID);
    reading = bench_reading("fan", "", 1, BENCH_EPOCH_MS);
    assert_int_equal(bench_take(&b, &reading).reason, REJECT_NAME_INVALID);
    reading = bench_reading("fan", "speed", 1e141, BENCH_EPOCH_MS);
    assert_int_equal(bench_take(&b, &reading).reason, REJECT_NUMBER_TOO_LARGE);
    assert_int_equal(engine_counts(b.engine).devices, 0);
    bench_end(&b);
}

static void a_contract_asks_the_whole_message(void **state)
{
    (void)state;
    static const struct contract contract = {
        .name = "press", .version = 3, .allow_unknown = true, .metric_count = 1,
        .metrics = { { .name = "force", .type = VALUE_NUMBER, .required = true } },
    };
    struct bench b;
    bench_configure(&b, 4, 8);
    b.source.contract = &contract;
    bench_init_configured(&b);
    struct reading readings[] = { bench_reading("press", "a", 1, BENCH_EPOCH_MS),
                                  bench_reading("press", "b", 1, BENCH_EPOCH_MS) };
    struct admission out[2];
    engine_admit(b.engine, b.t_ms, readings, 2, out);
    assert_int_equal(out[0].reason, REJECT_CONTRACT_REQUIRED);
    assert_int_equal(out[1].reason, REJECT_CONTRACT_REQUIRED);
    engine_admit(b.engine, b.t_ms, readings, 1, out); /* a single metric can't hold another */
    assert_int_equal(out[0].verdict, ADMIT_STORE);
    readings[1].metric = text_of("force");
    engine_admit(b.engine, b.t_ms, readings, 2, out);
    assert_true(out[0].verdict == ADMIT_STORE && out[1].verdict == ADMIT_STORE);
    bench_end(&b);
}

static void a_series_keeps_its_first_unit(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    static const char *const units[] = { "", "C", "F" };
    for (int64_t i = 0; i < 3; i++) {
        struct reading reading = bench_reading("pump", "temperature", 1, BENCH_EPOCH_MS + i);
        reading.unit = text_of(units[i]);
        bench_take(&b, &reading);
    }
    struct series_view view;
    engine_series(b.engine, 0, &view);
    assert_true(text_equal(view.unit, text_of("C")));
    bench_end(&b);
}

static void text_moves_the_watermark_only(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 4);
    struct reading reading = bench_reading("pump", "mode", 0, BENCH_EPOCH_MS);
    reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of("auto") };
    bench_take(&b, &reading);
    struct series_view view;
    engine_series(b.engine, 0, &view);
    assert_int_equal(view.watermark_ms, BENCH_EPOCH_MS - 2000);
    assert_int_equal(view.statistics->count, 0);
    assert_int_equal(engine_deadline(b.engine, INT64_MAX), INT64_MAX);
    bench_end(&b);
}

static void limit_alert_has_its_context(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.learning_readings = 10;
    bench_rule(&b, DETECTOR_LIMIT, "hot");
    b.rules[0].has_high = true;
    b.rules[0].high = 80;
    b.rules[0].severity = SEVERITY_MAJOR;
    bench_init_configured(&b);
    bench_next(&b, 1000, "oven", 99); /* a new series, but the limit is a person's */
    bench_next(&b, 1000, "oven", 20);
    assert_int_equal(b.told[0].severity, SEVERITY_MAJOR);
    assert_false(b.told[0].alert.learning);
    for (int i = 0; i < 20; i++)
        bench_next(&b, 1000, "oven", 20 + i);
    b.told_count = 0;
    bench_next(&b, 1000, "oven", 90);
    const struct told *alert = only(&b, TOLD_ALERT);
    assert_int_equal(alert->severity, SEVERITY_MAJOR);
    assert_int_equal(alert->alert.number, 2);
    assert_int_equal(alert->recent_count, 16);
    assert_int_equal(alert->event_time_ms, BENCH_EPOCH_MS + b.t_ms);
    uint64_t cursor = 0;
    struct alert_view view;
    assert_true(engine_alert(b.engine, &cursor, &view));
    assert_string_equal(view.id, alert->id);
    assert_false(engine_alert(b.engine, &cursor, &view));
    bench_end(&b);
}

/* The rule's alerts told so far, and the last of them. */
static uint32_t told_of(const struct bench *b, const char *rule, struct told *last)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->told_count; i++)
        if (b->told[i].what == TOLD_ALERT && strcmp(b->told[i].rule, rule) == 0) {
            *last = b->told[i];
            count++;
        }
    return count;
}

/* What is learnt is not trusted while the series is new; an alert that outlasts that is told again.
 * What a person has set is trusted from the first. */
static void learning_ends_for_open_alerts(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct told last;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.learning_readings = 60;
    bench_rule(&b, DETECTOR_SHIFT, "moved");
    bench_rule(&b, DETECTOR_RATE, "fast");
    b.rules[0].severity = b.rules[1].severity = SEVERITY_CRITICAL;
    b.rules[1].per_second_max = 20;
    bench_init_configured(&b);
    for (int i = 0; i < 60; i++)
        bench_next(&b, 1000, "oven", (i < 40 ? 20 : 60) + rnd_normal(&seed) / 10);
    assert_int_equal(told_of(&b, "fast", &last), 2);
    assert_true(last.severity == SEVERITY_CRITICAL && !last.alert.learning);
    assert_int_equal(told_of(&b, "moved", &last), 1);
    assert_true(last.severity == SEVERITY_LEARNING && last.alert.learning);
    for (int i = 0; i < 20; i++)
        bench_next(&b, 1000, "oven", 60 + rnd_normal(&seed) / 10);
    assert_int_equal(told_of(&b, "moved", &last), 2);
    assert_true(last.severity == SEVERITY_CRITICAL && !last.alert.learning);
    assert_true(last.transition == ALERT_UPDATE && last.alert.revision == 2);
    bench_end(&b);
}

/* As many readings as the configuration asks for, and as long: both. */
static void learning_takes_readings_and_time(void **state)
{
    (void)state;
    static const struct {
        int64_t step_ms;
        int readings;
        bool learning;
    } CASES[] = { { 600000, 280, true }, { 600000, 310, false }, { 60000, 1000, true },
                  { 60000, 1450, false } };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t seed = 5;
        struct told last;
        struct bench b;
        bench_configure(&b, 4, 4);
        b.config.dedup.keep = 4;
        b.config.learning_readings = 300;
        b.config.learning_ms = 86400000;
        bench_rule(&b, DETECTOR_BASELINE, "usual");
        bench_init_configured(&b);
        for (int n = 0; n < CASES[i].readings; n++)
            bench_next(&b, CASES[i].step_ms, "oven", 20 + rnd_unit(&seed));
        b.told_count = 0;
        bench_next(&b, CASES[i].step_ms, "oven", 90);
        assert_int_equal(told_of(&b, "usual", &last), 1);
        assert_int_equal(last.alert.learning, CASES[i].learning);
        assert_int_equal(last.severity, CASES[i].learning ? SEVERITY_LEARNING : SEVERITY_WARNING);
        assert_int_equal(last.alert.reason, REASON_SPIKE);
        bench_end(&b);
    }
}

static void command(struct bench *b, const char *verb, const char *id, const char *rest)
{
    char text[128];
    snprintf(text, sizeof text, "%s %s%s", verb, id, rest);
    bench_apply(b, (struct record){ .kind = RECORD_COMMAND, .content = text_of(text) });
}

static void people_acknowledge_and_shelve(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    bench_rule(&b, DETECTOR_LIMIT, "hot");
    b.rules[0].has_high = true;
    b.rules[0].high = 80;
    bench_init_configured(&b);
    bench_next(&b, 1000, "oven", 99);
    char id[ALERT_ID_BYTES + 1];
    strcpy(id, b.told[0].id);
    command(&b, "ack", "00000000000000000000000000", "");
    command(&b, "ack", "short", "");
    command(&b, "shelve", id, "");
    command(&b, "shelve", id, " 12x");
    assert_int_equal(bench_count(&b, ALERT_UPDATE), 0);
    command(&b, "ack", id, "");
    command(&b, "ack", id, "");
    command(&b, "shelve", id, " 1790000099000");
    assert_int_equal(bench_count(&b, ALERT_UPDATE), 2);
    const struct alert *last = &b.told[b.told_count - 1].alert;
    assert_true(last->acknowledged && last->shelved_until_ms == 1790000099000 && last->revision == 3);
    command(&b, "unshelve", id, "");
    assert_int_equal(b.told[b.told_count - 1].alert.shelved_until_ms, 0);
    bench_end(&b);
}

static void begin_hot(struct bench *b, int64_t cooldown_ms)
{
    bench_configure(b, 4, 4);
    bench_rule(b, DETECTOR_LIMIT, "hot");
    b->rules[0].has_high = true;
    b->rules[0].high = 80;
    b->rules[0].cooldown_ms = cooldown_ms;
    bench_init_configured(b);
}

/* The shelf is the triple's: it outlives the alert, until its time has come. */
static void the_next_alert_is_shelved_too(void **state)
{
    (void)state;
    struct bench b;
    begin_hot(&b, 0);
    bench_next(&b, 1000, "oven", 99);
    char until[32];
    snprintf(until, sizeof until, " %" PRId64, BENCH_EPOCH_MS + 5000);
    command(&b, "shelve", b.told[0].id, until);
    bench_next(&b, 1000, "oven", 20);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    bench_next(&b, 1000, "oven", 20);
    bench_next(&b, 1000, "oven", 99); /* t is 4 s */
    assert_int_equal(b.told[b.told_count - 1].transition, ALERT_RAISE);
    assert_int_equal(b.told[b.told_count - 1].alert.shelved_until_ms, BENCH_EPOCH_MS + 5000);
    bench_next(&b, 2000, "oven", 20);
    bench_next(&b, 1000, "oven", 99);
    assert_int_equal(b.told[b.told_count - 1].alert.shelved_until_ms, 0);
    bench_end(&b);
}

static void cool_down_keeps_an_alert_from_the_lists(void **state)
{
    (void)state;
    struct bench b;
    struct alert_view view;
    uint64_t cursor = 0;
    begin_hot(&b, 10000);
    bench_next(&b, 1000, "oven", 99);
    assert_true(engine_alert(b.engine, &cursor, &view));
    bench_next(&b, 1000, "oven", 20);
    cursor = 0;
    assert_false(engine_alert(b.engine, &cursor, &view));
    bench_next(&b, 9999, "oven", 99);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    assert_int_equal(engine_counts(b.engine).alerts_suppressed, 1);
    bench_next(&b, 1, "oven", 99);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 2);
    assert_int_equal(b.told[b.told_count - 1].alert.suppressed, 1);
    bench_end(&b);
}

/* The pool of this small engine has 8 places. */
static void a_place_in_the_pool_is_given_back(void **state)
{
    (void)state;
    struct bench b;
    begin_hot(&b, 0);
    b.config.rules_per_series = 1;
    bench_start(&b);
    bench_clock(&b, CLOCK_SYNCED);
    for (int i = 0; i < 100; i++)
        bench_next(&b, 1000, i % 3 == 0 ? "oven" : "kiln", i % 2 ? 20 : 99);
    assert_int_equal(engine_counts(b.engine).alerts_suppressed, 0);
    assert_in_range(bench_count(&b, ALERT_RAISE), 20, 50);
    bench_end(&b);
}

static void a_device_is_as_old_as_its_newest_reading(void **state)
{
    (void)state;
    static uint8_t saved[1 << 16];
    struct bench b;
    struct device_view view;
    bench_init(&b, 4, 4);
    b.t_ms = 1000;
    bench_give(&b, "pump", "speed", 1, BENCH_EPOCH_MS + 1000);
    bench_give(&b, "pump", "level", 1, BENCH_EPOCH_MS + 900);
    b.t_ms = 2000;
    bench_give(&b, "pump", "speed", 1, BENCH_EPOCH_MS + 1900);
    struct byte_writer w = { saved, sizeof saved, 0, false };
    engine_save(b.engine, &w);
    for (int loaded = 0; loaded < 2; loaded++) {
        assert_true(engine_device(b.engine, 0, &view));
        assert_int_equal(view.last_t_ms, 2000);
        assert_int_equal(view.last_event_ms, BENCH_EPOCH_MS + 1900);
        struct byte_reader r = { saved, w.used, 0, false };
        uint32_t reset;
        bench_start(&b);
        assert_int_equal(engine_load(b.engine, &r, &reset), 0);
    }
    bench_end(&b);
}

static void begin_silent(struct bench *b)
{
    bench_configure(b, 4, 4);
    bench_rule(b, DETECTOR_SILENT, "silent");
    b->rules[0].silent_min_ms = 30000;
    b->rules[0].silent_intervals = 5;
    bench_init_configured(b);
}

static void connect_source(struct bench *b, uint64_t connected)
{
    bench_apply(b, (struct record){ .kind = RECORD_SOURCE, .count = connected });
}

static void silence_is_told_once_and_ends(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    for (int i = 0; i < 19; i++)
        bench_next(&b, 1000, "fan", 1);
    bench_wait(&b, 600000); /* its rhythm is not known yet */
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    for (int i = 0; i < 300; i++)
        bench_next(&b, 1000, "fan", 1);
    bench_wait(&b, 29999);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    bench_wait(&b, 1);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_wait(&b, 86400000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_next(&b, 1000, "fan", 1);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    bench_end(&b);
}

/* A device that comes back for one reading and is gone again before cool-down has passed. */
static void a_silence_within_cool_down_is_told_after_it(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    b.rules[0].cooldown_ms = 300000;
    for (int i = 0; i < 300; i++)
        bench_next(&b, 1000, "fan", 1);
    bench_wait(&b, 60000);
    bench_next(&b, 1000, "fan", 1);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    bench_wait(&b, 299999);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_wait(&b, 1);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 2);
    bench_end(&b);
}

/* Healthy devices that keep sixty readings, 100 ms apart, and send them every six seconds: as one
 * message, or as many that take a while. */
static void a_batch_uploader_is_not_silent(void **state)
{
    (void)state;
    for (int64_t spread_ms = 0; spread_ms <= 20; spread_ms += 10) {
        struct bench b;
        begin_silent(&b);
        b.rules[0].silent_min_ms = 2000;
        b.config.learning_readings = 200;
        for (int i = 0; i < 60 * 60; i++) {
            b.t_ms = 6000 * (1 + i / 60) + i % 60 * spread_ms;
            bench_give(&b, "fan", "speed", i, BENCH_EPOCH_MS + 100 * (int64_t)i);
        }
        assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
        bench_wait(&b, 18000);
        assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
        bench_wait(&b, 12001);
        assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
        bench_end(&b);
    }
}

static void text_has_a_rhythm_too(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    b.config.learning_readings = 30;
    b.config.learning_ms = 20000;
    struct reading reading = bench_reading("valve", "state", 0, 0);
    reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of("open") };
    for (int i = 0; i < 60; i++) {
        b.t_ms += 1000;
        reading.device_time_ms = BENCH_EPOCH_MS + b.t_ms;
        assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
    }
    int64_t last_ms = reading.device_time_ms;
    bench_wait(&b, 30000);
    const struct told *alert = only(&b, TOLD_ALERT);
    assert_true(alert->severity == SEVERITY_WARNING && !alert->alert.learning);
    assert_int_equal(alert->event_time_ms, last_ms + 30000);
    bench_end(&b);
}

static void a_lost_source_silences_nobody(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    for (int i = 0; i < 40; i++)
        bench_next(&b, 1000, "fan", 1);
    bench_wait(&b, 20000);
    for (int i = 0; i < 2; i++) { /* nor does it change what is usual */
        connect_source(&b, 0);
        bench_wait(&b, 3600000);
        connect_source(&b, 1);
        if (i == 0)
            bench_next(&b, 1000, "fan", 1);
    }
    bench_wait(&b, 29999);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    bench_wait(&b, 1);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_end(&b);
}

static void held_readings_come_in_order(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.reorder_ms = 5000;
    b.config.reorder_slots = 3;
    bench_init_configured(&b);
    struct series_view view;
    static const struct { int64_t at_ms; uint64_t fed; } table[] = {
        { 10000, 0 }, { 9000, 0 }, { 11000, 0 }, /* full */
        { 9500, 1 },  /* 9000 goes on */
        { 9200, 2 },  /* older than all that are held: goes on itself */
        { 9100, 2 },  /* older than the last fed: counted */
        { 15000, 4 }, /* 9500 for want of room, 10000 by age */
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        b.t_ms += 3000;
        bench_give(&b, "fan", "speed", 1, BENCH_EPOCH_MS + table[i].at_ms);
        engine_series(b.engine, 0, &view);
        assert_int_equal(view.statistics->count, table[i].fed);
    }
    assert_int_equal(engine_counts(b.engine).unordered, 1);
    bench_wait(&b, 60000); /* idle: nothing is held back for ever */
    engine_series(b.engine, 0, &view);
    assert_int_equal(view.statistics->count, 6);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_a_reading),
        cmocka_unit_test(a_device_with_one_metric_is_bounded),
        cmocka_unit_test(windows_fire_revise_and_close),
        cmocka_unit_test(idleness_closes_and_spares_the_backlog),
        cmocka_unit_test(skew_is_bounded),
        cmocka_unit_test(event_time_follows_the_policy),
        cmocka_unit_test(a_wrong_clock_is_told),
        cmocka_unit_test(three_within_an_hour_or_none),
        cmocka_unit_test(too_many_rejects_are_told),
        cmocka_unit_test(repeats_are_known),
        cmocka_unit_test(metrics_may_count_for_themselves),
        cmocka_unit_test(a_restart_is_counted_once),
        cmocka_unit_test(limits_count_the_message_itself),
        cmocka_unit_test(long_names_fill_the_room_for_names_first),
        cmocka_unit_test(what_can_not_be_used_is_refused),
        cmocka_unit_test(a_contract_asks_the_whole_message),
        cmocka_unit_test(a_series_keeps_its_first_unit),
        cmocka_unit_test(text_moves_the_watermark_only),
        cmocka_unit_test(limit_alert_has_its_context),
        cmocka_unit_test(learning_ends_for_open_alerts),
        cmocka_unit_test(learning_takes_readings_and_time),
        cmocka_unit_test(people_acknowledge_and_shelve),
        cmocka_unit_test(the_next_alert_is_shelved_too),
        cmocka_unit_test(cool_down_keeps_an_alert_from_the_lists),
        cmocka_unit_test(a_place_in_the_pool_is_given_back),
        cmocka_unit_test(a_device_is_as_old_as_its_newest_reading),
        cmocka_unit_test(silence_is_told_once_and_ends),
        cmocka_unit_test(a_silence_within_cool_down_is_told_after_it),
        cmocka_unit_test(a_batch_uploader_is_not_silent),
        cmocka_unit_test(text_has_a_rhythm_too),
        cmocka_unit_test(a_lost_source_silences_nobody),
        cmocka_unit_test(held_readings_come_in_order),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
