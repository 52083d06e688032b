/* Goal: the gateway's alerts about itself under pressure: what has been left out for longer than allowed, and a lag that
 * grows; raised once, cleared when it is over, kept over a restart. Method: a few records as a timeline.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "tests/lib/engine_bench.h"

static void at(struct bench *b, int64_t t_ms)
{
    b->t_ms = t_ms;
    bench_clock(b, CLOCK_SYNCED); /* a record, and the timers before it */
}

static void shed(struct bench *b, int64_t t_ms, enum shed_level level)
{
    at(b, t_ms);
    bench_apply(b, (struct record){ .kind = RECORD_SHED, .count = level });
}

static void begin(struct bench *b, int64_t shed_for_ms)
{
    bench_configure(b, 4, 4);
    b->config.shed_for_ms = shed_for_ms;
    b->config.lag_grows_for_ms = 300000;
    bench_init_configured(b);
    at(b, 0);
}

static const struct told *last(const struct bench *b)
{
    assert_true(b->told_count > 0);
    return &b->told[b->told_count - 1];
}

static void shedding_for_too_long_is_told(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 60000);
    shed(&b, 1000, SHED_ENRICHMENT);
    shed(&b, 2000, SHED_NORMAL); /* short enough */
    at(&b, 100000);
    assert_int_equal(b.told_count, 0);
    shed(&b, 100000, SHED_ENRICHMENT);
    shed(&b, 130000, SHED_OPTIONAL); /* one period, whatever the level */
    shed(&b, 150000, SHED_ENRICHMENT);
    at(&b, 159999);
    assert_int_equal(b.told_count, 0);
    at(&b, 160000);
    assert_int_equal(b.told_count, 1);
    assert_string_equal(last(&b)->device, "$gateway");
    assert_string_equal(last(&b)->rule, "shed_for_long");
    assert_true(last(&b)->transition == ALERT_RAISE);
    assert_true(last(&b)->alert.peak.observed == 60);
    at(&b, 400000);
    shed(&b, 400000, SHED_OPTIONAL);
    assert_int_equal(b.told_count, 1);
    shed(&b, 500000, SHED_ENRICHMENT);
    shed(&b, 600000, SHED_NORMAL);
    assert_int_equal(b.told_count, 2);
    assert_true(last(&b)->transition == ALERT_CLEAR);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    shed(&b, 700000, SHED_ENRICHMENT); /* and again */
    at(&b, 760000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 2);
    bench_end(&b);
}

static void without_a_limit_it_is_not(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0);
    shed(&b, 1000, SHED_QOS0);
    at(&b, 100000000);
    assert_int_equal(b.told_count, 0);
    assert_int_equal(engine_shed_level(b.engine), SHED_QOS0);
    bench_end(&b);
}

static void a_lag_that_grows_is_told(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0);
    at(&b, 330000);
    bench_apply(&b, (struct record){ .kind = RECORD_LAG, .count = 330000 });
    assert_string_equal(last(&b)->rule, "lag_grows");
    assert_true(last(&b)->transition == ALERT_RAISE && last(&b)->alert.peak.observed == 330);
    assert_int_equal(engine_lag_told_ms(b.engine), 330000);
    struct alert_view view;
    uint64_t cursor = 0;
    assert_true(engine_alert(b.engine, &cursor, &view));
    assert_string_equal(view.id, last(&b)->id);
    assert_true(text_equal(view.metric, text_of("lag")));
    assert_false(engine_alert(b.engine, &cursor, &view));
    at(&b, 660000);
    bench_apply(&b, (struct record){ .kind = RECORD_LAG, .count = 660000 });
    assert_int_equal(last(&b)->transition, ALERT_RAISE); /* its severity is the same still */
    assert_int_equal(engine_lag_told_ms(b.engine), 660000);
    at(&b, 700000);
    bench_apply(&b, (struct record){ .kind = RECORD_LAG });
    assert_true(last(&b)->transition == ALERT_CLEAR);
    assert_int_equal(engine_lag_told_ms(b.engine), 0);
    bench_end(&b);
}

static void both_outlive_a_restart(void **state)
{
    (void)state;
    struct bench b;
    static uint8_t saved[65536];
    struct byte_writer w = { .at = saved, .bytes = sizeof saved };
    uint32_t reset = 0;
    begin(&b, 60000);
    shed(&b, 1000, SHED_SOURCES);
    bench_apply(&b, (struct record){ .kind = RECORD_LAG, .count = 330000 });
    engine_save(b.engine, &w);
    assert_false(w.failed);
    struct hash128 before = engine_digest(b.engine);
    bench_start(&b);
    struct byte_reader r = { .at = saved, .bytes = w.used };
    assert_int_equal(engine_load(b.engine, &r, &reset), 0);
    struct hash128 after = engine_digest(b.engine);
    assert_true(before.low == after.low && before.high == after.high);
    assert_int_equal(engine_shed_level(b.engine), SHED_SOURCES);
    assert_int_equal(engine_lag_told_ms(b.engine), 330000);
    at(&b, 61000); /* its timer too */
    assert_string_equal(last(&b)->rule, "shed_for_long");
    shed(&b, 62000, SHED_NORMAL);
    bench_apply(&b, (struct record){ .kind = RECORD_LAG });
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 2);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shedding_for_too_long_is_told),
        cmocka_unit_test(without_a_limit_it_is_not),
        cmocka_unit_test(a_lag_that_grows_is_told),
        cmocka_unit_test(both_outlive_a_restart),
    };
    return cmocka_run_group_tests_name("engine pressure", tests, NULL, NULL);
}
