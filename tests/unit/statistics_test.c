/* Goal: the running statistics are what the plain formulas over all readings give, stay finite for the largest
 * numbers, and come back from their saved bytes. Method: examples, then a seeded property against two-pass sums.
 * Links: pipeline/statistics.c pipeline/bytes.c */
#include "pipeline/statistics.h"

#include <math.h>
#include <string.h>

#include "pipeline/reading.h"
#include "tests/lib/check.h"

static struct statistics of(const double *values, size_t count, int64_t step_ms)
{
    struct statistics s;
    statistics_init(&s);
    for (size_t i = 0; i < count; i++)
        statistics_push(&s, 1000 + (int64_t)i * step_ms, values[i]);
    return s;
}

static bool near(double a, double b, double scale)
{
    return fabs(a - b) <= 1e-9 * (1 + scale);
}

static void says_what_was_seen(void **state)
{
    (void)state;
    struct statistics s = of((const double[]){ 2, 4, 4, 4, 5, 5, 7, 9 }, 8, 500);
    assert_int_equal(s.count, 8);
    assert_true(near(s.mean, 5, 1));
    assert_true(near(statistics_variance(&s), 32.0 / 7, 1));
    assert_true(near(s.min, 2, 1) && near(s.max, 9, 1) && near(s.last, 9, 1));
    assert_true(near(s.rate, 4, 1)); /* 7 to 9 in half a second */
    assert_true(near(s.interval_ms, 500, 1));
    assert_int_equal(s.last_ms, 4500);
}

static void is_zero_before_it_knows(void **state)
{
    (void)state;
    struct statistics s = of(NULL, 0, 0);
    assert_true(statistics_variance(&s) <= 0 && statistics_ew_stddev(&s) <= 0);
    s = of((const double[]){ 3 }, 1, 0);
    assert_true(statistics_stddev(&s) <= 0 && s.rate <= 0 && s.interval_ms <= 0);
    s = of((const double[]){ 3, 8 }, 2, 0); /* one event time: no rate, no rhythm */
    assert_true(s.rate <= 0 && s.interval_ms <= 0);
}

static void young_it_weights_alike_then_follows(void **state)
{
    (void)state;
    double values[600];
    for (size_t i = 0; i < 600; i++)
        values[i] = i < 300 ? 10 : 20;
    struct statistics s = of((const double[]){ 1, 2, 3, 6 }, 4, 1);
    assert_true(near(s.ew_mean, 3, 1));
    assert_true(near(s.ew_variance, 3.5, 1)); /* of 1, 2, 3, 6, with n in the divisor */
    s = of(values, 600, 1);
    assert_true(s.ew_mean > 19.9 && s.ew_mean < 20);
    assert_true(near(s.mean, 15, 15));
}

static void an_outage_hardly_moves_the_rhythm(void **state)
{
    (void)state;
    struct statistics s = of((const double[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 11, 100);
    statistics_push(&s, s.last_ms + 86400000, 1);
    assert_true(s.interval_ms < 130);
}

static void the_largest_numbers_stay_finite(void **state)
{
    (void)state;
    struct statistics s;
    statistics_init(&s);
    for (int i = 0; i < 1000; i++)
        statistics_push(&s, i, i % 2 == 0 ? READING_NUMBER_MAX : -READING_NUMBER_MAX);
    assert_true(isfinite(s.m2) && isfinite(s.ew_variance) && isfinite(s.rate));
    assert_true(isfinite(statistics_stddev(&s)) && s.mean - s.mean == 0);
}

static void saved_it_comes_back(void **state)
{
    (void)state;
    struct statistics s = of((const double[]){ 2.5, -4, 1e140 }, 3, 77), back;
    uint8_t bytes[200];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    statistics_save(&s, &w);
    struct byte_reader r = { bytes, w.used, 0, false };
    statistics_load(&back, &r);
    assert_false(w.failed || r.failed);
    assert_int_equal(r.used, w.used);
    assert_memory_equal(&s, &back, sizeof s);
    memset(bytes + 8, 0xff, 8); /* the mean is a NaN now */
    r = (struct byte_reader){ bytes, w.used, 0, false };
    statistics_load(&back, &r);
    assert_true(r.failed);
}

static void agrees_with_two_passes(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int round = 0; round < 300; round++) {
        double values[200], sum = 0, squares = 0, offset = (rnd_unit(&seed) - 0.5) * 1e6;
        size_t count = 2 + rnd_below(&seed, 199);
        for (size_t i = 0; i < count; i++)
            sum += values[i] = offset + rnd_unit(&seed);
        double mean = sum / (double)count;
        for (size_t i = 0; i < count; i++)
            squares += (values[i] - mean) * (values[i] - mean);
        struct statistics s = of(values, count, 10);
        assert_true(near(s.mean, mean, fabs(offset)));
        assert_true(near(statistics_variance(&s), squares / (double)(count - 1), 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_was_seen),
        cmocka_unit_test(is_zero_before_it_knows),
        cmocka_unit_test(young_it_weights_alike_then_follows),
        cmocka_unit_test(an_outage_hardly_moves_the_rhythm),
        cmocka_unit_test(the_largest_numbers_stay_finite),
        cmocka_unit_test(saved_it_comes_back),
        cmocka_unit_test(agrees_with_two_passes),
    };
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
