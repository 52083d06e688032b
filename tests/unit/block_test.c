/* Goal: every field of every record comes back bit for bit, a full block says so and stays as it was, and no bytes at all
 * harm the reader. Method: random records of all kinds against a plain list of copies; tiny limits; blocks with random
 * damage under a right checksum, which must end in an error or in records, never in a stray read (each block stands in
 * its own piece of heap under ASan); bytes a reading on real series, printed.
 * Links: storage/block_encode.c storage/block_decode.c pipeline/packing.c storage/block_chains.c storage/crc32c.c pipeline/bytes.c */
#include "storage/block.h"

#include <float.h>
#include <math.h>

#include "pipeline/err.h"
#include "storage/block_columns.h"
#include "storage/crc32c.h"
#include "tests/lib/check.h"

enum { RECORDS = 400, NAME_COUNT = 40, TEXT_BYTES = 300 };

static const struct block_limits usual = { .records_max = RECORDS, .bytes_max = 1 << 20, .names_max = 3000 };
static char names[NAME_COUNT][READING_NAME_BYTES_MAX + 1];
static char texts[NAME_COUNT][TEXT_BYTES];

static void *arena_made(const struct block_limits *limits, bool reader)
{
    struct arena counting = arena_measure();
    if (reader)
        block_reader_init(limits, &counting);
    else
        block_builder_init(limits, &counting);
    void *at = aligned_alloc(ARENA_ALIGN, counting.used);
    memset(at, 0, counting.used);
    struct arena arena = arena_over(at, counting.used);
    void *made = reader ? (void *)block_reader_init(limits, &arena) : (void *)block_builder_init(limits, &arena);
    assert_ptr_equal(made, at); /* first in its arena, so that free(made) gives all of it back */
    return made;
}

static void names_init(uint64_t *chance)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "device-%d-%.*s", i, (int)(rnd(chance) % 40),
                       "a long name so that not all of them are short");
        for (int k = 0; k < TEXT_BYTES; k++)
            texts[i][k] = (char)rnd(chance);
    }
}

static struct text any_name(uint64_t *chance, uint32_t of)
{
    return text_of(names[rnd(chance) % of]);
}

static struct text any_text(uint64_t *chance, uint32_t bytes_max)
{
    uint32_t bytes = (uint32_t)(rnd(chance) % (bytes_max + 1));
    return (struct text){ bytes > 0 ? texts[rnd(chance) % NAME_COUNT] : NULL, bytes };
}

static double any_number(uint64_t *chance)
{
    static const double odd[] = { 0.0, -0.0, 1.0, -1.0, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e140, -1e140, 1e15,
                                  9007199254740993.0, 0.1, 1.0 / 3.0, 0.30000000000000004, 1e-7, 123456789.125 };
    double number;
    switch (rnd(chance) % 5) {
    case 0:
        return odd[rnd(chance) % (sizeof odd / sizeof odd[0])];
    case 1:
        return (double)(int64_t)(rnd(chance) % 20000) / 100.0 - 100.0;
    case 2:
        return (double)(float)(rnd_unit(chance) * 30.0);
    case 3:
        return rnd_unit(chance) * 1000.0;
    default:
        do {
            uint64_t bits = rnd(chance);
            memcpy(&number, &bits, sizeof number);
        } while (!isfinite(number));
        return number;
    }
}

static int64_t any_integer(uint64_t *chance)
{
    return (int64_t)(rnd(chance) >> (rnd(chance) % 64)) * (rnd(chance) % 2 ? 1 : -1);
}

static struct value any_value(uint64_t *chance)
{
    struct value value = { .type = (enum value_type)(rnd(chance) % 3) };
    if (value.type == VALUE_NUMBER)
        value.number = any_number(chance);
    else if (value.type == VALUE_BOOLEAN)
        value.number = (double)(rnd(chance) % 2);
    else
        value.text = any_text(chance, 20);
    return value;
}

/* A plausible reading: some devices in turn, times near each other, numbers one behind another. */
static struct record any_reading(uint64_t *chance, int64_t t_ms)
{
    struct record record = { .kind = RECORD_READING, .t_ms = t_ms };
    struct reading *reading = &record.reading;
    reading->device = any_name(chance, 6);
    reading->metric = any_name(chance, 3);
    if (rnd(chance) % 2)
        reading->unit = any_name(chance, 3);
    reading->value = any_value(chance);
    reading->has_device_time = rnd(chance) % 4 != 0;
    reading->has_sequence = rnd(chance) % 4 != 0;
    reading->source = (uint16_t)(rnd(chance) % 3);
    reading->index = (uint32_t)(rnd(chance) % 3);
    if (reading->has_device_time)
        reading->device_time_ms = 1790000000000 + t_ms + (int64_t)(rnd(chance) % 100);
    if (reading->has_sequence)
        reading->sequence = (uint64_t)t_ms / 10;
    reading->extra = any_text(chance, rnd(chance) % 3 == 0 ? 12 : 0);
    record.time_source = (enum time_source)(rnd(chance) % 4);
    record.event_time_ms = record.time_source == TIME_DEVICE ? reading->device_time_ms : 1790000000123 + t_ms;
    return record;
}

/* Any fields at all, also those that its kind has no use for. */
static struct record any_record(uint64_t *chance, int64_t t_ms)
{
    struct record record = any_reading(chance, t_ms);
    if (rnd(chance) % 2)
        return record;
    record.kind = (enum record_kind)(1 + rnd(chance) % RECORD_LAG);
    record.t_ms = any_integer(chance);
    record.reading.sequence = rnd(chance) % 2 ? UINT64_MAX : (uint64_t)any_integer(chance);
    record.reading.index = (uint32_t)any_integer(chance);
    record.reading.source = (uint16_t)any_integer(chance);
    record.reading.device_time_ms = rnd(chance) % 2 ? INT64_MIN : any_integer(chance);
    record.event_time_ms = rnd(chance) % 2 ? INT64_MAX : any_integer(chance);
    if (rnd(chance) % 2) {
        record.reason = (enum reject_reason)(rnd(chance) % REJECT_REASON_END);
        record.clock = (struct clock_record){ .offset_ms = any_integer(chance), .boot = rnd(chance),
                                              .state = (enum clock_state)(rnd(chance) % 3) };
        record.count = rnd(chance);
        record.digest = any_text(chance, 32);
        record.content = any_text(chance, TEXT_BYTES);
        record.reading.value.number = any_number(chance);
        record.reading.value.text = any_text(chance, 9);
    }
    return record;
}

static void assert_text_same(struct text a, struct text b)
{
    assert_true(text_equal(a, b));
}

static void assert_same(const struct record *a, const struct record *b)
{
    const struct reading *x = &a->reading, *y = &b->reading;
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->t_ms, b->t_ms);
    assert_text_same(x->device, y->device);
    assert_text_same(x->metric, y->metric);
    assert_text_same(x->unit, y->unit);
    assert_int_equal(x->value.type, y->value.type);
    assert_memory_equal(&x->value.number, &y->value.number, sizeof x->value.number);
    assert_text_same(x->value.text, y->value.text);
    assert_int_equal(x->has_device_time, y->has_device_time);
    assert_int_equal(x->has_sequence, y->has_sequence);
    assert_int_equal(x->source, y->source);
    assert_int_equal(x->index, y->index);
    assert_int_equal(x->device_time_ms, y->device_time_ms);
    assert_int_equal(x->sequence, y->sequence);
    assert_text_same(x->extra, y->extra);
    assert_int_equal(a->event_time_ms, b->event_time_ms);
    assert_int_equal(a->time_source, b->time_source);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->clock.offset_ms, b->clock.offset_ms);
    assert_int_equal(a->clock.state, b->clock.state);
    assert_true(a->clock.boot == b->clock.boot);
    assert_true(a->count == b->count);
    assert_text_same(a->digest, b->digest);
    assert_text_same(a->content, b->content);
}

/* The finished block in its own piece of heap. */
static struct text finished(struct block_builder *b)
{
    size_t bytes_max = block_bytes(b);
    uint8_t *room = malloc(bytes_max);
    struct byte_writer w = { .at = room, .bytes = bytes_max };
    block_finish(b, &w); /* what it writes is no more than was announced */
    assert_false(w.failed);
    uint8_t *exact = malloc(w.used);
    memcpy(exact, room, w.used);
    free(room);
    return (struct text){ (char *)exact, (uint32_t)w.used };
}

static void assert_holds(struct block_reader *r, struct text block, const struct record *want, uint32_t count)
{
    struct record got;
    assert_int_equal(block_open(r, block), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(block_next(r, &got), 1);
        assert_same(&want[i], &got);
    }
    assert_int_equal(block_next(r, &got), 0);
    assert_int_equal(block_next(r, &got), 0);
}

static void every_field_comes_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static struct record want[RECORDS];
    struct block_builder *b = arena_made(&usual, false);
    struct block_reader *r = arena_made(&usual, true);
    names_init(&chance);
    for (int round = 0; round < 60; round++) {
        uint32_t count = (uint32_t)(rnd(&chance) % RECORDS), readings = 0;
        bool wild = round % 2;
        int64_t t_ms = any_integer(&chance) / 4;
        block_builder_reset(b);
        for (uint32_t i = 0; i < count; i++) {
            t_ms += (int64_t)(rnd(&chance) % 20);
            want[i] = wild ? any_record(&chance, t_ms) : any_reading(&chance, t_ms);
            readings += want[i].kind == RECORD_READING;
            assert_int_equal(block_append(b, &want[i]), 0);
        }
        assert_int_equal(block_records(b), count);
        assert_int_equal(block_readings(b), readings);
        struct text block = finished(b), again = finished(b);
        assert_text_same(block, again); /* finishing changes nothing */
        assert_holds(r, block, want, count);
        free((char *)block.at);
        free((char *)again.at);
    }
    free(b);
    free(r);
}

static void a_full_block_says_so_and_stays_as_it_was(void **state)
{
    (void)state;
    static const struct block_limits tables[] = {
        { .records_max = 7, .bytes_max = BLOCK_BYTES_MIN, .names_max = 3000 },
        { .records_max = RECORDS, .bytes_max = BLOCK_BYTES_MIN, .names_max = 3000 },
        { .records_max = 390, .bytes_max = 1 << 20, .names_max = 12 },
    };
    uint64_t chance = check_seed();
    static struct record want[RECORDS];
    names_init(&chance);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct block_builder *b = arena_made(&tables[i], false);
        struct block_reader *r = arena_made(&tables[i], true);
        uint32_t count = 0;
        for (; count < RECORDS; count++) {
            want[count] = any_record(&chance, count);
            if (i == 1)
                want[count].content = (struct text){ texts[0], TEXT_BYTES };
            size_t room_before = block_bytes(b) + want[count].content.bytes + want[count].digest.bytes;
            struct text before = finished(b);
            int result = block_append(b, &want[count]);
            struct text after = finished(b);
            bool same = text_equal(before, after);
            bool promised = count < tables[i].records_max && room_before <= tables[i].bytes_max;
            assert_true(!promised || result == 0);
            free((char *)before.at);
            free((char *)after.at);
            if (result == WEIR_EFULL) {
                assert_true(same);
                break;
            }
            assert_int_equal(result, 0);
        }
        assert_in_range(count, 1, RECORDS - 1);
        assert_true(i == 1 || count == tables[i].records_max); /* names_max ends no block */
        struct text block = finished(b);
        assert_in_range(block.bytes, 1, tables[i].bytes_max);
        assert_holds(r, block, want, count);
        if (i == 0) {
            struct block_limits less = { .records_max = 3, .bytes_max = BLOCK_BYTES_MIN, .names_max = 3000 };
            struct block_reader *small = arena_made(&less, true);
            assert_int_equal(block_open(small, block), WEIR_EFULL);
            free(small);
        }
        free((char *)block.at);
        free(b);
        free(r);
    }
}

/* Filled to the brim with records of every kind, at every remainder: the pool is never asked for more than it has. */
static void any_record_fits_where_it_was_promised(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static struct record want[RECORDS];
    names_init(&chance);
    for (uint32_t spare = 0; spare < 40; spare++) {
        struct block_limits tight = { .records_max = 5000, .bytes_max = BLOCK_BYTES_MIN + spare * 37, .names_max = 60 + spare };
        struct block_builder *b = arena_made(&tight, false);
        struct block_reader *r = arena_made(&tight, true);
        uint32_t count = 0;
        for (; count < RECORDS; count++) {
            want[count] = any_record(&chance, count);
            bool promised = block_bytes(b) + want[count].content.bytes + want[count].digest.bytes <= tight.bytes_max;
            int result = block_append(b, &want[count]);
            assert_true(result == 0 || (result == WEIR_EFULL && !promised));
            if (result != 0)
                break;
        }
        assert_in_range(count, 20, RECORDS - 1);
        struct text block = finished(b);
        assert_in_range(block.bytes, 1, tight.bytes_max);
        assert_holds(r, block, want, count);
        free((char *)block.at);
        free(b);
        free(r);
    }
}

static void a_large_text_fits_or_is_refused(void **state)
{
    (void)state;
    struct block_builder *b = arena_made(&usual, false);
    struct block_reader *r = arena_made(&usual, true);
    char *content = malloc(2 << 20);
    memset(content, 'x', 2 << 20);
    struct record record = { .kind = RECORD_CONFIG, .digest = text_of("0123456789abcdef0123456789abcdef"),
                             .content = { content, 1000000 } };
    assert_int_equal(block_append(b, &record), 0);
    struct text block = finished(b);
    assert_holds(r, block, &record, 1);
    free((char *)block.at);
    record.content.bytes = 2 << 20;
    block_builder_reset(b);
    assert_int_equal(block_append(b, &record), WEIR_EFULL);
    free(content);
    free(b);
    free(r);
}

/* Rolled back to, this Weir still reads what one with more reasons rejected. */
static void a_reason_that_is_not_known_is_none(void **state)
{
    (void)state;
    struct block_builder *b = arena_made(&usual, false);
    struct block_reader *r = arena_made(&usual, true);
    struct record record = { .kind = RECORD_REJECT, .reason = (enum reject_reason)(REJECT_REASON_END + 3) };
    block_builder_reset(b);
    assert_int_equal(block_append(b, &record), 0);
    struct text block = finished(b);
    assert_int_equal(block_open(r, block), 0);
    assert_int_equal(block_next(r, &record), 1);
    assert_int_equal(record.kind, RECORD_REJECT);
    assert_int_equal(record.reason, REJECT_NONE);
    assert_int_equal(block_next(r, &record), 0);
    free((char *)block.at);
    free(b);
    free(r);
}

static void the_checksum_is_castagnolis(void **state)
{
    (void)state;
    struct crc32c crc;
    crc32c_init(&crc);
    static const uint8_t zeros[32];
    assert_int_equal(crc32c_of(&crc, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c_of(&crc, zeros, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    assert_int_equal(crc32c_of(&crc, "", 0), 0);
}

static void sign(uint8_t *block, uint32_t bytes)
{
    struct crc32c crc;
    crc32c_init(&crc);
    struct byte_writer w = { .at = block + bytes - BLOCK_CRC_BYTES, .bytes = BLOCK_CRC_BYTES };
    put_u32(&w, crc32c_of(&crc, block, bytes - BLOCK_CRC_BYTES));
}

/* Nor does a record that it has no idea of keep it from those behind. */
static void a_kind_that_is_not_known_is_passed_over(void **state)
{
    (void)state;
    struct block_builder *b = arena_made(&usual, false);
    struct block_reader *r = arena_made(&usual, true);
    const struct record made[] = { { .t_ms = 6, .kind = RECORD_GONE, .content = text_of("unheard-of") },
                                   { .t_ms = 7, .kind = RECORD_COMMAND, .content = text_of("ack A") } };
    struct record record;
    block_builder_reset(b);
    for (int i = 0; i < 2; i++)
        assert_int_equal(block_append(b, &made[i]), 0);
    struct text block = finished(b);
    uint8_t *bytes = (uint8_t *)(uintptr_t)block.at, *at = memmem(bytes, block.bytes, "unheard-of", 10);
    assert_non_null(at);
    while (at > bytes && *at != RECORD_GONE) /* the kind, in front of which fields there are */
        at--;
    *at = RECORD_KIND_LAST + 1;
    sign(bytes, block.bytes);
    assert_int_equal(block_open(r, block), 0);
    assert_int_equal(block_next(r, &record), 1);
    assert_int_equal(record.kind, RECORD_COMMAND);
    assert_int_equal(record.t_ms, 7);
    assert_int_equal(block_next(r, &record), 0);
    free(bytes);
    free(b);
    free(r);
}

/* Read it to its end, touching every byte that it gives. */
static int consumed(struct block_reader *r, struct text block)
{
    struct record record;
    volatile uint64_t touched = 0;
    int result = block_open(r, block);
    while (result == 0 || result == 1) {
        result = block_next(r, &record);
        if (result != 1)
            break;
        const struct text slices[] = { record.reading.device, record.reading.metric, record.reading.unit,
                                       record.reading.value.text, record.reading.extra, record.digest,
                                       record.content };
        for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++)
            assert_true(slices[i].bytes == 0 || (slices[i].at >= block.at && slices[i].at < block.at + block.bytes));
        for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++)
            for (uint32_t k = 0; k < slices[i].bytes; k++)
                touched += (uint8_t)slices[i].at[k];
        assert_true(isfinite(record.reading.value.number));
        assert_true(record.kind >= RECORD_READING && record.kind <= RECORD_LAG);
        assert_true(record.reason < REJECT_REASON_END);
    }
    (void)touched; /* read, so that a stray slice is seen */
    return result;
}

/* Leaves names of a block that is gone in the reader's table: what looks beyond its own names is then caught. */
static void fill_with_stale_names(struct block_builder *b, struct block_reader *r)
{
    for (int i = 0; i < RECORDS; i++) {
        char text[24];
        struct record record = { .kind = RECORD_READING, .reading = { .device = text_of("d"), .metric = text_of("m") } };
        (void)snprintf(text, sizeof text, "text %d", i);
        record.reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(text) };
        assert_int_equal(block_append(b, &record), 0);
    }
    struct text stale = finished(b);
    assert_int_equal(block_open(r, stale), 0);
    free((char *)stale.at);
    block_builder_reset(b);
}

static void damage_never_harms(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    struct block_builder *b = arena_made(&usual, false);
    struct block_reader *r = arena_made(&usual, true);
    uint32_t corrupt = 0, rounds = 3000;
    names_init(&chance);
    fill_with_stale_names(b, r);
    for (uint32_t i = 0; i < 60; i++) {
        struct record record = any_record(&chance, i);
        assert_int_equal(block_append(b, &record), 0);
    }
    struct text good = finished(b);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t bytes = rnd(&chance) % 8 ? good.bytes : (uint32_t)(rnd(&chance) % good.bytes);
        uint8_t *block = malloc(bytes + 1u);
        memcpy(block, good.at, bytes);
        for (uint32_t hits = 1 + (uint32_t)(rnd(&chance) % 4); hits > 0 && bytes > 0; hits--)
            block[rnd(&chance) % bytes] = (uint8_t)(rnd(&chance) >> (rnd(&chance) % 8));
        struct text text = { (char *)block, bytes };
        bool changed = bytes != good.bytes || memcmp(block, good.at, bytes) != 0;
        if (changed)
            assert_int_equal(consumed(r, text), WEIR_ECORRUPT); /* the checksum tells */
        if (bytes > BLOCK_CRC_BYTES) {
            sign(block, bytes);
            int result = consumed(r, text);
            assert_true(result == 0 || result == WEIR_ECORRUPT || result == WEIR_EVERSION || result == WEIR_EFULL);
            corrupt += result != 0;
        }
        free(block);
    }
    assert_true(corrupt > rounds / 4); /* the reader itself notices much, too */
    uint8_t *newer = malloc(good.bytes);
    memcpy(newer, good.at, good.bytes);
    newer[2] = BLOCK_VERSION + 1;
    sign(newer, good.bytes);
    assert_int_equal(block_open(r, (struct text){ (char *)newer, good.bytes }), WEIR_EVERSION);
    free(newer);
    free((char *)good.at);
    free(b);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reason_that_is_not_known_is_none),
        cmocka_unit_test(a_kind_that_is_not_known_is_passed_over),
        cmocka_unit_test(the_checksum_is_castagnolis),
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(a_full_block_says_so_and_stays_as_it_was),
        cmocka_unit_test(any_record_fits_where_it_was_promised),
        cmocka_unit_test(a_large_text_fits_or_is_refused),
        cmocka_unit_test(damage_never_harms),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
