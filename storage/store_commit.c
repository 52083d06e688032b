#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>

#include "pipeline/contract.h"
#include "storage/store_internal.h"

/* --- transactions -------------------------------------------------------------------------- */

int store_begin(struct store *s)
{
    s->next = s->state;
    return sql_run(s, SQL_BEGIN);
}

int store_end(struct store *s, int err)
{
    if (err == 0)
        err = sql_run(s, SQL_COMMIT);
    if (err == 0) {
        s->state = s->next;
        return 0;
    }
    char why[STORE_WHY_BYTES];
    memcpy(why, s->why, sizeof why);
    if (!sqlite3_get_autocommit(s->db))
        (void)sql_run(s, SQL_ROLLBACK); /* the first error is the one to tell */
    memcpy(s->why, why, sizeof why);
    for (int lane = 0; lane < LANES; lane++)
        s->evicted[lane] = 0;
    return err;
}

int64_t store_pages_free(struct store *s)
{
    int64_t pages = 0, unused = 0;
    int row = sql_one(s, SQL_PAGES, &pages);
    if (row >= 0)
        row = sql_one(s, SQL_FREE_PAGES, &unused);
    int64_t room = (int64_t)s->pages_max - pages + unused;
    return row < 0 ? row : room > 0 ? room : 0;
}

/* --- one try ------------------------------------------------------------------------------- */

static int64_t pages_for(uint64_t bytes)
{
    return (int64_t)(bytes / (STORE_PAGE_BYTES - 4)) + 2;
}

static int64_t pages_needed(const struct batch *b)
{
    int64_t pages = 8 + pages_for(b->journal.bytes);
    for (uint32_t i = 0; i < b->row_count; i++)
        pages += pages_for(b->rows[i].payload.bytes);
    for (uint32_t i = 0; i < b->letter_count; i++)
        pages += pages_for((uint64_t)b->letters[i].payload.bytes + b->letters[i].topic.bytes +
                           b->letters[i].taken.bytes);
    if (b->checkpoint.bytes.at != NULL)
        pages += pages_for(b->checkpoint.bytes.bytes);
    pages += b->contract_count * pages_for(CONTRACT_BYTES_MAX);
    pages += pages_for(sessions_bytes(b)) + (int64_t)pages_for(b->numbering.bytes);
    pages += 2 * b->letter_change_count;
    for (uint32_t i = 0; i < b->kept_count; i++) /* with its places in two indexes */
        pages += 2 + (int64_t)b->kept[i].body.bytes / STORE_PAGE_BYTES;
    return pages;
}

/* The WAL goes back into the file before it would outgrow its share: random pages then reach the
 * flash once for many commits. */
static int wal_empty(struct store *s)
{
    int logged = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &logged, &moved);
    if (code != SQLITE_OK)
        return store_error(s, code);
    if (logged == moved)
        s->wal_pages = 0;
    return 0;
}

/* What the WAL holds beyond the file's end is never more than half the ballast, so that a full file
 * system leaves a way to empty it; on one that is full already, every commit goes into the file
 * before the next. */
static int wal_make_room(struct store *s, int64_t pages)
{
    uint64_t after = ((uint64_t)s->wal_pages + 2 * (uint64_t)pages) * STORE_FRAME_BYTES;
    int64_t file_pages = 0;

    if (s->wal_pages == 0)
        return 0;
    if (s->disk_full || after > s->config.wal_bytes_max)
        return wal_empty(s);
    int row = sql_one(s, SQL_PAGES, &file_pages);
    if (row < 0)
        return row;
    uint64_t grown = (uint64_t)(file_pages + pages) * STORE_PAGE_BYTES;
    uint64_t half = disk_ballast_half(s);
    return half > 0 && grown > disk_file_bytes(s) + half ? wal_empty(s) : 0;
}

static int journal_write(struct store *s, const struct batch *b)
{
    if (b->journal.bytes == 0)
        return 0;
    sql_i64(s, SQL_JOURNAL_INSERT, 1, (int64_t)b->block);
    sql_i64(s, SQL_JOURNAL_INSERT, 2, b->t_ms);
    sql_i64(s, SQL_JOURNAL_INSERT, 3, b->readings);
    if (b->raw_whole) {
        sql_i64(s, SQL_JOURNAL_INSERT, 4, (int64_t)s->state.lanes[LANE_RAW].next_sequence);
        sql_i64(s, SQL_JOURNAL_INSERT, 5, (int64_t)b->lanes[LANE_RAW].next_sequence - 1);
    }
    sql_blob(s, SQL_JOURNAL_INSERT, 6, b->journal);
    s->next.journal_bytes += b->journal.bytes + STORE_ROW_BYTES;
    s->next.ledger.held += b->readings;
    return sql_run(s, SQL_JOURNAL_INSERT);
}

static int remove_first(struct store *s, const struct batch *b, int64_t pages)
{
    /* held small, the file's free pages say nothing about the budget */
    int64_t reserve = s->held_small ? 0 : store_reserve_pages(s);
    int64_t room = s->daily_count > 0 ? store_pages_free(s) : INT64_MAX;
    memcpy(s->next.lanes, b->lanes, sizeof b->lanes);
    int went = room >= 0 && room < pages + reserve ? daily_drop(s, STORE_SLICE_BLOCKS) : 0;
    if (room < 0 || went < 0)
        return room < 0 ? (int)room : went;
    /* where a kept checkpoint makes room, no reading has to */
    int err = retention_journal(s, went > 0 ? 0 : pages + reserve, STORE_SLICE_BLOCKS);
    for (int lane = 0; err == 0 && lane < LANES; lane++)
        err = outbox_drop_covered(s, (enum lane)lane);
    return err;
}

static int outbox_retain(struct store *s, const struct batch *b)
{
    int err = 0;
    for (int lane = 0; err == 0 && lane < LANES; lane++) {
        uint64_t held = s->next.outbox_bytes[lane], most = s->config.outbox_bytes_max[lane];
        if (held > most)
            err = outbox_evict(s, (enum lane)lane, held - most, b->wall_ms);
        if (err == 0)
            err = outbox_evict_old(s, (enum lane)lane, b->wall_ms);
    }
    return err;
}

static int batch_write(struct store *s, const struct batch *b, int64_t pages)
{
    struct ledger kept = s->next.ledger;
    s->next.ledger = b->ledger;
    s->next.ledger.held = kept.held;
    memcpy(s->next.ledger.removed, kept.removed, sizeof kept.removed);
    s->next.block = b->block;
    s->next.t_ms = b->t_ms;
    s->next.wall_ms = b->wall_ms;

    int err = remove_first(s, b, pages);
    if (err == 0)
        err = journal_write(s, b);
    for (uint32_t i = 0; err == 0 && i < b->row_count; i++)
        err = outbox_insert(s, &b->rows[i]);
    for (uint32_t i = 0; err == 0 && i < b->letter_count; i++)
        err = letter_insert(s, &b->letters[i]);
    if (err == 0)
        err = letters_change(s, b);
    if (err == 0)
        err = letters_retain(s, STORE_SLICE_ROWS + b->letter_count);
    if (err == 0)
        err = results_write(s, b);
    if (err == 0)
        err = results_retain(s, STORE_SLICE_ROWS + b->kept_count);
    if (err == 0)
        err = outbox_retain(s, b);
    if (err == 0)
        err = checkpoint_write(s, &b->checkpoint);
    if (err == 0 && (!s->daily_settled || b->checkpoint.bytes.at != NULL))
        err = daily_retain(s);
    if (err == 0)
        err = contracts_write(s, b);
    if (err == 0)
        err = numbering_write(s, b);
    if (err == 0)
        err = sessions_write(s, b);
    return err == 0 ? store_state_write(s) : err;
}

static int commit_once(struct store *s, const struct batch *b)
{
    int64_t pages = pages_needed(b);
    int err = wal_make_room(s, pages);
    if (err != 0)
        return err;
    for (int lane = 0; lane < LANES; lane++)
        s->evicted[lane] = 0;
    s->checkpoint_wanted = false;
    err = store_begin(s);
    return store_end(s, err == 0 ? batch_write(s, b, pages) : err);
}

/* --- a full disk --------------------------------------------------------------------------- */

static int pages_limit(struct store *s, int64_t pages)
{
    char text[64];
    (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)pages);
    int err = store_sql_exec(s, text);
    if (err == 0)
        s->pages_max = (uint32_t)pages;
    return err;
}

/* Refused although the budget has room: then it is the file system. First half of the reserve is
 * given up, for what is under way, and then commits are refused: nothing is removed for a fault
 * that passes. When it lasts, the other half lets the WAL go back into the file and begin again;
 * the file is held at its size, and retention frees pages inside it. 1: something was given up. */
static int file_system_full(struct store *s)
{
    int64_t pages = 0;

    s->disk_full = true;
    if (disk_ballast_halve(s))
        return 1;
    if (!s->removing)
        return 0;
    disk_ballast_release(s);
    int err = wal_empty(s);
    if (err != 0 && err != WEIR_ENOSPC)
        return err;
    int row = sql_one(s, SQL_PAGES, &pages);
    err = row < 0 ? row : pages_limit(s, pages);
    s->held_small = err == 0;
    return err == 0 ? 1 : err;
}

static int let_grow(struct store *s)
{
    s->held_small = false;
    return pages_limit(s, store_pages_max(&s->config));
}

/* The file system is taken for full until a reserve fits again. */
static int ballast_again(struct store *s)
{
    if (!s->disk_full || --s->ballast_wait > 0 || disk_ballast_make(s) != 0)
        return 0;
    s->disk_full = false;
    s->removing = false;
    return let_grow(s);
}

static int commit_with_room(struct store *s, const struct batch *b)
{
    int err = commit_once(s, b);

    if (err == WEIR_ENOSPC) /* nothing acknowledged is removed for a fault that passes */
        err = commit_once(s, b);
    for (int round = 0; err == WEIR_ENOSPC && round < STORE_ROOM_ROUNDS_MAX; round++) {
        int64_t room = store_pages_free(s);
        if (room < 0)
            return (int)room;
        bool budget = s->held_small || room <= 2 * pages_needed(b);
        int freed = budget ? retention_make_room(s, b, 2 * pages_needed(b)) : file_system_full(s);
        if (freed < 0)
            err = freed;
        if (freed <= 0)
            break;
        err = commit_once(s, b);
    }
    if (err == WEIR_ENOSPC && s->held_small) { /* the next try finds out whether it still is full */
        int grows = let_grow(s);
        return grows != 0 ? grows : err;
    }
    return err;
}

/* --- the whole ----------------------------------------------------------------------------- */

static int refuse(struct store *s, const char *what)
{
    return store_fail(s, WEIR_ECORRUPT, "a batch was refused: %s", what);
}

/* A batch that would break an invariant for ever is not let in. */
static int batch_check(struct store *s, const struct batch *b)
{
    struct ledger after = b->ledger;
    uint64_t next[LANES];

    after.held = s->state.ledger.held + b->readings;
    memcpy(after.removed, s->state.ledger.removed, sizeof after.removed);
    if (!ledger_balances(&after))
        return refuse(s, "its ledger does not balance");
    if (b->block != s->state.block + 1)
        return refuse(s, "its block does not follow the last one");
    if (b->readings > 0 && b->journal.bytes == 0)
        return refuse(s, "it counts readings without a block");
    for (int lane = 0; lane < LANES; lane++)
        next[lane] = s->state.lanes[lane].next_sequence;
    for (uint32_t i = 0; i < b->row_count; i++)
        if ((int)b->rows[i].lane >= LANES || b->rows[i].sequence != next[b->rows[i].lane]++)
            return refuse(s, "a row's sequence does not follow the last one");
    for (int lane = 0; lane < LANES; lane++)
        if (b->lanes[lane].next_sequence != next[lane] || b->lanes[lane].covered >= next[lane] ||
            b->lanes[lane].covered < s->state.lanes[lane].covered)
            return refuse(s, "a lane's cursor is not where its rows are");
    return 0;
}

static int batch_fill(struct store *s, struct batch *b)
{
    b->held = s->state.ledger.held;
    memcpy(b->removed, s->state.ledger.removed, sizeof b->removed);
    b->wal_bytes = disk_wal_bytes(s);
    b->disk_bytes = disk_file_bytes(s) + b->wal_bytes + s->ballast_bytes;
    b->checkpoint_wanted = s->checkpoint_wanted;
    b->table_bytes = s->state.table_bytes;
    b->table_rows = s->state.table_rows;
    b->daily_count = s->daily_count;
    for (int lane = 0; lane < LANES; lane++) {
        b->outbox_bytes[lane] = s->state.outbox_bytes[lane];
        b->outbox_rows[lane] = s->state.outbox_rows[lane];
        b->evicted[lane] = s->evicted[lane];
        int err = outbox_first(s, (enum lane)lane, &b->first_sequence[lane], &b->first_t_ms[lane]);
        if (err != 0)
            return err;
    }
    return 0;
}

static int64_t now_us(const struct store *s)
{
    struct timespec now;
    if (s->config.vfs != NULL || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int store_commit(struct store *s, struct batch *b)
{
    int64_t begun_us = now_us(s);
    int err = store_ready(s);

    if (err != 0)
        return err;
    if (b->envelope != NULL)
        s->envelope = *b->envelope;
    if (b->shares != NULL) {
        s->config.journal_bytes_max = b->shares->journal_bytes_max;
        s->config.table_bytes_max = b->shares->table_bytes_max;
    }
    s->removing = s->removing || (b->may_remove && s->disk_full);
    if (b->block > s->state.block) {
        err = batch_check(s, b);
        if (err == 0)
            err = ballast_again(s);
        if (err == 0)
            err = commit_with_room(s, b);
        if (err != 0)
            return err;
    }
    err = batch_fill(s, b);
    b->commit_us = now_us(s) - begun_us;
    return err;
}
