/* A reading that came too late, as a record by which whoever keeps the windows may correct them. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "pipeline/bytes.h"
#include "pipeline/codec/envelope_parts.h"
#include "pipeline/streams/streams.h"

enum whole { WHOLE, WITHOUT_FIELDS, WITHOUT_VALUE, WHOLES };

static void put_value(struct json_writer *w, const struct value *value)
{
    if (value->type == VALUE_TEXT)
        json_text(w, value->text);
    else if (value->type == VALUE_BOOLEAN)
        json_bool(w, value->number != 0);
    else
        json_number(w, value->number);
}

/* (u8 place, u8 type, f64 or text)..., as the codec packs further fields and streams their keys.
 * What has no name is passed over. */
static void put_packed(struct json_writer *w, struct text packed, const struct text *names,
                       uint32_t count)
{
    struct byte_reader r = { (const uint8_t *)packed.at, packed.bytes, 0, false };
    json_object(w);
    while (r.used < r.bytes) {
        uint8_t place = get_u8(&r), type = get_u8(&r);
        struct value value = { .type = VALUE_TEXT };
        if (type == VALUE_TEXT)
            value.text = get_text(&r);
        else
            value = (struct value){ type == VALUE_BOOLEAN ? VALUE_BOOLEAN : VALUE_NUMBER,
                                    get_measure(&r), { 0 } };
        if (r.failed)
            break;
        if (place >= count)
            continue;
        json_text(w, names[place]);
        json_colon(w);
        put_value(w, &value);
    }
    json_object_end(w);
}

static void put_stream(struct json_writer *w, const struct stream_late *late)
{
    struct text names[STREAM_KEY_FIELDS_MAX];
    json_put_string(w, "kind", late->plan != NULL ? "stream" : "series");
    if (late->plan == NULL)
        return;
    for (uint32_t i = 0; i < late->plan->key_count; i++)
        names[i] = text_of(late->plan->config->key[i].name);
    json_put_string(w, "stream", late->plan->config->name);
    json_key(w, "key");
    put_packed(w, late->key, names, late->plan->key_count);
}

static void put_window(struct json_writer *w, const struct stream_late *late)
{
    json_key(w, "window");
    json_object(w);
    json_put_time(w, "start", late->start_ms);
    json_put_time(w, "end", late->end_ms);
    json_put_integer(w, "start_ms", late->start_ms);
    json_put_integer(w, "end_ms", late->end_ms);
    json_put_unsigned(w, "count", late->windows);
    if (late->windows > 1)
        json_put_integer(w, "slide_ms", late->slide_ms);
    json_object_end(w);
    json_put_integer(w, "lateness_ms", late->lateness_ms);
    json_put_integer(w, "needed_lateness_ms", late->needed_ms);
}

static void put_reading(struct json_writer *w, const struct correction *c, enum whole whole)
{
    const struct record *record = c->late->record;
    const struct reading *reading = &record->reading;
    json_put_text(w, "device", reading->device);
    json_put_text(w, "metric", reading->metric);
    json_key(w, "value");
    if (whole == WITHOUT_VALUE)
        json_null(w);
    else
        put_value(w, &reading->value);
    if (reading->unit.bytes > 0)
        json_put_text(w, "unit", reading->unit);
    json_put_integer(w, "event_time_ms", record->event_time_ms);
    if (reading->has_sequence)
        json_put_unsigned(w, "sequence", reading->sequence);
    json_put_unsigned(w, "index", reading->index);
    if (whole != WHOLE) {
        json_key(w, "left_out");
        json_string(w, whole == WITHOUT_FIELDS ? "fields" : "value");
    } else if (reading->extra.bytes > 0) {
        json_key(w, "fields");
        put_packed(w, reading->extra, c->field_names, c->field_count);
    }
}

static struct text render(const struct envelope *e, uint64_t sequence, const struct correction *c,
                          enum whole whole, struct json_writer w)
{
    char id[64];
    const struct record *record = c->late->record;
    (void)snprintf(id, sizeof id, "correction.%" PRIu64 ".%" PRIu32, c->block, c->number);
    const struct envelope_attributes attributes = {
        .kind = "correction", .id = id, .lane = c->lane, .sequence = sequence,
        .time_ms = record->event_time_ms, .recorded_ms = record->t_ms + e->offset_ms,
        .subject = { record->reading.device, record->reading.metric },
    };
    envelope_attributes(&w, e, &attributes);
    json_key(&w, "data");
    json_object(&w);
    put_stream(&w, c->late);
    put_window(&w, c->late);
    put_reading(&w, c, whole);
    json_key(&w, "journal");
    json_object(&w);
    json_put_unsigned(&w, "block", c->block);
    json_object_end(&w);
    envelope_gateway(&w, e);
    json_object_end(&w);
    json_object_end(&w);
    return json_done(&w);
}

struct text envelope_correction(const struct envelope *e, uint64_t sequence,
                                const struct correction *correction, void *to, size_t bytes)
{
    struct text text = { NULL, 0 };
    if (bytes > ENVELOPE_CORRECTION_BYTES_MAX)
        bytes = ENVELOPE_CORRECTION_BYTES_MAX;
    for (int whole = WHOLE; whole < WHOLES && text.bytes == 0; whole++)
        text = render(e, sequence, correction, (enum whole)whole, json_writer_over(to, bytes));
    return text;
}
