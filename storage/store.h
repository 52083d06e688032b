/* store: what must survive, in one SQLite file: journal, outbox, dead letters, ledger, checkpoints,
 * contracts, sessions of devices, results of streams that may be asked for.
 *
 * One call of store_commit is one transaction, WAL with synchronous=FULL: when it returns 0,
 * everything in the batch is on disk; when it does not, nothing of it is. A block's number is its
 * primary key, so committing a batch again after an unclear error stores nothing twice and returns
 * 0. After an I/O error the connection is closed; the next call opens it again, writes the WAL once
 * more, and finds out whether the batch had been stored. So does a start: what store_open tells of
 * is on disk, also what the process before it wrote and could not sync.
 *
 * Every call blocks on the disk, so it runs on the one worker thread; no two calls at once. The
 * store owns its memory from start (SQLite's share is capped by sqlite_heap_bytes, which must hold
 * three times the largest block or payload beside 1 MiB); batches and buffers are the caller's.
 *
 * Retention runs inside commits, a bounded piece each time, so that it is part of the same ledger.
 * Raw blocks go by age, by bytes, and when the file nears its share of the disk; never one behind
 * the older checkpoint. One counts as forwarded when the raw lane held all its readings and what is
 * covered holds them too, none evicted or refused before. Of an outbox lane over its share the
 * oldest rows go, and of results and raw those over their age; of alerts superseded revisions, then
 * cleared ones and notices, never an alert that stands. A gap event takes the place of what went.
 * Of kept results those go that were first told longest ago. Checkpoints that are kept for replays
 * are the first to go where pages are short; one that the journal does not go on from goes too.
 *
 * A file that can't be read (its header, a table, the state's checksum; every page, but only after
 * an earlier run met damage, since that takes minutes on a memory card) is renamed
 * PATH.damaged-1 to -3 with its WAL and a new one begins; the third such place is used again, and
 * removing them is left to people. PATH.damaged counts them. */
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
    STORE_PAYLOAD_BYTES_MAX = 256 * 1024, /* of one outbox row, before it is compressed */
    STORE_SCHEMA_VERSION = 10,
    STORE_SCHEMA_READER = 9,        /* the oldest schema whose Weir may open and write our file */
    STORE_SCHEMA_BEFORE = 9,        /* of the release before, to which an update is rolled back */
    STORE_TRIES_KEPT = 16,          /* of a dead letter's failed tries; the last ones */
    STORE_CONTRACTS_MAX = 64,       /* kept: the latest accepted */
    STORE_NUMBERINGS_MAX = 64,      /* kept: the latest */
    STORE_DAILY_MAX = 31,           /* checkpoints kept beside the two */
    STORE_SESSION_BYTES_MAX = 1024  /* of one session's row */
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
    int64_t outbox_age_max_ms[LANES]; /* pipeline time; 0: never. ALERTS: 0 */
    uint64_t letters_bytes_max;
    int64_t journal_age_max_ms;  /* pipeline time */
    int64_t letters_age_max_ms;
    uint32_t letters_max;        /* rows */
    uint64_t table_bytes_max;    /* share of kept results; 0: none are */
    int64_t table_age_max_ms;    /* pipeline time since they were told last */
    uint32_t daily_max;          /* checkpoints kept; <= STORE_DAILY_MAX; 0: none */
    uint64_t daily_bytes_max;    /* and their share */
    int64_t daily_age_max_ms;    /* pipeline time */
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

#define LETTER_NO_OFFSET UINT32_MAX /* the fault has no place in the payload */

struct dead_letter {
    uint64_t id;                 /* given by the store, growing; 0 when written */
    int64_t t_ms, wall_ms;       /* of arrival */
    enum reject_reason reason;
    uint32_t fault_offset;       /* byte of the payload, where it could not be read as a reading */
    uint32_t readings;           /* that it stands for */
    struct text source, topic, payload;
    struct text device;          /* that its connection showed to be; empty: not known */
    /* what of its message was taken when it came, as firmware/gateway/gateway_letters.c packs it;
     * empty: not known */
    struct text taken;
    /* tried again in vain so often; of the last STORE_TRIES_KEPT when (i64 wall_ms) and why (u8),
     * packed, oldest first. Empty and 0 when written */
    uint32_t tries;
    struct text history;
};

struct letter_change {           /* of one that is held; one that is gone is passed over */
    uint64_t id;
    bool removed;                /* else it was tried in vain: */
    enum reject_reason reason;
    int64_t wall_ms;
};

/* A window of a stream, as it was told last: of two rows of the same stream, key, start and end the
 * one of the greater revision is kept. */
struct kept_result {
    struct text stream, key;
    int64_t start_ms, end_ms;
    uint32_t revision;
    bool retracted;              /* it is told to be no window any more */
    struct text body;            /* the gateway's */
};

/* Where a walk through them goes on: behind this window, whether that is still kept or not. */
enum { STORE_KEPT_KEY_BYTES_MAX = 250 };
struct kept_place {
    bool given;                  /* else from the first */
    int64_t start_ms, end_ms;
    uint32_t key_bytes;
    uint8_t key[STORE_KEPT_KEY_BYTES_MAX];
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
    int64_t t_ms, wall_ms;       /* of the state */
    bool daily;                  /* it is kept beside the two, for replays */
    /* with it the slot becomes valid. Offset 0 begins anew; others follow the piece before */
    bool last;
};

/* Of an MQTT session that outlives its connection: its row, which only its owner reads, and a row
 * for each QoS 2 exchange that is not over. */
enum session_change_kind { SESSION_PUT, SESSION_REMOVE, EXCHANGE_PUT, EXCHANGE_REMOVE };

struct session_change {
    enum session_change_kind kind;
    uint16_t packet_id;          /* EXCHANGE_* */
    uint32_t session;            /* its number; the owner's choice */
    uint32_t mark;               /* EXCHANGE_PUT */
    struct text row;             /* SESSION_PUT; at most STORE_SESSION_BYTES_MAX */
};

struct receipt_row { /* how far a device's numbers are known to be stored */
    uint32_t number;             /* of the row; the owner's choice */
    struct text device;
    uint64_t sequence, above;    /* the owner's */
};

struct contract;

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
    const struct letter_change *letter_changes;
    uint32_t letter_change_count;
    const struct kept_result *kept; /* in the order in which they were told */
    uint32_t kept_count;
    struct lane_state lanes[LANES]; /* as they are after this batch; `covered` deletes rows */
    /* intake as it is after this batch; held and removed are the store's */
    struct ledger ledger;
    struct checkpoint_piece checkpoint;
    const struct contract *contracts; /* accepted with this commit */
    uint32_t contract_count;
    struct text numbering;       /* of this block and those behind it; empty: the one before */
    /* of it the shares of journal and kept results, from this commit on; NULL: as before */
    const struct store_config *shares;
    const struct session_change *sessions; /* made in this order; PUT replaces */
    uint32_t session_count;
    const struct receipt_row *receipts;
    uint32_t receipt_count;
    bool raw_whole;              /* its rows of the raw lane hold every reading of the block */
    int64_t wall_ms;             /* kept as the last time stored, and written into gap events */
    /* the file system has been full for long: from now on, until a ballast fits again, the oldest
     * raw readings make room inside the file */
    bool may_remove;
    /* how gap events are rendered; NULL: as with the last batch. Its slices outlive the store */
    const struct envelope *envelope;
    /* out, valid when store_commit returned 0: */
    uint64_t held, removed[REMOVALS];
    uint64_t disk_bytes, wal_bytes, outbox_bytes[LANES], outbox_rows[LANES];
    uint64_t table_bytes, table_rows;
    uint32_t daily_count;        /* checkpoints kept beside the two, with those that are going */
    /* rows removed unsent by this commit; a gap event stands in their place */
    uint64_t evicted[LANES];
    uint64_t first_sequence[LANES]; /* of the oldest row still held; next_sequence when empty */
    int64_t first_t_ms[LANES];   /* when that was made; this commit's when empty */
    int64_t commit_us;           /* time that the transaction took; 0 in a world */
    /* room is short, and only the older checkpoint keeps raw blocks from going: take one now,
     * while there is a reserve for it; without one, later commits come to WEIR_ENOSPC */
    bool checkpoint_wanted;
};

struct store_recovery { /* what an opened store knows */
    uint64_t store_id[2];        /* random, made with the file */
    bool created;                /* the file is new */
    bool newer;                  /* a newer Weir took it further; it is good for us too */
    uint64_t set_aside;          /* damaged files so far, at this path */
    uint64_t last_block;         /* 0: none */
    int64_t t_ms;                /* pipeline time reached */
    int64_t wall_ms;             /* of the last commit; 0: none */
    struct lane_state lanes[LANES];
    uint64_t first_sequence[LANES];
    struct ledger ledger;
    uint64_t checkpoint_block;   /* of the newest valid checkpoint; 0: none */
    uint32_t checkpoint_bytes;
    uint64_t first_block;        /* oldest block held; 0: none */
    int64_t daily_t_ms;          /* of the newest checkpoint kept for replays; 0: none is */
};

struct store; /* opaque */
struct envelope;

/* What went wrong last, for the log: a sentence with SQLite's own words. "" at first. */
const char *store_why(const struct store *store);

/* Open or make the file, check it, lock it, migrate its schema. One that a newer Weir took further
 * is opened where that one left it readable for us; it is never set aside, nor condemned.
 * `why` (256 bytes) receives the sentence for people on error.
 *   WEIR_EBUSY     another process has it
 *   WEIR_EVERSION  a newer Weir's, and not readable by this one
 *   WEIR_EINVAL    another program's database
 *   WEIR_EIO, WEIR_ENOSPC, WEIR_EFULL (no memory) */
int store_open(const struct store_config *config, uint64_t entropy[2], struct store **store,
               struct store_recovery *recovery, char *why);
void store_close(struct store *store);
/* What it holds makes no sense: the next open sets the file aside. */
void store_condemn(struct store *store);

/* 0; or nothing was stored and
 *   WEIR_EIO       try again
 *   WEIR_ENOSPC    disk or budget, and nothing more may be removed: try again later. Where only the
 *                  older checkpoint holds blocks, earlier commits said checkpoint_wanted. On a full
 *                  file system nothing is removed before a batch says may_remove: somebody else may
 *                  make room
 *   WEIR_ECORRUPT  the file is damaged, or the batch does not follow the last one (its ledger, its
 *                  block, a row's sequence): see store_why */
int store_commit(struct store *store, struct batch *batch);

/* Every checkpoint that is held and that the journal goes on from, newest first; *count, 0 on
 * error. What one holds may still turn out to be damaged. */
struct checkpoint_place {
    uint64_t block;              /* the state is as of its end */
    uint32_t bytes;
    int64_t wall_ms;             /* of that commit; 0: not known */
};
enum { STORE_CHECKPOINTS_MAX = 2 + 2 * STORE_DAILY_MAX };
int store_checkpoints(struct store *store, struct checkpoint_place places[STORE_CHECKPOINTS_MAX],
                      uint32_t *count);
/* What one of them holds, into `to`: of one that is larger its first `room` bytes. WEIR_ECORRUPT:
 * of the whole. */
int store_checkpoint_read_at(struct store *store, const struct checkpoint_place *place,
                             uint8_t *to, size_t room);

/* One that can't be read for good is none from now on: the next one takes its place, and not that
 * of the one which could be. */
void store_checkpoint_pass_over(struct store *store, const struct checkpoint_place *place);

/* The first journal block numbered `from` or more, into `to`. *number 0: there is none.
 *   WEIR_EFULL  it needs more room than `bytes` */
int store_block_read(struct store *store, uint64_t from, uint8_t *to, size_t bytes,
                     uint64_t *number, size_t *used);

/* Rows of a lane from a sequence on, oldest first, as many as fit into `to` and `rows_max`; payload
 * slices point into `to`. Events (JSON) come as they were given, batches of results and raw as zlib
 * (RFC 1950). *count 0: none.
 *   WEIR_EFULL  the first does not fit */
int store_outbox_read(struct store *store, enum lane lane, uint64_t from, uint8_t *to, size_t bytes,
                      struct outbox_row *rows, uint32_t rows_max, uint32_t *count);

/* Dead letters with id > after, oldest first, or the newest first when after is UINT64_MAX. */
int store_letters_read(struct store *store, uint64_t after, uint8_t *to, size_t bytes,
                       struct dead_letter *letters, uint32_t letters_max, uint32_t *count);
int store_letter_read(struct store *store, uint64_t id, uint8_t *to, size_t bytes,
                      struct dead_letter *letter); /* WEIR_ENOTFOUND */

/* Kept results of a stream whose windows begin at from_ms or later and before to_ms, in order of
 * start, key and end; or, `latest`, of each key the one with the greatest end, in order of key.
 * Those behind `after`, as far as they fit, of at most looked_max rows that are looked at. */
struct kept_query {
    struct text stream;
    int64_t from_ms, to_ms;
    bool latest;
    struct kept_place after;
    void *ctx;
    bool (*wanted)(void *ctx, struct text key); /* NULL: all */
    uint32_t rows_max, looked_max;
};
/* *next: `after` of what follows; not given: nothing does. Slices point into `to`. */
int store_kept_read(struct store *store, const struct kept_query *query, uint8_t *to, size_t bytes,
                    struct kept_result *rows, uint32_t *count, struct kept_place *next);

/* The contract of this name as it was last accepted; WEIR_ENOTFOUND, WEIR_ECORRUPT. */
int store_contract_read(struct store *store, const char *name, struct contract *contract);

/* The numbering by which this block is written, into `to`; *from: the block that began it. *used 0:
 * none is known.
 *   WEIR_EFULL  it needs more room than `bytes` */
int store_numbering_read(struct store *store, uint64_t block, uint8_t *to, size_t bytes,
                         uint64_t *from, size_t *used);

/* Call back for every session, then for every exchange, in order of their numbers; a slice is valid
 * within its call. Exchanges of a session that has no row do not occur. */
struct session_visitor {
    void *ctx;
    void (*session)(void *ctx, uint32_t session, struct text row);
    void (*exchange)(void *ctx, uint32_t session, uint16_t packet_id, uint32_t mark);
};
int store_sessions_each(struct store *store, const struct session_visitor *visitor);
int store_receipts_each(struct store *store, void *ctx,
                        void (*receipt)(void *ctx, const struct receipt_row *row));
/* Forget sessions and receipts numbered `sessions_max` and above. In its own transaction. */
int store_sessions_trim(struct store *store, uint32_t sessions_max);

/* Move a row that can't be sent to the dead letters (REJECT_UPSTREAM_REFUSED, source "uplink",
 * topic `why`); a gap event takes its place in the lane. In its own transaction.
 *   WEIR_ENOTFOUND  it is gone */
int store_outbox_poison(struct store *store, enum lane lane, uint64_t sequence, const char *why,
                        int64_t t_ms, int64_t wall_ms);

#endif
