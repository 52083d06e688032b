/* Goal: a batch says exactly what was put in, its bytes are those that docs/formats.md specifies, and no bytes harm the
 * reader. Method: random windows and readings against copies; the worked example and the vector compared byte for byte;
 * random damage, each message alone in its heap.
 * Links: pipeline/codec/codec_results.c pipeline/codec/codec_results_rows.c pipeline/packing.c pipeline/hash.c pipeline/bytes.c pipeline/window.c
 * Libs: -lz */
#include "pipeline/codec/codec_results.h"

#include <float.h>
#include <math.h>
#include <zlib.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"
#include "tests/lib/vectors.h"

enum { ITEMS = 500, BYTES = 60000, NAMES = 50 };

static char names[NAMES][48];

static struct results_builder *builder_made(enum results_kind kind, uint32_t items, uint32_t bytes)
{
    struct arena counting = arena_measure();
    results_builder_init(kind, items, bytes, &counting);
    void *at = aligned_alloc(ARENA_ALIGN, counting.used);
    memset(at, 0, counting.used);
    struct arena arena = arena_over(at, counting.used);
    struct results_builder *b = results_builder_init(kind, items, bytes, &arena);
    assert_ptr_equal(b, at);
    return b;
}

static struct text any_name(uint64_t *chance)
{
    if (names[0][0] == 0)
        for (int i = 0; i < NAMES; i++)
            (void)snprintf(names[i], sizeof names[i], "line-%d/sensor-%03d", i / 10, i);
    return rnd(chance) % 10 == 0 ? (struct text){ 0 } : text_of(names[rnd(chance) % NAMES]);
}

static int64_t any_integer(uint64_t *chance)
{
    return (int64_t)(rnd(chance) >> (rnd(chance) % 64)) ^ (rnd(chance) % 2 ? -1 : 0);
}

static double any_number(uint64_t *chance)
{
    uint64_t bits = rnd(chance);
    double number;
    memcpy(&number, &bits, sizeof number);
    if (rnd(chance) % 8 == 0)
        return rnd(chance) % 2 ? -0.0 : DBL_MAX;
    return rnd(chance) % 4 && isfinite(number) ? number : (double)(rnd(chance) % 10000) / 100.0 - 20.0;
}

static struct window_result any_window(uint64_t *chance)
{
    struct window_result w = { .device = any_name(chance), .metric = any_name(chance), .unit = any_name(chance) };
    w.start_ms = any_integer(chance);
    w.end_ms = any_integer(chance);
    w.revision = (uint32_t)any_integer(chance);
    w.forced = rnd(chance) % 2;
    w.first_block = rnd(chance);
    w.last_block = w.first_block + rnd(chance) % 3;
    w.contract_version = (uint32_t)any_integer(chance);
    w.aggregate = (struct aggregate){ .count = rnd(chance), .mean = any_number(chance), .m2 = any_number(chance),
                                      .min = any_number(chance), .max = any_number(chance),
                                      .first = any_number(chance), .last = any_number(chance),
                                      .first_ms = any_integer(chance), .last_ms = any_integer(chance) };
    return w;
}

static void assert_bits(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

static void assert_window(const struct window_result *a, const struct window_result *b)
{
    assert_true(text_equal(a->device, b->device));
    assert_true(text_equal(a->metric, b->metric));
    assert_true(text_equal(a->unit, b->unit));
    assert_int_equal(a->start_ms, b->start_ms);
    assert_int_equal(a->end_ms, b->end_ms);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->forced, b->forced);
    assert_true(a->first_block == b->first_block && a->last_block == b->last_block);
    assert_int_equal(a->contract_version, b->contract_version);
    assert_true(a->aggregate.count == b->aggregate.count);
    assert_bits(a->aggregate.mean, b->aggregate.mean);
    assert_bits(a->aggregate.m2, b->aggregate.m2);
    assert_bits(a->aggregate.min, b->aggregate.min);
    assert_bits(a->aggregate.max, b->aggregate.max);
    assert_bits(a->aggregate.first, b->aggregate.first);
    assert_bits(a->aggregate.last, b->aggregate.last);
    assert_int_equal(a->aggregate.first_ms, b->aggregate.first_ms);
    assert_int_equal(a->aggregate.last_ms, b->aggregate.last_ms);
}

static struct results_header header_example(void)
{
    struct results_header header = { .store_id = { 0x0123456789abcdef, 0xfedcba9876543210 }, .sequence = 7,
                                     .first_block = 41, .last_block = 41 };
    for (uint8_t i = 0; i < 32; i++)
        header.config_digest[i] = i;
    return header;
}

static struct text finished_as(struct results_builder *b, uint64_t sequence)
{
    struct results_header header = header_example();
    header.sequence = sequence;
    uint8_t *room = malloc(BYTES);
    struct byte_writer w = { .at = room, .bytes = BYTES };
    results_finish(b, &header, &w);
    assert_false(w.failed);
    assert_int_equal(header.count, results_count(b));
    char *exact = malloc(w.used);
    memcpy(exact, room, w.used);
    free(room);
    return (struct text){ exact, (uint32_t)w.used };
}

static struct text finished(struct results_builder *b)
{
    return finished_as(b, 7);
}

static void windows_come_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static struct window_result want[ITEMS];
    struct results_builder *b = builder_made(RESULTS_WINDOWS, ITEMS, BYTES);
    for (int round = 0; round < 20; round++) {
        uint32_t count = 0, target = (uint32_t)(rnd(&chance) % (ITEMS + 10));
        results_builder_reset(b);
        for (; count < target; count++) {
            struct window_result w = any_window(&chance);
            int result = results_add_window(b, &w);
            if (result == WEIR_EFULL)
                break;
            assert_int_equal(result, 0);
            want[count] = w;
        }
        assert_int_equal(results_count(b), count);
        struct text message = finished(b);
        struct results_reader r;
        struct window_result got;
        assert_int_equal(results_open(&r, message), 0);
        assert_int_equal(r.header.kind, RESULTS_WINDOWS);
        assert_int_equal(r.header.count, count);
        assert_int_equal(r.header.sequence, 7);
        assert_true(r.header.store_id[1] == 0xfedcba9876543210 && r.header.config_digest[31] == 31);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(results_next_window(&r, &got), 1);
            assert_window(&want[i], &got);
        }
        assert_int_equal(results_next_window(&r, &got), 0);
        free((char *)message.at);
    }
    free(b);
}

static struct record any_reading(uint64_t *chance)
{
    struct record record = { .kind = RECORD_READING, .t_ms = any_integer(chance) };
    struct reading *reading = &record.reading;
    *reading = (struct reading){ .device = any_name(chance), .metric = any_name(chance), .unit = any_name(chance),
                                 .has_device_time = rnd(chance) % 2, .has_sequence = rnd(chance) % 2,
                                 .source = (uint16_t)any_integer(chance), .index = (uint32_t)any_integer(chance),
                                 .device_time_ms = any_integer(chance), .sequence = rnd(chance),
                                 .extra = any_name(chance) };
    reading->value.type = (enum value_type)(rnd(chance) % 3);
    if (reading->value.type == VALUE_TEXT)
        reading->value.text = any_name(chance);
    else
        reading->value.number = any_number(chance);
    record.event_time_ms = any_integer(chance);
    record.time_source = (enum time_source)(rnd(chance) % 4);
    return record;
}

static void readings_come_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static struct record want[ITEMS];
    struct results_builder *b = builder_made(RESULTS_READINGS, ITEMS, BYTES);
    uint32_t count = 0;
    for (struct record next = any_reading(&chance); results_add_reading(b, &next) == 0; next = any_reading(&chance))
        want[count++] = next;
    assert_in_range(count, 100, ITEMS);
    struct text message = finished(b);
    struct results_reader r;
    assert_int_equal(results_open(&r, message), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct record got;
        const struct reading *x = &want[i].reading, *y = &got.reading;
        assert_int_equal(results_next_reading(&r, &got), 1);
        assert_int_equal(got.kind, RECORD_READING);
        assert_int_equal(got.t_ms, want[i].t_ms);
        assert_int_equal(got.event_time_ms, want[i].event_time_ms);
        assert_int_equal(got.time_source, want[i].time_source);
        assert_true(text_equal(x->device, y->device) && text_equal(x->metric, y->metric));
        assert_true(text_equal(x->unit, y->unit) && text_equal(x->extra, y->extra));
        assert_true(text_equal(x->value.text, y->value.text));
        assert_int_equal(x->value.type, y->value.type);
        assert_bits(x->value.number, y->value.number);
        assert_true(x->has_device_time == y->has_device_time && x->has_sequence == y->has_sequence);
        assert_int_equal(x->device_time_ms, y->device_time_ms);
        assert_true(x->sequence == y->sequence);
        assert_int_equal(x->index, y->index);
        assert_int_equal(x->source, y->source);
    }
    struct record got;
    assert_int_equal(results_next_reading(&r, &got), 0);
    free((char *)message.at);
    free(b);
}

/* Two windows of two devices, as docs/formats.md works them through. */
static struct text example(struct results_builder *b)
{
    struct window_result w = { .device = text_of("pump7"), .metric = text_of("temp"), .unit = text_of("Cel"),
                               .start_ms = 1790000000000, .end_ms = 1790000010000, .first_block = 40,
                               .last_block = 41, .contract_version = 1 };
    w.aggregate = (struct aggregate){ .count = 3, .mean = 21.5, .m2 = 0.5, .min = 21.0, .max = 22.0, .first = 21.5,
                                      .last = 22.0, .first_ms = 1790000000250, .last_ms = 1790000008250 };
    assert_int_equal(results_add_window(b, &w), 0);
    w.device = text_of("pump8");
    w.aggregate = (struct aggregate){ .count = 1, .mean = 19.25, .min = 19.25, .max = 19.25, .first = 19.25,
                                      .last = 19.25, .first_ms = 1790000004000, .last_ms = 1790000004000 };
    w.revision = 1;
    assert_int_equal(results_add_window(b, &w), 0);
    return finished(b);
}

/* The lines "0000  57 52 ..." of the section on batches, as bytes. */
static size_t bytes_in_document(const char *document, uint8_t *to, size_t room)
{
    size_t used = 0;
    unsigned offset;
    const char *line = strstr(document, "\n    0000  ");
    while (line != NULL && sscanf(line, "\n    %4x  ", &offset) == 1 && offset == used) {
        const char *at = line + 11, *end = strchr(at, '\n');
        for (unsigned byte; at < end && used < room && sscanf(at, "%2x", &byte) == 1; at += 3)
            to[used++] = (uint8_t)byte;
        line = end;
    }
    return used;
}

static void the_documented_example_holds(void **state)
{
    (void)state;
    struct results_builder *b = builder_made(RESULTS_WINDOWS, 10, RESULTS_BYTES_MIN);
    struct text message = example(b);
    vector_check("tests/vectors/windows.wr", message.at, message.bytes);
    if (getenv("WRITE_VECTORS") != NULL)
        for (uint32_t i = 0; i < message.bytes; i++)
            printf(i % 16 ? " %02x" : i ? "\n    %04x  %02x" : "    %04x  %02x", i % 16 ? (uint8_t)message.at[i] : i,
                   (uint8_t)message.at[i]);
    size_t bytes = 0;
    char *document = file_read("docs/formats.md", &bytes);
    uint8_t documented[1024];
    if (document == NULL)
        fail_msg("docs/formats.md is not there: run from the root of the repository");
    assert_int_equal(bytes_in_document(document, documented, sizeof documented), message.bytes);
    assert_memory_equal(documented, message.at, message.bytes);
    free(document);
    free((char *)message.at);
    free(b);
}

static struct datum any_datum(uint64_t *chance)
{
    switch (rnd(chance) % 4) {
    case 0: return (struct datum){ .kind = DATUM_NULL };
    case 1: return (struct datum){ .kind = DATUM_BOOLEAN, .number = (double)(rnd(chance) % 2) };
    case 2: return (struct datum){ .kind = DATUM_TEXT, .text = any_name(chance) };
    default: return (struct datum){ .kind = DATUM_NUMBER, .number = any_number(chance) };
    }
}

static void assert_value(const struct stream_result *want, uint32_t i, const struct stream_row *got)
{
    const struct datum *value = &want->values[i].value;
    assert_true(text_equal(got->stream, want->stream) && text_equal(got->key, want->key));
    assert_true(got->start_ms == want->start_ms && got->end_ms == want->end_ms);
    assert_true(got->revision == want->revision && got->kind == want->kind && got->forced == want->forced);
    assert_true(got->first_block == want->first_block && got->last_block == want->last_block);
    assert_true(text_equal(got->name, want->values[i].name) && got->value.kind == value->kind);
    assert_memory_equal(&got->value.number, &value->number, sizeof(double));
    assert_true(text_equal(got->value.text, value->text));
}

static void streams_come_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static struct stream_value values[200][STREAM_VALUES_MAX];
    static struct stream_result want[200];
    struct results_builder *b = builder_made(RESULTS_STREAMS, ITEMS, BYTES);
    for (int round = 0; round < 20; round++) {
        uint32_t count = 0, rows = 0;
        results_builder_reset(b);
        for (; count < 200; count++) {
            struct stream_result *r = &want[count];
            *r = (struct stream_result){ .stream = any_name(&chance), .key = any_name(&chance),
                .start_ms = any_integer(&chance), .end_ms = any_integer(&chance),
                .revision = (uint32_t)any_integer(&chance), .forced = rnd(&chance) % 2,
                .kind = (enum stream_result_kind)(rnd(&chance) % STREAM_RESULT_KINDS),
                .count = 1 + (uint32_t)(rnd(&chance) % STREAM_VALUES_MAX), .values = values[count],
                .first_block = rnd(&chance), .last_block = rnd(&chance) };
            for (uint32_t i = 0; i < r->count; i++)
                values[count][i] = (struct stream_value){ any_name(&chance), any_datum(&chance) };
            if (results_add_stream(b, r) == WEIR_EFULL)
                break;
            rows += r->count;
        }
        assert_int_equal(results_count(b), rows);
        struct text message = finished(b);
        assert_true(message.bytes <= BYTES);
        struct results_reader r;
        struct stream_row got;
        assert_int_equal(results_open(&r, message), 0);
        assert_int_equal(r.header.kind, RESULTS_STREAMS);
        for (uint32_t n = 0; n < count; n++)
            for (uint32_t i = 0; i < want[n].count; i++) {
                assert_int_equal(results_next_stream(&r, &got), 1);
                assert_value(&want[n], i, &got);
            }
        assert_int_equal(results_next_stream(&r, &got), 0);
        free((char *)message.at);
    }
    free(b);
}

/* The largest result there can be fits an empty builder of the size that the gateway has. */
static void a_result_of_any_size_fits(void **state)
{
    (void)state;
    enum { TEXTS = 16 };
    static char fields[STREAM_VALUES_MAX][READING_NAME_BYTES_MAX], key[STREAM_KEY_BYTES_MAX];
    static char texts[TEXTS][STREAM_TEXTS_MAX / TEXTS];
    struct stream_value values[STREAM_VALUES_MAX];
    struct results_builder *b = builder_made(RESULTS_STREAMS, 128, RESULTS_STREAM_BYTES);
    struct stream_result result = { .stream = { fields[0], sizeof fields[0] }, .key = { key, sizeof key },
                                    .start_ms = INT64_MIN, .end_ms = INT64_MAX, .revision = UINT32_MAX,
                                    .count = STREAM_VALUES_MAX, .values = values, .last_block = UINT64_MAX / 3 };
    memset(key, 'k', sizeof key);
    for (int i = 0; i < STREAM_VALUES_MAX; i++) {
        memset(fields[i], 97 + i, sizeof fields[i]);
        values[i] = (struct stream_value){ { fields[i], sizeof fields[i] },
                                           { .kind = DATUM_NUMBER, .number = (i % 2 ? 1 : -1) * 1.2345678901234567e-30 } };
        if (i >= TEXTS)
            continue;
        memset(texts[i], 65 + i, sizeof texts[i]);
        values[i].value = (struct datum){ .kind = DATUM_TEXT, .text = { texts[i], sizeof texts[i] } };
    }
    assert_int_equal(results_add_stream(b, &result), 0);
    free((char *)finished(b).at);
    free(b);
}

static void streams_are_the_vector(void **state)
{
    (void)state;
    static const char north[] = "\x00\x02\x05north\x01\x00\x00\x00\x00\x00\x00\x00\x08\x40", /* text, 3 */
                      south[] = "\x00\x02\x05south\x01\x00\x00\x00\x00\x00\x00\x00\x08\x40";
    const struct stream_value first[] = { { text_of("count"), { .kind = DATUM_NUMBER, .number = 4 } },
                                          { text_of("mean"), { .kind = DATUM_NUMBER, .number = 1.1 } },
                                          { text_of("top"), { .kind = DATUM_NULL } } };
    const struct stream_value second[] = { { text_of("count"), { .kind = DATUM_NUMBER, .number = 1 } },
                                           { text_of("mean"), { .kind = DATUM_NUMBER, .number = 1.0 / 3 } } };
    struct results_builder *b = builder_made(RESULTS_STREAMS, 128, RESULTS_STREAM_BYTES);
    struct stream_result r = { .stream = text_of("spend"), .key = { north, sizeof north - 1 },
                               .start_ms = 1790000000000, .end_ms = 1790000060000, .count = 3, .values = first,
                               .first_block = 40, .last_block = 41 };
    assert_int_equal(results_add_stream(b, &r), 0);
    r.key = (struct text){ south, sizeof south - 1 };
    r.revision = 2, r.kind = STREAM_REVISION, r.count = 2, r.values = second;
    assert_int_equal(results_add_stream(b, &r), 0);
    struct text message = finished_as(b, 13);
    vector_check("tests/vectors/streams.wr", message.at, message.bytes);
    free((char *)message.at);
    free(b);
}

/* The oldest block of any window, and the contract's version only where all agree. */
static void the_header_speaks_for_its_windows(void **state)
{
    (void)state;
    struct results_builder *b = builder_made(RESULTS_WINDOWS, 10, RESULTS_BYTES_MIN);
    struct window_result w = { .device = text_of("d"), .metric = text_of("m"), .first_block = 40,
                               .last_block = 41, .contract_version = 3 };
    static const struct { uint64_t block; uint32_t contract, want_contract; uint64_t want_block; } table[] = {
        { 41, 3, 3, 41 }, { 38, 3, 3, 38 }, { 40, 4, 0, 38 }, { 39, 3, 0, 38 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct results_reader r;
        w.first_block = table[i].block;
        w.contract_version = table[i].contract;
        assert_int_equal(results_add_window(b, &w), 0);
        struct text message = finished(b);
        assert_int_equal(results_open(&r, message), 0);
        assert_int_equal(r.header.first_block, table[i].want_block);
        assert_int_equal(r.header.last_block, 41);
        assert_int_equal(r.header.contract_version, table[i].want_contract);
        free((char *)message.at);
    }
    free(b);
}

/* As if it had been finished there; and nothing else is taken for one. */
static void a_batch_gets_its_place(void **state)
{
    (void)state;
    struct results_builder *b = builder_made(RESULTS_WINDOWS, 10, RESULTS_BYTES_MIN);
    struct window_result w = { .device = text_of("d"), .metric = text_of("m"), .first_block = 40, .last_block = 41 };
    uint64_t store[2] = { 0x0123456789abcdef, 0xfedcba9876543210 }, other[2] = { 0x0123456789abcdef, 1 };
    assert_int_equal(results_add_window(b, &w), 0);
    struct text message = finished_as(b, 0), wanted = finished_as(b, UINT64_MAX - 5);
    uint8_t *at = (uint8_t *)message.at;
    assert_int_equal(results_renumber(at, message.bytes, other, 3), WEIR_ECORRUPT);
    for (uint32_t bytes = 0; bytes < message.bytes; bytes++)
        assert_int_not_equal(results_renumber(at, bytes, store, 3), 0);
    assert_int_equal(results_renumber(at, message.bytes, store, UINT64_MAX - 5), 0);
    assert_true(text_equal(message, wanted));
    assert_int_equal(at[RESULTS_KIND_AT], RESULTS_WINDOWS);
    at[0] ^= 1;
    assert_int_equal(results_renumber(at, message.bytes, store, 3), WEIR_ECORRUPT);
    free(at);
    free((char *)wanted.at);
    free(b);
}

/* A number with device time, number and a further field; a boolean of a clock that is ahead; a text without either, under a
 * clock that was not synced. */
static void raw_readings_are_the_vector(void **state)
{
    (void)state;
    struct results_builder *b = builder_made(RESULTS_READINGS, 10, RESULTS_BYTES_MIN);
    static const char quality[] = "\x00\x02\x04good"; /* field 0, a text of 4 bytes */
    struct record r = { .kind = RECORD_READING, .t_ms = 5000, .event_time_ms = 1790000000250,
                        .reading = { .device = text_of("pump7"), .metric = text_of("temp"),
                                     .unit = text_of("Cel"), .value = { .number = 21.5 },
                                     .has_device_time = true, .device_time_ms = 1790000000250,
                                     .has_sequence = true, .sequence = 300, .index = 2,
                                     .extra = { quality, sizeof quality - 1 } } };
    assert_int_equal(results_add_reading(b, &r), 0);
    r.reading.metric = text_of("door");
    r.reading.unit = (struct text){ 0 };
    r.reading.value = (struct value){ .type = VALUE_BOOLEAN, .number = 1 };
    r.reading.index = 3;
    r.reading.device_time_ms = 1790000900250; /* the device's clock is ahead, and was held back */
    r.time_source = TIME_CLAMPED;
    assert_int_equal(results_add_reading(b, &r), 0);
    r = (struct record){ .kind = RECORD_READING, .t_ms = 5020, .event_time_ms = 1790000000300,
                         .time_source = TIME_COARSE,
                         .reading = { .device = text_of("pump8"), .metric = text_of("state"), .source = 1,
                                      .value = { .type = VALUE_TEXT, .text = text_of("idle") } } };
    assert_int_equal(results_add_reading(b, &r), 0);
    struct text message = finished(b);
    vector_check("tests/vectors/readings.wr", message.at, message.bytes);
    free((char *)message.at);
    free(b);
}

static void what_a_window_costs(void **state)
{
    (void)state;
    uint64_t chance = 1;
    struct results_builder *b = builder_made(RESULTS_WINDOWS, ITEMS, BYTES);
    char device[48];
    for (int i = 0; i < ITEMS; i++) { /* a firing: each device its window of ten readings */
        struct window_result w = { .metric = text_of("temperature"), .unit = text_of("Cel") };
        (void)snprintf(device, sizeof device, "line-%d/sensor-%04d", i / 100, i);
        w.device = text_of(device);
        w.start_ms = 1790000000000;
        w.end_ms = w.start_ms + 10000;
        w.first_block = w.last_block = 9000;
        for (int k = 0; k < 10; k++)
            aggregate_push(&w.aggregate, w.start_ms + k * 1000 + (int64_t)(rnd(&chance) % 9),
                           round(100 * (20 + i % 40 + rnd_unit(&chance))) / 100);
        assert_int_equal(results_add_window(b, &w), 0);
    }
    struct text message = finished(b);
    static uint8_t packed[BYTES];
    uLongf packed_bytes = sizeof packed;
    assert_int_equal(compress2(packed, &packed_bytes, (const Bytef *)message.at, message.bytes, 6), Z_OK);
    printf("# %.1f bytes a window, %.1f compressed, %.2f a reading\n", (double)message.bytes / ITEMS,
           (double)packed_bytes / ITEMS, (double)packed_bytes / ITEMS / 10);
    assert_true(packed_bytes < ITEMS * 40);
    free((char *)message.at);
    free(b);
}

static void assert_inside(struct text slice, struct text message)
{
    assert_true(slice.bytes == 0 || (slice.at >= message.at && slice.at + slice.bytes <= message.at + message.bytes));
}

static int consumed_streams(struct results_reader *r, struct text message)
{
    struct stream_row row;
    int result;
    while ((result = results_next_stream(r, &row)) == 1) {
        assert_true(isfinite(row.value.number));
        assert_inside(row.key, message);
        assert_inside(row.name, message);
    }
    return result;
}

static int consumed(struct text message)
{
    struct results_reader r;
    struct window_result window;
    struct record record;
    int result = results_open(&r, message);
    if (result != 0)
        return result;
    if (r.header.kind == RESULTS_STREAMS)
        return consumed_streams(&r, message);
    while ((result = r.header.kind == RESULTS_WINDOWS ? results_next_window(&r, &window)
                                                      : results_next_reading(&r, &record)) == 1)
        if (r.header.kind == RESULTS_WINDOWS) {
            assert_true(isfinite(window.aggregate.mean) && isfinite(window.aggregate.min));
            assert_inside(window.device, message);
            assert_inside(window.unit, message);
            assert_true(window.device.at != message.at); /* that is the magic, no name */
        } else {
            assert_true(isfinite(record.reading.value.number));
            assert_inside(record.reading.extra, message);
        }
    return result;
}

static void damage_never_harms(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    struct results_builder *windows = builder_made(RESULTS_WINDOWS, 40, 20000);
    struct results_builder *readings = builder_made(RESULTS_READINGS, 40, 20000);
    for (int i = 0; i < 30; i++) {
        struct window_result w = any_window(&chance);
        struct record record = any_reading(&chance);
        assert_int_equal(results_add_window(windows, &w), 0);
        assert_int_equal(results_add_reading(readings, &record), 0);
    }
    struct results_builder *streams = builder_made(RESULTS_STREAMS, 128, RESULTS_STREAM_BYTES);
    for (uint32_t i = 0; i < 20; i++) {
        const struct stream_value value = { any_name(&chance), any_datum(&chance) };
        const struct stream_result result = { .stream = any_name(&chance), .key = any_name(&chance), .revision = i,
                                              .start_ms = any_integer(&chance), .count = 1, .values = &value };
        assert_int_equal(results_add_stream(streams, &result), 0);
    }
    struct text good[3] = { finished(windows), finished(readings), finished(streams) };
    uint32_t corrupt = 0;
    for (int round = 0; round < 4000; round++) {
        const struct text *from = &good[round % 3];
        uint32_t bytes = rnd(&chance) % 4 ? from->bytes : (uint32_t)(rnd(&chance) % from->bytes);
        char *message = malloc(bytes + 1u);
        memcpy(message, from->at, bytes);
        for (uint32_t hits = 1 + (uint32_t)(rnd(&chance) % 3); hits > 0 && bytes > 0; hits--)
            message[rnd(&chance) % bytes] = (char)rnd(&chance);
        char *exact = malloc(bytes + 1u);
        memcpy(exact, message, bytes);
        int result = consumed((struct text){ exact, bytes });
        assert_true(result == 0 || result == WEIR_ECORRUPT || result == WEIR_EVERSION);
        corrupt += result != 0;
        free(exact);
        free(message);
    }
    assert_true(corrupt > 1000);
    for (uint32_t bytes = 0; bytes < good[0].bytes; bytes++)
        assert_true(consumed((struct text){ good[0].at, bytes }) != 0);
    free((char *)good[0].at);
    free((char *)good[1].at);
    free((char *)good[2].at);
    free(streams);
    free(windows);
    free(readings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_come_back),
        cmocka_unit_test(streams_come_back),
        cmocka_unit_test(a_result_of_any_size_fits),
        cmocka_unit_test(streams_are_the_vector),
        cmocka_unit_test(readings_come_back),
        cmocka_unit_test(the_documented_example_holds),
        cmocka_unit_test(the_header_speaks_for_its_windows),
        cmocka_unit_test(a_batch_gets_its_place),
        cmocka_unit_test(raw_readings_are_the_vector),
        cmocka_unit_test(what_a_window_costs),
        cmocka_unit_test(damage_never_harms),
    };
    return cmocka_run_group_tests_name("codec_results", tests, NULL, NULL);
}
