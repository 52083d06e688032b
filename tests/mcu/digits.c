/* Goal: detection runs without an operating system, and a Cortex-M4 finds what a gateway finds, to the last digit.
 * Method: this program is built twice, for this machine and for the M4 (tests/boards/mcu_test.py compares what they print). It
 * puts seeded series through the windows, the statistics and every detector, and prints the bits of what each says
 * of each reading; then what a series costs in memory. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/detect/detector.h"
#include "pipeline/reading.h"
#include "pipeline/window.h"

enum { SERIES = 6, READINGS = 700, SLOTS = 4 };

/* --- series: sums and products alone, so that no library's sine comes in --- */

static uint64_t chance = 20260101;

static double unit(void)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (double)(chance >> 11) / 9007199254740992.0;
}

static double noise(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += unit();
    return sum;
}

static double next_value(int series, int at, double last)
{
    double step = noise();
    switch (series) {
    case 0: return 50 + step;
    case 1: return last + step;
    case 2: return (double)(int32_t)(20 + step);
    case 3: return at % 200 < 60 ? last : 50 + step;
    case 4: return 50 + step + (at / 200 % 2 == 0 ? 0 : 8);
    default: return at % 97 == 96 ? 50 + 30 * step : 50 + step;
    }
}

/* --- printing: the bits, since two libraries round a double's text as they like --- */

static void print_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    printf(" %08lx%08lx", (unsigned long)(bits >> 32), (unsigned long)(bits & UINT32_MAX));
}

static void print_aggregate(const char *what, const struct window *w)
{
    printf("%s %lu %lu %lu", what, (unsigned long)(w->start_ms / 1000), (unsigned long)w->revision,
           (unsigned long)w->aggregate.count);
    print_bits(w->aggregate.mean);
    print_bits(w->aggregate.m2);
    print_bits(w->aggregate.min);
    print_bits(w->aggregate.max);
    print_bits(w->aggregate.last);
    printf("\n");
}

/* --- one series through everything --- */

static const struct window_config windowing = { .size_ms = 10000, .lateness_ms = 20000, .slots = SLOTS };

static struct {
    struct detector_config configs[DETECTOR_KINDS];
    struct detector_state states[DETECTOR_KINDS];
    struct statistics statistics;
    union {
        struct windows windows;
        uint8_t bytes[sizeof(struct windows) + SLOTS * sizeof(struct window_slot)];
    } kept;
} run;

static void begin(void)
{
    memset(&run, 0, sizeof run);
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector_config *config = &run.configs[kind];
        *config = detector_defaults((enum detector_kind)kind);
        config->has_high = true;
        config->high = 60;
        config->hysteresis = 2;
        config->per_second_max = 4;
    }
    statistics_init(&run.statistics);
    windows_init(&run.kept.windows, &windowing);
}

static void judge(const struct sample *sample)
{
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        const struct detector_kind_ops *ops = detector_ops((enum detector_kind)kind);
        int64_t gap_ms = sample->event_time_ms - run.statistics.last_ms;
        if (ops->on_arrival != NULL && run.statistics.count > 0 && gap_ms > 0)
            ops->on_arrival(&run.configs[kind], &run.states[kind], gap_ms);
        struct verdict v =
            detector_judge(&run.configs[kind], &run.states[kind], sample, &run.statistics);
        if (!v.known)
            continue;
        printf("%s %d %d", ops->name, (int)v.anomalous, (int)v.reason);
        print_bits(v.low);
        print_bits(v.high);
        print_bits(v.score);
        printf("\n");
    }
}

static void take(const struct sample *sample)
{
    struct window told;
    judge(sample);
    statistics_push(&run.statistics, sample->event_time_ms, sample->value);
    int err = windows_push(&run.kept.windows, &windowing, sample->event_time_ms, sample->event_time_ms,
                           sample->value, 1, &told);
    if (err != 0)
        printf("window error %d\n", err);
    if (told.open)
        print_aggregate("forced", &told);
    while (windows_due(&run.kept.windows, &windowing, sample->event_time_ms, &told))
        print_aggregate("window", &told);
}

static void print_costs(void)
{
    unsigned detectors = 0;
    for (int kind = 0; kind < DETECTOR_KINDS; kind++)
        detectors += detector_ops((enum detector_kind)kind)->state_bytes;
    /* "#": differs between processors, and is not compared */
    printf("# bytes a series: statistics %u, windows %u, all detectors %u\n", (unsigned)sizeof run.statistics,
           (unsigned)windows_bytes(&windowing), detectors);
}

int main(void)
{
    for (int series = 0; series < SERIES; series++) {
        struct sample sample = { INT64_C(1600000000000), 50 };
        begin();
        for (int at = 0; at < READINGS; at++) {
            sample.event_time_ms += 500 + (int64_t)(unit() * 2000);
            sample.value = next_value(series, at, sample.value);
            take(&sample);
        }
        printf("statistics");
        print_bits(statistics_stddev(&run.statistics));
        print_bits(statistics_ew_stddev(&run.statistics));
        print_bits(run.statistics.interval_ms);
        printf("\n");
    }
    print_costs();
    return 0;
}
