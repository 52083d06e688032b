/* baseline_season: what a series is like at each hour of the day, weekends apart or as other days.
 *
 * Two tables are learnt beside each other: one keeps weekends apart, one does not. The first is
 * believed until the second has been clearly nearer to the readings. Where the clock that the
 * process follows is put forward or back, the tables are read an hour on or off, as soon as the
 * readings of some hours show it. O(1) a reading, no time but the readings', add, subtract,
 * multiply and divide alone. docs/detection.md has the equations.
 *
 * The hour at hand and its neighbours are kept as floats. The others are put away in 16 bits: as
 * distances from a base, in units that are never more than 1/8192 of the largest of them, and 0
 * where a series never moved. So a reading touches the first 56 bytes, and the rows once an hour,
 * when all of them are looked at. */
#ifndef PIPELINE_DETECT_BASELINE_SEASON_H
#define PIPELINE_DETECT_BASELINE_SEASON_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

enum { SEASON_HOURS = 24, SEASON_SHIFTS = 3, SEASON_NOW = 1 };

struct season_row {       /* an hour of the day, put away */
    int16_t usual[2];     /* [weekend]: mean of readings, from `base`, in units of 2^scale */
    int16_t every_day;    /* the same of all days */
    uint8_t visits[2];    /* readings that `usual` stands on; to 3 %. 0: there is none */
};

struct season {
    float usual[SEASON_SHIFTS];       /* mean of readings, an hour back, now, an hour on */
    float every_day;                  /* of this hour, of all days */
    float gain;                       /* of an hour's mean, for the interval between readings */
    float lead;                       /* of every_day, in errors of late; > 0: it is believed */
    float shift_errors[SEASON_SHIFTS];/* the same, read an hour back, as now, an hour on */
    float settled_s;                  /* since the first reading, or the last shift; stops */
    float base;
    uint16_t visits[SEASON_SHIFTS];   /* readings that `usual` stands on */
    uint16_t visits_apart;            /* of this hour, on the other kind of day */
    int8_t scale;
    int8_t shift_hours;
    uint8_t week_hour;                /* UTC and shift_hours; Sunday 0:00 is 1; 0: none yet */
    struct season_row rows[SEASON_HOURS];
};

struct season_view { /* what one table says of a moment */
    float expected;
    uint16_t visits;   /* readings that this stands on; 0: nothing is known of the hour */
};

/* Before anything is known of an hour, `level` is what is expected. With `learnt` false weekends
 * are always apart, and no clock is put forward. */
struct season_view season_at(struct season *s, int64_t time_ms, float level, bool learnt);

struct season_lesson {
    float value, level;
    float weight;     /* of this reading in the errors of late */
    float interval_s; /* between readings; 0: not known */
    bool known;       /* the series is old enough for its clock to be doubted */
};

/* Of a reading at the time that season_at was asked about last. */
void season_learn(struct season *s, const struct season_lesson *lesson);

/* The interval between readings is another now; 0: not known. */
void season_interval(struct season *s, float interval_s);

void season_save(const struct season *s, struct byte_writer *w);
void season_load(struct season *s, struct byte_reader *r);

#endif
