/* stream_plan: a stream as it is configured, and as it is compiled: which readings it takes, by
 * what key, into which windows, and what it tells of each.
 *
 * A plan is plain data, made once at start and never changed. Sizes that follow from it (bytes a
 * key, a window; results at most at once) are fields of it, for the budget. No time, no heap. */
#ifndef PIPELINE_STREAMS_STREAM_PLAN_H
#define PIPELINE_STREAMS_STREAM_PLAN_H

#include "pipeline/detect/detector.h"
#include "pipeline/reading.h"
#include "pipeline/streams/accumulator.h"
#include "pipeline/streams/expression.h"

enum {
    STREAMS_MAX = 16,
    STREAM_KEY_FIELDS_MAX = 4,
    STREAM_AGGREGATES_MAX = 16,
    STREAM_ARGUMENTS_MAX = 8,    /* different ones of a stream's aggregates */
    STREAM_DERIVED_MAX = 8,
    STREAM_VALUES_MAX = STREAM_AGGREGATES_MAX + STREAM_DERIVED_MAX, /* of a result */
    STREAM_TEXTS_MAX = 6144,     /* bytes of text in the values of a result */
    STREAM_RULES_MAX = 4,
    STREAM_MEMORIES_MAX = 16,    /* different previous(x) and baseline(x) of a stream */
    STREAM_ACCUMULATORS_MAX = 32,
    STREAM_KEY_BYTES_MAX = 250,  /* of a key, packed */
    STREAM_FIELDS_MAX = 48,      /* names that expressions may use */
    STREAM_SOURCES_MAX = 32,
    STREAM_PANES_MAX = 4096,     /* of one key */
    STREAM_WINDOW_PANES_MAX = 720, /* of one window */
    STREAM_LAST_MAX = 512,       /* readings in a sliding window that counts them */
    STREAM_READINGS_MAX = 2048,  /* kept of one key for those */
    STREAM_READINGS_MORE = 64,   /* than are in a window, where not said otherwise */
    STREAM_STEPS_MAX = 600000,   /* accumulator_push_steps and so on, of one reading in all streams
                                  * that take it: 6 ms on a PC */
    STREAM_STEP_NS = 10,         /* one of them */
    STREAM_KEYS_MAX = 1 << 20
};

enum stream_window { STREAM_TUMBLING, STREAM_HOPPING, STREAM_SESSION, STREAM_SLIDING };
enum stream_limit { STREAM_REFUSE, STREAM_EVICT }; /* at the greatest number of keys */

struct stream_name {
    char name[READING_NAME_BYTES_MAX + 1];
};

struct stream_aggregate_text {
    char text[EXPRESSION_BYTES_MAX + 1]; /* "mean", "sum(amount * 2) as spent" */
};

struct stream_derived_config {
    char name[READING_NAME_BYTES_MAX + 1];
    char of[EXPRESSION_BYTES_MAX + 1];
};

enum stream_on { STREAM_ON_CLOSE, STREAM_ON_READING, STREAM_ON_EARLY };

/* What is done with its verdicts (`for` and so on) is the engine's: a detector_config of this name
 * that watches the metric STREAM_METRIC and the stream's name. */
struct stream_rule_config {
    char name[DETECTOR_NAME_BYTES_MAX + 1];
    char when[EXPRESSION_BYTES_MAX + 1];
    char observe[EXPRESSION_BYTES_MAX + 1]; /* what is told of it; empty: 1 */
    enum stream_on on;
    struct detector_config alert; /* severity, for, clear_after, ... */
};

struct stream_config {
    char name[READING_NAME_BYTES_MAX + 1];
    char where[EXPRESSION_BYTES_MAX + 1]; /* empty: every reading */
    uint32_t key_count;
    struct stream_name key[STREAM_KEY_FIELDS_MAX];
    uint32_t input_count;        /* sources that feed it; 0: all */
    struct stream_name inputs[STREAM_SOURCES_MAX];
    int64_t out_of_orderness_ms;
    int64_t lateness_ms;
    int64_t idle_ms;             /* pipeline time */
    enum stream_window window;
    int64_t size_ms, slide_ms;   /* slide 0: the size */
    uint32_t panes_max;          /* kept of a key; 0: as many as lateness asks for */
    int64_t gap_ms;              /* session: readings further apart are in different ones */
    int64_t length_max_ms;       /* from its first reading to its last; 0: any */
    uint32_t sessions_max;       /* of a key at once */
    uint32_t last_count;         /* sliding: readings in a window; 0: it goes by span_ms */
    int64_t span_ms;             /* sliding: event time in a window; 0: it goes by last_count */
    int64_t every_ms;            /* sliding: from one end to the next; 0: for last_count each time
                                  * of a reading, for span_ms about a 60th of it */
    uint32_t readings_max;       /* last_count: kept of a key; 0: STREAM_READINGS_MORE more */
    uint32_t aggregate_count;    /* 0: count, sum, mean, min, max */
    struct stream_aggregate_text aggregates[STREAM_AGGREGATES_MAX];
    uint32_t keys_max;
    uint32_t key_bytes;          /* of one, packed */
    int64_t ttl_ms;              /* pipeline time; a key without a reading so long is forgotten */
    enum stream_limit at_limit;
    bool final_only;             /* nothing before the lateness has passed, and no revisions */
    bool late_out;               /* what is too late is told, and not only counted */
    int64_t early_ms;            /* pipeline time; open windows are told so often; 0: not */
    uint32_t derived_count;
    struct stream_derived_config derived[STREAM_DERIVED_MAX];
    uint32_t rule_count;
    struct stream_rule_config rules[STREAM_RULES_MAX];
};

/* Names that may stand in expressions: a reading's own, then the further fields of all sources. */
enum stream_field {
    FIELD_OF_DEVICE, FIELD_OF_METRIC, FIELD_OF_UNIT, FIELD_OF_VALUE, FIELD_OF_TIME,
    FIELD_OF_SEQUENCE, FIELD_OF_SOURCE, STREAM_OWN_FIELDS
};

struct stream_fields {
    uint32_t count;
    struct expression_name names[STREAM_FIELDS_MAX];
    uint32_t source_count;
    struct text sources[STREAM_SOURCES_MAX];                    /* their names */
    uint8_t slots[STREAM_SOURCES_MAX][READING_FIELDS_MAX];      /* of a source's n-th field */
};

void stream_fields_begin(struct stream_fields *fields);
/* The next source, with its further fields; slices outlive the plans. A field that is called as one
 * of a reading's own can't be named in a stream.
 *   WEIR_EFULL  more names than STREAM_FIELDS_MAX */
int stream_fields_add(struct stream_fields *fields, struct text source, const struct text *names,
                      uint32_t count);

struct stream_accumulator {
    struct accumulator accumulator;
    uint8_t argument;            /* in plan.arguments; STREAM_READING: the reading itself */
    uint32_t offset;             /* of its state in a pane's */
};
enum { STREAM_READING = UINT8_MAX };

struct stream_aggregate {
    char name[READING_NAME_BYTES_MAX + 1]; /* in results */
    uint8_t kind;                /* stream_aggregate.c's */
    uint8_t of[2];               /* in plan.accumulators */
    double parameter;            /* quantile: which, 0 to 1 */
    uint32_t text_bytes;         /* of its value at most; 0: it is a number */
    uint32_t told_at;            /* of a text that is made when it is told: in plan.told_bytes */
};

/* Slots of what derived values and rules see: a result. */
enum stream_slot {
    SLOT_START, SLOT_END, SLOT_KEY,
    SLOT_VALUE = SLOT_KEY + STREAM_KEY_FIELDS_MAX,
    SLOT_PREVIOUS = SLOT_VALUE + STREAM_VALUES_MAX,
    SLOT_BASELINE = SLOT_PREVIOUS + STREAM_VALUES_MAX,
    STREAM_SLOTS = SLOT_BASELINE + STREAM_VALUES_MAX
};

struct stream_derived {
    char name[READING_NAME_BYTES_MAX + 1];
    struct expression of;
};

struct stream_rule {
    const struct stream_rule_config *config;
    struct expression when, observe;
};

struct stream_memory {
    uint8_t slot;                /* where expressions find it */
    uint8_t value;               /* of a result: which */
    bool baseline;               /* a mean of earlier ones; else the one before */
};

struct stream_plan {
    const struct stream_config *config;
    const struct stream_fields *fields;
    bool has_where;
    struct expression where;
    uint32_t key_count;
    uint8_t key[STREAM_KEY_FIELDS_MAX];    /* slots of the fields */
    uint32_t argument_count;
    struct expression arguments[STREAM_ARGUMENTS_MAX];
    uint32_t accumulator_count;
    struct stream_accumulator accumulators[STREAM_ACCUMULATORS_MAX];
    uint32_t aggregate_count;
    struct stream_aggregate aggregates[STREAM_AGGREGATES_MAX];
    uint32_t derived_count;
    struct stream_derived derived[STREAM_DERIVED_MAX];
    uint32_t value_count;        /* of a result: aggregates, then what is derived */
    struct stream_rule rules[STREAM_RULES_MAX];
    uint32_t memory_count;
    struct stream_memory memories[STREAM_MEMORIES_MAX];
    uint32_t memory_bytes;       /* of a key; twice where readings are judged, which have theirs */
    /* what each reading looks at stands together: */
    uint32_t rule_count;
    bool judges_readings;        /* a rule is on: reading */
    int64_t early_ms;            /* the configuration's */
    uint32_t watched_inputs;     /* sources that feed it, where there are several; else 0. Of all
                                  * sources (no `inputs`): one more, of those that are gone */
    uint8_t inputs[STREAM_SOURCES_MAX]; /* which of them a source is; UINT8_MAX: none */
    uint64_t slots;              /* a bit for each field that the stream looks at */
    int64_t pane_ms;
    uint32_t window_panes;       /* in one window: 1 when tumbling */
    uint32_t slide_panes;        /* from one window to the next */
    uint32_t panes;              /* kept of a key, a ring; of last_count: readings */
    uint32_t last_count;         /* readings in a window; 0: it is no such */
    uint32_t result_steps;       /* of its aggregates, for one result */
    uint32_t at_once;            /* results that wait at most, and are told with one reading, */
    uint64_t at_once_steps;      /* in so many */
    bool sparse;                 /* windows are told that have a reading in their last pane */
    uint16_t argument_at[STREAM_ARGUMENTS_MAX]; /* last_count: in a kept reading, and */
    bool argument_texts[STREAM_ARGUMENTS_MAX];  /* whether with the text that it may be */
    uint32_t told_bytes;         /* of room for texts that are made when a result is told */
    uint32_t texts_bytes;        /* of a result's values at most */
    uint32_t state_bytes;        /* of a pane's accumulators */
    uint32_t pane_bytes;         /* and its head; of sessions, and of last_count: one of them */
    uint32_t windows_max;        /* of one key, kept */
    uint32_t save_bytes_max;     /* of one key's state, saved */
    uint32_t results_max;        /* that one reading, or one timer, makes at most */
    uint32_t steps_max;          /* of expressions, that one reading makes at most */
    uint64_t digest;             /* of what its state depends on */
};

struct stream_fault {
    const void *field;           /* of the config: which text or number is meant */
    uint32_t column, width;      /* in that text, from 1; 0: as a whole */
    char why[EXPRESSION_WHY_BYTES];
};

/* WEIR_EINVAL with *fault: a name, an expression or an aggregate can't be used, or windows need
 * more panes than there may be. `config` and `fields` outlive the plan. */
int stream_compile(struct stream_plan *plan, const struct stream_config *config,
                   const struct stream_fields *fields, struct stream_fault *fault);

/* Name of the i-th value of a result. */
const char *stream_value_name(const struct stream_plan *plan, uint32_t value);

/* Bytes of text that it has at most; 0: it is a number. */
uint32_t stream_value_text_bytes(const struct stream_plan *plan, uint32_t value);

/* derive and rules (stream_rules_compile.c) */
int stream_rules_compile(struct stream_plan *plan, struct stream_fault *fault);

/* A stream's rules watch series of this metric, which no reading has: its name, behind this. */
#define STREAM_METRIC "stream/"

/* Bytes that one key takes in memory, its place in the tables included. */
uint64_t stream_key_bytes(const struct stream_plan *plan);
/* Bytes that one key takes in a checkpoint, and in its copy in memory. */
uint64_t stream_copy_bytes(const struct stream_plan *plan);
/* Of a key's bytes in memory, those that say how far each source is. */
uint64_t stream_inputs_bytes(const struct stream_plan *plan);

/* --- aggregates (stream_aggregate.c) --- */

/* One aggregate's text into the plan. */
int stream_aggregate_compile(struct stream_plan *plan, const struct stream_aggregate_text *text,
                             struct stream_fault *fault);
/* Its values are texts, always. */
bool stream_aggregate_is_text(const struct stream_plan *plan, uint32_t aggregate);
/* Its value over a pane's accumulators, or several panes' merged; null where it has none. A text
 * points into these, or into `told`, which has plan->told_bytes. */
struct datum stream_aggregate_value(const struct stream_plan *plan, uint32_t aggregate,
                                    const uint8_t *state, char *told);

#endif
