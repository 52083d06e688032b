/* Why an alert was raised: what its detector measured, each term of that, and what would have had
 * to differ. All of it is kept with the alert, as of its most anomalous reading. */
#include <string.h>

#include "firmware/api/api_state.h"
#include "firmware/api/explain.h"

static void put_terms(struct json_writer *w, const struct alert *a)
{
    json_key(w, "terms");
    json_array(w);
    for (int reason = 1; reason < REASON_TERMS; reason++) {
        json_object(w);
        json_put_string(w, "name", reason_name((enum reason)reason));
        json_put_number(w, "value", a->terms[reason] / 1000.0);
        json_put_bool(w, "fires", explain_fires(a, reason));
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_explanation(struct json_writer *w, const struct alert_view *view)
{
    const struct alert *a = view->alert;
    char unless[EXPLAIN_BYTES];
    bool band = a->peak.low <= a->peak.high;
    bool of_stream = view->metric.bytes >= strlen(STREAM_METRIC) &&
                     memcmp(view->metric.at, STREAM_METRIC, strlen(STREAM_METRIC)) == 0;
    explain_unless(view, unless);
    if (of_stream)
        (void)snprintf(unless, sizeof unless, "results that the rule's `when` is not true of");
    json_key(w, "low");
    if (band && a->peak.low > -READING_NUMBER_MAX)
        json_number(w, a->peak.low);
    else
        json_null(w);
    json_key(w, "high");
    if (band && a->peak.high < READING_NUMBER_MAX)
        json_number(w, a->peak.high);
    else
        json_null(w);
    if (view->rule->kind == DETECTOR_BASELINE)
        put_terms(w, a);
    json_put_string(w, "unless", unless);
    json_put_unsigned(w, "onset_block", a->onset_block);
    json_put_integer(w, "onset_ms", a->onset_event_ms);
    json_put_integer(w, "last_ms", a->last_event_ms);
}

bool api_explain_alert(struct api *api, const struct api_request *r, int64_t mono_ms,
                       struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct alert_view alert;
    (void)mono_ms;
    if (!engine_alert_find(view.engine, r->path + strlen("/api/v1/explain/"), &alert))
        return api_fail(api, response, 404,
                        "nothing is known of an alert with this id: it never was, or is over for a "
                        "day, or another of its rule and series came after it");
    json_object(&w);
    json_key(&w, "alert");
    api_put_alert(&w, &alert, &view);
    put_explanation(&w, &alert);
    json_object_end(&w);
    return api_give(response, &w);
}
