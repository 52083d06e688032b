/* detect_plot: a recorded series with its expected band and its alarms, as one SVG file. */
#ifndef FIRMWARE_CLI_DETECT_PLOT_H
#define FIRMWARE_CLI_DETECT_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/reason.h"

struct plot_reading {
    int64_t time_ms;
    double value;
    float expected, low, high; /* low > high: nothing was expected yet */
};

struct plot_alarm {
    int64_t time_ms, until_ms; /* of its first and last reading */
    double value;
    enum reason reason;
    bool learning; /* the series was young */
};

struct plot {
    const char *title;
    const struct plot_reading *readings; /* in order of time, at least one */
    size_t reading_count;
    const struct plot_alarm *alarms;
    size_t alarm_count;
};

void detect_plot(const struct plot *plot, FILE *out);

#endif
