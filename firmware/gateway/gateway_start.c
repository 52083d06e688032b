/* gateway_start: memory, and all that a start takes up again, says to people and journals, around
 * the state that gateway_fold.c rebuilds. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/checkpoint_form.h"
#include "firmware/gateway/gateway_state.h"

enum { FOLD_NS_ASSUMED = 2000, FOLD_READINGS_MIN = 10000 /* to measure by */ };

struct parts { /* the sizes that only depend on the configuration */
    struct fill_limits limits;
    size_t shadow_bytes;
};

static struct parts parts_of(const struct config *config)
{
    return (struct parts){
        .limits = fill_limits_of(config),
        .shadow_bytes = checkpoint_bytes_max(config),
    };
}

static void take_decoder(struct decoder *d, const struct config *config,
                         const struct json_memory *json, struct arena *arena)
{
    size_t extra = (size_t)config->json.payload_bytes * 2 + 4096;
    *d = (struct decoder){
        .memory = *json,
        .limits = config->json,
        .readings = arena_take(arena, config->json.readings, sizeof *d->readings),
        .extra = arena_take(arena, extra, 1),
        .extra_bytes = extra,
    };
}

static void take_batches(struct gateway *g, const struct parts *p, struct arena *arena)
{
    g->limits = p->limits;
    fill_init(&g->fills[0], g->config, &p->limits, arena);
    fill_init(&g->fills[1], g->config, &p->limits, arena);
    g->checkpoint.shadow = arena_take(arena, p->shadow_bytes, 1);
    g->checkpoint.shadow_bytes_max = p->shadow_bytes;
    g->sender.fetch.to = arena_take(arena, GATEWAY_FETCH_BYTES, 1);
    g->sender.fetch.rows = arena_take(arena, GATEWAY_FETCH_ROWS, sizeof(struct outbox_row));
}

void start_print_digest(struct gateway *g)
{
    /* the one before may be in a batch that is being committed */
    g->digest_at = 1 - g->digest_at;
    for (int i = 0; i < 32; i++)
        (void)snprintf(g->config_digest_hex[g->digest_at] + 2 * i, 3, "%02x", g->config->digest[i]);
}

struct gateway *gateway_init(const struct config *config, const struct gateway_ports *ports,
                             const struct json_memory *json, struct arena *arena)
{
    static const struct json_memory nothing = { 0 };
    struct gateway measured; /* takes the same steps when there is no memory yet */
    struct gateway *g = arena_take(arena, 1, sizeof *g);
    bool measuring = g == NULL;
    struct gateway *to = measuring ? &measured : g;
    struct parts p = parts_of(config);
    *to = (struct gateway){ .config = config, .failing_since_mono_ms = INT64_MAX,
                            .corrections = { .t_ms = -60000 } }; /* a minute's may come at once */
    if (ports != NULL)
        to->ports = *ports;
    size_t engine_at = arena->used;
    to->engine = engine_init(&config->engine, arena);
    to->engine_used = arena->used - engine_at;
    (void)arena_take(arena, (size_t)config->reload_bytes, 1);
    to->engine_bytes = arena->used - engine_at;
    to->engine_memory = measuring ? NULL : arena->at + engine_at;
    to->inventory = inventory_init(config->inventory_max, arena);
    take_decoder(&to->decoder, config, json != NULL ? json : &nothing, arena);
    to->admissions = arena_take(arena, config->json.readings, sizeof *to->admissions);
    to->carried.bytes = arena_take(arena, TOPIC_BYTES_MAX + (size_t)config->json.payload_bytes, 1);
    redact_init(&to->redacted, config, arena);
    receipts_init(&to->receipts, config, arena);
    letters_init(&to->letters, config, arena);
    take_batches(to, &p, arena);
    if (measuring)
        return NULL;
    g->filling = &g->fills[0];
    g->out = fill_engine_out(g);
    shed_init(&g->shed);
    g->pressure.commit_begun_ms = INT64_MAX;
    start_print_digest(g);
    return g;
}

static uint32_t add_line(struct budget_line *lines, uint32_t count, uint32_t max,
                         const char *module, uint64_t bytes)
{
    if (count < max)
        lines[count++] = (struct budget_line){ .module = module, .bytes = bytes };
    return count;
}

uint32_t gateway_budget(const struct config *config, struct budget_line *lines, uint32_t max)
{
    struct arena engine = arena_measure(), batches = arena_measure(), decoder = arena_measure();
    struct arena inventory = arena_measure(), whole = arena_measure();
    struct gateway probe = { .config = config };
    struct decoder d;
    struct parts p = parts_of(config);
    static const struct json_memory nothing = { 0 };
    (void)engine_init(&config->engine, &engine);
    (void)arena_take(&engine, (size_t)config->reload_bytes, 1);
    (void)inventory_init(config->inventory_max, &inventory);
    take_decoder(&d, config, &nothing, &decoder);
    take_batches(&probe, &p, &batches);
    (void)gateway_init(config, NULL, NULL, &whole);
    uint64_t known = engine.used + inventory.used + decoder.used + batches.used;
    uint32_t n = 0;
    n = add_line(lines, n, max, "devices, series, windows, detectors, alerts", engine.used);
    n = add_line(lines, n, max, "two batches and the checkpoint's copy", batches.used);
    n = add_line(lines, n, max, "JSON decoder", decoder.used + config->json_arena_bytes);
    n = add_line(lines, n, max, "inventory", inventory.used);
    n = add_line(lines, n, max, "gateway", whole.used - known);
    n = add_line(lines, n, max, "configuration, and two to reload", 3 * sizeof(struct config));
    return n;
}

/* Streams by name: what they held is told no more. */
void start_tell_reset(struct gateway *g, uint32_t reset)
{
    const struct stream_set *set = &g->config->engine.streams;
    uint64_t changed = engine_changed_streams(g->engine);
    char text[STREAMS_MAX * (READING_NAME_BYTES_MAX + 2) + 64] = "what they define starts empty";
    size_t used = strlen(text);
    const char *before = "; streams: ";
    if (reset == 0)
        return;
    for (uint32_t i = 0; i < set->count; i++) {
        if ((changed >> i & 1) == 0)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", before,
                                 set->plans[i].config->name); /* all of them fit */
        before = ", ";
    }
    g->ports.log(g->ports.ctx, "definitions_changed", text);
}

void start_engine_anew(struct gateway *g, const struct config *config)
{
    memset(g->engine_memory, 0, g->engine_used);
    struct arena again = arena_over(g->engine_memory, g->engine_bytes);
    g->engine = engine_init(&config->engine, &again);
    g->engine_used = again.used;
    g->steps_from = 0;
}

/* --- recovery ------------------------------------------------------------------------------------
 * */

static void adopt(struct gateway *g, const struct store_recovery *recovery, struct hal_time now)
{
    g->store_id[0] = recovery->store_id[0];
    g->store_id[1] = recovery->store_id[1];
    g->set_aside = recovery->last_block == 0 ? recovery->set_aside : 0;
    g->ledger = g->committed = recovery->ledger;
    g->last_block = g->committed_block = recovery->last_block;
    memcpy(g->lanes, recovery->lanes, sizeof g->lanes);
    memcpy(g->committed_lanes, recovery->lanes, sizeof g->committed_lanes);
    for (int lane = 0; lane < LANES; lane++)
        g->sender.lanes[lane].first = recovery->first_sequence[lane];
    g->t_ms = g->t_base_ms = recovery->t_ms;
    g->mono_base_ms = now.mono_ms;
    g->started_ms = g->t_ms;
    g->clock = (struct clock_record){ .offset_ms = recovery->wall_ms - g->t_ms };
    g->now = now;
    g->checkpoint.fold_ns_per_reading = FOLD_NS_ASSUMED;
    g->checkpoint.daily_t_ms = recovery->daily_t_ms;
}

/* Without a checkpoint the state is what is left of the journal. Where that does not begin with the
 * first block, the rest is gone: another checkpoint is taken at once, and people are told in the
 * first turn, which finds out what time it is. */
static void note_loss(struct gateway *g, const struct store_recovery *recovery)
{
    if (recovery->last_block == 0 || recovery->first_block == 1)
        return;
    bool empty = recovery->first_block == 0;
    g->state_from = empty ? recovery->last_block + 1 : recovery->first_block;
    g->checkpoint.wanted = true;
}

void start_tell_loss(struct gateway *g)
{
    char message[256];
    if (g->state_from == 0 || !fill_has_step_room(g, g->filling))
        return;
    (void)snprintf(message, sizeof message,
                   "no checkpoint could be read: what was learnt and known before block %llu is "
                   "gone, and what was raised before it and not cleared will not be cleared",
                   (unsigned long long)g->state_from);
    struct envelope_fact fact = { "first_block", (double)g->state_from };
    g->state_from = 0;
    fill_notice(g, "state_lost", &(struct notice){ message, NULL, &fact, 1 });
}

/* What the pipeline must know before the first reading: the configuration, and that no source is
 * connected. */
static void journal_start(struct gateway *g)
{
    struct record config = {
        .kind = RECORD_CONFIG,
        .t_ms = g->t_ms,
        .digest = { (const char *)g->config->digest, 32 },
        .content = { g->config->text, g->config->text_bytes },
    };
    fill_append(g, &config);
    engine_apply(g->engine, &config, &g->out);
    g->filling->made_wanted = true;
    pressure_start(g);
    for (uint32_t source = 0; source < g->config->source_count; source++)
        gateway_on_source(g, source, false);
}

/* The first batch tells the store by which numbers it and what follows are written, unless it knows
 * that. */
static int note_numbering(struct gateway *g, struct store *store,
                          const struct store_recovery *recovery)
{
    uint8_t packed[NUMBERING_BYTES_MAX];
    struct numbering numbering;
    uint64_t from = 0;
    size_t bytes = 0;
    int error =
        store_numbering_read(store, recovery->last_block, packed, sizeof packed, &from, &bytes);
    if (error != 0 && error != WEIR_EFULL)
        return error;
    numbering_of(g->config, &numbering);
    struct text now = numbering_pack(&numbering, g->numbering);
    bool same = error == 0 && bytes == now.bytes && memcmp(packed, now.at, bytes) == 0;
    if (!same)
        g->numbering_told = now;
    return 0;
}

int gateway_recover(struct gateway *g, struct store *store, const struct store_recovery *recovery,
                    struct hal_time now, struct fold_memory memory, char *why)
{
    struct folded folded;
    adopt(g, recovery, now);
    assert(g->config->engine.store.k0 == recovery->store_id[0]);
    assert(g->config->engine.store.k1 == recovery->store_id[1]);
    int error = fold_state(g, store, memory, recovery->last_block, &folded, why);
    if (error == 0)
        error = receipts_load(g, store);
    if (error == 0)
        error = note_numbering(g, store, recovery);
    if (error != 0)
        return error;
    if (folded.block == 0)
        note_loss(g, recovery);
    g->checkpoint.readings_since = folded.readings;
    g->checkpoint.journal_bytes_since = folded.bytes;
    fill_reset(g, g->filling);
    journal_start(g);
    letters_start(g);
    return 0;
}

void gateway_on_recovered(struct gateway *g, int64_t took_ms)
{
    uint64_t readings = g->checkpoint.readings_since;
    g->recovered_in_ms = took_ms;
    if (readings >= FOLD_READINGS_MIN && took_ms > 0)
        g->checkpoint.fold_ns_per_reading = (uint64_t)took_ms * 1000000 / readings;
}

void gateway_accept_contracts(struct gateway *g)
{
    g->filling->batch.contracts = g->config->contracts;
    g->filling->batch.contract_count = g->config->contract_count;
    fill_open(g);
}
