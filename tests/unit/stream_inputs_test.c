/* Goal: where several sources feed a stream, a key's windows wait for the slowest of those that it is heard by, not for
 *   one that is idle or was never heard; what comes back from idleness with a backlog holds the watermark, which never
 *   goes back; a source that is not among the stream's is not taken; all of it goes on after saving and loading, also
 *   where the configuration orders the sources otherwise.
 * Method: examples with two and three sources; then seeded random readings against a plain model of the watermark, which
 *   is seen in what is told, saved and loaded on the way.
 * Links: pipeline/streams/%.c pipeline/hash.c pipeline/bytes.c pipeline/err.c
 */
#include "pipeline/streams/streams.h"

#include <string.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { INPUTS = 3, TOLD = 4096, READINGS = 20000, IDLE_MS = 30000, SIZE_MS = 10000 };

struct told {
    int64_t start_ms;
    uint32_t revision;
    double count;
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
    struct told told[TOLD];
};

static struct stage g;
static const char *const in_order[] = { "north", "south", "east" };

static void on_result(void *ctx, const struct stream_result *r)
{
    struct stage *s = ctx;
    assert_true(s->count < TOLD);
    s->told[s->count++] = (struct told){ r->start_ms, r->revision, r->values[0].value.number };
}

static void make_streams(struct stage *s)
{
    const struct hash_key key = { 1, 2 };
    struct arena arena = arena_measure();
    (void)streams_init(&s->set, key, &arena);
    free(s->memory);
    s->memory = calloc(1, arena.used);
    assert_non_null(s->memory);
    arena = arena_over(s->memory, arena.used);
    s->streams = streams_init(&s->set, key, &arena);
}

static void compile(struct stage *s, const char *const *sources, uint32_t count)
{
    struct stream_fault fault = { 0 };
    stream_fields_begin(&s->fields);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(stream_fields_add(&s->fields, text_of(sources[i]), NULL, 0), 0);
    if (stream_compile(&s->plan, &s->config, &s->fields, &fault) != 0)
        fail_msg("%s", fault.why);
    s->set = (struct stream_set){ 1, &s->plan };
}

static void set_stage(struct stage *s, const struct stream_config *config, uint32_t sources)
{
    memset(s, 0, sizeof *s);
    s->config = *config;
    compile(s, in_order, sources);
    s->out = (struct stream_out){ .ctx = s, .result = on_result };
    make_streams(s);
}

static struct stream_config config_of(void)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000,
                                   .lateness_ms = 20000, .idle_ms = IDLE_MS, .window = STREAM_TUMBLING,
                                   .size_ms = SIZE_MS, .keys_max = 10, .key_bytes = 16, .ttl_ms = 6000000,
                                   .sessions_max = 4, .aggregate_count = 1, .aggregates = { { "count" } } };
}

static void take(struct stage *s, uint16_t source, int64_t event_ms)
{
    struct record record = { .kind = RECORD_READING, .event_time_ms = event_ms };
    record.reading.device = text_of("k");
    record.reading.metric = text_of("temp");
    record.reading.source = source;
    struct stream_moment moment = { .t_ms = s->t_ms, .reached_ms = event_ms, .block = 7 };
    streams_take(s->streams, &record, &moment, &s->out);
}

static void let_time_pass(struct stage *s, int64_t t_ms)
{
    for (int64_t due; (due = streams_deadline(s->streams, t_ms)) <= t_ms;) {
        struct stream_moment moment = { .t_ms = due };
        streams_fire(s->streams, &moment, &s->out);
    }
    s->t_ms = t_ms;
}

static void expect(const struct stage *s, size_t n, int64_t start_ms, uint32_t revision, double count)
{
    assert_true(n < s->count);
    assert_int_equal(s->told[n].start_ms, start_ms);
    assert_int_equal(s->told[n].revision, revision);
    assert_true(s->told[n].count == count);
}

/* Into fresh memory, with the sources in this order. */
static uint32_t carry_over(struct stage *s, const char *const *sources, uint32_t count)
{
    static uint8_t bytes[1 << 20], again[1 << 20];
    struct byte_writer w = { bytes, sizeof bytes, 0, false }, w2 = { again, sizeof again, 0, false };
    assert_true(sizeof bytes >= streams_save_bytes_max(&s->set));
    streams_save(s->streams, &w, NULL, NULL);
    assert_false(w.failed);
    assert_true(w.used <= streams_save_bytes_max(&s->set));
    compile(s, sources, count);
    make_streams(s);
    struct byte_reader r = { bytes, w.used, 0, false };
    uint32_t anew = streams_load(s->streams, &r) != 0;
    assert_false(r.failed);
    assert_int_equal(r.used, w.used);
    streams_save(s->streams, &w2, NULL, NULL);
    if (sources == in_order)
        assert_true(w2.used == w.used && memcmp(bytes, again, w.used) == 0);
    return anew;
}

static void the_slowest_that_is_heard_counts(void **state)
{
    (void)state;
    struct stream_config c = config_of();
    set_stage(&g, &c, 2);
    take(&g, 0, 1000);
    take(&g, 0, 12000); /* south was never heard: it waits for nobody */
    expect(&g, 0, 0, 0, 1);
    take(&g, 1, 11000);
    take(&g, 0, 40000); /* south is at 9 s */
    assert_int_equal(g.count, 1);
    take(&g, 1, 21999);
    assert_int_equal(g.count, 1);
    take(&g, 1, 22000);
    expect(&g, 1, 10000, 0, 2);
    assert_int_equal(g.count, 2);
    take(&g, 1, 60000); /* and now north is the slower one: at 38 s */
    expect(&g, 2, 20000, 0, 2);
    assert_int_equal(g.count, 3);
    assert_int_equal(streams_counts(g.streams, 0).late, 0);
    free(g.memory);
}

static void one_that_is_idle_holds_nothing(void **state)
{
    (void)state;
    struct stream_config c = config_of();
    set_stage(&g, &c, 2);
    take(&g, 0, 1000);
    take(&g, 1, 1500);
    let_time_pass(&g, IDLE_MS - 1);
    take(&g, 0, 31000);
    assert_int_equal(g.count, 0); /* a millisecond more, and it is idle */
    let_time_pass(&g, IDLE_MS);
    take(&g, 0, 31001);
    expect(&g, 0, 0, 0, 2);
    let_time_pass(&g, IDLE_MS + 1000);
    take(&g, 0, 50000); /* the watermark is at 48 s */
    expect(&g, 1, 30000, 0, 2);
    take(&g, 1, 29000); /* back, with what it has kept: in time for a revision, and */
    expect(&g, 2, 20000, 0, 1);
    take(&g, 1, 5000); /* too late */
    assert_int_equal(streams_counts(g.streams, 0).late, 1);
    take(&g, 0, 90000); /* while it catches up nothing more is closed, or too late */
    take(&g, 1, 41000);
    take(&g, 1, 47000);
    assert_int_equal(g.count, 3);
    assert_int_equal(streams_counts(g.streams, 0).late, 1);
    take(&g, 1, 53000);
    expect(&g, 3, 40000, 0, 2);
    let_time_pass(&g, 3 * IDLE_MS); /* all are idle: everything is told */
    expect(&g, 4, 50000, 0, 2);
    expect(&g, 5, 90000, 0, 1);
    assert_int_equal(g.count, 6);
    free(g.memory);
}

static void only_those_that_are_named(void **state)
{
    (void)state;
    struct stream_config c = config_of();
    struct stream_fault fault;
    c.lateness_ms = 200000; /* room for what waits */
    c.input_count = 2;
    strcpy(c.inputs[0].name, "east");
    strcpy(c.inputs[1].name, "north");
    set_stage(&g, &c, INPUTS);
    take(&g, 0, 1000);
    take(&g, 1, 2000); /* south */
    take(&g, 2, 3000);
    take(&g, 1, 90000);
    take(&g, 0, 90000);
    take(&g, 7, 90000); /* nobody knows it */
    assert_int_equal(streams_counts(g.streams, 0).taken, 3);
    assert_int_equal(g.count, 0); /* east is at 1 s */
    take(&g, 2, 15000);
    expect(&g, 0, 0, 0, 2);
    uint64_t two = stream_key_bytes(&g.plan);
    free(g.memory);
    c.input_count = 1;
    set_stage(&g, &c, INPUTS);
    take(&g, 2, 1000);
    take(&g, 2, 15000); /* the only one */
    expect(&g, 0, 0, 0, 1);
    assert_int_equal(two - stream_key_bytes(&g.plan), 2 * 16);
    free(g.memory);
    strcpy(c.inputs[0].name, "nort");
    g.config = c;
    assert_int_equal(stream_compile(&g.plan, &g.config, &g.fields, &fault), WEIR_EINVAL);
    assert_ptr_equal(fault.field, g.config.inputs[0].name);
    assert_string_equal(fault.why, "no source is called `nort`");
}

static void a_state_goes_by_the_sources_names(void **state)
{
    (void)state;
    static const char *const turned[] = { "east", "south", "north" }, *const without[] = { "north", "east" };
    struct stream_config c = config_of();
    c.lateness_ms = 200000;
    set_stage(&g, &c, INPUTS);
    take(&g, 1, 11000);
    take(&g, 0, 40000);
    take(&g, 2, 50000);
    assert_int_equal(carry_over(&g, in_order, INPUTS), 0);
    assert_int_equal(carry_over(&g, turned, INPUTS), 0);
    take(&g, 0, 60000);
    take(&g, 2, 60000);
    assert_int_equal(g.count, 0); /* south is at 9 s */
    take(&g, 1, 55000);
    expect(&g, 0, 10000, 0, 1);
    expect(&g, 1, 40000, 0, 1);
    assert_int_equal(g.count, 2); /* 53 s */
    assert_int_equal(carry_over(&g, without, 2), 0); /* it is no more, and holds nothing */
    take(&g, 0, 75000);
    take(&g, 1, 75000);
    expect(&g, 2, 50000, 0, 2);
    expect(&g, 3, 60000, 0, 2);
    assert_int_equal(g.count, 4);
    free(g.memory);
}

/* What a journal holds of it belongs to the streams that all sources feed, as it did when it came; while it is heard it has
 * a watermark like the others, and after that it holds nothing. */
static void one_that_is_gone_feeds_those_that_name_none(void **state)
{
    (void)state;
    enum { GONE = INPUTS };
    static const char *const without[] = { "north", "east" };
    struct stream_config c = config_of();
    set_stage(&g, &c, 2);
    take(&g, GONE, 1000);
    take(&g, 0, 2000);
    assert_int_equal(streams_counts(g.streams, 0).taken, 2);
    take(&g, 0, 40000); /* the one that is gone is at -1 s */
    assert_int_equal(g.count, 0);
    assert_int_equal(carry_over(&g, in_order, 2), 0);
    take(&g, GONE + 4, 12000); /* so is another */
    expect(&g, 0, 0, 0, 2);
    assert_int_equal(g.count, 1);
    let_time_pass(&g, IDLE_MS - 1);
    take(&g, 0, 41000);
    assert_int_equal(g.count, 1);
    let_time_pass(&g, IDLE_MS);
    take(&g, 0, 42000);
    expect(&g, 1, 10000, 0, 1);
    assert_int_equal(streams_counts(g.streams, 0).late, 0);
    free(g.memory);
    c.lateness_ms = 200000;
    set_stage(&g, &c, INPUTS); /* a state of when it was there; now its number is another's */
    take(&g, 1, 11000);
    take(&g, 0, 40000);
    assert_int_equal(carry_over(&g, without, 2), 0);
    take(&g, GONE, 12000);
    assert_int_equal(streams_counts(g.streams, 0).taken, 3);
    free(g.memory);
    c.input_count = 1;
    strcpy(c.inputs[0].name, "north");
    set_stage(&g, &c, 2);
    take(&g, GONE, 1000);
    assert_int_equal(streams_counts(g.streams, 0).taken, 0);
    free(g.memory);
    c.input_count = 0;
    set_stage(&g, &c, 1); /* of a single one nobody waits for another */
    take(&g, GONE, 1000);
    take(&g, 0, 13000);
    expect(&g, 0, 0, 0, 1);
    free(g.memory);
}

/* Times of three sources that fall behind each other, fall silent, and come back with what they kept. */
static void random_inputs_are_as_the_model_says(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct stream_config c = config_of();
    int64_t clocks[INPUTS] = { 0 }, marks[INPUTS], heard[INPUTS], watermark = INT64_MIN, late = 0;
    bool silent[INPUTS] = { false };
    size_t told = 0;
    int kept = 0;
    bool anew = false;
    set_stage(&g, &c, INPUTS);
    for (int i = 0; i < INPUTS; i++)
        marks[i] = heard[i] = INT64_MIN;
    for (int n = 0; n < READINGS; n++) {
        uint32_t i = (uint32_t)rnd_below(&seed, INPUTS);
        int64_t t_ms = g.t_ms + (int64_t)rnd_below(&seed, 800);
        silent[i] = rnd_below(&seed, 300) == 0 ? !silent[i] : silent[i];
        let_time_pass(&g, t_ms);
        if (silent[i])
            continue;
        bool all_idle = true; /* then its windows were told, and the watermark is at the end of the last */
        for (int k = 0; k < INPUTS; k++)
            all_idle = all_idle && heard[k] + IDLE_MS <= t_ms;
        anew = anew || all_idle;
        clocks[i] += (int64_t)rnd_below(&seed, 2500);
        int64_t event_ms = clocks[i] - (int64_t)rnd_below(&seed, 3000), least = INT64_MAX;
        if (anew) { /* what the watermark is now only the stream knows */
            anew = false;
            free(g.memory);
            set_stage(&g, &c, INPUTS);
            g.t_ms = t_ms;
            watermark = INT64_MIN;
            late = 0;
            for (int k = 0; k < INPUTS; k++)
                marks[k] = heard[k] = INT64_MIN;
        }
        heard[i] = t_ms;
        marks[i] = event_ms - 2000 > marks[i] ? event_ms - 2000 : marks[i];
        for (int k = 0; k < INPUTS; k++)
            if (heard[k] != INT64_MIN && heard[k] + IDLE_MS > t_ms && marks[k] < least)
                least = marks[k];
        watermark = least > watermark ? least : watermark;
        int64_t start_ms = event_ms - (event_ms % SIZE_MS + SIZE_MS) % SIZE_MS;
        late += start_ms + SIZE_MS + 20000 <= watermark;
        int64_t low_ms = watermark - 20000 - SIZE_MS + 1; /* the first window that is open begins here, or later */
        low_ms += ((-low_ms) % SIZE_MS + SIZE_MS) % SIZE_MS;
        g.count = 0;
        take(&g, (uint16_t)i, event_ms);
        if (start_ms - low_ms >= g.plan.panes * (int64_t)SIZE_MS) { /* one was so far behind that there was no room */
            anew = true;
            for (int k = 0; k < INPUTS; k++)
                clocks[k] = clocks[i];
            continue;
        }
        kept++;
        assert_int_equal(streams_counts(g.streams, 0).forced, 0);
        for (size_t k = 0; k < g.count; k++)
            assert_true(g.told[k].start_ms + SIZE_MS <= watermark);
        told += g.count;
        assert_int_equal(streams_counts(g.streams, 0).late, late);
        if (rnd_below(&seed, 500) == 0)
            assert_int_equal(carry_over(&g, in_order, INPUTS), 0);
    }
    printf("# %d readings without want of room, %zu results\n", kept, told);
    assert_true(kept > READINGS / 10 && told > 100);
    free(g.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_that_is_heard_counts),
        cmocka_unit_test(one_that_is_idle_holds_nothing),
        cmocka_unit_test(only_those_that_are_named),
        cmocka_unit_test(a_state_goes_by_the_sources_names),
        cmocka_unit_test(one_that_is_gone_feeds_those_that_name_none),
        cmocka_unit_test(random_inputs_are_as_the_model_says),
    };
    return cmocka_run_group_tests_name("stream_inputs", tests, NULL, NULL);
}
