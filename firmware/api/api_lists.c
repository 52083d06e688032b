/* What the api answers from memory as lists: devices, series, alerts, the last readings. */
#include <assert.h>
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
        json_key(&w, "device");
        json_text(&w, device.device);
        json_key(&w, "series");
        json_unsigned(&w, device.series);
        json_key(&w, "readings");
        json_unsigned(&w, device.readings);
        json_key(&w, "last_event_time");
        json_time(&w, device.last_event_ms);
        json_key(&w, "age_ms");
        json_integer(&w, view.t_ms - device.last_t_ms);
        json_key(&w, "alerts_open");
        json_unsigned(&w, device.alerts_open);
        json_key(&w, "gone");
        json_bool(&w, device.gone);
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
    json_key(w, "device");
    json_text(w, series->device);
    json_key(w, "metric");
    json_text(w, series->metric);
    json_key(w, "unit");
    json_text(w, series->unit);
    json_key(w, "count");
    json_unsigned(w, s->count);
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
            json_key(w, figures[i].key);
            json_number(w, figures[i].value);
        }
        json_key(w, "last_event_time");
        json_time(w, s->last_ms);
    }
    json_key(w, "watermark_ms");
    json_integer(w, series->watermark_ms);
    json_key(w, "alerts_open");
    json_unsigned(w, series->alerts_open);
    json_key(w, "learning");
    json_bool(w, series->learning);
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

static void put_alert(struct json_writer *w, const struct alert_view *view, int64_t t_ms)
{
    static const char *const severities[] = { "info", "warning", "minor", "major", "critical" };
    const struct alert *a = view->alert;
    json_object(w);
    json_key(w, "id");
    json_string(w, view->id);
    json_key(w, "device");
    json_text(w, view->device);
    json_key(w, "metric");
    json_text(w, view->metric);
    json_key(w, "rule");
    json_string(w, view->rule->name);
    json_key(w, "kind");
    json_string(w, detector_ops(view->rule->kind)->name);
    json_key(w, "severity");
    json_string(w, severities[a->learning ? SEVERITY_INFO : view->rule->severity]);
    if (a->reason != REASON_NONE) {
        json_key(w, "reason");
        json_string(w, reason_name(a->reason));
    }
    json_key(w, "state");
    json_string(w, state_name(a->state));
    json_key(w, "age_ms");
    json_integer(w, t_ms - a->since_ms);
    json_key(w, "onset_time");
    json_time(w, a->onset_event_ms);
    json_key(w, "last_time");
    json_time(w, a->last_event_ms);
    json_key(w, "revision");
    json_unsigned(w, a->revision);
    json_key(w, "count");
    json_unsigned(w, a->count);
    json_key(w, "suppressed");
    json_unsigned(w, a->suppressed);
    json_key(w, "observed");
    json_number(w, a->last.observed);
    json_key(w, "score");
    json_number(w, a->last.score);
    json_key(w, "threshold");
    json_number(w, a->last.threshold);
    json_key(w, "learning");
    json_bool(w, a->learning);
    json_key(w, "acknowledged");
    json_bool(w, a->acknowledged);
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
        put_alert(&w, &alert, view.t_ms);
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
        json_key(&w, "number");
        json_unsigned(&w, e->number);
        json_key(&w, "arrived");
        json_time(&w, e->wall_ms);
        json_key(&w, "event_time");
        json_time(&w, e->event_time_ms);
        json_key(&w, "time_source");
        json_string(&w, api_time_source(e->time_source));
        json_key(&w, "device");
        json_string(&w, e->device);
        json_key(&w, "metric");
        json_string(&w, e->metric);
        json_key(&w, "value");
        json_string(&w, e->value);
        json_key(&w, "unit");
        json_string(&w, e->unit);
        json_key(&w, "outcome");
        json_string(&w, e->outcome);
        json_object_end(&w);
        after = e->number;
    }
    json_array_end(&w);
    json_key(&w, "next");
    json_unsigned(&w, after);
    json_object_end(&w);
    return api_give(response, &w);
}
