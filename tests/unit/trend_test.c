/* Goal: the trend is the least-squares line while young, follows a slope, knows the spread of readings about it,
 * and can be moved only a little by one reading. Method: examples, then a seeded property against least squares
 * computed from all readings.
 * Links: pipeline/detect/trend.c pipeline/bytes.c */
#include "pipeline/detect/trend.h"

#include <math.h>
#include <string.h>

#include "pipeline/reading.h"
#include "tests/lib/noise.h"

static const struct trend_memory MEMORY = { .line = 100, .variance = 300 };

static double previous; /* reading of the trend that is learning */

static struct trend_step step_to(double value)
{
    struct trend_step step = { value, previous };
    previous = value;
    return step;
}

static struct deviation learn(struct trend *b, double value)
{
    struct deviation d = trend_judge(b, value);
    trend_learn(b, MEMORY, step_to(value), &d);
    return d;
}

static bool near(double a, double b, double within)
{
    return fabs(a - b) <= within;
}

static void follows_a_line_exactly(void **state)
{
    (void)state;
    struct trend b;
    trend_init(&b);
    for (int i = 0; i < 1000; i++) {
        double value = 5 + 0.25 * i;
        struct deviation d = learn(&b, value);
        assert_true(i < 2 || near(d.expected, value, 1e-9));
    }
}

static void young_it_is_least_squares(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int round = 0; round < 100; round++) {
        struct trend b;
        trend_init(&b);
        double n = 0, sum = 0, sum_i = 0, sum_ii = 0, sum_iv = 0;
        for (int i = 0; i < 100; i++) {
            double value = 20 + 0.1 * i + rnd_unit(&seed); /* uniform: nothing to clip */
            learn(&b, value);
            n++, sum += value, sum_i += i, sum_ii += (double)i * i, sum_iv += i * value;
            if (i < 2)
                continue;
            double slope = (n * sum_iv - sum_i * sum) / (n * sum_ii - sum_i * sum_i);
            double level = (sum - slope * sum_i) / n + slope * i;
            if (i <= 8 || i == 99) /* before the spread is believed nothing is clipped */
                assert_true(near(b.level, level, i <= 8 ? 1e-9 : 0.1));
        }
    }
}

static void knows_the_spread(void **state)
{
    (void)state;
    uint64_t chance = 3;
    struct trend b;
    trend_init(&b);
    double sum = 0;
    for (int i = 0; i < 5000; i++) {
        struct deviation d = learn(&b, 1000 + 4 * rnd_normal(&chance));
        sum += i >= 1000 ? d.spread : 0;
    }
    assert_true(near(sum / 4000, 4, 0.15));
}

static void one_reading_moves_it_by_three_spreads_at_most(void **state)
{
    (void)state;
    uint64_t chance = 4;
    struct trend b;
    trend_init(&b);
    for (int i = 0; i < 1000; i++)
        learn(&b, rnd_normal(&chance));
    struct trend before = b;
    struct deviation d = learn(&b, 1e140);
    assert_true(d.spreads >= TREND_SPREADS_MAX);
    assert_true(near(b.level, before.level, 0.02 * 3 * 1.2));
    assert_true(b.variance < 1.05 * before.variance);
}

static void a_stuck_value_keeps_the_spread(void **state)
{
    (void)state;
    uint64_t chance = 5;
    struct trend b;
    trend_init(&b);
    for (int i = 0; i < 1000; i++)
        learn(&b, rnd_normal(&chance));
    double variance = b.variance;
    for (int i = 0; i < 10000; i++)
        learn(&b, 0.5);
    assert_true(b.variance > 0.9 * variance);
}

static void no_spread_is_under_half_the_resolution(void **state)
{
    (void)state;
    struct trend b;
    trend_init(&b);
    for (int i = 0; i < 1000; i++)
        assert_true(near(learn(&b, 20).spread, i < 8 ? 0 : 4, 1e-9)); /* it never moved */
    learn(&b, 99); /* a fault: says nothing about the resolution */
    learn(&b, 20);
    assert_true(b.quantum <= 0);
    learn(&b, 20.5);
    for (int i = 0; i < 3000; i++)
        learn(&b, i % 700 == 0 ? 20.5 : 20);
    assert_true(trend_judge(&b, 20).spread >= 0.25);
}

static void let_pass_it_goes_on_and_fades(void **state)
{
    (void)state;
    struct trend b;
    trend_init(&b);
    for (int i = 0; i < 200; i++)
        learn(&b, i);
    for (int i = 0; i < 1000; i++)
        trend_pass(&b, step_to(0));
    assert_true(near(b.level, 249, 1)); /* 199 and 50 slopes more */
    assert_int_equal(b.passed, 1000);
    trend_restart(&b, step_to(7));
    assert_true(near(trend_judge(&b, 7).expected, 7, 0));
    assert_int_equal(b.passed, 0);
}

static void saved_it_comes_back(void **state)
{
    (void)state;
    uint64_t chance = 6;
    struct trend b, back;
    trend_init(&b);
    for (int i = 0; i < 50; i++)
        learn(&b, rnd_normal(&chance));
    uint8_t bytes[sizeof b];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    trend_save(&b, &w);
    struct byte_reader r = { bytes, w.used, 0, false };
    trend_load(&back, &r);
    assert_false(w.failed || r.failed);
    assert_memory_equal(&b, &back, sizeof b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_a_line_exactly),
        cmocka_unit_test(young_it_is_least_squares),
        cmocka_unit_test(knows_the_spread),
        cmocka_unit_test(one_reading_moves_it_by_three_spreads_at_most),
        cmocka_unit_test(a_stuck_value_keeps_the_spread),
        cmocka_unit_test(no_spread_is_under_half_the_resolution),
        cmocka_unit_test(let_pass_it_goes_on_and_fades),
        cmocka_unit_test(saved_it_comes_back),
    };
    return cmocka_run_group_tests_name("trend", tests, NULL, NULL);
}
