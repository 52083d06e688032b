/* Goal: each shed level leaves out what it says, counts it, and is told with its cause; alerts and QoS 1 readings never
 * are left out; every kind of pressure is measured; sources are capped by priority; a restart ends the level.
 * Method: a gateway over a real store whose source is not read to its end, whose commits hang, or whose load is told.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

static const char YAML[] =
    "sources:\n"
    "  - {name: plant, url: \"mqtt://127.0.0.1:1883\", receive_maximum: 80, priority: high,\n"
    "     topics: [\"t/{device}/{metric}\", {template: \"b/{device}/{metric}\", payload: {readings: /r}}]}\n"
    "  - {name: annex, url: \"mqtt://127.0.0.1:1885\", receive_maximum: 80, topics: [\"t/{device}/{metric}\"]}\n"
    "  - {name: radio, url: \"mqtt://127.0.0.1:1886\", receive_maximum: 80, priority: low,\n"
    "     topics: [\"t/{device}/{metric}\"]}\n"
    "window: {size: 1s, out_of_orderness: 0s, lateness: 0s, idle: 1s}\n"
    "usual: {all: false}\ndetectors: [{type: limit, high: 80, cooldown: 0s}]\n"
    "commit: {max_age: 100ms}\n"
    "shed: {enrichment_lag: 1s, optional_lag: 2s, sources_lag: 3s, qos0_lag: 4s, enter: 200ms, leave: 300ms}\n"
    "uplink: {url: \"mqtt://127.0.0.1:1884\", raw: true}\n";

static struct bench bench;

static enum shed_level level(const struct bench *b)
{
    return gateway_view(b->gateway).shed;
}

/* Nothing is read to its end until the level is reached. */
static void press(struct bench *b, enum shed_level to)
{
    for (int turn = 0; level(b) < to; turn++) {
        assert_in_range(turn, 0, 100);
        bench_turn(b, 100);
    }
    assert_int_equal(level(b), to);
}

static void relieve(struct bench *b, enum shed_level to)
{
    for (int turn = 0; level(b) > to; turn++) {
        assert_in_range(turn, 0, 100);
        bench_begin(b, 100);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
    }
    assert_int_equal(level(b), to);
}

static void open_connected(struct bench *b)
{
    bench_open(b, YAML);
    bench_turns(b, 2);
    gateway_on_source(b->gateway, 0, true);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 2);
}

/* In this turn, which is to be ended; nothing is read to its end. */
static void give(struct bench *b, uint8_t qos, const char *topic, const char *payload)
{
    assert_true(gateway_may_take(b->gateway, 0));
    struct message m = { .source = 0, .qos = qos, .topic = text_of(topic), .payload = text_of(payload) };
    (void)gateway_on_message(b->gateway, &m);
}

/* At one level: a reading of QoS 1, one of QoS 0, and one that is an alert, each of a device of its own. */
static void publish_at(struct bench *b, enum shed_level at)
{
    char topic[32];
    static const char *const names[] = { "calm", "loose", "hot" };
    for (int i = 0; i < 3; i++) {
        bench_begin(b, 1);
        (void)snprintf(topic, sizeof topic, "t/%s%d/temp", names[i], (int)at);
        give(b, i == 1 ? 0 : 1, topic, i == 2 ? "{\"value\":95}" : "{\"value\":20}");
        gateway_end_turn(b->gateway);
    }
}

static void each_level_leaves_out_more(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    struct ledger before = gateway_view(b->gateway).ledger;
    for (enum shed_level at = SHED_NORMAL; at < SHED_LEVELS; at++) {
        press(b, at);
        publish_at(b, at);
        for (int i = 0; i < 3; i++) /* committed, sent */
            bench_turn(b, 1);
        char alert[64];
        (void)snprintf(alert, sizeof alert, "\"device\":\"hot%d\"", (int)at);
        const char *told = bench_told(b, alert);
        assert_non_null(told);
        assert_int_equal(strstr(told, "\"enrichment_left_out\":true") != NULL, at >= SHED_ENRICHMENT);
    }
    relieve(b, SHED_NORMAL);
    bench_turns(b, 5);
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_true(ledger_balances(&l));
    assert_int_equal(l.received - before.received, 15);
    assert_int_equal(l.stored - before.stored, 14); /* all but the one of QoS 0 at level 4 */
    assert_int_equal(l.shed[SHED_QOS0_OVERLOAD], 1);
    assert_int_equal(l.enrichment_left_out, 4);
    assert_int_equal(l.raw_left_out, 3 + 3 + 2);
    bench_close(b);
}

/* Windows close after a second; levels take less than that to change. */
static void results_that_alerts_need_leave(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_OPTIONAL);
    publish_at(b, SHED_OPTIONAL);
    bench_turns(b, 25);
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_int_equal(l.results_left_out, 2); /* calm and loose, not hot */
    assert_int_equal(gateway_view(b->gateway).lanes[LANE_RESULTS].next_sequence, 2);
    relieve(b, SHED_ENRICHMENT);
    bench_begin(b, 1);
    give(b, 1, "t/calm/temp", "{\"value\":20}");
    gateway_end_turn(b->gateway);
    bench_turns(b, 9);
    relieve(b, SHED_NORMAL);
    bench_turns(b, 25);
    assert_int_equal(gateway_view(b->gateway).ledger.results_left_out, 2);
    assert_int_equal(gateway_view(b->gateway).lanes[LANE_RESULTS].next_sequence, 3);
    bench_close(b);
}

static void dropped_readings_are_counted_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *payload;
        uint64_t readings;
    } table[] = {
        { "t/a/temp", "{\"value\":1}", 1 },
        { "b/a/temp", "{\"r\":[{\"value\":1},{\"value\":2},{\"value\":3}]}", 3 },
        { "b/a/temp", "{\"r\":[{\"value\":1},{\"value\":[]}]}", 2 },
        { "t/a/temp", "{\"value\":", 1 },
        { "elsewhere", "{\"value\":1}", 1 },
    };
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_QOS0);
    uint64_t expected = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bench_begin(b, 1);
        give(b, 0, table[i].topic, table[i].payload);
        gateway_end_turn(b->gateway);
        expected += table[i].readings;
    }
    bench_turns(b, 3);
    struct ledger l = gateway_view(b->gateway).ledger;
    assert_int_equal(l.shed[SHED_QOS0_OVERLOAD], expected);
    assert_int_equal(l.received, expected);
    assert_true(ledger_balances(&l));
    uint8_t bytes[256];
    struct dead_letter letter;
    uint32_t count;
    assert_int_equal(store_letters_read(b->store, 0, bytes, sizeof bytes, &letter, 1, &count), 0);
    assert_int_equal(count, 0);
    bench_close(b);
}

/* A device takes what its receipt covers for kept, as a reading or a dead letter. */
static void no_receipt_covers_what_was_dropped(void **state)
{
    (void)state;
    static const char yaml[] =
        "sources:\n"
        "  - {name: plant, listen: \"mqtt://127.0.0.1:1883\", anonymous: true, payload: {sequence: /n},\n"
        "     topics: [\"t/{device}/{metric}\"]}\n"
        "commit: {max_age: 100ms}\n"
        "shed: {enrichment_lag: 1s, optional_lag: 2s, sources_lag: 3s, qos0_lag: 4s, enter: 200ms, leave: 300ms}\n";
    struct bench *b = &bench;
    uint64_t covered = 0;
    bench_open(b, yaml);
    bench_turns(b, 2);
    gateway_on_source(b->gateway, 0, true);
    int receipt = gateway_receipt_watch(b->gateway, text_of("a"));
    assert_true(receipt >= 0);
    bench_begin(b, 1);
    give(b, 1, "t/a/temp", "{\"value\":1,\"n\":1}");
    give(b, 1, "t/a/temp", "{\"value\":[],\"n\":2}");
    gateway_end_turn(b->gateway);
    press(b, SHED_QOS0);
    bench_begin(b, 1);
    give(b, 0, "t/a/temp", "{\"value\":[],\"n\":3}");
    give(b, 0, "t/a/temp", "{\"value\":1,\"n\":3}");
    gateway_end_turn(b->gateway);
    bench_turns(b, 3);
    assert_true(gateway_receipt(b->gateway, receipt, &covered));
    assert_int_equal(covered, 2);
    assert_int_equal(gateway_view(b->gateway).ledger.shed[SHED_QOS0_OVERLOAD], 2);
    gateway_receipt_unwatch(b->gateway, receipt);
    bench_close(b);
}

static double fact(const char *notice, const char *name)
{
    char key[40];
    (void)snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(notice, key);
    assert_non_null(at);
    return strtod(at + strlen(key), NULL);
}

static void each_change_is_told(void **state)
{
    (void)state;
    static const int levels[] = { 1, 2, 3, 4, 3, 2, 1, 0 };
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_QOS0);
    bench_begin(b, 1);
    give(b, 0, "t/a/temp", "{\"value\":1}");
    gateway_end_turn(b->gateway);
    relieve(b, SHED_NORMAL);
    bench_turns(b, 5);
    int seen = 0, before = 0;
    for (uint32_t i = 0; i < b->sent_count; i++) {
        const char *notice = b->sent[i].payload;
        if (strstr(notice, "\"kind\":\"shed_level\"") == NULL)
            continue;
        assert_in_range(seen, 0, 7);
        assert_int_equal(fact(notice, "level"), levels[seen]);
        assert_int_equal(fact(notice, "previous_level"), before);
        assert_non_null(strstr(notice, "\"cause\":\"lag\""));
        bool up = levels[seen] > before;
        assert_int_equal(fact(notice, "duration_ms") > 0, !up);
        assert_int_equal(fact(notice, "qos0_readings_shed"), up ? 0 : 1); /* each level was on when it was dropped */
        assert_int_equal(fact(notice, "lag_ms") > 1000, up);
        before = levels[seen++];
    }
    assert_int_equal(seen, 8);
    assert_non_null(strstr(b->log, "shed_level shed level 4 is entered, for lag\n"));
    assert_non_null(strstr(b->log, "1 readings of QoS 0\n"));

    struct shed_change changes[GATEWAY_SHED_CHANGES];
    assert_int_equal(gateway_shed_changes(b->gateway, changes, 3), 3);
    assert_int_equal(changes[0].to, 0);
    assert_int_equal(changes[2].to, 2);
    assert_int_equal(changes[2].left_out.readings, 1);
    assert_true(changes[0].lasted_ms > changes[1].lasted_ms); /* level 1 holds level 2 */
    assert_int_equal(gateway_shed_changes(b->gateway, changes, GATEWAY_SHED_CHANGES), GATEWAY_SHED_CHANGES);
    assert_int_equal(changes[GATEWAY_SHED_CHANGES - 1].to, 1);
    bench_close(b);
}

static void what_is_under_way_is_looked_at(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_OPTIONAL);
    struct gateway_view view = gateway_view(b->gateway);
    assert_int_equal(view.shed_cause, SHED_LAG);
    assert_in_range(view.pressure.of[SHED_LAG], 2000, 2500);
    assert_int_equal(view.shed_for_ms, 0);
    publish_at(b, SHED_OPTIONAL);
    bench_turn(b, 10);
    view = gateway_view(b->gateway);
    assert_int_equal(view.shed_for_ms, 13);
    assert_int_equal(view.left_out.enrichment, 1);
    assert_int_equal(view.left_out.raw, 3);
    bench_close(b);
}

/* --- the other kinds of pressure --- */

static void commits_that_take_long_are_pressure(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    b->store_hangs = true;
    bench_begin(b, 10);
    give(b, 1, "t/a/temp", "{\"value\":1}");
    gateway_end_turn(b->gateway);
    for (int i = 0; i < 120; i++) { /* nothing is told: notices wait for the disk too */
        bench_begin(b, 100);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
    }
    assert_int_equal(level(b), SHED_OPTIONAL); /* 10 s is its threshold */
    assert_int_equal(gateway_view(b->gateway).shed_cause, SHED_COMMIT);
    b->store_hangs = false;
    int turns = 0;
    for (; level(b) > SHED_NORMAL && turns < 1000; turns++) {
        bench_begin(b, 100);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
    }
    assert_in_range(turns, 100, 120); /* remembered for 10 s, then .3 s a level */
    bench_close(b);
}

static void load_is_pressure(void **state)
{
    (void)state;
    static const struct {
        int64_t turn_ms;
        uint32_t memory_percent;
        enum shed_level level;
        enum shed_cause cause;
    } table[] = {
        { 500, 105, SHED_NORMAL, SHED_LAG },      { 501, 0, SHED_ENRICHMENT, SHED_LOOP },
        { 1001, 0, SHED_OPTIONAL, SHED_LOOP },    { 2001, 0, SHED_SOURCES, SHED_LOOP },
        { 0, 106, SHED_ENRICHMENT, SHED_MEMORY }, { 0, 500, SHED_SOURCES, SHED_MEMORY },
    };
    struct bench *b = &bench;
    open_connected(b);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int turn = 0; turn < 20; turn++) {
            bench_begin(b, 100);
            gateway_on_drained(b->gateway, 0);
            gateway_on_load(b->gateway, table[i].turn_ms, table[i].memory_percent);
            gateway_end_turn(b->gateway);
        }
        assert_int_equal(level(b), table[i].level);
        if (level(b) > SHED_NORMAL)
            assert_int_equal(gateway_view(b->gateway).shed_cause, table[i].cause);
        bench_turns(b, 1);
        gateway_on_load(b->gateway, 0, 0);
        relieve(b, SHED_NORMAL);
        bench_turns(b, 1);
    }
    bench_close(b);
}

static void an_outbox_that_fills_is_pressure(void **state)
{
    (void)state;
    struct bench *b = &bench;
    char yaml[2048];
    (void)snprintf(yaml, sizeof yaml, "%sstore: {disk_max: 8MiB, wal_max: 2MiB, ballast: 64KiB, raw_share: 1}\n", YAML);
    char *shed = strstr(yaml, "enrichment_lag");
    memmove(shed + 23, shed, strlen(shed) + 1);
    memcpy(shed, "enrichment_outbox: 20, ", 23);
    bench_open(b, yaml);
    bench_turns(b, 2);
    gateway_on_uplink(b->gateway, false); /* nothing leaves */
    struct gateway_view view = gateway_view(b->gateway);
    for (int i = 0; level(b) == SHED_NORMAL; i++) {
        char topic[80];
        assert_in_range(i, 0, 2000);
        (void)snprintf(topic, sizeof topic, "t/a-device-with-a-rather-long-name-number-%d/temp", i % 500);
        (void)bench_publish(b, topic, "{\"value\":1.2345678}");
        view = gateway_view(b->gateway);
    }
    assert_int_equal(view.shed_cause, SHED_OUTBOX);
    assert_in_range(view.pressure.of[SHED_OUTBOX], 21, 40);
    assert_in_range(view.pressure.of[SHED_OUTBOX_AGE], 1000, view.t_ms);
    gateway_on_uplink(b->gateway, true); /* all is sent, and with its PUBACK covered; no commit follows that says so */
    bench_turns(b, 100);
    view = gateway_view(b->gateway);
    assert_int_equal(view.shed, SHED_NORMAL);
    assert_int_equal(view.pressure.of[SHED_OUTBOX], 0);
    assert_int_equal(view.outbox_age_ms[LANE_RAW], 0);
    bench_close(b);
}

/* --- sources --- */

static void sources_are_capped_by_priority(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_OPTIONAL);
    for (uint32_t source = 0; source < 3; source++) {
        assert_int_equal(gateway_turn_messages(b->gateway, source), GATEWAY_TURN_MESSAGES);
        assert_int_equal(gateway_receive_maximum(b->gateway, source), 80);
    }
    press(b, SHED_SOURCES);
    assert_int_equal(gateway_turn_messages(b->gateway, 0), GATEWAY_TURN_MESSAGES / 2);
    assert_int_equal(gateway_turn_messages(b->gateway, 1), GATEWAY_TURN_MESSAGES / 8);
    assert_int_equal(gateway_turn_messages(b->gateway, 2), GATEWAY_TURN_MESSAGES / 32);
    static const int parts[] = { 40, 10, 2 }; /* of its receive maximum, before an acknowledgement is due */
    bench_begin(b, 1);
    for (uint32_t source = 0; source < 3; source++) {
        assert_int_equal(gateway_receive_maximum(b->gateway, source), parts[source]);
        int given = 0;
        for (; gateway_may_take(b->gateway, source); given++)
            (void)gateway_on_message(b->gateway, &(struct message){ .source = source, .qos = 1,
                                                                    .topic = text_of("t/a/temp"),
                                                                    .payload = text_of("{\"value\":1}") });
        assert_int_equal(given, parts[source]);
    }
    gateway_end_turn(b->gateway);
    bench_turn(b, 1); /* it does not wait for commit.max_age */
    assert_int_equal(b->acknowledged, 3);
    bench_close(b);
}

/* Its turns are further apart than the lag that is allowed, and in each it is read to its end. */
static void an_idle_source_does_not_lag(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_ENRICHMENT);
    relieve(b, SHED_NORMAL);
    for (int turn = 0; turn < 20; turn++) {
        bench_begin(b, 1500);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
        assert_int_equal(level(b), SHED_NORMAL);
    }
    bench_close(b);
}

static void a_restart_ends_the_level(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    press(b, SHED_SOURCES);
    bench_turns(b, 3);
    assert_int_equal(engine_shed_level(gateway_view(b->gateway).engine), SHED_SOURCES);
    bench_kill(b);
    bench_start(b);
    assert_int_equal(level(b), SHED_NORMAL);
    assert_int_equal(engine_shed_level(gateway_view(b->gateway).engine), SHED_NORMAL);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 10);
    const char *told = bench_told(b, "\"cause\":\"restart\"");
    assert_non_null(told);
    assert_int_equal(fact(told, "previous_level"), 3);
    assert_int_equal(fact(told, "level"), 0);
    uint32_t sent = b->sent_count;
    bench_stop(b); /* and once only */
    bench_start(b);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 10);
    for (uint32_t i = sent; i < b->sent_count; i++)
        assert_null(strstr(b->sent[i].payload, "restart"));
    bench_close(b);
}

static void a_lag_that_grows_for_minutes_is_an_alert(void **state)
{
    (void)state;
    struct bench *b = &bench;
    open_connected(b);
    for (int i = 0; i < 340; i++) {
        bench_turn(b, 1000);
        if (i == 290)
            assert_null(bench_told(b, "lag_grows"));
    }
    assert_non_null(bench_told(b, "\"rule\":\"lag_grows\""));
    assert_non_null(bench_told(b, "\"state\":\"raised\""));
    for (int i = 0; i < 40; i++) {
        bench_begin(b, 1000);
        gateway_on_drained(b->gateway, 0);
        gateway_end_turn(b->gateway);
    }
    const char *told = bench_told(b, "lag_grows");
    assert_non_null(strstr(told, "\"state\":\"cleared\""));
    bench_close(b);
}

static void offer(struct bench *b, int seconds, int per_second)
{
    for (int s = 0; s < seconds; s++) {
        bench_begin(b, 800);
        gateway_on_drained(b->gateway, 0);
        for (int i = 0; i < per_second; i++)
            give(b, 0, "t/a/temp", "{\"value\":1}");
        gateway_end_turn(b->gateway);
        bench_turn(b, 100); /* it is committed, and there is room again */
        bench_turn(b, 100);
    }
}

static void the_load_wants_gateways(void **state)
{
    (void)state;
    struct bench *b = &bench;
    char yaml[2048];
    (void)snprintf(yaml, sizeof yaml, "%sscale: {headroom: 50, up_for: 10s, down_for: 30s}\n", YAML);
    bench_open(b, yaml);
    gateway_set_capacity(b->gateway, 60);
    bench_turns(b, 2);
    gateway_on_uplink(b->gateway, true);
    assert_int_equal(gateway_view(b->gateway).gateways_wanted, 1);
    offer(b, 150, 70); /* a load of 70, most of it in the mean by now, on gateways that may have 30 each */
    struct gateway_view view = gateway_view(b->gateway);
    assert_int_equal(view.gateways_wanted, 3);
    assert_in_range((int)view.load, 62, 66);
    const char *told = bench_told(b, "\"kind\":\"gateways_wanted\"");
    assert_non_null(told);
    assert_int_equal(fact(told, "gateways"), 3);
    assert_int_equal(fact(told, "capacity_per_second"), 60);
    offer(b, 400, 0);
    assert_int_equal(gateway_view(b->gateway).gateways_wanted, 1);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_leaves_out_more),
        cmocka_unit_test(results_that_alerts_need_leave),
        cmocka_unit_test(dropped_readings_are_counted_as_they_are),
        cmocka_unit_test(no_receipt_covers_what_was_dropped),
        cmocka_unit_test(each_change_is_told),
        cmocka_unit_test(what_is_under_way_is_looked_at),
        cmocka_unit_test(commits_that_take_long_are_pressure),
        cmocka_unit_test(load_is_pressure),
        cmocka_unit_test(an_outbox_that_fills_is_pressure),
        cmocka_unit_test(sources_are_capped_by_priority),
        cmocka_unit_test(an_idle_source_does_not_lag),
        cmocka_unit_test(a_restart_ends_the_level),
        cmocka_unit_test(a_lag_that_grows_for_minutes_is_an_alert),
        cmocka_unit_test(the_load_wants_gateways),
    };
    return cmocka_run_group_tests_name("gateway shed", tests, NULL, NULL);
}
