/* world_state: what the world's own files share. Nobody else includes this. */
#ifndef SIMULATOR_WORLD_STATE_H
#define SIMULATOR_WORLD_STATE_H

#include "pipeline/hash.h"
#include "simulator/chance.h"
#include "simulator/world.h"

enum {
    WORLD_DEVICES = 4,
    WORLD_LATE_MAX = 4,
    WORLD_MESSAGES_MAX = 512,
    WORLD_PAYLOAD_BYTES = 192,
    WORLD_BLOCKS_MAX = 8192,
    WORLD_ROWS_MAX = 8192, /* of one lane */
    WORLD_ALERTS_MAX = 512,
    WORLD_WIRE_MAX = 64
};

enum message_kind { MESSAGE_GOOD, MESSAGE_BAD };

struct world_message { /* as the broker in front holds it */
    enum message_kind kind;
    char topic[48], payload[WORLD_PAYLOAD_BYTES];
    uint32_t device;
    uint64_t sequence;
    int64_t device_time_ms;
    uint32_t same_as; /* index of the message that it repeats; itself when it repeats none */
    bool delivered;   /* on the present connection */
    bool ever_delivered;
    uint64_t number;  /* that the gateway gave it */
    bool acknowledged; /* Weir's acknowledgement left */
    bool done;         /* and the broker has it: never delivered again */
};

struct world_devices {
    struct world_message messages[WORLD_MESSAGES_MAX];
    uint32_t count;
    struct world_message late[WORLD_LATE_MAX]; /* measured, not yet published */
    uint32_t late_count;
    uint32_t oldest_open; /* messages before it are done */
    uint64_t sequence[WORLD_DEVICES];
    double level[WORLD_DEVICES];
    bool connected;
};

struct wire_row { /* a row on its way to the cloud's broker, or in that broker */
    enum lane lane;
    uint64_t sequence;
    struct hash128 key;
    uint32_t revision;
    bool cleared;
    uint64_t payload_hash;
    int64_t gap_from; /* a gap event: covers from here; else -1 */
    bool bulky;       /* results or raw: only counted */
};

struct receiver_alert {
    struct hash128 key;
    uint32_t revision;
    bool cleared;
};

struct world_cloud {
    bool connected;
    struct wire_row wire[WORLD_WIRE_MAX]; /* sent, no PUBACK yet */
    uint32_t wire_count;
    struct wire_row queue[WORLD_ROWS_MAX]; /* in the cloud's broker, not yet at the receiver */
    uint32_t queue_count;
    /* the receiver */
    uint64_t contiguous[LANES];
    bool seen[LANES][WORLD_ROWS_MAX];
    uint64_t seen_high[LANES];
    uint64_t payload_hash[LANES][WORLD_ROWS_MAX];
    struct receiver_alert alerts[WORLD_ALERTS_MAX];
    uint32_t alert_count;
    uint64_t refuse_sequence; /* of the alerts' lane: refused a few times; 0: none */
    uint32_t refusals_left;
};

struct world {
    uint64_t seed, chance;
    bool trace;
    uint32_t source; /* 0: a broker's, 1: a listener's, whose acknowledgements go one by one */
    struct world_outcome outcome;
    struct config *config;
    /* the machine */
    int64_t mono_ms, wall_ms;
    uint64_t boot;
    bool small_disk;          /* it fills up; raw blocks are removed: the journal is not whole */
    bool dead;                /* the process died in this turn: no port does anything any more */
    bool healing;             /* faults have ended */
    enum world_event death;   /* planned: which step kills it */
    uint32_t death_countdown; /* steps of that kind until then; 0: none planned */
    /* the gateway */
    void *memory;
    size_t memory_bytes;
    struct gateway *gateway;
    struct store *store;
    struct store_job *job; /* under way */
    bool job_ran;
    uint32_t job_delay;                       /* turns until it is run and reported */
    uint64_t committed_block;                 /* that the store said 0 for */
    struct hash128 digests[WORLD_BLOCKS_MAX]; /* of the live state at the end of each block */
    uint64_t digest_high;
    /* rebuilding */
    struct fold_memory fold;
    void *fold_memory;
    struct world_devices devices;
    struct world_cloud cloud;
};

#define WORLD_COUNT(world, name) ((void)(world)->outcome.events[WORLD_##name]++)

static inline bool world_chance(struct world *w, uint32_t one_in)
{
    return chance_below(&w->chance, one_in) == 0;
}

void world_break(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* true when this step is the planned death */
bool world_dies(struct world *w, enum world_event step);

/* world_machine.c: the gateway's ports, its store and its deaths */
void world_start(struct world *w);
void world_bury(struct world *w);
void world_finish_job(struct world *w);
void world_end(struct world *w);

/* world_devices.c */
void devices_publish(struct world *w);
void devices_deliver(struct world *w);
void devices_acknowledge(struct world *w, uint64_t number);
void devices_disconnect(struct world *w);
bool devices_quiet(const struct world *w);

/* world_cloud.c */
int cloud_send(struct world *w, const struct outbox_row *row);
void cloud_step(struct world *w);
void cloud_disconnect(struct world *w, bool broker_crashed);
void cloud_forget_wire(struct world *w);
bool cloud_has_all(const struct world *w);

/* world_check.c */
/* from the store alone */
void check_always(struct world *w, const struct store_recovery *recovery);
void check_finally(struct world *w);

#endif
