#include <assert.h>

#include "storage/store_internal.h"

static uint64_t letter_bytes(const struct dead_letter *letter)
{
    return (uint64_t)letter->source.bytes + letter->topic.bytes + letter->payload.bytes +
           STORE_ROW_BYTES;
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
    int err = sql_run(s, SQL_LETTER_INSERT);
    if (err != 0)
        return err;
    s->next.letter_next++;
    s->next.letters_rows++;
    s->next.letters_bytes += letter_bytes(letter);
    return 0;
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
    sql_i64(s, SQL_LETTER_DELETE, 1, id);
    int err = sql_run(s, SQL_LETTER_DELETE);
    if (err != 0)
        return err;
    assert(s->next.letters_rows > 0);
    s->next.letters_rows--;
    s->next.letters_bytes -= bytes;
    return 1;
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

/* Copy the row's text to the buffer; false: no room. */
static bool letter_take(struct store *s, enum sql q, struct byte_writer *w,
                        struct dead_letter *letter)
{
    struct text parts[3];
    for (int i = 0; i < 3; i++) {
        struct text from = sql_column_bytes(s, q, 6 + i);
        parts[i] = (struct text){ (const char *)w->at + w->used, from.bytes };
        put_raw(w, from.at, from.bytes);
    }
    *letter = (struct dead_letter){
        .id = (uint64_t)sql_column(s, q, 0),
        .t_ms = sql_column(s, q, 1),
        .wall_ms = sql_column(s, q, 2),
        .reason = (enum reject_reason)sql_column(s, q, 3),
        .fault_offset = (uint32_t)sql_column(s, q, 4),
        .readings = (uint32_t)sql_column(s, q, 5),
        .source = parts[0], .topic = parts[1], .payload = parts[2],
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
