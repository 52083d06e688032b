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

enum { STEP_MS = 300000, DAY = 288 };

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

static uint64_t run_baseline(const float *values, size_t series, size_t readings)
{
    struct baseline *states = calloc(series, sizeof *states);
    uint64_t alarms = 0;
    for (size_t i = 0; i < readings; i++)
        for (size_t s = 0; s < series && states != NULL; s++) {
            const struct baseline_reading reading = { (int64_t)i * STEP_MS, STEP_MS,
                                                      (double)values[i * series + s] };
            alarms += baseline_take(&states[s], SENSITIVITY_NORMAL, &reading).raised;
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
    double best[2] = { INFINITY, INFINITY };
    uint64_t chance = 1, alarms[2] = { 0, 0 };
    if (values == NULL)
        return 1;
    for (size_t i = 0; i < series * readings; i++)
        values[i] = (float)(100 + 20 * (i / series % DAY > DAY / 2) + rnd_normal(&chance));
    for (size_t round = 0; round < rounds; round++)
        for (int which = 0; which < 2; which++) {
            double begun = cpu_s();
            alarms[which] = (which == 0 ? run_baseline : run_welford)(values, series, readings);
            best[which] = fmin(best[which], cpu_s() - begun);
        }
    double per_reading = 1e9 / (double)(series * readings);
    printf("{\"bench\":\"baseline\",\"bytes\":%zu,\"ns\":%.1f,\"z_score_ns\":%.1f,\"ratio\":%.1f,\"alarms\":%llu,"
           "\"z_score_alarms\":%llu}\n",
           sizeof(struct baseline), best[0] * per_reading, best[1] * per_reading, best[0] / best[1],
           (unsigned long long)alarms[0], (unsigned long long)alarms[1]);
    free(values);
    return 0;
}
