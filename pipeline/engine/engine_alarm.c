/* How often people are called, counted for the report. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

enum { STALE_MS = 24 * 3600000 };

/* People are called when an alert is raised; of one that was raised while its series was learning,
 * when it is told again because that is over. */
void engine_note_alarm(struct engine *e, uint32_t series, enum severity severity,
                       struct alert *alert, enum alert_transition what)
{
    bool learning = severity == SEVERITY_LEARNING;
    bool anew = what == ALERT_UPDATE && !alert->alarmed && !learning;
    if (what != ALERT_RAISE && !anew)
        return;
    alert->alarmed = !learning;
    alarm_log_raise(&e->alarm_log, e->t_ms, severity);
    e->counts.alerts_learning += learning;
    if (!learning && series != ENGINE_NONE)
        (void)alarm_days_add(&e->series[series].alarms, e->t_ms);
}

/* --- the report --- */

static void consider(const struct engine *e, uint32_t series, int64_t t_ms,
                     struct alarm_report *report)
{
    const struct series *s = &e->series[series];
    uint32_t raised = alarm_days_sum(&s->alarms, t_ms);
    uint32_t at = report->top_count;
    while (at > 0 && report->top[at - 1].raised < raised)
        at--;
    if (raised == 0 || at == ENGINE_ALARM_TOP)
        return;
    report->top_count += report->top_count < ENGINE_ALARM_TOP;
    for (uint32_t i = report->top_count - 1; i > at; i--)
        report->top[i] = report->top[i - 1];
    report->top[at] = (struct alarm_top){ engine_name(e, e->devices[s->device].name),
                                          engine_name(e, s->metric), raised };
}

static void count_open(const struct engine *e, int64_t t_ms, struct alarm_report *report)
{
    struct alert_view view;
    uint64_t cursor = 0;
    while (engine_alert(e, &cursor, &view)) {
        if (!alert_is_open(view.alert))
            continue;
        report->open++;
        report->acknowledged += view.alert->acknowledged;
        report->stale += t_ms - view.alert->raised_ms > STALE_MS;
    }
}

struct alarm_report engine_alarm_report(const struct engine *engine, int64_t t_ms)
{
    struct alarm_report report = { .from_ms = alarm_days_from(t_ms) };
    report.sum = alarm_log_sum(&engine->alarm_log, report.from_ms, &report.busiest);
    for (uint32_t s = 0; s < engine->series_count; s++)
        consider(engine, s, t_ms, &report);
    for (uint32_t i = 0; i < report.top_count; i++)
        report.of_top += report.top[i].raised;
    count_open(engine, t_ms, &report);
    return report;
}
