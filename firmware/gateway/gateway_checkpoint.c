/* gateway_checkpoint: a copy of the state, taken between two turns and written a piece a commit.
 * The copy is as of the block that is being sealed; the marker goes with the last piece, so a slot
 * is whole or not there. The first of each day that the gateway runs is kept for replays. */
#include <assert.h>

#include "firmware/gateway/checkpoint_form.h"
#include "firmware/gateway/gateway_state.h"

enum { CHECKPOINT_JOURNAL_RATIO = 4, DAY_MS = 86400000 };

/* Half of recovery.max: until this copy is on disk a fold begins at the one before, and the machine
 * may be busier then. */
static bool grown_enough(const struct gateway *g)
{
    const struct checkpointer *c = &g->checkpoint;
    uint64_t fold_ms = c->readings_since * c->fold_ns_per_reading / 1000000;
    uint64_t size = c->total_bytes > 0 ? c->total_bytes : STORE_PIECE_BYTES;
    return c->journal_bytes_since > CHECKPOINT_JOURNAL_RATIO * size ||
           fold_ms > (uint64_t)g->config->recovery_max_ms / 2;
}

/* Days of pipeline time, which no clock turns back. */
static bool day_is_over(const struct gateway *g)
{
    return g->config->store.daily_max > 0 && g->t_ms / DAY_MS > g->checkpoint.daily_t_ms / DAY_MS;
}

bool checkpoint_due(const struct gateway *g)
{
    return g->checkpoint.active || g->checkpoint.wanted;
}

static void take_copy(struct gateway *g, uint64_t block)
{
    struct checkpointer *c = &g->checkpoint;
    struct byte_writer w = { .at = c->shadow, .bytes = c->shadow_bytes_max };
    engine_save(g->engine, &w);
    checkpoint_put_config(&w, g->config, checkpoint_bytes_max(g->config));
    assert(!w.failed);
    c->active = true;
    c->wanted = false;
    c->block = block;
    c->total_bytes = (uint32_t)w.used;
    c->offset = 0;
    c->journal_bytes_since = 0;
    c->readings_since = 0;
    c->t_ms = g->t_ms;
    c->wall_ms = gateway_wall_ms(g);
    c->daily = day_is_over(g);
    if (c->daily)
        c->daily_t_ms = g->t_ms;
}

void checkpoint_at_seal(struct gateway *g, struct batch *batch)
{
    struct checkpointer *c = &g->checkpoint;
    c->journal_bytes_since += batch->journal.bytes;
    if (!c->active && (c->wanted || grown_enough(g) || day_is_over(g)))
        take_copy(g, batch->block);
    if (!c->active)
        return;
    uint32_t left = c->total_bytes - c->offset;
    uint32_t bytes = left < STORE_PIECE_BYTES ? left : STORE_PIECE_BYTES;
    batch->checkpoint = (struct checkpoint_piece){
        .block = c->block,
        .offset = c->offset,
        .total_bytes = c->total_bytes,
        .bytes = { (const char *)c->shadow + c->offset, bytes },
        .t_ms = c->t_ms,
        .wall_ms = c->wall_ms,
        .daily = c->daily,
        .last = bytes == left,
    };
}

void checkpoint_on_committed(struct gateway *g, const struct batch *batch)
{
    struct checkpointer *c = &g->checkpoint;
    if (batch->checkpoint.bytes.at == NULL)
        return;
    assert(c->active && batch->checkpoint.offset == c->offset);
    c->offset += batch->checkpoint.bytes.bytes;
    if (batch->checkpoint.last)
        c->active = false;
}
