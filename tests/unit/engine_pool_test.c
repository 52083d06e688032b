/* Goal: when more alerts than there are places want to be told, those that matter least give way, and
 * nothing is untold for good. Method: a fleet of 600 with two rules, so that 1,200 alerts want the 1,024
 * places of such an engine.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

enum { FLEET = 600, PLACES = 1024, AGAIN_MS = 10000, HOUR_MS = 3600000 };

static void begin(struct bench *b, int64_t hot_cooldown_ms)
{
    bench_configure(b, FLEET, FLEET);
    bench_rule(b, DETECTOR_LIMIT, "hot");
    b->rules[0].has_high = true;
    b->rules[0].high = 50;
    b->rules[0].cooldown_ms = hot_cooldown_ms;
    bench_rule(b, DETECTOR_SILENT, "silent");
    b->rules[1].silent_min_ms = 30000;
    b->rules[1].silent_intervals = 5;
    b->config.rules_per_series = 2;
    b->config.idle_ms = HOUR_MS;
    b->config.window.size_ms = 60000;
    bench_init_configured(b);
}

/* The first `count` devices tell the value, one a millisecond, `times` times a second. */
static void tell(struct bench *b, int count, double value, int times)
{
    for (int i = 0; i < times; i++) {
        for (int d = 0; d < count; d++) {
            char device[16];
            (void)snprintf(device, sizeof device, "dev-%d", d);
            bench_next(b, 1, device, value);
        }
        b->t_ms += 1000 - count;
    }
}

static uint32_t count_of(const struct bench *b, const char *rule, enum alert_transition transition)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->told_count; i++)
        count += b->told[i].what == TOLD_ALERT && b->told[i].transition == transition &&
                 strcmp(b->told[i].rule, rule) == 0;
    return count;
}

static void load_again(struct bench *b)
{
    static uint8_t saved[1 << 21];
    struct byte_writer w = { saved, sizeof saved, 0, false };
    engine_save(b->engine, &w);
    struct hash128 digest = engine_digest(b->engine);
    struct byte_reader r = { saved, w.used, 0, false };
    uint32_t reset;
    bench_start(b);
    assert_int_equal(engine_load(b->engine, &r, &reset), 0);
    struct hash128 loaded = engine_digest(b->engine);
    assert_true(loaded.high == digest.high && loaded.low == digest.low);
}

static void a_silence_without_a_place_is_told_when_there_is_one(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0);
    tell(&b, FLEET, 20, 60);
    tell(&b, FLEET, 99, 1);
    assert_int_equal(count_of(&b, "hot", ALERT_RAISE), FLEET);
    bench_wait(&b, 60000);
    assert_int_equal(count_of(&b, "silent", ALERT_RAISE), PLACES - FLEET);
    uint64_t untold = 2 * FLEET - PLACES;
    assert_int_equal(engine_counts(b.engine).alerts_suppressed, untold);
    bench_wait(&b, HOUR_MS);
    assert_int_equal(engine_counts(b.engine).alerts_suppressed, untold); /* each once */
    load_again(&b);
    tell(&b, 100, 20, 1);
    bench_wait(&b, AGAIN_MS);
    assert_int_equal(count_of(&b, "silent", ALERT_CLEAR), 100);
    assert_int_equal(count_of(&b, "silent", ALERT_RAISE), FLEET);
    bench_end(&b);
}

static void what_only_cools_down_gives_way(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 24 * HOUR_MS);
    tell(&b, FLEET, 20, 60);
    tell(&b, FLEET, 99, 1);
    tell(&b, FLEET, 20, 1);
    assert_int_equal(count_of(&b, "hot", ALERT_CLEAR), FLEET);
    load_again(&b);
    tell(&b, FLEET, 99, 1);
    assert_int_equal(count_of(&b, "hot", ALERT_RAISE), FLEET); /* they cool down, while there is room */
    bench_wait(&b, 60000);
    assert_int_equal(count_of(&b, "silent", ALERT_RAISE), FLEET);
    b.told_count = 0;
    tell(&b, FLEET, 99, 1);
    assert_int_equal(count_of(&b, "silent", ALERT_CLEAR), FLEET);
    assert_int_equal(count_of(&b, "hot", ALERT_RAISE), FLEET);
    bench_end(&b);
}

static void a_shelved_alert_keeps_its_place(void **state)
{
    (void)state;
    struct bench b;
    char command[80];
    begin(&b, 0);
    tell(&b, FLEET, 20, 60);
    tell(&b, 1, 99, 1);
    assert_int_equal(b.told[b.told_count - 1].transition, ALERT_RAISE);
    (void)snprintf(command, sizeof command, "shelve %s %lld", b.told[b.told_count - 1].id,
                   (long long)(BENCH_EPOCH_MS + 24 * HOUR_MS));
    bench_apply(&b, (struct record){ .kind = RECORD_COMMAND, .content = text_of(command) });
    tell(&b, 1, 20, 1);
    tell(&b, FLEET, 99, 2);
    bench_wait(&b, HOUR_MS);
    assert_int_equal(engine_counts(b.engine).alerts_open, PLACES);
    struct alert_view view;
    uint64_t cursor = 0;
    do
        assert_true(engine_alert(b.engine, &cursor, &view));
    while (strcmp(view.rule->name, "hot") != 0);
    assert_int_equal(view.alert->shelved_until_ms, BENCH_EPOCH_MS + 24 * HOUR_MS);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silence_without_a_place_is_told_when_there_is_one),
        cmocka_unit_test(what_only_cools_down_gives_way),
        cmocka_unit_test(a_shelved_alert_keeps_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
