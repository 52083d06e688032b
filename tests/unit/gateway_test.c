/* Goal: the turn keeps its order: take, think, commit, then acknowledge. Method: a gateway over a real
 * store file, its ports recorded, its store jobs run by hand one at a time; each case is a timeline.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lcjson -lmbedcrypto -lyaml -lz */
#include "tests/lib/gateway_bench.h"

enum { METRICS = 120 };

static const char yaml[] =
    "clock: {trust: system}\n"
    "limits: {devices: 4, series: 128, readings_per_message: 128}\n"
    "sources:\n"
    "  - name: plant\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    topics:\n"
    "      - template: t/{device}\n"
    "        payload: {metrics: /v, time: /ts, sequence: /seq}\n"
    "usual: {all: false}\ndetectors:\n"
    "  - {name: hot, type: limit, metric: \"*\", high: 80, cooldown: 0s}\n"
    "commit: {max_age: 100ms}\n"
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static const char listening_yaml[] =
    "clock: {trust: system}\n"
    "limits: {devices: 4, series: 128, readings_per_message: 128}\n"
    "sources:\n"
    "  - name: devices\n"
    "    listen: mqtt://127.0.0.1:1884\n"
    "    anonymous: true\n"
    "    topics:\n"
    "      - template: t/{device}\n"
    "        payload: {metrics: /v, time: /ts, sequence: /seq}\n"
    "usual: {all: false}\ndetectors:\n"
    "  - {name: hot, type: limit, metric: \"*\", high: 80, cooldown: 0s}\n"
    "commit: {max_age: 100ms}\n";

static const char learning_yaml[] =
    "clock: {trust: system}\n"
    "limits: {devices: 4, series: 128}\n"
    "sources:\n"
    "  - name: plant\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    topics:\n"
    "      - template: t/{device}\n"
    "        payload: {metrics: /v, time: /ts, sequence: /seq}\n"
    "usual: {all: false}\ndetectors:\n"
    "  - {name: lonely, type: spike, metric: \"*\"}\n"
    "commit: {max_age: 100ms}\n"
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static struct ledger ledger_of(const struct bench *b)
{
    return gateway_view(b->gateway).ledger;
}

/* One message whose every reading is an alert: more than one batch has room for. */
static const char *hot_message(void)
{
    static char text[8192];
    int used = snprintf(text, sizeof text, "{\"ts\":1790000000,\"seq\":7,\"v\":{");
    for (int i = 0; i < METRICS; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s\"m%d\":%d",
                         i > 0 ? "," : "", i, 90 + i);
    snprintf(text + used, sizeof text - (size_t)used, "}}");
    return text;
}

static void a_split_message_is_acknowledged_with_its_last_part(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, yaml);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", hot_message()));
    uint64_t commits = gateway_view(b.gateway).commits;
    for (int turn = 0; turn < 1000 && ledger_of(&b).stored < METRICS; turn++) {
        assert_int_equal(b.acknowledged, 0);
        bench_turn(&b, 1);
    }
    assert_in_range(gateway_view(b.gateway).commits - commits, 2, METRICS);
    assert_int_equal(b.acknowledged, 1);
    bench_close(&b);
}

static const char *plain_message(uint32_t sequence)
{
    static char text[64];
    snprintf(text, sizeof text, "{\"ts\":1790000000,\"seq\":%u,\"v\":{\"a\":%u}}", sequence, sequence);
    return text;
}

/* Three messages whose commit is under way. */
static void open_with_a_commit(struct bench *b, const char *text)
{
    bench_open(b, text);
    bench_turns(b, 5);
    for (uint32_t n = 1; n <= 3; n++)
        assert_true(bench_publish(b, "t/pump", plain_message(n)));
    bench_turn(b, 100);
    assert_non_null(b->job);
    assert_int_equal(b->job->kind, STORE_JOB_COMMIT);
    b->store_hangs = true;
}

static void a_listener_fills_the_next_batch_meanwhile(void **state)
{
    (void)state;
    struct bench b;
    open_with_a_commit(&b, listening_yaml);
    for (uint32_t n = 4; n <= 5; n++)
        assert_true(bench_publish(&b, "t/pump", plain_message(n)));
    assert_int_equal(b.acknowledged_to[0], 0);
    b.store_hangs = false;
    bench_turn(&b, 1);
    assert_int_equal(b.acknowledged_to[0], 3);
    bench_turn(&b, 100);
    assert_int_equal(b.acknowledged_to[0], 3);
    bench_turn(&b, 1);
    assert_int_equal(b.acknowledged_to[0], 5);
    bench_close(&b);
}

static void a_broker_is_not_read_meanwhile(void **state)
{
    (void)state;
    struct bench b;
    open_with_a_commit(&b, yaml);
    assert_false(bench_publish(&b, "t/pump", plain_message(4)));
    b.store_hangs = false;
    bench_turn(&b, 1);
    assert_int_equal(b.acknowledged_to[0], 3);
    assert_true(bench_publish(&b, "t/pump", plain_message(4)));
    bench_close(&b);
}

/* What came before a message in parts need not wait for it; it itself does. */
static void a_listener_acknowledges_up_to_a_split_message(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, listening_yaml);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", plain_message(1)));
    assert_true(bench_publish(&b, "t/pump", hot_message()));
    for (int turn = 0; turn < 1000 && ledger_of(&b).stored < METRICS + 1; turn++) {
        assert_in_range(b.acknowledged_to[0], ledger_of(&b).stored > 0, 1);
        bench_turn(&b, 1);
    }
    assert_int_equal(b.acknowledged_to[0], 2);
    bench_close(&b);
}

static void a_message_is_judged_when_it_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *payload;
        enum reject_reason reason;
    } table[] = {
        { "t/pump", "{\"ts\":1790000000,\"seq\":1,\"v\":{\"a\":1}}", REJECT_NONE },
        { "t/pump", "{\"ts\":1790000000,\"seq\":1,\"v\":{\"a\":1}}", REJECT_NONE }, /* a duplicate */
        { "t/pump", "{\"ts\":1790000001,\"seq\":2,\"v\":{\"a\":1,\"b\":[]}}", REJECT_NONE },
        { "t/pump", "{\"ts\":1790000002,\"seq\":3,\"v\":{\"b\":[]}}", REJECT_VALUE_TYPE },
        { "t/pump", "{\"ts\":4000000000,\"seq\":4,\"v\":{\"a\":1}}", REJECT_TIME_FUTURE },
        { "t/pump", "?", REJECT_JSON_SYNTAX },
        { "elsewhere", "{}", REJECT_TOPIC_MISMATCH },
    };
    struct bench b;
    bench_open(&b, listening_yaml);
    bench_turns(&b, 5);
    for (uint32_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bench_begin(&b, 1);
        struct taken taken =
            gateway_on_message(b.gateway, &(struct message){ .source = 0, .qos = 1,
                                                             .topic = text_of(table[i].topic),
                                                             .payload = text_of(table[i].payload) });
        gateway_end_turn(b.gateway);
        assert_int_equal(taken.number, i + 1);
        if (taken.reason != table[i].reason)
            fail_msg("%s: %s", table[i].payload, reject_name(taken.reason));
    }
    bench_close(&b);
}

static void a_split_message_that_died_half_stored_is_completed(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, yaml);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", hot_message()));
    bench_turn(&b, 1);
    uint64_t part = ledger_of(&b).stored;
    assert_in_range(part, 1, METRICS - 1);
    bench_kill(&b);
    bench_start(&b);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", hot_message())); /* it was never acknowledged */
    bench_turns(&b, 50);
    assert_int_equal(ledger_of(&b).stored, METRICS);
    assert_int_equal(ledger_of(&b).duplicate, part);
    assert_int_equal(ledger_of(&b).sequence_restart, 0);
    assert_int_equal(b.acknowledged, 1);
    bench_close(&b);
}

static uint32_t count_sent(const struct bench *b, enum lane lane, uint64_t sequence)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += b->sent[i].lane == lane && b->sent[i].sequence == sequence;
    return count;
}

/* Three alerts and the results of their windows, committed, and an uplink that says nothing. */
static void open_with_rows(struct bench *b)
{
    bench_open(b, yaml);
    b->cloud_is_dumb = true;
    bench_turns(b, 5);
    for (int i = 0; i < 3; i++) {
        char payload[64];
        snprintf(payload, sizeof payload, "{\"ts\":1790000010,\"v\":{\"m%d\":99}}", i);
        assert_true(bench_publish(b, "t/pump", payload));
        bench_turns(b, 3);
    }
    bench_turn(b, 60000); /* idle: the windows close */
    bench_turns(b, 5);
    struct gateway_view view = gateway_view(b->gateway);
    assert_int_equal(view.lanes[LANE_ALERTS].next_sequence, 4);
    assert_in_range(view.lanes[LANE_RESULTS].next_sequence, 2, 9);
    gateway_on_uplink(b->gateway, true);
    gateway_end_turn(b->gateway);
    bench_turn(b, 1); /* the alerts have left */
}

static void a_refused_row_holds_up_its_own_lane_only(void **state)
{
    (void)state;
    struct bench b;
    open_with_rows(&b);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_RESULTS, 1), 0);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        gateway_on_send_failed(b.gateway, LANE_ALERTS, sequence, true);
    for (int turn = 0; turn < 6; turn++)
        bench_turn(&b, 1);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_RESULTS, 1), 1);
    bench_turn(&b, 5000);
    bench_turns(&b, 5);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 2);
    bench_close(&b);
}

/* PUBACKs for all that is under way, or the connection breaks over it; then it is there again. */
static void answer(struct bench *b, bool breaks)
{
    for (uint32_t i = 0; i < b->sent_count; i++) {
        const struct bench_sent *sent = &b->sent[i];
        if (!sent->answered && breaks)
            gateway_on_send_failed(b->gateway, sent->lane, sent->sequence, false);
        else if (!sent->answered)
            gateway_on_sent(b->gateway, sent->lane, sent->sequence);
        b->sent[i].answered = true;
    }
    if (breaks)
        gateway_on_uplink(b->gateway, false);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 3);
}

static uint32_t under_way(const struct bench *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += !b->sent[i].answered;
    return count;
}

/* Of several that were under way when a connection broke nobody knows which one broke it: only one
 * that was sent alone is given up after so many breaks. */
static void only_a_row_alone_is_blamed_for_a_break(void **state)
{
    (void)state;
    struct bench b;
    open_with_rows(&b);
    b.config->uplink.receipts = true; /* none come: all is sent again after each break */
    for (uint32_t i = 0; i < 2 * b.config->uplink.refusals_max; i++) {
        assert_in_range(under_way(&b), 2, 9);
        answer(&b, true);
        assert_int_equal(under_way(&b), 1);
        answer(&b, false);
    }
    assert_null(strstr(b.log, "outbox_poison"));
    for (int i = 0; i < 40 && strstr(b.log, "outbox_poison") == NULL; i++) {
        answer(&b, true);
        bench_turn(&b, 10000); /* its lane waits after each break */
        bench_turns(&b, 3);
    }
    assert_non_null(strstr(b.log, "outbox_poison"));
    bench_close(&b);
}

/* The receiver knows this lane from a store that went on further: it has other rows there. */
static void a_receipt_covers_only_what_was_sent(void **state)
{
    (void)state;
    struct bench b;
    open_with_rows(&b);
    b.config->uplink.receipts = true;
    gateway_on_receipt(b.gateway, LANE_RESULTS, 1000);
    bench_turns(&b, 6);
    assert_int_equal(count_sent(&b, LANE_RESULTS, 1), 1);
    gateway_on_receipt(b.gateway, LANE_RESULTS, 1000);
    bench_turns(&b, 6);
    assert_true(gateway_view(b.gateway).lanes[LANE_RESULTS].covered >= 1);
    bench_close(&b);
}

/* It has everything, and says so once, at the connection: no more receipts follow. */
static void a_retained_receipt_covers_what_is_sent_again(void **state)
{
    (void)state;
    struct bench b;
    open_with_rows(&b);
    b.config->uplink.receipts = true;
    b.cloud_is_dumb = false;
    bench_turns(&b, 10);
    assert_int_equal(gateway_view(b.gateway).lanes[LANE_ALERTS].covered, 0);
    gateway_on_uplink(b.gateway, false);
    gateway_on_uplink(b.gateway, true);
    gateway_on_receipt(b.gateway, LANE_ALERTS, 3);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 3), 1);
    bench_turns(&b, 10);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 3), 2);
    assert_int_equal(gateway_view(b.gateway).lanes[LANE_ALERTS].covered, 3);
    bench_close(&b);
}

/* Row 1 is still under way when the receiver misses 2 and 3, which its broker acknowledged. */
static void a_hole_is_filled_although_an_older_row_is_under_way(void **state)
{
    (void)state;
    struct bench b;
    open_with_rows(&b);
    b.config->uplink.receipts = true;
    gateway_on_sent(b.gateway, LANE_ALERTS, 2);
    gateway_on_sent(b.gateway, LANE_ALERTS, 3);
    gateway_on_replay_request(b.gateway, LANE_ALERTS, 2, 3);
    gateway_on_replay_request(b.gateway, LANE_ALERTS, 1, 1);
    bench_turns(&b, 6);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 2), 2);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 3), 2);
    bench_close(&b);
}

/* Turns of a tenth of a second while commits fail; whether the batch said at last that old readings
 * may make room. */
static bool fail_for(struct bench *b, int error, int64_t ms)
{
    bool may_remove = false;
    b->commits_fail_with = error;
    for (int64_t past = 0; past < ms && !gateway_failed(b->gateway); past += 100) {
        bench_turn(b, 100);
        if (b->job != NULL && b->job->kind == STORE_JOB_COMMIT)
            may_remove = b->job->batch->may_remove;
    }
    b->commits_fail_with = 0;
    return may_remove;
}

/* Turns of a millisecond between a wild reading and the commit that holds it, as rules that learn so long see it. */
static int turns_until_a_commit(const char *learning)
{
    struct bench b;
    char text[1024];
    (void)snprintf(text, sizeof text, "%slearning: {%s}\n", learning_yaml, learning);
    bench_open(&b, text);
    bench_turns(&b, 5);
    for (uint32_t n = 1; n <= 60; n++) {
        char payload[64];
        (void)snprintf(payload, sizeof payload, "{\"ts\":%u,\"v\":{\"a\":%u}}", 1790000000 + n, n % 3);
        assert_true(bench_publish(&b, "t/pump", payload));
        bench_turn(&b, 200);
        bench_turn(&b, 1);
    }
    assert_int_equal(gateway_view(b.gateway).lanes[LANE_ALERTS].next_sequence, 1);
    uint64_t acknowledged = b.acknowledged;
    assert_true(bench_publish(&b, "t/pump", "{\"ts\":1790000061,\"v\":{\"a\":1000}}"));
    int turns = 0;
    while (b.acknowledged == acknowledged && turns < 200) {
        bench_turn(&b, 1);
        turns++;
    }
    assert_int_equal(gateway_view(b.gateway).lanes[LANE_ALERTS].next_sequence, 2);
    bench_close(&b);
    return turns;
}

static void an_alert_hurries_the_commit_unless_it_is_learning(void **state)
{
    (void)state;
    assert_in_range(turns_until_a_commit("readings: 0, time: 0s"), 1, 5);
    assert_in_range(turns_until_a_commit("readings: 1000, time: 1d"), 95, 105);
}

static void a_full_disk_is_waited_out(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, yaml);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", "{\"ts\":1790000000,\"seq\":1,\"v\":{\"a\":1}}"));
    assert_false(fail_for(&b, WEIR_ENOSPC, 59000));
    assert_false(bench_publish(&b, "t/pump", "{\"ts\":1790000001,\"seq\":2,\"v\":{\"a\":1}}"));
    assert_true(fail_for(&b, WEIR_ENOSPC, 10000));
    assert_false(gateway_failed(b.gateway));
    assert_int_equal(b.acknowledged, 0);
    bench_turns(&b, 5);
    assert_int_equal(b.acknowledged, 1);
    assert_true(bench_publish(&b, "t/pump", "{\"ts\":1790000001,\"seq\":2,\"v\":{\"a\":1}}"));
    assert_false(fail_for(&b, WEIR_ENOSPC, 1000)); /* it is counted anew */
    bench_close(&b);
}

static void a_failing_disk_ends_the_process(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, yaml);
    bench_turns(&b, 5);
    assert_true(bench_publish(&b, "t/pump", "{\"ts\":1790000000,\"seq\":1,\"v\":{\"a\":1}}"));
    (void)fail_for(&b, WEIR_EIO, 59000);
    assert_false(gateway_failed(b.gateway));
    (void)fail_for(&b, WEIR_EIO, 10000);
    assert_true(gateway_failed(b.gateway));
    assert_int_equal(b.acknowledged, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_message_is_acknowledged_with_its_last_part),
        cmocka_unit_test(a_listener_fills_the_next_batch_meanwhile),
        cmocka_unit_test(a_broker_is_not_read_meanwhile),
        cmocka_unit_test(a_listener_acknowledges_up_to_a_split_message),
        cmocka_unit_test(a_message_is_judged_when_it_is_taken),
        cmocka_unit_test(a_split_message_that_died_half_stored_is_completed),
        cmocka_unit_test(a_refused_row_holds_up_its_own_lane_only),
        cmocka_unit_test(only_a_row_alone_is_blamed_for_a_break),
        cmocka_unit_test(a_receipt_covers_only_what_was_sent),
        cmocka_unit_test(a_retained_receipt_covers_what_is_sent_again),
        cmocka_unit_test(a_hole_is_filled_although_an_older_row_is_under_way),
        cmocka_unit_test(an_alert_hurries_the_commit_unless_it_is_learning),
        cmocka_unit_test(a_full_disk_is_waited_out),
        cmocka_unit_test(a_failing_disk_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
