/* What the api answers from memory as lists: devices, series, alerts, the last readings. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"

static void put_next(struct json_writer *w, bool more, uint64_t next)
{
    json_key(w, "next");
    if (more)
        json_unsigned(w, next);
    else
        json_null(w);
}

bool api_list_devices(struct api *api, const struct api_request *r, int64_t mono_ms,
                      struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct device_view device;
    uint32_t index = r->after < UINT32_MAX ? (uint32_t)r->after : UINT32_MAX;
    uint32_t max = api_most(r, 1000, 1000);
    bool more = false;
    (void)mono_ms;
    json_object(&w);
    json_key(&w, "devices");
    json_array(&w);
    while ((more = engine_device(view.engine, index, &device)) && max > 0 && api_room(&w)) {
        json_object(&w);
        json_put_text(&w, "device", device.device);
        json_put_unsigned(&w, "series", device.series);
        json_put_unsigned(&w, "readings", device.readings);
        json_put_time(&w, "last_event_time", device.last_event_ms);
        json_put_integer(&w, "age_ms", view.t_ms - device.last_t_ms);
        json_put_unsigned(&w, "alerts_open", device.alerts_open);
        json_put_bool(&w, "gone", device.gone);
        json_object_end(&w);
        index++;
        max--;
    }
    json_array_end(&w);
    put_next(&w, more, index);
    json_object_end(&w);
    return api_give(response, &w);
}

static bool is_device(const struct engine *engine, struct text name)
{
    struct device_view device;
    for (uint32_t i = 0; engine_device(engine, i, &device); i++)
        if (text_equal(device.device, name))
            return true;
    return false;
}

static void put_series(struct json_writer *w, const struct series_view *series)
{
    const struct statistics *s = series->statistics;
    json_object(w);
    json_put_text(w, "device", series->device);
    json_put_text(w, "metric", series->metric);
    json_put_text(w, "unit", series->unit);
    json_put_unsigned(w, "count", s->count);
    if (s->count > 0) {
        const struct {
            const char *key;
            double value;
        } figures[] = { { "last", s->last },
                        { "mean", s->mean },
                        { "stddev", statistics_stddev(s) },
                        { "ew_mean", s->ew_mean },
                        { "ew_stddev", statistics_ew_stddev(s) },
                        { "min", s->min },
                        { "max", s->max },
                        { "rate", s->rate },
                        { "interval_ms", s->interval_ms } };
        for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
            json_put_number(w, figures[i].key, figures[i].value);
        }
        json_put_time(w, "last_event_time", s->last_ms);
    }
    json_put_integer(w, "watermark_ms", series->watermark_ms);
    json_put_unsigned(w, "alerts_open", series->alerts_open);
    json_put_bool(w, "learning", series->learning);
    json_object_end(w);
}

bool api_list_series(struct api *api, const struct api_request *r, int64_t mono_ms,
                     struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct series_view series;
    struct text wanted = text_of(r->device);
    uint32_t index = r->after < UINT32_MAX ? (uint32_t)r->after : UINT32_MAX;
    uint32_t max = api_most(r, 1000, 1000);
    bool more = false;
    (void)mono_ms;
    if (wanted.bytes > 0 && !is_device(view.engine, wanted))
        return api_fail(api, response, 404, "there is no such device");
    json_object(&w);
    json_key(&w, "series");
    json_array(&w);
    for (; (more = engine_series(view.engine, index, &series)) && max > 0 && api_room(&w); index++)
        if (wanted.bytes == 0 || text_equal(series.device, wanted)) {
            put_series(&w, &series);
            max--;
        }
    json_array_end(&w);
    put_next(&w, more, index);
    json_object_end(&w);
    return api_give(response, &w);
}

static const char *state_name(enum alert_state state)
{
    switch (state) {
    case ALERT_QUIET:
        return "quiet";
    case ALERT_PENDING:
        return "pending";
    case ALERT_RAISED:
        return "raised";
    case ALERT_CLEARING:
        return "clearing";
    case ALERT_COOLING:
        return "cooling";
    }
    return "unknown";
}

/* In one text what the members before it say, for the table. */
static void put_marks(struct json_writer *w, const struct alert_view *view, bool stale)
{
    const struct alert *a = view->alert;
    const struct {
        bool given;
        const char *name;
    } marks[] = { { a->acknowledged, "acknowledged" }, { a->shelved_until_ms > 0, "shelved" },
                  { a->chattering, "chattering" },     { a->over_budget, "over_budget" },
                  { a->in_storm, "in_storm" },         { stale, "stale" },
                  { view->maintained, "maintenance" }, { view->latched, "latched" } };
    char all[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (marks[i].given)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used > 0 ? " " : "",
                                     marks[i].name); /* all of them fit */
    json_put_string(w, "marks", all);
}

void api_put_alert(struct json_writer *w, const struct alert_view *view,
                   const struct gateway_view *now)
{
    const struct alert *a = view->alert;
    bool stale = engine_alert_is_stale(now->engine, a, now->t_ms);
    json_object(w);
    json_put_string(w, "id", view->id);
    json_put_text(w, "device", view->device);
    json_put_text(w, "metric", view->metric);
    json_put_string(w, "rule", view->rule->name);
    json_put_string(w, "kind", detector_ops(view->rule->kind)->name);
    json_put_string(w, "severity", severity_name(alert_severity(a, view->rule)));
    if (a->reason != REASON_NONE) {
        json_put_string(w, "reason", reason_name(a->reason));
    }
    if (view->partner.bytes > 0)
        json_put_text(w, "partner", view->partner);
    if (view->rule->kind == DETECTOR_CYCLE)
        json_put_unsigned(w, "period", a->about);
    json_put_string(w, "state", state_name(a->state));
    json_put_integer(w, "age_ms", now->t_ms - a->since_ms);
    json_put_time(w, "onset_time", a->onset_event_ms);
    json_put_time(w, "last_time", a->last_event_ms);
    json_put_unsigned(w, "revision", a->revision);
    json_put_unsigned(w, "count", a->count);
    json_put_unsigned(w, "suppressed", a->suppressed);
    json_put_number(w, "observed", a->peak.observed);
    json_put_number(w, "score", a->peak.score);
    json_put_number(w, "threshold", a->peak.threshold);
    json_put_bool(w, "learning", a->learning);
    json_put_bool(w, "acknowledged", a->acknowledged);
    json_put_string(w, "incident", view->incident);
    json_put_unsigned(w, "member", a->member);
    json_put_bool(w, "chattering", a->chattering);
    json_put_bool(w, "over_budget", a->over_budget);
    json_put_bool(w, "in_storm", a->in_storm);
    json_put_bool(w, "stale", stale);
    json_put_bool(w, "maintenance", view->maintained);
    json_put_bool(w, "latched", view->latched);
    put_marks(w, view, stale);
    json_key(w, "shelved_until");
    if (a->shelved_until_ms > 0)
        json_time(w, a->shelved_until_ms);
    else
        json_null(w);
    json_object_end(w);
}

bool api_list_alerts(struct api *api, const struct api_request *r, int64_t mono_ms,
                     struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct alert_view alert;
    uint64_t cursor = r->after;
    bool more = true;
    (void)mono_ms;
    json_object(&w);
    json_key(&w, "alerts");
    json_array(&w);
    while (api_room(&w) && (more = engine_alert(view.engine, &cursor, &alert)))
        api_put_alert(&w, &alert, &view);
    json_array_end(&w);
    put_next(&w, more, cursor);
    json_object_end(&w);
    return api_give(response, &w);
}

/* The number before the last `max` readings. */
static uint64_t before_last(struct api *api, uint32_t max)
{
    uint64_t newest = 0;
    uint32_t count;
    while ((count = gateway_tail(api->start.gateway, newest, api->tail, API_TAIL_MAX)) > 0)
        newest = api->tail[count - 1].number;
    return newest > max ? newest - max : 0;
}

bool api_list_tail(struct api *api, const struct api_request *r, int64_t mono_ms,
                   struct api_response *response)
{
    uint32_t max = api_most(r, 20, API_TAIL_MAX);
    uint64_t after = r->has_after ? r->after : before_last(api, max);
    uint32_t count = gateway_tail(api->start.gateway, after, api->tail, max);
    if (count == 0 && r->has_after && mono_ms - r->began_ms < API_TAIL_WAIT_MS)
        return false;
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_key(&w, "readings");
    json_array(&w);
    for (uint32_t i = 0; i < count && api_room(&w); i++) {
        const struct tail_entry *e = &api->tail[i];
        json_object(&w);
        json_put_unsigned(&w, "number", e->number);
        json_put_time(&w, "arrived", e->wall_ms);
        json_put_time(&w, "event_time", e->event_time_ms);
        json_put_string(&w, "time_source", api_time_source(e->time_source));
        json_put_string(&w, "device", e->device);
        json_put_string(&w, "metric", e->metric);
        json_put_string(&w, "value", e->value);
        json_put_string(&w, "unit", e->unit);
        json_put_string(&w, "outcome", e->outcome);
        json_object_end(&w);
        after = e->number;
    }
    json_array_end(&w);
    json_put_unsigned(&w, "next", after);
    json_object_end(&w);
    return api_give(response, &w);
}
