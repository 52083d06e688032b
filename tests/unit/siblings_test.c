/* Goal: a pump that draws current and moves no water is told of, though each of its metrics reads what it read before; a
 * device whose metrics have nothing to do with each other is not. Method: devices with four metrics through the engine, one of
 * them healthy; a checkpoint on the way changes nothing (engine_fold_test has the random traffic).
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "tests/lib/engine_bench.h"

#include "tests/lib/noise.h"

enum { READINGS = 4000, METRICS = 4 };

struct pump {
    uint64_t chance;
    uint32_t left; /* readings in this state */
    bool runs;
    double heat;
};

/* Current, flow, pressure, temperature. */
static void pump_next(struct pump *p, bool dry, double values[METRICS])
{
    if (p->left-- == 0) {
        p->runs = !p->runs;
        p->left = 8 + (uint32_t)rnd_below(&p->chance, 40);
    }
    p->heat += 0.05 * ((p->runs ? 45 : 20) - p->heat);
    values[0] = (p->runs ? 5 : 0.05) + 0.1 * rnd_normal(&p->chance);
    values[1] = (p->runs && !dry ? 20 : 0) + 0.5 * rnd_normal(&p->chance);
    values[2] = (p->runs && !dry ? 1.4 : 1) + 0.03 * rnd_normal(&p->chance);
    values[3] = p->heat + 0.1 * rnd_normal(&p->chance);
}

static void give(struct bench *b, const char *device, const double values[METRICS])
{
    static const char *const NAMES[METRICS] = { "current", "flow", "pressure", "heat" };
    for (int i = 0; i < METRICS; i++) {
        struct reading reading = bench_reading(device, NAMES[i], values[i], BENCH_EPOCH_MS + b->t_ms);
        assert_int_equal(bench_take(b, &reading).verdict, ADMIT_STORE);
    }
}

static uint32_t raised(const struct bench *b, const char *device)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->told_count; i++)
        count += b->told[i].what == TOLD_ALERT && b->told[i].transition == ALERT_RAISE &&
                 strcmp(b->told[i].device, device) == 0;
    return count;
}

static void a_pump_that_moves_no_water_is_told_of(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 2, 2 * METRICS);
    bench_rule(&b, DETECTOR_SIBLINGS, "siblings");
    bench_init_configured(&b);
    struct pump pumps[2] = { { .chance = 1 }, { .chance = 2 } };
    double values[METRICS];
    for (int i = 0; i < READINGS; i++) {
        b.t_ms += 10000;
        pump_next(&pumps[0], false, values);
        give(&b, "healthy", values);
        pump_next(&pumps[1], i >= READINGS - 100, values);
        give(&b, "dry", values);
        if (i < READINGS - 100)
            b.told_count = 0;
    }
    assert_true(raised(&b, "dry") >= 1);
    assert_int_equal(raised(&b, "healthy"), 0);
    bench_end(&b);
}

static void strangers_say_nothing_of_each_other(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 1, METRICS);
    bench_rule(&b, DETECTOR_SIBLINGS, "siblings");
    bench_init_configured(&b);
    uint64_t chance = 3;
    for (int i = 0; i < READINGS; i++) {
        double values[METRICS];
        for (int m = 0; m < METRICS; m++)
            values[m] = rnd_normal(&chance) + (i > READINGS - 50 ? 10 : 0);
        b.t_ms += 10000;
        give(&b, "weather", values);
        assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
        b.told_count = 0;
    }
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pump_that_moves_no_water_is_told_of),
        cmocka_unit_test(strangers_say_nothing_of_each_other),
    };
    return cmocka_run_group_tests_name("siblings", tests, NULL, NULL);
}
