/* How often people are called, and what is commonly held against that: EEMUA 191, ISA-18.2 and
 * IEC 62682, as they are quoted. */
#include "firmware/api/api_state.h"

static const double RATE_MAX = 6;          /* an hour: one in ten minutes */
static const double FLOOD_SHARE_MAX = 0.01, TOP_SHARE_MAX = 0.05, HIGH_SHARE_MAX = 0.05;
enum { STALE_MAX = 5 };

static const double HOUR_MS = 3600000;

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void put_target(struct json_writer *w, const char *name, double value, double most)
{
    json_object(w);
    json_put_string(w, "name", name);
    json_put_number(w, "value", value);
    json_put_number(w, "most", most);
    json_put_bool(w, "met", value <= most);
    json_object_end(w);
}

/* Of less than an hour no rate is made: a minute with two alerts is not 120 an hour. */
static double hours_of(const struct alarm_report *report, int64_t t_ms)
{
    double hours = (double)(t_ms - report->from_ms) / HOUR_MS;
    return hours > 1 ? hours : 1;
}

static void put_targets(struct json_writer *w, const struct alarm_report *r, double hours)
{
    uint32_t high = r->sum.of_severity[SEVERITY_MAJOR] + r->sum.of_severity[SEVERITY_CRITICAL];
    json_key(w, "targets");
    json_array(w);
    put_target(w, "alarms_per_hour", r->sum.raised / hours, RATE_MAX);
    put_target(w, "flood_share", share(r->sum.flood_ms, hours * HOUR_MS), FLOOD_SHARE_MAX);
    put_target(w, "top_share", share(r->of_top, r->sum.raised), TOP_SHARE_MAX);
    put_target(w, "high_share", share(high, r->sum.raised), HIGH_SHARE_MAX);
    put_target(w, "stale", r->stale, STALE_MAX);
    put_target(w, "chattering", r->chattering, 0);
    json_array_end(w);
}

static void put_top(struct json_writer *w, const struct alarm_report *r)
{
    json_key(w, "top");
    json_array(w);
    for (uint32_t i = 0; i < r->top_count; i++) {
        json_object(w);
        json_put_text(w, "device", r->top[i].device);
        json_put_text(w, "metric", r->top[i].metric);
        json_put_unsigned(w, "alarms", r->top[i].raised);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_severities(struct json_writer *w, const struct alarm_report *r)
{
    json_key(w, "severities");
    json_object(w);
    for (int s = SEVERITY_INFO; s < SEVERITIES; s++)
        json_put_unsigned(w, severity_name((enum severity)s), r->sum.of_severity[s]);
    json_object_end(w);
}

bool api_report_alarms(struct api *api, const struct api_request *r, int64_t mono_ms,
                       struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct alarm_report report = engine_alarm_report(view.engine, view.t_ms);
    double hours = hours_of(&report, view.t_ms);
    (void)r, (void)mono_ms;
    json_object(&w);
    json_put_number(&w, "hours", (double)(view.t_ms - report.from_ms) / HOUR_MS);
    json_put_unsigned(&w, "alarms", report.sum.raised);
    json_put_number(&w, "alarms_per_hour", report.sum.raised / hours);
    json_put_unsigned(&w, "busiest_hour", report.busiest);
    json_put_unsigned(&w, "learning", report.sum.learning);
    json_put_number(&w, "learning_share",
                    share(report.sum.learning, (double)report.sum.learning + report.sum.raised));
    json_put_unsigned(&w, "flood_ms", report.sum.flood_ms);
    json_put_number(&w, "flood_share", share(report.sum.flood_ms, hours * HOUR_MS));
    put_severities(&w, &report);
    put_top(&w, &report);
    json_put_number(&w, "top_share", share(report.of_top, report.sum.raised));
    json_put_unsigned(&w, "open", report.open);
    json_put_unsigned(&w, "acknowledged", report.acknowledged);
    json_put_unsigned(&w, "stale", report.stale);
    json_put_unsigned(&w, "chattering", report.chattering);
    json_put_unsigned(&w, "over_budget", report.over_budget);
    json_put_unsigned(&w, "in_storm", report.in_storm);
    json_put_bool(&w, "storm", report.storm);
    put_targets(&w, &report, hours);
    json_object_end(&w);
    return api_give(response, &w);
}
