/* Results of streams, as the store keeps them: a range of them, or the latest of each key. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/err.h"

/* --- where a page ended --- */

static_assert((int)STORE_KEPT_KEY_BYTES_MAX >= STREAM_KEY_BYTES_MAX, "a place holds any key");

bool api_read_place(struct api_request *r, const char *value)
{
    uint8_t bytes[API_PLACE_BYTES];
    uint32_t used;
    if (!api_read_hex(value, bytes, sizeof bytes, &used) || used <= 16 || used > sizeof bytes)
        return false;
    struct byte_reader b = { bytes, used, 0, false };
    r->place = (struct kept_place){ .given = true, .start_ms = get_i64(&b), .end_ms = get_i64(&b),
                                    .key_bytes = used - 16 };
    memcpy(r->place.key, bytes + 16, used - 16);
    return true;
}

static void write_place(struct json_writer *w, const char *name, const struct kept_place *place)
{
    uint8_t bytes[API_PLACE_BYTES];
    char hex[2 * API_PLACE_BYTES + 1];
    struct byte_writer b = { bytes, sizeof bytes, 0, false };
    put_i64(&b, place->start_ms);
    put_i64(&b, place->end_ms);
    put_raw(&b, place->key, place->key_bytes);
    for (size_t i = 0; i < b.used; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    json_put_string(w, name, hex);
}

/* --- on the store's worker --- */

static bool is_number(const char *wanted, double number)
{
    char *end;
    double value = strtod(wanted, &end);
    return end != wanted && *end == '\0' && value == number;
}

static bool field_is(struct byte_reader *r, const char *wanted)
{
    (void)get_u8(r); /* its place: fields stand in their order */
    uint8_t type = get_u8(r);
    if (type == VALUE_TEXT)
        return text_equal(get_text(r), text_of(wanted));
    double number = get_f64(r);
    if (type == VALUE_BOOLEAN)
        return strcmp(wanted, number != 0 ? "true" : "false") == 0;
    return is_number(wanted, number);
}

/* A key begins with the values that were asked for. */
static bool is_wanted(void *ctx, struct text key)
{
    const struct question *q = ctx;
    struct byte_reader r = { (const uint8_t *)key.at, key.bytes, 0, false };
    for (uint32_t i = 0; i < q->key_count; i++)
        if (!field_is(&r, q->keys[i]) || r.failed)
            return false;
    return true;
}

static void put_result(struct json_writer *w, const struct kept_result *kept)
{
    json_object(w);
    json_put_time(w, "start", kept->start_ms);
    json_put_time(w, "end", kept->end_ms);
    json_put_integer(w, "start_ms", kept->start_ms);
    json_put_integer(w, "end_ms", kept->end_ms);
    json_put_unsigned(w, "revision", kept->revision);
    json_put_members(w, kept->body);
    json_object_end(w);
}

void api_ask_results(struct api *api, struct store *store)
{
    struct question *q = &api->question;
    struct json_writer w = json_writer_over(api->store_text, API_STORE_BYTES);
    const struct kept_query query = {
        .stream = text_of(q->stream->config->name), .from_ms = q->from_ms, .to_ms = q->to_ms,
        .latest = q->latest, .after = q->place, .ctx = q,
        .wanted = q->key_count > 0 ? is_wanted : NULL, .rows_max = q->max,
        .looked_max = API_RESULTS_LOOKED,
    };
    size_t room = api->bytes_max < API_STORE_BYTES / 2 ? api->bytes_max : API_STORE_BYTES / 2;
    uint32_t count = 0;
    struct kept_place next = { .given = false };
    q->error = store_kept_read(store, &query, api->bytes, room, api->results, &count, &next);
    json_object(&w);
    json_put_string(&w, "stream", q->stream->config->name);
    json_key(&w, "results");
    json_array(&w);
    for (uint32_t i = 0; i < count; i++)
        put_result(&w, &api->results[i]);
    json_array_end(&w);
    if (next.given) {
        write_place(&w, "next", &next);
    } else {
        json_key(&w, "next");
        json_null(&w);
    }
    json_object_end(&w);
    q->body = json_done(&w);
    if (q->error == 0 && q->body.bytes == 0)
        q->error = WEIR_EFULL;
}

/* --- asking --- */

static const struct stream_plan *plan_of(const struct api *api, const char *name)
{
    const struct stream_set *set = &api_in_force(api)->engine.streams;
    for (uint32_t i = 0; i < set->count; i++)
        if (strcmp(set->plans[i].config->name, name) == 0)
            return &set->plans[i];
    return NULL;
}

static bool ask(struct api *api, const struct api_request *r, bool latest,
                struct api_response *response)
{
    struct question question = {
        .kind = QUESTION_RESULTS, .stream = plan_of(api, r->stream), .latest = latest,
        .from_ms = r->has_from ? r->from_ms : INT64_MIN, .to_ms = r->has_to ? r->to_ms : INT64_MAX,
        .place = r->place, .max = api_most(r, 100, API_RESULTS_MAX), .key_count = r->key_count,
    };
    memcpy(question.keys, r->keys, sizeof question.keys);
    if (r->stream[0] == '\0')
        return api_fail(api, response, 400, "name a stream");
    if (question.stream == NULL)
        return api_fail(api, response, 404, "there is no such stream");
    if (api_in_force(api)->store.table_bytes_max == 0)
        return api_fail(api, response, 404, "no results are kept: store.table_share is 0");
    if (r->after > 0)
        return api_fail(api, response, 400, "after is none that a page gave as its next");
    if (latest && (r->has_from || r->has_to))
        return api_fail(api, response, 400, "the latest has neither from nor to");
    if (r->key_count > question.stream->key_count)
        return api_fail(api, response, 400, "the stream's key has fewer fields");
    if (question.max == 0)
        question.max = 1;
    return api_ask(api, r, &question, response);
}

bool api_list_results(struct api *api, const struct api_request *r, int64_t mono_ms,
                      struct api_response *response)
{
    (void)mono_ms;
    return ask(api, r, false, response);
}

bool api_list_latest(struct api *api, const struct api_request *r, int64_t mono_ms,
                     struct api_response *response)
{
    (void)mono_ms;
    return ask(api, r, true, response);
}
