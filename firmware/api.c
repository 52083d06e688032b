#include "firmware/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/api_state.h"
#include "pipeline/err.h"

struct api *api_init(const struct config *config, struct arena *arena)
{
    struct block_limits limits = gateway_block_limits_max(); /* blocks of other settings too */
    size_t letters_bytes = 2 * (size_t)config->json.payload_bytes + 16384;
    size_t bytes_max = letters_bytes > limits.bytes_max ? letters_bytes : limits.bytes_max;
    struct api *api = arena_take(arena, 1, sizeof *api);
    struct block_reader *reader = block_reader_init(&limits, arena);
    uint8_t *bytes = arena_take(arena, bytes_max, 1);
    struct dead_letter *letters = arena_take(arena, API_LETTERS_MAX, sizeof *letters);
    struct tail_entry *tail = arena_take(arena, API_TAIL_MAX, sizeof *tail);
    char *text = arena_take(arena, API_TEXT_BYTES, 1);
    char *store_text = arena_take(arena, API_STORE_BYTES, 1);
    if (api == NULL)
        return NULL;
    *api = (struct api){ .config = config,
                         .reader = reader,
                         .bytes = bytes,
                         .bytes_max = bytes_max,
                         .letters = letters,
                         .tail = tail,
                         .text = text,
                         .store_text = store_text };
    return api;
}

void api_start(struct api *api, const struct api_start *start)
{
    api->start = *start;
}

/* --- requests --- */

static bool read_number(const char *value, uint64_t *to)
{
    uint64_t number = 0;
    if (*value == '\0')
        return false;
    for (; *value != '\0'; value++) {
        if (*value < '0' || *value > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*value - '0');
    }
    *to = number;
    return true;
}

void api_argument(struct api_request *r, const char *name, const char *value)
{
    uint64_t number = 0;
    if (strcmp(name, "device") == 0) {
        size_t bytes = strlen(value);
        r->bad_argument |= bytes > READING_NAME_BYTES_MAX;
        (void)snprintf(r->device, sizeof r->device, "%s", value); /* too long is bad already */
        return;
    }
    if (!read_number(value, &number)) {
        r->bad_argument = true;
    } else if (strcmp(name, "after") == 0) {
        r->after = number;
        r->has_after = true;
    } else if (strcmp(name, "max") == 0) {
        r->max = number;
        r->has_max = true;
    } else if (strcmp(name, "from") == 0) {
        r->from = number;
    } else if (strcmp(name, "skip") == 0) {
        r->skip = number;
    } else if (strcmp(name, "until_ms") == 0 && number <= INT64_MAX) {
        r->until_ms = (int64_t)number;
    } else {
        r->bad_argument = true;
    }
}

/* --- answers --- */

bool api_room(const struct json_writer *w)
{
    return w->out.bytes - w->out.used > API_ITEM_BYTES;
}

static bool give(struct api_response *response, struct json_writer *w)
{
    struct text body = json_done(w);
    assert(body.bytes > 0); /* every answer leaves room for its end */
    *response = (struct api_response){ 200, "application/json", body, "" };
    return true;
}

bool api_fail(struct api *api, struct api_response *response, uint32_t status, const char *why)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_key(&w, "error");
    json_string(&w, why);
    json_object_end(&w);
    (void)give(response, &w);
    response->status = status;
    return true;
}

static uint32_t most(const struct api_request *r, uint32_t otherwise, uint32_t limit)
{
    uint64_t max = r->has_max ? r->max : otherwise;
    return (uint32_t)(max < limit ? max : limit);
}

static void put_next(struct json_writer *w, bool more, uint64_t next)
{
    json_key(w, "next");
    if (more)
        json_unsigned(w, next);
    else
        json_null(w);
}

static bool answer_status(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    (void)r, (void)mono_ms;
    api_write_status(api, &w);
    return give(response, &w);
}

static bool answer_devices(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct device_view device;
    uint32_t index = r->after < UINT32_MAX ? (uint32_t)r->after : UINT32_MAX;
    uint32_t max = most(r, 1000, 1000);
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
        json_object_end(&w);
        index++;
        max--;
    }
    json_array_end(&w);
    put_next(&w, more, index);
    json_object_end(&w);
    return give(response, &w);
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

static bool answer_series(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    struct gateway_view view = gateway_view(api->start.gateway);
    struct series_view series;
    struct text wanted = text_of(r->device);
    uint32_t index = r->after < UINT32_MAX ? (uint32_t)r->after : UINT32_MAX;
    uint32_t max = most(r, 1000, 1000);
    bool more = false;
    (void)mono_ms;
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
    return give(response, &w);
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

static bool answer_alerts(struct api *api, const struct api_request *r, int64_t mono_ms,
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
    return give(response, &w);
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

static bool answer_tail(struct api *api, const struct api_request *r, int64_t mono_ms,
                        struct api_response *response)
{
    uint32_t max = most(r, 20, API_TAIL_MAX);
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
    return give(response, &w);
}

/* --- asking for something to be done --- */

static bool done(struct api *api, struct api_response *response, int error)
{
    if (error == WEIR_ENOTFOUND)
        return api_fail(api, response, 404, "there is no open alert with this id");
    if (error != 0)
        return api_fail(api, response, 503, "not now; try again");
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_key(&w, "accepted");
    json_bool(&w, true);
    json_object_end(&w);
    (void)give(response, &w);
    response->status = 202; /* it is on disk with the next commit */
    return true;
}

/* /api/v1/alerts/ID/VERB */
static bool answer_command(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    char id[ALERT_ID_BYTES + 1], verb[16], command[96];
    (void)mono_ms;
    static_assert(ALERT_ID_BYTES == 26, "the format below names it");
    if (sscanf(r->path, "/api/v1/alerts/%26[0-9A-Za-z]/%15[a-z]", id, verb) != 2 ||
        strlen(id) != ALERT_ID_BYTES)
        return api_fail(api, response, 404, "want /api/v1/alerts/ID/ack, shelve or unshelve");
    if (strcmp(verb, "shelve") == 0)
        (void)snprintf(command, sizeof command, "shelve %s %lld", id, (long long)r->until_ms);
    else if (strcmp(verb, "ack") == 0 || strcmp(verb, "unshelve") == 0)
        (void)snprintf(command, sizeof command, "%s %s", verb, id);
    else
        return api_fail(api, response, 404, "want ack, shelve or unshelve");
    if (strcmp(verb, "shelve") == 0 && r->until_ms == 0)
        return api_fail(api, response, 400, "shelve needs until_ms");
    return done(api, response, gateway_command(api->start.gateway, text_of(command)));
}

static bool answer_reload(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    char why[256] = "";
    (void)r, (void)mono_ms;
    int error = api->start.reload_inventory(api->start.ctx, why);
    return error == 0 ? done(api, response, 0) : api_fail(api, response, 422, why);
}

/* --- from the store --- */

static bool answer_letters(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    (void)mono_ms;
    struct question question = { .kind = QUESTION_LETTERS,
                                 .after = r->has_after ? r->after : UINT64_MAX,
                                 .max = most(r, 20, API_LETTERS_MAX) };
    return api_ask(api, r, &question, response);
}

static bool answer_letter(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct question question = { .kind = QUESTION_LETTER };
    (void)mono_ms;
    if (!read_number(r->path + strlen("/api/v1/dlq/"), &question.from))
        return api_fail(api, response, 404, "want /api/v1/dlq/ID, a number");
    return api_ask(api, r, &question, response);
}

static bool answer_export(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct question question = { .kind = QUESTION_EXPORT, .from = r->from, .skip = r->skip };
    (void)mono_ms;
    return api_ask(api, r, &question, response);
}

static const struct route {
    const char *path;
    bool prefix; /* more follows */
    bool post;
    bool (*answer)(struct api *api, const struct api_request *r, int64_t mono_ms,
                   struct api_response *response);
} routes[] = {
    { "/api/v1/status", false, false, answer_status },
    { "/api/v1/devices", false, false, answer_devices },
    { "/api/v1/series", false, false, answer_series },
    { "/api/v1/alerts", false, false, answer_alerts },
    { "/api/v1/alerts/", true, true, answer_command },
    { "/api/v1/tail", false, false, answer_tail },
    { "/api/v1/dlq", false, false, answer_letters },
    { "/api/v1/dlq/", true, false, answer_letter },
    { "/api/v1/export", false, false, answer_export },
    { "/api/v1/inventory/reload", false, true, answer_reload },
};

bool api_answer(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response)
{
    assert(r->number != 0);
    if (r->bad_argument)
        return api_fail(api, response, 400, "an argument is unknown or not a number");
    bool known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        bool fits = route->prefix ? strncmp(r->path, route->path, strlen(route->path)) == 0
                                  : strcmp(r->path, route->path) == 0;
        if (fits && route->post == r->post)
            return route->answer(api, r, mono_ms, response);
        known |= fits;
    }
    return known ? api_fail(api, response, 405, "wrong method")
                 : api_fail(api, response, 404, "there is no such resource");
}

void api_forget(struct api *api, uint64_t number)
{
    if (api->question.request == number)
        api->question.request = 0;
}
