/* Goal: windows are told early while they are open, and which result is what; values derived from others, also from those
 *   of earlier windows, are null where that is stated; rules over closing windows, early ones and readings raise and clear
 *   the usual alerts, of a series of their own, also where room is short; and all of it is part of the fold.
 * Method: stories of a few readings through an engine; random ones through a checkpoint (a rebuild: engine_fold_test).
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/codec/json_writer.c pipeline/codec/result_body.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/timestamp.c pipeline/window.c */
#include "tests/lib/engine_bench.h"

#include <math.h>

#include "pipeline/codec/result_body.h"
#include "pipeline/err.h"

enum { RESULTS = 512, NONE = -1000000 };

static struct kept {
    char key[16];
    int64_t start_ms, end_ms; /* since the bench's epoch */
    uint32_t revision;
    enum stream_result_kind kind;
    struct datum values[STREAM_VALUES_MAX];
} kept[RESULTS];
static size_t kept_count;

/* As it is kept: within what was set aside for it. */
static void render(const struct stream_result *r)
{
    size_t bytes = result_body_bytes_max(r->plan);
    char *room = malloc(bytes);
    assert_non_null(room);
    assert_true(result_body(r, room, bytes).bytes > 0);
    free(room);
}

static void on_stream(void *ctx, const struct stream_result *r)
{
    (void)ctx;
    render(r);
    assert_true(kept_count < RESULTS);
    struct kept *k = &kept[kept_count++];
    *k = (struct kept){ .start_ms = r->start_ms - BENCH_EPOCH_MS, .end_ms = r->end_ms - BENCH_EPOCH_MS,
                        .revision = r->revision, .kind = r->kind };
    snprintf(k->key, sizeof k->key, "%.*s", (int)r->key.bytes - 3, r->key.at + 3);
    for (uint32_t i = 0; i < r->count; i++)
        k->values[i] = r->values[i].value;
}

/* kind, bounds, revision, and the first two values, NONE for null */
static void expect(size_t n, enum stream_result_kind kind, int64_t start_ms, int64_t end_ms, uint32_t revision, double first,
                   double second)
{
    assert_true(n < kept_count);
    const struct kept *k = &kept[n];
    const double want[2] = { first, second };
    if (k->kind != kind || k->start_ms != start_ms || k->end_ms != end_ms || k->revision != revision)
        fail_msg("%zu is %s %" PRId64 "-%" PRId64 " #%u, not %s %" PRId64 "-%" PRId64 " #%u", n, stream_kind_name(k->kind),
                 k->start_ms, k->end_ms, k->revision, stream_kind_name(kind), start_ms, end_ms, revision);
    for (int i = 0; i < 2; i++) {
        bool null = k->values[i].kind == DATUM_NULL;
        if (null != (want[i] == NONE) || (!null && fabs(k->values[i].number - want[i]) > 1e-9))
            fail_msg("%zu: value %d is %s %g, not %g", n, i, null ? "null" : "", k->values[i].number, want[i]);
    }
}

/* --- the stage --- */

static struct stream_config usual_config(void)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .lateness_ms = 20000,
                                   .idle_ms = 300000, .window = STREAM_TUMBLING, .size_ms = 10000, .keys_max = 8,
                                   .key_bytes = 64, .ttl_ms = 600000, .sessions_max = 4 };
}

static struct stream_fields fields;
static struct stream_plan plan;

static void begin(struct bench *b, struct stream_config *c, uint32_t devices_max)
{
    struct stream_fault fault = { 0 };
    bench_configure(b, devices_max, 4 * devices_max);
    stream_fields_begin(&fields);
    if (stream_compile(&plan, c, &fields, &fault) != 0)
        fail_msg("%s", fault.why);
    for (uint32_t i = 0; i < c->rule_count; i++) {
        bench_rule(b, DETECTOR_LIMIT, c->rules[i].name);
        strcpy(b->rules[i].metric, "stream/s");
    }
    b->config.streams = (struct stream_set){ 1, &plan };
    bench_init_configured(b);
    b->out.stream = on_stream;
    kept_count = 0;
}

static void rule(struct stream_config *c, const char *name, enum stream_on on, const char *when, const char *observe)
{
    struct stream_rule_config *to = &c->rules[c->rule_count++];
    strcpy(to->name, name);
    strcpy(to->when, when);
    strcpy(to->observe, observe);
    to->on = on;
}

static void derive(struct stream_config *c, const char *name, const char *of)
{
    strcpy(c->derived[c->derived_count].name, name);
    strcpy(c->derived[c->derived_count++].of, of);
}

/* At t, made then. */
static void at(struct bench *b, int64_t t_ms, const char *device, double value)
{
    bench_wait(b, t_ms - b->t_ms);
    assert_int_equal(bench_give(b, device, "level", value, BENCH_EPOCH_MS + t_ms).verdict, ADMIT_STORE);
}

static void late(struct bench *b, int64_t event_ms, const char *device, double value)
{
    assert_int_equal(bench_give(b, device, "level", value, BENCH_EPOCH_MS + event_ms).verdict, ADMIT_STORE);
}

static const struct told *alert(const struct bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < b->told_count; i++)
        if (b->told[i].what == TOLD_ALERT && n-- == 0)
            return &b->told[i];
    fail_msg("so many alerts were not told");
    return NULL;
}

static void expect_alert(const struct bench *b, uint32_t n, const char *device, enum alert_transition what, double observed)
{
    const struct told *told = alert(b, n);
    assert_string_equal(told->device, device);
    assert_int_equal(told->transition, what);
    if (what == ALERT_RAISE)
        assert_true(told->alert.peak.observed == observed);
}

/* --- early --- */

static void open_windows_are_told_early(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.early_ms = 4000;
    c.aggregate_count = 2;
    strcpy(c.aggregates[0].text, "count");
    strcpy(c.aggregates[1].text, "sum");
    begin(&b, &c, 4);
    at(&b, 1000, "a", 5);
    bench_wait(&b, 3999);
    assert_int_equal(kept_count, 0);
    bench_wait(&b, 1);                /* 5000 */
    expect(0, STREAM_EARLY, 0, 10000, 0, 1, 5);
    bench_wait(&b, 10000);            /* nothing came: nothing is told */
    assert_int_equal(kept_count, 1);
    at(&b, 16000, "a", 1);            /* 16000: closes the first */
    expect(1, STREAM_CLOSE, 0, 10000, 1, 1, 5);
    late(&b, 3000, "a", 2);
    expect(2, STREAM_REVISION, 0, 10000, 2, 2, 7);
    bench_wait(&b, 4000);             /* 20000: of the open one alone */
    expect(3, STREAM_EARLY, 10000, 20000, 0, 1, 1);
    assert_int_equal(kept_count, 4);
    struct stream_counts counts = engine_stream_counts(b.engine, 0);
    assert_true(counts.early == 2 && counts.results == 1 && counts.revisions == 1);
    bench_end(&b);
}

static void of_hopping_windows_those_that_changed(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.window = STREAM_HOPPING;
    c.slide_ms = 5000;
    c.early_ms = 1000;
    begin(&b, &c, 4);
    at(&b, 7000, "a", 1);
    bench_wait(&b, 1000);
    expect(0, STREAM_EARLY, 0, 10000, 0, 1, 1);
    expect(1, STREAM_EARLY, 5000, 15000, 0, 1, 1);
    at(&b, 9000, "a", 1);
    at(&b, 11000, "a", 1);            /* 10000 closed 0; early at 10000 told both */
    bench_wait(&b, 1000);
    size_t n = kept_count;
    expect(n - 2, STREAM_EARLY, 5000, 15000, 2, 3, 3);
    expect(n - 1, STREAM_EARLY, 10000, 20000, 0, 1, 1);
    bench_end(&b);
}

static void early_sessions_are_taken_back(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.window = STREAM_SESSION;
    c.gap_ms = 5000;
    c.early_ms = 1000;
    begin(&b, &c, 4);
    at(&b, 1000, "a", 1);
    bench_wait(&b, 1000);
    expect(0, STREAM_EARLY, 1000, 6000, 0, 1, 1);
    at(&b, 3000, "a", 2);
    expect(1, STREAM_RETRACTION, 1000, 6000, 1, NONE, NONE);
    bench_wait(&b, 1000);
    expect(2, STREAM_EARLY, 1000, 8000, 0, 2, 3);
    at(&b, 20000, "a", 1);
    expect(3, STREAM_CLOSE, 1000, 8000, 1, 2, 3);
    assert_int_equal(kept_count, 4);
    bench_end(&b);
}

/* --- derive --- */

static void values_are_derived(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.aggregate_count = 1;
    strcpy(c.aggregates[0].text, "sum as demand");
    derive(&c, "growth", "demand / previous(demand)");
    derive(&c, "twice", "growth * 2");
    derive(&c, "usual", "baseline(demand)");
    derive(&c, "who", "device");
    derive(&c, "span", "end - start");
    begin(&b, &c, 4);
    assert_int_equal(plan.value_count, 6);
    assert_int_equal(plan.memory_count, 2);
    for (int i = 0; i < 8; i++)
        at(&b, 10000 * i, "a", 4 << i);
    assert_int_equal(kept_count, 7);
    for (size_t i = 0; i < 7; i++) {
        expect(i, STREAM_CLOSE, 10000 * (int64_t)i, 10000 * (int64_t)i + 10000, 0, 4 << i, i == 0 ? NONE : 2);
        assert_true(i == 0 || kept[i].values[2].number == 4);
        assert_int_equal(kept[i].values[3].kind, i < BASELINE_LEAST ? DATUM_NULL : DATUM_NUMBER);
        assert_true(text_equal(kept[i].values[4].text, text_of("a")) || kept[i].values[4].kind == DATUM_TEXT);
        assert_true(kept[i].values[5].number == 10);
    }
    assert_true(kept[5].values[3].number == (4 + 8 + 16 + 32 + 64) / 5.0); /* of those before it */
    late(&b, 65000, "a", 100);        /* in a revision nothing is before it */
    expect(7, STREAM_REVISION, 60000, 70000, 1, 356, NONE);
    at(&b, 80000, "a", 1);            /* and it is not what was before the next */
    expect(8, STREAM_CLOSE, 70000, 80000, 0, 512, 2);
    bench_end(&b);
}

static void derived_texts_are_set_aside_for(void **state)
{
    char key[101] = "", name[16];
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    strcpy(c.key[0].name, "value");
    c.key_bytes = 120;
    for (int i = 0; i < STREAM_DERIVED_MAX; i++) {
        snprintf(name, sizeof name, "who%d", i);
        derive(&c, name, "value");
    }
    begin(&b, &c, 4);
    memset(key, 1, sizeof key - 1); /* each is six bytes of JSON */
    struct reading reading = bench_reading("a", "level", 0, BENCH_EPOCH_MS);
    reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(key) };
    assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
    bench_wait(&b, 300000);
    assert_int_equal(kept_count, 1);
    bench_end(&b);
}

/* --- rules --- */

static void closing_windows_raise_and_clear(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    rule(&c, "crowd", STREAM_ON_CLOSE, "count >= 2 and sum > 10", "sum");
    begin(&b, &c, 4);
    at(&b, 1000, "a", 8);
    at(&b, 2000, "a", 7);
    assert_int_equal(bench_count(&b, ALERT_RAISE), 0);
    at(&b, 11000, "a", 50);
    expect_alert(&b, 0, "a", ALERT_RAISE, 15);
    assert_true(alert(&b, 0)->event_time_ms == BENCH_EPOCH_MS + 10000);
    assert_string_equal(alert(&b, 0)->rule, "crowd");
    at(&b, 21000, "a", 1);            /* 50, and alone */
    expect_alert(&b, 1, "a", ALERT_CLEAR, 0);
    at(&b, 22000, "b", 8);
    at(&b, 23000, "b", 8);
    bench_wait(&b, 300000);           /* idle */
    expect_alert(&b, 2, "b", ALERT_RAISE, 16);
    bench_wait(&b, 600000);           /* forgotten, and well again */
    expect_alert(&b, 3, "b", ALERT_CLEAR, 0);
    assert_int_equal(engine_counts(b.engine).alerts_open, 0);
    /* a series of its own, that no other rule watches and no reading has */
    struct alert_view view;
    uint64_t cursor = 0;
    assert_false(engine_alert(b.engine, &cursor, &view));
    assert_int_equal(engine_counts(b.engine).series, 4);
    assert_int_equal(engine_counts(b.engine).devices, 2);
    bench_end(&b);
}

static void texts_are_judged(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    strcpy(c.key[0].name, "metric");
    c.aggregate_count = 3;
    strcpy(c.aggregates[0].text, "count");
    strcpy(c.aggregates[1].text, "top(device, 2) as busy");
    strcpy(c.aggregates[2].text, "last(device) as who");
    rule(&c, "busy", STREAM_ON_CLOSE, "busy == 'b:2 a:1'", "count");
    rule(&c, "who", STREAM_ON_READING, "who == 'b'", "");
    begin(&b, &c, 4);
    at(&b, 1000, "b", 1);
    expect_alert(&b, 0, "level", ALERT_RAISE, 1);
    assert_string_equal(alert(&b, 0)->rule, "who");
    at(&b, 2000, "b", 1);
    at(&b, 3000, "a", 1);
    expect_alert(&b, 1, "level", ALERT_CLEAR, 0);
    at(&b, 11000, "a", 1);
    expect_alert(&b, 2, "level", ALERT_RAISE, 3);
    assert_string_equal(alert(&b, 2)->rule, "busy");
    bench_end(&b);
}

static void readings_are_judged_one_by_one(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.window = STREAM_SESSION;
    c.gap_ms = 60000;
    c.aggregate_count = 3;
    strcpy(c.aggregates[0].text, "count");
    strcpy(c.aggregates[1].text, "sum");
    strcpy(c.aggregates[2].text, "last");
    rule(&c, "fast", STREAM_ON_READING, "count >= 3 and sum > 100", "sum");
    rule(&c, "jump", STREAM_ON_READING, "last > 10 * previous(last)", "last");
    begin(&b, &c, 4);
    at(&b, 1000, "card", 50);
    at(&b, 2000, "card", 30);
    assert_int_equal(b.told_count, 0);
    at(&b, 3000, "card", 40);
    expect_alert(&b, 0, "card", ALERT_RAISE, 120);
    assert_string_equal(alert(&b, 0)->rule, "fast");
    at(&b, 4000, "card", 500);
    expect_alert(&b, 1, "card", ALERT_RAISE, 500);
    assert_string_equal(alert(&b, 1)->rule, "jump");
    at(&b, 5000, "card", 500);        /* not ten times the one before */
    expect_alert(&b, 2, "card", ALERT_CLEAR, 0);
    assert_string_equal(alert(&b, 2)->rule, "jump");
    at(&b, 100000, "card", 1);        /* another session */
    expect_alert(&b, 3, "card", ALERT_CLEAR, 0);
    assert_string_equal(alert(&b, 3)->rule, "fast");
    at(&b, 101000, "other", 1);       /* null: there was none before */
    assert_int_equal(bench_count(&b, ALERT_RAISE), 2);
    bench_end(&b);
}

/* Of hopping windows that close at once, one that the rule is true of counts. */
static void one_of_many_counts(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.window = STREAM_HOPPING;
    c.slide_ms = 2000;
    rule(&c, "many", STREAM_ON_CLOSE, "count >= 3", "");
    begin(&b, &c, 4);
    for (int i = 1; i <= 3; i++)
        at(&b, 1000 * i, "a", 1);
    at(&b, 50000, "a", 1);
    expect_alert(&b, 0, "a", ALERT_RAISE, 1);
    assert_int_equal(bench_count(&b, ALERT_RAISE) + bench_count(&b, ALERT_CLEAR), 1);
    bench_end(&b);
}

/* Room that is left is the readings'. */
static void rules_leave_room_for_readings(void **state)
{
    struct bench b;
    struct stream_config c = usual_config();
    char name[8];
    (void)state;
    strcpy(c.key[0].name, "value");
    c.keys_max = 100;
    rule(&c, "any", STREAM_ON_READING, "count > 0", "value");
    begin(&b, &c, 16);
    for (int i = 0; i < 20; i++)
        at(&b, 1000 + i, "a", i);
    uint64_t raised = engine_counts(b.engine).alerts_raised;
    assert_true(raised > 8 && raised < 16);
    assert_int_equal(engine_counts(b.engine).alerts_suppressed, 20 - raised);
    expect_alert(&b, 12, "12", ALERT_RAISE, 12);
    for (uint32_t i = engine_counts(b.engine).devices; i < 16; i++) {
        snprintf(name, sizeof name, "n%u", i);
        at(&b, 2000 + i, name, 0);
    }
    assert_int_equal(engine_counts(b.engine).devices, 16);
    bench_end(&b);
}

/* A key may be any text that a device says; the device that an alert is about is called by none. */
static void any_key_has_a_name(void **state)
{
    static const struct {
        const char *key, *name; /* that ends in ~: eight digits of the key's hash follow */
    } table[] = {
        { "plain", "plain" }, { "a/b c", "a/b c" }, { "", "~" }, { "$gateway", "?gateway~" }, { "a\033[2J\177b", "a?[2J?b~" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789",
          "0123456789012345678901234567890123456789012345678901234~" },
        { "012345678901234567890123456789012345678901234567890123\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
          "012345678901234567890123456789012345678901234567890123~" },
        { "x~0a1b2c3d", "x~0a1b2c3d~" }, { "x~0a1b2c3g", "x~0a1b2c3g" },
    };
    enum { KEYS = sizeof table / sizeof table[0] };
    static uint8_t bytes[1 << 16];
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    strcpy(c.key[0].name, "value");
    c.key_bytes = 120;
    c.keys_max = 16;
    rule(&c, "any", STREAM_ON_READING, "count > 0", "");
    begin(&b, &c, 20);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct reading reading = bench_reading("a", "level", 0, BENCH_EPOCH_MS + 1000 + i);
        reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(table[i].key) };
        bench_wait(&b, 1);
        assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
        size_t marked = strlen(table[i].name) - 1;
        const char *device = alert(&b, i)->device;
        assert_memory_equal(device, table[i].name, strlen(table[i].name));
        assert_int_equal(strlen(device), table[i].name[marked] == '~' ? marked + 9 : marked + 1);
    }
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    engine_save(b.engine, &w);
    struct byte_reader r = { bytes, w.used, 0, false };
    uint32_t reset = 0;
    bench_start(&b);
    assert_int_equal(engine_load(b.engine, &r, &reset), 0);
    assert_int_equal(engine_counts(b.engine).alerts_open, KEYS);
    bench_end(&b);
}

/* Of several values, it must show where one ends: these are two keys, and the end of one is not that of the other. */
static void values_do_not_run_together(void **state)
{
    static const char *const keys[][2] = { { "a/b", "c" }, { "a", "b/c" }, { "a", "b" } };
    struct bench b;
    struct stream_config c = usual_config();
    (void)state;
    c.key_count = 2;
    strcpy(c.key[1].name, "value");
    rule(&c, "any", STREAM_ON_READING, "count > 0", "");
    begin(&b, &c, 16);
    for (uint32_t i = 0; i < 3; i++) {
        struct reading reading = bench_reading(keys[i][0], "level", 0, BENCH_EPOCH_MS + 1000 + i);
        reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(keys[i][1]) };
        bench_wait(&b, 1);
        assert_int_equal(bench_take(&b, &reading).verdict, ADMIT_STORE);
    }
    assert_int_equal(bench_count(&b, ALERT_RAISE), 3);
    assert_memory_equal(alert(&b, 0)->device, "a/b/c~", 6);
    assert_memory_equal(alert(&b, 1)->device, "a/b/c~", 6);
    assert_string_not_equal(alert(&b, 0)->device, alert(&b, 1)->device);
    assert_string_equal(alert(&b, 2)->device, "a/b");
    bench_end(&b);
}

/* --- the fold --- */

enum { STORY = 3000 };

static void story(struct bench *b, int from, int to, uint64_t *chance)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    for (int i = from; i < to; i++) {
        b->t_ms += 1 + (int64_t)rnd_below(chance, 4000);
        int64_t event_ms = b->t_ms - (int64_t)rnd_below(chance, 6000);
        if (i % 50 == 0)
            bench_wait(b, 200000);
        (void)bench_give(b, names[rnd_below(chance, 4)], "level", (double)rnd_below(chance, 100), BENCH_EPOCH_MS + event_ms);
        if (b->told_count > BENCH_TOLD_MAX / 2)
            b->told_count = 0;
        kept_count = 0;
    }
}

static void a_checkpoint_goes_on_the_same(void **state)
{
    static uint8_t bytes[1 << 20];
    struct bench b;
    (void)state;
    for (int window = 0; window < 5; window++) { /* the last two slide: over readings, and over a span */
        struct stream_config c = usual_config();
        c.window = window == 0 ? STREAM_TUMBLING : window == 1 ? STREAM_HOPPING : window == 2 ? STREAM_SESSION : STREAM_SLIDING;
        c.last_count = window == 3 ? 6 : 0;
        c.span_ms = window == 4 ? 30000 : 0;
        c.slide_ms = window == 1 ? 5000 : 0;
        c.gap_ms = 8000;
        c.early_ms = 3000;
        c.idle_ms = 100000;
        c.ttl_ms = 150000;
        derive(&c, "growth", "mean / previous(mean)");
        rule(&c, "up", STREAM_ON_CLOSE, "mean > baseline(mean) * 1.2", "growth");
        rule(&c, "high", STREAM_ON_READING, "max > 90 and growth > 1", "max");
        rule(&c, "soon", STREAM_ON_EARLY, "count > 3", "count");
        begin(&b, &c, 8);
        uint64_t chance = 5 + (uint64_t)window, again;
        story(&b, 0, STORY / 2, &chance);
        again = chance;
        int64_t t_ms = b.t_ms;
        struct byte_writer w = { bytes, sizeof bytes, 0, false };
        engine_save(b.engine, &w);
        assert_false(w.failed);
        assert_true(w.used <= engine_save_bytes_max(&b.config));
        b.told_count = 0;
        story(&b, STORY / 2, STORY, &chance);
        struct hash128 live = engine_digest(b.engine);
        assert_true(engine_counts(b.engine).alerts_raised > 50);
        assert_true(engine_stream_counts(b.engine, 0).early > 100);
        struct byte_reader r = { bytes, w.used, 0, false };
        uint32_t reset = 0;
        bench_start(&b);
        assert_int_equal(engine_load(b.engine, &r, &reset), 0);
        assert_int_equal(reset, 0);
        b.t_ms = t_ms;
        chance = again;
        story(&b, STORY / 2, STORY, &chance);
        struct hash128 folded = engine_digest(b.engine);
        assert_true(folded.low == live.low && folded.high == live.high);
        bench_end(&b);
    }
}

/* --- what can't be --- */

static void refuse(struct stream_config *c, uint32_t column, const char *part)
{
    struct stream_fault fault = { 0 };
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plan, c, &fields, &fault), WEIR_EINVAL);
    if (strstr(fault.why, part) == NULL || fault.column != column)
        fail_msg("%u: %s", fault.column, fault.why);
}

static void what_can_not_be_is_refused(void **state)
{
    (void)state;
    struct stream_config c = usual_config();
    derive(&c, "x", "spent / 2");
    refuse(&c, 1, "nothing called `spent`");
    c = usual_config();
    derive(&c, "mean", "sum / 2");
    refuse(&c, 0, "name of its own");
    c = usual_config();
    derive(&c, "x", "previous(count + 1)");
    refuse(&c, 16, "`)` is missing");
    c = usual_config();
    derive(&c, "x", "previous(device)");
    refuse(&c, 10, "the name of an aggregate");
    c = usual_config();
    strcpy(c.where, "previous(value) > 1");
    refuse(&c, 1, "only `derive` and `rules`");
    c = usual_config();
    rule(&c, "r", STREAM_ON_CLOSE, "count + 1", "");
    refuse(&c, 1, "a boolean is needed");
    c = usual_config();
    rule(&c, "r", STREAM_ON_EARLY, "count > 1", "");
    refuse(&c, 0, "needs the stream's `early`");
    c = usual_config();
    c.early_ms = 1000;
    c.final_only = true;
    refuse(&c, 0, "tells nothing early");
    c = usual_config();
    rule(&c, "r", STREAM_ON_CLOSE, "count > 1", "");
    rule(&c, "r", STREAM_ON_CLOSE, "count > 2", "");
    refuse(&c, 0, "two rules");
    c = usual_config();
    c.aggregate_count = 1;
    strcpy(c.aggregates[0].text, "top(device, 2) as busy");
    rule(&c, "r", STREAM_ON_CLOSE, "busy > 5", "");
    refuse(&c, 8, "text can't be compared with a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_windows_are_told_early),
        cmocka_unit_test(of_hopping_windows_those_that_changed),
        cmocka_unit_test(early_sessions_are_taken_back),
        cmocka_unit_test(values_are_derived),
        cmocka_unit_test(derived_texts_are_set_aside_for),
        cmocka_unit_test(closing_windows_raise_and_clear),
        cmocka_unit_test(texts_are_judged),
        cmocka_unit_test(readings_are_judged_one_by_one),
        cmocka_unit_test(one_of_many_counts),
        cmocka_unit_test(rules_leave_room_for_readings),
        cmocka_unit_test(any_key_has_a_name),
        cmocka_unit_test(values_do_not_run_together),
        cmocka_unit_test(a_checkpoint_goes_on_the_same),
        cmocka_unit_test(what_can_not_be_is_refused),
    };
    return cmocka_run_group_tests_name("stream_rules", tests, NULL, NULL);
}
