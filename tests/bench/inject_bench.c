/* inject_bench: of faults put into real series, how many the baseline finds, how soon, and what the stuck rule adds, and
 * all usual rules.
 *
 * Every series that stands beside the repository gets each kind of fault once a seed, at a reading drawn from it. A
 * fault is found where an alarm is raised in it (a spike: within ten readings); the case `nothing` tells how often that
 * would happen by chance. With a prototype (a shared library whose d1_run judges a whole series) the same series go to
 * it. One JSON line a case, and one for each rule that says what it raises in the series as they are. And a device that
 * says nothing from some reading on: how often it is called silent within three of its own intervals, or three minutes.
 * Its own is the gap within which 95 % of its time so far lay, computed here from all of them, where the rule follows
 * it in two floats; beside it the plain 95th percentile of its gaps, which takes none of a gap's length into account;
 * and how many gaps in the series as they are would be called silence.
 * Arguments: the prototype or "-", seeds (3).
 * Links: simulator/inject.c simulator/signal.c */
#include <assert.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/detect/detector.h"
#include "simulator/chance.h"
#include "simulator/inject.h"

#include "tests/lib/series_files.h"

enum { READINGS_MAX = 30000, FAULT_READINGS = 150, SPIKE_READINGS = 10, EARLIER = 400, CASES = 15 };
enum { BASELINE, WITH_STUCK, WITH_RULES, PROTOTYPE, WITH_STUCK_TOO, FINDERS };
enum { RULES = 4 };
static const enum detector_kind KINDS[RULES] = { DETECTOR_STUCK, DETECTOR_RANGE, DETECTOR_NOISE, DETECTOR_COUNTER };

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
    { "stuck", INJECT_STUCK, 0, false },        { "a twentieth of the noise", INJECT_QUIET, 0, false },
    { "error code -127", INJECT_CODE, 0, false }, { "shift, 5 sd, after a wild reading", INJECT_SHIFT, 5, true },
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
    uint64_t deaths, deaths_found, deaths_found_plainly, silences;
    uint64_t readings, rule_alarms[RULES];
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

struct rule { /* one beside the baseline */
    struct detector_config config;
    struct detector_state state;
    bool before; /* the reading before was anomalous */
};

/* The baseline into `own`; a bit for each rule that raises an alarm into `rules`. */
static void run_ours(struct bench *b, uint8_t *own, uint8_t *rules)
{
    struct baseline baseline;
    struct rule beside[RULES];
    struct statistics statistics;
    const struct baseline_setting setting = baseline_setting(SENSITIVITY_NORMAL);
    memset(&baseline, 0, sizeof baseline);
    memset(beside, 0, sizeof beside);
    for (int k = 0; k < RULES; k++)
        beside[k].config = detector_defaults(KINDS[k]);
    statistics_init(&statistics);
    for (size_t i = 0; i < b->count; i++) {
        int64_t time_ms = (int64_t)(b->times_s[i] * 1000);
        const struct baseline_reading reading = { time_ms, i > 0 ? time_ms - statistics.last_ms : 0, b->changed[i] };
        const struct sample sample = { time_ms, b->changed[i] };
        own[i] = baseline_take(&baseline, &setting, &reading).raised;
        rules[i] = 0;
        for (int k = 0; k < RULES; k++) {
            struct rule *rule = &beside[k];
            bool anomalous = detector_judge(&rule->config, &rule->state, &sample, &statistics).anomalous;
            rules[i] |= (uint8_t)((anomalous && !rule->before) << k);
            rule->before = anomalous;
        }
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
    static uint8_t rules[READINGS_MAX];
    run_ours(b, b->alarms[BASELINE], rules);
    run_prototype(b);
    for (size_t i = 0; i < b->count; i++) {
        b->alarms[WITH_STUCK][i] = b->alarms[BASELINE][i] || (rules[i] & 1) != 0;
        b->alarms[WITH_RULES][i] = b->alarms[BASELINE][i] || rules[i] != 0;
        b->alarms[WITH_STUCK_TOO][i] = b->alarms[PROTOTYPE][i] || (rules[i] & 1) != 0;
        for (int k = 0; k < RULES; k++)
            b->rule_alarms[k] += at == 0 && (rules[i] >> k & 1) != 0;
    }
    b->readings += at == 0 ? b->count : 0;
    tell_apart(b, at, &in);
}

static int compare_numbers(const void *left, const void *right)
{
    double a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* The gap that 95 % of those before reading `end` are within; weighted: that 95 % of the time is. */
static double gap_ms(struct bench *b, size_t end, bool weighted)
{
    size_t count = 0, at = 0;
    double all = 0, within = 0;
    for (size_t i = 1; i < end; i++)
        if (b->times_s[i] > b->times_s[i - 1])
            b->scratch[count++] = 1000 * (b->times_s[i] - b->times_s[i - 1]);
    qsort(b->scratch, count, sizeof *b->scratch, compare_numbers);
    for (size_t i = 0; i < count; i++)
        all += weighted ? b->scratch[i] : 1;
    while (at + 1 < count && (within += weighted ? b->scratch[at] : 1) < 0.95 * all)
        at++;
    return count > 0 ? b->scratch[at] : 0;
}

/* Its device dies before reading `start`; SIZE_MAX: never. */
static void run_silent(struct bench *b, size_t start)
{
    const struct detector_kind_ops *ops = detector_ops(DETECTOR_SILENT);
    const struct detector_config rule = detector_defaults(DETECTOR_SILENT);
    struct detector_state state;
    memset(&state, 0, sizeof state);
    size_t end = start < b->count ? start : b->count;
    for (size_t i = 1; i < end; i++) {
        int64_t gap = (int64_t)(1000 * (b->times_s[i] - b->times_s[i - 1]));
        int64_t allowed_ms = ops->silence_ms(&rule, &state);
        b->silences += start == SIZE_MAX && allowed_ms > 0 && gap > allowed_ms;
        if (gap > 0)
            ops->on_arrival(&rule, &state, gap);
    }
    if (start == SIZE_MAX)
        return;
    double allowed_ms = (double)ops->silence_ms(&rule, &state), least = (double)rule.silent_min_ms;
    b->deaths++;
    b->deaths_found += allowed_ms > 0 && allowed_ms <= fmax(least, 3 * gap_ms(b, start, true));
    b->deaths_found_plainly += allowed_ms > 0 && allowed_ms <= fmax(least, 3 * gap_ms(b, start, false));
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
    if (b->count >= 1000)
        run_silent(b, SIZE_MAX);
    for (uint64_t seed = 1; seed <= b->seeds && b->count >= 1000; seed++) {
        uint64_t chance = chance_branch(seed, b->count);
        run_silent(b, 200 + chance_below(&chance, (uint32_t)b->count - 200));
    }
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
        print_finder(&bench, at, WITH_RULES, "with_rules");
        if (bench.prototype != NULL) {
            print_finder(&bench, at, PROTOTYPE, "prototype");
            print_finder(&bench, at, WITH_STUCK_TOO, "prototype_with_stuck");
        }
        printf("}\n");
    }
    printf("{\"bench\":\"inject\",\"dead\":{\"trials\":%llu,\"found\":%.4f,\"found_plainly\":%.4f,\"silences\":%llu}}\n",
           (unsigned long long)bench.deaths, (double)bench.deaths_found / (double)bench.deaths,
           (double)bench.deaths_found_plainly / (double)bench.deaths, (unsigned long long)bench.silences);
    uint64_t times = bench.seeds > 0 ? bench.seeds : 1;
    for (int k = 0; k < RULES; k++)
        printf("{\"bench\":\"inject\",\"rule\":\"%s\",\"readings\":%llu,\"alarms\":%llu}\n", detector_ops(KINDS[k])->name,
               (unsigned long long)(bench.readings / times), (unsigned long long)(bench.rule_alarms[k] / times));
    return 0;
}
