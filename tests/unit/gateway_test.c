/* Goal: the turn keeps its order: take, think, commit, then acknowledge. Method: a gateway over a real
 * store file, its ports recorded, its store jobs run by hand one at a time; each case is a timeline.
 * Links: pipeline/%.c storage/%.c firmware/gateway%.c firmware/config%.c firmware/json_arena.c
 * Libs: -lsqlite3 -lcjson -lmbedcrypto -lyaml -lz */
#include "firmware/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "firmware/json_arena.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { JSON_ARENA = 256 * 1024, METRICS = 120 };

static const char yaml[] =
    "gateway: {name: bench, data_dir: /nowhere, socket: /nowhere/weir.sock}\n"
    "clock: {trust: system}\n"
    "limits: {devices: 4, series: 128, payload: 16KiB, readings_per_message: 128}\n"
    "sources:\n"
    "  - name: plant\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    topics:\n"
    "      - template: t/{device}\n"
    "        payload: {metrics: /v, time: /ts, sequence: /seq}\n"
    "  - name: other\n"
    "    url: mqtt://127.0.0.1:1885\n"
    "    topics:\n"
    "      - template: m/{device}/{metric}\n"
    "        payload: {value: /v, time: /ts, sequence: /seq}\n"
    "detectors:\n"
    "  - {name: hot, type: limit, metric: \"*\", high: 80, cooldown: 0s}\n"
    "commit: {max_age: 1s}\n"
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

struct bench {
    struct config *config;
    struct store *store;
    struct gateway *gateway;
    void *memory, *fold_memory, *json;
    struct store_job *job; /* handed to the worker, not run yet */
    uint32_t acknowledged[2];
    bool line;                       /* the uplink takes rows */
    struct { enum lane lane; uint64_t sequence; } sent[64];
    uint32_t sent_count;
    struct hal_time now;
    char path[64];
};

static void on_store_begin(void *ctx, struct store_job *job)
{
    struct bench *b = ctx;
    assert_null(b->job);
    b->job = job;
}

static void on_acknowledge(void *ctx, uint32_t source)
{
    struct bench *b = ctx;
    b->acknowledged[source]++;
}

static int on_send(void *ctx, const struct outbox_row *row)
{
    struct bench *b = ctx;
    if (!b->line)
        return WEIR_EAGAIN;
    assert_in_range(b->sent_count, 0, 63);
    b->sent[b->sent_count].lane = row->lane;
    b->sent[b->sent_count++].sequence = row->sequence;
    return 0;
}

static void on_log(void *ctx, const char *event, const char *details)
{
    (void)ctx, (void)event, (void)details;
}

static void make_gateway(struct bench *b)
{
    const struct gateway_ports ports = { b, on_store_begin, on_acknowledge, on_send, on_log };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    struct arena arena = arena_measure();
    (void)gateway_init(b->config, NULL, &json, &arena);
    size_t bytes = arena.used;
    free(b->memory);
    b->memory = aligned_alloc(ARENA_ALIGN, bytes);
    assert_non_null(b->memory);
    memset(b->memory, 0, bytes);
    arena = arena_over(b->memory, bytes);
    b->gateway = gateway_init(b->config, &ports, &json, &arena);
}

/* Open the store and rebuild, as main does; again after a death, which is only forgetting. */
static void start(struct bench *b)
{
    struct store_recovery recovery;
    char why[256] = "";
    struct store_config config = b->config->store;
    config.path = b->path;
    uint64_t entropy[2] = { 1, 2 };
    if (store_open(&config, entropy, &b->store, &recovery, why) != 0)
        fail_msg("%s", why);
    make_gateway(b);
    struct block_limits limits = gateway_block_limits_max();
    struct arena fold = arena_measure();
    (void)block_reader_init(&limits, &fold);
    size_t bytes = fold.used + limits.bytes_max + 2 * ARENA_ALIGN;
    free(b->fold_memory);
    b->fold_memory = aligned_alloc(ARENA_ALIGN, bytes / ARENA_ALIGN * ARENA_ALIGN + ARENA_ALIGN);
    fold = arena_over(b->fold_memory, bytes);
    struct fold_memory memory = { .reader = block_reader_init(&limits, &fold) };
    memory.block = arena_take(&fold, limits.bytes_max, 1);
    memory.block_bytes = limits.bytes_max;
    if (gateway_recover(b->gateway, b->store, &recovery, b->now, memory, why) != 0)
        fail_msg("%s", why);
}

static void init(struct bench *b)
{
    memset(b, 0, sizeof *b);
    snprintf(b->path, sizeof b->path, "/tmp/weir-gateway-test-%d.db", (int)getpid());
    b->config = calloc(1, sizeof *b->config);
    b->json = aligned_alloc(16, JSON_ARENA);
    json_arena_start(b->json, JSON_ARENA);
    b->now = (struct hal_time){ 1000, INT64_C(1790000000000), CLOCK_SYNCED, 1 };
    assert_int_equal(config_read_text("bench.yaml", yaml, sizeof yaml - 1, b->config, stderr), 0);
    start(b);
}

static void die(struct bench *b)
{
    b->job = NULL;
    store_close(b->store);
    b->acknowledged[0] = b->acknowledged[1] = 0;
}

static void end(struct bench *b)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", ".ballast" };
    store_close(b->store);
    for (int i = 0; i < 4; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s%s", b->path, suffixes[i]);
        (void)unlink(path);
    }
    free(b->memory);
    free(b->fold_memory);
    free(b->json);
    free(b->config);
}

static void begin_turn(struct bench *b, int64_t ms)
{
    b->now.mono_ms += ms;
    b->now.wall_ms += ms;
    gateway_begin_turn(b->gateway, b->now);
}

static bool commit_is_under_way(const struct bench *b)
{
    return b->job != NULL && b->job->kind == STORE_JOB_COMMIT;
}

static void finish_job(struct bench *b)
{
    struct store_job *job = b->job;
    assert_non_null(job);
    store_job_run(job, b->store);
    assert_int_equal(job->result, 0);
    b->job = NULL;
    gateway_on_store_done(b->gateway, job);
}

/* Turns of a second until nothing is left to commit. */
static void settle(struct bench *b)
{
    for (int turn = 0; turn < 20; turn++) {
        begin_turn(b, 1000);
        if (b->job != NULL)
            finish_job(b);
        gateway_end_turn(b->gateway);
    }
    assert_null(b->job);
    assert_int_equal(gateway_view(b->gateway).pending, 0);
}

static void give(struct bench *b, uint32_t source, const char *topic, const char *payload)
{
    assert_true(gateway_may_take(b->gateway, source));
    struct message message = { .source = source, .qos = 1, .topic = text_of(topic) };
    message.payload = (struct text){ payload, (uint32_t)strlen(payload) };
    gateway_on_message(b->gateway, &message);
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
    init(&b);
    settle(&b);
    begin_turn(&b, 1000);
    give(&b, 0, "t/pump", hot_message());
    gateway_end_turn(b.gateway);
    uint32_t commits = 0;
    for (int turn = 0; turn < 1000 && gateway_view(b.gateway).ledger.stored < METRICS; turn++) {
        assert_int_equal(b.acknowledged[0], 0);
        begin_turn(&b, 1);
        commits += commit_is_under_way(&b);
        if (b.job != NULL)
            finish_job(&b);
        gateway_end_turn(b.gateway);
    }
    assert_in_range(commits, 2, METRICS);
    assert_int_equal(b.acknowledged[0], 1);
    end(&b);
}

static void a_split_message_that_died_half_stored_is_completed(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    settle(&b);
    begin_turn(&b, 1000);
    give(&b, 0, "t/pump", hot_message());
    gateway_end_turn(b.gateway);
    begin_turn(&b, 1);
    finish_job(&b);
    uint64_t part = gateway_view(b.gateway).ledger.stored;
    assert_in_range(part, 1, METRICS - 1);
    assert_int_equal(b.acknowledged[0], 0);
    die(&b);
    start(&b);
    settle(&b);
    begin_turn(&b, 1000);
    give(&b, 0, "t/pump", hot_message()); /* delivered again: it was never acknowledged */
    settle(&b);
    struct ledger ledger = gateway_view(b.gateway).ledger;
    assert_true(ledger.stored >= METRICS);
    assert_int_equal(ledger.stored, METRICS);
    assert_int_equal(ledger.duplicate, part);
    assert_int_equal(ledger.sequence_restart, 0);
    end(&b);
}

static uint32_t count_sent(const struct bench *b, enum lane lane, uint64_t sequence)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->sent_count; i++)
        count += b->sent[i].lane == lane && b->sent[i].sequence == sequence;
    return count;
}

/* Three alerts and the results of their windows, committed, and the uplink there. */
static void init_with_rows(struct bench *b)
{
    init(b);
    settle(b);
    for (int i = 0; i < 3; i++) {
        char topic[32];
        snprintf(topic, sizeof topic, "m/pump/m%d", i);
        begin_turn(b, 10);
        give(b, 1, topic, "{\"ts\":1790000010,\"v\":99}");
        gateway_end_turn(b->gateway);
        settle(b);
    }
    begin_turn(b, 60000); /* idle: the windows close */
    gateway_end_turn(b->gateway);
    settle(b);
    struct gateway_view view = gateway_view(b->gateway);
    assert_int_equal(view.lanes[LANE_ALERTS].next_sequence, 4);
    assert_in_range(view.lanes[LANE_RESULTS].next_sequence, 2, 9);
    b->line = true;
    begin_turn(b, 10);
    gateway_on_uplink(b->gateway, true);
    gateway_end_turn(b->gateway);
}

static void turns(struct bench *b, int count)
{
    for (int i = 0; i < count; i++) {
        begin_turn(b, 1);
        if (b->job != NULL)
            finish_job(b);
        gateway_end_turn(b->gateway);
    }
}

static void a_refused_row_holds_up_its_own_lane_only(void **state)
{
    (void)state;
    struct bench b;
    init_with_rows(&b);
    turns(&b, 1);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_RESULTS, 1), 0);
    begin_turn(&b, 1);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        if (count_sent(&b, LANE_ALERTS, sequence) > 0)
            gateway_on_send_failed(b.gateway, LANE_ALERTS, sequence, true);
    gateway_end_turn(b.gateway);
    turns(&b, 6);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_RESULTS, 1), 1);
    begin_turn(&b, 5000);
    gateway_end_turn(b.gateway);
    turns(&b, 6);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 2);
    end(&b);
}

/* Row 1 is still under way when the receiver misses 2 and 3, which its broker acknowledged. */
static void a_hole_is_filled_although_an_older_row_is_under_way(void **state)
{
    (void)state;
    struct bench b;
    init_with_rows(&b);
    b.config->uplink.receipts = true;
    turns(&b, 4);
    begin_turn(&b, 1);
    gateway_on_sent(b.gateway, LANE_ALERTS, 2);
    gateway_on_sent(b.gateway, LANE_ALERTS, 3);
    gateway_on_replay_request(b.gateway, LANE_ALERTS, 2, 3);
    gateway_on_replay_request(b.gateway, LANE_ALERTS, 1, 1);
    gateway_end_turn(b.gateway);
    turns(&b, 6);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 1), 1);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 2), 2);
    assert_int_equal(count_sent(&b, LANE_ALERTS, 3), 2);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_message_is_acknowledged_with_its_last_part),
        cmocka_unit_test(a_split_message_that_died_half_stored_is_completed),
        cmocka_unit_test(a_refused_row_holds_up_its_own_lane_only),
        cmocka_unit_test(a_hole_is_filled_although_an_older_row_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
