#include <assert.h>
#include <stdio.h>

#include "storage/store_internal.h"

/* One step a version; a step, once released, is never changed.
 *
 * The slot before an update may have to open the file again. So user_version, which is all that
 * Weirs before version 10 look at, holds the oldest version whose Weir may open the file and write
 * to it; how far the file is stands in the table `schema`. A step adds only: tables, and columns
 * that nobody must fill. What stored forms gain otherwise is a step too, if an empty one: by its
 * number a Weir knows that what it can't read is not damage. A reason for rejects and a kind of
 * record (with fields that there are) are passed over by the release before, and so is a checkpoint
 * in a form of its own; anything else that it can't read (a field, a lane, a removal) raises
 * STORE_SCHEMA_READER: not before that one is itself a release that knows it. */
static const char *const STEPS[STORE_SCHEMA_VERSION] = {
    "CREATE TABLE journal(id INTEGER PRIMARY KEY, t INTEGER, readings INTEGER,"
    " raw_first INTEGER, raw_last INTEGER, bytes BLOB);"
    "CREATE TABLE raw_lost(last INTEGER PRIMARY KEY, first INTEGER);"
    "CREATE TABLE outbox(id INTEGER PRIMARY KEY, t INTEGER, revision INTEGER, cleared INTEGER,"
    " gap INTEGER, key BLOB, payload BLOB);"
    "CREATE TABLE alert(key BLOB PRIMARY KEY, newest INTEGER) WITHOUT ROWID;"
    "CREATE TABLE letters(id INTEGER PRIMARY KEY, t INTEGER, wall INTEGER, reason INTEGER,"
    " fault INTEGER, readings INTEGER, source BLOB, topic BLOB, payload BLOB);"
    "CREATE TABLE piece(id INTEGER PRIMARY KEY, bytes BLOB);"
    "PRAGMA application_id = 1466263922;",
    "CREATE TABLE contract(name BLOB PRIMARY KEY, block INTEGER, bytes BLOB) WITHOUT ROWID;",
    ("CREATE TABLE session(id INTEGER PRIMARY KEY, bytes BLOB);"
     "CREATE TABLE exchange(id INTEGER PRIMARY KEY, mark INTEGER);"),
    "CREATE TABLE receipt(id INTEGER PRIMARY KEY, device BLOB, sequence INTEGER, above INTEGER);",
    ("ALTER TABLE letters ADD COLUMN device BLOB;"
     "CREATE TABLE letter_try(id INTEGER PRIMARY KEY, tries INTEGER, history BLOB);"),
    ("CREATE TABLE result(id INTEGER PRIMARY KEY, t INTEGER, stream BLOB, key BLOB, start INTEGER,"
     " end INTEGER, revision INTEGER, retracted INTEGER, body BLOB);"
     "CREATE UNIQUE INDEX result_window ON result(stream, start, key, end);"
     "CREATE TABLE latest(stream BLOB, key BLOB, result INTEGER, PRIMARY KEY(stream, key))"
     " WITHOUT ROWID;"),
    "CREATE TABLE numbering(block INTEGER PRIMARY KEY, bytes BLOB);",
    "ALTER TABLE letters ADD COLUMN taken BLOB;",
    ("CREATE TABLE daily(place INTEGER PRIMARY KEY, block INTEGER, t INTEGER, wall INTEGER,"
     " bytes INTEGER, crc INTEGER, going INTEGER);"),
    "CREATE TABLE schema(id INTEGER PRIMARY KEY, version INTEGER);",
};

enum { SCHEMA_TABLE_SINCE = 10 };

static_assert(STORE_SCHEMA_READER <= STORE_SCHEMA_BEFORE, "a rollback goes on with the store");

static int migrate_step(struct store *s, const char *step, int version)
{
    char number[128];
    int reader = version < STORE_SCHEMA_READER ? version : STORE_SCHEMA_READER;
    if (version < SCHEMA_TABLE_SINCE)
        (void)snprintf(number, sizeof number, "PRAGMA user_version = %d; COMMIT", reader);
    else
        (void)snprintf(number, sizeof number,
                       "INSERT OR REPLACE INTO schema(id, version) VALUES(1, %d); "
                       "PRAGMA user_version = %d; COMMIT", version, reader);
    int err = store_sql_exec(s, "BEGIN IMMEDIATE");
    if (err == 0)
        err = store_sql_exec(s, step);
    if (err == 0)
        err = store_sql_exec(s, number);
    return err; /* the caller closes the connection, which rolls back */
}

/* How far the file is, and the oldest version whose Weir may open it. */
static int schema_versions(struct store *s, int64_t *version, int64_t *reader)
{
    int64_t there = 0;
    int err = store_sql_number(s, "PRAGMA user_version", reader);
    *version = *reader;
    if (err == 0)
        err = store_sql_number(s, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema'",
                               &there);
    if (err == 0 && there != 0)
        err = store_sql_number(s, "SELECT max(version) FROM schema", version);
    return err;
}

static int migrate(struct store *s, const char *const *steps, int count)
{
    int64_t version = 0, reader = 0;
    int err = schema_versions(s, &version, &reader);
    s->newer = err == 0 && version > count;
    if (err == 0 && reader > count)
        return store_fail(s, WEIR_EVERSION,
                          "%s was written by a newer Weir (schema %lld, this one knows %d); "
                          "install that version again or name another file",
                          s->path, (long long)reader, count);
    for (int64_t i = version; err == 0 && i < count; i++)
        err = migrate_step(s, steps[i], (int)i + 1);
    return err;
}

/* Somebody else's database is not ours to set aside: it is refused. */
static int schema_is_ours(struct store *s)
{
    int64_t application = 0, tables = 0;
    int err = store_sql_number(s, "PRAGMA application_id", &application);
    if (err == 0)
        err = store_sql_number(s, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err != 0 || tables == 0 || application == STORE_APPLICATION_ID)
        return err;
    return store_fail(s, WEIR_EINVAL, "%s is a database of another program; name another file",
                      s->path);
}

int store_schema(struct store *s)
{
    int err = schema_is_ours(s);
    return err != 0 ? err : migrate(s, STEPS, STORE_SCHEMA_VERSION);
}
