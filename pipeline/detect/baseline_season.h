/* baseline_season: what a series is like at each hour of the day, weekends apart or as other days.
 *
 * Two tables are learnt beside each other: one keeps weekends apart, one does not. The first is
 * believed until the second has been clearly nearer to the readings. Where the clock that the
 * process follows is put forward or back, the tables are read an hour on or off, as soon as the
 * readings of some hours show it. O(1) a reading, no time but the readings', add, subtract,
 * multiply and divide alone. docs/detection.md has the equations. */
#ifndef PIPELINE_DETECT_BASELINE_SEASON_H
#define PIPELINE_DETECT_BASELINE_SEASON_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

enum { SEASON_HOURS = 24, SEASON_SHIFTS = 3 };

struct season {
    float usual[2][SEASON_HOURS];     /* [weekend][hour, UTC and shift_hours]: mean of readings */
    uint16_t visits[2][SEASON_HOURS]; /* readings that it stands on */
    float every_day[SEASON_HOURS];    /* the same of all days */
    float gain;                       /* of an hour's mean, for the interval between readings */
    float lead;                       /* of every_day, in errors of late; > 0: it is believed */
    float shift_errors[SEASON_SHIFTS];/* the same, read an hour back, as now, an hour on */
    float settled_s;                  /* since the first reading, or the last shift; stops */
    int8_t shift_hours;
};

struct season_view { /* what one table says of a moment */
    float expected;
    uint16_t visits;   /* readings that this stands on; 0: nothing is known of the hour */
    uint8_t hour, weekday; /* Sunday: 0 */
    bool weekend;
};

/* Before anything is known of an hour, `level` is what is expected. With `learnt` false weekends
 * are always apart, and no clock is put forward. */
void season_at(struct season *s, int64_t time_ms, float level, bool learnt,
               struct season_view *view);

struct season_lesson {
    float value, level;
    float weight;     /* of this reading in the errors of late */
    float interval_s; /* between readings; 0: not known */
    bool known;       /* the series is old enough for its clock to be doubted */
};
void season_learn(struct season *s, const struct season_view *at,
                  const struct season_lesson *lesson);

/* The interval between readings is another now; 0: not known. */
void season_interval(struct season *s, float interval_s);

void season_save(const struct season *s, struct byte_writer *w);
void season_load(struct season *s, struct byte_reader *r);

#endif
