/* Goal: an alert whose rule is taken out of the configuration is cleared, once, and only when the journal says
 * that the new configuration is in force; all of them are, and those of a stream that begins anew. Method: an oven is hot,
 * the rule goes, and the state is loaded without it, again and again.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

static uint8_t saved[1 << 22];

static struct text digest_text(const struct bench *b)
{
    return (struct text){ (const char *)b->config.digest, sizeof b->config.digest };
}

static void config_is_in_force(struct bench *b)
{
    bench_apply(b, (struct record){ .kind = RECORD_CONFIG, .digest = digest_text(b) });
    bench_wait(b, 0);
}

static size_t save(const struct bench *b)
{
    struct byte_writer w = { saved, sizeof saved, 0, false };
    engine_save(b->engine, &w);
    assert_false(w.failed);
    assert_in_range(w.used, 1, engine_save_bytes_max(&b->config));
    return w.used;
}

static void load(struct bench *b, size_t bytes)
{
    struct byte_reader r = { saved, bytes, 0, false };
    uint32_t reset;
    bench_start(b);
    assert_int_equal(engine_load(b->engine, &r, &reset), 0);
}

/* Three ovens, hot; the configuration changes, and `b` is as the new one finds it. */
static size_t ovens(struct bench *b)
{
    bench_configure(b, 4, 8);
    bench_rule(b, DETECTOR_LIMIT, "hot");
    b->rules[0].has_high = true;
    b->rules[0].high = 50;
    b->rules[0].severity = SEVERITY_MAJOR;
    bench_init_configured(b);
    config_is_in_force(b);
    bench_next(b, 1000, "a", 99);
    bench_next(b, 1000, "b", 99);
    bench_next(b, 1000, "c", 99);
    assert_int_equal(bench_count(b, ALERT_RAISE), 3);
    b->config.digest[0]++;
    return save(b);
}

static void without_its_rule_an_alert_is_cleared(void **state)
{
    (void)state;
    struct bench b;
    size_t bytes = ovens(&b);
    strcpy(b.rules[0].name, "warm");
    load(&b, bytes);
    const char old[32] = { 0 }; /* of a record of the journal that is being folded */
    bench_apply(&b, (struct record){ .kind = RECORD_CONFIG, .digest = { old, sizeof old } });
    bench_wait(&b, 1000);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 0);
    assert_int_equal(engine_counts(b.engine).alerts_open, 3);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 3);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    for (uint32_t i = 3; i < 6; i++) { /* the last first */
        assert_string_equal(b.told[i].id, b.told[5 - i].id);
        assert_string_equal(b.told[i].rule, "hot");
        assert_int_equal(b.told[i].alert.revision, 2);
    }
    config_is_in_force(&b);
    bench_wait(&b, 60000);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 3);
    bench_end(&b);
}

static void so_is_one_of_a_series_that_it_watches_no_more(void **state)
{
    (void)state;
    struct bench b;
    size_t bytes = ovens(&b);
    strcpy(b.rules[0].device, "b");
    load(&b, bytes);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 2);
    assert_int_equal(engine_counts(b.engine).alerts_open, 1);
    bench_next(&b, 1000, "b", 20);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 3);
    bench_end(&b);
}

/* With a checkpoint between them, and by the journal's own count. */
static void each_is_told_once(void **state)
{
    (void)state;
    struct bench b;
    size_t bytes = ovens(&b);
    strcpy(b.rules[0].name, "warm");
    load(&b, bytes);
    bytes = save(&b); /* it may be that nothing of it was journalled yet */
    load(&b, bytes);
    bench_apply(&b, (struct record){ .kind = RECORD_CONFIG, .digest = digest_text(&b) });
    bytes = save(&b);
    engine_fire(b.engine, &b.out);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    struct hash128 after_one = engine_digest(b.engine);

    load(&b, bytes);
    const struct record tick = { .kind = RECORD_TICK, .t_ms = b.t_ms, .count = 1 };
    engine_apply(b.engine, &tick, NULL);
    struct hash128 rebuilt = engine_digest(b.engine);
    assert_true(rebuilt.high == after_one.high && rebuilt.low == after_one.low);
    bench_wait(&b, 0);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 3);
    bench_end(&b);
}

/* However many there are: a timer each, so that whoever drives it may go on in another batch. */
static void all_are_cleared(void **state)
{
    (void)state;
    struct bench b;
    enum { OVENS = 300 };
    char name[16];
    bench_configure(&b, OVENS, 2 * OVENS);
    b.config.recent = 2;
    bench_rule(&b, DETECTOR_LIMIT, "hot");
    b.rules[0].has_high = true;
    b.rules[0].high = 50;
    bench_init_configured(&b);
    config_is_in_force(&b);
    for (int i = 0; i < OVENS; i++) {
        (void)snprintf(name, sizeof name, "oven%d", i);
        bench_next(&b, 10, name, 99);
    }
    assert_int_equal(bench_count(&b, ALERT_RAISE), OVENS);
    b.config.digest[0]++;
    size_t bytes = save(&b);
    strcpy(b.rules[0].name, "warm");
    load(&b, bytes);
    assert_int_equal(engine_counts(b.engine).alerts_open, OVENS);
    bytes = save(&b); /* and from a checkpoint that holds them as withdrawn */
    load(&b, bytes);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), OVENS);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    bench_next(&b, 1000, "oven0", 99); /* there is a place for it */
    assert_int_equal(bench_count(&b, ALERT_RAISE), OVENS + 1);
    bench_end(&b);
}

enum { DEVICES = 200, HOT = 100 };

static void name_of(char name[READING_NAME_BYTES_MAX + 1], uint32_t oven)
{
    memset(name, 'n', READING_NAME_BYTES_MAX);
    name[READING_NAME_BYTES_MAX] = '\0';
    name[0] = (char)('a' + oven / 26);
    name[1] = (char)('a' + oven % 26);
}

/* So many ovens, with so long names that there is room for no other; ten rules are true of the first hundred. */
static uint32_t full_of_names(struct bench *b, uint32_t limit, int rules)
{
    char name[READING_NAME_BYTES_MAX + 1];
    bench_configure(b, limit, limit);
    b->config.rules_per_series = (uint32_t)rules;
    b->config.recent = 2;
    for (int i = 0; i < rules; i++) {
        (void)snprintf(name, sizeof name, "the rule with the number %d", i);
        bench_rule(b, DETECTOR_LIMIT, name);
        b->rules[i].has_high = true;
        b->rules[i].high = 50 + i;
    }
    bench_init_configured(b);
    config_is_in_force(b);
    uint32_t ovens = 0, raised = 0;
    for (; ovens < DEVICES; ovens++) {
        struct admission a;
        b->t_ms += 10;
        b->told_count = 0;
        name_of(name, ovens);
        a = bench_give(b, name, "temperature", ovens < HOT ? 99 : 9, BENCH_EPOCH_MS + b->t_ms);
        if (a.verdict != ADMIT_STORE)
            break;
        raised += bench_count(b, ALERT_RAISE);
    }
    assert_in_range(ovens, HOT, limit - 1);
    assert_int_equal(raised, rules * HOT);
    b->config.digest[0]++;
    b->told_count = 0;
    return raised;
}

static void rename_all(struct bench *b, const char *as)
{
    for (uint32_t i = 0; i < b->config.rule_count; i++)
        (void)snprintf(b->rules[i].name, sizeof b->rules[i].name, "%s %u", as, i);
}

/* What their rules were called takes no room that devices have, and a state that is saved in the middle goes on there. */
static void many_are_cleared_where_names_are_full(void **state)
{
    (void)state;
    struct bench b;
    enum { RULES = 10 };
    uint32_t standing = full_of_names(&b, DEVICES, RULES);
    size_t bytes = save(&b);
    b.config.rule_count = b.config.rules_per_series = 1;
    rename_all(&b, "another");
    load(&b, bytes);
    assert_int_equal(engine_counts(b.engine).alerts_open, standing);
    assert_int_equal(engine_unkept(b.engine), 0);
    bench_apply(&b, (struct record){ .kind = RECORD_CONFIG, .digest = digest_text(&b) });
    for (uint32_t i = 0; i < standing / 2; i++)
        engine_fire(b.engine, &b.out);
    struct hash128 before = engine_digest(b.engine);
    bytes = save(&b);
    load(&b, bytes);
    struct hash128 after = engine_digest(b.engine);
    assert_true(before.high == after.high && before.low == after.low);
    b.config.digest[0]++; /* and under yet another configuration */
    rename_all(&b, "a third");
    load(&b, bytes);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), standing);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    uint32_t of[RULES] = { 0 };
    for (uint32_t i = 0; i < b.told_count; i++) {
        int rule;
        assert_int_equal(sscanf(b.told[i].rule, "the rule with the number %d", &rule), 1);
        assert_int_equal(b.told[i].alert.revision, 2);
        of[rule]++;
    }
    for (int i = 0; i < RULES; i++)
        assert_int_equal(of[i], standing / RULES);
    bytes = save(&b); /* nothing of the rules is left */
    load(&b, bytes);
    assert_int_equal(engine_unkept(b.engine), 0);
    bench_end(&b);
}

/* Where limits are smaller now, there may be no place for one: that is counted. */
static void what_has_no_place_is_counted(void **state)
{
    (void)state;
    struct bench b;
    uint32_t standing = full_of_names(&b, 2000, 12);
    size_t bytes = save(&b);
    rename_all(&b, "another");
    b.config.devices_max = b.config.series_max = DEVICES + 50;
    load(&b, bytes);
    uint32_t kept = engine_alerts_max(&b.config);
    assert_true(kept < standing);
    assert_int_equal(engine_counts(b.engine).alerts_open, kept);
    assert_int_equal(engine_unkept(b.engine), standing - kept);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), kept);
    bytes = save(&b);
    load(&b, bytes);
    assert_int_equal(engine_unkept(b.engine), 0);
    bench_end(&b);
}

/* --- of a stream's rules --- */

static struct stream_config peaks;
static struct stream_plan plan;

static void compile_peaks(struct bench *b)
{
    static struct stream_fields fields;
    struct stream_fault fault;
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plan, &peaks, &fields, &fault), 0);
    b->config.streams = (struct stream_set){ 1, &plan };
    b->config.rule_count = 0;
    for (uint32_t i = 0; i < peaks.rule_count; i++) {
        bench_rule(b, DETECTOR_LIMIT, peaks.rules[i].name);
        strcpy(b->rules[i].metric, "stream/peaks");
    }
}

/* Of the oven `a` the rules "hot" and "long" are true. */
static size_t peaking(struct bench *b)
{
    bench_configure(b, 8, 16);
    b->config.rules_per_series = 3;
    peaks = (struct stream_config){
        .name = "peaks", .key_count = 1, .key = { { "device" } }, .lateness_ms = 1000, .idle_ms = 900000,
        .window = STREAM_TUMBLING, .size_ms = 600000, .slide_ms = 600000, .keys_max = 4, .key_bytes = 64, .ttl_ms = 900000,
        .panes_max = 8, .aggregate_count = 2, .aggregates = { { "count" }, { "last" } }, .rule_count = 2,
        .rules = { { .name = "hot", .when = "last > 50", .on = STREAM_ON_READING },
                   { .name = "long", .when = "last > 60", .on = STREAM_ON_READING } },
    };
    compile_peaks(b);
    bench_init_configured(b);
    config_is_in_force(b);
    bench_clock(b, CLOCK_SYNCED);
    bench_next(b, 1000, "a", 99);
    assert_int_equal(bench_count(b, ALERT_RAISE), 2);
    b->config.digest[0]++;
    return save(b);
}

/* No key of it remembers that it was not well. */
static void what_a_stream_raised_goes_with_its_definition(void **state)
{
    (void)state;
    struct bench b;
    size_t bytes = peaking(&b);
    peaks.size_ms = peaks.slide_ms = 300000;
    compile_peaks(&b);
    load(&b, bytes);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 0);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 2);
    bench_next(&b, 1000, "a", 99);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 4);
    bench_next(&b, 1000, "a", 9);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 4);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    bench_end(&b);
}

/* Rules may come, go and change places, and the stream keeps its windows. */
static void rules_that_move_can_still_clear(void **state)
{
    (void)state;
    struct bench b;
    size_t bytes = peaking(&b);
    peaks.rules[0] = peaks.rules[1];
    peaks.rule_count = 1;
    compile_peaks(&b);
    load(&b, bytes);
    config_is_in_force(&b);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1); /* of the rule that is gone */
    assert_int_equal(engine_stream_counts(b.engine, 0).taken, 1);
    bytes = save(&b);
    struct stream_rule_config kept = peaks.rules[0]; /* and moves back */
    peaks.rules[0] = (struct stream_rule_config){ .name = "cold", .when = "last < 5", .on = STREAM_ON_READING };
    peaks.rules[1] = kept;
    peaks.rule_count = 2;
    compile_peaks(&b);
    load(&b, bytes);
    config_is_in_force(&b);
    assert_int_equal(engine_counts(b.engine).alerts_open, 1);
    bench_next(&b, 1000, "a", 9);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 2);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_its_rule_an_alert_is_cleared),
        cmocka_unit_test(so_is_one_of_a_series_that_it_watches_no_more),
        cmocka_unit_test(each_is_told_once),
        cmocka_unit_test(all_are_cleared),
        cmocka_unit_test(many_are_cleared_where_names_are_full),
        cmocka_unit_test(what_has_no_place_is_counted),
        cmocka_unit_test(what_a_stream_raised_goes_with_its_definition),
        cmocka_unit_test(rules_that_move_can_still_clear),
    };
    return cmocka_run_group_tests_name("engine_withdraw", tests, NULL, NULL);
}
