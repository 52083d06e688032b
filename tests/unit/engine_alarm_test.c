/* Goal: what people are called for is counted, by series too, and learning apart. Method: an engine
 * on a bench; what it says is compared with what was told.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/noise.h"

static void limit_at(struct bench *b, const char *name, double high)
{
    bench_rule(b, DETECTOR_LIMIT, name);
    struct detector_config *rule = &b->rules[b->config.rule_count - 1];
    rule->has_high = true;
    rule->high = high;
}

static void spike(struct bench *b, const char *device)
{
    bench_next(b, 1000, device, 99);
    bench_next(b, 1000, device, 20);
}

static void the_report_counts_what_was_told(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k" };
    struct bench b;
    bench_configure(&b, 16, 16);
    limit_at(&b, "hot", 80);
    bench_init_configured(&b);
    spike(&b, "a");
    bench_wait(&b, 2 * (int64_t)86400000); /* which is no longer looked at */
    for (int i = 0; i < 11; i++)
        for (int n = 0; n < (i == 4 ? 9 : 1 + i % 3); n++)
            spike(&b, names[i]);
    bench_next(&b, 1000, "b", 99);
    struct alarm_report r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.from_ms, 86400000);
    assert_int_equal(r.sum.raised, bench_count(&b, ALERT_RAISE) - 1);
    assert_int_equal(r.sum.of_severity[SEVERITY_WARNING], r.sum.raised);
    assert_int_equal(r.sum.learning, 0);
    assert_true(r.open == 1 && r.stale == 0 && r.busiest == r.sum.raised);
    assert_int_equal(r.top_count, ENGINE_ALARM_TOP);
    assert_true(text_equal(r.top[0].device, text_of("e")) && r.top[0].raised == 9);
    assert_true(text_equal(r.top[1].device, text_of("b")) && r.top[1].raised == 3);
    assert_true(text_equal(r.top[2].device, text_of("c")) && r.top[2].raised == 3);
    assert_true(text_equal(r.top[9].device, text_of("g")) && r.top[9].raised == 1);
    assert_true(text_equal(r.top[1].metric, text_of("temperature")));
    assert_int_equal(r.of_top, r.sum.raised - 1);
    bench_wait(&b, 86400000);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.stale, 0);
    bench_wait(&b, 1);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.stale, 1);
    bench_end(&b);
}

/* An alert of a series that is new calls nobody, until that is over and it stands still. */
static void learning_is_counted_apart(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.learning_readings = 60;
    bench_rule(&b, DETECTOR_SHIFT, "moved");
    bench_init_configured(&b);
    for (int i = 0; i < 60; i++)
        bench_next(&b, 1000, "oven", (i < 40 ? 20 : 60) + rnd_normal(&seed) / 10);
    struct alarm_report r = engine_alarm_report(b.engine, b.t_ms);
    assert_true(r.sum.raised == 0 && r.sum.learning == 1 && r.top_count == 0 && r.open == 1);
    for (int i = 0; i < 20; i++)
        bench_next(&b, 1000, "oven", 60 + rnd_normal(&seed) / 10);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_true(r.sum.raised == 1 && r.sum.learning == 1 && r.top_count == 1);
    assert_int_equal(engine_counts(b.engine).alerts_learning, 1);
    assert_int_equal(engine_counts(b.engine).alerts_raised, 1);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_counts_what_was_told),
        cmocka_unit_test(learning_is_counted_apart),
    };
    return cmocka_run_group_tests_name("engine_alarm", tests, NULL, NULL);
}
