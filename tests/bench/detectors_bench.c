/* detectors_bench: how well and how fast the detectors work with their defaults, on seeded series.
 *
 * One JSON line a case: for each kind of fault the share found and the false alarms, for each kind of
 * detector the nanoseconds a reading. A series is base + daily cycle + drift + noise with some memory,
 * at 10 readings a second, rounded; healthy for 300 readings, then with one fault every 150 to 450.
 * An alarm is an anomalous verdict after QUIET readings without one; it is false when its series had no
 * fault in it or in the GRACE readings before. The first 250 readings are learning and not counted.
 * Arguments: series a case (500), readings a series (3000). */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/detect/detector.h"

#include "tests/lib/check.h"

enum { LEARNING = 250, HEALTHY = 300, QUIET = 50, GRACE = 50, SPEED_READINGS = 1000000 };

struct noise_case {
    const char *name;
    double memory;      /* correlation of neighbouring readings */
    double resolution;  /* in standard deviations of the noise */
    double cycle_s;     /* period of the cycle */
    double cycle_sd;    /* its amplitude, in standard deviations */
    bool faults;
};

static const struct noise_case CASES[] = {
    { "white, healthy", 0, 0.02, 86400, 8, false },
    { "memory 0.3, healthy", 0.3, 0.02, 86400, 8, false },
    { "memory 0.5, healthy", 0.5, 0.02, 86400, 8, false },
    { "memory 0.8, healthy", 0.8, 0.02, 86400, 8, false },
    { "memory 0.95, healthy", 0.95, 0.02, 86400, 8, false },
    { "coarse, healthy", 0.3, 1.0, 86400, 8, false },
    { "very coarse, healthy", 0.3, 4.0, 86400, 8, false },
    { "cycle of 10 min, healthy", 0.3, 0.02, 600, 8, false },
    { "very coarse, cycle of 10 min, healthy", 0.3, 4.0, 600, 8, false },
    { "white", 0, 0.02, 86400, 8, true },
    { "memory 0.3", 0.3, 0.02, 86400, 8, true },
    { "memory 0.5", 0.5, 0.02, 86400, 8, true },
    { "coarse", 0.3, 1.0, 86400, 8, true },
    { "very coarse", 0.3, 2.0, 86400, 8, true },
    { "cycle of 10 min", 0.3, 0.02, 600, 8, true },
};

enum fault { FAULT_NONE, FAULT_SPIKE, FAULT_SHIFT, FAULT_STUCK, FAULTS };
static const enum detector_kind FINDER[FAULTS] = { DETECTOR_KINDS, DETECTOR_SPIKE, DETECTOR_SHIFT,
                                                   DETECTOR_STUCK };

struct series {
    const struct noise_case *of;
    uint64_t chance;
    double noise, phase, drift, stuck_at;
    uint32_t readings;        /* in all */
    uint32_t at;              /* of them so far */
    enum fault fault;
    uint32_t fault_start, fault_end; /* readings; the end is one past */
    double fault_sd;
};

struct tally {
    uint64_t readings, faults[FAULTS], found[FAULTS], delay[FAULTS];
    uint64_t false_alarms[DETECTOR_KINDS];
};

static double normal(uint64_t *chance)
{
    double u = 1 - rnd_unit(chance);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * rnd_unit(chance));
}

static double between(uint64_t *chance, double low, double high)
{
    return low + (high - low) * rnd_unit(chance);
}

static void next_fault(struct series *s)
{
    static const double LENGTH[FAULTS] = { 0, 1, 50, 60 }, MORE[FAULTS] = { 0, 0, 30, 30 };
    uint32_t rest = s->at == 0 ? HEALTHY : 150;
    s->fault = (enum fault)(1 + rnd(&s->chance) % (FAULTS - 1));
    s->fault_start = s->at + rest + (uint32_t)between(&s->chance, 0, 300);
    s->fault_end = s->fault_start +
                   (uint32_t)(LENGTH[s->fault] + between(&s->chance, 0, MORE[s->fault]));
    double sign = rnd(&s->chance) % 2 == 0 ? 1 : -1;
    s->fault_sd = sign * (s->fault == FAULT_SPIKE ? between(&s->chance, 10, 20)
                                                  : between(&s->chance, 6, 9));
}

static struct series series_begin(const struct noise_case *of, uint64_t seed)
{
    struct series s = { .of = of, .chance = seed, .fault_start = UINT32_MAX, .fault_end = UINT32_MAX };
    s.noise = normal(&s.chance);
    s.phase = between(&s.chance, 0, 6.283);
    s.drift = between(&s.chance, -1, 1) * 1e-5;
    if (of->faults)
        next_fault(&s);
    return s;
}

/* In standard deviations of the noise about 100. */
static double series_next(struct series *s)
{
    const struct noise_case *of = s->of;
    if (s->at == s->fault_end)
        next_fault(s);
    s->noise = of->memory * s->noise + sqrt(1 - of->memory * of->memory) * normal(&s->chance);
    double cycle = of->cycle_sd * sin(6.283185307179586 * s->at / 10 / of->cycle_s + s->phase);
    double value = 100 + cycle + s->drift * s->at + s->noise;
    if (s->at == s->fault_start)
        s->stuck_at = value;
    if (s->at >= s->fault_start)
        value = s->fault == FAULT_STUCK ? s->stuck_at : value + s->fault_sd;
    s->at++;
    return round(value / of->resolution) * of->resolution;
}

struct finder {
    struct detector_config config;
    struct detector_state state;
    uint32_t last;       /* reading of the last anomalous verdict, from 1; 0: none */
    uint32_t found_at;   /* start of the fault last found */
};

static void count(struct tally *tally, const struct series *s, struct finder *f, bool anomalous,
                  uint32_t *fault_over)
{
    uint32_t at = s->at - 1;
    bool in_fault = at >= s->fault_start;
    if (in_fault)
        *fault_over = s->fault_end;
    if (!anomalous)
        return;
    bool fresh = f->last == 0 || s->at - f->last > QUIET;
    f->last = s->at;
    if (in_fault && s->fault_end <= s->readings && f->config.kind == FINDER[s->fault] && f->found_at != s->fault_start) {
        f->found_at = s->fault_start;
        tally->found[s->fault]++;
        tally->delay[s->fault] += at - s->fault_start;
    }
    if (fresh && !in_fault && at >= LEARNING && (*fault_over == 0 || at > *fault_over + GRACE))
        tally->false_alarms[f->config.kind]++;
}

static void run_series(struct tally *tally, const struct noise_case *of, uint64_t seed, uint32_t readings)
{
    struct series s = series_begin(of, seed);
    s.readings = readings;
    struct statistics statistics;
    statistics_init(&statistics);
    struct finder finders[3];
    for (int k = 0; k < 3; k++) {
        finders[k] = (struct finder){ .config = detector_defaults(FINDER[k + 1]) };
        memset(&finders[k].state, 0, sizeof finders[k].state);
    }
    uint32_t fault_over = 0;
    for (uint32_t i = 0; i < readings; i++) {
        struct sample sample = { 1000000 + 100 * (int64_t)i, series_next(&s) };
        if (i == s.fault_start && s.fault_end <= readings)
            tally->faults[s.fault]++;
        for (int k = 0; k < 3; k++) {
            struct finder *f = &finders[k];
            struct verdict v = detector_judge(&f->config, &f->state, &sample, &statistics);
            count(tally, &s, f, v.anomalous, &fault_over);
        }
        statistics_push(&statistics, sample.event_time_ms, sample.value);
    }
    tally->readings += readings - LEARNING;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static void report(const struct noise_case *of, const struct tally *t)
{
    uint64_t false_alarms = t->false_alarms[DETECTOR_SPIKE] + t->false_alarms[DETECTOR_SHIFT] +
                            t->false_alarms[DETECTOR_STUCK];
    printf("{\"bench\":\"detectors\",\"case\":\"%s\",\"readings\":%llu", of->name,
           (unsigned long long)t->readings);
    for (int k = FAULT_SPIKE; k < FAULTS && of->faults; k++)
        printf(",\"%s\":{\"faults\":%llu,\"found\":%.4f,\"delay_readings\":%.1f}",
               detector_ops(FINDER[k])->name, (unsigned long long)t->faults[k],
               share(t->found[k], t->faults[k]), share(t->delay[k], t->found[k]));
    printf(",\"false_per_100k\":{\"spike\":%.3f,\"shift\":%.3f,\"stuck\":%.3f,\"all\":%.3f}}\n",
           1e5 * share(t->false_alarms[DETECTOR_SPIKE], t->readings),
           1e5 * share(t->false_alarms[DETECTOR_SHIFT], t->readings),
           1e5 * share(t->false_alarms[DETECTOR_STUCK], t->readings),
           1e5 * share(false_alarms, t->readings));
}

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* others use the machine too */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* With the statistics that a detector is shown. The readings are made beforehand; `kind`
 * DETECTOR_KINDS stands for all of them. */
static void time_kind(int kind, const double *values, uint32_t value_count)
{
    struct detector_config config[DETECTOR_KINDS];
    struct detector_state state[DETECTOR_KINDS];
    for (int k = 0; k < DETECTOR_KINDS; k++) {
        config[k] = detector_defaults((enum detector_kind)k);
        config[k].has_high = true;
        config[k].high = 200;
        config[k].per_second_max = 1e6;
        memset(&state[k], 0, sizeof state[k]);
    }
    int first = kind == DETECTOR_KINDS ? 0 : kind;
    int end = kind == DETECTOR_KINDS ? DETECTOR_KINDS : kind + 1;
    struct statistics statistics;
    statistics_init(&statistics);
    uint64_t anomalous = 0;
    double began = now_ns();
    for (uint32_t i = 0; i < SPEED_READINGS; i++) {
        struct sample sample = { 100 + 100 * (int64_t)i, values[i % value_count] };
        for (int k = first; k < end; k++) {
            const struct detector_input in = { &config[k], &sample, &statistics, false };
            struct verdict verdict;
            anomalous += detector_ops((enum detector_kind)k)->on_reading(&in, &state[k], &verdict);
        }
        statistics_push(&statistics, sample.event_time_ms, sample.value);
    }
    printf("{\"bench\":\"detector_speed\",\"case\":\"%s\",\"ns_per_reading\":%.1f,\"anomalous\":%llu}\n",
           kind == DETECTOR_KINDS ? "all" : detector_ops((enum detector_kind)kind)->name,
           (now_ns() - began) / SPEED_READINGS, (unsigned long long)anomalous);
}

static void time_statistics(const double *values, uint32_t value_count)
{
    struct statistics statistics;
    statistics_init(&statistics);
    double began = now_ns();
    for (uint32_t i = 0; i < SPEED_READINGS; i++)
        statistics_push(&statistics, 100 * (int64_t)i, values[i % value_count]);
    printf("{\"bench\":\"detector_speed\",\"case\":\"statistics\",\"ns_per_reading\":%.1f,\"mean\":%.3f}\n",
           (now_ns() - began) / SPEED_READINGS, statistics.mean);
}

int main(int count, char **arguments)
{
    uint32_t series_count = count > 1 ? (uint32_t)atoi(arguments[1]) : 500;
    uint32_t readings = count > 2 ? (uint32_t)atoi(arguments[2]) : 3000;
    for (size_t c = 0; c < sizeof CASES / sizeof CASES[0]; c++) {
        struct tally tally = { 0 };
        for (uint32_t i = 0; i < series_count; i++)
            run_series(&tally, &CASES[c], 1 + i * 7919, readings);
        report(&CASES[c], &tally);
    }
    static double values[4096];
    struct series s = series_begin(&CASES[10], 1);
    for (size_t i = 0; i < 4096; i++)
        values[i] = series_next(&s);
    for (int kind = 0; kind <= DETECTOR_KINDS; kind++)
        time_kind(kind, values, 4096);
    time_statistics(values, 4096);
    return 0;
}
