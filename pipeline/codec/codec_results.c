#include "pipeline/codec/codec_results.h"

#include <assert.h>

#include "pipeline/codec/codec_results_rows.h"
#include "pipeline/err.h"
#include "pipeline/hash.h"

enum {
    MAGIC = 0x5257, /* "WR" */
    VERSION = 1,
    HEADER_BYTES = 2 + 1 + 1 + 16 + 3 * 8 + 32 + 4 + 4,
    DIRECTORY_BYTES_MAX = (2 + RESULTS_COLUMNS_MAX) * 5,
    NAMES_A_ROW = 5,
    NAMES_MAX = 65534
};

struct name {
    uint32_t offset, bytes; /* in the pool */
};

struct column_size { /* what a column will take so far */
    uint32_t zeros, bytes;
};

struct results_builder {
    enum results_kind kind;
    uint32_t items_max, bytes_max, names_max;
    uint32_t count;
    uint32_t name_count;   /* names[0] is the empty one */
    uint32_t names_bytes;  /* as they will be written */
    uint32_t pool_used;
    uint32_t slot_mask;
    uint64_t *rows;        /* [items_max][columns]: differences, ready to be packed */
    uint8_t *pool;         /* texts of the names */
    struct name *names;
    uint16_t *slots;       /* open addressing; 0: free */
    struct results_place place;
    struct column_size sizes[RESULTS_COLUMNS_MAX];
    uint16_t fields[STREAM_VALUES_MAX]; /* names of the last result's values */
    uint64_t first_block;  /* of the windows: the oldest; UINT64_MAX while there is none */
    uint32_t contract;     /* version that all windows share; 0: they differ, or have none */
};

/* --- building ----------------------------------------------------------------------------- */

struct results_builder *results_builder_init(enum results_kind kind, uint32_t items_max,
                                             uint32_t bytes_max, struct arena *arena)
{
    assert(kind >= RESULTS_WINDOWS && kind <= RESULTS_STREAMS);
    assert(items_max > 0 && items_max <= RESULTS_ITEMS_MAX);
    assert(bytes_max >= RESULTS_BYTES_MIN);
    uint32_t names_max = 2 * items_max + 2 * NAMES_A_ROW;
    uint32_t slots = 32;
    while (slots < 2 * names_max)
        slots *= 2;
    struct results_builder *b = arena_take(arena, 1, sizeof *b);
    uint64_t *rows = arena_take(arena, (size_t)items_max * results_columns(kind), sizeof *rows);
    uint8_t *pool = arena_take(arena, bytes_max, 1);
    struct name *names = arena_take(arena, names_max + 1u, sizeof *names);
    uint16_t *slot = arena_take(arena, slots, sizeof *slot);
    if (b == NULL)
        return NULL;
    assert(names_max <= NAMES_MAX);
    *b = (struct results_builder){ .kind = kind, .items_max = items_max, .bytes_max = bytes_max,
                                   .names_max = names_max, .slot_mask = slots - 1, .rows = rows,
                                   .pool = pool, .names = names, .slots = slot };
    results_builder_reset(b);
    return b;
}

void results_builder_reset(struct results_builder *b)
{
    b->count = 0;
    b->name_count = 1;
    b->names[0] = (struct name){ 0 };
    b->names_bytes = 0;
    b->pool_used = 0;
    memset(b->slots, 0, (b->slot_mask + 1) * sizeof b->slots[0]);
    b->place = (struct results_place){ 0 };
    memset(b->sizes, 0, sizeof b->sizes);
    memset(b->fields, 0, sizeof b->fields);
    b->first_block = UINT64_MAX;
    b->contract = 0;
}

/* The number of a text, which is made where it is new; the caller has seen that there is room. */
static uint64_t name_of(struct results_builder *b, struct text text)
{
    if (text.bytes == 0)
        return 0;
    uint32_t slot = (uint32_t)hash64((struct hash_key){ 0 }, text.at, text.bytes) & b->slot_mask;
    for (; b->slots[slot] != 0; slot = (slot + 1) & b->slot_mask) {
        struct name known = b->names[b->slots[slot]];
        if (text_equal(text, (struct text){ (char *)b->pool + known.offset, known.bytes }))
            return b->slots[slot];
    }
    assert(b->name_count <= b->names_max);
    assert(text.bytes <= b->bytes_max - b->pool_used);
    memcpy(b->pool + b->pool_used, text.at, text.bytes);
    b->names[b->name_count] = (struct name){ b->pool_used, text.bytes };
    b->pool_used += text.bytes;
    struct byte_writer counted = { .used = b->names_bytes };
    put_text(&counted, text);
    b->names_bytes = (uint32_t)counted.used;
    b->slots[slot] = (uint16_t)b->name_count;
    return b->name_count++;
}

/* Refuses while rows of the worst kind would still fit: simpler than taking one back. */
static bool has_rows_room(const struct results_builder *b, uint32_t rows, uint64_t texts_bytes)
{
    uint32_t columns = results_columns(b->kind);
    uint64_t bytes = HEADER_BYTES + DIRECTORY_BYTES_MAX + (uint64_t)b->names_bytes;
    for (uint32_t i = 0; i < columns; i++)
        bytes += b->sizes[i].bytes;
    bytes += texts_bytes + rows * (NAMES_A_ROW * 5 + columns * (uint64_t)PACKED_BYTES_MAX);
    return b->count + rows <= b->items_max &&
           b->name_count + rows * NAMES_A_ROW <= b->names_max + 1 && bytes <= b->bytes_max;
}

static bool has_room(const struct results_builder *b, uint64_t texts_bytes)
{
    return has_rows_room(b, 1, texts_bytes);
}

static uint64_t *row_at(const struct results_builder *b, uint32_t index)
{
    return b->rows + (size_t)index * results_columns(b->kind);
}

static void take_row(struct results_builder *b, const uint64_t *row)
{
    uint32_t columns = results_columns(b->kind);
    memcpy(row_at(b, b->count), row, columns * sizeof row[0]);
    for (uint32_t i = 0; i < columns; i++) {
        uint8_t packed[PACKED_BYTES_MAX];
        struct column_size *size = &b->sizes[i];
        if (row[i] == 0) {
            size->zeros++;
            continue;
        }
        size->bytes += packed_put(packed, size->zeros, row[i]);
        size->zeros = 0;
    }
    b->count++;
}

int results_add_window(struct results_builder *b, const struct window_result *result)
{
    assert(b->kind == RESULTS_WINDOWS);
    if (!has_room(b, (uint64_t)result->device.bytes + result->metric.bytes + result->unit.bytes))
        return WEIR_EFULL;
    uint64_t row[RESULTS_COLUMNS_MAX];
    struct row_names names = { .device = name_of(b, result->device),
                               .metric = name_of(b, result->metric),
                               .unit = name_of(b, result->unit) };
    window_to_row(&b->place, &names, result, row);
    if (result->first_block < b->first_block)
        b->first_block = result->first_block;
    if (b->count == 0)
        b->contract = result->contract_version;
    else if (b->contract != result->contract_version)
        b->contract = 0;
    take_row(b, row);
    return 0;
}

int results_add_reading(struct results_builder *b, const struct record *record)
{
    const struct reading *reading = &record->reading;
    assert(b->kind == RESULTS_READINGS);
    assert(record->kind == RECORD_READING);
    uint64_t texts = (uint64_t)reading->device.bytes + reading->metric.bytes + reading->unit.bytes +
                     reading->value.text.bytes + reading->extra.bytes;
    if (!has_room(b, texts))
        return WEIR_EFULL;
    uint64_t row[RESULTS_COLUMNS_MAX];
    struct row_names names = { .device = name_of(b, reading->device),
                               .metric = name_of(b, reading->metric),
                               .unit = name_of(b, reading->unit),
                               .text = name_of(b, reading->value.text),
                               .extra = name_of(b, reading->extra) };
    reading_to_row(&b->place, &names, record, row);
    take_row(b, row);
    return 0;
}

/* Of result after result the same names follow each other. */
static uint64_t field_name_of(struct results_builder *b, uint32_t place, struct text text)
{
    uint16_t *last = &b->fields[place];
    struct name known = b->names[*last];
    struct text was = { (char *)b->pool + known.offset, known.bytes };
    if (*last != 0 && text_equal(text, was))
        return *last;
    *last = (uint16_t)name_of(b, text);
    return *last;
}

int results_add_stream(struct results_builder *b, const struct stream_result *result)
{
    uint64_t texts = (uint64_t)result->stream.bytes + result->key.bytes;
    assert(b->kind == RESULTS_STREAMS && result->count > 0);
    for (uint32_t i = 0; i < result->count; i++)
        texts += (uint64_t)result->values[i].name.bytes + result->values[i].value.text.bytes;
    if (!has_rows_room(b, result->count, texts))
        return WEIR_EFULL;
    if (result->first_block < b->first_block)
        b->first_block = result->first_block;
    struct stream_row value = { .start_ms = result->start_ms, .end_ms = result->end_ms,
                                .revision = result->revision, .kind = result->kind,
                                .forced = result->forced, .first_block = result->first_block,
                                .last_block = result->last_block };
    struct row_names names = { .stream = name_of(b, result->stream),
                               .key = name_of(b, result->key) };
    for (uint32_t i = 0; i < result->count; i++) {
        uint64_t row[RESULTS_COLUMNS_MAX];
        value.value = result->values[i].value;
        names.field = field_name_of(b, i, result->values[i].name);
        names.text = name_of(b, value.value.text);
        stream_to_row(&b->place, &names, &value, row);
        take_row(b, row);
    }
    return 0;
}

uint32_t results_count(const struct results_builder *b)
{
    return b->count;
}

static void put_header(const struct results_header *header, struct byte_writer *w)
{
    put_u16(w, MAGIC);
    put_u8(w, VERSION);
    put_u8(w, (uint8_t)header->kind);
    put_u64(w, header->store_id[0]);
    put_u64(w, header->store_id[1]);
    put_u64(w, header->sequence);
    put_u64(w, header->first_block);
    put_u64(w, header->last_block);
    put_raw(w, header->config_digest, sizeof header->config_digest);
    put_u32(w, header->contract_version);
    put_u32(w, header->count);
}

static void put_column(const struct results_builder *b, uint32_t column, struct byte_writer *w)
{
    uint64_t zeros = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint8_t packed[PACKED_BYTES_MAX];
        uint64_t code = row_at(b, i)[column];
        if (code == 0) {
            zeros++;
            continue;
        }
        put_raw(w, packed, packed_put(packed, zeros, code));
        zeros = 0;
    }
}

void results_finish(struct results_builder *b, struct results_header *header, struct byte_writer *w)
{
    size_t start = w->used;
    header->kind = b->kind;
    header->count = b->count;
    header->contract_version = b->contract;
    if (b->first_block < header->first_block)
        header->first_block = b->first_block; /* a window's readings may be older than its firing */
    put_header(header, w);
    put_varint(w, b->name_count - 1);
    put_varint(w, b->names_bytes);
    for (uint32_t i = 0; i < results_columns(b->kind); i++)
        put_varint(w, b->sizes[i].bytes);
    for (uint32_t i = 1; i < b->name_count; i++)
        put_text(w, (struct text){ (char *)b->pool + b->names[i].offset, b->names[i].bytes });
    for (uint32_t i = 0; i < results_columns(b->kind); i++)
        put_column(b, i, w);
    assert(w->failed || w->used - start <= b->bytes_max);
}

/* --- reading ------------------------------------------------------------------------------ */

static int get_header(struct byte_reader *in, struct results_header *header)
{
    uint16_t magic = get_u16(in);
    uint8_t version = get_u8(in);
    if (magic != MAGIC)
        return WEIR_ECORRUPT;
    if (version != VERSION)
        return WEIR_EVERSION;
    uint8_t kind = get_u8(in);
    header->store_id[0] = get_u64(in);
    header->store_id[1] = get_u64(in);
    header->sequence = get_u64(in);
    header->first_block = get_u64(in);
    header->last_block = get_u64(in);
    get_raw(in, header->config_digest, sizeof header->config_digest);
    header->contract_version = get_u32(in);
    header->count = get_u32(in);
    if (in->failed || kind < RESULTS_WINDOWS || kind > RESULTS_STREAMS)
        return WEIR_ECORRUPT;
    header->kind = (enum results_kind)kind;
    return header->count <= RESULTS_ITEMS_MAX ? 0 : WEIR_ECORRUPT;
}

/* Walk the names once, keeping the places of some. */
static int mark_names(struct results_reader *r)
{
    struct byte_reader in = { .at = (const uint8_t *)r->names.at, .bytes = r->names.bytes };
    r->name_stride = r->name_count / RESULTS_NAME_MARKS + 1;
    for (uint32_t i = 0; i < r->name_count; i++) {
        if (i % r->name_stride == 0)
            r->name_marks[i / r->name_stride] = (uint32_t)in.used;
        if (get_text(&in).bytes == 0)
            in.failed = true;
    }
    return in.failed || in.used != in.bytes ? WEIR_ECORRUPT : 0;
}

int results_open(struct results_reader *r, struct text bytes)
{
    struct byte_reader in = { .at = (const uint8_t *)bytes.at, .bytes = bytes.bytes };
    *r = (struct results_reader){ 0 };
    int result = get_header(&in, &r->header);
    uint32_t columns = results_columns(r->header.kind);
    if (result != 0)
        return result;
    uint64_t names = get_varint(&in), left = get_varint(&in), sizes[RESULTS_COLUMNS_MAX];
    r->names = (struct text){ NULL, (uint32_t)left };
    if (names > NAMES_MAX || left > bytes.bytes)
        return WEIR_ECORRUPT;
    for (uint32_t i = 0; i < columns; i++) {
        sizes[i] = get_varint(&in);
        if (sizes[i] > bytes.bytes)
            return WEIR_ECORRUPT;
        left += sizes[i];
    }
    if (in.failed || left != in.bytes - in.used)
        return WEIR_ECORRUPT;
    r->name_count = (uint32_t)names;
    r->names.at = bytes.at + in.used;
    size_t at = in.used + r->names.bytes;
    for (uint32_t i = 0; i < columns; i++) {
        r->columns[i].in = (struct byte_reader){ .at = in.at + at, .bytes = (size_t)sizes[i] };
        at += (size_t)sizes[i];
    }
    return mark_names(r);
}

static int find_name(const struct results_reader *r, uint64_t number, struct text *name)
{
    *name = (struct text){ 0 };
    if (number == 0)
        return 0;
    if (number > r->name_count)
        return WEIR_ECORRUPT;
    uint32_t index = (uint32_t)number - 1;
    struct byte_reader in = { .at = (const uint8_t *)r->names.at, .bytes = r->names.bytes };
    in.used = r->name_marks[index / r->name_stride];
    for (uint32_t skip = index % r->name_stride; skip > 0; skip--)
        (void)get_text(&in); /* mark_names has read them all */
    *name = get_text(&in);
    return 0;
}

/* 1 with the next row, 0 at the end. */
static int next_row(struct results_reader *r, uint64_t row[RESULTS_COLUMNS_MAX])
{
    if (r->next == r->header.count)
        return 0;
    for (uint32_t i = 0; i < results_columns(r->header.kind); i++) {
        row[i] = packed_get(&r->columns[i]);
        if (r->columns[i].in.failed)
            return WEIR_ECORRUPT;
    }
    r->next++;
    return 1;
}

/* After an error nothing behind it can be read. */
static int end_at_error(struct results_reader *r, int result)
{
    if (result != 0)
        r->header.count = r->next;
    return result != 0 ? result : 1;
}

int results_next_window(struct results_reader *r, struct window_result *result)
{
    uint64_t row[RESULTS_COLUMNS_MAX];
    struct row_names names;
    assert(r->header.kind == RESULTS_WINDOWS);
    *result = (struct window_result){ 0 };
    int got = next_row(r, row);
    if (got != 1)
        return got == 0 ? 0 : end_at_error(r, got);
    int error = window_of_row(&r->place, row, &names, result);
    if (error == 0)
        error = find_name(r, names.device, &result->device);
    if (error == 0)
        error = find_name(r, names.metric, &result->metric);
    if (error == 0)
        error = find_name(r, names.unit, &result->unit);
    return end_at_error(r, error);
}

int results_next_reading(struct results_reader *r, struct record *record)
{
    uint64_t row[RESULTS_COLUMNS_MAX];
    struct row_names names;
    assert(r->header.kind == RESULTS_READINGS);
    *record = (struct record){ 0 };
    int got = next_row(r, row);
    if (got != 1)
        return got == 0 ? 0 : end_at_error(r, got);
    struct reading *reading = &record->reading;
    int error = reading_of_row(&r->place, row, &names, record);
    if (error == 0)
        error = find_name(r, names.device, &reading->device);
    if (error == 0)
        error = find_name(r, names.metric, &reading->metric);
    if (error == 0)
        error = find_name(r, names.unit, &reading->unit);
    if (error == 0)
        error = find_name(r, names.text, &reading->value.text);
    if (error == 0)
        error = find_name(r, names.extra, &reading->extra);
    return end_at_error(r, error);
}

int results_next_stream(struct results_reader *r, struct stream_row *value)
{
    uint64_t row[RESULTS_COLUMNS_MAX];
    struct row_names names;
    assert(r->header.kind == RESULTS_STREAMS);
    *value = (struct stream_row){ 0 };
    int got = next_row(r, row);
    if (got != 1)
        return got == 0 ? 0 : end_at_error(r, got);
    int error = stream_of_row(&r->place, row, &names, value);
    if (error == 0)
        error = find_name(r, names.stream, &value->stream);
    if (error == 0)
        error = find_name(r, names.key, &value->key);
    if (error == 0)
        error = find_name(r, names.field, &value->name);
    if (error == 0)
        error = find_name(r, names.text, &value->value.text);
    return end_at_error(r, error);
}

/* The sequence stands behind magic, version, kind and store id. */
int results_renumber(uint8_t *at, size_t bytes, const uint64_t store_id[2], uint64_t sequence)
{
    enum { SEQUENCE_AT = 20 };
    struct results_reader r;
    int err = results_open(&r, (struct text){ (const char *)at, (uint32_t)bytes });
    const struct results_header *h = &r.header;
    if (err == 0 && (h->store_id[0] != store_id[0] || h->store_id[1] != store_id[1]))
        err = WEIR_ECORRUPT;
    struct byte_writer w = { at, bytes, SEQUENCE_AT, false };
    if (err == 0)
        put_u64(&w, sequence);
    return err;
}
