/* gateway_bench: the gateway over the real store in a directory of its own, with a clock that is moved by
 * hand, a broker that is a function call, and a cloud that keeps what it is sent. Killed and started as
 * often as a test likes. Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c
 * hal/board.c firmware/json_arena.c */
#ifndef TESTS_LIB_GATEWAY_BENCH_H
#define TESTS_LIB_GATEWAY_BENCH_H

#include <string.h>

#include "firmware/gateway/gateway.h"
#include "firmware/json_arena.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { BENCH_SENT_MAX = 512, BENCH_JSON_BYTES = 64 * 1024, BENCH_START_MS = 5000 };

struct bench_sent {
    enum lane lane;
    uint64_t sequence;
    bool answered; /* its PUBACK was reported */
    char payload[3072]; /* its beginning */
};

struct bench {
    char dir[64], path[96], why[256];
    struct config *config;
    struct store *store;
    struct store_recovery found; /* of the last start */
    struct gateway *gateway;
    void *memory;
    struct hal_time now;
    int64_t clock_floor_ms; /* that main knows of: the build */
    struct store_job *job;
    struct bench_sent *sent;
    uint32_t sent_count;
    uint64_t acknowledged; /* calls */
    uint64_t acknowledged_to[CONFIG_SOURCES_MAX]; /* by the last of them */
    bool cloud_is_dumb;    /* what is sent has no PUBACK of its own accord */
    int commits_fail_with; /* 0: they don't */
    bool store_hangs;      /* its worker does not come back */
    size_t fold_heap_bytes; /* that a start may take */
    uint64_t folded_blocks, folded_to, folded_readings; /* by starts, told one by one; by the last */
    char log[16384];
};

/* --- ports --- */

static inline void bench_store_begin(void *ctx, struct store_job *job)
{
    struct bench *b = ctx;
    assert_null(b->job);
    b->job = job;
}

static inline void bench_acknowledge(void *ctx, uint32_t source, uint64_t number)
{
    struct bench *b = ctx;
    assert_true(number > b->acknowledged_to[source]);
    b->acknowledged_to[source] = number;
    b->acknowledged++;
}

static inline int bench_send(void *ctx, const struct outbox_row *row)
{
    struct bench *b = ctx;
    assert_in_range(b->sent_count, 0, BENCH_SENT_MAX - 1);
    struct bench_sent *sent = &b->sent[b->sent_count++];
    *sent = (struct bench_sent){ .lane = row->lane, .sequence = row->sequence };
    size_t most = sizeof sent->payload - 1;
    memcpy(sent->payload, row->payload.at, row->payload.bytes < most ? row->payload.bytes : most);
    return 0;
}

static inline void bench_log(void *ctx, const char *event, const char *details)
{
    struct bench *b = ctx;
    size_t used = strlen(b->log);
    (void)snprintf(b->log + used, sizeof b->log - used, "%s %s\n", event, details);
}

static inline void bench_folding(void *ctx, uint64_t block, uint64_t readings)
{
    struct bench *b = ctx;
    b->folded_blocks++;
    b->folded_to = block;
    b->folded_readings = readings;
}

/* --- life --- */

/* Open the store and rebuild the gateway on it: 0, or why not, with the sentence in b->why. What the
 * store knows is in b->found. */
static inline int bench_try_start(struct bench *b)
{
    const struct gateway_ports ports = { b, bench_store_begin, bench_acknowledge, bench_send,
                                         bench_log, NULL, bench_folding };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    uint64_t entropy[2] = { 1, 2 };
    struct block_limits limits = gateway_block_limits_max();
    struct arena fold = arena_measure(), whole = arena_measure();
    int err = store_open(&b->config->store, entropy, &b->store, &b->found, b->why);
    if (err != 0)
        fail_msg("the store does not open: %s", b->why);
    b->config->engine.store = (struct hash_key){ b->found.store_id[0], b->found.store_id[1] };
    if (b->found.wall_ms < b->clock_floor_ms)
        b->found.wall_ms = b->clock_floor_ms;
    (void)gateway_init(b->config, NULL, &json, &whole);
    b->memory = calloc(1, whole.used + ARENA_ALIGN);
    whole = arena_over(b->memory, whole.used + ARENA_ALIGN);
    b->gateway = gateway_init(b->config, &ports, &json, &whole);
    (void)block_reader_init(&limits, &fold);
    size_t bytes = fold.used + limits.bytes_max + ARENA_ALIGN;
    void *at = calloc(1, bytes);
    fold = arena_over(at, bytes);
    struct fold_memory memory = { .reader = block_reader_init(&limits, &fold) };
    memory.block = arena_take(&fold, limits.bytes_max, 1);
    memory.block_bytes = limits.bytes_max;
    struct config *then = calloc(2, sizeof *then);
    memory.then[0] = &then[0];
    memory.then[1] = &then[1];
    memory.heap_bytes_max = b->fold_heap_bytes;
    err = gateway_recover(b->gateway, b->store, &b->found, b->now, memory, b->why);
    free(then);
    free(at);
    return err;
}

static inline void bench_start(struct bench *b)
{
    if (bench_try_start(b) != 0)
        fail_msg("the state can't be rebuilt: %s", b->why);
}

/* As kill -9 does it: what is not committed is gone. */
static inline void bench_kill(struct bench *b)
{
    store_close(b->store);
    free(b->memory);
    b->store = NULL;
    b->gateway = NULL;
    b->memory = NULL;
    b->job = NULL;
    memset(b->acknowledged_to, 0, sizeof b->acknowledged_to);
    for (uint32_t i = 0; i < b->sent_count; i++)
        b->sent[i].answered = true; /* of a connection that is gone */
}

/* The configuration from the next start on: what stands behind `gateway:` is the test's. */
static inline void bench_configure(struct bench *b, const char *yaml)
{
    char text[8192];
    (void)snprintf(text, sizeof text, "gateway: {name: bench, data_dir: %s}\n%s", b->dir, yaml);
    assert_int_equal(config_read_text("bench.yaml", text, strlen(text), b->config, stderr), 0);
}

static inline void bench_open(struct bench *b, const char *yaml)
{
    *b = (struct bench){ .now = { 1000, INT64_C(1790000000000), CLOCK_SYNCED, 1 } };
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/weir-bench-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/weir.db", b->dir);
    b->config = calloc(1, sizeof *b->config);
    b->sent = calloc(BENCH_SENT_MAX, sizeof *b->sent);
    static _Alignas(16) uint8_t json_bytes[BENCH_JSON_BYTES];
    json_arena_start(json_bytes, sizeof json_bytes);
    bench_configure(b, yaml);
    bench_start(b);
}

static inline void bench_close(struct bench *b)
{
    char command[128];
    if (b->store != NULL)
        bench_kill(b);
    (void)snprintf(command, sizeof command, "rm -rf %s", b->dir);
    assert_int_equal(system(command), 0);
    free(b->config);
    free(b->sent);
}

/* --- turns --- */

/* The clocks move on by `ms`; the store's worker is through with its job; what was sent has its PUBACK. */
static inline void bench_begin(struct bench *b, int64_t ms)
{
    b->now.mono_ms += ms;
    b->now.wall_ms += ms;
    gateway_begin_turn(b->gateway, b->now);
    if (b->job != NULL && !b->store_hangs) {
        struct store_job *job = b->job;
        b->job = NULL;
        if (job->kind == STORE_JOB_COMMIT && b->commits_fail_with != 0)
            job->result = b->commits_fail_with;
        else
            store_job_run(job, b->store);
        gateway_on_store_done(b->gateway, job);
    }
    for (uint32_t i = 0; i < b->sent_count && !b->cloud_is_dumb; i++)
        if (!b->sent[i].answered) {
            b->sent[i].answered = true;
            gateway_on_sent(b->gateway, b->sent[i].lane, b->sent[i].sequence);
        }
}

static inline void bench_turn(struct bench *b, int64_t ms)
{
    bench_begin(b, ms);
    gateway_end_turn(b->gateway);
}

/* So many turns of a tenth of a second: commits are done, rows sent and answered. */
static inline void bench_turns(struct bench *b, int turns)
{
    for (int i = 0; i < turns; i++)
        bench_turn(b, 100);
}

/* An orderly stop: everything committed, a checkpoint written. */
static inline void bench_stop(struct bench *b)
{
    gateway_begin_stop(b->gateway);
    for (int i = 0; i < 1000 && !gateway_idle(b->gateway); i++)
        bench_turn(b, 10);
    assert_true(gateway_idle(b->gateway));
    bench_kill(b);
}

/* A message of source 0, in a turn of its own. False: the gateway takes none now. */
static inline bool bench_publish(struct bench *b, const char *topic, const char *payload)
{
    bench_begin(b, 10);
    bool takes = gateway_may_take(b->gateway, 0);
    if (takes)
        (void)gateway_on_message(b->gateway, &(struct message){ .source = 0, .qos = 1,
                                                          .topic = text_of(topic),
                                                          .payload = text_of(payload) });
    gateway_end_turn(b->gateway);
    return takes;
}

/* The newest row of the alerts' lane that holds `text`, or NULL. */
static inline const char *bench_told(const struct bench *b, const char *text)
{
    for (uint32_t i = b->sent_count; i > 0; i--)
        if (b->sent[i - 1].lane == LANE_ALERTS && strstr(b->sent[i - 1].payload, text) != NULL)
            return b->sent[i - 1].payload;
    return NULL;
}

/* The newest reading that was taken. */
static inline struct tail_entry bench_last(const struct bench *b)
{
    static struct tail_entry entries[256];
    uint32_t count = gateway_tail(b->gateway, 0, entries, 256);
    assert_true(count > 0);
    return entries[count - 1];
}

#endif
