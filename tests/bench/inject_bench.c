/* inject_bench: of faults put into real series, how many the baseline finds, how soon, and what the stuck rule adds.
 *
 * Every series that stands beside the repository gets each kind of fault once a seed, at a reading drawn from it. A
 * fault is found where an alarm is raised in it (a spike: within ten readings); the case `nothing` tells how often that
 * would happen by chance. With a prototype (a shared library whose d1_run judges a whole series) the same series go to
 * it. One JSON line a case, and one that says what the stuck rule raises in the series as they are.
 * Arguments: the prototype or "-", seeds (3).
 * Links: simulator/inject.c simulator/signal.c */
#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/detect/detector.h"
#include "simulator/chance.h"
#include "simulator/inject.h"

#include "tests/lib/series_files.h"

enum { READINGS_MAX = 30000, FAULT_READINGS = 150, SPIKE_READINGS = 10, EARLIER = 400, CASES = 13 };
enum { BASELINE, WITH_STUCK, PROTOTYPE, WITH_STUCK_TOO, FINDERS };

static const struct fault_case {
    const char *name;
    enum inject_kind kind;
    double size;
    bool wild; /* 400 readings before it one of a thousand deviations */
} FAULTS[CASES] = {
    { "nothing", INJECT_SHIFT, 0, false },      { "spike, 5 sd", INJECT_SPIKE, 5, false },
    { "spike, 8 sd", INJECT_SPIKE, 8, false },  { "shift, 3 sd", INJECT_SHIFT, 3, false },
    { "shift, 5 sd", INJECT_SHIFT, 5, false },  { "drift to 6 sd", INJECT_DRIFT, 6, false },
    { "noise, 3 sd", INJECT_NOISE, 3, false },  { "drop to 0", INJECT_DROP, 0, false },
    { "gain 2", INJECT_GAIN, 2, false },        { "held at the maximum", INJECT_HIGH, 0, false },
    { "stuck", INJECT_STUCK, 0, false },        { "shift, 5 sd, after a wild reading", INJECT_SHIFT, 5, true },
    { "shift, 5 sd, from reading 600", INJECT_SHIFT, 5, false },
};

typedef void prototype_run(const double *values, const double *times_s, int count, const float *settings,
                           double *scores, uint8_t *alarms);

static struct bench {
    prototype_run *prototype;
    uint64_t seeds;
    size_t count; /* readings of the series at hand */
    double values[READINGS_MAX], changed[READINGS_MAX], times_s[READINGS_MAX], scratch[READINGS_MAX];
    uint8_t alarms[FINDERS][READINGS_MAX];
    uint64_t trials[CASES], found[CASES][FINDERS];
    uint16_t delays[CASES][FINDERS][1 << 16];
    uint64_t readings, stuck_alarms;
} bench;

/* In the order of the prototype's own list; what it was measured with. */
static const float SETTINGS[] = { .05f, 10, 4000, 200, .1f, 6,  .05f, .02f, 4.5f, .5f,  2000, .3f, 5,    3.6f,
                                  30,   .2f, 4000, 500, 20,  2,  .5f,  .4f,  0,    0,    5,    1e-5f, 1, 0 };

static void run_prototype(struct bench *b)
{
    memset(b->alarms[PROTOTYPE], 0, b->count);
    if (b->prototype != NULL)
        b->prototype(b->changed, b->times_s, (int)b->count, SETTINGS, b->scratch, b->alarms[PROTOTYPE]);
}

/* The baseline into `own`; and into `stuck` the rule of that name. */
static void run_ours(struct bench *b, uint8_t *own, uint8_t *stuck)
{
    struct baseline baseline;
    struct detector_state state;
    struct statistics statistics;
    const struct detector_config rule = detector_defaults(DETECTOR_STUCK);
    bool before = false;
    memset(&baseline, 0, sizeof baseline);
    memset(&state, 0, sizeof state);
    statistics_init(&statistics);
    for (size_t i = 0; i < b->count; i++) {
        int64_t time_ms = (int64_t)(b->times_s[i] * 1000);
        const struct baseline_reading reading = { time_ms, i > 0 ? time_ms - statistics.last_ms : 0, b->changed[i] };
        const struct sample sample = { time_ms, b->changed[i] };
        own[i] = baseline_take(&baseline, SENSITIVITY_NORMAL, &reading).raised;
        bool anomalous = detector_ops(DETECTOR_STUCK)->on_reading(&rule, &state, &sample, &statistics).anomalous;
        stuck[i] = anomalous && !before;
        before = anomalous;
        statistics_push(&statistics, time_ms, b->changed[i]);
    }
}

static void tell_apart(struct bench *b, size_t at, const struct injection *in)
{
    size_t end = in->start + (in->kind == INJECT_SPIKE ? SPIKE_READINGS : in->count);
    for (int finder = 0; finder < FINDERS; finder++) {
        size_t i = in->start;
        while (i < end && !b->alarms[finder][i])
            i++;
        if (i < end)
            b->delays[at][finder][b->found[at][finder]++] = (uint16_t)(i - in->start);
    }
    b->trials[at]++;
}

static void try_fault(struct bench *b, size_t at, uint64_t seed)
{
    const struct fault_case *fault = &FAULTS[at];
    uint64_t chance = chance_branch(seed, at);
    size_t first = b->count / 2 > 1000 ? 1000 : b->count / 2;
    size_t start = first + chance_below(&chance, (uint32_t)(b->count - first - FAULT_READINGS));
    if (at == CASES - 1)
        start = 600;
    const struct injection in = { fault->kind, start, FAULT_READINGS, fault->size, seed };
    double deviation = inject_deviation(b->values, b->count, b->scratch);
    memcpy(b->changed, b->values, b->count * sizeof *b->values);
    if (fault->wild)
        inject(b->changed, &(struct injection){ INJECT_SPIKE, start - EARLIER, 1, 1000, seed }, deviation);
    if (at > 0)
        inject(b->changed, &in, deviation);
    static uint8_t stuck[READINGS_MAX];
    run_ours(b, b->alarms[BASELINE], stuck);
    run_prototype(b);
    for (size_t i = 0; i < b->count; i++) {
        b->alarms[WITH_STUCK][i] = b->alarms[BASELINE][i] || stuck[i];
        b->alarms[WITH_STUCK_TOO][i] = b->alarms[PROTOTYPE][i] || stuck[i];
        b->stuck_alarms += at == 0 && stuck[i];
    }
    b->readings += at == 0 ? b->count : 0;
    tell_apart(b, at, &in);
}

static void run_series(void *ctx, const char *path, const char *name)
{
    struct bench *b = ctx;
    int64_t last_ms = 0;
    struct sample sample;
    FILE *file = fopen(path, "r");
    (void)name;
    b->count = 0;
    while (file != NULL && b->count < READINGS_MAX && series_next(file, &last_ms, &sample)) {
        b->values[b->count] = sample.value;
        b->times_s[b->count++] = (double)sample.event_time_ms / 1000;
    }
    if (file != NULL)
        (void)fclose(file);
    for (size_t at = 0; at < CASES && b->count >= 1000; at++)
        for (uint64_t seed = 1; seed <= b->seeds; seed++)
            try_fault(b, at, chance_branch(seed, b->count));
}

static int compare(const void *left, const void *right)
{
    uint16_t a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

static void print_finder(struct bench *b, size_t at, int finder, const char *name)
{
    uint64_t found = b->found[at][finder];
    qsort(b->delays[at][finder], found, sizeof **b->delays[at], compare);
    printf(",\"%s\":{\"found\":%.4f,\"median_delay\":%d}", name, (double)found / (double)b->trials[at],
           found > 0 ? b->delays[at][finder][found / 2] : -1);
}

int main(int argc, char **argv)
{
    char folder[SERIES_PATH_BYTES];
    bench.seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
    void *library = argc > 1 && strcmp(argv[1], "-") != 0 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *run = library != NULL ? dlsym(library, "d1_run") : NULL;
    memcpy(&bench.prototype, &run, sizeof run);
    series_folder(folder);
    series_each(folder, SERIES_DEPTH_MAX, run_series, &bench);
    for (size_t at = 0; at < CASES && bench.trials[at] > 0; at++) {
        printf("{\"bench\":\"inject\",\"case\":\"%s\",\"trials\":%llu", FAULTS[at].name,
               (unsigned long long)bench.trials[at]);
        print_finder(&bench, at, BASELINE, "baseline");
        print_finder(&bench, at, WITH_STUCK, "with_stuck");
        if (bench.prototype != NULL) {
            print_finder(&bench, at, PROTOTYPE, "prototype");
            print_finder(&bench, at, WITH_STUCK_TOO, "prototype_with_stuck");
        }
        printf("}\n");
    }
    printf("{\"bench\":\"inject\",\"case\":\"stuck rule, nothing wrong\",\"readings\":%llu,\"alarms\":%llu}\n",
           (unsigned long long)(bench.readings / (bench.seeds > 0 ? bench.seeds : 1)),
           (unsigned long long)(bench.stuck_alarms / (bench.seeds > 0 ? bench.seeds : 1)));
    return 0;
}
