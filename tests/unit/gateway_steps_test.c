/* Goal: what streams' results take is bounded for a turn, not only for a reading, so that a message of many late
 * readings, or many keys that become idle at once, let the rest of the loop come in between; order and promise stay.
 * Method: a gateway over a real store and a stream that is dear; steps are counted, no time is measured.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

enum { LATE = 100, DEVICES = 60, SECONDS = 32, MOST = 2 * STREAM_STEPS_MAX };

/* 16 windows that a reading is in, each 16 panes put together: it may take half of what it may. */
static const char yaml[] =
    "clock: {trust: system}\n"
    "limits: {devices: 100, series: 200}\n"
    "sources:\n"
    "  - {name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"],\n"
    "     payload: {readings: /r, value: /v, time: /t, sequence: /n}}\n"
    "usual: {all: false}\n"
    "streams:\n"
    "  - {name: busy, key: [device], lateness: 16s, out_of_orderness: 0s, aggregates: [\"top(value, 3)\"],\n"
    "     window: {type: hopping, size: 16s, slide: 1s}}\n"
    "commit: {max_age: 100ms}\n";

static int64_t begin_ms;

static bool publish(struct bench *b, const char *device, int count, const int64_t *ms_and_step)
{
    static char payload[LATE * 64];
    static int number;
    char topic[32];
    size_t used = (size_t)snprintf(payload, sizeof payload, "{\"r\":[");
    for (int i = 0; i < count; i++, number++)
        used += (size_t)snprintf(payload + used, sizeof payload - used, "%s{\"v\":%d,\"t\":%" PRId64 ",\"n\":%d}",
                                 i > 0 ? "," : "", number, begin_ms + ms_and_step[0] + i * ms_and_step[1], number);
    (void)snprintf(payload + used, sizeof payload - used, "]}");
    (void)snprintf(topic, sizeof topic, "t/%s/temp", device);
    return bench_publish(b, topic, payload);
}

static void open_busy(struct bench *b)
{
    bench_open(b, yaml);
    bench_turns(b, 5);
    gateway_on_source(b->gateway, 0, true);
    bench_turns(b, 600);
    begin_ms = b->now.wall_ms - 40000;
}

static uint64_t steps_of(const struct bench *b)
{
    return engine_steps(gateway_view(b->gateway).engine);
}

static uint64_t readings_of(const struct bench *b)
{
    return engine_counts(gateway_view(b->gateway).engine).readings;
}

/* A turn; what it took is within what it may. The one before left something: it comes at once. */
static uint64_t turn(struct bench *b)
{
    uint64_t before = steps_of(b);
    bench_turn(b, 1);
    uint64_t steps = steps_of(b) - before;
    if (steps > MOST)
        fail_msg("a turn took %" PRIu64 " steps", steps);
    return steps;
}

static void a_message_of_late_readings_gives_way(void **state)
{
    (void)state;
    static struct bench b;
    open_busy(&b);
    for (int64_t second = 0; second < SECONDS; second++)
        while (!publish(&b, "oven", 10, (int64_t[]){ second * 1000, 90 }))
            continue;
    bench_turns(&b, 5);
    uint64_t before = readings_of(&b), acknowledged = b.acknowledged_to[0], steps = steps_of(&b);
    assert_int_equal(before, SECONDS * 10);
    assert_true(publish(&b, "oven", LATE, (int64_t[]){ 16000, 1 }));
    assert_in_range(steps_of(&b) - steps, 1, MOST);
    int turns = 0, at_once = 0;
    while (readings_of(&b) < before + LATE) {
        assert_false(gateway_may_take(b.gateway, 0));
        assert_int_equal(b.acknowledged_to[0], acknowledged);
        at_once += gateway_next_turn_ms(b.gateway) == b.now.mono_ms;
        (void)turn(&b);
        turns++;
        assert_in_range(turns, 1, 10 * LATE);
    }
    steps = steps_of(&b) - steps;
    assert_true(steps > 20 * MOST); /* else this tests nothing */
    assert_true(turns > 20);
    assert_true(at_once > turns / 2); /* the others wait for a commit, which makes room */
    assert_int_equal(b.acknowledged_to[0], acknowledged); /* no commit holds the last of it */
    bench_turns(&b, 5);
    assert_int_equal(b.acknowledged_to[0], acknowledged + 1);
    static struct tail_entry taken[256]; /* in their order */
    uint32_t count = gateway_tail(b.gateway, 0, taken, 256);
    assert_true(count >= LATE);
    for (uint32_t i = 0; i < LATE; i++)
        assert_int_equal(atoi(taken[count - LATE + i].value), SECONDS * 10 + (int)i);
    bench_close(&b);
}

static uint64_t results_of(const struct bench *b)
{
    return engine_stream_counts(gateway_view(b->gateway).engine, 0).results;
}

static void so_do_keys_that_become_idle_at_once(void **state)
{
    (void)state;
    static struct bench b;
    char device[16];
    open_busy(&b);
    for (int i = 0; i < DEVICES; i++) {
        (void)snprintf(device, sizeof device, "oven%d", i);
        while (!publish(&b, device, 2, (int64_t[]){ 20000, 1 }))
            continue;
    }
    bench_turns(&b, 5);
    uint64_t before = results_of(&b), steps = steps_of(&b);
    b.now.mono_ms += 60000;
    b.now.wall_ms += 60000;
    int turns = 0, held = 0;
    while (results_of(&b) < before + 16 * DEVICES) {
        (void)turn(&b);
        held += !gateway_may_take(b.gateway, 0);
        assert_in_range(++turns, 1, 10 * DEVICES);
    }
    assert_true(steps_of(&b) - steps > 8 * MOST);
    assert_true(turns > 8);
    assert_true(held >= turns / 2); /* no reading comes before what was due before it */
    bench_turns(&b, 5);
    assert_true(gateway_may_take(b.gateway, 0));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_of_late_readings_gives_way),
        cmocka_unit_test(so_do_keys_that_become_idle_at_once),
    };
    return cmocka_run_group_tests_name("gateway_steps", tests, NULL, NULL);
}
