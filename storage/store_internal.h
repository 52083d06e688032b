/* store_internal: what the files of the store share; nobody else includes it.
 *
 * What is true of the whole store (struct store_state) is one packed record in the journal's own
 * table, at a key behind every block: it shares a page with the newest block, so that small commits
 * write 1.3 pages on average, where a table of its own took 2.0.
 * A transaction works on `next`; only a commit that succeeded makes it `state`. */
#ifndef STORAGE_STORE_INTERNAL_H
#define STORAGE_STORE_INTERNAL_H

#include "pipeline/codec/envelope.h"
#include "pipeline/err.h"
#include "storage/store.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;
struct z_stream_s;

enum {
    STORE_PAGE_BYTES = 4096,
    STORE_FRAME_BYTES = STORE_PAGE_BYTES + 24, /* of the WAL */
    STORE_ROW_BYTES = 48,         /* reckoned for a row beside what it holds */
    STORE_APPLICATION_ID = 0x57656972, /* "Weir", in the file's header */
    STORE_SLICE_ROWS = 64,        /* of one retention step */
    STORE_SLICE_BLOCKS = 8,
    STORE_STATE_BYTES_MAX = 2048,
    STORE_WHY_BYTES = 256,
    STORE_PATH_BYTES_MAX = 512,
    STORE_ROOM_ROUNDS_MAX = 16,   /* of making room before a commit gives up */
    STORE_BALLAST_WAIT = 32       /* commits until a lost ballast is made again */
};

enum sql {
    SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK, SQL_PAGES, SQL_FREE_PAGES,
    SQL_STATE_READ, SQL_STATE_WRITE, SQL_JOURNAL_INSERT, SQL_JOURNAL_DELETE, SQL_BLOCK_READ,
    SQL_BLOCK_OLDEST, SQL_RAW_LOST, SQL_RAW_FORGET,
    SQL_OUTBOX_INSERT, SQL_OUTBOX_DELETE, SQL_OUTBOX_READ, SQL_OUTBOX_FIRST, SQL_OUTBOX_SLICE,
    SQL_OUTBOX_AGE,
    SQL_ALERT_NEWEST, SQL_ALERT_FORGET,
    SQL_LETTER_INSERT, SQL_LETTER_OLDEST, SQL_LETTER_DELETE, SQL_LETTERS_AFTER,
    SQL_LETTERS_NEWEST, SQL_LETTER_READ, SQL_LETTER_BYTES,
    SQL_TRY_READ, SQL_TRY_WRITE, SQL_TRY_DELETE,
    SQL_KEPT_FIND, SQL_KEPT_INSERT, SQL_KEPT_UPDATE, SQL_KEPT_LATEST, SQL_KEPT_OLDEST,
    SQL_KEPT_DELETE, SQL_KEPT_BEFORE, SQL_KEPT_FORGET, SQL_KEPT_WALK, SQL_KEPT_KEYS, SQL_KEPT_READ,
    SQL_PIECE_WRITE, SQL_PIECE_READ, SQL_PIECE_TRIM, SQL_PIECE_PURGE, SQL_PIECE_COUNT,
    SQL_DAILY_INSERT, SQL_DAILY_READ, SQL_DAILY_MARK, SQL_DAILY_DELETE,
    SQL_CONTRACT_WRITE, SQL_CONTRACT_READ, SQL_CONTRACT_TRIM,
    SQL_NUMBERING_WRITE, SQL_NUMBERING_READ, SQL_NUMBERING_TRIM,
    SQL_SESSION_WRITE, SQL_SESSION_DELETE, SQL_SESSION_READ, SQL_SESSION_TRIM,
    SQL_EXCHANGE_WRITE, SQL_EXCHANGE_DELETE, SQL_EXCHANGE_READ,
    SQL_RECEIPT_WRITE, SQL_RECEIPT_READ, SQL_RECEIPT_TRIM,
    SQLS
};

struct checkpoint_slot {
    bool valid;
    uint64_t block;
    uint32_t total_bytes, written_bytes;
    uint32_t crc;                 /* CRC-32 of the bytes written */
    uint32_t place;               /* of its pieces; no other slot's, and no kept one's, unless it is
                                     kept itself */
    int64_t wall_ms;              /* of the state; 0: not known */
};

struct store_state {
    uint64_t store_id[2];
    uint64_t block;               /* last committed */
    int64_t t_ms, wall_ms;        /* of the last commit */
    struct lane_state lanes[LANES];
    struct ledger ledger;
    uint64_t journal_bytes;
    uint64_t outbox_bytes[LANES], outbox_rows[LANES];
    uint64_t letters_bytes, letters_rows;
    uint64_t letter_next;         /* id of the next dead letter, from 1 */
    struct checkpoint_slot slots[2];
    uint64_t prune_limit;         /* blocks up to here may go: an older checkpoint holds them */
    uint64_t table_bytes, table_rows;
    uint64_t table_next;          /* id of the next kept result, from 1 */
    uint64_t pruned;              /* the last block that went; since schema 9 */
};

struct store {
    struct store_config config;
    char path[STORE_PATH_BYTES_MAX];
    struct sqlite3 *db;           /* NULL: closed after an error, opened again by the next call */
    struct sqlite3_stmt *sql[SQLS];
    struct store_state state, next;
    struct envelope envelope;     /* the gateway's last, for gap events */
    uint32_t pages_max;           /* of the file; smaller while the file system is full */
    uint32_t wal_pages;
    bool reopen;                  /* an I/O error makes this connection unusable */
    bool scrub;                   /* the WAL has to be written again before it is trusted */
    bool disk_full;               /* the file system, not the budget; half the ballast is gone */
    bool removing;                /* for so long that old readings make room; all of it is gone */
    bool held_small;              /* pages_max is the file's present size */
    uint32_t ballast_wait;        /* commits left until it is tried again */
    uint64_t ballast_bytes;       /* held now */
    uint64_t alert_scan;          /* behind it the search for alerts that may go continues */
    bool alert_pass_cleared;      /* it looks for cleared ones, after a pass for superseded ... */
    bool alert_pass_found;        /* ... that found none */
    bool fresh;                   /* the file holds no state yet */
    bool newer;                   /* a newer Weir wrote to it: what we can't read is no damage */
    uint64_t evicted[LANES];      /* by the present transaction */
    bool checkpoint_wanted;
    bool daily_settled;           /* of the kept checkpoints none is to go */
    uint32_t daily_count;
    struct z_stream_s *zip;
    uint8_t *zip_at;              /* zlib's memory, taken at start */
    size_t zip_bytes, zip_used;
    uint8_t *packed;              /* one compressed payload */
    size_t packed_bytes;
    char why[STORE_WHY_BYTES];
};

/* --- store_sql.c: statements made once, errors translated ---------------------------------- */
int store_sql_prepare(struct store *s);
void store_sql_finalize(struct store *s);
int store_sql_exec(struct store *s, const char *text);
int store_sql_number(struct store *s, const char *text, int64_t *value); /* first column, or 0 */
void sql_i64(struct store *s, enum sql q, int at, int64_t value);
void sql_blob(struct store *s, enum sql q, int at, struct text bytes);
int sql_next(struct store *s, enum sql q);  /* 1 a row, 0 the end (reset), or an error (reset) */
int sql_run(struct store *s, enum sql q);   /* to the end */
void sql_end(struct store *s, enum sql q);  /* of a statement left early */
int64_t sql_column(struct store *s, enum sql q, int at);
struct text sql_column_bytes(struct store *s, enum sql q, int at); /* until the next step */
int sql_one(struct store *s, enum sql q, int64_t *value); /* one row, one number; 0 when none */
int store_error(struct store *s, int code); /* SQLite's code as ours, its text in s->why */
int store_fail(struct store *s, int err, const char *format, ...) /* the sentence; returns err */
    __attribute__((format(printf, 3, 4)));

/* --- store_open.c -------------------------------------------------------------------------- */
int store_connect(struct store *s);   /* open, lock, migrate, prepare, load the state */
void store_disconnect(struct store *s);
int store_ready(struct store *s);     /* connected, again if need be */
uint32_t store_pages_max(const struct store_config *config); /* what the budget leaves the file */

/* --- store_schema.c ------------------------------------------------------------------------ */
int store_schema(struct store *s); /* migrates it, each step in one transaction with its number */

/* --- store_state.c ------------------------------------------------------------------------- */
int store_state_load(struct store *s);
int store_state_begin(struct store *s, const uint64_t entropy[2]); /* of a new file */
int store_state_write(struct store *s); /* `next`, as of next.block, within a transaction */

/* --- store_commit.c ------------------------------------------------------------------------ */
int store_begin(struct store *s);
int store_end(struct store *s, int err); /* commits when err is 0, else rolls back */
int64_t store_pages_free(struct store *s); /* within the budget; negative: an error */

/* --- store_retention.c --------------------------------------------------------------------- */
enum { SPACE_RESERVE_PAGES_MIN = 32 };
int64_t store_reserve_pages(const struct store *s);
/* Raw blocks by age, by bytes, and while fewer than pages_wanted are free; at most blocks_max. */
int retention_journal(struct store *s, int64_t pages_wanted, uint32_t blocks_max);
/* A transaction of its own that removes the next in the declared order, no more than brings
 * pages_wanted. 1: freed something. */
int retention_make_room(struct store *s, const struct batch *b, int64_t pages_wanted);

/* --- store_outbox.c ------------------------------------------------------------------------ */
int outbox_insert(struct store *s, const struct outbox_row *row);
int outbox_drop_covered(struct store *s, enum lane lane);
/* Evict about `bytes` of a lane in the declared order, at most a slice. */
int outbox_evict(struct store *s, enum lane lane, uint64_t bytes, int64_t wall_ms);
/* Evict what is over the lane's age, at most a slice. */
int outbox_evict_old(struct store *s, enum lane lane, int64_t wall_ms);
/* The oldest row: its sequence and t_ms, those of the next one where there is none. */
int outbox_first(struct store *s, enum lane lane, uint64_t *sequence, int64_t *t_ms);
int outbox_row_remove(struct store *s, enum lane lane, uint64_t sequence, uint64_t bytes);
int outbox_gap(struct store *s, enum lane lane, uint64_t from, uint64_t to, const char *reason,
               int64_t wall_ms);

/* --- store_letters.c ----------------------------------------------------------------------- */
int letter_insert(struct store *s, const struct dead_letter *letter);
int letters_retain(struct store *s, uint32_t rows_max);
int letters_change(struct store *s, const struct batch *b);
int letters_drop(struct store *s, uint32_t rows);

/* --- store_results.c ----------------------------------------------------------------------- */
int results_write(struct store *s, const struct batch *b);
int results_retain(struct store *s, uint32_t rows_max);
int results_drop(struct store *s, uint32_t rows);

/* --- store_contracts.c --------------------------------------------------------------------- */
int contracts_write(struct store *s, const struct batch *b);
int numbering_write(struct store *s, const struct batch *b);

/* --- store_sessions.c ---------------------------------------------------------------------- */
int sessions_write(struct store *s, const struct batch *b);
uint64_t sessions_bytes(const struct batch *b); /* about what they take */

/* --- store_checkpoint.c -------------------------------------------------------------------- */
int checkpoint_write(struct store *s, const struct checkpoint_piece *piece);
/* Read the newest whole one, counting out slots whose bytes are damaged. */
int checkpoint_verify(struct store *s);
int checkpoint_newest(const struct store_state *state); /* its slot, or -1 */
/* Its bytes in order, the first `room` of them into `to`; all are checked. */
int checkpoint_read(struct store *s, const struct checkpoint_slot *slot, uint8_t *to, size_t room);
void checkpoint_bind_place(struct store *s, enum sql q, uint32_t place); /* ?1, ?2: its pieces */

/* --- store_daily.c ------------------------------------------------------------------------- */
struct daily { /* a checkpoint that is kept */
    uint32_t place, bytes, crc;
    uint64_t block;
    int64_t t_ms, wall_ms;
    bool going;                   /* its pieces are being removed */
};
int daily_read(struct store *s, struct daily rows[2 * STORE_DAILY_MAX]);
int daily_newest(struct store *s, int64_t *t_ms); /* 0: none */
/* Where a slot writes next: its place, or a free one where that is kept; negative: an error. */
int daily_place(struct store *s, int slot);
int daily_keep(struct store *s, const struct checkpoint_slot *slot, int64_t t_ms); /* whole now */
/* Mark what is over its number, age or bytes, or has nothing to go on from; remove a piece of what
 * is marked. */
int daily_retain(struct store *s);
/* The oldest goes at once, so many pieces of it at most; how many went, 0: there is nothing. */
int daily_drop(struct store *s, int pieces_max);

/* --- store_disk.c: files beside the database, through the same VFS ------------------------- */
int disk_ballast_make(struct store *s);    /* 0: it is whole */
uint64_t disk_ballast_half(const struct store *s);
bool disk_ballast_halve(struct store *s); /* false: there is no more than half of it */
void disk_ballast_release(struct store *s);
int disk_scrub_wal(struct store *s);
void disk_set_aside(struct store *s);
uint64_t disk_set_aside_count(struct store *s);
/* What the next start has to do about damage that was met in this one. */
enum doubt { DOUBT_NONE, DOUBT_PAGES /* check every page */, DOUBT_ALL /* set the file aside */ };
void disk_doubt(struct store *s, enum doubt doubt);
enum doubt disk_doubted(struct store *s);
uint64_t disk_file_bytes(struct store *s);
uint64_t disk_wal_bytes(struct store *s);
/* store_deflate.c */
int store_deflate_init(struct store *s);
int store_deflate(struct store *s, struct text payload, struct text *packed);

#endif
