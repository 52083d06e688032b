/* Goal: a state that is taken up by a configuration that orders, renames or drops its sources gives each series to the
 * source of the same name, and to none where that is gone, until the series is heard again. Method: two sources with a
 * contract each; what a window says of its contract tells whose the series is, and a source that is lost keeps its
 * devices' silence from being told.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

enum { HOUSE = 7, PLANT = 9, YARD = 11, WINDOWS_MAX = 64 };

static const struct contract contracts[] = {
    { .name = "house", .version = HOUSE, .allow_unknown = true },
    { .name = "plant", .version = PLANT, .allow_unknown = true },
    { .name = "yard", .version = YARD, .allow_unknown = true },
};
static struct engine_source sources[3];
static uint8_t saved[1 << 16];
static uint32_t versions[WINDOWS_MAX], windows;

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx;
    assert_in_range(windows, 0, WINDOWS_MAX - 1);
    versions[windows++] = result->contract_version;
}

/* The first is number 0, and so on. */
static void order(struct bench *b, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sources[i] = (struct engine_source){ .name = text_of(names[i]) };
        for (size_t k = 0; k < sizeof contracts / sizeof contracts[0]; k++)
            if (strcmp(contracts[k].name, names[i]) == 0)
                sources[i].contract = &contracts[k];
    }
    b->config.sources = sources;
    b->config.source_count = count;
}

static void begin(struct bench *b, bool silent)
{
    bench_configure(b, 4, 4);
    order(b, (const char *const[]){ "house", "plant" }, 2);
    if (silent) {
        bench_rule(b, DETECTOR_SILENT, "silent");
        b->rules[0].silent_min_ms = 30000;
        b->rules[0].silent_intervals = 3;
    }
    bench_init_configured(b);
    b->out.result = on_result;
    windows = 0;
}

static void connect(struct bench *b, uint16_t source, bool connected)
{
    bench_apply(b, (struct record){ .kind = RECORD_SOURCE, .reading = { .source = source }, .count = connected });
}

static void hear(struct bench *b, const char *device, uint16_t source)
{
    b->t_ms += 1000;
    struct reading reading = bench_reading(device, "temperature", 20, BENCH_EPOCH_MS + b->t_ms);
    reading.source = source;
    assert_int_equal(bench_take(b, &reading).verdict, ADMIT_STORE);
}

/* Saved, and loaded by a configuration with those sources; its engine's digest is that of what it saves. */
static void load_as(struct bench *b, const char *const *names, uint32_t count)
{
    struct byte_writer w = { saved, sizeof saved, 0, false };
    uint32_t reset;
    engine_save(b->engine, &w);
    assert_false(w.failed);
    assert_in_range(w.used, 1, engine_save_bytes_max(&b->config));
    order(b, names, count);
    bench_start(b);
    struct byte_reader r = { saved, w.used, 0, false };
    assert_int_equal(engine_load(b->engine, &r, &reset), 0);
    assert_int_equal(r.used, w.used);
}

/* Of the window that is open; it closes since its series is idle. */
static uint32_t version_at_close(struct bench *b)
{
    windows = 0;
    bench_wait(b, 2 * b->config.idle_ms);
    assert_int_equal(windows, 1);
    return versions[0];
}

static void another_order(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, false);
    hear(&b, "press", 1);
    load_as(&b, (const char *const[]){ "plant", "house" }, 2);
    assert_int_equal(version_at_close(&b), PLANT);
    hear(&b, "press", 0);
    load_as(&b, (const char *const[]){ "yard", "house", "plant" }, 3); /* one more, before both */
    assert_int_equal(version_at_close(&b), PLANT);
    bench_end(&b);
}

/* None has no contract, and is not the first that there is. */
static void one_is_gone(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, false);
    hear(&b, "press", 1);
    load_as(&b, (const char *const[]){ "house", "yard" }, 2);
    load_as(&b, (const char *const[]){ "house", "yard" }, 2); /* none is kept as none */
    assert_int_equal(version_at_close(&b), 0);
    hear(&b, "press", 1);
    assert_int_equal(version_at_close(&b), YARD);
    b.t_ms += 1000; /* a fold may meet a source of an older configuration */
    struct reading older = bench_reading("press", "temperature", 20, BENCH_EPOCH_MS + b.t_ms);
    older.source = UINT16_MAX;
    bench_apply(&b, (struct record){ .kind = RECORD_READING, .reading = older, .event_time_ms = older.device_time_ms });
    assert_int_equal(version_at_close(&b), 0);
    bench_end(&b);
}

/* A lost source keeps its devices' silence from being told: the right one has to be lost, also under another number. */
static void silence(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, true);
    connect(&b, 0, true);
    connect(&b, 1, true);
    for (int i = 0; i < 20; i++) {
        hear(&b, "press", 1);
        hear(&b, "oven", 0);
    }
    connect(&b, 1, false);
    load_as(&b, (const char *const[]){ "plant", "house" }, 2);
    bench_wait(&b, 300000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    for (uint32_t i = 0; i < b.told_count; i++)
        if (b.told[i].what == TOLD_ALERT)
            assert_string_equal(b.told[i].device, "oven");
    b.told_count = 0;
    load_as(&b, (const char *const[]){ "house", "yard" }, 2); /* of plant nothing can be heard */
    connect(&b, 1, true);
    bench_wait(&b, 300000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    for (int i = 0; i < 5; i++)
        hear(&b, "press", 1);
    bench_wait(&b, 3000000);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 1);
    bench_end(&b);
}

/* Every prefix, and every byte changed: refused, or a state; never more. */
static void damage(void **state)
{
    struct bench b;
    uint32_t reset;
    (void)state;
    begin(&b, false);
    hear(&b, "press", 1);
    struct byte_writer w = { saved, sizeof saved, 0, false };
    engine_save(b.engine, &w);
    for (size_t bytes = 0; bytes < w.used; bytes++) {
        struct byte_reader r = { saved, bytes, 0, false };
        bench_start(&b);
        assert_int_not_equal(engine_load(b.engine, &r, &reset), 0);
    }
    for (size_t at = 0; at < w.used; at++) {
        struct byte_reader r = { saved, w.used, 0, false };
        saved[at] ^= 0xff;
        bench_start(&b);
        (void)engine_load(b.engine, &r, &reset);
        saved[at] ^= 0xff;
    }
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_order),
        cmocka_unit_test(one_is_gone),
        cmocka_unit_test(silence),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests_name("engine_sources", tests, NULL, NULL);
}
