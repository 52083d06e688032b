/* Goal: levels are entered and left when pressure lasted, one at a time, and not before, whatever causes it. Method:
 * timelines as tables; then random pressures against a model that keeps the whole history and looks back over it.
 * Links: pipeline/pressure/shed.c */
#include "pipeline/pressure/shed.h"

#include <string.h>

#include "tests/lib/check.h"

struct step {
    int64_t t_ms, lag_ms, commit_ms;
    enum shed_level level;
};

static void follow(const struct shed_config *config, const struct step *steps, size_t count)
{
    struct shed s;
    shed_init(&s);
    for (size_t i = 0; i < count; i++) {
        enum shed_level before = s.level;
        struct pressure p = { .of = { [SHED_LAG] = steps[i].lag_ms, [SHED_COMMIT] = steps[i].commit_ms } };
        bool changed = shed_update(&s, config, &p, steps[i].t_ms);
        assert_int_equal(s.level, steps[i].level);
        assert_int_equal(changed, before != s.level);
    }
}

static void pressure_that_lasts_climbs_and_falls(void **state)
{
    (void)state;
    static const struct shed_config config = { .over = { [SHED_LAG] = { 0, 100, 300, 0, 900 } },
                                               .enter_ms = 10, .leave_ms = 50 };
    static const struct step steps[] = {
        { 0, 100, 0, SHED_NORMAL },      /* at the threshold is not over it */
        { 1, 101, 0, SHED_NORMAL },
        { 9, 100, 0, SHED_NORMAL },      /* a dip starts it again */
        { 10, 500, 0, SHED_NORMAL },
        { 19, 500, 0, SHED_NORMAL },
        { 20, 500, 0, SHED_ENRICHMENT }, /* over for 10 ms */
        { 30, 5000, 0, SHED_ENRICHMENT },/* the next level has its own clock */
        { 40, 5000, 0, SHED_OPTIONAL },
        { 50, 5000, 0, SHED_OPTIONAL },
        { 60, 5000, 0, SHED_QOS0 },      /* level 3 is not used */
        { 70, 450, 0, SHED_QOS0 },       /* half of 900 is not under it */
        { 80, 0, 0, SHED_QOS0 },
        { 129, 0, 0, SHED_QOS0 },
        { 130, 0, 0, SHED_OPTIONAL },
        { 131, 0, 0, SHED_OPTIONAL },
        { 150, 200, 0, SHED_OPTIONAL },
        { 160, 0, 0, SHED_OPTIONAL },
        { 210, 0, 0, SHED_ENRICHMENT },
        { 220, 0, 0, SHED_ENRICHMENT },
        { 270, 0, 0, SHED_NORMAL },
        { 1000, 0, 0, SHED_NORMAL },
    };
    follow(&config, steps, sizeof steps / sizeof steps[0]);
}

static void causes_take_turns(void **state)
{
    (void)state;
    static const struct shed_config config = {
        .over = { [SHED_LAG] = { 0, 100, 300, 500, 900 }, [SHED_COMMIT] = { 0, 20, 40 } },
        .enter_ms = 10, .leave_ms = 50,
    };
    static const struct step steps[] = {
        { 0, 0, 30, SHED_NORMAL },
        { 5, 150, 0, SHED_NORMAL },        /* another cause goes on where the first one ends */
        { 10, 150, 0, SHED_ENRICHMENT },
        { 20, 0, 5000, SHED_ENRICHMENT },
        { 30, 0, 5000, SHED_OPTIONAL },
        { 40, 0, 5000, SHED_OPTIONAL },    /* commits lead no further */
        { 90, 0, 5000, SHED_OPTIONAL },
        { 100, 400, 0, SHED_OPTIONAL },    /* the lag holds the level */
        { 140, 0, 20, SHED_OPTIONAL },     /* and now the commits */
        { 150, 0, 15, SHED_OPTIONAL },     /* which hold level 1 only */
        { 199, 0, 15, SHED_OPTIONAL },
        { 200, 0, 15, SHED_ENRICHMENT },
        { 900, 0, 15, SHED_ENRICHMENT },
        { 901, 0, 9, SHED_ENRICHMENT },
        { 951, 0, 9, SHED_NORMAL },
    };
    follow(&config, steps, sizeof steps / sizeof steps[0]);
}

static void a_level_names_the_cause_that_called_for_most(void **state)
{
    (void)state;
    static const struct shed_config config = {
        .over = { [SHED_LAG] = { 0, 100, 300 }, [SHED_MEMORY] = { 0, 90, 95, 99 } },
    };
    struct shed s;
    shed_init(&s);
    struct pressure p = { .of = { [SHED_LAG] = 200, [SHED_MEMORY] = 100 } };
    assert_true(shed_update(&s, &config, &p, 0));
    assert_int_equal(s.cause, SHED_MEMORY);
    p = (struct pressure){ .of = { [SHED_LAG] = 301, [SHED_MEMORY] = 91 } };
    assert_true(shed_update(&s, &config, &p, 1));
    assert_int_equal(s.cause, SHED_LAG);
    p = (struct pressure){ .of = { [SHED_MEMORY] = 46 } };
    assert_true(shed_update(&s, &config, &p, 2));
    assert_int_equal(s.cause, SHED_LAG); /* leaving one is no reason of its own */
    for (int a = 0; a < SHED_CAUSES; a++)
        for (int b = 0; b < SHED_CAUSES; b++)
            assert_int_equal(strcmp(shed_cause_name((enum shed_cause)a), shed_cause_name((enum shed_cause)b)) == 0,
                             a == b);
}

static void a_configuration_without_levels_never_sheds(void **state)
{
    (void)state;
    static const struct shed_config config = { .enter_ms = 0, .leave_ms = 0 };
    static const struct step steps[] = { { 0, INT64_MAX, 5, SHED_NORMAL }, { 9, 0, INT64_MAX, SHED_NORMAL } };
    follow(&config, steps, 2);
}

enum { STEPS = 4000 };

struct past {
    int64_t t_ms;
    struct pressure p;
};

/* The model says it from the other end: whether a level of at least `level` is called for, or may not be left. */
static bool calls(const struct shed_config *config, const struct pressure *p, int level)
{
    for (int c = 0; c < SHED_CAUSES; c++)
        for (int l = level; l < SHED_LEVELS; l++)
            if (config->over[c][l] > 0 && p->of[c] > config->over[c][l])
                return true;
    return false;
}

static bool holds(const struct shed_config *config, const struct pressure *p, int level)
{
    for (int c = 0; c < SHED_CAUSES; c++)
        for (int l = level; l < SHED_LEVELS; l++)
            if (config->over[c][l] > 0 && p->of[c] >= config->over[c][l] / 2)
                return true;
    return false;
}

static bool used(const struct shed_config *config, int level)
{
    for (int c = 0; c < SHED_CAUSES; c++)
        if (config->over[c][level] > 0)
            return true;
    return false;
}

/* Whether every measurement since `from` agreed for at least for_ms. */
static bool lasted(const struct shed_config *config, const struct past *past, int from, int now, int level, bool up)
{
    int first = now + 1;
    while (first > from && (up ? calls(config, &past[first - 1].p, level) : !holds(config, &past[first - 1].p, level)))
        first--;
    return first <= now && past[now].t_ms - past[first].t_ms >= (up ? config->enter_ms : config->leave_ms);
}

static struct shed_config any_config(uint64_t *chance)
{
    struct shed_config config = { .enter_ms = (int64_t)(rnd(chance) % 40), .leave_ms = (int64_t)(rnd(chance) % 60) };
    for (int c = 0; c < SHED_CAUSES; c++) {
        int64_t over = 0;
        for (int l = 1; l < SHED_LEVELS; l++) {
            over += 1 + (int64_t)(rnd(chance) % 200);
            config.over[c][l] = rnd(chance) % 3 == 0 ? 0 : over;
        }
    }
    return config;
}

static int live(uint64_t *chance, const struct shed_config *config)
{
    static struct past past[STEPS];
    struct shed s;
    int level = 0, since = 0, changes = 0;
    shed_init(&s);
    int64_t t_ms = 0, ceiling = 100;
    for (int i = 0; i < STEPS; i++) {
        t_ms += (int64_t)(rnd(chance) % 15);
        if (rnd(chance) % 30 == 0)
            ceiling = (int64_t)(rnd(chance) % 700);
        past[i] = (struct past){ .t_ms = t_ms };
        past[i].p.of[rnd(chance) % SHED_CAUSES] = ceiling + (int64_t)(rnd(chance) % 20);
        past[i].p.of[SHED_LAG] += ceiling / 2;
        bool changed = shed_update(&s, config, &past[i].p, t_ms);
        int want = level;
        if (lasted(config, past, since, i, level + 1, true))
            do
                want++;
            while (!used(config, want));
        else if (level > 0 && lasted(config, past, since, i, level, false))
            do
                want--;
            while (want > 0 && !used(config, want));
        assert_int_equal(s.level, want);
        assert_int_equal(changed, want != level);
        if (changed)
            since = i + 1, changes++;
        level = want;
    }
    return changes;
}

static void levels_agree_with_the_whole_history(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    int changes = 0;
    for (int round = 0; round < 30; round++) {
        struct shed_config config = any_config(&chance);
        changes += live(&chance, &config);
    }
    assert_true(changes > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pressure_that_lasts_climbs_and_falls),
        cmocka_unit_test(causes_take_turns),
        cmocka_unit_test(a_level_names_the_cause_that_called_for_most),
        cmocka_unit_test(a_configuration_without_levels_never_sheds),
        cmocka_unit_test(levels_agree_with_the_whole_history),
    };
    return cmocka_run_group_tests_name("shed", tests, NULL, NULL);
}
