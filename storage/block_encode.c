#include "storage/block.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "pipeline/err.h"
#include "storage/block_chains.h"
#include "storage/crc32c.h"

enum {
    NAMES_A_RECORD = 5, /* device, metric, unit, text value, further fields */
    READING_TEXTS_MAX = 3 * READING_NAME_BYTES_MAX + READING_TEXT_BYTES_MAX +
                        READING_FIELDS_MAX * (READING_TEXT_BYTES_MAX + 16)
};

struct name {
    uint32_t offset;       /* in the pool */
    uint32_t bytes;
    uint32_t hash;
};

struct block_builder {
    struct block_limits limits;
    uint32_t name_slot_mask;
    uint32_t series_slot_mask;
    uint32_t record_count, reading_count;
    uint32_t name_count;          /* names[0] is the empty one */
    uint32_t series_count;
    uint16_t last_series;
    int64_t last_t_ms;
    int64_t event_offset;         /* event time - t of the last reading timed by arrival */
    struct block_pool pool;
    struct name *names;
    struct block_series *series;
    uint16_t *name_slots;         /* open addressing; 0: free, else name */
    uint16_t *series_slots;       /* 0: free, else series + 1 */
    struct block_chain columns[BLOCK_COLUMNS];
    struct crc32c crc;
};

/* Tables stay at most half full. */
static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    return slots;
}

static uint32_t pool_bytes(const struct block_limits *limits)
{
    return limits->bytes_max - BLOCK_HEADER_BYTES_MAX - BLOCK_CRC_BYTES;
}

struct block_builder *block_builder_init(const struct block_limits *limits, struct arena *arena)
{
    assert(limits->records_max > 0 && limits->records_max < UINT16_MAX);
    assert(limits->names_max > NAMES_A_RECORD && limits->names_max < UINT16_MAX);
    assert(limits->bytes_max >= BLOCK_BYTES_MIN && limits->bytes_max <= INT32_MAX);
    uint32_t name_slots = slots_for(limits->names_max);
    uint32_t series_slots = slots_for(limits->records_max);
    struct block_builder *b = arena_take(arena, 1, sizeof *b);
    struct block_builder made = { .limits = *limits, .name_slot_mask = name_slots - 1,
                                  .series_slot_mask = series_slots - 1 };
    made.pool.bytes = pool_bytes(limits);
    made.pool.at = arena_take(arena, made.pool.bytes, 1);
    made.names = arena_take(arena, limits->names_max + 1u, sizeof made.names[0]);
    made.series = arena_take(arena, limits->records_max, sizeof made.series[0]);
    made.name_slots = arena_take(arena, name_slots, sizeof made.name_slots[0]);
    made.series_slots = arena_take(arena, series_slots, sizeof made.series_slots[0]);
    if (b == NULL)
        return NULL;
    *b = made;
    crc32c_init(&b->crc);
    block_builder_reset(b);
    return b;
}

static inline void column_put(struct block_builder *b, enum block_column column, uint64_t code)
{
    if (code == 0)
        b->columns[column].zeros++;
    else
        chain_number(&b->columns[column], &b->pool, code);
}

static void column_varint(struct block_builder *b, enum block_column column, uint64_t value)
{
    chain_varint(&b->columns[column], &b->pool, value);
}

static void column_text(struct block_builder *b, enum block_column column, struct text text)
{
    chain_text(&b->columns[column], &b->pool, text);
}

void block_builder_reset(struct block_builder *b)
{
    b->record_count = b->reading_count = 0;
    b->name_count = 1;
    b->names[0] = (struct name){ 0 };
    b->series_count = 0;
    b->last_series = SERIES_NONE;
    b->last_t_ms = 0;
    b->event_offset = 0;
    b->pool.low = 0;
    b->pool.high = b->pool.bytes;
    memset(b->name_slots, 0, (b->name_slot_mask + 1) * sizeof b->name_slots[0]);
    memset(b->series_slots, 0, (b->series_slot_mask + 1) * sizeof b->series_slots[0]);
    for (int i = 0; i < COLUMN_NAMES; i++)
        chain_begin(&b->columns[i], &b->pool);
}

/* --- names and series ------------------------------------------------------------------------ */

static uint32_t mix(uint64_t hash)
{
    hash *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

/* Cheap, and only as good as a table within one block needs it: what it finds is compared. */
static uint32_t name_hash(struct text text)
{
    uint64_t hash = text.bytes;
    const char *at = text.at;
    uint32_t left = text.bytes;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    uint64_t tail = 0;
    for (uint32_t i = 0; i < left; i++)
        tail = tail << 8 | (uint8_t)at[i];
    hash = (hash ^ tail) * 0xff51afd7ed558ccdu;
    return mix(hash ^ hash >> 31);
}

static bool name_is(const struct block_builder *b, uint16_t index, struct text text)
{
    const struct name *name = &b->names[index];
    return text_equal((struct text){ (const char *)b->pool.at + name->offset, name->bytes }, text);
}

/* The number of a name, which is made where it is new: block_append saw that there is room. */
static uint16_t name_of(struct block_builder *b, struct text text)
{
    if (text.bytes == 0)
        return 0;
    uint32_t hash = name_hash(text);
    uint32_t slot = hash & b->name_slot_mask;
    for (; b->name_slots[slot] != 0; slot = (slot + 1) & b->name_slot_mask) {
        uint16_t index = b->name_slots[slot];
        if (b->names[index].hash == hash && name_is(b, index, text))
            return index;
    }
    assert(b->name_count <= b->limits.names_max);
    b->names[b->name_count] = (struct name){ pool_text(&b->pool, text), text.bytes, hash };
    b->name_slots[slot] = (uint16_t)b->name_count;
    return (uint16_t)b->name_count++;
}

static uint8_t flags_of(const struct record *record)
{
    const struct reading *reading = &record->reading;
    return (uint8_t)((unsigned)reading->value.type |
                     (reading->has_device_time ? SERIES_DEVICE_TIME : 0u) |
                     (reading->has_sequence ? SERIES_SEQUENCE : 0u) |
                     (unsigned)record->time_source << SERIES_TIME_SOURCE_SHIFT);
}

static bool series_is(const struct block_builder *b, const struct block_series *series,
                      const struct record *record)
{
    const struct reading *reading = &record->reading;
    return series->flags == flags_of(record) && series->source == reading->source &&
           name_is(b, series->device, reading->device) &&
           name_is(b, series->metric, reading->metric) && name_is(b, series->unit, reading->unit);
}

/* The series of a reading by its key's place in the table; a new one is written down. */
static uint16_t series_of(struct block_builder *b, const struct record *record)
{
    struct block_series wanted = { .next = SERIES_NONE };
    wanted.device = name_of(b, record->reading.device);
    wanted.metric = name_of(b, record->reading.metric);
    wanted.unit = name_of(b, record->reading.unit);
    wanted.source = record->reading.source;
    wanted.flags = flags_of(record);
    uint64_t key = wanted.device | (uint64_t)wanted.metric << 16 | (uint64_t)wanted.unit << 32 |
                   (uint64_t)(wanted.source * 64u + wanted.flags) << 42;
    uint32_t slot = mix(key ^ key >> 23) & b->series_slot_mask;
    for (; b->series_slots[slot] != 0; slot = (slot + 1) & b->series_slot_mask) {
        const struct block_series *s = &b->series[b->series_slots[slot] - 1];
        if (s->device == wanted.device && s->metric == wanted.metric && s->unit == wanted.unit &&
            s->source == wanted.source && s->flags == wanted.flags)
            return (uint16_t)(b->series_slots[slot] - 1);
    }
    assert(b->series_count < b->limits.records_max);
    column_varint(b, COLUMN_SERIES, wanted.device);
    column_varint(b, COLUMN_SERIES, wanted.metric);
    column_varint(b, COLUMN_SERIES, wanted.unit);
    column_varint(b, COLUMN_SERIES, wanted.source);
    column_varint(b, COLUMN_SERIES, wanted.flags);
    b->series[b->series_count] = wanted;
    b->series_slots[slot] = (uint16_t)(b->series_count + 1);
    return (uint16_t)b->series_count++;
}

/* Devices take turns: the series after this one is mostly the one that came after it last time. */
static struct block_series *series_in_order(struct block_builder *b, const struct record *record)
{
    struct block_series *before = b->last_series == SERIES_NONE ? NULL : &b->series[b->last_series];
    if (before != NULL && before->next != SERIES_NONE &&
        series_is(b, &b->series[before->next], record)) {
        column_put(b, COLUMN_ORDER, 0);
        b->last_series = before->next;
        return &b->series[before->next];
    }
    uint16_t index = series_of(b, record);
    column_put(b, COLUMN_ORDER, (uint64_t)index + ORDER_SERIES);
    if (before != NULL)
        before->next = index;
    b->last_series = index;
    return &b->series[index];
}

/* --- records --------------------------------------------------------------------------------- */

/* A series whose numbers are no decimals is not searched through all scales for each of them. */
static struct packed_number scaled_of(const struct block_series *s, const struct value *value)
{
    uint8_t last = s->scale <= PACKED_DECIMAL_MAX ? PACKED_DECIMAL_MAX : s->decimals;
    return packed_number_of(value->number, s->decimals, last);
}

static void put_value(struct block_builder *b, struct block_series *s, const struct value *value)
{
    struct packed_number packed = { .scale = s->scale };
    if (value->type == VALUE_TEXT)
        packed.whole = name_of(b, value->text);
    else
        packed = scaled_of(s, value);
    if (packed.scale != s->scale)
        s->whole = packed_whole_near(s->number, packed.scale);
    column_put(b, COLUMN_SCALE, zigzag((uint64_t)packed.scale - (uint64_t)s->scale));
    column_put(b, COLUMN_VALUE, zigzag((uint64_t)packed.whole - (uint64_t)s->whole));
    column_put(b, COLUMN_ULPS, zigzag((uint64_t)packed.ulps));
    s->scale = packed.scale;
    s->whole = packed.whole;
    s->number = value->number;
    if (packed.scale <= PACKED_DECIMAL_MAX)
        s->decimals = packed.scale;
}

static uint64_t index_residue(struct block_series *s, uint32_t index)
{
    uint32_t residue = index - s->index - s->index_step;
    s->index_step = index - s->index;
    s->index = index;
    return zigzag((uint64_t)(int64_t)(int32_t)residue);
}

static void put_reading(struct block_builder *b, const struct record *record)
{
    const struct reading *reading = &record->reading;
    struct block_series *s = series_in_order(b, record);
    uint64_t residue = step_residue(&s->device_time, &s->device_time_step,
                                    (uint64_t)reading->device_time_ms);
    column_put(b, COLUMN_DEVICE_TIME, zigzag(residue));
    residue = step_residue(&s->sequence, &s->sequence_step, reading->sequence);
    column_put(b, COLUMN_SEQUENCE, zigzag(residue));
    column_put(b, COLUMN_INDEX, index_residue(s, reading->index));
    if (record->time_source == TIME_DEVICE && reading->has_device_time)
        residue = (uint64_t)record->event_time_ms - (uint64_t)reading->device_time_ms;
    else {
        uint64_t offset = (uint64_t)record->event_time_ms - (uint64_t)record->t_ms;
        residue = offset - (uint64_t)b->event_offset;
        b->event_offset = (int64_t)offset;
    }
    column_put(b, COLUMN_EVENT_TIME, zigzag(residue));
    put_value(b, s, &reading->value);
    uint16_t extra = name_of(b, reading->extra);
    column_put(b, COLUMN_EXTRA, zigzag((uint64_t)extra - (uint64_t)s->extra));
    s->extra = extra;
    b->reading_count++;
}

static uint32_t fields_of(const struct record *record)
{
    const struct reading *reading = &record->reading;
    const struct value *value = &reading->value;
    const struct clock_record *clock = &record->clock;
    bool number = value->number != 0 || signbit(value->number);
    return (record->count != 0 ? FIELD_COUNT : 0u) | (record->reason != 0 ? FIELD_REASON : 0u) |
           (reading->source != 0 ? FIELD_SOURCE : 0u) |
           (reading->device.bytes > 0 ? FIELD_DEVICE : 0u) |
           (reading->metric.bytes > 0 ? FIELD_METRIC : 0u) |
           (clock->offset_ms != 0 || clock->state != 0 || clock->boot != 0 ? FIELD_CLOCK : 0u) |
           (record->content.bytes > 0 ? FIELD_CONTENT : 0u) |
           (record->digest.bytes > 0 ? FIELD_DIGEST : 0u) |
           (reading->unit.bytes > 0 ? FIELD_UNIT : 0u) |
           (value->type != 0 || number || value->text.bytes > 0 ? FIELD_VALUE : 0u) |
           (reading->has_device_time || reading->has_sequence ? FIELD_HAS : 0u) |
           (reading->index != 0 ? FIELD_INDEX : 0u) |
           (reading->device_time_ms != 0 ? FIELD_DEVICE_TIME : 0u) |
           (reading->sequence != 0 ? FIELD_SEQUENCE : 0u) |
           (reading->extra.bytes > 0 ? FIELD_EXTRA : 0u) |
           (record->event_time_ms != 0 ? FIELD_EVENT_TIME : 0u) |
           (record->time_source != 0 ? FIELD_TIME_SOURCE : 0u);
}

/* Whether the columns hold all of it. Anything else is written whole: nothing is ever left out. */
static bool is_plain_reading(const struct record *record)
{
    const struct value *value = &record->reading.value;
    const struct clock_record *clock = &record->clock;
    bool others = record->count != 0 || record->reason != 0 || clock->offset_ms != 0 ||
                  clock->state != 0 || clock->boot != 0 || record->content.bytes > 0 ||
                  record->digest.bytes > 0;
    if (record->kind != RECORD_READING || others)
        return false;
    if (value->type == VALUE_TEXT)
        return value->number == 0 && !signbit(value->number);
    return value->text.bytes == 0;
}

static bool names_left(const struct block_builder *b)
{
    return b->name_count + NAMES_A_RECORD <= b->limits.names_max + 1u;
}

/* A name's number, or 0 and the name itself where there is no room for more of them. */
static void put_whole_name(struct block_builder *b, struct text name)
{
    if (names_left(b)) {
        column_varint(b, COLUMN_WHOLE, name_of(b, name));
        return;
    }
    column_varint(b, COLUMN_WHOLE, 0);
    column_text(b, COLUMN_WHOLE, name);
}

static void put_whole_reading(struct block_builder *b, const struct record *record, uint32_t fields)
{
    const struct reading *reading = &record->reading;
    if (fields & FIELD_UNIT)
        put_whole_name(b, reading->unit);
    if (fields & FIELD_VALUE) {
        uint64_t bits;
        memcpy(&bits, &reading->value.number, sizeof bits);
        column_varint(b, COLUMN_WHOLE, reading->value.type);
        column_varint(b, COLUMN_WHOLE, bits);
        column_text(b, COLUMN_WHOLE, reading->value.text);
    }
    if (fields & FIELD_HAS)
        column_varint(b, COLUMN_WHOLE,
                      (reading->has_device_time ? 1u : 0u) | (reading->has_sequence ? 2u : 0u));
    if (fields & FIELD_INDEX)
        column_varint(b, COLUMN_WHOLE, reading->index);
    if (fields & FIELD_DEVICE_TIME)
        column_varint(b, COLUMN_WHOLE, zigzag((uint64_t)reading->device_time_ms));
    if (fields & FIELD_SEQUENCE)
        column_varint(b, COLUMN_WHOLE, reading->sequence);
    if (fields & FIELD_EXTRA)
        column_text(b, COLUMN_WHOLE, reading->extra);
    if (fields & FIELD_EVENT_TIME)
        column_varint(b, COLUMN_WHOLE, zigzag((uint64_t)record->event_time_ms));
    if (fields & FIELD_TIME_SOURCE)
        column_varint(b, COLUMN_WHOLE, record->time_source);
}

static void put_whole(struct block_builder *b, const struct record *record)
{
    uint32_t fields = fields_of(record);
    column_put(b, COLUMN_ORDER, ORDER_WHOLE);
    column_varint(b, COLUMN_WHOLE, record->kind);
    column_varint(b, COLUMN_WHOLE, fields);
    if (fields & FIELD_COUNT)
        column_varint(b, COLUMN_WHOLE, record->count);
    if (fields & FIELD_REASON)
        column_varint(b, COLUMN_WHOLE, record->reason);
    if (fields & FIELD_SOURCE)
        column_varint(b, COLUMN_WHOLE, record->reading.source);
    if (fields & FIELD_DEVICE)
        put_whole_name(b, record->reading.device);
    if (fields & FIELD_METRIC)
        put_whole_name(b, record->reading.metric);
    if (fields & FIELD_CLOCK) {
        column_varint(b, COLUMN_WHOLE, zigzag((uint64_t)record->clock.offset_ms));
        column_varint(b, COLUMN_WHOLE, record->clock.state);
        column_varint(b, COLUMN_WHOLE, record->clock.boot);
    }
    if (fields & FIELD_CONTENT)
        column_text(b, COLUMN_WHOLE, record->content);
    if (fields & FIELD_DIGEST)
        column_text(b, COLUMN_WHOLE, record->digest);
    put_whole_reading(b, record, fields);
    if (record->kind == RECORD_READING)
        b->reading_count++;
}

static uint64_t texts_bytes(const struct record *record)
{
    const struct reading *reading = &record->reading;
    return (uint64_t)reading->device.bytes + reading->metric.bytes + reading->unit.bytes +
           reading->value.text.bytes + reading->extra.bytes + record->digest.bytes +
           record->content.bytes;
}

int block_append(struct block_builder *b, const struct record *record)
{
    assert(record->kind >= RECORD_READING && record->kind <= RECORD_KIND_LAST);
    assert((unsigned)record->reading.value.type <= VALUE_TEXT);
    assert((unsigned)record->time_source <= TIME_COARSE);
    assert(isfinite(record->reading.value.number));
    if (b->record_count == b->limits.records_max ||
        pool_free(&b->pool) < texts_bytes(record) + POOL_RESERVE_BYTES)
        return WEIR_EFULL;
    column_put(b, COLUMN_T, zigzag((uint64_t)record->t_ms - (uint64_t)b->last_t_ms));
    b->last_t_ms = record->t_ms;
    if (is_plain_reading(record) && names_left(b))
        put_reading(b, record);
    else
        put_whole(b, record);
    b->record_count++;
    return 0;
}

uint32_t block_records(const struct block_builder *b)
{
    return b->record_count;
}

uint32_t block_readings(const struct block_builder *b)
{
    return b->reading_count;
}

size_t block_bytes(const struct block_builder *b)
{
    return b->limits.bytes_max - pool_free(&b->pool) + POOL_RESERVE_BYTES + READING_TEXTS_MAX;
}

/* --- the finished block ---------------------------------------------------------------------- */

void block_finish(struct block_builder *b, struct byte_writer *w)
{
    size_t start = w->used;
    put_u16(w, BLOCK_MAGIC);
    put_u8(w, BLOCK_VERSION);
    put_varint(w, b->record_count);
    put_varint(w, b->reading_count);
    put_varint(w, b->name_count - 1);
    put_varint(w, b->series_count);
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        put_varint(w, i == COLUMN_NAMES ? b->pool.bytes - b->pool.high : b->columns[i].bytes);
    for (int i = 0; i < COLUMN_NAMES; i++)
        chain_copy(&b->columns[i], &b->pool, w);
    for (uint32_t i = 1; i < b->name_count; i++) {
        const char *at = (const char *)b->pool.at + b->names[i].offset;
        put_text(w, (struct text){ at, b->names[i].bytes });
    }
    if (!w->failed && w->at != NULL)
        put_u32(w, crc32c_of(&b->crc, w->at + start, w->used - start));
    else
        put_u32(w, 0);
    assert(w->failed || w->used - start <= b->limits.bytes_max);
}
