/* Goal: a device that says nothing for a while ends no window that is not over by a clock that is right: a window of minutes holds all
 * that was measured in it, each is told once, in time, and nothing of it is late. By a clock that is not right idleness ends them by itself.
 * Method: readings nearly a minute apart, idle after 30 s, into windows of a series and of streams of each type; clocks that go on.
 * Links: pipeline/engine/engine%.c pipeline/streams/%.c pipeline/alerts/%.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/bytes.c pipeline/contract.c pipeline/dedup.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/hash.c pipeline/statistics.c pipeline/timers.c pipeline/window.c */
#include "pipeline/engine/engine.h"

#include "tests/lib/check.h"
#include "tests/lib/engine_bench.h"

enum { APART_MS = 50000, READINGS = 4, QUARTER_MS = 15 * 60000, IDLE_MS = 30000, RESULTS_MAX = 64 };
/* The windows begin 200 s before the first reading. */
static const int64_t BEGIN_MS = BENCH_EPOCH_MS / QUARTER_MS * QUARTER_MS;

struct told_stream {
    int64_t start_ms, end_ms;
    uint32_t revision;
    double count;
    int64_t t_ms;
};

static struct told_stream told[RESULTS_MAX];
static uint32_t told_count;
static struct bench bench;

static void on_stream(void *ctx, const struct stream_result *r)
{
    struct bench *b = ctx;
    assert_in_range(told_count, 0, RESULTS_MAX - 1);
    told[told_count++] = (struct told_stream){ r->start_ms, r->end_ms, r->revision, r->count > 0 ? r->values[0].value.number : 0, b->t_ms };
}

static struct stream_config config_of(enum stream_window window)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000,
                                   .idle_ms = IDLE_MS, .window = window, .size_ms = QUARTER_MS, .slide_ms = QUARTER_MS,
                                   .gap_ms = 10 * 60000, .keys_max = 4, .key_bytes = 16, .ttl_ms = 60000, .sessions_max = 4,
                                   .aggregate_count = 1, .aggregates = { { "count" } } };
}

static void begin(const struct stream_config *config)
{
    static struct stream_config kept;
    static struct stream_fields fields;
    static struct stream_plan plan;
    struct stream_fault fault = { 0 };
    bench_configure(&bench, 4, 4);
    bench.config.window.size_ms = QUARTER_MS;
    bench.config.idle_ms = IDLE_MS;
    if (config != NULL) {
        kept = *config;
        stream_fields_begin(&fields);
        if (stream_compile(&plan, &kept, &fields, &fault) != 0)
            fail_msg("%s", fault.why);
        bench.config.streams = (struct stream_set){ 1, &plan };
    }
    bench_init_configured(&bench);
    bench.out.ctx = &bench;
    bench.out.stream = on_stream;
    told_count = bench.told_count = 0;
    bench.t_ms = BEGIN_MS + 200000 - BENCH_EPOCH_MS + QUARTER_MS;
}

static void hear(uint32_t readings, int64_t apart_ms)
{
    for (uint32_t i = 0; i < readings; i++) {
        bench_give(&bench, "pump", "temperature", 1 << i, BENCH_EPOCH_MS + bench.t_ms);
        bench_wait(&bench, apart_ms);
    }
}

/* Of a stream: each window is told once, with all that there was, and soon after it is over. */
static void whole(uint32_t windows, uint32_t readings)
{
    for (int s = 0; s < 2 * QUARTER_MS / 1000; s++)
        bench_wait(&bench, 1000);
    assert_int_equal(told_count, windows);
    for (uint32_t i = 0; i < told_count; i++) {
        assert_int_equal(told[i].revision, 0);
        assert_int_equal(told[i].count, readings);
        int64_t after_ms = BENCH_EPOCH_MS + told[i].t_ms - told[i].end_ms;
        assert_in_range(after_ms, 2000, 2000 + IDLE_MS + 1000);
    }
    struct stream_counts counts = engine_stream_counts(bench.engine, 0);
    assert_true(counts.late == 0 && counts.late_partly == 0 && counts.forced == 0);
}

static void a_series_waits(void **state)
{
    (void)state;
    begin(NULL);
    hear(READINGS, APART_MS);
    assert_int_equal(bench.told_count, 0);
    int64_t end_ms = BEGIN_MS + 2 * QUARTER_MS + 2000;
    bench_wait(&bench, end_ms - 1 - BENCH_EPOCH_MS - bench.t_ms);
    assert_int_equal(bench.told_count, 0);
    bench_wait(&bench, 1);
    assert_int_equal(bench.told_count, 1);
    assert_true(bench.told[0].what == TOLD_RESULT && bench.told[0].aggregate.count == READINGS);
    assert_int_equal(engine_deadline(bench.engine, INT64_MAX), INT64_MAX);
    bench_end(&bench);
}

/* The clock is set on by ten minutes: the window is over at once, and not only when it was thought to be. */
static void a_clock_goes_on(void **state)
{
    (void)state;
    begin(NULL);
    hear(READINGS, APART_MS);
    bench_apply(&bench, (struct record){ .kind = RECORD_CLOCK, .clock = { BENCH_EPOCH_MS + QUARTER_MS, CLOCK_SYNCED, 1 } });
    bench_wait(&bench, 1);
    assert_int_equal(bench.told_count, 1);
    bench_end(&bench);
}

/* A device's clock was a day ahead while nobody could tell: its window does not stay open for a day. */
static void from_before_the_clock(void **state)
{
    (void)state;
    const struct stream_config c = config_of(STREAM_TUMBLING);
    begin(&c);
    bench_clock(&bench, CLOCK_COARSE);
    bench_give(&bench, "pump", "temperature", 1, BENCH_EPOCH_MS + bench.t_ms + 86400000);
    bench_clock(&bench, CLOCK_SYNCED);
    bench_wait(&bench, IDLE_MS);
    assert_int_equal(told_count, 1);
    assert_int_equal(bench.told_count, 1);
    bench_end(&bench);
}

/* While nobody knows the time nothing is taken, and no window ends; one that was under way goes on with it. */
static void by_no_clock(void **state)
{
    (void)state;
    const struct stream_config c = config_of(STREAM_TUMBLING);
    begin(&c);
    hear(2, APART_MS);
    bench_apply(&bench, (struct record){ .kind = RECORD_CLOCK, .clock = { 0, CLOCK_UNSET, 2 } });
    bench_wait(&bench, 2 * IDLE_MS);
    bench_clock(&bench, CLOCK_COARSE);
    hear(2, APART_MS);
    assert_int_equal(told_count + bench.told_count, 0);
    whole(1, 4);
    assert_int_equal(bench.told_count, 1);
    bench_end(&bench);
}

/* A clock that was an hour ahead is set right: windows of its time are not waited for. Also where the state is saved just then. */
static void a_clock_goes_back(void **state)
{
    (void)state;
    static uint8_t saved[1 << 16];
    const struct stream_config c = config_of(STREAM_TUMBLING);
    for (int again = 0; again < 2; again++) {
        begin(&c);
        hear(1, IDLE_MS + 1000);
        assert_int_equal(told_count + bench.told_count, 0); /* both wait for the clock */
        bench_apply(&bench, (struct record){ .kind = RECORD_CLOCK, .clock = { BENCH_EPOCH_MS - 3600000, CLOCK_SYNCED, 1 } });
        if (again) {
            struct byte_writer w = { saved, sizeof saved, 0, false };
            uint32_t reset;
            engine_save(bench.engine, &w);
            bench_start(&bench);
            struct byte_reader r = { saved, w.used, 0, false };
            assert_int_equal(engine_load(bench.engine, &r, &reset), 0);
        }
        bench_wait(&bench, 1);
        assert_int_equal(told_count, 1);
        assert_int_equal(bench.told_count, 1);
        assert_true(engine_deadline(bench.engine, bench.t_ms + 3600000) > bench.t_ms); /* what the heap holds is true */
        bench_end(&bench);
    }
}

static void tumbling(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_TUMBLING);
    begin(&c);
    hear(READINGS, APART_MS);
    whole(1, READINGS);
    bench_end(&bench);
    c.final_only = true; /* what is told once */
    begin(&c);
    hear(READINGS, APART_MS);
    whole(1, READINGS);
    bench_end(&bench);
}

static void hopping(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_HOPPING);
    c.slide_ms = QUARTER_MS / 3;
    begin(&c);
    hear(2, APART_MS); /* both before the next slide */
    whole(3, 2);
    bench_end(&bench);
}

/* Readings that pause for less than the gap are one session. */
static void sessions(void **state)
{
    (void)state;
    const struct stream_config c = config_of(STREAM_SESSION);
    begin(&c);
    hear(READINGS, APART_MS * 10);
    whole(1, READINGS);
    bench_end(&bench);
}

/* A key is forgotten when its windows are over, not in the middle of one: its second half would be told as a first result again. */
static void not_forgotten(void **state)
{
    (void)state;
    const struct stream_config c = config_of(STREAM_TUMBLING);
    begin(&c);
    hear(3, 3 * APART_MS); /* longer than `ttl` */
    whole(1, 3);
    assert_int_equal(engine_stream_counts(bench.engine, 0).expired, 1);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_waits), cmocka_unit_test(a_clock_goes_on), cmocka_unit_test(by_no_clock),
        cmocka_unit_test(from_before_the_clock), cmocka_unit_test(a_clock_goes_back),
        cmocka_unit_test(tumbling),       cmocka_unit_test(hopping),         cmocka_unit_test(sessions),
        cmocka_unit_test(not_forgotten),
    };
    return cmocka_run_group_tests_name("engine_idle", tests, NULL, NULL);
}
