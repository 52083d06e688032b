/* Goal: a checkpoint is taken before folding the journal behind it would take longer than half of recovery.max, at the
 * rate that the last start measured; a start that folded too little to tell changes nothing.
 * Method: the gateway over a real store; the test says how long each start took.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

static const char yaml[] = "recovery: {max: 2s}\n"
                           "sources:\n"
                           "  - name: plant\n"
                           "    url: mqtt://127.0.0.1:1883\n"
                           "    payload: {readings: \"\", value: /v, sequence: /n}\n"
                           "    topics: [\"t/{device}/{metric}\"]\n"
                           "usual: {all: false}\n"
                           "commit: {max_age: 100ms}\n";

enum { MESSAGE_READINGS = 200 };

static struct bench bench;

static int setup(void **state)
{
    bench_open(&bench, yaml);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    return 0;
}

static void publish(struct bench *b, int readings)
{
    static int number;
    static char payload[16 * 1024];
    for (int i = 0; i < readings; i += MESSAGE_READINGS) {
        size_t used = 0;
        for (int k = 0; k < MESSAGE_READINGS; k++, number++)
            used += (size_t)snprintf(payload + used, sizeof payload - used,
                                     "%s{\"v\":%d.%03d,\"n\":%d}", k == 0 ? "[" : ",",
                                     number % 50, number * 7919 % 997, number + 1);
        (void)snprintf(payload + used, sizeof payload - used, "]");
        assert_true(bench_publish(b, "t/pump/temp", payload));
        bench_turns(b, 3);
    }
    bench_turns(b, 5);
}

/* The state is only written when it is needed: whether it was, the store knows. */
static bool has_checkpoint(struct bench *b)
{
    struct store_recovery found;
    uint64_t entropy[2] = { 0, 0 };
    bench_kill(b);
    assert_int_equal(store_open(&b->config->store, entropy, &b->store, &found, b->why), 0);
    store_close(b->store);
    bench_start(b);
    return found.checkpoint_block > 0;
}

static void follows_the_measured_rate(void **state)
{
    struct bench *b = *state;
    publish(b, 12000);
    assert_false(has_checkpoint(b));
    gateway_on_recovered(b->gateway, 600); /* 50 us a reading: 20,000 of them are 1 s */
    assert_int_equal(gateway_view(b->gateway).fold_ns_per_reading, 50000);
    assert_int_equal(gateway_view(b->gateway).recovered_in_ms, 600);
    publish(b, 7000);
    assert_false(has_checkpoint(b));
    gateway_on_recovered(b->gateway, 950);
    publish(b, 2000);
    assert_true(has_checkpoint(b));
}

static void a_start_that_took_too_long_is_the_last_such(void **state)
{
    struct bench *b = *state;
    publish(b, 12000);
    assert_false(has_checkpoint(b));
    gateway_on_recovered(b->gateway, 3000);
    publish(b, MESSAGE_READINGS);
    assert_true(has_checkpoint(b));
}

static void too_few_readings_tell_nothing(void **state)
{
    struct bench *b = *state;
    publish(b, 1000);
    assert_false(has_checkpoint(b));
    uint64_t assumed = gateway_view(b->gateway).fold_ns_per_reading;
    gateway_on_recovered(b->gateway, 2000);
    assert_int_equal(gateway_view(b->gateway).fold_ns_per_reading, assumed);
    publish(b, 2000);
    assert_false(has_checkpoint(b));
}

/* No life journals much, and together they journal more than four times the least checkpoint. */
static void short_lives_add_up(void **state)
{
    struct bench *b = *state;
    for (int life = 0; life < 10; life++) {
        publish(b, 12000);
        bench_kill(b);
        bench_start(b);
    }
    publish(b, MESSAGE_READINGS);
    assert_true(has_checkpoint(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(follows_the_measured_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_that_took_too_long_is_the_last_such, setup, teardown),
        cmocka_unit_test_setup_teardown(too_few_readings_tell_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(short_lives_add_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
