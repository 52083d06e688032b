/* Goal: the engine's state is a fold over the journal: live, rebuilt from records, or taken up from a
 * checkpoint on the way, it is the same bit for bit and goes on to tell the same; and no damaged
 * checkpoint breaks it. Method: random traffic of a small fleet (late, reordered, repeated, silent, wrong
 * clocks, lost sources, commands) is journalled; the journal is folded in several ways.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "pipeline/err.h"
#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

enum { STEPS = 6000, JOURNAL_MAX = 40000, DEVICES = 6, METRICS = 3, STATE_BYTES = 1 << 20 };

struct journal {
    struct record records[JOURNAL_MAX];
    uint32_t count;
    uint64_t told; /* hash over all that was told */
};

static const char *const DEVICE_NAMES[] = { "press-1", "press-2", "oven", "fan", "pump", "valve" };
static const char *const METRIC_NAMES[] = { "temperature", "vibration", "state" };

static void mix(uint64_t *told, const void *at, size_t bytes)
{
    *told = hash64((struct hash_key){ *told, 77 }, at, bytes);
}

static void mix_alert(void *ctx, const struct alert_event *event)
{
    mix(ctx, event->id, ALERT_ID_BYTES);
    mix(ctx, &event->alert->revision, sizeof event->alert->revision);
    mix(ctx, &event->alert->peak.score, sizeof(double));
    mix(ctx, &event->transition, sizeof event->transition);
    mix(ctx, &event->severity, sizeof event->severity);
    mix(ctx, &event->notify, sizeof event->notify);
    mix(ctx, event->incident, strlen(event->incident));
    mix(ctx, &event->event_time_ms, sizeof event->event_time_ms);
    for (uint32_t i = 0; i < event->recent_count; i++)
        mix(ctx, &event->recent[i].value, sizeof(double));
}

static void mix_result(void *ctx, const struct window_result *result)
{
    mix(ctx, result->device.at, result->device.bytes);
    mix(ctx, result->metric.at, result->metric.bytes);
    mix(ctx, &result->start_ms, sizeof result->start_ms);
    mix(ctx, &result->revision, sizeof result->revision);
    mix(ctx, &result->aggregate.mean, sizeof(double));
    mix(ctx, &result->first_block, sizeof result->first_block);
}

static void mix_stream(void *ctx, const struct stream_result *result)
{
    mix(ctx, result->stream.at, result->stream.bytes);
    mix(ctx, result->key.at, result->key.bytes);
    mix(ctx, &result->start_ms, sizeof result->start_ms);
    mix(ctx, &result->revision, sizeof result->revision);
    for (uint32_t i = 0; i < result->count; i++)
        mix(ctx, &result->values[i].value.number, sizeof(double));
    mix(ctx, &result->first_block, sizeof result->first_block);
}

/* One of all readings by device, and one in which keys are too many and forgotten. */
static void configure_streams(struct bench *b)
{
    static struct stream_config configs[4] = {
        { .name = "hops", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000, .lateness_ms = 9000,
          .idle_ms = 15000, .window = STREAM_HOPPING, .size_ms = 10000, .slide_ms = 2500, .keys_max = DEVICES,
          .key_bytes = 64, .ttl_ms = 3600000, .aggregate_count = 4,
          .aggregates = { { "count" }, { "sum" }, { "stddev" }, { "rate" } }, .early_ms = 4000, .derived_count = 1,
          .derived = { { "growth", "sum / previous(sum)" } }, .rule_count = 2,
          .rules = { { .name = "burst", .when = "count > 1.5 * baseline(count)", .observe = "growth", .on = STREAM_ON_CLOSE },
                     { .name = "apart", .when = "stddev > 9 and growth > 0.1", .observe = "stddev", .on = STREAM_ON_READING } } },
        { .name = "few", .where = "value > 52 or metric == 'state'", .key_count = 2,
          .key = { { "metric" }, { "device" } }, .lateness_ms = 5000, .idle_ms = 5000, .size_ms = 5000, .keys_max = 4,
          .key_bytes = 64, .ttl_ms = 9000, .at_limit = STREAM_EVICT, .aggregate_count = 1,
          .aggregates = { { "count" } } },
        { .name = "last", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 1000, .lateness_ms = 5000,
          .idle_ms = 5000, .window = STREAM_SLIDING, .last_count = 6, .readings_max = 12, .size_ms = 1, .keys_max = 5,
          .key_bytes = 64, .ttl_ms = 9000, .at_limit = STREAM_EVICT, .early_ms = 900, .aggregate_count = 3,
          .aggregates = { { "count" }, { "sum" }, { "top(metric, 2)" } } },
        { .name = "span", .key_count = 1, .key = { { "metric" } }, .lateness_ms = 5000, .idle_ms = 5000,
          .window = STREAM_SLIDING, .span_ms = 8000, .every_ms = 500, .size_ms = 1, .keys_max = 5, .key_bytes = 64,
          .ttl_ms = 9000, .aggregate_count = 2, .aggregates = { { "count" }, { "mean" } } },
    };
    static struct stream_plan plans[4];
    static struct stream_fields fields;
    struct stream_fault fault;
    stream_fields_begin(&fields);
    for (int i = 0; i < 4; i++)
        assert_int_equal(stream_compile(&plans[i], &configs[i], &fields, &fault), 0);
    b->config.streams = (struct stream_set){ 4, plans };
    for (uint32_t i = 0; i < 2; i++) {
        bench_rule(b, DETECTOR_LIMIT, configs[0].rules[i].name);
        strcpy(b->rules[b->config.rule_count - 1].metric, "stream/hops");
    }
}

static void mix_late(void *ctx, const struct record *record)
{
    mix(ctx, &record->event_time_ms, sizeof record->event_time_ms);
}

static void configure(struct bench *b, int64_t reorder_ms)
{
    bench_configure(b, DEVICES, DEVICES * METRICS + 2 * DEVICES);
    b->config.reorder_ms = reorder_ms;
    b->config.reorder_slots = 4;
    b->config.idle_ms = 20000;
    b->config.window.slots = 3;
    b->config.out_of_orderness_ms = 9000;
    b->config.learning_readings = 50;
    b->config.alarms.group_ms = 20000;
    b->config.alarms.flood = (struct flood_config){ 3, 30000 };
    b->config.alarms.budget = 40;
    b->config.rejects_per_minute_max = 12;
    b->config.shed_for_ms = 20000;
    b->config.lag_grows_for_ms = 60000;
    b->config.rules_per_series = DETECTOR_KINDS;
    bench_rule(b, DETECTOR_LIMIT, "limit");
    b->rules[0].has_high = true;
    b->rules[0].high = 95;
    b->rules[0].for_ms = 300;
    b->rules[0].clear_after_ms = 4000;
    b->rules[0].cooldown_ms = 9000;
    bench_rule(b, DETECTOR_SPIKE, "spike");
    b->rules[1].clear_after_ms = 1000;
    b->rules[1].cooldown_ms = 60000;
    bench_rule(b, DETECTOR_SILENT, "silent");
    b->rules[2].silent_min_ms = 3000;
    b->rules[2].silent_intervals = 3;
    bench_rule(b, DETECTOR_STUCK, "stuck");
    bench_rule(b, DETECTOR_SHIFT, "shift");
    bench_rule(b, DETECTOR_RATE, "rate");
    bench_rule(b, DETECTOR_BASELINE, "baseline");
    configure_streams(b);
    for (uint32_t i = 0; i < b->config.rule_count; i++) {
        b->rules[i].escalate_after_ms = 1000 * (i % 3);
        b->rules[i].escalate_score = 1.5;
        b->rules[i].chatter = i % 2 == 0;
        b->rules[i].for_readings = (uint8_t)(i % 3);
        b->rules[i].of_readings = 4;
        b->rules[i].clear_readings = (uint8_t)(i % 4);
        b->rules[i].latch = i == 0;
    }
}

static void journal(struct journal *j, const struct record *record)
{
    assert_in_range(j->count, 0, JOURNAL_MAX - 1);
    j->records[j->count++] = *record;
}

/* Fire what is due, as the gateway does, and journal how many. */
static void tick(struct bench *b, struct journal *j)
{
    struct record record = { .kind = RECORD_TICK, .t_ms = b->t_ms };
    while (engine_deadline(b->engine, b->t_ms) <= b->t_ms) {
        engine_begin_block(b->engine, 1 + j->count / 100);
        engine_fire(b->engine, &b->out);
        record.count++;
    }
    if (record.count > 0)
        journal(j, &record);
}

static struct reading random_reading(uint64_t *seed, const struct bench *b)
{
    uint32_t device = (uint32_t)(rnd(seed) % DEVICES), metric = (uint32_t)(rnd(seed) % METRICS);
    struct reading reading = bench_reading(DEVICE_NAMES[device], METRIC_NAMES[metric], 0, 0);
    double value = 50 + 10 * rnd_unit(seed) + (rnd(seed) % 40 == 0 ? 60 : 0);
    reading.value.number = rnd(seed) % 5 == 0 ? 50 : value;
    if (metric == 2) {
        reading.value.number = 0;
        reading.value.type = VALUE_TEXT;
        reading.value.text = text_of("running");
    }
    reading.unit = text_of(rnd(seed) % 2 ? "C" : "");
    int64_t wall_ms = BENCH_EPOCH_MS + b->t_ms;
    reading.device_time_ms = wall_ms - (int64_t)(rnd(seed) % (rnd(seed) % 10 ? 2500 : 60000));
    if (rnd(seed) % (device == 2 ? 2 : 60) == 0)
        reading.device_time_ms = wall_ms + 400000;
    reading.has_device_time = rnd(seed) % 20 != 0;
    reading.has_sequence = rnd(seed) % 3 != 0;
    reading.sequence = (uint64_t)(b->t_ms / 900);
    return reading;
}

static void mix_maintenance(const struct bench *b, uint64_t *seed, char *command)
{
    static const char *const OTHERS[] = { "*", "$gateway" };
    uint32_t drawn = (uint32_t)(rnd(seed) % (DEVICES + 2));
    const char *device = drawn < DEVICES ? DEVICE_NAMES[drawn] : OTHERS[drawn - DEVICES];
    long long until_ms = (long long)(BENCH_EPOCH_MS + b->t_ms + (int64_t)(rnd(seed) % 60000));
    if (rnd(seed) % 3 == 0)
        snprintf(command, 80, "resume %s", device);
    else
        snprintf(command, 80, "maintain %lld %zu %s oil", until_ms, strlen(device), device);
}

static struct record random_other(uint64_t *seed, const struct bench *b, char *command)
{
    struct record record = { .kind = RECORD_CLOCK, .t_ms = b->t_ms,
                             .clock = { BENCH_EPOCH_MS, CLOCK_SYNCED, 1 } };
    if (rnd(seed) % 4 == 0) {
        record.kind = rnd(seed) % 2 ? RECORD_SHED : RECORD_LAG;
        record.count = record.kind == RECORD_SHED ? rnd(seed) % SHED_LEVELS : rnd(seed) % 3 * 60000;
    } else if (rnd(seed) % 2 == 0) {
        record.kind = RECORD_SOURCE;
        record.count = rnd(seed) % 2;
    } else if (rnd(seed) % 2 == 0) {
        uint64_t cursor = rnd(seed) % 60;
        struct alert_view view;
        if (engine_alert(b->engine, &cursor, &view)) {
            record.kind = RECORD_COMMAND;
            snprintf(command, 80, "%s %s %d", rnd(seed) % 2 ? "ack" : "shelve", view.id, 5000);
            record.content = text_of(command);
        }
    } else if (rnd(seed) % 2 == 0) {
        record.kind = RECORD_COMMAND;
        mix_maintenance(b, seed, command);
        record.content = text_of(command);
    } else if (rnd(seed) % 4 == 0) {
        record.clock.state = CLOCK_COARSE;
    }
    return record;
}

static char commands[JOURNAL_MAX][80];

static void live(struct bench *b, struct journal *j, uint64_t seed)
{
    b->out = (struct engine_out){ .ctx = &j->told, .alert = mix_alert, .result = mix_result, .late = mix_late, .stream = mix_stream };
    journal(j, &(struct record){ .kind = RECORD_CLOCK, .clock = { BENCH_EPOCH_MS, CLOCK_SYNCED, 1 } });
    engine_apply(b->engine, &j->records[0], &b->out);
    for (uint64_t step = 1; step <= STEPS; step++) {
        b->t_ms += (int64_t)(rnd(&seed) % (rnd(&seed) % 200 == 0 ? 40000 : 100));
        tick(b, j);
        if (rnd(&seed) % 50 == 0) {
            struct record record = random_other(&seed, b, commands[j->count]);
            engine_begin_block(b->engine, 1 + j->count / 100);
            journal(j, &record);
            engine_apply(b->engine, &record, &b->out);
            continue;
        }
        struct reading reading = random_reading(&seed, b);
        struct admission a;
        engine_admit(b->engine, b->t_ms, &reading, 1, &a);
        if (a.verdict == ADMIT_DUPLICATE)
            continue;
        engine_begin_block(b->engine, 1 + j->count / 100);
        journal(j, &a.record);
        engine_apply(b->engine, &a.record, &b->out);
    }
}

/* What comes is announced, now and then wrongly: who lived through it had no such hints. */
static void announce(const struct engine *engine, const struct journal *j, uint32_t at)
{
    uint32_t ahead = at + ENGINE_EXPECT_AHEAD + (at % 5 == 0);
    engine_expect(engine, ahead < j->count ? j->records[ahead].reading.device : (struct text){ 0 });
}

static void fold(struct engine *engine, const struct journal *j, uint32_t from, uint32_t to,
                 const struct engine_out *out)
{
    for (uint32_t i = from; i < to; i++) {
        announce(engine, j, i);
        if (i > 0)
            engine_begin_block(engine, 1 + i / 100);
        engine_apply(engine, &j->records[i], out);
    }
}

static bool equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static size_t save(const struct bench *b, uint8_t *to)
{
    struct byte_writer count = { 0 }, w = { to, STATE_BYTES, 0, false };
    engine_save(b->engine, &count);
    engine_save(b->engine, &w);
    assert_false(w.failed);
    assert_int_equal(count.used, w.used);
    assert_in_range(w.used, 1, engine_save_bytes_max(&b->config));
    return w.used;
}

static void check_saw_everything(const struct bench *b)
{
    struct engine_counts c = engine_counts(b->engine);
    assert_true(c.late > 0 && c.unordered > 0 && c.revisions > 0 && c.results > 0);
    assert_true(c.alerts_raised > 10 && c.alerts_cleared > 10 && c.alerts_suppressed > 0);
    assert_true(c.forced_windows > 0 && c.sequence_restarts > 0);
}

static void run(int64_t reorder_ms)
{
    static struct journal journals[1];
    static uint8_t bytes[STATE_BYTES];
    struct journal *j = journals;
    uint64_t seed = check_seed();
    memset(j, 0, sizeof *j);
    struct bench a, b;
    configure(&a, reorder_ms);
    bench_init_configured(&a);
    bench_start(&a);
    live(&a, j, seed);
    check_saw_everything(&a);

    configure(&b, reorder_ms);
    bench_init_configured(&b);
    bench_start(&b);
    fold(b.engine, j, 0, j->count, NULL);
    assert_true(equal(engine_digest(a.engine), engine_digest(b.engine)));

    bench_start(&b);
    uint64_t told = 0;
    const struct engine_out out = { .ctx = &told, .alert = mix_alert, .result = mix_result, .late = mix_late, .stream = mix_stream };
    for (uint32_t at = 0; at < j->count;) {
        uint32_t next = at + 1 + (uint32_t)(rnd(&seed) % 700);
        next = next < j->count ? next : j->count;
        fold(b.engine, j, at, next, &out);
        at = next;
        struct hash128 before = engine_digest(b.engine);
        struct byte_reader r = { bytes, save(&b, bytes), 0, false };
        uint32_t reset = 99;
        bench_start(&b);
        assert_int_equal(engine_load(b.engine, &r, &reset), 0);
        assert_int_equal(reset, 0);
        assert_true(equal(engine_digest(b.engine), before));
    }
    assert_true(equal(engine_digest(a.engine), engine_digest(b.engine)));
    assert_true(told == j->told);
    bench_end(&a);
    bench_end(&b);
}

/* So many devices that the engine looks ahead, in random order: told of what comes, or of something
 * else, or of nothing, it comes to the same state. */
static void hints_change_nothing(void **state)
{
    enum { MANY = 3500, READINGS = 4 * MANY };
    static char names[MANY][12];
    static uint32_t order[READINGS + ENGINE_EXPECT_AHEAD];
    struct hash128 digests[3];
    uint64_t seed = check_seed();
    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        snprintf(names[i], sizeof names[i], "device-%u", i);
    for (uint32_t i = 0; i < READINGS + ENGINE_EXPECT_AHEAD; i++)
        order[i] = i < MANY ? i : (uint32_t)(rnd(&seed) % MANY);
    for (int told = 0; told < 3; told++) {
        struct bench b;
        bench_configure(&b, MANY, MANY);
        bench_init_configured(&b);
        for (uint32_t i = 0; i < READINGS; i++) {
            uint32_t ahead = order[i + ENGINE_EXPECT_AHEAD];
            if (told > 0)
                engine_expect(b.engine, text_of(names[told == 1 ? ahead : (ahead + i) % MANY]));
            struct reading reading = bench_reading(names[order[i]], "m", i, BENCH_EPOCH_MS + i);
            struct admission a;
            b.t_ms = i;
            engine_admit(b.engine, b.t_ms, &reading, 1, &a);
            assert_int_equal(a.verdict, ADMIT_STORE);
            b.told_count = 0;
            bench_apply(&b, a.record);
        }
        assert_true(engine_looks_ahead(b.engine));
        digests[told] = engine_digest(b.engine);
        bench_end(&b);
    }
    assert_true(equal(digests[0], digests[1]) && equal(digests[0], digests[2]));
}

static void state_is_a_fold(void **state)
{
    (void)state;
    run(0);
}

static void state_is_a_fold_with_readings_held_back(void **state)
{
    (void)state;
    run(1500);
}

/* A checkpoint in the middle of traffic, for the tests below. */
static size_t some_state(struct bench *b, uint8_t *bytes)
{
    static struct journal j;
    memset(&j, 0, sizeof j);
    configure(b, 1500);
    bench_init_configured(b);
    bench_start(b);
    live(b, &j, 5);
    return save(b, bytes);
}

static void survives_any_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[STATE_BYTES], damaged[STATE_BYTES];
    uint64_t seed = check_seed();
    struct bench b;
    size_t used = some_state(&b, bytes);
    int refused = 0;
    for (int round = 0; round < 1500; round++) {
        memcpy(damaged, bytes, used);
        size_t bytes_given = rnd(&seed) % 4 == 0 ? (size_t)(rnd(&seed) % used) : used;
        for (uint64_t i = rnd(&seed) % 4; i > 0; i--)
            damaged[rnd(&seed) % (rnd(&seed) % 2 ? used : 1200)] = (uint8_t)rnd(&seed);
        uint8_t *exact = malloc(bytes_given + 1); /* so that reading past the end is seen */
        memcpy(exact, damaged, bytes_given);
        struct byte_reader r = { exact, bytes_given, 0, false };
        uint32_t reset;
        bench_start(&b);
        int err = engine_load(b.engine, &r, &reset);
        assert_true(err == 0 || err == WEIR_ECORRUPT || err == WEIR_EVERSION || err == WEIR_EFULL);
        refused += err != 0;
        free(exact);
    }
    assert_in_range(refused, 300, 1499);
    bench_end(&b);
}

static void a_changed_rule_starts_empty_and_keeps_its_numbers(void **state)
{
    (void)state;
    static uint8_t bytes[STATE_BYTES];
    struct bench b;
    size_t used = some_state(&b, bytes);
    struct byte_reader r = { bytes, used, 0, false };
    b.rules[1].threshold *= 2;
    uint32_t reset = 0;
    bench_start(&b);
    assert_int_equal(engine_load(b.engine, &r, &reset), 0);
    assert_int_equal(reset, 1);

    r.used = 0;
    b.config.window.size_ms *= 2;
    b.config.dedup.ranges = 4;
    bench_start(&b);
    assert_int_equal(engine_load(b.engine, &r, &reset), 0);
    assert_int_equal(reset, 3);

    r.used = 0;
    b.config.devices_max = 2;
    bench_start(&b);
    assert_int_equal(engine_load(b.engine, &r, &reset), WEIR_EFULL);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_a_fold),
        cmocka_unit_test(hints_change_nothing),
        cmocka_unit_test(state_is_a_fold_with_readings_held_back),
        cmocka_unit_test(survives_any_bytes),
        cmocka_unit_test(a_changed_rule_starts_empty_and_keeps_its_numbers),
    };
    return cmocka_run_group_tests_name("engine_fold", tests, NULL, NULL);
}
