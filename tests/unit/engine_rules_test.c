/* Goal: the usual rules in the engine: what is no measurement reaches nobody else.
 * Method: stories of a device through admission and the fold.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_readings_reach_nobody_else),
    };
    return cmocka_run_group_tests_name("engine_rules", tests, NULL, NULL);
}
