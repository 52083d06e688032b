/* detector: the one interface behind which every way of finding an anomaly stands, one file each.
 *
 * A detector looks at one series. It sees every reading in order of event time, with the statistics
 * as they were before that reading, and says whether the reading is anomalous, how far, and what it
 * expected. It does not know about alerts: `for`, cool-down, clearing and learning belong to the
 * alert's state machine (alert.h), alike for all kinds. State is plain data of at most
 * DETECTOR_STATE_BYTES, kept by the engine for each (series, detector) and saved with it. No time
 * but the reading's; no heap, no chance. A verdict holds no NaN and no infinity.
 *
 * What each kind does, with its equations and limits, stands at the head of its file and, for those
 * who configure it, in docs/detectors.md. */
#ifndef PIPELINE_DETECT_DETECTOR_H
#define PIPELINE_DETECT_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/alerts/severity.h"
#include "pipeline/bytes.h"
#include "pipeline/detect/baseline.h"
#include "pipeline/reading.h"
#include "pipeline/reason.h"
#include "pipeline/statistics.h"

enum {
    DETECTOR_STATE_BYTES = 1024, /* the largest; a series has room for what its rules need */
    DETECTOR_NAME_BYTES_MAX = 40,
    DETECTOR_READINGS_MAX = 32, /* of for_readings, of_readings */
    DETECTOR_CLEAR_READINGS_MAX = 60
};

enum detector_kind {
    DETECTOR_LIMIT,  /* outside [low, high], with hysteresis */
    DETECTOR_SHIFT,  /* the level moved and stays: two-sided CUSUM */
    DETECTOR_SPIKE,  /* one reading far from what is usual, in robust deviations */
    DETECTOR_RATE,   /* changes faster than `per_second_max` */
    DETECTOR_STUCK,  /* the same value for longer than this series' own habit */
    DETECTOR_SILENT, /* no reading for longer than the device's own rhythm allows */
    DETECTOR_BASELINE, /* not what it usually is at this hour, and in what way */
    DETECTOR_MISSING,  /* fewer readings in an hour than usual */
    DETECTOR_RANGE,    /* no measurement: an error code, or what the unit does not allow */
    DETECTOR_NOISE,    /* the signal has lost its noise */
    DETECTOR_COUNTER,  /* what only counts up began again */
    DETECTOR_CYCLE,    /* what repeats itself was out of form */
    DETECTOR_SIBLINGS, /* a metric no longer goes with another one of its device */
    DETECTOR_KINDS
};

/* One configured rule; the configuration's. Parameters that a kind does not use are ignored. */
struct detector_config {
    char name[DETECTOR_NAME_BYTES_MAX + 1];   /* the rule's name: part of an alert's identity */
    enum detector_kind kind;
    /* which series: exact, or with one '*' that stands for any run */
    char device[READING_NAME_BYTES_MAX + 1];
    char metric[READING_NAME_BYTES_MAX + 1];
    bool has_low, has_high;
    bool has_hysteresis;          /* else it is worked out from the limits */
    double low, high;             /* LIMIT, in the metric's unit */
    double hysteresis;            /* LIMIT: how far inside the limit ends the anomaly, same unit */
    /* SPIKE: robust deviations; SHIFT: the decision interval h, in standard deviations */
    double threshold;
    double drift;                 /* SHIFT: the allowance k, in standard deviations */
    double per_second_max;        /* RATE: largest usual |change a second| */
    uint32_t stuck_readings;      /* STUCK: least run of equal values */
    int64_t silent_min_ms;        /* SILENT: never before this */
    double silent_intervals;      /* SILENT: multiples of the series' own interval */
    enum sensitivity sensitivity; /* BASELINE */
    struct baseline_parts parts;  /* BASELINE */
    bool usual;                   /* gives way to others of its kind, series by series */
    bool off;                     /* watches nothing, and no other of its kind does there */
    enum severity severity;
    /* the anomaly must last this long, in pipeline time, before it is an alert */
    int64_t for_ms;
    /* and so many of the last `of_readings` (0: all of them; at most READINGS_MAX) that it judged
     * must be anomalous; 0, 1: one is enough */
    uint8_t for_readings, of_readings;
    int64_t clear_after_ms;       /* and be gone this long before the alert is cleared, */
    uint8_t clear_readings;       /* and for so many readings in a row */
    bool latch;                   /* nor before a person has acknowledged it */
    /* after that, no new alert of this rule and series for so long (counted) */
    int64_t cooldown_ms;
    /* a step of severity more when it lasts so long, another after four times that; 0: never */
    int64_t escalate_after_ms;
    double escalate_score; /* and one when the score is so many thresholds; 0: never */
    bool chatter;          /* clear it later when it comes and goes */
    int64_t keep_ms;       /* what is known of one that is over stays so long, if there is room */
};

struct sample { /* one reading as a detector sees it */
    int64_t event_time_ms;
    double value;
};

struct verdict {
    bool known;        /* false: not enough seen yet to say anything */
    bool anomalous;
    bool bad;          /* no measurement: nobody else is to see it */
    enum reason reason; /* why, where the kind can tell; else NONE */
    /* in the metric's unit, or the kind's own (a run's readings, milliseconds of silence) */
    double observed;
    double low, high;  /* what was expected; low > high: no band */
    /* how far from usual in the kind's own measure, and where that becomes an anomaly */
    double score;
    double threshold;
    /* CYCLE: the period, in readings; SIBLINGS: the partner, as the engine numbers series */
    uint32_t about;
    float terms[REASON_TERMS]; /* BASELINE, while anomalous: what the score is made of, by reason */
};

/* What a kind judges by. */
struct detector_input {
    const struct detector_config *config;
    const struct sample *sample;
    const struct statistics *before; /* of the series, without the sample */
    bool asked; /* the verdict is wanted in any case, not only where it is anomalous */
};

struct detector_state { /* room for any kind's state */
    union {
        uint64_t align;
        uint8_t bytes[DETECTOR_STATE_BYTES];
    } of;
};

/* For SIBLINGS: other series of the device, as the engine numbers them (UINT32_MAX: none), and
 * their last readings. */
struct detector_pair {
    uint32_t partner, candidate;
};

struct detector_siblings {
    struct detector_pair series; /* as they were asked for */
    double partner, candidate;
    uint32_t next;               /* the one after the candidate */
    bool any;                    /* the device has other series */
    bool partner_here, candidate_here; /* there is a reading, and it is new enough */
};

/* What a kind supplies; one constant in each detector_*.c. `state` is at least state_bytes, aligned
 * to 4, and zero for a series that is new. */
struct detector_kind_ops {
    const char *name; /* in configurations: "limit", "shift", ... */
    uint32_t state_bytes; /* <= DETECTOR_STATE_BYTES; 0: keeps nothing */
    bool learns;          /* what is usual comes from the series itself; else a person has set it */
    /* Judge a reading, then learn from it. Returns whether it is anomalous; *verdict is written
     * where it is, and where it was asked for: nearly always nobody wants it. */
    bool (*on_reading)(const struct detector_input *in, void *state, struct verdict *verdict);
    /* SILENT only, else NULL. A reading came, gap_ms > 0 of pipeline time after the one before; and
     * how long after the last one silence begins, 0: not yet known. */
    void (*on_arrival)(const struct detector_config *config, void *state, int64_t gap_ms);
    int64_t (*silence_ms)(const struct detector_config *config, const void *state);
    /* RANGE only, else NULL. The series' unit is known. */
    void (*on_unit)(void *state, struct text unit);
    /* SIBLINGS only, else NULL: whom it asks for, and before each reading what they say. */
    struct detector_pair (*siblings_wanted)(const void *state);
    void (*on_siblings)(void *state, const struct detector_siblings *met);
    void (*save)(const void *state, struct byte_writer *w);
    /* On what save does not write the reader fails, and the state is void. */
    void (*load)(void *state, struct byte_reader *r);
};

const struct detector_kind_ops *detector_ops(enum detector_kind kind);

/* Judge a reading by a rule, learn from it, and say all that there is to say. */
struct verdict detector_judge(const struct detector_config *config, void *state,
                              const struct sample *sample, const struct statistics *before);

/* The kind's defaults for every parameter, name empty, device and metric "*". */
struct detector_config detector_defaults(enum detector_kind kind);

/* Whether rules[at] watches this series: its patterns match, none of its kind that is off does,
 * and, where it is a usual one, no other of its kind. O(count). */
bool detector_watches(const struct detector_config *rules, uint32_t count, uint32_t at,
                      struct text device, struct text metric);

#endif
