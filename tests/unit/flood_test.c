/* Goal: a flood begins with the incident that is one too many in the span, and is over when fewer
 * than half of them were in the last one. Method: incidents at random, against a list of them all;
 * saved and loaded between the steps.
 * Links: pipeline/alerts/flood.c pipeline/bytes.c */
#include "pipeline/alerts/flood.h"

#include <string.h>

#include "tests/lib/check.h"

static void through_store(struct flood *f)
{
    uint8_t bytes[2048];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    flood_save(f, &w);
    memset(f, 0x5a, sizeof *f);
    struct byte_reader r = { bytes, w.used, 0, false };
    flood_load(f, &r);
    assert_true(!w.failed && !r.failed && r.used == r.bytes);
}

static uint32_t within(const int64_t *list, int count, int64_t t_ms, int64_t span_ms)
{
    uint32_t found = 0;
    while (count > 0 && t_ms - list[--count] <= span_ms)
        found++;
    return found;
}

static void walks_at_random(void **state)
{
    enum { INCIDENTS = 5000 };
    static int64_t list[INCIDENTS];
    uint64_t seed = check_seed();
    uint32_t floods = 0, most_seen = 0;
    (void)state;
    for (uint32_t most = 1; most <= FLOOD_INCIDENTS_MAX; most = most * 3 + 1) {
        const struct flood_config config = { most, 600000 };
        struct flood f = { .count = 0 };
        int64_t t_ms = 0;
        bool on = false;
        for (int i = 0; i < INCIDENTS; i++) {
            bool calm = i / 100 % 2 == 0;
            t_ms += (int64_t)(rnd(&seed) % (uint64_t)((calm ? 4000000 : 600000) / most));
            if (flood_end_ms(&f, &config) <= t_ms) {
                int64_t end_ms = flood_end_ms(&f, &config);
                assert_true(within(list, i, end_ms, 600000) < (most + 1) / 2);
                assert_true(within(list, i, end_ms - 1, 600000) >= (most + 1) / 2);
                flood_end(&f);
                on = false;
            }
            list[i] = t_ms;
            flood_add(&f, &config, t_ms);
            uint32_t now = within(list, i + 1, t_ms, 600000);
            floods += !on && now > most;
            on |= now > most;
            most_seen = f.came > most_seen ? f.came : most_seen;
            assert_int_equal(f.on, on);
            assert_true(flood_end_ms(&f, &config) > t_ms);
            through_store(&f);
        }
    }
    assert_true(floods > 20 && most_seen > 20);
}

static void none_is_asked_for(void **state)
{
    (void)state;
    const struct flood_config config = { 0, 600000 };
    struct flood f = { .count = 0 };
    for (int i = 0; i < 500; i++)
        flood_add(&f, &config, i);
    assert_false(f.on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_at_random),
        cmocka_unit_test(none_is_asked_for),
    };
    return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
