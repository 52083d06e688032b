/* Measuring what a board can do: the gateway itself, over a store of its own on the disk in
 * question, with messages that come from memory. CPU time is that of this thread: nobody else's
 * load counts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "firmware/sizing/calibration.h"
#include "firmware/gateway/gateway.h"
#include "firmware/json_arena.h"
#include "pipeline/err.h"

enum {
    DEVICES = 1000,
    ROUNDS = 200,         /* of a message from each device, at most, */
    SECONDS_MAX = 3,      /* and in no more time than this */
    SMALL_COMMITS = 20,
    DECODES = 20000,
    PAYLOAD_BYTES = 1024, /* room for one */
    LONG_BYTES = 400,     /* by which the second decoded payload is longer */
    JSON_BYTES = 64 * 1024
};

struct board_bench {
    char dir[CONFIG_PATH_BYTES_MAX + 32];
    struct config *config;
    struct store *store;
    struct gateway *gateway;
    void *memory, *json;
    struct hal_time now;
    struct store_job *job;
    char (*payloads)[PAYLOAD_BYTES]; /* of one round */
    double commit_cpu_us, commit_wall_us; /* of the last job */
};

static const char YAML[] =
    "gateway: {name: calibrate, data_dir: \"%s\"}\n"
    "limits: {devices: 1000, series: 1000, json_arena: 64KiB, payload: 1KiB}\n"
    "sources: [{name: bench, listen: \"mqtt://127.0.0.1:1\", anonymous: true,\n"
    "  topics: [\"t/{device}/{metric}\"]}]\n"
    "shed: {enrichment_lag: 0, optional_lag: 0, sources_lag: 0, qos0_lag: 0}\n"
    "store: {disk_max: 64MiB, wal_max: 16MiB, ballast: 64KiB}\n";

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* every Linux has it */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double wall_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* likewise */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* What this process has had written to disks; 0 where the kernel does not count it. */
static double written_bytes(void)
{
    char line[128];
    unsigned long long bytes = 0;
    FILE *io = fopen("/proc/self/io", "r");
    while (io != NULL && fgets(line, sizeof line, io) != NULL)
        if (sscanf(line, "write_bytes: %llu", &bytes) == 1)
            break;
    if (io != NULL)
        (void)fclose(io); /* it was read only */
    return (double)bytes;
}

/* --- ports --- */

static void begin_job(void *ctx, struct store_job *job)
{
    struct board_bench *b = ctx;
    b->job = job;
}

static void no_acknowledgement(void *ctx, uint32_t source, uint64_t number)
{
    (void)ctx, (void)source, (void)number;
}

static int no_uplink(void *ctx, const struct outbox_row *row)
{
    (void)ctx, (void)row;
    return WEIR_EAGAIN;
}

static void no_log(void *ctx, const char *event, const char *details)
{
    (void)ctx, (void)event, (void)details;
}

/* --- the gateway --- */

static int start(struct board_bench *b, char *why)
{
    const struct gateway_ports ports = { b, begin_job, no_acknowledgement, no_uplink, no_log,
                                         NULL, NULL };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    struct block_limits limits = gateway_block_limits_max();
    struct arena measure = arena_measure(), fold = arena_measure();
    struct store_recovery found;
    uint64_t entropy[2] = { 1, 2 };
    int error = store_open(&b->config->store, entropy, &b->store, &found, why);
    if (error != 0)
        return error;
    b->config->engine.store = (struct hash_key){ found.store_id[0], found.store_id[1] };
    (void)gateway_init(b->config, NULL, &json, &measure);
    b->memory = calloc(1, measure.used + ARENA_ALIGN);
    (void)block_reader_init(&limits, &fold);
    void *at = calloc(1, fold.used + limits.bytes_max + ARENA_ALIGN);
    if (b->memory == NULL || at == NULL) {
        free(at);
        (void)snprintf(why, 256, "no memory");
        return WEIR_EFULL;
    }
    struct arena arena = arena_over(b->memory, measure.used + ARENA_ALIGN);
    b->gateway = gateway_init(b->config, &ports, &json, &arena);
    fold = arena_over(at, fold.used + limits.bytes_max + ARENA_ALIGN);
    struct fold_memory memory = { .reader = block_reader_init(&limits, &fold) };
    memory.block = arena_take(&fold, limits.bytes_max, 1);
    memory.block_bytes = limits.bytes_max;
    b->now = (struct hal_time){ 1000, (int64_t)time(NULL) * 1000, CLOCK_SYNCED, 1 };
    error = gateway_recover(b->gateway, b->store, &found, b->now, memory, why);
    free(at);
    return error;
}

static int run_job(struct board_bench *b)
{
    struct store_job *job = b->job;
    if (job == NULL)
        return 0;
    b->job = NULL;
    double cpu = cpu_us(), wall = wall_us();
    store_job_run(job, b->store);
    b->commit_cpu_us = cpu_us() - cpu;
    b->commit_wall_us = wall_us() - wall;
    gateway_on_store_done(b->gateway, job);
    return job->result;
}

/* Time passes, so that what waits is committed: by itself, or by the next turn at the latest. */
static int commit(struct board_bench *b)
{
    for (int turn = 0; turn < 3; turn++) {
        b->now.mono_ms += 1000;
        b->now.wall_ms += 1000;
        gateway_begin_turn(b->gateway, b->now);
        gateway_end_turn(b->gateway);
        if (b->job != NULL)
            return run_job(b);
    }
    return 0;
}

/* --- measuring --- */

static void render(struct board_bench *b, uint32_t round)
{
    for (uint32_t i = 0; i < DEVICES; i++)
        (void)snprintf(b->payloads[i], PAYLOAD_BYTES,
                       "{\"value\":%.2f,\"sequence\":%u,\"time\":%lld,\"unit\":\"C\"}",
                       20 + 0.01 * ((i * 7 + round * 13) % 100), round + 1,
                       (long long)b->now.wall_ms);
}

/* One message from each device; the CPU time that the gateway takes, in us. */
static double take_round(struct board_bench *b)
{
    char topic[32];
    double spent = 0;
    b->now.mono_ms += 10;
    b->now.wall_ms += 10;
    gateway_begin_turn(b->gateway, b->now);
    for (uint32_t i = 0; i < DEVICES && gateway_may_take(b->gateway, 0); i++) {
        (void)snprintf(topic, sizeof topic, "t/device-%u/temp", i);
        const struct message m = { .source = 0, .qos = 0, .topic = text_of(topic),
                                   .payload = text_of(b->payloads[i]) };
        double from = i % 50 == 0 ? cpu_us() : 0;
        (void)gateway_on_message(b->gateway, &m);
        spent += i % 50 == 0 ? cpu_us() - from : 0; /* each look at the clock costs as much */
    }
    gateway_end_turn(b->gateway);
    return spent * 50;
}

/* The clock's own cost, which every sample holds once. */
static double clock_us(void)
{
    double from = cpu_us();
    for (int i = 0; i < 1000; i++)
        (void)cpu_us();
    return (cpu_us() - from) / 1000;
}

static double time_decode(struct board_bench *b, const char *payload)
{
    static struct decoded decoded;
    struct decoder d = {
        .memory = { json_arena_reset, json_arena_exhausted },
        .limits = b->config->json,
        .readings = calloc(b->config->json.readings, sizeof *d.readings),
        .extra_bytes = 2 * PAYLOAD_BYTES + 4096,
    };
    d.extra = malloc(d.extra_bytes);
    double from = cpu_us();
    for (int i = 0; i < DECODES && d.readings != NULL && d.extra != NULL; i++)
        decode_json(&d, &b->config->sources[0].topics[0].mapping, 0, text_of("device-1"),
                    text_of("temp"), text_of(payload), &decoded);
    double ns = (cpu_us() - from) * 1e3 / DECODES;
    free(d.readings);
    free(d.extra);
    return ns;
}

static void measure_decode(struct board_bench *b, struct calibration *c)
{
    char longer[PAYLOAD_BYTES];
    render(b, 0);
    size_t bytes = strlen(b->payloads[0]);
    (void)snprintf(longer, sizeof longer, "%.*s,\"pad\":\"%0*d\"}", (int)bytes - 1,
                   b->payloads[0], LONG_BYTES - 9, 0);
    double plain = time_decode(b, b->payloads[0]), more = time_decode(b, longer);
    c->decode_byte_ns = more > plain ? (more - plain) / LONG_BYTES : 0;
    c->decode_ns = plain - c->decode_byte_ns * (double)bytes;
    c->decode_ns = c->decode_ns > 0 ? c->decode_ns : 0;
}

/* Full commits: what each reading costs, in the processor and on the disk. */
static int measure_pipeline(struct board_bench *b, struct calibration *c)
{
    double spent_us = 0, began = wall_us(), written = written_bytes();
    uint64_t first = gateway_view(b->gateway).ledger.received;
    for (uint32_t round = 0; round < ROUNDS && wall_us() - began < SECONDS_MAX * 1e6; round++) {
        render(b, round);
        spent_us += take_round(b) - 50 * (DEVICES / 50) * clock_us();
        int error = b->job != NULL ? run_job(b) : 0;
        if (error != 0)
            return error;
    }
    int error = commit(b);
    double readings = (double)(gateway_view(b->gateway).ledger.received - first);
    if (error != 0 || readings < DEVICES)
        return error != 0 ? error : WEIR_EIO;
    double whole_ns = spent_us * 1e3 / readings, decode = c->decode_ns +
        c->decode_byte_ns * (double)strlen(b->payloads[0]);
    c->pipeline_ns = whole_ns > decode ? whole_ns - decode : 0;
    c->reading_bytes = (written_bytes() - written) / readings;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure_commits(struct board_bench *b, struct calibration *c)
{
    double wall[SMALL_COMMITS], cpu[SMALL_COMMITS], written = written_bytes();
    for (int i = 0; i < SMALL_COMMITS; i++) {
        gateway_begin_turn(b->gateway, b->now);
        gateway_self_test(b->gateway);
        gateway_end_turn(b->gateway);
        int error = b->job != NULL ? run_job(b) : commit(b);
        if (error != 0)
            return error;
        wall[i] = b->commit_wall_us;
        cpu[i] = b->commit_cpu_us;
    }
    c->commit_bytes = (written_bytes() - written) / SMALL_COMMITS;
    qsort(wall, SMALL_COMMITS, sizeof wall[0], by_value);
    qsort(cpu, SMALL_COMMITS, sizeof cpu[0], by_value);
    c->commit_us = wall[SMALL_COMMITS / 2];
    c->commit_cpu_us = cpu[SMALL_COMMITS / 2];
    return 0;
}

static void remove_all(const struct board_bench *b)
{
    static const char *const names[] = { "weir.db", "weir.db-wal", "weir.db-shm",
                                         "weir.db-journal", "weir.db.ballast" };
    char path[sizeof b->dir + 32];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", b->dir, names[i]);
        (void)unlink(path); /* not each is there */
    }
    (void)rmdir(b->dir); /* where something else is in it, it stays */
}

static int measure(struct board_bench *b, struct calibration *c, char *why)
{
    char yaml[sizeof YAML + sizeof b->dir];
    int bytes = snprintf(yaml, sizeof yaml, YAML, b->dir);
    if (config_read_text("calibrate", yaml, (size_t)bytes, b->config, stderr) != 0) {
        (void)snprintf(why, 256, "%.200s: not a directory for a store", b->dir);
        return WEIR_EINVAL;
    }
    json_arena_start(b->json, JSON_BYTES);
    int error = start(b, why);
    if (error != 0)
        return error;
    (void)commit(b); /* what a start journals */
    measure_decode(b, c);
    error = measure_pipeline(b, c);
    error = error != 0 ? error : measure_commits(b, c);
    if (error != 0)
        (void)snprintf(why, 256, "a commit failed: %s", weir_err_text(error));
    return error;
}

int calibrate(const char *data_dir, struct calibration *c, char *why)
{
    struct board_bench b = { .config = calloc(1, sizeof *b.config),
                             .json = aligned_alloc(16, JSON_BYTES),
                             .payloads = calloc(DEVICES, PAYLOAD_BYTES) };
    struct calibration made = calibration_default();
    (void)snprintf(b.dir, sizeof b.dir, "%s/calibrate", data_dir);
    int error = WEIR_EFULL;
    if (b.config == NULL || b.json == NULL || b.payloads == NULL)
        (void)snprintf(why, 256, "no memory");
    else if (mkdir(b.dir, 0700) != 0 && errno != EEXIST)
        (void)snprintf(why, 256, "%.150s: %.60s", b.dir, strerror(errno));
    else
        error = measure(&b, &made, why);
    if (b.store != NULL)
        store_close(b.store);
    remove_all(&b);
    free(b.config);
    free(b.json);
    free(b.payloads);
    free(b.memory);
    if (error != 0)
        return error;
    struct calibration usual = calibration_default();
    bool counted = made.reading_bytes > 0 && made.commit_bytes > 0;
    made.reading_bytes = counted ? made.reading_bytes : usual.reading_bytes;
    made.commit_bytes = counted ? made.commit_bytes : usual.commit_bytes;
    (void)snprintf(made.origin, sizeof made.origin, "measured here by weir %s%s", WEIR_VERSION,
                   counted ? "" : "; bytes on the disk built in, as this disk does not count them");
    *c = made;
    return 0;
}
