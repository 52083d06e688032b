/* Goal: with `late: side_output` a reading that is too late for its window, or for a stream's, leaves as a correction:
 *   in the lane of raw readings, with its own sequence, one for each of them, once, also over a death before and after
 *   the commit; no more than the budget, and none at level 2: what does not leave is counted.
 * Method: the gateway over a real store, with and without a cloud; killed between.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#define YAML(more)                                                                                  \
    "clock: {trust: system}\n"                                                                      \
    "sources:\n"                                                                                    \
    "  - name: plant\n"                                                                             \
    "    url: mqtt://127.0.0.1:1883\n"                                                              \
    "    topics: [\"t/{device}/{metric}\"]\n"                                                       \
    "    payload: {fields: {zone: /zone}}\n"                                                        \
    "usual: {all: false}\n"                                                                         \
    "window: {size: 1s, out_of_orderness: 0s, lateness: 0s, idle: 1s, late: side_output}\n"         \
    "streams:\n"                                                                                    \
    "  - {name: zones, key: [zone], window: {size: 10s}, out_of_orderness: 0s, lateness: 0s, idle: 1s, late: side_output}\n"         \
    "  - {name: quiet, key: [zone], window: {size: 10s}, out_of_orderness: 0s, lateness: 0s, idle: 1s}\n"   \
    "commit: {max_age: 100ms}\n"                                                                    \
    "shed: {enrichment_lag: 1s, optional_lag: 2s, sources_lag: 0, qos0_lag: 0, enter: 200ms, leave: 300ms}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\"" more "}\n"

static struct bench bench;
static int number;

static void publish(struct bench *b, int64_t event_s)
{
    char payload[160];
    (void)snprintf(payload, sizeof payload, "{\"value\":21.5,\"sequence\":%d,\"time\":%lld,\"zone\":\"north\"}", ++number,
                   (long long)event_s);
    assert_true(bench_publish(b, "t/pump/temp", payload));
}

/* So many of what was sent hold this; the last of them. */
static uint32_t sent_with(const struct bench *b, const char *text, const struct bench_sent **last)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++) {
        if (b->sent[i].lane != LANE_RAW || strstr(b->sent[i].payload, text) == NULL)
            continue;
        if (last != NULL)
            *last = &b->sent[i];
        count++;
    }
    return count;
}

static void open_connected(struct bench *b, const char *yaml)
{
    bench_open(b, yaml);
    bench_turns(b, 2);
    gateway_on_source(b->gateway, 0, true);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 2);
}

static void what_is_too_late_leaves(void **state)
{
    (void)state;
    struct bench *b = &bench;
    const struct bench_sent *sent = NULL;
    open_connected(b, YAML(""));
    publish(b, 1789999900);
    publish(b, 1789999905);
    bench_turns(b, 5);
    assert_int_equal(sent_with(b, "{", NULL), 0);
    publish(b, 1789999900); /* for its own window of a second, not for the streams' of ten */
    bench_turns(b, 5);
    assert_int_equal(sent_with(b, "dev.weir.correction.v1", &sent), 1);
    assert_int_equal(sent->sequence, 1);
    assert_int_equal(sent->payload[0], '{'); /* not compressed */
    assert_non_null(strstr(sent->payload, "\"kind\":\"series\",\"window\":{"));
    assert_non_null(strstr(sent->payload, "\"start_ms\":1789999900000,\"end_ms\":1789999901000,\"count\":1}"));
    assert_non_null(strstr(sent->payload, "\"lateness_ms\":0,\"needed_lateness_ms\":4001,\"device\":\"pump\""));
    assert_non_null(strstr(sent->payload, "\"fields\":{\"zone\":\"north\"}"));
    publish(b, 1789999925);
    publish(b, 1789999906); /* for both, and for a stream that only counts */
    bench_turns(b, 5);
    assert_int_equal(sent_with(b, "dev.weir.correction.v1", NULL), 3);
    assert_int_equal(sent_with(b, "\"kind\":\"stream\",\"stream\":\"zones\",\"key\":{\"zone\":\"north\"}", &sent), 1);
    assert_non_null(strstr(sent->payload, ".2\",\"sequence\":\"00000000000000000003\"")); /* the second of its block */
    assert_non_null(strstr(sent->payload, "\"window\":{\"start\":\"2026-09-21T14:11:40.000Z\""));
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_int_equal(l.corrections, 3);
    assert_int_equal(l.corrections_left_out, 0);
    assert_int_equal(l.late, 2);
    assert_true(ledger_balances(&l));
    bench_stop(b);
    bench_start(b); /* the ledger goes on, and so does the lane */
    assert_int_equal(gateway_view(b->gateway).ledger.corrections, 3);
    bench_close(b);
}

/* A death before the commit: nothing had left, and the reading comes again. After it: the same bytes are sent. */
static void over_a_death_it_is_the_same(void **state)
{
    (void)state;
    struct bench *b = &bench;
    char first[3072];
    const struct bench_sent *sent = NULL;
    open_connected(b, YAML(", raw: true"));
    gateway_on_uplink(b->gateway, false);
    publish(b, 1789999900);
    publish(b, 1789999925);
    bench_turns(b, 5);
    publish(b, 1789999900); /* not committed */
    bench_kill(b);
    number--;
    bench_start(b);
    gateway_on_source(b->gateway, 0, true);
    publish(b, 1789999900);
    bench_turns(b, 5);
    b->cloud_is_dumb = true;
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 5);
    assert_int_equal(sent_with(b, "\"kind\":\"stream\"", &sent), 1);
    (void)snprintf(first, sizeof first, "%s", sent->payload);
    uint64_t sequence = sent->sequence;
    bench_kill(b);
    b->sent_count = 0;
    bench_start(b);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 5);
    assert_int_equal(sent_with(b, "\"kind\":\"stream\"", &sent), 1);
    assert_int_equal(sent->sequence, sequence);
    assert_string_equal(sent->payload, first);
    bench_close(b);
}

static void a_flood_has_its_budget(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b, YAML(", corrections_per_minute: 20"));
    publish(b, 1789999900);
    publish(b, 1789999925);
    for (int i = 0; i < 50; i++)
        publish(b, 1789999800 + i); /* two each */
    bench_turns(b, 5);
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_int_equal(l.corrections, 20);
    assert_int_equal(l.corrections_left_out, 80);
    assert_int_equal(sent_with(b, "dev.weir.correction.v1", NULL), 20);
    for (int i = 0; i < 150; i++) { /* a quarter of a minute, its source read to its end */
        bench_begin(b, 100);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
    }
    for (int i = 50; i < 60; i++)
        publish(b, 1789999800 + i);
    bench_turns(b, 5);
    l = gateway_view(b->gateway).ledger;
    assert_in_range(l.corrections, 25, 26);
    assert_int_equal(l.corrections + l.corrections_left_out, 120);
    assert_int_equal(l.late, 60);
    bench_close(b);
}

static void under_pressure_none_leaves(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b, YAML(""));
    publish(b, 1789999900);
    publish(b, 1789999925);
    for (int turn = 0; gateway_view(b->gateway).shed < SHED_OPTIONAL; turn++) { /* nothing is read to its end */
        assert_in_range(turn, 0, 100);
        bench_turn(b, 100);
    }
    publish(b, 1789999800);
    bench_turns(b, 3);
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_int_equal(l.corrections, 0);
    assert_int_equal(l.corrections_left_out, 2);
    assert_int_equal(l.late, 1);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_late_leaves),
        cmocka_unit_test(over_a_death_it_is_the_same),
        cmocka_unit_test(a_flood_has_its_budget),
        cmocka_unit_test(under_pressure_none_leaves),
    };
    return cmocka_run_group_tests_name("gateway_late", tests, NULL, NULL);
}
