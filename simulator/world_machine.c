/* world_machine: the machine that the gateway runs on: its ports, its store on a disk that fails,
 * its deaths and returns. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/json_arena.h"
#include "simulator/faulty_vfs.h"
#include "simulator/world_state.h"

enum { JSON_ARENA_BYTES = 64 * 1024 };

static const char yaml[] =
    "gateway: {name: world, data_dir: /nowhere, socket: /nowhere/weir.sock}\n"
    "clock: {trust: system}\n"
    "limits: {devices: 8, series: 16, payload: 1KiB, readings_per_message: 16}\n"
    "sources:\n"
    "  - name: plant\n"
    "    url: mqtt://127.0.0.1:1883\n"
    "    receive_maximum: 20\n"
    "    topics:\n"
    "      - template: telemetry/{device}/{metric}\n"
    "        payload: {value: /value, time: /ts, sequence: /seq, device: /device}\n"
    "  - name: devices\n"
    "    listen: mqtt://127.0.0.1:1885\n"
    "    anonymous: true\n"
    "    topics:\n"
    "      - template: telemetry/{device}/{metric}\n"
    "        payload: {value: /value, time: /ts, sequence: /seq, device: /device}\n"
    "window: {size: 2s, lateness: 3s, out_of_orderness: 500ms, idle: 5s, slots: 3}\n"
    "dedup: {ranges: 8}\n" /* devices hold several messages back, one by one */
    "learning: {readings: 5, time: 0s}\n"
    "detectors:\n"
    "  - {name: hot, type: limit, metric: temp, high: 80, clear_after: 2s, cooldown: 0s}\n"
    "  - {name: jump, type: rate, metric: temp, per_second: 30, clear_after: 1s}\n"
    "  - {name: quiet, type: silent, metric: temp, min_silence: 4s, intervals: 4}\n"
    "commit: {max_age: 300ms, max_readings: 64, retry_for: 4s}\n"
    "shed: {enrichment_lag: 800ms, enter: 400ms, leave: 400ms}\n"
    "alerts: {reject_rate: 30/m}\n"
    "uplink:\n"
    "  url: mqtt://127.0.0.1:1884\n"
    "  receipts: true\n"
    "  in_flight: 8\n"
    "  refusals_max: 100\n"
    "  receipt_timeout: 3s\n";

static struct config *shared_config(void)
{
    static struct config *config;
    if (config == NULL) {
        config = calloc(1, sizeof *config);
        assert(config != NULL);
        int errors = config_read_text("world.yaml", yaml, sizeof yaml - 1, config, stderr);
        assert(errors == 0);
        (void)errors;
        json_arena_start(aligned_alloc(16, JSON_ARENA_BYTES), JSON_ARENA_BYTES);
    }
    return config;
}

/* --- ports
 * --------------------------------------------------------------------------------------- */

static void note_digest(struct world *w, const struct store_job *job)
{
    uint64_t block = job->batch->block;
    assert(block < WORLD_BLOCKS_MAX);
    if (block <= w->digest_high)
        return; /* the same batch, tried again */
    w->digests[block] = engine_digest(gateway_view(w->gateway).engine);
    w->digest_high = block;
    if (job->batch->readings == 0)
        WORLD_COUNT(w, COMMIT_WITHOUT_READINGS);
}

static void on_store_begin(void *ctx, struct store_job *job)
{
    struct world *w = ctx;
    if (job->kind == STORE_JOB_COMMIT && !w->dead)
        note_digest(w, job);
    if (job->kind == STORE_JOB_COMMIT && world_dies(w, WORLD_KILLED_BEFORE_COMMIT))
        return;
    w->job = job;
    w->job_ran = false;
    w->job_delay = world_chance(w, 3) ? chance_below(&w->chance, 4) : 0;
    if (w->job_delay > 0 && job->kind == STORE_JOB_COMMIT)
        WORLD_COUNT(w, COMMIT_DELAYED);
}

static void on_acknowledge(void *ctx, uint32_t source, uint64_t number)
{
    struct world *w = ctx;
    assert(source == w->source);
    if (world_dies(w, WORLD_KILLED_AT_ACKNOWLEDGEMENT))
        return;
    devices_acknowledge(w, number);
}

static int on_send(void *ctx, const struct outbox_row *row)
{
    struct world *w = ctx;
    if (world_dies(w, WORLD_KILLED_AT_SEND))
        return WEIR_EAGAIN;
    return cloud_send(w, row);
}

static void on_log(void *ctx, const char *event, const char *details)
{
    const struct world *w = ctx;
    if (w->trace)
        printf("  %lld %s %s\n", (long long)w->mono_ms, event, details);
}

/* --- the disk
 * ------------------------------------------------------------------------------------ */

static void arm_disk(struct world *w)
{
    if (w->healing)
        return;
    if (world_chance(w, 50))
        faulty_vfs_cut_at(1 + chance_below(&w->chance, 12));
    else if (world_chance(w, 30))
        faulty_vfs_fail_at(1 + chance_below(&w->chance, 8), 1 + chance_below(&w->chance, 2),
                           w->small_disk && world_chance(w, 2) ? FAULTY_ENOSPC : FAULTY_EIO);
}

static void run_job(struct world *w)
{
    struct store_job *job = w->job;
    if (job->kind == STORE_JOB_COMMIT)
        arm_disk(w);
    store_job_run(job, w->store);
    w->job_ran = true;
    if (job->kind == STORE_JOB_COMMIT && job->result != 0)
        WORLD_COUNT(w, COMMIT_FAILED);
    if (faulty_vfs_faults() > 0)
        WORLD_COUNT(w, DISK_ERROR);
    if (faulty_vfs_is_cut()) {
        WORLD_COUNT(w, POWER_CUT_IN_COMMIT);
        w->dead = true;
    }
    faulty_vfs_disarm();
}

void world_finish_job(struct world *w)
{
    if (w->job_delay > 0) {
        w->job_delay--;
        return;
    }
    run_job(w);
    struct store_job *job = w->job;
    w->job = NULL;
    if (w->dead)
        return;
    if (job->kind == STORE_JOB_COMMIT && job->result == 0) {
        WORLD_COUNT(w, COMMIT_DONE);
        w->committed_block = job->batch->block;
        if (world_dies(w, WORLD_KILLED_AFTER_COMMIT))
            return;
    }
    gateway_on_store_done(w->gateway, job);
}

/* --- death and return
 * ---------------------------------------------------------------------------- */

void world_bury(struct world *w)
{
    bool cut = faulty_vfs_is_cut() || world_chance(w, 3);
    w->dead = true;
    /* The worker may have been through with its job, unheard, when the process died. */
    if (w->job != NULL && world_chance(w, 2))
        store_job_run(w->job, w->store);
    w->job = NULL;
    if (cut) {
        if (!faulty_vfs_is_cut())
            WORLD_COUNT(w, POWER_CUT_BETWEEN);
        faulty_vfs_cut(chance_next(&w->chance));
        w->boot++;
        w->mono_ms = 1000;
    } else {
        faulty_vfs_kill();
    }
    store_close(w->store);
    w->store = NULL;
    w->gateway = NULL;
    faulty_vfs_power_on();
    devices_disconnect(w);
    cloud_forget_wire(w);
    w->death_countdown = 0;
    w->dead = false;
}

static void open_store(struct world *w, struct store_recovery *recovery)
{
    char why[256] = "";
    struct store_config config = w->config->store;
    config.path = "world.db";
    config.vfs = FAULTY_VFS_NAME;
    uint64_t entropy[2] = { chance_branch(w->seed, 2), chance_branch(w->seed, 3) };
    int error = store_open(&config, entropy, &w->store, recovery, why);
    if (error != 0)
        world_break(w, "A1: the store does not open: %s", why);
    else if (recovery->set_aside > 0)
        world_break(w, "A1: the store was found damaged and set aside");
}

static void make_gateway(struct world *w)
{
    const struct gateway_ports ports = {
        .ctx = w,
        .store_begin = on_store_begin,
        .source_acknowledge = on_acknowledge,
        .uplink_send = on_send,
        .log = on_log,
    };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    memset(w->memory, 0, w->memory_bytes);
    struct arena arena = arena_over(w->memory, w->memory_bytes);
    w->gateway = gateway_init(w->config, &ports, &json, &arena);
}

static void take_memory(struct world *w)
{
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    struct arena arena = arena_measure();
    w->config = shared_config();
    (void)gateway_init(w->config, NULL, &json, &arena);
    w->memory_bytes = arena.used;
    w->memory = aligned_alloc(ARENA_ALIGN, arena.used);
    struct block_limits limits = gateway_block_limits_max();
    struct arena fold = arena_measure();
    (void)block_reader_init(&limits, &fold);
    w->fold_memory = calloc(1, fold.used + limits.bytes_max + ARENA_ALIGN);
    assert(w->memory != NULL && w->fold_memory != NULL);
    fold = arena_over(w->fold_memory, fold.used + limits.bytes_max + ARENA_ALIGN);
    w->fold.reader = block_reader_init(&limits, &fold);
    w->fold.block = arena_take(&fold, limits.bytes_max, 1);
    w->fold.block_bytes = limits.bytes_max;
    faulty_vfs_begin(chance_branch(w->seed, 4));
    w->small_disk = w->seed % 4 == 0;
    w->source = w->seed / 4 % 2;
    w->mono_ms = 1000;
    w->boot = 1;
}

void world_start(struct world *w)
{
    struct store_recovery recovery;
    char why[256] = "";
    if (w->memory == NULL)
        take_memory(w);
    else
        w->outcome.restarts++;
    open_store(w, &recovery);
    if (w->outcome.broken[0] != '\0')
        return;
    if (recovery.checkpoint_block > 0)
        WORLD_COUNT(w, RESTARTED_FROM_CHECKPOINT);
    else if (recovery.last_block > 0)
        WORLD_COUNT(w, RESTARTED_FROM_JOURNAL);
    if (recovery.last_block < w->committed_block)
        world_break(w, "A1: block %llu was committed, the store knows %llu",
                    (unsigned long long)w->committed_block,
                    (unsigned long long)recovery.last_block);
    check_always(w, &recovery);
    w->digest_high = recovery.last_block;
    make_gateway(w);
    struct hal_time now = { w->mono_ms, w->wall_ms, CLOCK_SYNCED, w->boot };
    if (gateway_recover(w->gateway, w->store, &recovery, now, w->fold, why) != 0)
        world_break(w, "A4: the state can't be rebuilt: %s", why);
}

void world_end(struct world *w)
{
    if (w->store != NULL)
        store_close(w->store);
    free(w->memory);
    free(w->fold_memory);
}
