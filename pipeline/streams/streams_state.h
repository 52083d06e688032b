/* streams_state: the memory of streams, for this folder's own files alone.
 *
 * A stream's keys are entries of one size, found by a table of open addressing, and linked in order
 * of their last reading: those that have windows to tell when they become idle, and those that are
 * quiet. All wait equally long, so the heads of the two lists have the earliest deadlines, and no
 * heap is needed. An entry's index shows nowhere. */
#ifndef PIPELINE_STREAMS_STREAMS_STATE_H
#define PIPELINE_STREAMS_STREAMS_STATE_H

#include "pipeline/streams/streams.h"

#define STREAM_NONE UINT32_MAX

enum {
    PANE_SAVE_BYTES = 20,        /* of a pane's head, saved */
    SESSION_SAVE_BYTES = 30,     /* of a session, likewise */
    KEPT_SAVE_BYTES = 32,        /* of a kept reading, without its arguments */
    ENTRY_SAVE_BYTES = 104,      /* of an entry, without its key, memories and windows */
    MEMORY_SAVE_BYTES = 12
};

struct pane {
    uint64_t first_block;        /* of its first reading */
    uint32_t count;              /* of readings */
    uint32_t revision;           /* times that the window beginning here was told */
    /* then the accumulators: plan.state_bytes */
};

/* Panes are numbered by event time: number n begins at n * pane_ms. A window goes by its first
 * pane, which is a multiple of slide_panes. */
struct panes {
    int64_t low;                 /* first of the oldest window that is not closed */
    int64_t end;                 /* behind the last pane that had a reading; >= low */
    int64_t fired;               /* first window that the watermark has not passed */
    bool begun;
    /* what follows from the rest, kept because dividing takes long: */
    int64_t due_ms;              /* watermark from which on something is told or closed */
    int64_t last;                /* pane of the last reading, and */
    uint32_t last_place;         /* its place in the ring */
    /* then the ring: plan.panes of plan.pane_bytes, of which [low, end) mean something */
};

struct session {
    int64_t first_ms, last_ms;   /* event times of its first and last reading */
    uint64_t first_block;
    uint32_t revision;           /* times told under these bounds */
    bool closed;                 /* the watermark has passed it */
    bool changed;                /* since it was told early, or at all */
    /* then the accumulators: plan.state_bytes */
};

struct sessions { /* of one key, sorted by first_ms */
    uint32_t count;
    int64_t floor_ms;            /* an older one was closed early: what is before this is late */
    /* then config.sessions_max sessions */
};

struct kept_reading {
    int64_t event_ms;
    int64_t end_ms;              /* of the first window that it is in; follows from event_ms */
    uint64_t block;
    uint32_t revision;           /* times that the window that it ends was told */
    bool changed;                /* that window, since it was told */
    /* then its arguments: struct kept_argument at plan.argument_at */
};

struct kept_argument {
    uint8_t kind;                /* enum datum_kind */
    uint8_t bytes;               /* of the text */
    uint8_t unused[6];
    double number;
    /* then, where the argument may be a text, HELD_TEXT_BYTES */
};

struct sliding { /* newest readings of a key, by event time, of equal ones as they came */
    uint32_t first, count;       /* in the ring */
    int64_t fired_ms;            /* windows that end here or before were told, or have no reading */
    int64_t closed_ms;           /* windows that end here or before are closed */
    int64_t floor_ms;            /* the newest reading that had to go for want of room */
    /* then plan.panes of plan.pane_bytes, one more than are kept between steps */
};

/* Heard less than `idle` ago; not so, with windows that are not over, in order of when the next one
 * is; and only waiting to be forgotten. */
enum entry_list { LIST_ACTIVE, LIST_OPEN, LIST_QUIET, LISTS };

struct remembered {
    double value;
    uint32_t count;              /* of values in it; of what was before: 1, or 0: nothing was */
};

struct input { /* of one key: what one source says */
    int64_t watermark_ms;
    int64_t last_t_ms;           /* INT64_MIN: it was never heard, and means nothing */
};

struct entry {
    int64_t watermark_ms;        /* INT64_MIN before the first reading */
    int64_t last_t_ms;           /* of a reading; LIST_QUIET: `idle` before it had no window left */
    int64_t over_ms;             /* LIST_OPEN: wall time at which it is to be looked at */
    int64_t early_ms;            /* t at which its open windows are told; INT64_MAX: not waiting */
    int64_t early_from;          /* first pane that changed since they were */
    uint32_t early_before, early_after; /* in the list of those that wait for that */
    uint32_t place;              /* among all that are being saved; no state */
    uint32_t before, after;      /* in its list, or the next vacant one */
    uint32_t hash;
    uint32_t guess;              /* who came after this one last time; no state */
    uint8_t list;
    uint8_t key_bytes;
    uint8_t alarmed;             /* a bit for each rule that told that it is not well */
    /* then the key: config.key_bytes; what is remembered; struct input [plan.watched_inputs];
     * struct panes, or struct sessions */
};

struct stream {
    const struct stream_plan *plan;
    uint8_t *entries;            /* [keys_max][entry_bytes] */
    size_t entry_bytes, memories_at, inputs_at, panes_at;
    uint32_t *table;             /* index + 1; 0: vacant */
    uint32_t table_mask;
    uint32_t used;               /* entries that were ever taken, the first ones */
    uint32_t vacant;             /* first of those given back */
    uint32_t found;              /* the entry found last; no state */
    struct {
        uint32_t first, last;
    } lists[LISTS], early;       /* sorted by early_ms: all wait equally long */
    struct stream_counts counts;
};

struct streams {
    const struct stream_set *set;
    struct hash_key key;
    struct stream *streams;      /* [set->count] */
    struct stream_clock clock;   /* the caller's to keep */
    int64_t look_ms;             /* no timer is due before this; no state */
    uint64_t slots;              /* fields that some stream looks at */
    uint64_t changed;            /* streams_changed; no state */
    uint8_t *merged;             /* a pane's accumulators, of the widest stream */
    char *told;                  /* texts of a result, likewise */
    /* of the call under way: */
    const struct stream_out *out;
    bool forced;                 /* windows are told for want of room */
    uint64_t steps;              /* streams_steps */
    struct stream_moment moment;
    const struct record *record; /* its reading; NULL: a timer's call */
    int64_t event_ms;
    struct datum *fields;        /* [STREAM_FIELDS_MAX]: its reading's */
    struct datum *result;        /* [STREAM_SLOTS]: the one that is judged */
    struct judged {              /* by each rule of the stream at hand, since the step began */
        bool known, anomalous;
        double observed;
        int64_t event_ms;
    } judged[STREAM_RULES_MAX];
};

static inline struct entry *entry_at(const struct stream *s, uint32_t index)
{
    return (struct entry *)(s->entries + index * s->entry_bytes);
}

static inline uint8_t *entry_key(struct entry *e)
{
    return (uint8_t *)(e + 1);
}

static inline struct remembered *entry_memories(const struct stream *s, struct entry *e)
{
    return (struct remembered *)((uint8_t *)e + s->memories_at);
}

static inline struct input *entry_inputs(const struct stream *s, struct entry *e)
{
    return (struct input *)((uint8_t *)e + s->inputs_at);
}

static inline struct panes *entry_panes(const struct stream *s, struct entry *e)
{
    return (struct panes *)((uint8_t *)e + s->panes_at);
}

static inline struct sliding *entry_sliding(const struct stream *s, struct entry *e)
{
    return (struct sliding *)((uint8_t *)e + s->panes_at);
}

static inline struct sessions *entry_sessions(const struct stream *s, struct entry *e)
{
    return (struct sessions *)((uint8_t *)e + s->panes_at);
}

/* streams.c: what all windows share */
/* Evaluate the aggregates' arguments of the present reading into these accumulators. */
void stream_add(struct streams *all, const struct stream_plan *plan, uint8_t *state);
/* The present reading needs this lateness to be in all its windows. */
void stream_note_delay(struct stream *s, int64_t needed_ms);
/* The present reading is too late for these windows; whose and how late is filled in here. */
void stream_tell_late(struct streams *all, const struct stream *s, struct entry *e,
                      struct stream_late *late);

/* stream_sliding.c: where a kept reading's arguments stand, and its size. */
void stream_sliding_lay_out(struct stream_plan *plan);

/* stream_inputs.c: sources that feed a stream */
/* Which of them this is; STREAM_NONE: the stream takes nothing of it. Readings of a source that is
 * gone, as a journal has them, belong to streams that all sources feed. */
static inline uint32_t stream_input(const struct stream_plan *plan, uint16_t source)
{
    if (source >= plan->fields->source_count && plan->config->input_count > 0)
        return STREAM_NONE;
    if (source >= plan->fields->source_count)
        return plan->watched_inputs > 0 ? plan->watched_inputs - 1 : 0;
    return plan->inputs[source] == UINT8_MAX ? STREAM_NONE : plan->inputs[source];
}
void stream_inputs_begin(const struct stream *s, struct entry *e);
struct input_moved {
    uint32_t input;
    int64_t watermark_ms, t_ms;
};
/* A reading of this input, one of several, came: the watermark of the slowest that is not idle. */
int64_t stream_inputs_move(const struct stream *s, struct entry *e,
                           const struct input_moved *moved);
struct old_inputs { /* of a saved state */
    uint32_t count;
    uint8_t now[STREAM_SOURCES_MAX + 1]; /* what it is called here; UINT8_MAX: there is none */
};
enum { INPUT_SAVE_BYTES = 17 };
void stream_inputs_save_names(const struct stream *s, struct byte_writer *w);
void stream_inputs_load_names(const struct stream *s, struct old_inputs *old,
                              struct byte_reader *r);
void stream_inputs_save(const struct stream *s, struct entry *e, struct byte_writer *w);
void stream_inputs_load(const struct stream *s, struct entry *e, const struct old_inputs *old,
                        struct byte_reader *r);

/* stream_rules.c: results, what is derived from them, and what the rules say */
/* Tell a window: bounds, kind and revision are given; state NULL: all its values are null. */
void stream_tell(struct streams *all, struct stream *s, struct entry *e,
                 struct stream_result *result, const uint8_t *state);
/* The present reading is in this window, which is judged by the rules that are on: reading. */
void stream_judge_reading(struct streams *all, struct stream *s, struct entry *e,
                          const struct stream_result *window, const uint8_t *state);
/* The step is over for this key: what the rules said goes out. */
void stream_judge_end(struct streams *all, struct stream *s, struct entry *e);
void stream_judge_forgotten(struct streams *all, struct stream *s, struct entry *e);

/* stream_keys.c: who is known */
struct stream_key {
    uint8_t bytes[STREAM_KEY_BYTES_MAX];
    uint32_t used;
};
/* False: a field is null, or there is no room. */
bool stream_key_pack(const struct stream_plan *plan, const struct datum *fields,
                     struct stream_key *key);
void stream_keys_init(struct stream *s, const struct stream_plan *plan, struct arena *arena);
uint32_t stream_entry_find(const struct streams *all, const struct stream *s,
                           const struct stream_key *key);
/* Keys mostly take turns: the one that came after the last one last time, if it is this one. Saves
 * the hash. STREAM_NONE: no. */
uint32_t stream_entry_guess(const struct stream *s, const struct stream_key *key);
void stream_entry_learn(struct stream *s, uint32_t index);
/* There is room. At the end of the active list. */
uint32_t stream_entry_make(const struct streams *all, struct stream *s,
                           const struct stream_key *key);
void stream_entry_remove(struct stream *s, uint32_t index);
void stream_entry_move(struct stream *s, uint32_t index, enum entry_list to); /* to its end */
/* To LIST_OPEN, behind those that are over then or before. Mostly that is the end; how many it
 * stands before. */
uint32_t stream_entry_open(struct stream *s, uint32_t index, int64_t over_ms);
/* All of LIST_OPEN become active, as if they had been heard then. */
void stream_entries_wake(struct stream *s, int64_t last_t_ms);
void stream_early_add(struct stream *s, uint32_t index, int64_t early_ms); /* it is not waiting */
void stream_early_remove(struct stream *s, uint32_t index); /* also where it is not */

/* What a key's windows are: panes (stream_panes.c), sessions (stream_sessions.c), or the last
 * readings (stream_sliding.c). */
struct window_ops {
    size_t (*bytes)(const struct stream_plan *plan); /* of a key's windows */
    void (*begin)(const struct stream *s, struct entry *e); /* a key without any */
    /* Tell what the entry's watermark has passed, and let go of what is closed. */
    void (*advance)(struct streams *all, struct stream *s, struct entry *e);
    /* The present reading, whose watermark has been moved. */
    void (*push)(struct streams *all, struct stream *s, struct entry *e);
    /* Where idleness moves the watermark to; INT64_MIN: nothing waits to be told. */
    int64_t (*idle_ms)(const struct stream *s, struct entry *e);
    /* The watermark at which the next one is told; likewise. */
    int64_t (*next_ms)(const struct stream *s, struct entry *e);
    /* Tell the open windows that changed since they were told so. */
    void (*early)(struct streams *all, struct stream *s, struct entry *e);
    /* Tell all that was not told: the key goes. */
    void (*flush)(struct streams *all, struct stream *s, struct entry *e);
    void (*save)(const struct stream *s, struct entry *e, struct byte_writer *w);
    void (*load)(const struct stream *s, struct entry *e, struct byte_reader *r);
};
extern const struct window_ops stream_panes, stream_sessions, stream_sliding;

static inline const struct window_ops *windows_of(const struct stream_plan *plan)
{
    if (plan->last_count > 0)
        return &stream_sliding;
    return plan->config->window == STREAM_SESSION ? &stream_sessions : &stream_panes;
}

#endif
