/* world_state: what the world's own files share. Nobody else includes this. */
#ifndef SIMULATOR_WORLD_STATE_H
#define SIMULATOR_WORLD_STATE_H

#include "pipeline/made.h"
#include "pipeline/hash.h"
#include "simulator/chance.h"
#include "simulator/world.h"

enum {
    WORLD_SOURCES = 3,
    WORLD_LISTENER = 1, /* of them */
    WORLD_EXCHANGE_OPS_MAX = 16384,
    WORLD_DEVICES = 6,
    WORLD_READINGS_MAX = 96, /* in a message */
    WORLD_LATE_MAX = 4,
    WORLD_MESSAGES_MAX = 512,
    WORLD_BLOCKS_MAX = 4096,
    WORLD_ROWS_MAX = 8192, /* of one lane */
    WORLD_ALERTS_MAX = 2048,
    WORLD_WINDOWS_MAX = 2048,
    WORLD_WIRE_MAX = 64
};

struct world_plan { /* what of the configuration a world draws (world_config.c) */
    bool receipts, raw, reorder, storms, small_outbox, short_memory;
    bool alarms; /* more rules, sensors that break, and people who maintain devices */
    uint32_t ranges, refusals_max;
};

/* --- devices and the brokers in front --- */

enum message_kind { MESSAGE_GOOD, MESSAGE_BAD, MESSAGE_FUTURE };

/* As the broker in front holds it. Its bytes follow from these fields, so they are the same at each
 * delivery (world_messages.c). */
struct world_message {
    enum message_kind kind;
    uint32_t device, source;
    uint64_t sequence;        /* as the device counts; 0: it does not */
    int64_t time_ms;          /* by the device's clock, of its first reading */
    uint32_t readings;        /* in it, in all */
    bool bad_reading;         /* the one with index 1 can't be read */
    bool anomalous, broken;   /* it says 110, or -127, instead of 20 */
    uint64_t noise;           /* seed of its values, or of what is wrong with it */
    uint32_t same_as;         /* index of the message that it repeats; its own: of none */
    bool delivered;           /* on the present connection */
    bool ever_delivered;
    uint64_t number;          /* that the gateway gave it when it was delivered last */
    bool acknowledged;        /* Weir's acknowledgement left */
    bool done;                /* and the broker has it: never delivered again */
};

struct world_devices {
    struct world_message messages[WORLD_MESSAGES_MAX];
    uint32_t count;
    struct world_message late[WORLD_LATE_MAX]; /* measured, not yet published */
    uint32_t late_count;
    uint32_t oldest_open; /* messages before it are done */
    uint64_t sequence[WORLD_DEVICES];
    int64_t clock_error_ms[WORLD_DEVICES];
    int64_t last_ms[WORLD_DEVICES]; /* of its newest message */
    /* readings that can't be used, in acknowledged messages, and the messages that hold them */
    uint64_t acknowledged_bad, acknowledged_letters;
    uint64_t dropped; /* readings, at shed level 4, as far as this life or a commit knows of them */
    uint32_t slow;    /* turns for which no source is read to its end */
    bool connected[WORLD_SOURCES];
    bool broken[WORLD_SOURCES]; /* the gateway has not been told yet */
};

/* --- the cloud --- */

struct wire_row { /* a row on its way to the cloud's broker, or in that broker */
    enum lane lane;
    uint64_t sequence;
    struct hash128 key;
    uint32_t revision;
    bool cleared;
    uint64_t gap_from; /* a gap event: covers from here; else 0 */
};

struct receiver_alert {
    struct hash128 key;
    uint32_t revision;
    bool cleared;
};

struct world_cloud {
    bool connected;
    uint32_t away; /* turns until it may come back */
    struct wire_row wire[WORLD_WIRE_MAX]; /* sent, no PUBACK yet */
    uint32_t wire_count;
    struct wire_row queue[WORLD_ROWS_MAX]; /* in the cloud's broker, not yet at the receiver */
    uint32_t queue_count;
    /* the receiver */
    uint64_t contiguous[LANES];
    bool seen[LANES][WORLD_ROWS_MAX];
    bool lacks[LANES][WORLD_ROWS_MAX]; /* a gap event said that it never comes */
    uint64_t seen_high[LANES];
    struct receiver_alert alerts[WORLD_ALERTS_MAX];
    uint32_t alert_count;
    /* its broker */
    uint64_t payload_hash[LANES][WORLD_ROWS_MAX]; /* of what was sent under that sequence */
    bool puback[LANES][WORLD_ROWS_MAX];
    uint64_t puback_contiguous[LANES];
    uint16_t refusals[LANES][WORLD_ROWS_MAX];
    enum lane refuse_lane;
    uint64_t refuse_sequence; /* refused a few times; 0: none */
    uint32_t refusals_left;
};

/* --- the journal, as the world knows it (world_journal.c, world_fold.c) --- */

struct given_row { /* of the alerts' lane: what the gateway gave to the store */
    struct hash128 key;
    uint32_t revision;
    bool cleared;
    uint64_t payload_hash;
};

struct given_block { /* one batch, as the gateway gave it to the store */
    size_t offset;          /* of its journal, in world_journal.bytes */
    uint32_t bytes;         /* 0: no records, and so no row in the store */
    struct hash128 digest;  /* of the live state at its end */
    struct ledger ledger;   /* without what is the store's */
    struct lane_state lanes[LANES]; /* after it */
    uint64_t first_row[LANES];      /* sequence of its first row */
    uint64_t results, raw;  /* in its rows */
    uint32_t readings, letters;
};

struct told { /* an alert, as folding the journal tells it */
    struct hash128 key;
    uint32_t revision;
    bool cleared;
};

struct window_count { /* of one window: how many readings its last result counts */
    uint32_t device;
    int64_t start_ms;
    uint64_t count;
};

struct window_counts {
    struct window_count of[WORLD_WINDOWS_MAX];
    uint32_t used;
};

struct seen_message { /* which readings of it the journal holds, a bit for each index */
    uint64_t stored[2];
    uint64_t forgotten[2]; /* of them: beyond dedup's horizon */
    uint64_t block;        /* of the first */
    uint64_t mark;         /* counts the device's readings: when it was stored */
};

struct seen_device {
    /* struct dedup and its room: over the whole journal, not over a checkpoint */
    uint64_t dedup[(sizeof(struct dedup) + DEDUP_KEEP_MAX * sizeof(uint64_t)) / sizeof(uint64_t)];
    uint64_t marks;
};

struct world_fold { /* the journal up to `block`, folded by itself */
    struct engine *engine;
    uint64_t block;
    uint64_t readings, rejects, late, letters;
    uint64_t results_left_out, raw_left_out;
    uint64_t temps, late_temps; /* of readings: those whose windows are counted */
    int64_t fired_ms; /* deadline of the timer that fired last */
    struct seen_message messages[WORLD_MESSAGES_MAX];
    struct seen_device devices[WORLD_DEVICES];
    struct told told[WORLD_ALERTS_MAX];
    uint32_t told_count;
    struct window_counts windows, stream_windows;
    /* what the block being folded says */
    uint64_t alert_row; /* sequence that its next alert must have in the outbox */
    uint64_t results, raw;
    struct made made;
    bool made_told; /* by the block itself */
};

struct world_journal {
    uint8_t *bytes;
    size_t used, room;
    struct given_block blocks[WORLD_BLOCKS_MAX];
    uint64_t given;     /* highest number given to the store since the last start */
    uint64_t committed; /* that the store said 0 for, or a start told of */
    struct given_row alerts[WORLD_ROWS_MAX]; /* by sequence */
    struct world_fold fold;
    void *engine_memory;
    size_t engine_bytes;
};

/* --- QoS 2 (world_exchanges.c) --- */

struct exchange_op { /* as a batch gave it to the store */
    uint64_t block;
    uint16_t packet_id; /* index of the message + 1 */
    bool put;           /* else removed */
};

struct world_exchanges {
    struct exchange_op ops[WORLD_EXCHANGE_OPS_MAX];
    uint32_t op_count, done; /* of them: in commits that are done */
    bool open[WORLD_MESSAGES_MAX], was_put[WORLD_MESSAGES_MAX]; /* by these */
    bool released[WORLD_MESSAGES_MAX]; /* its end was given */
    bool begun;     /* in this life: the session has its row */
    uint32_t found; /* rows in the store */
};

/* --- the whole --- */

struct world {
    uint64_t seed, chance;
    uint64_t pressure_chance, maintenance_chance; /* of their own, so that they move nothing else */
    bool trace;
    struct world_outcome outcome;
    struct world_plan plan;
    struct config *config;
    /* the machine */
    int64_t true_ms, mono_ms;
    int64_t clock_error_ms;
    enum clock_state clock;
    uint64_t boot;
    bool dead;                /* the process died in this turn: no port does anything any more */
    bool healing;             /* faults have ended */
    enum world_event death;   /* planned: which step kills it */
    uint32_t death_countdown; /* steps of that kind until then; 0: none planned */
    uint32_t disk_bad;        /* turns for which the disk fails */
    /* the gateway */
    void *memory;
    size_t memory_bytes;
    struct gateway *gateway;
    struct store *store;
    struct store_job *job; /* under way */
    uint32_t job_delay;    /* turns until it is run and reported */
    struct hash_key store_id;
    struct fold_memory fold;
    void *fold_memory;
    struct world_journal journal;
    struct world_devices devices;
    struct world_exchanges exchanges;
    struct world_cloud cloud;
};

#define WORLD_COUNT(world, name) ((void)(world)->outcome.events[WORLD_##name]++)

static inline bool world_chance(struct world *w, uint32_t one_in)
{
    return chance_below(&w->chance, one_in) == 0;
}

static inline int64_t world_wall_ms(const struct world *w)
{
    return w->true_ms + w->clock_error_ms;
}

static inline bool world_broken(const struct world *w)
{
    return w->outcome.broken[0] != '\0';
}

void world_break(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* true when this step is the planned death, or it is dead already */
bool world_dies(struct world *w, enum world_event step);

/* world_config.c: what the gateway is told, drawn from the seed */
void world_configure(struct world *w);

/* world_machine.c: the gateway's ports, its store and its deaths */
void world_start(struct world *w);
void world_bury(struct world *w);
void world_leave(struct world *w);
void world_finish_job(struct world *w);
void world_end(struct world *w);

/* world_clock.c: the machine's clock, and how time passes */
void clock_boot(struct world *w);
void clock_pass(struct world *w);
struct hal_time clock_now(const struct world *w);

/* world_messages.c: what devices say */
enum { WORLD_PAYLOAD_BYTES = 4096, WORLD_TOPIC_BYTES = 64 };
bool message_measure(struct world *w, uint32_t device, struct world_message *message);
struct world_message message_bad(struct world *w, uint32_t device);
void message_render(const struct world_message *m, char *topic, char *payload);
int64_t message_time_ms(const struct world_message *m, uint32_t index); /* of one reading */
bool message_reading_is_good(const struct world_message *m, uint32_t index);
double message_value(const struct world_message *m, uint32_t index); /* before it is printed */

/* world_devices.c: when they say it, and the brokers in front */
void devices_slow_down(struct world *w);
void devices_publish(struct world *w);
void devices_deliver(struct world *w, uint32_t source);
void devices_acknowledge(struct world *w, uint32_t source, uint64_t number);
void devices_disconnect(struct world *w, uint32_t source);
bool devices_quiet(const struct world *w);

/* world_exchanges.c: QoS 2 */
struct session_change exchange_of(const struct world *w, const struct world_message *m);
void exchanges_step(struct world *w);
void exchanges_delivered(struct world *w, const struct world_message *m);
void exchanges_give(struct world *w, const struct batch *batch);
void exchanges_committed(struct world *w, uint64_t block);
void exchanges_acknowledged(struct world *w, const struct world_message *m);
void exchanges_check(struct world *w, uint64_t last);

/* world_people.c: commands, questions and the inventory */
void people_step(struct world *w);
void people_load_inventory(struct world *w);

/* world_cloud.c */
uint64_t cloud_gap_from(const struct outbox_row *row); /* 0: it is no gap event */
int cloud_send(struct world *w, const struct outbox_row *row);
void cloud_step(struct world *w);
void cloud_forget_wire(struct world *w);
bool cloud_has_all(const struct world *w);

/* world_journal.c: what was given to the store, and what it holds */
void journal_begin(struct world *w);
void journal_give(struct world *w, const struct batch *batch);
void journal_committed(struct world *w, uint64_t block);
void journal_check(struct world *w, const struct store_recovery *recovery);
void journal_end(struct world *w);

/* world_fold.c: the journal folded by itself, beside the gateway */
void fold_begin(struct world *w);
void fold_block(struct world *w, uint64_t number);
/* Whether the journal holds every good reading of it. */
bool fold_has(const struct world *w, const struct world_message *m);

/* world_check.c: from the store, and at the end */
void check_outbox(struct world *w, const struct store_recovery *recovery);
void check_letters(struct world *w);
void check_finally(struct world *w);

#endif
