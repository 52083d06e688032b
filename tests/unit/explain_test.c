/* Goal: what is said of an alert, of each kind, would have kept it away does; and where it names a bound, just beyond that does not.
 * Method: two engines take the same readings up to the fault; the first one's alert is explained; of the second one's readings the last,
 * or all of the fault's, are what the sentence says, its numbers taken from the text.
 * Links: firmware/api/explain.c pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "firmware/api/explain.h"

#include <math.h>
#include <stdio.h>

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/noise.h"

enum { STEPS_MAX = 8000, METRICS_MAX = 2, FIGURES_MAX = 4 };

/* --- a stage: readings by number, made or amended --- */

struct scene {
    const char *name;
    enum detector_kind kind;
    const char *unit, *metrics[METRICS_MAX]; /* the last one is watched */
    int64_t step_ms;
    int healthy, steps;       /* the fault begins after so many; the alert comes within these */
    double (*value)(int step, uint32_t metric, bool fault, uint64_t *chance);
    const char *says;         /* for sscanf */
    int figures;              /* that it reads */
    bool all;                 /* of the fault's readings are amended; else the one that raised it */
    /* What the sentence allows at this step; and, with `beyond`, what it does not (NAN: it names no bound). */
    double (*amend)(const struct scene *scene, const double *figures, const double *history, int step, bool beyond);
};

struct play {
    struct bench b;
    double history[STEPS_MAX];
    int at;                   /* the step that raised an alert; -1: none did */
    char unless[EXPLAIN_BYTES];
    struct alert alert;
};

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx, (void)result;
}

static void open_stage(struct play *p, const struct scene *scene)
{
    bench_configure(&p->b, 2, 4);
    bench_rule(&p->b, scene->kind, "rule");
    struct detector_config *rule = &p->b.rules[0];
    rule->has_high = true;
    rule->high = 50;
    rule->per_second_max = 0.5;
    bench_init_configured(&p->b);
    p->b.out.result = on_result;
    p->at = -1;
}

/* Once there was a fault: a young baseline may have something to say before it. */
static void explain(struct play *p, int step, int from)
{
    struct alert_view view;
    uint64_t cursor = 0;
    if (p->at >= 0 || step < from || !engine_alert(p->b.engine, &cursor, &view))
        return;
    p->at = step;
    p->alert = *view.alert;
    explain_unless(&view, p->unless);
}

static void give(struct play *p, const struct scene *scene, const char *metric, double value)
{
    struct reading reading = bench_reading("oven", metric, value, BENCH_EPOCH_MS + p->b.t_ms);
    reading.unit = text_of(scene->unit);
    assert_int_equal(bench_take(&p->b, &reading).verdict, ADMIT_STORE);
}

/* Up to the alert, or to `to`; readings from `amended` on are what `amend` says. */
struct change {
    int from, to;
    const double *figures;
    bool beyond;
};

static void act(struct play *p, const struct scene *scene, const struct change *change)
{
    uint64_t chance = 7;
    uint32_t metrics = scene->metrics[1] != NULL ? 2 : 1;
    open_stage(p, scene);
    for (int i = 0; p->at < 0 && i < change->to; i++) {
        p->b.t_ms += scene->step_ms;
        for (uint32_t m = 0; m < metrics; m++) {
            double value = scene->value(i, m, i >= scene->healthy, &chance);
            bool amended = m + 1 == metrics && i >= change->from;
            if (amended)
                value = scene->amend(scene, change->figures, p->history, i, change->beyond);
            p->history[i] = value;
            give(p, scene, scene->metrics[m], value);
        }
        explain(p, i, scene->healthy);
    }
    bench_end(&p->b);
}

/* --- the scenes --- */

static double level(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)i, (void)m;
    double noise = rnd_normal(chance);
    return fault ? 60 : 20 + noise;
}

static double slope(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)i, (void)m, (void)chance;
    return fault ? 30 : 20;
}

static double moved(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)i, (void)m;
    return (fault ? 26 : 20) + rnd_normal(chance);
}

static double held(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)i, (void)m;
    double noise = rnd_normal(chance);
    return fault ? 21.5 : 20 + noise;
}

static double code(int i, uint32_t m, bool fault, uint64_t *chance)
{
    double healthy = level(i, m, false, chance);
    return fault ? -127 : healthy;
}

static double humid(int i, uint32_t m, bool fault, uint64_t *chance)
{
    double healthy = level(i, m, false, chance);
    return fault ? 104 : healthy;
}

static double faint(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)i, (void)m;
    return 20 + (fault ? 0.001 : 1) * rnd_normal(chance);
}

static double counted(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)m, (void)chance;
    return fault ? 3 : 100 + 2 * i;
}

static double beating(int i, uint32_t m, bool fault, uint64_t *chance)
{
    (void)m;
    double phase = i % 20 / 20.0, noise = 0.05 * rnd_normal(chance);
    double peak = phase < 0.2 ? 0 : phase < 0.3 ? (phase - 0.2) * 50 : phase < 0.4 ? (0.4 - phase) * 50 : 0;
    return (fault ? -1 : 1) * peak + noise;
}

/* Current, and the flow that goes with it. */
static double pumped(int i, uint32_t m, bool fault, uint64_t *chance)
{
    double current = i / 37 % 2 ? 5 : 1, noise = 0.1 * rnd_normal(chance);
    if (m == 0)
        return current + noise;
    return (fault ? 0 : 3 * current) + noise;
}

/* figures: the last two are a band, or the last one an upper bound. */
static double at_most(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)history, (void)step;
    double high = figures[scene->figures - 1], width = fabs(high) + fabs(figures[scene->figures > 1 ? scene->figures - 2 : 0]);
    return beyond ? high + 0.001 * width : high - 0.0001 * width; /* six digits are said */
}

static double in_band(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    double value = at_most(scene, figures, history, step, false);
    return beyond ? (double)NAN : value;
}

static double another(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)scene, (void)figures;
    return beyond ? history[step - 1] : history[step - 1] + 1;
}

static double no_code(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)scene, (void)history, (void)step;
    assert_true(figures[0] == -127);
    return beyond ? -999 : -126;
}

static double a_change(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)scene, (void)figures;
    return beyond ? history[step - 1] + 0.001 : history[step - 1] + 1.2;
}

static double at_least(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)scene, (void)history, (void)step;
    return beyond ? (double)NAN : figures[0];
}

static double a_period_before(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    (void)scene;
    assert_true(figures[1] > 18 && figures[1] < 22);
    return beyond ? (double)NAN : history[step - (int)figures[1]];
}

static double as_the_partner(const struct scene *scene, const double *figures, const double *history, int step, bool beyond)
{
    uint64_t chance = 3;
    (void)scene, (void)figures, (void)history;
    return beyond ? (double)NAN : pumped(step, 1, false, &chance);
}

static const struct scene SCENES[] = {
    { "limit", DETECTOR_LIMIT, "", { "t" }, 1000, 50, 60, level, "a value of at most %lf", 1, false, at_most },
    { "rate", DETECTOR_RATE, "", { "t" }, 1000, 50, 60, slope, "a change of at most %lf a second: a value from %lf to %lf", 3, false, at_most },
    { "spike", DETECTOR_SPIKE, "", { "t" }, 1000, 200, 210, level, "less than %lf spreads: a value from %lf to %lf", 3, false, at_most },
    { "shift", DETECTOR_SHIFT, "", { "t" }, 1000, 300, 340, moved, "a sum of deviations below %lf; nothing adds to it that is a value from %lf to %lf", 3, false, in_band },
    { "stuck", DETECTOR_STUCK, "", { "t" }, 1000, 100, 140, held, "another value within %lf readings", 1, false, another },
    { "baseline, spike", DETECTOR_BASELINE, "", { "t" }, 600000, 400, 410, level, "for a single reading: a value from %lf to %lf", 2, false, in_band },
    { "range, code", DETECTOR_RANGE, "", { "t" }, 1000, 50, 60, code, "a value that is no error code, as %lf is", 1, false, no_code },
    { "range, code and unit", DETECTOR_RANGE, "Cel", { "t" }, 1000, 50, 60, code, "a value that is no error code, as %lf is", 1, false, no_code },
    { "range, unit", DETECTOR_RANGE, "%RH", { "t" }, 1000, 50, 60, humid, "a value from %lf to %lf", 2, false, at_most },
    { "noise", DETECTOR_NOISE, "", { "t" }, 1000, 800, 1000, faint, "a change of the usual size within %lf changes", 1, false, a_change },
    { "counter", DETECTOR_COUNTER, "", { "t" }, 600000, 700, 710, counted, "a value of at least %lf, the one before it", 1, false, at_least },
    { "cycle", DETECTOR_CYCLE, "", { "t" }, 1000, 4000, 4040, beating, "a score below %lf: readings like those %lf before, its period", 2, true, a_period_before },
    { "siblings", DETECTOR_SIBLINGS, "", { "current", "flow" }, 1000, 4000, 4080, pumped, "a score below %lf: readings that go with current, as they did", 1, true, as_the_partner },
};

/* Where the sentence begins as it should, from there. */
static int read_figures(const char *sentence, const char *says, double f[FIGURES_MAX])
{
    char head[80] = "";
    memcpy(head, says, strcspn(says, "%"));
    const char *from = strstr(sentence, head);
    return from != NULL ? sscanf(from, says, &f[0], &f[1], &f[2], &f[3]) : -1;
}

static void what_is_said_is_true(void **state)
{
    (void)state;
    static struct play fault, twin;
    for (size_t i = 0; i < sizeof SCENES / sizeof SCENES[0]; i++) {
        const struct scene *scene = &SCENES[i];
        double f[FIGURES_MAX] = { 0 };
        memset(&fault, 0, sizeof fault);
        act(&fault, scene, &(struct change){ STEPS_MAX, scene->steps, NULL, false });
        if (fault.at < scene->healthy)
            fail_msg("%s: no alert, or in step %d", scene->name, fault.at);
        print_message("%-22s %s\n", scene->name, fault.unless);
        if (read_figures(fault.unless, scene->says, f) != scene->figures)
            fail_msg("%s: \"%s\"", scene->name, fault.unless);
        struct change change = { scene->all ? scene->healthy : fault.at, fault.at + 1, f, false };
        memset(&twin, 0, sizeof twin);
        act(&twin, scene, &change);
        if (twin.at >= 0)
            fail_msg("%s: \"%s\" and an alert all the same, at %g: %s", scene->name, fault.unless, twin.history[twin.at], twin.unless);
        change.beyond = true;
        if (isnan(scene->amend(scene, f, fault.history, fault.at, true)))
            continue;
        memset(&twin, 0, sizeof twin);
        act(&twin, scene, &change);
        if (twin.at < 0)
            fail_msg("%s: \"%s\" and no alert beyond that, at %g", scene->name, fault.unless, twin.history[fault.at]);
    }
}

/* --- by time: no reading, or too few --- */

static const struct scene QUIET = { .kind = DETECTOR_SILENT, .unit = "", .metrics = { "t" } };

static void a_reading_in_time_keeps_silence_away(void **state)
{
    (void)state;
    static struct play p;
    double seconds = 0;
    for (int late = -1; late < 2; late++) { /* the fault, in time, a moment too late */
        memset(&p, 0, sizeof p);
        open_stage(&p, &QUIET);
        for (int i = 0; i < 100; i++) {
            p.b.t_ms += 5000;
            give(&p, &QUIET, "t", i);
        }
        bench_wait(&p.b, late < 0 ? 3600000 : (int64_t)(seconds * 1000) - 1 + 2 * late);
        explain(&p, 0, 0);
        assert_int_equal(p.at, late == 0 ? -1 : 0);
        if (late < 0)
            assert_int_equal(sscanf(p.unless, "a reading within %lf s of the one before", &seconds), 1);
        bench_end(&p.b);
    }
    print_message("silent: within %g s\n", seconds);
    assert_true(seconds == 180);
}

/* Sixty an hour, and in the last one so many. */
static void live_through_hours(struct play *p, int last)
{
    static const struct scene scene = { .kind = DETECTOR_MISSING, .unit = "", .metrics = { "t" } };
    const int64_t hour_ms = 3600000, begin_ms = hour_ms - BENCH_EPOCH_MS % hour_ms;
    memset(p, 0, sizeof *p);
    open_stage(p, &scene);
    for (int64_t hour = 0; hour < 12; hour++) {
        int readings = hour == 11 ? last : 60;
        for (int i = 0; i < readings; i++) {
            p->b.t_ms = begin_ms + hour * hour_ms + i * (hour_ms / readings);
            give(p, &scene, "t", 20 + i % 7);
        }
    }
    p->b.t_ms = begin_ms + 12 * hour_ms;
    give(p, &scene, "t", 20);
    explain(p, 0, 0);
    bench_end(&p->b);
}

static void enough_readings_in_the_hour_keep_missing_away(void **state)
{
    (void)state;
    static struct play p;
    double least;
    live_through_hours(&p, 20);
    assert_int_equal(p.at, 0);
    assert_int_equal(sscanf(p.unless, "at least %lf readings in that hour", &least), 1);
    print_message("missing: at least %g\n", least);
    live_through_hours(&p, (int)ceil(least));
    assert_int_equal(p.at, -1);
    live_through_hours(&p, (int)ceil(least) - 1);
    assert_int_equal(p.at, 0);
}

/* Each kind has its scene: who adds one adds that too. */
static void every_kind_is_here(void **state)
{
    (void)state;
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        bool here = kind == DETECTOR_SILENT || kind == DETECTOR_MISSING;
        for (size_t i = 0; i < sizeof SCENES / sizeof SCENES[0]; i++)
            here = here || SCENES[i].kind == (enum detector_kind)kind;
        assert_true(here);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_true),
        cmocka_unit_test(a_reading_in_time_keeps_silence_away),
        cmocka_unit_test(enough_readings_in_the_hour_keep_missing_away),
        cmocka_unit_test(every_kind_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
