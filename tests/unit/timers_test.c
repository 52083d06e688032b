/* Goal: the earliest deadline comes first, equal ones in order of key, whatever was set before.
 * Method: an example, then random sets and removals against a plain array that is searched whole.
 * Links: pipeline/timers.c */
#include "pipeline/timers.h"

#include <string.h>

#include "tests/lib/check.h"

enum { KEYS = 37, STEPS = 20000 };

static struct timers *carve(uint32_t keys_max, void **to_free)
{
    struct arena arena = arena_measure();
    assert_null(timers_init(keys_max, &arena));
    void *memory = aligned_alloc(ARENA_ALIGN, arena.used);
    assert_non_null(memory);
    memset(memory, 0, arena.used);
    arena = arena_over(memory, arena.used);
    *to_free = memory;
    return timers_init(keys_max, &arena);
}

static void equal_deadlines_come_in_order_of_key(void **state)
{
    (void)state;
    void *memory;
    struct timers *t = carve(4, &memory);
    uint32_t key = 99;
    assert_int_equal(timers_next(t, &key), INT64_MAX);
    assert_int_equal(key, 99);
    static const uint32_t order[] = { 2, 0, 3, 1 };
    for (size_t i = 0; i < 4; i++)
        timers_set(t, order[i], 500);
    for (uint32_t want = 0; want < 4; want++) {
        assert_int_equal(timers_next(t, &key), 500);
        assert_int_equal(key, want);
        timers_set(t, key, INT64_MAX);
    }
    assert_int_equal(t->count, 0);
    free(memory);
}

static void agrees_with_a_search(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    int64_t model[KEYS];
    void *memory;
    struct timers *t = carve(KEYS, &memory);
    for (uint32_t i = 0; i < KEYS; i++) {
        model[i] = INT64_MAX;
        assert_true(timers_get(t, i) == INT64_MAX);
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t key = (uint32_t)(rnd(&seed) % KEYS);
        model[key] = rnd(&seed) % 4 == 0 ? INT64_MAX : (int64_t)(rnd(&seed) % 20) - 5;
        timers_set(t, key, model[key]);
        uint32_t want = KEYS, got = KEYS;
        for (uint32_t i = 0; i < KEYS; i++)
            if (model[i] != INT64_MAX && (want == KEYS || model[i] < model[want]))
                want = i;
        int64_t deadline_ms = timers_next(t, &got);
        assert_int_equal(got, want);
        assert_true(timers_get(t, key) == model[key]);
        assert_true(deadline_ms == (want == KEYS ? INT64_MAX : model[want]));
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_deadlines_come_in_order_of_key),
        cmocka_unit_test(agrees_with_a_search),
    };
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
