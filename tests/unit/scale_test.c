/* Goal: the number of gateways follows the load, with headroom, and does not flutter. Method: the arithmetic as a table;
 * a timeline; then random loads, of which the number must be one that the last while asked for.
 * Links: pipeline/pressure/scale.c */
#include "pipeline/pressure/scale.h"

#include "tests/lib/check.h"

static void the_need_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        double use, capacity;
        uint32_t headroom, need;
    } table[] = {
        { 0, 1000, 30, 1 },      { 700, 1000, 30, 1 },   { 701, 1000, 30, 2 }, { 1400, 1000, 30, 2 },
        { 1401, 1000, 30, 3 },   { 1000, 1000, 0, 1 },   { 1e12, 1, 50, SCALE_MAX },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(scale_need(table[i].use, table[i].capacity, table[i].headroom), table[i].need);
}

static const struct scale_config CONFIG = { .headroom_percent = 50, .up_ms = 100, .down_ms = 1000 };

static void it_follows_what_lasts(void **state)
{
    (void)state;
    static const struct {
        int64_t t_ms;
        double use; /* of a capacity of 1000, half of which may be used */
        uint32_t wanted;
    } steps[] = {
        { 0, 400, 1 },     { 10, 1600, 1 },   { 90, 499, 1 },  /* a peak */
        { 100, 1600, 1 },  { 199, 1600, 1 },  { 200, 1600, 4 }, /* straight to what is wanted */
        { 210, 1480, 4 },  { 2000, 1480, 4 }, /* three would just do: not worth it */
        { 2010, 1300, 4 }, { 3009, 1300, 4 }, { 3010, 1300, 3 }, { 3020, 0, 3 }, { 4020, 0, 1 },
    };
    struct scale s;
    scale_init(&s);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint32_t before = s.wanted;
        assert_int_equal(scale_update(&s, &CONFIG, steps[i].use, 1000, steps[i].t_ms), before != steps[i].wanted);
        assert_int_equal(s.wanted, steps[i].wanted);
    }
}

enum { STEPS = 5000 };

static void a_change_was_wanted_all_the_while(void **state)
{
    (void)state;
    static double uses[STEPS];
    static int64_t times[STEPS];
    uint64_t chance = check_seed();
    struct scale s;
    scale_init(&s);
    double level = 100;
    int64_t t_ms = 0;
    int changes = 0, since = 0;
    for (int i = 0; i < STEPS; i++) {
        t_ms += (int64_t)(rnd(&chance) % 60);
        level = rnd(&chance) % 40 == 0 ? (double)(rnd(&chance) % 5000) : level;
        uses[i] = level + (double)(rnd(&chance) % 100);
        times[i] = t_ms;
        uint32_t before = s.wanted;
        bool changed = scale_update(&s, &CONFIG, uses[i], 1000, t_ms);
        int up = i + 1, down = i + 1; /* since when each was wanted without a break */
        while (up > since && scale_need(uses[up - 1], 1000, 50) > before)
            up--;
        while (down > since && scale_need(uses[down - 1] * 1.1, 1000, 50) < before)
            down--;
        bool more = up <= i && t_ms - times[up] >= CONFIG.up_ms;
        bool fewer = down <= i && t_ms - times[down] >= CONFIG.down_ms;
        assert_int_equal(changed, more || fewer);
        if (changed) {
            assert_int_equal(s.wanted, scale_need(more ? uses[i] : uses[i] * 1.1, 1000, 50));
            since = i + 1, changes++;
        }
    }
    assert_true(changes > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_need_is_rounded_up),
        cmocka_unit_test(it_follows_what_lasts),
        cmocka_unit_test(a_change_was_wanted_all_the_while),
    };
    return cmocka_run_group_tests_name("scale", tests, NULL, NULL);
}
