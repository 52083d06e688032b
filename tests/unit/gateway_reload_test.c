/* Goal: another configuration is taken over between two batches with the state of all that is defined as before, the journal
 * says so first in its block, and one that can't be had leaves everything as it was; what differs is told key by key, and
 * which of it may be taken over. Method: a gateway over a real store whose clock is moved by hand; tables of differences.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#define YAML(devices, high, more) \
    "clock: {trust: system}\n" \
    "limits: {devices: " devices ", series: 20, reload: 0}\n" \
    "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n" \
    "usual: {all: false}\n" \
    "alerts: {storm: 0}\n" \
    "detectors:\n" \
    "  - {name: hot, type: limit, device: oven, high: " high ", chatter: false}\n" \
    "  - {name: other, type: limit, device: pump, high: 90, chatter: false}\n" more \
    "commit: {max_age: 100ms}\n"

static struct config *another(struct bench *b, const char *yaml)
{
    static struct config configs[2];
    static int at;
    char text[4096];
    struct config *config = &configs[at = 1 - at];
    (void)snprintf(text, sizeof text, "gateway: {name: bench, data_dir: %s}\n%s", b->dir, yaml);
    assert_int_equal(config_read_text("bench.yaml", text, strlen(text), config, stderr), 0);
    config->engine.store = b->config->engine.store;
    return config;
}

static uint64_t readings_of(const struct bench *b, const char *device)
{
    struct series_view series;
    const struct engine *e = gateway_view(b->gateway).engine;
    for (uint32_t i = 0; engine_series(e, i, &series); i++)
        if (text_equal(series.device, text_of(device)))
            return series.statistics->count;
    return 0;
}

static uint32_t alerts_open(const struct bench *b)
{
    struct alert_view alert;
    uint64_t cursor = 0;
    uint32_t count = 0;
    while (engine_alert(gateway_view(b->gateway).engine, &cursor, &alert))
        count++;
    return count;
}

static enum reload_state reload(struct bench *b, const struct config *config)
{
    assert_int_equal(gateway_reload(b->gateway, config, b->why), 0);
    assert_int_equal(gateway_reload(b->gateway, config, b->why), WEIR_EAGAIN);
    bench_turns(b, 20);
    return gateway_reload_state(b->gateway);
}

static void publish(struct bench *b, const char *topic, const char *payload)
{
    assert_true(bench_publish(b, topic, payload));
    bench_turns(b, 3);
}

static void state_goes_over(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, YAML("10", "50", ""));
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/pump/temp", "{\"value\":95}");
    publish(&b, "t/oven/temp", "{\"value\":40}");
    publish(&b, "t/oven/temp", "{\"value\":41}");
    assert_int_equal(alerts_open(&b), 1);
    const struct config *next = another(&b, YAML("10", "30", ""));
    assert_int_equal(reload(&b, next), RELOAD_DONE);
    assert_ptr_equal(gateway_config(b.gateway), next);
    assert_int_equal(readings_of(&b, "oven"), 2);
    assert_int_equal(alerts_open(&b), 1); /* of a detector that is as before */
    publish(&b, "t/oven/temp", "{\"value\":42}");
    assert_int_equal(alerts_open(&b), 2);
    assert_int_equal(readings_of(&b, "oven"), 3);
    assert_int_equal(gateway_view(b.gateway).ledger.stored, 4);
    /* what the restart finds, under the new file */
    bench_kill(&b);
    bench_configure(&b, YAML("10", "30", ""));
    bench_start(&b);
    assert_int_equal(readings_of(&b, "oven"), 3);
    assert_int_equal(alerts_open(&b), 2);
    bench_close(&b);
}

static void first_id(const struct bench *b, char id[ALERT_ID_BYTES + 1])
{
    struct alert_view alert;
    uint64_t cursor = 0;
    assert_true(engine_alert(gateway_view(b->gateway).engine, &cursor, &alert));
    memcpy(id, alert.id, ALERT_ID_BYTES + 1);
}

/* Where the present configuration stands in for the one that was in force, for whose rules there is no memory, it finds other
 * alerts in the journal behind the checkpoint. One that was told before and is not among them keeps its id: a
 * receiver would pass over what comes under it once more. */
static void no_id_comes_twice(void **state)
{
    (void)state;
    static struct bench b;
    char before[ALERT_ID_BYTES + 1], after[ALERT_ID_BYTES + 1];
    bench_open(&b, YAML("10", "50", "  - {type: spike}\n  - {type: rate, per_second: 5}\n"));
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/oven/temp", "{\"value\":60}");
    first_id(&b, before);
    bench_kill(&b);
    bench_configure(&b, YAML("10", "70", ""));
    bench_start(&b);
    assert_non_null(strstr(b.log, "configuration_unknown"));
    bench_turns(&b, 5);
    assert_int_equal(alerts_open(&b), 0);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/oven/temp", "{\"value\":80}");
    first_id(&b, after);
    assert_true(strcmp(before, after) != 0);
    bench_close(&b);
}

static void what_can_not_be_had_changes_nothing(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, YAML("10", "50", ""));
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/pump/temp", "{\"value\":95}");
    publish(&b, "t/oven/temp", "{\"value\":40}");
    const struct config *before = gateway_config(b.gateway);
    /* a state that does not fit: main would not ask for it, for limits.devices needs a restart */
    assert_int_equal(reload(&b, another(&b, YAML("1", "30", ""))), RELOAD_FAILED);
    assert_ptr_equal(gateway_config(b.gateway), before);
    assert_int_equal(readings_of(&b, "oven"), 1);
    assert_int_equal(alerts_open(&b), 1);
    publish(&b, "t/oven/temp", "{\"value\":41}");
    assert_int_equal(alerts_open(&b), 1); /* by the old limit */
    /* more memory than there is */
    const struct config *larger = another(&b, YAML("10", "30", "  - {type: spike}\n  - {type: rate, per_second: 5}\n"));
    assert_int_equal(gateway_reload(b.gateway, larger, b.why), WEIR_EFULL);
    assert_non_null(strstr(b.why, "restart"));
    /* and then it goes */
    assert_int_equal(reload(&b, another(&b, YAML("10", "30", ""))), RELOAD_DONE);
    publish(&b, "t/oven/temp", "{\"value\":41}");
    assert_int_equal(alerts_open(&b), 2);
    bench_close(&b);
}

#define STREAMS(streams) \
    "clock: {trust: system}\n" \
    "limits: {devices: 20, series: 40, reload: 256KiB}\n" \
    "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n" \
    "usual: {all: false}\n" \
    "alerts: {storm: 0}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n" \
    streams \
    "commit: {max_age: 100ms}\n"
#define SUMS "  - {name: sums, key: [device], window: {type: tumbling, size: 1h}, keys: 8, aggregates: [sum]}\n"
#define PEAKS(size, rule) \
    "  - {name: peaks, key: [device], window: {type: tumbling, size: " size "}, keys: 8, aggregates: [max]" rule "}\n"
#define HIGH ", rules: [{name: high, when: \"max > 50\", on: reading}]"

static struct stream_counts counts_of(const struct bench *b, const char *stream)
{
    const struct config *config = gateway_config(b->gateway);
    for (uint32_t i = 0; i < config->stream_count; i++)
        if (strcmp(config->streams[i].name, stream) == 0)
            return engine_stream_counts(gateway_view(b->gateway).engine, i);
    fail_msg("no stream %s", stream);
    return (struct stream_counts){ 0 };
}

static void streams_come_and_go(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, STREAMS(""));
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/oven/temp", "{\"value\":40}");
    /* the first ones of a gateway that began without */
    assert_int_equal(reload(&b, another(&b, STREAMS("streams:\n" SUMS PEAKS("1h", HIGH)))), RELOAD_DONE);
    publish(&b, "t/oven/temp", "{\"value\":60}");
    assert_int_equal(counts_of(&b, "sums").taken, 1);
    assert_int_equal(alerts_open(&b), 1);
    assert_null(strstr(b.log, "definitions_changed")); /* nothing was there that starts empty */
    /* another order, and one of them another: the other one goes on, and what the first had raised is over */
    assert_int_equal(reload(&b, another(&b, STREAMS("streams:\n" PEAKS("30m", HIGH) SUMS))), RELOAD_DONE);
    bench_turns(&b, 5);
    assert_int_equal(counts_of(&b, "sums").taken, 1);
    assert_int_equal(counts_of(&b, "peaks").taken, 0);
    assert_int_equal(alerts_open(&b), 0);
    assert_non_null(strstr(b.log, "definitions_changed what they define starts empty; streams: peaks\n"));
    assert_int_equal(engine_counts(gateway_view(b.gateway).engine).alerts_cleared, 1);
    publish(&b, "t/oven/temp", "{\"value\":70}");
    assert_int_equal(counts_of(&b, "sums").taken, 2);
    assert_int_equal(alerts_open(&b), 1);
    assert_int_equal(reload(&b, another(&b, STREAMS("streams:\n" SUMS))), RELOAD_DONE);
    bench_turns(&b, 5);
    assert_int_equal(alerts_open(&b), 0);
    publish(&b, "t/oven/temp", "{\"value\":70}");
    /* and the restart finds it so */
    bench_kill(&b);
    bench_configure(&b, STREAMS("streams:\n" SUMS));
    bench_start(&b);
    assert_int_equal(counts_of(&b, "sums").taken, 3);
    assert_int_equal(engine_counts(gateway_view(b.gateway).engine).alerts_open, 0);
    bench_close(&b);
}

static void what_has_no_room_is_refused(void **state)
{
    (void)state;
    static struct bench b;
    bench_open(&b, STREAMS("streams:\n" SUMS));
    bench_turns(&b, 5);
    const struct config *large = another(&b, STREAMS("streams:\n  - {name: sums, key: [device], keys: 9000, "
                                                     "window: {type: tumbling, size: 1h}, aggregates: [sum]}\n"));
    assert_int_equal(gateway_reload(b.gateway, large, b.why), WEIR_EFULL);
    assert_non_null(strstr(b.why, "KiB more"));
    assert_non_null(strstr(b.why, "limits.reload"));
    assert_int_equal(gateway_reload_state(b.gateway), RELOAD_NONE);
    bench_close(&b);
}

static void differences_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *after, *want;
    } table[] = {
        { YAML("10", "50", ""), "" },
        { YAML("10", "50.5", ""), "hot      detectors[hot].high: 50 -> 50.5\n" },
        { YAML("11", "50", ""), "restart  limits.devices: 10 -> 11\n" },
        { YAML("10", "50", "  - {type: silent}\n"), "hot      detectors[silent]: not there -> there\n" },
        { YAML("10", "50", "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n"), "restart  uplink: not there -> there\n" },
        { YAML("10", "50, low: 3", "learning: {readings: 5}\n"),
          "hot      learning.readings: 300 -> 5\nhot      detectors[hot].low: not given -> 3\n" },
    };
    static struct bench b;
    char said[1024];
    bench_open(&b, YAML("10", "50", ""));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        memset(said, 0, sizeof said);
        FILE *out = fmemopen(said, sizeof said, "w");
        struct config_diff diff = config_print_diff(b.config, another(&b, table[i].after), out);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(said, table[i].want);
        uint32_t lines = 0;
        for (const char *c = said; *c != '\0'; c++)
            lines += *c == '\n';
        assert_int_equal(diff.hot + diff.cold, lines);
        assert_int_equal(diff.cold, strncmp(said, "restart", 7) == 0);
    }
    bench_close(&b);
}

#define SOURCES(first, more) \
    "clock: {trust: system}\n" \
    "limits: {devices: 20, series: 40}\n" \
    "usual: {all: false}\n" \
    "contracts: [{name: shop, metrics: [{name: temp}]}]\n" \
    "sources:\n" \
    "  - {name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]" first "}\n" more \
    "commit: {max_age: 100ms}\n"
#define SITE(rate) "  - {name: site, listen: \"mqtt://127.0.0.1:1885\", anonymous: true, topics: [\"m/{device}/{metric}\"]" rate "}\n"

static void of_sources_what_needs_no_connection_is_hot(void **state)
{
    (void)state;
    static const struct {
        const char *after, *want;
        uint32_t cold;
    } table[] = {
        { SOURCES(", contract: shop, time: arrival, priority: high", SITE("")),
          "hot      sources[plant].priority: normal -> high\nhot      sources[plant].time: device -> arrival\n"
          "hot      sources[plant].contract: \"\" -> shop\n", 0 },
        { SOURCES("", SITE(", rate: 50")), "hot      sources[site].rate: 0 -> 50\n", 0 },
        { SOURCES(", payload: {value: /v}", SITE("")),
          "hot      sources[plant].payload.value: /value -> /v\n"
          "hot      sources[plant].topics[0].payload.value: /value -> /v\n", 0 },
        { SOURCES("", ""), "restart  sources[site]: there -> not there\n", 1 },
        { SOURCES(", qos: 0", SITE("")), "restart  sources[plant].qos: 1 -> 0\n", 1 },
    };
    static struct bench b;
    char said[1024];
    bench_open(&b, SOURCES("", SITE("")));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        memset(said, 0, sizeof said);
        FILE *out = fmemopen(said, sizeof said, "w");
        struct config_diff diff = config_print_diff(b.config, another(&b, table[i].after), out);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(said, table[i].want);
        assert_int_equal(diff.cold, table[i].cold);
    }
    /* and they are gone by: a value that was read at /value is one of /v */
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
    publish(&b, "t/oven/temp", "{\"value\":1,\"v\":2}");
    assert_int_equal(reload(&b, another(&b, SOURCES(", payload: {value: /v}, contract: shop", SITE("")))), RELOAD_DONE);
    publish(&b, "t/oven/temp", "{\"value\":1,\"v\":3}");
    assert_string_equal(bench_last(&b).value, "3");
    publish(&b, "t/oven/flow", "{\"v\":3}");
    assert_string_equal(bench_last(&b).outcome, "contract_unknown");
    bench_close(&b);
}

static void streams_go_by_their_names(void **state)
{
    (void)state;
    static struct bench b;
    char said[1024] = "";
    bench_open(&b, STREAMS("streams:\n" SUMS PEAKS("1h", HIGH)));
    FILE *out = fmemopen(said, sizeof said, "w");
    const struct config *after = another(&b, STREAMS("streams:\n" PEAKS("30m", ", lateness: 5s" HIGH)
        "  - {name: more, key: [device], window: {type: tumbling, size: 1h}, keys: 8, aggregates: [sum]}\n"));
    struct config_diff diff = config_print_diff(b.config, after, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(said, "hot      streams[sums]: there -> not there\n"
                              "hot      streams[peaks].window.size: 1h -> 30m\n"
                              "hot      streams[peaks].lateness: 15s -> 5s\n"
                              "hot      streams[more]: not there -> there\n");
    assert_int_equal(diff.cold, 0);
    /* and so do their rules */
    bench_close(&b);
    bench_open(&b, STREAMS("streams:\n" PEAKS("1h", ", rules: [{name: low, when: max < 1}, {name: high, when: max > 50}]")));
    after = another(&b, STREAMS("streams:\n" PEAKS("1h", ", rules: [{name: high, when: max > 60}]")));
    memset(said, 0, sizeof said);
    out = fmemopen(said, sizeof said, "w");
    diff = config_print_diff(b.config, after, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(said, "hot      streams[peaks].rules[low]: there -> not there\n"
                              "hot      streams[peaks].rules[high].when: max > 50 -> max > 60\n");
    bench_close(&b);
}

struct asker {
    bool looked, answered;
};

static void look(void *ctx, struct store *store)
{
    assert_non_null(store);
    ((struct asker *)ctx)->looked = true;
}

static void on_answer(void *ctx)
{
    ((struct asker *)ctx)->answered = true;
}

/* The API asks the store, and a reload does: each has its own answer, though one asks while the other's is looked up. */
static void askers_wait_for_each_other(void **state)
{
    (void)state;
    static struct bench b;
    struct asker api = { 0 }, reloading = { 0 };
    bench_open(&b, YAML("10", "50", ""));
    bench_turns(&b, 5);
    b.store_hangs = true;
    assert_true(gateway_query(b.gateway, look, on_answer, &api));
    assert_false(gateway_query(b.gateway, look, on_answer, &reloading));
    for (int i = 0; i < 20; i++)
        bench_turn(&b, 10);
    assert_false(gateway_query(b.gateway, look, on_answer, &reloading));
    b.store_hangs = false;
    bench_turns(&b, 5);
    assert_true(api.looked && api.answered && !reloading.looked && !reloading.answered);
    assert_true(gateway_query(b.gateway, look, on_answer, &reloading));
    bench_turns(&b, 5);
    assert_true(reloading.looked && reloading.answered);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_goes_over),
        cmocka_unit_test(no_id_comes_twice),
        cmocka_unit_test(what_can_not_be_had_changes_nothing),
        cmocka_unit_test(streams_come_and_go),
        cmocka_unit_test(what_has_no_room_is_refused),
        cmocka_unit_test(askers_wait_for_each_other),
        cmocka_unit_test(differences_are_told),
        cmocka_unit_test(streams_go_by_their_names),
        cmocka_unit_test(of_sources_what_needs_no_connection_is_hot),
    };
    return cmocka_run_group_tests_name("gateway_reload", tests, NULL, NULL);
}
