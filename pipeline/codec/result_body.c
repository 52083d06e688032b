#include "pipeline/codec/result_body.h"

#include <assert.h>

#include "pipeline/codec/json_writer.h"

enum {
    FRAME_BYTES = 96,         /* kind, forced, the braces */
    MEMBER_BYTES = 6,         /* quotes, colon, comma */
    NUMBER_BYTES = 26,
    ESCAPED = 6               /* bytes of text that one may become */
};

uint32_t result_body_bytes_max(const struct stream_plan *plan)
{
    uint32_t bytes = FRAME_BYTES + ESCAPED * plan->config->key_bytes;
    for (uint32_t i = 0; i < plan->key_count; i++)
        bytes += ESCAPED * (uint32_t)strlen(plan->config->key[i].name) + MEMBER_BYTES +
                 NUMBER_BYTES;
    for (uint32_t i = 0; i < plan->value_count; i++)
        bytes += (uint32_t)strlen(stream_value_name(plan, i)) + MEMBER_BYTES + NUMBER_BYTES;
    return bytes + ESCAPED * plan->texts_bytes;
}

static void put_datum(struct json_writer *w, const struct datum *datum)
{
    switch (datum->kind) {
    case DATUM_NULL:
        json_null(w);
        break;
    case DATUM_NUMBER:
        json_number(w, datum->number);
        break;
    case DATUM_BOOLEAN:
        json_bool(w, datum->number != 0);
        break;
    case DATUM_TEXT:
        json_text(w, datum->text);
        break;
    }
}

static void put_key(struct json_writer *w, const struct stream_result *result)
{
    struct byte_reader r = { (const uint8_t *)result->key.at, result->key.bytes, 0, false };
    json_object(w);
    while (r.used < r.bytes) {
        uint8_t place = get_u8(&r), type = get_u8(&r);
        struct datum datum = { .kind = DATUM_TEXT };
        if (type == VALUE_TEXT)
            datum.text = get_text(&r);
        else
            datum = (struct datum){ .kind = type == VALUE_BOOLEAN ? DATUM_BOOLEAN : DATUM_NUMBER,
                                    .number = get_f64(&r) };
        assert(!r.failed && place < result->plan->key_count); /* we packed it */
        json_text(w, text_of(result->plan->config->key[place].name));
        json_colon(w);
        put_datum(w, &datum);
    }
    json_object_end(w);
}

struct text result_body(const struct stream_result *result, void *to, size_t bytes)
{
    struct json_writer w = json_writer_over(to, bytes);
    json_object(&w);
    json_put_string(&w, "kind", stream_kind_name(result->kind));
    json_put_bool(&w, "forced", result->forced);
    json_key(&w, "key");
    put_key(&w, result);
    json_key(&w, "values");
    json_object(&w);
    for (uint32_t i = 0; i < result->count; i++) {
        json_text(&w, result->values[i].name);
        json_colon(&w);
        put_datum(&w, &result->values[i].value);
    }
    json_object_end(&w);
    json_object_end(&w);
    struct text whole = json_done(&w);
    assert(whole.bytes > 2);
    return (struct text){ whole.at + 1, whole.bytes - 2 };
}
