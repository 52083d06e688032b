#include "pipeline/codec/codec_results_rows.h"

#include <assert.h>
#include <float.h>

#include "pipeline/err.h"

static_assert((int)WINDOW_COLUMNS <= (int)RESULTS_COLUMNS_MAX, "room for a window's columns");
static_assert((int)READING_COLUMNS <= (int)RESULTS_COLUMNS_MAX, "room for a reading's columns");
static_assert((int)VALUE_ROW_COLUMNS <= (int)RESULTS_COLUMNS_MAX, "room for a result's columns");

enum { FLAG_TYPE = 3, FLAG_DEVICE_TIME = 4, FLAG_SEQUENCE = 8, FLAG_TIME_SOURCE_SHIFT = 4 };

/* The difference to the row before, and its inverse. */
static uint64_t step_to(uint64_t *last, uint64_t value)
{
    uint64_t difference = value - *last;
    *last = value;
    return zigzag(difference);
}

static uint64_t step_from(uint64_t *last, uint64_t code)
{
    *last += unzigzag(code);
    return *last;
}

static uint64_t bits_of(double number)
{
    return (uint64_t)packed_whole_near(number, PACKED_DOUBLE);
}

static double number_at(uint64_t whole, uint8_t scale)
{
    return packed_number_value((struct packed_number){ .whole = (int64_t)whole, .scale = scale });
}

static bool is_finite(double number)
{
    return number >= -DBL_MAX && number <= DBL_MAX;
}

/* The least decimal scale at which all four are exact, else PACKED_DOUBLE. */
static uint8_t common_scale(const double numbers[4])
{
    uint8_t scale = 0;
    for (int i = 0; i < 4; i++) {
        struct packed_number packed = packed_number_of(numbers[i], scale, PACKED_DECIMAL_MAX);
        if (packed.scale > PACKED_DECIMAL_MAX)
            return PACKED_DOUBLE;
        scale = packed.scale;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t whole = (uint64_t)packed_whole_near(numbers[i], scale);
        if (bits_of(number_at(whole, scale)) != bits_of(numbers[i]))
            return PACKED_DOUBLE;
    }
    return scale;
}

static void values_to_row(struct results_place *place, const struct aggregate *a, uint64_t *row)
{
    const double numbers[4] = { a->min, a->max, a->first, a->last };
    uint8_t scale = common_scale(numbers);
    uint64_t min = (uint64_t)packed_whole_near(a->min, scale);
    row[WINDOW_SCALE] = step_to(&place->scale, scale);
    row[WINDOW_MIN] = zigzag(min);
    row[WINDOW_MAX] = zigzag((uint64_t)packed_whole_near(a->max, scale) - min);
    row[WINDOW_FIRST] = zigzag((uint64_t)packed_whole_near(a->first, scale) - min);
    row[WINDOW_LAST] = zigzag((uint64_t)packed_whole_near(a->last, scale) - min);
    row[WINDOW_MEAN] = zigzag(bits_of(a->mean) - bits_of(a->first));
    row[WINDOW_M2] = bits_of(a->m2);
}

static int values_of_row(struct results_place *place, const uint64_t *row, struct aggregate *a)
{
    uint64_t scale = step_from(&place->scale, row[WINDOW_SCALE]);
    uint64_t min = unzigzag(row[WINDOW_MIN]);
    if (scale >= PACKED_SCALES)
        return WEIR_ECORRUPT;
    a->min = number_at(min, (uint8_t)scale);
    a->max = number_at(min + unzigzag(row[WINDOW_MAX]), (uint8_t)scale);
    a->first = number_at(min + unzigzag(row[WINDOW_FIRST]), (uint8_t)scale);
    a->last = number_at(min + unzigzag(row[WINDOW_LAST]), (uint8_t)scale);
    a->mean = number_at(bits_of(a->first) + unzigzag(row[WINDOW_MEAN]), PACKED_DOUBLE);
    a->m2 = number_at(row[WINDOW_M2], PACKED_DOUBLE);
    bool finite = is_finite(a->min) && is_finite(a->max) && is_finite(a->first) &&
                  is_finite(a->last) && is_finite(a->mean) && is_finite(a->m2);
    return finite ? 0 : WEIR_ECORRUPT;
}

void window_to_row(struct results_place *place, const struct row_names *names,
                   const struct window_result *result, uint64_t row[RESULTS_COLUMNS_MAX])
{
    const struct aggregate *a = &result->aggregate;
    uint64_t start = (uint64_t)result->start_ms, end = (uint64_t)result->end_ms;
    row[WINDOW_DEVICE] = step_to(&place->device, names->device);
    row[WINDOW_METRIC] = step_to(&place->metric, names->metric);
    row[WINDOW_UNIT] = step_to(&place->unit, names->unit);
    row[WINDOW_START] = step_to(&place->start, start);
    row[WINDOW_LENGTH] = step_to(&place->length, end - start);
    row[WINDOW_REVISION] = result->revision;
    row[WINDOW_FORCED] = result->forced;
    row[WINDOW_COUNT] = step_to(&place->count, a->count);
    row[WINDOW_FIRST_TIME] = zigzag((uint64_t)a->first_ms - start);
    row[WINDOW_LAST_TIME] = zigzag((uint64_t)a->last_ms - end);
    values_to_row(place, a, row);
    row[WINDOW_FIRST_BLOCK] = step_to(&place->first_block, result->first_block);
    row[WINDOW_LAST_BLOCK] = zigzag(result->last_block - result->first_block);
    row[WINDOW_CONTRACT] = step_to(&place->contract, result->contract_version);
}

int window_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                  struct row_names *names, struct window_result *result)
{
    struct aggregate *a = &result->aggregate;
    *names = (struct row_names){ 0 };
    names->device = step_from(&place->device, row[WINDOW_DEVICE]);
    names->metric = step_from(&place->metric, row[WINDOW_METRIC]);
    names->unit = step_from(&place->unit, row[WINDOW_UNIT]);
    uint64_t start = step_from(&place->start, row[WINDOW_START]);
    uint64_t end = start + step_from(&place->length, row[WINDOW_LENGTH]);
    uint64_t contract = step_from(&place->contract, row[WINDOW_CONTRACT]);
    if (row[WINDOW_REVISION] > UINT32_MAX || row[WINDOW_FORCED] > 1 || contract > UINT32_MAX)
        return WEIR_ECORRUPT;
    result->start_ms = (int64_t)start;
    result->end_ms = (int64_t)end;
    result->revision = (uint32_t)row[WINDOW_REVISION];
    result->forced = row[WINDOW_FORCED] == 1;
    result->contract_version = (uint32_t)contract;
    a->count = step_from(&place->count, row[WINDOW_COUNT]);
    a->first_ms = (int64_t)(start + unzigzag(row[WINDOW_FIRST_TIME]));
    a->last_ms = (int64_t)(end + unzigzag(row[WINDOW_LAST_TIME]));
    result->first_block = step_from(&place->first_block, row[WINDOW_FIRST_BLOCK]);
    result->last_block = result->first_block + unzigzag(row[WINDOW_LAST_BLOCK]);
    return values_of_row(place, row, a);
}

static uint64_t flags_of(const struct record *record)
{
    return (uint64_t)record->reading.value.type |
           (record->reading.has_device_time ? FLAG_DEVICE_TIME : 0u) |
           (record->reading.has_sequence ? FLAG_SEQUENCE : 0u) |
           (uint64_t)record->time_source << FLAG_TIME_SOURCE_SHIFT;
}

void reading_to_row(struct results_place *place, const struct row_names *names,
                    const struct record *record, uint64_t row[RESULTS_COLUMNS_MAX])
{
    const struct reading *reading = &record->reading;
    uint64_t event = (uint64_t)record->event_time_ms;
    row[READING_DEVICE] = step_to(&place->device, names->device);
    row[READING_METRIC] = step_to(&place->metric, names->metric);
    row[READING_UNIT] = step_to(&place->unit, names->unit);
    row[READING_T] = step_to(&place->t, (uint64_t)record->t_ms);
    row[READING_FLAGS] = step_to(&place->flags, flags_of(record));
    row[READING_SOURCE] = step_to(&place->source, reading->source);
    row[READING_EVENT_TIME] = step_to(&place->event, event);
    row[READING_DEVICE_TIME] = zigzag((uint64_t)reading->device_time_ms -
                                      (reading->has_device_time ? event : 0));
    row[READING_SEQUENCE] = step_to(&place->sequence, reading->sequence);
    row[READING_INDEX] = step_to(&place->index, reading->index);
    struct packed_number packed = { .whole = (int64_t)names->text, .scale = (uint8_t)place->scale };
    if (reading->value.type != VALUE_TEXT)
        packed = packed_number_of(reading->value.number, 0, PACKED_DECIMAL_MAX);
    row[READING_SCALE] = step_to(&place->scale, packed.scale);
    row[READING_VALUE] = zigzag((uint64_t)packed.whole);
    row[READING_ULPS] = zigzag((uint64_t)packed.ulps);
    row[READING_EXTRA] = step_to(&place->extra, names->extra);
}

static int value_of_row(struct results_place *place, const uint64_t *row, struct row_names *names,
                        struct value *value)
{
    uint64_t scale = step_from(&place->scale, row[READING_SCALE]);
    uint64_t whole = unzigzag(row[READING_VALUE]);
    if (scale >= PACKED_SCALES)
        return WEIR_ECORRUPT;
    if (value->type == VALUE_TEXT) {
        names->text = whole;
        return 0;
    }
    struct packed_number packed = { .whole = (int64_t)whole, .scale = (uint8_t)scale,
                                    .ulps = (int64_t)unzigzag(row[READING_ULPS]) };
    double number = packed_number_value(packed);
    if (!is_finite(number))
        return WEIR_ECORRUPT;
    value->number = number;
    return 0;
}

int reading_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                   struct row_names *names, struct record *record)
{
    struct reading *reading = &record->reading;
    *names = (struct row_names){ 0 };
    names->device = step_from(&place->device, row[READING_DEVICE]);
    names->metric = step_from(&place->metric, row[READING_METRIC]);
    names->unit = step_from(&place->unit, row[READING_UNIT]);
    names->extra = step_from(&place->extra, row[READING_EXTRA]);
    uint64_t flags = step_from(&place->flags, row[READING_FLAGS]);
    uint64_t source = step_from(&place->source, row[READING_SOURCE]);
    uint64_t index = step_from(&place->index, row[READING_INDEX]);
    if (flags >> FLAG_TIME_SOURCE_SHIFT > TIME_COARSE || (flags & FLAG_TYPE) > VALUE_TEXT ||
        source > UINT16_MAX || index > UINT32_MAX)
        return WEIR_ECORRUPT;
    record->kind = RECORD_READING;
    record->t_ms = (int64_t)step_from(&place->t, row[READING_T]);
    record->event_time_ms = (int64_t)step_from(&place->event, row[READING_EVENT_TIME]);
    record->time_source = (enum time_source)(flags >> FLAG_TIME_SOURCE_SHIFT);
    reading->has_device_time = (flags & FLAG_DEVICE_TIME) != 0;
    reading->has_sequence = (flags & FLAG_SEQUENCE) != 0;
    reading->source = (uint16_t)source;
    reading->index = (uint32_t)index;
    uint64_t base = reading->has_device_time ? place->event : 0;
    reading->device_time_ms = (int64_t)(base + unzigzag(row[READING_DEVICE_TIME]));
    reading->sequence = step_from(&place->sequence, row[READING_SEQUENCE]);
    reading->value.type = (enum value_type)(flags & FLAG_TYPE);
    return value_of_row(place, row, names, &reading->value);
}

/* A mean seldom is a decimal, and to find that out takes longer than all the rest: few are
 * tried. */
enum { VALUE_DECIMALS_MAX = 4 };
enum { STREAM_KIND = 7, STREAM_FORCED = 8, TYPE_NULL = 3 };
static_assert((int)STREAM_RESULT_KINDS <= STREAM_KIND + 1, "a result's kind fits into its flags");

static uint64_t type_of(const struct datum *value)
{
    switch (value->kind) {
    case DATUM_NUMBER:
        return VALUE_NUMBER;
    case DATUM_BOOLEAN:
        return VALUE_BOOLEAN;
    case DATUM_TEXT:
        return VALUE_TEXT;
    case DATUM_NULL:
        break;
    }
    return TYPE_NULL;
}

void stream_to_row(struct results_place *place, const struct row_names *names,
                   const struct stream_row *value, uint64_t row[RESULTS_COLUMNS_MAX])
{
    uint64_t start = (uint64_t)value->start_ms, end = (uint64_t)value->end_ms;
    struct packed_number packed = { .scale = (uint8_t)place->scale };
    if (value->value.kind == DATUM_TEXT)
        packed.whole = (int64_t)names->text;
    else if (value->value.kind != DATUM_NULL)
        packed = packed_number_of(value->value.number, 0, VALUE_DECIMALS_MAX);
    row[VALUE_ROW_STREAM] = step_to(&place->stream, names->stream);
    row[VALUE_ROW_KEY] = step_to(&place->key, names->key);
    row[VALUE_ROW_START] = step_to(&place->start, start);
    row[VALUE_ROW_LENGTH] = step_to(&place->length, end - start);
    row[VALUE_ROW_REVISION] = step_to(&place->revision, value->revision);
    row[VALUE_ROW_FLAGS] = step_to(&place->flags, (uint64_t)value->kind |
                                                   (value->forced ? STREAM_FORCED : 0u));
    row[VALUE_ROW_FIELD] = step_to(&place->field, names->field);
    row[VALUE_ROW_TYPE] = step_to(&place->type, type_of(&value->value));
    row[VALUE_ROW_SCALE] = step_to(&place->scale, packed.scale);
    row[VALUE_ROW_VALUE] = zigzag((uint64_t)packed.whole);
    row[VALUE_ROW_ULPS] = zigzag((uint64_t)packed.ulps);
    row[VALUE_ROW_FIRST_BLOCK] = step_to(&place->first_block, value->first_block);
    row[VALUE_ROW_LAST_BLOCK] = step_to(&place->last_block, value->last_block);
}

static int datum_of_row(struct results_place *place, const uint64_t *row, struct row_names *names,
                        struct datum *datum)
{
    static const enum datum_kind kinds[] = { DATUM_NUMBER, DATUM_BOOLEAN, DATUM_TEXT, DATUM_NULL };
    uint64_t type = step_from(&place->type, row[VALUE_ROW_TYPE]);
    if (type > TYPE_NULL)
        return WEIR_ECORRUPT;
    uint64_t reading_row[RESULTS_COLUMNS_MAX] = { 0 };
    reading_row[READING_SCALE] = row[VALUE_ROW_SCALE];
    reading_row[READING_VALUE] = row[VALUE_ROW_VALUE];
    reading_row[READING_ULPS] = row[VALUE_ROW_ULPS];
    struct value value = { .type = type == VALUE_TEXT ? VALUE_TEXT : VALUE_NUMBER };
    if (value_of_row(place, reading_row, names, &value) != 0)
        return WEIR_ECORRUPT;
    *datum = (struct datum){ .kind = kinds[type], .number = value.number };
    return 0;
}

int stream_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                  struct row_names *names, struct stream_row *value)
{
    *names = (struct row_names){ 0 };
    names->stream = step_from(&place->stream, row[VALUE_ROW_STREAM]);
    names->key = step_from(&place->key, row[VALUE_ROW_KEY]);
    names->field = step_from(&place->field, row[VALUE_ROW_FIELD]);
    uint64_t start = step_from(&place->start, row[VALUE_ROW_START]);
    uint64_t end = start + step_from(&place->length, row[VALUE_ROW_LENGTH]);
    uint64_t revision = step_from(&place->revision, row[VALUE_ROW_REVISION]);
    uint64_t flags = step_from(&place->flags, row[VALUE_ROW_FLAGS]);
    if (revision > UINT32_MAX || flags > (STREAM_KIND | STREAM_FORCED) ||
        (flags & STREAM_KIND) >= STREAM_RESULT_KINDS)
        return WEIR_ECORRUPT;
    value->start_ms = (int64_t)start;
    value->end_ms = (int64_t)end;
    value->revision = (uint32_t)revision;
    value->kind = (enum stream_result_kind)(flags & STREAM_KIND);
    value->forced = (flags & STREAM_FORCED) != 0;
    value->first_block = step_from(&place->first_block, row[VALUE_ROW_FIRST_BLOCK]);
    value->last_block = step_from(&place->last_block, row[VALUE_ROW_LAST_BLOCK]);
    return datum_of_row(place, row, names, &value->value);
}
