/* Goal: the baseline knows each hour of the day, names what is unusual, is not blinded by one wild reading, and never
 * holds a NaN. Method: short stories of a series as examples; then a seeded property: on streams of huge, tiny, repeated
 * and jumping numbers every figure is finite and in order, and a state saved and loaded goes on bit for bit.
 * Links: pipeline/detect/baseline%.c pipeline/reason.c pipeline/bytes.c */
#include "pipeline/detect/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/noise.h"

enum { STEP_S = 300, DAY = 86400 / STEP_S, WEEK = 7 * DAY };

struct rig {
    struct baseline baseline;
    struct baseline_setting setting;
    struct baseline_finding found; /* for the last reading */
    int64_t time_ms;
    uint64_t chance;
    uint32_t raised; /* alarms */
};

static struct rig rig_new(void)
{
    struct rig rig = { .time_ms = 4 * INT64_C(86400000), .chance = 7, /* a Monday */
                       .setting = baseline_setting(SENSITIVITY_NORMAL) };
    return rig;
}

static void feed(struct rig *rig, double value)
{
    const struct baseline_reading reading = { rig->time_ms, STEP_S * 1000, value };
    rig->found = baseline_take(&rig->baseline, &rig->setting, &reading);
    rig->time_ms += STEP_S * 1000;
    rig->raised += rig->found.raised;
}

static double daily(const struct rig *rig) /* 100 by night, 110 by day */
{
    int64_t hour = rig->time_ms / 3600000 % 24;
    return hour >= 8 && hour < 18 ? 110 : 100;
}

static void live(struct rig *rig, uint32_t readings)
{
    for (uint32_t i = 0; i < readings; i++)
        feed(rig, daily(rig) + rnd_normal(&rig->chance));
}

static struct rig rig_grown(void)
{
    struct rig rig = rig_new();
    live(&rig, 2 * WEEK);
    rig.raised = 0;
    return rig;
}

static void young_it_says_nothing(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    for (int i = 0; i < BASELINE_AGE_KNOWN; i++) {
        feed(&rig, i == 150 ? 1e9 : 20);
        assert_false(rig.found.known || rig.found.alarm || rig.found.raised);
        assert_int_equal(rig.found.reason, REASON_NONE);
    }
    feed(&rig, 20);
    assert_true(rig.found.known);
}

static void each_hour_has_its_own_mean(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    live(&rig, 5 * DAY); /* to Friday night */
    rig.raised = 0;
    for (int i = 0; i < 2 * DAY; i++) { /* the weekend is taken to be the same */
        double usual = daily(&rig);
        live(&rig, 1);
        assert_true(fabsf(rig.found.expected - (float)usual) < 3);
        assert_true(rig.found.low < rig.found.expected && rig.found.expected < rig.found.high);
    }
    assert_int_equal(rig.raised, 0);
}

static void weekends_are_apart(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    for (int i = 0; i < 3 * WEEK; i++) {
        int64_t weekday = rig.time_ms / 86400000 % 7; /* 0: a Thursday */
        double usual = weekday == 2 || weekday == 3 ? 50 : 100;
        feed(&rig, usual + rnd_normal(&rig.chance));
        if (i > 2 * WEEK)
            assert_true(fabsf(rig.found.expected - (float)usual) < 3);
    }
}

static void what_is_unusual_has_a_name(void **state)
{
    (void)state;
    static const struct {
        double value; /* instead of the usual, at night */
        enum reason reason;
    } CASES[] = {
        { 140, REASON_SPIKE },
        { 240, REASON_SPIKE }, /* too far off to be believed */
        { 60, REASON_SPIKE },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct rig rig = rig_grown();
        feed(&rig, CASES[i].value);
        assert_true(rig.found.raised && rig.found.alarm);
        assert_int_equal(rig.found.reason, CASES[i].reason);
        assert_true(rig.found.score >= rig.found.bar);
        assert_true(CASES[i].value < (double)rig.found.low || CASES[i].value > (double)rig.found.high);
    }
}

/* A series of wide errors: its records are near, its spikes are not. */
static void records_have_a_name(void **state)
{
    (void)state;
    for (int down = 0; down < 2; down++) {
        struct rig rig = rig_new();
        for (int i = 0; i < 2000; i++)
            feed(&rig, i % 2 == 0 ? 0 : 100);
        assert_int_equal(rig.raised, 0);
        feed(&rig, down ? -7 : 107);
        assert_true(rig.found.raised);
        assert_int_equal(rig.found.reason, down ? REASON_LOW : REASON_HIGH);
    }
}

static void a_shift_within_the_range_is_a_pattern(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    for (int i = 0; i < 3000; i++) /* a far reading now and then sets the records wide */
        feed(&rig, i % 100 == 0 ? 120 : 100 + rnd_normal(&rig.chance));
    rig.raised = 0;
    for (int i = 0; i < 20 && rig.raised == 0; i++)
        feed(&rig, 112 + rnd_normal(&rig.chance));
    assert_int_equal(rig.raised, 1);
    assert_int_equal(rig.found.reason, REASON_PATTERN);
}

/* By turns twenty readings of noise and twenty of the same value, which is what comes last: so far the longest run
 * of quiet is some 25. */
static void silence_has_a_name(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    for (int i = 0; i < 3000; i++)
        feed(&rig, i / 20 % 2 == 0 ? 80 + 40 * rnd_unit(&rig.chance) : 100);
    rig.raised = 0;
    int quiet = 0;
    while (rig.raised == 0 && quiet < 200) {
        feed(&rig, 100);
        quiet++;
    }
    assert_true(quiet >= 20 && quiet < 60);
    assert_int_equal(rig.found.reason, REASON_SILENCE);
}

static void a_drift_has_a_name(void **state)
{
    (void)state;
    bool found = false;
    for (uint64_t seed = 1; seed <= 200 && !found; seed++) {
        struct rig rig = rig_new();
        rig.chance = seed;
        for (int i = 0; i < 4000; i++)
            feed(&rig, 100 + rnd_normal(&rig.chance));
        for (int i = 0; i < 1000 && !found; i++) {
            feed(&rig, 100 + 0.004 * i + rnd_normal(&rig.chance));
            found = rig.found.reason == REASON_DRIFT;
            assert_true(!found || rig.found.score - rig.found.terms[REASON_DRIFT] < rig.found.bar);
        }
    }
    assert_true(found);
}

/* At every hour of a week; what was put away meanwhile lost a little. */
static void assert_same_season(struct season a, struct season b)
{
    for (int hour = 0; hour < 168; hour++) {
        struct season_view of_a = season_at(&a, (int64_t)hour * 3600000, 0, true);
        struct season_view of_b = season_at(&b, (int64_t)hour * 3600000, 0, true);
        assert_true(fabsf(of_a.expected - of_b.expected) < 0.01f);
        assert_true(of_a.visits == of_b.visits || abs(of_a.visits - of_b.visits) * 30 <= of_a.visits);
    }
}

static void one_wild_reading_teaches_nothing(void **state)
{
    (void)state;
    struct rig rig = rig_grown();
    struct baseline before = rig.baseline;
    feed(&rig, 1e12);
    assert_true(rig.found.raised);
    assert_int_equal(rig.found.reason, REASON_SPIKE);
    assert_same_season(before.season, rig.baseline.season);
    assert_true(rig.baseline.error_max <= before.error_max && rig.baseline.highest <= before.highest);
    live(&rig, 400);
    rig.raised = 0;
    for (int i = 0; i < 20; i++)
        feed(&rig, daily(&rig) + 8 + rnd_normal(&rig.chance));
    assert_true(rig.raised > 0);
}

struct hours { /* the plain model of one table: all of it in floats */
    float usual[2][24];
    uint32_t visits[2][24];
};

static float hours_take(struct hours *h, int64_t time_ms, float value, float level, float gain)
{
    int hour = (int)(time_ms / 3600000), day = (hour / 24 + 4) % 7;
    int weekend = day == 0 || day == 6, at = hour % 24;
    uint32_t *visits = &h->visits[weekend][at];
    float *usual = &h->usual[weekend][at];
    if (*visits == 0 && h->visits[!weekend][at] > 0) {
        *usual = h->usual[!weekend][at];
        *visits = 3;
    }
    float expected = *visits > 0 ? *usual : level, by = 1 / ((float)*visits + 1);
    *usual += (by > gain ? by : gain) * (value - *usual);
    ++*visits;
    return expected;
}

static float range_of(const struct hours *h)
{
    float least = 1e30f, most = -1e30f;
    for (int i = 0; i < 48; i++) {
        float usual = h->usual[i / 24][i % 24];
        if (h->visits[i / 24][i % 24] == 0)
            continue;
        least = usual < least ? usual : least;
        most = usual > most ? usual : most;
    }
    return most - least;
}

/* A level, a day like any other, a fault of a million, and what comes after it. */
static double level_at(int n, int what)
{
    double day = 20 + 5 * sin(6.283185307179586 * n / DAY);
    return what == 0 ? 20.1 : what == 1 || n < 10 * DAY || n > 12 * DAY ? day : 1e6 + day;
}

static void hours_put_away_lose_little(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct season season = { .gain = 0 };
        struct hours hours = { .visits = { { 0 } } };
        uint64_t chance = 5;
        float worst = 0;
        season_interval(&season, STEP_S);
        for (int n = 0; n < 40 * DAY; n++) {
            int64_t time_ms = (int64_t)n * STEP_S * 1000;
            float value = (float)level_at(n, what) + (what > 0 ? (float)rnd_normal(&chance) : 0);
            struct season_view view = season_at(&season, time_ms, value, false);
            float expected = hours_take(&hours, time_ms, value, value, season.gain);
            const struct season_lesson lesson = { .value = value, .level = value, .weight = 0.001f };
            season_learn(&season, &lesson);
            float off = fabsf(view.expected - expected), range = range_of(&hours);
            worst = range > 0 && off / range > worst ? off / range : worst;
            assert_true(what > 0 || off <= 0);
            if (n % 1000 == 0) {
                uint8_t bytes[512];
                struct byte_writer w = { bytes, sizeof bytes, 0, false };
                season_save(&season, &w);
                struct byte_reader r = { bytes, w.used, 0, false };
                memset(&season, 0, sizeof season);
                season_load(&season, &r);
                assert_true(!w.failed && !r.failed && r.used == w.used && w.used <= sizeof season);
            }
        }
        printf("# off by %g of the range\n", (double)worst);
        assert_true(worst < 1.0f / 4096);
    }
}

/* A cable breaks, and is mended two days later. */
static void an_error_code_teaches_nothing(void **state)
{
    (void)state;
    static const double CODES[] = { -127, -999, -9999, 65535 };
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        struct rig rig = rig_grown();
        struct baseline before = rig.baseline;
        for (int n = 0; n < 2 * DAY; n++) {
            feed(&rig, CODES[i]);
            assert_true(rig.found.alarm);
            assert_int_equal(rig.found.reason, REASON_CODE);
        }
        assert_int_equal(rig.raised, 1);
        assert_same_season(before.season, rig.baseline.season);
        live(&rig, DAY);
        assert_int_equal(rig.raised, 1);
        assert_false(rig.found.alarm);
    }
    struct rig rig = rig_new(); /* a series that is really there has nothing to say about it */
    for (int n = 0; n < 1000; n++)
        feed(&rig, -127 + rnd_normal(&rig.chance));
    feed(&rig, -127);
    assert_int_equal(rig.found.reason, REASON_NONE);
}

static void it_ends_after_thirty_quiet_readings(void **state)
{
    (void)state;
    struct rig rig = rig_grown();
    feed(&rig, daily(&rig) + 30);
    float bar = rig.found.bar;
    for (int quiet = 0; quiet < BASELINE_LATCH; quiet++) {
        feed(&rig, daily(&rig));
        assert_true(rig.found.alarm);
        if (rig.found.score >= baseline_bar(SENSITIVITY_NORMAL)) /* the ten readings with the spike among them */
            quiet = -1;
    }
    feed(&rig, daily(&rig));
    assert_false(rig.found.alarm);
    assert_int_equal(rig.found.reason, REASON_NONE);
    assert_int_equal(rig.raised, 1);
    /* the alarm made the next one harder, by a fifth of what it took */
    assert_true(rig.found.bar > bar + 0.19f * baseline_bar(SENSITIVITY_NORMAL));
}

static void a_lower_bar_raises_earlier(void **state)
{
    (void)state;
    static const enum sensitivity RISING[] = { SENSITIVITY_LOW, SENSITIVITY_NORMAL, SENSITIVITY_HIGH };
    uint32_t alarms[3];
    for (int i = 0; i < 3; i++) {
        struct baseline b;
        const struct baseline_setting setting = baseline_setting(RISING[i]);
        uint64_t chance = 11;
        memset(&b, 0, sizeof b);
        alarms[i] = 0;
        double value = 0;
        for (int64_t n = 0; n < 60000; n++) {
            value = 0.9 * value + rnd_normal(&chance);
            const struct baseline_reading reading = { n * 60000, 60000, value * value };
            alarms[i] += baseline_take(&b, &setting, &reading).raised;
        }
        assert_true(i == 0 || alarms[i] > alarms[i - 1]);
    }
}

/* --- what goes beyond the plain equations; each with and without --- */

/* After two weeks without weekends the level moves on a Wednesday: what does Sunday expect? */
static void weekends_that_are_like_other_days_follow_them(void **state)
{
    (void)state;
    float expected[2];
    for (int with = 0; with < 2; with++) {
        struct rig rig = rig_new();
        rig.setting.parts.seasons = with != 0;
        live(&rig, 2 * WEEK + 2 * DAY);
        for (int i = 0; i < 4 * DAY; i++)
            feed(&rig, daily(&rig) + 20 + rnd_normal(&rig.chance));
        feed(&rig, 120);
        expected[with] = rig.found.expected;
    }
    assert_true(expected[0] < 110 && expected[1] > 114);
}

static uint32_t alarms_of_a_clock_put_forward(bool seasons, int8_t *shift)
{
    struct rig rig = rig_new();
    rig.setting.parts.seasons = seasons;
    rig.setting.parts.jump = rig.setting.parts.habit = false;
    live(&rig, 3 * WEEK);
    rig.raised = 0;
    for (int i = 0; i < 5 * DAY; i++) {
        rig.time_ms += 3600000; /* as the process sees it */
        double value = daily(&rig);
        rig.time_ms -= 3600000;
        feed(&rig, value + rnd_normal(&rig.chance));
    }
    *shift = rig.baseline.season.shift_hours;
    return rig.raised;
}

static void a_clock_put_forward_is_followed(void **state)
{
    (void)state;
    int8_t shift;
    uint32_t without = alarms_of_a_clock_put_forward(false, &shift);
    assert_int_equal(shift, 0);
    uint32_t with = alarms_of_a_clock_put_forward(true, &shift);
    assert_int_equal(shift, 1);
    assert_true(with >= 1 && with < without);
}

/* A slow wave, and a step of a third of it in a moment. */
static void a_step_within_the_range_is_a_spike(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        struct rig rig = rig_new();
        rig.setting.parts.jump = with != 0;
        for (int i = 0; i < 4000; i++)
            feed(&rig, 100 * sin(i / 97.0) + rnd_normal(&rig.chance));
        assert_true(rig.found.terms[REASON_SPIKE] <= 0);
        feed(&rig, 100 * sin(4000 / 97.0) - 60); /* 115 off the hour, where 186 have been */
        assert_true(with ? rig.found.terms[REASON_SPIKE] >= 6 : rig.found.terms[REASON_SPIKE] <= 0);
    }
}

static void fast_series_remember_longer_and_slow_ones_speak_earlier(void **state)
{
    (void)state;
    static const struct {
        int64_t interval_ms;
        bool pace;
        float counts;
        int known;
    } CASES[] = { { 100, true, 0.1f, 200 },  { 10, true, 0.0625f, 200 },    { 100, false, 1, 200 },
                  { 1000, true, 1, 200 },    { 300000, true, 1, 200 },      { 3600000, true, 1, 200 },
                  { 7200000, true, 1, 50 },  { 86400000, true, 1, 50 },     { 7200000, false, 1, 200 } };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct baseline b;
        struct baseline_setting setting = baseline_setting(SENSITIVITY_NORMAL);
        setting.parts.pace = CASES[i].pace;
        memset(&b, 0, sizeof b);
        int n = 0;
        bool known = false;
        for (; !known && n < 1000; n++) {
            const struct baseline_reading reading = { n * CASES[i].interval_ms, CASES[i].interval_ms, n % 7 };
            struct baseline_finding f = baseline_take(&b, &setting, &reading);
            known = f.known;
            assert_true(!known || CASES[i].known == 200 || f.bar > 1.9f * baseline_bar(SENSITIVITY_NORMAL));
        }
        assert_int_equal(n, CASES[i].known + 1);
        assert_true(fabsf(b.counts - CASES[i].counts) < 1e-6f);
    }
}

/* Bursts of scatter, alike; the first ones are told at either setting. */
static void a_pattern_as_odd_as_before_counts_less(void **state)
{
    (void)state;
    float score[2];
    for (int with = 0; with < 2; with++) {
        struct rig rig = rig_new();
        rig.setting.parts.habit = with != 0;
        score[with] = 0;
        for (int i = 0; i < 3000; i++) {
            double size = i % 500 >= 480 ? 4 : 1;
            feed(&rig, 100 + size * rnd_normal(&rig.chance));
            if (i >= 2980)
                score[with] += rig.found.terms[REASON_PATTERN];
        }
    }
    assert_true(score[1] > 0 && score[1] < 0.95f * score[0] && score[1] > 0.85f * score[0]);
}

/* --- property --- */

static double wild(uint64_t *chance, double before)
{
    switch (rnd_below(chance, 8)) {
    case 0:
        return before;
    case 1:
        return 1e140 * (rnd_unit(chance) - 0.5);
    case 2:
        return 1e-300 * rnd_unit(chance);
    case 3:
        return -BASELINE_VALUE_MAX;
    case 4:
        return before * 1.5;
    default:
        return rnd_normal(chance);
    }
}

static void assert_finite(const struct baseline_finding *f)
{
    const float all[] = { f->expected, f->low, f->high, f->score, f->bar };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_true(isfinite(all[i]));
    for (int i = 0; i < REASON_TERMS; i++)
        assert_true(isfinite(f->terms[i]) || f->terms[i] > 0); /* a record beaten beyond all number */
    assert_true(f->low <= f->expected && f->expected <= f->high);
    assert_true(f->alarm == (f->reason != REASON_NONE) && (f->alarm || !f->raised));
}

static void save_and_load(struct baseline *b)
{
    uint8_t bytes[1024], again[1024];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    baseline_save(b, &w);
    struct byte_reader r = { bytes, w.used, 0, false };
    memset(b, 0, sizeof *b);
    baseline_load(b, &r);
    assert_false(w.failed || r.failed || r.used != w.used);
    struct byte_writer w2 = { again, sizeof again, 0, false };
    baseline_save(b, &w2);
    assert_int_equal(w.used, w2.used);
    assert_memory_equal(bytes, again, w.used);
}

static void any_numbers_leave_it_finite(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    const struct baseline_setting setting = baseline_setting(SENSITIVITY_NORMAL);
    for (int stream = 0; stream < 100; stream++) {
        struct baseline b, twin;
        memset(&b, 0, sizeof b);
        int64_t time_ms = -(int64_t)(rnd(&chance) >> 11);
        double value = 0;
        for (int n = 0; n < 1000; n++) {
            value = stream % 2 == 0 || rnd_below(&chance, 50) == 0 ? wild(&chance, value)
                                                                  : rnd_normal(&chance);
            value = value > 1e140 ? 1e140 : value < -1e140 ? -1e140 : value;
            size_t bits = rnd_below(&chance, 50);
            int64_t gap_ms = (int64_t)(rnd(&chance) % (UINT64_C(1) << bits));
            const struct baseline_reading reading = { time_ms += gap_ms, gap_ms, value };
            twin = b;
            if (n % 100 == 50)
                save_and_load(&twin);
            struct baseline_finding f = baseline_take(&b, &setting, &reading);
            struct baseline_finding of_twin = baseline_take(&twin, &setting, &reading);
            assert_finite(&f);
            assert_true(f.score <= of_twin.score && f.score >= of_twin.score);
            assert_memory_equal(&b, &twin, sizeof b);
        }
    }
}

static void a_damaged_state_is_refused(void **state)
{
    (void)state;
    struct rig rig = rig_grown();
    uint8_t bytes[1024];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    baseline_save(&rig.baseline, &w);
    for (size_t part = 0; part <= w.used; part++) {
        struct byte_reader r = { bytes, part, 0, false };
        struct baseline b;
        baseline_load(&b, &r);
        assert_int_equal(r.failed, part < w.used);
    }
    const float nan_value = NAN;
    memcpy(bytes, &nan_value, sizeof nan_value);
    struct byte_reader r = { bytes, w.used, 0, false };
    struct baseline b;
    baseline_load(&b, &r);
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(young_it_says_nothing),
        cmocka_unit_test(each_hour_has_its_own_mean),
        cmocka_unit_test(weekends_are_apart),
        cmocka_unit_test(what_is_unusual_has_a_name),
        cmocka_unit_test(records_have_a_name),
        cmocka_unit_test(a_shift_within_the_range_is_a_pattern),
        cmocka_unit_test(silence_has_a_name),
        cmocka_unit_test(a_drift_has_a_name),
        cmocka_unit_test(one_wild_reading_teaches_nothing),
        cmocka_unit_test(hours_put_away_lose_little),
        cmocka_unit_test(an_error_code_teaches_nothing),
        cmocka_unit_test(it_ends_after_thirty_quiet_readings),
        cmocka_unit_test(a_lower_bar_raises_earlier),
        cmocka_unit_test(weekends_that_are_like_other_days_follow_them),
        cmocka_unit_test(a_clock_put_forward_is_followed),
        cmocka_unit_test(a_step_within_the_range_is_a_spike),
        cmocka_unit_test(fast_series_remember_longer_and_slow_ones_speak_earlier),
        cmocka_unit_test(a_pattern_as_odd_as_before_counts_less),
        cmocka_unit_test(any_numbers_leave_it_finite),
        cmocka_unit_test(a_damaged_state_is_refused),
    };
    return cmocka_run_group_tests_name("baseline", tests, NULL, NULL);
}
