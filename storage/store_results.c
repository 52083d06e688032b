/* Results of streams, kept to be asked for: a row a window, replaced by its revisions. */
#include <assert.h>

#include "storage/store_internal.h"

enum { KEPT_ROW_BYTES = 2 * STORE_ROW_BYTES }; /* beside what a row holds, with its indexes */

static uint64_t kept_bytes(const struct kept_result *kept)
{
    return (uint64_t)kept->stream.bytes + 2 * (uint64_t)kept->key.bytes + kept->body.bytes +
           KEPT_ROW_BYTES;
}

static int insert(struct store *s, const struct kept_result *kept, int64_t t_ms)
{
    sql_i64(s, SQL_KEPT_INSERT, 1, (int64_t)s->next.table_next);
    sql_i64(s, SQL_KEPT_INSERT, 2, t_ms);
    sql_blob(s, SQL_KEPT_INSERT, 3, kept->stream);
    sql_blob(s, SQL_KEPT_INSERT, 4, kept->key);
    sql_i64(s, SQL_KEPT_INSERT, 5, kept->start_ms);
    sql_i64(s, SQL_KEPT_INSERT, 6, kept->end_ms);
    sql_i64(s, SQL_KEPT_INSERT, 7, kept->revision);
    sql_i64(s, SQL_KEPT_INSERT, 8, kept->retracted);
    sql_blob(s, SQL_KEPT_INSERT, 9, kept->body);
    int err = sql_run(s, SQL_KEPT_INSERT);
    if (err != 0)
        return err;
    s->next.table_next++;
    s->next.table_rows++;
    s->next.table_bytes += kept_bytes(kept);
    return 0;
}

static int update(struct store *s, const struct kept_result *kept, int64_t id, int64_t t_ms)
{
    sql_i64(s, SQL_KEPT_UPDATE, 1, id);
    sql_i64(s, SQL_KEPT_UPDATE, 2, t_ms);
    sql_i64(s, SQL_KEPT_UPDATE, 3, kept->revision);
    sql_i64(s, SQL_KEPT_UPDATE, 4, kept->retracted);
    sql_blob(s, SQL_KEPT_UPDATE, 5, kept->body);
    return sql_run(s, SQL_KEPT_UPDATE);
}

/* A retraction is no news of its key: what takes its place is told as well. */
static int note_latest(struct store *s, const struct kept_result *kept, int64_t id)
{
    if (kept->retracted)
        return 0;
    sql_blob(s, SQL_KEPT_LATEST, 1, kept->stream);
    sql_blob(s, SQL_KEPT_LATEST, 2, kept->key);
    sql_i64(s, SQL_KEPT_LATEST, 3, id);
    sql_i64(s, SQL_KEPT_LATEST, 4, kept->end_ms);
    return sql_run(s, SQL_KEPT_LATEST);
}

static int keep(struct store *s, const struct kept_result *kept, int64_t t_ms)
{
    int64_t id = (int64_t)s->next.table_next;
    sql_blob(s, SQL_KEPT_FIND, 1, kept->stream);
    sql_i64(s, SQL_KEPT_FIND, 2, kept->start_ms);
    sql_blob(s, SQL_KEPT_FIND, 3, kept->key);
    sql_i64(s, SQL_KEPT_FIND, 4, kept->end_ms);
    int row = sql_next(s, SQL_KEPT_FIND);
    if (row < 0)
        return row;
    int err = 0;
    if (row == 0) {
        err = insert(s, kept, t_ms);
    } else {
        id = sql_column(s, SQL_KEPT_FIND, 0);
        bool newer = sql_column(s, SQL_KEPT_FIND, 1) < kept->revision;
        uint64_t before = (uint64_t)sql_column(s, SQL_KEPT_FIND, 2);
        sql_end(s, SQL_KEPT_FIND);
        if (!newer)
            return 0;
        err = update(s, kept, id, t_ms);
        s->next.table_bytes += kept->body.bytes - before;
    }
    return err != 0 ? err : note_latest(s, kept, id);
}

int results_write(struct store *s, const struct batch *b)
{
    int err = 0;
    if (s->config.table_bytes_max == 0)
        return 0;
    for (uint32_t i = 0; err == 0 && i < b->kept_count; i++)
        err = keep(s, &b->kept[i], b->t_ms);
    return err;
}

struct kept_gone {
    int64_t id, start_ms;
};

/* The key's latest is now one that was told after it and begins before it, or there is none. */
static int note_gone(struct store *s, struct text stream, struct text key, struct kept_gone gone)
{
    sql_blob(s, SQL_KEPT_BEFORE, 1, stream);
    sql_blob(s, SQL_KEPT_BEFORE, 2, key);
    sql_i64(s, SQL_KEPT_BEFORE, 3, gone.id);
    sql_i64(s, SQL_KEPT_BEFORE, 4, gone.start_ms);
    int err = sql_run(s, SQL_KEPT_BEFORE);
    if (err != 0)
        return err;
    sql_blob(s, SQL_KEPT_FORGET, 1, stream);
    sql_blob(s, SQL_KEPT_FORGET, 2, key);
    return sql_run(s, SQL_KEPT_FORGET);
}

/* 1: the oldest went; 0: it may stay, or there is none */
static int drop_oldest(struct store *s, bool force)
{
    const struct store_config *c = &s->config;
    uint8_t copy[512]; /* of its stream's name and its key */
    struct byte_writer w = { copy, sizeof copy, 0, false };
    if (s->next.table_rows == 0)
        return 0;
    int row = sql_next(s, SQL_KEPT_OLDEST);
    if (row != 1)
        return row;
    int64_t id = sql_column(s, SQL_KEPT_OLDEST, 0), t_ms = sql_column(s, SQL_KEPT_OLDEST, 1);
    uint64_t bytes = (uint64_t)sql_column(s, SQL_KEPT_OLDEST, 2) + KEPT_ROW_BYTES;
    struct text stream = sql_column_bytes(s, SQL_KEPT_OLDEST, 3);
    struct text key = sql_column_bytes(s, SQL_KEPT_OLDEST, 4);
    int64_t start_ms = sql_column(s, SQL_KEPT_OLDEST, 5);
    put_raw(&w, stream.at, stream.bytes);
    put_raw(&w, key.at, key.bytes);
    stream.at = (const char *)copy;
    key.at = (const char *)copy + stream.bytes;
    sql_end(s, SQL_KEPT_OLDEST);
    bool old = c->table_age_max_ms > 0 && t_ms < s->next.t_ms - c->table_age_max_ms;
    if (!old && s->next.table_bytes <= c->table_bytes_max && !force)
        return 0;
    assert(!w.failed && s->next.table_bytes >= bytes);
    s->next.table_rows--;
    s->next.table_bytes -= bytes;
    sql_i64(s, SQL_KEPT_DELETE, 1, id);
    int err = sql_run(s, SQL_KEPT_DELETE);
    if (err == 0)
        err = note_gone(s, stream, key, (struct kept_gone){ id, start_ms });
    return err != 0 ? err : 1;
}

int results_retain(struct store *s, uint32_t rows_max)
{
    int went = 1;
    for (uint32_t i = 0; went == 1 && i < rows_max; i++)
        went = drop_oldest(s, false);
    return went < 0 ? went : 0;
}

int results_drop(struct store *s, uint32_t rows)
{
    int went = 1;
    for (uint32_t i = 0; went == 1 && i < rows; i++)
        went = drop_oldest(s, true);
    return went < 0 ? went : 0;
}

/* --- reading --- */

/* The row into the buffer. 1: there it is; 0: it is gone, or does not fit, which *fits tells. */
static int read_row(struct store *s, int64_t id, struct byte_writer *w, struct kept_result *kept,
                    bool *fits)
{
    static const int texts[3] = { 0, 1, 6 };
    struct text copies[3];
    sql_i64(s, SQL_KEPT_READ, 1, id);
    int row = sql_next(s, SQL_KEPT_READ);
    if (row != 1)
        return row;
    for (int i = 0; i < 3; i++) {
        struct text from = sql_column_bytes(s, SQL_KEPT_READ, texts[i]);
        copies[i] = (struct text){ (const char *)w->at + w->used, from.bytes };
        put_raw(w, from.at, from.bytes);
    }
    *kept = (struct kept_result){
        .stream = copies[0], .key = copies[1], .body = copies[2],
        .start_ms = sql_column(s, SQL_KEPT_READ, 2), .end_ms = sql_column(s, SQL_KEPT_READ, 3),
        .revision = (uint32_t)sql_column(s, SQL_KEPT_READ, 4),
        .retracted = sql_column(s, SQL_KEPT_READ, 5) != 0,
    };
    sql_end(s, SQL_KEPT_READ);
    *fits = !w->failed;
    return *fits;
}

/* Bind where the walk goes on: behind query->after, else at its beginning. */
static void bind_place(struct store *s, const struct kept_query *query, enum sql q)
{
    const struct kept_place *after = &query->after;
    struct text key = { (const char *)after->key, after->given ? after->key_bytes : 0 };
    bool within = after->given && after->start_ms >= query->from_ms;
    sql_blob(s, q, 1, query->stream);
    if (query->latest) {
        sql_blob(s, q, 2, key);
        return;
    }
    sql_i64(s, q, 2, within ? after->start_ms : query->from_ms);
    sql_blob(s, q, 3, within ? key : (struct text){ "", 0 });
    sql_i64(s, q, 4, within ? after->end_ms : INT64_MIN);
    sql_i64(s, q, 5, query->to_ms);
}

static void note_place(struct store *s, enum sql q, struct kept_place *place)
{
    struct text key = sql_column_bytes(s, q, 1);
    uint32_t room = sizeof place->key; /* for any that is written; not for any that a file holds */
    *place = (struct kept_place){ .given = true, .key_bytes = key.bytes < room ? key.bytes : room,
                                  .start_ms = sql_column(s, q, 2), .end_ms = sql_column(s, q, 3) };
    memcpy(place->key, key.at, place->key_bytes);
}

/* A retracted row is told to whoever asks for all, and is nobody's latest. */
static int take_rows(struct store *s, const struct kept_query *query, enum sql q,
                     struct byte_writer *w, struct kept_result *rows, uint32_t *count,
                     struct kept_place *next)
{
    bool fits = true;
    for (uint32_t looked = 0;; looked++) {
        int row = sql_next(s, q);
        if (row != 1) {
            next->given = false;
            return row;
        }
        int64_t id = sql_column(s, q, 0);
        bool wanted = query->wanted == NULL ||
                      query->wanted(query->ctx, sql_column_bytes(s, q, 1));
        row = 0;
        if (*count == query->rows_max || looked == query->looked_max)
            break;
        if (wanted)
            row = read_row(s, id, w, &rows[*count], &fits);
        if (row < 0 || !fits) {
            sql_end(s, q);
            return row < 0 ? row : *count == 0 ? WEIR_EFULL : 0;
        }
        *count += row == 1 && !(query->latest && rows[*count].retracted);
        note_place(s, q, next);
    }
    sql_end(s, q);
    return 0;
}

int store_kept_read(struct store *s, const struct kept_query *query, uint8_t *to, size_t bytes,
                    struct kept_result *rows, uint32_t *count, struct kept_place *next)
{
    struct byte_writer w = { to, bytes, 0, false };
    enum sql q = query->latest ? SQL_KEPT_KEYS : SQL_KEPT_WALK;
    *count = 0;
    *next = query->after;
    int err = store_ready(s);
    if (err != 0)
        return err;
    bind_place(s, query, q);
    return take_rows(s, query, q, &w, rows, count, next);
}
