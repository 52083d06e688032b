/* Checkpoints that are kept beside the two that a start needs, one a day, so that a replay need not
 * begin at the journal's first block. A kept one stays where its slot wrote it, and the slot moves
 * to another place: nothing is copied. What goes is marked first and removed a bounded piece a
 * commit. */
#include <assert.h>

#include "storage/store_internal.h"

enum { PURGE_PIECES = 16 /* 1 MiB a commit */, ROWS_MAX = 2 * STORE_DAILY_MAX };

/* Newest first; their number, or an error. */
int daily_read(struct store *s, struct daily rows[ROWS_MAX])
{
    int count = 0;
    int row = sql_next(s, SQL_DAILY_READ);
    for (; row == 1 && count < ROWS_MAX; row = sql_next(s, SQL_DAILY_READ))
        rows[count++] = (struct daily){
            .place = (uint32_t)sql_column(s, SQL_DAILY_READ, 0),
            .block = (uint64_t)sql_column(s, SQL_DAILY_READ, 1),
            .t_ms = sql_column(s, SQL_DAILY_READ, 2),
            .wall_ms = sql_column(s, SQL_DAILY_READ, 3),
            .bytes = (uint32_t)sql_column(s, SQL_DAILY_READ, 4),
            .crc = (uint32_t)sql_column(s, SQL_DAILY_READ, 5),
            .going = sql_column(s, SQL_DAILY_READ, 6) != 0,
        };
    if (row == 1)
        sql_end(s, SQL_DAILY_READ);
    return row < 0 ? row : count;
}

static bool is_of_a_slot(const struct store *s, uint32_t place)
{
    return s->next.slots[0].place == place || s->next.slots[1].place == place;
}

int daily_newest(struct store *s, int64_t *t_ms)
{
    struct daily rows[ROWS_MAX];
    int count = daily_read(s, rows);
    *t_ms = 0;
    s->daily_count = count > 0 ? (uint32_t)count : 0;
    for (int i = 0; i < count && *t_ms == 0; i++)
        *t_ms = rows[i].going ? 0 : rows[i].t_ms;
    return count < 0 ? count : 0;
}

int daily_place(struct store *s, int slot)
{
    struct daily rows[ROWS_MAX];
    uint32_t other = s->next.slots[1 - slot].place, own = s->next.slots[slot].place;
    int count = daily_read(s, rows);
    bool kept = false;
    for (int i = 0; i < count; i++)
        kept = kept || rows[i].place == own;
    if (count < 0 || !kept)
        return count < 0 ? count : (int)own;
    for (uint32_t place = 0;; place++) {
        bool taken = place == other;
        for (int i = 0; i < count; i++)
            taken = taken || rows[i].place == place;
        if (!taken)
            return (int)place;
    }
}

int daily_keep(struct store *s, const struct checkpoint_slot *slot, int64_t t_ms)
{
    struct daily rows[ROWS_MAX];
    int count = daily_read(s, rows);
    bool fits = slot->total_bytes <= s->config.daily_bytes_max;
    if (count < 0 || count == ROWS_MAX || s->config.daily_max == 0 || !fits)
        return count < 0 ? count : 0;
    const int64_t values[] = { slot->place, (int64_t)slot->block, t_ms, slot->wall_ms,
                               slot->total_bytes, slot->crc };
    for (int i = 0; i < 6; i++)
        sql_i64(s, SQL_DAILY_INSERT, i + 1, values[i]);
    s->daily_settled = false;
    return sql_run(s, SQL_DAILY_INSERT);
}

/* --- going --- */

static int run_on(struct store *s, enum sql q, uint32_t place)
{
    sql_i64(s, q, 1, place);
    return sql_run(s, q);
}

/* A bounded piece of one that goes, and its row behind the last. How many pieces, or an error. */
static int purge(struct store *s, uint32_t place, int pieces_max)
{
    int64_t left = 0;
    if (is_of_a_slot(s, place)) /* they are its pieces now */
        return run_on(s, SQL_DAILY_DELETE, place);
    checkpoint_bind_place(s, SQL_PIECE_COUNT, place);
    int row = sql_one(s, SQL_PIECE_COUNT, &left);
    if (row < 0)
        return row;
    checkpoint_bind_place(s, SQL_PIECE_PURGE, place);
    sql_i64(s, SQL_PIECE_PURGE, 3, pieces_max);
    int err = sql_run(s, SQL_PIECE_PURGE);
    if (err == 0 && left <= pieces_max)
        err = run_on(s, SQL_DAILY_DELETE, place);
    return err != 0 ? err : left < pieces_max ? (int)left : pieces_max;
}

/* Of those that are marked, so many pieces at most, oldest first. */
static int purge_marked(struct store *s, struct daily *rows, int count, int pieces_max)
{
    int went = 0;
    for (int i = count; i-- > 0 && went < pieces_max;) {
        if (!rows[i].going)
            continue;
        int pieces = purge(s, rows[i].place, pieces_max - went);
        if (pieces < 0)
            return pieces;
        went += pieces;
    }
    return went;
}

static int mark(struct store *s, struct daily *row)
{
    row->going = true;
    return run_on(s, SQL_DAILY_MARK, row->place);
}

static bool may_stay(const struct store *s, const struct daily *row, uint32_t count, uint64_t bytes)
{
    const struct store_config *c = &s->config;
    return count < c->daily_max && bytes + row->bytes <= c->daily_bytes_max &&
           row->t_ms >= s->next.t_ms - c->daily_age_max_ms && row->block >= s->next.pruned;
}

int daily_retain(struct store *s)
{
    struct daily rows[ROWS_MAX];
    uint32_t stay = 0;
    uint64_t bytes = 0;
    bool marked = false;
    int count = daily_read(s, rows), err = 0;
    for (int i = 0; i < count && err == 0; i++) {
        if (!rows[i].going && may_stay(s, &rows[i], stay, bytes)) {
            stay++;
            bytes += rows[i].bytes;
            continue;
        }
        marked = true;
        if (!rows[i].going)
            err = mark(s, &rows[i]);
    }
    if (count < 0 || err != 0)
        return count < 0 ? count : err;
    s->daily_settled = !marked;
    s->daily_count = (uint32_t)count;
    int went = purge_marked(s, rows, count, PURGE_PIECES);
    return went < 0 ? went : 0;
}

int daily_drop(struct store *s, int pieces_max)
{
    struct daily rows[ROWS_MAX];
    int count = s->daily_count > 0 ? daily_read(s, rows) : 0, went = 0;
    for (int i = count; i-- > 0 && went == 0;) {
        int err = rows[i].going ? 0 : mark(s, &rows[i]);
        went = err != 0 ? err : purge(s, rows[i].place, pieces_max);
    }
    s->daily_settled = false;
    return count < 0 ? count : went;
}

/* --- looking --- */

static int add_slot(const struct checkpoint_slot *slot, struct checkpoint_place *to)
{
    if (!slot->valid)
        return 0;
    *to = (struct checkpoint_place){ slot->block, slot->total_bytes, slot->wall_ms };
    return 1;
}

int store_checkpoints(struct store *s, struct checkpoint_place places[STORE_CHECKPOINTS_MAX],
                      uint32_t *count)
{
    struct daily rows[ROWS_MAX];
    *count = 0;
    int err = store_ready(s);
    int newest = checkpoint_newest(&s->state);
    int held = err == 0 ? daily_read(s, rows) : err;
    if (held < 0)
        return held;
    for (int i = 0; newest >= 0 && i < 2; i++)
        *count += (uint32_t)add_slot(&s->state.slots[i == 0 ? newest : 1 - newest],
                                     &places[*count]);
    for (int i = 0; i < held; i++) {
        bool known = false;
        for (uint32_t k = 0; k < *count; k++)
            known = known || places[k].block == rows[i].block;
        if (!known && !rows[i].going && rows[i].block >= s->state.pruned)
            places[(*count)++] =
                (struct checkpoint_place){ rows[i].block, rows[i].bytes, rows[i].wall_ms };
    }
    return 0;
}

int store_checkpoint_read_at(struct store *s, const struct checkpoint_place *place, uint8_t *to,
                             size_t room)
{
    struct daily rows[ROWS_MAX];
    int err = store_ready(s);
    for (int i = 0; err == 0 && i < 2; i++)
        if (s->state.slots[i].valid && s->state.slots[i].block == place->block)
            return checkpoint_read(s, &s->state.slots[i], to, room);
    int held = err == 0 ? daily_read(s, rows) : err;
    for (int i = 0; i < held; i++)
        if (rows[i].block == place->block && !rows[i].going)
            return checkpoint_read(s, &(struct checkpoint_slot){ .total_bytes = rows[i].bytes,
                                                                 .crc = rows[i].crc,
                                                                 .place = rows[i].place },
                                   to, room);
    return held < 0 ? held : WEIR_ENOTFOUND;
}
