/* Goal: what is stored is not changed by mistake: a checkpoint's form without another
 *   ENGINE_LAYOUT_VERSION (an older one would be read as what it is not), a block's without another
 *   BLOCK_VERSION, the numbers of record kinds and of reasons at all.
 * Method: a fixed little history, with all that an engine keeps, and a record of each kind; what is
 *   written of them is hashed and compared with what stands below, beside its version. Whoever
 *   changes those bytes on purpose counts the version up and adds a line; a line that is there is
 *   never changed.
 * A store knows by its schema's version that a newer Weir wrote to it, and that what can't be read there is no damage: so
 *   whatever stored form gains something, the schema gains a step.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/%.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c pipeline/reject.c storage/block_encode.c pipeline/packing.c storage/block_chains.c storage/crc32c.c
 */
#include "pipeline/engine/engine_state.h"
#include "storage/block.h"
#include "storage/block_columns.h"
#include "storage/store.h"
#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

enum { STATE_BYTES = 1 << 20, READINGS = 900, METRICS = 3, DEVICES = 4 };

struct form {
    uint32_t version;
    uint64_t digest;
};

static const struct form states[] = { { 10, 0xe97f724e783209c3 }, { 11, 0x085b38dd14df364e },
                                      { 12, 0x49d78a4e751366a0 }, { 13, 0x3904910f64b0b5e5 },
                                      { 14, 0xc8c7590fb94ed219 },
                                      { 15, 0x3d9980acb2fa23f6 },
                                      { 16, 0xff6403bb7bd8877e },
                                      { 17, 0xefb42080b428011b },
                                      { 18, 0xf0b53a572f32090e },
                                      { 19, 0xcfb2bdf012723412 },
                                      { 20, 0xb1468f07222ae7f1 },
                                      { 21, 0x2826807dac3cd2ab },
                                      { 22, 0x8b930d24764f8eff },
                                      { 23, 0x7123a2367eb88231 },
                                      { 24, 0x050d3cc18eb190ec },
                                      { 25, 0x9e6a87bd4c60e411 },
                                      { 26, 0x9f4665b2f9f5ac25 } };
/* the part that only sliding windows have: of the version that it is in since it changed last */
static const struct form sliding[] = { { 22, 0x94878e4ff196a9f2 }, { 23, 0x9b752ae50cee8ad4 },
                                       { 24, 0x36344a4a92e61ba1 }, { 26, 0x09f49c8cb75f0e48 } };
static const struct form blocks[] = { { 1, 0x7235d7091aa441a2 } };

static uint64_t digest_of(const void *at, size_t bytes)
{
    return hash64((struct hash_key){ 1, 2 }, at, bytes);
}

static void check_form(const char *what, const struct form *known, size_t count, uint32_t version,
                       uint64_t digest)
{
    const struct form *last = &known[count - 1];
    for (size_t i = 1; i < count; i++)
        assert_true(known[i].version > known[i - 1].version);
    if (version == last->version && digest != last->digest)
        fail_msg("%s: the bytes are others (0x%016" PRIx64 "), and version %u is the same: what was "
                 "stored before would be misread", what, digest, version);
    if (version != last->version)
        fail_msg("%s: add { %u, 0x%016" PRIx64 " } behind the others", what, version, digest);
}

/* --- a checkpoint --- */

static void configure_stream(struct bench *b)
{
    static struct stream_config config = {
        .name = "hops", .key_count = 2, .key = { { "metric" }, { "value" } }, .lateness_ms = 9000, .idle_ms = 15000,
        .window = STREAM_HOPPING, .size_ms = 10000, .slide_ms = 2500, .keys_max = 40, .key_bytes = 64,
        .ttl_ms = 60000, .at_limit = STREAM_EVICT, .aggregate_count = 6,
        .aggregates = { { "count" }, { "sum" }, { "stddev" }, { "range" }, { "first" }, { "last" } },
        .early_ms = 3000, .derived_count = 1, .derived = { { "growth", "sum / previous(sum)" } }, .rule_count = 1,
        .rules = { { .name = "burst", .when = "count > baseline(count)", .observe = "growth", .on = STREAM_ON_READING } },
    };
    static struct stream_config visits = {
        .name = "visits", .key_count = 1, .key = { { "device" } }, .lateness_ms = 9000, .idle_ms = 15000,
        .window = STREAM_SESSION, .gap_ms = 900, .sessions_max = 4, .size_ms = 1, .keys_max = 4, .key_bytes = 64,
        .ttl_ms = 60000, .aggregate_count = 4,
        .aggregates = { { "median" }, { "distinct(metric)" }, { "ewma(value, 2)" }, { "top(metric, 3)" } },
    };
    static struct stream_fields fields;
    static struct stream_plan plans[2];
    struct stream_fault fault;
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plans[0], &config, &fields, &fault), 0);
    assert_int_equal(stream_compile(&plans[1], &visits, &fields, &fault), 0);
    b->config.streams = (struct stream_set){ 2, plans };
}

static void configure(struct bench *b)
{
    bench_configure(b, DEVICES, DEVICES * METRICS);
    configure_stream(b);
    b->config.reorder_ms = 3000;
    b->config.reorder_slots = 4;
    b->config.idle_ms = 20000;
    b->config.learning_readings = 50;
    b->config.rejects_per_minute_max = 12;
    b->config.shed_for_ms = 20000;
    b->config.lag_grows_for_ms = 60000;
    b->config.rules_per_series = DETECTOR_KINDS;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++)
        bench_rule(b, kind, "rule");
    b->rules[DETECTOR_LIMIT].has_high = true;
    b->rules[DETECTOR_LIMIT].high = 95;
}

static void read_one(struct bench *b, uint64_t *chance, uint64_t n)
{
    static const char *const devices[] = { "press", "oven", "fan", "pump" };
    static const char *const metrics[] = { "temperature", "vibration", "state" };
    uint32_t metric = (uint32_t)rnd_below(chance, METRICS);
    double value = (double)rnd_below(chance, 50) + (n % 97 == 0 ? 80 : 0);
    b->t_ms += 100 + (int64_t)rnd_below(chance, 300);
    b->told_count = 0;
    struct reading reading = bench_reading(devices[rnd_below(chance, DEVICES)], metrics[metric],
                                           value, BENCH_EPOCH_MS + b->t_ms - (n % 41 == 0 ? 60000 : 300));
    if (metric == 2)
        reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of("running") };
    reading.unit = text_of(metric == 0 ? "C" : "");
    reading.has_sequence = n % 3 != 0;
    reading.sequence = n;
    (void)bench_take(b, &reading);
}

static void others(struct bench *b)
{
    struct alert_view view;
    uint64_t cursor = 0;
    char command[80];
    struct reading who = { .device = text_of("oven") };
    bench_apply(b, (struct record){ .kind = RECORD_SOURCE, .count = 1 });
    bench_apply(b, (struct record){ .kind = RECORD_GONE, .reading = who, .content = text_of("bye") });
    bench_apply(b, (struct record){ .kind = RECORD_REJECT, .reason = REJECT_JSON_SYNTAX, .reading = who });
    bench_apply(b, (struct record){ .kind = RECORD_SHED, .count = SHED_OPTIONAL });
    bench_apply(b, (struct record){ .kind = RECORD_LAG, .count = 70000 });
    assert_true(engine_alert(b->engine, &cursor, &view));
    snprintf(command, sizeof command, "shelve %s %d", view.id, 5000);
    bench_apply(b, (struct record){ .kind = RECORD_COMMAND, .content = text_of(command) });
}

static void a_checkpoint_is_what_its_version_says(void **state)
{
    static uint8_t bytes[STATE_BYTES];
    struct bench b;
    uint64_t chance = 1;
    (void)state;
    configure(&b);
    bench_init_configured(&b);
    for (uint64_t n = 1; n <= READINGS; n++)
        read_one(&b, &chance, n);
    others(&b);
    struct engine_counts counts = engine_counts(b.engine);
    assert_true(counts.late > 0 && counts.results > 0 && counts.alerts_raised > 0);
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    engine_save(b.engine, &w);
    assert_false(w.failed);
    check_form("a checkpoint", states, sizeof states / sizeof states[0], ENGINE_LAYOUT_VERSION,
               digest_of(bytes, w.used));
    bench_end(&b);
}

static void sliding_windows_are_what_their_version_says(void **state)
{
    static struct stream_config configs[] = {
        { .name = "last", .key_count = 1, .key = { { "device" } }, .lateness_ms = 9000, .idle_ms = 15000,
          .window = STREAM_SLIDING, .last_count = 5, .readings_max = 30, .size_ms = 1, .keys_max = 4, .key_bytes = 64,
          .ttl_ms = 60000, .early_ms = 700, .aggregate_count = 3, .aggregates = { { "sum" }, { "top(metric, 2)" }, { "last" } } },
        { .name = "span", .key_count = 1, .key = { { "device" } }, .lateness_ms = 9000, .idle_ms = 15000,
          .window = STREAM_SLIDING, .span_ms = 5000, .size_ms = 1, .keys_max = 4, .key_bytes = 64, .ttl_ms = 60000 },
    };
    static const char *const devices[] = { "press", "oven", "fan" };
    static struct stream_fields fields;
    static struct stream_plan plans[2];
    static const struct stream_set set = { 2, plans };
    static uint8_t bytes[STATE_BYTES];
    static _Alignas(64) uint8_t memory[STATE_BYTES];
    struct stream_fault fault;
    uint64_t chance = 1;
    (void)state;
    stream_fields_begin(&fields);
    for (int i = 0; i < 2; i++)
        assert_int_equal(stream_compile(&plans[i], &configs[i], &fields, &fault), 0);
    struct arena arena = arena_over(memory, sizeof memory);
    struct streams *s = streams_init(&set, (struct hash_key){ 1, 2 }, &arena);
    assert_non_null(s);
    for (int n = 0; n < READINGS; n++) {
        struct record record = { .kind = RECORD_READING, .event_time_ms = BENCH_EPOCH_MS + n * 100 };
        record.event_time_ms -= (int64_t)rnd_below(&chance, n % 41 == 0 ? 20000 : 500);
        record.reading = bench_reading(devices[rnd_below(&chance, 3)], n % 4 == 0 ? "flow" : "heat", n * 0.25,
                                       record.event_time_ms);
        struct stream_moment moment = { .t_ms = n * 100, .reached_ms = record.event_time_ms, .block = (uint64_t)n };
        for (int64_t due; (due = streams_deadline(s, moment.t_ms)) <= moment.t_ms;)
            streams_fire(s, &(struct stream_moment){ .t_ms = due }, NULL);
        streams_take(s, &record, &moment, NULL);
    }
    assert_true(streams_counts(s, 0).late > 0 && streams_counts(s, 1).late > 0 && streams_counts(s, 0).revisions > 0);
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    streams_save(s, &w, NULL, NULL);
    assert_false(w.failed);
    size_t count = sizeof sliding / sizeof sliding[0];
    if (digest_of(bytes, w.used) != sliding[count - 1].digest)
        check_form("sliding windows", sliding, count, ENGINE_LAYOUT_VERSION, digest_of(bytes, w.used));
}

/* --- a block --- */

static struct record one_of(enum record_kind kind)
{
    struct reading reading = bench_reading("press", "temperature", 21.5, BENCH_EPOCH_MS);
    reading.unit = text_of("C");
    reading.has_sequence = true;
    reading.sequence = 7;
    return (struct record){
        .kind = kind,
        .t_ms = 1000 + kind,
        .reading = reading,
        .event_time_ms = BENCH_EPOCH_MS,
        .time_source = TIME_CLAMPED,
        .reason = kind == RECORD_REJECT ? REJECT_JSON_SYNTAX : REJECT_NONE,
        .clock = { BENCH_EPOCH_MS, CLOCK_COARSE, 3 },
        .count = kind == RECORD_SHED ? SHED_OPTIONAL : 1,
        .digest = text_of("0123456789abcdef0123456789abcdef"),
        .content = text_of("content"),
    };
}

static void a_block_is_what_its_version_says(void **state)
{
    static uint8_t bytes[BLOCK_BYTES_MIN];
    struct block_limits limits = { 1000, BLOCK_BYTES_MIN, 100 };
    struct arena arena = arena_measure();
    (void)state;
    (void)block_builder_init(&limits, &arena);
    void *memory = aligned_alloc(ARENA_ALIGN, arena.used);
    memset(memory, 0, arena.used);
    arena = arena_over(memory, arena.used);
    struct block_builder *builder = block_builder_init(&limits, &arena);
    block_builder_reset(builder);
    for (enum record_kind kind = RECORD_READING; kind <= RECORD_GONE; kind++) { /* none of later */
        struct record record = one_of(kind);
        assert_int_equal(block_append(builder, &record), 0);
    }
    for (int n = 0; n < 20; n++) {
        struct record record = one_of(RECORD_READING);
        record.t_ms += n * 10;
        record.reading.value.number = n * 0.25;
        record.reading.sequence += (uint64_t)n;
        assert_int_equal(block_append(builder, &record), 0);
    }
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    block_finish(builder, &w);
    assert_false(w.failed);
    check_form("a block", blocks, sizeof blocks / sizeof blocks[0], BLOCK_VERSION,
               digest_of(bytes, w.used));
    free(memory);
}

/* --- numbers --- */

/* A new one is added behind the others, here too. */
static void numbers_stay(void **state)
{
    static const struct {
        int number, was;
    } kinds[] = {
        { RECORD_READING, 1 }, { RECORD_REJECT, 2 },    { RECORD_TICK, 3 }, { RECORD_CLOCK, 4 },
        { RECORD_SOURCE, 5 },  { RECORD_CONFIG, 6 },    { RECORD_INVENTORY, 7 },
        { RECORD_SHED, 8 },    { RECORD_COMMAND, 9 },   { RECORD_LAG, 10 }, { RECORD_GONE, 11 },
        { RECORD_MADE, 12 },
        { CLOCK_UNSET, 0 },    { CLOCK_COARSE, 1 },     { CLOCK_SYNCED, 2 },
        { TIME_DEVICE, 0 },    { TIME_ARRIVAL, 1 },     { TIME_CLAMPED, 2 }, { TIME_COARSE, 3 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_int_equal(kinds[i].number, kinds[i].was);
    assert_int_equal(RECORD_KIND_LAST, 12);
    static const char *const reasons[] = {
        "topic_mismatch", "payload_too_large", "json_syntax", "json_trailing", "json_depth",
        "json_too_big", "json_duplicate_key", "invalid_utf8", "number_not_finite",
        "number_too_large", "value_missing", "value_type", "time_invalid",
        "sequence_invalid", "unit_invalid", "name_invalid", "too_many_readings",
        "no_readings", "identity_mismatch", "contract_type", "contract_unit",
        "contract_range", "contract_required", "contract_unknown", "contract_version",
        "time_future", "time_range", "device_limit", "series_limit", "field_type",
        "upstream_refused",
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        assert_string_equal(reject_name((enum reject_reason)(i + 1)), reasons[i]);
    assert_int_equal(REJECT_REASON_END, sizeof reasons / sizeof reasons[0] + 1);
}

/* Of all that is stored, with the schema's version since which it is so. Add a line behind, and a step to
 * storage/store_schema.c, an empty one if it needs no SQL: else a Weir that is rolled back to sets the store aside. What
 * that one can't pass over, all but reasons and kinds of records, it must not open. */
static void a_schema_knows_of_every_form(void **state)
{
    static const struct form {
        int schema, kinds, reasons, block, fields, removals, shed, lanes;
    } forms[] = { { 10, 12, 31, 1, 17, 4, 1, 3 } }, *last = &forms[sizeof forms / sizeof forms[0] - 1];
    (void)state;
    for (int i = 1; &forms[i] <= last; i++) {
        assert_true(forms[i].schema > forms[i - 1].schema);
        if (memcmp(&forms[i].block, &forms[i - 1].block, sizeof forms[i] - offsetof(struct form, block)) != 0)
            assert_in_range(STORE_SCHEMA_READER, forms[i].schema, STORE_SCHEMA_VERSION);
    }
    assert_in_range(last->schema, 10, STORE_SCHEMA_VERSION);
    if (last->block != BLOCK_VERSION || last->kinds != RECORD_KIND_LAST || last->reasons != REJECT_REASON_END - 1 || 1 << last->fields != FIELDS_END ||
        last->removals != REMOVALS || last->shed != SHED_REASONS || last->lanes != LANES)
        fail_msg("a stored form gained something since schema %d: add a step to it, and a line here", last->schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_what_its_version_says),
        cmocka_unit_test(sliding_windows_are_what_their_version_says),
        cmocka_unit_test(a_block_is_what_its_version_says),
        cmocka_unit_test(numbers_stay),
        cmocka_unit_test(a_schema_knows_of_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
