/* Goal: a start folds the journal by the configurations that were in force, and goes over to the present one as a reload does:
 * what was told of rules that are gone is withdrawn, once; what only the present ones would have found is not there untold;
 * and a replay of it all makes the same. Where one of them can't be had (an older Weir's checkpoint, another grammar, more
 * memory than there is) the present one stands in for it, which is said.
 * Method: a gateway over a real store, killed around reloads and before starts with another file, its checkpoints stripped or
 * changed behind its back; the journal is then replayed.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#include "firmware/gateway/checkpoint_form.h"
#include "firmware/gateway/replay.h"
#include "pipeline/engine/engine_state.h"

#define YAML(limits, rules) \
    "clock: {trust: system}\n" \
    "limits: {" limits "}\n" \
    "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"], payload: {value: \"\"}}]\n" \
    "usual: {all: false}\n" \
    "alerts: {storm: 0}\n" \
    "detectors:\n" rules \
    "commit: {max_age: 100ms}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n"
#define LIMITS "devices: 400, series: 400"
#define HOT "  - {name: hot, type: limit, high: 80, clear_after: 0s, cooldown: 0s, chatter: false}\n"
#define WARM "  - {name: warm, type: limit, high: 60, clear_after: 0s, cooldown: 0s, chatter: false}\n"
#define COOL "  - {name: cool, type: limit, low: 1, clear_after: 0s, cooldown: 0s, chatter: false}\n"

enum { STATE_BYTES = 4 << 20, MANY = 300 /* devices whose state is more than a piece */ };

static struct bench b;
static uint8_t state_bytes[STATE_BYTES];

static void begin(void)
{
    gateway_on_uplink(b.gateway, true);
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
}

static void start(void)
{
    bench_start(&b);
    begin();
}

static void publish(const char *topic, const char *payload)
{
    assert_true(bench_publish(&b, topic, payload));
    bench_turns(&b, 3);
}

/* Rows of the alerts' lane that say both, each once however often it was sent. */
static uint32_t told(const char *text, const char *more)
{
    uint64_t known[BENCH_SENT_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < b.sent_count; i++) {
        const struct bench_sent *sent = &b.sent[i];
        bool is_new = sent->lane == LANE_ALERTS && strstr(sent->payload, text) != NULL && strstr(sent->payload, more) != NULL;
        for (uint32_t k = 0; k < count && is_new; k++)
            is_new = known[k] != sent->sequence;
        if (is_new)
            known[count++] = sent->sequence;
    }
    return count;
}

#define RAISED "\"transition\":\"raised\""
#define CLEARED "\"transition\":\"cleared\""

static uint32_t alerts_open(void) /* of devices */
{
    struct alert_view alert;
    uint64_t cursor = 0;
    uint32_t count = 0;
    while (engine_alert(gateway_view(b.gateway).engine, &cursor, &alert))
        count += alert.device.at[0] != '$';
    return count;
}

static struct config *another(const char *yaml)
{
    static struct config config;
    char text[4096];
    (void)snprintf(text, sizeof text, "gateway: {name: bench, data_dir: %s}\n%s", b.dir, yaml);
    assert_int_equal(config_read_text("bench.yaml", text, strlen(text), &config, stderr), 0);
    config.engine.store = b.config->engine.store;
    return &config;
}

/* --- the journal once more --- */

static struct checkpoint_parts read_checkpoint(uint64_t *block)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count;
    assert_int_equal(store_checkpoints(b.store, places, &count), 0);
    assert_in_range(count, 1, STORE_CHECKPOINTS_MAX);
    assert_in_range(places[0].bytes, 1, sizeof state_bytes);
    assert_int_equal(store_checkpoint_read_at(b.store, &places[0], state_bytes, sizeof state_bytes), 0);
    *block = places[0].block;
    return checkpoint_parts((struct text){ (const char *)state_bytes, places[0].bytes });
}

/* From the first block or the newest checkpoint: every block makes what it says, and the state is the gateway's. */
static void replays_the_same(bool from_checkpoint)
{
    static struct replay r;
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    struct replay_start how = { .store = { b.found.store_id[0], b.found.store_id[1] } };
    uint64_t number = 0;
    bench_turns(&b, 5); /* all of it is in the journal */
    (void)block_reader_init(&limits, &arena);
    void *memory = calloc(1, arena.used + ARENA_ALIGN), *block = malloc(limits.bytes_max);
    arena = arena_over(memory, arena.used + ARENA_ALIGN);
    struct block_reader *reader = block_reader_init(&limits, &arena);
    if (from_checkpoint) {
        struct checkpoint_parts parts = read_checkpoint(&number);
        how.config = parts.config;
        how.state = parts.state;
        how.says = true;
    }
    assert_int_equal(replay_begin(&r, &how, b.why), 0);
    uint32_t same = 0;
    for (;;) {
        size_t bytes;
        uint64_t from = number + 1;
        assert_int_equal(store_block_read(b.store, from, block, limits.bytes_max, &number, &bytes), 0);
        if (number == 0)
            break;
        if (replay_block(&r, reader, number, (struct text){ block, (uint32_t)bytes }, b.why) != 0)
            fail_msg("%s", b.why);
        if (r.verdict != REPLAY_SAME)
            fail_msg("block %d: verdict %d", (int)number, (int)r.verdict);
        same++;
    }
    assert_true(same > 0);
    engine_begin_block(r.engine, gateway_view(b.gateway).engine->block);
    struct hash128 live = engine_digest(gateway_view(b.gateway).engine), replayed = engine_digest(r.engine);
    assert_true(live.high == replayed.high && live.low == replayed.low);
    replay_end(&r);
    free(memory);
    free(block);
}

/* --- tests --- */

/* With a state whose checkpoint takes several commits, and before the alert. */
static void open_with_many(const char *yaml)
{
    char topic[64];
    bench_open(&b, yaml);
    begin();
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(topic, sizeof topic, "t/d%d/temp", i);
        assert_true(bench_publish(&b, topic, "20"));
    }
    bench_stop(&b);
    start();
    uint64_t block;
    assert_true(read_checkpoint(&block).state.bytes > STORE_PIECE_BYTES);
}

/* By the new rules the readings before it would have raised an alert that nobody was told of. */
static void a_reload_is_cut_off(void **state)
{
    (void)state;
    open_with_many(YAML(LIMITS, HOT));
    publish("t/oven/temp", "99");
    publish("t/kiln/temp", "70");
    assert_int_equal(told(RAISED, "hot"), 1);
    uint64_t before, after;
    (void)read_checkpoint(&before);
    assert_int_equal(gateway_reload(b.gateway, another(YAML(LIMITS, WARM)), b.why), 0);
    while (gateway_reload_state(b.gateway) != RELOAD_DONE)
        bench_turn(&b, 10);
    (void)read_checkpoint(&after);
    assert_int_equal(before, after);
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, WARM));
    start();
    assert_null(strstr(b.log, "configuration_unknown"));
    assert_int_equal(told(CLEARED, "hot"), 1);
    assert_int_equal(alerts_open(), 0);
    publish("t/oven/temp", "98");
    publish("t/kiln/temp", "71");
    assert_int_equal(told(RAISED, "warm"), 2);
    publish("t/oven/temp", "20");
    assert_int_equal(told(CLEARED, "warm"), 1);
    replays_the_same(false);
    bench_close(&b);
}

/* And killed twice more before its first commit, and once after. */
static void a_start_with_another_file_withdraws(void **state)
{
    (void)state;
    bench_open(&b, YAML(LIMITS, HOT));
    begin();
    publish("t/oven/temp", "20");
    bench_stop(&b);
    start();
    publish("t/oven/temp", "99");
    publish("t/kiln/temp", "70");
    assert_int_equal(told(RAISED, "hot"), 1);
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, WARM));
    for (int i = 0; i < 2; i++) {
        bench_start(&b);
        bench_begin(&b, 10);
        bench_kill(&b);
    }
    assert_int_equal(told(CLEARED, "hot"), 0);
    start();
    assert_int_equal(told(CLEARED, "hot"), 1);
    bench_kill(&b);
    start();
    assert_int_equal(told(CLEARED, "hot"), 1);
    assert_int_equal(alerts_open(), 0);
    publish("t/kiln/temp", "71");
    assert_int_equal(told(RAISED, "warm"), 1);
    bench_turns(&b, 5);
    replays_the_same(false);
    replays_the_same(true);
    assert_null(strstr(b.log, "configuration_unknown"));
    bench_close(&b);
}

/* Its limit moved: it is the same alert, and is told to be well by the new one. */
static void an_alert_stands_whose_rule_stands(void **state)
{
    (void)state;
    bench_open(&b, YAML(LIMITS, HOT));
    begin();
    publish("t/oven/temp", "99");
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, "  - {name: hot, type: limit, high: 120, clear_after: 0s, cooldown: 0s, chatter: false}\n"));
    start();
    assert_int_equal(alerts_open(), 1);
    assert_int_equal(told(CLEARED, "hot"), 0);
    publish("t/oven/temp", "98");
    assert_int_equal(told(CLEARED, "hot"), 1);
    assert_int_equal(alerts_open(), 0);
    replays_the_same(false);
    bench_close(&b);
}

/* Three configurations in one fold, the last of which was never in force: it went before its file did. */
static void each_one_for_its_time(void **state)
{
    (void)state;
    bench_open(&b, YAML(LIMITS, HOT));
    begin();
    publish("t/oven/temp", "99");
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, WARM));
    start();
    publish("t/kiln/temp", "70");
    assert_int_equal(gateway_reload(b.gateway, another(YAML(LIMITS, WARM COOL)), b.why), 0);
    bench_turn(&b, 10);
    publish("t/cellar/temp", "0");
    assert_int_equal(told(RAISED, "cool"), 1);
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, HOT COOL));
    start();
    assert_int_equal(told(CLEARED, "hot"), 1);
    assert_int_equal(told(CLEARED, "warm"), 1);
    assert_int_equal(told(CLEARED, "cool"), 0);
    assert_int_equal(alerts_open(), 1);
    replays_the_same(false);
    bench_close(&b);
}

static bool journal_names(const struct config *config)
{
    static char block[4 << 20];
    uint64_t number = 0;
    for (;;) {
        size_t bytes;
        uint64_t from = number + 1;
        assert_int_equal(store_block_read(b.store, from, (uint8_t *)block, sizeof block, &number, &bytes), 0);
        if (number == 0)
            return false;
        if (memmem(block, bytes, config->text, config->text_bytes) != NULL)
            return true;
    }
}

/* A process that runs for days: its journal's beginning goes, with the configuration's record. */
static void the_journal_no_longer_names_it(void **state)
{
    (void)state;
    bench_open(&b, YAML(LIMITS, HOT));
    bench_kill(&b);
    b.config->store.journal_age_max_ms = 1000;
    start();
    assert_true(journal_names(b.config));
    for (int day = 0; day < 4; day++) { /* each ends with a checkpoint */
        publish("t/oven/temp", "20");
        bench_turn(&b, 90000000);
        bench_turns(&b, 5);
    }
    assert_false(journal_names(b.config));
    publish("t/oven/temp", "99");
    assert_int_equal(told(RAISED, "hot"), 1);
    bench_kill(&b);
    bench_configure(&b, YAML(LIMITS, WARM));
    b.sent_count = 0;
    start();
    assert_int_equal(told(CLEARED, "hot"), 1);
    assert_int_equal(alerts_open(), 0);
    assert_null(strstr(b.log, "configuration_unknown"));
    replays_the_same(true);
    bench_close(&b);
}

/* --- what can't be had --- */

/* Another checkpoint of the same state, with something else behind it, and whatever `change` makes of all that. */
static void take_checkpoint(struct text bytes)
{
    struct store_recovery found;
    uint64_t entropy[2] = { 1, 2 };
    assert_int_equal(store_open(&b.config->store, entropy, &b.store, &found, b.why), 0);
    uint64_t block = found.last_block + 1;
    for (uint32_t offset = 0; offset < bytes.bytes; offset += STORE_PIECE_BYTES) {
        struct batch batch = { .block = block + offset / STORE_PIECE_BYTES, .t_ms = found.t_ms, .wall_ms = found.wall_ms,
                               .ledger = found.ledger };
        uint32_t left = bytes.bytes - offset, piece = left < STORE_PIECE_BYTES ? left : STORE_PIECE_BYTES;
        memcpy(batch.lanes, found.lanes, sizeof batch.lanes);
        batch.checkpoint = (struct checkpoint_piece){ block, offset, bytes.bytes, { bytes.at + offset, piece },
                                                      .last = piece == left };
        assert_int_equal(store_commit(b.store, &batch), 0);
    }
    store_close(b.store);
    b.store = NULL;
}

/* A checkpoint whose configuration is `text` (NULL: it has none), then an alert and a kill. */
static void open_with_checkpoint_of(const char *text)
{
    static struct config config;
    bench_open(&b, YAML(LIMITS, HOT));
    begin();
    publish("t/oven/temp", "20");
    publish("t/kiln/temp", "99");
    bench_stop(&b);
    start();
    uint64_t block;
    struct checkpoint_parts parts = read_checkpoint(&block);
    assert_int_equal(parts.config.bytes, b.config->text_bytes);
    assert_memory_equal(parts.digest.at, b.config->digest, 32);
    struct byte_writer w = { state_bytes, sizeof state_bytes, parts.state.bytes, false };
    if (text != NULL) {
        config.text_bytes = (uint32_t)strlen(text);
        memcpy(config.text, text, config.text_bytes);
        checkpoint_put_config(&w, &config, sizeof state_bytes);
    }
    bench_kill(&b);
    take_checkpoint((struct text){ (const char *)state_bytes, (uint32_t)w.used });
}

/* As an older Weir left it, or one whose grammar is another; the journal behind it says what came next, and that stands in. */
static void the_next_one_stands_in(void **state)
{
    (void)state;
    static const char *const texts[] = { NULL, "sources: {old: [\n" };
    for (size_t i = 0; i < 2; i++) {
        open_with_checkpoint_of(texts[i]);
        b.log[0] = '\0';
        start(); /* nothing is behind it */
        assert_null(strstr(b.log, "configuration_unknown"));
        publish("t/oven/temp", "99");
        bench_turn(&b, 200000); /* what timers there are have fired */
        bench_turns(&b, 5);
        bench_kill(&b);
        bench_configure(&b, YAML(LIMITS, WARM));
        start();
        const char *said = strstr(b.log, "configuration_unknown");
        assert_non_null(said);
        assert_non_null(strstr(said, i == 0 ? "does not hold its text" : "none to this version"));
        assert_int_equal(told(CLEARED, "hot"), 2);
        assert_int_equal(alerts_open(), 0);
        bench_close(&b);
    }
}

/* The limits were higher, and grew before: its engine has no place in the memory of the present one. With the heap's, twice
 * over, it goes as ever; without it the present one stands in. */
static void one_that_is_larger_needs_the_heap(void **state)
{
    (void)state;
    for (int heap = 0; heap < 2; heap++) {
        bench_open(&b, YAML("devices: 1000, series: 1000, reload: 0", HOT));
        begin();
        publish("t/oven/temp", "20");
        bench_stop(&b);
        start();
        publish("t/oven/temp", "99");
        bench_kill(&b);
        b.fold_heap_bytes = 64 << 20;
        bench_configure(&b, YAML("devices: 2000, series: 2000, reload: 0", HOT WARM));
        start();
        publish("t/kiln/temp", "70");
        assert_int_equal(told(RAISED, "warm"), 1);
        bench_kill(&b);
        b.fold_heap_bytes = heap != 0 ? 64 << 20 : 0;
        bench_configure(&b, YAML("devices: 10, series: 10, reload: 0", HOT COOL));
        start();
        const char *missing = strstr(b.log, "takes more memory");
        assert_true(heap != 0 ? missing == NULL : missing != NULL);
        assert_int_equal(told(CLEARED, "warm"), heap);
        assert_int_equal(alerts_open(), 1); /* also as the present rules find it */
        publish("t/oven/temp", "20");
        assert_int_equal(told(CLEARED, "hot"), 1);
        if (heap != 0)
            replays_the_same(false);
        bench_close(&b);
    }
}

/* There is room while it is folded, but not in the end. */
static void more_than_there_may_be_is_told(void **state)
{
    (void)state;
    char topic[64];
    bench_open(&b, YAML("devices: 100, series: 100, reload: 0", HOT));
    begin();
    for (int i = 0; i < 50; i++) {
        (void)snprintf(topic, sizeof topic, "t/d%d/temp", i);
        assert_true(bench_publish(&b, topic, "20"));
    }
    bench_turns(&b, 5);
    bench_kill(&b);
    b.fold_heap_bytes = 64 << 20;
    bench_configure(&b, YAML("devices: 10, series: 10, reload: 0", HOT COOL));
    assert_int_equal(bench_try_start(&b), WEIR_EFULL);
    assert_non_null(strstr(b.why, "limits.devices"));
    bench_kill(&b);
    bench_configure(&b, YAML("devices: 60, series: 60, reload: 0", HOT COOL));
    start();
    replays_the_same(false);
    bench_close(&b);
}

/* An update whose limits were higher took a checkpoint and was rolled back. */
static void a_newer_one_is_passed_over_whatever_its_size(void **state)
{
    (void)state;
    static uint8_t newer[STATE_BYTES];
    for (uint32_t i = 0; i < 3; i++) {
        bench_open(&b, YAML("devices: 10, series: 10, reload: 0", HOT));
        b.fold_heap_bytes = i == 2 ? 64 << 20 : 0;
        begin();
        publish("t/oven/temp", "99");
        bench_stop(&b);
        struct byte_writer w = { newer, sizeof newer, 0, false };
        put_u32(&w, ENGINE_LAYOUT_MAGIC);
        put_u32(&w, ENGINE_LAYOUT_VERSION + (i != 1));
        assert_true(checkpoint_bytes_max(b.config) < sizeof newer / 2);
        take_checkpoint((struct text){ (const char *)newer, sizeof newer / 2 });
        if (i != 1) {
            start();
            assert_non_null(strstr(b.log, "checkpoint_unreadable"));
            assert_int_equal(alerts_open(), 1);
        } else {
            assert_int_equal(bench_try_start(&b), WEIR_EFULL);
            assert_non_null(strstr(b.why, "limits.devices"));
        }
        bench_close(&b);
    }
}

/* It is left out where the Weir before, with the same limits, could not take the whole in. */
static void the_text_never_makes_it_too_large(void **state)
{
    (void)state;
    static uint8_t at[512];
    static struct config config;
    config.text_bytes = 100;
    memset(config.text, 'x', 100);
    for (size_t most = 0; most < sizeof at; most++) {
        struct byte_writer w = { at, sizeof at, 0, false };
        put_u64(&w, 7);
        checkpoint_put_config(&w, &config, most);
        struct checkpoint_parts parts = checkpoint_parts((struct text){ (const char *)at, (uint32_t)w.used });
        assert_false(w.failed);
        assert_true(w.used <= most || w.used == 8);
        assert_int_equal(parts.state.bytes, 8);
        assert_int_equal(parts.config.bytes, most >= 8 + 100 + 44 ? 100 : 0);
    }
    for (uint32_t i = 0; i < 8 + 100 + 44; i++) { /* damaged: nothing outside is read */
        struct byte_writer w = { at, sizeof at, 0, false };
        put_u64(&w, 7);
        checkpoint_put_config(&w, &config, sizeof at);
        at[i] ^= 0xff;
        struct checkpoint_parts parts = checkpoint_parts((struct text){ (const char *)at, (uint32_t)w.used - (i & 1) });
        assert_true(parts.state.bytes + parts.config.bytes <= w.used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_is_cut_off),
        cmocka_unit_test(a_start_with_another_file_withdraws),
        cmocka_unit_test(an_alert_stands_whose_rule_stands),
        cmocka_unit_test(each_one_for_its_time),
        cmocka_unit_test(the_journal_no_longer_names_it),
        cmocka_unit_test(the_next_one_stands_in),
        cmocka_unit_test(one_that_is_larger_needs_the_heap),
        cmocka_unit_test(more_than_there_may_be_is_told),
        cmocka_unit_test(a_newer_one_is_passed_over_whatever_its_size),
        cmocka_unit_test(the_text_never_makes_it_too_large),
    };
    return cmocka_run_group_tests_name("gateway_fold", tests, NULL, NULL);
}
