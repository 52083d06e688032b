/* Goal: on real machines' series, one configuration raises alerts where people saw trouble, and at most three
 * alerts elsewhere. Method: feed labelled series of NAB (5-minute readings of weeks) to statistics, the spike and
 * shift detectors and the alert's state machine, as the engine does, with pipeline time standing for event time; count
 * the raised alerts inside and outside of the labelled spans.
 * Links: pipeline/alerts/alert.c pipeline/statistics.c pipeline/detect/trend.c pipeline/detect/detector%.c pipeline/detect/baseline.c pipeline/reason.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/check.h"

#include "pipeline/alerts/alert.h"
#include "tests/lib/series.h"

enum { SPANS_MAX = 4, RULES = 2, OUTSIDE_MAX = 3 };
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
    w->config.clear_after_ms = HOUR_MS;
    w->config.cooldown_ms = 24 * HOUR_MS;
    if (kind == DETECTOR_SPIKE) {
        w->config.threshold = 12;
    } else {
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
        detector_ops(w->config.kind)->on_reading(&w->config, &w->state, sample, before);
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

static void replay(const struct labelled *series, FILE *file)
{
    struct watch watches[RULES];
    watch_init(&watches[0], DETECTOR_SPIKE);
    watch_init(&watches[1], DETECTOR_SHIFT);
    struct statistics statistics;
    statistics_init(&statistics);
    uint32_t outside = 0, inside = 0, hit = 0;
    int64_t last_ms = 0;
    struct sample sample;
    while (series_next(file, &last_ms, &sample)) {
        for (int i = 0; i < RULES; i++) {
            if (!watch_reading(&watches[i], &sample, &statistics))
                continue;
            int span = span_at(series, sample.event_time_ms);
            inside += span >= 0;
            outside += span < 0;
            hit |= span < 0 ? 0 : 1u << span;
        }
        statistics_push(&statistics, sample.event_time_ms, sample.value);
    }
    uint32_t spans_hit = (uint32_t)__builtin_popcount(hit);
    printf("# %s: readings %llu, alerts inside %u (spans %u), outside %u\n", series->name,
           (unsigned long long)statistics.count, inside, spans_hit, outside);
    assert_true(spans_hit >= series->spans_hit_min);
    assert_true(outside <= OUTSIDE_MAX);
}

static void alerts_where_people_saw_trouble(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof SERIES / sizeof SERIES[0]; i++) {
        FILE *file = series_open(SERIES[i].name);
        if (file == NULL)
            skip();
        replay(&SERIES[i], file);
        fclose(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(alerts_where_people_saw_trouble) };
    return cmocka_run_group_tests_name("real_series", tests, NULL, NULL);
}
