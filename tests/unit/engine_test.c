/* Goal: the engine decides, remembers and tells as its header says. Method: a small fleet with short
 * spans, one case for each promise; engine_fold_test.c checks that the state is a fold.
 * Links: pipeline/engine.c pipeline/engine_admit.c pipeline/engine_alert.c pipeline/engine_load.c pipeline/engine_save.c pipeline/engine_series.c pipeline/engine_think.c pipeline/engine_time.c pipeline/engine_view.c pipeline/alert.c pipeline/baseline.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detector.c pipeline/detector_limit.c pipeline/detector_rate.c pipeline/detector_shift.c pipeline/detector_silent.c pipeline/detector_spike.c pipeline/detector_stuck.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_a_reading),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
