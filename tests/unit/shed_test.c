/* Goal: levels are entered and left when pressure lasted, one at a time, and not before. Method: timelines as tables;
 * then random lags against a model that keeps the whole history and looks back over it.
 * Links: pipeline/shed.c */
#include "pipeline/shed.h"

#include "tests/lib/check.h"

struct step {
    int64_t t_ms, lag_ms;
    enum shed_level level;
};

static void follow(const struct shed_config *config, const struct step *steps, size_t count)
{
    struct shed s;
    shed_init(&s);
    for (size_t i = 0; i < count; i++) {
        enum shed_level before = s.level;
        bool changed = shed_update(&s, config, steps[i].lag_ms, steps[i].t_ms);
        assert_int_equal(s.level, steps[i].level);
        assert_int_equal(changed, before != s.level);
        if (changed)
            assert_int_equal(s.level_since_ms, steps[i].t_ms);
    }
}

static void pressure_that_lasts_climbs_and_falls(void **state)
{
    (void)state;
    static const struct shed_config config = { .lag_ms = { 0, 100, 300, 0, 900 },
                                               .enter_ms = 10, .leave_ms = 50 };
    static const struct step steps[] = {
        { 0, 100, SHED_NORMAL },      /* at the threshold is not over it */
        { 1, 101, SHED_NORMAL },
        { 9, 100, SHED_NORMAL },      /* a dip starts it again */
        { 10, 500, SHED_NORMAL },
        { 19, 500, SHED_NORMAL },
        { 20, 500, SHED_ENRICHMENT }, /* over for 10 ms */
        { 30, 5000, SHED_ENRICHMENT },/* the next level has its own clock */
        { 40, 5000, SHED_OPTIONAL },
        { 50, 5000, SHED_OPTIONAL },
        { 60, 5000, SHED_QOS0 },      /* level 3 is not used */
        { 70, 450, SHED_QOS0 },       /* half of 900 is not under it */
        { 80, 0, SHED_QOS0 },
        { 129, 0, SHED_QOS0 },
        { 130, 0, SHED_OPTIONAL },
        { 131, 0, SHED_OPTIONAL },
        { 150, 200, SHED_OPTIONAL },
        { 160, 0, SHED_OPTIONAL },
        { 210, 0, SHED_ENRICHMENT },
        { 220, 0, SHED_ENRICHMENT },
        { 270, 0, SHED_NORMAL },
        { 1000, 0, SHED_NORMAL },
    };
    follow(&config, steps, sizeof steps / sizeof steps[0]);
}

static void a_configuration_without_levels_never_sheds(void **state)
{
    (void)state;
    static const struct shed_config config = { .enter_ms = 0, .leave_ms = 0 };
    static const struct step steps[] = { { 0, INT64_MAX, SHED_NORMAL }, { 9, 0, SHED_NORMAL } };
    follow(&config, steps, 2);
}

enum { STEPS = 3000 };

/* Whether every lag since `from` was on the wanted side for at least for_ms. */
static bool lasted(const struct step *past, int from, int now, int64_t over, int64_t under, int64_t for_ms)
{
    int first = now + 1;
    while (first > from && past[first - 1].lag_ms > over && past[first - 1].lag_ms < under)
        first--;
    return first <= now && past[now].t_ms - past[first].t_ms >= for_ms;
}

static void levels_agree_with_the_whole_history(void **state)
{
    (void)state;
    static struct step past[STEPS];
    uint64_t chance = check_seed();
    const struct shed_config config = { .lag_ms = { 0, 100, 200, 400, 800 }, .enter_ms = 20, .leave_ms = 30 };
    struct shed s;
    int level = 0, since = 0, changes = 0;
    shed_init(&s);
    int64_t t_ms = 0, ceiling = 100;
    for (int i = 0; i < STEPS; i++) {
        t_ms += (int64_t)(rnd(&chance) % 15);
        if (rnd(&chance) % 20 == 0)
            ceiling = 30 + (int64_t)(rnd(&chance) % 1200);
        past[i] = (struct step){ .t_ms = t_ms, .lag_ms = ceiling / 2 + (int64_t)(rnd(&chance) % 60) };
        bool changed = shed_update(&s, &config, past[i].lag_ms, t_ms);
        int want = level;
        if (level < 4 && lasted(past, since, i, config.lag_ms[level + 1], INT64_MAX, config.enter_ms))
            want = level + 1;
        else if (level > 0 && lasted(past, since, i, -1, config.lag_ms[level] / 2, config.leave_ms))
            want = level - 1;
        assert_int_equal(s.level, want);
        assert_int_equal(changed, want != level);
        if (changed)
            since = i + 1, changes++;
        level = want;
    }
    assert_true(changes > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pressure_that_lasts_climbs_and_falls),
        cmocka_unit_test(a_configuration_without_levels_never_sheds),
        cmocka_unit_test(levels_agree_with_the_whole_history),
    };
    return cmocka_run_group_tests_name("shed", tests, NULL, NULL);
}
