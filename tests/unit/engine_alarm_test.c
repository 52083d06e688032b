/* Goal: what people are called for is counted, by series too, and learning apart. Method: an engine
 * on a bench; what it says is compared with what was told.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"
#include "tests/lib/noise.h"

static void limit_at(struct bench *b, const char *name, double high)
{
    bench_rule(b, DETECTOR_LIMIT, name);
    struct detector_config *rule = &b->rules[b->config.rule_count - 1];
    rule->has_high = true;
    rule->high = high;
}

static void spike(struct bench *b, const char *device)
{
    bench_next(b, 1000, device, 99);
    bench_next(b, 1000, device, 20);
}

static void the_report_counts_what_was_told(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k" };
    struct bench b;
    bench_configure(&b, 16, 16);
    b.config.alarms.stale_ms = 86400000;
    limit_at(&b, "hot", 80);
    bench_init_configured(&b);
    spike(&b, "a");
    bench_wait(&b, 2 * (int64_t)86400000); /* which is no longer looked at */
    for (int i = 0; i < 11; i++)
        for (int n = 0; n < (i == 4 ? 9 : 1 + i % 3); n++)
            spike(&b, names[i]);
    bench_next(&b, 1000, "b", 99);
    struct alarm_report r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.from_ms, 86400000);
    assert_int_equal(r.sum.raised, bench_count(&b, ALERT_RAISE) - 1);
    assert_int_equal(r.sum.of_severity[SEVERITY_WARNING], r.sum.raised);
    assert_int_equal(r.sum.learning, 0);
    assert_true(r.open == 1 && r.stale == 0 && r.busiest == r.sum.raised);
    assert_int_equal(r.top_count, ENGINE_ALARM_TOP);
    assert_true(text_equal(r.top[0].device, text_of("e")) && r.top[0].raised == 9);
    assert_true(text_equal(r.top[1].device, text_of("b")) && r.top[1].raised == 3);
    assert_true(text_equal(r.top[2].device, text_of("c")) && r.top[2].raised == 3);
    assert_true(text_equal(r.top[9].device, text_of("g")) && r.top[9].raised == 1);
    assert_true(text_equal(r.top[1].metric, text_of("temperature")));
    assert_int_equal(r.of_top, r.sum.raised - 1);
    bench_wait(&b, 86400000);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.stale, 0);
    bench_wait(&b, 1);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_int_equal(r.stale, 1);
    bench_end(&b);
}

/* An alert of a series that is new calls nobody, until that is over and it stands still. */
static void learning_is_counted_apart(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.learning_readings = 60;
    bench_rule(&b, DETECTOR_SHIFT, "moved");
    bench_init_configured(&b);
    for (int i = 0; i < 60; i++)
        bench_next(&b, 1000, "oven", (i < 40 ? 20 : 60) + rnd_normal(&seed) / 10);
    struct alarm_report r = engine_alarm_report(b.engine, b.t_ms);
    assert_true(r.sum.raised == 0 && r.sum.learning == 1 && r.top_count == 0 && r.open == 1);
    for (int i = 0; i < 20; i++)
        bench_next(&b, 1000, "oven", 60 + rnd_normal(&seed) / 10);
    r = engine_alarm_report(b.engine, b.t_ms);
    assert_true(r.sum.raised == 1 && r.sum.learning == 1 && r.top_count == 1);
    assert_int_equal(engine_counts(b.engine).alerts_learning, 1);
    assert_int_equal(engine_counts(b.engine).alerts_raised, 1);
    bench_end(&b);
}

static const struct told *last_of(const struct bench *b, const char *device)
{
    for (uint32_t i = b->told_count; i > 0; i--)
        if (b->told[i - 1].what == TOLD_ALERT && strcmp(b->told[i - 1].device, device) == 0)
            return &b->told[i - 1];
    return NULL;
}

/* Two rules on each device: the second alert of one within a minute belongs to the first, and calls
 * somebody only where it is worse. */
static void a_device_has_one_incident_a_minute(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.alarms.group_ms = 60000;
    limit_at(&b, "hot", 80);
    limit_at(&b, "hotter", 90);
    limit_at(&b, "hottest", 95);
    b.rules[2].severity = SEVERITY_MAJOR;
    bench_init_configured(&b);
    bench_next(&b, 1000, "oven", 85);
    struct told first = *last_of(&b, "oven");
    assert_true(first.notify && first.alert.member == 1 && first.incident[0] != 0);
    bench_next(&b, 1000, "fan", 85);
    assert_true(last_of(&b, "fan")->notify && last_of(&b, "fan")->alert.member == 1);
    assert_string_not_equal(last_of(&b, "fan")->incident, first.incident);
    bench_next(&b, 1000, "oven", 92);
    struct told second = *last_of(&b, "oven");
    assert_string_equal(second.rule, "hotter");
    assert_string_equal(second.incident, first.incident);
    assert_true(!second.notify && second.alert.member == 2);
    bench_next(&b, 1000, "oven", 99);
    struct told third = *last_of(&b, "oven");
    assert_string_equal(third.incident, first.incident);
    assert_true(third.notify && third.alert.member == 3);
    bench_next(&b, 1000, "oven", 20);
    assert_string_equal(last_of(&b, "oven")->incident, first.incident); /* also when it clears */
    assert_false(last_of(&b, "oven")->notify);
    bench_next(&b, 60000, "oven", 85);
    assert_string_not_equal(last_of(&b, "oven")->incident, first.incident);
    assert_true(last_of(&b, "oven")->notify && last_of(&b, "oven")->alert.member == 1);
    bench_end(&b);
}

/* The eleventh incident in ten minutes begins it: its alert comes first, the others follow, all of
 * them, quietly; critical ones call all the same. */
static void a_storm_is_one_alert(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k",
                                         "l", "m" };
    struct bench b;
    bench_configure(&b, 16, 16);
    b.config.alarms.group_ms = 60000;
    b.config.alarms.flood = (struct flood_config){ 10, 600000 };
    limit_at(&b, "hot", 80);
    limit_at(&b, "fire", 200);
    b.rules[1].severity = SEVERITY_CRITICAL;
    bench_init_configured(&b);
    for (int i = 0; i < 10; i++)
        bench_next(&b, 1000, names[i], 99);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 10);
    assert_true(last_of(&b, "j")->notify && !last_of(&b, "j")->alert.in_storm);
    bench_next(&b, 1000, "k", 99);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 12);
    const struct told *storm = last_of(&b, "$gateway");
    assert_string_equal(storm->rule, "alarm_storm");
    assert_true(storm == &b.told[10] && storm->notify && storm->alert.peak.observed == 11);
    assert_true(last_of(&b, "k")->alert.in_storm && !last_of(&b, "k")->notify);
    bench_next(&b, 1000, "l", 99);
    assert_true(last_of(&b, "l")->alert.in_storm && !last_of(&b, "l")->notify);
    bench_next(&b, 1000, "m", 999);
    assert_string_equal(last_of(&b, "m")->rule, "fire");
    assert_true(last_of(&b, "m")->notify);
    assert_true(engine_alarm_report(b.engine, b.t_ms).storm);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 15);
    int64_t began_ms = b.t_ms - 2000, fifth_ms = b.t_ms - 4000;
    bench_wait(&b, 595999); /* in the last ten minutes there were five still, then four */
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 0);
    bench_wait(&b, 2);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    storm = last_of(&b, "$gateway");
    assert_true(storm->transition == ALERT_CLEAR && storm->alert.count == 3);
    struct alarm_report r = engine_alarm_report(b.engine, b.t_ms);
    assert_false(r.storm);
    assert_int_equal(r.sum.flood_ms, fifth_ms + 600001 - began_ms);
    bench_end(&b);
}

static void a_series_has_a_budget_a_day(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    b.config.alarms.budget = 3;
    limit_at(&b, "hot", 80);
    bench_init_configured(&b);
    for (int i = 0; i < 5; i++) {
        bench_next(&b, 1000, "oven", 99);
        assert_int_equal(last_of(&b, "oven")->notify, i < 3);
        assert_int_equal(last_of(&b, "oven")->alert.over_budget, i >= 3);
        bench_next(&b, 1000, "oven", 20);
        bench_next(&b, 1000, "fan", 20);
    }
    bench_next(&b, 1000, "fan", 99);
    assert_true(last_of(&b, "fan")->notify);
    bench_next(&b, 86400000, "oven", 99);
    assert_true(last_of(&b, "oven")->notify);
    bench_end(&b);
}

/* A minute of flapping is flagged in the third change, and from then on calls nobody. */
static void chatter_calls_nobody(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    limit_at(&b, "hot", 80);
    b.rules[0].chatter = true;
    bench_init_configured(&b);
    spike(&b, "oven");
    assert_true(!last_of(&b, "oven")->alert.chattering);
    bench_next(&b, 1000, "oven", 99);
    assert_true(last_of(&b, "oven")->alert.chattering && !last_of(&b, "oven")->notify);
    assert_int_equal(engine_alarm_report(b.engine, b.t_ms).chattering, 1);
    bench_next(&b, 1000, "oven", 20);
    bench_next(&b, 1000, "oven", 20);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 1);
    bench_wait(&b, 19000);
    assert_int_equal(bench_count(&b, ALERT_CLEAR), 2);
    bench_wait(&b, 3600000);
    bench_next(&b, 1000, "oven", 20); /* it gives its place back */
    spike(&b, "oven");
    assert_true(!last_of(&b, "oven")->alert.chattering);
    bench_end(&b);
}

/* It is told by the timer, without a reading; and a shelved one calls nobody. */
static void what_lasts_is_told_again(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    limit_at(&b, "hot", 80);
    b.rules[0].escalate_after_ms = 3600000;
    bench_init_configured(&b);
    bench_next(&b, 1000, "oven", 99);
    bench_next(&b, 1000, "fan", 99);
    char command[80];
    snprintf(command, sizeof command, "shelve %s %lld", last_of(&b, "fan")->id,
             (long long)(BENCH_EPOCH_MS + 2 * (int64_t)86400000));
    bench_apply(&b, (struct record){ .kind = RECORD_COMMAND, .content = text_of(command) });
    bench_wait(&b, 3600000);
    const struct told *told = last_of(&b, "oven");
    assert_true(told->transition == ALERT_UPDATE && told->notify);
    assert_true(told->severity == SEVERITY_MINOR && told->alert.revision == 2);
    told = last_of(&b, "fan");
    assert_true(told->severity == SEVERITY_MINOR && !told->notify && told->alert.revision == 3);
    bench_wait(&b, 3 * 3600000);
    assert_int_equal(last_of(&b, "oven")->severity, SEVERITY_MAJOR);
    assert_int_equal(bench_count(&b, ALERT_UPDATE), 5);
    bench_wait(&b, 30 * (int64_t)86400000);
    assert_int_equal(bench_count(&b, ALERT_UPDATE), 5);
    bench_end(&b);
}

/* --- maintenance --- */

static void command(struct bench *b, const char *text)
{
    bench_apply(b, (struct record){ .kind = RECORD_COMMAND, .content = text_of(text) });
}

static void maintain(struct bench *b, const char *device, int64_t for_ms)
{
    char text[160];
    snprintf(text, sizeof text, "maintain %lld %zu %s new seals", (long long)(BENCH_EPOCH_MS + b->t_ms + for_ms),
             strlen(device), device);
    command(b, text);
}

/* As a restart does. */
static void through_store(struct bench *b)
{
    size_t bytes = engine_save_bytes_max(&b->config);
    uint8_t *saved = malloc(bytes);
    struct byte_writer w = { saved, bytes, 0, false };
    uint32_t reset;
    engine_save(b->engine, &w);
    struct hash128 before = engine_digest(b->engine);
    bench_start(b);
    struct byte_reader r = { saved, w.used, 0, false };
    assert_int_equal(engine_load(b->engine, &r, &reset), 0);
    struct hash128 after = engine_digest(b->engine);
    assert_true(!w.failed && before.low == after.low && before.high == after.high);
    free(saved);
}

static uint32_t alerts_told(const struct bench *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->told_count; i++)
        count += b->told[i].what == TOLD_ALERT;
    return count;
}

static void begin_maintenance(struct bench *b)
{
    bench_configure(b, 8, 8);
    b->config.alarms.group_ms = 60000;
    b->config.alarms.flood = (struct flood_config){ 1, 600000 };
    limit_at(b, "hot", 80);
    bench_init_configured(b);
}

/* What stands when the work is over calls then; what came and went in between never does. */
static void maintenance_keeps_calls_back(void **state)
{
    (void)state;
    static const char *const ENDS[] = { "expires", "is ended", "the clock goes on" };
    for (int end = 0; end < 3; end++) {
        struct bench b;
        print_message("maintenance %s\n", ENDS[end]);
        begin_maintenance(&b);
        maintain(&b, "pump-*", 60000);
        bench_next(&b, 1000, "pump-1", 99);
        const struct told *told = last_of(&b, "pump-1");
        assert_true(!told->notify && told->alert.owed && told->maintained && told->severity == SEVERITY_WARNING);
        bench_next(&b, 1000, "pump-2", 99);
        bench_next(&b, 1000, "pump-2", 20);
        assert_true(last_of(&b, "pump-2")->transition == ALERT_CLEAR && !last_of(&b, "pump-2")->notify);
        assert_true(engine_alarm_report(b.engine, b.t_ms).sum.raised == 0);
        bench_next(&b, 1000, "fan", 99); /* which nobody works on: the only incident, so no storm */
        assert_true(last_of(&b, "fan")->notify && !last_of(&b, "fan")->maintained);
        through_store(&b);
        uint32_t before = alerts_told(&b);
        if (end == 0) {
            bench_wait(&b, 55999);
            assert_int_equal(alerts_told(&b), before);
            bench_wait(&b, 1);
        } else if (end == 1) {
            command(&b, "resume pump-*");
            bench_wait(&b, 1);
        } else {
            bench_apply(&b, (struct record){ .kind = RECORD_CLOCK, .clock = { BENCH_EPOCH_MS + 3600000, CLOCK_SYNCED, 1 } });
            bench_wait(&b, 1);
        }
        told = last_of(&b, "pump-1");
        assert_int_equal(alerts_told(&b), before + 2); /* and the storm's own: two incidents */
        assert_true(told->transition == ALERT_UPDATE && !told->maintained && !told->alert.owed);
        assert_true(told->alert.revision == 2 && told->alert.alarmed);
        const struct engine_counts counts = engine_counts(b.engine);
        assert_true(counts.alerts_maintained == 2 && counts.alerts_raised == 4);
        const struct maintenance *list;
        assert_int_equal(engine_maintenance(b.engine, &list), 0);
        bench_end(&b);
    }
}

/* What was answered as accepted is done: any time that Weir can write, and none beyond. */
static void maintenance_may_last_long(void **state)
{
    (void)state;
    static const int64_t LAST = INT64_C(1) << 53;
    const struct maintenance *list;
    struct bench b;
    begin_maintenance(&b);
    maintain(&b, "pump-1", LAST - BENCH_EPOCH_MS - b.t_ms + 10);
    assert_int_equal(engine_maintenance(b.engine, &list), 0);
    maintain(&b, "pump-1", LAST - BENCH_EPOCH_MS - b.t_ms - 10);
    assert_int_equal(engine_maintenance(b.engine, &list), 1);
    assert_true(list[0].until_ms == LAST - 10);
    through_store(&b);
    bench_end(&b);
}

/* One call for each that stands; those that people have seen, or that another maintenance covers, wait. */
static void each_kept_call_is_made_once(void **state)
{
    (void)state;
    struct bench b;
    begin_maintenance(&b);
    b.config.alarms.flood.most = 0;
    b.config.alarms.group_ms = 0;
    maintain(&b, "*", 60000);
    maintain(&b, "pump-3", 90000);
    assert_int_equal(engine_devices_maintained(b.engine), 0);
    bench_next(&b, 0, "pump-1", 99);
    bench_next(&b, 0, "pump-2", 99);
    bench_next(&b, 0, "pump-3", 99);
    assert_int_equal(engine_devices_maintained(b.engine), 3);
    char text[64];
    snprintf(text, sizeof text, "ack %s", last_of(&b, "pump-2")->id);
    command(&b, text);
    uint32_t before = alerts_told(&b);
    bench_wait(&b, 60000);
    through_store(&b);
    assert_int_equal(alerts_told(&b), before + 1);
    assert_true(last_of(&b, "pump-1")->notify && !last_of(&b, "pump-2")->notify);
    bench_wait(&b, 30000);
    assert_int_equal(alerts_told(&b), before + 2);
    assert_true(last_of(&b, "pump-3")->notify);
    bench_wait(&b, 3600000);
    assert_int_equal(alerts_told(&b), before + 2);
    bench_end(&b);
}

/* What stood before calls again only where it has become worse meanwhile. */
static void what_became_worse_meanwhile_calls_afterwards(void **state)
{
    (void)state;
    for (int worse = 0; worse < 2; worse++) {
        struct bench b;
        begin_maintenance(&b);
        b.rules[0].escalate_after_ms = worse ? 30000 : 0;
        b.config.alarms.flood.most = 0;
        bench_next(&b, 1000, "pump-1", 99);
        assert_true(last_of(&b, "pump-1")->notify);
        maintain(&b, "pump-1", 60000);
        bench_wait(&b, 59999);
        assert_false(worse && last_of(&b, "pump-1")->notify);
        uint32_t before = alerts_told(&b);
        bench_wait(&b, 1);
        assert_int_equal(alerts_told(&b), before + (uint32_t)worse);
        assert_true(last_of(&b, "pump-1")->notify);
        assert_int_equal(engine_alarm_report(b.engine, b.t_ms).sum.raised, 1);
        bench_end(&b);
    }
}

static bool is_remembered(const struct bench *b)
{
    struct alert_view view;
    return engine_alert_find(b->engine, b->told[0].id, &view);
}

/* Once its keep_ms has passed, and a window ends. Until then it costs a reading nothing, which nobody sees here. */
static void what_is_over_is_remembered_for_a_day(void **state)
{
    (void)state;
    struct bench b;
    bench_configure(&b, 4, 4);
    limit_at(&b, "hot", 80);
    b.rules[0].keep_ms = 86400000;
    bench_init_configured(&b);
    spike(&b, "a");
    assert_int_equal(b.told[0].what, TOLD_ALERT);
    for (int minute = 0; minute < 24 * 60 - 2; minute++)
        bench_next(&b, 60000, "a", 20);
    assert_true(is_remembered(&b));
    for (int minute = 0; minute < 5; minute++)
        bench_next(&b, 60000, "a", 20);
    assert_false(is_remembered(&b));
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_counts_what_was_told),
        cmocka_unit_test(what_is_over_is_remembered_for_a_day),
        cmocka_unit_test(learning_is_counted_apart),
        cmocka_unit_test(a_device_has_one_incident_a_minute),
        cmocka_unit_test(a_storm_is_one_alert),
        cmocka_unit_test(a_series_has_a_budget_a_day),
        cmocka_unit_test(chatter_calls_nobody),
        cmocka_unit_test(what_lasts_is_told_again),
        cmocka_unit_test(maintenance_keeps_calls_back),
        cmocka_unit_test(maintenance_may_last_long),
        cmocka_unit_test(each_kept_call_is_made_once),
        cmocka_unit_test(what_became_worse_meanwhile_calls_afterwards),
    };
    return cmocka_run_group_tests_name("engine_alarm", tests, NULL, NULL);
}
