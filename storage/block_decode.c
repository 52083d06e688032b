#include "storage/block.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "pipeline/err.h"
#include "storage/block_columns.h"
#include "storage/crc32c.h"

/* Nothing in a block is believed but its length: a CRC says that bytes are as they were written,
 * not that a Weir wrote them. Every number that indexes something is checked where it is read. */

struct block_reader {
    struct block_limits limits;
    uint32_t record_count, reading_count; /* announced */
    uint32_t records_read, readings_read;
    uint32_t name_count;                  /* names[0] is the empty one */
    uint32_t series_count, series_announced;
    uint16_t last_series;
    int64_t last_t_ms;
    int64_t event_offset;
    bool corrupt;
    struct text *names;
    struct block_series *series;
    struct packed_column columns[BLOCK_COLUMNS];
    struct crc32c crc;
};

struct block_reader *block_reader_init(const struct block_limits *limits, struct arena *arena)
{
    assert(limits->records_max > 0 && limits->records_max < UINT16_MAX);
    assert(limits->names_max > 0 && limits->names_max < UINT16_MAX);
    struct block_reader *r = arena_take(arena, 1, sizeof *r);
    struct text *names = arena_take(arena, limits->names_max + 1u, sizeof *names);
    struct block_series *series = arena_take(arena, limits->records_max, sizeof *series);
    if (r == NULL)
        return NULL;
    *r = (struct block_reader){ .limits = *limits, .names = names, .series = series };
    crc32c_init(&r->crc);
    return r;
}

/* --- opening --------------------------------------------------------------------------------- */

static int read_names(struct block_reader *r)
{
    struct byte_reader *in = &r->columns[COLUMN_NAMES].in;
    r->names[0] = (struct text){ 0 };
    for (uint32_t i = 1; i < r->name_count; i++) {
        r->names[i] = get_text(in);
        if (r->names[i].bytes == 0)
            in->failed = true;
    }
    return in->failed || in->used != in->bytes ? WEIR_ECORRUPT : 0;
}

/* Counts and directory; then the columns share out the rest of the bytes, to the last one. */
static int read_header(struct block_reader *r, struct byte_reader *in)
{
    uint64_t records = get_varint(in), readings = get_varint(in);
    uint64_t names = get_varint(in), series = get_varint(in);
    uint64_t bytes[BLOCK_COLUMNS], total = 0;
    for (int i = 0; i < BLOCK_COLUMNS; i++) {
        bytes[i] = get_varint(in);
        if (bytes[i] > in->bytes)
            return WEIR_ECORRUPT;
        total += bytes[i];
    }
    if (in->failed || total != in->bytes - in->used || readings > records || series > readings)
        return WEIR_ECORRUPT;
    if (records > r->limits.records_max || names > r->limits.names_max)
        return WEIR_EFULL;
    r->record_count = (uint32_t)records;
    r->reading_count = (uint32_t)readings;
    r->series_announced = (uint32_t)series;
    r->name_count = (uint32_t)names + 1;
    for (int i = 0; i < BLOCK_COLUMNS; i++) {
        struct byte_reader column = { .at = in->at + in->used, .bytes = (size_t)bytes[i] };
        r->columns[i] = (struct packed_column){ .in = column };
        in->used += (size_t)bytes[i];
    }
    return read_names(r);
}

int block_open(struct block_reader *r, struct text bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.at;
    r->record_count = r->records_read = r->readings_read = 0;
    r->series_count = 0;
    r->last_series = SERIES_NONE;
    r->last_t_ms = 0;
    r->event_offset = 0;
    r->corrupt = false;
    if (bytes.bytes < 3 + BLOCK_CRC_BYTES)
        return WEIR_ECORRUPT;
    struct byte_reader in = { .at = at, .bytes = bytes.bytes - BLOCK_CRC_BYTES };
    struct byte_reader end = { .at = at + in.bytes, .bytes = BLOCK_CRC_BYTES };
    uint16_t magic = get_u16(&in);
    uint8_t version = get_u8(&in);
    if (magic != BLOCK_MAGIC || get_u32(&end) != crc32c_of(&r->crc, at, in.bytes))
        return WEIR_ECORRUPT;
    if (version != BLOCK_VERSION)
        return WEIR_EVERSION;
    int result = read_header(r, &in);
    if (result != 0)
        r->record_count = 0;
    return result;
}

/* --- columns --------------------------------------------------------------------------------- */

static inline uint64_t column_get(struct block_reader *r, enum block_column index)
{
    return packed_get(&r->columns[index]);
}

static uint64_t entry_get(struct block_reader *r, enum block_column index, uint64_t max)
{
    struct byte_reader *in = &r->columns[index].in;
    uint64_t value = get_varint(in);
    if (in->failed || value > max) {
        r->corrupt = true;
        return 0;
    }
    return value;
}

static uint16_t name_get(struct block_reader *r, enum block_column index)
{
    return (uint16_t)entry_get(r, index, r->name_count - 1);
}

static struct text text_get(struct block_reader *r, enum block_column index)
{
    struct byte_reader *in = &r->columns[index].in;
    struct text text = get_text(in);
    r->corrupt = r->corrupt || in->failed;
    return text;
}

/* --- readings -------------------------------------------------------------------------------- */

static void series_new(struct block_reader *r)
{
    struct block_series *s = &r->series[r->series_count];
    const unsigned flags_max = ((TIME_COARSE + 1u) << SERIES_TIME_SOURCE_SHIFT) - 1;
    *s = (struct block_series){ .next = SERIES_NONE };
    s->device = name_get(r, COLUMN_SERIES);
    s->metric = name_get(r, COLUMN_SERIES);
    s->unit = name_get(r, COLUMN_SERIES);
    s->source = (uint16_t)entry_get(r, COLUMN_SERIES, UINT16_MAX);
    s->flags = (uint8_t)entry_get(r, COLUMN_SERIES, flags_max);
    if ((s->flags & SERIES_TYPE) > VALUE_TEXT)
        r->corrupt = true;
    r->series_count++;
}

/* NULL, and corrupt, where the order names none. */
static struct block_series *series_in_order(struct block_reader *r, uint64_t order)
{
    struct block_series *before = r->last_series == SERIES_NONE ? NULL : &r->series[r->last_series];
    uint64_t index = order - ORDER_SERIES;
    if (order == 0)
        index = before == NULL || before->next == SERIES_NONE ? UINT64_MAX : before->next;
    else if (index == r->series_count && r->series_count < r->series_announced)
        series_new(r);
    if (r->corrupt || index >= r->series_count) {
        r->corrupt = true;
        return NULL;
    }
    if (order != 0 && before != NULL)
        before->next = (uint16_t)index;
    r->last_series = (uint16_t)index;
    return &r->series[index];
}

static void get_number(struct block_reader *r, struct block_series *s, struct value *value)
{
    uint64_t scale = s->scale + unzigzag(column_get(r, COLUMN_SCALE));
    if (scale >= PACKED_SCALES) {
        r->corrupt = true;
        return;
    }
    if (scale != s->scale)
        s->whole = packed_whole_near(s->number, (uint8_t)scale);
    s->scale = (uint8_t)scale;
    s->whole = (int64_t)((uint64_t)s->whole + unzigzag(column_get(r, COLUMN_VALUE)));
    int64_t ulps = (int64_t)unzigzag(column_get(r, COLUMN_ULPS));
    value->number = packed_number_value((struct packed_number){ s->whole, ulps, s->scale });
    if (!isfinite(value->number)) {
        r->corrupt = true;
        value->number = 0;
    }
    s->number = value->number;
}

static void get_text_value(struct block_reader *r, struct block_series *s, struct value *value)
{
    uint64_t name = (uint64_t)s->whole + unzigzag(column_get(r, COLUMN_VALUE));
    bool scaled = (column_get(r, COLUMN_SCALE) | column_get(r, COLUMN_ULPS)) != 0;
    if (scaled || name >= r->name_count) {
        r->corrupt = true;
        return;
    }
    s->whole = (int64_t)name;
    value->text = r->names[name];
}

static void get_event_time(struct block_reader *r, struct record *record)
{
    uint64_t residue = unzigzag(column_get(r, COLUMN_EVENT_TIME));
    if (record->time_source == TIME_DEVICE && record->reading.has_device_time) {
        record->event_time_ms = (int64_t)((uint64_t)record->reading.device_time_ms + residue);
        return;
    }
    r->event_offset = (int64_t)((uint64_t)r->event_offset + residue);
    record->event_time_ms = (int64_t)((uint64_t)record->t_ms + (uint64_t)r->event_offset);
}

static void get_reading(struct block_reader *r, uint64_t order, struct record *record)
{
    struct reading *reading = &record->reading;
    struct block_series *s = series_in_order(r, order);
    if (s == NULL)
        return;
    record->kind = RECORD_READING;
    record->time_source = s->flags >> SERIES_TIME_SOURCE_SHIFT;
    reading->device = r->names[s->device];
    reading->metric = r->names[s->metric];
    reading->unit = r->names[s->unit];
    reading->source = s->source;
    reading->value.type = s->flags & SERIES_TYPE;
    reading->has_device_time = (s->flags & SERIES_DEVICE_TIME) != 0;
    reading->has_sequence = (s->flags & SERIES_SEQUENCE) != 0;
    reading->device_time_ms = (int64_t)step_value(&s->device_time, &s->device_time_step,
                                                  unzigzag(column_get(r, COLUMN_DEVICE_TIME)));
    reading->sequence = step_value(&s->sequence, &s->sequence_step,
                                   unzigzag(column_get(r, COLUMN_SEQUENCE)));
    s->index_step += (uint32_t)unzigzag(column_get(r, COLUMN_INDEX));
    s->index += s->index_step;
    reading->index = s->index;
    get_event_time(r, record);
    if (reading->value.type == VALUE_TEXT)
        get_text_value(r, s, &reading->value);
    else
        get_number(r, s, &reading->value);
    uint64_t extra = s->extra + unzigzag(column_get(r, COLUMN_EXTRA));
    if (extra >= r->name_count) {
        r->corrupt = true;
        return;
    }
    s->extra = (uint16_t)extra;
    reading->extra = r->names[extra];
}

/* --- records written whole ------------------------------------------------------------------- */

static uint64_t whole_get(struct block_reader *r, uint64_t max)
{
    return entry_get(r, COLUMN_WHOLE, max);
}

/* By its number; 0: it stands here. */
static struct text get_whole_name(struct block_reader *r)
{
    uint16_t name = name_get(r, COLUMN_WHOLE);
    return name == 0 ? text_get(r, COLUMN_WHOLE) : r->names[name];
}

static void get_whole_value(struct block_reader *r, struct value *value)
{
    value->type = (enum value_type)whole_get(r, VALUE_TEXT);
    uint64_t bits = whole_get(r, UINT64_MAX);
    value->text = text_get(r, COLUMN_WHOLE);
    value->number = packed_number_value((struct packed_number){ (int64_t)bits, 0, PACKED_DOUBLE });
    r->corrupt = r->corrupt || !isfinite(value->number);
}

static void get_whole_reading(struct block_reader *r, uint64_t fields, struct record *record)
{
    struct reading *reading = &record->reading;
    if (fields & FIELD_UNIT)
        reading->unit = get_whole_name(r);
    if (fields & FIELD_VALUE)
        get_whole_value(r, &reading->value);
    if (fields & FIELD_HAS) {
        uint64_t has = whole_get(r, 3);
        reading->has_device_time = (has & 1) != 0;
        reading->has_sequence = (has & 2) != 0;
    }
    if (fields & FIELD_INDEX)
        reading->index = (uint32_t)whole_get(r, UINT32_MAX);
    if (fields & FIELD_DEVICE_TIME)
        reading->device_time_ms = (int64_t)unzigzag(whole_get(r, UINT64_MAX));
    if (fields & FIELD_SEQUENCE)
        reading->sequence = whole_get(r, UINT64_MAX);
    if (fields & FIELD_EXTRA)
        reading->extra = text_get(r, COLUMN_WHOLE);
    if (fields & FIELD_EVENT_TIME)
        record->event_time_ms = (int64_t)unzigzag(whole_get(r, UINT64_MAX));
    if (fields & FIELD_TIME_SOURCE)
        record->time_source = (enum time_source)whole_get(r, TIME_COARSE);
}

static void get_whole(struct block_reader *r, struct record *record)
{
    record->kind = (enum record_kind)whole_get(r, UINT8_MAX);
    if (record->kind < RECORD_READING)
        r->corrupt = true;
    uint64_t fields = whole_get(r, FIELDS_END - 1);
    if (fields & FIELD_COUNT)
        record->count = whole_get(r, UINT64_MAX);
    if (fields & FIELD_REASON) { /* a newer Weir has more of them */
        uint64_t reason = whole_get(r, UINT8_MAX);
        record->reason = reason < REJECT_REASON_END ? (enum reject_reason)reason : REJECT_NONE;
    }
    if (fields & FIELD_SOURCE)
        record->reading.source = (uint16_t)whole_get(r, UINT16_MAX);
    if (fields & FIELD_DEVICE)
        record->reading.device = get_whole_name(r);
    if (fields & FIELD_METRIC)
        record->reading.metric = get_whole_name(r);
    if (fields & FIELD_CLOCK) {
        record->clock.offset_ms = (int64_t)unzigzag(whole_get(r, UINT64_MAX));
        record->clock.state = (enum clock_state)whole_get(r, CLOCK_SYNCED);
        record->clock.boot = whole_get(r, UINT64_MAX);
    }
    if (fields & FIELD_CONTENT)
        record->content = text_get(r, COLUMN_WHOLE);
    if (fields & FIELD_DIGEST)
        record->digest = text_get(r, COLUMN_WHOLE);
    get_whole_reading(r, fields, record);
}

static int next(struct block_reader *r, struct record *record)
{
    *record = (struct record){ 0 };
    if (r->records_read == r->record_count)
        return r->readings_read == r->reading_count && !r->corrupt ? 0 : WEIR_ECORRUPT;
    uint64_t order = column_get(r, COLUMN_ORDER);
    r->last_t_ms = (int64_t)((uint64_t)r->last_t_ms + unzigzag(column_get(r, COLUMN_T)));
    record->t_ms = r->last_t_ms;
    if (order == ORDER_WHOLE)
        get_whole(r, record);
    else
        get_reading(r, order, record);
    for (int i = 0; i < COLUMN_SERIES; i++)
        r->corrupt = r->corrupt || r->columns[i].in.failed;
    if (r->corrupt) {
        r->record_count = r->records_read; /* nothing behind it can be read */
        *record = (struct record){ 0 };
        return WEIR_ECORRUPT;
    }
    r->records_read++;
    r->readings_read += record->kind == RECORD_READING;
    return 1;
}

/* Kinds that we don't know are a newer Weir's: the block is whole, by its CRC. */
int block_next(struct block_reader *r, struct record *record)
{
    int more;
    do
        more = next(r, record);
    while (more == 1 && record->kind > RECORD_KIND_LAST);
    return more;
}
