/* Goal: a start takes up what there is and says what it can't. Method: a gateway over a real store; its checkpoints are
 * damaged in the file, behind its back.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#include <sqlite3.h>

static const char yaml[] = "clock: {trust: system}\n"
                           "sources:\n"
                           "  - name: plant\n"
                           "    url: mqtt://127.0.0.1:1883\n"
                           "    topics: [\"t/{device}/{metric}\"]\n"
                           "    payload: {value: \"\"}\n"
                           "usual: {all: false}\ndetectors: [{name: hot, type: limit, high: 80, clear_after: 0s, chatter: false}]\n"
                           "alerts: {reject_rate: 2/m}\n"
                           "commit: {max_age: 100ms}\n"
                           "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

/* Ids of the alerts' lane, in order of first appearance. */
struct ids {
    char id[16][ALERT_ID_BYTES + 1];
    uint32_t count;
};

static void note_ids(const struct bench *b, struct ids *ids)
{
    for (uint32_t i = 0; i < b->sent_count; i++) {
        const char *at = strstr(b->sent[i].payload, "\"alert_id\":\"");
        if (at == NULL || strstr(b->sent[i].payload, "\"revision\":1,") == NULL)
            continue;
        assert_in_range(ids->count, 0, 15);
        memcpy(ids->id[ids->count++], at + strlen("\"alert_id\":\""), ALERT_ID_BYTES);
    }
}

static uint32_t different(const struct ids *ids)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ids->count; i++) {
        uint32_t j = 0;
        while (j < i && strcmp(ids->id[i], ids->id[j]) != 0)
            j++;
        count += j == i;
    }
    return count;
}

static void begin(struct bench *b)
{
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 5);
    gateway_on_source(b->gateway, 0, true);
}

static void stop(struct bench *b)
{
    gateway_begin_stop(b->gateway);
    for (int i = 0; i < 100 && !gateway_idle(b->gateway); i++)
        bench_turn(b, 100);
    assert_true(gateway_idle(b->gateway));
    bench_kill(b);
}

/* A limit is passed and is well again, and some rejects: an alert of a device, and of the gateway. */
static void live(struct bench *b)
{
    assert_true(bench_publish(b, "t/oven/temp", "99"));
    bench_turns(b, 3);
    assert_true(bench_publish(b, "t/oven/temp", "20"));
    for (int i = 0; i < 3; i++)
        assert_true(bench_publish(b, "t/oven/temp", "?"));
    bench_turns(b, 3);
}

static void damage_checkpoints(const struct bench *b)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE piece SET bytes = zeroblob(length(bytes))", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_in_range(sqlite3_changes(db), 1, 100);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The same life from the start on, but nothing of the earlier one is known: the same devices, rules and
 * numbers of alerts must not come to the same ids, for a receiver would ignore them. */
static void a_lost_state_never_uses_an_id_again(void **state)
{
    (void)state;
    static struct bench b;
    struct ids ids = { 0 };
    bench_open(&b, yaml);
    b.config->store.journal_age_max_ms = 1;
    for (int start = 0; start < 6; start++) { /* blocks behind the older checkpoint go */
        begin(&b);
        if (start < 3)
            live(&b);
        stop(&b);
        bench_start(&b);
    }
    begin(&b);
    bench_turns(&b, 5);
    assert_null(bench_told(&b, "state_lost"));
    note_ids(&b, &ids);
    assert_int_equal(ids.count, 4); /* one a start, and one of the gateway that stands */
    assert_int_equal(different(&ids), 4);
    bench_kill(&b);

    damage_checkpoints(&b);
    b.sent_count = 0;
    bench_start(&b);
    assert_int_equal(b.found.checkpoint_block, 0);
    assert_true(b.found.first_block > 1);
    begin(&b);
    bench_turns(&b, 5);
    const char *notice = bench_told(&b, "\"kind\":\"state_lost\"");
    assert_non_null(notice);
    char fact[64];
    (void)snprintf(fact, sizeof fact, "\"first_block\":%d", (int)b.found.first_block);
    assert_non_null(strstr(notice, fact));
    assert_non_null(strstr(notice, "\"time\":\"2026-"));
    live(&b);
    note_ids(&b, &ids);
    assert_int_equal(ids.count, 6);
    assert_int_equal(different(&ids), 6);
    bench_kill(&b);

    b.sent_count = 0; /* a checkpoint was taken at once: the next start loses nothing */
    bench_start(&b);
    assert_true(b.found.checkpoint_block > 0);
    begin(&b);
    bench_turns(&b, 5);
    assert_null(bench_told(&b, "state_lost"));
    bench_close(&b);
}

/* A whole checkpoint behind the others, in a form that this Weir does not know. */
static void take_a_newer_checkpoint(struct bench *b)
{
    struct store *store;
    struct store_recovery found;
    uint64_t entropy[2] = { 1, 2 };
    assert_int_equal(store_open(&b->config->store, entropy, &store, &found, b->why), 0);
    struct batch batch = { .block = found.last_block + 1, .t_ms = found.t_ms, .ledger = found.ledger };
    memcpy(batch.lanes, found.lanes, sizeof batch.lanes);
    batch.checkpoint = (struct checkpoint_piece){ batch.block, 0, 5, text_of("newer"), .last = true };
    assert_int_equal(store_commit(store, &batch), 0);
    store_close(store);
}

/* An update took a checkpoint and was rolled back: the one before it is as good, with a longer fold. */
static void a_newer_checkpoint_is_passed_over(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, yaml);
    b.config->store.journal_age_max_ms = 1;
    for (int start = 0; start < 4; start++) { /* blocks behind the older checkpoint go */
        begin(&b);
        if (start == 0)
            assert_true(bench_publish(&b, "t/kiln/temp", "99"));
        live(&b);
        stop(&b);
        if (start == 3)
            take_a_newer_checkpoint(&b);
        bench_start(&b);
    }
    assert_true(b.found.first_block > 1);
    assert_non_null(strstr(b.log, "checkpoint_unreadable"));
    begin(&b);
    b.sent_count = 0;
    assert_true(bench_publish(&b, "t/kiln/temp", "20")); /* it knows what it had raised */
    bench_turns(&b, 5);
    assert_non_null(bench_told(&b, "\"transition\":\"cleared\""));
    assert_null(bench_told(&b, "state_lost"));
    stop(&b); /* with another checkpoint, which takes the place of the newer one */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE piece SET bytes = zeroblob(length(bytes)) WHERE id >> 32 = "
                                  "(SELECT max(id >> 32) FROM piece WHERE bytes = x'6e65776572')", NULL, NULL, NULL), SQLITE_OK);
    int newer = sqlite3_changes(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(newer, 0);
    bench_close(&b);
}

/* One damaged checkpoint is what the other one is for; and a journal that is whole is as good as both. */
static void a_whole_journal_is_a_state(void **state)
{
    (void)state;
    static struct bench b;
    struct ids ids = { 0 };
    bench_open(&b, yaml);
    begin(&b);
    live(&b);
    stop(&b);
    damage_checkpoints(&b);
    bench_start(&b);
    assert_int_equal(b.found.first_block, 1);
    begin(&b);
    live(&b);
    assert_null(bench_told(&b, "state_lost"));
    note_ids(&b, &ids);
    assert_int_equal(ids.count, 3);
    assert_int_equal(different(&ids), 3);
    bench_close(&b);
}

static const char cooler_yaml[] = "clock: {trust: system}\n"
                                  "sources:\n"
                                  "  - name: plant\n"
                                  "    url: mqtt://127.0.0.1:1883\n"
                                  "    topics: [\"t/{device}/{metric}\"]\n"
                                  "    payload: {value: \"\"}\n"
                                  "usual: {all: false}\ndetectors: [{name: cool, type: limit, low: 1, clear_after: 0s}]\n"
                                  "commit: {max_age: 100ms}\n"
                                  "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static uint32_t count_sent(const struct bench *b, const char *text)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += strstr(b->sent[i].payload, text) != NULL;
    return count;
}

/* The process dies at once after its first start with the changed file, and after the second. No receipt
 * comes, so the third start sends the same row again. */
static void an_alert_without_its_rule_is_cleared(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, yaml);
    begin(&b);
    assert_true(bench_publish(&b, "t/oven/temp", "99"));
    bench_turns(&b, 3);
    assert_int_equal(count_sent(&b, "\"transition\":\"raised\""), 1);
    stop(&b);
    bench_configure(&b, cooler_yaml);
    for (int start = 0; start < 3; start++) {
        b.sent_count = 0;
        bench_start(&b);
        if (start > 0)
            begin(&b);
        if (start < 2)
            bench_kill(&b);
        assert_int_equal(count_sent(&b, "\"transition\":\"cleared\""), start > 0);
    }
    bench_close(&b);
}

enum { STANDING_RULES = 12, STANDING_DEVICES = 100 };

static const char *many_rules(const char *name, int limit)
{
    static char text[4096];
    size_t used = (size_t)snprintf(text, sizeof text,
        "clock: {trust: system}\nlimits: {devices: %d, series: %d}\n"
        "sources:\n  - {name: plant, url: mqtt://127.0.0.1:1883, topics: [\"t/{device}/{metric}\"], payload: {value: \"\"}}\n"
        "usual: {all: false}\nalerts: {storm: 0}\ncommit: {max_age: 100ms}\n"
        "uplink: {url: \"mqtt://127.0.0.1:1884\"}\ndetectors:\n", limit, limit);
    for (int i = 0; i < STANDING_RULES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  - {name: %s%d, type: limit, high: %d, chatter: false}\n", name, i, 50 + i);
    return text;
}

/* More alerts stand than the smaller limits have places for, and no rule of theirs is left: those with a place are
 * withdrawn, and the gateway says how many had none. */
static void what_had_no_place_is_told(void **state)
{
    (void)state;
    static struct bench b;
    char topic[32];
    bench_open(&b, many_rules("hot", 2000));
    gateway_on_source(b.gateway, 0, true);
    gateway_on_uplink(b.gateway, true);
    for (int i = 0; i < STANDING_DEVICES; i++) {
        (void)snprintf(topic, sizeof topic, "t/oven%d/temp", i);
        assert_true(bench_publish(&b, topic, "99"));
        bench_turns(&b, 5);
        b.sent_count = 0;
    }
    assert_int_equal(engine_counts(gateway_view(b.gateway).engine).alerts_open, STANDING_RULES * STANDING_DEVICES);
    stop(&b);
    bench_configure(&b, many_rules("warm", STANDING_DEVICES));
    bench_start(&b);
    gateway_on_uplink(b.gateway, true);
    bool told = false;
    for (int i = 0; i < 200; i++) { /* there is no room for all that is sent at once */
        bench_begin(&b, 100);
        told = told || bench_told(&b, "\"open_alerts\":176") != NULL;
        b.sent_count = 0;
        gateway_end_turn(b.gateway);
    }
    assert_true(told);
    assert_non_null(strstr(b.log, "alerts_unkept open_alerts=176 "));
    struct engine_counts counts = engine_counts(gateway_view(b.gateway).engine);
    assert_int_equal(counts.alerts_open, 0);
    assert_int_equal(counts.alerts_cleared, 1024);
    b.log[0] = '\0';
    stop(&b); /* with a checkpoint that holds no more of it */
    bench_start(&b);
    begin(&b);
    assert_null(strstr(b.log, "alerts_unkept"));
    bench_close(&b);
}

#define OF_SOURCES(sources) \
    "clock: {trust: system}\nusual: {all: false}\ncommit: {max_age: 100ms}\n" \
    "sources:\n" sources \
    "streams: [{name: all, key: [device], window: {size: 1h}}, {name: named, key: [device], inputs: [north], window: {size: 1h}}]\n"
#define SOURCE(name) "  - {name: " name ", url: \"mqtt://127.0.0.1:1883\", topics: [\"" name "/{device}/{metric}\"], payload: {value: \"\"}}\n"

/* What is folded of a source that is gone, beside several others, is in the streams that it was in. */
static void readings_of_a_gone_source_stay_in_their_streams(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, OF_SOURCES(SOURCE("west") SOURCE("north") SOURCE("south")));
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    assert_true(bench_publish(&b, "west/oven/temp", "20"));
    bench_turns(&b, 5);
    for (int without = 0; without < 2; without++) {
        assert_int_equal(engine_stream_counts(gateway_view(b.gateway).engine, 0).taken, 1);
        assert_int_equal(engine_stream_counts(gateway_view(b.gateway).engine, 1).taken, 0);
        bench_kill(&b);
        bench_configure(&b, OF_SOURCES(SOURCE("north") SOURCE("south")));
        bench_start(&b);
    }
    assert_int_equal(engine_stream_counts(gateway_view(b.gateway).engine, 0).taken, 1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_state_never_uses_an_id_again),
        cmocka_unit_test(a_newer_checkpoint_is_passed_over),
        cmocka_unit_test(a_whole_journal_is_a_state),
        cmocka_unit_test(an_alert_without_its_rule_is_cleared),
        cmocka_unit_test(what_had_no_place_is_told),
        cmocka_unit_test(readings_of_a_gone_source_stay_in_their_streams),
    };
    return cmocka_run_group_tests_name("gateway_start", tests, NULL, NULL);
}
