/* Goal: an injected fault is what its name says, where it was asked for, and nowhere else; the same seed, the same
 * fault. Method: every kind into one series, each reading of it against what it was.
 * Links: simulator/inject.c simulator/signal.c */
#include "simulator/inject.h"

#include <math.h>
#include <string.h>

#include "tests/lib/noise.h"

enum { COUNT = 500, START = 200, FAULT = 100 };

static double before[COUNT], after[COUNT];

static void inject_one(enum inject_kind kind, double size, uint64_t seed)
{
    uint64_t chance = 3;
    double scratch[COUNT];
    for (int i = 0; i < COUNT; i++)
        before[i] = 50 + 2 * rnd_normal(&chance);
    memcpy(after, before, sizeof after);
    const struct injection in = { kind, START, FAULT, size, seed };
    inject(after, &in, inject_deviation(before, COUNT, scratch));
    for (int i = 0; i < COUNT; i++)
        if (i < START || i >= START + FAULT)
            assert_true(after[i] >= before[i] && after[i] <= before[i]);
}

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

static double mean_change(int from, int count)
{
    double sum = 0;
    for (int i = from; i < from + count; i++)
        sum += after[i] - before[i];
    return sum / count;
}

static void the_deviation_is_robust(void **state)
{
    (void)state;
    double values[1000], scratch[1000];
    uint64_t chance = 1;
    for (int i = 0; i < 1000; i++)
        values[i] = i % 50 == 0 ? 1e6 : 20 + 3 * rnd_normal(&chance);
    assert_true(near(inject_deviation(values, 1000, scratch), 3, 0.3));
    for (int i = 0; i < 1000; i++)
        values[i] = i % 4 == 0 ? 1 : 0; /* most are alike: the standard deviation stands in */
    assert_true(near(inject_deviation(values, 1000, scratch), 0.433, 0.01));
}

static void each_kind_is_what_its_name_says(void **state)
{
    (void)state;
    inject_one(INJECT_SPIKE, 5, 1);
    assert_true(near(fabs(after[START] - before[START]), 10, 1) && near(mean_change(START + 1, FAULT - 1), 0, 0));
    inject_one(INJECT_SHIFT, 5, 1);
    for (int i = START; i < START + FAULT; i++)
        assert_true(near(fabs(after[i] - before[i]), 10, 1));
    inject_one(INJECT_DRIFT, 6, 1);
    assert_true(near(fabs(after[START] - before[START]), 0.12, 0.02));
    assert_true(near(fabs(after[START + FAULT - 1] - before[START + FAULT - 1]), 12, 1.2));
    inject_one(INJECT_NOISE, 3, 1);
    assert_true(near(mean_change(START, FAULT), 0, 2) && fabs(after[START] - before[START]) > 0);
    inject_one(INJECT_DROP, 0, 1);
    assert_true(near(after[START], 0, 0) && near(after[START + FAULT - 1], 0, 0));
    inject_one(INJECT_GAIN, 2, 1);
    assert_true(near(after[START + 7], 2 * before[START + 7], 0));
    inject_one(INJECT_STUCK, 0, 1);
    assert_true(near(after[START], before[START - 1], 0) && near(after[START + FAULT - 1], before[START - 1], 0));
    inject_one(INJECT_HIGH, 0, 1);
    for (int i = 0; i < START; i++)
        assert_true(before[i] <= after[START + FAULT / 2]);
}

static void the_seed_decides(void **state)
{
    (void)state;
    double first[COUNT];
    bool up = false, down = false;
    inject_one(INJECT_NOISE, 3, 9);
    memcpy(first, after, sizeof first);
    inject_one(INJECT_NOISE, 3, 9);
    assert_memory_equal(first, after, sizeof first);
    for (uint64_t seed = 1; seed < 20; seed++) {
        inject_one(INJECT_SHIFT, 5, seed);
        up = up || after[START] > before[START];
        down = down || after[START] < before[START];
    }
    assert_true(up && down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deviation_is_robust),
        cmocka_unit_test(each_kind_is_what_its_name_says),
        cmocka_unit_test(the_seed_decides),
    };
    return cmocka_run_group_tests_name("sim_inject", tests, NULL, NULL);
}
