/* series: the real, labelled series that stand beside the repository, for tests that use them where they are.
 * Each is a CSV of `timestamp,value`, the timestamp "2014-02-07 14:55:00" in UTC. */
#ifndef TESTS_LIB_SERIES_H
#define TESTS_LIB_SERIES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/detect/detector.h"

enum { SERIES_PATH_BYTES = 1024 };

/* The folder of all series: $WEIR_SHARED/data, else ../shared/data. */
static inline void series_folder(char path[SERIES_PATH_BYTES])
{
    const char *shared = getenv("WEIR_SHARED");
    snprintf(path, SERIES_PATH_BYTES, "%s/data", shared != NULL ? shared : "../shared");
}

/* NULL where the series are absent. */
static inline FILE *series_open(const char *name)
{
    char folder[SERIES_PATH_BYTES], path[2 * SERIES_PATH_BYTES];
    series_folder(folder);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "r");
}

/* Unix time of "YYYY-MM-DD hh:mm:ss" (days from civil: Howard Hinnant, 2013); -1: not a time. */
static inline int64_t series_time_ms(const char *text)
{
    int year, month, day, hour, minute, second;
    if (sscanf(text, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) != 6)
        return -1;
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
}

/* The next reading not older than the last; false at the end. `*last_ms` begins at 0. */
static inline bool series_next(FILE *file, int64_t *last_ms, struct sample *sample)
{
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        const char *comma = strchr(line, ',');
        int64_t time_ms = series_time_ms(line);
        if (comma == NULL || time_ms < *last_ms)
            continue;
        *last_ms = time_ms;
        *sample = (struct sample){ time_ms, strtod(comma + 1, NULL) };
        return true;
    }
    return false;
}

#endif
