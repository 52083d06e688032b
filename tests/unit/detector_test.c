/* Goal: each kind of detector finds its fault and nothing else, on every series it may meet. Method: short stories of a
 * series as examples; then a seeded property: on streams of huge, tiny, repeated and jumping numbers no verdict holds a
 * NaN or an infinity, and a state saved and loaded goes on bit for bit.
 * Links: pipeline/statistics.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/bytes.c */
#include "pipeline/detect/detector.h"

#include <math.h>
#include <string.h>

#include "tests/lib/noise.h"

struct rig { /* one detector on one series */
    struct detector_config config;
    struct detector_state state;
    struct statistics statistics;
    int64_t time_ms, step_ms;
    uint64_t chance;
};

static struct rig rig_of(enum detector_kind kind)
{
    struct rig rig = { .config = detector_defaults(kind), .step_ms = 100, .chance = 7 };
    memset(&rig.state, 0, sizeof rig.state);
    statistics_init(&rig.statistics);
    return rig;
}

static struct verdict feed(struct rig *rig, double value)
{
    const struct detector_kind_ops *ops = detector_ops(rig->config.kind);
    rig->time_ms += rig->step_ms;
    struct sample sample = { rig->time_ms, value };
    if (ops->on_arrival != NULL && rig->step_ms > 0)
        ops->on_arrival(&rig->config, &rig->state, rig->step_ms);
    struct verdict verdict =
        detector_judge(&rig->config, &rig->state, &sample, &rig->statistics);
    statistics_push(&rig->statistics, rig->time_ms, value);
    return verdict;
}

/* `count` readings of noise of deviation 1 about `level`, in steps of `resolution`; how many of them were anomalous. */
static uint32_t feed_noise(struct rig *rig, uint32_t count, double level, double resolution)
{
    uint32_t anomalous = 0;
    for (uint32_t i = 0; i < count; i++) {
        double value = floor((level + rnd_normal(&rig->chance)) / resolution) * resolution;
        anomalous += feed(rig, value).anomalous;
    }
    return anomalous;
}

static uint32_t feed_same(struct rig *rig, uint32_t count, double value)
{
    uint32_t anomalous = 0;
    for (uint32_t i = 0; i < count; i++)
        anomalous += feed(rig, value).anomalous;
    return anomalous;
}

static void kinds_have_names(void **state)
{
    (void)state;
    static const char *const names[DETECTOR_KINDS] = {
        [DETECTOR_LIMIT] = "limit", [DETECTOR_SHIFT] = "shift", [DETECTOR_SPIKE] = "spike",
        [DETECTOR_RATE] = "rate",   [DETECTOR_STUCK] = "stuck", [DETECTOR_SILENT] = "silent",
        [DETECTOR_BASELINE] = "baseline",
        [DETECTOR_MISSING] = "missing", [DETECTOR_RANGE] = "range", [DETECTOR_NOISE] = "noise",
        [DETECTOR_COUNTER] = "counter",
        [DETECTOR_CYCLE] = "cycle",
        [DETECTOR_SIBLINGS] = "siblings",
    };
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        const struct detector_kind_ops *ops = detector_ops((enum detector_kind)kind);
        assert_string_equal(ops->name, names[kind]);
        assert_int_equal(detector_defaults((enum detector_kind)kind).kind, kind);
        assert_true((ops->silence_ms != NULL) == (kind == DETECTOR_SILENT));
        assert_true((ops->on_arrival != NULL) == (kind == DETECTOR_SILENT));
        assert_true((ops->on_unit != NULL) == (kind == DETECTOR_RANGE));
    }
}

static void rules_match_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *device, *metric, *of_device, *of_metric;
        bool matches;
    } CASES[] = {
        { "*", "*", "pump-1", "temperature", true },
        { "pump-1", "*", "pump-1", "temperature", true },
        { "pump-1", "*", "pump-12", "temperature", false },
        { "pump-*", "temp*ture", "pump-12", "temperature", true },
        { "*-12", "*", "pump-12", "temperature", true },
        { "ab*ba", "*", "aba", "x", false }, /* head and tail may not overlap */
        { "ab*ba", "*", "abba", "x", true },
        { "*", "flow", "pump-1", "temperature", false },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct detector_config config = detector_defaults(DETECTOR_SPIKE);
        strcpy(config.device, CASES[i].device);
        strcpy(config.metric, CASES[i].metric);
        assert_int_equal(detector_watches(&config, 1, 0, text_of(CASES[i].of_device),
                                          text_of(CASES[i].of_metric)), CASES[i].matches);
    }
}

/* A usual rule, and one of its kind or another that is about temperatures. */
static void usual_rules_give_way(void **state)
{
    (void)state;
    static const struct {
        enum detector_kind kind;
        bool off, usual, listed; /* which of the two watch a temperature */
    } CASES[] = {
        { DETECTOR_STUCK, false, false, true },
        { DETECTOR_STUCK, true, false, false },
        { DETECTOR_LIMIT, false, true, true },
        { DETECTOR_LIMIT, true, true, false },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct detector_config rules[2] = { detector_defaults(CASES[i].kind), detector_defaults(DETECTOR_STUCK) };
        strcpy(rules[0].metric, "temp*");
        rules[0].off = CASES[i].off;
        rules[1].usual = true;
        struct text device = text_of("oven"), metric = text_of("temperature");
        assert_int_equal(detector_watches(rules, 2, 0, device, metric), CASES[i].listed);
        assert_int_equal(detector_watches(rules, 2, 1, device, metric), CASES[i].usual);
        assert_false(detector_watches(rules, 2, 0, device, text_of("flow")));
        assert_true(detector_watches(rules, 2, 1, device, text_of("flow")));
    }
}

static void error_codes_stand_alone(void **state)
{
    (void)state;
    static const struct {
        double about;  /* where the series lives, with a deviation of 1 */
        double code;
        bool bad;
    } CASES[] = {
        { 21, -127, true }, { 21, 85, true }, { 21, -999, true }, { 21, 65535, true }, { 21, 84, false },
        { 84, 85, false }, { -125, -127, false }, { 65533, 65535, false }, { 21, -9999, true }, { 1000, 85, true },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct rig rig = rig_of(DETECTOR_RANGE);
        assert_int_equal(feed_noise(&rig, 100, CASES[i].about, 0.01), 0);
        struct verdict v = feed(&rig, CASES[i].code);
        if (v.bad != CASES[i].bad || v.anomalous != v.bad)
            fail_msg("%g in a series about %g: bad %d, anomalous %d", CASES[i].code, CASES[i].about, v.bad, v.anomalous);
        assert_int_equal(v.reason, CASES[i].bad ? REASON_CODE : REASON_NONE);
        assert_int_equal(feed_noise(&rig, 100, CASES[i].about, 0.01), 0);
    }
}

/* A sensor that is gone says so for ever; a set point may be at 85 in the end; an oven gets there by itself. */
static void error_codes_that_stay(void **state)
{
    (void)state;
    struct rig gone = rig_of(DETECTOR_RANGE), set = gone, oven = gone;
    assert_int_equal(feed_same(&gone, 500, -127), 500);
    assert_int_equal(feed_noise(&set, 100, 21, 0.5), 0);
    assert_int_equal(feed_same(&set, 500, 85), 30);
    for (int i = 0; i < 300; i++)
        assert_false(feed(&oven, 20 + i * 0.25).anomalous);
    assert_int_equal(feed_same(&oven, 100, 85), 0);
}

static void units_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        double value;
        bool bad, anomalous;
    } STORY[] = {
        { "%RH", 50, false, false }, { "%RH", 100, false, false },   { "%RH", 101, true, true },
        { "%RH", 99, false, true },  { "%RH", 98.1, false, true },   { "%RH", 97, false, false },
        { "%RH", -1, true, true },   { "%RH", 5, false, false },     { "Cel", -273.15, false, false },
        { "Cel", -273.2, true, true }, { "Cel", -270, false, true }, { "Cel", 20, false, false },
        { "Cel", 5000, false, false }, { "V", -5000, false, false }, { "", -5000, false, false },
    };
    struct rig rig = rig_of(DETECTOR_RANGE);
    for (size_t i = 0; i < sizeof STORY / sizeof STORY[0]; i++) {
        detector_ops(DETECTOR_RANGE)->on_unit(&rig.state, text_of(STORY[i].unit));
        struct verdict v = feed(&rig, STORY[i].value);
        if (v.bad != STORY[i].bad || v.anomalous != STORY[i].anomalous)
            fail_msg("%g %s: bad %d, anomalous %d", STORY[i].value, STORY[i].unit, v.bad, v.anomalous);
        assert_int_equal(v.reason, v.anomalous ? REASON_RANGE : REASON_NONE);
    }
}

/* `count` readings of a signal on a slow wave, with noise of the given deviation; how many were anomalous. */
static uint32_t feed_wave(struct rig *rig, uint32_t count, double deviation)
{
    uint32_t anomalous = 0;
    for (uint32_t i = 0; i < count; i++) {
        double wave = 0.2 * sin((double)rig->statistics.count / 500);
        anomalous += feed(rig, 20 + wave + deviation * rnd_normal(&rig->chance)).anomalous;
    }
    return anomalous;
}

static void noise_that_is_gone_is_told(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_NOISE);
    assert_int_equal(feed_wave(&rig, 3000, 1), 0);
    assert_int_equal(feed_wave(&rig, 500, 0.2), 0); /* a fifth is not little enough */
    assert_int_equal(feed_wave(&rig, 3000, 1), 0);
    assert_in_range(feed_wave(&rig, 400, 0.05), 240, 300); /* found after a hundred, or a few more */
    assert_int_equal(feed_wave(&rig, 3000, 1), 0);
    assert_int_equal(feed_wave(&rig, 1000, 0.05), 0); /* its habit by now: not until it is three times as long */
    struct rig frozen = rig_of(DETECTOR_NOISE);
    assert_int_equal(feed_wave(&frozen, 3000, 1), 0);
    assert_int_equal(feed_same(&frozen, 3000, 20), 0); /* the stuck rule's */
}

static void counters_begin_again(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_COUNTER);
    rig.step_ms = 60000;
    double total = 1000;
    for (int i = 0; i < 1440; i++) /* it is not known to be one on its first day */
        assert_false(feed(&rig, i == 700 ? 0 : total++).anomalous);
    for (int i = 0; i < 2000; i++)
        assert_false(feed(&rig, total += i % 3).anomalous);
    struct verdict v = feed(&rig, 4);
    assert_true(v.anomalous && v.reason == REASON_RESET && v.low > 1000);
    for (int i = 0; i < 100; i++)
        assert_false(feed(&rig, 5 + i).anomalous);
    assert_false(feed(&rig, 99).anomalous); /* a little back: it is no counter after all */
    assert_false(feed(&rig, 3).anomalous);
    struct rig tank = rig_of(DETECTOR_COUNTER);
    tank.step_ms = 60000;
    for (int i = 0; i < 6000; i++) /* fills and empties within a day */
        assert_false(feed(&tank, 100 + (i % 1000 < 900 ? i % 1000 : 900 - 9 * (i % 1000 - 900))).anomalous);
}

/* Of a counter the baseline sees what is counted a second: that it goes up and up is nothing, that it does so twice as
 * fast is. */
static void baseline_sees_the_rate_of_a_counter(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_BASELINE);
    rig.step_ms = 60000;
    double total = 0;
    uint32_t alarms = 0;
    for (int i = 0; i < 5000; i++) {
        bool anomalous = feed(&rig, total += 60 + 6 * rnd_unit(&rig.chance)).anomalous;
        alarms += i > 2000 && anomalous;
    }
    assert_in_range(alarms, 0, 100);
    struct verdict v = feed(&rig, total = 100);
    assert_false(v.anomalous);
    for (int i = 0; i < 20 && !v.anomalous; i++)
        v = feed(&rig, total += 120);
    assert_true(v.anomalous && v.observed < 2.01 && v.high < 1.5);
}

/* The last reason of an alarm that stories of sixty readings lead to. */
static enum reason told(double shift, double noise, uint32_t for_readings)
{
    struct rig rig = rig_of(DETECTOR_BASELINE);
    rig.step_ms = 300000;
    enum reason reason = REASON_NONE;
    assert_in_range(feed_noise(&rig, 3000, 20, 0.01), 0, 300);
    for (uint32_t i = 0; i < 60; i++) {
        double by = i < for_readings ? shift + noise * rnd_normal(&rig.chance) : 0;
        struct verdict v = feed(&rig, 20 + by + rnd_normal(&rig.chance));
        reason = v.anomalous ? v.reason : reason;
    }
    return reason;
}

static void baseline_tells_manners_apart(void **state)
{
    (void)state;
    assert_int_equal(told(20, 0, 1), REASON_SPIKE);
    assert_int_equal(told(12, 0, 60), REASON_SHIFT);
    assert_int_equal(told(-12, 0, 60), REASON_SHIFT);
    assert_int_equal(told(0, 4, 60), REASON_NOISE_UP);
}

static void limit_ends_only_inside_the_hysteresis(void **state)
{
    (void)state;
    static const struct { double value; bool anomalous; double score; } STORY[] = {
        { 79, false, 0 }, { 80, false, 0 }, { 80.5, true, 0.5 }, { 79, true, 0 }, { 78.5, true, 0 },
        { 78, false, 0 }, { 79, false, 0 }, { 5, true, 5 }, { 11, true, 0 }, { 12, false, 0 },
        { 5, true, 5 }, { 90, true, 10 },
    };
    struct rig rig = rig_of(DETECTOR_LIMIT);
    assert_false(feed(&rig, 1e9).known); /* no limit given */
    rig.config.has_low = rig.config.has_high = true;
    rig.config.low = 10;
    rig.config.high = 80;
    rig.config.hysteresis = 2;
    for (size_t i = 0; i < sizeof STORY / sizeof STORY[0]; i++) {
        struct verdict v = feed(&rig, STORY[i].value);
        assert_true(v.known);
        assert_int_equal(v.anomalous, STORY[i].anomalous);
        assert_true(v.score >= STORY[i].score && v.score <= STORY[i].score);
    }
}

static void rate_counts_the_change_a_second(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_RATE);
    rig.config.per_second_max = 5;
    rig.step_ms = 500;
    assert_false(feed(&rig, 100).known);
    assert_false(feed(&rig, 102.5).anomalous);
    struct verdict v = feed(&rig, 99.9);
    assert_true(v.anomalous && v.score > 5.19 && v.score < 5.21);
    assert_true(v.low <= 100 && v.high >= 105);
    rig.step_ms = 0;
    assert_false(feed(&rig, 500).known); /* no time has passed */
}

static int64_t allowed(const struct rig *rig)
{
    return detector_ops(DETECTOR_SILENT)->silence_ms(&rig->config, &rig->state);
}

/* `count` arrivals, the first after `gap_ms`, the others `step_ms` apart. */
static void arrive(struct rig *rig, int64_t gap_ms, int count, int64_t step_ms)
{
    for (int i = 0; i < count; i++) {
        rig->step_ms = i == 0 ? gap_ms : step_ms;
        assert_false(feed(rig, 1).anomalous);
    }
}

static void silent_goes_by_the_own_rhythm(void **state)
{
    (void)state;
    enum { MINUTE = 60000 };
    struct rig rig = rig_of(DETECTOR_SILENT);
    arrive(&rig, MINUTE, 9, MINUTE);
    assert_int_equal(allowed(&rig), 0); /* no rhythm yet */
    arrive(&rig, MINUTE, 1, 0);
    assert_int_equal(allowed(&rig), 3 * MINUTE);
    rig.config.silent_intervals = 1000;
    assert_int_equal(allowed(&rig), 0); /* not heard of for so long */
    rig = rig_of(DETECTOR_SILENT);
    arrive(&rig, 100, 1799, 100);
    assert_int_equal(allowed(&rig), 0);
    arrive(&rig, 100, 1, 0);
    assert_int_equal(allowed(&rig), 3 * MINUTE); /* min_silence */
    rig.config.silent_intervals = 1;
    rig.config.silent_min_ms = 100;
    assert_in_range(allowed(&rig), 99, 100);
}

/* Sixty readings within a tenth of a second, each minute: its rhythm is the minute. */
static void silent_knows_bursts(void **state)
{
    (void)state;
    static const int64_t LEAST_MS[] = { 100, 3000, 180000 };
    for (size_t i = 0; i < 3; i++) {
        struct rig rig = rig_of(DETECTOR_SILENT);
        rig.config.silent_min_ms = LEAST_MS[i];
        for (int burst = 0; burst < 200; burst++) {
            arrive(&rig, 59900, 60, 2);
            int64_t ms = allowed(&rig);
            assert_true(ms == 0 ? burst < 12 : ms > 170000 && ms < 181000);
        }
    }
}

/* An outage of an hour adds little to the silence that is allowed, and that is soon forgotten. */
static void silent_forgets_an_outage(void **state)
{
    (void)state;
    static const struct { int64_t step_ms; int readings; int64_t least_ms, before_ms, after_ms; } table[] = {
        { 100, 40000, 180000, 180000, 200000 },
        { 100, 40000, 2000, 2000, 3000 },
        { 60000, 500, 180000, 180000, 460000 },
        { 300000, 500, 180000, 900000, 2300000 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct rig rig = rig_of(DETECTOR_SILENT);
        rig.config.silent_min_ms = table[i].least_ms;
        arrive(&rig, table[i].step_ms, table[i].readings, table[i].step_ms);
        assert_in_range(allowed(&rig), table[i].before_ms - 1, table[i].before_ms);
        arrive(&rig, 3600000, 1, 0);
        assert_in_range(allowed(&rig), table[i].before_ms, table[i].after_ms);
        arrive(&rig, table[i].step_ms, table[i].readings, table[i].step_ms);
        assert_in_range(allowed(&rig), table[i].before_ms - 1, table[i].before_ms + 100);
    }
}

/* Readings by chance, a minute apart on average: there is hardly ever a longer gap than is allowed. */
static void silent_bears_chance(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SILENT);
    uint32_t silences = 0;
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 100000; i++) {
        rig.step_ms = 1 + (int64_t)(-60000 * log(1 - rnd_unit(&rig.chance)));
        int64_t ms = allowed(&rig);
        silences += ms > 0 && rig.step_ms > ms;
        (void)feed(&rig, 1);
        least = i >= 1000 && ms < least ? ms : least;
        most = i >= 1000 && ms > most ? ms : most;
    }
    printf("# silences %u, allowed from %" PRId64 " to %" PRId64 " ms\n", silences, least, most);
    assert_in_range(silences, 0, 4); /* three times 4.7 minutes, more or less */
    assert_true(least > 300000 && most < 2400000);
}

static void stuck_needs_more_than_the_habit(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_STUCK);
    assert_int_equal(feed_noise(&rig, 500, 50, 0.01), 0);
    assert_int_equal(feed_same(&rig, 60, 50.123), 31); /* from the 30th on */
    assert_int_equal(feed_noise(&rig, 150, 50, 0.01), 0);
    assert_int_equal(feed_same(&rig, 60, 50.123), 28); /* a quarter higher, and faded since */
    rig = rig_of(DETECTOR_STUCK); /* a coarse sensor repeats itself */
    for (int i = 0; i < 50; i++)
        assert_int_equal(feed_same(&rig, 25, i), 0);
    assert_int_equal(feed_same(&rig, 200, 99), 76); /* from the 125th on */
    rig = rig_of(DETECTOR_STUCK);
    assert_int_equal(feed_same(&rig, 1000, 7), 0); /* never moved */
}

static void spike_finds_ten_deviations_either_way(void **state)
{
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        struct rig rig = rig_of(DETECTOR_SPIKE);
        assert_int_equal(feed_noise(&rig, 250, 50, 0.001), 0);
        struct verdict v = feed(&rig, 50 + 10 * side);
        assert_true(v.known && v.anomalous && v.score > 7 && v.score < 14);
        assert_true(v.low > 38 && v.low < 47 && v.high > 53 && v.high < 62);
        assert_int_equal(feed_noise(&rig, 100, 50, 0.001), 0);
    }
}

static void spike_says_nothing_before_it_knows(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SPIKE);
    feed_noise(&rig, 20, 50, 0.001);
    assert_false(feed(&rig, 90).known);
}

static void spike_on_a_flat_series_must_be_a_large_one(void **state)
{
    (void)state;
    static const struct { double flat, next; bool anomalous; } CASES[] = {
        { 20, 20.1, false }, { 20, 30, false }, { 20, 99, true }, { -20, 20, true },
        { 1, 0, false }, { 0, 1, false }, { 1e140, -1e140, true },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct rig rig = rig_of(DETECTOR_SPIKE);
        feed_same(&rig, 40, CASES[i].flat);
        assert_int_equal(feed(&rig, CASES[i].next).anomalous, CASES[i].anomalous);
        assert_int_equal(feed_same(&rig, 40, CASES[i].flat), 0);
        assert_int_equal(feed(&rig, CASES[i].next).anomalous, CASES[i].anomalous);
    }
}

static void a_series_back_from_an_outage_begins_again(void **state)
{
    (void)state;
    static const enum detector_kind KINDS[] = { DETECTOR_SPIKE, DETECTOR_SHIFT };
    for (size_t i = 0; i < 2; i++) {
        struct rig rig = rig_of(KINDS[i]);
        feed_noise(&rig, 300, 50, 0.001);
        rig.time_ms += 3600000;
        assert_int_equal(feed_noise(&rig, 300, 70, 0.001), 0);
    }
}

static void spike_is_not_a_step(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SPIKE);
    feed_noise(&rig, 250, 50, 0.001);
    assert_int_equal(feed_noise(&rig, 200, 100, 0.001), 1); /* its first reading only */
    assert_true(feed(&rig, 112).anomalous);
}

static void spike_sees_after_a_bogus_reading(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SPIKE);
    feed_noise(&rig, 250, 50, 0.001);
    assert_true(feed(&rig, 1e140).anomalous);
    assert_int_equal(feed_noise(&rig, 10, 50, 0.001), 0);
    assert_true(feed(&rig, 62).anomalous);
}

static void shift_finds_six_deviations_either_way(void **state)
{
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        struct rig rig = rig_of(DETECTOR_SHIFT);
        assert_int_equal(feed_noise(&rig, 250, 50, 0.001), 0);
        assert_true(feed_noise(&rig, 50, 50 + 6 * side, 0.001) >= 40); /* within ten readings */
        assert_true(feed_noise(&rig, 50, 50, 0.001) <= 20);            /* and it clears */
        assert_int_equal(feed_noise(&rig, 200, 50, 0.001), 0);
    }
}

static void shift_is_not_a_spike_nor_a_drift(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SHIFT);
    feed_noise(&rig, 250, 50, 0.001);
    assert_false(feed(&rig, 1e6).anomalous);
    assert_int_equal(feed_noise(&rig, 100, 50, 0.001), 0);
    for (int i = 0; i < 2000; i++) /* 20 deviations in 2000 readings */
        assert_false(feed(&rig, 50 + 0.01 * i + rnd_normal(&rig.chance)).anomalous);
}

static void shift_takes_a_new_level_for_usual_in_time(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_SHIFT);
    feed_noise(&rig, 250, 50, 0.001);
    uint32_t anomalous = feed_noise(&rig, 600, 60, 0.001);
    assert_true(anomalous >= 290 && anomalous <= 310);
    assert_int_equal(feed_noise(&rig, 300, 60, 0.001), 0);
    assert_true(feed_noise(&rig, 50, 66, 0.001) >= 40);
}

/* --- the property --- */

static double nasty(uint64_t *chance, double last)
{
    switch (rnd(chance) % 12) {
    case 0: return READING_NUMBER_MAX;
    case 1: return -READING_NUMBER_MAX;
    case 2: return 5e-324;
    case 3: return 0;
    case 4: return (rnd_unit(chance) - 0.5) * 1e15;
    case 5: return last + 1e-9;
    case 6: return 1e-160 * rnd_unit(chance);
    case 7: case 8: return last;
    default: return 20 + rnd_normal(chance);
    }
}

static void assert_sound(const struct verdict *v)
{
    const double numbers[] = { v->observed, v->low, v->high, v->score, v->threshold };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(isfinite(numbers[i]));
    assert_true(v->known || !v->anomalous);
}

static void reload(struct rig *rig)
{
    uint8_t bytes[DETECTOR_STATE_BYTES];
    const struct detector_kind_ops *ops = detector_ops(rig->config.kind);
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    ops->save(&rig->state, &w);
    memset(&rig->state, 0xa5, sizeof rig->state);
    struct byte_reader r = { bytes, w.used, 0, false };
    ops->load(&rig->state, &r);
    assert_false(w.failed || r.failed);
    assert_int_equal(r.used, w.used);
    assert_true(w.used <= ops->state_bytes); /* the room for a checkpoint is reckoned by that */
}

static bool same(const struct verdict *a, const struct verdict *b)
{
    return a->known == b->known && a->anomalous == b->anomalous &&
           memcmp(&a->observed, &b->observed, 5 * sizeof(double)) == 0;
}

static void baseline_tells_how_and_how_easily(void **state)
{
    (void)state;
    struct verdict found[SENSITIVITIES];
    for (int i = 0; i < SENSITIVITIES; i++) {
        struct rig rig = rig_of(DETECTOR_BASELINE);
        assert_int_equal(rig.config.sensitivity, SENSITIVITY_NORMAL);
        rig.config.sensitivity = (enum sensitivity)i;
        (void)feed_noise(&rig, 1000, 20, 0.01); /* young, it alarms of that */
        found[i] = feed(&rig, 40);
        assert_true(found[i].known && found[i].anomalous && found[i].high < 40);
        assert_int_equal(found[i].reason, REASON_SPIKE);
        assert_int_equal(feed_noise(&rig, BASELINE_LATCH, 20, 0.01), BASELINE_LATCH);
    }
    assert_true(found[SENSITIVITY_HIGH].threshold < found[SENSITIVITY_NORMAL].threshold);
    assert_true(found[SENSITIVITY_NORMAL].threshold < found[SENSITIVITY_LOW].threshold);
}

/* So many readings in each hour, evenly; true where one of them was anomalous. */
static bool feed_hour(struct rig *rig, uint32_t readings)
{
    int64_t hour_ms = 3600000, end_ms = (rig->time_ms / hour_ms + 1) * hour_ms;
    bool anomalous = false;
    rig->step_ms = (end_ms - rig->time_ms) / (readings + 1);
    for (uint32_t i = 0; i < readings; i++)
        anomalous = feed(rig, 20).anomalous || anomalous;
    assert_true(rig->time_ms < end_ms);
    rig->time_ms = end_ms;
    return anomalous;
}

static void missing_needs_more_than_a_fifth_and_the_habit(void **state)
{
    (void)state;
    static const struct { uint32_t usual, jitter, faulty; bool found; } CASES[] = {
        { 12, 0, 9, true }, { 12, 0, 10, false }, { 60, 0, 47, true }, { 60, 0, 49, false },
        { 3600, 0, 2800, true }, { 60, 30, 40, false }, { 60, 30, 2, true },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct rig rig = rig_of(DETECTOR_MISSING);
        uint32_t usual = CASES[i].usual, jitter = CASES[i].jitter;
        for (uint32_t hour = 0; hour < 100; hour++)
            assert_false(feed_hour(&rig, usual - jitter / 2 + (jitter > 0 ? hour * 7 % jitter : 0)));
        assert_false(feed_hour(&rig, CASES[i].faulty)); /* it is not over yet */
        struct verdict v = feed(&rig, 20);
        assert_int_equal(v.anomalous, CASES[i].found);
        assert_int_equal(v.score >= v.threshold, CASES[i].found);
        assert_true(v.observed >= CASES[i].faulty && v.observed <= CASES[i].faulty);
        feed_hour(&rig, usual);
        feed_hour(&rig, usual);
        assert_false(feed(&rig, 20).anomalous);
    }
}

static void missing_leaves_silence_to_silent(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_MISSING);
    for (int day = 0; day < 10; day++) { /* it speaks by day */
        for (int hour = 0; hour < 10; hour++)
            assert_false(feed_hour(&rig, 12));
        assert_false(feed_hour(&rig, 5)); /* switched off in the middle of an hour */
        rig.time_ms += 13 * INT64_C(3600000);
    }
    assert_true(feed(&rig, 20).known);
}

static void missing_takes_a_new_rate_for_usual_in_time(void **state)
{
    (void)state;
    struct rig rig = rig_of(DETECTOR_MISSING);
    int hours = 0;
    for (int hour = 0; hour < 48; hour++)
        assert_false(feed_hour(&rig, 60));
    assert_false(feed_hour(&rig, 30));
    while (feed_hour(&rig, 30) && hours < 200)
        hours++;
    assert_true(hours > 40 && hours < 72);
}

static void stays_sound_and_survives_a_reload(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int round = 0; round < 120; round++) {
        struct rig rig = rig_of((enum detector_kind)(round % DETECTOR_KINDS));
        rig.chance = rnd(&seed);
        rig.config.has_low = rig.config.has_high = true;
        rig.config.high = 22;
        rig.config.per_second_max = 3;
        double value = 20;
        int flat = (int)(rnd(&seed) % 100); /* readings at first that are alike */
        uint32_t nasty_in = 1 + (uint32_t)(rnd(&seed) % 60);
        for (int i = 0; i < 800; i++) {
            rig.step_ms = (int64_t)(rnd(&rig.chance) % 3) * 100;
            if (i >= flat && rnd(&rig.chance) % nasty_in == 0)
                value = nasty(&rig.chance, value);
            else if (i >= flat)
                value = 20 + rnd_normal(&rig.chance);
            struct rig other = rig;
            if (i % 50 == 0)
                reload(&other);
            struct verdict v = feed(&rig, value), again = feed(&other, value);
            assert_sound(&v);
            assert_true(same(&v, &again));
            rig = other;
        }
    }
}

static void a_broken_state_is_refused(void **state)
{
    (void)state;
    static const enum detector_kind KINDS[] = { DETECTOR_SPIKE, DETECTOR_SHIFT, DETECTOR_STUCK,
                                                DETECTOR_LIMIT, DETECTOR_SILENT,
                                                DETECTOR_BASELINE, DETECTOR_MISSING };
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        uint8_t bytes[DETECTOR_STATE_BYTES];
        memset(bytes, 0xff, sizeof bytes);
        struct byte_reader r = { bytes, sizeof bytes, 0, false };
        struct detector_state loaded;
        detector_ops(KINDS[i])->load(&loaded, &r);
        assert_true(r.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(rules_match_by_name),
        cmocka_unit_test(usual_rules_give_way),
        cmocka_unit_test(error_codes_stand_alone),
        cmocka_unit_test(error_codes_that_stay),
        cmocka_unit_test(units_have_limits),
        cmocka_unit_test(noise_that_is_gone_is_told),
        cmocka_unit_test(counters_begin_again),
        cmocka_unit_test(baseline_sees_the_rate_of_a_counter),
        cmocka_unit_test(baseline_tells_manners_apart),
        cmocka_unit_test(limit_ends_only_inside_the_hysteresis),
        cmocka_unit_test(rate_counts_the_change_a_second),
        cmocka_unit_test(silent_goes_by_the_own_rhythm),
        cmocka_unit_test(silent_knows_bursts),
        cmocka_unit_test(silent_forgets_an_outage),
        cmocka_unit_test(silent_bears_chance),
        cmocka_unit_test(stuck_needs_more_than_the_habit),
        cmocka_unit_test(spike_finds_ten_deviations_either_way),
        cmocka_unit_test(spike_says_nothing_before_it_knows),
        cmocka_unit_test(spike_on_a_flat_series_must_be_a_large_one),
        cmocka_unit_test(a_series_back_from_an_outage_begins_again),
        cmocka_unit_test(spike_is_not_a_step),
        cmocka_unit_test(spike_sees_after_a_bogus_reading),
        cmocka_unit_test(shift_finds_six_deviations_either_way),
        cmocka_unit_test(shift_is_not_a_spike_nor_a_drift),
        cmocka_unit_test(shift_takes_a_new_level_for_usual_in_time),
        cmocka_unit_test(baseline_tells_how_and_how_easily),
        cmocka_unit_test(missing_needs_more_than_a_fifth_and_the_habit),
        cmocka_unit_test(missing_leaves_silence_to_silent),
        cmocka_unit_test(missing_takes_a_new_rate_for_usual_in_time),
        cmocka_unit_test(stays_sound_and_survives_a_reload),
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return cmocka_run_group_tests_name("detector", tests, NULL, NULL);
}
