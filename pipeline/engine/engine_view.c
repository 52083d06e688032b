/* Looking at the state. Nothing here changes anything. */
#include <string.h>

#include "pipeline/engine/engine_state.h"

struct engine_counts engine_counts(const struct engine *engine)
{
    struct engine_counts counts = engine->counts;
    counts.devices = engine->device_count;
    counts.series = engine->series_count;
    counts.storm = engine->flood.on;
    return counts;
}

enum shed_level engine_shed_level(const struct engine *engine)
{
    return engine->shed.level;
}

struct clock_record engine_clock(const struct engine *engine)
{
    return engine->clock;
}

int64_t engine_t_ms(const struct engine *engine)
{
    return engine->t_ms;
}

int64_t engine_lag_told_ms(const struct engine *engine)
{
    return engine->lag_ms;
}

bool engine_device(const struct engine *engine, uint32_t index, struct device_view *view)
{
    if (index >= engine->device_count)
        return false;
    const struct device *d = &engine->devices[index];
    static const struct series none = { .last_t_ms = 0 };
    const struct series *s =
        d->last_series != ENGINE_NONE ? &engine->series[d->last_series] : &none;
    *view = (struct device_view){
        .device = engine_name(engine, d->name),
        .series = d->series_count,
        .readings = d->readings,
        .last_t_ms = s->last_t_ms,
        .last_event_ms = s->last_event_ms,
        .alerts_open = d->alerts_open,
        .gone = d->gone,
    };
    return true;
}

static bool is_live(const struct engine *e, const struct watch *w)
{
    return w->open && alert_is_live(&e->alerts[w->place].alert);
}

static bool is_told(const struct engine *e, const struct watch *w)
{
    return is_live(e, w) && e->alerts[w->place].alert.state != ALERT_PENDING;
}

bool engine_series(const struct engine *engine, uint32_t index, struct series_view *view)
{
    if (index >= engine->series_count)
        return false;
    const struct series *s = &engine->series[index];
    *view = (struct series_view){
        .device = engine_name(engine, engine->devices[s->device].name),
        .metric = engine_name(engine, s->metric),
        .unit = engine_name(engine, s->unit),
        .statistics = &s->statistics,
        .watermark_ms = s->watermark_ms,
        .learning = engine_is_learning(engine, s),
    };
    for (uint32_t i = 0; i < s->watch_count; i++)
        view->alerts_open += is_told(engine, &engine_watches(engine, index)[i]);
    return true;
}

bool engine_watermark(const struct engine *engine, uint32_t index, int64_t *watermark_ms,
                      int64_t *last_t_ms)
{
    if (index >= engine->series_count)
        return false;
    *watermark_ms = engine->series[index].watermark_ms;
    *last_t_ms = engine->series[index].last_t_ms;
    return true;
}

static void view_alert(const struct engine *e, const struct watch *w, struct alert_view *view)
{
    view->alert = &e->alerts[w->place].alert;
    struct hash128 key = alert_key(e->config->store, view->device, view->metric,
                                   text_of(view->rule->name), view->alert->number);
    alert_id_of(key, view->id);
    engine_incident_id(e, view->device, view->alert, view->incident);
    view->partner = engine_partner(e, view->rule, view->alert);
    view->maintained = engine_is_maintained(e, view->device);
    view->latched = alert_is_latched(view->alert, view->rule, e->t_ms);
}

/* Those that are not quiet, or those that were told, over or not. */
static bool is_wanted(const struct engine *e, const struct watch *w, bool past)
{
    if (!past)
        return is_live(e, w);
    const struct alert *alert = &e->alerts[w->open ? w->place : 0].alert;
    return w->open && (alert_is_open(alert) || alert_is_past(alert));
}

/* The cursor counts the places of all series, after them the devices, and the gateway last. */
static bool next_alert(const struct engine *engine, uint64_t *cursor, bool past,
                       struct alert_view *view)
{
    uint32_t stride = engine->config->rules_per_series;
    uint64_t places = (uint64_t)engine->series_count * stride;
    for (; *cursor < places; ++*cursor) {
        uint32_t series = (uint32_t)(*cursor / stride);
        const struct watch *w = &engine_watches(engine, series)[*cursor % stride];
        const struct series *s = &engine->series[series];
        if (*cursor % stride >= s->watch_count || !is_wanted(engine, w, past))
            continue;
        *view = (struct alert_view){ .device = engine_name(engine, engine->devices[s->device].name),
                                     .metric = engine_name(engine, s->metric),
                                     .rule = &engine->config->rules[w->rule] };
        view_alert(engine, w, view);
        ++*cursor;
        return true;
    }
    uint64_t of_devices = (uint64_t)engine->device_count * ENGINE_DEVICE_RULES;
    for (; *cursor - places < of_devices; ++*cursor) {
        uint64_t what = (*cursor - places) % ENGINE_DEVICE_RULES;
        const struct device *d = &engine->devices[(*cursor - places) / ENGINE_DEVICE_RULES];
        if (!is_wanted(engine, &d->watches[what], past))
            continue;
        *view = (struct alert_view){ .device = engine_name(engine, d->name),
                                     .rule = &engine_device_rules[what] };
        view_alert(engine, &d->watches[what], view);
        ++*cursor;
        return true;
    }
    for (; *cursor - places - of_devices < ENGINE_OWN; ++*cursor) {
        uint64_t what = *cursor - places - of_devices;
        if (!is_wanted(engine, &engine->own[what], past))
            continue;
        *view = (struct alert_view){ .device = text_of(ENGINE_GATEWAY_NAME),
                                     .metric = text_of(engine_own_rules[what].metric),
                                     .rule = &engine_own_rules[what] };
        view_alert(engine, &engine->own[what], view);
        ++*cursor;
        return true;
    }
    return false;
}

bool engine_alert(const struct engine *engine, uint64_t *cursor, struct alert_view *view)
{
    return next_alert(engine, cursor, false, view);
}

bool engine_alert_find(const struct engine *engine, const char *id, struct alert_view *view)
{
    for (uint64_t cursor = 0; next_alert(engine, &cursor, true, view);)
        if (strcmp(view->id, id) == 0)
            return true;
    return false;
}
