#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "pipeline/codec/envelope.h"
#include "pipeline/codec/envelope_parts.h"

struct open_telemetry { /* its name of a severity, and its number */
    const char *text;
    int64_t number;
};

static struct open_telemetry open_telemetry(enum severity severity)
{
    switch (severity) {
    case SEVERITY_LEARNING:
    case SEVERITY_INFO:
        return (struct open_telemetry){ "INFO", 9 };
    case SEVERITY_WARNING:
        return (struct open_telemetry){ "WARN", 13 };
    case SEVERITY_MINOR:
        return (struct open_telemetry){ "WARN2", 14 };
    case SEVERITY_MAJOR:
        return (struct open_telemetry){ "ERROR", 17 };
    case SEVERITY_CRITICAL:
    case SEVERITIES:
        break;
    }
    return (struct open_telemetry){ "FATAL", 21 };
}

static const char *transition_name(enum alert_transition transition)
{
    assert(transition != ALERT_NO_CHANGE);
    return transition == ALERT_RAISE ? "raised" : transition == ALERT_CLEAR ? "cleared" : "updated";
}

static void put_text_given(struct json_writer *w, const char *key, struct text value)
{
    if (value.bytes == 0)
        return;
    json_put_text(w, key, value);
}

/* What the detector expected; the mean is the series' own, of late. A limit to one side only stands
 * at READING_NUMBER_MAX on the other, which says nothing to anybody outside. */
static void put_expected(struct json_writer *w, const struct alert_event *event)
{
    const struct alert_figures *verdict = &event->alert->peak;
    json_key(w, "expected");
    json_object(w);
    bool band = verdict->low <= verdict->high;
    if (band && verdict->low > -READING_NUMBER_MAX)
        json_put_number(w, "low", verdict->low);
    if (band && verdict->high < READING_NUMBER_MAX)
        json_put_number(w, "high", verdict->high);
    if (event->usual != NULL && event->usual->count > 0)
        json_put_number(w, "mean", event->usual->ew_mean);
    json_object_end(w);
}

static void put_recent(struct json_writer *w, const struct alert_event *event)
{
    assert(event->recent_count <= ENVELOPE_RECENT_MAX);
    json_key(w, "recent");
    json_array(w);
    for (uint32_t i = 0; i < event->recent_count; i++) {
        json_object(w);
        json_put_time(w, "time", event->recent[i].event_time_ms);
        json_put_number(w, "value", event->recent[i].value);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_device(struct json_writer *w, const struct inventory_entry *device)
{
    json_key(w, "enrichment");
    json_object(w);
    if (device != NULL) {
        put_text_given(w, "site", text_of(device->site));
        put_text_given(w, "line", text_of(device->line));
        put_text_given(w, "model", text_of(device->model));
        put_text_given(w, "unit", text_of(device->unit));
        if (device->has_low)
            json_put_number(w, "low", device->low);
        if (device->has_high)
            json_put_number(w, "high", device->high);
    }
    json_object_end(w);
}

/* What shedding leaves out first. */
static void put_enrichment(struct json_writer *w, const struct alert_event *event,
                           const struct inventory_entry *device, bool enriched)
{
    if (!enriched) {
        json_put_bool(w, "enrichment_left_out", true);
        return;
    }
    put_expected(w, event);
    put_recent(w, event);
    put_device(w, device);
}

static void put_identity(struct json_writer *w, const struct alert_event *event)
{
    json_put_string(w, "alert_id", event->id);
    json_put_unsigned(w, "revision", event->alert->revision);
    json_put_string(w, "transition", transition_name(event->transition));
    json_put_string(w, "state", event->transition == ALERT_CLEAR ? "cleared" : "raised");
    json_put_text(w, "device", event->device);
    json_put_text(w, "metric", event->metric);
    put_text_given(w, "unit", event->unit);
    json_put_string(w, "rule", event->rule->name);
    json_put_string(w, "detector", detector_ops(event->rule->kind)->name);
}

static void put_incident(struct json_writer *w, const struct alert_event *event)
{
    if (event->incident[0] == '\0')
        return;
    json_key(w, "incident");
    json_object(w);
    json_put_string(w, "id", event->incident);
    json_put_unsigned(w, "member", event->alert->member);
    json_object_end(w);
}

static void put_marks(struct json_writer *w, const struct alert *alert)
{
    if (alert->chattering)
        json_put_bool(w, "chattering", true);
    if (alert->over_budget)
        json_put_bool(w, "over_budget", true);
    if (alert->in_storm)
        json_put_bool(w, "in_storm", true);
}

static void put_finding(struct json_writer *w, const struct alert_event *event, int64_t wall_ms)
{
    const struct alert *alert = event->alert;
    json_put_bool(w, "acknowledged", alert->acknowledged);
    json_put_bool(w, "shelved", alert->shelved_until_ms > wall_ms);
    if (alert->shelved_until_ms > wall_ms)
        json_put_time(w, "shelved_until", alert->shelved_until_ms);
    json_put_bool(w, "learning", alert->learning);
    json_put_bool(w, "notify", event->notify);
    put_incident(w, event);
    put_marks(w, alert);
    put_text_given(w, "partner", event->partner);
    if (event->rule->kind == DETECTOR_CYCLE)
        json_put_unsigned(w, "period", alert->about);
    if (event->maintained)
        json_put_bool(w, "maintenance", true);
    json_put_string(w, "severity", severity_name(event->severity));
    if (alert->reason != REASON_NONE)
        json_put_string(w, "reason", reason_name(alert->reason));
    json_put_number(w, "observed", alert->peak.observed);
    json_put_number(w, "score", alert->peak.score);
    json_put_number(w, "threshold", alert->peak.threshold);
    json_put_time(w, "onset", alert->onset_event_ms);
    json_put_time(w, "last_seen", alert->last_event_ms);
    json_put_unsigned(w, "count", alert->count);
    json_put_unsigned(w, "suppressed", alert->suppressed);
    json_key(w, "journal");
    json_object(w);
    json_put_unsigned(w, "first_block", event->first_block);
    json_put_unsigned(w, "last_block", event->last_block);
    json_object_end(w);
    json_put_unsigned(w, "contract_version", event->contract_version);
}

struct text envelope_alert(const struct envelope *e, uint64_t sequence,
                           const struct alert_event *event, const struct inventory_entry *device,
                           bool enriched, void *to, size_t bytes)
{
    const struct open_telemetry severity = open_telemetry(event->severity);
    int64_t wall_ms = event->t_ms + e->offset_ms;
    char id[ALERT_ID_BYTES + 12];
    (void)snprintf(id, sizeof id, "%s.%" PRIu32, event->id, event->alert->revision); /* fits */
    struct json_writer w = json_writer_over(to, bytes);
    const struct envelope_attributes attributes = {
        .kind = "alert", .id = id, .lane = e->alerts_lane, .sequence = sequence,
        .time_ms = event->event_time_ms, .recorded_ms = wall_ms,
        .subject = { event->device, event->metric },
    };
    envelope_attributes(&w, e, &attributes);
    json_put_string(&w, "severitytext", severity.text);
    json_put_integer(&w, "severitynumber", severity.number);
    json_key(&w, "data");
    json_object(&w);
    put_identity(&w, event);
    put_finding(&w, event, wall_ms);
    put_enrichment(&w, event, device, enriched);
    envelope_gateway(&w, e);
    json_object_end(&w);
    json_object_end(&w);
    return json_done(&w);
}
