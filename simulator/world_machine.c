/* world_machine: the machine that the gateway runs on: its ports, its store on a disk that fails,
 * its deaths and returns. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/json_arena.h"
#include "simulator/faulty_vfs.h"
#include "simulator/world_state.h"

enum { DISK_BAD_TURNS = 80, STARTS_MAX = 20 };

/* --- ports --- */

static void on_store_begin(void *ctx, struct store_job *job)
{
    struct world *w = ctx;
    if (job->kind == STORE_JOB_COMMIT && !w->dead)
        journal_give(w, job->batch);
    if (job->kind == STORE_JOB_COMMIT && world_dies(w, WORLD_KILLED_BEFORE_COMMIT))
        return;
    w->job = job;
    w->job_delay = world_chance(w, 3) ? chance_below(&w->chance, 4) : 0;
    if (w->job_delay > 0 && job->kind == STORE_JOB_COMMIT)
        WORLD_COUNT(w, COMMIT_DELAYED);
}

static void on_acknowledge(void *ctx, uint32_t source, uint64_t number)
{
    struct world *w = ctx;
    if (world_dies(w, WORLD_KILLED_AT_ACKNOWLEDGEMENT))
        return;
    devices_acknowledge(w, source, number);
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

/* --- the disk --- */

/* One fault at most, at one of the job's first operations on the disk. */
static void arm_disk(struct world *w)
{
    if (w->healing)
        return;
    bool full = world_chance(w, 4);
    uint64_t at = 1 + chance_below(&w->chance, 16); /* a commit's writes, and its flush */
    if (w->disk_bad > 0 || world_chance(w, 30))
        faulty_vfs_fail_at(at, w->disk_bad > 0 ? UINT32_MAX : 1 + chance_below(&w->chance, 2),
                           full ? FAULTY_ENOSPC : FAULTY_EIO);
    else if (world_chance(w, 40))
        faulty_vfs_fail_sync();
    else if (world_chance(w, 50))
        faulty_vfs_cut_at(at);
    else if (world_chance(w, 50))
        faulty_vfs_kill_at(at);
    if (w->disk_bad == 0 && world_chance(w, 600))
        w->disk_bad = DISK_BAD_TURNS;
}

static void arm_start(struct world *w)
{
    uint32_t which = chance_below(&w->chance, 6);
    uint64_t at = 1 + chance_below(&w->chance, 6);
    if (w->healing || w->outcome.restarts == 0)
        return;
    if (which == 0)
        faulty_vfs_fail_at(at, 1, FAULTY_EIO);
    else if (which == 1)
        faulty_vfs_cut_at(at);
    else if (which == 2)
        faulty_vfs_kill_at(at);
}

static void disarm_disk(struct world *w)
{
    if (faulty_vfs_faults() > 0)
        WORLD_COUNT(w, DISK_ERROR);
    if (faulty_vfs_faults() > 0 && faulty_vfs_last_error() == FAULTY_ENOSPC)
        WORLD_COUNT(w, DISK_FULL);
    faulty_vfs_disarm();
}

static void run_job(struct world *w)
{
    struct store_job *job = w->job;
    arm_disk(w);
    store_job_run(job, w->store);
    if (job->kind == STORE_JOB_COMMIT && job->result != 0)
        WORLD_COUNT(w, COMMIT_FAILED);
    if (faulty_vfs_is_cut())
        WORLD_COUNT(w, POWER_CUT_IN_COMMIT);
    else if (faulty_vfs_is_off())
        WORLD_COUNT(w, KILLED_IN_COMMIT);
    if (faulty_vfs_is_off())
        w->dead = true;
    disarm_disk(w);
}

/* Before the same batch is tried again: the next process meets what this one left on the disk. */
static bool dies_of_failure(struct world *w)
{
    w->dead = world_chance(w, 4);
    if (w->dead)
        WORLD_COUNT(w, KILLED_AFTER_FAILURE);
    return w->dead;
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
    if (w->dead || (job->result != 0 && !w->healing && dies_of_failure(w)))
        return;
    if (job->kind == STORE_JOB_COMMIT && job->result == 0) {
        WORLD_COUNT(w, COMMIT_DONE);
        journal_committed(w, job->batch->block);
        if (world_dies(w, WORLD_KILLED_AFTER_COMMIT))
            return;
    }
    gateway_on_store_done(w->gateway, job);
}

/* --- death and return --- */

/* The power goes, or only the process does. */
static void lose_disk(struct world *w)
{
    if (!faulty_vfs_is_cut() && !world_chance(w, 3)) {
        int64_t ms = 200 + chance_below(&w->chance, 3000);
        faulty_vfs_kill();
        w->true_ms += ms;
        w->mono_ms += ms;
        return;
    }
    if (!faulty_vfs_is_cut())
        WORLD_COUNT(w, POWER_CUT_BETWEEN);
    faulty_vfs_cut(chance_next(&w->chance));
    w->true_ms += 2000 + chance_below(&w->chance, 20000);
    clock_boot(w);
}

static void forget_connections(struct world *w)
{
    for (uint32_t source = 0; source < WORLD_SOURCES; source++) {
        devices_disconnect(w, source);
        w->devices.broken[source] = false; /* the gateway to be starts with none connected */
    }
    cloud_forget_wire(w);
    w->gateway = NULL;
    w->death_countdown = 0;
    w->disk_bad = 0;
    w->dead = false;
}

void world_bury(struct world *w)
{
    w->dead = true;
    /* The worker may have been through with its job, unheard, when the process died. */
    if (w->job != NULL && !faulty_vfs_is_off() && world_chance(w, 2))
        store_job_run(w->job, w->store);
    w->job = NULL;
    lose_disk(w);
    if (w->store != NULL)
        store_close(w->store);
    w->store = NULL;
    faulty_vfs_power_on();
    forget_connections(w);
}

/* The process ended by itself: nothing is lost, and the power stays on. */
void world_leave(struct world *w)
{
    store_close(w->store);
    w->store = NULL;
    w->true_ms += 500;
    w->mono_ms += 500;
    forget_connections(w);
}

/* 0, or a fault of ours prevented it: then it is tried again, as what starts the daemon does. */
static int open_store(struct world *w, struct store_recovery *recovery)
{
    char why[256] = "";
    struct store_config config = w->config->store;
    config.path = "world.db";
    config.vfs = FAULTY_VFS_NAME;
    uint64_t entropy[2] = { chance_branch(w->seed, 2), chance_branch(w->seed, 3) };
    arm_start(w);
    int error = store_open(&config, entropy, &w->store, recovery, why);
    bool faulted = faulty_vfs_faults() > 0;
    if (error != 0 && !faulted && !faulty_vfs_is_off())
        world_break(w, "A1: the store does not open: %s", why);
    else if (recovery->set_aside > 0)
        world_break(w, "A1: the store was found damaged and set aside");
    else if (faulty_vfs_is_cut())
        WORLD_COUNT(w, POWER_CUT_AT_START);
    else if (faulty_vfs_is_off())
        WORLD_COUNT(w, KILLED_AT_START);
    else if (faulted)
        WORLD_COUNT(w, DISK_ERROR_AT_START);
    bool off = faulty_vfs_is_off();
    disarm_disk(w);
    return error != 0 || off ? WEIR_EIO : 0;
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
    world_configure(w);
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
    clock_boot(w);
    journal_begin(w);
}

static void recover(struct world *w, const struct store_recovery *recovery)
{
    char why[256] = "";
    if (recovery->checkpoint_block > 0)
        WORLD_COUNT(w, RESTARTED_FROM_CHECKPOINT);
    else if (recovery->last_block > 0)
        WORLD_COUNT(w, RESTARTED_FROM_JOURNAL);
    make_gateway(w);
    if (gateway_recover(w->gateway, w->store, recovery, clock_now(w), w->fold, why) != 0)
        world_break(w, "A4: the state can't be rebuilt: %s", why);
    else
        people_load_inventory(w);
}

void world_start(struct world *w)
{
    struct store_recovery recovery;
    if (w->memory == NULL)
        take_memory(w);
    else
        w->outcome.restarts++;
    for (int start = 0; open_store(w, &recovery) != 0 && !world_broken(w); start++) {
        world_bury(w);
        if (start == STARTS_MAX)
            world_break(w, "A1: the store does not open in %d starts", STARTS_MAX);
    }
    if (world_broken(w))
        return;
    w->store_id = (struct hash_key){ recovery.store_id[0], recovery.store_id[1] };
    w->config->engine.store = w->store_id;
    journal_check(w, &recovery);
    exchanges_check(w, recovery.last_block);
    check_outbox(w, &recovery);
    check_letters(w);
    if (!world_broken(w))
        recover(w, &recovery);
}

void world_end(struct world *w)
{
    if (w->store != NULL)
        store_close(w->store);
    journal_end(w);
    free(w->memory);
    free(w->fold_memory);
}
