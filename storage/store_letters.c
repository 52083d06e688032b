#include <assert.h>

#include "storage/store_internal.h"

enum { TRY_BYTES = 9 }; /* of a try: i64, u8 */

static uint64_t letter_bytes(const struct dead_letter *letter)
{
    return (uint64_t)letter->source.bytes + letter->topic.bytes + letter->payload.bytes +
           letter->taken.bytes + STORE_ROW_BYTES;
}

int letter_insert(struct store *s, const struct dead_letter *letter)
{
    sql_i64(s, SQL_LETTER_INSERT, 1, (int64_t)s->next.letter_next);
    sql_i64(s, SQL_LETTER_INSERT, 2, letter->t_ms);
    sql_i64(s, SQL_LETTER_INSERT, 3, letter->wall_ms);
    sql_i64(s, SQL_LETTER_INSERT, 4, (int64_t)letter->reason);
    sql_i64(s, SQL_LETTER_INSERT, 5, letter->fault_offset);
    sql_i64(s, SQL_LETTER_INSERT, 6, letter->readings);
    sql_blob(s, SQL_LETTER_INSERT, 7, letter->source);
    sql_blob(s, SQL_LETTER_INSERT, 8, letter->topic);
    sql_blob(s, SQL_LETTER_INSERT, 9, letter->payload);
    sql_blob(s, SQL_LETTER_INSERT, 10, letter->device);
    sql_blob(s, SQL_LETTER_INSERT, 11, letter->taken);
    int err = sql_run(s, SQL_LETTER_INSERT);
    if (err != 0)
        return err;
    s->next.letter_next++;
    s->next.letters_rows++;
    s->next.letters_bytes += letter_bytes(letter);
    return 0;
}

static int letter_remove(struct store *s, uint64_t id, uint64_t bytes)
{
    sql_i64(s, SQL_LETTER_DELETE, 1, (int64_t)id);
    int err = sql_run(s, SQL_LETTER_DELETE);
    if (err != 0)
        return err;
    assert(s->next.letters_rows > 0);
    assert(s->next.letters_bytes >= bytes);
    s->next.letters_rows--;
    s->next.letters_bytes -= bytes;
    sql_i64(s, SQL_TRY_DELETE, 1, (int64_t)id);
    return sql_run(s, SQL_TRY_DELETE);
}

/* 1: the oldest went; 0: it may stay, or there is none */
static int drop_oldest(struct store *s, bool force)
{
    const struct store_config *c = &s->config;
    int row = sql_next(s, SQL_LETTER_OLDEST);
    if (row != 1)
        return row;
    int64_t id = sql_column(s, SQL_LETTER_OLDEST, 0);
    int64_t t_ms = sql_column(s, SQL_LETTER_OLDEST, 1);
    uint64_t bytes = (uint64_t)sql_column(s, SQL_LETTER_OLDEST, 2) + STORE_ROW_BYTES;
    sql_end(s, SQL_LETTER_OLDEST);
    bool old = c->letters_age_max_ms > 0 && t_ms < s->next.t_ms - c->letters_age_max_ms;
    bool many = s->next.letters_rows > c->letters_max ||
                s->next.letters_bytes > c->letters_bytes_max;
    if (!old && !many && !force)
        return 0;
    int err = letter_remove(s, (uint64_t)id, bytes);
    return err != 0 ? err : 1;
}

/* One more try in vain. */
static int letter_try(struct store *s, const struct letter_change *change)
{
    uint8_t kept[STORE_TRIES_KEPT * TRY_BYTES];
    struct byte_writer w = { kept, sizeof kept, 0, false };
    sql_i64(s, SQL_TRY_READ, 1, (int64_t)change->id);
    int row = sql_next(s, SQL_TRY_READ);
    if (row < 0)
        return row;
    int64_t tries = row == 1 ? sql_column(s, SQL_TRY_READ, 0) : 0;
    if (row == 1) {
        struct text before = sql_column_bytes(s, SQL_TRY_READ, 1);
        uint32_t most = (STORE_TRIES_KEPT - 1) * TRY_BYTES;
        uint32_t bytes = before.bytes < most ? before.bytes : most;
        put_raw(&w, before.at + (before.bytes - bytes), bytes);
        sql_end(s, SQL_TRY_READ);
    }
    put_i64(&w, change->wall_ms);
    put_u8(&w, (uint8_t)change->reason);
    assert(!w.failed);
    sql_i64(s, SQL_TRY_WRITE, 1, (int64_t)change->id);
    sql_i64(s, SQL_TRY_WRITE, 2, tries + 1);
    sql_blob(s, SQL_TRY_WRITE, 3, (struct text){ (const char *)kept, (uint32_t)w.used });
    return sql_run(s, SQL_TRY_WRITE);
}

int letters_change(struct store *s, const struct batch *b)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < b->letter_change_count; i++) {
        const struct letter_change *change = &b->letter_changes[i];
        int64_t bytes = 0;
        sql_i64(s, SQL_LETTER_BYTES, 1, (int64_t)change->id);
        int row = sql_one(s, SQL_LETTER_BYTES, &bytes);
        if (row <= 0)
            err = row; /* or it is gone: retention was first */
        else if (change->removed)
            err = letter_remove(s, change->id, (uint64_t)bytes + STORE_ROW_BYTES);
        else
            err = letter_try(s, change);
    }
    return err;
}

int letters_retain(struct store *s, uint32_t rows_max)
{
    int went = 1;
    for (uint32_t i = 0; went == 1 && i < rows_max; i++)
        went = drop_oldest(s, false);
    return went < 0 ? went : 0;
}

int letters_drop(struct store *s, uint32_t rows)
{
    int went = 1;
    for (uint32_t i = 0; went == 1 && i < rows; i++)
        went = drop_oldest(s, true);
    return went < 0 ? went : 0;
}

static enum reject_reason reason_of(int64_t number) /* a newer Weir has more of them */
{
    return number > 0 && number < REJECT_REASON_END ? (enum reject_reason)number : REJECT_NONE;
}

/* Copy the row's text to the buffer; false: no room. */
static bool letter_take(struct store *s, enum sql q, struct byte_writer *w,
                        struct dead_letter *letter)
{
    static const int columns[] = { 6, 7, 8, 9, 10, 12 };
    struct text parts[6];
    for (int i = 0; i < 6; i++) {
        struct text from = sql_column_bytes(s, q, columns[i]);
        parts[i] = (struct text){ (const char *)w->at + w->used, from.bytes };
        put_raw(w, from.at, from.bytes);
    }
    *letter = (struct dead_letter){
        .id = (uint64_t)sql_column(s, q, 0),
        .t_ms = sql_column(s, q, 1),
        .wall_ms = sql_column(s, q, 2),
        .reason = reason_of(sql_column(s, q, 3)),
        .fault_offset = (uint32_t)sql_column(s, q, 4),
        .readings = (uint32_t)sql_column(s, q, 5),
        .source = parts[0], .topic = parts[1], .payload = parts[2], .device = parts[3],
        .history = parts[4], .taken = parts[5], .tries = (uint32_t)sql_column(s, q, 11),
    };
    return !w->failed;
}

int store_letters_read(struct store *s, uint64_t after, uint8_t *to, size_t bytes,
                       struct dead_letter *letters, uint32_t letters_max, uint32_t *count)
{
    struct byte_writer w = { to, bytes, 0, false };
    enum sql q = after == UINT64_MAX ? SQL_LETTERS_NEWEST : SQL_LETTERS_AFTER;

    *count = 0;
    int err = store_ready(s);
    if (err != 0)
        return err;
    if (q == SQL_LETTERS_AFTER)
        sql_i64(s, q, 1, after < INT64_MAX ? (int64_t)after : INT64_MAX);
    while (*count < letters_max) {
        int row = sql_next(s, q);
        if (row != 1)
            return row;
        if (!letter_take(s, q, &w, &letters[*count]))
            break;
        (*count)++;
    }
    sql_end(s, q);
    return *count == 0 && letters_max > 0 ? WEIR_EFULL : 0;
}

int store_letter_read(struct store *s, uint64_t id, uint8_t *to, size_t bytes,
                      struct dead_letter *letter)
{
    struct byte_writer w = { to, bytes, 0, false };

    int err = store_ready(s);
    if (err != 0)
        return err;
    sql_i64(s, SQL_LETTER_READ, 1, id < INT64_MAX ? (int64_t)id : INT64_MAX);
    int row = sql_next(s, SQL_LETTER_READ);
    if (row != 1)
        return row < 0 ? row : WEIR_ENOTFOUND;
    bool whole = letter_take(s, SQL_LETTER_READ, &w, letter);
    sql_end(s, SQL_LETTER_READ);
    return whole ? 0 : WEIR_EFULL;
}
