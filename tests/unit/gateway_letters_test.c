/* Goal: once an hour what was rejected goes upstream, by reason, and nothing where nothing was. Method: a gateway over a
 * real store whose clock is moved by hand.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

static const char yaml[] = "clock: {trust: system}\n"
                           "sources:\n"
                           "  - name: plant\n"
                           "    url: mqtt://127.0.0.1:1883\n"
                           "    topics: [\"t/{device}/{metric}\"]\n"
                           "alerts: {reject_rate: 0/m}\n"
                           "commit: {max_age: 100ms}\n"
                           "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static uint32_t told(const struct bench *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += strstr(b->sent[i].payload, "\"kind\":\"dead_letters\"") != NULL;
    return count;
}

static void hours(struct bench *b, int count)
{
    for (int i = 0; i < count * 60 + 1; i++)
        bench_turn(b, 60000);
    bench_turns(b, 5);
}

static void an_hour_is_told_once(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, yaml);
    gateway_on_uplink(b.gateway, true);
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    hours(&b, 2);
    assert_int_equal(told(&b), 0); /* nothing was rejected */
    for (int i = 0; i < 5; i++)
        assert_true(bench_publish(&b, "t/oven/temp", "?"));
    assert_true(bench_publish(&b, "elsewhere", "1"));
    assert_true(bench_publish(&b, "t/oven/temp", "{\"value\":1}"));
    bench_turns(&b, 5);
    assert_int_equal(told(&b), 0); /* not yet */
    hours(&b, 1);
    assert_int_equal(told(&b), 1);
    const char *event = bench_told(&b, "\"kind\":\"dead_letters\"");
    assert_non_null(event);
    assert_non_null(strstr(event, "6 readings were rejected (`weir dlq summary`): json_syntax 5, topic_mismatch 1\""));
    assert_non_null(strstr(event, "\"rejected\":6"));
    assert_non_null(strstr(event, "\"json_syntax\":5"));
    hours(&b, 3);
    assert_int_equal(told(&b), 1);
    assert_true(bench_publish(&b, "elsewhere", "1"));
    hours(&b, 1);
    assert_int_equal(told(&b), 2);
    assert_non_null(strstr(bench_told(&b, "\"kind\":\"dead_letters\""), ": topic_mismatch 1\""));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_hour_is_told_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
