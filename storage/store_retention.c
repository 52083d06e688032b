#include <assert.h>

#include "storage/store_internal.h"

enum { ROOM_BLOCKS = 64 };

/* Kept free for a checkpoint and for retention's own writing. */
int64_t store_reserve_pages(const struct store *s)
{
    int64_t pages = (int64_t)s->pages_max / 16;
    if (pages < SPACE_RESERVE_PAGES_MIN)
        return SPACE_RESERVE_PAGES_MIN;
    return pages > 1024 ? 1024 : pages;
}

struct block_row {
    uint64_t block, bytes, readings;
    int64_t t_ms;
    uint64_t raw_last; /* through which the raw lane holds all of it; 0: it does not */
    bool forwarded;
};

/* 1: there is one */
static int oldest_block(struct store *s, struct block_row *row)
{
    int found = sql_next(s, SQL_BLOCK_OLDEST);
    if (found != 1)
        return found;
    row->block = (uint64_t)sql_column(s, SQL_BLOCK_OLDEST, 0);
    row->t_ms = sql_column(s, SQL_BLOCK_OLDEST, 1);
    row->readings = (uint64_t)sql_column(s, SQL_BLOCK_OLDEST, 2);
    row->bytes = (uint64_t)sql_column(s, SQL_BLOCK_OLDEST, 3) + STORE_ROW_BYTES;
    row->raw_last = (uint64_t)sql_column(s, SQL_BLOCK_OLDEST, 4);
    bool lost = sql_column(s, SQL_BLOCK_OLDEST, 5) != 0;
    row->forwarded = row->raw_last > 0 && !lost && row->raw_last <= s->next.lanes[LANE_RAW].covered;
    sql_end(s, SQL_BLOCK_OLDEST);
    return 1;
}

static int block_remove(struct store *s, const struct block_row *row, bool aged)
{
    struct ledger *l = &s->next.ledger;
    enum removal why = aged ? REMOVED_AGE_UNFORWARDED : REMOVED_SPACE_UNFORWARDED;

    if (row->forwarded)
        why = aged ? REMOVED_AGE_FORWARDED : REMOVED_SPACE_FORWARDED;
    sql_i64(s, SQL_JOURNAL_DELETE, 1, (int64_t)row->block);
    int err = sql_run(s, SQL_JOURNAL_DELETE);
    if (err == 0 && row->raw_last > 0) {
        sql_i64(s, SQL_RAW_FORGET, 1, (int64_t)row->raw_last);
        err = sql_run(s, SQL_RAW_FORGET);
    }
    if (err != 0)
        return err;
    assert(l->held >= row->readings);
    assert(s->next.journal_bytes >= row->bytes);
    s->next.pruned = row->block;
    l->held -= row->readings;
    l->removed[why] += row->readings;
    s->next.journal_bytes -= row->bytes;
    return 0;
}

int retention_journal(struct store *s, int64_t pages_wanted, uint32_t blocks_max)
{
    const struct store_config *c = &s->config;

    for (uint32_t i = 0; i < blocks_max; i++) {
        struct block_row row;
        int found = oldest_block(s, &row);
        if (found != 1)
            return found;
        int64_t room = store_pages_free(s);
        if (room < 0)
            return (int)room;
        bool aged = c->journal_age_max_ms > 0 && row.t_ms < s->next.t_ms - c->journal_age_max_ms;
        bool crowded = s->next.journal_bytes > c->journal_bytes_max || room < pages_wanted;
        if (!aged && !crowded)
            return 0;
        if (row.block > s->next.prune_limit) {
            s->checkpoint_wanted = crowded;
            return 0;
        }
        int err = block_remove(s, &row, aged);
        if (err != 0)
            return err;
    }
    return 0;
}

/* Kept checkpoints, oldest raw blocks, then dead letters, kept results, raw forwarding, results,
 * and of alerts what may go: each only when those before it have nothing left to give. */
static int remove_next(struct store *s, const struct batch *b, int64_t pages_wanted)
{
    int err = daily_drop(s, STORE_SLICE_ROWS);
    if (err != 0)
        return err < 0 ? err : 0;
    err = retention_journal(s, pages_wanted, ROOM_BLOCKS);
    if (err != 0 || s->next.journal_bytes < s->state.journal_bytes)
        return err;
    if (s->next.letters_rows > 0)
        return letters_drop(s, STORE_SLICE_ROWS);
    if (s->next.table_rows > 0)
        return results_drop(s, STORE_SLICE_ROWS);
    for (int lane = LANE_RAW; lane >= LANE_ALERTS; lane--) {
        uint64_t bytes = (uint64_t)pages_wanted * STORE_PAGE_BYTES;
        err = outbox_evict(s, (enum lane)lane, bytes, b->wall_ms);
        if (err != 0 || s->next.outbox_bytes[lane] < s->state.outbox_bytes[lane])
            return err;
    }
    return 0;
}

int retention_make_room(struct store *s, const struct batch *b, int64_t pages_wanted)
{
    int64_t before = store_pages_free(s);
    if (before < 0)
        return (int)before;
    if (before >= pages_wanted) /* it is not for want of pages: removing would help nobody */
        return 0;
    int err = store_begin(s);
    if (err == 0)
        err = remove_next(s, b, pages_wanted);
    if (err == 0)
        err = store_state_write(s);
    err = store_end(s, err);
    if (err != 0)
        return err;
    int64_t after = store_pages_free(s);
    return after < 0 ? (int)after : after > before;
}

int store_block_read(struct store *s, uint64_t from, uint8_t *to, size_t bytes, uint64_t *number,
                     size_t *used)
{
    *number = 0;
    *used = 0;
    int err = store_ready(s);
    if (err != 0)
        return err;
    sql_i64(s, SQL_BLOCK_READ, 1, (int64_t)from);
    int row = sql_next(s, SQL_BLOCK_READ);
    if (row != 1)
        return row;
    struct text block = sql_column_bytes(s, SQL_BLOCK_READ, 1);
    *number = (uint64_t)sql_column(s, SQL_BLOCK_READ, 0);
    *used = block.bytes;
    if (block.bytes <= bytes)
        memcpy(to, block.at, block.bytes);
    sql_end(s, SQL_BLOCK_READ);
    return block.bytes <= bytes ? 0 : WEIR_EFULL;
}
