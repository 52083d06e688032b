/* Goal: the survey says the median and the worst delay of event time, of the series that are heard, whatever the slices.
 * Method: an engine with series whose watermarks are known; then a seeded property against a sorted list; the histogram's
 * bounds beside it.
 * Links: pipeline/pressure/survey.c pipeline/pressure/histogram.c pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/pressure/survey.h"

#include "pipeline/pressure/histogram.h"
#include "tests/lib/engine_bench.h"

enum { SERIES_MAX = 300, BEHIND_MS = 2000 }; /* out_of_orderness of the bench */

/* A new device whose one reading is `age_ms` old. */
static void appear(struct bench *b, uint32_t number, int64_t age_ms)
{
    char name[16];
    (void)snprintf(name, sizeof name, "d%u", number);
    struct admission a =
        bench_give(b, name, "temperature", 1, BENCH_EPOCH_MS + b->t_ms - age_ms);
    assert_int_equal(a.verdict, ADMIT_STORE);
}

static struct survey_figures look(struct bench *b, uint32_t slice)
{
    static struct survey s;
    struct survey_now now = { b->t_ms, BENCH_EPOCH_MS + b->t_ms, 60000 };
    memset(&s, 0, sizeof s);
    for (uint32_t seen = 0; seen <= engine_counts(b->engine).series; seen += slice)
        survey_slice(&s, b->engine, &now, slice);
    assert_int_equal(s.next, 0); /* a whole walk */
    return s.last;
}

static void names_the_worst_of_those_that_are_heard(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, 10, 10);
    assert_int_equal(look(&b, 1).active, 0);
    b.t_ms = 1000;
    appear(&b, 0, 500000); /* and is not heard again */
    bench_wait(&b, 100000);
    appear(&b, 1, 20);
    appear(&b, 2, 7000);
    appear(&b, 3, 10);
    struct survey_figures f = look(&b, 2);
    assert_int_equal(f.active, 3);
    assert_int_equal(f.worst_ms, 7000 + BEHIND_MS);
    assert_int_equal(f.worst, 2);
    assert_in_range(f.median_ms, (20 + BEHIND_MS) * 0.968, (20 + BEHIND_MS) * 1.032);
    appear(&b, 0, 0); /* it is back */
    assert_int_equal(look(&b, 100).active, 4);
    bench_end(&b);
}

/* The wall clock was put back: the watermark stays where it was. */
static void ahead_of_us_is_not_late(void **state)
{
    struct bench b;
    static struct survey s;
    (void)state;
    bench_init(&b, 10, 10);
    b.t_ms = 1000;
    appear(&b, 0, 0);
    struct survey_now now = { b.t_ms, BENCH_EPOCH_MS - 3600000, 60000 };
    survey_slice(&s, b.engine, &now, 10);
    assert_int_equal(s.last.active, 1);
    assert_int_equal(s.last.worst_ms, 0);
    assert_int_equal(s.last.median_ms, 0);
    bench_end(&b);
}

static void a_walk_that_is_not_over_says_nothing(void **state)
{
    struct bench b;
    static struct survey s;
    (void)state;
    bench_init(&b, 10, 10);
    appear(&b, 0, 10);
    appear(&b, 1, 10);
    struct survey_now now = { b.t_ms, BENCH_EPOCH_MS + b.t_ms, 60000 };
    survey_slice(&s, b.engine, &now, 2);
    assert_int_equal(s.last.active, 0);
    survey_slice(&s, b.engine, &now, 2);
    assert_int_equal(s.last.active, 2);
    bench_end(&b);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void is_what_a_sorted_list_says(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t noise = seed;
        struct bench b;
        int64_t delays[SERIES_MAX];
        bench_init(&b, SERIES_MAX, SERIES_MAX);
        uint32_t count = 1 + (uint32_t)rnd_below(&noise, SERIES_MAX);
        for (uint32_t i = 0; i < count; i++) {
            int64_t age_ms = (int64_t)(rnd(&noise) >> (26 + rnd_below(&noise, 38)));
            appear(&b, i, age_ms);
            delays[i] = age_ms + BEHIND_MS;
        }
        struct survey_figures f = look(&b, 1 + (uint32_t)rnd_below(&noise, 40));
        qsort(delays, count, sizeof delays[0], ascending);
        int64_t median_ms = delays[(count + 1) / 2 - 1];
        assert_int_equal(f.active, count);
        assert_int_equal(f.worst_ms, delays[count - 1]);
        assert_in_range(f.median_ms, median_ms - median_ms / 31, median_ms + median_ms / 31);
        assert_true(f.median_ms <= f.worst_ms);
        bench_end(&b);
    }
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
    struct histogram h = { 0 };
    (void)state;
    histogram_add(&h, 0);
    histogram_add(&h, 500);
    histogram_add(&h, 501);
    histogram_add(&h, 10000000);
    histogram_add(&h, 10000001);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(h.counts[1], 1);
    assert_int_equal(h.counts[HISTOGRAM_BOUNDS - 1], 1);
    assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(h.sum_us, 500 + 501 + 10000000 + 10000001);
    for (int i = 1; i < HISTOGRAM_BOUNDS; i++)
        assert_true(histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
    assert_int_equal(histogram_at(&h, 40), 500);
    assert_int_equal(histogram_at(&h, 41), 1000);
    assert_int_equal(histogram_at(&h, 80), 10000000);
    assert_int_equal(histogram_at(&h, 81), INT64_MAX);
    h = (struct histogram){ 0 };
    assert_int_equal(histogram_at(&h, 99), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_worst_of_those_that_are_heard),
        cmocka_unit_test(ahead_of_us_is_not_late),
        cmocka_unit_test(a_walk_that_is_not_over_says_nothing),
        cmocka_unit_test(is_what_a_sorted_list_says),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
