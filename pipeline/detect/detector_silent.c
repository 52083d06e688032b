/* silent: no reading for longer than max(silent_min_ms, silent_intervals * the series' own
 * interval). Both are pipeline time: what is silent is the way to the gateway, whatever the
 * readings say of when they were taken. The engine tells of arrivals, keeps the timer, and makes
 * the anomalous verdict when it fires; a reading only ever ends a silence. Score: time since the
 * last reading over the time allowed (threshold 1).
 *
 * The interval is the 95th percentile of the gaps between arrivals, each weighted by its own
 * length: of the gap into which a moment falls that is chosen by chance. So 60 readings that come
 * within a tenth of a second, every minute, have an interval of a minute, where the plain
 * percentile would be a millisecond; and of readings that come by chance, a gap of three such
 * intervals is one in 50,000. Where every hundredth gap is an outage of days, outages are most of
 * the time, and its rhythm: with the plain percentile each of them would be told of.
 *
 * It is followed by stochastic approximation (H. Robbins and S. Monro, 1951), never past the gap
 * at hand, looking back over 50 intervals, or 10 times silent_min_ms where that is longer. A gap
 * counts as at most two intervals, or as silent_min_ms, so that an outage does not make the next
 * one allowed. It is known when the series has been heard of for as long as ten intervals, and
 * for as long as the silence that it is allowed then. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

static const double GAP_INTERVALS_MAX = 2;
static const double MEMORY_INTERVALS = 50, MEMORY_SILENCES = 10;
static const double KNOWN_INTERVALS = 10;
static const double SHARE = 0.95, GAIN = 15;

/* So that neither a huge multiple nor a slow device overflows: a year. */
static const double SILENCE_MAX_MS = 366.0 * 86400 * 1000;

struct silent {
    float interval_ms; /* 0: there was no gap yet */
    float heard_ms;    /* sum of the gaps, as they counted */
};

DETECTOR_STATE_FITS(struct silent);

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* Up by SHARE and down by what is left of it, so that it rests where so much time lies below; and
 * up no slower than the mean would go, which is what counts after a first gap that was short. */
static double follow(double interval_ms, double gap_ms, double weight)
{
    double up_ms = larger(GAIN * SHARE * weight * interval_ms, weight * (gap_ms - interval_ms));
    if (gap_ms > interval_ms)
        return smaller(gap_ms, interval_ms + up_ms);
    return larger(gap_ms, interval_ms * (1 - smaller(GAIN * (1 - SHARE) * weight, 1)));
}

static void on_arrival(const struct detector_config *config, void *state, int64_t gap_ms)
{
    struct silent *s = state;
    double gap = (double)gap_ms, least = (double)config->silent_min_ms;
    assert(gap_ms > 0);
    double interval = (double)s->interval_ms, heard = gap;
    if (interval > 0) {
        gap = smaller(gap, larger(GAP_INTERVALS_MAX * interval, least));
        heard = (double)s->heard_ms + gap;
        double memory = larger(MEMORY_INTERVALS * interval, MEMORY_SILENCES * least);
        gap = follow(interval, gap, gap / smaller(heard, memory));
    }
    s->interval_ms = (float)gap;
    s->heard_ms = (float)larger(heard, gap);
}

static int64_t silence_ms(const struct detector_config *config, const void *state)
{
    const struct silent *s = state;
    double interval = (double)s->interval_ms, heard = (double)s->heard_ms;
    double allowed = larger(config->silent_intervals * interval, (double)config->silent_min_ms);
    if (interval <= 0 || heard < larger(KNOWN_INTERVALS * interval, allowed))
        return 0;
    return (int64_t)smaller(allowed, SILENCE_MAX_MS);
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    (void)state;
    *verdict = (struct verdict){ .observed = in->sample->value, .low = 1, .threshold = 1 };
    return false;
}

static void save(const void *state, struct byte_writer *w)
{
    struct silent s;
    memcpy(&s, state, sizeof s);
    put_f32(w, s.interval_ms);
    put_f32(w, s.heard_ms);
}

static void load(void *state, struct byte_reader *r)
{
    struct silent s = { .interval_ms = detector_get_float(r) };
    s.heard_ms = detector_get_float(r);
    if (s.interval_ms < 0 || s.heard_ms < s.interval_ms)
        r->failed = true;
    memcpy(state, &s, sizeof s);
}

const struct detector_kind_ops detector_silent = {
    .name = "silent",
    .state_bytes = sizeof(struct silent),
    .learns = true,
    .on_reading = on_reading,
    .on_arrival = on_arrival,
    .silence_ms = silence_ms,
    .save = save,
    .load = load,
};
