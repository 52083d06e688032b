/* Goal: a replay of the journal says what was said then, bit for bit, over kills, restarts, checkpoints and changes of
 * the configuration; it says so where that is not the case; and anew, by another configuration, it says what a gateway
 * that had it would have said. Method: a gateway lives over a real store, with a cloud that keeps what it is sent; its
 * blocks are read back and replayed, as they are and with one value changed.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "firmware/gateway/replay.h"
#include "tests/lib/gateway_bench.h"

#define YAML(high) \
    "clock: {trust: system}\n" \
    "sources:\n" \
    "  - name: plant\n" \
    "    url: mqtt://127.0.0.1:1883\n" \
    "    topics: [\"t/{device}/{metric}\"]\n" \
    "    payload: {value: \"\"}\n" \
    "window: {size: 1s, lateness: 0s, out_of_orderness: 0s}\n" \
    "detectors: [{name: hot, type: limit, high: " high ", for: 0s, clear_after: 0s, cooldown: 0s, hysteresis: 0, chatter: false}]\n" \
    "commit: {max_age: 100ms}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n"

enum { SAID_MAX = 256, BLOCKS_BYTES = 1024 * 1024, BLOCKS_MAX = 2048 };

struct said { /* an alert's revision, or a window's result */
    char what[200];
};

struct journal { /* read back from the store, so that it can be changed */
    uint8_t bytes[BLOCKS_BYTES];
    size_t used;
    struct { uint64_t number; size_t at; uint32_t bytes; } blocks[BLOCKS_MAX];
    uint32_t count;
};

struct stage {
    struct bench b;
    struct journal journal;
    void *memory;
    struct block_reader *reader;
    struct said said[SAID_MAX];
    uint32_t said_count, alerts, results;
    uint64_t verdicts[REPLAY_UNTOLD + 1], first_different;
    uint32_t reconfigured;
};

static struct stage s; /* large */
static struct replay r; /* that is under way */
static uint32_t before_the_clock; /* alerts that it told before the process had read its clock */

/* --- living --- */

static void begin(void)
{
    gateway_on_uplink(s.b.gateway, true);
    bench_turns(&s.b, 5);
    gateway_on_source(s.b.gateway, 0, true);
}

static void live(int rounds)
{
    char payload[32];
    for (int i = 0; i < rounds; i++) {
        (void)snprintf(payload, sizeof payload, "%d", i % 7 == 3 ? 99 : i % 7 == 5 ? 75 : 20 + i);
        assert_true(bench_publish(&s.b, "t/oven/temp", payload));
        assert_true(bench_publish(&s.b, "t/pump/flow", i % 5 == 4 ? "?" : "1.25"));
        bench_turns(&s.b, 4);
    }
}

static uint32_t alerts_sent(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s.b.sent_count; i++)
        count += s.b.sent[i].lane == LANE_ALERTS && strstr(s.b.sent[i].payload, "weir.alert.v1") != NULL;
    return count;
}

static void open_stage(const char *yaml)
{
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    memset(&s, 0, sizeof s);
    bench_open(&s.b, yaml);
    (void)block_reader_init(&limits, &arena);
    s.memory = calloc(1, arena.used + ARENA_ALIGN);
    arena = arena_over(s.memory, arena.used);
    s.reader = block_reader_init(&limits, &arena);
    begin();
}

static void close_stage(void)
{
    free(s.memory);
    bench_close(&s.b);
}

static void read_journal(void)
{
    struct journal *j = &s.journal;
    j->count = 0;
    j->used = 0;
    for (uint64_t number = 0;;) {
        size_t bytes = 0;
        assert_int_equal(store_block_read(s.b.store, number + 1, j->bytes + j->used, BLOCKS_BYTES - j->used, &number,
                                          &bytes), 0);
        if (number == 0)
            return;
        assert_in_range(j->count, 0, BLOCKS_MAX - 1);
        j->blocks[j->count].number = number;
        j->blocks[j->count].at = j->used;
        j->blocks[j->count++].bytes = (uint32_t)bytes;
        j->used += bytes;
    }
}

static struct text block_at(uint32_t index)
{
    return (struct text){ (const char *)s.journal.bytes + s.journal.blocks[index].at, s.journal.blocks[index].bytes };
}

/* --- replaying --- */

static void on_alert(void *ctx, const struct alert_event *event)
{
    (void)ctx;
    s.alerts++;
    before_the_clock += !r.clock_told;
    assert_in_range(s.said_count, 0, SAID_MAX - 1);
    (void)snprintf(s.said[s.said_count++].what, sizeof s.said[0].what, "%.*s %s %u %d %lld %.17g",
                   (int)event->device.bytes, event->device.at, event->rule->name, event->alert->revision,
                   (int)event->transition, (long long)event->event_time_ms, event->alert->peak.observed);
}

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx;
    (void)result;
    s.results++;
}

static struct replay_start start_of(struct text config, bool anew)
{
    return (struct replay_start){ .store = { s.b.found.store_id[0], s.b.found.store_id[1] }, .config = config,
                                  .anew = anew, .sink = { NULL, on_alert, on_result, NULL, NULL, NULL } };
}

static void replay_from(const struct replay_start *start, uint64_t after)
{
    char why[256] = "";
    before_the_clock = 0;
    s.said_count = s.alerts = s.results = s.reconfigured = 0;
    s.first_different = 0;
    memset(s.verdicts, 0, sizeof s.verdicts);
    if (replay_begin(&r, start, why) != 0)
        fail_msg("%s", why);
    for (uint32_t i = 0; i < s.journal.count; i++) {
        if (s.journal.blocks[i].number <= after)
            continue;
        if (replay_block(&r, s.reader, s.journal.blocks[i].number, block_at(i), why) != 0)
            fail_msg("%s", why);
        s.verdicts[r.verdict]++;
        s.reconfigured += r.reconfigured;
        if (r.verdict == REPLAY_DIFFERENT && s.first_different == 0)
            s.first_different = r.block;
    }
    replay_end(&r);
}

static void replay_as_it_was(void)
{
    struct replay_start start = start_of((struct text){ 0 }, false);
    replay_from(&start, 0);
}

static void the_same_over_kills_and_restarts(void **state)
{
    (void)state;
    open_stage(YAML("80"));
    live(20);
    bench_kill(&s.b); /* what was not committed comes again */
    bench_start(&s.b);
    begin();
    live(10);
    bench_stop(&s.b);
    bench_start(&s.b);
    begin();
    live(10);
    bench_turns(&s.b, 5);
    read_journal();
    replay_as_it_was();
    assert_int_equal(s.verdicts[REPLAY_DIFFERENT], 0);
    assert_int_equal(s.verdicts[REPLAY_UNTOLD], 0);
    assert_int_equal(s.verdicts[REPLAY_SAME], s.journal.count);
    assert_int_equal(s.alerts, alerts_sent());
    assert_in_range(s.alerts, 8, 100);
    assert_in_range(s.results, 8, 200);
    close_stage();
}

static void the_same_over_a_new_configuration(void **state)
{
    (void)state;
    open_stage(YAML("80"));
    live(20);
    bench_stop(&s.b);
    bench_configure(&s.b, YAML("70"));
    bench_start(&s.b);
    begin();
    live(20);
    bench_turns(&s.b, 5);
    read_journal();
    replay_as_it_was();
    assert_int_equal(s.reconfigured, 2); /* the first one counts */
    assert_int_equal(s.verdicts[REPLAY_SAME], s.journal.count);
    assert_int_equal(s.alerts, alerts_sent());
    close_stage();
}

/* A timer that is due fires before a process that has just started reads its clock: what it tells says so. */
static void the_same_before_the_clock_is_read(void **state)
{
    (void)state;
    open_stage("clock: {trust: system}\n"
               "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"],\n"
               "           payload: {value: \"\"}}]\n"
               "detectors: [{name: hot, type: limit, high: 80, for: 0s, clear_after: 500ms, cooldown: 0s}]\n"
               "commit: {max_age: 100ms}\n"
               "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n");
    assert_true(bench_publish(&s.b, "t/oven/temp", "99"));
    assert_true(bench_publish(&s.b, "t/oven/temp", "20"));
    bench_turns(&s.b, 4); /* committed, and not cleared yet */
    bench_kill(&s.b);
    bench_start(&s.b);
    gateway_on_uplink(s.b.gateway, true);
    bench_turn(&s.b, 400);
    bench_turns(&s.b, 5);
    const char *cleared = bench_told(&s.b, "\"transition\":\"cleared\"");
    assert_non_null(cleared);
    assert_non_null(strstr(cleared, "\"clock\":\"unset\""));
    read_journal();
    replay_as_it_was();
    assert_int_equal(s.verdicts[REPLAY_SAME], s.journal.count);
    assert_int_equal(before_the_clock, 1);
    close_stage();
}

/* The journal from a checkpoint on, by the configuration that was in force there. */
static void the_same_from_a_checkpoint(void **state)
{
    (void)state;
    static uint8_t bytes[4 * 1024 * 1024];
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    open_stage(YAML("80"));
    live(15);
    bench_stop(&s.b);
    bench_start(&s.b);
    begin();
    live(15);
    bench_turns(&s.b, 5);
    read_journal();
    uint32_t count;
    assert_int_equal(store_checkpoints(s.b.store, places, &count), 0);
    assert_in_range(count, 1, 2);
    assert_in_range(places[0].bytes, 1, sizeof bytes);
    assert_int_equal(store_checkpoint_read_at(s.b.store, &places[0], bytes, sizeof bytes), 0);
    struct replay_start start = start_of((struct text){ s.b.config->text, s.b.config->text_bytes }, false);
    start.state = (struct text){ (const char *)bytes, places[0].bytes };
    replay_from(&start, places[0].block);
    assert_int_equal(s.verdicts[REPLAY_DIFFERENT], 0);
    assert_in_range(s.verdicts[REPLAY_SAME], 15, 200);
    assert_in_range(s.alerts, 2, 100);
    bytes[places[0].bytes / 2] ^= 1; /* one that is damaged is refused, or makes a difference; it breaks nothing */
    char why[256] = "";
    if (replay_begin(&r, &start, why) != 0)
        assert_string_not_equal(why, "");
    replay_end(&r);
    close_stage();
}

/* --- what is not the same --- */

/* Encodes a block anew with the value of its first reading changed; false: it has none. */
static bool change_block(uint32_t index)
{
    struct journal *j = &s.journal;
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    struct record record;
    bool changed = false;
    (void)block_builder_init(&limits, &arena);
    void *memory = calloc(1, arena.used + ARENA_ALIGN);
    arena = arena_over(memory, arena.used);
    struct block_builder *builder = block_builder_init(&limits, &arena);
    block_builder_reset(builder);
    assert_int_equal(block_open(s.reader, block_at(index)), 0);
    while (block_next(s.reader, &record) == 1) {
        if (record.kind == RECORD_READING && !changed) {
            record.reading.value.number += 0.5;
            changed = true;
        }
        assert_int_equal(block_append(builder, &record), 0);
    }
    struct byte_writer w = { j->bytes + j->used, BLOCKS_BYTES - j->used, 0, false };
    block_finish(builder, &w);
    assert_false(w.failed);
    j->blocks[index].at = j->used;
    j->blocks[index].bytes = (uint32_t)w.used;
    j->used += w.used;
    free(memory);
    return changed;
}

static void a_changed_value_is_a_difference(void **state)
{
    (void)state;
    open_stage(YAML("80"));
    live(30);
    bench_turns(&s.b, 20);
    read_journal();
    uint32_t changed = s.journal.count / 2;
    while (!change_block(changed))
        changed++;
    replay_as_it_was();
    assert_in_range(s.verdicts[REPLAY_DIFFERENT], 1, 12); /* its window, and the last readings of later alerts */
    assert_in_range(s.first_different, s.journal.blocks[changed].number, s.journal.blocks[changed].number + 20);
    close_stage();
}

static void a_damaged_block_is_told(void **state)
{
    (void)state;
    char why[256] = "";
    open_stage(YAML("80"));
    live(3);
    read_journal();
    s.journal.bytes[s.journal.blocks[0].at + 20] ^= 1;
    struct replay_start start = start_of((struct text){ 0 }, false);
    assert_int_equal(replay_begin(&r, &start, why), 0);
    assert_int_equal(replay_block(&r, s.reader, 1, block_at(0), why), WEIR_ECORRUPT);
    assert_non_null(strstr(why, "journal block 1"));
    replay_end(&r);
    /* and so is a journal that begins in its middle, where nobody says what was in force */
    assert_int_equal(replay_begin(&r, &start, why), 0);
    assert_int_equal(replay_block(&r, s.reader, s.journal.blocks[2].number, block_at(2), why), WEIR_EINVAL);
    assert_non_null(strstr(why, "before any configuration"));
    replay_end(&r);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_over_kills_and_restarts),
        cmocka_unit_test(the_same_over_a_new_configuration),
        cmocka_unit_test(the_same_before_the_clock_is_read),
        cmocka_unit_test(the_same_from_a_checkpoint),
        cmocka_unit_test(a_changed_value_is_a_difference),
        cmocka_unit_test(a_damaged_block_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
