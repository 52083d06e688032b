/* Goal: waits grow with failures, never beyond the bound, spread over it, and begin again after a
 * success.
 * Method: the bound of each attempt by hand; the mean of many waits near half of it; two seeds
 * differ.
 * Links: firmware/backoff.c
 */
#include "tests/lib/check.h"

#include "firmware/backoff.h"

static void bounds(void **state)
{
    uint64_t chance = check_seed();
    (void)state;
    for (int round = 0; round < 1000; round++) {
        struct backoff b = { 1000, 60000, rnd(&chance), 0 };
        static const int64_t most[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
        for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
            int64_t wait_ms = backoff_fail(&b);
            assert_true(wait_ms >= 500 && wait_ms <= most[i]);
        }
        backoff_succeed(&b);
        assert_true(backoff_fail(&b) <= 1000);
    }
}

static void spread(void **state)
{
    struct backoff b = { 1000, 60000, check_seed(), 20 };
    int64_t sum = 0;
    (void)state;
    for (int i = 0; i < 10000; i++)
        sum += backoff_fail(&b);
    assert_in_range((uint64_t)(sum / 10000), 29000, 31000);
}

static void never_in_step(void **state)
{
    struct backoff a = { 1000, 60000, 1, 10 }, b = { 1000, 60000, 2, 10 };
    int same = 0;
    (void)state;
    for (int i = 0; i < 100; i++)
        same += backoff_fail(&a) == backoff_fail(&b);
    assert_true(same < 3);
}

static void large_bounds_do_not_overflow(void **state)
{
    struct backoff b = { 1, INT64_MAX / 2, 7, 4000000 };
    (void)state;
    assert_true(backoff_fail(&b) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bounds), cmocka_unit_test(spread),
                                        cmocka_unit_test(never_in_step),
                                        cmocka_unit_test(large_bounds_do_not_overflow) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
