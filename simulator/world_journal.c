/* world_journal: what the gateway gave to the store, block by block, and whether the store still
 * holds it after a restart. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/codec/codec_results.h"
#include "simulator/world_state.h"

static const struct hash_key PLAIN = { 1, 2 };

void journal_begin(struct world *w)
{
    struct world_journal *j = &w->journal;
    struct arena measured = arena_measure();
    (void)engine_init(&w->config->engine, &measured);
    j->engine_bytes = measured.used;
    j->engine_memory = aligned_alloc(ARENA_ALIGN, measured.used);
    assert(j->engine_memory != NULL);
    fold_begin(w);
}

void journal_end(struct world *w)
{
    free(w->journal.engine_memory);
    free(w->journal.bytes);
}

/* --- giving --- */

static void keep_bytes(struct world_journal *j, struct given_block *given, struct text bytes)
{
    if (j->used + bytes.bytes > j->room) {
        j->room = 2 * (j->used + bytes.bytes);
        j->bytes = realloc(j->bytes, j->room);
        assert(j->bytes != NULL);
    }
    given->offset = j->used;
    given->bytes = bytes.bytes;
    if (bytes.bytes > 0)
        memcpy(j->bytes + j->used, bytes.at, bytes.bytes);
    j->used += bytes.bytes;
}

static void keep_row(struct world *w, struct given_block *given, const struct outbox_row *row)
{
    struct results_reader reader;
    assert(row->sequence < WORLD_ROWS_MAX);
    if (row->lane == LANE_ALERTS) {
        w->journal.alerts[row->sequence] = (struct given_row){
            .key = row->key,
            .revision = row->revision,
            .cleared = row->cleared,
            .payload_hash = hash64(PLAIN, row->payload.at, row->payload.bytes) | 1,
        };
        return;
    }
    if (results_open(&reader, row->payload) != 0)
        world_break(w, "A8: lane %d sequence %llu does not read", (int)row->lane,
                    (unsigned long long)row->sequence);
    else if (row->lane == LANE_RESULTS)
        given->results += reader.header.count;
    else
        given->raw += reader.header.count;
}

static struct ledger intake_of(struct ledger l) /* without what is the store's */
{
    l.held = 0;
    memset(l.removed, 0, sizeof l.removed);
    return l;
}

/* A batch that is tried again is the same one. */
static void check_again(struct world *w, const struct batch *batch)
{
    const struct given_block *given = &w->journal.blocks[batch->block];
    struct ledger intake = intake_of(batch->ledger);
    if (batch->journal.bytes != given->bytes ||
        (given->bytes > 0 &&
         memcmp(batch->journal.at, w->journal.bytes + given->offset, given->bytes) != 0) ||
        memcmp(&intake, &given->ledger, sizeof intake) != 0)
        world_break(w, "A4: block %llu is given to the store again, and is another",
                    (unsigned long long)batch->block);
}

void journal_give(struct world *w, const struct batch *batch)
{
    struct world_journal *j = &w->journal;
    assert(batch->block < WORLD_BLOCKS_MAX);
    struct given_block *given = &j->blocks[batch->block];
    if (batch->block <= j->given) {
        check_again(w, batch);
        return;
    }
    if (batch->ledger.shed[SHED_QOS0_OVERLOAD] != w->devices.dropped)
        world_break(w, "A12: block %llu: %llu readings were dropped, the ledger says %llu",
                    (unsigned long long)batch->block, (unsigned long long)w->devices.dropped,
                    (unsigned long long)batch->ledger.shed[SHED_QOS0_OVERLOAD]);
    j->given = batch->block;
    *given = (struct given_block){
        .digest = engine_digest(gateway_view(w->gateway).engine),
        .ledger = intake_of(batch->ledger),
        .readings = batch->readings,
        .letters = batch->letter_count,
    };
    memcpy(given->lanes, batch->lanes, sizeof given->lanes);
    for (int lane = 0; lane < LANES; lane++)
        given->first_row[lane] = batch->lanes[lane].next_sequence;
    for (uint32_t i = batch->row_count; i-- > 0;)
        given->first_row[batch->rows[i].lane] = batch->rows[i].sequence;
    keep_bytes(j, given, batch->journal);
    exchanges_give(w, batch);
    for (uint32_t i = 0; i < batch->row_count; i++)
        keep_row(w, given, &batch->rows[i]);
    if (batch->readings == 0)
        WORLD_COUNT(w, COMMIT_WITHOUT_READINGS);
}

void journal_committed(struct world *w, uint64_t block)
{
    w->journal.committed = block;
    while (w->journal.fold.block < block && !world_broken(w))
        fold_block(w, w->journal.fold.block + 1);
    if (!world_broken(w))
        exchanges_committed(w, block);
}

/* --- what a restart finds --- */

/* What a start tells of lasts from there on, whether anybody had heard of its commit or not. */
static void follow(struct world *w, uint64_t last)
{
    struct world_journal *j = &w->journal;
    if (last < j->committed)
        world_break(w, "A1: block %llu was committed, the store knows %llu",
                    (unsigned long long)j->committed, (unsigned long long)last);
    if (last > j->committed)
        WORLD_COUNT(w, COMMIT_HEARD_OF_AFTER_RESTART);
    journal_committed(w, last);
    j->given = last;
}

static void check_gone(struct world *w, const struct store_recovery *recovery, uint64_t number)
{
    if (w->journal.blocks[number].bytes == 0)
        return; /* it had no records */
    bool behind = recovery->first_block != 0 && number > recovery->first_block;
    if (number > recovery->checkpoint_block || behind)
        world_break(w, "A4: block %llu is gone, and the state is built from block %llu on",
                    (unsigned long long)number, (unsigned long long)recovery->checkpoint_block + 1);
    WORLD_COUNT(w, JOURNAL_PRUNED);
}

static void check_same(struct world *w, uint64_t number, size_t bytes)
{
    const struct given_block *given = &w->journal.blocks[number];
    if (bytes != given->bytes ||
        memcmp(w->fold.block, w->journal.bytes + given->offset, bytes) != 0)
        world_break(w, "A1: block %llu is not as it was given to the store",
                    (unsigned long long)number);
}

static void check_blocks(struct world *w, const struct store_recovery *recovery)
{
    uint64_t held = 0;
    for (uint64_t from = 1; from <= recovery->last_block && !world_broken(w); from++) {
        uint64_t number;
        size_t bytes;
        int error =
            store_block_read(w->store, from, w->fold.block, w->fold.block_bytes, &number, &bytes);
        if (error != 0)
            world_break(w, "A1: journal from block %llu: %s", (unsigned long long)from,
                        weir_err_text(error));
        uint64_t end = number == 0 ? recovery->last_block + 1 : number;
        for (; from < end; from++)
            check_gone(w, recovery, from);
        if (error != 0 || number == 0)
            break;
        check_same(w, number, bytes);
        held += w->journal.blocks[number].readings;
    }
    if (held != recovery->ledger.held)
        world_break(w, "A3: the ledger says %llu readings are held, the journal has %llu",
                    (unsigned long long)recovery->ledger.held, (unsigned long long)held);
}

static void check_head(struct world *w, const struct store_recovery *recovery)
{
    const struct given_block *given = &w->journal.blocks[recovery->last_block];
    struct ledger intake = intake_of(recovery->ledger);
    if (!ledger_balances(&recovery->ledger))
        world_break(w, "A3: the ledger does not balance");
    if (recovery->last_block == 0)
        return;
    if (memcmp(&intake, &given->ledger, sizeof intake) != 0)
        world_break(w, "A3: the ledger is not the one that block %llu was committed with",
                    (unsigned long long)recovery->last_block);
    if (memcmp(recovery->lanes, given->lanes, sizeof given->lanes) != 0)
        world_break(w, "A5: the lanes stand elsewhere than block %llu left them",
                    (unsigned long long)recovery->last_block);
}

void journal_check(struct world *w, const struct store_recovery *recovery)
{
    follow(w, recovery->last_block);
    w->devices.dropped = recovery->ledger.shed[SHED_QOS0_OVERLOAD];
    if (!world_broken(w))
        check_head(w, recovery);
    if (!world_broken(w))
        check_blocks(w, recovery);
    const struct world_devices *d = &w->devices;
    const struct world_fold *f = &w->journal.fold;
    if (f->rejects < d->acknowledged_bad || f->letters < d->acknowledged_letters)
        world_break(w, "A1: %llu bad readings in %llu messages were acknowledged, there are %llu "
                    "rejects and %llu dead letters", (unsigned long long)d->acknowledged_bad,
                    (unsigned long long)d->acknowledged_letters, (unsigned long long)f->rejects,
                    (unsigned long long)f->letters);
}
