/* gateway: takes the turns. It knows no socket, no thread and no clock: bytes and times come in by
 * gateway_on_*, and
 * what it wants done leaves through `struct gateway_ports`. The event loop drives it in production,
 * a seed in the world.
 *
 * A turn: gateway_begin_turn(time), then events, then gateway_end_turn, which seals a batch when it
 * is due. Take, think, commit, then
 * acknowledge and send: nothing leaves before the commit that holds it is done. Two batches: one
 * fills while one is in flight.
 * A commit that fails is tried again with the same batch while nothing new is taken; after
 * commit.retry_for
 * gateway_failed() is true and the process ends without acknowledging.
 */
#ifndef FIRMWARE_GATEWAY_H
#define FIRMWARE_GATEWAY_H

#include "firmware/config/config.h"
#include "hal/hal.h"
#include "pipeline/arena.h"
#include "pipeline/codec/codec_json.h"
#include "pipeline/engine/engine.h"
#include "pipeline/pressure/histogram.h"
#include "pipeline/pressure/shed.h"
#include "storage/block.h"
#include "storage/store.h"

/* --- one job for the store's worker; at most one is under way -----------------------------------
 * */

enum store_job_kind { STORE_JOB_COMMIT, STORE_JOB_OUTBOX, STORE_JOB_POISON, STORE_JOB_QUERY };

enum { GATEWAY_FETCH_BYTES = 256 * 1024, GATEWAY_FETCH_ROWS = 64 };

struct store_job {
    enum store_job_kind kind;
    int result;                      /* set by whoever ran it */
    const char *why;                 /* likewise: the store's words for it; until the next job */
    struct batch *batch;             /* COMMIT */
    enum lane lane;                  /* OUTBOX, POISON */
    uint64_t sequence;               /* OUTBOX: from; POISON: which */
    uint8_t *to;                     /* OUTBOX: [GATEWAY_FETCH_BYTES] */
    struct outbox_row *rows;         /* OUTBOX: [GATEWAY_FETCH_ROWS] */
    uint32_t row_count;
    int64_t t_ms, wall_ms;           /* POISON */
    void (*query)(void *query_ctx, struct store *store); /* QUERY: runs on the worker */
    void (*query_done)(void *query_ctx);                 /* and then on the loop */
    void *query_ctx;
};

/* Limits under which any block that a Weir of this version wrote can be read. */
struct block_limits gateway_block_limits_max(void);

/* Does the job's call on the store; sets job->result. Runs on the worker, or inline in a world. */
void store_job_run(struct store_job *job, struct store *store);

struct gateway_ports {
    void *ctx;
    /* Run the job and, later, in another turn or this one, call gateway_on_store_done. */
    void (*store_begin)(void *ctx, struct store_job *job);
    /* This source's messages up to this number are committed whole: send their acknowledgements. A
     * source whose acknowledgements can only go all together finds that no later one was taken. */
    void (*source_acknowledge)(void *ctx, uint32_t source, uint64_t number);
    /* Hand one row to the uplink. 0: taken, gateway_on_sent or gateway_on_send_failed follows;
     * WEIR_EAGAIN: not now (window full or not connected). */
    int (*uplink_send)(void *ctx, const struct outbox_row *row);
    /* Something worth a log line: an event name, then key=value text. */
    void (*log)(void *ctx, const char *event, const char *details);
    /* HMAC-SHA256 under the key for `pii: hmac`; NULL where no source has that. */
    void (*hmac)(void *ctx, struct text value, uint8_t mac[32]);
    /* A start has folded the journal up to this block, and so many readings; NULL: nobody asks. */
    void (*folding)(void *ctx, uint64_t block, uint64_t readings);
};

struct gateway; /* opaque; gateway.c */

/* NULL while the arena only measures. All pointers outlive the gateway. */
struct gateway *gateway_init(const struct config *config, const struct gateway_ports *ports,
                             const struct json_memory *json, struct arena *arena);

/* --- start: rebuild the state from the store -----------------------------------------------------
 * */

/* What rebuilding needs and nothing later does: main takes it from the heap and gives it back. */
struct fold_memory {
    struct block_reader *reader; /* made with gateway_block_limits_max() */
    uint8_t *block;              /* [gateway_block_limits_max().bytes_max] */
    size_t block_bytes;
    /* for configurations that were in force; NULL: the present one stands in for them */
    struct config *then[2];
    /* that the fold may take of the heap meanwhile, for one whose state needs more room than the
     * present one and limits.reload have; it gives it back */
    size_t heap_bytes_max;
};

/* Load the checkpoint and fold the journal behind it, by the configurations that were in force, and
 * go over from the last of them to the present one, as gateway_reload does. Uses the store
 * directly, before any job. Journals what is new (configuration, clock) with the first commit. A
 * clock that is not synced is not believed below recovery->wall_ms, the last time stored; main
 * raises it to the time of the build. `why` has 256 bytes.
 * config->engine.store is the store's id by now: alerts' ids hang on it.
 * Errors: WEIR_ECORRUPT when the journal can't be read, WEIR_EFULL when the state is larger than
 * the configuration allows, or the store's. */
int gateway_recover(struct gateway *g, struct store *store, const struct store_recovery *recovery,
                    struct hal_time now, struct fold_memory memory, char *why);

/* How long that took, by main's clock: from it follows how much may be journalled before the next
 * checkpoint. */
void gateway_on_recovered(struct gateway *g, int64_t took_ms);

/* The configuration's contracts are those accepted last, from the first commit on. After
 * gateway_recover, where they differ from what the store holds. */
void gateway_accept_contracts(struct gateway *g);

/* --- another configuration ----------------------------------------------------------------- */

enum reload_state {
    RELOAD_NONE,
    RELOAD_WANTED,
    RELOAD_COMMITTING, /* it is in force, and the journal is about to say so */
    RELOAD_DONE,
    RELOAD_FAILED
};

/* Take over another configuration, which differs in what may (config_diff), with the next batch;
 * gateway_reload_state says when. What is defined as before keeps its state; on FAILED all is as it
 * was. `config` stands still until the reload after next is asked for; config->engine.store is
 * set. On error nothing changed, and `why` (256 bytes) has a sentence:
 * WEIR_EFULL: it needs more memory than there is; WEIR_EAGAIN: not now. */
int gateway_reload(struct gateway *g, const struct config *config, char *why);
enum reload_state gateway_reload_state(const struct gateway *g);
const struct config *gateway_config(const struct gateway *g); /* that is in force */

/* --- turns ---------------------------------------------------------------------------------------
 * */

void gateway_begin_turn(struct gateway *g, struct hal_time now);
void gateway_end_turn(struct gateway *g);

/* From here on, know up to which number all of this device's messages are stored, counting from the
 * first heard; a dead letter counts, where its number could be read. Returns a handle, or
 *   WEIR_EFULL   limits.sessions devices are watched
 *   WEIR_EINVAL  no device can have that name */
int gateway_receipt_watch(struct gateway *g, struct text device);
void gateway_receipt_unwatch(struct gateway *g, int receipt);
/* False: nothing of it is committed yet. */
bool gateway_receipt(const struct gateway *g, int receipt, uint64_t *sequence);

/* Pipeline time, of this turn. */
int64_t gateway_t_ms(const struct gateway *g);

/* When the next turn is due at the latest, in hal_time.mono_ms; INT64_MAX: only on an event. */
int64_t gateway_next_turn_ms(const struct gateway *g);

/* Commit failed for longer than commit.retry_for, or an invariant of the store broke: end the
 * process. */
bool gateway_failed(const struct gateway *g);
/* Seal what there is, finish it, write a checkpoint; gateway_idle() is true when nothing is left to
 * do. */
void gateway_begin_stop(struct gateway *g);
bool gateway_idle(const struct gateway *g);

/* --- events, within a turn -----------------------------------------------------------------------
 * */

/* Whether one more message of the largest size may be taken from this source now. Where
 * acknowledgements can only be sent all together (a broker's), also false while a commit that holds
 * some of them is under way. */
bool gateway_may_take(const struct gateway *g, uint32_t source);

/* How many messages at most are taken from this source in one turn: fewer under pressure, by its
 * priority. */
enum { GATEWAY_TURN_MESSAGES = 512 };
uint32_t gateway_turn_messages(const struct gateway *g, uint32_t source);
/* How many may be under way, likewise: of a broker until they are acknowledged; of a device, what
 * it is told when it connects. At least 1. */
uint32_t gateway_receive_maximum(const struct gateway *g, uint32_t source);

struct message {
    uint32_t source;        /* index in the configuration */
    uint8_t qos;
    struct text topic, payload;
    /* Its row of a QoS 2 exchange, EXCHANGE_PUT: for the commit that holds the last of the message,
     * so that both are there or none; NULL: none */
    const struct session_change *exchange;
    bool exchange_if_rejected; /* else a message that is refused whole leaves no row */
    /* The one that its connection showed to be: it may speak for itself alone. Empty: not known. */
    struct text device;
};

struct taken {
    uint64_t number;          /* of the message, among its source's since the start; from 1 */
    /* NONE: some of its readings are stored, or duplicates, or all are shed */
    enum reject_reason reason;
};
/* gateway_may_take was true. Never fails: what can't be used becomes a dead letter, and at shed
 * level 4 what came at QoS 0 is counted and dropped. */
struct taken gateway_on_message(struct gateway *g, const struct message *message);

/* A change of what is kept for a client, for the next commit; returns its number among the source's
 * messages, and is acknowledged like one. gateway_may_take was true; it has room for two. */
uint64_t gateway_on_session(struct gateway *g, uint32_t source,
                            const struct session_change *change);

/* The number of the commit that goes with what is given now, and of the last that is done. Grow. */
uint64_t gateway_block(const struct gateway *g);
uint64_t gateway_committed(const struct gateway *g);

/* A hint: in a few messages one comes on this topic (empty: nothing is known), see engine_expect.
 * Worth its cost only while gateway_looks_ahead. */
void gateway_expect(const struct gateway *g, uint32_t source, struct text topic);
bool gateway_looks_ahead(const struct gateway *g);

/* A device with a will went without a word: journalled, and a notice upstream. `will` is what it
 * left to be said (empty of a source with `pii`), printable ASCII without quotes; may be empty.
 * WEIR_EAGAIN: not now. */
int gateway_on_gone(struct gateway *g, uint32_t source, struct text device, struct text will);

/* A dead letter, read from the store, tried again by the present configuration. All that was
 * rejected of it or nothing: these readings, and its removal, are in one commit with the last of
 * them; where any of them is rejected again nothing is taken, and that goes into its history. */
enum retry_outcome {
    RETRY_STORED,    /* or all of it were repeats */
    RETRY_REJECTED,  /* again */
    /* a part of it was stored when it came, and nobody can say which; or whether the rest came
     * again and was stored then: that is stored `as_new` */
    RETRY_PARTIAL,
    RETRY_POISONED,  /* in vain too often: only with `poisoned` */
    RETRY_NO_USE,    /* for its reason: cut off, another device's, not a reading */
    RETRY_NO_SOURCE, /* its source is not configured any more */
    RETRY_OUTCOMES
};
struct retried {
    enum retry_outcome outcome;
    enum reject_reason reason;   /* REJECTED */
    uint32_t stored, duplicate;  /* readings */
};
enum { GATEWAY_RETRIES_MAX = 5 }; /* in vain; after that it is poisoned */
struct retry_how {
    bool dry;      /* only what would become of it */
    bool poisoned; /* also one that was tried in vain too often */
    bool as_new;   /* the rest of a message whose number is known was not stored meanwhile */
};
/* Whom its payload named, where its topic and its connection did not say; else empty. */
struct text gateway_letter_named(const struct dead_letter *letter);
/* WEIR_EAGAIN: not now; WEIR_ENOTFOUND: it is gone. */
int gateway_retry(struct gateway *g, const struct dead_letter *letter, struct retry_how how,
                  struct retried *to);
/* Forget one that was read from the store. WEIR_EAGAIN, WEIR_ENOTFOUND. */
int gateway_drop_letter(struct gateway *g, const struct dead_letter *letter);

void gateway_on_source(struct gateway *g, uint32_t source, bool connected);
void gateway_on_store_done(struct gateway *g, struct store_job *job);

void gateway_on_uplink(struct gateway *g, bool connected);
/* The broker's PUBACK for a row, or its failure (`refused`: by a reason code >= 0x80, else
 * connection trouble). */
void gateway_on_sent(struct gateway *g, enum lane lane, uint64_t sequence);
void gateway_on_send_failed(struct gateway *g, enum lane lane, uint64_t sequence, bool refused);
/* The receiver's receipt: everything up to `covered` has arrived. And its wish to have a range
 * again. */
void gateway_on_receipt(struct gateway *g, enum lane lane, uint64_t covered);
void gateway_on_replay_request(struct gateway *g, enum lane lane, uint64_t from, uint64_t to);

/* The source was read until it had nothing more. Lag is the time since then. */
void gateway_on_drained(struct gateway *g, uint32_t source);

/* Readings a second that one gateway can take, by calibration; before the first turn. Without it
 * nobody is told how many gateways the load wants. */
void gateway_set_capacity(struct gateway *g, double readings_per_second);

/* How long the last turn took, and how much memory the process takes of what it may take. */
void gateway_on_load(struct gateway *g, int64_t turn_ms, uint32_t memory_percent);

/* A new inventory file: take it over and journal it. On error (a sentence in `why`, 256 bytes) the
 * old one stays:
 * WEIR_EINVAL, WEIR_EFULL, WEIR_EAGAIN (no room before the next commit: try again). */
int gateway_on_inventory(struct gateway *g, const uint8_t digest[32], struct text content,
                         bool json, char *why);

/* Acknowledge or shelve an alert ("ack ID", "shelve ID until_ms", "unshelve ID"). WEIR_ENOTFOUND,
 * WEIR_EAGAIN. */
int gateway_command(struct gateway *g, struct text command);

/* Devices are being worked on from now on, until a wall time: their alerts call nobody. Of one that
 * is already, the end and the reason are changed. WEIR_EINVAL, WEIR_EFULL, WEIR_EAGAIN. And its
 * end: WEIR_ENOTFOUND, WEIR_EAGAIN. */
int gateway_maintain(struct gateway *g, const struct maintenance_order *order);
int gateway_resume(struct gateway *g, struct text device);

/* Let a commit go through the store and back, though nothing waits for one: the caller sees it in
 * gateway_view().commits. Costs a row's write and a flush. */
void gateway_self_test(struct gateway *g);

/* What was made and told once before, and was made again from the journal (`weir replay --emit`):
 * events of alerts and batches of results of this store, into the lane of results behind all that
 * waits there. The pipeline knows nothing of it. All or none of them; *block: they are on disk when
 * that is committed (gateway_view().block).
 *   WEIR_EAGAIN    not now: too much waits already, or the gateway is behind
 *   WEIR_EINVAL    one is not what this store may tell
 *   WEIR_ENOTFOUND there is no uplink */
enum { GATEWAY_BACKFILL_ROWS = 16, GATEWAY_BACKFILL_BYTES = 96 * 1024 }; /* at once */
int gateway_backfill(struct gateway *g, struct text *items, uint32_t count, uint64_t *block);

/* A question to the store, on its worker; false: one is waiting or under way, ask again. */
bool gateway_query(struct gateway *g, void (*query)(void *, struct store *), void (*done)(void *),
                   void *ctx);

/* --- looking -------------------------------------------------------------------------------------
 * */

struct shed_amounts { /* what shedding left out, counted */
    uint64_t enrichment; /* of alerts */
    uint64_t results;    /* of windows, not sent */
    uint64_t raw;        /* readings, not forwarded */
    uint64_t readings;   /* at QoS 0, dropped */
};

enum { GATEWAY_SHED_CHANGES = 8 }; /* that are remembered */
struct shed_change {
    int64_t wall_ms;
    enum shed_level from, to;
    enum shed_cause cause;        /* of entering the higher of the two */
    bool restarted;               /* the process that was at `from` ended: the rest is not known */
    int64_t lasted_ms;            /* down: the time since `from` was entered, */
    struct shed_amounts left_out; /* and what was left out in it */
};

struct gateway_view {
    const struct engine *engine;
    struct ledger ledger;        /* as of the last commit */
    uint64_t pending;            /* readings that wait for their commit */
    uint64_t block;              /* last committed */
    int64_t t_ms, wall_ms;
    int64_t uptime_ms;           /* of this process; t_ms is that of the store, over all of them */
    enum clock_state clock;
    uint64_t clock_steps;        /* since the start */
    enum shed_level shed;
    struct pressure pressure;
    /* where `shed` is not normal: why, for how long, and what was left out since */
    enum shed_cause shed_cause;
    int64_t shed_for_ms;
    struct shed_amounts left_out;
    double load, capacity;       /* readings a second, the load over about a minute */
    double load_peak;            /* the greatest since the start */
    uint32_t gateways_wanted;    /* that would carry the load */
    uint64_t disk_bytes, wal_bytes, outbox_bytes[LANES], outbox_rows[LANES];
    uint64_t table_bytes, table_rows; /* kept results */
    struct lane_state lanes[LANES];
    int64_t outbox_age_ms[LANES]; /* of the oldest row, in pipeline time; 0: there is none */
    uint64_t sent[LANES];        /* highest sequence that a PUBACK covered */
    /* handed to the uplink since the start, what went again included; payloads alone */
    uint64_t uplink_rows[LANES], uplink_bytes[LANES];
    int64_t commit_last_us, commit_max_us;
    const struct histogram *commit_times; /* of those that succeeded, since the start */
    uint64_t commits, commit_failures;
    int failing_with;            /* what the last commit came back with; 0: it went well */
    uint64_t bytes_committed;    /* journal and rows handed to the store */
    int64_t recovered_in_ms;     /* what the last start took */
    uint64_t recovered_blocks;
    uint64_t fold_ns_per_reading; /* measured by it, or assumed where it folded too few to tell */
    bool uplink_connected;
    uint64_t source_connected;   /* bit per source */
    bool stopping;
};
struct gateway_view gateway_view(const struct gateway *g);

/* The last changes of the shed level since the start, newest first. */
uint32_t gateway_shed_changes(const struct gateway *g, struct shed_change *to, uint32_t max);

/* What gateway_init takes, a line for each module (bytes), for the printed budget. */
struct budget_line {
    const char *module;
    uint64_t bytes;
    bool foreign;                /* a library's own heap: a measured ceiling, not ours */
};
enum { BUDGET_ENGINE, BUDGET_BATCHES, BUDGET_DECODER }; /* its first lines */
uint32_t gateway_budget(const struct config *config, struct budget_line *lines, uint32_t max);

/* The last readings that were taken, for `weir tail`: copies up to `max` with number > after,
 * oldest first. */
struct tail_entry {
    uint64_t number;             /* counts readings since the start */
    int64_t wall_ms;             /* of arrival */
    int64_t event_time_ms;
    enum time_source time_source;
    char device[READING_NAME_BYTES_MAX + 1], metric[READING_NAME_BYTES_MAX + 1];
    char unit[READING_NAME_BYTES_MAX + 1];
    char value[64];              /* printed */
    const char *outcome;         /* "stored", "duplicate", or the reject's name; of the program */
};
uint32_t gateway_tail(const struct gateway *g, uint64_t after, struct tail_entry *to, uint32_t max);

#endif
