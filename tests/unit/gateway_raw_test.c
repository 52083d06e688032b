/* Goal: when raw readings are removed, the ledger says for each whether it had been forwarded: over outages,
 * kill -9, restarts, and a configuration that forwards none.
 * Method: the gateway over a real store: readings while the cloud is there and while it is away; then everything
 * grows old.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#define YAML(raw)                                                                                   \
    "sources:\n"                                                                                    \
    "  - name: plant\n"                                                                             \
    "    url: mqtt://127.0.0.1:1883\n"                                                              \
    "    topics: [\"t/{device}/{metric}\"]\n"                                                       \
    "usual: {all: false}\n"                                                                               \
    "commit: {max_age: 100ms}\n"                                                                    \
    "store: {journal_age: 10m}\n"                                                                   \
    "uplink: {url: \"mqtt://127.0.0.1:1884\", raw: " raw "}\n"

static struct bench bench;

static void publish(struct bench *b, int count)
{
    static int number;
    for (int i = 0; i < count; i++) {
        char payload[64];
        (void)snprintf(payload, sizeof payload, "{\"value\":%d,\"sequence\":%d}", i, ++number);
        assert_true(bench_publish(b, "t/pump/temp", payload));
        bench_turns(b, 2); /* a block each */
    }
    bench_turns(b, 10);
}

static void grow_old(struct bench *b)
{
    bench_stop(b); /* only what a checkpoint holds may go */
    bench_start(b);
    for (int i = 0; i < 40; i++) {
        bench_turn(b, 60000);
        gateway_on_source(b->gateway, 0, i % 2 == 0); /* something to commit */
        bench_turns(b, 5);
    }
}

static void each_removal_says_whether_it_was_forwarded(void **state)
{
    struct bench *b = &bench;
    (void)state;
    bench_open(b, YAML("true"));
    gateway_on_uplink(b->gateway, true);
    publish(b, 20);
    gateway_on_uplink(b->gateway, false);
    publish(b, 9); /* the cloud is away: they arrive later */
    bench_kill(b);
    bench_start(b);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 20);
    publish(b, 1);
    gateway_on_uplink(b->gateway, false);
    publish(b, 7); /* away, and they grow old first */
    grow_old(b);
    struct ledger ledger = gateway_view(b->gateway).ledger;
    assert_int_equal(ledger.removed[REMOVED_AGE_FORWARDED], 30);
    assert_int_equal(ledger.removed[REMOVED_AGE_UNFORWARDED], 7);
    assert_int_equal(ledger.held, 0);
    assert_true(ledger_balances(&ledger));
    bench_close(b);
}

static void without_raw_forwarding_nothing_was_forwarded(void **state)
{
    struct bench *b = &bench;
    (void)state;
    bench_open(b, YAML("true"));
    gateway_on_uplink(b->gateway, true);
    publish(b, 2);
    bench_kill(b);
    bench_configure(b, YAML("false"));
    bench_start(b);
    gateway_on_uplink(b->gateway, true);
    publish(b, 20);
    grow_old(b);
    struct ledger ledger = gateway_view(b->gateway).ledger;
    assert_int_equal(ledger.removed[REMOVED_AGE_FORWARDED], 2);
    assert_int_equal(ledger.removed[REMOVED_AGE_UNFORWARDED], 20);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_removal_says_whether_it_was_forwarded),
        cmocka_unit_test(without_raw_forwarding_nothing_was_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
