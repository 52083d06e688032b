/* Goal: on real machines' series alerts are raised where people saw trouble, and few elsewhere: by spike and shift, in
 * one configuration, at most three a series; by the baseline, which has none, at most 0.40 in 1,000 readings of all
 * series together, from the 1,000th of each on. (At eight alarms or less a series chance decides; younger series have
 * more, the youngest marked as learning.) Method: feed labelled series of NAB (5-minute readings of weeks) to
 * statistics, the detectors and the alert's state machine, as the engine does, with pipeline time standing for event
 * time; count the raised alerts inside and outside of the labelled spans.
 * Links: pipeline/alerts/%.c pipeline/statistics.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/check.h"

#include "pipeline/alerts/alert.h"
#include "tests/lib/series.h"

enum { SPANS_MAX = 4, RULES_MAX = 2, OUTSIDE_MAX = 3, OLD = 1000 };
static const double OUTSIDE_IN_1000_MAX = 0.40;
static const int64_t HOUR_MS = 3600000;

struct labelled {
    const char *name;
    const char *spans[SPANS_MAX][2];
    uint32_t spans_hit_min;
};

/* Spans as in NAB's combined_windows.json. The machine's first span is a slow decline within its usual range. */
static const struct labelled SERIES[] = {
    { "nab/data/realKnownCause/machine_temperature_system_failure.csv",
      { { "2013-12-10 06:25:00", "2013-12-12 05:35:00" },
        { "2013-12-15 17:50:00", "2013-12-17 17:00:00" },
        { "2014-01-27 14:20:00", "2014-01-29 13:30:00" },
        { "2014-02-07 14:55:00", "2014-02-09 14:05:00" } },
      3 },
    { "nab/data/realKnownCause/cpu_utilization_asg_misconfiguration.csv",
      { { "2014-07-10 12:29:00", "2014-07-15 17:19:00" } },
      1 },
    { "nab/data/realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv",
      { { "2014-04-08 17:30:00", "2014-04-10 03:00:00" } },
      1 },
    { "nab/data/realAWSCloudwatch/ec2_cpu_utilization_ac20cd.csv",
      { { "2014-04-14 07:49:00", "2014-04-15 17:34:00" } },
      1 },
};

struct watch {
    struct detector_config config;
    struct detector_state state;
    struct alert alert;
};

static void watch_init(struct watch *w, enum detector_kind kind)
{
    w->config = detector_defaults(kind);
    w->config.clear_after_ms = kind == DETECTOR_BASELINE ? 0 : HOUR_MS;
    w->config.cooldown_ms = kind == DETECTOR_BASELINE ? 0 : 24 * HOUR_MS;
    if (kind == DETECTOR_SPIKE) {
        w->config.threshold = 12;
    } else if (kind == DETECTOR_SHIFT) {
        w->config.threshold = 14;
        w->config.for_ms = 2 * HOUR_MS;
    }
    memset(&w->state, 0, sizeof w->state);
    alert_init(&w->alert);
}

/* Whether an alert was raised at or before this reading. */
static bool watch_reading(struct watch *w, const struct sample *sample, const struct statistics *before)
{
    bool raised = alert_deadline(&w->alert, &w->config) <= sample->event_time_ms &&
                  alert_on_timer(&w->alert, &w->config, sample->event_time_ms) == ALERT_RAISE;
    struct verdict verdict =
        detector_judge(&w->config, &w->state, sample, before);
    return alert_on_verdict(&w->alert, &w->config, &verdict, sample->event_time_ms,
                            sample->event_time_ms, false) == ALERT_RAISE || raised;
}

static int span_at(const struct labelled *series, int64_t time_ms)
{
    for (int i = 0; i < SPANS_MAX && series->spans[i][0] != NULL; i++)
        if (time_ms >= series_time_ms(series->spans[i][0]) &&
            time_ms <= series_time_ms(series->spans[i][1]))
            return i;
    return -1;
}

struct tally {
    uint32_t hit;     /* a bit for each span */
    uint32_t inside, outside;
    uint32_t old, old_outside; /* readings outside from the 1,000th on, and alerts there */
};

static void count_reading(struct tally *tally, int span, bool raised, bool old)
{
    tally->old += old && span < 0;
    if (!raised)
        return;
    tally->inside += span >= 0;
    tally->outside += span < 0;
    tally->old_outside += old && span < 0;
    tally->hit |= span < 0 ? 0 : 1u << span;
}

static struct tally replay(const struct labelled *series, FILE *file, const enum detector_kind *kinds, int count)
{
    struct watch watches[RULES_MAX];
    for (int i = 0; i < count; i++)
        watch_init(&watches[i], kinds[i]);
    struct statistics statistics;
    statistics_init(&statistics);
    struct tally tally = { 0 };
    int64_t last_ms = 0;
    struct sample sample;
    while (series_next(file, &last_ms, &sample)) {
        int span = span_at(series, sample.event_time_ms);
        for (int i = 0; i < count; i++)
            count_reading(&tally, span, watch_reading(&watches[i], &sample, &statistics),
                          statistics.count >= OLD);
        statistics_push(&statistics, sample.event_time_ms, sample.value);
    }
    uint32_t spans_hit = (uint32_t)__builtin_popcount(tally.hit);
    printf("# %s, %s: readings %llu, alerts inside %u (spans %u), outside %u, of them old %u\n", series->name,
           detector_ops(kinds[0])->name, (unsigned long long)statistics.count, tally.inside, spans_hit,
           tally.outside, tally.old_outside);
    assert_true(spans_hit >= series->spans_hit_min);
    return tally;
}

static struct tally replay_file(const struct labelled *series, const enum detector_kind *kinds, int count)
{
    FILE *file = series_open(series->name);
    if (file == NULL)
        skip();
    struct tally tally = replay(series, file, kinds, count);
    fclose(file);
    return tally;
}

static void alerts_where_people_saw_trouble(void **state)
{
    (void)state;
    static const enum detector_kind kinds[] = { DETECTOR_SPIKE, DETECTOR_SHIFT };
    for (size_t i = 0; i < sizeof SERIES / sizeof SERIES[0]; i++)
        assert_true(replay_file(&SERIES[i], kinds, 2).outside <= OUTSIDE_MAX);
}

static void the_baseline_needs_no_configuration_for_that(void **state)
{
    (void)state;
    static const enum detector_kind kind = DETECTOR_BASELINE;
    uint32_t old = 0, alerts = 0;
    for (size_t i = 0; i < sizeof SERIES / sizeof SERIES[0]; i++) {
        struct tally tally = replay_file(&SERIES[i], &kind, 1);
        old += tally.old;
        alerts += tally.old_outside;
    }
    printf("# baseline: %u alerts in %u readings outside\n", alerts, old);
    assert_true(1000.0 * alerts <= OUTSIDE_IN_1000_MAX * old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_where_people_saw_trouble),
        cmocka_unit_test(the_baseline_needs_no_configuration_for_that),
    };
    return cmocka_run_group_tests_name("real_series", tests, NULL, NULL);
}
