#include <assert.h>
#include <stdio.h>

#include "storage/store_internal.h"

enum { KEY_BYTES = 16, ALERT_SLICES = 8, COVERED_SLICES = 4 };

struct slice_row {
    uint64_t sequence, bytes;
    uint64_t from;    /* first sequence that the row stands for; its own, unless it is a gap */
    int64_t t_ms;
    bool gap, cleared, keyed;
    bool superseded;  /* a later revision of the same alert is held */
};

static int64_t row_key(enum lane lane, uint64_t sequence)
{
    assert(sequence < (uint64_t)1 << 56);
    return (int64_t)((uint64_t)lane << 56 | sequence);
}

static uint64_t row_sequence(int64_t key)
{
    return (uint64_t)key & (((uint64_t)1 << 56) - 1);
}

/* --- writing ------------------------------------------------------------------------------- */

static void key_put(const struct hash128 *key, uint8_t bytes[KEY_BYTES])
{
    struct byte_writer w = { bytes, KEY_BYTES, 0, false };
    put_u64(&w, key->low);
    put_u64(&w, key->high);
}

/* `gap_from` 0: an ordinary row */
static int row_write(struct store *s, const struct outbox_row *row, uint64_t gap_from)
{
    uint8_t key[KEY_BYTES];
    struct text payload = row->payload;
    bool keyed = row->key.low != 0 || row->key.high != 0;
    /* An event is the same JSON in every lane: its receiver tells it from a batch by its first
     * byte. */
    bool packed = row->lane != LANE_ALERTS && (payload.bytes == 0 || payload.at[0] != '{');
    int err = packed ? store_deflate(s, row->payload, &payload) : 0;

    if (err != 0)
        return err;
    sql_i64(s, SQL_OUTBOX_INSERT, 1, row_key(row->lane, row->sequence));
    sql_i64(s, SQL_OUTBOX_INSERT, 2, row->t_ms);
    sql_i64(s, SQL_OUTBOX_INSERT, 3, row->revision);
    sql_i64(s, SQL_OUTBOX_INSERT, 4, row->cleared);
    sql_i64(s, SQL_OUTBOX_INSERT, 5, (int64_t)gap_from);
    if (keyed) {
        key_put(&row->key, key);
        sql_blob(s, SQL_OUTBOX_INSERT, 6, (struct text){ (const char *)key, KEY_BYTES });
    }
    sql_blob(s, SQL_OUTBOX_INSERT, 7, payload);
    err = sql_run(s, SQL_OUTBOX_INSERT);
    if (err == 0 && keyed) {
        sql_blob(s, SQL_ALERT_NEWEST, 1, (struct text){ (const char *)key, KEY_BYTES });
        sql_i64(s, SQL_ALERT_NEWEST, 2, row_key(row->lane, row->sequence));
        err = sql_run(s, SQL_ALERT_NEWEST);
    }
    s->next.outbox_rows[row->lane]++;
    s->next.outbox_bytes[row->lane] += payload.bytes + STORE_ROW_BYTES;
    return err;
}

int outbox_insert(struct store *s, const struct outbox_row *row)
{
    return row_write(s, row, 0);
}

int outbox_gap(struct store *s, enum lane lane, uint64_t from, uint64_t to, const char *reason,
               int64_t wall_ms)
{
    char text[ENVELOPE_EVENT_BYTES_MAX];
    struct text payload = envelope_gap(&s->envelope, (uint32_t)lane, from, to, reason, wall_ms,
                                       text, sizeof text);
    struct outbox_row row = { .lane = lane, .sequence = to, .t_ms = s->next.t_ms,
                              .payload = payload };

    int err = 0;

    assert(from <= to);
    assert(payload.bytes > 0);
    if (lane == LANE_RAW) {
        sql_i64(s, SQL_RAW_LOST, 1, (int64_t)from);
        sql_i64(s, SQL_RAW_LOST, 2, (int64_t)to);
        err = sql_run(s, SQL_RAW_LOST);
    }
    return err == 0 ? row_write(s, &row, from) : err;
}

int outbox_row_remove(struct store *s, enum lane lane, uint64_t sequence, uint64_t bytes)
{
    int err = 0;
    if (lane == LANE_ALERTS) {
        sql_i64(s, SQL_ALERT_FORGET, 1, row_key(lane, sequence));
        err = sql_run(s, SQL_ALERT_FORGET);
    }
    if (err == 0) {
        sql_i64(s, SQL_OUTBOX_DELETE, 1, row_key(lane, sequence));
        err = sql_run(s, SQL_OUTBOX_DELETE);
    }
    assert(s->next.outbox_rows[lane] > 0);
    assert(s->next.outbox_bytes[lane] >= bytes);
    s->next.outbox_rows[lane]--;
    s->next.outbox_bytes[lane] -= bytes;
    return err;
}

/* --- slices -------------------------------------------------------------------------------- */

/* What rows from..to look like, at most a slice of them; the count, or an error. */
static int slice_read(struct store *s, enum lane lane, uint64_t from, uint64_t to,
                      struct slice_row rows[STORE_SLICE_ROWS])
{
    enum sql q = SQL_OUTBOX_SLICE;
    int count = 0;

    sql_i64(s, q, 1, row_key(lane, from));
    sql_i64(s, q, 2, row_key(lane, to));
    sql_i64(s, q, 3, STORE_SLICE_ROWS);
    int row = sql_next(s, q);
    for (; row == 1; row = sql_next(s, q)) {
        uint64_t sequence = row_sequence(sql_column(s, q, 0));
        uint64_t gap_from = (uint64_t)sql_column(s, q, 2);
        assert(count < STORE_SLICE_ROWS);
        rows[count++] = (struct slice_row){
            .sequence = sequence,
            .bytes = (uint64_t)sql_column(s, q, 1) + STORE_ROW_BYTES,
            .from = gap_from != 0 ? gap_from : sequence,
            .gap = gap_from != 0,
            .cleared = sql_column(s, q, 3) != 0,
            .keyed = sql_column(s, q, 4) != 0,
            .superseded = sql_column(s, q, 5) > sql_column(s, q, 0),
            .t_ms = sql_column(s, q, 6),
        };
    }
    return row < 0 ? row : count;
}

int outbox_drop_covered(struct store *s, enum lane lane)
{
    struct slice_row rows[STORE_SLICE_ROWS];
    int count = STORE_SLICE_ROWS;

    for (int slice = 0; slice < COVERED_SLICES && count == STORE_SLICE_ROWS; slice++) {
        if (s->next.outbox_rows[lane] == 0 || s->next.lanes[lane].covered == 0)
            return 0;
        count = slice_read(s, lane, 1, s->next.lanes[lane].covered, rows);
        if (count < 0)
            return count;
        for (int i = 0; i < count; i++) {
            int err = outbox_row_remove(s, lane, rows[i].sequence, rows[i].bytes);
            if (err != 0)
                return err;
        }
    }
    return 0;
}

/* --- eviction ------------------------------------------------------------------------------ */

/* Results and raw data: oldest first. Alerts: superseded revisions, and only when a whole pass
 * found none, what is over (cleared, or a notice). An alert that stands is never evicted. */
static bool may_go(const struct store *s, enum lane lane, const struct slice_row *row)
{
    if (row->gap)
        return false;
    if (lane != LANE_ALERTS)
        return true;
    if (!s->alert_pass_cleared)
        return row->superseded;
    return !row->superseded && (row->cleared || !row->keyed);
}

struct eviction {
    uint64_t bytes;     /* still to be freed */
    int64_t older_ms;   /* only rows made before this */
    const char *reason; /* of the gap event */
    int64_t wall_ms;
};

struct run { /* neighbours that one gap event will stand for */
    int first, count;  /* in the slice */
    bool evicts;       /* an old gap alone is left as it is */
};

static int run_end(struct store *s, enum lane lane, const struct slice_row *rows, struct run *run,
                   const struct eviction *e)
{
    int err = 0;
    if (run->evicts) {
        for (int i = run->first; err == 0 && i < run->first + run->count; i++) {
            err = outbox_row_remove(s, lane, rows[i].sequence, rows[i].bytes);
            s->evicted[lane] += rows[i].gap ? 0 : 1;
        }
        if (err == 0)
            err = outbox_gap(s, lane, rows[run->first].from,
                             rows[run->first + run->count - 1].sequence, e->reason, e->wall_ms);
    }
    *run = (struct run){ 0 };
    return err;
}

static int slice_evict(struct store *s, enum lane lane, const struct slice_row *rows, int count,
                       struct eviction *e)
{
    struct run run = { 0 };
    int err = 0;

    for (int i = 0; err == 0 && i < count; i++) {
        bool goes = e->bytes > 0 && rows[i].t_ms < e->older_ms && may_go(s, lane, &rows[i]);
        bool joins = run.count > 0 && rows[i].from == rows[i - 1].sequence + 1;
        if (run.count > 0 && !((goes || rows[i].gap) && joins))
            err = run_end(s, lane, rows, &run, e);
        if (!goes && !rows[i].gap)
            continue;
        if (run.count == 0)
            run.first = i;
        run.count++;
        run.evicts = run.evicts || goes;
        s->alert_pass_found = s->alert_pass_found || (goes && lane == LANE_ALERTS);
        if (goes)
            e->bytes -= rows[i].bytes < e->bytes ? rows[i].bytes : e->bytes;
    }
    return err == 0 ? run_end(s, lane, rows, &run, e) : err;
}

/* The search goes round the lane a bounded piece at a time and stays where it stopped, since what
 * may go can stand anywhere between alerts that may not. */
static int evict_alerts(struct store *s, struct eviction *e)
{
    struct slice_row rows[STORE_SLICE_ROWS];
    uint64_t last = s->next.lanes[LANE_ALERTS].next_sequence;

    for (int slice = 0; slice < ALERT_SLICES && e->bytes > 0; slice++) {
        int count = slice_read(s, LANE_ALERTS, s->alert_scan + 1, last, rows);
        if (count < 0)
            return count;
        int err = slice_evict(s, LANE_ALERTS, rows, count, e);
        if (err != 0)
            return err;
        if (count == STORE_SLICE_ROWS) {
            s->alert_scan = rows[count - 1].sequence;
        } else {
            s->alert_scan = 0;
            s->alert_pass_cleared = !s->alert_pass_cleared && !s->alert_pass_found;
            s->alert_pass_found = false;
        }
    }
    return 0;
}

static int evict_oldest(struct store *s, enum lane lane, struct eviction *e)
{
    struct slice_row rows[STORE_SLICE_ROWS];
    int count = slice_read(s, lane, 1, s->next.lanes[lane].next_sequence, rows);
    return count < 0 ? count : slice_evict(s, lane, rows, count, e);
}

int outbox_evict(struct store *s, enum lane lane, uint64_t bytes, int64_t wall_ms)
{
    struct eviction e = { bytes, INT64_MAX, "outbox_full", wall_ms };
    return lane == LANE_ALERTS ? evict_alerts(s, &e) : evict_oldest(s, lane, &e);
}

int outbox_evict_old(struct store *s, enum lane lane, int64_t wall_ms)
{
    int64_t age_ms = s->config.outbox_age_max_ms[lane], oldest_ms = 0;
    struct eviction e = { UINT64_MAX, s->next.t_ms - age_ms, "outbox_age", wall_ms };

    assert(lane != LANE_ALERTS || age_ms == 0); /* one that stands has no age */
    if (age_ms == 0 || s->next.outbox_rows[lane] == 0)
        return 0;
    sql_i64(s, SQL_OUTBOX_AGE, 1, row_key(lane, 1));
    sql_i64(s, SQL_OUTBOX_AGE, 2, row_key(lane, s->next.lanes[lane].next_sequence));
    int row = sql_one(s, SQL_OUTBOX_AGE, &oldest_ms);
    return row == 1 && oldest_ms < e.older_ms ? evict_oldest(s, lane, &e) : row < 0 ? row : 0;
}

/* --- reading ------------------------------------------------------------------------------- */

int outbox_first(struct store *s, enum lane lane, uint64_t *sequence, int64_t *t_ms)
{
    const struct lane_state *state = &s->state.lanes[lane];

    sql_i64(s, SQL_OUTBOX_FIRST, 1, row_key(lane, state->covered + 1));
    sql_i64(s, SQL_OUTBOX_FIRST, 2, row_key(lane, state->next_sequence));
    *sequence = state->next_sequence;
    *t_ms = s->state.t_ms;
    int row = sql_next(s, SQL_OUTBOX_FIRST);
    if (row != 1)
        return row;
    *sequence = row_sequence(sql_column(s, SQL_OUTBOX_FIRST, 0));
    *t_ms = sql_column(s, SQL_OUTBOX_FIRST, 1);
    sql_end(s, SQL_OUTBOX_FIRST);
    return 0;
}

static bool row_take(struct store *s, enum lane lane, struct byte_writer *w, struct outbox_row *row)
{
    enum sql q = SQL_OUTBOX_READ;
    struct text key = sql_column_bytes(s, q, 4);
    struct byte_reader r = { (const uint8_t *)key.at, key.bytes, 0, false };

    *row = (struct outbox_row){
        .lane = lane,
        .sequence = row_sequence(sql_column(s, q, 0)),
        .t_ms = sql_column(s, q, 1),
        .revision = (uint32_t)sql_column(s, q, 2),
        .cleared = sql_column(s, q, 3) != 0,
    };
    if (key.bytes == KEY_BYTES) {
        row->key.low = get_u64(&r);
        row->key.high = get_u64(&r);
    }
    struct text payload = sql_column_bytes(s, q, 5);
    row->payload = (struct text){ (const char *)w->at + w->used, payload.bytes };
    put_raw(w, payload.at, payload.bytes);
    return !w->failed;
}

int store_outbox_read(struct store *s, enum lane lane, uint64_t from, uint8_t *to, size_t bytes,
                      struct outbox_row *rows, uint32_t rows_max, uint32_t *count)
{
    struct byte_writer w = { to, bytes, 0, false };

    *count = 0;
    int err = store_ready(s);
    if (err != 0)
        return err;
    const struct lane_state *state = &s->state.lanes[lane];
    uint64_t first = from > state->covered ? from : state->covered + 1;
    if (first >= state->next_sequence)
        return 0;
    sql_i64(s, SQL_OUTBOX_READ, 1, row_key(lane, first));
    sql_i64(s, SQL_OUTBOX_READ, 2, row_key(lane, state->next_sequence));
    while (*count < rows_max) {
        int row = sql_next(s, SQL_OUTBOX_READ);
        if (row != 1)
            return row;
        if (!row_take(s, lane, &w, &rows[*count]))
            break;
        (*count)++;
    }
    sql_end(s, SQL_OUTBOX_READ);
    return *count == 0 && rows_max > 0 ? WEIR_EFULL : 0;
}

/* The entry becomes a dead letter, and a gap event stands in its place, or the receiver would wait
 * for it for ever. */
static int poison(struct store *s, const struct outbox_row *row, const char *why, int64_t wall_ms)
{
    struct dead_letter letter = { .t_ms = row->t_ms, .wall_ms = wall_ms,
                                  .reason = REJECT_UPSTREAM_REFUSED,
                                  .fault_offset = LETTER_NO_OFFSET, .source = text_of("uplink"),
                                  .topic = text_of(why), .payload = row->payload };
    int err = letter_insert(s, &letter);
    if (err == 0)
        err = letters_retain(s, STORE_SLICE_ROWS);
    if (err == 0)
        err = outbox_row_remove(s, row->lane, row->sequence, row->payload.bytes + STORE_ROW_BYTES);
    if (err == 0)
        err = outbox_gap(s, row->lane, row->sequence, row->sequence, "upstream_refused", wall_ms);
    return err == 0 ? store_state_write(s) : err;
}

int store_outbox_poison(struct store *s, enum lane lane, uint64_t sequence, const char *why,
                        int64_t t_ms, int64_t wall_ms)
{
    struct outbox_row row;
    uint32_t count = 0;

    /* what the store reads it into is not in use between two calls */
    int err = store_outbox_read(s, lane, sequence, s->packed, s->packed_bytes, &row, 1, &count);
    if (err != 0)
        return err;
    if (count == 0 || row.sequence != sequence)
        return WEIR_ENOTFOUND;
    row.t_ms = t_ms;
    err = store_begin(s);
    return store_end(s, err == 0 ? poison(s, &row, why, wall_ms) : err);
}
