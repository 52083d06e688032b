/* baseline_bench: what the baseline costs a reading and a series, beside a running z-score (Welford, with a bar at
 * three deviations), the least that a detector can do, over the same readings in the same run.
 *
 * Series of five-minute readings with a daily cycle and noise, taken in turn as a gateway hears its devices; CPU time,
 * the best of some rounds, because a shared machine only ever adds to it. One JSON line.
 * Arguments: series (100), readings a series (4000), rounds (5). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/detect/baseline.h"

#include "tests/lib/noise.h"

enum { STEP_MS = 300000, DAY = 288, SETTINGS = 6 };

struct welford {
    float mean, m2;
    uint32_t count;
};

static bool welford_take(struct welford *w, float value)
{
    float off = value - w->mean;
    bool far = w->count > 1 && off * off * (float)(w->count - 1) > 9 * w->m2;
    w->count++;
    w->mean += off / (float)w->count;
    w->m2 += off * (value - w->mean);
    return far;
}

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t run_baseline(const float *values, size_t series, size_t readings,
                             const struct baseline_setting *setting)
{
    struct baseline *states = calloc(series, sizeof *states);
    uint64_t alarms = 0;
    for (size_t i = 0; i < readings; i++)
        for (size_t s = 0; s < series && states != NULL; s++) {
            const struct baseline_reading reading = { (int64_t)i * STEP_MS, STEP_MS,
                                                      (double)values[i * series + s] };
            alarms += baseline_take(&states[s], setting, &reading).raised;
        }
    free(states);
    return alarms;
}

static uint64_t run_welford(const float *values, size_t series, size_t readings)
{
    struct welford *states = calloc(series, sizeof *states);
    uint64_t alarms = 0;
    for (size_t i = 0; i < readings; i++)
        for (size_t s = 0; s < series && states != NULL; s++)
            alarms += welford_take(&states[s], values[i * series + s]);
    free(states);
    return alarms;
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    return argc > at ? (size_t)strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    size_t series = argument(argc, argv, 1, 100), readings = argument(argc, argv, 2, 4000);
    size_t rounds = argument(argc, argv, 3, 5);
    float *values = malloc(series * readings * sizeof *values);
    static const struct baseline_setting settings[SETTINGS] = {
        { SENSITIVITY_NORMAL, { true, true, true, true } },
        { SENSITIVITY_NORMAL, { false, false, false, false } },
        { SENSITIVITY_NORMAL, { .seasons = true } },
        { SENSITIVITY_NORMAL, { .pace = true } },
        { SENSITIVITY_NORMAL, { .jump = true } },
        { SENSITIVITY_NORMAL, { .habit = true } },
    };
    double best[SETTINGS + 1], per_reading = 1e9 / (double)(series * readings);
    uint64_t chance = 1, alarms[SETTINGS + 1] = { 0 };
    if (values == NULL)
        return 1;
    for (size_t i = 0; i < series * readings; i++)
        values[i] = (float)(100 + 20 * (i / series % DAY > DAY / 2) + rnd_normal(&chance));
    for (int which = 0; which <= SETTINGS; which++)
        best[which] = INFINITY;
    for (size_t round = 0; round < rounds; round++)
        for (int which = 0; which <= SETTINGS; which++) {
            double begun = cpu_s();
            alarms[which] = which < SETTINGS ? run_baseline(values, series, readings, &settings[which])
                                             : run_welford(values, series, readings);
            best[which] = fmin(best[which], (cpu_s() - begun) * per_reading);
        }
    printf("{\"bench\":\"baseline\",\"bytes\":%zu,\"ns\":%.1f,\"plain_ns\":%.1f,\"seasons_ns\":%.1f,\"pace_ns\":%.1f,"
           "\"jump_ns\":%.1f,\"habit_ns\":%.1f,\"z_score_ns\":%.1f,\"ratio\":%.1f,\"alarms\":%llu,\"z_score_alarms\":%llu}\n",
           sizeof(struct baseline), best[0], best[1], best[2] - best[1], best[3] - best[1], best[4] - best[1],
           best[5] - best[1], best[SETTINGS], best[0] / best[SETTINGS], (unsigned long long)alarms[0],
           (unsigned long long)alarms[SETTINGS]);
    free(values);
    return 0;
}
