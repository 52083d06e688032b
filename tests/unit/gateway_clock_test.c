/* Goal: without a clock to go by nothing is taken for clock.wait; then the time goes on from the floor (the build
 * or the last time stored), marked coarse in the journal, in alerts and in the last readings; a later sync is
 * followed and restamps nothing; a clock that is not synced never leads back behind what was stored, a synced one
 * does, and is told of.
 * Method: the gateway over a real store, its clocks moved by hand through the boots of a board without a battery.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

static const char yaml[] = "clock: {wait: 30s}\n"
                           "sources:\n"
                           "  - name: plant\n"
                           "    url: mqtt://127.0.0.1:1883\n"
                           "    topics: [\"t/{device}/{metric}\"]\n"
                           "usual: {all: false}\ndetectors: [{name: hot, type: limit, high: 80}]\n"
                           "commit: {max_age: 100ms}\n"
                           "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static const int64_t BUILT_MS = INT64_C(1780000000000);

/* As main does it: the floor is the build, or what the store says. */
static void start(struct bench *b, int64_t wall_ms, enum clock_state state)
{
    b->now.wall_ms = wall_ms;
    b->now.state = state;
    b->now.boot++;
    b->clock_floor_ms = BUILT_MS;
    bench_start(b);
    gateway_on_uplink(b->gateway, true);
}

static int setup(void **state)
{
    static struct bench b;
    bench_open(&b, yaml);
    bench_kill(&b);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    return 0;
}

static enum clock_state clock_of(const struct bench *b)
{
    return gateway_view(b->gateway).clock;
}

/* The reading in the newest journal block that holds one. */
static struct record stored(struct bench *b)
{
    static uint8_t bytes[256 * 1024];
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    struct record record, found = { .kind = RECORD_TICK };
    uint64_t number, from = 1;
    size_t used;
    (void)block_reader_init(&limits, &arena);
    void *memory = calloc(1, arena.used + ARENA_ALIGN);
    arena = arena_over(memory, arena.used + ARENA_ALIGN);
    struct block_reader *reader = block_reader_init(&limits, &arena);
    for (;; from = number + 1) {
        assert_int_equal(store_block_read(b->store, from, bytes, sizeof bytes, &number, &used), 0);
        if (number == 0)
            break;
        assert_int_equal(block_open(reader, (struct text){ (const char *)bytes, (uint32_t)used }), 0);
        while (block_next(reader, &record) == 1)
            if (record.kind == RECORD_READING)
                found = record;
    }
    free(memory);
    assert_int_equal(found.kind, RECORD_READING);
    found.reading = (struct reading){ 0 }; /* its texts are gone */
    return found;
}

static void waits_and_then_goes_on_from_the_build(void **state)
{
    struct bench *b = *state;
    start(b, 0, CLOCK_UNSET);
    bench_turn(b, 1000);
    assert_int_equal(clock_of(b), CLOCK_UNSET);
    assert_false(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    bench_turns(b, 300);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":90}"));
    bench_turns(b, 10);

    int64_t run_ms = b->now.mono_ms - 1000;
    struct tail_entry last = bench_last(b);
    assert_in_range(last.event_time_ms, BUILT_MS + 30000, BUILT_MS + run_ms);
    assert_int_equal(last.time_source, TIME_COARSE);
    struct record record = stored(b);
    assert_int_equal(record.time_source, TIME_COARSE);
    assert_int_equal(record.event_time_ms, last.event_time_ms);
    const char *alert = bench_told(b, "\"rule\":\"hot\"");
    assert_non_null(alert);
    assert_non_null(strstr(alert, "\"clock\":\"coarse\""));
}

/* Two clocks cut to milliseconds differ by one more or less from turn to turn. */
static void a_coarse_clock_may_tremble(void **state)
{
    struct bench *b = *state;
    start(b, BUILT_MS + 1000, CLOCK_COARSE);
    bench_turn(b, 1000);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
    b->now.wall_ms--;
    bench_turn(b, 1000);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
}

static void goes_on_from_the_last_time_stored(void **state)
{
    struct bench *b = *state;
    start(b, INT64_C(1790000000000), CLOCK_SYNCED);
    bench_turns(b, 10);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    bench_turns(b, 10);
    int64_t stored_ms = bench_last(b).event_time_ms;
    assert_int_equal(bench_last(b).time_source, TIME_ARRIVAL);
    bench_kill(b);

    start(b, INT64_C(1785000000000), CLOCK_COARSE); /* after the build, behind what was stored */
    bench_turn(b, 1000);
    assert_int_equal(clock_of(b), CLOCK_UNSET);
    bench_turns(b, 300);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    bench_turns(b, 10);
    assert_in_range(bench_last(b).event_time_ms, stored_ms + 30000, stored_ms + 60000);
    int64_t coarse_ms = bench_last(b).event_time_ms;
    bench_kill(b);

    start(b, 0, CLOCK_UNSET); /* a third boot goes on from the second */
    bench_turns(b, 310);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    assert_true(bench_last(b).event_time_ms > coarse_ms);
}

static void a_clock_with_a_battery_is_used_at_once(void **state)
{
    struct bench *b = *state;
    start(b, INT64_C(1790000000000), CLOCK_COARSE);
    bench_turn(b, 10);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    assert_int_equal(bench_last(b).event_time_ms, b->now.wall_ms);
    assert_int_equal(bench_last(b).time_source, TIME_COARSE);
}

static void a_later_sync_restamps_nothing(void **state)
{
    struct bench *b = *state;
    start(b, 0, CLOCK_UNSET);
    bench_turns(b, 310);
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    bench_turns(b, 10);
    struct record before = stored(b);
    b->now.wall_ms = INT64_C(1790000000000);
    b->now.state = CLOCK_SYNCED;
    bench_turns(b, 10);
    assert_int_equal(clock_of(b), CLOCK_SYNCED);
    assert_int_equal(stored(b).event_time_ms, before.event_time_ms);
    const char *step = bench_told(b, "clock_step");
    assert_non_null(step); /* readings carry the coarse time: people want to know by how much it was off */
    assert_true(bench_publish(b, "t/pump/temp", "{\"value\":20}"));
    assert_int_equal(bench_last(b).event_time_ms, b->now.wall_ms);
    assert_int_equal(bench_last(b).time_source, TIME_ARRIVAL);
}

static void a_step_back_is_followed_only_when_synced(void **state)
{
    struct bench *b = *state;
    start(b, INT64_C(1790000000000), CLOCK_COARSE);
    bench_turns(b, 400);
    int64_t before_ms = gateway_view(b->gateway).wall_ms;
    b->now.wall_ms -= 3600000; /* somebody sets the clock by hand */
    bench_turns(b, 10);
    assert_int_equal(clock_of(b), CLOCK_COARSE);
    assert_int_equal(gateway_view(b->gateway).wall_ms, before_ms + 1000);
    assert_null(bench_told(b, "clock_step"));
    b->now.state = CLOCK_SYNCED;
    bench_turns(b, 10);
    assert_int_equal(clock_of(b), CLOCK_SYNCED);
    assert_int_equal(gateway_view(b->gateway).wall_ms, b->now.wall_ms);
    assert_non_null(bench_told(b, "clock_step"));
    assert_int_equal(gateway_view(b->gateway).clock_steps, 1);
}

/* The last time stored was wrong by a year: what the kernel has synced is believed, and that is told. */
static void a_synced_clock_behind_the_store_is_believed(void **state)
{
    struct bench *b = *state;
    start(b, INT64_C(1821536000000), CLOCK_SYNCED);
    bench_turns(b, 10);
    bench_kill(b);
    start(b, INT64_C(1790000000000), CLOCK_SYNCED);
    bench_turns(b, 10);
    assert_int_equal(gateway_view(b->gateway).wall_ms, b->now.wall_ms);
    assert_non_null(bench_told(b, "clock_step"));
    bench_kill(b);
    b->sent_count = 0;
    start(b, INT64_C(1790000400000), CLOCK_SYNCED); /* a boot later is no step */
    bench_turns(b, 10);
    assert_null(bench_told(b, "clock_step"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_and_then_goes_on_from_the_build, setup, teardown),
        cmocka_unit_test_setup_teardown(a_coarse_clock_may_tremble, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_from_the_last_time_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_with_a_battery_is_used_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_later_sync_restamps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_back_is_followed_only_when_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_synced_clock_behind_the_store_is_believed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
