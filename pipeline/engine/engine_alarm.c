/* When people are called, and how often that was. An alert that is more than learning is an alarm:
 * it is counted, for its hour and its series; those of one device within a minute are one incident;
 * and more incidents than anybody can follow are a storm, for which one alert of the gateway
 * itself stands. All alerts are told all the same, each with whether it is worth calling for. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

void engine_incident_id(const struct engine *e, struct text device, const struct alert *alert,
                        char id[ALERT_ID_BYTES + 1])
{
    static const struct text none = { "", 0 };
    id[0] = '\0';
    if (alert->member > 0)
        alert_id_of(alert_key(e->config->store, device, none, text_of("incident"),
                              (uint64_t)alert->incident_ms), id);
}

/* --- storms --- */

int64_t engine_flood_deadline(const struct engine *e)
{
    return flood_end_ms(&e->flood, &e->config->alarms.flood);
}

static void tell_storm(struct engine *e, bool on)
{
    (void)engine_on_own(e, ENGINE_OWN_STORM, e->flood.came, e->config->alarms.flood.most, on);
}

static void note_incident(struct engine *e)
{
    bool before = e->flood.on;
    flood_add(&e->flood, &e->config->alarms.flood, e->t_ms);
    e->counts.storms += e->flood.on && !before;
    if (e->flood.on)
        tell_storm(e, true); /* where it finds no place, the next incident tries again */
    engine_arm_own(e);
}

void engine_fire_flood(struct engine *e)
{
    flood_end(&e->flood);
    alarm_log_flood(&e->alarm_log, e->flood.since_ms, e->t_ms);
    tell_storm(e, false);
}

/* --- incidents --- */

/* True: there is more to say than the incident has said already. */
static bool join_incident(struct engine *e, uint32_t device, struct alert *alert,
                          enum severity severity)
{
    struct device *d = &e->devices[device];
    int64_t group_ms = e->config->alarms.group_ms;
    if (group_ms == 0) {
        note_incident(e);
        return true;
    }
    bool begins = d->incident_members == 0 || e->t_ms - d->incident_ms >= group_ms;
    bool worse = begins || (int)severity > d->incident_worst;
    if (begins) {
        d->incident_ms = e->t_ms;
        d->incident_members = 0;
    }
    if (worse)
        d->incident_worst = (int8_t)severity;
    d->incident_members = (uint16_t)(d->incident_members + (d->incident_members < UINT16_MAX));
    alert->incident_ms = d->incident_ms;
    alert->member = d->incident_members;
    if (begins)
        note_incident(e);
    return worse;
}

/* --- alarms --- */

/* The alert becomes an alarm. CRITICAL is never too much. */
static bool announce(struct engine *e, uint32_t device, uint32_t series, const struct alarm *alarm)
{
    struct alert *alert = alarm->alert;
    enum severity severity = alert_severity(alert, alarm->rule);
    uint32_t budget = e->config->alarms.budget;
    alert->alarmed = true;
    alarm_log_raise(&e->alarm_log, e->t_ms, severity);
    if (device == ENGINE_NONE)
        return true;
    bool news = join_incident(e, device, alert, severity);
    alert->in_storm = e->flood.on;
    if (series != ENGINE_NONE) {
        uint32_t today = alarm_days_add(&e->series[series].alarms, e->t_ms);
        alert->over_budget = budget > 0 && today > budget;
    }
    return severity == SEVERITY_CRITICAL ||
           (news && !alert->in_storm && !alert->over_budget && !alert->chattering);
}

/* Whoever works on the device knows. What is found meanwhile is no alarm until that is over. */
bool engine_calls_are_kept(const struct engine *e, uint32_t device)
{
    return engine_is_maintained(e, device == ENGINE_NONE ? text_of(ENGINE_GATEWAY_NAME)
                                                         : engine_name(e, e->devices[device].name));
}

bool engine_note_alarm(struct engine *e, uint32_t device, uint32_t series, struct alarm alarm)
{
    struct alert *alert = alarm.alert;
    enum severity severity = alert_severity(alert, alarm.rule);
    bool kept = engine_calls_are_kept(e, device);
    bool begins = alarm.what != ALERT_CLEAR && severity != SEVERITY_LEARNING && !alert->alarmed;
    bool notify = false;
    if (alarm.what == ALERT_RAISE) {
        alert->told_severity = SEVERITY_LEARNING;
        e->counts.alerts_maintained += kept;
    }
    if (alarm.what == ALERT_RAISE && severity == SEVERITY_LEARNING) {
        alarm_log_raise(&e->alarm_log, e->t_ms, severity);
        e->counts.alerts_learning++;
    } else if (kept) {
        bool worse = alarm.what == ALERT_UPDATE && (int)severity > alert->told_severity;
        alert->owed = alert->owed || (begins && !alert->acknowledged) || worse;
    } else if (begins) {
        notify = announce(e, device, series, &alarm);
    } else if (alarm.what == ALERT_UPDATE) {
        notify = (int)severity > alert->told_severity;
    }
    alert->told_severity = (int8_t)severity;
    notify = notify && alert->shelved_until_ms <= engine_wall_ms(e);
    e->counts.alerts_notified += notify;
    return notify;
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

bool engine_alert_is_stale(const struct engine *engine, const struct alert *alert, int64_t t_ms)
{
    int64_t stale_ms = engine->config->alarms.stale_ms;
    return stale_ms > 0 && alert_is_open(alert) && t_ms - alert->raised_ms > stale_ms;
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
        report->chattering += view.alert->chattering;
        report->over_budget += view.alert->over_budget;
        report->in_storm += view.alert->in_storm;
        report->stale += engine_alert_is_stale(e, view.alert, t_ms);
    }
}

static void count_flood(const struct engine *e, int64_t t_ms, struct alarm_report *report)
{
    report->storm = e->flood.on;
    if (!e->flood.on)
        return;
    int64_t since_ms = e->flood.since_ms;
    since_ms = since_ms > report->from_ms ? since_ms : report->from_ms;
    report->sum.flood_ms += (uint32_t)(t_ms - since_ms);
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
    count_flood(engine, t_ms, &report);
    return report;
}
