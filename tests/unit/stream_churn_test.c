/* Goal: over a day in which keys come and never come again, what a stream keeps of them stays flat: its keys, its saved
 *   state, its list of who waits; with expiry, at a limit that refuses, and at one that evicts, each counted.
 * Method: 1,440 minutes of 20 new keys each, in three kinds of windows; figures of each hour, as ratios to one another.
 * Links: pipeline/streams/%.c pipeline/hash.c pipeline/bytes.c */
#include "pipeline/streams/streams.h"

#include <string.h>

#include "tests/lib/check.h"

enum { HOURS = 24, NEW_A_MINUTE = 20, MINUTE_MS = 60000, SETTLED = 3 };

struct day {
    uint32_t keys[HOURS];
    size_t bytes[HOURS];
    struct stream_counts counts;
};

static void on_result(void *ctx, const struct stream_result *result)
{
    uint64_t *told = ctx;
    (void)result;
    ++*told;
}

static size_t saved_bytes(const struct streams *s, uint8_t *to, size_t room)
{
    struct byte_writer w = { to, room, 0, false };
    streams_save(s, &w, NULL, NULL);
    assert_false(w.failed);
    return w.used;
}

static void pass(struct streams *s, int64_t t_ms, const struct stream_out *out)
{
    for (int64_t due; (due = streams_deadline(s, t_ms)) <= t_ms;) {
        struct stream_moment moment = { .t_ms = due };
        streams_fire(s, &moment, out);
    }
}

static struct day live(const struct stream_config *config)
{
    static struct stream_plan plan;
    static struct stream_fields fields;
    const struct hash_key key = { 1, 2 };
    struct stream_fault fault = { 0 };
    struct day day = { .keys = { 0 } };
    uint64_t told = 0, chance = 3;
    const struct stream_out out = { .ctx = &told, .result = on_result };
    stream_fields_begin(&fields);
    if (stream_compile(&plan, config, &fields, &fault) != 0)
        fail_msg("%s", fault.why);
    const struct stream_set set = { 1, &plan };
    struct arena measure = arena_measure();
    (void)streams_init(&set, key, &measure);
    void *memory = calloc(1, measure.used);
    struct arena arena = arena_over(memory, measure.used);
    struct streams *s = streams_init(&set, key, &arena);
    size_t most = streams_save_bytes_max(&set);
    uint8_t *bytes = malloc(most);
    assert_true(memory != NULL && bytes != NULL && s != NULL);
    for (int minute = 0; minute < HOURS * 60; minute++) {
        int64_t t_ms = (int64_t)minute * MINUTE_MS;
        pass(s, t_ms, &out);
        for (int n = 0; n < NEW_A_MINUTE * 3; n++) { /* each says three things, and is gone */
            char name[24];
            snprintf(name, sizeof name, "%d-%d", minute, n / 3);
            struct record record = { .kind = RECORD_READING, .event_time_ms = t_ms + (int64_t)rnd_below(&chance, 50000) };
            record.reading.device = text_of(name);
            record.reading.metric = text_of("m");
            record.reading.value = (struct value){ .type = VALUE_NUMBER, .number = n };
            struct stream_moment moment = { .t_ms = t_ms, .reached_ms = record.event_time_ms };
            streams_take(s, &record, &moment, &out);
        }
        if (minute % 60 == 59) {
            day.keys[minute / 60] = streams_counts(s, 0).keys;
            day.bytes[minute / 60] = saved_bytes(s, bytes, most);
        }
    }
    pass(s, (int64_t)HOURS * 60 * MINUTE_MS + config->ttl_ms + config->idle_ms, &out);
    day.counts = streams_counts(s, 0);
    assert_true(told > 0);
    free(bytes);
    free(memory);
    return day;
}

static struct stream_config base_config(enum stream_window window)
{
    return (struct stream_config){ .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = 2000,
                                   .lateness_ms = 15000, .idle_ms = 60000, .window = window, .size_ms = 60000,
                                   .slide_ms = window == STREAM_HOPPING ? 15000 : 0, .gap_ms = 30000, .sessions_max = 4,
                                   .keys_max = 2000, .key_bytes = 32, .ttl_ms = 30 * MINUTE_MS, .early_ms = 20000 };
}

/* The last readings of a key, and those of a span of time, stand behind the other windows. */
static struct stream_config config_of(int window)
{
    struct stream_config c = base_config((enum stream_window)(window > STREAM_SLIDING ? STREAM_SLIDING : window));
    c.last_count = window == STREAM_SLIDING ? 4 : 0;
    c.span_ms = window > STREAM_SLIDING ? 60000 : 0;
    return c;
}

/* No hour after the first ones holds a twentieth more or less than another. */
static void check_flat(const struct day *day)
{
    uint32_t least = UINT32_MAX, most = 0;
    size_t least_bytes = SIZE_MAX, most_bytes = 0;
    for (int hour = SETTLED; hour < HOURS; hour++) {
        least = day->keys[hour] < least ? day->keys[hour] : least;
        most = day->keys[hour] > most ? day->keys[hour] : most;
        least_bytes = day->bytes[hour] < least_bytes ? day->bytes[hour] : least_bytes;
        most_bytes = day->bytes[hour] > most_bytes ? day->bytes[hour] : most_bytes;
    }
    print_message("# keys %u to %u, state %zu to %zu bytes, of %d keys that came\n", least, most, least_bytes, most_bytes,
                  HOURS * 60 * NEW_A_MINUTE);
    assert_true(least > 0 && (double)most <= 1.05 * least);
    assert_true((double)most_bytes <= 1.05 * (double)least_bytes);
}

static void what_is_forgotten_makes_room(void **state)
{
    (void)state;
    for (int window = 0; window <= STREAM_SLIDING + 1; window++) {
        struct stream_config c = config_of(window);
        struct day day = live(&c);
        check_flat(&day);
        assert_true(day.keys[HOURS - 1] <= NEW_A_MINUTE * 31);
        assert_int_equal(day.counts.expired, HOURS * 60 * NEW_A_MINUTE);
        assert_true(day.counts.refused == 0 && day.counts.evicted == 0 && day.counts.keys == 0);
    }
}

static void a_limit_refuses_or_evicts(void **state)
{
    (void)state;
    for (int window = 0; window <= STREAM_SLIDING + 1; window++)
        for (int evict = 0; evict < 2; evict++) {
            struct stream_config c = config_of(window);
            c.keys_max = 300; /* half of what comes before it is forgotten */
            c.at_limit = evict ? STREAM_EVICT : STREAM_REFUSE;
            struct day day = live(&c);
            check_flat(&day);
            assert_int_equal(day.keys[HOURS - 1], 300);
            assert_true(evict ? day.counts.refused == 0 && day.counts.evicted > 10000
                              : day.counts.evicted == 0 && day.counts.refused > 10000);
            assert_int_equal(day.counts.evicted + day.counts.expired + (day.counts.refused + 2) / 3,
                             HOURS * 60 * NEW_A_MINUTE);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_forgotten_makes_room),
        cmocka_unit_test(a_limit_refuses_or_evicts),
    };
    return cmocka_run_group_tests_name("stream_churn", tests, NULL, NULL);
}
