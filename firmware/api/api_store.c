/* What the api answers from the store. The question is put together on the loop; ask_store runs on
 * the store's worker and touches only the question, the api's buffers and the store; the answer is
 * given on the loop again. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/api/api_state.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/err.h"
#include "pipeline/made.h"

/* Who sent it, else what a template of its source finds in the topic, else whom it named. */
static struct text device_of(const struct api *api, const struct dead_letter *letter)
{
    struct topic_match match = { { 0 }, { 0 } };
    if (letter->device.bytes > 0)
        return letter->device;
    for (uint32_t s = 0; s < api->config->source_count; s++) {
        const struct config_source *source = &api->config->sources[s];
        for (uint32_t i = 0; i < source->topic_count; i++)
            if (text_equal(letter->source, text_of(source->name)) &&
                topic_match(&source->topics[i].template, letter->topic, &match) &&
                match.device.bytes > 0)
                return match.device;
    }
    return gateway_letter_named(letter);
}

static bool is_utf8(struct text payload)
{
    const unsigned char *at = (const unsigned char *)payload.at, *end = at + payload.bytes;
    uint32_t bytes = 1;
    for (; bytes > 0 && at < end; at += bytes)
        bytes = json_utf8_bytes(at, end);
    return bytes > 0;
}

/* When it was tried again in vain, and why. */
static void put_tries(struct json_writer *w, struct text history)
{
    struct byte_reader r = { (const uint8_t *)history.at, history.bytes, 0, false };
    json_key(w, "history");
    json_array(w);
    while (r.used < r.bytes && !r.failed) {
        int64_t wall_ms = get_i64(&r);
        uint8_t reason = get_u8(&r);
        json_object(w);
        json_put_time(w, "tried", wall_ms);
        json_put_string(w, "reason", reject_name((enum reject_reason)reason));
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_letter(const struct api *api, struct json_writer *w,
                       const struct dead_letter *letter, bool whole)
{
    json_object(w);
    json_put_unsigned(w, "id", letter->id);
    json_put_time(w, "arrived", letter->wall_ms);
    json_put_string(w, "reason", reject_name(letter->reason));
    json_put_string(w, "text", reject_text(letter->reason));
    json_key(w, "offset");
    if (letter->fault_offset == LETTER_NO_OFFSET)
        json_null(w);
    else
        json_unsigned(w, letter->fault_offset);
    json_put_unsigned(w, "readings", letter->readings);
    json_put_unsigned(w, "tries", letter->tries);
    json_put_text(w, "source", letter->source);
    json_put_text(w, "topic", letter->topic);
    json_put_text(w, "device", device_of(api, letter));
    json_put_unsigned(w, "payload_bytes", letter->payload.bytes);
    json_key(w, whole ? "payload" : "payload_begin");
    struct text payload = letter->payload;
    if (!whole && payload.bytes > 64)
        payload.bytes = 64;
    json_text(w, payload);
    if (whole)
        put_tries(w, letter->history);
    if (whole && !is_utf8(payload)) {
        json_key(w, "payload_base64");
        json_base64(w, payload);
    }
    json_object_end(w);
}

static void ask_letters(struct api *api, struct store *store)
{
    struct question *q = &api->question;
    struct json_writer w = json_writer_over(api->store_text, API_STORE_BYTES);
    uint32_t count = 0;
    q->error = store_letters_read(store, q->after, api->bytes, api->bytes_max, api->letters,
                                  q->max, &count);
    uint64_t last = q->after;
    json_object(&w);
    json_key(&w, "letters");
    json_array(&w);
    for (uint32_t i = 0; i < count && api_room(&w); i++) {
        put_letter(api, &w, &api->letters[i], false);
        last = api->letters[i].id;
    }
    json_array_end(&w);
    json_key(&w, "next");
    if (count > 0 && q->after != UINT64_MAX)
        json_unsigned(&w, last);
    else
        json_null(&w);
    json_object_end(&w);
    q->body = json_done(&w);
}

static void ask_letter(struct api *api, struct store *store)
{
    struct question *q = &api->question;
    struct json_writer w = json_writer_over(api->store_text, API_STORE_BYTES);
    q->error = store_letter_read(store, q->from, api->bytes, api->bytes_max, &api->letters[0]);
    if (q->error != 0)
        return;
    put_letter(api, &w, &api->letters[0], true);
    q->body = json_done(&w);
    if (q->body.bytes == 0)
        q->error = WEIR_EFULL;
}

/* --- the journal as lines --- */

static const char *kind_name(enum record_kind kind)
{
    switch (kind) {
    case RECORD_READING:
        return "reading";
    case RECORD_REJECT:
        return "reject";
    case RECORD_TICK:
        return "tick";
    case RECORD_CLOCK:
        return "clock";
    case RECORD_SOURCE:
        return "source";
    case RECORD_CONFIG:
        return "config";
    case RECORD_INVENTORY:
        return "inventory";
    case RECORD_SHED:
        return "shed";
    case RECORD_COMMAND:
        return "command";
    case RECORD_LAG:
        return "lag";
    case RECORD_GONE:
        return "gone";
    case RECORD_MADE:
        return "made";
    }
    return "unknown";
}

static void put_value(struct json_writer *w, const struct value *value)
{
    if (value->type == VALUE_TEXT)
        json_text(w, value->text);
    else if (value->type == VALUE_BOOLEAN)
        json_bool(w, value->number != 0);
    else
        json_number(w, value->number);
}

/* Further fields: (u8 index, u8 type, f64 or text)... */
static void put_fields(const struct api *api, struct json_writer *w, const struct reading *reading)
{
    struct byte_reader in = { .at = (const uint8_t *)reading->extra.at,
                              .bytes = reading->extra.bytes };
    bool known = reading->source < api->numbering.source_count;
    json_key(w, "fields");
    json_object(w);
    while (in.used < in.bytes && !in.failed) {
        uint8_t index = get_u8(&in);
        struct value value = { .type = get_u8(&in) };
        if (value.type == VALUE_TEXT)
            value.text = get_text(&in);
        else
            value.number = get_f64(&in);
        if (in.failed || index >= READING_FIELDS_MAX)
            break;
        const char *name =
            known ? api->numbering.sources[reading->source].fields[index] : "";
        char numbered[16];
        (void)snprintf(numbered, sizeof numbered, "field%u", index);
        json_key(w, name[0] != '\0' ? name : numbered);
        put_value(w, &value);
    }
    json_object_end(w);
}

const char *api_time_source(enum time_source source)
{
    static const char *const names[] = { "device", "arrival", "clamped", "coarse" };
    return names[source];
}

static void put_reading(const struct api *api, struct json_writer *w, const struct record *record)
{
    const struct reading *r = &record->reading;
    json_put_text(w, "device", r->device);
    json_put_text(w, "metric", r->metric);
    json_key(w, "value");
    put_value(w, &r->value);
    if (r->unit.bytes > 0) {
        json_put_text(w, "unit", r->unit);
    }
    json_put_integer(w, "event_time_ms", record->event_time_ms);
    json_put_time(w, "event_time", record->event_time_ms);
    json_put_string(w, "time_source", api_time_source(record->time_source));
    if (r->has_device_time) {
        json_put_integer(w, "device_time_ms", r->device_time_ms);
    }
    if (r->has_sequence) {
        json_put_unsigned(w, "sequence", r->sequence);
    }
    json_put_unsigned(w, "index", r->index);
    if (r->extra.bytes > 0)
        put_fields(api, w, r);
}

static void put_digest(struct json_writer *w, struct text digest)
{
    char hex[65] = "";
    for (uint32_t i = 0; i < digest.bytes && i < 32; i++)
        (void)snprintf(hex + (size_t)2 * i, 3, "%02x", (unsigned char)digest.at[i]);
    json_put_string(w, "digest", hex);
}

/* Alerts' ids hang on the store, so whoever reads the journal elsewhere must know which it was. */
static void put_store(struct json_writer *w, const struct api *api)
{
    char id[33];
    (void)snprintf(id, sizeof id, "%016llx%016llx",
                   (unsigned long long)api->start.recovery.store_id[0],
                   (unsigned long long)api->start.recovery.store_id[1]);
    json_put_string(w, "store_id", id);
}

static void put_made(struct json_writer *w, struct text content)
{
    struct made_sum sum;
    char digest[40];
    if (!made_unpack(content, &sum))
        return;
    json_put_unsigned(w, "form", sum.form);
    json_put_unsigned(w, "alerts", sum.alerts);
    json_put_unsigned(w, "results", sum.results);
    (void)snprintf(digest, sizeof digest, "%016llx%016llx", (unsigned long long)sum.alert_digest,
                   (unsigned long long)sum.result_digest);
    json_put_string(w, "digest", digest);
    if (sum.form < 2)
        return;
    json_put_unsigned(w, "corrections", sum.corrections);
    (void)snprintf(digest, sizeof digest, "%016llx", (unsigned long long)sum.correction_digest);
    json_put_string(w, "correction_digest", digest);
}

static void put_other(struct json_writer *w, const struct record *record)
{
    switch (record->kind) {
    case RECORD_REJECT:
        json_put_string(w, "reason", reject_name(record->reason));
        json_put_text(w, "device", record->reading.device);
        json_put_text(w, "metric", record->reading.metric);
        json_put_unsigned(w, "index", record->reading.index);
        break;
    case RECORD_CLOCK:
        json_put_integer(w, "offset_ms", record->clock.offset_ms);
        json_put_string(w, "state", clock_state_name(record->clock.state));
        json_put_unsigned(w, "boot", record->clock.boot);
        break;
    case RECORD_CONFIG:
    case RECORD_INVENTORY:
        put_digest(w, record->digest);
        if (record->content.bytes <= CONFIG_FILE_BYTES_MAX) /* a line fits one answer */
            json_put_text(w, "content", record->content);
        break;
    case RECORD_COMMAND:
        json_put_text(w, "command", record->content);
        break;
    case RECORD_GONE:
        json_put_text(w, "device", record->reading.device);
        json_put_text(w, "will", record->content);
        break;
    case RECORD_MADE:
        put_made(w, record->content);
        break;
    case RECORD_TICK:
    case RECORD_SOURCE:
    case RECORD_SHED:
    case RECORD_LAG:
        json_put_unsigned(w, "count", record->count);
        break;
    case RECORD_READING:
        break;
    }
}

/* One line; 0 bytes: it did not fit. */
static size_t print_record(const struct api *api, uint64_t block, uint64_t position,
                           const struct record *record, char *to, size_t bytes)
{
    if (bytes < 2)
        return 0;
    struct json_writer w = json_writer_over(to, bytes - 1);
    json_object(&w);
    json_put_unsigned(&w, "block", block);
    json_put_unsigned(&w, "position", position);
    json_put_string(&w, "kind", kind_name(record->kind));
    json_put_integer(&w, "t_ms", record->t_ms);
    if (record->kind == RECORD_READING || record->kind == RECORD_REJECT ||
        record->kind == RECORD_SOURCE || record->kind == RECORD_GONE) {
        json_key(&w, "source");
        bool known = record->reading.source < api->numbering.source_count;
        json_string(&w, known ? api->numbering.sources[record->reading.source].name : "?");
    }
    if (record->kind == RECORD_CONFIG)
        put_store(&w, api);
    if (record->kind == RECORD_READING)
        put_reading(api, &w, record);
    else
        put_other(&w, record);
    json_object_end(&w);
    struct text line = json_done(&w);
    if (line.bytes == 0)
        return 0;
    to[line.bytes] = '\n';
    return line.bytes + 1;
}

static bool is_asked_for(const struct question *q, const struct record *record)
{
    return q->device[0] == '\0' ||
           (record->kind == RECORD_READING &&
            text_equal(record->reading.device, text_of(q->device)) &&
            text_equal(record->reading.metric, text_of(q->metric)));
}

/* By which numbers the block is written; where that is not known, by the present ones. */
static int learn_numbering(struct api *api, struct store *store, uint64_t block)
{
    uint8_t packed[NUMBERING_BYTES_MAX];
    uint64_t from = 0;
    size_t bytes = 0;
    int error = store_numbering_read(store, block, packed, sizeof packed, &from, &bytes);
    if (error != 0)
        return error;
    if (from == api->numbered_from)
        return 0;
    api->numbered_from = from;
    if (bytes == 0 || !numbering_unpack((struct text){ (const char *)packed, (uint32_t)bytes },
                                        &api->numbering))
        numbering_of(api->config, &api->numbering);
    return 0;
}

/* The block that api->bytes holds, from `skip` on. False: it did not fit, or is damaged. */
static bool export_block(struct api *api, uint64_t block, size_t bytes, uint64_t skip)
{
    struct question *q = &api->question;
    struct record record;
    uint64_t position = 0;
    q->error = block_open(api->reader, (struct text){ (const char *)api->bytes, (uint32_t)bytes });
    int more = q->error == 0 ? 1 : 0;
    for (; more == 1 && (more = block_next(api->reader, &record)) == 1; position++) {
        if (position < skip || !is_asked_for(q, &record))
            continue;
        size_t line = print_record(api, block, position, &record, api->store_text + q->body.bytes,
                                   API_STORE_BYTES - q->body.bytes);
        if (line == 0) {
            (void)snprintf(q->next, sizeof q->next, "%llu.%llu", (unsigned long long)block,
                           (unsigned long long)position);
            return false;
        }
        q->body.bytes += (uint32_t)line;
    }
    if (more < 0)
        q->error = more;
    return q->error == 0;
}

/* Of one series there is little in a block. */
static void ask_export(struct api *api, struct store *store)
{
    struct question *q = &api->question;
    uint32_t blocks = q->device[0] != '\0' ? API_SERIES_BLOCKS : 1;
    uint64_t from = q->from;
    q->body = (struct text){ api->store_text, 0 };
    for (bool more = true; more && blocks > 0; blocks--) {
        uint64_t block = 0;
        size_t bytes = 0;
        q->error = store_block_read(store, from, api->bytes, api->bytes_max, &block, &bytes);
        if (q->error != 0 || block == 0) {
            q->next[0] = '\0';
            return;
        }
        q->error = learn_numbering(api, store, block);
        if (q->error != 0)
            return;
        from = block + 1;
        (void)snprintf(q->next, sizeof q->next, "%llu.0", (unsigned long long)from);
        more = export_block(api, block, bytes, block == q->from ? q->skip : 0);
    }
}

/* --- asking --- */

static void ask_store(void *ctx, struct store *store)
{
    struct api *api = ctx;
    switch (api->question.kind) {
    case QUESTION_LETTERS:
        ask_letters(api, store);
        break;
    case QUESTION_LETTER:
        ask_letter(api, store);
        break;
    case QUESTION_RETRY:
    case QUESTION_DROP:
        api->question.error = store_letter_read(store, api->question.from, api->bytes,
                                                api->bytes_max, &api->letters[0]);
        break;
    case QUESTION_EXPORT:
        ask_export(api, store);
        break;
    case QUESTION_RESULTS:
        api_ask_results(api, store);
        break;
    }
}

static void on_answered(void *ctx)
{
    struct api *api = ctx;
    assert(api->question.state == QUESTION_ASKED);
    api->question.state = QUESTION_ANSWERED;
}

static bool give_answer(struct api *api, struct api_response *response)
{
    struct question *q = &api->question;
    q->state = QUESTION_NONE;
    if (q->error == WEIR_ENOTFOUND)
        return api_fail(api, response, 404, "there is no such entry");
    if (q->error != 0)
        return api_fail(api, response, 500, weir_err_text(q->error));
    *response = (struct api_response){ 200, "application/json", q->body, "" };
    if (q->kind == QUESTION_EXPORT)
        response->type = "application/x-ndjson";
    memcpy(response->next, q->next, sizeof response->next);
    return true;
}

bool api_ask(struct api *api, const struct api_request *request, const struct question *question,
             struct api_response *response)
{
    struct question *q = &api->question;
    if (q->state == QUESTION_ANSWERED && q->request == request->number) {
        bool retry = q->kind == QUESTION_RETRY, drop = q->kind == QUESTION_DROP;
        if ((!retry && !drop) || q->error != 0)
            return give_answer(api, response);
        if (!(retry ? api_retry(api, request, response) : api_drop(api, response)))
            return false; /* in a later turn */
        q->state = QUESTION_NONE;
        return true;
    }
    if (q->state == QUESTION_ANSWERED && q->request == 0)
        q->state = QUESTION_NONE; /* nobody wants it any more */
    if (q->state != QUESTION_NONE)
        return false; /* another's turn */
    *q = *question;
    q->request = request->number;
    if (gateway_query(api->start.gateway, ask_store, on_answered, api))
        q->state = QUESTION_ASKED;
    return false;
}
