#include <assert.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>

#include "storage/store_internal.h"

/* Keys: a block is its number, the state stands behind all of them; an outbox row is its lane
 * in the upper 8 bits and its sequence below; an exchange is its session's number in the upper bits
 * and its packet identifier in the lower 16. Kept results stand in the order in which they were
 * first told, which is that of their going, and have a second index by stream and start, which
 * grows at its end as well; no other table has one. */
#define STATE_KEY "4611686018427387904" /* 2^62 */
static const char *const SQL_TEXT[SQLS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PAGES] = "PRAGMA page_count",
    [SQL_FREE_PAGES] = "PRAGMA freelist_count",
    [SQL_STATE_READ] = "SELECT bytes FROM journal WHERE id = " STATE_KEY,
    [SQL_STATE_WRITE] =
        "INSERT OR REPLACE INTO journal(id, t, readings, raw_first, raw_last, bytes) "
        "VALUES(" STATE_KEY ", 0, 0, 0, 0, ?1)",
    [SQL_JOURNAL_INSERT] = "INSERT INTO journal(id, t, readings, raw_first, raw_last, bytes) "
                           "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_JOURNAL_DELETE] = "DELETE FROM journal WHERE id = ?1",
    [SQL_BLOCK_READ] = "SELECT id, bytes FROM journal "
                       "WHERE id >= ?1 AND id < " STATE_KEY " ORDER BY id LIMIT 1",
    [SQL_BLOCK_OLDEST] = "SELECT id, t, readings, length(bytes), raw_last, EXISTS("
                         "SELECT 1 FROM raw_lost WHERE last >= raw_first AND first <= raw_last) "
                         "FROM journal WHERE id < " STATE_KEY " ORDER BY id LIMIT 1",
    [SQL_RAW_LOST] = "INSERT OR REPLACE INTO raw_lost(first, last) VALUES(?1, ?2)",
    [SQL_RAW_FORGET] = "DELETE FROM raw_lost WHERE last <= ?1",
    [SQL_OUTBOX_INSERT] = "INSERT INTO outbox(id, t, revision, cleared, gap, key, payload) "
                          "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_OUTBOX_DELETE] = "DELETE FROM outbox WHERE id = ?1",
    [SQL_OUTBOX_READ] = "SELECT id, t, revision, cleared, key, payload FROM outbox "
                        "WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    [SQL_OUTBOX_FIRST] = "SELECT id, t FROM outbox WHERE id BETWEEN ?1 AND ?2 "
                         "ORDER BY id LIMIT 1",
    [SQL_OUTBOX_AGE] = "SELECT t FROM outbox WHERE id BETWEEN ?1 AND ?2 AND gap = 0 "
                       "ORDER BY id LIMIT 1",
    [SQL_OUTBOX_SLICE] = "SELECT id, length(payload), gap, cleared, key IS NOT NULL, "
                         "(SELECT newest FROM alert WHERE alert.key = outbox.key), t "
                         "FROM outbox WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
    [SQL_ALERT_NEWEST] = "INSERT OR REPLACE INTO alert(key, newest) VALUES(?1, ?2)",
    [SQL_ALERT_FORGET] = "DELETE FROM alert WHERE newest = ?1 "
                         "AND key = (SELECT key FROM outbox WHERE id = ?1)",
    [SQL_LETTER_INSERT] =
        "INSERT INTO letters(id, t, wall, reason, fault, readings, source, topic, payload, device, "
        "taken) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
#define LETTER_BYTES \
    "length(source) + length(topic) + length(payload) + coalesce(length(taken), 0) "
    [SQL_LETTER_OLDEST] = "SELECT id, t, " LETTER_BYTES "FROM letters ORDER BY id LIMIT 1",
    [SQL_LETTER_DELETE] = "DELETE FROM letters WHERE id = ?1",
#define LETTER_COLUMNS                                                                     \
    "SELECT id, t, wall, reason, fault, readings, source, topic, payload, device, history, " \
    "tries, taken FROM letters LEFT JOIN letter_try USING(id) "
    [SQL_LETTERS_AFTER] = LETTER_COLUMNS "WHERE id > ?1 ORDER BY id",
    [SQL_LETTERS_NEWEST] = LETTER_COLUMNS "ORDER BY id DESC",
    [SQL_LETTER_READ] = LETTER_COLUMNS "WHERE id = ?1",
    [SQL_LETTER_BYTES] = "SELECT " LETTER_BYTES "FROM letters WHERE id = ?1",
    [SQL_TRY_READ] = "SELECT tries, history FROM letter_try WHERE id = ?1",
    [SQL_TRY_WRITE] = "INSERT OR REPLACE INTO letter_try(id, tries, history) VALUES(?1, ?2, ?3)",
    [SQL_TRY_DELETE] = "DELETE FROM letter_try WHERE id = ?1",
    [SQL_KEPT_FIND] = "SELECT id, revision, length(body), retracted FROM result "
                      "WHERE stream = ?1 AND start = ?2 AND key = ?3 AND end = ?4",
    [SQL_KEPT_INSERT] =
        "INSERT INTO result(id, t, stream, key, start, end, revision, retracted, body) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SQL_KEPT_UPDATE] =
        "UPDATE result SET t = ?2, revision = ?3, retracted = ?4, body = ?5 WHERE id = ?1",
    [SQL_KEPT_LATEST] = "INSERT INTO latest(stream, key, result) VALUES(?1, ?2, ?3) "
                        "ON CONFLICT(stream, key) DO UPDATE SET result = ?3 WHERE result <> ?3 "
                        "AND (SELECT end FROM result WHERE id = latest.result) <= ?4",
    [SQL_KEPT_OLDEST] = "SELECT id, t, length(stream) + 2 * length(key) + length(body), stream, "
                        "key, start FROM result ORDER BY id LIMIT 1",
    [SQL_KEPT_DELETE] = "DELETE FROM result WHERE id = ?1",
    /* A key's windows that are told later than one that goes, and begin before it, are few. */
    [SQL_KEPT_BEFORE] =
        "UPDATE latest SET result = coalesce((SELECT id FROM (SELECT id, key, retracted "
        "FROM result WHERE stream = ?1 AND start < ?4 ORDER BY start DESC LIMIT 1000) "
        "WHERE key = ?2 AND retracted = 0 LIMIT 1), 0) "
        "WHERE stream = ?1 AND key = ?2 AND result = ?3",
    [SQL_KEPT_FORGET] = "DELETE FROM latest WHERE stream = ?1 AND key = ?2 AND result = 0",
    [SQL_KEPT_WALK] =
        "SELECT id, key, start, end FROM result WHERE stream = ?1 AND "
        "(start, key, end) > (?2, ?3, ?4) AND start < ?5 ORDER BY start, key, end",
    [SQL_KEPT_KEYS] = "SELECT result, key, 0, 0 FROM latest WHERE stream = ?1 AND key > ?2 "
                      "ORDER BY key",
    [SQL_KEPT_READ] = "SELECT stream, key, start, end, revision, retracted, body FROM result "
                      "WHERE id = ?1",
    [SQL_PIECE_WRITE] = "INSERT OR REPLACE INTO piece(id, bytes) VALUES(?1, ?2)",
    [SQL_PIECE_READ] = "SELECT id, bytes FROM piece WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    [SQL_PIECE_TRIM] = "DELETE FROM piece WHERE id BETWEEN ?1 AND ?2",
    [SQL_PIECE_PURGE] = "DELETE FROM piece WHERE id IN "
                        "(SELECT id FROM piece WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3)",
    [SQL_PIECE_COUNT] = "SELECT count(*) FROM piece WHERE id BETWEEN ?1 AND ?2",
    [SQL_DAILY_INSERT] = "INSERT INTO daily(place, block, t, wall, bytes, crc, going) "
                         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0)",
    [SQL_DAILY_READ] = "SELECT place, block, t, wall, bytes, crc, going FROM daily "
                       "ORDER BY block DESC",
    [SQL_DAILY_MARK] = "UPDATE daily SET going = 1 WHERE place = ?1",
    [SQL_DAILY_DELETE] = "DELETE FROM daily WHERE place = ?1",
    [SQL_CONTRACT_WRITE] = "INSERT OR REPLACE INTO contract(name, block, bytes) VALUES(?1, ?2, ?3)",
    [SQL_CONTRACT_READ] = "SELECT bytes FROM contract WHERE name = ?1",
    [SQL_CONTRACT_TRIM] = "DELETE FROM contract WHERE name NOT IN "
                          "(SELECT name FROM contract ORDER BY block DESC LIMIT ?1)",
    [SQL_NUMBERING_WRITE] = "INSERT OR REPLACE INTO numbering(block, bytes) VALUES(?1, ?2)",
    [SQL_NUMBERING_READ] = "SELECT block, bytes FROM numbering WHERE block <= ?1 "
                           "ORDER BY block DESC LIMIT 1",
    [SQL_NUMBERING_TRIM] = "DELETE FROM numbering WHERE block NOT IN "
                           "(SELECT block FROM numbering ORDER BY block DESC LIMIT ?1)",
    [SQL_SESSION_WRITE] = "INSERT OR REPLACE INTO session(id, bytes) VALUES(?1, ?2)",
    [SQL_SESSION_DELETE] = "DELETE FROM session WHERE id = ?1",
    [SQL_SESSION_READ] = "SELECT id, bytes FROM session ORDER BY id",
    [SQL_SESSION_TRIM] = "DELETE FROM session WHERE id >= ?1",
    [SQL_EXCHANGE_WRITE] = "INSERT OR REPLACE INTO exchange(id, mark) VALUES(?1, ?2)",
    [SQL_EXCHANGE_DELETE] = "DELETE FROM exchange WHERE id BETWEEN ?1 AND ?2",
    [SQL_EXCHANGE_READ] = "SELECT id, mark FROM exchange ORDER BY id",
    [SQL_RECEIPT_WRITE] =
        "INSERT OR REPLACE INTO receipt(id, device, sequence, above) VALUES(?1, ?2, ?3, ?4)",
    [SQL_RECEIPT_READ] = "SELECT id, device, sequence, above FROM receipt ORDER BY id",
    [SQL_RECEIPT_TRIM] = "DELETE FROM receipt WHERE id >= ?1",
};

int store_fail(struct store *s, int err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(s->why, sizeof s->why, format, arguments); /* cut short is better than none */
    va_end(arguments);
    return err;
}

/* A full disk shows as FULL from a write and as IOERR with ENOSPC behind it from anything else;
 * only the first leaves the connection usable, so only it is ENOSPC here. */
int store_error(struct store *s, int code)
{
    int primary = code & 0xff;
    assert(primary != SQLITE_OK && primary != SQLITE_ROW && primary != SQLITE_DONE);
    (void)store_fail(s, 0, "%s (SQLite %d): %s", s->path, code,
                     s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
    switch (primary) {
    case SQLITE_FULL:
        return WEIR_ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return WEIR_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        disk_doubt(s, DOUBT_PAGES);
        return WEIR_ECORRUPT;
    case SQLITE_NOMEM: /* the heap's cap: the transaction failed, the connection is good */
        return WEIR_EIO;
    default:
        s->reopen = true;
        return WEIR_EIO;
    }
}

int store_sql_exec(struct store *s, const char *text)
{
    int code = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_error(s, code);
}

int store_sql_number(struct store *s, const char *text, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(s->db, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    *value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    int err = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : store_error(s, code);
    (void)sqlite3_finalize(statement); /* repeats that error */
    return err;
}

int store_sql_prepare(struct store *s)
{
    for (int q = 0; q < SQLS; q++) {
        int code = sqlite3_prepare_v3(s->db, SQL_TEXT[q], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[q],
                                      NULL);
        if (code != SQLITE_OK)
            return store_error(s, code);
    }
    return 0;
}

void store_sql_finalize(struct store *s)
{
    for (int q = 0; q < SQLS; q++) {
        (void)sqlite3_finalize(s->sql[q]); /* repeats the statement's last error, already told */
        s->sql[q] = NULL;
    }
}

/* Numbers are stored as SQLite's signed 64 bits; ours stay below 2^63. */
void sql_i64(struct store *s, enum sql q, int at, int64_t value)
{
    int code = sqlite3_bind_int64(s->sql[q], at, value);
    assert(code == SQLITE_OK);
    (void)code;
}

/* The bytes stand still until the statement is reset. */
void sql_blob(struct store *s, enum sql q, int at, struct text bytes)
{
    int code = sqlite3_bind_blob(s->sql[q], at, bytes.bytes == 0 ? "" : bytes.at, (int)bytes.bytes,
                                 SQLITE_STATIC);
    assert(code == SQLITE_OK);
    (void)code;
}

int sql_next(struct store *s, enum sql q)
{
    int code = sqlite3_step(s->sql[q]);
    if (code == SQLITE_ROW)
        return 1;
    int err = code == SQLITE_DONE ? 0 : store_error(s, code);
    sql_end(s, q);
    return err;
}

int sql_run(struct store *s, enum sql q)
{
    int row = sql_next(s, q);
    while (row == 1)
        row = sql_next(s, q);
    return row;
}

void sql_end(struct store *s, enum sql q)
{
    (void)sqlite3_reset(s->sql[q]); /* repeats the error of the last step */
    (void)sqlite3_clear_bindings(s->sql[q]);
}

int64_t sql_column(struct store *s, enum sql q, int at)
{
    return sqlite3_column_int64(s->sql[q], at);
}

struct text sql_column_bytes(struct store *s, enum sql q, int at)
{
    const void *bytes = sqlite3_column_blob(s->sql[q], at);
    int count = sqlite3_column_bytes(s->sql[q], at);
    return bytes == NULL ? (struct text){ NULL, 0 } : (struct text){ bytes, (uint32_t)count };
}

int sql_one(struct store *s, enum sql q, int64_t *value)
{
    *value = 0;
    int row = sql_next(s, q);
    if (row != 1)
        return row;
    *value = sql_column(s, q, 0);
    sql_end(s, q);
    return 1;
}
