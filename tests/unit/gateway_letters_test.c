/* Goal: once an hour what was rejected goes upstream, by reason, and nothing where nothing was; what of a
 * message was rejected is tried again, and never what was stored. Method: a gateway over a
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

/* --- a contract that the gateway has not --- */

static const char versioned[] = "clock: {trust: system}\n"
                                "sources:\n"
                                "  - {name: plant, url: \"mqtt://127.0.0.1:1883\", contract: climate,\n"
                                "     topics: [\"t/{device}/{metric}\"], payload: {version: /v}}\n"
                                "  - {name: hall, url: \"mqtt://127.0.0.1:1885\", contract: climate,\n"
                                "     topics: [\"h/{device}/{metric}\"], payload: {version: /v}}\n"
                                "contracts: [{name: climate, version: 2, metrics: [{name: temp}]}]\n"
                                "alerts: {reject_rate: 0/m}\n"
                                "commit: {max_age: 100ms}\n"
                                "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static uint32_t versions_told(const struct bench *b, const char *part)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += strstr(b->sent[i].payload, "\"kind\":\"contract_version\"") != NULL &&
                 strstr(b->sent[i].payload, part) != NULL;
    return count;
}

static void a_version_is_told_once(void **state)
{
    (void)state;
    static struct bench b;
    char payload[64];
    bench_open(&b, versioned);
    gateway_on_uplink(b.gateway, true);
    for (uint32_t i = 0; i < 2; i++)
        gateway_on_source(b.gateway, i, true);
    bench_turns(&b, 5);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(payload, sizeof payload, "{\"value\":%d,\"v\":%d}", i, 1 + i % 4);
        assert_true(bench_publish(&b, "t/oven/temp", payload));
        if (i % 20 == 0)
            bench_turns(&b, 3);
    }
    assert_true(bench_publish(&b, "t/oven/temp", "{\"value\":1,\"v\":\"two\"}"));
    bench_turns(&b, 10);
    struct ledger ledger = gateway_view(b.gateway).ledger;
    assert_int_equal(ledger.stored, 250); /* by version 1 and 2 */
    assert_int_equal(ledger.rejected[REJECT_CONTRACT_VERSION], 251);
    assert_int_equal(versions_told(&b, ""), 3);
    assert_int_equal(versions_told(&b, "messages of version 3 are rejected"), 1);
    assert_int_equal(versions_told(&b, "\"version\":4"), 1);
    assert_int_equal(versions_told(&b, "whose version is no whole number"), 1);
    assert_int_equal(versions_told(&b, "\"accepted_version\":2"), 3);
    for (int i = 0; i < 100; i++) { /* a device that makes them up */
        (void)snprintf(payload, sizeof payload, "{\"value\":%d,\"v\":%d}", i, 100 + i);
        assert_true(bench_publish(&b, "t/oven/temp", payload));
        bench_turns(&b, 1);
    }
    bench_turns(&b, 10);
    assert_int_equal(versions_told(&b, ""), 16);
    bench_close(&b);
}

/* --- tried again --- */

static const char several[] = "clock: {trust: system}\n"
                              "sources:\n"
                              "  - name: plant\n"
                              "    url: mqtt://127.0.0.1:1883\n"
                              "    topics: [\"t/{device}\", \"all\"]\n"
                              "    payload: {device: /d, metrics: /m, time: /t, sequence: /s}\n"
                              "commit: {max_age: 100ms}\n";

static struct dead_letter letter_of(struct bench *b, uint64_t id)
{
    static uint8_t bytes[65536];
    struct dead_letter letter = { .id = 0 };
    assert_int_equal(store_letter_read(b->store, id, bytes, sizeof bytes, &letter), 0);
    return letter;
}

static struct retried try_again(struct bench *b, const struct dead_letter *letter, bool dry, bool as_new)
{
    struct retried to;
    bench_begin(b, 10);
    assert_int_equal(gateway_retry(b->gateway, letter, (struct retry_how){ .dry = dry, .as_new = as_new }, &to), 0);
    gateway_end_turn(b->gateway);
    return to;
}

static struct retried retry(struct bench *b, const struct dead_letter *letter, bool dry)
{
    return try_again(b, letter, dry, false);
}

static void open_several(struct bench *b)
{
    bench_open(b, several);
    bench_turns(b, 5);
    gateway_on_source(b->gateway, 0, true);
}

/* The letter as if the mapping read all of it now. */
static struct dead_letter mended(struct bench *b, uint64_t id, const char *payload)
{
    struct dead_letter letter = letter_of(b, id);
    letter.payload = text_of(payload);
    return letter;
}

/* What a message held beside the bad reading was stored when it came: nothing of it may be stored again. */
static void what_was_rejected_is_tried_again(void **state)
{
    (void)state;
    static struct bench b;
    open_several(&b);
    assert_true(bench_publish(&b, "t/oven", "{\"m\":{\"a\":1,\"b\":1e200,\"c\":1}}"));
    assert_true(bench_publish(&b, "t/oven", "{\"m\":{\"a\":1e200,\"b\":1e200}}"));
    bench_turns(&b, 5);
    const char *good = "{\"m\":{\"a\":1,\"b\":2,\"c\":1}}";
    struct dead_letter part = mended(&b, 1, good);
    assert_int_equal(part.readings, 1);
    part.taken = (struct text){ 0 }; /* as of a letter that an older Weir kept */
    assert_int_equal(retry(&b, &part, false).outcome, RETRY_PARTIAL);
    part = mended(&b, 1, "{\"m\":{\"a\":3,\"b\":2,\"c\":1}}"); /* read otherwise than it was */
    assert_int_equal(retry(&b, &part, false).outcome, RETRY_PARTIAL);
    part = mended(&b, 1, "{\"m\":{\"a\":1,\"c\":1}}");
    assert_int_equal(retry(&b, &part, false).outcome, RETRY_PARTIAL);
    part = mended(&b, 1, "{\"m\":{\"a\":1,\"b\":2,\"b2\":1e200,\"c\":1}}");
    assert_int_equal(retry(&b, &part, false).outcome, RETRY_REJECTED);
    part = mended(&b, 1, good);
    assert_int_equal(retry(&b, &part, true).stored, 1);
    assert_int_equal(retry(&b, &part, false).stored, 1);
    struct dead_letter whole = mended(&b, 2, "{\"m\":{\"a\":1,\"b\":2}}");
    assert_int_equal(whole.readings, 2);
    bench_turns(&b, 5);
    assert_int_equal(retry(&b, &whole, true).stored, 2);
    assert_int_equal(gateway_view(b.gateway).pending, 0); /* it was only asked */
    assert_int_equal(retry(&b, &whole, false).stored, 2);
    struct retried to; /* one that was read before its removal was committed */
    bench_begin(&b, 10);
    assert_int_equal(gateway_retry(b.gateway, &whole, (struct retry_how){ 0 }, &to), WEIR_ENOTFOUND);
    assert_int_equal(gateway_drop_letter(b.gateway, &whole), WEIR_ENOTFOUND);
    gateway_end_turn(b.gateway);
    bench_turns(&b, 5);
    struct ledger ledger = gateway_view(b.gateway).ledger;
    assert_int_equal(ledger.retried, 3);
    assert_int_equal(ledger.stored, 5);
    assert_true(ledger_balances(&ledger));
    bench_close(&b);
}

static void assert_named(struct bench *b, uint64_t id, const char *want)
{
    struct dead_letter letter = letter_of(b, id);
    assert_int_equal(letter.device.bytes, 0); /* nobody showed to be somebody */
    assert_true(text_equal(gateway_letter_named(&letter), text_of(want)));
}

/* Where the payload alone says whose a reading is, the letter keeps that, and is tried again like others. */
static void whom_the_payload_names_is_kept(void **state)
{
    (void)state;
    static struct bench b;
    open_several(&b);
    assert_true(bench_publish(&b, "all", "{\"d\":\"oven\",\"m\":{\"a\":1,\"b\":1e200}}"));
    assert_true(bench_publish(&b, "all", "{\"d\":\"pump\"}"));
    assert_true(bench_publish(&b, "t/oven", "{\"m\":{\"a\":1e200}}"));
    assert_true(bench_publish(&b, "all", "{\"d\":\"pump\",?"));
    assert_true(bench_publish(&b, "all", "{\"d\":\"a/b\",\"m\":{\"a\":1}}"));
    bench_turns(&b, 5);
    assert_named(&b, 1, "oven");
    assert_named(&b, 2, "pump");
    assert_named(&b, 3, ""); /* its topic says so */
    assert_named(&b, 4, "");
    assert_named(&b, 5, "");
    struct dead_letter part = mended(&b, 1, "{\"d\":\"oven\",\"m\":{\"a\":1,\"b\":2}}");
    uint32_t whole = part.taken.bytes;
    for (part.taken.bytes = 1; part.taken.bytes < whole; part.taken.bytes++) { /* damaged anywhere */
        (void)gateway_letter_named(&part);
        bool of_the_name = part.taken.bytes == 1 + 1 + strlen("oven"); /* as if nothing was taken */
        assert_int_equal(retry(&b, &part, true).outcome, of_the_name ? RETRY_STORED : RETRY_PARTIAL);
    }
    assert_int_equal(retry(&b, &part, false).stored, 1);
    bench_turns(&b, 5);
    assert_int_equal(gateway_view(b.gateway).ledger.stored, 2);
    bench_close(&b);
}

/* A number that is known may be of the part that was stored, or of all of it, sent again: in doubt it stays. */
static void a_known_number_leaves_it_in_doubt(void **state)
{
    (void)state;
    static struct bench b;
    static const char *const sent[] = {
        "{\"s\":1,\"t\":\"2020-01-01T00:33:21Z\",\"m\":{\"a\":1,\"b\":1}}",
        "{\"s\":2,\"t\":\"2020-01-01T00:33:22Z\",\"m\":{\"a\":1e200,\"b\":2,\"c\":1e200}}",
        "{\"s\":2,\"t\":\"2020-01-01T00:33:22Z\",\"m\":{\"a\":1e200,\"b\":2,\"c\":1e200}}",
        "{\"s\":3,\"t\":\"2020-01-01T00:33:23Z\",\"m\":{\"a\":3,\"b\":3}}",
    };
    const char *good = "{\"s\":2,\"t\":\"2020-01-01T00:33:22Z\",\"m\":{\"a\":2,\"b\":2,\"c\":2}}";
    open_several(&b);
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
        assert_true(bench_publish(&b, "t/oven", sent[i]));
    bench_turns(&b, 5);
    uint64_t stored = gateway_view(b.gateway).ledger.stored;
    assert_int_equal(stored, 5);
    struct dead_letter first = mended(&b, 1, good);
    assert_int_equal(retry(&b, &first, false).outcome, RETRY_PARTIAL); /* of `a` there is a newer one */
    assert_int_equal(try_again(&b, &first, true, true).stored, 2);
    assert_int_equal(try_again(&b, &first, false, true).stored, 2);
    bench_turns(&b, 5);
    struct dead_letter again = mended(&b, 2, good); /* its part was a repeat, so this is one too */
    struct retried retried = try_again(&b, &again, false, true);
    assert_int_equal(retried.outcome, RETRY_STORED);
    assert_int_equal(retried.duplicate, 2);
    bench_turns(&b, 5);
    struct ledger ledger = gateway_view(b.gateway).ledger;
    assert_int_equal(ledger.stored, stored + 2);
    assert_int_equal(ledger.retried, 4);
    assert_true(ledger_balances(&ledger));
    bench_close(&b);
}

/* A device may speak for itself alone, also later. */
static void nobody_speaks_for_another(void **state)
{
    (void)state;
    static struct bench b;
    const struct message message = { .source = 0, .qos = 1, .topic = text_of("t/oven"), .payload = text_of("?"),
                                     .device = text_of("oven") };
    bench_open(&b, several);
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    bench_begin(&b, 10);
    (void)gateway_on_message(b.gateway, &message);
    gateway_end_turn(b.gateway);
    bench_turns(&b, 5);
    struct dead_letter letter = letter_of(&b, 1);
    assert_true(text_equal(letter.device, text_of("oven")));
    letter.payload = text_of("{\"d\":\"pump\",\"m\":{\"a\":1}}");
    letter.topic = text_of("all");
    struct retried retried = retry(&b, &letter, false);
    assert_int_equal(retried.outcome, RETRY_REJECTED);
    assert_int_equal(retried.reason, REJECT_IDENTITY_MISMATCH);
    letter.topic = text_of("t/pump");
    assert_int_equal(retry(&b, &letter, false).reason, REJECT_IDENTITY_MISMATCH);
    letter.reason = REJECT_IDENTITY_MISMATCH;
    assert_int_equal(retry(&b, &letter, false).outcome, RETRY_NO_USE);
    letter.source = text_of("nobody");
    assert_int_equal(retry(&b, &letter, false).outcome, RETRY_NO_SOURCE);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_is_told_once),
        cmocka_unit_test(a_version_is_told_once),
        cmocka_unit_test(whom_the_payload_names_is_kept),
        cmocka_unit_test(what_was_rejected_is_tried_again),
        cmocka_unit_test(a_known_number_leaves_it_in_doubt),
        cmocka_unit_test(nobody_speaks_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
