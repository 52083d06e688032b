#include "firmware/api/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "firmware/board/board.h"
#include "pipeline/err.h"
#include "pipeline/timestamp.h"

struct api *api_init(const struct config *config, struct arena *arena)
{
    struct block_limits limits = gateway_block_limits_max(); /* blocks of other settings too */
    size_t letters_bytes =
        2 * ((size_t)config->json.payload_bytes + 8 * (size_t)config->json.readings) + 16384;
    size_t bytes_max = letters_bytes > limits.bytes_max ? letters_bytes : limits.bytes_max;
    struct api *api = arena_take(arena, 1, sizeof *api);
    struct block_reader *reader = block_reader_init(&limits, arena);
    uint8_t *bytes = arena_take(arena, bytes_max, 1);
    struct dead_letter *letters = arena_take(arena, API_LETTERS_MAX, sizeof *letters);
    bool streams = config->stream_count > 0 || config->reload_bytes > 0;
    uint32_t results_max = streams ? API_RESULTS_MAX : 0;
    struct kept_result *results = arena_take(arena, results_max, sizeof *results);
    struct tail_entry *tail = arena_take(arena, API_TAIL_MAX, sizeof *tail);
    uint8_t *backfill = arena_take(arena, GATEWAY_BACKFILL_BYTES, 1);
    char *text = arena_take(arena, API_TEXT_BYTES, 1);
    char *store_text = arena_take(arena, API_STORE_BYTES, 1);
    if (api == NULL)
        return NULL;
    *api = (struct api){ .config = config,
                         .reader = reader,
                         .bytes = bytes,
                         .bytes_max = bytes_max,
                         .letters = letters,
                         .results = results,
                         .numbered_from = UINT64_MAX,
                         .tail = tail,
                         .backfill = { .bytes = backfill },
                         .text = text,
                         .store_text = store_text };
    return api;
}

void api_start(struct api *api, const struct api_start *start)
{
    api->start = *start;
    api->budget = budget_of(api->config);
    updater_init(&api->update.updater, api->config->updater_path, start->loop);
}

void api_turn(struct api *api, int64_t mono_ms)
{
    api_update_turn(api, mono_ms);
    if (mono_ms - api->surveyed_ms < API_SURVEY_MS)
        return;
    api->surveyed_ms = mono_ms;
    struct gateway_view view = gateway_view(api->start.gateway);
    struct survey_now now = { view.t_ms, view.wall_ms, api->config->engine.idle_ms };
    survey_slice(&api->survey, view.engine, &now, API_SURVEY_SERIES);
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

struct api_request api_request_begin(uint64_t number, bool post, int64_t mono_ms)
{
    return (struct api_request){ .number = number,
                                 .post = post,
                                 .began_ms = mono_ms,
                                 .qos = 1,
                                 .wait_ms = API_COMMAND_WAIT_MS };
}

static bool read_digit(char c, uint32_t *to)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = strchr(digits, c);
    if (c == '\0' || at == NULL)
        return false;
    *to = (uint32_t)(at - digits) % 16;
    return true;
}

bool api_read_hex(const char *value, uint8_t *to, uint32_t bytes, uint32_t *used)
{
    uint32_t high, low;
    for (*used = 0; *value != '\0'; value += 2, ++*used) {
        if (!read_digit(value[0], &high) || !read_digit(value[1], &low))
            return false;
        if (*used < bytes)
            to[*used] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void read_payload(struct api_request *r, const char *value)
{
    r->has_payload = true;
    r->bad_argument |= !api_read_hex(value, r->payload, sizeof r->payload, &r->payload_bytes);
    r->payload_too_large = r->payload_bytes > sizeof r->payload;
}

/* Of results: RFC 3339 or Unix milliseconds. `from` of an export is a number. */
static void read_time(struct api_request *r, bool from, const char *value)
{
    uint64_t number = 0;
    int64_t *to = from ? &r->from_ms : &r->to_ms;
    bool is_number = read_number(value, &number) && number <= TIME_MS_MAX;
    if (is_number)
        *to = (int64_t)number;
    r->from = from ? number : r->from;
    r->bad_time |= !is_number && timestamp_parse(text_of(value), to) != 0;
    r->has_from |= from;
    r->has_to |= !from;
}

/* A text that is as it comes. False: it is none of these. */
static bool read_text(struct api_request *r, const char *name, const char *value)
{
    char *const names[] = { r->device, r->metric, r->stream };
    static const char *const called[] = { "device", "metric", "stream" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, called[i]) != 0)
            continue;
        r->bad_name |= strlen(value) > READING_NAME_BYTES_MAX;
        (void)snprintf(names[i], sizeof r->device, "%s", value); /* too long is bad already */
        return true;
    }
    if (strcmp(name, "reason") == 0) {
        r->reason_too_long = strlen(value) >= sizeof r->reason;
        (void)snprintf(r->reason, sizeof r->reason, "%s", value);
        return true;
    }
    if (strcmp(name, "bundle") == 0) {
        r->bundle_too_long = strlen(value) >= sizeof r->bundle;
        (void)snprintf(r->bundle, sizeof r->bundle, "%s", value);
        return true;
    }
    if (strcmp(name, "key") != 0)
        return false;
    r->bad_argument |= r->key_count == STREAM_KEY_FIELDS_MAX ||
                       strlen(value) > STREAM_KEY_BYTES_MAX;
    if (!r->bad_argument)
        (void)snprintf(r->keys[r->key_count++], sizeof r->keys[0], "%s", value);
    return true;
}

static void read_figure(struct api_request *r, const char *name, uint64_t number)
{
    if (strcmp(name, "after") == 0) {
        r->after = number;
        r->has_after = true;
    } else if (strcmp(name, "max") == 0) {
        r->max = number;
        r->has_max = true;
    } else if (strcmp(name, "skip") == 0) {
        r->skip = number;
    } else if (strcmp(name, "dry") == 0) {
        r->how.dry = number != 0;
    } else if (strcmp(name, "poisoned") == 0) {
        r->how.poisoned = number != 0;
    } else if (strcmp(name, "as_new") == 0) {
        r->how.as_new = number != 0;
    } else if (strcmp(name, "force") == 0) {
        r->forces = number != 0;
    } else if (strcmp(name, "qos") == 0) {
        r->qos = number;
    } else if (strcmp(name, "wait_ms") == 0 && number <= INT64_MAX) {
        r->wait_ms = (int64_t)number;
    } else if (strcmp(name, "until_ms") == 0 && number <= INT64_MAX) {
        r->until_ms = (int64_t)number;
    } else {
        r->bad_argument = true;
    }
}

void api_argument(struct api_request *r, const char *name, const char *value)
{
    uint64_t number = 0;
    bool from = strcmp(name, "from") == 0;
    if (read_text(r, name, value))
        return;
    if (strcmp(name, "payload_hex") == 0)
        read_payload(r, value);
    else if (from || strcmp(name, "to") == 0)
        read_time(r, from, value);
    else if (strcmp(name, "after") == 0 && api_read_place(r, value))
        return;
    else if (!read_number(value, &number))
        r->bad_argument = true;
    else
        read_figure(r, name, number);
}

/* --- answers --- */

bool api_room(const struct json_writer *w)
{
    return w->out.bytes - w->out.used > API_ITEM_BYTES;
}

bool api_give(struct api_response *response, struct json_writer *w)
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
    json_put_string(&w, "error", why);
    json_object_end(&w);
    (void)api_give(response, &w);
    response->status = status;
    return true;
}

uint32_t api_most(const struct api_request *r, uint32_t otherwise, uint32_t limit)
{
    uint64_t max = r->has_max ? r->max : otherwise;
    return (uint32_t)(max < limit ? max : limit);
}

static bool answer_status(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    (void)r, (void)mono_ms;
    api_write_status(api, &w);
    return api_give(response, &w);
}

static bool answer_metrics(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    struct prometheus p = prometheus_over(api->text, API_TEXT_BYTES);
    (void)r, (void)mono_ms;
    api->scrapes++;
    api->scraped_ms = gateway_view(api->start.gateway).t_ms;
    api_write_metrics(api, &p);
    assert(!p.out.failed); /* its size hangs on no input: lanes, reasons, modules, sources */
    struct text body = { api->text, (uint32_t)p.out.used };
    *response = (struct api_response){ 200, PROMETHEUS_TYPE, body, "" };
    return true;
}

/* A word, for machines that look at the status alone and people who look at both. */
static bool give_word(struct api_response *response, bool well, const char *word)
{
    *response = (struct api_response){ well ? 200 : 503, "text/plain", text_of(word), "" };
    return true;
}

static bool answer_healthz(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    (void)r;
    bool stands = board_stands_still(&api->start.board->judgement, mono_ms);
    return give_word(response, !stands, stands ? "no_progress\n" : "progress\n");
}

static bool answer_readyz(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct gateway_view view = gateway_view(api->start.gateway);
    const char *why = health_unready(&view);
    (void)r, (void)mono_ms;
    (void)snprintf(api->text, API_TEXT_BYTES, "%s\n", why != NULL ? why : "ready");
    return give_word(response, why == NULL, api->text);
}

/* --- asking for something to be done --- */

bool api_done(struct api *api, struct api_response *response, int error)
{
    if (error == WEIR_ENOTFOUND)
        return api_fail(api, response, 404, "there is no open alert with this id");
    if (error != 0)
        return api_fail(api, response, 503, "not now; try again");
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_bool(&w, "accepted", true);
    json_object_end(&w);
    (void)api_give(response, &w);
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
        return api_fail(api, response, 404,
                        "an alert's id has 26 letters and digits, as `weir alerts` shows it");
    if (strcmp(verb, "shelve") == 0)
        (void)snprintf(command, sizeof command, "shelve %s %lld", id, (long long)r->until_ms);
    else if (strcmp(verb, "ack") == 0 || strcmp(verb, "unshelve") == 0)
        (void)snprintf(command, sizeof command, "%s %s", verb, id);
    else
        return api_fail(api, response, 404, "want ack, shelve or unshelve");
    if (strcmp(verb, "shelve") == 0 && r->until_ms == 0)
        return api_fail(api, response, 400, "shelve needs until_ms");
    return api_done(api, response, gateway_command(api->start.gateway, text_of(command)));
}

static bool answer_reload(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    char why[256] = "";
    (void)r, (void)mono_ms;
    int error = api->start.reload_inventory(api->start.ctx, why);
    return error == 0 ? api_done(api, response, 0) : api_fail(api, response, 422, why);
}

/* --- from the store --- */

static bool answer_letters(struct api *api, const struct api_request *r, int64_t mono_ms,
                           struct api_response *response)
{
    (void)mono_ms;
    struct question question = { .kind = QUESTION_LETTERS,
                                 .after = r->has_after ? r->after : UINT64_MAX,
                                 .max = api_most(r, 20, API_LETTERS_MAX) };
    return api_ask(api, r, &question, response);
}

static bool answer_letter(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct question question = { .kind = QUESTION_LETTER };
    (void)mono_ms;
    if (!read_number(r->path + strlen("/api/v1/dlq/"), &question.from))
        return api_fail(api, response, 404,
                        "a dead letter's id is a number, as `weir dlq list` shows it");
    return api_ask(api, r, &question, response);
}

/* Each name once, in order of the configuration. */
static bool is_new_field(const struct config *config, uint32_t source, uint32_t field)
{
    const char *name = config->sources[source].field_names[field];
    for (uint32_t s = 0; s < source; s++)
        for (uint32_t f = 0; f < config->sources[s].field_count; f++)
            if (strcmp(config->sources[s].field_names[f], name) == 0)
                return false;
    return true;
}

static bool answer_fields(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    (void)r, (void)mono_ms;
    json_object(&w);
    json_key(&w, "fields");
    json_array(&w);
    for (uint32_t source = 0; source < api->config->source_count; source++)
        for (uint32_t f = 0; f < api->config->sources[source].field_count; f++)
            if (is_new_field(api->config, source, f))
                json_string(&w, api->config->sources[source].field_names[f]);
    json_array_end(&w);
    json_object_end(&w);
    return api_give(response, &w);
}

static bool answer_export(struct api *api, const struct api_request *r, int64_t mono_ms,
                          struct api_response *response)
{
    struct question question = { .kind = QUESTION_EXPORT, .from = r->from, .skip = r->skip };
    memcpy(question.device, r->device, sizeof question.device);
    memcpy(question.metric, r->metric, sizeof question.metric);
    (void)mono_ms;
    return api_ask(api, r, &question, response);
}

static bool answer_config_reload(struct api *api, const struct api_request *r, int64_t mono_ms,
                                 struct api_response *response)
{
    (void)mono_ms;
    bool mine = api->reload_request == r->number;
    if (!mine && (api->reload_request != 0 || api->start.reload_begin(api->start.ctx) != 0))
        return api_fail(api, response, 409, "another reload is under way; try again");
    api->reload_request = r->number;
    const struct api_reload *report = api->start.reload_report(api->start.ctx);
    if (!report->done)
        return false;
    api->reload_request = 0;
    static_assert(6 * API_RELOAD_TEXT_BYTES + 256 < API_TEXT_BYTES, "a byte may become \\u0001");
    struct json_writer w = json_writer_over(api->text, API_TEXT_BYTES);
    json_object(&w);
    json_put_string(&w, "outcome", report->outcome);
    json_put_text(&w, "text", report->text);
    json_object_end(&w);
    return api_give(response, &w);
}

static const struct route {
    const char *path;
    bool prefix; /* more follows */
    bool post;
    bool (*answer)(struct api *api, const struct api_request *r, int64_t mono_ms,
                   struct api_response *response);
} routes[] = {
    { "/metrics", false, false, answer_metrics },
    { "/healthz", false, false, answer_healthz },
    { "/readyz", false, false, answer_readyz },
    { "/api/v1/status", false, false, answer_status },
    { "/api/v1/devices", false, false, api_list_devices },
    { "/api/v1/series", false, false, api_list_series },
    { "/api/v1/streams", false, false, api_list_streams },
    { "/api/v1/results", false, false, api_list_results },
    { "/api/results", false, false, api_list_results },
    { "/api/v1/latest", false, false, api_list_latest },
    { "/api/latest", false, false, api_list_latest },
    { "/api/v1/alerts", false, false, api_list_alerts },
    { "/api/v1/alerts/report", false, false, api_report_alarms },
    { "/api/v1/alerts/", true, true, answer_command },
    { "/api/v1/maintenance", false, false, api_list_maintenance },
    { "/api/v1/maintenance", false, true, api_maintain },
    { "/api/v1/maintenance/end", false, true, api_resume },
    { "/api/v1/explain/", true, false, api_explain_alert },
    { "/api/v1/tail", false, false, api_list_tail },
    { "/api/v1/dlq", false, false, answer_letters },
    { "/api/v1/dlq/", true, false, answer_letter },
    { "/api/v1/dlq/", true, true, api_change_letter },
    { "/api/v1/export", false, false, answer_export },
    { "/api/v1/fields", false, false, answer_fields },
    { "/api/v1/credentials", false, false, api_list_credentials },
    { "/api/v1/credentials/", true, true, api_change_credentials },
    { "/api/v1/commands", false, true, api_command },
    { API_BACKFILL_PATH, false, true, api_take_backfill },
    { "/api/v1/update", false, false, api_show_update },
    { "/api/update", false, false, api_show_update },
    { "/api/v1/update/", true, true, api_update },
    { "/api/update/", true, true, api_update },
    { "/api/v1/inventory/reload", false, true, answer_reload },
    { "/api/v1/reload", false, true, answer_config_reload },
};

bool api_answer(struct api *api, const struct api_request *r, int64_t mono_ms,
                struct api_response *response)
{
    assert(r->number != 0);
    if (r->bad_name)
        return api_fail(api, response, 400, API_NAME_RULE);
    if (r->bad_argument)
        return api_fail(api, response, 400, "an argument is unknown, or no number");
    if (r->bad_time)
        return api_fail(api, response, 400, "from and to are times, as 2026-09-21T14:13:20Z, or "
                                            "Unix milliseconds; from of an export is a number");
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
    if (api->change_request == number)
        api->change_request = 0; /* it goes on, and counts */
    if (api->reload_request == number)
        api->reload_request = 0; /* likewise */
    if (api->update.request == number)
        api->update.request = 0; /* likewise */
    if (api->backfill.request == number)
        api->backfill.request = 0; /* what was taken is told */
    api_forget_command(api, number);
}
