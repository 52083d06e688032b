/* Why an alert was raised: what its detector measured, each term of that, and what would have had
 * to differ. All of it is kept with the alert, as of its most anomalous reading. */
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"

enum { UNLESS_BYTES = 320 };

struct unless { /* a sentence being put together; cut where it does not fit, which it does */
    char at[UNLESS_BYTES];
    size_t used;
};

static void say(struct unless *u, const char *words)
{
    size_t room = sizeof u->at - u->used;
    int bytes = snprintf(u->at + u->used, room, "%s", words);
    u->used += bytes >= 0 && (size_t)bytes < room ? (size_t)bytes : room - 1;
}

static void say_number(struct unless *u, const char *before, double number, const char *after)
{
    char words[160];
    (void)snprintf(words, sizeof words, "%s%.6g%s", before, number, after);
    say(u, words);
}

static void say_band(struct unless *u, const struct alert_figures *f)
{
    bool low = f->low > -READING_NUMBER_MAX, high = f->high < READING_NUMBER_MAX;
    if (low && high && f->low <= f->high) {
        say_number(u, "a value from ", f->low, "");
        say_number(u, " to ", f->high, "");
    } else if (high) {
        say_number(u, "a value of at most ", f->high, "");
    } else {
        say_number(u, "a value of at least ", f->low, "");
    }
}

/* The score is the largest term but drift's, and drift's beside it: a term that reaches the bar
 * with drift's would have raised the alert alone. */
static bool fires(const struct alert *a, int reason)
{
    double term = a->terms[reason] / 1000.0, drift = a->terms[REASON_DRIFT] / 1000.0;
    if (reason == REASON_DRIFT)
        return false;
    return term > 0 && term + drift >= a->peak.threshold - 0.001; /* as they are kept */
}

static void say_terms(struct unless *u, const struct alert *a)
{
    double drift = a->terms[REASON_DRIFT] / 1000.0;
    bool value = false, any = false;
    for (int reason = 1; reason < REASON_TERMS; reason++) {
        if (!fires(a, reason))
            continue;
        value |= reason == REASON_SPIKE || reason == REASON_HIGH || reason == REASON_LOW ||
                 reason == REASON_CODE;
        say(u, any ? " and " : "");
        say(u, reason_name((enum reason)reason));
        say_number(u, " below ", a->peak.threshold - drift, "");
        any = true;
    }
    say(u, any ? "" : "a score below the bar");
    if (drift > 0)
        say_number(u, " (", drift, " of the bar is drift's part)");
    if (value) {
        say(u, "; for a single reading: ");
        say_band(u, &a->peak);
    }
}

static void say_unless(struct unless *u, enum detector_kind kind, const struct alert *a)
{
    const struct alert_figures *f = &a->peak;
    switch (kind) {
    case DETECTOR_LIMIT:
    case DETECTOR_RANGE:
        say_band(u, f);
        break;
    case DETECTOR_COUNTER:
        say_number(u, "a value of at least ", f->low, ", the one before it");
        break;
    case DETECTOR_RATE:
        say_number(u, "a change of at most ", f->threshold, " a second: ");
        say_band(u, f);
        break;
    case DETECTOR_SPIKE:
        say_number(u, "less than ", f->threshold, " spreads: ");
        say_band(u, f);
        break;
    case DETECTOR_SHIFT:
        say_number(u, "a sum of deviations below ", f->threshold, "; nothing adds to it that is ");
        say_band(u, f);
        break;
    case DETECTOR_STUCK:
        say_number(u, "another value within ", f->threshold, " readings");
        break;
    case DETECTOR_NOISE:
        say_number(u, "a change of the usual size within ", f->threshold, " changes");
        break;
    case DETECTOR_SILENT:
        say_number(u, "a reading within ", f->high / 1000, " s of the one before");
        break;
    case DETECTOR_MISSING:
        say_number(u, "at least ", f->low, " readings in that hour");
        break;
    case DETECTOR_CYCLE:
        say_number(u, "a score below ", f->threshold, ": readings like those a period before");
        break;
    case DETECTOR_SIBLINGS:
        say_number(u, "a score below ", f->threshold, ": readings that go with the other metric's");
        break;
    case DETECTOR_BASELINE:
        say_terms(u, a);
        break;
    case DETECTOR_KINDS:
        break;
    }
}

static void put_terms(struct json_writer *w, const struct alert *a)
{
    json_key(w, "terms");
    json_array(w);
    for (int reason = 1; reason < REASON_TERMS; reason++) {
        json_object(w);
        json_put_string(w, "name", reason_name((enum reason)reason));
        json_put_number(w, "value", a->terms[reason] / 1000.0);
        json_put_bool(w, "fires", fires(a, reason));
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_explanation(struct json_writer *w, const struct alert_view *view)
{
    const struct alert *a = view->alert;
    struct unless unless = { .used = 0 };
    bool band = a->peak.low <= a->peak.high;
    say_unless(&unless, view->rule->kind, a);
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
    json_put_string(w, "unless", unless.at);
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
