#include "simulator/cloud_store.h"

#include <assert.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "pipeline/err.h"

static const char SCHEMA[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;" /* a receipt is a promise: what it covers is on disk */
    "CREATE TABLE IF NOT EXISTS alerts("
    " alert_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, gateway TEXT NOT NULL,"
    " device TEXT NOT NULL, metric TEXT NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL,"
    " transition TEXT NOT NULL, event_ms INTEGER NOT NULL, arrived_ms INTEGER NOT NULL,"
    " envelope TEXT NOT NULL,"
    /* as the alert was first seen; these stay */
    " first_learning INTEGER NOT NULL, first_event_ms INTEGER NOT NULL,"
    " first_arrived_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS results("
    " store TEXT NOT NULL, device TEXT NOT NULL, metric TEXT NOT NULL,"
    " start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, revision INTEGER NOT NULL,"
    " unit TEXT NOT NULL, count INTEGER NOT NULL, mean REAL, min REAL, max REAL,"
    " first REAL, last REAL,"
    " PRIMARY KEY (store, device, metric, start_ms, end_ms)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS stream_results("
    " store TEXT NOT NULL, stream TEXT NOT NULL, key BLOB NOT NULL, start_ms INTEGER NOT NULL,"
    " end_ms INTEGER NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, value,"
    " PRIMARY KEY (store, stream, key, start_ms, end_ms, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS corrections(store TEXT NOT NULL, id TEXT NOT NULL,"
    " envelope TEXT NOT NULL, PRIMARY KEY (store, id)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS lanes(store TEXT NOT NULL, lane TEXT NOT NULL,"
    " gateway TEXT NOT NULL, contiguous INTEGER NOT NULL, moved_ms INTEGER NOT NULL,"
    " PRIMARY KEY (store, lane)) WITHOUT ROWID;"
    /* ranges that arrived ahead of a hole */
    "CREATE TABLE IF NOT EXISTS ahead(store TEXT NOT NULL, lane TEXT NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (store, lane, first))"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS faulty(arrived_ms INTEGER NOT NULL, gateway TEXT NOT NULL,"
    " fault TEXT NOT NULL, payload BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, count INTEGER NOT NULL);";

enum statement {
    ALERT_UPSERT, ALERT_HELD, RESULT_UPSERT, STREAM_UPSERT, CORRECTION_ADD, LANE_GET, LANE_NEW,
    LANE_MOVE, AHEAD_ADD, AHEAD_NEXT, AHEAD_FORGET, LANES_ALL, FAULTY_ADD, COUNT_ADD, BEGIN, COMMIT,
    STATEMENTS
};

static const char *const SQL[STATEMENTS] = {
    /* The receiver's rule: a revision takes effect if it is greater than the one that is held. */
    [ALERT_UPSERT] =
        "INSERT INTO alerts(alert_id, revision, gateway, device, metric, rule, severity,"
        " transition, event_ms, arrived_ms, envelope, first_learning, first_event_ms,"
        " first_arrived_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?9, ?10)"
        " ON CONFLICT(alert_id) DO UPDATE SET revision = excluded.revision,"
        " severity = excluded.severity, transition = excluded.transition,"
        " event_ms = excluded.event_ms, arrived_ms = excluded.arrived_ms,"
        " envelope = excluded.envelope"
        " WHERE excluded.revision > alerts.revision",
    /* Apart from where it stands: source, which names the lane, id and sequence precede time. */
    [ALERT_HELD] = "SELECT revision, substr(envelope, instr(envelope, '\"time\":'))"
                   " = substr(?2, instr(?2, '\"time\":')) FROM alerts WHERE alert_id = ?1",
    /* A window's revision holds the whole window, so the greatest one wins. */
    [RESULT_UPSERT] =
        "INSERT INTO results(store, device, metric, start_ms, end_ms, revision, unit, count,"
        " mean, min, max, first, last)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT(store, device, metric, start_ms, end_ms) DO UPDATE SET"
        " revision = excluded.revision, count = excluded.count, mean = excluded.mean,"
        " min = excluded.min, max = excluded.max, first = excluded.first, last = excluded.last"
        " WHERE excluded.revision > results.revision",
    [STREAM_UPSERT] =
        "INSERT INTO stream_results(store, stream, key, start_ms, end_ms, name, revision, value)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        " ON CONFLICT(store, stream, key, start_ms, end_ms, name) DO UPDATE SET"
        " revision = excluded.revision, value = excluded.value"
        " WHERE excluded.revision > stream_results.revision",
    [CORRECTION_ADD] = "INSERT OR IGNORE INTO corrections(store, id, envelope) VALUES(?1, ?2, ?3)",
    [LANE_GET] = "SELECT contiguous FROM lanes WHERE store = ?1 AND lane = ?2",
    [LANE_NEW] = "INSERT INTO lanes(store, lane, gateway, contiguous, moved_ms)"
                 " VALUES(?1, ?2, ?3, 0, ?4)",
    [LANE_MOVE] = "UPDATE lanes SET contiguous = ?3, moved_ms = ?4"
                  " WHERE store = ?1 AND lane = ?2",
    [AHEAD_ADD] = "INSERT OR IGNORE INTO ahead(store, lane, first, last) VALUES(?1, ?2, ?3, ?4)",
    [AHEAD_NEXT] = "SELECT max(last) FROM ahead WHERE store = ?1 AND lane = ?2 AND first <= ?3",
    [AHEAD_FORGET] = "DELETE FROM ahead WHERE store = ?1 AND lane = ?2 AND first <= ?3",
    [LANES_ALL] = "SELECT gateway, store, lane, contiguous, moved_ms,"
                  " (SELECT min(first) FROM ahead AS a"
                  "  WHERE a.store = l.store AND a.lane = l.lane)"
                  " FROM lanes AS l ORDER BY gateway, store, lane",
    [FAULTY_ADD] = "INSERT INTO faulty(arrived_ms, gateway, fault, payload)"
                   " VALUES(?1, ?2, ?3, ?4)",
    [COUNT_ADD] = "INSERT INTO counters(name, count) VALUES(?1, ?2)"
                  " ON CONFLICT(name) DO UPDATE SET count = count + excluded.count",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

struct cloud_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

static int fail(const struct cloud_store *s)
{
    fprintf(stderr, "weir-sim cloud: %s\n", sqlite3_errmsg(s->db));
    return WEIR_EIO;
}

static void text_bind(sqlite3_stmt *q, int at, const char *text)
{
    (void)sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC); /* only NOMEM: the step fails then */
}

static void slice_bind(sqlite3_stmt *q, int at, struct text text)
{
    (void)sqlite3_bind_text(q, at, text.bytes > 0 ? text.at : "", (int)text.bytes, SQLITE_STATIC);
}

static void int_bind(sqlite3_stmt *q, int at, uint64_t value)
{
    (void)sqlite3_bind_int64(q, at, (sqlite3_int64)value);
}

/* Run a statement that gives no row. */
static int run(struct cloud_store *s, enum statement which)
{
    sqlite3_stmt *q = s->statements[which];
    int code = sqlite3_step(q);
    (void)sqlite3_reset(q); /* tells the step's error again */
    (void)sqlite3_clear_bindings(q);
    return code == SQLITE_DONE ? 0 : fail(s);
}

static int count_add(struct cloud_store *s, const char *name, uint64_t count)
{
    if (count == 0)
        return 0;
    text_bind(s->statements[COUNT_ADD], 1, name);
    int_bind(s->statements[COUNT_ADD], 2, count);
    return run(s, COUNT_ADD);
}

/* --- lanes: what has arrived without a hole --- */

static sqlite3_stmt *lane_bind(struct cloud_store *s, enum statement which,
                               const struct cloud_event *e)
{
    text_bind(s->statements[which], 1, e->store);
    text_bind(s->statements[which], 2, e->lane);
    return s->statements[which];
}

/* A query of one number; *found is false when there is no row, or NULL in it. */
static int number_query(struct cloud_store *s, enum statement which, uint64_t *number, bool *found)
{
    sqlite3_stmt *q = s->statements[which];
    int code = sqlite3_step(q);
    *found = code == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL;
    *number = *found ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    (void)sqlite3_reset(q);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : fail(s);
}

static int lane_get(struct cloud_store *s, const struct cloud_event *e, const char *gateway,
                    int64_t now_ms, uint64_t *contiguous)
{
    bool found;
    lane_bind(s, LANE_GET, e);
    int err = number_query(s, LANE_GET, contiguous, &found);
    if (err != 0 || found)
        return err;
    sqlite3_stmt *q = lane_bind(s, LANE_NEW, e);
    text_bind(q, 3, gateway);
    int_bind(q, 4, (uint64_t)now_ms);
    return run(s, LANE_NEW);
}

/* Take in what had arrived ahead and now joins on. */
static int lane_absorb(struct cloud_store *s, const struct cloud_event *e, uint64_t *contiguous)
{
    for (;;) {
        uint64_t last;
        bool found;
        int_bind(lane_bind(s, AHEAD_NEXT, e), 3, *contiguous + 1);
        int err = number_query(s, AHEAD_NEXT, &last, &found);
        if (err != 0 || !found)
            return err;
        int_bind(lane_bind(s, AHEAD_FORGET, e), 3, *contiguous + 1);
        err = run(s, AHEAD_FORGET);
        if (err != 0)
            return err;
        *contiguous = last > *contiguous ? last : *contiguous;
    }
}

/* The rows from..to of the event's lane are accounted for. */
static int lane_arrive(struct cloud_store *s, const struct cloud_event *e, const char *gateway,
                       uint64_t from, uint64_t to, int64_t now_ms)
{
    uint64_t contiguous;
    int err = lane_get(s, e, gateway, now_ms, &contiguous);
    if (err != 0)
        return err;
    if (to <= contiguous)
        return count_add(s, "repeated", 1);
    if (from > contiguous + 1) {
        int_bind(lane_bind(s, AHEAD_ADD, e), 3, from);
        int_bind(s->statements[AHEAD_ADD], 4, to);
        err = run(s, AHEAD_ADD);
        return err != 0 ? err : count_add(s, sqlite3_changes(s->db) > 0 ? "ahead" : "repeated", 1);
    }
    contiguous = to;
    err = lane_absorb(s, e, &contiguous);
    if (err != 0)
        return err;
    int_bind(lane_bind(s, LANE_MOVE, e), 3, contiguous);
    int_bind(s->statements[LANE_MOVE], 4, (uint64_t)now_ms);
    return run(s, LANE_MOVE);
}

/* --- what the events say --- */

/* One (id, revision) has one rendering: other bytes under a revision that is held are a breach. */
static int alert_compare(struct cloud_store *s, const struct cloud_event *e)
{
    sqlite3_stmt *q = s->statements[ALERT_HELD];
    text_bind(q, 1, e->alert_id);
    slice_bind(q, 2, e->payload);
    bool held = sqlite3_step(q) == SQLITE_ROW;
    uint64_t revision = held ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    bool same = held && sqlite3_column_int(q, 1) != 0;
    (void)sqlite3_reset(q);
    if (e->revision > revision + 1)
        return count_add(s, "revisions_skipped", e->revision - revision - 1);
    return count_add(s, "conflicts", revision == e->revision && !same);
}

static int alert_apply(struct cloud_store *s, const char *gateway, const struct cloud_event *e,
                       int64_t arrived_ms)
{
    int err = alert_compare(s, e);
    if (err != 0)
        return err;
    sqlite3_stmt *q = s->statements[ALERT_UPSERT];
    const char *words[] = { gateway, e->device, e->metric, e->rule, e->severity, e->transition };
    text_bind(q, 1, e->alert_id);
    int_bind(q, 2, e->revision);
    for (int i = 0; i < 6; i++)
        text_bind(q, 3 + i, words[i]);
    int_bind(q, 9, (uint64_t)e->event_ms);
    int_bind(q, 10, (uint64_t)arrived_ms);
    slice_bind(q, 11, e->payload);
    int_bind(q, 12, e->learning);
    return run(s, ALERT_UPSERT);
}

static int result_apply(struct cloud_store *s, const struct cloud_event *e,
                        const struct window_result *r)
{
    sqlite3_stmt *q = s->statements[RESULT_UPSERT];
    text_bind(q, 1, e->store);
    slice_bind(q, 2, r->device);
    slice_bind(q, 3, r->metric);
    int_bind(q, 4, (uint64_t)r->start_ms);
    int_bind(q, 5, (uint64_t)r->end_ms);
    int_bind(q, 6, r->revision);
    slice_bind(q, 7, r->unit);
    int_bind(q, 8, r->aggregate.count);
    const double numbers[] = { r->aggregate.mean, r->aggregate.min, r->aggregate.max,
                               r->aggregate.first, r->aggregate.last };
    for (int i = 0; i < 5; i++)
        (void)sqlite3_bind_double(q, 9 + i, numbers[i]); /* only NOMEM: the step fails then */
    return run(s, RESULT_UPSERT);
}

static int stream_row_apply(struct cloud_store *s, const struct cloud_event *e,
                            const struct stream_row *row)
{
    sqlite3_stmt *q = s->statements[STREAM_UPSERT];
    text_bind(q, 1, e->store);
    slice_bind(q, 2, row->stream);
    /* only NOMEM: the step fails then */
    (void)sqlite3_bind_blob(q, 3, row->key.at, (int)row->key.bytes, SQLITE_STATIC);
    int_bind(q, 4, (uint64_t)row->start_ms);
    int_bind(q, 5, (uint64_t)row->end_ms);
    slice_bind(q, 6, row->name);
    int_bind(q, 7, row->revision);
    if (row->value.kind == DATUM_NULL)
        (void)sqlite3_bind_null(q, 8);
    else if (row->value.kind == DATUM_TEXT)
        slice_bind(q, 8, row->value.text);
    else
        (void)sqlite3_bind_double(q, 8, row->value.number);
    return run(s, STREAM_UPSERT);
}

static int stream_results_apply(struct cloud_store *s, struct cloud_event *e, bool *changed)
{
    struct stream_row row;
    int code;
    while ((code = results_next_stream(&e->batch, &row)) == 1) {
        int err = stream_row_apply(s, e, &row);
        if (err != 0)
            return err;
        *changed = *changed || sqlite3_changes(s->db) > 0;
    }
    if (code != 0)
        e->fault = "the batch breaks off";
    return 0;
}

static int results_apply(struct cloud_store *s, struct cloud_event *e, bool *changed)
{
    if (e->batch.header.kind == RESULTS_STREAMS)
        return stream_results_apply(s, e, changed);
    struct window_result result;
    int code;
    while ((code = results_next_window(&e->batch, &result)) == 1) {
        int err = result_apply(s, e, &result);
        if (err != 0)
            return err;
        *changed = *changed || sqlite3_changes(s->db) > 0;
    }
    if (code != 0)
        e->fault = "the batch breaks off";
    return 0;
}

static int readings_apply(struct cloud_store *s, struct cloud_event *e, bool *changed)
{
    struct record record;
    uint64_t count = 0;
    int code;
    while ((code = results_next_reading(&e->batch, &record)) == 1)
        count++;
    if (code != 0)
        e->fault = "the batch breaks off";
    *changed = count > 0;
    return count_add(s, "readings", count);
}

static int correction_apply(struct cloud_store *s, const struct cloud_event *e, bool *changed)
{
    sqlite3_stmt *q = s->statements[CORRECTION_ADD];
    text_bind(q, 1, e->store);
    text_bind(q, 2, e->id);
    slice_bind(q, 3, e->payload);
    int err = run(s, CORRECTION_ADD);
    *changed = err == 0 && sqlite3_changes(s->db) > 0;
    return err != 0 ? err : count_add(s, "corrections", *changed);
}

static int content_apply(struct cloud_store *s, const char *gateway, struct cloud_event *e,
                         int64_t arrived_ms, bool *changed)
{
    int err = 0;
    switch (e->kind) {
    case CLOUD_ALERT:
        err = alert_apply(s, gateway, e, arrived_ms);
        *changed = err == 0 && sqlite3_changes(s->db) > 0;
        return err;
    case CLOUD_GAP:
        *changed = true;
        err = count_add(s, "gaps", 1);
        return err != 0 ? err : count_add(s, "gap_rows", e->gap_to - e->gap_from + 1);
    case CLOUD_NOTICE: *changed = true; return count_add(s, "notices", 1);
    case CLOUD_CORRECTION: return correction_apply(s, e, changed);
    case CLOUD_RESULTS: return results_apply(s, e, changed);
    case CLOUD_READINGS: return readings_apply(s, e, changed);
    }
    return err;
}

static int faulty_keep(struct cloud_store *s, const char *gateway, const struct cloud_event *e,
                       int64_t arrived_ms)
{
    sqlite3_stmt *q = s->statements[FAULTY_ADD];
    int_bind(q, 1, (uint64_t)arrived_ms);
    text_bind(q, 2, gateway);
    text_bind(q, 3, e->fault);
    (void)sqlite3_bind_blob(q, 4, e->payload.at, (int)e->payload.bytes, SQLITE_STATIC);
    int err = run(s, FAULTY_ADD);
    return err != 0 ? err : count_add(s, "schema_faults", 1);
}

int cloud_store_apply(struct cloud_store *store, const char *gateway, struct cloud_event *event,
                      int64_t arrived_ms, enum cloud_effect *effect)
{
    bool changed = false;
    int err = count_add(store, "events", 1);
    if (err == 0 && event->fault == NULL)
        err = content_apply(store, gateway, event, arrived_ms, &changed);
    if (err == 0 && event->fault != NULL)
        err = faulty_keep(store, gateway, event, arrived_ms);
    /* Also what could not be used has arrived: a hole would be asked for again and again. */
    bool gap = event->kind == CLOUD_GAP && event->fault == NULL;
    if (err == 0 && event->sequence > 0 && event->store[0] != '\0')
        err = lane_arrive(store, event, gateway, gap ? event->gap_from : event->sequence,
                          gap ? event->gap_to : event->sequence, arrived_ms);
    *effect = event->fault != NULL ? CLOUD_FAULTY : changed ? CLOUD_APPLIED : CLOUD_IGNORED;
    if (err == 0)
        err = count_add(store, changed ? "applied" : "ignored", event->fault == NULL);
    return err;
}

int cloud_store_give_up(struct cloud_store *store, const struct cloud_lane *lane, int64_t now_ms)
{
    struct cloud_event e = { .kind = CLOUD_GAP };
    (void)snprintf(e.store, sizeof e.store, "%s", lane->store); /* same sizes: fits */
    (void)snprintf(e.lane, sizeof e.lane, "%s", lane->lane);
    int err = count_add(store, "given_up", lane->hole_to - lane->contiguous);
    return err != 0 ? err
                    : lane_arrive(store, &e, lane->gateway, lane->contiguous + 1, lane->hole_to,
                                  now_ms);
}

/* --- life and looking --- */

struct cloud_store *cloud_store_open(const char *path)
{
    struct cloud_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    bool good = sqlite3_open(path, &s->db) == SQLITE_OK &&
                sqlite3_busy_timeout(s->db, 5000) == SQLITE_OK &&
                sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK;
    for (int i = 0; good && i < STATEMENTS; i++)
        good = sqlite3_prepare_v2(s->db, SQL[i], -1, &s->statements[i], NULL) == SQLITE_OK;
    if (good)
        return s;
    fprintf(stderr, "weir-sim cloud: %s: %s\n", path, sqlite3_errmsg(s->db));
    cloud_store_close(s);
    return NULL;
}

void cloud_store_close(struct cloud_store *s)
{
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(s->statements[i]); /* tells an old error again */
    (void)sqlite3_close(s->db); /* no statement is left: cannot be busy */
    free(s);
}

int cloud_store_begin(struct cloud_store *s)
{
    return run(s, BEGIN);
}

int cloud_store_commit(struct cloud_store *s)
{
    return run(s, COMMIT);
}

static void column_copy(sqlite3_stmt *q, int at, char *to, size_t bytes)
{
    const unsigned char *text = sqlite3_column_text(q, at);
    (void)snprintf(to, bytes, "%s", text != NULL ? (const char *)text : ""); /* our own: fits */
}

int cloud_store_lanes(struct cloud_store *s, void *ctx,
                      void (*show)(void *ctx, const struct cloud_lane *lane))
{
    sqlite3_stmt *q = s->statements[LANES_ALL];
    int code;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        struct cloud_lane lane = { .contiguous = (uint64_t)sqlite3_column_int64(q, 3),
                                   .moved_ms = sqlite3_column_int64(q, 4) };
        column_copy(q, 0, lane.gateway, sizeof lane.gateway);
        column_copy(q, 1, lane.store, sizeof lane.store);
        column_copy(q, 2, lane.lane, sizeof lane.lane);
        uint64_t ahead = (uint64_t)sqlite3_column_int64(q, 5);
        lane.hole_to = ahead > 0 ? ahead - 1 : 0;
        show(ctx, &lane);
    }
    (void)sqlite3_reset(q);
    return code == SQLITE_DONE ? 0 : fail(s);
}

int cloud_store_report(struct cloud_store *s, FILE *out)
{
    static const char sql[] =
        "SELECT json_object('alerts', (SELECT count(*) FROM alerts),"
        " 'alerts_open', (SELECT count(*) FROM alerts WHERE transition <> 'cleared'),"
        " 'results', (SELECT count(*) FROM results),"
        " 'counts', (SELECT json_group_object(name, count) FROM counters),"
        " 'holes', (SELECT count(DISTINCT store || lane) FROM ahead),"
        " 'lanes', (SELECT json_group_array(json_object('gateway', gateway, 'store', store,"
        "   'lane', lane, 'contiguous', contiguous)) FROM lanes))";
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return fail(s);
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        fprintf(out, "%s\n", (const char *)sqlite3_column_text(q, 0));
    (void)sqlite3_finalize(q);
    return code == SQLITE_ROW ? 0 : fail(s);
}
