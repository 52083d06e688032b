/* Goal: a reading that is too late for windows is told for each of them, once, with the windows it is missing from and
 *   how much lateness it would have needed; so that of every window what it told last and what was told late are all
 *   its readings. Where nobody asks, and in a rebuild, nothing is told.
 * Method: examples of each window type; then seeded random readings through tumbling, hopping and session windows, also
 *   with too few panes, where every reading is counted window by window.
 * Links: pipeline/streams/%.c pipeline/hash.c pipeline/bytes.c
 */
#include "pipeline/streams/streams.h"

#include <string.h>

#include "tests/lib/check.h"

enum { TOLD = 64, SPAN_MS = 4000000, STEP_MS = 1000, SLOTS = SPAN_MS / STEP_MS, READINGS = 20000 };

struct late_told {
    int64_t start_ms, end_ms, slide_ms, lateness_ms, needed_ms, event_ms;
    uint32_t windows;
    char key;
};

struct stage {
    struct stream_config config;
    struct stream_fields fields;
    struct stream_plan plan;
    struct stream_set set;
    void *memory;
    struct streams *streams;
    struct stream_out out;
    int64_t t_ms;
    size_t count;
    struct late_told told[TOLD];
    /* of each window, by its start: told last, and told late */
    uint32_t counted[SLOTS], revision[SLOTS], missing[SLOTS];
    uint64_t too_late;
};

static void on_result(void *ctx, const struct stream_result *r)
{
    struct stage *g = ctx;
    size_t slot = (size_t)(r->start_ms / STEP_MS) % SLOTS;
    double count = r->count > 0 && r->values[0].value.kind == DATUM_NUMBER ? r->values[0].value.number : 0;
    if (g->config.window == STREAM_SESSION) /* its bounds may change: only what is late is looked at */
        return;
    assert_true(r->revision == 0 || r->revision > g->revision[slot]);
    g->revision[slot] = r->revision;
    g->counted[slot] = (uint32_t)count;
}

static void on_late(void *ctx, const struct stream_late *late)
{
    struct stage *g = ctx;
    assert_true(late->plan == &g->plan && late->windows >= 1);
    assert_true(late->key.bytes == 4 && late->key.at[1] == VALUE_TEXT); /* 0, type, length, a letter */
    for (uint32_t i = 0; i < late->windows; i++) {
        int64_t start_ms = late->start_ms + i * late->slide_ms, length_ms = late->end_ms - late->start_ms;
        assert_true(late->record->event_time_ms >= start_ms && late->record->event_time_ms < start_ms + length_ms);
        g->missing[(size_t)(start_ms / STEP_MS) % SLOTS]++;
    }
    g->too_late++;
    if (g->count < TOLD)
        g->told[g->count++] = (struct late_told){ late->start_ms, late->end_ms, late->slide_ms, late->lateness_ms,
                                                  late->needed_ms, late->record->event_time_ms, late->windows,
                                                  late->key.at[3] };
}

static void set_stage(struct stage *g, const struct stream_config *config)
{
    struct stream_fault fault = { 0 };
    const struct hash_key key = { 1, 2 };
    struct arena arena = arena_measure();
    memset(g, 0, sizeof *g);
    g->config = *config;
    stream_fields_begin(&g->fields);
    if (stream_compile(&g->plan, &g->config, &g->fields, &fault) != 0)
        fail_msg("%s", fault.why);
    g->set = (struct stream_set){ 1, &g->plan };
    g->out = (struct stream_out){ g, on_result, on_late };
    (void)streams_init(&g->set, key, &arena);
    g->memory = calloc(1, arena.used);
    assert_non_null(g->memory);
    arena = arena_over(g->memory, arena.used);
    g->streams = streams_init(&g->set, key, &arena);
}

static struct stream_config config_of(enum stream_window window)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000,
                                   .lateness_ms = 15000, .idle_ms = 30000, .window = window, .size_ms = 10000,
                                   .keys_max = 10, .key_bytes = 16, .ttl_ms = 600000, .sessions_max = 4,
                                   .aggregate_count = 1, .aggregates = { { "count" } }, .late_out = true };
}

static void take_to(struct stage *g, int64_t event_ms, const struct stream_out *out)
{
    struct record record = { .kind = RECORD_READING, .event_time_ms = event_ms };
    record.reading.device = text_of("k");
    record.reading.metric = text_of("temp");
    struct stream_moment moment = { .t_ms = g->t_ms, .reached_ms = event_ms, .block = 7 };
    streams_take(g->streams, &record, &moment, out);
}

static void take(struct stage *g, int64_t event_ms)
{
    take_to(g, event_ms, &g->out);
}

static void let_time_pass(struct stage *g, int64_t t_ms)
{
    for (int64_t due; (due = streams_deadline(g->streams, t_ms)) <= t_ms;) {
        struct stream_moment moment = { .t_ms = due };
        streams_fire(g->streams, &moment, &g->out);
    }
    g->t_ms = t_ms;
}

static void expect(const struct stage *g, size_t n, int64_t start_ms, int64_t end_ms, uint32_t windows, int64_t needed_ms)
{
    assert_true(n < g->count);
    const struct late_told *t = &g->told[n];
    assert_int_equal(t->start_ms, start_ms);
    assert_int_equal(t->end_ms, end_ms);
    assert_int_equal(t->windows, windows);
    assert_int_equal(t->needed_ms, needed_ms);
    assert_int_equal(t->lateness_ms, 15000);
    assert_int_equal(t->key, 'k');
}

static struct stage g;

static void a_window_that_is_closed_is_named(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_TUMBLING);
    set_stage(&g, &c);
    take(&g, 1000);
    take(&g, 26999); /* the watermark is at 24,999: the first window is open for a millisecond more */
    take(&g, 2000);
    assert_int_equal(g.count, 0);
    take(&g, 27000);
    take(&g, 2000);
    expect(&g, 0, 0, 10000, 1, 15001);
    take(&g, 40000); /* and the next */
    take(&g, 19999);
    expect(&g, 1, 10000, 20000, 1, 18001);
    assert_int_equal(streams_counts(g.streams, 0).late, 2);
    take_to(&g, 3000, NULL); /* a rebuild */
    assert_int_equal(g.count, 2);
    assert_int_equal(streams_counts(g.streams, 0).late, 3);
    free(g.memory);
    c.late_out = false; /* nobody asked */
    set_stage(&g, &c);
    take(&g, 1000);
    take(&g, 27000);
    take(&g, 2000);
    assert_int_equal(g.count, 0);
    assert_int_equal(streams_counts(g.streams, 0).late, 1);
    free(g.memory);
}

static void of_windows_that_overlap_those_that_are_closed(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_HOPPING);
    c.slide_ms = 4000; /* [-8, 2), [-4, 6), [0, 10), [4, 14), ... */
    set_stage(&g, &c);
    take(&g, 5000);
    take(&g, 23000); /* the watermark is at 21,000: closed is what ended at 6,000 */
    take(&g, 5000);  /* in [-4, 6), [0, 10), [4, 14) */
    expect(&g, 0, -4000, 6000, 1, 15001);
    assert_int_equal(streams_counts(g.streams, 0).late_partly, 1);
    take(&g, 40000); /* all of them */
    take(&g, 5000);
    expect(&g, 1, -4000, 6000, 3, 32001);
    assert_int_equal(g.told[1].slide_ms, 4000);
    assert_int_equal(streams_counts(g.streams, 0).late, 1);
    free(g.memory);
}

static void of_a_session_the_least_that_it_would_have_been(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_SESSION);
    c.gap_ms = 5000;
    set_stage(&g, &c);
    take(&g, 1000);
    take(&g, 50000);
    take(&g, 3000);
    expect(&g, 0, 3000, 8000, 1, 40001);
    free(g.memory);
}

/* It may still be among the last n of windows that are open: late for some. */
static void of_the_last_readings_the_window_that_it_would_have_ended(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_SLIDING);
    c.last_count = 2, c.every_ms = 1000;
    set_stage(&g, &c);
    take(&g, 1500);
    take(&g, 3500);
    take(&g, 50000);
    take(&g, 2500); /* 3.5 s and 50 s are the last two */
    expect(&g, 0, 2000, 3000, 1, 45001);
    take(&g, 4500);
    expect(&g, 1, 4000, 5000, 1, 43001);
    struct stream_counts counts = streams_counts(g.streams, 0);
    assert_int_equal(counts.late, 1);
    assert_int_equal(counts.late_partly, 1);
    free(g.memory);
}

/* Closed for want of room, not by the watermark: no lateness would have helped. */
static void what_was_pushed_out_needed_none(void **state)
{
    (void)state;
    struct stream_config c = config_of(STREAM_TUMBLING);
    c.panes_max = 1; /* and so three, the least there are */
    set_stage(&g, &c);
    struct stream_moment moment = { .t_ms = 0, .reached_ms = 1000, .block = 7 };
    struct record record = { .kind = RECORD_READING, .event_time_ms = 500000 };
    record.reading.device = text_of("k");
    take(&g, 1000);
    streams_take(g.streams, &record, &moment, &g.out); /* far ahead of the clock, which holds the watermark */
    take(&g, 2000);
    expect(&g, 0, 0, 10000, 1, 0);
    free(g.memory);
}

/* Of every window: what it told last and what was told late of it are the readings that are in it. */
static void nothing_is_missing(enum stream_window window, int64_t slide_ms, uint32_t panes, uint64_t seed)
{
    static uint32_t in[SLOTS];
    struct stream_config c = config_of(window);
    int64_t head_ms = 100000;
    uint32_t per = 0;
    c.slide_ms = slide_ms;
    c.gap_ms = 200;
    c.panes_max = panes;
    set_stage(&g, &c);
    memset(in, 0, sizeof in);
    for (int i = 0; i < READINGS; i++) {
        int64_t late_ms = rnd_below(&seed, 10) == 0 ? (int64_t)rnd_below(&seed, 60000) : (int64_t)rnd_below(&seed, 3000);
        head_ms += (int64_t)rnd_below(&seed, 300);
        int64_t event_ms = head_ms - late_ms, step_ms = slide_ms > 0 ? slide_ms : c.size_ms;
        if (rnd_below(&seed, 500) == 0)
            let_time_pass(&g, g.t_ms + 31000); /* idle, and on */
        take(&g, event_ms);
        for (int64_t start_ms = event_ms / step_ms * step_ms; start_ms > event_ms - c.size_ms; start_ms -= step_ms)
            in[(size_t)(start_ms / STEP_MS) % SLOTS]++;
    }
    assert_true(head_ms < SPAN_MS);
    let_time_pass(&g, g.t_ms + 31000);
    struct stream_counts counts = streams_counts(g.streams, 0);
    assert_true(counts.late > 100);
    assert_int_equal(g.too_late, counts.late + counts.late_partly);
    if (window == STREAM_SESSION) {
        free(g.memory);
        return;
    }
    for (int i = 0; i < SLOTS; i++) {
        per += g.missing[i];
        if (g.counted[i] + g.missing[i] != in[i])
            fail_msg("the window at %d s told %u, %u were told late, %u were in it", i, g.counted[i], g.missing[i], in[i]);
    }
    assert_true(per >= counts.late);
    free(g.memory);
}

static void every_reading_is_in_its_windows_or_told(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    nothing_is_missing(STREAM_TUMBLING, 0, 0, seed);
    nothing_is_missing(STREAM_TUMBLING, 0, 1, seed + 1);
    nothing_is_missing(STREAM_HOPPING, 2000, 0, seed + 2);
    nothing_is_missing(STREAM_HOPPING, 4000, 0, seed + 3);
    nothing_is_missing(STREAM_HOPPING, 1000, 12, seed + 4);
    nothing_is_missing(STREAM_SESSION, 0, 0, seed + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_that_is_closed_is_named),
        cmocka_unit_test(of_windows_that_overlap_those_that_are_closed),
        cmocka_unit_test(of_a_session_the_least_that_it_would_have_been),
        cmocka_unit_test(of_the_last_readings_the_window_that_it_would_have_ended),
        cmocka_unit_test(what_was_pushed_out_needed_none),
        cmocka_unit_test(every_reading_is_in_its_windows_or_told),
    };
    return cmocka_run_group_tests_name("stream_late", tests, NULL, NULL);
}
