/* signal: what a healthy sensor says: base + daily cycle + slow drift + noise with a little
 * memory (AR(1)), rounded to the sensor's resolution. Time comes in with each reading; chance
 * from the seed alone. */
#ifndef SIMULATOR_SIGNAL_H
#define SIMULATOR_SIGNAL_H

#include <stdint.h>

#define SIGNAL_MEMORY 0.3 /* of the noise: correlation of neighbouring readings */

struct signal_metric { /* what one metric looks like over all devices */
    const char *name, *unit;
    double base_low, base_high; /* a device's base is drawn from here */
    double noise_sd;            /* drawn from half to twice this; a day swings by 3 to 8 */
    int digits;                 /* behind the point */
};

enum { SIGNAL_METRICS = 4 };
extern const struct signal_metric SIGNAL_METRIC[SIGNAL_METRICS];

struct signal {
    const struct signal_metric *metric;
    double base;
    double daily;          /* amplitude */
    double daily_phase;    /* radians */
    double drift_per_ms;
    double noise_sd;       /* standard deviation of the noise: the unit of a fault's magnitude */
    double noise;          /* the present deviation */
    int64_t start_ms;      /* drift counts from here */
    uint64_t chance;
};

void signal_init(struct signal *s, uint32_t metric, uint64_t seed, int64_t start_ms);

/* The next reading, not yet rounded; one draw of noise a call. */
double signal_next(struct signal *s, int64_t time_ms);

/* A normal deviate, mean 0 and deviation 1 (Box and Muller 1958). */
double signal_normal(uint64_t *chance);

/* To the sensor's resolution. */
double signal_round(const struct signal *s, double value);

#endif
