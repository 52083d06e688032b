/* gateway_state: what the gateway's own files share. Nobody else includes this. */
#ifndef FIRMWARE_GATEWAY_STATE_H
#define FIRMWARE_GATEWAY_STATE_H

#include "firmware/config/numbering.h"
#include "firmware/gateway/gateway.h"
#include "pipeline/codec/codec_results.h"
#include "pipeline/codec/envelope.h"
#include "pipeline/err.h"
#include "pipeline/inventory.h"
#include "pipeline/made.h"
#include "pipeline/pressure/lag.h"

enum {
    FILL_LETTERS_MAX = 256,
    FILL_ROWS_BASE = 64,                /* beside what one step of the engine may emit, */
    FILL_ROW_BYTES_BASE = 128 * 1024,   /* and what they hold */
    FILL_RESULTS_BYTES_MAX = 32 * 1024, /* of one results message, before compression */
    FILL_RESULTS_MAX = 512,             /* window results in one message */
    FILL_RAW_MAX = 1024,                /* raw readings in one message */
    FILL_STREAM_VALUES_MAX = 1024,      /* values of streams' results in one message, */
    FILL_STREAM_VALUES_LEAST = 128,     /* and so many fit, whatever they are */
    FILL_REJECT_BYTES = 2 * READING_NAME_BYTES_MAX + 32, /* of one's record, its names whole */
    FILL_RECORDS_SLACK = 64,            /* ticks, clock and source records of a turn */
    FILL_LETTER_CHANGES_MAX = 256,
    FILL_KEPT_ROWS = 1024,              /* kept results, beside those of one step, */
    FILL_KEPT_BYTES = 128 * 1024,       /* and what they hold */
    FILL_SESSIONS_MAX = 4096,           /* changes of devices' sessions */
    FILL_SESSION_BYTES_MAX = 64 * 1024, /* of their rows */
    TAIL_SLOTS = 256,
    REFUSALS_SLOTS = 16
};

/* One of the two batches: the one that fills, or the one whose commit is under way. */
struct fill {
    struct batch batch;
    struct block_builder *block;
    uint8_t *journal; /* the finished block */
    struct outbox_row *rows;
    uint8_t *row_bytes; /* payloads of the rows */
    size_t row_bytes_used;
    struct dead_letter *letters;
    uint8_t *letter_bytes;
    struct letter_change *letter_changes;
    size_t letter_bytes_used;
    struct session_change *sessions; /* NULL: no source has any */
    uint8_t *session_bytes;
    size_t session_bytes_used;
    struct receipt_row *receipts; /* likewise */
    struct results_builder *results;
    struct results_builder *raw; /* NULL: raw readings are not forwarded */
    struct results_builder *streams; /* NULL: there are none */
    struct kept_result *kept;    /* NULL: none are */
    uint8_t *kept_bytes;
    size_t kept_bytes_used;
    struct envelope envelope;    /* for gap events that the store may have to write */
    struct made made;            /* by the engine, in this block */
    bool made_wanted;            /* it is journalled also where that is nothing */
    bool content;                /* something waits for this commit */
    /* it should not wait for company: an alert, a full source, no room */
    bool urgent;
    int64_t opened_ms; /* t of the first content */
    uint64_t last[CONFIG_SOURCES_MAX]; /* number of a source's last whole message; 0: none */
    uint32_t source_messages[CONFIG_SOURCES_MAX];
};

struct fill_limits {
    struct block_limits block;
    uint32_t rows_max;
    size_t row_bytes_max;
    size_t letter_bytes_max;
    uint32_t step_rows; /* one step of the engine adds at most so many rows */
    size_t step_row_bytes;
    uint32_t step_kept, kept_max; /* likewise of kept results */
    size_t step_kept_bytes, kept_bytes_max;
};

struct in_flight {
    enum lane lane;
    uint64_t sequence;
    struct hash128 key; /* of the alert; zero: none */
    bool probe;         /* sent alone: if the connection breaks over it, it may be its fault */
};

struct lane_cursor {
    uint64_t next;       /* sequence to send next */
    uint64_t sent;       /* highest that a PUBACK covered */
    uint64_t heard;      /* highest that a receipt of this life named, of rows there were then */
    uint64_t first;      /* oldest that the store holds */
    int64_t progress_ms; /* t when a receipt last moved, or nothing was outstanding */
    int64_t paused_until_ms; /* t; after a refusal */
};

struct sender {
    bool connected;
    bool probe; /* after a break: one row alone, to find the one that breaks it */
    uint32_t in_flight_count;
    struct in_flight in_flight[CONFIG_IN_FLIGHT_MAX];
    struct lane_cursor lanes[LANES];
    /* rows fetched and not yet sent, all of one lane */
    struct store_job fetch; /* the worker's while a fetch is under way */
    uint32_t fetched_count, fetched_next;
    uint64_t fetch_generation; /* counts rewinds: an answer from before one is thrown away */
    uint64_t fetch_asked;      /* generation that the fetch under way was asked in */
    uint32_t backlog_credit;   /* percent; a send of an alert earns backlog_share */
    struct {
        enum lane lane;
        uint64_t sequence;
        uint32_t count;
    } refusals[REFUSALS_SLOTS];
    struct store_job poison;
    bool poison_wanted;
    uint64_t handed_rows[LANES], handed_bytes[LANES]; /* to the uplink */
    int64_t tokens_bytes;    /* of the byte-rate cap */
    int64_t tokens_ms;
};

struct checkpointer {
    uint8_t *shadow; /* the state as it was when the copy was taken */
    size_t shadow_bytes_max;
    bool active;
    uint64_t block; /* that the copy is as of */
    int64_t t_ms, wall_ms; /* likewise */
    bool daily;            /* it is kept */
    int64_t daily_t_ms;    /* t of the last that was; 0: the store's beginning */
    uint32_t total_bytes, offset;
    uint64_t journal_bytes_since; /* bytes journalled since the last copy */
    uint64_t readings_since;
    uint64_t fold_ns_per_reading;
    /* at the next seal, whatever the size: stopping, or space ran out */
    bool wanted;
};

/* The message that is being taken, in our own copy: when its readings make more alerts than this
 * batch has room for, or take longer in streams than a turn may, the rest of them waits for the
 * next one, already judged. Nothing else is taken before it is through. */
struct carried {
    uint8_t *bytes; /* topic, then payload */
    uint32_t source;
    uint64_t number;
    uint64_t letter; /* the dead letter that it is, tried again; 0: none */
    bool has_exchange;
    struct session_change exchange;
    uint32_t count, next; /* admissions, and the next one to take; equal: nothing waits */
};

struct redacted { /* gateway_redact.c; NULL: no source has `pii` */
    char *bytes, *scratch; /* [payload_bytes] each */
    enum reject_reason unreadable; /* of the message under way: why only its length is kept */
};

struct peak { /* the greatest of a while */
    int64_t value, t_ms;
};

struct shed_period { /* of one level: since it was entered from below */
    int64_t since_ms; /* t */
    enum shed_cause cause;
    struct shed_amounts before;
};

struct pressure_watch { /* gateway_pressure.c */
    struct peak commit, loop; /* ms */
    int64_t commit_begun_ms;  /* t; INT64_MAX: none is under way */
    int64_t turn_ms;          /* t of the last turn that was looked at */
    uint32_t memory_percent;
    struct lag lag;
    struct scale scale;
    double capacity, load;   /* readings a second; capacity 0: not known */
    double load_peak;        /* the greatest load since the start */
    int64_t load_ms;         /* t at which it was looked at, and */
    uint64_t load_readings;  /* what had been received by then */
    struct shed_period levels[SHED_LEVELS]; /* up to the present one */
    enum shed_level level_before; /* of the process before; told as soon as the time is known */
    struct shed_change changes[GATEWAY_SHED_CHANGES];
    uint64_t change_count;
};

struct receipt { /* of one device */
    uint64_t sequence;  /* all up to here are taken */
    uint64_t above;     /* bit n: sequence + 1 + n too */
    uint64_t sealed;    /* `sequence` as a batch has it that is being committed */
    uint64_t committed; /* and as the last one had it */
    int64_t changed_ms; /* t */
    bool is_known, is_committed, is_dirty, in_flight;
    uint32_t watchers;
    uint8_t device_bytes; /* 0: the place is vacant */
    char device[READING_NAME_BYTES_MAX];
};

struct receipts {
    struct receipt *table; /* [max]; NULL: no source has any */
    uint32_t *slots;       /* [slots_mask + 1], by name */
    uint32_t max, slots_mask;
    uint32_t used; /* places that were ever taken; the first ones */
    uint32_t watchers, dirty; /* of all; how many are */
};

struct letters { /* gateway_letters.c */
    /* removed of late: one that was read before its removal was committed is not tried again */
    uint64_t gone[2 * FILL_LETTER_CHANGES_MAX];
    uint32_t gone_next;
    int64_t told_ms; /* t of the last summary, or of the start */
    uint64_t told[REJECT_REASON_END]; /* rejected by then */
    /* what of the message under way was taken, packed (letters_taken); or, of one that is tried
     * again, an enum taken_mark for each of its readings */
    uint8_t *taken; /* [letters_taken_bytes] */
};

enum { VERSIONS_TOLD_MAX = 16 };
struct versions { /* gateway_versions.c: of one source, of its contract, that were refused */
    uint32_t seen[VERSIONS_TOLD_MAX]; /* 0: no whole number */
    uint32_t count, told; /* the first `told` of them went upstream */
};

struct tail_slot {
    struct tail_entry entry; /* `value` is printed when somebody looks */
    struct value value;      /* TEXT: cut, in entry.value */
};

struct gateway {
    const struct config *config;
    struct gateway_ports ports;
    struct engine *engine;
    void *engine_memory;
    size_t engine_bytes, engine_used; /* a reload may bring one that takes more */
    struct engine_out out;
    struct inventory *inventory;
    struct decoder decoder;
    struct decoded decoded;
    struct admission *admissions;
    struct carried carried;
    struct redacted redacted;
    struct receipts receipts;
    struct fill_limits limits;
    struct fill fills[2];
    struct fill *filling;
    struct fill *committing; /* NULL: no commit is under way or being retried */
    bool job_busy;           /* the store's worker has a job */
    struct store_job commit_job;
    struct store_job query_job;
    bool query_waiting, query_running; /* one at a time, whoever asks */
    struct ledger ledger;    /* of everything taken so far */
    struct ledger committed; /* as of the last commit */
    uint64_t store_id[2];
    uint64_t set_aside;  /* damaged files before this store, as long as nobody was told */
    uint64_t last_block; /* given to a fill; the committed one is `committed_block` */
    uint64_t committed_block;
    struct lane_state lanes[LANES]; /* next_sequence as of the filling batch */
    struct lane_state committed_lanes[LANES];
    struct sender sender;
    struct checkpointer checkpoint;
    struct shed shed;
    struct pressure_watch pressure;
    struct letters letters;
    struct {
        const struct config *wanted;
        enum reload_state state;
        uint64_t block; /* COMMITTING: that says so */
    } reload; /* gateway_reload.c */
    struct versions versions[CONFIG_SOURCES_MAX];
    /* time */
    struct hal_time now;
    int64_t t_ms, t_base_ms, mono_base_ms;
    int64_t started_ms;        /* t at the start */
    struct clock_record clock; /* as last journalled; before that what the floor gives */
    bool clock_known;
    uint64_t state_from; /* not told yet: the state is that of the journal from this block on */
    bool unkept_told;    /* what the load of the state had no place for */
    uint64_t clock_steps;
    bool timers_behind; /* due timers wait for room, or the next turn: nothing is taken before */
    uint64_t steps_from; /* engine_steps as the turn began */
    /* failure and stop */
    int64_t failing_since_mono_ms; /* INT64_MAX: the last commit went well */
    int64_t retry_at_mono_ms;
    int failing_with;
    bool failed, stopping, stop_checkpoint_taken;
    /* what people look at */
    struct tail_slot tail[TAIL_SLOTS];
    uint64_t tail_count;
    uint64_t source_connected;
    uint64_t source_untold; /* bit per source: the engine has yet to hear of its last change */
    struct {
        int64_t credit, t_ms;    /* a correction costs MINUTE_MS of it, and so many of them come
                                    in a minute as uplink.corrections_per_minute says */
    } corrections;
    int64_t drained_ms[CONFIG_SOURCES_MAX];
    uint64_t taken[CONFIG_SOURCES_MAX]; /* messages since the start */
    struct batch last_batch_out; /* out fields of the last commit */
    int64_t commit_last_us, commit_max_us;
    struct histogram commit_times;
    uint64_t commits, commit_failures, bytes_committed, recovered_blocks;
    int64_t recovered_in_ms;
    char config_digest_hex[2][65]; /* the present one, and the one before */
    int digest_at;
    uint8_t numbering[NUMBERING_BYTES_MAX]; /* the present one, packed */
    struct text numbering_told; /* by the next batch; empty: the store has it */
};

/* gateway.c: applied, and journalled. WEIR_EAGAIN: no room before the next commit. */
int gateway_take(struct gateway *g, const struct record *record);

/* gateway_people.c */
void people_on_maintenance(void *ctx, const struct maintenance *m,
                           enum maintenance_change change);

/* gateway_fill.c */
struct fill_limits fill_limits_of(const struct config *config);
void fill_init(struct fill *f, const struct config *config, const struct fill_limits *limits,
               struct arena *arena);
void fill_reset(struct gateway *g, struct fill *f);
bool fill_has_step_room(const struct gateway *g, const struct fill *f);
bool fill_has_message_room(const struct gateway *g, const struct fill *f);
void fill_open(struct gateway *g); /* something waits from here on */
void fill_append(struct gateway *g, const struct record *record);
void fill_add_letter(struct gateway *g, const struct dead_letter *letter);
void fill_add_session(struct gateway *g, const struct session_change *change);
void fill_told_before(struct gateway *g, struct text payload);
void fill_notice(struct gateway *g, const char *kind, const struct notice *notice);
/* hands the filling batch over and turns to the other one */
void fill_seal(struct gateway *g);
struct engine_out fill_engine_out(struct gateway *g);
/* A row, then its payload, rendered into the room there is for one: one after the other. */
struct outbox_row *fill_add_row(struct gateway *g, enum lane lane);
void *fill_payload_room(struct gateway *g, size_t *bytes);
void fill_take_payload(struct gateway *g, struct outbox_row *row, struct text rendered);
struct envelope fill_envelope(const struct gateway *g);

/* gateway_corrections.c */
void corrections_on_late(void *ctx, const struct stream_late *late);

/* gateway_start.c */
void start_tell_loss(struct gateway *g); /* once: what the start could not rebuild */

void start_engine_anew(struct gateway *g, const struct config *config); /* empty, same memory */
void start_print_digest(struct gateway *g);
void start_tell_reset(struct gateway *g, uint32_t reset); /* how many parts engine_load emptied */

/* gateway_fold.c */
struct folded {
    uint64_t block;              /* of the checkpoint; 0: there was none */
    uint64_t readings, bytes;    /* of the journal behind it */
    uint32_t reset;              /* what is defined otherwise now, or is new */
};
/* The engine's state as of block `last`, under g->config. Errors as of gateway_recover. */
int fold_state(struct gateway *g, struct store *store, struct fold_memory memory, uint64_t last,
               struct folded *to, char *why);

/* gateway_reload.c */
void reload_after_seal(struct gateway *g); /* the batch that fills holds nothing yet */
/* Once after a start and after each reload: open alerts that found no place. */
void reload_tell_unkept(struct gateway *g);
size_t reload_engine_bytes(const struct config *config);
/* The engine's state into the shadow, which holds nothing else then; its bytes. */
size_t reload_save(struct gateway *g);
/* And out of it, under this configuration; *reset: how many definitions begin anew. WEIR_EFULL */
int reload_load(struct gateway *g, const struct config *config, size_t bytes, uint32_t *reset);
/* Both. On error it is as it was. */
int reload_change_over(struct gateway *g, const struct config *from, const struct config *to,
                       uint32_t *reset);

/* gateway_letters.c */
void letters_init(struct letters *l, const struct config *config, struct arena *arena);
size_t letters_taken_bytes(const struct config *config); /* at most, of a dead letter */
/* For its letter: which readings of the decoded and judged message are not rejected. */
struct text letters_taken(struct gateway *g, struct text named); /* by its payload; may be empty */
struct text letters_nothing_taken(void); /* of its message */
/* Of the letter's message, decoded anew, mark those that were taken when it came. False: nobody can
 * say which. `as_new`: the rest is surely new. O(readings). */
bool letters_mark(struct gateway *g, const struct dead_letter *letter, bool as_new);
/* Judged, leave only those that are not marked; how many. `*doubtful`: of one of them nobody can
 * say whether it was stored meanwhile. O(readings), those in doubt times that. */
uint32_t letters_left(struct gateway *g, bool *doubtful);
void letters_start(struct gateway *g);
/* For one more change, and for that of the letter that may be under way. */
bool letters_room(const struct gateway *g);
void letters_removed(struct gateway *g, uint64_t id); /* with the batch that fills */
void letters_turn(struct gateway *g); /* once an hour: what was rejected */

/* gateway_redact.c */
void redact_init(struct redacted *r, const struct config *config, struct arena *arena);
/* What of the message's payload may be kept, in its place. `again`: it may have been through this
 * before. g->redacted.unreadable is set. */
void redact_message(struct gateway *g, struct message *message, bool again);
bool redact_is_withheld(struct text payload);

/* gateway_versions.c */
void versions_refused(struct gateway *g, uint32_t source, uint32_t version); /* 0: not readable */
void versions_turn(struct gateway *g); /* tells upstream, each version of a source once */

/* gateway_receipts.c */
void receipts_init(struct receipts *r, const struct config *config, struct arena *arena);
int receipts_load(struct gateway *g, struct store *store);
void receipts_note_message(struct gateway *g); /* that was taken whole */
void receipts_seal(struct gateway *g, struct fill *f);
void receipts_committed(struct gateway *g, const struct batch *batch);

/* gateway_intake.c */
void intake_continue(struct gateway *g);          /* what is left of the carried message */
/* A dead letter by the present configuration: what would become of it, in *to. Taken, where all
 * that is left of it is good, and `take`. */
struct letter_try {
    const struct dead_letter *letter;
    bool take, as_new;
};
void intake_letter(struct gateway *g, const struct message *message, const struct letter_try *how,
                   struct retried *to);
int64_t gateway_wall_ms(const struct gateway *g); /* t + offset */

/* gateway_pressure.c */
void pressure_start(struct gateway *g); /* once: what the journal says of the level no longer is */
void pressure_update(struct gateway *g);
void pressure_commit_begun(struct gateway *g);
void pressure_commit_done(struct gateway *g);
struct pressure pressure_measure(const struct gateway *g);
int64_t pressure_outbox_age_ms(const struct gateway *g, enum lane lane);
void pressure_view(const struct gateway *g, struct gateway_view *view);

/* gateway_sender.c */
void sender_reset(struct gateway *g);
void sender_pump(struct gateway *g); /* send what may be sent */
bool sender_wants_fetch(struct gateway *g, enum lane *lane);
void sender_on_fetched(struct gateway *g);
void sender_on_poisoned(struct gateway *g);

/* gateway.c */
void gateway_schedule(struct gateway *g);
/* False: streams have taken this turn's share of the loop, so what is left waits for the next one,
 * which comes at once. What is under way may go beyond it by one step of the engine. */
bool gateway_has_steps(const struct gateway *g);

/* gateway_backfill.c: in place; WEIR_EINVAL: it is nothing that this gateway's store may tell */
int backfill_number(const struct gateway *g, void *at, size_t bytes, uint64_t sequence);

/* gateway_checkpoint.c */
void checkpoint_at_seal(struct gateway *g, struct batch *batch);
void checkpoint_on_committed(struct gateway *g, const struct batch *batch);
bool checkpoint_due(const struct gateway *g);

/* gateway_clock.c */
void clock_begin_turn(struct gateway *g, struct hal_time now); /* time, due timers, clock record */
bool clock_usable(const struct gateway *g);                    /* readings may be given a time */

#endif
