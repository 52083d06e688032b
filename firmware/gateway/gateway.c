#include "firmware/gateway/gateway.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

enum {
    HEARTBEAT_MS = 1000, /* a turn at least so often: clock, receipts, shedding */
    COMMIT_RETRY_MS = 200
};

/* --- the store's one job -------------------------------------------------------------------------
 * */

void store_job_run(struct store_job *job, struct store *store)
{
    job->why = store_why(store);
    switch (job->kind) {
    case STORE_JOB_COMMIT:
        job->result = store_commit(store, job->batch);
        break;
    case STORE_JOB_OUTBOX:
        job->result =
            store_outbox_read(store, job->lane, job->sequence, job->to, GATEWAY_FETCH_BYTES,
                              job->rows, GATEWAY_FETCH_ROWS, &job->row_count);
        break;
    case STORE_JOB_POISON:
        job->result = store_outbox_poison(store, job->lane, job->sequence,
                                          "the cloud refuses it or breaks the connection over it",
                                          job->t_ms, job->wall_ms);
        break;
    case STORE_JOB_QUERY:
        job->query(job->query_ctx, store);
        job->result = 0;
        break;
    }
}

static void begin_job(struct gateway *g, struct store_job *job)
{
    assert(!g->job_busy);
    g->job_busy = true;
    g->ports.store_begin(g->ports.ctx, job);
}

static bool commit_is_due(const struct gateway *g)
{
    const struct fill *f = g->filling;
    if (g->committing != NULL)
        return false;
    if ((checkpoint_due(g) && g->stopping) || g->reload.state == RELOAD_WANTED)
        return true;
    if (!f->content)
        return false;
    return f->urgent || g->stopping || g->t_ms - f->opened_ms >= g->config->commit_max_age_ms ||
           block_readings(f->block) >= g->config->commit_max_readings ||
           !fill_has_message_room(g, f);
}

static void begin_commit(struct gateway *g)
{
    g->commit_job = (struct store_job){ .kind = STORE_JOB_COMMIT, .batch = &g->committing->batch };
    pressure_commit_begun(g);
    begin_job(g, &g->commit_job);
}

static void begin_fetch(struct gateway *g, enum lane lane)
{
    struct sender *s = &g->sender;
    s->fetch_asked = s->fetch_generation;
    s->fetch.kind = STORE_JOB_OUTBOX;
    s->fetch.lane = lane;
    s->fetch.sequence = s->lanes[lane].next;
    begin_job(g, &s->fetch);
}

/* Commits first, then people's questions, then what goes upstream. */
void gateway_schedule(struct gateway *g)
{
    enum lane lane;
    if (g->job_busy || g->failed)
        return;
    if (g->committing != NULL && g->now.mono_ms >= g->retry_at_mono_ms) {
        begin_commit(g);
    } else if (g->committing == NULL && commit_is_due(g)) {
        fill_seal(g);
        reload_after_seal(g);
        begin_commit(g);
    } else if (g->query_waiting) {
        g->query_waiting = false;
        g->query_running = true;
        begin_job(g, &g->query_job);
    } else if (g->sender.poison_wanted && g->sender.poison.kind == STORE_JOB_POISON) {
        begin_job(g, &g->sender.poison);
    } else if (sender_wants_fetch(g, &lane)) {
        begin_fetch(g, lane);
    }
}

static void commit_failed(struct gateway *g, int error)
{
    char details[400];
    const char *why = g->commit_job.why != NULL ? g->commit_job.why : "";
    (void)snprintf(details, sizeof details, "block=%llu error=\"%s\" why=\"%.256s\"",
                   (unsigned long long)g->committing->batch.block, weir_err_text(error), why);
    g->ports.log(g->ports.ctx, "commit_failed", details);
    g->commit_failures++;
    g->failing_with = error;
    if (g->failing_since_mono_ms == INT64_MAX)
        g->failing_since_mono_ms = g->now.mono_ms;
    g->retry_at_mono_ms = g->now.mono_ms + COMMIT_RETRY_MS;
    /* A full disk is waited out: room may come, and where none does, old raw readings make it.
     * Anything else that lasts means that a restart, which reads the store anew, is the better
     * try. */
    bool lasting = g->now.mono_ms - g->failing_since_mono_ms >= g->config->commit_retry_for_ms;
    if (error == WEIR_ECORRUPT || (error != WEIR_ENOSPC && lasting))
        g->failed = true;
    if (error == WEIR_ENOSPC) {
        g->checkpoint.wanted = true;
        g->committing->batch.may_remove = lasting;
    }
}

static void adopt_store_figures(struct gateway *g, const struct batch *b)
{
    int64_t held_since = (int64_t)g->ledger.stored - (int64_t)b->ledger.stored;
    g->committed = b->ledger;
    g->committed.held = b->held;
    memcpy(g->committed.removed, b->removed, sizeof b->removed);
    g->ledger.held = b->held + (uint64_t)held_since;
    memcpy(g->ledger.removed, b->removed, sizeof b->removed);
    for (int lane = 0; lane < LANES; lane++)
        g->sender.lanes[lane].first = b->first_sequence[lane];
    g->last_batch_out = *b;
    g->commit_last_us = b->commit_us;
    if (b->commit_us > g->commit_max_us)
        g->commit_max_us = b->commit_us;
    histogram_add(&g->commit_times, b->commit_us);
    g->bytes_committed += b->journal.bytes;
    for (uint32_t i = 0; i < b->row_count; i++)
        g->bytes_committed += b->rows[i].payload.bytes;
}

/* A broker's acknowledgements go all together: they wait for a message whose last part is not
 * committed, and for what the batch that fills holds. */
static bool acknowledges_at_once(const struct gateway *g, uint32_t source)
{
    return g->config->sources[source].kind == SOURCE_BROKER;
}

static bool may_acknowledge(const struct gateway *g, uint32_t source)
{
    bool carried = g->carried.next < g->carried.count && g->carried.source == source;
    return !acknowledges_at_once(g, source) || (!carried && g->filling->last[source] == 0);
}

static void commit_done(struct gateway *g, int result)
{
    if (result != 0) {
        commit_failed(g, result);
        return;
    }
    struct fill *f = g->committing;
    g->committing = NULL;
    pressure_commit_done(g);
    g->failing_since_mono_ms = INT64_MAX;
    g->failing_with = 0;
    g->retry_at_mono_ms = 0;
    g->commits++;
    g->committed_block = f->batch.block;
    memcpy(g->committed_lanes, f->batch.lanes, sizeof g->committed_lanes);
    adopt_store_figures(g, &f->batch);
    checkpoint_on_committed(g, &f->batch);
    receipts_committed(g, &f->batch);
    if (f->batch.checkpoint_wanted && !g->checkpoint.active)
        g->checkpoint.wanted = true;
    for (uint32_t source = 0; source < g->config->source_count; source++)
        if (f->last[source] > 0 && may_acknowledge(g, source))
            g->ports.source_acknowledge(g->ports.ctx, source, f->last[source]);
}

void gateway_on_store_done(struct gateway *g, struct store_job *job)
{
    assert(g->job_busy);
    g->job_busy = false;
    switch (job->kind) {
    case STORE_JOB_COMMIT:
        commit_done(g, job->result);
        break;
    case STORE_JOB_OUTBOX:
        sender_on_fetched(g);
        break;
    case STORE_JOB_POISON:
        sender_on_poisoned(g);
        break;
    case STORE_JOB_QUERY:
        g->query_running = false;
        job->query_done(job->query_ctx);
        break;
    }
}

void gateway_self_test(struct gateway *g)
{
    fill_open(g);
    g->filling->urgent = true;
}

bool gateway_query(struct gateway *g, void (*query)(void *, struct store *), void (*done)(void *),
                   void *ctx)
{
    if (g->query_waiting || g->query_running)
        return false;
    g->query_job = (struct store_job){
        .kind = STORE_JOB_QUERY, .query = query, .query_done = done, .query_ctx = ctx
    };
    g->query_waiting = true;
    return true;
}

/* --- turns ---------------------------------------------------------------------------------------
 * */

/* False: not before the next commit, which comes at once. */
static bool has_room_for(struct gateway *g, const struct record *record)
{
    size_t bytes = block_bytes(g->filling->block) + record->content.bytes + 4096;
    if (fill_has_step_room(g, g->filling) && bytes <= g->limits.block.bytes_max)
        return true;
    g->filling->urgent = true;
    return false;
}

int gateway_take(struct gateway *g, const struct record *record)
{
    if (!has_room_for(g, record))
        return WEIR_EAGAIN;
    fill_append(g, record);
    engine_apply(g->engine, record, &g->out);
    return 0;
}

/* What became of the sources, to the engine; what finds no room is told in the next turn. */
static void tell_sources(struct gateway *g)
{
    for (uint32_t source = 0; source < g->config->source_count; source++) {
        uint64_t bit = (uint64_t)1 << source;
        struct record record = {
            .kind = RECORD_SOURCE,
            .t_ms = g->t_ms,
            .reading = { .source = (uint16_t)source },
            .count = (g->source_connected & bit) != 0,
        };
        if ((g->source_untold & bit) != 0 && gateway_take(g, &record) == 0)
            g->source_untold &= ~bit;
    }
}

/* With the first commit of a new store that took the place of a damaged one. */
static void tell_set_aside(struct gateway *g)
{
    if (g->set_aside == 0 || !g->clock_known)
        return;
    struct envelope_fact files = { "files", (double)g->set_aside };
    g->set_aside = 0;
    const struct notice notice = {
        "the store was damaged and is set aside; a new one begins, and all counters with it", NULL,
        &files, 1
    };
    fill_notice(g, "store_set_aside", &notice);
}

void gateway_begin_turn(struct gateway *g, struct hal_time now)
{
    clock_begin_turn(g, now);
    tell_set_aside(g);
    start_tell_loss(g);
    reload_tell_unkept(g);
    if (!g->timers_behind && g->carried.next < g->carried.count)
        intake_continue(g);
    tell_sources(g);
    pressure_update(g);
    letters_turn(g);
    versions_turn(g);
}

static void take_last_checkpoint(struct gateway *g)
{
    if (!g->stopping || g->stop_checkpoint_taken || g->committing != NULL || g->filling->content)
        return;
    g->stop_checkpoint_taken = true;
    g->checkpoint.wanted = true;
}

bool gateway_has_steps(const struct gateway *g)
{
    return engine_steps(g->engine) - g->steps_from < STREAM_STEPS_MAX;
}

void gateway_end_turn(struct gateway *g)
{
    take_last_checkpoint(g);
    gateway_schedule(g);
    sender_pump(g);
    gateway_schedule(g); /* what was sent may leave room for the next rows */
}

int64_t gateway_next_turn_ms(const struct gateway *g)
{
    int64_t next = g->now.mono_ms + HEARTBEAT_MS;
    int64_t to_mono = g->mono_base_ms - g->t_base_ms;
    int64_t deadline = engine_deadline(g->engine, g->t_ms);
    if (deadline < INT64_MAX - HEARTBEAT_MS && deadline + to_mono < next)
        next = deadline + to_mono;
    if (g->committing != NULL && !g->job_busy && g->retry_at_mono_ms < next)
        next = g->retry_at_mono_ms;
    if (g->carried.next < g->carried.count && fill_has_step_room(g, g->filling))
        next = g->now.mono_ms;
    if (g->committing == NULL && g->filling->content) {
        int64_t due = g->filling->opened_ms + g->config->commit_max_age_ms + to_mono;
        next = due < next ? due : next;
        if (commit_is_due(g))
            next = g->now.mono_ms;
    }
    return next > g->now.mono_ms ? next : g->now.mono_ms;
}

int64_t gateway_t_ms(const struct gateway *g)
{
    return g->t_ms;
}

bool gateway_failed(const struct gateway *g)
{
    return g->failed;
}

void gateway_begin_stop(struct gateway *g)
{
    g->stopping = true;
}

bool gateway_idle(const struct gateway *g)
{
    return g->stopping && g->stop_checkpoint_taken && g->committing == NULL && !g->job_busy &&
           !g->filling->content && !checkpoint_due(g);
}

bool gateway_may_take(const struct gateway *g, uint32_t source)
{
    assert(source < g->config->source_count);
    if (g->failed || g->stopping || g->timers_behind || g->failing_with != 0 || !clock_usable(g) ||
        g->carried.next < g->carried.count)
        return false;
    const struct fill *f = g->filling;
    if (acknowledges_at_once(g, source) &&
        ((g->committing != NULL && g->committing->last[source] > 0) ||
         f->source_messages[source] >= gateway_receive_maximum(g, source)))
        return false;
    return block_readings(f->block) < g->config->commit_max_readings && fill_has_message_room(g, f);
}

/* --- other events --------------------------------------------------------------------------------
 * */

void gateway_on_source(struct gateway *g, uint32_t source, bool connected)
{
    assert(source < g->config->source_count);
    uint64_t bit = (uint64_t)1 << source;
    g->source_connected = connected ? g->source_connected | bit : g->source_connected & ~bit;
    g->drained_ms[source] = g->t_ms;
    g->source_untold |= bit;
    tell_sources(g);
}

int gateway_on_gone(struct gateway *g, uint32_t source, struct text device, struct text will)
{
    char message[256];
    struct record record = {
        .kind = RECORD_GONE,
        .t_ms = g->t_ms,
        .reading = { .source = (uint16_t)source, .device = device },
        .content = will,
    };
    if (!gateway_may_take(g, source) || gateway_take(g, &record) != 0)
        return WEIR_EAGAIN;
    (void)snprintf(message, sizeof message, "device=%.*s will=\"%.*s\"", (int)device.bytes,
                   device.at, (int)will.bytes, will.at); /* longer names than any are cut */
    fill_notice(g, "device_gone", &(struct notice){ message, NULL, NULL, 0 });
    return 0;
}

void gateway_on_drained(struct gateway *g, uint32_t source)
{
    assert(source < g->config->source_count);
    g->drained_ms[source] = g->t_ms;
}

int gateway_on_inventory(struct gateway *g, const uint8_t digest[32], struct text content,
                         bool json, char *why)
{
    struct record record = {
        .kind = RECORD_INVENTORY,
        .t_ms = g->t_ms,
        .digest = { (const char *)digest, 32 },
        .content = content,
    };
    if (content.bytes > g->config->inventory_bytes) {
        (void)snprintf(why, 256, "an inventory of at most %u entries has at most %u bytes",
                       g->config->inventory_max, g->config->inventory_bytes);
        return WEIR_EFULL;
    }
    if (!has_room_for(g, &record) || g->carried.next < g->carried.count) {
        (void)snprintf(why, 256, "no room before the next commit; try again");
        return WEIR_EAGAIN;
    }
    g->decoder.memory.reset();
    int error = inventory_load(g->inventory, content, json, why);
    if (error == 0)
        error = gateway_take(g, &record);
    return error;
}

struct gateway_view gateway_view(const struct gateway *g)
{
    struct gateway_view view = {
        .engine = g->engine,
        .ledger = g->committed,
        .pending = g->ledger.received - g->committed.received +
                   (g->ledger.retried - g->committed.retried),
        .block = g->committed_block,
        .t_ms = g->t_ms,
        .wall_ms = gateway_wall_ms(g),
        .uptime_ms = g->t_ms - g->started_ms,
        .clock = g->clock.state,
        .clock_steps = g->clock_steps,
        .disk_bytes = g->last_batch_out.disk_bytes,
        .wal_bytes = g->last_batch_out.wal_bytes,
        .table_bytes = g->last_batch_out.table_bytes,
        .table_rows = g->last_batch_out.table_rows,
        .commit_last_us = g->commit_last_us,
        .commit_max_us = g->commit_max_us,
        .commit_times = &g->commit_times,
        .commits = g->commits,
        .commit_failures = g->commit_failures,
        .failing_with = g->failing_with,
        .bytes_committed = g->bytes_committed,
        .recovered_in_ms = g->recovered_in_ms,
        .recovered_blocks = g->recovered_blocks,
        .fold_ns_per_reading = g->checkpoint.fold_ns_per_reading,
        .uplink_connected = g->sender.connected,
        .source_connected = g->source_connected,
        .stopping = g->stopping,
    };
    for (int lane = 0; lane < LANES; lane++) {
        view.lanes[lane] = g->committed_lanes[lane];
        view.outbox_bytes[lane] = g->last_batch_out.outbox_bytes[lane];
        view.outbox_rows[lane] = g->last_batch_out.outbox_rows[lane];
        view.sent[lane] = g->sender.lanes[lane].sent;
        view.uplink_rows[lane] = g->sender.handed_rows[lane];
        view.uplink_bytes[lane] = g->sender.handed_bytes[lane];
        view.outbox_age_ms[lane] = pressure_outbox_age_ms(g, (enum lane)lane);
    }
    pressure_view(g, &view);
    return view;
}
