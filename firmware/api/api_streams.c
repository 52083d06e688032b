/* What the api answers about streams. */
#include "firmware/api/api_state.h"

static const char *hint_text(enum stream_hint hint)
{
    switch (hint) {
    case STREAM_HINT_NONE:
        return "";
    case STREAM_HINT_TIGHT:
        return "lateness too tight";
    case STREAM_HINT_LONG:
        return "lateness longer than needed";
    }
    return "";
}

static const char *window_text(enum stream_window window)
{
    switch (window) {
    case STREAM_TUMBLING:
        return "tumbling";
    case STREAM_HOPPING:
        return "hopping";
    case STREAM_SESSION:
        return "session";
    case STREAM_SLIDING:
        return "sliding";
    }
    return "";
}

static void put_delays(struct json_writer *w, const struct stream_counts *c)
{
    uint64_t all = 0, within = 0;
    for (int i = 0; i <= STREAM_DELAYS; i++)
        all += c->delays[i];
    json_key(w, "lateness");
    json_array(w);
    for (int i = 0; i < STREAM_DELAYS && within < all; i++) {
        within += c->delays[i];
        json_object(w);
        json_put_integer(w, "lateness_ms", stream_delays_ms[i]);
        json_put_unsigned(w, "readings", c->delays[i]);
        json_put_number(w, "complete", (double)within / (double)all);
        json_object_end(w);
    }
    json_array_end(w);
    json_put_unsigned(w, "beyond", c->delays[STREAM_DELAYS]);
}

static void put_stream(struct json_writer *w, const struct stream_plan *plan,
                       const struct stream_counts *c)
{
    const struct stream_config *config = plan->config;
    enum stream_hint hint = stream_hint_of(plan, c);
    int64_t enough_ms = stream_lateness_for(c, 0.001);
    uint64_t late = c->late + c->late_partly;
    json_object(w);
    json_put_string(w, "name", config->name);
    json_put_string(w, "window", window_text(config->window));
    json_put_integer(w, "size_ms", config->window == STREAM_SLIDING
                                       ? (int64_t)plan->window_panes * plan->pane_ms
                                       : config->size_ms);
    if (config->last_count > 0)
        json_put_unsigned(w, "last", config->last_count);
    json_put_integer(w, "slide_ms", (int64_t)plan->slide_panes * plan->pane_ms);
    json_put_integer(w, "lateness_ms", config->lateness_ms);
    json_put_unsigned(w, "keys", c->keys);
    json_put_unsigned(w, "keys_max", config->keys_max);
    json_put_unsigned(w, "key_bytes", stream_key_bytes(plan));
    json_put_unsigned(w, "readings", c->taken);
    json_put_unsigned(w, "late", c->late);
    json_put_unsigned(w, "late_partly", c->late_partly);
    json_put_number(w, "late_ratio", c->taken > 0 ? (double)late / (double)c->taken : 0);
    json_put_unsigned(w, "without_key", c->without_key);
    json_put_unsigned(w, "refused", c->refused);
    json_put_unsigned(w, "evicted", c->evicted);
    json_put_unsigned(w, "expired", c->expired);
    json_put_unsigned(w, "forced", c->forced);
    json_put_unsigned(w, "results", c->results);
    json_put_unsigned(w, "revisions", c->revisions);
    json_put_unsigned(w, "retractions", c->retractions);
    json_put_unsigned(w, "early", c->early);
    json_put_string(w, "hint", hint_text(hint));
    json_key(w, "lateness_enough_ms");
    if (enough_ms < INT64_MAX)
        json_integer(w, enough_ms);
    else
        json_null(w);
    put_delays(w, c);
    json_object_end(w);
}

bool api_list_streams(struct api *api, const struct api_request *r, int64_t mono_ms,
                      struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    const struct stream_set *set = &api_in_force(api)->engine.streams;
    (void)r, (void)mono_ms;
    json_object(&w);
    json_key(&w, "streams");
    json_array(&w);
    for (uint32_t i = 0; i < set->count; i++) {
        struct stream_counts counts = engine_stream_counts(view.engine, i);
        put_stream(&w, &set->plans[i], &counts);
    }
    json_array_end(&w);
    json_key(&w, "next");
    json_null(&w);
    json_object_end(&w);
    return api_give(response, &w);
}

void api_put_streams(const struct api *api, const struct engine *engine, struct prometheus *p)
{
    static const struct {
        const char *name, *help;
        enum prometheus_kind kind;
        size_t offset; /* in struct stream_counts */
    } families[] = {
#define COUNTED(name, field, help) \
    { "weir_stream_" name, help, PROMETHEUS_COUNTER, offsetof(struct stream_counts, field) }
        COUNTED("readings_total", taken, "Readings that a stream took."),
        COUNTED("late_total", late, "Of them, too late for all their windows."),
        COUNTED("late_partly_total", late_partly, "Of them, too late for some."),
        COUNTED("without_key_total", without_key, "Of them, without a key that can be kept."),
        COUNTED("refused_total", refused, "Of them, whose key had no room."),
        COUNTED("keys_evicted_total", evicted, "Keys that gave way to others."),
        COUNTED("keys_expired_total", expired, "Keys forgotten."),
        COUNTED("windows_forced_total", forced, "Windows told early for want of room."),
        COUNTED("results_total", results, "Windows told."),
        COUNTED("revisions_total", revisions, "Windows told again because of late readings."),
        COUNTED("retractions_total", retractions, "Sessions taken back."),
        COUNTED("early_total", early, "Windows told while they were open."),
#undef COUNTED
    };
    const struct stream_set *set = &api_in_force(api)->engine.streams;
    if (set->count == 0)
        return;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        prometheus_family(p, families[f].kind, families[f].name, families[f].help);
        for (uint32_t i = 0; i < set->count; i++) {
            struct stream_counts counts = engine_stream_counts(engine, i);
            uint64_t value;
            memcpy(&value, (const char *)&counts + families[f].offset, sizeof value);
            const struct prometheus_label labels[2] = {
                { "stream", set->plans[i].config->name }
            };
            prometheus_count(p, labels, value);
        }
    }
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_stream_keys", "Keys that a stream holds.");
    for (uint32_t i = 0; i < set->count; i++) {
        const struct prometheus_label labels[2] = { { "stream", set->plans[i].config->name } };
        prometheus_count(p, labels, engine_stream_counts(engine, i).keys);
    }
}
