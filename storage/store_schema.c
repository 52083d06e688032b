#include <stdio.h>

#include "storage/store_internal.h"

/* One step a version; a step, once released, is never changed. */
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
};

static int migrate_step(struct store *s, const char *step, int version)
{
    char number[64];
    (void)snprintf(number, sizeof number, "PRAGMA user_version = %d; COMMIT", version);
    int err = store_sql_exec(s, "BEGIN IMMEDIATE");
    if (err == 0)
        err = store_sql_exec(s, step);
    if (err == 0)
        err = store_sql_exec(s, number);
    return err; /* the caller closes the connection, which rolls back */
}

int store_migrate(struct store *s, const char *const *steps, int count)
{
    int64_t version = 0;
    int err = store_sql_number(s, "PRAGMA user_version", &version);
    if (err == 0 && version > count)
        return store_fail(s, WEIR_EVERSION,
                          "%s was written by a newer Weir (schema %lld, this one knows %d); "
                          "install that version again or name another file",
                          s->path, (long long)version, count);
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
    return err != 0 ? err : store_migrate(s, STEPS, STORE_SCHEMA_VERSION);
}
