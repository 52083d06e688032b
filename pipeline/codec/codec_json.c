#include "pipeline/codec/codec_json.h"

#include <assert.h>
#include <cjson/cJSON.h>

#include "pipeline/bytes.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/codec_json_scan.h"
#include "pipeline/codec/codec_json_tree.h"

#define EXACT_END 9007199254740992.0 /* 2^53: from here on a double may stand for its neighbour */
#define MILLISECONDS_FROM 1e11       /* AUTO; as seconds it would be the year 5138 */

struct decoding { /* of one message */
    struct decoder *decoder;
    const struct json_mapping *mapping;
    struct decoded *out;
    struct text payload, topic_device, topic_metric;
    cJSON *root;
    struct json_keys keys; /* of the root, where the scanner made it */
    size_t extra_used;
    struct text packed; /* further fields of the object before, in `extra` */
    uint32_t index; /* of the next reading, bad ones counted */
    uint16_t source;
    bool located;   /* json_locate has run */
    bool scanned;   /* the root is the scanner's */
};

struct common { /* what all readings of one object share */
    struct reading reading;
    cJSON *named[6 + READING_FIELDS_MAX]; /* values that are no metrics, because they are these */
    uint32_t named_count;
};

struct found { /* a fault and the value that has it */
    enum reject_reason reason;
    cJSON *at;
};

static const struct found GOOD = { REJECT_NONE, NULL };

/* cJSON's own questions are calls into a library, and there are a dozen in a message. */
static inline bool is_type(const cJSON *value, int type)
{
    return (value->type & 0xff) == type;
}

/* As json_find. Of a flat object the member is found by its key's hash, or known to be absent. */
static cJSON *find(const struct decoding *d, cJSON *object, const struct json_pointer *pointer)
{
    if (!d->scanned || object != d->root || pointer->token_count != 1)
        return json_find(object, pointer);
    uint8_t member = d->keys.member[pointer->key];
    if (member == 0)
        return NULL;
    cJSON *found = &d->root[member];
    if (strcmp(found->string, pointer->tokens) != 0)
        return json_find(object, pointer);
    return is_type(found, cJSON_NULL) ? NULL : found;
}

/* --- telling faults --- */

static uint32_t offset_of(struct decoding *d, const cJSON *value)
{
    if (!d->located)
        json_locate(d->root, d->payload, false);
    d->located = true;
    return (uint32_t)value->valueint;
}

static void reject_message(struct decoding *d, enum reject_reason reason, uint32_t offset)
{
    d->out->reason = reason;
    d->out->fault_offset = offset;
    d->out->count = 0;
    d->out->bad_count = 0;
}

/* Whether there is room for one more reading, good or bad. */
static bool admit_one(struct decoding *d, const cJSON *at)
{
    if (d->index < d->decoder->limits.readings)
        return true;
    reject_message(d, REJECT_TOO_MANY_READINGS, offset_of(d, at));
    return false;
}

static void reject_reading(struct decoding *d, struct found fault, const struct reading *known,
                           struct text metric)
{
    if (!admit_one(d, fault.at))
        return;
    uint32_t offset = offset_of(d, fault.at);
    if (d->out->bad_count == 0)
        d->out->fault_offset = offset;
    uint32_t i = d->out->bad_count++;
    if (i < DECODED_BAD_MAX) {
        d->out->bad[i].reason = fault.reason;
        d->out->bad[i].index = d->index;
        d->out->bad[i].fault_offset = offset;
        d->out->bad[i].device = known->device;
        d->out->bad[i].metric =
            metric.bytes <= READING_NAME_BYTES_MAX ? metric : (struct text){ 0 };
        d->out->bad[i].has_sequence = known->has_sequence;
        d->out->bad[i].sequence = known->sequence;
    }
    d->index++;
}

/* --- single values --- */

static struct text text_in(const cJSON *string)
{
    return text_of(string->valuestring);
}

static bool is_exact(double number)
{
    return number > -EXACT_END && number < EXACT_END;
}

static bool number_to_ms(double number, bool seconds, int64_t *ms)
{
    double exact = seconds ? number * 1000.0 : number; /* finite: 1e308 s overflows to no number */
    if (!is_exact(exact))
        return false;
    *ms = (int64_t)exact;
    double rest = exact - (double)*ms; /* to the nearest; adding 0.5 first would round twice */
    *ms += rest >= 0.5 ? 1 : rest <= -0.5 ? -1 : 0;
    return true;
}

static bool time_to_ms(const cJSON *time, enum time_format format, int64_t *ms)
{
    if (is_type(time, cJSON_String))
        return (format == TIME_FORMAT_AUTO || format == TIME_FORMAT_RFC3339) &&
               timestamp_parse(text_in(time), ms) == 0;
    if (!is_type(time, cJSON_Number) || format == TIME_FORMAT_RFC3339)
        return false;
    double number = time->valuedouble;
    bool small = number > -MILLISECONDS_FROM && number < MILLISECONDS_FROM;
    bool seconds = format == TIME_FORMAT_SECONDS || (format == TIME_FORMAT_AUTO && small);
    return number_to_ms(number, seconds, ms);
}

static bool sequence_of(const cJSON *value, uint64_t *sequence)
{
    if (!is_type(value, cJSON_Number) || !(value->valuedouble >= 0) ||
        !is_exact(value->valuedouble))
        return false;
    *sequence = (uint64_t)value->valuedouble;
    return (double)*sequence == value->valuedouble;
}

/* A scalar as a value; `reason` for what is none. */
static enum reject_reason value_of(const cJSON *from, enum reject_reason reason, struct value *to)
{
    *to = (struct value){ .type = VALUE_NUMBER };
    if (is_type(from, cJSON_Number)) {
        to->number = from->valuedouble;
        bool inside = to->number >= -READING_NUMBER_MAX && to->number <= READING_NUMBER_MAX;
        return inside ? REJECT_NONE : REJECT_NUMBER_TOO_LARGE;
    }
    if (cJSON_IsBool(from)) {
        to->type = VALUE_BOOLEAN;
        to->number = cJSON_IsTrue(from) ? 1 : 0;
        return REJECT_NONE;
    }
    if (!is_type(from, cJSON_String))
        return reason;
    to->type = VALUE_TEXT;
    to->text = text_in(from);
    return to->text.bytes <= READING_TEXT_BYTES_MAX ? REJECT_NONE : reason;
}

/* --- what the readings of one object share --- */

/* The value under a pointer, in the reading's object or else in the root. It is remembered as no
 * metric. NULL: not given, absent, or null. */
static cJSON *shared(struct decoding *d, cJSON *object, const struct json_pointer *pointer,
                     struct common *c)
{
    if (pointer->token_count == 0)
        return NULL;
    cJSON *value = find(d, object, pointer);
    if (value == NULL && object != d->root)
        value = find(d, d->root, pointer);
    if (value != NULL && c != NULL) {
        assert(c->named_count < sizeof c->named / sizeof c->named[0]);
        c->named[c->named_count++] = value;
    }
    return value;
}

static struct found read_device(struct decoding *d, cJSON *object, struct common *c)
{
    cJSON *value = shared(d, object, &d->mapping->compiled.device, c);
    c->reading.device = d->topic_device;
    if (value == NULL)
        return d->topic_device.bytes > 0 ? GOOD : (struct found){ REJECT_NAME_INVALID, object };
    if (!is_type(value, cJSON_String) || !name_valid(text_in(value)))
        return (struct found){ REJECT_NAME_INVALID, value };
    /* What may not be said is booked on the one that said it. */
    if (d->topic_device.bytes > 0 && !text_equal(d->topic_device, text_in(value)))
        return (struct found){ REJECT_IDENTITY_MISMATCH, value };
    c->reading.device = text_in(value);
    return GOOD;
}

static struct found read_time(struct decoding *d, cJSON *object, struct common *c)
{
    cJSON *value = shared(d, object, &d->mapping->compiled.time, c);
    if (value == NULL)
        return GOOD;
    c->reading.has_device_time =
        time_to_ms(value, d->mapping->time_format, &c->reading.device_time_ms);
    return c->reading.has_device_time ? GOOD : (struct found){ REJECT_TIME_INVALID, value };
}

static struct found read_sequence(struct decoding *d, cJSON *object, struct common *c)
{
    cJSON *value = shared(d, object, &d->mapping->compiled.sequence, c);
    if (value == NULL)
        return GOOD;
    c->reading.has_sequence = sequence_of(value, &c->reading.sequence);
    return c->reading.has_sequence ? GOOD : (struct found){ REJECT_SEQUENCE_INVALID, value };
}

static struct found read_version(struct decoding *d, cJSON *object, struct common *c)
{
    uint64_t version;
    cJSON *value = shared(d, object, &d->mapping->compiled.version, c);
    if (value == NULL)
        return GOOD;
    if (!sequence_of(value, &version))
        return (struct found){ REJECT_CONTRACT_VERSION, value };
    c->reading.contract_version = version < UINT32_MAX ? (uint32_t)version : UINT32_MAX;
    return GOOD;
}

static struct found read_unit(struct decoding *d, cJSON *object, struct common *c)
{
    cJSON *value = shared(d, object, &d->mapping->compiled.unit, c);
    if (value == NULL)
        return GOOD;
    if (!is_type(value, cJSON_String) || strlen(value->valuestring) > READING_NAME_BYTES_MAX)
        return (struct found){ REJECT_UNIT_INVALID, value };
    c->reading.unit = text_in(value);
    return GOOD;
}

/* Pack the further fields into `extra`, once for all readings of the object. */
static struct found read_fields(struct decoding *d, cJSON *object, struct common *c)
{
    struct byte_writer w = { .at = d->decoder->extra, .bytes = d->decoder->extra_bytes,
                             .used = d->extra_used };
    for (uint32_t i = 0; i < d->mapping->field_count; i++) {
        cJSON *field = shared(d, object, &d->mapping->compiled.fields[i], c);
        if (field == NULL)
            continue;
        struct value value;
        if (value_of(field, REJECT_FIELD_TYPE, &value) == REJECT_FIELD_TYPE)
            return (struct found){ REJECT_FIELD_TYPE, field };
        put_u8(&w, d->mapping->field_numbers[i]);
        put_u8(&w, (uint8_t)value.type);
        if (value.type == VALUE_TEXT)
            put_text(&w, value.text);
        else
            put_f64(&w, value.number);
    }
    if (w.failed)
        return (struct found){ REJECT_JSON_TOO_BIG, object };
    struct text packed = { (const char *)d->decoder->extra + d->extra_used,
                           (uint32_t)(w.used - d->extra_used) };
    if (!text_equal(packed, d->packed)) { /* else it stands there already, often from the root */
        d->packed = packed;
        d->extra_used = w.used;
    }
    c->reading.extra = d->packed;
    return GOOD;
}

static struct found read_common(struct decoding *d, cJSON *object, struct common *c)
{
    static struct found (*const read[])(struct decoding *, cJSON *, struct common *) = {
        read_device, read_time, read_sequence, read_version, read_unit, read_fields
    };
    c->reading = (struct reading){ .source = d->source };
    c->named_count = 0;
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        struct found fault = read[i](d, object, c);
        if (fault.reason != REJECT_NONE)
            return fault;
    }
    return GOOD;
}

/* --- readings --- */

static void add_reading(struct decoding *d, const struct common *c, struct text metric,
                        cJSON *from)
{
    struct value value;
    enum reject_reason reason = value_of(from, REJECT_VALUE_TYPE, &value);
    if (reason == REJECT_NONE && !name_valid(metric))
        reason = REJECT_NAME_INVALID;
    if (reason != REJECT_NONE) {
        reject_reading(d, (struct found){ reason, from }, &c->reading, metric);
        return;
    }
    if (!admit_one(d, from))
        return;
    struct reading *to = &d->decoder->readings[d->out->count++];
    *to = c->reading;
    to->metric = metric;
    to->value = value;
    to->index = d->index++;
}

static void decode_value(struct decoding *d, cJSON *object, struct common *c)
{
    struct text metric = d->topic_metric;
    cJSON *named = shared(d, object, &d->mapping->compiled.metric, NULL);
    if (named != NULL)
        metric = is_type(named, cJSON_String) ? text_in(named) : (struct text){ 0 };
    cJSON *value = find(d, object, &d->mapping->compiled.value);
    struct found missing = { REJECT_VALUE_MISSING, object };
    struct found nameless = { REJECT_NAME_INVALID, named != NULL ? named : object };
    if (!name_valid(metric))
        reject_reading(d, nameless, &c->reading, metric);
    else if (value == NULL)
        reject_reading(d, missing, &c->reading, metric);
    else
        add_reading(d, c, metric, value);
}

/* "prefix.key" in `extra`. Too long for a name: empty, which is no name either. */
static struct text join(struct decoding *d, struct text prefix, struct text key)
{
    if (prefix.bytes == 0)
        return key;
    size_t bytes = (size_t)prefix.bytes + 1 + key.bytes;
    if (bytes > READING_NAME_BYTES_MAX)
        return (struct text){ 0 };
    if (bytes > d->decoder->extra_bytes - d->extra_used) {
        reject_message(d, REJECT_JSON_TOO_BIG, offset_of(d, d->root));
        return (struct text){ 0 };
    }
    char *to = (char *)d->decoder->extra + d->extra_used;
    memcpy(to, prefix.at, prefix.bytes);
    to[prefix.bytes] = '.';
    memcpy(to + prefix.bytes + 1, key.at, key.bytes);
    d->extra_used += bytes;
    return (struct text){ to, (uint32_t)bytes };
}

static bool is_named(const struct common *c, const cJSON *value)
{
    for (uint32_t i = 0; i < c->named_count; i++)
        if (c->named[i] == value)
            return true;
    return false;
}

/* Recursion goes as deep as the message is nested, which json_check has limited. */
static void decode_metrics(struct decoding *d, cJSON *object, const struct common *c,
                           struct text prefix)
{
    for (cJSON *member = object->child; member != NULL; member = member->next) {
        if (is_type(member, cJSON_NULL) || is_named(c, member))
            continue;
        struct text metric = join(d, prefix, text_of(member->string));
        if (d->out->reason != REJECT_NONE)
            return;
        if (!is_type(member, cJSON_Object))
            add_reading(d, c, metric, member);
        else if (metric.bytes > 0)
            decode_metrics(d, member, c, metric);
        else
            reject_reading(d, (struct found){ REJECT_NAME_INVALID, member }, &c->reading,
                           (struct text){ 0 });
        if (d->out->reason != REJECT_NONE)
            return;
    }
}

/* A fault in what the root says of the device is one of the whole message. */
static bool is_of_message(const struct decoding *d, const cJSON *object, struct found fault)
{
    bool of_device = fault.reason == REJECT_NAME_INVALID ||
                     fault.reason == REJECT_IDENTITY_MISMATCH;
    bool in_root = object == d->root ||
                   fault.at == find(d, d->root, &d->mapping->compiled.device);
    return fault.reason == REJECT_JSON_TOO_BIG || (of_device && in_root);
}

static void decode_object(struct decoding *d, cJSON *object)
{
    struct common c;
    struct found fault = read_common(d, object, &c);
    if (fault.reason != REJECT_NONE) {
        if (is_of_message(d, object, fault))
            reject_message(d, fault.reason, offset_of(d, fault.at));
        else
            reject_reading(d, fault, &c.reading, (struct text){ 0 });
        return;
    }
    if (!d->mapping->metrics_given) {
        decode_value(d, object, &c);
        return;
    }
    cJSON *metrics = find(d, object, &d->mapping->compiled.metrics);
    enum reject_reason reason = metrics == NULL ? REJECT_VALUE_MISSING : REJECT_VALUE_TYPE;
    if (metrics != NULL && is_type(metrics, cJSON_Object))
        decode_metrics(d, metrics, &c, d->topic_metric);
    else
        reject_reading(d, (struct found){ reason, metrics != NULL ? metrics : object },
                       &c.reading, (struct text){ 0 });
}

static void decode_tree(struct decoding *d)
{
    cJSON *readings = d->root;
    if (d->mapping->readings_given)
        readings = find(d, d->root, &d->mapping->compiled.readings);
    if (readings != NULL && d->mapping->readings_given && is_type(readings, cJSON_Array)) {
        for (cJSON *one = readings->child; one != NULL && d->out->reason == REJECT_NONE;
             one = one->next)
            decode_object(d, one);
    } else if (readings != NULL) {
        decode_object(d, readings);
    }
    if (d->out->reason == REJECT_NONE && d->index == 0)
        reject_message(d, REJECT_NO_READINGS, offset_of(d, readings != NULL ? readings : d->root));
}

/* --- the message --- */

/* The tree by json_check and cJSON, or NULL with out->reason set. */
static cJSON *parse(struct decoding *d)
{
    const struct json_memory *memory = &d->decoder->memory;
    const char *stopped = d->payload.at;
    struct json_fault fault = json_check(d->payload, d->decoder->limits.depth);
    if (fault.reason != REJECT_NONE) {
        reject_message(d, fault.reason, fault.offset);
        return NULL;
    }
    memory->reset();
    cJSON *root = cJSON_ParseWithLengthOpts(d->payload.at, d->payload.bytes, &stopped, 0);
    if (root == NULL) {
        uint32_t offset = stopped >= d->payload.at ? (uint32_t)(stopped - d->payload.at) : 0;
        reject_message(d, memory->exhausted() ? REJECT_JSON_TOO_BIG : REJECT_JSON_SYNTAX, offset);
        return NULL;
    }
    bool exhausted;
    cJSON *duplicate = json_duplicate(root, &exhausted);
    if (exhausted)
        reject_message(d, REJECT_JSON_TOO_BIG, d->payload.bytes);
    if (duplicate == NULL)
        return exhausted ? NULL : root;
    json_locate(root, d->payload, true);
    reject_message(d, REJECT_JSON_DUPLICATE_KEY, (uint32_t)duplicate->valueint);
    return NULL;
}

static bool check_message(struct decoding *d)
{
    const struct json_limits *limits = &d->decoder->limits;
    reject_message(d, REJECT_NONE, 0);
    if (d->payload.bytes > limits->payload_bytes)
        reject_message(d, REJECT_PAYLOAD_TOO_LARGE, limits->payload_bytes);
    else if (d->topic_device.bytes > 0 && !name_valid(d->topic_device))
        reject_message(d, REJECT_NAME_INVALID, 0);
    return d->out->reason == REJECT_NONE;
}

void decode_json(struct decoder *decoder, const struct json_mapping *mapping, uint16_t source,
                 struct text topic_device, struct text topic_metric, struct text payload,
                 struct decoded *out)
{
    assert(mapping->compiled.done);
    assert(decoder->extra != NULL);
    assert(decoder->limits.payload_bytes <= INT32_MAX); /* an offset fits cJSON's int */
    assert(decoder->limits.depth >= 1);                 /* the scanner takes an object */
    struct decoding d = { .decoder = decoder, .mapping = mapping, .out = out, .payload = payload,
                          .topic_device = topic_device, .topic_metric = topic_metric,
                          .source = source };
    if (!check_message(&d))
        return;
    decoder->memory.reset();
    d.root = json_scan(payload, &d.keys);
    d.scanned = d.root != NULL;
    if (d.root == NULL)
        d.root = parse(&d);
    if (d.root != NULL)
        decode_tree(&d);
    assert(out->count <= decoder->limits.readings);
}
