/* Goal: the list of who is being worked on says who is, until when, and keeps within its bounds. Method: examples; a list through the
 * store; a random walk against a plain model.
 * Links: pipeline/alerts/maintenance.c pipeline/bytes.c */
#include "pipeline/alerts/maintenance.h"

#include <stdio.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"
#include "tests/lib/noise.h"

static int begin(struct maintenance_list *list, const char *device, int64_t until_ms, int64_t now_ms)
{
    const struct maintenance_order order = { text_of(device), text_of("oil"), until_ms };
    return maintenance_begin(list, &order, now_ms);
}

static void patterns_and_times_decide(void **state)
{
    (void)state;
    struct maintenance_list list = { .count = 0 };
    assert_int_equal(begin(&list, "pump-*", 1000, 0), 0);
    assert_int_equal(begin(&list, "fan 1", 2000, 0), 0);
    assert_true(maintenance_covers(&list, text_of("pump-7"), 999));
    assert_false(maintenance_covers(&list, text_of("pump-7"), 1000));
    assert_false(maintenance_covers(&list, text_of("pump"), 0));
    assert_true(maintenance_covers(&list, text_of("fan 1"), 1999));
    assert_false(maintenance_covers(&list, text_of("fan 12"), 0));
    assert_int_equal(maintenance_next_ms(&list), 1000);
    assert_int_equal(begin(&list, "pump-*", 3000, 500), 0);
    assert_true(list.count == 2 && list.of[0].since_ms == 0 && list.of[0].until_ms == 3000);
    assert_int_equal(maintenance_next_ms(&list), 2000);
    struct maintenance ended;
    assert_false(maintenance_expire(&list, 1999, &ended));
    assert_true(maintenance_expire(&list, 2000, &ended));
    assert_string_equal(ended.device, "fan 1");
    assert_false(maintenance_end(&list, text_of("pump"), &ended));
    assert_true(maintenance_end(&list, text_of("pump-*"), &ended));
    assert_true(list.count == 0 && maintenance_next_ms(&list) == INT64_MAX);
}

static void what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    struct maintenance_list list = { .count = 0 };
    char name[READING_NAME_BYTES_MAX + 2], reason[MAINTENANCE_REASON_BYTES_MAX + 2];
    memset(name, 'a', sizeof name);
    memset(reason, 'b', sizeof reason);
    struct maintenance_order order = { { name, sizeof name - 1 }, { reason, 3 }, 1000 };
    assert_int_equal(maintenance_begin(&list, &order, 0), WEIR_EINVAL);
    order = (struct maintenance_order){ { name, 3 }, { reason, sizeof reason - 1 }, 1000 };
    assert_int_equal(maintenance_begin(&list, &order, 0), WEIR_EINVAL);
    assert_int_equal(begin(&list, "", 1000, 0), WEIR_EINVAL);
    assert_int_equal(begin(&list, "pump", 1000, 1000), WEIR_EINVAL);
    order = (struct maintenance_order){ { "a\0b", 3 }, { reason, 3 }, 1000 };
    assert_int_equal(maintenance_begin(&list, &order, 0), WEIR_EINVAL);
    assert_int_equal(list.count, 0);
    for (int i = 0; i < MAINTENANCE_MAX; i++) {
        snprintf(name, sizeof name, "pump-%d", i);
        assert_int_equal(begin(&list, name, 1000, 0), 0);
    }
    assert_int_equal(begin(&list, "one more", 1000, 0), WEIR_EFULL);
    assert_int_equal(begin(&list, "pump-3", 2000, 0), 0);
    assert_int_equal(list.count, MAINTENANCE_MAX);
}

static void through_store(struct maintenance_list *list)
{
    static uint8_t bytes[MAINTENANCE_MAX * MAINTENANCE_BYTES_MAX + 1];
    const struct maintenance_list before = *list;
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    maintenance_save(list, &w);
    assert_false(w.failed);
    for (size_t cut = 0; cut < w.used; cut += 1 + w.used / 7) {
        struct byte_reader part = { bytes, cut, 0, false };
        maintenance_load(list, &part);
        assert_true(part.failed);
    }
    struct byte_reader r = { bytes, w.used, 0, false };
    maintenance_load(list, &r);
    assert_true(!r.failed && r.used == r.bytes && list->count == before.count);
    for (uint32_t i = 0; i < list->count; i++) {
        assert_string_equal(list->of[i].device, before.of[i].device);
        assert_string_equal(list->of[i].reason, before.of[i].reason);
        assert_true(list->of[i].since_ms == before.of[i].since_ms && list->of[i].until_ms == before.of[i].until_ms);
    }
}

/* Begun while the clock was ahead, and changed when it had been put back. */
static void a_clock_that_goes_back_is_survived(void **state)
{
    (void)state;
    struct maintenance_list list = { .count = 0 };
    assert_int_equal(begin(&list, "pump", 900000, 500000), 0);
    through_store(&list);
    assert_int_equal(begin(&list, "pump", 60000, 1000), 0);
    assert_true(list.count == 1 && list.of[0].since_ms == 1000 && list.of[0].until_ms == 60000);
    through_store(&list);
}

static void a_walk_agrees_with_a_model(void **state)
{
    (void)state;
    enum { DEVICES = 60, STEPS = 20000 };
    uint64_t seed = check_seed();
    int64_t until_ms[DEVICES] = { 0 };
    struct maintenance_list list = { .count = 0 };
    struct maintenance ended;
    uint32_t full = 0;
    for (int64_t now_ms = 1; now_ms < STEPS; now_ms++) {
        char name[16];
        uint32_t device = (uint32_t)(rnd(&seed) % DEVICES), listed = 0;
        snprintf(name, sizeof name, "d%u", device);
        while (maintenance_expire(&list, now_ms, &ended))
            ;
        for (int i = 0; i < DEVICES; i++)
            listed += until_ms[i] > now_ms;
        if (rnd(&seed) % 8 == 0) {
            assert_int_equal(maintenance_end(&list, text_of(name), &ended), until_ms[device] > now_ms);
            until_ms[device] = 0;
        } else {
            int64_t until = now_ms + 1 + (int64_t)(rnd(&seed) % 200);
            bool fits = until_ms[device] > now_ms || listed < MAINTENANCE_MAX;
            assert_int_equal(begin(&list, name, until, now_ms), fits ? 0 : WEIR_EFULL);
            until_ms[device] = fits ? until : until_ms[device];
            full += !fits;
        }
        assert_int_equal(maintenance_covers(&list, text_of(name), now_ms), until_ms[device] > now_ms);
        if (now_ms % 100 == 0)
            through_store(&list);
    }
    assert_in_range(full, 10, STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_and_times_decide),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(a_clock_that_goes_back_is_survived),
        cmocka_unit_test(a_walk_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
