/* store: what must survive, in one SQLite file: journal, outbox, dead letters, ledger, checkpoints.
 *
 * One call of store_commit is one transaction, WAL with synchronous=FULL: when it returns 0,
 * everything in the batch is on disk; when it
 * does not, nothing of it is. A block's number is its primary key, so committing a batch again
 * after an unclear error
 * stores nothing twice (WEIR_EBUSY is not returned for that: it is success).
 * Every call blocks on the disk, so it runs on the one worker thread; no two calls at once. The
 * store owns its
 * memory from start (SQLite's share is capped); batches and buffers are the caller's.
 * Retention runs inside commits, a bounded piece each time, so that it is part of the same ledger.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/arena.h"
#include "pipeline/hash.h"
#include "pipeline/reject.h"
#include "pipeline/text.h"
#include "storage/ledger.h"

enum lane { LANE_ALERTS, LANE_RESULTS, LANE_RAW, LANES };

enum {
    STORE_PIECE_BYTES = 64 * 1024,  /* of a checkpoint, a commit */
    STORE_SCHEMA_VERSION = 1
};

struct store_config {
    const char *path;            /* of the file; its WAL and ballast stand beside it */
    const char *vfs;             /* SQLite VFS name; NULL: the system's. Tests name a faulty one */
    /* tests only: synchronous=NORMAL, which loses acknowledged readings */
    bool unsafe_sync_normal;
    uint64_t disk_bytes_max;     /* file, WAL and ballast together; >= 8 MiB */
    uint64_t wal_bytes_max;      /* journal_size_limit and the checkpoint threshold */
    uint64_t ballast_bytes;      /* reserve given up when the disk is full */
    uint64_t journal_bytes_max;  /* share of raw blocks */
    uint64_t outbox_bytes_max[LANES];
    uint64_t letters_bytes_max;
    int64_t journal_age_max_ms;  /* pipeline time */
    int64_t letters_age_max_ms;
    uint32_t letters_max;        /* rows */
    size_t sqlite_heap_bytes;    /* hard limit; a NOMEM is a failed commit */
};

struct outbox_row {
    enum lane lane;
    uint64_t sequence;           /* contiguous in its lane, from 1; given by the gateway */
    struct hash128 key;          /* alerts: the alert; else zero */
    uint32_t revision;           /* alerts: of that alert */
    bool cleared;                /* alerts: this revision clears it */
    int64_t t_ms;                /* when it was made */
    struct text payload;         /* as it is sent, byte for byte */
};

struct dead_letter {
    uint64_t id;                 /* given by the store, growing; 0 when written */
    int64_t t_ms, wall_ms;       /* of arrival */
    enum reject_reason reason;
    uint32_t fault_offset;       /* byte of the payload */
    uint32_t readings;           /* that it stands for */
    struct text source, topic, payload;
};

struct lane_state { /* of the one destination */
    uint64_t next_sequence;      /* that the next row enqueued gets; 1 at first */
    uint64_t covered;            /* rows up to here have reached the receiver, and are gone */
};

struct checkpoint_piece { /* bytes NULL: none in this commit */
    uint64_t block;              /* the state is as of this block's end */
    uint32_t offset;             /* of this piece */
    uint32_t total_bytes;        /* of the whole state */
    struct text bytes;           /* at most STORE_PIECE_BYTES */
    bool last;                   /* with it the slot becomes valid */
};

/* everything that one commit holds; slices are the gateway's and stand still until it is done */
struct batch {
    uint64_t block;              /* number: last committed + 1; also for a batch without records */
    int64_t t_ms;                /* pipeline time reached */
    struct text journal;         /* the packed block; empty: no records */
    uint32_t readings;           /* in it */
    const struct outbox_row *rows;
    uint32_t row_count;
    const struct dead_letter *letters;
    uint32_t letter_count;
    struct lane_state lanes[LANES]; /* as they are after this batch; `covered` deletes rows */
    /* intake as it is after this batch; held and removed are the store's */
    struct ledger ledger;
    struct checkpoint_piece checkpoint;
    uint64_t forwarded_block;    /* raw data up to here has been forwarded; 0: none */
    /* out, valid when store_commit returned 0: */
    uint64_t held, removed[REMOVALS];
    uint64_t disk_bytes, wal_bytes, outbox_bytes[LANES], outbox_rows[LANES];
    /* rows removed unsent by this commit; a gap event stands in their place */
    uint64_t evicted[LANES];
    uint64_t first_sequence[LANES]; /* of the oldest row still held; next_sequence when empty */
    int64_t commit_us;           /* time that the transaction took; 0 in a world */
};

struct store_recovery { /* what an opened store knows */
    uint64_t store_id[2];        /* random, made with the file */
    bool created;                /* the file is new */
    /* a damaged file was renamed to PATH.damaged-N and a new one begun */
    bool set_aside;
    uint64_t last_block;         /* 0: none */
    int64_t t_ms;                /* pipeline time reached */
    struct lane_state lanes[LANES];
    uint64_t first_sequence[LANES];
    struct ledger ledger;
    uint64_t checkpoint_block;   /* of the newest valid checkpoint; 0: none */
    uint32_t checkpoint_bytes;
    uint64_t first_block;        /* oldest block held; 0: none */
};

struct store; /* opaque */

/* Open or make the file, check it, lock it, migrate its schema.
 * `why` (256 bytes) receives the sentence for people on error.
 *   WEIR_EBUSY  another process has it; WEIR_EVERSION  a newer Weir's; WEIR_EIO, WEIR_ENOSPC */
int store_open(const struct store_config *config, uint64_t entropy[2], struct store **store,
               struct store_recovery *recovery, char *why);
void store_close(struct store *store);

/* 0, WEIR_EIO, WEIR_ENOSPC (disk or budget; nothing was stored, try again later), WEIR_ECORRUPT. */
int store_commit(struct store *store, struct batch *batch);

/* Copy `bytes` of the newest valid checkpoint's state to `to`. */
int store_checkpoint_read(struct store *store, uint8_t *to, size_t bytes);

/* The first journal block numbered `from` or more, into `to`. *number 0: there is none.
 *   WEIR_EFULL  it needs more room than `bytes` */
int store_block_read(struct store *store, uint64_t from, uint8_t *to, size_t bytes, uint64_t *number,
                     size_t *used);

/* Rows of a lane from a sequence on, oldest first, as many as fit into `to` and `rows_max`; payload
 * slices
 * point into `to`. *count 0: none. */
int store_outbox_read(struct store *store, enum lane lane, uint64_t from, uint8_t *to, size_t bytes,
                      struct outbox_row *rows, uint32_t rows_max, uint32_t *count);

/* Dead letters with id > after, oldest first, or the newest first when after is UINT64_MAX. */
int store_letters_read(struct store *store, uint64_t after, uint8_t *to, size_t bytes,
                       struct dead_letter *letters, uint32_t letters_max, uint32_t *count);
int store_letter_read(struct store *store, uint64_t id, uint8_t *to, size_t bytes,
                      struct dead_letter *letter); /* WEIR_ENOTFOUND */

/* Move a row that can't be sent to the dead letters (reason REJECT_NONE, source "uplink"); in its
 * own transaction. */
int store_outbox_poison(struct store *store, enum lane lane, uint64_t sequence, const char *why,
                        int64_t t_ms, int64_t wall_ms);

#endif
