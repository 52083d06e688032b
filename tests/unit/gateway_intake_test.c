/* Goal: what is refused is kept as a dead letter that says why, and where in the payload, if anywhere. Method: a gateway
 * over a real store; one message of each kind of fault, then the letters are read back.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

static const char yaml[] = "clock: {trust: system}\n"
                           "sources:\n"
                           "  - name: plant\n"
                           "    url: mqtt://127.0.0.1:1883\n"
                           "    contract: climate\n"
                           "    topics:\n"
                           "      - template: t/{device}\n"
                           "        payload: {metrics: /v, time: /ts, version: /w}\n"
                           "contracts:\n"
                           "  - name: climate\n"
                           "    metrics: [{name: temp, min: -40, max: 125}]\n"
                           "commit: {max_age: 100ms}\n";

static void letters_say_where_the_fault_is(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *payload;
        enum reject_reason reason;
        uint32_t offset;
    } table[] = {
        { "t/a", "{\"v\":{\"temp\":21},}", REJECT_JSON_SYNTAX, 17 },
        { "t/a", "?", REJECT_JSON_SYNTAX, 0 },
        { "t/a", "{\"ts\":\"soon\",\"v\":{\"temp\":21}}", REJECT_TIME_INVALID, 6 },
        { "t/a", "{\"v\":{\"temp\":130}}", REJECT_CONTRACT_RANGE, LETTER_NO_OFFSET },
        { "t/a", "{\"ts\":4000000000,\"v\":{\"temp\":21}}", REJECT_TIME_FUTURE, LETTER_NO_OFFSET },
        { "t/a", "{\"v\":{\"temp\":21},\"w\":2}", REJECT_CONTRACT_VERSION, LETTER_NO_OFFSET },
        { "t/a", "{\"v\":{\"temp\":21},\"w\":\"1\"}", REJECT_CONTRACT_VERSION, 21 },
        /* of two faults the letter names the one in the payload */
        { "t/a", "{\"v\":{\"temp\":130,\"more\":[1]}}", REJECT_VALUE_TYPE, 24 },
        { "elsewhere", "{}", REJECT_TOPIC_MISMATCH, LETTER_NO_OFFSET },
    };
    enum { CASES = sizeof table / sizeof table[0], BYTES = 4096 };
    static uint8_t bytes[BYTES];
    struct dead_letter letters[CASES + 1];
    struct bench b;
    uint32_t count;
    bench_open(&b, yaml);
    bench_turns(&b, 5);
    for (uint32_t i = 0; i < CASES; i++)
        assert_true(bench_publish(&b, table[i].topic, table[i].payload));
    bench_turns(&b, 10);
    assert_int_equal(store_letters_read(b.store, 0, bytes, BYTES, letters, CASES + 1, &count), 0);
    assert_int_equal(count, CASES);
    for (uint32_t i = 0; i < count; i++)
        if (letters[i].reason != table[i].reason || letters[i].fault_offset != table[i].offset)
            fail_msg("%s: %s at %u", table[i].payload, reject_name(letters[i].reason),
                     letters[i].fault_offset);
    bench_close(&b);
}

/* Cut to what is kept of it, it would name another device. */
static void a_topic_too_long_is_of_nobody(void **state)
{
    (void)state;
    static const char wide[] = "clock: {trust: system}\n"
                               "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"a/+/{device}/{metric}\"]}]\n"
                               "commit: {max_age: 100ms}\n";
    char topic[TOPIC_BYTES_MAX + 8], level[TOPIC_BYTES_MAX];
    struct bench b;
    memset(level, 'x', sizeof level);
    for (int more = 0; more <= 1; more++) {
        int bytes = (int)(TOPIC_BYTES_MAX - strlen("a//pump/t"));
        (void)snprintf(topic, sizeof topic, "a/%.*s/pump/%s", bytes, level, more ? "tx" : "t");
        bench_open(&b, wide);
        bench_turns(&b, 5);
        assert_true(bench_publish(&b, topic, "{\"value\":1}"));
        bench_turns(&b, 5);
        struct ledger l = gateway_view(b.gateway).ledger;
        assert_int_equal(l.stored, 1 - more);
        assert_int_equal(l.rejected[REJECT_TOPIC_MISMATCH], more);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_say_where_the_fault_is),
        cmocka_unit_test(a_topic_too_long_is_of_nobody),
    };
    return cmocka_run_group_tests_name("gateway_intake", tests, NULL, NULL);
}
