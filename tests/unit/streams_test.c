/* Goal: each stream tells of each key's windows what they hold, when it should, with the right revisions; what comes
 * too late, has no key or no room is counted; the saved state goes on as if nothing had been. Method: examples, then
 * seeded random streams (late, reordered, repeated, ahead of the clock, idle, churning keys) through tumbling and
 * hopping windows, against an oracle that keeps every reading of every window in a list of its own and adds up in
 * long double; saved and loaded into fresh memory on the way.
 * Links: pipeline/streams/%.c pipeline/hash.c pipeline/bytes.c pipeline/codec/result_body.c pipeline/codec/json_writer.c pipeline/timestamp.c */
#include "pipeline/streams/streams.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "pipeline/codec/result_body.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { KEYS = 9, WINDOWS = 512, VALUES = 256, TOLD = 8192, TEXT = 96, NUMBERS = 12 };

/* --- what is told --- */

struct told {
    int key;
    int64_t start_ms, end_ms;
    uint32_t revision;
    bool forced;
    enum stream_result_kind kind;
    struct datum values[STREAM_AGGREGATES_MAX];
    char texts[3][TEXT]; /* of those behind the NUMBERS first */
};
struct telling {
    size_t count;
    struct told told[TOLD];
};

static void keep_text(struct told *to, uint32_t value, struct text text)
{
    assert_true(value >= NUMBERS && text.bytes < TEXT);
    memcpy(to->texts[value - NUMBERS], text.at, text.bytes);
    to->values[value] = (struct datum){ .kind = DATUM_TEXT, .text = { to->texts[value - NUMBERS], text.bytes } };
}

static void on_result(void *ctx, const struct stream_result *r)
{
    struct telling *t = ctx;
    assert_true(t->count < TOLD);
    struct told *to = &t->told[t->count++];
    *to = (struct told){ .start_ms = r->start_ms, .end_ms = r->end_ms, .revision = r->revision, .forced = r->forced,
                          .kind = r->kind };
    assert_true(r->plan->early_ms > 0 || r->kind == STREAM_RETRACTION || (r->kind == STREAM_CLOSE) == (r->revision == 0));
    assert_true(r->kind != STREAM_EARLY || r->plan->early_ms > 0);
    assert_true(r->kind != STREAM_REVISION || r->revision > 0);
    assert_true(r->key.bytes == 5 && r->key.at[0] == 0 && r->key.at[1] == VALUE_TEXT); /* 0, type, length, "kN" */
    to->key = r->key.at[4] - '0';
    for (uint32_t i = 0; i < r->count; i++) {
        to->values[i] = r->values[i].value;
        if (r->values[i].value.kind == DATUM_TEXT)
            keep_text(to, i, r->values[i].value.text);
    }
}

/* What a reading of this value says of its zone: nothing, a number, or a text. */
static struct datum zone_of(double value, char room[3])
{
    unsigned zone = (unsigned)(llround(fabs(value) * 100) % 9973 % 10);
    if (zone == 9)
        return (struct datum){ .kind = DATUM_NULL };
    if (zone == 8)
        return (struct datum){ .kind = DATUM_NUMBER, .number = 8 };
    memcpy(room, (char[]){ 'z', (char)('0' + zone), '\0' }, 3);
    return (struct datum){ .kind = DATUM_TEXT, .text = { room, 2 } };
}

/* --- the stage --- */

struct stage {
    struct stream_config config;
    struct stream_fields fields;
    struct stream_plan plan;
    struct stream_set set;
    void *memory;
    struct streams *streams;
    struct telling telling;
    struct stream_out out;
    int64_t t_ms;
};

static struct stream_config config_of(void)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000,
                                   .lateness_ms = 15000, .idle_ms = 30000, .window = STREAM_TUMBLING,
                                   .size_ms = 10000, .keys_max = 100, .key_bytes = 64, .ttl_ms = 600000, .sessions_max = 4 };
}

static void make_streams(struct stage *g)
{
    const struct hash_key key = { 1, 2 };
    struct arena arena = arena_measure();
    (void)streams_init(&g->set, key, &arena);
    free(g->memory);
    g->memory = calloc(1, arena.used);
    assert_non_null(g->memory);
    struct arena real = arena_over(g->memory, arena.used);
    g->streams = streams_init(&g->set, key, &real);
    assert_int_equal(real.used, arena.used);
}

static void set_stage(struct stage *g, const struct stream_config *config)
{
    static const struct text field[] = { { "zone", 4 } };
    struct stream_fault fault = { 0 };
    *g = (struct stage){ .config = *config };
    stream_fields_begin(&g->fields);
    assert_int_equal(stream_fields_add(&g->fields, text_of("plant"), field, 1), 0);
    int err = stream_compile(&g->plan, &g->config, &g->fields, &fault);
    if (err != 0)
        fail_msg("%s", fault.why);
    g->set = (struct stream_set){ 1, &g->plan };
    g->out = (struct stream_out){ .ctx = &g->telling, .result = on_result };
    make_streams(g);
}

static void let_time_pass(struct stage *g, int64_t t_ms)
{
    for (int64_t due; (due = streams_deadline(g->streams, t_ms)) <= t_ms;) {
        struct stream_moment moment = { .t_ms = due };
        streams_fire(g->streams, &moment, &g->out);
    }
    g->t_ms = t_ms;
}

static void take_reading(struct stage *g, int key, int64_t event_ms, int64_t wall_ms, double value)
{
    char name[3] = { 'k', (char)('0' + key), '\0' };
    struct record record = { .kind = RECORD_READING, .event_time_ms = event_ms };
    record.reading.device = text_of(name);
    record.reading.metric = text_of("temp");
    record.reading.value.number = value;
    uint8_t extra[16];
    char room[3];
    struct datum zone = zone_of(value, room);
    struct byte_writer w = { extra, sizeof extra, 0, false };
    put_u8(&w, 0);
    put_u8(&w, zone.kind == DATUM_TEXT ? VALUE_TEXT : VALUE_NUMBER);
    if (zone.kind == DATUM_TEXT)
        put_text(&w, zone.text);
    else
        put_f64(&w, zone.number);
    if (zone.kind != DATUM_NULL)
        record.reading.extra = (struct text){ (const char *)extra, (uint32_t)w.used };
    struct stream_moment moment = { .t_ms = g->t_ms, .reached_ms = event_ms < wall_ms ? event_ms : wall_ms,
                                    .block = 7 };
    streams_take(g->streams, &record, &moment, &g->out);
}

static void take(struct stage *g, int key, int64_t event_ms, double value)
{
    take_reading(g, key, event_ms, INT64_MAX, value);
}

static struct stream_counts counts_of(const struct stage *g)
{
    return streams_counts(g->streams, 0);
}

static void expect(struct stage *g, size_t n, int64_t start_ms, uint32_t revision, double count, double sum)
{
    assert_true(n < g->telling.count);
    const struct told *t = &g->telling.told[n];
    assert_int_equal(t->start_ms, start_ms);
    assert_int_equal(t->end_ms, start_ms + g->config.size_ms);
    assert_int_equal(t->revision, revision);
    assert_true(t->values[0].number == count && t->values[1].number == sum);
}

/* --- examples --- */

static void tumbling_windows_close_revise_and_end(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    set_stage(&g, &c);
    take(&g, 0, 1000, 1);
    take(&g, 0, 9999, 2);
    take(&g, 0, 11999, 3);  /* watermark 9999: not yet */
    assert_int_equal(g.telling.count, 0);
    take(&g, 0, 12000, 4);  /* 10000 */
    expect(&g, 0, 0, 0, 2, 3);
    take(&g, 0, 5000, 10);  /* late, within lateness */
    expect(&g, 1, 0, 1, 3, 13);
    take(&g, 0, 26999, 5);  /* watermark 24999: the window of 10 s is told, that of 0 s still open */
    expect(&g, 2, 10000, 0, 2, 7);
    take(&g, 0, 0, 1);
    expect(&g, 3, 0, 2, 4, 14);
    take(&g, 0, 27000, 6);  /* 25000: closed */
    take(&g, 0, 9999, 1);
    assert_int_equal(g.telling.count, 4);
    assert_int_equal(counts_of(&g).late, 1);
    take(&g, 1, 9999, 1);   /* another key has its own watermark */
    assert_int_equal(counts_of(&g).late, 1);
    free(g.memory);
}

static void hopping_windows_share_panes(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.window = STREAM_HOPPING, c.size_ms = 10000, c.slide_ms = 4000;
    c.out_of_orderness_ms = 0;
    set_stage(&g, &c);
    assert_int_equal(g.plan.pane_ms, 2000);
    assert_int_equal(g.plan.window_panes, 5);
    assert_int_equal(g.plan.slide_panes, 2);
    take(&g, 0, 8500, 1);   /* windows from 0, 4 and 8 s */
    take(&g, 0, 10000, 2);  /* from 4 and 8; the first is told */
    expect(&g, 0, 0, 0, 1, 1);
    take(&g, 0, 14000, 4);
    expect(&g, 1, 4000, 0, 2, 3);
    take(&g, 0, 9000, 8);   /* late for two of its three */
    assert_int_equal(g.telling.count, 4);
    expect(&g, 2, 0, 1, 2, 9);
    expect(&g, 3, 4000, 1, 3, 11);
    let_time_pass(&g, 30000); /* idle: the windows from 8 and 12 */
    expect(&g, 4, 8000, 0, 4, 15);
    expect(&g, 5, 12000, 0, 1, 4);
    assert_int_equal(g.telling.count, 6);
    take(&g, 0, 15000, 1);  /* from 8 and 12 s, both told */
    expect(&g, 6, 8000, 1, 5, 16);
    expect(&g, 7, 12000, 1, 2, 5);
    free(g.memory);
}

static void expect_session(struct stage *g, size_t n, enum stream_result_kind kind, int64_t start_ms, int64_t end_ms,
                           uint32_t revision, double count)
{
    assert_true(n < g->telling.count);
    const struct told *t = &g->telling.told[n];
    assert_true(t->kind == kind && t->start_ms == start_ms && t->end_ms == end_ms && t->revision == revision);
    assert_true(kind == STREAM_RETRACTION ? t->values[0].kind == DATUM_NULL : t->values[0].number == count);
}

static void sessions_grow_join_and_are_taken_back(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.window = STREAM_SESSION, c.gap_ms = 5000, c.out_of_orderness_ms = 0;
    set_stage(&g, &c);
    take(&g, 0, 1000, 1);
    take(&g, 0, 5999, 2);   /* less than the gap after it */
    take(&g, 0, 10999, 3);  /* the gap: another; the first is over */
    expect_session(&g, 0, STREAM_CLOSE, 1000, 10999, 0, 2);
    take(&g, 0, 3000, 4);   /* late, inside: the same bounds */
    expect_session(&g, 1, STREAM_REVISION, 1000, 10999, 1, 3);
    take(&g, 0, 16000, 5);  /* the second is over */
    expect_session(&g, 2, STREAM_CLOSE, 10999, 15999, 0, 1);
    take(&g, 0, 8000, 6);   /* late, between: they were one */
    expect_session(&g, 3, STREAM_RETRACTION, 1000, 10999, 2, 0);
    expect_session(&g, 4, STREAM_RETRACTION, 10999, 15999, 1, 0);
    expect_session(&g, 5, STREAM_CLOSE, 1000, 15999, 0, 5);
    assert_int_equal(g.telling.count, 6);
    let_time_pass(&g, 30000);
    expect_session(&g, 6, STREAM_CLOSE, 16000, 21000, 0, 1);
    assert_int_equal(counts_of(&g).retractions, 2);
    free(g.memory);
    c.length_max_ms = 6000; /* and one that is as long as it may be takes no more */
    set_stage(&g, &c);
    for (int i = 0; i < 4; i++)
        take(&g, 0, 1000 + 3000 * i, 1);
    let_time_pass(&g, 30000);
    expect_session(&g, 0, STREAM_CLOSE, 1000, 12000, 0, 3);
    expect_session(&g, 1, STREAM_CLOSE, 10000, 15000, 0, 1);
    free(g.memory);
}

static void expect_sliding(struct stage *g, size_t n, int64_t end_ms, uint32_t revision, double count, double sum)
{
    assert_true(n < g->telling.count);
    const struct told *t = &g->telling.told[n];
    int64_t length_ms = g->config.span_ms > 0 ? g->config.span_ms : g->plan.pane_ms;
    assert_int_equal(t->start_ms, end_ms - length_ms);
    assert_int_equal(t->end_ms, end_ms);
    assert_int_equal(t->revision, revision);
    assert_true(t->values[0].number == count && t->values[1].number == sum);
}

static void the_last_readings_in_order_of_event_time(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.window = STREAM_SLIDING, c.last_count = 3, c.readings_max = 8;
    set_stage(&g, &c);
    for (int i = 1; i <= 4; i++)
        take(&g, 0, 1000 * i, i); /* the watermark is 2 s behind */
    assert_int_equal(g.telling.count, 1);
    expect_sliding(&g, 0, 1001, 0, 1, 1);
    take(&g, 0, 4500, 10);
    expect_sliding(&g, 1, 2001, 0, 2, 3);
    take(&g, 0, 1500, 20);  /* late: of its own window, and of the two behind it */
    expect_sliding(&g, 2, 1501, 0, 2, 21);
    expect_sliding(&g, 3, 2001, 1, 3, 23);
    assert_int_equal(g.telling.count, 4);
    take(&g, 0, 2000, 30);  /* again at that time: the same window, and it pushes the first out */
    expect_sliding(&g, 4, 2001, 2, 3, 52);
    let_time_pass(&g, 30000);
    expect_sliding(&g, 5, 3001, 0, 3, 35);
    expect_sliding(&g, 6, 4001, 0, 3, 37);
    expect_sliding(&g, 7, 4501, 0, 3, 17);
    take(&g, 0, 30000, 1);  /* the window of 4.5 s ended long ago; but its reading is one of the last three still */
    take(&g, 0, 32001, 1);
    expect_sliding(&g, 8, 30001, 0, 3, 15);
    take(&g, 0, 3999, 40);  /* two newer ones are before all that is open */
    assert_true(counts_of(&g).late_partly == 0 && counts_of(&g).late == 1);
    take(&g, 0, 4400, 50);
    assert_true(counts_of(&g).late_partly == 1 && counts_of(&g).late == 1);
    expect_sliding(&g, 9, 30001, 1, 3, 61);
    free(g.memory);
    c.readings_max = 4; /* a fifth reading closes the windows that the first is in */
    set_stage(&g, &c);
    for (int i = 1; i <= 5; i++)
        take(&g, 0, 1000 + i, i);
    assert_int_equal(g.telling.count, 3);
    expect_sliding(&g, 2, 1004, 0, 3, 6);
    assert_true(g.telling.told[0].forced && g.telling.told[2].forced && counts_of(&g).forced == 3);
    free(g.memory);
    c.every_ms = 1000;      /* and of many in one step there is one result */
    set_stage(&g, &c);
    for (int i = 1; i <= 12; i++)
        take(&g, 0, 1000 + i, i);
    take(&g, 0, 4000, 1);
    assert_int_equal(g.telling.count, 1);
    expect_sliding(&g, 0, 2000, 0, 3, 33);
    free(g.memory);
}

static void the_last_span_ends_where_readings_are(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.window = STREAM_SLIDING, c.span_ms = 10000, c.every_ms = 1000, c.out_of_orderness_ms = 0;
    set_stage(&g, &c);
    take(&g, 0, 1500, 1);
    take(&g, 0, 1999, 2);
    take(&g, 0, 2000, 4);   /* what was before 2 s is over */
    expect_sliding(&g, 0, 2000, 0, 2, 3);
    take(&g, 0, 11500, 8);  /* no window ends between 3 s and 11 s */
    expect_sliding(&g, 1, 3000, 0, 3, 7);
    take(&g, 0, 11999, 16);
    take(&g, 0, 5000, 32);  /* late: its own, and none that has no reading at its end */
    expect_sliding(&g, 2, 6000, 0, 4, 39);
    take(&g, 0, 12000, 64);
    expect_sliding(&g, 3, 12000, 0, 4, 60); /* from 2 s on */
    assert_int_equal(g.telling.count, 4);
    let_time_pass(&g, 30000);
    expect_sliding(&g, 4, 13000, 0, 4, 120);
    take(&g, 0, 10000, 1);  /* the watermark went to 13 s, and no further */
    expect_sliding(&g, 5, 11000, 0, 5, 40);
    expect_sliding(&g, 6, 12000, 1, 5, 61);
    expect_sliding(&g, 7, 13000, 1, 5, 121);
    free(g.memory);
    c.every_ms = 0;         /* about a 60th of the span, and a divisor of it */
    set_stage(&g, &c);
    assert_int_equal(g.plan.pane_ms, 125);
    free(g.memory);
}

static void final_only_tells_once(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.final_only = true;
    set_stage(&g, &c);
    take(&g, 0, 1000, 1);
    take(&g, 0, 26999, 5);
    assert_int_equal(g.telling.count, 0);
    take(&g, 0, 2000, 2);
    take(&g, 0, 27000, 5);
    expect(&g, 0, 0, 0, 2, 3);
    take(&g, 0, 3000, 2);
    assert_int_equal(counts_of(&g).late, 1);
    let_time_pass(&g, 30000);
    expect(&g, 1, 20000, 0, 2, 10);
    assert_int_equal(g.telling.count, 2);
    free(g.memory);
}

static void where_key_and_limits(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    strcpy(c.where, "metric == 'temp' and value > 0");
    c.keys_max = 2;
    set_stage(&g, &c);
    take(&g, 0, 1000, -1);
    assert_int_equal(counts_of(&g).taken, 0);
    take(&g, 0, 1000, 1);
    take(&g, 1, 1000, 1);
    take(&g, 2, 1000, 1);
    assert_int_equal(counts_of(&g).refused, 1);
    assert_int_equal(counts_of(&g).keys, 2);
    let_time_pass(&g, 30000); /* both told, both quiet */
    assert_int_equal(g.telling.count, 2);
    let_time_pass(&g, 600000);
    assert_int_equal(counts_of(&g).expired, 2);
    assert_int_equal(counts_of(&g).keys, 0);
    take(&g, 2, 1000, 1);
    assert_int_equal(counts_of(&g).keys, 1);
    c.at_limit = STREAM_EVICT;
    free(g.memory);
    set_stage(&g, &c);
    take(&g, 0, 1000, 1);
    take(&g, 1, 1000, 1);
    take(&g, 0, 1000, 1);
    take(&g, 2, 1000, 1);   /* 1 has been quiet longest */
    assert_int_equal(counts_of(&g).evicted, 1);
    assert_int_equal(g.telling.count, 1);
    assert_true(g.telling.told[0].key == 1 && g.telling.told[0].forced);
    free(g.memory);
}

/* The model: keys in order of their last reading. */
static void keys_come_and_go(void **state)
{
    (void)state;
    static struct stage g;
    uint64_t chance = check_seed();
    struct stream_config c = config_of();
    int order[7], count = 0;
    c.keys_max = 7;
    c.at_limit = STREAM_EVICT;
    set_stage(&g, &c);
    for (int i = 0; i < 20000; i++) {
        int key = (int)rnd_below(&chance, 40), at = 0;
        g.telling.count = 0;
        take(&g, key, 1000, 1);
        while (at < count && order[at] != key)
            at++;
        bool goes = at == count && count == 7;
        assert_int_equal(g.telling.count, goes);
        assert_true(!goes || g.telling.told[0].key == order[0]);
        at = goes ? 0 : at;
        count += at == count;
        memmove(order + at, order + at + 1, (size_t)(count - at - 1) * sizeof order[0]);
        order[count - 1] = key;
    }
    assert_int_equal(counts_of(&g).keys, 7);
    free(g.memory);
}

static void lateness_is_weighed(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    set_stage(&g, &c);
    struct stream_counts counts = { .delays = { [0] = 990, [7] = 9, [STREAM_DELAYS] = 0 } }; /* 10 s */
    assert_int_equal(stream_lateness_for(&counts, 0.01), 0);
    assert_int_equal(stream_lateness_for(&counts, 0), 10000);
    assert_int_equal(stream_hint_of(&g.plan, &counts), STREAM_HINT_NONE); /* too few yet */
    counts.delays[0] = 99000;
    assert_int_equal(stream_hint_of(&g.plan, &counts), STREAM_HINT_NONE);
    counts.delays[7] = 0, counts.delays[6] = 9; /* 5 s, of 15 */
    assert_int_equal(stream_hint_of(&g.plan, &counts), STREAM_HINT_LONG);
    counts.delays[10] = 900, counts.late = 900; /* a minute */
    assert_int_equal(stream_hint_of(&g.plan, &counts), STREAM_HINT_TIGHT);
    counts.delays[10] = 0, counts.delays[STREAM_DELAYS] = 900; /* and what no lateness would take */
    assert_true(stream_lateness_for(&counts, 0.001) == INT64_MAX);
    assert_int_equal(stream_hint_of(&g.plan, &counts), STREAM_HINT_TIGHT);
    free(g.memory);
}

static void payload_fields_are_keys(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    c.key[0] = (struct stream_name){ "zone" };
    set_stage(&g, &c);
    uint8_t extra[16];
    struct byte_writer w = { extra, sizeof extra, 0, false };
    put_u8(&w, 0);
    put_u8(&w, VALUE_TEXT);
    put_text(&w, text_of("k3"));
    struct record record = { .kind = RECORD_READING, .event_time_ms = 1000 };
    record.reading.device = record.reading.metric = text_of("x");
    struct stream_moment moment = { .reached_ms = 1000 };
    streams_take(g.streams, &record, &moment, &g.out);
    assert_int_equal(counts_of(&g).without_key, 1);
    record.reading.extra = (struct text){ (const char *)extra, (uint32_t)w.used };
    streams_take(g.streams, &record, &moment, &g.out);
    assert_int_equal(counts_of(&g).keys, 1);
    let_time_pass(&g, 30000);
    assert_int_equal(g.telling.told[0].key, 3);
    free(g.memory);
}

struct bodies {
    size_t count;
    char last[9000];
};

static void on_text(void *ctx, const struct stream_result *r)
{
    struct bodies *to = ctx;
    size_t room = result_body_bytes_max(r->plan) + 4;
    char *exact = malloc(room);
    struct text body = result_body(r, exact, room);
    assert_true(body.bytes < sizeof to->last);
    memcpy(to->last, body.at, body.bytes);
    to->last[body.bytes] = '\0';
    to->count++;
    free(exact);
}

static void take_text(struct stage *g, const char *text, int64_t event_ms)
{
    struct record record = { .kind = RECORD_READING, .event_time_ms = event_ms };
    record.reading.device = text_of("d");
    record.reading.metric = text_of("state");
    record.reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(text) };
    struct stream_moment moment = { .t_ms = g->t_ms, .reached_ms = event_ms };
    streams_take(g->streams, &record, &moment, &g->out);
}

static void texts_are_told_and_kept(void **state)
{
    (void)state;
    static struct stage g;
    static struct bodies told;
    struct stream_config c = config_of();
    c.aggregate_count = 4;
    strcpy(c.aggregates[0].text, "first");
    strcpy(c.aggregates[1].text, "last(value) as now");
    strcpy(c.aggregates[2].text, "top(value, 2) as most");
    strcpy(c.aggregates[3].text, "last(value * 1) as number");
    c.derived_count = STREAM_DERIVED_MAX;
    for (uint32_t i = 0; i < STREAM_DERIVED_MAX; i++) {
        (void)snprintf(c.derived[i].name, sizeof c.derived[i].name, "derived_%u", i);
        strcpy(c.derived[i].of, i == 0 ? "now != first" : "default(most, device)");
    }
    set_stage(&g, &c);
    g.out = (struct stream_out){ .ctx = &told, .result = on_text };
    take_text(&g, "run", 1000);
    take_text(&g, "idle", 3000);
    take_text(&g, "run", 2000);
    take_text(&g, "run", 12000);
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.last, "\"values\":{\"first\":\"run\",\"now\":\"idle\",\"most\":\"run:2 idle:1\",\"number\":null,"
                                      "\"derived_0\":true,\"derived_1\":\"run:2 idle:1\""));
    char worst[200];
    memset(worst, 1, sizeof worst - 1); /* each is told by six characters */
    worst[sizeof worst - 1] = '\0';
    for (int i = 0; i < 4; i++) {
        worst[0] = (char)(1 + i);
        take_text(&g, worst, 22000 + i);
    }
    let_time_pass(&g, 60000);
    assert_int_equal(told.count, 3);
    assert_true(strlen(told.last) > 9 * 2 * 6 * HELD_TEXT_BYTES);
    free(g.memory);
}

static void what_can_not_be_is_refused(void **state)
{
    (void)state;
    struct { struct stream_config c; const char *why; uint32_t column; } bad[34];
    for (size_t i = 0; i < 34; i++)
        bad[i].c = config_of();
    strcpy(bad[0].c.where, "value + 1"), bad[0].why = "a boolean is needed", bad[0].column = 1;
    strcpy(bad[1].c.key[0].name, "zonk"), bad[1].why = "no reading has a field `zonk`", bad[1].column = 0;
    strcpy(bad[2].c.aggregates[0].text, "sum(val)"), bad[2].why = "nothing called `val`", bad[2].column = 5;
    strcpy(bad[3].c.aggregates[0].text, "sun"), bad[3].why = "no such aggregate", bad[3].column = 1;
    strcpy(bad[4].c.aggregates[0].text, "sum(value"), bad[4].why = "not closed", bad[4].column = 4;
    strcpy(bad[5].c.aggregates[0].text, "sum of"), bad[5].why = "only `as`", bad[5].column = 5;
    strcpy(bad[6].c.aggregates[0].text, "sum as 2 3"), bad[6].why = "a name is", bad[6].column = 10;
    strcpy(bad[7].c.aggregates[0].text, "sum(metric)"), bad[7].why = "a number is needed", bad[7].column = 5;
    bad[8].c.window = STREAM_HOPPING, bad[8].c.slide_ms = 20000, bad[8].why = "longer than `size`", bad[8].column = 0;
    bad[9].c.window = STREAM_HOPPING, bad[9].c.slide_ms = 1, bad[9].why = "panes", bad[9].column = 0;
    strcpy(bad[10].c.aggregates[0].text, "quantile(value)"), bad[10].why = "needs its q", bad[10].column = 1;
    strcpy(bad[11].c.aggregates[0].text, "quantile(value, 2)"), bad[11].why = "needs its q", bad[11].column = 1;
    strcpy(bad[12].c.aggregates[0].text, "ewma(value, 0)"), bad[12].why = "above 0", bad[12].column = 1;
    strcpy(bad[13].c.aggregates[0].text, "top(value)"), bad[13].why = "needs its k", bad[13].column = 1;
    strcpy(bad[14].c.aggregates[0].text, "top(value, 9)"), bad[14].why = "from 1 to 8", bad[14].column = 1;
    strcpy(bad[15].c.aggregates[0].text, "top(value, 2.5)"), bad[15].why = "a whole number", bad[15].column = 1;
    for (size_t i = 16; i < 28; i++)
        bad[i].c.window = STREAM_SLIDING, bad[i].c.last_count = 5, bad[i].column = 0;
    bad[16].c.last_count = 0, bad[16].why = "one of them";
    bad[17].c.span_ms = 1000, bad[17].why = "one of them";
    bad[18].c.slide_ms = 500, bad[18].why = "has no `slide`";
    bad[19].c.readings_max = 5, bad[19].why = "more than the 5";
    bad[20].c.last_count = 0, bad[20].c.span_ms = 1000, bad[20].c.readings_max = 9, bad[20].why = "goes with `last`";
    bad[21].c.last_count = 0, bad[21].c.span_ms = 1000, bad[21].c.every_ms = 300, bad[21].why = "has to divide `span`";
    bad[22].c.last_count = 0, bad[22].c.span_ms = 60000, bad[22].c.every_ms = 10, bad[22].why = "a longer `every`";
    bad[23].c.window = STREAM_HOPPING, bad[23].why = "of windows of `type: sliding`";
    bad[24].c.last_count = 512, bad[24].why = "1179648 steps of aggregates at once, and may take 600000";
    bad[25].c.readings_max = 2048, bad[25].c.last_count = 293, bad[25].why = "600064 steps";
    strcpy(bad[25].c.aggregates[0].text, "max");
    bad[26].c.last_count = 131, bad[26].why = "1120080 steps of aggregates at once, and may take 600000: a smaller `last` or `readings`, or fewer";
    strcpy(bad[26].c.aggregates[0].text, "top(value, 2)");
    bad[27].c.last_count = 2, bad[27].c.readings_max = 2048, bad[27].why = "741376 steps"; /* to tell so many is dear */
    strcpy(bad[27].c.aggregates[0].text, "distinct");
    /* Of panes it is those merged, and the windows told, that may be too many. */
    for (size_t i = 28; i < 33; i++)
        bad[i].c.window = STREAM_SLIDING, bad[i].c.size_ms = bad[i].c.span_ms = 120000, bad[i].c.every_ms = 1000, bad[i].c.lateness_ms = 240000, bad[i].column = 0;
    bad[28].why = "245 windows of a key may wait, of up to 120 panes, and be told with one reading, in 820750 steps of aggregates; it may take 600000: choose a longer `every`, a shorter lateness, fewer `panes` or fewer";
    strcpy(bad[28].c.aggregates[0].text, "distinct");
    bad[29].c.span_ms = 720000, bad[29].c.lateness_ms = bad[29].c.out_of_orderness_ms = 0, bad[29].why = "choose a longer `every` or fewer aggregates";
    strcpy(bad[29].c.aggregates[0].text, "top(value, 2)");
    bad[30].c.window = STREAM_HOPPING, bad[30].c.span_ms = bad[30].c.every_ms = 0, bad[30].c.slide_ms = 1000, bad[30].why = "choose a longer `slide`, a shorter lateness";
    strcpy(bad[30].c.aggregates[0].text, "median");
    bad[31].c.window = STREAM_TUMBLING, bad[31].c.span_ms = bad[31].c.every_ms = 0, bad[31].c.size_ms = 100, bad[31].why = "of up to 1 panes";
    strcpy(bad[31].c.aggregates[0].text, "distinct");
    bad[32].c.span_ms = 720000, bad[32].c.lateness_ms = 720000, bad[32].why = "725 windows of a key may wait"; /* and the cheap ones too */
    bad[33].c.window = STREAM_SESSION, bad[33].c.gap_ms = 1000, bad[33].c.sessions_max = 200, bad[33].why = "200 `sessions` of a key may be told with one reading, in 727200 steps", bad[33].column = 0;
    strcpy(bad[33].c.aggregates[0].text, "top(value, 2)");
    for (size_t i = 0; i < 34; i++) {
        struct stream_fields fields;
        struct stream_plan plan;
        struct stream_fault fault = { 0 };
        bad[i].c.aggregate_count = bad[i].c.aggregates[0].text[0] != '\0';
        stream_fields_begin(&fields);
        int err = stream_compile(&plan, &bad[i].c, &fields, &fault);
        if (err != WEIR_EINVAL || strstr(fault.why, bad[i].why) == NULL || fault.column != bad[i].column)
            fail_msg("%zu: %d %u %s", i, err, fault.column, fault.why);
    }
    struct stream_config c = config_of();
    strcpy(c.aggregates[0].text, "sum(value)");
    strcpy(c.aggregates[1].text, "sum(time)");
    c.aggregate_count = 2;
    struct stream_fields fields;
    struct stream_plan plan;
    struct stream_fault fault;
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plan, &c, &fields, &fault), WEIR_EINVAL);
    assert_non_null(strstr(fault.why, "another aggregate has this name"));
    strcpy(c.aggregates[1].text, "sum( time ) as  seconds ");
    assert_int_equal(stream_compile(&plan, &c, &fields, &fault), 0);
    assert_string_equal(plan.aggregates[1].name, "seconds");
    c.aggregate_count = STREAM_AGGREGATES_MAX;
    for (int i = 0; i < STREAM_AGGREGATES_MAX; i++)
        (void)snprintf(c.aggregates[i].text, sizeof c.aggregates[i].text, "top(value, 8) as top_%d", i);
    assert_int_equal(stream_compile(&plan, &c, &fields, &fault), WEIR_EINVAL);
    assert_non_null(strstr(fault.why, "the texts of a result may take 11008 bytes, and have room for 6144"));
    assert_ptr_equal(fault.field, c.aggregates);
}

static struct stream_plan sliding_plan(uint32_t last_count, int64_t span_ms, const char *aggregate)
{
    static struct stream_config c; /* the plan points into both */
    static struct stream_fields fields;
    struct stream_plan plan;
    struct stream_fault fault;
    c = config_of();
    c.window = STREAM_SLIDING, c.last_count = last_count, c.span_ms = span_ms, c.lateness_ms = c.out_of_orderness_ms = 0;
    strcpy(c.aggregates[0].text, aggregate);
    c.aggregate_count = 1;
    stream_fields_begin(&fields);
    assert_int_equal(stream_compile(&plan, &c, &fields, &fault), 0);
    return plan;
}

/* A window of the last n is long only where its aggregates are few and cheap. */
static void steps_of_sliding(void **state)
{
    (void)state;
    assert_int_equal(sliding_plan(512, 0, "mean").result_steps, 512);
    assert_int_equal(sliding_plan(512, 0, "stddev").result_steps, 512);
    assert_int_equal(sliding_plan(20, 0, "top(value, 8)").result_steps, 20 * 24 + 2600);
    assert_int_equal(sliding_plan(73, 0, "top(value, 8)").panes, 73 + 64 + 1);
}

/* Of a span each window that the ring has whole, of hopping ones also those that it has the beginning of. */
static void steps_of_panes(void **state)
{
    (void)state;
    struct stream_plan plan = sliding_plan(0, 60000, "distinct"); /* 60 panes of 1 s, and 2 more */
    assert_int_equal(plan.result_steps, 350 + 60 * 25);
    assert_int_equal(plan.at_once, 3);
    assert_int_equal(plan.at_once_steps, 3 * plan.result_steps);
    struct stage g;
    struct stream_config c = config_of();
    c.window = STREAM_HOPPING, c.size_ms = 6000, c.slide_ms = 2000, c.lateness_ms = c.out_of_orderness_ms = 0;
    strcpy(c.aggregates[0].text, "distinct");
    c.aggregate_count = 1;
    set_stage(&g, &c);
    assert_int_equal(g.plan.panes, 3 + 1 + 1); /* windows of 3, 3, 3, 2 and 1 panes */
    assert_int_equal(g.plan.at_once, 5);
    assert_int_equal(g.plan.at_once_steps, 5 * 350 + (3 + 3 + 3 + 2 + 1) * 25);
    for (int i = 0; i < 5; i++)
        take_reading(&g, 1, 100000 + i * 2000, 100000, i); /* the clock stands, and all wait */
    take(&g, 1, 900000, 0);
    assert_in_range(g.telling.count, 5, 5 + 2); /* and some that began before */
    free(g.memory);
}

static double cpu_s(int64_t span_ms)
{
    struct timespec from, to;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    (void)sliding_plan(0, span_ms, "mean");
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* A span's piece is the longest that divides it and is not above a 60th, and is found as fast when
 * the span is a year and the piece far from a 60th. */
static void usual_pieces(void **state)
{
    static const struct { int64_t span_ms, every_ms; } table[] = {
        { 1, 1 }, { 59, 1 }, { 61, 1 }, { 719, 1 }, { 1000, 10 }, { 60000, 1000 },
        { 300000, 5000 }, { 3600000, 60000 }, { 86400000, 1440000 }, { (int64_t)719 * 43889987, 43889987 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(sliding_plan(0, table[i].span_ms, "mean").pane_ms, table[i].every_ms);
    double easy_s = cpu_s((int64_t)720 * 43890000), hard_s = cpu_s((int64_t)719 * 43889987);
    if (hard_s > 1000 * easy_s + 0.01)
        fail_msg("%g s for one, %g s for the other", easy_s, hard_s);
}

/* --- the oracle: every window has the list of its readings --- */

struct point {
    int64_t event_ms;
    double value;
    int group;    /* sessions: which one */
    bool changed; /* since it was told last; of a session, or of the last n that it ends */
};
struct oracle_window {
    int64_t start_ms, end_ms;
    uint32_t revision;
    bool fired; /* the watermark has passed it */
    size_t count;
    struct point points[VALUES];
};
struct identity { /* of what was told */
    int64_t start_ms, end_ms;
    uint32_t revision; /* that it would have next */
    bool closed;
};
struct oracle_key {
    bool known, idle;
    int64_t watermark_ms, last_t_ms, early_ms, early_from_ms;
    int64_t floor_ms;  /* windows that start before are closed; sessions and readings before are late */
    size_t count;
    struct oracle_window windows[WINDOWS];
    size_t point_count, told_count, gone; /* sessions and the last n have lists of their own */
    int64_t fired_ms, closed_ms;
    int groups;
    struct point points[VALUES];
    struct identity told[VALUES];
};
struct oracle {
    const struct stage *g;
    struct oracle_key keys[KEYS];
    struct telling telling;
    uint64_t late, refused, evicted, expired, delays[STREAM_DELAYS + 1];
};

static int64_t size_of(const struct oracle *o)
{
    return o->g->config.span_ms > 0 ? o->g->config.span_ms : o->g->config.size_ms;
}

static int64_t slide_of(const struct oracle *o)
{
    const struct stream_config *c = &o->g->config;
    if (c->window == STREAM_SLIDING)
        return c->every_ms > 0 ? c->every_ms : 1;
    return c->slide_ms > 0 ? c->slide_ms : c->size_ms;
}

static int64_t multiple_above(int64_t x, int64_t step) /* the least that is not below x */
{
    int64_t rest = x % step;
    return rest == 0 ? x : x - rest + (x > 0 ? step : 0);
}

/* Up to where the watermark lets windows be told. */
static int64_t firing_of(const struct oracle *o, int64_t watermark_ms)
{
    return watermark_ms - (o->g->config.final_only ? o->g->config.lateness_ms : 0);
}

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool zone_before(int a, int b, const int *counts) /* 8, a number, before the texts */
{
    if (counts[a] != counts[b])
        return counts[a] > counts[b];
    return a == 8 || (b != 8 && a < b);
}

/* first(zone), last(zone) and top(zone, 3) of readings that are sorted by time. */
static void tell_zones(struct told *t, const struct point *sorted, size_t n)
{
    int counts[9] = { 0 };
    char room[3], top[TEXT] = "";
    for (size_t i = 0; i < n; i++) {
        struct datum zone = zone_of(sorted[i].value, room);
        if (zone.kind == DATUM_NULL)
            continue;
        counts[zone.kind == DATUM_NUMBER ? 8 : zone.text.at[1] - '0']++;
        for (uint32_t v = t->values[NUMBERS].kind == DATUM_NULL ? 0 : 1; v < 2; v++) {
            t->values[NUMBERS + v] = zone;
            if (zone.kind == DATUM_TEXT)
                keep_text(t, NUMBERS + v, zone.text);
        }
    }
    for (int place = 0; place < 3; place++) {
        int best = 0;
        for (int zone = 1; zone < 9; zone++)
            best = zone_before(zone, best, counts) ? zone : best;
        if (counts[best] > 0)
            (void)snprintf(top + strlen(top), sizeof top - strlen(top), "%s%s%d:%d", place > 0 ? " " : "",
                           best == 8 ? "" : "z", best, counts[best]);
        counts[best] = 0;
    }
    if (top[0] != '\0')
        keep_text(t, NUMBERS + 2, text_of(top));
}

static void oracle_tell(struct oracle *o, int key, struct oracle_window *w, enum stream_result_kind kind, bool forced)
{
    struct told *t = &o->telling.told[o->telling.count++];
    assert_true(o->telling.count < TOLD && w->count > 0);
    *t = (struct told){ key, w->start_ms, w->end_ms, w->revision, forced, kind, { { 0 } }, { "" } };
    w->revision++;
    static struct point sorted[VALUES];
    memcpy(sorted, w->points, w->count * sizeof sorted[0]);
    for (size_t i = 1; i < w->count; i++) /* insertion: stable */
        for (size_t j = i; j > 0 && sorted[j - 1].event_ms > sorted[j].event_ms; j--) {
            struct point p = sorted[j];
            sorted[j] = sorted[j - 1], sorted[j - 1] = p;
        }
    long double sum = 0, m2 = 0;
    double min = INFINITY, max = -INFINITY;
    size_t n = w->count;
    for (size_t i = 0; i < n; i++) {
        sum += sorted[i].value;
        min = fmin(min, sorted[i].value), max = fmax(max, sorted[i].value);
    }
    for (size_t i = 0; i < n; i++)
        m2 += ((long double)sorted[i].value - sum / n) * ((long double)sorted[i].value - sum / n);
    size_t first = 0, last = n - 1;
    long double span = (sorted[last].event_ms - sorted[first].event_ms) / 1000.0L;
    long double delta = (long double)sorted[last].value - sorted[first].value;
    static double by_value[VALUES];
    for (size_t i = 0; i < n; i++)
        by_value[i] = w->points[i].value;
    qsort(by_value, n, sizeof by_value[0], compare_values);
    long double weight = 0, weighed = 0;
    size_t different = 1;
    for (size_t i = 0; i < n; i++) {
        long double fade = expl(-(long double)(sorted[last].event_ms - sorted[i].event_ms) / 5000);
        weight += fade, weighed += fade * (long double)sorted[i].value;
        different += i > 0 && by_value[i] != by_value[i - 1];
    }
    const long double values[] = { n, sum, sum / n, min, max, m2 / (n - 1), sqrtl(m2 / (n - 1)), sorted[first].value,
                                   sorted[last].value, delta, delta / span, (long double)max - min,
                                   by_value[(size_t)(0.9 * (double)(n - 1))], different, weighed / weight };
    bool zones = strncmp(o->g->config.aggregates[NUMBERS].text, "first(zone)", 11) == 0;
    if (zones)
        tell_zones(t, sorted, n);
    for (size_t i = 0; i < (zones ? (size_t)NUMBERS : 15); i++) {
        bool is = (i != 5 && i != 6) || n > 1;
        is = is && (i != 10 || span > 0);
        if (is)
            t->values[i] = (struct datum){ .kind = DATUM_NUMBER, .number = (double)values[i] };
    }
}

static void note_needed(struct oracle *o, int64_t needed_ms)
{
    int i = 0;
    while (i < STREAM_DELAYS && stream_delays_ms[i] < needed_ms)
        i++;
    o->delays[i]++;
}

/* --- the oracle of windows --- */

/* A sliding one is told that has a reading in its last piece. */
static bool is_told(const struct oracle *o, const struct oracle_window *w)
{
    bool is = o->g->config.window != STREAM_SLIDING;
    for (size_t i = 0; i < w->count; i++)
        is = is || w->points[i].event_ms >= w->end_ms - slide_of(o);
    return is;
}

/* Fire, oldest first, the windows that were not and end at or before this (or start before `early`). */
static void oracle_fire(struct oracle *o, int key, int64_t end_ms, int64_t early_ms)
{
    struct oracle_key *k = &o->keys[key];
    for (;;) {
        struct oracle_window *next = NULL;
        for (size_t i = 0; i < k->count; i++) {
            struct oracle_window *w = &k->windows[i];
            bool due = w->end_ms <= end_ms || w->start_ms < early_ms;
            if (!w->fired && due && (next == NULL || w->start_ms < next->start_ms))
                next = w;
        }
        if (next == NULL)
            return;
        next->fired = true;
        if (is_told(o, next))
            oracle_tell(o, key, next, STREAM_CLOSE, next->end_ms > end_ms);
    }
}

static void windows_idle(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    int64_t end_ms = INT64_MIN;
    for (size_t i = 0; i < k->count; i++)
        if (!k->windows[i].fired && is_told(o, &k->windows[i]) && k->windows[i].end_ms > end_ms)
            end_ms = k->windows[i].end_ms;
    if (end_ms == INT64_MIN)
        return;
    oracle_fire(o, key, end_ms, INT64_MIN);
    end_ms += o->g->config.final_only ? o->g->config.lateness_ms : 0;
    k->watermark_ms = end_ms > k->watermark_ms ? end_ms : k->watermark_ms;
}

/* Those open ones that end behind the first reading that came since they were told early last. */
static void windows_early(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    for (int64_t behind_ms = INT64_MIN;;) {
        struct oracle_window *next = NULL;
        for (size_t i = 0; i < k->count; i++) {
            struct oracle_window *w = &k->windows[i];
            if (!w->fired && w->start_ms > behind_ms && w->end_ms > k->early_from_ms && is_told(o, w) &&
                (next == NULL || w->start_ms < next->start_ms))
                next = w;
        }
        if (next == NULL)
            return;
        behind_ms = next->start_ms;
        oracle_tell(o, key, next, STREAM_EARLY, false);
    }
}

static void windows_take(struct oracle *o, int key, int64_t event_ms, double value)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    int64_t size = size_of(o), slide = slide_of(o), pane = o->g->plan.pane_ms;
    /* what it needs to be in the first window that it falls into */
    int64_t needed = 0, first = event_ms - ((event_ms % slide) + slide) % slide;
    while (first - slide + size > event_ms)
        first -= slide;
    if (first + size <= k->watermark_ms)
        needed = k->watermark_ms - first - size + 1;
    note_needed(o, needed);
    /* the first window that is open: start + size + lateness > watermark */
    int64_t open = multiple_above(k->watermark_ms - size - c->lateness_ms + 1, slide);
    open = open > k->floor_ms ? open : k->floor_ms;
    int64_t newest = event_ms - ((event_ms % slide) + slide) % slide;
    if (newest < open) {
        o->late++;
        return;
    }
    int64_t number = (event_ms - ((event_ms % pane) + pane) % pane) / pane;
    if (number - open / pane >= o->g->plan.panes) { /* no room: the oldest are closed early */
        k->floor_ms = multiple_above((number - o->g->plan.panes + 1) * pane, slide);
        oracle_fire(o, key, firing_of(o, k->watermark_ms), k->floor_ms);
        open = k->floor_ms;
    }
    size_t kept = 0; /* those that are closed go */
    for (size_t i = 0; i < k->count; i++)
        if (k->windows[i].start_ms >= open) {
            if (kept != i)
                k->windows[kept] = k->windows[i];
            kept++;
        }
    k->count = kept;
    int64_t oldest = newest;
    while (oldest - slide + size > event_ms && oldest - slide >= open)
        oldest -= slide;
    for (int64_t start = oldest; start <= newest; start += slide) {
        struct oracle_window *w = NULL;
        for (size_t i = 0; i < k->count; i++)
            w = k->windows[i].start_ms == start ? &k->windows[i] : w;
        if (w == NULL) {
            assert_true(k->count < WINDOWS);
            w = &k->windows[k->count++];
            w->start_ms = start, w->end_ms = start + size, w->revision = 0, w->count = 0;
            w->fired = w->end_ms <= firing_of(o, k->watermark_ms);
        }
        assert_true(w->count < VALUES);
        w->points[w->count++] = (struct point){ .event_ms = event_ms, .value = value };
    }
    for (int64_t start = oldest; start <= newest; start += slide)
        for (size_t i = 0; i < k->count; i++)
            if (k->windows[i].start_ms == start && k->windows[i].fired && is_told(o, &k->windows[i]))
                oracle_tell(o, key, &k->windows[i], k->windows[i].revision == 0 ? STREAM_CLOSE : STREAM_REVISION,
                            false);
    if (event_ms - ((event_ms % pane) + pane) % pane < k->early_from_ms)
        k->early_from_ms = event_ms - ((event_ms % pane) + pane) % pane;
}

/* --- what sessions and the last n share: all readings of a key, sorted, and what was told by its bounds --- */

static struct identity *told_as(struct oracle_key *k, int64_t start_ms, int64_t end_ms)
{
    for (size_t i = 0; i < k->told_count; i++)
        if (k->told[i].start_ms == start_ms && k->told[i].end_ms == end_ms)
            return &k->told[i];
    return NULL;
}

static struct identity *identity_of(struct oracle_key *k, int64_t start_ms, int64_t end_ms)
{
    struct identity *id = told_as(k, start_ms, end_ms);
    if (id != NULL)
        return id;
    assert_true(k->told_count < VALUES);
    k->told[k->told_count] = (struct identity){ start_ms, end_ms, 0, false };
    return &k->told[k->told_count++];
}

static size_t add_point(struct oracle_key *k, int64_t event_ms, double value)
{
    size_t at = k->point_count++;
    assert_true(k->point_count < VALUES);
    for (; at > 0 && k->points[at - 1].event_ms > event_ms; at--)
        k->points[at] = k->points[at - 1];
    k->points[at] = (struct point){ .event_ms = event_ms, .value = value, .changed = true };
    return at;
}

/* A window of these points; forced and kind as they are told. */
static void tell_points(struct oracle *o, int key, struct identity *id, const struct oracle_window *points,
                        enum stream_result_kind kind, bool forced)
{
    static struct oracle_window w;
    w = *points;
    w.start_ms = id->start_ms, w.end_ms = id->end_ms, w.revision = id->revision++;
    id->closed = id->closed || kind == STREAM_CLOSE;
    oracle_tell(o, key, &w, kind, forced);
}

/* --- the oracle of sessions: readings cut where a gap is; with a greatest length each has its group as it comes --- */

struct run {
    int group;
    int64_t first_ms, last_ms;
    size_t count;
    bool changed;
};

static void cut(struct oracle_key *k, int64_t gap_ms)
{
    for (size_t i = 0; i < k->point_count; i++)
        k->points[i].group = i == 0 ? 0 : k->points[i - 1].group +
                             (k->points[i].event_ms - k->points[i - 1].event_ms >= gap_ms);
}

/* The sessions, in order of their first readings. */
static size_t list_runs(const struct oracle *o, struct oracle_key *k, struct run *runs)
{
    size_t count = 0;
    if (o->g->config.length_max_ms == 0)
        cut(k, o->g->config.gap_ms);
    for (size_t i = 0; i < k->point_count; i++) {
        const struct point *p = &k->points[i];
        size_t at = 0;
        while (at < count && runs[at].group != p->group)
            at++;
        if (at == count)
            runs[count++] = (struct run){ p->group, p->event_ms, p->event_ms, 0, false };
        runs[at].last_ms = p->event_ms;
        runs[at].changed = runs[at].changed || p->changed;
        runs[at].count++;
    }
    return count;
}

static bool may_join(const struct oracle *o, const struct run *run, int64_t first_ms, int64_t last_ms)
{
    const struct stream_config *c = &o->g->config;
    int64_t first = run->first_ms < first_ms ? run->first_ms : first_ms;
    int64_t last = run->last_ms > last_ms ? run->last_ms : last_ms;
    bool apart = first_ms - run->last_ms >= c->gap_ms || run->first_ms - last_ms >= c->gap_ms;
    return !apart && (c->length_max_ms == 0 || last - first <= c->length_max_ms);
}

static void tell_run(struct oracle *o, int key, const struct run *run, bool early, bool forced)
{
    struct oracle_key *k = &o->keys[key];
    static struct oracle_window w;
    struct identity *id = identity_of(k, run->first_ms, run->last_ms + o->g->config.gap_ms);
    w.count = 0;
    for (size_t i = 0; i < k->point_count; i++)
        if (k->points[i].group == run->group) {
            w.points[w.count++] = k->points[i];
            k->points[i].changed = false;
        }
    tell_points(o, key, id, &w, early ? STREAM_EARLY : id->closed ? STREAM_REVISION : STREAM_CLOSE, forced);
}

static bool is_closed(const struct oracle *o, struct oracle_key *k, const struct run *run)
{
    const struct identity *id = told_as(k, run->first_ms, run->last_ms + o->g->config.gap_ms);
    return id != NULL && id->closed;
}

static void forget_run(const struct oracle *o, struct oracle_key *k, const struct run *run)
{
    struct identity *id = told_as(k, run->first_ms, run->last_ms + o->g->config.gap_ms);
    size_t kept = 0;
    if (id != NULL)
        *id = k->told[--k->told_count];
    for (size_t i = 0; i < k->point_count; i++)
        if (k->points[i].group != run->group)
            k->points[kept++] = k->points[i];
    k->point_count = kept;
}

static void session_advance(struct oracle *o, int key)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    struct run runs[VALUES];
    size_t count = list_runs(o, k, runs);
    for (size_t i = 0; i < count; i++)
        if (runs[i].last_ms + c->gap_ms <= firing_of(o, k->watermark_ms) && !is_closed(o, k, &runs[i]))
            tell_run(o, key, &runs[i], false, false);
    for (size_t i = 0; i < count; i++)
        if (runs[i].last_ms + c->gap_ms + c->lateness_ms <= k->watermark_ms)
            forget_run(o, k, &runs[i]);
}

static void session_idle(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    struct run runs[VALUES];
    int64_t end_ms = INT64_MIN;
    size_t count = list_runs(o, k, runs);
    for (size_t i = 0; i < count; i++)
        if (!is_closed(o, k, &runs[i]) && runs[i].last_ms + o->g->config.gap_ms > end_ms)
            end_ms = runs[i].last_ms + o->g->config.gap_ms;
    if (end_ms == INT64_MIN)
        return;
    end_ms += o->g->config.final_only ? o->g->config.lateness_ms : 0;
    if (end_ms <= k->watermark_ms)
        return;
    k->watermark_ms = end_ms;
    session_advance(o, key);
}

static void session_all(struct oracle *o, int key, bool early)
{
    struct oracle_key *k = &o->keys[key];
    struct run runs[VALUES];
    size_t count = list_runs(o, k, runs);
    for (size_t i = 0; i < count; i++)
        if (!is_closed(o, k, &runs[i]) && (!early || runs[i].changed))
            tell_run(o, key, &runs[i], early, !early);
}

static void take_back(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    struct run runs[VALUES];
    size_t count = list_runs(o, k, runs);
    for (;;) { /* the first that was told and is no session any more */
        struct identity *gone = NULL;
        for (size_t i = 0; i < k->told_count; i++) {
            bool is = false;
            for (size_t r = 0; r < count; r++)
                is = is || (runs[r].first_ms == k->told[i].start_ms &&
                            runs[r].last_ms + o->g->config.gap_ms == k->told[i].end_ms);
            if (!is && (gone == NULL || k->told[i].start_ms < gone->start_ms))
                gone = &k->told[i];
        }
        if (gone == NULL)
            return;
        o->telling.told[o->telling.count++] = (struct told){ key, gone->start_ms, gone->end_ms, gone->revision, false,
                                                             STREAM_RETRACTION, { { 0 } }, { "" } };
        *gone = k->told[--k->told_count];
    }
}

static void session_take(struct oracle *o, int key, int64_t event_ms, double value)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    struct run runs[VALUES];
    size_t count = list_runs(o, k, runs), joined = 0;
    note_needed(o, k->watermark_ms - event_ms - c->gap_ms + 1);
    while (joined < count && !may_join(o, &runs[joined], event_ms, event_ms))
        joined++;
    bool closed = event_ms + c->gap_ms + c->lateness_ms <= k->watermark_ms || event_ms < k->floor_ms;
    bool full = joined == count && count == c->sessions_max;
    if (joined == count && (closed || (full && event_ms < runs[0].first_ms))) {
        o->late++;
        return;
    }
    if (full) {
        if (!is_closed(o, k, &runs[0]))
            tell_run(o, key, &runs[0], false, true);
        k->floor_ms = runs[0].last_ms + 1;
        forget_run(o, k, &runs[0]);
    }
    int group = joined < count ? runs[joined].group : ++k->groups;
    if (joined + 1 < count && c->length_max_ms > 0) { /* and the one behind it, where they meet now */
        int64_t first = runs[joined].first_ms < event_ms ? runs[joined].first_ms : event_ms;
        int64_t last = runs[joined].last_ms > event_ms ? runs[joined].last_ms : event_ms;
        bool next = may_join(o, &runs[joined + 1], first, last);
        for (size_t i = 0; next && i < k->point_count; i++)
            if (k->points[i].group == runs[joined + 1].group)
                k->points[i].group = group;
    }
    k->points[add_point(k, event_ms, value)].group = group;
    take_back(o, key);
    count = list_runs(o, k, runs);
    if (c->length_max_ms == 0) /* they were cut anew */
        for (size_t i = 0; i < k->point_count; i++)
            group = k->points[i].event_ms == event_ms ? k->points[i].group : group;
    for (size_t i = 0; i < count; i++)
        if (runs[i].group == group && runs[i].last_ms + c->gap_ms <= firing_of(o, k->watermark_ms))
            tell_run(o, key, &runs[i], false, false);
}

/* --- the oracle of the last n: no reading is ever let go --- */

static int64_t end_of(const struct oracle *o, int64_t event_ms)
{
    return multiple_above(event_ms + 1, slide_of(o));
}

static void tell_last(struct oracle *o, int key, size_t newest, enum stream_result_kind kind, bool forced)
{
    struct oracle_key *k = &o->keys[key];
    static struct oracle_window w;
    size_t n = o->g->config.last_count, from = newest + 1 > n ? newest + 1 - n : 0;
    int64_t end_ms = end_of(o, k->points[newest].event_ms);
    w.count = newest + 1 - from;
    memcpy(w.points, k->points + from, w.count * sizeof w.points[0]);
    k->points[newest].changed = false;
    tell_points(o, key, identity_of(k, end_ms - slide_of(o), end_ms), &w, kind, forced);
}

static bool is_newest(const struct oracle *o, const struct oracle_key *k, size_t i)
{
    return i + 1 == k->point_count || end_of(o, k->points[i + 1].event_ms) > end_of(o, k->points[i].event_ms);
}

static void last_fire(struct oracle *o, int key, int64_t to_ms, bool forced)
{
    struct oracle_key *k = &o->keys[key];
    for (size_t i = 0; i < k->point_count; i++) {
        int64_t end_ms = end_of(o, k->points[i].event_ms);
        if (is_newest(o, k, i) && end_ms > k->fired_ms && end_ms <= to_ms)
            tell_last(o, key, i, STREAM_CLOSE, forced);
    }
    k->fired_ms = to_ms > k->fired_ms ? to_ms : k->fired_ms;
}

static size_t count_closed(const struct oracle *o, const struct oracle_key *k)
{
    size_t count = 0;
    while (count < k->point_count && end_of(o, k->points[count].event_ms) <= k->closed_ms)
        count++;
    return count;
}

static void last_advance(struct oracle *o, int key)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    int64_t closed_ms = k->watermark_ms - c->lateness_ms;
    last_fire(o, key, firing_of(o, k->watermark_ms), false);
    k->closed_ms = closed_ms > k->closed_ms ? closed_ms : k->closed_ms;
    size_t closed = count_closed(o, k);
    k->gone = closed + 1 > c->last_count + k->gone ? closed + 1 - c->last_count : k->gone;
}

static void last_take(struct oracle *o, int key, int64_t event_ms, double value)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    int64_t end_ms = end_of(o, event_ms);
    size_t at = k->point_count, closed = count_closed(o, k);
    note_needed(o, k->watermark_ms - end_ms + 1);
    while (at > 0 && k->points[at - 1].event_ms > event_ms)
        at--;
    bool needed = end_ms > k->closed_ms || closed + 1 < c->last_count + at;
    if (!needed || event_ms < k->floor_ms) {
        o->late++;
        return;
    }
    at = add_point(k, event_ms, value);
    for (size_t i = at; i < k->point_count && i < at + c->last_count; i++) {
        int64_t own_ms = end_of(o, k->points[i].event_ms);
        if (own_ms <= k->closed_ms || !is_newest(o, k, i))
            continue;
        k->points[i].changed = true;
        const struct identity *id = told_as(k, own_ms - slide_of(o), own_ms);
        if (own_ms <= k->fired_ms)
            tell_last(o, key, i, id != NULL ? STREAM_REVISION : STREAM_CLOSE, false);
    }
    size_t most = c->readings_max > 0 ? c->readings_max : c->last_count + 64;
    if (k->point_count - k->gone <= most)
        return;
    size_t last = k->gone + c->last_count - 1;
    int64_t room_ms = end_of(o, k->points[last].event_ms) - (is_newest(o, k, last) ? 0 : slide_of(o));
    last_fire(o, key, room_ms, true);
    k->closed_ms = room_ms > k->closed_ms ? room_ms : k->closed_ms;
    k->floor_ms = k->points[k->gone++].event_ms;
}

static void last_idle(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    int64_t end_ms = k->point_count > 0 ? end_of(o, k->points[k->point_count - 1].event_ms) : INT64_MIN;
    if (end_ms <= k->fired_ms)
        return;
    end_ms += o->g->config.final_only ? o->g->config.lateness_ms : 0;
    if (end_ms <= k->watermark_ms)
        return;
    k->watermark_ms = end_ms;
    last_advance(o, key);
}

static void last_early(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    for (size_t i = 0; i < k->point_count; i++)
        if (is_newest(o, k, i) && end_of(o, k->points[i].event_ms) > k->fired_ms && k->points[i].changed)
            tell_last(o, key, i, STREAM_EARLY, false);
}

/* --- the oracle's keys --- */

static void oracle_forget(struct oracle *o, int key)
{
    struct oracle_key *k = &o->keys[key];
    if (o->g->config.window == STREAM_SESSION)
        session_all(o, key, false);
    else if (o->g->config.last_count > 0)
        last_fire(o, key, INT64_MAX, true);
    else
        oracle_fire(o, key, INT64_MIN, INT64_MAX);
    k->known = false;
}

/* Of those that are known, and idle or not: the one longest without a reading; -1: none. */
static int longest_quiet(const struct oracle *o, bool idle)
{
    int found = -1;
    for (int k = 0; k < KEYS; k++)
        if (o->keys[k].known && o->keys[k].idle == idle &&
            (found < 0 || o->keys[k].last_t_ms < o->keys[found].last_t_ms))
            found = k;
    return found;
}

static int first_early(const struct oracle *o)
{
    int found = -1;
    for (int k = 0; k < KEYS; k++)
        if (o->keys[k].known && o->keys[k].early_ms < INT64_MAX &&
            (found < 0 || o->keys[k].early_ms < o->keys[found].early_ms))
            found = k;
    return found;
}

static void on_early(struct oracle *o, int key)
{
    o->keys[key].early_ms = INT64_MAX;
    if (o->g->config.window == STREAM_SESSION)
        session_all(o, key, true);
    else if (o->g->config.last_count > 0)
        last_early(o, key);
    else
        windows_early(o, key);
    o->keys[key].early_from_ms = INT64_MAX;
}

static void on_idle(struct oracle *o, int key)
{
    o->keys[key].idle = true;
    if (o->g->config.window == STREAM_SESSION)
        session_idle(o, key);
    else if (o->g->config.last_count > 0)
        last_idle(o, key);
    else
        windows_idle(o, key);
}

/* What is due by then, the earliest first; of equal ones early results, then idleness. */
static void oracle_pass(struct oracle *o, int64_t t_ms)
{
    for (;;) {
        int early = first_early(o), active = longest_quiet(o, false), quiet = longest_quiet(o, true);
        int64_t early_ms = early >= 0 ? o->keys[early].early_ms : INT64_MAX;
        int64_t idle_ms = active >= 0 ? o->keys[active].last_t_ms + o->g->config.idle_ms : INT64_MAX;
        int64_t ttl_ms = quiet >= 0 ? o->keys[quiet].last_t_ms + o->g->config.ttl_ms : INT64_MAX;
        if (early_ms > t_ms && idle_ms > t_ms && ttl_ms > t_ms)
            return;
        if (early_ms <= idle_ms && early_ms <= ttl_ms) {
            on_early(o, early);
        } else if (idle_ms <= ttl_ms) {
            on_idle(o, active);
        } else {
            o->expired++;
            oracle_forget(o, quiet);
        }
    }
}

static bool oracle_admits(struct oracle *o)
{
    uint32_t known = 0;
    for (int k = 0; k < KEYS; k++)
        known += o->keys[k].known;
    if (known < o->g->config.keys_max)
        return true;
    if (o->g->config.at_limit == STREAM_REFUSE)
        return false;
    int quiet = longest_quiet(o, true);
    o->evicted++;
    oracle_forget(o, quiet >= 0 ? quiet : longest_quiet(o, false));
    return true;
}

static void oracle_take(struct oracle *o, int key, int64_t event_ms, int64_t wall_ms, double value)
{
    const struct stream_config *c = &o->g->config;
    struct oracle_key *k = &o->keys[key];
    int64_t watermark = (event_ms < wall_ms ? event_ms : wall_ms) - c->out_of_orderness_ms;
    if (!k->known && !oracle_admits(o)) {
        o->refused++;
        return;
    }
    if (!k->known) {
        k->known = true, k->count = k->point_count = k->told_count = k->gone = 0, k->groups = 0;
        k->watermark_ms = k->floor_ms = k->fired_ms = k->closed_ms = INT64_MIN;
        k->early_ms = k->early_from_ms = INT64_MAX;
    }
    k->last_t_ms = o->g->t_ms;
    k->idle = false;
    bool moved = watermark > k->watermark_ms;
    k->watermark_ms = moved ? watermark : k->watermark_ms;
    if (c->window == STREAM_SESSION) {
        session_advance(o, key);
        session_take(o, key, event_ms, value);
    } else if (c->last_count > 0) {
        last_advance(o, key);
        last_take(o, key, event_ms, value);
    } else {
        oracle_fire(o, key, firing_of(o, k->watermark_ms), INT64_MIN);
        windows_take(o, key, event_ms, value);
    }
    if (c->early_ms > 0 && k->early_ms == INT64_MAX)
        k->early_ms = o->g->t_ms + c->early_ms;
}

static void compare(const struct telling *is, const struct telling *should, uint32_t aggregates, uint64_t seed)
{
    if (is->count != should->count)
        fail_msg("seed %" PRIu64 ": %zu told, not %zu", seed, is->count, should->count);
    for (size_t i = 0; i < is->count; i++) {
        const struct told *a = &is->told[i], *b = &should->told[i];
        if (a->key != b->key || a->start_ms != b->start_ms || a->end_ms != b->end_ms || a->revision != b->revision ||
            a->forced != b->forced || a->kind != b->kind)
            fail_msg("seed %" PRIu64 ": %zu is %d %" PRId64 " %u, not %d %" PRId64 " %u", seed, i, a->key, a->start_ms,
                     a->revision, b->key, b->start_ms, b->revision);
        if (b->kind == STREAM_RETRACTION) {
            assert_int_equal(a->values[0].kind, DATUM_NULL);
            continue;
        }
        double n = b->values[0].number;
        double scale = n * (fabs(b->values[3].number) + fabs(b->values[4].number)); /* of the sum of all terms */
        for (size_t v = 0; v < aggregates; v++) {
            if (b->values[v].kind == DATUM_TEXT) {
                if (a->values[v].kind != DATUM_TEXT || !text_equal(a->values[v].text, b->values[v].text))
                    fail_msg("seed %" PRIu64 ": %zu, value %zu is %s, not %s", seed, i, v, a->texts[v - NUMBERS],
                             b->texts[v - NUMBERS]);
                continue;
            }
            bool exact = v == 0 || v == 3 || v == 4 || v == 7 || v == 8;
            double off = fabs(a->values[v].number - b->values[v].number);
            double allowed = exact                ? 0
                             : v == 5             ? 1e-12 * scale * scale
                             : v == 6             ? 1e-6 * scale /* of a root near 0 */
                             : v == 12            ? 0.01001 * fabs(b->values[v].number)
                             : v == 13            ? 2 + 0.07 * b->values[v].number /* two of few in one register: 1e-5 */
                             : v == 10            ? 1e-12 * (scale * 1000 + fabs(b->values[v].number))
                                                  : 1e-12 * scale;
            if (a->values[v].kind != b->values[v].kind || !(off <= allowed))
                fail_msg("seed %" PRIu64 ": %zu, value %zu is %.17g, not %.17g", seed, i, v, a->values[v].number,
                         b->values[v].number);
        }
    }
}

static const char *const ALL[] = { "count", "sum", "mean", "min", "max", "variance", "stddev", "first", "last",
                                   "delta", "rate", "range", "quantile(value, 0.9)", "distinct", "ewma(value, 5)" };

static const char *const ZONES[] = { "first(zone) as first_zone", "last(zone) as last_zone", "top(zone, 3)" };

static void draw_sliding(struct stream_config *c, uint64_t *chance)
{
    static const int64_t parts[] = { 1, 2, 5, 10, 20 };
    c->window = STREAM_SLIDING;
    if (rnd_below(chance, 2) == 0) {
        c->span_ms = c->size_ms;
        c->every_ms = c->size_ms / parts[rnd_below(chance, 5)];
        return;
    }
    c->last_count = 1 + (uint32_t)rnd_below(chance, 8);
    c->readings_max = rnd_below(chance, 2) == 0 ? c->last_count + 1 + (uint32_t)rnd_below(chance, 6) : 0;
    c->every_ms = rnd_below(chance, 2) == 0 ? c->size_ms / 5 : 0;
}

static void draw_window(struct stream_config *c, uint64_t *chance)
{
    static const int64_t parts[] = { 2, 3, 4, 5, 10 };
    switch (rnd_below(chance, 6)) {
    case 0:
        break;
    case 1:
        c->window = STREAM_HOPPING;
        c->slide_ms = c->size_ms / parts[rnd_below(chance, 5)];
        c->slide_ms -= c->slide_ms % 100;
        break;
    case 2:
    case 3:
        c->window = STREAM_SESSION;
        c->gap_ms = 1000 + (int64_t)rnd_below(chance, 4) * 4000;
        c->length_max_ms = rnd_below(chance, 2) == 0 ? (1 + (int64_t)rnd_below(chance, 6)) * c->gap_ms / 2 : 0;
        c->sessions_max = 2 + (uint32_t)rnd_below(chance, 6);
        break;
    default:
        draw_sliding(c, chance);
    }
    if (rnd_below(chance, 4) == 0)
        c->early_ms = 1000 + (int64_t)rnd_below(chance, 3) * 2000;
    else
        c->final_only = rnd_below(chance, 6) == 0;
}

/* Mostly all have room and stay; else they give way, are refused, or are forgotten. */
static void draw_keys(struct stream_config *c, uint64_t *chance)
{
    c->keys_max = KEYS;
    c->ttl_ms = rnd_below(chance, 3) == 0 ? c->idle_ms + (int64_t)rnd_below(chance, 20000) : (int64_t)1 << 40;
    if (rnd_below(chance, 3) != 0)
        return;
    c->keys_max = 2 + (uint32_t)rnd_below(chance, 5);
    c->at_limit = rnd_below(chance, 2) == 0 ? STREAM_REFUSE : STREAM_EVICT;
}

static struct stream_config drawn_config(uint64_t *chance)
{
    static const int64_t sizes[] = { 1000, 10000, 10000, 12000, 60000 };
    struct stream_config c = config_of();
    c.size_ms = sizes[rnd_below(chance, 5)];
    c.out_of_orderness_ms = (int64_t)rnd_below(chance, 3) * 1500;
    c.lateness_ms = (int64_t)rnd_below(chance, 4) * 5000;
    draw_window(&c, chance);
    draw_keys(&c, chance);
    uint64_t more = rnd_below(chance, 10); /* sketches take long here */
    c.aggregate_count = more < 2 ? 15 : NUMBERS;
    for (size_t i = 0; i < 15; i++)
        strcpy(c.aggregates[i].text, more == 1 && i >= NUMBERS ? ZONES[i - NUMBERS] : ALL[i]);
    return c;
}

static void save_and_load(struct stage *g)
{
    size_t most = streams_save_bytes_max(&g->set);
    uint8_t *bytes = malloc(most), *again = malloc(most);
    assert_true(bytes != NULL && again != NULL);
    struct byte_writer w = { bytes, most, 0, false }, w2 = { again, most, 0, false };
    streams_save(g->streams, &w, NULL, NULL);
    assert_false(w.failed);
    struct byte_reader r = { bytes, w.used, 0, false };
    make_streams(g);
    uint64_t anew = streams_load(g->streams, &r);
    assert_true(!r.failed && r.used == r.bytes && anew == 0);
    streams_save(g->streams, &w2, NULL, NULL);
    assert_true(w2.used == w.used && memcmp(bytes, again, w.used) == 0);
    free(bytes);
    free(again);
}

static uint64_t told_in_all, late_in_all, forced_in_all, revised_in_all, readings_in_all;

/* As many panes as there may be for what is asked of them. */
static void draw_panes(struct stream_config *c)
{
    struct stream_fields fields;
    struct stream_plan plan;
    struct stream_fault fault = { 0 };
    stream_fields_begin(&fields);
    assert_int_equal(stream_fields_add(&fields, text_of("plant"), &(struct text){ "zone", 4 }, 1), 0);
    while (stream_compile(&plan, c, &fields, &fault) != 0) {
        if (strstr(fault.why, "windows of a key may wait") == NULL || c->panes_max == 1)
            fail_msg("%s", fault.why);
        c->panes_max = c->panes_max == 0 ? 64 : c->panes_max / 2;
    }
}

static void live(uint64_t seed)
{
    static struct stage g;
    static struct oracle o;
    uint64_t chance = seed * 0x9e3779b97f4a7c15u + 1;
    struct stream_config c = drawn_config(&chance);
    draw_panes(&c);
    set_stage(&g, &c);
    o.g = &g;
    o.late = o.refused = o.evicted = o.expired = o.telling.count = 0;
    memset(o.delays, 0, sizeof o.delays);
    for (int k = 0; k < KEYS; k++)
        o.keys[k].known = false;
    int64_t wall_ms = 1700000000000 + (int64_t)rnd_below(&chance, 100000);
    double scale = rnd_below(&chance, 3) == 0 ? 1e6 : 10;
    int64_t heard[KEYS] = { 0 };
    for (int i = 0; i < 120; i++) {
        int64_t step = rnd_below(&chance, 40) == 0 ? 20000 + (int64_t)rnd_below(&chance, 60000)
                                                   : 1 + (int64_t)rnd_below(&chance, 1500);
        let_time_pass(&g, g.t_ms + step);
        oracle_pass(&o, g.t_ms);
        wall_ms += step;
        int key = (int)rnd_below(&chance, KEYS);
        int64_t event_ms = wall_ms - (int64_t)rnd_below(&chance, 3000);
        if (rnd_below(&chance, 10) == 0)
            event_ms -= (int64_t)rnd_below(&chance, 40000);   /* late, or too late */
        if (rnd_below(&chance, 30) == 0)
            event_ms += (int64_t)rnd_below(&chance, 120000);  /* a clock that is ahead */
        if (rnd_below(&chance, 8) == 0)
            event_ms -= event_ms % c.size_ms;                 /* at the bound */
        if (rnd_below(&chance, 12) == 0 && heard[key] + c.gap_ms <= wall_ms && heard[key] != 0)
            event_ms = heard[key] + c.gap_ms - (int64_t)rnd_below(&chance, 2); /* of another session, or just not */
        heard[key] = event_ms;
        int64_t edge_ms = event_ms - event_ms % c.size_ms + c.out_of_orderness_ms + c.lateness_ms -
                          (int64_t)rnd_below(&chance, 2);
        if (rnd_below(&chance, 12) == 0 && edge_ms <= wall_ms) { /* just before what ended there is closed, and then */
            take_reading(&g, key, edge_ms, wall_ms, scale > 10 ? 1e6 : 1);
            oracle_take(&o, key, edge_ms, wall_ms, scale > 10 ? 1e6 : 1);
            readings_in_all++;
            event_ms -= event_ms % c.size_ms + 1;
        }
        double value = (double)(int64_t)((rnd_unit(&chance) - 0.3) * 1000) / 1000 * scale + (scale > 10 ? 1e6 : 0);
        int times = rnd_below(&chance, 20) == 0 ? 2 : 1;      /* repeated */
        for (; times > 0; times--) {
            take_reading(&g, key, event_ms, wall_ms, value);
            oracle_take(&o, key, event_ms, wall_ms, value);
            readings_in_all++;
        }
        if (rnd_below(&chance, 60) == 0)
            save_and_load(&g);
    }
    let_time_pass(&g, g.t_ms + 100000);
    oracle_pass(&o, g.t_ms);
    compare(&g.telling, &o.telling, c.aggregate_count, seed);
    struct stream_counts counts = counts_of(&g);
    assert_int_equal(counts.late, o.late);
    assert_true(counts.refused == o.refused && counts.evicted == o.evicted && counts.expired == o.expired);
    assert_memory_equal(counts_of(&g).delays, o.delays, sizeof o.delays);
    told_in_all += g.telling.count, late_in_all += o.late, forced_in_all += counts_of(&g).forced;
    revised_in_all += counts_of(&g).revisions;
    free(g.memory);
    g.memory = NULL;
}

static void random_streams_are_as_the_oracle_says(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    const char *count = getenv("STREAMS");
    uint64_t streams = count != NULL ? strtoull(count, NULL, 10) : 1500;
    for (uint64_t i = 0; i < streams; i++)
        live(seed * 1000003 + i);
    printf("# %" PRIu64 " readings, %" PRIu64 " results told, %" PRIu64 " of them revisions, %" PRIu64 " forced; %" PRIu64
           " late\n", readings_in_all, told_in_all, revised_in_all, forced_in_all, late_in_all);
    assert_true(late_in_all > readings_in_all / 200 && revised_in_all > readings_in_all / 100 && forced_in_all > 0);
}

/* What is loaded of spoilt bytes, and not refused, is gone on with. */
static void load_spoilt(struct stage *g, const uint8_t *bytes, size_t count)
{
    uint64_t chance = check_seed();
    uint8_t *bad = malloc(count);
    assert_non_null(bad);
    for (int i = 0; i < 3000; i++) {
        size_t used = rnd_below(&chance, 4) == 0 ? rnd_below(&chance, count) : count;
        memcpy(bad, bytes, used);
        for (size_t n = rnd_below(&chance, 3); used > 0 && n > 0; n--)
            bad[rnd_below(&chance, used)] = (uint8_t)rnd(&chance);
        struct byte_reader r = { bad, used, 0, false };
        make_streams(g);
        (void)streams_load(g->streams, &r);
        g->out = (struct stream_out){ .ctx = NULL };
        for (int n = 0; n < 20 && !r.failed; n++) {
            struct record record = { .kind = RECORD_READING, .event_time_ms = 50000 + 997 * n };
            char name[3] = { 'k', (char)('0' + n % 5), '\0' };
            record.reading.device = text_of(name);
            record.reading.metric = text_of("temp");
            struct stream_moment moment = { .t_ms = g->t_ms, .reached_ms = record.event_time_ms, .block = 7 };
            streams_take(g->streams, &record, &moment, NULL);
        }
    }
    g->out = (struct stream_out){ .ctx = &g->telling, .result = on_result };
    free(bad);
}

static void any_bytes_may_be_loaded(void **state)
{
    (void)state;
    static struct stage g;
    struct stream_config c = config_of();
    size_t most;
    uint8_t *bytes;
    struct byte_writer w;
    for (int sliding = 1; sliding >= 0; sliding--) { /* the tumbling one is gone on with below */
        c = config_of();
        c.window = sliding ? STREAM_SLIDING : STREAM_TUMBLING;
        c.last_count = sliding ? 4 : 0;
        c.aggregate_count = sliding ? NUMBERS + 3 : 0;
        for (uint32_t i = 0; i < c.aggregate_count; i++)
            strcpy(c.aggregates[i].text, i < NUMBERS ? ALL[i] : ZONES[i - NUMBERS]);
        set_stage(&g, &c);
        for (int i = 0; i < 60; i++)
            take(&g, i % 5, 1000 * i, i);
        most = streams_save_bytes_max(&g.set);
        bytes = malloc(most);
        assert_non_null(bytes);
        w = (struct byte_writer){ bytes, most, 0, false };
        streams_save(g.streams, &w, NULL, NULL);
        load_spoilt(&g, bytes, w.used);
        if (sliding)
            free(bytes), free(g.memory);
    }
    /* of another definition it is left out, and said so */
    c.size_ms = 5000;
    free(g.memory);
    set_stage(&g, &c);
    struct byte_reader r = { bytes, w.used, 0, false };
    uint64_t anew = streams_load(g.streams, &r);
    assert_true(!r.failed && r.used == r.bytes && anew == 1 && counts_of(&g).keys == 0);
    /* under a smaller limit those heard least lately are forgotten */
    c = config_of();
    c.keys_max = 2;
    free(g.memory);
    set_stage(&g, &c);
    r = (struct byte_reader){ bytes, w.used, 0, false };
    anew = streams_load(g.streams, &r);
    assert_true(!r.failed && anew == 0 && counts_of(&g).keys == 2 && counts_of(&g).evicted == 3);
    free(bytes);
    free(g.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tumbling_windows_close_revise_and_end),
        cmocka_unit_test(hopping_windows_share_panes),
        cmocka_unit_test(sessions_grow_join_and_are_taken_back),
        cmocka_unit_test(the_last_readings_in_order_of_event_time),
        cmocka_unit_test(the_last_span_ends_where_readings_are),
        cmocka_unit_test(final_only_tells_once),
        cmocka_unit_test(where_key_and_limits),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(lateness_is_weighed),
        cmocka_unit_test(payload_fields_are_keys),
        cmocka_unit_test(texts_are_told_and_kept),
        cmocka_unit_test(what_can_not_be_is_refused),
        cmocka_unit_test(steps_of_sliding),
        cmocka_unit_test(steps_of_panes),
        cmocka_unit_test(usual_pieces),
        cmocka_unit_test(random_streams_are_as_the_oracle_says),
        cmocka_unit_test(any_bytes_may_be_loaded),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
