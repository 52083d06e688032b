/* Goal: the usual rules in the engine: what is no measurement reaches nobody else; a device that says nothing at all
 * silences its metrics; a clock that is off is told of, and a backlog is none.
 * Method: stories of a device through admission and the fold.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "tests/lib/engine_bench.h"

/* The rules that are told of, in order. */
static const struct told *alert_at(const struct bench *b, uint32_t at)
{
    for (uint32_t i = 0; i < b->told_count; i++)
        if (b->told[i].what == TOLD_ALERT && at-- == 0)
            return &b->told[i];
    fail_msg("so many alerts were not told");
    return NULL;
}

static void give(struct bench *b, double value, const char *unit)
{
    b->t_ms += 1000;
    struct reading reading = bench_reading("pump", "temperature", value, BENCH_EPOCH_MS + b->t_ms);
    reading.unit = text_of(unit);
    assert_int_equal(bench_take(b, &reading).verdict, ADMIT_STORE);
}

/* The rule stands behind the limit, and sees the reading first all the same. */
static void bad_readings_reach_nobody_else(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 2, 2);
    bench_rule(&b, DETECTOR_LIMIT, "cold");
    b.rules[0].has_low = true;
    b.rules[0].low = 10;
    bench_rule(&b, DETECTOR_RANGE, "range");
    bench_init_configured(&b);
    for (int i = 0; i < 20; i++)
        give(&b, 20 + i % 5, "Cel");
    give(&b, -127, "Cel");
    give(&b, -300, "Cel");
    give(&b, 21, "Cel");
    assert_int_equal(b.told_count - bench_count(&b, ALERT_CLEAR), 1 + 2); /* two windows */
    assert_string_equal(alert_at(&b, 0)->rule, "range");
    struct series_view view;
    assert_true(engine_series(b.engine, 0, &view));
    assert_true(view.statistics->count == 21 && view.statistics->min >= 20);
    give(&b, 5, "Cel");
    assert_string_equal(alert_at(&b, 2)->rule, "cold");
    bench_end(&b);
}

/* --- silence of whole devices --- */

static void begin_silent(struct bench *b)
{
    bench_configure(b, 4, 8);
    bench_rule(b, DETECTOR_SILENT, "silent");
    bench_init_configured(b);
}

/* `count` rounds, ten seconds apart, in which each of the metrics reports. */
static void live(struct bench *b, int count, const char *const metrics[], int metric_count)
{
    for (int i = 0; i < count; i++) {
        b->t_ms += 10000;
        for (int m = 0; m < metric_count; m++)
            bench_give(b, "pump", metrics[m], i, BENCH_EPOCH_MS + b->t_ms + m);
    }
}

static const char *const THREE[] = { "temperature", "flow", "current" };

static void a_silent_device_silences_its_metrics(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    live(&b, 100, THREE, 3);
    for (int i = 0; i < 60; i++)
        bench_wait(&b, 60000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    const struct told *alert = alert_at(&b, 0);
    assert_string_equal(alert->rule, "device_silent");
    assert_true(alert->alert.peak.observed >= 180000 && alert->alert.peak.observed < 190000);
    uint64_t cursor = 0;
    struct alert_view view;
    assert_true(engine_alert(b.engine, &cursor, &view));
    assert_true(view.metric.bytes == 0 && text_equal(view.device, text_of("pump")));
    assert_false(engine_alert(b.engine, &cursor, &view));
    live(&b, 100, THREE, 3);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_end(&b);
}

/* One that stays away when the device is back has its whole time again, and is then told of alone. */
static void a_metric_that_stays_away_is_told_of(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    live(&b, 100, THREE, 3);
    bench_wait(&b, 600000);
    live(&b, 17, THREE, 2);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    live(&b, 4, THREE, 2);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 2);
    assert_string_equal(alert_at(&b, 2)->rule, "silent");
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    bench_end(&b);
}

static void one_metric_speaks_for_its_device(void **state)
{
    (void)state;
    struct bench b;
    begin_silent(&b);
    live(&b, 100, THREE, 1);
    bench_wait(&b, 600000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    assert_string_equal(alert_at(&b, 0)->rule, "silent");
    bench_end(&b);
}

/* --- clocks --- */

/* `count` readings, each step_ms after the one before, by a clock that is ahead by lead_ms. */
static void by_clock(struct bench *b, int count, int64_t step_ms, int64_t lead_ms)
{
    for (int i = 0; i < count; i++) {
        b->t_ms += step_ms;
        bench_give(b, "pump", "temperature", i, BENCH_EPOCH_MS + b->t_ms + lead_ms);
    }
}

static void a_clock_that_is_off_is_told_of(void **state)
{
    (void)state;
    static const struct {
        int64_t lead_ms;
        enum reason reason;
    } CASES[] = { { 90000, REASON_CLOCK_AHEAD }, { -90000, REASON_CLOCK_BEHIND }, { -7200000, REASON_CLOCK_BEHIND },
                  { 50000, REASON_NONE },        { -50000, REASON_NONE } };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct bench b;
        bench_init(&b, 2, 2);
        by_clock(&b, 20, 10000, 0);
        by_clock(&b, 20, 10000, CASES[i].lead_ms);
        bool off = CASES[i].reason != REASON_NONE;
        assert_int_equal(bench_count(&b, ALERT_RAISE), off);
        by_clock(&b, 20, 10000, 0);
        assert_int_equal(bench_count(&b, ALERT_CLEAR), off);
        if (off) {
            assert_string_equal(alert_at(&b, 0)->rule, "device_clock");
            assert_int_equal(alert_at(&b, 0)->alert.reason, CASES[i].reason);
        }
        bench_end(&b);
    }
}

/* A device was away for a while, and sends what it kept: as fast as it can, or ten times as fast as it came. */
static void a_backlog_is_no_clock(void **state)
{
    (void)state;
    for (int64_t step_ms = 1; step_ms <= 1000; step_ms += 999) {
        struct bench b;
        bench_init(&b, 2, 2);
        by_clock(&b, 20, 10000, 0);
        int64_t measured_ms = b.t_ms;
        b.t_ms += 3600000;
        for (int i = 0; i < 360; i++) {
            b.t_ms += step_ms;
            measured_ms += 10000;
            bench_give(&b, "pump", "temperature", i, BENCH_EPOCH_MS + measured_ms);
        }
        assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
        bench_end(&b);
    }
}

static void clocks_may_be_left_alone(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 2, 2);
    b.config.device_clocks_off = true;
    bench_init_configured(&b);
    by_clock(&b, 20, 10000, 90000);
    by_clock(&b, 20, 10000, 9000000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_readings_reach_nobody_else),
        cmocka_unit_test(a_silent_device_silences_its_metrics),
        cmocka_unit_test(a_metric_that_stays_away_is_told_of),
        cmocka_unit_test(one_metric_speaks_for_its_device),
        cmocka_unit_test(a_clock_that_is_off_is_told_of),
        cmocka_unit_test(a_backlog_is_no_clock),
        cmocka_unit_test(clocks_may_be_left_alone),
    };
    return cmocka_run_group_tests_name("engine_rules", tests, NULL, NULL);
}
