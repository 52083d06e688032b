#include "simulator/cloud_event.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "pipeline/timestamp.h"

/* The first fault is the one that is told. */
static void fault_set(struct cloud_event *e, const char *fault)
{
    if (e->fault == NULL)
        e->fault = fault;
}

static void word_copy(struct cloud_event *e, const cJSON *object, const char *name, char *to)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (text == NULL || strlen(text) >= CLOUD_WORD_BYTES)
        fault_set(e, "a text of the event is missing or too long");
    else
        memcpy(to, text, strlen(text) + 1);
}

/* Whole numbers of JSON, and strings of digits where 53 bits may be too few. */
static uint64_t number_of(const cJSON *item)
{
    if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= 9e15)
        return (uint64_t)item->valuedouble;
    if (cJSON_IsString(item))
        return strtoull(item->valuestring, NULL, 10);
    return 0;
}

static uint64_t number_get(struct cloud_event *e, const cJSON *object, const char *name)
{
    uint64_t number = number_of(cJSON_GetObjectItemCaseSensitive(object, name));
    if (number == 0)
        fault_set(e, "a number of the event is missing or not a positive whole number");
    return number;
}

static bool text_is(const cJSON *object, const char *name, const char *want)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL && strcmp(text, want) == 0;
}

/* source is urn:weir:<32 hex digits>:<lane>, and the lane is the topic's. */
static void source_read(struct cloud_event *e, const cJSON *root, const char *lane)
{
    const char *source = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "source"));
    if (source == NULL ||
        sscanf(source, "urn:weir:%32[0-9a-f]:%15[a-z]", e->store, e->lane) != 2 ||
        strlen(e->store) != 32)
        fault_set(e, "source is not urn:weir:<32 hex digits>:<lane>");
    else if (strcmp(e->lane, lane) != 0)
        fault_set(e, "source names another lane than the topic");
}

static void time_read(struct cloud_event *e, const cJSON *root)
{
    const char *time = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "time"));
    if (time == NULL || timestamp_parse(text_of(time), &e->event_ms) != 0)
        fault_set(e, "time is not RFC 3339");
}

static void alert_read(struct cloud_event *e, const cJSON *root, const cJSON *data)
{
    word_copy(e, data, "alert_id", e->alert_id);
    word_copy(e, data, "device", e->device);
    word_copy(e, data, "metric", e->metric);
    word_copy(e, data, "rule", e->rule);
    word_copy(e, data, "transition", e->transition);
    word_copy(e, data, "severity", e->severity);
    e->revision = (uint32_t)number_get(e, data, "revision");
    e->learning = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(data, "learning"));
    const cJSON *observed = cJSON_GetObjectItemCaseSensitive(data, "observed");
    e->has_observed = cJSON_IsNumber(observed);
    e->observed = e->has_observed ? observed->valuedouble : 0;
    char id[CLOUD_WORD_BYTES + 16];
    (void)snprintf(id, sizeof id, "%s.%" PRIu32, e->alert_id, e->revision); /* fits */
    if (!text_is(root, "id", id))
        fault_set(e, "id is not alert_id.revision");
}

static void gap_read(struct cloud_event *e, const cJSON *data)
{
    e->gap_from = number_get(e, data, "from");
    e->gap_to = number_get(e, data, "to");
    if (e->gap_from > e->gap_to)
        fault_set(e, "a gap ends before it begins");
}

static void correction_read(struct cloud_event *e, const cJSON *root, const cJSON *data)
{
    const cJSON *window = cJSON_GetObjectItemCaseSensitive(data, "window");
    word_copy(e, root, "id", e->id);
    word_copy(e, data, "device", e->device);
    word_copy(e, data, "metric", e->metric);
    if (text_is(data, "kind", "stream"))
        word_copy(e, data, "stream", e->stream);
    else if (!text_is(data, "kind", "series"))
        fault_set(e, "a correction is neither of a stream nor of a series");
    e->start_ms = number_get(e, window, "start_ms");
    e->end_ms = number_get(e, window, "end_ms");
    if (cJSON_GetObjectItemCaseSensitive(data, "value") == NULL)
        fault_set(e, "a correction has no value");
}

static void data_read(struct cloud_event *e, const cJSON *root)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "type"));
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");
    if (type == NULL || !cJSON_IsObject(data)) {
        fault_set(e, "type or data is missing");
    } else if (strcmp(type, "dev.weir.alert.v1") == 0) {
        e->kind = CLOUD_ALERT;
        alert_read(e, root, data);
    } else if (strcmp(type, "dev.weir.gap.v1") == 0) {
        e->kind = CLOUD_GAP;
        gap_read(e, data);
    } else if (strcmp(type, "dev.weir.correction.v1") == 0) {
        e->kind = CLOUD_CORRECTION;
        correction_read(e, root, data);
    } else if (strcmp(type, "dev.weir.notice.v1") == 0) {
        e->kind = CLOUD_NOTICE;
        word_copy(e, data, "kind", e->transition);
    } else {
        fault_set(e, "an unknown type of event");
    }
}

static void json_read(struct cloud_event *e, const char *lane)
{
    e->kind = CLOUD_NOTICE;
    cJSON *root = cJSON_ParseWithLength(e->payload.at, e->payload.bytes);
    if (root == NULL) {
        fault_set(e, "neither JSON nor a batch");
        return;
    }
    if (!text_is(root, "specversion", "1.0"))
        fault_set(e, "specversion is not 1.0");
    if (cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "id")) == NULL)
        fault_set(e, "id is missing");
    source_read(e, root, lane);
    e->sequence = number_get(e, root, "sequence");
    time_read(e, root);
    data_read(e, root);
    cJSON_Delete(root);
}

static void batch_read(struct cloud_event *e, const char *lane)
{
    static uint8_t plain[CLOUD_BATCH_BYTES_MAX]; /* of the one message being read */
    uLongf bytes = sizeof plain;
    e->kind = strcmp(lane, "raw") == 0 ? CLOUD_READINGS : CLOUD_RESULTS;
    (void)snprintf(e->lane, sizeof e->lane, "%.15s", lane); /* fits: lanes are short */
    if (uncompress(plain, &bytes, (const Bytef *)e->payload.at, e->payload.bytes) != Z_OK) {
        fault_set(e, "the batch is not zlib data of a bearable size");
        return;
    }
    e->batch_bytes = (uint32_t)bytes;
    if (results_open(&e->batch, (struct text){ (const char *)plain, e->batch_bytes }) != 0) {
        fault_set(e, "the batch is damaged");
        return;
    }
    const struct results_header *h = &e->batch.header;
    (void)snprintf(e->store, sizeof e->store, "%016" PRIx64 "%016" PRIx64, h->store_id[0],
                   h->store_id[1]); /* 32 digits: fits */
    e->sequence = h->sequence;
    if ((h->kind == RESULTS_READINGS) != (e->kind == CLOUD_READINGS))
        fault_set(e, "the batch is of another kind than its lane");
}

void cloud_event_read(struct cloud_event *event, const char *lane, struct text payload)
{
    *event = (struct cloud_event){ .payload = payload };
    if (payload.bytes > 0 && payload.at[0] == '{')
        json_read(event, lane);
    else
        batch_read(event, lane);
}
