/* baseline: what is usual for a series, hour by hour, and how far a reading is from it.
 *
 * Needs no setting and no training: it learns from every reading what this hour of the day looks
 * like, how large its errors are, how wide the series ranges, and how long it
 * stays quiet. Each of those says how unusual a reading is (a term, below); the largest, and a part
 * of the drift, make the score; the score against a bar makes the alarm. The equations, their
 * sources and what each constant is worth stand in docs/detection.md.
 *
 * O(1) a reading, sizeof(struct baseline) bytes a series, no time but the readings'. Floats, with
 * add, subtract, multiply, divide and square root alone: the same bits on every processor. Values
 * beyond BASELINE_VALUE_MAX count as that, so that no square overflows. State and findings hold no
 * NaN. */
#ifndef PIPELINE_DETECT_BASELINE_H
#define PIPELINE_DETECT_BASELINE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/detect/baseline_season.h"
#include "pipeline/reason.h"

#define BASELINE_VALUE_MAX 1e15
#define BASELINE_COUNTS_LEAST (1.0f / 16)

enum {
    BASELINE_AGE_MAX = 64000, /* readings; older, no weight changes any more */
    BASELINE_AGE_KNOWN = 200, /* readings before anything is said, of most series */
    BASELINE_LATCH = 30       /* quiet readings after which an alarm is over */
};

/* How low the bar is: 3.0, 3.6, 4.5. Between 3 and 4 little is won or lost on real series. */
enum sensitivity { SENSITIVITY_HIGH, SENSITIVITY_NORMAL, SENSITIVITY_LOW, SENSITIVITIES };

/* What goes beyond the plain equations; each can be left out. */
struct baseline_parts {
    bool seasons; /* weekends are apart only where they are; clocks that are put forward and back */
    bool pace;    /* longer memories above 1 reading a second, an earlier word below 1 an hour */
    bool jump;    /* a record of what neither the hour nor the last readings explain */
    bool habit;   /* patterns that have been as odd before count less */
};

struct baseline_setting {
    enum sensitivity sensitivity;
    struct baseline_parts parts;
};

/* With all of its parts. */
struct baseline_setting baseline_setting(enum sensitivity sensitivity);

struct baseline_spread { /* of something that is watched, in the metric's unit but for `sum` */
    float mean, variance;
};

struct baseline {
    struct season season;               /* what each hour of the day is like */
    float interval_s;                   /* between readings; 0: not known */
    float counts;                       /* a reading, in memories: see baseline.c; 0 at first */
    float level;                        /* of the last 500 readings: stands in for an empty hour */
    float error;                        /* of the last 10 readings, |value - expected| */
    struct baseline_spread errors;      /* of `error`, over 4000 */
    float error_max, error_mean;        /* the largest, leaking; of single readings, over 1000 */
    float pattern_max;                  /* the oddest pattern, fading over 4000 */
    float last[2];                      /* readings */
    float jump_max, jump_mean;          /* as error_max, of the nearer of hour and last readings */
    float highest, lowest;              /* leaking towards the mean */
    struct baseline_spread values;      /* of readings, over 2000 */
    float above, below;                 /* sums of what is beyond half a deviation */
    struct baseline_spread sum;         /* of the larger of them */
    float budget;                       /* what past alarms have added to the bar */
    uint16_t quiet, quiet_max;          /* readings near the mean in a row; the longest such run */
    uint16_t age;                       /* readings seen; stops at 64000 */
    uint8_t age_known;                  /* when something is said */
    uint8_t latch;                      /* readings until the alarm is over; 0: there is none */
    uint8_t far;                        /* readings in a row too far off to be believed */
    uint8_t reason;                     /* of the alarm */
};

static_assert(sizeof(struct baseline) <= 348, "promised: at most 348 bytes a series");

struct baseline_finding {
    bool known;            /* false: too young; nothing else is set but the band's middle */
    bool raised;           /* an alarm begins with this reading */
    bool alarm;            /* an alarm is on */
    enum reason reason;    /* of the alarm; NONE while there is none */
    float expected;        /* at this hour */
    float low, high;       /* one reading inside is neither a spike nor a new high or low */
    float score, bar;      /* of this reading; what it is held against, past alarms included */
    float terms[REASON_TERMS];  /* what the score is made of; DRIFT as it is added to the largest */
};

struct baseline_reading {
    int64_t time_ms; /* Unix time */
    int64_t gap_ms;  /* since the series' reading before; ignored for the first */
    double value;
};

/* Judge a reading, then learn from it. A new series is all zeros. */
struct baseline_finding baseline_take(struct baseline *b, const struct baseline_setting *setting,
                                      const struct baseline_reading *reading);

float baseline_bar(enum sensitivity sensitivity);

void baseline_save(const struct baseline *b, struct byte_writer *w);
void baseline_load(struct baseline *b, struct byte_reader *r);

#endif
