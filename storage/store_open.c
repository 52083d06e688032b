#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_internal.h"

/* --- one connection ------------------------------------------------------------------------ */

static int on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *s = ctx;

    (void)db;
    (void)name;
    s->wal_pages = (uint32_t)pages;
    return SQLITE_OK;
}

uint32_t store_pages_max(const struct store_config *c)
{
    uint64_t beside = c->wal_bytes_max + c->ballast_bytes;
    uint64_t pages = (c->disk_bytes_max - beside) / STORE_PAGE_BYTES;
    return pages < 0x7fffffff ? (uint32_t)pages : 0x7fffffff;
}

/* A quarter of SQLite's heap for pages; the rest is for the WAL's index, statements and the one
 * row being written or read. Deleted bytes are not overwritten: that would wear the flash twice. */
static int connection_settings(struct store *s)
{
    const struct store_config *c = &s->config;
    char text[512];
    size_t cache_kib = c->sqlite_heap_bytes / 4096;

    (void)snprintf(text, sizeof text,
                   "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = %d; "
                   "PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; "
                   "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA secure_delete = OFF; "
                   "PRAGMA journal_size_limit = %llu; PRAGMA max_page_count = %u; "
                   "PRAGMA cache_size = -%zu; PRAGMA wal_autocheckpoint = 0",
                   STORE_PAGE_BYTES, c->unsafe_sync_normal ? "NORMAL" : "FULL",
                   (unsigned long long)c->wal_bytes_max, s->pages_max,
                   cache_kib > 256 ? cache_kib : 256);
    int err = store_sql_exec(s, text);
    if (err == 0)
        (void)sqlite3_wal_hook(s->db, on_wal, s); /* in place of the automatic checkpoint */
    return err;
}

/* Every page of a big file takes minutes on a memory card, so a whole check is made only where an
 * earlier run met damage. What is always checked: the header, every table's first page, the state
 * with its checksum, and the newest checkpoint's bytes. */
static int connection_check(struct store *s)
{
    int64_t bad = 0;
    enum doubt doubt = disk_doubted(s);

    if (doubt == DOUBT_NONE)
        return 0;
    if (doubt == DOUBT_ALL)
        return store_fail(s, WEIR_ECORRUPT, "%s could not be made sense of", s->path);
    int err = store_sql_number(
        s, "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check <> 'ok'", &bad);
    if (err == 0 && bad != 0)
        return store_fail(s, WEIR_ECORRUPT, "%s is damaged: a page fails its check", s->path);
    if (err == 0)
        disk_doubt(s, DOUBT_NONE);
    return err;
}

static int connection_open(struct store *s)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(s->path, &s->db, flags, s->config.vfs);

    if (code != SQLITE_OK)
        return store_error(s, code);
    (void)sqlite3_extended_result_codes(s->db, 1); /* can't fail on an open connection */
    s->reopen = false;
    return connection_settings(s);
}

static int tables_readable(struct store *s)
{
    int64_t rows = 0;
    return store_sql_number(s,
                            "SELECT (SELECT max(id) FROM outbox) IS NULL "
                            "+ (SELECT max(id) FROM letters) IS NULL "
                            "+ (SELECT min(id) FROM journal) IS NULL "
                            "+ (SELECT max(id) FROM piece) IS NULL "
                            "+ (SELECT max(key) FROM alert) IS NULL "
                            "+ (SELECT max(last) FROM raw_lost) IS NULL "
                            "+ (SELECT max(name) FROM contract) IS NULL "
                            "+ (SELECT max(id) FROM session) IS NULL "
                            "+ (SELECT max(id) FROM exchange) IS NULL "
                            "+ (SELECT max(id) FROM receipt) IS NULL "
                            "+ (SELECT max(id) FROM letter_try) IS NULL "
                            "+ (SELECT max(place) FROM daily) IS NULL",
                            &rows);
}

static int connection_load(struct store *s)
{
    int64_t rows = 0;
    int err = tables_readable(s);
    if (err == 0)
        err = store_sql_prepare(s);
    if (err == 0)
        err = store_sql_number(s, "SELECT EXISTS(SELECT 1 FROM journal) "
                                  "OR EXISTS(SELECT 1 FROM outbox)", &rows);
    if (err == 0 && rows != 0)
        err = store_state_load(s);
    if (err == 0 && rows != 0)
        err = checkpoint_verify(s);
    s->fresh = err == 0 && rows == 0;
    s->wal_pages = (uint32_t)(disk_wal_bytes(s) / STORE_FRAME_BYTES);
    return err;
}

int store_connect(struct store *s)
{
    int err = s->scrub ? disk_scrub_wal(s) : 0;
    if (err == 0)
        err = connection_open(s);
    if (err == 0)
        err = store_schema(s);
    if (err == 0)
        err = connection_check(s);
    if (err == 0)
        err = connection_load(s);
    if (err == 0)
        s->scrub = false;
    else
        store_disconnect(s);
    return err;
}

/* After an error nothing more is written: no checkpoint on the way out. */
void store_disconnect(struct store *s)
{
    if (s->db == NULL)
        return;
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    store_sql_finalize(s);
    int code = sqlite3_close(s->db);
    assert(code == SQLITE_OK); /* BUSY would be a statement of ours left open */
    (void)code;
    s->db = NULL;
}

int store_ready(struct store *s)
{
    if (s->db != NULL && s->reopen) {
        store_disconnect(s);
        s->scrub = true;
    }
    if (s->db != NULL)
        return 0;
    int err = store_connect(s);
    if (err == 0 && s->fresh)
        err = WEIR_ECORRUPT; /* the file was there when we started */
    return err;
}

/* --- life ---------------------------------------------------------------------------------- */

static int recovery_fill(struct store *s, struct store_recovery *r)
{
    r->store_id[0] = s->state.store_id[0];
    r->store_id[1] = s->state.store_id[1];
    r->newer = s->newer;
    r->last_block = s->state.block;
    r->set_aside = disk_set_aside_count(s);
    r->t_ms = s->state.t_ms;
    r->wall_ms = s->state.wall_ms;
    r->ledger = s->state.ledger;
    int newest = checkpoint_newest(&s->state);
    r->checkpoint_block = newest < 0 ? 0 : s->state.slots[newest].block;
    r->checkpoint_bytes = newest < 0 ? 0 : s->state.slots[newest].total_bytes;
    int err = 0;
    int64_t t_ms;
    for (int lane = 0; err == 0 && lane < LANES; lane++) {
        r->lanes[lane] = s->state.lanes[lane];
        err = outbox_first(s, (enum lane)lane, &r->first_sequence[lane], &t_ms);
    }
    int64_t id = 0;
    int row = err == 0 ? sql_one(s, SQL_BLOCK_OLDEST, &id) : err;
    r->first_block = (uint64_t)id;
    return row < 0 ? row : daily_newest(s, &r->daily_t_ms);
}

static int open_file(struct store *s, const uint64_t entropy[2], struct store_recovery *r)
{
    int err = store_connect(s);
    if (err == WEIR_ENOSPC) { /* what the reserve is for */
        disk_ballast_release(s);
        err = store_connect(s);
    }
    if (err == WEIR_ECORRUPT && s->newer)
        return WEIR_EVERSION; /* s->why says what; the newer Weir may read it */
    if (err == WEIR_ECORRUPT) {
        disk_set_aside(s);
        err = store_connect(s);
    }
    r->created = err == 0 && s->fresh;
    if (r->created)
        err = store_state_begin(s, entropy);
    return err == 0 ? recovery_fill(s, r) : err;
}

static struct store *store_allocate(const struct store_config *config)
{
    assert(strlen(config->path) < STORE_PATH_BYTES_MAX);
    assert(config->disk_bytes_max >= 2 * (config->wal_bytes_max + config->ballast_bytes));
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->config = *config;
    (void)snprintf(s->path, sizeof s->path, "%s", config->path);
    s->config.path = s->path;
    s->pages_max = store_pages_max(config);
    s->scrub = true; /* a process before may have ended over a log that it could not sync */
    if (store_deflate_init(s) != 0) {
        store_close(s);
        return NULL;
    }
    return s;
}

int store_open(const struct store_config *config, uint64_t entropy[2], struct store **store,
               struct store_recovery *recovery, char *why)
{
    *store = NULL;
    *recovery = (struct store_recovery){ 0 };
    if (config->sqlite_heap_bytes > 0)
        (void)sqlite3_hard_heap_limit64((sqlite3_int64)config->sqlite_heap_bytes);
    struct store *s = store_allocate(config);
    if (s == NULL) {
        (void)snprintf(why, STORE_WHY_BYTES, "no memory for the store");
        return WEIR_EFULL;
    }
    int err = open_file(s, entropy, recovery);
    if (err != 0) {
        (void)snprintf(why, STORE_WHY_BYTES, "%s", s->why);
        store_close(s);
        return err == WEIR_EFULL ? WEIR_EIO : err;
    }
    if (disk_ballast_make(s) != 0)
        s->disk_full = true; /* it goes on without a reserve, and tries again later */
    *store = s;
    return 0;
}

/* An orderly end moves the WAL into the file, so that the next start has nothing to recover. */
void store_close(struct store *s)
{
    if (s->db != NULL && s->reopen)
        store_disconnect(s);
    if (s->db != NULL) {
        store_sql_finalize(s);
        int code = sqlite3_close(s->db);
        assert(code == SQLITE_OK);
        (void)code;
    }
    free(s->zip);
    free(s->zip_at);
    free(s->packed);
    free(s);
}

void store_condemn(struct store *s)
{
    if (!s->newer)
        disk_doubt(s, DOUBT_ALL);
}

const char *store_why(const struct store *s)
{
    return s->why;
}
